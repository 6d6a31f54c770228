/** Judges the session of each request: from memory, by asking the store, or by `whenStoreDown`. */

import type { TokenTimes } from '../core/session.js';
import { ALWAYS } from '../core/record.js';
import { CannotTellYet } from '../stores/store.js';
import type { VerifiedToken } from '../tokens/verify.js';
import type { UnwrittenActivity } from './unwritten.js';
import type { Answers } from './answers.js';
import type { Availability } from './availability.js';
import type { EndedRefusals } from './ended-refusals.js';
import type { Endings } from './endings.js';
import type { FeedFreshness } from './freshness.js';
import { assess, isPastLifetime, standsUntil } from './knowledge.js';
import { judgeAnswer, type LiveAnswer } from './verdict.js';
import { Lease } from './lease.js';
import type { Questions } from './questions.js';
import { outlivedError, refuseStale } from './refusals.js';
import { Entry, type Call, type LiveSession, type Seen } from './entry.js';
import type { SessionTable } from './table.js';
import type { WatchedEntries } from './watchers.js';

/**
 * What to do with a session if the store cannot be asked about it: refuse it, accept it for a while if it was known to be
 * live, or accept every valid token.
 */
export type WhenStoreDown = 'refuse' | 'allow' | { readonly allowFor: number };

export interface JudgeOptions {
  readonly whenStoreDown: WhenStoreDown;
  readonly activityInterval: number;
  readonly track: (token: VerifiedToken) => boolean;
  readonly freshness: FeedFreshness;
  readonly table: SessionTable;
  readonly watched: WatchedEntries;
  readonly endings: Endings;
  readonly questions: Questions;
  readonly answers: Answers;
  readonly availability: Availability;
  readonly unwritten: UnwrittenActivity;
  readonly refusals: EndedRefusals;
}

export class Judge {
  readonly #options: JudgeOptions;
  /** One for all entries: a function made beside a token would keep that token in memory with the entry. */
  readonly #onWatched = (entry: Entry): Entry => this.#watch(entry);
  #isProbing = false;

  constructor(options: JudgeOptions) {
    this.#options = options;
  }

  /** The hot path. Synchronous if it can be judged from memory. */
  judge(token: VerifiedToken, sighting: Seen, fresh: boolean): LiveSession | Promise<LiveSession> {
    const { table, freshness, endings } = this.#options;
    if (endings.isBehind) endings.settle(table.peek(token.handle));
    const entry = table.get(token.handle);
    if (entry !== undefined && !fresh && assess(entry, token.times, sighting.at, freshness) === 'vouched') {
      this.#recordActivity(entry, token, sighting);
      return entry;
    }
    return this.#ask(entry, token, sighting, fresh);
  }

  /**
   * A lease on a session that was just judged live from memory, at most until `until`; null if its next use has to be looked at.
   */
  lease({ handle, times }: VerifiedToken, from: number, until: number): Lease | null {
    const { table, freshness } = this.#options;
    const entry = table.peek(handle);
    if (entry === undefined || assess(entry, times, from, freshness) !== 'vouched') return null;
    const { knowledge, activity, policy } = entry;
    const end = Math.min(until, activity.onlySeenUntil, standsUntil(knowledge.facts, activity, policy, times));
    // If the feed does not vouch for the session, its own age has to be asked each time.
    const isCovered = knowledge.state === 'live' && knowledge.vouch?.isCovered === true;
    if (!isCovered || !(from < end)) return null;
    const lease = new Lease({ session: entry, freshness, from, until: end });
    activity.grant(lease);
    return lease;
  }

  /** The same judgement without a sighting: nothing is recorded, extended or counted. */
  async peek(token: VerifiedToken, at: number): Promise<LiveAnswer | LiveSession> {
    const { table, watched, freshness, questions, answers, endings, refusals } = this.#options;
    if (endings.isBehind) endings.settle(table.peek(token.handle));
    const entry = table.peek(token.handle);
    if (entry !== undefined && assess(entry, token.times, at, freshness) === 'vouched') return entry;
    refusals.refuseKnown(token, at);
    const policy = table.policyOf(token.user);
    // The store ends what it finds idle: it must know of uses that are not written yet.
    const knownUse = (entry ?? watched.find(token.handle))?.knownUse(at);
    const { answer, question } = await questions.peek(token, policy, at, knownUse);
    const verdict = judgeAnswer(answer, { token, question, policy, at }, endings);
    answers.take(token, verdict);
    if (verdict.as !== 'live') throw refusals.errorFor(verdict, token, at);
    refuseStale(verdict.staleTokens, token.times);
    return verdict.answer;
  }

