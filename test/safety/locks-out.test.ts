/** What locks the right people out, or leaves them in: each row is a mistake or an attack, and the answer. */

import type { ServerResponse } from 'node:http';
import connect from 'connect';
import supertest from 'supertest';
import {
  LoginError,
  managedSessions,
  memoryStore,
  type LogoutOptions,
  type ManagedSessions,
  type ManagedSessionsOptions,
} from '../../lib/index.js';
import { createTestIssuer } from '../../lib/testing/index.js';
import { bearer, ISSUER, SECRET, START, tokenOf } from '../http/site.js';
import { describeEachFramework, type TestApp } from '../support/frameworks.js';

type Headers = Readonly<Record<string, string>>;

let sessions: ManagedSessions;

function newSessions(options: Partial<ManagedSessionsOptions> = {}): ManagedSessions {
  sessions = managedSessions({
    issuer: { issuer: ISSUER, audience: 'shop', secret: SECRET, clockTolerance: 0 },
    store: memoryStore(),
    clock: { now: () => START },
    ...options,
  });
  return sessions;
}

afterEach(() => sessions.close());

const isLive = (session: string): Promise<boolean> =>
  sessions.verify(tokenOf(session)).then(
    () => true,
    () => false,
  );

const EXPIRED = tokenOf('old', { iat: START / 1000 - 7200, exp: START / 1000 - 1 });
const own = { 'Sec-Fetch-Site': 'same-origin' };
const foreign = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'cors', Origin: 'https://evil.example' };
const cookies = (...values: string[]): Headers => ({
  Cookie: values.map((value) => `login_token=${value}`).join('; '),
});

