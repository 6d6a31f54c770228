/** Who ended it: the origin in what Redis holds and in what is announced, whatever comes between a call and its answer. */

import type { SessionPolicy } from '../../../lib/core/policy.js';
import { ALWAYS, type KnownUse } from '../../../lib/core/record.js';
import { HANDLE_PATTERN, sessionUser, type SessionUser } from '../../../lib/core/session.js';
import { TOMBSTONE } from '../../../lib/stores/redis/records.js';
import { BATCH, INDEX_FROM } from '../../../lib/stores/redis/session-prelude.js';
import { redisStore } from '../../../lib/stores/redis/store.js';
import type { Notice, SessionStore, SightAnswer } from '../../../lib/stores/store.js';
import { eventually, startRedis, type TestRedis } from '../../support/redis.js';
import { startProxy, type TcpProxy } from '../../support/tcp-proxy.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const POLICY: SessionPolicy = {
  idleTimeout: null,
  clockTolerance: 0,
  tombstoneFor: DAY,
  maxSessions: Infinity,
  atSessionLimit: 'end-oldest',
};
/** So many that their tombstones are written in several batches. */
const MANY = 3 * BATCH;
/** How long a call of an impatient store waits. */
const IMPATIENT = 1000;

interface Told {
  readonly store: SessionStore;
  readonly notices: Notice[];
}

let redis: TestRedis;
let proxy: TcpProxy;
let user: SessionUser;
let now: number;
let users = 0;
const opened: SessionStore[] = [];

beforeAll(async () => {
  redis = await startRedis();
  // Redis then has the scripts: one that it has not is sent again, and nothing can be sent after a lost answer.
  user = sessionUser('https://id.example.com/', 'nobody');
  now = Date.now();
  const first = open();
  await sight(first, 1);
  await revoke(first, 1);
  await revokeAll(first, 'all');
});

beforeEach(async () => {
  proxy = await startProxy({ port: redis.port });
  now = Date.now();
  users += 1;
  user = sessionUser('https://id.example.com/', String(users));
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
  await proxy.close();
});

afterAll(() => redis.stop());

const handle = (number: number): string => String(number).padStart(22, 'h');

/** A store and what its listener is told by the calls: what the feed brings has a user of its own making. */
function open(port = redis.port, storeTimeout = 20_000): Told {
  const store = redisStore(`redis://127.0.0.1:${String(port)}`);
  store.configure({ storeTimeout, revocationBound: HOUR });
  opened.push(store);
  const notices: Notice[] = [];
  store.feed({
    notice(notice) {
      if (notice.user === user) notices.push(notice);
    },
    globalCutoff: () => undefined,
    gap: () => undefined,
  });
  return { store, notices };
}

const openBehindProxy = (): Told => open(proxy.port, IMPATIENT);

interface SightOptions {
  readonly at?: number;
  readonly policy?: Partial<SessionPolicy>;
  readonly knownUse?: KnownUse;
}

function sight(
  { store }: Told,
  number: number,
  { at = now, policy = {}, ...known }: SightOptions = {},
): Promise<SightAnswer> {
  const token = { beganAt: at, expiresAt: now + HOUR, lifetime: null, sessionEndsAt: null };
  const sighting = { at, ip: null, userAgent: null };
  return store.sight(user, { handle: handle(number), sighting, token, policy: { ...POLICY, ...policy }, ...known });
}

async function fill(by: Told, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, number) => sight(by, number, { at: now - HOUR + number })));
}

const revoke = ({ store }: Told, number: number, reason = 'signed_out') =>
  store.revoke(user, { handle: handle(number), reason, by: null, at: now, policy: POLICY });
const revokeAll = ({ store }: Told, reason: string) =>
  store.revokeAll(user, { except: null, reason, by: null, at: now, policy: POLICY });

const unavailable = { code: 'store_unavailable' };
const ending = (origin: string | null, reason: string): unknown => expect.objectContaining({ origin, reason });
const isEnded = ({ origin }: SessionStore, reason: string): object => ({ state: 'ended', ending: { origin, reason } });

