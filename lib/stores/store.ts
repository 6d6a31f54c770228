/**
 * The contract of a session store: what each method guarantees to the ledger. It is one long file, because the author of a store has
 * to read all of it, and most of it is prose.
 */

import type { Cutoff, GlobalCutoff } from '../core/cutoff.js';
import { LoginError } from '../core/errors.js';
import type { PartHealth } from '../core/health.js';
import type { SessionPolicy } from '../core/policy.js';
import type { KnownUse } from '../core/record.js';
import type { Ending, SessionRecord, SessionUser, Sighting, TokenTimes } from '../core/session.js';
import type { StaleTokens } from '../core/stale.js';

/** The store can be reached, and answered, but it cannot tell yet whether a session is live: what it has of it may be old. */
export class CannotTellYet extends LoginError {
  constructor(message: string) {
    super('store_unavailable', message);
  }
}

/** The store can be reached, but more is asked of it than it can answer in time. It refused this at once, and did nothing. */
export class StoreBusy extends LoginError {
  constructor() {
    super('store_unavailable', 'More is asked of the session store than it can answer in time');
  }
}

/** What the store must know of the object that uses it. Passed once, before any other call. */
export interface StoreSettings {
  /** The longest wait for an answer, in milliseconds. */
  readonly storeTimeout: number;
  /** The longest time until the feed has told every process of an ending, in milliseconds. */
  readonly revocationBound: number;
}

/** One request in a session, with a valid token. */
export interface SightRequest {
  readonly handle: string;
  readonly sighting: Sighting;
  readonly token: TokenTimes;
  readonly policy: SessionPolicy;
  /** What the caller knows of the session. The store judges by it too. Left out: nothing. */
  readonly knownUse?: KnownUse;
  /**
   * Set if the request, such as a poll, does not count as use of the session. It is then when the session was last used, as far
   * as the caller knows: in milliseconds since 1970, or 0 if the caller does not know. The record takes this last-seen time if
   * it is later than its own, and what the token shows; nothing else of it changes. A session that is not on record is
   * recorded as usual. Left out: the request counts as use.
   */
  readonly usedAt?: number;
  /**
   * If false, the answer is the same, and endings are kept as usual. But a live session is neither put on record nor
   * changed, does not count towards the cap, and is never `created` or `moved`. Default true.
   */
  readonly track?: boolean;
  /**
   * The kind of client, as a digest of at most 22 base64url characters. A tracked sighting of a live session notes it for
   * the user: the last 20, each for a year, give or take a day. Null or left out: nothing is noted.
   */
  readonly clientKey?: string | null;
  /**
   * Where the user is entered in the index by session id, before the sighting is judged. If {@link SessionStore.endIndexed}
   * has ended that id, the session is ended, with the same words and origin. Left out: the index is not looked at.
   */
  readonly index?: IndexEntry;
}

/** The place of a session in the index by session id. */
export interface IndexEntry {
  /** Of the issuer's session id: 22 base64url characters, see `sessionIndexId`. */
  readonly id: string;
  /** Until when it is kept, in milliseconds since 1970. Null: the sighting enters nothing, and only heeds what ended the id. */
  readonly until: number | null;
}

/** The most users of one session id that are entered. Providers give each session an id of its own. */
export const INDEXED_SUBJECTS = 100;

export interface EndIndexedRequest {
  readonly reason: string;
  readonly by: string | null;
  /** Now, by the caller's clock. */
  readonly at: number;
  readonly policy: SessionPolicy;
}

/** The most clients of a user that are noted. */
export const CLIENTS_NOTED = 20;
/** For how long, in milliseconds. */
export const CLIENT_NOTED_FOR = 365 * 24 * 3600 * 1000;

export type SightAnswer =
  | {
      readonly state: 'live';
      readonly startedAt: number;
      /** The earliest `session_expiry` of its tokens. Null: none has one. */
      readonly endsAt: number | null;
      readonly expiresAt: number;
      /** When it was last used, as it is on record now. Of a session that is not on record: the time of the sighting. */
      readonly lastSeenAt: number;
      /** This sighting put the session on record, or made a new row of one that had lapsed long ago. */
      readonly created: boolean;
      /** The user's client was noted before, in this session or an earlier one. */
      readonly knownClient: boolean;
      /** What the record said before, if this sighting came from another address or user agent. Otherwise null. */
      readonly moved: { readonly ip: string | null; readonly userAgent: string | null } | null;
      /** See `KeptRecord.survivedCutoffAt`. A later cutoff ends the session. */
      readonly survivedCutoffAt: number;
      /** Which other tokens of this user are stale. Null: none. */
      readonly staleTokens: StaleTokens | null;
    }
  /** The token is stale, and its session has no tombstone. Nothing was recorded, extended or ended. */
  | { readonly state: 'stale'; readonly staleTokens: StaleTokens }
  /** Its origin is null if the store keeps no tombstone: a refreshed token takes the session on. */
  | { readonly state: 'ended'; readonly ending: Ending; readonly until: number }
  /** The cap is reached and the policy refuses; nothing was recorded. */
  | { readonly state: 'refused' };

