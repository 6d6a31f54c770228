/** Which keys may verify tokens, and with which algorithms (RFC 7517, RFC 7518, RFC 8725). */

import type { KeyObject } from 'node:crypto';

/** The JWS algorithms that are supported (RFC 7518, section 3.1; RFC 8037; RFC 9864, in which EdDSA has a new name). */
export const ALGORITHMS = [
  ...(['HS256', 'HS384', 'HS512'] as const),
  ...(['RS256', 'RS384', 'RS512'] as const),
  ...(['PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512'] as const),
  ...(['EdDSA', 'Ed25519'] as const),
] as const;

export type Algorithm = (typeof ALGORITHMS)[number];

export function isAlgorithm(value: unknown): value is Algorithm {
  return ALGORITHMS.some((algorithm) => algorithm === value);
}

/** A key that may verify tokens of one issuer. */
export interface VerificationKey {
  readonly key: KeyObject;
  readonly kid: string | undefined;
  /** Never empty; only algorithms that fit the key's type, its curve and its `alg`. */
  readonly algorithms: readonly Algorithm[];
}

/** Why a key cannot be used. The message continues a sentence that begins with the key's name. It shows nothing of the key. */
export class UnusableKey extends Error {}

/** What was read from a JWK: the members that are the key itself, and its `kid` and `alg`. */
export interface CheckedJwk {
  readonly material: JwkMaterial;
  readonly kid: string | undefined;
  readonly alg: string | undefined;
}

export type JwkMaterial =
  | { readonly kty: 'RSA'; readonly n: string; readonly e: string }
  | { readonly kty: 'EC'; readonly crv: string; readonly x: string; readonly y: string }
  | { readonly kty: 'OKP'; readonly crv: string; readonly x: string };

/** What a type of key can be used for. */
interface Service {
  readonly possible: readonly Algorithm[];
  /** The algorithms if nothing else is configured. */
  readonly usual: readonly Algorithm[];
}

/** RFC 7518, sections 3.3 and 3.5. */
const RSA_BITS = 2048;

const RSA: Service = { possible: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'], usual: ['RS256'] };
/** One algorithm under two names. */
const ED25519: Service = { possible: ['EdDSA', 'Ed25519'], usual: ['EdDSA', 'Ed25519'] };
const HMAC: Service = { possible: ['HS256', 'HS384', 'HS512'], usual: ['HS256'] };

/** By their names in OpenSSL. */
const CURVES: ReadonlyMap<string | undefined, Service> = new Map([
  ['prime256v1', { possible: ['ES256'], usual: ['ES256'] }],
  ['secp384r1', { possible: ['ES384'], usual: ['ES384'] }],
  ['secp521r1', { possible: ['ES512'], usual: ['ES512'] }],
]);

const JWK_CURVES = ['P-256', 'P-384', 'P-521'];
const SECRET_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/**
 * The algorithms that a key may be used with: its own `alg` if it declares one, or else those that are allowed, or else the
 * usual ones of its type. Throws {@link UnusableKey} if none is left, and for a key that is too weak.
 */
export function algorithmsOf(
  key: KeyObject,
  declared: string | undefined,
  allowed: readonly Algorithm[] | undefined,
): readonly Algorithm[] {
  const { possible, usual } = serviceOf(key);
  if (declared !== undefined && !possible.some((algorithm) => algorithm === declared)) {
    throw new UnusableKey('declares an algorithm (alg) that its type cannot be used with');
  }
  const wanted: readonly string[] = declared === undefined ? (allowed ?? usual) : [declared];
  const served = possible.filter((algorithm) => wanted.includes(algorithm) && allowed?.includes(algorithm) !== false);
  if (served.length === 0) throw new UnusableKey('cannot be used with any of the configured algorithms');
  if (key.type === 'secret') served.forEach((algorithm) => requireLength(key, algorithm));
  return served;
}

function serviceOf(key: KeyObject): Service {
  if (key.type === 'secret') return HMAC;
  if (key.type === 'private') throw new UnusableKey('is a private key; use the public key');
  if (key.asymmetricKeyType === 'rsa') return rsaService(key);
  if (key.asymmetricKeyType === 'ed25519') return ed25519Service(key);
  if (key.asymmetricKeyType !== 'ec') throw new UnusableKey('is neither an RSA, nor an EC, nor an Ed25519 key');
  const service = CURVES.get(key.asymmetricKeyDetails?.namedCurve);
  if (service === undefined) throw new UnusableKey(`is on a curve other than ${JWK_CURVES.join(', ')}`);
  return service;
}

function rsaService(key: KeyObject): Service {
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < RSA_BITS) {
    throw new UnusableKey(`is an RSA key of ${modulusLength} bits; at least ${RSA_BITS} are needed`);
  }
  // With the exponent 1, every message is its own signature.
  if (publicExponent < 3n) throw new UnusableKey('is an RSA key whose exponent is too small');
  return RSA;
}

