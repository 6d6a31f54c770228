/** The contract between the ledger and what keeps the sessions: each method's guarantee, in words. */

import type { Health } from '../core/health.js';
import type { SessionPolicy } from '../core/policy.js';
import type { Cutoff, GlobalCutoff } from '../core/record.js';
import type { Ending, SessionRecord, SessionUser, Sighting, TokenTimes } from '../core/session.js';

/** What the store must know of the object that uses it; handed over once, before any other call. */
export interface StoreSettings {
  /** Longest wait for one answer, in milliseconds. */
  readonly storeTimeout: number;
  /** The promise of the feed, in milliseconds. */
  readonly revocationBound: number;
}

/** One request in a session whose token is good. */
export interface SightRequest {
  readonly handle: string;
  readonly sighting: Sighting;
  readonly token: TokenTimes;
  readonly policy: SessionPolicy;
  /**
   * False: answers as ever, and keeps endings as ever, but a live session is neither put on record nor changed, takes no
   * place under the cap, and is never `created` or `moved`. Default true.
   */
  readonly track?: boolean;
  /**
   * What the client is, as a digest of at most 22 base64url characters; null or left out if it is not to be noted. A
   * tracked sighting of a live session notes it for its user: the last 20, each for a year, give or take a day.
   */
  readonly clientKey?: string | null;
}

/** How many clients of a user are noted. */
export const CLIENTS_NOTED = 20;
/** For how long, in milliseconds. */
export const CLIENT_NOTED_FOR = 365 * 24 * 3600 * 1000;

export type SightAnswer =
  | {
      readonly state: 'live';
      readonly startedAt: number;
      /** False: none of its tokens says when it began, and `startedAt` is its first sighting. */
      readonly hasIssuedAt: boolean;
      readonly expiresAt: number;
      /** This sighting put the session on record. */
      readonly created: boolean;
      /** The user's client was noted before, by this or an earlier session. */
      readonly knownClient: boolean;
      /** What the record said before, if this sighting came from another address or user agent; else null. */
      readonly moved: { readonly ip: string | null; readonly userAgent: string | null } | null;
      /** See `KeptRecord.survivedCutoffAt`; a later cutoff ends the session. */
      readonly survivedCutoffAt: number;
    }
  /** `until` is now if the store does not keep the ending, because a refreshed token takes the session on. */
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
}

/**
 * `ended`: by this call; `already`: a tombstone stood, or a cutoff had ended the session; `unknown`: nothing is on record,
 * and the caller gave no token.
 */
export type RevokeOutcome = 'ended' | 'already' | 'unknown';

export interface RevokeAllRequest {
  /** Handle of the session that stays. */
  readonly except: string | null;
  readonly reason: string;
  readonly by: string | null;
  readonly at: number;
  readonly policy: SessionPolicy;
}

/** What a process knows of a user's endings. */
export interface RestoreRequest {
  readonly tombstones: readonly Tombstone[];
  readonly cutoff: Cutoff | null;
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

export interface SessionPage {
  /** Live sessions, most recently seen first, equal moments by handle. */
  readonly sessions: readonly SessionRecord[];
  readonly next: ListCursor | null;
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
    };

/** Who listens to a feed. Called synchronously as entries are read; must not throw. A notice may be told more than once. */
export interface FeedListener {
  notice(notice: Notice): void;
  /** A later global cutoff than was told before. */
  globalCutoff(cutoff: GlobalCutoff): void;
  /** Entries were missed, or may have been: what was learnt before this moment must be asked for again. */
  gap(cause: string): void;
}

/** Revocations as they happen. */
export interface RevocationFeed {
  /**
   * How old the feed is, in milliseconds on a monotonic clock: every ending acknowledged longer ago than this has been
   * told to the listener. `Infinity` before the first round. Computed at each call.
   */
  age(): number;
  /** The last failure, null once a round counted again. */
  lastError(): Error | null;
  close(): Promise<void>;
}

/**
 * Keeps the sessions of all users. Every method is atomic for one user unless its description says otherwise. It rejects
 * with `LoginError` `store_unavailable` if it cannot know the outcome within `storeTimeout`. Strings are kept on one line,
 * well-formed and cut at the limits of core/session.ts; an empty one is kept as null.
 */
export interface SessionStore {
  /**
   * Names this store object: 12 to 22 base64url characters, random, no two alike. Every tombstone and cutoff that it writes
   * carries it, so that each process can tell what it ended itself.
   */
  readonly origin: string;

