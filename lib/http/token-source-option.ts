/** The option `from`: where a request may carry its token, checked and in one shape. */

import type { IncomingMessage } from 'node:http';
import {
  aFilledString,
  checkNames,
  checkOptions,
  kindOf,
  required,
  type Kind,
  type OptionKinds,
} from '../core/check.js';
import { cookieName } from './cookie.js';

/** Finds the token in a request. Taken from a method, so that it may require its framework's own request type. */
export type TokenFunction = { read(req: IncomingMessage): string | undefined }['read'];

/**
 * A request header of your own, such as `{ header: 'x-auth-token' }`. Upper and lower case do not matter.
 *
 * With `scheme`, the header must contain that word and the token, as in `Authorization: JWT <token>`; any other content counts
 * as absent. Without it, the whole content is the token.
 */
export interface HeaderSource {
  readonly header: string;
  readonly scheme?: string;
}

/** A cookie. */
export interface CookieSource {
  readonly cookie: string;
}

/** `'bearer'` is `Authorization: Bearer` (RFC 6750, section 2.1). */
export type SingleTokenSource = 'bearer' | HeaderSource | CookieSource | TokenFunction;

/**
 * Where the token is: one source, or a list of 1 to 8 sources that are tried in order. The first one that is present is used: a
 * bad token in it never falls back to the next. A single `{ cookie }` means `['bearer', { cookie }]`. Any other single source
 * means only that one.
 */
export type TokenSourceOption = SingleTokenSource | readonly SingleTokenSource[];

export type CheckedSource =
  /** In lower case. */
  | { readonly in: 'header'; readonly name: string; readonly scheme: string | null }
  | { readonly in: 'cookie'; readonly name: string }
  | { readonly in: 'function'; readonly find: TokenFunction; readonly path: string };

export const BEARER: CheckedSource = { in: 'header', name: 'authorization', scheme: 'bearer' };

const SOURCES_LIMIT = 8;
const CHOICE = "'bearer', { header: 'x-auth-token' }, { cookie: 'login_token' } or a function";

/** Throws a `TypeError` if the option is invalid. */
export function checkTokenSources(from: unknown): readonly CheckedSource[] {
  if (!Array.isArray(from)) {
    const source = checkTokenSource(from, 'from', `${CHOICE}, or a list of these`);
    return source.in === 'cookie' ? [BEARER, source] : [source];
  }
  const list: readonly unknown[] = from;
  if (list.length === 0 || list.length > SOURCES_LIMIT) {
    throw new TypeError(`from must be one source or a list of 1 to 8 sources, got a list of ${String(list.length)}`);
  }
  const sources = list.map((each, index) => checkTokenSource(each, `from[${String(index)}]`, CHOICE));
  for (const [index, source] of sources.entries()) {
    const first = sources.findIndex((other) => isSame(other, source));
    if (first !== index) throw new TypeError(`from[${String(index)}] is the same source as from[${String(first)}]`);
  }
  return sources;
}

function checkTokenSource(from: unknown, path: string, choice: string): CheckedSource {
  if (from === 'bearer') return BEARER;
  if (typeof from === 'function') return { in: 'function', find: from as TokenFunction, path };
  if (typeof from !== 'object' || from === null || Array.isArray(from)) {
    const hint = typeof from === 'string' && /^\s*bearer\s*$/i.test(from) ? ": did you mean 'bearer'?" : '';
    throw new TypeError(`${path} must be ${choice}, got ${kindOf(from)}${hint}`);
  }
  if ('cookie' in from && 'header' in from) {
    throw new TypeError(`${path} must not have both cookie and header: give a list of sources, in their order`);
  }
  if (!('cookie' in from) && !('header' in from)) {
    checkNames(from, path, ['cookie', 'header', 'scheme']);
    throw new TypeError(`${path} must be ${choice}, got an object without cookie and header`);
  }
  return 'header' in from ? checkHeaderSource(from, path) : checkCookieSource(from, path);
}

const COOKIE_OPTIONS: OptionKinds<CookieSource> = { cookie: required(cookieName) };

/** Throws a `TypeError` for anything but `{ cookie: 'name' }`. */
export function checkCookieSource(from: unknown, path: string): Extract<CheckedSource, { in: 'cookie' }> {
  const { cookie } = checkOptions<CookieSource>(from, path, COOKIE_OPTIONS);
  return { in: 'cookie', name: String(cookie) };
}

/** RFC 9110, section 5.6.2. */
const WORD = /^[\w!#$%&'*+.^`|~-]{1,256}$/;

function aWord(words: string): Kind {
  return { accepts: (value) => aFilledString.accepts(value) && WORD.test(String(value)), words };
}

const HEADER_OPTIONS: OptionKinds<HeaderSource> = {
  header: required(aWord("the name of a header such as 'x-auth-token'")),
  scheme: aWord("a single word such as 'JWT'"),
};

function checkHeaderSource(from: object, path: string): CheckedSource {
  // Each value was checked for the type that the interface says.
  const { header, scheme } = checkOptions<HeaderSource>(from, path, HEADER_OPTIONS) as HeaderSource;
  const name = header.toLowerCase();
  // Browsers send it by themselves, so it must be known for a cookie.
  if (name === 'cookie') throw new TypeError(`${path}.header must not be 'cookie': use { cookie: 'name' }`);
  return { in: 'header', name, scheme: scheme?.toLowerCase() ?? null };
}

function isSame(one: CheckedSource, other: CheckedSource): boolean {
  if (one.in === 'function' || other.in === 'function') {
    return one.in === 'function' && other.in === 'function' && one.find === other.find;
  }
  if (one.in !== other.in || one.name !== other.name) return false;
  return one.in !== 'header' || other.in !== 'header' || one.scheme === other.scheme;
}