/** The endings of those notices that tell of one session. */
const endings = ({ notices }: Told): unknown[] =>
  notices.flatMap((notice) => (notice.kind === 'ended' ? [notice.tombstone.ending] : []));

/** The cutoffs that were told, and how many sessions with each. */
const cutoffs = ({ notices }: Told): [reason: string, origin: string, ended: number][] =>
  notices.flatMap((notice) =>
    notice.kind === 'cutoff' ? [[notice.cutoff.reason, notice.cutoff.origin, notice.ended.length]] : [],
  );

/** How many tombstones Redis holds, by the words and the origin of each. */
async function tombstones(): Promise<Record<string, number>> {
  const flat = (await redis.cli('hgetall', `ms:{${user.key}}:s`)) as Readonly<Record<string, string>>;
  const counts: Record<string, number> = {};
  for (const [handle, text] of Object.entries(flat)) {
    if (!HANDLE_PATTERN.test(handle)) continue;
    const kept = TOMBSTONE.read(text)?.ending;
    const key = kept === undefined ? 'none' : `${kept.reason} ${String(kept.origin)}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

const until = (what: string, holds: () => boolean): Promise<boolean> =>
  eventually(what, () => Promise.resolve(holds()));

describe('an ending', () => {
  test('has the origin of the store object whose operation it was', async () => {
    const [here, there] = [open(), open()];
    for (const number of [1, 2, 3]) await sight(here, number, { at: now + number });
    await revoke(there, 1);
    expect(await sight(here, 1)).toMatchObject(isEnded(there.store, 'signed_out'));
    await sight(there, 4, { at: now + 4, policy: { maxSessions: 2 } });
    expect(await sight(here, 2)).toMatchObject(isEnded(there.store, 'session_limit'));
    const idle = { at: now + HOUR / 2, policy: { idleTimeout: MINUTE } };
    expect(await sight(there, 3, idle)).toMatchObject(isEnded(there.store, 'idle'));
    expect(await sight(here, 3)).toMatchObject(isEnded(there.store, 'idle'));
    expect(endings(there)).toEqual([
      ending(there.store.origin, 'signed_out'),
      ending(there.store.origin, 'session_limit'),
    ]);
  });

  test('for which nothing is written has none', async () => {
    const here = open();
    expect(await sight(here, 1, { at: now + 2 * HOUR })).toMatchObject({ state: 'ended', ending: { origin: null } });
    expect(await tombstones()).toEqual({});
  });

  test('by idleness is never found by what looks through an index: a process may know of a later use', async () => {
    const [here, there] = [open(), open()];
    await fill(here, INDEX_FROM + 1);
    const later = { at: now + 1, policy: { idleTimeout: MINUTE, maxSessions: 20 } };
    for (let number = 1000; number < 1020; number += 1) await sight(there, number, later);
    expect(await tombstones()).toEqual({ none: INDEX_FROM + 21 });
    const known = { startedAt: now - HOUR, tokensEndAt: now + HOUR, endsAt: null, survivedCutoffAt: 0 };
    const inUse = { ...later, knownUse: { inUseSince: ALWAYS, known } };
    for (let number = 0; number <= INDEX_FROM; number += 1) {
      expect(await sight(here, number, inUse)).toMatchObject({ state: 'live', created: false });
    }
    // Each has its place in the list again.
    const { sessions } = await here.store.list(user, {
      limit: 200,
      cursor: null,
      ...later,
      policy: { ...POLICY, ...later.policy },
    });
    expect(sessions).toHaveLength(INDEX_FROM + 21);
  });

  test('by the global cutoff has the origin of that', async () => {
    const [here, there] = [open(), open()];
    await sight(here, 1);
    await there.store.endEverywhere({ reason: 'incident', by: null, at: now });
    await here.store.catchUp();
    try {
      expect(await sight(here, 1)).toMatchObject(isEnded(there.store, 'incident'));
      expect(await tombstones()).toEqual({ [`incident ${there.store.origin}`]: 1 });
    } finally {
      await redis.cli('del', 'ms:{feed}:global-cutoff');
    }
  });
});

describe('revoke', () => {
  test('tells of a tombstone as it stands', async () => {
    const [here, there] = [open(), open()];
    await sight(here, 1);
    expect(await revoke(there, 1, 'stolen')).toBe('ended');
    expect(await revoke(here, 1)).toBe('already');
    expect(endings(here).at(-1)).toEqual(ending(there.store.origin, 'stolen'));
  });

  test('that is repeated because no answer came tells that it was this store object', async () => {
    const [here, there] = [openBehindProxy(), open()];
    await sight(here, 1);
    proxy.blackhole('down');
    await expect(revoke(here, 1)).rejects.toMatchObject(unavailable);
    expect(endings(here)).toEqual([]);
    await proxy.heal();
    expect(await revoke(here, 1)).toBe('already');
    expect(endings(here)).toContainEqual(ending(here.store.origin, 'signed_out'));
    expect(await revoke(there, 1, 'again')).toBe('already');
    expect(endings(there).at(-1)).toEqual(ending(here.store.origin, 'signed_out'));
  });

  test('whose answer comes late is told all the same', async () => {
    const here = openBehindProxy();
    await sight(here, 1);
    proxy.blackhole('down');
    await expect(revoke(here, 1)).rejects.toMatchObject(unavailable);
    await proxy.heal();
    await until('it is told', () => endings(here).length > 0);
    expect(endings(here)[0]).toEqual(ending(here.store.origin, 'signed_out'));
  });
});

describe('several cutoffs of one user', () => {
  test('end each session once: the earliest gives the tombstone, also of what another call writes', async () => {
    const [first, second] = [openBehindProxy(), open()];
    await fill(second, MANY);
    await sight(first, 0, { at: now - HOUR });
    proxy.blackhole('down');
    // It sets the cutoff, writes a first batch, and hears nothing of it.
    await expect(revokeAll(first, 'first')).rejects.toMatchObject(unavailable);
    const { [`first ${first.store.origin}`]: batch, ...others } = await tombstones();
    expect([batch! + others['none']!, Object.keys(others)]).toEqual([MANY, ['none']]);

    await sight(second, 5000, { at: now + MINUTE });
    // Less what that sighting came by.
    const none = (await tombstones())['none']! - 1;
    const { ended } = await revokeAll(second, 'second');
    expect(await tombstones()).toEqual({
      [`first ${first.store.origin}`]: MANY,
      // First seen after the first cutoff, which does not concern it.
      [`second ${second.store.origin}`]: 1,
    });
    expect(ended).toBe(none + 1);

    const told = cutoffs(second);
    const [ofFirst, ofSecond] = ['first', 'second'].map((name) => told.filter(([reason]) => reason === name));
    expect(told).toEqual([...ofFirst!, ...ofSecond!]);
    expect(ofFirst!.at(-1)).toEqual(['first', first.store.origin, 0]);
    expect(ofFirst!.filter(([, , count]) => count > 0).length).toBeGreaterThan(1);
    const countOf = (notices: typeof told): number => notices.reduce((sum, [, , count]) => sum + count, 0);
    expect([countOf(ofFirst!), countOf(ofSecond!)]).toEqual([none, 1]);

    // The late answer tells of the first batch.
    await proxy.heal();
    await until('it is told', () => cutoffs(first).length > 0);
    expect(cutoffs(first)).toEqual([['first', first.store.origin, batch]]);
  });

  test('tell of the one before, also by a late answer', async () => {
    const [here, there] = [openBehindProxy(), open()];
    await sight(here, 1);
    await revokeAll(there, 'first');
    proxy.blackhole('down');
    await expect(revokeAll(here, 'second')).rejects.toMatchObject(unavailable);
    await proxy.heal();
    await until('it is told', () => cutoffs(here).length > 1);
    expect(cutoffs(here)).toEqual([
      ['first', there.store.origin, 0],
      ['second', here.store.origin, 0],
    ]);
  });

  test('at once: one ends all, each is counted once, and the feed has them in their order', async () => {
    const stores = [open(), open(), open()];
    await fill(stores[0]!, MANY);
    const answers = await Promise.all(stores.map((store, index) => revokeAll(store, `cutoff ${String(index)}`)));
    expect(answers.reduce((sum, { ended }) => sum + ended, 0)).toBe(MANY);

    const counts = Object.entries(await tombstones());
    expect(counts).toHaveLength(1);
    const [[words, count]] = counts as [[string, number]];
    expect(count).toBe(MANY);
    expect(stores.map(({ store }, index) => `cutoff ${String(index)} ${store.origin}`)).toContain(words);

    const written = (await redis.cli('xrange', 'ms:{feed}:stream', '-', '+')) as [string, [string, string]][];
    const ofUser = written
      .filter(([, [, text]]) => text.startsWith('['))
      .map(([, [, text]]) => JSON.parse(text) as unknown[])
      .filter((parts) => parts[2] === user.subject);
    const moments = ofUser.map((parts) => parts[3] as number);
    const firsts = [...new Set(moments)];
    expect(firsts).toEqual([...firsts].sort((a, b) => a - b));
    expect(firsts).toHaveLength(3);
    const endedBy = ofUser.filter((parts) => (parts[7] as unknown[]).length > 0).map((parts) => parts[3]);
    expect(new Set(endedBy).size).toBe(1);
  });

  test('of which one is written back: the standing one is completed and told, the other keeps its origin', async () => {
    const [first, second] = [openBehindProxy(), open()];
    await fill(second, MANY);
    await sight(first, 0, { at: now - HOUR });
    proxy.blackhole('down');
    await expect(revokeAll(first, 'first')).rejects.toMatchObject(unavailable);
    const { none } = await tombstones();
    const cutoff = {
      at: Date.now() + HOUR,
      except: null,
      reason: 'known',
      by: null,
      origin: 'somebody-else',
      erasedAt: 0,
    };
    expect(await second.store.restore(user, { tombstones: [], cutoff, at: now, policy: POLICY })).toEqual({
      missing: 0,
    });
    expect(await tombstones()).toEqual({ [`first ${first.store.origin}`]: MANY });
    const told = cutoffs(second).map(([reason]) => reason);
    expect(told).toEqual([...told.slice(1).map(() => 'first'), 'known']);
    expect(cutoffs(second).reduce((sum, [, , count]) => sum + count, 0)).toBe(none!);
    expect(await sight(second, 6000)).toMatchObject({
      state: 'ended',
      ending: { origin: 'somebody-else', reason: 'known' },
    });
  });
});

test('what is written back keeps its origin', async () => {
  const here = open();
  const kept = {
    cause: 'revoked',
    reason: 'stolen',
    by: null,
    at: now,
    expiresAt: null,
    origin: 'somebody-else',
  } as const;
  const known = [
    { handle: handle(1), ending: kept, until: now + DAY },
    { handle: handle(2), ending: { ...kept, origin: null }, until: now + DAY },
    { handle: handle(3), ending: { ...kept, origin: 'a\nb' }, until: now + DAY },
  ];
  const restore = () => here.store.restore(user, { tombstones: known, cutoff: null, at: now, policy: POLICY });
  expect(await restore()).toEqual({ missing: 3 });
  expect(await restore()).toEqual({ missing: 0 });
  expect(await sight(here, 1)).toMatchObject({ ending: kept });
  expect(await sight(here, 2)).toMatchObject({ ending: { origin: null } });
  expect(await sight(here, 3)).toMatchObject({ state: 'ended', ending: { reason: 'stolen' } });
});
