/**
 * The scripts of what every process reads: the feed and the global cutoff.
 *
 * The feed is in one slot, under the keys of {@link FeedKeys}: the stream of notices; a random epoch, which is renewed
 * whenever the stream, the epoch or the counter was missing, so that readers notice that entries were lost; a counter of the
 * entries; and the global cutoff. Further copies of the global cutoff may be in other slots, under one key each.
 */

import { CUTOFF_FOR } from '../../core/cutoff.js';
import { LAST_MOMENT } from '../../core/policy.js';
import { DIGITS_IN_LUA, GLOBAL_CUTOFF } from './records.js';
import { listOf, number, script, string, stringOf, type ParametersOf } from './script.js';

/** In the order in which scripts get them. */
export interface FeedKeys {
  readonly stream: string;
  readonly epoch: string;
  readonly counter: string;
  readonly globalCutoff: string;
}

export const keyList = ({ stream, epoch, counter, globalCutoff }: FeedKeys): readonly string[] => [
  stream,
  epoch,
  counter,
  globalCutoff,
];

/** No process trims entries that are younger than this. In milliseconds. */
export const NEVER_TRIMMED_FOR = 10 * 60 * 1000;

const KEYS_IN_LUA = `local stream, epoch, counter, globalCutoffKey = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
`;

/** What every script that publishes gets. */
export interface Publishing {
  readonly newEpoch: string;
  /** How long the keys live, and the age from which entries may be trimmed; in milliseconds. */
  readonly liveFor: number;
  readonly trimmedFrom: number;
}

interface Publication extends Publishing {
  readonly entries: readonly string[];
}

const PUBLISHING: ParametersOf<Publishing> = {
  newEpoch: string(({ newEpoch }) => newEpoch),
  liveFor: number(({ liveFor }) => liveFor),
  trimmedFrom: number(({ trimmedFrom }) => trimmedFrom),
};

const PUBLISH_IN_LUA = `${KEYS_IN_LUA}${DIGITS_IN_LUA}
local time = redis.call('TIME')

local function publish(entries)
  if redis.call('EXISTS', stream, epoch, counter) < 3 then
    redis.call('DEL', stream, epoch, counter)
    redis.call('SET', epoch, newEpoch)
  end
  local oldest = digits(math.max(time[1] * 1000 - trimmedFrom, 0))
  for _, entry in ipairs(entries) do
    redis.call('XADD', stream, 'MINID', '~', oldest, '*', 'n', entry)
    redis.call('INCR', counter)
  end
  redis.call('XTRIM', stream, 'MAXLEN', '~', 1000000)
  for _, key in ipairs({ stream, epoch, counter }) do redis.call('PEXPIRE', key, digits(liveFor)) end
end
`;

/** Writes entries of the feed. */
export const PUBLISH = script<Publication, null>({
  parameters: PUBLISHING,
  rest: ({ entries }) => entries,
  lua: `${PUBLISH_IN_LUA}
publish({ unpack(ARGV, firstOfRest) })
return false
`,
  decode: () => null,
});

/**
 * Defines `standingGlobalCutoff(key, known)`, which returns the global cutoff as a string: the later one of what the key
 * holds and what the caller knows, so that a lost one is written back. Empty if there is no valid one.
 *
 * GETEX without options changes nothing. But it is refused wherever writes are refused: on a replica, which may lag, and on
 * a master that is cut off from its replicas while revocations are acknowledged elsewhere.
 */
const GLOBAL_CUTOFF_IN_LUA = `${GLOBAL_CUTOFF.parser}
local function momentOf(text)
  local cutoff = parseGlobalCutoff(text)
  return cutoff and cutoff.at > 0 and cutoff.at <= ${LAST_MOMENT} and cutoff.at or 0
end

local function standingGlobalCutoff(key, known)
  local kept = redis.call('GETEX', key) or ''
  if kept == known then return kept end
  if momentOf(known) > momentOf(kept) then
    redis.call('SET', key, known, 'PX', ${CUTOFF_FOR})
    return known
  end
  return momentOf(kept) > 0 and kept or ''
end
`;

/** The global cutoff that the caller knows, as a string. Empty if it knows none. */
interface Known {
  readonly known: string;
}

export interface GlobalCutoffToSet extends Known, Publishing {
  readonly reason: string;
  readonly by: string | null;
  readonly origin: string;
}

/** What an entry of the feed that tells a global cutoff begins with, before the cutoff's text. */
export const GLOBAL_CUTOFF_MARK = 'g';

/**
 * Sets the global cutoff by Redis's own clock, and publishes it: of several that are set at once, every reader learns in
 * the same order. Returns the texts of the one before it (empty: none) and of the new one.
 */
