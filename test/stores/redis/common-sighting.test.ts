/** The common sightings take one short script each, for any number of sessions. The others take no more than two. */

import { Redis } from 'ioredis';

import type { SessionPolicy } from '../../../lib/core/policy.js';
import { sessionUser, type SessionUser, type TokenTimes } from '../../../lib/core/session.js';
import { NO_PROGRESS, SET_CUTOFF } from '../../../lib/stores/redis/cutoff-scripts.js';
import { COMMON_SIGHTING } from '../../../lib/stores/redis/common-sighting.js';
import { TIMES } from '../../../lib/stores/redis/records.js';
import { BATCH, INDEX_FROM, userKeys } from '../../../lib/stores/redis/session-prelude.js';
import { SIGHT } from '../../../lib/stores/redis/sight-script.js';
import { redisStore } from '../../../lib/stores/redis/store.js';
import type { SessionStore, SightAnswer, SightRequest } from '../../../lib/stores/store.js';
import { startRedis, type TestRedis } from '../../support/redis.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const POLICY: SessionPolicy = {
  idleTimeout: 30 * DAY,
  clockTolerance: 5000,
  tombstoneFor: 30 * DAY,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
};
const CHROME = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36';

let redis: TestRedis;
let client: Redis;
let store: SessionStore;
let other: SessionStore;
let user: SessionUser;
let now: number;
let users = 0;

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
  await Promise.all([COMMON_SIGHTING, SIGHT].map(({ lua }) => client.script('LOAD', lua)));
});
afterAll(async () => {
  client.disconnect();
  await redis.stop();
});
beforeEach(() => {
  [store, other] = [open(), open()];
  users += 1;
  user = sessionUser('https://id.example.com/', String(users));
  now = Date.now();
});
afterEach(async () => {
  await store.close();
  await other.close();
});

function open(): SessionStore {
  const opened = redisStore(redis.url);
  opened.configure({ storeTimeout: 30_000, revocationBound: 60_000 });
  return opened;
}

const handle = (number: number): string => `h${String(number).padStart(21, '0')}`;

interface Seen extends Omit<Partial<SightRequest>, 'token' | 'policy' | 'sighting'> {
  readonly at?: number;
  readonly token?: Partial<TokenTimes>;
  readonly policy?: Partial<SessionPolicy>;
  readonly ip?: string | null;
  readonly userAgent?: string | null;
  readonly byProgram?: boolean;
  readonly by?: SessionStore;
}

function sight(number: number, seen: Seen = {}): Promise<SightAnswer> {
  const { at = now, token, policy, ip = '203.0.113.7', userAgent = CHROME, byProgram = false, by = store } = seen;
  return by.sight(user, {
    ...seen,
    handle: handle(number),
    sighting: { at, ip, userAgent, byProgram },
    token: { beganAt: now - HOUR, expiresAt: now + HOUR, lifetime: null, sessionEndsAt: null, ...token },
    policy: { ...POLICY, ...policy },
  });
}

async function fill(count: number, from = 0): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, number) => sight(from + number, { policy: { maxSessions: Infinity } })),
  );
}

const revoke = (number: number): Promise<unknown> =>
  store.revoke(user, { handle: handle(number), reason: 'signed_out', by: null, at: now, policy: POLICY });
const revokeAll = (except: number | null): Promise<unknown> =>
  store.revokeAll(user, {
    except: except === null ? null : handle(except),
    reason: 'signed_out_everywhere',
    by: null,
    at: now,
    policy: POLICY,
  });

/** The scripts that this takes, and the commands that they call. Redis has got the scripts before. */
async function taken(work: () => Promise<unknown>): Promise<{ scripts: number; commands: string[] }> {
  await client.config('RESETSTAT');
  await work();
  const stats = await client.info('commandstats');
  const calls = [...stats.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)].map(
    ([, name, count]) => [name, Number(count)] as const,
  );
  const scripts = calls.find(([name]) => name === 'evalsha')?.[1] ?? 0;
  return { scripts, commands: calls.map(([name]) => String(name)).filter((name) => /^(h|z)/.test(name)) };
}

