/**
 * The rules of a session's record: how a sighting changes it. Pure. Every store follows these rules. The Lua of the Redis store
 * is a translation of them.
 */

import type { StandingCutoff } from './cutoff.js';
import { expiresAt, tokenEndsAt, type SessionTimes } from './policy.js';
import {
  IP_LIMIT,
  keptOrNull,
  PARTY_LIMIT,
  USER_AGENT_LIMIT,
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