describeEachFramework((_framework, makeApp) => {
  describe('logout()', () => {
    function siteOf(options?: Partial<ManagedSessionsOptions>, logoutOptions?: LogoutOptions): TestApp {
      newSessions(options);
      const app = makeApp();
      app.mount('/logout', sessions.logout(logoutOptions));
      return app;
    }

    test.each<readonly [string, Headers, Partial<ManagedSessionsOptions>, readonly string[]]>([
      ['an expired cookie before the good one', { ...own, ...cookies(EXPIRED, tokenOf('a')) }, {}, ['a']],
      ['an expired cookie behind it', { ...own, ...cookies(tokenOf('a'), EXPIRED) }, {}, ['a']],
      ['an empty one before it', { ...own, ...cookies('', tokenOf('a')) }, {}, ['a']],
      ['rubbish before it', { ...own, ...cookies('rubbish', tokenOf('a')) }, {}, ['a']],
      ['cookies of two sessions', { ...own, ...cookies(tokenOf('a'), tokenOf('b')) }, {}, ['a', 'b']],
      ['the same cookie twice', { ...own, ...cookies(tokenOf('a'), tokenOf('a')) }, {}, ['a']],
      [
        'the __Host- cookie, and a plain one',
        { ...own, Cookie: `__Host-login_token=${tokenOf('a')}; login_token=${tokenOf('b')}` },
        {},
        ['a', 'b'],
      ],
      [
        'the __Host- cookie from before there was a domain',
        { ...own, Cookie: `__Host-login_token=${tokenOf('a')}; login_token=${tokenOf('b')}` },
        { cookie: { domain: 'example.com' } },
        ['a', 'b'],
      ],
      [
        'the __Host- cookie from before secure: false',
        { ...own, Cookie: `__Host-login_token=${tokenOf('a')}` },
        { cookie: { secure: false } },
        ['a'],
      ],
      ['a header and a cookie', { ...own, ...bearer(tokenOf('a')), ...cookies(tokenOf('b')) }, {}, ['a', 'b']],
      ['a bad header before a good cookie', { ...own, ...bearer('rubbish'), ...cookies(tokenOf('b')) }, {}, ['b']],
      [
        'an empty header before a good cookie',
        { ...own, Authorization: 'Bearer', ...cookies(tokenOf('b')) },
        {},
        ['b'],
      ],
      [
        'a header of another name, a scheme of another name and two cookies',
        {
          ...own,
          'X-Auth-Token': tokenOf('a'),
          Authorization: `JWT ${tokenOf('b')}`,
          Cookie: `one=${tokenOf('c')}; two=${tokenOf('d')}`,
        },
        {
          from: [
            { header: 'x-auth-token' },
            { header: 'authorization', scheme: 'JWT' },
            { cookie: 'one' },
            { cookie: 'two' },
          ],
        },
        ['a', 'b', 'c', 'd'],
      ],
      [
        'what a function finds, beside a header',
        { ...own, 'X-Mine': tokenOf('a'), ...bearer(tokenOf('b')) },
        { from: ['bearer', (req) => req.headers['x-mine']?.toString()] },
        ['a', 'b'],
      ],
      ['a script of another origin that has a token', { ...foreign, ...bearer(tokenOf('a')) }, {}, ['a']],
    ])('ends every session of %s', async (_what, headers, options, ended) => {
      const app = siteOf(options);
      for (const session of [...ended, 'bystander']) expect(await isLive(session)).toBe(true);
      await supertest(app.listener).post('/logout').set(headers).expect(204);
      for (const session of ended) expect([session, await isLive(session)]).toEqual([session, false]);
      expect(await isLive('bystander')).toBe(true);
    });

    test.each<readonly [string, Headers]>([
      ['no token, and an origin that is not told', { Origin: 'null' }],
      ['no token, from another site with an origin that is not told', { ...foreign, Origin: 'null' }],
      ['no token, from another site', foreign],
      ['no token, from the same site', { ...foreign, 'Sec-Fetch-Site': 'same-site' }],
      [
        'no token, by a form',
        { ...foreign, 'Sec-Fetch-Mode': 'navigate', 'Content-Type': 'application/x-www-form-urlencoded' },
      ],
      ['a cookie', { ...foreign, ...cookies(tokenOf('a')) }],
      ['rubbish in the header', { Origin: 'null', ...cookies(tokenOf('a')) }],
      ['a header that a gateway added', { ...foreign, 'Sec-Fetch-Mode': 'navigate', ...bearer(tokenOf('a')) }],
    ])('refuses another site, and clears nothing: %s', async (_what, headers) => {
      const app = siteOf({}, { clearSiteData: ['*'] });
      const { body, headers: answered } = await supertest(app.listener).post('/logout').set(headers).expect(403);
      expect(body.code).toBe('cross_site');
      expect(answered).not.toHaveProperty('set-cookie');
      expect(answered).not.toHaveProperty('clear-site-data');
      expect(await isLive('a')).toBe(true);
    });

    test('a script of another origin ends the session of its own token, and never that of the cookie beside it', async () => {
      const app = siteOf();
      const sent = { ...foreign, ...bearer(tokenOf('theirs')), ...cookies(tokenOf('a')) };
      const { headers } = await supertest(app.listener).post('/logout').set(sent).expect(204);
      expect(headers).not.toHaveProperty('set-cookie');
      expect([await isLive('theirs'), await isLive('a')]).toEqual([false, true]);
    });

    test('one token that cannot be checked: the others end, and nobody is told that this was all', async () => {
      const unreachable = 'https://unreachable.example.com/';
      const issuers = [
        { issuer: ISSUER, audience: 'shop', secret: SECRET },
        { issuer: unreachable, jwksUri: 'http://127.0.0.1:1/jwks.json' },
      ];
      const header = Buffer.from('{"alg":"RS256","kid":"k"}').toString('base64url');
      const [, payload = ''] = tokenOf('b', { iss: unreachable }).split('.');
      const app = siteOf({ issuer: issuers });
      const { body, headers } = await supertest(app.listener)
        .post('/logout')
        .set({ ...own, ...cookies(`${header}.${payload}.AAAA`, tokenOf('a')) })
        .expect(503);
      expect(body.code).toBe('keys_unavailable');
      expect(headers).not.toHaveProperty('set-cookie');
      expect(await isLive('a')).toBe(false);
    });

    test('one session that cannot be ended: the others end, and the cookie stays', async () => {
      const store = memoryStore();
      const revoke = store.revoke.bind(store);
      let isFirst = true;
      const app = siteOf({
        store: Object.assign(store, {
          revoke: (...args: Parameters<typeof revoke>) => {
            if (!isFirst) return revoke(...args);
            isFirst = false;
            return Promise.reject(new LoginError('store_unavailable', 'away', { retryAfter: 1 }));
          },
        }),
      });
      const sent = { ...own, ...cookies(tokenOf('a'), tokenOf('b')) };
      const { headers } = await supertest(app.listener).post('/logout').set(sent).expect(503);
      expect(headers).not.toHaveProperty('set-cookie');
      expect([await isLive('a'), await isLive('b')].filter(Boolean)).toHaveLength(1);
      await supertest(app.listener).post('/logout').set(sent).expect(204);
      expect([await isLive('a'), await isLive('b')]).toEqual([false, false]);
    });

    test.each<readonly [string, Headers, LogoutOptions, string | undefined]>([
      ['nothing by default', { 'X-Forwarded-Proto': 'https' }, {}, undefined],
      [
        'what was asked for',
        { 'X-Forwarded-Proto': 'https' },
        { clearSiteData: ['cache', 'storage'] },
        '"cache", "storage"',
      ],
      ['everything', { 'X-Forwarded-Proto': 'https' }, { clearSiteData: ['*'] }, '"*"'],
      ['nothing over http', {}, { clearSiteData: ['cache', 'storage'] }, undefined],
    ])('clears of the site\u2019s data %s', async (_what, headers, options, expected) => {
      const app = siteOf({ trustProxy: 'loopback' }, options);
      app.trustProxy('loopback');
      const { headers: answered } = await supertest(app.listener).post('/logout').set(headers).expect(204);
      expect(answered['clear-site-data']).toBe(expected);
    });
  });
});

