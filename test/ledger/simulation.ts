/**
 * Several ledgers on one store, over a network that does what a schedule says: every command, half of a command, reply
 * and feed round happens when the schedule lets it. Time is virtual.
 */

import type { GlobalCutoff } from '../../lib/core/cutoff.js';
import { LoginError } from '../../lib/core/errors.js';
import type { SessionPolicy } from '../../lib/core/policy.js';
import { sessionHandle, sessionUser, type SessionUser } from '../../lib/core/session.js';
import type { StoreCall } from '../../lib/diagnostics.js';
import { Ledger, type LedgerOptions } from '../../lib/ledger/ledger.js';
import { memoryStore } from '../../lib/stores/memory.js';
import type {
  EndEverywhereRequest,
  ExpireTokensRequest,
  FeedListener,
  Notice,
  RevocationFeed,
  RevokeAllRequest,
  SessionStore,
} from '../../lib/stores/store.js';
import type { VerifiedToken } from '../../lib/tokens/verify.js';
import { microtasks, setMachineClock, START, VirtualTime } from './virtual-time.js';

export const BOUND = 5_000;
export const STORE_TIMEOUT = 1_000;
export const ACTIVITY_INTERVAL = 60_000;

export const POLICY: SessionPolicy = {
  idleTimeout: null,
  clockTolerance: 5_000,
  tombstoneFor: 86_400_000,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
};

interface Message {
  /** What is left to happen at the server, in order; empty: the reply is on its way. */
  readonly atServer: (() => unknown)[];
  readonly deliver: () => void;
  readonly fail: (error: Error) => void;
}

/** One command of a store object. */
export interface Operation {
  /** The store object. */
  readonly origin: string;
  readonly sentAt: number;
  readonly name: StoreCall['operation'];
  readonly perform: (server: Server) => unknown;
  /** What the command is about, for whoever watches. */
  readonly about: readonly unknown[];
}

interface Entry {
  readonly id: number;
  readonly notice: Notice;
}

/** What a server that is started again from it knows. */
interface Snapshot {
  readonly log: readonly Logged[];
  readonly stream: readonly Entry[];
  readonly lastId: number;
  readonly epoch: number;
  readonly counter: number;
  readonly globalCutoff: GlobalCutoff | null;
}

interface Logged {
  readonly operation: Operation;
  readonly at: number;
}

/** The truth: one store, and the stream that tells of its revocations. */
export class Server {
  /** How far its clock is ahead, in milliseconds. */
  ahead = 0;
  /** Memory is full: writes are refused. */
  isFull = false;
  stream: Entry[] = [];
  epoch = 0;
  counter = 0;
  /** Of the last entry. No two entries have the same, whatever was lost between them. */
  lastId = 0;
  /** Kept beside the sessions, which are judged without it: what a process knows of it must do. */
  globalCutoff: GlobalCutoff | null = null;
  /** Told of what a process is told that it ended. */
  onTold: (origin: string, notices: readonly Notice[]) => void = () => undefined;
  /** Told of each command after it was performed, with what it announced. */
  onPerformed: (operation: Operation, answer: unknown, notices: readonly Notice[]) => void = () => undefined;
  readonly #time = new VirtualTime();
  #store!: SessionStore;
  #written: Notice[] = [];
  #log: Logged[] = [];
  #ids = 0;
  readonly #refused = Promise.reject(new Error('OOM'));
  /** The moment of a command that is performed again. */
  #again: number | null = null;

  constructor() {
    setMachineClock(() => this.now());
    this.#refused.catch(() => undefined);
    this.flush();
  }

  get store(): SessionStore {
    return this.#store;
  }

  now(): number {
    return this.#again ?? this.#time.clock.now() + this.ahead;
  }

