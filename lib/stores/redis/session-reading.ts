/** Lua that reads the sessions of a user, in addition to the prelude. */

import { BATCH, INDEX_FROM, INDEXED } from './session-prelude.js';

/** Reads what is due, or all sessions of a user, and forgets what is over. Separate, because a function costs time even if it is not called. */
export const READING = `
-- What people were shown of a session goes before the times by which it is judged.
local function forgetRow(entry)
  if not entry.isTombstone and rowUntil(entry) < past then redis.call('HDEL', rows, entry.handle) end
end

-- Without an index. Returns all entries, and those that are live.
local function readAll()
  local all, live, flat = {}, {}, redis.call('HGETALL', sessions)
  nextDue = nil
  for i = 1, #flat, 2 do
    local entry = parse(flat[i], flat[i + 1])
    if isHandle(flat[i]) and (not entry or isForgotten(entry)) then drop(flat[i])
    elseif entry then
      all[#all + 1] = entry
      forgetRow(entry)
      if isLive(entry) then live[#live + 1] = entry end
    end
  end
  for _, entry in ipairs(all) do
    local moment = dueOf(entry)
    if not nextDue or moment < nextDue then nextDue = moment end
  end
  -- Redis refuses a script when its memory is full only until the script has written something. So nothing is deleted before
  -- something is set, unless it has to be forgotten.
  if nextDue then redis.call('HSET', sessions, 'due', digits(nextDue)) else redis.call('HDEL', sessions, 'due') end
  return all, live
end

-- With an index: looks at what is due. Afterwards the index has the sessions that are live, and those that are idle.
-- Returns false if more than a batch was due.
local function readDue()
  local handles = redis.call('ZRANGEBYSCORE', due, '-inf', digits(at), 'LIMIT', 0, ${BATCH})
  if #handles == 0 then return true end
  local texts = redis.call('HMGET', sessions, unpack(handles))
  for i, handle in ipairs(handles) do
    local entry = found(handle, texts[i])
    if not entry then drop(handle)
    else
      if not isLive(entry) then unlist(handle) end
      forgetRow(entry)
      noteDue(entry)
    end
  end
  return #handles < ${BATCH}
end

-- How many handles the hash has.
local function count()
  if not isIndexed and not nextDue then return 0 end
  return redis.call('HLEN', sessions) - (cutoffText and 2 or 1) - (staleText and 1 or 0)
end

-- Makes the index if there now are many.
local function indexIfMany()
  if isIndexed or count() <= ${INDEX_FROM} then return end
  local all, live = readAll()
  if #all <= ${INDEX_FROM} then return end
  isIndexed = true
  redis.call('HSET', sessions, 'due', '${INDEXED}')
  for _, entry in ipairs(all) do
    noteDue(entry)
    if not entry.isTombstone then storeTimes(entry) end
  end
  for _, record in ipairs(live) do writeTimes(record) end
  local ttl = redis.call('PTTL', sessions)
  redis.call('PEXPIRE', index, ttl)
  redis.call('PEXPIRE', due, ttl)
end

local function forgetDue()
  if isIndexed then readDue() elseif nextDue and at >= nextDue then readAll() end
end
`;
