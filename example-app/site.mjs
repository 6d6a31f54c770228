// @ts-check
/** The site: pages with a cookie, a JSON API with a bearer token, and an account page where people end their sessions. */

import { finished } from 'node:stream';
import { fileURLToPath } from 'node:url';
import cookieParser from 'cookie-parser';
import express from 'express';
import { managedSessions, PAGE_STYLE_SOURCE } from 'managed-sessions';
import { DEMO_USERS } from './issuer.mjs';
import { accountPage, homePage, ordersPage, problemPage, signInPage } from './pages.mjs';

const PUBLIC_FILES = fileURLToPath(new URL('./public/', import.meta.url));
const CLIENT_MODULE = fileURLToPath(import.meta.resolve('managed-sessions/client'));

/** The list of sessions has an inline stylesheet, which the policy allows by its hash. */
const CONTENT_POLICY = [
  "default-src 'none'",
  `style-src 'self' ${PAGE_STYLE_SOURCE}`,
  "script-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

/** @type {ReadonlyMap<string, readonly { number: string, what: string, state: string }[]>} */
const ORDERS = new Map([
  [
    'usr_1',
    [
      { number: '1852', what: 'One field book, ruled', state: 'On its way' },
      { number: '1843', what: 'Three pocket notebooks, dotted', state: 'Delivered' },
    ],
  ],
  ['usr_2', [{ number: '1936', what: 'A roll of paper tape, practically endless', state: 'Delivered' }]],
]);

/**
 * @param {{ issuer: import('managed-sessions').IssuerOptions, tokenUrl: string, store?: import('managed-sessions').SessionStore }} parts
 */
export function createSite({ issuer, tokenUrl, store }) {
  const sessions = managedSessions({
    issuer,
    loginUrl: '/sign-in',
    clientHints: true,
    ...(store === undefined ? {} : { store }),
  });
  const app = express();
  app.disable('x-powered-by');

  app.use((_req, res, next) => {
    res.set({
      'Content-Security-Policy': CONTENT_POLICY,
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Resource-Policy': 'same-origin',
      // Not 'no-referrer': with it, browsers send "Origin: null" with the site's own forms.
      'Referrer-Policy': 'same-origin',
      'X-Content-Type-Options': 'nosniff',
    });
    next();
  });
  app.use(express.static(PUBLIC_FILES, { index: false }));
  app.get('/managed-sessions-client.js', (_req, res) => {
    res.sendFile(CLIENT_MODULE);
  });
  // The responses below are private: no cache may keep them, not even for the Back button after signing out.
  app.use((_req, res, next) => {
    res.set('Cache-Control', 'no-store');
    next();
  });
  app.use(cookieParser());

  app.get('/', sessions.optional(), (req, res) => {
    res.send(homePage(req.user && (req.user.name ?? req.user.id)));
  });

  app.get('/sign-in', sessions.optional(), (req, res) => {
    if (req.user === undefined) res.send(signInPage({ users: DEMO_USERS }));
    else res.redirect(303, '/');
  });

  app.post('/sign-in', ownForms, express.urlencoded({ extended: false, limit: '1kb' }), async (req, res) => {
    const username = fieldOf(req.body, 'username');
    const problem = await signIn(req, res, username, fieldOf(req.body, 'password'));
    if (problem === undefined) res.redirect(303, '/');
    else res.status(problem === 'wrong' ? 401 : 503).send(signInPage({ users: DEMO_USERS, problem, username }));
  });

  app.post('/sign-out', sessions.logout());

  app.get('/orders', sessions, (_req, res) => {
    res.send(ordersPage());
  });

  // Scripts of this site get the token here, and keep it in memory only. Other sites cannot read the response.
  app.get('/token', ownForms, sessions, (req, res) => {
    res.json({ token: req.cookies.login_token ?? null });
  });

  app.get('/api/orders', sessions.required({ scope: 'orders:read' }), (req, res) => {
    res.json({ orders: ORDERS.get(req.user?.id ?? '') ?? [] });
  });

  // Tells an open tab as soon as its session ends, whichever process ended it.
  app.get('/live', sessions, (req, res) => {
    const signal = req.loginSession?.signal;
    const farewell = () => res.end('event: signed-out\ndata: {}\n\n');
    res.type('text/event-stream').write('event: signed-in\ndata: {}\n\n');
    if (signal?.aborted) return void farewell();
    signal?.addEventListener('abort', farewell, { once: true });
    const heartbeat = setInterval(() => res.write(': still here\n\n'), 20_000);
    // Unlike 'close', this is also called if the tab was closed before this handler ran.
    finished(res, () => {
      clearInterval(heartbeat);
      signal?.removeEventListener('abort', farewell);
    });
  });

  app.use('/account/sessions', sessions.router({ layout: (page, req) => accountPage(page, userOf(req)) }));

  app.use((_req, res) => {
    res.status(404).send(problemPage('Page not found', 'There is no such page.'));
  });
  app.use(sayWhatWentWrong);

  return { app, sessions };

  /**
   * Sets the login cookie. Behind a proxy that ends TLS, `app.set('trust proxy', ...)` makes it Secure.
   * @param {import('express').Request} req @param {import('express').Response} res
   * @param {string} username @param {string} password
   * @returns {Promise<'wrong' | 'unavailable' | undefined>} why it failed
   */
  async function signIn(req, res, username, password) {
    try {
      const response = await fetch(tokenUrl, {
        method: 'POST',
        body: new URLSearchParams({ username, password }),
        signal: AbortSignal.timeout(5000),
      });
      if (response.status === 401) return 'wrong';
      if (!response.ok) return 'unavailable';
      const { login_token: token } = await response.json();
      await sessions.setCookie(req, res, token);
      return undefined;
    } catch (error) {
      console.error('A sign-in failed:', error);
      return 'unavailable';
    }
  }
}

/**
 * Refuses requests that a page of another site made the browser send. Its form could sign a visitor in as somebody else.
 * @param {import('express').Request} req @param {import('express').Response} res @param {() => void} next
 */
function ownForms(req, res, next) {
  const site = req.get('sec-fetch-site');
  const origin = req.get('origin');
  const isOurs =
    site === undefined
      ? origin === undefined || (URL.canParse(origin) && new URL(origin).host === req.get('host'))
      : site === 'same-origin';
  if (isOurs) next();
  else res.status(403).send(problemPage('Refused', 'This request came from another site, so nothing was done.'));
}

/**
 * A request that cannot be read gets the status of its error. Any other error is a 500, whose cause is only logged.
 * @type {import('express').ErrorRequestHandler}
 */
function sayWhatWentWrong(error, req, res, next) {
  if (res.headersSent) return next(error);
  const status = error instanceof Error && 'status' in error ? Number(error.status) : 500;
  if (status >= 400 && status < 500) {
    res.status(status).send(problemPage('That did not work', 'This request cannot be read.'));
    return;
  }
  console.error(`${req.method} ${req.path}:`, error);
  res.status(500).send(problemPage('Something went wrong', 'The mistake is ours. Please try again shortly.'));
}

/** A form's field; empty if it was not sent, or sent more than once. @param {unknown} body @param {string} name */
function fieldOf(body, name) {
  const value = typeof body === 'object' && body !== null && Object.hasOwn(body, name) ? Reflect.get(body, name) : '';
  return typeof value === 'string' ? value : '';
}

/** @param {import('node:http').IncomingMessage & { user?: Express.User }} req */
function userOf(req) {
  return req.user;
}
