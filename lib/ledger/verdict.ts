/** What is certain of a session before the store is asked, and what its answer says. Pure. */

import {
  endedByCutoff,
  endedByGlobalCutoff,
  endingByCutoff,
  mayBeginAfterCutoff,
  type Cutoff,
  type GlobalCutoff,
} from '../core/cutoff.js';
import { latestEnd, tombstoneUntil, type SessionPolicy } from '../core/policy.js';
import { timesOf } from '../core/record.js';
import type { Ending, TokenTimes } from '../core/session.js';
import { laterStale, type StaleTokens } from '../core/stale.js';
import type { SightAnswer, Tombstone } from '../stores/store.js';
import type { PresentedToken, Vouch } from './knowledge.js';

/** What was asked of the store about one session. */
export interface SightQuestion extends Vouch {
  readonly token: TokenTimes;
  /** Whether it puts the session on record. */
  readonly isTracked: boolean;
  /** A notice about this user, or all users, has arrived since it was asked. */
  readonly isOvertaken: boolean;
  /** The user's cutoff that this process knew when it asked. 0: none. */
  readonly cutoffAt: number;
  /** The same for what was known of stale tokens. */
  readonly staleAt: number;
}

/** What this process knows to be ended, or stale. */
export interface KnownEndings {
  readonly globalCutoff: GlobalCutoff | null;
  find(handle: string, now: number): Tombstone | undefined;
  cutoffOf(userKey: string): Cutoff | undefined;
  staleTokensOf(userKey: string, now: number): StaleTokens | null;
}

/** An ending that follows from a cutoff. Its tombstone has not been read yet. */
export interface InferredEnding {
  readonly ending: Ending;
  readonly until: number;
  readonly isByGlobalCutoff: boolean;
  /** False if it may be a new login, because clocks differ: a token that is issued later is good. */
  readonly isKept: boolean;
}

/** What is certain before the store is asked; null if it has to be asked. */
export function inferEnding(
  ended: KnownEndings,
  { user, handle, times }: PresentedToken,
  policy: SessionPolicy,
  now: number,
): InferredEnding | null {
  const { beganAt } = times;
  // If the first sighting is the start, and in the cutoff's own second, only the store can tell.
  if (beganAt === null) return null;
  const { globalCutoff } = ended;
  if (endedByGlobalCutoff(globalCutoff, beganAt, policy)) {
    const until = untilOf(times, policy, now);
    return { ending: endingByCutoff(globalCutoff, null), until, isByGlobalCutoff: true, isKept: true };
  }
  const cutoff = ended.cutoffOf(user.key);
  if (cutoff === undefined) return null;
  if (!endedByCutoff(cutoff, { handle, startedAt: beganAt, survivedCutoffAt: cutoff.at })) return null;
  const isKept = !mayBeginAfterCutoff(cutoff, beganAt, policy);
  const until = untilOf(times, policy, now);
  return { ending: endingByCutoff(cutoff, null), until, isByGlobalCutoff: false, isKept };
}

/** Until when the tombstone is kept, as far as this token says. */
function untilOf(times: TokenTimes, policy: SessionPolicy, at: number): number {
  return tombstoneUntil(timesOf(times, at), policy);
}

export type LiveAnswer = Extract<SightAnswer, { state: 'live' }>;

export type Verdict =
  /** The session is live. Whether the token is stale is another question: see `isStale`. */
  | {
      readonly as: 'live';
      readonly answer: LiveAnswer;
      readonly staleTokens: StaleTokens | null;
      readonly storeLostData: boolean;
    }
  /** The store has not looked at the session, because the token is stale. Another one may be good. */
  | { readonly as: 'stale'; readonly staleTokens: StaleTokens; readonly storeLostData: boolean }
  | { readonly as: 'ended'; readonly tombstone: Tombstone }
  /** The store calls it live, but this process knows better. */
  | { readonly as: 'remembered'; readonly tombstone: Tombstone; readonly storeLostData: boolean }
  | { readonly as: 'cut-off'; readonly inferred: InferredEnding; readonly storeLostData: boolean }
  /** Past the lifetime that this token gives the session. */
  | { readonly as: 'outlived' }
  /** The cap is reached. */
  | { readonly as: 'limit' };

/** The request that an answer is for. It may have shared the question of another one, with another token. */
export interface Asking {
  readonly token: PresentedToken;
  readonly question: Pick<SightQuestion, 'isOvertaken' | 'cutoffAt' | 'staleAt'>;
  readonly policy: SessionPolicy;
  readonly at: number;
}

/** The one place that reads a store's answer. R3, R7, R10, R11. */
export function judgeAnswer(
  answer: SightAnswer,
  { token, question, policy, at }: Asking,
  ended: KnownEndings,
): Verdict {
  const { handle, times } = token;
  if (answer.state === 'refused') return { as: 'limit' };
  if (answer.state === 'ended') {
    return { as: 'ended', tombstone: tombstoneIn(answer, handle, at) };
  }
  const hasLostStale = (answer.staleTokens?.at ?? 0) < question.staleAt;
  const staleTokens = laterStale(ended.staleTokensOf(token.user.key, at), answer.staleTokens);
  if (answer.state === 'stale') {
    return { as: 'stale', staleTokens: staleTokens ?? answer.staleTokens, storeLostData: hasLostStale };
  }

  const tombstone = ended.find(handle, at);
  if (tombstone !== undefined) return { as: 'remembered', tombstone, storeLostData: !question.isOvertaken };

  const { globalCutoff } = ended;
  if (endedByGlobalCutoff(globalCutoff, answer.startedAt, policy)) {
    // The global cutoff is in another slot than the session, so the store may not have known it.
    const ending = endingByCutoff(globalCutoff, answer.expiresAt);
    const inferred = { ending, until: untilOf(times, policy, at), isByGlobalCutoff: true, isKept: true };
    return { as: 'cut-off', inferred, storeLostData: false };
  }
  const cutoff = ended.cutoffOf(token.user.key);
  if (cutoff !== undefined) {
    // If the store did not know a cutoff that was known here when it was asked, it has lost data.
    const storeLostData = cutoff.at <= question.cutoffAt;
    if (isCutOff({ ...cutoff, isRestored: cutoff.isRestored || storeLostData }, token, answer)) {
      const ending = endingByCutoff(cutoff, answer.expiresAt);
      const inferred = { ending, until: untilOf(times, policy, at), isByGlobalCutoff: false, isKept: true };
      return { as: 'cut-off', inferred, storeLostData };
    }
  }
  // A shared question may have been sent before this request came: by now the lifetime may be over.
  const { lifetime, sessionEndsAt } = times;
  const { startedAt, endsAt } = answer;
  const end = Math.min(latestEnd({ startedAt, lifetime, endsAt }), sessionEndsAt ?? Infinity);
  if (at >= end + policy.clockTolerance) return { as: 'outlived' };
  return { as: 'live', answer, staleTokens, storeLostData: hasLostStale };
}

/** An ending that the store does not keep is not remembered here either: a refreshed token takes the session on. */
export function tombstoneIn(
  { ending, until }: Extract<SightAnswer, { state: 'ended' }>,
  handle: string,
  at: number,
): Tombstone {
  return { handle, ending, until: ending.origin === null ? at : until };
}

/** Whether a cutoff known here ends a session that the store called live. */
function isCutOff(cutoff: Cutoff, { handle, times }: PresentedToken, answer: LiveAnswer): boolean {
  const startedAt = Math.min(answer.startedAt, times.beganAt ?? Infinity);
  return endedByCutoff(cutoff, { handle, startedAt, survivedCutoffAt: answer.survivedCutoffAt });
}
