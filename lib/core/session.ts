/** What a session is: its identity, its public handle, what is kept of it, and how it ended. */

import { sha256 } from './digest.js';

/** Whose session it is. */
export interface SessionUser {
  /** 22 url-safe characters of the SHA-256 of issuer and subject. Identifies the user in store keys and in the feed. */
  readonly key: string;
  readonly issuer: string;
  readonly subject: string;
}

/** For whom a token was issued. */
export interface TokenParties {
  /** The app, by its id: the claim `client_id` (RFC 9068), or else `azp` (OpenID Connect Core, section 2). Null: none is named. */
  readonly app: string | null;
  /** Who acts for the person at present: `sub` of the claim `act` (RFC 8693, section 4.1). Null: nobody else. */
  readonly actor: string | null;
}

/**
 * One request in a session. `app` and `actor` are those of its token, at most 255 characters of each. They replace those on
 * record; left out, they count as null.
 */
export interface Sighting extends Partial<TokenParties> {
  /** In milliseconds since 1970. */
  readonly at: number;
  /** The client's address. Null if it is not known: the one on record is then kept. */
  readonly ip: string | null;
  /** The same for the user agent, as it was sent. At most 512 characters are kept, without control characters. */
  readonly userAgent: string | null;
  /**
   * A program without a person sent the request, such as a server that fetches. It counts as use of the session, but the
   * user agent of a person that is on record stays, and so do its address, app and actor. Default false.
   */
  readonly byProgram?: boolean;
}

/** Who sent a request. */
export type Client = Required<Pick<Sighting, 'ip' | 'userAgent' | 'byProgram'>>;

/** What a verified token says about the time of its session. In milliseconds since 1970. */
export interface TokenTimes {
  /** When the session began, by the issuer's option `began`. Null under `'first-seen'`: its first sighting is its start. */
  readonly beganAt: number | null;
  readonly expiresAt: number | null;
  /** The session's absolute lifetime in milliseconds. Null if the configuration sets none. */
  readonly lifetime: number | null;
  /** When the session ends at the latest, by the claim `session_expiry`. Null if the token has none. */
  readonly sessionEndsAt: number | null;
  /**
   * When the token was issued, which says whether it is stale. Null if the token does not say. Left out: it is not asked
   * whether the token is stale, because the session was used before.
   */
  readonly issuedAt?: number | null;
}

/** What the store keeps of a live session. Times in milliseconds since 1970. */
export interface SessionRecord extends TokenParties {
  readonly handle: string;
  /** The earliest start that its tokens showed, by the issuer's option `began`. Under `'first-seen'`, the first sighting. */
  readonly startedAt: number;
  readonly lastSeenAt: number;
  /** `startedAt` plus the lifetime. If none is set, the latest `exp` seen. At the latest the earliest `session_expiry` seen. */
  readonly expiresAt: number;
  readonly ip: string | null;
  readonly userAgent: string | null;
  /**
   * Whether the client on record was never noted for the user before this session, as `knownClient` of `sessionStarted` says it. False if
   * that is not known: no `clientKey` came with the sighting, or the store had lost what it knew of the session.
   */
  readonly hasNewClient: boolean;
  readonly label: string | null;
}

/** How a session ended. */
export interface Ending {
  /** `revoked`: by a person, or by the session cap. `expired`: by the absolute lifetime. `idle`: by the idle timeout. */
  readonly cause: 'revoked' | 'expired' | 'idle';
  /** `signed_out`, `session_limit`, `password_changed`, ... or free text, at most 200 characters. */
  readonly reason: string;
  /** Who ended it, as the caller named them. Null if nobody was named. */
  readonly by: string | null;
  /** In milliseconds since 1970. */
  readonly at: number;
  /** When the session would have ended by itself. Null if that is not known. */
  readonly expiresAt: number | null;
  /** The store object that wrote this ending. Null if none did. */
  readonly origin: string | null;
}

/** Longest user agent kept, in characters. */
export const USER_AGENT_LIMIT = 512;
/** Longest label, in code points. */
export const LABEL_LIMIT = 64;
/** Longest `reason` and `by`, in characters. */
export const REASON_LIMIT = 200;

/** Longest `app` and `actor` kept, in characters: the longest `sub` of OpenID Connect Core, section 2. */
export const PARTY_LIMIT = 255;

/** Longest address kept, in characters. */
export const IP_LIMIT = 64;

export const HANDLE_PATTERN = /^[A-Za-z0-9_-]{22}$/;

/** A user's identity, with its digest. */
export function sessionUser(issuer: string, subject: string): SessionUser {
  return { key: digest([issuer, subject]), issuer, subject };
}

/** The id of a session: 22 url-safe characters of a SHA-256. Not a credential. It is shown as handles.ts says. */
export function sessionHandle(user: SessionUser, id: string): string {
  return digest([user.issuer, user.subject, id]);
}

/** Identifies an issuer's session id in the index by session id: 22 url-safe characters of a SHA-256. */
export function sessionIndexId(issuer: string, id: string): string {
  return digest([issuer, id]);
}

/** JSON keeps the parts apart. It also keeps lone surrogates apart, which UTF-8 would turn into the same character. */
function digest(parts: readonly string[]): string {
  return sha256(JSON.stringify(parts)).slice(0, 22);
}

/** A string that a client or an administrator chose, as it is kept: one line, well-formed, of limited length. */
export function keptText(text: string, limit: number): string {
  return text
    .slice(0, limit)
    .toWellFormed()
    .replace(/\p{Cc}/gu, ' ');
}

/** The same for a string that may be absent. An empty one is kept as null. */
export function keptOrNull(text: string | null, limit: number): string | null {
  return text === null || text === '' ? null : keptText(text, limit);
}

/** Why a session ended and who ended it, as they are kept. */
export function keptWords({ reason, by }: Pick<Ending, 'reason' | 'by'>): { reason: string; by: string | null } {
  return { reason: keptText(reason, REASON_LIMIT), by: keptOrNull(by, REASON_LIMIT) };
}

/** A session's name as it is kept: at most {@link LABEL_LIMIT} code points. */
export function keptLabel(label: string | null): string | null {
  const points = label === null ? [] : Array.from(label.slice(0, 2 * LABEL_LIMIT));
  return keptOrNull(points.slice(0, LABEL_LIMIT).join(''), 2 * LABEL_LIMIT);
}
