/** The example site in a real browser: what people see and click. */

import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page, Request } from 'playwright-core';
import request from 'supertest';
import { accessibilityFaults, launchBrowser, USER_AGENTS } from '../support/browser.js';
import { startExample, type ExampleSite } from '../support/example-app.js';

let browser: Browser;
let site: ExampleSite;
const contexts: BrowserContext[] = [];

beforeAll(async () => {
  [browser, site] = await Promise.all([launchBrowser(), startExample({ OUTAGE_SECONDS: '8' })]);
});
afterEach(async () => {
  await Promise.all(contexts.splice(0).map((context) => context.close()));
  await endAllSessions();
});
afterAll(async () => {
  await Promise.all([browser.close(), site.stop()]);
});

/** A browser profile of its own: its cookies are nobody else's. */
async function open(options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ baseURL: site.url, ...options });
  contexts.push(context);
  context.setDefaultTimeout(120_000);
  return context.newPage();
}

/** Ada, who has two devices more, and Grace, who administrates, have parts in the first test only. */
async function signIn(page: Page, username = 'alan', password = 'turing'): Promise<void> {
  await page.goto('/sign-in');
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('main').getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL('/');
}

/** Another test's lists would show what one leaves behind. */
async function endAllSessions(): Promise<void> {
  const form = { username: 'alan', password: 'turing' };
  const from = { Origin: site.url };
  const { headers } = await request(site.url).post('/sign-in').set(from).type('form').send(form).expect(303);
  const [cookie = ''] = headers['set-cookie'] ?? [];
  await request(site.url)
    .delete('/account/sessions')
    .set({ Cookie: cookie.split(';', 1)[0], 'Sec-Fetch-Site': 'same-origin' })
    .expect(200);
}

/** Whether the server's last words or the page itself closed it. */
function endOfStream(page: Page): Promise<void> {
  return new Promise((resolve) => {
    const onEnd = (asked: Request): void => {
      if (asked.url() === `${site.url}/account/sessions/events`) resolve();
    };
    page.on('requestfinished', onEnd).on('requestfailed', onEnd);
  });
}

/** Opens the panel in which people confirm it, and confirms. */
async function signOut(item: Locator): Promise<void> {
  await item.getByRole('button', { name: /^Sign out / }).click();
  await item.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();
}

/** Opens the row, and the panel with the name. */
async function openRename(item: Locator): Promise<void> {
  await item.locator('summary').click();
  await item.getByRole('button', { name: /^Rename / }).click();
}

const notice = (page: Page): Promise<string> => page.getByRole('status').innerText();
const names = (page: Page): Promise<string[]> => page.locator('.ms-name bdi').allInnerTexts();

test('the first minute: what people try who have just started it', async () => {
  const page = await open({ userAgent: USER_AGENTS.firefox });
  await page.goto('/');
  expect(await page.getByRole('listitem').allInnerTexts()).toHaveLength(3);
  await page.getByRole('link', { name: 'Sign in' }).first().click();
  await signIn(page, 'ada', 'lovelace');

  await page.getByRole('link', { name: 'Your mails' }).click();
  expect(await page.getByRole('article').first().innerText()).toContain('New sign-in: Firefox on Mac');

  await page.getByRole('link', { name: 'Account', exact: true }).click();
  const phone = page.getByRole('listitem').filter({ hasText: 'Safari on iPhone' });
  expect(await phone.innerText()).toContain('Lisbon, Portugal');
  await signOut(phone);
  expect(await notice(page)).toBe('The device has been signed out.');
  expect(await names(page)).toEqual(['Firefox on Mac', 'Opera on Windows']);

  await page.getByRole('link', { name: 'API', exact: true }).click();
  await page.getByRole('button', { name: 'Get a new API token' }).click();
  await page.getByText('200 OK').waitFor();
  const tab = await page.context().newPage();
  await tab.goto('/account/sessions');
  await signOut(tab.getByRole('listitem').filter({ hasText: 'tidemark-api' }));
  await page.getByRole('button', { name: 'Send the request again' }).click();
  await page.getByText('401 Unauthorized').waitFor();

  const admin = await open();
  await signIn(admin, 'grace', 'hopper');
  await admin.getByRole('link', { name: 'Admin', exact: true }).click();
  await admin.getByRole('listitem').filter({ hasText: 'Ada Lovelace' }).getByRole('link', { name: 'Sessions' }).click();
  await admin.getByRole('button', { name: 'End the session of Firefox on Mac' }).click();
  expect(await notice(admin)).toBe('The session has been ended.');
  await page.getByText('You have been signed out on this device.').waitFor();
  await tab.getByText('You’re signed out.').waitFor();

  await admin.getByRole('link', { name: 'Admin', exact: true }).click();
  const takeAway = admin.getByRole('button', { name: 'Take the store away' });
  const isUnavailable = admin.getByText('One moment, please.');
  // This machine may be so busy that an outage is over before the page was loaded again.
  while (!(await isUnavailable.isVisible())) {
    if (await takeAway.isVisible()) await takeAway.click();
    await isUnavailable.or(takeAway).waitFor();
  }
  await takeAway.waitFor();
  await admin.getByText('Ada Lovelace').waitFor();
});

