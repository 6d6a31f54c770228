/** A user's cutoff where clocks disagree: "reset the password, then sign in" works, and what was in use stays ended. */

import { sessionHandle, sessionUser } from '../../lib/core/session.js';
import { memoryStore, redisStore, type ManagedSessionsOptions, type SessionEvents } from '../../lib/index.js';
import { createTestClock, type TestClock } from '../../lib/testing/index.js';
import { canSetRedisClock, redisClock } from '../histories/redis-clock.js';
import { eventually, type TestRedis } from '../support/redis.js';
import { ISSUER, SITE_ISSUER, tokenOf, untilAnswers, untilFresh, type Answer, type Site } from '../support/site.js';
import { testTogether, used, type Started } from '../support/started.js';

type Began = 'iat' | 'auth_time' | 'first-seen';

const CLOCK_TOLERANCE = 5;

/** What the application's clock is set to: the middle of a second, this many seconds behind Redis. */
function clockBehind(seconds: number): TestClock {
  return createTestClock((Math.floor(Date.now() / 1000) - seconds) * 1000 + 500);
}

const handleOf = (sid: string): string => sessionHandle(sessionUser(ISSUER, 'person'), sid);

class World {
  readonly sites: Site[] = [];
  /** The handles that `sessionEnded` named in any of them. */
  readonly endings: string[] = [];
  readonly #second: number;

  constructor(
    readonly started: Started,
    readonly clock: TestClock,
    readonly redis: TestRedis | null,
    readonly began: Began,
  ) {
    this.#second = Math.floor(clock.now() / 1000);
  }

  /** A token of a sign-in at this second, counted from that of the cutoff. */
  token(sid: string, beganAt: number): string {
    const second = this.#second + beganAt;
    return tokenOf('person', { sid, iat: second, auth_time: second }, '4h');
  }

  async another(): Promise<Site> {
    const { started, redis, clock, began } = this;
    const options: Partial<ManagedSessionsOptions> = {
      issuer: { ...SITE_ISSUER, began },
      clock,
      track: ({ sid }) => sid !== 'untracked',
      store: redis === null ? memoryStore() : redisStore(redis.url),
    };
    const site = await started.site(options);
    site.sessions.on('sessionEnded', ({ handle }) => this.endings.push(handle));
    await untilFresh(site);
    this.sites.push(site);
    return site;
  }

  /** Each process answers this: those that knew the user, and one that starts now. */
  async expectEverywhere(token: string, status: number): Promise<void> {
    if (this.redis !== null) await this.another();
    for (const site of this.sites) expect((await answered(site, token)).status).toBe(status);
  }
}

async function begin(started: Started, behind: number, began: Began, store: 'redis' | 'memory'): Promise<World> {
  const redis = store === 'redis' ? await started.redis() : null;
  const world = new World(started, clockBehind(behind), redis, began);
  await world.another();
  if (redis !== null) await world.another();
  return world;
}

function answered(site: Site, token: string): Promise<Answer> {
  return eventually('the store is asked', async () => {
    const answer = await site.ask(token);
    return answer.status !== 503 && answer;
  });
}

const BEHIND = [
  ['Redis is ahead by less than clockTolerance', 3, 'redis'],
  ['Redis is ahead by more than clockTolerance', 60, 'redis'],
  ['memoryStore', 0, 'memory'],
] as const;
const ALL_BEGAN = ['iat', 'auth_time', 'first-seen'] as const;
const ROWS = BEHIND.flatMap(([name, behind, store]) =>
  ALL_BEGAN.map((began) => [`${name}: ${began}`, behind, began, store] as const),
);

describe('after revokeAll', () => {
  testTogether(ROWS, async (started, [, behind, began, store]) => {
    const world = await begin(started, behind, began, store);
    const here = world.sites[0]!;
    // Seen by all, by the last alone, and within clockTolerance of the cutoff: they were all in use before it.
    for (const site of world.sites) expect((await answered(site, world.token('old', -600))).status).toBe(200);
    const last = world.sites.at(-1)!;
    for (const sid of ['recent', 'untracked']) expect((await answered(last, world.token(sid, -3))).status).toBe(200);
    await here.sessions.revokeAll('person');
    // At once, wherever the person comes to.
    for (const site of world.sites) {
      const sid = `new at ${String(world.sites.indexOf(site))}`;
      expect(await answered(site, world.token(sid, 0))).toMatchObject({ status: 200, code: undefined });
    }
    await world.expectEverywhere(world.token('new at 0', 1), 200);

    for (const site of world.sites.slice(0, 2)) await untilAnswers(site, world.token('old', -600), 401);
    for (const sid of ['old', 'recent']) await world.expectEverywhere(world.token(sid, 1), 401);
    await untilAnswers(last, world.token('untracked', -3), 401);
    expect(await answered(last, world.token('untracked', 1))).toMatchObject({ status: 401, code: 'session_revoked' });
    if (world.redis !== null) {
      const key = `ms:{${sessionUser(ISSUER, 'person').key}}:s`;
      await eventually('its tombstone is written', () => world.redis!.cli('hget', key, handleOf('untracked')));
    }
    await world.expectEverywhere(world.token('untracked', 1), 401);
    await world.expectEverywhere(world.token('new at 0', 1), 200);
  });
});

