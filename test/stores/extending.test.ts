/** To extend a tombstone, a process writes it back with a later end. That does nothing else, whatever the cap and the data. */

import type { SessionPolicy } from '../../lib/core/policy.js';
import { sessionUser } from '../../lib/core/session.js';
import { memoryStore } from '../../lib/stores/memory.js';
import { redisStore } from '../../lib/stores/redis/store.js';
import type { Notice, SessionStore, SightAnswer, Tombstone } from '../../lib/stores/store.js';
import { startRedis, type TestRedis } from '../support/redis.js';

const HOUR = 3600_000;
const DAY = 24 * HOUR;
const USER = sessionUser('https://id.example.com/', 'ann');
const CAP = 2;

let redis: TestRedis;
let store: SessionStore;
let notices: Notice[];
let now: number;

beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(async () => {
  await redis.cli('flushall');
  now = Date.now();
  notices = [];
});
afterEach(() => store.close());
afterAll(() => redis.stop());

const handle = (number: number): string => String(number).padStart(22, 'h');

function open(made: SessionStore): void {
  store = made;
  store.configure({ storeTimeout: 5000, revocationBound: HOUR });
  store.feed({ notice: (notice) => void notices.push(notice), globalCutoff: () => undefined, gap: () => undefined });
}

describe.each([
  ['the memory store', memoryStore],
  ['the Redis store', () => redisStore(redis.url)],
])('in %s', (_, make) => {
  describe.each(['end-oldest', 'refuse'] as const)('with the cap reached (%s)', (atSessionLimit) => {
    const policy: SessionPolicy = {
      idleTimeout: null,
      clockTolerance: 0,
      tombstoneFor: DAY,
      maxSessions: CAP,
      atSessionLimit,
    };
    const sight = (number: number): Promise<SightAnswer> =>
      store.sight(USER, {
        handle: handle(number),
        sighting: { at: now + number, ip: null, userAgent: null },
        token: { beganAt: now, expiresAt: now + HOUR, lifetime: null, sessionEndsAt: null },
        policy,
      });
    const listed = async (): Promise<string[]> =>
      (await store.list(USER, { limit: 50, cursor: null, at: now, policy })).sessions.map((session) => session.handle);
    const restore = (tombstones: readonly Tombstone[]): ReturnType<SessionStore['restore']> =>
      store.restore(USER, { tombstones, cutoff: null, at: now, policy });

    async function tombstoneOf(number: number): Promise<Tombstone> {
      const answer = await sight(number);
      if (answer.state !== 'ended') throw new Error(`It is ${answer.state}`);
      return { handle: handle(number), ending: answer.ending, until: answer.until };
    }

    async function fillUp(): Promise<Tombstone> {
      await sight(1);
      await store.revoke(USER, { handle: handle(1), reason: 'signed_out', by: null, at: now, policy });
      for (const number of [2, 3]) await sight(number);
      notices.length = 0;
      return tombstoneOf(1);
    }

    test('extends the tombstone, and nothing else', async () => {
      open(make());
      const known = await fillUp();
      const later = { ...known, until: known.until + 5 * DAY };
      expect(await restore([later])).toEqual({ missing: 0 });
      expect(await tombstoneOf(1)).toEqual(later);
      expect(await listed()).toEqual([handle(3), handle(2)]);
      expect(notices).toEqual([]);
    });

    test('writes it where the data was lost, and takes no place under the cap', async () => {
      open(make());
      const known = await fillUp();
      await store.close();
      await redis.cli('flushall');
      open(make());
      for (const number of [2, 3]) await sight(number);
      const later = { ...known, until: known.until + 5 * DAY };
      expect(await restore([later])).toEqual({ missing: 1 });
      expect(await listed()).toEqual([handle(3), handle(2)]);
      // By the call, and perhaps again by the feed.
      expect(notices).toEqual(notices.map(() => ({ kind: 'ended', user: USER, tombstone: later })));
      expect(notices).not.toEqual([]);
      for (const number of [2, 3]) expect(await sight(number)).toMatchObject({ state: 'live', created: false });
      expect(await tombstoneOf(1)).toEqual(later);
      expect(await restore([later])).toEqual({ missing: 0 });
    });

    test('a request of an ended session with a later token extends, and does nothing else', async () => {
      open(make());
      const known = await fillUp();
      const token = { beganAt: now, expiresAt: now + 9 * HOUR, lifetime: null, sessionEndsAt: null };
      const sighting = { at: now + 1, ip: '203.0.113.7', userAgent: null };
      const answer = await store.sight(USER, { handle: handle(1), sighting, token, policy });
      expect(answer).toEqual({ state: 'ended', ending: known.ending, until: now + 9 * HOUR + 2 * DAY });
      expect(await listed()).toEqual([handle(3), handle(2)]);
      expect(notices).toEqual([]);
    });

    test('one that is over is not written back', async () => {
      open(make());
      const known = await fillUp();
      const over = { ...known, handle: handle(9), until: now - 1 };
      expect(await restore([over])).toEqual({ missing: 0 });
      expect(await store.get(USER, handle(9), now, policy)).toBeNull();
      expect(await listed()).toEqual([handle(3), handle(2)]);
    });
  });
});
