/** Sessions whose signal somebody asked for. A connection may stay open for long without another request. */

import { getEventListeners } from 'node:events';

import type { Entry } from './entry.js';

/** The most entries without a listener that are held anyway, because `AbortSignal.any()` does not show as a listener. */
const HELD_UNHEARD = 10_000;
/** The share of them that is held when there are too many. */
const KEPT = 0.99;

/**
 * Also finds those that the table has evicted. An entry with a listener is held until its session ends. Of the others, the
 * latest are held here, and the rest live as long as a request holds its session.
 */
export class WatchedEntries {
  readonly #byHandle = new Map<string, WeakRef<Entry>>();
  readonly #byUser = new Map<string, Set<string>>();
  readonly #heard = new Set<Entry>();
  /** Oldest first. */
  readonly #unheard = new Set<Entry>();

  add(entry: Entry): void {
    const { user } = entry;
    this.#byHandle.set(entry.handle, new WeakRef(entry));
    this.#holdUnheard(entry);
    const handles = this.#byUser.get(user.key);
    if (handles === undefined) this.#byUser.set(user.key, new Set([entry.handle]));
    else handles.add(entry.handle);
  }

  find(handle: string): Entry | undefined {
    return this.#byHandle.get(handle)?.deref();
  }

  ofUser(userKey: string): Entry[] {
    return [...(this.#byUser.get(userKey) ?? [])]
      .map((handle) => this.find(handle))
      .filter((entry) => entry !== undefined);
  }

  remove({ handle, user }: Entry): void {
    const entry = this.find(handle);
    if (entry !== undefined) {
      this.#heard.delete(entry);
      this.#unheard.delete(entry);
    }
    this.#forget(handle, user.key);
  }

  /** The entries that somebody still holds. Forgets the others. Entries may come and go between two steps. */
  *held(): Generator<Entry> {
    for (const [userKey, handles] of this.#byUser) {
      for (const handle of handles) {
        const entry = this.find(handle);
        if (entry === undefined) this.#forget(handle, userKey);
        else yield entry;
      }
    }
  }

  /** Notes whether it has a listener by now. */
  review(entry: Entry): void {
    if (isListenedTo(entry)) {
      this.#unheard.delete(entry);
      this.#heard.add(entry);
    } else if (this.#heard.delete(entry)) this.#holdUnheard(entry);
  }

  #holdUnheard(entry: Entry): void {
    this.#unheard.add(entry);
    if (this.#unheard.size <= HELD_UNHEARD) return;
    // Many at once: a Set keeps the slots of deleted values for a while, and a search for its first value passes over them.
    for (const oldest of this.#unheard) {
      if (this.#unheard.size <= KEPT * HELD_UNHEARD) break;
      this.#unheard.delete(oldest);
      if (isListenedTo(oldest)) this.#heard.add(oldest);
    }
  }

  #forget(handle: string, userKey: string): void {
    this.#byHandle.delete(handle);
    const handles = this.#byUser.get(userKey);
    handles?.delete(handle);
    if (handles?.size === 0) this.#byUser.delete(userKey);
  }
}

function isListenedTo(entry: Entry): boolean {
  return getEventListeners(entry.signal, 'abort').length > 0;
}
