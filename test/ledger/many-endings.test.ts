/** Many sessions end at once: they are refused at once, and everybody is told, a few in each turn of the event loop. */

import type { Cutoff } from '../../lib/core/cutoff.js';
import { Ledger } from '../../lib/ledger/ledger.js';
import { memoryStore } from '../../lib/stores/memory.js';
import type { FeedListener, SessionStore } from '../../lib/stores/store.js';
import type { VerifiedToken } from '../../lib/tokens/verify.js';
import { BOUND, POLICY, token } from './simulation.js';

const START = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;
const COUNT = 500;
const INCIDENT = { reason: 'incident', by: null };
const SIGNED_OUT = { reason: 'signed_out', by: null };

let at: number;
let ledger: Ledger;
let hear: FeedListener['notice'];
let ended: { readonly handle: string; readonly reason: string }[];

beforeEach(() => {
  at = START + MINUTE;
  ended = [];
});
afterEach(() => ledger.close());

/** The clock of the slices shows a millisecond more each time it is read. */
function start(entryLimit = 10 * COUNT): void {
  const store = memoryStore();
  const feed: SessionStore['feed'] = (listener) => {
    hear = (notice) => listener.notice(notice);
    return store.feed(listener);
  };
  let elapsed = 0;
  ledger = new Ledger({
    store: { ...store, feed },
    clock: { now: () => at },
    monotonic: () => (elapsed += 1),
    policyOf: () => ({ ...POLICY, maxSessions: Infinity }),
    revocationBound: BOUND,
    activityInterval: 1000 * MINUTE,
    storeTimeout: 1000,
    whenStoreDown: 'refuse',
    entryLimit,
    emit: (name, event) => {
      if (name === 'sessionEnded' && 'handle' in event && 'reason' in event) ended.push(event);
    },
  });
}

const ask = async (of: VerifiedToken): Promise<string> => {
  try {
    await ledger.judge(of, { at, ip: null, userAgent: null }, false);
    return 'live';
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'failed';
  }
};
const people = (count: number, from = 0): VerifiedToken[] =>
  Array.from({ length: count }, (_, index) => token(`user-${String(from + index)}`, `s${String(from + index)}`));

