/** Which sign-in a token belongs to: by claims, by names that a site chooses, and what is said if a token names none. */

import { createHash, createSecretKey } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import fc from 'fast-check';
import supertest from 'supertest';
import {
  authRocket,
  authRocketV1,
  managedSessions,
  oidc,
  type IssuerOptions,
  type ManagedSessions,
  type SessionUnnamed,
} from '../../lib/index.js';
import { sessionHandle, sessionUser } from '../../lib/core/session.js';
import { DEFAULT_SESSION, sessionIdBy, type SessionNaming } from '../../lib/tokens/session-id.js';
import { issuerRules } from '../../lib/tokens/issuer.js';
import { createVerifier } from '../../lib/tokens/verify.js';
import { createTestIssuer } from '../../lib/testing/issuer.js';
import { describeEachFramework } from '../support/frameworks.js';
import { ManualClock } from '../support/issuer.js';
import { forge } from './forge.js';

const ISSUER = 'https://id.example.com/';
const SECRET = 'a secret for tests, 32 bytes long';
const INPUT = 'header.payload';
const DIGEST = createHash('sha256').update(INPUT).digest('base64url');

type Claims = Readonly<Record<string, unknown>>;

const json = (text: string): Claims => JSON.parse(text) as Claims;

describe('the session id', () => {
  test.each<[string, Claims, string, boolean]>([
    ['sid before all others', { session_state: 'e', session_id: 'd', origin_jti: 'c', tk: 'b', sid: 'a' }, 'a', true],
    ['tk before origin_jti', { session_id: 'd', origin_jti: 'c', tk: 'b', jti: 'x' }, 'b', true],
    ['origin_jti before session_id', { session_id: 'd', origin_jti: 'c', jti: 'x' }, 'c', true],
    ['session_id before session_state', { session_state: 'e', session_id: 'd', jti: 'x' }, 'd', true],
    ['session_state before jti', { session_state: 'e', jti: 'x' }, 'e', true],
    ['jti if there is nothing else', { jti: 'x' }, 'x', false],
    ['a jti that is a number', { jti: 7 }, '7', false],
    ['a number, as its decimal digits', { sid: 7 }, '7', true],
    ['0', { sid: 0 }, '0', true],
    ['-0', json('{"sid":-0}'), '0', true],
    ['a negative number', { sid: -7 }, '-7', true],
    ['the largest safe integer', { sid: 9007199254740991 }, '9007199254740991', true],
    ['a larger integer is skipped', json('{"sid":9007199254740993,"tk":"b"}'), 'b', true],
    ['1e400 is skipped', json('{"sid":1e400,"tk":"b"}'), 'b', true],
    ['1e21 is skipped', { sid: 1e21, tk: 'b' }, 'b', true],
    ['a fraction is skipped', { sid: 7.5, tk: 'b' }, 'b', true],
    ['NaN is skipped', { sid: NaN, tk: 'b' }, 'b', true],
    ['an empty string is skipped', { sid: '', tk: 'b' }, 'b', true],
    ['null is skipped', { sid: null, tk: 'b' }, 'b', true],
    ['true is skipped', { sid: true, tk: 'b' }, 'b', true],
    ['a list is skipped', { sid: ['a'], tk: 'b' }, 'b', true],
    ['an object is skipped', { sid: { toString: 'a' }, tk: 'b' }, 'b', true],
    ['a lone surrogate is a string like any other', { sid: '\ud800' }, '\ud800', true],
    ['"__proto__" as a value is one too', { sid: '__proto__' }, '__proto__', true],
    ['no claim: the digest of the signing input', {}, DIGEST, false],
    ['no claim that counts: the digest', { sid: '', tk: null, session_id: [], jti: false }, DIGEST, false],
    ['inherited claims do not count', Object.create({ sid: 'a' }) as Claims, DIGEST, false],
    ['a claim __proto__ does not count', json('{"__proto__":{"sid":"a"}}'), DIGEST, false],
  ])('%s', (_, claims, id, isNamed) => {
    expect(sessionIdBy()(claims, INPUT)).toEqual({ id, isNamed });
  });

  const all = { sid: 'a', device: 'd', n: 5, jti: 'x' };
  test.each<[string, SessionNaming, Claims, string, boolean]>([
    ['another claim, and no longer sid', 'device', all, 'd', true],
    ['another claim that is absent: not sid, but jti', 'device', { sid: 'a', jti: 'x' }, 'x', false],
    ['the first of a list', ['device', 'sid'], all, 'd', true],
    ['the second of a list', ['absent', 'sid'], all, 'a', true],
    ['the second if the first does not count', ['device', 'sid'], { device: '', sid: 'a' }, 'a', true],
    ['jti, as intended', 'jti', all, 'x', true],
    ['jti, as intended, if it is absent', 'jti', { sid: 'a' }, DIGEST, true],
    ['jti, as intended, at the end of a list', ['device', 'jti'], { sid: 'a' }, DIGEST, true],
    ['the claim __proto__', '__proto__', json('{"__proto__":"p","jti":"x"}'), 'p', true],
    ['the claim __proto__ that is absent', '__proto__', { jti: 'x' }, 'x', false],
    ['the claim constructor that is absent', 'constructor', { jti: 'x' }, 'x', false],
    ['a function', (claims) => `${String(claims['device'])}/1`, all, 'd/1', true],
    ['a function that returns a number', (claims) => claims['n'], all, '5', true],
    ['a function that returns nothing', () => undefined, all, 'x', false],
    ['a function that returns null', () => null, all, 'x', false],
    ['a function that returns an empty string', () => '', all, 'x', false],
    ['a function that returns a bigint', () => 5n, all, 'x', false],
    ['a function that returns 2 ** 53', () => 2 ** 53, all, 'x', false],
    ['a function that returns an object', () => ({ toString: () => 'a' }), { jti: 'x' }, 'x', false],
    ['a function that returns a function', () => () => 'a', {}, DIGEST, false],
  ])('by %s', (_, session, claims, id, isNamed) => {
    expect(sessionIdBy(session)(claims, INPUT)).toEqual({ id, isNamed });
  });
});