  perform(operation: Operation): { answer: unknown; notices: Notice[] } {
    if (this.isFull && !READS.has(operation.name)) return { answer: this.#refused, notices: [] };
    this.#log.push({ operation, at: this.now() });
    const performed = this.#act(operation);
    this.onPerformed(operation, performed.answer, performed.notices);
    return performed;
  }

  /** Everything is lost. */
  flush(): void {
    this.#empty();
    this.stream = [];
    this.epoch += 1;
    this.counter = 0;
    this.lastId = 0;
    this.globalCutoff = null;
  }

  snapshot(): Snapshot {
    const { stream, lastId, epoch, counter, globalCutoff } = this;
    return { log: [...this.#log], stream: [...stream], lastId, epoch, counter, globalCutoff };
  }

  /** It is what it was then: started from its file, or a replica that was not told of what came later. */
  restore({ log, stream, lastId, epoch, counter, globalCutoff }: Snapshot): void {
    this.#empty();
    this.globalCutoff = null;
    for (const { operation, at } of log) {
      this.#again = at;
      this.#act(operation);
    }
    this.#again = null;
    this.#log = [...log];
    this.stream = [...stream];
    Object.assign(this, { lastId, epoch, counter, globalCutoff });
  }

  /** The later of what stands and what a process knows, which is so written back. */
  standingGlobalCutoff(known: GlobalCutoff | null): GlobalCutoff | null {
    if (known !== null && known.at > (this.globalCutoff?.at ?? 0)) this.globalCutoff = known;
    return this.globalCutoff;
  }

  /** Dated by the earlier of its clock and that of the process. */
  revokeAll(user: SessionUser, request: RevokeAllRequest): Promise<{ readonly ended: number }> {
    return this.#store.revokeAll(user, { ...request, at: Math.min(request.at, this.now()) });
  }

  expireTokens(user: SessionUser, request: ExpireTokensRequest): Promise<void> {
    return this.#store.expireTokens(user, { ...request, at: Math.min(request.at, this.now()) });
  }

  endEverywhere({ reason, by }: EndEverywhereRequest, known: GlobalCutoff | null, origin: string): GlobalCutoff | null {
    const at = Math.max(this.now(), (this.standingGlobalCutoff(known)?.at ?? 0) + 1);
    return this.standingGlobalCutoff({ at, reason, by, origin });
  }

  trim(): void {
    this.stream = [];
  }

  publish(notices: readonly Notice[]): void {
    for (const notice of notices) {
      this.counter += 1;
      this.lastId = this.#ids += 1;
      this.stream.push({ id: this.lastId, notice });
    }
  }

  #act(operation: Operation): { answer: unknown; notices: Notice[] } {
    // What is written from now on is written by this store object.
    (this.#store as { origin: string }).origin = operation.origin;
    this.#written = [];
    return { answer: operation.perform(this), notices: this.#written };
  }

  #empty(): void {
    this.#log = [];
    this.#store = memoryStore();
    this.#store.configure({ storeTimeout: STORE_TIMEOUT, revocationBound: BOUND });
    this.#store.feed({
      notice: (notice) => this.#written.push(notice),
      globalCutoff: () => undefined,
      gap: () => undefined,
    });
  }
}

const READS: ReadonlySet<Operation['name']> = new Set(['list', 'get', 'catchUp', 'isMessageUsed']);

class Wire {
  messages: Message[] = [];
  /** Whatever is sent is lost. */
  isBroken = false;

  push(message: Message): void {
    if (this.isBroken) message.fail(new Error('refused'));
    else this.messages.push(message);
  }

  /** First the operation, then what it announces, then the reply. */
  send(server: Server, operation: Operation): Promise<{ answer: unknown; notices: Notice[] }> {
    return new Promise((resolve, reject) => {
      let answer: unknown;
      let notices: Notice[] = [];
      const atServer = [
        () => {
          ({ answer, notices } = server.perform(operation));
        },
        () => {
          server.publish(notices);
        },
      ];
      const deliver = (): void => {
        Promise.resolve(answer).then((value) => resolve({ answer: value, notices }), reject);
      };
      this.push({ atServer, deliver, fail: reject });
    });
  }

  step(choice: number): void {
    if (this.messages.length === 0) return;
    const index = choice % this.messages.length;
    const message = this.messages[index];
    const next = message?.atServer.shift();
    if (next !== undefined) next();
    else this.messages.splice(index, 1)[0]?.deliver();
  }

  cut(): void {
    for (const message of this.messages.splice(0)) message.fail(new Error('cut'));
  }
}

/** What a process knows of the global cutoff. */
class KnownGlobalCutoff {
  cutoff: GlobalCutoff | null = null;
  listener!: FeedListener;

