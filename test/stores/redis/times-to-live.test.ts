/** Every key has a time to live, and it is long enough, whatever was lost and whichever clock is wrong. */

import { Redis } from 'ioredis';

import type { SessionPolicy } from '../../../lib/core/policy.js';
import { sessionUser, type SessionUser, type TokenTimes } from '../../../lib/core/session.js';
import { NO_PROGRESS, SET_CUTOFF, TOMBSTONE_BATCH } from '../../../lib/stores/redis/cutoff-scripts.js';
import type { Script } from '../../../lib/stores/redis/script.js';
import { BATCH, INDEX_FROM, INDEXED, userKeys } from '../../../lib/stores/redis/session-prelude.js';
import { redisStore } from '../../../lib/stores/redis/store.js';
import type { SessionStore, SightAnswer } from '../../../lib/stores/store.js';
import { startRedis, type TestRedis } from '../../support/redis.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const POLICY: SessionPolicy = {
  idleTimeout: null,
  clockTolerance: 5000,
  tombstoneFor: 30 * DAY,
  maxSessions: Infinity,
  atSessionLimit: 'end-oldest',
};
const MANY = INDEX_FROM + 4;
/** By their letter. */
const KEYS = ['s', 'r', 'i', 'd', 'c', 'k'] as const;

let redis: TestRedis;
let client: Redis;
let store: SessionStore;
let user: SessionUser;
let keys: Record<(typeof KEYS)[number], string>;
let now: number;
let users = 0;

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
  store = redisStore(redis.url);
  store.configure({ storeTimeout: 30_000, revocationBound: 60_000 });
});
afterAll(async () => {
  await store.close();
  client.disconnect();
  await redis.stop();
});
beforeEach(() => {
  newUser();
});
afterEach(() => {
  jest.restoreAllMocks();
});

function newUser(): void {
  users += 1;
  user = sessionUser('https://id.example.com/', String(users));
  const [s = '', r = '', i = '', d = '', c = '', k = ''] = userKeys('ms', user);
  keys = { s, r, i, d, c, k };
  now = Date.now();
}

const handle = (number: number): string => `h${String(number).padStart(21, '0')}`;

interface Seen {
  readonly at?: number;
  readonly token?: Partial<TokenTimes>;
  readonly policy?: SessionPolicy;
}

function sight(number: number, { at = now, token, policy = POLICY }: Seen = {}): Promise<SightAnswer> {
  return store.sight(user, {
    handle: handle(number),
    sighting: { at, ip: '203.0.113.7', userAgent: 'one' },
    token: { beganAt: now - HOUR, expiresAt: now + HOUR, lifetime: null, sessionEndsAt: null, ...token },
    policy,
    clientKey: 'a',
  });
}

async function fill(count: number, seen: Seen = {}): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, number) => sight(number, seen)));
}

const ending = { reason: 'ended', by: null } as const;

/** Those that never go, and sorted sets in use that go before the sessions. */
async function wronglyKept(): Promise<string[]> {
  const lives = await Promise.all(KEYS.map((key) => client.pexpiretime(keys[key])));
  const isIndexed = (await client.hget(keys.s, 'due')) === INDEXED;
  const [ofSessions = 0] = lives;
  return KEYS.filter((key, index) => {
    const life = lives[index] ?? 0;
    return life === -1 || (isIndexed && (key === 'i' || key === 'd') && life > 0 && life < ofSessions);
  });
}

async function run<In, Out>(script: Script<In, Out>, input: In): Promise<Out> {
  const all = userKeys('ms', user);
  return script.decode(await client.call('eval', script.lua, String(all.length), ...all, ...script.args(input)));
}