const clock = new ManualClock();
const open: ManagedSessions[] = [];
let warned: jest.SpyInstance;
beforeEach(() => {
  warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
});
afterEach(async () => {
  for (const sessions of open.splice(0)) await sessions.close();
  jest.restoreAllMocks();
});

const BY_SECRET: IssuerOptions = { issuer: ISSUER, secret: SECRET };

/** A site, and what it is told of tokens that name no session. */
function site(...issuers: readonly IssuerOptions[]) {
  const sessions = managedSessions({ issuer: issuers.length === 0 ? BY_SECRET : issuers, clock });
  open.push(sessions);
  const told: SessionUnnamed[] = [];
  sessions.on('sessionUnnamed', (event) => told.push(event));
  return { sessions, told, handleOf: async (token: string) => (await sessions.verify(token)).session.handle };
}

function tokenOf(claims: Claims, secret = SECRET): string {
  const now = clock.now() / 1000;
  const payload = { iss: ISSUER, sub: 'ann', iat: now, exp: now + 3600, ...claims };
  return forge({ alg: 'HS256', key: createSecretKey(Buffer.from(secret)), payload });
}

describe('refreshed tokens', () => {
  test.each<[string, Partial<IssuerOptions>, Claims]>([
    ['of Amazon Cognito', {}, { origin_jti: 'o' }],
    ['of Supabase', {}, { session_id: 's' }],
    ['by a claim that the site names', { session: 'device' }, { device: 12 }],
    [
      'by a function',
      { session: (claims) => claims['https://shop.example.com/login'] },
      { 'https://shop.example.com/login': 'l' },
    ],
  ])('%s are one session, and an ending holds for those to come', async (_, issuer, claims) => {
    const { sessions, told, handleOf } = site({ ...BY_SECRET, ...issuer });
    const handle = await handleOf(tokenOf({ ...claims, jti: '1' }));
    expect(await handleOf(tokenOf({ ...claims, jti: '2' }))).toBe(handle);
    await sessions.revoke('ann', handle);
    await expect(sessions.verify(tokenOf({ ...claims, jti: '3' }))).rejects.toMatchObject({ code: 'session_revoked' });
    expect(told).toEqual([]);
    expect(warned).not.toHaveBeenCalled();
  });

  test('are a session each, if the site says that this is intended, and nothing is reported', async () => {
    const { told, handleOf } = site({ ...BY_SECRET, session: 'jti' });
    const handles = await Promise.all(['1', '2', undefined].map((jti) => handleOf(tokenOf({ sid: 's', jti }))));
    expect(new Set(handles).size).toBe(3);
    expect(handles[0]).toBe(sessionHandle(sessionUser(ISSUER, 'ann'), '1'));
    expect(told).toEqual([]);
    expect(warned).not.toHaveBeenCalled();
  });

  test('of a preset are told apart as the site says', async () => {
    const v1 = authRocketV1({ secret: SECRET, session: 'device' });
    const v2 = authRocket({ secret: SECRET, session: 'device' });
    const { handleOf } = site(v1, v2);
    const now = clock.now() / 1000;
    for (const claims of [
      { iss: undefined, sub: undefined, uid: 'u', tk: 't', iat: now, exp: now + 60 },
      { iss: 'https://authrocket.com', sid: 's' },
    ]) {
      const [one, refreshed, other] = ['d', 'd', 'e'].map((device, jti) =>
        handleOf(tokenOf({ ...claims, device, jti })),
      );
      expect(await refreshed).toBe(await one);
      expect(await other).not.toBe(await one);
    }
    expect(oidc({ issuer: ISSUER, audience: 'shop', session: 'device' }).session).toBe('device');
  });
});

