/** Every option: its type, default, unit and check. An invalid one throws at construction, and the error names it. */

import { createSecretKey, KeyObject } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  aBoolean,
  aFunction,
  anything,
  checkOptions,
  isObject,
  kindOf,
  oneOf,
  type OptionKinds,
} from './core/check.js';
import type { Claims } from './core/claims.js';
import { durationMs, type Duration } from './core/duration.js';
import type { LoginError } from './core/errors.js';
import { handlesBy, type Handles } from './core/handles.js';
import { refusePromise } from './core/hooks.js';
import type { UserResult } from './http/authenticate.js';
import type { TrustProxy } from './http/client-address.js';
import { checkCookieOptions, type CookieOptions } from './http/cookie.js';
import { checkOrigins, type Origins } from './http/forgery.js';
import type { LoginUser } from './http/request.js';
import type { Next } from './http/respond.js';
import type { TokenSourceOption } from './http/token-source.js';
import type { WhenStoreDown } from './ledger/ledger.js';
import type { SessionStore } from './stores/store.js';
import type { IssuerOptions } from './tokens/issuer.js';
import type { IssuerFunction } from './tokens/tenants.js';

export interface ManagedSessionsOptions<User = LoginUser> {
  /**
   * Who issues the tokens: one issuer or several, each with a name of its own. Or a function `(iss) => issuer options | null |
   * Promise<…>`, for issuers that are not known at startup, such as one per tenant.
   *
   * It is called once for an unknown `iss` (at most 512 characters), after everything is checked that no option of an issuer
   * can change. Nothing is signed by then: anybody can trigger a call with an `iss` that they made up. So decide by the name
   * first. The options must be valid, with exactly this `issuer` and without `withoutIssuer`.
   *
   * Up to 1,000 issuers are held. The least recently used are evicted, and asked for again when they are needed. A null is
   * the error `issuer_refused` (401), and is remembered for 60 s, up to 10,000 of them. If the function throws, rejects, gives
   * no result within 5 s, or returns something else, the error is `keys_unavailable` (503), the event `keysDown` and a process
   * warning say why, and it is called again after 1 s. Requests that wait for the same issuer share a call.
   */
  issuer: IssuerOptions | readonly IssuerOptions[] | IssuerFunction;
  /** Where sessions are kept. Default `memoryStore()`, for a single process. */
  store?: SessionStore;
  /**
   * Where the token is if there is no `Authorization: Bearer`. A function replaces both. Default: the cookie of the option
   * `cookie`, `{ cookie: 'login_token' }`.
   */
  from?: TokenSourceOption;
  /** Name and attributes of the login cookie, wherever it is written or cleared. */
  cookie?: CookieOptions;
  /**
   * Origins such as `https://www.example.com`, besides the site's own, whose pages may send requests that change something
   * with the cookie. `'any'` switches this protection off. Default: none.
   */
  origins?: Origins;
  /**
   * Returns `req.user`, or a promise of it. Called once for each request; what it throws or rejects with goes to `next`. Null,
   * undefined or false: there is no such user, and the error is `user_refused` (401). The claims are frozen. Default: a
   * {@link LoginUser}.
   */
  user?: (claims: Claims) => UserResult<User>;
  /** Absolute lifetime of a session, `'1s'` to `'366d'`. Default: only the tokens' `exp` limits it. */
  lifetime?: Duration | ((claims: Claims) => Duration | null | undefined);
  /** Ends a session that has not been used for this long, `'1s'` to `'366d'`. Default: never. */
  idleTimeout?: Duration;
  /** The most live sessions per user, at least 1. Default 100; `Infinity` removes the limit. */
  maxSessionsPerUser?: number;
  /** What a login above that limit does. Default `'end-oldest'`: it ends the session that was last seen longest ago. */
  atSessionLimit?: 'end-oldest' | 'refuse';
  /**
   * Whether the session of these claims is recorded. Default: every session is. If false, as for machine tokens, the token
   * is verified, and `revoke` and `revokeAll` end its session like any other. But the session is in no list, does not count
   * towards the limit, has no idle timeout and is not reported as started. Must return a boolean. Called whenever the store
   * is.
   */
  track?: (claims: Claims) => boolean;
  /** How often a session's last-seen time is written, `'100ms'` to `'1d'`. Default `'60s'`, at most a quarter of `idleTimeout`. */
  activityInterval?: Duration;
  /** The longest time until an acknowledged revocation is in force in every process, `'1s'` to `'1h'` and more than `storeTimeout`. Default `'5s'`. */
  revocationBound?: Duration;
  /**
   * How long an ended session stays ended after its last known token, `'1m'` to `'366d'`: at least as long as the issuer's
   * refresh tokens live. What a session that nobody ended is judged by is kept as long. Default `'30d'`.
   */
  tombstoneFor?: Duration;
  /**
   * What happens to requests if neither the feed nor the store can be reached. Default `'refuse'` (503). `{ allowFor }`:
   * sessions that this process knew to be live pass for that long. `'allow'`: every valid token passes. A session known to
   * be ended never passes.
   */
  whenStoreDown?: 'refuse' | 'allow' | { allowFor: Duration };
  /** The longest wait for the store, `'50ms'` to `'1m'`. Default `'1s'`. */
  storeTimeout?: Duration;
  /** How much of an address is recorded: `'truncated'` keeps its /24 or /48. Default `'full'`. */
  recordIp?: 'full' | 'truncated' | 'none';
  /** As Express's `trust proxy`, for Connect; in Express its own setting applies. Default: no proxy is trusted. */
  trustProxy?: TrustProxy;
  /** Answers refused requests instead of the middleware. */
  onRefused?: (error: LoginError, req: IncomingMessage, res: ServerResponse, next: Next) => unknown;
  /** Where browsers are redirected (303) instead of a 401: a path or an absolute http(s) URL. */
  loginUrl?: string;
  /**
   * Encrypts handles, so that a handle cannot be computed from a session id. At least 16 bytes. It can be set or changed at
   * any time: sessions go on, and ended ones stay ended. With a list of up to eight, handles are shown by the first secret,
   * and those that were shown by the others still work; `null` in it stands for none. Default: none.
   */
  handleSecret?: HandleSecret | readonly (HandleSecret | null)[];
  /**
   * Asks browsers by `Accept-CH` for what their user agent no longer contains: Windows 11 instead of 10, and the model of an
   * Android phone. Browsers respond only on secure pages. An `Accept-CH` that a response already has is kept. Default false.
   */
  clientHints?: boolean;
  /** Milliseconds since 1970, for every expiry, cooldown and age. Default `Date`. */
  clock?: Clock;
}

