/** Every option: its type, default, unit and check. A wrong one throws at construction and names itself. */

import { createSecretKey, KeyObject } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Claims } from './core/claims.js';
import { durationMs, type Duration } from './core/duration.js';
import type { LoginError } from './core/errors.js';
import type { LoginUser, TokenSourceOption, TrustProxy } from './http/request.js';
import type { Next } from './http/respond.js';
import type { WhenStoreDown } from './ledger/ledger.js';
import type { SessionStore } from './stores/store.js';
import type { IssuerOptions } from './tokens/presets.js';

export interface ManagedSessionsOptions<User = LoginUser> {
  /** Who issues the tokens that are let in: one or several, each with a name of its own. */
  issuer: IssuerOptions | readonly IssuerOptions[];
  /** Where sessions are kept. Default `memoryStore()`: for one process. */
  store?: SessionStore;
  /** Where a request carries its token, after `Authorization: Bearer`. Default `{ cookie: 'login_token' }`. A function replaces both. */
  from?: TokenSourceOption;
  /** What `req.user` is to be. Default {@link LoginUser}. Called for each request; the claims are frozen. */
  user?: (claims: Claims) => User;
  /** Absolute lifetime of a session, `'1s'` to `'366d'`. Default: the token's `exp` alone limits it. */
  lifetime?: Duration | ((claims: Claims) => Duration | null | undefined);
  /** Ends a session that was not used for this long, `'1s'` to `'366d'`. Default: never. */
  idleTimeout?: Duration;
  /** Live sessions per user, 1 or more. Default 100; `Infinity` lifts the cap. */
  maxSessionsPerUser?: number;
  /** What a login beyond the cap does. Default `'end-oldest'`: it ends the session that was seen longest ago. */
  atSessionLimit?: 'end-oldest' | 'refuse';
  /**
   * Whether the session of these claims is kept on record. Default: every one is. Where false, as for machine tokens, the
   * token is verified and `revoke` and `revokeAll` end it as any other, but it is in no list, counts for no cap, has no
   * idle timeout and is never told as started. Must return a boolean; asked whenever the store is.
   */
  track?: (claims: Claims) => boolean;
  /** How often a session's last-seen time is written, `'100ms'` to `'1d'`. Default `'60s'`; a quarter of `idleTimeout` where that is less. */
  activityInterval?: Duration;
  /** How long an acknowledged revocation may take to be in force in every process, `'1s'` to `'1h'` and more than `storeTimeout`. Default `'5s'`. */
  revocationBound?: Duration;
  /** How long an ended session is remembered after the last token that was seen in it, `'1m'` to `'366d'`. Default `'24h'`. */
  tombstoneFor?: Duration;
  /**
   * What happens to requests when neither the feed nor the store can be reached. Default `'refuse'` (503). `{ allowFor }`:
   * sessions that this process knew to be live go on that long. `'allow'`: every good token passes. A session known to be
   * ended passes in none of them.
   */
  whenStoreDown?: 'refuse' | 'allow' | { allowFor: Duration };
  /** Longest wait for the store, `'50ms'` to `'1m'`. Default `'1s'`. */
  storeTimeout?: Duration;
  /** What is kept of an address: `'truncated'` keeps /24 or /48. Default `'full'`. */
  recordIp?: 'full' | 'truncated' | 'none';
  /** Connect only, values as Express's `trust proxy`; under Express its own setting rules. Default: no proxy is trusted. */
  trustProxy?: TrustProxy;
  /** Answers refused requests instead of the middleware. */
  onRefused?: (error: LoginError, req: IncomingMessage, res: ServerResponse, next: Next) => unknown;
  /** Where browsers are sent (303) instead of a 401. A path or an absolute http(s) URL. */
  loginUrl?: string;
  /** Makes handles an HMAC, so that nobody who knows a session id can compute its handle. At least 16 bytes. */
  handleSecret?: string | Buffer | KeyObject;
  /**
   * Asks browsers by `Accept-CH` for what their user agent no longer tells: Windows 11 is then not called 10, and an
   * Android phone has its model. They heed it on secure pages alone. Default false. Where an answer has an `Accept-CH`
   * already, that one stays.
   */
  clientHints?: boolean;
  /** Milliseconds since 1970. Governs every expiry, cooldown and staleness; default `Date`. */
  clock?: Clock;
}

export interface Clock {
  now(): number;
}

/** The options as the parts use them: checked, in milliseconds, with every default in place. */
export interface Settings {
  readonly issuers: readonly IssuerOptions[];
  readonly lifetime: (claims: Claims) => number | null;
  readonly idleTimeout: number | null;
  readonly maxSessionsPerUser: number;
  readonly atSessionLimit: 'end-oldest' | 'refuse';
  readonly track: (claims: Claims) => boolean;
  readonly activityInterval: number;
  readonly revocationBound: number;
  readonly tombstoneFor: number;
  readonly whenStoreDown: WhenStoreDown;
  readonly storeTimeout: number;
  readonly recordIp: 'full' | 'truncated' | 'none';
  readonly loginUrl: string | undefined;
  readonly handleSecret: KeyObject | undefined;
  readonly clientHints: boolean;
  readonly clock: Clock;
}

