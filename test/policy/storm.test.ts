/** More at once than can be done in time: a Redis that stands still makes it as much as needed. */

import express from 'express';
import request from 'supertest';
import { AT_ONCE, WAITING_LIMIT } from '../../lib/ledger/revocation-queue.js';
import { startRedis, type TestRedis } from '../support/redis.js';
import { ask, Processes, tokenOf } from './logins.js';

const UNAVAILABLE = { code: 'store_unavailable', status: 503 };
const TAKEN = AT_ONCE + WAITING_LIMIT;

let redis: TestRedis;
let at: Processes;
let downs: number;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.cli('flushall');
  // Long enough for all of this on a busy machine.
  at = new Processes(redis.url, { storeTimeout: '30s', revocationBound: '60s', maxSessionsPerUser: Infinity });
  downs = 0;
  at.here.on('storeDown', () => (downs += 1));
});
afterEach(async () => {
  redis.resume();
  await at.close();
});

interface Session {
  readonly sub: string;
  readonly handle: string;
}

/** Sessions that the store does not know: it answers for each. */
const unknown = (count: number): Session[] =>
  Array.from({ length: count }, (_, index) => ({ sub: 'nobody', handle: String(index).padStart(22, '0') }));

async function signIn(count: number): Promise<(Session & { readonly token: string })[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const sub = `user-${String(index)}`;
      const token = tokenOf(at.clock, { sub });
      const { session } = await at.here.verify(token);
      return { sub, token, handle: session.handle };
    }),
  );
}

interface Asked {
  readonly answered: number;
  readonly refused: number;
  readonly all: Promise<unknown>;
}

function revoke(people: readonly Session[]): Asked {
  const asked = { answered: 0, refused: 0 };
  const calls = people.map(async ({ sub, handle }) => {
    try {
      await at.here.revoke(sub, handle);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'session_not_found') {
        asked.answered += 1;
        return;
      }
      expect(error).toMatchObject(UNAVAILABLE);
      asked.refused += 1;
      return;
    }
    asked.answered += 1;
  });
  return Object.assign(asked, { all: Promise.all(calls) });
}

const soon = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test('a burst of 500 is acknowledged, all of it', async () => {
  const people = await signIn(500);
  const asked = revoke(people);
  await asked.all;
  expect(asked).toMatchObject({ answered: 500, refused: 0 });
  const answers = await Promise.all(people.map(({ token }) => ask(at.here, token)));
  expect(new Set(answers)).toEqual(new Set(['session_revoked']));
});

test('what is too much is refused at once and never done, and everything works afterwards', async () => {
  const people = await signIn(20);
  redis.pause();
  const asked = revoke([...unknown(TAKEN), ...people]);
  await soon();
  // Nothing was answered, and no time is over.
  expect(asked).toMatchObject({ answered: 0, refused: 20 });
  redis.resume();
  await asked.all;
  expect(asked).toMatchObject({ answered: TAKEN, refused: 20 });
  expect(downs).toBe(0);
  for (const each of at.each) {
    const answers = await Promise.all(people.map(({ token }) => ask(each, token)));
    expect(new Set(answers)).toEqual(new Set(['live']));
  }
  const again = revoke(people);
  await again.all;
  expect(again).toMatchObject({ answered: 20, refused: 0 });
});

test('requests that ask the store, revokeAll() and endEverywhere() do not wait behind them', async () => {
  redis.pause();
  const asked = revoke(unknown(TAKEN));
  const answer = ask(at.here, tokenOf(at.clock, { sub: 'somebody' }));
  const others = [answer, at.here.revokeAll('somebody-else'), at.here.endEverywhere()];
  redis.resume();
  await Promise.all(others);
  // The cutoff may come before it.
  expect(['live', 'session_revoked']).toContain(await answer);
  expect(asked.answered).toBeLessThan(TAKEN);
  await asked.all;
  expect(asked).toMatchObject({ answered: TAKEN, refused: 0 });
});

test('thousands of sessions that are first seen at once are all answered, and an ending goes before them', async () => {
  const count = 3000;
  let answered = 0;
  redis.pause();
  const first = Array.from({ length: count }, async (_, index) => {
    const login = await at.here.verify(tokenOf(at.clock, { sub: `new-${String(index)}` }));
    answered += 1;
    return login;
  });
  const ended = at.here.revokeAll('somebody');
  redis.resume();
  await ended;
  expect(answered).toBeLessThan(count / 2);
  expect(await Promise.all(first)).toHaveLength(count);
  expect(downs).toBe(0);
});

test('a route is answered 503 before the store is asked who calls', async () => {
  const [caller] = await signIn(1);
  const app = express().use('/sessions', at.here.router());
  const authorization = `Bearer ${String(caller?.token)}`;
  redis.pause();
  const asked = revoke(unknown(TAKEN));
  for (const response of [
    await request(app).delete('/sessions/current').set({ authorization }),
    await request(app).post('/sessions/current/end').set({ authorization }),
  ]) {
    expect(response.status).toBe(503);
    expect(response.headers['retry-after']).toBe('1');
    expect(response.body).toMatchObject({ code: 'store_unavailable' });
  }
  redis.resume();
  await asked.all;
  await request(app).delete('/sessions/current').set({ authorization }).expect(204);
});
