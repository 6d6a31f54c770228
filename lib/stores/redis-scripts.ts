/**
 * The Lua that runs inside Redis, and the text in which it keeps things. Redis 6.2 and later, Valkey.
 *
 * Everything of one user lies in one slot, under three keys, which every user script is given:
 *
 * - `sessions`: a hash; a field per handle, its value either
 *   a record, `l` started, seen, lifetime, tokensEnd, survivedCutoffAt, hasIssuedAt, ip, user agent, label, or
 *   a tombstone, `t` cause, at, until, expires, by, reason;
 * - `cutoff`: a text, at, restored, priorCutoffAt, except, by, reason;
 * - `index`: a sorted set of the handles that have a record, by -seen and so in the order of lists. It exists only once
 *   the hash has held more than INDEX_FROM fields, and from then on every script maintains it.
 *
 * The parts are divided by line feeds, which kept texts cannot hold; nothing stands for null; moments are decimal; of user
 * agents {@link packed} tells.
 */

import { createHash } from 'node:crypto';

import { CUTOFF_FOR, LAST_MOMENT, type Cutoff, type GlobalCutoff } from '../core/policy.js';
import type { Ending, SessionRecord } from '../core/session.js';
import { CLIENT_NOTED_FOR, CLIENTS_NOTED, type Tombstone } from './store.js';

export interface Script {
  readonly lua: string;
  readonly sha: string;
}

const script = (...parts: readonly string[]): Script => {
  const lua = parts.join('\n');
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
};

/** Fields from which a user's sessions are found through the index instead of by reading them all. */
export const INDEX_FROM = 256;
/** Records that one script touches at most where a user has many: about 2 ms of Redis's time. */
export const BATCH = 250;

const DAY = 24 * 3600 * 1000;

/** A Lua pattern of the global cutoff: when, by whom, why. */
const GLOBAL_CUTOFF_PATTERN = '^(%d+)\\n[^\\n]*\\n([^\\n]*)\\n([^\\n]*)$';

/** A Lua pattern of this many parts. */
const pattern = (parts: number): string => Array<string>(parts).fill('([^\\n]*)').join('\\n') + '$';

/**
 * What every user script begins with.
 * KEYS: sessions, cutoff, index.
 * ARGV: the caller's now, idle timeout (empty: none), clock tolerance, tombstoneFor, the global cutoff as far as the
 *      caller knows it (empty: none; it lies in another slot); each script's own from 6 on.
 *
 * Whether a session is over is judged by the caller's clock (`at`). Nothing is forgotten before the caller's clock and
 * Redis's both say so (`past`). The judgements are those of core/policy.ts.
 */
