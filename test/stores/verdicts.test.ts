/** The table of verdicts, judged by the core's pure functions, by the memory store, and by the Lua in a real Redis. */

import { Redis } from 'ioredis';

import { endedByCutoff, endingCutoff, mayBeginAfterCutoff } from '../../lib/core/cutoff.js';
import { decide, expiresAt, LAST_MOMENT, rowUntil, tombstoneUntil } from '../../lib/core/policy.js';
import { mergeSighting, NO_ROW, withKnown, type KeptRecord, type KeptTimes } from '../../lib/core/record.js';
import { sessionUser, type Ending, type TokenTimes } from '../../lib/core/session.js';
import { isStale, type StaleTokens } from '../../lib/core/stale.js';
import { memoryStore } from '../../lib/stores/memory.js';
import { CUTOFF, GLOBAL_CUTOFF, INDEXED_MARK, ROW, STALE, TIMES, TOMBSTONE } from '../../lib/stores/redis/records.js';
import { INDEXED } from '../../lib/stores/redis/session-prelude.js';
import { redisStore } from '../../lib/stores/redis/store.js';
import type { SessionStore, SightAnswer } from '../../lib/stores/store.js';
import { startRedis, type TestRedis } from '../support/redis.js';
import { HANDLE, VERDICTS, type Verdict, type VerdictRow } from './verdicts.js';

type Ended = Extract<Verdict, { state: 'ended' }>;

const SETTINGS = { storeTimeout: 10_000, revocationBound: 60_000 };
const USER = sessionUser('https://id.example.com/', 'ann');
const NOWHERE = { ip: null, userAgent: null };

test('no two rows have the same name', () => {
  expect(new Set(VERDICTS.map(({ name }) => name)).size).toBe(VERDICTS.length);
});

describe('the core', () => {
  test.each(VERDICTS)('$name', (row) => {
    const { verdict } = row;
    // A tombstone's end is for the stores to say.
    const expected = verdict.state === 'ended' ? { ...verdict, until: null } : verdict;
    expect(verdictOfCore(row)).toEqual(expected);
  });
});

/** The ledger judges by a user's latest cutoff alone, and by the token alone. */
const OF_ONE_CUTOFF = VERDICTS.filter(
  ({ tombstone, knownUse, globalCutoff, staleTokens, token }) =>
    tombstone === null && staleTokens === null && knownUse === null && globalCutoff === null && token.beganAt !== null,
).flatMap(({ cutoff, ...row }) =>
  cutoff === null || cutoff.isRestored || cutoff.priorCutoffAt > 0 ? [] : [{ ...row, cutoff }],
);

describe('the core, by a cutoff and a token', () => {
  test.each(OF_ONE_CUTOFF)('$name', ({ cutoff, token, record, verdict }) => {
    const startedAt = Math.min(token.beganAt ?? NaN, record?.startedAt ?? Infinity);
    const isEnded = endedByCutoff(cutoff, { handle: HANDLE, startedAt, survivedCutoffAt: record?.survivedCutoffAt });
    expect(isEnded).toBe(verdict.state === 'ended');
  });
});

