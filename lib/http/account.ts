/** What people and administrators do with sessions, in the JSON shapes of the routes. */

import { LoginError } from '../core/errors.js';
import type { Handles } from '../core/handles.js';
import { LAST_MOMENT } from '../core/policy.js';
import {
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

/** A session as the routes show it. Times are ISO 8601. */
export interface SessionView {
  readonly handle: string;
  /** Whether the caller asks with this session; always false if the caller has no session. */
  readonly current: boolean;
  readonly label: string | null;
  readonly startedAt: string;
  readonly lastSeenAt: string;
  readonly expiresAt: string;
  readonly ip: string | null;
  readonly location: string | null;
  /** The app, by its id: `client_id` of the token that was seen last, or else `azp`. Null: none is named. */
  readonly app: string | null;
  /** Who acts for the person: `act.sub` of that token (RFC 8693). Null: nobody else. */
  readonly actor: string | null;
  readonly client: ClientDescription;
}

/** A session as the page shows it. */
export interface PageSession extends SessionView {
  /** It began within a day before now, and its client was never seen with this user before it. */
  readonly isNew: boolean;
}

/** What the page shows. */
export interface PageList {
  /** The caller's session, on every page of the list. Null if it is not on record. */
  readonly current: PageSession | null;
  /** This page of the list. It may have the caller's session too. */
  readonly sessions: readonly PageSession[];
  /** Cursor of the next page, null on the last. */
  readonly next: string | null;
  /** How many live sessions the user has. */
  readonly total: number;
}

export interface SessionList {
  readonly sessions: readonly SessionView[];
  /** Cursor of the next page, null on the last. */
  readonly next: string | null;
}

/** The location of an address in words. If it throws, takes longer than a second or returns no string, the location is null. */
export type Locate = (ip: string) => string | null | undefined | Promise<string | null | undefined>;

/** Who views the sessions, and with which locations. */
export interface Viewer {
  /** Handle of the caller's session. */
  readonly current?: string;
  readonly locate?: LocateAll;
}

/** The locations of several addresses. Never rejects. */
export type LocateAll = (ips: readonly (string | null)[]) => Promise<ReadonlyMap<string, string>>;

export interface ListOptions {
  /** Default 50; clamped to 1..200. */
  readonly limit?: number | undefined;
  /** `next` of the previous page. */
  readonly cursor?: string | null | undefined;
}

export interface RevokeOptions {
  /** At most 200 characters. Default `'revoked'`. Not shown to the session's client. */
  readonly reason?: string | undefined;
  /** Who ends it, at most 200 characters. */
  readonly by?: string | undefined;
  /** If the caller has a token of the session: a session that is not on record is then ended too. */
  readonly token?: TokenTimes;
}

export interface RevokeAllOptions extends Omit<RevokeOptions, 'token'> {
  /** Handle of the session that stays live. */
  readonly except?: string | undefined;
}

export interface ExpireTokensOptions {
  /** At most 200 characters. Default `'claims_changed'`. Shown to listeners of `tokenRefused`, not to the session's client. */
  readonly reason?: string | undefined;
  /** Who did it, at most 200 characters. */
  readonly by?: string | undefined;
}

export type EndEverywhereOptions = Pick<RevokeOptions, 'reason' | 'by'>;

/**
 * All methods reject with `LoginError`: `session_not_found` for a session that is unknown or has ended, `request_invalid`
 * for an invalid cursor or label, `store_unavailable`.
 */
export interface Account {
  /** Live sessions, most recently seen first. */
  list(user: SessionUser, options?: ListOptions, viewer?: Viewer): Promise<SessionList>;
  /** The same with what only the page shows. */
  listForPage(user: SessionUser, options: ListOptions, viewer: Viewer): Promise<PageList>;
  get(user: SessionUser, handle: string, viewer?: Viewer): Promise<SessionView>;
  /** At most 64 code points on one line; null or nothing but spaces removes the label. */
  label(user: SessionUser, handle: string, text: unknown, viewer?: Viewer): Promise<SessionView>;
  /** Resolves once the revocation is acknowledged, also if the session was revoked before and its tombstone exists. */
  revoke(user: SessionUser, handle: string, options?: RevokeOptions): Promise<void>;
  /** Before a request that ends a session costs anything: throws `LoginError` `store_unavailable` if too many are asked for. */
  refuseRevocationIfFull(): void;
  revokeAll(user: SessionUser, options?: RevokeAllOptions): Promise<{ readonly ended: number }>;
  /** Ends every session of the user and deletes what is stored of the person. Safe to repeat. */
  erase(user: SessionUser): Promise<{ readonly ended: number }>;
  expireTokens(user: SessionUser, options?: ExpireTokensOptions): Promise<void>;
  endEverywhere(options?: EndEverywhereOptions): Promise<void>;
}

/** For this long after it began, a session with a new client is marked. In milliseconds. */
const NEW_FOR = 24 * 3600 * 1000;

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 200;

type Sessions = Pick<
  Ledger,
  | 'list'
  | 'get'
  | 'label'
  | 'revoke'
  | 'refuseRevocationIfFull'
  | 'revokeAll'
  | 'expireTokens'
  | 'erase'
  | 'endEverywhere'
>;

export function createAccount(ledger: Sessions, handles: Handles, clock: { now(): number }): Account {
  const view = viewing(handles);
  const cursors = cursorsBy(handles);

  async function pageOf(user: SessionUser, { limit, cursor }: ListOptions) {
    const from = cursor == null ? null : cursors.read(cursor);
    const page = await ledger.list(user, { limit: clampLimit(limit), cursor: from });
    return { ...page, next: page.next === null ? null : cursors.write(page.next) };
  }

  return {
    async list(user, options = {}, { current, locate } = {}) {
      const { sessions, next } = await pageOf(user, options);
      const locations = await locate?.(sessions.map(({ ip }) => ip));
      return { sessions: sessions.map((session) => view(session, current, locations)), next };
    },

    async listForPage(user, options, { current, locate }) {
      const { sessions, next, total } = await pageOf(user, options);
      const listed = sessions.find(({ handle }) => handle === current);
      const here = listed ?? (current === undefined ? null : await ledger.get(user, current));
      const locations = await locate?.([here, ...sessions].map((session) => session?.ip ?? null));
      const newSince = clock.now() - NEW_FOR;
      const pageView = (session: SessionRecord): PageSession => ({
        ...view(session, current, locations),
        isNew: session.hasNewClient && session.startedAt > newSince,
      });
      return { current: here === null ? null : pageView(here), sessions: sessions.map(pageView), next, total };
    },

    async get(user, handle, viewer = {}) {
      return show(await firstOf(handles.meant(handle), (meant) => ledger.get(user, meant)), viewer);
    },

    async label(user, handle, text, viewer = {}) {
      const label = checkLabel(text);
      return show(await firstOf(handles.meant(handle), (meant) => ledger.label(user, meant, label)), viewer);
    },

    async revoke(user, handle, { reason, by, token } = {}) {
      const request = { ...endedBy(reason, by), ...(token === undefined ? {} : { token }) };
      await firstOf(handles.meant(handle), async (meant) => {
        const outcome = await ledger.revoke(user, { ...request, handle: meant });
        return outcome === 'unknown' ? null : outcome;
      });
    },

    refuseRevocationIfFull: () => {
      ledger.refuseRevocationIfFull();
    },

    async revokeAll(user, { except, reason, by } = {}) {
      const kept =
        except === undefined ? null : await exceptionOf(handles.meant(except), (handle) => ledger.get(user, handle));
      const { ended } = await ledger.revokeAll(user, { except: kept, ...endedBy(reason, by) });
      return { ended };
    },

    async erase(user) {
      const { ended } = await ledger.erase(user);
      return { ended };
    },
    expireTokens: (user, { reason = 'claims_changed', by } = {}) => ledger.expireTokens(user, endedBy(reason, by)),

    endEverywhere: ({ reason, by } = {}) => ledger.endEverywhere(endedBy(reason, by)),
  };

  async function show(session: SessionRecord, { current, locate }: Viewer): Promise<SessionView> {
    return view(session, current, await locate?.([session.ip]));
  }
}

/** What `ask` finds for one of the handles that a shown one may mean. Without any, it is answered like an unknown one. */
async function firstOf<Found>(
  meant: readonly string[],
  ask: (handle: string) => Promise<Found | null>,
): Promise<Found> {
  for (const handle of meant) {
    const found = await ask(handle);
    if (found !== null) return found;
  }
  throw notFound();
}

/** The one on record, or else the first: the session need not be on record. */
async function exceptionOf(meant: readonly string[], ask: (handle: string) => Promise<unknown>): Promise<string> {
  const [first] = meant;
  if (first === undefined) throw notFound();
  for (const handle of meant.length === 1 ? [] : meant) {
    if ((await ask(handle)) !== null) return handle;
  }
  return first;
}

type View = (session: SessionRecord, current?: string, locations?: ReadonlyMap<string, string>) => SessionView;

function viewing({ shown }: Handles): View {
  return (session, current, locations) => ({
    handle: shown(session.handle),
    current: session.handle === current,
    label: session.label,
    startedAt: new Date(session.startedAt).toISOString(),
    lastSeenAt: new Date(session.lastSeenAt).toISOString(),
    expiresAt: new Date(session.expiresAt).toISOString(),
    ip: session.ip,
    location: session.ip === null ? null : (locations?.get(session.ip) ?? null),
    app: session.app,
    actor: session.actor,
    client: describeClient(session.userAgent),
  });
}

/** The words of an ending, as they are kept. */
export function endedBy(reason = 'revoked', by?: string): { readonly reason: string; readonly by: string | null } {
  return { reason: keptText(reason, REASON_LIMIT), by: by === undefined ? null : keptText(by, REASON_LIMIT) };
}

function clampLimit(limit = DEFAULT_LIMIT): number {
  return Number.isNaN(limit) ? DEFAULT_LIMIT : Math.trunc(Math.min(Math.max(limit, 1), MAX_LIMIT));
}

function notFound(): LoginError {
  return new LoginError('session_not_found', 'There is no such session');
}

function checkLabel(text: unknown): string | null {
  if (text === null) return null;
  if (typeof text !== 'string') throw new LoginError('request_invalid', 'The label must be a string or null');
  const label = text.trim();
  if (!label.isWellFormed() || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(label)) {
    throw new LoginError('request_invalid', 'The label must be a single line');
  }
  // A code point takes at most two units, so a long string is refused before it is spread.
  if (label.length > 2 * LABEL_LIMIT || Array.from(label).length > LABEL_LIMIT) {
    throw new LoginError('request_invalid', `The label is longer than ${LABEL_LIMIT} characters`);
  }
  return label === '' ? null : label;
}

/** A cursor is opaque to clients: base64url of the JSON [lastSeenAt, handle as it is shown]. */
function cursorsBy(handles: Handles): { write(cursor: ListCursor): string; read(text: unknown): ListCursor } {
  return {
    write: ({ lastSeenAt, handle }) =>
      Buffer.from(JSON.stringify([lastSeenAt, handles.shown(handle)])).toString('base64url'),
    read(text) {
      if (typeof text === 'string' && /^[\w-]{1,100}$/.test(text)) {
        const [lastSeenAt, shown] = parsedList(Buffer.from(text, 'base64url').toString());
        // Of another secret's, the handle only orders sessions that were last seen in the same millisecond.
        const [handle] = handles.meant(shown);
        const isMoment = typeof lastSeenAt === 'number' && Math.abs(lastSeenAt) <= LAST_MOMENT;
        if (isMoment && handle !== undefined) {
          return { lastSeenAt, handle };
        }
      }
      throw new LoginError('request_invalid', 'The cursor is invalid');
    },
  };
}

function parsedList(json: string): unknown[] {
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

/** In milliseconds. */
const LOCATE_TIMEOUT = 1000;

/** Calls `locate` once for each address, all at the same time. */
export function createLocations(locate: Locate, timeout = LOCATE_TIMEOUT): LocateAll {
  async function locationOf(ip: string): Promise<string | null> {
    let timer: NodeJS.Timeout | undefined;
    const tooSlow = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), timeout);
    });
    try {
      const location: unknown = await Promise.race([locate(ip), tooSlow]);
      return typeof location === 'string' && location !== '' ? keptText(location, REASON_LIMIT) : null;
    } catch {
      return null;
    } finally {
      clearTimeout(timer);
    }
  }

  return async function locateAll(ips) {
    const locations = new Map<string, string>();
    const known = new Set(ips.filter((ip) => ip !== null));
    await Promise.all(
      [...known].map(async (ip) => {
        const location = await locationOf(ip);
        if (location !== null) locations.set(ip, location);
      }),
    );
    return locations;
  };
}
