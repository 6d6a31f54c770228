/**
 * Several ledgers on one store, over a network that does what a schedule says: every command, half of a command, reply
 * and feed round happens when the schedule lets it. Time is virtual.
 */

import { LoginError } from '../../lib/core/errors.js';
import type { SessionPolicy } from '../../lib/core/policy.js';
import type { GlobalCutoff } from '../../lib/core/record.js';
import { sessionHandle, sessionUser } from '../../lib/core/session.js';
import { Ledger, type LedgerOptions } from '../../lib/ledger/ledger.js';
import { memoryStore } from '../../lib/stores/memory.js';
import type { FeedListener, Notice, RevocationFeed, SessionStore } from '../../lib/stores/store.js';
import type { VerifiedToken } from '../../lib/tokens/verify.js';

export const BOUND = 5_000;
export const STORE_TIMEOUT = 1_000;
export const ACTIVITY_INTERVAL = 60_000;
const STARTED = Date.UTC(2026, 0, 1);

export const POLICY: SessionPolicy = {
  idleTimeout: null,
  clockTolerance: 5_000,
  tombstoneFor: 86_400_000,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
};

export class VirtualTime {
  elapsed = 0;
  readonly clock = { now: (): number => STARTED + this.elapsed };
  readonly monotonic = (): number => this.elapsed;

  async advance(ms: number): Promise<void> {
    // In steps, so that a timer sees about the time at which it fires; days in a thousand of them.
    const most = Math.max(250, ms / 1000);
    for (let left = ms; left > 0; left -= most) {
      const step = Math.min(most, left);
      this.elapsed += step;
      await jest.advanceTimersByTimeAsync(step);
    }
  }
}

interface Message {
  /** What is left to happen at the server, in order; empty: the reply is on its way. */
  readonly atServer: (() => unknown)[];
  readonly deliver: () => void;
  readonly fail: (error: Error) => void;
}

/** The truth: one store, and the stream that tells of its revocations. */
export class Server {
  #store!: SessionStore;
  #written: Notice[] = [];
  stream: { readonly id: number; readonly notice: Notice }[] = [];
  epoch = 0;
  counter = 0;
  /** Kept beside the sessions, which are judged without it: what a process knows of it must do. */
  globalCutoff: GlobalCutoff | null = null;

  constructor() {
    this.flush();
  }

  get store(): SessionStore {
    return this.#store;
  }

  /** What is written from now on is written by this store object. */
  actFor(origin: string): void {
    Object.assign(this.#store, { origin });
  }

  /** Everything is lost. */
  flush(): void {
    this.#store = memoryStore();
    this.#store.configure({ storeTimeout: STORE_TIMEOUT, revocationBound: BOUND });
    this.#store.feed({
      notice: (notice) => this.#written.push(notice),
      globalCutoff: () => undefined,
      gap: () => undefined,
    });
    this.#written = [];
    this.stream = [];
    this.epoch += 1;
    this.counter = 0;
    this.globalCutoff = null;
  }

  /** The later of what stands and what a process knows, which is so written back. */
  standingGlobalCutoff(known: GlobalCutoff | null): GlobalCutoff | null {
    if (known !== null && known.at > (this.globalCutoff?.at ?? 0)) this.globalCutoff = known;
    return this.globalCutoff;
  }

  trim(): void {
    this.stream = [];
  }

  /** What the last operation announced, taken away. */
  announced(): Notice[] {
    return this.#written.splice(0);
  }

  publish(notices: readonly Notice[]): void {
    for (const notice of notices) {
      this.counter += 1;
      this.stream.push({ id: this.counter, notice });
    }
  }
}

class Wire {
  messages: Message[] = [];

