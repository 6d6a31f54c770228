import { claimOf, isClaims, standardProfile } from '../../lib/core/claims.js';
import { checkClaims, type ClaimRules } from '../../lib/core/claim-checks.js';
import type { LoginErrorCode } from '../../lib/core/errors.js';

const NOW = 1_700_000_000_000;
const S = NOW / 1000;
const rules: ClaimRules = {
  issuer: 'https://id.example.com/',
  audience: 'shop',
  clockTolerance: 5000,
  lifetime: () => null,
};
const good = { iss: 'https://id.example.com/', sub: 'usr_1', aud: 'shop', iat: S - 60, exp: S + 60 };
const byAuthTime: ClaimRules = { ...rules, began: 'auth_time' };
const byFirstSighting: ClaimRules = { ...rules, began: 'first-seen' };
const hour = { ...rules, lifetime: () => 3_600_000 };
const { exp: _exp, ...endless } = good;
const { iat: _iat, ...startless } = good;

/** As it comes out of a token: `1e400` and duplicate names can be said in JSON only. */
const json = (text: string): Record<string, unknown> =>
  JSON.parse(
    `{"iss":"https://id.example.com/","sub":"usr_1","aud":"shop","iat":${S - 60},"exp":${S + 60},${text}}`,
  ) as Record<string, unknown>;

type Row = [name: string, payload: unknown, rules?: Partial<ClaimRules>];
const startsWithA = (value: unknown) => (value as string).startsWith('a');
const isInherited = (value: unknown) => value !== undefined;
const isTwo = (value: unknown) => value === 2;
const refused = (code: LoginErrorCode, rows: Row[]) => {
  describe(code, () => {
    test.each(rows)('%s', (_, payload, changed = {}) => {
      expect(() => checkClaims(payload, { ...rules, ...changed }, NOW)).toThrow(expect.objectContaining({ code }));
    });
  });
};