describeEachFramework((_framework, makeApp) => {
  describe('the session that a person leaves', () => {
    test.each<readonly [string, (session: ManagedSessions) => Parameters<TestApp['mount']>[1]]>([
      ['handoff()', ({ handoff }) => handoff({ state: false })],
      [
        'setCookie()',
        ({ setCookie }) =>
          (req, res, next) => {
            setCookie(req, res, tokenOf('b')).then(() => res.end(), next);
          },
      ],
    ])('a new login by %s ends it: it is not live, nor on the list', async (_door, door) => {
      const app = makeApp();
      app.mount('/in', door(newSessions()));
      expect(await isLive('a')).toBe(true);
      await supertest(app.listener)
        .get(`/in?token=${tokenOf('b')}`)
        .set(cookies(tokenOf('a')));
      expect([await isLive('a'), await isLive('b')]).toEqual([false, true]);
      expect((await sessions.list('ann')).sessions).toHaveLength(1);
    });

    const bob = tokenOf('bobs', { sub: 'bob' });
    const cleared = expect.arrayContaining([expect.stringMatching(/^login_token=; Max-Age=0; /)]);
    test.each<readonly [string, string, Headers, unknown]>([
      ['one', '/current', cookies(tokenOf('a')), cleared],
      [
        'one that is in a header and the cookie',
        '/current',
        { ...bearer(tokenOf('a')), ...cookies(tokenOf('a')) },
        cleared,
      ],
      ['one beside rubbish in the cookie', '/current', { ...bearer(tokenOf('a')), ...cookies('rubbish') }, cleared],
      ['all', '/', { ...bearer(tokenOf('a')), ...cookies(tokenOf('b')) }, cleared],
      ['one, but the cookie has another', '/current', { ...bearer(tokenOf('a')), ...cookies(tokenOf('b')) }, []],
      ['all, but the cookie is of another user', '/', { ...bearer(tokenOf('a')), ...cookies(bob) }, []],
    ])('the routes clear no cookie whose session goes on: %s', async (_what, path, sent, expected) => {
      const app = makeApp();
      app.mount('/account/sessions', newSessions().router());
      const { headers } = await supertest(app.listener)
        .delete(`/account/sessions${path}`)
        .set({ ...own, ...sent });
      expect([headers['set-cookie'] ?? []].flat()).toEqual(expected);
      expect(await isLive('a')).toBe(false);
    });

    test('a page inside layout cannot be framed, where two clicks would end every session', async () => {
      const app = makeApp();
      app.mount('/account/sessions', newSessions().router({ layout: (html) => `<main>${html}</main>` }));
      const { headers } = await supertest(app.listener)
        .get('/account/sessions')
        .set({ Accept: 'text/html', ...cookies(tokenOf('a')) })
        .expect(200);
      expect(headers).toMatchObject({
        'content-security-policy': "frame-ancestors 'none'",
        'x-frame-options': 'DENY',
      });
    });
  });
});

