/** How old what is known may be, and whether the store can be reached: on a clock that the test sets. */

import fc from 'fast-check';
import jwt from 'jsonwebtoken';

import { elapsedClock } from '../../lib/core/elapsed.js';
import { LoginError } from '../../lib/core/errors.js';
import { managedSessions, redisStore } from '../../lib/index.js';
import { Availability } from '../../lib/ledger/availability.js';
import { FeedFreshness } from '../../lib/ledger/freshness.js';
import { KnownGlobalCutoff } from '../../lib/ledger/global-cutoff.js';
import { eventually, startRedis } from '../support/redis.js';
import { startProxy } from '../support/tcp-proxy.js';

const ISSUER = 'https://id.example.com/';
const SECRET = 'a secret for tests, 32 bytes long';

let now: number;
let feedAge: number;
const monotonic = (): number => now;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => {
  now = 10_000;
  feedAge = 0;
});

describe('R4: the age of a vouch', () => {
  const freshness = new FeedFreshness({ age: () => feedAge }, 5_000, monotonic);

  test('is that of the feed if that covers it, and its own otherwise', () => {
    feedAge = 100;
    const vouch = freshness.vouch(7_000);
    expect(freshness.ageOf(vouch)).toBe(100);
    expect(freshness.ageOf({ ...vouch, isCovered: false })).toBe(3_000);
    feedAge = 6_000;
    expect(freshness.ageOf(vouch)).toBe(3_000);
    now += 4_000;
    expect(freshness.ageOf(vouch)).toBe(6_000);
    now -= 4_000;
  });

  test('a feed that was never read covers nothing', () => {
    feedAge = Infinity;
    expect(freshness.vouch(now).isCovered).toBe(false);
  });

  test('the feed is fresh up to the bound', () => {
    feedAge = 5_000;
    expect(freshness.isFeedFresh).toBe(true);
    feedAge = 5_001;
    expect(freshness.isFeedFresh).toBe(false);
  });
});

describe('a clock that counts the time of a suspension', () => {
  let wall: number;
  let monotonicNow: number;
  let elapsed: () => number;

  beforeEach(() => {
    wall = 1_000_000;
    monotonicNow = 50;
    elapsed = elapsedClock({ now: () => wall }, { now: () => monotonicNow });
  });

  function pass(ms: number, wallMs = ms): void {
    monotonicNow += ms;
    wall += wallMs;
  }

  test('is the monotonic clock while both go on', () => {
    expect(elapsed()).toBe(50);
    pass(7_000);
    expect(elapsed()).toBe(7_050);
  });

  test.each([
    ['the host was suspended, or the wall clock was set ahead', 10, 3_600_010, 3_600_060],
    ['the wall clock was set back', 10, -3_600_000, 60],
    ['the wall clock stood still', 200, 0, 250],
    ['the difference may come from rounding', 10, 109, 60],
  ])('%s', (_, ms, wallMs, reads) => {
    pass(ms, wallMs);
    expect(elapsed()).toBe(reads);
    pass(5);
    expect(elapsed()).toBe(reads + 5);
  });

  test('a suspension counts after the wall clock was set back', () => {
    pass(10, -3_600_000);
    elapsed();
    pass(0, 2_000);
    expect(elapsed()).toBe(2_060);
  });

  test('small differences do not add up, however many there are', () => {
    for (let i = 0; i < 10_000; i++) {
      pass(1_000, 1_050);
      elapsed();
    }
    expect(elapsed()).toBe(10_000_050);
  });

  test('a process that was stopped between the two readings counts that time once', () => {
    let stopFor = 5_000;
    function readAndStop(): number {
      const read = monotonicNow;
      pass(stopFor);
      stopFor = 0;
      return read;
    }
    const stopped = elapsedClock({ now: () => wall }, { now: readAndStop });
    stopFor = 8_000;
    const before = monotonicNow;
    expect(stopped()).toBe(before + 8_000);
    expect(stopped()).toBe(before + 8_000);
  });

  test('never goes back', () => {
    const step = fc.tuple(fc.nat(10_000), fc.integer({ min: -100_000, max: 100_000 }));
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        let last = elapsed();
        for (const [ms, wallMs] of steps) {
          pass(ms, wallMs);
          const read = elapsed();
          expect(read).toBeGreaterThanOrEqual(last + ms);
          last = read;
        }
      }),
    );
  });
});

