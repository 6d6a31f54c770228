/** Sessions whose signal somebody asked for. A connection may stay open for long without another request. */

import { getEventListeners } from 'node:events';

import { decide, tombstoneUntil, type Standing } from '../core/policy.js';
import type { SessionStore } from '../stores/store.js';
import { callAsync, type Availability } from './availability.js';
import type { Endings } from './endings.js';
import { timesOf } from './knowledge.js';
import type { Entry } from './table.js';

/** The most entries without a listener that are held anyway, because `AbortSignal.any()` does not show as a listener. */
const HELD_UNHEARD = 10_000;

/**
 * Also finds those that the table has evicted. An entry with a listener is held until its session ends. Of the others, the
 * latest are held here, and the rest live as long as a request holds its session.
 */
export class WatchedEntries {
  readonly #byHandle = new Map<string, WeakRef<Entry>>();
  readonly #byUser = new Map<string, Set<string>>();
  readonly #kept = new Set<Entry>();

  add(entry: Entry): void {
    const { user } = entry;
    this.#byHandle.set(entry.handle, new WeakRef(entry));
    this.#kept.add(entry);
    const handles = this.#byUser.get(user.key);
    if (handles === undefined) this.#byUser.set(user.key, new Set([entry.handle]));
    else handles.add(entry.handle);
  }

  find(handle: string): Entry | undefined {
    return this.#byHandle.get(handle)?.deref();
  }

  ofUser(userKey: string): Entry[] {
    return [...(this.#byUser.get(userKey) ?? [])]
      .map((handle) => this.find(handle))
      .filter((entry) => entry !== undefined);
  }

  remove({ handle, user }: Entry): void {
    const entry = this.find(handle);
    if (entry !== undefined) this.#kept.delete(entry);
    this.#forget(handle, user.key);
  }

  /** The entries that somebody still holds. Forgets the others, and decides again which are held here. */
  held(): Entry[] {
    const held: Entry[] = [];
    for (const [userKey, handles] of this.#byUser) {
      for (const handle of handles) {
        const entry = this.find(handle);
        if (entry === undefined) this.#forget(handle, userKey);
        else held.push(entry);
      }
    }
    for (const entry of held) if (isListenedTo(entry)) this.#kept.add(entry);
    let unheard = this.#kept.size - HELD_UNHEARD;
    for (const entry of this.#kept) {
      if (unheard <= 0) break;
      if (!isListenedTo(entry)) this.#kept.delete(entry);
      unheard -= 1;
    }
    return held;
  }

  #forget(handle: string, userKey: string): void {
    this.#byHandle.delete(handle);
    const handles = this.#byUser.get(userKey);
    handles?.delete(handle);
    if (handles?.size === 0) this.#byUser.delete(userKey);
  }
}

function isListenedTo(entry: Entry): boolean {
  return getEventListeners(entry.signal, 'abort').length > 0;
}

export interface RunOutCheckOptions {
  readonly store: Pick<SessionStore, 'get'>;
  readonly availability: Availability;
  readonly watched: WatchedEntries;
  readonly endings: Pick<Endings, 'letGo' | 'learnRunOut'>;
}

/** Ends watched sessions that have expired, unless their record shows that they were used elsewhere. */
export class RunOutCheck {
  readonly #options: RunOutCheckOptions;
  readonly #checking = new Set<Entry>();

  constructor(options: RunOutCheckOptions) {
    this.#options = options;
  }

  check(entry: Entry, now: number): void {
    if (standingOf(entry, now).state === 'live' || this.#checking.has(entry) || entry.call !== null) return;
    this.#checking.add(entry);
    this.#settle(entry, now)
      .catch(() => {
        // Asked again at the next tick.
      })
      .finally(() => {
        this.#checking.delete(entry);
      });
  }

  async #settle(entry: Entry, now: number): Promise<void> {
    const { store, availability, watched, endings } = this.#options;
    const { user, handle, policy } = entry;
    const record = await availability.withTimeout(callAsync(() => store.get(user, handle, now, policy)));
    if (record !== null) {
      entry.activity.usedElsewhere(record.lastSeenAt, record.expiresAt);
      return;
    }
    // A request that came meanwhile may have extended the session.
    if (watched.find(handle) !== entry || entry.call !== null) return;
    const standing = standingOf(entry, now);
    // Not ended for good: a refreshed token continues the session.
    if (standing.state === 'lapsed') endings.letGo(entry);
    if (standing.state !== 'ended') return;
    const { cause } = standing;
    const ending = { cause, reason: cause, by: null, at: now, expiresAt: entry.expiresAt, origin: null };
    endings.learnRunOut(entry, ending, tombstoneUntil(timesOf(entry), policy));
  }
}

/** A session that is not on record is never idle, because its use in other processes is not known. */
function standingOf(entry: Entry, now: number): Standing {
  const { policy, activity } = entry;
  return decide(timesOf(entry), activity.isTracked ? policy : { ...policy, idleTimeout: null }, now);
}
