/** What lies between a process and its Redis is broken on purpose: three answers, never a fourth, and the promise holds. */

import type { Redis } from 'ioredis';
import { redisStore } from '../../lib/index.js';
import { sessionUser } from '../../lib/core/session.js';
import { machineNow } from '../support/machine.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
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
import { splitClient } from '../support/split-client.js';
import { testTogether, used } from '../support/started.js';
import type { TcpProxy } from '../support/tcp-proxy.js';

async function disconnected(client: Redis): Promise<void> {
  client.disconnect();
  await Promise.resolve();
}

/** What others do on this machine need not wait for a loop. */
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

/** Request upon request until this moment, and on until one is refused or let in after it; to when one was last let in. */
async function lastAccepted(site: Site, token: string, limit: number): Promise<number> {
  let last = -Infinity;
  for (let isRefused = false; performance.now() < limit || !(isRefused || last > limit);) {
    const { status, acceptedAt } = await site.ask(token);
    if (status === 200) last = acceptedAt;
    isRefused = status !== 200;
    await pause();
  }
  return last;
}

/** As health() and the events tell it. */
async function untilUp(site: Site): Promise<void> {
  await eventually('what went down is up', () => {
    const { store, feed } = site.sessions.health();
    const [downs, ups] = ['storeDown', 'storeUp'].map((name) => site.events.filter((event) => event === name).length);
    return Promise.resolve(store.ok && feed.ok && downs === ups);
  });
}

const ANSWERS = [200, 401, 503];
function expectThreeAnswers(...sites: Site[]): void {
  for (const site of sites) expect(ANSWERS).toEqual(expect.arrayContaining([...site.statuses]));
}

const LINES = ['the commands', 'the feed', 'both'] as const;
const FAULTS: Readonly<Record<string, (proxy: TcpProxy) => void>> = {
  'cut once': (proxy) => proxy.cut(),
  'cut and refused': (proxy) => {
    proxy.refuse();
    proxy.cut();
  },
  'silent both ways': (proxy) => proxy.blackhole(),
  'silent on the way there': (proxy) => proxy.blackhole('up'),
  'silent on the way back': (proxy) => proxy.blackhole('down'),
  'slow within the timeout': (proxy) => proxy.delay(STORE_TIMEOUT / 3),
  'slower than the timeout': (proxy) => proxy.delay(STORE_TIMEOUT * 2),
};
const BROKEN_LINES = Object.entries(FAULTS).flatMap(([fault, breakLine]) =>
  LINES.map((line) => [`${line}: ${fault}`, line, breakLine] as const),
);

describe('a network that fails one process while another ends a session', () => {
  let redis: TestRedis;
  let here: Site;

  beforeAll(async () => {
    redis = await startRedis();
    here = await startSite({ store: redisStore(redis.url) });
  });
  afterAll(async () => {
    await here.stop();
    await redis.stop();
  });

  testTogether(BROKEN_LINES, async (started, [name, line, breakLine]) => {
    const [commands, feed] = [await started.proxy(redis), await started.proxy(redis)];
    const client = line === 'both' ? null : started.add(splitClient(commands, feed), disconnected);
    const store = redisStore(client ?? `redis://127.0.0.1:${String(commands.port)}`);
    const there = await started.site({ store });
    const tokenOfSession = (sid: string): string => tokenOf(name, { sid });
    const [ended, kept, unknown] = [tokenOfSession('ended'), tokenOfSession('kept'), tokenOfSession('unknown')];
    for (const token of [ended, kept]) await untilAnswers(there, token, 200);
    await untilFresh(there);

    breakLine(line === 'the feed' ? feed : commands);
    const limit = (await revoked(here, ended)) + BOUND + STORE_TIMEOUT;
    const pressed = lastAccepted(there, ended, limit);

    // Who needs no store does not wait for one.
    expect((await there.ask(unknown)).atOnce).toBe(false);
    expect((await there.ask(undefined)).atOnce).toBe(true);

    expect(await pressed).toBeLessThanOrEqual(limit);
    await commands.heal();
    await feed.heal();
    expect(await untilAnswers(there, ended, 401)).toMatchObject({ code: 'session_revoked' });
    await untilAnswers(there, kept, 200);
    await untilAnswers(there, unknown, 200);
    await untilUp(there);
    expectThreeAnswers(there, here);
  });
});

interface ServerFault {
  readonly args?: readonly string[];
  start(redis: TestRedis): Promise<unknown>;
  /** Nothing where it ends by itself. */
  end?(redis: TestRedis): Promise<unknown>;
  /** What Redis, or the lack of it, is heard to say meanwhile. */
  readonly says?: RegExp;
}

