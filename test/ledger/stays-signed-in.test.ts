/** No outage, no old snapshot and no full memory signs out a session that is in use; a session that was not used is over. */

import { sessionHandle, sessionUser } from '../../lib/core/session.js';
import { redisStore, type ManagedSessionsOptions, type SessionEvents } from '../../lib/index.js';
import { createTestClock, type TestClock } from '../../lib/testing/index.js';
import { eventually, type TestRedis } from '../support/redis.js';
import {
  ISSUER,
  revoked,
  SITE_ISSUER,
  tokenOf as tokenIssuedNow,
  untilAnswers,
  untilFresh,
  type Answer,
  type Site,
} from '../support/site.js';
import { testTogether, used, type Started } from '../support/started.js';

type Options = Partial<ManagedSessionsOptions>;

/** The clock that is injected goes in steps of ten minutes. */
const IDLE_TIMEOUT = '30m';
const STEP = '10m';
/** Longer than the idle timeout. */
const STEPS = 4;

/** Before any of the injected clocks began, which stand still for as long as a busy machine takes. */
const ISSUED_AT = Math.floor(Date.now() / 1000);

function tokenOf(subject: string, claims: object = {}): string {
  return tokenIssuedNow(subject, { iat: ISSUED_AT, ...claims }, '4h');
}

const PEOPLE = ['one', 'two', 'three', 'four', 'five'];
const TOKENS = PEOPLE.map((person) => tokenOf(person));

const handleOf = (person: string, sid = 's'): string => sessionHandle(sessionUser(ISSUER, person), sid);

/** Without a fault the store is in time, and the feed fresh, on a busy machine too. */
const PATIENT = { revocationBound: 5000, storeTimeout: 2000 };

interface World {
  readonly redis: TestRedis;
  readonly clock: TestClock;
  readonly options: Options;
  readonly sites: Site[];
  /** When the sessions were used last, by the clock. */
  usedAt: number;
  readonly started: Started;
}

async function begin(started: Started, options: Options, sites = 2): Promise<World> {
  const redis = await started.redis();
  const clock = createTestClock();
  const world: World = { redis, clock, options: { ...PATIENT, ...options }, sites: [], usedAt: 0, started };
  for (let count = 0; count < sites; count += 1) world.sites.push(await another(world));
  await Promise.all(world.sites.map(untilFresh));
  // Before the first notice there is nothing in the feed by which a loss could be noticed.
  await untilAnswers(world.sites[0]!, tokenOf('ended'), 200);
  await revoked(world.sites[0]!, tokenOf('ended'));
  for (const site of world.sites) await untilAnswers(site, tokenOf('ended'), 401);
  return world;
}

function another({ redis, clock, options, started }: World): Promise<Site> {
  return started.site({ ...options, store: redisStore(redis.url), clock });
}

/** The first answer that is not 503. */
function answered(site: Site, token: string, path?: '/' | '/fresh'): Promise<Answer> {
  return eventually('the store is asked', async () => {
    const answer = await site.ask(token, path);
    return answer.status !== 503 && answer;
  });
}

async function expectLive(site: Site, ...tokens: string[]): Promise<void> {
  const answers = await Promise.all(tokens.map((token) => answered(site, token)));
  expect(answers.map(({ status, code }) => code ?? status)).toEqual(tokens.map(() => 200));
}

async function useAll(world: World): Promise<Answer[]> {
  const { clock, sites } = world;
  world.usedAt = clock.now();
  return (await Promise.all(sites.map((site) => Promise.all(TOKENS.map((token) => site.ask(token)))))).flat();
}

/** Its connection for commands may be back later than its feed, by which requests are answered from memory. */
function countListed(site: Site, person: string): Promise<number> {
  return eventually('the store is asked', async () => {
    const page = await site.sessions.list(person).catch(() => undefined);
    return page?.sessions.length;
  });
}

/** As Redis has it. */
async function lastSeenOf(site: Site, person: string): Promise<number | undefined> {
  const { sessions } = await site.sessions.list(person);
  return sessions[0] && Date.parse(sessions[0].lastSeenAt);
}

