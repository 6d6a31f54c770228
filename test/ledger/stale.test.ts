/** Stale tokens, on the simulated network: what is refused, from when on, and that nothing else happens to the session. */

import { sessionUser } from '../../lib/core/session.js';
import type { StaleTokens } from '../../lib/core/stale.js';
import type { LedgerOptions, LiveSession } from '../../lib/ledger/ledger.js';
import { Backlog } from '../../lib/ledger/backlog.js';
import { EndedSessions } from '../../lib/ledger/ended.js';
import type { VerifiedToken } from '../../lib/tokens/verify.js';
import { ACTIVITY_INTERVAL, BOUND, POLICY, Process, Server, STORE_TIMEOUT, token } from './simulation.js';
import { START, useRealTimers, useVirtualTimers, VirtualTime } from './virtual-time.js';

/** A token of the session that is issued then. */
function issued(issuedAt: number | null, session = 'a1', more: object = {}): VerifiedToken {
  const verified = token('ann', session);
  return { ...verified, times: { ...verified.times, issuedAt, ...more } };
}

const OLD = issued(START - 60_000);
const WORDS = { reason: 'role_removed', by: 'admin' };

let server: Server;
let time: VirtualTime;
let here: Process;
let there: Process;

beforeEach(async () => {
  useVirtualTimers();
  server = new Server();
  time = new VirtualTime();
  [here, there] = [started(), started()];
  for (const process of [here, there]) await process.round();
  await time.advance(500);
});
afterEach(() => {
  useRealTimers();
});

const started = (options: Partial<LedgerOptions> = {}): Process => new Process(0, server, time, options);
/** What the client gets when it refreshes now. */
const refreshed = (session = 'a1'): VerifiedToken => issued(Math.floor(time.clock.now() / 1000) * 1000, session);

const codeOf = (outcome: 'live' | { readonly code: string }): string => (outcome === 'live' ? outcome : outcome.code);

async function ask(process: Process, of = OLD, fresh = false): Promise<string> {
  const answer = process.request(of, time.clock.now(), fresh);
  await process.settle();
  return codeOf(await answer);
}

/** Without any message to the store. */
async function askMemory(process: Process, of = OLD): Promise<string> {
  const before = process.wire.messages.length;
  const answer = codeOf(await process.request(of, time.clock.now()));
  expect(process.wire.messages).toHaveLength(before);
  return answer;
}

async function expire(by = here, upTo?: number): Promise<void> {
  const done = by.ledger.expireTokens(OLD.user, { ...WORDS, ...(upTo !== undefined && { upTo }) });
  await by.settle();
  await done;
}

/** The session as the store has it. */
const recorded = () => server.store.get(OLD.user, OLD.handle, time.clock.now(), POLICY);

