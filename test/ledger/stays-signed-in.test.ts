/** No outage, no old snapshot and no full memory signs out a session that is in use; a session that was not used is over. */

import { redisStore, type ManagedSessionsOptions, } from '../../lib/index.js';
import { createTestClock, type TestClock } from '../../lib/testing/index.js';
import { eventually, type TestRedis } from '../support/redis.js';
import {
  revoked,
  tokenOf,
  untilAnswers,
  untilFresh,
  type Answer,
  type Site,
} from '../support/site.js';
import { testTogether, type Started } from '../support/started.js';

type Options = Partial<ManagedSessionsOptions>;

/** The clock that is injected goes in steps of ten minutes. */
const IDLE_TIMEOUT = '30m';
const STEP = '10m';
/** Longer than the idle timeout. */
const STEPS = 4;

const PEOPLE = ['one', 'two', 'three', 'four', 'five'];
const TOKENS = PEOPLE.map((person) => tokenOf(person, {}, '4h'));

interface World {
  readonly redis: TestRedis;
  readonly clock: TestClock;
  readonly options: Options;
  readonly sites: Site[];
  readonly started: Started;
}

async function begin(started: Started, options: Options, sites = 2): Promise<World> {
  const redis = await started.redis();
  const clock = createTestClock();
  const world: World = { redis, clock, options: { revocationBound: '1s', ...options }, sites: [], started };
  for (let count = 0; count < sites; count += 1) world.sites.push(await another(world));
  await Promise.all(world.sites.map(untilFresh));
  return world;
}

function another({ redis, clock, options, started }: World): Promise<Site> {
  return started.site({ ...options, store: redisStore(redis.url), clock });
}

/** The first answer that is not 503. */
function answered(site: Site, token: string): Promise<Answer> {
  return eventually('the store is asked', async () => {
    const answer = await site.ask(token);
    return answer.status !== 503 && answer;
  });
}

async function expectLive(site: Site, ...tokens: string[]): Promise<void> {
  const answers = await Promise.all(tokens.map((token) => answered(site, token)));
  expect(answers.map(({ status, code }) => code ?? status)).toEqual(tokens.map(() => 200));
}

async function useAll(sites: readonly Site[]): Promise<Answer[]> {
  return (await Promise.all(sites.map((site) => Promise.all(TOKENS.map((token) => site.ask(token)))))).flat();
}

/** As Redis has it. */
async function lastSeenOf(site: Site, person: string): Promise<number | undefined> {
  const { sessions } = await site.sessions.list(person);
  return sessions[0] && Date.parse(sessions[0].lastSeenAt);
}

/** Time goes on meanwhile: what failed is sent again when it is due. */
function untilWritten({ clock, sites: [site] }: World): Promise<unknown> {
  const usedAt = clock.now();
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
async function inConstantUse({ clock, sites }: World, steps = STEPS): Promise<Set<number>> {
  const statuses = new Set<number>();
  for (let step = 0; step < steps; step += 1) {
    clock.advance(STEP);
    for (const { status } of await useAll(sites)) statuses.add(status);
  }
  return statuses;
}

async function saveAndKill({ redis, sites }: World): Promise<Buffer> {
  const saved = await redis.save();
  await redis.kill();
  await Promise.all(sites.map(untilStale));
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
    await answered(world.sites[0]!, tokenOf('ended'));
    await revoked(world.sites[0]!, tokenOf('ended'));
    for (const site of world.sites) expect(await untilAnswers(site, tokenOf('ended'), 401)).toBeDefined();
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
    await useAll(world.sites);
    await untilWritten(world);

    await befall(world);
    // Half of them ask at once, and of the others the process tells the store by itself.
    await expectLive(world.sites[0]!, ...TOKENS.slice(0, 2));
    if ('idleTimeout' in options) await untilWritten(world);
    for (const site of [...world.sites, await another(world)]) await expectLive(site, ...TOKENS);
    expect(await inConstantUse(world)).toEqual(new Set([200]));
    for (const site of world.sites) {
      const ended = await Promise.all(PEOPLE.map((person) => site.sessions.list(person)));
      expect(ended.map(({ sessions }) => sessions.length)).toEqual(PEOPLE.map(() => 1));
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
    await useAll(sites);
    await untilWritten(world);

    const saved = await fault.begin(world);
    // A use that only this process knows, and then a pause.
    clock.advance(STEP);
    await useAll(sites);
    clock.advance('31m');
    const refused = new Set((await useAll(sites)).map(({ status }) => status));
    // Clients that ask again and again through the outage do not undo the pause.
    for (const status of await inConstantUse(world)) refused.add(status);
    expect(refused).toEqual(new Set([outageStatus(world)]));
    await fault.end(world, saved);

    for (const site of [...sites, await another(world)]) {
      const answers = await Promise.all(TOKENS.map((token) => eventually('the store is asked', async () => {
        const answer = await site.ask(token);
        return answer.status === 401 && answer;
      })));
      expect(answers.map(({ code }) => code)).toEqual(TOKENS.map(() => 'session_idle'));
    }
    for (const site of sites)
      expect(site.events.filter((event) => event === 'sessionEnded')).toHaveLength(TOKENS.length);
  });
});
