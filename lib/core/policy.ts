/** When a session ends by itself, and how long the store must remember it. Pure: `now` is passed in. */

import type { TokenTimes } from './session.js';

/** The rules by which a session is judged. Durations in milliseconds. */
export interface SessionPolicy {
  /** A session that has not been seen for this long is ended for good. Null: never. */
  readonly idleTimeout: number | null;
  /** How far clocks may differ. Also extends the lifetime of a session. */
  readonly clockTolerance: number;
  /** How long a tombstone, or what a lapsed session is judged by, is kept after the last known token expires. */
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
  /** When the session ends at the latest, by the earliest `session_expiry` of its tokens. Null: none has one. */
  readonly endsAt: number | null;
}

/** The times by which a session ends, whether it is used or not. */
type Ends = Pick<SessionTimes, 'startedAt' | 'lifetime' | 'tokensEndAt' | 'endsAt'>;

/** `since`: when this state began, however late it is noticed. */
export type Standing =
  | { readonly state: 'live' }
  /** The tokens that were seen have expired, and no lifetime is set. A refreshed token continues the session. */
  | { readonly state: 'lapsed'; readonly since: number }
  | { readonly state: 'ended'; readonly cause: 'expired' | 'idle'; readonly since: number };

/** Judges a session that nobody revoked. `inUseSince`: see `KnownUse` in record.ts. */
export function decide(times: SessionTimes, policy: SessionPolicy, now: number, inUseSince = now): Standing {
  const { idleTimeout, clockTolerance } = policy;
  const expiredAt = latestEnd(times) + clockTolerance;
  if (now >= expiredAt) return { state: 'ended', cause: 'expired', since: expiredAt };
  const idleAt = times.lastSeenAt + (idleTimeout ?? Infinity);
  if (inUseSince >= idleAt) return { state: 'ended', cause: 'idle', since: idleAt };
  const lapsedAt = times.tokensEndAt + clockTolerance;
  if (times.lifetime === null && now >= lapsedAt) return { state: 'lapsed', since: lapsedAt };
  return { state: 'live' };
}

/** When the session ends, by its lifetime or by `session_expiry`, however it is used. Without either, `Infinity`. */
export function latestEnd({ startedAt, lifetime, endsAt }: Omit<Ends, 'tokensEndAt'>): number {
  return Math.min(startedAt + (lifetime ?? Infinity), endsAt ?? Infinity);
}

/** When the session ends by itself, as people are shown it: without the clock tolerance. */
export function expiresAt(times: Ends): number {
  return times.lifetime === null ? Math.min(times.tokensEndAt, latestEnd(times)) : latestEnd(times);
}

/** When this token expires, by `exp`, the lifetime or `session_expiry`. Always a time that a `Date` can hold. */
export function tokenEndsAt({ expiresAt, beganAt, lifetime, sessionEndsAt }: TokenTimes): number {
  const bySession = latestEnd({ startedAt: beganAt ?? Infinity, lifetime, endsAt: sessionEndsAt });
  return Math.min(expiresAt ?? Infinity, bySession, LAST_MOMENT);
}

/** How long the address, the user agent and the label of a session are kept after its last token expired: a day. */
export const ROW_FOR = 24 * 3600 * 1000;

/**
 * Until when a session must be remembered, whether it has ended or not. Until then, one of its tokens may still be
 * presented: one that was seen, or one that was refreshed within `tombstoneFor` after the last. Such a token must not bring
 * back an ended session. Nor may it make a new session of one whose tokens expired: a cutoff would then miss it.
 */
export function tombstoneUntil(times: Ends, policy: SessionPolicy): number {
  return keptFor(policy.tombstoneFor, times, policy);
}

/** The same for a session of which nothing is known at `at`. */
export function unseenUntil(at: number, policy: SessionPolicy): number {
  return tombstoneUntil({ startedAt: at, lifetime: null, tokensEndAt: at, endsAt: null }, policy);
}

/**
 * Until when a session is kept in the index by its id: as long as its tombstone would be, and a day more, so that a session
 * whose tokens are refreshed costs one write a day.
 */
export function indexedUntil(times: Ends, policy: SessionPolicy): number {
  return Math.min(tombstoneUntil(times, policy) + Math.min(ROW_FOR, policy.tombstoneFor), LAST_MOMENT);
}

/**
 * Until when the row of a session is kept: its address, user agent and label. After that only the times are kept by which
 * it is judged, so that whatever ended it meanwhile is found when a refreshed token comes. The row of a session that has
 * reached its end is of no use any more, even if one of its tokens never expires.
 */
export function rowUntil(times: Ends, policy: SessionPolicy): number {
  const duration = Math.min(ROW_FOR, policy.tombstoneFor);
  return Math.min(keptFor(duration, times, policy), latestEnd(times) + policy.clockTolerance + duration);
}

function keptFor(duration: number, times: Ends, { clockTolerance }: SessionPolicy): number {
  const byLifetime = times.lifetime === null ? 0 : latestEnd(times) + clockTolerance;
  const byTokens = times.tokensEndAt + Math.max(duration, clockTolerance);
  return Math.min(Math.max(byLifetime, byTokens), LAST_MOMENT);
}

/**
 * Until when a tombstone is kept once a token has come that outlives it; `until` itself if none has. It is extended by
 * `tombstoneFor` more than is needed, so that a client that goes on refreshing costs one write in that time.
 */
export function extendedUntil(until: number, token: TokenTimes, policy: SessionPolicy): number {
  const needed = tombstoneUntil(
    { startedAt: 0, lifetime: null, tokensEndAt: tokenEndsAt(token), endsAt: null },
    policy,
  );
  return needed <= until ? until : Math.min(needed + policy.tombstoneFor, LAST_MOMENT);
}
