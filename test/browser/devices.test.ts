/** The page of devices in a real browser: its panels, its rows, what a screen reader reads, and browsers that lack something. */

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { managedSessions, type ManagedSessions } from '../../lib/index.js';
import { createTestClock } from '../../lib/testing/clock.js';
import { createTestIssuer, type TestIssuer } from '../../lib/testing/issuer.js';
import { accessibilityFaults, launchBrowser, USER_AGENTS } from '../support/browser.js';

const START = Date.UTC(2026, 2, 1, 9);
const HOUR = 3_600_000;
const PLACES: Readonly<Record<string, string>> = {
  '203.0.113.7': 'Berlin, Germany',
  '198.51.100.4': 'Lisbon, Portugal',
};
const messages = { notYouUrl: '/password' };
const arabic = {
  ...messages,
  language: 'ar',
  direction: 'rtl',
  title: 'الأجهزة',
  clientOn: (client: string, device: string) => `${client} على ${device}`,
} as const;

let browser: Browser;
let issuer: TestIssuer;
let sessions: ManagedSessions;
let server: Server;
let here: string;
const clock = createTestClock(START);
const contexts: BrowserContext[] = [];

/** What a browser gets that knows neither popovers nor where to place them. */
const withoutPopovers = (html: string): string =>
  html.replaceAll(' popover ', ' ').replaceAll('@supports not selector(', '@supports selector(');
const withoutPlaces = (html: string): string =>
  html.replace('@supports (position-area', '@supports (no-area').replace('not (position-area', 'not (no-area');

beforeAll(async () => {
  [browser, issuer] = await Promise.all([launchBrowser(), createTestIssuer({ clock, algorithms: ['ES256'] })]);
});
beforeEach(async () => {
  clock.set(START - 30 * HOUR);
  sessions = managedSessions({ issuer: { issuer: issuer.issuer, jwksUri: issuer.jwksUri }, clock });
  const { firefox, iphone, ipad } = USER_AGENTS;
  await signIn(30, ipad, '198.51.100.4');
  await signIn(29, iphone, '203.0.113.7');
  await signIn(28, iphone, '203.0.113.7');
  await signIn(27, iphone, '203.0.113.7');
  await signIn(3, firefox, '198.51.100.4');
  here = await signIn(0, 'Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0', '203.0.113.7');
  const options = { locate: (ip: string) => PLACES[ip], messages };
  const app = express();
  app.use('/devices', sessions.router(options));
  app.use('/rtl', sessions.router({ ...options, messages: arabic }));
  app.use('/no-script', (_req, res, next) => {
    res.set('Content-Security-Policy', "script-src 'none'");
    next();
  });
  app.use(
    '/no-script',
    sessions.router({ ...options, layout: (html) => `<!doctype html><title>Account</title>${html}` }),
  );
  app.use('/no-popovers', sessions.router({ ...options, layout: withoutPopovers }));
  app.use('/no-places', sessions.router({ ...options, layout: withoutPlaces }));
  server = createServer(app).listen(0);
  await once(server, 'listening');
});
afterEach(async () => {
  await Promise.all(contexts.splice(0).map((context) => context.close()));
  server.closeAllConnections();
  server.close();
  await sessions.close();
});
afterAll(() => Promise.all([browser.close(), issuer.close()]));

/** A session that began so many hours ago, and was not seen since. */
async function signIn(hours: number, userAgent: string, ip: string): Promise<string> {
  clock.set(START - hours * HOUR);
  const token = issuer.issue({ sub: 'ann', exp: (START + 12 * HOUR) / 1000 });
  await sessions.verify(token, { ip, userAgent });
  return token;
}

async function open(path: string, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  contexts.push(context);
  context.setDefaultTimeout(120_000);
  const url = `http://localhost:${String((server.address() as AddressInfo).port)}`;
  await context.addCookies([{ name: 'login_token', value: here, url, sameSite: 'Lax', httpOnly: true }]);
  const page = await context.newPage();
  await page.goto(`${url}${path}`);
  return page;
}

const row = (page: Page, name: string): Locator => page.locator('.ms-list > .ms-session').filter({ hasText: name });
const opener = (item: Locator): Locator => item.locator('> .ms-act > .ms-opener');
const openRow = (item: Locator): Promise<void> =>
  item.locator('> .ms-rest > summary').click({ position: { x: 5, y: 5 } });
const focused = (page: Page): Promise<string> =>
  page.evaluate<string>('document.activeElement.getAttribute("role") ?? document.activeElement.textContent.trim()');

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}
async function boxOf(element: Locator): Promise<Box> {
  const box = await element.boundingBox();
  if (box === null) throw new Error('It is not shown');
  return box;
}

