/**
 * The rules of a session's record: how a sighting changes it, and which cutoffs end it. Pure. Every store follows these
 * rules. The Lua of the Redis store is a translation of them.
 */

import { expiresAt, tokenEndsAt, type SessionPolicy, type SessionTimes } from './policy.js';
import {
  IP_LIMIT,
  keptOrNull,
  PARTY_LIMIT,
  USER_AGENT_LIMIT,
  type Ending,
  type SessionRecord,
  type Sighting,
  type TokenParties,
  type TokenTimes,
} from './session.js';

/** The part of a record by which the session is judged. */
export interface KeptTimes extends SessionTimes {
  /** The user's latest cutoff after which the session was seen and found live. 0: none. */
  readonly survivedCutoffAt: number;
}

/** The part of a record that people are shown. It is not kept for as long: see `rowUntil` in policy.ts. */
export interface KeptRow extends TokenParties {
  readonly ip: string | null;
  readonly userAgent: string | null;
  /** Whether the client on record is a program without a person. Then any other client takes its place. */
  readonly byProgram: boolean;
  /** Whether that client was never noted for the user before this session. */
  readonly hasNewClient: boolean;
  readonly label: string | null;
}

/** A record as a store keeps it. */
export interface KeptRecord extends KeptTimes, KeptRow {}

/** What a process knows of a session by the answers that called it live. In milliseconds since 1970. */
export interface KnownTimes {
  readonly startedAt: number;
  /** When the last of the tokens seen in this session expires. */
  readonly tokensEndAt: number;
  /** The earliest `session_expiry` of its tokens. Null: none has one. */
  readonly endsAt: number | null;
  /** The latest cutoff that it is known to have survived. 0: none. */
  readonly survivedCutoffAt: number;
}

/** What the process that sights a session knows of it. A store judges by this too, because it may have lost data. */
export interface KnownUse {
  /**
   * The session has been in use from then until this sighting, without a pause as long as the idle timeout.
   * 0 (`ALWAYS`): an answer called it live, and no such pause followed.
   */
  readonly inUseSince: number;
  /** Null if no answer has called it live. */
  readonly known: KnownTimes | null;
}

export const ALWAYS = 0;

/** The row of a session of which only the times are kept. */
export const NO_ROW: KeptRow = {
  ip: null,
  userAgent: null,
  byProgram: false,
  app: null,
  actor: null,
  hasNewClient: false,
  label: null,
};

/** A cutoff ends every session of its user that began before it, except one. */
export interface Cutoff {
  /** By the store's clock, in milliseconds since 1970. A later cutoff of the same user has a greater one. */
  readonly at: number;
  readonly except: string | null;
  readonly reason: string;
  readonly by: string | null;
  /** The store object that set it. */
  readonly origin: string;
  /** Written back after a loss of data: a record that does not know of it may still be newer. */
  readonly isRestored: boolean;
  /**
   * It was set after its own time, by a message that says when. Sessions on record may have begun between the two, so each is
   * judged by when it began. Means nothing if it is restored.
   */
  readonly isBackdated: boolean;
  /**
   * What was known of the user was erased then, in milliseconds since 1970: endings up to it are kept without what people said
   * of them, see `asErased`. Later cutoffs keep it. 0: nothing was erased.
   */
  readonly erasedAt: number;
}

/** The reason of what `erase` ended, and of earlier endings whose reason was erased. */
export const ERASED = 'erased';

/** An ending, or a declaration that tokens are stale. */
interface Said extends Pick<Ending, 'at' | 'reason' | 'by'> {
  readonly cause?: Ending['cause'];
}

/** The same without what people said: nobody is named, and the reason is {@link ERASED}, unless the session ran out by itself. */
export function withoutWords<One extends Said>(said: One): One {
  const { cause = 'revoked', reason } = said;
  return { ...said, reason: cause === 'revoked' ? ERASED : reason, by: null };
}

/** As it is kept of a user of whom everything up to `erasedAt` was erased. */
export function asErased<One extends Said>(said: One, erasedAt: number): One {
  return said.at <= erasedAt ? withoutWords(said) : said;
}

