/** Lua that writes tombstones, in addition to the prelude, and what scripts return of them. */

import { ERASED } from '../../core/erased.js';
import type { Tombstone } from '../store.js';
import { CAUSES_IN_LUA, TOMBSTONE } from './records.js';
import { groupsOf, formatted } from './script.js';

/** Ends sessions. Needs READING. */
export const ENDING = `${CAUSES_IN_LUA}${TOMBSTONE.formatter}
-- Of at most a batch. Each tombstone has its handle, and gets its text.
local function writeTombstones(tombstones)
  if #tombstones == 0 then return end
  local handles, fields, latest = {}, {}, tombstones[1]
  for i, tombstone in ipairs(tombstones) do
    tombstone.isTombstone, tombstone.text = true, formatTombstone(tombstone)
    handles[i], fields[2 * i - 1], fields[2 * i] = tombstone.handle, tombstone.handle, tombstone.text
    if tombstone.keptUntil > latest.keptUntil then latest = tombstone end
  end
  redis.call('HSET', sessions, unpack(fields))
  redis.call('HDEL', rows, unpack(handles))
  if isIndexed then redis.call('ZREM', index, unpack(handles)) end
  noteDue(unpack(tombstones))
  keepSessionsUntil(latest.keptUntil)
  indexIfMany()
end

local function writeTombstone(tombstone)
  writeTombstones({ tombstone })
  return tombstone.text
end

local function endingByCutoff(record, endedBy, keptUntil)
  return { handle = record.handle, cause = CAUSES.revoked, at = endedBy.at, keptUntil = keptUntil,
    expiresAt = expiresAtOf(record), by = endedBy.by, reason = endedBy.reason, origin = endedBy.origin }
end

-- An ending by the caller; by is empty if nobody is named.
local function revocationOf(record, by, reason, keptUntil)
  return { handle = record.handle, cause = CAUSES.revoked, at = at, keptUntil = keptUntil,
    expiresAt = expiresAtOf(record), by = by, reason = reason, origin = origin }
end

-- The ending of a session that has run out.
local function runOutOf(record, cause, since, keptUntil)
  return { handle = record.handle, cause = CAUSES[cause], at = since, keptUntil = keptUntil,
    expiresAt = expiresAtOf(record), by = '', reason = cause, origin = origin }
end

-- What was erased stays so, also if a process that does not know of it writes an ending back.
local function withoutWords(tombstone)
  tombstone.by = ''
  if tombstone.cause == CAUSES.revoked then tombstone.reason = '${ERASED}' end
  return tombstone
end

local function asErased(tombstone)
  return cutoff and tombstone.at <= cutoff.erasedAt and withoutWords(tombstone) or tombstone
end

local function extendTombstone(tombstone, keptUntil)
  if keptUntil <= tombstone.keptUntil then return tombstone.text end
  tombstone.keptUntil = keptUntil
  return writeTombstone(tombstone)
end
`;

/** Handles and tombstones, as scripts return them. */
export function tombstonesOf(flat: unknown): readonly Tombstone[] {
  return groupsOf(flat, 2).map(([handle = '', tombstone]) => ({ handle, ...formatted(TOMBSTONE, tombstone) }));
}
