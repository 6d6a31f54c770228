/** What Redis keeps of a session that people are shown, and for how long: it deletes it itself, also of users who never return. */

import type { SessionPolicy } from '../../../lib/core/policy.js';
import { sessionUser, type SessionUser, type TokenTimes } from '../../../lib/core/session.js';
import { redisStore } from '../../../lib/stores/redis/store.js';
import type { SessionStore, SightAnswer } from '../../../lib/stores/store.js';
import { startRedis, type TestRedis } from '../../support/redis.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const POLICY: SessionPolicy = {
  idleTimeout: null,
  clockTolerance: 5 * SECOND,
  tombstoneFor: 30 * DAY,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
};

let redis: TestRedis;
let store: SessionStore;
let user: SessionUser;
let now: number;
let users = 0;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(() => {
  store = redisStore(redis.url);
  store.configure({ storeTimeout: 10 * SECOND, revocationBound: 60 * SECOND });
  users += 1;
  user = sessionUser('https://id.example.com/', String(users));
  now = Date.now();
});
afterEach(() => store.close());

const key = (part: string): string => `ms:{${user.key}}:${part}`;
const handle = (number: number): string => `h${String(number).padStart(21, '0')}`;
const ttlOf = async (part: string): Promise<number> => Number(await redis.cli('pttl', key(part)));
const rows = async (): Promise<number> => Number(await redis.cli('hlen', key('r')));

interface Seen {
  readonly at?: number;
  readonly token?: Partial<TokenTimes>;
  readonly policy?: Partial<SessionPolicy>;
  readonly ip?: string | null;
  readonly clientKey?: string;
}

function sight(number: number, seen: Seen = {}): Promise<SightAnswer> {
  const { at = now, token, policy, ip = '203.0.113.7', clientKey = null } = seen;
  const times = { beganAt: at, expiresAt: at + HOUR, lifetime: null, sessionEndsAt: null, ...token };
  const sighting = { at, ip, userAgent: 'Mozilla/5.0' };
  const asked = { handle: handle(number), sighting, token: times, clientKey };
  return store.sight(user, { ...asked, policy: { ...POLICY, ...policy } });
}

/** Within the seconds that a busy machine takes. */
function expectAbout(ttl: number, expected: number): void {
  expect(ttl).toBeLessThanOrEqual(expected);
  expect(ttl).toBeGreaterThan(expected - 5 * MINUTE);
}

describe('Redis deletes the rows', () => {
  test('a day after the last token, and the times by which sessions are judged after tombstoneFor', async () => {
    await sight(1);
    expectAbout(await ttlOf('r'), HOUR + DAY);
    expectAbout(await ttlOf('s'), HOUR + 30 * DAY);
  });

  test('after tombstoneFor, if that is shorter', async () => {
    await sight(1, { policy: { tombstoneFor: 2 * HOUR } });
    expectAbout(await ttlOf('r'), 3 * HOUR);
    expectAbout(await ttlOf('s'), 3 * HOUR);
  });

  test.each<[string, Seen]>([
    ['a token that ends later', { token: { expiresAt: Date.now() + 5 * HOUR } }],
    ['a label', {}],
    ['a new address', { ip: '203.0.113.8', token: { expiresAt: Date.now() + 5 * HOUR } }],
  ])('never before the session has lapsed, after %s', async (what, seen) => {
    await sight(1);
    await sight(1, seen);
    if (what === 'a label') await store.label(user, handle(1), 'phone', now, POLICY);
    const expiresAt = seen.token?.expiresAt ?? now + HOUR;
    expectAbout(await ttlOf('r'), expiresAt - now + DAY);
  });

  test('at the end of a lifetime that was made longer', async () => {
    await sight(1, { token: { lifetime: 2 * HOUR } });
    expectAbout(await ttlOf('r'), HOUR + DAY);
    await sight(1, { token: { lifetime: 5 * DAY } });
    expectAbout(await ttlOf('r'), 5 * DAY + 5 * SECOND);
  });

  test('of a session that sleeps, beside one that is in use', async () => {
    const long = now - 3 * DAY;
    await sight(1, { at: long });
    await sight(2, { at: long, token: { expiresAt: now + HOUR } });
    // A refreshed token of the other session is enough.
    expect(await rows()).toBe(2);
    await sight(2, { token: { expiresAt: now + 2 * HOUR } });
    expect(await rows()).toBe(1);
    expect(await sight(1)).toMatchObject({ state: 'live', created: true, startedAt: long });
  });

  test('of a session that sleeps, when sessions are listed', async () => {
    await sight(1, { at: now - 3 * DAY });
    await sight(2);
    await store.list(user, { limit: 50, cursor: null, at: now, policy: POLICY });
    expect(await rows()).toBe(1);
  });

  test('with the tombstone', async () => {
    for (const number of [1, 2, 3]) await sight(number);
    await store.revoke(user, { handle: handle(1), reason: 'signed_out', by: null, at: now, policy: POLICY });
    expect(await rows()).toBe(2);
    await store.revokeAll(user, { except: handle(3), reason: 'everywhere', by: null, at: now, policy: POLICY });
    expect(await rows()).toBe(1);
  });
});