test('one device signs the other out: its page says so at once, and its next click leads to the login', async () => {
  const [laptop, phone] = [
    await open({ userAgent: USER_AGENTS.firefox }),
    await open({ userAgent: USER_AGENTS.iphone }),
  ];
  await signIn(laptop);
  await signIn(phone);
  await phone.getByRole('link', { name: 'Orders', exact: true }).click();
  await phone.getByText('A roll of paper tape').waitFor();

  await laptop.getByRole('link', { name: 'Account', exact: true }).click();
  expect(await names(laptop)).toEqual(['Firefox on Mac', 'Safari on iPhone']);
  const confirm = laptop.getByText('Sign out Safari on iPhone? It will need to sign in again.');
  expect(await confirm.isVisible()).toBe(false);
  const item = laptop.getByRole('listitem').filter({ hasText: 'Safari on iPhone' });
  await item.getByRole('button', { name: 'Sign out Safari on iPhone' }).click();
  expect(await confirm.isVisible()).toBe(true);
  expect(await phone.getByRole('alert').isVisible()).toBe(false);

  const streamEnds = endOfStream(phone);
  await laptop
    .getByRole('dialog', { name: /^Sign out Safari/ })
    .getByRole('button', { name: 'Sign out' })
    .click();
  expect(await notice(laptop)).toBe('The device has been signed out.');
  expect(await names(laptop)).toEqual(['Firefox on Mac']);

  await streamEnds;
  await phone.getByText('You have been signed out on this device.').waitFor({ state: 'visible' });
  await phone.getByRole('link', { name: 'Account', exact: true }).click();
  await phone.waitForURL('/sign-in');
});

test('a device is given a name, and loses it', async () => {
  const page = await open({ userAgent: USER_AGENTS.firefox });
  await signIn(page);
  await page.goto('/account/sessions');
  const rename = async (name: string): Promise<void> => {
    await openRename(page.locator('.ms-session'));
    await page.getByRole('textbox', { name: 'Name for Firefox on Mac' }).fill(name);
    await page.getByRole('button', { name: 'Save name' }).click();
    expect(await notice(page)).toBe('The name has been saved.');
  };
  await rename('Kitchen laptop');
  expect(await names(page)).toEqual(['Kitchen laptop']);
  expect(await page.locator('.ms-detail').innerText()).toBe('Firefox on Mac · This network');
  await rename('');
  expect(await names(page)).toEqual(['Firefox on Mac']);
});

test('sign out everywhere else, by keyboard alone', async () => {
  const here = await open({ userAgent: USER_AGENTS.firefox });
  const others = [await open({ userAgent: USER_AGENTS.iphone }), await open({ userAgent: USER_AGENTS.ipad })];
  for (const page of [here, ...others]) await signIn(page);
  await here.goto('/account/sessions');
  expect(await names(here)).toHaveLength(3);
  await here.getByRole('button', { name: 'Sign out everywhere else' }).focus();
  await here.keyboard.press('Enter');
  await here.keyboard.press('Tab');
  expect(await here.evaluate('document.activeElement.textContent')).toBe('Cancel');
  await here.keyboard.press('Tab');
  await here.keyboard.press('Enter');
  expect(await notice(here)).toBe('Every other device has been signed out.');
  expect(await names(here)).toEqual(['Firefox on Mac']);
  for (const page of others) {
    await page.getByText('You have been signed out on this device.').waitFor({ state: 'visible' });
    await page.getByRole('link', { name: 'Sign in again' }).click();
    await page.waitForURL('/sign-in');
  }
});

