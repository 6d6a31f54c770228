import { LoginError } from '../../lib/core/errors.js';
import { createTokenSource } from '../../lib/http/token-source.js';
import type { TokenSourceOption } from '../../lib/http/token-source-option.js';
import { request, type Sent } from './sent.js';

function read(from: TokenSourceOption | undefined, sent: Sent): string | undefined {
  try {
    const token = createTokenSource(from).read(request(sent));
    return token === undefined ? 'nothing' : [token.text, ...token.others].join(' | ');
  } catch (error) {
    return error instanceof LoginError ? error.code : String(error);
  }
}

describe('token sources', () => {
  const authorization = (value: string): Sent => ({ headers: { authorization: value } });
  const twice = (first: string, second: string): Sent => ({
    headers: { authorization: first },
    raw: ['Host', 'x', 'Authorization', first, 'aUTHORIZATION', second],
  });
  const both = { headers: { authorization: 'Bearer a.b.c', cookie: 'login_token=d.e.f' } };

  test.each<[string, Sent, string]>([
    ['a bearer token', authorization('Bearer a.b.c'), 'a.b.c'],
    ['the scheme in any case', authorization('bEARER a.b.c'), 'a.b.c'],
    ['several spaces', authorization('Bearer   a.b.c'), 'a.b.c'],
    ['a tab', authorization('Bearer\ta.b.c'), 'a.b.c'],
    ['Bearer alone', authorization('Bearer'), 'token_malformed'],
    ['Bearer and a space', authorization('Bearer '), 'token_malformed'],
    ['two words', authorization('Bearer a.b.c d'), 'token_malformed'],
    ['two, as a proxy joins them', authorization('Bearer a.b.c, Bearer d.e.f'), 'token_malformed'],
    ['two headers', twice('Bearer a.b.c', 'Bearer d.e.f'), 'token_malformed'],
    ['two headers, the same', twice('Bearer a.b.c', 'Bearer a.b.c'), 'token_malformed'],
    ['two headers, the first of another scheme', twice('Basic YTpi', 'Bearer a.b.c'), 'token_malformed'],
    ['Basic', authorization('Basic YTpi'), 'nothing'],
    ['a longer word', authorization('Bearers a.b.c'), 'nothing'],
    ['an empty header', authorization(''), 'nothing'],
    ['a header and a cookie', both, 'a.b.c'],
    ['a bad header and a cookie', { headers: { ...both.headers, authorization: 'Bearer' } }, 'token_malformed'],
    ['Basic and a cookie', { headers: { ...both.headers, authorization: 'Basic YTpi' } }, 'd.e.f'],
    ['a cookie', { headers: { cookie: 'a=1; login_token=d.e.f; b=2' } }, 'd.e.f'],
    ['a cookie twice', { headers: { cookie: 'login_token=d.e.f; login_token=g.h.i' } }, 'd.e.f | g.h.i'],
    ['a cookie with an escape that is none', { headers: { cookie: 'login_token=%zz' } }, '%zz'],
    [
      'a cookie among others that look like it',
      { headers: { cookie: 'login_tokens=1; x=login_token=2;login_token = d.e.f ;b' } },
      'd.e.f',
    ],
    ['an empty cookie, then another', { headers: { cookie: 'login_token=; login_token=d.e.f' } }, 'd.e.f'],
    ['an escaped cookie', { headers: { cookie: 'login_token=d%2Ee.f' } }, 'd.e.f'],
    ['an empty cookie', { headers: { cookie: 'login_token=' } }, 'nothing'],
    ['a cookie of a longer name', { headers: { cookie: 'xlogin_token=d.e.f' } }, 'nothing'],
    ['a header of rubbish', { headers: { cookie: ';;=;login_token' } }, 'nothing'],
    ['a token in the query', { members: { url: '/?login_token=a.b.c', query: { login_token: 'a.b.c' } } }, 'nothing'],
    ['a parsed cookie', { members: { cookies: { login_token: 'd.e.f' } } }, 'd.e.f'],
    ['a signed cookie', { members: { signedCookies: { login_token: 'd.e.f' }, cookies: {} } }, 'd.e.f'],
    [
      'a signed cookie with a wrong signature',
      { members: { signedCookies: { login_token: false } } },
      'token_malformed',
    ],
    ['a JSON cookie', { members: { cookies: { login_token: { a: 1 } } } }, 'token_malformed'],
    ['cookies that are none', { members: { cookies: 'login_token', signedCookies: null } }, 'nothing'],
  ])('%s', (_name, sent, expected) => {
    expect(read(undefined, sent)).toBe(expected);
  });

  test.each<[string, unknown, string]>([
    ['a text', 'a.b.c', 'a.b.c'],
    ['an empty text', '', 'nothing'],
    ['undefined', undefined, 'nothing'],
    ['null', null, 'nothing'],
    ['a list, as ?token=a&token=b gives', ['a', 'b'], 'token_malformed'],
    ['a number', 7, 'token_malformed'],
    ['false', false, 'token_malformed'],
    ['an object', { toString: () => 'a.b.c' }, 'token_malformed'],
    ['a promise', Promise.resolve('a.b.c'), 'TypeError: from must return the string itself, not a promise of it'],
    [
      'a rejection',
      Promise.reject(new Error('late')),
      'TypeError: from must return the string itself, not a promise of it',
    ],
  ])('a function that returns %s', (_name, returned, expected) => {
    const from = (() => returned) as () => string;
    expect(read(from, { headers: { authorization: 'Bearer not.this.one' } })).toBe(expected);
  });

  test.each(['$a*b+c.d^e|f', '__Host-login', "!#%&'`~-"])('the cookie name %s', (cookie) => {
    expect(read({ cookie }, { headers: { cookie: `a=1; ${cookie}=d.e.f` } })).toBe('d.e.f');
    expect(read({ cookie }, { headers: { cookie: `x${cookie}=d.e.f` } })).toBe('nothing');
  });

  test('a name of the prototype is no cookie', () => {
    expect(read({ cookie: 'constructor' }, { members: { cookies: {}, signedCookies: {} } })).toBe('nothing');
    expect(read({ cookie: '__proto__' }, { headers: { cookie: 'a=__proto__' } })).toBe('nothing');
    expect(read({ cookie: '__proto__' }, { headers: { cookie: '__proto__=d.e.f' } })).toBe('d.e.f');
  });

  test.each([
    [null],
    [{}],
    [{ cookie: '' }],
    [{ cookie: 'a b' }],
    [{ cookie: 'a=b' }],
    [{ cookie: 'ä' }],
    ['login_token'],
    [7],
  ])('from: %j is refused at construction', (from) => {
    expect(() => createTokenSource(from as TokenSourceOption)).toThrow(TypeError);
  });
});
