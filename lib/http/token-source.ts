/** Reads the token of a request: from `Authorization: Bearer`, another header, a cookie, or wherever a function finds it. */

import type { IncomingHttpHeaders } from 'node:http';
import { isObject, kindOf } from '../core/check.js';
import { isLoginError, LoginError } from '../core/errors.js';
import { refusePromise } from '../core/hooks.js';
import { memberOf, ownProperty, type AppRequest } from './app-request.js';
import { cookieNames, type CookieOptions } from './cookie.js';
import { requireHeaders } from './request.js';
import { cacheKey } from '../tokens/token-cache.js';
import type { DecidingHeader } from './header-memory.js';
import { createCookieReader } from './sent-cookies.js';
import {
  checkCookieSource,
  checkTokenSources,
  type CheckedSource,
  type CookieSource,
  type TokenFunction,
  type TokenSourceOption,
} from './token-source-option.js';

/** A token that was sent, not verified yet. */
export interface SentToken {
  /** The token; of several cookies with one name, the first. */
  readonly text: string;
  /** Further cookies of that name, each with another value. */
  readonly others: readonly string[];
  readonly from: 'header' | 'cookie' | 'function';
  /** The whole header that the token was cut out of; null if something else had a say, such as a function. */
  readonly header: string | null;
  /** Whether it is in a header that the client sent as it is. If not, an application may have copied a cookie into the header. */
  readonly isHeaderSent: boolean;
}

export interface TokenSource {
  /** What the first source that is present contains. Throws `LoginError` `token_malformed` for anything but one string. */
  read(req: AppRequest): SentToken | undefined;
  /** What each source contains, for the end of a login. What is malformed is left out. */
  all(req: AppRequest): readonly SentToken[];
  /** The names of the cookies among the sources, in their order, as the option `from` has them. */
  readonly cookies: readonly string[];
  /** The headers that decide by themselves which token counts, in the order of the sources. Those after a function are left out. */
  readonly deciding: readonly DecidingHeader[];
  /** Whether a function is among the sources: it may read a cookie too. */
  readonly hasFunction: boolean;
}

type Reader = (req: AppRequest) => SentToken | undefined;

const NO_OTHERS: readonly string[] = [];

/** `cookie` says whether cookies have `__Host-` names too. Throws a `TypeError` if the option `from` is invalid. */
export function createTokenSource(
  from: TokenSourceOption = { cookie: 'login_token' },
  cookie: CookieOptions = {},
): TokenSource {
  const sources = checkTokenSources(from);
  const readers = sources.map((source) => createReader(source, sources, cookie));

  return {
    read: function readToken(req) {
      for (const reader of readers) {
        const sent = reader(req);
        if (sent !== undefined) return sent;
      }
      requireHeaders(req);
      return undefined;
    },
    all(req) {
      requireHeaders(req);
      return readers.map((reader) => readGood(reader, req)).filter((sent) => sent !== undefined);
    },
    cookies: sources.flatMap((source) => (source.in === 'cookie' ? [source.name] : [])),
    deciding: decidingHeaders(sources, cookie),
    hasFunction: sources.some((source) => source.in === 'function'),
  };
}

function readGood(reader: Reader, req: AppRequest): SentToken | undefined {
  try {
    return reader(req);
  } catch (error) {
    if (isLoginError(error)) return undefined;
    throw error;
  }
}

function createReader(source: CheckedSource, all: readonly CheckedSource[], options: CookieOptions): Reader {
  switch (source.in) {
    case 'header':
      return source.scheme === null
        ? wholeHeader(source.name)
        : headerOfScheme(source.name, source.scheme, !all.some((other) => isWhole(other, source.name)));
    case 'cookie':
      return cookieReader(cookieNames(source.name, options));
    case 'function':
      return functionReader(source.find, source.path);
  }
}

function isWhole(source: CheckedSource, name: string): boolean {
  return source.in === 'header' && source.name === name && source.scheme === null;
}

/**
 * What a cookie contains, or a function returns; undefined if that is nothing. Reading throws `LoginError`
 * `token_malformed` for anything but a string. Throws a `TypeError` if the option, which `path` names, is invalid.
 */
export function createValueSource(
  from: CookieSource | TokenFunction,
  path: string,
): (req: AppRequest) => string | undefined {
  if (typeof from !== 'function' && !isObject(from)) {
    throw new TypeError(`${path} must be { cookie: 'name' } or a function, got ${kindOf(from)}`);
  }
  const reader =
    typeof from === 'function' ? functionReader(from, path) : cookieReader([checkCookieSource(from, path).name]);
  return (req) => reader(req)?.text;
}

// Headers

function wholeHeader(name: string): Reader {
  return function readHeader(req) {
    const value = headerOf(req, name);
    if (value === undefined) return undefined;
    return inHeader(value.trim(), value, isSentAs(memberOf(req, 'rawHeaders'), name, value));
  };
}

