/**
 * Finds out who ended a session that a cutoff ended here, because somebody else may have ended it just before. Only its
 * tombstone shows this, so the store is asked until it answers.
 */

import { inBatches } from './batches.js';
import type { Entry } from './entry.js';

export class Attribution {
  readonly #waiting = new Map<string, Entry>();
  readonly #ask: (entry: Entry) => Promise<void>;
  #isAsking = false;

  /** `ask` settles the question, or rejects if the store did not answer. */
  constructor(ask: (entry: Entry) => Promise<void>) {
    this.#ask = ask;
  }

  add(entry: Entry): void {
    this.#waiting.set(entry.handle, entry);
    this.#ask(entry).catch(() => {
      // Asked again at the next tick.
    });
  }

  /** The question is settled. Returns whether it was open. */
  settle(handle: string): boolean {
    return this.#waiting.delete(handle);
  }

  retry(): void {
    if (this.#isAsking || this.#waiting.size === 0) return;
    this.#isAsking = true;
    void inBatches([...this.#waiting.values()], this.#ask).finally(() => {
      this.#isAsking = false;
    });
  }
}
