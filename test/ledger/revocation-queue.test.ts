/** Many revocations at once: which are begun, which wait, and which are refused. */

import { AT_ONCE, RevocationQueue, WAITING_LIMIT } from '../../lib/ledger/revocation-queue.js';

const STORE_TIMEOUT = 1000;
const REFUSED = { code: 'store_unavailable', status: 503 };

let now: number;
let queue: RevocationQueue;
let begun: Call[];

/** A revocation that the store has not answered yet. */
interface Call {
  readonly index: number;
  answer(): void;
  fail(): void;
}

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'performance', 'setImmediate'] });
  now = 0;
  begun = [];
  queue = new RevocationQueue({ storeTimeout: STORE_TIMEOUT, monotonic: () => now });
});
afterEach(() => {
  jest.useRealTimers();
});

/** What became of each, as far as it is known. */
function ask(count: number, from = 0): ('done' | 'failed' | 'refused' | undefined)[] {
  const outcomes = Array.from<'done' | 'failed' | 'refused' | undefined>({ length: count });
  for (let at = 0; at < count; at += 1) {
    const act = (): Promise<void> =>
      new Promise((resolve, reject) => {
        begun.push({ index: from + at, answer: resolve, fail: () => reject(new Error('The store failed')) });
      });
    queue.run(act).then(
      () => (outcomes[at] = 'done'),
      (error: unknown) => {
        const isRefused = error instanceof Error && 'code' in error;
        if (isRefused) expect(error).toMatchObject(REFUSED);
        outcomes[at] = isRefused ? 'refused' : 'failed';
      },
    );
  }
  return outcomes;
}

const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const counted = (outcomes: readonly unknown[], value: unknown): number =>
  Array.from(outcomes).filter((outcome) => outcome === value).length;

test('a single one is begun at once', () => {
  ask(1);
  expect(begun).toHaveLength(1);
});

test('a burst of 500 is done, in order, and never with more than a few in progress', async () => {
  const outcomes = ask(500);
  for (let answered = 0; answered < 500; answered += 1) {
    expect(begun.length - answered).toBeLessThanOrEqual(AT_ONCE);
    begun[answered]?.answer();
    await settled();
  }
  expect(counted(outcomes, 'done')).toBe(500);
  expect(begun.map(({ index }) => index)).toEqual(Array.from({ length: 500 }, (_, index) => index));
});

test('what waits is limited: the rest is refused at once, before any timeout', async () => {
  const outcomes = ask(AT_ONCE + WAITING_LIMIT + 2000);
  await settled();
  expect(begun).toHaveLength(AT_ONCE);
  expect(counted(outcomes, 'refused')).toBe(2000);
  expect(outcomes.indexOf('refused')).toBe(AT_ONCE + WAITING_LIMIT);
});

test('as long as the turn of the oldest is late, others are refused at once', async () => {
  ask(AT_ONCE + 1);
  now = STORE_TIMEOUT / 4;
  const inTime = ask(1);
  now += 1;
  const late = ask(10);
  await settled();
  expect(inTime).toEqual([undefined]);
  expect(counted(late, 'refused')).toBe(10);
  begun[0]?.answer();
  begun[1]?.answer();
  await settled();
  expect(begun).toHaveLength(AT_ONCE + 2);
  const after = ask(1);
  begun[2]?.answer();
  await settled();
  expect(after).toEqual([undefined]);
  expect(begun).toHaveLength(AT_ONCE + 3);
});

test('what was refused while it waited is never begun, and then all is as before', async () => {
  const first = ask(AT_ONCE);
  const waiting = ask(100, AT_ONCE);
  jest.advanceTimersByTime(STORE_TIMEOUT);
  await settled();
  expect(counted(waiting, 'refused')).toBe(100);
  for (const call of begun) call.answer();
  await settled();
  expect(counted(first, 'done')).toBe(AT_ONCE);
  expect(begun).toHaveLength(AT_ONCE);
  const after = ask(AT_ONCE, 1000);
  expect(begun.slice(AT_ONCE).map(({ index }) => index)).toEqual(Array.from({ length: AT_ONCE }, (_, at) => 1000 + at));
  for (const call of begun) call.answer();
  await settled();
  expect(counted(after, 'done')).toBe(AT_ONCE);
});

test('one that fails passes its turn on', async () => {
  const outcomes = ask(2 * AT_ONCE);
  for (const call of [...begun]) call.fail();
  await settled();
  expect(begun).toHaveLength(2 * AT_ONCE);
  for (const call of begun) call.answer();
  await settled();
  expect([counted(outcomes, 'failed'), counted(outcomes, 'done')]).toEqual([AT_ONCE, AT_ONCE]);
});

test('a request that is to end a session is refused where a revocation would be', () => {
  ask(AT_ONCE + 1);
  expect(() => queue.refuseIfFull()).not.toThrow();
  now = STORE_TIMEOUT / 4 + 1;
  expect(() => queue.refuseIfFull()).toThrow(expect.objectContaining(REFUSED));
});