const NAMES = [
  'issuer',
  'store',
  'from',
  'user',
  'lifetime',
  'idleTimeout',
  'maxSessionsPerUser',
  'atSessionLimit',
  'track',
  'activityInterval',
  'revocationBound',
  'tombstoneFor',
  'whenStoreDown',
  'storeTimeout',
  'recordIp',
  'trustProxy',
  'onRefused',
  'loginUrl',
  'handleSecret',
  'clientHints',
  'clock',
] as const satisfies readonly (keyof ManagedSessionsOptions)[];

const YEAR = { min: '1s', max: '366d' } as const;

/** Throws a `TypeError` that names the first option that is wrong. */
export function checkOptions(options: unknown): Settings {
  if (!isObject(options)) throw new TypeError(`managedSessions() takes an object of options, got ${kindOf(options)}`);
  checkNames(options, NAMES, 'managedSessions()');
  const storeTimeout = duration(options, 'storeTimeout', '1s', { min: '50ms', max: '1m' });
  const revocationBound = duration(options, 'revocationBound', '5s', { min: '1s', max: '1h' });
  if (revocationBound <= storeTimeout) {
    throw new TypeError(
      `revocationBound must be more than storeTimeout (${String(storeTimeout)} ms), got ${String(revocationBound)} ms`,
    );
  }
  const idleTimeout =
    options['idleTimeout'] === undefined ? null : durationMs(options['idleTimeout'], 'idleTimeout', YEAR);
  const activityInterval = duration(options, 'activityInterval', '60s', { min: '100ms', max: '1d' });
  checkStore(options['store']);
  optionalFunction(options, 'user', 'the claims and returns what req.user is to be');
  optionalFunction(options, 'onRefused', '(error, req, res, next)');
  return {
    issuers: issuersOf(options['issuer']),
    lifetime: lifetimeOf(options['lifetime']),
    idleTimeout,
    maxSessionsPerUser: sessionCap(options['maxSessionsPerUser']),
    atSessionLimit: oneOf(options, 'atSessionLimit', ['end-oldest', 'refuse']),
    track: trackOf(options['track']),
    // Written too rarely, the last-seen time would let another process take a used session for an idle one.
    activityInterval: idleTimeout === null ? activityInterval : Math.min(activityInterval, idleTimeout / 4),
    revocationBound,
    tombstoneFor: duration(options, 'tombstoneFor', '24h', { min: '1m', max: '366d' }),
    whenStoreDown: whenStoreDownOf(options['whenStoreDown']),
    storeTimeout,
    recordIp: oneOf(options, 'recordIp', ['full', 'truncated', 'none']),
    loginUrl: loginUrlOf(options['loginUrl']),
    handleSecret: handleSecretOf(options['handleSecret']),
    clientHints: clientHintsOf(options['clientHints']),
    clock: clockOf(options['clock']),
  };
}

/** Throws where an object has a member that is none of `names`, and says which was probably meant. */
export function checkNames(options: object, names: readonly string[], owner: string): void {
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    const meant = names.find((known) => isLikely(name, known));
    throw new TypeError(
      `${owner} has no option ${JSON.stringify(name)}${meant === undefined ? '' : `: did you mean ${meant}?`}`,
    );
  }
}

