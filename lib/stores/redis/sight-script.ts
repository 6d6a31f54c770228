/** The script of a sighting: it judges the session, records it, and makes room under the cap. Atomic. */

import { LAST_MOMENT, tokenEndsAt } from '../../core/policy.js';
import { movedFrom, seenRow } from '../../core/record.js';
import type { SightAnswer, SightRequest, Tombstone } from '../store.js';
import { MARK, ROW, STALE, TOMBSTONE } from './records.js';
import { flag, formatted, listOf, number, numberOrNull, string, stringOf } from './script.js';
import { ENDING, tombstonesOf } from './session-ending.js';
import { BATCH, userScript } from './session-prelude.js';
import { READING } from './session-reading.js';
import { issuedAt, liveAnswer, NOTE_CLIENT, PERSONS_ROW } from './common-sighting.js';

/** For this long after Redis was started, no session that was last seen before the start is ended as idle. In milliseconds. */
const TOLD_WITHIN = 10_000;

interface Sighted {
  readonly answer: SightAnswer | 'again' | 'unknown';
  readonly ended: readonly Tombstone[];
}

/**
 * Records a sighting. Ends the sessions for which the cap has no place. If these are more than one script may end, the
 * answer is 'again': the sighting was not recorded, and the caller repeats the call. The answer is 'unknown' if the session
 * is idle by a record that may be old.
 */