/** What the pure functions say, in the order in which a store asks them. */
function verdictOfCore({ at, policy, token, cutoff, globalCutoff, ...row }: VerdictRow): Verdict {
  const { record: kept, tombstone, knownUse, staleTokens } = row;
  const { inUseSince, known } = knownUse ?? { inUseSince: at, known: null };
  const stored = kept !== null && tombstoneUntil(kept, policy) >= at ? kept : null;
  const record = withKnown(stored ?? undefined, { inUseSince, known }, token) ?? null;
  const cutoffOf = ({ startedAt }: KeptTimes, survivedCutoffAt: number | undefined): ReturnType<typeof endingCutoff> =>
    endingCutoff({ cutoff, globalCutoff }, { handle: HANDLE, startedAt, survivedCutoffAt }, policy);
  const ofRecord = record === null ? null : cutoffOf(record, record.survivedCutoffAt);
  const before = record === null ? null : decide(record, policy, at, inUseSince).state;
  const ended = (by: Ended['by'], isKept = true): Ended => ({
    state: 'ended',
    by,
    wasLive: isStoredLive(stored),
    isKept,
    until: null,
  });
  if (tombstone !== null && tombstone.until >= at) return ended('tombstone');
  if (isStale(standingStale({ at, staleTokens }), token)) return { state: 'stale' };

  const merged = mergeSighting(record ?? undefined, NO_ROW, { at, ...NOWHERE }, token, cutoff);
  const by = ofRecord ?? cutoffOf(merged, record?.survivedCutoffAt);
  if (by !== null) {
    const mayBeNew = by === cutoff && record === null && mayBeginAfterCutoff(by, merged.startedAt, policy);
    return ended(by === cutoff ? 'cutoff' : 'global cutoff', !mayBeNew);
  }
  const standing =
    record !== null && before === 'ended' ? decide(record, policy, at, inUseSince) : decide(merged, policy, at);
  if (standing.state === 'lapsed') return ended('expired', false);
  if (standing.state === 'ended') return ended(standing.cause, record !== null);
  const { startedAt, endsAt, survivedCutoffAt } = merged;
  return { state: 'live', before: stateBefore(), startedAt, endsAt, expiresAt: expiresAt(merged), survivedCutoffAt };

  /** Without what the process knows. */
  function isStoredLive(session: KeptRecord | null): boolean {
    if (session === null || cutoffOf(session, session.survivedCutoffAt) !== null) return false;
    return decide(session, policy, at).state === 'live';
  }

  function stateBefore(): 'new' | 'live' | 'lapsed' | 'stub' | 'idle' {
    if (stored === null) return 'new';
    if (rowUntil(stored, policy) < at) return 'stub';
    const standing = decide(stored, policy, at);
    return standing.state === 'ended' ? 'idle' : standing.state;
  }
}

/** What is not forgotten. */
function standingStale({ at, staleTokens }: Pick<VerdictRow, 'at' | 'staleTokens'>): StaleTokens | null {
  return staleTokens !== null && staleTokens.until >= at ? staleTokens : null;
}

describe('the memory store', () => {
  test.each(VERDICTS)('$name', async (row) => {
    const store = memoryStore();
    store.configure(SETTINGS);
    const arranged = await arrangeByCalls(store, row);
    await expectVerdict(store, arranged);
    await store.close();
  });
});

/**
 * Brings a store whose clock is the caller's into the state of a row, by calls in the order of their moments. Returns the
 * row with the origins that the cutoffs got.
 */
