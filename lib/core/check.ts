/** Checks option objects: unknown names, and the kind of each value. No message ever contains a value. */

import { KeyObject } from 'node:crypto';
import { aliasMeant, type Advice } from './advice.js';

/** What an option accepts: a predicate, and the same in words that follow "must be". */
export interface Kind {
  readonly accepts: (value: unknown) => boolean;
  readonly words: string;
  /** Whether `undefined` is refused as well. Default false. */
  readonly isRequired?: boolean;
  /** For an option that protects: what to do if it is there, and `undefined`. Without this text, that is the default. */
  readonly ifUndefined?: string;
}

/** A kind for every option, so that the compiler refuses a table that lacks one. */
export type OptionKinds<Options> = Readonly<Record<keyof Options, Kind>>;

/** For an option that has a check of its own. */
export const anything: Kind = { accepts: () => true, words: 'anything' };
export const aString: Kind = { accepts: (value) => typeof value === 'string', words: 'a string' };
export const aFilledString: Kind = {
  accepts: (value) => typeof value === 'string' && value !== '',
  words: 'a non-empty string',
};
export const filledStrings: Kind = {
  accepts: (value) => {
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    return list.length > 0 && list.every(aFilledString.accepts);
  },
  words: 'a non-empty string or a list of them',
};
export const stringOrNull: Kind = {
  accepts: (value) => value === null || typeof value === 'string',
  words: 'a string or null',
};
export const aNumber: Kind = { accepts: (value) => typeof value === 'number', words: 'a number' };
export const aBoolean: Kind = { accepts: (value) => typeof value === 'boolean', words: 'true or false' };

/** With a method `now()`, and perhaps `elapsed()`. */
export const aClock: Kind = {
  accepts: (value) =>
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    'now' in value &&
    tellsTime(value, value.now) &&
    (!('elapsed' in value) || value.elapsed === undefined || tellsTime(value, value.elapsed)),
  words: 'an object with a method now() that returns milliseconds since 1970, as a number',
};

function tellsTime(clock: object, method: unknown): boolean {
  return typeof method === 'function' && Number.isFinite(Reflect.apply(method, clock, []));
}

export function aFunction(does: string): Kind {
  return { accepts: (value) => typeof value === 'function', words: `a function ${does}` };
}

export function oneOf(...values: readonly string[]): Kind {
  const words = `one of ${values.map((value) => `'${value}'`).join(', ')}`;
  return { accepts: (value) => values.some((known) => known === value), words };
}

/** An unset environment variable must not switch a protection off: `undefined` is refused, and `advice` says what to do. */
export function neverUndefined(kind: Kind, advice: string): Kind {
  return { ...kind, ifUndefined: advice };
}

export function required(kind: Kind): Kind {
  return { ...kind, isRequired: true };
}

/**
 * Checks an object of options and returns it. `owner` names it in messages: a call such as `router()`, or the path of an
 * option such as `cookie`. `prefix` comes before the name of an option. `advice` is for names that are not options.
 *
 * Throws a `TypeError` for anything that is not an object, an unknown name, and a value of the wrong kind.
 */
export function checkOptions<Options>(
  value: unknown,
  owner: string,
  kinds: OptionKinds<Options>,
  { prefix = prefixOf(owner), advice = {} }: { readonly prefix?: string; readonly advice?: Advice } = {},
): Readonly<Partial<Record<keyof Options, unknown>>> {
  if (!isPlain(value)) {
    const takes = owner.endsWith(')') ? 'takes an object of options' : 'must be an object of options';
    throw new TypeError(`${owner} ${takes}, got ${kindOf(value)}`);
  }
  checkNames(value, owner, Object.keys(kinds), { advice });
  for (const [name, kind] of Object.entries<Kind>(kinds)) {
    const path = `${prefix}${name}`;
    if (kind.ifUndefined !== undefined && value[name] === undefined && Object.hasOwn(value, name)) {
      throw new TypeError(`${path} is given as undefined: ${kind.ifUndefined}`);
    }
    checkKind(value[name], path, kind);
  }
  return value as Partial<Record<keyof Options, unknown>>;
}

