/** Signs a browser in: a verified token becomes the cookie, and the session of the cookie that it replaces is ended. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { kindOf } from '../core/check.js';
import { isLoginError, LoginError } from '../core/errors.js';
import { tokenRefused, type Emit } from '../core/events.js';
import { tokenEndsAt } from '../core/policy.js';
import type { Ledger, WhenStoreDown } from '../ledger/ledger.js';
import type { VerifiedToken, Verifier } from '../tokens/verify.js';
import type { AppRequest } from './app-request.js';
import type { Authenticator } from './authenticate.js';
import type { ClientOf } from './client.js';
import type { LoginCookie } from './cookie.js';
import { requireHeaders } from './request.js';

/** Each part is prepared once. */
export interface SignInParts {
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly ledger: Pick<Ledger, 'judge' | 'peek' | 'revoke'>;
  readonly authenticator: Pick<Authenticator<unknown>, 'userOf'>;
  readonly clock: { now(): number };
  readonly clientOf: ClientOf;
  /** Null if a function reads the token and the option `cookie` has no name. */
  readonly cookie: LoginCookie | null;
  readonly whenStoreDown: WhenStoreDown;
}

/** Resolves once the cookie is on the response. Rejects with `LoginError`: then nothing is written. */
export type SignIn = (req: AppRequest, res: ServerResponse, text: string) => Promise<void>;

/** `caller` is the member that needs the cookie. Throws a `TypeError` if nothing says what the cookie is called. */
export function createSignIn(parts: SignInParts, caller: string): SignIn {
  const { verifier, ledger, authenticator, clock, clientOf } = parts;
  const cookie = requireCookie(parts.cookie, caller);
  const replacement = createReplacement(parts, cookie);

  /** Otherwise sessions would begin and end, and the browser would not get the cookie. */
  function requireOpen(res: ServerResponse): void {
    if (!res.headersSent) return;
    throw new TypeError(`${caller} cannot set the cookie: the response has been sent. Await it before you answer`);
  }

  return async function signIn(req, res, text) {
    requireOpen(res);
    if (!cookie.fits(text)) {
      throw new LoginError('token_too_large', 'The token is too long for a cookie');
    }
    // Now, because once the client is gone, its socket no longer knows the address.
    const sighting = { at: clock.now(), ...clientOf(req) };
    const token = await verifier.verify(text);
    // Without a user, each request with this cookie would be refused, and lead back to the provider.
    await authenticator.userOf(token);
    const { own, ofOthers } = await replacement.find(req, token);
    if (own.length > 0) {
      // A token that will be refused replaces nothing.
      await replacement.unlessStoreIsDown(ledger.peek(token, clock.now()));
      requireOpen(res);
      // Before the new session counts: a browser's last login must not stand in its way at the session limit.
      await replacement.end(own);
    }
    await ledger.judge(token, sighting, false);
    requireOpen(res);
    // Now, because it makes no room for the new session, which the session limit may have refused.
    await replacement.end(ofOthers);
    requireOpen(res);
    cookie.write(req, res, text, tokenEndsAt(token.times));
  };
}

/** The tokens of the cookies that a new token replaces, one for each session: those of its user, and those of other users. */
interface Replaced {
  readonly own: readonly VerifiedToken[];
  readonly ofOthers: readonly VerifiedToken[];
}

interface Replacement {
  /** The logins that a new token replaces. Never the session of the new token. */
  find(req: AppRequest, token: VerifiedToken): Promise<Replaced>;
  /** Not atomic: safe to repeat. */
  end(replaced: readonly VerifiedToken[]): Promise<void>;
  /** `whenStoreDown` may allow a login although the store cannot be asked. */
  unlessStoreIsDown(work: Promise<unknown>): Promise<void>;
}

function createReplacement(parts: SignInParts, cookie: LoginCookie): Replacement {
  const { ledger, whenStoreDown } = parts;
  const loginsIn = createCookieLogins(parts.verifier, cookie);

  async function unlessStoreIsDown(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      const isDown = isLoginError(error) && error.code === 'store_unavailable';
      if (!isDown || whenStoreDown === 'refuse') throw error;
    }
  }

  return {
    unlessStoreIsDown,
    async find(req, token) {
      const logins = await loginsIn(req);
      const replaced = logins.filter(({ handle }) => handle !== token.handle);
      return {
        own: replaced.filter(({ user }) => user.key === token.user.key),
        ofOthers: replaced.filter(({ user }) => user.key !== token.user.key),
      };
    },
    async end(replaced) {
      for (const { user, handle, times } of replaced) {
        const request = { handle, reason: 'replaced', by: user.subject, token: times };
        await unlessStoreIsDown(ledger.revoke(user, request));
      }
    },
  };
}

/**
 * Returns a function that finds the good tokens in the login cookies of a request, one for each session. One that does not
 * verify names no session; nor does one that cannot be checked, because a cookie that somebody planted must not prevent a
 * login.
 */
export function createCookieLogins(
  verifier: Pick<Verifier, 'verify'>,
  cookie: Pick<LoginCookie, 'sent'>,
): (req: AppRequest) => Promise<readonly VerifiedToken[]> {
  async function goodToken(text: string): Promise<VerifiedToken | undefined> {
    try {
      return await verifier.verify(text);
    } catch (error) {
      if (isLoginError(error)) return undefined;
      throw error;
    }
  }

  return async function loginsIn(req) {
    return distinct(await Promise.all(cookie.sent(req).map(goodToken)));
  };
}

/** One token for each session. */
function distinct(tokens: readonly (VerifiedToken | undefined)[]): readonly VerifiedToken[] {
  const byHandle = new Map<string, VerifiedToken>();
  for (const token of tokens) {
    if (token !== undefined) byHandle.set(token.handle, token);
  }
  return [...byHandle.values()];
}

/** Writes the cookie for an application's own sign-in route. Reports a refused token as `tokenRefused`. */
export function createSetCookie(
  parts: SignInParts & { readonly emit: Emit },
): (req: IncomingMessage, res: ServerResponse, token: unknown) => Promise<void> {
  // At the first call: an application that never signs anybody in needs no cookie.
  let signIn: SignIn | undefined;
  return async function setCookie(req, res, token) {
    signIn ??= createSignIn(parts, 'setCookie()');
    requireHeaders(req);
    try {
      if (token === undefined || token === null || token === '') throw new LoginError('no_token', 'There is no token');
      if (typeof token !== 'string') throw new LoginError('token_malformed', 'The token is not a string');
      requireResponse(res);
      await signIn(req, res, token);
    } catch (error) {
      const isRefusal = isLoginError(error) && error.status < 500 && error.code !== 'no_token';
      if (isRefusal) parts.emit('tokenRefused', tokenRefused(error));
      throw error;
    }
  };
}

/** Now, because the session begins before the cookie is written. */
function requireResponse(res: Partial<ServerResponse>): void {
  if (typeof res.setHeader === 'function') return;
  throw new TypeError(
    `setCookie() must have Node's own response (a ServerResponse) as its second argument, got ${kindOf(res)} without setHeader()`,
  );
}

function requireCookie(cookie: LoginCookie | null, caller: string): LoginCookie {
  if (cookie !== null) return cookie;
  throw new TypeError(
    `${caller} needs a cookie, and the option from names none: add { cookie: 'login_token' } to from, or, if your function ` +
      'reads a cookie, give its name as cookie.name',
  );
}
