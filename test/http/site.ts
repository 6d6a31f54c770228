/** A site of real parts: verifier, ledger and store, put together by hand; a clock that tests move. */

import { handlesBy } from '../../lib/core/handles.js';
import { createSecretKey } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import jwt from 'jsonwebtoken';
import type { LoginErrorCode } from '../../lib/core/errors.js';
import type { SessionPolicy } from '../../lib/core/policy.js';
import { createAccount, type Account } from '../../lib/http/account.js';
import type { AppRequest } from '../../lib/http/app-request.js';
import { Authenticator, type AuthenticatorParts } from '../../lib/http/authenticate.js';
import { loginUser } from '../../lib/http/user-result.js';
import { createClientOf, type ClientOption } from '../../lib/http/client.js';
import { compileTrust, type RecordIp, type TrustProxy } from '../../lib/http/client-address.js';
import { createLoginCookie, type CookieOptions } from '../../lib/http/cookie.js';
import { EventStreams } from '../../lib/http/event-stream.js';
import { createForgeryCheck, type Origins } from '../../lib/http/forgery.js';
import { createFail, createOptional, createRequired, type Fail, type RequiredOptions } from '../../lib/http/gates.js';
import { createLoginUrl, type LoginUrl } from '../../lib/http/login-url.js';
import { createLogout, type LogoutParts } from '../../lib/http/logout.js';
import { createHostOf } from '../../lib/http/request.js';
import { createRefuse, type Handler, type RefusalOptions } from '../../lib/http/respond.js';
import { createRouter, type RouterOptions } from '../../lib/http/router.js';
import { createTokenSource } from '../../lib/http/token-source.js';
import type { TokenSourceOption } from '../../lib/http/token-source-option.js';
import { clientKeyOf } from '../../lib/http/user-agent.js';
import { Ledger } from '../../lib/ledger/ledger.js';
import { memoryStore } from '../../lib/stores/memory.js';
import { staticKeys } from '../../lib/tokens/static-keys.js';
import { createVerifier } from '../../lib/tokens/verify.js';

export const ISSUER = 'https://id.example.com/';
export const SECRET = 'a-secret-of-more-than-thirty-two-bytes';
/** jsonwebtoken would first try to read a string as a private key, at each call. */
const KEY = createSecretKey(SECRET, 'utf8');
export const START = Date.UTC(2026, 2, 1, 9);

export interface SiteOptions extends Pick<RefusalOptions, 'onRefused'> {
  readonly loginUrl?: LoginUrl;
  readonly client?: ClientOption;
  readonly from?: TokenSourceOption;
  readonly trustProxy?: TrustProxy;
  readonly recordIp?: RecordIp;
  readonly router?: RouterOptions;
  readonly policy?: Partial<SessionPolicy>;
  readonly origins?: Origins;
  readonly cookie?: CookieOptions;
  /** Of event streams, in milliseconds. */
  readonly streamTick?: number;
  /** Parts to put in place of the real ones, or around them. */
  readonly parts?: Partial<SiteParts> | ((real: SiteParts) => Partial<SiteParts>);
}

export interface SiteParts extends Omit<AuthenticatorParts<unknown>, 'ledger' | 'refuseForgery' | 'source'> {
  readonly ledger: Pick<AuthenticatorParts<unknown>['ledger'], 'judge'> & LogoutParts['ledger'];
  readonly hostOf: (req: AppRequest) => string;
}

/** The gates and what is around them, as `managedSessions()` puts them together. */
export interface SiteLogin {
  required(options?: RequiredOptions): Handler;
  optional(): Handler;
  logout(): Handler;
  readonly verify: Authenticator<unknown>['verify'];
  readonly authenticate: Authenticator<unknown>['authenticate'];
  fail: Fail;
}

export interface Site {
  readonly login: SiteLogin;
  readonly account: Account;
  readonly ledger: Ledger;
  readonly clock: { time: number; now(): number };
  /** Codes that were told as `tokenRefused`, in their order. */
  readonly refused: LoginErrorCode[];
  router(options?: RouterOptions): Handler;
  close(): Promise<void>;
}

