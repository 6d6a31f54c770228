/** Sessions that are ended by the provider's id, with a user or without, in several processes on one Redis. */

import { createServer } from 'node:http';
import { Cluster, Redis } from 'ioredis';
import request from 'supertest';
import { sessionHandle, sessionIndexId, sessionUser } from '../../lib/core/session.js';
import { createTestClock } from '../../lib/testing/index.js';
import {
  LoginError,
  redisStore,
  type Handler,
  type ManagedSessionsOptions,
  type SessionEnded,
} from '../../lib/index.js';
import { slotOf } from '../../lib/stores/redis/slots.js';
import { eventually, startCluster, startRedis, type TestRedis } from '../support/redis.js';
import { ISSUER, SITE_ISSUER, startSite, tokenOf, untilAnswers, untilFresh, type Site } from '../support/site.js';
import { used } from '../support/started.js';

const DAY = 24 * 3600 * 1000;

let redis: TestRedis;
let client: Redis;
let sites: readonly [Site, Site, Site];
const endings: SessionEnded[][] = [[], [], []];

/** A busy machine is no outage. */
const PATIENT = { storeTimeout: 10_000, revocationBound: 20_000 };
const indexed = (options: Partial<ManagedSessionsOptions> = {}): Partial<ManagedSessionsOptions> => ({
  store: redisStore(redis.url),
  sessionIndex: true,
  ...PATIENT,
  ...options,
});

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
  const [one, two, three] = await Promise.all([1, 2, 3].map(() => startSite(indexed())));
  sites = [one!, two!, three!];
  for (const [index, { sessions }] of sites.entries()) {
    sessions.on('sessionEnded', (event) => endings[index]!.push(event));
    await untilFresh(sites[index]!);
  }
});

afterAll(async () => {
  await Promise.all(sites.map((site) => site.stop()));
  client.disconnect();
  await redis.stop();
});

let people = 0;
const newPerson = (): string => `person-${String((people += 1))}`;
const tokenFor = (person: string, sid: string | number, claims: object = {}): string =>
  tokenOf(person, { sid, ...claims });
const ofPerson = (person: string) =>
  endings.map((told) =>
    told.filter(({ user }) => user.id === person).map(({ here, reason, by }) => [here, reason, by]),
  );

async function expectRefusedByAll(token: string): Promise<void> {
  for (const site of sites) expect(await untilAnswers(site, token, 401)).toMatchObject({ code: 'session_revoked' });
}

async function expectTold(person: string, reason: string, by: string | null): Promise<void> {
  await eventually('every process is told', () => Promise.resolve(ofPerson(person).every((told) => told.length > 0)));
  expect(ofPerson(person)).toEqual([[[true, reason, by]], [[false, reason, by]], [[false, reason, by]]]);
}

async function introspected(handler: Handler, token: string): Promise<unknown> {
  const server = createServer((req, res) => handler(req, res, (error) => res.writeHead(500).end(String(error))));
  return (await request(server).post('/').type('form').send({ token })).body;
}

