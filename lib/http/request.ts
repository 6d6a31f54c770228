/** What a request says: its token, where it came from, what it accepts; and what a login adds to it. */

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { parseCookie } from 'cookie';
import proxyAddr from 'proxy-addr';
import type { Organization } from '../core/claims.js';
import { LoginError } from '../core/errors.js';
import type { Sighting } from '../core/session.js';
import { sightedUserAgent } from './user-agent.js';

/** What `req.user` is, unless the option `user` makes something else of the claims. */
export interface LoginUser {
  /** The subject. */
  readonly id: string;
  readonly issuer: string;
  readonly name?: string;
  readonly username?: string;
  readonly email?: string;
  /** Set where the issuer tells of organizations: see `authRocket()`. Empty where the person is in none. */
  readonly orgs?: readonly Organization[];
  /** The token's whole payload, deeply frozen. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** What `req.loginSession` is: the session that this request belongs to. */
export interface LoginSession {
  /** Its public id; not a credential. */
  readonly handle: string;
  readonly startedAt: Date;
  readonly expiresAt: Date;
  /** Fires when the session ends, so that streams, sockets and long polls end with it. */
  readonly signal: AbortSignal;
}

declare global {
  // eslint-disable-next-line @typescript-eslint/no-namespace -- the one place where Express, and passport, let types be merged
  namespace Express {
    // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- members come by inheritance
    interface User extends LoginUser {}
    interface Request {
      // As passport declares it: merged declarations must agree to the letter.
      user?: User | undefined;
      loginSession?: LoginSession;
      /** Why nobody is logged in, behind `optional()`. */
      loginError?: LoginError;
    }
  }
}

/** A request, with what the framework and the middleware before us may have put on it. */
export interface AppRequest extends IncomingMessage {
  user?: unknown;
  loginSession?: unknown;
  loginError?: unknown;
  readonly ip?: unknown;
  readonly app?: unknown;
  readonly cookies?: unknown;
  readonly signedCookies?: unknown;
  readonly body?: unknown;
  readonly params?: unknown;
  readonly secure?: unknown;
  originalUrl?: unknown;
}

// The token

/** Finds the token in a request; taken from a method, so that it may ask for its framework's own request type. */
export type TokenFunction = { read(req: IncomingMessage): string | undefined }['read'];

/** The cookie that is read where there is no `Authorization: Bearer`, or a function that replaces both. */
export type TokenSourceOption = { readonly cookie: string } | TokenFunction;

export interface TokenSource {
  /** The token; undefined where none was sent. Throws `LoginError` `token_malformed` for what cannot be one. */
  read(req: AppRequest): string | undefined;
  /** The cookie that is read, null where a function reads. */
  readonly cookie: string | null;
}

/** RFC 6265, section 4.1.1, as far as every browser keeps to it. */
const COOKIE_NAME = /^[\w!#$%&'*+.^`|~-]{1,256}$/;

/**
 * `Authorization: Bearer`, then the cookie: the first one present wins and the other is not tried. Throws a `TypeError`
 * where the option is wrong.
 */
export function createTokenSource(from: TokenSourceOption = { cookie: 'login_token' }): TokenSource {
  const read = createTextSource(from, 'from');
  if (typeof from === 'function') return { read, cookie: null };
  return {
    read: function readToken(req) {
      return bearerToken(req) ?? read(req);
    },
    cookie: from.cookie,
  };
}

/**
 * What a cookie holds, or a function returns; undefined where that is nothing. Reading throws `LoginError`
 * `token_malformed` for what is no text. Throws a `TypeError` where the option, called `name`, is wrong.
 */
export function createTextSource(from: TokenSourceOption, name: string): (req: AppRequest) => string | undefined {
  if (typeof from === 'function') return customText(from, name);
  const cookie = own(from, 'cookie');
  if (isCookieName(cookie)) return cookieText(cookie);
  throw new TypeError(`${name} must be a function, or { cookie: 'name' } with a valid cookie name`);
}

export function isCookieName(value: unknown): value is string {
  return typeof value === 'string' && COOKIE_NAME.test(value);
}

/** Whether the token came by a header that no other site can make a browser send. */
export function hasBearer(req: IncomingMessage): boolean {
  const { authorization } = req.headers;
  return authorization !== undefined && isBearer(authorization);
}

function bearerToken(req: IncomingMessage): string | undefined {
  const { authorization } = req.headers;
  if (authorization === undefined) return undefined;
  if (countHeaders(member(req, 'rawHeaders'), 'authorization') > 1) {
    throw new LoginError('token_malformed', 'There is more than one Authorization header');
  }
  if (!isBearer(authorization)) return undefined;
  const token = authorization.slice(SCHEME.length).trim();
  if (token === '') throw new LoginError('token_malformed', 'The Authorization header has no token');
  if (token.includes(' ') || token.includes('\t'))
    throw new LoginError('token_malformed', 'The Authorization header has more than one token');
  return token;
}

const SCHEME = 'bearer';

function isBearer(authorization: string): boolean {
  if (authorization.slice(0, SCHEME.length).toLowerCase() !== SCHEME) return false;
  const next = authorization.charAt(SCHEME.length);
  return next === '' || next === ' ' || next === '\t';
}

/** Node keeps only the first of several; what was sent is in the raw list of names and values. */
function countHeaders(rawHeaders: readonly string[], name: string): number {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const sent = rawHeaders[index] ?? '';
    if (sent.length === name.length && sent.toLowerCase() === name) count += 1;
  }
  return count;
}

function cookieText(name: string): (req: AppRequest) => string | undefined {
  // Only our own piece of the header is worth parsing: sites have dozens of cookies.
  const piece = new RegExp(`(?:^|;)[ \\t]*(${name.replace(/[$*+.^|]/g, '\\$&')}[ \\t]*=[^;]*)`);

  function sentCookie({ cookie }: IncomingHttpHeaders): string | undefined {
    const found = cookie === undefined ? null : piece.exec(cookie);
    return found?.[1] === undefined ? undefined : parseCookie(found[1])[name];
  }

  return function readCookie(req) {
    const signed = own(req.signedCookies, name);
    if (signed === false) throw new LoginError('token_malformed', 'The signature of the cookie is wrong');
    return textOrNothing(signed ?? own(req.cookies, name) ?? sentCookie(req.headers));
  };
}

function customText(from: TokenFunction, name: string): (req: AppRequest) => string | undefined {
  return function readCustom(req) {
    const value: unknown = from(req);
    if (value instanceof Promise) {
      value.catch(() => {
        // It is refused here; a rejection that nobody handles would end the process.
      });
      throw new TypeError(`${name} must return the text itself, not a promise of it`);
    }
    return textOrNothing(value);
  };
}

function textOrNothing(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw new LoginError('token_malformed', 'What was sent as the token is not a text');
  return value;
}

// Express gives each request a hidden class of its own (it sets the prototype), so `req.name` misses the inline cache every
// time, and a name that is not there is sought through eight prototypes: five times what these take.

/** The value of a property of its own. */
export function own(holder: unknown, name: string): unknown {
  if (typeof holder !== 'object' || holder === null || !Object.hasOwn(holder, name)) return undefined;
  const value: unknown = Reflect.get(holder, name);
  return value;
}

function member<Holder, Name extends keyof Holder>(holder: Holder, name: Name): Holder[Name] {
  return holder[name];
}

export function put<Name extends 'user' | 'loginSession'>(req: AppRequest, name: Name, value: AppRequest[Name]): void {
  req[name] = value;
}

// Where it came from

/** Decides whether a proxy is believed: its address, and how many hops it is away. */
export type TrustFunction = (address: string, hop: number) => boolean;

/** Express's values for `trust proxy`: all, none, a number of hops, addresses or subnets, or a function. */
export type TrustProxy = boolean | number | string | readonly string[] | TrustFunction;

/** By default no proxy is trusted. Throws a `TypeError` where the option is wrong. */
export function compileTrust(trust: TrustProxy = false): TrustFunction {
  if (typeof trust === 'function') return trust;
  if (typeof trust === 'boolean') return () => trust;
  if (typeof trust === 'number' && Number.isInteger(trust) && trust >= 0) return (_address, hop) => hop < trust;
  const addresses: unknown = typeof trust === 'string' ? trust.split(',') : trust;
  try {
    if (isTexts(addresses)) return proxyAddr.compile(addresses.map((address) => address.trim()));
  } catch {
    // Told below: what is said there does not repeat the value.
  }
  throw new TypeError(
    "trustProxy must be true, false, a number of hops, a function, or addresses such as 'loopback, 10.0.0.0/8'",
  );
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((member) => typeof member === 'string');
}

/** How much of an address is kept: all of it, its /24 or /48, or nothing. */
export type RecordIp = 'full' | 'truncated' | 'none';

/** What a {@link RequestSighting} asks about the address. */
export type ClientAddress = (req: AppRequest) => string | null;

/**
 * The client's address: Express's `req.ip` where there is one (its own `trust proxy` rules), else by `trust`; null for
 * what is no IP address. IPv4 within IPv6 is written as IPv4.
 */
export function createClientAddress(trust: TrustFunction, record: RecordIp): ClientAddress {
  if (record === 'none') return () => null;
  return function clientAddress(req) {
    return recordedAddress('ip' in req ? req.ip : proxyAddr(req, trust), record);
  };
}

/** What is kept of an address, wherever it was learned; null for what is none. */
export function recordedAddress(found: unknown, record: RecordIp): string | null {
  if (record === 'none' || typeof found !== 'string') return null;
  const address = normalAddress(found);
  return address === null || record === 'full' ? address : truncated(address);
}

const IPV4_WITHIN = /^::ffff:(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i;

function normalAddress(text: string): string | null {
  const version = isIP(text);
  if (version === 0) return null;
  if (version === 4) return text;
  const address = text.split('%', 1)[0] ?? text;
  const within = IPV4_WITHIN.exec(address);
  if (within === null) return address;
  if (within[1] !== undefined) return within[1];
  return [within[2], within[3]].flatMap((group = '') => bytesOf(parseInt(group, 16))).join('.');
}

function bytesOf(group: number): [number, number] {
  return [group >> 8, group & 0xff];
}

function truncated(address: string): string {
  if (isIP(address) === 4) return address.replace(/\d+$/, '0');
  const [head = '', tail] = address.split('::');
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - before.length - after.length }, () => 0);
  const network = [...before, ...zeros, ...after].slice(0, 3);
  while (network.at(-1) === 0) network.pop();
  return `${network.map((group) => group.toString(16)).join(':')}::`;
}

