/** The scripts that list, show, label, end and restore the sessions of one user. Each is atomic. */

import { tokenEndsAt, unseenUntil } from '../../core/policy.js';
import type { KeptRecord } from '../../core/record.js';
import { keptLabel, keptText, keptWords } from '../../core/session.js';
import type { ListCursor, RevokeOutcome, RevokeRequest, Tombstone } from '../store.js';
import type { Found } from './live-records.js';
import { ORIGIN_LIMIT, ROW, TIMES, TOMBSTONE, type KeptTombstone } from './records.js';
import { flag, formatted, listOf, number, numberOrNull, script, string, stringOf } from './script.js';
import { ENDING, tombstonesOf } from './session-ending.js';
import { BATCH, INDEXED, OPENING, userScript } from './session-prelude.js';
import { READING } from './session-reading.js';

interface Stretch extends Found {
  /** Where to go on. Null at the end. */
  readonly next: ListCursor | null;
  /** How many sessions are live, by the index. Null: these are all entries. */
  readonly total: number | null;
}

const ALL = "return { 'all', cutoffText or '', redis.call('HGETALL', sessions), redis.call('HGETALL', rows) }";

/**
 * What is on record of a user. If there is an index, only the sessions that follow `from` in the order of lists, at most
 * `limit`. Redis does not judge them: all processes share its time.
 */
export const LIST = userScript<{ readonly limit: number; readonly from: ListCursor | null }, Stretch>({
  first: `
if dueText ~= '${INDEXED}' and not (dueText and at >= tonumber(dueText)) then ${ALL} end
`,
  repliesInBytes: true,
  parameters: {
    limit: number(({ limit }) => limit),
    fromSeenAt: numberOrNull(({ from }) => from?.lastSeenAt ?? null),
    fromHandle: string(({ from }) => from?.handle ?? null),
  },
  lua: `${READING}
forgetDue()
if not isIndexed then ${ALL} end
-- What such a cutoff ended has no tombstone yet. A global one ends sessions where they are next looked at.
if globalCutoff or cutoff and not cutoff.isComplete then
  local listed = redis.call('ZREVRANGE', index, 0, ${BATCH - 1})
  for i, text in ipairs(#listed > 0 and redis.call('HMGET', sessions, unpack(listed)) or {}) do
    local entry = parse(listed[i], text)
    if not entry or not isLive(entry) then unlist(listed[i]) end
  end
end
local total = idleTimeout and redis.call('ZCOUNT', index, '-inf', '(' .. digits(idleTimeout - at)) or redis.call('ZCARD', index)
local first = 0
if fromSeenAt then
  -- That session may have moved or gone: a member that sorts just after it finds the position.
  local member = fromHandle .. ' '
  redis.call('ZADD', index, digits(-fromSeenAt), member)
  first = redis.call('ZRANK', index, member)
  redis.call('ZREM', index, member)
end
local handles = redis.call('ZRANGE', index, first, first + limit - 1)
if #handles == 0 then return { 'page', cutoffText or '', {}, {}, {}, '', total } end
local last = #handles == limit and redis.call('ZSCORE', index, handles[limit]) or ''
return { 'page', cutoffText or '', handles, redis.call('HMGET', sessions, unpack(handles)),
  redis.call('HMGET', rows, unpack(handles)), last, total }
`,
  /**
   * Reply: 'all', the cutoff, the two hashes; or 'page', the cutoff, handles, times, rows, the score of the last handle if
   * there may be more, and the number of all.
   */
  decode(reply) {
    const [extent, cutoff, first, second, third, score, total] = listOf(reply);
    if (stringOf(extent) === 'all') {
      const rows = new Map(pairsOf(second));
      const entries = pairsOf(first).map(([handle, times]) => ({ handle, times, row: rows.get(handle) ?? null }));
      return { cutoff: stringOf(cutoff), entries, next: null, total: null };
    }
    const [times, rows] = [listOf(second), listOf(third)];
    const entries = listOf(first).map((handle, index) => ({
      handle: stringOf(handle),
      times: times[index],
      row: rows[index],
    }));
    const last = entries.at(-1);
    const hasMore = last !== undefined && stringOf(score) !== '';
    const next = hasMore ? { lastSeenAt: -Number(stringOf(score)), handle: last.handle } : null;
    return { cutoff: stringOf(cutoff), entries, next, total: Number(total) };
  },
});

/** A hash as Redis returns it. */
function pairsOf(reply: unknown): [string, unknown][] {
  const flat = listOf(reply);
  return Array.from({ length: flat.length / 2 }, (_, index) => [stringOf(flat[2 * index]), flat[2 * index + 1]]);
}

