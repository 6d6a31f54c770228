/**
 * The global cutoff as one store object knows it: what it was told, what it asks, and what it passes to scripts.
 *
 * One copy is beside the feed. In a Cluster, other masters have copies too, because the master of the feed may be lost. Any one
 * copy is enough to learn of the cutoff. Copies may differ: the latest cutoff that was read counts. Whoever asks a copy also
 * writes to it the cutoff that is known here, if that is later.
 */

import { keptWords } from '../../core/session.js';
import type { EndEverywhereRequest } from '../store.js';
import type { Announcer } from './announcer.js';
import type { RunScript } from './script-runner.js';
import { END_EVERYWHERE, keyList, READ_GLOBAL_CUTOFF, type FeedKeys } from './feed-scripts.js';
import { GLOBAL_CUTOFF } from './records.js';

export interface GlobalCutoffOptions {
  readonly keys: FeedKeys;
  /** The keys of the other copies. */
  readonly copies: readonly string[];
  readonly announcer: Announcer;
  readonly origin: string;
  readonly run: RunScript;
  /** The same, also acknowledged by the configured number of replicas. */
  readonly runDurably: RunScript;
  /** How long to wait for every copy, if one has answered. In milliseconds. */
  readonly patience: number;
}

export class KnownGlobalCutoff {
  readonly #options: GlobalCutoffOptions;
  #text = '';
  #at = 0;

  constructor(options: GlobalCutoffOptions) {
    this.#options = options;
  }

  /** As it is written in Redis; empty if none is known. Scripts judge by it, and write it back if the store has lost it. */
  get text(): string {
    return this.#text;
  }

  /** Learns what Redis answered. Tells the listener if it is later than what was known. */
  readonly learn = (text: string): void => {
    const cutoff = GLOBAL_CUTOFF.read(text);
    if (cutoff === undefined || cutoff.at <= this.#at) return;
    this.#text = text;
    this.#at = cutoff.at;
    this.#options.announcer.announceGlobalCutoff(cutoff);
  };

  /** Resolves once one copy has told. Waits for the others a little, because that one may have lost it. */
  async ask(): Promise<void> {
    const { keys, copies } = this.#options;
    await this.#askCopies([keys.globalCutoff, ...copies]);
  }

  /** For a caller who has read the copy beside the feed. It does not matter if no other copy answers. */
  async askElsewhere(): Promise<void> {
    await this.#askCopies(this.#options.copies).catch(() => undefined);
  }

  /** Sets a new one. First learns the one before it, if that is not known here. Resolves once every copy is written. */
  async set(request: EndEverywhereRequest): Promise<void> {
    const { keys, copies, announcer, origin, runDurably } = this.#options;
    const learnAll = (texts: readonly string[]): void => {
      for (const text of texts) this.learn(text);
    };
    const input = { ...announcer.publishing(), ...keptWords(request), origin, known: this.#text };
    learnAll(await runDurably(END_EVERYWHERE, keyList(keys), input, learnAll));
    await Promise.all(copies.map((key) => this.#exchange(key, runDurably)));
  }

  async #askCopies(keys: readonly string[]): Promise<void> {
    const { run, patience } = this.#options;
    const asked = keys.map((key) => this.#exchange(key, run));
    await withPatience(Promise.allSettled(asked), patience);
    await Promise.any(asked).catch(() => asked[0]);
  }

  /** The copy and this store object then know the same: the later of the two. */
  async #exchange(key: string, run: RunScript): Promise<void> {
    this.learn(await run(READ_GLOBAL_CUTOFF, [key], { known: this.#text }, this.learn));
  }
}

/** Resolves with the work, or after so many milliseconds. */
async function withPatience(work: Promise<unknown>, patience: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise((resolve) => {
    // A process that was itself busy first reads what has arrived.
    timer = setTimeout(() => setImmediate(resolve), patience);
  });
  await Promise.race([work, over]).finally(() => clearTimeout(timer));
}
