/** The gates: required, optional, logout, and the same check outside of a request handler. */

import { createHmac, timingSafeEqual } from 'node:crypto';
import { channel } from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { LoginError, type LoginErrorCode } from '../core/errors.js';
import type { Emit } from '../core/events.js';
import type { Ledger, LiveSession } from '../ledger/ledger.js';
import type { VerifiedToken, Verifier } from '../tokens/verify.js';
import {
  hasBearer,
  isFormPost,
  own,
  put,
  RequestSighting,
  type AppRequest,
  type ClientAddress,
  type LoginSession,
  type LoginUser,
  type Origin,
  type TokenSource,
} from './request.js';
import {
  createCookieClearer,
  redirect,
  sendNotAllowed,
  sendNothing,
  type CookieAttributes,
  type Handler,
  type Next,
  type Present,
  type Refuse,
} from './respond.js';

/** What the middleware is put together from; each part is prepared once. */
export interface MiddlewareParts<User> {
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly ledger: Pick<Ledger, 'judge' | 'revoke'>;
  readonly source: TokenSource;
  /** What `req.user` is to be. Called once per request; what it throws goes to `next`. */
  readonly user: (token: VerifiedToken) => User;
  readonly clock: { now(): number };
  readonly clientAddress: ClientAddress;
  readonly originOf: (req: AppRequest) => Origin;
  readonly refuse: Refuse;
  readonly loginUrl?: string | undefined;
  readonly emit: Emit;
}

export interface RequiredOptions {
  /** Scopes that the token must all have: a list, or words in a text. */
  readonly scope?: string | readonly string[];
  /** Asks the store on this request, whatever the ledger knows. Default false. */
  readonly fresh?: boolean;
}

export interface UpgradeOptions {
  /** Other origins, such as `https://www.example.com`, whose pages may open connections by cookie. */
  readonly origins?: readonly string[];
}

/** What is known of a request outside of a handler; what is left out stays null. */
export interface SightingHint {
  readonly ip?: string | null;
  readonly userAgent?: string | null;
}

export interface Login<User> {
  readonly user: User;
  readonly session: LoginSession;
}

export interface LoginMiddleware<User> {
  /** Refuses a request without a live session. Throws a `TypeError` where an option is wrong. */
  required(options?: RequiredOptions): Handler;
  /**
   * Never refuses: `req.user` is set, or `req.loginError` says why not. What another middleware made of `req.user`
   * stays where nobody is logged in, and is replaced by a login.
   */
  optional(): Handler;
  /** Ends the current session and clears its cookie; for POST. */
  logout(attributes?: CookieAttributes): Handler;
  /** Rejects with `LoginError`. */
  verify(token: string, sighting?: SightingHint): Promise<Login<User>>;
  /**
   * Rejects with `LoginError`. An upgrade by cookie that a page of another origin asks for is `cross_site`: browsers send
   * cookies with WebSockets from everywhere.
   */
  authenticateUpgrade(req: IncomingMessage, options?: UpgradeOptions): Promise<Login<User>>;
  /** For the router: who asks, by the store's own word. Sets what `required({ fresh: true })` sets. */
  caller(req: AppRequest): Promise<VerifiedToken>;
  /** For the router: answers a `LoginError`; anything else goes to `next`. */
  fail(error: unknown, req: AppRequest, res: ServerResponse, next: Next, present?: Present): void;
  /** For the router: what its forms carry for browsers that say nothing of a request's origin. Bound to the token. */
  formToken(req: AppRequest): string;
  /**
   * For the router: `LoginError` `cross_site` for what another site may have made a browser send. Where the browser says
   * nothing of that, a form's own field decides.
   */
  refuseForgery(req: AppRequest, field?: unknown): void;
}

/** Message of the channel `managed-sessions:request`: how a request's login was judged. */
export interface RequestJudged {
  readonly outcome: 'live' | LoginErrorCode;
  /** What knew of the session: this process, the store, or nobody had to. */
  readonly source: 'ledger' | 'store' | 'none';
}

const requestsJudged = channel('managed-sessions:request');

/** `req.loginSession`. What only the middleware may know of it is private, so that no log shows it. */
class CurrentSession implements LoginSession {
  readonly #live: LiveSession;
  readonly #token: VerifiedToken;
  readonly #owner: object;
  readonly #fresh: boolean;

