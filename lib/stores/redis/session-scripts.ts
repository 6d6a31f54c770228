/** The scripts that list, show, label, end and restore the sessions of one user. Each is atomic. */

import { tokenEndsAt } from '../../core/policy.js';
import { NO_ROW, sessionRecord, type KeptRecord } from '../../core/record.js';
import { keptLabel, keptText, keptWords, type SessionRecord } from '../../core/session.js';
import type { ListCursor, RevokeOutcome, RevokeRequest, Tombstone } from '../store.js';
import { ORIGIN_LIMIT, ROW, TIMES, TOMBSTONE, type KeptTombstone } from './records.js';
import { flag, formatted, groupsOf, listOf, number, numberOrNull, string, stringOf } from './script.js';
import { BATCH, ENDING, tombstonesOf, userScript } from './session-prelude.js';

interface Stretch {
  readonly sessions: readonly SessionRecord[];
  /** Where to go on; null at the end. */
  readonly next: ListCursor | null;
}

/** The live sessions after `from`, most recently seen first, at most a batch. */
export const LIST = userScript<{ readonly limit: number; readonly from: ListCursor | null }, Stretch>({
  parameters: {
    limit: number(({ limit }) => limit),
    fromSeenAt: numberOrNull(({ from }) => from?.lastSeenAt ?? null),
    fromHandle: string(({ from }) => from?.handle ?? null),
  },
  lua: `${ENDING}
local page = {}
local function add(entry)
  page[#page + 1] = entry.handle
  page[#page + 1] = entry.text
  page[#page + 1] = rowOf(entry) or ''
end

if not isIndexed then
  for _, entry in ipairs(allLive()) do
    if #page == limit * 3 then break end
    if not fromSeenAt or isListedBefore({ lastSeenAt = fromSeenAt, handle = fromHandle }, entry) then add(entry) end
  end
  return { page, '', '' }
end

local first = 0
if fromSeenAt then
  -- That session may have moved or gone: a member that sorts just after it finds the position.
  local member = fromHandle .. ' '
  redis.call('ZADD', index, digits(-fromSeenAt), member)
  first = redis.call('ZRANK', index, member)
  redis.call('ZREM', index, member)
end
local members = redis.call('ZRANGE', index, first, first + ${BATCH - 1}, 'WITHSCORES')
for i = 1, #members, 2 do
  local entry = parse(members[i], redis.call('HGET', sessions, members[i]))
  if entry and isLive(entry) then add(entry) end
  if #page == limit * 3 then return { page, '', '' } end
end
if #members < ${BATCH * 2} or members[#members - 1] == '' then return { page, '', '' } end
return { page, digits(-tonumber(members[#members])), members[#members - 1] }
`,
  /** Reply: handles, times and rows; where to go on, both empty at the end. */
  decode(reply) {
    const [flat, seenAt, handle] = listOf(reply);
    const sessions = groupsOf(flat, 3).map(([of = '', times, row]) => sessionRecord(of, recordOf(times, row)));
    return {
      sessions,
      next: seenAt === '' ? null : { lastSeenAt: Number(stringOf(seenAt)), handle: stringOf(handle) },
    };
  },
});

/** An empty row: Redis has lost it. */
function recordOf(times: unknown, row: unknown): KeptRecord {
  return { ...formatted(TIMES, times), ...(row === '' ? NO_ROW : formatted(ROW, row)) };
}

function decodeFound(reply: unknown): KeptRecord | null {
  if (reply === null) return null;
  const [times, row] = listOf(reply);
  return recordOf(times, row);
}

/** The record of a live session. */
export const GET = userScript<{ readonly handle: string }, KeptRecord | null>({
  parameters: { handle: string(({ handle }) => handle) },
  lua: `
local entry = find(handle)
return entry and isLive(entry) and { entry.text, rowOf(entry) or '' } or false
`,
  decode: decodeFound,
});

/** Labels a live session. */
export const LABEL = userScript<{ readonly handle: string; readonly label: string | null }, KeptRecord | null>({
  parameters: { handle: string(({ handle }) => handle), label: string(({ label }) => keptLabel(label)) },
  lua: `${ROW.parser}${ROW.formatter}
local entry = find(handle)
if not entry or not isLive(entry) then return false end
local row = parseRow(rowOf(entry) or '') or { ip = '', userAgent = '' }
row.label = label
local text = formatRow(row)
redis.call('HSET', rows, entry.handle, text)
keepUntil(rows, rowUntil(entry))
return { entry.text, text }
`,
  decode: decodeFound,
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
  },
  lua: `${ENDING}
local fromToken = hasToken
  and { startedAt = beganAt or at, lifetime = lifetime, tokensEndAt = tokensEndAt, endsAt = endsAt } or nil
local known = find(handle)
if not known and not fromToken then return { 'unknown', '' } end
if not known then retireSome(handle) end

local keptUntil = fromToken and tombstoneUntil(fromToken) or 0
if known and known.isTombstone then return { 'already', extendTombstone(known, keptUntil) } end
if known then
  keptUntil = math.max(keptUntil, tombstoneUntil(known))
  local endedBy = cutoffOf(known)
  if endedBy then return { 'already', endByCutoff(known, endedBy, keptUntil) } end
end
return { 'ended', writeTombstone(handle, revocationOf(known or fromToken, by, reason, keptUntil)) }
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
  lua: `${ENDING}
local missing = {}
for i = firstOfRest, #ARGV, 2 do
  local lost, known = parse(ARGV[i], ARGV[i + 1]), find(ARGV[i])
  if known and known.isTombstone then extendTombstone(known, lost.keptUntil)
  elseif lost.keptUntil >= past then
    lost.keptUntil = math.max(lost.keptUntil, known and tombstoneUntil(known) or 0)
    missing[#missing + 1] = lost.handle
    missing[#missing + 1] = writeTombstone(lost.handle, lost)
  end
end
return missing
`,
  decode: tombstonesOf,
});

function kept({ ending, until }: Tombstone): KeptTombstone {
  const origin = ending.origin === null ? null : keptText(ending.origin, ORIGIN_LIMIT);
  return { ending: { ...ending, ...keptWords(ending), origin }, until };
}
