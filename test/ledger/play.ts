/** Runs one schedule, and judges it by the rules. */

import { sessionHandle, sessionUser, type SessionRecord } from '../../lib/core/session.js';
import type { SessionPolicy } from '../../lib/core/policy.js';
import type { VerifiedToken } from '../../lib/tokens/verify.js';
import { Rules, type Rule, type Session, type Violation } from './rules.js';
import type { AtServer, Schedule, Setting, Step } from './schedule.js';
import { BOUND, POLICY, Process, Server, STORE_TIMEOUT } from './simulation.js';
import { microtasks, START, useVirtualTimers, VirtualTime } from './virtual-time.js';

/** Short, so that few steps lead over it. At most a quarter of the idle timeouts. */
const ACTIVITY_INTERVAL = 10_000;
/** Most sessions of one run. */
const MOST_SESSIONS = 6;

export interface Outcome {
  readonly violations: readonly Violation[];
  readonly accepted: number;
  readonly refused: number;
}

export async function play({ setting, steps }: Schedule, rules: readonly Rule[]): Promise<Outcome> {
  const run = new Run(setting, new Set(rules));
  for (const step of steps) {
    await run.take(step);
    await microtasks();
    if (run.rules.violations.length > 0) break;
  }
  if (run.rules.violations.length === 0) await run.heal();
  const { violations, accepted, refused } = run.rules;
  return { violations, accepted, refused };
}

const USERS = [sessionUser('https://id.example.com/', 'ann'), sessionUser('https://id.example.com/', 'bob')];
const HANDLES = USERS.map((user) =>
  Array.from({ length: MOST_SESSIONS }, (_, index) => sessionHandle(user, `s${index}`)),
);

type Life = ReturnType<Rules['began']>;

class Run {
  readonly rules: Rules;
  readonly #setting: Setting;
  readonly #policy: SessionPolicy;
  readonly #time = new VirtualTime();
  readonly #server: Server;
  readonly #lives: Life[] = [];
  readonly #sessions: Session[] = [];
  readonly #untracked = new Set<string>();
  #restore: (() => void) | null = null;
  #isDown = false;
  readonly #parted = new Set<number>();
  #open = 0;