export type HandleSecret = string | Buffer | KeyObject;

export interface Clock {
  now(): number;
}

/** The options as the parts use them: checked, in milliseconds, with all defaults. */
export interface Settings {
  /** Those that are known at startup. Empty if there is an `issuerFunction`. */
  readonly issuers: readonly IssuerOptions[];
  readonly issuerFunction: IssuerFunction | undefined;
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
  readonly handles: Handles;
  readonly clientHints: boolean;
  readonly cookie: CookieOptions;
  readonly origins: Origins;
  readonly clock: Clock;
}

/** Options of the kind `anything` have a check of their own, below or in the part that uses them. */
const OPTIONS: OptionKinds<ManagedSessionsOptions> = {
  issuer: anything,
  store: anything,
  from: anything,
  cookie: anything,
  origins: anything,
  user: aFunction('that takes the claims and returns req.user'),
  lifetime: anything,
  idleTimeout: anything,
  maxSessionsPerUser: {
    accepts: (value) => value === Infinity || (Number.isInteger(value) && Number(value) >= 1),
    words: 'an integer of at least 1, or Infinity',
  },
  atSessionLimit: oneOf('end-oldest', 'refuse'),
  track: aFunction('that takes the claims and returns a boolean'),
  activityInterval: anything,
  revocationBound: anything,
  tombstoneFor: anything,
  whenStoreDown: anything,
  storeTimeout: anything,
  recordIp: oneOf('full', 'truncated', 'none'),
  trustProxy: anything,
  onRefused: aFunction('that takes (error, req, res, next)'),
  loginUrl: {
    accepts: (value) => typeof value === 'string' && isLoginUrl(value),
    words: 'a path that begins with one slash, or an absolute http(s) URL',
  },
  handleSecret: anything,
  clientHints: aBoolean,
  clock: { accepts: isClock, words: 'an object with a method now() that returns milliseconds since 1970' },
};

