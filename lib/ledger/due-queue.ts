/** Things that are due at a moment, the earliest first. A binary heap: nothing ever has to look through all of them. */

export interface Due {
  /** Must not change while it is in the queue. */
  dueAt: number;
}

export class DueQueue<Item extends Due> {
  readonly #heap: Item[] = [];

  get first(): Item | undefined {
    return this.#heap[0];
  }

  add(item: Item): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || above.dueAt <= item.dueAt) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = item;
  }

  removeFirst(): void {
    const last = this.#heap.pop();
    if (last !== undefined && this.#heap.length > 0) this.#sink(last);
  }

  /** From the top. */
  #sink(item: Item): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const child = (heap[left + 1]?.dueAt ?? Infinity) < (heap[left]?.dueAt ?? Infinity) ? left + 1 : left;
      const below = heap[child];
      if (below === undefined || below.dueAt >= item.dueAt) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = item;
  }
}
