/** From a string to a verified token: format, header, key, signature, claims, in this order. */

import { claimOf, partiesOf, type Claims, type Profile } from '../core/claims.js';
import { checkClaims, type ClaimRules } from '../core/claim-checks.js';
import { diagnosed, namesDiffer } from '../core/diagnosis.js';
import { LoginError } from '../core/errors.js';
import { tokenEndsAt } from '../core/policy.js';
import {
  sessionHandle,
  sessionIndexId,
  sessionUser,
  type SessionUser,
  type TokenParties,
  type TokenTimes,
} from '../core/session.js';
import type { KeySource } from './key-source.js';
import { issuerNameOf, OTHER_TYPES } from './precheck.js';
import { sessionIdBy, type SessionIdOf } from './session-id.js';
import { TokenCache, type CacheBounds, type CachedToken } from './token-cache.js';
import {
  malformed,
  MAX_TOKEN_LENGTH,
  normalizedType,
  parseToken,
  requireLength,
  signingKey,
  type UnverifiedToken,
} from './token-form.js';
import type { Algorithm, VerificationKey } from './verification-key.js';

/** The default values of `typ`; null stands for a header without it. Case and an `application/` prefix do not matter. */
const DEFAULT_TYPES: readonly (string | null)[] = ['JWT', 'at+jwt', null];

/** A token that passed every check. Frozen: all requests with this token share the object. */
export interface VerifiedToken extends TokenParties {
  readonly user: SessionUser;
  /** The handle of the token's session. */
  readonly handle: string;
  /** Of the session's id in the index by session id. Undefined: there is no index. */
  readonly indexId?: string | undefined;
  /** The whole payload, deeply frozen. */
  readonly claims: Claims;
  readonly profile: Profile;
  readonly scopes: readonly string[];
  readonly times: TokenTimes;
}

export interface Verifier {
  /**
   * The checked token. Synchronous if it is cached or the keys are in memory. Throws, or rejects with, `LoginError`. Until
   * the signature is verified, an error reveals nothing about the claims, except whether the issuer is configured. With
   * `tenants`, it also says what is wrong whatever the issuer's options are.
   */
  verify(token: string): VerifiedToken | Promise<VerifiedToken>;
  /** What is cached of a token that passed a moment ago: it is good until then, as long as its key is in use. */
  cached(token: string): CachedToken<VerifiedToken> | undefined;
}

/** One issuer: its claims, its keys, and the types of its tokens. */
export interface IssuerRules extends Omit<ClaimRules, 'lifetime'> {
  readonly keys: KeySource;
  /** Narrows what the keys allow. Default: everything that each key allows. */
  readonly algorithms?: readonly Algorithm[];
  /** Replaces {@link DEFAULT_TYPES}; {@link OTHER_TYPES} stay refused. */
  readonly types?: readonly (string | null)[];
  /** Which sign-in a token belongs to. Default: `sessionIdBy()`. */
  readonly sessionIdOf?: SessionIdOf;
}

/** Issuers that are looked up by the `iss` of a token. */
export interface TenantSource {
  /** Throws, or rejects with, `LoginError` `issuer_refused` or `keys_unavailable`. The same object while it is the same issuer. */
  find(iss: string): IssuerRules | Promise<IssuerRules>;
}

export interface VerifierOptions {
  /** No two with the same `issuer`. */
  readonly issuers: readonly IssuerRules[];
  /** Instead of `issuers`. */
  readonly tenants?: TenantSource;
  /** With `tenants`: whether `lifetime` is null for all claims. Default false. */
  readonly isExpRequired?: boolean;
  /** In milliseconds since 1970. */
  readonly clock: { now(): number };
  /** See {@link ClaimRules}. */
  readonly lifetime: ClaimRules['lifetime'];
  /** The longest token, in characters. Default {@link MAX_TOKEN_LENGTH}. */
  readonly maxTokenLength?: number;
  /** Whether sessions are kept in an index by their ids. Default false. */
  readonly sessionIndex?: boolean;
  /** Told of each verified token that names no session, unless it is in the cache. Must not throw. */
  readonly onUnnamed?: (issuer: string, claims: Claims) => void;
  readonly cache?: CacheBounds;
}

interface Issuer {
  readonly rules: ClaimRules;
  readonly keys: KeySource;
  readonly algorithms: ReadonlySet<string> | null;
  readonly types: ReadonlySet<string | null>;
  readonly sessionIdOf: SessionIdOf;
}