export const SIGHT = userScript<SightRequest, Sighted>({
  repliesInBytes: true,
  parameters: {
    handle: string(({ handle }) => handle),
    beganAt: numberOrNull(({ token }) => token.beganAt),
    lifetime: numberOrNull(({ token }) => token.lifetime),
    tokensEndAt: number(({ token }) => tokenEndsAt(token)),
    endsAt: numberOrNull(({ token }) => token.sessionEndsAt),
    issuedAt: number(issuedAt),
    ip: string(({ sighting }) => seenRow(sighting).ip),
    userAgent: string(({ sighting }) => seenRow(sighting).userAgent),
    app: string(({ sighting }) => seenRow(sighting).app),
    actor: string(({ sighting }) => seenRow(sighting).actor),
    byProgram: flag(({ sighting }) => sighting.byProgram === true),
    isTracked: flag(({ track }) => track !== false),
    usedAt: numberOrNull(({ usedAt }) => usedAt ?? null),
    clientKey: string(({ clientKey }) => clientKey ?? null),
    maxSessions: number(({ policy }) => Math.min(policy.maxSessions, LAST_MOMENT)),
    isRefusing: flag(({ policy }) => policy.atSessionLimit === 'refuse'),
    inUseSince: number(({ knownUse, sighting }) => knownUse?.inUseSince ?? sighting.at),
    knownStartedAt: numberOrNull(({ knownUse }) => knownUse?.known?.startedAt ?? null),
    knownTokensEndAt: numberOrNull(({ knownUse }) => knownUse?.known?.tokensEndAt ?? null),
    knownEndsAt: numberOrNull(({ knownUse }) => knownUse?.known?.endsAt ?? null),
    knownSurvivedCutoffAt: numberOrNull(({ knownUse }) => knownUse?.known?.survivedCutoffAt ?? null),
  },
  lua: `
local kept = found(handle, keptText)
local wasEnded = kept and kept.isTombstone
local known, record, keptUntil, cutoffBefore, endedBy, before, beforeSince, standing, standingSince
local isKeptLonger = not kept
local rowBefore = kept and rowOf(kept) or ''

if stale and not wasEnded and secondOf(issuedAt) <= secondOf(stale.at) then return { 'stale', staleText } end

if not wasEnded then
  local cutoffAt = cutoff and cutoff.at or 0
  known = kept
  local keptTokensEndAt = kept and kept.tokensEndAt
  -- What Redis has kept, and what the caller knows: Redis may have lost data.
  if knownStartedAt then
    known = kept or { handle = handle, startedAt = knownStartedAt, lastSeenAt = inUseSince, lifetime = lifetime,
      tokensEndAt = knownTokensEndAt, survivedCutoffAt = knownSurvivedCutoffAt }
    known.startedAt = math.min(known.startedAt, knownStartedAt)
    known.tokensEndAt = math.max(known.tokensEndAt, knownTokensEndAt)
    known.endsAt = earliest(known.endsAt, knownEndsAt)
    known.survivedCutoffAt = math.max(known.survivedCutoffAt, knownSurvivedCutoffAt)
    if isForgotten(known) then known = nil end
  end
  -- A session that begins with its first sighting begins after the cutoff that it meets.
  record = { handle = handle, startedAt = beganAt or math.max(at, cutoff and cutoffAt or at), lastSeenAt = at,
    lifetime = lifetime, tokensEndAt = tokensEndAt, endsAt = endsAt, survivedCutoffAt = cutoffAt }
  keptUntil = tombstoneUntil(record)
  if known then
    record.startedAt = math.min(known.startedAt, beganAt or known.startedAt)
    record.lastSeenAt = math.max(known.lastSeenAt, usedAt or at)
    record.tokensEndAt = math.max(known.tokensEndAt, tokensEndAt)
    record.endsAt = earliest(known.endsAt, endsAt)
    record.survivedCutoffAt = math.max(cutoffAt, known.survivedCutoffAt)
    keptUntil = math.max(tombstoneUntil(record), tombstoneUntil(known))
    isKeptLonger = not kept or record.tokensEndAt > keptTokensEndAt or lifetime ~= kept.lifetime
  end
  -- First by what is known without this token, then by what the token shows.
  before = 'new'
  if known then
    cutoffBefore = cutoffOf(known)
    before, beforeSince = decide(known, inUseSince)
  end
  endedBy = cutoffBefore or endingCutoff(handle, record.startedAt, known and known.survivedCutoffAt)
  -- By then it is known not to be idle, also if this sighting does not count as use.
  standing, standingSince = decide(record, inUseSince)
  if before == 'expired' or before == 'idle' then standing = before end
  if standing == 'live' and not endedBy and not isTracked then
    if known then record.lastSeenAt = known.lastSeenAt end
    return { 'live', formatTimes(record, '${MARK}'), '', '', {}, '', staleText or false }
  end
end
${NOTE_CLIENT}${ROW.parser}${ROW.formatter}
-- isFirstNoted: see hasNewClient in core/record.ts.
local function updateRow(isFirstNoted)
  if byProgram and string.find(rowBefore, '${PERSONS_ROW}') then return rowBefore end
  local row = parseRow(rowBefore) or { ip = '', userAgent = '', label = '' }
  row.app, row.actor = app, actor
  if ip ~= '' then row.ip = ip end
  if rowBefore == '' then row.hasNewClient = isFirstNoted
  elseif userAgent ~= '' and userAgent ~= row.userAgent then
    row.hasNewClient = isFirstNoted or row.hasNewClient and (not row.byProgram or byProgram)
  end
  if userAgent ~= '' then row.userAgent = userAgent end
  row.byProgram = byProgram or (userAgent == '' and row.byProgram)
  local text = formatRow(row)
  if text ~= rowBefore then redis.call('HSET', rows, handle, text) end
  return text
end
${READING}
-- A request that does not count as use says nothing of the client, unless it is the first.
local keepsRow = usedAt and (rowBefore ~= '' or kept and before == 'live')
local function live(ended)
  local isKnownClient = (clientKey == '' or keepsRow) and '' or noteClient()
  local isFirstNoted = clientKey ~= '' and isKnownClient == '' and (rowBefore ~= '' or not known)
  local row = keepsRow and rowBefore or updateRow(isFirstNoted)
  local text = writeTimes(record)
  -- The rows may be new although the session is not: Redis may have lost or evicted them alone.
  if isKeptLonger or rowBefore == '' then keepUntil(rowUntil(record), rows) end
  if isKeptLonger then keepSessionsUntil(keptUntil) end
  noteDue(record)
  forgetDue()
  return { 'live', text, rowBefore, row, ended, isKnownClient, staleText or false }
end

-- The session was live and still is.
if kept and before == 'live' and standing == 'live' and not endedBy then return live({}) end

local function infoOf(section, field)
  local info = redis.pcall('INFO', section)
  return type(info) == 'string' and tonumber(string.match(info, field .. ':(%d+)')) or nil
end

-- Whether Redis was started from a snapshot after the session was last seen on record. Processes that know of a later use
-- then get the time to tell it. With an append-only file, no more than two seconds are lost, and this is not needed.
local function mayHaveLostUses()
  local uptime = infoOf('server', 'uptime_in_seconds')
  -- In whole seconds.
  local startedBy = uptime and now - uptime * 1000 + 1000
  if not uptime or uptime >= ${TOLD_WITHIN / 1000} or kept.lastSeenAt > startedBy then return false end
  -- Redis 6.2 does not tell how many keys it has loaded.
  return infoOf('persistence', 'aof_enabled') == 0 and infoOf('persistence', 'rdb_last_load_keys_loaded') ~= 0
end

if kept and before == 'idle' and not cutoffBefore and mayHaveLostUses() then return { 'unknown' } end

${ENDING}
local tombstone = wasEnded and kept
-- A session that was over before this sighting gets the tombstone that it would have got when it was due.
if cutoffBefore then
  tombstone = endingByCutoff(known, cutoffBefore, tombstoneUntil(known))
elseif before == 'expired' or before == 'idle' then
  tombstone = runOutOf(known, before, beforeSince, tombstoneUntil(known))
end
if tombstone then
  if not wasEnded then writeTombstone(tombstone) end
  local text, needed = tombstone.text, tombstoneUntil({ tokensEndAt = tokensEndAt })
  if needed > tombstone.keptUntil then
    text = extendTombstone(tombstone, math.min(needed + tombstoneFor, ${LAST_MOMENT}))
  end
  -- Only this caller knew of it: others may have been told that it is live.
  return { 'ended', text, '', '', kept and {} or { handle, text }, '' }
end
local function endedUnkept(ending)
  ending.origin = ''
  return { 'ended', formatTombstone(ending) }
end
if endedBy then
  -- It may be a new login, and clocks differ.
  if not known and endedBy == cutoff and record.startedAt >= cutoff.at - clockTolerance then
    return endedUnkept(endingByCutoff(record, endedBy, keptUntil))
  end
  -- Otherwise kept even if it was not on record: a token refreshed later would not show when it began.
  return { 'ended', writeTombstone(endingByCutoff(record, endedBy, keptUntil)) }
end
if standing == 'expired' and known then
  return { 'ended', writeTombstone(runOutOf(record, standing, standingSince, keptUntil)) }
end
if standing ~= 'live' then return endedUnkept(runOutOf(record, 'expired', standingSince, keptUntil)) end

local ended = {}
-- Beginning with the one seen longest ago.
local function endForRoom(oldest)
  local tombstones = {}
  for i, session in ipairs(oldest) do
    tombstones[i] = revocationOf(session, '', 'session_limit', tombstoneUntil(session))
  end
  writeTombstones(tombstones)
  for _, tombstone in ipairs(tombstones) do
    ended[#ended + 1] = tombstone.handle
    ended[#ended + 1] = tombstone.text
  end
end

-- Byte by byte: Lua compares strings by the server's locale.
local function isListedAfter(a, b)
  if a.lastSeenAt ~= b.lastSeenAt then return a.lastSeenAt < b.lastSeenAt end
  for i = 1, math.max(#a.handle, #b.handle) do
    local x, y = string.byte(a.handle, i) or 0, string.byte(b.handle, i) or 0
    if x ~= y then return x > y end
  end
  return false
end

local function makeRoom()
  if count() < maxSessions then return 'room' end
  local _, all = readAll()
  if #all < maxSessions then return 'room' end
  if isRefusing then return 'refused' end
  table.sort(all, isListedAfter)
  endForRoom({ unpack(all, 1, #all + 1 - math.max(maxSessions, 1)) })
  return 'room'
end

local function liveOf(members)
  local texts, found = redis.call('HMGET', sessions, unpack(members)), {}
  for i, member in ipairs(members) do
    local entry = parse(member, texts[i])
    if entry and isLive(entry) then found[#found + 1] = entry else unlist(member) end
  end
  return found
end

-- Those seen longest ago come first. Among them are those that are idle, and those that a cutoff ended whose tombstones are
-- not written yet.
local function makeRoomByIndex()
  if not readDue() then return 'again' end
  local excess = redis.call('ZCARD', index) - maxSessions + 1
  if excess <= 0 then return 'room' end
  local members = redis.call('ZREVRANGE', index, 0, math.min(excess, ${BATCH}) - 1)
  local oldest = liveOf(members)
  if #oldest < #members then return 'again' end
  if isRefusing then return 'refused' end
  endForRoom(oldest)
  return excess > #oldest and 'again' or 'room'
end

if kept then unlist(handle) end
if before ~= 'live' then
  local outcome = isIndexed and makeRoomByIndex() or makeRoom()
  if outcome ~= 'room' then return { outcome, '', '', '', ended, '' } end
end
local answer = live(ended)
indexIfMany()
return answer
`,
  /**
   * Reply: state; the times, the tombstone or which tokens are stale. Of a live session also the row before and now, if any; what
   * the cap ended; '1' if the client is known; which tokens are stale, if any are.
   */
  decode(reply) {
    const [state, kept, before = '', row = '', flat = [], isKnownClient = '', stale = null] = listOf(reply);
    const ended = tombstonesOf(flat);
    switch (stringOf(state)) {
      case 'again':
        return { answer: 'again', ended };
      case 'unknown':
        return { answer: 'unknown', ended };
      case 'refused':
        return { answer: { state: 'refused' }, ended };
      case 'stale':
        return { answer: { state: 'stale', staleTokens: formatted(STALE, kept) }, ended };
      case 'ended':
        return { answer: { state: 'ended', ...formatted(TOMBSTONE, kept) }, ended };
    }
    const wasThere = stringOf(before) !== '';
    const answer = {
      ...liveAnswer(kept, stale),
      created: !wasThere && stringOf(row) !== '',
      knownClient: stringOf(isKnownClient) === '1',
      moved: wasThere ? movedFrom(formatted(ROW, before), formatted(ROW, row)) : null,
    };
    return { answer, ended };
  },
});