  /** Sends a sighting for which nobody waits. */
  async confirm(entry: Entry): Promise<void> {
    const { lastSeenAt, client, clientAt, token } = entry.activity;
    // Without a client, only requests have come that were no use. A first request that could not be answered may have left
    // nothing but its client.
    const isUse = clientAt > -Infinity;
    const seen = { at: Math.max(lastSeenAt, isUse ? clientAt : entry.startedAt), ...client, isUse };
    await this.#send(entry, seen, token).outcome;
  }

  confirmInBackground(entry: Entry): void {
    if (entry.call !== null && !entry.call.question.isOvertaken) return;
    this.confirm(entry).catch(() => {
      // Reported as `storeDown`. Sent again when it is due.
    });
  }

  #recordActivity(entry: Entry, token: VerifiedToken, sighting: Seen): void {
    const { activity } = entry;
    if (sighting.isUse === false) {
      this.#noteToken(entry, token.times, sighting.at);
      return;
    }
    const wasWritten = activity.lastSeenAt <= activity.writtenAt;
    const isDue = activity.note(token, sighting, this.#options.activityInterval);
    if (wasWritten && activity.isUnwritten) this.#options.unwritten.add(entry);
    if (isDue) this.confirmInBackground(entry);
  }

  /** The request does not count as use. But a token that expires later extends the session, and the store must know of that. */
  #noteToken(entry: Entry, times: TokenTimes, at: number): void {
    const { activity, call, indexId } = entry;
    // Nothing else would show that the store has lost the entry by which the session can be ended.
    const isIndexDue = indexId !== undefined && activity.isTracked && at >= activity.dueAt;
    const isDue = activity.noteToken(times, at) || isIndexDue;
    if (!isDue || (call !== null && !call.question.isOvertaken)) return;
    this.#send(entry, { at, ip: null, userAgent: null, isUse: false }, activity.token);
  }

  #ask(
    entry: Entry | undefined,
    token: VerifiedToken,
    sighting: Seen,
    fresh: boolean,
  ): LiveSession | Promise<LiveSession> {
    const { availability, questions, refusals, track } = this.#options;
    refusals.refuseKnown(token, sighting.at);
    if (entry !== undefined && !fresh) {
      if (availability.isDown('commands') && this.#mayGoOn(entry, sighting.at))
        return this.#goOn(entry, token, sighting);
      const { call } = entry;
      if (call !== null && questions.mayShare(call, token.times)) {
        return this.#answered(entry, call, token, sighting, fresh);
      }
    }
    // Whatever an option's function throws, nothing has changed by then.
    const isTracked = track(token);
    const { at, ip, userAgent, byProgram = false, isUse = true } = sighting;
    const asked = entry ?? this.#attach(token, at);
    const { activity } = asked;
    activity.isTracked ||= isTracked;
    if (isUse) activity.locate(token, { at, ip, userAgent, byProgram });
    const client = isUse ? activity.client : { ip, userAgent, byProgram, app: token.app, actor: token.actor };
    const call = this.#send(asked, { at, ...client, isUse }, token.times);
    return this.#answered(asked, call, token, sighting, fresh);
  }

  #send(entry: Entry, sighting: Seen, token: TokenTimes): Call {
    const { questions, answers } = this.#options;
    const overdue = entry.knowledge.state === 'unasked' ? this.#overdue(entry, sighting.at) : [];
    return questions.send(entry, sighting, token, answers, overdue.length === 0 ? null : this.#written(overdue));
  }

  /**
   * A new session may end the one that was seen longest ago. These are the sessions of which this process knows a use that the
   * store should know by now.
   */
  #overdue({ user, policy }: Entry, at: number): readonly Entry[] {
    const { table, activityInterval } = this.#options;
    if (policy.maxSessions === Infinity) return [];
    return [...table.ofUser(user.key)].filter(({ activity, knowledge }) => {
      return knowledge.state === 'live' && activity.isUnwritten && at >= activity.writtenAt + 2 * activityInterval;
    });
  }

  /** Resolves once the store knows these uses. Rejects if it does not take one. */
  async #written(overdue: readonly Entry[]): Promise<void> {
    const asked = overdue.map((entry) => {
      const { call } = entry;
      const isAsked = call !== null && !call.question.isOvertaken;
      return isAsked ? call.outcome : this.confirm(entry);
    });
    for (const outcome of await Promise.allSettled(asked)) {
      // Of a session that the store cannot judge yet, nothing can be told to it.
      if (outcome.status === 'rejected' && !(outcome.reason instanceof CannotTellYet)) throw outcome.reason;
    }
  }

  #attach(token: VerifiedToken, now: number): Entry {
    const { table, watched } = this.#options;
    return table.attach(
      token,
      watched.find(token.handle),
      (userSessions) => new Entry(token, userSessions, now, this.#onWatched),
    );
  }

  /** Somebody asks for the signal of an entry. Returns the one that stands for the session now. */
  #watch(entry: Entry): Entry {
    const { table, watched, endings } = this.#options;
    const current = table.peek(entry.handle) ?? watched.find(entry.handle) ?? entry;
    if (current !== entry) return current;
    watched.add(entry);
    if (table.holds(entry)) return entry;
    // What ended it since the table let go of it passed it by.
    if (endings.isEnded(entry.handle)) endings.letGo(entry);
    else this.confirmInBackground(entry);
    return entry;
  }

  async #answered(
    entry: Entry,
    { question, outcome }: Call,
    token: VerifiedToken,
    sighting: Seen,
    fresh: boolean,
  ): Promise<LiveSession> {
    const { endings, answers, refusals } = this.#options;
    const { at } = sighting;
    let answer;
    try {
      answer = await outcome;
    } catch (error) {
      // A notice may have arrived since the question was sent.
      refusals.refuseKnown(token, at);
      this.#refusePastLifetime(entry, token, at);
      this.#recordUse(entry, token, sighting);
      if (fresh || error instanceof CannotTellYet || !this.#mayGoOn(entry, at)) throw error;
      return entry;
    }
    const verdict = judgeAnswer(answer, { token, question, policy: entry.policy, at }, endings);
    answers.take(token, verdict);
    if (verdict.as !== 'live') throw refusals.errorFor(verdict, token, at);
    refuseStale(verdict.staleTokens, token.times);
    this.#recordUse(entry, token, sighting);
    return entry;
  }

  // When the store cannot be asked

  /** By `whenStoreDown`. */
  #mayGoOn({ knowledge, activity }: Entry, at: number): boolean {
    const { whenStoreDown, freshness } = this.#options;
    if (whenStoreDown === 'refuse') return false;
    if (whenStoreDown === 'allow') return true;
    if (knowledge.state !== 'live' || knowledge.vouch?.generation !== freshness.generation) return false;
    // After a pause, it may have been idle.
    if (activity.inUseSince(at) !== ALWAYS) return false;
    return freshness.ageOf(knowledge.vouch) <= freshness.bound + whenStoreDown.allowFor;
  }

  /** A good token is a use of the session, also if the store could not be asked, or its answer was overtaken. */
  #recordUse(entry: Entry, token: VerifiedToken, sighting: Seen): void {
    const { freshness, table, unwritten } = this.#options;
    if (freshness.isCurrent(entry.knowledge)) {
      this.#recordActivity(entry, token, sighting);
      return;
    }
    if (sighting.isUse === false) return;
    // A session that is not known yet is held for this only if a pause could end it.
    const { knowledge, policy } = entry;
    if (knowledge.state === 'ended' || (knowledge.state === 'unasked' && policy.idleTimeout === null)) return;
    const held = table.peek(entry.handle) ?? table.attach(token, entry, () => entry);
    held.activity.usedAt(sighting.at);
    // A sighting with a token that had expired by then would not be taken.
    held.activity.extend(token.times);
    if (held.activity.isUnwritten) unwritten.add(held);
  }

  /** The store is known to be down, so no request waits for it. One call at a time finds out whether it is back. */
  #goOn(entry: Entry, token: VerifiedToken, sighting: Seen): LiveSession {
    this.#refusePastLifetime(entry, token, sighting.at);
    this.#recordActivity(entry, token, sighting);
    if (!this.#isProbing) {
      this.#isProbing = true;
      this.confirm(entry)
        .catch(() => {
          // Still down.
        })
        .finally(() => {
          this.#isProbing = false;
        });
    }
    return entry;
  }

  #refusePastLifetime(entry: Entry, { times }: VerifiedToken, at: number): void {
    if (isPastLifetime(entry, times, at)) throw outlivedError();
  }
}
