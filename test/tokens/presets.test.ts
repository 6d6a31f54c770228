/** Providers as they are: their own tokens, their own keys, one shape of user. */

import { createHmac, sign, type KeyObject } from 'node:crypto';
import { LoginError } from '../../lib/core/errors.js';
import { issuerRules, type IssuerOptions } from '../../lib/tokens/issuer.js';
import { authRocket, authRocketV1, oidc } from '../../lib/tokens/presets.js';
import { createVerifier, type VerifiedToken, type Verifier } from '../../lib/tokens/verify.js';
import { createEndpoint, jwkOf, keySet, KEYS, ManualClock } from '../support/issuer.js';

const NOW = Date.UTC(2026, 2, 1, 9);
const IAT = NOW / 1000;
const V1_SECRET = 'jsk_v1-0123456789abcdefghijklmnopqrstuvwxyz';
const V2_SECRET = 'jsk_v2-0123456789abcdefghijklmnopqrstuvwxyz';
const { rsa } = KEYS;

/** As AuthRocket's version 2 issues them. */
const V2 = {
  iss: 'https://authrocket.com',
  sub: 'usr_0vdbZxv5nBhQiBgaNYxlqH',
  sid: 'kss_0vdQlWFDo5TIhJmlFX1tZm',
  rid: 'rl_0vdaUwYHA7L3Fn0JsONgeY',
  iat: IAT,
  exp: IAT + 86_400,
  name: 'Jane Doe',
  given_name: 'Jane',
  family_name: 'Doe',
  preferred_username: 'jane',
  email: 'jane@example.com',
  email_verified: true,
  locale: 'en',
  ref: 'customer-17',
  cs: { plan: 'pro' },
  orgs: [
    {
      oid: 'org_0vdd8TVDpMRyrYqmnNCpRO',
      mid: 'mb_0vdfTk6tRxBV4F0iHBTYbS',
      perm: ['ar:owner', 'orders:read'],
      selected: true,
      name: 'Widgets Inc',
      ref: 'widgets',
      cs: {},
    },
    { oid: 'org_0vdg3Xs7ZfBh1Tqk5yYBzP', mid: 'mb_0vdh7Qm2LrVd8Kc4TpWsJn', perm: [], name: 'Gadgets Ltd' },
  ],
};

/** As AuthRocket's version 1 issues them. */
const V1 = {
  aud: 'rl_0vdaUwYHA7L3Fn0JsONgeY',
  uid: 'usr_0vdbZxv5nBhQiBgaNYxlqH',
  tk: 'kss_0vdQlWFDo5TIhJmlFX1tZm',
  iat: IAT,
  exp: IAT + 86_400,
  un: 'jane',
  fn: 'Jane',
  ln: 'Doe',
  n: 'Jane Doe',
  m: [
    { p: ['ar:owner', 'orders:read'], oid: 'org_0vdd8TVDpMRyrYqmnNCpRO', o: 'Widgets Inc', cs: {} },
    { p: [], oid: 'org_0vdg3Xs7ZfBh1Tqk5yYBzP', o: 'Gadgets Ltd' },
  ],
};

const clock = new ManualClock(NOW);
const surroundings = { clock, onKeyEvent: () => {} };

function verifierOf(...issuers: IssuerOptions[]): Verifier {
  return createVerifier({
    issuers: issuers.map((options, index) => issuerRules(options, `issuer[${index}]`, surroundings)),
    clock,
    lifetime: () => null,
  });
}

function encode(part: unknown): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

function hs256(claims: unknown, secret: string): string {
  const signingInput = `${encode({ typ: 'JWT', alg: 'HS256' })}.${encode(claims)}`;
  return `${signingInput}.${createHmac('sha256', secret).update(signingInput).digest('base64url')}`;
}

function rs256(claims: unknown, key: KeyObject, kid?: string): string {
  const signingInput = `${encode({ typ: 'JWT', alg: 'RS256', kid })}.${encode(claims)}`;
  return `${signingInput}.${sign('sha256', Buffer.from(signingInput), key).toString('base64url')}`;
}

