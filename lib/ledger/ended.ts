/**
 * The endings that this process knows, and which tokens are stale. It refuses these sessions and tokens until that is to be
 * forgotten, whatever the store says. Bounded.
 */

import type { Cutoff } from '../core/cutoff.js';
import { asErased, withoutWords } from '../core/erased.js';
import type { SessionUser } from '../core/session.js';
import { laterStale, type StaleTokens } from '../core/stale.js';
import type { Tombstone } from '../stores/store.js';
import type { Backlog } from './backlog.js';
import { DueQueue, type Due } from './due-queue.js';

/** How much is remembered: about 100,000 endings of usual size. */
export interface EndedLimits {
  readonly count: number;
  readonly bytes: number;
}

export const ENDED_LIMITS: EndedLimits = { count: 100_000, bytes: 64 * 1024 * 1024 };

export interface KnownEnding {
  readonly user: SessionUser;
  readonly tombstone: Tombstone;
  /** It follows from a cutoff. This process has not read its tombstone yet. */
  readonly isInferred: boolean;
}

/** Each of these is in the queue exactly once. `dueAt` is its end, or an earlier one if it was extended since. */
interface HeldEnding extends Due {
  readonly kind: 'ending';
  known: KnownEnding;
}

interface HeldCutoff extends Due {
  readonly kind: 'cutoff';
  readonly user: SessionUser;
  cutoff: Cutoff;
  until: number;
}

interface HeldStale extends Due {
  readonly kind: 'stale';
  readonly user: SessionUser;
  staleTokens: StaleTokens;
}

type Held = HeldEnding | HeldCutoff | HeldStale;

/** The most that one call forgets because it ran out: other work must not wait for 100,000. */
const FORGOTTEN_AT_ONCE = 1000;

/** What is known of one user, as it is written back to the store. */
export interface KnownOfUser {
  readonly user: SessionUser;
  tombstones: Tombstone[];
  cutoff: Cutoff | null;
  staleTokens: StaleTokens | null;
}

export class EndedSessions {
  readonly #endings = new Map<string, HeldEnding>();
  readonly #cutoffs = new Map<string, HeldCutoff>();
  readonly #stale = new Map<string, HeldStale>();
  readonly #queue = new DueQueue<Held>();
  readonly #limits: EndedLimits;
  readonly #onDropped: (count: number) => void;
  /** Handles, oldest first. Kept longer than their tombstones, which another process may have extended. */
  readonly #announced = new Set<string>();
  /** Handles of endings that could not be written to the store as they are known here. */
  readonly #unwritten = new Set<string>();
  #bytes = 0;

  constructor(limits: EndedLimits, onDropped: (count: number) => void) {
    this.#limits = limits;
    this.#onDropped = onDropped;
  }

  get size(): number {
    return this.#endings.size + this.#cutoffs.size + this.#stale.size;
  }

  find(handle: string, now: number): Tombstone | undefined {
    return this.#standing(handle, now)?.tombstone;
  }

  cutoffOf(userKey: string): Cutoff | undefined {
    return this.#cutoffs.get(userKey)?.cutoff;
  }

  /** Which tokens of the user are stale. Null: none. */
  staleTokensOf(userKey: string, now: number): StaleTokens | null {
    const known = this.#stale.get(userKey)?.staleTokens;
    return known !== undefined && now < known.until ? known : null;
  }

  /** Adds an ending, or extends the known one. A tombstone that was read replaces an ending that was inferred. */
  add(user: SessionUser, tombstone: Tombstone, isInferred: boolean, now: number): KnownEnding {
    const { handle } = tombstone;
    const standing = this.#standing(handle, now);
    const known = merged(standing, { user, tombstone, isInferred });
    if (known === standing) return known;
    const held = this.#endings.get(handle);
    if (held === undefined) {
      const added: HeldEnding = { kind: 'ending', known, dueAt: known.tombstone.until };
      this.#endings.set(handle, added);
      this.#queue.add(added);
      this.#bytes += sizeOf(known);
    } else {
      this.#bytes += sizeOf(known) - sizeOf(held.known);
      held.known = known;
    }
    this.#bound(now);
    return known;
  }

