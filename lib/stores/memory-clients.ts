/** The clients that the memory store has noted for a user. */

import { CLIENTS_NOTED, CLIENT_NOTED_FOR } from './store.js';

/** When each client of a user was last noted, oldest first. */
export class NotedClients {
  readonly #notedAt = new Map<string, number>();

  /** Whether the client was noted before. */
  note(key: string, at: number): boolean {
    this.prune(at);
    const isKnown = this.#notedAt.delete(key);
    this.#notedAt.set(key, at);
    const [oldest] = this.#notedAt.keys();
    if (this.#notedAt.size > CLIENTS_NOTED && oldest !== undefined) this.#notedAt.delete(oldest);
    return isKnown;
  }

  prune(at: number): void {
    for (const [key, notedAt] of this.#notedAt) if (at >= notedAt + CLIENT_NOTED_FOR) this.#notedAt.delete(key);
  }

  isEmpty(): boolean {
    return this.#notedAt.size === 0;
  }
}
