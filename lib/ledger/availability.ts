/** Whether the store can be asked, as its answers show it; told by `storeDown` and `storeUp`. */

import { LoginError } from '../core/errors.js';
import type { Emit } from '../core/events.js';

/** What cannot be reached: commands, the feed, or both. */
type Part = 'commands' | 'feed';

export interface AvailabilityOptions {
  /** Longest wait for an answer, in milliseconds. */
  readonly storeTimeout: number;
  readonly emit: Emit;
  readonly monotonic: () => number;
}

export class Availability {
  readonly #options: AvailabilityOptions;
  readonly #down = new Set<Part>();
  #downSince = 0;

  constructor(options: AvailabilityOptions) {
    this.#options = options;
  }

  isDown(part: Part): boolean {
    return this.#down.has(part);
  }

  /** The answer, within `storeTimeout`; notes whether there was one. Rejects with `LoginError` `store_unavailable`. */
  async asked<Answer>(reply: Promise<Answer>): Promise<Answer> {
    const { storeTimeout } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_resolve, reject) => {
      // A process that was held up reads first what has arrived meanwhile.
      timer = setTimeout(() => setImmediate(giveUp), storeTimeout);
      function giveUp(): void {
        reject(new LoginError('store_unavailable', 'The session store did not answer in time'));
      }
    });
    return this.noted(Promise.race([reply, timeout]).finally(() => clearTimeout(timer)));
  }

  /** The same without a limit of its own, for what the store itself limits. */
  async noted<Answer>(reply: Promise<Answer>): Promise<Answer> {
    try {
      const answer = await reply;
      this.noteUp('commands');
      return answer;
    } catch (error) {
      throw this.noteDown('commands', error);
    }
  }

  noteUp(part: Part): void {
    if (!this.#down.delete(part) || this.#down.size > 0) return;
    this.#options.emit('storeUp', { downFor: this.#options.monotonic() - this.#downSince });
  }

  /** The refusal that it means. */
  noteDown(part: Part, cause: unknown): LoginError {
    const error =
      cause instanceof LoginError
        ? cause
        : new LoginError('store_unavailable', 'The session store could not be asked', { cause });
    if (this.#down.size === 0) {
      this.#downSince = this.#options.monotonic();
      this.#options.emit('storeDown', { error });
    }
    this.#down.add(part);
    return error;
  }
}

/** Of a store that breaks the contract and throws, too. */
export async function attempt<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  return ask();
}
