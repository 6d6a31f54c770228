// @ts-check
/** What stands in front of the site's pages, after `sessions.optional()`. The API leaves all of this to the package. */

import { setTimeout as pause } from 'node:timers/promises';
import { LoginError } from 'managed-sessions';
import { problemPage, unavailablePage } from './pages.mjs';

/**
 * A form of another site could sign a visitor in as somebody else. `setCookie()` does not check that, because there is no
 * session to protect yet. All other forms are sent with the login cookie: the package checks where they come from.
 *
 * @param {import('express').Request} req @param {import('express').Response} res @param {() => void} next
 */
export function fromOwnPage(req, res, next) {
  if (req.get('origin') === `${req.protocol}://${req.host}`) next();
  else
    res.status(403).send(problemPage('Refused', 'This form was not sent by a page of this site, so nothing was done.'));
}

/**
 * For pages that anybody may see: says why it cannot be told who somebody is. A token that an administrator has let expire is
 * replaced by a new one of the same session.
 *
 * @param {object} parts
 * @param {import('managed-sessions').ManagedSessions} parts.sessions
 * @param {(form: Record<string, string>) => Promise<string | undefined>} parts.requestToken
 * @returns {import('express').RequestHandler}
 */
export function createExplanation({ sessions, requestToken }) {
  /** @param {import('express').Request} req @param {import('express').Response} res */
  async function isRenewed(req, res) {
    // Tokens count whole seconds, and one that is issued in the second of `expireTokens()` has expired too.
    await pause(1000 - (Date.now() % 1000));
    try {
      const token = await requestToken({ login_token: loginTokenOf(req) });
      if (token === undefined) return false;
      await sessions.setCookie(req, res, token);
      return true;
    } catch (error) {
      if (error instanceof LoginError && error.status === 401) return false;
      throw error;
    }
  }

  return async function explain(req, res, next) {
    const error = req.loginError;
    if (error === undefined || (error.status === 401 && error.code !== 'token_stale')) next();
    else if (error.status === 503) res.status(503).set(error.headers).send(unavailablePage());
    else if (error.status === 403) res.status(403).send(problemPage('Refused', 'Nothing was done.'));
    else if (await isRenewed(req, res)) res.redirect(307, '?');
    else next();
  };
}

/** @param {import('express').Request} req @param {import('express').Response} res @param {() => void} next */
export function requireLogin(req, res, next) {
  if (req.user === undefined) res.redirect(303, '/sign-in');
  else next();
}

/** The cookie, by the name that it has over https and over http. @param {import('express').Request} req */
export function loginTokenOf({ cookies }) {
  return String(cookies['__Host-login_token'] ?? cookies['login_token'] ?? '');
}