test('after the host was suspended while the feed was cut, memory does not vouch', async () => {
  const redis = await startRedis();
  const proxy = await startProxy({ port: redis.port });
  const options = { issuer: { issuer: ISSUER, secret: SECRET }, revocationBound: '1m', storeTimeout: '2s' } as const;
  const here = managedSessions({ ...options, store: redisStore(`redis://127.0.0.1:${String(proxy.port)}`) });
  const there = managedSessions({ ...options, store: redisStore(redis.url) });
  const token = jwt.sign({ iss: ISSUER, sub: 'ada', sid: 's' }, SECRET, { expiresIn: '1h' });
  const refused = (code: string): Promise<void> => expect(here.verify(token)).rejects.toMatchObject({ code });
  const realNow = Date.now.bind(Date);
  let wallClock: jest.SpyInstance | undefined;
  try {
    await eventually('the feed is fresh', async () => here.health().feed.ok);
    const { session } = await here.verify(token);
    proxy.refuse();
    proxy.cut();
    await eventually('the feed is cut', async () => here.health().feed.lastError !== null);
    await there.revoke('ada', session.handle);
    await expect(here.verify(token)).resolves.toMatchObject({ session: { handle: session.handle } });

    wallClock = jest.spyOn(Date, 'now').mockImplementation(() => realNow() + 61_000);
    await refused('store_unavailable');
    await proxy.heal();
    await eventually('the feed is fresh again', async () => here.health().feed.ok);
    await refused('session_revoked');
  } finally {
    wallClock?.mockRestore();
    await Promise.all([here.close(), there.close()]);
    await proxy.close();
    await redis.stop();
  }
});

describe('the global cutoff', () => {
  let replies: { resolve: () => void; reject: (error: Error) => void }[];
  let known: KnownGlobalCutoff;

  beforeEach(() => {
    replies = [];
    const catchUp = (): Promise<void> =>
      new Promise((resolve, reject) => {
        replies.push({ resolve, reject });
      });
    known = new KnownGlobalCutoff({ monotonic, feedAge: () => feedAge, longestAge: 2_500, catchUp });
  });

  test('is known as of the last round of the feed', () => {
    feedAge = 2_500;
    expect(known.caughtUp()).toEqual({ asOf: 7_500 });
    feedAge = 2_501;
    expect(known.caughtUp()).toMatchObject({ asOf: 10_000 });
    expect(replies).toHaveLength(1);
  });

  test('a question that failed late takes nothing from one that was asked since', async () => {
    feedAge = Infinity;
    known.caughtUp().caughtUp?.catch(() => undefined);
    now += 2_501;
    const second = known.caughtUp();
    replies[0]?.reject(new Error('late'));
    await settled();
    expect(known.caughtUp()).toBe(second);
    expect(replies).toHaveLength(2);
  });
});

describe('whether the store can be reached', () => {
  let events: [string, unknown][];
  let availability: Availability;

  beforeEach(() => {
    events = [];
    availability = new Availability({
      storeTimeout: 1_000,
      emit: (name, event) => {
        events.push([name, event]);
      },
      monotonic,
    });
  });

  test('is told once, and again when all of it is back, with the time since the first failure', () => {
    const error = new LoginError('store_unavailable', 'gone');
    availability.noteDown('feed', error);
    now += 100;
    availability.noteDown('commands', error);
    availability.noteDown('feed', error);
    now += 100;
    availability.noteUp('feed');
    expect(events).toEqual([['storeDown', { error }]]);
    now += 100;
    availability.noteUp('commands');
    availability.noteUp('commands');
    expect(events.slice(1)).toEqual([['storeUp', { downFor: 300 }]]);
  });

  test('commands that failed are left alone for two seconds after the last failure, and not once they succeed', () => {
    expect(availability.isLeftAlone).toBe(false);
    availability.noteDown('commands', new Error('gone'));
    now += 1_999;
    expect(availability.isLeftAlone).toBe(false);
    availability.noteDown('commands', new Error('gone'));
    now += 1_999;
    availability.noteDown('feed', new Error('gone'));
    expect(availability.isLeftAlone).toBe(false);
    now += 1;
    expect(availability.isLeftAlone).toBe(true);
    availability.noteUp('commands');
    expect(availability.isLeftAlone).toBe(false);
  });

  test('no timer is left behind by an answer', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
    try {
      expect(await availability.withTimeout(Promise.resolve('answer'))).toBe('answer');
      expect(jest.getTimerCount()).toBe(0);
    } finally {
      jest.useRealTimers();
    }
  });
});
