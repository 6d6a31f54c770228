/** Durations as options take them: milliseconds, or a string with a unit. */

import ms from 'ms';
import { kindOf } from './check.js';

type Unit = 'ms' | 's' | 'm' | 'h' | 'd' | 'w' | 'y' | 'seconds' | 'minutes' | 'hours' | 'days' | 'weeks' | 'years';

/** Milliseconds, or a string such as `'500ms'`, `'15m'`, `'24h'`, `'30 days'` or `'1y'` (365.25 days). */
export type Duration = number | `${number}${Unit}` | `${number} ${Unit}`;

/**
 * An option's duration in whole milliseconds. Throws a `TypeError` that names the option if the value is not a duration,
 * or lies outside the range. Both ends of the range are allowed.
 */
export function durationMs(
  value: unknown,
  optionName: string,
  range: { readonly min: Duration; readonly max: Duration },
): number {
  if (typeof value === 'string' && /^\s*[-+.\d]+\s*$/.test(value)) {
    throw new TypeError(
      `${optionName} must be written with a unit if it is a string, such as '15m' or '500ms', got ${shown(value)}`,
    );
  }
  if (typeof value === 'string' && /\d\s*M\s*$/.test(value)) {
    throw new TypeError(`${optionName} must say '30d' for a month or '1m' for a minute, got ${shown(value)}`);
  }
  const milliseconds = parse(value);
  if (milliseconds === undefined) {
    throw new TypeError(
      `${optionName} must be a duration: milliseconds, or a string such as '15m' or '24h', got ${shown(value)}`,
    );
  }
  if (!(milliseconds >= (parse(range.min) ?? 0) && milliseconds <= (parse(range.max) ?? Infinity))) {
    throw new TypeError(
      `${optionName} must be between ${limit(range.min)} and ${limit(range.max)}, got ${shown(value)}`,
    );
  }
  return Math.round(milliseconds);
}

/** Undefined if it is not a duration. `ms` throws for an empty string and for a very long one. */
function parse(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value !== 'string' || value === '' || value.length > 100) return undefined;
  const milliseconds: unknown = ms(value as ms.StringValue);
  return typeof milliseconds === 'number' && Number.isFinite(milliseconds) ? milliseconds : undefined;
}

/** In the largest unit of which it is a whole number. */
function limit(duration: Duration): string {
  if (typeof duration === 'string') return `'${duration}'`;
  const unit = (['d', 'h', 'm', 's'] as const).find((name) => duration % ms(`1${name}`) === 0);
  return unit === undefined || duration === 0 ? `${duration} ms` : `'${duration / ms(`1${unit}`)}${unit}'`;
}

/** A duration is not secret, but something secret may have been put in its place: long strings are not shown. */
function shown(value: unknown): string {
  if (typeof value === 'number') return `${value} ms`;
  return typeof value === 'string' && value !== '' && value.length <= 20 ? `'${value}'` : kindOf(value);
}
