/**
 * What other sites can make a real browser do, against a cookie with the weakest attributes that there are (`SameSite=None`).
 * The same attacks come from a site that shares the cookie's domain, and from a site that shares nothing.
 */

import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import express, { type Express, type Request, type Response } from 'express';
import type { Page } from 'playwright-core';
import { LoginError, managedSessions, type ManagedSessions } from '../../lib/index.js';
import { createTestIssuer, type TestIssuer } from '../../lib/testing/issuer.js';
import { launchProfile } from '../support/browser.js';
import { SELF_SIGNED } from '../support/self-signed.js';

const SHOP = 'shop.example.com';
const ATTACKERS = [
  ['a site with the same domain', 'blog.example.com', 'same-site'],
  ['a foreign site', 'evil.test', 'cross-site'],
] as const;

/** A request to the shop that could change something: what the browser sent with it, and what it was answered. */
interface Attempt {
  readonly path: string;
  readonly site: string | undefined;
  readonly mode: string | undefined;
  readonly hasCookie: boolean;
  readonly status: number;
}

let profile: Awaited<ReturnType<typeof launchProfile>>;
let issuer: TestIssuer;
let sessions: ManagedSessions;
let server: Server;
let port: number;
let page: Page;
let attempts: Attempt[];
let transfers: number;

const urlOf = (host: string, path = '/'): string => `https://${host}:${String(port)}${path}`;

