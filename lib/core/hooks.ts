/** What an application's own functions return, throw and reject with. It can be anything, and is never trusted. */

import { kindOf } from './check.js';

/** How a request goes on in Express and Connect. */
type Next = (error?: unknown) => void;

/**
 * A promise of what a function returned, if that is a thenable of any kind or realm: the caller may wait for it. Undefined for
 * any other value. Never throws; rejects if the value cannot even be asked whether it is a thenable.
 */
export function pendingResult<Value>(value: Value | PromiseLike<Value>): Promise<Value> | undefined {
  const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function';
  if (!isObject) return undefined;
  try {
    if (!('then' in value) || typeof value.then !== 'function') return undefined;
  } catch (error) {
    return rejected(error);
  }
  // Not `Promise.resolve`, which asks a promise for its constructor and passes on what that throws.
  return new Promise<Value>((resolve) => resolve(value));
}

async function rejected(error: unknown): Promise<never> {
  throw error;
}

/**
 * Throws a `TypeError` with this message if a function that must answer at once returned a promise. A rejection of the
 * promise is swallowed: if nobody handled it, it would end the process.
 */
export function refusePromise(value: unknown, message: string): void {
  const pending = pendingResult(value);
  if (pending === undefined) return;
  pending.catch(() => undefined);
  throw new TypeError(message);
}

/**
 * Passes a failure to `next`. To Express and Connect, a falsy reason means that nothing failed, and so do `'route'` and
 * `'router'`: the protected handler would run. These, and whatever cannot be inspected, become an `Error`.
 */
export function passOn(next: Next, failure: unknown): void {
  next(asFailure(failure));
}

function asFailure(failure: unknown): unknown {
  if (!failure || failure === 'route' || failure === 'router') {
    return new Error('A function of the application threw, or rejected with, a value that is not an error', {
      cause: failure,
    });
  }
  // Without the value as its cause: whatever logs the error would fail as well.
  return isInspectable(failure)
    ? failure
    : new Error('A function of the application threw, or rejected with, a value that cannot be read');
}

/** What the error handlers of Express and Connect read. They do not expect that reading can throw. */
const READ_BY_HANDLERS = ['name', 'message', 'stack', 'status', 'statusCode', 'headers', 'cause', 'code'];

function isInspectable(failure: unknown): boolean {
  if ((typeof failure !== 'object' && typeof failure !== 'function') || failure === null) return true;
  try {
    for (const name of READ_BY_HANDLERS) Reflect.get(failure, name);
    const toString: unknown = Reflect.get(failure, 'toString');
    if (typeof toString !== 'function') return false;
    Reflect.apply(toString, failure, []);
    Object.getPrototypeOf(failure);
    Object.keys(failure);
    return true;
  } catch {
    return false;
  }
}

/** What went wrong, in words. Never throws, whatever the failure is. */
export function wordsOf(failure: unknown): string {
  const isObject = (typeof failure === 'object' && failure !== null) || typeof failure === 'function';
  if (!isObject) return String(failure);
  const { message, instead } = readFailure(failure);
  return message ?? `it failed with ${instead}`;
}

type FailureWords =
  { readonly message: string; readonly instead?: never } | { readonly message?: never; readonly instead: string };

/** The message of an error, or else what there is in place of one, in words that follow "with". Never throws. */
export function readFailure(failure: unknown): FailureWords {
  try {
    // Read once: a getter may return something else the next time.
    const message: unknown = typeof failure === 'object' && failure !== null ? Reflect.get(failure, 'message') : null;
    return typeof message === 'string' ? { message } : { instead: `${kindOf(failure)} in place of an error` };
  } catch {
    // A proxy, or a getter that throws.
    return { instead: 'something that cannot be read' };
  }
}
