/** The public object. connect.ts prepares its parts. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { checkListener, EventHub, type SessionEventListener, type SessionEventName } from './core/events.js';
import { healthReport, worstOf, type HealthReport } from './core/health.js';
import { wordsOf } from './core/hooks.js';
import type {
  EndEverywhereOptions,
  ExpireTokensOptions,
  ListOptions,
  RevokeAllOptions,
  RevokeOptions,
  SessionList,
  SessionView,
} from './http/account.js';
import { accountMembers } from './http/account-members.js';
import type { AuthenticateOptions, Login } from './http/authenticate.js';
import { clientGiven, type SightingHint } from './http/client.js';
import { askForHints } from './http/client-hints.js';
import { createOptional, createRequired, type RequiredOptions } from './http/gates.js';
import { createHandoff, type HandoffOptions } from './http/handoff.js';
import { createBackchannelLogout, type BackchannelLogoutOptions } from './http/doors/backchannel-logout.js';
import { createSecurityEvents, type SecurityEventsOptions } from './http/doors/security-events.js';
import { createIntrospection, type IntrospectionOptions } from './http/introspection.js';
import { createLogout, type LogoutOptions } from './http/logout.js';
import type { LoginUser } from './http/register.js';
import type { Handler, Next } from './http/respond.js';
import { createRouter, type RouterOptions } from './http/router.js';
import { createSetCookie } from './http/sign-in.js';
import { refusingRequests } from './http/uncalled.js';
import type { SessionReference } from './http/named-session.js';
import type { UserReference } from './http/user-reference.js';
import { connect, type Parts } from './connect.js';
import { published } from './diagnostics.js';
import type { ManagedSessionsOptions } from './options.js';
import { checkedSettings, type Settings } from './settings.js';

/** A request handler (the same as `required()`) with everything else as members. */
export interface ManagedSessions<User = LoginUser> {
  (req: IncomingMessage, res: ServerResponse, next: Next): void;

  /**
   * Refuses a request without a live session: 401, 403 or 503. `scope`: the scopes that the token must all have. `fresh: true`
   * asks the store on this request, whatever this process knows. `maxAge: '10m'` and `acr`: how recent, and how strong, the
   * sign-in must be (step-up, RFC 9470). `activity: false`: the request, such as a poll, does not count as use of the session.
   * Throws a `TypeError` if an option is invalid.
   */
  required(options?: RequiredOptions): Handler;
  /** Never refuses: `req.user` is set, or `req.loginError` says why not. */
  optional(): Handler;
  /** The routes on which people see and end their sessions. Mount it anywhere. It requires a login by itself. */
  router(options?: RouterOptions): Handler;
  /**
   * Ends the session of every good token that was sent, in whatever source and cookie, and clears the cookie: 204, or 303 to
   * `loginUrl` (else `/`) for an HTML form. For POST. Answers 503 if one of them cannot be checked or ended: the cookie then
   * stays, and it is safe to repeat. Throws a `TypeError` if an option is invalid.
   */
  logout(options?: LogoutOptions): Handler;
  /**
   * For providers that redirect back with `?token=`. On GET, the token becomes the cookie (HttpOnly, by default SameSite=Lax
   * and Secure on https, until the token ends), and the browser is redirected (303) to the same URL without it. If that
   * replaces the cookie of another session, that session is ended with the reason `replaced`. With an invalid token, or a
   * wrong `state`, the browser is redirected without a cookie, and `tokenRefused` says why. Without a token, and for other
   * methods: `next()`. Throws a `TypeError` if an option is invalid, or if `state` is missing.
   */
  handoff(options: HandoffOptions): Handler;
  /**
   * For your own sign-in route: verifies the token, and sets it as the cookie, as `handoff()` does. If that replaces the
   * cookie of another session, that session is ended with the reason `replaced`, also if it is another user's. Rejects with
   * `LoginError` if the token is refused, is too long for a cookie, or cannot be checked: then nothing is written. Await it
   * before you answer, and check that the request comes from your own page: this method does not check that.
   */
  setCookie(req: IncomingMessage, res: ServerResponse, token: string): Promise<void>;
  /**
   * Token introspection (RFC 7662) for services that cannot verify tokens: they POST a form with `token`, and `authorize`
   * says whether they may. It does not count as use of the session. Throws a `TypeError` if an option is invalid.
   */
  introspection(options: IntrospectionOptions): Handler;
  /**
   * OpenID Connect Back-Channel Logout 1.0: every configured issuer can end sessions by POSTing a logout token, a form with
   * `logout_token`. With `sid`, that session ends; with `sub` alone, all sessions of the user that began up to the token's
   * `iat`. Also for sessions that were never seen here. A token with `sid` alone needs the option `sessionIndex`. Answers 200 once
   * the ending is acknowledged; 400 with `{ error, error_description }` for a token that is refused, older than two minutes or
   * used before; 503 while the store or the keys cannot be reached: then the issuer may repeat it. No login is needed. Throws a
   * `TypeError` if an option is invalid.
   */
  backchannelLogout(options: BackchannelLogoutOptions): Handler;
  /**
   * Takes security event tokens (RFC 8417) that a transmitter pushes (RFC 8935), at most a day old. CAEP `session-revoked` ends the
   * session, or all sessions of the user; `credential-change` (but not `create`) and RISC `account-disabled` end all sessions of
   * the user; `token-claims-change` does what `expireTokens()` does. Only sessions that began, and tokens that were issued, up to the
   * event's own time. Answers 202, also for what is not known and for a token that was accepted before; 400 with
   * `{ err, description }`; 503 while the store or the keys cannot be reached. The event `securityEvent` tells of each. No login
   * is needed. Throws a `TypeError` if an option is invalid.
   */
  securityEvents(options: SecurityEventsOptions): Handler;

