/** Which commands are sent, wait, and are refused, by how many answers came. Time passes when a test says so. */

import { CommandQueue, PATIENCE } from '../../../lib/stores/redis/command-queue.js';
import { StoreBusy } from '../../../lib/stores/store.js';

const TIMEOUT = 1000;

let now: number;
let queue: CommandQueue;
let refused: Map<number, { readonly at: number; readonly error: Error }>;
let sent: number[];

beforeEach(() => {
  now = 0;
  queue = new CommandQueue({ timeout: TIMEOUT, now: () => now });
  refused = new Map();
  sent = [];
});

function add(count: number, from = 0, isEnding = false): void {
  for (let index = from; index < from + count; index += 1) {
    queue.add({ send: () => sent.push(index), refuse: (error) => refused.set(index, { at: now, error }) }, isEnding);
  }
}

/** Redis answers one after the other, and each answer makes room for the next command. */
function answer(count: number, took: number): void {
  for (let answered = 0; answered < count && queue.size > 0; answered += 1) {
    queue.take()?.send();
    now += took;
    queue.noteAnswer();
  }
}

test.each([
  [10_000, 0.999],
  [10_000, 0.1],
  [900, 11],
  [99, 100],
])('%d at once that take %d ms each are all sent, in order', (count, took) => {
  add(count);
  answer(Infinity, took);
  expect(refused.size).toBe(0);
  expect(sent).toEqual(Array.from({ length: count }, (_, index) => index));
});

test('of 20,000 that take 1 ms each, the half that cannot be answered in time is refused once the rate is known', () => {
  add(20_000);
  answer(Infinity, 1);
  expect(sent).toEqual(Array.from({ length: sent.length }, (_, index) => index));
  expect(Math.abs(sent.length - PATIENCE * TIMEOUT)).toBeLessThanOrEqual(1);
  for (const { at, error } of refused.values()) {
    expect(error).toBeInstanceOf(StoreBusy);
    expect(error).toMatchObject({ code: 'store_unavailable', status: 503 });
    expect(at).toBe(TIMEOUT);
  }
});

test('once the queue is as long as it may be, whatever comes is refused at once', () => {
  add(20_000);
  answer(1500, 1);
  const [before, room] = [refused.size, PATIENCE * TIMEOUT - queue.size];
  add(room + 100, 20_000);
  expect(refused.size).toBe(before + 100);
  expect(refused.get(20_000 + room - 1)).toBeUndefined();
  expect(refused.get(20_000 + room)?.at).toBe(now);
});

test('a pause refuses nothing that there is time for afterwards', () => {
  add(5000);
  answer(1000, 1);
  now += 0.9 * TIMEOUT;
  answer(Infinity, 1);
  expect(refused.size).toBe(0);
});

test('when Redis becomes slower, what that makes too late is refused, from the end', () => {
  add(9000);
  answer(1000, 1);
  answer(300, 10);
  expect(refused.size).toBeGreaterThan(0);
  expect(Math.min(...refused.keys())).toBe(9000 - refused.size);
});

test('endings go first, and are never refused for their number', () => {
  add(20_000);
  add(50, 30_000, true);
  answer(2000, 1);
  expect(sent.slice(0, 50)).toEqual(Array.from({ length: 50 }, (_, index) => 30_000 + index));
  add(50, 40_000, true);
  expect([...refused.keys()].filter((index) => index >= 30_000)).toEqual([]);
});

test('what happened in an earlier storm does not count', () => {
  add(500);
  answer(Infinity, 10);
  add(5000, 1000);
  expect(refused.size).toBe(0);
});

test('when Redis is silent, all that waits is refused', () => {
  add(100);
  add(100, 100, true);
  const error = new Error('silent');
  queue.refuseAll(error);
  expect(refused.size).toBe(200);
  expect(queue.size).toBe(0);
  expect(sent).toEqual([]);
});
