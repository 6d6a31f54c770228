/** Puts the parts together: the public object. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  EventHub,
  type Emit,
  type SessionEventListener,
  type SessionEventName,
  type SessionEvents,
} from './core/events.js';
import { sessionUser, type SessionUser } from './core/session.js';
import {
  createAccount,
  type EndEverywhereOptions,
  type ListOptions,
  type RevokeAllOptions,
  type RevokeOptions,
  type SessionList,
  type SessionView,
} from './http/account.js';
import { createHandoff, type HandoffOptions } from './http/handoff.js';
import { createIntrospection, type IntrospectionOptions } from './http/introspection.js';
import {
  createMiddleware,
  loginUser,
  type Login,
  type RequiredOptions,
  type SightingHint,
  type UpgradeOptions,
} from './http/middleware.js';
import {
  compileTrust,
  createClientAddress,
  createOriginCheck,
  createSecureCheck,
  createTokenSource,
  recordedAddress,
  type LoginUser,
} from './http/request.js';
import { createRefuse, type CookieAttributes, type Handler, type Next } from './http/respond.js';
import { createRouter, type RouterOptions } from './http/router.js';
import { ACCEPT_CH, clientKeyOf, rawUserAgent } from './http/user-agent.js';
import { measured, published } from './diagnostics.js';
import type { Health } from './core/health.js';
import { Ledger } from './ledger/ledger.js';
import { checkNames, checkOptions, kindOf, type ManagedSessionsOptions, type Settings } from './options.js';
import { memoryStore } from './stores/memory.js';
import { ISSUER_OPTION_NAMES, issuerRules } from './tokens/presets.js';
import { createVerifier, type IssuerRules, type VerifiedToken } from './tokens/verify.js';

/** Whose sessions: the subject, or with its issuer where several are configured. */
export type UserReference = string | { readonly issuer: string; readonly subject: string };

export interface HealthReport {
  /** `ok` while the last command to the store succeeded; `age` in milliseconds since then. */
  readonly store: Health;
  /** `ok` while every acknowledged revocation older than the bound is in force here; `age` of what it tells. */
  readonly feed: Health;
  /** `ok` while every issuer's keys are at hand and the last fetch succeeded; `age` of the oldest set. */
  readonly keys: Health;
  /** How many sessions this process knows to be live. */
  readonly sessions: number;
}

/** A request handler (the same as `required()`) with everything else on it. */
export interface ManagedSessions<User = LoginUser> {
  (req: IncomingMessage, res: ServerResponse, next: Next): void;

  /**
   * Refuses a request without a live session: 401, 403 or 503. `scope`: words that the token must all grant. `fresh: true`
   * asks the store on this request, whatever this process knows. Throws a `TypeError` where an option is wrong.
   */
  required(options?: RequiredOptions): Handler;
  /** Never refuses: `req.user` is set, or `req.loginError` says why not. */
  optional(): Handler;
  /** The routes by which people see and end their sessions; mount it where you like. It requires a login by itself. */
  router(options?: RouterOptions): Handler;
  /** Ends the current session and clears the token's cookie: 204, or for an HTML form 303 to `loginUrl`, else `/`. For POST. */
  logout(options?: CookieAttributes): Handler;
  /**
   * For providers that send the browser back with `?token=`: on GET the token becomes the cookie (HttpOnly, SameSite=Lax,
   * Secure on https, until the token ends), and the browser is redirected (303) to the same address without it. With a bad
   * token, or a wrong `state`, it is redirected without a cookie, and `tokenRefused` tells why. Without a token, and for
   * other methods: `next()`. Throws a `TypeError` where an option is wrong.
   */
  handoff(options?: HandoffOptions): Handler;
  /**
   * Token introspection (RFC 7662) for services that cannot verify: POST a form with `token`, from callers that `authorize`
   * accepts. An introspection is no sighting: it puts nothing on record. Throws a `TypeError` where an option is wrong.
   */
  introspection(options: IntrospectionOptions): Handler;

  /** The same check outside of a request. Rejects with `LoginError`. */
  verify(token: string, sighting?: SightingHint): Promise<Login<User>>;
  /** The same check for a WebSocket upgrade or any bare request. Rejects with `LoginError`. */
  authenticateUpgrade(req: IncomingMessage, options?: UpgradeOptions): Promise<Login<User>>;