/** What is done after a key was lost. The excepted session of a cutoff is that with the number 2. */
const AFTERWARDS: Readonly<Record<string, () => Promise<unknown>>> = {
  'a new session': () => sight(100, { token: { beganAt: now + 5000 }, at: now + 5000 }),
  'a new session that is soon over': () =>
    sight(101, { token: { beganAt: now + 5000, expiresAt: now + MINUTE }, at: now + 5000 }),
  'a session that was seen': () => sight(2, { at: now + MINUTE }),
  'a refreshed token': () => sight(2, { at: now + MINUTE, token: { expiresAt: now + 2 * HOUR } }),
  'a label': () => store.label(user, handle(2), 'phone', now, POLICY),
  'a list': () => store.list(user, { limit: 5, cursor: null, at: now, policy: POLICY }),
  'an ending': () => store.revoke(user, { ...ending, handle: handle(3), at: now, policy: POLICY }),
  'a cutoff': () => store.revokeAll(user, { ...ending, except: handle(2), at: now, policy: POLICY }),
};

describe.each([3, MANY])('of %d sessions', (count) => {
  test.each(KEYS)('the key %s is lost, and every key still has its time to live', async (lost) => {
    for (const [name, work] of Object.entries(AFTERWARDS)) {
      for (const next of ['a new session', 'a refreshed token', 'an ending', 'a cutoff']) {
        newUser();
        await fill(count);
        await store.revokeAll(user, { ...ending, except: handle(2), at: now, policy: POLICY });
        await client.del(keys[lost]);
        await work();
        expect([name, await wronglyKept()]).toEqual([name, []]);
        await AFTERWARDS[next]?.();
        expect([name, next, await wronglyKept()]).toEqual([name, next, []]);
        // No single key that is lost brings back what all of its sessions' cutoff ended.
        expect([name, next, (await sight(1)).state]).toEqual([name, next, 'ended']);
      }
    }
  });
});

test('a new session does not hide that the moments are lost at which sessions are looked at', async () => {
  await fill(MANY);
  await client.del(keys.d);
  await sight(100);
  expect(await client.zcard(keys.d)).toBe(MANY + 1);
});

test('the cutoff is lost while its tombstones are written', async () => {
  await fill(2 * BATCH);
  const call = { at: now, policy: POLICY, globalCutoff: '', origin: 'elsewhere-Aa0_' };
  const kind = { isRestored: false, isBackdated: false, erasedAt: 0 };
  const cutoff = { ...ending, at: null, except: null, origin: 'elsewhere-Aa0_', ...kind };
  const set = await run(SET_CUTOFF, { ...call, cutoff, progress: NO_PROGRESS, isRepeated: false, isErasing: false });
  if (set.state !== 'set') throw new Error(`The cutoff is ${set.state}`);
  let { progress } = set;
  await client.del(keys.c);
  while (progress.cursor !== '0') {
    ({ progress } = await run(TOMBSTONE_BATCH, { ...call, progress, isErasing: false }));
  }
  expect(await client.exists(keys.c)).toBe(1);
  expect(await wronglyKept()).toEqual([]);
});

test.each(['a sighting', 'an ending'])('all sessions are forgotten by %s', async (name) => {
  const brief = { ...POLICY, tombstoneFor: 0 };
  // A caller whose clock is behind: Redis keeps the keys for longer than the clock of the others says.
  const before = now - 5 * HOUR;
  await fill(MANY, { at: before, token: { beganAt: null, expiresAt: before + HOUR }, policy: brief });
  const token = { beganAt: now, expiresAt: now + MINUTE, lifetime: null, sessionEndsAt: null };
  if (name === 'a sighting') await sight(0, { token, policy: brief });
  else await store.revoke(user, { ...ending, handle: handle(0), at: now, policy: brief, token });
  expect(await client.zcard(keys.d)).toBe(1);
  expect(await wronglyKept()).toEqual([]);
});

