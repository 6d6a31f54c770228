/** `watchSession()` and the page's own script in real browsers, before two server processes on one Redis. */

import jwt from 'jsonwebtoken';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { startProcess, type AppProcess } from '../support/app-processes.js';
import { launchBrowser, launchProfile } from '../support/browser.js';
import { machineNow } from '../support/machine.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { startProxy } from '../support/tcp-proxy.js';

const SECRET = 'a secret for tests, 32 bytes long';
const ISSUER = 'https://id.example.com/';
const PATH = '/account/sessions';
/** Milliseconds from the answer to the DELETE until every tab shows it. */
const PROMISED = 1000;
const PATIENCE = 120_000;
/** Whether this tab has the lock: those that others wait for say so. */
const HOLDS_THE_LOCK = `(async () => {
  const { promise, resolve } = Promise.withResolvers();
  void navigator.locks.request('own', () => promise);
  const { held } = await navigator.locks.query();
  resolve();
  const own = held.find(({ name }) => name === 'own').clientId;
  return held.some(({ name, clientId }) => name !== 'own' && clientId === own);
})()`;

let redis: TestRedis;
let browser: Browser;
let here: AppProcess;
let there: AppProcess;
let urlHere: string;
let urlThere: string;
const contexts: BrowserContext[] = [];
let users = 0;

beforeAll(async () => {
  [redis, browser] = await Promise.all([startRedis(), launchBrowser()]);
  // Patient, because a busy machine is no store that is down.
  const options = { issuer: { issuer: ISSUER, secret: SECRET }, storeTimeout: 10_000, revocationBound: 30_000 };
  const start = (): Promise<AppProcess> => startProcess('page-process.mjs', { redis: redis.url, options });
  [here, there] = await Promise.all([start(), start()]);
  [urlHere, urlThere] = [urlOf(here), urlOf(there)];
});
afterAll(async () => {
  await Promise.all([browser.close(), here.stop(), there.stop()]);
  await redis.stop();
});
afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close();
  await Promise.all([here, there].map((app) => app.call('mode', 'pass')));
  await untilStreams(here, 0);
  await untilStreams(there, 0);
});

/** `localhost`, because cookies know no ports: both processes get them. */
function urlOf(app: AppProcess): string {
  return `http://localhost:${String(app.events.find(({ event }) => event === 'ready')?.port)}`;
}

const newUser = (): string => `user-${String((users += 1))}`;
const tokenOf = (subject: string, sid: string): string =>
  jwt.sign({ sub: subject, sid }, SECRET, { issuer: ISSUER, expiresIn: '1h' });

/** A browser profile of its own, in which this token is the login. */
async function profile(token: string, options: { readonly javaScriptEnabled?: boolean } = {}): Promise<BrowserContext> {
  const context = await browser.newContext(options);
  contexts.push(context);
  await signIn(context, token);
  return context;
}

async function signIn(context: BrowserContext, token: string): Promise<void> {
  context.setDefaultTimeout(PATIENCE);
  await context.addCookies([{ name: 'login_token', value: token, url: urlHere, sameSite: 'Lax', httpOnly: true }]);
}

