/** An incident: the sessions of all users ended at once, in every process, and they stay ended. */

import type { Redis } from 'ioredis';
import { managedSessions, redisStore, type ManagedSessions } from '../../lib/index.js';
import { ManualClock } from '../support/issuer.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { splitClient } from '../support/split-client.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { alone, ask, ISSUER, MINUTE, Processes, SECRET, tokenOf, untilLive, type Options } from './logins.js';

const INCIDENT = { reason: 'incident', by: 'operator' };
const PATIENT: Options = { storeTimeout: 5000, revocationBound: '20s' };
/** For processes that meet an outage. What comes before is asked until it works. */
const HASTY: Options = { storeTimeout: 500, revocationBound: '1500ms' };

let redis: TestRedis;
const ends: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.cli('flushall');
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function start(options: Options = {}, url = redis.url): Processes {
  const processes = new Processes(url, { ...PATIENT, ...options });
  ends.push(() => processes.close());
  return processes;
}

/** A process that starts now. */
function startLate(clock: ManualClock): ManagedSessions {
  const sessions = alone(clock, { ...PATIENT, store: redisStore(redis.url) });
  ends.push(() => sessions.close());
  return sessions;
}

const untilFresh = (sessions: ManagedSessions): Promise<boolean> =>
  eventually('the feed is fresh', () => Promise.resolve(sessions.health().feed.ok));
const until = (what: string, holds: () => boolean): Promise<boolean> =>
  eventually(what, () => Promise.resolve(holds()));

const untilEnded = (sessions: ManagedSessions): Promise<boolean> =>
  eventually('it is acknowledged', () =>
    sessions.endEverywhere(INCIDENT).then(
      () => true,
      () => false,
    ),
  );

/** Once everybody could be told apart by `iat` from those who are ended, whom Redis dates by the real clock. */
function later(clock: ManualClock): void {
  clock.at = Math.max(clock.at, Math.floor(Date.now() / 1000) * 1000) + MINUTE;
}