test('a copy of the cutoff that is all that is left applies, if the cutoff itself is lost', async () => {
  const brief = { ...POLICY, tombstoneFor: 0 };
  const before = now - 5 * HOUR;
  await sight(0, { at: before, token: { beganAt: before, expiresAt: before + HOUR }, policy: brief });
  await store.revokeAll(user, { ...ending, except: handle(0), at: now - 2 * HOUR, policy: brief });
  await store.list(user, { limit: 5, cursor: null, at: now, policy: brief });
  expect(await client.hkeys(keys.s)).toEqual(['cutoff']);
  await client.del(keys.c);
  await sight(1, { policy: brief });
  expect(await sight(1, { policy: brief })).toMatchObject({ state: 'live', survivedCutoffAt: now - 2 * HOUR });
  expect(await sight(2, { policy: brief, token: { beganAt: now - 3 * HOUR } })).toMatchObject({ state: 'ended' });
});

test.each([0, 1, MANY])(
  'what is stale is kept for `tombstoneFor`, beside %s sessions and those that follow',
  async (count) => {
    const brief = { ...POLICY, tombstoneFor: 0 };
    await fill(count, { policy: brief });
    await store.expireTokens(user, { reason: 'role', by: null, at: now, policy: POLICY });
    expect(await client.pttl(keys.s)).toBeGreaterThan(POLICY.tombstoneFor - MINUTE);
    expect(await wronglyKept()).toEqual([]);
    for (const number of [0, MANY, MANY + 1]) await sight(number, { policy: brief });
    expect(await client.pttl(keys.s)).toBeGreaterThan(POLICY.tombstoneFor - MINUTE);
    expect(await wronglyKept()).toEqual([]);
    const token = { beganAt: now, expiresAt: now + HOUR, lifetime: null, sessionEndsAt: null, issuedAt: null };
    expect(await sight(0, { policy: brief, token })).toMatchObject({ state: 'stale' });
  },
);

test('what is no longer stale, or cannot be read, is removed by the next sighting that it concerns', async () => {
  const token = { beganAt: now, expiresAt: now + HOUR, lifetime: null, sessionEndsAt: null, issuedAt: null };
  for (const text of [`1\n${String(now - 1)}\n\nrole`, 'rubbish']) {
    await client.hset(keys.s, 'stale', text);
    expect(await sight(0, { token })).toMatchObject({ state: 'live', staleTokens: null });
    expect(await client.hexists(keys.s, 'stale')).toBe(0);
  }
});

describe('of two processes whose clocks differ by hours', () => {
  const brief = { ...POLICY, tombstoneFor: 0 };
  /** The clock of the process and of its machine. Redis has another machine. */
  function clockIs(ms: number): number {
    jest.spyOn(Date, 'now').mockReturnValue(now + ms);
    return now + ms;
  }

  test.each([-3 * HOUR, 3 * HOUR])('one that is off by %d ms keeps what the other needs', async (ms) => {
    const expiresAt = now + 4 * HOUR;
    const at = clockIs(ms);
    await sight(0, { at, token: { beganAt: at, expiresAt }, policy: brief });
    await store.revoke(user, { ...ending, handle: handle(0), at, policy: brief });
    const kept = await client.pexpiretime(keys.s);
    // A session that lasts a moment longer does not shorten the life of the tombstone.
    await sight(1, { at, token: { beganAt: at, expiresAt: expiresAt + MINUTE }, policy: brief });
    expect(await client.pexpiretime(keys.s)).toBeGreaterThanOrEqual(kept);
  });

  test('a record stands until the token expires by the clock that is behind', async () => {
    const at = clockIs(-3 * HOUR);
    await sight(0, { at, token: { beganAt: at, expiresAt: now + HOUR }, policy: brief });
    for (const key of [keys.s, keys.r]) expect(await client.pexpiretime(key)).toBeGreaterThanOrEqual(now + 4 * HOUR);
  });

  test('a record stands until the token expires by the clock of Redis, if the caller is ahead', async () => {
    await sight(0, { token: { expiresAt: now + 3.5 * HOUR }, policy: brief });
    const at = clockIs(3 * HOUR);
    await sight(1, { at, token: { beganAt: at, expiresAt: now + 4 * HOUR }, policy: brief });
    for (const key of [keys.s, keys.r]) expect(await client.pexpiretime(key)).toBeGreaterThanOrEqual(now + 4 * HOUR);
  });
});
