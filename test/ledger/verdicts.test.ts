/** The table of verdicts, judged by the ledger's memory: it must ask the store whenever a session is not plainly live. */

import { assess, type Freshness, type Knowledge, type KnownSession } from '../../lib/ledger/knowledge.js';
import { goodFrom } from '../../lib/core/stale.js';
import { VERDICTS, type VerdictRow } from '../stores/verdicts.js';

/** The feed is fresh, and the store has just been asked. */
const FRESH: Freshness = { generation: 0, bound: 5000, ageOf: () => 0 };
const VOUCH = { generation: 0, asOf: 0, isCovered: true };

/** What a process knows that asked for the record, and heard of each ending since. */
function knownOf({ at, policy, token, record, tombstone, staleTokens, verdict }: VerdictRow): KnownSession {
  const { startedAt, endsAt, survivedCutoffAt, lastSeenAt, lifetime, tokensEndAt } = record ?? {
    startedAt: token.beganAt ?? 0,
    endsAt: token.sessionEndsAt,
    survivedCutoffAt: 0,
    lastSeenAt: token.beganAt ?? 0,
    lifetime: token.lifetime,
    tokensEndAt: token.expiresAt ?? Infinity,
  };
  const known = { startedAt, endsAt, survivedCutoffAt, expiresAt: tokensEndAt, isRecorded: record !== null };
  // Answers do not tell of what was forgotten.
  const isForgotten = staleTokens === null || staleTokens.until < at;
  const facts = { ...known, goodFrom: goodFrom(isForgotten ? null : staleTokens) };
  return {
    knowledge: knowledge(),
    activity: { lastSeenAt, hasPaused: false, token: { ...token, lifetime }, tokensEndAt },
    policy,
  };

  function knowledge(): Knowledge {
    if (tombstone !== null) return { state: 'ended', facts };
    if (record === null) return { state: 'unasked', facts };
    // The notice of a cutoff takes the vouch away.
    const isCutOff = verdict.state === 'ended' && !verdict.wasLive && ['cutoff', 'global cutoff'].includes(verdict.by);
    return { state: 'live', facts, vouch: isCutOff ? null : VOUCH };
  }
}

/** The token tells nothing new of a session that was live. */
function isPlain({ record, verdict }: VerdictRow): boolean {
  if (verdict.state !== 'live' || verdict.before !== 'live') return false;
  return record?.startedAt === verdict.startedAt && record.endsAt === verdict.endsAt;
}

/** What a process tells a store is what it has in memory itself. */
const ROWS = VERDICTS.filter(({ knownUse }) => knownUse === null);

test.each(ROWS.map((row) => ({ ...row, expected: isPlain(row) ? 'vouched' : 'ask' })))(
  '$name: $expected',
  ({ expected, ...row }) => {
    expect(assess(knownOf(row), row.token, row.at, FRESH)).toBe(expected);
  },
);
