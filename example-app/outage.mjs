// @ts-check
/** For the demo only: a switch that takes the store away. It returns by itself, because nobody could be let in to switch it on. */

import { LoginError } from 'managed-sessions';

/** What the site itself does with its store. All other members are calls that need it. */
const OWN = new Set(['configure', 'feed', 'health', 'close']);

/**
 * The same store, until `begin()`. For a while, it then behaves like one that cannot be reached: each call rejects, and nothing
 * is heard of what other processes end.
 *
 * @param {import('managed-sessions').SessionStore} store
 * @param {number} seconds how long an outage lasts
 */
export function withOutage(store, seconds) {
  /** When it began, in milliseconds on a monotonic clock. @type {number | null} */
  let since = null;
  let tellOfReturn = () => {};

  function failure() {
    return new LoginError('store_unavailable', 'The store has been taken away for the demo');
  }

  /** @param {(...args: unknown[]) => Promise<unknown>} call */
  function unlessAway(call) {
    return async (/** @type {unknown[]} */ ...args) => {
      if (since !== null) throw failure();
      return call(...args);
    };
  }

  /** @type {import('managed-sessions').SessionStore['feed']} */
  function feed(listener) {
    const told = store.feed({
      notice: (notice) => void (since === null && listener.notice(notice)),
      globalCutoff: (cutoff) => void (since === null && listener.globalCutoff(cutoff)),
      gap: (cause) => listener.gap(cause),
      clock: (now, took) => listener.clock?.(now, took),
      eviction: (policy) => listener.eviction?.(policy),
    });
    tellOfReturn = () => listener.gap('The store was away');
    return {
      age: () => told.age() + (since === null ? 0 : performance.now() - since),
      lastError: () => (since === null ? told.lastError() : failure()),
      close: () => told.close(),
    };
  }

  const calls = Object.entries(store)
    .filter(([name, member]) => typeof member === 'function' && !OWN.has(name))
    .map(([name, call]) => [name, unlessAway(call)]);

  return {
    /** @type {import('managed-sessions').SessionStore} */
    store: {
      ...store,
      ...Object.fromEntries(calls),
      feed,
      health: () => (since === null ? store.health() : { ...store.health(), ok: false, lastError: failure() }),
    },
    /** Does nothing if the store is away already. */
    begin() {
      if (since !== null) return;
      since = performance.now();
      setTimeout(() => {
        since = null;
        tellOfReturn();
      }, seconds * 1000).unref();
    },
    seconds,
    /** In how many seconds the store returns; 0 if it is not away. */
    secondsLeft() {
      return since === null ? 0 : Math.max(1, Math.ceil(seconds - (performance.now() - since) / 1000));
    },
  };
}
