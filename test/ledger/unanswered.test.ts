/** Requests that could only be answered with 503 are uses of their sessions. */

import type { LedgerOptions } from '../../lib/ledger/ledger.js';
import { CannotTellYet } from '../../lib/stores/store.js';
import type { VerifiedToken } from '../../lib/tokens/verify.js';
import { POLICY, Process, Server, STORE_TIMEOUT, token } from './simulation.js';
import { START, useRealTimers, useVirtualTimers, VirtualTime } from './virtual-time.js';

const MINUTE = 60_000;
const IDLE = 30 * MINUTE;
const policy = { ...POLICY, idleTimeout: IDLE };

/** As a client has it that gets a token of five minutes whenever the one before is about to expire. */
const refreshed = (elapsed: number): VerifiedToken =>
  token('ann', 'a1', { expiresAt: START + (Math.floor(elapsed / (5 * MINUTE)) + 1) * 5 * MINUTE });

let server: Server;
let time: VirtualTime;

beforeEach(() => {
  useVirtualTimers();
  server = new Server();
  time = new VirtualTime();
});
afterEach(() => {
  useRealTimers();
});

const started = (options: Partial<LedgerOptions> = {}): Process =>
  new Process(0, server, time, { policyOf: () => policy, ...options });

async function ask(process: Process): Promise<string> {
  const answer = process.request(refreshed(time.elapsed), time.clock.now());
  await process.settle();
  const outcome = await answer;
  return outcome === 'live' ? 'live' : outcome.code;
}

/** The store is away for longer than the idle timeout, and the session is used all the time. */
async function goOnWithoutStore(process: Process): Promise<void> {
  process.wire.isBroken = true;
  process.wire.cut();
  for (let count = 0; count < 40; count += 1) {
    await time.advance(MINUTE);
    const outcome = await process.request(refreshed(time.elapsed), time.clock.now());
    if (count > 0) expect(outcome).toMatchObject({ code: 'store_unavailable' });
  }
  process.wire.isBroken = false;
}

describe.each(['knew it', 'missed something meanwhile', 'was started meanwhile'])('where the process %s', (process) => {
  const begun = async (): Promise<Process> => {
    const first = started();
    await first.round();
    expect(await ask(first)).toBe('live');
    await time.advance(MINUTE);
    if (process === 'was started meanwhile') return started();
    if (process === 'missed something meanwhile') {
      first.wire.isBroken = true;
      server.epoch += 1;
      await first.round();
    }
    return first;
  };

  test('refreshed tokens count: what is told to the store is told with the last of them', async () => {
    const here = await begun();
    await goOnWithoutStore(here);
    // By the timer, before the next request.
    for (let count = 0; count < 30; count += 1) {
      await time.advance(STORE_TIMEOUT / 10);
      await here.settle();
    }
    expect(await ask(here)).toBe('live');
  });

  test('a judgement without a sighting tells of them too', async () => {
    const here = await begun();
    await goOnWithoutStore(here);
    await time.advance(STORE_TIMEOUT / 10);
    const peeked = here.ledger.peek(refreshed(time.elapsed), time.clock.now());
    await here.settle();
    await expect(peeked).resolves.toMatchObject({ handle: refreshed(0).handle });
    expect(await ask(here)).toBe('live');
  });

  test('nobody comes back after a pause', async () => {
    const here = await begun();
    here.wire.isBroken = true;
    await time.advance(IDLE + MINUTE);
    for (let count = 0; count < 5; count += 1) {
      await here.request(refreshed(time.elapsed), time.clock.now());
      await time.advance(MINUTE);
    }
    here.wire.isBroken = false;
    await time.advance(STORE_TIMEOUT / 10);
    const peeked = here.ledger.peek(refreshed(time.elapsed), time.clock.now()).catch((error: unknown) => error);
    await here.settle();
    expect(await peeked).toMatchObject({ code: 'session_idle' });
    expect(await ask(here)).toBe('session_idle');
  });
});

