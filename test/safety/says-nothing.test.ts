/** What must not pass in silence: options that are misspelt, nested, misplaced, of a wrong kind, or unset. */

import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import supertest from 'supertest';
import { LOGIN_ERROR_CODES } from '../../lib/core/errors.js';
import {
  authRocket,
  authRocketV1,
  LoginError,
  managedSessions,
  memoryStore,
  oidc,
  redisStore,
} from '../../lib/index.js';
import type {
  AuthenticateOptions,
  AuthRocketOptions,
  AuthRocketV1Options,
  CookieOptions,
  EndEverywhereOptions,
  HandoffOptions,
  IntrospectionOptions,
  IssuerOptions,
  ListOptions,
  ManagedSessions,
  ManagedSessionsOptions,
  OidcOptions,
  RedisStoreOptions,
  RequiredOptions,
  RevokeAllOptions,
  RouterOptions,
  SightingHint,
} from '../../lib/index.js';
import {
  createTestClock,
  createTestIssuer,
  type IssueOptions,
  type TestIssuer,
  type TestIssuerOptions,
} from '../../lib/testing/index.js';
import { describeEachFramework } from '../support/frameworks.js';
import { THROWS } from './hooks.js';

const SECRET = 'a secret that nobody may see in a message';
const ISSUER = { issuer: 'https://id.example.com/', secret: SECRET };
const sessions = managedSessions({ issuer: ISSUER });
let testIssuer: TestIssuer;

beforeAll(async () => {
  testIssuer = await createTestIssuer();
});
afterAll(async () => {
  await sessions.close();
  await testIssuer.close();
});

/** Values of wrong kinds for every option of a type: one that is missing here does not compile. */
type Wrong<Options> = { readonly [Name in keyof Options]-?: readonly unknown[] };

interface Owner {
  readonly name: string;
  readonly call: (options: unknown) => unknown;
  readonly wrong: Readonly<Record<string, readonly unknown[]>>;
  /** What it cannot do without. */
  readonly valid?: Readonly<Record<string, unknown>>;
}

function owner<Options>(
  name: string,
  call: (options: never) => unknown,
  wrong: Wrong<Options>,
  valid: Owner['valid'] = {},
): Owner {
  return { name, call: (options) => Reflect.apply(call, undefined, [options]), wrong, valid };
}

/** What takes no options. */
type NoOptions = Readonly<Record<string, never>>;

const DURATIONS = [null, 'ages', -1, NaN, {}, true];
const FUNCTIONS = [null, {}, 'x'];
const WORDS = [null, 'x', 7, true];
const BOOLEANS = [null, 'true', 1];
const MAX_AGES = [null, '', 'x', '600', 0, -1, NaN, '500ms', '20y', {}, undefined];
const STRINGS = [null, 7, {}];

const TYPES = [null, 'JWT', [], [7]];

/** What the presets take as well. */
const ADJUSTABLE = {
  algorithms: [null, 'RS256', [], ['none'], ['x']],
  clockTolerance: DURATIONS,
  claims: [null, 'x', { org: undefined }, { org: {} }, { org: [] }, undefined],
  keysMaxAge: DURATIONS,
  keysMaxStale: DURATIONS,
  session: [null, 7, [], [7]],
  began: WORDS,
  scopes: FUNCTIONS,
  senderConstrained: WORDS,
};
const ISSUER_WRONG: Wrong<IssuerOptions> = {
  ...ADJUSTABLE,
  issuer: [null, '', 7],
  audience: [null, '', [], [7], 7, undefined],
  jwksUri: [null, 'jwks.json', 7, undefined],
  secret: [null, 'short', 7, [], undefined],
  publicKey: [null, 'x', 7, [], undefined],
  discover: BOOLEANS,
  types: TYPES,
  subject: [null, '', 7],
  profile: FUNCTIONS,
  withoutIssuer: BOOLEANS,
};

