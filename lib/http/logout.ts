/** Ends the current session and clears its cookie. */

import { checkOptions } from '../core/check.js';
import { isLoginError } from '../core/errors.js';
import type { Ledger } from '../ledger/ledger.js';
import type { VerifiedToken, Verifier } from '../tokens/verify.js';
import { isFormPost } from './accept.js';
import type { LoginCookie } from './cookie.js';
import type { ForgeryCheck } from './forgery.js';
import type { Fail } from './gates.js';
import type { LoginUrlFor } from './login-url.js';
import type { AppRequest } from './request.js';
import { redirect, sendNotAllowed, sendNothing, type Handler } from './respond.js';
import type { TokenSource } from './token-source.js';

export interface LogoutParts {
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly ledger: Pick<Ledger, 'revoke'>;
  readonly source: Pick<TokenSource, 'all'>;
  readonly refuseForgery: ForgeryCheck;
  /** Null if the application's own function reads the token: then the cookie is the application's to clear. */
  readonly cookie: Pick<LoginCookie, 'clear'> | null;
  readonly fail: Fail;
  readonly loginUrlFor?: LoginUrlFor | undefined;
}

/**
 * For POST. Answers 204, or 303 for an HTML form, also if there is no token or the session has already ended. Throws a
 * `TypeError` for any option.
 */
export function createLogout(parts: LogoutParts, options: unknown = {}): Handler {
  const { verifier, ledger, source, refuseForgery, cookie, fail } = parts;
  checkOptions(options, 'logout()', {});

  /** The token if it is valid: with an invalid one, there is no session to end. */
  async function presentedToken(text: string): Promise<VerifiedToken | undefined> {
    try {
      return await verifier.verify(text);
    } catch (error) {
      if (isLoginError(error) && error.status === 401) return undefined;
      throw error;
    }
  }

  async function endSession(req: AppRequest): Promise<void> {
    // Also without a token: a form of another site is sent without a SameSite cookie, and must not clear that cookie.
    const sent = source.all(req);
    refuseForgery(req, sent[0]);
    for (const text of sent.flatMap((each) => [each.text, ...each.others])) {
      const token = await presentedToken(text);
      if (token === undefined) continue;
      const { user, handle, times } = token;
      await ledger.revoke(user, { handle, reason: 'signed_out', by: user.subject, token: times });
    }
  }

  return function logoutMiddleware(req, res, next) {
    if (req.method === 'GET' || req.method === 'HEAD' || req.method === 'OPTIONS') {
      sendNotAllowed(req, res, 'POST');
      return;
    }
    endSession(req)
      .then(() => {
        cookie?.clear(res);
        if (isFormPost(req)) redirect(res, parts.loginUrlFor?.(req) ?? '/');
        else sendNothing(res);
      })
      .catch((error: unknown) => fail(error, req, res, next));
  };
}