describe('from the acknowledgement on', () => {
  test('R10: the process that asked for it refuses at once, the others once they have read of it; nobody asks the store', async () => {
    for (const process of [here, there]) expect(await ask(process)).toBe('live');
    await expire();
    expect(await askMemory(here)).toBe('token_stale');
    expect(await askMemory(there)).toBe('live');
    await there.round();
    for (const process of [here, there]) {
      expect(await askMemory(process)).toBe('token_stale');
      expect(await askMemory(process, issued(null))).toBe('token_stale');
    }
  });

  test('a refreshed token passes: after one answer, from memory', async () => {
    for (const process of [here, there]) await ask(process);
    await expire();
    await there.round();
    expect(await askMemory(here, refreshed())).toBe('token_stale');
    await time.advance(1000);
    for (const process of [here, there]) {
      expect(await ask(process, refreshed())).toBe('live');
      for (let count = 0; count < 100; count += 1) expect(await askMemory(process, refreshed())).toBe('live');
      expect(await askMemory(process)).toBe('token_stale');
    }
  });

  test('a process that begins later learns of it from the first answer, to whichever token', async () => {
    await ask(here);
    await expire();
    const late = started();
    await late.round();
    expect(await ask(late)).toBe('token_stale');
    expect(await askMemory(late)).toBe('token_stale');

    const other = started();
    await other.round();
    await time.advance(1000);
    expect(await ask(other, refreshed())).toBe('live');
    expect(await askMemory(other)).toBe('token_stale');
    expect(await askMemory(other, issued(START, 'a2'))).toBe('token_stale');
  });

  test('a feed older than the bound: the store is asked, and says it', async () => {
    await ask(there);
    await expire();
    await time.advance(BOUND + 1);
    expect(await ask(there)).toBe('token_stale');
  });

  test('up to the time of a message: what was issued later stays good', async () => {
    await time.advance(60_000);
    await expire(here, START + 30_000);
    expect(await askMemory(here, issued(START + 30_999))).toBe('token_stale');
    expect(await ask(here, issued(START + 31_000))).toBe('live');
  });

  test('`peek` follows', async () => {
    await ask(here);
    await expire();
    await expect(here.ledger.peek(OLD, time.clock.now())).rejects.toMatchObject({ code: 'token_stale' });
    const late = started();
    const peeked = late.ledger.peek(OLD, time.clock.now());
    peeked.catch(() => undefined);
    await late.settle();
    await expect(peeked).rejects.toMatchObject({ code: 'token_stale', reason: 'role_removed' });
    expect([here, late].map(({ ledger }) => ledger.isKnownStale(OLD))).toEqual([true, true]);
    expect(there.ledger.isKnownStale(OLD)).toBe(false);
  });

  test('a lease ends with the notice', async () => {
    await ask(here);
    await time.advance(1);
    await here.round();
    void here.ledger.judge(OLD, { at: time.clock.now(), ip: null, userAgent: null }, false);
    const lease = here.ledger.lease(OLD, time.clock.now(), time.clock.now() + 60_000);
    expect(lease?.use(time.clock.now())).toBe(true);
    await expire(there);
    await here.round();
    expect(lease?.use(time.clock.now())).toBe(false);
    expect(here.ledger.lease(OLD, time.clock.now(), time.clock.now() + 60_000)).toBeNull();
  });
});

describe('the session stays as it is', () => {
  test('its signal does not fire, nothing is told, and the record does not change', async () => {
    await ask(here);
    const sighting = { at: time.clock.now(), ip: null, userAgent: null };
    const session = here.ledger.judge(OLD, sighting, false) as LiveSession;
    const { signal } = session;
    await expire();
    const [events, before] = [here.events.length, await recorded()];
    await time.advance(1000);
    expect([await ask(here), await ask(here, OLD, true), await ask(there), await ask(started())]).toEqual(
      Array(4).fill('token_stale'),
    );
    expect([signal.aborted, here.events.length, await recorded()]).toEqual([false, events, before]);
  });

  test('a refused request does not count as use: the idle timeout goes on', async () => {
    const policyOf = () => ({ ...POLICY, idleTimeout: 240_000 });
    [here, there] = [started({ policyOf }), started({ policyOf })];
    expect(await ask(here)).toBe('live');
    await expire();
    for (let count = 0; count < 5; count += 1) {
      await time.advance(60_000);
      for (const process of [here, there]) await ask(process);
    }
    expect(await ask(here, refreshed())).toBe('session_idle');
  });

  test('uses before it are written after it', async () => {
    await ask(here);
    await time.advance(30_000);
    await here.round();
    await ask(here);
    const usedAt = time.clock.now();
    await expire(there);
    await here.round();
    await time.advance(2 * ACTIVITY_INTERVAL);
    await here.settle();
    expect((await recorded())?.lastSeenAt).toBe(usedAt);
  });

  test('it puts no session on record, and takes no place', async () => {
    const policyOf = () => ({ ...POLICY, maxSessions: 1 });
    here = started({ policyOf });
    await ask(here, refreshed());
    await time.advance(1000);
    await expire();
    expect(await ask(started({ policyOf }), issued(START, 'a2'))).toBe('token_stale');
    await time.advance(1000);
    expect(await ask(here, refreshed())).toBe('live');
    expect(server.stream.map(({ notice }) => notice.kind)).toEqual(['stale']);
  });

  test('nothing is said of a session that is ended: it is ended', async () => {
    await ask(here);
    const done = here.ledger.revoke(OLD.user, { handle: OLD.handle, reason: 'signed_out', by: null });
    await here.settle();
    await done;
    await expire();
    await there.round();
    for (const process of [here, there, started()]) expect(await ask(process)).toBe('session_revoked');
  });
});

