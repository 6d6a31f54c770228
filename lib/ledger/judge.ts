/** Judges the session of each request: from memory, by asking the store, or by `whenStoreDown`. */

import type { LoginError } from '../core/errors.js';
import type { SessionUser, TokenTimes } from '../core/session.js';
import { extendedUntil } from '../core/policy.js';
import { ALWAYS } from '../core/record.js';
import { CannotTellYet, type SessionStore, type Tombstone } from '../stores/store.js';
import type { VerifiedToken } from '../tokens/verify.js';
import type { UnwrittenActivity } from './unwritten.js';
import type { Answers } from './answers.js';
import { callAsync, type Availability } from './availability.js';
import type { EndedSessions } from './ended.js';
import type { Endings } from './endings.js';
import type { FeedFreshness } from './freshness.js';
import { assess, isPastLifetime, standsUntil } from './knowledge.js';
import { inferEnding, judgeAnswer, type LiveAnswer, type Verdict } from './verdict.js';
import { Lease } from './lease.js';
import type { Questions } from './questions.js';
import type { Recovery } from './recovery.js';
import { endedError, outlivedError, refusalOf, refuseStale } from './refusals.js';
import { Entry, type Call, type LiveSession, type Seen } from './entry.js';
import type { SessionTable } from './table.js';
import type { WatchedEntries } from './watchers.js';

/**
 * What to do with a session if the store cannot be asked about it: refuse it, accept it for a while if it was known to be
 * live, or accept every valid token.
 */
export type WhenStoreDown = 'refuse' | 'allow' | { readonly allowFor: number };

export interface JudgeOptions {
  readonly store: Pick<SessionStore, 'restore'>;
  readonly whenStoreDown: WhenStoreDown;
  readonly activityInterval: number;
  readonly track: (token: VerifiedToken) => boolean;
  readonly freshness: FeedFreshness;
  readonly table: SessionTable;
  readonly watched: WatchedEntries;
  readonly ended: EndedSessions;
  readonly endings: Endings;
  readonly questions: Questions;
  readonly answers: Answers;
  readonly availability: Availability;
  readonly unwritten: UnwrittenActivity;
  readonly recovery: Recovery;
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
    const { table, watched, freshness, questions, answers, endings } = this.#options;
    if (endings.isBehind) endings.settle(table.peek(token.handle));
    const entry = table.peek(token.handle);
    if (entry !== undefined && assess(entry, token.times, at, freshness) === 'vouched') return entry;
    this.#refuseKnown(token, at);
    const policy = table.policyOf(token.user);
    // The store ends what it finds idle: it must know of uses that are not written yet.
    const knownUse = (entry ?? watched.find(token.handle))?.knownUse(at);
    const { answer, question } = await questions.peek(token, policy, at, knownUse);
    const verdict = judgeAnswer(answer, { token, question, policy, at }, endings);
    answers.take(token, verdict);
    if (verdict.as !== 'live') throw this.#refusal(verdict, token, at);
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
    const { availability, questions, track } = this.#options;
    this.#refuseKnown(token, sighting.at);
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
    const { endings, answers } = this.#options;
    const { at } = sighting;
    let answer;
    try {
      answer = await outcome;
    } catch (error) {
      // A notice may have arrived since the question was sent.
      this.#refuseKnown(token, at);
      this.#refusePastLifetime(entry, token, at);
      this.#recordUse(entry, token, sighting);
      if (fresh || error instanceof CannotTellYet || !this.#mayGoOn(entry, at)) throw error;
      return entry;
    }
    const verdict = judgeAnswer(answer, { token, question, policy: entry.policy, at }, endings);
    answers.take(token, verdict);
    if (verdict.as !== 'live') throw this.#refusal(verdict, token, at);
    refuseStale(verdict.staleTokens, token.times);
    this.#recordUse(entry, token, sighting);
    return entry;
  }

  /** What is certain without the store. R3, R10. */
  #refuseKnown(token: VerifiedToken, now: number): void {
    this.#refuseKnownEnded(token, now);
    refuseStale(this.#options.endings.staleTokensOf(token.user.key, now), token.times);
  }

  #refuseKnownEnded(token: VerifiedToken, now: number): void {
    const { table, endings } = this.#options;
    const tombstone = endings.find(token.handle, now);
    if (tombstone !== undefined) {
      this.#extendTombstone(tombstone, token, now);
      throw endedError(tombstone.ending);
    }
    const inferred = inferEnding(endings, token, table.policyOf(token.user), now);
    if (inferred === null) return;
    const { ending, until, isKept } = inferred;
    if (!isKept) throw endedError(ending);
    endings.learnInferred(token, inferred);
    // The session may never have been seen. Then a refreshed token does not show that the cutoff ended it; a tombstone does.
    this.#write(token.user, { handle: token.handle, ending, until }, now);
    throw endedError(ending);
  }

  /** The answer may be that to another token, which expires earlier than this one. */
  #refusal(verdict: Exclude<Verdict, { as: 'live' }>, token: VerifiedToken, now: number): LoginError {
    const tombstone = this.#options.endings.find(token.handle, now);
    if (tombstone !== undefined) this.#extendTombstone(tombstone, token, now);
    return refusalOf(verdict, token.times);
  }

  /** A token that expires after the tombstone extends it, here and in the store. */
  #extendTombstone(tombstone: Tombstone, { user, handle, times }: VerifiedToken, now: number): void {
    const { table, ended } = this.#options;
    const until = extendedUntil(tombstone.until, times, table.policyOf(user));
    if (until > tombstone.until || ended.isUnwritten(handle)) this.#write(user, { ...tombstone, until }, now);
  }

  /** Remembers an ending and tells the store. If that fails, the next token of the session tells it again. */
  #write(user: SessionUser, tombstone: Tombstone, now: number): void {
    const { store, table, ended, availability, recovery } = this.#options;
    const { handle } = tombstone;
    const { isInferred } = ended.add(user, tombstone, true, now);
    ended.noteWritten(handle, true);
    const known = {
      tombstones: [tombstone],
      cutoff: null,
      at: now,
      policy: table.policyOf(user),
      isUnseen: isInferred,
    };
    availability.withTimeout(callAsync(() => store.restore(user, known))).then(
      ({ missing }) => {
        if (missing > 0 && !isInferred) recovery.start();
      },
      () => {
        // Reported as `storeDown`.
        ended.noteWritten(handle, false);
      },
    );
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
