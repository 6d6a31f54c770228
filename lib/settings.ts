/** The options, checked and with all defaults. An invalid one throws at construction, and the error names it. */

import { IncomingMessage } from 'node:http';
import { TOP_ADVICE } from './core/advice.js';
import {
  aBoolean,
  aClock,
  aFunction,
  anything,
  checkOptions,
  isObject,
  kindOf,
  neverUndefined,
  oneOf,
  type OptionKinds,
} from './core/check.js';
import type { Claims } from './core/claims.js';
import { durationMs, type Duration } from './core/duration.js';
import { handlesFrom, type Handles } from './core/handles.js';
import { refusePromise } from './core/hooks.js';
import { createClientOf, type ClientOf } from './http/client.js';
import { compileTrust, type TrustFunction } from './http/client-address.js';
import { checkCookieOptions, type CookieOptions } from './http/cookie.js';
import { checkOrigins, type Origins } from './http/forgery.js';
import { createLoginUrl, type LoginUrlFor } from './http/login-url.js';
import type { WhenStoreDown } from './ledger/ledger.js';
import type { Clock, ManagedSessionsOptions } from './options.js';
import { checkStore } from './stores/check-store.js';
import type { IssuerOptions } from './tokens/issuer.js';
import type { IssuerFunction } from './tokens/tenants.js';
import { MAX_TOKEN_LENGTH } from './tokens/token-form.js';

/** The options as the parts use them, in milliseconds. */
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
  readonly trust: TrustFunction;
  readonly clientOf: ClientOf;
  readonly loginUrlFor: LoginUrlFor | undefined;
  readonly handles: Handles;
  readonly clientHints: boolean;
  readonly sessionIndex: boolean;
  readonly cookie: CookieOptions;
  readonly origins: Origins;
  readonly maxTokenLength: number;
  readonly clock: Clock;
}

/** Options of the kind `anything` have a check of their own, below or in the part that uses them. */
const OPTIONS: OptionKinds<ManagedSessionsOptions> = {
  issuer: anything,
  store: neverUndefined(anything, 'leave it out for memoryStore(), which serves a single process'),
  from: anything,
  cookie: anything,
  origins: anything,
  maxTokenLength: {
    accepts: (value) => Number.isInteger(value) && Number(value) >= 256 && Number(value) <= 65_536,
    words: 'an integer from 256 to 65536, the number of characters',
  },
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
  client: aFunction('that takes the request and returns { ip, userAgent }'),
  onRefused: aFunction('that takes (error, req, res, next)'),
  loginUrl: anything,
  handleSecret: neverUndefined(anything, 'leave it out if handles are not to be encrypted'),
  clientHints: aBoolean,
  sessionIndex: aBoolean,
  clock: aClock,
};

/** Reads `Date` at each call, so that fake timers that replace it later have their effect. */
const MACHINE_CLOCK: Clock = { now: () => Date.now() };

const YEAR = { min: '1s', max: '366d' } as const;

/** Throws a `TypeError` that names the first invalid option. */
export function checkedSettings<User>(options: ManagedSessionsOptions<User>): Settings {
  if (options instanceof IncomingMessage) {
    throw new TypeError('managedSessions is not a request handler; call it once: app.use(managedSessions({ issuer }))');
  }
  // What `user` returns does not matter here.
  checkOptions<ManagedSessionsOptions>(options, 'managedSessions()', OPTIONS, {
    prefix: '',
    advice: TOP_ADVICE,
  });
  const storeTimeout = duration(options, 'storeTimeout', '1s', { min: '50ms', max: '1m' });
  const revocationBound = duration(options, 'revocationBound', '5s', { min: '1s', max: '1h' });
  if (revocationBound <= storeTimeout) {
    throw new TypeError(
      `revocationBound must be more than storeTimeout (${String(storeTimeout)} ms), got ${String(revocationBound)} ms`,
    );
  }
  const idleTimeout = options.idleTimeout === undefined ? null : durationMs(options.idleTimeout, 'idleTimeout', YEAR);
  const activityInterval = duration(options, 'activityInterval', '60s', { min: '100ms', max: '1d' });
  checkStore(options.store);
  const trust = compileTrust(options.trustProxy);
  const recordIp = options.recordIp ?? 'full';
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
    recordIp,
    trust,
    clientOf: createClientOf(trust, recordIp, options.client),
    loginUrlFor: createLoginUrl(options.loginUrl),
    handles: handlesFrom(options.handleSecret),
    clientHints: options.clientHints ?? false,
    sessionIndex: options.sessionIndex ?? false,
    cookie: checkCookieOptions(options.cookie),
    origins: checkOrigins(options.origins),
    maxTokenLength: options.maxTokenLength ?? MAX_TOKEN_LENGTH,
    clock: options.clock ?? MACHINE_CLOCK,
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