beforeAll(async () => {
  [profile, issuer] = await Promise.all([launchProfile(), createTestIssuer()]);
  profile.context.setDefaultTimeout(120_000);
  sessions = managedSessions({
    issuer: { issuer: issuer.issuer, jwksUri: issuer.jwksUri },
    cookie: { sameSite: 'none' },
    loginUrl: '/welcome',
  });
  const [shop, attacker] = [shopApp(), attackerApp()];
  server = createServer(SELF_SIGNED, (req, res) => (req.headers.host?.startsWith(SHOP) ? shop : attacker)(req, res));
  server.on('upgrade', (req, socket) => {
    const { 'sec-fetch-site': site, 'sec-fetch-mode': mode, cookie } = req.headers;
    const note = (status: number): void => {
      attempts.push({ path: 'upgrade', site: text(site), mode: text(mode), hasCookie: cookie !== undefined, status });
      socket.end(`HTTP/1.1 ${String(status)} -\r\nContent-Length: 0\r\n\r\n`);
    };
    sessions.authenticate(req).then(
      () => note(101),
      (error: unknown) => note(error instanceof LoginError ? error.status : 500),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});

afterAll(async () => {
  await profile.close();
  server.closeAllConnections();
  server.close();
  await Promise.all([sessions.close(), issuer.close()]);
});

beforeEach(async () => {
  attempts = [];
  transfers = 0;
  await profile.context.clearCookies();
  page = await profile.context.newPage();
});
afterEach(() => page.close());

function shopApp(): Express {
  const app = express();
  app.use((req, res, next) => {
    if (req.method === 'POST') res.on('finish', () => attempts.push(attemptOf(req, res)));
    next();
  });
  app.get('/sign-in/:user', async (req, res) => {
    await sessions.setCookie(req, res, issuer.issue({ sub: req.params.user }));
    res.redirect(303, '/');
  });
  app.get('/', sessions.optional(), (req, res) => {
    res.send(`<p>${req.user?.id ?? 'nobody'}</p><form method="post" action="/transfer"><button>Pay</button></form>`);
  });
  app.get(['/private', '/careless'], sessions, (req, res) => {
    if (req.path === '/private') res.set('Cache-Control', 'no-store');
    res.send(`<p>Only for ${req.user?.id ?? 'nobody'}</p>`);
  });
  app.get('/welcome', (_req, res) => res.send('<p>Welcome</p>'));
  app.post('/transfer', sessions, (_req, res) => {
    transfers += 1;
    res.send('<p>Paid</p>');
  });
  app.post('/logout', sessions.logout());
  app.get('/account/me', sessions, (req, res) => res.send(`<p>${req.user?.id ?? 'nobody'}</p>`));
  app.use('/account/sessions', sessions.router({ layout: (html) => `<main>${html}</main>` }));
  return app;
}

function attackerApp(): Express {
  const app = express();
  app.get('/', (_req, res) => res.send('<p>A prize!</p>'));
  app.get('/plant', (_req, res) => {
    const options = { domain: 'example.com', secure: true } as const;
    res.cookie('login_token', issuer.issue({ sub: 'mallory' }), { ...options, path: '/account' });
    res.cookie('login_token', 'rubbish', options);
    res.append('Set-Cookie', '__Host-login_token=rubbish; Domain=example.com; Path=/; Secure');
    res.send('<p>A prize!</p>');
  });
  return app;
}

function attemptOf(req: Request, res: Response): Attempt {
  const { originalUrl: path, headers } = req;
  return {
    path,
    site: text(headers['sec-fetch-site']),
    mode: text(headers['sec-fetch-mode']),
    hasCookie: headers.cookie?.includes('login_token=') === true,
    status: res.statusCode,
  };
}

function text(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === 'object' ? header.join() : header;
}

async function signedIn(user = 'ann'): Promise<void> {
  await page.goto(urlOf(SHOP, `/sign-in/${user}`));
  expect(await page.locator('p').innerText()).toBe(user);
}

/** Sends a form as a click would, and waits for the page that it leads to. */
async function submit(action: string, leadsTo = action): Promise<void> {
  const answered = page.waitForURL(leadsTo);
  await page.evaluate(`{
    const form = document.createElement('form');
    Object.assign(form, { method: 'post', action: ${JSON.stringify(action)} });
    document.body.append(form);
    form.submit();
  }`);
  await answered;
}

test('a form of the shop itself passes', async () => {
  await signedIn();
  await submit(urlOf(SHOP, '/transfer'));
  const own = { path: '/transfer', site: 'same-origin', mode: 'navigate', hasCookie: true };
  expect(attempts).toEqual([{ ...own, status: 200 }]);
  expect(transfers).toBe(1);
});

describe('after signing out, the Back button', () => {
  async function leaveAndGoBack(path: string): Promise<string> {
    await signedIn();
    await page.goto(urlOf(SHOP, path));
    await submit(urlOf(SHOP, '/logout'), urlOf(SHOP, '/welcome'));
    // A page from the back-forward cache is not loaded again.
    await page.goBack({ waitUntil: 'commit' });
    return page.locator('p, main').first().innerText();
  }

  test('does not show the list of sessions', async () => {
    expect(await leaveAndGoBack('/account/sessions')).toBe('Welcome');
  });

  test('does not show a page of the application that has Cache-Control: no-store', async () => {
    expect(await leaveAndGoBack('/private')).toBe('Welcome');
  });

  test('shows any other page of the application, from the cache', async () => {
    expect(await leaveAndGoBack('/careless')).toBe('Only for ann');
  });
});

test('a cookie that a subdomain plants neither replaces the login nor locks it out', async () => {
  await signedIn();
  await page.goto(urlOf('blog.example.com', '/plant'));
  const asked = page.waitForRequest(urlOf(SHOP, '/account/me'));
  await page.goto(urlOf(SHOP, '/account/me'));
  const { cookie = '' } = await (await asked).allHeaders();
  // In this order: the longer path comes first. The browser refused the planted `__Host-` cookie.
  expect(cookie.split('; ').map((each) => each.split('=', 1)[0])).toEqual([
    'login_token',
    '__Host-login_token',
    'login_token',
  ]);
  expect(await page.locator('p').innerText()).toBe('ann');
});

describe.each(ATTACKERS)('%s', (_what, host, site) => {
  test('sends forms, fetches and sockets with the cookie, and reaches nothing', async () => {
    await signedIn();
    await page.goto(urlOf(host));
    await page.evaluate(`
      fetch('${urlOf(SHOP, '/transfer')}', { method: 'POST', mode: 'no-cors', credentials: 'include' }).then(
        () => new Promise((resolve) => (new WebSocket('${urlOf(SHOP).replace('https', 'wss')}').onerror = resolve)),
      )
    `);
    for (const path of ['/transfer', '/logout', '/account/sessions/end']) {
      await submit(urlOf(SHOP, path));
      await page.goto(urlOf(host));
    }
    expect(attempts).toEqual([
      { path: '/transfer', site, mode: 'no-cors', hasCookie: true, status: 403 },
      expect.objectContaining({ path: 'upgrade', hasCookie: true, status: 403 }),
      { path: '/transfer', site, mode: 'navigate', hasCookie: true, status: 403 },
      { path: '/logout', site, mode: 'navigate', hasCookie: true, status: 403 },
      { path: '/account/sessions/end', site, mode: 'navigate', hasCookie: true, status: 403 },
    ]);
    expect(transfers).toBe(0);
    await page.goto(urlOf(SHOP));
    expect(await page.locator('p').innerText()).toBe('ann');
  });

  test('cannot frame the list of sessions', async () => {
    await signedIn();
    await page.goto(urlOf(host));
    const list = urlOf(SHOP, '/account/sessions');
    const answered = page.waitForResponse(list);
    const refused = page.waitForEvent('requestfailed', (request) => request.url() === list);
    await page.evaluate(`{
      const frame = document.createElement('iframe');
      frame.src = '${list}';
      document.body.append(frame);
    }`);
    const [response, { failure }] = [await answered, await refused];
    expect([response.status(), await response.request().allHeaders()]).toEqual([
      200,
      expect.objectContaining({ cookie: expect.stringContaining('login_token=') }),
    ]);
    expect(failure).toBeDefined();
  });
});
