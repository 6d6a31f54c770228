import { createSecretKey } from 'node:crypto';
import { aliasMeant } from '../../lib/core/advice.js';
import {
  aBoolean,
  aNumber,
  aString,
  checkNames,
  checkOptions,
  hint,
  kindOf,
  required,
  shownName,
  type OptionKinds,
} from '../../lib/core/check.js';

interface Options {
  readonly limit?: number;
  readonly label?: string;
  readonly isFresh?: boolean;
}

const KINDS: OptionKinds<Options> = { limit: aNumber, label: aString, isFresh: aBoolean };

test('a table that lacks an option does not compile', () => {
  // @ts-expect-error -- isFresh is missing
  const kinds: OptionKinds<Options> = { limit: aNumber, label: aString };
  expect(Object.keys(kinds)).toHaveLength(2);
});

test('returns the options, and takes undefined for absent', () => {
  const options = { limit: 1, label: undefined };
  expect(checkOptions<Options>(options, 'list()', KINDS)).toBe(options);
  expect(checkOptions<Options>(Object.create(null), 'list()', KINDS)).toEqual({});
});

test.each<[unknown, string]>([
  [undefined, 'list() takes an object of options, got undefined'],
  [null, 'list() takes an object of options, got null'],
  [[], 'list() takes an object of options, got an empty list'],
  [() => undefined, 'list() takes an object of options, got a function'],
  [{ limt: 1 }, 'list() has no option "limt": did you mean limit?'],
  [{ colour: 1 }, 'list() has no option "colour": use one of limit, label, isFresh'],
  [JSON.parse('{"__proto__":1}'), 'list() has no option "__proto__": use one of limit, label, isFresh'],
  [{ constructor: 1 }, 'list() has no option "constructor": use one of limit, label, isFresh'],
  [{ limit: '1' }, 'list(): limit must be a number, got a string'],
  [{ limit: null }, 'list(): limit must be a number, got null'],
  [{ isFresh: 'yes' }, 'list(): isFresh must be true or false, got a string'],
])('%j is refused', (options, message) => {
  expect(() => checkOptions<Options>(options, 'list()', KINDS)).toThrow(new TypeError(message));
});

test('names a nested option by its path, and a required one if it is missing', () => {
  const check = (value: unknown) => checkOptions<{ name: string }>(value, 'cookie', { name: required(aString) });
  expect(() => check({ name: 7 })).toThrow(new TypeError('cookie.name must be a string, got a number'));
  expect(() => check({})).toThrow(new TypeError('cookie.name must be a string, got undefined'));
  expect(() => check(7)).toThrow(new TypeError('cookie must be an object of options, got a number'));
});

test.each([
  ['Limit', 'limit'],
  ['limits', 'limit'],
  ['limt', 'limit'],
  ['limti', 'limit'],
  ['lable', 'label'],
])('%s is probably %s', (typed, meant) => {
  expect(hint(typed, ['limit', 'label', 'issuer'])).toBe(`did you mean ${meant}?`);
});

test.each([
  ['clockSkew', ['limit', 'clockTolerance'], 'clockTolerance'],
  ['jwks_uri', ['jwksUri', 'issuer'], 'jwksUri'],
  ['ISS', ['jwksUri', 'issuer'], 'issuer'],
  ['key', ['publicKey'], 'publicKey'],
  ['key', ['prefix'], 'prefix'],
  ['timeout', ['idleTimeout', 'storeTimeout'], 'storeTimeout'],
])('%s, beside %j, is what is called %s here', (typed, names, meant) => {
  expect(hint(typed, names)).toBe(`did you mean ${meant}?`);
  const advice = { [typed.toLowerCase()]: 'leave it out' };
  expect(() => checkNames({ [typed]: 1 }, 'list()', names, { advice })).toThrow(/: leave it out$/);
  expect(aliasMeant(typed, ['limit'])).toBeUndefined();
});

test.each(['constructor', '__proto__', 'tostring', ''])('%j is not a name from elsewhere', (typed) => {
  expect(aliasMeant(typed, ['limit', 'name', 'constructor'])).toBeUndefined();
});

test.each(['colour', 'li', '', 'x'.repeat(5000), 'l'.repeat(41)])('%.10s is not guessed', (typed) => {
  expect(hint(typed, ['limit', 'label'])).toBe('use one of limit, label');
});

test('a name that may be a token is not shown', () => {
  const token = `${'a'.repeat(40)}.${'b'.repeat(40)}.${'c'.repeat(40)}`;
  expect(shownName('maxAge')).toBe('"maxAge"');
  expect(() => checkNames({ [token]: 1 }, 'verify()', ['ip'])).toThrow(
    new TypeError('verify() has no option of that name: use one of ip'),
  );
});

test.each<[unknown, string]>([
  [undefined, 'undefined'],
  [null, 'null'],
  ['', 'an empty string'],
  ['secret', 'a string'],
  [7, 'a number'],
  [1.5, 'a number that is not an integer'],
  [NaN, 'NaN'],
  [Infinity, 'Infinity'],
  [true, 'a boolean'],
  [7n, 'a bigint'],
  [Symbol('secret'), 'a symbol'],
  [[], 'an empty list'],
  [['secret'], 'a list'],
  [{ secret: 1 }, 'an object'],
  [() => 'secret', 'a function'],
  [Promise.resolve('secret'), 'a promise'],
  [Buffer.from('secret'), 'a Buffer'],
  [createSecretKey(Buffer.from('secret')), 'a secret KeyObject'],
])('kindOf(%p) is %s', (value, kind) => {
  expect(kindOf(value)).toBe(kind);
});