function verified(verifier: Verifier, token: string): VerifiedToken {
  const result = verifier.verify(token);
  if (result instanceof Promise) throw new Error('A static key was waited for');
  return result;
}

function codeOf(act: () => unknown): string {
  try {
    act();
    return 'good';
  } catch (error) {
    if (error instanceof LoginError) return error.code;
    throw error;
  }
}

describe('authRocket', () => {
  const widgets = {
    id: 'org_0vdd8TVDpMRyrYqmnNCpRO',
    membershipId: 'mb_0vdfTk6tRxBV4F0iHBTYbS',
    name: 'Widgets Inc',
    reference: 'widgets',
    permissions: ['ar:owner', 'orders:read'],
    selected: true,
  };

  it('reads a token under the whole secret as UTF-8', () => {
    const { user, profile, handle } = verified(verifierOf(authRocket({ secret: V2_SECRET })), hs256(V2, V2_SECRET));
    expect(user).toMatchObject({ issuer: 'https://authrocket.com', subject: V2.sub });
    expect(profile).toEqual({
      name: 'Jane Doe',
      username: 'jane',
      email: 'jane@example.com',
      orgs: [
        widgets,
        {
          id: 'org_0vdg3Xs7ZfBh1Tqk5yYBzP',
          membershipId: 'mb_0vdh7Qm2LrVd8Kc4TpWsJn',
          name: 'Gadgets Ltd',
          reference: null,
          permissions: [],
          selected: false,
        },
      ],
    });
    expect(handle).toMatch(/^[\w-]{22}$/);
  });

  it.each([[''], ['/']])("reads one under LoginRocket's key set, with the bare public key in x5c", async (slash) => {
    const x5c = [rsa.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')];
    const asked: unknown[] = [];
    const loginRocket = await createEndpoint((response, request) => {
      asked.push(request.url);
      keySet(jwkOf(rsa.publicKey, { kid: 'jwk_0vdY', use: 'sig', alg: 'RS256', x5c }))(response, request);
    });
    try {
      const verifier = verifierOf(authRocket({ loginRocketUrl: `${loginRocket.url}${slash}`, realm: V2.rid }));
      const { profile } = await verifier.verify(rs256(V2, rsa.privateKey, 'jwk_0vdY'));
      expect(profile.orgs?.[0]).toEqual(widgets);
      expect(asked).toEqual(['/connect/jwks']);
    } finally {
      await loginRocket.close();
    }
  });

  it('is one session for the same token, and for another of the same login', () => {
    const verifier = verifierOf(authRocket({ secret: V2_SECRET }));
    const first = verified(verifier, hs256(V2, V2_SECRET)).handle;
    expect(verified(verifier, hs256(V2, V2_SECRET)).handle).toBe(first);
    expect(verified(verifier, hs256({ ...V2, iat: IAT + 1, exp: V2.exp + 1 }, V2_SECRET)).handle).toBe(first);
    expect(verified(verifier, hs256({ ...V2, sid: 'kss_other' }, V2_SECRET)).handle).not.toBe(first);
  });

  it.each<[string, object]>([
    ['no email_verified', { email_verified: undefined }],
    ['no locale', { locale: undefined }],
    ['no custom attributes', { cs: undefined, ref: undefined }],
  ])('does with %s', (_name, change) => {
    expect(
      codeOf(() => verified(verifierOf(authRocket({ secret: V2_SECRET })), hs256({ ...V2, ...change }, V2_SECRET))),
    ).toBe('good');
  });

  it.each<[string, unknown, readonly unknown[]]>([
    ['absent', undefined, []],
    ['null', null, []],
    ['an object', { oid: 'org_1' }, []],
    [
      'rubbish among them',
      [null, 1, 'org_1', [], { oid: 7 }, { oid: '' }, { oid: 'org_1' }],
      [{ id: 'org_1', membershipId: null, name: null, reference: null, permissions: [], selected: false }],
    ],
    [
      'odd members',
      [{ oid: 'org_1', perm: 'ar:owner', selected: 'yes', name: 3, mid: {}, ref: '' }],
      [{ id: 'org_1', membershipId: null, name: null, reference: null, permissions: [], selected: false }],
    ],
    [
      'odd permissions',
      [{ oid: 'org_1', perm: ['a', 1, null, 'b'], selected: true }],
      [{ id: 'org_1', membershipId: null, name: null, reference: null, permissions: ['a', 'b'], selected: true }],
    ],
  ])('reads orgs that are %s', (_name, orgs, expected) => {
    const { profile } = verified(verifierOf(authRocket({ secret: V2_SECRET })), hs256({ ...V2, orgs }, V2_SECRET));
    expect(profile.orgs).toEqual(expected);
  });

  it.each<[string, object, string]>([
    ['the realm', {}, 'good'],
    ['another realm', { rid: 'rl_other' }, 'claim_invalid'],
    ['no realm', { rid: undefined }, 'claim_invalid'],
    ['a list of realms', { rid: [V2.rid] }, 'claim_invalid'],
    ['another issuer', { iss: 'https://authrocket.example' }, 'issuer_refused'],
    ['no user', { sub: undefined }, 'claim_invalid'],
  ])('answers a token of %s with %s', (_name, change, code) => {
    const verifier = verifierOf(authRocket({ secret: V2_SECRET, realm: V2.rid }));
    expect(codeOf(() => verified(verifier, hs256({ ...V2, ...change }, V2_SECRET)))).toBe(code);
  });

  it('keeps the claims that the application requires beside the realm', () => {
    const verifier = verifierOf(authRocket({ secret: V2_SECRET, realm: V2.rid, claims: { email_verified: true } }));
    expect(codeOf(() => verified(verifier, hs256(V2, V2_SECRET)))).toBe('good');
    expect(codeOf(() => verified(verifier, hs256({ ...V2, email_verified: false }, V2_SECRET)))).toBe('claim_invalid');
    expect(codeOf(() => verified(verifier, hs256({ ...V2, rid: 'rl_other' }, V2_SECRET)))).toBe('claim_invalid');
  });

  it.each<[unknown, string]>([
    [{}, 'authRocket() must have exactly one of loginRocketUrl, secret, publicKey, got none of them'],
    [
      { loginRocketUrl: 'https://a.loginrocket.com', secret: V2_SECRET },
      'authRocket() must have exactly one of loginRocketUrl, secret, publicKey, got loginRocketUrl and secret',
    ],
    [
      { loginRocketUrl: 'a.loginrocket.com' },
      'authRocket(): loginRocketUrl must be an absolute http(s) URL, such as https://my-app.loginrocket.com',
    ],
    [
      { loginRocketUrl: 'https://a.loginrocket.com/?x' },
      'authRocket(): loginRocketUrl must be an absolute http(s) URL, such as https://my-app.loginrocket.com',
    ],
    [{ secret: V2_SECRET, realm: '' }, 'authRocket(): realm must be a non-empty string, got an empty string'],
  ])('refuses the options %#', (options, message) => {
    expect(() => authRocket(options as Parameters<typeof authRocket>[0])).toThrow(new TypeError(message));
  });
});

describe('authRocketV1', () => {
  it.each<[string, IssuerOptions, string]>([
    ['HS256', authRocketV1({ secret: V1_SECRET, realm: V1.aud }), hs256(V1, V1_SECRET)],
    ['RS256', authRocketV1({ publicKey: rsa.publicKey, realm: V1.aud }), rs256(V1, rsa.privateKey)],
  ])('reads a token signed with %s', (_alg, options, token) => {
    const { user, profile } = verified(verifierOf(options), token);
    expect(user).toMatchObject({ issuer: `authrocket:${V1.aud}`, subject: V1.uid });
    expect(profile).toEqual({
      name: 'Jane Doe',
      username: 'jane',
      orgs: [
        {
          id: 'org_0vdd8TVDpMRyrYqmnNCpRO',
          membershipId: null,
          name: 'Widgets Inc',
          reference: null,
          permissions: ['ar:owner', 'orders:read'],
          selected: false,
        },
        {
          id: 'org_0vdg3Xs7ZfBh1Tqk5yYBzP',
          membershipId: null,
          name: 'Gadgets Ltd',
          reference: null,
          permissions: [],
          selected: false,
        },
      ],
    });
  });

  it('is called authrocket without a realm', () => {
    const { user } = verified(verifierOf(authRocketV1({ secret: V1_SECRET })), hs256(V1, V1_SECRET));
    expect(user.issuer).toBe('authrocket');
  });

  it.each<[string, object, string | undefined]>([
    ['n', {}, 'Jane Doe'],
    ['fn and ln', { n: undefined }, 'Jane Doe'],
    ['fn alone', { n: '', ln: undefined }, 'Jane'],
    ['nothing', { n: undefined, fn: '', ln: 7 }, undefined],
  ])('takes the name from %s', (_name, change, expected) => {
    const { profile } = verified(
      verifierOf(authRocketV1({ secret: V1_SECRET })),
      hs256({ ...V1, ...change }, V1_SECRET),
    );
    expect(profile.name).toBe(expected);
  });

  it('takes the session from tk', () => {
    const verifier = verifierOf(authRocketV1({ secret: V1_SECRET }));
    const first = verified(verifier, hs256(V1, V1_SECRET)).handle;
    expect(verified(verifier, hs256({ ...V1, exp: V1.exp + 60 }, V1_SECRET)).handle).toBe(first);
    expect(verified(verifier, hs256({ ...V1, tk: 'kss_other' }, V1_SECRET)).handle).not.toBe(first);
  });

  it.each<[string, object, string]>([
    ['another realm', { aud: 'rl_other' }, 'claim_invalid'],
    ['no realm', { aud: undefined }, 'claim_invalid'],
    ['an issuer', { iss: 'https://authrocket.com' }, 'issuer_refused'],
    ['a subject under the usual name alone', { uid: undefined, sub: V1.uid }, 'claim_invalid'],
    ['memberships that are none', { m: 'x' }, 'good'],
  ])('answers a token with %s with %s', (_name, change, code) => {
    const verifier = verifierOf(authRocketV1({ secret: V1_SECRET, realm: V1.aud }));
    expect(codeOf(() => verified(verifier, hs256({ ...V1, ...change }, V1_SECRET)))).toBe(code);
  });

  it('lives beside version 2, each with its own keys', () => {
    const verifier = verifierOf(authRocket({ secret: V2_SECRET }), authRocketV1({ secret: V1_SECRET }));
    expect(verified(verifier, hs256(V2, V2_SECRET)).user.issuer).toBe('https://authrocket.com');
    expect(verified(verifier, hs256(V1, V1_SECRET)).user.issuer).toBe('authrocket');
    expect(codeOf(() => verified(verifier, hs256(V2, V1_SECRET)))).toBe('signature_invalid');
    expect(codeOf(() => verified(verifier, hs256(V1, V2_SECRET)))).toBe('signature_invalid');
  });

  it('never serves HS256 with the public key', () => {
    const verifier = verifierOf(authRocketV1({ publicKey: rsa.publicKey }));
    const pem = rsa.publicKey.export({ format: 'pem', type: 'spki' }).toString();
    expect(codeOf(() => verified(verifier, hs256(V1, pem)))).toBe('algorithm_refused');
  });

  it.each<[unknown, string]>([
    [{}, 'authRocketV1() must have exactly one of secret, publicKey, got none of them'],
    [
      { secret: V1_SECRET, publicKey: rsa.publicKey },
      'authRocketV1() must have exactly one of secret, publicKey, got secret and publicKey',
    ],
    [{ secret: V1_SECRET, realm: 7 }, 'authRocketV1(): realm must be a non-empty string, got a number'],
  ])('refuses the options %#', (options, message) => {
    expect(() => authRocketV1(options as Parameters<typeof authRocketV1>[0])).toThrow(new TypeError(message));
  });
});

describe('oidc', () => {
  it('asks for discovery, and keeps what else was said', () => {
    expect(oidc({ issuer: 'https://id.example.com/', audience: 'shop', clockTolerance: '1m' })).toEqual({
      issuer: 'https://id.example.com/',
      audience: 'shop',
      clockTolerance: '1m',
      discover: true,
    });
  });

  it.each([
    [undefined],
    [''],
    ['id.example.com'],
    ['ftp://id.example.com'],
    ['https://id.example.com/?a'],
    ['https://id.example.com/#a'],
    ['https://me:pw@id.example.com'],
  ])('refuses the issuer %p', (issuer) => {
    expect(() => oidc({ issuer: issuer!, audience: 'shop' })).toThrow(
      new TypeError('oidc(): issuer must be an absolute http(s) URL without query and fragment'),
    );
  });
});

describe('issuerRules', () => {
  const secret = 's'.repeat(32);
  const good = { issuer: 'https://id.example.com/', secret };

  it('fills in the defaults', () => {
    const { keys, ...rules } = issuerRules(good, 'issuer', surroundings);
    expect(rules).toEqual({ issuer: 'https://id.example.com/', clockTolerance: 5_000 });
    expect(keys.health().ok).toBe(true);
  });

  it.each<[string, object, string]>([
    ['no issuer', { issuer: undefined }, 'issuer.issuer must be a non-empty string, got undefined'],
    ['an empty issuer', { issuer: '' }, 'issuer.issuer must be a non-empty string, got an empty string'],
    [
      'no key',
      { secret: undefined },
      'issuer.secret is given as undefined: leave it out, or set the variable that it comes from',
    ],
    [
      'two kinds of key',
      { secret, jwksUri: 'https://id.example.com/jwks' },
      'issuer must have exactly one of jwksUri, secret, publicKey, discover, got jwksUri and secret',
    ],
    [
      'a secret and discovery',
      { discover: true },
      'issuer must have exactly one of jwksUri, secret, publicKey, discover, got secret and discover',
    ],
    [
      'an audience that is a number',
      { audience: 7 },
      'issuer.audience must be a non-empty string or a list of them, got a number',
    ],
    [
      'an empty audience',
      { audience: [] },
      'issuer.audience must be a non-empty string or a list of them, got an empty list',
    ],
    [
      'types that are a text',
      { types: 'JWT' },
      "issuer.types must be a list of strings such as 'at+jwt', and null for tokens without a type, got a string",
    ],
    [
      'claims that are a list',
      { claims: ['a'] },
      'issuer.claims must be an object with what each claim must be, got a list',
    ],
    [
      'a claim that must be an object',
      { claims: { a: {} } },
      'issuer.claims.a must be a string, a number, a boolean, null, a list of them or a predicate, got an object',
    ],
    [
      'a claim that must be one of none',
      { claims: { a: [] } },
      'issuer.claims.a must be a string, a number, a boolean, null, a list of them or a predicate, got an empty list',
    ],
    ['a wide tolerance', { clockTolerance: '2h' }, "issuer.clockTolerance must be between 0 ms and '1h', got '2h'"],
    [
      'algorithms that are a text',
      { algorithms: 'RS256' },
      'issuer.algorithms must be a list of one or more of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519, got a string',
    ],
    [
      'a short secret',
      { secret: 'short' },
      'issuer.secret has 5 bytes, HS256 needs at least 32 (RFC 7518, section 3.2)',
    ],
    [
      'a set that is never fresh',
      { jwksUri: 'https://id.example.com/jwks', keysMaxAge: 0 },
      "issuer.keysMaxAge must be between '1s' and '1y', got 0 ms",
    ],
    [
      'a set that is gone before it is old',
      { jwksUri: 'https://id.example.com/jwks', keysMaxAge: '1h', keysMaxStale: '30m' },
      "issuer.keysMaxStale must be between '1h' and '1y', got '30m'",
    ],
    [
      'a relative URL',
      { jwksUri: '/jwks' },
      'issuer.jwksUri must be an absolute http(s) URL without user and password',
    ],
    [
      'a secret algorithm for a key set',
      { jwksUri: 'https://id.example.com/jwks', algorithms: ['HS256'] },
      "issuer.algorithms has 'HS256', which cannot be used with a public key",
    ],
  ])('refuses %s', (_name, change, message) => {
    const keys = 'jwksUri' in change && !('secret' in change) ? {} : { secret };
    const options = { issuer: good.issuer, ...keys, ...change } as IssuerOptions;
    expect(() => issuerRules(options, 'issuer', surroundings)).toThrow(new TypeError(message));
  });
});
