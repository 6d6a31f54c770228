/** Sessions whose last-seen time the store does not know yet. */

import type { Backlog } from './backlog.js';
import { inBatches } from './batches.js';
import type { Entry } from './entry.js';

export class UnwrittenActivity {
  readonly #entries = new Set<Entry>();
  readonly #confirm: (entry: Entry) => Promise<void>;
  readonly #backlog: Pick<Backlog, 'work' | 'soon'>;
  #isFlushing = false;

  /** `confirm` sights the session again. Rejects if the store did not take it. */
  constructor(confirm: (entry: Entry) => Promise<void>, backlog: Pick<Backlog, 'work' | 'soon'>) {
    this.#confirm = confirm;
    this.#backlog = backlog;
  }

  add(entry: Entry): void {
    this.#entries.add(entry);
  }

  delete(entry: Entry): void {
    this.#entries.delete(entry);
  }

  has(entry: Entry): boolean {
    return this.#entries.has(entry);
  }

  /** Any of them. */
  first(): Entry | undefined {
    const [entry] = this.#entries;
    return entry;
  }

  /** Writes what is due. */
  flush(now: number): void {
    this.#write(({ activity }) => now >= activity.dueAt || now < activity.writtenAt);
  }

  /** Writes everything, due or not, for which no question is open: the store is back. */
  flushAll(): void {
    this.#write(() => true);
  }

  /** Before the end of the process. */
  async close(): Promise<void> {
    await inBatches([...this.#entries], this.#confirm);
  }

  /** In batches, one after the other: after an outage there may be many. */
  #write(isDue: (entry: Entry) => boolean): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    const due: Entry[] = [];
    void this.#backlog.work(this.#entries, (entry) => {
      if (entry.call === null && isDue(entry)) due.push(entry);
    });
    this.#backlog.soon(() => {
      void inBatches(due, this.#confirm).finally(() => {
        this.#isFlushing = false;
      });
    });
  }
}
