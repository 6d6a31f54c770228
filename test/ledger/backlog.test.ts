/** How much is done in one turn of the event loop, by a clock that shows a millisecond more each time it is read. */

import { AT_LEAST, Backlog } from '../../lib/ledger/backlog.js';

let backlog: Backlog;
let done: number[];

beforeEach(() => {
  let now = 0;
  backlog = new Backlog(() => (now += 1));
  done = [];
});

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const numbers = (count: number, from = 0): number[] => Array.from({ length: count }, (_, index) => from + index);
const note = (item: number): void => void done.push(item);

/** How much each turn does, until nothing is left. */
async function turns(of: () => number = () => done.length): Promise<number[]> {
  const each: number[] = [of()];
  for (let before = of(); ; before = of()) {
    await turn();
    if (of() === before) return each;
    each.push(of() - before);
  }
}

test('little work is done at once', () => {
  void backlog.work(numbers(10), note);
  backlog.soon(() => note(10));
  expect(done).toEqual(numbers(11));
});

test('much work takes a slice of each turn, in order', async () => {
  void backlog.work(numbers(1000), note);
  const each = await turns();
  expect(done).toEqual(numbers(1000));
  expect(Math.max(...each)).toBeLessThanOrEqual(AT_LEAST + 4);
});

test('two jobs together take no more of a turn than one, one after the other', async () => {
  void backlog.work(numbers(200), note);
  void backlog.work(numbers(200, 200), note);
  backlog.soon(() => note(400));
  const each = await turns();
  expect(done).toEqual(numbers(401));
  expect(Math.max(...each)).toBeLessThanOrEqual(AT_LEAST + 4);
});

test('many small jobs share a slice', async () => {
  for (const item of numbers(500)) backlog.soon(() => note(item));
  const each = await turns();
  expect(done).toEqual(numbers(500));
  expect(Math.max(...each)).toBeLessThanOrEqual(AT_LEAST + 4);
});

test('what an item causes belongs to it', async () => {
  const caused: number[] = [];
  void backlog.work(numbers(100), (item) => {
    note(item);
    backlog.soon(() => caused.push(item));
    expect(caused).toEqual(done);
  });
  await turns();
  expect(caused).toEqual(numbers(100));
});

test('an item that throws does not stop the rest, and the promise tells', async () => {
  const worked = backlog.work(numbers(100), (item) => {
    if (item % 10 === 3) throw new Error(`item ${String(item)}`);
    note(item);
  });
  await expect(worked).rejects.toThrow('item 3');
  expect(done).toHaveLength(90);
});

test('done() resolves when nothing is left', async () => {
  await backlog.done();
  void backlog.work(numbers(100), note);
  await backlog.done();
  expect(done).toHaveLength(100);
  await backlog.done();
});