async function tab(context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

function untilStreams(app: AppProcess, count: number): Promise<unknown> {
  return eventually(`${String(count)} streams are open`, async () => (await app.call('streams')) === count);
}

/** Ends the caller's own session, as from another tab. */
async function end(token: string, url = urlThere): Promise<void> {
  const headers = { Authorization: `Bearer ${token}` };
  const { status } = await fetch(`${url}${PATH}/current`, { method: 'DELETE', headers });
  expect(status).toBe(204);
}

const alertOf = (page: Page): Promise<void> => page.locator('.ms-ended').waitFor();
const liveParts = (page: Page): Promise<number> => page.locator('button, form, .ms-badge').count();

async function expectEnded(page: Page): Promise<void> {
  await alertOf(page);
  expect(await page.getByRole('alert').innerText()).toContain('signed out');
  expect(await liveParts(page)).toBe(0);
}

test('tabs of two profiles and two processes: each of the ended session shows it within a second, and no other', async () => {
  let best = Infinity;
  // On a machine that is busy with something else, a browser may be late by itself.
  for (let round = 0; round < 5 && best >= PROMISED; round += 1) {
    const [ann, bob] = [newUser(), newUser()];
    const token = tokenOf(ann, 'laptop');
    const laptop = await profile(token);
    const phone = await profile(tokenOf(ann, 'phone'));
    const stranger = await profile(tokenOf(bob, 'laptop'));
    const ended = await Promise.all([
      tab(laptop, urlHere + PATH),
      tab(laptop, urlHere + PATH),
      tab(laptop, urlThere + PATH),
    ]);
    const others = await Promise.all([tab(phone, urlThere + PATH), tab(stranger, urlHere + PATH)]);
    // Each profile has one connection to each site, however many tabs it has.
    await untilStreams(here, 2);
    await untilStreams(there, 2);
    await end(token);
    const from = machineNow();
    await Promise.all(ended.map(alertOf));
    best = Math.min(best, machineNow() - from);
    for (const page of ended) await expectEnded(page);
    for (const page of others) {
      expect(await page.locator('.ms-badge').count()).toBe(1);
      expect(await page.getByRole('alert').count()).toBe(0);
    }
    await Promise.all([laptop, phone, stranger].map((context) => context.close()));
  }
  expect(best).toBeLessThan(PROMISED);
});

test('when the tab with the connection closes, another takes it over', async () => {
  const token = tokenOf(newUser(), 'laptop');
  const context = await profile(token);
  const first = await tab(context, urlHere + PATH);
  await untilStreams(here, 1);
  const second = await tab(context, urlHere + PATH);
  const third = await tab(context, `${urlHere}/app`);
  await third.waitForFunction("document.title === 'live'");
  await untilStreams(here, 1);
  const asked = await here.call('asked');
  await first.close();
  await eventually('another asks', async () => Number(await here.call('asked')) > Number(asked));
  await untilStreams(here, 1);
  await end(token);
  await expectEnded(second);
  await third.waitForFunction('window.ended.length > 0');
});

test('tabs that only ask each other soon ask the server, if the one with the connection stands still', async () => {
  const token = tokenOf(newUser(), 'laptop');
  const context = await profile(token);
  // It has the lock and the channel of the session, and says nothing.
  const still = await context.newPage();
  await still.goto(`${urlHere}/other`);
  const answer = await fetch(`${urlHere}${PATH}/current`, { headers: { Authorization: `Bearer ${token}` } });
  const { handle } = (await answer.json()) as { readonly handle: string };
  await still.evaluate(
    `void navigator.locks.request('managed-sessions data: {"handle":"${handle}"}', () => new Promise(() => {}))`,
  );
  const pages = [await context.newPage(), await context.newPage()];
  // One clock for all tabs.
  await context.clock.install();
  for (const page of pages) {
    await page.goto(`${urlHere}/app`);
    await page.waitForFunction("document.title === 'live'");
  }
  await untilStreams(here, 0);
  await end(token, urlHere);
  // People look at one tab, and at the other, every half minute. A page's own request gives what came before the time to be answered.
  const look = async (page: Page): Promise<unknown> => {
    await context.clock.runFor(30_000);
    return page.evaluate(`(async () => {
      document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
      await fetch('/other', { cache: 'no-store' });
      return window.ended.length > 0;
    })()`);
  };
  for (const page of pages) {
    await eventually('both know', async () => {
      for (const each of pages) await look(each);
      return look(page);
    });
  }
});

test('a connection on which nothing comes for 45 seconds is given up for another', async () => {
  const token = tokenOf(newUser(), 'laptop');
  const page = await (await profile(token)).newPage();
  await page.clock.install();
  await here.call('mode', 'stall');
  await page.goto(`${urlHere}/app`);
  await page.waitForFunction("document.title === 'live'");
  await here.call('mode', 'pass');
  await end(token);
  const asked = await here.call('asked');
  await page.clock.runFor(44_000);
  expect(await here.call('asked')).toBe(asked);
  expect(await page.evaluate('window.ended')).toEqual([]);
  await page.clock.runFor(1000);
  await page.waitForFunction('window.ended.length > 0');
  expect(await page.evaluate('window.ended')).toEqual(['session_revoked']);
});

test('a tab with the connection that another does not hear gives it up, and follows', async () => {
  const token = tokenOf(newUser(), 'laptop');
  const context = await profile(token);
  await context.clock.install();
  const leader = await context.newPage();
  await leader.addInitScript(
    'BroadcastChannel = class extends BroadcastChannel { postMessage() {} set onmessage(listener) {} }',
  );
  const other = await context.newPage();
  for (const page of [leader, other]) {
    await page.goto(`${urlHere}/app`);
    await page.waitForFunction("document.title === 'live'");
  }
  await untilStreams(here, 1);
  const leads = (page: Page): Promise<boolean> => page.evaluate(HOLDS_THE_LOCK);
  expect(await leads(leader)).toBe(true);
  await context.clock.runFor(91_000);
  await eventually('the other leads', () => leads(other));
  await untilStreams(here, 1);

  await end(token);
  await other.waitForFunction('window.ended.length > 0');
  // It does not hear the other, but gets the lock back, and asks.
  await leader.waitForFunction('window.ended.length > 0');
});

test('a listener that throws is reported, is called once, and ends nothing else; a 401 gives its code', async () => {
  const token = tokenOf(newUser(), 'laptop');
  const context = await profile(token);
  const page = await tab(context, `${urlHere}/app`);
  const errors: string[] = [];
  page.on('pageerror', ({ message }) => errors.push(message));
  await untilStreams(here, 1);
  await end(token, urlHere);
  await eventually('it is reported', () => Promise.resolve(errors.length > 0));
  expect(errors).toEqual(['the listener failed']);
  expect(await page.evaluate('window.ended')).toEqual(['signed_out']);
  await page.reload();
  await page.waitForFunction('window.ended.length > 0');
  expect(await page.evaluate('window.ended')).toEqual(['session_revoked']);
  await untilStreams(here, 0);
});

test('without locks, each tab has a connection; stopped, none', async () => {
  const context = await profile(tokenOf(newUser(), 'laptop'));
  await context.addInitScript("Object.defineProperty(navigator, 'locks', { value: undefined })");
  const pages = await Promise.all([tab(context, `${urlHere}/app`), tab(context, `${urlHere}/app`)]);
  await untilStreams(here, 2);
  for (const page of pages) await page.evaluate('window.stop()');
  await untilStreams(here, 0);
});

test('cut off, refused with 503, answered by nobody: it connects again, and learns of the end', async () => {
  const token = tokenOf(newUser(), 'laptop');
  const context = await profile(token);
  const proxy = await startProxy({ host: 'localhost', port: Number(new URL(urlHere).port) });
  const page = await tab(context, `http://localhost:${String(proxy.port)}${PATH}`);
  await untilStreams(here, 1);

  await here.call('mode', 'refuse');
  const asked = Number(await here.call('asked'));
  proxy.cut();
  await eventually('it was refused twice', async () => Number(await here.call('asked')) >= asked + 2);
  expect(await liveParts(page)).toBeGreaterThan(0);
  await here.call('mode', 'pass');
  await untilStreams(here, 1);

  // The process is gone, another takes its place, and meanwhile the session has ended.
  proxy.refuse();
  proxy.cut();
  await untilStreams(here, 0);
  await end(token);
  proxy.redirect(Number(new URL(urlThere).port));
  await proxy.heal();
  await expectEnded(page);
  await proxy.close();
});

describe('the back-forward cache', () => {
  let kept: Awaited<ReturnType<typeof launchProfile>>;
  beforeAll(async () => {
    kept = await launchProfile();
    await kept.context.addInitScript("addEventListener('pageshow', ({ persisted }) => (window.cameBack = persisted))");
  });
  afterAll(() => kept.close());

  /** Whether it came from the cache: a browser may drop a page from there at any time, and loads it again then. */
  async function isFromCache(page: Page): Promise<boolean> {
    const { is } = await eventually('the page has shown', async () => {
      const is = await page.evaluate<boolean | undefined>('window.cameBack');
      return is === undefined ? undefined : { is };
    });
    return is;
  }

  /** A page that was left, and has come back from the cache. */
  async function cameBack(meanwhile: (token: string) => Promise<unknown>): Promise<Page> {
    for (let attempt = 0; attempt < 10; attempt += 1) {
      const token = tokenOf(newUser(), 'laptop');
      await signIn(kept.context, token);
      const page = await tab(kept.context, `${urlHere}/kept`);
      await untilStreams(here, 1);
      await page.goto(`${urlHere}/other`);
      await untilStreams(here, 0);
      await meanwhile(token);
      await page.goBack({ waitUntil: 'commit' });
      if (await isFromCache(page)) return page;
      await here.call('mode', 'pass');
      await page.close();
      await untilStreams(here, 0);
    }
    throw new Error('The browser kept no page');
  }

  test('a page that comes back shows nothing live before the server has confirmed it, and then all of it', async () => {
    const page = await cameBack(() => here.call('mode', 'hold'));
    expect(await page.locator('.ms-badge').isVisible()).toBe(false);
    expect(await page.locator('button:visible').count()).toBe(0);
    await here.call('mode', 'pass');
    await page.locator('.ms-badge').waitFor();
    expect(await page.locator('button:visible').count()).toBeGreaterThan(0);
    await page.close();
  });

  test('a page of somebody else than has signed in meanwhile comes back without anything live', async () => {
    const page = await cameBack(() => signIn(kept.context, tokenOf(newUser(), 'laptop')));
    await expectEnded(page);
    await page.close();
  });

  test('a page whose session was ended meanwhile comes back without anything live', async () => {
    const page = await cameBack((token) => end(token));
    await expectEnded(page);
    await page.close();
  });
});

test('a page that asks for the first time when somebody else has signed in shows nothing live', async () => {
  await here.call('mode', 'refuse');
  const context = await profile(tokenOf(newUser(), 'laptop'));
  const asked = Number(await here.call('asked'));
  const page = await tab(context, urlHere + PATH);
  await eventually('it was refused', async () => Number(await here.call('asked')) > asked);
  await signIn(context, tokenOf(newUser(), 'laptop'));
  await here.call('mode', 'pass');
  await expectEnded(page);
});

test('without JavaScript, the page works', async () => {
  const token = tokenOf(newUser(), 'laptop');
  const page = await tab(await profile(token, { javaScriptEnabled: false }), urlHere + PATH);
  expect(await page.locator('.ms-ended').isVisible()).toBe(false);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL(`${urlHere}/`);
  expect((await fetch(urlHere + PATH, { headers: { Authorization: `Bearer ${token}` } })).status).toBe(401);
});
