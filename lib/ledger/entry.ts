/** One session as this process knows it. */

import { getEventListeners } from 'node:events';

import { tokenEndsAt, type SessionPolicy } from '../core/policy.js';
import type { SessionUser, TokenTimes } from '../core/session.js';
import type { SightAnswer } from '../stores/store.js';

/** A user of whom this process knows a session. */
export interface Owner {
  readonly user: SessionUser;
  readonly policy: SessionPolicy;
  readonly entries: Set<Entry>;
}

/** Something asked of the store that has no answer yet. */
export interface Question {
  /** Something was announced for this user since: an answer may be older than that. */
  stale: boolean;
}

/** What the store is being asked, by user: little at any time, while users are many. */
export class Questions {
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

  /** Something was announced for this user. */
  outdate(userKey: string): void {
    for (const question of this.#byUser.get(userKey) ?? []) question.stale = true;
  }

  /** Something was announced for all users. */
  outdateAll(): void {
    for (const userKey of this.#byUser.keys()) this.outdate(userKey);
  }
}

/** The question whether a session is live; requests may share it. */
export interface Call extends Question {
  /** When what it asks about stood as it is answered, on the monotonic clock: when it was sent, or the feed last was heard. */
  readonly asOf: number;
  /** The ledger's generation when it was sent. */
  readonly generation: number;
  /** Whether the feed was already being read when it was sent, so that it tells of everything after. */
  readonly covered: boolean;
  /** Whether it puts the session on record. */
  readonly tracked: boolean;
  /** Of the token that it presents: an older one may be judged otherwise. */
  readonly issuedAt: number | null;
  outcome: Promise<SightAnswer>;
}

export class Entry {
  readonly handle: string;
  owner: Owner;

  startedAt: number;
  expiresAt: number;
  /** The session has a token with `iat`; `startedAt` is then the earliest. */
  hasIssuedAt = false;
  /** The cutoff that stood when the session was first seen. */
  survivedCutoffAt = 0;
  /** Kept on record; one that is not is confirmed by the store, and leaves nothing there. */
  tracked = false;
  /** A reply has said that it is there. */
  recorded = false;
  /** The token that ends last: what a background sight presents. */
  token: TokenTimes;
  tokensEndAt = 0;

  /** Of the ledger, when a reply put this entry in; an entry of an earlier one vouches for nothing. */
  generation = -1;
  covered = false;
  /** As of when the reply that last confirmed it holds, on the monotonic clock. */
  confirmedAt = -Infinity;

  lastSeenAt = 0;
  writtenAt = 0;
  /** The end of the tokens that the store knows of. */
  writtenEndsAt = 0;
  /** When the next background sight is due, by the option `clock`. */
  dueAt = 0;
  ip: string | null = null;
  userAgent: string | null = null;

  /** The question about this session that requests may share. */
  call: Call | null = null;
  /** The store is being asked whether it ran out. */
  isChecked = false;
  #controller: AbortController | null = null;
  #hasEnded = false;
  #onWatched: ((entry: Entry) => void) | null;

  constructor(handle: string, owner: Owner, token: TokenTimes, now: number, onWatched: (entry: Entry) => void) {
    this.handle = handle;
    this.owner = owner;
    this.token = token;
    this.startedAt = token.issuedAt ?? now;
    this.hasIssuedAt = token.issuedAt !== null;
    this.expiresAt = tokenEndsAt(token);
    this.#onWatched = onWatched;
  }

  /** Which session this is. */
  get subject(): { readonly user: SessionUser; readonly handle: string } {
    return { user: this.owner.user, handle: this.handle };
  }

  /** Made when first asked for: most requests never look at it. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#hasEnded) this.#controller.abort();
      this.#onWatched?.(this);
      this.#onWatched = null;
    }
    return this.#controller.signal;
  }

  get isWatched(): boolean {
    return this.#controller !== null;
  }

  /** Whether somebody waits for the signal. */
  get isListenedTo(): boolean {
    return this.#controller !== null && getEventListeners(this.#controller.signal, 'abort').length > 0;
  }

  get isDirty(): boolean {
    return this.tracked && this.lastSeenAt > this.writtenAt;
  }

  /** Fires the signal. An entry that ended is out of the ledger and vouches for nothing. */
  end(): void {
    this.generation = -1;
    this.#onWatched = null;
    this.#hasEnded = true;
    this.#controller?.abort();
  }
}

/** Entries without a listener that are held all the same: `AbortSignal.any()` listens and does not show. */
const HELD_UNHEARD = 10_000;

/**
 * Entries whose signal was asked for, also where the ledger let go of them: a connection may stay open for long without
 * another request. One that somebody listens to is held until its session ends; of the others the latest, and the rest
 * for as long as a request holds its session.
 */
export class WatchedEntries {
  readonly #byHandle = new Map<string, WeakRef<Entry>>();
  readonly #byUser = new Map<string, Set<string>>();
  readonly #kept = new Set<Entry>();

  add(entry: Entry): void {
    const { user } = entry.owner;
    this.#byHandle.set(entry.handle, new WeakRef(entry));
    this.#kept.add(entry);
    const handles = this.#byUser.get(user.key);
    if (handles === undefined) this.#byUser.set(user.key, new Set([entry.handle]));
    else handles.add(entry.handle);
  }

  find(handle: string): Entry | undefined {
    return this.#byHandle.get(handle)?.deref();
  }

  ofUser(userKey: string): Entry[] {
    return [...(this.#byUser.get(userKey) ?? [])]
      .map((handle) => this.find(handle))
      .filter((entry) => entry !== undefined);
  }

  remove({ handle, owner: { user } }: Entry): void {
    const entry = this.find(handle);
    if (entry !== undefined) this.#kept.delete(entry);
    this.#forget(handle, user.key);
  }

  /** Those that are still held by somebody; forgets the others, and decides anew which are held from here. */
  held(): Entry[] {
    const held: Entry[] = [];
    for (const [userKey, handles] of this.#byUser) {
      for (const handle of handles) {
        const entry = this.find(handle);
        if (entry === undefined) this.#forget(handle, userKey);
        else held.push(entry);
      }
    }
    for (const entry of held) if (entry.isListenedTo) this.#kept.add(entry);
    let unheard = this.#kept.size - HELD_UNHEARD;
    for (const entry of this.#kept) {
      if (unheard <= 0) break;
      if (!entry.isListenedTo) this.#kept.delete(entry);
      unheard -= 1;
    }
    return held;
  }

  #forget(handle: string, userKey: string): void {
    this.#byHandle.delete(handle);
    const handles = this.#byUser.get(userKey);
    handles?.delete(handle);
    if (handles?.size === 0) this.#byUser.delete(userKey);
  }
}
