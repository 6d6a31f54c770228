/** The time zone of the times on the page. */

import type { IncomingMessage } from 'node:http';
import type { Kind } from '../core/check.js';
import { refusePromise } from '../core/hooks.js';
import type { AppRequest } from './app-request.js';

/**
 * An IANA name such as `'Europe/Berlin'`, or a function of the request that returns the reader's own, for example from a cookie
 * or from their settings. Whatever it returns that is no such name counts as unknown, and so does an error that it throws.
 * Taken from a method, so that it may require its framework's own request type.
 */
export type TimeZone = string | { of(req: IncomingMessage): string | null | undefined }['of'];

export const A_TIME_ZONE: Kind = {
  accepts: (value) => typeof value === 'function' || isTimeZone(value),
  words: "the IANA name of a time zone such as 'Europe/Berlin', or a function that returns one",
};

/** Null if the reader's time zone is not known. The option is checked already. Throws a `TypeError` if its function returns a promise. */
export function createTimeZone(option: TimeZone | undefined): (req: AppRequest) => string | null {
  if (typeof option !== 'function') return () => option ?? null;
  return function timeZoneByRequest(req) {
    const name = resultOf(option, req);
    refusePromise(name, 'timeZone must return the name itself, not a promise of it');
    return isTimeZone(name) ? name : null;
  };
}

function resultOf(option: Exclude<TimeZone, string>, req: AppRequest): unknown {
  try {
    return option(req);
  } catch {
    // A request can make it throw, by a cookie that cannot be decoded.
    return null;
  }
}

function isTimeZone(name: unknown): name is string {
  try {
    return (
      typeof name === 'string' && new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
    );
  } catch {
    return false;
  }
}