/** What a value is, in words that give nothing of it away. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'number' && !Number.isInteger(value))
    return Number.isNaN(value) ? 'NaN' : 'a number that is no whole one';
  if (value === '') return 'an empty text';
  const words = {
    string: 'a text',
    number: 'a number',
    boolean: 'a boolean',
    object: 'an object',
    undefined: 'undefined',
    function: 'a function',
    symbol: 'a symbol',
    bigint: 'a bigint',
  };
  return words[typeof value];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function duration(
  options: Record<string, unknown>,
  name: string,
  fallback: Duration,
  range: { min: Duration; max: Duration },
): number {
  return durationMs(options[name] === undefined ? fallback : options[name], name, range);
}

function oneOf<const Value extends string>(
  options: Record<string, unknown>,
  name: string,
  values: readonly [Value, ...Value[]],
): Value {
  const value = options[name];
  if (value === undefined) return values[0];
  const found = values.find((known) => known === value);
  if (found === undefined)
    throw new TypeError(
      `${name} must be one of ${values.map((known) => `'${known}'`).join(', ')}, got ${kindOf(value)}`,
    );
  return found;
}

function optionalFunction(options: Record<string, unknown>, name: string, takes: string): void {
  const value = options[name];
  if (value !== undefined && typeof value !== 'function')
    throw new TypeError(`${name} must be a function that takes ${takes}, got ${kindOf(value)}`);
}

function issuersOf(value: unknown): readonly IssuerOptions[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0) throw new TypeError('issuer must be an issuer or a list of at least one, got an empty list');
  for (const issuer of list) {
    if (!isObject(issuer))
      throw new TypeError(`issuer must be an object such as { issuer, jwksUri, audience }, got ${kindOf(issuer)}`);
  }
  return list as IssuerOptions[];
}

function lifetimeOf(value: unknown): (claims: Claims) => number | null {
  if (value === undefined) return () => null;
  if (typeof value !== 'function') {
    const fixed = durationMs(value, 'lifetime', YEAR);
    return () => fixed;
  }
  const byClaims = value as (claims: Claims) => unknown;
  return function lifetimeByClaims(claims) {
    const chosen = byClaims(claims);
    return chosen === undefined || chosen === null
      ? null
      : durationMs(chosen, 'lifetime (as its function returned it)', YEAR);
  };
}

function trackOf(value: unknown): (claims: Claims) => boolean {
  if (value === undefined) return () => true;
  if (typeof value !== 'function')
    throw new TypeError(`track must be a function that takes the claims and returns a boolean, got ${kindOf(value)}`);
  const byClaims = value as (claims: Claims) => unknown;
  return function trackByClaims(claims) {
    const chosen = byClaims(claims);
    if (typeof chosen !== 'boolean') throw new TypeError(`track must return true or false, got ${kindOf(chosen)}`);
    return chosen;
  };
}

function sessionCap(value: unknown): number {
  if (value === undefined) return 100;
  if (value === Infinity || (Number.isInteger(value) && (value as number) >= 1)) return value as number;
  throw new TypeError(`maxSessionsPerUser must be a whole number of at least 1, or Infinity, got ${kindOf(value)}`);
}

function whenStoreDownOf(value: unknown): WhenStoreDown {
  if (value === undefined) return 'refuse';
  if (value === 'refuse' || value === 'allow') return value;
  if (isObject(value)) {
    checkNames(value, ['allowFor'], 'whenStoreDown');
    return { allowFor: durationMs(value['allowFor'], 'whenStoreDown.allowFor', YEAR) };
  }
  throw new TypeError(`whenStoreDown must be 'refuse', 'allow' or { allowFor: '30s' }, got ${kindOf(value)}`);
}

function loginUrlOf(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  // A second slash or a backslash would make a path another host's address.
  if (typeof value === 'string' && /^(?:https?:\/\/|\/(?![/\\]))[\x21-\x7e]*$/.test(value)) {
    if (value.startsWith('/') || URL.canParse(value)) return value;
  }
  throw new TypeError(
    `loginUrl must be a path that begins with one slash, or an absolute http(s) URL, got ${kindOf(value)}`,
  );
}

function handleSecretOf(value: unknown): KeyObject | undefined {
  if (value === undefined) return undefined;
  const isKey = value instanceof KeyObject;
  if (!isKey && typeof value !== 'string' && !Buffer.isBuffer(value)) {
    throw new TypeError(`handleSecret must be a text, a Buffer or a secret KeyObject, got ${kindOf(value)}`);
  }
  if (isKey && value.type !== 'secret')
    throw new TypeError(`handleSecret must be a secret KeyObject, got a ${value.type} one`);
  const secret = isKey ? value : createSecretKey(typeof value === 'string' ? Buffer.from(value, 'utf8') : value);
  if ((secret.symmetricKeySize ?? 0) < 16) throw new TypeError('handleSecret must have at least 16 bytes');
  return secret;
}

function clientHintsOf(value: unknown): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false;
  throw new TypeError(`clientHints must be true or false, got ${kindOf(value)}`);
}

function clockOf(value: unknown): Clock {
  if (value === undefined) return Date;
  if (isClock(value)) return value;
  throw new TypeError(`clock must have a method now() that returns milliseconds since 1970, got ${kindOf(value)}`);
}

function isClock(value: unknown): value is Clock {
  const isHolder = (typeof value === 'object' && value !== null) || typeof value === 'function';
  return isHolder && 'now' in value && typeof value.now === 'function';
}

const STORE_METHODS = [
  'configure',
  'sight',
  'list',
  'get',
  'label',
  'revoke',
  'revokeAll',
  'restore',
  'feed',
  'health',
  'close',
] as const satisfies readonly (keyof SessionStore)[];

function checkStore(value: unknown): void {
  if (value === undefined) return;
  const missing = isObject(value) ? STORE_METHODS.find((method) => typeof value[method] !== 'function') : undefined;
  if (!isObject(value))
    throw new TypeError(
      `store must be memoryStore(), redisStore(...) or a store of the same contract, got ${kindOf(value)}`,
    );
  if (missing !== undefined) throw new TypeError(`store must have the method ${missing}(): see SessionStore`);
}

/** One letter too many, too few or wrong, or only the case differs. */
function isLikely(typed: string, known: string): boolean {
  const a = typed.toLowerCase();
  const b = known.toLowerCase();
  if (a === b) return true;
  if (Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  return Math.max(a.length, b.length) - start - end <= 2;
}
