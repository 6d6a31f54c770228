/** A test store that is down, or has lost its data, against a real Redis in the same state: an application must see the same. */

import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { LoginError, managedSessions, redisStore, type ManagedSessions, type SessionStore } from '../../lib/index.js';
import {
  createTestClock,
  createTestIssuer,
  createTestStore,
  type TestClock,
  type TestIssuer,
} from '../../lib/testing/index.js';
import { eventually, startRedis } from '../support/redis.js';

/** A store of either kind, and what can happen to it. */
interface Subject {
  connect(): SessionStore;
  begin(): void | Promise<void>;
  end(): void | Promise<void>;
  loseEverything(): unknown;
  stop(): void | Promise<void>;
}

async function testStore(clock: TestClock): Promise<Subject> {
  const store = createTestStore({ clock });
  return {
    connect: store.connect,
    begin: store.down,
    end: store.up,
    loseEverything: store.loseEverything,
    stop: () => undefined,
  };
}

async function killedRedis(): Promise<Subject> {
  const redis = await startRedis();
  let saved: Buffer | undefined;
  return {
    connect: () => redisStore(redis.url),
    async begin() {
      saved = await redis.save();
      await redis.kill();
    },
    end: () => (saved === undefined ? redis.restart({ keepData: false }) : redis.restore(saved)),
    async loseEverything() {
      if (saved === undefined) await redis.cli('FLUSHALL');
      saved = undefined;
    },
    stop: () => redis.stop(),
  };
}

async function pausedRedis(): Promise<Subject> {
  const redis = await startRedis();
  return {
    connect: () => redisStore(redis.url),
    begin: () => redis.pause(),
    end: () => redis.resume(),
    loseEverything: () => redis.cli('FLUSHALL'),
    stop: () => redis.stop(),
  };
}

let clock: TestClock;
let issuer: TestIssuer;
let subject: Subject;
const opened: ManagedSessions[] = [];
const servers: Server[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  await Promise.all([...opened.splice(0).map((sessions) => sessions.close()), issuer.close()]);
  await subject.stop();
});

interface Process {
  readonly sessions: ManagedSessions;
  readonly events: string[];
  /** The status, and the code of a refusal. */
  ask(token: string, path?: string, method?: string): Promise<string>;
}

async function start(revocationBound: '5s' | '10m' = '5s'): Promise<Process> {
  const options = { issuer: { issuer: 'my-app', secret: issuer.secret ?? '' }, store: subject.connect(), clock };
  const sessions = managedSessions({ ...options, activityInterval: '1h', revocationBound });
  opened.push(sessions);
  const events: string[] = [];
  for (const event of ['storeDown', 'storeUp'] as const) sessions.on(event, () => void events.push(event));
  const app = express().use('/sessions', sessions.router());
  app.get('/', sessions, (_req, res) => void res.sendStatus(200));
  app.get('/optional', sessions.optional(), (req, res) => void res.json({ code: req.loginError?.code ?? 'none' }));
  const server = app.listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  return {
    sessions,
    events,
    async ask(token, path = '/', method = 'GET') {
      const headers = { authorization: `Bearer ${token}`, accept: 'application/json' };
      const answer = await fetch(url + path, { method, headers });
      const { code = '' } = (await answer.json().catch(() => ({}))) as { code?: string };
      const wait = answer.headers.get('retry-after') === null ? '' : ' Retry-After';
      return `${String(answer.status)} ${code}${wait}`.trim();
    },
  };
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: unknown) => (error instanceof LoginError ? error.code : String(error)),
  );
const UNAVAILABLE = '503 store_unavailable Retry-After';

describe.each([
  ['createTestStore()', testStore],
  ['a Redis that is killed', killedRedis],
  ['a Redis that stands still', pausedRedis],
])('%s', (_name, make) => {
  beforeEach(async () => {
    clock = createTestClock();
    issuer = await createTestIssuer({ algorithms: ['HS256'], issuer: 'my-app', clock });
    subject = await make(clock);
  });

  test('an outage, as each kind of request sees it', async () => {
    // Over when the clock is moved, and not because the machine is busy.
    const { sessions, events, ask } = await start('10m');
    const [known, ended, unknown] = ['known', 'ended', 'unknown'].map((sid) => issuer.issue({ sub: 'ada', sid }));
    expect([await ask(known!), await ask(ended!)]).toEqual(['200', '200']);
    const { session } = await sessions.verify(ended!);
    await sessions.revoke('ada', session.handle);
    expect(await ask(ended!)).toBe('401 session_revoked');

    await subject.begin();
    expect({
      known: await ask(known!),
      ended: await ask(ended!),
      unknown: await ask(unknown!),
      optional: await ask(unknown!, '/optional'),
      list: await ask(known!, '/sessions'),
      stream: await ask(known!, '/sessions/events'),
      ending: await ask(known!, '/sessions/others', 'DELETE'),
      byTheApplication: await codeOf(sessions.revokeAll('ada', { except: session.handle })),
      everywhere: await codeOf(sessions.endEverywhere()),
      asked: await codeOf(sessions.list('ada')),
    }).toEqual({
      known: '200',
      ended: '401 session_revoked',
      unknown: UNAVAILABLE,
      optional: '200 store_unavailable',
      list: UNAVAILABLE,
      stream: UNAVAILABLE,
      ending: UNAVAILABLE,
      byTheApplication: 'store_unavailable',
      everywhere: 'store_unavailable',
      asked: 'store_unavailable',
    });
    expect(events).toEqual(['storeDown']);

    clock.advance('11m');
    expect([await ask(known!), await ask(ended!)]).toEqual([UNAVAILABLE, '401 session_revoked']);
    expect(sessions.health().store.ok).toBe(false);
    expect(sessions.health().store.lastError).toEqual(expect.any(String));

    await subject.end();
    await eventually('it is back', async () => (await ask(unknown!)) === '200');
    await eventually('the feed is back', async () => events.includes('storeUp'));
    expect([await ask(known!), await ask(ended!)]).toEqual(['200', '401 session_revoked']);
    expect(events).toEqual(['storeDown', 'storeUp']);
    expect(sessions.health()).toMatchObject({ store: { ok: true, lastError: null }, feed: { ok: true } });
  });

  test('a loss of all data, seen by the process that knew, and by one that starts afterwards', async () => {
    const { sessions, ask } = await start();
    const [live, ended] = ['live', 'ended'].map((sid) => issuer.issue({ sub: 'ada', sid }));
    expect([await ask(live!), await ask(ended!)]).toEqual(['200', '200']);
    const { session } = await sessions.verify(ended!);
    await sessions.revoke('ada', session.handle);

    await subject.loseEverything();
    expect([await ask(live!), await ask(ended!)]).toEqual(['200', '401 session_revoked']);
    const late = await start();
    await eventually('the ending is written back', async () => (await late.ask(ended!)) === '401 session_revoked');
    expect([await ask(live!), await late.ask(live!)]).toEqual(['200', '200']);
    expect((await sessions.list('ada')).sessions).toHaveLength(1);
  });
});
