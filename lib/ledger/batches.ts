/** Work on many things: after an outage there may be 100,000, and other requests must not wait for it. */

import { setImmediate } from 'node:timers/promises';

/** The number of items after which other work has its turn. A slice takes a few milliseconds. */
const SLICE = 2000;

/** Calls `act` with each item in order. Items that are added to a map or set meanwhile are included. */
export async function inSlices<Item>(items: Iterable<Item>, act: (item: Item) => void): Promise<void> {
  let count = 0;
  for (const item of items) {
    act(item);
    count += 1;
    if (count % SLICE === 0) await setImmediate();
  }
}

/** How many calls are in progress at one time. */
const BATCH = 128;

/**
 * Calls the store for each item, in batches, one after the other. Resolves to the items for which it failed. If all of a
 * batch failed, the rest is not tried and counts as failed.
 */
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
