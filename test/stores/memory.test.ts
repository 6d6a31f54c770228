import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import type { SessionPolicy } from '../../lib/core/policy.js';
import { sessionUser, type SessionUser } from '../../lib/core/session.js';
import { memoryStore } from '../../lib/stores/memory.js';
import type { Notice, SessionStore } from '../../lib/stores/store.js';
import { describeSessionStore } from '../contract.js';

describeSessionStore('memoryStore', () => Promise.resolve({ store: memoryStore() }));

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const POLICY: SessionPolicy = {
  idleTimeout: null,
  clockTolerance: 0,
  tombstoneFor: MINUTE,
  maxSessions: Infinity,
  atSessionLimit: 'end-oldest',
};

const handle = (number: number): string => String(number).padStart(22, 'h');
const user = (number: number): SessionUser => sessionUser('https://id.example.com/', String(number));

function sight(store: SessionStore, of: SessionUser, number: number, at: number): ReturnType<SessionStore['sight']> {
  const token = { beganAt: at, expiresAt: at + MINUTE, lifetime: null, sessionEndsAt: null };
  return store.sight(of, {
    handle: handle(number),
    sighting: { at, ip: null, userAgent: null },
    token,
    policy: POLICY,
  });
}

/** What is in use once all that can go has gone. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') collect();
  return process.memoryUsage().heapUsed;
}

/** A day and more ago, so that the machine's clock agrees that it is over. */
const LONG_AGO = Date.now() - 2 * DAY;
/** Of which each keeps some 500 bytes. */
const MANY = 60_000;
const BOUND = 8 * 1024 * 1024;

test.each([
  ['users who came once', (store: SessionStore, number: number, at: number) => sight(store, user(number), 1, at)],
  ['sessions of one user', (store: SessionStore, number: number, at: number) => sight(store, user(1), number, at)],
  [
    'endings of one user',
    (store: SessionStore, number: number, at: number) =>
      store.revoke(user(1), {
        handle: handle(number),
        reason: 'gone',
        by: null,
        at,
        policy: POLICY,
        token: { beganAt: at, expiresAt: at + MINUTE, lifetime: null, sessionEndsAt: null },
      }),
  ],
])('%s do not stay for ever', async (_, add) => {
  const store = memoryStore();
  const before = heapUsed();
  for (let number = 0; number < MANY; number += 1) await add(store, number, LONG_AGO + number * 100);
  expect(heapUsed() - before).toBeLessThan(BOUND);
  // The store is still in use, and so is what it holds.
  expect(await sight(store, user(1), MANY, LONG_AGO)).toMatchObject({ state: 'live' });
});

test('every listener is told, until it is closed, whoever else uses the store', async () => {
  const store = memoryStore();
  for (const revocationBound of [1000, 5000]) store.configure({ storeTimeout: 1000, revocationBound });
  const heard: [string, Notice][] = [];
  const feeds = ['one', 'other'].map((name) =>
    store.feed({
      notice: (notice) => void heard.push([name, notice]),
      globalCutoff: () => undefined,
      gap: () => undefined,
    }),
  );
  expect(feeds.map((feed) => [feed.age(), feed.lastError()])).toEqual([
    [0, null],
    [0, null],
  ]);
  await sight(store, user(1), 1, Date.now());
  const end = { reason: 'gone', by: null, at: Date.now(), policy: POLICY, except: null };
  await store.revokeAll(user(1), end);
  expect(heard.map(([name]) => name)).toEqual(['one', 'other']);
  await feeds[0]?.close();
  await store.revokeAll(user(1), end);
  expect(heard.map(([name]) => name)).toEqual(['one', 'other', 'other']);
});

describe('a warning that sessions are not shared', () => {
  const environment = process.env['NODE_ENV'];

  afterEach(() => {
    process.env['NODE_ENV'] = environment;
  });

  test.each([
    ['production', 1],
    ['development', 0],
  ])('in %s is given %d times for two stores', async (name, times) => {
    process.env['NODE_ENV'] = name;
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    await jest.isolateModulesAsync(async () => {
      const fresh = await import('../../lib/stores/memory.js');
      fresh.memoryStore();
      fresh.memoryStore();
    });
    expect(warn).toHaveBeenCalledTimes(times);
    warn.mockRestore();
  });
});

describe('a cutoff of a user with many sessions', () => {
  const COUNT = 1000;
  const AT = Date.now();
  let store: SessionStore;
  let batches: { readonly reason: string; readonly handles: string[] }[];

  beforeEach(async () => {
    store = memoryStore();
    batches = [];
    for (let number = 0; number < COUNT; number += 1) await sight(store, user(1), number, AT);
    store.feed({
      notice: (notice) => {
        if (notice.kind !== 'cutoff') return;
        batches.push({ reason: notice.cutoff.reason, handles: notice.ended.map((ended) => ended.handle) });
      },
      globalCutoff: () => undefined,
      gap: () => undefined,
    });
  });

  const cutOff = (reason: string): ReturnType<SessionStore['revokeAll']> =>
    store.revokeAll(user(1), { except: null, reason, by: null, at: AT + MINUTE / 2, policy: POLICY });
  const all = Array.from({ length: COUNT }, (_, number) => handle(number));

  test('is in force at once, and tells of a few sessions in each turn of the event loop', async () => {
    const state = { isDone: false };
    const cutting = cutOff('incident').finally(() => (state.isDone = true));
    const last = await sight(store, user(1), COUNT - 1, AT + MINUTE / 2 + 1);
    expect(last).toMatchObject({ state: 'ended', ending: { reason: 'incident' } });
    const request = { limit: 10, cursor: null, at: AT + MINUTE / 2 + 1, policy: POLICY };
    expect((await store.list(user(1), request)).sessions).toEqual([]);
    for (let turns = 0; !state.isDone; turns += 1) {
      const before = batches.length;
      await new Promise(setImmediate);
      expect(batches.length - before).toBeLessThanOrEqual(1);
      expect(turns).toBeLessThan(COUNT);
    }
    await cutting;
    for (const { handles } of batches) expect(handles.length).toBeLessThanOrEqual(COUNT / 4);
    expect(batches.flatMap(({ handles }) => handles)).toEqual(all.slice(0, -1));
  });

  test('a later one waits for it, so that each session has one ending', async () => {
    const ended = await Promise.all([cutOff('first'), cutOff('second')]);
    expect(ended).toEqual([{ ended: COUNT }, { ended: 0 }]);
    const first = batches.filter(({ reason }) => reason === 'first');
    expect(batches.slice(0, first.length)).toEqual(first);
    expect(first.flatMap(({ handles }) => handles)).toEqual(all);
  });

  test('a login meanwhile goes on', async () => {
    const cutting = cutOff('incident');
    const at = AT + MINUTE / 2 + 1;
    expect(await sight(store, user(1), COUNT, at)).toMatchObject({ state: 'live' });
    await cutting;
    expect(await sight(store, user(1), COUNT, at + 1)).toMatchObject({ state: 'live' });
  });
});
