/** Watched sessions that run out, without another request to notice it. */

import { decide, type Standing } from '../core/policy.js';
import type { SessionStore } from '../stores/store.js';
import { callAsync, type Availability } from './availability.js';
import type { Endings } from './endings.js';
import type { Entry } from './entry.js';
import { timesOf } from './knowledge.js';
import { tombstoneIn } from './verdict.js';
import type { Questions } from './questions.js';
import type { WatchedEntries } from './watchers.js';

export interface RunOutCheckOptions {
  readonly store: Pick<SessionStore, 'get'>;
  readonly availability: Availability;
  readonly watched: WatchedEntries;
  readonly questions: Pick<Questions, 'peek'>;
  readonly endings: Pick<Endings, 'letGo' | 'learnTombstone'>;
}

/** Ends watched sessions that ran out, unless their record says that they were used elsewhere. */
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
    const { store, availability, watched, questions, endings } = this.#options;
    const { user, handle, policy } = entry;
    const record = await availability.withTimeout(callAsync(() => store.get(user, handle, now, policy)));
    if (record !== null) {
      entry.activity.usedElsewhere(record.lastSeenAt, record.expiresAt);
      return;
    }
    // A request that came meanwhile may have taken the session on.
    if (watched.find(handle) !== entry || entry.call !== null) return;
    const standing = standingOf(entry, now);
    // Not ended for good: a refreshed token takes the session on.
    if (standing.state === 'lapsed') endings.letGo(entry);
    if (standing.state !== 'ended') return;
    // Only the store can tell whether it was used elsewhere, and not even the store if it has lost the record.
    const presented = { user, handle, times: entry.activity.token };
    const { answer } = await questions.peek(presented, policy, now, { ...entry.knownUse(now), inUseSince: now });
    if (answer.state === 'ended') endings.learnTombstone(user, tombstoneIn(answer, handle, now), 'answer');
  }
}

/** What is not on record is never idle: nobody would know of its use elsewhere. */
function standingOf(entry: Entry, now: number): Standing {
  const { policy, activity } = entry;
  return decide(timesOf(entry), activity.isTracked ? policy : { ...policy, idleTimeout: null }, now);
}