/** Time goes on meanwhile: what failed is sent again when it is due. */
function untilWritten({ clock, usedAt, sites: [site] }: World): Promise<unknown> {
  return eventually('the store knows the last use', async () => {
    const times = await Promise.all(PEOPLE.map((person) => lastSeenOf(site!, person).catch(() => undefined)));
    clock.advance(10);
    return times.every((time) => time !== undefined && time >= usedAt);
  });
}

function untilStale(site: Site): Promise<boolean> {
  return eventually('the bound is over', () => Promise.resolve(!site.sessions.health().feed.ok));
}

/** As long as the idle timeout and longer; the statuses that were answered. */
async function inConstantUse(world: World, steps = STEPS): Promise<Set<number>> {
  const statuses = new Set<number>();
  for (let step = 0; step < steps; step += 1) {
    world.clock.advance(STEP);
    for (const { status } of await useAll(world)) statuses.add(status);
  }
  return statuses;
}

async function saveAndKill({ redis, sites }: World): Promise<Buffer> {
  const saved = await redis.save();
  await redis.kill();
  const killedAt = performance.now();
  await Promise.all(sites.map(untilStale));
  // An answer of the store may be younger than what was last read of the feed.
  await eventually('no answer vouches any more', () =>
    Promise.resolve(performance.now() > killedAt + PATIENT.revocationBound),
  );
  return saved;
}

const outageStatus = ({ options }: World): number => (options.whenStoreDown === 'refuse' ? 503 : 200);

const FAULTS: Readonly<Record<string, (world: World) => Promise<void>>> = {
  'an old snapshot': async (world) => {
    const saved = await world.redis.save();
    expect(await inConstantUse(world)).toEqual(new Set([200]));
    await untilWritten(world);
    await world.redis.restore(saved);
    // Nothing shows this to the processes. The clients go on, wherever they went before.
    expect(await inConstantUse(world, 1)).toEqual(new Set([200]));
  },
  'an old snapshot, from before a revocation': async (world) => {
    const saved = await world.redis.save();
    expect(await inConstantUse(world)).toEqual(new Set([200]));
    await untilWritten(world);
    const ended = tokenOf('ended', { sid: 'later' });
    await answered(world.sites[0]!, ended);
    await revoked(world.sites[0]!, ended);
    for (const site of world.sites) await untilAnswers(site, ended, 401);
    await world.redis.restore(saved);
  },
  'an outage': async (world) => {
    const saved = await saveAndKill(world);
    expect(await inConstantUse(world)).toEqual(new Set([outageStatus(world)]));
    await world.redis.restore(saved);
  },
  'memory full': async (world) => {
    await world.redis.cli('config', 'set', 'maxmemory', '1');
    expect(await inConstantUse(world)).toEqual(new Set([200]));
    for (const site of world.sites) expect(site.sessions.health()).toMatchObject({ feed: { ok: true } });
    await world.redis.cli('config', 'set', 'maxmemory', '0');
  },
  'an outage in which a site restarts': async (world) => {
    const saved = await saveAndKill(world);
    expect(await inConstantUse(world, 1)).toEqual(new Set([outageStatus(world)]));
    for (const site of world.sites) await site.stop();
    world.sites.splice(0, 2, await another(world), await another(world));
    const unknown = world.options.whenStoreDown === 'allow' ? 200 : 503;
    expect(await inConstantUse(world)).toEqual(new Set([unknown]));
    await world.redis.restore(saved);
  },
  'an outage in which clients come to a site that has never seen them': async (world) => {
    const saved = await saveAndKill(world);
    world.sites.splice(0, 2, await another(world));
    const unknown = world.options.whenStoreDown === 'allow' ? 200 : 503;
    expect(await inConstantUse(world)).toEqual(new Set([unknown]));
    await world.redis.restore(saved);
  },
};

const MODES: readonly (readonly [string, Options])[] = [
  ['refuse', { whenStoreDown: 'refuse', idleTimeout: IDLE_TIMEOUT }],
  ['allowFor', { whenStoreDown: { allowFor: '10m' }, idleTimeout: IDLE_TIMEOUT }],
  ['allow', { whenStoreDown: 'allow', idleTimeout: IDLE_TIMEOUT }],
  ['refuse, without idleTimeout', { whenStoreDown: 'refuse' }],
];

