/** Which of several cookies with one name is used. */

import { isLoginError, LoginError, type LoginErrorCode } from '../core/errors.js';
import { tokenEndsAt } from '../core/policy.js';
import type { Ledger } from '../ledger/ledger.js';
import type { VerifiedToken, Verifier } from '../tokens/verify.js';
import { EXAMINED } from './sent-cookies.js';

export interface ChoiceParts {
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly ledger: Pick<Ledger, 'peek' | 'isKnownStale'>;
}

/** Whether one token or session counts. `unknown`: it cannot be checked now. */
type Outcome<Value> =
  { readonly is: 'good'; readonly value: Value } | { readonly is: 'bad' | 'unknown'; readonly error: LoginError };

/**
 * The token to use if a browser sent several cookies of one name, and nobody knows which of them another site may have planted.
 *
 * Tokens that do not verify, and those whose session has ended, do not count. If the rest name one session, it is the token
 * that expires last, but one that is known to be stale only if there is no other. Rejects with `LoginError`:
 * `token_malformed` if they name several sessions, or if there are too many to examine; the most telling error if none is
 * left; a 503 if one of them cannot be judged and could name another session.
 */
export async function chooseSession(
  texts: readonly string[],
  at: number,
  { verifier, ledger }: ChoiceParts,
): Promise<VerifiedToken> {
  // Somebody may have planted the first ones, all of one session, so that those of another are not examined.
  if (texts.length > EXAMINED) throw new LoginError('token_malformed', 'There are too many login cookies');
  const verified = await Promise.all(texts.map((text) => outcomeOf(async () => verifier.verify(text))));
  const bySession = new Map<string, VerifiedToken>();
  const isBetter = (token: VerifiedToken, other: VerifiedToken): boolean => {
    const isStale = ledger.isKnownStale(token);
    if (isStale !== ledger.isKnownStale(other)) return !isStale;
    return tokenEndsAt(token.times) > tokenEndsAt(other.times);
  };
  for (const each of verified) if (each.is === 'good') keepBest(bySession, each.value, isBetter);

  const candidates = [...bySession.values()];
  const isDecided = candidates.length <= 1;
  // With one candidate there is nothing to choose: the gate asks for its session later, as for any request.
  const sessions = isDecided
    ? candidates.map((value) => ({ is: 'good', value }) as const)
    : await Promise.all(
        candidates.map((token) =>
          outcomeOf(async () => {
            await ledger.peek(token, at);
            return token;
          }),
        ),
      );
  return onlyOne(sessions, verified);
}

function onlyOne(
  sessions: readonly Outcome<VerifiedToken>[],
  verified: readonly Outcome<VerifiedToken>[],
): VerifiedToken {
  const live = sessions.flatMap((each) => (each.is === 'good' ? [each.value] : []));
  if (live.length > 1)
    throw new LoginError('token_malformed', 'There are several login cookies, of different sessions');
  const failed = [...verified, ...sessions].flatMap((each) => (each.is === 'good' ? [] : [each]));
  // What cannot be checked could name another session.
  const unknown = failed.find(({ is }) => is === 'unknown');
  if (unknown !== undefined) throw unknown.error;
  const [only] = live;
  if (only === undefined) throw mostTelling(failed.map(({ error }) => error));
  return only;
}

function keepBest(
  bySession: Map<string, VerifiedToken>,
  token: VerifiedToken,
  isBetter: (token: VerifiedToken, other: VerifiedToken) => boolean,
): void {
  const known = bySession.get(token.handle);
  if (known === undefined || isBetter(token, known)) bySession.set(token.handle, token);
}

async function outcomeOf<Value>(work: () => Promise<Value>): Promise<Outcome<Value>> {
  try {
    return { is: 'good', value: await work() };
  } catch (error) {
    if (!isLoginError(error)) throw error;
    return { is: error.status === 401 ? 'bad' : 'unknown', error };
  }
}

/** The codes that a planted cookie is least likely to cause, best first. */
const TELLING: readonly LoginErrorCode[] = [
  'token_stale',
  'session_revoked',
  'session_expired',
  'session_idle',
  'token_expired',
];

function mostTelling(errors: readonly LoginError[]): LoginError {
  const found = TELLING.map((code) => errors.find((error) => error.code === code)).find((error) => error !== undefined);
  return found ?? errors[0] ?? new LoginError('token_malformed', 'There is no login cookie');
}
