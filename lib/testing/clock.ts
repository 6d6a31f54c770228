import { durationMs, type Duration } from '../core/duration.js';

/** A clock for the option `clock` that stands still until it is moved. */
export interface TestClock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Moves it on, by milliseconds or a text such as `'15m'`; up to a hundred years. */
  advance(duration: Duration): void;
  /** Puts it to a moment, back too. */
  set(moment: Date | number): void;
}

/** Begins at `start`, by default now: tokens and a Redis server of the same moment agree with it. */
export function createTestClock(start: Date | number = Date.now()): TestClock {
  let time = Number(start);
  return {
    now: () => time,
    advance: (duration) => {
      time += durationMs(duration, 'duration', { min: 0, max: '100y' });
    },
    set: (moment) => {
      time = Number(moment);
    },
  };
}
