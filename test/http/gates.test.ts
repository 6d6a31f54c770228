import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, ServerResponse, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import cookieParser from 'cookie-parser';
import supertest from 'supertest';
import { LoginError } from '../../lib/core/errors.js';
import { sessionUser } from '../../lib/core/session.js';
import type { AppRequest, LoginSession } from '../../lib/http/app-request.js';
import type { RequiredOptions } from '../../lib/http/gates.js';
import type { Handler } from '../../lib/http/respond.js';
import { describeEachFramework } from '../support/frameworks.js';
import { request } from './sent.js';
import { bearer, cookie, ISSUER, makeSite, showLogin, START, tokenOf, type Site, type SiteOptions } from './site.js';

const HTML = 'text/html,application/xhtml+xml,*/*;q=0.8';
const ANN = sessionUser(ISSUER, 'ann');
const storeDown = new LoginError('store_unavailable', 'redis://user:password@host is away', { retryAfter: 1 });

let site: Site;

function newSite(options?: SiteOptions): Site {
  site = makeSite(options);
  return site;
}

afterEach(() => site.close());

describeEachFramework((name, makeApp) => {
  /** A site whose every path requires a login, and shows it. */
  function guarded(options?: SiteOptions, required?: RequiredOptions): ReturnType<typeof supertest> {
    const { login } = newSite(options);
    const app = makeApp();
    app.mount('/', login.required(required), showLogin);
    return supertest(app.listener);
  }

  describe('required()', () => {
    test('attaches the user and the session', async () => {
      const token = tokenOf('s1', {
        name: 'Ann Lee',
        preferred_username: 'ann',
        email: 'ann@example.com',
        role: 'boss',
      });
      const { status, body } = await guarded().get('/').set(bearer(token));
      expect(status).toBe(200);
      expect(body.user).toMatchObject({
        id: 'ann',
        issuer: ISSUER,
        name: 'Ann Lee',
        username: 'ann',
        email: 'ann@example.com',
      });
      expect(body.user.claims).toMatchObject({ sub: 'ann', role: 'boss' });
      expect(body.session).toEqual({
        handle: expect.stringMatching(/^[\w-]{22}$/),
        startedAt: new Date(START).toISOString(),
        expiresAt: new Date(START + 3_600_000).toISOString(),
      });
    });

    test('reads the cookie', async () => {
      await guarded()
        .get('/')
        .set(cookie(tokenOf('s1')))
        .expect(200);
    });

    test('reads a cookie that cookie-parser parsed, and one that it signed', async () => {
      const { login } = newSite();
      const app = makeApp();
      app.mount('/', cookieParser('cookie-secret') as never, login.required(), showLogin);
      const agent = supertest(app.listener);
      const token = tokenOf('s1');
      const signature = createHmac('sha256', 'cookie-secret').update(token).digest('base64').replace(/=+$/, '');
      const signed = (by: string): string => `login_token=${encodeURIComponent(`s:${token}.${by}`)}`;
      await agent.get('/').set(cookie(token)).expect(200);
      await agent.get('/').set('Cookie', signed(signature)).expect(200);
      const { body } = await agent.get('/').set('Cookie', signed('forged')).expect(401);
      expect(body.code).toBe('token_malformed');
    });

    test('refuses a bad bearer token although the cookie is good', async () => {
      const { body } = await guarded()
        .get('/')
        .set({ ...bearer('a.b.c'), ...cookie(tokenOf('s1')) })
        .expect(401);
      expect(body.code).toBe('token_malformed');
    });

    test('answers 401 with a bare challenge where nothing was sent', async () => {
      const { headers, body } = await guarded().get('/').expect(401);
      expect(headers['www-authenticate']).toBe('Bearer realm="login"');
      expect(headers['cache-control']).toBe('no-store');
      expect(headers['content-type']).toBe('application/problem+json; charset=utf-8');
      expect(body).toEqual({
        type: 'urn:managed-sessions:problem:no_token',
        title: 'Login required',
        status: 401,
        detail: expect.any(String),
        code: 'no_token',
      });
      expect(site.refused).toEqual([]);
    });

    test('leaves the body out of an answer to HEAD', async () => {
      const { headers, text } = await guarded().head('/').expect(401);
      expect(text).toBeUndefined();
      expect(headers['www-authenticate']).toBe('Bearer realm="login"');
    });

    test('refuses an ended session, and says why in a word of ours alone', async () => {
      const agent = guarded();
      const token = tokenOf('s1');
      const { body } = await agent.get('/').set(bearer(token)).expect(200);
      await site.account.revoke(ANN, body.session.handle, {
        reason: 'suspected of fraud',
      });
      const refused = await agent.get('/').set(bearer(token)).expect(401);
      expect(refused.body).toMatchObject({ code: 'session_revoked' });
      expect(refused.text).not.toContain('fraud');
      expect(refused.body.reason).toBeUndefined();
      expect(refused.headers['www-authenticate']).toContain('error="invalid_token"');
      expect(site.refused).toEqual(['session_revoked']);
    });

    test('says that the session cap ended a session', async () => {
      const agent = guarded({ policy: { maxSessions: 1 } });
      await agent
        .get('/')
        .set(bearer(tokenOf('s1')))
        .expect(200);
      site.clock.time += 1000;
      await agent
        .get('/')
        .set(bearer(tokenOf('s2')))
        .expect(200);
      const { body } = await agent
        .get('/')
        .set(bearer(tokenOf('s1')))
        .expect(401);
      expect(body).toMatchObject({ code: 'session_revoked', reason: 'session_limit' });
    });

    test('requires all of the scopes', async () => {
      const agent = guarded({}, { scope: 'orders:read orders:write' });
      await agent
        .get('/')
        .set(bearer(tokenOf('s1', { scope: 'a orders:write orders:read' })))
        .expect(200);
      const { body, headers } = await agent
        .get('/')
        .set(bearer(tokenOf('s1', { scope: 'orders:read' })))
        .expect(403);
      expect(body.code).toBe('scope_missing');
      expect(headers['www-authenticate']).toMatch(/error="insufficient_scope".*scope="orders:read orders:write"/);
      await agent
        .get('/')
        .set(bearer(tokenOf('s1', { scp: ['orders:read', 'orders:write'] })))
        .expect(200);
    });

    test('takes its code from what the user hook makes of the claims', async () => {
      const agent = guarded({ parts: { user: ({ claims }) => ({ role: claims['role'] }) } });
      const { body } = await agent
        .get('/')
        .set(bearer(tokenOf('s1', { role: 'boss' })))
        .expect(200);
      expect(body.user).toEqual({ role: 'boss' });
    });

    test('hands to the application what the user hook throws', async () => {
      const agent = guarded({
        parts: {
          user: () => {
            throw new Error('no such role');
          },
        },
      });
      for (const _again of [1, 2]) {
        const { text } = await agent
          .get('/')
          .set(bearer(tokenOf('s1')))
          .expect(500);
        expect(text).toBe('application error: no such role');
      }
    });

    test('hands to the application what its token function throws', async () => {
      const from = (): string => {
        throw new Error('no source');
      };
      const { text } = await guarded({ from }).get('/').expect(500);
      expect(text).toBe('application error: no source');
    });

    test('hides what went wrong on the server, and says when to come back', async () => {
      const { body, headers, text } = await guarded({ parts: { ledger: failing(storeDown) } })
        .get('/')
        .set(bearer(tokenOf('s1')))
        .expect(503);
      expect(headers['retry-after']).toBe('1');
      expect(headers['cache-control']).toBe('no-store');
      expect(body.code).toBe('store_unavailable');
      expect(text).not.toContain('password');
      expect(site.refused).toEqual([]);
    });

    test('asks nothing of the store where no token was sent', async () => {
      await guarded({ parts: { ledger: failing(new Error('was asked')) } })
        .get('/')
        .expect(401);
    });
  });

  describe('gates behind each other', () => {
    /** Notes what verifier and ledger are asked. */
    function watched(): { readonly login: Site['login']; readonly asked: string[] } {
      const asked: string[] = [];
      const { login } = newSite({
        parts: ({ verifier, ledger }) => ({
          verifier: {
            verify: (token) => {
              asked.push('verify');
              return verifier.verify(token);
            },
            cached: (token) => verifier.cached(token),
          },
          ledger: {
            judge: (token, sighting, fresh) => {
              asked.push(fresh ? 'judge fresh' : 'judge');
              return ledger.judge(token, sighting, fresh);
            },
            revoke: (user, request) => ledger.revoke(user, request),
          },
        }),
      });
      return { login, asked };
    }

    test('verify once, judge at each gate, and still apply scope', async () => {
      const { login, asked } = watched();
      const token = tokenOf('s1', { scope: 'a' });
      const app = makeApp();
      app.mount('/', login.optional(), login.required());
      app.on('GET', '/a', login.required({ scope: 'a' }), showLogin);
      app.on('GET', '/b', login.required({ scope: 'b' }), showLogin);
      await supertest(app.listener).get('/a').set(bearer(token)).expect(200);
      expect(asked).toEqual(['verify', 'judge', 'judge', 'judge']);
      await supertest(app.listener).get('/b').set(bearer(token)).expect(403);
    });

    test('ask the store again, once, where a later one wants it fresh', async () => {
      const { login, asked } = watched();
      const app = makeApp();
      app.mount('/', login.required(), login.required({ fresh: true }), login.required({ fresh: true }), showLogin);
      await supertest(app.listener)
        .get('/')
        .set(bearer(tokenOf('s1')))
        .expect(200);
      expect(asked).toEqual(['verify', 'judge', 'judge fresh', 'judge']);
    });

    test('required() behind optional() refuses by what that one found, without asking twice', async () => {
      let asked = 0;
      const judge = async (): Promise<never> => {
        asked += 1;
        throw storeDown;
      };
      const { login } = newSite({ parts: { ledger: { judge, revoke: async () => 'ended' } } });
      const app = makeApp();
      app.mount('/', login.optional(), login.required(), showLogin);
      const { body } = await supertest(app.listener)
        .get('/')
        .set(bearer(tokenOf('s1')))
        .expect(503);
      expect([body.code, asked]).toEqual(['store_unavailable', 1]);
      await supertest(app.listener).get('/').expect(401);
    });

    test('required() behind optional() verifies a token that came in between', async () => {
      const { login } = newSite();
      const app = makeApp();
      const bringToken = (req: IncomingMessage, _res: unknown, next: () => void): void => {
        req.headers.authorization = `Bearer ${tokenOf('s1')}`;
        next();
      };
      app.mount('/', login.optional(), bringToken, login.required(), showLogin);
      const { body } = await supertest(app.listener).get('/').expect(200);
      expect(body.user.id).toBe('ann');
      expect(body.code).toBeUndefined();
    });

    test('two of different sites on one request do not take each other for themselves', async () => {
      const staff = makeSite({ from: { cookie: 'staff_token' } });
      const { login } = newSite();
      const app = makeApp();
      app.mount('/', staff.login.optional(), login.required(), showLogin);
      await supertest(app.listener)
        .get('/')
        .set('Cookie', `staff_token=${tokenOf('s1')}`)
        .expect(401);
      await supertest(app.listener)
        .get('/')
        .set(cookie(tokenOf('s1')))
        .expect(200);
      await staff.close();
    });

    test('a fresh refusal takes back what an earlier gate let in', async () => {
      const token = tokenOf('s1');
      const { login, account } = newSite({ onRefused: (_error, _req, _res, next) => next() });
      const app = makeApp();
      const end = (req: AppRequest, _res: unknown, next: () => void): void => {
        const { handle } = req.loginSession as LoginSession;
        void account.revoke(ANN, handle).then(next);
      };
      app.mount('/', login.required(), end, login.required({ fresh: true }), showLogin);
      const { body } = await supertest(app.listener).get('/').set(bearer(token)).expect(200);
      expect(body).toEqual({});
    });
  });

  describe('optional()', () => {
    function open(options?: SiteOptions): ReturnType<typeof supertest> {
      const { login } = newSite(options);
      const app = makeApp();
      app.mount('/', login.optional(), showLogin);
      return supertest(app.listener);
    }

    test('attaches the user, if there is one', async () => {
      const agent = open();
      const found = await agent
        .get('/')
        .set(bearer(tokenOf('s1')))
        .expect(200);
      expect(found.body.user.id).toBe('ann');
      expect(found.body.code).toBeUndefined();
      const anonymous = await agent.get('/').expect(200);
      expect(anonymous.body).toEqual({ code: 'no_token' });
    });

    test('says why nobody is logged in', async () => {
      const agent = open();
      const { body } = await agent.get('/').set(bearer('rubbish')).expect(200);
      expect(body).toEqual({ code: 'token_malformed' });
      expect(site.refused).toEqual(['token_malformed']);
      const down = open({ parts: { ledger: failing(storeDown) } });
      expect(
        (
          await down
            .get('/')
            .set(bearer(tokenOf('s1')))
            .expect(200)
        ).body,
      ).toEqual({ code: 'store_unavailable' });
    });

    test("leaves another middleware's user where nobody is logged in, and replaces it by a login", async () => {
      const { login } = newSite();
      const app = makeApp();
      const other = (req: AppRequest, _res: unknown, next: () => void): void => {
        req.user = { id: 'by-passport' };
        next();
      };
      app.mount('/', other, login.optional(), showLogin);
      expect((await supertest(app.listener).get('/')).body).toEqual({ user: { id: 'by-passport' }, code: 'no_token' });
      expect(
        (
          await supertest(app.listener)
            .get('/')
            .set(bearer(tokenOf('s1')))
        ).body.user.id,
      ).toBe('ann');
    });

    test('hands to the application what the user hook throws', async () => {
      const user = (): never => {
        throw new Error('no such role');
      };
      await open({ parts: { user } })
        .get('/')
        .set(bearer(tokenOf('s1')))
        .expect(500);
    });
  });

  describe('a request that another site may have made', () => {
    const crossSite = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.example' };

    test('is refused by required() if it can change something and has a cookie', async () => {
      const agent = guarded();
      const sent = { ...cookie(tokenOf('s1')), ...crossSite };
      expect((await agent.post('/').set(sent).expect(403)).body.code).toBe('cross_site');
      expect(site.refused).toEqual(['cross_site']);
      await agent.get('/').set(sent).expect(200);
      await agent
        .post('/')
        .set({ ...bearer(tokenOf('s1')), ...crossSite })
        .expect(200);
    });

    test('has no user after optional(), and is refused by a required() behind it', async () => {
      const { login } = newSite();
      const app = makeApp();
      app.mount('/', login.optional());
      app.mount('/inner', login.required());
      app.mount('/', showLogin);
      const agent = supertest(app.listener);
      const sent = { ...cookie(tokenOf('s1')), ...crossSite };
      expect((await agent.post('/').set(sent).expect(200)).body).toEqual({ code: 'cross_site' });
      await agent.post('/inner').set(sent).expect(403);
    });

    test('passes if its origin is one of origins', async () => {
      const sent = { ...cookie(tokenOf('s1')), ...crossSite };
      for (const origins of ['any', ['https://evil.example']] as const) {
        await guarded({ origins }).post('/').set(sent).expect(200);
      }
    });
  });

  describe('loginUrl and onRefused', () => {
    test('a browser on its way to a page is sent to the login', async () => {
      const agent = guarded({ loginUrl: '/login?from=shop' });
      const { headers } = await agent.get('/').set('Accept', HTML).expect(303);
      expect(headers['location']).toBe('/login?from=shop');
      expect(headers['cache-control']).toBe('no-store');
      await agent.head('/').set('Accept', HTML).expect(303);
      await agent.get('/').set('Accept', HTML).set(bearer('rubbish')).expect(303);
    });

    test('nobody else is, and nothing but a 401 is', async () => {
      const agent = guarded({ loginUrl: '/login' });
      await agent.post('/').set('Accept', HTML).expect(401);
      await agent.get('/').set('Accept', 'application/json').expect(401);
      await agent.get('/').expect(401);
      const down = guarded({ loginUrl: '/login', parts: { ledger: failing(storeDown) } });
      await down
        .get('/')
        .set('Accept', HTML)
        .set(bearer(tokenOf('s1')))
        .expect(503);
      const scoped = guarded({ loginUrl: '/login' }, { scope: 'a' });
      await scoped
        .get('/')
        .set('Accept', HTML)
        .set(bearer(tokenOf('s1')))
        .expect(403);
    });

    test('onRefused answers in place of all that', async () => {
      const agent = guarded({
        loginUrl: '/login',
        onRefused: (error, _req, res) => {
          res.statusCode = 418;
          res.end(error.code);
        },
      });
      const { text, headers } = await agent.get('/').set('Accept', HTML).expect(418);
      expect(text).toBe('no_token');
      expect(headers['cache-control']).toBe('no-store');
    });

    test.each<[string, SiteOptions['onRefused']]>([
      [
        'throws',
        () => {
          throw new Error('in the hook');
        },
      ],
      [
        'rejects',
        async () => {
          throw new Error('in the hook');
        },
      ],
      ['hands on', (_error, _req, _res, next) => next(new Error('in the hook'))],
    ])('onRefused that %s ends at the application', async (_name, onRefused) => {
      const { text } = await guarded({ ...(onRefused && { onRefused }) })
        .get('/')
        .expect(500);
      expect(text).toBe('application error: in the hook');
    });
  });

  test('a client that goes away while the store is asked harms nothing', async () => {
    let release = (): void => undefined;
    const asked = new Promise<void>((arrived) => {
      const held = new Promise<never>((_resolve, reject) => {
        release = () => reject(storeDown);
      });
      newSite({
        parts: {
          ledger: {
            judge: () => {
              arrived();
              return held;
            },
            revoke: async () => 'ended',
          },
        },
      });
    });
    const app = makeApp();
    let passed = false;
    app.mount('/', site.login.required(), () => {
      passed = true;
    });
    const server = createServer(app.listener).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.write(`GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenOf('s1')}\r\n\r\n`);
    await asked;
    const closed = once(server, 'close');
    socket.destroy();
    server.close();
    release();
    await closed;
    expect([name, passed]).toEqual([name, false]);
  });

  test('several requests of a new session are all let in', async () => {
    const { login } = newSite();
    const app = makeApp();
    app.mount('/', login.required(), showLogin);
    const server = createServer(app.listener).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        supertest(server)
          .get('/')
          .set(bearer(tokenOf('s1'))),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    server.close();
    await once(server, 'close');
  });
});