test.each(['refuse', { allowFor: 60 * MINUTE }, 'allow'] as const)(
  'a store that cannot tell yet is not away: %j does not apply, and nothing is reported',
  async (whenStoreDown) => {
    const here = started({ whenStoreDown });
    await here.round();
    expect(await ask(here)).toBe('live');
    await time.advance(IDLE + MINUTE);
    const sight = jest.spyOn(server.store, 'sight').mockRejectedValue(new CannotTellYet('It was just started'));
    expect(await ask(here)).toBe('store_unavailable');
    expect(here.events.map(({ name }) => name)).toEqual(['sessionStarted']);
    sight.mockRestore();
    // This was no use before the pause was over.
    expect(await ask(here)).toBe('session_idle');
  },
);

test('allowFor lets nobody in after a pause, and everybody who goes on', async () => {
  const process = started({ whenStoreDown: { allowFor: 90 * MINUTE } });
  await process.round();
  const other = token('ann', 'a2');
  const request = process.request(other, time.clock.now());
  await process.settle();
  expect(await request).toBe('live');
  expect(await ask(process)).toBe('live');
  process.wire.isBroken = true;
  process.wire.cut();
  for (let count = 0; count < 40; count += 1) {
    await time.advance(MINUTE);
    expect(await process.request(refreshed(time.elapsed), time.clock.now())).toBe('live');
  }
  for (let count = 0; count < 2; count += 1) {
    expect(await process.request(other, time.clock.now())).toMatchObject({ code: 'store_unavailable' });
    await time.advance(MINUTE);
  }
});

test('what only the asking process knew to be ended is told to the others', async () => {
  const [here, there] = [started(), new Process(1, server, time, { policyOf: () => policy })];
  await here.round();
  await there.round();
  expect(await ask(here)).toBe('live');
  server.flush();
  const cutoff = there.ledger.revokeAll(refreshed(0).user, { except: null, reason: 'all', by: null });
  await there.settle();
  await cutoff;
  // Nothing shows it here that it is older than the cutoff.
  const later = token('ann', 'a1', { beganAt: time.clock.now() + 1000 });
  const asked = there.request(later, time.clock.now());
  await there.settle();
  expect(await asked).toBe('live');
  await here.round();
  await here.settle();
  await there.round();
  const again = there.request(later, time.clock.now());
  await there.settle();
  expect(await again).toMatchObject({ code: 'session_revoked' });
});

test('a new session gets no place before the store knows of the uses of the others', async () => {
  const process = started({ policyOf: () => ({ ...policy, maxSessions: 2 }) });
  await process.round();
  const [first, second, third] = ['a1', 'a2', 'a3'].map((session) => token('ann', session)) as [
    VerifiedToken,
    VerifiedToken,
    VerifiedToken,
  ];
  const outcomeOf = async (session: VerifiedToken): Promise<unknown> => {
    const asked = process.request(session, time.clock.now());
    await process.settle();
    return asked;
  };
  for (const session of [first, second]) {
    expect(await outcomeOf(session)).toBe('live');
    await time.advance(1000);
  }

  const { sight } = server.store;
  const sighted: unknown[] = [];
  let isFull = true;
  jest.spyOn(server.store, 'sight').mockImplementation((user, request, ...others) => {
    sighted.push(request.handle);
    if (isFull && request.handle === first.handle) return Promise.reject(new Error('OOM'));
    return sight.call(server.store, user, request, ...others);
  });
  await time.advance(10 * MINUTE);
  await process.round();
  // The one that the store saw longest ago is used again.
  expect(await outcomeOf(first)).toBe('live');
  expect(await outcomeOf(third)).toMatchObject({ code: 'store_unavailable' });
  expect(sighted).not.toContain(third.handle);
  isFull = false;
  expect(await outcomeOf(third)).toBe('live');
  expect(await outcomeOf(first)).toBe('live');
  await time.advance(10 * MINUTE);
  await process.round();
  expect(await outcomeOf(second)).toMatchObject({ code: 'session_revoked' });
});
