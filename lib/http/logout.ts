/** Ends every session whose token was sent, and clears the cookie. */

import type { ServerResponse } from 'node:http';
import { checkOptions, type OptionKinds } from '../core/check.js';
import { isLoginError } from '../core/errors.js';
import type { Ledger } from '../ledger/ledger.js';
import type { VerifiedToken, Verifier } from '../tokens/verify.js';
import { isFormPost } from './accept.js';
import type { AppRequest } from './app-request.js';
import type { LoginCookie } from './cookie.js';
import type { ForgeryCheck } from './forgery.js';
import type { Fail } from './gates.js';
import type { LoginUrlFor } from './login-url.js';
import { redirect, sendNotAllowed, sendNothing, type Handler } from './respond.js';
import type { SentToken, TokenSource } from './token-source.js';

/** What a browser can be told to forget (Clear Site Data, section 3.1). `'*'` stands for all of it. */
export type SiteData =
  'cache' | 'cookies' | 'storage' | 'executionContexts' | 'clientHints' | 'prefetchCache' | 'prerenderCache' | '*';

/** Complete by type. */
const IS_SITE_DATA: Readonly<Record<SiteData, true>> = {
  cache: true,
  cookies: true,
  storage: true,
  executionContexts: true,
  clientHints: true,
  prefetchCache: true,
  prerenderCache: true,
  '*': true,
};

const SITE_DATA = Object.keys(IS_SITE_DATA);

export interface LogoutOptions {
  /**
   * What the browser forgets of this origin when somebody signs out, at least one of {@link SiteData}: the header
   * `Clear-Site-Data`, which browsers follow over https only. `'cookies'` clears those of all subdomains too, and to clear the
   * cache can take seconds. Default: nothing is sent.
   */
  readonly clearSiteData?: readonly SiteData[];
}

const LOGOUT_OPTIONS: OptionKinds<LogoutOptions> = {
  clearSiteData: {
    accepts: (value) =>
      Array.isArray(value) && value.length > 0 && value.every((each) => SITE_DATA.some((known) => known === each)),
    words: `a list with one or more of ${SITE_DATA.map((each) => `'${each}'`).join(', ')}`,
  },
};

export interface LogoutParts {
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly ledger: Pick<Ledger, 'revoke'>;
  readonly source: Pick<TokenSource, 'all'>;
  readonly refuseForgery: ForgeryCheck;
  /** Null if the application's own function reads the token: then the cookie is the application's to clear. */
  readonly cookie: Pick<LoginCookie, 'sent' | 'clear'> | null;
  readonly isSecure: (req: AppRequest) => boolean;
  readonly fail: Fail;
  readonly loginUrlFor?: LoginUrlFor | undefined;
}

/**
 * For POST. Answers 204, or 303 for an HTML form, also if there is no token or the session has already ended. Throws a
 * `TypeError` if an option is invalid.
 */
export function createLogout(parts: LogoutParts, options: LogoutOptions = {}): Handler {
  const { cookie, isSecure, fail } = parts;
  checkOptions<LogoutOptions>(options, 'logout()', LOGOUT_OPTIONS);
  const siteData = options.clearSiteData?.map((each) => `"${each}"`).join(', ');
  const choose = createChoice(parts);
  const endAll = createEnding(parts);

  async function logOut(req: AppRequest, res: ServerResponse): Promise<void> {
    const { texts, isOwnPage } = choose(req);
    await endAll(texts);
    if (!isOwnPage || res.headersSent) return;
    cookie?.clear(res);
    if (siteData !== undefined && isSecure(req)) res.setHeader('Clear-Site-Data', siteData);
  }

  return function logoutMiddleware(req, res, next) {
    if (req.method === 'GET' || req.method === 'HEAD' || req.method === 'OPTIONS') {
      sendNotAllowed(req, res, 'POST');
      return;
    }
    logOut(req, res)
      .then(() => {
        if (isFormPost(req)) redirect(res, parts.loginUrlFor?.(req) ?? '/');
        else sendNothing(res);
      })
      .catch((error: unknown) => fail(error, req, res, next));
  };
}

interface Choice {
  /** The tokens whose sessions are ended. */
  readonly texts: readonly string[];
  /** Whether no other site can have sent the request: only then may the browser's cookie be touched. */
  readonly isOwnPage: boolean;
}

/** Throws `LoginError` `cross_site` if nothing in the request may be acted upon. */
function createChoice({ source, cookie, refuseForgery }: LogoutParts): (req: AppRequest) => Choice {
  /** Whether another site may have made the browser send this token, or a request without one. */
  function isForeign(req: AppRequest, sent?: SentToken): boolean {
    try {
      refuseForgery(req, sent);
      return false;
    } catch {
      return true;
    }
  }

  return function choose(req) {
    const sent = source.all(req);
    // Also without a token: a form of another site is sent without a SameSite cookie, and must not clear that cookie.
    if (!isForeign(req)) {
      const all = sent.flatMap(({ text, others }) => [text, ...others]);
      return { texts: [...new Set([...all, ...(cookie?.sent(req) ?? [])])], isOwnPage: true };
    }
    // A script of another origin can send a token that it has. It must not end the session of a cookie beside it.
    const texts = sent.filter((each) => !isForeign(req, each)).map(({ text }) => text);
    if (texts.length === 0) refuseForgery(req, undefined);
    return { texts, isOwnPage: false };
  };
}

/** A token that does not verify names no session. All others are ended, also if one of them fails. */
function createEnding({ verifier, ledger }: LogoutParts): (texts: readonly string[]) => Promise<void> {
  async function verified(text: string): Promise<VerifiedToken | undefined> {
    try {
      return await verifier.verify(text);
    } catch (error) {
      if (isLoginError(error) && error.status === 401) return undefined;
      throw error;
    }
  }

  async function end({ user, handle, times }: VerifiedToken): Promise<void> {
    await ledger.revoke(user, { handle, reason: 'signed_out', by: user.subject, token: times });
  }

  return async function endAll(texts) {
    const ending = new Map<string, Promise<void>>();
    const ended = texts.map(async (text) => {
      const token = await verified(text);
      if (token === undefined) return;
      // At once: another token may wait for the keys of its issuer.
      if (!ending.has(token.handle)) ending.set(token.handle, end(token));
      await ending.get(token.handle);
    });
    await Promise.allSettled(ended);
    // If a token cannot be checked, or a session cannot be ended, the answer must not say that the person is signed out.
    await Promise.all(ended);
  };
}