test.each<readonly [unknown, string]>([
  ['cache', 'got a string'],
  [[], 'got an empty list'],
  [['cache', 'cookie'], 'got a list'],
  [['"cache"'], 'got a list'],
  [[['cache']], 'got a list'],
  [null, 'got null'],
  [true, 'got a boolean'],
])('logout({ clearSiteData: %j }) throws', (clearSiteData, got) => {
  newSessions();
  const wanted = "logout(): clearSiteData must be a list with one or more of 'cache', 'cookies', 'storage', ";
  let thrown: unknown;
  try {
    Reflect.apply(sessions.logout, sessions, [{ clearSiteData }]);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(TypeError);
  expect(String(thrown)).toContain(wanted);
  expect(String(thrown)).toContain(got);
});

describe('the scopes of a token', () => {
  test.each<readonly [string, Readonly<Record<string, unknown>>, boolean]>([
    ["scope: ['read']", { scope: ['read'] }, true],
    ["scope: ['write', 'read']", { scope: ['write', 'read'] }, true],
    ["scope: 'write read'", { scope: 'write read' }, true],
    ["scp: ['read'], without scope", { scp: ['read'] }, true],
    ["scope: '', beside scp", { scope: '', scp: ['read'] }, false],
    ['scope: [], beside scp', { scope: [], scp: ['read'] }, false],
    ['scope: null, beside scp', { scope: null, scp: ['read'] }, false],
    ["scope: ['read write']", { scope: ['write read'] }, false],
  ])('%s', async (_what, claims, isGranted) => {
    newSessions();
    const app = connect();
    app.use(sessions.required({ scope: 'read' }));
    app.use((_req: unknown, res: ServerResponse) => void res.end());
    await supertest(app)
      .get('/')
      .set(bearer(tokenOf('a', claims)))
      .expect(isGranted ? 200 : 403);
  });
});

describe('fake timers that replace Date after construction', () => {
  afterEach(() => jest.useRealTimers());

  test('have their effect on expiry', async () => {
    const issuer = await createTestIssuer();
    const own = managedSessions({ issuer: { issuer: issuer.issuer, jwksUri: issuer.jwksUri } });
    try {
      const token = issuer.issue();
      await own.verify(token);
      jest.useFakeTimers({
        now: Date.now() + 2 * 3_600_000,
        doNotFake: ['performance', 'nextTick', 'setImmediate', 'setTimeout'],
      });
      await expect(own.verify(token)).rejects.toMatchObject({ code: 'token_expired' });
      // The issuer's own clock too.
      await expect(own.verify(issuer.issue())).resolves.toMatchObject({ user: { id: 'user-1' } });
    } finally {
      jest.useRealTimers();
      await own.close();
      await issuer.close();
    }
  });
});
