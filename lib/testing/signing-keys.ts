/** The keys of an issuer for tests. */

import {
  createSecretKey,
  createHmac,
  generateKeyPair,
  randomBytes,
  randomUUID,
  sign,
  type KeyObject,
} from 'node:crypto';
import { promisify } from 'node:util';

export const ALGORITHMS = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'HS256'] as const),
] as const;
export type TestAlgorithm = (typeof ALGORITHMS)[number];

export type SigningKey = PrivateKey | SecretKey;

interface PrivateKey {
  readonly alg: Exclude<TestAlgorithm, 'HS256'>;
  readonly kid: string;
  readonly key: KeyObject;
  /** The public key, as it is published. */
  readonly jwk: Readonly<Record<string, unknown>>;
}

interface SecretKey {
  readonly alg: 'HS256';
  /** Nobody has to find the key. */
  readonly kid: undefined;
  readonly key: KeyObject;
  readonly secret: string;
}

const CURVES = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' } as const;
const RSA_PKCS1_PSS_PADDING = 6;

export async function makeKey(alg: TestAlgorithm): Promise<SigningKey> {
  if (alg === 'HS256') {
    const secret = randomBytes(32).toString('base64url');
    return { alg, kid: undefined, key: createSecretKey(Buffer.from(secret)), secret };
  }
  const { privateKey, publicKey } = await makePair(alg);
  const kid = randomUUID();
  return { alg, kid, key: privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' } };
}

async function makePair(alg: PrivateKey['alg']) {
  const generate = promisify(generateKeyPair);
  if (alg === 'EdDSA' || alg === 'Ed25519') return generate('ed25519');
  if (alg === 'ES256' || alg === 'ES384' || alg === 'ES512') return generate('ec', { namedCurve: CURVES[alg] });
  return generate('rsa', { modulusLength: 2048 });
}

/** In base64url. */
export function signature(signingInput: string, { alg, key }: SigningKey): string {
  const bytes = Buffer.from(signingInput);
  if (alg === 'HS256') return createHmac('sha256', key).update(bytes).digest('base64url');
  if (alg === 'EdDSA' || alg === 'Ed25519') return sign(null, bytes, key).toString('base64url');
  const bits = Number(alg.slice(2));
  const pss = { padding: RSA_PKCS1_PSS_PADDING, saltLength: bits / 8 };
  const options = { key, dsaEncoding: 'ieee-p1363', ...(alg.startsWith('PS') && pss) } as const;
  return sign(`sha${bits}`, bytes, options).toString('base64url');
}
