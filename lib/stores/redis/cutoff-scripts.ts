/** The scripts that set a user's cutoff and write the tombstones of what it ends, a batch at a time. */

import { CUTOFF_FOR, type Cutoff } from '../../core/cutoff.js';
import { ERASED } from '../../core/erased.js';
import { keptText, keptWords } from '../../core/session.js';
import type { EndedByCutoff, Tombstone } from '../store.js';
import { CUTOFF, ORIGIN_LIMIT, STALE, TOMBSTONE, type KeptCutoff } from './records.js';
import {
  flag,
  formatted,
  groupsOf,
  listOf,
  number,
  numberOrNull,
  string,
  stringOf,
  type ParametersOf,
} from './script.js';
import { ENDING } from './session-ending.js';
import { BATCH, userScript } from './session-prelude.js';
import { READING } from './session-reading.js';

/**
 * Writes the tombstones of a batch of those sessions on record that the standing cutoff ends. A scan that begins at cursor
 * '0' and returns to '0' has met every field that existed throughout: the cutoff is then complete. Sessions that were put
 * on record meanwhile have survived it.
 */
const SWEEP = `${READING}${ENDING}${CUTOFF.formatter}
local function writeCutoff()
  cutoffText = formatCutoff(cutoff)
  redis.call('SET', cutoffKey, cutoffText, 'PX', digits(math.max(${CUTOFF_FOR}, redis.call('PTTL', sessions))))
  if redis.call('EXISTS', sessions) == 1 then redis.call('HSET', sessions, 'cutoff', cutoffText) end
end

local function list(ended, handle, expiresAt, keptUntil)
  ended[#ended + 1] = handle
  ended[#ended + 1] = digits(expiresAt)
  ended[#ended + 1] = digits(keptUntil)
end

local function hasWords(tombstone)
  return tombstone.by ~= '' or tombstone.cause == CAUSES.revoked and tombstone.reason ~= '${ERASED}'
end

local function writeTombstoneBatch(cursor)
  local scanned, ended, endedBefore = redis.call('HSCAN', sessions, cursor, 'COUNT', ${BATCH}), {}, {}
  local flat, toWrite, survivors = scanned[2], {}, {}
  for i = 1, #flat, 2 do
    local entry = parse(flat[i], flat[i + 1])
    if entry and entry.isTombstone and entry.at == ownBeforeAt and entry.origin == origin
      and entry.cause == CAUSES.revoked then
      list(endedBefore, entry.handle, entry.expiresAt, entry.keptUntil)
    end
    local endedBy = entry and not entry.isTombstone and cutoffOf(entry)
    local tombstone = entry and entry.isTombstone and hasWords(entry) and (isErasing or entry.at <= cutoff.erasedAt) and entry
    if isHandle(flat[i]) and (not entry or isForgotten(entry)) then drop(flat[i])
    elseif endedBy then
      local keptUntil = tombstoneUntil(entry)
      if endedBy == cutoff and decide(entry) == 'live' then
        list(ended, entry.handle, expiresAtOf(entry), keptUntil)
      end
      tombstone = endingByCutoff(entry, endedBy, keptUntil)
    elseif entry and not entry.isTombstone and entry.survivedCutoffAt < cutoff.at then
      survivors[#survivors + 1] = entry
    end
    if tombstone then toWrite[#toWrite + 1] = isErasing and withoutWords(tombstone) or asErased(tombstone) end
    if #toWrite == ${BATCH} then
      writeTombstones(toWrite)
      toWrite = {}
    end
  end
  writeTombstones(toWrite)
  for _, survivor in ipairs(survivors) do
    survivor.survivedCutoffAt = cutoff.at
    storeTimes(survivor)
  end
  if scanned[1] == '0' then
    cutoff.isComplete = true
    writeCutoff()
  end
  return scanned[1], ended, endedBefore
end
`;

/** How far the tombstones of a cutoff are written: the cursor from which to continue, '0' at the end. */
export interface Progress {
  readonly cutoffAt: number;
  readonly cursor: string;
  /** The cutoff before, if this store object set it; 0 otherwise. */
  readonly ownBeforeAt: number;
}

export const NO_PROGRESS: Progress = { cutoffAt: 0, cursor: '0', ownBeforeAt: 0 };

interface Sweeping {
  readonly progress: Progress;
  /** What people said of any ending of the user is erased. */
  readonly isErasing: boolean;
}

const SWEEPING: ParametersOf<Sweeping> = {
  isErasing: flag(({ isErasing }) => isErasing),
  cutoffAt: number(({ progress }) => progress.cutoffAt),
  cursor: string(({ progress }) => progress.cursor),
  ownBeforeAt: number(({ progress }) => progress.ownBeforeAt),
};

