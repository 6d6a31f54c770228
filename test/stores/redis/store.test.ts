/** What only the Redis store promises: keys that expire, one slot, bounded waiting, recovery, short scripts. */

import { Redis } from 'ioredis';

import type { SessionPolicy } from '../../../lib/core/policy.js';
import { HANDLE_PATTERN, sessionUser, type SessionUser, type TokenTimes } from '../../../lib/core/session.js';
import { redisStore, type RedisClient, type RedisStoreOptions } from '../../../lib/stores/redis/store.js';
import { TOMBSTONE_BATCH } from '../../../lib/stores/redis/cutoff-scripts.js';
import { PUBLISH } from '../../../lib/stores/redis/feed-scripts.js';
import { INDEX_FROM } from '../../../lib/stores/redis/session-prelude.js';
import type { ListCursor, Notice, SessionStore, SightAnswer, StoreSettings } from '../../../lib/stores/store.js';
import { eventually, freePort, isFollowing, startRedis, type TestRedis } from '../../support/redis.js';

const HOUR = 3600_000;
const MINUTE = 60_000;
const DAY = 24 * HOUR;
const YEAR = 366 * DAY;
/** Long enough ago that the machine's clock agrees that what ran out a week later may be forgotten. */
const DATE = Date.now() - 9 * DAY;
const POLICY: SessionPolicy = {
  idleTimeout: null,
  clockTolerance: 5000,
  tombstoneFor: DAY,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
};
const ORIGIN = 'abcdefghijkl';
const UNBOUNDED: SessionPolicy = { ...POLICY, maxSessions: Infinity };
const USER_AGENT =
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 xx';

let redis: TestRedis;
let now: number;
let users = 0;
const opened: SessionStore[] = [];

beforeAll(async () => {
  redis = await startRedis();
});