/** The options that are left to `managedSessions()` to check are passed on to it. */
const throughSessions =
  (preset: (options: never) => IssuerOptions) =>
  (options: never): unknown =>
    managedSessions({ issuer: preset(options) });

const KEYS = { jwksUri: 'https://id.example.com/jwks' };

const OWNERS: readonly Owner[] = [
  owner<ManagedSessionsOptions>(
    'managedSessions()',
    managedSessions,
    {
      issuer: [null, 7, 'x', [], [() => null], undefined],
      store: [null, 7, {}, 'redis://127.0.0.1', undefined],
      from: [
        null,
        7,
        'x',
        [],
        {},
        { cookie: 7 },
        { cookie: 'a;b' },
        { header: 7 },
        { cookie: 'a', x: 1 },
        [{ header: '' }],
      ],
      cookie: [null, 7, 'x', { x: 1 }],
      origins: [null, 7, 'x', ['x'], [7]],
      user: FUNCTIONS,
      lifetime: DURATIONS,
      idleTimeout: DURATIONS,
      maxSessionsPerUser: [null, 0, 1.5, '5'],
      atSessionLimit: WORDS,
      track: FUNCTIONS,
      activityInterval: DURATIONS,
      revocationBound: DURATIONS,
      tombstoneFor: DURATIONS,
      whenStoreDown: [null, 'x', 7, {}, { allow: '30s' }, { allowFor: null }, { allowFor: '30s', x: 1 }],
      storeTimeout: DURATIONS,
      recordIp: WORDS,
      trustProxy: [null, -1, {}, 'x', [7]],
      client: FUNCTIONS,
      maxTokenLength: [null, 0, '8192', 1e9],
      onRefused: FUNCTIONS,
      loginUrl: [null, 7, 'login', '//evil.example', '/\\evil.example', 'javascript:alert(1)', '/ä'],
      handleSecret: [null, 7, 'short', [], undefined],
      clientHints: BOOLEANS,
      sessionIndex: BOOLEANS,
      clock: [null, 7, {}, { now: () => NaN }, { now: () => new Date() }, { now: async () => 0 }],
    },
    { issuer: ISSUER },
  ),
  owner<CookieOptions>('cookie', (cookie: never) => managedSessions({ issuer: ISSUER, cookie }), {
    name: [null, 7, 'a b'],
    path: [null, 7, 'shop'],
    domain: [null, 7, 'a b', 'a..b', 'example.com.', '-a.example', 'example.com:3000'],
    sameSite: WORDS,
    secure: BOOLEANS,
    partitioned: BOOLEANS,
  }),
  owner<IssuerOptions>('issuer', (issuer: never) => managedSessions({ issuer }), ISSUER_WRONG, {
    issuer: 'x',
    ...KEYS,
  }),
  owner<IssuerOptions>('issuer[0]', (issuer: never) => managedSessions({ issuer: [issuer, ISSUER] }), ISSUER_WRONG, {
    issuer: 'x',
    ...KEYS,
  }),
  owner<OidcOptions>(
    'oidc()',
    throughSessions(oidc),
    {
      ...ADJUSTABLE,
      types: TYPES,
      issuer: [null, '', 'x', undefined],
      audience: [null, '', [], 7, undefined],
    },
    { issuer: 'https://id.example.com/', audience: 'shop' },
  ),
  owner<AuthRocketOptions>(
    'authRocket()',
    throughSessions(authRocket),
    {
      ...ADJUSTABLE,
      audience: [null, '', [], 7, undefined],
      loginRocketUrl: [null, 'x', undefined],
      secret: [null, 'short', undefined],
      publicKey: [null, 'x', undefined],
      realm: [null, '', 7, undefined],
    },
    { loginRocketUrl: 'https://shop.loginrocket.com' },
  ),
  owner<AuthRocketV1Options>(
    'authRocketV1()',
    throughSessions(authRocketV1),
    {
      ...ADJUSTABLE,
      secret: [null, 'short', undefined],
      publicKey: [null, 'x', undefined],
      realm: [null, '', 7, undefined],
    },
    { secret: SECRET },
  ),
  owner<RequiredOptions>('required()', (o: never) => sessions.required(o), {
    scope: [null, '', [], [7], 7, undefined],
    fresh: BOOLEANS,
    maxAge: MAX_AGES,
    activity: BOOLEANS,
    acr: [null, '', [], [7], 7, 'a b', ['"'], undefined],
  }),
  owner<NoOptions>('optional()', (o: never) => Reflect.apply(sessions.optional, sessions, [o]), {}),
  owner<RouterOptions>('router()', (o: never) => sessions.router(o), {
    maxAge: MAX_AGES,
    locate: FUNCTIONS,
    messages: [
      null,
      'de',
      [],
      [7],
      { x: 'y' },
      { title: 7 },
      { kinds: { x: 'y' } },
      { kinds: null },
      { done: { ended: 7 } },
    ],
    stylesheet: [null, 7, 'javascript:x'],
    layout: FUNCTIONS,
    formTargets: [null, 'x', [7], ['x y']],
    timeZone: [null, 7, 'Mars/Olympus'],
  }),
  owner<HandoffOptions>(
    'handoff()',
    (o: never) => sessions.handoff(o),
    {
      parameter: [null, '', 7, 'state'],
      state: [null, 7, 'x', {}, { cookie: 7 }, { cookie: 'a', x: 1 }, true],
    },
    { state: false },
  ),
  owner<IntrospectionOptions>(
    'introspection()',
    (o: never) => sessions.introspection(o),
    { authorize: [...FUNCTIONS, undefined] },
    {
      authorize: () => true,
    },
  ),
  owner<SightingHint>('verify()', (o: never) => sessions.verify('token', o), { ip: [7, {}], userAgent: [7, {}] }),
  owner<AuthenticateOptions>(
    'authenticate()',
    (o: never) => Reflect.apply(sessions.authenticate, sessions, [{ headers: {} }, o]),
    {
      origins: [null, 7, 'x', ['x']],
    },
  ),
  owner<ListOptions>('list()', (o: never) => sessions.list('u', o), { limit: [null, '5', {}], cursor: [7, {}] }),
  owner<EndEverywhereOptions>('revoke()', (o: never) => sessions.revoke('u', 'x'.repeat(22), o), {
    reason: STRINGS,
    by: STRINGS,
  }),
  owner<RevokeAllOptions>('revokeAll()', (o: never) => sessions.revokeAll('u', o), {
    reason: STRINGS,
    by: STRINGS,
    except: STRINGS,
  }),
  owner<EndEverywhereOptions>('endEverywhere()', (o: never) => sessions.endEverywhere(o), {
    reason: STRINGS,
    by: STRINGS,
  }),
  owner<RedisStoreOptions>('redisStore()', (o: never) => redisStore('redis://127.0.0.1:1', o), {
    prefix: [null, 7, '{x}'],
    minReplicas: [null, -1, 1.5, '1'],
  }),
  owner<NoOptions>('memoryStore()', memoryStore, {}),
  owner<TestIssuerOptions>('createTestIssuer()', createTestIssuer, {
    like: WORDS,
    issuer: STRINGS,
    algorithms: [null, 'RS256', [], ['none']],
    clock: [null, 7, {}, { now: () => NaN }, { now: () => new Date() }, { now: async () => 0 }],
  }),
  owner<IssueOptions>('issue()', (o: never) => testIssuer.issue({}, o), {
    alg: WORDS,
    kid: STRINGS,
    header: [null, 'x', []],
  }),
  owner<{ keepOld?: boolean }>('rotateKeys()', (o: never) => testIssuer.rotateKeys(o), { keepOld: BOOLEANS }),
];

