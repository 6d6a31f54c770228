/**
 * What Redis holds, described as data: the fields of each kind of value, in order. Both the TypeScript and the Lua that write
 * and read these values are made from these lists.
 *
 * The times of a session are doubles, one after the other: every sighting reads and writes them. All else is text, with
 * parts divided by line feeds, which no kept value contains. An empty part stands for null.
 */

import type { GlobalCutoff, StandingCutoff } from '../../core/cutoff.js';
import { LAST_MOMENT } from '../../core/policy.js';
import type { KeptRow, KeptTimes } from '../../core/record.js';
import type { Ending } from '../../core/session.js';
import type { StaleTokens } from '../../core/stale.js';
import type { Tombstone } from '../store.js';
import { doubles, NONE, NONE_IN_LUA, unpackInLua } from './script.js';

/** Writes one part of a string, and reads it. `read` returns undefined if the part is not of this kind. */
interface Kind<T> {
  write(value: T): string;
  read(part: string): T | undefined;
  /** The Lua pattern of the part, and Lua expressions that read and write it. */
  readonly lua: { readonly pattern: string; read(part: string): string; write(value: string): string };
}

/** One kind for each property: a list that lacks one does not compile. */
export type FieldsOf<T> = { readonly [Name in keyof T]-?: Kind<T[Name]> };

export interface Format<T, Kept extends string | Buffer = string> {
  write(value: T): Kept;
  /** Undefined if the value is not of this format. */
  read(kept: unknown): T | undefined;
  /** Lua that defines `parse<Name>(text)`, which returns a table or nil. */
  readonly parser: string;
  /** Lua that defines `format<Name>(table)`. */
  readonly formatter: string;
}

/** The longest origin, in characters. */
export const ORIGIN_LIMIT = 22;

const whole = (value: number): string => String(Math.trunc(value));

const NUMBER: Kind<number> = {
  write: whole,
  read: (part) => (/^-?\d+$/.test(part) ? Number(part) : undefined),
  lua: { pattern: '(%-?%d+)', read: (part) => `tonumber(${part})`, write: (value) => `digits(${value})` },
};

const NUMBER_OR_NULL: Kind<number | null> = {
  write: (value) => (value === null ? '' : whole(value)),
  read: (part) => (part === '' ? null : NUMBER.read(part)),
  lua: { ...NUMBER.lua, pattern: '(%-?%d*)' },
};

const STRING: Kind<string> = {
  write: (value) => value,
  read: (part) => part,
  lua: { pattern: '([^\\n]*)', read: (part) => part, write: (value) => value },
};

/** In Lua the empty string. */
const STRING_OR_NULL: Kind<string | null> = {
  write: (value) => value ?? '',
  read: (part) => (part === '' ? null : part),
  lua: STRING.lua,
};

const FLAG: Kind<boolean> = {
  write: (value) => (value ? '1' : ''),
  read: (part) => (part === '' || part === '1' ? part === '1' : undefined),
  lua: { pattern: '(1?)', read: (part) => `${part} == '1'`, write: (value) => `${value} and '1' or ''` },
};

const CAUSES: Readonly<Record<Ending['cause'], string>> = { revoked: 'r', expired: 'e', idle: 'i' };
const CAUSE_OF = new Map(Object.keys(CAUSES).flatMap((cause) => (isCause(cause) ? [[CAUSES[cause], cause]] : [])));

export function isCause(value: unknown): value is Ending['cause'] {
  return typeof value === 'string' && Object.hasOwn(CAUSES, value);
}

/** In Lua the letter; {@link CAUSES_IN_LUA} has them by name. */
const CAUSE: Kind<Ending['cause']> = {
  write: (value) => CAUSES[value],
  read: (part) => CAUSE_OF.get(part),
  lua: { ...STRING.lua, pattern: `([${Object.values(CAUSES).join('')}])` },
};

/** Defines `CAUSES`, the letters by name. */
export const CAUSES_IN_LUA = `local CAUSES = { ${Object.entries(CAUSES)
  .map(([cause, letter]) => `${cause} = '${letter}'`)
  .join(', ')} }`;

/** Defines `digits(number)`, which writes all 16 digits; Lua's own conversion keeps only 14. The empty string for nil. */
export const DIGITS_IN_LUA = `
local function digits(number)
  return number and string.format('%.0f', number) or ''
end
`;

