/** The values of one cookie in a request. There may be several: for another path, or planted by a subdomain. */

import { LoginError } from '../core/errors.js';
import { ownProperty, type AppRequest } from './app-request.js';

/** The most values that are examined. Each costs up to one verification. */
export const EXAMINED = 4;

const NONE: readonly string[] = [];

export type CookieReader = (req: AppRequest) => readonly string[];

/**
 * Reads a cookie: its different values in the order in which they were sent. Empty ones are left out. If there are more than
 * may be examined, one more is returned. What cookie-parser found counts: a cookie that it parsed or whose signature it
 * verified. It knows only the first of several.
 *
 * Reading throws `LoginError` `token_malformed` if cookie-parser found a wrong signature, or a value that is not a string.
 */
export function createCookieReader(name: string): CookieReader {
  const sentCookies = createHeaderReader(name);
  const isPrefixed = PREFIXED.test(name);
  return function readCookie(req) {
    const cookie = ownProperty(req.headers, 'cookie');
    const sent = typeof cookie === 'string' ? sentCookies(cookie) : NONE;
    // Older parsers trim more of a name than browsers do, so that a cookie of another name passes for a protected one.
    if (isPrefixed && cookie !== undefined && sent.length === 0) return NONE;
    const signed = ownProperty(req.signedCookies, name);
    if (signed === false) throw new LoginError('token_malformed', 'The signature of the cookie is invalid');
    if (isFilled(signed)) return allSigned(stringOf(signed), sent);
    if (sent.length > 1 || (isPrefixed && sent.length === 1)) return sent;
    const parsed = ownProperty(req.cookies, name);
    return isFilled(parsed) ? [unquoted(stringOf(parsed))] : sent;
  };
}

/**
 * A signed cookie, and the others of its name that look signed: somebody with an account may plant their own, in front of the
 * right one. Unsigned ones do not count.
 */
function allSigned(first: string, sent: readonly string[]): readonly string[] {
  if (sent.length < 2) return [first];
  if (sent.length > EXAMINED) return sent;
  const others = sent.filter((value) => value.startsWith('s:')).map((value) => value.slice(2, value.lastIndexOf('.')));
  return [...new Set([first, ...others])];
}

/** Browsers accept a cookie with such a name only under conditions (RFC 6265bis, section 4.1.3). */
const PREFIXED = /^__(?:Host|Secure)-/;

/** Only our own parts of the header are looked at: sites have dozens of cookies. */
function createHeaderReader(name: string): (header: string) => readonly string[] {
  return function sentCookies(header) {
    let at = header.indexOf(name);
    if (at === -1) return NONE;
    const values: string[] = [];
    while (at !== -1 && values.length <= EXAMINED) {
      const value = valueAt(header, at, at + name.length);
      if (value !== '' && !values.includes(value)) values.push(value);
      at = header.indexOf(name, at + name.length);
    }
    return values;
  };
}

/** The value of the cookie whose name is at this place; empty if the name is only a part of something else. */
function valueAt(header: string, from: number, to: number): string {
  let before = from - 1;
  while (isBlank(header, before)) before -= 1;
  if (before >= 0 && header[before] !== ';') return '';
  let equals = to;
  while (isBlank(header, equals)) equals += 1;
  if (header[equals] !== '=') return '';
  const end = header.indexOf(';', equals);
  return decoded(unquoted(header.slice(equals + 1, end === -1 ? undefined : end).trim()));
}

function isBlank(header: string, at: number): boolean {
  return header[at] === ' ' || header[at] === '\t';
}

/** Whether the `Cookie` header may have this cookie, empty or not. */
export function isSent(name: string, { headers }: AppRequest): boolean {
  const cookie = ownProperty(headers, 'cookie');
  return typeof cookie === 'string' && cookie.split(';').some((part) => part.split('=', 1)[0]?.trim() === name);
}

function isFilled(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

function stringOf(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new LoginError('token_malformed', 'The token is not a string');
}

/** RFC 6265, section 4.1.1 allows quotes around a value. */
function unquoted(value: string): string {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}

function decoded(value: string): string {
  if (!value.includes('%')) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