  learn(cutoff: GlobalCutoff | null): void {
    if (cutoff === null || cutoff.at <= (this.cutoff?.at ?? 0)) return;
    this.cutoff = cutoff;
    this.listener.globalCutoff(cutoff);
  }
}

interface Reading {
  readonly epoch: number;
  readonly counter: number;
  readonly lastId: number;
  readonly stream: readonly Entry[];
}

/** Reads the stream by the rule of the real feed: a round counts by epoch, counter, and the entry on which the last one ended. */
class SimulatedFeed implements RevocationFeed {
  readonly #server: Server;
  readonly #time: VirtualTime;
  readonly #listener: FeedListener;
  readonly #wire: Wire;
  readonly #globalCutoff: KnownGlobalCutoff;
  #base: Omit<Reading, 'stream'> | null = null;
  #freshAt = -Infinity;
  #inFlight = false;

  constructor(server: Server, time: VirtualTime, wire: Wire, listener: FeedListener, globalCutoff: KnownGlobalCutoff) {
    this.#globalCutoff = globalCutoff;
    this.#server = server;
    this.#time = time;
    this.#listener = listener;
    this.#wire = wire;
  }

  round(): void {
    if (this.#inFlight) return;
    this.#inFlight = true;
    const sentAt = this.#time.monotonic();
    let seen: Reading;
    let globalCutoff: GlobalCutoff | null = null;
    this.#wire.push({
      atServer: [
        () => {
          const { epoch, counter, lastId, stream } = this.#server;
          globalCutoff = this.#server.standingGlobalCutoff(this.#globalCutoff.cutoff);
          seen = { epoch, counter, lastId, stream: [...stream] };
        },
      ],
      deliver: () => {
        this.#inFlight = false;
        this.#globalCutoff.learn(globalCutoff);
        this.#judge(seen, sentAt);
      },
      fail: () => {
        this.#inFlight = false;
      },
    });
  }

  #judge({ stream, ...seen }: Reading, sentAt: number): void {
    const base = this.#base;
    this.#base = seen;
    this.#freshAt = sentAt;
    if (base === null) return;
    const isThere = base.lastId === seen.lastId || base.lastId === 0 || stream.some(({ id }) => id === base.lastId);
    const entries = stream.filter(({ id }) => id > base.lastId);
    const counts = base.epoch === seen.epoch && base.counter + entries.length === seen.counter;
    if (counts && isThere) for (const { notice } of entries) this.#listener.notice(notice);
    else this.#listener.gap('test');
  }

  age(): number {
    return this.#time.monotonic() - this.#freshAt;
  }

  lastError(): Error | null {
    return null;
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }
}

let processesMade = 0;

export interface ProcessSettings extends Partial<LedgerOptions> {
  /** Told when the feed has noticed that it missed something. */
  readonly onGap?: () => void;
  /** Told of each event as it is emitted. */
  readonly onEvent?: (name: string, event: unknown) => void;
}

export class Process {
  /** How far its clock is ahead, in milliseconds. */
  ahead = 0;
  readonly wire = new Wire();
  readonly feedWire = new Wire();
  readonly ledger: Ledger;
  readonly origin: string;
  feed!: SimulatedFeed;
  readonly events: { name: string; event: unknown }[] = [];
  readonly #time: VirtualTime;

  constructor(_index: number, server: Server, time: VirtualTime, { onEvent, onGap, ...options }: ProcessSettings = {}) {
    this.#time = time;
    processesMade += 1;
    this.origin = `process-${String(processesMade)}`;
    this.ledger = new Ledger({
      store: this.#store(server, onGap),
      clock: { now: () => this.now() },
      monotonic: time.monotonic,
      random: () => 0,
      policyOf: () => POLICY,
      revocationBound: BOUND,
      activityInterval: ACTIVITY_INTERVAL,
      storeTimeout: STORE_TIMEOUT,
      whenStoreDown: 'refuse',
      emit: (name, event) => {
        this.events.push({ name, event });
        onEvent?.(name, event);
      },
      ...options,
    });
  }

  now(): number {
    return this.#time.clock.now() + this.ahead;
  }