/** Throws `TypeError` if two issuers have the same name. */
export function createVerifier(options: VerifierOptions): Verifier {
  const { clock, onUnnamed, maxTokenLength = MAX_TOKEN_LENGTH } = options;
  const byIssuer = options.tenants === undefined ? amongConfigured(options) : amongTenants(options, options.tenants);
  const cache = new TokenCache<VerifiedToken>(options.cache ?? {});

  return {
    verify(text) {
      if (typeof text !== 'string') throw malformed('The token is not a string');
      const known = cache.find(text, clock.now());
      if (known !== undefined) return known.verified;
      requireLength(text, maxTokenLength);
      const token = parseToken(text);
      return byIssuer(token, verifyBy);
    },
    cached: (text) => cache.find(text, clock.now()),
  };

  function verifyBy(issuer: Issuer, token: UnverifiedToken): VerifiedToken | Promise<VerifiedToken> {
    if (!issuer.types.has(token.type)) {
      throw new LoginError('type_refused', 'Tokens of this type are not accepted as login tokens');
    }
    if (issuer.algorithms?.has(token.alg) === false) {
      throw new LoginError('algorithm_refused', 'The issuer is not configured for this algorithm');
    }
    const candidates = issuer.keys.candidates({ kid: token.kid, alg: token.alg });
    return candidates instanceof Promise
      ? candidates.then((keys) => accept(token, issuer, keys))
      : accept(token, issuer, candidates);
  }

  function accept(token: UnverifiedToken, issuer: Issuer, candidates: readonly VerificationKey[]): VerifiedToken {
    const key = signingKey(token, candidates);
    const now = clock.now();
    const claims = deepFreeze(token.payload);
    const { issuer: name, subject, profile, scopes, times } = checkClaims(claims, issuer.rules, now);
    const user = Object.freeze(sessionUser(name, subject));
    const { id, isNamed } = issuer.sessionIdOf(claims, token.signingInput);
    if (!isNamed) onUnnamed?.(name, claims);
    const verified = Object.freeze({
      user,
      handle: sessionHandle(user, id),
      indexId: options.sessionIndex === true ? sessionIndexId(name, id) : undefined,
      ...partiesOf(claims),
      claims,
      profile: deepFreeze(profile),
      scopes: Object.freeze(scopes),
      times: Object.freeze(times),
    });
    cache.add({
      text: token.text,
      verified,
      key,
      keys: issuer.keys,
      verifiedAt: now,
      until: tokenEndsAt(times) + issuer.rules.clockTolerance,
    });
    return verified;
  }
}

type VerifyBy = (issuer: Issuer, token: UnverifiedToken) => VerifiedToken | Promise<VerifiedToken>;

/** Finds the issuer of a token and verifies by it. Throws, or rejects with, `LoginError`. */
type ByIssuer = (token: UnverifiedToken, verifyBy: VerifyBy) => VerifiedToken | Promise<VerifiedToken>;

function amongConfigured(options: VerifierOptions): ByIssuer {
  const issuers = prepareIssuers(options);
  const names = [...issuers.keys()].filter((name) => name !== undefined);
  return (token, verifyBy) => {
    const name = claimOf(token.payload, 'iss');
    const issuer = name === undefined || typeof name === 'string' ? issuers.get(name) : undefined;
    if (issuer === undefined) {
      const error = new LoginError('issuer_refused', 'The issuer is not configured');
      throw diagnosed(error, namesDiffer('iss', name, names));
    }
    return verifyBy(issuer, token);
  };
}

function amongTenants({ clock, lifetime, isExpRequired = false }: VerifierOptions, tenants: TenantSource): ByIssuer {
  const prepared = new WeakMap<IssuerRules, Issuer>();
  return (token, verifyBy) => {
    const rules = tenants.find(issuerNameOf(token, clock.now(), isExpRequired));
    if (!(rules instanceof Promise)) return verifyBy(issuerOf(rules), token);
    // At once, not with a further `then`: the keys are held only until those who waited for the issuer have asked for them.
    return rules.then((found) => verifyBy(issuerOf(found), token));
  };

  function issuerOf(rules: IssuerRules): Issuer {
    const known = prepared.get(rules);
    if (known !== undefined) return known;
    const issuer = prepareIssuer(rules, lifetime);
    prepared.set(rules, issuer);
    return issuer;
  }
}

/** By `iss`; undefined for the issuer whose tokens have none. */
function prepareIssuers(options: VerifierOptions): ReadonlyMap<string | undefined, Issuer> {
  const issuers = new Map<string | undefined, Issuer>();
  const names = new Set<string>();
  for (const issuer of options.issuers) {
    const iss = issuer.withoutIssuer === true ? undefined : issuer.issuer;
    if (names.has(issuer.issuer)) throw new TypeError(`issuer: '${issuer.issuer}' is given twice`);
    if (issuers.has(iss)) throw new TypeError('issuer: only one can have tokens without iss');
    names.add(issuer.issuer);
    issuers.set(iss, prepareIssuer(issuer, options.lifetime));
  }
  return issuers;
}

function prepareIssuer(issuer: IssuerRules, lifetime: ClaimRules['lifetime']): Issuer {
  const types = new Set((issuer.types ?? DEFAULT_TYPES).map(normalizedType));
  for (const type of OTHER_TYPES) types.delete(type);
  return {
    rules: { ...issuer, lifetime },
    keys: issuer.keys,
    algorithms: issuer.algorithms === undefined ? null : new Set(issuer.algorithms),
    types,
    sessionIdOf: issuer.sessionIdOf ?? sessionIdBy(),
  };
}

/** Not recursive: `profile` may return lists that nest deeply. */
function deepFreeze<T extends object>(root: T): Readonly<T> {
  const pending: object[] = [root];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const members: readonly unknown[] = Array.isArray(next) ? next : Object.values(next);
    for (const member of members) {
      if (typeof member === 'object' && member !== null && !Object.isFrozen(member)) pending.push(member);
    }
    Object.freeze(next);
  }
  return root;
}
