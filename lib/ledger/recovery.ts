/** After the store has lost data: writes the known endings back, and asks again about the sessions in use. */

import type { SessionPolicy } from '../core/policy.js';
import type { SessionStore } from '../stores/store.js';
import { callAsync, type Availability } from './availability.js';
import type { Backlog } from './backlog.js';
import { inBatches } from './batches.js';
import type { EndedSessions, KnownOfUser } from './ended.js';
import type { FeedFreshness } from './freshness.js';
import type { Entry } from './entry.js';
import type { SessionTable } from './table.js';
import type { WatchedEntries } from './watchers.js';

export interface RecoveryOptions {
  readonly store: Pick<SessionStore, 'restore'>;
  readonly clock: { now(): number };
  readonly policyOf: (issuer: string) => SessionPolicy;
  readonly availability: Availability;
  readonly ended: EndedSessions;
  readonly freshness: FeedFreshness;
  readonly table: SessionTable;
  readonly watched: WatchedEntries;
  readonly backlog: Pick<Backlog, 'work'>;
  readonly activityInterval: number;
  /** Also the pause before a retry of what failed. */
  readonly storeTimeout: number;
  readonly confirm: (entry: Entry) => Promise<void>;
}

export class Recovery {
  readonly #options: RecoveryOptions;
  #isRunning = false;
  /** How often the store has lost data, or may have. */
  #losses = 0;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  /** The store lost data, or may have. */
  start(): void {
    this.#losses += 1;
    if (!this.#isRunning) void this.#run();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** Repeats until everything is done. What fails does not delay the rest, and is tried again by itself. */
  async #run(): Promise<void> {
    const { ended, clock, confirm, backlog } = this.#options;
    this.#isRunning = true;
    let lost: KnownOfUser[] = [];
    let losses = 0;
    while (!this.#isStopped) {
      if (losses !== this.#losses) {
        losses = this.#losses;
        lost = await ended.byUser(clock.now(), backlog);
        await this.#distrustIndex();
      }
      lost = await inBatches(lost, (known) => this.#writeBack(known));
      const failed = await inBatches(await this.#unseen(), confirm);
      const isDone = lost.length === 0 && failed.length === 0;
      if (isDone && losses === this.#losses) break;
      if (!isDone) await this.#pause();
    }
    this.#isRunning = false;
  }

  async #writeBack({ user, ...endings }: KnownOfUser): Promise<void> {
    const { store, clock, policyOf, availability } = this.#options;
    const known = { ...endings, at: clock.now(), policy: policyOf(user.issuer) };
    await availability.withTimeout(callAsync(() => store.restore(user, known)));
  }

  /** The index by session id may be lost too: each sighting enters its session again. */
  async #distrustIndex(): Promise<void> {
    const { table, watched, backlog } = this.#options;
    const distrust = ({ activity }: Entry): void => {
      activity.indexedUntil = 0;
    };
    await backlog.work(table.all(), distrust);
    await backlog.work(watched.held(), distrust);
  }

  /** Asks about the sessions in use without waiting for their next request, because a connection may be open. */
  async #unseen(): Promise<Entry[]> {
    const { table, watched, clock, activityInterval, freshness, backlog } = this.#options;
    const now = clock.now();
    const unseen = new Set<Entry>();
    const look = (entry: Entry): void => {
      if (!freshness.isCurrent(entry.knowledge) || entry.isUnindexed) unseen.add(entry);
    };
    await backlog.work(table.all(), (entry) => {
      const { activity, policy } = entry;
      // A store with older data may take a session for idle that was used here.
      const since = now - Math.max(2 * activityInterval, policy.idleTimeout ?? 0);
      if (activity.lastSeenAt >= since) look(entry);
    });
    await backlog.work(watched.held(), look);
    return [...unseen];
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#timer = setTimeout(resolve, this.#options.storeTimeout).unref();
    });
  }
}
