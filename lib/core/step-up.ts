/** How recent, and how strong, a sign-in must be: step-up authentication (RFC 9470). Pure: `now` is passed in. */

import { neverUndefined, type Kind } from './check.js';
import { claimOf, type Claims } from './claims.js';
import { momentOf } from './claim-times.js';
import { diagnosed, shown, shownChoice } from './diagnosis.js';
import { durationMs, type Duration } from './duration.js';
import { LoginError } from './errors.js';

/** What a route asks of the sign-in, checked. */
export interface StepUp {
  /** In milliseconds. Null: it may be of any age. */
  readonly maxAge: number | null;
  /** The claim `acr` must equal one of them. Empty: it may be of any kind. */
  readonly acr: readonly string[];
}

/** For options that a check of their own follows. An unset environment variable must not switch them off. */
export const MAX_AGE: Kind = neverUndefined(
  { accepts: () => true, words: 'a duration' },
  'leave it out if the sign-in may be of any age',
);
export const ACR: Kind = neverUndefined(
  {
    accepts: (value) => {
      const values = valuesOf(value);
      return values.length > 0 && values.every((each) => typeof each === 'string' && ACR_VALUE.test(each));
    },
    words: "a value of the claim acr such as 'phr', or a list of them, with at least one",
  },
  'leave it out if the sign-in may be of any kind',
);

/** `acr_values` are separated by spaces, inside a quoted string. */
const ACR_VALUE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

/** Undefined if nothing is asked. `owner` names the call in messages. Throws a `TypeError` if `maxAge` is not a duration. */
export function stepUpOf({ maxAge, acr }: { maxAge?: unknown; acr?: unknown }, owner: string): StepUp | undefined {
  if (maxAge === undefined && acr === undefined) return undefined;
  return {
    // With less, nobody could pass: the person has to come back from the sign-in.
    maxAge: maxAge === undefined ? null : durationMs(maxAge, `${owner}: maxAge`, { min: '1s', max: LONGEST }),
    acr: valuesOf(acr).map(String),
  };
}

const LONGEST: Duration = '10y';

function valuesOf(acr: unknown): readonly unknown[] {
  if (acr === undefined) return [];
  return Array.isArray(acr) ? acr : [acr];
}

/**
 * Throws `LoginError` `insufficient_user_authentication` unless the token shows the sign-in that is asked for.
 *
 * Its time is `auth_time` (OpenID Connect Core, section 2; RFC 9068, section 2.2.1), give or take `tolerance` milliseconds.
 * A token without it, or with one that is not a time in the past, is refused: `iat` changes with each refresh, and shows nothing.
 */
export function requireSignIn(claims: Claims, asked: StepUp, now: number, tolerance: number): void {
  const { maxAge, acr } = asked;
  if (maxAge !== null && !isRecent(momentOf(claims, 'auth_time'), maxAge, now, tolerance)) {
    const authTime = claimOf(claims, 'auth_time');
    const seconds = secondsOf(maxAge);
    const error = insufficient(
      authTime === undefined
        ? 'A more recent sign-in is required, and the token does not say when the user signed in (auth_time)'
        : `A more recent sign-in is required: at most ${String(seconds)} s ago`,
      asked,
    );
    throw diagnosed(error, {
      claim: 'auth_time',
      got: shown(authTime),
      expected: `a time at most ${String(seconds)} s ago`,
    });
  }
  const kind = claimOf(claims, 'acr');
  if (acr.length > 0 && !acr.some((value) => value === kind)) {
    const error = insufficient('Another way to sign in is required (acr)', asked);
    throw diagnosed(error, { claim: 'acr', got: shown(kind), expected: shownChoice(acr) });
  }
}

/** False for whatever is not a number. */
function isRecent(signedInAt: number | null, maxAge: number, now: number, tolerance: number): boolean {
  return signedInAt !== null && signedInAt <= now + tolerance && now <= signedInAt + maxAge + tolerance;
}

/** Everything that the route asks for, also what this token has: the next one must have all of it. */
function insufficient(message: string, { maxAge, acr }: StepUp): LoginError {
  return new LoginError('insufficient_user_authentication', message, {
    ...(maxAge !== null && { maxAge: secondsOf(maxAge) }),
    ...(acr.length > 0 && { acr }),
  });
}

/** Whole seconds. A fraction is dropped, because the next sign-in must not be refused again. */
function secondsOf(maxAge: number): number {
  return Math.floor(maxAge / 1000);
}
