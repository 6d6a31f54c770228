/** The ledger's rules one at a time, on the simulated network: each test holds back just what its rule is about. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { LedgerOptions, LiveSession } from '../../lib/ledger/ledger.js';
import type { VerifiedToken } from '../../lib/tokens/verify.js';
import { ACTIVITY_INTERVAL, BOUND, POLICY, Process, Server, STORE_TIMEOUT, token } from './simulation.js';
import { microtasks, START, useRealTimers, useVirtualTimers, VirtualTime } from './virtual-time.js';

const ANN = token('ann', 'a1');
const ANN_TOO = token('ann', 'a2');

let server: Server;
let time: VirtualTime;
let here: Process;

beforeEach(() => {
  useVirtualTimers();
  server = new Server();
  time = new VirtualTime();
  here = new Process(0, server, time);
});
afterEach(() => {
  useRealTimers();
});

const started = (options: Partial<LedgerOptions>): Process => new Process(0, server, time, options);

/** A request whose store calls all go through. */
async function ask(process: Process, of = ANN, fresh = false): Promise<string> {
  const answer = process.request(of, time.clock.now(), fresh);
  await process.settle();
  const outcome = await answer;
  return outcome === 'live' ? 'live' : outcome.code;
}

/** A request while the store does not answer. */
async function askInVain(process: Process, of = ANN, fresh = false): Promise<string> {
  const answer = process.request(of, time.clock.now(), fresh);
  await time.advance(STORE_TIMEOUT);
  const outcome = await answer;
  return outcome === 'live' ? 'live' : outcome.code;
}

async function revokeElsewhere(of = ANN, other = new Process(1, server, time)): Promise<void> {
  const done = other.ledger.revoke(of.user, { handle: of.handle, reason: 'signed_out', by: null, token: of.times });
  await other.settle();
  await done;
}

async function revokeAllElsewhere(except: string | null = null): Promise<void> {
  const other = new Process(1, server, time);
  const done = other.ledger.revokeAll(ANN.user, { except, reason: 'password_changed', by: 'admin' });
  await other.settle();
  await done;
}

async function endEverywhereElsewhere(): Promise<void> {
  const other = new Process(1, server, time);
  const done = other.ledger.endEverywhere({ reason: 'incident', by: 'operator' });
  await other.settle();
  await done;
}

describe('the hot path', () => {
  test('a known session asks nothing while the feed is fresh', async () => {
    await here.round();
    expect(await ask(here)).toBe('live');
    const answer = here.ledger.judge(ANN, { at: time.clock.now(), ip: null, userAgent: null }, false);
    expect(answer).not.toBeInstanceOf(Promise);
    expect(here.wire.messages).toHaveLength(0);
  });

  test('a thousand concurrent first requests of one session share one call', async () => {
    await here.round();
    const answers = Array.from({ length: 1000 }, () => here.request(ANN, time.clock.now()));
    expect(here.wire.messages).toHaveLength(1);
    await here.settle();
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['live']));
  });

  test('the activity interval brings one background sight, and nobody waits for it', async () => {
    await here.round();
    await ask(here);
    await time.advance(ACTIVITY_INTERVAL);
    await here.round();
    for (let count = 0; count < 1000; count += 1)
      void here.ledger.judge(ANN, { at: time.clock.now(), ip: null, userAgent: null }, false);
    expect(here.wire.messages).toHaveLength(1);
    await here.settle();
    const record = await server.store.get(ANN.user, ANN.handle, time.clock.now(), { ...POLICY_OF_TEST });
    expect(record?.lastSeenAt).toBe(time.clock.now());
  });

  test('the last request before a pause is written too, by the timer', async () => {
    await here.round();
    await ask(here);
    await time.advance(30_000);
    await here.round();
    void here.ledger.judge(ANN, { at: time.clock.now(), ip: null, userAgent: null }, false);
    const lastUse = time.clock.now();
    await time.advance(ACTIVITY_INTERVAL);
    await here.settle();
    const record = await server.store.get(ANN.user, ANN.handle, time.clock.now(), { ...POLICY_OF_TEST });
    expect(record?.lastSeenAt).toBe(lastUse);
  });

  test('close() writes the last-seen times that are not yet written', async () => {
    await here.round();
    await ask(here);
    await time.advance(1_000);
    void here.ledger.judge(ANN, { at: time.clock.now(), ip: null, userAgent: null }, false);
    const closed = here.ledger.close();
    await here.settle();
    await closed;
    const record = await server.store.get(ANN.user, ANN.handle, time.clock.now(), { ...POLICY_OF_TEST });
    expect(record?.lastSeenAt).toBe(time.clock.now());
  });

  test('fresh asks the store whatever the ledger knows, each request by itself', async () => {
    await here.round();
    await ask(here);
    const answers = [here.request(ANN, time.clock.now(), true), here.request(ANN, time.clock.now(), true)];
    expect(here.wire.messages).toHaveLength(2);
    await here.settle();
    expect(await Promise.all(answers)).toEqual(['live', 'live']);
  });

  test('an evicted session is simply asked for again', async () => {
    const small = started({ entryLimit: 1 });
    await small.round();
    await ask(small, ANN);
    await ask(small, ANN_TOO);
    const again = small.request(ANN, time.clock.now());
    expect(small.wire.messages).toHaveLength(1);
    await small.settle();
    expect(await again).toBe('live');
  });

  test('the signal of an evicted session still fires', async () => {
    const small = started({ entryLimit: 1 });
    await small.round();
    const session = small.ledger.judge(ANN, { at: time.clock.now(), ip: null, userAgent: null }, false);
    await small.settle();
    const { signal } = await session;
    await ask(small, ANN_TOO);
    await revokeElsewhere();
    await small.round();
    expect(signal.aborted).toBe(true);
  });

  test('R5: an older token than any seen asks the store: it may show that the session began before a cutoff', async () => {
    await revokeAllElsewhere();
    await time.advance(2_000);
    const refreshed = token('ann', 'late', { beganAt: time.clock.now() });
    await here.round();
    expect(await ask(here, refreshed)).toBe('live');
    const older = token('ann', 'late', { beganAt: START - 60_000 });
    expect(await ask(here, older)).toBe('session_revoked');
    expect(await ask(here, refreshed)).toBe('session_revoked');
  });
});

