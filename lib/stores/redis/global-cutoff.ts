/** The global cutoff as one store object knows it: what it was told, what it asks, and what it passes to scripts. */

import { keptWords } from '../../core/session.js';
import type { EndEverywhereRequest } from '../store.js';
import type { Announcer } from './announcer.js';
import type { RunScript } from './connection.js';
import { END_EVERYWHERE, keyList, READ_GLOBAL_CUTOFF, type FeedKeys } from './feed-scripts.js';
import { GLOBAL_CUTOFF } from './records.js';

export class KnownGlobalCutoff {
  readonly #keys: readonly string[];
  readonly #announcer: Announcer;
  #text = '';
  #at = 0;

  constructor(keys: FeedKeys, announcer: Announcer) {
    this.#keys = keyList(keys);
    this.#announcer = announcer;
  }

  /** As it is written in Redis; empty if none is known. Scripts judge by it, and write it back if the store has lost it. */
  get text(): string {
    return this.#text;
  }

  /** Learns what Redis answered. Tells the listener if it is later than what was known. */
  learn(text: string): void {
    const cutoff = GLOBAL_CUTOFF.read(text);
    if (cutoff === undefined || cutoff.at <= this.#at) return;
    this.#text = text;
    this.#at = cutoff.at;
    this.#announcer.announceGlobalCutoff(cutoff);
  }

  async ask(run: RunScript): Promise<void> {
    this.learn(await run(READ_GLOBAL_CUTOFF, this.#keys, { known: this.#text }));
  }

  /** Sets a new one. First learns the one before it, if that is not known here. */
  async set(request: EndEverywhereRequest, origin: string, run: RunScript): Promise<void> {
    const learnAll = (texts: readonly string[]): void => {
      for (const text of texts) this.learn(text);
    };
    const input = { ...this.#announcer.publishing(), ...keptWords(request), origin, known: this.#text };
    learnAll(await run(END_EVERYWHERE, this.#keys, input, learnAll));
  }
}