test('all of the account page works without JavaScript', async () => {
  const plain = { javaScriptEnabled: false } as const;
  const [page, other] = [
    await open({ ...plain, userAgent: USER_AGENTS.ipad }),
    await open({ ...plain, userAgent: USER_AGENTS.iphone }),
  ];
  await signIn(page);
  await signIn(other);
  await page.goto('/account/sessions');
  const item = page.getByRole('listitem').filter({ hasText: 'Safari on iPhone' });
  await openRename(item);
  await item.getByRole('textbox', { name: 'Name for Safari on iPhone' }).fill('Lost phone');
  await item.getByRole('button', { name: 'Save name' }).click();
  expect(await names(page)).toEqual(['Safari on iPad', 'Lost phone']);
  await signOut(item);
  expect(await notice(page)).toBe('The device has been signed out.');
  await other.goto('/orders');
  expect(new URL(other.url()).pathname).toBe('/sign-in');

  await signOut(page.locator('.ms-session'));
  await page.waitForURL('/sign-in');
});

test('a user agent and a name full of markup are shown as text', async () => {
  const markup = '<img src=x onerror="document.title=1">\'&quot;';
  const page = await open({ userAgent: `Notes<script>document.title=1</script>/1.2 (iPhone; iOS 18.6) ${markup}` });
  const faults: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  await signIn(page);
  await page.goto('/account/sessions');
  const title = await page.title();
  await openRename(page.locator('.ms-session'));
  await page.getByRole('textbox', { name: /^Name for/ }).fill(markup);
  await page.getByRole('button', { name: 'Save name' }).click();
  expect(await names(page)).toEqual([markup]);
  expect(await page.locator('.ms-session :is(img, script)').count()).toBe(0);
  expect(await page.locator('input[name=label]').inputValue()).toBe(markup);
  expect(await page.title()).toBe(title);
  // Nothing was tried that the page's policy had to stop.
  expect(faults).toEqual([]);
});

test.each(['light', 'dark'] as const)('axe-core finds nothing wrong, %s', async (colorScheme) => {
  const [page, admin] = [await open({ colorScheme }), await open({ colorScheme })];
  const other = await open({ userAgent: USER_AGENTS.iphone });
  await page.goto('/');
  expect(await accessibilityFaults(page)).toEqual([]);
  await page.goto('/sign-in');
  await page.getByLabel('User name').fill('ada');
  await page.getByLabel('Password').fill('wrong');
  await page.getByRole('main').getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('The user name or the password is wrong').waitFor();
  expect(await accessibilityFaults(page)).toEqual([]);

  await signIn(other);
  await signIn(page);
  expect(await accessibilityFaults(page)).toEqual([]);
  for (const path of ['/orders', '/mails', '/developers']) {
    await page.goto(path);
    expect(await accessibilityFaults(page)).toEqual([]);
  }
  await page.getByRole('button', { name: 'Get a new API token' }).click();
  await page.getByText('200 OK').waitFor();
  expect(await accessibilityFaults(page)).toEqual([]);
  await signIn(admin, 'grace', 'hopper');
  for (const path of ['/admin', '/admin/users/usr_2?done=ended']) {
    await admin.goto(path);
    expect(await accessibilityFaults(admin)).toEqual([]);
  }
  await page.goto('/account/sessions?done=renamed');
  expect(await accessibilityFaults(page)).toEqual([]);
  // This device, behind its row too, and all others: the rows of other devices are the same.
  await page.locator('summary').first().click();
  for (const opener of (await page.locator('.ms-opener').all()).slice(0, 3)) {
    await opener.click();
    expect(await accessibilityFaults(page)).toEqual([]);
    await page.keyboard.press('Escape');
  }
  await endAllSessions();
  await page.getByRole('alert').waitFor({ state: 'visible' });
  expect(await accessibilityFaults(page)).toEqual([]);
});

test.each([320, 375, 1280])('nothing is cut off at %i px', async (width) => {
  const page = await open({ viewport: { width, height: 800 }, userAgent: USER_AGENTS.firefox });
  await signIn(page);
  for (const path of ['/', '/orders', '/mails', '/account/sessions']) {
    await page.goto(path);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
  }
  await page.goto('/developers');
  await page.getByRole('button', { name: 'Get a new API token' }).click();
  await page.getByText('200 OK').waitFor();
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
  await page.goto('/account/sessions');
  await openRename(page.getByRole('listitem').filter({ hasText: 'Firefox on Mac' }));
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
});
