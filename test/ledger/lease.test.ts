/** What ends a lease, and that no use is lost which only a lease has noted. */

import { sessionHandle, sessionUser, type TokenTimes } from '../../lib/core/session.js';
import { Entry } from '../../lib/ledger/entry.js';
import { FeedFreshness } from '../../lib/ledger/freshness.js';
import { withoutVouch } from '../../lib/ledger/knowledge.js';
import { Lease } from '../../lib/ledger/lease.js';
import { POLICY } from './simulation.js';

const NOW = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;
const TOKEN: TokenTimes = { beganAt: NOW, expiresAt: NOW + 60 * MINUTE, lifetime: null, sessionEndsAt: null };
const LATER: TokenTimes = { ...TOKEN, expiresAt: NOW + 90 * MINUTE };
const USER = sessionUser('https://id.example.com/', 'ann');

interface Leased {
  readonly feed: { time: number };
  readonly freshness: FeedFreshness;
  readonly entry: Entry;
  readonly lease: Lease;
  readonly activity: Entry['activity'];
}

function leased(): Leased {
  const feed = { time: 0, age: () => feed.time };
  const freshness = new FeedFreshness(feed, 5000, () => 0);
  const policy = { ...POLICY, idleTimeout: 30 * MINUTE };
  const handle = sessionHandle(USER, 'a1');
  const entry: Entry = new Entry(
    { user: USER, handle, times: TOKEN },
    { user: USER, policy, entries: new Set() },
    NOW,
    () => entry,
  );
  entry.activity.isTracked = true;
  entry.activity.written(NOW, TOKEN);
  entry.activity.usedAt(NOW + 1);
  const lease = new Lease({ session: entry, freshness, from: NOW + 1, until: NOW + MINUTE });
  entry.activity.grant(lease);
  return { feed, freshness, entry, lease, activity: entry.activity };
}

test.each<[what: string, change: (of: Leased) => void]>([
  ['new knowledge: an answer', ({ entry }) => (entry.knowledge = { ...entry.knowledge })],
  ['an eviction', ({ entry }) => (entry.knowledge = withoutVouch(entry.knowledge))],
  ['the end of the session', ({ entry }) => entry.end()],
  ['a gap of the feed', ({ freshness }) => freshness.startGeneration()],
  ['an ending of all sessions', ({ freshness }) => freshness.endLeases()],
  ['a feed older than the bound', ({ feed }) => (feed.time = 5001)],
  ['a feed of unknown age', ({ feed }) => (feed.time = NaN)],
  ['a token that expires later', ({ activity }) => activity.extend(LATER)],
  ['a pause, although the clock is set back after it', ({ activity }) => activity.usedAt(NOW + 31 * MINUTE)],
  ['a use that was written', ({ activity }) => activity.written(NOW + 5, TOKEN)],
  ['a use elsewhere', ({ activity }) => activity.usedElsewhere(NOW + 5, NOW + 60 * MINUTE)],
  [
    'another lease',
    ({ entry, freshness, activity }) =>
      activity.grant(new Lease({ session: entry, freshness, from: NOW, until: NOW + MINUTE })),
  ],
])('%s ends it', (_what, change) => {
  const all = leased();
  expect(all.lease.use(NOW + 2)).toBe(true);
  change(all);
  expect(all.lease.use(NOW + 3)).toBe(false);
});

test.each([
  ['before it began: the clock was set back', NOW, false],
  ['when it began', NOW + 1, true],
  ['just before its end', NOW + MINUTE - 1, true],
  ['at its end', NOW + MINUTE, false],
  ['at no time at all', NaN, false],
])('%s', (_when, at, good) => {
  expect(leased().lease.use(at)).toBe(good);
});

test('its uses count for the session, also after it has ended', () => {
  const { activity, lease, entry } = leased();
  lease.use(NOW + 2000);
  expect(activity).toMatchObject({ lastSeenAt: NOW + 2000, isUnwritten: true });
  lease.use(NOW + 1000);
  expect(activity.lastSeenAt).toBe(NOW + 2000);
  entry.end();
  expect(activity.lastSeenAt).toBe(NOW + 2000);
});

test('it is not to be had while a use has to be looked at', () => {
  const { activity } = leased();
  activity.dueAt = NOW + MINUTE;
  expect(activity.onlySeenUntil).toBe(NOW + MINUTE);
  activity.written(NOW + 1, TOKEN);
  expect(activity.onlySeenUntil).toBe(-Infinity);
  activity.usedAt(NOW + 2);
  activity.locate({ app: null, actor: null }, { at: NOW + 2, ip: null, userAgent: 'curl', byProgram: true });
  expect(activity.onlySeenUntil).toBe(-Infinity);
});
