/** Which user of ours a message is about. */

import { claimOf, type Claims } from '../../core/claims.js';
import { refusePromise } from '../../core/hooks.js';
import type { IssuerRules } from '../../tokens/verify.js';

/** A user of a configured issuer, or one that a message names. */
export interface MeantUser {
  readonly issuer: string;
  readonly subject: string;
}

/**
 * The subject by the issuer's option `subject`, as for its login tokens. Null if the message does not have what that needs,
 * whatever a function of the application throws then.
 */
export function subjectBy({ subject: by = 'sub' }: Pick<IssuerRules, 'subject'>, claims: Claims): string | null {
  try {
    const subject: unknown = typeof by === 'function' ? by(claims) : claimOf(claims, by);
    refusePromise(subject, 'subject must return the subject itself, not a promise of it');
    return typeof subject === 'string' && subject !== '' && subject.isWellFormed() ? subject : null;
  } catch {
    return null;
  }
}
