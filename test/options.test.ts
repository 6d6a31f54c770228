/** Every option wrong in kind or range throws at construction and names itself. */

import { managedSessions, memoryStore } from '../lib/index.js';

const SECRET = 'a secret that nobody may see in a message';
const ISSUER = { issuer: 'https://id.example.com/', secret: SECRET };

/** What is given, and what the message must have in it. */
const WRONG: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
  ['no issuer', { issuer: undefined }, /^issuer must be an object/],
  ['an empty list of issuers', { issuer: [] }, /^issuer must be .* an empty list/],
  ['an issuer that is a string', { issuer: 'https://id.example.com/' }, /^issuer must be an object .* a string/],
  ['a list with a function', { issuer: [ISSUER, () => null] }, /^issuer must be a function, or a list of issuers, but/],
  ['an issuer without a name', { issuer: { secret: SECRET } }, /issuer\.issuer/],
  ['an issuer without keys', { issuer: { issuer: 'x' } }, /exactly one of jwksUri, secret/],
  [
    'an issuer with two kinds of keys',
    { issuer: { ...ISSUER, jwksUri: 'https://id.example.com/jwks' } },
    /exactly one of/,
  ],
  [
    'a secret that is too short',
    { issuer: { issuer: 'x', secret: 'short' } },
    /issuer\.secret has 5 bytes, HS256 needs at least 32/,
  ],
  ['two issuers of one name', { issuer: [ISSUER, ISSUER] }, /issuer/],
  [
    'a misspelt issuer option',
    { issuer: { ...ISSUER, audiense: 'shop' } },
    /no option "audiense": did you mean audience\?/,
  ],
  ['a jwksUri that is no URL', { issuer: { issuer: 'x', jwksUri: 'jwks.json' } }, /issuer\.jwksUri/],
  ['an algorithm that is not supported', { issuer: { ...ISSUER, algorithms: ['ES256K'] } }, /issuer\.algorithms/],
  ['EdDSA with a secret', { issuer: { ...ISSUER, algorithms: ['EdDSA'] } }, /issuer\.secret cannot be used with any/],
  ['algorithm none', { issuer: { ...ISSUER, algorithms: ['none'] } }, /issuer\.algorithms/],
  ['a clockTolerance of a day', { issuer: { ...ISSUER, clockTolerance: '1d' } }, /issuer\.clockTolerance/],
  ['a misspelt option', { activityIntervall: '60s' }, /no option "activityIntervall": did you mean activityInterval\?/],
  ['an option of somebody else', { secret: SECRET }, /no option "secret"/],
  ['a store that is a URL', { store: 'redis://127.0.0.1' }, /^store must be .* a string/],
  [
    'half a store',
    { store: { sight() {} } },
    /^store must have every method of SessionStore, and lacks configure\(\), list/,
  ],
  [
    'a store without the later methods',
    { store: { ...memoryStore(), endEverywhere: undefined, catchUp: undefined } },
    /^store must have every method of SessionStore, and lacks endEverywhere\(\), catchUp\(\)$/,
  ],
  ['store: undefined', { store: undefined }, /^store is given as undefined: leave it out for memoryStore/],
  ['audience: undefined', { issuer: { ...ISSUER, audience: undefined } }, /^issuer\.audience is given as undefined/],
  [
    'secret: undefined',
    { issuer: { issuer: 'x', secret: undefined } },
    /^issuer\.secret is given as undefined: leave it out/,
  ],
  ['subject: a number', { issuer: { ...ISSUER, subject: 7 } }, /^issuer\.subject must be .* got a number/],
  [
    'profile: an object',
    { issuer: { ...ISSUER, profile: {} } },
    /^issuer\.profile must be a function .* got an object/,
  ],
  [
    'withoutIssuer: a string',
    { issuer: { ...ISSUER, withoutIssuer: 'yes' } },
    /^issuer\.withoutIssuer must be true or false/,
  ],
  ['cookie: a string', { cookie: 'login_token' }, /^cookie must be an object of options, got a string/],
  ['cookie: misspelt', { cookie: { samesite: 'lax' } }, /^cookie has no option "samesite": did you mean sameSite\?/],
  ['cookie.name: of two words', { cookie: { name: 'a b' } }, /^cookie\.name must be a valid cookie name/],
  ['cookie.path: a number', { cookie: { path: 3 } }, /^cookie\.path must be a string .* got a number/],
  ['cookie.path: relative', { cookie: { path: 'shop' } }, /^cookie\.path must be/],
  ['cookie.domain: a number', { cookie: { domain: 5 } }, /^cookie\.domain must be a string/],
  [
    'cookie.sameSite: a boolean',
    { cookie: { sameSite: true } },
    /^cookie\.sameSite must be one of 'strict', 'lax', 'none'/,
  ],
  [
    'cookie.secure: false with SameSite=None',
    { cookie: { sameSite: 'none', secure: false } },
    /^cookie\.secure must not/,
  ],
  [
    'cookie.name: __Host- with a domain',
    { cookie: { name: '__Host-a', domain: 'example.com' } },
    /^cookie\.name begins/,
  ],
  ['cookie.name: __Host- with a path', { cookie: { name: '__Host-a', path: '/shop' } }, /^cookie\.name begins/],
  [
    'another cookie than the one that is read',
    { cookie: { name: 'a' }, from: { cookie: 'b' } },
    /^cookie\.name is 'a', but from reads the cookie 'b'/,
  ],
  ['origins: a string', { origins: 'https://www.example.com' }, /^origins must be 'any' or a list/],
  ['origins: with a path', { origins: ['https://www.example.com/'] }, /^origins\[0\] must be an origin/],
  ['from: misspelt', { from: { cokie: 'a' } }, /^from has no option "cokie": did you mean cookie\?/],
  ['from: a string', { from: 'login_token' }, /^from must be 'bearer', .* or a list of these, got a string$/],
  ['from: Bearer', { from: 'Bearer' }, /^from must be .* got a string: did you mean 'bearer'\?$/],
  ['from: an empty object', { from: {} }, /^from must be .* got an object without cookie and header$/],
  [
    'from: both in one',
    { from: { cookie: 'a', header: 'b' } },
    /^from must not have both cookie and header: give a list/,
  ],
  ['from: both in one of a list', { from: ['bearer', { cookie: 'a', header: 'b' }] }, /^from\[1\] must not have both/],
  [
    'from: a misspelt header',
    { from: { heador: 'x-auth-token' } },
    /^from has no option "heador": did you mean header\?/,
  ],
  ['from: a header with a colon', { from: { header: 'x-auth-token:' } }, /^from\.header must be the name of a header/],
  ['from: no header', { from: { header: undefined } }, /^from\.header must be .* got undefined/],
  ['from: an empty header', { from: { header: '' } }, /^from\.header must be .* got an empty string/],
  [
    'from: the header Cookie',
    { from: { header: 'Cookie' } },
    /^from\.header must not be 'cookie': use \{ cookie: 'name' \}/,
  ],
  ['from: a scheme with a space', { from: { header: 'a', scheme: 'JWT ' } }, /^from\.scheme must be a single word/],
  ['from: a scheme of a cookie', { from: { cookie: 'a', scheme: 'JWT' } }, /^from has no option "scheme"/],
  ['from: an empty list', { from: [] }, /^from must be one source or a list of 1 to 8 sources, got a list of 0/],
  ['from: nine', { from: Array.from('abcdefghi', (cookie) => ({ cookie })) }, /^from .* got a list of 9/],
  ['from: a list in a list', { from: [['bearer']] }, /^from\[0\] must be .* or a function, got a list/],
  ['from: undefined in a list', { from: ['bearer', undefined] }, /^from\[1\] must be .* got undefined/],
  [
    'from: bearer in two notations',
    { from: ['bearer', { header: 'Authorization', scheme: 'BEARER' }] },
    /^from\[1\] is the same source as from\[0\]/,
  ],
  [
    'from: a cookie twice',
    { from: [{ cookie: 'a' }, 'bearer', { cookie: 'a' }] },
    /^from\[2\] is the same .* from\[0\]/,
  ],
  ['a cookie that nothing reads', { from: 'bearer', cookie: { name: 'a' } }, /^cookie\.name is 'a', but from reads no/],
  [
    'a cookie that no source of the list reads',
    { from: [{ cookie: 'b' }, { cookie: 'c' }], cookie: { name: 'a' } },
    /^cookie\.name is 'a', but from reads the cookie 'b'/,
  ],
  ['maxTokenLength: too much', { maxTokenLength: 65_537 }, /^maxTokenLength must be an integer from 256 to 65536/],
  ['maxTokenLength: too little', { maxTokenLength: 255 }, /^maxTokenLength must be/],
  ['maxTokenLength: a string', { maxTokenLength: '8192' }, /^maxTokenLength must be .* got a string/],
  ['maxTokenLength: NaN', { maxTokenLength: NaN }, /^maxTokenLength must be .* got NaN/],
  ['from: a cookie that is no name', { from: { cookie: 'a;b' } }, /^from/],
  ['user: an object', { user: {} }, /^user must be a function/],
  ['lifetime: zero', { lifetime: 0 }, /^lifetime/],
  ['lifetime: ten years', { lifetime: '10y' }, /^lifetime must be between/],
  ['lifetime: NaN', { lifetime: NaN }, /^lifetime/],
  ['lifetime: a word', { lifetime: 'forever' }, /^lifetime/],
  ['idleTimeout: negative', { idleTimeout: -1 }, /^idleTimeout/],
  ['idleTimeout: an object', { idleTimeout: {} }, /^idleTimeout/],
  ['maxSessionsPerUser: 0', { maxSessionsPerUser: 0 }, /^maxSessionsPerUser/],
  ['maxSessionsPerUser: 1.5', { maxSessionsPerUser: 1.5 }, /^maxSessionsPerUser/],
  ["maxSessionsPerUser: '5'", { maxSessionsPerUser: '5' }, /^maxSessionsPerUser/],
  [
    'atSessionLimit: another word',
    { atSessionLimit: 'end-newest' },
    /^atSessionLimit must be one of 'end-oldest', 'refuse'/,
  ],
  [
    'activityInterval: 5 ms',
    { activityInterval: '5ms' },
    /^activityInterval must be between '100ms' and '1d', got '5ms'/,
  ],
  ['revocationBound: half a second', { revocationBound: 500 }, /^revocationBound/],
  [
    'revocationBound no more than storeTimeout',
    { revocationBound: '2s', storeTimeout: '2s' },
    /^revocationBound must be more than storeTimeout/,
  ],
  ['storeTimeout: 1 ms', { storeTimeout: 1 }, /^storeTimeout/],
  ['tombstoneFor: nothing', { tombstoneFor: 0 }, /^tombstoneFor/],
  ['whenStoreDown: a word', { whenStoreDown: 'accept' }, /^whenStoreDown/],
  ['whenStoreDown: no duration', { whenStoreDown: { allowFor: 'ages' } }, /^whenStoreDown\.allowFor/],
  [
    'whenStoreDown: misspelt',
    { whenStoreDown: { alowFor: '30s' } },
    /whenStoreDown has no option "alowFor": did you mean allowFor\?/,
  ],
  ['recordIp: a boolean', { recordIp: false }, /^recordIp must be one of/],
  ['trustProxy: rubbish', { trustProxy: 'not an address' }, /^trustProxy/],
  ['onRefused: a string', { onRefused: '/login' }, /^onRefused must be a function/],
  ['loginUrl: relative', { loginUrl: 'login' }, /^loginUrl/],
  ['loginUrl: of any scheme', { loginUrl: 'javascript:alert(1)' }, /^loginUrl/],
  ['loginUrl: a host in disguise', { loginUrl: '//evil.example' }, /^loginUrl/],
  ['loginUrl: a host in disguise, backslash', { loginUrl: '/\\evil.example' }, /^loginUrl/],
  ['loginUrl: without a host', { loginUrl: 'https://' }, /^loginUrl/],
  ['loginUrl: with a line feed', { loginUrl: '/a\nSet-Cookie: x' }, /^loginUrl/],
  ['handleSecret: too short', { handleSecret: 'short' }, /^handleSecret must have at least 16 bytes/],
  ['handleSecret: a number', { handleSecret: 7 }, /^handleSecret/],
  ['handleSecret: null', { handleSecret: null }, /^handleSecret must be a string.*got null/],
  ['handleSecret: an empty list', { handleSecret: [] }, /^handleSecret .*got a list of 0/],
  ['handleSecret: nine', { handleSecret: Array.from({ length: 9 }, () => null) }, /^handleSecret .*got a list of 9/],
  [
    'handleSecret: a short one in a list',
    { handleSecret: [null, 'short'] },
    /^handleSecret\[1\] must have at least 16/,
  ],
  ['handleSecret: undefined in a list', { handleSecret: [undefined] }, /^handleSecret\[0\] .*got undefined/],
  ['handleSecret: a list in a list', { handleSecret: [[null]] }, /^handleSecret\[0\] .*got a list/],
  ['clock: a number', { clock: 7 }, /^clock must be an object with a method now\(\)/],
  ['clock: null', { clock: null }, /^clock/],
];