describe('ends the sessions of all users', () => {
  test('in every process, seen or not, and lets in who signs in afterwards', async () => {
    const at = start();
    const { clock, here, there } = at;
    const seen = ['ann', 'bob', 'cy'].map((sub) => tokenOf(clock, { sub }));
    const unseen = tokenOf(clock, { sub: 'dan' });
    for (const token of seen) for (const sessions of at.each) expect(await ask(sessions, token)).toBe('live');

    await here.endEverywhere(INCIDENT);
    // At once where it was called.
    for (const token of [...seen, unseen]) expect(await ask(here, token)).toBe('session_revoked');
    await until('all are told there', () => at.endedThere.length === seen.length);
    for (const token of [...seen, unseen]) expect(await ask(there, token)).toBe('session_revoked');
    for (const sub of ['ann', 'bob', 'cy']) expect((await there.list(sub)).sessions).toEqual([]);
    await expect(there.verify(unseen)).rejects.toMatchObject({ code: 'session_revoked', reason: 'incident' });

    later(clock);
    for (const sessions of at.each) {
      expect(await ask(sessions, tokenOf(clock, { sub: 'ann', sid: 'next' }))).toBe('live');
      // A refreshed token of a session that was ended.
      for (const sub of ['ann', 'dan']) expect(await ask(sessions, tokenOf(clock, { sub }))).toBe('session_revoked');
    }
  });

  test('fires their signals, and tells of each once in every process, here where it was called', async () => {
    const at = start();
    const { clock, here, there } = at;
    const tokens = ['ann', 'bob'].map((sub) => tokenOf(clock, { sub }));
    const signals: AbortSignal[] = [];
    for (const token of tokens) {
      for (const sessions of at.each) signals.push((await sessions.verify(token)).session.signal);
    }
    await there.endEverywhere(INCIDENT);
    await until('all connections are told', () => signals.every(({ aborted }) => aborted));
    await until('the events are told', () => at.endedHere.length === 2 && at.endedThere.length === 2);
    for (const token of tokens) for (const sessions of at.each) await ask(sessions, token);
    await here.endEverywhere(INCIDENT);
    for (const [events, isHere] of [
      [at.endedHere, false],
      [at.endedThere, true],
    ] as const) {
      const told = events.map(({ user, cause, reason, by, here: own }) => [user.id, cause, reason, by, own]);
      expect(told.sort()).toEqual([
        ['ann', 'revoked', 'incident', 'operator', isHere],
        ['bob', 'revoked', 'incident', 'operator', isHere],
      ]);
      expect(events[0]?.expiresAt?.getTime()).toBe(clock.now() + 3600_000);
    }
  });

  test('of every issuer, and those of machines', async () => {
    const clock = new ManualClock(Math.floor(Date.now() / 1000) * 1000);
    const sessions = managedSessions({
      issuer: [
        { issuer: ISSUER, secret: SECRET, clockTolerance: 0 },
        { issuer: 'https://other.example.com/', secret: SECRET, clockTolerance: 0 },
      ],
      store: redisStore(redis.url),
      track: ({ sub }) => sub !== 'machine',
      clock,
      ...PATIENT,
    });
    ends.push(() => sessions.close());
    const tokens = [{}, { iss: 'https://other.example.com/' }, { sub: 'machine' }].map((claims) =>
      tokenOf(clock, claims),
    );
    for (const token of tokens) expect(await ask(sessions, token)).toBe('live');
    await sessions.endEverywhere();
    for (const token of tokens) {
      await expect(sessions.verify(token)).rejects.toMatchObject({ code: 'session_revoked', reason: 'revoked' });
    }
  });

  test("by began: 'first-seen', and none that is first seen afterwards", async () => {
    const issuer = { issuer: ISSUER, secret: SECRET, clockTolerance: 0, began: 'first-seen' } as const;
    const { clock, here, there } = start({ issuer });
    await untilFresh(there);
    const undated = tokenOf(clock, { iat: null, exp: clock.now() / 1000 + 86_400 });
    for (const sessions of [here, there]) expect(await ask(sessions, undated)).toBe('live');
    await here.endEverywhere(INCIDENT);
    await until('it is refused there', () => !there.health().sessions);
    later(clock);
    const refreshed = tokenOf(clock, { exp: clock.now() / 1000 + 86_400 });
    const other = tokenOf(clock, { sub: 'bob', iat: null, exp: clock.now() / 1000 + 3600 });
    for (const sessions of [here, there]) {
      for (const token of [undated, refreshed]) expect(await ask(sessions, token)).toBe('session_revoked');
      expect(await ask(sessions, other)).toBe('live');
    }
  });

  test("by began: 'auth_time', those too that were never seen and are refreshed afterwards", async () => {
    const issuer = { issuer: ISSUER, secret: SECRET, clockTolerance: 0, began: 'auth_time' } as const;
    const { clock, here, there } = start({ issuer });
    const signedInAt = clock.now() / 1000 - 60;
    await here.endEverywhere(INCIDENT);
    later(clock);
    for (const sessions of [here, there]) {
      expect(await ask(sessions, tokenOf(clock, { auth_time: signedInAt }))).toBe('session_revoked');
      expect(await ask(sessions, tokenOf(clock, { sub: 'bob', auth_time: clock.now() / 1000 }))).toBe('live');
    }
  });

  test('in memory too', async () => {
    const clock = new ManualClock(Math.floor(Date.now() / 1000) * 1000);
    const sessions = alone(clock);
    ends.push(() => sessions.close());
    const { session } = await sessions.verify(tokenOf(clock));
    await sessions.endEverywhere(INCIDENT);
    expect(session.signal.aborted).toBe(true);
    expect(await ask(sessions, tokenOf(clock))).toBe('session_revoked');
    expect(await ask(sessions, tokenOf(clock, { sub: 'unseen' }))).toBe('session_revoked');
    later(clock);
    expect(await ask(sessions, tokenOf(clock, { sid: 'next' }))).toBe('live');
  });
});