/** Ends the sessions of all users that began before it, or that seem to have begun soon after it because clocks differ. */
export interface GlobalCutoff {
  /** By the store's clock, in milliseconds since 1970. A later cutoff has a greater one. */
  readonly at: number;
  readonly reason: string;
  readonly by: string | null;
  /** The store object that set it. */
  readonly origin: string;
}

/** A user's latest cutoff, as a store keeps it. */
export interface StandingCutoff extends Cutoff {
  /** The earlier cutoff that still applies to the excepted session. 0: none. */
  readonly priorCutoffAt: number;
  /** The same as `isRestored` and `isBackdated`, for the earlier cutoff. */
  readonly isPriorRestored: boolean;
  readonly isPriorBackdated: boolean;
}

/** How long a cutoff is kept, in milliseconds: a year. */
export const CUTOFF_FOR = 366 * 24 * 3600 * 1000;

const secondOf = (moment: number): number => Math.floor(moment / 1000);

/** The times of a session, if only this token of it is known. */
export function timesOf(token: TokenTimes, at: number): SessionTimes {
  return {
    startedAt: token.beganAt ?? at,
    lastSeenAt: at,
    lifetime: token.lifetime,
    tokensEndAt: tokenEndsAt(token),
    endsAt: token.sessionEndsAt,
  };
}

/** The times by which a session is judged before this sighting: what the store has kept, and what the process knows. */
export function withKnown(
  kept: KeptTimes | undefined,
  { inUseSince, known }: KnownUse,
  token: TokenTimes,
): KeptTimes | undefined {
  if (known === null) return kept;
  return {
    startedAt: Math.min(kept?.startedAt ?? known.startedAt, known.startedAt),
    lastSeenAt: kept?.lastSeenAt ?? inUseSince,
    lifetime: kept === undefined ? token.lifetime : kept.lifetime,
    tokensEndAt: Math.max(kept?.tokensEndAt ?? known.tokensEndAt, known.tokensEndAt),
    endsAt: earliest(kept?.endsAt ?? null, known.endsAt),
    survivedCutoffAt: Math.max(kept?.survivedCutoffAt ?? 0, known.survivedCutoffAt),
  };
}

/**
 * The record after this sighting, if the session is live. `known`: its times before, see {@link withKnown}. `usedAt`: when
 * the session was last used, if this sighting does not count as use.
 */
export function mergeSighting(
  known: KeptTimes | undefined,
  row: KeptRow,
  sighting: Sighting,
  token: TokenTimes,
  cutoff: StandingCutoff | null,
  usedAt = sighting.at,
): KeptRecord {
  const seen = timesOf(token, sighting.at);
  return {
    startedAt: startedAtOf(known, token, sighting, cutoff),
    lastSeenAt: known === undefined ? seen.lastSeenAt : Math.max(known.lastSeenAt, usedAt),
    lifetime: seen.lifetime,
    tokensEndAt: Math.max(known?.tokensEndAt ?? seen.tokensEndAt, seen.tokensEndAt),
    endsAt: earliest(known?.endsAt ?? null, seen.endsAt),
    survivedCutoffAt: Math.max(cutoff?.at ?? 0, known?.survivedCutoffAt ?? 0),
    ...mergeRow(row, sighting),
  };
}

function mergeRow(known: KeptRow, sighting: Sighting): KeptRow {
  const seen = seenRow(sighting);
  if (seen.byProgram && isByPerson(known)) return rowOf(known);
  return {
    ...seen,
    ip: seen.ip ?? known.ip,
    userAgent: seen.userAgent ?? known.userAgent,
    byProgram: seen.byProgram || (seen.userAgent === null && known.byProgram),
    hasNewClient: known.hasNewClient,
    label: known.label,
  };
}

/**
 * Whether the client that is on record after a sighting is new to the user. `before`: null if there was no row. `isFirstNoted`: the store has
 * just noted the client of the sighting, had not noted it before, and has not lost what it knew of the session.
 */