export const END_EVERYWHERE = script<GlobalCutoffToSet, readonly string[]>({
  parameters: {
    ...PUBLISHING,
    known: string(({ known }) => known),
    origin: string(({ origin }) => origin),
    by: string(({ by }) => by),
    reason: string(({ reason }) => reason),
  },
  lua: `${PUBLISH_IN_LUA}${GLOBAL_CUTOFF_IN_LUA}${GLOBAL_CUTOFF.formatter}
local before = standingGlobalCutoff(globalCutoffKey, known)
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local text = formatGlobalCutoff({ at = math.max(now, momentOf(before) + 1), origin = origin, by = by, reason = reason })
redis.call('SET', globalCutoffKey, text, 'PX', ${CUTOFF_FOR})
publish({ '${GLOBAL_CUTOFF_MARK}' .. text })
return { before, text }
`,
  decode: (reply) => listOf(reply).map(stringOf),
});

/**
 * Reads one copy of the global cutoff: a string, empty if there is none. KEYS[1] is the copy. If the caller knows a later
 * cutoff, that one is written to the copy and returned.
 */
export const READ_GLOBAL_CUTOFF = script<Known, string>({
  parameters: { known: string(({ known }) => known) },
  lua: `${GLOBAL_CUTOFF_IN_LUA}
return standingGlobalCutoff(KEYS[1], known)
`,
  decode: stringOf,
});

export interface Entry {
  readonly id: string;
  readonly text: string;
}

/** Identifies an entry: its id, and a digest of its text. Empty if there is no entry. */
type EntryMark = string;

/** A reader's position in the feed. A next reading that missed nothing continues from it. */
export interface FeedPosition {
  /** Empty if nothing was ever written. */
  readonly epoch: string;
  readonly count: number;
  /** '0-0' if the stream has no entry. */
  readonly lastId: string;
  /** The entry at `lastId`. */
  readonly lastEntry: EntryMark;
}

export interface Reading extends FeedPosition {
  readonly entries: readonly Entry[];
  /** The last of `entries`, if there are as many as were asked for. Otherwise empty. */
  readonly endOfPage: EntryMark;
  /** The last entry that the stream now has up to the position from which this reading continues. */
  readonly entryBefore: EntryMark;
  /** Redis's clock, in milliseconds. */
  readonly now: number;
  /** The global cutoff as a string. Empty if there is none. */
  readonly globalCutoff: string;
}

interface ReadRequest extends Known {
  /** The last id that was read. Empty: read no entries. */
  readonly lastId: string;
  /** The most entries to read. */
  readonly page: number;
}

/**
 * Reads the entries that follow an entry, and what shows whether any is missing. Every process runs it in every round, so it
 * makes as few calls as it can: one XRANGE, if the entry that was read last is still there and the page is not full.
 *
 * An id alone does not name an entry: after a loss, a clock that goes back can give the same id again, or lower ones.
 */
export const READ = script<ReadRequest, Reading>({
  parameters: {
    lastIdRead: string(({ lastId }) => lastId),
    page: number(({ page }) => page),
    known: string(({ known }) => known),
  },
  lua: `${KEYS_IN_LUA}${DIGITS_IN_LUA}${GLOBAL_CUTOFF_IN_LUA}
local time = redis.call('TIME')
local cutoff = standingGlobalCutoff(globalCutoffKey, known)
local function digestOf(entry)
  return entry and entry[1] .. ' ' .. redis.sha1hex(entry[2][2]) or ''
end
local function lastUpTo(id)
  return redis.call('XREVRANGE', stream, id, '-', 'COUNT', 1)[1]
end
local entries, before, last = {}, nil, nil
if lastIdRead == '' then
  last = lastUpTo('+')
else
  entries = redis.call('XRANGE', stream, lastIdRead, '+', 'COUNT', page + 1)
  if entries[1] and entries[1][1] == lastIdRead then
    before = table.remove(entries, 1)
  else
    before = lastUpTo(lastIdRead)
    entries[page + 1] = nil
  end
  last = #entries == page and lastUpTo('+') or entries[#entries] or before
end
local lastEntry = digestOf(last)
local noted = redis.call('MGET', epoch, counter)
return { noted[1] or '', noted[2] or '0', last and last[1] or '0-0', lastEntry, entries,
  #entries == page and digestOf(entries[page]) or '', before == last and lastEntry or digestOf(before),
  digits(time[1] * 1000 + math.floor(time[2] / 1000)), cutoff }
`,
  decode(reply) {
    const [epoch, count, lastId, lastEntry, entries, endOfPage, entryBefore, now, globalCutoff] = listOf(reply);
    return {
      epoch: stringOf(epoch),
      count: integerOf(count),
      lastId: stringOf(lastId),
      lastEntry: stringOf(lastEntry),
      entries: listOf(entries).map(entryOf),
      endOfPage: stringOf(endOfPage),
      entryBefore: stringOf(entryBefore),
      now: integerOf(now),
      globalCutoff: stringOf(globalCutoff),
    };
  },
});

function integerOf(value: unknown): number {
  const integer = Number(stringOf(value));
  if (!Number.isSafeInteger(integer)) throw new TypeError('Redis answered with something other than an integer');
  return integer;
}

/** The text of an unknown entry is empty, which is not a notice. */
function entryOf(entry: unknown): Entry {
  const [id, fields] = listOf(entry);
  const [name, text] = listOf(fields);
  return { id: stringOf(id), text: name === 'n' ? stringOf(text) : '' };
}
