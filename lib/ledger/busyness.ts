/** Whether this process keeps up with its requests: how long the event loop takes to deal with what arrived together. */

/** A turn of the event loop that takes longer than this is a long one, in milliseconds. */
const LONG = 30;
/** So long after the last turn that was measured, nothing is known any more. In milliseconds. */
const KNOWN_FOR = 100;

/** Measures only the turns in which it is asked, so that it costs nothing at other times. */
export class Busyness {
  readonly #monotonic: () => number;
  #isMeasuring = false;
  /** When the first of an unbroken row of long turns was over: one alone, however long, shows nothing. */
  #since: number | null = null;
  #measuredAt = -Infinity;

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  /** For how long every turn has been a long one, after the first. In milliseconds. */
  lasts(): number {
    const now = this.#monotonic();
    if (!this.#isMeasuring) {
      if (now - this.#measuredAt > KNOWN_FOR) this.#since = null;
      this.#isMeasuring = true;
      setImmediate(() => {
        this.#measured(now);
      });
    }
    return this.#since === null ? 0 : now - this.#since;
  }

  #measured(start: number): void {
    this.#isMeasuring = false;
    this.#measuredAt = this.#monotonic();
    if (this.#measuredAt - start > LONG) this.#since ??= this.#measuredAt;
    else this.#since = null;
  }
}