  /**
   * Called once, before any other method. Opens nothing that keeps a process alive. A store that cannot serve two objects
   * throws a TypeError when it is called again.
   */
  configure(settings: StoreSettings): void;

  /**
   * Records a sighting and answers whether the session is live. Creates a record if there is none, updates that of a live
   * session, and never brings back an ended one: a token that is good for longer extends the tombstone, and does nothing
   * else. Atomic, one round trip. If the cap ends other sessions, this store object's own listener has been told before
   * the answer resolves. The answer does not wait for the feed entries; if they cannot be written, other processes learn
   * of it when they next ask. `onLate` is told an answer that comes after the call was rejected: the sighting was then
   * recorded nevertheless.
   */
  sight(user: SessionUser, request: SightRequest, onLate?: (answer: SightAnswer) => void): Promise<SightAnswer>;

  /** Live sessions, a page at a time. Each page is atomic; between pages sessions may come, go and move. */
  list(user: SessionUser, request: ListRequest): Promise<SessionPage>;

  /** The live session, or null. */
  get(user: SessionUser, handle: string, at: number, policy: SessionPolicy): Promise<SessionRecord | null>;

  /** Names a live session (null removes the name) and resolves to its record; to null if it is not live. */
  label(
    user: SessionUser,
    handle: string,
    label: string | null,
    at: number,
    policy: SessionPolicy,
  ): Promise<SessionRecord | null>;

  /**
   * Ends a session: the tombstone first, then the feed entry; resolves once both are written. If a tombstone stood, the
   * feed entry tells of that one, whoever wrote it. This store object's own listener has been told by then. Safe to
   * repeat after a rejection, which may leave it in force in part; what is done late is told too.
   */
  revoke(user: SessionUser, request: RevokeRequest): Promise<RevokeOutcome>;

  /**
   * Sets the user's cutoff by the store's own clock and ends every known session but the excepted one, also a lapsed one:
   * a token refreshed later does not continue it. Atomic: from the moment the cutoff is set all of them are ended, also if
   * there are thousands, whose tombstones are written in batches. Resolves, once the feed entries are written and this
   * store object's own listener has been told, to how many live sessions it ended: each is counted once, by the call that
   * wrote its tombstone. Safe to repeat after a rejection. If several cutoffs end a session on record, its tombstone has
   * the words and the origin of the earliest. A later cutoff is announced after the one before it, which may be announced
   * again for that.
   */
  revokeAll(user: SessionUser, request: RevokeAllRequest): Promise<{ readonly ended: number }>;

  /**
   * Writes what a process knows to be ended to a store that may have lost it, or that must remember it for longer. Origins
   * stay as they are. Never shortens a tombstone, never moves a cutoff back, never records a session and never takes a
   * place under the cap. Not atomic, but safe to repeat. Resolves to how many of the tombstones were missing. Not announced
   * on the feed.
   */
  restore(user: SessionUser, request: RestoreRequest): Promise<{ readonly missing: number }>;

  /**
   * Sets the global cutoff by the store's own clock. It ends the sessions of all users for which `endedByGlobalCutoff`
   * holds. Resolves once every process is being told; this store object's own listener has been told by then. As soon as
   * a store object knows of it, by this call, by its feed or by {@link catchUp}, all its answers respect it. A session
   * becomes a tombstone when somebody next asks for it. Safe to repeat after a rejection, which may leave it in force.
   */
  endEverywhere(request: EndEverywhereRequest): Promise<void>;

  /**
   * For use while the feed is not fresh. When it resolves, the listener has been told of every global cutoff that was
   * acknowledged before the call. If the store lost one that is known here, it is written back, as the feed does.
   */
  catchUp(): Promise<void>;

  /** Starts to read revocations. One feed per store object. */
  feed(listener: FeedListener): RevocationFeed;

  /** `ok` while the last command succeeded; `age` in milliseconds since then (`Infinity` before the first). */
  health(): Health;

  /** Closes only the connections that the store opened. */
  close(): Promise<void>;
}