beforeEach(async () => {
  now = Date.now();
  await redis.cli('flushall');
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

afterAll(() => redis.stop());

function open(
  target: string | RedisClient = redis.url,
  { storeTimeout = 5000, revocationBound = 20_000, ...options }: Partial<StoreSettings> & RedisStoreOptions = {},
): SessionStore {
  const store = redisStore(target, options);
  store.configure({ storeTimeout, revocationBound });
  opened.push(store);
  return store;
}

/** A client, and the connections for commands that the store makes of it. */
function watched(): { readonly client: Redis; readonly commands: readonly Redis[] } {
  const client = new Redis(redis.url, { lazyConnect: true });
  const duplicate = client.duplicate.bind(client);
  const commands: Redis[] = [];
  client.duplicate = (overrides) => {
    const made = duplicate(overrides);
    if (overrides?.enableReadyCheck !== false) commands.push(made);
    return made;
  };
  return { client, commands };
}

function newUser(): SessionUser {
  users += 1;
  return sessionUser('https://id.example.com/', String(users));
}

const handle = (number: number): string => String(number).padStart(22, 'h');

function sight(
  store: SessionStore,
  user: SessionUser,
  number: number,
  { at = now, policy = POLICY, expiresIn = HOUR }: { at?: number; policy?: SessionPolicy; expiresIn?: number } = {},
): Promise<SightAnswer> {
  return store.sight(user, {
    handle: handle(number),
    sighting: { at, ip: '203.0.113.70', userAgent: USER_AGENT },
    token: { beganAt: at, expiresAt: at + expiresIn, lifetime: null, sessionEndsAt: null },
    policy,
  });
}

const revoke = (store: SessionStore, user: SessionUser, number: number) =>
  store.revoke(user, { handle: handle(number), reason: 'signed_out', by: null, at: now, policy: POLICY });
const revokeAll = (store: SessionStore, user: SessionUser, except: string | null = null) =>
  store.revokeAll(user, { except, reason: 'everywhere', by: null, at: now, policy: POLICY });
const get = (store: SessionStore, user: SessionUser, number: number) => store.get(user, handle(number), now, POLICY);

const unavailable = expect.objectContaining({ code: 'store_unavailable', status: 503 }) as unknown;

async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('It should have rejected');
}

/** For a store that is impatient, or was without its Redis. */
function untilServed(ask: () => Promise<unknown>): Promise<boolean> {
  return eventually('the store serves', () =>
    ask().then(
      () => true,
      () => false,
    ),
  );
}

async function keys(): Promise<string[]> {
  return (await redis.cli('keys', '*')) as string[];
}

async function timesToLive(): Promise<[key: string, ttl: number][]> {
  return Promise.all(
    (await keys()).map(async (key) => [key, Number(await redis.cli('pttl', key))] as [string, number]),
  );
}

async function fill(store: SessionStore, user: SessionUser, count: number, first = 0): Promise<void> {
  for (let from = 0; from < count; from += 500) {
    const batch = Array.from({ length: Math.min(500, count - from) }, (_, index) => first + from + index);
    await Promise.all(
      batch.map((number) => sight(store, user, number, { at: now - number, policy: UNBOUNDED, expiresIn: DAY })),
    );
  }
}

describe('options', () => {
  test.each([
    ['no target', undefined, /ioredis client, got undefined/],
    ['an empty text', '', /this string is neither/],
    ['another protocol', 'http://localhost', /this string is neither/],
    ['a number', 6379, /got a number/],
    ['an object that is no client', {}, /a Redis or Cluster of the package ioredis/],
    ['null', null, /got null/],
  ])('%s is refused', (_, target, message) => {
    expect(() => redisStore(target as string)).toThrow(TypeError);
    expect(() => redisStore(target as string)).toThrow(message);
  });

  test('a URL that cannot be read does not come back in the message', () => {
    const url = 'redis://user:hunter2@local host:99999999';
    expect(() => redisStore(url)).toThrow(TypeError);
    expect(() => redisStore(url)).not.toThrow(/hunter2/);
  });

  test.each([
    ['a brace in the prefix', { prefix: 'a{b' }, /prefix/],
    ['an empty prefix', { prefix: '' }, /prefix/],
    ['a prefix that is no text', { prefix: 5 }, /prefix/],
    ['half a replica', { minReplicas: 0.5 }, /minReplicas/],
    ['fewer replicas than none', { minReplicas: -1 }, /minReplicas/],
    ['NaN replicas', { minReplicas: NaN }, /minReplicas/],
    ['an option that does not exist', { minReplica: 1 }, /minReplica/],
  ])('%s is refused', (_, options, message) => {
    expect(() => redisStore(redis.url, options as RedisStoreOptions)).toThrow(message);
  });

  test('a prefix keeps apart', async () => {
    const user = newUser();
    const [one, other] = [open(), open(redis.url, { prefix: 'other' })];
    await sight(one, user, 1);
    expect(await get(other, user, 1)).toBeNull();
    expect(await sight(other, user, 1)).toMatchObject({ created: true });
  });
});

async function handlesOf(user: SessionUser): Promise<string[]> {
  const fields = (await redis.cli('hkeys', `ms:{${user.key}}:s`)) as string[];
  return fields.filter((field) => HANDLE_PATTERN.test(field));
}

describe('keys', () => {
  test('every key has a time to live, after every kind of operation', async () => {
    const store = open();
    const user = newUser();
    const ending = { cause: 'revoked', reason: 'known', by: null, at: now, expiresAt: null, origin: ORIGIN } as const;
    const operations: [string, () => Promise<unknown>][] = [
      ['sight', () => sight(store, user, 1)],
      ['sight at the cap', () => sight(store, user, 2, { policy: { ...POLICY, maxSessions: 1 } })],
      ['label', () => store.label(user, handle(2), 'name', now, POLICY)],
      ['list', () => store.list(user, { limit: 1, cursor: null, at: now, policy: POLICY })],
      ['revoke', () => revoke(store, user, 2)],
      ['revokeAll', () => revokeAll(store, user)],
      ['sight under a cutoff', () => sight(store, user, 3, { at: now + HOUR })],
      [
        'restore',
        () =>
          store.restore(newUser(), {
            tombstones: [{ handle: handle(4), ending, until: now + DAY }],
            cutoff: { at: now, except: null, reason: 'known', by: null, origin: ORIGIN, erasedAt: 0 },
            at: now,
            policy: POLICY,
          }),
      ],
      ['many sessions', () => fill(store, newUser(), INDEX_FROM + 1)],
    ];
    const without: string[] = [];
    for (const [name, operate] of operations) {
      await operate();
      for (const [key, ttl] of await timesToLive()) if (ttl <= 0) without.push(`${key} after ${name}`);
    }
    expect(without).toEqual([]);
    expect((await keys()).filter((key) => key.endsWith(':i'))).toHaveLength(1);
  });

  test('live no longer than what they hold is of use', async () => {
    const store = open();
    const user = newUser();
    const ttl = async () => Number(await redis.cli('pttl', `ms:{${user.key}}:s`));
    await sight(store, user, 1);
    expect(await ttl()).toBeGreaterThan(DAY + HOUR - 60_000);
    expect(await ttl()).toBeLessThanOrEqual(DAY + HOUR + 1000);
    await revoke(store, user, 1);
    expect(await ttl()).toBeGreaterThan(DAY + HOUR - 60_000);
    expect(await ttl()).toBeLessThanOrEqual(DAY + HOUR + 1000);
    await sight(store, user, 2);
    expect(await ttl()).toBeGreaterThan(DAY + HOUR - 60_000);
  });

  test.each<[string, Partial<TokenTimes>]>([
    ['its lifetime, though its token never expires', { beganAt: null, expiresAt: null, lifetime: HOUR }],
    ['its lifetime, though its token expires later', { beganAt: null, expiresAt: DATE + YEAR, lifetime: HOUR }],
    ['session_expiry', { expiresAt: DATE + YEAR, sessionEndsAt: DATE + HOUR }],
  ])('what people are shown of a session is kept for a day after the end by %s', async (_, times) => {
    const store = open();
    const user = newUser();
    now = DATE;
    const token = { beganAt: now, expiresAt: null, lifetime: null, sessionEndsAt: null };
    const sighting = { at: now, ip: '203.0.113.70', userAgent: USER_AGENT };
    for (const each of [token, { ...token, ...times }])
      await store.sight(user, { handle: handle(1), sighting, token: each, policy: POLICY });
    // Two tokens: the first never expires, so neither the session nor what it is judged by is ever forgotten.
    await store.list(user, { limit: 1, cursor: null, at: now + HOUR + DAY + 6000, policy: POLICY });
    expect(await redis.cli('hexists', `ms:{${user.key}}:r`, handle(1))).toBe(0);
    expect(await redis.cli('hexists', `ms:{${user.key}}:s`, handle(1))).toBe(1);
  });

  test('the row of a session that lapsed a day ago goes with the next refreshed token of another', async () => {
    const store = open();
    const user = newUser();
    const policy = { ...POLICY, tombstoneFor: 30 * DAY };
    await sight(store, user, 1, { at: DATE, policy });
    await sight(store, user, 2, { at: DATE, policy, expiresIn: 5 * DAY });
    const refresh = (at: number): Promise<SightAnswer> => sight(store, user, 2, { at, policy, expiresIn: 5 * DAY });
    await refresh(DATE + HOUR + DAY);
    expect(await redis.cli('hlen', `ms:{${user.key}}:r`)).toBe(2);
    await refresh(DATE + HOUR + DAY + 1);
    expect(await redis.cli('hkeys', `ms:{${user.key}}:r`)).toEqual([handle(2)]);
    expect(await handlesOf(user)).toHaveLength(2);
  });

  describe('where there is an index', () => {
    const many = { ...POLICY, tombstoneFor: 30 * DAY, maxSessions: INDEX_FROM + 4 };
    let store: SessionStore;
    let user: SessionUser;

    /** The last one was seen last, and lasts an hour. */
    beforeEach(async () => {
      store = open();
      user = newUser();
      const at = (number: number): number => DATE + (number === many.maxSessions ? HOUR : number);
      for (let number = 1; number <= many.maxSessions; number += 1) {
        const expiresIn = number === many.maxSessions ? HOUR : 8 * DAY;
        await sight(store, user, number, { at: at(number), policy: many, expiresIn });
      }
    });

    const listed = async (at: number): Promise<number> => {
      const { sessions } = await store.list(user, { limit: 200, cursor: null, at, policy: many });
      return sessions.length;
    };

    test('it lasts as long as the sessions', async () => {
      await sight(store, user, 1, { at: DATE + HOUR, policy: many, expiresIn: 90 * DAY });
      const [index, sessions] = ['i', 's'].map((part) => redis.cli('pttl', `ms:{${user.key}}:${part}`));
      expect(Number(await index)).toBeGreaterThan(90 * DAY);
      expect(Math.abs(Number(await index) - Number(await sessions))).toBeLessThan(MINUTE);
    });

    test('a session that goes on with a new token counts once', async () => {
      const at = DATE + 3 * HOUR;
      expect(await listed(at)).toBe(many.maxSessions - 1);
      const answer = await sight(store, user, many.maxSessions, { at, policy: many });
      expect(answer).toMatchObject({ state: 'live', created: false });
      expect(await listed(at)).toBe(many.maxSessions);
    });

    test('the row of a session that lapsed a day ago goes when room is made', async () => {
      const at = DATE + 2 * DAY;
      const rows = `ms:{${user.key}}:r`;
      await redis.cli('zadd', `ms:{${user.key}}:i`, '0', handle(many.maxSessions));
      expect(await redis.cli('hexists', rows, handle(many.maxSessions))).toBe(1);
      expect(await sight(store, user, 9999, { at, policy: many })).toMatchObject({ state: 'live' });
      expect(await redis.cli('hexists', rows, handle(many.maxSessions))).toBe(0);
      expect(await listed(at)).toBe(many.maxSessions);
    });
  });

  test('rows that Redis lost alone have a time to live when they are back', async () => {
    const store = open();
    const user = newUser();
    await sight(store, user, 1);
    const rows = `ms:{${user.key}}:r`;
    await redis.cli('del', rows);
    // By the same token, which does not make anything else last longer.
    await sight(store, user, 1);
    expect(Number(await redis.cli('pttl', rows))).toBeGreaterThan(DAY);
    expect(Number(await redis.cli('pttl', rows))).toBeLessThanOrEqual(DAY + HOUR);
    await redis.cli('del', rows);
    await store.label(user, handle(1), 'name', now, POLICY);
    expect(Number(await redis.cli('pttl', rows))).toBeGreaterThan(DAY);
  });

  test('the row of a session goes with the session', async () => {
    const store = open();
    const user = newUser();
    await sight(store, user, 1, { at: DATE });
    await sight(store, user, 2, { at: DATE, expiresIn: 8 * DAY });
    await store.list(user, { limit: 1, cursor: null, at: DATE + 3 * DAY, policy: POLICY });
    expect(await handlesOf(user)).toEqual([handle(2)]);
    expect(await redis.cli('hkeys', `ms:{${user.key}}:r`)).toEqual([handle(2)]);
  });

  test('all of a user lie in one slot', async () => {
    const store = open();
    const user = newUser();
    await fill(store, user, INDEX_FROM + 1);
    await revokeAll(store, user);
    const ofUser = (await keys()).filter((key) => key.includes(user.key));
    expect(ofUser.sort()).toEqual(['c', 'd', 's'].map((part) => `ms:{${user.key}}:${part}`));
    expect((await keys()).filter((key) => !key.includes(user.key)).sort()).toEqual(
      ['count', 'epoch', 'stream'].map((part) => `ms:{feed}:${part}`),
    );
  });

  test.each([
    ['an hour behind', -HOUR],
    ['an hour ahead', HOUR],
  ])('a clock that is %s forgets nothing too early', async (_, skew) => {
    const store = open();
    const user = newUser();
    now += skew;
    await sight(store, user, 1);
    await revoke(store, user, 1);
    // What the skewed caller sees last of its token, and what another of the right clock sees then.
    const last = now + HOUR + DAY - 1000;
    expect(await sight(store, user, 1, { at: last - DAY })).toMatchObject({ state: 'ended' });
    const ttl = Number(await redis.cli('pttl', `ms:{${user.key}}:s`));
    expect(Date.now() + ttl).toBeGreaterThanOrEqual(now + HOUR + DAY - 5000);
    const answer = await sight(store, user, 1, { at: now + 40 * DAY, policy: { ...POLICY, tombstoneFor: 0 } });
    expect(answer).toMatchObject({ state: 'ended' });
  });

  test('what has run out is pruned by what passes by', async () => {
    const store = open();
    const user = newUser();
    const before = now - 3 * DAY;
    for (const number of [1, 2, 3]) await sight(store, user, number, { at: before });
    expect(await handlesOf(user)).toHaveLength(3);
    await sight(store, user, 4);
    expect(await handlesOf(user)).toEqual([handle(4)]);
  });

  test('what has run out is pruned by what passes by where there is an index, too', async () => {
    const store = open();
    const user = newUser();
    const before = now - 3 * DAY;
    for (let number = 0; number < INDEX_FROM + 1; number += 1)
      await sight(store, user, number, { at: before, policy: UNBOUNDED });
    expect(await redis.cli('exists', `ms:{${user.key}}:i`)).toBe(1);
    await sight(store, user, 1000, { policy: UNBOUNDED });
    expect(await handlesOf(user)).toEqual([handle(1000)]);
    expect(await redis.cli('zrange', `ms:{${user.key}}:i`, '0', '-1')).toEqual([handle(1000)]);
    expect(await redis.cli('zrange', `ms:{${user.key}}:d`, '0', '-1')).toEqual([handle(1000)]);
  });

  test('an index is built where endings alone are many, and stays right', async () => {
    const store = open();
    const user = newUser();
    await sight(store, user, 1);
    const token = { beganAt: now, expiresAt: now + HOUR, lifetime: null, sessionEndsAt: null };
    const end = { reason: 'gone', by: null, at: now, policy: UNBOUNDED, token };
    const unseen = Array.from({ length: 1000 }, (_, index) => handle(1000 + index));
    await Promise.all(unseen.map((of) => store.revoke(user, { ...end, handle: of })));
    const index = `ms:{${user.key}}:i`;
    expect(await redis.cli('zrange', index, '0', '-1')).toEqual([handle(1)]);
    expect(Number(await redis.cli('pttl', index))).toBeGreaterThan(DAY);

    await sight(store, user, 2, { at: now + 1, policy: UNBOUNDED });
    await redis.cli('config', 'resetstat');
    const page = await store.list(user, { limit: 10, cursor: null, at: now, policy: UNBOUNDED });
    expect(page.sessions.map((session) => session.handle)).toEqual([handle(2), handle(1)]);
    expect(await redis.cli('info', 'commandstats')).not.toContain('cmdstat_hgetall');
    expect(await handlesOf(user)).toHaveLength(1002);
  });

  test('an index is built where endings are written back, too', async () => {
    const store = open();
    const user = newUser();
    const ending = { cause: 'revoked', reason: 'known', by: null, at: now, expiresAt: null, origin: ORIGIN } as const;
    const tombstones = Array.from({ length: 400 }, (_, number) => ({
      handle: handle(number),
      ending,
      until: now + DAY,
    }));
    await store.restore(user, { tombstones, cutoff: null, at: now, policy: POLICY });
    expect(await redis.cli('exists', `ms:{${user.key}}:i`)).toBe(0);
    expect(await redis.cli('zcard', `ms:{${user.key}}:d`)).toBe(400);
  });

  test('endings that ran out are pruned where nothing but endings is written', async () => {
    const store = open();
    const user = newUser();
    const before = now - 3 * DAY;
    const token = { beganAt: before, expiresAt: before + HOUR, lifetime: null, sessionEndsAt: null };
    const end = { reason: 'gone', by: null, at: before, policy: POLICY, token };
    for (let number = 0; number < INDEX_FROM + 1; number += 1)
      await store.revoke(user, { ...end, handle: handle(number) });
    expect(await handlesOf(user)).toHaveLength(INDEX_FROM + 1);
    await store.revoke(user, { ...end, at: now, token: { ...token, expiresAt: now + HOUR }, handle: handle(2000) });
    expect(await handlesOf(user)).toEqual([handle(2000)]);
  });

  test('a session takes at most 450 bytes', async () => {
    const store = open();
    const user = newUser();
    expect(USER_AGENT).toHaveLength(120);
    for (const number of [1, 2, 3]) await sight(store, user, number);
    const ofUser = (await keys()).filter((key) => key.includes(user.key));
    const bytes = await Promise.all(ofUser.map((key) => redis.cli('memory', 'usage', key, 'samples', '0')));
    expect(bytes.reduce((sum: number, each) => sum + Number(each), 0) / 3).toBeLessThanOrEqual(450);
  });
});

describe('the feed', () => {
  test('tells another process of each ending', async () => {
    const [one, other] = [open(), open()];
    const user = newUser();
    const heard: Notice[] = [];
    const feed = other.feed({
      notice: (notice) => void heard.push(notice),
      globalCutoff: () => undefined,
      gap: () => undefined,
    });
    await eventually('the feed is fresh', () => Promise.resolve(feed.age() < Infinity));
    for (const number of [1, 2, 3]) await sight(one, user, number, { at: now + number });
    await revoke(one, user, 1);
    await sight(one, user, 4, { at: now + 4, policy: { ...POLICY, maxSessions: 2 } });
    await revokeAll(one, user, handle(4));
    await eventually('all were heard', () => Promise.resolve(heard.length === 3));
    expect(heard).toMatchObject([
      { kind: 'ended', user, tombstone: { handle: handle(1), ending: { reason: 'signed_out' } } },
      { kind: 'ended', user, tombstone: { handle: handle(2), ending: { reason: 'session_limit' } } },
      { kind: 'cutoff', user, cutoff: { except: handle(4) }, ended: [{ handle: handle(3) }] },
    ]);
  });

  test('does not hold up the sighting of a session that took the place of another', async () => {
    const { client, commands } = watched();
    // Longer than this test may take.
    const store = open(client, { storeTimeout: 60_000 });
    const user = newUser();
    const told: Notice[] = [];
    store.feed({ notice: (notice) => void told.push(notice), globalCutoff: () => undefined, gap: () => undefined });
    const capped = { ...POLICY, maxSessions: 1 };
    await sight(store, user, 1, { policy: capped });

    const [connection] = commands;
    if (connection === undefined) throw new Error('There is no connection for commands');
    const call = connection.call.bind(connection) as (...command: string[]) => Promise<unknown>;
    let fail = (): void => undefined;
    const stuck = new Promise((_, reject) => {
      fail = () => {
        reject(new Error('It was lost'));
      };
    });
    const spy = jest
      .spyOn(connection as { call: (...command: string[]) => Promise<unknown> }, 'call')
      .mockImplementation((...command) => (command[1] === PUBLISH.sha ? stuck : call(...command)));
    try {
      expect(await sight(store, user, 2, { at: now + 1, policy: capped })).toMatchObject({ created: true });
      expect(spy.mock.calls.map(([, sha]) => sha)).toContain(PUBLISH.sha);
      expect(told).toMatchObject([{ kind: 'ended', tombstone: { handle: handle(1) } }]);
      fail();
      expect(await sight(store, user, 1, { at: now + 2, policy: capped })).toMatchObject({ state: 'ended' });
    } finally {
      client.disconnect();
    }
  });

  test('begins anew where one of its keys is gone', async () => {
    const store = open();
    const user = newUser();
    const epoch = () => redis.cli('get', 'ms:{feed}:epoch');
    for (const lost of ['stream', 'epoch', 'count']) {
      await store.revoke(user, {
        handle: handle(1),
        reason: '',
        by: null,
        at: now,
        policy: POLICY,
        token: { beganAt: now, expiresAt: now + HOUR, lifetime: null, sessionEndsAt: null },
      });
      const before = await epoch();
      await redis.cli('del', `ms:{feed}:${lost}`);
      await revoke(store, user, 1);
      expect([
        (await epoch()) === before,
        await redis.cli('get', 'ms:{feed}:count'),
        await redis.cli('xlen', 'ms:{feed}:stream'),
      ]).toEqual([false, '1', 1]);
      await revoke(store, user, 1);
      expect(await redis.cli('get', 'ms:{feed}:count')).toBe('2');
    }
  });
});

describe('trouble', () => {
  test('a server that lost the scripts is given them again', async () => {
    const store = open();
    const user = newUser();
    await sight(store, user, 1);
    await redis.cli('script', 'flush');
    expect(await sight(store, user, 1)).toMatchObject({ state: 'live', created: false });
    await redis.cli('script', 'flush');
    await revoke(store, user, 1);
    expect(await get(store, user, 1)).toBeNull();
  });

  test('a server that was restarted is used again, with or without its data', async () => {
    const server = await startRedis();
    try {
      const store = open(server.url);
      const user = newUser();
      await sight(store, user, 1);
      await server.restart({ keepData: true });
      expect(await sight(store, user, 1)).toMatchObject({ created: false });
      await server.restart({ keepData: false });
      expect(await sight(store, user, 1)).toMatchObject({ created: true });
      expect(store.health()).toMatchObject({ ok: true, lastError: null });
    } finally {
      await server.stop();
    }
  });

  test('a server that is not there is waited for once, and then refused at once', async () => {
    const port = await freePort();
    const store = open(`redis://127.0.0.1:${String(port)}`, { storeTimeout: 2000 });
    const user = newUser();
    const begun = performance.now();
    expect(await rejection(get(store, user, 1))).toEqual(unavailable);
    expect(performance.now() - begun).toBeGreaterThan(1900);
    const again = performance.now();
    expect(await rejection(get(store, user, 1))).toEqual(unavailable);
    expect(performance.now() - again).toBeLessThan(1900);
    expect(store.health()).toMatchObject({ ok: false, age: Infinity, lastError: expect.any(Error) as unknown });

    const server = await startRedis({ port });
    try {
      await untilServed(() => get(store, user, 1));
      expect(store.health().ok).toBe(true);
    } finally {
      await server.stop();
    }
  });

  test('a first request waits for the connection', async () => {
    const client = new Redis(redis.url);
    try {
      expect(client.status).not.toBe('ready');
      expect(await sight(open(client), newUser(), 1)).toMatchObject({ state: 'live' });
    } finally {
      client.disconnect();
    }
  });

  test.each([
    ['a URL', () => redis.url, () => undefined],
    [
      'a client',
      () => new Redis(redis.url),
      (client: string | Redis) => {
        (client as Redis).disconnect();
      },
    ],
  ])('a server that stands still is given up in time, and used again when it goes on: %s', async (_, target, end) => {
    const client = target();
    const store = open(client, { storeTimeout: 200 });
    const user = newUser();
    await untilServed(() => sight(store, user, 1));
    redis.pause();
    try {
      for (let round = 0; round < 6; round += 1) {
        const begun = performance.now();
        const errors = await Promise.all(
          [sight(store, user, 1), revoke(store, user, 2), get(store, user, 3)].map(rejection),
        );
        expect(performance.now() - begun).toBeLessThan(5000);
        for (const error of errors) expect(error).toEqual(unavailable);
      }
    } finally {
      redis.resume();
    }
    await untilServed(() => sight(store, user, 1));
    end(client);
  });

  test('a silent connection is not filled with commands', async () => {
    const { client, commands } = watched();
    const store = open(client, { storeTimeout: 100 });
    const user = newUser();
    await untilServed(() => sight(store, user, 1));
    const [connection] = commands;
    if (connection === undefined) throw new Error('There is no connection for commands');
    const calls = jest.spyOn(connection, 'call');
    redis.pause();
    try {
      for (let round = 0; round < 5; round += 1) {
        const outcomes = await Promise.allSettled(Array.from({ length: 200 }, () => get(store, user, 1)));
        expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true);
      }
      expect(calls.mock.calls.length).toBeLessThan(500);
    } finally {
      redis.resume();
    }
    await untilServed(() => get(store, user, 1));
    client.disconnect();
  });

  test('a refused password shows nowhere', async () => {
    const server = await startRedis({ password: 'correct' });
    const said = jest.spyOn(console, 'error').mockImplementation(() => undefined);
    try {
      const store = open(`redis://:hunter2@127.0.0.1:${String(server.port)}`);
      const error = await rejection(get(store, newUser(), 1));
      expect(error).toEqual(unavailable);
      const { inspect } = await import('node:util');
      const shown = inspect([error, store.health(), said.mock.calls], { depth: 10, showHidden: true });
      expect(shown).toContain('WRONGPASS');
      expect(shown).not.toContain('hunter2');
    } finally {
      said.mockRestore();
      await server.stop();
    }
  });

  test('memory that is full rejects what writes', async () => {
    const server = await startRedis({ args: ['--maxmemory', '1', '--maxmemory-policy', 'noeviction'] });
    try {
      const store = open(server.url);
      const error = await rejection(sight(store, newUser(), 1));
      expect(error).toEqual(unavailable);
      expect(String(error.cause)).toContain('OOM');
    } finally {
      await server.stop();
    }
  });

  test('a script that takes for ever rejects what comes after it', async () => {
    const server = await startRedis({ args: ['--lua-time-limit', '20'] });
    try {
      const store = open(server.url);
      const user = newUser();
      await sight(store, user, 1);
      const stuck = server.cli('eval', 'while true do end', '0').catch((error: unknown) => error);
      const error = await eventually('the server is busy', () =>
        get(store, user, 1).then(
          () => undefined,
          (thrown: unknown) => thrown,
        ),
      );
      expect(error).toEqual(unavailable);
      await server.cli('script', 'kill');
      await stuck;
      expect(await get(store, user, 1)).not.toBeNull();
    } finally {
      await server.stop();
    }
  });

  test('what is asked of a closed store is refused', async () => {
    const store = open();
    await store.close();
    expect(await rejection(get(store, newUser(), 1))).toEqual(unavailable);
  });

  test('a store that is in use refuses to serve another', async () => {
    const store = open();
    const user = newUser();
    await sight(store, user, 1);
    expect(() => {
      store.configure({ storeTimeout: 1, revocationBound: 1000 });
    }).toThrow(new TypeError('This redisStore is already in use: give each managedSessions a redisStore of its own'));
    expect(await get(store, user, 1)).not.toBeNull();
  });

  test('a store is wrapped by a spread', async () => {
    const user = newUser();
    const store: SessionStore = { ...open(), revoke: () => Promise.resolve('unknown') };
    expect(await sight(store, user, 1)).toMatchObject({ created: true });
    expect(await revoke(store, user, 1)).toBe('unknown');
    expect(await get(store, user, 1)).not.toBeNull();
  });

  test('a store that was not configured says so', async () => {
    await expect(redisStore(redis.url).get(newUser(), handle(1), now, POLICY)).rejects.toThrow(/configure/);
  });
});

