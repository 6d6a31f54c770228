/**
 * What happens when this process learns that a session ended: it is refused from then on, its signal fires, and it is
 * announced once. Whoever is told of it may be told a little later, because many sessions may end at once.
 */

import {
  CUTOFF_FOR,
  endedByCutoff,
  endedByGlobalCutoff,
  endingByCutoff,
  type Cutoff,
  type GlobalCutoff,
} from '../core/cutoff.js';
import { tombstoneUntil } from '../core/policy.js';
import type { SessionUser } from '../core/session.js';
import type { StaleTokens } from '../core/stale.js';
import type { EndedByCutoff, Notice, Tombstone } from '../stores/store.js';
import type { UnwrittenActivity } from './unwritten.js';
import type { Announcements } from './announcements.js';
import { Attribution } from './attribution.js';
import type { Backlog } from './backlog.js';
import type { EndedSessions } from './ended.js';
import type { FeedFreshness } from './freshness.js';
import type { KnownGlobalCutoff } from './global-cutoff.js';
import { timesOf, withStale, type PresentedToken } from './knowledge.js';
import { tombstoneIn, type InferredEnding, type KnownEndings } from './verdict.js';
import type { Questions } from './questions.js';
import type { Recovery } from './recovery.js';
import type { Entry } from './entry.js';
import type { SessionTable } from './table.js';
import type { WatchedEntries } from './watchers.js';

export interface EndingsOptions {
  readonly clock: { now(): number };
  /** The origin of the store object that this process uses. */
  readonly origin: string;
  readonly ended: EndedSessions;
  readonly globalCutoff: KnownGlobalCutoff;
  readonly freshness: Pick<FeedFreshness, 'endLeases'>;
  readonly table: SessionTable;
  readonly watched: WatchedEntries;
  readonly questions: Questions;
  readonly announcements: Announcements;
  readonly unwritten: UnwrittenActivity;
  readonly recovery: Recovery;
  readonly backlog: Backlog;
}

export class Endings implements KnownEndings {
  readonly #options: EndingsOptions;
  readonly #attribution: Attribution;
  /** What ends a session by a cutoff that has not ended all of its sessions yet, the earliest first. */
  readonly #pending = new Set<(entry: Entry) => void>();

  constructor(options: EndingsOptions) {
    this.#options = options;
    this.#attribution = new Attribution((entry) => this.#attribute(entry));
  }

  get globalCutoff(): GlobalCutoff | null {
    return this.#options.globalCutoff.cutoff;
  }

  find(handle: string, now: number): Tombstone | undefined {
    return this.#options.ended.find(handle, now);
  }

  cutoffOf(userKey: string): Cutoff | undefined {
    return this.#options.ended.cutoffOf(userKey);
  }

  staleTokensOf(userKey: string, now: number): StaleTokens | null {
    return this.#options.ended.staleTokensOf(userKey, now);
  }