const command =
  (...words: readonly string[]) =>
  (redis: TestRedis): Promise<unknown> =>
    redis.cli(...words);
const kill = (redis: TestRedis): Promise<void> => redis.kill();
const restartEmpty = (redis: TestRedis): Promise<void> => redis.restart({ keepData: false });

async function pauseServer(redis: TestRedis): Promise<void> {
  redis.pause();
  await Promise.resolve();
}
async function resumeServer(redis: TestRedis): Promise<void> {
  redis.resume();
  await Promise.resolve();
}

/** Its data takes three seconds to load, and it answers meanwhile. */
async function restartSlowly(redis: TestRedis): Promise<Promise<void>[]> {
  await redis.cli('eval', `for i = 1, 300 do redis.call('SET', 'x' .. i, string.rep('x', 1024)) end`, '0');
  return [redis.restart({ keepData: true })];
}

const SERVER_FAULTS: Readonly<Record<string, ServerFault>> = {
  'restarted empty': { start: restartEmpty },
  'restarted with its data': { start: (redis) => redis.restart({ keepData: true }) },
  'stopped, and empty when it is back': { start: kill, end: restartEmpty, says: /ECONNREFUSED|closed/ },
  'loading its data': {
    args: ['--rdbcompression', 'no', '--key-load-delay', '10000', '--loading-process-events-interval-bytes', '1024'],
    start: restartSlowly,
    says: /LOADING/,
  },
  'standing still': {
    start: pauseServer,
    end: resumeServer,
    says: /did not answer/,
  },
  'CLIENT KILL': { start: command('client', 'kill', 'type', 'normal') },
  'CLIENT PAUSE': { start: command('client', 'pause', '3000'), says: /did not answer/ },
  'SCRIPT FLUSH': { start: command('script', 'flush') },
  FLUSHALL: { start: command('flushall') },
  'the stream trimmed to nothing': { start: command('xtrim', 'ms:{feed}:stream', 'MAXLEN', '0') },
  'the stream deleted': { start: command('del', 'ms:{feed}:stream') },
  'the epoch deleted': { start: command('del', 'ms:{feed}:epoch') },
  'the counter deleted': { start: command('del', 'ms:{feed}:count') },
  'memory full': {
    start: command('config', 'set', 'maxmemory', '1'),
    end: command('config', 'set', 'maxmemory', '0'),
    says: /OOM/,
  },
  'a replica': {
    start: command('replicaof', '127.0.0.1', '1'),
    end: command('replicaof', 'no', 'one'),
    says: /READONLY/,
  },
  'a replica that does not serve': {
    args: ['--replica-serve-stale-data', 'no'],
    start: command('replicaof', '127.0.0.1', '1'),
    end: command('replicaof', 'no', 'one'),
    says: /MASTERDOWN/,
  },
  'without the replicas it must have': {
    start: command('config', 'set', 'min-replicas-to-write', '1'),
    end: command('config', 'set', 'min-replicas-to-write', '0'),
    says: /NOREPLICAS/,
  },
  'busy with a script': {
    args: ['--lua-time-limit', '20'],
    start: async (redis) => Promise.resolve([redis.cli('eval', 'while true do end', '0').catch(() => undefined)]),
    end: (redis) => eventually('the script is ended', () => redis.cli('script', 'kill').catch(() => undefined)),
    says: /BUSY/,
  },
};

