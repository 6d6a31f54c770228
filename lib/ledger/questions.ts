/** The questions that this process asks the store. Requests of one session share a question. */

import { indexedUntil, tombstoneUntil } from '../core/policy.js';
import { timesOf, type KnownUse } from '../core/record.js';
import type { SessionUser, TokenTimes } from '../core/session.js';
import type { SessionStore, SightAnswer } from '../stores/store.js';
import { callAsync, type Availability } from './availability.js';
import type { EndedSessions } from './ended.js';
import type { Call, Entry, Seen } from './entry.js';
import type { FeedFreshness } from './freshness.js';
import type { KnownGlobalCutoff } from './global-cutoff.js';
import type { PresentedToken } from './knowledge.js';
import type { SightQuestion } from './verdict.js';

/** Anything asked about one user. */
export interface Question {
  /** Something was announced for this user since it was asked, so the answer may be older. */
  isOvertaken: boolean;
  /** The user's cutoff that this process knew when it asked. 0: none. */
  readonly cutoffAt: number;
  /** The same for what was known of stale tokens. */
  readonly staleAt: number;
}

/** Questions without an answer, by user: few at any time, while users are many. */
class OpenQuestions {
  readonly #byUser = new Map<string, Set<Question>>();

  add(userKey: string, question: Question): void {
    const questions = this.#byUser.get(userKey);
    if (questions === undefined) this.#byUser.set(userKey, new Set([question]));
    else questions.add(question);
  }

  remove(userKey: string, question: Question): void {
    const questions = this.#byUser.get(userKey);
    questions?.delete(question);
    if (questions?.size === 0) this.#byUser.delete(userKey);
  }