describe('a revocation elsewhere', () => {
  test('is refused as soon as the feed tells, and fires the signal', async () => {
    await here.round();
    const session = here.ledger.judge(ANN, { at: time.clock.now(), ip: null, userAgent: null }, false);
    await here.settle();
    const { signal } = await session;
    await revokeElsewhere();
    expect(await ask(here)).toBe('live');
    await here.round();
    expect(signal.aborted).toBe(true);
    expect(await ask(here)).toBe('session_revoked');
    expect(here.events.filter(({ name }) => name === 'sessionEnded')).toEqual([
      {
        name: 'sessionEnded',
        event: expect.objectContaining({ handle: ANN.handle, reason: 'signed_out', here: false }),
      },
    ]);
  });

  test('R4: is refused without the feed once the bound is over', async () => {
    await here.round();
    await ask(here);
    await revokeElsewhere();
    await time.advance(BOUND + 1);
    expect(await ask(here)).toBe('session_revoked');
  });

  test('between the sight and the first round of the feed is not hidden by the feed', async () => {
    expect(await ask(here)).toBe('live');
    await revokeElsewhere();
    // The base is taken behind the entry: no later round will tell of it.
    await here.round();
    await time.advance(BOUND - 100);
    await here.round();
    await time.advance(101);
    expect(await ask(here)).toBe('session_revoked');
  });

  test('R2: that the feed missed shows as a gap: everything is asked for again', async () => {
    await here.round();
    await ask(here);
    await revokeElsewhere();
    server.trim();
    await here.round();
    expect(await ask(here)).toBe('session_revoked');
  });

  test('that the feed missed ends warm sessions without another request', async () => {
    await here.round();
    const session = here.ledger.judge(ANN, { at: time.clock.now(), ip: null, userAgent: null }, false);
    await here.settle();
    const { signal } = await session;
    await revokeElsewhere();
    server.trim();
    await here.round();
    await here.settle();
    expect(signal.aborted).toBe(true);
  });

  test('that was acknowledged before a process heard of it is refused by a fresh request', async () => {
    await here.round();
    await ask(here);
    await revokeElsewhere();
    expect(await ask(here, ANN, true)).toBe('session_revoked');
    expect(await ask(here)).toBe('session_revoked');
  });
});

