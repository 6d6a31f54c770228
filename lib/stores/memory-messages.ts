/** Messages of providers that were acknowledged, as the memory store keeps them. */

import { LRUCache } from 'lru-cache';

/** Providers are trusted, and their messages are good for minutes. */
const LIMIT = 100_000;

export class UsedMessages {
  /** Until when, by id. Above the limit, those noted longest ago are forgotten. */
  // Not `max`, with which it makes room for all of them at once, though most processes note none.
  readonly #until = new LRUCache<string, number>({ maxSize: LIMIT, sizeCalculation: () => 1 });

  isUsed(id: string, at: number): boolean {
    // As with sessions: nothing is forgotten until both clocks agree.
    return Math.min(at, Date.now()) < (this.#until.get(id) ?? -Infinity);
  }

  use(id: string, until: number): void {
    this.#until.set(id, Math.max(until, this.#until.get(id) ?? until));
  }
}