describe('a process that was not there', () => {
  test('started afterwards refuses them from its first request on', async () => {
    const { clock, here } = start();
    const token = tokenOf(clock);
    expect(await ask(here, token)).toBe('live');
    await here.endEverywhere(INCIDENT);
    later(clock);
    for (let round = 0; round < 5; round += 1) {
      const late = startLate(clock);
      const asked = [
        token,
        tokenOf(clock, { sub: `new${String(round)}` }),
        tokenOf(clock, { sub: 'bob', iat: clock.now() / 1000 - 300 }),
      ];
      expect(await Promise.all(asked.map((each) => ask(late, each)))).toEqual([
        'session_revoked',
        'live',
        'session_revoked',
      ]);
    }
  });

  test('hears of it also where the stream was deleted, trimmed or flushed meanwhile', async () => {
    const { clock, here } = start();
    const token = tokenOf(clock);
    await untilFresh(here);
    await here.endEverywhere(INCIDENT);
    await redis.cli('del', 'ms:{feed}:stream', 'ms:{feed}:epoch', 'ms:{feed}:count');
    expect(await ask(startLate(clock), token)).toBe('session_revoked');

    await redis.cli('flushall');
    await eventually(
      'who knows of it has put it back',
      async () => (await redis.cli('exists', 'ms:{feed}:global-cutoff')) === 1,
    );
    expect(await ask(startLate(clock), token)).toBe('session_revoked');
    expect(await redis.cli('pttl', 'ms:{feed}:global-cutoff')).toBeGreaterThan(364 * 86_400_000);
  });

  test('never moves it back, and a later one counts', async () => {
    const { clock, here, there } = start();
    await here.endEverywhere({ reason: 'first' });
    const standing = String(await redis.cli('get', 'ms:{feed}:global-cutoff'));
    await redis.cli('set', 'ms:{feed}:global-cutoff', standing.replace(/^\d+/, String(Date.now() - 86_400_000)));
    await until('the feed goes round', () => there.health().feed.ok);
    await eventually('it stands again', async () => (await redis.cli('get', 'ms:{feed}:global-cutoff')) === standing);
    later(clock);
    await there.endEverywhere({ reason: 'second' });
    await expect(there.verify(tokenOf(clock, { iat: clock.now() / 1000 - 300 }))).rejects.toMatchObject({
      reason: 'second',
    });
    expect(await ask(here, tokenOf(clock, { sub: 'bob', sid: 'x' }))).toBe('live');
  });
});

describe('while sessions begin', () => {
  test('a hundred first sights, two processes and two callers: none that began before is live afterwards', async () => {
    const at = start({ maxSessionsPerUser: Infinity });
    const { clock, here, there } = at;
    const tokens = Array.from({ length: 100 }, (_, index) =>
      tokenOf(clock, { sub: `u${String(index % 10)}`, sid: String(index) }),
    );
    const asking = tokens.flatMap((token) => at.each.map((sessions) => ask(sessions, token)));
    await Promise.all([here.endEverywhere(INCIDENT), there.endEverywhere(INCIDENT)]);
    const answers = await Promise.all(asking);
    expect(new Set([...answers, 'live', 'session_revoked'])).toEqual(new Set(['live', 'session_revoked']));
    for (const sessions of at.each) {
      await eventually('none is known to be live', () => Promise.resolve(sessions.health().sessions === 0));
      for (const token of tokens) expect(await ask(sessions, token)).toBe('session_revoked');
      for (let user = 0; user < 10; user += 1) expect((await sessions.list(`u${String(user)}`)).sessions).toEqual([]);
    }
    later(clock);
    expect(await ask(there, tokenOf(clock, { sub: 'u1', sid: 'next' }))).toBe('live');
  });

  test('the cap does not count what was ended, also where it refuses', async () => {
    const { clock, here, there } = start({ maxSessionsPerUser: 2, atSessionLimit: 'refuse' });
    for (const sid of ['a', 'b']) expect(await ask(here, tokenOf(clock, { sid }))).toBe('live');
    expect(await ask(there, tokenOf(clock, { sid: 'c' }))).toBe('session_limit');
    await here.endEverywhere(INCIDENT);
    later(clock);
    expect(await ask(here, tokenOf(clock, { sid: 'd' }))).toBe('live');
  });
});