/** Under 'first-seen' no cutoff ends what was not seen before it. */
const JUDGED_BY_TOKENS = ROWS.filter(([, , began]) => began !== 'first-seen');

describe('what was never seen before the cutoff', () => {
  testTogether(JUDGED_BY_TOKENS, async (started, [, behind, began, store]) => {
    const world = await begin(started, behind, began, store);
    const { redis, sites } = world;
    const here = sites[0]!;
    await answered(here, world.token('old', -600));
    await here.sessions.revokeAll('person');
    for (const site of sites) await untilAnswers(site, world.token('old', -600), 401);
    // One that learned of the cutoff from its notice, and one that asks the store.
    if (redis !== null) await world.another();

    const isClose = new Set<string>();
    for (const [index, site] of sites.entries()) {
      const close = `close ${String(index)}`;
      const far = `far ${String(index)}`;
      isClose.add(handleOf(close));
      const early = world.token(close, 1 - CLOCK_TOLERANCE);
      for (let time = 0; time < 2; time += 1) {
        expect(await answered(site, early)).toMatchObject({ status: 401, code: 'session_revoked' });
        expect(await answered(site, world.token(far, -600))).toMatchObject({ status: 401, code: 'session_revoked' });
      }
      if (redis !== null) {
        const key = `ms:{${sessionUser(ISSUER, 'person').key}}:s`;
        expect(await redis.cli('hget', key, handleOf(close))).toBeNull();
        await eventually('its tombstone is written', () => redis.cli('hget', key, handleOf(far)));
      }
      expect(await answered(site, world.token(close, 1))).toMatchObject({ status: 200, code: undefined });
      expect(await answered(site, world.token(far, 1))).toMatchObject({ status: 401, code: 'session_revoked' });
    }
    for (let index = 0; index < 2 && index < sites.length; index += 1) {
      await world.expectEverywhere(world.token(`far ${String(index)}`, 1), 401);
      await world.expectEverywhere(world.token(`close ${String(index)}`, 1), 200);
    }
    expect(world.endings.filter((handle) => isClose.has(handle))).toEqual([]);
  });
});

test.each(['redis', 'memory'] as const)('a cutoff is never before an earlier one: %s', (store) =>
  used(async (started) => {
    const world = await begin(started, 60, 'iat', store);
    const { clock, sites } = world;
    const here = sites[0]!;
    const endings: SessionEvents['sessionEnded'][] = [];
    here.sessions.on('sessionEnded', (event) => endings.push(event));
    const setAt = clock.now();
    await answered(here, world.token('old', -600));
    await here.sessions.revokeAll('person');
    clock.advance(1000);
    for (const site of sites) expect((await answered(site, world.token('new', 1))).status).toBe(200);

    clock.set(setAt - 3000);
    expect(await here.sessions.revokeAll('person')).toEqual({ ended: 1 });
    await eventually('both are told', () => Promise.resolve(endings.length === 2));
    const [first, second] = endings.map(({ at }) => at.getTime());
    // The second one is not dated by the clock that went back, but directly after the first.
    expect([first, second]).toEqual([setAt, setAt + 1]);
    for (const site of sites) {
      for (const sid of ['old', 'new']) await untilAnswers(site, world.token(sid, 1), 401);
    }
    await world.expectEverywhere(world.token('old', 1), 401);
    await world.expectEverywhere(world.token('new', 1), 401);
  }),
);

(canSetRedisClock() ? test : test.skip)("Redis's own clock is ahead by a minute", () =>
  used(async (started) => {
    const redisTime = started.add(redisClock(), async (each) => {
      each.remove();
      await Promise.resolve();
    });
    redisTime.set(60_000);
    const redis = await started.redis([], { env: redisTime.env });
    const sites = [
      await started.site({ store: redisStore(redis.url) }),
      await started.site({ store: redisStore(redis.url) }),
    ] as const;
    const problems: SessionEvents['storeUnsafe'][] = [];
    sites[0].sessions.on('storeUnsafe', (event) => problems.push(event));
    const now = Math.floor(Date.now() / 1000);
    const old = tokenOf('person', { sid: 'old', iat: now - 600 });
    for (const site of sites) expect((await answered(site, old)).status).toBe(200);
    await eventually('the difference is told', () => Promise.resolve(problems.length > 0));
    expect(problems[0]).toMatchObject({ problem: 'clock' });

    await sites[0].sessions.revokeAll('person');
    const login = tokenOf('person', { sid: 'new' });
    for (const site of sites) expect(await answered(site, login)).toMatchObject({ status: 200, code: undefined });
    for (const site of sites) await untilAnswers(site, old, 401);
    for (const site of sites) {
      expect((await answered(site, tokenOf('person', { sid: 'old' }))).status).toBe(401);
      expect((await answered(site, login)).status).toBe(200);
    }
  }),
);
