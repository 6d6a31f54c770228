/** Compares the store's clock with the option `clock`. Each round of the feed brings the time of the store. */

import type { Emit } from '../core/events.js';

/** A smaller difference is never reported, however small `clockTolerance` is. In milliseconds. */
const SMALLEST_REPORTED = 1000;

export interface ClockComparisonOptions {
  readonly clock: { now(): number };
  /** The smallest of the issuers', in milliseconds. */
  readonly clockTolerance: number;
  readonly emit: Emit;
}

export class ClockComparison {
  readonly #options: ClockComparisonOptions;
  readonly #limit: number;
  #isReported = false;

  constructor(options: ClockComparisonOptions) {
    this.#options = options;
    this.#limit = Math.max(SMALLEST_REPORTED, options.clockTolerance);
  }

  /**
   * Takes what the store's clock said at some moment of the last `took` milliseconds. Only what is certain counts, because a
   * busy process reads replies late.
   */
  compare(storeNow: number, took: number): void {
    const least = storeNow - this.#options.clock.now();
    const most = least + took;
    if (least >= -this.#limit && most <= this.#limit) this.#isReported = false;
    const isOff = least > this.#limit || most < -this.#limit;
    if (!isOff || this.#isReported) return;
    this.#isReported = true;
    this.#options.emit('storeUnsafe', { problem: 'clock', difference: Math.round(least > 0 ? least : most) });
  }
}
