import { compileTrust } from '../../lib/http/client-address.js';
import {
  checkOrigins,
  createForgeryCheck,
  mayBeForged,
  type Origins,
  type RequestFacts,
} from '../../lib/http/forgery.js';
import { createHostOf } from '../../lib/http/request.js';
import { createTokenSource } from '../../lib/http/token-source.js';
import { request } from './sent.js';

const HOST = 'shop.example';
const OURS = `https://${HOST}`;
const EVIL = 'https://evil.example';
const WWW = 'https://www.shop.example';

/** A form of this site's own page, posted with a cookie by a browser without `Sec-Fetch-Site`, unless the row says otherwise. */
function facts(row: Partial<RequestFacts>): RequestFacts {
  return {
    method: 'POST',
    isUpgrade: false,
    tokenFrom: 'cookie',
    isHeaderSent: true,
    fetchSite: undefined,
    fetchMode: undefined,
    origin: undefined,
    host: HOST,
    origins: [WWW],
    ...row,
  };
}

const CROSS = { fetchSite: 'cross-site', origin: EVIL };
const HEADER = { tokenFrom: 'header' } as const;

describe('mayBeForged', () => {
  test.each<[string, Partial<RequestFacts>, boolean]>([
    // The method
    ['GET', { method: 'GET', ...CROSS }, false],
    ['HEAD', { method: 'HEAD', ...CROSS }, false],
    ['OPTIONS', { method: 'OPTIONS', ...CROSS }, false],
    ['POST', { method: 'POST', ...CROSS }, true],
    ['PUT', { method: 'PUT', ...CROSS }, true],
    ['PATCH', { method: 'PATCH', ...CROSS }, true],
    ['DELETE', { method: 'DELETE', ...CROSS }, true],
    ['CONNECT, an HTTP/2 WebSocket', { method: 'CONNECT', ...CROSS }, true],
    ['a method that nobody knows', { method: 'PURGE', ...CROSS }, true],
    ['get in lower case is another method', { method: 'get', ...CROSS }, true],
    ['no method', { method: undefined, ...CROSS }, true],
    ['an upgrade by GET', { method: 'GET', isUpgrade: true, ...CROSS }, true],
    ['an upgrade by GET from our page', { method: 'GET', isUpgrade: true, origin: OURS }, false],
    ['an upgrade by GET, Origin: null', { method: 'GET', isUpgrade: true, origin: 'null' }, true],
    ['an upgrade by GET without a browser', { method: 'GET', isUpgrade: true }, false],

    // Sec-Fetch-Site
    ['same-origin', { fetchSite: 'same-origin' }, false],
    ['same-origin, whatever Origin says', { fetchSite: 'same-origin', origin: EVIL }, false],
    ['none', { fetchSite: 'none' }, false],
    ['same-site', { fetchSite: 'same-site', origin: 'https://blog.shop.example' }, true],
    ['same-site without Origin', { fetchSite: 'same-site' }, true],
    ['same-site, one of origins', { fetchSite: 'same-site', origin: WWW }, false],
    ['cross-site', { fetchSite: 'cross-site' }, true],
    ['cross-site, one of origins', { fetchSite: 'cross-site', origin: WWW }, false],
    ['cross-site with our Origin', { fetchSite: 'cross-site', origin: OURS }, true],
    ['cross-site, Origin: null', { fetchSite: 'cross-site', origin: 'null' }, true],
    ['two of them', { fetchSite: 'same-origin, same-origin' }, true],
    ['an empty one', { fetchSite: '' }, true],
    ['in upper case', { fetchSite: 'SAME-ORIGIN' }, true],

    // Origin against Host
    ['neither header', {}, false],
    ['our origin', { origin: OURS }, false],
    ['our origin, plain', { origin: `http://${HOST}` }, false],
    ['a default port in Host', { origin: OURS, host: `${HOST}:443` }, false],
    ['the default port of the other scheme', { origin: OURS, host: `${HOST}:80` }, true],
    ['Host in upper case', { origin: OURS, host: 'SHOP.example' }, false],
    ['the same port', { origin: `${OURS}:8443`, host: `${HOST}:8443` }, false],
    ['another port', { origin: OURS, host: `${HOST}:8443` }, true],
    ['an IPv6 host', { origin: 'http://[::1]:3000', host: '[::1]:3000' }, false],
    ['another origin', { origin: EVIL }, true],
    ['one of origins', { origin: WWW }, false],
    ['one of origins in upper case', { origin: WWW.toUpperCase() }, true],
    ['one of origins with a path', { origin: `${WWW}/` }, true],
    ['a subdomain', { origin: `https://a.${HOST}` }, true],
    ['a longer name', { origin: `https://${HOST}.evil.example` }, true],
    ['our name as a user name', { origin: `https://${HOST}@evil.example` }, true],
    ['another scheme', { origin: `ftp://${HOST}` }, true],
    ['Origin: null', { origin: 'null' }, true],
    ['an empty Origin', { origin: '' }, true],
    ['rubbish', { origin: '://' }, true],
    ['two origins', { origin: `${OURS} ${EVIL}` }, true],
    ['no Host', { origin: OURS, host: '' }, true],

    // Where the token came from
    ['a header', { ...HEADER, ...CROSS }, false],
    ['a header, by fetch of an allowed site', { ...HEADER, ...CROSS, fetchMode: 'cors' }, false],
    ['a header, by fetch of our page', { ...HEADER, fetchSite: 'same-origin', fetchMode: 'same-origin' }, false],
    ['a header that the client did not send', { ...HEADER, ...CROSS, isHeaderSent: false }, true],
    ['such a header, from our page', { ...HEADER, origin: OURS, isHeaderSent: false }, false],
    ['a header in a navigation', { ...HEADER, ...CROSS, fetchMode: 'navigate' }, true],
    ['a header in a no-cors request', { ...HEADER, ...CROSS, fetchMode: 'no-cors' }, true],
    ['a header in a WebSocket', { ...HEADER, ...CROSS, method: 'GET', isUpgrade: true, fetchMode: 'websocket' }, true],
    ['a header in a navigation of our page', { ...HEADER, fetchSite: 'same-origin', fetchMode: 'navigate' }, false],
    ['a function', { tokenFrom: 'function', ...CROSS }, true],
    ['a function, from our page', { tokenFrom: 'function', origin: OURS }, false],

    // origins
    ['any', { ...CROSS, origins: 'any' }, false],
    ['any, for Origin: null', { origin: 'null', origins: 'any' }, false],
    ['none', { origin: WWW, origins: [] }, true],
    ['an app', { origin: 'capacitor://localhost', origins: ['capacitor://localhost'] }, false],
  ])('%s', (_name, row, expected) => {
    expect(mayBeForged(facts(row))).toBe(expected);
  });
});

