/**
 * What the scripts about the sessions of one user have in common. For Redis 6.2 and later, and Valkey.
 *
 * Everything of one user is in one slot, under five keys, which every script here gets:
 *
 * - `sessions`: a hash. A field's name is a handle, and its value is the times of a session or a tombstone.
 * - `rows`: a hash with the address, user agent and label of each session. Redis itself deletes it, a day after the last
 *   token of the user expired.
 * - `cutoff`: the user's latest cutoff.
 * - `index`: a sorted set of the handles of sessions that have not ended, by `-lastSeenAt` and so in the order of lists. It exists only
 *   once the hash has held more than INDEX_FROM fields. From then on every script maintains it.
 * - `clients`: `key.day` of each noted client, divided by spaces, the last noted first.
 *
 * What the values hold is defined in records.ts. The rules are those of core/policy.ts and core/record.ts.
 */

import { LAST_MOMENT, ROW_FOR, type SessionPolicy } from '../../core/policy.js';
import { CAUSES_IN_LUA, CUTOFF, DIGITS_IN_LUA, GLOBAL_CUTOFF, TIMES, TOMBSTONE } from './records.js';
import type { Tombstone } from '../store.js';
import {
  formatted,
  groupsOf,
  number,
  numberOrNull,
  script,
  string,
  type ParametersOf,
  type Script,
  type ScriptDefinition,
} from './script.js';

/** With more fields than this, a user's sessions are found through the index instead of by reading them all. */
export const INDEX_FROM = 256;
/** The most records that one script touches if a user has many. It takes about 2 ms of Redis's time. */
export const BATCH = 250;

/** What every script here gets of the call. */
export interface Call {
  /** Now, by the caller's clock. */
  readonly at: number;
  readonly policy: SessionPolicy;
  /** The global cutoff as far as the caller knows it (empty: none): it lies in another slot. */
  readonly globalCutoff: string;
  /** The store object's. */
  readonly origin: string;
}

const CALL: ParametersOf<Call> = {
  at: number(({ at }) => at),
  idleTimeout: numberOrNull(({ policy }) => policy.idleTimeout),
  clockTolerance: number(({ policy }) => policy.clockTolerance),
  tombstoneFor: number(({ policy }) => policy.tombstoneFor),
  globalCutoffText: string(({ globalCutoff }) => globalCutoff),
  origin: string(({ origin }) => origin),
};

/**
 * Finds, judges and writes records: what every script here begins with.
 *
 * Whether a session is over is judged by the caller's clock (`at`). Nothing is forgotten until both the caller's clock and
 * Redis's agree (`past`).
 */
