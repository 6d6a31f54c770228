/** The processes under test, each behind a proxy of its own to one Redis. Carries out a schedule, and records what happens. */

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

import jwt from 'jsonwebtoken';
import { sessionHandle, sessionUser } from '../../lib/core/session.js';
import { eventually, isFollowing, startRedis, type TestRedis } from '../support/redis.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import type { Entry, Fault, FaultKind, History, Life, Outcome, RequestMade, SessionInfo } from './history.js';
import { canSetRedisClock, redisClock, type RedisClock } from './redis-clock.js';
import type { Action, Link, RedisAction, Schedule, StartsWith } from './schedule.js';

const SECRET = 'a secret for tests, 32 bytes long';
const ISSUER = 'https://id.example.com/';
const BUILT = join(__dirname, '../../dist/esm/index.js');
/** The key of the feed. */
const STREAM = 'ms:{feed}:stream';
/** A request that has no answer after this time hangs. In milliseconds. */
const GIVE_UP = 30_000;
/** How late the replica may be while nothing keeps it from its master. */
const REPLICATION = 500;

const now = (): number => Number(process.hrtime.bigint()) / 1e6;

export interface RunOptions {
  /** The built package that the processes load. Default: that of this repository. */
  readonly built?: string;
}

/** Carries out a schedule on a fleet of its own. */
export async function run(schedule: Schedule, options: RunOptions = {}): Promise<History> {
  const fleet = new Fleet(schedule, options.built ?? BUILT);
  try {
    await fleet.start();
    return await fleet.carryOut();
  } finally {
    await fleet.close();
  }
}

interface Place {
  readonly place: number;
  readonly proxy: TcpProxy;
  readonly faults: Set<Fault>;
  readonly calls: Map<number, (message: { value?: unknown; error?: string }) => void>;
  child: ChildProcess | null;
  port: number;
  life: Life | null;
  stop: Fault | null;
  isStarting: Promise<void>;
}

class Session {
  readonly handle: string;
  iat = 0;
  token = '';
  info: SessionInfo | null = null;

  constructor(
    readonly session: number,
    readonly user: number,
  ) {
    this.handle = sessionHandle(sessionUser(ISSUER, `user-${user}`), `session-${session}`);
  }

  refresh(): void {
    this.token = jwt.sign({ sub: `user-${this.user}`, sid: `session-${this.session}` }, SECRET, {
      issuer: ISSUER,
      expiresIn: '6h',
    });
    this.iat = Math.floor(Date.now() / 1000);
  }
}

class Fleet {
  readonly #schedule: Schedule;
  readonly #built: string;
  readonly #entries: Entry[] = [];
  readonly #sessions = new Map<number, Session>();
  readonly #work = new Set<Promise<unknown>>();
  readonly #agent = new Agent({ keepAlive: true });
  readonly #saves: { readonly at: number; readonly saved: Buffer }[] = [];
  readonly #open = new Map<string, Fault>();
  #places: Place[] = [];
  #master!: TestRedis;
  #masterClock!: RedisClock;
  #replica: TestRedis | null = null;
  #replicaClock: RedisClock | null = null;
  #replicaProxy: TcpProxy | null = null;
  #lagsSince: number | null = null;
  /** What is done with Redis, one thing after the other. */
  #redisWork: Promise<void> = Promise.resolve();
  #lives = 0;
  #calls = 0;
  #ops = 0;
  #watch: NodeJS.Timeout | undefined;
  #isClosing = false;

  constructor(schedule: Schedule, built: string) {
    this.#schedule = schedule;
    this.#built = built;
  }

