/** The login cookie: its name and attributes, writing and clearing. */

import type { ServerResponse } from 'node:http';
import { stringifySetCookie } from 'cookie';
import { COOKIE_ADVICE } from '../core/advice.js';
import { aBoolean, checkOptions, oneOf, type Kind, type OptionKinds } from '../core/check.js';
import { isLoginError } from '../core/errors.js';
import type { AppRequest } from './app-request.js';
import { addHeader } from './respond.js';
import { createCookieReader, isSent, type CookieReader } from './sent-cookies.js';

/**
 * The login cookie, wherever it is written or cleared. A browser deletes a cookie only if path and domain are the same.
 *
 * If it is `Secure`, has the path `/` and no domain, it is written as `__Host-<name>`, which no subdomain can set. While that
 * cookie is there, the plain name is not read.
 */
export interface CookieOptions {
  /** Default: the name that the option `from` reads. Without `from`, this name is read: default `'login_token'`. */
  readonly name?: string;
  /** Default `/`. */
  readonly path?: string;
  /** Default: the host alone. With a domain, the cookie of the host alone is cleared too. */
  readonly domain?: string;
  /** Default `'lax'`. `'none'` makes the cookie `Secure`, because browsers require it. */
  readonly sameSite?: 'strict' | 'lax' | 'none';
  /** Default: if the request came over https, and always if the name or another attribute requires it. */
  readonly secure?: boolean;
  /** A cookie of its own for each top-level site (CHIPS). Makes the cookie `Secure`. Default false. */
  readonly partitioned?: boolean;
}

export interface LoginCookie {
  /** Every value that was sent under any of its names, even if only one of them is read. What is malformed is left out. */
  sent(req: AppRequest): readonly string[];
  /** Whether browsers keep this value. */
  fits(value: string): boolean;
  /** Sets the cookie until a time, in milliseconds since 1970. Clears those that were sent and would be read instead of it. */
  write(req: AppRequest, res: ServerResponse, value: string, endsAt: number): void;
  /** Clears it under every name. */
  clear(res: ServerResponse): void;
}

/** The longest name and value together that browsers keep (RFC 6265bis, section 5.6). */
const COOKIE_LIMIT = 4096;

