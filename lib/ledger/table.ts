/** The sessions that this process holds, by handle and by user. The least recently used are evicted. */

import { LRUCache } from 'lru-cache';

import type { SessionPolicy } from '../core/policy.js';
import type { SessionUser } from '../core/session.js';
import type { Entry, UserSessions } from './entry.js';
import { withoutVouch, type PresentedToken } from './knowledge.js';

export class SessionTable {
  readonly #entries: LRUCache<string, Entry>;
  readonly #users = new Map<string, UserSessions>();
  readonly #policyOf: (issuer: string) => SessionPolicy;

  /** `onEvict` is called with each evicted session. */
  constructor(limit: number, policyOf: (issuer: string) => SessionPolicy, onEvict: (entry: Entry) => void) {
    this.#policyOf = policyOf;
    this.#entries = new LRUCache({
      // Not `max`, with which it makes room for all of them at once: that takes longer than everything else at startup.
      maxSize: limit,
      sizeCalculation: () => 1,
      // Afterwards: while it is disposed of, the entry still counts as held.
      disposeAfter: (entry, _handle, why) => {
        if (why !== 'evict') return;
        entry.knowledge = withoutVouch(entry.knowledge);
        onEvict(entry);
      },
    });
  }

  policyOf(user: SessionUser): SessionPolicy {
    return this.#policyOf(user.issuer);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Counts as a use. */
  get(handle: string): Entry | undefined {
    return this.#entries.get(handle);
  }

  peek(handle: string): Entry | undefined {
    return this.#entries.peek(handle);
  }

  holds(entry: Entry): boolean {
    return this.#entries.peek(entry.handle) === entry;
  }

  /** Also those that are about to be let go of. Sessions may come and go between two steps. */
  *all(): Generator<Entry> {
    for (const { entries } of this.#users.values()) yield* entries;
  }

  ofUser(userKey: string): Iterable<Entry> {
    return this.#users.get(userKey)?.entries ?? [];
  }

  /** The session's entry: the given one, if it was held elsewhere, or a new one. */
  attach(token: PresentedToken, held: Entry | undefined, make: (userSessions: UserSessions) => Entry): Entry {
    const userSessions = this.#sessionsOf(token.user);
    const entry = held ?? make(userSessions);
    entry.belongTo(userSessions);
    userSessions.entries.add(entry);
    this.#entries.set(token.handle, entry);
    return entry;
  }

  detach(entry: Entry): void {
    if (this.holds(entry)) this.#entries.delete(entry.handle);
    const userSessions = this.#users.get(entry.user.key);
    if (userSessions?.entries.delete(entry) === true && userSessions.entries.size === 0) {
      this.#users.delete(entry.user.key);
    }
  }

  #sessionsOf(user: SessionUser): UserSessions {
    let userSessions = this.#users.get(user.key);
    if (userSessions === undefined) {
      userSessions = { user, policy: this.#policyOf(user.issuer), entries: new Set() };
      this.#users.set(user.key, userSessions);
    }
    return userSessions;
  }
}