const PRELUDE = `
local sessions, cutoff_key, index = KEYS[1], KEYS[2], KEYS[3]
local at, idle = tonumber(ARGV[1]), tonumber(ARGV[2])
local tolerance, tombstone_for = tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local past = math.min(at, now)
local indexed = redis.call('EXISTS', index) == 1

-- All 16 digits: Lua's own conversion keeps 14.
local function digits(number)
  return number and string.format('%.0f', number) or ''
end

local function joined(...)
  return table.concat({...}, '\\n')
end

local function parsed(handle, text)
  if not text then return nil end
  if string.sub(text, 1, 1) == 't' then
    local cause, ended, till, ends, by, reason = string.match(text, '^t${pattern(6)}')
    if not cause then return nil end
    return { handle = handle, text = text, buried = true, cause = cause, ended = ended, till = tonumber(till),
      ends = ends, by = by, reason = reason }
  end
  local started, seen, life, ends, under, hasIssuedAt, ip, agent, label =
    string.match(text, '^l${pattern(9)}')
  if not started then return nil end
  return { handle = handle, text = text, started = tonumber(started), seen = tonumber(seen), life = tonumber(life),
    ends = tonumber(ends), under = tonumber(under), hasIssuedAt = hasIssuedAt == '1', ip = ip, agent = agent, label = label }
end

local function issued(r)
  if r.dated then return r.started end
end

local function expires(r)
  return r.life and r.started + r.life or r.ends
end

local function decided(r)
  if r.life and at >= r.started + r.life + tolerance then return 'expired' end
  if idle and at >= r.seen + idle then return 'idle' end
  if not r.life and at >= r.ends + tolerance then return 'lapsed' end
  return 'live'
end

local function tombstone_until(r)
  local by_life = r.life and r.started + r.life + tolerance or 0
  return math.min(math.max(by_life, r.ends + math.max(tombstone_for, tolerance)), ${String(LAST_MOMENT)})
end

local function forgotten(e)
  return (e.buried and e.till or tombstone_until(e)) < past
end

local function standing_cutoff()
  local made, restored, priorCutoffAt, except, by, reason = string.match(redis.call('GET', cutoff_key) or '', '^${pattern(6)}')
  if not made then return nil end
  return { at = tonumber(made), restored = restored == 'r', priorCutoffAt = tonumber(priorCutoffAt), except = except,
    by = by, reason = reason }
end
local cutoff = standing_cutoff()

local globalCutoff
if ARGV[5] ~= '' then
  local made, by, reason = string.match(ARGV[5], '${GLOBAL_CUTOFF_PATTERN}')
  globalCutoff = { at = tonumber(made), by = by, reason = reason }
end

-- 'under' is nil for a session that is not on record. The excepted session is still subject to what stood before the
-- cutoff that spares it. After a loss of data a record does not say whether it is older than the cutoff that was put
-- back: its 'iat' then does.
local function cut_off(handle, issued_at, under)
  if not cutoff then return false end
  local limit = handle == cutoff.except and cutoff.priorCutoffAt or cutoff.at
  if under and under < limit then
    if not cutoff.restored or handle == cutoff.except then return true end
    return not issued_at or math.floor(issued_at / 1000) <= math.floor(limit / 1000)
  end
  if not issued_at then return not under and limit > 0 end
  return math.floor(issued_at / 1000) < math.floor(limit / 1000)
end

-- The cutoff that ends it, nil where none does.
local function cut_by(handle, issued_at, under)
  if globalCutoff and (not issued_at or issued_at <= globalCutoff.at + tolerance) then return globalCutoff end
  return cut_off(handle, issued_at, under) and cutoff or nil
end

local function record_cut_by(r)
  return cut_by(r.handle, issued(r), r.under)
end

local function live(e)
  return not e.buried and not record_cut_by(e) and decided(e) == 'live'
end

-- The keys live until what they hold may be forgotten by both clocks; their time is only ever raised.
local function outlive(till)
  local ttl = math.max(till - past, 1)
  if ttl > redis.call('PTTL', sessions) then
    redis.call('PEXPIRE', sessions, digits(ttl))
    if indexed then redis.call('PEXPIRE', index, digits(ttl)) end
  end
end

local function unlist(handle)
  if indexed then redis.call('ZREM', index, handle) end
end

local function drop(handle)
  redis.call('HDEL', sessions, handle)
  unlist(handle)
end

local function found(handle)
  local e = parsed(handle, redis.call('HGET', sessions, handle))
  if e and forgotten(e) then
    drop(handle)
    return nil
  end
  return e
end

-- Where the hash has come to hold many fields. Prunes in passing.
local function index_if_many()
  if indexed or redis.call('HLEN', sessions) <= ${String(INDEX_FROM)} then return end
  local records, flat = {}, redis.call('HGETALL', sessions)
  for i = 1, #flat, 2 do
    local e = parsed(flat[i], flat[i + 1])
    if not e or forgotten(e) then drop(flat[i])
    elseif not e.buried then records[#records + 1] = e end
  end
  if redis.call('HLEN', sessions) <= ${String(INDEX_FROM)} then return end
  -- A member that no session has keeps the index in being while no session is live.
  redis.call('ZADD', index, '+inf', '')
  for _, r in ipairs(records) do redis.call('ZADD', index, digits(-r.seen), r.handle) end
  redis.call('PEXPIRE', index, redis.call('PTTL', sessions))
  indexed = true
end

local function tombstone(cause, ended, till, ends, by, reason)
  return 't' .. joined(cause, ended, digits(till), ends, by, reason)
end

local function bury(handle, text, till)
  redis.call('HSET', sessions, handle, text)
  unlist(handle)
  outlive(till)
  index_if_many()
  return text
end

local function bury_cut(r, cut, till)
  return bury(r.handle, tombstone('r', digits(cut.at), till, digits(expires(r)), cut.by, cut.reason), till)
end

local function bury_over(r, cause, till)
  local text = tombstone(string.sub(cause, 1, 1), digits(at), till, digits(expires(r)), '', cause)
  return bury(r.handle, text, till)
end

local function prolong(e, till)
  if till <= e.till then return e.text end
  return bury(e.handle, tombstone(e.cause, e.ended, till, e.ends, e.by, e.reason), till)
end

-- Byte by byte: Lua compares texts by the server's locale.
local function listed_before(a, b)
  if a.seen ~= b.seen then return a.seen > b.seen end
  for i = 1, math.max(#a.handle, #b.handle) do
    local x, y = string.byte(a.handle, i) or 0, string.byte(b.handle, i) or 0
    if x ~= y then return x < y end
  end
  return false
end

-- Where there is no index: every live session in the order of lists. Prunes in passing.
local function all_live()
  local all, flat = {}, redis.call('HGETALL', sessions)
  for i = 1, #flat, 2 do
    local e = parsed(flat[i], flat[i + 1])
    if not e or forgotten(e) then drop(flat[i])
    elseif live(e) then all[#all + 1] = e end
  end
  table.sort(all, listed_before)
  return all
end

-- Where there is an index: takes what is over off it, so that its length stays the number of live sessions.
local function retire(e)
  if forgotten(e) then return drop(e.handle) end
  if e.buried then return unlist(e.handle) end
  local cut = record_cut_by(e)
  if cut then return bury_cut(e, cut, tombstone_until(e)) end
  local standing = decided(e)
  if standing == 'lapsed' then return unlist(e.handle) end
  if standing ~= 'live' then bury_over(e, standing, tombstone_until(e)) end
end

-- Where there is an index nothing reads them all: a few at random, whenever a session is added.
local function retire_some(added)
  if not indexed then return end
  local sample = redis.call('HRANDFIELD', sessions, 16, 'WITHVALUES')
  for i = 1, #sample, 2 do
    local e = parsed(sample[i], sample[i + 1])
    if e and e.handle ~= added then retire(e) end
  end
end

local function recorded(r)
  return 'l' .. joined(digits(r.started), digits(r.seen), digits(r.life), digits(r.ends), digits(r.under),
    r.hasIssuedAt and '1' or '', r.ip, r.agent, r.label)
end

local function keep(r)
  local text = recorded(r)
  redis.call('HSET', sessions, r.handle, text)
  if indexed then redis.call('ZADD', index, digits(-r.seen), r.handle) end
  outlive(tombstone_until(r))
  index_if_many()
  return text
end

local function set_cutoff(made, restored, except, by, reason)
  local priorCutoffAt = cutoff and (except == cutoff.except and cutoff.priorCutoffAt or cutoff.at) or 0
  if except == '' then priorCutoffAt = 0 end
  local text = joined(digits(made), restored, digits(priorCutoffAt), except, by, reason)
  local ttl = math.max(${String(CUTOFF_FOR)}, redis.call('PTTL', sessions))
  redis.call('SET', cutoff_key, text, 'PX', digits(ttl))
  cutoff = standing_cutoff()
  return text
end

-- Turns a batch of what the cutoff ended into tombstones.
local function sweep(cursor)
  local scanned, ended = redis.call('HSCAN', sessions, cursor, 'COUNT', ${String(BATCH)}), {}
  local flat = scanned[2]
  for i = 1, #flat, 2 do
    local e = parsed(flat[i], flat[i + 1])
    local cut = e and not e.buried and record_cut_by(e)
    if not e or forgotten(e) then drop(flat[i])
    elseif cut then
      local till = tombstone_until(e)
      if cut == cutoff and decided(e) == 'live' then
        ended[#ended + 1] = e.handle
        ended[#ended + 1] = digits(expires(e))
        ended[#ended + 1] = digits(till)
      end
      bury_cut(e, cut, till)
    end
  end
  return { scanned[1], ended }
end
`;

