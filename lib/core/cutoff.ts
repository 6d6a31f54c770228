/** Which sessions a cutoff ends. Pure. Every store follows these rules. The Lua of the Redis store is a translation of them. */

import type { SessionPolicy } from './policy.js';
import type { Ending } from './session.js';

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

/** A session, as a cutoff judges it. */
export interface JudgedByCutoff {
  readonly handle: string;
  readonly startedAt: number;
  /** See `KeptTimes`. Undefined for a session that is not on record. */
  readonly survivedCutoffAt: number | undefined;
}

const secondOf = (moment: number): number => Math.floor(moment / 1000);

/**
 * Whether a cutoff ends a session.
 *
 * Tokens count whole seconds. Of the sessions that began in the cutoff's second, those on record by then are ended, and
 * those first seen after it are live. Records cannot tell this of a cutoff that was written back. The tombstones that are
 * written back with it do.
 *
 * A backdated cutoff ends no session that began in a later second, on record or not.
 */
export function endedByCutoff(cutoff: Cutoff, session: JudgedByCutoff): boolean {
  const { handle, startedAt, survivedCutoffAt } = session;
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
function endedByStandingCutoff(cutoff: StandingCutoff | null, session: JudgedByCutoff): boolean {
  if (cutoff === null) return false;
  if (session.handle === cutoff.except) {
    const { priorCutoffAt, isPriorRestored: isRestored, isPriorBackdated: isBackdated } = cutoff;
    const prior = { ...cutoff, at: priorCutoffAt, except: null, isRestored, isBackdated };
    return priorCutoffAt > 0 && endedByStandingCutoff(prior, session);
  }
  return endedByCutoff(cutoff, session);
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

/** The cutoffs that a store knows. Null: none. */
export interface KnownCutoffs {
  /** The user's. */
  readonly cutoff: StandingCutoff | null;
  readonly globalCutoff: GlobalCutoff | null;
}

/**
 * The cutoff that ends a session. Null if none does. If both do, the earlier one; at the same time, the user's, although a
 * store dates a user's cutoff later than the global one that it knows.
 */
export function endingCutoff(
  { cutoff, globalCutoff }: KnownCutoffs,
  session: JudgedByCutoff,
  policy: SessionPolicy,
): GlobalCutoff | null {
  const byGlobal = endedByGlobalCutoff(globalCutoff, session.startedAt, policy) ? globalCutoff : null;
  if (!endedByStandingCutoff(cutoff, session)) return byGlobal;
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
