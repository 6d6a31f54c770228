/** The global cutoff as this process knows it. In a Cluster, it is in other slots than the sessions that it ends. */

import { endedByGlobalCutoff, type GlobalCutoff } from '../core/cutoff.js';
import type { SessionPolicy } from '../core/policy.js';

export interface GlobalCutoffOptions {
  readonly monotonic: () => number;
  readonly feedAge: () => number;
  /** The age at which the store is asked again, in milliseconds. */
  readonly longestAge: number;
  /** Asks the store; by the time it resolves, {@link KnownGlobalCutoff.learn} has been called. */
  readonly catchUp: () => Promise<void>;
}

/** As of when the global cutoff is known, on the monotonic clock, and the promise to wait for until it is. */
export interface CaughtUp {
  readonly asOf: number;
  readonly caughtUp?: Promise<void>;
}

export class KnownGlobalCutoff {
  readonly #options: GlobalCutoffOptions;
  #cutoff: GlobalCutoff | null = null;
  #lastAsked: Required<CaughtUp> | null = null;

  constructor(options: GlobalCutoffOptions) {
    this.#options = options;
  }

  get cutoff(): GlobalCutoff | null {
    return this.#cutoff;
  }

  learn(cutoff: GlobalCutoff): void {
    this.#cutoff = cutoff;
  }

  ends(startedAt: number, policy: SessionPolicy): boolean {
    return endedByGlobalCutoff(this.#cutoff, startedAt, policy);
  }

  /** While the feed is fresh, there is nothing to wait for. Otherwise questions share one call of the store. */
  caughtUp(): CaughtUp {
    const { monotonic, feedAge, longestAge, catchUp } = this.#options;
    const now = monotonic();
    const age = feedAge();
    if (age <= longestAge) return { asOf: now - age };
    if (this.#lastAsked !== null && now - this.#lastAsked.asOf <= longestAge) return this.#lastAsked;
    const asked = { asOf: now, caughtUp: catchUp() };
    this.#lastAsked = asked;
    asked.caughtUp.catch(() => {
      if (this.#lastAsked === asked) this.#lastAsked = null;
    });
    return asked;
  }
}
