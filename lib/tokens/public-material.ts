/** Whether something that is given as a secret is a public key, in whatever notation people have it. */

import { createPublicKey, X509Certificate } from 'node:crypto';

/**
 * True for a public key or a certificate as PEM, DER, JWK or JWK set text, OpenSSH or bare base64 (or hex), also if it is
 * escaped, quoted, broken into lines, UTF-16, or encoded as base64 once more, as environment variables often are.
 */
export function isPublicMaterial(bytes: Buffer): boolean {
  return isPublic(bytes, 2);
}

/** `depth`: how many encodings may be around it. */
function isPublic(bytes: Buffer, depth: number): boolean {
  // NUL bytes are those of UTF-16.
  const text = bytes.toString('latin1').replaceAll('\0', '').trim();
  if (PUBLIC_TEXT.test(text) || isPublicJson(text) || isDer(bytes) || isOpenSsh(bytes)) {
    return true;
  }
  return depth > 0 && decodings(text).some((decoded) => isPublic(decoded, depth - 1));
}

/** The first line of a PEM, also where its spaces and line breaks are encoded; or an OpenSSH key. */
const PUBLIC_TEXT =
  /BEGIN.{1,40}(?:PUBLIC.{1,3}KEY|CERTIFICATE)|(?:^|[\s"'])(?:ssh-|ecdsa-sha2-|sk-ssh-|sk-ecdsa-)[\w@.-]+\s+AAAA/is;

/** The binary form of an OpenSSH key begins with the length and the name of its type. */
function isOpenSsh(bytes: Buffer): boolean {
  if (bytes.length < 16 || bytes.readUInt32BE() > 64) return false;
  return /^(?:ssh-|ecdsa-sha2-|sk-)/.test(bytes.toString('latin1', 4, 16));
}

/** PEM without its first and last line is base64 as well. */
function decodings(text: string): readonly Buffer[] {
  const bare = text.replace(/\\[nrt]|[\s"']/g, '');
  const found: Buffer[] = [];
  if (/^[\w+/-]{40,}={0,2}$/.test(bare)) found.push(Buffer.from(bare, 'base64'));
  if (/^(?:[\da-f]{2}){40,}$/i.test(bare)) found.push(Buffer.from(bare, 'hex'));
  return found;
}

function isDer(bytes: Buffer): boolean {
  // Every DER of a key begins as a sequence.
  if (bytes[0] !== 0x30) return false;
  return DER_READERS.some(function isReadable(read) {
    try {
      read(bytes);
      return true;
    } catch {
      return false;
    }
  });
}

const DER_READERS: readonly ((der: Buffer) => unknown)[] = [
  (key) => createPublicKey({ key, format: 'der', type: 'spki' }),
  (key) => createPublicKey({ key, format: 'der', type: 'pkcs1' }),
  (der) => new X509Certificate(der),
];

const PUBLIC_TYPES: readonly unknown[] = ['RSA', 'EC', 'OKP'];

function isPublicJson(text: string): boolean {
  if (!/^[[{"]/.test(text)) return false;
  try {
    return hasPublicJwk(JSON.parse(text), 4);
  } catch {
    return false;
  }
}

/** A JWK, or a list or object that contains one. A private JWK is a secret, if an unusual one. */
function hasPublicJwk(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return isPublic(Buffer.from(value), 1);
  if (typeof value !== 'object' || value === null || depth === 0) return false;
  const isJwk = 'kty' in value && PUBLIC_TYPES.includes(value.kty) && !('d' in value);
  return isJwk || Object.values(value).some((member) => hasPublicJwk(member, depth - 1));
}
