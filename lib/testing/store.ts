/** A store for tests: in memory, for any number of `managedSessions()`, with an outage that can be switched on. */

import { aClock, checkOptions, type OptionKinds } from '../core/check.js';
import { elapsedClock } from '../core/elapsed.js';
import { LoginError } from '../core/errors.js';
import { MemoryData, MemoryStore } from '../stores/memory.js';
import type { RevocationFeed, SessionStore } from '../stores/store.js';
import { warnInProduction } from './production.js';

export interface TestStoreOptions {
  /** The clock that `managedSessions()` has, if a test moves it: moved during an outage, it makes the outage longer. */
  readonly clock?: { elapsed(): number };
}

export interface TestStore extends SessionStore {
  /**
   * Another store object on the same data, for another `managedSessions()`: the two then are like two processes on one Redis.
   * An outage and a loss concern all of them.
   */
  connect(): SessionStore;
  /**
   * From now on, every call rejects with `store_unavailable`, and no feed is read. As with Redis, what is known here is
   * answered from memory until `revocationBound` is over: to get there, move the clock.
   */
  down(): void;
  /** The outage is over. Nothing was lost. */
  up(): void;
  /**
   * All data is gone, as after a FLUSHALL, or a failover to an empty replica. Every process notices it, at once or when the
   * outage is over. It then writes back what it knows to be ended, which takes a few turns of the event loop.
   */
  loseEverything(): void;
}

const OPTIONS: OptionKinds<TestStoreOptions> = {
  clock: { accepts: hasElapsed, words: 'a clock of createTestClock()' },
};

/** Throws a `TypeError` if an option is invalid. */
export function createTestStore(options: TestStoreOptions = {}): TestStore {
  checkOptions(options, 'createTestStore()', OPTIONS);
  warnInProduction('createTestStore()');
  const outage = new Outage(options.clock ?? { elapsed: elapsedClock(Date, performance) });
  const data = new MemoryData();
  let isLost = false;
  function lose(): void {
    isLost = outage.isDown;
    if (!isLost) data.lose('The test store lost everything');
  }
  return {
    ...connectTo(data, outage),
    connect: () => connectTo(data, outage),
    down: () => outage.begin(),
    up: () => {
      outage.end();
      if (isLost) lose();
    },
    loseEverything: lose,
  };
}

class Outage {
  readonly #clock: { elapsed(): number };
  #began: { readonly at: number; readonly error: LoginError } | null = null;

  constructor(clock: { elapsed(): number }) {
    this.#clock = clock;
  }

  get isDown(): boolean {
    return this.#began !== null;
  }

  get error(): LoginError | null {
    return this.#began?.error ?? null;
  }

  begin(): void {
    const error = new LoginError('store_unavailable', 'The test store is down');
    this.#began ??= { at: this.#clock.elapsed(), error };
  }

  end(): void {
    this.#began = null;
  }

  /** In milliseconds; 0 if there is none. */
  age(): number {
    return this.#began === null ? 0 : this.#clock.elapsed() - this.#began.at;
  }

  /** The same method, which rejects during an outage. */
  over<Args extends unknown[], Answer>(method: (...args: Args) => Promise<Answer>): (...args: Args) => Promise<Answer> {
    return async (...args) => {
      if (this.#began !== null) throw this.#began.error;
      return method(...args);
    };
  }
}

function connectTo(data: MemoryData, outage: Outage): SessionStore {
  const store = new MemoryStore(data);
  return {
    origin: store.origin,
    configure: store.configure,
    sight: outage.over(store.sight),
    list: outage.over(store.list),
    get: outage.over(store.get),
    label: outage.over(store.label),
    revoke: outage.over(store.revoke),
    endIndexed: outage.over(store.endIndexed),
    revokeAll: outage.over(store.revokeAll),
    erase: outage.over(store.erase),
    expireTokens: outage.over(store.expireTokens),
    restore: outage.over(store.restore),
    endEverywhere: outage.over(store.endEverywhere),
    catchUp: outage.over(store.catchUp),
    isMessageUsed: outage.over(store.isMessageUsed),
    useMessage: outage.over(store.useMessage),
    feed: (listener): RevocationFeed => ({
      ...store.feed(listener),
      age: () => outage.age(),
      lastError: () => outage.error,
    }),
    health: () => ({ ok: !outage.isDown, age: outage.age(), lastError: outage.error }),
    close: store.close,
  };
}

function hasElapsed(value: unknown): boolean {
  return aClock.accepts(value) && typeof value === 'object' && value !== null && 'elapsed' in value;
}
