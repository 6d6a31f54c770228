/**
 * What most sightings are: of a session on record that goes on, or of a new one for which there is room. These cases are
 * decided by a few comparisons. Each is as strict as the rules, or stricter: where it fails, the rules of the prelude decide.
 */

import { LAST_MOMENT, latestEnd, rowUntil, tokenEndsAt, tombstoneUntil } from '../../core/policy.js';
import { timesOf } from '../../core/record.js';
import { IP_LIMIT, keptOrNull, USER_AGENT_LIMIT } from '../../core/session.js';
import { CLIENT_NOTED_FOR, CLIENTS_NOTED, type SightRequest } from '../store.js';
import { GLOBAL_CUTOFF, ROW } from './records.js';
import { digitsOf, flag, number, string, type ParametersOf } from './script.js';
import { CLOCKS, INDEX_FROM, INDEXED, type Call } from './session-prelude.js';

type Sight = Call & SightRequest;

const DAY = 24 * 3600 * 1000;
/** Before every moment, and after. */
const EVER = -LAST_MOMENT;
const NEVER = LAST_MOMENT;

/** When the last token of the session expires that the caller knows. */
function tokensEndAt({ token, knownUse }: Sight): number {
  return Math.max(tokenEndsAt(token), knownUse?.known?.tokensEndAt ?? EVER);
}

/** Whether the tokens and limits that the caller knows leave the session live. */
function isInTime(sight: Sight): boolean {
  const { at, token, policy, knownUse } = sight;
  const known = knownUse?.known ?? null;
  if (at < 0 || (known !== null && known.endsAt !== token.sessionEndsAt)) return false;
  const endsAt = Math.min(token.lifetime === null ? tokensEndAt(sight) : NEVER, token.sessionEndsAt ?? NEVER);
  return at < endsAt + policy.clockTolerance;
}

/** A session that began then, or earlier, is ended: by the global cutoff, or by its lifetime. */
function endedIfBegunBy({ at, token, policy, globalCutoff }: Sight): number {
  const byCutoff = (GLOBAL_CUTOFF.read(globalCutoff)?.at ?? EVER) + policy.clockTolerance;
  return Math.max(byCutoff, token.lifetime === null ? EVER : at - token.lifetime - policy.clockTolerance);
}

/** The times of a session that is not on record. */
function newTimes(sight: Sight): ReturnType<typeof timesOf> {
  return { ...timesOf(sight.token, sight.at), tokensEndAt: tokensEndAt(sight) };
}

/** When a new session is over by itself. */
function newOverAt(sight: Sight): number {
  const { lifetime, tokensEndAt: lastTokenEnd, ...times } = newTimes(sight);
  return (
    Math.min(lifetime === null ? lastTokenEnd : NEVER, latestEnd({ ...times, lifetime })) + sight.policy.clockTolerance
  );
}

/** A new row. Without the label, the beginning of any row with this client. */
function newRow({ sighting }: Sight): string {
  const ip = keptOrNull(sighting.ip, IP_LIMIT);
  const userAgent = keptOrNull(sighting.userAgent, USER_AGENT_LIMIT);
  return ROW.write({ byProgram: sighting.byProgram === true, ip, userAgent, label: null });
}

const digitsOrNone = (value: number | null): string => (value === null ? '' : digitsOf(value));

export const COMMON_PARAMETERS: ParametersOf<Sight> = {
  atDigits: string(({ at }) => digitsOf(at)),
  isInTime: flag(isInTime),
  endedIfBegunBy: number(endedIfBegunBy),
  idleIfUsedBy: number(({ at, policy }) => at - (policy.idleTimeout ?? NEVER)),
  lapsedIfEndedBy: number(({ at, policy }) => at - policy.clockTolerance),
  earliestStart: number(({ token, knownUse }) => Math.min(token.beganAt ?? NEVER, knownUse?.known?.startedAt ?? NEVER)),
  tokensEndDigits: string((sight) => digitsOf(tokensEndAt(sight))),
  knownCutoffAt: number(({ knownUse }) => knownUse?.known?.survivedCutoffAt ?? 0),
  limits: string(({ token }) => `\n${digitsOrNone(token.lifetime)}\n${digitsOrNone(token.sessionEndsAt)}`),
  isTracked: flag(({ track }) => track !== false),
  byProgram: flag(({ sighting }) => sighting.byProgram === true),
  sightedRow: string(newRow),
  clientKey: string(({ clientKey }) => clientKey ?? null),
  isUnknown: flag(({ knownUse }) => (knownUse?.known ?? null) === null),
  beginsDigits: string((sight) => digitsOf(newTimes(sight).startedAt)),
  newOverAt: number(newOverAt),
  newUntil: number((sight) => tombstoneUntil(newTimes(sight), sight.policy)),
  newRowUntil: number((sight) => rowUntil(newTimes(sight), sight.policy)),
  maxSessions: number(({ policy }) => Math.min(policy.maxSessions, NEVER)),
};

