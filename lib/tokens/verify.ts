/** From a string to a verified token: form, header, key, signature, claims, in this order. The only user of jsonwebtoken. */

import { isUtf8 } from 'node:buffer';
import type { KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { LRUCache } from 'lru-cache';
import { checkClaims, claimOf, isClaims, type Claims, type ClaimRules, type Profile } from '../core/claims.js';
import { LoginError } from '../core/errors.js';
import { tokenEndsAt } from '../core/policy.js';
import { sessionHandle, sessionId, sessionUser, type SessionUser, type TokenTimes } from '../core/session.js';
import type { KeySource } from './key-source.js';
import { isAlgorithm, type Algorithm, type VerificationKey } from './verification-key.js';

/** Longest token, in characters. */
export const TOKEN_LIMIT = 8192;

/** What `typ` may be by default; null stands for a header without it. Case and an `application/` prefix do not matter. */
export const DEFAULT_TYPES: readonly (string | null)[] = ['JWT', 'at+jwt', null];

/** A token that passed every check. Frozen: it is shared by all requests that present it. */
export interface VerifiedToken {
  readonly user: SessionUser;
  /** Of the session that the token belongs to. */
  readonly handle: string;
  /** The whole payload, deeply frozen. */
  readonly claims: Claims;
  readonly profile: Profile;
  readonly scopes: readonly string[];
  readonly times: TokenTimes;
  /** Index into the configured issuers. */
  readonly issuerIndex: number;
}

export interface Verifier {
  /**
   * The checked token. Synchronous where it is cached or the keys are at hand. Throws, or rejects with, `LoginError`.
   * Nothing is told of the claims, but that the issuer is known, before the signature is found good.
   */
  verify(token: string): VerifiedToken | Promise<VerifiedToken>;
}

/** One issuer: what its tokens must claim, what they are signed with, what they call themselves. */
export interface IssuerRules extends Omit<ClaimRules, 'lifetime'> {
  readonly keys: KeySource;
  /** Narrows what the keys allow. Default: all that each key allows. */
  readonly algorithms?: readonly Algorithm[];
  /** Replaces {@link DEFAULT_TYPES}; `logout+jwt` stays refused (RFC 8725, section 3.11). */
  readonly types?: readonly (string | null)[];
}

export interface CacheBounds {
  /** Default 10,000. */
  readonly maxEntries?: number;
  /** Estimated memory. Default 32 MiB. */
  readonly maxBytes?: number;
  /** Longest time without a new verification, in milliseconds. Default one minute. */
  readonly maxAge?: number;
}

export interface VerifierOptions {
  /** No two with the same `issuer`. */
  readonly issuers: readonly IssuerRules[];
  /** In milliseconds since 1970. */
  readonly clock: { now(): number };
  /** See {@link ClaimRules}. */
  readonly lifetime: ClaimRules['lifetime'];
  /** Makes handles that nobody else can compute. */
  readonly handleSecret?: KeyObject;
  readonly cache?: CacheBounds;
}

interface Issuer {
  readonly index: number;
  readonly rules: ClaimRules;
  readonly keys: KeySource;
  readonly algorithms: ReadonlySet<string> | null;
  readonly types: ReadonlySet<string | null>;
}

/** A token that has the right form; nothing of it is believed yet. */
interface UnverifiedToken {
  readonly text: string;
  readonly signingInput: string;
  readonly alg: Algorithm;
  readonly kid: string | undefined;
  /** Normalized; null where the header has none. */
  readonly type: string | null;
  readonly payload: Claims;
}

/** Throws `TypeError` where an issuer has no name, or another one's. */
export function createVerifier(options: VerifierOptions): Verifier {
  const { clock, handleSecret } = options;
  const issuers = prepareIssuers(options);
  const cache = new TokenCache(options.cache ?? {});

  return {
    verify(text) {
      if (typeof text !== 'string') throw malformed('The token is no string');
      const known = cache.find(text, clock.now());
      if (known !== undefined) return known;
      const token = parseToken(text);
      const issuer = selectIssuer(token);
      const candidates = issuer.keys.candidates({ kid: token.kid, alg: token.alg });
      return candidates instanceof Promise
        ? candidates.then((keys) => accept(token, issuer, keys))
        : accept(token, issuer, candidates);
    },
  };

  function selectIssuer(token: UnverifiedToken): Issuer {
    const name = claimOf(token.payload, 'iss');
    const issuer = name === undefined || typeof name === 'string' ? issuers.get(name) : undefined;
    if (issuer === undefined) throw new LoginError('issuer_refused', 'The issuer is not configured');
    if (!issuer.types.has(token.type)) {
      throw new LoginError('type_refused', 'Tokens of this type are no login tokens here');
    }
    if (issuer.algorithms?.has(token.alg) === false) {
      throw new LoginError('algorithm_refused', 'The issuer is not configured for this algorithm');
    }
    return issuer;
  }

  function accept(token: UnverifiedToken, issuer: Issuer, candidates: readonly VerificationKey[]): VerifiedToken {
    const key = signingKey(token, candidates);
    const now = clock.now();
    const claims = deepFreeze(token.payload);
    const { issuer: name, subject, profile, scopes, times } = checkClaims(claims, issuer.rules, now);
    const user = Object.freeze(sessionUser(name, subject));
    const verified = Object.freeze({
      user,
      handle: sessionHandle(user, sessionId(claims, token.signingInput), handleSecret),
      claims,
      profile: deepFreeze(profile),
      scopes: Object.freeze(scopes),
      times: Object.freeze(times),
      issuerIndex: issuer.index,
    });
    cache.add({
      text: ownText(token.text),
      verified,
      key,
      keys: issuer.keys,
      verifiedAt: now,
      until: tokenEndsAt(times) + issuer.rules.clockTolerance,
    });
    return verified;
  }
}

function prepareIssuers(options: VerifierOptions): ReadonlyMap<string | undefined, Issuer> {
  const issuers = new Map<string | undefined, Issuer>();
  const names = new Set<string>();
  options.issuers.forEach(function prepareIssuer(issuer, index) {
    const name = issuer.issuer ?? issuer.fixedIssuer;
    if (name === undefined) throw new TypeError('issuer: tokens without iss need a fixed name for their issuer');
    if (names.has(name) || issuers.has(issuer.issuer)) throw new TypeError(`issuer: two are configured as '${name}'`);
    names.add(name);
    const types = new Set((issuer.types ?? DEFAULT_TYPES).map(normalizedType));
    types.delete('logout+jwt');
    issuers.set(issuer.issuer, {
      index,
      rules: { ...issuer, lifetime: options.lifetime },
      keys: issuer.keys,
      algorithms: issuer.algorithms === undefined ? null : new Set(issuer.algorithms),
      types,
    });
  });
  return issuers;
}

/** Three parts of base64url; the last may be empty, so that an unsecured token hears what is wrong with it. */
const TOKEN_FORM = /^([\w-]+)\.([\w-]+)\.([\w-]*)$/;

/** Header parameters that change what the payload means (RFC 7515, section 4.1.11; RFC 7797; RFC 7516). */
const REFUSED_PARAMETERS = ['crit', 'b64', 'zip'];

function parseToken(text: string): UnverifiedToken {
  if (text.length > TOKEN_LIMIT) {
    throw new LoginError('token_too_large', `The token is longer than ${TOKEN_LIMIT} characters`);
  }
  const [, headerPart = '', payloadPart = '', signature = ''] = TOKEN_FORM.exec(text) ?? [];
  const header = decodeObject(headerPart);
  if (header === undefined) throw malformed('The token is not of the form header.payload.signature');

  if (REFUSED_PARAMETERS.some((name) => Object.hasOwn(header, name))) {
    throw malformed('The header asks for an extension that is not supported');
  }
  const alg = claimOf(header, 'alg');
  if (!isAlgorithm(alg)) throw new LoginError('algorithm_refused', 'The algorithm is not supported');
  const kid = claimOf(header, 'kid');
  if (kid !== undefined && typeof kid !== 'string') throw malformed('The key id is no string');

  if (!isCanonical(signature)) throw malformed('The signature is missing or no base64url');
  const payload = decodeObject(payloadPart);
  if (payload === undefined) throw malformed('The payload is no JSON object');
  const signingInput = text.slice(0, headerPart.length + 1 + payloadPart.length);
  return { text, signingInput, alg, kid, type: typeOf(header), payload };
}

function malformed(message: string): LoginError {
  return new LoginError('token_malformed', message);
}

/**
 * The JSON object that a part of the token spells; undefined where it spells none. Of a name that occurs twice the last
 * counts (RFC 7515, section 4; RFC 7519, section 4), here as in jsonwebtoken, which parses once more.
 */
function decodeObject(part: string): Claims | undefined {
  if (!isCanonical(part)) return undefined;
  const bytes = Buffer.from(part, 'base64url');
  // Decoding would turn what is no UTF-8 into U+FFFD, and with it two names into one.
  if (!isUtf8(bytes)) return undefined;
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return isClaims(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Non-empty base64url (of which only its characters are known so far) of which every bit counts (RFC 4648, section 3.5). */
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
  if (typeof typ !== 'string') throw new LoginError('type_refused', 'The token type is no string');
  return normalizedType(typ);
}

/** Lower case, without `application/` (RFC 7515, section 4.1.9). */
function normalizedType<Typ extends string | null>(typ: Typ): string | Typ {
  return typ === null ? typ : typ.toLowerCase().replace(/^application\//, '');
}

function signingKey(token: UnverifiedToken, candidates: readonly VerificationKey[]): VerificationKey {
  const fitting = candidates.filter((candidate) => candidate.algorithms.includes(token.alg));
  if (fitting.length === 0) throw new LoginError('algorithm_refused', 'No key serves this algorithm');
  const key = fitting.find((candidate) => isSignedBy(token, candidate.key));
  if (key === undefined) throw new LoginError('signature_invalid', 'The signature is invalid');
  return key;
}

/** Of jsonwebtoken only the signature's check: time comes from the injected clock, claims from {@link checkClaims}. */
function isSignedBy(token: UnverifiedToken, key: KeyObject): boolean {
  try {
    jwt.verify(token.text, key, { algorithms: [token.alg], ignoreExpiration: true, ignoreNotBefore: true });
    return true;
  } catch {
    return false;
  }
}

/** A tree, as JSON is. Not recursive: a payload of 8 KiB nests deeply enough to fill the stack. */
function deepFreeze<T extends object>(root: T): Readonly<T> {
  const pending: object[] = [root];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const members: readonly unknown[] = Array.isArray(next) ? next : Object.values(next);
    for (const member of members) {
      if (typeof member === 'object' && member !== null) pending.push(member);
    }
    Object.freeze(next);
  }
  return root;
}

/** A copy: the text may be a slice that keeps a whole cookie header in memory. */
function ownText(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

interface CachedToken {
  readonly text: string;
  readonly verified: VerifiedToken;
  /** What it was verified with, and where that must still be in use. */
  readonly key: VerificationKey;
  readonly keys: KeySource;
  readonly verifiedAt: number;
  /** The moment from which the token is refused. */
  readonly until: number;
}

/**
 * Tokens that passed. Looked up by the end of their signature, which is quicker than by the whole, then compared in
 * full: no sender can choose where an entry goes without a key to sign with. Refusals are not kept.
 */
class TokenCache {
  readonly #entries: LRUCache<string, CachedToken>;
  readonly #maxAge: number;

  constructor({ maxEntries = 10_000, maxBytes = 32 * 1024 * 1024, maxAge = 60_000 }: CacheBounds) {
    this.#entries = new LRUCache({ max: maxEntries, maxSize: maxBytes, sizeCalculation: estimatedBytes });
    this.#maxAge = maxAge;
  }

  /** The verified token while it is good; the clock may have gone back, too. */
  find(text: string, now: number): VerifiedToken | undefined {
    const place = placeOf(text);
    const entry = this.#entries.get(place);
    if (entry?.text !== text) return undefined;
    const isGood = entry.verifiedAt <= now && now < entry.until && now < entry.verifiedAt + this.#maxAge;
    if (isGood && entry.keys.holds(entry.key)) return entry.verified;
    this.#entries.delete(place);
    return undefined;
  }

  add(token: CachedToken): void {
    this.#entries.set(placeOf(token.text), token);
  }
}

/** 12 characters of a signature are 70 bits of chance: two tokens of one place are rare, and then only slow. */
function placeOf(text: string): string {
  return text.slice(-12);
}

/** Measured, within a tenth: the text, the payload's objects and what is built around them. */
function estimatedBytes(entry: CachedToken): number {
  return 1024 + 2 * entry.text.length;
}
