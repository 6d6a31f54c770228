/** The store on a Cluster that loses a master, or what a master held: the copies of the global cutoff, and who is refused. */

import { Cluster } from 'ioredis';

import { CUTOFF_FOR, type GlobalCutoff } from '../../../lib/core/cutoff.js';
import type { SessionPolicy } from '../../../lib/core/policy.js';
import { sessionUser, type SessionUser } from '../../../lib/core/session.js';
import { slotOf } from '../../../lib/stores/redis/slots.js';
import { redisStore } from '../../../lib/stores/redis/store.js';
import type { RevocationFeed, SessionStore } from '../../../lib/stores/store.js';
import { eventually, startCluster, startRedis, type RedisCluster } from '../../support/redis.js';

const HOUR = 3600_000;
const COPIES = ['feed', 'feed-0', 'feed-1', 'feed-2', 'feed-3'].map((tag) => `ms:{${tag}}:global-cutoff`);
const REQUEST = { reason: 'incident', by: 'operator', at: 0 };
const POLICY: SessionPolicy = {
  idleTimeout: null,
  clockTolerance: 5000,
  tombstoneFor: 24 * HOUR,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
};

let cluster: RedisCluster;
let client: Cluster;
const opened: SessionStore[] = [];

beforeAll(async () => {
  cluster = await startCluster();
  for (const master of cluster.masters) await master.cli('config', 'set', 'cluster-require-full-coverage', 'no');
});
beforeEach(async () => {
  client = new Cluster(cluster.nodes);
  await Promise.all(cluster.masters.map((master) => master.cli('flushall')));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
  client.disconnect();
});
afterAll(() => cluster.stop());

interface Open {
  readonly store: SessionStore;
  readonly told: GlobalCutoff[];
  /** Starts to read the feed. */
  listen(): RevocationFeed;
}

function open(storeTimeout = 10_000): Open {
  const store = redisStore(client);
  // An idle feed of it would wait for minutes.
  store.configure({ storeTimeout, revocationBound: HOUR });
  opened.push(store);
  const told: GlobalCutoff[] = [];
  const listener = {
    notice: () => undefined,
    globalCutoff: (cutoff: GlobalCutoff) => void told.push(cutoff),
    gap: () => undefined,
  };
  return { store, told, listen: () => store.feed(listener) };
}

const standing = (): Promise<(string | null)[]> => Promise.all(COPIES.map((key) => client.get(key)));
/** The one that all copies hold. */
async function common(): Promise<string> {
  const texts = new Set(await standing());
  expect(texts.size).toBe(1);
  const [text] = texts;
  if (typeof text !== 'string') throw new Error('There is none');
  return text;
}
const momentOf = (text: string): number => Number(text.split('\n')[0]);
/** The master that has a slot, by its place in the list. */
const placeOf = (key: string): number => Math.floor(slotOf(key) / Math.ceil(16_384 / 3));

