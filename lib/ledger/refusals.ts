/** With which error a request is refused, by what is known of its session. */

import { LoginError } from '../core/errors.js';
import type { Ending } from '../core/session.js';
import type { Verdict } from './knowledge.js';

/** The error with which an ended session is refused. */
export function endedError({ cause, reason }: Ending): LoginError {
  switch (cause) {
    case 'expired':
      return outlivedError();
    case 'idle':
      return new LoginError('session_idle', 'The session was not used for too long');
    case 'revoked':
      return new LoginError('session_revoked', 'The session was ended', { reason });
  }
}

export function outlivedError(): LoginError {
  return new LoginError('session_expired', 'The session reached the end of its lifetime');
}

export function refusalOf(verdict: Exclude<Verdict, { as: 'live' }>): LoginError {
  switch (verdict.as) {
    case 'ended':
    case 'remembered':
      return endedError(verdict.tombstone.ending);
    case 'cut-off':
      return endedError(verdict.inferred.ending);
    case 'outlived':
      return outlivedError();
    case 'limit':
      return new LoginError('session_limit', 'This user has too many live sessions');
  }
}