const YEAR = { min: '1s', max: '366d' } as const;

/** Throws a `TypeError` that names the first invalid option. */
export function checkedSettings<User>(options: ManagedSessionsOptions<User>): Settings {
  // What `user` returns does not matter here.
  checkOptions<ManagedSessionsOptions>(options, 'managedSessions()', OPTIONS, '');
  const storeTimeout = duration(options, 'storeTimeout', '1s', { min: '50ms', max: '1m' });
  const revocationBound = duration(options, 'revocationBound', '5s', { min: '1s', max: '1h' });
  if (revocationBound <= storeTimeout) {
    throw new TypeError(
      `revocationBound must be more than storeTimeout (${String(storeTimeout)} ms), got ${String(revocationBound)} ms`,
    );
  }
  const idleTimeout = options.idleTimeout === undefined ? null : durationMs(options.idleTimeout, 'idleTimeout', YEAR);
  const activityInterval = duration(options, 'activityInterval', '60s', { min: '100ms', max: '1d' });
  checkStore(options);
  return {
    issuers: typeof options.issuer === 'function' ? [] : issuersOf(options.issuer),
    issuerFunction: typeof options.issuer === 'function' ? options.issuer : undefined,
    lifetime: lifetimeOf(options.lifetime),
    idleTimeout,
    maxSessionsPerUser: options.maxSessionsPerUser ?? 100,
    atSessionLimit: options.atSessionLimit ?? 'end-oldest',
    track: trackOf(options.track),
    // If the last-seen time were written too rarely, another process could take a session in use for an idle one.
    activityInterval: idleTimeout === null ? activityInterval : Math.min(activityInterval, idleTimeout / 4),
    revocationBound,
    tombstoneFor: duration(options, 'tombstoneFor', '30d', { min: '1m', max: '366d' }),
    whenStoreDown: whenStoreDownOf(options.whenStoreDown),
    storeTimeout,
    recordIp: options.recordIp ?? 'full',
    loginUrl: options.loginUrl,
    handles: handlesBy(...handleSecretsOf(options.handleSecret)),
    clientHints: options.clientHints ?? false,
    cookie: checkCookieOptions(options.cookie),
    origins: checkOrigins(options.origins),
    clock: options.clock ?? Date,
  };
}

function duration(
  options: ManagedSessionsOptions<unknown>,
  name: 'activityInterval' | 'revocationBound' | 'storeTimeout' | 'tombstoneFor',
  usual: Duration,
  range: { min: Duration; max: Duration },
): number {
  // Not ??, because null is invalid.
  const { [name]: value = usual } = options;
  return durationMs(value, name, range);
}

function issuersOf(value: unknown): readonly IssuerOptions[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0) throw new TypeError('issuer must be an issuer or a list of at least one, got an empty list');
  for (const issuer of list) {
    if (typeof issuer === 'function') {
      throw new TypeError('issuer must be a function, or a list of issuers, but not a list with a function');
    }
    if (!isObject(issuer)) {
      throw new TypeError(`issuer must be an object such as { issuer, jwksUri, audience }, got ${kindOf(issuer)}`);
    }
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
    refusePromise(chosen, 'lifetime must return a duration, not a promise of it');
    return chosen === undefined || chosen === null
      ? null
      : durationMs(chosen, 'lifetime (as its function returned it)', YEAR);
  };
}

