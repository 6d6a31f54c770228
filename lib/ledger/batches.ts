/** Work on many things: after an outage there may be 100,000, and other requests must not wait for it. */

import { setImmediate } from 'node:timers/promises';

/** Looked at before other work has its turn. It takes a few milliseconds. */
const SLICE = 2000;

/** In the order of the items. What is added to them meanwhile is looked at too. */
export async function inSlices<Item>(items: Iterable<Item>, act: (item: Item) => void): Promise<void> {
  let count = 0;
  for (const item of items) {
    act(item);
    count += 1;
    if (count % SLICE === 0) await setImmediate();
  }
}

/** Calls at one time. */
const BATCH = 128;

/** Calls of the store in batches, one after the other. Resolves to those for which it failed; goes no further where it failed for a whole batch. */
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