/** Numbers, of which those marked by `true` may be null. */
export type NumbersOf<T> = { readonly [Name in keyof T]-?: null extends T[Name] ? true : false };

/** In the order that common-sighting.ts relies on. */
const TIMES_FIELDS: NumbersOf<KeptTimes> = {
  lastSeenAt: false,
  startedAt: false,
  tokensEndAt: false,
  survivedCutoffAt: false,
  lifetime: true,
  endsAt: true,
};

/** In the order that common-sighting.ts relies on. */
const ROW_FIELDS: FieldsOf<KeptRow> = {
  byProgram: FLAG,
  ip: STRING_OR_NULL,
  userAgent: STRING_OR_NULL,
  app: STRING_OR_NULL,
  actor: STRING_OR_NULL,
  hasNewClient: FLAG,
  label: STRING_OR_NULL,
};

/** A tombstone without its handle, which is the name of its field in the hash. */
export type KeptTombstone = Omit<Tombstone, 'handle'>;

interface FlatTombstone extends Ending {
  /** `until`, which is a keyword of Lua. */
  readonly keptUntil: number;
}

const TOMBSTONE_FIELDS: FieldsOf<FlatTombstone> = {
  cause: CAUSE,
  at: NUMBER,
  keptUntil: NUMBER,
  expiresAt: NUMBER_OR_NULL,
  by: STRING_OR_NULL,
  reason: STRING,
  origin: STRING_OR_NULL,
};

export interface KeptCutoff extends StandingCutoff {
  /** Every session on record that it ends has its tombstone. */
  readonly isComplete: boolean;
}

/** In the order that common-sighting.ts relies on. */
const CUTOFF_FIELDS: FieldsOf<KeptCutoff> = {
  at: NUMBER,
  except: STRING_OR_NULL,
  priorCutoffAt: NUMBER,
  isRestored: FLAG,
  isPriorRestored: FLAG,
  isBackdated: FLAG,
  isPriorBackdated: FLAG,
  isComplete: FLAG,
  erasedAt: NUMBER,
  by: STRING_OR_NULL,
  reason: STRING,
  origin: STRING,
};

interface FlatStale extends Omit<StaleTokens, 'until'> {
  /** `until`, which is a keyword of Lua. */
  readonly keptUntil: number;
}

/** In the order that common-sighting.ts relies on. */
const STALE_FIELDS: FieldsOf<FlatStale> = {
  at: NUMBER,
  keptUntil: NUMBER,
  by: STRING_OR_NULL,
  reason: STRING,
};

const GLOBAL_CUTOFF_FIELDS: FieldsOf<GlobalCutoff> = {
  at: NUMBER,
  origin: STRING,
  by: STRING_OR_NULL,
  reason: STRING,
};

/** Makes a format of text. Every text of it begins with `mark`. */
function formatOf<T extends object>(name: string, mark: string, fields: FieldsOf<T>): Format<T> {
  // Object.keys and Object.fromEntries forget the names, which FieldsOf has checked.
  const names = Object.keys(fields) as (keyof T & string)[];
  const each = (write: (field: keyof T & string) => string): string => names.map(write).join(', ');
  return {
    write: (value) => mark + names.map((field) => fields[field].write(value[field])).join('\n'),
    read(kept) {
      const text = typeof kept === 'string' || Buffer.isBuffer(kept) ? kept.toString() : '';
      const parts = text.slice(mark.length).split('\n');
      if (!text.startsWith(mark) || parts.length !== names.length) return undefined;
      const values = names.map((field, index) => fields[field].read(parts[index] ?? ''));
      if (values.includes(undefined)) return undefined;
      return Object.fromEntries(names.map((field, index) => [field, values[index]])) as T;
    },
    parser: `
local function parse${name}(text)
  local ${names.join(', ')} = string.match(text, '^${mark}${names.map((field) => fields[field].lua.pattern).join('\\n')}$')
  if not ${names[0]} then return nil end
  return { ${each((field) => `${field} = ${fields[field].lua.read(field)}`)} }
end
`,
    formatter: `
local function format${name}(value)
  return '${mark}' .. table.concat({ ${each((field) => fields[field].lua.write(`value.${field}`))} }, '\\n')
end
`,
  };
}

