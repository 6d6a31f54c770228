/** Takes the two pictures of the page for README.md: `npm run screenshots`. Needs Chromium, as the tests do. */
import { once } from 'node:events';
import { join } from 'node:path';
import process from 'node:process';
import express from 'express';
import { managedSessions } from 'managed-sessions';
import { createTestClock, createTestIssuer } from 'managed-sessions/testing';
import { chromium } from 'playwright-core';

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 2, 2, 9, 30);
const FOLDER = join(import.meta.dirname, '../docs');
const HERE =
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36';
const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1';
const WINDOWS = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0';
const IPAD =
  'Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1';
const PLACES = { '203.0.113.7': 'Berlin, Germany', '198.51.100.4': 'Lisbon, Portugal' };

/** How many hours ago each signed in, and on what. */
const OTHERS = [
  [240, 'curl/8.9.1', '203.0.113.7', { client_id: 'Acme Assistant', act: { sub: 'assistant' } }],
  [120, IPAD, '203.0.113.7', {}],
  [74, IPHONE, '203.0.113.7', {}],
  [50, IPHONE, '203.0.113.7', {}],
  [26, IPHONE, '203.0.113.7', {}],
  [2, WINDOWS, '198.51.100.4', {}],
];

const clock = createTestClock(NOW);
const issuer = await createTestIssuer({ clock, algorithms: ['ES256'] });
const sessions = managedSessions({ issuer: { issuer: issuer.issuer, jwksUri: issuer.jwksUri }, clock });

async function signIn([hours, userAgent, ip, claims]) {
  clock.set(NOW - hours * HOUR);
  const token = issuer.issue({ sub: 'ada', exp: (NOW + 12 * HOUR) / 1000, ...claims });
  await sessions.verify(token, { ip, userAgent });
  return token;
}

for (const other of OTHERS) await signIn(other);
const token = await signIn([0, HERE, '203.0.113.7', {}]);
const { sessions: listed } = await sessions.list({ id: 'ada', issuer: issuer.issuer });
const tablet = listed.find(({ client }) => client.device === 'iPad');
await sessions.label({ id: 'ada', issuer: issuer.issuer }, tablet.handle, 'Kitchen tablet');

const app = express();
// The fonts of this machine are not those of most readers.
app.get('/site.css', (_req, res) => res.type('css').send(':root { --ms-font: "Liberation Sans", Arial, sans-serif; }'));
const messages = { notYouUrl: '/password' };
app.use('/account/sessions', sessions.router({ locate: (ip) => PLACES[ip], stylesheet: '/site.css', messages }));
const server = app.listen(0);
await once(server, 'listening');
const url = `http://localhost:${server.address().port}`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});

async function take(name, options, prepare) {
  const context = await browser.newContext({ deviceScaleFactor: 2, userAgent: HERE, ...options });
  await context.addCookies([{ name: 'login_token', value: token, url }]);
  const page = await context.newPage();
  await page.goto(`${url}/account/sessions`);
  await prepare(page);
  await page.screenshot({ path: join(FOLDER, name) });
  await context.close();
}

await take('devices.png', { viewport: { width: 800, height: 780 } }, async (page) => {
  await page.getByRole('button', { name: 'Sign out Firefox on Windows' }).click();
});
await take('devices-phone.png', { viewport: { width: 375, height: 780 }, colorScheme: 'dark' }, async (page) => {
  await page.locator('summary').nth(1).click();
});

await browser.close();
server.closeAllConnections();
server.close();
await sessions.close();
await issuer.close();