test('a row that Redis has lost is made again, and is no reason to sign anybody out', async () => {
  await sight(1, { at: now - MINUTE });
  await redis.cli('del', key('r'));
  expect(await store.get(user, handle(1), now, POLICY)).toMatchObject({ ip: null, userAgent: null, label: null });
  const { sessions } = await store.list(user, { limit: 50, cursor: null, at: now, policy: POLICY });
  expect(sessions).toMatchObject([{ handle: handle(1), ip: null }]);
  expect(await sight(1)).toMatchObject({ state: 'live', created: true, moved: null, startedAt: now - MINUTE });
  expect(await store.get(user, handle(1), now, POLICY)).toMatchObject({ ip: '203.0.113.7' });
});

test('a client is not new because Redis has lost which ones it knew, alone or with the rows', async () => {
  const isNew = async (number: number): Promise<unknown> =>
    (await store.get(user, handle(number), now, POLICY))?.hasNewClient;
  await sight(1, { at: now - MINUTE });
  await sight(1, { clientKey: 'a' });
  expect(await isNew(1)).toBe(false);
  for (const lost of [['r'], ['k'], ['r', 'k']]) {
    for (const part of lost) await redis.cli('del', key(part));
    await sight(1, { clientKey: 'a' });
    expect(await isNew(1)).toBe(false);
  }
  await sight(2, { clientKey: 'b' });
  expect(await isNew(2)).toBe(true);
  // With its row goes the mark. It is not made again.
  await redis.cli('del', key('r'), key('k'));
  await sight(2, { clientKey: 'b' });
  expect(await isNew(2)).toBe(false);
});

test('whether its client is new takes at most two bytes of a row', async () => {
  await sight(1, { clientKey: 'a' });
  await sight(2, { clientKey: 'a' });
  const lengthOf = async (number: number) => Number(await redis.cli('hstrlen', key('r'), handle(number)));
  const others = '203.0.113.7'.length + 'Mozilla/5.0'.length;
  // Five line feeds divide the parts that were there before.
  expect([(await lengthOf(1)) - others - 5, (await lengthOf(2)) - others - 5]).toEqual([2, 1]);
});

test('a session that slept is the same one: its start counts, and its label is gone with the row', async () => {
  const long = now - 3 * DAY;
  await sight(1, { at: long });
  await store.label(user, handle(1), 'phone', long, POLICY);
  expect(await store.get(user, handle(1), now, POLICY)).toBeNull();
  const refreshed = { token: { beganAt: now } };
  expect(await sight(1, refreshed)).toMatchObject({ state: 'live', created: true, startedAt: long, moved: null });
  expect(await store.get(user, handle(1), now, POLICY)).toMatchObject({ label: null, startedAt: long });
});