async function signIn(all: readonly VerifiedToken[]): Promise<AbortSignal[]> {
  const sessions = await Promise.all(all.map(async (of) => ledger.judge(of, { at, ip: null, userAgent: null }, false)));
  return sessions.map(({ signal }) => signal);
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
/** The most that are told in one turn, until all are. */
async function untilTold(count: number): Promise<number> {
  let most = ended.length;
  while (ended.length < count) {
    const before = ended.length;
    await turn();
    most = Math.max(most, ended.length - before);
  }
  await turn();
  return most;
}
const handlesOf = (all: readonly { readonly handle: string }[]): string[] => all.map(({ handle }) => handle).sort();

describe('endEverywhere()', () => {
  test('refuses every session from its first request on, and tells of each exactly once, in slices', async () => {
    start();
    const all = people(COUNT);
    const signals = await signIn(all);
    await ledger.endEverywhere(INCIDENT);
    expect(ended.length).toBeLessThan(50);
    // Those whose turn comes last are asked about first.
    const asked = [...all].reverse().slice(0, 100);
    expect(new Set(await Promise.all(asked.map(ask)))).toEqual(new Set(['session_revoked']));
    expect(await untilTold(COUNT)).toBeLessThanOrEqual(150);
    expect(handlesOf(ended)).toEqual(handlesOf(all));
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
  });

  test('ends every lease at once, also of the sessions whose turn comes last', async () => {
    start();
    const all = people(COUNT);
    await signIn(all);
    at += 1;
    await Promise.all(all.map(ask));
    const leases = all.map((of) => ledger.lease(of, at, at + MINUTE)!);
    expect(leases.every((lease) => lease.use(at))).toBe(true);
    await ledger.endEverywhere(INCIDENT);
    expect(leases.filter((lease) => lease.use(at))).toEqual([]);
    await untilTold(COUNT);
  });

  test('shows none of them in a list, and looks none up', async () => {
    start();
    const all = people(COUNT);
    await signIn(all);
    await ledger.endEverywhere(INCIDENT);
    const last = all.at(-1)!;
    expect((await ledger.list(last.user, { limit: 10, cursor: null })).sessions).toEqual([]);
    expect(await ledger.get(last.user, last.handle)).toBeNull();
    await expect(ledger.peek(last, at)).rejects.toMatchObject({ code: 'session_revoked' });
  });

  test('a login that begins meanwhile, after the cutoff, goes on', async () => {
    start();
    await signIn(people(COUNT));
    await ledger.endEverywhere(INCIDENT);
    at += MINUTE;
    const later = token('ann', 'later', { beganAt: at });
    const [signal] = await signIn([later]);
    await untilTold(COUNT);
    expect(await ask(later)).toBe('live');
    expect(signal?.aborted).toBe(false);
    expect(ended).toHaveLength(COUNT);
  });

  test('a second one meanwhile changes nothing about what the first one ended', async () => {
    start();
    const all = people(COUNT);
    await signIn(all);
    await ledger.endEverywhere(INCIDENT);
    const second = ledger.endEverywhere({ reason: 'again', by: null });
    const asked = await Promise.all(all.slice(-20).map(ask));
    await second;
    await untilTold(COUNT);
    expect(new Set(asked)).toEqual(new Set(['session_revoked']));
    expect(handlesOf(ended)).toEqual(handlesOf(all));
    expect(new Set(ended.map(({ reason }) => reason))).toEqual(new Set(['incident']));
  });

  test('one that the table lets go of meanwhile is told of, too', async () => {
    start(COUNT);
    const all = people(COUNT);
    await signIn(all);
    await ledger.endEverywhere(INCIDENT);
    at += MINUTE;
    const others = Array.from({ length: COUNT }, (_, index) => token('bob', `b${String(index)}`, { beganAt: at }));
    await signIn(others);
    await untilTold(COUNT);
    expect(handlesOf(ended)).toEqual(handlesOf(all));
    expect(new Set(await Promise.all(others.slice(-100).map(ask)))).toEqual(new Set(['live']));
  });

  test('one that is revoked meanwhile is told of once', async () => {
    start();
    const all = people(COUNT);
    await signIn(all);
    await ledger.endEverywhere(INCIDENT);
    const last = all.at(-1)!;
    await ledger.revoke(last.user, { handle: last.handle, ...SIGNED_OUT });
    await untilTold(COUNT);
    expect(handlesOf(ended)).toEqual(handlesOf(all));
  });

  test('close() resolves when all are told', async () => {
    start();
    const signals = await signIn(people(COUNT));
    await ledger.endEverywhere(INCIDENT);
    await ledger.close();
    expect(ended).toHaveLength(COUNT);
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
  });
});

test('revokeAll() of a user with many sessions: all are refused at once, and told of in slices', async () => {
  start();
  const all = Array.from({ length: COUNT }, (_, index) => token('ann', `a${String(index)}`));
  const signals = await signIn(all);
  await ledger.revokeAll(all[0]!.user, { except: null, reason: 'incident', by: null });
  expect(ended.length).toBeLessThan(50);
  expect(ledger.health().sessions).toBeGreaterThan(COUNT - 50);
  expect(new Set(await Promise.all(all.map(ask)))).toEqual(new Set(['session_revoked']));
  expect(await untilTold(COUNT)).toBeLessThanOrEqual(50);
  expect(handlesOf(ended)).toEqual(handlesOf(all));
  expect(signals.every(({ aborted }) => aborted)).toBe(true);
});

const SECOND = 1000;
const cutoffAt = (moment: number, except: string | null): Cutoff => ({
  at: moment,
  except,
  reason: 'incident',
  by: null,
  origin: 'another-store',
  isRestored: false,
  isBackdated: false,
  erasedAt: 0,
});

test('what only a notice names is refused before its turn, once, and the others of its user go on', async () => {
  start();
  // They began after the cutoff, so it does not show that they ended.
  const named = Array.from({ length: COUNT }, (_, index) => token('ann', `a${String(index)}`, { beganAt: at }));
  const [other, ofBob] = [token('ann', 'other', { beganAt: at }), token('bob', 'b', { beganAt: at })];
  const signals = await signIn(named);
  await signIn([other, ofBob]);
  at += 1;
  await Promise.all(named.map(ask));
  const leases = named.map((of) => ledger.lease(of, at, at + MINUTE)!);
  expect(leases.every((lease) => lease.use(at))).toBe(true);
  const cutoff = { ...cutoffAt(START, null), isRestored: true };
  const batch = named.map(({ handle }) => ({ handle, expiresAt: at + MINUTE, until: at + MINUTE }));
  hear({ kind: 'cutoff', user: other.user, cutoff, ended: batch });
  expect(leases.filter((lease) => lease.use(at))).toEqual([]);
  expect(ledger.health().sessions).toBeGreaterThan(COUNT - 50);
  const last = named.slice(-20);
  expect(new Set(await Promise.all(last.map(ask)))).toEqual(new Set(['session_revoked']));
  expect(await Promise.all([other, ofBob].map(ask))).toEqual(['live', 'live']);
  await untilTold(COUNT);
  expect(handlesOf(ended)).toEqual(handlesOf(named));
  expect(signals.every(({ aborted }) => aborted)).toBe(true);
  expect(await Promise.all([other, ofBob].map(ask))).toEqual(['live', 'live']);
});

describe('a cutoff of one user that is heard after a later one', () => {
  test('ends a session that the later one excepted', async () => {
    start();
    const [old, between] = [token('ann', 'old'), token('ann', 'between', { beganAt: START + 10 * SECOND })];
    await signIn([old, between]);
    const { user, handle } = old;
    hear({ kind: 'cutoff', user, cutoff: cutoffAt(START + 20 * SECOND, handle), ended: [] });
    expect(await ask(old)).toBe('live');
    hear({ kind: 'cutoff', user, cutoff: cutoffAt(START + 5 * SECOND, between.handle), ended: [] });
    expect(await ask(old)).toBe('session_revoked');
  });

  test('the same one again ends nothing', async () => {
    start();
    const { user } = token('ann', 'old');
    const cutoff = cutoffAt(START + 20 * SECOND, null);
    hear({ kind: 'cutoff', user, cutoff, ended: [] });
    const later = token('ann', 'later', { beganAt: START + 30 * SECOND });
    await signIn([later]);
    hear({ kind: 'cutoff', user, cutoff, ended: [] });
    expect(await ask(later)).toBe('live');
  });
});