  constructor(setting: Setting, rules: ReadonlySet<Rule>) {
    useVirtualTimers();
    this.#setting = setting;
    this.#server = new Server();
    const { idleTimeout, maxSessions, atSessionLimit } = setting;
    this.#policy = { ...POLICY, idleTimeout, maxSessions, atSessionLimit };
    this.rules = new Rules(setting, this.#server, () => this.#time.elapsed, rules);
    for (let index = 0; index < setting.processes; index += 1) this.#lives.push(this.#begin());
    this.#signIn(0, START - 60_000);
    this.#signIn(0, START - 30_000);
    this.#signIn(1, START - 60_000);
  }

  async take(taken: Step): Promise<void> {
    // A smaller fleet may be tried with the same steps.
    const step = 'process' in taken ? { ...taken, process: taken.process % this.#lives.length } : taken;
    switch (step.do) {
      case 'request':
        void this.#request(this.#lives[step.process]!, this.#sessionAt(step.session), step.fresh, step.old);
        return;
      case 'use':
        await this.#use(this.#lives[step.process]!, this.#sessionAt(step.session), step);
        return;
      case 'revoke':
        this.#revoke(step.process, this.#sessionAt(step.session), step.withToken);
        return;
      case 'revokeAll':
        this.#revokeAll(step.process, this.#sessionAt(step.session), step.except);
        return;
      case 'endEverywhere':
        this.#endEverywhere(step.process);
        return;
      case 'expireTokens':
        this.#expireTokens(step.process, this.#sessionAt(step.session));
        return;
      case 'signIn':
        if (this.#sessions.length < MOST_SESSIONS) this.#signIn(step.session % 3 === 2 ? 1 : 0, this.#time.clock.now());
        return;
      case 'refresh':
        this.#refresh(this.#sessionAt(step.session));
        return;
      case 'advance':
        await this.#time.advance(step.ms);
        return;
      case 'clock':
        this.rules.hasSetClocks = true;
        (this.#lives[step.process]?.process ?? this.#server).ahead = step.ahead;
        return;
      case 'restart':
        await this.#restart(step.process);
        return;
      case 'commands':
      case 'feed':
      case 'round':
      case 'cut':
      case 'cutFeed':
      case 'settle':
      case 'hear':
      case 'part':
      case 'join':
        await this.#onNetwork(step.do, step.process, 'choice' in step ? step.choice : 0);
        return;
      default:
        this.#onServer(step.do);
    }
  }

  async #onNetwork(what: string, index: number, choice: number): Promise<void> {
    const { process } = this.#lives[index]!;
    const { wire, feedWire, feed } = process;
    switch (what) {
      case 'commands':
        wire.step(choice);
        return;
      case 'feed':
        feedWire.step(choice);
        return;
      case 'round':
        feed.round();
        return;
      case 'settle':
        await process.drain('wire');
        return;
      case 'hear':
        feed.round();
        await process.drain('feedWire');
        return;
      case 'cut':
        wire.cut();
        return;
      case 'cutFeed':
        feedWire.cut();
        return;
      case 'part':
        this.#parted.add(index);
        this.#connect();
        return;
      case 'join':
        this.#parted.delete(index);
        this.#connect();
    }
  }

  #onServer(what: AtServer): void {
    const server = this.#server;
    switch (what) {
      case 'trim':
        server.trim();
        return;
      case 'flush':
        server.flush();
        this.rules.flushed();
        return;
      case 'snapshot': {
        const snapshot = server.snapshot();
        const lose = this.rules.snapshot();
        this.#restore = () => {
          server.restore(snapshot);
          lose();
        };
        return;
      }
      case 'restore':
        // It is started again, so every connection is cut.
        if (this.#restore === null) return;
        for (const { process } of this.#lives) {
          process.wire.cut();
          process.feedWire.cut();
        }
        this.#restore();
        return;
      case 'fill':
      case 'empty':
        server.isFull = what === 'fill';
        return;
      case 'down':
      case 'up':
        this.#isDown = what === 'down';
        this.#connect();
    }
  }

  #connect(): void {
    for (const [index, { process }] of this.#lives.entries()) {
      const isBroken = this.#isDown || this.#parted.has(index);
      for (const wire of [process.wire, process.feedWire]) {
        wire.isBroken = isBroken;
        if (isBroken) wire.cut();
      }
    }
  }

  #begin(): Life {
    const { whenStoreDown } = this.#setting;
    let life: Life | undefined;
    const process = new Process(0, this.#server, this.#time, {
      policyOf: () => this.#policy,
      activityInterval: ACTIVITY_INTERVAL,
      whenStoreDown,
      entryLimit: 16,
      track: ({ handle }) => !this.#untracked.has(handle),
      onGap: () => {
        if (life !== undefined) this.rules.noticed(life);
      },
      onEvent: (name, event) => {
        if (life !== undefined) this.rules.told(life, name, event);
      },
    });
    return (life = this.rules.began(process));
  }

  /** It ends without a word, and begins anew. */
  async #restart(index: number): Promise<void> {
    const life = this.#lives[index]!;
    const { process } = life;
    this.rules.died(life);
    for (const wire of [process.wire, process.feedWire]) {
      wire.isBroken = true;
      wire.cut();
    }
    await process.ledger.close();
    const next = this.#begin();
    next.process.ahead = process.ahead;
    this.#lives[index] = next;
    this.#connect();
  }

  // Sessions and their tokens

  #sessionAt(index: number): Session {
    return this.#sessions[index % this.#sessions.length]!;
  }

  #signIn(which: number, at: number): void {
    const user = USERS[which]!;
    const count = this.#sessions.length;
    const isTracked = !this.#setting.someUntracked || count % 2 === 0;
    const handle = HANDLES[which]![count]!;
    if (!isTracked) this.#untracked.add(handle);
    const session: Session = { name: `${user.subject}-${count}`, handle, userKey: user.key, isTracked, tokens: [] };
    session.tokens.push(this.#token(session, user, at));
    this.#sessions.push(session);
    this.rules.add(session);
  }

  #refresh(session: Session): void {
    session.tokens.push(this.#token(session, session.tokens[0]!.user, this.#time.clock.now()));
  }

  /** Tokens count whole seconds, by the clock of the issuer, which is right. */
  #token({ handle }: Session, user: VerifiedToken['user'], at: number): VerifiedToken {
    const { began, lifetime, tokenFor } = this.#setting;
    const issuedAt = Math.floor(at / 1000) * 1000;
    const beganAt = began === 'iat' ? issuedAt : null;
    const expiresAt = Math.max(issuedAt, START) + tokenFor;
    const times = { beganAt, expiresAt, lifetime, sessionEndsAt: null, issuedAt };
    return { user, handle, app: null, actor: null, claims: {}, profile: {}, scopes: [], times };
  }

  /** The newest token that the process finds good, or an older one. */
  #present({ process }: Life, session: Session, old: boolean): VerifiedToken | undefined {
    const isGood = ({ times }: VerifiedToken): boolean =>
      times.expiresAt! > Math.max(process.now(), this.#time.clock.now());
    if (!isGood(session.tokens.at(-1)!)) this.#refresh(session);
    return old ? session.tokens.find(isGood) : session.tokens.filter(isGood).at(-1);
  }

  // What people and administrators do

  #request(life: Life, session: Session, fresh: boolean, old = false): Promise<'live' | Error> | undefined {
    const token = this.#present(life, session, old);
    if (token === undefined) return;
    const asked = this.rules.asked(life, session, token, fresh);
    this.#open += 1;
    const answered = life.process.request(token, asked.at, fresh);
    return answered.then(
      (answer) => {
        this.#open -= 1;
        this.rules.answered(asked, answer);
        // The client gets a new one, and tries again.
        const isStale = answer !== 'live' && answer.code === 'token_stale';
        if (isStale && session.tokens.at(-1) === token) this.#refresh(session);
        return answer;
      },
      (error: unknown) => {
        this.#open -= 1;
        this.rules.violate('answers', `a request fails with ${String(error)}`);
        return error as Error;
      },
    );
  }

  async #use(life: Life, session: Session, { times, every }: { times: number; every: number }): Promise<void> {
    for (let count = 0; count < times; count += 1) {
      void this.#request(life, session, false);
      life.process.feed.round();
      await life.process.settle();
      await this.#time.advance(every);
    }
  }

  #revoke(index: number, session: Session, withToken: boolean): void {
    const { process } = this.#lives[index]!;
    const { user, handle, times } = session.tokens.at(-1)!;
    const request = { handle, reason: 'signed_out', by: null, ...(withToken ? { token: times } : {}) };
    this.#acknowledge(process, `revoke ${handle}`, process.ledger.revoke(user, request));
  }

  #revokeAll(index: number, session: Session, except: boolean): void {
    const { process } = this.#lives[index]!;
    const { user, handle } = session.tokens[0]!;
    const request = {
      except: except ? handle : null,
      reason: except ? 'signed_out_others' : 'signed_out_all',
      by: null,
    };
    this.#acknowledge(
      process,
      `revokeAll ${user.key} ${String(request.except)}`,
      process.ledger.revokeAll(user, request),
    );
  }

  #endEverywhere(index: number): void {
    const { process } = this.#lives[index]!;
    this.#acknowledge(process, 'endEverywhere', process.ledger.endEverywhere({ reason: 'incident', by: null }));
  }

  #expireTokens(index: number, session: Session): void {
    const { process } = this.#lives[index]!;
    const { user } = session.tokens[0]!;
    const done = process.ledger.expireTokens(user, { reason: 'role_removed', by: null });
    this.#acknowledge(process, `expireTokens ${user.key}`, done);
  }

  #acknowledge(process: Process, order: string, done: Promise<unknown>): void {
    done.then(
      (outcome) => {
        if (outcome !== 'unknown') this.rules.acknowledged(process, order);
      },
      () => undefined,
    );
  }

  // In the end

  /** All faults end. The clocks stay as they are. What is promised holds then, also in a process that knows nothing. */
  async heal(): Promise<void> {
    this.#server.isFull = false;
    this.#isDown = false;
    this.#parted.clear();
    this.#connect();
    const until = this.#time.elapsed + BOUND + ACTIVITY_INTERVAL + 2 * STORE_TIMEOUT;
    // Often enough for the feeds to stay fresh.
    while (this.#time.elapsed < until) {
      for (const { process } of this.#lives) await process.round();
      await this.#time.advance(BOUND / 2);
    }
    for (const { process } of this.#lives) await process.round();
    const shown = new Map<Life, SessionRecord[]>();
    for (const life of this.#lives) shown.set(life, await this.#listed(life));
    this.#lives.push(this.#begin());
    await this.#lives.at(-1)!.process.round();
    const isLive = new Map<Session, boolean>();
    const recorded = new Map(this.rules.recorded);
    const known = this.rules.knownEnded();
    for (const session of this.#sessions) {
      for (const token of session.tokens.filter((each) => this.rules.isKnownStale(session, each))) {
        for (const life of this.#lives) {
          const answer = life.process.request(token, life.process.now());
          await life.process.settle();
          this.rules.healedStale(session, await answer);
        }
      }
      if (this.rules.mayBeStale(session, session.tokens.at(-1)!)) this.#refresh(session);
      // A clock that is ahead may have made the next tokens stale too.
      if (this.rules.mayBeStale(session, session.tokens.at(-1)!)) continue;
      const answers = [];
      for (const life of this.#lives) {
        const answer = this.#request(life, session, false);
        await life.process.settle();
        if (answer !== undefined) answers.push(await answer);
      }
      this.rules.healed(session, session.tokens.at(-1)!, known.get(session.handle), answers as never);
      // Processes may differ about what only some of them know.
      if (known.get(session.handle) !== 'unnoticed')
        isLive.set(
          session,
          answers.every((answer) => answer === 'live'),
        );
    }
    for (const [life, records] of shown) this.rules.listed(life, records, isLive, recorded, known);
    if (this.#open > 0) this.rules.violate('answers', `${this.#open} requests got no answer`);
  }
  async #listed({ process }: Life): Promise<SessionRecord[]> {
    const pages = USERS.map((user) => process.ledger.list(user, { limit: 50, cursor: null }));
    await process.settle();
    return (await Promise.all(pages)).flatMap(({ sessions }) => sessions);
  }
}
