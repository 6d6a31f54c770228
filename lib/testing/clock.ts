import { kindOf } from '../core/check.js';
import { durationMs, type Duration } from '../core/duration.js';
import { elapsedClock } from '../core/elapsed.js';
import { warnInProduction } from './production.js';

/** For the option `clock`: a clock that stands still until it is moved. */
export interface TestClock {
  /** Milliseconds since 1970. Stands still until it is moved. */
  now(): number;
  /**
   * Milliseconds, by which is measured how old that is which is known: how long the store has been away. Goes on by itself,
   * as real time does, and jumps with each move forward.
   */
  elapsed(): number;
  /** Moves it forward, by milliseconds or a string such as `'15m'`, up to a hundred years. */
  advance(duration: Duration): void;
  /** Sets it to a time, which may be in the past. */
  set(moment: Date | number): void;
}

/** Begins at `start`. Default now, so that it agrees with the clock of a Redis server. */
export function createTestClock(start: Date | number = Date.now()): TestClock {
  warnInProduction('createTestClock()');
  const elapsed = elapsedClock(Date, performance);
  let time = momentOf(start, 'createTestClock(): start');
  let skipped = 0;
  function moveTo(moment: number): void {
    skipped += Math.max(0, moment - time);
    time = moment;
  }
  return {
    now: () => time,
    elapsed: () => elapsed() + skipped,
    advance: (duration) => moveTo(time + durationMs(duration, 'advance(): duration', { min: 0, max: '100y' })),
    set: (moment) => moveTo(momentOf(moment, 'set(): moment')),
  };
}

function momentOf(moment: unknown, name: string): number {
  const time = moment instanceof Date ? moment.getTime() : moment;
  if (typeof time === 'number' && Number.isFinite(time)) return time;
  throw new TypeError(`${name} must be a valid Date, or milliseconds since 1970, got ${kindOf(moment)}`);
}
