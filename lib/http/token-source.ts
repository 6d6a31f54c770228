/** Where a request carries its token: `Authorization: Bearer`, a cookie, or wherever a function finds it. */

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { parseCookie } from 'cookie';
import { checkOptions, kindOf, required } from '../core/check.js';
import { LoginError } from '../core/errors.js';
import { refusePromise } from '../core/hooks.js';
import { cookieName } from './cookie.js';
import { memberOf, ownProperty, type AppRequest } from './request.js';

/** Finds the token in a request. Taken from a method, so that it may require its framework's own request type. */
export type TokenFunction = { read(req: IncomingMessage): string | undefined }['read'];

/** The cookie that is read if there is no `Authorization: Bearer`, or a function that replaces both. */
export type TokenSourceOption = { readonly cookie: string } | TokenFunction;

/** `cookie` also if there is no token at all. */
export type TokenOrigin = 'header' | 'cookie' | 'function';

export interface TokenSource {
  /** The token; undefined if none was sent. Throws `LoginError` `token_malformed` for anything but a string. */
  read(req: AppRequest): string | undefined;
  originOf(req: AppRequest): TokenOrigin;
  /** Whether the header with the token is one that the client sent; true if that cannot be known. */
  isHeaderSent(req: AppRequest): boolean;
  /** The cookie that is read; null if a function reads. */
  readonly cookie: string | null;
}

/** The first source that is present is used, and the others are not tried. Throws a `TypeError` if the option is invalid. */
export function createTokenSource(from: TokenSourceOption = { cookie: 'login_token' }): TokenSource {
  const read = createValueSource(from, 'from');
  if (typeof from === 'function') {
    return { read, originOf: () => 'function', isHeaderSent: () => false, cookie: null };
  }
  return {
    read: function readToken(req) {
      return bearerToken(req) ?? read(req);
    },
    originOf: ({ headers: { authorization } }) =>
      authorization !== undefined && isBearer(authorization) ? 'header' : 'cookie',
    isHeaderSent: ({ rawHeaders }) =>
      (rawHeaders as readonly string[] | undefined) === undefined ||
      rawHeaders.length === 0 ||
      countHeaders(rawHeaders, 'authorization') > 0,
    cookie: from.cookie,
  };
}

/**
 * What a cookie contains, or a function returns; undefined if that is nothing. Reading throws `LoginError`
 * `token_malformed` for anything but a string. Throws a `TypeError` if the option, which `path` names, is invalid.
 */
export function createValueSource(from: unknown, path: string): (req: AppRequest) => string | undefined {
  if (typeof from === 'function') return functionValue(from as TokenFunction, path);
  if (typeof from !== 'object' || from === null) {
    throw new TypeError(`${path} must be { cookie: 'name' } or a function, got ${kindOf(from)}`);
  }
  const { cookie } = checkOptions<{ cookie: string }>(from, path, { cookie: required(cookieName) });
  return cookieValue(String(cookie));
}

function bearerToken(req: IncomingMessage): string | undefined {
  const { authorization } = req.headers;
  if (authorization === undefined) return undefined;
  if (countHeaders(memberOf(req, 'rawHeaders'), 'authorization') > 1) {
    throw new LoginError('token_malformed', 'There is more than one Authorization header');
  }
  if (!isBearer(authorization)) return undefined;
  const token = authorization.slice(SCHEME.length).trim();
  if (token === '') throw new LoginError('token_malformed', 'The Authorization header has no token');
  if (token.includes(' ') || token.includes('\t')) {
    throw new LoginError('token_malformed', 'The Authorization header has more than one token');
  }
  return token;
}

const SCHEME = 'bearer';

function isBearer(authorization: string): boolean {
  if (authorization.slice(0, SCHEME.length).toLowerCase() !== SCHEME) return false;
  const next = authorization.charAt(SCHEME.length);
  return next === '' || next === ' ' || next === '\t';
}

/** Node keeps only the first of several headers in `headers`; `rawHeaders` is a list of all names and values. */
/** Requests of test kits and adapters may have no `rawHeaders`. */
function countHeaders(rawHeaders: readonly string[] | undefined, name: string): number {
  if (rawHeaders === undefined) return 0;
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const sent = rawHeaders[index] ?? '';
    if (sent.length === name.length && sent.toLowerCase() === name) count += 1;
  }
  return count;
}

function cookieValue(name: string): (req: AppRequest) => string | undefined {
  // Only our own part of the header is parsed: sites have dozens of cookies.
  const part = new RegExp(`(?:^|;)[ \\t]*(${name.replace(/[$*+.^|]/g, '\\$&')}[ \\t]*=[^;]*)`);

  function sentCookie({ cookie }: IncomingHttpHeaders): string | undefined {
    const found = cookie === undefined ? null : part.exec(cookie);
    return found?.[1] === undefined ? undefined : parseCookie(found[1])[name];
  }

  return function readCookie(req) {
    const signed = ownProperty(req.signedCookies, name);
    if (signed === false) throw new LoginError('token_malformed', 'The signature of the cookie is invalid');
    return stringOrNothing(signed ?? ownProperty(req.cookies, name) ?? sentCookie(req.headers));
  };
}

function functionValue(from: TokenFunction, path: string): (req: AppRequest) => string | undefined {
  return function readByFunction(req) {
    const value: unknown = from(req);
    refusePromise(value, `${path} must return the string itself, not a promise of it`);
    return stringOrNothing(value);
  };
}

function stringOrNothing(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw new LoginError('token_malformed', 'The token is not a string');
  return value;
}
