/** Clocks that disagree: `storeUnsafe` is emitted once for each change, and never because a process is busy. */

import fc from 'fast-check';

import {
  managedSessions,
  redisStore,
  type ManagedSessions,
  type SessionEvents,
  type SessionStore,
} from '../../lib/index.js';
import { ClockComparison } from '../../lib/ledger/clocks.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';

const SECRET = 'a secret for tests, 32 bytes long';
const SECOND = 1000;
const HOUR = 3600 * SECOND;

type ClocksDiffer = Extract<SessionEvents['storeUnsafe'], { problem: 'clock' }>;

describe('what the store says of its clock', () => {
  const NOW = 1_700_000_000_000;
  const TOLERANCE = 5 * SECOND;
  let told: number[];

  beforeEach(() => (told = []));

  function comparing(clockTolerance = TOLERANCE, now = (): number => NOW): ClockComparison {
    return new ClockComparison({
      clock: { now },
      clockTolerance,
      emit: (name, event) => {
        expect(name).toBe('storeUnsafe');
        told.push((event as ClocksDiffer).difference);
      },
    });
  }

  test.each<[ahead: number, took: number, difference: number[]]>([
    [5000, 0, []],
    [5001, 0, [5001]],
    [5001.4, 700, [5001]],
    [-5000, 0, []],
    [-5001, 0, [-5001]],
    [-5700, 700, []],
    [-5701, 700, [-5001]],
    [-HOUR, HOUR, []],
    [NaN, 0, []],
  ])('%d ms ahead within the last %d ms: told %j', (ahead, took, difference) => {
    comparing().compare(NOW + ahead, took);
    expect(told).toEqual(difference);
  });

  test('a second is the smallest difference that is told', () => {
    const clocks = comparing(0);
    clocks.compare(NOW + 1000, 0);
    expect(told).toEqual([]);
    clocks.compare(NOW + 1001, 0);
    expect(told).toEqual([1001]);
  });

  test('is told again only after the clocks certainly agreed', () => {
    const clocks = comparing();
    clocks.compare(NOW + 6000, 0);
    clocks.compare(NOW + 7000, 0);
    // They may agree, or not.
    clocks.compare(NOW + 4000, 1001);
    clocks.compare(NOW - 5001, 1);
    clocks.compare(NOW - 6000, 0);
    expect(told).toEqual([6000]);
    clocks.compare(NOW + 4000, 1000);
    clocks.compare(NOW - 6000, 0);
    expect(told).toEqual([6000, -6000]);
  });

  test('clocks within the tolerance are never told of, however late a reply is read', () => {
    const moment = fc.nat(HOUR);
    fc.assert(
      fc.property(fc.integer({ min: -TOLERANCE, max: TOLERANCE }), moment, moment, (ahead, before, after) => {
        comparing().compare(NOW + ahead - after, before + after);
        expect(told).toEqual([]);
      }),
    );
  });
});

describe('with Redis', () => {
  let redis: TestRedis;
  let sessions: ManagedSessions;
  /** How far the option `clock` is ahead of the machine's. */
  let offset: number;
  /** The offset in each round of the feed, if its time was short enough to be certain of what it shows. */
  let rounds: number[];
  let told: ClocksDiffer[];

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());
  afterEach(() => sessions.close());

  function noting(store: SessionStore): SessionStore {
    return {
      ...store,
      feed: (listener) =>
        store.feed({
          ...listener,
          clock: (now, took) => {
            listener.clock?.(now, took);
            if (took < 2 * SECOND) rounds.push(offset);
          },
        }),
    };
  }

  function start(first: number, ...tolerances: ('10s' | '30s')[]): void {
    [offset, rounds, told] = [first, [], []];
    sessions = managedSessions({
      issuer: tolerances.map((clockTolerance, i) => ({
        issuer: `https://${i}.example.com/`,
        secret: SECRET,
        clockTolerance,
      })),
      store: noting(redisStore(redis.url)),
      clock: { now: () => Date.now() + offset },
      revocationBound: '2s',
    });
    sessions.on('storeUnsafe', (event) => told.push(event as ClocksDiffer));
  }

  /** Until two certain rounds more showed this offset. */
  async function set(to: number): Promise<void> {
    offset = to;
    rounds = [];
    await eventually('two rounds show it', async () => rounds.length >= 2);
  }

  test('is told when the clocks begin to differ, once each time', async () => {
    start(HOUR, '10s');
    await set(HOUR);
    await set(HOUR / 2);
    expect(told).toEqual([{ problem: 'clock', difference: expect.any(Number) as number }]);
    await set(0);
    expect(told).toHaveLength(1);
    await set(-HOUR);
    expect(told).toHaveLength(2);
    await set(-HOUR);
    await set(0);

    const [behind, ahead, ...others] = told.map(({ difference }) => difference);
    expect(behind).toBeLessThan(-HOUR + 60 * SECOND);
    expect(behind).toBeGreaterThanOrEqual(-HOUR);
    expect(ahead).toBeGreaterThan(HOUR - 60 * SECOND);
    expect(ahead).toBeLessThanOrEqual(HOUR);
    expect(others).toEqual([]);
  });

  test('the smallest tolerance of the issuers counts', async () => {
    start(-7 * SECOND, '30s', '10s');
    await set(-7 * SECOND);
    expect(told).toEqual([]);
    await set(-20 * SECOND);
    expect(told).toHaveLength(1);
  });
});
