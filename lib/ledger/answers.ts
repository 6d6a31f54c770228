/** Applies the store's answers to what this process knows. */

import type { SessionUser } from '../core/session.js';
import type { StaleTokens } from '../core/stale.js';
import type { SightAnswer } from '../stores/store.js';
import type { UnwrittenActivity } from './unwritten.js';
import type { Announcements } from './announcements.js';
import type { EndedSessions } from './ended.js';
import type { Endings } from './endings.js';
import type { FeedFreshness } from './freshness.js';
import type { PresentedToken } from './knowledge.js';
import { learn, meaningOfCreated, type Effect } from './learn.js';
import { judgeAnswer, tombstoneIn, type SightQuestion, type Verdict } from './verdict.js';
import type { Recovery } from './recovery.js';
import type { Entry, Seen } from './entry.js';
import type { SessionTable } from './table.js';

export interface AnswersOptions {
  readonly ended: EndedSessions;
  readonly endings: Endings;
  readonly freshness: FeedFreshness;
  readonly table: SessionTable;
  readonly unwritten: UnwrittenActivity;
  readonly announcements: Announcements;
  readonly recovery: Recovery;
}

export class Answers {
  readonly #options: AnswersOptions;

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  /** Applies the answer to a sighting, however late it comes. */
  applyAnswer(entry: Entry, question: SightQuestion, sighting: Seen, answer: SightAnswer): void {
    const { ended, endings, freshness, unwritten } = this.#options;
    const { user, handle, policy, activity } = entry;
    const token = { user, handle, times: question.token };
    const verdict = judgeAnswer(answer, { token, question, policy, at: sighting.at }, endings);
    this.take(token, verdict);
    const { knowledge, effects } = learn(entry, verdict, question, freshness.generation, sighting.at);
    entry.knowledge = knowledge;
    if (verdict.as === 'live') {
      ended.revived(handle);
      const { at, isUse = true } = sighting;
      activity.written(at, question.token, isUse ? at : verdict.answer.lastSeenAt);
    }
    if (verdict.as !== 'live' || !activity.isUnwritten) unwritten.delete(entry);
    for (const effect of effects) this.#carryOut(effect, entry, sighting);
  }

  /** Nobody waits for the answer any more: it is not believed, but what it tells of was done. */
  applyLateAnswer(entry: Entry, sighting: Seen, answer: SightAnswer): void {
    const { user, handle } = entry;
    if (answer.state === 'live' && answer.created) {
      this.#carryOut(meaningOfCreated(entry, answer, sighting.at), entry, sighting);
    }
    if (answer.state === 'live' || answer.state === 'stale') this.#learnStale(user, answer.staleTokens);
    if (answer.state !== 'ended') return;
    this.#options.endings.learnTombstone(user, tombstoneIn(answer, handle, sighting.at), 'answer');
  }

  /** Remembers what a verdict reports: an ending, or which tokens are stale. */
  take(token: PresentedToken, verdict: Verdict): void {
    const { endings } = this.#options;
    if (verdict.as === 'ended') endings.learnTombstone(token.user, verdict.tombstone, 'answer');
    if (verdict.as === 'cut-off') endings.learnInferred(token, verdict.inferred);
    if (verdict.as === 'live' || verdict.as === 'stale') this.#learnStale(token.user, verdict.staleTokens);
  }

  #learnStale(user: SessionUser, staleTokens: StaleTokens | null): void {
    if (staleTokens !== null) this.#options.endings.learnStale(user, staleTokens);
  }

  /** An entry that was never answered only holds its question, and uses that could not be answered. */
  releaseIfUnused(entry: Entry): void {
    const { table, unwritten } = this.#options;
    const isOfUse = entry.knowledge.state === 'live' || unwritten.has(entry);
    if (entry.call !== null || (table.holds(entry) && isOfUse)) return;
    table.detach(entry);
    unwritten.delete(entry);
  }

  #carryOut(effect: Effect, entry: Entry, sighting: Seen): void {
    const { announcements, recovery } = this.#options;
    switch (effect.kind) {
      case 'recover':
        recovery.start();
        return;
      case 'started':
        announcements.started(entry, sighting, effect.knownClient);
        return;
      case 'moved':
        announcements.moved(entry, effect.from, sighting);
    }
  }
}