  #store(server: Server, onGap = (): void => undefined): SessionStore {
    const { wire, origin } = this;
    const globalCutoff = new KnownGlobalCutoff();
    let listener: FeedListener;
    const send = async <Answer>(
      name: Operation['name'],
      about: readonly unknown[],
      perform: (server: Server) => Answer,
    ): Promise<Awaited<Answer>> => {
      const { answer, notices } = await wire.send(server, { origin, sentAt: this.#time.elapsed, name, about, perform });
      server.onTold(origin, notices);
      for (const notice of notices) listener.notice(notice);
      return answer as Awaited<Answer>;
    };
    return {
      origin,
      configure: () => undefined,
      sight: (user, request) => send('sight', [user, request], ({ store }) => store.sight(user, request)),
      list: (user, request) => send('list', [user, request], ({ store }) => store.list(user, request)),
      get: (...about) => send('get', about, ({ store }) => store.get(...about)),
      label: (...about) => send('label', about, ({ store }) => store.label(...about)),
      revoke: (user, request) => send('revoke', [user, request], ({ store }) => store.revoke(user, request)),
      endIndexed: (...about) => send('endIndexed', about, ({ store }) => store.endIndexed(...about)),
      revokeAll: (user, request) => send('revokeAll', [user, request], (to) => to.revokeAll(user, request)),
      erase: (user, request) => send('erase', [user, request], ({ store }) => store.erase(user, request)),
      expireTokens: (user, request) => send('expireTokens', [user, request], (to) => to.expireTokens(user, request)),
      restore: (user, known) => send('restore', [user, known], ({ store }) => store.restore(user, known)),
      endEverywhere: async (request) => {
        const { cutoff } = globalCutoff;
        globalCutoff.learn(await send('endEverywhere', [request], (to) => to.endEverywhere(request, cutoff, origin)));
      },
      isMessageUsed: (...about) => send('isMessageUsed', about, ({ store }) => store.isMessageUsed(...about)),
      useMessage: (...about) => send('useMessage', about, ({ store }) => store.useMessage(...about)),
      catchUp: async () => {
        const { cutoff } = globalCutoff;
        globalCutoff.learn(await send('catchUp', [], (to) => to.standingGlobalCutoff(cutoff)));
      },
      feed: (listening) => {
        const gap = (cause: string): void => {
          onGap();
          listening.gap(cause);
        };
        const told = { notice: listening.notice, globalCutoff: listening.globalCutoff, gap };
        listener = told;
        globalCutoff.listener = told;
        this.feed = new SimulatedFeed(server, this.#time, this.feedWire, told, globalCutoff);
        return this.feed;
      },
      health: () => ({ ok: true, age: 0, lastError: null }),
      close: async () => {
        await Promise.resolve();
      },
    };
  }

  /** Resolves to how the request fared. */
  async request(token: VerifiedToken, now: number, fresh = false): Promise<'live' | LoginError> {
    try {
      await this.ledger.judge(token, { at: now, ip: null, userAgent: null }, fresh);
      return 'live';
    } catch (error) {
      if (error instanceof LoginError) return error;
      throw error;
    }
  }

  /** Everything on its way arrives, and what that causes too. */
  async settle(): Promise<void> {
    await microtasks();
    while (this.wire.messages.length > 0 || this.feedWire.messages.length > 0) {
      this.wire.step(0);
      this.feedWire.step(0);
      await microtasks();
    }
  }

  /** What is on its way now arrives, on one of the two connections. */
  async drain(connection: 'wire' | 'feedWire'): Promise<void> {
    while (this[connection].messages.length > 0) {
      this[connection].step(0);
      await microtasks();
    }
  }

  async round(): Promise<void> {
    this.feed.round();
    await this.settle();
  }
}

/** A verified token of a session that began `age` milliseconds before virtual time did. */
export function token(
  subject: string,
  session: string,
  times: { beganAt?: number | null; expiresAt?: number; lifetime?: number | null } = {},
): VerifiedToken {
  const user = sessionUser('https://id.example.com/', subject);
  return {
    user,
    handle: sessionHandle(user, session),
    app: null,
    actor: null,
    claims: { sub: subject, sid: session },
    profile: {},
    scopes: [],
    times: {
      beganAt: times.beganAt === undefined ? START - 60_000 : times.beganAt,
      expiresAt: times.expiresAt ?? START + 30 * 86_400_000,
      lifetime: times.lifetime ?? null,
      sessionEndsAt: null,
    },
  };
}
