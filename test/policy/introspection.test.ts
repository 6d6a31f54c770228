/** Token introspection over HTTP: who may ask, what is told, and that asking leaves no trace. */

import { createServer } from 'node:http';
import request from 'supertest';
import type { ManagedSessions } from '../../lib/index.js';
import type { IntrospectionOptions } from '../../lib/http/introspection.js';
import { describeEachFramework } from '../support/frameworks.js';
import { ManualClock } from '../support/issuer.js';
import { eventually, startRedis } from '../support/redis.js';
import { alone, HASTY, HOUR, Processes, tokenOf, untilLive, type Options } from './logins.js';

const CALLER = 'Basic c2VydmljZTpzZWNyZXQ=';
const authorize: IntrospectionOptions['authorize'] = (req) => req.headers.authorization === CALLER;

describeEachFramework((_name, makeApp) => {
  let clock: ManualClock;
  let sessions: ManagedSessions;

  beforeEach(() => {
    clock = new ManualClock();
    sessions = alone(clock);
  });
  afterEach(() => sessions.close());

  function listener(options: IntrospectionOptions = { authorize }) {
    const app = makeApp();
    app.mount('/introspect', sessions.introspection(options));
    return app.listener;
  }

  function introspect(token: string, of = listener()) {
    return request(of).post('/introspect').set('Authorization', CALLER).type('form').send({ token });
  }

  test('a live session: its claims and its state', async () => {
    const claims = { aud: 'shop', scope: 'a b', client_id: 'c1', jti: 'j1', preferred_username: 'ann.b', secret: 'x' };
    const token = tokenOf(clock, claims);
    const { session } = await sessions.verify(token);
    const answer = await introspect(token);
    expect(answer.status).toBe(200);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.body).toEqual({
      active: true,
      token_type: 'Bearer',
      iss: 'https://id.example.com/',
      sub: 'ann',
      username: 'ann.b',
      aud: 'shop',
      client_id: 'c1',
      jti: 'j1',
      scope: 'a b',
      iat: clock.now() / 1000,
      exp: clock.now() / 1000 + 3600,
      session: {
        handle: session.handle,
        startedAt: new Date(clock.now()).toISOString(),
        expiresAt: new Date(clock.now() + HOUR).toISOString(),
      },
    });
  });

  test.each<[object, object]>([
    [{ azp: 'web' }, { client_id: 'web' }],
    [{ azp: 'web', client_id: 'cli' }, { client_id: 'cli' }],
    [{ act: { sub: 'assistant' } }, { act: { sub: 'assistant' } }],
  ])('for whom a token was issued: %j', async (claims, expected) => {
    const { body } = await introspect(tokenOf(clock, { ...claims }));
    expect(body).toMatchObject({ active: true, ...expected });
  });

  test('a token as long as maxTokenLength allows', async () => {
    const long = tokenOf(clock, { groups: ['x'.repeat(30_000)] });
    expect((await introspect(long)).status).toBe(400);
    await sessions.close();
    sessions = alone(clock, { maxTokenLength: 65_536 });
    expect((await introspect(long)).body).toMatchObject({ active: true });
  });

  test('is no sighting: nothing is put on record, and nothing on record changes', async () => {
    const started: unknown[] = [];
    sessions.on('sessionStarted', (event) => started.push(event));
    sessions.on('sessionMoved', (event) => started.push(event));
    expect((await introspect(tokenOf(clock))).body).toMatchObject({ active: true });
    expect((await sessions.list('ann')).sessions).toEqual([]);

    const { session } = await sessions.verify(tokenOf(clock), { ip: '203.0.113.7', userAgent: 'Mozilla/5.0' });
    const before = await sessions.get('ann', session.handle);
    clock.advance(5 * 60_000);
    expect((await introspect(tokenOf(clock))).body).toMatchObject({ active: true });
    await sessions.close();
    expect(await sessions.get('ann', session.handle)).toEqual(before);
    expect(started).toHaveLength(1);
  });

  test('an ended session is not active, before and after it is known here', async () => {
    const token = tokenOf(clock);
    const { session } = await sessions.verify(token);
    await sessions.revoke('ann', session.handle);
    expect((await introspect(token)).body).toEqual({ active: false });
    await sessions.revokeAll('ben');
    const older = tokenOf(clock, { sub: 'ben', iat: clock.now() / 1000 - 10 });
    expect((await introspect(older)).body).toEqual({ active: false });
  });

  test.each<[string, () => string]>([
    ['rubbish', () => 'rubbish'],
    ['an expired token', () => tokenOf(clock, { exp: clock.now() / 1000 - 1 })],
    ['another signature', () => `${tokenOf(clock).slice(0, -4)}AAAA`],
    ['another issuer', () => tokenOf(clock, { iss: 'https://other.example.com/' })],
    ['no subject', () => tokenOf(clock, { sub: null })],
    ['a logout token', () => tokenOf(clock, { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } })],
    ['8 KiB and more', () => 'a.'.repeat(5000)],
    ['a lone surrogate', () => '\ud800'],
  ])('%s: not active, and nothing of why', async (_name, token) => {
    const answer = await introspect(token());
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({ active: false });
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  test.each<[string, number, string, string]>([
    ['no field', 400, 'application/x-www-form-urlencoded', 'other=1'],
    ['an empty token', 400, 'application/x-www-form-urlencoded', 'token='],
    ['JSON', 400, 'application/json', '{"token":"x"}'],
    ['prototype members', 400, 'application/x-www-form-urlencoded', '__proto__=x&constructor=y'],
    ['too long a form', 400, 'application/x-www-form-urlencoded', `token=${'x'.repeat(40_000)}`],
    ['another field beside it', 200, 'application/x-www-form-urlencoded', 'token_type_hint=refresh_token&token=x'],
  ])('a form with %s: %d', async (_name, status, type, body) => {
    const answer = await request(listener()).post('/introspect').set('Authorization', CALLER).type(type).send(body);
    expect(answer.status).toBe(status);
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  test.each(['GET', 'PUT', 'DELETE'] as const)('%s: 405', async (method) => {
    const app = request(listener());
    const answer = await app[({ GET: 'get', PUT: 'put', DELETE: 'delete' } as const)[method]]('/introspect?token=x');
    expect(answer.status).toBe(405);
    expect(answer.headers['allow']).toBe('POST');
  });

  test.each<[string, (req: never) => unknown]>([
    ['false', () => false],
    ['a promise of false', () => Promise.resolve(false)],
    ['undefined', () => undefined],
    ['a truthy text', () => 'yes'],
  ])('a caller of whom authorize says %s: 401, and the token is not looked at', async (_name, says) => {
    const answer = await introspect(tokenOf(clock), listener({ authorize: says as () => boolean }));
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer /);
    expect(answer.body).toEqual({ error: 'invalid_client' });
  });

  test('what authorize throws goes to the application', async () => {
    function broken(): boolean {
      throw new Error('no list of services');
    }
    const answer = await introspect(tokenOf(clock), listener({ authorize: broken }));
    expect(answer.status).toBe(500);
    expect(answer.text).toContain('no list of services');
  });
});

test.each<[string, unknown]>([
  ['nothing', undefined],
  ['null', null],
  ['no authorize', {}],
  ['an authorize that is no function', { authorize: true }],
])('%s instead of options is a TypeError', async (_name, options) => {
  const sessions = alone(new ManualClock());
  expect(() => sessions.introspection(options as IntrospectionOptions)).toThrow(
    /^introspection\(\)(?: takes|: authorize must be)/,
  );
  await sessions.close();
});

describe('on Redis', () => {
  async function withProcesses(
    options: Options,
    use: (at: Processes, redis: Awaited<ReturnType<typeof startRedis>>) => Promise<void>,
  ) {
    const redis = await startRedis();
    const at = new Processes(redis.url, options);
    try {
      await use(at, redis);
    } finally {
      await at.close();
      await redis.stop();
    }
  }

  function introspect(of: ManagedSessions, token: string) {
    const handler = of.introspection({ authorize: () => true });
    return request(createServer((req, res) => handler(req, res, (error) => res.writeHead(500).end(String(error)))))
      .post('/')
      .type('form')
      .send({ token });
  }

  test('knows at once what another process ended, where it knows nothing itself', async () => {
    await withProcesses({}, async ({ clock, here, there }) => {
      const token = tokenOf(clock);
      const { session } = await here.verify(token);
      expect((await introspect(there, token)).body).toMatchObject({
        active: true,
        session: { handle: session.handle },
      });
      await here.revoke('ann', session.handle);
      expect((await introspect(there, token)).body).toEqual({ active: false });
    });
  });

  test('503 where it cannot be told, whatever whenStoreDown says', async () => {
    await withProcesses({ ...HASTY, whenStoreDown: 'allow' }, async ({ clock, here }, redis) => {
      const token = tokenOf(clock);
      await untilLive(here, tokenOf(clock, { sid: 'other' }));
      redis.pause();
      try {
        const answer = await introspect(here, token);
        expect(answer.status).toBe(503);
        expect(answer.headers['retry-after']).toBe('1');
        expect(answer.headers['cache-control']).toBe('no-store');
        expect(answer.body).toMatchObject({ code: 'store_unavailable' });
      } finally {
        redis.resume();
      }
      await eventually('it can be told again', async () => (await introspect(here, token)).body.active === true);
      const listed = await eventually('it can be listed', () => here.list('ann').catch(() => undefined));
      expect(listed.sessions).toHaveLength(1);
    });
  });
});
