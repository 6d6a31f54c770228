/**
 * Finds out who ended a session that a cutoff ended here, because somebody else may have ended it just before. Only its
 * tombstone shows this, so the store is asked until it answers, or until a notice tells.
 */

import { inBatches } from './batches.js';
import type { Entry } from './entry.js';

export class Attribution {
  readonly #waiting = new Map<string, Entry>();
  readonly #ask: (entry: Entry) => Promise<void>;
  #unasked: Entry[] = [];
  #isAsking = false;

  /** `ask` settles the question, or rejects if the store did not answer. */
  constructor(ask: (entry: Entry) => Promise<void>) {
    this.#ask = ask;
  }

  add(entry: Entry): void {
    this.#waiting.set(entry.handle, entry);
    this.#unasked.push(entry);
    void this.#askAll();
  }

  /** The question is settled. Returns whether it was open. */
  settle(handle: string): boolean {
    return this.#waiting.delete(handle);
  }

  /** Asks again what the store did not answer. */
  retry(): void {
    if (this.#isAsking) return;
    this.#unasked = [...this.#waiting.values()];
    void this.#askAll();
  }

  /** A cutoff ends many sessions at once. Notices name most of them before it is their turn to be asked about. */
  async #askAll(): Promise<void> {
    if (this.#isAsking || this.#unasked.length === 0) return;
    this.#isAsking = true;
    await Promise.resolve();
    while (this.#unasked.length > 0) await inBatches(this.#unasked.splice(0), this.#askIfOpen);
    this.#isAsking = false;
  }

  readonly #askIfOpen = async (entry: Entry): Promise<void> => {
    if (this.#waiting.has(entry.handle)) await this.#ask(entry);
  };
}
