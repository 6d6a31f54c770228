/** The options of `managedSessions()`. They are checked in settings.ts. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Claims } from './core/claims.js';
import type { Duration } from './core/duration.js';
import type { LoginError } from './core/errors.js';
import type { HandleSecret } from './core/handles.js';
import type { UserResult } from './http/user-result.js';
import type { TrustProxy } from './http/client-address.js';
import type { ClientOption } from './http/client.js';
import type { CookieOptions } from './http/cookie.js';
import type { Origins } from './http/forgery.js';
import type { LoginUrl } from './http/login-url.js';
import type { LoginUser } from './http/register.js';
import type { Next } from './http/respond.js';
import type { TokenSourceOption } from './http/token-source-option.js';
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
   * Where the token is: `'bearer'`, `{ header, scheme? }`, `{ cookie }`, a function, or a list of these, tried in order. A
   * single `{ cookie }` means `['bearer', { cookie }]`. Default: `['bearer', { cookie: 'login_token' }]`, with the name of the
   * option `cookie`.
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
   * The longest token, 256 to 65,536 characters. Default 8,192. Node itself refuses requests with more than 16 KiB of headers,
   * unless `maxHeaderSize` of the server says otherwise.
   */
  maxTokenLength?: number;
  /**
   * Returns `req.user`, or a promise of it. Called once for each request; what it throws or rejects with goes to `next`. Null,
   * undefined, another falsy value or an empty list: there is no such user, and the error is `user_refused` (401). An error
   * that it returns counts as thrown. The claims are frozen. Default: a {@link LoginUser}.
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
  /**
   * The longest wait for a store that is silent, `'50ms'` to `'1m'`. Default `'1s'`. While Redis answers, a request may wait for
   * its turn for up to ten times this.
   */
  storeTimeout?: Duration;
  /** How much of an address is recorded: `'truncated'` keeps its /24 or /48. Default `'full'`. */
  recordIp?: 'full' | 'truncated' | 'none';
  /** As Express's `trust proxy`, for Connect; in Express its own setting applies. Default: no proxy is trusted. */
  trustProxy?: TrustProxy;
  /**
   * What to record of a request instead of what was found, for a server that fetches on a person's behalf: `{ ip, userAgent }`.
   * Null: nothing. Left out, or undefined: what was found. `recordIp` applies to the address. It is called when something is
   * recorded: at a session's first request, and then once per `activityInterval`; after a program's request, also for up to
   * ten of the next ones. What it throws goes to `next`, and so does a `TypeError` if it returns a promise or anything else.
   */
  client?: ClientOption;
  /**
   * Answers refused requests instead of the middleware. If it calls `next()` without an error, the refused request goes on to
   * the next handler.
   */
  onRefused?: (error: LoginError, req: IncomingMessage, res: ServerResponse, next: Next) => unknown;
  /**
   * Where browsers are redirected (303) instead of a 401, and after a form has signed them out: a path or an absolute http(s)
   * URL. Or a function `(req, error?) => url`, so that people return to where they were: `error` is the refusal, absent after a
   * sign-out. It is called for each redirect, and for the policy of the page. If it throws,
   * returns a promise or an invalid URL, `next` gets the error. Put nothing of the request into the URL without
   * `encodeURIComponent`, and let the login page redirect only within its own site.
   */
  loginUrl?: LoginUrl;
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
  /**
   * Keeps an index of sessions by the issuers' session ids, so that a session can be ended by its id alone:
   * `revokeSession({ sessionId })`, and a logout token without `sub`. Set it in every process that uses the store: a session
   * that a process without it recorded is not found. It costs about 180 bytes of Redis for each session, and one more command
   * at its first request in each process. Default false.
   */
  sessionIndex?: boolean;
  /** Milliseconds since 1970, for every expiry, cooldown and age. Default `Date.now()`. */
  clock?: Clock;
}

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /**
   * Milliseconds on a clock that never goes back and never stands still, by which the age of what is known of sessions is
   * measured, such as that of the feed of revocations. For tests. Default: the machine's own.
   */
  elapsed?(): number;
}
