/** Where people are sent to sign in. */

import type { IncomingMessage } from 'node:http';
import { kindOf } from '../core/check.js';
import type { LoginError } from '../core/errors.js';
import { refusePromise } from '../core/hooks.js';
import type { AppRequest } from './app-request.js';

/**
 * A path or an absolute http(s) URL, or a function of the request that returns one. The function also gets the refusal for
 * which people are sent there; nothing if they have signed out. Taken from a method, so that it may require its framework's
 * own request type.
 */
export type LoginUrl = string | { of(req: IncomingMessage, error?: LoginError): string }['of'];

/** Throws what the option's function throws, and a `TypeError` if that returns anything but a valid URL. */
export type LoginUrlFor = (req: AppRequest, error?: LoginError) => string;

/** Undefined without the option. Throws a `TypeError` if it is invalid. */
export function createLoginUrl(option: unknown): LoginUrlFor | undefined {
  if (option === undefined) return undefined;
  if (typeof option === 'function') {
    return function loginUrlByRequest(req, error) {
      const url: unknown = Reflect.apply(option, undefined, error === undefined ? [req] : [req, error]);
      refusePromise(url, 'loginUrl must return the URL itself, not a promise of it');
      return checked(url, 'loginUrl (as its function returned it)', WORDS);
    };
  }
  const url = checked(option, 'loginUrl', `${WORDS}, or a function that returns one`);
  return () => url;
}

const WORDS = 'a path that begins with one slash, or an absolute http(s) URL, in printable ASCII';

function checked(url: unknown, name: string, words: string): string {
  if (isLoginUrl(url)) return url;
  throw new TypeError(`${name} must be ${words}, got ${kindOf(url)}`);
}

/** Whether a value is a path or an absolute http(s) URL, in printable ASCII. */
export function isLoginUrl(value: unknown): value is string {
  // A second slash or a backslash would make a path another host's address.
  if (typeof value !== 'string' || !/^(?:https?:\/\/|\/(?![/\\]))[\x21-\x7e]*$/.test(value)) return false;
  return value.startsWith('/') || URL.canParse(value);
}