describe('the late reply', () => {
  test('R1: that left the store before a revocation does not put the session back', async () => {
    await here.round();
    const early = here.request(ANN, time.clock.now());
    here.wire.step(0);
    await revokeElsewhere();
    here.feed.round();
    await here.drain('feedWire');
    await here.settle();
    expect(await early).toMatchObject({ code: 'session_revoked' });
    expect(await ask(here)).toBe('session_revoked');
  });

  test('R1: that a notice about another session of the user overtook does not vouch', async () => {
    await here.round();
    const answer = here.request(ANN, time.clock.now());
    // Done at the store, and announced; the reply is on its way.
    here.wire.step(0);
    here.wire.step(0);
    await revokeElsewhere(ANN_TOO);
    here.feed.round();
    await here.drain('feedWire');
    await here.settle();
    expect(await answer).toBe('live');
    const again = here.request(ANN, time.clock.now());
    expect(here.wire.messages).toHaveLength(1);
    await here.settle();
    expect(await again).toBe('live');
    expect(await here.request(ANN, time.clock.now())).toBe('live');
    expect(here.wire.messages).toHaveLength(0);
  });

  test('R1: that left the store before a cutoff does not put the session back', async () => {
    await here.round();
    const early = here.request(ANN, time.clock.now());
    here.wire.step(0);
    await revokeAllElsewhere();
    here.feed.round();
    await here.drain('feedWire');
    await here.settle();
    expect(await early).toMatchObject({ code: 'session_revoked' });
    expect(await ask(here)).toBe('session_revoked');
  });

  test('R2: that left the store before a gap is not entered', async () => {
    await here.round();
    const early = here.request(ANN, time.clock.now());
    here.wire.step(0);
    await revokeElsewhere();
    server.trim();
    here.feed.round();
    await here.drain('feedWire');
    await here.settle();
    await early;
    expect(await ask(here)).toBe('session_revoked');
  });

  test('of a list does not show what is known to be ended', async () => {
    await here.round();
    await ask(here);
    const page = here.ledger.list(ANN.user, { limit: 50, cursor: null });
    here.wire.step(0);
    await revokeElsewhere();
    here.feed.round();
    await here.drain('feedWire');
    await here.settle();
    expect((await page).sessions).toEqual([]);
  });

  test('a session that begins right after "everywhere" stays live when the notice comes', async () => {
    await here.round();
    await ask(here);
    await revokeAllElsewhere();
    const anew = token('ann', 'new', { beganAt: Math.floor(time.clock.now() / 1000) * 1000 });
    expect(await ask(here, anew)).toBe('live');
    await here.round();
    expect(await ask(here, anew)).toBe('live');
    expect(await ask(here, ANN)).toBe('session_revoked');
  });

  test('the excepted session stays live when the notice comes', async () => {
    await here.round();
    await ask(here, ANN);
    await ask(here, ANN_TOO);
    await revokeAllElsewhere(ANN.handle);
    await here.round();
    expect(await ask(here, ANN)).toBe('live');
    expect(await ask(here, ANN_TOO)).toBe('session_revoked');
  });
});

describe('a revocation here', () => {
  test('is in force here when it is acknowledged, without the feed', async () => {
    await here.round();
    await ask(here);
    const done = here.ledger.revoke(ANN.user, { handle: ANN.handle, reason: 'signed_out', by: 'ann' });
    await here.settle();
    expect(await done).toBe('ended');
    const answer = here.request(ANN, time.clock.now());
    expect(await answer).toMatchObject({ code: 'session_revoked', reason: 'signed_out' });
    await here.round();
    expect(here.events.filter(({ name }) => name === 'sessionEnded')).toEqual([
      { name: 'sessionEnded', event: expect.objectContaining({ handle: ANN.handle, here: true, by: 'ann' }) },
    ]);
  });

  test('that failed makes this process ask again: it may be in force in part', async () => {
    await here.round();
    await ask(here);
    const done = here.ledger.revoke(ANN.user, { handle: ANN.handle, reason: 'signed_out', by: null });
    here.wire.step(0);
    here.wire.cut();
    await expect(done).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(await ask(here)).toBe('session_revoked');
  });

  test('of a session whose record the store lost ends it all the same', async () => {
    await here.round();
    await ask(here);
    server.flush();
    const done = here.ledger.revoke(ANN.user, { handle: ANN.handle, reason: 'signed_out', by: null });
    await here.settle();
    expect(await done).toBe('ended');
    const other = new Process(1, server, time);
    expect(await ask(other)).toBe('session_revoked');
  });

  test('by the handle of another user ends nothing', async () => {
    const bob = token('bob', 'b1');
    await here.round();
    await ask(here);
    const outcome = here.ledger.revoke(bob.user, { handle: ANN.handle, reason: 'signed_out', by: null });
    await here.settle();
    expect(await outcome).toBe('unknown');
    expect(await ask(here)).toBe('live');
    expect(await ask(here, ANN, true)).toBe('live');
  });
});