const FAULTS_BY_MODE = Object.entries(FAULTS).flatMap(([fault, befall]) =>
  MODES.map(([mode, options]) => [`${fault}: ${mode}`, befall, options] as const),
);

describe('sessions in constant use stay signed in', () => {
  testTogether(FAULTS_BY_MODE, async (started, [, befall, options]) => {
    const world = await begin(started, options);
    await useAll(world);
    await untilWritten(world);

    await befall(world);
    // Half of them ask at once, and of the others the process tells the store by itself.
    await expectLive(world.sites[0]!, ...TOKENS.slice(0, 2));
    if ('idleTimeout' in options) await untilWritten(world);
    for (const site of [...world.sites, await another(world)]) await expectLive(site, ...TOKENS);
    expect(await inConstantUse(world)).toEqual(new Set([200]));
    for (const site of world.sites) {
      const counts = await Promise.all(PEOPLE.map((person) => countListed(site, person)));
      expect(counts).toEqual(PEOPLE.map(() => 1));
    }
  });
});

const STORE_FAULTS: Readonly<
  Record<string, { begin(world: World): Promise<unknown>; end(world: World, saved: unknown): Promise<unknown> }>
> = {
  outage: { begin: saveAndKill, end: ({ redis }, saved) => redis.restore(saved as Buffer) },
  'memory full': {
    begin: ({ redis }) => redis.cli('config', 'set', 'maxmemory', '1'),
    end: ({ redis }) => redis.cli('config', 'set', 'maxmemory', '0'),
  },
};

const PAUSES = Object.entries(STORE_FAULTS).flatMap(([name, fault]) =>
  MODES.slice(0, 3).map(([mode, options]) => [`${name}: ${mode}`, fault, options] as const),
);

describe('sessions that were not used for the idle timeout are over after the outage', () => {
  testTogether(PAUSES, async (started, [, fault, options]) => {
    const world = await begin(started, options);
    const { clock, sites } = world;
    await useAll(world);
    await untilWritten(world);

    const saved = await fault.begin(world);
    // A use that only this process knows, and then a pause.
    clock.advance(STEP);
    await useAll(world);
    clock.advance('31m');
    const refused = new Set((await useAll(world)).map(({ status }) => status));
    // Clients that ask again and again through the outage do not undo the pause.
    for (const status of await inConstantUse(world)) refused.add(status);
    expect(refused).toEqual(new Set([options.whenStoreDown === 'allow' ? 200 : 503]));
    await fault.end(world, saved);

    for (const site of [...sites, await another(world)]) {
      const answers = await Promise.all(
        TOKENS.map((token) =>
          eventually('the store is asked', async () => {
            const answer = await site.ask(token);
            return answer.status === 401 && answer;
          }),
        ),
      );
      expect(answers.map(({ code }) => code)).toEqual(TOKENS.map(() => 'session_idle'));
    }
    for (const site of sites)
      expect(site.events.filter((event) => event === 'sessionEnded')).toHaveLength(1 + TOKENS.length);
  });
});

