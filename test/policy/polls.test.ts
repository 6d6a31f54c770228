/** `required({ activity: false })`: a request that is judged like any other, and does not count as use of its session. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import express from 'express';
import request from 'supertest';
import type { ManagedSessions, StoreCall } from '../../lib/index.js';
import { sessionIndexId } from '../../lib/core/session.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { HASTY, HOUR, ISSUER, MINUTE, Processes, tokenOf, type Options } from './logins.js';

const IDLE = 30 * MINUTE;
const FIREFOX = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0';
const SAFARI =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1';

let redis: TestRedis;
let at: Processes;
let calls: string[];

const onStoreCall = (message: unknown): void => void calls.push((message as StoreCall).operation);

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.cli('flushall');
  calls = [];
  subscribe('managed-sessions:store', onStoreCall);
});
afterEach(async () => {
  unsubscribe('managed-sessions:store', onStoreCall);
  await at.close();
});

function start(options: Options = {}): Processes {
  at = new Processes(redis.url, { idleTimeout: IDLE, ...options });
  return at;
}

type Path = '/use' | '/poll' | '/fresh' | '/both';

/** The code of the refusal, or `live`. */
async function ask(sessions: ManagedSessions, path: Path, token: string, userAgent = FIREFOX): Promise<string> {
  const app = express();
  app.get('/use', sessions.required(), (_req, res) => void res.json({}));
  app.get('/poll', sessions.required({ activity: false }), (_req, res) => void res.json({}));
  app.get('/fresh', sessions.required({ activity: false, fresh: true }), (_req, res) => void res.json({}));
  app.get('/both', sessions, sessions.required({ activity: false }), (_req, res) => void res.json({}));
  const { body } = await request(app).get(path).set('Authorization', `Bearer ${token}`).set('User-Agent', userAgent);
  return (body as { code?: string }).code ?? 'live';
}

const poll = (sessions: ManagedSessions, token: string): Promise<string> => ask(sessions, '/poll', token);
const use = (sessions: ManagedSessions, token: string): Promise<string> => ask(sessions, '/use', token);

/** What is on record of the only session. The list is behind what is sent in the background. */
async function record(): Promise<{ seen: number; client: string | null; expires: number }> {
  const [session] = (await at.here.list('ann')).sessions;
  const { lastSeenAt, client, expiresAt } = session!;
  return { seen: Date.parse(lastSeenAt), client: client.name, expires: Date.parse(expiresAt) };
}

const long = (): string => tokenOf(at.clock, { exp: at.clock.now() / 1000 + 86_400 });

test('with sessionIndex, a session that is only polled can be ended by its id alone after Redis has lost its data', async () => {
  const { clock, here, there } = start({ sessionIndex: true });
  const token = tokenOf(clock, { sid: 'polled', exp: clock.now() / 1000 + 86_400 });
  await eventually('the feed is read', async () => here.health().feed.ok);
  expect(await poll(here, token)).toBe('live');
  // Nothing has ended yet, so the feed is empty and shows no gap.
  await redis.cli('flushall');
  clock.advance(2 * MINUTE);
  await eventually('the session is entered again', async () => {
    await poll(here, token);
    return Number(await redis.cli('exists', `ms:{${sessionIndexId(ISSUER, 'polled')}}:u`)) === 1;
  });
  await there.revokeSession({ sessionId: 'polled' });
  await eventually('it is refused', async () => (await poll(here, token)) === 'session_revoked');
});