/** A tombstone: the session stays ended until `until` (milliseconds since 1970). */
export interface Tombstone {
  readonly handle: string;
  readonly ending: Ending;
  readonly until: number;
}

export interface RevokeRequest {
  readonly handle: string;
  readonly reason: string;
  readonly by: string | null;
  /** Now, by the caller's clock. */
  readonly at: number;
  readonly policy: SessionPolicy;
  /** The token of the session to end, if the caller has it. A session that is not on record is then ended too. */
  readonly token?: TokenTimes;
  /** A session that is not on record is ended too: its tombstone is kept for `tombstoneFor` from now. Default false. */
  readonly evenUnseen?: boolean;
}

/**
 * `ended`: this call ended it. `already`: there was a tombstone, or a cutoff had ended it. `unknown`: nothing is on record,
 * the caller gave no token, and did not ask for `evenUnseen`.
 */
export type RevokeOutcome = 'ended' | 'already' | 'unknown';

export interface RevokeAllRequest {
  /** The handle of the session that stays live. Null: none. */
  readonly except: string | null;
  /**
   * Ends only what began up to then, in milliseconds since 1970: a message says so that may have come late. `except` is null.
   * Left out, or not earlier than `at`: now.
   */
  readonly upTo?: number;
  readonly reason: string;
  readonly by: string | null;
  readonly at: number;
  readonly policy: SessionPolicy;
}

export interface ExpireTokensRequest {
  /** Tokens that were issued later, in milliseconds since 1970, stay good. Null or left out: up to now. */
  readonly upTo?: number | null;
  readonly reason: string;
  readonly by: string | null;
  readonly at: number;
  readonly policy: SessionPolicy;
}

/** To which earlier time the cutoff is dated. Null: it is dated by the clocks. */
export function backdatedTo({ upTo, at }: RevokeAllRequest): number | null {
  return upTo === undefined || upTo >= at ? null : Math.trunc(upTo);
}

export interface EraseRequest {
  /** Now, by the caller's clock. */
  readonly at: number;
  readonly policy: SessionPolicy;
}

/** What a process knows of a user's endings. */
export interface RestoreRequest {
  readonly tombstones: readonly Tombstone[];
  readonly cutoff: Omit<Cutoff, 'isRestored' | 'isBackdated'> | null;
  /** Null or left out: the process knows of no stale tokens. */
  readonly staleTokens?: StaleTokens | null;
  /** Nobody has been told that these sessions are live, so their endings are not announced. Default false. */
  readonly isUnseen?: boolean;
  readonly at: number;
  readonly policy: SessionPolicy;
}

export interface ListRequest {
  /** 1 to 200. */
  readonly limit: number;
  /** The end of the last page, from {@link SessionPage.next}; null for the first page. */
  readonly cursor: ListCursor | null;
  readonly at: number;
  readonly policy: SessionPolicy;
}

/** The last session of a page: the next page begins after it. */
export interface ListCursor {
  readonly lastSeenAt: number;
  readonly handle: string;
}

/** The order of lists: most recently seen first; those seen at the same time, by handle. */
export function compareListed(a: ListCursor, b: ListCursor): number {
  if (a.lastSeenAt !== b.lastSeenAt) return b.lastSeenAt - a.lastSeenAt;
  if (a.handle === b.handle) return 0;
  return a.handle < b.handle ? -1 : 1;
}

export interface SessionPage {
  /** Live sessions, most recently seen first; those seen at the same time, by handle. */
  readonly sessions: readonly SessionRecord[];
  readonly next: ListCursor | null;
  /**
   * How many sessions of the user are live, on all pages together. If a store forgets in batches, and more sessions than one batch have
   * ended by themselves since it was last asked, it may count some of these.
   */
  readonly total: number;
}

export interface EndEverywhereRequest {
  readonly reason: string;
  readonly by: string | null;
  readonly at: number;
}

/** A live session that a cutoff ended. */
export interface EndedByCutoff {
  readonly handle: string;
  readonly expiresAt: number;
  readonly until: number;
}

/** What the feed tells every process, in the order in which it was written. */
export type Notice =
  | { readonly kind: 'ended'; readonly user: SessionUser; readonly tombstone: Tombstone }
  | {
      readonly kind: 'cutoff';
      readonly user: SessionUser;
      readonly cutoff: Cutoff;
      /** Live sessions that it ended. If there are many, each batch has a notice of its own, with the same cutoff. */
      readonly ended: readonly EndedByCutoff[];
    }
  | { readonly kind: 'stale'; readonly user: SessionUser; readonly staleTokens: StaleTokens };

