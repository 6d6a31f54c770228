/** When a session ends by itself, and for how long the store must remember it. Pure: `now` comes in. */

import type { TokenTimes } from './session.js';

/** The rules a session is judged by. Durations in milliseconds. */
export interface SessionPolicy {
  /** A session not seen for this long is ended for good; null: never. */
  readonly idleTimeout: number | null;
  /** How far clocks may disagree; extends the session's end too. */
  readonly clockTolerance: number;
  /** How long a tombstone outlives the last token that was seen. */
  readonly tombstoneFor: number;
  /** Live sessions per user; `Infinity`: no cap. */
  readonly maxSessions: number;
  readonly atSessionLimit: 'end-oldest' | 'refuse';
}

/** The last moment that a `Date` can hold. */
export const LAST_MOMENT = 8.64e15;

/** What of a kept session decides about its time. */
export interface SessionTimes {
  readonly startedAt: number;
  readonly lastSeenAt: number;
  /** Absolute lifetime in milliseconds, null where the tokens' `exp` alone limits the session. */
  readonly lifetime: number | null;
  /** The latest moment at which a token seen in this session can still be good by itself. */
  readonly tokensEndAt: number;
}

export type Standing =
  | { readonly state: 'live' }
  /** The tokens seen ran out and no lifetime is set: a refreshed token takes the session on. */
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

/** When the session ends by itself, as it is shown to people (without the clock tolerance). */
export function expiresAt(times: Pick<SessionTimes, 'startedAt' | 'lifetime' | 'tokensEndAt'>): number {
  return times.lifetime === null ? times.tokensEndAt : times.startedAt + times.lifetime;
}

/** The last moment at which this token can be good by itself; always one that a `Date` can hold. */
export function tokenEndsAt(token: TokenTimes): number {
  const byLifetime = token.lifetime === null || token.issuedAt === null ? Infinity : token.issuedAt + token.lifetime;
  return Math.min(token.expiresAt ?? Infinity, byLifetime, LAST_MOMENT);
}

/**
 * Until when a session must be remembered, ended or not: no token of it that was seen, and none refreshed within
 * `tombstoneFor` of the last one, may bring back what is ended, or begin anew what merely ran out, which would take it
 * from under a later cutoff.
 */
export function tombstoneUntil(
  times: Pick<SessionTimes, 'startedAt' | 'lifetime' | 'tokensEndAt'>,
  policy: SessionPolicy,
): number {
  const byLifetime = times.lifetime === null ? 0 : times.startedAt + times.lifetime + policy.clockTolerance;
  const byTokens = times.tokensEndAt + Math.max(policy.tombstoneFor, policy.clockTolerance);
  return Math.min(Math.max(byLifetime, byTokens), LAST_MOMENT);
}
