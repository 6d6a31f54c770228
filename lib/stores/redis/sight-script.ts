/** The script of a sighting: it judges the session, records it, and makes room under the cap. Atomic. */

import { expiresAt, LAST_MOMENT, tokenEndsAt } from '../../core/policy.js';
import { movedFrom } from '../../core/record.js';
import { IP_LIMIT, keptOrNull, USER_AGENT_LIMIT } from '../../core/session.js';
import { CLIENT_NOTED_FOR, CLIENTS_NOTED, type SightAnswer, type SightRequest, type Tombstone } from '../store.js';
import { ROW, TIMES, TOMBSTONE } from './records.js';
import { flag, formatted, listOf, number, numberOrNull, string } from './script.js';
import { BATCH, ENDING, tombstonesOf, userScript } from './session-prelude.js';

const DAY = 24 * 3600 * 1000;
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
  parameters: {
    handle: string(({ handle }) => handle),
    beganAt: numberOrNull(({ token }) => token.beganAt),
    lifetime: numberOrNull(({ token }) => token.lifetime),
    tokensEndAt: number(({ token }) => tokenEndsAt(token)),
    endsAt: numberOrNull(({ token }) => token.sessionEndsAt),
    ip: string(({ sighting }) => keptOrNull(sighting.ip, IP_LIMIT)),
    userAgent: string(({ sighting }) => keptOrNull(sighting.userAgent, USER_AGENT_LIMIT)),
    byProgram: flag(({ sighting }) => sighting.byProgram === true),
    maxSessions: numberOrNull(({ policy }) => (Number.isFinite(policy.maxSessions) ? policy.maxSessions : null)),
    isRefusing: flag(({ policy }) => policy.atSessionLimit === 'refuse'),
    isTracked: flag(({ track }) => track !== false),
    clientKey: string(({ clientKey }) => clientKey ?? null),
    inUseSince: number(({ knownUse, sighting }) => knownUse?.inUseSince ?? sighting.at),
    knownStartedAt: numberOrNull(({ knownUse }) => knownUse?.known?.startedAt ?? null),
    knownTokensEndAt: numberOrNull(({ knownUse }) => knownUse?.known?.tokensEndAt ?? null),
    knownEndsAt: numberOrNull(({ knownUse }) => knownUse?.known?.endsAt ?? null),
    knownSurvivedCutoffAt: numberOrNull(({ knownUse }) => knownUse?.known?.survivedCutoffAt ?? null),
  },
  lua: `
local kept = find(handle)
local wasEnded = kept and kept.isTombstone
local known, record, keptUntil, cutoffBefore, endedBy, before, beforeSince, standing, standingSince
local isKeptLonger = not kept
local rowBefore = kept and rowOf(kept) or ''

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
    record.lastSeenAt = math.max(known.lastSeenAt, at)
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
  standing, standingSince = decide(record)
  if before == 'expired' or before == 'idle' then standing = before end
  if standing == 'live' and not endedBy and not isTracked then
    return { 'live', formatTimes(record), '', '', {}, '' }
  end
end

-- The client on record is a person's: a program does not take its place.
local isKeptFromProgram = byProgram and string.find(rowBefore, '^\\n[^\\n]*\\n[^\\n]') ~= nil

-- The common case: nothing has changed but the time.
if before == 'live' and standing == 'live' and not endedBy and not isKeptLonger and clientKey == '' then
  local row = (byProgram and '1' or '') .. '\\n' .. ip .. '\\n' .. userAgent .. '\\n'
  if isKeptFromProgram or (ip ~= '' and userAgent ~= '' and string.sub(rowBefore, 1, #row) == row) then
    return { 'live', writeTimes(record), rowBefore, rowBefore, {}, '' }
  end
end
${ROW.parser}${ROW.formatter}

local function noteClient()
  local today, notes, isKnown = math.floor(at / ${DAY}), {}, ''
  local noted = redis.call('GET', clients) or ''
  for note in string.gmatch(noted, '%S+') do
    local key, day = string.match(note, '^(.*)%.(%d+)$')
    if day and today - tonumber(day) <= ${CLIENT_NOTED_FOR / DAY} then
      if key == clientKey then isKnown = '1'
      elseif #notes < ${CLIENTS_NOTED - 1} then notes[#notes + 1] = note end
    end
  end
  table.insert(notes, 1, clientKey .. '.' .. digits(today))
  local text = table.concat(notes, ' ')
  if text ~= noted then redis.call('SET', clients, text, 'PX', ${CLIENT_NOTED_FOR}) end
  return isKnown
end

local function updateRow()
  if isKeptFromProgram then return rowBefore end
  local row = parseRow(rowBefore) or { ip = '', userAgent = '', label = '' }
  if ip ~= '' then row.ip = ip end
  if userAgent ~= '' then row.userAgent = userAgent end
  row.byProgram = byProgram or (userAgent == '' and row.byProgram)
  local text = formatRow(row)
  if text ~= rowBefore then redis.call('HSET', rows, handle, text) end
  return text
end

-- Rows that are over, of other sessions of this user. Few have any: two at random are looked at with each refreshed token.
local function dropSomeRows()
  for _, other in ipairs(redis.call('HRANDFIELD', rows, 2)) do
    local entry = parse(other, redis.call('HGET', sessions, other))
    if other ~= handle and not (entry and rowOf(entry)) then redis.call('HDEL', rows, other) end
  end
end

local function live(ended)
  local isKnownClient = clientKey ~= '' and noteClient() or ''
  local row = updateRow()
  local text = writeTimes(record)
  -- The rows may be new although the session is not: Redis may have lost or evicted them alone.
  if isKeptLonger or rowBefore == '' then keepUntil(rows, rowUntil(record)) end
  if isKeptLonger then
    keepUntil(sessions, keptUntil)
    dropSomeRows()
  end
  return { 'live', text, rowBefore, row, ended, isKnownClient }
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
  tombstone = parse(handle, endByCutoff(known, cutoffBefore, tombstoneUntil(known)))
elseif before == 'expired' or before == 'idle' then
  tombstone = parse(handle, writeTombstone(handle, runOutOf(known, before, beforeSince, tombstoneUntil(known))))
end
if tombstone then
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
  return { 'ended', endByCutoff(record, endedBy, keptUntil) }
end
if standing == 'expired' and known then
  return { 'ended', writeTombstone(handle, runOutOf(record, standing, standingSince, keptUntil)) }
end
if standing ~= 'live' then return endedUnkept(runOutOf(record, 'expired', standingSince, keptUntil)) end

local ended = {}
local function endForRoom(oldest)
  local tombstone = revocationOf(oldest, '', 'session_limit', tombstoneUntil(oldest))
  ended[#ended + 1] = oldest.handle
  ended[#ended + 1] = writeTombstone(oldest.handle, tombstone)
end

local function makeRoom()
  local all = allLive()
  if #all < maxSessions then return 'room' end
  if isRefusing then return 'refused' end
  for i = #all, math.max(maxSessions, 1), -1 do endForRoom(all[i]) end
  return 'room'
end

-- Those seen longest ago come first. In an index longer than a batch, sessions further up that are over count as live
-- until a script meets them.
local function makeRoomByIndex()
  -- The member without a session stands for the new one.
  local excess = redis.call('ZCARD', index) - maxSessions
  if excess <= 0 then return 'room' end
  local oldest = {}
  for _, member in ipairs(redis.call('ZREVRANGE', index, 1, ${BATCH})) do
    local entry = parse(member, redis.call('HGET', sessions, member))
    if entry and isLive(entry) then oldest[#oldest + 1] = entry
    else
      if entry then retire(entry) else unlist(member) end
      excess = excess - 1
    end
  end
  if excess > 0 and isRefusing then return 'refused' end
  for i = 1, math.min(excess, #oldest) do endForRoom(oldest[i]) end
  return excess > #oldest and 'again' or 'room'
end

if kept then unlist(handle) end
retireSome(handle)
if maxSessions and before ~= 'live' then
  local outcome = isIndexed and makeRoomByIndex() or makeRoom()
  if outcome ~= 'room' then return { outcome, '', '', '', ended, '' } end
end
local answer = live(ended)
indexIfMany()
return answer
`,
  /** Reply: state; the times or the tombstone; the row before and now, if any; what the cap ended; '1' if the client is known. */
  decode(reply) {
    const [state, text, before, row, flat = [], isKnownClient] = listOf(reply);
    const ended = tombstonesOf(flat);
    if (state === 'again' || state === 'unknown') return { answer: state, ended };
    if (state === 'refused') return { answer: { state }, ended };
    if (state === 'ended') return { answer: { state, ...formatted(TOMBSTONE, text) }, ended };
    const times = formatted(TIMES, text);
    const { startedAt, endsAt, survivedCutoffAt } = times;
    const answer = {
      state: 'live',
      startedAt,
      endsAt,
      expiresAt: expiresAt(times),
      created: before === '' && row !== '',
      knownClient: isKnownClient === '1',
      moved: before === '' ? null : movedFrom(formatted(ROW, before), formatted(ROW, row)),
      survivedCutoffAt,
    } as const;
    return { answer, ended };
  },
});