describe('what ended while a process was cut off does not come back by what that process knows', () => {
  const ENDINGS: Readonly<
    Record<
      string,
      {
        readonly code: string;
        readonly options?: Options;
        readonly claims?: object;
        end(here: Site, clock: TestClock): Promise<unknown>;
      }
    >
  > = {
    'a tombstone': { code: 'session_revoked', end: (here) => revoked(here, tokenOf(PEOPLE[0]!)) },
    'a cutoff': { code: 'session_revoked', end: (here) => here.sessions.revokeAll(PEOPLE[0]!) },
    'a lifetime': { code: 'session_expired', options: { lifetime: '50m' }, end: (_, clock) => goOn(clock, '51m') },
    session_expiry: {
      code: 'session_expired',
      claims: { session_expiry: Math.floor(Date.now() / 1000) + 3000 },
      end: (_, clock) => goOn(clock, '51m'),
    },
  };

  testTogether(Object.entries(ENDINGS), async (started, [, { code, options, claims = {}, end }]) => {
    const world = await begin(started, { ...options, whenStoreDown: 'allow', idleTimeout: IDLE_TIMEOUT }, 1);
    const { redis, clock, sites } = world;
    const [here] = sites;
    const proxy = await started.proxy(redis);
    const store = redisStore(`redis://127.0.0.1:${String(proxy.port)}`);
    const there = await started.site({ ...world.options, store, clock });
    const iat = Math.floor(clock.now() / 1000) - 60;
    const token = tokenOf(PEOPLE[0]!, { iat, ...claims });
    for (const site of [here!, there]) await untilAnswers(site, token, 200);
    await untilFresh(there);

    proxy.refuse();
    proxy.cut();
    await untilStale(there);
    clock.advance('10s');
    expect((await there.ask(token)).status).toBe(200);
    await end(here!, clock);
    const isRunOut = code === 'session_expired';
    expect(await there.ask(token)).toMatchObject(isRunOut ? { status: 401, code } : { status: 200 });
    await proxy.heal();
    await untilFresh(there);
    for (const site of [there, here!, await another(world)])
      expect(await untilAnswers(site, token, 401)).toMatchObject({ code });
  });

  async function goOn(clock: TestClock, duration: '51m'): Promise<void> {
    clock.advance(duration);
    await Promise.resolve();
  }
});

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0';

interface Place {
  readonly world: World;
  readonly here: Site;
  sign(sid: string): Promise<Answer>;
  live(): Promise<string[]>;
}

/** One user, whose sessions are named by letters, may have two of them. */
async function withCap(started: Started, options: Options): Promise<Place> {
  const world = await begin(started, { maxSessionsPerUser: 2, ...options }, 1);
  const here = world.sites[0]!;
  const tokenOfSession = (sid: string): string => tokenOf('person', { sid });
  return {
    world,
    here,
    sign: (sid) => answered(here, tokenOfSession(sid), '/fresh'),
    async live() {
      const { sessions } = await here.sessions.list('person');
      const names = new Map(['a', 'b', 'c'].map((sid) => [handleOf('person', sid), sid]));
      return sessions.map(({ handle }) => names.get(handle) ?? handle).sort();
    },
  };
}

describe('the session limit goes by what the process knows', () => {
  const ROWS = Object.entries(STORE_FAULTS).flatMap(([name, fault]) =>
    MODES.map(([mode, options]) => [`${name}: ${mode}`, fault, { ...options, idleTimeout: '4h' }] as const),
  );
  const SIGN_INS = [
    ['after it', false],
    ['first tried during it', true],
  ] as const;
  const SIGN_INS_BY_ROW = ROWS.flatMap(([row, ...rest]) =>
    SIGN_INS.map(([name, isTried]) => [`${row}: a sign-in ${name}`, ...rest, isTried] as const),
  );
  testTogether(SIGN_INS_BY_ROW, async (started, [, fault, options, isTried]) => {
    const { world, here, sign, live } = await withCap(started, options);
    const { clock } = world;
    for (const sid of ['a', 'b']) {
      expect((await sign(sid)).status).toBe(200);
      clock.advance('1m');
    }
    const saved = await fault.begin(world);
    if (isTried) await here.ask(tokenOf('person', { sid: 'c' }));
    // The one that the store saw longest ago is used again, and the store is not told.
    clock.advance(STEP);
    await here.ask(tokenOf('person', { sid: 'a' }));
    clock.advance('1m');
    await fault.end(world, saved);
    expect((await sign('c')).status).toBe(200);
    expect(await live()).toEqual(['a', 'c']);
  });
});