describe('minReplicas', () => {
  test('rejects without a replica, with the session ended all the same', async () => {
    const [store, durable] = [open(), open(redis.url, { minReplicas: 1, storeTimeout: 1000 })];
    const user = newUser();
    await sight(store, user, 1);
    expect(await rejection(revoke(durable, user, 1))).toEqual(unavailable);
    expect(await sight(store, user, 1)).toMatchObject({ state: 'ended' });
    expect(await rejection(revokeAll(durable, user))).toEqual(unavailable);
  });

  test('acknowledges with a replica, which then has it', async () => {
    const replica = await startRedis({
      args: ['--replicaof', '127.0.0.1', String(redis.port)],
    });
    try {
      await eventually('the replica follows', () => isFollowing(replica));
      const store = open(redis.url, { minReplicas: 1 });
      const user = newUser();
      await sight(store, user, 1);
      await sight(store, user, 2);
      expect(await revoke(store, user, 1)).toBe('ended');
      expect(await replica.cli('hget', `ms:{${user.key}}:s`, handle(1))).toMatch(/^tr\n/);
      expect(await replica.cli('xlen', 'ms:{feed}:stream')).toBe(1);
      expect(await revokeAll(store, user)).toEqual({ ended: 1 });
      expect(await replica.cli('hget', `ms:{${user.key}}:s`, handle(2))).toMatch(/^tr\n/);
    } finally {
      await replica.stop();
    }
  });
});