export function hasNewClient(before: KeptRow | null, after: KeptRow, isFirstNoted: boolean): boolean {
  if (before === null) return isFirstNoted;
  if (after.userAgent === before.userAgent) return before.hasNewClient;
  // Once used by a new client, the session stays marked. But what a program was says nothing of the browser after it.
  return isFirstNoted || (before.hasNewClient && (!before.byProgram || after.byProgram));
}

/** What a sighting alone says, as it is kept. */
export function seenRow({ ip, userAgent, byProgram = false, app = null, actor = null }: Sighting): KeptRow {
  return {
    ip: keptOrNull(ip, IP_LIMIT),
    userAgent: keptOrNull(userAgent, USER_AGENT_LIMIT),
    byProgram,
    app: keptOrNull(app, PARTY_LIMIT),
    actor: keptOrNull(actor, PARTY_LIMIT),
    hasNewClient: false,
    label: null,
  };
}

/** The row of a record. */
export function rowOf({ ip, userAgent, byProgram, app, actor, hasNewClient: isNew, label }: KeptRow): KeptRow {
  return { ip, userAgent, byProgram, app, actor, hasNewClient: isNew, label };
}

function isByPerson({ userAgent, byProgram }: KeptRow): boolean {
  return userAgent !== null && !byProgram;
}

/** The earliest start that is known. A session that begins with its first sighting begins after the cutoff that it meets. */
function startedAtOf(
  known: KeptTimes | undefined,
  { beganAt }: TokenTimes,
  { at }: Sighting,
  cutoff: StandingCutoff | null,
): number {
  if (beganAt === null) return known?.startedAt ?? Math.max(at, cutoff?.at ?? at);
  return Math.min(known?.startedAt ?? beganAt, beganAt);
}

/** Of two moments, each of which may be null. */
export function earliest(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}

/** The address and user agent of the session before, if they changed. Null if they did not. */
export function movedFrom(known: KeptRow, merged: KeptRow): Pick<KeptRow, 'ip' | 'userAgent'> | null {
  const { ip, userAgent } = known;
  return ip === merged.ip && userAgent === merged.userAgent ? null : { ip, userAgent };
}

/** A record as a store returns it. */
export function sessionRecord(handle: string, record: KeptRecord): SessionRecord {
  const { startedAt, lastSeenAt, ...row } = record;
  const { ip, userAgent, app, actor, hasNewClient: isNew, label } = row;
  const shown = { ip, userAgent, app, actor, hasNewClient: isNew, label };
  return { handle, startedAt, lastSeenAt, expiresAt: expiresAt(record), ...shown };
}

/**
 * Whether a cutoff ends a session. `survivedCutoffAt` is undefined for a session that is not on record.
 *
 * Tokens count whole seconds. Of the sessions that began in the cutoff's second, those on record by then are ended, and
 * those first seen after it are live. Records cannot tell this of a cutoff that was written back. The tombstones that are
 * written back with it do.
 *
 * A backdated cutoff ends no session that began in a later second, on record or not.
 */
export function endedByCutoff(
  cutoff: Cutoff,
  handle: string,
  startedAt: number,
  survivedCutoffAt: number | undefined,
): boolean {
  if (handle === cutoff.except) return false;
  const [began, ends] = [secondOf(startedAt), secondOf(cutoff.at)];
  const isOlder = survivedCutoffAt !== undefined && survivedCutoffAt < cutoff.at;
  if (isOlder && !cutoff.isRestored) return !cutoff.isBackdated || began <= ends;
  return began < ends;
}

/**
 * Whether what a cutoff ends may be a new login, because clocks differ. It is refused without a tombstone: a token that is
 * issued later is good. Only for sessions that nobody has seen before the cutoff.
 */
export function mayBeginAfterCutoff(
  cutoff: GlobalCutoff,
  startedAt: number,
  { clockTolerance }: SessionPolicy,
): boolean {
  return startedAt >= cutoff.at - clockTolerance;
}

