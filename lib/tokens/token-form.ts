/** The form of a signed token: its three parts, its header, and which key signed it (RFC 7515, RFC 7519). */

import { isUtf8 } from 'node:buffer';
import { claimOf, isClaims, type Claims } from '../core/claims.js';
import { LoginError } from '../core/errors.js';
import { isSignedBy, type SignedToken } from './signature.js';
import { isAlgorithm, type VerificationKey } from './verification-key.js';

/** The longest token by default, in characters. */
export const MAX_TOKEN_LENGTH = 8192;

/** A token in the right format, whose contents are not verified yet. */
export interface UnverifiedToken extends SignedToken {
  readonly kid: string | undefined;
  /** Normalized; null if the header has none. */
  readonly type: string | null;
  readonly payload: Claims;
}

/** Three parts of base64url; the last may be empty, so that an unsecured token gets a precise error. */
const TOKEN_FORM = /^([\w-]+)\.([\w-]+)\.([\w-]*)$/;

/** Header parameters that change what the payload means (RFC 7515, section 4.1.11; RFC 7797; RFC 7516). */
const REFUSED_PARAMETERS = ['crit', 'b64', 'zip'];

/** Throws `LoginError` `token_too_large`. `longest` is in characters. */
export function requireLength(text: string, longest: number): void {
  if (text.length <= longest) return;
  throw new LoginError('token_too_large', `The token is longer than ${String(longest)} characters`);
}

/**
 * The parts of a token that nobody may have signed. Throws `LoginError` `token_malformed`, `algorithm_refused` or, for a `typ`
 * that is not a string, `type_refused`.
 */
export function parseToken(text: string): UnverifiedToken {
  const [, headerPart = '', payloadPart = '', signature = ''] = TOKEN_FORM.exec(text) ?? [];
  const header = decodeObject(headerPart);
  if (header === undefined) throw malformed('The token does not have the form header.payload.signature');

  if (REFUSED_PARAMETERS.some((name) => Object.hasOwn(header, name))) {
    throw malformed('The header requires an extension that is not supported');
  }
  const alg = claimOf(header, 'alg');
  if (!isAlgorithm(alg)) throw new LoginError('algorithm_refused', 'The algorithm is not supported');
  const kid = claimOf(header, 'kid');
  if (kid !== undefined && typeof kid !== 'string') throw malformed('The key id is not a string');

  if (!isCanonical(signature)) throw malformed('The signature is missing or not base64url');
  const payload = decodeObject(payloadPart);
  if (payload === undefined) throw malformed('The payload is not a JSON object, or is nested too deeply');
  const signingInput = text.slice(0, headerPart.length + 1 + payloadPart.length);
  return { text, signingInput, alg, kid, type: typeOf(header), payload };
}

export function malformed(message: string): LoginError {
  return new LoginError('token_malformed', message);
}

/**
 * Decodes a part of the token that must be a JSON object. Returns undefined if it is not. If a name occurs twice, the last one
 * counts (RFC 7515, section 4; RFC 7519, section 4), as in jsonwebtoken, which parses the token again.
 */
function decodeObject(part: string): Claims | undefined {
  if (!isCanonical(part)) return undefined;
  const bytes = Buffer.from(part, 'base64url');
  // Decoding would turn invalid UTF-8 into U+FFFD, and so two different names into one.
  if (!isUtf8(bytes)) return undefined;
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return isClaims(value) && !isDeeperThan(value, NESTING_LIMIT) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The most levels of objects and lists. With thousands, `JSON.stringify` and other recursive code overflow the stack. */
const NESTING_LIMIT = 64;

/** Never calls itself more often than `limit` says. */
function isDeeperThan(value: object, limit: number): boolean {
  if (limit === 0) return true;
  for (const member of Object.values(value) as unknown[]) {
    if (typeof member === 'object' && member !== null && isDeeperThan(member, limit - 1)) return true;
  }
  return false;
}

/** Whether base64url characters are a canonical, non-empty encoding: all unused bits are zero (RFC 4648, section 3.5). */
function isCanonical(part: string): boolean {
  switch (part.length % 4) {
    case 0:
      return part !== '';
    case 1:
      return false;
    case 2:
      return 'AQgw'.includes(part.charAt(part.length - 1));
    default:
      return 'AEIMQUYcgkosw048'.includes(part.charAt(part.length - 1));
  }
}

function typeOf(header: Claims): string | null {
  const typ = claimOf(header, 'typ');
  if (typ === undefined) return null;
  if (typeof typ !== 'string') throw new LoginError('type_refused', 'The token type is not a string');
  return normalizedType(typ);
}

/** Lower case, without `application/` (RFC 7515, section 4.1.9). */
export function normalizedType<Typ extends string | null>(typ: Typ): string | Typ {
  return typ === null ? typ : typ.toLowerCase().replace(/^application\//, '');
}

/** The key that signed the token. Throws `LoginError` `algorithm_refused` or `signature_invalid`. */
export function signingKey(token: UnverifiedToken, candidates: readonly VerificationKey[]): VerificationKey {
  const fitting = candidates.filter((candidate) => candidate.algorithms.includes(token.alg));
  if (fitting.length === 0) throw new LoginError('algorithm_refused', 'No key can be used with this algorithm');
  const key = fitting.find((candidate) => isSignedBy(token, candidate.key));
  if (key === undefined) throw new LoginError('signature_invalid', 'The signature is invalid');
  return key;
}
