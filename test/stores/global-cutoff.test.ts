/** The global cutoff as it stands in Redis: what writes it, what puts it back, and who is told. */

import { CUTOFF_FOR, type GlobalCutoff } from '../../lib/core/cutoff.js';
import type { SessionPolicy } from '../../lib/core/policy.js';
import { sessionUser } from '../../lib/core/session.js';
import { memoryStore } from '../../lib/stores/memory.js';
import { redisStore } from '../../lib/stores/redis/store.js';
import { INDEX_FROM } from '../../lib/stores/redis/session-prelude.js';
import type { RevocationFeed, SessionStore, SightAnswer } from '../../lib/stores/store.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';

const HOUR = 3600_000;
const DAY = 24 * HOUR;
const KEY = 'ms:{feed}:global-cutoff';
const REQUEST = { reason: 'incident', by: 'operator', at: 0 };

let redis: TestRedis;
const opened: SessionStore[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(async () => {
  await redis.cli('flushall');
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});
afterAll(() => redis.stop());

interface Heard {
  readonly feed: RevocationFeed;
  /** With the age of the feed when it was told. */
  readonly told: { readonly cutoff: GlobalCutoff; readonly age: number }[];
  readonly gaps: string[];
}

/** An idle feed of it would wait for minutes. */
function open(store = redisStore(redis.url)): SessionStore {
  store.configure({ storeTimeout: 5000, revocationBound: HOUR });
  opened.push(store);
  return store;
}

function listenTo(store: SessionStore): Heard {
  const [told, gaps]: [Heard['told'], string[]] = [[], []];
  const feed: RevocationFeed = store.feed({
    notice: () => undefined,
    globalCutoff: (cutoff) => void told.push({ cutoff, age: feed.age() }),
    gap: (cause) => void gaps.push(cause),
  });
  return { feed, told, gaps };
}

const until = (what: string, holds: () => boolean): Promise<boolean> =>
  eventually(what, () => Promise.resolve(holds()));
const standing = async (): Promise<string> => String(await redis.cli('get', KEY));
const momentOf = (text: string): number => Number(text.split('\n')[0]);
/** A cutoff that somebody else set then. */
const setBy = (origin: string, at: number): string => [at, origin, 'somebody', 'incident'].join('\n');

test('lives for a year, and the stream and its companions with it', async () => {
  await open().endEverywhere(REQUEST);
  expect(await redis.cli('pttl', KEY)).toBeGreaterThan(CUTOFF_FOR - HOUR);
  for (const key of ['stream', 'epoch', 'count'])
    expect(await redis.cli('pttl', `ms:{feed}:${key}`)).toBeGreaterThan(0);
});

test('wakes who waits for the feed', async () => {
  const [here, there] = [open(), open()];
  const { feed, told, gaps } = listenTo(there);
  await until('the feed waits', () => feed.age() < HOUR);
  await here.endEverywhere(REQUEST);
  await until('it is told', () => told.length === 1);
  expect(told).toMatchObject([{ cutoff: { reason: 'incident', by: 'operator', origin: here.origin } }]);
  expect(gaps).toEqual([]);
});

test('the first round of a feed tells of it before it counts, and what is known is not told again', async () => {
  const early = open();
  await early.endEverywhere(REQUEST);
  const late = open();
  const { feed, told } = listenTo(late);
  await until('the feed waits', () => feed.age() < HOUR);
  for (let time = 0; time < 2; time += 1) await late.catchUp();
  expect(told).toMatchObject([{ cutoff: { origin: early.origin }, age: Infinity }]);
});

test('who knows of an earlier one does not move it back', async () => {
  const [here, there] = [open(), open()];
  await here.endEverywhere(REQUEST);
  await there.catchUp();
  await here.endEverywhere(REQUEST);
  const later = await standing();
  await there.catchUp();
  expect(await standing()).toBe(later);
});

test('who knows of one puts it back where it was lost, as it was', async () => {
  const [here, there] = [open(), open()];
  await here.endEverywhere(REQUEST);
  const lost = await standing();
  await there.catchUp();
  await redis.cli('flushall');
  await there.catchUp();
  expect(await standing()).toBe(lost);
  expect(await redis.cli('pttl', KEY)).toBeGreaterThan(CUTOFF_FOR - HOUR);
});

test.each(['stands', 'was lost'])('a new one is later than one that %s, by whatever clock', async (which) => {
  const store = open();
  const ahead = Date.now() + HOUR;
  await redis.cli('set', KEY, setBy('another', ahead));
  const { told } = listenTo(store);
  await store.catchUp();
  if (which === 'was lost') await redis.cli('del', KEY);
  await store.endEverywhere(REQUEST);
  expect(momentOf(await standing())).toBe(ahead + 1);
  expect(told.map(({ cutoff }) => [cutoff.at, cutoff.origin])).toEqual([
    [ahead, 'another'],
    [ahead + 1, store.origin],
  ]);
});

test.each([
  '',
  'rubbish',
  '12',
  '1\n2\n3',
  '1\n2\n3\n4\n5',
  '-1\na\nb\nc',
  '1e9\na\nb\nc',
  '8640000000000001\na\nb\nc',
  '9'.repeat(20) + '\na\nb\nc',
])('what is no cutoff ends nobody, and gives way to one: %j', async (text) => {
  const store = open();
  await redis.cli('set', KEY, text);
  const { told } = listenTo(store);
  await store.catchUp();
  expect(told).toEqual([]);
  await store.endEverywhere(REQUEST);
  expect(told).toHaveLength(1);
  expect(Math.abs(momentOf(await standing()) - Date.now())).toBeLessThan(HOUR);
});

describe('of the sessions of a user', () => {
  const USER = sessionUser('https://id.example.com/', 'ann');
  const handle = (number: number): string => String(number).padStart(22, 'h');
  const POLICY: SessionPolicy = {
    idleTimeout: null,
    clockTolerance: 0,
    tombstoneFor: DAY,
    maxSessions: 100,
    atSessionLimit: 'refuse',
  };

  function sight(
    store: SessionStore,
    of: string,
    at: number,
    beganAt: number | null,
    policy = POLICY,
  ): Promise<SightAnswer> {
    const token = { beganAt, expiresAt: at + DAY, lifetime: null, sessionEndsAt: null };
    return store.sight(USER, { handle: of, sighting: { at, ip: null, userAgent: null }, token, policy });
  }

  test.each([
    ['Redis', () => redisStore(redis.url)],
    ['memory', memoryStore],
  ])(
    'one that began with its first sighting is ended, and one that is first seen later is not (%s)',
    async (_, make) => {
      const store = open(make());
      const now = Date.now();
      expect(await sight(store, handle(1), now, null)).toMatchObject({ state: 'live' });
      await store.endEverywhere({ ...REQUEST, at: now });
      const later = now + HOUR;
      expect(await sight(store, handle(1), later, later)).toMatchObject({
        state: 'ended',
        ending: { reason: 'incident' },
      });
      expect(await sight(store, handle(2), later, null)).toMatchObject({ state: 'live', startedAt: later });
    },
  );

  test('those ended take no place under a cap, however many there are', async () => {
    const store = open();
    const many = INDEX_FROM + 44;
    const policy = { ...POLICY, maxSessions: many };
    const now = Date.now() - HOUR;
    for (let number = 0; number < many; number += 1) await sight(store, handle(number), now + number, now, policy);
    expect(await sight(store, handle(many), now + many, now, policy)).toEqual({ state: 'refused' });
    await store.endEverywhere(REQUEST);
    const later = Date.now() + HOUR;
    for (let number = 0; number < many; number += 1) {
      expect(await sight(store, handle(1000 + number), later + number, later, policy)).toMatchObject({ state: 'live' });
    }
    expect(await sight(store, handle(2000), later + many, later, policy)).toEqual({ state: 'refused' });
  });
});