/** What a script has written: `ended` are the tombstones of sessions that were live. */
export interface CutoffBatch {
  readonly progress: Progress;
  readonly ended: readonly EndedByCutoff[];
  /** What an earlier call of this store object had ended: its reply may have been lost, so it is told again. */
  readonly endedBefore: readonly EndedByCutoff[];
}

function decodeBatch(progress: Progress, ended: unknown, endedBefore: unknown): CutoffBatch {
  return { progress, ended: endedOf(ended), endedBefore: endedOf(endedBefore) };
}

function endedOf(flat: unknown): EndedByCutoff[] {
  return groupsOf(flat, 3).map(([handle = '', expires, until]) => ({
    handle,
    expiresAt: Number(expires),
    until: Number(until),
  }));
}

/** A new cutoff is dated by the script, so its `at` is null. One that is written back or backdated has its own. */
export interface CutoffToSet extends Omit<Cutoff, 'at'> {
  readonly at: number | null;
}

interface CutoffRequest extends Sweeping {
  readonly cutoff: CutoffToSet;
  /** The reply to an earlier call for this user was lost. */
  readonly isRepeated: boolean;
}

export type CutoffSet =
  /**
   * There is a later cutoff, or the same. It ends what a backdated one was to end, which may not have been announced: here it
   * is, with the tombstone of the session that it excepts, if the backdated one ended that. Nothing else was done.
   */
  | { readonly state: 'standing'; readonly cutoff: Cutoff; readonly excepted: EndedException | null }
  /** The standing cutoff was not complete. A batch of its tombstones was written instead. The caller repeats the call. */
  | ({ readonly state: 'again'; readonly cutoff: Cutoff } & CutoffBatch)
  /** It was set, after the cutoff `before`. */
  | ({ readonly state: 'set'; readonly cutoff: Cutoff; readonly before: Cutoff | null } & CutoffBatch);

interface EndedException {
  readonly tombstone: Tombstone;
  /** It was live, and this call ended it. */
  readonly isCounted: boolean;
}

/** See `withoutException` in core/cutoff.ts. */
const END_EXCEPTED = `
local function endExcepted()
  local isNews, text, isCounted = cutoff.except ~= '' and cutoff.priorCutoffAt < newAt, '', ''
  if isNews then
    cutoff.priorCutoffAt, cutoff.isPriorRestored, cutoff.isPriorBackdated = newAt, false, true
    writeCutoff()
  end
  local excepted = cutoff.except ~= '' and found(cutoff.except, redis.call('HGET', sessions, cutoff.except))
  if excepted and excepted.isTombstone and excepted.at == newAt then text = excepted.text
  elseif excepted and isNews and not excepted.isTombstone and secondOf(excepted.startedAt) <= secondOf(newAt) then
    isCounted = decide(excepted) == 'live' and '1' or ''
    local message = { at = newAt, by = newBy, reason = newReason, origin = newOrigin }
    text = writeTombstone(endingByCutoff(excepted, message, tombstoneUntil(excepted)))
  end
  return { 'standing', formatCutoff(cutoff), text, isCounted }
end
`;

/**
 * Sets the user's cutoff: from now on, every session to which it applies is ended. Writes a first batch of tombstones. If
 * several cutoffs end a session, it has the tombstone of the earliest. So the standing one must be complete first.
 */
