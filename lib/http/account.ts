/** What people and administrators do with sessions, in the shapes that the routes show. */

import { LoginError } from '../core/errors.js';
import {
  HANDLE_PATTERN,
  keptText,
  LABEL_LIMIT,
  REASON_LIMIT,
  type SessionRecord,
  type SessionUser,
  type TokenTimes,
} from '../core/session.js';
import type { Ledger } from '../ledger/ledger.js';
import type { ListCursor } from '../stores/store.js';
import { describeClient, type ClientDescription } from './user-agent.js';

/** A session as the routes show it; moments by ISO 8601. */
export interface SessionView {
  readonly handle: string;
  /** The session that asks; always false where no session does. */
  readonly current: boolean;
  readonly label: string | null;
  readonly startedAt: string;
  readonly lastSeenAt: string;
  readonly expiresAt: string;
  readonly ip: string | null;
  readonly location: string | null;
  readonly client: ClientDescription;
}

export interface SessionList {
  readonly sessions: readonly SessionView[];
  /** Cursor of the next page, null on the last. */
  readonly next: string | null;
}

/** A place in words for an address; what throws, is slow or gives no text leaves null. */
export type Locate = (ip: string) => string | null | undefined | Promise<string | null | undefined>;

/** Who looks, and what helps to show it. */
export interface Viewer {
  /** Handle of the session that asks. */
  readonly current?: string;
  readonly placesOf?: PlacesOf;
}

/** Places of several addresses at once; never rejects. */
export type PlacesOf = (ips: readonly (string | null)[]) => Promise<ReadonlyMap<string, string>>;

export interface ListOptions {
  /** Default 50; clamped to 1..200. */
  readonly limit?: number | undefined;
  /** `next` of the page before. */
  readonly cursor?: string | null | undefined;
}

export interface RevokeOptions {
  /** At most 200 characters; default `'revoked'`. Not shown to the session's client. */
  readonly reason?: string | undefined;
  /** Who does it, at most 200 characters. */
  readonly by?: string | undefined;
  /** Where the caller holds a token of the session: then one that is not on record is ended too. */
  readonly token?: TokenTimes;
}

export interface RevokeAllOptions extends Omit<RevokeOptions, 'token'> {
  /** Handle of the session that stays. */
  readonly except?: string | undefined;
}

export type EndEverywhereOptions = Pick<RevokeOptions, 'reason' | 'by'>;

/**
 * All of it rejects with `LoginError`: `session_not_found` for a session that is unknown or has ended, `request_invalid`
 * for a cursor or label that cannot be right, `store_unavailable`.
 */
export interface Account {
  /** Live sessions, most recently seen first. */
  list(user: SessionUser, options?: ListOptions, viewer?: Viewer): Promise<SessionList>;
  get(user: SessionUser, handle: string, viewer?: Viewer): Promise<SessionView>;
  /** At most 64 code points on one line; null, or nothing but spaces, takes the name away. */
  label(user: SessionUser, handle: string, text: unknown, viewer?: Viewer): Promise<SessionView>;
  /** Resolves once the revocation is acknowledged; also for a session that was revoked before, while its tombstone stands. */
  revoke(user: SessionUser, handle: string, options?: RevokeOptions): Promise<void>;
  revokeAll(user: SessionUser, options?: RevokeAllOptions): Promise<{ readonly ended: number }>;
  endEverywhere(options?: EndEverywhereOptions): Promise<void>;
}

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 200;

type Sessions = Pick<Ledger, 'list' | 'get' | 'label' | 'revoke' | 'revokeAll' | 'endEverywhere'>;

export function createAccount(ledger: Sessions): Account {
  return {
    async list(user, { limit, cursor } = {}, viewer = {}) {
      const page = await ledger.list(user, {
        limit: clampLimit(limit),
        cursor: cursor == null ? null : readCursor(cursor),
      });
      const { sessions } = page;
      const places = await viewer.placesOf?.(sessions.map(({ ip }) => ip));
      return {
        sessions: sessions.map((session) => viewOf(session, viewer.current, places)),
        next: page.next === null ? null : writeCursor(page.next),
      };
    },

    async get(user, handle, viewer = {}) {
      return show(await ledger.get(user, checkHandle(handle)), viewer);
    },

    async label(user, handle, text, viewer = {}) {
      const known = checkHandle(handle);
      return show(await ledger.label(user, known, checkLabel(text)), viewer);
    },

    async revoke(user, handle, { reason, by, token } = {}) {
      const request = {
        handle: checkHandle(handle),
        ...endedBy(reason, by),
        ...(token === undefined ? {} : { token }),
      };
      if ((await ledger.revoke(user, request)) === 'unknown') throw notFound();
    },

    async revokeAll(user, { except, reason, by } = {}) {
      const { ended } = await ledger.revokeAll(user, {
        except: except === undefined ? null : checkHandle(except),
        ...endedBy(reason, by),
      });
      return { ended };
    },

    endEverywhere: ({ reason, by } = {}) => ledger.endEverywhere(endedBy(reason, by)),
  };
}

