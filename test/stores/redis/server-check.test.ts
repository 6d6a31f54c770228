/** What the store says of the servers themselves: a version that is too old, and a policy that evicts. */

import { once } from 'node:events';
import { Cluster, Redis } from 'ioredis';

import { redisStore, type ManagedSessionsOptions, type SessionEvents } from '../../../lib/index.js';
import { ServerCheck } from '../../../lib/stores/redis/server-check.js';
import { eventually, startCluster, type TestRedis } from '../../support/redis.js';
import { PATIENT, revoked, tokenOf, untilAnswers, untilFresh, type Site } from '../../support/site.js';
import { used, type Started } from '../../support/started.js';
import { startProxy } from '../../support/tcp-proxy.js';

type StoreUnsafe = SessionEvents['storeUnsafe'];

interface Observed extends Site {
  readonly unsafe: StoreUnsafe[];
  readonly down: Error[];
}

async function observed(
  started: Started,
  url: string,
  times: Pick<ManagedSessionsOptions, 'storeTimeout' | 'revocationBound'> = PATIENT,
): Promise<Observed> {
  const site = await started.site({ store: redisStore(url), ...times });
  const unsafe: StoreUnsafe[] = [];
  const down: Error[] = [];
  site.sessions.on('storeUnsafe', (event) => unsafe.push(event));
  site.sessions.on('storeDown', ({ error }) => down.push(error));
  return { ...site, unsafe, down };
}

const storeProblem = (site: Site): string | null => site.sessions.health().store.lastError;

function untilStoreSays(site: Site, problem: RegExp | null): Promise<boolean> {
  return eventually(`the store's problem is ${String(problem)}`, () => {
    const found = storeProblem(site);
    return Promise.resolve(problem === null ? found === null : found !== null && problem.test(found));
  });
}

/** The next inspection comes with a new connection. */
async function reconnected(redis: TestRedis): Promise<void> {
  await redis.cli('client', 'kill', 'type', 'normal');
}

describe('the version', () => {
  /** A real server that calls itself another version. */
  async function pretending(started: Started, version: string): Promise<{ url: string; redis: TestRedis }> {
    const redis = await started.redis();
    const rewrite = (text: string): string => text.replace(/(?<=redis_version:)\d\.\d/, version);
    const proxy = started.add(await startProxy({ port: redis.port, rewrite }), (one) => one.close());
    return { url: `redis://127.0.0.1:${String(proxy.port)}`, redis };
  }

  test.each(['6.0', '5.0', '2.8'])('Redis %s is down, nobody is signed in, and one sentence says so', (version) =>
    used(async (started) => {
      const { url, redis } = await pretending(started, version);
      const site = await observed(started, url);
      // Before any request.
      await untilStoreSays(site, new RegExp(`^Redis ${version}[.\\d]* is too old: .* 6\\.2 or later`));
      expect(site.sessions.health().store.ok).toBe(false);

      expect(await site.ask(tokenOf('ann'))).toMatchObject({ status: 503, code: 'store_unavailable' });
      expect(site.down).toHaveLength(1);
      expect(site.down[0]?.cause).toMatchObject({ message: expect.stringMatching(/too old/) as string });
      await expect(site.sessions.endEverywhere()).rejects.toMatchObject({ code: 'store_unavailable' });
      expect(storeProblem(site)).toMatch(/too old/);
      expect((await redis.cli('keys', 'ms:{?????*}:s')) as string[]).toEqual([]);
    }),
  );

  test('the very first request is not sent before the version is known', () =>
    used(async (started) => {
      const { url, redis } = await pretending(started, '6.0');
      const site = await observed(started, url);
      const answers = await Promise.all([1, 2, 3].map((n) => site.ask(tokenOf(`user-${String(n)}`))));
      expect(answers.map(({ status }) => status)).toEqual([503, 503, 503]);
      expect((await redis.cli('keys', '*:s')) as string[]).toEqual([]);
    }));

  test.each(['6.2', '7.0', '8.8'])('Redis %s is recent enough', (version) =>
    used(async (started) => {
      const site = await observed(started, (await pretending(started, version)).url);
      expect((await site.ask(tokenOf('ann'))).status).toBe(200);
      await untilFresh(site);
      expect(storeProblem(site)).toBeNull();
    }),
  );

  test('a server that was upgraded behind its address is up again', () =>
    used(async (started) => {
      const redis = await started.redis();
      let version = '6.0';
      const rewrite = (text: string): string => text.replace(/(?<=redis_version:)\d\.\d/, version);
      const proxy = started.add(await startProxy({ port: redis.port, rewrite }), (one) => one.close());
      const site = await observed(started, `redis://127.0.0.1:${String(proxy.port)}`);
      expect((await site.ask(tokenOf('ann'))).status).toBe(503);
      version = '7.2';
      proxy.cut();
      await untilAnswers(site, tokenOf('ann'), 200);
      await untilFresh(site);
      expect(site.sessions.health().store).toMatchObject({ ok: true, lastError: null });
    }));

  test('who may not ask may work, and is told nothing', () =>
    used(async (started) => {
      const redis = await started.redis(['--maxmemory-policy', 'allkeys-lru']);
      await redis.cli('acl', 'setuser', 'app', 'on', '>secret', '~*', '&*', '+@all', '-info');
      const client = new Redis({
        port: redis.port,
        username: 'app',
        password: 'secret',
        lazyConnect: true,
        enableReadyCheck: false,
      });
      const site = await started.site({ store: redisStore(client), ...PATIENT });
      const unsafe: StoreUnsafe[] = [];
      site.sessions.on('storeUnsafe', (event) => unsafe.push(event));
      expect((await site.ask(tokenOf('ann'))).status).toBe(200);
      await untilFresh(site);
      await site.sessions.revokeAll('ann');
      expect((await site.ask(tokenOf('ann'))).status).toBe(401);
      expect(site.sessions.health().store).toMatchObject({ ok: true, lastError: null });
      expect(unsafe).toEqual([]);
    }));
});

