import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';

import fc from 'fast-check';
import { Cluster, Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';

import { sessionHandle, sessionUser } from '../../../lib/core/session.js';
import {
  FEED_CONNECTION,
  redisFeed,
  type FeedConnection,
  type RedisFeedOptions,
} from '../../../lib/stores/redis/feed.js';
import { Announcer } from '../../../lib/stores/redis/announcer.js';
import { keyList, PUBLISH, type FeedKeys } from '../../../lib/stores/redis/feed-scripts.js';
import { decodeNotice, encodeNotice } from '../../../lib/stores/redis/notices.js';
import { redisStore } from '../../../lib/stores/redis/store.js';
import type { FeedListener, Notice, RevocationFeed } from '../../../lib/stores/store.js';
import {
  eventually,
  monitorOf,
  startCluster,
  startRedis,
  startSentinel,
  type MonitoredCommand,
  type TestRedis,
} from '../../support/redis.js';
import { startSite } from '../../support/site.js';
import { startProxy, type TcpProxy } from '../../support/tcp-proxy.js';

const STREAM = '{feed}:stream';
const EPOCH = '{feed}:epoch';
const COUNTER = '{feed}:count';
const KEYS: FeedKeys = { stream: STREAM, epoch: EPOCH, counter: COUNTER, globalCutoff: '{feed}:global-cutoff' };
const BOUND = 400;
/** The feed's own wait, two fifths of the bound. */
const BLOCK = 160;
/** Generous: only a test that waits for it says less. */
const STORE_TIMEOUT = 2000;
const IMPATIENT = { storeTimeout: 200 };
/** Soon, for a machine that is busy; longer than {@link IMPATIENT} waits, and far less than forever. */
const SOON = 5000;

const user = sessionUser('https://id.example.com/', 'ada');
const ORIGIN = 'abcdefghijkl';

/** A notice that can be told from others by its number. */
function numbered(n: number): Notice {
  const ending = { cause: 'revoked', reason: `no ${n}`, by: null, at: n, expiresAt: null, origin: ORIGIN } as const;
  return { kind: 'ended', user, tombstone: { handle: sessionHandle(user, String(n)), ending, until: n + 1 } };
}

const numberOf = (notice: Notice): number => (notice.kind === 'ended' ? notice.tombstone.ending.at : NaN);
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

const until = (what: string, holds: () => boolean | Promise<boolean>): Promise<boolean> =>
  eventually(what, async () => holds());

type FeedTeller = Pick<FeedListener, 'notice' | 'gap'>;

/** Writes down what a feed tells. */
class Recorder implements FeedTeller {
  readonly numbers: number[] = [];
  readonly gaps: string[] = [];
  notice(notice: Notice): void {
    this.numbers.push(numberOf(notice));
  }
  gap(cause: string): void {
    this.gaps.push(cause);
  }
}

let redis: TestRedis;
let proxy: TcpProxy;
let writer: Redis;
const feeds: RevocationFeed[] = [];

beforeAll(async () => {
  redis = await startRedis();
  writer = new Redis(redis.port, { retryStrategy: () => 20, maxRetriesPerRequest: null });
  writer.on('error', () => undefined);
});

beforeEach(async () => {
  await writer.flushall();
  proxy = await startProxy({ port: redis.port });
});

afterEach(async () => {
  await Promise.all(feeds.splice(0).map((feed) => feed.close()));
  await proxy.close();
});

afterAll(async () => {
  writer.disconnect();
  await redis.stop();
});

const noScript = (): Promise<never> => Promise.reject(new Error('This process announces nothing'));

const connection = (port: number, options: object = {}): Redis => new Redis(port, { ...FEED_CONNECTION, ...options });

function openFeed(listener: FeedTeller, overrides: Partial<RedisFeedOptions> = {}): RevocationFeed {
  const options: RedisFeedOptions = {
    open: () => connection(proxy.port),
    keys: KEYS,
    globalCutoff: { text: '', learn: () => undefined, askElsewhere: () => Promise.resolve() },
    announced: new Announcer({ keys: KEYS, revocationBound: BOUND, run: noScript, elapsed: () => 0 }),
    revocationBound: BOUND,
    storeTimeout: STORE_TIMEOUT,
    ...overrides,
  };
  const feed = redisFeed(options, listener);
  feeds.push(feed);
  return feed;
}

/** A feed past its first round. */
async function startFeed(
  listener: FeedTeller = new Recorder(),
  overrides: Partial<RedisFeedOptions> = {},
): Promise<RevocationFeed> {
  const feed = openFeed(listener, overrides);
  await until('the first round counts', () => feed.age() < Infinity);
  return feed;
}

const publishTexts = (...texts: string[]): Promise<unknown> => publishTextsOn(writer, texts);

const publishOn = (client: Redis | Cluster, n: number): Promise<unknown> =>
  publishTextsOn(client, [encodeNotice(numbered(n))]);

function publishTextsOn(client: Redis | Cluster, entries: readonly string[]): Promise<unknown> {
  const args = PUBLISH.args({ newEpoch: randomUUID(), liveFor: 3_600_000, trimmedFrom: 60_000, entries });
  return client.eval(PUBLISH.lua, 4, ...keyList(KEYS), ...args);
}

const publish = (...numbers: number[]): Promise<unknown> =>
  publishTexts(...numbers.map((n) => encodeNotice(numbered(n))));

/** Rounds that began after this moment count. */
async function untilFresh(feed: RevocationFeed): Promise<void> {
  const now = performance.now();
  await until('a new round counts', () => feed.age() < performance.now() - now);
}

const blockedClients = async (): Promise<number> =>
  Number(/blocked_clients:(\d+)/.exec(await writer.info('clients'))?.[1]);
const untilBlocked = (): Promise<boolean> => until('the feed blocks', async () => (await blockedClients()) === 1);

describe('a feed', () => {
  it.each<[string, () => FeedConnection]>([
    ['ioredis 6', () => connection(proxy.port)],
    ['ioredis 6, RESP2', () => connection(proxy.port, { protocol: 2 })],
    ['ioredis 6, RESP3 replies', () => connection(proxy.port, { replyMapping: 'resp3' })],
    ['ioredis 5', () => new Redis5(proxy.port, { ...FEED_CONNECTION })],
    ['a duplicate of a client with settings of its own', () => impatientClient().duplicate({ ...FEED_CONNECTION })],
  ])('tells entries in order over %s', async (_, open) => {
    const recorder = new Recorder();
    const feed = openFeed(recorder, { open });
    expect(feed.age()).toBe(Infinity);
    await untilFresh(feed);
    await publish(0, 1);
    for (const n of [2, 3, 4]) await publish(n);
    await until('all are told', () => recorder.numbers.length === 5);
    await untilFresh(feed);
    expect(recorder).toMatchObject({ numbers: upTo(5), gaps: [] });
    expect(feed.lastError()).toBeNull();
  });

  function impatientClient(): Redis {
    return new Redis(proxy.port, {
      lazyConnect: true,
      enableOfflineQueue: false,
      enableAutoPipelining: true,
      commandTimeout: BLOCK / 2,
      socketTimeout: BLOCK / 2,
      blockingTimeout: BLOCK / 4,
    });
  }

  it('says nothing of what was written before its first round', async () => {
    await publish(0, 1);
    const recorder = new Recorder();
    const feed = await startFeed(recorder);
    await publish(2);
    await until('the new one is told', () => recorder.numbers.length > 0);
    await untilFresh(feed);
    expect(recorder).toMatchObject({ numbers: [2], gaps: [] });
  });

  it('is told of the first entry that Redis ever held', async () => {
    const recorder = new Recorder();
    const feed = await startFeed(recorder);
    await untilBlocked();
    await publish(0);
    await until('it is told', () => recorder.numbers.length === 1);
    await untilFresh(feed);
    expect(recorder).toMatchObject({ numbers: [0], gaps: [] });
  });

  it('stays fresh while nothing happens', async () => {
    const feed = await startFeed(new Recorder(), { revocationBound: 4000 });
    let [rounds, oldest, before] = [0, 0, feed.age()];
    await until('four rounds counted', () => {
      const age = feed.age();
      if (age < before) rounds++;
      before = age;
      oldest = Math.max(oldest, age);
      return rounds === 4;
    });
    expect(oldest).toBeLessThan(4000);
    expect(proxy.accepted()).toBe(1);
  });

  it.each(['down', 'up', 'both'] as const)('replaces a connection that fell silent (%s)', async (direction) => {
    const recorder = new Recorder();
    const feed = await startFeed(recorder, IMPATIENT);
    await untilBlocked();
    const accepted = proxy.accepted();
    proxy.blackhole(direction);
    const silentAt = performance.now();
    await until('another connection is opened', () => proxy.accepted() > accepted);
    expect(performance.now() - silentAt).toBeLessThan(SOON);
    expect(feed.age()).toBeGreaterThanOrEqual(BLOCK + 200);
    expect(feed.lastError()?.message).toBe('Redis did not answer within 200 ms');
    await publish(0);
    expect(recorder.numbers).toEqual([]);
    await proxy.heal();
    await until('what was written meanwhile is told', () => recorder.numbers.length === 1);
    await untilFresh(feed);
    expect(recorder.gaps).toEqual([]);
    expect(feed.lastError()).toBeNull();
  });

  it('counts the time that a reply was under way', async () => {
    const feed = await startFeed();
    await untilBlocked();
    proxy.delay(150, 'down');
    await untilFresh(feed);
    await untilFresh(feed);
    expect(feed.age()).toBeGreaterThanOrEqual(150);
  });

  it('goes on after a lost connection where it stood', async () => {
    const recorder = new Recorder();
    const feed = await startFeed(recorder);
    await publish(0);
    await until('it is told', () => recorder.numbers.length === 1);
    proxy.refuse();
    proxy.cut();
    await until('the failure shows', () => feed.lastError() !== null);
    await publish(1, 2);
    await publish(3);
    await proxy.heal();
    await until('all are told', () => recorder.numbers.length === 4);
    await untilFresh(feed);
    expect(recorder).toMatchObject({ numbers: upTo(4), gaps: [] });
    expect(feed.lastError()).toBeNull();
  });

  it('keeps its connection when it was the process that was held up', async () => {
    let opened = 0;
    function open(): FeedConnection {
      opened++;
      return connection(redis.port);
    }
    const feed = await startFeed(new Recorder(), { storeTimeout: 500, open });
    await untilBlocked();
    const end = performance.now() + 2 * (BLOCK + 500);
    while (performance.now() < end);
    await untilFresh(feed);
    expect(opened).toBe(1);
  });

  it('goes on after CLIENT KILL', async () => {
    const recorder = new Recorder();
    const feed = await startFeed(recorder);
    await untilBlocked();
    await writer.call('client', 'kill', 'type', 'normal', 'skipme', 'yes');
    await publish(0);
    await until('it is told', () => recorder.numbers.length === 1);
    await untilFresh(feed);
    expect(recorder.gaps).toEqual([]);
    expect(proxy.accepted()).toBeGreaterThan(1);
  });

  it('ages in CLIENT PAUSE, and goes on after it', async () => {
    const recorder = new Recorder();
    const feed = await startFeed(recorder, IMPATIENT);
    await untilBlocked();
    await writer.call('client', 'pause', 2500, 'all');
    await until('it has aged', () => feed.age() > 2 * BLOCK + 200);
    await publish(0);
    await until('it is told', () => recorder.numbers.length === 1);
    await untilFresh(feed);
    expect(recorder.gaps).toEqual([]);
  });

  it('reads a backlog of 10,000 in order, and is fresh only at its end', async () => {
    const recorder = new Recorder();
    const ages: number[] = [];
    const feed = await startFeed({
      notice(notice) {
        recorder.notice(notice);
        ages.push(feed.age());
      },
      gap: (cause) => recorder.gap(cause),
    });
    proxy.refuse();
    proxy.cut();
    await until('the failure shows', () => feed.lastError() !== null);
    const cutAge = feed.age();
    for (let i = 0; i < 20; i++) await publish(...upTo(500).map((n) => i * 500 + n));
    await proxy.heal();
    await until('all are told', () => recorder.numbers.length === 10_000);
    await untilFresh(feed);
    expect(recorder.numbers).toEqual(upTo(10_000));
    expect(recorder.gaps).toEqual([]);
    expect(Math.min(...ages)).toBeGreaterThanOrEqual(cutAge);
  });

  it('is not fresh on a replica, which may lag', async () => {
    const recorder = new Recorder();
    const feed = await startFeed(recorder);
    await publish(0);
    await until('it is told', () => recorder.numbers.length === 1);
    await writer.call('replicaof', '127.0.0.1', '1');
    await until('the refusal shows', () => feed.lastError()?.message.includes('READONLY') === true);
    const age = feed.age();
    await until('it was tried again', () => feed.age() > age + 2 * BLOCK);
    await writer.call('replicaof', 'no', 'one');
    await publish(1);
    await until('it is told', () => recorder.numbers.length === 2);
    await untilFresh(feed);
    expect(recorder.gaps).toEqual([]);
  });

  it('says why Redis refuses it, and recovers', async () => {
    const recorder = new Recorder();
    const feed = await startFeed(recorder, IMPATIENT);
    const says = (code: string): Promise<boolean> =>
      until(`${code} shows`, () => feed.lastError()?.message.includes(code) === true);

    await writer.config('SET', 'lua-time-limit', '5');
    const looper = writer.duplicate();
    const loop = looper.eval('while true do end', 0).catch(() => undefined);
    await says('BUSY');
    await until('the script is ended', () =>
      writer.script('KILL').then(
        () => true,
        () => false,
      ),
    );
    await loop;
    looper.disconnect();
    await untilFresh(feed);
    expect(feed.lastError()).toBeNull();

    await writer.config('SET', 'requirepass', 'hush');
    await writer.call('client', 'kill', 'type', 'normal', 'skipme', 'yes');
    await says('NOAUTH');
    await writer.config('SET', 'requirepass', '');
    await untilFresh(feed);
    expect(recorder.gaps).toEqual([]);
  });

  it('shows no password', async () => {
    const open = (): Redis => connection(proxy.port, { username: 'ada', password: 'hush-hush' });
    const feed = openFeed(new Recorder(), { open });
    await until('the refusal shows', () => feed.lastError() !== null);
    expect(feed.lastError()?.message).toMatch(/WRONGPASS/);
    expect(inspect(feed.lastError(), { showHidden: true, depth: null })).not.toContain('hush-hush');
    expect(feed.age()).toBe(Infinity);
  });
});

describe('a gap', () => {
  const clearly = /begun anew|counts|is gone, or is another one/;

  /** As if the last of two entries had not come through. */
  async function failOverToLagging(): Promise<void> {
    const [first] = await writer.xrange(STREAM, '-', '+', 'COUNT', 1);
    await writer
      .multi()
      .del(STREAM)
      .xadd(STREAM, first![0], ...first![1])
      .set(COUNTER, 1)
      .exec();
  }

  it.each<[string, () => Promise<unknown>]>([
    ['FLUSHALL', () => writer.flushall()],
    ['the stream deleted', () => writer.del(STREAM)],
    [
      'the stream deleted and written anew',
      async () => {
        await writer.del(STREAM);
        await publish(100);
      },
    ],
    ['the epoch deleted', () => writer.del(EPOCH)],
    ['the counter deleted', () => writer.del(COUNTER)],
    ['another epoch', () => writer.set(EPOCH, 'another')],
    ['a lower counter', () => writer.decr(COUNTER)],
    [
      'an entry written and trimmed',
      async () => {
        await writer
          .multi()
          .xadd(STREAM, '*', 'n', encodeNotice(numbered(100)))
          .incr(COUNTER)
          .xtrim(STREAM, 'MAXLEN', 0)
          .exec();
      },
    ],
    ['an entry written beside the counter', () => writer.xadd(STREAM, '*', 'n', encodeNotice(numbered(100)))],
    [
      'older ids under an equal counter',
      async () => {
        const [count, epoch] = await writer.mget(COUNTER, EPOCH);
        await writer
          .multi()
          .del(STREAM)
          .xadd(STREAM, '1-1', 'n', encodeNotice(numbered(100)))
          .set(COUNTER, count!)
          .set(EPOCH, epoch!)
          .exec();
      },
    ],
  ])('is told of once after %s, while the feed is connected', async (_, lose) => {
    const recorder = new Recorder();
    const feed = await startFeed(recorder);
    await publish(0, 1);
    await until('they are told', () => recorder.numbers.length === 2);
    await untilBlocked();
    await lose();
    await until('the gap is told', () => recorder.gaps.length > 0);
    await untilFresh(feed);
    await untilFresh(feed);
    expect(recorder.gaps).toEqual([expect.stringMatching(clearly)]);
    await publish(200);
    await until('the feed goes on', () => recorder.numbers.includes(200));
    expect(proxy.accepted()).toBe(1);
  });

  it.each<[string, () => Promise<unknown>]>([
    [
      'the stream trimmed past it',
      async () => {
        await publish(2, 3);
        await writer.xtrim(STREAM, 'MAXLEN', 1);
      },
    ],
    ['a Redis that restarted empty', () => redis.restart({ keepData: false })],
    [
      'a Redis that restarted empty and was written to',
      async () => {
        await redis.restart({ keepData: false });
        await publish(3);
      },
    ],
    ['a failover to a replica that lagged', failOverToLagging],
    [
      'a failover to a replica that lagged, and was written to',
      async () => {
        await failOverToLagging();
        await publish(2);
      },
    ],
  ])('is told of after %s while the feed was away', async (_, lose) => {
    const recorder = new Recorder();
    const feed = await startFeed(recorder);
    await publish(0, 1);
    await until('they are told', () => recorder.numbers.length === 2);
    proxy.refuse();
    proxy.cut();
    await until('the failure shows', () => feed.lastError() !== null);
    await lose();
    expect(recorder.gaps).toEqual([]);
    await proxy.heal();
    await until('the gap is told', () => recorder.gaps.length > 0);
    await untilFresh(feed);
    expect(recorder.gaps).toEqual([expect.stringMatching(clearly)]);
    await publish(200);
    await until('the feed goes on', () => recorder.numbers.includes(200));
  });

  describe('after ids came back', () => {
    const SECOND = 1000;
    const MINUTE = 60 * SECOND;
    let now: number;

    beforeEach(async () => {
      const [seconds] = await writer.time();
      now = Number(seconds) * SECOND;
    });

    /** Makes the stream consist of these entries: how long before now each was written, and its number. */
    async function rewrite(...entries: readonly (readonly [ago: number, n: number])[]): Promise<void> {
      const rewriting = writer.multi().del(STREAM).set(COUNTER, entries.length).set(EPOCH, 'the same');
      for (const [ago, n] of entries) rewriting.xadd(STREAM, `${now - ago}-0`, 'n', encodeNotice(numbered(n)));
      await rewriting.exec();
    }

    /** A feed that stands on the last of these entries and was cut. The first was there before it, and it read the others. */
    async function standing(
      recorder: Recorder,
      ...entries: readonly (readonly [ago: number, n: number])[]
    ): Promise<RevocationFeed> {
      await rewrite(...entries.slice(0, 1));
      const feed = await startFeed(recorder);
      await rewrite(...entries);
      await until('they are told', () => recorder.numbers.length === entries.length - 1);
      proxy.refuse();
      proxy.cut();
      await until('the failure shows', () => feed.lastError() !== null);
      expect(recorder.gaps).toEqual([]);
      return feed;
    }

    const first = [20 * SECOND, 0] as const;

    it.each<[string, (readonly [number, number])[], (readonly [number, number])[]]>([
      [
        'k entries were lost, k new ones are at or below the place, and one is above it',
        [first, [9000, 1], [6000, 2], [3000, 3]],
        [first, [8000, 11], [4000, 12], [3000, 13], [0, 14]],
      ],
      [
        'k entries were lost, k new ones are below the place, and one is above it',
        [first, [9000, 1], [6000, 2], [3000, 3]],
        [first, [8000, 11], [5000, 12], [4000, 13], [0, 14]],
      ],
      [
        'a failover to a replica whose clock is 2 s behind: one lost, one new below, one above',
        [first, [3000, 1]],
        [first, [4990, 11], [2990, 12]],
      ],
      ['one entry has the same id and another content', [first, [3000, 1]], [first, [3000, 11]]],
      ['the entry on which it took its place has another content', [first], [[20 * SECOND, 11]]],
      [
        'the entry on which it took its place was lost, and one is below it',
        [first],
        [
          [21 * SECOND, 11],
          [0, 12],
        ],
      ],
      [
        'everything was lost, and as much was written',
        [first, [3000, 1]],
        [
          [4000, 11],
          [3500, 12],
        ],
      ],
      [
        'an old entry was lost, and an earlier one is there',
        [
          [13 * MINUTE, 0],
          [12 * MINUTE, 1],
        ],
        [
          [13 * MINUTE, 0],
          [12.5 * MINUTE, 11],
          [0, 12],
        ],
      ],
      [
        'an old entry has another content',
        [
          [13 * MINUTE, 0],
          [12 * MINUTE, 1],
        ],
        [
          [13 * MINUTE, 0],
          [12 * MINUTE, 11],
        ],
      ],
    ])('is told of: %s', async (_, before, after) => {
      const recorder = new Recorder();
      const feed = await standing(recorder, ...before);
      await rewrite(...after);
      await proxy.heal();
      await until('the gap is told', () => recorder.gaps.length > 0);
      await untilFresh(feed);
      await publish(200);
      await until('the feed goes on', () => recorder.numbers.includes(200));
      await untilFresh(feed);
      expect(recorder.gaps).toEqual([expect.stringMatching(clearly)]);
    });

    it.each([
      ['is not told of', 10.1 * MINUTE, []],
      ['is told of', 9.9 * MINUTE, [expect.stringMatching(clearly)]],
    ])('%s after the entries up to the place were trimmed, %i ms after the last was written', async (_, ago, gaps) => {
      const recorder = new Recorder();
      const feed = await standing(recorder, [13 * MINUTE, 0], [ago, 1]);
      await publish(2, 3);
      await writer.xtrim(STREAM, 'MAXLEN', 2);
      await proxy.heal();
      await until('the new ones are told', () => recorder.numbers.length === 3);
      await untilFresh(feed);
      expect(recorder).toMatchObject({ numbers: [1, 2, 3], gaps });
    });

    it('is not told of by a feed that began on a stream whose last entry was deleted', async () => {
      await rewrite(first, [3000, 1]);
      await writer.xdel(STREAM, `${now - 3000}-0`);
      const recorder = new Recorder();
      const feed = await startFeed(recorder);
      await publish(2);
      await until('it is told', () => recorder.numbers.length === 1);
      await untilFresh(feed);
      expect(recorder).toMatchObject({ numbers: [2], gaps: [] });
    });

    it('is told of once if more than a page follows', async () => {
      const recorder = new Recorder();
      const feed = await standing(recorder, first, [3000, 1]);
      await rewrite(first, [3000, 11]);
      for (let i = 0; i < 3; i++) await publish(...upTo(200).map((n) => 1000 + i * 200 + n));
      await proxy.heal();
      await until('the gap is told', () => recorder.gaps.length > 0);
      await untilFresh(feed);
      await publish(200);
      await until('the feed goes on', () => recorder.numbers.includes(200));
      expect(recorder.gaps).toHaveLength(1);
    });
  });

  it.each([
    ['an entry of another text', (): Promise<unknown> => publishTexts('{"kind":"unknown"}')],
    ['an entry with another field', () => writer.multi().xadd(STREAM, '*', 'x', 'y').incr(COUNTER).exec()],
  ])('is told of after %s, and its neighbours are told', async (_, write) => {
    const recorder = new Recorder();
    const feed = await startFeed(recorder);
    await publish(0);
    await write();
    await publish(1);
    await until('the neighbours are told', () => recorder.numbers.length === 2);
    await untilFresh(feed);
    expect(recorder).toMatchObject({ numbers: [0, 1], gaps: ['an entry of the stream could not be read'] });
  });

  it('is told of after a listener threw on a notice', async () => {
    const recorder = new Recorder();
    const feed = await startFeed({
      notice(notice) {
        if (numberOf(notice) === 1) throw new Error('not now');
        recorder.notice(notice);
      },
      gap: (cause) => recorder.gap(cause),
    });
    await publish(0, 1, 2);
    await until('the others are told', () => recorder.numbers.length === 2);
    await untilFresh(feed);
    expect(recorder).toMatchObject({ numbers: [0, 2], gaps: ['a notice was not taken in'] });
  });

  it('is told again to a listener that threw, and the feed is not fresh before', async () => {
    const recorder = new Recorder();
    let ready = false;
    const feed = await startFeed({
      notice: (notice) => recorder.notice(notice),
      gap(cause) {
        if (!ready) throw new Error('not now');
        recorder.gap(cause);
      },
    });
    await publish(0);
    await until('it is told', () => recorder.numbers.length === 1);
    await writer.flushall();
    await until('the failure shows', () => feed.lastError()?.message === 'not now');
    const age = feed.age();
    await until('it was tried again', () => proxy.accepted() > 3);
    expect(feed.age()).toBeGreaterThan(age);
    ready = true;
    await until('the gap is told', () => recorder.gaps.length === 1);
    await untilFresh(feed);
    expect(recorder.gaps).toHaveLength(1);
  });
});

describe('close()', () => {
  /** Blocks for ten seconds, and waits for as long again. */
  const PATIENT = { revocationBound: 80_000, storeTimeout: 10_000 };

  async function promptly(feed: RevocationFeed): Promise<void> {
    const from = performance.now();
    await feed.close();
    expect(performance.now() - from).toBeLessThan(SOON);
  }

  it('ends a block', async () => {
    const recorder = new Recorder();
    const feed = await startFeed(recorder, PATIENT);
    await untilBlocked();
    await promptly(feed);
    await until('the connection is gone', () => proxy.connections() === 0);
    await until('Redis saw it go', async () => (await blockedClients()) === 0);
    await publish(0);
    expect(recorder.numbers).toEqual([]);
    expect(proxy.accepted()).toBe(1);
    expect(feed.lastError()).toBeNull();
    await feed.close();
  });

  it('ends at once before the first round, on a silent connection, and between two', async () => {
    await promptly(openFeed(new Recorder(), PATIENT));

    proxy.blackhole();
    const silenced = openFeed(new Recorder(), PATIENT);
    await until('it is connected', () => proxy.connections() > 0);
    await promptly(silenced);

    proxy.refuse();
    const refused = openFeed(new Recorder(), PATIENT);
    await until('the failure shows', () => refused.lastError() !== null);
    await promptly(refused);
    expect(refused.lastError()?.message).toMatch(/ECONNREFUSED/);
  });

  it.each([
    ['blocked', untilBlocked],
    [
      'that was refused',
      () => stopServing().then(() => until('the failure shows', () => feeds[0]?.lastError() !== null)),
    ],
  ])('leaves no socket and no timer of a feed %s', async (_, come) => {
    const held = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap' || name === 'Timeout').length;
    const before = held();
    const feed = await startFeed(new Recorder(), PATIENT);
    await come();
    await feed.close();
    await until('all is gone', () => held() <= before);
    expect(feeds).toEqual([feed]);
  });

  async function stopServing(): Promise<void> {
    proxy.refuse();
    proxy.cut();
  }
});

describe('the other copies of the global cutoff', () => {
  /** They answer when the test says so. */
  function copies(): Pick<RedisFeedOptions, 'globalCutoff'> & { readonly asked: (() => void)[] } {
    const asked: (() => void)[] = [];
    const askElsewhere = (): Promise<void> => new Promise((resolve) => asked.push(resolve));
    return { asked, globalCutoff: { text: '', learn: () => undefined, askElsewhere } };
  }

  it('are asked once on each connection, before a round counts', async () => {
    const { asked, globalCutoff } = copies();
    const feed = openFeed(new Recorder(), { globalCutoff });
    await until('they are asked', () => asked.length === 1);
    expect(feed.age()).toBe(Infinity);
    asked[0]!();
    await untilFresh(feed);
    await untilFresh(feed);
    expect(asked).toHaveLength(1);

    proxy.cut();
    await until('they are asked again', () => asked.length === 2);
    const age = feed.age();
    await until('it ages', () => feed.age() > age);
    asked[1]!();
    await untilFresh(feed);
    expect(asked).toHaveLength(2);
  });

  it('are asked after a gap, before the feed is fresh again', async () => {
    const { asked, globalCutoff } = copies();
    const recorder = new Recorder();
    const feed = openFeed(recorder, { globalCutoff });
    await until('they are asked', () => asked.length === 1);
    asked[0]!();
    await publish(0);
    await until('it is told', () => recorder.numbers.length === 1);
    await untilBlocked();
    await writer.flushall();
    await until('they are asked again', () => asked.length === 2);
    expect(recorder.gaps).toHaveLength(1);
    const age = feed.age();
    await until('it ages', () => feed.age() > age);
    asked[1]!();
    await untilFresh(feed);
  });

  it('are asked after a Cluster lost a node, whose replica may lack what this process never read', async () => {
    const { asked, globalCutoff } = copies();
    const opened: Redis[] = [];
    function open(): FeedConnection {
      const one = connection(proxy.port);
      opened.push(one);
      return one;
    }
    const feed = openFeed(new Recorder(), { globalCutoff, open });
    await until('they are asked', () => asked.length === 1);
    asked[0]!();
    await untilFresh(feed);
    opened[0]!.emit('-node');
    await until('they are asked again', () => asked.length === 2);
    asked[1]!();
    await untilFresh(feed);
    expect(proxy.accepted()).toBe(1);
  });
});

describe('an idle process', () => {
  it('sends at most one command a second, and its feed stays fresh', async () => {
    const server = await startRedis();
    const monitor = await monitorOf(server.port);
    const { sessions, stop } = await startSite({
      store: redisStore(server.url),
      revocationBound: '5s',
      storeTimeout: '1s',
    });
    const reads = (): MonitoredCommand[] => monitor.seen.filter(({ name }) => name === 'xread');
    try {
      await until('four rounds are over', () => reads().length > 4);
      // By the server's own clock: how soon this process looks is of no account. The first round has the end of the start.
      const [, first, , , last] = reads();
      const rounds = monitor.seen.filter(({ at }) => at > first!.at && at <= last!.at);
      expect(rounds.map(({ name }) => name)).toEqual(Array(3).fill(['evalsha', 'xread']).flat());
      expect(rounds.length).toBeLessThanOrEqual((last!.at - first!.at) / 1000);
      await until('its feed is fresh', () => sessions.health().feed.ok);
    } finally {
      await stop();
      monitor.stop();
      await server.stop();
    }
  });
});

describe('a connection that answers nonsense', () => {
  const good: readonly unknown[] = ['', '0', '0-0', '', [], '', '', '0', ''];

  /** Answers the script by `answer`; waits are over at once. */
  function answering(answer: () => unknown): () => FeedConnection {
    async function call(command: string): Promise<unknown> {
      await new Promise(setImmediate);
      return command === 'evalsha' ? answer() : null;
    }
    return () => ({ call, on: () => undefined, disconnect: () => undefined });
  }

  it.each<[string, unknown]>([
    ['null', null],
    ['a string', 'OK'],
    ['an object', {}],
    ['an empty list', []],
    ['a number for an epoch', [1, ...good.slice(1)]],
    ['a counter that is none', good.with(1, 'nought')],
    ['a counter without end', good.with(1, '1e400')],
    ['no last entry', good.with(3, null)],
    ['no entries', good.with(4, null)],
    ['an entry of another kind', good.with(4, ['x'])],
    ['an entry without an id', good.with(4, [[null, ['n', 'x']]])],
    ['a deleted entry', good.with(4, [['1-1', null]])],
    ['no end of the page', good.with(5, null)],
    ['no entry before', good.with(6, null)],
    ['a clock that is none', good.with(7, 'noon')],
    ['no global cutoff', good.with(8, null)],
  ])('never counts: %s', async (_, answer) => {
    let asked = 0;
    const open = answering(() => {
      asked++;
      return answer;
    });
    const feed = openFeed(new Recorder(), { open });
    await until('it was asked again', () => asked === 3);
    expect(feed.age()).toBe(Infinity);
    expect(feed.lastError()?.message).toMatch(/^Redis answered with/);
  });

  it('is replaced when it cannot even be opened', async () => {
    let tries = 0;
    function open(): FeedConnection {
      tries++;
      if (tries < 3) throw new Error('not yet');
      return answering(() => good)();
    }
    const feed = openFeed(new Recorder(), { open });
    await until('it is open', () => feed.age() < Infinity);
    expect(tries).toBe(3);
    expect(feed.lastError()).toBeNull();
  });

  it.each(['LOADING Redis is loading', 'CLUSTERDOWN Hash slot not served', 'MOVED 866 127.0.0.1:7001'])(
    'ages while it answers %s',
    async (message) => {
      let answer = (): unknown => good;
      const feed = openFeed(new Recorder(), { open: answering(() => answer()) });
      await until('it is fresh', () => feed.age() < Infinity);
      answer = () => {
        throw new Error(message);
      };
      await until('the failure shows', () => feed.lastError()?.message === message);
      const age = feed.age();
      await until('it ages', () => feed.age() > age + BLOCK);
      answer = () => good;
      await untilFresh(feed);
      expect(feed.lastError()).toBeNull();
    },
  );
});

describe('a feed over several servers', () => {
  it('goes on while its slot moves to another master of a Cluster, and ages when that is lost', async () => {
    const cluster = await startCluster();
    const client = new Cluster(cluster.nodes);
    try {
      const recorder = new Recorder();
      const open = (): FeedConnection => new Cluster(cluster.nodes, { redisOptions: { ...FEED_CONNECTION } });
      const feed = await startFeed(recorder, { open });
      await publishOn(client, 0);
      await until('it is told', () => recorder.numbers.length === 1);

      const slot = String(await client.cluster('KEYSLOT', STREAM));
      const ids = await Promise.all(cluster.masters.map(async (master) => String(await master.cli('cluster', 'myid'))));
      const holds = await Promise.all(cluster.masters.map((master) => master.cli('cluster', 'countkeysinslot', slot)));
      const from = holds.findIndex((count) => count === 3);
      const to = (from + 1) % 3;
      const [source, target] = [cluster.masters[from]!, cluster.masters[to]!];
      await target.cli('cluster', 'setslot', slot, 'importing', ids[from]!);
      await source.cli('cluster', 'setslot', slot, 'migrating', ids[to]!);
      await source.cli('migrate', '127.0.0.1', String(target.port), '', '0', '5000', 'keys', STREAM, EPOCH, COUNTER);
      for (const master of [target, source]) await master.cli('cluster', 'setslot', slot, 'node', ids[to]!);

      await publishOn(client, 1);
      await until('it is told', () => recorder.numbers.length === 2);
      await untilFresh(feed);
      expect(recorder).toMatchObject({ numbers: [0, 1], gaps: [] });

      // Then the master that holds the stream is lost.
      await target.kill();
      await until('the failure shows', () => feed.lastError() !== null);
      const age = feed.age();
      await until('it ages', () => feed.age() > age + BLOCK);
    } finally {
      client.disconnect();
      await Promise.all(feeds.splice(0).map((feed) => feed.close()));
      await cluster.stop();
    }
  });

  it('follows a Sentinel to the new master', async () => {
    const watched = await startSentinel();
    const { sentinels, name } = watched;
    const client = new Redis({ sentinels, name, retryStrategy: () => 50, maxRetriesPerRequest: null });
    client.on('error', () => undefined);
    try {
      const recorder = new Recorder();
      const feed = await startFeed(recorder, {
        open: () => new Redis({ sentinels, name, ...FEED_CONNECTION }),
      });
      await publishOn(client, 0);
      await client.call('wait', '1', '0');
      await until('it is told', () => recorder.numbers.length === 1);
      await watched.master.kill();
      await until('the failure shows', () => feed.lastError() !== null);
      // A promoted replica throws out whoever is connected.
      const role = (): Promise<unknown> => watched.replica.cli('role').catch(() => '');
      await until('the replica is promoted', async () => String(await role()).startsWith('master'));
      await publishOn(client, 1);
      await until('it is told', () => recorder.numbers.length === 2);
      await untilFresh(feed);
      expect(recorder).toMatchObject({ numbers: [0, 1], gaps: [] });
    } finally {
      client.disconnect();
      await Promise.all(feeds.splice(0).map((feed) => feed.close()));
      await watched.stop();
    }
  });
});

describe('a notice in the stream', () => {
  const moment = fc.integer({ min: -8.64e15, max: 8.64e15 });
  const handle = fc.string().map((id) => sessionHandle(user, id));
  const words = fc
    .string({ unit: 'grapheme', maxLength: 40 })
    // eslint-disable-next-line no-control-regex -- kept texts have none
    .map((text) => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' '));
  const anyUser = fc
    .tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }))
    .map(([i, s]) => sessionUser(i, s));
  const by = fc.option(words.filter((text) => text !== ''));
  const origin = fc.string({
    unit: fc.constantFrom('a', 'z', 'A', 'Z', '0', '9', '-', '_'),
    minLength: 1,
    maxLength: 22,
  });

  const notice: fc.Arbitrary<Notice> = fc.oneof(
    fc.record({
      kind: fc.constant('ended' as const),
      user: anyUser,
      tombstone: fc.record({
        handle,
        ending: fc.record({
          cause: fc.constantFrom('revoked' as const, 'expired' as const, 'idle' as const),
          reason: words,
          by,
          at: moment,
          expiresAt: fc.option(moment),
          origin: fc.option(origin),
        }),
        until: moment,
      }),
    }),
    fc.record({
      kind: fc.constant('cutoff' as const),
      user: anyUser,
      cutoff: fc.record({
        at: moment,
        except: fc.option(handle),
        reason: words,
        by,
        origin,
        isRestored: fc.boolean(),
        isBackdated: fc.boolean(),
        erasedAt: moment,
      }),
      ended: fc.array(fc.record({ handle, expiresAt: moment, until: moment }), { maxLength: 4 }),
    }),
    fc.record({
      kind: fc.constant('stale' as const),
      user: anyUser,
      staleTokens: fc.record({ at: moment, until: moment, reason: words, by }),
    }),
  );

  it('is read as it was written', () => {
    fc.assert(fc.property(notice, (written) => expect(decodeNotice(encodeNotice(written))).toEqual(written)));
  });

  it('keeps issuers and subjects that are no well-formed text', () => {
    const odd = sessionUser('\ud800', '\u0000\udfff');
    const written: Notice = { ...numbered(0), user: odd };
    expect(decodeNotice(encodeNotice(written))?.user).toEqual(odd);
  });

  it('holds words as they are kept: one line, bounded, well-formed', () => {
    const text = encodeNotice(numbered(0)).replace('"no 0"', JSON.stringify(`a\n\u0007\ud800${'b'.repeat(500)}`));
    const read = decodeNotice(text);
    expect(read?.kind === 'ended' && read.tombstone.ending.reason).toBe(`a  \ufffd${'b'.repeat(196)}`);
  });

  it('is nothing else than what is written', () => {
    const hostile = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      fc.array(fc.jsonValue(), { maxLength: 12 }).map((list) => JSON.stringify(list)),
      // One part of a true one replaced, left out or doubled.
      fc.tuple(notice, fc.nat(11), fc.jsonValue(), fc.nat(2)).map(([written, at, value, removed]) => {
        const parts: unknown[] = JSON.parse(encodeNotice(written));
        parts.splice(at, removed, value);
        return JSON.stringify(parts);
      }),
    );
    fc.assert(
      fc.property(hostile, (text) => {
        const read = decodeNotice(text);
        if (read !== undefined) expect(decodeNotice(encodeNotice(read))).toEqual(read);
      }),
      { numRuns: 1000 },
    );
  });

  const written = encodeNotice(numbered(0));
  it.each<[string, string]>([
    ['an empty text', ''],
    ['no JSON', 'e'],
    ['null', 'null'],
    ['an object', '{"0":"e"}'],
    ['an empty list', '[]'],
    ['an unknown kind', written.replace('"e"', '"z"')],
    ['a missing part', written.replace(/,"\w+"\]$/, ']')],
    ['a part too many', written.replace(/\]$/, ',1]')],
    ['a handle that is none', written.replace(numberedHandle(), '__proto__')],
    ['a handle with a line feed', written.replace(numberedHandle(), `${numberedHandle()}\\n`)],
    ['an unknown cause', written.replace('revoked', 'constructor')],
    ['a moment that is a string', written.replace(/1,("\w+")\]$/, '"1",$1]')],
    ['a moment that is infinite', written.replace(/1,("\w+")\]$/, '1e400,$1]')],
    ['a moment that is not a date', written.replace(/1,("\w+")\]$/, '8.65e15,$1]')],
    ['an origin that is not one', written.replace(ORIGIN, 'a b')],
    ['an origin that is too long', written.replace(ORIGIN, 'a'.repeat(23))],
    ['a subject that is a number', written.replace('"ada"', '1')],
  ])('is not %s', (_, text) => {
    expect(text).not.toBe(written);
    expect(decodeNotice(text)).toBeUndefined();
  });

  it('is not a cutoff with half an ending', () => {
    const cutoff = {
      at: 1,
      except: null,
      reason: 'left',
      by: null,
      origin: ORIGIN,
      isRestored: false,
      isBackdated: false,
      erasedAt: 0,
    };
    const ended = [{ handle: numberedHandle(), expiresAt: 2, until: 3 }];
    const text = encodeNotice({ kind: 'cutoff', user, cutoff, ended });
    expect(decodeNotice(text)).toEqual({ kind: 'cutoff', user, cutoff, ended });
    expect(decodeNotice(text.replace(',3],', '],'))).toBeUndefined();
  });

  function numberedHandle(): string {
    return sessionHandle(user, '0');
  }
});