describe('the copies of the global cutoff', () => {
  test('lie on every master, whether the slots are shared by three, four or five', () => {
    for (const masters of [3, 4, 5]) {
      const places = COPIES.map((key) => Math.floor(slotOf(key) / Math.ceil(16_384 / masters)));
      expect(new Set(places).size).toBeGreaterThanOrEqual(Math.min(masters, 4));
    }
  });

  test('are all written by the time it is acknowledged, for a year', async () => {
    const { store } = open();
    await store.endEverywhere(REQUEST);
    expect(await common()).toContain(store.origin);
    for (const key of COPIES) expect(await client.pttl(key)).toBeGreaterThan(CUTOFF_FOR - HOUR);
  });

  test('are one, if the server is no Cluster', async () => {
    const redis = await startRedis();
    try {
      const store = redisStore(redis.url);
      store.configure({ storeTimeout: 10_000, revocationBound: HOUR });
      opened.push(store);
      await store.endEverywhere(REQUEST);
      const keys = (await redis.cli('keys', 'ms:*global-cutoff')) as string[];
      expect(keys).toEqual([COPIES[0]]);
    } finally {
      await redis.stop();
    }
  });

  test.each(COPIES)('that of %s alone is enough, before the feed counts and for who asks', async (left) => {
    await open().store.endEverywhere(REQUEST);
    const text = await common();
    for (const key of COPIES) if (key !== left) await client.del(key);
    const [reader, asker] = [open(), open()];
    const feed = reader.listen();
    await eventually('the feed counts', () => Promise.resolve(feed.age() < Infinity));
    expect(reader.told).toMatchObject([{ at: momentOf(text), reason: 'incident' }]);

    asker.listen();
    await asker.store.catchUp();
    expect(asker.told).toMatchObject([{ at: momentOf(text) }]);
    await asker.store.catchUp();
    expect(await common()).toBe(text);
  });

  test('who cannot write one is not acknowledged, is in force, and can be repeated', async () => {
    const { store } = open();
    const other = open();
    other.listen();
    for (const key of COPIES) {
      const before = other.told.length;
      await client.del(key);
      await client.lpush(key, 'no string');
      await expect(store.endEverywhere(REQUEST)).rejects.toMatchObject({ code: 'store_unavailable' });
      await other.store.catchUp();
      // The copy beside the feed is written first.
      expect(other.told.length > before).toBe(key !== COPIES[0]);
      await client.del(key);
      await store.endEverywhere(REQUEST);
      const text = await common();
      await other.store.catchUp();
      expect(other.told.at(-1)?.at).toBe(momentOf(text));
    }
    const moments = other.told.map(({ at }) => at);
    expect(moments).toEqual([...new Set(moments)].sort((a, b) => a - b));
  });

  test('agree on the last of several that are set at once', async () => {
    const all = [open(), open(), open()];
    for (const one of all) one.listen();
    await Promise.all(all.flatMap(({ store }) => [store.endEverywhere(REQUEST), store.endEverywhere(REQUEST)]));
    const text = await common();
    for (const { store, told } of all) {
      await store.catchUp();
      expect(told.at(-1)?.at).toBe(momentOf(text));
    }
  });

  test('of which one is later, by whatever clock: it stands, and the next one is later still', async () => {
    const ahead = Date.now() + HOUR;
    await client.set(COPIES[3]!, [ahead, 'another', 'somebody', 'incident'].join('\n'));
    const { store, told, listen } = open();
    listen();
    await store.endEverywhere(REQUEST);
    expect(told.at(-1)).toMatchObject({ at: ahead, origin: 'another' });
    await store.catchUp();
    expect(momentOf(await common())).toBe(ahead);
    await store.endEverywhere(REQUEST);
    expect(momentOf(await common())).toBe(ahead + 1);
  });
});

test('while a master hangs, all others are answered, however many wait for it', async () => {
  const hanging = placeOf('{feed}');
  const of: SessionUser[][] = [[], [], []];
  for (let n = 0; of.some((users) => users.length < 300); n += 1) {
    const user = sessionUser('https://id.example.com/', String(n));
    of[placeOf(`{${user.key}}`)]!.push(user);
  }
  const sight = (store: SessionStore, user: SessionUser): ReturnType<SessionStore['sight']> => {
    const at = Date.now();
    const token = { beganAt: at, expiresAt: at + HOUR, lifetime: null, sessionEndsAt: null };
    const sighting = { at, ip: null, userAgent: null };
    return store.sight(user, { handle: 'h'.repeat(22), sighting, token, policy: POLICY });
  };
  const { store } = open(2000);
  for (const users of of) await sight(store, users[0]!);
  const master = cluster.masters[hanging]!;
  master.pause();
  try {
    let waiting = 0;
    let [refused, answered] = [0, 0];
    const ask = (user: SessionUser): void => {
      waiting += 1;
      void sight(store, user).catch(() => {
        refused += 1;
        waiting -= 1;
      });
    };
    for (let n = 0; n < 300 || waiting > 0; n += 1) {
      if (n < 300) ask(of[hanging]![n]!);
      // Rejects if this master's users are refused with the others.
      await sight(store, of[(hanging + 1 + (n % 2)) % 3]![n % 300]!);
      answered += 1;
    }
    expect(refused).toBe(300);
    expect(answered).toBeGreaterThanOrEqual(300);
    for (const users of of)
      if (users !== of[hanging]) expect(await sight(store, users[1]!)).toMatchObject({ state: 'live' });
  } finally {
    master.resume();
  }
  await eventually('its users are answered', () => sight(store, of[hanging]![0]!).catch(() => undefined));
});
