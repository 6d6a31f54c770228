/** When a session ends by itself, and how long the store must remember it. Pure: `now` is passed in. */

import type { TokenTimes } from './session.js';

/** The rules by which a session is judged. Durations in milliseconds. */
export interface SessionPolicy {
  /** A session that has not been seen for this long is ended for good. Null: never. */
  readonly idleTimeout: number | null;
  /** How far clocks may differ. Also extends the lifetime of a session. */
  readonly clockTolerance: number;
  /** How long a tombstone is kept after the last known token expires. */
  readonly tombstoneFor: number;
  /** The most live sessions per user. `Infinity`: no cap. */
  readonly maxSessions: number;
  readonly atSessionLimit: 'end-oldest' | 'refuse';
}

/** The last moment that a `Date` can hold. */
export const LAST_MOMENT = 8.64e15;

/** The times of a session that decide when it ends. */
export interface SessionTimes {
  readonly startedAt: number;
  readonly lastSeenAt: number;
  /** Absolute lifetime in milliseconds. Null: only the tokens' `exp` limits the session. */
  readonly lifetime: number | null;
  /** When the last of the tokens seen in this session expires. */
  readonly tokensEndAt: number;
}

export type Standing =
  | { readonly state: 'live' }
  /** The tokens that were seen have expired, and no lifetime is set. A refreshed token continues the session. */
  | { readonly state: 'lapsed' }
  | { readonly state: 'ended'; readonly cause: 'expired' | 'idle' };

/** Judges a session that nobody revoked. */
export function decide(times: SessionTimes, policy: SessionPolicy, now: number): Standing {
  if (times.lifetime !== null && now >= times.startedAt + times.lifetime + policy.clockTolerance) {
    return { state: 'ended', cause: 'expired' };
  }
  if (policy.idleTimeout !== null && now >= times.lastSeenAt + policy.idleTimeout)
    return { state: 'ended', cause: 'idle' };
  if (times.lifetime === null && now >= times.tokensEndAt + policy.clockTolerance) return { state: 'lapsed' };
  return { state: 'live' };
}

/** When the session ends by itself, as people are shown it: without the clock tolerance. */
export function expiresAt(times: Pick<SessionTimes, 'startedAt' | 'lifetime' | 'tokensEndAt'>): number {
  return times.lifetime === null ? times.tokensEndAt : times.startedAt + times.lifetime;
}

/** When this token expires, by `exp` or by the lifetime. Always a time that a `Date` can hold. */
export function tokenEndsAt(token: TokenTimes): number {
  const byLifetime = token.lifetime === null || token.issuedAt === null ? Infinity : token.issuedAt + token.lifetime;
  return Math.min(token.expiresAt ?? Infinity, byLifetime, LAST_MOMENT);
}

/**
 * Until when a session must be remembered, whether it has ended or not. Until then, one of its tokens may still be
 * presented: one that was seen, or one that was refreshed within `tombstoneFor` after the last. Such a token must not bring
 * back an ended session. Nor may it make a new session of one whose tokens expired: a cutoff would then miss it.
 */
export function tombstoneUntil(
  times: Pick<SessionTimes, 'startedAt' | 'lifetime' | 'tokensEndAt'>,
  policy: SessionPolicy,
): number {
  const byLifetime = times.lifetime === null ? 0 : times.startedAt + times.lifetime + policy.clockTolerance;
  const byTokens = times.tokensEndAt + Math.max(policy.tombstoneFor, policy.clockTolerance);
  return Math.min(Math.max(byLifetime, byTokens), LAST_MOMENT);
}