  /** First the operation, then what it announces, then the reply. */
  send<Answer>(
    server: Server,
    origin: string,
    operation: (store: SessionStore) => Promise<Answer> | Answer,
  ): Promise<{ answer: Answer; notices: Notice[] }> {
    return new Promise((resolve, reject) => {
      let answer: Promise<Answer> | Answer;
      let notices: Notice[] = [];
      this.messages.push({
        atServer: [
          () => {
            server.actFor(origin);
            answer = operation(server.store);
            notices = server.announced();
            if (notices.length === 0) return;
            return true;
          },
          () => {
            server.publish(notices);
          },
        ],
        deliver: () => {
          Promise.resolve(answer).then((value) => {
            resolve({ answer: value, notices });
          }, reject);
        },
        fail: reject,
      });
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

/** Reads the stream by the rule of the real feed: a round counts by epoch and counter. */
class SimulatedFeed implements RevocationFeed {
  readonly #server: Server;
  readonly #time: VirtualTime;
  readonly #listener: FeedListener;
  readonly #owner: number;
  readonly #wire: Wire;
  readonly #globalCutoff: KnownGlobalCutoff;
  #base: { epoch: number; counter: number } | null = null;
  #freshAt = -Infinity;
  #inFlight = false;

  constructor(
    server: Server,
    time: VirtualTime,
    wire: Wire,
    listener: FeedListener,
    globalCutoff: KnownGlobalCutoff,
    owner: number,
  ) {
    this.#globalCutoff = globalCutoff;
    this.#server = server;
    this.#time = time;
    this.#listener = listener;
    this.#wire = wire;
    this.#owner = owner;
  }

  round(): void {
    if (this.#inFlight) return;
    this.#inFlight = true;
    const sentAt = this.#time.monotonic();
    let seen = { epoch: 0, counter: 0, entries: [] as { id: number; notice: Notice }[] };
    let globalCutoff: GlobalCutoff | null = null;
    this.#wire.messages.push({
      atServer: [
        () => {
          const { epoch, counter, stream } = this.#server;
          globalCutoff = this.#server.standingGlobalCutoff(this.#globalCutoff.cutoff);
          seen = { epoch, counter, entries: stream.filter(({ id }) => id > (this.#base?.counter ?? Infinity)) };
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

  #judge(seen: { epoch: number; counter: number; entries: { notice: Notice }[] }, sentAt: number): void {
    const base = this.#base;
    const counts = base !== null && base.epoch === seen.epoch && base.counter + seen.entries.length === seen.counter;
    if (counts) for (const { notice } of seen.entries) this.#listener.notice(notice);
    else if (base !== null) this.#listener.gap('test');
    this.#base = { epoch: seen.epoch, counter: seen.counter };
    this.#freshAt = sentAt;
  }

  get owner(): number {
    return this.#owner;
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

export class Process {
  readonly wire = new Wire();
  readonly feedWire = new Wire();
  readonly ledger: Ledger;
  readonly origin: string;
  feed!: SimulatedFeed;
  readonly events: { name: string; event: unknown }[] = [];

  constructor(index: number, server: Server, time: VirtualTime, options: Partial<LedgerOptions> = {}) {
    const { wire } = this;
    processesMade += 1;
    const origin = `process-${String(processesMade)}`;
    this.origin = origin;
    let listener: FeedListener;
    const globalCutoff = new KnownGlobalCutoff();
    const announce = async <Answer>(operation: (store: SessionStore) => Promise<Answer>): Promise<Answer> => {
      const { answer, notices } = await wire.send(server, origin, operation);
      for (const notice of notices) listener.notice(notice);
      return answer;
    };
    const store: SessionStore = {
      origin,
      configure: () => undefined,
      sight: (user, request) => announce((to) => to.sight(user, request)),
      list: (user, request) => announce((to) => to.list(user, request)),
      get: (user, handle, at, policy) => announce((to) => to.get(user, handle, at, policy)),
      label: (user, handle, label, at, policy) => announce((to) => to.label(user, handle, label, at, policy)),
      revoke: (user, request) => announce((to) => to.revoke(user, request)),
      revokeAll: (user, request) => announce((to) => to.revokeAll(user, request)),
      restore: (user, known) => announce((to) => to.restore(user, known)),
      endEverywhere: async ({ reason, by }) => {
        const { answer } = await wire.send(server, origin, () => {
          const at = Math.max(time.clock.now(), (server.standingGlobalCutoff(globalCutoff.cutoff)?.at ?? 0) + 1);
          return server.standingGlobalCutoff({ at, reason, by, origin });
        });
        globalCutoff.learn(answer);
      },
      catchUp: async () => {
        const { answer } = await wire.send(server, origin, () => server.standingGlobalCutoff(globalCutoff.cutoff));
        globalCutoff.learn(answer);
      },
      feed: (told) => {
        listener = told;
        globalCutoff.listener = told;
        this.feed = new SimulatedFeed(server, time, this.feedWire, told, globalCutoff, index);
        return this.feed;
      },
      health: () => ({ ok: true, age: 0, lastError: null }),
      close: async () => {
        await Promise.resolve();
      },
    };
    this.ledger = new Ledger({
      store,
      clock: time.clock,
      monotonic: time.monotonic,
      random: () => 0,
      policyOf: () => POLICY,
      revocationBound: BOUND,
      activityInterval: ACTIVITY_INTERVAL,
      storeTimeout: STORE_TIMEOUT,
      whenStoreDown: 'refuse',
      emit: (name, event) => {
        this.events.push({ name, event });
      },
      ...options,
    });
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
    for (let turn = 0; turn < 20; turn += 1) {
      while (this.wire.messages.length > 0 || this.feedWire.messages.length > 0) {
        this.wire.step(0);
        this.feedWire.step(0);
        await microtasks();
      }
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

export async function microtasks(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

export function useVirtualTimers(): void {
  jest.useFakeTimers({
    doNotFake: ['setImmediate', 'clearImmediate', 'nextTick', 'queueMicrotask', 'performance', 'Date', 'hrtime'],
  });
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
    claims: { sub: subject, sid: session },
    profile: {},
    scopes: [],
    times: {
      beganAt: times.beganAt === undefined ? STARTED - 60_000 : times.beganAt,
      expiresAt: times.expiresAt ?? STARTED + 30 * 86_400_000,
      lifetime: times.lifetime ?? null,
      sessionEndsAt: null,
    },
  };
}

export const start = STARTED;