/**
 * Records a sighting.
 * ARGV 6: handle, 7: token's iat (or empty), 8: lifetime (or empty), 9: the token's own end, 10: ip, 11: user agent (empty: as known),
 *      12: cap (empty: none), 13: 'refuse' or 'end-oldest', 14: '1' where a live session is to be kept, else empty,
 *      15: the client's key (or empty).
 * KEYS 4: the user's clients: key.day of each, divided by spaces, the last noted first.
 * Returns { state, text, text before, { handle, tombstone, ... }, knownClient }: 'live' with the record, its text before (empty where
 * it was not known, the same where it is not kept) and what the cap ended; 'ended' with a tombstone; 'refused'; 'again'
 * where the cap must end more sessions than one script may: nothing was recorded, and the caller comes back.
 */
export const SIGHT = script(
  PRELUDE,
  `
local handle, issued_at, life, ends = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local cap, refuses = tonumber(ARGV[12]), ARGV[13] == 'refuse'

local known = found(handle)
if known and known.buried then return { 'ended', prolong(known, tombstone_until({ ends = ends })) } end

local r = { handle = handle, started = issued_at or at, seen = at, life = life, ends = ends, hasIssuedAt = issued_at ~= nil,
  under = math.max(cutoff and cutoff.at or 0, known and known.under or 0), ip = ARGV[10], agent = ARGV[11], label = '' }
local till = tombstone_until(r)
if known then
  if not issued_at then r.started = known.started
  elseif known.dated then r.started = math.min(known.started, issued_at) end
  r.seen, r.ends, r.label = math.max(known.seen, at), math.max(known.ends, ends), known.label
  if r.ip == '' then r.ip = known.ip end
  if r.agent == '' then r.agent = known.agent end
  r.hasIssuedAt = known.hasIssuedAt or r.hasIssuedAt
  till = math.max(tombstone_until(r), tombstone_until(known))
end

-- As it stood, and by what this token shows of when it began. Kept also where it was not on record: a token refreshed
-- since would not show that it began before.
local cut = known and record_cut_by(known) or cut_by(handle, issued(r), known and known.under)
if cut then return { 'ended', bury_cut(r, cut, till) } end

local before = known and decided(known) or 'new'
local over = (before == 'expired' or before == 'idle') and before or decided(r)
if over ~= 'live' then
  if known and over ~= 'lapsed' then return { 'ended', bury_over(r, over, till) } end
  return { 'ended', tombstone('e', digits(at), till, digits(expires(r)), '', 'expired') }
end
if ARGV[14] ~= '1' then return { 'live', recorded(r), recorded(r), {} } end

local ended = {}
local function end_for_room(oldest)
  local text = tombstone('r', digits(at), tombstone_until(oldest), digits(expires(oldest)), '', 'session_limit')
  ended[#ended + 1] = oldest.handle
  ended[#ended + 1] = bury(oldest.handle, text, tombstone_until(oldest))
end

local function make_room()
  local all = all_live()
  if #all < cap then return 'room' end
  if refuses then return 'refused' end
  for i = #all, math.max(cap, 1), -1 do end_for_room(all[i]) end
  return 'room'
end

-- Those seen longest ago come first. Of an index longer than a batch, what is over and stands further up counts as live
-- until it is come by.
local function make_room_by_index()
  local excess = redis.call('ZCARD', index) - cap -- the member without a session stands for the new one
  if excess <= 0 then return 'room' end
  local oldest = {}
  for _, member in ipairs(redis.call('ZREVRANGE', index, 1, ${String(BATCH)})) do
    local e = parsed(member, redis.call('HGET', sessions, member))
    if e and live(e) then oldest[#oldest + 1] = e
    else
      if e then retire(e) else unlist(member) end
      excess = excess - 1
    end
  end
  if excess > 0 and refuses then return 'refused' end
  for i = 1, math.min(excess, #oldest) do end_for_room(oldest[i]) end
  return excess > #oldest and 'again' or 'room'
end

if before ~= 'live' then
  if known then unlist(handle) end
  retire_some(handle)
  if cap then
    local outcome = indexed and make_room_by_index() or make_room()
    if outcome ~= 'room' then return { outcome, '', '', ended } end
  end
end

local clients, client, knownClient = KEYS[4], ARGV[15], ''
if client ~= '' then
  local today, kept, noted = math.floor(at / ${String(DAY)}), {}, redis.call('GET', clients) or ''
  for entry in string.gmatch(noted, '%S+') do
    local key, day = string.match(entry, '^(.*)%.(%d+)$')
    if day and today - tonumber(day) <= ${String(CLIENT_NOTED_FOR / DAY)} then
      if key == client then knownClient = '1'
      elseif #kept < ${String(CLIENTS_NOTED - 1)} then kept[#kept + 1] = entry end
    end
  end
  table.insert(kept, 1, client .. '.' .. digits(today))
  local notes = table.concat(kept, ' ')
  if notes ~= noted then redis.call('SET', clients, notes, 'PX', ${String(CLIENT_NOTED_FOR)}) end
end

return { 'live', keep(r), known and known.text or '', ended, knownClient }
`,
);

