/**
 * Many revocations at once must not delay other requests, nor collect in memory. A few are in progress at one time, some wait
 * for their turn, and what cannot be done in time is refused at once.
 */

import { LoginError } from '../core/errors.js';

/** In progress at one time. Their answers may arrive together, and other requests wait while these are read. */
export const AT_ONCE = 64;
/** The most that wait. */
export const WAITING_LIMIT = 1000;

export interface RevocationQueueOptions {
  /** The longest wait for a turn, in milliseconds. */
  readonly storeTimeout: number;
  readonly monotonic: () => number;
}

interface Waiting {
  readonly since: number;
  start(): void;
}

/** Runs revocations in the order in which they came. */
export class RevocationQueue {
  readonly #options: RevocationQueueOptions;
  readonly #waiting = new Set<Waiting>();
  #inProgress = 0;

  constructor(options: RevocationQueueOptions) {
    this.#options = options;
  }

  /** Throws `LoginError` `store_unavailable` if {@link run} would refuse it at once. */
  refuseIfFull(): void {
    const [oldest] = this.#waiting;
    if (oldest === undefined) return;
    const { storeTimeout, monotonic } = this.#options;
    // The oldest shows how long a turn takes at present, whatever it is that takes time.
    const isSlow = monotonic() - oldest.since > storeTimeout / 4;
    if (isSlow || this.#waiting.size >= WAITING_LIMIT) throw tooMany();
  }

  /**
   * Calls `act` when its turn comes. Rejects with `store_unavailable`, and never calls `act`, if too many wait or if its turn
   * has not come within `storeTimeout`.
   */
  async run<Outcome>(act: () => Promise<Outcome>): Promise<Outcome> {
    this.refuseIfFull();
    if (this.#inProgress >= AT_ONCE) await this.#turn();
    else this.#inProgress += 1;
    try {
      return await act();
    } finally {
      this.#passOn();
    }
  }

  #turn(): Promise<void> {
    const { storeTimeout, monotonic } = this.#options;
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        since: monotonic(),
        start: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      const giveUp = (): void => {
        if (this.#waiting.delete(waiting)) reject(tooMany());
      };
      // A process that was itself busy first reads what has arrived.
      const timer = setTimeout(() => setImmediate(giveUp), storeTimeout);
      this.#waiting.add(waiting);
    });
  }

  /** The turn passes to the one that has waited longest. */
  #passOn(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#inProgress -= 1;
      return;
    }
    this.#waiting.delete(next);
    next.start();
  }
}

function tooMany(): LoginError {
  return new LoginError('store_unavailable', 'Too many sessions are being ended at this moment');
}
