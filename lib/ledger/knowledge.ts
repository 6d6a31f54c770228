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

import {
  endedByCutoff,
  endedByGlobalCutoff,
  endingByCutoff,
  mayBeginAfterCutoff,
  type Cutoff,
  type GlobalCutoff,
} from '../core/cutoff.js';
import {
  decide,
  latestEnd,
  tokenEndsAt,
  tombstoneUntil,
  type SessionPolicy,
  type SessionTimes,
} from '../core/policy.js';
import { earliest, timesOf as timesByToken } from '../core/record.js';
import type { Ending, SessionUser, TokenTimes } from '../core/session.js';
import { goodFrom, isIssuedBefore, laterStale, type StaleTokens } from '../core/stale.js';
import type { SightAnswer, Tombstone } from '../stores/store.js';

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
  token: PresentedToken,
  policy: SessionPolicy,
  now: number,
): InferredEnding | null {
  const { beganAt } = token.times;
  // If the first sighting is the start, and in the cutoff's own second, only the store can tell.
  if (beganAt === null) return null;
  const { globalCutoff } = ended;
  if (endedByGlobalCutoff(globalCutoff, beganAt, policy)) return endedBy(globalCutoff, true, token, policy, now, null);
  const cutoff = ended.cutoffOf(token.user.key);
  if (cutoff === undefined) return null;
  if (!endedByCutoff(cutoff, { handle: token.handle, startedAt: beganAt, survivedCutoffAt: cutoff.at })) return null;
  const isKept = !mayBeginAfterCutoff(cutoff, beganAt, policy);
  return { ...endedBy(cutoff, false, token, policy, now, null), isKept };
}

function endedBy(
  cutoff: GlobalCutoff,
  isByGlobalCutoff: boolean,
  { times }: PresentedToken,
  policy: SessionPolicy,
  now: number,
  expiresAt: number | null,
): InferredEnding {
  const until = tombstoneUntil(timesByToken(times, now), policy);
  return { ending: endingByCutoff(cutoff, expiresAt), until, isByGlobalCutoff, isKept: true };
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

/** The one place that reads a store's answer. R3, R7, R10, R11. */
export function judgeAnswer(
  answer: SightAnswer,
  ended: KnownEndings,
  token: PresentedToken,
  question: Pick<SightQuestion, 'isOvertaken' | 'cutoffAt' | 'staleAt'>,
  policy: SessionPolicy,
  at: number,
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
    const inferred = endedBy(globalCutoff, true, token, policy, at, answer.expiresAt);
    return { as: 'cut-off', inferred, storeLostData: false };
  }
  const cutoff = ended.cutoffOf(token.user.key);
  if (cutoff !== undefined) {
    // If the store did not know a cutoff that was known here when it was asked, it has lost data.
    const storeLostData = cutoff.at <= question.cutoffAt;
    if (isCutOff({ ...cutoff, isRestored: cutoff.isRestored || storeLostData }, token, answer))
      return { as: 'cut-off', inferred: endedBy(cutoff, false, token, policy, at, answer.expiresAt), storeLostData };
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

/** What is left to do after an answer. */
export type Effect =
  | { readonly kind: 'started'; readonly knownClient: boolean }
  | { readonly kind: 'moved'; readonly from: NonNullable<LiveAnswer['moved']> }
  | { readonly kind: 'recover' };

/** What is known after a verdict, and what has to be done. R1, R2, R8, R11. */
export function learn(
  session: KnownSession,
  verdict: Verdict,
  question: SightQuestion,
  generation: number,
  at: number,
): { readonly knowledge: Knowledge; readonly effects: readonly Effect[] } {
  const { knowledge } = session;
  const isOver = knowledge.state === 'ended';
  switch (verdict.as) {
    case 'ended':
      return { knowledge: { state: 'ended', facts: knowledge.facts }, effects: [] };
    case 'remembered':
    case 'cut-off':
      return {
        knowledge: { state: 'ended', facts: knowledge.facts },
        effects: verdict.storeLostData ? [{ kind: 'recover' }] : [],
      };
    case 'stale':
      return { knowledge, effects: verdict.storeLostData ? [{ kind: 'recover' }] : [] };
    case 'limit':
      return { knowledge: isOver ? knowledge : { state: 'unasked', facts: knowledge.facts }, effects: [] };
    case 'outlived':
      return { knowledge, effects: [] };
    case 'live': {
      if (isOver) return { knowledge, effects: [] };
      const { answer } = verdict;
      const effects: Effect[] = verdict.storeLostData ? [{ kind: 'recover' }] : [];
      const meaning = answer.created ? meaningOfCreated(session, answer, at) : null;
      if (meaning !== null) effects.push(meaning);
      if (answer.moved !== null) effects.push({ kind: 'moved', from: answer.moved });
      const earlier = knowledge.state === 'live' ? knowledge.vouch : null;
      const vouches = !question.isOvertaken && question.generation === generation;
      const vouch = vouches ? stronger(earlier, question) : earlier;
      const facts = mergeFacts(session, answer, question, meaning?.kind === 'started');
      return {
        knowledge: { state: 'live', facts: { ...facts, goodFrom: goodFrom(verdict.staleTokens) }, vouch },
        effects,
      };
    }
  }
}

/** R8. */
export function meaningOfCreated(session: KnownSession, { knownClient }: LiveAnswer, at: number): Effect {
  const { knowledge, policy } = session;
  const isLost =
    knowledge.state === 'live' && knowledge.facts.isRecorded && decide(timesOf(session), policy, at).state === 'live';
  return isLost ? { kind: 'recover' } : { kind: 'started', knownClient };
}

/** Answers may arrive in another order than their questions were sent, and a store that has lost data knows less. */
function mergeFacts(
  { knowledge: { state, facts } }: KnownSession,
  answer: LiveAnswer,
  { token, isTracked }: SightQuestion,
  isNew: boolean,
): Omit<SessionFacts, 'goodFrom'> {
  const known = state === 'live' && !isNew ? facts : answer;
  const endsAt = earliest(known.endsAt, answer.endsAt);
  const expiresAt = token.lifetime === null ? Math.max(answer.expiresAt, facts.expiresAt) : answer.expiresAt;
  return {
    startedAt: Math.min(known.startedAt, answer.startedAt),
    endsAt,
    survivedCutoffAt: Math.max(known.survivedCutoffAt, answer.survivedCutoffAt),
    expiresAt: Math.min(expiresAt, endsAt ?? Infinity),
    isRecorded: facts.isRecorded || isTracked,
  };
}

/** See {@link mergeFacts}. */
function stronger(earlier: Vouch | null, { generation, asOf, isCovered }: Vouch): Vouch {
  const isStronger = earlier?.generation === generation && earlier.asOf >= asOf && (earlier.isCovered || !isCovered);
  return isStronger ? earlier : { generation, asOf, isCovered };
}

/** Tokens of the user that were issued before this moment are stale. */
export function withStale(knowledge: Knowledge, staleTokens: StaleTokens): Knowledge {
  return { ...knowledge, facts: { ...knowledge.facts, goodFrom: goodFrom(staleTokens) } };
}

/** Nothing vouches for the session any more. Its facts are kept. */
export function withoutVouch(knowledge: Knowledge): Knowledge {
  return knowledge.state === 'live' ? { ...knowledge, vouch: null } : knowledge;
}