async function arrangeByCalls(store: SessionStore, row: VerdictRow): Promise<VerdictRow> {
  const { at, record, tombstone, cutoff, globalCutoff, staleTokens } = row;
  const policy = { ...row.policy, idleTimeout: null };
  const steps: { readonly at: number; readonly act: () => Promise<unknown> }[] = [];
  const step = (moment: number, act: () => Promise<unknown>): void => void steps.push({ at: moment, act });

  const sight = (seenAt: number, token: TokenTimes): Promise<SightAnswer> =>
    store.sight(USER, { handle: HANDLE, sighting: { at: seenAt, ...NOWHERE }, token, policy });
  const revokeAll = (moment: number, except: string | null): Promise<unknown> =>
    store.revokeAll(USER, { except, reason: cutoff?.reason ?? 'earlier', by: cutoff?.by ?? null, at: moment, policy });

  if (record !== null) {
    const { startedAt, lastSeenAt, tokensEndAt, lifetime, endsAt, survivedCutoffAt } = record;
    const token = { beganAt: startedAt, expiresAt: tokensEndAt, lifetime, sessionEndsAt: endsAt };
    // Just after the cutoff under which it is first seen.
    const seenFrom = survivedCutoffAt === 0 ? Math.min(startedAt, lastSeenAt) : survivedCutoffAt + 0.5;
    step(seenFrom, async () => {
      expect(await sight(Math.trunc(seenFrom), token)).toMatchObject({ state: 'live', created: true });
      expect(await sight(lastSeenAt, token)).toMatchObject({ state: 'live', startedAt, survivedCutoffAt });
    });
    const isUnderAnother = survivedCutoffAt > 0 && ![cutoff?.at, cutoff?.priorCutoffAt].includes(survivedCutoffAt);
    if (isUnderAnother) step(survivedCutoffAt, () => revokeAll(survivedCutoffAt, null));
  }
  if (tombstone !== null) {
    const known = { tombstones: [{ handle: HANDLE, ...tombstone }], cutoff: null, policy };
    step(tombstone.ending.at, () => store.restore(USER, { ...known, at: Math.min(at, tombstone.until) }));
  }
  if (cutoff !== null) {
    const { priorCutoffAt, isPriorRestored, isPriorBackdated, isRestored, isBackdated, ...known } = cutoff;
    const set = (moment: number, except: string | null, isWrittenBack: boolean, isLate: boolean): void => {
      if (!isWrittenBack && !isLate) step(moment, () => revokeAll(moment, except));
      // These come after the sessions that the store then had on record.
      const isAfterRecord = record !== null && record.survivedCutoffAt < moment;
      const later = isAfterRecord ? Math.max(moment, record.lastSeenAt + 0.5) : moment;
      const lost = { tombstones: [], cutoff: { ...known, at: moment, except }, at: moment, policy };
      if (isWrittenBack) step(later, () => store.restore(USER, lost));
      const message = { ...known, except, upTo: moment, at: moment + 1000, policy };
      if (isLate) step(later, () => store.revokeAll(USER, message));
    };
    if (priorCutoffAt > 0) set(priorCutoffAt, null, isPriorRestored, isPriorBackdated);
    set(cutoff.at, cutoff.except, isRestored, isBackdated);
  }
  if (staleTokens !== null) {
    const lost = { tombstones: [], cutoff: null, staleTokens, at: staleTokens.at, policy };
    step(staleTokens.at, () => store.restore(USER, lost));
  }
  if (globalCutoff !== null) step(globalCutoff.at, () => store.endEverywhere(globalCutoff));

  for (const { act } of steps.sort((a, b) => a.at - b.at)) await act();
  // What was on record before the prior cutoff has a tombstone of that one.
  const isByPrior = cutoff !== null && record !== null && record.survivedCutoffAt < cutoff.priorCutoffAt;
  const isWrittenBack = isByPrior ? cutoff.isPriorRestored : cutoff?.isRestored === true;
  const { origin } = store;
  return {
    ...row,
    cutoff:
      cutoff === null
        ? null
        : { ...cutoff, ...(isByPrior && { at: cutoff.priorCutoffAt }), ...(!isWrittenBack && { origin }) },
    globalCutoff: globalCutoff === null ? null : { ...globalCutoff, origin },
  };
}

describe('the Lua of the Redis store', () => {
  let redis: TestRedis;
  let client: Redis;

  beforeAll(async () => {
    redis = await startRedis();
    client = new Redis(redis.url);
  });
  afterAll(async () => {
    client.disconnect();
    await redis.stop();
  });

  test.each(VERDICTS)('$name', async (row) => {
    await redis.cli('flushall');
    const store = redisStore(redis.url);
    store.configure(SETTINGS);
    await arrangeByWriting(client, row);
    await store.catchUp();
    await expectVerdict(store, row);
    await store.close();
  });
});

/**
 * Writes the state of a row as the store keeps it: of a user with an index, because only there a cutoff is not applied to
 * every record at once.
 */
