import { createHmac } from 'node:crypto';
import cookieParser from 'cookie-parser';
import { LoginError } from '../../lib/core/errors.js';
import type { CookieOptions } from '../../lib/http/cookie.js';
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

const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl';

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
    ['two words with a tab between them', authorization('Bearer a.b.c\td'), 'token_malformed'],
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
    ['a quoted cookie', { headers: { cookie: 'login_token="d.e.f"' } }, 'd.e.f'],
    ['a quoted cookie that is empty', { headers: { cookie: 'login_token="" ; a=1' } }, 'nothing'],
    ['half a quote', { headers: { cookie: 'login_token="' } }, '"'],
    ['a quoted cookie as cookie-parser leaves it', { members: { cookies: { login_token: '"d.e.f"' } } }, 'd.e.f'],
    ['one cookie in two notations', { headers: { cookie: 'login_token="d.e.f"; login_token=d%2Ee.f' } }, 'd.e.f'],
    ['several cookies', { headers: { cookie: 'login_token=; login_token=1; x=2; login_token="3"' } }, '1 | 3'],
    [
      'several cookies, of which cookie-parser knows the first',
      { headers: { cookie: 'login_token=1; login_token=2' }, members: { cookies: { login_token: '1' } } },
      '1 | 2',
    ],
    [
      'an empty one of which cookie-parser knows',
      { headers: { cookie: 'login_token=; login_token=2' }, members: { cookies: { login_token: '' } } },
      '2',
    ],
    [
      'what a middleware made of the only one',
      { headers: { cookie: 'login_token=encrypted' }, members: { cookies: { login_token: 'd.e.f' } } },
      'd.e.f',
    ],
    [
      'a signed cookie before a planted one',
      {
        headers: { cookie: 'login_token=s:d.e.f.sig; login_token=planted' },
        members: { signedCookies: { login_token: 'd.e.f' }, cookies: {} },
      },
      'd.e.f',
    ],
    [
      'a signed cookie that is planted before another',
      {
        headers: { cookie: 'login_token=s%3Ad.e.f.sig; login_token=planted; login_token=s:1.2.3.sig' },
        members: { signedCookies: { login_token: 'd.e.f' }, cookies: {} },
      },
      'd.e.f | 1.2.3',
    ],
    ['five', { headers: { cookie: [1, 2, 3, 4, 5].map((n) => `login_token=${n}`).join('; ') } }, '1 | 2 | 3 | 4 | 5'],
    ['six', { headers: { cookie: [1, 2, 3, 4, 5, 6].map((n) => `login_token=${n}`).join('; ') } }, '1 | 2 | 3 | 4 | 5'],
    [
      'a signed cookie and four others, one of which may hide a sixth',
      {
        headers: { cookie: 'login_token=s:d.e.f.sig; login_token=1; login_token=2; login_token=3; login_token=4' },
        members: { signedCookies: { login_token: 'd.e.f' }, cookies: {} },
      },
      's:d.e.f.sig | 1 | 2 | 3 | 4',
    ],
    ['a __Host- cookie', { headers: { cookie: 'login_token=planted; __Host-login_token=d.e.f' } }, 'd.e.f'],
    [
      'an empty __Host- cookie',
      { headers: { cookie: '__Host-login_token=; login_token=d.e.f; __Host-login_token=""' } },
      'd.e.f',
    ],
    [
      'a name that only looks like __Host-',
      {
        headers: {
          cookie: '\u00a0__Host-login_token=1; \u0085__Host-login_token=1; $__Host-login_token=1; login_token=2',
        },
      },
      '2',
    ],
    [
      'the same, as an older cookie-parser takes it',
      {
        headers: { cookie: '\u00a0__Host-login_token=1; login_token=2' },
        members: { cookies: { '__Host-login_token': '1', login_token: '2' } },
      },
      '2',
    ],
    [
      'the same, before ours',
      {
        headers: { cookie: '\u00a0__Host-login_token=1; __Host-login_token=2' },
        members: { cookies: { '__Host-login_token': '1' } },
      },
      '2',
    ],
    ['the __Host- name in lower case', { headers: { cookie: '__host-login_token=1; login_token=2' } }, '2'],
    ['a name within a value', { headers: { cookie: 'a=login_token=1; b=__Host-login_token=2' } }, 'nothing'],
    ['a bare token', authorization(JWT), 'token_malformed'],
    ['a bare token and a good cookie', { headers: { ...both.headers, authorization: JWT } }, 'token_malformed'],
    ['a bare token between spaces', authorization(`  ${JWT} `), 'token_malformed'],
    ['another scheme with a token', authorization(`JWT ${JWT}`), 'nothing'],
    ['a key of something else with two dots', authorization('sk.live.abc'), 'nothing'],
    [
      'a header that a mock made a list',
      { members: { headers: { authorization: ['Bearer a.b.c'] } } },
      'token_malformed',
    ],
    ['no raw headers', { ...authorization('Bearer a.b.c'), members: { rawHeaders: undefined } }, 'a.b.c'],
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
    ['a string', 'a.b.c', 'a.b.c'],
    ['an empty string', '', 'nothing'],
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

  const token = { header: 'X-Auth-Token' } as const;
  const jwt = { header: 'authorization', scheme: 'JWT' } as const;
  const headers = (sent: Record<string, string>): Sent => ({ headers: sent });

  test.each<[string, TokenSourceOption, Sent, string]>([
    ["only 'bearer'", 'bearer', both, 'a.b.c'],
    ["'bearer' reads no cookie", 'bearer', headers({ cookie: 'login_token=d.e.f' }), 'nothing'],
    ['a header', token, headers({ 'x-auth-token': 'g.h.i' }), 'g.h.i'],
    ['a header replaces both', token, both, 'nothing'],
    ['a bare token in it is the token', token, headers({ 'x-auth-token': JWT }), JWT],
    ['an empty one', token, headers({ 'x-auth-token': '' }), 'nothing'],
    ['one of spaces', token, headers({ 'x-auth-token': '  ' }), 'token_malformed'],
    ['two words', token, headers({ 'x-auth-token': 'Bearer g.h.i' }), 'token_malformed'],
    ['two, as Node joins them', token, headers({ 'x-auth-token': 'a.b.c, d.e.f' }), 'token_malformed'],
    [
      'two, joined without a space',
      token,
      { headers: { 'x-auth-token': 'a.b.c' }, raw: ['X-Auth-Token', 'a.b.c', 'x-auth-token', 'd.e.f'] },
      'token_malformed',
    ],
    ['a scheme', jwt, authorization('JWT a.b.c'), 'a.b.c'],
    ['a scheme in any case', jwt, authorization('jwt\ta.b.c'), 'a.b.c'],
    ['a scheme alone', jwt, authorization('JWT'), 'token_malformed'],
    ['another scheme', jwt, authorization('Bearer a.b.c'), 'nothing'],
    ['a longer scheme', jwt, authorization('JWTs a.b.c'), 'nothing'],
    ['no scheme', jwt, authorization(JWT), 'token_malformed'],
    ['two schemes: the first', ['bearer', jwt], authorization('Bearer a.b.c'), 'a.b.c'],
    ['two schemes: the second', ['bearer', jwt], authorization('JWT a.b.c'), 'a.b.c'],
    ['a scheme, or the whole header', ['bearer', { header: 'Authorization' }], authorization(JWT), JWT],
    ['a list without bearer', [{ cookie: 'a' }], { headers: { authorization: JWT, cookie: 'a=d.e.f' } }, 'd.e.f'],
    ['the order of a list', [{ cookie: 'login_token' }, 'bearer'], both, 'd.e.f'],
    [
      'a bad one before a good one',
      [token, 'bearer'],
      headers({ 'x-auth-token': 'a b', authorization: 'Bearer a.b.c' }),
      'token_malformed',
    ],
    ['two cookies: the first', [{ cookie: 'a' }, { cookie: 'b' }], headers({ cookie: 'b=2; a=1' }), '1'],
    ['two cookies: the second', [{ cookie: 'a' }, { cookie: 'b' }], headers({ cookie: 'b=2; a=' }), '2'],
    ['a function that finds nothing', [() => '', 'bearer'], both, 'a.b.c'],
    ['a function that finds it', [() => 'x.y.z', 'bearer'], both, 'x.y.z'],
    ['a function that finds something else', [(() => 7) as never, 'bearer'], both, 'token_malformed'],
    ['a header that every object has', { header: 'constructor' }, {}, 'nothing'],
    ['the prototype', { header: '__proto__' }, {}, 'nothing'],
  ])('%s', (_name, from, sent, expected) => {
    expect(read(from, sent)).toBe(expected);
  });

  test('tells where the token was, and whether the client sent the header', () => {
    const source = createTokenSource(['bearer', token, { cookie: 'login_token' }, () => 'x.y.z']);
    const of = (sent: Sent): unknown => {
      const found = source.read(request(sent));
      return [found?.from, found?.isHeaderSent];
    };
    expect(of(both)).toEqual(['header', true]);
    expect(of(headers({ 'x-auth-token': 'g.h.i' }))).toEqual(['header', true]);
    expect(of({ headers: { 'x-auth-token': 'g.h.i' }, raw: ['Cookie', 'x'] })).toEqual(['header', false]);
    expect(of({ headers: { 'x-auth-token': 'g.h.i' }, raw: ['X-Auth-Token', 'x'] })).toEqual(['header', false]);
    expect(of({ headers: { 'x-auth-token': 'g.h.i' }, raw: [] })).toEqual(['header', true]);
    expect(of(headers({ cookie: 'login_token=d.e.f' }))).toEqual(['cookie', false]);
    expect(of({})).toEqual(['function', false]);
  });

  test('all: what every source contains, without what is malformed', () => {
    const source = createTokenSource(['bearer', token, { cookie: 'login_token' }, () => 'x.y.z']);
    const all = (sent: Sent): unknown => source.all(request(sent)).map(({ text, others }) => [text, ...others]);
    expect(all({ headers: { ...both.headers, 'x-auth-token': 'a b' } })).toEqual([['a.b.c'], ['d.e.f'], ['x.y.z']]);
    expect(all({ headers: { authorization: JWT, cookie: 'login_token=1; login_token=2' } })).toEqual([
      ['1', '2'],
      ['x.y.z'],
    ]);
    const failing = createTokenSource(() => {
      throw new Error('of the application');
    });
    expect(() => failing.all(request({}))).toThrow('of the application');
    expect(() => source.all({ ...request({}), headers: undefined } as never)).toThrow('The request must have headers');
  });

  test.each<[string, CookieOptions, string]>([
    ['a domain', { domain: 'example.com' }, '2'],
    ['another path', { path: '/shop' }, '2'],
    ['secure: false', { secure: false }, '2'],
    ['secure: true', { secure: true }, '1'],
    ['partitioned', { partitioned: true }, '1'],
  ])('a __Host- cookie beside a plain one, with %s', (_name, options, expected) => {
    const source = createTokenSource({ cookie: 'a' }, options);
    expect(source.read(request(headers({ cookie: '__Host-a=1; a=2' })))?.text).toBe(expected);
  });

  test.each(['$a*b+c.d^e|f', '__Host-login', "!#%&'`~-"])('the cookie name %s', (cookie) => {
    expect(read({ cookie }, { headers: { cookie: `a=1; ${cookie}=d.e.f` } })).toBe('d.e.f');
    expect(read({ cookie }, { headers: { cookie: `x${cookie}=d.e.f` } })).toBe('nothing');
  });

  test('what cookie-parser itself leaves on a request', () => {
    const signed = (value: string, secret = 'ours'): string =>
      `s:${value}.${createHmac('sha256', secret).update(value).digest('base64').replace(/=+$/, '')}`;
    const parsed = (cookie: string): string | undefined => {
      const req = request({ headers: { cookie } });
      Reflect.apply(cookieParser('ours'), undefined, [req, {}, () => undefined]);
      try {
        return createTokenSource().read(req)?.text;
      } catch (error) {
        return error instanceof LoginError ? error.code : String(error);
      }
    };
    const encoded = (value: string): string => encodeURIComponent(signed(value));
    expect(parsed('login_token=d.e.f')).toBe('d.e.f');
    expect(parsed('login_token="d.e.f"')).toBe('d.e.f');
    expect(parsed(`login_token=${encoded('d.e.f')}`)).toBe('d.e.f');
    expect(parsed(`__Host-login_token=${encoded('d.e.f')}; login_token=planted`)).toBe('d.e.f');
    expect(parsed(`login_token=${encodeURIComponent(signed('d.e.f', 'theirs'))}`)).toBe('token_malformed');
    expect(parsed('login_token=j:{"a":1}')).toBe('token_malformed');
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
    [['bearer', 'bearer']],
    [{ header: 'cookie' }],
  ])('from: %j is refused at construction', (from) => {
    expect(() => createTokenSource(from as TokenSourceOption)).toThrow(TypeError);
  });
});
