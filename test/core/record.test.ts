/** What the table of verdicts does not show: which of two cutoffs gives its words, and what a record keeps of them. */

import { endingCutoff, standingCutoff } from '../../lib/core/cutoff.js';
import type { SessionPolicy } from '../../lib/core/policy.js';
import { mergeSighting, NO_ROW, type KeptRecord } from '../../lib/core/record.js';

const NOW = Date.UTC(2026, 0, 1);
const POLICY: SessionPolicy = {
  idleTimeout: null,
  clockTolerance: 5_000,
  tombstoneFor: 86_400_000,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
};
const CUTOFF = standingCutoff(null, {
  at: NOW,
  except: null,
  reason: 'password_changed',
  by: null,
  origin: 'a-store',
  isRestored: false,
  isBackdated: false,
  erasedAt: 0,
});
const GLOBAL = { at: NOW, reason: 'incident', by: null, origin: 'a-store' };
const TOKEN = { beganAt: NOW - 60_000, expiresAt: NOW + 3_600_000, lifetime: null, sessionEndsAt: null };
const RECORD: KeptRecord = {
  startedAt: NOW - 60_000,
  lastSeenAt: NOW,
  lifetime: null,
  tokensEndAt: NOW + 3_600_000,
  endsAt: null,
  survivedCutoffAt: 0,
  ip: null,
  userAgent: null,
  byProgram: false,
  app: null,
  actor: null,
  hasNewClient: false,
  label: null,
};

describe('of two cutoffs that end a session', () => {
  test.each([
    ['the earlier one', NOW - 1, 'incident'],
    ['of the same moment the one of the user', NOW, 'password_changed'],
    ['never the later one', NOW + 1, 'password_changed'],
  ])('%s gives its words', (_, at, reason) => {
    const cutoffs = { cutoff: CUTOFF, globalCutoff: { ...GLOBAL, at } };
    const session = { handle: 'a1', startedAt: RECORD.startedAt, survivedCutoffAt: 0 };
    expect(endingCutoff(cutoffs, session, POLICY)).toMatchObject({ reason });
  });
});

test('a record keeps the latest cutoff that it survived, though the store forgot that or has an earlier one', () => {
  const sighting = { at: NOW, ip: null, userAgent: null };
  const survivor = { ...RECORD, survivedCutoffAt: NOW + 1 };
  expect(mergeSighting(survivor, NO_ROW, sighting, TOKEN, null).survivedCutoffAt).toBe(NOW + 1);
  expect(mergeSighting(survivor, NO_ROW, sighting, TOKEN, CUTOFF).survivedCutoffAt).toBe(NOW + 1);
  expect(mergeSighting(RECORD, NO_ROW, sighting, TOKEN, CUTOFF).survivedCutoffAt).toBe(NOW);
});
