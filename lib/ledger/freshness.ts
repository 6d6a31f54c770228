/** How fresh memory is: computed at each request, on a monotonic clock. */

import type { RevocationFeed } from '../stores/store.js';
import type { Freshness, Knowledge, Vouch } from './knowledge.js';

export class FeedFreshness implements Freshness {
  readonly bound: number;
  readonly #feed: Pick<RevocationFeed, 'age'>;
  readonly #monotonic: () => number;
  #generation = 0;
  #leaseTerm = 0;

  constructor(feed: Pick<RevocationFeed, 'age'>, bound: number, monotonic: () => number) {
    this.#feed = feed;
    this.bound = bound;
    this.#monotonic = monotonic;
  }

  get generation(): number {
    return this.#generation;
  }

  /** Counts what ended all leases. */
  get leaseTerm(): number {
    return this.#leaseTerm;
  }

  get isFeedFresh(): boolean {
    return this.#feed.age() <= this.bound;
  }

  /** Whether the session was asked about since the last gap. */
  isCurrent(knowledge: Knowledge): boolean {
    return knowledge.state === 'live' && knowledge.vouch?.generation === this.#generation;
  }

  /** The clock is read once if the feed is fresh, because every request asks for this. */
  ageOf(vouch: Vouch): number {
    const feedAge = vouch.isCovered ? this.#feed.age() : Infinity;
    return feedAge <= this.bound ? feedAge : Math.min(this.#monotonic() - vouch.asOf, feedAge);
  }

  /** Nothing that was learned until now vouches for a session any more. */
  startGeneration(): void {
    this.#generation += 1;
    this.endLeases();
  }

  /** Every session has to be judged again at its next request. */
  endLeases(): void {
    this.#leaseTerm += 1;
  }

  /** How far the answer to a question that is sent now will vouch. */
  vouch(asOf: number): Vouch {
    return { generation: this.#generation, asOf, isCovered: this.#feed.age() < Infinity };
  }
}