/** The listener of a feed. Called synchronously as entries are read. Must not throw. May get the same notice more than once. */
export interface FeedListener {
  notice(notice: Notice): void;
  /** Called with a global cutoff that is later than the last one. */
  globalCutoff(cutoff: GlobalCutoff): void;
  /** Entries were missed, or may have been. Whatever was learned before must be asked for again. */
  gap(cause: string): void;
  /**
   * Called with what the store's clock said (milliseconds since 1970) at some moment of the last `took` milliseconds, if it
   * has a clock of its own.
   */
  clock?(now: number, took: number): void;
  /** Called with the policy by which the store may evict what it keeps, when this is found, and once for each change. */
  eviction?(policy: string): void;
}

/** Revocations as they happen. */
export interface RevocationFeed {
  /**
   * How old the feed is, in milliseconds on a monotonic clock: the listener has been told of every ending that was
   * acknowledged longer ago than this. `Infinity` before the first round. Computed at each call.
   */
  age(): number;
  /** The last failure. Null once a round has succeeded again. */
  lastError(): Error | null;
  close(): Promise<void>;
}

/**
 * Keeps the sessions of all users. Each method is atomic for one user, unless its description says otherwise. It rejects
 * with `LoginError` `store_unavailable` if it does not know the outcome within `storeTimeout`. Strings are kept as one
 * line, well-formed, and cut at the limits of core/session.ts. An empty string is kept as null.
 */
export interface SessionStore {
  /**
   * Identifies this store object: 12 to 22 random base64url characters. Every tombstone and cutoff that it writes contains
   * this, so that each process can tell which endings are its own.
   */
  readonly origin: string;

  /**
   * Whether every call settles without a timeout of the ledger: it waits for its turn as long as the store keeps answering,
   * and at most `storeTimeout` after that. Default false: each call that takes longer than `storeTimeout` is given up.
   */
  readonly settlesInTime?: boolean;

  /**
   * Called once, before any other method. Opens nothing that keeps a process alive. If the store cannot serve two objects,
   * a second call throws a `TypeError`.
   */
  configure(settings: StoreSettings): void;

  /**
   * Records a sighting, and resolves to whether the session is live. Creates the record, or updates that of a live session.
   * Never brings back an ended session: a token that expires later only extends the tombstone. Atomic.
   *
   * Judges by the record and by what the caller knows (`knownUse`). If the record is old or lost, a session that the caller
   * knows to be in use is not idle, and needs no new place under the cap. An ending is dated by when it was due. If a
   * session that is not on record may have begun after the cutoff that ends it (`mayBeginAfterCutoff`), no tombstone is
   * written. It rejects with `store_unavailable` if it would end a session as idle by a record that may be old.
   *
   * A stale token (`isStale`) is refused before anything else is looked at, unless the session has a tombstone. It changes
   * nothing.
   *
   * If the cap ends other sessions, this store object's own listener has been told by the time it resolves. It does not wait
   * for the feed entries. If they cannot be written, other processes learn of the ending when they next ask. `onLate` is
   * called with an answer that comes after the call has rejected: the sighting was recorded all the same.
   */
  sight(user: SessionUser, request: SightRequest, onLate?: (answer: SightAnswer) => void): Promise<SightAnswer>;

  /** Live sessions, one page at a time. Each page is atomic. Between pages, sessions may begin, end and change places. */
  list(user: SessionUser, request: ListRequest): Promise<SessionPage>;

  /** The live session, or null. */
  get(user: SessionUser, handle: string, at: number, policy: SessionPolicy): Promise<SessionRecord | null>;

  /** Labels a live session (null removes the label) and resolves to its record. Resolves to null if it is not live. */
  label(
    user: SessionUser,
    handle: string,
    label: string | null,
    at: number,
    policy: SessionPolicy,
  ): Promise<SessionRecord | null>;

  /**
   * Ends a session: writes the tombstone first, then the feed entry. Resolves once both are written; this store object's
   * own listener has been told by then. If there was a tombstone, the feed entry has that one, also if another process
   * wrote it. After a rejection, the ending may be partly in force. It is safe to repeat. What is done late is announced too.
   */
  revoke(user: SessionUser, request: RevokeRequest): Promise<RevokeOutcome>;

  /**
   * Ends a session id of an issuer, for all users. Resolves to the subjects of the users who are entered in the index, at most
   * 100. The caller then revokes their sessions. For `tombstoneFor`, and as long as a user is entered, a sighting that names
   * the id in `index` finds it ended. This call and the entering are atomic: either the call finds the user, or the user's
   * sighting finds the ending. Keeps the words and the origin of the first call. Acknowledged as a revocation is; safe to
   * repeat.
   */
  endIndexed(id: string, request: EndIndexedRequest): Promise<readonly string[]>;