/**
 * A stretch of the live sessions, most recently seen first.
 * ARGV 6: how many at most, 7: lastSeenAt and 8: handle behind which to begin (both empty: at the beginning).
 * Returns { { handle, record, ... }, lastSeenAt, handle }: the last two say where to go on, and are empty at the end.
 */
export const LIST = script(
  PRELUDE,
  `
local wanted, seen, after = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local page = {}
local function add(e)
  page[#page + 1] = e.handle
  page[#page + 1] = e.text
end

if not indexed then
  for _, e in ipairs(all_live()) do
    if #page == wanted * 2 then break end
    if not seen or listed_before({ seen = seen, handle = after }, e) then add(e) end
  end
  return { page, '', '' }
end

local first = 0
if seen then
  -- The session there may have moved or gone: a member that sorts just behind it tells the place.
  local place = after .. ' '
  redis.call('ZADD', index, digits(-seen), place)
  first = redis.call('ZRANK', index, place)
  redis.call('ZREM', index, place)
end
local members = redis.call('ZRANGE', index, first, first + ${String(BATCH - 1)}, 'WITHSCORES')
for i = 1, #members, 2 do
  local e = parsed(members[i], redis.call('HGET', sessions, members[i]))
  if e and live(e) then add(e) end
  if #page == wanted * 2 then return { page, '', '' } end
end
if #members < ${String(BATCH * 2)} or members[#members - 1] == '' then return { page, '', '' } end
return { page, digits(-tonumber(members[#members])), members[#members - 1] }
`,
);

