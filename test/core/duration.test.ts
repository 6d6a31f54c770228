import { durationMs } from '../../lib/core/duration.js';

const RANGE = { min: '100ms', max: '1y' } as const;

describe('durationMs', () => {
  it.each([
    [100, 100],
    [1500.4, 1500],
    ['100ms', 100],
    ['60s', 60_000],
    ['15m', 900_000],
    ['15 minutes', 900_000],
    ['1.5h', 5_400_000],
    ['24h', 86_400_000],
    ['1y', 31_557_600_000],
  ])('reads %p as %p ms', (value, expected) => {
    expect(durationMs(value, 'lifetime', RANGE)).toBe(expected);
  });

  it.each([
    [undefined, 'got undefined'],
    [null, 'got null'],
    ['', 'got an empty string'],
    ['soon', "got 'soon'"],
    ['5 parsecs', "got '5 parsecs'"],
    [NaN, 'got NaN ms'],
    [Infinity, 'got Infinity ms'],
    [`${'9'.repeat(99)}y`, 'got a string'],
    ['1'.repeat(1000), 'got a string'],
    [true, 'got a boolean'],
    [{}, 'got an object'],
    [['15m'], 'got a list'],
    [Symbol('15m'), 'got a symbol'],
    [15n, 'got a bigint'],
  ])('refuses %p in a sentence', (value, got) => {
    const refused = expect(() => durationMs(value, 'lifetime', RANGE));
    refused.toThrow(TypeError);
    refused.toThrow(/^lifetime must be .*/);
    refused.toThrow(got);
  });

  it.each([
    ['5ms', "lifetime must be between '100ms' and '1y', got '5ms'"],
    [99, "lifetime must be between '100ms' and '1y', got 99 ms"],
    ['-15m', "lifetime must be between '100ms' and '1y', got '-15m'"],
    ['2y', "lifetime must be between '100ms' and '1y', got '2y'"],
  ])('keeps %p out of the range', (value, message) => {
    expect(() => durationMs(value, 'lifetime', RANGE)).toThrow(new TypeError(message));
  });

  it.each([
    [0, '0 ms'],
    [250, '250 ms'],
    [90_000, "'90s'"],
    [900_000, "'15m'"],
    [3_600_000, "'1h'"],
    [172_800_000, "'2d'"],
    ['36h', "'36h'"],
  ] as const)('shows the limit %p as %s', (min, shown) => {
    expect(() => durationMs(-1, 'lifetime', { min, max: '1y' })).toThrow(`between ${shown} and '1y', got -1 ms`);
  });

  it('takes both ends of the range', () => {
    expect(durationMs('100ms', 'lifetime', RANGE)).toBe(100);
    expect(durationMs('1y', 'lifetime', RANGE)).toBe(31_557_600_000);
  });
});
