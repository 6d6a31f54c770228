/** A session that was judged from memory a moment ago. */

import type { LiveSession } from './entry.js';
import type { FeedFreshness } from './freshness.js';

/** What a lease is granted for. */
export interface LeaseTerms {
  readonly session: LiveSession;
  readonly freshness: FeedFreshness;
  /** By the option `clock`, which may be set back. */
  readonly from: number;
  /** By then the session may have ended by itself, or its use has to be written. */
  readonly until: number;
}

/**
 * Saves judging a session again for the same token. Whatever changes how the session is judged ends its lease: an answer, an
 * ending, an eviction, a pause, a token that expires later. Only how fresh memory is has to be asked each time.
 *
 * Few words of memory, close together, because every request reads them: the times are small integers after the first.
 */
export class Lease {
  readonly session: LiveSession;
  readonly #freshness: FeedFreshness;
  readonly #term: number;
  readonly #from: number;
  readonly #duration: number;
  #usedAfter = 0;
  #isOver = false;

  constructor({ session, freshness, from, until }: LeaseTerms) {
    this.session = session;
    this.#freshness = freshness;
    this.#term = freshness.leaseTerm;
    this.#from = from;
    this.#duration = until - from;
  }

  get lastUsedAt(): number {
    return this.#from + this.#usedAfter;
  }

  end(): void {
    this.#isOver = true;
  }

  /** The hot path. Notes the use, unless the session has to be judged: it then returns false. */
  use(at: number): boolean {
    if (!this.stands(at)) return false;
    const after = at - this.#from;
    if (after > this.#usedAfter) this.#usedAfter = after;
    return true;
  }

  /** The same for a request that does not count as use. */
  stands(at: number): boolean {
    const after = at - this.#from;
    if (this.#isOver || !(after >= 0 && after < this.#duration)) return false;
    return this.#term === this.#freshness.leaseTerm && this.#freshness.isFeedFresh;
  }
}
