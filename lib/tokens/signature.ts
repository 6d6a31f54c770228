/** Whether a key made the signature of a token. The only user of jsonwebtoken. */

import { verify, type KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';
import type { Algorithm } from './verification-key.js';

/** The parts of a token that its signature depends on. */
export interface SignedToken {
  readonly text: string;
  /** `header.payload`, as in the token. */
  readonly signingInput: string;
  /** By the token's header. The caller has checked that the key may be used with it. */
  readonly alg: Algorithm;
}

/** Checks the signature alone: times and claims are checked elsewhere, by the injected clock. Never throws. */
export function isSignedBy({ text, signingInput, alg }: SignedToken, key: KeyObject): boolean {
  try {
    if (alg === 'EdDSA' || alg === 'Ed25519') return isByEd25519(text, signingInput, key);
    jwt.verify(text, key, { algorithms: [alg], ignoreExpiration: true, ignoreNotBefore: true });
    return true;
  } catch {
    return false;
  }
}

/** RFC 8037, section 3.1, which jsonwebtoken does not support. OpenSSL refuses an S that is not reduced (RFC 8032, 5.1.7). */
function isByEd25519(text: string, signingInput: string, key: KeyObject): boolean {
  // For a key of another type, verify() would choose another algorithm.
  if (key.asymmetricKeyType !== 'ed25519') return false;
  const signature = Buffer.from(text.slice(signingInput.length + 1), 'base64url');
  return verify(null, Buffer.from(signingInput), key, signature);
}