  /**
   * Sets the user's cutoff by the store's own clock, or by the caller's if that is earlier, but always after the cutoff
   * before it. It ends every session on record except one, also a lapsed one, which a token refreshed later does not
   * continue. Atomic: all of them are ended from the moment the cutoff is set, even if there are thousands, whose tombstones
   * are written in batches. Resolves to the number of live sessions that it ended, once the feed entries are written and this
   * store object's own listener has been told. Each session is counted once, by the call that wrote its tombstone. Safe to
   * repeat after a rejection. If several cutoffs end a session on record, its tombstone has the reason and the origin of the
   * earliest. A cutoff is announced after the one before it, which may be announced again for this purpose.
   *
   * With `upTo`, the cutoff is set to that time, and ends a session only if it began by then, in whole seconds: no later
   * sign-in, however late the call comes. A later cutoff is not moved back. But the session that it excepts is ended if it
   * began by then. A repeated call ends nothing more, and announces again what it was to end.
   */
  revokeAll(user: SessionUser, request: RevokeAllRequest): Promise<{ readonly ended: number }>;

  /**
   * Ends every session of the user as {@link revokeAll} does, with the reason `'erased'`, and deletes what is kept of the
   * person: the rows (address, user agent, app, actor, label) and the noted clients, at the moment at which the cutoff is set;
   * then `by` and `reason` of earlier endings (`asErased` in core/erased.ts), in batches. Tombstones stay, and the cutoff, whose
   * `erasedAt` tells every process to forget the same. Resolves to the number of live sessions that it ended, when all of it is
   * done and the feed entries are written. Safe to repeat after a rejection: a repetition completes it. Endings up to `erasedAt`
   * that are written back later are kept without their words.
   */
  erase(user: SessionUser, request: EraseRequest): Promise<{ readonly ended: number }>;

  /**
   * Makes the user's tokens stale that were issued up to `upTo`, or up to now: by the store's own clock, or by the caller's if
   * that is earlier, but never earlier than was set before. No session ends. It is kept for `tombstoneFor`. Resolves once the
   * feed entry is written and this store object's own listener has been told. Safe to repeat after a rejection: what stands is
   * announced again.
   */
  expireTokens(user: SessionUser, request: ExpireTokensRequest): Promise<void>;

  /**
   * Writes what a process knows to a store that may have lost it, or that must remember it for longer. Keeps the origins of
   * endings. Never shortens a tombstone, moves a cutoff or what is stale back, records a session, or counts towards the cap.
   * Not atomic, but safe to repeat. Resolves to the number of tombstones that were missing. What was missing is announced as
   * if it were new: a process that knows nothing of it may have been told that the session is live.
   */
  restore(user: SessionUser, request: RestoreRequest): Promise<{ readonly missing: number }>;

  /**
   * Sets the global cutoff by the store's own clock. It ends the sessions of all users for which `endedByGlobalCutoff`
   * is true. Resolves once it is on the feed and in every copy that the store keeps of it; this store object's own listener
   * has been told by then. As soon as a store object knows of it, by this call, by its feed or by {@link catchUp}, all its
   * answers respect it. The tombstone of a session is written when somebody next asks for the session. After a rejection, the
   * cutoff may be in force. It is safe to repeat.
   */
  endEverywhere(request: EndEverywhereRequest): Promise<void>;

  /**
   * For use while the feed is not fresh. When it resolves, the listener has been told of every global cutoff that was
   * acknowledged before the call. Any copy in reach is enough, so it does not reject because a part of the store is lost. If
   * the store has lost one that is known here, it is written back. The feed does this too.
   */
  catchUp(): Promise<void>;

  /**
   * Whether a message of a provider was noted by {@link useMessage}, by any process that uses the store, and is to be
   * remembered yet. `id`: 43 base64url characters. `at`: now, by the caller's clock.
   */
  isMessageUsed(id: string, at: number): Promise<boolean>;

  /**
   * Notes that a message was acknowledged, until `until`, in milliseconds since 1970. Resolves once that is kept as a
   * revocation is. Safe to repeat; a later `until` counts. A store in memory may forget the oldest of more than 100,000.
   */
  useMessage(id: string, until: number, at: number): Promise<void>;

  /** Starts to read revocations. One feed per store object. */
  feed(listener: FeedListener): RevocationFeed;

  /** `ok` if the last command succeeded. `age`: milliseconds since the last success (`Infinity` before the first). */
  health(): PartHealth;

  /** Closes only the connections that the store opened. */
  close(): Promise<void>;
}
