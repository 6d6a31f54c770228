/** One session in this process. */

import type { SessionPolicy } from '../core/policy.js';
import type { KnownUse } from '../core/record.js';
import type { SessionUser, Sighting } from '../core/session.js';
import type { SightAnswer } from '../stores/store.js';
import { Activity } from './activity.js';
import { factsOf, type Knowledge, type PresentedToken } from './knowledge.js';
import type { SightQuestion } from './verdict.js';

/** One request in a session, as the ledger judges it. */
export interface Seen extends Sighting {
  /** False for a request, such as a poll, that does not count as use of the session. It is judged like any other. Default true. */
  readonly isUse?: boolean;
}

/** A question about one session, and its answer within `storeTimeout`. */
export interface Call {
  readonly question: SightQuestion;
  readonly outcome: Promise<SightAnswer>;
}

/** A user with a session here. */
export interface UserSessions {
  readonly user: SessionUser;
  readonly policy: SessionPolicy;
  readonly entries: Set<Entry>;
}

/** A session that a request may use. */
export interface LiveSession {
  readonly handle: string;
  readonly startedAt: number;
  readonly expiresAt: number;
  /** Fires when the session ends. */
  readonly signal: AbortSignal;
}

export class Entry implements LiveSession {
  readonly handle: string;
  readonly activity: Activity;
  /** See `IndexEntry`. Undefined: there is no index by session id. */
  readonly indexId: string | undefined;
  #userSessions: UserSessions;
  #knowledge: Knowledge;
  /** The question about this session that other requests may share. */
  call: Call | null = null;
  #controller: AbortController | null = null;
  /** Another entry of the same session, whose signal is this one's too. */
  #successor: Entry | null = null;
  readonly #onWatched: (entry: Entry) => Entry;

  /** `onWatched` is told when somebody first asks for the signal. It returns the entry that stands for the session now. */
  constructor(token: PresentedToken, userSessions: UserSessions, now: number, onWatched: (entry: Entry) => Entry) {
    this.handle = token.handle;
    this.indexId = token.indexId;
    this.activity = new Activity(token.times, userSessions.policy.idleTimeout);
    this.#userSessions = userSessions;
    this.#knowledge = { state: 'unasked', facts: factsOf(token.times, now) };
    this.#onWatched = onWatched;
  }

  get user(): SessionUser {
    return this.#userSessions.user;
  }

  get policy(): SessionPolicy {
    return this.#userSessions.policy;
  }

  get knowledge(): Knowledge {
    return this.#knowledge;
  }

  set knowledge(knowledge: Knowledge) {
    this.#knowledge = knowledge;
    this.activity.endLease();
  }

  get startedAt(): number {
    return this.knowledge.facts.startedAt;
  }

  get expiresAt(): number {
    const { token, tokensEndAt } = this.activity;
    const { expiresAt, endsAt } = this.knowledge.facts;
    return token.lifetime === null ? Math.min(Math.max(expiresAt, tokensEndAt), endsAt ?? Infinity) : expiresAt;
  }

  /** Made when it is first asked for: most requests never look at it. */
  get signal(): AbortSignal {
    if (this.#successor !== null) return this.#successor.signal;
    if (this.#controller === null) {
      const current = this.knowledge.state === 'ended' ? this : this.#onWatched(this);
      if (current !== this) {
        this.#successor = current;
        return current.signal;
      }
      this.#controller = new AbortController();
      if (this.knowledge.state === 'ended') this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** The index by session id may lack it. */
  get isUnindexed(): boolean {
    return this.indexId !== undefined && this.activity.indexedUntil === 0;
  }

  get isWatched(): boolean {
    return this.#controller !== null;
  }

  /** This process told somebody that the session is live. */
  get isInUse(): boolean {
    return this.knowledge.state === 'live' || this.isWatched;
  }

  /** What a sighting at this moment tells the store. */
  knownUse(at: number): KnownUse {
    const { knowledge, activity } = this;
    if (knowledge.state === 'unasked') return { inUseSince: activity.inUseSince(at), known: null };
    const { startedAt, endsAt, survivedCutoffAt } = knowledge.facts;
    const { tokensEndAt } = activity;
    return { inUseSince: activity.inUseSince(at), known: { startedAt, tokensEndAt, endsAt, survivedCutoffAt } };
  }

  belongTo(userSessions: UserSessions): void {
    this.#userSessions = userSessions;
  }

  end(): void {
    this.knowledge = { state: 'ended', facts: this.knowledge.facts };
  }

  fireSignal(): void {
    this.#controller?.abort();
  }
}