describe('an outage', () => {
  test('503 while Redis is gone, nothing is ended, and repeating it ends them', async () => {
    const own = await startRedis();
    ends.push(() => own.stop());
    const at = start(HASTY, own.url);
    const { clock, here, there } = at;
    const token = tokenOf(clock);
    for (const sessions of at.each) await untilLive(sessions, token);
    await own.kill();
    await expect(here.endEverywhere(INCIDENT)).rejects.toMatchObject({ code: 'store_unavailable', status: 503 });
    await own.restart({ keepData: false });
    await eventually('Redis is back', async () => (await ask(here, token)) === 'live');
    expect(await own.cli('exists', 'ms:{feed}:global-cutoff')).toBe(0);
    await untilEnded(here);
    expect(await ask(here, token)).toBe('session_revoked');
    await eventually('and refused there', async () => (await ask(there, token)) === 'session_revoked');
    expect([at.endedHere.length, at.endedThere.length]).toEqual([1, 1]);
  });

  test('503 where too few replicas have it; it may be in force then', async () => {
    const clock = new ManualClock(Math.floor(Date.now() / 1000) * 1000);
    const sessions = alone(clock, { ...HASTY, store: redisStore(redis.url, { minReplicas: 1 }) });
    ends.push(() => sessions.close());
    await expect(sessions.endEverywhere(INCIDENT)).rejects.toMatchObject({ code: 'store_unavailable' });
    await eventually('the feed tells', async () => (await ask(sessions, tokenOf(clock))) === 'session_revoked');
  });

  test.each(['refuse', 'allow', { allowFor: '1h' }] as const)(
    'whenStoreDown %j: what is known here to be ended passes no more, seen or not',
    async (whenStoreDown) => {
      const own = await startRedis();
      ends.push(() => own.stop());
      const { clock, here } = start({ ...HASTY, whenStoreDown }, own.url);
      const token = tokenOf(clock);
      await untilLive(here, token);
      await untilEnded(here);
      await own.kill();
      for (const each of [token, tokenOf(clock, { sub: 'unseen' })])
        expect(await ask(here, each)).toBe('session_revoked');
    },
  );

  describe('of the feed alone', () => {
    let commands: TcpProxy;
    let feed: TcpProxy;
    let client: Redis;

    beforeEach(async () => {
      [commands, feed] = [await startProxy(redis), await startProxy(redis)];
      client = splitClient(commands, feed);
      ends.push(async () => {
        client.disconnect();
        await Promise.all([commands.close(), feed.close()]);
      });
    });

    test.each<[string, () => void]>([
      ['silent', () => feed.blackhole()],
      [
        'cut',
        () => {
          feed.refuse();
          feed.cut();
        },
      ],
    ])('%s: past the bound the store is asked for it, for known sessions and for new ones', async (_, breakFeed) => {
      const { clock, here } = start();
      const BOUND = 2500;
      const there = alone(clock, { storeTimeout: 2000, revocationBound: BOUND, store: redisStore(client) });
      ends.push(() => there.close());
      const told: unknown[] = [];
      there.on('sessionEnded', (event) => told.push(event));
      await untilFresh(there);
      const { session } = await there.verify(tokenOf(clock));
      breakFeed();
      await here.endEverywhere(INCIDENT);
      const acknowledgedAt = performance.now();
      let acceptedAt = -Infinity;
      while (!session.signal.aborted) {
        const askedAt = performance.now();
        const answer = await ask(there, tokenOf(clock));
        if (answer === 'live') acceptedAt = askedAt;
        else expect(['session_revoked', 'store_unavailable']).toContain(answer);
      }
      expect(acceptedAt).toBeLessThanOrEqual(acknowledgedAt + BOUND);
      // Signed in before, never seen there.
      expect(await ask(there, tokenOf(clock, { sub: 'unseen' }))).toBe('session_revoked');
      expect(told).toMatchObject([{ reason: 'incident', here: false }]);
      later(clock);
      expect(await ask(there, tokenOf(clock, { sid: 'next' }))).toBe('live');
    });

    test('neither feed nor command can ask for it: 503, not a guess', async () => {
      const { clock } = start();
      const there = alone(clock, { ...HASTY, store: redisStore(client) });
      ends.push(() => there.close());
      await untilFresh(there);
      const token = tokenOf(clock);
      await untilLive(there, token);
      feed.blackhole();
      commands.blackhole();
      await eventually('the bound is over', async () => (await ask(there, token)) === 'store_unavailable');
    });
  });
});