test.each(WRONG)('%s', (_what, options, message) => {
  let thrown: unknown;
  try {
    Reflect.apply(managedSessions, undefined, [{ issuer: ISSUER, ...options }]);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(TypeError);
  expect((thrown as TypeError).message).toMatch(message);
  expect((thrown as TypeError).message).not.toContain(SECRET);
});

test.each([undefined, null, 'options', [], 7])('managedSessions(%p) says that it takes an object', (options) => {
  expect(() => Reflect.apply(managedSessions, undefined, [options])).toThrow(/takes an object of options/);
});

test('every option that is right is taken', async () => {
  const sessions = managedSessions({
    issuer: [
      ISSUER,
      { issuer: 'other', secret: [SECRET, Buffer.alloc(32, 1)], audience: ['a', 'b'], clockTolerance: 0 },
      { issuer: 'third', secret: SECRET, subject: 'oid', profile: () => ({ name: 'Ann' }), withoutIssuer: true },
    ],
    from: ['bearer', { header: 'X-Auth-Token', scheme: 'JWT' }, { cookie: '__Host-login' }, () => undefined],
    maxTokenLength: 65_536,
    cookie: { name: '__Host-login', path: '/', sameSite: 'strict', secure: true, partitioned: true },
    origins: ['https://www.example.com'],
    user: (claims) => ({ who: claims['sub'] }),
    lifetime: (claims) => (claims['admin'] === true ? '1h' : '30d'),
    idleTimeout: '30m',
    maxSessionsPerUser: Infinity,
    atSessionLimit: 'refuse',
    activityInterval: 100,
    revocationBound: '1s',
    storeTimeout: '50ms',
    tombstoneFor: '1h',
    whenStoreDown: { allowFor: '30s' },
    recordIp: 'truncated',
    trustProxy: ['loopback', '10.0.0.0/8'],
    onRefused: (_error, _req, _res, next) => {
      next();
    },
    loginUrl: 'https://id.example.com/login?app=1',
    handleSecret: Buffer.alloc(16, 1),
    clock: { now: () => 0 },
  });
  await sessions.close();
});
