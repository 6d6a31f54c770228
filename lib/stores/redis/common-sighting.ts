/**
 * What most sightings are: of a session on record that goes on, or of a new one for which there is room. A short script
 * decides these cases by a few comparisons. Each is as strict as the rules, or stricter. Where one fails, the script writes
 * nothing, and SIGHT decides by the rules.
 */

import { expiresAt, latestEnd, LAST_MOMENT, rowUntil, tokenEndsAt, tombstoneUntil } from '../../core/policy.js';
import { seenRow, timesOf } from '../../core/record.js';
import { CLIENT_NOTED_FOR, CLIENTS_NOTED, type SightAnswer, type SightRequest } from '../store.js';
import { GLOBAL_CUTOFF, INDEXED_MARK, MARK, ROW, STALE, TIMES } from './records.js';
import {
  flag,
  formatted,
  listOf,
  NONE_IN_LUA,
  number,
  numberOrNone,
  script,
  string,
  stringOf,
  type ParametersOf,
} from './script.js';
import { INDEX_FROM, INDEXED, KEEPING, type Call } from './session-prelude.js';

type Sight = Call & SightRequest;

const DAY = 24 * 3600 * 1000;
/** Before every moment, and after. */
const EVER = -LAST_MOMENT;
const NEVER = LAST_MOMENT;

/** When the last token of the session expires that the caller knows. */
function lastTokenEnd({ token, knownUse }: Sight): number {
  return Math.max(tokenEndsAt(token), knownUse?.known?.tokensEndAt ?? EVER);
}