async function refusalOf(attempt: () => unknown): Promise<string> {
  try {
    await attempt();
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError);
    return error instanceof Error ? error.message : '';
  }
  return 'nothing';
}

describe.each(OWNERS)('$name', ({ name, call, wrong, valid = {} }) => {
  test('takes options in an object only', async () => {
    for (const options of [null, 7, 'x', []]) {
      expect([options, await refusalOf(() => call(options))]).toEqual([
        options,
        expect.stringMatching(/ options|^issuer/),
      ]);
    }
  });

  test('has no option but its own', async () => {
    const message = await refusalOf(() => call({ ...valid, unheardOf: 1 }));
    expect(message).toContain(`${name} has no option "unheardOf"`);
  });

  const rows = Object.entries(wrong).flatMap(([option, values]) => values.map((value) => ({ option, value })));
  if (rows.length === 0) return;
  test.each(rows)('$option: $value', async ({ option, value }) => {
    const isKey = ['secret', 'publicKey', 'jwksUri', 'loginRocketUrl'].includes(option);
    const rest = isKey ? Object.fromEntries(Object.entries(valid).filter(([key]) => key === 'issuer')) : valid;
    const message = await refusalOf(() => call({ ...rest, [option]: value }));
    expect(message).toContain(option);
    expect(message).not.toContain(SECRET);
  });
});

