// @ts-check
/** The site: pages with a cookie, a JSON API with a bearer token, and an account page where people end their sessions. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import express from 'express';
import { managedSessions, PAGE_STYLE_SOURCE } from 'managed-sessions';
import { DEMO_USERS } from './issuer.mjs';
import { frame, homePage, markup, ordersPage, signInPage } from './pages.mjs';

const COOKIE = 'login_token';
const CONTENT_POLICY =
  `default-src 'none'; style-src 'self' ${PAGE_STYLE_SOURCE}; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`;

/** @type {Record<string, readonly { number: string, what: string }[]>} */
const ORDERS = {
  usr_1: [
    { number: '1843', what: 'Three pocket notebooks, dotted' },
    { number: '1852', what: 'One field book, ruled' },
  ],
  usr_2: [{ number: '1936', what: 'A roll of waterproof tape, practically endless' }],
};

/**
 * @param {{ issuer: import('managed-sessions').IssuerOptions, tokenUrl: string, store?: import('managed-sessions').SessionStore }} parts
 */
export function createSite({ issuer, tokenUrl, store }) {
  const sessions = managedSessions({ issuer, loginUrl: '/sign-in', ...(store === undefined ? {} : { store }) });
  const app = express();
  app.disable('x-powered-by');
  app.use((_req, res, next) => {
    res.set({
      'Content-Security-Policy': CONTENT_POLICY,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'same-origin',
    });
    next();
  });

  const here = fileURLToPath(new URL('./public/', import.meta.url));
  app.use(express.static(here, { index: false }));
  app.get('/managed-sessions-client.js', (_req, res) => {
    res
      .type('text/javascript')
      .send(readFileSync(fileURLToPath(import.meta.resolve('managed-sessions/client')), 'utf8'));
  });

  app.get('/', sessions.optional(), (req, res) => {
    res.send(homePage(req.user === undefined ? undefined : { name: req.user.name ?? req.user.id }));
  });

  app.get('/sign-in', (_req, res) => {
    res.set('Cache-Control', 'no-store').send(signInPage({ users: DEMO_USERS }));
  });

  app.post('/sign-in', sameOrigin, express.urlencoded({ extended: false, limit: '4kb' }), async (req, res) => {
    const { username, password } = /** @type {Record<string, unknown>} */ (req.body ?? {});
    const answer = await fetch(tokenUrl, {
      method: 'POST',
      body: new URLSearchParams({ username: String(username), password: String(password) }),
      signal: AbortSignal.timeout(5000),
    }).catch(() => undefined);
    res.set('Cache-Control', 'no-store');
    if (answer?.status === 401) {
      res.status(401).send(signInPage({ users: DEMO_USERS, failed: true, username: String(username ?? '') }));
      return;
    }
    if (answer?.ok !== true) {
      res.status(503).send(signInPage({ users: DEMO_USERS, unavailable: true }));
      return;
    }
    const { login_token: token, expires_in: seconds } = /** @type {{ login_token: string, expires_in: number }} */ (
      await answer.json()
    );
    res.cookie(COOKIE, token, { httpOnly: true, sameSite: 'lax', secure: req.secure, maxAge: seconds * 1000 });
    res.redirect(303, '/');
  });

  app.post('/sign-out', sessions.logout());

  app.get('/orders', sessions, (_req, res) => {
    res.send(ordersPage());
  });

  // The page's script asks for the token here and keeps it in memory alone; no other site can read the answer.
  app.get('/token', sessions, (req, res) => {
    res.set({ 'Cache-Control': 'no-store', 'Cross-Origin-Resource-Policy': 'same-origin' });
    res.json({ token: readCookie(req.headers.cookie ?? '') });
  });

  app.get('/api/orders', sessions.required({ scope: 'orders:read' }), (req, res) => {
    res.set('Cache-Control', 'no-store').json({ orders: ORDERS[req.user?.id ?? ''] ?? [] });
  });

  // Tells an open tab the moment its session ends, wherever it was ended.
  app.get('/live', sessions, (req, res) => {
    const signal = req.loginSession?.signal;
    res.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    res.write('event: signed-in\ndata: {}\n\n');
    const onEnded = () => res.end('event: signed-out\ndata: {}\n\n');
    const beat = setInterval(() => res.write(': still here\n\n'), 20_000);
    signal?.addEventListener('abort', onEnded, { once: true });
    res.on('close', () => {
      clearInterval(beat);
      signal?.removeEventListener('abort', onEnded);
    });
    if (signal?.aborted === true) onEnded();
  });

  app.use(
    '/account/sessions',
    sessions.router({ layout: (page) => frame({ title: 'Devices', signedIn: true, body: markup(page) }) }),
  );

  return { app, sessions };
}

/** A login form must not be sent by another site: it could sign a visitor in as somebody else. */
/** @type {import('express').RequestHandler} */
function sameOrigin(req, res, next) {
  const site = req.get('sec-fetch-site');
  const origin = req.get('origin');
  const isCross =
    site === undefined ? origin !== undefined && URL.parse(origin)?.host !== req.get('host') : site !== 'same-origin';
  if (isCross) res.status(403).type('text').send('This form belongs to another site.\n');
  else next();
}

/** @param {string} header */
function readCookie(header) {
  const pair = header.split('; ').find((part) => part.startsWith(`${COOKIE}=`));
  return pair === undefined ? null : decodeURIComponent(pair.slice(COOKIE.length + 1));
}
