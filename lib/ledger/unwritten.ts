/** Sessions whose last-seen time the store does not know yet. */

import { inBatches } from './batches.js';
import type { Entry } from './entry.js';

export class UnwrittenActivity {
  readonly #entries = new Set<Entry>();
  readonly #write: (entry: Entry) => Promise<void>;
  #isFlushing = false;

  constructor(write: (entry: Entry) => Promise<void>) {
    this.#write = write;
  }

  add(entry: Entry): void {
    this.#entries.add(entry);
  }

  delete(entry: Entry): void {
    this.#entries.delete(entry);
  }

  /** Writes what is due in batches, one after the other: after an outage there may be many. */
  flush(now: number): void {
    if (this.#isFlushing) return;
    const due = [...this.#entries].filter(
      ({ call, activity }) => call === null && (now >= activity.dueAt || now < activity.writtenAt),
    );
    if (due.length === 0) return;
    this.#isFlushing = true;
    void inBatches(due, this.#write).finally(() => {
      this.#isFlushing = false;
    });
  }

  async flushAll(): Promise<void> {
    await inBatches([...this.#entries], this.#write);
  }
}