export const SET_CUTOFF = userScript<CutoffRequest, CutoffSet>({
  parameters: {
    newAt: numberOrNull(({ cutoff }) => cutoff.at),
    newExcept: string(({ cutoff }) => cutoff.except),
    newBy: string(({ cutoff }) => keptWords(cutoff).by),
    newReason: string(({ cutoff }) => keptWords(cutoff).reason),
    newOrigin: string(({ cutoff }) => keptText(cutoff.origin, ORIGIN_LIMIT)),
    isNewRestored: flag(({ cutoff }) => cutoff.isRestored),
    isNewBackdated: flag(({ cutoff }) => cutoff.isBackdated),
    newErasedAt: number(({ cutoff }) => cutoff.erasedAt),
    isRepeated: flag(({ isRepeated }) => isRepeated),
    ...SWEEPING,
  },
  lua: `${SWEEP}${END_EXCEPTED}${STALE.formatter}
local isStanding = newAt and cutoff and cutoff.at >= newAt
if isStanding and not isNewBackdated then return { 'standing', formatCutoff(cutoff), '', '' } end
if cutoff and not cutoff.isComplete then
  ownBeforeAt = isRepeated and cutoff.origin == origin and cutoff.at or 0
  local goesOn, ended, endedBefore = writeTombstoneBatch(cutoff.at == cutoffAt and cursor or '0')
  return { 'again', formatCutoff(cutoff), goesOn, ended, endedBefore }
end
if isStanding then return endExcepted() end

local before, priorCutoffAt, isPriorRestored, isPriorBackdated = cutoff, 0, false, false
if before and newExcept ~= '' then
  if newExcept == before.except then
    priorCutoffAt, isPriorRestored, isPriorBackdated = before.priorCutoffAt, before.isPriorRestored, before.isPriorBackdated
  else
    priorCutoffAt, isPriorRestored, isPriorBackdated = before.at, before.isRestored, before.isBackdated
  end
end
local earliest = math.max(before and before.at or 0, globalCutoff and globalCutoff.at or 0) + 1
-- If Redis's clock is ahead of the caller's, a cutoff by it would end the next logins.
cutoff = { at = newAt or math.max(math.min(now, at), earliest), isRestored = isNewRestored, isBackdated = isNewBackdated,
  priorCutoffAt = priorCutoffAt, isPriorRestored = isPriorRestored, isPriorBackdated = isPriorBackdated,
  isComplete = false, except = newExcept, by = newBy, reason = newReason, origin = newOrigin, erasedAt = newErasedAt }
local erasedBefore = before and before.erasedAt or 0
-- Endings are dated by the clocks of their callers, which may be ahead.
if isErasing then cutoff.erasedAt = math.max(cutoff.at, at) end
cutoff.erasedAt = math.max(cutoff.erasedAt, erasedBefore)
writeCutoff()
-- At this moment, every session on record is ended. When an erasure is written back, some have begun since.
if isErasing then redis.call('UNLINK', rows) end
if cutoff.erasedAt > erasedBefore then
  redis.call('UNLINK', clients)
  if stale and (isErasing or stale.at <= cutoff.erasedAt) then
    stale.by, stale.reason = '', '${ERASED}'
    redis.call('HSET', sessions, 'stale', formatStale(stale))
  end
end
ownBeforeAt = isRepeated and before and before.origin == origin and before.at or 0
local goesOn, ended, endedBefore = writeTombstoneBatch('0')
return { 'set', formatCutoff(cutoff), goesOn, ended, endedBefore, digits(ownBeforeAt),
  before and formatCutoff(before) or '' }
`,
  /**
   * Reply: state; cutoff; cursor of its tombstones; handle, expiresAt and until of each live session that it ended, and of
   * each that was ended before. If set: when the cutoff before was set, if by this store object; the cutoff before. If
   * standing: cutoff, the tombstone of what it excepts, and whether that counts.
   */
  decode(reply) {
    const [state, text, cursor, ended, endedBefore, ownBeforeAt, before] = listOf(reply);
    const cutoff = cutoffOf(formatted(CUTOFF, text));
    if (state === 'standing') return { state, cutoff, excepted: exceptedOf(cutoff.except, cursor, ended) };
    const progress = { cutoffAt: cutoff.at, cursor: stringOf(cursor), ownBeforeAt: Number(ownBeforeAt ?? 0) };
    const batch = decodeBatch(progress, ended, endedBefore);
    if (state === 'again') return { state, cutoff, ...batch };
    return { state: 'set', cutoff, before: before === '' ? null : cutoffOf(formatted(CUTOFF, before)), ...batch };
  },
});

function exceptedOf(handle: string | null, text: unknown, isCounted: unknown): EndedException | null {
  if (handle === null || text === '') return null;
  return { tombstone: { handle, ...formatted(TOMBSTONE, text) }, isCounted: isCounted === '1' };
}

function cutoffOf({ at, except, reason, by, origin, isRestored, isBackdated, erasedAt }: KeptCutoff): Cutoff {
  return { at, except, reason, by, origin, isRestored, isBackdated, erasedAt };
}

/** Writes the next batch of tombstones of a cutoff. Writes nothing if it is complete. */
export const TOMBSTONE_BATCH = userScript<Sweeping, CutoffBatch>({
  parameters: SWEEPING,
  lua: `${SWEEP}
if not cutoff or cutoff.at ~= cutoffAt or cutoff.isComplete then
  return { digits(cutoffAt), '0', digits(ownBeforeAt), {}, {} }
end
local goesOn, ended, endedBefore = writeTombstoneBatch(cursor)
return { digits(cutoffAt), goesOn, digits(ownBeforeAt), ended, endedBefore }
`,
  decode(reply) {
    const [cutoffAt, cursor, ownBeforeAt, ended, endedBefore] = listOf(reply);
    const progress = {
      cutoffAt: Number(stringOf(cutoffAt)),
      cursor: stringOf(cursor),
      ownBeforeAt: Number(stringOf(ownBeforeAt)),
    };
    return decodeBatch(progress, ended, endedBefore);
  },
});
