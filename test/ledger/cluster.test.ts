/** The promise over several servers: slots that move, masters that are lost, and failovers. */

import { Cluster, Redis } from 'ioredis';
import { redisStore, type ManagedSessionsOptions } from '../../lib/index.js';
import { sessionUser } from '../../lib/core/session.js';
import { slotOf } from '../../lib/stores/redis/slots.js';
import { machineNow } from '../support/machine.js';
import { eventually, startCluster, startSentinel, type RedisCluster, type TestRedis } from '../support/redis.js';
import {
  ACTIVITY_INTERVAL,
  BOUND,
  ISSUER,
  revoked,
  startSite,
  STORE_TIMEOUT,
  tokenOf,
  untilAnswers,
  untilFresh,
  type Site,
} from '../support/site.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** Request upon request until one is refused; what was let in must have been so in time. */
async function expectInForce(site: Site, token: string, acknowledgedAt: number): Promise<void> {
  for (;;) {
    const { status, acceptedAt } = await site.ask(token);
    expect([200, 401, 503]).toContain(status);
    if (status !== 200) return;
    expect(acceptedAt).toBeLessThanOrEqual(acknowledgedAt + BOUND + STORE_TIMEOUT);
  }
}

describe('a Cluster of three masters', () => {
  let cluster: RedisCluster;

  async function startClusterSite(options: Partial<ManagedSessionsOptions> = {}): Promise<Site> {
    const client = new Cluster(cluster.nodes, { redisOptions: { maxRetriesPerRequest: 1 } });
    client.on('error', () => undefined);
    const site = await startSite({ store: redisStore(client), ...options });
    ends.push(() => client.disconnect());
    ends.push(() => site.stop());
    return site;
  }

  const hashTagOf = (person: string): string => `{${sessionUser(ISSUER, person).key}}`;

  /** The master that serves the slot, by its place in the list. */
  const placeOf = (slot: number): number => Math.floor(slot / Math.ceil(16_384 / 3));

  async function migrate(slot: number): Promise<void> {
    const from = placeOf(slot);
    const to = (from + 1) % 3;
    const [source, target] = [cluster.masters[from]!, cluster.masters[to]!];
    const [sourceId, targetId] = await Promise.all(
      [source, target].map(async (one) => String(await one.cli('cluster', 'myid'))),
    );
    await target.cli('cluster', 'setslot', String(slot), 'importing', sourceId!);
    await source.cli('cluster', 'setslot', String(slot), 'migrating', targetId!);
    // One key at a time: in between, scripts find their keys on two nodes.
    for (;;) {
      const keys = await source.cli('cluster', 'getkeysinslot', String(slot), '1');
      if (!Array.isArray(keys) || keys.length === 0) break;
      await source.cli('migrate', '127.0.0.1', String(target.port), String(keys[0]), '0', '5000');
    }
    for (const master of [target, source]) await master.cli('cluster', 'setslot', String(slot), 'node', targetId!);
  }

  beforeEach(async () => {
    cluster = await startCluster();
    ends.push(() => cluster.stop());
    for (const master of cluster.masters) await master.cli('config', 'set', 'cluster-require-full-coverage', 'no');
  });

  test('revocations while slots move, and while a master is lost and comes back empty', async () => {
    const sites = [await startClusterSite(), await startClusterSite()] as const;
    const [here, there] = sites;
    const people = Array.from({ length: 45 }, (_, index) => `person-${String(index)}`);
    for (const person of people) for (const site of sites) await untilAnswers(site, tokenOf(person), 200);
    await Promise.all(sites.map(untilFresh));
    const moving = people.splice(0, 15);
    const feedSlot = slotOf('{feed}');

    let isMoving = true;
    const migrations = (async () => {
      for (const person of moving.slice(0, 5)) await migrate(slotOf(hashTagOf(person)));
      await migrate(feedSlot);
      isMoving = false;
    })();
    for (const person of moving) {
      const acknowledgedAt = await revoked(here, tokenOf(person));
      await expectInForce(there, tokenOf(person), acknowledgedAt);
    }
    await migrations;
    expect(isMoving).toBe(false);
    for (const site of sites) for (const person of moving) await untilAnswers(site, tokenOf(person), 401);

    // A master that has neither the stream nor all of the users.
    const feedPlace = (placeOf(feedSlot) + 1) % 3;
    const lostPlace = (feedPlace + 1) % 3;
    const lost = cluster.masters[lostPlace]!;
    const places = people.map((person) => placeOf(slotOf(hashTagOf(person))));
    const onLost = people.filter((_, index) => places[index] === lostPlace);
    const elsewhere = people.filter((_, index) => places[index] !== lostPlace);
    const [endedOnLost = '', ...liveOnLost] = onLost;
    await expectInForce(there, tokenOf(endedOnLost), await revoked(here, tokenOf(endedOnLost)));
    expect(liveOnLost.length).toBeGreaterThan(1);

    await lost.kill();
    for (const person of elsewhere.slice(0, 5)) {
      await expectInForce(there, tokenOf(person), await revoked(here, tokenOf(person)));
    }
    await expect(here.revoke(tokenOf(liveOnLost[0]!))).rejects.toMatchObject({ code: 'store_unavailable' });
    for (const site of sites) expect(await site.ask(tokenOf(endedOnLost))).toMatchObject({ status: 401 });

    await lost.restart({ keepData: false });
    // A session in use there shows that data was lost.
    for (const site of sites) await untilAnswers(site, tokenOf(liveOnLost[1]!), 200);
    const third = await startClusterSite();
    await untilAnswers(third, tokenOf(endedOnLost), 401);
    const acknowledgedAt = await revoked(here, tokenOf(liveOnLost[0]!));
    for (const site of [there, third]) await expectInForce(site, tokenOf(liveOnLost[0]!), acknowledgedAt);
  });

  describe('loses the master of the feed', () => {
    const HOUR = 3_600_000;
    /** The sites' clock is ahead, so that a session can begin after a cutoff that was set a moment ago. */
    const AHEAD = { clock: { now: () => Date.now() + HOUR } };
    const PLACES = [0, 1, 2] as const;
    /** Of each master: more than the commands that may be in progress on it at once. */
    const PERSONS = 200;
    let lost: TestRedis;
    let lostPlace: number;
    /** Persons of each master, by its place in the list. */
    let persons: string[][];

    let beganAt: number;

    /** Of a session that began before any cutoff of this test. */
    const early = (person: string): string => tokenOf(person, { sid: 'early', iat: beganAt }, '4h');
    /** Of a session that began after every cutoff of this test. */
    const late = (person: string): string => tokenOf(person, { sid: 'late', iat: beganAt + HOUR / 1000 }, '4h');

    /** Request upon request until one is refused with 401. None is let in before that. */
    async function untilEnded(site: Site, token: string): Promise<void> {
      await eventually('it is refused', async () => {
        const { status } = await site.ask(token);
        expect([401, 503]).toContain(status);
        return status === 401;
      });
    }

    const isFresh = (site: Site): boolean => site.sessions.health().feed.ok;
    const untilStale = (site: Site): Promise<boolean> =>
      eventually('the feed is stale', () => Promise.resolve(!isFresh(site)));

    beforeEach(async () => {
      beganAt = Math.floor(Date.now() / 1000);
      lostPlace = placeOf(slotOf('{feed}'));
      lost = cluster.masters[lostPlace]!;
      persons = PLACES.map(() => []);
      for (let n = 0; persons.some((some) => some.length < PERSONS); n += 1) {
        const person = `person-${String(n)}`;
        persons[placeOf(slotOf(hashTagOf(person)))]!.push(person);
      }
    });

    const elsewhere = (n: number): string[] =>
      PLACES.filter((place) => place !== lostPlace).map((place) => persons[place]![n]!);
    const there = (n: number): string => persons[lostPlace]![n]!;

    test.each([
      ['which is killed, and comes back empty', () => lost.kill(), () => lost.restart({ keepData: false })],
      ['which hangs, and goes on', async () => lost.pause(), async () => lost.resume()],
    ])('%s: only its users are refused, and nobody whose session was ended comes back', async (_, lose, bringBack) => {
      const warm = [await startClusterSite(AHEAD), await startClusterSite(AHEAD)] as const;
      const [here] = warm;
      for (const site of warm) {
        for (const person of [...elsewhere(0), there(0)]) await untilAnswers(site, early(person), 200);
      }
      await here.sessions.endEverywhere({ reason: 'incident' });
      for (const site of warm) {
        for (const person of [...elsewhere(0), there(0)]) await untilEnded(site, early(person));
        for (const person of [...elsewhere(1), there(1)]) await untilAnswers(site, late(person), 200);
      }

      await lose();
      await Promise.all(warm.map(untilStale));
      const begun = await startClusterSite(AHEAD);
      for (const site of [...warm, begun]) {
        // They ask in vain, all the time, and so many that the others must not depend on it.
        const refused = persons[lostPlace]!.slice(1).map((person) => site.ask(late(person)));
        for (const person of elsewhere(1)) await untilAnswers(site, late(person), 200);
        for (const person of elsewhere(2)) await untilAnswers(site, late(person), 200);
        for (const person of elsewhere(0)) await untilEnded(site, early(person));
        expect(isFresh(site)).toBe(false);
        for (const { status } of await Promise.all(refused)) expect(status).toBe(503);
        await untilAnswers(site, late(there(1)), 503);
        for (const person of elsewhere(1)) await untilAnswers(site, late(person), 200);
      }
      // Nobody has asked about these sessions since, so no tombstone tells of their end.
      for (const person of elsewhere(3)) await untilEnded(begun, early(person));

      // In force where it is asked for, and not acknowledged.
      const [revokedElsewhere = ''] = elsewhere(1);
      await expect(here.revoke(late(revokedElsewhere))).rejects.toMatchObject({ code: 'store_unavailable' });
      for (const site of [...warm, begun]) await untilAnswers(site, late(revokedElsewhere), 401);
      await expect(here.sessions.endEverywhere()).rejects.toMatchObject({ code: 'store_unavailable' });

      await bringBack();
      await Promise.all([...warm, begun].map(untilFresh));
      await Promise.all(warm.map(({ sessions }) => sessions.close()));
      const third = await startClusterSite(AHEAD);
      for (const site of [begun, third]) {
        for (const person of [...elsewhere(4), there(4)]) await untilEnded(site, early(person));
        for (const person of [...elsewhere(5), there(5)]) await untilAnswers(site, late(person), 200);
      }
      await eventually('it is acknowledged', () =>
        begun.sessions.endEverywhere({ reason: 'again' }).then(
          () => true,
          () => false,
        ),
      );
    });

    test.each(PLACES)('an acknowledged one outlives master %i with all its data, and every process', async (place) => {
      const first = await startClusterSite(AHEAD);
      await untilFresh(first);
      await first.sessions.endEverywhere({ reason: 'incident' });
      await first.sessions.close();
      const master = cluster.masters[place]!;
      await master.kill();
      const during = await startClusterSite(AHEAD);
      for (const person of PLACES.filter((of) => of !== place).map((of) => persons[of]![0]!)) {
        await untilEnded(during, early(person));
        await untilAnswers(during, late(person), 200);
      }
      await during.sessions.close();
      await master.restart({ keepData: false });
      const after = await startClusterSite(AHEAD);
      for (const of of PLACES) await untilEnded(after, early(persons[of]![1]!));
    });
  });
});

