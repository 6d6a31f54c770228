/** Whether the store can be reached, as its answers show. The events `storeDown` and `storeUp` report changes. */

import { isLoginError, LoginError } from '../core/errors.js';
import type { Emit } from '../core/events.js';
import { CannotTellYet, StoreBusy } from '../stores/store.js';

/** What cannot be reached: commands, the feed, or both. */
type Part = 'commands' | 'feed';

export interface AvailabilityOptions {
  /** The longest wait for an answer, in milliseconds. Null: the store itself limits it. */
  readonly storeTimeout: number | null;
  readonly emit: Emit;
  readonly monotonic: () => number;
}

/** How long to leave commands alone after one has failed, in milliseconds. */
const PAUSE = 2_000;

export class Availability {
  readonly #options: AvailabilityOptions;
  readonly #down = new Set<Part>();
  #downSince = 0;
  #failedAt = 0;

  constructor(options: AvailabilityOptions) {
    this.#options = options;
  }

  isDown(part: Part): boolean {
    return this.#down.has(part);
  }

  /**
   * Whether commands failed, and none has been sent for a while. Somebody has to send one then: a process that is taken out of
   * service for its health gets no requests that would show that the store is back.
   */
  get isLeftAlone(): boolean {
    return this.isDown('commands') && this.#options.monotonic() - this.#failedAt >= PAUSE;
  }

  /** The answer, in time. Notes whether there was one. Rejects with `LoginError` `store_unavailable`. */
  async withTimeout<Answer>(reply: Promise<Answer>): Promise<Answer> {
    const { storeTimeout } = this.#options;
    if (storeTimeout === null) return this.observed(reply);
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_resolve, reject) => {
      // A process that was itself busy first reads what has arrived.
      timer = setTimeout(() => setImmediate(giveUp), storeTimeout);
      function giveUp(): void {
        reject(new LoginError('store_unavailable', 'The session store did not answer in time'));
      }
    });
    return this.observed(Promise.race([reply, timeout]).finally(() => clearTimeout(timer)));
  }

  /** The same without a timeout, for calls that the store itself limits. */
  async observed<Answer>(reply: Promise<Answer>): Promise<Answer> {
    try {
      const answer = await reply;
      this.noteUp('commands');
      return answer;
    } catch (error) {
      // It says nothing about whether the store can be reached.
      if (error instanceof StoreBusy) throw error;
      if (!(error instanceof CannotTellYet)) throw this.noteDown('commands', error);
      // The store was reached, and has answered.
      this.noteUp('commands');
      throw error;
    }
  }

  noteUp(part: Part): void {
    if (!this.#down.delete(part) || this.#down.size > 0) return;
    this.#options.emit('storeUp', { downFor: this.#options.monotonic() - this.#downSince });
  }

  /** Returns the error with which the request is refused. */
  noteDown(part: Part, cause: unknown): LoginError {
    const error = isLoginError(cause)
      ? cause
      : new LoginError('store_unavailable', 'The session store could not be reached', { cause });
    if (this.#down.size === 0) {
      this.#downSince = this.#options.monotonic();
      this.#options.emit('storeDown', { error });
    }
    if (part === 'commands') this.#failedAt = this.#options.monotonic();
    this.#down.add(part);
    return error;
  }
}

/** Rejects if a store breaks the contract and throws. */
export async function callAsync<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  return ask();
}