/**
 * One live session, named where ARGV says so.
 * ARGV 6: handle, 7: the label (empty: none), only where it is to be changed.
 * Returns the record, or nil where the session is not live.
 */
export const GET = script(
  PRELUDE,
  `
local r = found(ARGV[6])
if not r or not live(r) then return false end
if not ARGV[7] then return r.text end
r.label = ARGV[7]
return keep(r)
`,
);

/**
 * Ends a session.
 * ARGV 6: handle, 7: by, 8: reason, 9: '1' where the caller holds a token, 10: its iat (or empty), 11: lifetime (or
 *      empty), 12: its own end.
 * Returns { 'ended' or 'already', tombstone }, or { 'unknown' }.
 */
export const REVOKE = script(
  PRELUDE,
  `
local handle, by, reason, issued_at = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[10])
local token
if ARGV[9] == '1' then
  token = { started = issued_at or at, life = tonumber(ARGV[11]), ends = tonumber(ARGV[12]) }
end

local e = found(handle)
if not e and not token then return { 'unknown' } end
if not e then retire_some(handle) end
local till = token and tombstone_until(token) or 0
if e and e.buried then return { 'already', prolong(e, till) } end
if e then
  till = math.max(till, tombstone_until(e))
  local cut = record_cut_by(e)
  if cut then return { 'already', bury_cut(e, cut, till) } end
end
return { 'ended', bury(handle, tombstone('r', digits(at), till, digits(expires(e or token)), by, reason), till) }
`,
);

/**
 * Sets the cutoff by Redis's own clock: from here on every session that it concerns is ended. Turns a first batch of
 * them into tombstones.
 * ARGV 6: the excepted handle (or empty), 7: by, 8: reason.
 * Returns { cutoff, cursor, { handle, expiresAt, until, ... } }: the live sessions of the batch.
 */
export const CUT = script(
  PRELUDE,
  `
local text = set_cutoff(math.max(now, cutoff and cutoff.at + 1 or 0), '', ARGV[6], ARGV[7], ARGV[8])
local swept = sweep('0')
return { text, swept[1], swept[2] }
`,
);

/**
 * Turns the next batch of what the cutoff ended into tombstones.
 * ARGV 6: cursor.
 * Returns { cursor, { handle, expiresAt, until, ... } }.
 */
export const SWEEP = script(PRELUDE, `return sweep(ARGV[6])`);

/**
 * Writes back what was lost.
 * ARGV 6: the cutoff's moment (empty: none), 7: its excepted handle (or empty), 8: by, 9: reason; then handle, tombstone, ...
 * Returns '1' where it set the cutoff, whose sessions are then to be swept.
 */