/** `isBareRefused`: a token without any scheme is refused. Otherwise another source reads it. */
function headerOfScheme(name: string, scheme: string, isBareRefused: boolean): Reader {
  return function readHeaderOfScheme(req) {
    const value = headerOf(req, name);
    if (value === undefined) return undefined;
    const isSent = isSentAs(memberOf(req, 'rawHeaders'), name, value);
    if (hasScheme(value, scheme)) return inHeader(value.slice(scheme.length).trim(), value, isSent);
    if (isBareRefused && BARE_TOKEN.test(value)) {
      throw malformed('The token in the header has no scheme in front of it, such as Bearer');
    }
    return undefined;
  };
}

/** Three parts of base64url, of which the first begins as JSON objects do. */
const BARE_TOKEN = /^\s*e[wy][\w-]*\.[\w-]+\.[\w-]*\s*$/;

/** Requests of test kits and adapters may have none. */
function headersOf(req: AppRequest): IncomingHttpHeaders | null | undefined {
  return memberOf(req, 'headers');
}

/** Undefined if it is absent or empty. */
function headerOf(req: AppRequest, name: string): string | undefined {
  const headers = headersOf(req);
  const value = headers?.[name];
  if (typeof value === 'string') return value === '' ? undefined : value;
  // Not of the prototype, as `constructor` would be.
  if (value === undefined || ownProperty(headers, name) === undefined) return undefined;
  throw malformed('The header with the token is not a string');
}

function hasScheme(value: string, scheme: string): boolean {
  // As clients write it, without a new string.
  if (scheme === 'bearer' && value.startsWith('Bearer ')) return true;
  if (value.slice(0, scheme.length).toLowerCase() !== scheme) return false;
  const next = value.charAt(scheme.length);
  return next === '' || next === ' ' || next === '\t';
}

function inHeader(text: string, header: string, isHeaderSent: boolean): SentToken {
  if (text === '') throw malformed('The header has no token');
  // Not by a regular expression, which takes longer than everything else here.
  if (text.includes(' ') || text.includes('\t')) throw malformed('The header has more than one token');
  return { text, others: NO_OTHERS, from: 'header', header: isHeaderSent ? header : null, isHeaderSent };
}

/**
 * Whether the client sent the header with this value. `rawHeaders` has all names and values as they were sent; true if there
 * are none. Throws `token_malformed` if the client sent several: Node keeps only the first of some headers in `headers`.
 */
function isSentAs(rawHeaders: readonly string[] | undefined, name: string, value: string): boolean {
  if (rawHeaders === undefined || rawHeaders.length === 0) return true;
  let count = 0;
  let isSame = false;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const sent = rawHeaders[index] ?? '';
    if (sent.length !== name.length || (sent !== name && sent.toLowerCase() !== name)) continue;
    count += 1;
    isSame = rawHeaders[index + 1] === value;
  }
  if (count > 1) throw malformed('There is more than one header with a token');
  return isSame;
}

// Cookies and functions

/** The first of these cookies that is present. */
function cookieReader(names: readonly string[]): Reader {
  const readers = names.map(createCookieReader);
  return function readCookies(req) {
    for (const reader of readers) {
      const values = reader(req);
      const text = values[0];
      if (text === undefined) continue;
      const others = values.length === 1 ? NO_OTHERS : values.slice(1);
      return { text, others, from: 'cookie', header: cookieAlone(req) ?? null, isHeaderSent: false };
    }
    return undefined;
  };
}

function functionReader(find: TokenFunction, path: string): Reader {
  return function readByFunction(req) {
    const text: unknown = find(req);
    if (text === undefined || text === null || text === '') return undefined;
    refusePromise(text, `${path} must return the string itself, not a promise of it`);
    if (typeof text !== 'string') throw malformed('The token is not a string');
    return { text, others: NO_OTHERS, from: 'function', header: null, isHeaderSent: false };
  };
}

// Headers that decide alone

function decidingHeaders(sources: readonly CheckedSource[], options: CookieOptions): readonly DecidingHeader[] {
  const deciding: DecidingHeader[] = [];
  for (const source of sources) {
    if (source.in === 'function') break;
    deciding.push(source.in === 'header' ? decidingHeader(source.name) : decidingCookie(source.name, options));
  }
  return deciding;
}

function decidingHeader(name: string): DecidingHeader {
  return {
    of: (req) => {
      const value = headersOf(req)?.[name];
      if (value === undefined || value === '') return undefined;
      return typeof value === 'string' && isSentAs(memberOf(req, 'rawHeaders'), name, value) ? value : null;
    },
    keyOf: cacheKey,
  };
}

function decidingCookie(name: string, options: CookieOptions): DecidingHeader {
  const names = cookieNames(name, options).map((each) => `${each}=`);
  return {
    of: cookieAlone,
    keyOf: (header) => {
      for (const each of names) {
        const at = header.indexOf(each);
        if (at === -1) continue;
        const end = header.indexOf(';', at);
        return cacheKey(end === -1 ? header : header.slice(at, end));
      }
      return '';
    },
  };
}

/** Null if cookie-parser, or somebody else, has set what is read as well. */
function cookieAlone(req: AppRequest): string | undefined | null {
  if (Object.hasOwn(req, 'cookies') || Object.hasOwn(req, 'signedCookies')) return null;
  const cookie: unknown = headersOf(req)?.cookie;
  return cookie === undefined || typeof cookie === 'string' ? cookie : null;
}

function malformed(message: string): LoginError {
  return new LoginError('token_malformed', message);
}
