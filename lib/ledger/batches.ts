/** Many calls to the store: after an outage there may be thousands, and they must not end in a burst. */

/** Calls at one time. */
const BATCH = 128;

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
