/** Connects the parts of a ledger. */

import type { FeedListener, RevocationFeed } from '../stores/store.js';
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
import { Questions, type QuestionsOptions } from './questions.js';
import { Recovery, type RecoveryOptions } from './recovery.js';
import { SessionTable } from './table.js';
import { RunOutCheck, WatchedEntries, type RunOutCheckOptions } from './watchers.js';

const ENTRY_LIMIT = 100_000;

export interface Parts {
  readonly monotonic: () => number;
  readonly feed: RevocationFeed;
  readonly freshness: FeedFreshness;
  readonly availability: Availability;
  readonly ended: EndedSessions;
  readonly endings: Endings;
  readonly globalCutoff: KnownGlobalCutoff;
  readonly table: SessionTable;
  readonly watched: WatchedEntries;
  readonly unwritten: UnwrittenActivity;
  readonly questions: Questions;
  readonly recovery: Recovery;
  readonly runOut: RunOutCheck;
  readonly judge: Judge;
}

export function connect(options: LedgerOptions): Parts {
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
  const feed = store.feed(listenerOf(() => ({ endings, freshness, recovery })));
  const freshness: FeedFreshness = new FeedFreshness(feed, revocationBound, monotonic);
  const globalCutoff = new KnownGlobalCutoff({
    monotonic,
    feedAge: () => feed.age(),
    longestAge: revocationBound / 2,
    catchUp: () => availability.withTimeout(callAsync(() => store.catchUp())),
  });
  const asking = { availability, freshness, globalCutoff, monotonic, answers: () => answers };
  const questions: Questions = new Questions(questionsOptions(options, asking));
  const recovery: Recovery = new Recovery(
    recoveryOptions(options, { availability, ended, freshness, table, watched, judge: () => judge }),
  );
  const endings: Endings = new Endings({
    clock,
    origin: store.origin,
    ended,
    globalCutoff,
    table,
    watched,
    questions,
    announcements,
    onRetired: (entry) => {
      unwritten.delete(entry);
    },
    onStoreLostData: () => {
      recovery.start();
    },
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
  const runOut = new RunOutCheck(runOutOptions(options, { availability, endings, table, watched, unwritten }));
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

function listenerOf(parts: () => Pick<Parts, 'endings' | 'freshness' | 'recovery'>): FeedListener {
  return {
    notice: (notice) => {
      parts().endings.onNotice(notice);
    },
    globalCutoff: (cutoff) => {
      parts().endings.learnGlobalCutoff(cutoff);
    },
    // Entries of the feed were missed: everything is asked for again, and what is known to be ended is written back.
    gap: () => {
      parts().freshness.startGeneration();
      parts().recovery.start();
    },
  };
}

function questionsOptions(
  { store, activityInterval, random = Math.random, clientKeyOf = () => null }: LedgerOptions,
  asking: Pick<Parts, 'availability' | 'freshness' | 'globalCutoff' | 'monotonic'> & { answers: () => Answers },
): QuestionsOptions {
  const { answers, ...parts } = asking;
  return {
    ...parts,
    store,
    activityInterval,
    random,
    clientKeyOf,
    onAnswer: (...answered) => {
      answers().apply(...answered);
    },
    onLateAnswer: (...answered) => {
      answers().applyLate(...answered);
    },
    onSettled: (entry) => {
      answers().releaseIfUnused(entry);
    },
  };
}

function recoveryOptions(
  { store, clock, activityInterval, storeTimeout, policyOf }: LedgerOptions,
  parts: Pick<Parts, 'availability' | 'ended' | 'freshness' | 'table' | 'watched'> & { judge: () => Judge },
): RecoveryOptions {
  const { availability, ended, freshness, table, watched, judge } = parts;
  return {
    ended: () => ended.byUser(clock.now()),
    async writeBack({ user, tombstones, cutoff }) {
      const known = { tombstones, cutoff, at: clock.now(), policy: policyOf(user.issuer) };
      await availability.withTimeout(callAsync(() => store.restore(user, known)));
    },
    // Without waiting for their next request: somebody may hold a connection open.
    unseen() {
      const inUse = table.seenSince(clock.now() - 2 * activityInterval);
      return [...new Set([...inUse, ...watched.held()])].filter(
        ({ knowledge }) => knowledge.state !== 'live' || knowledge.vouch?.generation !== freshness.generation,
      );
    },
    confirm: (entry) => judge().confirm(entry),
    pause: storeTimeout,
  };
}

function runOutOptions(
  { store, clock }: LedgerOptions,
  parts: Pick<Parts, 'availability' | 'endings' | 'table' | 'watched' | 'unwritten'>,
): RunOutCheckOptions {
  const { availability, endings } = parts;
  return {
    read: ({ user, handle, policy }) =>
      availability.withTimeout(callAsync(() => store.get(user, handle, clock.now(), policy))),
    isWatched: (entry) => parts.watched.find(entry.handle) === entry,
    onLapsed(entry) {
      endings.letGo(entry);
    },
    onEnded(entry, ending, until) {
      endings.learnRunOut(entry, ending, until);
    },
  };
}