export const RESTORE = script(
  PRELUDE,
  `
local made = tonumber(ARGV[6])
local sets = made and (not cutoff or cutoff.at < made)
if sets then set_cutoff(made, 'r', ARGV[7], ARGV[8], ARGV[9]) end
for i = 10, #ARGV, 2 do
  local lost, e = parsed(ARGV[i], ARGV[i + 1]), found(ARGV[i])
  if e and e.buried then prolong(e, lost.till)
  elseif lost.till >= past then
    local till = math.max(lost.till, e and tombstone_until(e) or 0)
    bury(lost.handle, tombstone(lost.cause, lost.ended, till, lost.ends, lost.by, lost.reason), till)
  end
end
return sets and '1' or ''
`,
);

/**
 * What writes entries of the feed begins with.
 * KEYS: stream, epoch, counter. Where one of them is missing all three begin anew, so that readers see that entries
 * were lost.
 * ARGV 1: a new epoch, 2: how long the keys live, 3: age from which entries may be trimmed (both in milliseconds).
 */
const FEED_PRELUDE = `
local stream, epoch, counter = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')

local function publish(first)
  if redis.call('EXISTS', stream, epoch, counter) < 3 then
    redis.call('DEL', stream, epoch, counter)
    redis.call('SET', epoch, ARGV[1])
  end
  local oldest = time[1] * 1000 - ARGV[3]
  for i = first, #ARGV do
    redis.call('XADD', stream, 'MINID', '~', string.format('%.0f', math.max(oldest, 0)), '*', 'n', ARGV[i])
    redis.call('INCR', counter)
  end
  redis.call('XTRIM', stream, 'MAXLEN', '~', 1000000)
  for _, key in ipairs({ stream, epoch, counter }) do redis.call('PEXPIRE', key, ARGV[2]) end
end
`;

/**
 * Writes entries of the feed.
 * ARGV from 4 on: the entries.
 * Returns nothing.
 */
export const PUBLISH = script(
  FEED_PRELUDE,
  `
publish(4)
return false
`,
);

/**
 * Defines `standing_global_cutoff(key, known)`: the global cutoff, the later of what is kept and what the caller
 * knows; empty where there is none, also where what is kept is no cutoff. What the store lost is so written back.
 *
 * Its text is at, origin, by, reason; the origin is the store object that set it.
 */
export const STANDING_GLOBAL_CUTOFF = `
local function standing_global_cutoff(key, known)
  local function moment(text)
    local at = tonumber(string.match(text, '${GLOBAL_CUTOFF_PATTERN}') or 0)
    return at <= ${String(LAST_MOMENT)} and at or 0
  end
  local kept = redis.call('GET', key) or ''
  if moment(kept) == 0 then kept = '' end
  if moment(known) <= moment(kept) then return kept end
  redis.call('SET', key, known, 'PX', ${String(CUTOFF_FOR)})
  return known
end
`;

/**
 * Sets the global cutoff by Redis's own clock, and wakes all who read the feed: a round tells the cutoff itself.
 * KEYS 4: the global cutoff.
 * ARGV 4: what the caller knows of it (or empty), 5: origin, 6: by, 7: reason, 8: an entry that says nothing.
 * Returns the cutoff that stood before (empty: none) and the new one.
 */
export const END_EVERYWHERE = script(
  FEED_PRELUDE,
  STANDING_GLOBAL_CUTOFF,
  `
local before = standing_global_cutoff(KEYS[4], ARGV[4])
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local at = string.format('%.0f', math.max(now, 1 + (string.match(before, '^%d+') or 0)))
local text = table.concat({ at, ARGV[5], ARGV[6], ARGV[7] }, '\\n')
redis.call('SET', KEYS[4], text, 'PX', ${String(CUTOFF_FOR)})
publish(8)
return { before, text }
`,
);

/**
 * Reads the global cutoff.
 * KEYS: the global cutoff.
 * ARGV: what the caller knows of it (or empty).
 * Returns it (empty: there is none).
 */
export const READ_GLOBAL_CUTOFF = script(STANDING_GLOBAL_CUTOFF, `return standing_global_cutoff(KEYS[1], ARGV[1])`);

const CAUSES: Readonly<Record<string, Ending['cause']>> = { r: 'revoked', e: 'expired', i: 'idle' };

