/**
 * What this store object has announced of late, so that it can be announced again.
 *
 * An entry that was acknowledged can be lost: a replica that did not have it yet becomes the master. A process that had not
 * read it sees no gap then.
 */

/** The most entries that are remembered: more than a process writes in a second. */
const LIMIT = 2000;
/** A replica that becomes the master lacks the last seconds, not minutes. In milliseconds. */
const REMEMBERED_FOR = 60_000;
/** How often an entry is announced again at most: the feed may read from another server than the one that is written to. */
const REPEATS = 3;

/** Entries that were sent together. */
export interface Publication {
  readonly entries: readonly string[];
  readonly isRepeated: boolean;
  /** On the feed's clock. `Infinity` until it is acknowledged, `-Infinity` if it failed. */
  acknowledgedAt: number;
}

interface Recent {
  readonly acknowledgedAt: number;
  repeats: number;
}

export class Announced {
  /** Those that were acknowledged, the oldest first. */
  readonly #recent = new Map<string, Recent>();
  /** Those that the feed has to read. */
  readonly #unread = new Map<string, Publication>();
  /** Those that are neither acknowledged nor failed. */
  readonly #open = new Set<Publication>();

  /** To be called before they are sent: the feed may read them before they are acknowledged. */
  send(entries: readonly string[], isRepeated = false): Publication {
    const publication = { entries, isRepeated, acknowledgedAt: Infinity };
    this.#open.add(publication);
    this.#expect(publication);
    return publication;
  }

  acknowledge(publication: Publication, now: number): void {
    this.#open.delete(publication);
    publication.acknowledgedAt = now;
    for (const entry of publication.entries) {
      const repeats = this.#recent.get(entry)?.repeats ?? 0;
      put(this.#recent, entry, { acknowledgedAt: now, repeats });
    }
  }

  /** They may have been written, or not. Those that were to be announced again still count as lost. */
  fail(publication: Publication): void {
    this.#open.delete(publication);
    publication.acknowledgedAt = -Infinity;
    if (publication.isRepeated) return;
    for (const entry of publication.entries) {
      if (this.#unread.get(entry) === publication) this.#unread.delete(entry);
    }
  }

  /** The feed has read an entry. */
  read(entry: string): void {
    this.#unread.delete(entry);
  }

  /** The feed took its first position: what was sent until now may lie before it. */
  expectNone(): void {
    this.#unread.clear();
  }

  /** What is lost, after a round of the feed that was sent at `sentAt` has read everything. Each is then to be announced again. */
  takeLost(sentAt: number): string[] {
    const lost = [...this.#unread].filter(([, { acknowledgedAt }]) => acknowledgedAt < sentAt).map(([entry]) => entry);
    for (const entry of lost) this.#unread.delete(entry);
    const repeated = lost.filter((entry) => this.#mayRepeat(entry));
    for (const [entry, { acknowledgedAt }] of this.#recent) {
      if (acknowledgedAt >= sentAt - REMEMBERED_FOR) break;
      this.#recent.delete(entry);
    }
    return repeated;
  }

  /** What may be lost after a gap. Each is then to be announced again. */
  takeAll(): string[] {
    // Those that are not acknowledged yet must be read again: they may have been read from a server that has lost them.
    for (const publication of this.#open) this.#expect(publication);
    return [...this.#recent.keys()].filter((entry) => this.#mayRepeat(entry));
  }

  #expect(publication: Publication): void {
    for (const entry of publication.entries) put(this.#unread, entry, publication);
  }

  #mayRepeat(entry: string): boolean {
    const recent = this.#recent.get(entry);
    if (recent === undefined || recent.repeats === REPEATS) return false;
    recent.repeats += 1;
    return true;
  }
}

/** At the end, even if it is there. Removes the first if there are too many. */
function put<Value>(map: Map<string, Value>, entry: string, value: Value): void {
  map.delete(entry);
  map.set(entry, value);
  const [first] = map.keys();
  if (map.size > LIMIT && first !== undefined) map.delete(first);
}