/** An unset environment variable must not switch a protection off, whatever else is given. */
test.each<[string, (options: never) => unknown, Record<string, unknown>, string]>([
  ['audience', (issuer) => managedSessions({ issuer }), ISSUER, 'issuer.audience is given as undefined'],
  ['jwksUri', (issuer) => managedSessions({ issuer }), ISSUER, 'issuer.jwksUri is given as undefined'],
  ['publicKey', (issuer) => managedSessions({ issuer }), ISSUER, 'issuer.publicKey is given as undefined'],
  ['secret', (issuer) => managedSessions({ issuer }), { issuer: 'x', ...KEYS }, 'issuer.secret is given as undefined'],
  ['claims', (issuer) => managedSessions({ issuer }), ISSUER, 'issuer.claims is given as undefined'],
  ['store', managedSessions, { issuer: ISSUER }, 'store is given as undefined: leave it out for memoryStore()'],
  ['handleSecret', managedSessions, { issuer: ISSUER }, 'handleSecret is given as undefined'],
  ['realm', authRocket, { secret: SECRET }, 'authRocket(): realm is given as undefined'],
  ['realm', authRocketV1, { secret: SECRET }, 'authRocketV1(): realm is given as undefined'],
  ['audience', authRocket, { secret: SECRET }, 'authRocket(): audience is given as undefined'],
  ['scope', (o) => sessions.required(o), {}, 'required(): scope is given as undefined'],
])('%s: undefined, beside everything that is needed', async (option, call, valid, message) => {
  expect(await refusalOf(() => Reflect.apply(call, undefined, [{ ...valid, [option]: undefined }]))).toContain(message);
});

