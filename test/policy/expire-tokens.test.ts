/** A role is taken away: tokens of before are refused everywhere, and nobody is signed out. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import request from 'supertest';
import type { Express } from 'express';
import express from 'express';
import type { LoginError, ManagedSessions, SessionEnded, StoreCall, TokenRefused } from '../../lib/index.js';
import { ManualClock } from '../support/issuer.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { alone, ask, Processes, tokenOf, untilLive } from './logins.js';

const SECOND = 1000;
const WORDS = { reason: 'role_removed', by: 'admin-7' };

describe('in one process', () => {
  let clock: ManualClock;
  let sessions: ManagedSessions;
  let app: Express;
  let old: string;

  beforeEach(async () => {
    clock = new ManualClock();
    sessions = alone(clock, { cookie: { name: 'login' } });
    app = express();
    app.use('/account/sessions', sessions.router());
    app.post('/logout', sessions.logout());
    app.post('/in', (req, res, next) => {
      sessions.setCookie(req, res, String(req.get('x-token'))).then(() => res.sendStatus(204), next);
    });
    app.get('/open', sessions.optional(), (req, res) => {
      res.json({ user: req.user?.id ?? null, code: req.loginError?.code ?? null });
    });
    app.get('/scoped', sessions.required({ fresh: true }), (_req, res) => void res.sendStatus(200));
    app.get('/', sessions, (_req, res) => void res.sendStatus(200));
    app.use(((error: LoginError, _req, res, _next) => {
      res.status(error.status).json({ code: error.code });
    }) as express.ErrorRequestHandler);
    old = tokenOf(clock);
    await sessions.verify(old, { ip: '203.0.113.7', userAgent: 'Mozilla/5.0' });
  });
  afterEach(() => sessions.close());

  const bearer = (path: string, token: string, method: 'get' | 'post' | 'delete' = 'get') =>
    request(app)[method](path).set('Authorization', `Bearer ${token}`);

  /** The client gets a new token of its session. */
  function refreshed(claims: Record<string, unknown> = {}): string {
    clock.advance(SECOND);
    return tokenOf(clock, claims);
  }

  test('the challenge is that of an invalid token, and operators are told why', async () => {
    const refusals: TokenRefused[] = [];
    sessions.on('tokenRefused', (event) => refusals.push(event));
    await sessions.expireTokens('ann', WORDS);
    const answer = await bearer('/', old);
    expect([answer.status, (answer.body as { code: string }).code]).toEqual([401, 'token_stale']);
    expect(answer.headers['www-authenticate']).toContain('error="invalid_token"');
    expect(JSON.stringify([answer.headers, answer.body])).not.toMatch(/role_removed|admin-7/);
    const at = new Date(clock.now()).toISOString();
    expect(refusals).toMatchObject([
      {
        code: 'token_stale',
        error: { reason: 'role_removed' },
        diagnosis: { claim: 'iat', got: at, expected: expect.stringContaining(`${at}, when`) as string },
      },
    ]);
    expect(refusals[0]?.diagnosis?.expected).toContain('by admin-7: role_removed');
  });

  test('nobody is signed out: signal, label and record stay, and the next token of the session passes', async () => {
    const ended: SessionEnded[] = [];
    sessions.on('sessionEnded', (event) => ended.push(event));
    const { session } = await sessions.verify(old);
    await sessions.label('ann', session.handle, 'Mum');
    const before = await sessions.list('ann');
    await sessions.expireTokens('ann');
    expect((await bearer('/', old)).status).toBe(401);
    clock.advance(60 * SECOND);
    for (const path of ['/', '/scoped', '/account/sessions']) expect((await bearer(path, old)).status).toBe(401);
    expect((await bearer('/open', old)).body).toEqual({ user: null, code: 'token_stale' });
    expect([session.signal.aborted, ended, await sessions.list('ann')]).toEqual([false, [], before]);
    const next = refreshed();
    for (const path of ['/', '/scoped', '/account/sessions']) expect((await bearer(path, next)).status).toBe(200);
    expect((await bearer('/open', next)).body).toEqual({ user: 'ann', code: null });
    expect((await sessions.list('ann')).sessions).toMatchObject([{ handle: session.handle, label: 'Mum' }]);
  });

  test('other users, and sessions of theirs with the same id, are not meant', async () => {
    await sessions.expireTokens('ann');
    expect(await ask(sessions, tokenOf(clock, { sub: 'ben' }))).toBe('live');
  });

  test('signing out takes a stale token: the session ends', async () => {
    await sessions.expireTokens('ann');
    expect((await bearer('/logout', old, 'post')).status).toBe(204);
    expect(await ask(sessions, refreshed())).toBe('session_revoked');
  });

  test('ending a session on the page does not', async () => {
    const { session } = await sessions.verify(old);
    await sessions.expireTokens('ann');
    expect((await bearer(`/account/sessions/${session.handle}`, old, 'delete')).status).toBe(401);
    expect((await bearer('/account/sessions/current', old, 'delete')).status).toBe(401);
    expect(await ask(sessions, refreshed())).toBe('live');
  });

  test('no cookie is set to it, and it replaces no session', async () => {
    const other = tokenOf(clock, { sid: 's2' });
    await sessions.verify(other);
    await sessions.expireTokens('ann');
    const answer = await request(app).post('/in').set('x-token', old).set('Cookie', `__Host-login=${other}`);
    expect([answer.status, answer.body, answer.headers['set-cookie']]).toEqual([
      401,
      { code: 'token_stale' },
      undefined,
    ]);
    clock.advance(SECOND);
    expect(await ask(sessions, tokenOf(clock, { sid: 's2' }))).toBe('live');
  });

  test('of two cookies of one session, the good one counts, although the stale one expires later', async () => {
    const longer = tokenOf(clock, { exp: clock.now() / SECOND + 7200 });
    await sessions.expireTokens('ann');
    const next = refreshed();
    const of = (...tokens: string[]) =>
      request(app)
        .get('/')
        .set('Cookie', tokens.map((token) => `login=${token}`).join('; '));
    expect([(await of(longer, next)).status, (await of(next, longer)).status]).toEqual([200, 200]);
    expect((await of(longer, old)).body).toMatchObject({ code: 'token_stale' });
  });

  test('introspection says that it is not active', async () => {
    app.post('/introspect', sessions.introspection({ authorize: () => true }));
    await sessions.expireTokens('ann');
    const introspect = (token: string) => request(app).post('/introspect').type('form').send({ token });
    expect((await introspect(old)).body).toEqual({ active: false });
    expect((await introspect(refreshed())).body).toMatchObject({ active: true });
  });

  test('a token without iat is stale; one that has it shows when it was issued', async () => {
    await sessions.close();
    const issuer = { issuer: 'https://id.example.com/', secret: 'a secret for tests, 32 bytes long' } as const;
    sessions = alone(clock, { issuer: { ...issuer, began: 'first-seen' }, tombstoneFor: '1h' });
    const endless = (): string => tokenOf(clock, { iat: null });
    await sessions.verify(endless());
    await sessions.expireTokens('ann');
    clock.advance(SECOND);
    expect([await ask(sessions, endless()), await ask(sessions, tokenOf(clock))]).toEqual(['token_stale', 'live']);
  });

  test('no request waits for the store: neither a stale token, nor a good one after its first', async () => {
    await sessions.expireTokens('ann');
    const next = refreshed();
    await bearer('/', next);
    const calls: StoreCall[] = [];
    const note = (message: unknown): void => void calls.push(message as StoreCall);
    subscribe('managed-sessions:store', note);
    try {
      for (let count = 0; count < 50; count += 1) {
        expect((await bearer('/', old)).status).toBe(401);
        expect((await bearer('/', next)).status).toBe(200);
      }
    } finally {
      unsubscribe('managed-sessions:store', note);
    }
    expect(calls).toEqual([]);
  });
});

