/** One name that leads to another master after a failover, as with DNS or a load balancer. No connection is closed by it. */

import { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';

import { redisStore } from '../../../lib/index.js';
import { commandConnection } from '../../../lib/stores/redis/client.js';
import type { RedisClient } from '../../../lib/stores/redis/store.js';
import { eventually, isFollowing, type TestRedis } from '../../support/redis.js';
import { revoked, tokenOf, untilAnswers, untilFresh, type Site } from '../../support/site.js';
import { splitClient } from '../../support/split-client.js';
import { testTogether, used, type Started } from '../../support/started.js';
import type { TcpProxy } from '../../support/tcp-proxy.js';

const HOST = '127.0.0.1';
const PASSWORD = 'correct';

/** What leads to the name. */
const TARGETS: readonly (readonly [name: string, of: (port: number) => string | RedisClient])[] = [
  ['a URL', (port) => `redis://:${PASSWORD}@${HOST}:${String(port)}`],
  ['a client of ioredis 6', (port) => new Redis({ port, password: PASSWORD, lazyConnect: true })],
  ['a client of ioredis 5', (port) => new Redis5({ port, password: PASSWORD, lazyConnect: true })],
  [
    'a client of ioredis 6 without a ready check',
    (port) =>
      new Redis({ port, password: PASSWORD, lazyConnect: true, enableReadyCheck: false, reconnectOnError: null }),
  ],
];

/** What becomes of the old master. The other has been promoted, and the name leads to it. */
const FATES: readonly (readonly [name: string, befalls: (old: TestRedis, other: TestRedis) => Promise<void>])[] = [
  [
    'is a replica of the new one',
    async (old, other) => {
      await old.cli('replicaof', HOST, String(other.port));
      await eventually('the old master follows', () => isFollowing(old));
    },
  ],
  [
    'is a replica without its master, and serves no old data',
    async (old) => {
      await old.cli('config', 'set', 'replica-serve-stale-data', 'no');
      await old.cli('replicaof', HOST, '1');
    },
  ],
  [
    'hangs',
    (old) => {
      old.pause();
      return Promise.resolve();
    },
  ],
  ['is gone', (old) => old.kill()],
];

interface Pair {
  readonly master: TestRedis;
  readonly replica: TestRedis;
  readonly proxy: TcpProxy;
}

async function startPair(started: Started): Promise<Pair> {
  const secured = { password: PASSWORD };
  const masterAuth = ['--masterauth', PASSWORD];
  const master = await started.redis(masterAuth, secured);
  const replica = await started.redis([...masterAuth, '--replicaof', HOST, String(master.port)], secured);
  await eventually('the replica follows', () => isFollowing(replica));
  return { master, replica, proxy: await started.proxy(master) };
}

/** Everything works: requests, endings in every process, streams. */
async function expectWhole(sites: readonly Site[], person: string): Promise<void> {
  const token = tokenOf(person);
  for (const site of sites) await untilAnswers(site, token, 200);
  for (const site of sites) await untilFresh(site);
  const streams = await Promise.all(sites.map((site) => site.sessions.verify(token)));
  await revoked(sites[0]!, token);
  for (const site of sites) await untilAnswers(site, token, 401);
  for (const { session } of streams) await eventually('the stream ends', async () => session.signal.aborted);
}

const ROWS = TARGETS.flatMap(([target, of]) =>
  FATES.map(([fate, befalls]) => [`${target}: the old master ${fate}`, of, befalls] as const),
);

describe('after a failover, everything goes to the new master', () => {
  testTogether(ROWS, async (started, [, of, befalls]) => {
    const { master, replica, proxy } = await startPair(started);
    const sites = [
      await started.site({ store: redisStore(of(proxy.port)) }),
      await started.site({ store: redisStore(of(proxy.port)) }),
    ];
    await expectWhole(sites, 'before');

    await replica.cli('replicaof', 'no', 'one');
    proxy.redirect(replica.port);
    await befalls(master, replica);
    await expectWhole(sites, 'after');
    for (const { sessions } of sites)
      await eventually('all is well again', async () => {
        await sessions.list('nobody').catch(() => undefined);
        const { store, feed } = sessions.health();
        return store.ok && feed.ok;
      });
  });
});

describe('with minReplicas, also the connection that waits for replicas', () => {
  const rows = TARGETS.map(([target, of]) => [target, of] as const);

  testTogether(rows, async (started, [, of]) => {
    const { master, replica, proxy } = await startPair(started);
    const sites = [
      await started.site({ store: redisStore(of(proxy.port), { minReplicas: 1 }) }),
      await started.site({ store: redisStore(of(proxy.port), { minReplicas: 1 }) }),
    ];
    await expectWhole(sites, 'before');

    await replica.cli('replicaof', 'no', 'one');
    proxy.redirect(replica.port);
    await master.cli('replicaof', HOST, String(replica.port));
    await eventually('the old master follows', () => isFollowing(master));
    await expectWhole(sites, 'after');
  });
});

describe('no storm of connections', () => {
  const ASKED = 40;

  async function storm(
    started: Started,
    spoil: (master: TestRedis) => Promise<unknown>,
  ): Promise<{ site: Site; opened: number; took: number }> {
    const master = await started.redis();
    const [commands, feed] = [await started.proxy(master), await started.proxy(master)];
    const client = started.add(splitClient(commands, feed), async (one) => one.disconnect());
    const site = await started.site({ store: redisStore(client) });
    await untilAnswers(site, tokenOf('ann'), 200);
    await spoil(master);
    const [before, since] = [commands.accepted(), performance.now()];
    for (let n = 0; n < ASKED; n += 1) {
      const { status } = await site.ask(tokenOf(`user-${String(n)}`));
      expect(status).toBe(503);
    }
    return { site, opened: commands.accepted() - before, took: performance.now() - since };
  }

  test('if the name still leads to a replica: at most one a second', () =>
    used(async (started) => {
      const { opened, took } = await storm(started, (master) => master.cli('replicaof', HOST, '1'));
      expect(opened).toBeGreaterThanOrEqual(1);
      expect(opened).toBeLessThanOrEqual(1 + Math.ceil(took / 1000));
    }));

  test('none if a master has too few replicas', () =>
    used(async (started) => {
      const { opened } = await storm(started, (master) => master.cli('config', 'set', 'min-replicas-to-write', '1'));
      expect(opened).toBe(0);
    }));
});

describe('which errors make a connection be given up', () => {
  const ofScript = (words: string): string =>
    `ERR Error running script (call to f_50142d1548e23223a2ffd158022e90f843339e5f): @user_script:1: @user_script: 1: -${words}`;

  test.each([
    ["READONLY You can't write against a read only replica.", true],
    ["READONLY You can't write against a read only replica. script: 50142d15, on @user_script:1.", true],
    [ofScript("READONLY You can't write against a read only replica."), true],
    ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", true],
    ['LOADING Redis is loading the dataset in memory', false],
    ['NOREPLICAS Not enough good replicas to write.', false],
    [ofScript('NOREPLICAS Not enough good replicas to write.'), false],
    ['BUSY Redis is busy running a script.', false],
    ['UNKILLABLE Sorry the script already executed write commands against the dataset.', false],
    ["OOM command not allowed when used memory > 'maxmemory'.", false],
    ["NOPERM this user has no permissions to run the 'xadd' command", false],
    ['MOVED 3999 127.0.0.1:6381', false],
    ['ERR the value is not READONLY at all', false],
  ])('%s: %p', (message, isGivenUp) => {
    const { reconnectOnError } = commandConnection(() => 0);
    expect((reconnectOnError as (error: Error) => boolean)(new Error(message))).toBe(isGivenUp);
  });

  test('once a second', () => {
    let now = 0;
    const givesUp = commandConnection(() => now)['reconnectOnError'] as (error: Error) => boolean;
    const error = new Error("READONLY You can't write against a read only replica.");
    const at = (time: number): boolean => {
      now = time;
      return givesUp(error);
    };
    expect([at(0), at(1), at(999), at(1000), at(1001), at(1999), at(5000)]).toEqual([
      true,
      false,
      false,
      true,
      false,
      false,
      true,
    ]);
  });
});