/** Where everything is that is not in a panel. */
const places = (page: Page): Promise<string> =>
  page.evaluate<string>(
    `JSON.stringify([...document.querySelectorAll('main *')].filter((element) => !element.closest('.ms-panel'))
      .map((element) => element.getBoundingClientRect()))`,
  );

/** Words of the texts of these elements that stand in more than one line. */
const brokenWords = (page: Page, elements: string): Promise<string[]> =>
  page.evaluate<string[]>(`[...document.querySelectorAll('${elements}')].flatMap((element) => {
    const broken = [];
    const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) for (const { 0: word, index } of texts.currentNode.data.matchAll(/[\\p{L}\\p{N}]+/gu)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, index);
      range.setEnd(texts.currentNode, index + word.length);
      if (range.getClientRects().length > 1 && !element.querySelector('.ms-spoken')?.contains(texts.currentNode)) broken.push(word);
    }
    return broken;
  })`);

test('a panel opens beside its button, asks first, and moves nothing else', async () => {
  const page = await open('/devices');
  const item = row(page, 'Firefox on Mac');
  const before = await places(page);
  await opener(item).click();
  const panel = page.getByRole('dialog', { name: 'Sign out Firefox on Mac? It will need to sign in again.' });
  expect(await places(page)).toBe(before);

  const [button, box] = [await boxOf(opener(item)), await boxOf(panel)];
  expect(box.y - (button.y + button.height)).toBeGreaterThanOrEqual(0);
  expect(box.y - (button.y + button.height)).toBeLessThan(12);
  expect(Math.abs(box.x + box.width - (button.x + button.width))).toBeLessThan(2);
  const question = await boxOf(panel.locator('p'));
  const cancel = await boxOf(panel.getByRole('button', { name: 'Cancel' }));
  const submit = await boxOf(panel.getByRole('button', { name: 'Sign out' }));
  expect(question.y + question.height).toBeLessThanOrEqual(cancel.y);
  expect(cancel.y).toBe(submit.y);
  expect(submit.x - (cancel.x + cancel.width)).toBeLessThan(16);

  // Another button closes it; so does a click beside it.
  await opener(row(page, 'Safari on iPad')).click();
  expect(await page.getByRole('dialog').count()).toBe(1);
  await page.mouse.click(5, 5);
  expect(await page.getByRole('dialog').count()).toBe(0);
  expect(await places(page)).toBe(before);
});

test('by keyboard: into the panel, through it, and back to its button', async () => {
  const page = await open('/devices');
  const button = opener(row(page, 'Firefox on Mac'));
  await button.focus();
  const pressed = async (key: string): Promise<string> => {
    await page.keyboard.press(key);
    return focused(page);
  };
  expect(await pressed('Enter')).toBe('dialog');
  // A key that is held down does not confirm.
  expect(await pressed('Enter')).toBe('dialog');
  expect(await pressed('Tab')).toBe('Cancel');
  expect(await pressed('Tab')).toBe('Sign out');
  expect(await pressed('Escape')).toContain('Sign out Firefox on Mac');
  expect(await page.getByRole('dialog').count()).toBe(0);
  await page.keyboard.press('Space');
  await page.keyboard.press('Tab');
  expect(await pressed('Enter')).toContain('Sign out Firefox on Mac');
  expect(await pressed('Tab')).toBe('Details of Firefox on Mac');
  // What is behind the row, and its field.
  await page.keyboard.press('Enter');
  expect(await pressed('Tab')).toContain('Rename Firefox on Mac');
  await page.keyboard.press('Enter');
  await page.keyboard.type('Old laptop');
  await page.keyboard.press('Enter');
  await page.getByRole('status').waitFor();
  expect(await row(page, 'Old laptop').count()).toBe(1);
});

test('several sessions of one row are ended together, or one of them', async () => {
  const page = await open('/devices');
  const item = row(page, 'Safari on iPhone');
  expect(await item.locator('> .ms-head .ms-detail').innerText()).toBe(
    '3 sessions · Last seen 1 day ago · Berlin, Germany',
  );
  await openRow(item);
  const [first] = await item.locator('.ms-inner > li').all();
  if (first === undefined) throw new Error('The row has no sessions');
  await opener(first).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();
  expect(await page.getByRole('status').innerText()).toBe('The device has been signed out.');
  expect(await page.getByRole('heading', { level: 2 }).allInnerTexts()).toEqual(['This device', 'Other devices (4)']);

  await opener(item).click();
  expect(await page.getByRole('dialog').locator('p').innerText()).toContain(
    'Sign out all 2 sessions of Safari on iPhone?',
  );
  await page.getByRole('dialog').getByRole('button', { name: 'Sign out all' }).click();
  expect(await page.getByRole('status').innerText()).toBe('These sessions have been signed out.');
  expect(await page.locator('.ms-name bdi').allInnerTexts()).toEqual([
    'Firefox on Linux',
    'Firefox on Mac',
    'Safari on iPad',
  ]);
});

