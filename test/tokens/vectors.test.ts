import { constants, createHmac, createPrivateKey, createPublicKey, createSecretKey, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { staticKeys } from '../../lib/tokens/static-keys.js';
import type { Algorithm } from '../../lib/tokens/verification-key.js';
import { createVerifier, type IssuerRules, type Verifier } from '../../lib/tokens/verify.js';
import { forge } from './forge.js';
import rfc7515 from './vectors/rfc7515.json';
import rfc7520 from './vectors/rfc7520.json';

interface Vector {
  readonly name: string;
  readonly alg: string;
  readonly key: Readonly<Record<string, string>>;
  readonly token: string;
  readonly claims?: Readonly<Record<string, unknown>>;
}

const vectors: readonly Vector[] = [
  ...rfc7515.vectors.map((vector) => ({ ...vector, name: `RFC 7515 ${vector.name}` })),
  ...rfc7520.vectors.map((vector) => ({ ...vector, name: `RFC 7520 ${vector.name}` })),
];
const withClaims = vectors.filter((vector) => vector.claims !== undefined);
const withText = vectors.filter((vector) => vector.claims === undefined);

/** In the RFC's second before the tokens of RFC 7515 expire. */
const THEN = 1_300_819_379_000;

describe.each(vectors)('$name', (vector) => {
  test('the signature is right, by node:crypto alone', () => {
    expect(isSigned(vector)).toBe(true);
  });

  test('its signature over other claims is refused', () => {
    const [header, , signature] = vector.token.split('.');
    const other = Buffer.from('{"iss":"joe","sub":"sauron","exp":1300819380}').toString('base64url');
    expect(() => verifier(vector).verify(`${header}.${other}.${signature}`)).toThrow(
      expect.objectContaining({ code: 'signature_invalid' }),
    );
  });
});

test.each(vectors.filter(isPrivate))('$name: claims signed with its key pass', (vector) => {
  const payload = { iss: 'joe', sub: 'frodo', sid: 'ring', iat: THEN / 1000, exp: THEN / 1000 + 60 };
  const token = forge({ alg: algorithm(vector), key: signingKey(vector), header: kidOf(vector), payload });
  expect(verifier(vector).verify(token)).toMatchObject({ user: { issuer: 'joe', subject: 'frodo' }, claims: payload });
});

describe.each(withClaims)('$name carries claims', (vector) => {
  test('it passes where the issuer names the user by iss', () => {
    const verified = verifier(vector, { subject: 'iss' }).verify(vector.token);
    expect(verified).toMatchObject({
      user: { subject: 'joe' },
      claims: vector.claims,
      times: { expiresAt: THEN + 1000 },
    });
  });

  test('it is refused for its missing subject, once its signature is found good', () => {
    expect(() => verifier(vector).verify(vector.token)).toThrow(expect.objectContaining({ code: 'claim_invalid' }));
  });

  test('it is refused from its expiry on', () => {
    const late = verifier(vector, { subject: 'iss' }, THEN + 1000);
    expect(() => late.verify(vector.token)).toThrow(expect.objectContaining({ code: 'token_expired' }));
  });
});

test.each(withText)('$name carries a text, which is no login token', (vector) => {
  expect(() => verifier(vector).verify(vector.token)).toThrow(expect.objectContaining({ code: 'token_malformed' }));
});

test('RFC 7515 A.5, an unsecured token, is refused for its algorithm', () => {
  for (const vector of vectors) {
    expect(() => verifier(vector).verify(rfc7515.unsecured)).toThrow(
      expect.objectContaining({ code: 'algorithm_refused' }),
    );
  }
});

function verifier(vector: Vector, rules: Partial<IssuerRules> = {}, now = THEN): Verifier {
  const keys =
    vector.key['kty'] === 'oct'
      ? staticKeys({ secret: verifyingKey(vector), algorithms: [algorithm(vector)] }, 'issuer')
      : staticKeys({ publicKey: publicJwk(vector), algorithms: [algorithm(vector)] }, 'issuer');
  return createVerifier({
    issuers: [{ issuer: 'joe', clockTolerance: 0, began: 'first-seen', keys, ...rules }],
    clock: { now: () => now },
    lifetime: () => null,
  });
}

function isSigned(vector: Vector): boolean {
  const [header, payload, signature = ''] = vector.token.split('.');
  const input = Buffer.from(`${header}.${payload}`);
  const bytes = Buffer.from(signature, 'base64url');
  const hash = `sha${vector.alg.slice(2)}`;
  const key = verifyingKey(vector);
  if (vector.alg.startsWith('HS')) return createHmac(hash, key).update(input).digest().equals(bytes);
  const padding = vector.alg.startsWith('PS') ? { padding: constants.RSA_PKCS1_PSS_PADDING } : {};
  return verify(hash, input, { key, dsaEncoding: 'ieee-p1363', ...padding }, bytes);
}

function verifyingKey(vector: Vector): KeyObject {
  const { key } = vector;
  if (key['kty'] === 'oct') return createSecretKey(Buffer.from(key['k'] ?? '', 'base64url'));
  return createPublicKey({ key: { ...key }, format: 'jwk' });
}

/** Of one vector the data file has the public half only. */
function isPrivate({ key }: Vector): boolean {
  return key['kty'] === 'oct' || key['d'] !== undefined;
}

function signingKey(vector: Vector): KeyObject {
  if (vector.key['kty'] === 'oct') return verifyingKey(vector);
  return createPrivateKey({ key: { ...vector.key }, format: 'jwk' });
}

function publicJwk(vector: Vector): Record<string, unknown> {
  return { ...verifyingKey(vector).export({ format: 'jwk' }), ...kidOf(vector) };
}

function kidOf(vector: Vector): { kid?: string } {
  const kid = vector.key['kid'];
  return kid === undefined ? {} : { kid };
}

function algorithm(vector: Vector): Algorithm {
  switch (vector.alg) {
    case 'HS256':
    case 'RS256':
    case 'PS384':
    case 'ES256':
    case 'ES512':
      return vector.alg;
    default:
      throw new Error(`No vector is known to be signed with ${vector.alg}`);
  }
}
