/** With which error a request is refused, by what is known of its session. */

import { diagnosed, oneLine } from '../core/diagnosis.js';
import { LoginError } from '../core/errors.js';
import type { Ending, TokenTimes } from '../core/session.js';
import { isStale, type StaleTokens } from '../core/stale.js';
import type { Verdict } from './verdict.js';

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

/** Throws `LoginError` `token_stale`. */
export function refuseStale(staleTokens: StaleTokens | null, token: Pick<TokenTimes, 'issuedAt'>): void {
  if (staleTokens !== null && isStale(staleTokens, token)) throw staleError(staleTokens, token);
}

function staleError({ at, reason, by }: StaleTokens, { issuedAt }: Pick<TokenTimes, 'issuedAt'>): LoginError {
  const error = new LoginError('token_stale', 'The token is out of date: get a new one', { reason });
  const who = by === null ? '' : ` by ${by}`;
  return diagnosed(error, {
    claim: 'iat',
    got: issuedAt == null ? 'nothing' : timeOf(issuedAt),
    expected: `later than ${timeOf(at)}, when the tokens of this user were expired${oneLine(`${who}: ${reason}`)}`,
  });
}

function timeOf(moment: number): string {
  return new Date(moment).toISOString();
}

export function refusalOf(verdict: Exclude<Verdict, { as: 'live' }>, token: TokenTimes): LoginError {
  switch (verdict.as) {
    case 'stale':
      return staleError(verdict.staleTokens, token);
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