/** What the times of a session begin with; where there is an index, the other. */
export const MARK = 'l';
export const INDEXED_MARK = 'L';

/** A format of numbers, which are kept as doubles after a mark. */
interface NumberFormat<T> extends Format<T, Buffer> {
  /** In bytes. */
  readonly length: number;
  /** Lua where a table would take too long: names of variables, and how to read and write them. Null is NONE in them. */
  readonly locals: string;
  readonly fromText: (text: string) => string;
  readonly toText: (mark: string) => string;
}

function numbersOf<T extends object>(name: string, fields: NumbersOf<T>): NumberFormat<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  const length = 1 + 8 * names.length;
  const each = (write: (field: keyof T & string) => string): string => names.map(write).join(', ');
  const inLua = `'>c1${'d'.repeat(names.length)}'`;
  return {
    length,
    locals: names.join(', '),
    fromText: (text) => unpackInLua(names.length, text, 2),
    toText: (mark) => `struct.pack(${inLua}, ${mark}, ${names.join(', ')})`,
    write: (value) =>
      doubles(
        names.map((field) => Math.trunc((value[field] as number | null) ?? NONE)),
        MARK,
      ),
    read(kept) {
      if (!Buffer.isBuffer(kept) || kept.length !== length) return undefined;
      const values = names.map((field, index) => {
        const value = kept.readDoubleBE(1 + 8 * index);
        return value === NONE && fields[field] ? null : value;
      });
      const isRead = isMark(kept[0]) && values.every((value) => value === null || Number.isFinite(value));
      return isRead ? (Object.fromEntries(names.map((field, index) => [field, values[index]])) as T) : undefined;
    },
    parser: `
local function parse${name}(text)
  local mark = string.sub(text, 1, 1)
  if #text ~= ${length} or mark ~= '${MARK}' and mark ~= '${INDEXED_MARK}' then return nil end
  local ${names.join(', ')} = ${unpackInLua(names.length, 'text', 2)}
  return { ${each((field) => `${field} = ${fields[field] ? `${field} ~= ${NONE_IN_LUA} and ${field} or nil` : field}`)} }
end
`,
    formatter: `
local function format${name}(value, mark)
  return struct.pack(${inLua}, mark, ${each((field) => `value.${field}${fields[field] ? ` or ${NONE_IN_LUA}` : ''}`)})
end
`,
  };
}

function isMark(byte: number | undefined): boolean {
  return byte === MARK.charCodeAt(0) || byte === INDEXED_MARK.charCodeAt(0);
}

export const TIMES = numbersOf<KeptTimes>('Times', TIMES_FIELDS);
export const ROW = formatOf('Row', '', ROW_FIELDS);
const FLAT_TOMBSTONE = formatOf('Tombstone', 't', TOMBSTONE_FIELDS);
export const CUTOFF = formatOf('Cutoff', '', CUTOFF_FIELDS);
const FLAT_STALE = formatOf('Stale', '', STALE_FIELDS);
const ANY_GLOBAL_CUTOFF = formatOf('GlobalCutoff', '', GLOBAL_CUTOFF_FIELDS);

export const TOMBSTONE: Format<KeptTombstone> = {
  ...FLAT_TOMBSTONE,
  write: ({ ending, until }) => FLAT_TOMBSTONE.write({ ...ending, keptUntil: until }),
  read(kept) {
    const flat = FLAT_TOMBSTONE.read(kept);
    if (flat === undefined) return undefined;
    const { keptUntil, ...ending } = flat;
    return { ending, until: keptUntil };
  },
};

export const STALE: Format<StaleTokens> = {
  ...FLAT_STALE,
  write: ({ until, ...rest }) => FLAT_STALE.write({ ...rest, keptUntil: until }),
  read(kept) {
    const flat = FLAT_STALE.read(kept);
    if (flat === undefined) return undefined;
    const { keptUntil, ...rest } = flat;
    return { ...rest, until: keptUntil };
  },
};

export const GLOBAL_CUTOFF: Format<GlobalCutoff> = {
  ...ANY_GLOBAL_CUTOFF,
  read(kept) {
    const cutoff = ANY_GLOBAL_CUTOFF.read(kept);
    return cutoff !== undefined && cutoff.at > 0 && cutoff.at <= LAST_MOMENT ? cutoff : undefined;
  },
};