/**
 * The points of small order (RFC 7748, section 6.1, has them for the related curve), without the sign of x, also in their
 * encodings that are not reduced.
 */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  ...['ec', 'ed', 'ee'].map((first) => `${first}${'ff'.repeat(30)}7f`),
]);

function ed25519Service(key: KeyObject): Service {
  const point = Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url');
  point.writeUInt8(point.readUInt8(31) & 0x7f, 31);
  // With such a key, anybody can make a signature that fits every eighth message, or all of them.
  if (SMALL_ORDER.has(point.toString('hex'))) throw new UnusableKey('is an Ed25519 key of small order');
  return ED25519;
}

/** RFC 7518, section 3.2: a key at least as long as the hash. */
function requireLength(secret: KeyObject, algorithm: Algorithm): void {
  const needed = Number(algorithm.slice(2)) / 8;
  const length = secret.symmetricKeySize ?? 0;
  if (length < needed) {
    throw new UnusableKey(`has ${length} bytes, ${algorithm} needs at least ${needed} (RFC 7518, section 3.2)`);
  }
}

/**
 * Checks a JWK and takes out the members that are the key. Certificates (`x5c`, `x5u`) are ignored: AuthRocket, for
 * example, puts a bare public key there. Members that are null, an empty list or an empty string count as absent: some
 * servers write every member that they know. Throws {@link UnusableKey}.
 */
export function checkJwk(value: unknown): CheckedJwk {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new UnusableKey('is not a JWK object');
  const member = function memberOrNothing(name: string): unknown {
    const found: unknown = Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
    return isEmpty(found) ? undefined : found;
  };

  const use = member('use');
  if (use !== undefined && use !== 'sig') throw new UnusableKey('is not for signatures (use)');
  const operations = member('key_ops');
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) {
    throw new UnusableKey('is not for verifying (key_ops)');
  }
  const kty = member('kty');
  if (kty === 'oct') throw new UnusableKey('is a symmetric key, which must not be public');
  if (SECRET_MEMBERS.some((name) => member(name) !== undefined)) {
    throw new UnusableKey('is a private key; use the public key');
  }
  const [kid, alg] = ['kid', 'alg'].map((name) => stringOrNothing(member(name), name));
  return { material: materialOf(kty, member), kid, alg };
}

function isEmpty(member: unknown): boolean {
  return member === null || member === '' || (Array.isArray(member) && member.length === 0);
}

function materialOf(kty: unknown, member: (name: string) => unknown): JwkMaterial {
  const text = function requiredString(name: string): string {
    const value = stringOrNothing(member(name), name);
    if (value === undefined) throw new UnusableKey(`has no ${name}`);
    return value;
  };
  switch (kty) {
    case 'RSA':
      return { kty, n: text('n'), e: text('e') };
    case 'EC': {
      const crv = text('crv');
      if (!JWK_CURVES.includes(crv)) throw new UnusableKey(`is on a curve other than ${JWK_CURVES.join(', ')}`);
      return { kty, crv, x: text('x'), y: text('y') };
    }
    case 'OKP': {
      const crv = text('crv');
      if (crv !== 'Ed25519') throw new UnusableKey('is on a curve (crv) other than Ed25519');
      return { kty, crv, x: text('x') };
    }
    default:
      throw new UnusableKey('is of a type (kty) other than RSA, EC and OKP');
  }
}

function stringOrNothing(value: unknown, name: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw new UnusableKey(`has a ${name} that is not a string`);
}
