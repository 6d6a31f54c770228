/** A Lua script that owns its arguments and its reply: all three are defined in one place. */

import { createHash } from 'node:crypto';

/** Run by Redis as a whole, so each run is atomic. */
export interface Script<In, Out> {
  readonly lua: string;
  readonly sha: string;
  /** The strings of the reply must come as buffers. */
  readonly repliesInBytes: boolean;
  args(input: In): (string | Buffer)[];
  /** @throws TypeError if the reply is not what the script returns. */
  decode(reply: unknown): Out;
}

/** A named argument: which part of the input it is, and how Lua makes a value of what it is passed as. */
export type Parameter<In> =
  | { readonly type: 'number'; readonly from: (input: In) => number; readonly lua?: (name: string) => string }
  | { readonly type: 'string'; readonly from: (input: In) => string };

export type ParametersOf<In> = Readonly<Record<string, Parameter<In>>>;

export interface ScriptDefinition<In, Out> {
  readonly parameters: ParametersOf<In>;
  /** Further arguments, in Lua from `ARGV[firstOfRest]` on. */
  readonly rest?: (input: In) => readonly (string | Buffer)[];
  readonly lua: string;
  readonly repliesInBytes?: boolean;
  readonly decode: (reply: unknown) => Out;
}

/** Null where there can only be a number: Lua has it as `NONE`. */
export const NONE = -Infinity;
export const NONE_IN_LUA = '-math.huge';

/** @throws RangeError for what Lua would not read back as the same number: a clock may return anything. */
export function whole(value: number): number {
  const integer = Math.trunc(value);
  if (!Number.isSafeInteger(integer)) throw new RangeError(`A script was to be given ${value} as a number`);
  return integer;
}

export function number<In>(from: (input: In) => number): Parameter<In> {
  return { type: 'number', from: (input) => whole(from(input)) };
}

/** Null is nil in Lua. */
export function numberOrNull<In>(from: (input: In) => number | null): Parameter<In> {
  return {
    type: 'number',
    from: (input) => wholeOrNone(from(input)),
    lua: (name) => `${name} ~= ${NONE_IN_LUA} and ${name} or nil`,
  };
}

/** Null stays NONE in Lua. */
export function numberOrNone<In>(from: (input: In) => number | null): Parameter<In> {
  return { type: 'number', from: (input) => wholeOrNone(from(input)) };
}

function wholeOrNone(value: number | null): number {
  return value === null ? NONE : whole(value);
}

/** Null is the empty string in Lua. */
export function string<In>(from: (input: In) => string | null): Parameter<In> {
  return { type: 'string', from: (input) => from(input) ?? '' };
}

export function flag<In>(from: (input: In) => boolean): Parameter<In> {
  return { type: 'number', from: (input) => (from(input) ? 1 : 0), lua: (name) => `${name} == 1` };
}

/**
 * Makes a script. Its Lua begins with a local variable for each parameter. All numbers are passed in one argument, as
 * doubles: to make a Lua string of each argument, and a number of the string, takes more of Redis's time than most scripts do.
 */
export function script<In, Out>(definition: ScriptDefinition<In, Out>): Script<In, Out> {
  const { parameters, rest, decode, repliesInBytes = false } = definition;
  const all = Object.entries(parameters);
  const numbers = all.flatMap(([name, parameter]) => (parameter.type === 'number' ? [{ name, ...parameter }] : []));
  const strings = all.flatMap(([name, parameter]) => (parameter.type === 'string' ? [{ name, ...parameter }] : []));
  const names = numbers.map(({ name }) => name).join(', ');
  const argument = (index: number): string => `ARGV[${index + 2}]`;
  const lua = [
    ...(numbers.length === 0 ? [] : [`local ${names} = ${unpackInLua(numbers.length, 'ARGV[1]')}`]),
    ...numbers.flatMap(({ name, lua }) => (lua === undefined ? [] : [`${name} = ${lua(name)}`])),
    ...strings.map(({ name }, index) => `local ${name} = ${argument(index)}`),
    ...(rest === undefined ? [] : [`local firstOfRest = ${strings.length + 2}`]),
    definition.lua,
  ].join('\n');
  return {
    lua,
    sha: createHash('sha1').update(lua).digest('hex'),
    repliesInBytes,
    args: (input) => [
      doubles(numbers.map(({ from }) => from(input))),
      ...strings.map(({ from }) => from(input)),
      ...(rest?.(input) ?? []),
    ],
    decode,
  };
}

/** Numbers as bytes: big-endian doubles, after a mark of one byte if there is one. Lua reads them by `struct.unpack`. */
export function doubles(values: readonly number[], mark = ''): Buffer {
  const bytes = Buffer.alloc(mark.length + 8 * values.length, mark);
  for (const [index, value] of values.entries()) bytes.writeDoubleBE(value, mark.length + 8 * index);
  return bytes;
}

/** `from`: the position of the first, counted from 1 as Lua does. */
export function unpackInLua(count: number, argument: string, from = 1): string {
  return `struct.unpack('>${'d'.repeat(count)}', ${argument}${from === 1 ? '' : `, ${from}`})`;
}

/** Checks of replies. */
export function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError('Redis answered with something other than a list');
  return value;
}

export function stringOf(value: unknown): string {
  if (Buffer.isBuffer(value)) return value.toString();
  if (typeof value !== 'string') throw new TypeError('Redis answered with something other than a string');
  return value;
}

export function formatted<T>(format: { read(text: unknown): T | undefined }, value: unknown): T {
  const read = format.read(value);
  if (read === undefined) throw new TypeError('Redis answered with a string of another format');
  return read;
}

/** The flat list of a reply, in groups. */
export function groupsOf(reply: unknown, size: number): string[][] {
  const flat = listOf(reply).map(stringOf);
  return Array.from({ length: flat.length / size }, (_, index) => flat.slice(index * size, (index + 1) * size));
}
