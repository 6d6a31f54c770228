/** Work on many things: there may be 100,000, and requests must not wait for all of them. */

/** The time that it takes of one turn of the event loop, in milliseconds. */
const SLICE = 4;
/** So many items are done in each turn, however long they take. */
export const AT_LEAST = 16;

/** Does one item. Returns whether that was the last one. */
type Job = () => boolean;

/** One for all jobs, so that together they take one slice of each turn. Jobs are done in order. */
export class Backlog {
  readonly #monotonic: () => number;
  #jobs: Job[] = [];
  /** The jobs before it are done. */
  #current = 0;
  /** What this turn may still take. Null: no work was done in it yet. */
  #turn: { readonly until: number; done: number } | null = null;
  #isActing = false;
  #onDone: (() => void)[] = [];

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  /**
   * Calls `act` with each item in order: at once while this turn has time, the rest in later turns. Resolves when all of it
   * is done. Rejects then with the first error, if `act` has thrown.
   */
  work<Item>(items: Iterable<Item>, act: (item: Item) => void): Promise<void> {
    const iterator = items[Symbol.iterator]();
    let failure: Error | null = null;
    return new Promise((resolve, reject) => {
      this.#add(() => {
        const next = iterator.next();
        if (next.done === true) {
          if (failure === null) resolve();
          else reject(failure);
          return true;
        }
        try {
          act(next.value);
        } catch (error) {
          failure ??= error instanceof Error ? error : new Error(String(error));
        }
        return false;
      });
    });
  }

  /** Calls `act`, which must not throw: at once if it is part of an item or this turn has time, otherwise when its turn comes. */
  soon(act: () => void): void {
    if (this.#isActing) {
      act();
      return;
    }
    this.#add(() => {
      act();
      return true;
    });
  }

  /** Resolves when nothing is left to do. */
  async done(): Promise<void> {
    if (!this.#isEmpty) await new Promise<void>((resolve) => this.#onDone.push(resolve));
  }

  get #isEmpty(): boolean {
    return this.#current === this.#jobs.length;
  }

  #add(job: Job): void {
    const wasEmpty = this.#isEmpty;
    this.#jobs.push(job);
    if (wasEmpty) this.#run();
  }

  #run(): void {
    if (this.#turn === null) {
      this.#turn = { until: this.#monotonic() + SLICE, done: 0 };
      setImmediate(this.#onNextTurn);
    }
    for (let job = this.#jobs[this.#current]; job !== undefined; job = this.#jobs[this.#current]) {
      if (this.#turn.done >= AT_LEAST && this.#monotonic() >= this.#turn.until) return;
      this.#turn.done += 1;
      this.#isActing = true;
      try {
        if (job()) this.#current += 1;
      } finally {
        this.#isActing = false;
      }
    }
    this.#jobs = [];
    this.#current = 0;
    for (const resolve of this.#onDone.splice(0)) resolve();
  }

  readonly #onNextTurn = (): void => {
    this.#turn = null;
    if (!this.#isEmpty) this.#run();
  };
}
