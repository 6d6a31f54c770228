/** The example site as `npm start` runs it, over HTTP: the whole story, and what hostile clients send. */

import { get, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { connect } from 'node:net';
import request from 'supertest';
import { runExample, startExample, type ExampleSite } from './support/example-app.js';
import { startRedis, type TestRedis } from './support/redis.js';

const html = { Accept: 'text/html' };
const ours = { 'Sec-Fetch-Site': 'same-origin' };

async function signIn(site: ExampleSite, username = 'ada', password = 'lovelace'): Promise<{ Cookie: string }> {
  const answer = await request(site.url)
    .post('/sign-in')
    .set(ours)
    .type('form')
    .send({ username, password })
    .expect(303)
    .expect('Location', '/');
  return { Cookie: answer.get('Set-Cookie')?.[0]?.split(';', 1)[0] ?? '' };
}

async function tokenOf(site: ExampleSite, device: { Cookie: string }): Promise<string> {
  const answer = await request(site.url).get('/token').set(ours).set(device).expect(200);
  return String(answer.body.token);
}

async function others(site: ExampleSite, device: { Cookie: string }): Promise<string[]> {
  const { body } = await request(site.url).get('/account/sessions').set(device).expect(200);
  const sessions = body.sessions as { handle: string; current: boolean }[];
  return sessions.filter(({ current }) => !current).map(({ handle }) => handle);
}

/** The live stream of a device: its first event has come when this resolves. */
async function listen(site: ExampleSite, device: { Cookie: string }): Promise<{ ended: Promise<string> }> {
  const asked = get(`${site.url}/live`, { headers: { ...device, Accept: 'text/event-stream' } });
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  answer.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  // A stream that is cut off has an error as well, and ends all the same.
  answer.on('error', () => undefined);
  const ended = new Promise<string>((resolve) => answer.once('close', () => resolve(text)));
  await once(answer, 'data');
  return { ended };
}

/** Checks that pages redirect to the login, and that the API says why it refuses. */
async function expectSignedOut(site: ExampleSite, device: { Cookie: string }, token: string): Promise<void> {
  await request(site.url).get('/orders').set(html).set(device).expect(303).expect('Location', '/sign-in');
  await request(site.url).get('/live').set(device).expect(401);
  const answer = await request(site.url).get('/api/orders').set('Authorization', `Bearer ${token}`).expect(401);
  expect(answer.body.code).toBe('session_revoked');
}

describe('in memory', () => {
  let site: ExampleSite;
  beforeAll(async () => {
    site = await startExample();
  });
  afterAll(() => site.stop());

  test('sign in, look around, sign out', async () => {
    await request(site.url).get('/orders').set(html).expect(303).expect('Location', '/sign-in');
    const wrong = await request(site.url)
      .post('/sign-in')
      .set(ours)
      .type('form')
      .send({ username: '<ada>', password: 'x' })
      .expect(401);
    expect(wrong.text).toContain('The user name or the password is wrong');
    expect(wrong.text).toContain('value="&lt;ada&gt;"');

    const answer = await request(site.url)
      .post('/sign-in')
      .set(ours)
      .type('form')
      .send({ username: 'ada', password: 'lovelace' })
      .expect(303);
    expect(answer.get('Set-Cookie')?.[0]).toMatch(
      /^login_token=[\w.-]+; Max-Age=4\d{4}; Path=\/; .*HttpOnly; SameSite=Lax$/,
    );
    const device = await signIn(site);

    const home = await request(site.url).get('/').set(html).set(device).expect(200).expect('Cache-Control', 'no-store');
    expect(home.text).toContain('Hello, Ada Lovelace.');
    await request(site.url).get('/sign-in').set(html).set(device).expect(303).expect('Location', '/');
    const account = await request(site.url).get('/account/sessions').set(html).set(device).expect(200);
    expect(account.text).toMatch(/Your account[^]*ada@example\.com[^]*This device/);

    const token = await tokenOf(site, device);
    const { body } = await request(site.url).get('/api/orders').set('Authorization', `bearer ${token}`).expect(200);
    expect(body.orders).toHaveLength(2);

    const out = await request(site.url).post('/sign-out').set(ours).set(html).set(device).expect(303);
    expect(out.headers['location']).toBe('/sign-in');
    expect(out.get('Set-Cookie')?.join()).toContain('login_token=; Max-Age=0');
    await expectSignedOut(site, device, token);
  });

  test('a session that is ended elsewhere ends its live stream', async () => {
    const [here, there] = [await signIn(site, 'alan', 'turing'), await signIn(site, 'alan', 'turing')];
    const token = await tokenOf(site, there);
    const stream = await listen(site, there);
    const [handle = ''] = await others(site, here);
    await request(site.url).delete(`/account/sessions/${handle}`).set(ours).set(here).expect(204);
    expect(await stream.ended).toMatch(/^event: signed-in\n[^]*event: signed-out\n/);
    await expectSignedOut(site, there, token);
    await request(site.url).get('/orders').set(html).set(here).expect(200);
  });

  test('the headers of a page', async () => {
    const { headers } = await request(site.url).get('/sign-in').expect(200);
    expect(headers['content-security-policy']).toMatch(
      /^default-src 'none'; style-src 'self' 'sha256-[^']+'; script-src 'self'; /,
    );
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['referrer-policy']).toBe('same-origin');
    expect(headers['cross-origin-resource-policy']).toBe('same-origin');
    expect(headers['accept-ch']).toContain('Sec-CH-UA-Model');
    expect(headers).not.toHaveProperty('x-powered-by');
  });

  test("another site's form signs nobody in or out, and another site reads no token", async () => {
    const device = await signIn(site);
    const form = { username: 'alan', password: 'turing' };
    for (const from of [
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site' },
      { Origin: 'https://elsewhere.example' },
      { Origin: 'null' },
    ]) {
      const signedIn = await request(site.url).post('/sign-in').set(from).type('form').send(form).expect(403);
      expect(signedIn.headers).not.toHaveProperty('set-cookie');
      await request(site.url).get('/token').set(from).set(device).expect(403);
      await request(site.url).post('/sign-out').set(from).set(device).expect(403);
    }
    await request(site.url).get('/orders').set(html).set(device).expect(200);
  });

  const hostile: readonly (readonly [string, number, () => request.Test])[] = [
    [
      'a cookie that cannot be decoded',
      401,
      () => request(site.url).get('/orders').set('Cookie', 'login_token=%E0%A4%A'),
    ],
    ['a cookie that is JSON', 401, () => request(site.url).get('/token').set('Cookie', 'login_token=j:{"a":1}')],
    ['a cookie header of rubbish', 401, () => request(site.url).get('/token').set('Cookie', ';;=;login_token;"')],
    ['a bearer header of rubbish', 401, () => request(site.url).get('/api/orders').set('Authorization', 'Bearer a b')],
    ['a session that cannot be decoded', 401, () => request(site.url).get('/account/sessions/%E0%A4%A')],
    ['a page that cannot be decoded', 404, () => request(site.url).get('/%E0%A4%A')],
    ['a file outside of the folder', 404, () => request(site.url).get('/..%2f..%2fpackage.json')],
    ['a file with a zero byte', 404, () => request(site.url).get('/site.css%00')],
    ['a page that does not exist', 404, () => request(site.url).get('/nothing')],
    ['an empty form', 401, () => request(site.url).post('/sign-in').set(ours)],
    ['a form of another type', 401, () => request(site.url).post('/sign-in').set(ours).type('json').send('{')],
    ['a form that has a field twice', 401, () => post('username=ada&username=ada&password=lovelace')],
    ['a form with nested fields', 401, () => post('username[__proto__]=ada&password[]=lovelace')],
    ['a form that cannot be decoded', 401, () => post('username=%E0%A4%A&password=%')],
    ['a form that is too long', 413, () => post(`username=ada&password=${'x'.repeat(2000)}`)],
    [
      'a form of the greatest length, with characters that grow when they are encoded',
      401,
      () => post(`username=ada&password=${'é'.repeat(400)}`),
    ],
    ['a form of many fields', 413, () => post('a&'.repeat(500) + 'x='.repeat(100))],
    [
      'a form in an unknown character set',
      415,
      () => post('username=ada').set('Content-Type', 'application/x-www-form-urlencoded; charset=martian'),
    ],
    ['a form in an unknown encoding', 415, () => post('username=ada').set('Content-Encoding', 'martian')],
    ['a GET that would sign out', 404, () => request(site.url).get('/sign-out')],
  ];
  const post = (form: string): request.Test => request(site.url).post('/sign-in').set(ours).type('form').send(form);

  test.each(hostile)('%s: %i', async (_what, status, ask) => {
    const answer = await ask();
    expect(answer.status).toBe(status);
    expect(answer.text).not.toMatch(/node_modules|at \w+ \(|Error:/);
  });

  test('never writes a token to its output', () => {
    expect(site.output()).toMatch(/^Tidemark runs at [^]*alan \/ turing\n$/);
    expect(site.output()).not.toContain('eyJ');
  });
});