/** Whether it may be one of the common cases: the session is live by the tokens and limits that the caller knows. */
export function mayBeCommon(sight: Sight): boolean {
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

/** After every moment if it is not asked whether the token is stale. */
export function issuedAt({ token }: Pick<SightRequest, 'token'>): number {
  return token.issuedAt === undefined ? NEVER : (token.issuedAt ?? EVER);
}

/** The beginning of any row with this client, app and actor, with a label or without: `hasNewClient` and the label follow. */
function seenClient({ sighting }: Sight): string {
  return ROW.write(seenRow(sighting)).slice(0, -1);
}

const NUMBERS: ParametersOf<Sight> = {
  at: number(({ at }) => at),
  endedIfBegunBy: number(endedIfBegunBy),
  idleIfUsedBy: number(({ at, policy }) => at - (policy.idleTimeout ?? NEVER)),
  lapsedIfEndedBy: number(({ at, policy }) => at - policy.clockTolerance),
  earliestStart: number(({ token, knownUse }) => Math.min(token.beganAt ?? NEVER, knownUse?.known?.startedAt ?? NEVER)),
  lastTokenEnd: number(lastTokenEnd),
  knownCutoffAt: number(({ knownUse }) => knownUse?.known?.survivedCutoffAt ?? 0),
  lifetimeOrNone: numberOrNone(({ token }) => token.lifetime),
  endsAtOrNone: numberOrNone(({ token }) => token.sessionEndsAt),
  // A request that does not count as use changes nothing of a session on record, as if it were not tracked.
  isTracked: flag(({ track, usedAt }) => track !== false && usedAt === undefined),
  mayBeNew: flag(({ track, knownUse }) => track !== false && (knownUse?.known ?? null) === null),
  byProgram: flag(({ sighting }) => sighting.byProgram === true),
  beginsAt: number((sight) => newTimes(sight).startedAt),
  newOverAt: number(newOverAt),
  newUntil: number((sight) => tombstoneUntil(newTimes(sight), sight.policy)),
  newRowUntil: number((sight) => rowUntil(newTimes(sight), sight.policy)),
  issuedAt: number(issuedAt),
  maxSessions: number(({ policy }) => Math.min(policy.maxSessions, NEVER)),
};

/** Lua that notes the client. `noteClient` returns whether it was noted before: '1' or ''. */
export const NOTE_CLIENT = `
local function noteClient()
  local noted, today, notes, isKnown = redis.call('GET', clients), math.floor(at / ${DAY}), {}, ''
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
`;

/** A Lua pattern of the rows that have a person's client: a program does not take its place. */
export const PERSONS_ROW = '^\\n[^\\n]*\\n[^\\n]';

/** Decides the common cases. Returns null for all others, and has then written nothing. */
export const COMMON_SIGHTING = script<Sight, SightAnswer | null>({
  parameters: {
    ...NUMBERS,
    handle: string(({ handle }) => handle),
    client: string(seenClient),
    clientKey: string(({ clientKey }) => clientKey ?? null),
  },
  lua: `
local sessions, rows, index, due, cutoffKey, clients = unpack(KEYS)
local kept, staleText = unpack(redis.call('HMGET', sessions, handle, 'stale'))
local state, written = 'same', kept

if staleText then
  local staleAt, keptUntil = string.match(staleText, '^(%d+)\\n(%d+)\\n')
  if not staleAt or math.floor(issuedAt / 1000) <= math.floor(staleAt / 1000) or at > tonumber(keptUntil) then return false end
end

if kept then
  local mark = string.sub(kept, 1, 1)
  -- A tombstone, or nothing of ours.
  if #kept ~= ${TIMES.length} or mark ~= '${MARK}' and mark ~= '${INDEXED_MARK}' then return false end
  local ${TIMES.locals} = ${TIMES.fromText('kept')}
  local isLive = lifetime == lifetimeOrNone and endsAt == endsAtOrNone and startedAt > endedIfBegunBy
    and startedAt <= earliestStart and lastSeenAt > idleIfUsedBy and survivedCutoffAt >= knownCutoffAt
  local isRefreshed = tokensEndAt < lastTokenEnd
  if not isLive or isRefreshed and tokensEndAt <= lapsedIfEndedBy then return false end

  -- Without an index, every cutoff has been applied to every record.
  local isIndexed = mark == '${INDEXED_MARK}'
  if isIndexed then
    local cutoff, except, prior = string.match(redis.call('HGET', sessions, 'cutoff') or '0\\n\\n0', '^(%d+)\\n([^\\n]*)\\n(%d+)')
    local endedBefore = tonumber(except == handle and prior or cutoff)
    if not cutoff or survivedCutoffAt < tonumber(cutoff) or startedAt < endedBefore then return false end
  end
  if isRefreshed then
    -- With limits or an index, a refreshed token changes more than is done here.
    local hasLimit = lifetime ~= ${NONE_IN_LUA} or endsAt ~= ${NONE_IN_LUA}
    local dueAt = tonumber(redis.call('HGET', sessions, 'due') or '')
    if not isTracked or isIndexed or hasLimit or not dueAt or at >= dueAt then return false end
  end
  if not isTracked then return staleText and { state, kept, '', staleText } or kept end

  local row = redis.call('HGET', rows, handle)
  if not row then return false end
  local isSameClient = string.sub(row, 1, #client) == client
  if not isSameClient and not (byProgram and string.find(row, '${PERSONS_ROW}')) then return false end
  -- A sighting may be older than the last one.
  if at > lastSeenAt or isRefreshed then
    if isIndexed and redis.call('ZADD', index, 'XX', 'CH', -at, handle) == 0 then return false end
    lastSeenAt, tokensEndAt = math.max(lastSeenAt, at), math.max(tokensEndAt, lastTokenEnd)
    written = ${TIMES.toText('mark')}
    redis.call('HSET', sessions, handle, written)
    if isRefreshed then
      ${KEEPING}
      keepUntil(newUntil, sessions)
      keepUntil(newRowUntil, rows)
    end
  -- A clock that was ahead may have taken the session out of the index.
  elseif isIndexed and not redis.call('ZSCORE', index, handle) then return false end
  if clientKey == '' then return staleText and { state, written, '', staleText } or written end
else
  if not mayBeNew or beginsAt <= endedIfBegunBy then return false end
  local dueText, cutoffText = unpack(redis.call('HMGET', sessions, 'due', 'cutoff'))
  local isNewUser = not dueText
  if isNewUser then cutoffText = redis.call('GET', cutoffKey) or cutoffText end
  local cutoffAt = cutoffText and tonumber(string.match(cutoffText, '^(%d+)\\n')) or 0
  if beginsAt < cutoffAt or isNewUser and (cutoffText or staleText) then return false end

  local isIndexed, dueAt = dueText == '${INDEXED}', tonumber(dueText or '')
  if isIndexed then
    local live = redis.call('ZCARD', index)
    if live == 0 or live >= maxSessions then return false end
    local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
    -- Something is due, or Redis has lost it alone.
    if not first[2] or tonumber(first[2]) <= at then return false end
  elseif dueAt then
    local count = redis.call('HLEN', sessions) - (cutoffText and 2 or 1) - (staleText and 1 or 0)
    if at >= dueAt or count >= maxSessions or count >= ${INDEX_FROM} then return false end
  end

  local ${TIMES.locals} = at, beginsAt, lastTokenEnd, cutoffAt, lifetimeOrNone, endsAtOrNone
  state, written = 'new', ${TIMES.toText(`isIndexed and '${INDEXED_MARK}' or '${MARK}'`)}
  ${KEEPING}
  local lookAt = newRowUntil + 1 + at - past
  if isIndexed or dueAt and dueAt <= lookAt then redis.call('HSET', sessions, handle, written)
  else redis.call('HSET', sessions, handle, written, 'due', string.format('%.0f', lookAt)) end
  redis.call('HSET', rows, handle, client .. '\\n')
  if isNewUser then
    redis.call('PEXPIREAT', sessions, now + newUntil - past)
    redis.call('PEXPIREAT', rows, now + newRowUntil - past)
  else
    keepUntil(newRowUntil, rows)
    if isIndexed then
      redis.call('ZADD', index, -at, handle)
      redis.call('ZADD', due, newOverAt, handle)
      keepUntil(newUntil, sessions, index, due)
    else keepUntil(newUntil, sessions) end
  end
  if clientKey == '' then return { state, written, '', staleText } end
end
${NOTE_CLIENT}
local isKnown = noteClient()
if state == 'new' and isKnown == '' then redis.call('HSET', rows, handle, client .. '1\\n') end
return { state, written, isKnown, staleText }
`,
  repliesInBytes: true,
  /**
   * Reply: the times of a session that went on; or 'same' or 'new', the times, '1' if the client is known, which tokens are
   * stale, if any are.
   */
  decode(reply) {
    if (reply === null) return null;
    if (Buffer.isBuffer(reply)) return liveAnswer(reply);
    const [state, times, isKnownClient, stale] = listOf(reply);
    return {
      ...liveAnswer(times, stale),
      created: stringOf(state) === 'new',
      knownClient: stringOf(isKnownClient) === '1',
    };
  },
});

/** Of a session that went on, as it was. */
export function liveAnswer(kept: unknown, stale: unknown = null): Extract<SightAnswer, { state: 'live' }> {
  const times = formatted(TIMES, kept);
  const { startedAt, endsAt, lastSeenAt, survivedCutoffAt } = times;
  const answer = { startedAt, endsAt, expiresAt: expiresAt(times), lastSeenAt, survivedCutoffAt };
  const staleTokens = stale === null ? null : formatted(STALE, stale);
  return { state: 'live', ...answer, staleTokens, created: false, knownClient: false, moved: null };
}
