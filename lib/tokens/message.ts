/** Messages that an issuer signs and sends by itself, such as logout tokens: from a string to claims that it has signed. */

import { claimOf, type Claims } from '../core/claims.js';
import { diagnosed, namesDiffer } from '../core/diagnosis.js';
import { LoginError } from '../core/errors.js';
import { nameToLookUp } from './precheck.js';
import { malformed, parseToken, requireLength, signingKey } from './token-form.js';
import type { IssuerRules, TenantSource } from './verify.js';

/** Finds an issuer by its name. Throws, or rejects with, `LoginError` `issuer_refused` or `keys_unavailable`. */
export type FindIssuer = (name: unknown) => IssuerRules | Promise<IssuerRules>;

/** Among those that are configured, or by the function that finds them. */
export function findIssuerAmong(issuers: readonly IssuerRules[], tenants?: TenantSource): FindIssuer {
  if (tenants !== undefined) return (name) => tenants.find(nameToLookUp(name));
  const byName = new Map<unknown, IssuerRules>(issuers.map((rules) => [rules.issuer, rules]));
  return function findConfigured(name) {
    const found = byName.get(name);
    if (found !== undefined) return found;
    const names = issuers.map(({ issuer }) => issuer);
    throw diagnosed(new LoginError('issuer_refused', 'The issuer is not configured'), namesDiffer('iss', name, names));
  };
}

/** What is checked of a message before its issuer is looked up: everything that no option of an issuer can change. */
export interface MessageForm {
  /** The accepted types, in lower case and without `application/`; null stands for a header without `typ`. */
  readonly types: readonly (string | null)[];
  /** Throws `LoginError` for claims that cannot be those of such a message. */
  readonly check: (claims: Claims) => void;
}

export interface SignedMessage {
  readonly issuer: IssuerRules;
  readonly claims: Claims;
}

/**
 * Verifies messages with the keys and algorithms of their issuers, by the rules for login tokens: `crit`, `alg: none`, an
 * embedded key and a public key used as a secret are refused. Rejects with `LoginError`: `token_malformed`, `token_too_large`,
 * `type_refused`, `algorithm_refused`, `issuer_refused`, `key_unknown`, `signature_invalid`, `keys_unavailable`, or what
 * `check` throws. `maxTokenLength` is in characters.
 */
export function createMessageVerifier(findIssuer: FindIssuer, maxTokenLength: number) {
  return async function verifyMessage(text: unknown, { types, check }: MessageForm): Promise<SignedMessage> {
    if (typeof text !== 'string') throw malformed('The token is not a string');
    requireLength(text, maxTokenLength);
    const token = parseToken(text);
    if (!types.includes(token.type)) throw new LoginError('type_refused', 'Tokens of this type are not accepted here');
    check(token.payload);
    const issuer = await findIssuer(claimOf(token.payload, 'iss'));
    if (issuer.algorithms?.includes(token.alg) === false) {
      throw new LoginError('algorithm_refused', 'The issuer is not configured for this algorithm');
    }
    // At once after the issuer was found: the keys of one that is evicted are held no longer than that.
    signingKey(token, await issuer.keys.candidates({ kid: token.kid, alg: token.alg }));
    return { issuer, claims: token.payload };
  };
}

export type MessageVerifier = ReturnType<typeof createMessageVerifier>;