/** What is on record of a session. */
export const GET = script<{ readonly handle: string }, Found>({
  parameters: { handle: string(({ handle }) => handle) },
  lua: `${OPENING}
return { handle, cutoffText or '', keptText, redis.call('HGET', rows, handle) }
`,
  repliesInBytes: true,
  decode(reply) {
    const [handle, cutoff, times, row] = listOf(reply);
    return { cutoff: stringOf(cutoff), entries: [{ handle: stringOf(handle), times, row }] };
  },
});

/** Labels a live session. */
export const LABEL = userScript<{ readonly handle: string; readonly label: string | null }, KeptRecord | null>({
  parameters: { handle: string(({ handle }) => handle), label: string(({ label }) => keptLabel(label)) },
  lua: `${ROW.parser}${ROW.formatter}
local entry = found(handle, keptText)
if not entry or not isLive(entry) then return false end
local row = parseRow(rowOf(entry) or '') or { ip = '', userAgent = '', app = '', actor = '' }
row.label = label
local text = formatRow(row)
redis.call('HSET', rows, entry.handle, text)
keepUntil(rowUntil(entry), rows)
return { entry.text, text }
`,
  repliesInBytes: true,
  decode(reply) {
    if (reply === null) return null;
    const [times, row] = listOf(reply);
    return { ...formatted(TIMES, times), ...formatted(ROW, row) };
  },
});

interface Revoked {
  readonly outcome: RevokeOutcome;
  readonly tombstone: KeptTombstone | null;
}

/** Ends a session. */
export const REVOKE = userScript<RevokeRequest, Revoked>({
  parameters: {
    handle: string(({ handle }) => handle),
    by: string((request) => keptWords(request).by),
    reason: string((request) => keptWords(request).reason),
    hasToken: flag(({ token }) => token !== undefined),
    beganAt: numberOrNull(({ token }) => token?.beganAt ?? null),
    lifetime: numberOrNull(({ token }) => token?.lifetime ?? null),
    tokensEndAt: numberOrNull(({ token }) => (token === undefined ? null : tokenEndsAt(token))),
    endsAt: numberOrNull(({ token }) => token?.sessionEndsAt ?? null),
    unseenUntil: number(({ evenUnseen, at, policy }) => (evenUnseen === true ? unseenUntil(at, policy) : 0)),
  },
  lua: `${READING}${ENDING}
local fromToken = hasToken
  and { handle = handle, startedAt = beganAt or at, lifetime = lifetime, tokensEndAt = tokensEndAt, endsAt = endsAt } or nil
local known = found(handle, keptText)
if not known and not fromToken and unseenUntil == 0 then return { 'unknown', '' } end
forgetDue()

local keptUntil = math.max(unseenUntil, fromToken and tombstoneUntil(fromToken) or 0)
if known and known.isTombstone then return { 'already', extendTombstone(known, keptUntil) } end
if known then
  keptUntil = math.max(keptUntil, tombstoneUntil(known))
  local endedBy = cutoffOf(known)
  if endedBy then return { 'already', writeTombstone(endingByCutoff(known, endedBy, keptUntil)) } end
end
return { 'ended', writeTombstone(revocationOf(known or fromToken or { handle = handle }, by, reason, keptUntil)) }
`,
  /** Reply: outcome; the tombstone, if any. */
  decode(reply) {
    const [outcome, text] = listOf(reply);
    if (outcome !== 'ended' && outcome !== 'already') return { outcome: 'unknown', tombstone: null };
    return { outcome, tombstone: formatted(TOMBSTONE, text) };
  },
});

/**
 * Writes back tombstones that were lost, and extends those that exist. It writes nothing else. Returns those that were
 * missing.
 */
export const RESTORE = userScript<{ readonly tombstones: readonly Tombstone[] }, readonly Tombstone[]>({
  parameters: {},
  rest: ({ tombstones }) => tombstones.flatMap((tombstone) => [tombstone.handle, TOMBSTONE.write(kept(tombstone))]),
  lua: `${READING}${ENDING}
forgetDue()
local missing, toWrite = {}, {}
for i = firstOfRest, #ARGV, 2 do
  local lost, known = parse(ARGV[i], ARGV[i + 1]), found(ARGV[i], redis.call('HGET', sessions, ARGV[i]))
  if known and known.isTombstone then extendTombstone(known, lost.keptUntil)
  elseif lost.keptUntil >= past then
    asErased(lost).keptUntil = math.max(lost.keptUntil, known and tombstoneUntil(known) or 0)
    toWrite[#toWrite + 1] = lost
    missing[#missing + 1] = lost.handle
    missing[#missing + 1] = formatTombstone(lost)
  end
end
writeTombstones(toWrite)
return missing
`,
  decode: tombstonesOf,
});

function kept({ ending, until }: Tombstone): KeptTombstone {
  const origin = ending.origin === null ? null : keptText(ending.origin, ORIGIN_LIMIT);
  return { ending: { ...ending, ...keptWords(ending), origin }, until };
}
