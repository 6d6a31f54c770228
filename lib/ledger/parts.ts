/** Connects the parts of a ledger. */

import { UnwrittenActivity } from './activity.js';
import { Announcements } from './announcements.js';
import { Answers } from './answers.js';
import { Availability, callAsync } from './availability.js';
import { ENDED_LIMITS, EndedSessions } from './ended.js';
import { Endings } from './endings.js';
import { FeedFreshness } from './freshness.js';
import { KnownGlobalCutoff } from './global-cutoff.js';
import { Judge } from './judge.js';
import type { LedgerOptions } from './ledger.js';
import { Questions } from './questions.js';
import { Recovery } from './recovery.js';
import { SessionTable } from './table.js';
import { RunOutCheck, WatchedEntries } from './watchers.js';

const ENTRY_LIMIT = 100_000;

export type Parts = ReturnType<typeof connect>;

export function connect(options: LedgerOptions) {
  const { store, clock, emit, storeTimeout, revocationBound } = options;
  const monotonic = options.monotonic ?? (() => performance.now());
  const availability = new Availability({ storeTimeout, emit, monotonic });
  const announcements = new Announcements(emit);
  const ended = new EndedSessions(options.endedLimits ?? ENDED_LIMITS, (count) => {
    emit('tombstonesDropped', { count });
  });
  const watched = new WatchedEntries();
  const table: SessionTable = new SessionTable(options.entryLimit ?? ENTRY_LIMIT, options.policyOf, (entry) => {
    if (entry.activity.isUnwritten) judge.confirmInBackground(entry);
    else if (entry.call === null) answers.releaseIfUnused(entry);
  });
  const unwritten: UnwrittenActivity = new UnwrittenActivity((entry) => judge.confirm(entry));
  const feed = store.feed({
    notice: (notice) => {
      endings.onNotice(notice);
    },
    globalCutoff: (cutoff) => {
      endings.learnGlobalCutoff(cutoff);
    },
    // Entries were missed. Everything is asked for again, and the known endings are written back.
    gap: () => {
      freshness.startGeneration();
      recovery.start();
    },
  });
  const freshness: FeedFreshness = new FeedFreshness(feed, revocationBound, monotonic);
  const globalCutoff = new KnownGlobalCutoff({
    monotonic,
    feedAge: () => feed.age(),
    longestAge: revocationBound / 2,
    catchUp: () => availability.withTimeout(callAsync(() => store.catchUp())),
  });
  const random = options.random ?? Math.random;
  const clientKeyOf = options.clientKeyOf ?? (() => null);
  const questions = new Questions({
    ...options,
    random,
    clientKeyOf,
    availability,
    freshness,
    globalCutoff,
    monotonic,
  });
  const recovery: Recovery = new Recovery({
    ...options,
    availability,
    ended,
    freshness,
    table,
    watched,
    confirm: (entry) => judge.confirm(entry),
  });
  const endings: Endings = new Endings({
    clock,
    origin: store.origin,
    ended,
    globalCutoff,
    table,
    watched,
    questions,
    announcements,
    unwritten,
    recovery,
  });
  const answers: Answers = new Answers({ ended, endings, freshness, table, unwritten, announcements, recovery });
  const judge: Judge = new Judge({
    ...options,
    track: options.track ?? (() => true),
    freshness,
    table,
    watched,
    ended,
    endings,
    questions,
    answers,
    availability,
    unwritten,
    recovery,
  });
  const runOut = new RunOutCheck({ store, availability, watched, endings });
  return {
    monotonic,
    feed,
    freshness,
    availability,
    ended,
    endings,
    globalCutoff,
    table,
    watched,
    unwritten,
    questions,
    recovery,
    runOut,
    judge,
  };
}
