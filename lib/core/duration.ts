/** Lengths of time as options take them: milliseconds, or a text with a unit. */

import ms from 'ms';

type Unit = 'ms' | 's' | 'm' | 'h' | 'd' | 'w' | 'y' | 'seconds' | 'minutes' | 'hours' | 'days' | 'weeks' | 'years';

/** Milliseconds, or a text such as `'500ms'`, `'15m'`, `'24h'`, `'30 days'` or `'1y'` (365.25 days). */
export type Duration = number | `${number}${Unit}` | `${number} ${Unit}`;

/**
 * An option's duration in whole milliseconds. Throws a `TypeError` that names the option where the value is no
 * duration or is outside the range, both ends of which are allowed.
 */
export function durationMs(
  value: unknown,
  optionName: string,
  range: { readonly min: Duration; readonly max: Duration },
): number {
  if (typeof value === 'string' && /^\s*[-+.\d]+\s*$/.test(value)) {
    throw new TypeError(
      `${optionName} must be written with a unit where it is a text, such as '15m' or '500ms', got ${shown(value)}`,
    );
  }
  const milliseconds = parse(value);
  if (milliseconds === undefined) {
    throw new TypeError(
      `${optionName} must be a duration: milliseconds, or a text such as '15m' or '24h', got ${shown(value)}`,
    );
  }
  if (!(milliseconds >= (parse(range.min) ?? 0) && milliseconds <= (parse(range.max) ?? Infinity))) {
    throw new TypeError(
      `${optionName} must be between ${limit(range.min)} and ${limit(range.max)}, got ${shown(value)}`,
    );
  }
  return Math.round(milliseconds);
}

/** Undefined for what is no duration. `ms` throws for an empty or very long text. */
function parse(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value !== 'string' || value === '' || value.length > 100) return undefined;
  const milliseconds: unknown = ms(value as ms.StringValue);
  return typeof milliseconds === 'number' && Number.isFinite(milliseconds) ? milliseconds : undefined;
}

/** In the largest unit that it is a whole number of. */
function limit(duration: Duration): string {
  if (typeof duration === 'string') return `'${duration}'`;
  const unit = (['d', 'h', 'm', 's'] as const).find((name) => duration % ms(`1${name}`) === 0);
  return unit === undefined || duration === 0 ? `${duration} ms` : `'${duration / ms(`1${unit}`)}${unit}'`;
}

/** A duration is no secret, but what stands in its place by mistake may be: long texts are not shown. */
function shown(value: unknown): string {
  if (typeof value === 'number') return `${value} ms`;
  if (typeof value === 'string' && value.length <= 20) return `'${value}'`;
  if (value === null) return 'null';
  if (typeof value === 'string') return 'a text';
  return typeof value === 'undefined' ? 'undefined' : `a value of type ${typeof value}`;
}