  /** The same check outside of a request. Rejects with `LoginError`, or with `TypeError` if an argument is invalid. */
  verify(token: string, sighting?: SightingHint): Promise<Login<User>>;
  /**
   * The same check for a WebSocket upgrade, or any request outside of Express and Connect. `origins`: pages of these origins
   * may send it with the cookie; default: the option `origins`. Rejects with `LoginError`.
   */
  authenticate(req: IncomingMessage, options?: AuthenticateOptions): Promise<Login<User>>;

  /** A user's live sessions, most recently seen first. Rejects with `LoginError` `request_invalid`, `store_unavailable`. */
  list(user: UserReference, options?: ListOptions): Promise<SessionList>;
  /** Rejects with `LoginError` `session_not_found`, `store_unavailable`. */
  get(user: UserReference, handle: string): Promise<SessionView>;
  /** Labels a session, at most 64 code points; null removes the label. Rejects as `get` does, and with `request_invalid`. */
  label(user: UserReference, handle: string, text: string | null): Promise<SessionView>;
  /**
   * Ends a session. Resolves once that is acknowledged: in force here at once, and in every process within
   * `revocationBound`. Rejects with `session_not_found`, or with `store_unavailable`: it may then be partly in force; repeat it.
   * 64 calls are in progress at one time, and up to 1,000 wait. Others are rejected with `store_unavailable`, and nothing was
   * done then.
   */
  revoke(user: UserReference, handle: string, options?: Pick<RevokeOptions, 'reason' | 'by'>): Promise<void>;
  /** Ends every session of a user that began before now, also those never seen here, except one. */
  revokeAll(user: UserReference, options?: RevokeAllOptions): Promise<{ readonly ended: number }>;
  /**
   * Makes every token of a user that was issued up to now stale: it is refused with 401 `token_stale`, but its session, its
   * label and its open connections stay, and the next refreshed token passes. For when a role is taken away. Tokens count
   * whole seconds: one that is issued in the same second is refused too, and so is one without `iat`, for `tombstoneFor`.
   * Resolves and rejects as `revokeAll` does.
   */
  expireTokens(user: UserReference, options?: ExpireTokensOptions): Promise<void>;
  /**
   * Ends a session by the provider's own id, as a webhook names it: `{ issuer?, subject?, sessionId }`. Also one that was never
   * seen here: its tokens are refused from then on, for `tombstoneFor` (30 days) from now, and for as long after each token
   * that is refused. Resolves, with no value, and rejects as `revoke` does, but never with `session_not_found`. Throws a
   * `TypeError` if an argument is invalid, or if there is no `subject` and the option `sessionIndex` is not set.
   */
  revokeSession(session: SessionReference, options?: Pick<RevokeOptions, 'reason' | 'by'>): Promise<void>;
  /**
   * For a person who wants to be forgotten: ends every session of the user as `revokeAll` does, with the reason `erased`, and
   * deletes the addresses, user agents, labels, apps and actors of their sessions, the kinds of client that were noted, and
   * `reason` and `by` of their earlier endings. What stays, and for how long, is listed in docs/privacy.md. Sessions that
   * begin afterwards are recorded again. Rejects with `LoginError` `store_unavailable`: it may be done in part; repeat it.
   */
  erase(user: UserReference): Promise<{ readonly ended: number }>;
  /**
   * For an incident: ends the sessions of all users of the store at once, also those never seen here, of every issuer. Logins
   * within the next `clockTolerance` (5 seconds) are ended too, because a clock may be ahead. Under the option `began:
   * 'first-seen'` of an issuer, sessions that are first seen later are not ended. Resolves and rejects as `revoke` does.
   */
  endEverywhere(options?: EndEverywhereOptions): Promise<void>;