  constructor(live: LiveSession, token: VerifiedToken, owner: object, fresh: boolean) {
    this.#live = live;
    this.#token = token;
    this.#owner = owner;
    this.#fresh = fresh;
  }

  get handle(): string {
    return this.#live.handle;
  }

  get startedAt(): Date {
    return new Date(this.#live.startedAt);
  }

  get expiresAt(): Date {
    return new Date(this.#live.expiresAt);
  }

  get signal(): AbortSignal {
    return this.#live.signal;
  }

  toJSON(): Pick<LoginSession, 'handle' | 'startedAt' | 'expiresAt'> {
    return { handle: this.handle, startedAt: this.startedAt, expiresAt: this.expiresAt };
  }

  /** The session that this very middleware put on a request; another one's is none. */
  static of(value: unknown, owner: object): CurrentSession | undefined {
    return value instanceof CurrentSession && value.#owner === owner ? value : undefined;
  }

  static tokenOf(session: CurrentSession): VerifiedToken {
    return session.#token;
  }

  static isFresh(session: CurrentSession): boolean {
    return session.#fresh;
  }
}

/** What `req.user` is by default. A new object for each request: applications write on it. */
export function loginUser({ user, profile, claims }: VerifiedToken): LoginUser {
  return { id: user.subject, issuer: user.issuer, ...profile, claims };
}

export function createMiddleware<User>(parts: MiddlewareParts<User>): LoginMiddleware<User> {
  const { verifier, ledger, source, clock, clientAddress, originOf, refuse, emit } = parts;
  const owner = {};
  // One for all: an error notes its stack, and that would be most of what an anonymous visit costs.
  const noToken = new LoginError('no_token', 'This takes a login: no token was sent');
  /** What `optional()` found wrong: a `required()` behind it must not wait for an absent store again. */
  const refusals = new WeakMap<AppRequest, { readonly token: string | undefined; readonly error: LoginError }>();

  function judge(
    token: VerifiedToken,
    sighting: RequestSighting,
    fresh: boolean,
  ): CurrentSession | Promise<CurrentSession> {
    const live = ledger.judge(token, sighting, fresh);
    if (!isPending(live)) return new CurrentSession(live, token, owner, fresh);
    sighting.settle();
    return live.then((session) => new CurrentSession(session, token, owner, fresh));
  }

  type Judge = typeof judge;

  /** Makes no promise where verifier and ledger make none. A request is verified once, whatever number of gates it passes. */
  function authenticate(req: AppRequest, fresh: boolean): CurrentSession | Promise<CurrentSession> {
    const known = CurrentSession.of(own(req, 'loginSession'), owner);
    if (known !== undefined && (CurrentSession.isFresh(known) || !fresh)) return known;
    const sighting = new RequestSighting(req, clock.now(), clientAddress);
    if (known !== undefined) return judge(CurrentSession.tokenOf(known), sighting, true);
    const token = source.read(req);
    if (own(req, 'loginError') !== undefined) {
      const refused = refusals.get(req);
      if (refused !== undefined && refused.token === token) throw refused.error;
    }
    if (requestsJudged.hasSubscribers) return observed((judging) => identify(token, sighting, fresh, judging));
    return identify(token, sighting, fresh, judge);
  }

  function identify(
    token: string | undefined,
    sighting: RequestSighting,
    fresh: boolean,
    judging: Judge,
  ): CurrentSession | Promise<CurrentSession> {
    if (token === undefined) throw noToken;
    const verified = verifier.verify(token);
    if (!isPending(verified)) return judging(verified, sighting, fresh);
    sighting.settle();
    return verified.then((checked) => judging(checked, sighting, fresh));
  }

  function observed(
    work: (judging: Judge) => CurrentSession | Promise<CurrentSession>,
  ): CurrentSession | Promise<CurrentSession> {
    let asked: RequestJudged['source'] = 'none';
    const judging: Judge = (token, sighting, fresh) => {
      asked = 'ledger';
      const session = judge(token, sighting, fresh);
      if (isPending(session)) asked = 'store';
      return session;
    };
    function publish(outcome: RequestJudged['outcome']): void {
      const message: RequestJudged = { outcome, source: asked };
      requestsJudged.publish(message);
    }
    function publishRefused(error: unknown): void {
      if (error instanceof LoginError) publish(error.code);
    }
    try {
      const session = work(judging);
      if (isPending(session)) session.then(() => publish('live'), publishRefused);
      else publish('live');
      return session;
    } catch (error) {
      publishRefused(error);
      throw error;
    }
  }

  function admit(req: AppRequest, session: CurrentSession): void {
    const before = own(req, 'loginSession');
    if (before === session) return;
    // A user that the application has enriched since stays.
    if (CurrentSession.of(before, owner) === undefined) put(req, 'user', parts.user(CurrentSession.tokenOf(session)));
    put(req, 'loginSession', session);
    if (own(req, 'loginError') !== undefined) req.loginError = undefined;
  }

  /** Takes back what an earlier gate let in. */
  function dismiss(req: AppRequest): void {
    if (CurrentSession.of(req.loginSession, owner) === undefined) return;
    req.user = undefined;
    req.loginSession = undefined;
  }

  function tell(error: LoginError): void {
    if (error.status < 500 && !UNTOLD.has(error.code)) emit('tokenRefused', { code: error.code, error });
  }

  function fail(error: unknown, req: AppRequest, res: ServerResponse, next: Next, present?: Present): void {
    if (!(error instanceof LoginError)) {
      next(error);
      return;
    }
    if (error.status === 401) dismiss(req);
    tell(error);
    refuse(error, req, res, next, present);
  }

  function required(options: RequiredOptions = {}): Handler {
    const { scope, fresh } = checkRequired(options);

    function enter(req: AppRequest, session: CurrentSession): void {
      if (scope.length > 0) requireScope(CurrentSession.tokenOf(session), scope);
      admit(req, session);
    }

    return function requiredMiddleware(req, res, next) {
      try {
        const session = authenticate(req, fresh);
        if (isPending(session)) {
          const entered = session.then((found) => enter(req, found));
          entered.then(
            () => next(),
            (error: unknown) => fail(error, req, res, next),
          );
          return;
        }
        enter(req, session);
      } catch (error) {
        fail(error, req, res, next);
        return;
      }
      next();
    };
  }

  function optional(): Handler {
    function excuse(error: unknown, req: AppRequest, next: Next): void {
      if (!(error instanceof LoginError)) {
        next(error);
        return;
      }
      dismiss(req);
      tell(error);
      if (error !== noToken) remember(req, error);
      req.loginError = error;
      next();
    }

    return function optionalMiddleware(req, _res, next) {
      try {
        const session = authenticate(req, false);
        if (isPending(session)) {
          const admitted = session.then((found) => admit(req, found));
          admitted.then(
            () => next(),
            (error: unknown) => excuse(error, req, next),
          );
          return;
        }
        admit(req, session);
      } catch (error) {
        excuse(error, req, next);
        return;
      }
      next();
    };
  }

  function remember(req: AppRequest, error: LoginError): void {
    try {
      refusals.set(req, { token: source.read(req), error });
    } catch {
      // What cannot be read is refused anew, at no cost.
    }
  }

  function logout(attributes?: CookieAttributes): Handler {
    const clearCookie = createCookieClearer(source.cookie, attributes);

    /** Resolves where no session of the caller is live, whatever was sent; rejects where that cannot be known. */
    async function endSession(req: AppRequest): Promise<void> {
      const token = await presented(req);
      if (token === undefined) {
        // Another site's form comes without a SameSite cookie, and must not clear it either.
        if (originOf(req) === 'cross') throw crossSite();
        return;
      }
      refuseForgery(req);
      const { user, handle, times } = token;
      await ledger.revoke(user, { handle, reason: 'signed_out', by: user.subject, token: times });
    }

    /** The token, if it is any good: with a bad one there is nothing to end. */
    async function presented(req: AppRequest): Promise<VerifiedToken | undefined> {
      try {
        const token = source.read(req);
        return token === undefined ? undefined : await verifier.verify(token);
      } catch (error) {
        if (error instanceof LoginError && error.status === 401) return undefined;
        throw error;
      }
    }

    return function logoutMiddleware(req, res, next) {
      if (req.method === 'GET' || req.method === 'HEAD' || req.method === 'OPTIONS') {
        sendNotAllowed(req, res, 'POST');
        return;
      }
      endSession(req)
        .then(() => {
          clearCookie(res);
          if (isFormPost(req)) redirect(res, parts.loginUrl ?? '/');
          else sendNothing(res);
        })
        .catch((error: unknown) => fail(error, req, res, next));
    };
  }

  async function verify(token: unknown, { ip = null, userAgent = null }: SightingHint = {}): Promise<Login<User>> {
    return tellOfRefusal(async () => {
      if (token === undefined || token === null || token === '') throw new LoginError('no_token', 'There is no token');
      if (typeof token !== 'string') throw new LoginError('token_malformed', 'The token is not a text');
      const verified = await verifier.verify(token);
      const live = await ledger.judge(verified, { at: clock.now(), ip, userAgent }, false);
      return loginOf(new CurrentSession(live, verified, owner, false));
    });
  }

  async function authenticateUpgrade(
    req: IncomingMessage,
    { origins = [] }: UpgradeOptions = {},
  ): Promise<Login<User>> {
    return tellOfRefusal(async () => {
      const origin = originOf(req);
      // A sandboxed page of anybody's says `null`.
      const isOther = origin === 'cross' || (origin === 'unknown' && req.headers.origin === 'null');
      const isForeign = req.headers.upgrade !== undefined && !hasBearer(req) && isOther;
      if (isForeign && !origins.includes(req.headers.origin ?? '')) throw crossSite();
      return loginOf(await authenticate(req, false));
    });
  }

  function loginOf(session: CurrentSession): Login<User> {
    return { user: parts.user(CurrentSession.tokenOf(session)), session };
  }

  async function tellOfRefusal<Outcome>(work: () => Promise<Outcome>): Promise<Outcome> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof LoginError) tell(error);
      throw error;
    }
  }

  async function caller(req: AppRequest): Promise<VerifiedToken> {
    const session = await authenticate(req, true);
    admit(req, session);
    return CurrentSession.tokenOf(session);
  }

  function formToken(req: AppRequest): string {
    return createHmac('sha256', source.read(req) ?? '')
      .update('managed-sessions form')
      .digest('base64url');
  }

  function refuseForgery(req: AppRequest, field?: unknown): void {
    if (hasBearer(req)) return;
    const origin = originOf(req);
    if (origin === 'same') return;
    if (origin === 'cross' || typeof field !== 'string' || !isSame(field, formToken(req))) throw crossSite();
  }

  return { required, optional, logout, verify, authenticateUpgrade, caller, fail, formToken, refuseForgery };
}

