/** The programs of docs/migrating.md, as they stand there, beside the packages that they replace, on one real Redis. */

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RedisStore } from 'connect-redis';
import express, { type RequestHandler } from 'express';
import { Redis } from 'ioredis';
import { createTestIssuer, type TestIssuer } from '../../lib/testing/index.js';
import { headingsNotRun, runGuide, tokenFor, type RunningGuide } from '../support/guide.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';

/** It has no types of its own. */
const session: (options: object) => RequestHandler = jest.requireActual('express-session');

const DOC = 'docs/migrating.md';
const COOKIE_SECRET = 'the old secret of express-session';

const PROGRAMS = {
  'express-jwt': { heading: 'express-jwt' },
  'express-oauth2-jwt-bearer': { heading: 'express-oauth2-jwt-bearer' },
  'passport-jwt': { heading: 'passport-jwt' },
  after: { heading: 'express-jwt', index: 1 },
  'express-session': { heading: 'express-session with connect-redis' },
  AuthRocket: { heading: "AuthRocket's middleware" },
  denylist: { heading: 'A denylist of your own' },
} as const;
type Name = keyof typeof PROGRAMS;

let redis: TestRedis;
let provider: TestIssuer;
let loginRocket: Server;
let guide: RunningGuide;
let sids = 0;

beforeAll(async () => {
  redis = await startRedis();
  provider = await createTestIssuer({ issuer: 'https://authrocket.com' });
  // LoginRocket has its key set elsewhere.
  loginRocket = createServer((req, res) => {
    if (req.url !== '/connect/jwks') return void res.writeHead(404).end();
    void fetch(provider.jwksUri).then(async (keys) =>
      res.setHeader('content-type', 'application/json').end(await keys.text()),
    );
  }).listen(0, '127.0.0.1');
  await once(loginRocket, 'listening');
  const LOGINROCKET_URL = urlOf(loginRocket);
  guide = await runGuide(DOC, PROGRAMS, { REDIS_URL: redis.url, COOKIE_SECRET, LOGINROCKET_URL });
});

afterAll(async () => {
  await guide.stop();
  loginRocket.close();
  await Promise.all([provider.close(), redis.stop()]);
});

const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const newToken = (claims: object = {}): string => tokenFor({ sid: `s${++sids}`, aud: 'shop', ...claims });
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

it('has no program that is not run', () => {
  expect(headingsNotRun(DOC, Object.values(PROGRAMS))).toEqual([]);
});

function ask(name: Name, headers: Record<string, string> = {}, path = '/me', method = 'GET'): Promise<Response> {
  return fetch(`${guide.urls[name]}${path}`, { method, headers, redirect: 'manual' });
}

async function seen(response: Response): Promise<[status: number, body: unknown]> {
  const text = await response.text();
  return [response.status, text.startsWith('{') ? JSON.parse(text) : text];
}

const statusOf = async (...request: Parameters<typeof ask>): Promise<number> => (await seen(await ask(...request)))[0];

describe.each(['express-jwt', 'express-oauth2-jwt-bearer', 'passport-jwt'] as const)('beside %s', (name) => {
  const warnings = (): number => guide.output().split('Would be refused: session_revoked').length;

  it('the old package decides, and the new one says whom it would refuse', async () => {
    const token = newToken();
    const before = guide.output();
    expect(await seen(await ask(name, bearer(token)))).toEqual([200, { id: 'ada' }]);
    expect(await statusOf(name)).toBe(401);
    expect(guide.output().slice(before.length)).not.toContain('session_');

    const warned = warnings();
    expect(await statusOf('after', bearer(token), '/account/sessions/current', 'DELETE')).toBe(204);
    await eventually('it says so', async () => {
      expect(await statusOf(name, bearer(token))).toBe(200);
      return warnings() > warned;
    });
    expect(await statusOf('after', bearer(token))).toBe(401);
  });
});

it('a user whom passport does not find is refused by both', async () => {
  const stranger = newToken({ sub: 'nobody' });

  expect(await statusOf('passport-jwt', bearer(stranger))).toBe(401);
  await eventually('it says so', () => Promise.resolve(guide.output().includes('Would be refused: user_refused')));
});

it('afterwards, the handlers find what they read before', async () => {
  const token = newToken();

  expect(await seen(await ask('after', bearer(token)))).toEqual([200, { id: 'ada' }]);
  expect(await statusOf('after')).toBe(401);
  expect(await statusOf('after', bearer(token), '/logout', 'POST')).toBe(204);
  expect(await statusOf('after', bearer(token))).toBe(401);
});