describe('answers that are late', () => {
  test('R1, R10: one that left the store before it, and comes after its notice, lets nobody in and vouches for nothing', async () => {
    const request = there.request(OLD, time.clock.now());
    there.wire.step(0);
    await expire();
    there.feed.round();
    await there.drain('feedWire');
    await there.drain('wire');
    expect(codeOf(await request)).toBe('token_stale');
    expect(await askMemory(there)).toBe('token_stale');
    await time.advance(1000);
    const next = there.request(refreshed(), time.clock.now());
    expect(there.wire.messages).toHaveLength(1);
    await there.settle();
    expect(codeOf(await next)).toBe('live');
  });

  test('the same if the answer is given up, and comes then', async () => {
    const request = there.request(OLD, time.clock.now());
    there.wire.step(0);
    await expire();
    await there.round.call({ feed: there.feed, settle: () => there.drain('feedWire') });
    await time.advance(STORE_TIMEOUT);
    expect(codeOf(await request)).toBe('token_stale');
    await there.settle();
    expect(await askMemory(there)).toBe('token_stale');
  });

  test('a good token does not share the question of one that may be stale; an older one shares its question', async () => {
    await expire();
    await time.advance(1000);
    const [old, good, older] = [OLD, refreshed(), issued(START - 90_000)].map((of) =>
      there.request(of, time.clock.now()),
    );
    expect(there.wire.messages).toHaveLength(2);
    await there.settle();
    const answers = await Promise.all([old!, good!, older!]);
    expect(answers.map(codeOf)).toEqual(['token_stale', 'live', 'token_stale']);
  });
});

describe('a store that has lost it', () => {
  /** The declaration as the store knows it, told by an answer. */
  const known = async (): Promise<StaleTokens | null> => {
    const sighting = { at: time.clock.now(), ip: null, userAgent: null };
    const request = { handle: OLD.handle, sighting, token: OLD.times, policy: POLICY, track: false };
    const answer = await server.store.sight(OLD.user, request);
    return answer.state === 'stale' || answer.state === 'live' ? answer.staleTokens : null;
  };

  test('R11: an answer that does not know it starts the write-back, which is announced', async () => {
    await ask(here);
    await expire();
    const before = await known();
    server.flush();
    await time.advance(1000);
    expect(await ask(here, refreshed(), true)).toBe('live');
    await time.advance(1);
    await here.settle();
    expect(await known()).toEqual(before);
    expect(server.stream.map(({ notice }) => notice.kind)).toEqual(['stale']);
    expect(await askMemory(here)).toBe('token_stale');
  });

  test('an answer that was asked before it was known is no loss', async () => {
    const question = there.request(refreshed(), time.clock.now());
    there.wire.step(0);
    await expire();
    there.feed.round();
    await there.drain('feedWire');
    await there.settle();
    await question;
    expect(server.stream).toHaveLength(1);
  });

  test('a gap: it is written back, and everybody who missed it learns of it', async () => {
    for (const process of [here, there]) await ask(process);
    await expire();
    server.flush();
    for (const process of [here, there]) await process.round();
    expect((await known())?.reason).toBe('role_removed');
    await there.round();
    for (const process of [here, there, started()]) expect(await ask(process)).toBe('token_stale');
    await time.advance(1000);
    for (const process of [here, there]) expect(await ask(process, refreshed())).toBe('live');
  });

  test('a replica or snapshot that does not have it', async () => {
    await ask(here);
    const snapshot = server.snapshot();
    await expire();
    await here.round();
    server.restore(snapshot);
    for (const process of [here, there]) await process.round();
    await there.round();
    for (const process of [here, there, started()]) expect(await ask(process)).toBe('token_stale');
    expect((await recorded())?.handle).toBe(OLD.handle);
  });

  test('an earlier declaration that it still has does not take the later one back', async () => {
    await expire();
    const snapshot = server.snapshot();
    await time.advance(60_000);
    await expire();
    await here.round();
    server.restore(snapshot);
    for (const process of [here, there]) await process.round();
    await there.round();
    const between = issued(START + 30_000);
    for (const process of [here, there, started()]) expect(await ask(process, between)).toBe('token_stale');
  });
});

