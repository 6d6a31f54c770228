/** Whom a security event is about (RFC 9493; complex subjects by the Shared Signals Framework 1.0, section 3). Pure. */

import { isObject } from '../../core/check.js';
import { claimOf, type Claims } from '../../core/claims.js';
import { invalid, requireText } from './message.js';
import type { MeantUser } from './user.js';

/** At least one of the two is there. */
export type EventSubject =
  { readonly user: MeantUser; readonly sessionId: string | null } | { readonly user: null; readonly sessionId: string };

/**
 * `iss_sub`, `opaque` as a session id, or a complex subject of `user`, `session` or both in these formats. Null for a subject
 * in any other format, or with any other part: such a subject means less than the user, for example one of their devices.
 * Throws `LoginError` `claim_invalid` if it is not a subject at all.
 */
export function subjectOf(value: unknown): EventSubject | null {
  if (!isObject(value)) throw invalid('sub_id', value, 'an object that identifies the subject');
  switch (formatOf(value)) {
    case 'iss_sub':
      return { user: { issuer: requireText(value, 'iss'), subject: requireText(value, 'sub') }, sessionId: null };
    case 'opaque':
      return { user: null, sessionId: requireText(value, 'id') };
    case 'complex':
      return complexSubject(value);
    default:
      return null;
  }
}

/** Earlier drafts called the member `subject_type`, wrote `iss-sub`, and gave a complex subject no format. */
function formatOf(subject: Claims): unknown {
  const format = claimOf(subject, 'format') ?? claimOf(subject, 'subject_type');
  if (format === undefined) return 'complex';
  return format === 'iss-sub' ? 'iss_sub' : format;
}

function complexSubject(subject: Claims): EventSubject | null {
  const { format: _format, subject_type: _type, user, session, ...others } = subject;
  if (Object.keys(others).length > 0) return null;
  const named = user === undefined ? null : simple(user);
  const meant = session === undefined ? null : simple(session);
  // One that is there and is not understood narrows the other.
  if (user !== undefined && named?.user == null) return null;
  if (session !== undefined && meant?.sessionId == null) return null;
  if (named?.user != null) return { user: named.user, sessionId: meant?.sessionId ?? null };
  return meant;
}

/** Complex subjects do not nest. */
function simple(value: unknown): EventSubject | null {
  return isObject(value) && formatOf(value) === 'complex' ? null : subjectOf(value);
}
