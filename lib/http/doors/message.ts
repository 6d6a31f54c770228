/** The rules that logout tokens and security event tokens share (RFC 8417, section 2.2). Pure. */

import { isObject } from '../../core/check.js';
import { checkAudience, checkDates } from '../../core/claim-checks.js';
import { missing, momentOf, seconds } from '../../core/claim-times.js';
import { claimOf, type Claims } from '../../core/claims.js';
import { diagnosed, shown } from '../../core/diagnosis.js';
import { sha256 } from '../../core/digest.js';
import { LoginError } from '../../core/errors.js';

/** What every message must have: `iss`, `aud`, `iat`, `jti` and `events`. Throws `LoginError`. */
export function checkMessage(claims: Claims, audience: readonly string[]): void {
  checkDates(claims);
  checkAudience(claims, audience);
  if (momentOf(claims, 'iat') === null) throw missing('iat', 'The claim iat is missing');
  requireText(claims, 'jti');
  eventsOf(claims);
}

/** The events by their type, at least one. Throws `LoginError` `claim_invalid`. */
export function eventsOf(claims: Claims): readonly (readonly [type: string, event: Claims])[] {
  const events = claimOf(claims, 'events');
  const entries = isObject(events) ? Object.entries(events) : [];
  const found = entries.filter((entry): entry is [string, Claims] => isObject(entry[1]));
  if (found.length > 0 && found.length === entries.length) return found;
  throw invalid('events', events, 'an object with an object for each event');
}

/** A non-empty string. Throws `LoginError` `claim_invalid` if the claim is anything else, or absent. */
export function requireText(claims: Claims, name: string): string {
  const value = claimOf(claims, name);
  // A lone surrogate would be stored as another character.
  if (typeof value === 'string' && value !== '' && value.isWellFormed()) return value;
  throw invalid(name, value, 'a non-empty string');
}

/** The error for a claim that is not as it must be. */
export function invalid(claim: string, value: unknown, expected: string): LoginError {
  const error = new LoginError('claim_invalid', `The claim ${claim} must be ${expected}`);
  return diagnosed(error, { claim, got: shown(value), expected });
}

export interface TimeRules {
  /** How long ago the message may have been issued. In milliseconds, as the other times are. */
  readonly longestAge: number;
  /** How far the issuer's clock may be ahead. */
  readonly tolerance: number;
  readonly now: number;
}

/**
 * Throws `LoginError` `token_expired` or `token_not_yet_valid`. Each comparison asks whether the message is valid, so that it
 * is refused if the clock returns `NaN`.
 */
export function refuseOutOfTime(claims: Claims, { longestAge, tolerance, now }: TimeRules): void {
  const expiresAt = momentOf(claims, 'exp');
  if (expiresAt !== null && !(now < expiresAt + tolerance)) {
    throw new LoginError('token_expired', `The token expired ${seconds(now - expiresAt)} ago`);
  }
  const issuedAt = momentOf(claims, 'iat') ?? NaN;
  if (!(now - issuedAt <= longestAge)) {
    throw new LoginError('token_expired', `The token was issued more than ${seconds(longestAge)} ago`);
  }
  for (const from of [momentOf(claims, 'nbf') ?? issuedAt, issuedAt]) {
    if (!(from <= now + tolerance)) {
      throw new LoginError('token_not_yet_valid', `The token becomes valid in ${seconds(from - now)}`);
    }
  }
}

/** Identifies a message that passed {@link checkMessage}, for all processes. */
export function messageId(claims: Claims): string {
  const parts = ['iss', 'aud', 'jti'].map((name) => claimOf(claims, name));
  return sha256(JSON.stringify(parts));
}
