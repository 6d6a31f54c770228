/** How long a session, its row and its tombstone are kept: the moments themselves. */

import {
  expiresAt,
  extendedUntil,
  LAST_MOMENT,
  rowUntil,
  tokenEndsAt,
  tombstoneUntil,
  type SessionPolicy,
  type SessionTimes,
} from '../../lib/core/policy.js';
import type { TokenTimes } from '../../lib/core/session.js';

const NOW = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TOLERANCE = 5_000;

const POLICY: SessionPolicy = {
  idleTimeout: null,
  clockTolerance: TOLERANCE,
  tombstoneFor: 30 * DAY,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
};
const TIMES: SessionTimes = {
  startedAt: NOW,
  lastSeenAt: NOW,
  lifetime: null,
  tokensEndAt: NOW + HOUR,
  endsAt: null,
};
const TOKEN: TokenTimes = { beganAt: NOW, expiresAt: NOW + HOUR, lifetime: null, sessionEndsAt: null };

test.each<[string, Partial<SessionTimes>, Partial<SessionPolicy>, number]>([
  ['a day after the last token', {}, {}, NOW + HOUR + DAY],
  ['no longer than a tombstone', {}, { tombstoneFor: HOUR }, NOW + 2 * HOUR],
  ['while the clock tolerance lets a token pass', {}, { tombstoneFor: 1, clockTolerance: HOUR }, NOW + 2 * HOUR],
  ['until the lifetime is over', { lifetime: 9 * DAY }, {}, NOW + 9 * DAY + TOLERANCE],
  [
    'a day after the lifetime, though a token never expires',
    { lifetime: HOUR, tokensEndAt: LAST_MOMENT },
    {},
    NOW + HOUR + TOLERANCE + DAY,
  ],
  [
    'a day after session_expiry, though a token expires later',
    { endsAt: NOW + HOUR, tokensEndAt: NOW + 9 * DAY },
    {},
    NOW + HOUR + TOLERANCE + DAY,
  ],
  ['without an end, for ever', { tokensEndAt: LAST_MOMENT }, {}, LAST_MOMENT],
])('a row is kept %s', (_, times, policy, until) => {
  expect(rowUntil({ ...TIMES, ...times }, { ...POLICY, ...policy })).toBe(until);
});

test.each<[string, Partial<SessionTimes>, Partial<SessionPolicy>, number]>([
  ['tombstoneFor after the last token', {}, {}, NOW + HOUR + 30 * DAY],
  ['until the lifetime is over', { lifetime: 60 * DAY }, {}, NOW + 60 * DAY + TOLERANCE],
  [
    'until session_expiry if that ends the lifetime',
    { lifetime: 60 * DAY, endsAt: NOW + 40 * DAY },
    {},
    NOW + 40 * DAY + TOLERANCE,
  ],
  ['tombstoneFor after the last token, though session_expiry is before', { endsAt: NOW }, {}, NOW + HOUR + 30 * DAY],
  ['while the clock tolerance lets a token pass', {}, { tombstoneFor: 1, clockTolerance: HOUR }, NOW + 2 * HOUR],
  ['until the last moment at most', { tokensEndAt: LAST_MOMENT }, {}, LAST_MOMENT],
])('a tombstone is kept %s', (_, times, policy, until) => {
  expect(tombstoneUntil({ ...TIMES, ...times }, { ...POLICY, ...policy })).toBe(until);
});

const NEEDED = NOW + HOUR + 30 * DAY;

test.each<[string, number, Partial<TokenTimes>, number]>([
  ['as it is by a token that it outlives', NEEDED + 1, {}, NEEDED + 1],
  ['as it is by a token that needs just this', NEEDED, {}, NEEDED],
  ['tombstoneFor more than a token needs', NEEDED - 1, {}, NEEDED + 30 * DAY],
  [
    'by no more than session_expiry makes of a token',
    NOW,
    { expiresAt: NOW + DAY, sessionEndsAt: NOW + HOUR },
    NEEDED + 30 * DAY,
  ],
  ['by no more than its lifetime makes of a token', NOW, { expiresAt: null, lifetime: HOUR }, NEEDED + 30 * DAY],
  ['to the last moment at most', NOW, { expiresAt: null }, LAST_MOMENT],
])('a tombstone is extended: %s', (_, until, times, extended) => {
  expect(extendedUntil(until, { ...TOKEN, ...times }, POLICY)).toBe(extended);
});

test.each<[string, Partial<TokenTimes>, number]>([
  ['by exp', {}, NOW + HOUR],
  ['by the lifetime', { lifetime: MINUTE }, NOW + MINUTE],
  ['by exp before the lifetime', { lifetime: DAY }, NOW + HOUR],
  ['by session_expiry', { sessionEndsAt: NOW + MINUTE }, NOW + MINUTE],
  ['not by a lifetime whose start only the store knows', { beganAt: null, lifetime: MINUTE }, NOW + HOUR],
  ['at the last moment', { expiresAt: null }, LAST_MOMENT],
])('a token ends %s', (_, times, end) => {
  expect(tokenEndsAt({ ...TOKEN, ...times })).toBe(end);
});

test.each<[string, Partial<SessionTimes>, number]>([
  ['when its last token ends', {}, NOW + HOUR],
  ['after its lifetime', { lifetime: MINUTE }, NOW + MINUTE],
  ['after its lifetime, though its tokens end before', { lifetime: DAY }, NOW + DAY],
  ['by session_expiry', { endsAt: NOW + MINUTE }, NOW + MINUTE],
  ['by session_expiry before its lifetime is over', { lifetime: DAY, endsAt: NOW + MINUTE }, NOW + MINUTE],
])('a session is shown to end %s', (_, times, end) => {
  expect(expiresAt({ ...TIMES, ...times })).toBe(end);
});
