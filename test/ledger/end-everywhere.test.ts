/** The global cutoff in the ledger: how old what is known of it may be, and what it does to the sessions in use. */

import { endingByCutoff } from '../../lib/core/cutoff.js';
import { BOUND, POLICY, Process, Server, STORE_TIMEOUT, token } from './simulation.js';
import { microtasks, START, useRealTimers, useVirtualTimers, VirtualTime } from './virtual-time.js';

const MINUTE = 60_000;
const ANN = token('ann', 'a1');
const BOB = token('bob', 'b1');

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

/** How a request fares whose store calls all go through. */
async function ask(of = ANN): Promise<string> {
  const answer = here.request(of, time.clock.now());
  await here.settle();
  const outcome = await answer;
  return outcome === 'live' ? 'live' : outcome.code;
}

async function endEverywhere(): Promise<void> {
  const process = new Process(1, server, time);
  const done = process.ledger.endEverywhere({ reason: 'incident', by: 'operator' });
  await process.settle();
  await done;
}

/** How many questions a request sends, which then go through. */
async function questionsOf(of = ANN): Promise<number> {
  const answer = here.request(of, time.clock.now());
  const { length } = here.wire.messages;
  await here.settle();
  await answer;
  return length;
}

const told = (of: string): unknown[] => here.events.filter(({ name }) => name === of).map(({ event }) => event);

describe('how old an answer is', () => {
  test('as old as the feed, while that tells of the cutoff', async () => {
    await here.round();
    await time.advance(BOUND / 2);
    await endEverywhere();
    // Within the bound, and from a store that was not told of it.
    expect(await ask()).toBe('live');
    await time.advance(BOUND / 2);
    expect(await ask()).toBe('live');
    await time.advance(250);
    expect(await ask()).toBe('session_revoked');
  });

  test('where the feed is older than half of the bound the store is asked for the cutoff too, once for all', async () => {
    await here.round();
    await time.advance(BOUND / 2);
    expect(await questionsOf(ANN)).toBe(1);
    await time.advance(250);
    expect(await questionsOf(BOB)).toBe(2);
    await time.advance(BOUND / 2);
    expect(await questionsOf(token('cy', 'c1'))).toBe(1);
    await time.advance(250);
    expect(await questionsOf(token('dan', 'd1'))).toBe(2);
  });

  test('an entry vouches no longer than what was known of the cutoff when it was asked for', async () => {
    await time.advance(BOUND);
    expect(await questionsOf(BOB)).toBe(2);
    await time.advance(BOUND / 2);
    expect(await questionsOf(ANN)).toBe(1);
    await time.advance(BOUND / 2);
    expect(await questionsOf(ANN)).toBe(0);
    await time.advance(250);
    expect(await questionsOf(ANN)).toBe(2);
  });

  test('a question that failed is asked anew, by the next request', async () => {
    const answer = here.request(ANN, time.clock.now());
    here.wire.cut();
    expect(await answer).toMatchObject({ code: 'store_unavailable' });
    expect(await questionsOf(ANN)).toBe(2);
  });
});

test('a session that is on record though the cutoff could not be asked for is told of as begun', async () => {
  const answer = here.request(ANN, time.clock.now());
  // Sent last, and done at the store, announced, and back.
  for (let step = 0; step < 3; step += 1) here.wire.step(1);
  await microtasks();
  here.wire.cut();
  expect(await answer).toMatchObject({ code: 'store_unavailable' });
  expect(told('sessionStarted')).toMatchObject([{ handle: ANN.handle }]);
  expect(await ask()).toBe('live');
  expect(told('sessionStarted')).toHaveLength(1);
});

describe('an answer that was on its way', () => {
  /** Done at the store, announced, and back: of what is on its way the one at this place. */
  async function complete(place: number): Promise<void> {
    for (let step = 0; step < 3; step += 1) here.wire.step(place);
    await microtasks();
  }

  test('an introspection waits for the cutoff too', async () => {
    await endEverywhere();
    const answer = here.ledger.peek(ANN, time.clock.now());
    await Promise.all([
      expect(answer).rejects.toMatchObject({ code: 'session_revoked', reason: 'incident' }),
      complete(1).then(() => here.settle()),
    ]);
  });

  test('lets nobody in whom the feed told of meanwhile, and no session began', async () => {
    await here.round();
    const answer = here.request(ANN, time.clock.now());
    for (let step = 0; step < 2; step += 1) here.wire.step(0);
    await endEverywhere();
    here.feed.round();
    await here.drain('feedWire');
    await here.settle();
    expect(await answer).toMatchObject({ code: 'session_revoked', reason: 'incident' });
    expect(told('sessionStarted')).toEqual([]);
  });

  test('shows nobody whom the feed told of meanwhile, nor lets in by a token refreshed since', async () => {
    const other = new Process(2, server, time);
    const seen = other.request(ANN, time.clock.now());
    await other.settle();
    expect(await seen).toBe('live');
    await here.round();
    const page = here.ledger.list(ANN.user, { limit: 10, cursor: null });
    const refreshed = token('ann', 'a1', { beganAt: time.clock.now() + MINUTE });
    const answer = here.request(refreshed, time.clock.now() + MINUTE);
    for (let step = 0; step < 2; step += 1) for (const place of [0, 1]) here.wire.step(place);
    await endEverywhere();
    here.feed.round();
    await here.drain('feedWire');
    await here.settle();
    expect((await page).sessions).toEqual([]);
    expect(await answer).toMatchObject({ code: 'session_revoked', reason: 'incident' });
  });

  test('is no sign that the store lost data', async () => {
    await here.round();
    expect(await ask()).toBe('live');
    const page = here.ledger.list(ANN.user, { limit: 10, cursor: null });
    for (let step = 0; step < 2; step += 1) here.wire.step(0);
    await endEverywhere();
    here.feed.round();
    await here.drain('feedWire');
    await complete(0);
    expect((await page).sessions).toEqual([]);
    // Nothing is written back.
    expect(here.wire.messages).toEqual([]);
    expect(told('sessionEnded')).toMatchObject([{ handle: ANN.handle, reason: 'incident', here: false }]);
  });
});