function prefixOf(owner: string): string {
  return owner.endsWith(')') ? `${owner}: ` : `${owner}.`;
}

/** Throws a `TypeError` for a value of another kind. `undefined` passes, unless the kind is required. */
export function checkKind(value: unknown, path: string, { accepts, words, isRequired = false }: Kind): void {
  if (value === undefined ? isRequired : !accepts(value)) {
    throw new TypeError(`${path} must be ${words}, got ${kindOf(value)}`);
  }
}

/** Throws a `TypeError` for an object with a name that is not one of `names`. */
export function checkNames(
  value: object,
  owner: string,
  names: readonly string[],
  { what = 'option', advice = {} }: { readonly what?: string; readonly advice?: Advice } = {},
): void {
  const unknown = Object.keys(value).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  const lower = unknown.toLowerCase();
  const advised = Object.hasOwn(advice, lower) ? advice[lower] : hint(unknown, names);
  throw new TypeError(`${owner} has no ${what} ${shownName(unknown)}: ${String(advised)}`);
}

/** What was probably meant, or else every name that there is. */
export function hint(typed: string, names: readonly string[]): string {
  const meant = meantBy(typed, names);
  if (names.length === 0) return 'there are none';
  return meant === undefined ? `use one of ${names.join(', ')}` : `did you mean ${meant}?`;
}

/** A name, unless it may be something else that was put in its place. */
export function shownName(name: string): string {
  return /^[\w$.-]{1,40}$/.test(name) ? `"${name}"` : 'of that name';
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An object whose members are what it holds: not a `Map`, whose entries would not be seen, and not a promise. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  return isObject(value) && !(Symbol.iterator in value) && typeof value['then'] !== 'function';
}

/** Throws a `TypeError` for a string that was made with a variable that is not set: `https://${undefined}.example.com/`. */
export function refuseUnset(value: unknown, path: string): void {
  if (typeof value === 'string' && /\bundefined\b/.test(value)) {
    throw new TypeError(`${path} contains the word undefined: set the variable that it is made from`);
  }
}

/** What a value is, in words that reveal nothing of it. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (value === '') return 'an empty string';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (value instanceof KeyObject) return `a ${value.type} KeyObject`;
  if (value instanceof Promise) return 'a promise';
  if (value instanceof Uint8Array) return 'a Buffer';
  if (typeof value === 'number' && !Number.isInteger(value)) {
    return Number.isFinite(value) ? 'a number that is not an integer' : String(value);
  }
  if (typeof value === 'undefined') return 'undefined';
  if (typeof value !== 'object') return `a ${typeof value}`;
  return BUILT_IN[Object.prototype.toString.call(value)] ?? 'an object';
}

/** Of any realm. */
const BUILT_IN: Readonly<Record<string, string>> = {
  '[object Promise]': 'a promise',
  '[object Map]': 'a Map',
  '[object Set]': 'a Set',
  '[object URL]': 'a URL',
  '[object RegExp]': 'a regular expression',
  '[object Date]': 'a Date',
};

function meantBy(typed: string, names: readonly string[]): string | undefined {
  const alias = aliasMeant(typed, names);
  const lower = typed.toLowerCase();
  if (alias !== undefined || lower.length > 40) return alias;
  const near = names.map((name) => ({ name, distance: editDistance(lower, name.toLowerCase()) }));
  const [best] = near.sort((a, b) => a.distance - b.distance);
  return best !== undefined && best.distance <= Math.min(2, lower.length / 2) ? best.name : undefined;
}

/** How many letters must be added, removed or replaced (Levenshtein). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...from].entries()) {
    const next = [index + 1];
    for (let column = 1; column <= to.length; column += 1) {
      const replaced = (row[column - 1] ?? 0) + (to[column - 1] === letter ? 0 : 1);
      next.push(Math.min(replaced, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