  async start(): Promise<void> {
    const { settings, withReplica } = this.#schedule;
    this.#masterClock = redisClock();
    this.#master = await startRedis({ env: this.#masterClock.env });
    if (withReplica) {
      this.#replicaProxy = await startProxy(this.#master);
      this.#replicaClock = redisClock();
      this.#replica = await startRedis({ env: this.#replicaClock.env, args: replicaOf(this.#replicaProxy) });
      const replica = this.#replica;
      await eventually('the replica follows', () => isFollowing(replica));
    }
    const { processes } = settings;
    this.#places = await Promise.all(
      Array.from({ length: processes }, async (_, place): Promise<Place> => {
        const proxy = await startProxy(this.#master);
        const idle = { child: null, port: 0, life: null, stop: null, isStarting: Promise.resolve() };
        return { place, proxy, faults: new Set(), calls: new Map(), ...idle };
      }),
    );
    await Promise.all(this.#places.map((place) => this.#startProcess(place)));
    this.#watchPauses();
  }

  async carryOut(): Promise<History> {
    const { steps, settings, healAt, endAt } = this.#schedule;
    const startedAt = now();
    let isHealed = false;
    for (const step of steps) {
      if (!isHealed && step.at >= healAt) {
        await sleep(Math.max(0, startedAt + healAt - now()));
        await this.#healAll();
        isHealed = true;
      }
      const wait = startedAt + step.at - now();
      if (wait > 0) await sleep(wait);
      this.#begin(step);
    }
    await sleep(Math.max(0, startedAt + endAt - now()));
    await Promise.all(this.#work);
    await this.#askLastQuestions();
    const epoch = Date.now() - now();
    const sessions = [...this.#sessions.values()].map(({ info }) => info).filter((info) => info !== null);
    // As it is now: the processes are killed after this.
    return { settings, sessions, entries: structuredClone(this.#entries), epoch };
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#watch);
    for (const { child } of this.#places) {
      if (child?.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
    this.#agent.destroy();
    await Promise.all(this.#places.map(({ proxy }) => proxy.close()));
    await this.#replicaProxy?.close();
    await this.#master.stop();
    await this.#replica?.stop();
    this.#masterClock.remove();
    this.#replicaClock?.remove();
  }

  // Processes

  async #startProcess(place: Place): Promise<void> {
    const argument = {
      dist: pathToFileURL(this.#built).href,
      redis: `redis://127.0.0.1:${String(place.proxy.port)}`,
      options: this.#optionsOfProcess(),
    };
    const child = fork(join(__dirname, 'app.mjs'), [JSON.stringify(argument)], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const number = (this.#lives += 1);
    const life: Life = {
      kind: 'life',
      life: number,
      place: place.place,
      from: now(),
      to: Infinity,
      killedAt: null,
      crash: null,
    };
    place.child = child;
    place.port = 0;
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-2000);
    });
    const ready = new Promise<void>((resolve) => {
      child.on('message', (message: Record<string, unknown>) => {
        if (message['event'] === 'ready') {
          place.port = Number(message['port']);
          place.life = life;
          this.#entries.push(life);
          resolve();
        } else this.#onMessage(place, life, message);
      });
    });
    const ended = once(child, 'exit').then(([code, signal]: unknown[]) => {
      life.to = now();
      if (life.killedAt === null && !this.#isClosing) life.crash = `${String(code ?? signal)}: ${said}`;
      for (const settle of place.calls.values()) settle({ error: 'the process ended' });
      place.calls.clear();
      place.life = null;
      if (place.child === child) place.child = null;
    });
    await Promise.race([ready, ended]);
    if (place.life !== life) throw new Error(`A process did not start: ${said}`);
  }

  #optionsOfProcess(): object {
    const { processes: _processes, clockTolerance, idleTimeout, ...settings } = this.#schedule.settings;
    const issuer = { issuer: ISSUER, secret: SECRET, clockTolerance };
    return { ...settings, issuer, ...(idleTimeout !== null && { idleTimeout }) };
  }

  #onMessage(place: Place, life: Life, message: Record<string, unknown>): void {
    if (typeof message['id'] === 'number') {
      place.calls.get(message['id'])?.(message);
      place.calls.delete(message['id']);
      return;
    }
    const { pause } = message;
    if (pause !== undefined) {
      this.#entries.push({ kind: 'pause', life: life.life, ...(pause as { from: number; to: number }) });
      return;
    }
    this.#entries.push({ kind: 'event', life: life.life, ...(message as { event: 'sessionEnded' }) } as Entry);
  }

  async #call(place: Place, name: string, ...args: unknown[]): Promise<unknown> {
    const { child } = place;
    if (child === null || place.life === null) throw new Error('there is no process');
    const id = (this.#calls += 1);
    const { value, error } = await new Promise<{ value?: unknown; error?: string }>((resolve) => {
      const timer = setTimeout(() => resolve({ error: 'no answer' }), GIVE_UP);
      place.calls.set(id, (message) => {
        clearTimeout(timer);
        resolve(message);
      });
      child.send({ id, name, args }, (failure) => {
        if (failure !== null) resolve({ error: 'the process ended' });
      });
    });
    if (error !== undefined) throw new Error(error);
    return value;
  }

  /** The times in which this process, which holds the proxies, did nothing. */
  #watchPauses(): void {
    const tick = 10;
    let tickedAt = now();
    this.#watch = setInterval(() => {
      const from = tickedAt + tick;
      tickedAt = now();
      if (tickedAt - from > tick) this.#entries.push({ kind: 'pause', life: null, from, to: tickedAt });
    }, tick);
  }

  // Steps

  /** In the background: a step does not wait for the one before it. */
  #begin(action: Action): void {
    const work = this.#do(action).finally(() => this.#work.delete(work));
    this.#work.add(work);
  }

  async #do(action: Action): Promise<void> {
    switch (action.do) {
      case 'sign-in': {
        const session = new Session(action.session, action.user);
        session.refresh();
        const { handle, iat, user } = session;
        session.info = { session: action.session, user, handle, from: now(), iat };
        this.#sessions.set(action.session, session);
        return this.#request(session, this.#places[action.place]!, 'request');
      }
      case 'request':
        return this.#request(
          this.#sessions.get(action.session),
          this.#places[action.place]!,
          action.fresh ? 'fresh' : 'request',
        );
      case 'refresh':
        this.#sessions.get(action.session)?.refresh();
        return;
      case 'revoke':
      case 'revoke-all':
      case 'end-everywhere':
      case 'logout':
        return this.#endSessions(action);
      case 'list':
        return this.#list(action.user, this.#places[action.place]!, false);
      case 'label': {
        const session = this.#sessions.get(action.session);
        if (session === undefined) return;
        await this.#call(this.#places[action.place]!, 'label', `user-${session.user}`, session.handle, 'mine').catch(
          () => undefined,
        );
        return;
      }
      case 'link':
        this.#disturbLinks(action.how, action.direction, action.places);
        return;
      case 'heal':
        await Promise.all(action.places.map((place) => this.#healLink(this.#places[place]!)));
        return;
      case 'stop':
      case 'continue':
      case 'kill':
      case 'start':
      case 'block':
        return this.#disturbProcess(action);
      case 'app-clock':
        return this.#setAppClock(this.#places[action.place]!, action.ahead);
      default:
        this.#redisWork = this.#redisWork.then(() => this.#disturbRedis(action));
        return this.#redisWork;
    }
  }

  async #request(
    session: Session | undefined,
    place: Place,
    as: 'request' | 'fresh' | 'probe' | 'logout',
  ): Promise<void> {
    const { life } = place;
    // It did not sign in, or there is nobody to ask.
    if (session === undefined || life === null) return;
    const { token, iat, user } = session;
    const sentAt = now();
    const { at, outcome } = await this.#ask(place, token, as);
    const made: RequestMade = {
      kind: 'request',
      as,
      session: session.session,
      user,
      life: life.life,
      iat,
      sentAt,
      answeredAt: now(),
      at: at ?? now(),
      outcome,
    };
    this.#entries.push(made);
  }