describe('with a subject', () => {
  test('a session that every process knows is ended in all of them', async () => {
    const person = newPerson();
    const token = tokenFor(person, 'seen');
    for (const site of sites) expect(await site.ask(token)).toMatchObject({ status: 200 });
    const named = { subject: person, sessionId: 'seen' };
    await expect(sites[0].sessions.revokeSession(named, { reason: 'left', by: 'hr' })).resolves.toBeUndefined();
    expect(await sites[0].ask(token)).toMatchObject({ status: 401, code: 'session_revoked' });
    await expectRefusedByAll(token);
    await expectTold(person, 'left', 'hr');
    // Again, and for another session.
    await sites[1].sessions.revokeSession(named);
    expect(await sites[0].ask(tokenFor(person, 'other'))).toMatchObject({ status: 200 });
  });

  test('a session that was never seen is refused everywhere, also with a refreshed token', async () => {
    const person = newPerson();
    await sites[0].sessions.revokeSession({ issuer: ISSUER, subject: person, sessionId: 'unseen' }, { reason: 'left' });
    await expectRefusedByAll(tokenFor(person, 'unseen'));
    await expectRefusedByAll(tokenFor(person, 'unseen', { iat: Math.floor(Date.now() / 1000) + 1 }));
    await expectTold(person, 'left', null);
    expect((await sites[0].sessions.list(person)).sessions).toEqual([]);
  });

  test('a number means its decimal digits', async () => {
    const person = newPerson();
    await sites[0].sessions.revokeSession({ subject: person, sessionId: 7 });
    await expectRefusedByAll(tokenFor(person, 7));
    await expectRefusedByAll(tokenFor(person, '7'));
  });

  test('a handleSecret changes nothing', async () => {
    await used(async (started) => {
      const site = await started.site(indexed({ handleSecret: 'a secret of at least 16 bytes' }));
      const [seen, unseen] = [newPerson(), newPerson()];
      expect(await site.ask(tokenFor(seen, 's'))).toMatchObject({ status: 200 });
      for (const person of [seen, unseen]) {
        await site.sessions.revokeSession({ subject: person, sessionId: 's' });
        expect(await site.ask(tokenFor(person, 's'))).toMatchObject({ status: 401, code: 'session_revoked' });
      }
    });
  });

  test('it stays ended for tombstoneFor, and for as long after each token that is refused', async () => {
    await used(async (started) => {
      const clock = createTestClock();
      const issuer = { ...SITE_ISSUER, clockTolerance: '5s' } as const;
      const site = await started.site({ clock, issuer, tombstoneFor: '10d' });
      const refreshed = (): string => tokenFor('ann', 's', { iat: Math.floor(clock.now() / 1000) });
      await site.sessions.revokeSession({ subject: 'ann', sessionId: 's' });
      for (let count = 0; count < 4; count += 1) {
        clock.advance('9d');
        expect(await site.sessions.verify(refreshed()).catch((error: unknown) => error)).toMatchObject({
          code: 'session_revoked',
        });
      }
    });
  });
});