/** Refusals that say nothing of a token. */
const UNTOLD: ReadonlySet<LoginErrorCode> = new Set(['no_token', 'session_not_found', 'request_invalid']);

/** RFC 6749, section 3.3. */
const SCOPE_WORD = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

function checkRequired(options: unknown): { readonly scope: readonly string[]; readonly fresh: boolean } {
  if (typeof options !== 'object' || options === null) throw new TypeError('required() takes { scope, fresh }');
  // A request has many members: so does one hear who wrote app.use(sessions.required) and meant sessions.required().
  const unknown = Object.keys(options).find((name) => name !== 'scope' && name !== 'fresh');
  if (unknown !== undefined)
    throw new TypeError(`required() has no option ${JSON.stringify(unknown)}: it takes { scope, fresh }`);
  const { scope, fresh = false }: { scope?: unknown; fresh?: unknown } = options;
  if (typeof fresh !== 'boolean') throw new TypeError('fresh must be true or false');
  if (scope === undefined) return { scope: [], fresh };
  const words: unknown[] =
    typeof scope === 'string' ? scope.split(' ').filter((word) => word !== '') : Array.isArray(scope) ? scope : [];
  const checked = words.filter((word) => typeof word === 'string').filter((word) => SCOPE_WORD.test(word));
  if (checked.length === 0 || checked.length < words.length) {
    throw new TypeError("scope must be a text of words such as 'orders:read', or a list of them, with at least one");
  }
  return { scope: checked, fresh };
}

function requireScope({ scopes }: VerifiedToken, scope: readonly string[]): void {
  const missing = scope.filter((word) => !scopes.includes(word));
  if (missing.length > 0)
    throw new LoginError('scope_missing', `The token lacks the scope ${missing.join(' ')}`, { scope });
}

function crossSite(): LoginError {
  return new LoginError('cross_site', 'This was not sent by a page of this site');
}

/** Any thenable: a promise of another realm is no `Promise` of ours. */
function isPending<Value extends object>(value: Value | Promise<Value>): value is Promise<Value> {
  return 'then' in value && typeof value.then === 'function';
}

/** In constant time, but for the length. */
export function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