const PRELUDE = `${DIGITS_IN_LUA}${TIMES.parser}${TIMES.formatter}${TOMBSTONE.parser}${CUTOFF.parser}${GLOBAL_CUTOFF.parser}
local sessions, rows, cutoffKey, index, clients = unpack(KEYS)
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local past = math.min(at, now)
local isIndexed = redis.call('EXISTS', index) == 1
local cutoff = parseCutoff(redis.call('GET', cutoffKey) or '')
local globalCutoff = parseGlobalCutoff(globalCutoffText)

local function parse(handle, text)
  local entry = text and (parseTimes(text) or parseTombstone(text))
  if not entry then return nil end
  entry.handle, entry.text, entry.isTombstone = handle, text, entry.cause ~= nil
  return entry
end

-- Of two moments, each of which may be nil.
local function earliest(a, b)
  return a and b and math.min(a, b) or a or b
end

-- By its lifetime or by session_expiry; nil without either.
local function latestEnd(times)
  return earliest(times.lifetime and times.startedAt + times.lifetime, times.endsAt)
end

local function expiresAtOf(times)
  if times.lifetime then return latestEnd(times) end
  return earliest(times.tokensEndAt, times.endsAt)
end

-- Whether a session is live, and if not, since when. inUseSince is nil unless the session is being used.
local function decide(record, inUseSince)
  local latest = latestEnd(record)
  if latest and at >= latest + clockTolerance then return 'expired', latest + clockTolerance end
  local idleAt = idleTimeout and record.lastSeenAt + idleTimeout
  if idleAt and (inUseSince or at) >= idleAt then return 'idle', idleAt end
  local lapsedAt = record.tokensEndAt + clockTolerance
  if not record.lifetime and at >= lapsedAt then return 'lapsed', lapsedAt end
  return 'live'
end

local function keptFor(duration, times)
  local byLifetime = times.lifetime and latestEnd(times) + clockTolerance or 0
  local byTokens = times.tokensEndAt + math.max(duration, clockTolerance)
  return math.min(math.max(byLifetime, byTokens), ${String(LAST_MOMENT)})
end

local function tombstoneUntil(times)
  return keptFor(tombstoneFor, times)
end

local function rowUntil(times)
  local duration, latest = math.min(${String(ROW_FOR)}, tombstoneFor), latestEnd(times)
  return earliest(keptFor(duration, times), latest and latest + clockTolerance + duration)
end

local function isForgotten(entry)
  return (entry.isTombstone and entry.keptUntil or tombstoneUntil(entry)) < past
end

local function secondOf(moment)
  return math.floor(moment / 1000)
end

-- survivedCutoffAt is nil for a session that is not on record.
local function endedByStandingCutoff(handle, startedAt, survivedCutoffAt)
  if not cutoff then return false end
  local isExcepted = handle == cutoff.except
  local cutoffAt = isExcepted and cutoff.priorCutoffAt or cutoff.at
  if cutoffAt == 0 then return false end
  local isRestored = isExcepted and cutoff.isPriorRestored or not isExcepted and cutoff.isRestored
  if survivedCutoffAt and survivedCutoffAt < cutoffAt and not isRestored then return true end
  return secondOf(startedAt) < secondOf(cutoffAt)
end

-- The cutoff that ends a session, or nil; of two the earlier.
local function endingCutoff(handle, startedAt, survivedCutoffAt)
  local isGlobal = globalCutoff and startedAt <= globalCutoff.at + clockTolerance
  if not endedByStandingCutoff(handle, startedAt, survivedCutoffAt) then return isGlobal and globalCutoff or nil end
  return isGlobal and globalCutoff.at < cutoff.at and globalCutoff or cutoff
end

local function cutoffOf(record)
  return endingCutoff(record.handle, record.startedAt, record.survivedCutoffAt)
end

local function isLive(entry)
  return not entry.isTombstone and not cutoffOf(entry) and decide(entry) == 'live'
end

-- A key lives until both clocks agree that what it holds may be forgotten. Its time to live is never lowered.
local function keepUntil(key, moment)
  local ttl = math.max(moment - past, 1)
  if ttl <= redis.call('PTTL', key) then return end
  redis.call('PEXPIRE', key, digits(ttl))
  if key == sessions and isIndexed then redis.call('PEXPIRE', index, digits(ttl)) end
end

local function unlist(handle)
  if isIndexed then redis.call('ZREM', index, handle) end
end

local function drop(handle)
  redis.call('HDEL', sessions, handle)
  redis.call('HDEL', rows, handle)
  unlist(handle)
end

local function find(handle)
  local entry = parse(handle, redis.call('HGET', sessions, handle))
  if entry and isForgotten(entry) then
    drop(handle)
    return nil
  end
  return entry
end

-- The row of a session; nil if it has none, or if it is over.
local function rowOf(entry)
  return not entry.isTombstone and rowUntil(entry) >= past and redis.call('HGET', rows, entry.handle) or nil
end

-- After the times of a new session, indexIfMany() is due.
local function writeTimes(record)
  local text = formatTimes(record)
  redis.call('HSET', sessions, record.handle, text)
  if isIndexed then redis.call('ZADD', index, digits(-record.lastSeenAt), record.handle) end
  return text
end
`;