describe('an outage', () => {
  test('refuse: known sessions go on within the bound, then it cannot be told', async () => {
    await here.round();
    await ask(here);
    await time.advance(BOUND - 100);
    expect(await askInVain(here)).toBe('live');
    await time.advance(200);
    expect(await askInVain(here)).toBe('store_unavailable');
    expect(await askInVain(here, ANN_TOO)).toBe('store_unavailable');
    expect(here.events.filter(({ name }) => name === 'storeDown')).toHaveLength(1);
    here.wire.cut();
    await microtasks();
    expect(await ask(here)).toBe('live');
    expect(here.events.filter(({ name }) => name === 'storeUp')).toHaveLength(1);
  });

  test('allowFor: sessions known to be live go on that long, unknown ones do not', async () => {
    const patient = started({ whenStoreDown: { allowFor: 30_000 } });
    await patient.round();
    await ask(patient);
    await time.advance(BOUND + 1_000);
    expect(await askInVain(patient)).toBe('live');
    expect(await askInVain(patient, ANN_TOO)).toBe('store_unavailable');
    // Known to be down: nobody waits any more.
    expect(patient.ledger.judge(ANN, { at: time.clock.now(), ip: null, userAgent: null }, false)).not.toBeInstanceOf(
      Promise,
    );
    await time.advance(30_000);
    expect(await askInVain(patient)).toBe('store_unavailable');
  });

  test('allow: every good token passes, but not what is known to be ended, and not a fresh route', async () => {
    const open = started({ whenStoreDown: 'allow' });
    await open.round();
    await ask(open, ANN_TOO);
    await revokeElsewhere(ANN_TOO);
    await open.round();
    await time.advance(BOUND + 1_000);
    expect(await askInVain(open, ANN)).toBe('live');
    expect(await askInVain(open, ANN_TOO)).toBe('session_revoked');
    expect(await askInVain(open, ANN, true)).toBe('store_unavailable');
  });

  test.each(['refuse', 'allow', { allowFor: 3_600_000 }] as const)(
    '%j: a session ended while the store was away is refused once it is back',
    async (whenStoreDown) => {
      const process = started({ whenStoreDown });
      await process.round();
      await ask(process);
      await revokeElsewhere();
      await time.advance(BOUND + 1_000);
      await askInVain(process);
      process.wire.cut();
      await process.round();
      expect(await ask(process)).toBe('session_revoked');
    },
  );

  test('a hung call is not waited for twice once it is known to be older than the bound', async () => {
    await here.round();
    const first = here.request(ANN, time.clock.now());
    await time.advance(BOUND + 1_000);
    expect(await first).toMatchObject({ code: 'store_unavailable' });
    const second = here.request(ANN, time.clock.now());
    // The first question, a new one, one after the global cutoff, and two whether the store is back.
    expect(here.wire.messages).toHaveLength(5);
    here.wire.cut();
    await microtasks();
    expect(await second).toMatchObject({ code: 'store_unavailable' });
  });
});

describe('a session that passed unasked, by whenStoreDown, and is watched', () => {
  const policy = { ...POLICY, idleTimeout: 3_600_000 };

  test.each(['a tick', 'a gap'])('is not taken for idle when the store is back, by %s', async (news) => {
    const lenient = started({ whenStoreDown: 'allow', policyOf: () => policy });
    await lenient.round();
    const answer = Promise.resolve(
      lenient.ledger.judge(ANN, { at: time.clock.now(), ip: null, userAgent: null }, false),
    );
    await microtasks();
    lenient.wire.cut();
    const { signal } = await answer;
    expect(signal.aborted).toBe(false);

    if (news === 'a gap') {
      server.flush();
      await lenient.round();
    } else await time.advance(1_000);
    await lenient.settle();
    expect(signal.aborted).toBe(false);
    expect(await ask(lenient)).toBe('live');
  });

  test('is put on record with the time of its request, also without an idle timeout', async () => {
    const unlimited = { ...POLICY, idleTimeout: null };
    const lenient = started({ whenStoreDown: 'allow', policyOf: () => unlimited });
    await lenient.round();
    const at = time.clock.now();
    const answer = Promise.resolve(lenient.ledger.judge(ANN, { at, ip: null, userAgent: null }, false));
    await microtasks();
    lenient.wire.cut();
    const { signal } = await answer;
    expect(signal.aborted).toBe(false);

    server.flush();
    await lenient.round();
    await lenient.settle();
    const record = await server.store.get(ANN.user, ANN.handle, at, unlimited);
    expect(record?.lastSeenAt).toBe(at);
  });
});

