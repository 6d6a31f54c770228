/** The store on a real Cluster of three masters, and behind Sentinel. */

import { Cluster, Redis } from 'ioredis';
import { Cluster as Cluster5 } from 'ioredis5';

import type { SessionPolicy } from '../../../lib/core/policy.js';
import { sessionUser, type SessionUser } from '../../../lib/core/session.js';
import { redisStore, type RedisClient, type RedisStoreOptions } from '../../../lib/stores/redis/store.js';
import type { Notice, SessionStore } from '../../../lib/stores/store.js';
import { describeSessionStore } from '../../contract.js';
import { eventually, startCluster, startSentinel, type RedisCluster, type TestRedis } from '../../support/redis.js';

const HOUR = 3600_000;
const POLICY: SessionPolicy = {
  idleTimeout: null,
  clockTolerance: 5000,
  tombstoneFor: 24 * HOUR,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
};

const handle = (number: number): string => String(number).padStart(22, 'h');
const user = (number: number): SessionUser => sessionUser('https://id.example.com/', String(number));

function open(client: RedisClient, options: RedisStoreOptions = {}): SessionStore {
  const store = redisStore(client, options);
  store.configure({ storeTimeout: 5000, revocationBound: 20_000 });
  return store;
}

function sight(store: SessionStore, of: SessionUser, number = 1): ReturnType<SessionStore['sight']> {
  const at = Date.now();
  const token = { beganAt: at, expiresAt: at + HOUR, lifetime: null, sessionEndsAt: null };
  const sighting = { at, ip: '203.0.113.7', userAgent: null };
  return store.sight(of, { handle: handle(number), sighting, token, policy: POLICY });
}

function revoke(store: SessionStore, of: SessionUser, number = 1): ReturnType<SessionStore['revoke']> {
  return store.revoke(of, { handle: handle(number), reason: 'gone', by: null, at: Date.now(), policy: POLICY });
}

describe('a Cluster', () => {
  let cluster: RedisCluster;

  beforeAll(async () => {
    cluster = await startCluster({ withReplicas: true });
  });

  afterAll(() => cluster.stop());

  let stores = 0;
  for (const [name, openCluster] of [
    // Templates: nothing is ever sent on them.
    ['ioredis 6', () => new Cluster(cluster.nodes, { lazyConnect: true })],
    ['ioredis 5', () => new Cluster5(cluster.nodes, { lazyConnect: true })],
  ] as const) {
    describeSessionStore(`redisStore with a Cluster of ${name}`, () => {
      const client: RedisClient = openCluster();
      // Keys of its own: one that set a global cutoff leaves that behind.
      return Promise.resolve({ store: redisStore(client, { prefix: `ms${String((stores += 1))}` }) });
    });
  }

  test('users lie on all masters, and the feed tells of each', async () => {
    const client = new Cluster(cluster.nodes);
    const [one, other] = [open(client), open(client)];
    const heard: Notice[] = [];
    const feed = other.feed({
      notice: (notice) => void heard.push(notice),
      globalCutoff: () => undefined,
      gap: () => undefined,
    });
    try {
      await eventually('the feed is fresh', () => Promise.resolve(feed.age() < Infinity));
      const users = Array.from({ length: 30 }, (_, number) => user(number));
      await Promise.all(users.map((of) => sight(one, of)));
      const sizes = await Promise.all(cluster.masters.map((master) => master.cli('dbsize')));
      expect(sizes.every((size) => Number(size) > 0)).toBe(true);
      await Promise.all(users.map((of) => revoke(one, of)));
      await eventually('all were heard', () => Promise.resolve(heard.length === users.length));
      expect(heard.map((notice) => notice.user.key).sort()).toEqual(users.map(({ key }) => key).sort());
    } finally {
      await Promise.all([one.close(), other.close()]);
      client.disconnect();
    }
  });

  test('a slot that moves takes its users along, also where replicas must acknowledge', async () => {
    const client = new Cluster(cluster.nodes);
    const [store, durable] = [open(client), open(client, { minReplicas: 1 })];
    const of = user(1000);
    try {
      await sight(store, of, 1);
      await sight(store, of, 2);
      expect(await revoke(durable, of, 1)).toBe('ended');

      const key = `ms:{${of.key}}:s`;
      const { source, target } = await moveSlot(key);
      expect(await sight(store, of, 1)).toMatchObject({ state: 'ended' });
      // The durable connection is another, which has not heard of the move.
      expect(await revoke(durable, of, 2)).toBe('ended');
      // With the field `due`.
      expect(await target.cli('hlen', key)).toBe(3);
      await expect(source.cli('hlen', key)).rejects.toThrow(/MOVED/);
      expect(await sight(store, of, 3)).toMatchObject({ state: 'live' });
      expect(
        await durable.revokeAll(of, { except: null, reason: 'all', by: null, at: Date.now(), policy: POLICY }),
      ).toEqual({
        ended: 1,
      });
    } finally {
      await Promise.all([store.close(), durable.close()]);
      client.disconnect();
    }
  });

  /** As redis-cli reshards: the target imports, the keys go over, all are told. */
  async function moveSlot(key: string): Promise<{ source: TestRedis; target: TestRedis }> {
    const [any] = cluster.masters;
    const slot = String(await any?.cli('cluster', 'keyslot', key));
    const owners = await Promise.all(
      cluster.masters.map((master) =>
        master.cli('hlen', key).then(
          () => true,
          () => false,
        ),
      ),
    );
    const source = cluster.masters[owners.indexOf(true)];
    const target = cluster.masters[owners.indexOf(false)];
    if (source === undefined || target === undefined) throw new Error('One master has the slot, others do not');
    const [from, to] = [String(await source.cli('cluster', 'myid')), String(await target.cli('cluster', 'myid'))];
    await target.cli('cluster', 'setslot', slot, 'importing', from);
    await source.cli('cluster', 'setslot', slot, 'migrating', to);
    const keys = (await source.cli('cluster', 'getkeysinslot', slot, '100')) as string[];
    await source.cli('migrate', '127.0.0.1', String(target.port), '', '0', '5000', 'keys', ...keys);
    for (const master of [target, source]) await master.cli('cluster', 'setslot', slot, 'node', to);
    return { source, target };
  }
});

describe('Sentinel', () => {
  test('an acknowledged revocation outlives the master where a replica must have it', async () => {
    const watched = await startSentinel();
    const client = new Redis({ sentinels: watched.sentinels, name: watched.name, sentinelRetryStrategy: () => 100 });
    client.on('error', () => undefined);
    const store = open(client, { minReplicas: 1 });
    const of = user(1);
    try {
      await sight(store, of);
      expect(await revoke(store, of)).toBe('ended');
      await watched.master.kill();
      const answer = await eventually('the replica has taken over', () => sight(store, of).catch(() => undefined));
      expect(answer).toMatchObject({ state: 'ended', ending: { reason: 'gone' } });
      // It has no replica of its own, so it can promise nothing.
      await expect(revoke(store, of)).rejects.toMatchObject({ code: 'store_unavailable' });
    } finally {
      await store.close();
      client.disconnect();
      await watched.stop();
    }
  });
});
