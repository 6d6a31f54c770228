/** Refuses what this process knows to be ended or stale, and tells the store what it may not know of it. */

import type { LoginError } from '../core/errors.js';
import { extendedUntil } from '../core/policy.js';
import type { SessionUser } from '../core/session.js';
import type { SessionStore, Tombstone } from '../stores/store.js';
import type { VerifiedToken } from '../tokens/verify.js';
import { callAsync, type Availability } from './availability.js';
import type { EndedSessions } from './ended.js';
import type { Endings } from './endings.js';
import type { Recovery } from './recovery.js';
import { endedError, refusalOf, refuseStale } from './refusals.js';
import type { SessionTable } from './table.js';
import { inferEnding, type Verdict } from './verdict.js';

export interface EndedRefusalsOptions {
  readonly store: Pick<SessionStore, 'restore'>;
  readonly table: SessionTable;
  readonly ended: EndedSessions;
  readonly endings: Endings;
  readonly availability: Availability;
  readonly recovery: Recovery;
}

export class EndedRefusals {
  readonly #options: EndedRefusalsOptions;

  constructor(options: EndedRefusalsOptions) {
    this.#options = options;
  }

  /** Throws `LoginError` for what is certain without the store. R3, R10. */
  refuseKnown(token: VerifiedToken, now: number): void {
    this.#refuseEnded(token, now);
    refuseStale(this.#options.endings.staleTokensOf(token.user.key, now), token.times);
  }

  #refuseEnded(token: VerifiedToken, now: number): void {
    const { table, endings } = this.#options;
    const tombstone = endings.find(token.handle, now);
    if (tombstone !== undefined) {
      this.#extendTombstone(tombstone, token, now);
      throw endedError(tombstone.ending);
    }
    const inferred = inferEnding(endings, token, table.policyOf(token.user), now);
    if (inferred === null) return;
    const { ending, until, isKept } = inferred;
    if (!isKept) throw endedError(ending);
    endings.learnInferred(token, inferred);
    // The session may never have been seen. Then a refreshed token does not show that the cutoff ended it; a tombstone does.
    this.#write(token.user, { handle: token.handle, ending, until }, now);
    throw endedError(ending);
  }

  /** The error for a token that an answer refuses. The answer may be that to another token, which expires earlier. */
  errorFor(verdict: Exclude<Verdict, { as: 'live' }>, token: VerifiedToken, now: number): LoginError {
    const tombstone = this.#options.endings.find(token.handle, now);
    if (tombstone !== undefined) this.#extendTombstone(tombstone, token, now);
    return refusalOf(verdict, token.times);
  }

  /** A token that expires after the tombstone extends it, here and in the store. */
  #extendTombstone(tombstone: Tombstone, { user, handle, times }: VerifiedToken, now: number): void {
    const { table, ended } = this.#options;
    const until = extendedUntil(tombstone.until, times, table.policyOf(user));
    if (until > tombstone.until || ended.isUnwritten(handle)) this.#write(user, { ...tombstone, until }, now);
  }

  /** Remembers an ending and tells the store. If that fails, the next token of the session tells it again. */
  #write(user: SessionUser, tombstone: Tombstone, now: number): void {
    const { store, table, ended, availability, recovery } = this.#options;
    const { handle } = tombstone;
    const { isInferred } = ended.add(user, tombstone, true, now);
    ended.noteWritten(handle, true);
    const known = {
      tombstones: [tombstone],
      cutoff: null,
      at: now,
      policy: table.policyOf(user),
      isUnseen: isInferred,
    };
    availability.withTimeout(callAsync(() => store.restore(user, known))).then(
      ({ missing }) => {
        if (missing > 0 && !isInferred) recovery.start();
      },
      () => {
        // Reported as `storeDown`.
        ended.noteWritten(handle, false);
      },
    );
  }
}