/** Ends sessions, and reads all sessions of a user. Separate, because a function costs time even if it is not called. */
export const ENDING = `${CAUSES_IN_LUA}${TOMBSTONE.formatter}
-- Makes the index if the hash now has many fields. Prunes while it reads them. Only live sessions are put into it: there
-- may be more sessions that lapsed than the cap looks through.
local function indexIfMany()
  if isIndexed or redis.call('HLEN', sessions) <= ${String(INDEX_FROM)} then return end
  local records, flat = {}, redis.call('HGETALL', sessions)
  for i = 1, #flat, 2 do
    local entry = parse(flat[i], flat[i + 1])
    if not entry or isForgotten(entry) then drop(flat[i])
    elseif isLive(entry) then records[#records + 1] = entry end
  end
  if redis.call('HLEN', sessions) <= ${String(INDEX_FROM)} then return end
  -- A member without a session keeps the index in existence while no session is live.
  redis.call('ZADD', index, '+inf', '')
  for _, record in ipairs(records) do redis.call('ZADD', index, digits(-record.lastSeenAt), record.handle) end
  redis.call('PEXPIRE', index, redis.call('PTTL', sessions))
  isIndexed = true
end

local function writeTombstone(handle, tombstone)
  local text = formatTombstone(tombstone)
  redis.call('HSET', sessions, handle, text)
  redis.call('HDEL', rows, handle)
  unlist(handle)
  keepUntil(sessions, tombstone.keptUntil)
  indexIfMany()
  return text
end

local function endingByCutoff(record, endedBy, keptUntil)
  return { cause = CAUSES.revoked, at = endedBy.at, keptUntil = keptUntil, expiresAt = expiresAtOf(record),
    by = endedBy.by, reason = endedBy.reason, origin = endedBy.origin }
end

local function endByCutoff(record, endedBy, keptUntil)
  return writeTombstone(record.handle, endingByCutoff(record, endedBy, keptUntil))
end

-- An ending by the caller; by is empty if nobody is named.
local function revocationOf(times, by, reason, keptUntil)
  return { cause = CAUSES.revoked, at = at, keptUntil = keptUntil, expiresAt = expiresAtOf(times), by = by,
    reason = reason, origin = origin }
end

-- The ending of a session that has run out.
local function runOutOf(times, cause, since, keptUntil)
  return { cause = CAUSES[cause], at = since, keptUntil = keptUntil, expiresAt = expiresAtOf(times), by = '',
    reason = cause, origin = origin }
end

local function extendTombstone(tombstone, keptUntil)
  if keptUntil <= tombstone.keptUntil then return tombstone.text end
  tombstone.keptUntil = keptUntil
  return writeTombstone(tombstone.handle, tombstone)
end

-- Byte by byte: Lua compares strings by the server's locale.
local function isListedBefore(a, b)
  if a.lastSeenAt ~= b.lastSeenAt then return a.lastSeenAt > b.lastSeenAt end
  for i = 1, math.max(#a.handle, #b.handle) do
    local x, y = string.byte(a.handle, i) or 0, string.byte(b.handle, i) or 0
    if x ~= y then return x < y end
  end
  return false
end

-- The session ran out and nothing ended it: what people were shown of it goes before the times by which it is judged.
local function dropRowIfOver(record)
  if rowUntil(record) < past then redis.call('HDEL', rows, record.handle) end
end

-- Without an index: every live session in the order of lists. Prunes while it reads them.
local function allLive()
  local all, flat = {}, redis.call('HGETALL', sessions)
  for i = 1, #flat, 2 do
    local entry = parse(flat[i], flat[i + 1])
    if not entry or isForgotten(entry) then drop(flat[i])
    elseif isLive(entry) then all[#all + 1] = entry
    elseif not entry.isTombstone then dropRowIfOver(entry) end
  end
  table.sort(all, isListedBefore)
  return all
end

-- With an index: removes what is over from it, so that its length stays the number of live sessions.
local function retire(entry)
  if isForgotten(entry) then return drop(entry.handle) end
  if entry.isTombstone then return unlist(entry.handle) end
  local endedBy = cutoffOf(entry)
  if endedBy then return endByCutoff(entry, endedBy, tombstoneUntil(entry)) end
  local standing, since = decide(entry)
  if standing == 'expired' then
    return writeTombstone(entry.handle, runOutOf(entry, standing, since, tombstoneUntil(entry)))
  end
  -- A process may know of a later use of an idle session: only a sighting of the session ends it.
  if standing ~= 'live' then
    dropRowIfOver(entry)
    return unlist(entry.handle)
  end
end

-- With an index no script reads all sessions: a few at random are looked at whenever a session is added.
local function retireSome(added)
  if not isIndexed then return end
  local sample = redis.call('HRANDFIELD', sessions, 16, 'WITHVALUES')
  for i = 1, #sample, 2 do
    local entry = parse(sample[i], sample[i + 1])
    if entry and entry.handle ~= added then retire(entry) end
  end
end
`;

/** Handles and tombstones, as scripts return them. */
export function tombstonesOf(flat: unknown): readonly Tombstone[] {
  return groupsOf(flat, 2).map(([handle = '', tombstone]) => ({ handle, ...formatted(TOMBSTONE, tombstone) }));
}

/** A script about one user's sessions. */
export function userScript<In, Out>(definition: ScriptDefinition<Call & In, Out>): Script<Call & In, Out> {
  const { parameters, lua } = definition;
  return script<Call & In, Out>({ ...definition, parameters: { ...CALL, ...parameters }, lua: PRELUDE + lua });
}
