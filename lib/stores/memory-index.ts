/** The index by session id, as the memory store keeps it: see redis/session-index.ts. */

import { unseenUntil } from '../core/policy.js';
import { keptWords, type Ending } from '../core/session.js';
import { INDEXED_SUBJECTS, type EndIndexedRequest, type IndexEntry } from './store.js';

interface Indexed {
  readonly subjects: Set<string>;
  ending: Ending | null;
  until: number;
}

/** How many ids are looked at whenever one is added, so that none stays for ever. */
const PRUNED_IN_PASSING = 2;

export class SessionIndex {
  readonly #ids = new Map<string, Indexed>();
  #passing = this.#ids.entries();

  /** How the id was ended. Null: it was not. */
  enter(subject: string, { id, until }: IndexEntry, at: number): Ending | null {
    const known = this.#find(id, at);
    if (known?.ending != null) return known.ending;
    if (until === null) return null;
    const indexed = known ?? this.#add(id, at);
    indexed.until = Math.max(indexed.until, until);
    if (indexed.subjects.size < INDEXED_SUBJECTS) indexed.subjects.add(subject);
    return null;
  }

  end(id: string, { at, policy, ...words }: EndIndexedRequest, origin: string): readonly string[] {
    const indexed = this.#find(id, at) ?? this.#add(id, at);
    indexed.ending ??= { cause: 'revoked', ...keptWords(words), at, expiresAt: null, origin };
    indexed.until = Math.max(indexed.until, unseenUntil(at, policy));
    return [...indexed.subjects];
  }

  #find(id: string, at: number): Indexed | undefined {
    const indexed = this.#ids.get(id);
    return indexed === undefined || isOver(indexed, at) ? undefined : indexed;
  }

  #add(id: string, at: number): Indexed {
    for (let count = 0; count < PRUNED_IN_PASSING; count += 1) this.#pruneNext(at);
    const indexed: Indexed = { subjects: new Set(), ending: null, until: -Infinity };
    this.#ids.set(id, indexed);
    return indexed;
  }

  #pruneNext(at: number): void {
    const { value, done } = this.#passing.next();
    if (done === true) this.#passing = this.#ids.entries();
    else if (isOver(value[1], at)) this.#ids.delete(value[0]);
  }
}

/** As with sessions: nothing is forgotten until both clocks agree. */
function isOver({ until }: Indexed, at: number): boolean {
  return until < Math.min(at, Date.now());
}
