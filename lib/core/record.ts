/**
 * The rules by which a session's record is kept: how a sighting changes it, and which cutoffs end it. Pure. Each store
 * judges by them; the Lua of the Redis store is a translation of them.
 */

import { expiresAt, tokenEndsAt, type SessionPolicy, type SessionTimes } from './policy.js';
import {
  IP_LIMIT,
  keptOrNull,
  USER_AGENT_LIMIT,
  type Ending,
  type SessionRecord,
  type Sighting,
  type TokenTimes,
} from './session.js';

/** A record as a store keeps it. */
export interface KeptRecord extends SessionTimes {
  /** A token with `iat` was seen: `startedAt` is then the earliest `iat`, else the first sighting. */
  readonly hasIssuedAt: boolean;
  /** The latest cutoff of its user under which the session was seen and found live; 0 if there was none. */
  readonly survivedCutoffAt: number;
  readonly ip: string | null;
  readonly userAgent: string | null;
  readonly label: string | null;
}

/** A cutoff ends every session of its user that began before it, but the excepted one. */
export interface Cutoff {
  /** The store's own moment, in milliseconds since 1970; later cutoffs of a user are greater. */
  readonly at: number;
  readonly except: string | null;
  readonly reason: string;
  readonly by: string | null;
  /** The store object that set it. */
  readonly origin: string;
}

/** Ends the sessions of all users: those that began before it, or that clocks which disagree may have dated after it. */
export interface GlobalCutoff {
  /** The store's own moment, in milliseconds since 1970; later ones are greater. */
  readonly at: number;
  readonly reason: string;
  readonly by: string | null;
  /** The store object that set it. */
  readonly origin: string;
}

/** A user's latest cutoff, as a store keeps it. */
export interface StandingCutoff extends Cutoff {
  /** The earlier cutoff that still concerns the excepted session; 0 if there is none. */
  readonly priorCutoffAt: number;
  /** The same as `isRestored`, for the earlier cutoff. */
  readonly isPriorRestored: boolean;
  /** Written back after a loss of data. Records do not tell then whether they are older; their `iat` does. */
  readonly isRestored: boolean;
}

/** How long a cutoff stands: as long as any token it concerns can live, a year if no lifetime limits that. */
export const CUTOFF_FOR = 366 * 24 * 3600 * 1000;

const secondOf = (moment: number): number => Math.floor(moment / 1000);

/** The times of a session of which only this token is known. */
export function timesOf(token: TokenTimes, at: number): SessionTimes {
  return {
    startedAt: token.issuedAt ?? at,
    lastSeenAt: at,
    lifetime: token.lifetime,
    tokensEndAt: tokenEndsAt(token),
  };
}

/** When a session began, as far as its tokens tell; null if none of them has an `iat`. */
export function issuedAtOf({ hasIssuedAt, startedAt }: Pick<KeptRecord, 'hasIssuedAt' | 'startedAt'>): number | null {
  return hasIssuedAt ? startedAt : null;
}

/** The record as it stands after this sighting, if that finds the session live. */
export function mergeSighting(
  known: KeptRecord | undefined,
  sighting: Sighting,
  token: TokenTimes,
  cutoff: StandingCutoff | null,
): KeptRecord {
  const seen = timesOf(token, sighting.at);
  return {
    startedAt: known === undefined ? seen.startedAt : startedAtOf(known, token.issuedAt),
    lastSeenAt: Math.max(known?.lastSeenAt ?? seen.lastSeenAt, seen.lastSeenAt),
    lifetime: seen.lifetime,
    tokensEndAt: Math.max(known?.tokensEndAt ?? seen.tokensEndAt, seen.tokensEndAt),
    hasIssuedAt: token.issuedAt !== null || known?.hasIssuedAt === true,
    survivedCutoffAt: Math.max(cutoff?.at ?? 0, known?.survivedCutoffAt ?? 0),
    ip: keptOrNull(sighting.ip, IP_LIMIT) ?? known?.ip ?? null,
    userAgent: keptOrNull(sighting.userAgent, USER_AGENT_LIMIT) ?? known?.userAgent ?? null,
    label: known?.label ?? null,
  };
}

/** The earliest `iat` seen, else the first sighting. */
function startedAtOf(known: KeptRecord, issuedAt: number | null): number {
  if (issuedAt === null) return known.startedAt;
  return known.hasIssuedAt ? Math.min(known.startedAt, issuedAt) : issuedAt;
}

/** Where the session was before; null if it is still there. */
export function movedFrom(known: KeptRecord, merged: KeptRecord): Pick<KeptRecord, 'ip' | 'userAgent'> | null {
  const { ip, userAgent } = known;
  return ip === merged.ip && userAgent === merged.userAgent ? null : { ip, userAgent };
}