function trackOf(track: ManagedSessionsOptions['track']): (claims: Claims) => boolean {
  if (track === undefined) return () => true;
  return function trackByClaims(claims) {
    const chosen: unknown = track(claims);
    refusePromise(chosen, 'track must return true or false, not a promise');
    if (typeof chosen !== 'boolean') throw new TypeError(`track must return true or false, got ${kindOf(chosen)}`);
    return chosen;
  };
}

function whenStoreDownOf(value: unknown): WhenStoreDown {
  if (value === undefined) return 'refuse';
  if (value === 'refuse' || value === 'allow') return value;
  if (!isObject(value)) {
    throw new TypeError(`whenStoreDown must be 'refuse', 'allow' or { allowFor: '30s' }, got ${kindOf(value)}`);
  }
  const { allowFor } = checkOptions<{ allowFor: Duration }>(value, 'whenStoreDown', { allowFor: anything });
  return { allowFor: durationMs(allowFor, 'whenStoreDown.allowFor', YEAR) };
}

function isLoginUrl(value: string): boolean {
  // A second slash or a backslash would make a path another host's address.
  if (!/^(?:https?:\/\/|\/(?![/\\]))[\x21-\x7e]*$/.test(value)) return false;
  return value.startsWith('/') || URL.canParse(value);
}

const HANDLE_SECRETS_LIMIT = 8;

function handleSecretsOf(value: unknown): readonly [KeyObject | null, ...(KeyObject | null)[]] {
  if (value === undefined) return [null];
  if (!Array.isArray(value)) return [handleSecretOf(value, 'handleSecret')];
  const list: readonly unknown[] = value;
  const [first, ...others] = list.map((item, index) =>
    item === null ? null : handleSecretOf(item, `handleSecret[${String(index)}]`),
  );
  if (first === undefined || list.length > HANDLE_SECRETS_LIMIT) {
    throw new TypeError(
      `handleSecret must be a secret or a list of 1 to 8 secrets, got a list of ${String(list.length)}`,
    );
  }
  return [first, ...others];
}

function handleSecretOf(value: unknown, name: string): KeyObject {
  const secret = secretKeyOf(value);
  if (secret === undefined) {
    throw new TypeError(`${name} must be a string, a Buffer or a secret KeyObject, got ${kindOf(value)}`);
  }
  if ((secret.symmetricKeySize ?? 0) < 16) throw new TypeError(`${name} must have at least 16 bytes`);
  return secret;
}

function secretKeyOf(value: unknown): KeyObject | undefined {
  if (value instanceof KeyObject) return value.type === 'secret' ? value : undefined;
  if (typeof value === 'string') return createSecretKey(Buffer.from(value, 'utf8'));
  return Buffer.isBuffer(value) ? createSecretKey(value) : undefined;
}

function isClock(value: unknown): boolean {
  const isHolder = (typeof value === 'object' && value !== null) || typeof value === 'function';
  return isHolder && 'now' in value && typeof value.now === 'function';
}

const STORE_METHODS: Readonly<Record<Exclude<keyof SessionStore, 'origin'>, true>> = {
  configure: true,
  sight: true,
  list: true,
  get: true,
  label: true,
  revoke: true,
  revokeAll: true,
  restore: true,
  endEverywhere: true,
  catchUp: true,
  feed: true,
  health: true,
  close: true,
};

function checkStore(options: { readonly store?: unknown }): void {
  const { store } = options;
  if (store === undefined) {
    if (!Object.hasOwn(options, 'store')) return;
    throw new TypeError('store is given as undefined: leave it out for memoryStore(), which serves a single process');
  }
  if (!isObject(store)) {
    throw new TypeError(
      `store must be memoryStore(), redisStore(...) or a store of the same contract, got ${kindOf(store)}`,
    );
  }
  const missing = Object.keys(STORE_METHODS).filter((method) => typeof store[method] !== 'function');
  if (missing.length === 0) return;
  const names = missing.map((method) => `${method}()`).join(', ');
  throw new TypeError(`store must have every method of SessionStore, and lacks ${names}`);
}