interface AxNode {
  readonly nodeId: string;
  readonly ignored: boolean;
  readonly role?: { readonly value: string };
  readonly name?: { readonly value: string };
  readonly description?: { readonly value: string };
  readonly childIds?: readonly string[];
}

/** What a screen reader meets, in its order: Chromium's own accessibility tree, one line for each item. */
async function readingOrder(page: Page): Promise<string[]> {
  const devtools = await page.context().newCDPSession(page);
  const { nodes } = (await devtools.send('Accessibility.getFullAXTree')) as { nodes: readonly AxNode[] };
  const known = new Map(nodes.map((node) => [node.nodeId, node]));
  const lines: string[] = [];
  const [root] = nodes;
  if (root !== undefined) read(root);
  return lines;

  function read({ ignored, role, name, description, childIds = [] }: AxNode): void {
    const kind = role?.value ?? '';
    if (!ignored && /^(?:heading|button|link|DisclosureTriangle|StaticText|listitem|list|dialog)$/.test(kind)) {
      const told = description?.value ? ` (${description.value})` : '';
      lines.push(`${kind} ${name?.value.trim() ?? ''}${told}`.trim());
      // Its text is its name.
      if (!kind.startsWith('list') && kind !== 'dialog') return;
    }
    for (const id of childIds) {
      const child = known.get(id);
      if (child !== undefined) read(child);
    }
  }
}

test('a screen reader reads the device, when it was last seen, the mark, and then what can be done', async () => {
  const lines = await readingOrder(await open('/devices'));
  const start = lines.indexOf('heading This device');
  expect(lines.slice(start)).toEqual([
    'heading This device',
    'list',
    'listitem',
    'heading Firefox on Linux Active now',
    'StaticText Berlin, Germany',
    'button Sign out Firefox on Linux (Berlin, Germany)',
    'DisclosureTriangle Details of Firefox on Linux',
    'heading Other devices (5)',
    'button Sign out everywhere else',
    'list',
    'listitem',
    'heading Firefox on Mac',
    'StaticText Last seen 3 hours ago',
    'StaticText ·',
    'StaticText Lisbon, Portugal',
    'StaticText New',
    'link Not you? (Firefox on Mac)',
    'button Sign out Firefox on Mac (Last seen 3 hours ago · Lisbon, Portugal)',
    'DisclosureTriangle Details of Firefox on Mac',
    'listitem',
    'heading Safari on iPhone',
    'StaticText 3 sessions',
    'StaticText ·',
    'StaticText Last seen 1 day ago',
    'StaticText ·',
    'StaticText Berlin, Germany',
    'button Sign out all 3 sessions of Safari on iPhone (3 sessions · Last seen 1 day ago · Berlin, Germany)',
    'DisclosureTriangle Show the 3 sessions of Safari on iPhone',
    'listitem',
    'heading Safari on iPad',
    'StaticText Last seen 1 day ago',
    'StaticText ·',
    'StaticText Lisbon, Portugal',
    'button Sign out Safari on iPad (Last seen 1 day ago · Lisbon, Portugal)',
    'DisclosureTriangle Details of Safari on iPad',
  ]);
});

test.each<[string, BrowserContextOptions]>([
  ['light', { colorScheme: 'light' }],
  ['dark', { colorScheme: 'dark' }],
  ['forced colours', { forcedColors: 'active', colorScheme: 'dark' }],
  ['reduced motion, on a phone', { reducedMotion: 'reduce', viewport: { width: 375, height: 800 } }],
])('axe-core finds nothing wrong with opened rows and a panel: %s', async (_what, options) => {
  const page = await open('/devices', options);
  const several = row(page, 'Safari on iPhone');
  const first = several.locator('.ms-inner > li').first();
  await openRow(several);
  await openRow(first);
  await first.getByRole('button', { name: /^Rename/ }).click();
  expect(await accessibilityFaults(page)).toEqual([]);
  const moving = `[...document.querySelectorAll('.managed-sessions *')]
    .filter((element) => getComputedStyle(element).transitionDuration !== '0s').length > 0`;
  expect(await page.evaluate(moving)).toBe(options.reducedMotion !== 'reduce');
});