describe('a token that names no session', () => {
  test('is told once for each issuer, by the names of its claims alone', async () => {
    const other = 'https://other.example.com/';
    const issuers = [BY_SECRET, { ...BY_SECRET, issuer: other, session: ['device'] }] as const;
    const { sessions, told } = site(...issuers);
    const published: unknown[] = [];
    const hear = (message: unknown): number => published.push(message);
    subscribe('managed-sessions:session-unnamed', hear);
    for (const jti of ['secret-1', 'secret-2', 'secret-3']) {
      await sessions.verify(tokenOf({ jti, email: 'ann@example.com' }));
      await sessions.verify(tokenOf({ iss: other, sid: 'secret-sid', jti }));
    }
    unsubscribe('managed-sessions:session-unnamed', hear);

    expect(told).toEqual([
      { issuer: ISSUER, claims: ['iss', 'sub', 'iat', 'exp', 'jti', 'email'] },
      { issuer: other, claims: ['iss', 'sub', 'iat', 'exp', 'sid', 'jti'] },
    ]);
    expect(published).toEqual(told);
    // Each object emits the event. The warning is the process's.
    const second = site(...issuers);
    await second.sessions.verify(tokenOf({ jti: 'secret-4' }));
    expect(second.told).toMatchObject([{ issuer: ISSUER }]);
    expect(warned.mock.calls).toEqual(
      told.map(({ issuer, claims }) => [
        `The tokens of the issuer ${issuer} name no session, so each token is a session of its own, and a refreshed ` +
          'token brings an ended session back. Set the option session of this issuer to the claim that stays the same ' +
          "while a sign-in is refreshed, or to 'jti' if one session per token is intended. " +
          `The token has these claims: ${claims.join(', ')}`,
        { type: 'ManagedSessionsWarning', code: 'MANAGED_SESSIONS_SESSION_UNNAMED' },
      ]),
    );
    const said = JSON.stringify([told, warned.mock.calls]);
    for (const value of ['secret', '@', 'ann', 'eyJ']) expect(said).not.toContain(value);
  });

  test.each<[string, Claims]>([
    ['has no jti either', {}],
    ['has a sid that is too large a number', json('{"sid":9007199254740993}')],
    ['has an empty sid', { sid: '' }],
    ['has a jti', { jti: 'x' }],
  ])('is told if it %s', async (_, claims) => {
    const { sessions, told } = site();
    await sessions.verify(tokenOf(claims));
    expect(told).toEqual([{ issuer: ISSUER, claims: ['iss', 'sub', 'iat', 'exp', ...Object.keys(claims)] }]);
  });

  test.each<[string, string]>([
    ['its signature is invalid', tokenOf({}, 'another secret for tests, 32 bytes')],
    ['it expired', tokenOf({ exp: 1 })],
    ['it has no subject', tokenOf({ sub: '' })],
    ['its issuer is not configured', tokenOf({ iss: 'https://evil.example.com/' })],
  ])('is not told if %s', async (_, token) => {
    const { sessions, told } = site();
    await expect(sessions.verify(token)).rejects.toMatchObject({ status: 401 });
    expect(told).toEqual([]);
    expect(warned).not.toHaveBeenCalled();
  });

  test('cannot make the report long, nor write lines of its own', async () => {
    const issuer = 'https://long.example.com/';
    const { sessions, told } = site({ ...BY_SECRET, issuer });
    const many = Object.fromEntries(Array.from({ length: 400 }, (_, index) => [`c${String(index)}`, 1]));
    await sessions.verify(
      tokenOf({ iss: issuer, [`long${'x'.repeat(1000)}`]: 1, 'two\r\nlines\u001b[31m': 1, '\ud800': 1, ...many }),
    );
    const [{ claims } = { claims: [] }] = told;
    expect(claims).toHaveLength(50);
    expect(claims.slice(4, 8)).toEqual([`long${'x'.repeat(60)}…`, 'two  lines [31m', '\ufffd', 'c0']);
    const [message] = warned.mock.calls.flat() as string[];
    expect(message?.length).toBeLessThan(5000);
    expect(message).not.toMatch(/\p{Cc}/u);
  });

  test('lets its bearer in, whatever a listener of the report does', async () => {
    const { sessions } = site();
    sessions.on('sessionUnnamed', () => {
      throw new Error('in the listener');
    });
    await expect(sessions.verify(tokenOf({}))).resolves.toMatchObject({ user: { id: 'ann' } });
  });

  test('of a test issuer, over its key set, is told too', async () => {
    const issuer = await createTestIssuer({ clock });
    const { sessions, told } = site({ issuer: issuer.issuer, jwksUri: issuer.jwksUri });
    await Promise.all([1, 2].map(() => sessions.verify(issuer.issue({ sid: undefined }))));
    expect(told).toEqual([{ issuer: issuer.issuer, claims: ['iss', 'sub', 'iat', 'exp'] }]);
    await issuer.close();
  });
});

