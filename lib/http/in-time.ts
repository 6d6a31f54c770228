/** Waits for asynchronous functions of the application, but not for ever. */

import { pendingResult } from '../core/hooks.js';

/** How long a request waits for an asynchronous function of the application, in milliseconds. */
const LONGEST_WAIT = 10_000;

/**
 * As {@link pendingResult}, for what a request waits for: rejects after ten seconds, because a promise that never settles would
 * hold the request for ever. `name` is that of the function.
 */
export function resultInTime<Value>(value: Value | PromiseLike<Value>, name: string): Promise<Value> | undefined {
  const pending = pendingResult(value);
  if (pending === undefined) return undefined;
  return new Promise<Value>((resolve, reject) => {
    const giveUp = (): void => reject(new Error(`${name} gave no result within ${String(LONGEST_WAIT / 1000)} s`));
    const timer = setTimeout(giveUp, LONGEST_WAIT).unref();
    void pending.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
