/** After the store lost data: writes back what is known to be ended, and asks again about what is in use. */

import type { KnownOfUser } from './ended.js';
import type { Entry } from './table.js';

export interface RecoveryOptions {
  /** What is known to be ended, a user at a time. */
  readonly ended: () => KnownOfUser[];
  readonly writeBack: (known: KnownOfUser) => Promise<void>;
  /** Sessions in use that were not asked for since. */
  readonly unseen: () => Entry[];
  readonly confirm: (entry: Entry) => Promise<void>;
  /** The pause before what failed is tried again, in milliseconds. */
  readonly pause: number;
}

/** Users written back, and sessions sighted, at one time. */
const BATCH = 128;

export class Recovery {
  readonly #options: RecoveryOptions;
  #isRunning = false;
  /** How often the store was seen to have lost data, or may have. */
  #losses = 0;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  /** The store lost data, or may have. */
  start(): void {
    this.#losses += 1;
    if (!this.#isRunning) void this.#run();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** Until everything is done; what fails does not hold up the rest, and is tried again alone. */
  async #run(): Promise<void> {
    const { ended, writeBack, unseen, confirm } = this.#options;
    this.#isRunning = true;
    let lost: KnownOfUser[] = [];
    let losses = 0;
    while (!this.#isStopped) {
      if (losses !== this.#losses) lost = ended();
      losses = this.#losses;
      lost = await inBatches(lost, writeBack);
      const failed = await inBatches(unseen(), confirm);
      const isDone = lost.length === 0 && failed.length === 0;
      if (isDone && losses === this.#losses) break;
      if (!isDone) await this.#pause();
    }
    this.#isRunning = false;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#timer = setTimeout(resolve, this.#options.pause).unref();
    });
  }
}

/** In batches, one after the other. Resolves to those for which it failed; goes no further where it failed for a whole batch. */
export async function inBatches<Item>(items: readonly Item[], act: (item: Item) => Promise<void>): Promise<Item[]> {
  const failed: Item[] = [];
  for (let start = 0; start < items.length; start += BATCH) {
    const batch = items.slice(start, start + BATCH);
    const outcomes = await Promise.allSettled(batch.map(act));
    const refused = batch.filter((_, index) => outcomes[index]?.status === 'rejected');
    failed.push(...refused);
    if (refused.length === batch.length) return [...failed, ...items.slice(start + BATCH)];
  }
  return failed;
}