describe('a session that a use began', () => {
  test('polls in every process cost no store call, and change nothing', async () => {
    const { clock, here, there } = start();
    const told: unknown[] = [];
    for (const sessions of at.each) {
      sessions.on('sessionMoved', (event) => told.push(event));
      sessions.on('sessionStarted', ({ handle }) => told.push(handle));
    }
    const [token, startedAt] = [long(), clock.now()];
    expect(await use(here, token)).toBe('live');
    clock.advance(5 * MINUTE);
    expect(await poll(there, token)).toBe('live');

    calls = [];
    for (let minute = 6; minute < 30; minute += 2) {
      clock.at = startedAt + minute * MINUTE;
      expect(await ask(here, '/poll', token, SAFARI)).toBe('live');
      expect(await ask(there, '/poll', token, SAFARI)).toBe('live');
    }
    expect(calls).toEqual([]);
    expect(await record()).toMatchObject({ seen: startedAt, client: 'Firefox' });
    expect(told).toHaveLength(1);
  });

  test('is idle for each process after the timeout, however often it polls', async () => {
    const { clock, here, there, endedHere } = start();
    const [token, startedAt] = [long(), clock.now()];
    await use(here, token);
    for (const sessions of at.each) expect(await poll(sessions, token)).toBe('live');
    clock.at = startedAt + IDLE - 1;
    for (const sessions of at.each) expect(await poll(sessions, token)).toBe('live');
    clock.at = startedAt + IDLE;
    for (const sessions of at.each) expect(await poll(sessions, token)).toBe('session_idle');
    for (const sessions of at.each) expect(await use(sessions, token)).toBe('session_idle');
    expect(endedHere).toMatchObject([{ cause: 'idle' }]);
    expect(await here.list('ann')).toMatchObject({ sessions: [] });
    expect(await poll(there, tokenOf(clock))).toBe('session_idle');
  });

  test('goes on where another process sees a use', async () => {
    const { clock, here, there } = start();
    const [token, startedAt] = [long(), clock.now()];
    await use(here, token);
    await poll(there, token);
    clock.at = startedAt + 20 * MINUTE;
    expect(await use(here, token)).toBe('live');
    expect(await record()).toMatchObject({ seen: clock.now() });
    for (const minute of [30, 40, 49]) {
      clock.at = startedAt + minute * MINUTE;
      expect(await poll(there, token)).toBe('live');
    }
    // One question, when it seemed to be idle there.
    expect(calls.filter((call) => call === 'sight')).toHaveLength(4);
    clock.at = startedAt + 50 * MINUTE;
    expect(await poll(there, token)).toBe('session_idle');
  });

  test('a use is not held back by polls, and is written', async () => {
    const { clock, here } = start();
    const token = long();
    await use(here, token);
    for (let second = 0; second < 180; second += 30) {
      clock.advance(30_000);
      expect(await poll(here, token)).toBe('live');
    }
    expect(await use(here, token)).toBe('live');
    expect(await record()).toMatchObject({ seen: clock.now() });
  });

  test('polls with the header of a session in use take its lease, and are none', async () => {
    const { clock, here } = start();
    const [token, startedAt] = [long(), clock.now()];
    // The third request finds what the second has learned.
    for (let requests = 0; requests < 3; requests += 1) {
      await use(here, token);
      clock.advance(1000);
    }
    const usedAt = clock.now() - 1000;
    for (let second = 0; second < 50; second += 10) {
      clock.at = startedAt + second * 1000 + 5000;
      expect(await poll(here, token)).toBe('live');
    }
    await here.close();
    expect((await at.there.list('ann')).sessions[0]?.lastSeenAt).toBe(new Date(usedAt).toISOString());
  });

  test('a gate before it counts, unless it says the same', async () => {
    const { clock, here } = start();
    const token = long();
    await use(here, token);
    clock.advance(10 * MINUTE);
    expect(await ask(here, '/both', token)).toBe('live');
    expect(await record()).toMatchObject({ seen: clock.now() });
  });

  test('fresh polls ask the store, and are no use either', async () => {
    const { clock, here } = start();
    const [token, startedAt] = [long(), clock.now()];
    await use(here, token);
    clock.advance(10 * MINUTE);
    calls = [];
    expect(await ask(here, '/fresh', token, SAFARI)).toBe('live');
    expect(calls).toEqual(['sight']);
    expect(await record()).toMatchObject({ seen: startedAt, client: 'Firefox' });
    clock.at = startedAt + IDLE;
    expect(await ask(here, '/fresh', token)).toBe('session_idle');
  });

  test('its signal fires although it polls', async () => {
    const { clock, here } = start();
    const token = long();
    const { session } = await here.verify(token);
    const { signal } = session;
    clock.advance(IDLE - 1);
    expect(await poll(here, token)).toBe('live');
    expect(signal.aborted).toBe(false);
    clock.advance(1);
    await eventually('the signal fires', async () => signal.aborted);
  });
});