  #ask(place: Place, token: string, as: string): Promise<{ at: number | null; outcome: Outcome }> {
    return new Promise((resolve) => {
      const failed = (what: string): void => resolve({ at: null, outcome: { kind: 'failed', what } });
      const sent = request(
        {
          host: '127.0.0.1',
          port: place.port,
          agent: this.#agent,
          method: as === 'logout' ? 'POST' : 'GET',
          path: as === 'logout' ? '/logout' : as === 'fresh' ? '/fresh' : '/',
          headers: { authorization: `Bearer ${token}` },
          signal: AbortSignal.timeout(GIVE_UP),
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (part: string) => (text += part));
          response.on('error', (error) => failed(error.message));
          response.on('end', () => resolve(outcomeOf(response.statusCode ?? 0, text)));
        },
      );
      sent.on('error', (error) => failed(error.message));
      sent.end();
    });
  }

  async #endSessions(
    action: Extract<Action, { do: 'revoke' | 'revoke-all' | 'end-everywhere' | 'logout' }>,
  ): Promise<void> {
    const place = this.#places[action.place]!;
    const { life } = place;
    const session = 'session' in action ? this.#sessions.get(action.session) : undefined;
    if (life === null || ('session' in action && session === undefined)) return;
    const op = (this.#ops += 1);
    const reason = action.do === 'logout' ? 'signed_out' : `op-${op}`;
    const user = 'user' in action ? action.user : (session?.user ?? null);
    const except = action.do === 'revoke-all' ? action.except : null;
    const sentAt = now();
    let error: string | null = null;
    try {
      switch (action.do) {
        case 'revoke':
          await this.#call(place, 'revoke', `user-${String(user)}`, session?.handle, reason);
          break;
        case 'revoke-all': {
          const excepted = except === null ? null : (this.#sessions.get(except)?.handle ?? null);
          await this.#call(place, 'revokeAll', `user-${String(user)}`, excepted, reason);
          break;
        }
        case 'end-everywhere':
          await this.#call(place, 'endEverywhere', reason);
          break;
        case 'logout': {
          const { outcome } = await this.#ask(place, session?.token ?? '', 'logout');
          if (outcome.kind === 'failed') throw new Error(outcome.what);
          if (outcome.kind === 'refused') throw new Error(outcome.code);
        }
      }
    } catch (failure) {
      error = failure instanceof Error ? failure.message : String(failure);
    }
    this.#entries.push({
      kind: 'ending',
      op,
      as: action.do === 'revoke-all' ? 'revokeAll' : action.do === 'end-everywhere' ? 'endEverywhere' : action.do,
      reason,
      user,
      session: session?.session ?? null,
      except,
      life: life.life,
      sentAt,
      acknowledgedAt: error === null ? now() : null,
      second: Math.floor(Date.now() / 1000),
      error,
    });
  }

  async #list(user: number, place: Place, isFinal: boolean): Promise<void> {
    const { life } = place;
    if (life === null) return;
    const sentAt = now();
    const listed = await this.#call(place, 'list', `user-${user}`).then(
      (sessions) => ({ sessions: sessions as { handle: string; lastSeenAt: number }[], error: null }),
      (error: unknown) => ({ sessions: null, error: error instanceof Error ? error.message : String(error) }),
    );
    this.#entries.push({ kind: 'list', user, life: life.life, sentAt, answeredAt: now(), ...listed, isFinal });
  }

  // Faults

  #fault(fault: FaultKind, details: Partial<Fault> = {}): Fault {
    const begun: Fault = {
      kind: 'fault',
      fault,
      from: now(),
      to: Infinity,
      keepsFromStore: [],
      keptUntil: null,
      ahead: 0,
      place: null,
      ...details,
    };
    this.#entries.push(begun);
    return begun;
  }

  #disturbLinks(how: Link, direction: 'up' | 'down' | 'both', places: readonly number[]): void {
    for (const place of places.map((each) => this.#places[each]!)) {
      const fault = this.#fault(how, { keepsFromStore: [place.place], place: place.place });
      if (how === 'cut') {
        place.proxy.cut();
        fault.to = now();
        continue;
      }
      place.faults.add(fault);
      if (how === 'refuse') place.proxy.refuse();
      else if (how === 'blackhole') place.proxy.blackhole(direction);
      else place.proxy.delay(this.#schedule.settings.storeTimeout * (place.place % 2 === 0 ? 0.4 : 1.5), direction);
    }
  }

  async #healLink({ proxy, faults }: Place): Promise<void> {
    await proxy.heal();
    for (const fault of faults) fault.to = now();
    faults.clear();
  }

  async #disturbProcess(
    action: Extract<Action, { do: 'stop' | 'continue' | 'kill' | 'start' | 'block' }>,
  ): Promise<void> {
    const place = this.#places[action.place]!;
    const { child, life } = place;
    switch (action.do) {
      case 'stop':
        if (life === null || place.stop !== null) return;
        place.stop = this.#fault('stop', { place: place.place });
        child?.kill('SIGSTOP');
        return;
      case 'continue':
        this.#continue(place);
        return;
      case 'block':
        if (life === null) return;
        this.#fault('block', { place: place.place }).to = now() + action.duration;
        await this.#call(place, 'block', action.duration).catch(() => undefined);
        return;
      case 'kill': {
        if (child === null || life === null) return;
        life.killedAt = now();
        const exited = once(child, 'exit');
        const fault = this.#fault('kill', { place: place.place });
        child.kill('SIGKILL');
        await exited;
        fault.to = now();
        this.#continue(place);
        return;
      }
      case 'start':
        await this.#startAgain(place);
    }
  }

  #continue(place: Place): void {
    if (place.stop === null) return;
    place.child?.kill('SIGCONT');
    place.stop.to = now();
    place.stop = null;
  }

  async #startAgain(place: Place): Promise<void> {
    place.isStarting = place.isStarting.then(async () => {
      if (place.child === null) await this.#startProcess(place);
    });
    await place.isStarting;
  }

  async #setAppClock(place: Place, ahead: number): Promise<void> {
    if (place.life === null) return;
    const name = `app-clock ${place.place}`;
    const before = this.#open.get(name);
    this.#open.delete(name);
    if (ahead !== 0) this.#open.set(name, this.#fault('app-clock', { ahead, place: place.place }));
    await this.#call(place, 'setClock', ahead).catch(() => undefined);
    if (before !== undefined) before.to = now();
  }

  #end(name: string): void {
    const fault = this.#open.get(name);
    if (fault !== undefined) fault.to = now();
    this.#open.delete(name);
  }

  async #disturbRedis(action: RedisAction): Promise<void> {
    switch (action.do) {
      case 'redis-stop':
        if (this.#open.has('redis-stop')) return;
        this.#open.set('redis-stop', this.#fault('redis-stop', { keepsFromStore: null }));
        this.#master.pause();
        return;
      case 'redis-continue':
        this.#continueRedis();
        return;
      case 'redis-save':
        this.#continueRedis();
        this.#saves.push({ at: now(), saved: await this.#master.save() });
        return;
      case 'redis-restart':
        return this.#restartRedis(action.from, action.ahead);
      case 'flush': {
        this.#continueRedis();
        const fault = this.#fault('flush', { keptUntil: -Infinity });
        await this.#master.cli('flushall');
        fault.to = now();
        return;
      }
      case 'trim': {
        const fault = this.#fault('trim');
        const entries = await this.#master.cli('xrevrange', STREAM, '+', '-', 'COUNT', String(action.count));
        const ids = Array.isArray(entries) ? entries.map(([id]: unknown[]) => String(id)) : [];
        if (ids.length > 0) await this.#master.cli('xdel', STREAM, ...ids);
        fault.to = now();
        return;
      }
      case 'memory-full':
        if (this.#open.has('memory-full')) return;
        this.#open.set('memory-full', this.#fault('memory-full', { keepsFromStore: null }));
        this.#continueRedis();
        await this.#master.cli('config', 'set', 'maxmemory', '1');
        return;
      case 'memory-back':
        return this.#giveMemoryBack();
      case 'replica-lags':
        if (this.#replicaProxy === null || this.#lagsSince !== null) return;
        this.#lagsSince = now() - REPLICATION;
        this.#replicaProxy.blackhole();
        return;
      case 'failover':
        return this.#failOver(action.ahead);
      case 'redis-clock':
        this.#setRedisClock(action.ahead);
    }
  }

  #continueRedis(): void {
    if (!this.#open.has('redis-stop')) return;
    this.#master.resume();
    this.#end('redis-stop');
  }

  async #giveMemoryBack(): Promise<void> {
    if (!this.#open.has('memory-full')) return;
    this.#continueRedis();
    await this.#master.cli('config', 'set', 'maxmemory', '0');
    this.#end('memory-full');
  }

  async #restartRedis(from: StartsWith, ahead: number | null): Promise<void> {
    await this.#giveMemoryBack();
    this.#continueRedis();
    const chosen = typeof from === 'object' ? (this.#saves.at(-1 - from.saved) ?? this.#saves.at(-1)) : undefined;
    if (typeof from === 'object' && chosen === undefined) return;
    const saved = from === 'all' ? { at: now(), saved: await this.#master.save() } : chosen;
    const keptUntil = saved?.at ?? -Infinity;
    const fault = this.#fault('redis-restart', { keepsFromStore: null, keptUntil });
    if (ahead !== null) this.#setRedisClock(ahead);
    if (saved === undefined) await this.#master.restart({ keepData: false });
    else await this.#master.restore(saved.saved);
    fault.to = now();
  }

  #setRedisClock(ahead: number): void {
    this.#end('redis-clock');
    if (ahead !== 0) this.#open.set('redis-clock', this.#fault('redis-clock', { ahead }));
    this.#masterClock.set(ahead);
  }

  /** The replica becomes the master, and the old master, which has lost everything, becomes its replica. */
  async #failOver(ahead: number | null): Promise<void> {
    const replica = this.#replica;
    const proxy = this.#replicaProxy;
    if (replica === null || proxy === null || this.#replicaClock === null) return;
    await this.#giveMemoryBack();
    const keptUntil = this.#lagsSince ?? now() - REPLICATION;
    const fault = this.#fault('failover', { keepsFromStore: null, keptUntil });
    const old = this.#master;
    await old.kill();
    this.#end('redis-stop');
    [this.#masterClock, this.#replicaClock] = [this.#replicaClock, this.#masterClock];
    this.#setRedisClock(ahead ?? 0);
    await replica.cli('replicaof', 'no', 'one');
    this.#master = replica;
    this.#saves.length = 0;
    for (const place of this.#places) place.proxy.retarget(replica.port);
    fault.to = now();
    this.#lagsSince = null;
    await proxy.heal();
    proxy.retarget(replica.port);
    this.#replicaClock.set(0);
    await old.restart({ keepData: false }).catch(() => undefined);
    this.#replica = old;
    await old.cli('replicaof', '127.0.0.1', String(proxy.port));
    await eventually('the old master follows', () => isFollowing(old));
  }

  // The end

  async #healAll(): Promise<void> {
    await this.#redisWork;
    await this.#giveMemoryBack();
    this.#continueRedis();
    this.#setRedisClock(0);
    await this.#replicaProxy?.heal();
    for (const place of this.#places) {
      this.#continue(place);
      await this.#healLink(place);
    }
    await Promise.all(
      this.#places.map(async (place) => {
        await this.#startAgain(place);
        await this.#setAppClock(place, 0);
      }),
    );
    this.#entries.push({ kind: 'healed', at: now() });
  }

  /** Every list, then every session, of every process. */
  async #askLastQuestions(): Promise<void> {
    const users = new Set([...this.#sessions.values()].map(({ user }) => user));
    for (const user of users) await Promise.all(this.#places.map((place) => this.#list(user, place, true)));
    for (const session of this.#sessions.values()) {
      await Promise.all(this.#places.map((place) => this.#request(session, place, 'probe')));
    }
  }
}

function replicaOf(proxy: TcpProxy): string[] {
  return ['--replicaof', '127.0.0.1', String(proxy.port)];
}

function outcomeOf(status: number, text: string): { at: number | null; outcome: Outcome } {
  if (status === 204) return { at: null, outcome: { kind: 'admitted' } };
  let body: { at?: unknown; code?: unknown; reason?: unknown };
  try {
    body = JSON.parse(text);
  } catch {
    return { at: null, outcome: { kind: 'failed', what: `status ${status}: ${text.slice(0, 200)}` } };
  }
  const at = typeof body.at === 'number' ? body.at : null;
  if (status === 200) return { at, outcome: { kind: 'admitted' } };
  if (typeof body.code !== 'string' || status === 500) {
    return { at, outcome: { kind: 'failed', what: `status ${status}: ${text.slice(0, 200)}` } };
  }
  const reason = typeof body.reason === 'string' ? body.reason : null;
  return { at, outcome: { kind: 'refused', status, code: body.code, reason } };
}

export { canSetRedisClock };