describe('a policy that evicts', () => {
  const PEOPLE = Array.from({ length: 40 }, (_, n) => `person-${String(n)}`);

  /** Signs forty people out, fills the memory, and counts who is let in by a process that starts then. */
  async function comingBack(started: Started, policy: string): Promise<{ back: number; fresh: Observed }> {
    const redis = await started.redis(['--maxmemory', '4mb', '--maxmemory-policy', policy]);
    const site = await observed(started, redis.url);
    for (const person of PEOPLE) {
      expect((await site.ask(tokenOf(person))).status).toBe(200);
      await revoked(site, tokenOf(person));
    }
    await site.stop();
    const filler = new Redis(redis.url);
    started.add(filler, async (one) => one.disconnect());
    // What other applications of this Redis write.
    for (let n = 0; n < 8000; n += 1) {
      const full = await filler.set(`other:${String(n)}`, 'x'.repeat(1000)).catch(() => 'full');
      if (full === 'full') break;
    }
    if (policy === 'noeviction') await filler.config('SET', 'maxmemory', '0');
    const fresh = await observed(started, redis.url);
    let back = 0;
    for (const person of PEOPLE) if ((await fresh.ask(tokenOf(person))).status === 200) back += 1;
    return { back, fresh };
  }

  test('brings ended sessions back, and this is reported', () =>
    used(async (started) => {
      const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
      const { back, fresh } = await comingBack(started, 'allkeys-lru');
      expect(back).toBeGreaterThan(0);
      expect(fresh.unsafe).toEqual([{ problem: 'eviction', policy: 'allkeys-lru' }]);
      expect(fresh.sessions.health().store).toMatchObject({
        ok: true,
        lastError: expect.stringContaining('allkeys-lru') as string,
      });
      // Two sites were told of it in this process.
      expect(warned.mock.calls).toEqual([
        [expect.stringContaining('allkeys-lru'), expect.objectContaining({ code: 'MANAGED_SESSIONS_EVICTION' })],
      ]);
      warned.mockRestore();
    }));

  test('noeviction brings nobody back, and nothing is reported', () =>
    used(async (started) => {
      const { back, fresh } = await comingBack(started, 'noeviction');
      expect(back).toBe(0);
      expect(fresh.unsafe).toEqual([]);
      expect(storeProblem(fresh)).toBeNull();
    }));

  test('is reported without a request, and whenever it changes', () =>
    used(async (started) => {
      const redis = await started.redis(['--maxmemory-policy', 'volatile-ttl']);
      const site = await observed(started, redis.url);
      await untilStoreSays(site, /volatile-ttl/);
      expect(site.sessions.health().store.ok).toBe(true);
      expect(site.unsafe).toEqual([{ problem: 'eviction', policy: 'volatile-ttl' }]);

      await reconnected(redis);
      await untilFresh(site);
      await redis.cli('config', 'set', 'maxmemory-policy', 'noeviction');
      await reconnected(redis);
      await untilStoreSays(site, null);
      expect(site.unsafe).toHaveLength(1);

      await redis.cli('config', 'set', 'maxmemory-policy', 'allkeys-random');
      await reconnected(redis);
      await untilStoreSays(site, /allkeys-random/);
      expect(site.unsafe[1]).toEqual({ problem: 'eviction', policy: 'allkeys-random' });
      expect((await site.ask(tokenOf('ann'))).status).toBe(200);
      expect(storeProblem(site)).toMatch(/allkeys-random/);
    }));

  test('a change is found within five minutes, on a connection that stands', () =>
    used(async (started) => {
      const redis = await started.redis();
      // Soon: an idle feed is read all the more rarely, the longer the bound is.
      const site = await observed(started, redis.url, { storeTimeout: 2000, revocationBound: 5000 });
      await untilFresh(site);
      const before = String(await redis.cli('info', 'stats'));
      await redis.cli('config', 'set', 'maxmemory-policy', 'allkeys-lfu');
      // For the process five minutes pass: its clock counts what the wall clock jumps ahead.
      const { now } = Date;
      jest.spyOn(Date, 'now').mockImplementation(() => now() + 300_000);
      try {
        await untilStoreSays(site, /allkeys-lfu/);
      } finally {
        jest.restoreAllMocks();
      }
      expect(site.unsafe).toContainEqual({ problem: 'eviction', policy: 'allkeys-lfu' });
      const accepted = (info: string): string | undefined => /total_connections_received:(\d+)/.exec(info)?.[1];
      // The one more is that of this question and of the change.
      const opened = Number(accepted(String(await redis.cli('info', 'stats')))) - Number(accepted(before));
      expect(opened).toBe(2);
    }));

  test('is asked for every five minutes, however often the feed is read', () =>
    used(async (started) => {
      const redis = await started.redis();
      const client = started.add(new Redis(redis.url), async (one) => one.disconnect());
      await once(client, 'ready');
      let now = 0;
      const check = new ServerCheck({ elapsed: () => now, onEviction: () => undefined });
      const asked = async (): Promise<number> => {
        const stats = String(await redis.cli('info', 'commandstats'));
        return Number(/cmdstat_info:calls=(\d+)/.exec(stats)?.[1]);
      };
      await check.inspect(client);
      const first = await asked();
      for (let round = 0; round < 100; round += 1) check.inspectIfDue(client);
      now = 299_999;
      check.inspectIfDue(client);
      await client.ping();
      expect((await asked()) - first).toBe(1);
      now = 300_000;
      for (let round = 0; round < 100; round += 1) check.inspectIfDue(client);
      await client.ping();
      expect((await asked()) - first).toBe(1 + 2 + 1);
    }));
});