/** RFC 6265, section 4.1.1, as far as all browsers follow it. */
const COOKIE_NAME = /^[\w!#$%&'*+.^`|~-]{1,256}$/;

/** RFC 6265, section 4.1.2.3, with the leading dot that browsers ignore. */
const DOMAIN = /^\.?[a-z\d](?:[a-z\d-]*[a-z\d])?(?:\.[a-z\d](?:[a-z\d-]*[a-z\d])?)*$/i;

export const cookieName: Kind = {
  accepts: (value) => typeof value === 'string' && COOKIE_NAME.test(value),
  words: "a valid cookie name such as 'login_token'",
};

const COOKIE_OPTIONS: OptionKinds<CookieOptions> = {
  name: cookieName,
  path: {
    accepts: (value) => typeof value === 'string' && /^\/[\x20-\x3a\x3c-\x7e]*$/.test(value),
    words: "a string that is a path such as '/shop'",
  },
  domain: {
    accepts: (value) => typeof value === 'string' && DOMAIN.test(value),
    words: "a string that is a domain such as 'example.com'",
  },
  sameSite: oneOf('strict', 'lax', 'none'),
  secure: aBoolean,
  partitioned: aBoolean,
};

/** Throws a `TypeError` for an invalid option, and for attributes that no browser accepts together. */
export function checkCookieOptions(value: unknown = {}): CookieOptions {
  // Each value was checked for the type that the interface says.
  const options = checkOptions<CookieOptions>(value, 'cookie', COOKIE_OPTIONS, {
    advice: COOKIE_ADVICE,
  }) as CookieOptions;
  if (options.secure === false && requiresSecure(options, options.name ?? '')) {
    throw new TypeError('cookie.secure must not be false: the name, sameSite or partitioned requires a Secure cookie');
  }
  if (/^__Host-/i.test(options.name ?? '') && (options.domain !== undefined || (options.path ?? '/') !== '/')) {
    throw new TypeError("cookie.name begins with __Host-: the cookie must have no domain, and the path '/'");
  }
  return options;
}

function requiresSecure({ sameSite, partitioned = false }: CookieOptions, name: string): boolean {
  return sameSite === 'none' || partitioned || /^__(?:Host|Secure)-/i.test(name);
}

const HOST_PREFIX = '__Host-';

/** The names under which a cookie is read, in this order. */
export function cookieNames(name: string, options: CookieOptions): readonly string[] {
  const { path = '/', domain, secure } = options;
  const isPrefixed = /^__(?:Host|Secure)-/i.test(name);
  return isPrefixed || path !== '/' || domain !== undefined || secure === false ? [name] : [HOST_PREFIX + name, name];
}

/** What the cookie is made with. */
export interface CookieParts {
  readonly clock: { now(): number };
  readonly isSecure: (req: AppRequest) => boolean;
  /** The cookies that are read besides it, which are cleared with it. */
  readonly others?: readonly string[];
}

export function createLoginCookie(plainName: string, options: CookieOptions, parts: CookieParts): LoginCookie {
  const { clock, isSecure, others = [] } = parts;
  const { path = '/', domain, sameSite = 'lax', partitioned = false } = options;
  const [safestName = plainName] = cookieNames(plainName, options);
  const mustBeSecure = requiresSecure(options, plainName);
  const always = { path, sameSite, httpOnly: true, ...(partitioned && { partitioned }) };
  // Also as it was written before the options ruled out its __Host- name: it would count again if they are taken back.
  const all = [plainName, ...others].flatMap((each) => [each, ...cookieNames(each, {})]);
  const known = [...new Set(all)].map((name) => ({
    name,
    read: createCookieReader(name),
    clear: createCookieClearer(name, name.startsWith(HOST_PREFIX) ? { sameSite, partitioned } : options),
  }));
  return {
    sent: (req) => known.flatMap(({ read }) => valuesOf(read, req)),
    fits: (value) => safestName.length + value.length <= COOKIE_LIMIT,
    write(req, res, value, endsAt) {
      if (res.headersSent) return;
      const secure = options.secure ?? (mustBeSecure || isSecure(req));
      const name = secure ? safestName : plainName;
      for (const other of known) {
        if (other.name !== name && isSent(other.name, req)) other.clear(res);
      }
      const cookie = stringifySetCookie({
        ...always,
        name,
        value,
        ...(domain !== undefined && { domain }),
        secure,
        maxAge: Math.max(0, Math.floor((endsAt - clock.now()) / 1000)),
        expires: new Date(endsAt),
      });
      addHeader(res, 'Set-Cookie', cookie);
    },
    clear(res) {
      for (const each of known) each.clear(res);
    },
  };
}

function valuesOf(read: CookieReader, req: AppRequest): readonly string[] {
  try {
    return read(req);
  } catch (error) {
    if (isLoginError(error)) return [];
    throw error;
  }
}

/** Clears a cookie that was set with these attributes. A page on https can clear it whether it is `Secure` or not. */
export function createCookieClearer(name: string, options: CookieOptions = {}): (res: ServerResponse) => void {
  const { path = '/', domain, sameSite = 'lax', partitioned = false } = options;
  const secure = options.secure ?? requiresSecure(options, name);
  const cleared = { name, value: '', path, sameSite, secure, httpOnly: true, maxAge: 0, expires: new Date(0) };
  const whole = { ...cleared, ...(partitioned && { partitioned }) };
  const headers = [stringifySetCookie(whole)];
  if (domain !== undefined) headers.push(stringifySetCookie({ ...whole, domain }));
  return function clearCookie(res) {
    if (!res.headersSent) addHeader(res, 'Set-Cookie', headers);
  };
}