describe('many quiet sessions', () => {
  test('an outage leaves them to be written in batches, one after the other', async () => {
    await here.round();
    const tokens = Array.from({ length: 1_000 }, (_, index) => token(`user-${String(index)}`, 's'));
    const first = tokens.map((each) => here.request(each, time.clock.now()));
    await here.settle();
    await Promise.all(first);
    await time.advance(1_000);
    for (const each of tokens) void here.ledger.judge(each, { at: time.clock.now(), ip: null, userAgent: null }, false);
    // Redis is away: what was asked stays without an answer.
    await time.advance(ACTIVITY_INTERVAL * 2);
    here.wire.cut();
    await time.advance(1_000);
    // And one after the global cutoff, and one whether the store is back.
    expect(here.wire.messages.length).toBeLessThanOrEqual(128 + 2);
    await here.settle();
    await time.advance(1_000);
    await here.settle();
    const records = await Promise.all(
      tokens.map((each) => server.store.get(each.user, each.handle, time.clock.now(), POLICY_OF_TEST)),
    );
    expect(records.filter((record) => record?.lastSeenAt !== START + 1_000)).toEqual([]);
  });
});

describe('a signal that only its listener holds', () => {
  const collectGarbage = (): void => {
    setFlagsFromString('--expose-gc');
    (runInNewContext('gc') as () => void)();
  };

  /** Keeps nothing of the session but the listener, as a socket's handler does. */
  async function listen(process: Process): Promise<jest.Mock> {
    const onEnded = jest.fn();
    const session = process.ledger.judge(ANN, { at: time.clock.now(), ip: null, userAgent: null }, false);
    await process.settle();
    (await session).signal.addEventListener('abort', onEnded);
    return onEnded;
  }

  test.each(['a notice', 'a gap'])('fires though the session was evicted, by %s', async (news) => {
    const small = started({ entryLimit: 1 });
    await small.round();
    const onEnded = await listen(small);
    await ask(small, ANN_TOO);
    await time.advance(1_000);
    await microtasks();
    collectGarbage();
    await revokeElsewhere();
    if (news === 'a gap') server.trim();
    await small.round();
    await small.settle();
    expect(onEnded).toHaveBeenCalledTimes(1);
  });
});

