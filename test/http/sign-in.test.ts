/** Both ways into the cookie, `setCookie()` and `handoff()`: what is written, what is ended, what is refused. */

import { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import supertest from 'supertest';
import {
  LoginError,
  managedSessions,
  memoryStore,
  type LoginErrorCode,
  type ManagedSessions,
  type ManagedSessionsOptions,
  type SessionStore,
} from '../../lib/index.js';
import type { AppRequest } from '../../lib/http/app-request.js';
import type { Handler } from '../../lib/http/respond.js';
import { describeEachFramework, type TestApp } from '../support/frameworks.js';
import { request } from './sent.js';
import { cookie, ISSUER, SECRET, showLogin, START, tokenOf } from './site.js';

let sessions: ManagedSessions;
let refused: LoginErrorCode[];
let ended: string[];

function newSessions(options: Partial<ManagedSessionsOptions> = {}): ManagedSessions {
  refused = [];
  ended = [];
  sessions = managedSessions({
    issuer: { issuer: ISSUER, audience: 'shop', secret: SECRET, clockTolerance: 0 },
    store: memoryStore(),
    clock: { now: () => START },
    ...options,
  });
  sessions.on('tokenRefused', ({ code }) => refused.push(code));
  sessions.on('sessionEnded', ({ user, reason, by }) => ended.push(`${user.id}: ${reason} by ${String(by)}`));
  return sessions;
}

afterEach(() => sessions.close());

/** A store whose revocations fail. */
function unrevocable(): SessionStore {
  return Object.assign(memoryStore(), {
    revoke: () => Promise.reject(new LoginError('store_unavailable', 'away', { retryAfter: 1 })),
  });
}

/** A sign-in route of an application, which answers with the code if it is refused. */
const signInRoute: Handler = (req: AppRequest, res, next) => {
  const { searchParams } = new URL(req.url ?? '', 'http://localhost');
  sessions.setCookie(req, res, searchParams.get('token') ?? '').then(
    () => answer(res, 303, 'signed in'),
    (error: unknown) => (error instanceof LoginError ? answer(res, error.status, error.code) : next(error)),
  );
};

function answer(res: ServerResponse, status: number, text: string): void {
  res.statusCode = status;
  res.end(text);
}

const cookiesOf = ({ headers }: { headers: Record<string, unknown> }): unknown => headers['set-cookie'];
const written = (token: string): unknown => [
  expect.stringMatching(new RegExp(`^login_token=${token}; Max-Age=3600; `)),
];
const subjectsOf = async (user: string): Promise<number> => (await sessions.list(user)).sessions.length;

const DOORS: readonly (readonly [string, () => Handler])[] = [
  ['setCookie()', () => signInRoute],
  ['handoff()', () => sessions.handoff({ state: false })],
];

describeEachFramework((_framework, makeApp) => {
  describe.each(DOORS)('%s', (_door, door) => {
    function siteOf(options?: Partial<ManagedSessionsOptions>): ReturnType<typeof supertest> {
      newSessions(options);
      const app: TestApp = makeApp();
      app.mount('/sign-in', door());
      app.mount('/required', sessions.required(), showLogin);
      app.mount('/', sessions.optional(), showLogin);
      return supertest(app.listener);
    }

    const signIn = (
      site: ReturnType<typeof supertest>,
      token: string,
      headers: Record<string, string> = {},
    ): supertest.Test => site.get(`/sign-in?token=${token}`).set(headers);

    test('ends the session whose cookie it replaces, and takes it off the list', async () => {
      const site = siteOf();
      await signIn(site, tokenOf('s1')).expect(303);
      expect(await subjectsOf('ann')).toBe(1);
      const second = await signIn(site, tokenOf('s2'), cookie(tokenOf('s1'))).expect(303);
      expect(cookiesOf(second)).toEqual(written(tokenOf('s2')));
      expect(await subjectsOf('ann')).toBe(1);
      expect(ended).toEqual(['ann: replaced by ann']);
      await expect(sessions.verify(tokenOf('s1'))).rejects.toMatchObject({ code: 'session_revoked' });
      await expect(sessions.verify(tokenOf('s2'))).resolves.toMatchObject({ user: { id: 'ann' } });
    });

    test('ends a replaced session of another user, and one that was never seen here', async () => {
      const site = siteOf();
      const other = tokenOf('s1', { sub: 'bob' });
      await signIn(site, tokenOf('s2'), cookie(other)).expect(303);
      const { body } = await site.get('/required').set(cookie(other)).expect(401);
      expect(body).toMatchObject({ code: 'session_revoked', reason: 'replaced' });
      expect(ended).toEqual(['bob: replaced by bob']);
    });

    test('a refreshed token of the same session ends nothing', async () => {
      const site = siteOf();
      const refreshed = tokenOf('s1', { exp: START / 1000 + 3600, jti: 'two' });
      await signIn(site, refreshed, cookie(tokenOf('s1'))).expect(303);
      expect(ended).toEqual([]);
      await expect(sessions.verify(tokenOf('s1'))).resolves.toBeDefined();
    });

    test.each([
      ['rubbish', () => 'rubbish'],
      ['a forged one', () => `${tokenOf('s1').slice(0, -4)}AAAA`],
      ['an expired one', () => tokenOf('s1', { iat: START / 1000 - 7200, exp: START / 1000 - 1 })],
      ['an empty one', () => ''],
    ])('a cookie that does not verify is written over: %s', async (_what, old) => {
      const site = siteOf();
      const { headers } = await signIn(site, tokenOf('s2'), cookie(old())).expect(303);
      expect(cookiesOf({ headers })).toEqual(written(tokenOf('s2')));
      expect(ended).toEqual([]);
      expect(refused).toEqual([]);
    });

    test('a token in a header is not the cookie that is replaced', async () => {
      const site = siteOf();
      await signIn(site, tokenOf('s2'), { Authorization: `Bearer ${tokenOf('s1')}` }).expect(303);
      expect(ended).toEqual([]);
    });

    test('a browser\u2019s last login does not stand in its way at the session limit', async () => {
      const site = siteOf({ maxSessionsPerUser: 1, atSessionLimit: 'refuse' });
      await signIn(site, tokenOf('s1')).expect(303);
      await signIn(site, tokenOf('s2'), cookie(tokenOf('s1'))).expect(303);
      expect(ended).toEqual(['ann: replaced by ann']);
      await signIn(site, tokenOf('s3')).expect(403);
    });

    test('nor does it push another device out', async () => {
      const site = siteOf({ maxSessionsPerUser: 2 });
      await signIn(site, tokenOf('phone')).expect(303);
      await signIn(site, tokenOf('s1')).expect(303);
      await signIn(site, tokenOf('s2'), cookie(tokenOf('s1'))).expect(303);
      expect(ended).toEqual(['ann: replaced by ann']);
      await expect(sessions.verify(tokenOf('phone'))).resolves.toBeDefined();
    });

    test('a token that is refused replaces nothing: its session was ended', async () => {
      const site = siteOf();
      const { session } = await sessions.verify(tokenOf('s2'));
      await sessions.revoke('ann', session.handle);
      const response = await signIn(site, tokenOf('s2'), cookie(tokenOf('s1')));
      expect(cookiesOf(response)).toBeUndefined();
      expect(refused).toEqual(['session_revoked']);
      await expect(sessions.verify(tokenOf('s1'))).resolves.toBeDefined();
    });

    test('a token of a user who does not exist is refused, replaces nothing and begins no session', async () => {
      const site = siteOf({ user: ({ sub }) => (sub === 'ann' ? { id: 'ann' } : null) as never });
      const response = await signIn(site, tokenOf('s2', { sub: 'bob' }), cookie(tokenOf('s1')));
      expect(cookiesOf(response)).toBeUndefined();
      expect(refused).toEqual(['user_refused']);
      expect(ended).toEqual([]);
      expect(await subjectsOf('bob')).toBe(0);
    });

    test('a replaced session that cannot be ended: 503, and nothing is written', async () => {
      const site = siteOf({ store: unrevocable() });
      const response = await signIn(site, tokenOf('s2'), cookie(tokenOf('s1'))).expect(503);
      expect(cookiesOf(response)).toBeUndefined();
      expect(response.text).toContain('store_unavailable');
      await expect(sessions.verify(tokenOf('s1'))).resolves.toBeDefined();
    });

    test.each<Pick<ManagedSessionsOptions, 'whenStoreDown'>>([
      { whenStoreDown: 'allow' },
      { whenStoreDown: { allowFor: '30s' } },
    ])('unless the application goes on without the store: %j', async (choice) => {
      const site = siteOf({ store: unrevocable(), ...choice });
      const response = await signIn(site, tokenOf('s2'), cookie(tokenOf('s1'))).expect(303);
      expect(cookiesOf(response)).toEqual(written(tokenOf('s2')));
    });

    test('a login that the session limit refuses replaces nothing', async () => {
      const site = siteOf({ maxSessionsPerUser: 1, atSessionLimit: 'refuse' });
      const other = tokenOf('b1', { sub: 'bob' });
      await signIn(site, other).expect(303);
      await signIn(site, tokenOf('s1')).expect(303);
      const response = await signIn(site, tokenOf('s2'), cookie(other)).expect(403);
      expect(cookiesOf(response)).toBeUndefined();
      expect(ended).toEqual([]);
      await expect(sessions.verify(other)).resolves.toMatchObject({ user: { id: 'bob' } });
    });

    test('nor does one whose client cannot be told', async () => {
      const client = (): never => {
        throw new Error('no client');
      };
      const site = siteOf({ client });
      await signIn(site, tokenOf('s2'), cookie(tokenOf('s1'))).expect(500);
      expect(ended).toEqual([]);
      await expect(sessions.verify(tokenOf('s1'))).resolves.toBeDefined();
    });

    test('a full house is 403', async () => {
      const site = siteOf({ maxSessionsPerUser: 1, atSessionLimit: 'refuse' });
      await signIn(site, tokenOf('s1')).expect(303);
      const response = await signIn(site, tokenOf('s2')).expect(403);
      expect(cookiesOf(response)).toBeUndefined();
      expect(response.text).toContain('session_limit');
    });
  });

  describe('setCookie() refuses', () => {
    test.each<readonly [string, () => string, number, LoginErrorCode, LoginErrorCode[]]>([
      ['nothing', () => '', 401, 'no_token', []],
      ['rubbish', () => 'rubbish', 401, 'token_malformed', ['token_malformed']],
      ['one for somebody else', () => tokenOf('s1', { aud: 'bank' }), 401, 'audience_refused', ['audience_refused']],
      [
        'one that no cookie can hold',
        () => tokenOf('s1', { big: 'x'.repeat(3000) }),
        401,
        'token_too_large',
        ['token_too_large'],
      ],
    ])('%s', async (_what, token, status, code, told) => {
      newSessions();
      const app = makeApp();
      app.mount('/sign-in', signInRoute);
      const response = await supertest(app.listener)
        .get(`/sign-in?token=${token()}`)
        .set(cookie(tokenOf('old')))
        .expect(status);
      expect(response.text).toBe(code);
      expect(cookiesOf(response)).toBeUndefined();
      expect(refused).toEqual(told);
      await expect(sessions.verify(tokenOf('old'))).resolves.toBeDefined();
    });

    test.each<readonly [string, Record<string, string>]>([
      ['ends the session of an old cookie', cookie(tokenOf('s1'))],
      ['begins the new session', {}],
    ])('a response that was sent, before it %s', async (_what, sent) => {
      newSessions();
      const app = makeApp();
      let thrown: unknown;
      app.mount('/sign-in', (req, res) => {
        res.end('too early');
        void sessions.setCookie(req, res, tokenOf('s2')).catch((error: unknown) => (thrown = error));
      });
      await supertest(app.listener).get('/sign-in').set(sent).expect(200);
      expect(thrown).toBeInstanceOf(TypeError);
      expect(thrown).toHaveProperty('message', expect.stringContaining('Await it before you answer'));
      expect(ended).toEqual([]);
      expect(await subjectsOf('ann')).toBe(0);
    });

    test.each<readonly [string, Record<string, string>]>([
      ['for the session of an old cookie', cookie(tokenOf('s1'))],
      ['for the new session', {}],
    ])('a response that is sent while the store is asked %s', async (_for, sent) => {
      newSessions();
      const app = makeApp();
      let done: Promise<unknown> = Promise.resolve();
      app.mount('/sign-in', (req, res) => {
        done = sessions.setCookie(req, res, tokenOf('s2'));
        done.catch(() => undefined);
        res.end('not awaited');
      });
      await supertest(app.listener).get('/sign-in').set(sent).expect(200);
      await expect(done).rejects.toThrow(/Await it before you answer/);
      expect(ended).toEqual([]);
    });
  });
});

test.each([[undefined], [null], [5], [{ token: 'x' }]])('setCookie() of %j rejects with LoginError', async (token) => {
  newSessions();
  const call = Reflect.apply(sessions.setCookie, sessions, [{ headers: {} }, { headersSent: false }, token]);
  await expect(call).rejects.toBeInstanceOf(LoginError);
});

test('where a function finds the token, the cookie must be named', async () => {
  newSessions({ from: () => undefined });
  const call = Reflect.apply(sessions.setCookie, sessions, [{ headers: {} }, { headersSent: false }, tokenOf('s1')]);
  await expect(call).rejects.toThrow(/^setCookie\(\) needs a cookie, and the option from names none: .* cookie\.name$/);
});

test('the address is that of the request, although the client is gone when the token has been verified', async () => {
  newSessions();
  const req = request({ address: '192.0.2.1' });
  const done = sessions.setCookie(req, new ServerResponse(req), tokenOf('s1'));
  req.socket = new Socket();
  await done;
  expect((await sessions.list('ann')).sessions).toMatchObject([{ ip: '192.0.2.1' }]);
});
