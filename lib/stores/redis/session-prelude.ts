/**
 * What the scripts about the sessions of one user have in common. For Redis 6.2 and later, and Valkey.
 *
 * Everything of one user is in one slot, under the keys of {@link userKeys}, which every script here gets:
 *
 * - `sessions`: a hash. A field's name is a handle, and its value is the times of a session or a tombstone. The field `due` is
 *   when something in the hash, or of the rows, is next to be forgotten, or earlier; or INDEXED. The field `cutoff` is a copy of
 *   `cutoff`, so that a sighting reads one key less. The field `stale` says which of the user's tokens are stale, if any are.
 *   The hash may have it without any session.
 * - `rows`: a hash with the address, user agent and label of each session. Redis itself deletes it, a day after the last
 *   token of the user expired.
 * - `cutoff`: the user's latest cutoff. It outlives the hash.
 * - `clients`: `key.day` of each noted client, divided by spaces, the last noted first.
 * - `index` and `due`: sorted sets of handles, once the hash has held more than INDEX_FROM of them. From then on no script
 *   reads all sessions. `index` has the sessions that may be live, by `-lastSeenAt` and so in the order of lists. `due` has
 *   all handles, by when each is next to be looked at: see `dueOf`.
 *
 * What the values hold is defined in records.ts. The rules are those of core/policy.ts, core/record.ts and core/cutoff.ts.
 */

import { LAST_MOMENT, ROW_FOR, type SessionPolicy } from '../../core/policy.js';
import type { SessionUser } from '../../core/session.js';
import { CUTOFF, DIGITS_IN_LUA, GLOBAL_CUTOFF, INDEXED_MARK, MARK, STALE, TIMES, TOMBSTONE } from './records.js';
import {
  number,
  numberOrNull,
  script,
  string,
  type ParametersOf,
  type Script,
  type ScriptDefinition,
} from './script.js';

/** With more sessions and tombstones than this, a user's sessions are found through the index instead of by reading them all. */
export const INDEX_FROM = 16;
/** The most records that one script touches if a user has many. It takes about 2 ms of Redis's time. */
export const BATCH = 250;
/** What the field `due` holds once there is an index. So long that Redis finds fields by a table from then on, not one by one. */
export const INDEXED = 'indexed'.padEnd(65, '.');

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

/** In the order in which scripts get them. They have one hash tag, so they are in one slot. */
export function userKeys(prefix: string, user: SessionUser): string[] {
  return ['s', 'r', 'i', 'd', 'c', 'k'].map((part) => `${prefix}:{${user.key}}:${part}`);
}

/** What scripts read first, with the handle that they are about. */
export const OPENING = openingFor('handle');

function openingFor(handle: string): string {
  return `local sessions, rows, index, due, cutoffKey, clients = unpack(KEYS)
local keptText, dueText, cutoffText, staleText = unpack(redis.call('HMGET', sessions, ${handle}, 'due', 'cutoff', 'stale'))
if not dueText then cutoffText = redis.call('GET', cutoffKey) or cutoffText end
`;
}

/**
 * What is forgotten when. Whether a session is over is judged by the caller's clock (`at`). Nothing is forgotten until both
 * the caller's clock and Redis's agree (`past`).
 */
export const KEEPING = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local past = math.min(at, now)

-- Keys live until what they hold may be forgotten. Their time to live is never lowered. The others live as long as the first.
local function keepUntil(moment, key, ...)
  local ttl = math.max(moment - past, 1)
  if ttl <= redis.call('PTTL', key) then return end
  for _, each in ipairs({ key, ... }) do redis.call('PEXPIREAT', each, now + ttl) end
end
`;

/** Finds, judges and writes records. */
const PRELUDE = `${KEEPING}${DIGITS_IN_LUA}${TIMES.parser}${TIMES.formatter}${TOMBSTONE.parser}${CUTOFF.parser}${GLOBAL_CUTOFF.parser}${STALE.parser}
local isIndexed, nextDue = dueText == '${INDEXED}', tonumber(dueText or '')
local cutoff = parseCutoff(cutoffText or '')
local globalCutoff = parseGlobalCutoff(globalCutoffText)
local stale = parseStale(staleText or '')
if staleText and not (stale and stale.keptUntil >= past) then
  redis.call('HDEL', sessions, 'stale')
  stale, staleText = nil, nil
end

-- Redis has lost it alone, or evicted it: all is read, and it is made again.
if isIndexed and redis.call('EXISTS', due) == 0 then
  isIndexed, nextDue = false, 0
  redis.call('HSET', sessions, 'due', '0')
end