/** The same for the cutoff that a store keeps, with what it knows of the one before. */
export function endedByStandingCutoff(
  cutoff: StandingCutoff | null,
  handle: string,
  startedAt: number,
  survivedCutoffAt: number | undefined,
): boolean {
  if (cutoff === null) return false;
  if (handle === cutoff.except) {
    const { priorCutoffAt, isPriorRestored: isRestored, isPriorBackdated: isBackdated } = cutoff;
    const prior = { ...cutoff, at: priorCutoffAt, except: null, isRestored, isBackdated };
    return priorCutoffAt > 0 && endedByStandingCutoff(prior, handle, startedAt, survivedCutoffAt);
  }
  return endedByCutoff(cutoff, handle, startedAt, survivedCutoffAt);
}

/**
 * Whether the global cutoff ends a session that began at `startedAt`. It needs no record, so it applies equally to sessions
 * that were never seen. To be safe, it also ends sessions that begin within the clock tolerance after it.
 */
export function endedByGlobalCutoff(
  cutoff: GlobalCutoff | null,
  startedAt: number,
  { clockTolerance }: SessionPolicy,
): cutoff is GlobalCutoff {
  return cutoff !== null && startedAt <= cutoff.at + clockTolerance;
}

/**
 * The cutoff that ends a session. Null if none does. If both do, the earlier one; at the same time, the user's, although a
 * store dates a user's cutoff later than the global one that it knows. `survivedCutoffAt` is undefined for a session that
 * is not on record.
 */
export function endingCutoff(
  cutoff: StandingCutoff | null,
  globalCutoff: GlobalCutoff | null,
  handle: string,
  startedAt: number,
  survivedCutoffAt: number | undefined,
  policy: SessionPolicy,
): GlobalCutoff | null {
  const byGlobal = endedByGlobalCutoff(globalCutoff, startedAt, policy) ? globalCutoff : null;
  if (!endedByStandingCutoff(cutoff, handle, startedAt, survivedCutoffAt)) return byGlobal;
  return byGlobal !== null && cutoff !== null && byGlobal.at < cutoff.at ? byGlobal : cutoff;
}

/** A user's new cutoff, with what must be kept of the one that it replaces. */
export function standingCutoff(earlier: StandingCutoff | null, cutoff: Cutoff): StandingCutoff {
  const erasedAt = Math.max(earlier?.erasedAt ?? 0, cutoff.erasedAt);
  return { ...cutoff, erasedAt, ...priorOf(earlier, cutoff) };
}

function priorOf(earlier: StandingCutoff | null, { except }: Cutoff): Omit<StandingCutoff, keyof Cutoff> {
  if (earlier === null || except === null) return NO_PRIOR;
  const { at, isRestored, isBackdated, ...prior } = earlier;
  if (earlier.except !== except) return asPrior(at, isRestored, isBackdated);
  return asPrior(prior.priorCutoffAt, prior.isPriorRestored, prior.isPriorBackdated);
}

function asPrior(priorCutoffAt: number, isPriorRestored: boolean, isPriorBackdated: boolean) {
  return { priorCutoffAt, isPriorRestored, isPriorBackdated };
}

const NO_PRIOR = asPrior(0, false, false);

/**
 * What becomes of a cutoff that stands, if a message comes for an earlier time: it ends the same sessions, and the one that it
 * excepts is then judged by the message's time. Null if nothing changes.
 */
export function withoutException(standing: StandingCutoff, messageAt: number): StandingCutoff | null {
  if (standing.except === null || standing.priorCutoffAt >= messageAt) return null;
  return { ...standing, ...asPrior(messageAt, false, true) };
}

/** Whether it takes the exception from a session on record, which is then ended. */
export function beganUpTo(startedAt: number, messageAt: number): boolean {
  return secondOf(startedAt) <= secondOf(messageAt);
}

/** The ending of a session that a cutoff ended. */
export function endingByCutoff(cutoff: GlobalCutoff, sessionExpiresAt: number | null): Ending {
  const { reason, by, at, origin } = cutoff;
  return { cause: 'revoked', reason, by, at, expiresAt: sessionExpiresAt, origin };
}
