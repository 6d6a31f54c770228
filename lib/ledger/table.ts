/** The sessions that this process holds: by handle, the least recently used evicted, and by user. */

import { LRUCache } from 'lru-cache';

import type { SessionPolicy } from '../core/policy.js';
import type { SessionUser } from '../core/session.js';
import { Activity } from './activity.js';
import { factsOf, withoutVouch, type Knowledge, type PresentedToken } from './knowledge.js';
import type { Call } from './questions.js';

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

/** One session in this process. */
export class Entry implements LiveSession {
  readonly handle: string;
  readonly activity: Activity;
  #userSessions: UserSessions;
  knowledge: Knowledge;
  /** The question about this session that other requests may share. */
  call: Call | null = null;
  #controller: AbortController | null = null;
  /** Another entry of the same session, whose signal is this one's too. */
  #successor: Entry | null = null;
  readonly #onWatched: (entry: Entry) => Entry;

  /** `onWatched` is told when somebody first asks for the signal, and returns the entry that stands for the session now. */
  constructor(token: PresentedToken, userSessions: UserSessions, now: number, onWatched: (entry: Entry) => Entry) {
    this.handle = token.handle;
    this.activity = new Activity(token.times);
    this.#userSessions = userSessions;
    this.knowledge = { state: 'unasked', facts: factsOf(token.times, now) };
    this.#onWatched = onWatched;
  }

  get user(): SessionUser {
    return this.#userSessions.user;
  }

  get policy(): SessionPolicy {
    return this.#userSessions.policy;
  }

  get startedAt(): number {
    return this.knowledge.facts.startedAt;
  }

  get expiresAt(): number {
    const { token, tokensEndAt } = this.activity;
    const { expiresAt } = this.knowledge.facts;
    return token.lifetime === null ? Math.max(expiresAt, tokensEndAt) : expiresAt;
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

  get isWatched(): boolean {
    return this.#controller !== null;
  }

  /** This process told somebody that the session is live. */
  get isInUse(): boolean {
    return this.knowledge.state === 'live' || this.isWatched;
  }

  belongTo(userSessions: UserSessions): void {
    this.#userSessions = userSessions;
  }

  /** Fires the signal. */
  end(): void {
    this.knowledge = { state: 'ended', facts: this.knowledge.facts };
    this.#controller?.abort();
  }
}

export class SessionTable {
  readonly #entries: LRUCache<string, Entry>;
  readonly #users = new Map<string, UserSessions>();
  readonly #policyOf: (issuer: string) => SessionPolicy;

  /** `onEvict` is told of each session that had to make room. */
  constructor(limit: number, policyOf: (issuer: string) => SessionPolicy, onEvict: (entry: Entry) => void) {
    this.#policyOf = policyOf;
    this.#entries = new LRUCache({
      max: limit,
      // Afterwards: while it is disposed of, the entry still counts as held.
      disposeAfter: (entry, _handle, why) => {
        if (why !== 'evict') return;
        entry.knowledge = withoutVouch(entry.knowledge);
        onEvict(entry);
      },
    });
  }

  policyOf(user: SessionUser): SessionPolicy {
    return this.#policyOf(user.issuer);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Counts as a use. */
  get(handle: string): Entry | undefined {
    return this.#entries.get(handle);
  }

  peek(handle: string): Entry | undefined {
    return this.#entries.peek(handle);
  }

  holds(entry: Entry): boolean {
    return this.#entries.peek(entry.handle) === entry;
  }

  all(): Entry[] {
    return [...this.#entries.values()];
  }

  ofUser(userKey: string): Iterable<Entry> {
    return this.#users.get(userKey)?.entries ?? [];
  }

  *seenSince(at: number): Iterable<Entry> {
    for (const { entries } of this.#users.values()) {
      for (const entry of entries) if (entry.activity.lastSeenAt >= at) yield entry;
    }
  }

  /** The session's entry: a new one, or the given one that was held elsewhere. */
  attach(token: PresentedToken, held: Entry | undefined, make: (userSessions: UserSessions) => Entry): Entry {
    const userSessions = this.#sessionsOf(token.user);
    const entry = held ?? make(userSessions);
    entry.belongTo(userSessions);
    userSessions.entries.add(entry);
    this.#entries.set(token.handle, entry);
    return entry;
  }

  detach(entry: Entry): void {
    if (this.holds(entry)) this.#entries.delete(entry.handle);
    const userSessions = this.#users.get(entry.user.key);
    if (userSessions?.entries.delete(entry) === true && userSessions.entries.size === 0) {
      this.#users.delete(entry.user.key);
    }
  }

  #sessionsOf(user: SessionUser): UserSessions {
    let userSessions = this.#users.get(user.key);
    if (userSessions === undefined) {
      userSessions = { user, policy: this.#policyOf(user.issuer), entries: new Set() };
      this.#users.set(user.key, userSessions);
    }
    return userSessions;
  }
}