test.each([
  [320, 800, '/devices'],
  [375, 800, '/rtl'],
  // 1280 by 800 at 200 %.
  [640, 400, '/devices'],
  [1280, 800, '/rtl'],
])('at %i by %i px nothing of %s is cut off, and every panel is whole', async (width, height, path) => {
  const page = await open(path, { viewport: { width, height } });
  for (const item of await page.locator('.ms-list > .ms-session').all()) await openRow(item);
  for (const item of await page.locator('.ms-inner > .ms-session').all()) await openRow(item);
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
  expect(await brokenWords(page, '.ms-name, .ms-detail, .ms-opener, dd')).toEqual([]);
  const openers = await page.locator('.ms-opener').all();
  expect(openers).toHaveLength(14);
  for (const button of openers) {
    await button.click();
    const panel = page.getByRole('dialog');
    const box = await boxOf(panel);
    expect(await brokenWords(page, ':popover-open *')).toEqual([]);
    expect((await boxOf(panel.locator('.ms-cancel'))).y).toBe((await boxOf(panel.locator('.ms-go'))).y);
    expect(box.width).toBeGreaterThanOrEqual(Math.min(width - 17, 380));
    expect(box.x).toBeGreaterThanOrEqual(0);
    expect(box.y).toBeGreaterThanOrEqual(0);
    expect(box.x + box.width).toBeLessThanOrEqual(width);
    expect(box.y + box.height).toBeLessThanOrEqual(height);
    // The button that opened it stays in sight.
    const { x, y } = await boxOf(button);
    const isCovered = x > box.x && x < box.x + box.width && y > box.y && y < box.y + box.height;
    expect(isCovered).toBe(false);
    await page.keyboard.press('Escape');
  }
});

test('from right to left, names begin at the right, in the word order of the texts', async () => {
  const page = await open('/rtl', { viewport: { width: 375, height: 800 } });
  const beside = await page.evaluate<
    number[]
  >(`[...document.querySelectorAll('.ms-session > .ms-head bdi')].map((name) => {
    const text = document.createRange();
    text.selectNodeContents(name);
    return name.closest('.ms-head').getBoundingClientRect().right - text.getBoundingClientRect().right;
  })`);
  expect(beside.length).toBeGreaterThan(8);
  for (const gap of beside) expect(Math.abs(gap)).toBeLessThan(1);
  const left = (word: string): Promise<number> =>
    page.evaluate<number>(`(() => {
      const text = document.querySelector('.ms-name bdi').firstChild;
      const range = document.createRange();
      range.setStart(text, text.data.indexOf('${word}'));
      range.setEnd(text, text.data.indexOf('${word}') + ${word.length});
      return range.getBoundingClientRect().left;
    })()`);
  expect(await left('Firefox')).toBeGreaterThan(await left('على'));
});

test('on a phone, whatever people press is 44 px high; on paper, there is nothing to press', async () => {
  const page = await open('/devices', { viewport: { width: 375, height: 800 } });
  for (const control of await page.locator('button:visible, a:visible, summary:visible').all()) {
    expect((await boxOf(control)).height).toBeGreaterThanOrEqual(44);
  }
  await page.emulateMedia({ media: 'print' });
  expect(await page.locator('button:visible, summary:visible').count()).toBe(0);
  expect(await page.locator('.ms-name:visible').count()).toBeGreaterThan(3);
});

test('a browser without popovers shows each question with its buttons in the place of the button', async () => {
  const page = await open('/no-popovers', { javaScriptEnabled: false });
  expect(await page.locator('.ms-opener:visible, .ms-cancel:visible').count()).toBe(0);
  const item = row(page, 'Firefox on Mac');
  expect(await item.getByText('Sign out Firefox on Mac? It will need').isVisible()).toBe(true);
  await openRow(item);
  await item.getByRole('textbox').fill('Old laptop');
  await item.getByRole('button', { name: 'Save name' }).click();
  await page.getByRole('status').waitFor();
  await row(page, 'Old laptop').getByRole('button', { name: 'Sign out' }).click();
  expect(await page.getByRole('status').innerText()).toBe('The device has been signed out.');
});

test('a layout whose policy blocks the script has a page that works, and does not notice the end', async () => {
  const page = await open('/no-script');
  const item = row(page, 'Firefox on Mac');
  await openRow(item);
  await item.getByRole('button', { name: /^Rename/ }).click();
  await item.getByRole('textbox').fill('Old laptop');
  await page.keyboard.press('Enter');
  await page.getByRole('status').waitFor();
  await opener(row(page, 'Old laptop')).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();
  expect(await page.getByRole('status').innerText()).toBe('The device has been signed out.');
  const { session } = await sessions.verify(here);
  await sessions.revoke('ann', session.handle);
  expect(await page.locator('.ms-badge').isVisible()).toBe(true);
  await opener(row(page, 'Firefox on Linux')).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();
  expect(await page.getByRole('alert').innerText()).toContain('signed out');
});

test('a browser that cannot place a panel shows it in the middle', async () => {
  const page = await open('/no-places');
  await opener(row(page, 'Firefox on Mac')).click();
  const { x, y, width, height } = await boxOf(page.getByRole('dialog'));
  expect(Math.abs(x + width / 2 - 640)).toBeLessThan(10);
  expect(Math.abs(y + height / 2 - 400)).toBeLessThan(10);
});