/** Each begins with a user whose first session was seen. */
const COMMON: readonly [string, () => Promise<unknown>, () => Promise<SightAnswer>, Partial<SightAnswer>][] = [
  ['a first session', () => client.del(...userKeys('ms', user)), () => sight(1), { created: true }],
  ['a second session', () => Promise.resolve(), () => sight(1), { created: true }],
  [
    'a new session of a browser that is noted',
    () => sight(0, { clientKey: 'a' }),
    () => sight(1, { clientKey: 'a' }),
    { created: true, knownClient: true },
  ],
  [
    'one that was seen before',
    () => Promise.resolve(),
    () => sight(0, { at: now + MINUTE }),
    { created: false, moved: null },
  ],
  [
    'one that another process saw',
    () => Promise.resolve(),
    () => sight(0, { at: now + MINUTE, by: other, clientKey: 'a' }),
    { created: false },
  ],
  ['an earlier request that arrives later', () => sight(0, { at: now + MINUTE }), () => sight(0), { created: false }],
  [
    'a refreshed token',
    () => Promise.resolve(),
    () => sight(0, { at: now + MINUTE, token: { expiresAt: now + 2 * HOUR } }),
    { expiresAt: Date.now() + 2 * HOUR },
  ],
  [
    'one with a label',
    () => store.label(user, handle(0), 'phone', now, POLICY),
    () => sight(0, { at: now + MINUTE }),
    { moved: null },
  ],
  [
    'a program in the session of a person',
    () => Promise.resolve(),
    () => sight(0, { at: now + MINUTE, ip: '203.0.113.9', userAgent: 'node', byProgram: true }),
    { moved: null },
  ],
  ['without addresses', () => sight(1, { ip: null }), () => sight(1, { at: now + MINUTE, ip: null }), { moved: null }],
  [
    'a request that does not count as use',
    () => Promise.resolve(),
    () => sight(0, { at: now + MINUTE, track: false }),
    { created: false },
  ],
  [
    'with a lifetime',
    () => sight(1, { token: { lifetime: DAY } }),
    () => sight(1, { at: now + MINUTE, token: { lifetime: DAY } }),
    { created: false },
  ],
  [
    'with session_expiry',
    () => sight(1, { token: { sessionEndsAt: now + MINUTE } }),
    () => sight(1, { token: { sessionEndsAt: now + MINUTE } }),
    { created: false },
  ],
  ['the session that a user kept', () => revokeAll(0), () => sight(0, { at: now + MINUTE }), { created: false }],
  [
    'a new login after all sessions were ended',
    () => revokeAll(null),
    () => sight(1, { at: now + MINUTE, token: { beganAt: now + 2000 } }),
    { created: true },
  ],
  [
    'after other sessions were ended',
    () => fill(9, 1).then(() => revoke(3)),
    () => sight(0, { at: now + MINUTE }),
    { created: false },
  ],
  ['one of a hundred', () => fill(99, 1), () => sight(50, { at: now + MINUTE }), { created: false }],
  ['the last of a hundred', () => fill(98, 1), () => sight(99, { at: now + MINUTE }), { created: true }],
  [
    'a new one beside many endings',
    () => fill(40, 1).then(() => Promise.all(Array.from({ length: 40 }, (_, index) => revoke(index + 1)))),
    () => sight(99),
    { created: true },
  ],
];

test.each(COMMON)('%s takes one short script', async (_, prepare, work, answer) => {
  await sight(0);
  await prepare();
  let answered: SightAnswer | undefined;
  const { scripts, commands } = await taken(async () => (answered = await work()));
  const { expiresAt, ...others } = answer as { expiresAt?: number };
  expect(answered).toMatchObject({ state: 'live', ...others });
  if (expiresAt !== undefined)
    expect(Math.abs(expiresAt - (answered as { expiresAt: number }).expiresAt)).toBeLessThan(HOUR);
  expect(scripts).toBe(1);
  expect(commands).not.toContain('hgetall');
});

