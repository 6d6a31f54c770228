/** The recipe of docs/counting.md, as it stands there, in two processes' worth of applications on one real Redis. */

import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import express, { type RequestHandler } from 'express';
import { Redis } from 'ioredis';
import { ModuleKind } from 'typescript';
import { managedSessions, redisStore, type ManagedSessions } from '../../lib/index.js';
import { blockOf, ISSUER, javaScriptOf, makeGuideApp, SECRET, tokenFor } from '../support/guide.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';

interface People {
  readonly count: RequestHandler;
  sessionsNow(): Promise<number>;
  peopleInLast(minutes: number): Promise<number>;
  peopleOn(days: readonly string[]): Promise<number>;
}

interface Recipe {
  countPeople(sessions: ManagedSessions, redis: Redis, idleTimeout?: number): People;
}

/** One process of a site. */
interface App {
  readonly sessions: ManagedSessions;
  readonly people: People;
  readonly redis: Redis;
  readonly server: Server;
  statusFor(token: string): Promise<number>;
}

const MINUTE = 60_000;

let redis: TestRedis;
let counted: TestRedis;
let home: string;
let recipe: Recipe;
let apps: readonly App[];
let shift = 0;

beforeAll(async () => {
  [redis, counted] = await Promise.all([startRedis(), startRedis()]);
  home = await makeGuideApp();
  const file = join(home, 'app/counting.cjs');
  await writeFile(file, javaScriptOf(blockOf('docs/counting.md', { heading: 'Counting' }), ModuleKind.CommonJS));
  recipe = jest.requireActual(file);
  const now = Date.now;
  jest.spyOn(Date, 'now').mockImplementation(() => now() + shift);
});

beforeEach(async () => {
  shift = 0;
  await Promise.all([redis.cli('flushall'), counted.cli('flushall')]);
  apps = await Promise.all([startApp(), startApp(20 * MINUTE)]);
});

afterEach(async () => {
  for (const { sessions, server, redis: client } of apps) {
    server.close();
    await sessions.close();
    client.disconnect();
  }
});

afterAll(async () => {
  jest.restoreAllMocks();
  await Promise.all([redis.stop(), counted.stop(), rm(home, { recursive: true })]);
});

async function startApp(idleTimeout?: number): Promise<App> {
  const issuer = { issuer: ISSUER, secret: SECRET };
  const sessions = managedSessions({ issuer, store: redisStore(redis.url), whenStoreDown: 'refuse' });
  const client = new Redis(counted.url, { maxRetriesPerRequest: 0 });
  client.on('error', () => undefined);
  const people = recipe.countPeople(sessions, client, idleTimeout);
  const app = express();
  app.get('/', sessions, people.count, (_req, res) => void res.send('in'));
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    sessions,
    people,
    redis: client,
    server,
    async statusFor(token) {
      return (await fetch(url, { headers: { authorization: `Bearer ${token}` } })).status;
    },
  };
}

/** By each process. */
const sessionsNow = (): Promise<number[]> => Promise.all(apps.map(({ people }) => people.sessionsNow()));
const become = (what: string, wanted: number): Promise<unknown> =>
  eventually(what, async () => (await sessionsNow()).every((number) => number === wanted));

test('each session and each person counts once, whichever processes see them', async () => {
  const tokens = [
    tokenFor({ sub: 'ada', sid: 'laptop' }),
    tokenFor({ sub: 'ada', sid: 'phone' }),
    tokenFor({ sub: 'grace', sid: 'laptop-2' }),
  ];
  for (const token of [...tokens, ...tokens]) {
    for (const app of apps) expect(await app.statusFor(token)).toBe(200);
  }
  await become('three are counted', 3);
  const today = new Date(Date.now()).toISOString().slice(0, 10);

  for (const { people } of apps) {
    expect([await people.peopleInLast(5), await people.peopleOn([today])]).toEqual([2, 2]);
    expect(await people.peopleOn(['2001-01-01', today])).toBe(2);
  }
});

test('an ended session is counted no more, wherever it was ended', async () => {
  const [first, second] = apps;
  const token = tokenFor({ sub: 'ada', sid: 'laptop' });
  const other = tokenFor({ sub: 'grace', sid: 'laptop-2' });
  for (const each of [token, other]) expect(await first?.statusFor(each)).toBe(200);
  expect(await second?.statusFor(token)).toBe(200);
  await become('both are counted', 2);
  await second?.sessions.revokeAll('ada');

  await become('one is left', 1);
  await eventually('the first process hears of it', async () => (await first?.statusFor(token)) === 401);
  expect(await sessionsNow()).toEqual([1, 1]);
});

test('a session that runs out is counted no more, and a person who left was here before', async () => {
  const [first, second] = apps;
  expect(await first?.statusFor(tokenFor({ sub: 'ada', sid: 'laptop' }, 3600))).toBe(200);
  // The second application ends sessions that are idle for twenty minutes.
  expect(await second?.statusFor(tokenFor({ sub: 'grace', sid: 'laptop-2' }, 3600))).toBe(200);
  await become('both are counted', 2);

  shift = 30 * MINUTE;
  expect(await sessionsNow()).toEqual([1, 1]);
  expect([await first?.people.peopleInLast(5), await first?.people.peopleInLast(45)]).toEqual([0, 2]);
  shift = 61 * MINUTE;
  expect(await sessionsNow()).toEqual([0, 0]);
});

test('requests are answered while the numbers cannot be written', async () => {
  await counted.kill();
  const [first] = apps;

  expect(await first?.statusFor(tokenFor({ sub: 'ada', sid: 'laptop' }))).toBe(200);
  await counted.restart({ keepData: false });
});
