/** Announces endings: first to this store object's own listener, then to every process through the feed. */

import { randomBytes } from 'node:crypto';

import type { GlobalCutoff } from '../../core/cutoff.js';
import type { FeedListener, Notice } from '../store.js';
import { Announced, type Publication } from './announced.js';
import type { RunScript } from './script-runner.js';
import { keyList, NEVER_TRIMMED_FOR, PUBLISH, type FeedKeys, type Publishing } from './feed-scripts.js';
import { decodeNotice, encodeNotice } from './notices.js';

const FEED_KEYS_LIVE = 30 * 24 * 3600 * 1000;
/** Entries that one script writes again. */
const REPEAT_BATCH = 250;

export interface AnnouncerOptions {
  readonly keys: FeedKeys;
  readonly revocationBound: number;
  /** Runs the script that announces again what was lost. */
  readonly run: RunScript;
  /** The clock of the feed, in milliseconds. */
  readonly elapsed: () => number;
}

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #keys: readonly string[];
  readonly #announced = new Announced();
  #listener: FeedListener | null = null;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.#keys = keyList(options.keys);
  }

  listen(listener: FeedListener): void {
    this.#listener = listener;
  }

  /** Tells this process first. Resolves once the entries are written. */
  async announce(notices: readonly Notice[], run: RunScript): Promise<void> {
    for (const notice of notices) this.#listener?.notice(notice);
    if (notices.length > 0) await this.#publish(this.#announced.send(notices.map(encodeNotice)), run);
  }

  announceGlobalCutoff(cutoff: GlobalCutoff): void {
    this.#listener?.globalCutoff(cutoff);
  }

  /** The feed of this store object has read an entry. */
  noteRead(entry: string): void {
    this.#announced.read(entry);
  }

  /** The feed took its first position. */
  expectNone(): void {
    this.#announced.expectNone();
  }

  /**
   * Announces again what was acknowledged before a round of the feed was sent, and is not among what was read up to that
   * round. Returns whether there was anything.
   */
  repeatLost(sentAt: number): boolean {
    const lost = this.#announced.takeLost(sentAt);
    this.#repeat(lost);
    return lost.length > 0;
  }

  /** Announces again all that was announced of late: after a gap, nobody knows what was lost. */
  repeatAll(): void {
    this.#repeat(this.#announced.takeAll());
  }

  publishing(): Publishing {
    const newEpoch = randomBytes(12).toString('base64url');
    const trimmedFrom = Math.max(NEVER_TRIMMED_FOR, 10 * this.#options.revocationBound);
    return { newEpoch, liveFor: FEED_KEYS_LIVE, trimmedFrom };
  }

  #repeat(lost: readonly string[]): void {
    const entries = [...new Set(lost.map(toldAgain))];
    for (let from = 0; from < entries.length; from += REPEAT_BATCH) {
      // If it fails, the next round of the feed finds them lost.
      const publication = this.#announced.send(entries.slice(from, from + REPEAT_BATCH), true);
      this.#publish(publication, this.#options.run).catch(() => undefined);
    }
  }

  async #publish(publication: Publication, run: RunScript): Promise<void> {
    try {
      await run(PUBLISH, this.#keys, { ...this.publishing(), entries: publication.entries });
    } catch (error) {
      this.#announced.fail(publication);
      throw error;
    }
    this.#announced.acknowledge(publication, this.#options.elapsed());
  }
}

/** A cutoff as one that is written back: where data was lost, no record shows that a later login survived it. */
function toldAgain(entry: string): string {
  const notice = decodeNotice(entry);
  if (notice?.kind !== 'cutoff') return entry;
  return encodeNotice({ ...notice, cutoff: { ...notice.cutoff, isRestored: true, isBackdated: false } });
}