describe('a store that is away', () => {
  test.each(['refuse', 'allow', { allowFor: 60_000 }] as const)(
    'what is known to be stale never passes: %j',
    async (whenStoreDown) => {
      here = started({ whenStoreDown });
      await here.round();
      expect(await ask(here)).toBe('live');
      await expire(there);
      await here.round();
      for (const wire of [here.wire, here.feedWire]) wire.isBroken = true;
      await time.advance(BOUND + 1);
      expect(await ask(here)).toBe('token_stale');
      expect(await ask(here, refreshed())).toBe(whenStoreDown === 'refuse' ? 'store_unavailable' : 'live');
      expect(await ask(here)).toBe('token_stale');
    },
  );

  test('a notice that comes while the question is open', async () => {
    here = started({ whenStoreDown: 'allow' });
    await here.round();
    const request = here.request(OLD, time.clock.now());
    await expire(there);
    here.feed.round();
    await here.drain('feedWire');
    here.wire.cut();
    expect(codeOf(await request)).toBe('token_stale');
  });

  test('rejects, and what is known of the user is asked again: it may be in force in part', async () => {
    await ask(here);
    const done = here.ledger.expireTokens(OLD.user, WORDS);
    done.catch(() => undefined);
    here.wire.step(0);
    here.wire.cut();
    await expect(done).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(await ask(here)).toBe('token_stale');
    await expire();
    await there.round();
    expect(await askMemory(there)).toBe('token_stale');
  });
});

describe('what is remembered of it', () => {
  const ANN = sessionUser('https://id.example.com/', 'ann');
  const stale = (at: number, until: number): StaleTokens => ({ at, until, ...WORDS });

  test('up to its end; the later of two, for as long as either', async () => {
    const ended = new EndedSessions({ count: 10, bytes: 1e9 }, () => undefined);
    expect(ended.addStale(ANN, stale(5, 100), 0)).toBe(true);
    expect(ended.addStale(ANN, stale(5, 90), 0)).toBe(false);
    expect(ended.addStale(ANN, stale(3, 200), 0)).toBe(false);
    expect(ended.staleTokensOf(ANN.key, 199)).toEqual(stale(5, 200));
    expect(ended.staleTokensOf(ANN.key, 200)).toBeNull();
    expect(ended.addStale(ANN, stale(7, 50), 0)).toBe(true);
    const backlog = new Backlog(() => 0);
    expect(await ended.byUser(199, backlog)).toEqual([
      { user: ANN, tombstones: [], cutoff: null, staleTokens: stale(7, 200) },
    ]);
    expect(await ended.byUser(200, backlog)).toEqual(
      [{ user: ANN, tombstones: [], cutoff: null, staleTokens: null }].slice(1),
    );
    ended.forgetRunOut(199);
    expect(ended.size).toBe(1);
    ended.forgetRunOut(200);
    expect(ended.size).toBe(0);
  });

  test('bounded, in number and in bytes', () => {
    const dropped: number[] = [];
    const few = new EndedSessions({ count: 10, bytes: 1e9 }, (count) => dropped.push(count));
    const small = new EndedSessions({ count: 1000, bytes: 10_000 }, (count) => dropped.push(count));
    for (const ended of [few, small]) {
      for (let index = 0; index < 50; index += 1) {
        ended.addStale({ ...ANN, key: `u${String(index)}` }, stale(5, 100 + index), 0);
        ended.addStale({ ...ANN, key: `u${String(index)}` }, { ...stale(6, 100 + index), reason: 'x'.repeat(200) }, 0);
      }
      expect(ended.staleTokensOf('u49', 0)?.at).toBe(6);
      expect(ended.staleTokensOf('u0', 0)).toBeNull();
    }
    expect([few.size, small.size < 10]).toEqual([10, true]);
    expect(dropped.length).toBeGreaterThan(0);
  });
});
