import { wordsOf } from '../../lib/core/hooks.js';

function fail(): never {
  throw new Error('a getter that throws');
}

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

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
