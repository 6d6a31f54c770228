/**
 * What this process knows of one session, and what it may conclude. Pure: no clock, no events, no I/O.
 *
 * The invariants, by the names that the tests use:
 *
 * - R1: An answer that a notice overtook never vouches.
 * - R2: An answer to a question asked before a gap never vouches after it.
 * - R3: What this process knows to be ended is refused, whatever the store answers.
 * - R4: A vouch holds only while its age is within the bound.
 * - R5: A token that shows an earlier start or an earlier end than is known is asked about.
 * - R6: Memory never answers for a session that is past its lifetime, idle or lapsed.
 * - R7: The store has lost data if it calls live what was known to be ended when it was asked.
 * - R8: The store has lost data if it creates a session that is on record and in use. This is not a new session.
 * - R9: An ending is announced once, and `here` is true only for what this store object wrote.
 * - R10: A token that this process knows to be stale is refused, whatever the store answers. Its session stays as it is.
 * - R11: The store has lost data if it does not know that tokens are stale which were known to be so when it was asked.
 */

import { tokenEndsAt, type SessionPolicy, type SessionTimes } from '../core/policy.js';
import type { SessionUser, TokenTimes } from '../core/session.js';
import { goodFrom, isIssuedBefore, type StaleTokens } from '../core/stale.js';

/** Replaced as a whole, by an answer, or when tokens of the user become stale. */
export interface SessionFacts {
  readonly startedAt: number;
  /** The earliest `session_expiry` of its tokens. Null: none has one. */
  readonly endsAt: number | null;
  /** The latest cutoff that it is known to have survived. 0: none. */
  readonly survivedCutoffAt: number;
  readonly expiresAt: number;
  /** A live answer has shown that it is on record. */
  readonly isRecorded: boolean;
  /** Tokens that were issued before this moment are not judged from memory, because they may be stale. 0: all are. */
  readonly goodFrom: number;
}

/** Why a request may be judged from memory. All of it is known, or nothing. */
export interface Vouch {
  /** The ledger's generation when the store was asked. */
  readonly generation: number;
  /** When the answer was true, on the monotonic clock. */
  readonly asOf: number;
  /** The feed was being read at that time, and reports everything that came later. */
  readonly isCovered: boolean;
}

export type Knowledge =
  /** Only the first token is known. The facts are its claims. */
  | { readonly state: 'unasked'; readonly facts: SessionFacts }
  | { readonly state: 'live'; readonly facts: SessionFacts; readonly vouch: Vouch | null }
  | { readonly state: 'ended'; readonly facts: SessionFacts };

/** How fresh memory is. */
export interface Freshness {
  /** Counts the gaps of the feed. */
  readonly generation: number;
  /** `revocationBound`, in milliseconds. */
  readonly bound: number;
  /** How long ago the session is known to have been live, in milliseconds. */
  ageOf(vouch: Vouch): number;
}

/** The token of a session, as far as it is judged. */
export interface PresentedToken {
  readonly user: SessionUser;
  readonly handle: string;
  readonly times: TokenTimes;
  /** See `IndexEntry`. Undefined: there is no index by session id. */
  readonly indexId?: string | undefined;
}

/** What each request may change: see activity.ts. */
export interface SessionUse {
  readonly lastSeenAt: number;
  /** There was a pause of the idle timeout before a use that the store has not judged yet. */
  readonly hasPaused: boolean;
  /** The token that expires last. */
  readonly token: TokenTimes;
  readonly tokensEndAt: number;
}

/** A session with everything by which it is judged. */
export interface KnownSession {
  readonly knowledge: Knowledge;
  readonly activity: SessionUse;
  readonly policy: SessionPolicy;
}

export function factsOf(token: TokenTimes, now: number): SessionFacts {
  return {
    startedAt: token.beganAt ?? now,
    endsAt: token.sessionEndsAt,
    survivedCutoffAt: 0,
    expiresAt: tokenEndsAt(token),
    isRecorded: false,
    goodFrom: 0,
  };
}

export function timesOf({ knowledge: { facts }, activity }: Omit<KnownSession, 'policy'>): SessionTimes {
  const { lastSeenAt, token, tokensEndAt } = activity;
  const { startedAt, endsAt } = facts;
  return { startedAt, lastSeenAt, lifetime: token.lifetime, tokensEndAt, endsAt };
}

/** R4, R5, R6, R10. The hot path: allocates nothing. */
export function assess(
  { knowledge, activity, policy }: KnownSession,
  token: TokenTimes,
  at: number,
  freshness: Freshness,
): 'vouched' | 'ask' {
  if (knowledge.state !== 'live') return 'ask';
  const { facts, vouch } = knowledge;
  if (vouch?.generation !== freshness.generation) return 'ask';
  if (freshness.ageOf(vouch) > freshness.bound) return 'ask';
  if (token.beganAt !== null && token.beganAt < facts.startedAt) return 'ask';
  if ((token.sessionEndsAt ?? Infinity) < (facts.endsAt ?? Infinity)) return 'ask';
  if (isIssuedBefore(facts.goodFrom, token)) return 'ask';
  return at < standsUntil(facts, activity, policy, token) ? 'vouched' : 'ask';
}

/** Until when the session stands by its own times, if it is not used again. R6. */
export function standsUntil(
  facts: SessionFacts,
  activity: SessionUse,
  policy: SessionPolicy,
  token: TokenTimes,
): number {
  const { clockTolerance, idleTimeout } = policy;
  // A lapsed session must find a place under the cap again. It lapses unless both its tokens have a lifetime.
  const mayLapse = token.lifetime === null || activity.token.lifetime === null;
  const lapsesAt = mayLapse ? activity.tokensEndAt + clockTolerance : Infinity;
  const idleAt = activity.lastSeenAt + (idleTimeout ?? Infinity);
  if (idleTimeout !== null && activity.hasPaused) return -Infinity;
  return Math.min(lifetimeOver(facts, activity, policy, token), lapsesAt, idleAt);
}

/** Whether the session is past its lifetime, by this token or by an earlier one. */
export function isPastLifetime({ knowledge, activity, policy }: KnownSession, token: TokenTimes, at: number): boolean {
  return at >= lifetimeOver(knowledge.facts, activity, policy, token);
}

function lifetimeOver(
  { startedAt, endsAt }: SessionFacts,
  { token }: SessionUse,
  { clockTolerance }: SessionPolicy,
  { lifetime, sessionEndsAt }: TokenTimes,
): number {
  const byLifetime = startedAt + Math.min(lifetime ?? Infinity, token.lifetime ?? Infinity);
  return Math.min(byLifetime, endsAt ?? Infinity, sessionEndsAt ?? Infinity) + clockTolerance;
}

/** Tokens of the user that were issued before this moment are stale. */
export function withStale(knowledge: Knowledge, staleTokens: StaleTokens): Knowledge {
  return { ...knowledge, facts: { ...knowledge.facts, goodFrom: goodFrom(staleTokens) } };
}

/** Nothing vouches for the session any more. Its facts are kept. */
export function withoutVouch(knowledge: Knowledge): Knowledge {
  return knowledge.state === 'live' ? { ...knowledge, vouch: null } : knowledge;
}