  /** Returns a function that removes the listener. What a listener throws or rejects with becomes a process warning. */
  on<Name extends SessionEventName>(event: Name, listener: SessionEventListener<Name>): () => void;
  /** For a readiness probe: plain data. After `close()`, nothing is `ok`. Sends no request. */
  health(): HealthReport;
  /** Writes pending last-seen times, stops timers, and closes the connections that this package opened. */
  close(): Promise<void>;
}

/**
 * Middleware that verifies login tokens, records every session, and refuses ended sessions.
 *
 * @throws TypeError that names the invalid option.
 */
export function managedSessions<User = LoginUser>(options: ManagedSessionsOptions<User>): ManagedSessions<User> {
  const settings = checkedSettings(options);
  const events = new EventHub((name, error) => {
    process.emitWarning(`A listener of ${name} failed: ${wordsOf(error)}`, 'ManagedSessionsWarning');
  });
  const parts = connect(options, settings, published(events.emit));
  const { authenticator, issuers, tenants, ledger } = parts;
  const handlers = handlerMembers(parts, settings);
  const requireLogin = handlers.required();
  let isClosed = false;
  const members: Members<User> = {
    ...handlers,
    ...accountMembers(parts.account, parts.endings, tenants === undefined ? issuers.map(({ issuer }) => issuer) : null),
    verify: async (token, sighting) => {
      return authenticator.verify(token, clientGiven(sighting, settings.recordIp));
    },
    setCookie: createSetCookie(parts),
    authenticate: (req, authenticateOptions) => authenticator.authenticate(req, authenticateOptions),
    on: (event, listener) => {
      checkListener(event, listener);
      return events.on(event, listener);
    },
    health: () =>
      healthReport(
        { ...ledger.health(), keys: tenants?.health() ?? worstOf(issuers.map(({ keys }) => keys.health())) },
        isClosed,
      ),
    close: async () => {
      isClosed = true;
      tenants?.close();
      parts.closeTransmitters();
      parts.streams.close();
      for (const { keys } of issuers) keys.close();
      await ledger.close();
    },
  };
  return Object.assign(function managedSessionsMiddleware(req: IncomingMessage, res: ServerResponse, next: Next) {
    requireLogin(req, res, next);
  }, refusingRequests(members));
}

type Members<User> = { [Name in keyof ManagedSessions<User>]: ManagedSessions<User>[Name] };

type HandlerName =
  'required' | 'optional' | 'router' | 'logout' | 'handoff' | 'introspection' | 'backchannelLogout' | 'securityEvents';

function handlerMembers<User>(parts: Parts<User>, { clientHints }: Settings): Pick<Members<User>, HandlerName> {
  const { authenticator } = parts;
  const withHints = clientHints ? askForHints : (handler: Handler) => handler;
  return {
    required: (options) => withHints(createRequired(parts, options)),
    optional: (options?: unknown) => withHints(createOptional(authenticator, options)),
    router: (options) => withHints(createRouter(parts, options)),
    logout: (options) => createLogout(parts, options),
    handoff: (options) => createHandoff(parts, options),
    introspection: (options) => createIntrospection(parts, options),
    backchannelLogout: (options) => createBackchannelLogout(parts, options),
    securityEvents: (options) => createSecurityEvents(parts, options),
  };
}
