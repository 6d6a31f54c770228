/** A Lua script that owns its arguments and its reply: all three are defined in one place. */

import { createHash } from 'node:crypto';

/** Run by Redis as a whole, so each run is atomic. */
export interface Script<In, Out> {
  readonly lua: string;
  readonly sha: string;
  args(input: In): string[];
  /** @throws TypeError if the reply is not what the script returns. */
  decode(reply: unknown): Out;
}

/** A named argument: which part of the input it is, and how Lua reads it. */
export interface Parameter<In> {
  readonly from: (input: In) => string;
  readonly lua: (argument: string) => string;
}

/** In the order in which they are passed to Lua. */
export type ParametersOf<In> = Readonly<Record<string, Parameter<In>>>;

export interface ScriptDefinition<In, Out> {
  readonly parameters: ParametersOf<In>;
  /** Further arguments, in Lua from `ARGV[firstOfRest]` on. */
  readonly rest?: (input: In) => readonly string[];
  readonly lua: string;
  readonly decode: (reply: unknown) => Out;
}

export function number<In>(from: (input: In) => number): Parameter<In> {
  return { from: (input) => digitsOf(from(input)), lua: (argument) => `tonumber(${argument})` };
}

/** @throws RangeError for what Lua would not read back as the same number: a clock may return anything. */
export function digitsOf(value: number): string {
  const whole = Math.trunc(value);
  if (!Number.isSafeInteger(whole)) throw new RangeError(`A script was to be given ${value} as a number`);
  return String(whole);
}

/** Null is nil in Lua. */
export function numberOrNull<In>(from: (input: In) => number | null): Parameter<In> {
  return {
    from(input) {
      const value = from(input);
      return value === null ? '' : digitsOf(value);
    },
    lua: (argument) => `tonumber(${argument})`,
  };
}

/** Null is the empty string in Lua. */
export function string<In>(from: (input: In) => string | null): Parameter<In> {
  return { from: (input) => from(input) ?? '', lua: (argument) => argument };
}

export function flag<In>(from: (input: In) => boolean): Parameter<In> {
  return { from: (input) => (from(input) ? '1' : ''), lua: (argument) => `${argument} == '1'` };
}

/** Several parameters as one argument: each argument costs Redis time, whether the script reads it or not. */
export interface Packed<In> {
  readonly parameter: Parameter<In>;
  /** Lua that declares a local variable for each of them. */
  readonly unpack: (argument: string) => string;
}

/** At most 32: Lua matches no more. No value contains a tab. */
export function packed<In>(parameters: ParametersOf<In>): Packed<In> {
  const all = Object.values(parameters);
  const names = Object.keys(parameters);
  const pattern = all.map(() => '([^\\t]*)').join('\\t');
  const values = all.map(({ lua }, index) => lua(names[index] ?? ''));
  return {
    parameter: string((input) => all.map(({ from }) => from(input)).join('\t')),
    unpack: (argument) => `
local ${names.join(', ')} = string.match(${argument}, '^${pattern}$')
${names.join(', ')} = ${values.join(', ')}
`,
  };
}

/** Makes a script. Its Lua begins with a local variable for each parameter. */
export function script<In, Out>(definition: ScriptDefinition<In, Out>): Script<In, Out> {
  const { parameters, rest, decode } = definition;
  const names = Object.keys(parameters);
  const all = Object.values(parameters);
  const values = all.map(({ lua }, index) => lua(`ARGV[${index + 1}]`));
  const lua = [
    `local ${names.join(', ')} = ${values.join(', ')}`,
    ...(rest === undefined ? [] : [`local firstOfRest = ${all.length + 1}`]),
    definition.lua,
  ].join('\n');
  return {
    lua,
    sha: createHash('sha1').update(lua).digest('hex'),
    args: (input) => [...all.map(({ from }) => from(input)), ...(rest?.(input) ?? [])],
    decode,
  };
}

/** Checks of replies. */
export function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError('Redis answered with something other than a list');
  return value;
}

export function stringOf(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('Redis answered with something other than a string');
  return value;
}

export function formatted<T>(format: { read(text: string): T | undefined }, value: unknown): T {
  const read = format.read(stringOf(value));
  if (read === undefined) throw new TypeError('Redis answered with a string of another format');
  return read;
}

/** The flat list of a reply, in groups. */
export function groupsOf(reply: unknown, size: number): string[][] {
  const flat = listOf(reply).map(stringOf);
  return Array.from({ length: flat.length / size }, (_, index) => flat.slice(index * size, (index + 1) * size));
}