describe('a Redis that fails every process', () => {
  testTogether(Object.entries(SERVER_FAULTS), async (started, [, fault]) => {
    const redis = await started.redis(fault.args);
    const store = (): ReturnType<typeof redisStore> => redisStore(redis.url);
    const sites = [await started.site({ store: store() }), await started.site({ store: store() })] as const;
    const [here, there] = sites;
    const tokenOfSession = (sid: string): string => tokenOf('person', { sid });
    const [ended, kept, doomed] = [tokenOfSession('ended'), tokenOfSession('kept'), tokenOfSession('doomed')];
    for (const site of sites) {
      for (const token of [ended, kept, doomed]) await untilAnswers(site, token, 200);
      await untilFresh(site);
    }
    await revoked(here, ended);
    await untilAnswers(there, ended, 401);

    const running = await fault.start(redis);
    const heard = new Set<string>();
    const isHeard = (): boolean => fault.says === undefined || fault.says.test([...heard].join('\n'));
    const acknowledged = here.revoke(doomed).then(
      () => performance.now(),
      (error: unknown) => {
        expect(error).toMatchObject({ code: 'store_unavailable' });
        return NaN;
      },
    );
    const until = performance.now() + BOUND + 2 * STORE_TIMEOUT;
    for (let round = 0; performance.now() < until || !isHeard(); round += 1) {
      const unknown = tokenOf(`unknown-${String(round)}`);
      expect(await there.ask(ended)).toMatchObject({ status: 401, code: 'session_revoked' });
      expect(await there.ask(undefined)).toMatchObject({ status: 401, code: 'no_token', atOnce: true });
      for (const { status, took } of await Promise.all([kept, unknown].map((token) => there.ask(token)))) {
        expect([200, 503]).toContain(status);
        expect(took).toBeLessThan(8 * STORE_TIMEOUT);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
      const { store: commands, feed } = there.sessions.health();
      for (const { lastError } of [commands, feed]) heard.add(String(lastError));
    }
    await fault.end?.(redis);
    await Promise.all(Array.isArray(running) ? running : []);

    await Promise.all(sites.map(untilFresh));
    const back = machineNow();
    // A process that knows nothing depends on what the others wrote back.
    const third = await started.site({ store: store() });
    await untilAnswers(third, ended, 401);
    expect(machineNow() - back).toBeLessThanOrEqual(BOUND + 2 * ACTIVITY_INTERVAL);

    for (const site of sites) await untilAnswers(site, kept, 200);
    if (Number.isNaN(await acknowledged)) {
      await revoked(here, doomed);
    }
    for (const site of [...sites, third]) {
      expect(await untilAnswers(site, doomed, 401)).toMatchObject({ code: 'session_revoked' });
      expect(await site.ask(ended)).toMatchObject({ status: 401 });
    }
    expectThreeAnswers(...sites, third);
    await untilUp(there);
  });
});

describe('whenStoreDown', () => {
  const ALLOW_FOR = 3000;
  const ROWS = [
    ['refuse', 'refuse', 503, 503, 503],
    ['allowFor', { allowFor: ALLOW_FOR }, 200, 503, 503],
    ['allow', 'allow', 200, 200, 200],
  ] as const;
  testTogether(ROWS, async (started, [, whenStoreDown, pastBound, pastAllowed, unknown]) => {
    const redis = await started.redis();
    const here = await started.site({ store: redisStore(redis.url), whenStoreDown });
    const [known, ended] = [tokenOf('person'), tokenOf('other')];
    for (const token of [known, ended]) await untilAnswers(here, token, 200);
    await revoked(here, ended);
    await untilUp(here);
    expect(here.events).toContain('sessionEnded');

    const before = here.events.length;
    await redis.kill();
    const killed = performance.now();
    expect(await here.ask(known)).toMatchObject({ status: 200 });
    await eventually('the bound is over', () => Promise.resolve(performance.now() > killed + BOUND));
    expect((await here.ask(known)).status).toBe(pastBound);
    expect((await here.ask(known, '/fresh')).status).toBe(503);
    expect((await here.ask(tokenOf('unknown'))).status).toBe(unknown);
    expect((await here.ask(ended)).status).toBe(401);
    expect(here.events.slice(before)).toEqual(['storeDown']);
    await eventually('what is allowed is over', () => Promise.resolve(performance.now() > killed + BOUND + ALLOW_FOR));
    expect((await here.ask(known)).status).toBe(pastAllowed);
    expect((await here.ask(ended)).status).toBe(401);

    await redis.restart({ keepData: false });
    for (const token of [known, tokenOf('unknown')]) await untilAnswers(here, token, 200);
    expect((await here.ask(ended)).status).toBe(401);
    await untilUp(here);
    expect(here.events.at(-1)).toBe('storeUp');
    expectThreeAnswers(here);
  });
});

test('three seconds without Redis make no session wait that was known to be live within the bound', () =>
  used(async (started) => {
    const redis = await started.redis();
    const here = await started.site({ store: redisStore(redis.url), revocationBound: '20s' });
    const tokens = Array.from({ length: 20 }, (_, index) => tokenOf(`person-${String(index)}`));
    for (const token of tokens) await untilAnswers(here, token, 200);
    await untilFresh(here);

    redis.pause();
    const until = performance.now() + 3000;
    while (performance.now() < until) {
      for (const answer of await Promise.all(tokens.map((token) => here.ask(token)))) {
        expect(answer).toMatchObject({ status: 200, atOnce: true });
      }
      await pause();
    }
    redis.resume();
  }));

test('a revocation that the feed missed for good is in force within the bound', () =>
  used(async (started) => {
    const redis = await started.redis();
    const [commands, feed] = [await started.proxy(redis), await started.proxy(redis)];
    const client = started.add(splitClient(commands, feed), disconnected);
    const here = await started.site({ store: redisStore(redis.url) });
    // No background sight helps.
    const there = await started.site({ store: redisStore(client), activityInterval: '1h' });
    for (const site of [here, there]) await untilAnswers(site, tokenOf('person'), 200);
    await untilFresh(there);

    feed.refuse();
    feed.cut();
    const limit = (await revoked(here, tokenOf('person'))) + BOUND + STORE_TIMEOUT;
    await redis.cli('xtrim', 'ms:{feed}:stream', 'MAXLEN', '0');
    await feed.heal();
    expect(await lastAccepted(there, tokenOf('person'), limit)).toBeLessThanOrEqual(limit);
    expect(await there.ask(tokenOf('person'))).toMatchObject({ status: 401 });
  }));

test('a session that was put on record after its time is told of as started', () =>
  used(async (started) => {
    const redis = await started.redis();
    const here = await started.site({ store: redisStore(redis.url) });
    await untilAnswers(here, tokenOf('other'), 200);
    const people: string[] = [];
    here.sessions.on('sessionStarted', ({ user }) => people.push(user.id));
    redis.pause();
    expect(await here.ask(tokenOf('person'))).toMatchObject({ status: 503 });
    redis.resume();
    await untilAnswers(here, tokenOf('person'), 200);
    expect(people).toEqual(['person']);
  }));

test('what cannot be read of a user refuses that user alone', () =>
  used(async (started) => {
    const redis = await started.redis();
    const here = await started.site({ store: redisStore(redis.url) });
    await redis.cli('set', `ms:{${sessionUser(ISSUER, 'person').key}}:s`, 'something else');
    expect(await here.ask(tokenOf('person'))).toMatchObject({ status: 503, code: 'store_unavailable' });
    await untilAnswers(here, tokenOf('other'), 200);
  }));

describe('clocks that disagree', () => {
  const HOUR = 3_600_000;
  const PATIENT = { storeTimeout: 5000, revocationBound: 10_000 };

  const ROWS = [
    ['an hour ahead of Redis', HOUR, 0],
    ['an hour behind Redis', -HOUR, 0],
    ['jumping back by an hour', 0, -HOUR],
    ['jumping ahead by half an hour', 0, HOUR / 2],
  ] as const;
  testTogether(ROWS, async (started, [, offset, jump]) => {
    const redis = await started.redis();
    let shift = offset;
    const shifted = { now: () => Date.now() + shift };
    const [here, there] = [
      await started.site({ ...PATIENT, store: redisStore(redis.url) }),
      await started.site({ ...PATIENT, store: redisStore(redis.url), clock: shifted }),
    ];
    // Good for either clock.
    const times = { iat: Math.floor(Date.now() / 1000) - 7200 };
    const tokenOfBoth = (person: string): string => tokenOf(person, times, '4h');
    const [one, ofAll] = [tokenOfBoth('one'), tokenOfBoth('of-all')];
    const [byTheShifted, kept] = [tokenOfBoth('by-the-shifted'), tokenOfBoth('kept')];
    for (const token of [one, ofAll, byTheShifted, kept])
      for (const site of [here, there]) await untilAnswers(site, token, 200);
    await Promise.all([here, there].map(untilFresh));
    shift += jump;

    await here.revoke(one);
    expect(await here.sessions.revokeAll('of-all')).toEqual({ ended: 1 });
    await there.revoke(byTheShifted);
    const acknowledgedAt = performance.now();
    const limit = acknowledgedAt + PATIENT.revocationBound + PATIENT.storeTimeout;
    for (const token of [one, ofAll, byTheShifted]) {
      for (const site of [here, there]) {
        expect(await lastAccepted(site, token, 0)).toBeLessThanOrEqual(limit);
      }
    }
    await eventually('several activity intervals are over', () =>
      Promise.resolve(performance.now() > acknowledgedAt + 4 * ACTIVITY_INTERVAL),
    );
    for (const site of [here, there]) {
      for (const token of [one, ofAll, byTheShifted]) {
        expect(await site.ask(token)).toMatchObject({ status: 401, code: 'session_revoked' });
      }
      expect(await site.ask(kept)).toMatchObject({ status: 200 });
      expect(site.sessions.health().feed.ok).toBe(true);
    }
  });
});