async function show(session: SessionRecord | null, { current, placesOf }: Viewer): Promise<SessionView> {
  if (session === null) throw notFound();
  return viewOf(session, current, await placesOf?.([session.ip]));
}

function viewOf(session: SessionRecord, current?: string, places?: ReadonlyMap<string, string>): SessionView {
  return {
    handle: session.handle,
    current: session.handle === current,
    label: session.label,
    startedAt: new Date(session.startedAt).toISOString(),
    lastSeenAt: new Date(session.lastSeenAt).toISOString(),
    expiresAt: new Date(session.expiresAt).toISOString(),
    ip: session.ip,
    location: session.ip === null ? null : (places?.get(session.ip) ?? null),
    client: describeClient(session.userAgent),
  };
}

function endedBy(reason = 'revoked', by?: string): { readonly reason: string; readonly by: string | null } {
  return { reason: keptText(reason, REASON_LIMIT), by: by === undefined ? null : keptText(by, REASON_LIMIT) };
}

function clampLimit(limit = DEFAULT_LIMIT): number {
  return Number.isNaN(limit) ? DEFAULT_LIMIT : Math.trunc(Math.min(Math.max(limit, 1), MAX_LIMIT));
}

/** What cannot be a handle gets the answer of one that is unknown. */
function checkHandle(handle: unknown): string {
  if (typeof handle !== 'string' || !HANDLE_PATTERN.test(handle)) throw notFound();
  return handle;
}

function notFound(): LoginError {
  return new LoginError('session_not_found', 'There is no such session');
}

function checkLabel(text: unknown): string | null {
  if (text === null) return null;
  if (typeof text !== 'string') throw new LoginError('request_invalid', 'The label must be a text or null');
  const label = text.trim();
  if (!label.isWellFormed() || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(label)) {
    throw new LoginError('request_invalid', 'The label must be one line of text');
  }
  // A code point takes two units at most: a long text need not be spread out to be counted.
  if (label.length > 2 * LABEL_LIMIT || Array.from(label).length > LABEL_LIMIT) {
    throw new LoginError('request_invalid', `The label is longer than ${LABEL_LIMIT} characters`);
  }
  return label === '' ? null : label;
}

// A cursor is opaque to clients: base64url of [lastSeenAt, handle] in JSON.

function writeCursor({ lastSeenAt, handle }: ListCursor): string {
  return Buffer.from(JSON.stringify([lastSeenAt, handle])).toString('base64url');
}

function readCursor(text: unknown): ListCursor {
  if (typeof text === 'string' && /^[\w-]{1,100}$/.test(text)) {
    const [lastSeenAt, handle] = parsedList(Buffer.from(text, 'base64url').toString());
    if (
      typeof lastSeenAt === 'number' &&
      Number.isFinite(lastSeenAt) &&
      typeof handle === 'string' &&
      HANDLE_PATTERN.test(handle)
    ) {
      return { lastSeenAt, handle };
    }
  }
  throw new LoginError('request_invalid', 'The cursor is none that was given out here');
}

function parsedList(json: string): unknown[] {
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

/** Milliseconds that a place is worth waiting for. */
const LOCATE_TIMEOUT = 1000;

/** Asks `locate` once per address, for all at once. */
export function createPlaces(locate: Locate, timeout = LOCATE_TIMEOUT): PlacesOf {
  async function placeOf(ip: string): Promise<string | null> {
    let timer: NodeJS.Timeout | undefined;
    const tooSlow = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), timeout);
    });
    try {
      const place: unknown = await Promise.race([locate(ip), tooSlow]);
      return typeof place === 'string' && place !== '' ? keptText(place, REASON_LIMIT) : null;
    } catch {
      return null;
    } finally {
      clearTimeout(timer);
    }
  }

  return async function placesOf(ips) {
    const places = new Map<string, string>();
    const known = new Set(ips.filter((ip) => ip !== null));
    await Promise.all(
      [...known].map(async (ip) => {
        const place = await placeOf(ip);
        if (place !== null) places.set(ip, place);
      }),
    );
    return places;
  };
}
