/** Which issuers could not be found when they were last asked for, and whether the function that finds them works. */

import { LRUCache } from 'lru-cache';
import type { PartHealth } from '../core/health.js';
import type { IssuerFailure } from './issuer-failure.js';

/** The most issuers that are held. */
const LIMIT = 1_000;
/** How long a failure is the answer to further requests, in milliseconds. */
const REMEMBERED_FOR = 1_000;
/** How long a failure makes the keys not ok. Afterwards, a probe lets requests in again, which show how it is. */
const NOT_OK_FOR = 30_000;

interface Failure {
  readonly at: number;
  readonly error: IssuerFailure;
}

export class IssuerOutages {
  readonly #monotonic: () => number;
  /** Held until the function answers, so that each outage is reported once. */
  readonly #failures = new LRUCache<string, Failure>({ max: LIMIT });
  #answeredAt = -Infinity;
  /** Null once the function has answered since, for whichever issuer. */
  #functionFailure: Failure | null = null;

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  /** Why this issuer cannot be found, if that was tried less than a second ago. */
  recent(iss: string): IssuerFailure | undefined {
    const failure = this.#failures.get(iss);
    return failure !== undefined && this.#monotonic() - failure.at < REMEMBERED_FOR ? failure.error : undefined;
  }

  /** An issuer could not be found. Returns true if no failure was known for it, so that an outage is reported once. */
  noteFailure(iss: string, error: IssuerFailure): boolean {
    const failure = { at: this.#monotonic(), error };
    if (error.isAnswer) this.#noteAnswer();
    else this.#functionFailure = failure;
    const isNew = !this.#failures.has(iss);
    this.#failures.set(iss, failure);
    return isNew;
  }

  /** The function said which issuer it is, or that there is none. Returns true if it had failed for this issuer. */
  noteFound(iss: string): boolean {
    this.#noteAnswer();
    return this.#failures.delete(iss);
  }

  /** `canVerify`: whether the tokens of any issuer can be verified without the function. */
  health(canVerify: boolean): PartHealth {
    const now = this.#monotonic();
    const failure = this.#functionFailure;
    const ok = failure === null || canVerify || now - failure.at >= NOT_OK_FOR;
    return { ok, age: now - this.#answeredAt, lastError: failure?.error ?? null };
  }

  #noteAnswer(): void {
    this.#answeredAt = this.#monotonic();
    this.#functionFailure = null;
  }
}
