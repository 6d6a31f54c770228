/** What a session is: its identity, its public handle, what is kept of it, and the states it can be in. */

import { createHmac, hash, type KeyObject } from 'node:crypto';

/** Whose session it is. */
export interface SessionUser {
  /** 22 url-safe characters of SHA-256 over issuer and subject: names the user in store keys and in the feed. */
  readonly key: string;
  readonly issuer: string;
  readonly subject: string;
}

/** One request seen within a session. */
export interface Sighting {
  /** When, in milliseconds since 1970. */
  readonly at: number;
  /** Null where it is not told: what is on record then stays. */
  readonly ip: string | null;
  /** Likewise. Raw; control characters and what is beyond 512 characters are not kept. */
  readonly userAgent: string | null;
}

/** What a verified token says about its session's time. Moments in milliseconds since 1970. */
export interface TokenTimes {
  readonly issuedAt: number | null;
  readonly expiresAt: number | null;
  /** The session's absolute lifetime, in milliseconds, where the configuration sets one; `issuedAt` is then not null. */
  readonly lifetime: number | null;
}

/** What the store keeps of a live session. Moments in milliseconds since 1970. */
export interface SessionRecord {
  readonly handle: string;
  /** The earliest `iat` seen in the session, else the first sighting. */
  readonly startedAt: number;
  readonly lastSeenAt: number;
  /** `startedAt` plus the lifetime where one is set, else the latest `exp` seen. */
  readonly expiresAt: number;
  readonly ip: string | null;
  readonly userAgent: string | null;
  readonly label: string | null;
}

/** How a session ended. */
export interface Ending {
  /** `revoked`: by somebody or by the session cap; `expired`: absolute lifetime; `idle`: idle timeout. */
  readonly cause: 'revoked' | 'expired' | 'idle';
  /** `signed_out`, `session_limit`, `password_changed`, ... or free text, at most 200 characters. */
  readonly reason: string;
  /** Who ended it, as the caller named them; null where nobody was named. */
  readonly by: string | null;
  /** When, in milliseconds since 1970. */
  readonly at: number;
  /** When the session would have ended by itself; null where that is not known. */
  readonly expiresAt: number | null;
  /** The store object that ended it; null if no store wrote this ending down. */
  readonly origin: string | null;
}

/** Longest user agent kept, in characters. */
export const USER_AGENT_LIMIT = 512;
/** Longest label, in code points. */
export const LABEL_LIMIT = 64;
/** Longest `reason` and `by`, in characters. */
export const REASON_LIMIT = 200;

/** Longest address kept, in characters. */
export const IP_LIMIT = 64;

export const HANDLE_PATTERN = /^[A-Za-z0-9_-]{22}$/;

/** The user's identity with its digest. */
export function sessionUser(issuer: string, subject: string): SessionUser {
  return { key: digest(undefined, [issuer, subject]), issuer, subject };
}

/** The public id of a session: 22 url-safe characters of SHA-256, or of HMAC-SHA-256 under `secret`. Not a credential. */
export function sessionHandle(user: SessionUser, id: string, secret?: KeyObject): string {
  return digest(secret, [user.issuer, user.subject, id]);
}

/** JSON keeps the parts apart, and lone surrogates too, which UTF-8 would fold into one character. */
function digest(secret: KeyObject | undefined, parts: readonly string[]): string {
  const text = JSON.stringify(parts);
  const whole =
    secret === undefined
      ? hash('sha256', text, 'base64url')
      : createHmac('sha256', secret).update(text).digest('base64url');
  return whole.slice(0, 22);
}

/** Text that a client or an administrator chose, as it is kept: one line, bounded, well-formed. */
export function keptText(text: string, limit: number): string {
  return text
    .slice(0, limit)
    .toWellFormed()
    .replace(/\p{Cc}/gu, ' ');
}

/** The same where there may be none; an empty text says as little. */
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