describe('without a subject', () => {
  const byId = (site: Site, sessionId: string, words = {}): Promise<void> =>
    site.sessions.revokeSession({ sessionId }, words);

  test('a session that every process knows is ended in all of them', async () => {
    const person = newPerson();
    const token = tokenFor(person, 'known');
    for (const site of sites) expect(await site.ask(token)).toMatchObject({ status: 200 });
    await expect(byId(sites[0], 'known', { reason: 'left', by: 'issuer' })).resolves.toBeUndefined();
    expect(await sites[0].ask(token)).toMatchObject({ status: 401, code: 'session_revoked' });
    await expectRefusedByAll(token);
    await expectTold(person, 'left', 'issuer');
    expect((await sites[0].sessions.list(person)).sessions).toEqual([]);
    await byId(sites[1], 'known');
  });

  test('a session that was never seen is refused at its first request, in every process', async () => {
    const person = newPerson();
    const token = tokenFor(person, 'never');
    await byId(sites[0], 'never', { reason: 'left', by: 'issuer' });
    for (const site of [sites[2], sites[1], sites[0]]) {
      expect(await site.ask(token)).toMatchObject({ status: 401, code: 'session_revoked' });
    }
    await expectTold(person, 'left', 'issuer');
  });

  test('what is only looked up finds it ended too', async () => {
    const person = newPerson();
    const token = tokenFor(person, 'looked-up');
    await byId(sites[0], 'looked-up');
    await used(async (started) => {
      const site = await started.site(indexed());
      const introspect = site.sessions.introspection({ authorize: () => true });
      expect(await introspected(introspect, token)).toEqual({ active: false });
      expect(await introspected(introspect, tokenFor(person, 'another'))).toMatchObject({ active: true });
    });
  });

  test('sessions of several users with one id, and of machines that are not tracked', async () => {
    await used(async (started) => {
      const site = await started.site(indexed({ track: ({ machine }) => machine !== true }));
      const [ann, bob, machine] = [newPerson(), newPerson(), newPerson()];
      const tokens = [tokenFor(ann, 'shared'), tokenFor(bob, 'shared'), tokenFor(machine, 'shared', { machine: true })];
      for (const token of tokens) expect(await site.ask(token)).toMatchObject({ status: 200 });
      await byId(sites[0], 'shared');
      for (const token of tokens)
        expect(await untilAnswers(site, token, 401)).toMatchObject({ code: 'session_revoked' });
    });
  });

  test('a process that starts later, and one that has let go of the session, refuse it', async () => {
    const person = newPerson();
    const token = tokenFor(person, 'later');
    await sites[1].ask(token);
    await byId(sites[0], 'later');
    await used(async (started) => {
      const site = await started.site(indexed());
      expect(await site.ask(token)).toMatchObject({ status: 401, code: 'session_revoked' });
    });
  });

  test('the process died between entering the user and recording the session', async () => {
    const person = newPerson();
    const user = sessionUser(ISSUER, person);
    await client.hset(`ms:{${sessionIndexId(ISSUER, 'half')}}:u`, JSON.stringify(person), '');
    await byId(sites[0], 'half');
    await expectRefusedByAll(tokenFor(person, 'half'));
    expect(await client.hexists(`ms:{${user.key}}:s`, sessionHandle(user, 'half'))).toBe(1);
  });

  test('the process died between ending the id and the sessions: nobody new gets in, and a repeated call ends them', async () => {
    const [known, later] = [newPerson(), newPerson()];
    const token = tokenFor(known, 'cut-short');
    for (const site of sites) expect(await site.ask(token)).toMatchObject({ status: 200 });
    const store = redisStore(redis.url);
    store.configure(PATIENT);
    const policy = {
      idleTimeout: null,
      clockTolerance: 5000,
      tombstoneFor: 30 * DAY,
      maxSessions: 100,
      atSessionLimit: 'end-oldest',
    } as const;
    const words = { reason: 'left', by: null, at: Date.now(), policy };
    expect(await store.endIndexed(sessionIndexId(ISSUER, 'cut-short'), words)).toEqual([known]);
    await store.close();
    expect(await sites[0].ask(tokenFor(later, 'cut-short'))).toMatchObject({ status: 401, code: 'session_revoked' });
    await byId(sites[0], 'cut-short');
    await expectRefusedByAll(token);
  });

  test.each([
    ['which the feed shows', true],
    ['which only a missing record shows', false],
  ])('Redis has lost everything, %s: what is in use is entered again, and is found', async (_how, isShown) => {
    await used(async (started) => {
      const own = await started.redis();
      const [one, two] = [
        await started.site(indexed({ store: redisStore(own.url) })),
        await started.site(indexed({ store: redisStore(own.url) })),
      ];
      const token = tokenFor('ann', 'lost');
      if (isShown) await one.sessions.revokeSession({ subject: 'bob', sessionId: 's' });
      for (const site of [one, two]) await untilAnswers(site, token, 200);
      await own.cli('flushall');
      await eventually('the session is entered again', async () => {
        await two.ask(token);
        return Number(await own.cli('exists', `ms:{${sessionIndexId(ISSUER, 'lost')}}:u`)) === 1;
      });
      await byId(one, 'lost');
      for (const site of [one, two]) await untilAnswers(site, token, 401);
    });
  });

  test('without the option, it is a TypeError that names it', async () => {
    await used(async (started) => {
      const site = await started.site({ store: redisStore(redis.url) });
      const error: unknown = await byId(site, 's').catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(TypeError);
      expect(String(error)).toContain('sessionIndex: true');
    });
  });

  test('the memory store does the same', async () => {
    await used(async (started) => {
      const site = await started.site({ sessionIndex: true });
      expect(await site.ask(tokenFor('ann', 's'))).toMatchObject({ status: 200 });
      await byId(site, 's');
      await byId(site, 'unseen');
      for (const sid of ['s', 'unseen']) {
        expect(await site.ask(tokenFor('ann', sid))).toMatchObject({ status: 401, code: 'session_revoked' });
      }
    });
  });
});