describe('what people know from elsewhere is explained', () => {
  const top = (options: never): unknown => managedSessions(options);
  const issuer = (options: never): unknown => managedSessions({ issuer: options });
  const HINTS: readonly (readonly [string, (options: never) => unknown, Record<string, unknown>, RegExp])[] = [
    ...[...Object.keys(ISSUER_WRONG)]
      .filter((name) => name !== 'issuer')
      .map(
        (name) =>
          [name, top, { issuer: ISSUER }, new RegExp(`option of the issuer: issuer: \\{ issuer, ${name} \\}`)] as const,
      ),
    ...['path', 'domain', 'sameSite', 'secure', 'partitioned'].map(
      (name) => [name, top, { issuer: ISSUER }, new RegExp(`option of the cookie: cookie: \\{ ${name} \\}`)] as const,
    ),
    ...['locate', 'messages', 'stylesheet', 'layout', 'formTargets', 'timeZone'].map(
      (name) => [name, top, { issuer: ISSUER }, new RegExp(`router\\(\\{ ${name} \\}\\)`)] as const,
    ),
    ['prefix', top, { issuer: ISSUER }, /redisStore\(url, \{ prefix/],
    ['minReplicas', top, { issuer: ISSUER }, /redisStore\(/],
    ['scope', top, { issuer: ISSUER }, /required\(\{ scope \}\)/],
    ['fresh', top, { issuer: ISSUER }, /required\(\{ fresh: true \}\)/],
    ['state', top, { issuer: ISSUER }, /handoff\(\{ state/],
    ['authorize', top, { issuer: ISSUER }, /introspection\(\{ authorize \}\)/],
    ['getToken', top, { issuer: ISSUER }, /from: \(req\) => token/],
    ['jwtFromRequest', top, { issuer: ISSUER }, /from: \(req\) => token/],
    ['credentialsRequired', top, { issuer: ISSUER }, /optional\(\)/],
    ['requestProperty', top, { issuer: ISSUER }, /req\.user/],
    ['userProperty', top, { issuer: ISSUER }, /req\.user/],
    ['isRevoked', top, { issuer: ISSUER }, /revoke\(\)/],
    ['cookieName', top, { issuer: ISSUER }, /cookie: \{ name \}/],
    ['httpOnly', top, { issuer: ISSUER }, /always HttpOnly/],
    ['secretOrKey', top, { issuer: ISSUER }, /option of the issuer/],
    ['issuerBaseURL', top, {}, /oidc\(\{ issuer, audience \}\)/],
    ['resave', top, { issuer: ISSUER }, /leave it out/],
    ['rolling', top, { issuer: ISSUER }, /idleTimeout/],
    ['url', top, { issuer: ISSUER }, /store: redisStore\(url\)/],
    ['constructor', top, { issuer: ISSUER }, /has no option "constructor": use one of/],
    ['__proto_', top, { issuer: ISSUER }, /has no option "__proto_"/],
    ['store', issuer, ISSUER, /managedSessions\(\{ store \}\)/],
    ['from', issuer, ISSUER, /managedSessions\(\{ from \}\)/],
    ['cookie', issuer, ISSUER, /managedSessions\(\{ cookie \}\)/],
    ['getToken', issuer, ISSUER, /managedSessions\(\{ from \}\)/],
    ['credentialsRequired', issuer, ISSUER, /optional\(\)/],
    ['cache', issuer, ISSUER, /leave it out/],
    ['clientId', issuer, ISSUER, /audience/],
    ['maxAge', (cookie) => managedSessions({ issuer: ISSUER, cookie }), {}, /as long as its token/],
    ['httpOnly', (cookie) => managedSessions({ issuer: ISSUER, cookie }), {}, /always HttpOnly/],
    ['client', (o) => redisStore('redis://127.0.0.1:1', o), {}, /the first argument/],
    ['keyPrefix', (o) => redisStore('redis://127.0.0.1:1', o), {}, /did you mean prefix\?/],
    ['credentialsRequired', (o) => sessions.required(o), {}, /optional\(\)/],
    ['scopes', (o) => sessions.required(o), {}, /did you mean scope\?/],
    ['requiredScopes', (o) => sessions.required(o), {}, /did you mean scope\?/],
  ];
  test.each(HINTS)('%s', async (option, call, valid, hint) => {
    const message = await refusalOf(() => Reflect.apply(call, undefined, [{ ...valid, [option]: SECRET }]));
    expect(message).toMatch(hint);
    expect(message).not.toContain(SECRET);
  });
});

test.each([[NaN], [new Date(NaN)], ['now'], [null]])('a test clock cannot begin at %p', (start) => {
  expect(() => Reflect.apply(createTestClock, undefined, [start])).toThrow(/start must be a valid Date/);
  expect(() => Reflect.apply(createTestClock().set, undefined, [start])).toThrow(/moment must be a valid Date/);
});

describeEachFramework((_name, makeApp) => {
  const own: ManagedSessions[] = [];
  afterEach(() => Promise.all(own.splice(0).map((each) => each.close())));

  /** A site whose shop and sessions need a login, and what it answers. */
  function siteWith(loginUrl: unknown): ReturnType<typeof supertest> {
    const { issuer, jwksUri } = testIssuer;
    const each = managedSessions({ issuer: { issuer, jwksUri }, loginUrl: loginUrl as string });
    own.push(each);
    const app = makeApp();
    app.mount('/logout', each.logout());
    app.mount('/account/sessions', each.router());
    app.mount('/shop', each.required(), (_req: unknown, res: ServerResponse) => void res.end('in'));
    return supertest(app.listener);
  }

  type Visit = IncomingMessage & { readonly originalUrl?: string };
  const back = ({ method, originalUrl = '' }: Visit): string =>
    method === 'GET' ? `/sign-in?to=${encodeURIComponent(originalUrl)}` : '/sign-in';
  const HTML = { Accept: 'text/html' };
  const signedIn = (): Record<string, string> => ({
    Cookie: `login_token=${testIssuer.issue()}`,
    'Sec-Fetch-Site': 'same-origin',
  });

  describe('loginUrl as a function leads people back to where they were', () => {
    test.each<[string, string]>([
      ['/shop/cart?item=7&n=2', '/sign-in?to=%2Fshop%2Fcart%3Fitem%3D7%26n%3D2'],
      ['/shop/%0d%0aSet-Cookie:x', '/sign-in?to=%2Fshop%2F%250d%250aSet-Cookie%3Ax'],
      ['/shop//evil.example', '/sign-in?to=%2Fshop%2F%2Fevil.example'],
      ['/account/sessions', '/sign-in?to=%2Faccount%2Fsessions'],
    ])('from %s', async (url, location) => {
      await siteWith(back).get(url).set(HTML).expect(303).expect('Location', location);
    });

    test('but not to where they are, if the sign-in page itself needs a login', async () => {
      for (const loginUrl of ['/shop/sign-in', ({ originalUrl }: Visit) => `/shop/sign-in?to=${String(originalUrl)}`]) {
        const { body } = await siteWith(loginUrl).get('/shop/sign-in?to=%2F').set(HTML).expect(401);
        expect(body).toMatchObject({ code: 'no_token' });
      }
      await siteWith('https://id.example.com/shop').get('/shop').set(HTML).expect(303);
    });

    test('after a form has signed them out', async () => {
      const site = siteWith(back);
      await site.post('/account/sessions/end').set(HTML).set(signedIn()).expect(303).expect('Location', '/sign-in');
      await site
        .post('/account/sessions/current/end')
        .set(HTML)
        .set(signedIn())
        .expect(303)
        .expect('Location', '/sign-in');
      await site.post('/logout').set(HTML).set(signedIn()).expect(303).expect('Location', '/sign-in');
    });

    test('the page lets its forms end there', async () => {
      const site = siteWith(() => 'https://id.example.com/login?app=shop');
      const { headers } = await site.get('/account/sessions').set(HTML).set(signedIn()).expect(200);
      expect(headers['content-security-policy']).toContain("form-action 'self' https://id.example.com");
    });

    test('a link back to where a form goes to shows the page', async () => {
      const site = siteWith(back);
      for (const path of ['end', 'others/end', 'current/end', `${'x'.repeat(22)}/label`]) {
        const sent = site.get(`/account/sessions/${path}`).set(signedIn());
        await sent.set(HTML).expect(303).expect('Location', '/account/sessions');
        await site.get(`/account/sessions/${path}`).set(signedIn()).set('Accept', 'application/json').expect(405);
      }
    });
  });

  test.each<[string, () => unknown]>([
    ['a promise', async () => '/sign-in'],
    ['a promise that rejects', () => Promise.reject(new Error('no'))],
    ['nothing', () => undefined],
    ['another scheme', () => 'javascript:alert(1)'],
    ['another host', () => '//evil.example'],
    ['another host, with a backslash', () => '/\\evil.example'],
    ['a relative URL', () => 'sign-in'],
    ['a line feed', () => '/sign-in?to=\n'],
    ['what is not encoded', () => '/sign-in?to=ä'],
    ...THROWS,
  ])('loginUrl: %s goes to the error handler, and lets nobody in', async (_what, loginUrl) => {
    const site = siteWith(loginUrl);
    const answers = [
      await site.get('/shop').set(HTML),
      await site.get('/account/sessions').set(HTML),
      await site.post('/account/sessions/end').set(HTML).set(signedIn()),
      await site.post('/logout').set(HTML).set(signedIn()),
    ];
    for (const { status, text, headers } of answers) {
      expect([status, text]).toEqual([500, expect.stringMatching(/^application error/)]);
      expect(headers['location']).toBeUndefined();
    }
    // A request that needs no redirect does not call it.
    await site.get('/shop').set('Accept', 'application/json').expect(401);
  });
});

describe('health()', () => {
  const PLAIN = { ok: true, age: expect.any(Number), lastError: null };

  test('is plain data', async () => {
    const healthy = managedSessions({ issuer: ISSUER });
    const health = healthy.health();
    expect(health).toEqual({ store: PLAIN, feed: PLAIN, keys: PLAIN, sessions: 0 });
    expect(JSON.parse(JSON.stringify(health))).toEqual(health);
    await healthy.close();
  });

  test('says in words why something failed, and null for an age that is not known', async () => {
    const jwksUri = 'http://127.0.0.1:1/jwks.json';
    const store = redisStore('redis://127.0.0.1:1');
    const ill = managedSessions({
      issuer: { issuer: ISSUER.issuer, jwksUri },
      store,
      storeTimeout: '50ms',
      revocationBound: '1s',
    });
    await expect(ill.list('ann')).rejects.toMatchObject({ code: 'store_unavailable' });
    const token = testIssuer.issue({ iss: ISSUER.issuer });
    await expect(ill.verify(token)).rejects.toMatchObject({ code: 'keys_unavailable' });
    const health = ill.health();
    const failed = { age: null, lastError: expect.stringMatching(/\w/) };
    expect(health).toEqual({
      store: { ok: false, ...failed },
      feed: { ok: false, age: null, lastError: health.feed.lastError },
      keys: { ok: false, ...failed },
      sessions: 0,
    });
    expect(JSON.parse(JSON.stringify(health))).toEqual(health);
    await ill.close();
  });

  test.each([
    ['one issuer', ISSUER],
    ['an issuer function', () => null],
  ])('nothing is ok after close(), with %s', async (_name, issuer) => {
    const closed = managedSessions({ issuer });
    expect(closed.health().store.ok).toBe(true);
    const closing = closed.close();
    // From the call on: a probe must not send requests to a process that is closing.
    const { store, feed, keys } = closed.health();
    for (const part of [store, feed, keys]) {
      expect(part).toMatchObject({ ok: false, lastError: 'This managedSessions() is closed' });
    }
    await closing;
    expect(closed.health().feed.ok).toBe(false);
  });
});

describe('a handle that was left out', () => {
  test.each([undefined, null, '', 7, {}])('%p', async (handle) => {
    const given = handle as string;
    await expect(sessions.revoke('ann', given)).rejects.toThrow(
      /^revoke\(\) must have the handle of a session as its second argument, got .*; revokeAll\(\) ends every session/,
    );
    for (const call of [sessions.revoke('ann', given), sessions.get('ann', given), sessions.label('ann', given, 'x')]) {
      await expect(call).rejects.toThrow(TypeError);
    }
  });

  test('one that cannot be a handle is answered like an unknown one', async () => {
    await expect(sessions.revoke('ann', 'nonsense')).rejects.toMatchObject({ code: 'session_not_found' });
  });
});

describe('a value that is valid to the letter, and cannot be meant, is refused', () => {
  const unset: unknown = undefined;
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const withIssuer = (options: object) => () => managedSessions({ issuer: { ...ISSUER, ...options } });
  const withKey = (options: object) => () => managedSessions<unknown>({ issuer: { issuer: 'a', ...options } });
  const withOption = (options: object) => () => managedSessions({ issuer: ISSUER, ...options });

  test.each<[string, () => unknown, string]>([
    ['claims as a Map', withIssuer({ claims: new Map([['org', 'acme']]) }), 'issuer.claims must be an object with'],
    ['claims as a Set', withIssuer({ claims: new Set(['org']) }), 'got a Set'],
    ['claims as a promise', withIssuer({ claims: Promise.resolve({ org: 'acme' }) }), 'got a promise'],
    [
      'cookie as a Map',
      withOption({ cookie: new Map([['name', 'a']]) }),
      'cookie must be an object of options, got a Map',
    ],
    ['an issuer that was not awaited', withOption({ issuer: Promise.resolve(ISSUER) }), 'issuer must be an object'],
    ['an unset variable in the issuer', withIssuer({ issuer: `https://${String(unset)}/` }), 'issuer.issuer contains'],
    ['an unset variable as the audience', withIssuer({ audience: String(unset) }), 'issuer.audience contains'],
    ['one in a list of them', withIssuer({ audience: ['shop', String(unset)] }), 'issuer.audience contains'],
    [
      'an unset variable in jwksUri',
      withKey({ jwksUri: `https://a/${String(unset)}/jwks` }),
      'issuer.jwksUri contains',
    ],
    ['the same as a URL', withKey({ jwksUri: new URL(`https://${String(unset)}/`) }), 'issuer.jwksUri contains'],
    ['an unset variable in the URL of Redis', () => redisStore(`redis://${String(unset)}:6379`), 'the word undefined'],
    ['a private key as the secret', withIssuer({ secret: privatePem(privateKey) }), 'issuer.secret is a private key'],
    ['a URL as the secret', withIssuer({ secret: 'https://id.example.com/.well-known/jwks.json' }), 'given as jwksUri'],
    ['a URL as the public key', withKey({ publicKey: 'https://id.example.com/jwks.json' }), 'given as jwksUri'],
    ['a JWK as text', withKey({ publicKey: JSON.stringify(publicKey.export({ format: 'jwk' })) }), 'by JSON.parse'],
    ['a PEM with \\n', withKey({ publicKey: pem.replaceAll('\n', '\\n') }), "use .replaceAll('\\\\n', '\\n')"],
    ['clockTolerance in seconds', withIssuer({ clockTolerance: 30 }), "write '30s' or '30ms'"],
    ['tombstoneFor in months', withOption({ tombstoneFor: '1M' }), "tombstoneFor must say '30d' for a month"],
    ['a number of hops as a string', withOption({ trustProxy: '1' }), 'trustProxy must be a number'],
  ])('%s', (_name, call, message) => {
    expect(call).toThrow(TypeError);
    expect(call).toThrow(message);
  });

  test.each([undefined, null, 'a.b.c'])('authenticate(%p) says that it takes a request', async (request) => {
    await expect(Reflect.apply(sessions.authenticate, sessions, [request])).rejects.toThrow(
      'The request must have headers',
    );
  });

  test('setCookie() begins no session for a response that cannot have its cookie', async () => {
    const begun = jest.fn();
    const site = managedSessions({ issuer: { issuer: testIssuer.issuer, jwksUri: testIssuer.jwksUri } });
    site.on('sessionStarted', begun);
    const call = Reflect.apply(site.setCookie, site, [{ headers: {} }, { header: jest.fn() }, testIssuer.issue()]);
    await expect(call).rejects.toThrow("setCookie() must have Node's own response");
    expect(begun).not.toHaveBeenCalled();
    await site.close();
  });
});

function privatePem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

test.each(LOGIN_ERROR_CODES)('a LoginError has its status under the name that Nest and Koa read: %s', (code) => {
  const { status, statusCode } = new LoginError(code, 'refused');
  expect(statusCode).toBe(status);
  expect(statusCode).toBeGreaterThanOrEqual(400);
});
