/** Connects the parts of a ledger. */

import { elapsedClock } from '../core/elapsed.js';
import type { Emit } from '../core/events.js';
import { handlesBy, type Handles } from '../core/handles.js';
import type { SessionPolicy } from '../core/policy.js';
import type { SessionStore } from '../stores/store.js';
import type { VerifiedToken } from '../tokens/verify.js';
import { UnwrittenActivity } from './unwritten.js';
import { Announcements } from './announcements.js';
import { Answers } from './answers.js';
import { Availability, callAsync } from './availability.js';
import { Backlog } from './backlog.js';
import { ClockComparison } from './clocks.js';
import { ENDED_LIMITS, EndedSessions, type EndedLimits } from './ended.js';
import { EndedRefusals } from './ended-refusals.js';
import { Endings } from './endings.js';
import { reportEviction } from './eviction.js';
import { FeedFreshness } from './freshness.js';
import { KnownGlobalCutoff } from './global-cutoff.js';
import { Judge, type WhenStoreDown } from './judge.js';
import { Questions } from './questions.js';
import { Recovery } from './recovery.js';
import { RevocationQueue } from './revocation-queue.js';
import { SessionTable } from './table.js';
import { RunOutCheck } from './run-out.js';
import { WatchedEntries } from './watchers.js';

const ENTRY_LIMIT = 100_000;

export interface LedgerOptions {
  readonly store: SessionStore;
  readonly clock: { now(): number };
  /** The smallest of the issuers', in milliseconds. Default 0. */
  readonly clockTolerance?: number;
  /** By the issuer's name. */
  readonly policyOf: (issuer: string) => SessionPolicy;
  /** This and the other durations are in milliseconds. */
  readonly revocationBound: number;
  readonly activityInterval: number;
  readonly storeTimeout: number;
  readonly whenStoreDown: WhenStoreDown;
  readonly emit: Emit;
  /** How handles are shown in events. Default: as they are. */
  readonly handles?: Pick<Handles, 'shown'>;
  /** Whether a token's session is kept on record. Default: every session is. */
  readonly track?: (token: VerifiedToken) => boolean;
  /** A short digest of what the client is; null if that cannot be told. Called once per sighting. Default: null. */
  readonly clientKeyOf?: (userAgent: string | null) => string | null;
  /** Sessions held. Default 100,000. */
  readonly entryLimit?: number;
  readonly endedLimits?: EndedLimits;
  /** Milliseconds on a clock that never goes back. Default: one that counts the time of a suspension. */
  readonly monotonic?: () => number;
  /** From 0 to 1, for the jitter. Default `Math.random`. */
  readonly random?: () => number;
}

export type Parts = ReturnType<typeof connect>;

export function connect(options: LedgerOptions) {
  const { store, revocationBound } = options;
  const monotonic = options.monotonic ?? elapsedClock(Date, performance);
  const backlog = new Backlog(monotonic);
  const known = {
    ...knownOf(options, monotonic),
    backlog,
    table: new SessionTable(options.entryLimit ?? ENTRY_LIMIT, options.policyOf, (entry) => {
      endings.settle(entry);
      if (entry.activity.isUnwritten) judge.confirmInBackground(entry);
      else if (entry.call === null) answers.releaseIfUnused(entry);
    }),
    unwritten: new UnwrittenActivity((entry): Promise<void> => judge.confirm(entry), backlog),
  };
  const { availability, watched } = known;
  const clocks = new ClockComparison({ clockTolerance: 0, ...options });
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
    clock: (now, took) => {
      clocks.compare(now, took);
    },
    eviction: (policy) => {
      reportEviction(policy, options.emit);
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
  const asking = { ...options, ...known, freshness, globalCutoff, monotonic, random, clientKeyOf };
  const questions = new Questions(asking);
  const recovery: Recovery = new Recovery({
    ...options,
    ...known,
    freshness,
    confirm: (entry) => judge.confirm(entry),
  });
  const { origin } = store;
  const endings: Endings = new Endings({
    ...options,
    ...known,
    origin,
    globalCutoff,
    freshness,
    questions,
    recovery,
  });
  const answers: Answers = new Answers({ ...known, endings, freshness, recovery });
  const track = options.track ?? (() => true);
  const refusals = new EndedRefusals({ ...known, store, endings, recovery });
  const judge: Judge = new Judge({ ...options, ...known, track, freshness, endings, questions, answers, refusals });
  const runOut = new RunOutCheck({ store, availability, watched, questions, endings });
  const revocations = new RevocationQueue({ ...options, monotonic });
  return {
    ...known,
    monotonic,
    feed,
    freshness,
    endings,
    globalCutoff,
    questions,
    recovery,
    revocations,
    runOut,
    judge,
  };
}

function knownOf(options: LedgerOptions, monotonic: () => number) {
  const { store, emit, handles = handlesBy(null), endedLimits = ENDED_LIMITS } = options;
  const storeTimeout = store.settlesInTime === true ? null : options.storeTimeout;
  return {
    availability: new Availability({ storeTimeout, emit, monotonic }),
    announcements: new Announcements(emit, handles),
    ended: new EndedSessions(endedLimits, (count) => {
      emit('tombstonesDropped', { count });
    }),
    watched: new WatchedEntries(),
  };
}
