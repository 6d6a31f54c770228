/** What a store had lost and gets back from one process is in force in all of them within the bound, and told once. */

import { sessionHandle, sessionUser } from '../../lib/core/session.js';
import { redisStore, type ManagedSessionsOptions, type SessionEvents } from '../../lib/index.js';
import { createTestClock, type TestClock } from '../../lib/testing/index.js';
import { eventually, type TestRedis } from '../support/redis.js';
import {
  BOUND,
  ISSUER,
  revoked,
  STORE_TIMEOUT,
  tokenOf,
  untilAnswers,
  untilFresh,
  type Site,
} from '../support/site.js';
import { splitClient } from '../support/split-client.js';
import { used, type Started } from '../support/started.js';
import type { TcpProxy } from '../support/tcp-proxy.js';

/** Nothing is asked again in the background. */
const SILENT = { activityInterval: '1h' } as const;
const SESSIONS = Array.from({ length: 20 }, (_, index) => `s${String(index)}`);

const USER = sessionUser(ISSUER, 'person');
const handleOf = (sid: string): string => sessionHandle(USER, sid);

interface Told {
  readonly site: Site;
  /** `sessionEnded`, in order. */
  readonly endings: SessionEvents['sessionEnded'][];
  readonly commands: TcpProxy;
  readonly feed: TcpProxy;
}

/** Behind proxies of its own. */
async function siteOf(
  started: Started,
  redis: TestRedis,
  options: Partial<ManagedSessionsOptions> = {},
): Promise<Told> {
  const [commands, feed] = [await started.proxy(redis), await started.proxy(redis)];
  const client = started.add(splitClient(commands, feed), async (each) => {
    each.disconnect();
    await Promise.resolve();
  });
  const site = await started.site({ ...SILENT, ...options, store: redisStore(client) });
  const endings: Told['endings'] = [];
  site.sessions.on('sessionEnded', (event) => endings.push(event));
  await untilFresh(site);
  return { site, endings, commands, feed };
}

/** Which process writes back: the one that ended the sessions, which also announces again, or one that has heard of it. */
const WRITERS = [
  ['by the process that ended them', true],
  ['by another', false],
] as const;

/** The process that ends the sessions, and the one that lives on and writes back. */
async function endersOf(
  started: Started,
  redis: TestRedis,
  isSame: boolean,
  options?: Partial<ManagedSessionsOptions>,
): Promise<{ ender: Told; here: Told }> {
  const here = await siteOf(started, redis, options);
  return { here, ender: isSame ? here : await siteOf(started, redis, options) };
}

/** Until the process that lives on knows of so many endings; the other one is gone then. */
async function endedAndGone({ ender, here }: { ender: Told; here: Told }, count: number): Promise<void> {
  await eventually('it is told', () => Promise.resolve(here.endings.length === count));
  if (ender !== here) await ender.site.stop();
}

function cutOff({ commands, feed }: Told): void {
  for (const proxy of [commands, feed]) {
    proxy.refuse();
    proxy.cut();
  }
}

async function heal({ commands, feed }: Told): Promise<void> {
  await commands.heal();
  await feed.heal();
}

/** A round of the feed that was sent after this moment counts. */
function untilReadAfter(moment: number, { site }: Told): Promise<boolean> {
  return eventually('the feed was read again', () =>
    Promise.resolve((site.sessions.health().feed.age ?? Infinity) < performance.now() - moment),
  );
}

async function signalOf({ site }: Told, token: string): Promise<AbortSignal> {
  return (await site.sessions.verify(token)).session.signal;
}

const handlesOf = (endings: Told['endings'], here: boolean): string[] =>
  endings.filter((event) => event.here === here).map(({ handle }) => handle);

function entryOf(redis: TestRedis, sid: string): Promise<unknown> {
  return redis.cli('hget', `ms:{${USER.key}}:s`, handleOf(sid));
}

/** Until Redis holds something else of each session; to when that was seen. */
async function untilWrittenBack(redis: TestRedis, before: ReadonlyMap<string, unknown>): Promise<number> {
  await eventually('what was lost is written back', async () => {
    for (const [sid, entry] of before) if ((await entryOf(redis, sid)) === entry) return false;
    return true;
  });
  return performance.now();
}

/** Refused at the latest at this moment, with no further question to the store, and told once. */
async function expectRefusedBy(limit: number, told: Told, sids: readonly string[], signals: readonly AbortSignal[]) {
  const { site, endings } = told;
  await eventually('every session is refused', async () => {
    const answers = await Promise.all(sids.map((sid) => site.ask(tokenFor(sid))));
    for (const { status, acceptedAt } of answers) if (status === 200) expect(acceptedAt).toBeLessThanOrEqual(limit);
    return answers.every(({ status }) => status === 401);
  });
  expect(signals.map(({ aborted }) => aborted)).toEqual(sids.map(() => true));
  await eventually('every ending is told', () => Promise.resolve(endings.length >= sids.length));
  expect(handlesOf(endings, false).sort()).toEqual(sids.map(handleOf).sort());
  expect(handlesOf(endings, true)).toEqual([]);
}

