/**
 * Continues from what was read of the revocation stream, and tells a listener of it.
 *
 * Beside the stream there are a random epoch, which is renewed whenever one of the keys was missing, and a counter of the
 * entries. A round counts only if all three continue what was read so far, and the entry that was read last is still there
 * or old enough to have been trimmed. Anything else is a gap.
 */

import type { FeedListener } from '../store.js';
import type { Announcer } from './announcer.js';
import { GLOBAL_CUTOFF_MARK, NEVER_TRIMMED_FOR, type Entry, type FeedPosition, type Reading } from './feed-scripts.js';
import type { KnownGlobalCutoff } from './global-cutoff.js';
import { decodeNotice } from './notices.js';

/** The most entries that are read at once. */
export const PAGE = 256;

/** How long the listener is told in one turn of the event loop, in milliseconds. */
const SLICE = 4;

export type FeedTeller = Pick<FeedListener, 'notice' | 'gap' | 'clock'>;
const LOST = 'an entry that this process wrote is not in the stream';

export interface ReaderOptions {
  readonly globalCutoff: Pick<KnownGlobalCutoff, 'learn'>;
  /** What this process has announced, which the feed must read. */
  readonly announced: Pick<Announcer, 'noteRead' | 'expectNone' | 'repeatLost' | 'repeatAll'>;
}

/** Tells a listener what was read, and remembers the position. */
export class Reader {
  readonly #listener: FeedTeller;
  readonly #globalCutoff: ReaderOptions['globalCutoff'];
  readonly #announced: ReaderOptions['announced'];
  #position: FeedPosition | undefined;
  #owedGap: string | null = null;

  constructor(listener: FeedTeller, { globalCutoff, announced }: ReaderOptions) {
    this.#listener = listener;
    this.#globalCutoff = globalCutoff;
    this.#announced = announced;
  }

  /** Empty before the first reading. */
  get lastId(): string {
    return this.#position?.lastId ?? '';
  }

  /**
   * The listener was told of everything, or there is more to read. Throws if this connection does not show what this process
   * wrote before `sentAt`, when the reading was asked for.
   */
  async take(reading: Reading, sentAt: number): Promise<'more' | 'gap' | 'told'> {
    let until = performance.now() + SLICE;
    for (const entry of reading.entries) {
      this.#tell(entry);
      // An entry may end a hundred sessions. Other work has its turn before the next one.
      if (performance.now() < until) continue;
      await nextTurn();
      until = performance.now() + SLICE;
    }
    const isFirst = this.#position === undefined;
    const step = follow(this.#position, reading);
    this.#position = step.position;
    this.#owedGap = step.gap ?? this.#owedGap;
    if (step.more) return 'more';
    // Behind the entries, which tell of those before it.
    this.#globalCutoff.learn(reading.globalCutoff);
    if (isFirst) this.#announced.expectNone();
    if (step.gap !== null) this.#announced.repeatAll();
    const isLost = step.gap === null && this.#announced.repeatLost(sentAt);
    if (isLost) this.#owedGap ??= LOST;
    const hasGap = this.#owedGap !== null;
    if (this.#owedGap !== null) this.#listener.gap(this.#owedGap);
    this.#owedGap = null;
    // Another connection may lead to the server that is written to.
    if (isLost) throw new Error(LOST);
    return hasGap ? 'gap' : 'told';
  }

  #tell({ text }: Entry): void {
    this.#announced.noteRead(text);
    if (text.startsWith(GLOBAL_CUTOFF_MARK)) {
      this.#globalCutoff.learn(text.slice(GLOBAL_CUTOFF_MARK.length));
      return;
    }
    const notice = decodeNotice(text);
    if (notice === undefined) {
      this.#owedGap = 'an entry of the stream could not be read';
      return;
    }
    try {
      this.#listener.notice(notice);
    } catch {
      this.#owedGap = 'a notice was not taken in';
    }
  }
}

interface Step {
  readonly position: FeedPosition;
  /** The page was full, and there are more entries. */
  readonly more: boolean;
  /** Why entries were missed, or may have been. Null if none were. */
  readonly gap: string | null;
}

/** Continues from a position, or takes a new one if the stream does not continue the old one. */
function follow(from: FeedPosition | undefined, reading: Reading): Step {
  const { epoch, count, lastId, lastEntry, entries } = reading;
  const position = { epoch, count, lastId, lastEntry };
  if (from === undefined) return { position, more: false, gap: null };
  if (from.epoch !== '' && epoch !== from.epoch) return { position, more: false, gap: 'the stream was begun anew' };
  if (!isStillValid(from, reading)) {
    return { position, more: false, gap: `the entry at ${from.lastId} is gone, or is another one` };
  }

  const readTo = entries.at(-1)?.id ?? from.lastId;
  const read = from.count + entries.length;
  if (entries.length === PAGE && readTo !== lastId) {
    return { position: { epoch, count: read, lastId: readTo, lastEntry: reading.endOfPage }, more: true, gap: null };
  }
  return { position, more: false, gap: read === count ? null : `the stream counts ${count} entries, not ${read}` };
}

/**
 * If what was written up to the position has changed, as many entries may have been lost as were written since, and neither
 * the counter nor the ids show it. Trimming removes the oldest entries: it leaves none up to the position.
 */
function isStillValid(from: FeedPosition, { entryBefore, now }: Reading): boolean {
  if (entryBefore === from.lastEntry) return true;
  // The first part of an id is the moment at which the entry was written.
  return entryBefore === '' && now - Number.parseInt(from.lastEntry, 10) > NEVER_TRIMMED_FOR;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