  isEnded(handle: string): boolean {
    return this.find(handle, this.#options.clock.now()) !== undefined;
  }

  /** The session, if this process has told somebody that it is live. */
  inUse(user: SessionUser, handle: string): Entry | undefined {
    const { table, watched } = this.#options;
    const entry = table.peek(handle) ?? watched.find(handle);
    return entry?.user.key === user.key && entry.isInUse ? entry : undefined;
  }

  /** Forgets the session and fires its signal. */
  letGo(entry: Entry): void {
    this.#forget(entry);
    this.#options.backlog.soon(() => entry.fireSignal());
  }

  /** Whether a session in use may have to be ended first: see {@link settle}. */
  get isBehind(): boolean {
    return this.#pending.size > 0;
  }

  /** Ends the session now, if a cutoff ends it and its turn has not come. */
  settle(entry: Entry | undefined): void {
    if (entry !== undefined) for (const end of this.#pending) end(entry);
  }

  onNotice(notice: Notice): void {
    const { user } = notice;
    this.#options.questions.overtake(user.key);
    switch (notice.kind) {
      case 'ended':
        this.learnTombstone(user, notice.tombstone, 'notice');
        return;
      case 'cutoff':
        this.#learnCutoff(notice);
        return;
      case 'stale':
        this.learnStale(user, notice.staleTokens);
    }
  }

  /** The user's sessions stay as they are, but memory answers no longer for a token that may be stale. */
  learnStale(user: SessionUser, staleTokens: StaleTokens): void {
    const { ended, table, clock } = this.#options;
    if (!ended.addStale(user, staleTokens, clock.now())) return;
    for (const entry of table.ofUser(user.key)) entry.knowledge = withStale(entry.knowledge, staleTokens);
  }

  /** The store has this tombstone: its origin says who ended the session. */
  learnTombstone(user: SessionUser, tombstone: Tombstone, by: 'notice' | 'answer'): void {
    const { handle } = tombstone;
    const known = this.#add(user, tombstone, false);
    const entry = this.inUse(user, handle);
    if (entry !== undefined) this.letGo(entry);
    const wasInUse = entry !== undefined || this.#attribution.settle(handle);
    const isOwn = known.ending.origin === this.#options.origin;
    if (by === 'notice' || wasInUse || isOwn) this.#announce(user, known);
  }

  /** Remembers a session that a cutoff ended: a store that has lost data would call it live. */
  learnInferred({ user, handle }: PresentedToken, { ending, until, isByGlobalCutoff }: InferredEnding): void {
    const known = this.#add(user, { handle, ending, until }, true);
    const entry = this.inUse(user, handle);
    if (entry === undefined) return;
    this.letGo(entry);
    if (isByGlobalCutoff) this.#announce(user, known);
    else this.#attribution.add(entry);
  }

  learnGlobalCutoff(cutoff: GlobalCutoff): void {
    const { globalCutoff, freshness, questions, table, watched } = this.#options;
    globalCutoff.learn(cutoff);
    freshness.endLeases();
    questions.overtakeAll();
    const end = (entry: Entry): void => {
      if (endedByGlobalCutoff(cutoff, entry.startedAt, entry.policy)) this.#cutOff(entry, cutoff, true);
    };
    this.#endInSlices(oneAfterTheOther(table.all(), watched.held()), end, end);
  }

  /** Asks again who ended the sessions of which that is not known yet. */
  retryAttribution(): void {
    this.#attribution.retry();
  }

  async #attribute(entry: Entry): Promise<void> {
    const { questions, clock, recovery } = this.#options;
    const { user, handle, policy, activity } = entry;
    const presented = { user, handle, times: activity.token };
    // The store is told what is known here: it writes no tombstone for a session of which it knows nothing.
    const { answer } = await questions.peek(presented, policy, clock.now(), entry.knownUse(activity.lastSeenAt));
    if (answer.state === 'ended') {
      this.learnTombstone(user, tombstoneIn(answer, handle, clock.now()), 'answer');
      return;
    }
    // The store has lost both the tombstone and the cutoff. What is written back has the cutoff's origin.
    recovery.start();
    const tombstone = this.find(handle, clock.now());
    if (this.#attribution.settle(handle) && tombstone !== undefined) this.#announce(user, tombstone);
  }

  #learnCutoff({ user, cutoff, ended: batch }: Extract<Notice, { kind: 'cutoff' }>): void {
    const { clock, ended, table, watched, backlog } = this.#options;
    for (const { activity } of table.ofUser(user.key)) activity.endLease();
    const learn = ({ handle, expiresAt, until }: EndedByCutoff): void => {
      this.learnTombstone(user, { handle, ending: endingByCutoff(cutoff, expiresAt), until }, 'notice');
    };
    this.#endInSlices(batch, learn, ({ handle }) => {
      const named = batch.find((one) => one.handle === handle);
      if (named !== undefined) learn(named);
    });
    const now = clock.now();
    // An earlier one that is heard later may end what the later one excepted.
    const before = ended.cutoffOf(user.key);
    if (before?.at === cutoff.at) return;
    if (cutoff.erasedAt > (before?.erasedAt ?? 0)) void ended.eraseWords(user.key, backlog);
    ended.addCutoff(user, cutoff, now + CUTOFF_FOR, now);
    // As of now: the store knows which later logins survive it, and this process may not.
    const known = new Set([...table.ofUser(user.key), ...watched.ofUser(user.key)]);
    const end = (entry: Entry): void => {
      const { handle, knowledge } = entry;
      const { startedAt, survivedCutoffAt } = knowledge.facts;
      if (endedByCutoff(cutoff, { handle, startedAt, survivedCutoffAt })) this.#cutOff(entry, cutoff, false);
    };
    this.#endInSlices(known, end, (entry) => {
      if (known.has(entry)) end(entry);
    });
  }

  /** `settle` ends a session whose turn has not come. */
  #endInSlices<Item>(items: Iterable<Item>, end: (item: Item) => void, settle: (entry: Entry) => void): void {
    const pending = (entry: Entry): void => settle(entry);
    this.#pending.add(pending);
    void this.#options.backlog
      .work(items, end)
      .catch(() => undefined)
      .then(() => this.#pending.delete(pending));
  }

  #cutOff(entry: Entry, cutoff: GlobalCutoff, isByGlobalCutoff: boolean): void {
    if (entry.knowledge.state === 'ended' || !entry.isInUse) return;
    const ending = endingByCutoff(cutoff, entry.expiresAt);
    const until = tombstoneUntil(timesOf(entry), entry.policy);
    const known = this.#add(entry.user, { handle: entry.handle, ending, until }, true);
    this.letGo(entry);
    if (isByGlobalCutoff) this.#announce(entry.user, known);
    else this.#attribution.add(entry);
  }

  #add(user: SessionUser, tombstone: Tombstone, isInferred: boolean): Tombstone {
    const { ended, clock } = this.#options;
    return ended.add(user, tombstone, isInferred, clock.now()).tombstone;
  }

  /** R9. */
  #announce(user: SessionUser, { handle, ending }: Tombstone): void {
    const { ended, announcements, origin, backlog } = this.#options;
    if (!ended.announce(handle)) return;
    backlog.soon(() => announcements.ended({ user, handle }, ending, ending.origin === origin));
  }

  /** The session is refused from now on. */
  #forget(entry: Entry): void {
    const { table, watched, unwritten } = this.#options;
    table.detach(entry);
    watched.remove(entry);
    unwritten.delete(entry);
    entry.end();
  }
}

function* oneAfterTheOther<Item>(first: Iterable<Item>, second: Iterable<Item>): Generator<Item> {
  yield* first;
  yield* second;
}