/** A record as the callers of a store are given it. */
export function sessionRecord(handle: string, record: KeptRecord): SessionRecord {
  const { startedAt, lastSeenAt, ip, userAgent, label } = record;
  return { handle, startedAt, lastSeenAt, expiresAt: expiresAt(record), ip, userAgent, label };
}

/**
 * Whether a cutoff ends a session; `survivedCutoffAt` is undefined for one that is not on record.
 *
 * `iat` counts whole seconds: in the cutoff's own second a session known by then is ended, one first seen after it
 * is live. A session without `iat` that was unknown at the cutoff began before it.
 */
export function endedByCutoff(
  cutoff: Cutoff,
  handle: string,
  issuedAt: number | null,
  survivedCutoffAt: number | undefined,
): boolean {
  if (handle === cutoff.except) return false;
  if (survivedCutoffAt !== undefined && survivedCutoffAt < cutoff.at) return true;
  if (issuedAt === null) return survivedCutoffAt === undefined;
  return secondOf(issuedAt) < secondOf(cutoff.at);
}

/** The same for the cutoff that a store keeps, which also knows what came before it. */
export function endedByStandingCutoff(
  cutoff: StandingCutoff | null,
  handle: string,
  issuedAt: number | null,
  survivedCutoffAt: number | undefined,
): boolean {
  if (cutoff === null) return false;
  if (handle === cutoff.except) {
    const { priorCutoffAt, isPriorRestored } = cutoff;
    const prior = { ...cutoff, at: priorCutoffAt, except: null, isRestored: isPriorRestored };
    return priorCutoffAt > 0 && endedByStandingCutoff(prior, handle, issuedAt, survivedCutoffAt);
  }
  if (cutoff.isRestored && survivedCutoffAt !== undefined && survivedCutoffAt < cutoff.at) {
    return issuedAt === null || secondOf(issuedAt) <= secondOf(cutoff.at);
  }
  return endedByCutoff(cutoff, handle, issuedAt, survivedCutoffAt);
}

/**
 * Whether the global cutoff ends a session that began at `startedAt` (null: it has no `iat`, so nobody knows). It needs
 * no record, so it holds alike for sessions seen and never seen. It errs on the side of ending: new sessions are ended
 * too until the clock tolerance is over.
 */
export function endedByGlobalCutoff(
  cutoff: GlobalCutoff | null,
  startedAt: number | null,
  { clockTolerance }: SessionPolicy,
): cutoff is GlobalCutoff {
  return cutoff !== null && (startedAt === null || startedAt <= cutoff.at + clockTolerance);
}

/**
 * The cutoff that ends a session, null if none does; of two the earlier, of two of the same moment the user's: a store dates
 * a user's cutoff later than the global one that it knows. `survivedCutoffAt` is undefined for a session that is not on
 * record.
 */
export function endingCutoff(
  cutoff: StandingCutoff | null,
  globalCutoff: GlobalCutoff | null,
  handle: string,
  session: Pick<KeptRecord, 'hasIssuedAt' | 'startedAt'>,
  survivedCutoffAt: number | undefined,
  policy: SessionPolicy,
): GlobalCutoff | null {
  const issuedAt = issuedAtOf(session);
  const byGlobal = endedByGlobalCutoff(globalCutoff, issuedAt, policy) ? globalCutoff : null;
  if (!endedByStandingCutoff(cutoff, handle, issuedAt, survivedCutoffAt)) return byGlobal;
  return byGlobal !== null && cutoff !== null && byGlobal.at < cutoff.at ? byGlobal : cutoff;
}

/** A new cutoff of a user, with what it must know of the one that it replaces. */
export function standingCutoff(earlier: StandingCutoff | null, cutoff: Cutoff, isRestored: boolean): StandingCutoff {
  return { ...cutoff, ...priorOf(earlier, cutoff), isRestored };
}

function priorOf(
  earlier: StandingCutoff | null,
  { except }: Cutoff,
): Pick<StandingCutoff, 'priorCutoffAt' | 'isPriorRestored'> {
  if (earlier === null || except === null) return { priorCutoffAt: 0, isPriorRestored: false };
  if (earlier.except !== except) return { priorCutoffAt: earlier.at, isPriorRestored: earlier.isRestored };
  const { priorCutoffAt, isPriorRestored } = earlier;
  return { priorCutoffAt, isPriorRestored };
}

/** The ending that a cutoff gives. */
export function endingByCutoff(cutoff: GlobalCutoff, sessionExpiresAt: number | null): Ending {
  const { reason, by, at, origin } = cutoff;
  return { cause: 'revoked', reason, by, at, expiresAt: sessionExpiresAt, origin };
}