describe('a Cluster', () => {
  test('every master is asked, and those that are silent are no hindrance', () =>
    used(async (started) => {
      const cluster = started.add(await startCluster(), (one) => one.stop());
      const [first, second, third] = cluster.masters;
      await third?.cli('config', 'set', 'maxmemory-policy', 'allkeys-lru');
      const client = started.add(new Cluster(cluster.nodes), async (one) => one.disconnect());
      await once(client, 'ready');
      const policies: string[] = [];
      const check = new ServerCheck({ elapsed: () => 0, onEviction: (policy) => policies.push(policy) });
      await check.inspect(client);
      await eventually('the third master is heard of', () => Promise.resolve(check.eviction !== null));
      expect(policies).toEqual(['allkeys-lru']);

      await third?.cli('config', 'set', 'maxmemory-policy', 'noeviction');
      first?.pause();
      try {
        await check.inspect(client);
        await eventually('the third master is heard of again', () => Promise.resolve(check.eviction === null));
        await expect(check.pass(client)).resolves.toBeUndefined();
      } finally {
        first?.resume();
      }

      await second?.cli('config', 'set', 'maxmemory-policy', 'volatile-lru');
      await check.inspect(client);
      await eventually('the second master is heard of', () => Promise.resolve(policies.length === 2));
      expect(policies).toEqual(['allkeys-lru', 'volatile-lru']);
    }));
});