/** What the rule says, as tables: what decides for each value of `Sec-Fetch-Site`, and what each `Origin` is to the site. */
const BY_FETCH_SITE: readonly (readonly [string | undefined, 'passes' | 'only if named' | 'by origin'])[] = [
  [undefined, 'by origin'],
  ['same-origin', 'passes'],
  ['none', 'passes'],
  ['same-site', 'only if named'],
  ['cross-site', 'only if named'],
  ['', 'only if named'],
  ['Same-Origin', 'only if named'],
];
const BY_ORIGIN: readonly (readonly [string | undefined, 'none' | 'ours' | 'named' | 'foreign'])[] = [
  [undefined, 'none'],
  [OURS, 'ours'],
  [WWW, 'named'],
  [EVIL, 'foreign'],
  ['null', 'foreign'],
  ['', 'foreign'],
];
const BY_METHOD: readonly (readonly [string | undefined, 'reads' | 'changes'])[] = [
  ['GET', 'reads'],
  ['HEAD', 'reads'],
  ['OPTIONS', 'reads'],
  ...['POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'PURGE', 'get', undefined].map((name) => [name, 'changes'] as const),
];
/** Whether a script can have set a header of the request. */
const BY_FETCH_MODE: readonly (readonly [string | undefined, 'script' | 'no script'])[] = [
  [undefined, 'script'],
  ['cors', 'script'],
  ['same-origin', 'script'],
  ['navigate', 'no script'],
  ['no-cors', 'no script'],
  ['websocket', 'no script'],
];
/** What the token is: in a header that the client sent, in one that it did not send, in a cookie, or found by a function. */
const BY_SOURCE: readonly (readonly [Pick<RequestFacts, 'tokenFrom' | 'isHeaderSent'>, 'proof' | 'none'])[] = [
  [{ tokenFrom: 'header', isHeaderSent: true }, 'proof'],
  [{ tokenFrom: 'header', isHeaderSent: false }, 'none'],
  [{ tokenFrom: 'cookie', isHeaderSent: false }, 'none'],
  [{ tokenFrom: 'cookie', isHeaderSent: true }, 'none'],
  [{ tokenFrom: 'function', isHeaderSent: false }, 'none'],
  [{ tokenFrom: 'function', isHeaderSent: true }, 'none'],
];
const BY_ORIGINS: readonly (readonly [Origins, boolean])[] = [
  [[], false],
  [[WWW], true],
  ['any', true],
];

test('mayBeForged, for every combination', () => {
  const wrong: RequestFacts[] = [];
  let rows = 0;
  for (const [method, effect] of BY_METHOD)
    for (const isUpgrade of [false, true])
      for (const [source, evidence] of BY_SOURCE)
        for (const [fetchMode, sender] of BY_FETCH_MODE)
          for (const [fetchSite, decider] of BY_FETCH_SITE)
            for (const [origin, kind] of BY_ORIGIN)
              for (const [origins, isNamed] of BY_ORIGINS) {
                const isRisk = (effect === 'changes' || isUpgrade) && origins !== 'any';
                const isWebSocketOfBrowser = isUpgrade && kind !== 'none';
                const isExempt = evidence === 'proof' && sender === 'script' && !isWebSocketOfBrowser;
                const passesByOrigin = kind === 'none' || kind === 'ours' || (kind === 'named' && isNamed);
                const passes = {
                  passes: true,
                  'only if named': kind === 'named' && isNamed,
                  'by origin': passesByOrigin,
                }[decider];
                const row = facts({ method, isUpgrade, ...source, fetchMode, fetchSite, origin, origins });
                if (mayBeForged(row) !== (isRisk && !isExempt && !passes)) wrong.push(row);
                rows += 1;
              }
  expect(wrong).toEqual([]);
  expect(rows).toBe(11 * 2 * 6 * 6 * 7 * 6 * 3);
});

describe('of a request', () => {
  const source = createTokenSource();

  function check(headers: Record<string, string>, more: object = {}, trust = false, origins?: Origins): string {
    const refuseForgery = createForgeryCheck(createHostOf(compileTrust(trust)), []);
    const req = Object.assign(request({ headers, address: '127.0.0.1' }), { method: 'POST', ...more });
    try {
      refuseForgery(req, source.read(req), origins);
      return 'passes';
    } catch (error) {
      return (error as { code: string }).code;
    }
  }

  const cookie = 'login_token=a.b.c';
  const authorization = 'Bearer a.b.c';

  test.each<[string, Record<string, string>, object, string]>([
    ['a cookie from elsewhere', { host: HOST, cookie, origin: EVIL }, {}, 'cross_site'],
    ['no token at all', { host: HOST, origin: EVIL }, {}, 'cross_site'],
    ['bearer from elsewhere', { host: HOST, authorization, origin: EVIL }, {}, 'passes'],
    [
      'bearer that was copied from the cookie',
      { host: HOST, authorization, origin: EVIL },
      { rawHeaders: ['Host', HOST] },
      'cross_site',
    ],
    [
      'bearer in place of what the client sent',
      { host: HOST, authorization, origin: EVIL },
      { rawHeaders: ['Host', HOST, 'Authorization', 'Basic YTpi'] },
      'cross_site',
    ],
    ['bearer where there are no raw headers', { authorization, origin: EVIL }, { rawHeaders: [] }, 'passes'],
    ['bearer where there never were any', { authorization, origin: EVIL }, { rawHeaders: undefined }, 'passes'],
    ['Basic is no token', { host: HOST, authorization: 'Basic YTpi', origin: EVIL }, {}, 'cross_site'],
    ['no token that is read', { host: HOST, 'x-auth-token': 'a.b.c', origin: EVIL }, {}, 'cross_site'],
    ['GET', { host: HOST, cookie, origin: EVIL }, { method: 'GET' }, 'passes'],
    ['an upgrade by GET', { host: HOST, cookie, origin: EVIL, upgrade: 'websocket' }, { method: 'GET' }, 'cross_site'],
    [
      'an upgrade by GET from our page',
      { host: HOST, cookie, origin: OURS, upgrade: 'websocket' },
      { method: 'GET' },
      'passes',
    ],
    [
      'an upgrade with bearer, which a gateway added',
      { host: HOST, authorization, origin: EVIL, upgrade: 'websocket' },
      { method: 'GET' },
      'cross_site',
    ],
    [
      'an upgrade with bearer, which a program sent',
      { host: HOST, authorization, upgrade: 'websocket' },
      { method: 'GET' },
      'passes',
    ],
    ['extended CONNECT', { ':authority': HOST, cookie, origin: EVIL }, { method: 'CONNECT' }, 'cross_site'],
    [
      'extended CONNECT with bearer, which a gateway added',
      { ':authority': HOST, authorization, origin: EVIL },
      { method: 'CONNECT' },
      'cross_site',
    ],
    [
      'extended CONNECT as an adapter shows it',
      { ':authority': HOST, ':method': 'CONNECT', ':protocol': 'websocket', cookie, origin: EVIL },
      { method: 'GET' },
      'cross_site',
    ],
    [
      'only the protocol of it',
      { ':authority': HOST, ':protocol': 'websocket', authorization, origin: EVIL },
      { method: 'GET' },
      'cross_site',
    ],
    [
      'headers of HTTP/2 without a method of their own',
      { ':authority': HOST, ':method': 'GET', cookie, origin: EVIL },
      { method: undefined },
      'passes',
    ],
    ['no method at all', { host: HOST, cookie, origin: EVIL }, { method: undefined }, 'cross_site'],
    [
      'two values of a header, as an adapter lists them',
      {},
      { headers: { host: HOST, cookie, 'sec-fetch-site': ['same-origin', 'cross-site'], origin: EVIL } },
      'cross_site',
    ],
    [
      'two origins, as an adapter lists them',
      {},
      { headers: { host: HOST, cookie, origin: [OURS, EVIL] } },
      'cross_site',
    ],
    ['HTTP/2 names the host otherwise', { ':authority': HOST, cookie, origin: OURS }, {}, 'passes'],
  ])('%s', (_name, headers, more, expected) => {
    expect(check(headers, more)).toBe(expected);
  });

  test('X-Forwarded-Host counts if the proxy is trusted', () => {
    const headers = { host: 'internal:3000', 'x-forwarded-host': `${HOST}, other`, cookie };
    expect(check({ ...headers, origin: OURS }, {}, true)).toBe('passes');
    expect(check({ ...headers, origin: OURS }, {}, false)).toBe('cross_site');
    expect(check({ ...headers, origin: 'http://internal:3000' }, {}, true)).toBe('cross_site');
  });

  test('origins of its own replace the default', () => {
    expect(check({ host: HOST, cookie, origin: EVIL }, {}, false, [EVIL])).toBe('passes');
  });
});

describe('checkOrigins', () => {
  test.each<[unknown, Origins]>([
    [undefined, []],
    ['any', 'any'],
    [[], []],
    [
      [WWW, 'http://localhost:3000', 'capacitor://localhost', 'chrome-extension://abc'],
      [WWW, 'http://localhost:3000', 'capacitor://localhost', 'chrome-extension://abc'],
    ],
  ])('%j is accepted', (value, expected) => {
    expect(checkOrigins(value)).toEqual(expected);
  });

  test.each<[unknown, RegExp]>([
    [null, /^origins must be 'any' or a list of origins, got null$/],
    [WWW, /^origins must be 'any' or a list of origins, got a string$/],
    [['any'], /^origins\[0\] must be an origin/],
    [[WWW, 7], /^origins\[1\] must be an origin .* got a number$/],
    [['null'], /must be an origin/],
    [[''], /must be an origin/],
    [['*'], /wildcards are not supported/],
    [['https://*.shop.example'], /wildcards are not supported/],
    [['chrome-extension://*'], /wildcards are not supported/],
    [['wss://www.shop.example'], /did you mean 'https:\/\/www\.shop\.example'\?$/],
    [['ws://localhost:3000'], /did you mean 'http:\/\/localhost:3000'\?$/],
    [['https://user:pass@www.shop.example/x'], /got a string: did you mean 'https:\/\/www\.shop\.example'\?$/],
    [['shop.example'], /must be an origin/],
    [[`${WWW}/`], /did you mean 'https:\/\/www\.shop\.example'\?$/],
    [[`${WWW}:443`], /must be an origin/],
    [['https://WWW.shop.example'], /did you mean 'https:\/\/www\.shop\.example'\?$/],
    [['https://a@shop.example'], /must be an origin/],
    [['file://'], /must be an origin/],
  ])('%j is refused', (value, message) => {
    expect(() => checkOrigins(value)).toThrow(message);
  });
});