async function arrangeByWriting(client: Redis, row: VerdictRow): Promise<void> {
  const { record, tombstone, cutoff, globalCutoff, staleTokens } = row;
  const key = (part: string): string => `ms:{${USER.key}}:${part}`;
  if (record !== null) {
    const times = TIMES.write(record);
    times.write(INDEXED_MARK);
    await client.hset(key('s'), HANDLE, times);
    await client.hset(key('r'), HANDLE, ROW.write(NO_ROW));
    await client.zadd(key('i'), -record.lastSeenAt, HANDLE);
  }
  if (tombstone !== null) await client.hset(key('s'), HANDLE, TOMBSTONE.write(tombstone));
  if (record !== null || tombstone !== null) {
    await client.hset(key('s'), 'due', INDEXED);
    await client.zadd(key('d'), LAST_MOMENT, HANDLE);
  }
  if (cutoff !== null) {
    const text = CUTOFF.write({ ...cutoff, isComplete: false });
    await client.set(key('c'), text);
    if (record !== null || tombstone !== null) await client.hset(key('s'), 'cutoff', text);
  }
  if (staleTokens !== null) await client.hset(key('s'), 'stale', STALE.write(staleTokens));
  if (globalCutoff !== null) await client.set('ms:{feed}:global-cutoff', GLOBAL_CUTOFF.write(globalCutoff));
}

/** Asks a store that is in the state of the row, before, with and after the token. */
async function expectVerdict(store: SessionStore, row: VerdictRow): Promise<void> {
  const { at, policy, token, record, verdict } = row;
  const knownUse = row.knownUse === null ? {} : { knownUse: row.knownUse };
  const sight = (of: TokenTimes): Promise<SightAnswer> =>
    store.sight(USER, { handle: HANDLE, sighting: { at, ...NOWHERE }, token: of, policy, ...knownUse });

  const earlier = await store.get(USER, HANDLE, at, policy);
  if (verdict.state === 'stale') {
    const refused = { state: 'stale', staleTokens: row.staleTokens };
    expect([await sight(token), await sight(token)]).toEqual([refused, refused]);
    expect(await store.get(USER, HANDLE, at, policy)).toEqual(earlier);
    return;
  }
  const isLive = verdict.state === 'live' ? verdict.before === 'live' : verdict.wasLive;
  expect(earlier !== null).toBe(isLive);

  const answer = await sight(token);
  const after = await store.get(USER, HANDLE, at, policy);
  if (verdict.state === 'live') {
    const { before, startedAt, ...facts } = verdict;
    expect(answer).toEqual({
      startedAt,
      ...facts,
      lastSeenAt: Math.max(at, record?.lastSeenAt ?? at),
      staleTokens: standingStale(row),
      created: before === 'new' || before === 'stub',
      knownClient: false,
      moved: null,
    });
    const lastSeenAt = Math.max(at, record?.lastSeenAt ?? at);
    expect(after).toEqual({
      handle: HANDLE,
      startedAt,
      lastSeenAt,
      expiresAt: facts.expiresAt,
      ...NOWHERE,
      app: null,
      actor: null,
      hasNewClient: false,
      label: null,
    });
    return;
  }

  const ending = endingOf(row, verdict, store.origin);
  if (verdict.by === 'idle') expect(answer).toMatchObject({ ending: { at: record!.lastSeenAt + policy.idleTimeout! } });
  expect(answer).toMatchObject({ state: 'ended', ending, ...(verdict.until !== null && { until: verdict.until }) });
  expect(after).toBeNull();
  const refreshed = await sight({ beganAt: at, expiresAt: null, lifetime: null, sessionEndsAt: null });
  expect(refreshed).toMatchObject(verdict.isKept ? { state: 'ended', ending } : { state: 'live' });
}

/** What the tombstone says; when the session would have ended depends on when it became one. */
function endingOf(row: VerdictRow, { by, isKept }: Ended, origin: string): Partial<Ending> {
  switch (by) {
    case 'tombstone':
      return row.tombstone!.ending;
    case 'cutoff':
    case 'global cutoff': {
      const { at, reason, by: who, origin: from } = by === 'cutoff' ? row.cutoff! : row.globalCutoff!;
      return { cause: 'revoked', reason, by: who, at, origin: isKept ? from : null };
    }
    case 'expired':
    case 'idle':
      return { cause: by, reason: by, by: null, origin: isKept ? origin : null };
  }
}
