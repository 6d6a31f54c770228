/** What a token says of times: when its session began, and whether it is valid now (RFC 7519, sections 4.1.4 to 4.1.6). */

import { claimOf, type Claims } from './claims.js';
import { diagnosed, shown } from './diagnosis.js';
import { LoginError } from './errors.js';
import { latestEnd } from './policy.js';
import type { TokenTimes } from './session.js';

/** What says when a session began: see the option `began` of an issuer. */
export type Began = 'iat' | 'auth_time' | 'first-seen';

export interface TimeRules {
  /** How far the issuer's clock may differ from ours, in either direction. */
  readonly clockTolerance: number;
  /** The session's absolute lifetime. Null: `exp` is required. */
  readonly lifetime: (claims: Claims) => number | null;
  /** Default `iat`. */
  readonly began?: Began;
}

/** What a time must be. */
export const A_DATE = 'a number of seconds since 1970';

/** Throws `LoginError` `claim_invalid` if a time that is needed is missing. The times that there are must be valid dates. */
export function tokenTimes(claims: Claims, rules: TimeRules, now: number): TokenTimes {
  const lifetime = rules.lifetime(claims);
  if (lifetime !== null && !(lifetime > 0 && lifetime < Infinity)) {
    throw new TypeError('lifetime must be null or a positive number of milliseconds');
  }
  const expiresAt = momentOf(claims, 'exp');
  if (lifetime === null && expiresAt === null) {
    throw missing('exp', 'The claim exp is missing, and no lifetime is set');
  }
  return {
    beganAt: startOf(claims, rules, now),
    expiresAt,
    lifetime,
    sessionEndsAt: momentOf(claims, 'session_expiry'),
    issuedAt: momentOf(claims, 'iat'),
  };
}

/** When the session began, by this token; null if only its first sighting tells. */
function startOf(claims: Claims, { began = 'iat', clockTolerance }: TimeRules, now: number): number | null {
  const issuedAt = momentOf(claims, 'iat');
  switch (began) {
    case 'first-seen':
      return null;
    case 'iat':
      if (issuedAt !== null) return issuedAt;
      throw missing('iat', "The claim iat is missing. If the issuer sends none, set its option began to 'first-seen'");
    case 'auth_time': {
      const signedInAt = momentOf(claims, 'auth_time');
      if (signedInAt === null && issuedAt === null)
        throw missing('auth_time', 'The claims auth_time and iat are missing');
      if (signedInAt !== null && !(signedInAt <= now + clockTolerance)) {
        const diagnosis = {
          claim: 'auth_time',
          got: shown(claimOf(claims, 'auth_time')),
          expected: 'a time in the past',
        };
        throw diagnosed(new LoginError('claim_invalid', 'The claim auth_time is in the future'), diagnosis);
      }
      return Math.min(signedInAt ?? Infinity, issuedAt ?? Infinity);
    }
  }
}

export function missing(claim: string, message: string): LoginError {
  return diagnosed(new LoginError('claim_invalid', message), { claim, got: shown(undefined), expected: A_DATE });
}

interface InTime {
  /** The claim that is judged. */
  readonly claim: string;
  /** Throws `LoginError`. Each comparison asks whether the token is valid, so that it is refused if the clock returns `NaN`. */
  readonly refuse: (claims: Claims, times: TokenTimes, tolerance: number, now: number) => void;
}

/** In this order: `token_expired`, `token_not_yet_valid`, `session_expired`. */
export const IN_TIME: readonly InTime[] = [
  { claim: 'exp', refuse: refuseExpired },
  ...['nbf', 'iat'].map((claim) => ({ claim, refuse: refuseBefore(claim) })),
  { claim: 'session_expiry', refuse: refusePastLifetime },
];

function refuseExpired(_claims: Claims, { expiresAt }: TokenTimes, tolerance: number, now: number): void {
  if (expiresAt === null || now < expiresAt + tolerance) return;
  throw new LoginError('token_expired', `The token expired ${seconds(now - expiresAt)} ago`);
}

function refuseBefore(name: string): InTime['refuse'] {
  return function refuseEarly(claims, _times, tolerance, now) {
    const from = momentOf(claims, name);
    if (from === null || from <= now + tolerance) return;
    throw new LoginError('token_not_yet_valid', `The token becomes valid in ${seconds(from - now)}`);
  };
}

function refusePastLifetime(_claims: Claims, times: TokenTimes, tolerance: number, now: number): void {
  const { beganAt, lifetime, sessionEndsAt } = times;
  const end = latestEnd({ startedAt: beganAt ?? Infinity, lifetime, endsAt: sessionEndsAt });
  if (now < end + tolerance) return;
  throw new LoginError('session_expired', `The session reached the end of its lifetime ${seconds(now - end)} ago`);
}

/** In whole milliseconds since 1970; adding 0 turns -0 into 0. */
export function momentOf(claims: Claims, name: string): number | null {
  const value = claimOf(claims, name);
  return typeof value === 'number' ? Math.round(value * 1000) + 0 : null;
}

/** A duration in milliseconds, as words: `12 s`. */
export function seconds(milliseconds: number): string {
  return `${Math.ceil(milliseconds / 1000)} s`;
}
