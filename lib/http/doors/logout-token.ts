/** What a logout token says: OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6. Pure. */

import { isLogoutToken } from '../../core/claim-checks.js';
import { claimOf, type Claims } from '../../core/claims.js';
import { LoginError } from '../../core/errors.js';
import { countedId } from '../../tokens/session-id.js';
import { checkMessage, invalid, requireText } from './message.js';

/** Null stands for a header without `typ`. */
export const LOGOUT_TYPES: readonly (string | null)[] = ['logout+jwt', 'jwt', null];

/** In milliseconds. */
export const LOGOUT_LONGEST_AGE = 120_000;

/** Everything that no option of an issuer can change. Throws `LoginError`. */
export function checkLogoutToken(claims: Claims, clientIds: readonly string[]): void {
  checkMessage(claims, clientIds);
  if (!isLogoutToken(claims)) {
    throw invalid('events', claimOf(claims, 'events'), 'an object with the logout event');
  }
  if (Object.hasOwn(claims, 'nonce')) {
    throw new LoginError('claim_invalid', 'A logout token must not have a nonce');
  }
  const hasSubject = Object.hasOwn(claims, 'sub');
  const hasSession = Object.hasOwn(claims, 'sid');
  if (!hasSubject && !hasSession) throw new LoginError('claim_invalid', 'A logout token must have sub or sid');
  if (hasSubject) requireText(claims, 'sub');
  if (hasSession) sessionIdOf(claims);
}

/** The session that is meant; null if the token is about all sessions of its user. Throws `LoginError` `claim_invalid`. */
export function sessionIdOf(claims: Claims): string | null {
  if (!Object.hasOwn(claims, 'sid')) return null;
  const value = claimOf(claims, 'sid');
  const id = countedId(value);
  if (id === undefined) throw invalid('sid', value, 'a non-empty string');
  return id;
}
