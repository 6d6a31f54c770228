/** Whether something that is given as a secret is a public key, in whatever notation people have it. */

import { createPublicKey, X509Certificate } from 'node:crypto';

/**
 * True for a public key or a certificate as PEM, DER, JWK or JWK set text, OpenSSH, XML or bare base64 (or hex), also if it is
 * escaped, quoted, broken into lines, one of a list, behind a name, UTF-16, or encoded as base64 once more, as environment
 * variables often are.
 */
export function isPublicMaterial(bytes: Buffer): boolean {
  return isPublic(bytes, 2);
}

/** `depth`: how many encodings may be around it. */
function isPublic(bytes: Buffer, depth: number): boolean {
  // NUL bytes are those of UTF-16.
  const text = bytes.toString('latin1').replaceAll('\0', '').trim();
  if (PUBLIC_TEXT.test(text) || isPublicJson(text) || isPublicWords(text) || isDer(bytes) || isOpenSsh(bytes)) {
    return true;
  }
  return depth > 0 && decodings(text).some((decoded) => isPublic(decoded, depth - 1));
}

/** The first line of a PEM, also where its spaces and line breaks are encoded; or an OpenSSH key. */
const PUBLIC_TEXT =
  /BEGIN.{1,40}(?:PUBLIC.{1,3}KEY|CERTIFICATE)|(?:^|[\s"'])(?:ssh-|ecdsa-sha2-|sk-ssh-|sk-ecdsa-)[\w@.-]+\s+AAAA/is;

/** A JWK that is not JSON, such as YAML, JavaScript or the end of `JWK={...}`; or the XML of .NET. A private key is a secret. */
function isPublicWords(text: string): boolean {
  if (/\bkty\W{1,8}(?:RSA|EC|OKP)\b/i.test(text)) return !/\bd\W{1,8}[\w-]{20}/.test(text);
  return /<RSAKeyValue>/i.test(text) && !/<D>/i.test(text);
}

/** The binary form of an OpenSSH key begins with the length and the name of its type. */
function isOpenSsh(bytes: Buffer): boolean {
  if (bytes.length < 16 || bytes.readUInt32BE() > 64) return false;
  return /^(?:ssh-|ecdsa-sha2-|sk-)/.test(bytes.toString('latin1', 4, 16));
}

/** The most that are decoded of one text. */
const RUNS_LIMIT = 16;

/** PEM without its first and last line is base64 as well. It may be one of a list, or have a name in front of it. */
function decodings(text: string): readonly Buffer[] {
  const bare = unescaped(text).replace(/\\[nrt]|[\s"']/g, '');
  const runs = bare.match(/[\w+/-]{40,}/g) ?? [];
  const found = runs.slice(0, RUNS_LIMIT).map((run) => Buffer.from(run, 'base64'));
  const [, hex] = /^(?:0x)?((?:[\da-f]{2}){40,})$/i.exec(bare.replaceAll(':', '')) ?? [];
  if (hex !== undefined) found.push(Buffer.from(hex, 'hex'));
  return found;
}

function unescaped(text: string): string {
  return text.replace(/%(2b|2f|3d)/gi, (_escape, code: string) => String.fromCharCode(parseInt(code, 16)));
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
