/** The example site as `npm start` runs it, over HTTP: the whole story, and what hostile clients send. */

import { get, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import request from 'supertest';
import { USER_AGENTS } from './support/browser.js';
import { runExample, startExample, type ExampleSite } from './support/example-app.js';
import { eventually, startRedis, type TestRedis } from './support/redis.js';

const html = { Accept: 'text/html' };
const EVENTS = '/account/sessions/events';

/** The headers of its requests. A type, because an interface is no `Record`. */
type Device = Readonly<Record<'Cookie' | 'Origin', string>>;

async function signIn(
  site: ExampleSite,
  username = 'ada',
  password = 'lovelace',
  userAgent: string = USER_AGENTS.firefox,
): Promise<Device> {
  const answer = await request(site.url)
    .post('/sign-in')
    .set({ Origin: site.url, 'User-Agent': userAgent })
    .type('form')
    .send({ username, password })
    .expect(303)
    .expect('Location', '/');
  return { Cookie: cookieOf(answer), Origin: site.url };
}

function cookieOf(answer: request.Response): string {
  return answer.get('Set-Cookie')?.[0]?.split(';', 1)[0] ?? '';
}

const tokenOf = ({ Cookie }: Device): string => Cookie.replace('login_token=', '');
const bearer = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` });

interface Listed {
  readonly handle: string;
  readonly current: boolean;
  readonly startedAt: string;
  readonly lastSeenAt: string;
  readonly location: string | null;
  readonly app: string | null;
  readonly client: { readonly name: string; readonly kind: string };
}

async function listed(site: ExampleSite, device: Device): Promise<readonly Listed[]> {
  const { body } = await request(site.url).get('/account/sessions').set(device).expect(200);
  return body.sessions as Listed[];
}

/** Those that the other tests' users have not begun themselves. */
async function prepared(site: ExampleSite, device: Device): Promise<readonly Listed[]> {
  return (await listed(site, device)).filter(({ location }) => location !== null);
}

/** The handle of another session than this one. */
async function other(site: ExampleSite, device: Device): Promise<string> {
  const found = (await listed(site, device)).find(({ current, location }) => !current && location === null);
  return found?.handle ?? 'none';
}

/** The live stream of a device: its first bytes have come when this resolves. */
async function listen(site: ExampleSite, device: Device): Promise<{ ended: Promise<string> }> {
  const asked = get(site.url + EVENTS, { headers: { ...device, Accept: 'text/event-stream' } });
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
async function expectSignedOut(site: ExampleSite, device: Device): Promise<void> {
  await request(site.url).get('/orders').set(html).set(device).expect(303).expect('Location', '/sign-in');
  await request(site.url).get(EVENTS).set(device).expect(401);
  const answer = await request(site.url)
    .get('/api/orders')
    .set(bearer(tokenOf(device)))
    .expect(401);
  expect(answer.body.code).toBe('session_revoked');
}

describe('in memory', () => {
  let site: ExampleSite;
  beforeAll(async () => {
    site = await startExample({ OUTAGE_SECONDS: '2' });
  });
  afterAll(() => site.stop());

  const page = (path: string, device: Device): request.Test => request(site.url).get(path).set(html).set(device);
  const submit = (path: string, device: Device, form: Record<string, string> = {}): request.Test =>
    request(site.url).post(path).set(html).set(device).type('form').send(form);
  const grace = (): Promise<Device> => signIn(site, 'grace', 'hopper');

  test('sign in, look around, sign out', async () => {
    const front = await request(site.url).get('/').set(html).expect(200);
    expect(front.text.match(/<li>/g)).toHaveLength(3);
    await request(site.url).get('/orders').set(html).expect(303).expect('Location', '/sign-in');
    const form = { username: '<ada>', password: 'x' };
    const wrong = await request(site.url).post('/sign-in').set('Origin', site.url).type('form').send(form).expect(401);
    expect(wrong.text).toContain('The user name or the password is wrong');
    expect(wrong.text).toContain('value="&lt;ada&gt;"');

    const device = await signIn(site);
    const again = { username: 'ada', password: 'lovelace' };
    const answer = await submit('/sign-in', device, again).expect(303);
    expect(answer.get('Set-Cookie')?.[0]).toMatch(
      /^login_token=[\w.-]+; Max-Age=4\d{4}; Path=\/; .*HttpOnly; SameSite=Lax$/,
    );
    // A browser that signs in again has one session, not two.
    await expectSignedOut(site, device);
    const now = { ...device, Cookie: cookieOf(answer) };

    const home = await page('/', now).expect(200).expect('Cache-Control', 'no-store');
    expect(home.text).toContain('Hello, Ada Lovelace.');
    expect(home.text).not.toContain('href="/admin"');
    await page('/sign-in', now).expect(303).expect('Location', '/');
    expect((await page('/account/sessions', now).expect(200)).text).toMatch(
      /Your account[^]*ada@example\.com[^]*This device/,
    );
    expect((await page('/orders', now).expect(200)).text).toContain('One field book, ruled');

    const out = await submit('/sign-out', now).expect(303);
    expect(out.headers['location']).toBe('/sign-in');
    expect(out.get('Set-Cookie')?.join()).toContain('login_token=; Max-Age=0');
    await expectSignedOut(site, now);
  });

  test('two devices of the demo user are in other places, since a while, and can be signed out', async () => {
    const device = await signIn(site);
    const [phone, computer] = await prepared(site, device);
    expect(phone).toMatchObject({ location: 'Lisbon, Portugal', client: { name: 'Safari', kind: 'phone' } });
    expect(computer).toMatchObject({ location: 'Osaka, Japan', client: { name: 'Opera', kind: 'desktop' } });
    const ago = (moment: string): number => Math.round((Date.now() - Date.parse(moment)) / 3_600_000);
    expect([phone!.startedAt, phone!.lastSeenAt].map(ago)).toEqual([5, 1]);
    expect([computer!.startedAt, computer!.lastSeenAt].map(ago)).toEqual([9 * 24, 2 * 24]);
    expect((await page('/account/sessions', device)).text).toMatch(/Safari on iPhone[^]*Lisbon, Portugal/);

    await submit(`/account/sessions/${phone!.handle}/end`, device).expect(303);
    expect(await prepared(site, device)).toMatchObject([{ handle: computer!.handle }]);
    expect(await prepared(site, await signIn(site, 'alan', 'turing'))).toEqual([]);
  });

  test('a sign-in on a new device is told by mail, once, to its user alone', async () => {
    const userAgent = 'Orders<b>/2.1 (iPhone; iOS 18.6)';
    const device = await signIn(site, 'alan', 'turing', userAgent);
    await signIn(site, 'alan', 'turing', userAgent);
    const { text } = await page('/mails', device).expect(200);
    expect(text.match(/New sign-in: Orders[^<]*/g)).toEqual(['New sign-in: Orders&lt;b&gt; on iPhone']);
    expect(text).toContain('alan@example.com');
    const adas = await page('/mails', await signIn(site));
    expect(adas.text).toMatch(
      /New sign-in: Safari on iPhone<[^]*, in Lisbon, Portugal\.[^]*New sign-in: Opera on Windows</,
    );
    expect(adas.text).not.toContain('Orders&lt;b&gt;');
  });

  test('an administrator sees and ends sessions of anybody, who learns who it was', async () => {
    const [admin, adas, alans] = [await grace(), await signIn(site), await signIn(site, 'alan', 'turing')];
    expect((await page('/admin', admin).expect(200)).text).toMatch(/Ada Lovelace[^]*Alan Turing[^]*Grace Hopper/);
    const stream = await listen(site, alans);
    const { handle } = (await listed(site, alans)).find(({ current }) => current)!;
    const shown = await page('/admin/users/usr_2', admin).expect(200);
    expect(shown.text).toContain(`action="/admin/users/usr_2/sessions/${handle}/end"`);

    await submit(`/admin/users/usr_2/sessions/${handle}/end`, admin)
      .expect(303)
      .expect('Location', '/admin/users/usr_2?done=ended');
    expect(await stream.ended).toContain('event: signed-out\n');
    await expectSignedOut(site, alans);
    await page('/orders', adas).expect(200);

    await submit('/admin/users/usr_2/end', admin).expect(303).expect('Location', '/admin/users/usr_2?done=all');
    expect((await page('/admin/users/usr_2?done=all', admin)).text).toMatch(
      /All sessions have been ended[^]*No sessions/,
    );
    expect((await page('/mails', await signIn(site, 'alan', 'turing'))).text).toContain('An administrator (usr_3)');
    await page('/orders', adas).expect(200);
  });

  test('expired tokens end no session: the API says so, and a page gets a new token of the same session', async () => {
    const [admin, device] = [await grace(), await signIn(site)];
    const before = (await listed(site, device)).find(({ current }) => current);
    await submit('/admin/users/usr_1/expire-tokens', admin).expect(303);
    const refused = await request(site.url)
      .get('/api/orders')
      .set(bearer(tokenOf(device)))
      .expect(401);
    expect(refused.body.code).toBe('token_stale');

    for (const path of ['/', '/orders', '/account/sessions']) {
      const renewed = await page(path, device).expect(307).expect('Location', '?');
      const now = { ...device, Cookie: cookieOf(renewed) };
      await page(path, now).expect(200);
      expect((await listed(site, now)).find(({ current }) => current)).toMatchObject({
        handle: before?.handle,
        startedAt: before?.startedAt,
      });
    }
  });

  test('only administrators administrate, and only from a page of this site', async () => {
    const [admin, device] = [await grace(), await signIn(site)];
    const paths = ['/users/usr_3/end', '/users/usr_3/expire-tokens', `/users/usr_3/sessions/x/end`, '/outage'];
    for (const path of ['', '/users/usr_1', ...paths]) {
      const method = paths.includes(path) ? 'post' : 'get';
      const asked = (): request.Test => request(site.url)[method](`/admin${path}`);
      expect((await asked().set(device).expect(403)).body.code).toBe('scope_missing');
      await asked().set(html).expect(303).expect('Location', '/sign-in');
      if (method === 'get') continue;
      for (const from of [{ Origin: 'https://elsewhere.example' }, { 'Sec-Fetch-Site': 'same-site' }]) {
        await asked()
          .set({ Cookie: admin.Cookie, ...from })
          .expect(403);
      }
    }
    await page('/admin', admin).expect(200);
  });

  test('an API token is a session of its own: seen, used and ended like any other', async () => {
    const device = await signIn(site);
    await request(site.url).get('/developers').set(html).expect(303).expect('Location', '/sign-in');
    const shown = await submit('/developers', device).expect(200);
    expect(shown.text).toMatch(/200 OK[^]*One field book, ruled/);
    const [, token = ''] =
      /curl -H &quot;Authorization: Bearer ([\w.-]+)&quot; http:\/\/localhost:\d+\/api\/orders/.exec(
        shown.text.replaceAll('"', '&quot;'),
      )!;
    expect((await request(site.url).get('/api/orders').set(bearer(token)).expect(200)).body.orders).toHaveLength(2);

    const { handle } = (await listed(site, device)).find(({ app }) => app === 'tidemark-api')!;
    await request(site.url).delete(`/account/sessions/${handle}`).set(device).expect(204);
    expect((await request(site.url).get('/api/orders').set(bearer(token)).expect(401)).body.code).toBe(
      'session_revoked',
    );
    const again = await submit('/developers', device, { token }).expect(200);
    expect(again.text).toMatch(/401 Unauthorized[^]*session_revoked/);
    await page('/orders', device).expect(200);
  });

  test('an API token gets its holder no other token, and no right that it does not have', async () => {
    const admin = await grace();
    const shown = await submit('/developers', admin).expect(200);
    const [token = ''] = /(?<=Bearer )[\w.-]+/.exec(shown.text) ?? [];
    const holder = { Cookie: `login_token=${token}`, Origin: site.url };
    await request(site.url).get('/admin').set(holder).expect(403);
    await submit('/developers', holder).expect(303).expect('Location', '/sign-in');
    await submit('/admin/users/usr_3/expire-tokens', admin).expect(303);
    for (const path of ['/', '/orders', '/admin']) {
      const answer = await page(path, holder);
      expect([answer.status === 307, answer.get('Set-Cookie')]).toEqual([false, undefined]);
    }
  });

  test('a session that is ended elsewhere ends its live stream', async () => {
    const [here, there] = [await signIn(site), await signIn(site)];
    const stream = await listen(site, there);
    const { handle } = (await listed(site, there)).find(({ current }) => current)!;
    await request(site.url).delete(`/account/sessions/${handle}`).set(here).expect(204);
    expect(await stream.ended).toContain('event: signed-out\n');
    await expectSignedOut(site, there);
    await page('/orders', here).expect(200);
  });

  test('the headers of a page', async () => {
    const { headers } = await request(site.url).get('/sign-in').expect(200);
    expect(headers['content-security-policy']).toMatch(
      /^default-src 'none'; style-src 'self' 'sha256-[^']+'; script-src 'self'[^;]*; /,
    );
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['referrer-policy']).toBe('same-origin');
    expect(headers['cross-origin-resource-policy']).toBe('same-origin');
    expect(headers['accept-ch']).toContain('Sec-CH-UA-Model');
    expect(headers).not.toHaveProperty('x-powered-by');
  });

  test("another site's form signs nobody in or out, and gets no token", async () => {
    const { Cookie } = await signIn(site);
    const form = { username: 'alan', password: 'turing' };
    const elsewhere = [
      { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://elsewhere.example' },
      { 'Sec-Fetch-Site': 'same-site', Origin: 'http://localhost:1' },
      { Origin: 'https://elsewhere.example' },
      { Origin: 'null' },
    ];
    for (const from of elsewhere) {
      const signedIn = await request(site.url).post('/sign-in').set(from).type('form').send(form).expect(403);
      expect(signedIn.headers).not.toHaveProperty('set-cookie');
      const token = await request(site.url)
        .post('/developers')
        .set({ Cookie, ...from })
        .expect(403);
      expect(token.text).not.toContain('eyJ');
      await request(site.url)
        .post('/sign-out')
        .set({ Cookie, ...from })
        .expect(403);
    }
    await request(site.url).post('/sign-in').type('form').send(form).expect(403);
    await request(site.url).get('/orders').set(html).set({ Cookie }).expect(200);
  });

  const hostile: readonly (readonly [string, number, () => request.Test])[] = [
    [
      'a cookie that cannot be decoded',
      303,
      () => request(site.url).get('/orders').set('Cookie', 'login_token=%E0%A4%A'),
    ],
    ['a cookie that is JSON', 303, () => request(site.url).get('/mails').set('Cookie', 'login_token=j:{"a":1}')],
    ['a cookie header of rubbish', 401, () => request(site.url).get('/api/orders').set('Cookie', ';;=;login_token;"')],
    ['a bearer header of rubbish', 401, () => request(site.url).get('/api/orders').set('Authorization', 'Bearer a b')],
    ['a session that cannot be decoded', 401, () => request(site.url).get('/account/sessions/%E0%A4%A')],
    ['a page that cannot be decoded', 404, () => request(site.url).get('/%E0%A4%A')],
    ['a file outside of the folder', 404, () => request(site.url).get('/..%2f..%2fpackage.json')],
    ['a file with a zero byte', 404, () => request(site.url).get('/site.css%00')],
    ['a page that does not exist', 404, () => request(site.url).get('/nothing')],
    ['an empty form', 401, () => request(site.url).post('/sign-in').set('Origin', site.url)],
    [
      'a form of another type',
      401,
      () => request(site.url).post('/sign-in').set('Origin', site.url).type('json').send('{'),
    ],
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
  const post = (form: string): request.Test =>
    request(site.url).post('/sign-in').set('Origin', site.url).type('form').send(form);

  test.each(hostile)('%s: %i', async (_what, status, ask) => {
    const answer = await ask();
    expect(answer.status).toBe(status);
    expect(answer.text).not.toMatch(/node_modules|at \w+ \(|Error:/);
  });

  test('of many passwords at once, a few are checked, and the others are told to try again', async () => {
    const form = { username: 'ada', password: 'guessed' };
    const guess = async (): Promise<number> =>
      (await request(site.url).post('/sign-in').set('Origin', site.url).type('form').send(form)).status;
    const statuses = await Promise.all(Array.from({ length: 100 }, guess));
    expect(new Set(statuses)).toEqual(new Set([401, 503]));
    // And not because they have waited for too long.
    expect(site.output()).toContain('The provider answered 503');
    await signIn(site);
  });

  test('what signed-in people send, and no page has', async () => {
    const [admin, device] = [await grace(), await signIn(site)];
    const token = (sent: string): request.Test => submit('/developers', device, { token: sent });
    const expected: readonly (readonly [number, request.Test])[] = [
      [400, token('a\r\nX: y')],
      [400, token('é')],
      [400, token('x'.repeat(8193))],
      [200, token('x'.repeat(8192))],
      [200, token('..')],
      [404, page('/admin/users/usr_9', admin)],
      [404, page('/admin/users/__proto__', admin)],
      [400, page('/admin/users/%E0%A4%A', admin)],
      [200, page('/admin/users/usr_1?done=__proto__&done[a]=b', admin)],
      [404, submit('/admin/users/usr_9/end', admin)],
      [404, submit('/admin/users/usr_1/sessions/nothing/end', admin)],
      [404, submit(`/admin/users/usr_1/sessions/${'x'.repeat(4000)}/end`, admin)],
    ];
    for (const [status, asked] of expected) {
      const answer = await asked;
      expect(`${answer.status} ${asked.url}`).toBe(`${status} ${asked.url}`);
      expect(answer.text).not.toMatch(/node_modules|at \w+ \(|Error:/);
    }
  });

  test('without the store: 503 for everybody, nobody is signed out, and it comes back by itself', async () => {
    const [admin, device] = [await grace(), await signIn(site)];
    // This machine may be so busy that an outage is over before it was seen.
    const away = await eventually('the store is away', async () => {
      await submit('/admin/outage', admin);
      const answer = await page('/account/sessions', device);
      return answer.status === 503 && answer;
    });
    expect(away.headers['retry-after']).toMatch(/^\d+$/);
    expect(away.text).toContain('Nothing was lost');
    // A process goes on with what it knows for as long as that is fresh, so a new session is refused first.
    const refused = await eventually('a login cannot be checked', async () => {
      await submit('/admin/outage', admin);
      const answer = await request(site.url)
        .post('/sign-in')
        .set('Origin', site.url)
        .type('form')
        .send('username=alan&password=turing');
      return answer.status === 503 && answer;
    });
    expect(refused.headers).not.toHaveProperty('set-cookie');
    expect(refused.text).toContain('You cannot sign in at the moment.');

    await eventually('the store is back', async () => (await page('/account/sessions', device)).status === 200);
    await page('/orders', device).expect(200);
    await page('/admin', admin).expect(200);
  });

  test('never writes a token to its output', () => {
    expect(site.output()).toMatch(/^Tidemark, the example site, is starting\.\nTidemark runs at [^]*grace \/ hopper\n/);
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
    const streams = await Promise.all(copies.map((site) => listen(site, there)));
    const handle = await other(second, here);
    await request(first.url).delete(`/account/sessions/${handle}`).set(here).expect(204);
    for (const { ended } of streams) expect(await ended).toContain('event: signed-out\n');
    for (const site of copies) {
      await expectSignedOut(site, there);
      await request(site.url).get('/orders').set(html).set(here).expect(200);
    }
  });

  test('the prepared devices are there once, and again after a start, also if they were signed out', async () => {
    const [first] = copies;
    const device = await signIn(first);
    const before = await prepared(first, device);
    expect(before).toHaveLength(2);
    await request(first.url).delete('/account/sessions/others').set(device).expect(200);
    expect(await prepared(first, device)).toEqual([]);

    const third = await startExample({ REDIS_URL: redis.url });
    const after = await prepared(third, device);
    await third.stop();
    expect(after.map(({ location }) => location).sort()).toEqual(['Lisbon, Portugal', 'Osaka, Japan']);
    for (const { handle } of before) expect(after.map((now) => now.handle)).not.toContain(handle);
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
      gone.write(`GET ${EVENTS} HTTP/1.1\r\nHost: localhost\r\nCookie: ${device.Cookie}\r\n\r\n`, () => gone.destroy());
      const stream = await listen(site, device);
      expect(await site.stop(signal)).toMatchObject({ code: 0 });
      await stream.ended;
    },
  );

  test('says in one sentence that a port is invalid, or that Redis cannot be reached', async () => {
    const [wrong, lost] = await Promise.all([
      runExample({ PORT: 'http' }),
      runExample({ PORT: '0', REDIS_URL: 'redis://127.0.0.1:1' }),
    ]);
    expect(wrong).toEqual({ code: 1, output: 'PORT must be a number from 0 to 65535.\n' });
    expect(lost.code).toBe(1);
    expect(lost.output).toMatch(/^Tidemark, the example site, is starting\.\nRedis cannot be reached: .*\n$/);
  });

  test('takes the port, and says something, before anything is built', async () => {
    // Nothing can be built here.
    const clone = await mkdtemp(join(tmpdir(), 'managed-sessions-example-'));
    for (const file of ['example-app/start.mjs', 'scripts/build.mjs', 'package.json']) {
      await cp(join(__dirname, '..', file), join(clone, file));
    }
    const server = createServer().listen(0);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const [taken, free] = await Promise.all([
      runExample({ PORT: String(port) }, clone),
      runExample({ PORT: '0' }, clone),
    ]);
    server.close();
    await rm(clone, { recursive: true });

    expect(taken.code).toBe(1);
    expect(taken.output).toMatch(/^Port \d+ is in use\. Try another one: PORT=\d+ npm start\n$/);
    expect(free.code).toBe(1);
    expect(free.output).toMatch(/^Tidemark, the example site, is starting\.\n[^]*The package could not be built\.\n$/);
  });
});
