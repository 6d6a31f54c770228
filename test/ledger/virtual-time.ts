/** Time that passes when a test says so. The timers of the code under test run by it. */

/** When virtual time begins. */
export const START = Date.UTC(2026, 0, 1);

interface Timer {
  at: number;
  /** Null: it runs once. */
  readonly every: number | null;
  readonly run: () => void;
}

/** What `setTimeout` returns, as far as lib/ uses it. */
class Handle {
  readonly timer: Timer;

  constructor(timer: Timer) {
    this.timer = timer;
  }

  unref(): this {
    return this;
  }
}

/** The timers that are set, in the order in which they run. Few at any time. */
let timers: Timer[] = [];
let now = 0;

function add(run: () => void, ms: number, every: number | null): Handle {
  const timer = { at: now + ms, every, run };
  insert(timer);
  return new Handle(timer);
}

/** Behind those of the same moment. */
function insert(timer: Timer): void {
  let index = timers.length;
  while (index > 0 && timers[index - 1]!.at > timer.at) index -= 1;
  timers.splice(index, 0, timer);
}

function clear(handle: unknown): void {
  if (!(handle instanceof Handle)) return;
  const index = timers.indexOf(handle.timer);
  if (index >= 0) timers.splice(index, 1);
}

let readMachineClock = (): number => START + now;

/** What `Date.now()` says: in a simulation, only its server reads it. */
export function setMachineClock(read: () => number): void {
  readMachineClock = read;
}

const virtual = {
  setTimeout: (run: () => void, ms = 0) => add(run, ms, null),
  setInterval: (run: () => void, ms = 0) => add(run, ms, ms),
  setImmediate: (run: () => void) => add(run, 0, null),
  clearTimeout: clear,
  clearInterval: clear,
  clearImmediate: clear,
};
const { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate } = globalThis;
const real = { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate };

const realNow = Date.now;

/** From now on timers are virtual. None is set, and no time has passed. */
export function useVirtualTimers(): void {
  timers = [];
  now = 0;
  setMachineClock(() => START + now);
  Object.assign(globalThis, virtual);
  Date.now = () => readMachineClock();
}

export function useRealTimers(): void {
  timers = [];
  Object.assign(globalThis, real);
  Date.now = realNow;
}

/**
 * Resolves when nothing is left to do until a timer runs or a message arrives: Node runs what is queued by `nextTick` after
 * all promises, however many of them follow from each other.
 */
export function microtasks(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

/** Lets this much time pass. Each timer runs at its moment, and what it causes happens before the next one. */
async function pass(ms: number): Promise<void> {
  const until = now + ms;
  for (let next = timers[0]; next !== undefined && next.at <= until; next = timers[0]) {
    timers.shift();
    now = Math.max(now, next.at);
    if (next.every !== null) {
      next.at = now + next.every;
      insert(next);
    }
    next.run();
    await microtasks();
  }
  now = until;
}

export class VirtualTime {
  readonly clock = { now: (): number => START + now };
  readonly monotonic = (): number => now;

  get elapsed(): number {
    return now;
  }

  async advance(ms: number): Promise<void> {
    await pass(ms);
    await microtasks();
  }
}