export function makeSite(options: SiteOptions = {}): Site {
  const clock = {
    time: START,
    now(): number {
      return this.time;
    },
  };
  const refused: LoginErrorCode[] = [];
  const policy: SessionPolicy = {
    idleTimeout: null,
    clockTolerance: 0,
    tombstoneFor: 86_400_000,
    maxSessions: 100,
    atSessionLimit: 'end-oldest',
    ...options.policy,
  };
  const store = memoryStore();
  store.configure({ storeTimeout: 1000, revocationBound: 5000 });
  const ledger = new Ledger({
    store,
    clock,
    policyOf: () => policy,
    revocationBound: 5000,
    activityInterval: 60_000,
    storeTimeout: 1000,
    whenStoreDown: 'refuse',
    emit: () => undefined,
    clientKeyOf,
  });
  const issuer = {
    issuer: ISSUER,
    audience: 'shop',
    clockTolerance: 0,
    keys: staticKeys({ secret: SECRET }, 'issuer'),
  };
  const trust = compileTrust(options.trustProxy);
  const source = createTokenSource(options.from, options.cookie);
  const handles = handlesBy(null);
  const real: SiteParts = {
    handles,
    verifier: createVerifier({ issuers: [issuer], clock, lifetime: () => null }),
    ledger,
    user: loginUser,
    clock,
    clientOf: createClientOf(trust, options.recordIp ?? 'full', options.client),
    hostOf: createHostOf(trust),
    emit: (name, event) => {
      if (name === 'tokenRefused' && 'code' in event) refused.push(event.code);
    },
  };
  const policyOf = (): SessionPolicy => policy;
  const others = typeof options.parts === 'function' ? options.parts(real) : options.parts;
  const parts = { ...real, ...others };
  const refuseForgery = createForgeryCheck(parts.hostOf, options.origins ?? []);
  const judging: AuthenticatorParts<unknown>['ledger'] = {
    judge: (...args) => parts.ledger.judge(...args),
    peek: (...args) => ledger.peek(...args),
    lease: (...args) => ledger.lease(...args),
    isKnownStale: (...args) => ledger.isKnownStale(...args),
  };
  const authenticator = new Authenticator<unknown>({ ...parts, ledger: judging, source, refuseForgery });
  const name = options.cookie?.name ?? source.cookies[0];
  const cookieParts = { clock, isSecure: () => false, others: source.cookies };
  const cookie = name === undefined ? null : createLoginCookie(name, options.cookie ?? {}, cookieParts);
  const loginUrlFor = createLoginUrl(options.loginUrl);
  const login: SiteLogin = {
    required: (requiredOptions) =>
      createRequired({ ...parts, policyOf, authenticator, fail: login.fail }, requiredOptions),
    optional: () => createOptional(authenticator),
    logout: () =>
      createLogout({ ...parts, ...cookieParts, source, refuseForgery, cookie, fail: login.fail, loginUrlFor }),
    verify: (token, sighting) => authenticator.verify(token, sighting),
    authenticate: (req, authenticateOptions) => authenticator.authenticate(req, authenticateOptions),
    fail: createFail(authenticator, createRefuse({ loginUrlFor, onRefused: options.onRefused })),
  };
  const account = createAccount(ledger, handles, clock);
  const streams = new EventStreams({ tick: options.streamTick ?? 1000 });
  return {
    login,
    account,
    ledger,
    clock,
    refused,
    router: (routerOptions) =>
      createRouter(
        { ...parts, policyOf, handles, authenticator, account, streams, cookie, fail: login.fail, clock, loginUrlFor },
        routerOptions,
      ),
    close() {
      streams.close();
      return ledger.close();
    },
  };
}

/** A token of a session, an hour long unless the claims say otherwise. */
export function tokenOf(session: string, claims: Readonly<Record<string, unknown>> = {}): string {
  const beganAt = START / 1000;
  return jwt.sign(
    { iss: ISSUER, aud: 'shop', sub: 'ann', sid: session, iat: beganAt, exp: beganAt + 3600, ...claims },
    KEY,
  );
}

export const bearer = (token: string): { readonly Authorization: string } => ({ Authorization: `Bearer ${token}` });
export const cookie = (token: string): { readonly Cookie: string } => ({ Cookie: `login_token=${token}` });
/** What a browser sends with its own site's requests. */
export const sameOrigin = { 'Sec-Fetch-Site': 'same-origin' } as const;

/** Answers with what the login put on the request. */
export const showLogin: Handler = (
  req: IncomingMessage & { user?: unknown; loginSession?: unknown; loginError?: unknown },
  res,
) => {
  const { user, loginSession, loginError } = req;
  const code = loginError instanceof Error && 'code' in loginError ? loginError.code : undefined;
  res.setHeader('Content-Type', 'application/json');
  res.end(JSON.stringify({ user, session: loginSession, code }));
};