describe('a signal that is asked for late', () => {
  const BOB = token('bob', 'b1');
  let small: Process;

  beforeEach(async () => {
    small = started({ entryLimit: 1 });
    await small.round();
  });

  async function enter(of = ANN): Promise<LiveSession> {
    const session = Promise.resolve(small.ledger.judge(of, { at: time.clock.now(), ip: null, userAgent: null }, false));
    await small.settle();
    return session;
  }

  test('of a session that was evicted and ended meanwhile has fired', async () => {
    const session = await enter();
    await enter(BOB);
    await revokeElsewhere();
    await small.round();
    expect(session.signal.aborted).toBe(true);
  });

  test('of a session that was evicted, and that a cutoff ended meanwhile, fires once the store has answered', async () => {
    const session = await enter();
    await enter(BOB);
    await revokeAllElsewhere();
    await small.round();
    const { signal } = session;
    await small.settle();
    expect(signal.aborted).toBe(true);
  });

  test('of a session that was evicted and came back fires with that of the later request', async () => {
    const session = await enter();
    await enter(BOB);
    const again = await enter();
    const signals = [session.signal, again.signal];
    await revokeElsewhere();
    await small.round();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  test('of a session that was evicted while it was asked about fires too', async () => {
    const [first, , second] = await Promise.all([enter(), enter(BOB), enter()]);
    const signals = [first.signal, second.signal];
    await revokeElsewhere();
    await small.round();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  });
});

describe('a session that runs out with a connection open', () => {
  test('is told once, though the answer is late', async () => {
    const short = token('ann', 'short', { beganAt: START, lifetime: 10_000 });
    const often = started({ activityInterval: 100 });
    await often.round();
    const session = often.ledger.judge(short, { at: time.clock.now(), ip: null, userAgent: null }, false);
    await often.settle();
    const { signal } = await session;
    await time.advance(15_000);
    expect(often.wire.messages).toHaveLength(1);
    await time.advance(500);
    expect(often.wire.messages).toHaveLength(1);
    await often.settle();
    expect(signal.aborted).toBe(true);
    expect(often.events.filter(({ name }) => name === 'sessionEnded')).toEqual([
      { name: 'sessionEnded', event: expect.objectContaining({ handle: short.handle, cause: 'expired' }) },
    ]);
  });

  test('stays open where a refreshed token came while the store was asked', async () => {
    const first = token('ann', 'r', { expiresAt: START + 10_000 });
    await here.round();
    const session = here.ledger.judge(first, { at: time.clock.now(), ip: null, userAgent: null }, false);
    await here.settle();
    const { signal } = await session;
    await time.advance(15_500);
    here.wire.step(0);
    void here.request(token('ann', 'r', { expiresAt: START + 3_600_000 }), time.clock.now());
    await here.settle();
    expect(signal.aborted).toBe(false);
  });

  test('and that a refreshed token takes on later has a signal of its own', async () => {
    const short = token('ann', 'a1', { expiresAt: START + 10_000 });
    const signalOf = async (of: VerifiedToken): Promise<AbortSignal> => {
      const session = here.ledger.judge(of, { at: time.clock.now(), ip: null, userAgent: null }, false);
      await here.settle();
      return (await session).signal;
    };
    await here.round();
    const before = await signalOf(short);
    await time.advance(15_500);
    await here.settle();
    expect(before.aborted).toBe(true);
    await here.round();
    expect((await signalOf(ANN)).aborted).toBe(false);
  });
});

describe('a process that was held up', () => {
  test('takes what arrived meanwhile for an answer', async () => {
    useRealTimers();
    const process = new Process(3, server, time, { storeTimeout: 20 });
    const answer = process.request(ANN, time.clock.now());
    setImmediate(() => {
      for (let step = 0; step < 6; step += 1) process.wire.step(0);
    });
    const until = performance.now() + 60;
    while (performance.now() < until);
    expect(await answer).toBe('live');
    await process.ledger.close();
  });
});

describe('a store that breaks the contract', () => {
  test('and throws makes a 503, not a 500', async () => {
    const broken = started({});
    broken.wire.send = () => {
      throw new Error('thrown, not rejected');
    };
    expect(await askInVain(broken)).toBe('store_unavailable');
  });
});

describe('an older token than the one that is asked about', () => {
  test('does not share its answer', async () => {
    await here.round();
    await revokeAllElsewhere();
    await time.advance(2_000);
    const [newer, older] = [token('ann', 's', { beganAt: time.clock.now() }), token('ann', 's')];
    const first = here.request(newer, time.clock.now());
    const second = here.request(older, time.clock.now());
    await here.settle();
    expect(await first).toBe('live');
    expect(await second).toMatchObject({ code: 'session_revoked' });
  });
});

describe('a token with an earlier session_expiry than the one that is asked about', () => {
  test('does not share its answer: the store must learn of that end', async () => {
    await here.round();
    const end = time.clock.now() + 60_000;
    const limited = { ...ANN, times: { ...ANN.times, sessionEndsAt: end } };
    const later = { ...ANN, times: { ...ANN.times, sessionEndsAt: end + 1 } };
    const answers = [ANN, limited, later].map((of) => here.request(of, time.clock.now()));
    expect(here.wire.messages).toHaveLength(2);
    await here.settle();
    expect(await Promise.all(answers)).toEqual(['live', 'live', 'live']);
    await time.advance(60_000 + POLICY_OF_TEST.clockTolerance);
    expect(await ask(here)).toBe('session_expired');
    expect(await ask(new Process(2, server, time))).toBe('session_expired');
  });
});

describe('a session whose token runs out while it is asked about', () => {
  test('goes on with a refreshed token', async () => {
    const short = token('ann', 'a1', { expiresAt: START + 10_000 });
    await here.round();
    expect(await ask(here, short)).toBe('live');
    await time.advance(10_000 + POLICY.clockTolerance);
    await here.round();
    expect(await ask(here, short)).toBe('session_expired');
    expect(await ask(here)).toBe('live');
  });
});

describe('once ended, ended', () => {
  test('R3: a store that lost everything is told again, within the bound and the activity interval', async () => {
    await here.round();
    await ask(here);
    await revokeElsewhere();
    await here.round();
    server.flush();
    expect(await ask(here)).toBe('session_revoked');
    await here.round();
    await here.settle();
    const fresh = new Process(2, server, time);
    expect(await ask(fresh)).toBe('session_revoked');
  });

  test('what cannot be written back holds up nothing else, and is tried again', async () => {
    const bob = token('bob', 'b1');
    await here.round();
    const { signal } = await Promise.all([
      here.ledger.judge(ANN_TOO, { at: time.clock.now(), ip: null, userAgent: null }, false),
      here.settle(),
    ]).then(([session]) => session);
    await revokeElsewhere(bob);
    await here.round();
    server.flush();
    await revokeElsewhere(ANN_TOO);
    here.feed.round();
    await here.drain('feedWire');

    here.wire.cut();
    await here.settle();
    expect(signal.aborted).toBe(true);
    expect(await ask(new Process(2, server, time), bob)).toBe('live');
    await time.advance(STORE_TIMEOUT);
    await here.settle();
    expect(await ask(new Process(2, server, time), bob)).toBe('session_revoked');
  });

  test('R7: a contradicting reply shows the loss before the feed does', async () => {
    await here.round();
    await ask(here);
    await revokeElsewhere();
    await here.round();
    server.flush();
    const stranger = new Process(2, server, time);
    expect(await ask(stranger)).toBe('live');
    const page = here.ledger.list(ANN.user, { limit: 50, cursor: null });
    await here.settle();
    expect((await page).sessions).toEqual([]);
    expect(await ask(stranger, ANN, true)).toBe('session_revoked');
  });

  test('a session first seen after a cutoff stays live when the store loses both, one of before does not', async () => {
    await here.round();
    await ask(here);
    await revokeAllElsewhere();
    await here.round();
    const [second, later] = [0, 1000].map((after) =>
      token('ann', `s${String(after)}`, { beganAt: Math.floor(time.clock.now() / 1000) * 1000 + after }),
    ) as [VerifiedToken, VerifiedToken];
    await time.advance(2000);
    server.flush();
    expect(await ask(here, later)).toBe('live');
    // What was known before it has a tombstone, also in its own second.
    expect(await ask(here, second)).toBe('live');
    expect(await ask(here)).toBe('session_revoked');
    await here.round();
    expect(await ask(here, later)).toBe('live');
    expect(await ask(new Process(2, server, time), later)).toBe('live');
    expect(await ask(new Process(2, server, time), second)).toBe('live');
    expect(await ask(new Process(2, server, time))).toBe('session_revoked');
  });

  describe('a token that is good for longer', () => {
    const HOUR = 3_600_000;
    /** A tombstone stands for as long as the tokens that are known of. */
    const another = (): Process => started({ policyOf: () => ({ ...POLICY, tombstoneFor: 0 }) });
    const short = token('ann', 's', { expiresAt: START + HOUR });
    const long = token('ann', 's', { expiresAt: START + 90 * 24 * HOUR });

    beforeEach(() => {
      here = another();
    });

    async function endShort(): Promise<void> {
      await ask(another(), short);
      await revokeElsewhere(short, another());
    }

    async function expectEndedAfterShort(): Promise<void> {
      await time.advance(2 * HOUR);
      expect(await ask(another(), long)).toBe('session_revoked');
    }

    test('prolongs the tombstone, here and in the store', async () => {
      await here.round();
      await ask(here, short);
      await endShort();
      await here.round();
      expect(await ask(here, long)).toBe('session_revoked');
      await here.settle();
      await expectEndedAfterShort();
    });

    test('is told to the store again if that failed', async () => {
      await here.round();
      await ask(here, short);
      await endShort();
      await here.round();
      expect(await askInVain(here, long)).toBe('session_revoked');
      here.wire.cut();
      // Of no later token: what is known here is long enough, but the store does not know it.
      expect(await ask(here, long)).toBe('session_revoked');
      await here.settle();
      expect(await ask(here, long)).toBe('session_revoked');
      expect(here.wire.messages).toHaveLength(0);
      await expectEndedAfterShort();
    });

    test('prolongs the tombstone too if it shares the answer to one that expires earlier', async () => {
      await endShort();
      await here.round();
      const answers = [short, long].map((of) => here.request(of, time.clock.now()));
      expect(here.wire.messages).toHaveLength(1);
      await here.settle();
      expect(await Promise.all(answers)).not.toContain('live');
      await expectEndedAfterShort();
    });
  });

  test.each<[string, () => Promise<void>]>([
    ['a cutoff', () => revokeAllElsewhere()],
    ['a cutoff of all users', () => endEverywhereElsewhere()],
  ])(
    'what %s ended is ended everywhere, though only a process that was told of the cutoff saw it',
    async (_, cutOff) => {
      await here.round();
      await cutOff();
      await here.round();
      expect(await ask(here, token('ann', 'unseen'))).toBe('session_revoked');
      expect(await ask(here, token('ann', 'unseen'))).toBe('session_revoked');
      await here.settle();
      await time.advance(60_000);
      const refreshed = token('ann', 'unseen', { beganAt: time.clock.now() });
      expect(await ask(new Process(2, server, time), refreshed)).toBe('session_revoked');
      expect(here.events.filter(({ name }) => name === 'sessionStarted')).toEqual([]);
    },
  );

  test.each(['end-oldest', 'refuse'] as const)(
    'extending a tombstone does nothing else, though the store lost its data and the cap is reached (%s)',
    async (atSessionLimit) => {
      const capped = started({ policyOf: () => ({ ...POLICY_OF_TEST, maxSessions: 1, atSessionLimit }) });
      await capped.round();
      const short = token('ann', 's', { expiresAt: START + 3_600_000 });
      await ask(capped, short);
      await revokeElsewhere(short);
      await capped.round();
      server.flush();
      await capped.round();
      await capped.settle();
      const other = started({ policyOf: () => ({ ...POLICY_OF_TEST, maxSessions: 1, atSessionLimit }) });
      expect(await ask(other, ANN_TOO)).toBe('live');
      server.flush();
      expect(await ask(other, ANN_TOO, true)).toBe('live');

      const long = token('ann', 's', { expiresAt: START + 90 * 86_400_000 });
      expect(await ask(capped, long)).toBe('session_revoked');
      await capped.settle();
      expect(await ask(other, ANN_TOO, true)).toBe('live');
      expect(await server.store.get(long.user, long.handle, time.clock.now(), POLICY_OF_TEST)).toBeNull();
      const third = new Process(2, server, time);
      expect(await ask(third, long)).toBe('session_revoked');
      expect(capped.events.filter(({ name }) => name === 'sessionStarted')).toHaveLength(1);
    },
  );

  test('past the limit the longest-lived are kept, and an event says so', async () => {
    const small = started({ endedLimits: { count: 10, bytes: 1e9 } });
    await small.round();
    for (let count = 0; count < 12; count += 1) {
      await revokeElsewhere(token('ann', `s${String(count)}`, { expiresAt: START + (count + 1) * 3_600_000 }));
    }
    await small.round();
    expect(small.events).toContainEqual({ name: 'tombstonesDropped', event: { count: expect.any(Number) as number } });
    const longest = small.request(token('ann', 's11', { expiresAt: START + 12 * 3_600_000 }), time.clock.now());
    expect(small.wire.messages).toHaveLength(0);
    expect(await longest).toMatchObject({ code: 'session_revoked' });
  });
});

describe('sessionEnded', () => {
  const told = (): unknown[] => here.events.filter(({ name }) => name === 'sessionEnded').map(({ event }) => event);

  test('of a session that was refused here before the notice came', async () => {
    await here.round();
    await revokeElsewhere();
    expect(await ask(here)).toBe('session_revoked');
    expect(told()).toEqual([]);
    await here.round();
    await here.round();
    expect(told()).toEqual([expect.objectContaining({ handle: ANN.handle, here: false })]);
  });

  test('says who ended it, also where a request was refused before that was acknowledged', async () => {
    await here.round();
    await ask(here);
    const done = here.ledger.revoke(ANN.user, { handle: ANN.handle, reason: 'signed_out', by: 'ann' });
    here.wire.step(0);
    const answer = here.request(ANN, time.clock.now(), true);
    for (const _step of ['operation', 'notices', 'reply']) here.wire.step(1);
    expect(await answer).toMatchObject({ code: 'session_revoked' });
    await here.settle();
    await done;
    await here.round();
    expect(told()).toEqual([expect.objectContaining({ handle: ANN.handle, here: true, by: 'ann' })]);
  });

  test('R9: says `here: true` when the process learns of its own ending, though it never used the session', async () => {
    await here.round();
    const other = new Process(1, server, time);
    await other.round();
    await ask(other);
    const done = here.ledger.revoke(ANN.user, { handle: ANN.handle, reason: 'signed_out', by: 'ann' });
    here.wire.step(0);
    here.wire.cut();
    await expect(done).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(told()).toEqual([]);
    expect(await ask(here)).toBe('session_revoked');
    expect(await ask(here)).toBe('session_revoked');
    expect(told()).toEqual([expect.objectContaining({ handle: ANN.handle, here: true, by: 'ann' })]);
  });

  test('R9: of a session that a cutoff ended here, and somebody else before, has the words of its tombstone', async () => {
    await here.round();
    await ask(here);
    const other = new Process(1, server, time);
    void other.ledger.revoke(ANN.user, { handle: ANN.handle, reason: 'signed_out', by: 'ann' }).catch(() => undefined);
    other.wire.step(0);
    await revokeAllElsewhere();
    await here.round();
    expect(told()).toEqual([expect.objectContaining({ handle: ANN.handle, here: false, reason: 'signed_out' })]);
    other.wire.cut();
  });

  test('R9: comes with the answer that tells of it, and only once', async () => {
    await here.round();
    await ask(here);
    await revokeElsewhere();
    expect(await ask(here, ANN, true)).toBe('session_revoked');
    expect(told()).toEqual([expect.objectContaining({ handle: ANN.handle, here: false })]);
    await here.round();
    await time.advance(BOUND + 1000);
    expect(told()).toHaveLength(1);
  });
});

describe('sessionStarted', () => {
  test('R8: is not told of a session that the store lost and has again', async () => {
    await here.round();
    await ask(here);
    server.flush();
    await ask(here, ANN, true);
    expect(here.events.filter(({ name }) => name === 'sessionStarted')).toHaveLength(1);
  });
});

const POLICY_OF_TEST = {
  idleTimeout: null,
  clockTolerance: 5_000,
  tombstoneFor: 86_400_000,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
} as const;