describe('two copies on one Redis', () => {
  let redis: TestRedis;
  let copies: [ExampleSite, ExampleSite];
  beforeAll(async () => {
    redis = await startRedis();
    const env = { REDIS_URL: redis.url };
    copies = await Promise.all([startExample(env), startExample(env)]);
  });
  afterAll(async () => {
    await Promise.all(copies.map((site) => site.stop()));
    await redis.stop();
  });

  test('a login in one copy is valid in the other, and so is its end', async () => {
    const [first, second] = copies;
    const [here, there] = [await signIn(first), await signIn(first)];
    const token = await tokenOf(second, there);
    const streams = await Promise.all(copies.map((site) => listen(site, there)));
    const [handle = ''] = await others(second, here);
    await request(first.url).delete(`/account/sessions/${handle}`).set(ours).set(here).expect(204);
    for (const { ended } of streams) expect(await ended).toContain('event: signed-out\n');
    for (const site of copies) {
      await expectSignedOut(site, there, token);
      await request(site.url).get('/orders').set(html).set(here).expect(200);
    }
  });
});

describe('start and stop', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s stops it at once, with one open stream and one whose client is gone',
    async (signal) => {
      const site = await startExample();
      const device = await signIn(site);
      // The client is gone before the site has fetched the keys and knows who it is.
      const gone = connect(site.port, 'localhost');
      gone.write(`GET /live HTTP/1.1\r\nHost: localhost\r\nCookie: ${device.Cookie}\r\n\r\n`, () => gone.destroy());
      const stream = await listen(site, device);
      expect(await site.stop(signal)).toMatchObject({ code: 0 });
      expect(await stream.ended).toContain('signed-in');
    },
  );

  test('says in one sentence that a port is in use or invalid, or that Redis cannot be reached', async () => {
    const site = await startExample();
    const [taken, wrong, lost] = await Promise.all([
      runExample({ PORT: String(site.port) }),
      runExample({ PORT: 'http' }),
      runExample({ PORT: '0', REDIS_URL: 'redis://127.0.0.1:1' }),
    ]);
    await site.stop();
    expect(taken.code).toBe(1);
    expect(taken.output).toMatch(/^Port \d+ is in use\. Try another one: PORT=\d+ npm start\n$/);
    expect(wrong).toEqual({ code: 1, output: 'PORT must be a number from 0 to 65535.\n' });
    expect(lost.code).toBe(1);
    expect(lost.output).toMatch(/^Redis cannot be reached: .*\n$/);
  });
});
