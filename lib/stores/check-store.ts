/** The check of the option `store`. */

import { isObject, kindOf } from '../core/check.js';
import type { SessionStore } from './store.js';

const STORE_METHODS: Readonly<Record<Exclude<keyof SessionStore, 'origin' | 'settlesInTime'>, true>> = {
  configure: true,
  sight: true,
  list: true,
  get: true,
  label: true,
  revoke: true,
  endIndexed: true,
  revokeAll: true,
  erase: true,
  expireTokens: true,
  restore: true,
  endEverywhere: true,
  catchUp: true,
  isMessageUsed: true,
  useMessage: true,
  feed: true,
  health: true,
  close: true,
};

/** Throws a `TypeError` if the option `store` is not a store. */
export function checkStore(store: unknown): void {
  if (store === undefined) return;
  if (!isObject(store)) {
    throw new TypeError(
      `store must be memoryStore(), redisStore(...) or a store of the same contract, got ${kindOf(store)}`,
    );
  }
  const missing = Object.keys(STORE_METHODS).filter((method) => typeof store[method] !== 'function');
  if (missing.length === 0) return;
  const names = missing.map((method) => `${method}()`).join(', ');
  throw new TypeError(`store must have every method of SessionStore, and lacks ${names}`);
}