describe('in two processes on one Redis', () => {
  let redis: TestRedis;
  let at: Processes;

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());
  beforeEach(async () => {
    await redis.cli('flushall');
    at = new Processes(redis.url);
  });
  afterEach(() => at.close());

  const earlier = (claims: Record<string, unknown> = {}): string =>
    tokenOf(at.clock, { iat: at.clock.now() / SECOND - 60, ...claims });
  const later = (claims: Record<string, unknown> = {}): string =>
    tokenOf(at.clock, { iat: at.clock.now() / SECOND + 2, nbf: null, ...claims });
  const isStale = (sessions: ManagedSessions, token: string): Promise<boolean> =>
    eventually('it is stale', async () => (await ask(sessions, token)) === 'token_stale');

  /** The issuer's clock may be ahead. */
  async function startTolerant(): Promise<void> {
    await at.close();
    const issuer = { issuer: 'https://id.example.com/', secret: 'a secret for tests, 32 bytes long' };
    at = new Processes(redis.url, { issuer: { ...issuer, clockTolerance: '5s' } });
  }

  test('what one declares is in force in both, and in one that starts later', async () => {
    await startTolerant();
    for (const sessions of at.each) await untilLive(sessions, earlier());
    await at.here.expireTokens('ann', WORDS);
    expect(await ask(at.here, earlier())).toBe('token_stale');
    await isStale(at.there, earlier());
    const late = new Processes(redis.url);
    try {
      await isStale(late.here, earlier({ sid: 'never seen' }));
      expect((await late.here.list('ann')).sessions).toHaveLength(1);
    } finally {
      await late.close();
    }
    for (const sessions of at.each) expect(await ask(sessions, later())).toBe('live');
    expect([at.endedHere, at.endedThere]).toEqual([[], []]);
  });

  test('FLUSHALL: it is written back, for those that start later too', async () => {
    await at.close();
    at = new Processes(redis.url, { revocationBound: '2s', storeTimeout: '1s' });
    for (const sessions of at.each) await untilLive(sessions, earlier());
    await at.here.expireTokens('ann', WORDS);
    await isStale(at.there, earlier());
    await redis.cli('flushall');
    await eventually('it is written back', async () => {
      const key = (await redis.cli('keys', 'ms:{*}:s')) as string[];
      const kept = key[0] === undefined ? null : await redis.cli('hget', key[0], 'stale');
      return String(kept).includes('role_removed');
    });
    const late = new Processes(redis.url);
    try {
      await isStale(late.there, earlier());
    } finally {
      await late.close();
    }
    expect([at.endedHere, at.endedThere]).toEqual([[], []]);
  });

  test('a Redis that is away: it rejects, and can be repeated', async () => {
    await at.close();
    at = new Processes(redis.url, { storeTimeout: 500, revocationBound: '20s', whenStoreDown: 'allow' });
    for (const sessions of at.each) await untilLive(sessions, earlier());
    redis.pause();
    await expect(at.here.expireTokens('ann', WORDS)).rejects.toMatchObject({ code: 'store_unavailable' });
    redis.resume();
    await eventually('it is acknowledged', () =>
      at.here.expireTokens('ann', WORDS).then(
        () => true,
        () => false,
      ),
    );
    for (const sessions of at.each) await isStale(sessions, earlier());
  });
});