describe('a session that a poll began', () => {
  test('is on record, and is idle if it is never used', async () => {
    const { clock, here, there } = start();
    const started: unknown[] = [];
    here.on('sessionStarted', ({ userAgent }) => started.push(userAgent));
    const [token, startedAt] = [long(), clock.now()];
    expect(await poll(here, token)).toBe('live');
    expect(started).toEqual([FIREFOX]);
    expect(await record()).toMatchObject({ seen: startedAt, client: 'Firefox' });
    clock.advance(10 * MINUTE);
    calls = [];
    for (let requests = 0; requests < 3; requests += 1) expect(await poll(here, token)).toBe('live');
    expect(calls).toEqual([]);
    clock.at = startedAt + IDLE;
    for (const sessions of [there, here]) expect(await poll(sessions, token)).toBe('session_idle');
  });

  test('ten polls at once cost one question', async () => {
    const { here } = start();
    const token = long();
    const answers = await Promise.all(Array.from({ length: 10 }, () => poll(here, token)));
    expect(new Set(answers)).toEqual(new Set(['live']));
    expect(calls.filter((call) => call === 'sight')).toHaveLength(1);
  });

  test('is used from its first use on', async () => {
    const { clock, here } = start();
    const token = long();
    await poll(here, token);
    clock.advance(2 * MINUTE);
    await use(here, token);
    expect(await record()).toMatchObject({ seen: clock.now() });
  });
});

test('a token that was refreshed extends the session, in lists too, and does not count as use', async () => {
  const { clock, here } = start({ idleTimeout: '1d' });
  const startedAt = clock.now();
  await use(here, tokenOf(clock));
  for (let minute = 50; minute <= 200; minute += 50) {
    clock.at = startedAt + minute * MINUTE;
    const token = tokenOf(clock);
    calls = [];
    for (let requests = 0; requests < 3; requests += 1) expect(await poll(here, token)).toBe('live');
    expect(await record()).toMatchObject({ seen: startedAt, expires: clock.now() + HOUR });
    expect(calls.filter((call) => call === 'sight')).toHaveLength(1);
  }
});

test('without an idle timeout, polls are judged by what ended the session', async () => {
  at = new Processes(redis.url);
  const { clock, here, there } = at;
  const token = long();
  await use(here, token);
  await poll(there, token);
  clock.advance(20 * HOUR);
  expect(await poll(there, token)).toBe('live');
  await here.revokeAll('ann');
  expect(await poll(here, token)).toBe('session_revoked');
  await eventually('the other process knows', async () => (await poll(there, token)) === 'session_revoked');
});

test('a poll that cannot be answered does not count as use: an outage does not keep the session', async () => {
  const { clock, here } = start({ ...HASTY, revocationBound: '1s', idleTimeout: IDLE });
  const token = long();
  await eventually('it is on record', async () => (await use(here, token)) === 'live');
  const startedAt = clock.now();
  redis.pause();
  await eventually('memory is too old', async () => (await poll(here, token)) === 'store_unavailable');
  clock.at = startedAt + IDLE - MINUTE;
  expect(await poll(here, token)).toBe('store_unavailable');
  redis.resume();
  clock.at = startedAt + IDLE;
  await eventually('Redis is back', async () => (await poll(here, token)) === 'session_idle');
});

test.each(['allow', { allowFor: '1h' }] as const)(
  'during an outage under whenStoreDown: %j, polls are no use',
  async (whenStoreDown) => {
    const { clock, here } = start({ ...HASTY, revocationBound: '1s', whenStoreDown });
    const token = long();
    await eventually('it is on record', async () => (await use(here, token)) === 'live');
    const startedAt = clock.now();
    redis.pause();
    let isDown = false;
    here.on('storeDown', () => (isDown = true));
    await eventually('the store is down', async () => {
      expect(await poll(here, token)).toBe('live');
      return isDown;
    });
    clock.at = startedAt + 20 * MINUTE;
    expect(await poll(here, token)).toBe('live');
    redis.resume();
    await eventually('the store is back', async () => (await ask(here, '/fresh', token)) === 'live');
    expect(await record()).toMatchObject({ seen: startedAt });
    clock.at = startedAt + IDLE;
    await eventually('it is idle', async () => (await ask(here, '/fresh', token)) === 'session_idle');
  },
);
