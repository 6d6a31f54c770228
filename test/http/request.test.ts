import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { LoginError } from '../../lib/core/errors.js';
import {
  compileTrust,
  createClientAddress,
  createOriginCheck,
  createTokenSource,
  prefersHtml,
  RequestSighting,
  type AppRequest,
  type RecordIp,
  type TokenSourceOption,
  type TrustProxy,
} from '../../lib/http/request.js';

interface Sent {
  readonly headers?: Readonly<Record<string, string>>;
  readonly raw?: readonly string[];
  readonly address?: string;
  readonly members?: object;
}

function request({ headers = {}, raw, address, members = {} }: Sent): AppRequest {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: address });
  const req = new IncomingMessage(socket);
  Object.assign(req.headers, headers);
  req.rawHeaders = [...(raw ?? Object.entries(headers).flat())];
  return Object.assign(req, members);
}

function read(from: TokenSourceOption | undefined, sent: Sent): string | undefined {
  try {
    return createTokenSource(from).read(request(sent)) ?? 'nothing';
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
    ['a cookie twice', { headers: { cookie: 'login_token=d.e.f; login_token=g.h.i' } }, 'd.e.f'],
    ['a cookie with an escape that is none', { headers: { cookie: 'login_token=%zz' } }, '%zz'],
    [
      'a cookie among others that look like it',
      { headers: { cookie: 'login_tokens=1; x=login_token=2;login_token = d.e.f ;b' } },
      'd.e.f',
    ],
    ['an empty cookie, then another', { headers: { cookie: 'login_token=; login_token=d.e.f' } }, 'nothing'],
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
    ['a promise', Promise.resolve('a.b.c'), 'TypeError: from must return the text itself, not a promise of it'],
    [
      'a rejection',
      Promise.reject(new Error('late')),
      'TypeError: from must return the text itself, not a promise of it',
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

describe('client address', () => {
  function addressOf(sent: Sent, trust?: TrustProxy, record: RecordIp = 'full'): string | null {
    return createClientAddress(compileTrust(trust), record)(request(sent));
  }
  const behind = (forwarded: string, address = '127.0.0.1'): Sent => ({
    address,
    headers: { 'x-forwarded-for': forwarded },
  });

  test.each<[string, Sent, TrustProxy | undefined, string | null]>([
    ['the socket', { address: '192.0.2.1' }, undefined, '192.0.2.1'],
    ['no proxy is trusted by default', behind('192.0.2.1'), undefined, '127.0.0.1'],
    ['a trusted proxy', behind('192.0.2.1'), 'loopback', '192.0.2.1'],
    ['all are trusted', behind('192.0.2.1, 192.0.2.2'), true, '192.0.2.1'],
    ['one hop', behind('192.0.2.1, 192.0.2.2'), 1, '192.0.2.2'],
    ['a list', behind('192.0.2.1, 10.0.0.9'), ['loopback', '10.0.0.0/8'], '192.0.2.1'],
    ['a function', behind('192.0.2.1, 10.0.0.9'), (_address, hop) => hop === 0, '10.0.0.9'],
    ['IPv4 within IPv6', { address: '::ffff:192.0.2.1' }, undefined, '192.0.2.1'],
    ['IPv4 within IPv6, in hexadecimal', behind('::FFFF:c000:0201'), true, '192.0.2.1'],
    ['IPv6', { address: '2001:db8::1' }, undefined, '2001:db8::1'],
    ['IPv6 with a zone', { address: 'fe80::1%eth0' }, undefined, 'fe80::1'],
    ['rubbish', behind('<script>'), true, null],
    ['an address with a port', behind('192.0.2.1:80'), true, null],
    ['an empty header', behind(''), true, '127.0.0.1'],
    ['a socket that is gone', {}, 'loopback', null],
    ["Express's own", { address: '127.0.0.1', members: { ip: '192.0.2.7' } }, undefined, '192.0.2.7'],
    ["Express's own, of a socket that is gone", { members: { ip: undefined } }, undefined, null],
  ])('%s', (_name, sent, trust, expected) => {
    expect(addressOf(sent, trust)).toBe(expected);
  });

  test.each([
    ['192.0.2.129', '192.0.2.0'],
    ['::ffff:192.0.2.129', '192.0.2.0'],
    ['2001:db8:abcd:1234::1', '2001:db8:abcd::'],
    ['2001:db8::1', '2001:db8::'],
    ['2001:0db8:0000:1234:5678:9abc:def0:1234', '2001:db8::'],
    ['2001:0:1::', '2001:0:1::'],
    ['::1', '::'],
    ['1::2:3:4:5:6:7', '1:0:2::'],
    ['64:ff9b::192.0.2.1', '64:ff9b::'],
    ['fe80::1%eth0', 'fe80::'],
  ])('%s truncated is %s', (address, expected) => {
    expect(addressOf({ address }, undefined, 'truncated')).toBe(expected);
    expect(addressOf({ address }, undefined, 'none')).toBeNull();
  });

  test.each([['nonsense'], ['300.1.1.1'], [-1], [1.5], [NaN], [null], [{}], [[7]]])(
    'trustProxy: %j is refused',
    (trust) => {
      expect(() => compileTrust(trust as TrustProxy)).toThrow(/^trustProxy must be/);
    },
  );

  test('is read once, and kept for when the socket is gone', () => {
    let reads = 0;
    const sighting = new RequestSighting(request({ headers: { 'user-agent': 'Test/1.0' } }), 7, () => {
      reads += 1;
      return null;
    });
    expect(reads).toBe(0);
    sighting.settle();
    expect([sighting.at, sighting.ip, sighting.ip, sighting.userAgent, reads]).toEqual([7, null, null, 'Test/1.0', 1]);
  });
});

describe('origin', () => {
  const originOf = createOriginCheck(compileTrust(undefined));
  const host = 'shop.example';

  test.each<[string, Record<string, string>, string]>([
    ['Sec-Fetch-Site: same-origin', { host, 'sec-fetch-site': 'same-origin' }, 'same'],
    ['Sec-Fetch-Site: same-site', { host, 'sec-fetch-site': 'same-site' }, 'cross'],
    [
      'Sec-Fetch-Site: cross-site, whatever Origin says',
      { host, 'sec-fetch-site': 'cross-site', origin: `https://${host}` },
      'cross',
    ],
    ['Sec-Fetch-Site: none', { host, 'sec-fetch-site': 'none' }, 'cross'],
    ['two of them', { host, 'sec-fetch-site': 'same-origin, same-origin' }, 'cross'],
    ['Origin of this host', { host, origin: `https://${host}` }, 'same'],
    ['Origin of this host, plain', { host, origin: `http://${host}` }, 'same'],
    ['a default port written out', { host: `${host}:443`, origin: `https://${host}` }, 'same'],
    ['the same port', { host: `${host}:8443`, origin: `https://${host}:8443` }, 'same'],
    ['another port', { host: `${host}:8443`, origin: `https://${host}` }, 'cross'],
    ['a subdomain', { host, origin: `https://a.${host}` }, 'cross'],
    ['a longer name', { host, origin: `https://${host}.evil.example` }, 'cross'],
    ['a user name that looks like it', { host, origin: `https://${host}@evil.example` }, 'cross'],
    ['another scheme', { host, origin: `ftp://${host}` }, 'cross'],
    ['rubbish', { host, origin: '://' }, 'cross'],
    ['no Host', { origin: `https://${host}` }, 'cross'],
    ['Origin: null', { host, origin: 'null' }, 'unknown'],
    ['nothing', { host }, 'unknown'],
    [
      'X-Forwarded-Host that nobody vouches for',
      { host, 'x-forwarded-host': 'evil.example', origin: 'https://evil.example' },
      'cross',
    ],
  ])('%s', (_name, headers, expected) => {
    expect(originOf(request({ headers }))).toBe(expected);
  });

  test('X-Forwarded-Host counts where the proxy is trusted', () => {
    const trusting = createOriginCheck(compileTrust('loopback'));
    const headers = { host: 'internal:3000', 'x-forwarded-host': `${host}, other`, origin: `https://${host}` };
    expect(trusting(request({ headers, address: '127.0.0.1' }))).toBe('same');
    expect(trusting(request({ headers, address: '192.0.2.1' }))).toBe('cross');
    expect(trusting(request({ headers: { ...headers, origin: 'http://internal:3000' }, address: '127.0.0.1' }))).toBe(
      'cross',
    );
  });
});

test.each([
  ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', true],
  ['text/html', true],
  ['TEXT/HTML', true],
  ['text/html, */*', true],
  ['text/html;q=0.5, */*', false],
  ['text/html;q=0.5, application/*;q=0.4', true],
  ['text/html, application/json', true],
  ['application/json, text/html', false],
  ['application/json;q=0.9, text/html', true],
  ['text/html; q=0.2, application/json; q=0.1', true],
  ['text/html;q=0', false],
  ['text/html;q=NaN', false],
  ['text/html;q=9', false],
  ['application/xhtml+xml', false],
  ['*/*', false],
  ['text/*', false],
  ['', false],
  [undefined, false],
])('Accept: %s prefers HTML: %s', (accept, expected) => {
  expect(prefersHtml(accept)).toBe(expected);
});