/** IPv4 at the end stands for two groups, and is never within the first three. */
function groupsOf(part: string): number[] {
  return part.split(':').flatMap((group) => (group === '' ? [] : group.includes('.') ? [0, 0] : [parseInt(group, 16)]));
}

/** One request as the ledger sees it. Reads address and user agent when asked: most requests of a known session are not. */
export class RequestSighting implements Sighting {
  readonly at: number;
  readonly #req: AppRequest;
  readonly #addressOf: ClientAddress;
  #ip: string | null | undefined;
  #userAgent: string | null | undefined;

  constructor(req: AppRequest, at: number, addressOf: ClientAddress) {
    this.at = at;
    this.#req = req;
    this.#addressOf = addressOf;
  }

  get ip(): string | null {
    if (this.#ip === undefined) this.#ip = this.#addressOf(this.#req);
    return this.#ip;
  }

  get userAgent(): string | null {
    if (this.#userAgent === undefined) this.#userAgent = sightedUserAgent(this.#req.headers);
    return this.#userAgent;
  }

  /** Reads all of it now: once the client is gone its socket no longer knows the address. */
  settle(): this {
    this.#ip = this.ip;
    this.#userAgent = this.userAgent;
    return this;
  }
}

/** Whether the browser says that a request comes from this very site: `unknown` where it says nothing. */
export type Origin = 'same' | 'cross' | 'unknown';

/**
 * `Sec-Fetch-Site`, or where that is absent `Origin` against `Host` (`X-Forwarded-Host` where the proxy is trusted, by
 * Express's own setting where Express runs). The scheme is not compared: TLS may end at a proxy.
 */
export function createOriginCheck(trust: TrustFunction): (req: AppRequest) => Origin {
  return function originOf(req) {
    const site = req.headers['sec-fetch-site'];
    if (site !== undefined) return site === 'same-origin' ? 'same' : 'cross';
    const { origin } = req.headers;
    if (origin === undefined || origin === 'null') return 'unknown';
    return hasHost(origin, hostOf(req, trust)) ? 'same' : 'cross';
  };
}

function hostOf(req: AppRequest, trust: TrustFunction): string {
  const forwarded = req.headers['x-forwarded-host'];
  const isTrusted = expressTrust(req.app) ?? trust;
  if (typeof forwarded === 'string' && isTrusted(req.socket.remoteAddress ?? '', 0)) {
    return (forwarded.split(',', 1)[0] ?? '').trim();
  }
  const authority = req.headers.host ?? req.headers[':authority'];
  return typeof authority === 'string' ? authority : '';
}

/** Whether the client speaks https: as Express says (its `trust proxy` rules), else by TLS here or by what a trusted proxy tells. */
export function createSecureCheck(trust: TrustFunction): (req: AppRequest) => boolean {
  return function isSecure(req) {
    if (typeof req.secure === 'boolean') return req.secure;
    if ('encrypted' in req.socket && req.socket.encrypted === true) return true;
    const forwarded = req.headers['x-forwarded-proto'];
    if (typeof forwarded !== 'string' || !trust(req.socket.remoteAddress ?? '', 0)) return false;
    return forwarded.split(',', 1)[0]?.trim().toLowerCase() === 'https';
  };
}

function hasHost(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false;
  const from = new URL(origin);
  // By the origin's scheme, so that a default port may be written out or not.
  const here = `${from.protocol}//${host}`;
  return /^https?:$/.test(from.protocol) && URL.canParse(here) && new URL(here).host === from.host;
}

function expressTrust(app: unknown): TrustFunction | undefined {
  if (!isExpress(app)) return undefined;
  const trust = app.get('trust proxy fn');
  return typeof trust === 'function' ? (address, hop) => trust.call(app, address, hop) === true : undefined;
}

function isExpress(app: unknown): app is { get(setting: string): unknown } {
  return typeof app === 'function' && 'get' in app && typeof app.get === 'function';
}

/** The path of a request's address, as it is written there: its beginning may be another host's name (`//host`). */
export function pathOf(url: string): string {
  return url.replace(/^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '');
}

// What it accepts

/** Whether `Accept` names `text/html` and prefers it to JSON: a wildcard does not name it. */
export function prefersHtml(accept: string | undefined): boolean {
  if (accept === undefined) return false;
  const ranges = accept.toLowerCase().split(',').map(mediaRange);
  const html = ranges.find(({ type }) => type === 'text/html');
  if (html === undefined || html.quality === 0) return false;
  const json = ranges.find(({ type }) => type === 'application/json' || type === 'application/problem+json');
  if (json !== undefined) {
    return (
      html.quality > json.quality || (html.quality === json.quality && ranges.indexOf(html) < ranges.indexOf(json))
    );
  }
  const wildcard = ranges.find(({ type }) => type === 'application/*') ?? ranges.find(({ type }) => type === '*/*');
  return html.quality >= (wildcard?.quality ?? 0);
}

function mediaRange(range: string): { readonly type: string; readonly quality: number } {
  const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
  const weight = parameters.find((parameter) => parameter.startsWith('q='));
  const quality = weight === undefined ? 1 : Number(weight.slice(2));
  return { type, quality: quality >= 0 && quality <= 1 ? quality : 0 };
}

/** Whether an HTML form, or a browser on its way to a page, sent this. */
export function isFormPost(req: IncomingMessage): boolean {
  const type = mediaType(req);
  return type === FORM_TYPE || type === 'multipart/form-data' || prefersHtml(req.headers.accept);
}

export const FORM_TYPE = 'application/x-www-form-urlencoded';

/** The body's media type, without parameters, in lower case; empty where none is named. */
export function mediaType(req: IncomingMessage): string {
  return (req.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}