describeEachFramework((_name, makeApp) => {
  const thenable = { then: (resolve: (value: string) => void) => resolve('a') };
  const promised = 'application error: issuer.session must return the session id itself, not a promise of it';
  test.each<[string, (claims: Claims) => unknown, string]>([
    ['returns a promise', () => Promise.resolve('a'), promised],
    ['returns a promise that rejects', () => Promise.reject(new Error('late')), promised],
    ['returns something like a promise', () => thenable, promised],
    [
      'throws',
      () => {
        throw new Error('in the hook');
      },
      'application error: in the hook',
    ],
  ])('a function that %s lets nobody in, and the application hears of it', async (_what, session, text) => {
    const sessions = managedSessions({ issuer: { issuer: ISSUER, secret: SECRET, session }, clock });
    open.push(sessions);
    const admitted = jest.fn();
    const app = makeApp();
    app.mount('/required', sessions.required(), admitted);
    app.mount('/optional', sessions.optional(), admitted);
    for (const path of ['/required', '/optional']) {
      const response = await supertest(app.listener)
        .get(path)
        .set('Authorization', `Bearer ${tokenOf({ sid: 's' })}`);
      expect(response.status).toBe(500);
      expect(response.text).toBe(text);
    }
    expect(admitted).not.toHaveBeenCalled();
    expect(warned).not.toHaveBeenCalled();
  });
});