describe('what has ended does not pass', () => {
  const long = { expiresAt: Date.now() + 90 * DAY };
  const ENDINGS: readonly (readonly [string, () => Promise<unknown>, () => Seen])[] = [
    ['by its user', () => revoke(1), () => ({})],
    ['with all others', () => revokeAll(null), () => ({})],
    ['with all but one', () => revokeAll(2), () => ({})],
    ['by a second cutoff, with the one that the first kept', () => revokeAll(1).then(() => revokeAll(2)), () => ({})],
    ['by endEverywhere', () => store.endEverywhere({ reason: 'incident', by: null, at: now }), () => ({})],
    ['by the idle timeout', () => Promise.resolve(), () => ({ at: now + 31 * DAY, token: long })],
    [
      'by a lifetime',
      () => sight(1, { token: { ...long, lifetime: 2 * HOUR } }),
      () => ({ at: now + 2 * HOUR, token: { ...long, lifetime: 2 * HOUR } }),
    ],
    [
      'by session_expiry',
      () => sight(1, { token: { ...long, sessionEndsAt: now + HOUR } }),
      () => ({ at: now + 2 * HOUR, token: long }),
    ],
  ];

  test.each([3, INDEX_FROM + 5])('of %d sessions', async (count) => {
    for (const [name, end, seen] of ENDINGS) {
      users += 1;
      user = sessionUser('https://id.example.com/', String(users));
      await fill(count);
      await end();
      // Twice: what the first writes must not let the second in.
      for (const time of ['first', 'second']) {
        expect([name, time, (await sight(1, seen())).state]).toEqual([name, time, 'ended']);
      }
    }
    await client.flushall();
  });

  test('while the tombstones of a cutoff are being written', async () => {
    const many = 3 * BATCH;
    await fill(many);
    // Only the first batch: the caller dies then.
    const words = { reason: 'all', by: null, origin: 'elsewhere-Aa0_' };
    const cutoff = { at: null, except: handle(7), ...words, isRestored: false, isBackdated: false, erasedAt: 0 };
    const call = { at: now, policy: POLICY, globalCutoff: '', origin: 'elsewhere-Aa0_' };
    const args = SET_CUTOFF.args({ ...call, cutoff, progress: NO_PROGRESS, isRepeated: false, isErasing: false });
    const keys = userKeys('ms', user);
    await client.call('eval', SET_CUTOFF.lua, String(keys.length), ...keys, ...args);

    const kept = Object.entries(await client.hgetallBuffer(keys[0] ?? ''));
    const alive = kept.filter(([name, value]) => name !== handle(7) && TIMES.read(value) !== undefined);
    expect(alive.length).toBeGreaterThan(BATCH);
    for (const [name] of alive.slice(0, 20))
      expect(await sight(Number(name.slice(1)))).toMatchObject({ state: 'ended' });
    expect(await sight(7)).toMatchObject({ state: 'live', created: false });
    const later = { token: { beganAt: now + 2000 }, at: now + 2000, policy: { maxSessions: Infinity } };
    expect(await sight(many + 1, later)).toMatchObject({ state: 'live', created: true });
  });

  test('if Redis has lost the sorted sets alone', async () => {
    await fill(INDEX_FROM + 5);
    await revoke(1);
    const [, , index = '', due = ''] = userKeys('ms', user);
    await client.del(index, due);
    await revokeAll(2);
    for (const number of [0, 1, 3]) expect(await sight(number)).toMatchObject({ state: 'ended' });
    expect(await sight(2)).toMatchObject({ state: 'live' });
    await sight(50, { token: { beganAt: now + 2000 }, at: now + 2000 });
    const page = await store.list(user, { limit: 50, cursor: null, at: now + 2000, policy: POLICY });
    expect(page.sessions.map((session) => session.handle)).toEqual([handle(50), handle(2)]);
    expect(await client.pttl(userKeys('ms', user)[0] ?? '')).toBeGreaterThan(29 * DAY);
    expect(await client.zcard(due)).toBe(INDEX_FROM + 6);
  });
});
