// @ts-check
/** The site: pages with a cookie, an API with a bearer token, an account page where people end their sessions, and administration. */

import { fileURLToPath } from 'node:url';
import cookieParser from 'cookie-parser';
import express from 'express';
import { LoginError, managedSessions, PAGE_SCRIPT_SOURCE, PAGE_STYLE_SOURCE } from 'managed-sessions';
import { adminRouter } from './admin.mjs';
import { createExplanation, fromOwnPage, loginTokenOf, requireLogin } from './gates.mjs';
import { DEMO_USERS } from './issuer.mjs';
import {
  accountPage,
  developersPage,
  homePage,
  mailsPage,
  ordersPage,
  problemPage,
  signInPage,
  unavailablePage,
} from './pages.mjs';
import { locate } from './places.mjs';
import { createProvider } from './provider.mjs';

const CLIENT_MODULE = fileURLToPath(import.meta.resolve('managed-sessions/client'));
const PUBLIC_FILES = fileURLToPath(new URL('./public/', import.meta.url));

/** The list of sessions has an inline stylesheet and script, which the policy allows by their hashes. */
const CONTENT_POLICY = [
  "default-src 'none'",
  `style-src 'self' ${PAGE_STYLE_SOURCE}`,
  `script-src 'self' ${PAGE_SCRIPT_SOURCE}`,
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
 * @param {object} parts
 * @param {import('managed-sessions').IssuerOptions} parts.issuer
 * @param {string} parts.tokenUrl
 * @param {import('managed-sessions').SessionStore} parts.store
 * @param {import('./admin.mjs').Outage} parts.outage
 * @param {ReturnType<typeof import('./mails.mjs').createMails>} parts.mails
 */
export function createSite({ issuer, tokenUrl, store, outage, mails }) {
  const requestToken = createProvider(tokenUrl);
  const sessions = managedSessions({ issuer, store, loginUrl: '/sign-in', clientHints: true });
  sessions.on('sessionStarted', (event) => mails.onStarted(sessions, event));
  sessions.on('sessionEnded', mails.onEnded);

  const app = express();
  app.disable('x-powered-by');
  app.use(setHeaders);
  app.use(express.static(PUBLIC_FILES, { redirect: false }));
  app.get('/managed-sessions-client.js', (_req, res) => res.sendFile(CLIENT_MODULE));
  app.use((_req, res, next) => {
    res.set('Cache-Control', 'no-store');
    next();
  });
  app.use(cookieParser());

  /** For pages that anybody may see: `req.user` is set for those who are signed in. @type {import('express').RequestHandler[]} */
  const visitor = [sessions.optional(), createExplanation({ sessions, requestToken })];
  const member = [...visitor, requireLogin];

  app.get('/', ...visitor, (req, res) => {
    res.send(homePage({ user: req.user, session: req.loginSession }));
  });

  app.get('/sign-in', ...visitor, (req, res) => {
    if (req.user === undefined) res.send(signInPage({ users: DEMO_USERS }));
    else res.redirect(303, '/');
  });

  app.post('/sign-in', fromOwnPage, formOf('1kb'), async (req, res) => {
    const username = fieldOf(req.body, 'username');
    const problem = await signIn(req, res, { username, password: fieldOf(req.body, 'password') });
    if (problem === undefined) res.redirect(303, '/');
    else res.status(problem === 'wrong' ? 401 : 503).send(signInPage({ users: DEMO_USERS, problem, username }));
  });

  app.post('/sign-out', sessions.logout());

  app.get('/orders', ...member, (req, res) => {
    const user = userOf(req);
    res.send(ordersPage({ user, orders: ordersOf(user) }));
  });

  app.get('/mails', ...member, (req, res) => {
    const user = userOf(req);
    res.send(mailsPage({ user, mails: mails.of(user.id) }));
  });

  app.get('/api/orders', sessions.required({ scope: 'orders:read' }), (req, res) => {
    res.json({ orders: ordersOf(userOf(req)) });
  });

  app.get('/developers', ...member, (req, res) => {
    res.send(developersPage({ user: userOf(req) }));
  });

  app.post('/developers', ...member, formOf('16kb'), async (req, res) => {
    const sent = fieldOf(req.body, 'token');
    if (!/^[\w.-]{0,8192}$/.test(sent))
      return void res.status(400).send(problemPage('Refused', 'That is not a token.'));
    const token = sent || (await requestToken({ login_token: loginTokenOf(req), client_id: 'tidemark-api' }));
    if (token === undefined) return void res.redirect(303, '/sign-in');
    const address = `http://localhost:${String(req.socket.localPort)}/api/orders`;
    res.send(developersPage({ user: userOf(req), call: { address, token, ...(await answerOf(address, token)) } }));
  });

  app.use('/admin', ...member, adminRouter({ sessions, outage }));

  app.get('/account/sessions', ...visitor, (_req, _res, next) => next());
  app.use('/account/sessions', sessions.router({ locate, layout: inAccountPage }));

  app.use((_req, res) => {
    res.status(404).send(problemPage('Page not found', 'There is no such page.'));
  });
  app.use(sayWhatWentWrong);

  return { app, sessions };

  /**
   * @param {import('express').Request} req @param {import('express').Response} res
   * @param {{ username: string, password: string }} form
   * @returns {Promise<'wrong' | 'unavailable' | undefined>} why it failed
   */
  async function signIn(req, res, form) {
    try {
      const token = await requestToken(form);
      if (token === undefined) return 'wrong';
      await sessions.setCookie(req, res, token);
      return undefined;
    } catch (error) {
      console.error('A sign-in failed:', error);
      return 'unavailable';
    }
  }
}

/** @param {import('express').Request} _req @param {import('express').Response} res @param {() => void} next */
function setHeaders(_req, res, next) {
  res.set({
    'Content-Security-Policy': CONTENT_POLICY,
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    // Not 'no-referrer': with it, browsers send "Origin: null" with the site's own forms.
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
  });
  next();
}

/**
 * What a program gets that sends this token.
 * @param {string} address @param {string} token
 */
async function answerOf(address, token) {
  const headers = { Authorization: `Bearer ${token}` };
  const response = await fetch(address, { headers, signal: AbortSignal.timeout(5000) });
  const body = JSON.stringify(await response.json(), null, 2);
  return { status: `${String(response.status)} ${response.statusText}`, body };
}

/** @param {string} list @param {import('express').Request} req */
function inAccountPage(list, { user }) {
  return accountPage(list, user);
}

/** @param {import('managed-sessions').LoginUser} user */
function ordersOf({ id }) {
  return ORDERS.get(id) ?? [];
}

/** The user that a gate has let in. @param {import('express').Request} req */
function userOf({ user }) {
  if (user === undefined) throw new TypeError('This route needs a gate');
  return user;
}

/** Reads a form. @param {string} limit of its length */
function formOf(limit) {
  return express.urlencoded({ extended: false, limit });
}

/** A form's field; empty if it was not sent, or sent more than once. @param {unknown} body @param {string} name */
function fieldOf(body, name) {
  const value = typeof body === 'object' && body !== null && Object.hasOwn(body, name) ? Reflect.get(body, name) : '';
  return typeof value === 'string' ? value : '';
}

/**
 * A request that cannot be read, or names no session, gets the status of its error. Of any other error, the cause is only logged.
 * @type {import('express').ErrorRequestHandler}
 */
function sayWhatWentWrong(error, req, res, next) {
  if (res.headersSent) return next(error);
  const status = error instanceof Error && 'status' in error ? Number(error.status) : 500;
  if (error instanceof LoginError && status === 503) {
    res.status(503).set(error.headers).send(unavailablePage());
  } else if (status >= 400 && status < 500) {
    res.status(status).send(problemPage('That did not work', 'This request cannot be read, or what it names is gone.'));
  } else {
    console.error(`${req.method} ${req.path}:`, error);
    res.status(500).send(problemPage('Something went wrong', 'The mistake is ours. Please try again shortly.'));
  }
}