describe('refused with', () => {
  refused('token_malformed', [
    ['null', null],
    ['undefined', undefined],
    ['a list', [good]],
    ['a text', JSON.stringify(good)],
    ['a number', 5],
    ['true', true],
  ]);

  const cnf = { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' };
  refused('proof_required', [
    ['a token that is bound to a key, by DPoP', { ...good, cnf }],
    ['by mutual TLS', { ...good, cnf: { 'x5t#S256': 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2' } }],
    ['by an empty cnf', { ...good, cnf: {} }],
    ['by a cnf that is null', { ...good, cnf: null }],
    ['by a cnf that is an empty string', { ...good, cnf: '' }],
    ['by a cnf that is false', { ...good, cnf: false }],
    ['refused by name', { ...good, cnf }, { senderConstrained: 'refuse' }],
    ['that has expired as well', { ...good, cnf, exp: S - 60 }],
  ]);
  refused('audience_refused', [['a bound token for another audience', { ...good, cnf, aud: 'other' }]]);

  refused('type_refused', [
    ['a logout token', { ...good, events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }],
    [
      'a logout event that is null',
      { ...good, events: { 'http://schemas.openid.net/event/backchannel-logout': null } },
    ],
  ]);

  refused('issuer_refused', [
    ['no iss', { ...good, iss: undefined }],
    ['another iss', { ...good, iss: 'https://id.example.org/' }],
    ['iss without its slash', { ...good, iss: 'https://id.example.com' }],
    ['iss in other case', { ...good, iss: 'https://ID.example.com/' }],
    ['iss in a list', { ...good, iss: ['https://id.example.com/'] }],
    ['iss that is null', { ...good, iss: null }],
    ['an iss where none is expected', good, { issuer: 'authrocket', withoutIssuer: true }],
    ['an iss that is null where none is expected', { ...good, iss: null }, { issuer: 'v1', withoutIssuer: true }],
  ]);

  refused('audience_refused', [
    ['no aud', { ...good, aud: undefined }],
    ['another aud', { ...good, aud: 'billing' }],
    ['aud in other case', { ...good, aud: 'Shop' }],
    ['aud as a text of words', { ...good, aud: 'shop billing' }],
    ['an empty aud', { ...good, aud: '' }],
    ['an empty list', { ...good, aud: [] }],
    ['a list of others', { ...good, aud: ['billing', 'mail'] }],
    ['a list with a number in it', { ...good, aud: ['shop', 5] }],
    ['a list in a list', { ...good, aud: [['shop']] }],
    ['an object', { ...good, aud: { shop: true } }],
    ['an object like a list', { ...good, aud: { 0: 'shop', length: 1 } }],
    ['null', { ...good, aud: null }],
    ['true', { ...good, aud: true }],
    ['none of several', { ...good, aud: 'mail' }, { audience: ['shop', 'billing'] }],
    ['an audience of none', good, { audience: [] }],
  ]);

  refused('claim_invalid', [
    ['no sub', { ...good, sub: undefined }],
    ['an empty sub', { ...good, sub: '' }],
    ['a sub that is a number', { ...good, sub: 5 }],
    ['a sub that is null', { ...good, sub: null }],
    ['a sub that is true', { ...good, sub: true }],
    ['a sub that is a list', { ...good, sub: ['usr_1'] }],
    ['a sub that is an object', { ...good, sub: {} }],
    ['a sub with a lone surrogate', { ...good, sub: 'usr_\ud800' }],
    ['a sub that is inherited', json('"sub":null,"__proto__":{"sub":"usr_1"}')],
    ['no claim of the name that is configured', good, { subject: 'uid' }],
    ['a claim that every object inherits', good, { subject: 'constructor' }],

    ['no exp', endless],
    ['exp as a text', { ...good, exp: String(S + 60) }],
    ['exp as a date', { ...good, exp: '2030-01-01T00:00:00Z' }],
    ['exp that is null', { ...good, exp: null }],
    ['exp that is true', { ...good, exp: true }],
    ['exp that is a list', { ...good, exp: [S + 60] }],
    ['exp beyond all dates', { ...good, exp: 8.64e12 + 1 }],
    ['exp in milliseconds of a far year', { ...good, exp: 9e12 }],
    ['exp that is infinite', json('"exp":1e400')],
    ['exp that is infinitely long ago', json('"exp":-1e400')],
    ['exp that is no number', { ...good, exp: NaN }],
    ['exp as a text where a lifetime is set', { ...good, iat: S, exp: String(S + 60) }, hour],
    ['exp that is null where a lifetime is set', { ...good, iat: S, exp: null }, hour],
    ['nbf as a text', { ...good, nbf: String(S) }],
    ['nbf that is null', { ...good, nbf: null }],
    ['nbf that is infinite', json('"nbf":1e400')],
    ['iat as a text', { ...good, iat: String(S) }],
    ['iat that is null', { ...good, iat: null }],
    ['iat infinitely long ago', json('"iat":-1e400')],
    ['no iat', startless],
    ['no iat where a lifetime is set', startless, hour],
    ['neither auth_time nor iat', startless, { began: 'auth_time' }],
    ['auth_time as a string', { ...good, auth_time: String(S) }, { began: 'auth_time' }],
    ['auth_time that is null', { ...good, auth_time: null }, { began: 'auth_time' }],
    ['auth_time that is infinite', json('"auth_time":-1e400'), { began: 'auth_time' }],
    ['auth_time beyond all dates', { ...good, auth_time: 8.64e12 + 1 }, { began: 'auth_time' }],
    ['auth_time a millisecond beyond the tolerance', { ...good, auth_time: S + 5.001 }, { began: 'auth_time' }],
    ['session_expiry as a string', { ...good, session_expiry: String(S + 60) }],
    ['session_expiry that is null', { ...good, session_expiry: null }],
    ['session_expiry that is infinite', json('"session_expiry":1e400')],
    ['session_expiry that is a list', { ...good, session_expiry: [S + 60] }],

    ['a required claim that is missing', good, { claims: { rid: 'rl_1' } }],
    ['a required claim of another value', { ...good, rid: 'rl_2' }, { claims: { rid: 'rl_1' } }],
    ['a required claim of another kind', { ...good, level: '2' }, { claims: { level: 2 } }],
    ['a required claim in a list', { ...good, rid: ['rl_1'] }, { claims: { rid: 'rl_1' } }],
    ['none of the values allowed', { ...good, rid: 'rl_3' }, { claims: { rid: ['rl_1', 'rl_2'] } }],
    ['null where it is missing', good, { claims: { rid: null } }],
    ['a claim that every object inherits', good, { claims: { toString: isInherited } }],
    ['what a predicate refuses', { ...good, level: 1 }, { claims: { level: isTwo } }],
    ['what a predicate chokes on', good, { claims: { level: startsWithA } }],
    ['one of several claims', { ...good, a: 1, b: 2 }, { claims: { a: 1, b: 1 } }],
  ]);

  refused('token_expired', [
    ['long ago', { ...good, exp: S - 3600 }],
    ['in the millisecond in which the tolerance ends', { ...good, exp: S - 5 }],
    ['a fraction of a second ago', { ...good, exp: S - 0.001 }, { clockTolerance: 0 }],
    ['now', { ...good, exp: S }, { clockTolerance: 0 }],
    ['1970', { ...good, exp: 0 }],
    ['-0', json('"exp":-0')],
    ['before 1970', { ...good, exp: -8.64e12 }],
    ['the first of two exp of the same name would be good', json(`"exp":${S + 60},"exp":${S - 60}`)],
    ['although its session may live longer', { ...good, iat: S - 60, exp: S - 30 }, hour],
  ]);

  refused('token_not_yet_valid', [
    ['nbf a millisecond beyond the tolerance', { ...good, nbf: S + 5.001 }],
    ['iat a millisecond beyond the tolerance', { ...good, iat: S + 5.001 }],
    ['nbf in milliseconds', { ...good, nbf: NOW }],
    ['iat in milliseconds', { ...good, iat: NOW }],
    ['nbf to come while iat has been', { ...good, iat: S - 60, nbf: S + 60 }],
  ]);

  refused('session_expired', [
    ['the lifetime is over, by auth_time', { ...good, auth_time: S - 3605 }, { ...hour, began: 'auth_time' }],
    ['session_expiry', { ...good, session_expiry: S - 5 }],
    ['session_expiry before the end of the lifetime', { ...good, session_expiry: S - 5 }, hour],
    ['session_expiry in 1970', { ...good, session_expiry: 0 }],
    ['the lifetime is over', { ...endless, iat: S - 3605 }, hour],
    ['the lifetime is over, the token would be good', { ...good, iat: S - 7200 }, hour],
  ]);
});

describe('a clock that answers NaN refuses', () => {
  test.each<[string, object, ClaimRules]>([
    ['session_expiry', { ...endless, session_expiry: S }, { ...hour, began: 'first-seen' }],
    ['auth_time', { ...endless, auth_time: S }, { ...hour, began: 'auth_time' }],
    ['exp', good, rules],
    ['lifetime', { ...endless, iat: S }, hour],
  ])('%s', (_, payload, withRules) => {
    expect(() => checkClaims(payload, withRules, NaN)).toThrow(expect.objectContaining({ name: 'LoginError' }));
  });
});

describe('passes', () => {
  test.each<Row>([
    ['the least there is', good],
    ['a list of audiences', { ...good, aud: ['mail', 'shop'] }],
    ['one of several audiences', { ...good, aud: ['mail'] }, { audience: ['shop', 'mail'] }],
    ['an events claim of another kind', { ...good, events: { party: true } }],
    ['a list of events', { ...good, events: ['http://schemas.openid.net/event/backchannel-logout'] }],
    ['exp a millisecond before the tolerance ends', { ...good, exp: S - 4.999 }],
    ['nbf within the tolerance', { ...good, nbf: S + 5 }],
    ['iat within the tolerance', { ...good, iat: S + 5 }],
    ['exp at the last date', { ...good, exp: 8.64e12 }],
    ['nbf and iat at the first date', { ...good, nbf: -8.64e12, iat: -8.64e12 }],
    ['fractions of seconds', { ...good, exp: S + 0.25, iat: S - 0.75, nbf: S - 0.5 }],
    ['a huge sub', { ...good, sub: 'x'.repeat(6000) }],
    ['a sub of emoji', { ...good, sub: '😀' }],
    ['a sub that names a prototype', { ...good, sub: '__proto__' }],
    ['__proto__ and constructor as claims', json('"__proto__":{"sub":"admin"},"constructor":"x"')],
    ['a required value', { ...good, rid: 'rl_1' }, { claims: { rid: 'rl_1' } }],
    ['one of the values allowed', { ...good, rid: 'rl_2' }, { claims: { rid: ['rl_1', 'rl_2'] } }],
    ['null where it is required', { ...good, rid: null }, { claims: { rid: null } }],
    ['what a predicate accepts', { ...good, groups: ['a'] }, { claims: { groups: Array.isArray } }],
    ['a lifetime without exp', { ...endless, iat: S }, hour],
    ['the last millisecond of session_expiry and its tolerance', { ...good, session_expiry: S - 4.999 }],
    ['the last millisecond of a lifetime and its tolerance', { ...endless, iat: S - 3604.999 }, hour],
  ])('%s', (_, payload, changed = {}) => {
    const subject = claimOf(payload as Record<string, unknown>, 'sub');
    expect(checkClaims(payload, { ...rules, ...changed }, NOW)).toMatchObject({ issuer: rules.issuer, subject });
  });

  test('any aud where none is configured', () => {
    const { audience: _, ...anyAudience } = rules;
    expect(checkClaims({ ...good, aud: { not: ['even', 5] } }, anyAudience, NOW).subject).toBe('usr_1');
  });

  test('a token without iss, whose issuer has a fixed name and names users by uid', () => {
    const v1 = { ...rules, issuer: 'authrocket:rl_1', withoutIssuer: true, subject: 'uid', audience: 'rl_1' };
    const checked = checkClaims({ uid: 'usr_1', sub: 'not me', aud: 'rl_1', iat: S - 60, exp: S + 60 }, v1, NOW);
    expect(checked).toMatchObject({ issuer: 'authrocket:rl_1', subject: 'usr_1' });
  });
});

describe('times', () => {
  test.each<[string, object, ClaimRules, object]>([
    ['as usual', good, rules, {}],
    ['a lifetime', { ...endless, iat: S }, hour, { beganAt: NOW, expiresAt: null, lifetime: 3_600_000 }],
    ['whole milliseconds', { ...good, exp: S + 1.0014 }, rules, { expiresAt: NOW + 1001 }],
    ['-0 is 0', { ...good, iat: -0 }, rules, { beganAt: 0 }],
    ['session_expiry', { ...good, session_expiry: S + 30.5 }, rules, { sessionEndsAt: NOW + 30_500 }],
    ['auth_time that nobody asked for', { ...good, auth_time: 'long ago' }, rules, {}],
    ['auth_time before iat', { ...good, auth_time: S - 90 }, byAuthTime, { beganAt: NOW - 90_000 }],
    ['auth_time after iat', { ...good, auth_time: S - 30 }, byAuthTime, { beganAt: NOW - 60_000 }],
    ['auth_time within the tolerance', { ...startless, auth_time: S + 5 }, byAuthTime, { beganAt: NOW + 5000 }],
    ['no auth_time', good, byAuthTime, { beganAt: NOW - 60_000 }],
    ['auth_time and no iat', { ...startless, auth_time: S - 90 }, byAuthTime, { beganAt: NOW - 90_000 }],
    ['the first sighting, with iat', good, byFirstSighting, { beganAt: null }],
    ['the first sighting, without', startless, byFirstSighting, { beganAt: null }],
    [
      'the first sighting, with a lifetime and without exp',
      { ...endless, iat: S - 7200 },
      { ...byFirstSighting, lifetime: hour.lifetime },
      { beganAt: null, expiresAt: null, lifetime: 3_600_000 },
    ],
  ])('%s', (_, payload, withRules, times) => {
    const usual = { beganAt: NOW - 60_000, expiresAt: NOW + 60_000, lifetime: null, sessionEndsAt: null };
    const { iat } = payload as { readonly iat?: number };
    const issuedAt = iat === undefined ? null : iat * 1000 + 0;
    expect(checkClaims(payload, withRules, NOW).times).toStrictEqual({ ...usual, issuedAt, ...times });
  });

  test('a token that does not say when its session began is told of the option', () => {
    expect(() => checkClaims(startless, rules, NOW)).toThrow(/set its option began to 'first-seen'/);
  });

  test('the lifetime may be read from the claims', () => {
    const lifetime = (claims: Readonly<Record<string, unknown>>) => (claims['remember'] === true ? 1000 : null);
    const withRules = { ...rules, lifetime };
    expect(checkClaims({ ...good, iat: S, remember: true }, withRules, NOW).times.lifetime).toBe(1000);
    expect(checkClaims(good, withRules, NOW).times.lifetime).toBeNull();
  });

  test.each([0, -1, NaN, Infinity])('a lifetime of %p is the application’s mistake', (lifetime) => {
    expect(() => checkClaims({ ...good, iat: S }, { ...rules, lifetime: () => lifetime }, NOW)).toThrow(TypeError);
  });
});

test.each<[string, object, Partial<ClaimRules>]>([
  ['a token without cnf is a bearer token', good, {}],
  ['a bound token, where the site ignores that', { ...good, cnf: { jkt: 'x' } }, { senderConstrained: 'ignore' }],
  ['an inherited cnf is none', Object.assign(Object.create({ cnf: {} }) as object, good), {}],
  ['a cnf in __proto__ is none', json('"__proto__":{"cnf":{}}'), {}],
])('accepted: %s', (_, payload, changed) => {
  expect(checkClaims(payload, { ...rules, ...changed }, NOW)).toMatchObject({ subject: 'usr_1' });
});

test.each<[string, object, string[]]>([
  ['scope, a text of words', { scope: 'orders:read  orders:write ' }, ['orders:read', 'orders:write']],
  ['scp, a text of words', { scp: 'a b' }, ['a', 'b']],
  ['scp, a list', { scp: ['a', 'b'] }, ['a', 'b']],
  ['scope before scp', { scope: 'a', scp: ['b'] }, ['a']],
  ['scope, a list', { scope: ['a', 'b'] }, ['a', 'b']],
  ['scope, a list, before scp', { scope: ['a'], scp: ['b'] }, ['a']],
  ['an empty scope grants nothing, whatever scp says', { scope: '', scp: 'b' }, []],
  ['a scope of spaces grants nothing', { scope: '  ', scp: 'b' }, []],
  ['an empty list grants nothing', { scope: [], scp: 'b' }, []],
  ['a scope that is null grants nothing', { scope: null, scp: 'b' }, []],
  ['a scope that is a number grants nothing', { scope: 5, scp: 'b' }, []],
  ['a scope in __proto__ is absent', json('"__proto__":{"scope":"admin"},"scp":"b"'), ['b']],
  ['a list of scope with other things in it', { scope: ['a', 5, null, ['b'], ''] }, ['a']],
  ['a list with other things in it', { scp: ['a', 5, null, ['b'], ''] }, ['a']],
  ['a listed scope with a space is one, and so none', { scp: ['a b'] }, ['a b']],
  ['only the space parts words', { scope: 'a\tb\u00a0c' }, ['a\tb\u00a0c']],
  ['none', {}, []],
  ['an object', { scope: { admin: true }, scp: { 0: 'admin' } }, []],
])('scopes: %s', (_, claims, scopes) => {
  expect(checkClaims({ ...good, ...claims }, rules, NOW).scopes).toEqual(scopes);
});

describe('scopes by the issuer’s own function', () => {
  const rejecting = () => Promise.reject(new Error('late'));
  const given = (scopes: unknown) =>
    checkClaims(
      { ...good, scope: 'x' },
      { ...rules, scopes: () => (scopes === rejecting ? rejecting() : scopes) as string[] },
      NOW,
    );
  const endless = { then: (): undefined => undefined };

  test('are a list of its own', () => {
    const scopes = ['a', 'b c'];
    expect(given(scopes).scopes).toEqual(scopes);
    expect(given(scopes).scopes).not.toBe(scopes);
    const byClaims = (claims: Readonly<Record<string, unknown>>) => [`${String(claims['role'])}:read`];
    expect(checkClaims({ ...good, role: 'clerk' }, { ...rules, scopes: byClaims }, NOW).scopes).toEqual(['clerk:read']);
  });

  test.each<[string, unknown, string[]]>([
    ['none', [], []],
    ['the empty string of a split', ''.split(' '), []],
    ['other things', ['a', 5, null, undefined, ['b'], { c: 1 }], ['a']],
  ])('count if they are strings: %s', (_, scopes, expected) => {
    expect(given(scopes).scopes).toEqual(expected);
  });

  test.each<[string, unknown, string]>([
    ['a promise', Promise.resolve(['a']), 'scopes must return a list of strings, not a promise of it'],
    ['a promise that rejects', rejecting, 'scopes must return a list of strings, not a promise of it'],
    ['something like a promise', endless, 'scopes must return a list of strings, not a promise of it'],
    ['undefined', undefined, 'scopes must return a list of strings, got undefined'],
    ['null', null, 'scopes must return a list of strings, got null'],
    ['a string', 'a b', 'scopes must return a list of strings, got a string'],
    ['a Set', new Set(['a']), 'scopes must return a list of strings, got a Set'],
  ])('are the application’s mistake: %s', (_, scopes, message) => {
    expect(() => given(scopes)).toThrow(new TypeError(message));
  });

  test('pass on what it throws', () => {
    const scopes = () => {
      throw new Error('in the hook');
    };
    expect(() => checkClaims(good, { ...rules, scopes }, NOW)).toThrow(new Error('in the hook'));
  });
});

describe('profile', () => {
  test('by OpenID Connect', () => {
    const claims = { ...good, name: 'Ann', preferred_username: 'ann', email: 'ann@example.com' };
    const profile = { name: 'Ann', username: 'ann', email: 'ann@example.com' };
    expect(checkClaims(claims, rules, NOW).profile).toStrictEqual(profile);
  });

  test('has only what is a text', () => {
    expect(standardProfile({ name: '', preferred_username: 5, email: null })).toStrictEqual({});
    expect(standardProfile(json('"__proto__":{"name":"Ann"}'))).toStrictEqual({});
  });

  test('by the issuer’s own function', () => {
    const profile = (claims: Readonly<Record<string, unknown>>) => ({ name: `${String(claims['fn'])}!` });
    expect(checkClaims({ ...good, fn: 'Ann' }, { ...rules, profile }, NOW).profile).toEqual({ name: 'Ann!' });
  });
});

describe('a subject by a function', () => {
  const by = (subject: unknown): ClaimRules => ({ ...rules, subject: (() => subject) as never });

  test('is what it returns', () => {
    const subject = ({ oid, sub }: Readonly<Record<string, unknown>>) => `${String(oid)}/${String(sub)}`;
    expect(checkClaims({ ...good, oid: 'o1' }, { ...rules, subject }, NOW).subject).toBe('o1/usr_1');
  });

  test.each([[undefined], [null], [''], [7], [{}], [['usr_1']], ['\ud800']])('%j is claim_invalid', (subject) => {
    expect(() => checkClaims(good, by(subject), NOW)).toThrow(expect.objectContaining({ code: 'claim_invalid' }));
  });

  test.each([[Promise.resolve('usr_1')], [Promise.reject(new Error('late'))]])(
    'a promise is a TypeError',
    (subject) => {
      expect(() => checkClaims(good, by(subject), NOW)).toThrow(/not a promise/);
    },
  );

  test('what it throws is passed on', () => {
    const subject = (): never => {
      throw new RangeError('of the application');
    };
    expect(() => checkClaims(good, { ...rules, subject }, NOW)).toThrow(RangeError);
  });
});

test('no message says anything of what the token holds', () => {
  const told: string[] = [];
  for (const secret of ['hunter2', 'hunter3']) {
    for (const name of ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'rid']) {
      try {
        checkClaims({ ...good, rid: 'rl_1', [name]: [secret] }, { ...rules, claims: { rid: 'rl_1' } }, NOW);
      } catch (error) {
        told.push((error as Error).message);
      }
    }
  }
  expect(told).toHaveLength(14);
  expect(told.join()).not.toContain('hunter');
});

test.each<[unknown, boolean]>([
  [{}, true],
  [Object.create(null), true],
  [[], false],
  [null, false],
  ['{}', false],
  [undefined, false],
])('isClaims(%p) is %p', (value, expected) => {
  expect(isClaims(value)).toBe(expected);
});
