import { passOn, refusePromise, wordsOf } from '../../lib/core/hooks.js';

function fail(): never {
  throw new Error('a trap');
}

const unreadable = (name: string): object => Object.defineProperty(new Error('x'), name, { get: fail });

const UNREADABLE: readonly (readonly [string, unknown])[] = [
  ...['name', 'message', 'stack', 'status', 'statusCode', 'headers', 'cause', 'code'].map(
    (name) => [`an error whose ${name} throws`, unreadable(name)] as const,
  ),
  ['an error without toString', Object.assign(new Error('x'), { toString: undefined })],
  ['an error whose toString throws', Object.assign(new Error('x'), { toString: fail })],
  ['an object without a prototype', Object.create(null)],
  ['a proxy without a prototype to show', new Proxy(new Error('x'), { getPrototypeOf: fail })],
  ['a proxy without names to show', new Proxy(new Error('x'), { ownKeys: fail })],
  ['a proxy that was revoked', revoked()],
];

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function passed(failure: unknown): unknown {
  let given: unknown = 'nothing';
  passOn((error) => (given = error), failure);
  return given;
}

test.each(UNREADABLE)('%s reaches the error handler as another error, without it', (_what, failure) => {
  const error = passed(failure) as Error;
  expect(error === failure).toBe(false);
  expect(error).toHaveProperty(
    'message',
    'A function of the application threw, or rejected with, a value that cannot be read',
  );
  expect(error.cause).toBeUndefined();
});

test.each([[undefined], [null], [false], [0], [''], [Number.NaN], [0n], ['route'], ['router']])(
  '%p reaches the error handler as an error, with its cause',
  (failure) => {
    expect(passed(failure)).toBeInstanceOf(Error);
    expect(passed(failure)).toHaveProperty('cause', failure);
  },
);

test.each([[new RangeError('too far')], ['text'], [7], [Symbol('s')], [{ code: 'E' }], [() => undefined]])(
  '%p reaches the error handler as it is',
  (failure) => {
    expect(passed(failure)).toBe(failure);
  },
);

/** Rejections that nobody handles would end the process. */
test('a promise that is refused leaves no unhandled rejection, whatever it is', async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  const refused: readonly unknown[] = [
    Promise.reject(new Error('x')),
    Object.defineProperty(Promise.resolve(), 'constructor', { get: fail }),
    Object.defineProperty({}, 'then', { get: fail }),
    { then: fail },
  ];
  for (const value of refused) expect(() => refusePromise(value, 'a promise')).toThrow(new TypeError('a promise'));
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

test.each<[string, unknown, string]>([
  ['an error', new Error('no database'), 'no database'],
  [
    'an error whose stack throws',
    Object.defineProperty(new Error('no database'), 'stack', { get: fail }),
    'no database',
  ],
  ['a string', 'no database', 'no database'],
  ['undefined', undefined, 'undefined'],
  ['a symbol', Symbol('x'), 'Symbol(x)'],
  ['an object without a prototype', Object.create(null), 'it failed with an object in place of an error'],
  ['a message that is not a string', { message: 7 }, 'it failed with an object in place of an error'],
  [
    'a function that has no words',
    Object.assign(() => 0, { toString: fail }),
    'it failed with a function in place of an error',
  ],
  [
    'a message that throws',
    Object.defineProperty({}, 'message', { get: fail }),
    'it failed with something that cannot be read',
  ],
  ['a proxy that was revoked', revoked(), 'it failed with something that cannot be read'],
])('%s has words', (_what, failure, words) => {
  expect(wordsOf(failure)).toBe(words);
});