describe('a user with ten thousand sessions', () => {
  const COUNT = 10_000;
  /** Five milliseconds of plain work, somewhat more or less of them on another machine: as long as a script may be. */
  const LONG = `for i = 1, 8000 do redis.call('HSET', KEYS[1], i % 500, ARGV[1]) end`;

  /** What Redis's processor spends on it, in seconds: time that the machine gives to others is not in it. */
  async function spentOn(work: () => Promise<unknown>): Promise<number> {
    const before = await spent();
    await work();
    return (await spent()) - before;
  }

  async function spent(): Promise<number> {
    const info = String(await redis.cli('info', 'cpu'));
    const [user, system] = ['user', 'sys'].map((kind) => Number(new RegExp(`used_cpu_${kind}:(.+)`).exec(info)?.[1]));
    return (user ?? NaN) + (system ?? NaN);
  }

  async function times(count: number, ask: () => Promise<unknown>): Promise<void> {
    for (let time = 0; time < count; time += 1) await ask();
  }

  test('is listed, capped and ended by scripts that are short', async () => {
    const store = open();
    const user = newUser();
    const list = (limit: number, cursor: ListCursor | null = null) =>
      store.list(user, { limit, cursor, at: now, policy: UNBOUNDED });
    const deepCursor = { lastSeenAt: now - 9000, handle: handle(9000) };
    await fill(store, user, COUNT - 1000);
    const long = (await spentOn(() => times(20, () => redis.cli('eval', LONG, '1', 'work', USER_AGENT)))) / 20;
    const sighted = (await spentOn(() => fill(store, user, 1000, COUNT - 1000))) / 1000;

    const page = await list(50);
    expect(page.sessions.map((session) => session.handle)).toEqual(
      Array.from({ length: 50 }, (_, number) => handle(number)),
    );
    expect((await list(50, deepCursor)).sessions[0]?.handle).toBe(handle(9001));
    const listed = (await spentOn(() => times(50, () => list(200)))) / 50;
    const listedDeep = (await spentOn(() => times(50, () => list(200, deepCursor)))) / 50;

    const refusing = { ...UNBOUNDED, maxSessions: COUNT, atSessionLimit: 'refuse' as const };
    expect(await sight(store, user, COUNT + 1, { policy: refusing })).toEqual({ state: 'refused' });
    expect(await sight(store, user, COUNT + 1, { policy: { ...UNBOUNDED, maxSessions: COUNT - 1000 } })).toMatchObject({
      state: 'live',
    });
    expect(await get(store, user, COUNT - 1001)).toBeNull();
    expect(await get(store, user, COUNT - 1002)).not.toBeNull();

    await redis.cli('config', 'set', 'slowlog-log-slower-than', '0');
    await redis.cli('config', 'set', 'slowlog-max-len', '100000');
    await redis.cli('slowlog', 'reset');
    const ended = await spentOn(async () => {
      expect(await revokeAll(store, user, handle(7))).toEqual({ ended: COUNT - 1001 });
    });
    const log = (await redis.cli('slowlog', 'get', '100000')) as [number, number, number, string[]][];
    const sweeps = log.filter(([, , , command]) => command[1] === TOMBSTONE_BATCH.sha).length;
    expect((await list(50)).sessions.map((session) => session.handle)).toEqual([handle(7)]);
    expect(ended / sweeps).toBeLessThan(long);
    for (const each of [listed, listedDeep]) expect(each).toBeLessThan(long / 2);
    expect(sighted).toBeLessThan(long / 20);
  });
});