  /** A user's live sessions, most recently seen first. Rejects with `LoginError` `request_invalid`, `store_unavailable`. */
  list(user: UserReference, options?: ListOptions): Promise<SessionList>;
  /** Rejects with `LoginError` `session_not_found`, `store_unavailable`. */
  get(user: UserReference, handle: string): Promise<SessionView>;
  /** Names a session, at most 64 code points; null takes the name away. Rejects as `get`, and with `request_invalid`. */
  label(user: UserReference, handle: string, text: string | null): Promise<SessionView>;
  /**
   * Ends a session. Resolves once that is acknowledged: in force here at once, in every process within `revocationBound`.
   * A rejection with `store_unavailable` may leave it in force in part: repeat it. Rejects with `session_not_found`.
   */
  revoke(user: UserReference, handle: string, options?: Pick<RevokeOptions, 'reason' | 'by'>): Promise<void>;
  /** Ends every session of a user that began before now, those never seen here too, but the excepted one. */
  revokeAll(user: UserReference, options?: RevokeAllOptions): Promise<{ readonly ended: number }>;
  /**
   * For an incident: ends the sessions of all users of the store at once, those never seen here too, whatever their issuer.
   * Logins of the next moments (`clockTolerance`, 5 seconds) are ended with them, so that no clock that is ahead saves one,
   * and sessions whose tokens have no `iat` for as long as it stands, a year. Resolves and rejects as `revoke` does.
   */
  endEverywhere(options?: EndEverywhereOptions): Promise<void>;

  /** Returns a function that takes the listener off again. What a listener throws becomes a process warning, nothing else. */
  on<Name extends SessionEventName>(event: Name, listener: SessionEventListener<Name>): () => void;
  /** For a readiness probe; asks nobody. */
  health(): HealthReport;
  /** Writes pending last-seen times, ends timers, closes the connections that this package opened. */
  close(): Promise<void>;
}

/**
 * Middleware that verifies login tokens, keeps a record of every session, and refuses what was ended.
 *
 * @throws TypeError that names the option that is wrong.
 */
