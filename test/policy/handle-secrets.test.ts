/** The secret of handles is set and changed while sessions are live: no session is revived, and none is listed twice. */

import request from 'supertest';
import { managedSessions, redisStore, type ManagedSessions, type ManagedSessionsOptions } from '../../lib/index.js';
import { ManualClock } from '../support/issuer.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { ask, ISSUER, SECRET, tokenOf } from './logins.js';

const OLD = 'the old secret of handles';
const NEW = 'the new secret of handles';

type HandleSecret = NonNullable<ManagedSessionsOptions['handleSecret']>;

/** Processes with each of these run side by side, as in a roll-out that takes its time. */
const CONFIGURED: readonly (readonly [name: string, handleSecret: HandleSecret | undefined])[] = [
  ['none', undefined],
  ['the old one', OLD],
  ['the old one, and none', [OLD, null]],
  ['the new one, and the old one', [NEW, OLD]],
  ['the old one, and the new one', [OLD, NEW]],
  ['the new one', NEW],
];

let redis: TestRedis;
let clock: ManualClock;
let processes: ManagedSessions[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.cli('flushall');
  clock = new ManualClock(Math.floor(Date.now() / 1000) * 1000);
  processes = CONFIGURED.map(([, handleSecret]) =>
    managedSessions({
      issuer: { issuer: ISSUER, secret: SECRET },
      store: redisStore(redis.url),
      clock,
      storeTimeout: 5000,
      revocationBound: '20s',
      ...(handleSecret !== undefined && { handleSecret }),
    }),
  );
});
afterEach(() => Promise.all(processes.map((sessions) => sessions.close())));

const indexes = CONFIGURED.map(([name], index) => [name, index] as const);

test.each(indexes)('ended by a process with %s, a session is ended in all', async (_, index) => {
  const token = tokenOf(clock);
  for (const sessions of processes) expect(await ask(sessions, token)).toBe('live');
  const { session } = await processes[index]!.verify(token);
  await processes[index]!.revoke('ann', session.handle);
  const refreshed = tokenOf(clock, { iat: clock.now() / 1000 + 1 });
  for (const sessions of processes) {
    await eventually('it is ended', async () => (await ask(sessions, token)) === 'session_revoked');
    expect(await ask(sessions, refreshed)).toBe('session_revoked');
  }
});

test('a session is listed once, under the handle that it has in the process that lists it', async () => {
  const token = tokenOf(clock);
  for (const sessions of processes) {
    const { session } = await sessions.verify(token);
    const { sessions: listed } = await sessions.list('ann');
    expect(listed.map(({ handle }) => handle)).toEqual([session.handle]);
  }
});

test('a label that one process gave is read by all', async () => {
  const handles: string[] = [];
  for (const sessions of processes) handles.push((await sessions.verify(tokenOf(clock))).session.handle);
  await processes[1]!.label('ann', handles[1]!, 'my phone');
  for (const [index, sessions] of processes.entries()) {
    expect(await sessions.get('ann', handles[index]!)).toMatchObject({ label: 'my phone', handle: handles[index] });
  }
});

test('a handle that an earlier secret showed still works, and is answered with the one of today', async () => {
  const [none, old, , both] = processes as [ManagedSessions, ManagedSessions, ManagedSessions, ManagedSessions];
  const before = (await old.verify(tokenOf(clock))).session.handle;
  const today = (await both.verify(tokenOf(clock))).session.handle;
  expect(today).not.toBe(before);
  expect(await both.get('ann', before)).toMatchObject({ handle: today });
  expect(await both.label('ann', before, 'phone')).toMatchObject({ handle: today, label: 'phone' });
  // Without the list, an earlier handle names nothing.
  await expect(none.get('ann', before)).rejects.toMatchObject({ code: 'session_not_found' });

  await both.verify(tokenOf(clock, { sid: 's2' }));
  expect(await both.revokeAll('ann', { except: before })).toEqual({ ended: 1 });
  expect((await both.list('ann')).sessions.map(({ handle }) => handle)).toEqual([today]);
  await both.revoke('ann', before);
  expect((await both.list('ann')).sessions).toEqual([]);
});

test('over HTTP too: with an earlier handle, people end and rename their own session and others', async () => {
  const [, old, , both] = processes as [ManagedSessions, ManagedSessions, ManagedSessions, ManagedSessions];
  const [mine, other] = [tokenOf(clock), tokenOf(clock, { sid: 's2' })];
  const earlier = {
    mine: (await old.verify(mine)).session.handle,
    other: (await old.verify(other)).session.handle,
  };
  const router = both.router();
  const app = (req: Parameters<typeof router>[0], res: Parameters<typeof router>[1]): void => {
    router(req, res, () => res.end());
  };
  const as = (token: string) => ({ Authorization: `Bearer ${token}` });
  const today = (await both.verify(mine)).session.handle;
  const got = await request(app).get(`/${earlier.mine}`).set(as(mine)).expect(200);
  expect(got.body).toMatchObject({ handle: today, current: true });
  await request(app).delete(`/${earlier.other}`).set(as(mine)).expect(204);
  await request(app).delete(`/${earlier.other}`).set(as(mine)).expect(204);
  expect(await ask(both, other)).toBe('session_revoked');
  const deleted = await request(app).delete(`/${earlier.mine}`).set(as(mine)).expect(204);
  // Its own session, so its cookie goes with it.
  expect(deleted.headers['set-cookie']?.[0]).toMatch(/^login_token=;/);
  await request(app).get('/').set(as(mine)).expect(401);
});

test('events, cursors and introspection show handles only as the secret does', async () => {
  const sessions = processes[5]!;
  const told: string[] = [];
  for (const event of ['sessionStarted', 'sessionMoved', 'sessionEnded'] as const) {
    sessions.on(event, ({ handle }) => told.push(handle));
  }
  const user = (ip: string) => ({ ip, userAgent: 'Mozilla/5.0' });
  const { session } = await sessions.verify(tokenOf(clock), user('192.0.2.1'));
  clock.at += 120_000;
  await sessions.verify(tokenOf(clock), user('192.0.2.2'));
  await eventually('it moved', () => Promise.resolve(told.length === 2));
  const inside = (await processes[0]!.verify(tokenOf(clock))).session.handle;
  await sessions.verify(tokenOf(clock, { sid: 's2' }));
  const { sessions: first, next } = await sessions.list('ann', { limit: 1 });
  const cursor: unknown = JSON.parse(Buffer.from(next!, 'base64url').toString());
  expect(cursor).toEqual([clock.now(), first[0]?.handle]);
  expect((await sessions.list('ann', { limit: 1, cursor: next })).sessions).toHaveLength(1);
  const introspection = sessions.introspection({ authorize: () => true });
  const answer = await request((req: Parameters<typeof introspection>[0], res: Parameters<typeof introspection>[1]) => {
    introspection(req, res, () => res.end());
  })
    .post('/')
    .type('form')
    .send({ token: tokenOf(clock) });
  expect(answer.body).toMatchObject({ active: true, session: { handle: session.handle } });
  await sessions.revoke('ann', session.handle);
  await eventually('it is told', () => Promise.resolve(told.length === 4));
  expect(told.filter((handle) => handle === session.handle)).toHaveLength(3);
  expect([...told, JSON.stringify((await sessions.list('ann')).sessions)].join()).not.toContain(inside);
});
