/** The router's own page in a real browser: other sites against it, its policy, and the client in a plain module. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer, type RequestListener, type Server } from 'node:http';
import { join } from 'node:path';
import express from 'express';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { managedSessions, type ManagedSessions } from '../../lib/index.js';
import { createTestIssuer, type TestIssuer } from '../../lib/testing/issuer.js';
import { accessibilityFaults, launchBrowser } from '../support/browser.js';

const CLIENT = join(__dirname, '../../dist/esm/client/index.js');

let browser: Browser;
let issuer: TestIssuer;
let sessions: ManagedSessions;
let context: BrowserContext;
let page: Page;
const servers: Server[] = [];

/** On every address of the loopback: `localhost` and `127.0.0.1` are two sites. */
async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0);
  servers.push(server);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

beforeAll(async () => {
  [browser, issuer] = await Promise.all([launchBrowser(), createTestIssuer()]);
});
afterAll(() => Promise.all([browser.close(), issuer.close()]));

beforeEach(async () => {
  sessions = managedSessions({
    issuer: { issuer: issuer.issuer, jwksUri: issuer.jwksUri },
    loginUrl: '/login',
  });
  context = await browser.newContext();
  context.setDefaultTimeout(120_000);
  page = await context.newPage();
});
afterEach(async () => {
  await context.close();
  await sessions.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function signedInTo(port: number, token: string): Promise<string> {
  const url = `http://localhost:${String(port)}`;
  await context.addCookies([{ name: 'login_token', value: token, url, sameSite: 'Lax', httpOnly: true }]);
  return url;
}

/** A page with a button that posts to another origin. */
function forgery(action: string): RequestListener {
  return (_req, res) => {
    res.setHeader('Content-Type', 'text/html');
    res.end(`<form method="post" action="${action}"><button>A prize!</button></form>`);
  };
}

test.each([
  // Another port is another origin, but the same site: the browser sends the cookie along.
  ['another port', 'localhost', 403],
  // Another site: SameSite=Lax keeps the cookie back, and without it nobody is signed in.
  ['another port and host name', '127.0.0.1', 303],
])('a form from %s ends nothing', async (_what, host, status) => {
  const app = express();
  app.use('/account/sessions', sessions.router());
  const [here, other] = [issuer.issue({ sub: 'ann' }), issuer.issue({ sub: 'ann' })];
  await sessions.verify(other);
  const url = await signedInTo(await serve(app), here);
  await page.goto(`${url}/account/sessions`);
  expect(await page.locator('.ms-session').count()).toBe(2);

  for (const action of ['/end', '/others/end', '/current/end']) {
    const port = await serve(forgery(`${url}/account/sessions${action}`));
    await page.goto(`http://${host}:${String(port)}/`);
    const [posted] = await Promise.all([
      page.waitForResponse((response) => response.request().method() === 'POST'),
      page.getByRole('button').click(),
    ]);
    expect(posted.status()).toBe(status);
    await page.waitForLoadState();
  }
  await expect(sessions.verify(here)).resolves.toMatchObject({ user: { id: 'ann' } });
  await expect(sessions.verify(other)).resolves.toMatchObject({ user: { id: 'ann' } });
});

test('without a layout, under its own policy, no page of it has a fault', async () => {
  const app = express();
  app.use('/', sessions.router());
  for (const userAgent of ['curl/8.9.1', 'Notes for iOS/v1.2.0', null]) {
    await sessions.verify(issuer.issue({ sub: 'ann' }), { ip: '203.0.113.7', userAgent });
  }
  const faults: string[] = [];
  page.on('console', (message) => faults.push(message.text()));
  const url = await signedInTo(await serve(app), issuer.issue({ sub: 'ann' }));
  await page.goto(`${url}/?limit=3`);
  expect(await accessibilityFaults(page)).toEqual([]);
  await page.getByRole('link', { name: 'Show more devices' }).click();
  // This device, and the one that is left.
  expect(await page.locator('.ms-session').count()).toBe(2);
  expect(await accessibilityFaults(page)).toEqual([]);
  await page.goto(`${url}/?cursor=rubbish`);
  await page.getByRole('alert').waitFor();
  expect(await accessibilityFaults(page)).toEqual([]);
  expect(faults.filter((text) => !text.includes('status of 400'))).toEqual([]);
});

describe('signing out leads by the login page to a provider on another origin', () => {
  let provider: string;
  let url: string;

  async function startToSignOut(formTargets: readonly string[]): Promise<void> {
    const app = express();
    app.get('/login', (_req, res) => res.redirect(303, `${provider}/authorize`));
    app.use('/', sessions.router({ formTargets }));
    url = await signedInTo(await serve(app), issuer.issue({ sub: 'ann' }));
    await page.goto(`${url}/`);
    await page.locator('.ms-session > .ms-act > .ms-opener').click();
  }
  const signOut = (): Promise<void> => page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();

  beforeEach(async () => {
    provider = `http://127.0.0.1:${String(await serve((_req, res) => res.end('the provider')))}`;
  });

  test('with the provider among formTargets', async () => {
    await startToSignOut([provider]);
    await Promise.all([page.waitForURL(`${provider}/authorize`), signOut()]);
  });

  test('without it, Chromium stops at the second hop', async () => {
    await startToSignOut([]);
    const told = page.waitForEvent('console', (message) => message.text().includes('form-action'));
    await Promise.all([told, signOut()]);
    expect(page.url()).toBe(`${url}/`);
  });
});

test('the client reads a token in a plain module script', async () => {
  const token = issuer.issue({ sub: 'ann', name: 'Zoë 李小龍' });
  const port = await serve((req, res) => {
    if (req.url === '/client.js') {
      res.setHeader('Content-Type', 'text/javascript');
      res.end(readFileSync(CLIENT));
      return;
    }
    res.setHeader('Content-Type', 'text/html; charset=utf-8');
    res.end(`<!doctype html><p></p><script type="module">
      import { isExpired, parseLoginToken } from '/client.js';
      const claims = parseLoginToken('${token}');
      document.querySelector('p').textContent = [claims.name, isExpired(claims), parseLoginToken('rubbish')].join();
    </script>`);
  });
  await page.goto(`http://localhost:${String(port)}/`);
  expect(await page.locator('p').innerText()).toBe('Zoë 李小龍,false,');
});
