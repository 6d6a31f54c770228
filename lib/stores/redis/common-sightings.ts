/**
 * What most sightings are: of a session on record that goes on, or of a new one for which there is room. These cases are
 * decided by a few comparisons. Each is as strict as the rules, or stricter. Where one fails, the rules of the prelude decide.
 */

import { latestEnd, LAST_MOMENT, rowUntil, tokenEndsAt, tombstoneUntil } from '../../core/policy.js';
import { timesOf } from '../../core/record.js';
import { IP_LIMIT, keptOrNull, USER_AGENT_LIMIT } from '../../core/session.js';
import { CLIENT_NOTED_FOR, CLIENTS_NOTED, type SightRequest } from '../store.js';
import { GLOBAL_CUTOFF, ROW, TIMES } from './records.js';
import { flag, NONE_IN_LUA, number, numberOrNone, string, type ParametersOf } from './script.js';
import { INDEX_FROM, INDEXED, type Call } from './session-prelude.js';

type Sight = Call & SightRequest;

const DAY = 24 * 3600 * 1000;
/** Before every moment, and after. */
const EVER = -LAST_MOMENT;
const NEVER = LAST_MOMENT;

/** When the last token of the session expires that the caller knows. */
function lastTokenEnd({ token, knownUse }: Sight): number {
  return Math.max(tokenEndsAt(token), knownUse?.known?.tokensEndAt ?? EVER);
}

/** Whether the session is live by the tokens and limits that the caller knows. */
function isInTime(sight: Sight): boolean {
  const { at, token, policy, knownUse } = sight;
  const known = knownUse?.known ?? null;
  if (at < 0 || (known !== null && known.endsAt !== token.sessionEndsAt)) return false;
  const endsAt = Math.min(token.lifetime === null ? lastTokenEnd(sight) : NEVER, token.sessionEndsAt ?? NEVER);
  return at < endsAt + policy.clockTolerance;
}

/** A session that began then, or earlier, is ended by the global cutoff or by its lifetime. */
function endedIfBegunBy({ at, token, policy, globalCutoff }: Sight): number {
  const byCutoff = globalCutoff === '' ? EVER : (GLOBAL_CUTOFF.read(globalCutoff)?.at ?? EVER) + policy.clockTolerance;
  return Math.max(byCutoff, token.lifetime === null ? EVER : at - token.lifetime - policy.clockTolerance);
}

/** The times of a session that is not on record. */
function newTimes(sight: Sight): ReturnType<typeof timesOf> {
  return { ...timesOf(sight.token, sight.at), tokensEndAt: lastTokenEnd(sight) };
}

/** When a new session is over by itself. */
function newOverAt(sight: Sight): number {
  const times = newTimes(sight);
  return Math.min(times.lifetime === null ? times.tokensEndAt : NEVER, latestEnd(times)) + sight.policy.clockTolerance;
}

/** How long a key must live that holds something until `moment`, by the caller's clock and by the machine's. */
function lifeUntil(moment: number, at: number): number {
  return moment - Math.min(at, Date.now());
}

/** A new row. Without the label, it is the beginning of any row with this client. */
function newRow({ sighting }: Sight): string {
  const ip = keptOrNull(sighting.ip, IP_LIMIT);
  const userAgent = keptOrNull(sighting.userAgent, USER_AGENT_LIMIT);
  return ROW.write({ byProgram: sighting.byProgram === true, ip, userAgent, label: null });
}

export const COMMON_PARAMETERS: ParametersOf<Sight> = {
  isInTime: flag(isInTime),
  endedIfBegunBy: number(endedIfBegunBy),
  idleIfUsedBy: number(({ at, policy }) => at - (policy.idleTimeout ?? NEVER)),
  lapsedIfEndedBy: number(({ at, policy }) => at - policy.clockTolerance),
  earliestStart: number(({ token, knownUse }) => Math.min(token.beganAt ?? NEVER, knownUse?.known?.startedAt ?? NEVER)),
  lastTokenEnd: number(lastTokenEnd),
  knownCutoffAt: number(({ knownUse }) => knownUse?.known?.survivedCutoffAt ?? 0),
  lifetimeOrNone: numberOrNone(({ token }) => token.lifetime),
  endsAtOrNone: numberOrNone(({ token }) => token.sessionEndsAt),
  isTracked: flag(({ track }) => track !== false),
  isUnknown: flag(({ knownUse }) => (knownUse?.known ?? null) === null),
  byProgram: flag(({ sighting }) => sighting.byProgram === true),
  beginsAt: number((sight) => newTimes(sight).startedAt),
  newOverAt: number(newOverAt),
  newLife: number((sight) => lifeUntil(tombstoneUntil(newTimes(sight), sight.policy), sight.at)),
  newRowLife: number((sight) => lifeUntil(rowUntil(newTimes(sight), sight.policy), sight.at)),
  systemTime: number(() => Date.now()),
  maxSessions: number(({ policy }) => Math.min(policy.maxSessions, NEVER)),
  sightedRow: string(newRow),
  clientKey: string(({ clientKey }) => clientKey ?? null),
};