function partsOf(text: string, count: number): string[] {
  const parts = text.split('\n');
  if (parts.length !== count) throw new TypeError('Redis answered with a text of another kind');
  return parts;
}

const orNull = (text: string | undefined): string | null => (text === undefined || text === '' ? null : text);

/**
 * What most user agents repeat: each is kept as one control character, which kept texts cannot hold, and a record takes a
 * quarter less memory. Only ever added to: records outlive a release.
 */
const FRAGMENTS = [
  'Mozilla/5.0 (',
  'AppleWebKit/537.36 (KHTML, like Gecko) ',
  'AppleWebKit/605.1.15 (KHTML, like Gecko) ',
  'Windows NT 10.0; Win64; x64',
  'Macintosh; Intel Mac OS X 10_15_7',
  'X11; Linux x86_64',
  'iPhone; CPU iPhone OS ',
  'iPad; CPU OS ',
  ' like Mac OS X',
  'Linux; Android ',
  'Chrome/',
  ' Mobile/15E148',
  ' Safari/537.36',
  ' Safari/604.1',
  'Version/',
  'Gecko/20100101 Firefox/',
] as const;
const FIRST_CODE = 0x0e;
const CODES = new Map<string, string>(FRAGMENTS.map((text, index) => [text, String.fromCharCode(FIRST_CODE + index)]));
const CODE = new RegExp(`[${[...CODES.values()].join('')}]`, 'g');
const FRAGMENT = new RegExp(FRAGMENTS.map((text) => text.replace(/[.()/]/g, '\\$&')).join('|'), 'g');

/** A kept user agent as it stands in a record. */
export function packed(userAgent: string): string {
  return userAgent.replace(FRAGMENT, (text) => CODES.get(text) ?? text);
}

function unpacked(text: string): string {
  return text.replace(CODE, (code) => FRAGMENTS[code.charCodeAt(0) - FIRST_CODE] ?? '');
}

/** A record as it is kept, with the cutoff that it is known to have survived. */
export function decodeRecord(
  handle: string,
  text: string,
): { record: SessionRecord; survivedCutoffAt: number; hasIssuedAt: boolean } {
  const [started, seen, lifetime, ends, under, hasIssuedAt, ip, userAgent, label] = partsOf(text.slice(1), 9);
  const startedAt = Number(started);
  const expiresAt = lifetime === '' ? Number(ends) : startedAt + Number(lifetime);
  return {
    record: {
      handle,
      startedAt,
      lastSeenAt: Number(seen),
      expiresAt,
      ip: orNull(ip),
      userAgent: userAgent === undefined || userAgent === '' ? null : unpacked(userAgent),
      label: orNull(label),
    },
    survivedCutoffAt: Number(under),
    hasIssuedAt: hasIssuedAt === '1',
  };
}

export function decodeTombstone(handle: string, text: string): Tombstone {
  const [cause = '', at, until, expires, by, reason = ''] = partsOf(text.slice(1), 6);
  return {
    handle,
    ending: {
      cause: CAUSES[cause] ?? 'revoked',
      reason,
      by: orNull(by),
      at: Number(at),
      expiresAt: expires === '' ? null : Number(expires),
    },
    until: Number(until),
  };
}

/** The text of a tombstone; `reason` and `by` are kept texts. */
export function encodeTombstone({ ending, until }: Tombstone): string {
  const { cause, at, expiresAt, by, reason } = ending;
  return `t${[cause.charAt(0), at, until, expiresAt ?? '', by ?? '', reason].join('\n')}`;
}

export function decodeCutoff(text: string): Cutoff {
  const [at, , , except, by, reason = ''] = partsOf(text, 6);
  return { at: Number(at), except: orNull(except), reason, by: orNull(by) };
}

/** The global cutoff and the store object that set it; undefined where the text is none. */
export function decodeGlobalCutoff(text: string): { cutoff: GlobalCutoff; origin: string } | undefined {
  const [at = '', origin, by, reason, ...others] = text.split('\n');
  if (
    !/^\d+$/.test(at) ||
    Number(at) > LAST_MOMENT ||
    origin === undefined ||
    reason === undefined ||
    others.length > 0
  )
    return undefined;
  return { cutoff: { at: Number(at), reason, by: orNull(by) }, origin };
}