export const COMMON_SIGHTINGS = `
local at, latestTokenEnd, beginsAt = tonumber(atDigits), tonumber(tokensEndDigits), tonumber(beginsDigits)

-- Whether the user's client was noted before: '1' or ''.
local function noteClient()
  if clientKey == '' then return '' end
  local today, notes, isKnown = math.floor(at / ${DAY}), {}, ''
  local noted = redis.call('GET', clients) or ''
  for note in string.gmatch(noted, '%S+') do
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

-- A session that began before endedBefore is ended by the user's cutoff.
local cutoffAt, endedBefore = 0, 0
if cutoffText then
  local latest, except, prior = string.match(cutoffText, '^(%d+)\\n([^\\n]*)\\n(%d+)')
  cutoffAt = tonumber(latest)
  endedBefore = except == handle and tonumber(prior) or cutoffAt
end
local isIndexed, dueAt = dueText == '${INDEXED}', tonumber(dueText or '')
local isCommon = isInTime and cutoffAt and not (dueAt and at >= dueAt)

if isCommon and keptText then
  local lastSeen, started, tokensEnd, survived, ends =
    string.match(keptText, '^l(%d+)\\n(%d+)\\n(%d+)\\n(%d+)(\\n.*)$')
  local lastSeenAt, startedAt, tokensEndAt = tonumber(lastSeen), tonumber(started), tonumber(tokensEnd)
  local isLive = ends == limits and startedAt > endedIfBegunBy and startedAt >= endedBefore and startedAt <= earliestStart
    and lastSeenAt > idleIfUsedBy and tonumber(survived) >= math.max(cutoffAt, knownCutoffAt)
  local isSame = isLive and tokensEndAt >= latestTokenEnd
  local isRefreshed = isLive and not isSame and tokensEndAt > lapsedIfEndedBy and limits == '\\n\\n' and not isIndexed
  if isSame and not isTracked then return { 'same', keptText, '' } end
  local row = isTracked and (isSame or isRefreshed) and redis.call('HGET', rows, handle)
  local isSameRow = row and (string.sub(row, 1, #sightedRow) == sightedRow or isKeptFromProgram(row))
  -- A sighting may be older than the last one.
  local isListed = isSameRow and (not isIndexed or at <= lastSeenAt
    or redis.call('ZADD', index, 'XX', 'CH', '-' .. atDigits, handle) == 1)
  if isListed then
    if at > lastSeenAt then lastSeen = atDigits end
    if isRefreshed then
      tokensEnd = tokensEndDigits
      ${CLOCKS}
      keepUntil(newUntil, sessions)
      keepUntil(newRowUntil, rows)
    end
    local text = 'l' .. lastSeen .. '\\n' .. started .. '\\n' .. tokensEnd .. '\\n' .. survived .. ends
    if text ~= keptText then redis.call('HSET', sessions, handle, text) end
    return { 'same', text, noteClient() }
  end
end

if isCommon and not keptText and isTracked and isUnknown and beginsAt > endedIfBegunBy and beginsAt >= cutoffAt then
  local hasRoom
  if isIndexed then
    local live, nextDue = redis.call('ZCARD', index), redis.call('ZRANGEBYSCORE', due, '-inf', atDigits, 'LIMIT', 0, 1)
    hasRoom = live > 0 and live < maxSessions and #nextDue == 0
  else
    local count = redis.call('HLEN', sessions) - (dueAt and 1 or 0)
    hasRoom = count < math.min(maxSessions, ${INDEX_FROM})
  end
  if hasRoom then
    ${CLOCKS}
    local text = 'l' .. atDigits .. '\\n' .. beginsDigits .. '\\n' .. tokensEndDigits .. '\\n' .. digits(cutoffAt) .. limits
    local lookAt = newRowUntil + 1 + at - past
    if isIndexed then
      redis.call('HSET', sessions, handle, text)
      redis.call('ZADD', index, '-' .. atDigits, handle)
      redis.call('ZADD', due, digits(newOverAt), handle)
      keepUntil(newUntil, sessions, index, due)
    else
      if dueAt and dueAt <= lookAt then redis.call('HSET', sessions, handle, text)
      else redis.call('HSET', sessions, handle, text, 'due', digits(lookAt)) end
      keepUntil(newUntil, sessions)
    end
    redis.call('HSET', rows, handle, sightedRow)
    keepUntil(newRowUntil, rows)
    return { 'new', text, noteClient() }
  end
end
`;