export const COMMON_SIGHTINGS = `
-- Whether the user's client was noted before: '1' or ''. 'noted' is what the key holds.
local function noteClient(noted)
  local today, notes, isKnown = math.floor(at / ${DAY}), {}, ''
  for note in string.gmatch(noted or '', '%S+') do
    local key, day = string.match(note, '^(.*)%.(%d+)$')
    if day and today - tonumber(day) <= ${CLIENT_NOTED_FOR / DAY} then
      if key == clientKey then isKnown = '1'
      elseif #notes < ${CLIENTS_NOTED - 1} then notes[#notes + 1] = note end
    end
  end
  table.insert(notes, 1, string.format('%s.%.0f', clientKey, today))
  local text = table.concat(notes, ' ')
  if text ~= noted then redis.call('SET', clients, text, 'PX', ${CLIENT_NOTED_FOR}) end
  return isKnown
end

-- The client on record is a person's: a program does not take its place.
local function isKeptFromProgram(row)
  return byProgram and string.find(row, '^\\n[^\\n]*\\n[^\\n]') ~= nil
end

-- The time to live of a key is never lowered. The others live as long as the first.
local function keepFor(life, isNew, key, ...)
  if not isNew and life <= redis.call('PTTL', key) then return end
  redis.call('PEXPIREAT', key, systemTime + life)
  for _, other in ipairs({ ... }) do redis.call('PEXPIREAT', other, systemTime + life) end
end

-- A session that began before endedBefore is ended by the user's cutoff.
local cutoffAt, endedBefore = 0, 0
if cutoffText then
  local latest, except, prior = string.match(cutoffText, '^(%d+)\\n([^\\n]*)\\n(%d+)')
  cutoffAt = tonumber(latest)
  endedBefore = except == handle and tonumber(prior) or cutoffAt
end
local isIndexed, dueAt = dueText == '${INDEXED}', tonumber(dueText or '')
local isCommon = isInTime and cutoffAt and not (dueAt and at >= dueAt)

if isCommon and keptText and #keptText == ${TIMES.length} then
  local ${TIMES.locals} = ${TIMES.fromText('keptText')}
  local isLive = lifetime == lifetimeOrNone and endsAt == endsAtOrNone and startedAt > endedIfBegunBy
    and startedAt >= endedBefore and startedAt <= earliestStart and lastSeenAt > idleIfUsedBy
    and survivedCutoffAt >= cutoffAt and survivedCutoffAt >= knownCutoffAt
  local isSame = isLive and tokensEndAt >= lastTokenEnd
  -- With limits, or an index, a refreshed token changes more than is done here.
  local isRefreshed = isLive and not isSame and tokensEndAt > lapsedIfEndedBy and not isIndexed
    and lifetime == ${NONE_IN_LUA} and endsAt == ${NONE_IN_LUA}
  if isSame and not isTracked then return keptText end
  local row = isTracked and (isSame or isRefreshed) and redis.call('HGET', rows, handle)
  local isSameRow = row and (string.sub(row, 1, #sightedRow) == sightedRow or isKeptFromProgram(row))
  -- A sighting may be older than the last one.
  local isLater = at > lastSeenAt
  if isSameRow and (not isIndexed or not isLater or redis.call('ZADD', index, 'XX', 'CH', -at, handle) == 1) then
    local text = keptText
    if isLater then lastSeenAt = at end
    if isRefreshed then
      tokensEndAt = lastTokenEnd
      keepFor(newLife, false, sessions)
      keepFor(newRowLife, false, rows)
    end
    if isLater or isRefreshed then
      text = ${TIMES.toText}
      redis.call('HSET', sessions, handle, text)
    end
    if clientKey == '' then return text end
    return { 'same', text, noteClient(redis.call('GET', clients)) }
  end
end

if isCommon and not keptText and isTracked and isUnknown and beginsAt > endedIfBegunBy and beginsAt >= cutoffAt then
  local hasRoom = not dueText and maxSessions > 0
  if isIndexed then
    local live = redis.call('ZCARD', index)
    hasRoom = live > 0 and live < maxSessions and #redis.call('ZRANGEBYSCORE', due, '-inf', at, 'LIMIT', 0, 1) == 0
  elseif dueAt then
    local count = redis.call('HLEN', sessions) - (cutoffText and 2 or 1)
    hasRoom = count < maxSessions and count < ${INDEX_FROM}
  end
  if hasRoom then
    local ${TIMES.locals} = at, beginsAt, lastTokenEnd, cutoffAt, lifetimeOrNone, endsAtOrNone
    local text, lookAt = ${TIMES.toText}, at + newRowLife + 1
    if isIndexed then
      redis.call('HSET', sessions, handle, text)
      redis.call('ZADD', index, -at, handle)
      redis.call('ZADD', due, newOverAt, handle)
      keepFor(newLife, false, sessions, index, due)
    else
      if dueAt and dueAt <= lookAt then redis.call('HSET', sessions, handle, text)
      else redis.call('HSET', sessions, handle, text, 'due', string.format('%.0f', lookAt)) end
      if cutoffText and not dueText then redis.call('HSET', sessions, 'cutoff', cutoffText) end
      keepFor(newLife, not dueText, sessions)
    end
    redis.call('HSET', rows, handle, sightedRow)
    keepFor(newRowLife, not dueText, rows)
    return { 'new', text, clientKey == '' and '' or noteClient(redis.call('GET', clients)) }
  end
end
`;