export function managedSessions<User = LoginUser>(options: ManagedSessionsOptions<User>): ManagedSessions<User> {
  const settings = checkOptions(options);
  const { clock, loginUrl } = settings;
  const events = new EventHub((name, error) => {
    process.emitWarning(
      `A listener of ${name} failed: ${error instanceof Error ? error.message : String(error)}`,
      'ManagedSessionsWarning',
    );
  });

  const emit = published(events.emit);

  const issuers = settings.issuers.map((issuer, index) => {
    const optionName = settings.issuers.length === 1 ? 'issuer' : `issuer[${String(index)}]`;
    checkNames(issuer, ISSUER_OPTION_NAMES, optionName);
    return issuerRules(issuer, optionName, {
      clock,
      onKeyEvent: (event) => {
        const { issuer: name } = issuer;
        if (event.kind === 'down') emit('keysDown', { issuer: name, error: event.error });
        else if (event.kind === 'up') emit('keysUp', { issuer: name });
        else emit('keySkipped', { issuer: name, index: event.index, kid: event.kid, why: event.why });
      },
    });
  });
  const { lifetime, handleSecret } = settings;
  const verifier = createVerifier({
    issuers,
    clock,
    lifetime,
    ...(handleSecret === undefined ? {} : { handleSecret }),
  });

  const source = createTokenSource(options.from);
  const trust = compileTrust(options.trustProxy);
  const refuse = createRefuse({ loginUrl, onRefused: options.onRefused });

  const store = measured(options.store ?? memoryStore());
  store.configure({ storeTimeout: settings.storeTimeout, revocationBound: settings.revocationBound });
  const ledger = new Ledger({
    ...settings,
    store,
    policyOf: policies(settings, issuers),
    track: ({ claims }) => settings.track(claims),
    clientKeyOf,
    emit: inRawWords(emit),
  });

  const clientAddress = createClientAddress(trust, settings.recordIp);
  const login = createMiddleware<User>({
    verifier,
    ledger,
    source,
    user: userOf(options),
    clock,
    clientAddress,
    originOf: createOriginCheck(trust),
    refuse,
    loginUrl,
    emit,
  });
  const handoffParts = {
    verifier,
    ledger,
    login,
    clock,
    clientAddress,
    isSecure: createSecureCheck(trust),
    cookie: source.cookie,
    emit,
  };
  const account = createAccount(ledger);
  const names = issuers.map(issuerName);

  /** async, so that a wrong argument rejects and does not throw. */
  async function referred(user: UserReference): Promise<SessionUser> {
    await Promise.resolve();
    return userReferred(user, names);
  }

  const asking = settings.clientHints ? askForHints : (handler: Handler) => handler;
  const required = asking(login.required());
  const members: { [Name in keyof ManagedSessions<User>]: ManagedSessions<User>[Name] } = {
    required: (requiredOptions) => asking(login.required(requiredOptions)),
    optional: () => asking(login.optional()),
    router: (routerOptions) => asking(createRouter({ login, account, source, clock, loginUrl }, routerOptions)),
    logout: (attributes) => login.logout(attributes),
    handoff: (handoffOptions) => createHandoff(handoffParts, handoffOptions),
    introspection: (introspectionOptions) => createIntrospection({ verifier, ledger, clock }, introspectionOptions),
    verify: (token, sighting = {}) =>
      login.verify(token, { ...sighting, ip: recordedAddress(sighting.ip, settings.recordIp) }),
    authenticateUpgrade: (req, upgradeOptions) => login.authenticateUpgrade(req, upgradeOptions),
    list: async (user, listOptions) => {
      checkArguments(listOptions, { limit: 'number', cursor: 'string' }, 'list()');
      return account.list(await referred(user), listOptions);
    },
    get: async (user, handle) => account.get(await referred(user), handle),
    label: async (user, handle, text) => account.label(await referred(user), handle, text),
    revoke: async (user, handle, revokeOptions) => {
      checkArguments(revokeOptions, { reason: 'string', by: 'string' }, 'revoke()');
      return account.revoke(await referred(user), handle, revokeOptions);
    },
    revokeAll: async (user, revokeOptions) => {
      checkArguments(revokeOptions, { except: 'string', reason: 'string', by: 'string' }, 'revokeAll()');
      return account.revokeAll(await referred(user), revokeOptions);
    },
    endEverywhere: async (endOptions) => {
      checkArguments(endOptions, { reason: 'string', by: 'string' }, 'endEverywhere()');
      await account.endEverywhere(endOptions);
    },
    on: (event, listener) => {
      checkListener(event, listener);
      return events.on(event, listener);
    },
    health: () => ({ ...ledger.health(), keys: keysHealth(issuers) }),
    close: async () => {
      for (const { keys } of issuers) keys.close();
      await ledger.close();
    },
  };
  return Object.assign(function managedSessionsMiddleware(req: IncomingMessage, res: ServerResponse, next: Next) {
    required(req, res, next);
  }, members);
}

function askForHints(handler: Handler): Handler {
  return function clientHintsMiddleware(req, res, next) {
    if (!res.headersSent && !res.hasHeader('Accept-CH')) res.setHeader('Accept-CH', ACCEPT_CH);
    handler(req, res, next);
  };
}

/** What listeners are told of an event; null where it is none for them. */
type Telling = { readonly [Name in SessionEventName]?: (event: SessionEvents[Name]) => SessionEvents[Name] | null };

const TELLING: Telling = {
  sessionStarted: (event) => ({ ...event, userAgent: rawUserAgent(event.userAgent) }),
  sessionMoved: (event) => {
    const from = { ...event.from, userAgent: rawUserAgent(event.from.userAgent) };
    const to = { ...event.to, userAgent: rawUserAgent(event.to.userAgent) };
    return from.ip === to.ip && from.userAgent === to.userAgent ? null : { ...event, from, to };
  },
};

/** Records note client hints behind the user agent: listeners hear the header alone, and nothing where but the note is new. */
function inRawWords(emit: Emit): Emit {
  return function emitInRawWords(name, event) {
    const tell = TELLING[name];
    const told = tell === undefined ? event : tell(event);
    if (told !== null) emit(name, told);
  };
}

