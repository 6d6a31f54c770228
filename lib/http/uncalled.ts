/** `app.use(sessions.required)` in place of `app.use(sessions.required())`: nobody is let in, and no request hangs. */

import type { ServerResponse } from 'node:http';
import { isObject } from '../core/check.js';
import type { Next } from './respond.js';

/**
 * A member that must be called. If a framework calls it with a request and a response, as if it were a request handler,
 * `next` gets a `TypeError` that shows the right `usage`. Without `next`, the response is 500 and a process warning says why.
 */
export function refusingRequests<Given extends readonly unknown[], Result>(
  name: string,
  usage: string,
  member: (...given: Given) => Result,
): (...given: Given) => Result {
  return function memberOrRefusal(...given) {
    const [, second, next]: readonly unknown[] = given;
    const isContext = typeof second === 'function';
    if (!isContext && !isResponse(second)) return member(...given);
    const error = new TypeError(`sessions.${name} is not a request handler; call it: ${usage}`);
    if (isNext(next)) next(error);
    // Koa's `next`, the second argument, takes no error: it would go on to the protected handler.
    else if (isContext) throw error;
    else answerFailure(second, error);
    return undefined as Result;
  };
}

function isNext(value: unknown): value is Next {
  return typeof value === 'function';
}

type Response = Pick<ServerResponse, 'end'>;

function isResponse(value: unknown): value is Response {
  return isObject(value) && typeof value['setHeader'] === 'function' && typeof value['end'] === 'function';
}

function answerFailure(res: Response & { statusCode?: number }, error: TypeError): void {
  process.emitWarning(error.message, 'ManagedSessionsWarning');
  res.statusCode = 500;
  res.end();
}
