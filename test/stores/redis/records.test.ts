/** The stored format: what is written is read back, by TypeScript and by the Lua that is made from the same lists. */

import fc from 'fast-check';
import { Redis } from 'ioredis';

import { LAST_MOMENT } from '../../../lib/core/policy.js';
import { keptOrNull, keptText, REASON_LIMIT, USER_AGENT_LIMIT } from '../../../lib/core/session.js';
import {
  CUTOFF,
  DIGITS_IN_LUA,
  GLOBAL_CUTOFF,
  INDEXED_MARK,
  MARK,
  ROW,
  TIMES,
  TOMBSTONE,
  type Format,
  type KeptCutoff,
  type KeptTombstone,
} from '../../../lib/stores/redis/records.js';
import type { GlobalCutoff } from '../../../lib/core/cutoff.js';
import type { KeptRow, KeptTimes } from '../../../lib/core/record.js';
import { startRedis, type TestRedis } from '../../support/redis.js';

const moment = fc.integer({ min: -LAST_MOMENT, max: LAST_MOMENT });
/** Whatever clients send, as it is kept. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', '\n', 'l1\n2', 't', '%d', '^(.*)$', '\u0000', '\ud800', '1e400', 'nil', '__proto__', "' .. '"),
);
const kept = hostile.map((text) => keptText(text, REASON_LIMIT));
const keptOrNone = fc.option(hostile).map((text) => keptOrNull(text, USER_AGENT_LIMIT));
const origin = fc.string({
  unit: fc.constantFrom('a', 'z', 'A', 'Z', '0', '9', '-', '_'),
  minLength: 1,
  maxLength: 22,
});

const times: fc.Arbitrary<KeptTimes> = fc.record({
  startedAt: moment,
  lastSeenAt: moment,
  lifetime: fc.option(moment),
  tokensEndAt: moment,
  endsAt: fc.option(moment),
  survivedCutoffAt: moment,
});
const row: fc.Arbitrary<KeptRow> = fc.record({
  ip: keptOrNone,
  userAgent: keptOrNone,
  byProgram: fc.boolean(),
  app: keptOrNone,
  actor: keptOrNone,
  hasNewClient: fc.boolean(),
  label: keptOrNone,
});
const tombstone: fc.Arbitrary<KeptTombstone> = fc.record({
  ending: fc.record({
    cause: fc.constantFrom('revoked' as const, 'expired' as const, 'idle' as const),
    reason: kept,
    by: keptOrNone,
    at: moment,
    expiresAt: fc.option(moment),
    origin: fc.option(origin),
  }),
  until: moment,
});
const cutoff: fc.Arbitrary<KeptCutoff> = fc.record({
  at: moment,
  except: fc.option(fc.string({ unit: fc.constantFrom('a', 'b', '-', '_', '9'), minLength: 22, maxLength: 22 })),
  reason: kept,
  by: keptOrNone,
  origin,
  priorCutoffAt: moment,
  isPriorRestored: fc.boolean(),
  isRestored: fc.boolean(),
  isBackdated: fc.boolean(),
  isPriorBackdated: fc.boolean(),
  isComplete: fc.boolean(),
  erasedAt: moment,
});
const globalCutoff: fc.Arbitrary<GlobalCutoff> = fc.record({
  at: fc.integer({ min: 1, max: LAST_MOMENT }),
  reason: kept,
  by: keptOrNone,
  origin,
});

interface StoredFormat<T> {
  readonly name: string;
  readonly format: Format<T>;
  readonly values: fc.Arbitrary<T>;
}

const format = <T>(name: string, of: Format<T>, values: fc.Arbitrary<T>): StoredFormat<unknown> => ({
  name,
  format: of,
  values,
});

const ROWS: readonly StoredFormat<unknown>[] = [
  format('Row', ROW, row),
  format('Tombstone', TOMBSTONE, tombstone),
  format('Cutoff', CUTOFF, cutoff),
  format('GlobalCutoff', GLOBAL_CUTOFF, globalCutoff),
];

let redis: TestRedis;
let client: Redis;

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
});

afterAll(async () => {
  client.disconnect();
  await redis.stop();
});

describe.each(ROWS)('$name', ({ name, format, values }) => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(values, (value) => expect(format.read(format.write(value))).toEqual(value)),
      { numRuns: 500 },
    );
  });

  test('is read and written by Lua as by TypeScript', async () => {
    const lua = `${DIGITS_IN_LUA}${format.parser}${format.formatter} return format${name}(parse${name}(ARGV[1]))`;
    await fc.assert(
      fc.asyncProperty(values, async (value) => {
        const text = format.write(value);
        expect(await client.eval(lua, 0, text)).toBe(text);
      }),
      { numRuns: 300 },
    );
  });

  test('is nothing else, for Lua and for TypeScript', async () => {
    const lua = `${DIGITS_IN_LUA}${format.parser} return parse${name}(ARGV[1]) and 1 or 0`;
    const parts = fc.array(
      fc.oneof(fc.constantFrom('', '1', '-1', '0x1', ' 1', '1e3', 'r', 'x', '9'.repeat(30)), kept),
      {
        maxLength: 10,
      },
    );
    const texts = fc.tuple(fc.constantFrom('', 'l', 't'), parts).map(([mark, list]) => mark + list.join('\n'));
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        const isRead = format.read(text) !== undefined;
        // Whether it is one that can be in force, both ask besides.
        if (isRead || name !== 'GlobalCutoff') expect(await client.eval(lua, 0, text)).toBe(isRead ? 1 : 0);
        if (isRead) expect(format.read(format.write(format.read(text)))).toEqual(format.read(text));
      }),
      { numRuns: 500 },
    );
  });
});

describe('the times of a session', () => {
  const ofLua = `${TIMES.parser}${TIMES.formatter}
local times = parseTimes(ARGV[1])
return times and formatTimes(times, string.sub(ARGV[1], 1, 1))`;

  test('are read as they were written, by Lua as by TypeScript', async () => {
    await fc.assert(
      fc.asyncProperty(times, fc.constantFrom(MARK, INDEXED_MARK), async (value, mark) => {
        const bytes = TIMES.write(value);
        bytes.write(mark);
        expect(TIMES.read(bytes)).toEqual(value);
        expect(await client.callBuffer('eval', ofLua, '0', bytes)).toEqual(bytes);
      }),
      { numRuns: 300 },
    );
  });

  test('are nothing else', async () => {
    const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array));
    const texts = hostile.map((text) => Buffer.from(`${MARK}${text}`));
    const others = tombstone.map((value) => Buffer.from(TOMBSTONE.write(value).padEnd(TIMES.length, 'x')));
    const marked = (kept: Buffer): boolean => [MARK, INDEXED_MARK].includes(kept.toString('latin1', 0, 1));
    await fc.assert(
      fc.asyncProperty(fc.oneof(bytes, texts, others), async (kept) => {
        fc.pre(kept.length !== TIMES.length || !marked(kept));
        expect(TIMES.read(kept)).toBeUndefined();
        expect(await client.callBuffer('eval', ofLua, '0', kept)).toBeNull();
      }),
      { numRuns: 500 },
    );
  });
});

test('a tombstone takes at most 80 bytes beside its reason and by', () => {
  const longest = { cause: 'revoked', reason: '', by: null, at: LAST_MOMENT, expiresAt: LAST_MOMENT } as const;
  const text = TOMBSTONE.write({ ending: { ...longest, origin: 'a'.repeat(12) }, until: LAST_MOMENT });
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(80);
});

test('a user agent is kept as it was sent', () => {
  const userAgent = 'Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0';
  const [first] = fc.sample(row, 1);
  expect(ROW.write({ ...first!, userAgent })).toContain(`\n${userAgent}\n`);
});