describe('property', () => {
  /** Of a token's own claims and of `jti`, which changes with each refresh, no sign-in can be named. */
  const name = fc
    .oneof(
      fc.constantFrom(...DEFAULT_SESSION, 'device', '__proto__', 'constructor'),
      fc.string({ minLength: 1, unit: 'binary' }),
    )
    .filter((claim) => !['iss', 'sub', 'iat', 'exp', 'nbf', 'jti', 'cnf', 'events'].includes(claim));
  const id = fc.oneof(
    fc.string({ minLength: 1, unit: 'binary' }),
    fc.maxSafeInteger(),
    fc.constantFrom('__proto__', '\ud800', '\udbff', '\ufffd', ' ', '0', 0),
  );
  const ABSENT = Symbol('the token does not have it');
  const skipped = fc.constantFrom<unknown>(
    '',
    null,
    true,
    7.5,
    2 ** 53,
    -(2 ** 60),
    [],
    ['a'],
    {},
    { id: 'a' },
    ABSENT,
  );
  /** What one token of a sign-in has that another may not have. */
  const refresh = fc.record({
    noise: fc.dictionary(
      fc.oneof(fc.constantFrom('jti', 'email', 'nonce', 'at_hash', 'amr', 'scope'), name),
      fc.jsonValue({ maxDepth: 2 }),
    ),
    /** The claims that are configured before the one that names the sign-in, and after it. */
    before: skipped,
    after: fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constant(ABSENT)),
    lasts: fc.integer({ min: 60, max: 86_400 }),
  });
  const signIns = fc.record({
    form: fc.constantFrom('default', 'claim', 'list', 'function'),
    names: fc.uniqueArray(name, { minLength: 1, maxLength: 5 }),
    position: fc.nat(),
    ids: fc.tuple(id, id).filter(([one, other]) => String(one) !== String(other)),
    /** What the two sign-ins do not have in common. */
    differ: fc.constantFrom('session', 'user', 'issuer'),
    refreshes: fc.array(refresh, { minLength: 2, maxLength: 6 }),
  });
  type SignIns = typeof signIns extends fc.Arbitrary<infer Value> ? Value : never;
  type Refresh = SignIns['refreshes'][number];

  /** The option `session`, undefined if it is left out, and the claims of a token of one of the two sign-ins. */
  function prepared({ form, names, position, ids, differ }: SignIns) {
    const configured = { default: DEFAULT_SESSION, list: names, claim: names.slice(0, 1), function: names.slice(0, 1) }[
      form
    ];
    const used = position % configured.length;
    const identities = {
      session: [{}, {}],
      user: [{ sub: 'ann' }, { sub: 'ben' }],
      issuer: [{ iss: ISSUER }, { iss: OTHER_ISSUER }],
    }[differ];
    const claimsOf = (signIn: 0 | 1, { noise, before, after }: Refresh): Claims => {
      const members = configured.map((claim, index): [string, unknown] => {
        if (index === used) return [claim, ids[differ === 'session' ? signIn : 0]];
        return [claim, index < used ? before : after];
      });
      const free = Object.entries(noise).filter(([claim]) => !configured.includes(claim));
      return {
        ...Object.fromEntries([...free, ...members.filter(([, value]) => value !== ABSENT)]),
        ...identities[signIn],
      };
    };
    const [first = ''] = configured;
    const byFunction = (claims: Claims): unknown => (Object.hasOwn(claims, first) ? claims[first] : undefined);
    const session = { default: undefined, claim: first, list: configured, function: byFunction }[form];
    return { session, claimsOf };
  }

  const OTHER_ISSUER = 'https://other.example.com/';

  test('the tokens of one sign-in have one handle, and those of two sign-ins have two', () => {
    fc.assert(
      fc.property(signIns, (drawn) => {
        const { session, claimsOf } = prepared(drawn);
        const onUnnamed = jest.fn();
        const issuers = [ISSUER, OTHER_ISSUER].map((issuer) =>
          issuerRules({ issuer, secret: SECRET, ...(session !== undefined && { session }) }, 'issuer', {
            clock,
            onKeyEvent: () => undefined,
          }),
        );
        const verifier = createVerifier({ issuers, clock, lifetime: () => null, onUnnamed });
        const handlesOf = (signIn: 0 | 1) =>
          drawn.refreshes.map((each, age) => {
            const iat = clock.now() / 1000 - age;
            const token = verifier.verify(tokenOf({ ...claimsOf(signIn, each), iat, exp: iat + each.lasts }));
            return token instanceof Promise ? undefined : token.handle;
          });
        const handles = [handlesOf(0), handlesOf(1)];
        expect(handles.map((each) => new Set(each).size)).toEqual([1, 1]);
        expect(new Set(handles.flat()).size).toBe(2);
        expect(onUnnamed).not.toHaveBeenCalled();
      }),
    );
  });
});