function userOf<User>(options: ManagedSessionsOptions<User>): (token: VerifiedToken) => User {
  const { user } = options;
  // Without the option, `User` is its default.
  return user === undefined ? (token) => loginUser(token) as User : ({ claims }) => user(claims);
}

function issuerName({ issuer, fixedIssuer }: IssuerRules): string {
  return issuer ?? fixedIssuer ?? '';
}

function policies(
  settings: Settings,
  issuers: readonly IssuerRules[],
): (issuer: string) => ReturnType<typeof policyOf> {
  const byName = new Map(issuers.map((rules) => [issuerName(rules), policyOf(settings, rules.clockTolerance)]));
  // Others announce sessions of issuers that this process does not know: their times are then taken strictly.
  const strict = policyOf(settings, 0);
  return (issuer) => byName.get(issuer) ?? strict;
}

function policyOf({ idleTimeout, tombstoneFor, maxSessionsPerUser, atSessionLimit }: Settings, clockTolerance: number) {
  return { idleTimeout, clockTolerance, tombstoneFor, maxSessions: maxSessionsPerUser, atSessionLimit };
}

const EVENT_NAMES: Readonly<Record<SessionEventName, true>> = {
  sessionStarted: true,
  sessionEnded: true,
  sessionMoved: true,
  tokenRefused: true,
  storeDown: true,
  storeUp: true,
  keysDown: true,
  keysUp: true,
  keySkipped: true,
  tombstonesDropped: true,
};

function checkListener(event: unknown, listener: unknown): void {
  const names = Object.keys(EVENT_NAMES);
  if (typeof event !== 'string' || !names.includes(event)) {
    const meant = names.find((name) => name.toLowerCase() === String(event).toLowerCase());
    const hint = meant === undefined ? `there are ${names.join(', ')}` : `did you mean ${meant}?`;
    throw new TypeError(`There is no event ${JSON.stringify(event)}: ${hint}`);
  }
  if (typeof listener !== 'function') {
    throw new TypeError(`The listener of ${event} must be a function, got ${kindOf(listener)}`);
  }
}

/** A misspelled `except` would end the very session that was to stay. */
function checkArguments(options: unknown, kinds: Readonly<Record<string, 'string' | 'number'>>, owner: string): void {
  if (options === undefined) return;
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`${owner} takes an object of options, got ${kindOf(options)}`);
  }
  checkNames(options, Object.keys(kinds), owner);
  for (const [name, value] of Object.entries(options) as [string, unknown][]) {
    const isAbsent = value === undefined || (name === 'cursor' && value === null);
    if (isAbsent || typeof value === kinds[name]) continue;
    throw new TypeError(
      `${owner}: ${name} must be a ${kinds[name] === 'string' ? 'text' : 'number'}, got ${kindOf(value)}`,
    );
  }
}

function userReferred(user: UserReference, issuers: readonly string[]): SessionUser {
  const [only] = issuers;
  const isReference = typeof user === 'string' || (typeof user === 'object' && (user as unknown) !== null);
  if (!isReference) throw new TypeError(`user must be a subject or { issuer, subject }, got ${kindOf(user)}`);
  const { issuer, subject } =
    typeof user === 'string' ? { issuer: issuers.length === 1 ? only : undefined, subject: user } : user;
  if (issuer === undefined) {
    const why = issuers.length === 1 ? 'or the subject alone' : 'several issuers are configured';
    throw new TypeError(`user must be { issuer, subject }: ${why}`);
  }
  if (!issuers.includes(issuer)) throw new TypeError('user.issuer is none of the configured issuers');
  if (typeof subject !== 'string' || subject === '') throw new TypeError('user must be a subject: a non-empty text');
  return sessionUser(issuer, subject);
}

function keysHealth(issuers: readonly IssuerRules[]): Health {
  const each = issuers.map(({ keys }) => keys.health());
  return {
    ok: each.every(({ ok }) => ok),
    age: Math.max(...each.map(({ age }) => age)),
    lastError: each.find(({ lastError }) => lastError !== null)?.lastError ?? null,
  };
}