local function isHandle(field)
  return field ~= 'due' and field ~= 'cutoff' and field ~= 'stale'
end

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

-- When it expires and when it lapses, each nil if never.
local function endsOf(times)
  local latest = latestEnd(times)
  return latest and latest + clockTolerance, not times.lifetime and times.tokensEndAt + clockTolerance or nil
end

-- Whether a session is live, and if not, since when. inUseSince is nil unless the session is being used.
local function decide(record, inUseSince)
  local expiredAt, lapsedAt = endsOf(record)
  if expiredAt and at >= expiredAt then return 'expired', expiredAt end
  local idleAt = idleTimeout and record.lastSeenAt + idleTimeout
  if idleAt and (inUseSince or at) >= idleAt then return 'idle', idleAt end
  if lapsedAt and at >= lapsedAt then return 'lapsed', lapsedAt end
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

local function entryUntil(entry)
  return entry.isTombstone and entry.keptUntil or tombstoneUntil(entry)
end

local function isForgotten(entry)
  return entryUntil(entry) < past
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
  local isRestored, isBackdated = cutoff.isRestored, cutoff.isBackdated
  if isExcepted then isRestored, isBackdated = cutoff.isPriorRestored, cutoff.isPriorBackdated end
  local began, ends = secondOf(startedAt), secondOf(cutoffAt)
  if survivedCutoffAt and survivedCutoffAt < cutoffAt and not isRestored then return not isBackdated or began <= ends end
  return began < ends
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

-- When an entry is next to be looked at: when its row may go, and when it may be forgotten. With an index also when the
-- session may be over. 'past' is then as far behind 'at' as it is now.
local function dueOf(entry)
  if isIndexed and not entry.isTombstone then
    local overAt = earliest(endsOf(entry))
    if overAt and overAt > at then return overAt end
  end
  local hasRow = not entry.isTombstone and rowUntil(entry) >= past
  return (hasRow and rowUntil(entry) or entryUntil(entry)) + 1 + at - past
end

-- Scores, each with its handle.
local function addTo(set, ...)
  local added = redis.call('ZADD', set, ...)
  -- Redis deletes an empty set, with its time to live.
  if added > 0 and redis.call('ZCARD', set) == added then redis.call('PEXPIRE', set, redis.call('PTTL', sessions)) end
end

-- Of what has just been written: at most a batch.
local function noteDue(...)
  local moments, first = {}, nil
  for i, entry in ipairs({ ... }) do
    local moment = dueOf(entry)
    moments[2 * i - 1], moments[2 * i] = digits(moment), entry.handle
    first = earliest(first, moment)
  end
  if isIndexed then addTo(due, unpack(moments))
  elseif not nextDue or first < nextDue then
    nextDue = first
    redis.call('HSET', sessions, 'due', digits(first))
    if cutoffText then redis.call('HSET', sessions, 'cutoff', cutoffText) end
  end
end

local function keepSessionsUntil(moment)
  if isIndexed then keepUntil(moment, sessions, index, due) else keepUntil(moment, sessions) end
end

local function unlist(handle)
  if isIndexed then redis.call('ZREM', index, handle) end
end

local function drop(handle)
  redis.call('HDEL', sessions, handle)
  redis.call('HDEL', rows, handle)
  unlist(handle)
  if isIndexed then redis.call('ZREM', due, handle) end
end

-- What HGET has read.
local function found(handle, text)
  local entry = parse(handle, text)
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

local function storeTimes(record)
  local text = formatTimes(record, isIndexed and '${INDEXED_MARK}' or '${MARK}')
  redis.call('HSET', sessions, record.handle, text)
  return text
end

-- Of a live session. After those of a new one, indexIfMany() is due.
local function writeTimes(record)
  local text = storeTimes(record)
  if isIndexed then addTo(index, digits(-record.lastSeenAt), record.handle) end
  return text
end
`;

export interface UserScriptDefinition<In, Out> extends ScriptDefinition<Call & In, Out> {
  /**
   * Lua for the common cases, which runs before the functions of the prelude are defined: that costs more than these cases
   * do. It returns, or leaves the call to the rest.
   */
  readonly first?: string;
}

/** A script about one user's sessions. */
export function userScript<In, Out>(definition: UserScriptDefinition<In, Out>): Script<Call & In, Out> {
  const { first = '', parameters, lua } = definition;
  const opening = Object.hasOwn(parameters, 'handle') ? OPENING : openingFor(`''`);
  return script<Call & In, Out>({
    ...definition,
    parameters: { ...CALL, ...parameters },
    lua: [opening, first, PRELUDE, lua].join(''),
  });
}