describe('what it costs', () => {
  /** The first key of each script that Redis runs meanwhile, by its log of slow commands, in which all are slow enough. */
  async function scriptsOf(act: () => Promise<unknown>): Promise<string[]> {
    await client.config('SET', 'slowlog-log-slower-than', '0');
    await client.config('SET', 'slowlog-max-len', '10000');
    await client.slowlog('RESET');
    await act();
    const logged = (await client.slowlog('GET', 10_000)) as [number, number, number, string[]][];
    await client.config('SET', 'slowlog-log-slower-than', '-1');
    const commands = logged.map(([, , , command]) => command).reverse();
    return commands.filter(([name = '']) => /^eval/i.test(name)).map((command) => String(command[3]));
  }

  test.each([true, false])('sessionIndex: %p', async (sessionIndex) => {
    await used(async (started) => {
      const site = await started.site(indexed({ sessionIndex, activityInterval: '1d' }));
      const person = newPerson();
      const { key } = sessionUser(ISSUER, person);
      const sid = `cost-${String(sessionIndex)}`;
      const of = (found: readonly string[]): string[] => found.filter((one) => one.includes(key) || one.endsWith(':u'));
      const fresh = async (token: string): Promise<unknown> => site.ask(token, '/fresh');
      const first = of(await scriptsOf(() => site.ask(tokenFor(person, sid))));
      const repeated = of(await scriptsOf(() => fresh(tokenFor(person, sid))));
      const refreshed = of(await scriptsOf(() => fresh(tokenOf(person, { sid }, '4h'))));
      const index = `ms:{${sessionIndexId(ISSUER, sid)}}:u`;
      const sighting = `ms:{${key}}:s`;
      expect(first).toEqual(sessionIndex ? [index, sighting] : [sighting]);
      expect([repeated, refreshed]).toEqual([[sighting], [sighting]]);
      expect(await client.exists(index)).toBe(sessionIndex ? 1 : 0);
    });
  });

  test('the entry is kept for as long as the tombstone would be, and a day more', async () => {
    const person = newPerson();
    await sites[0].ask(tokenFor(person, 'kept'));
    const ttl = await client.pttl(`ms:{${sessionIndexId(ISSUER, 'kept')}}:u`);
    expect(Math.round(ttl / DAY)).toBe(31);
  });

  test('a token that lasts longer enters the session again', async () => {
    const clock = createTestClock();
    await used(async (started) => {
      const site = await started.site(indexed({ clock, tombstoneFor: '2d' }));
      const person = newPerson();
      const key = `ms:{${sessionIndexId(ISSUER, 'long')}}:u`;
      await site.ask(tokenFor(person, 'long'));
      const before = await client.pttl(key);
      clock.advance('3d');
      const later = tokenFor(person, 'long', { iat: Math.floor(clock.now() / 1000) });
      expect(await site.ask(later, '/fresh')).toMatchObject({ status: 200 });
      // Redis's own clock stands still meanwhile.
      expect(Math.round(((await client.pttl(key)) - before) / DAY)).toBe(3);
    });
  });
});

describe('in a Cluster of which a master is lost', () => {
  test('what needs it is refused with 503, nothing is half done, and all works when it is back', async () => {
    await used(async (started) => {
      const cluster = started.add(await startCluster(), (one) => one.stop());
      for (const master of cluster.masters) await master.cli('config', 'set', 'cluster-require-full-coverage', 'no');
      const opened = started.add(new Cluster(cluster.nodes), async (one) => {
        one.disconnect();
      });
      opened.on('error', () => undefined);
      const site = await started.site({ store: redisStore(opened), sessionIndex: true, revocationBound: 3000 });
      const placeOf = (key: string): number => Math.floor(slotOf(key) / Math.ceil(16_384 / 3));
      const feedAt = placeOf('{feed}');
      const lostAt = (feedAt + 1) % 3;
      const find = <T>(make: (number: number) => T, isIt: (one: T) => boolean): T => {
        for (let number = 0; ; number += 1) if (isIt(make(number))) return make(number);
      };
      // The id's key is on the master that is lost, and the user's are not.
      const sid = find(
        (number) => `s${String(number)}`,
        (id) => placeOf(`{${sessionIndexId(ISSUER, id)}}`) === lostAt,
      );
      const person = find(
        (number) => `p${String(number)}`,
        (one) => placeOf(`{${sessionUser(ISSUER, one).key}}`) === feedAt,
      );
      const token = tokenFor(person, sid);
      await untilAnswers(site, tokenFor(person, 'warm'), 200);
      await untilFresh(site);

      const lost = cluster.masters[lostAt]!;
      lost.pause();
      expect((await site.ask(token)).status).toBe(503);
      const { sessions } = await site.sessions.list(person);
      expect(sessions).toHaveLength(1);
      const error: unknown = await site.sessions.revokeSession({ sessionId: sid }).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(LoginError);
      expect(error).toMatchObject({ code: 'store_unavailable' });

      lost.resume();
      await eventually('it is acknowledged', () =>
        site.sessions.revokeSession({ sessionId: sid }).then(
          () => true,
          () => false,
        ),
      );
      expect(await untilAnswers(site, token, 401)).toMatchObject({ code: 'session_revoked' });
    });
  });
});