describe('Sentinel', () => {
  let watched: Awaited<ReturnType<typeof startSentinel>>;

  async function startWatchedSite(minReplicas: number): Promise<Site> {
    const { sentinels, name } = watched;
    const client = new Redis({ sentinels, name, sentinelRetryStrategy: () => 50, retryStrategy: () => 50 });
    client.on('error', () => undefined);
    const site = await startSite({ store: redisStore(client, { minReplicas }) });
    ends.push(() => client.disconnect());
    ends.push(() => site.stop());
    return site;
  }

  /** What the master writes from now on, the replica does not get. */
  async function partReplica(): Promise<void> {
    watched.replica.pause();
    await watched.master.cli('client', 'kill', 'type', 'replica');
  }

  async function failOver(): Promise<void> {
    await watched.master.kill();
    watched.replica.resume();
    const role = (of: TestRedis): Promise<unknown> => of.cli('role').catch(() => '');
    await eventually('the replica is promoted', async () => String(await role(watched.replica)).startsWith('master'));
  }

  beforeEach(async () => {
    watched = await startSentinel();
    ends.push(() => watched.stop());
  });

  test('with minReplicas an acknowledged revocation survives the loss of the master, and of every process', async () => {
    const [here, there] = [await startWatchedSite(1), await startWatchedSite(1)];
    const [survives, refused] = [tokenOf('survives'), tokenOf('refused')];
    for (const token of [survives, refused]) for (const site of [here, there]) await untilAnswers(site, token, 200);
    await revoked(here, survives);
    await partReplica();
    await expect(here.revoke(refused)).rejects.toMatchObject({ code: 'store_unavailable' });
    await Promise.all([here, there].map(({ sessions }) => sessions.close()));
    await failOver();
    const anew = await startWatchedSite(0);
    await untilAnswers(anew, survives, 401);
    expect(anew.statuses.has(200)).toBe(false);
  });

  test('without it the processes that are alive write it back', async () => {
    const [here, there] = [await startWatchedSite(0), await startWatchedSite(0)];
    const [ended, kept] = [tokenOf('ended'), tokenOf('kept')];
    for (const token of [ended, kept]) for (const site of [here, there]) await untilAnswers(site, token, 200);
    await Promise.all([here, there].map(untilFresh));
    await partReplica();
    const acknowledgedAt = await revoked(here, ended);
    await expectInForce(there, ended, acknowledgedAt);
    await here.sessions.close();
    await failOver();
    await untilFresh(there);
    await untilAnswers(there, kept, 200);
    const since = machineNow();
    const anew = await startWatchedSite(0);
    await untilAnswers(anew, ended, 401);
    expect(machineNow() - since).toBeLessThanOrEqual(BOUND + 2 * ACTIVITY_INTERVAL);
    expect(await there.ask(ended)).toMatchObject({ status: 401 });
  });
});