describe('express-session with connect-redis', () => {
  let client: Redis;
  let old: Server;

  /** The application as it was. */
  beforeAll(async () => {
    client = new Redis(redis.url);
    const app = express();
    app.use(
      session({ store: new RedisStore({ client }), secret: COOKIE_SECRET, resave: false, saveUninitialized: false }),
    );
    app.post('/sign-in', (req, res) => {
      Object.assign(Reflect.get(req, 'session'), { userId: 'ada', cart: ['tea'] });
      res.sendStatus(204);
    });
    app.get('/me', (req, res) => void res.json({ id: Reflect.get(Reflect.get(req, 'session'), 'userId') ?? null }));
    old = app.listen(0, '127.0.0.1');
    await once(old, 'listening');
  });

  afterAll(() => {
    client.disconnect();
    old.close();
  });

  const cookieIn = (response: Response): string => response.headers.getSetCookie()[0]?.split(';', 1)[0] ?? '';
  const signedInBefore = async (): Promise<string> =>
    cookieIn(await fetch(`${urlOf(old)}/sign-in`, { method: 'POST' }));

  it('who was signed in stays so, and keeps the cart', async () => {
    const cookie = await signedInBefore();
    expect(cookie).toMatch(/^connect\.sid=/);
    const first = await ask('express-session', { cookie });
    const login = cookieIn(first);
    expect([await seen(first), login]).toEqual([
      [200, { id: 'ada', cart: ['tea'] }],
      expect.stringMatching(/^login_token=./),
    ]);

    const second = await ask('express-session', { cookie: `${cookie}; ${login}` });
    expect([await seen(second), cookieIn(second)]).toEqual([[200, { id: 'ada', cart: ['tea'] }], '']);
  });

  it('the old cookie is exchanged once, and still good for old processes until the person signs out', async () => {
    const idThere = async (): Promise<unknown> =>
      (await seen(await fetch(`${urlOf(old)}/me`, { headers: { cookie } })))[1];
    const cookie = await signedInBefore();
    const login = cookieIn(await ask('express-session', { cookie }));
    expect(await statusOf('express-session', { cookie })).toBe(401);
    expect(await idThere()).toEqual({ id: 'ada' });

    const both = { cookie: `${cookie}; ${login}` };
    const forged = await ask('express-session', { ...both, 'sec-fetch-site': 'cross-site' }, '/logout', 'POST');
    expect([forged.status, await idThere()]).toEqual([403, { id: 'ada' }]);
    expect(await statusOf('express-session', both, '/logout', 'POST')).toBe(204);

    expect(await statusOf('express-session', both)).toBe(401);
    expect(await statusOf('express-session', { cookie })).toBe(401);
    expect(await idThere()).toEqual({ id: null });
  });

  it('a form that was open gets no token', async () => {
    const cookie = await signedInBefore();
    const response = await ask('express-session', { cookie }, '/me', 'POST');

    expect([response.status, response.headers.getSetCookie()]).toEqual([404, []]);
  });
});

describe("AuthRocket's middleware", () => {
  const orgs = [{ oid: 'org_1', name: 'Acme', selected: true }];
  const issue = (): string => provider.issue({ sub: 'usr_1', sid: `kss_${++sids}`, orgs });

  it('its cookie is read, and is good for nothing after a sign-out', async () => {
    const cookie = `arToken=${issue()}`;
    expect(await seen(await ask('AuthRocket', { cookie }))).toEqual([200, { id: 'usr_1', org: 'org_1' }]);
    const out = await ask('AuthRocket', { cookie }, '/logout', 'POST');
    expect([out.status, out.headers.getSetCookie().join()]).toEqual([204, expect.stringContaining('arToken=;')]);

    expect(await statusOf('AuthRocket', { cookie })).toBe(401);
  });

  it('the token in the URL becomes our cookie', async () => {
    const handed = await ask('AuthRocket', {}, `/me?page=2&token=${issue()}`);
    const [cookie = ''] = handed.headers.getSetCookie()[0]?.split(';', 1) ?? [];

    expect([handed.status, handed.headers.get('location')]).toEqual([303, '/me?page=2']);
    expect(await statusOf('AuthRocket', { cookie })).toBe(200);
  });

  it('a browser that is not signed in is sent to LoginRocket, and back', async () => {
    const response = await ask('AuthRocket', { accept: 'text/html' });
    const back = encodeURIComponent('https://shop.example.com/me');

    expect([response.status, response.headers.get('location')]).toEqual([
      303,
      `${urlOf(loginRocket)}/login?redirect_uri=${back}`,
    ]);
  });
});

it('what an old denylist has is still refused', async () => {
  const [denied, other] = [newToken({ jti: 'j1' }), newToken({ jti: 'j2' })];
  await redis.cli('set', 'denied:j1', '1', 'EX', '3600');

  expect(await statusOf('denylist', bearer(denied))).toBe(401);
  expect(await statusOf('denylist', bearer(other))).toBe(200);
  expect(await statusOf('denylist', bearer(other), '/logout', 'POST')).toBe(204);
  expect(await statusOf('denylist', bearer(other))).toBe(401);
});
