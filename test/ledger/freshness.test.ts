/** How old what is known may be, and whether the store can be reached: on a clock that the test sets. */

import { LoginError } from '../../lib/core/errors.js';
import { Availability } from '../../lib/ledger/availability.js';
import { FeedFreshness } from '../../lib/ledger/freshness.js';
import { KnownGlobalCutoff } from '../../lib/ledger/global-cutoff.js';

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
    feedAge = 4_000;
    expect(freshness.ageOf(vouch)).toBe(3_000);
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
