/** The script that makes a user's tokens stale. Atomic. */

import { ERASED } from '../../core/erased.js';
import { LAST_MOMENT } from '../../core/policy.js';
import { keptWords } from '../../core/session.js';
import type { StaleTokens } from '../../core/stale.js';
import { STALE } from './records.js';
import { flag, formatted, listOf, numberOrNull, string, stringOf } from './script.js';
import { userScript } from './session-prelude.js';

/** A new declaration is dated by the script, at `upTo` at the latest. One that is written back keeps its own times. */
interface StaleToSet {
  readonly upTo: number | null;
  /** Null for a new one. */
  readonly until: number | null;
  readonly reason: string;
  readonly by: string | null;
}

export interface StaleSet {
  /** Null if it was to be written back, and is to be forgotten by now. */
  readonly standing: StaleTokens | null;
  /** Whether it is later than what stood before. */
  readonly isNews: boolean;
}

/** Keeps the later of two declarations, for as long as either is kept. */
export const EXPIRE_TOKENS = userScript<StaleToSet, StaleSet>({
  parameters: {
    upTo: numberOrNull(({ upTo }) => upTo),
    lostUntil: numberOrNull(({ until }) => until),
    isLost: flag(({ until }) => until !== null),
    by: string((declared) => keptWords(declared).by),
    reason: string((declared) => keptWords(declared).reason),
  },
  lua: `${STALE.formatter}
if isLost and lostUntil < past then return { '', '' } end
-- What was erased stays so, also if a process that does not know of it writes it back.
if isLost and cutoff and upTo <= cutoff.erasedAt then by, reason = '', '${ERASED}' end
-- If Redis's clock is ahead of the caller's, a token that is issued next would be stale.
local declaredAt = isLost and upTo or math.min(now, at, upTo or at)
local declaredUntil = lostUntil or math.min(at + tombstoneFor, ${LAST_MOMENT})
local before = stale
if not stale or stale.at < declaredAt then stale = { at = declaredAt, keptUntil = declaredUntil, by = by, reason = reason } end
stale.keptUntil = math.max(declaredUntil, before and before.keptUntil or 0)
local text = formatStale(stale)
if text ~= staleText then redis.call('HSET', sessions, 'stale', text) end
keepSessionsUntil(stale.keptUntil)
return { text, stale ~= before and '1' or '' }
`,
  /** Reply: which tokens are stale; '1' if that is news. */
  decode(reply) {
    const [text, isNews] = listOf(reply).map(stringOf);
    if (text === '') return { standing: null, isNews: false };
    return { standing: formatted(STALE, text), isNews: isNews === '1' };
  },
});
