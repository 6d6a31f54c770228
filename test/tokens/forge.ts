/** Tokens as an attacker would make them: every byte of header, payload and signature can be chosen. */

import { constants, createHmac, sign, type KeyObject } from 'node:crypto';
import type { Algorithm } from '../../lib/tokens/verification-key.js';

export interface Forgery {
  readonly alg: Algorithm;
  readonly key: KeyObject;
  /** An object is added to `{ alg }`, a text or bytes are taken as they are. */
  readonly header?: object | string | Uint8Array;
  readonly payload: object | string | Uint8Array;
}

/** A token that is signed, whatever it says. */
export function forge({ alg, key, header = {}, payload }: Forgery): string {
  const isText = typeof header === 'string' || header instanceof Uint8Array;
  const input = `${encode(isText ? header : { alg, ...header })}.${encode(payload)}`;
  return `${input}.${signatureOf(alg, key, input).toString('base64url')}`;
}

/** Base64url of a text, of bytes, or of an object's JSON. */
export function encode(content: object | string | Uint8Array): string {
  if (content instanceof Uint8Array) return Buffer.from(content).toString('base64url');
  return Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)).toString('base64url');
}

/** The token with its signature put through `change`. */
export function resigned(token: string, change: (signature: Buffer) => Uint8Array): string {
  const end = token.lastIndexOf('.') + 1;
  return token.slice(0, end) + encode(change(Buffer.from(token.slice(end), 'base64url')));
}

function signatureOf(alg: Algorithm, key: KeyObject, input: string): Buffer {
  if (alg === 'EdDSA' || alg === 'Ed25519') return sign(null, Buffer.from(input), key);
  const hash = `sha${alg.slice(2)}`;
  switch (alg.slice(0, 2)) {
    case 'HS':
      return createHmac(hash, key).update(input).digest();
    case 'PS':
      return sign(hash, Buffer.from(input), {
        key,
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      });
    default:
      return sign(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
  }
}
