/** How callers name a session by the provider's own id. */

import { aFilledString, checkOptions, kindOf, type OptionKinds } from '../core/check.js';
import { countedId } from '../tokens/session-id.js';
import type { NamedSession } from './doors/endings.js';
import { issuerReferred } from './user-reference.js';

/** A session by the provider's own id: the value that the issuer's option `session` finds in tokens. */
export interface SessionReference {
  /** May be left out if there is one issuer. */
  readonly issuer?: string | undefined;
  /** Whose session it is. If it is left out, every session with this id is ended. That needs the option `sessionIndex`. */
  readonly subject?: string | undefined;
  /** A non-empty string, or a safe integer, which stands for its decimal digits, as in tokens. */
  readonly sessionId: string | number;
}

const REFERENCE: OptionKinds<SessionReference> = {
  issuer: aFilledString,
  subject: aFilledString,
  sessionId: {
    accepts: (value) => countedId(value) !== undefined,
    words: 'a non-empty string or a safe integer',
    isRequired: true,
  },
};

/** The session that is meant. `issuers`: as for `userReferred`. Throws a `TypeError` for anything else. */
export function sessionReferred(reference: SessionReference, issuers: readonly string[] | null): NamedSession {
  if (typeof reference !== 'object') {
    throw new TypeError(`revokeSession() takes { issuer, subject, sessionId }, got ${kindOf(reference)}`);
  }
  checkOptions<SessionReference>(reference, 'revokeSession()', REFERENCE);
  const { issuer, subject = null, sessionId } = reference;
  return { issuer: issuerReferred(issuer, issuers, 'revokeSession(): issuer'), subject, sessionId: String(sessionId) };
}