test('a known session passes without a promise, and reads nothing that the ledger does not ask for', async () => {
  const { login } = newSite({ parts: { hostOf: fails } });
  const token = tokenOf('s1');
  await login.verify(token);
  const request = { headers: { authorization: `Bearer ${token}` }, rawHeaders: [] };
  for (const gate of [login.required(), login.optional()]) {
    let passed = false;
    gate(Object.defineProperty({ ...request }, 'ip', { get: fails }) as never, {} as never, () => {
      passed = true;
    });
    expect(passed).toBe(true);
  }
});

test.each(['required', 'optional'] as const)('a request that %s() cannot write to lets nobody in', async (gate) => {
  const { login, clock } = newSite();
  const req = request({ headers: { authorization: `Bearer ${tokenOf('s1')}` } });
  const enter = async (handler: Handler): Promise<unknown> =>
    new Promise<unknown>((resolve) => handler(req, new ServerResponse(req), resolve));
  expect(await enter(login.required())).toBeUndefined();
  Object.defineProperty(req, 'user', { writable: false });
  clock.time += 3_600_000;
  expect(await enter(login[gate]())).toBeInstanceOf(TypeError);
});

test.each<[string, (res: ServerResponse) => unknown]>([
  ['somebody else has answered meanwhile', (res) => res.end('too late')],
  ['the client is gone', (res) => res.destroy()],
])('nothing is done about a refusal if %s', async (_what, finish) => {
  const done: string[] = [];
  const { login } = newSite({ onRefused: () => done.push('onRefused') });
  const req = request({ headers: { authorization: 'Bearer rubbish' } });
  const res = new ServerResponse(req);
  finish(res);
  login.required()(req, res, () => done.push('next'));
  expect(done).toEqual([]);
});

function fails(): never {
  throw new Error('was asked');
}

test.each<[unknown, RegExp]>([
  [null, /takes an object of options, got null/],
  ['orders', /takes an object of options, got a string/],
  [{ scopes: 'a' }, /no option "scopes"/],
  [{ fresh: 1 }, /fresh must be/],
  [{ scope: '' }, /scope must be/],
  [{ scope: ' ' }, /scope must be/],
  [{ scope: [] }, /scope must be/],
  [{ scope: ['a b'] }, /scope must be/],
  [{ scope: ['a', 7] }, /scope must be/],
  [{ scope: 'a"b' }, /scope must be/],
  [{ scope: 7 }, /scope must be/],
])('required(%j) throws', (options, message) => {
  expect(() => newSite().login.required(options as RequiredOptions)).toThrow(message);
});

test('a middleware that was not called is told of, and hangs no request', () => {
  const { login } = newSite();
  const required = login.required as (req: unknown) => unknown;
  expect(() => required({ headers: {}, url: '/' })).toThrow(/required\(\) has no option/);
});

function failing(error: Error): { judge: () => Promise<never>; revoke: () => Promise<never> } {
  return { judge: () => Promise.reject(error), revoke: () => Promise.reject(error) };
}