  overtake(userKey: string): void {
    for (const question of this.#byUser.get(userKey) ?? []) question.isOvertaken = true;
  }

  overtakeAll(): void {
    for (const userKey of this.#byUser.keys()) this.overtake(userKey);
  }
}

export interface QuestionsOptions {
  readonly store: Pick<SessionStore, 'sight'>;
  readonly availability: Availability;
  readonly freshness: FeedFreshness;
  readonly globalCutoff: KnownGlobalCutoff;
  readonly clock: { now(): number };
  readonly ended: Pick<EndedSessions, 'cutoffOf' | 'staleTokensOf'>;
  readonly activityInterval: number;
  readonly monotonic: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly clientKeyOf: (userAgent: string | null) => string | null;
}

/** Gets the answers. */
export interface AnswerListener {
  applyAnswer(entry: Entry, question: SightQuestion, sighting: Seen, answer: SightAnswer): void;
  /** Nobody waits for the answer any more. */
  applyLateAnswer(entry: Entry, sighting: Seen, answer: SightAnswer): void;
  /** This question about the entry is settled. */
  releaseIfUnused(entry: Entry): void;
}

export class Questions {
  readonly #options: QuestionsOptions;
  readonly #open = new OpenQuestions();

  constructor(options: QuestionsOptions) {
    this.#options = options;
  }

  /** Something was announced for this user. */
  overtake(userKey: string): void {
    this.#open.overtake(userKey);
  }

  /** Something was announced for all users. */
  overtakeAll(): void {
    this.#open.overtakeAll();
  }

  /**
   * Sends a sighting, once `before` has resolved. The next questions about this session may share the call.
   */
  send(
    entry: Entry,
    seen: Seen,
    token: TokenTimes,
    listener: AnswerListener,
    before: Promise<void> | null = null,
  ): Call {
    const { store, availability, freshness, globalCutoff, activityInterval, random } = this.#options;
    const { handle, user, policy, activity } = entry;
    const { isUse = true, ...sighting } = seen;
    const { asOf, caughtUp } = globalCutoff.caughtUp();
    const { isTracked } = activity;
    const question = { ...freshness.vouch(asOf), token, isTracked, isOvertaken: false, ...this.#knownOf(user) };
    const clientKey = this.#newClientKey(entry, sighting);
    const knownUse = entry.knownUse(sighting.at);
    const index = this.#indexEntryOf(entry, sighting.at, token);
    const request = {
      handle,
      sighting,
      token,
      policy,
      knownUse,
      ...(!isUse && { usedAt: Math.max(activity.lastSeenAt, 0) }),
      track: isTracked,
      clientKey,
      ...(index !== null && { index }),
    };
    activity.dueAt = sighting.at + activityInterval * (1 + random() / 8);

    const onLate = (answer: SightAnswer): void => {
      listener.applyLateAnswer(entry, seen, answer);
    };
    const asked = callAsync(async () => {
      if (before !== null) await before;
      return store.sight(user, request, onLate);
    });
    const answered = asked.then(async (answer) => {
      try {
        await caughtUp;
      } catch (error) {
        onLate(answer);
        throw error;
      }
      if (index !== null) activity.indexedUntil = index.until;
      const isNoted = answer.state === 'live' && (isUse || answer.created);
      if (clientKey !== null && isNoted) activity.notedClient = clientKey;
      listener.applyAnswer(entry, question, seen, answer);
      return answer;
    });
    const settled = answered.finally(() => {
      this.#open.remove(user.key, question);
      if (entry.call === call) entry.call = null;
      listener.releaseIfUnused(entry);
    });
    const call: Call = { question, outcome: availability.withTimeout(settled) };
    call.outcome.catch(() => {
      // Whoever waits for the call gets the rejection.
    });
    this.#open.add(user.key, question);
    entry.call = call;
    return call;
  }

  /**
   * The key of the client, if the store may not have noted it for the session: at first sight, when the session moves to
   * another client of a person, and after the store may have lost data. Otherwise null.
   */
  #newClientKey({ activity, knowledge }: Entry, { userAgent, byProgram = false }: Seen): string | null {
    const isFirst = !this.#options.freshness.isCurrent(knowledge);
    if (!activity.isTracked || (byProgram && !isFirst)) return null;
    const key = this.#options.clientKeyOf(userAgent);
    return isFirst || key !== activity.notedClient ? key : null;
  }

  /**
   * If the session may be missing in the index, or is kept there for a shorter time than its tokens ask for: its entry. Also
   * after the store may have lost data. Otherwise null.
   */
  #indexEntryOf({ indexId, knowledge, activity, policy }: Entry, at: number, token: TokenTimes) {
    if (indexId === undefined) return null;
    const times = timesOf(token, at);
    const ends = { ...times, tokensEndAt: Math.max(times.tokensEndAt, activity.tokensEndAt) };
    // Of a session that is not tracked, no record shows that the store has lost data.
    const isKept =
      activity.isTracked &&
      this.#options.freshness.isCurrent(knowledge) &&
      activity.indexedUntil >= tombstoneUntil(ends, policy);
    return isKept ? null : { id: indexId, until: indexedUntil(ends, policy) };
  }

  /** Its answer may have to wait for its turn: it is good as long as memory may answer by it. */
  mayShare({ question }: Call, token: TokenTimes): boolean {
    const { freshness } = this.#options;
    const asked = question.token;
    // A token may show that the session began before a cutoff, or that it ends earlier.
    const isOlder = token.beganAt !== null && (asked.beganAt === null || token.beganAt < asked.beganAt);
    const endsEarlier = (token.sessionEndsAt ?? Infinity) < (asked.sessionEndsAt ?? Infinity);
    // The asked one may be stale, and this one good.
    const isIssuedLater = asked.issuedAt !== undefined && (token.issuedAt ?? -Infinity) > (asked.issuedAt ?? -Infinity);
    return (
      !isOlder &&
      !isIssuedLater &&
      !endsEarlier &&
      !question.isOvertaken &&
      question.generation === freshness.generation &&
      freshness.ageOf(question) <= freshness.bound
    );
  }

  /** Asks about a session without recording anything. `known`: what this process knows of it. */
  async peek(
    { user, handle, times, indexId }: PresentedToken,
    policy: Entry['policy'],
    at: number,
    known: KnownUse = { inUseSince: at, known: null },
  ): Promise<{ answer: SightAnswer; question: Question }> {
    const sighting = { at, ip: null, userAgent: null };
    const request = {
      handle,
      sighting,
      token: times,
      policy,
      knownUse: known,
      track: false,
      ...(indexId !== undefined && { index: { id: indexId, until: null } }),
    };
    const { caughtUp } = this.#options.globalCutoff.caughtUp();
    return this.ask(user, async () => {
      const [answer] = await Promise.all([this.#options.store.sight(user, request), caughtUp]);
      return answer;
    });
  }

  /** Asks anything about a user. */
  async ask<Answer>(user: SessionUser, call: () => Promise<Answer>): Promise<{ answer: Answer; question: Question }> {
    const question: Question = { isOvertaken: false, ...this.#knownOf(user) };
    this.#open.add(user.key, question);
    try {
      const answer = await this.#options.availability.withTimeout(callAsync(call));
      return { answer, question };
    } finally {
      this.#open.remove(user.key, question);
    }
  }

  #knownOf({ key }: SessionUser): Pick<Question, 'cutoffAt' | 'staleAt'> {
    const { ended, clock } = this.#options;
    return {
      cutoffAt: ended.cutoffOf(key)?.at ?? 0,
      staleAt: ended.staleTokensOf(key, clock.now())?.at ?? 0,
    };
  }
}