describe('the sessions in use', () => {
  test('one that was let go of, but is listened to, is told', async () => {
    here = new Process(0, server, time, { entryLimit: 1 });
    await here.round();
    const asked = Promise.resolve(here.ledger.judge(ANN, { at: time.clock.now(), ip: null, userAgent: null }, false));
    await here.settle();
    const { signal } = await asked;
    expect(await ask(BOB)).toBe('live');
    await endEverywhere();
    await here.round();
    expect(signal.aborted).toBe(true);
    expect(told('sessionEnded')).toHaveLength(2);
  });

  test('one that began later, by a clock that is ahead, goes on', async () => {
    const later = token('ann', 'a2', { beganAt: time.clock.now() + MINUTE });
    await here.round();
    expect(await ask(later)).toBe('live');
    expect(await ask()).toBe('live');
    await endEverywhere();
    await here.round();
    expect(await ask(later)).toBe('live');
    expect(told('sessionEnded')).toMatchObject([{ handle: ANN.handle }]);
  });

  test('one that began with its first sighting is ended', async () => {
    await here.round();
    expect(await ask(token('cy', 'c1', { beganAt: null }))).toBe('live');
    await endEverywhere();
    await here.round();
    expect(told('sessionEnded')).toMatchObject([{ user: { id: 'cy' }, reason: 'incident' }]);
  });
});

test('whether it could be written is told as of any other command', async () => {
  await here.round();
  const inVain = here.ledger.endEverywhere({ reason: 'incident', by: null });
  here.wire.cut();
  await expect(inVain).rejects.toMatchObject({ code: 'store_unavailable' });
  expect([told('storeDown').length, told('storeUp').length]).toEqual([1, 0]);
  const done = here.ledger.endEverywhere({ reason: 'incident', by: null });
  await here.settle();
  await done;
  expect([told('storeDown').length, told('storeUp').length]).toEqual([1, 1]);
});

describe('a session that began with its first sighting, of which a store that does not know the cutoff says that it is live', () => {
  const CY = token('cy', 'c1', { beganAt: null });

  beforeEach(async () => {
    expect(await ask(CY)).toBe('live');
    await endEverywhere();
    here = new Process(2, server, time);
    await here.round();
    await time.advance(MINUTE);
  });

  test('is refused from its first request on', async () => {
    expect(await ask(CY)).toBe('session_revoked');
    expect(await ask(CY)).toBe('session_revoked');
  });

  test('is live if it is first seen afterwards', async () => {
    expect(await ask(token('dan', 'd1', { beganAt: null }))).toBe('live');
  });

  test('is refused without a sighting, too', async () => {
    const answer = here.ledger.peek(CY, time.clock.now());
    await Promise.all([expect(answer).rejects.toMatchObject({ code: 'session_revoked' }), here.settle()]);
  });
});

test('a session that began since and was let in unasked keeps its connection when the cutoff is learnt', async () => {
  here = new Process(0, server, time, { whenStoreDown: 'allow' });
  await here.round();
  await endEverywhere();
  await time.advance(MINUTE);
  const since = token('ann', 'since', { beganAt: time.clock.now() });
  const asked = here.ledger.judge(since, { at: time.clock.now(), ip: null, userAgent: null }, false);
  await time.advance(STORE_TIMEOUT);
  const { signal } = await asked;
  here.wire.cut();
  await microtasks();
  await here.round();
  expect(signal.aborted).toBe(false);
  expect(await ask(since)).toBe('live');
});

test('who acted is told also where an answer told of the ending first', async () => {
  await here.round();
  expect(await ask()).toBe('live');
  const done = here.ledger.endEverywhere({ reason: 'incident', by: 'operator' });
  // Done at the server, and the reply on its way: another process knew of it, and made the session a tombstone.
  for (let step = 0; step < 2; step += 1) here.wire.step(0);
  const ending = endingByCutoff(server.globalCutoff!, ANN.times.expiresAt);
  const tombstones = [{ handle: ANN.handle, ending, until: START + 40 * 86_400_000 }];
  await server.store.restore(ANN.user, { tombstones, cutoff: null, at: time.clock.now(), policy: POLICY });
  const asked = here.request(ANN, time.clock.now(), true);
  const last = here.wire.messages.length - 1;
  for (let step = 0; step < 3; step += 1) here.wire.step(last);
  await microtasks();
  expect(await asked).toMatchObject({ code: 'session_revoked' });
  await here.settle();
  await done;
  await time.advance(2 * BOUND);
  expect(told('sessionEnded')).toMatchObject([{ here: true }]);
});

test('the signal of a session that ended is aborted, whenever it is asked for', async () => {
  await here.round();
  const asked = here.ledger.judge(ANN, { at: time.clock.now(), ip: null, userAgent: null }, false);
  await here.settle();
  const session = await asked;
  await endEverywhere();
  await here.round();
  expect(session.signal.aborted).toBe(true);
});
