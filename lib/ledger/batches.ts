/** Store calls for many things, a few at a time. */

/** In progress at one time. Their answers may arrive together, and other requests wait while these are read. */
const BATCH = 32;

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
