/** Announces endings: first to this store object's own listener, then to every process through the feed. */

import { randomBytes } from 'node:crypto';

import type { GlobalCutoff } from '../../core/record.js';
import type { FeedListener, Notice } from '../store.js';
import type { RunScript } from './connection.js';
import { keyList, NEVER_TRIMMED_FOR, PUBLISH, type FeedKeys, type Publishing } from './feed-scripts.js';
import { encodeNotice } from './notices.js';

const FEED_KEYS_LIVE = 30 * 24 * 3600 * 1000;

export class Announcer {
  readonly #keys: readonly string[];
  readonly #trimmedFrom: number;
  #listener: FeedListener | null = null;

  constructor(keys: FeedKeys, revocationBound: number) {
    this.#keys = keyList(keys);
    this.#trimmedFrom = Math.max(NEVER_TRIMMED_FOR, 10 * revocationBound);
  }

  listen(listener: FeedListener): void {
    this.#listener = listener;
  }

  /** Tells this process first. Resolves once the entries are written. */
  async announce(notices: readonly Notice[], run: RunScript): Promise<void> {
    for (const notice of notices) this.#listener?.notice(notice);
    if (notices.length > 0)
      await run(PUBLISH, this.#keys, { ...this.publishing(), entries: notices.map(encodeNotice) });
  }

  announceGlobalCutoff(cutoff: GlobalCutoff): void {
    this.#listener?.globalCutoff(cutoff);
  }

  publishing(): Publishing {
    const newEpoch = randomBytes(12).toString('base64url');
    return { newEpoch, liveFor: FEED_KEYS_LIVE, trimmedFrom: this.#trimmedFrom };
  }
}
