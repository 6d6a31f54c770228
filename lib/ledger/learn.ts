/** What is known of a session after an answer, and what is left to do. Pure. */

import { decide } from '../core/policy.js';
import { earliest } from '../core/record.js';
import { goodFrom } from '../core/stale.js';
import { timesOf, type Knowledge, type KnownSession, type SessionFacts, type Vouch } from './knowledge.js';
import type { LiveAnswer, SightQuestion, Verdict } from './verdict.js';

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