describe('after FLUSHALL', () => {
  test.each(['end-oldest', 'refuse'] as const)('live sessions keep their place: %s', (atSessionLimit) =>
    used(async (started) => {
      const { world, sign, live } = await withCap(started, { atSessionLimit, idleTimeout: '4h' });
      for (const sid of ['a', 'b']) {
        expect((await sign(sid)).status).toBe(200);
        world.clock.advance('1m');
      }
      await sign('a');
      await world.redis.cli('flushall');
      await eventually('both are on record again', async () => (await live()).join() === 'a,b');
      expect((await sign('c')).status).toBe(atSessionLimit === 'refuse' ? 403 : 200);
      expect(await live()).toEqual(atSessionLimit === 'refuse' ? ['a', 'b'] : ['a', 'c']);
      for (const sid of await live()) expect((await sign(sid)).status).toBe(200);
    }),
  );

  test.each(['end-oldest', 'refuse'] as const)('sessions that came meanwhile do not take it: %s', (atSessionLimit) =>
    used(async (started) => {
      const options = { maxSessionsPerUser: 2, atSessionLimit };
      const { redis, clock, sites, ...world } = await begin(started, options, 1);
      const proxy = await started.proxy(redis);
      const store = redisStore(`redis://127.0.0.1:${String(proxy.port)}`);
      const here = await started.site({ ...world.options, store, clock });
      const tokens = ['a', 'b', 'c', 'd'].map((sid) => tokenOf('person', { sid }));
      for (const token of tokens.slice(0, 2)) await expectLive(here, token);
      proxy.refuse();
      proxy.cut();
      await redis.cli('flushall');
      for (const token of tokens.slice(2)) await expectLive(sites[0]!, token);

      await proxy.heal();
      await untilFresh(here);
      for (const token of tokens) expect((await answered(here, token, '/fresh')).status).toBe(200);
      // The next one finds no place.
      const next = tokenOf('person', { sid: 'e' });
      expect((await answered(here, next)).status).toBe(atSessionLimit === 'refuse' ? 403 : 200);
    }),
  );

  const ENDS: readonly (readonly [string, Options, (iat: number) => object])[] = [
    ['a lifetime', { lifetime: '1h' }, () => ({})],
    [
      'a lifetime from the first sighting',
      { lifetime: '1h', issuer: { ...SITE_ISSUER, began: 'first-seen' } },
      () => ({}),
    ],
    ['session_expiry', {}, (iat) => ({ session_expiry: iat + 3600 })],
  ];
  test.each(ENDS)('%s ends the session when it would have ended', (_, options, claimsOf) =>
    used(async (started) => {
      const world = await begin(started, options, 1);
      const { clock, redis, sites } = world;
      const here = sites[0]!;
      const began = clock.now();
      const iat = Math.floor(began / 1000);
      await untilAnswers(here, tokenOf('person', { iat, ...claimsOf(iat) }), 200);
      clock.advance('50m');
      // A refreshed token does not say when the session began, or until when it may last.
      const refreshed = tokenOf('person', { iat: iat + 3000 });
      expect((await answered(here, refreshed)).status).toBe(200);
      await redis.cli('flushall');
      await eventually('it is on record again', async () => (await lastSeenOf(here, 'person')) !== undefined);
      expect((await answered(here, refreshed)).status).toBe(200);
      const { sessions } = await here.sessions.list('person');
      const [session] = sessions;
      expect(Math.abs(Date.parse(session!.startedAt) - began)).toBeLessThan(1000);
      clock.advance('11m');
      for (const site of [here, await another(world)])
        expect(await untilAnswers(site, refreshed, 401)).toMatchObject({ code: 'session_expired' });
    }),
  );

  test('live sessions are not told of as started, known clients are noted again, and labels are lost', () =>
    used(async (started) => {
      const world = await begin(started, {}, 2);
      const { redis, sites, clock } = world;
      const here = sites[0]!;
      const starts: SessionEvents['sessionStarted'][] = [];
      for (const { sessions } of sites) sessions.on('sessionStarted', (event) => starts.push(event));
      const token = tokenOf('person');
      for (const { sessions } of sites) await sessions.verify(token, { userAgent: FIREFOX });
      expect(starts).toHaveLength(1);
      const handle = handleOf('person');
      await here.sessions.label('person', handle, 'desk');

      await redis.cli('flushall');
      await eventually('it is on record again', async () => (await lastSeenOf(here, 'person')) !== undefined);
      clock.advance(STEP);
      for (const { sessions } of sites) await sessions.verify(token, { userAgent: FIREFOX });
      expect(starts).toHaveLength(1);
      expect((await here.sessions.get('person', handle)).label).toBeNull();

      await here.sessions.verify(tokenOf('person', { sid: 'next' }), { userAgent: FIREFOX });
      await eventually('it is told', () => Promise.resolve(starts.length === 2));
      expect(starts[1]).toMatchObject({ knownClient: true });
    }));
});