  isUnwritten(handle: string): boolean {
    return this.#unwritten.has(handle);
  }

  noteWritten(handle: string, isWritten: boolean): void {
    if (isWritten) this.#unwritten.delete(handle);
    else if (this.#endings.has(handle)) this.#unwritten.add(handle);
  }

  /** Whether `sessionEnded` is still to be emitted. Returns true once. R9. */
  announce(handle: string): boolean {
    if (this.#announced.has(handle)) return false;
    this.#announced.add(handle);
    if (this.#announced.size > this.#limits.count) {
      // Many at once: a Set keeps the slots of deleted values for a while, and a search for its first value passes over them.
      for (const oldest of this.#announced) {
        if (this.#announced.size <= Math.ceil(this.#limits.count * KEPT)) break;
        this.#announced.delete(oldest);
      }
    }
    return true;
  }

  isAnnounced(handle: string): boolean {
    return this.#announced.has(handle);
  }

  /** The session is live again, because its tombstone has run out everywhere. */
  revived(handle: string): void {
    this.#announced.delete(handle);
  }

  /** Whether this cutoff is later than the one known here. */
  addCutoff(user: SessionUser, cutoff: Cutoff, until: number, now: number): boolean {
    const held = this.#cutoffs.get(user.key);
    if (held === undefined) {
      const added: HeldCutoff = { kind: 'cutoff', user, cutoff, until, dueAt: until };
      this.#cutoffs.set(user.key, added);
      this.#queue.add(added);
      this.#bytes += CUTOFF_BYTES;
      this.#bound(now);
      return true;
    }
    if (held.cutoff.at >= cutoff.at) return false;
    held.cutoff = { ...cutoff, erasedAt: Math.max(cutoff.erasedAt, held.cutoff.erasedAt) };
    held.until = until;
    return true;
  }

  /** Whether more tokens are stale than was known here. */
  addStale(user: SessionUser, staleTokens: StaleTokens, now: number): boolean {
    const held = this.#stale.get(user.key);
    if (held === undefined) {
      const added: HeldStale = { kind: 'stale', user, staleTokens, dueAt: staleTokens.until };
      this.#stale.set(user.key, added);
      this.#queue.add(added);
      this.#bytes += sizeOfStale(staleTokens);
      this.#bound(now);
      return true;
    }
    const before = held.staleTokens;
    held.staleTokens = laterStale(before, staleTokens) ?? before;
    this.#bytes += sizeOfStale(held.staleTokens) - sizeOfStale(before);
    const isNews = before.at < held.staleTokens.at;
    this.#bound(now);
    return isNews;
  }

  #standing(handle: string, now: number): KnownEnding | undefined {
    const known = this.#endings.get(handle)?.known;
    return known !== undefined && now < known.tombstone.until ? known : undefined;
  }

  /** Forgets endings that have run out, but not all of them in one call. Those that are left refuse nobody: see {@link find}. */
  forgetRunOut(now: number): void {
    for (let count = 0; count < FORGOTTEN_AT_ONCE; count += 1) {
      const soonest = this.#soonest();
      if (soonest === undefined || now < soonest.dueAt) return;
      this.#forgetFirst(soonest);
    }
  }

  /** Everything that still stands, by user. */
  async byUser(now: number, backlog: Pick<Backlog, 'work'>): Promise<KnownOfUser[]> {
    const users = new Map<string, KnownOfUser>();
    const of = (user: SessionUser): KnownOfUser => {
      let known = users.get(user.key);
      if (known === undefined) users.set(user.key, (known = { user, tombstones: [], cutoff: null, staleTokens: null }));
      return known;
    };
    await backlog.work(this.#endings.values(), ({ known: { user, tombstone } }) => {
      if (now < tombstone.until) of(user).tombstones.push(tombstone);
    });
    await backlog.work(this.#cutoffs.values(), ({ user, cutoff, until }) => {
      if (now < until) of(user).cutoff = cutoff;
    });
    await backlog.work(this.#stale.values(), ({ user, staleTokens }) => {
      if (now < staleTokens.until) of(user).staleTokens = staleTokens;
    });
    // What was erased is not written back, however late this process heard of it.
    for (const known of users.values()) {
      const erasedAt = known.cutoff?.erasedAt ?? 0;
      if (erasedAt === 0) continue;
      if (known.staleTokens !== null) known.staleTokens = asErased(known.staleTokens, erasedAt);
      known.tombstones = known.tombstones.map((each) => ({ ...each, ending: asErased(each.ending, erasedAt) }));
    }
    return [...users.values()];
  }

  /** Forgets what people said of the endings of a user, and of which tokens are stale. */
  async eraseWords(userKey: string, backlog: Pick<Backlog, 'work'>): Promise<void> {
    const stale = this.#stale.get(userKey);
    if (stale !== undefined) {
      this.#bytes -= sizeOfStale(stale.staleTokens);
      stale.staleTokens = withoutWords(stale.staleTokens);
      this.#bytes += sizeOfStale(stale.staleTokens);
    }
    await backlog.work(this.#endings.values(), (held) => {
      const { known } = held;
      if (known.user.key !== userKey) return;
      held.known = { ...known, tombstone: { ...known.tombstone, ending: withoutWords(known.tombstone.ending) } };
      this.#bytes += sizeOf(held.known) - sizeOf(known);
    });
  }

  /** Above the limit, those that expire last are kept. A hundredth is dropped at a time, so that there is not an event for each. */
  #bound(now: number): void {
    if (this.size <= this.#limits.count && this.#bytes <= this.#limits.bytes) return;
    this.forgetRunOut(now);
    if (this.size <= this.#limits.count && this.#bytes <= this.#limits.bytes) return;
    let dropped = 0;
    for (let next = this.#soonest(); next !== undefined; next = this.#soonest()) {
      if (this.size <= this.#limits.count * KEPT && this.#bytes <= this.#limits.bytes * KEPT) break;
      // What has run out is no loss.
      if (now < untilOf(next)) dropped += 1;
      this.#forgetFirst(next);
    }
    if (dropped > 0) this.#onDropped(dropped);
  }

  /** What runs out first. Those that were extended since they were queued are queued again on the way. */
  #soonest(): Held | undefined {
    for (;;) {
      const { first } = this.#queue;
      if (first === undefined) return undefined;
      const until = untilOf(first);
      if (until <= first.dueAt) return first;
      this.#queue.removeFirst();
      first.dueAt = until;
      this.#queue.add(first);
    }
  }

  #forgetFirst(first: Held): void {
    this.#queue.removeFirst();
    switch (first.kind) {
      case 'cutoff':
        this.#cutoffs.delete(first.user.key);
        this.#bytes -= CUTOFF_BYTES;
        return;
      case 'stale':
        this.#stale.delete(first.user.key);
        this.#bytes -= sizeOfStale(first.staleTokens);
        return;
      case 'ending': {
        const { handle } = first.known.tombstone;
        this.#endings.delete(handle);
        this.#unwritten.delete(handle);
        this.#bytes -= sizeOf(first.known);
      }
    }
  }
}

function untilOf(held: Held): number {
  switch (held.kind) {
    case 'ending':
      return held.known.tombstone.until;
    case 'cutoff':
      return held.until;
    case 'stale':
      return held.staleTokens.until;
  }
}

/** The share that is kept when there is too much. */
const KEPT = 0.99;

function merged(standing: KnownEnding | undefined, news: KnownEnding): KnownEnding {
  if (standing === undefined) return news;
  const isRead = standing.isInferred && !news.isInferred;
  const until = Math.max(standing.tombstone.until, news.tombstone.until);
  if (!isRead && until === standing.tombstone.until) return standing;
  const { tombstone, isInferred } = isRead ? news : standing;
  return { user: standing.user, tombstone: { ...tombstone, until }, isInferred };
}

const CUTOFF_BYTES = 600;

function sizeOfStale({ reason, by }: StaleTokens): number {
  return CUTOFF_BYTES + 2 * (reason.length + (by?.length ?? 0));
}

/** An estimate of the heap that an ending takes, objects and map slot included. */
function sizeOf({ user, tombstone }: KnownEnding): number {
  const characters =
    user.issuer.length + user.subject.length + tombstone.ending.reason.length + (tombstone.ending.by?.length ?? 0);
  return 450 + 2 * characters;
}
