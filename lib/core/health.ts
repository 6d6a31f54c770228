/** Whether a part of the package works: the store, the feed, an issuer's keys. */

import { wordsOf } from './hooks.js';

/** As a part of the package knows it, such as a store. */
export interface PartHealth {
  readonly ok: boolean;
  /** Milliseconds since it last succeeded; `Infinity` before the first time. */
  readonly age: number;
  /** Why it last failed; null once it has succeeded again. */
  readonly lastError: Error | null;
}

/** As `health()` reports it: plain data, of which `JSON.stringify` loses nothing. */
export interface Health {
  readonly ok: boolean;
  /** Milliseconds since it last succeeded; null if it never has. */
  readonly age: number | null;
  /** Why it last failed, in words; null once it has succeeded again. */
  readonly lastError: string | null;
}

export interface HealthReport {
  /**
   * `ok` if the last command to the store succeeded; `age` is the time since then. Not `ok` if Redis is older than 6.2. If
   * Redis may evict ended sessions, `lastError` says so, and `ok` stays as it is.
   */
  readonly store: Health;
  /** `ok` if every acknowledged revocation older than the bound is in force here; `age` is that of the last round. */
  readonly feed: Health;
  /**
   * `ok` if tokens of every issuer can be verified; `age` is that of the oldest key set. If `issuer` is a function: not `ok`
   * for 30 s after it failed, unless it has answered since or any issuer is known; `age` is the time since it last answered.
   */
  readonly keys: Health;
  /** The number of sessions that this process knows to be live. */
  readonly sessions: number;
}

interface PartsHealth {
  readonly store: PartHealth;
  readonly feed: PartHealth;
  readonly keys: PartHealth;
  readonly sessions: number;
}

/** After `close()` nothing is `ok`: a readiness probe must then send no more requests to this process. */
export function healthReport({ store, feed, keys, sessions }: PartsHealth, isClosed: boolean): HealthReport {
  return {
    store: reported(store, isClosed),
    feed: reported(feed, isClosed),
    keys: reported(keys, isClosed),
    sessions,
  };
}

function reported({ ok, age, lastError }: PartHealth, isClosed: boolean): Health {
  const error = lastError === null ? null : wordsOf(lastError);
  return {
    ok: ok && !isClosed,
    age: Number.isFinite(age) ? age : null,
    lastError: isClosed ? 'This managedSessions() is closed' : error,
  };
}

/** Of parts that all must work. */
export function worstOf(parts: readonly PartHealth[]): PartHealth {
  return {
    ok: parts.every(({ ok }) => ok),
    age: Math.max(...parts.map(({ age }) => age)),
    lastError: parts.find(({ lastError }) => lastError !== null)?.lastError ?? null,
  };
}