/** Of before any cutoff of these tests. */
const beganBefore = Math.floor(Date.now() / 1000) - 60;
const tokenFor = (sid: string): string => tokenOf('person', { sid, iat: beganBefore });

test.each(WRITERS)('a snapshot is restored before a process that was cut off returns; written back %s', (_, isSame) =>
  used(async (started) => {
    const redis = await started.redis();
    const { here, ender } = await endersOf(started, redis, isSame);
    const there = await siteOf(started, redis);
    const sids = SESSIONS.slice(0, 5);
    for (const { site } of [here, there])
      for (const sid of [...sids, 'kept']) await untilAnswers(site, tokenFor(sid), 200);
    // So that the feed has a position in both.
    await revoked(here.site, tokenFor('kept'));
    for (const { site } of [here, there]) await untilAnswers(site, tokenFor('kept'), 401);
    for (const { endings } of [here, there]) {
      await eventually('it is told', () => Promise.resolve(endings.length === 1));
      endings.length = 0;
    }
    const signals = await Promise.all(sids.map((sid) => signalOf(there, tokenFor(sid))));
    const saved = await redis.save();
    const before = new Map(await Promise.all(sids.map(async (sid) => [sid, await entryOf(redis, sid)] as const)));

    cutOff(there);
    for (const sid of sids) await revoked(ender.site, tokenFor(sid));
    await endedAndGone({ ender, here }, sids.length);
    await redis.restore(saved);
    await untilWrittenBack(redis, before);
    await heal(there);
    const returned = performance.now();
    await untilReadAfter(returned, there);

    await expectRefusedBy(returned + BOUND + STORE_TIMEOUT, there, sids, signals);
    expect(handlesOf(here.endings, isSame)).toEqual(sids.map(handleOf));

    await redis.cli('flushall');
    const lost = performance.now();
    await untilWrittenBack(redis, new Map(sids.map((sid) => [sid, null])));
    for (const told of [here, there]) {
      await untilReadAfter(lost, told);
      expect(told.endings).toHaveLength(sids.length);
    }
  }),
);

interface Ending {
  readonly sids: readonly string[];
  readonly live: readonly string[];
  end(here: Site): Promise<unknown>;
}

const ENDINGS: Readonly<Record<string, Ending>> = {
  revoke: {
    sids: SESSIONS,
    live: ['kept'],
    end: (here) => Promise.all(SESSIONS.map((sid) => revoked(here, tokenFor(sid)))),
  },
  'revokeAll, with except': {
    sids: SESSIONS,
    live: ['kept'],
    end: ({ sessions }) => sessions.revokeAll('person', { except: handleOf('kept') }),
  },
  'revokeAll, without except': {
    sids: [...SESSIONS, 'kept'],
    live: [],
    end: ({ sessions }) => sessions.revokeAll('person'),
  },
};

const ENDINGS_BY_WRITER = Object.entries(ENDINGS).flatMap(([name, ending]) =>
  WRITERS.map(([writer, isSame]) => [`${name}, written back ${writer}`, ending, isSame] as const),
);

test.each(ENDINGS_BY_WRITER)(
  'FLUSHALL, and a process that started after the acknowledgement: %s',
  (_, ending, isSame) =>
    used(async (started) => {
      const { sids, live } = ending;
      const redis = await started.redis();
      const { here, ender } = await endersOf(started, redis, isSame);
      for (const sid of [...SESSIONS, 'kept']) await untilAnswers(here.site, tokenFor(sid), 200);
      await ending.end(ender.site);
      await endedAndGone({ ender, here }, sids.length);

      const late = await siteOf(started, redis);
      cutOff(here);
      await redis.cli('flushall');
      await untilReadAfter(performance.now(), late);
      // Nobody knows better as long as the first process is away.
      for (const sid of [...sids, ...live]) await untilAnswers(late.site, tokenFor(sid), 200);
      const signals = await Promise.all(sids.map((sid) => signalOf(late, tokenFor(sid))));
      const keptSignals = await Promise.all(live.map((sid) => signalOf(late, tokenFor(sid))));
      const before = new Map(await Promise.all(sids.map(async (sid) => [sid, await entryOf(redis, sid)] as const)));

      await heal(here);
      const writtenBack = await untilWrittenBack(redis, before);
      await expectRefusedBy(writtenBack + BOUND + STORE_TIMEOUT, late, sids, signals);
      for (const told of [here, late]) for (const sid of live) await untilAnswers(told.site, tokenFor(sid), 200);
      expect(keptSignals.map(({ aborted }) => aborted)).toEqual(live.map(() => false));

      await redis.cli('flushall');
      const lost = performance.now();
      await untilWrittenBack(redis, new Map(sids.map((sid) => [sid, null])));
      for (const told of [here, late]) await untilReadAfter(lost, told);
      expect(handlesOf(here.endings, isSame).sort()).toEqual(sids.map(handleOf).sort());
      expect(here.endings).toHaveLength(sids.length);
      expect(late.endings).toHaveLength(sids.length);
      for (const told of [here, late]) for (const sid of live) await untilAnswers(told.site, tokenFor(sid), 200);
    }),
);

test.each(WRITERS)('a cutoff ends what the process that writes it back has never seen; written back %s', (_, isSame) =>
  used(async (started) => {
    const redis = await started.redis();
    const { here, ender } = await endersOf(started, redis, isSame);
    await untilAnswers(ender.site, tokenFor('seen'), 200);
    await untilAnswers(here.site, tokenFor('seen'), 200);
    await ender.site.sessions.revokeAll('person');
    await endedAndGone({ ender, here }, 1);

    const late = await siteOf(started, redis);
    cutOff(here);
    await redis.cli('flushall');
    await untilReadAfter(performance.now(), late);
    const sids = ['one', 'two'];
    for (const sid of sids) await untilAnswers(late.site, tokenFor(sid), 200);
    const signals = await Promise.all(sids.map((sid) => signalOf(late, tokenFor(sid))));
    const before = new Map(await Promise.all(sids.map(async (sid) => [sid, await entryOf(redis, sid)] as const)));

    await heal(here);
    const writtenBack = await untilWrittenBack(redis, before);
    await eventually('the signals fire', () => Promise.resolve(signals.every(({ aborted }) => aborted)));
    expect(performance.now()).toBeLessThanOrEqual(writtenBack + BOUND + STORE_TIMEOUT);
    for (const sid of sids) await untilAnswers(late.site, tokenFor(sid), 401);
    const told = (): string[] => handlesOf(late.endings, false).filter((handle) => handle !== handleOf('seen'));
    await eventually('the endings are told', () => Promise.resolve(told().length >= sids.length));
    expect(told().sort()).toEqual(sids.map(handleOf).sort());
  }),
);

/** Behind Redis, and in the middle of a second: a cutoff has exactly this time. */
function clockInASecond(): TestClock {
  return createTestClock(Math.floor(Date.now() / 1000) * 1000 - 2500);
}

const LOGINS = WRITERS.flatMap(([writer, isSame]) => [
  [`in the cutoff's own second stays live when the cutoff is written back ${writer}`, 0, isSame] as const,
  [`a second after the cutoff stays live when the cutoff is written back ${writer}`, 1, isSame] as const,
]);

test.each(LOGINS)('a login %s', (_, later, isSame) =>
  used(async (started) => {
    const clock = clockInASecond();
    const second = Math.floor(clock.now() / 1000);
    const tokenIn = (sid: string, iat = second): string => tokenOf('person', { sid, iat });
    const redis = await started.redis();
    const { here, ender } = await endersOf(started, redis, isSame, { clock });
    for (const sid of SESSIONS) await untilAnswers(here.site, tokenFor(sid), 200);
    await untilAnswers(here.site, tokenIn('same second, but before'), 200);
    await ender.site.sessions.revokeAll('person');
    await endedAndGone({ ender, here }, SESSIONS.length + 1);
    clock.advance(later * 1000);
    const login = tokenIn('login', second + later);
    await untilAnswers(here.site, login, 200);

    const late = await siteOf(started, redis, { clock });
    cutOff(here);
    await redis.cli('flushall');
    await untilReadAfter(performance.now(), late);
    const ended = [...SESSIONS.map(tokenFor), tokenIn('same second, but before')];
    for (const token of [...ended, login]) await untilAnswers(late.site, token, 200);
    const unknown = tokenIn('a login that is first seen later', second + later);
    const signal = await signalOf(late, login);

    // Questions about the login are open all the time, and their answers come later than the notices.
    late.commands.delay(100, 'down');
    let isOver = false;
    const statuses = new Set<number>();
    const pressed = Promise.all(
      Array.from({ length: 5 }, async () => {
        while (!isOver) statuses.add((await late.site.ask(login, '/fresh')).status);
      }),
    );
    await heal(here);
    for (const token of ended) await untilAnswers(late.site, token, 401);
    isOver = true;
    await pressed;
    late.commands.delay(0);
    expect(statuses.has(401)).toBe(false);

    for (const { site, endings } of [here, late]) {
      for (const token of [login, unknown]) expect(await untilKnown(site, token)).toBe(200);
      for (const token of ended) expect(await untilKnown(site, token)).toBe(401);
      expect(endings.map(({ handle }) => handle)).not.toContain(handleOf('login'));
    }
    expect(signal.aborted).toBe(false);
  }),
);

function untilKnown(site: Site, token: string): Promise<number> {
  return eventually('the store is asked', async () => {
    const { status } = await site.ask(token);
    return status !== 503 && status;
  });
}
