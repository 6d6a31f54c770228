/** The endings that this process knows. It refuses these sessions until the tombstone's end, whatever the store says. Bounded. */

import type { Cutoff } from '../core/record.js';
import type { SessionUser } from '../core/session.js';
import type { Tombstone } from '../stores/store.js';

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

interface KnownCutoff {
  readonly user: SessionUser;
  readonly cutoff: Cutoff;
  readonly until: number;
}

/** The endings of one user, as they are written back to the store. */
export interface KnownOfUser {
  readonly user: SessionUser;
  readonly tombstones: Tombstone[];
  cutoff: Cutoff | null;
}

export class EndedSessions {
  readonly #endings = new Map<string, KnownEnding>();
  readonly #cutoffs = new Map<string, KnownCutoff>();
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
    return this.#endings.size + this.#cutoffs.size;
  }

  find(handle: string, now: number): Tombstone | undefined {
    return this.#standing(handle, now)?.tombstone;
  }

  cutoffOf(userKey: string): Cutoff | undefined {
    return this.#cutoffs.get(userKey)?.cutoff;
  }

  /** Adds an ending, or extends the known one. A tombstone that was read replaces an ending that was inferred. */
  add(user: SessionUser, tombstone: Tombstone, isInferred: boolean, now: number): KnownEnding {
    const { handle } = tombstone;
    const before = this.#endings.get(handle);
    const standing = this.#standing(handle, now);
    const known = merged(standing, { user, tombstone, isInferred });
    if (known === standing) return known;
    this.#endings.set(handle, known);
    this.#bytes += sizeOf(known) - (before === undefined ? 0 : sizeOf(before));
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
    const [oldest] = this.#announced;
    if (this.#announced.size > this.#limits.count && oldest !== undefined) this.#announced.delete(oldest);
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
    const known = this.#cutoffs.get(user.key);
    if (known !== undefined && known.cutoff.at >= cutoff.at) return false;
    this.#cutoffs.set(user.key, { user, cutoff, until });
    if (known === undefined) {
      this.#bytes += CUTOFF_BYTES;
      this.#bound(now);
    }
    return true;
  }

  #standing(handle: string, now: number): KnownEnding | undefined {
    const known = this.#endings.get(handle);
    return known !== undefined && now < known.tombstone.until ? known : undefined;
  }

  forgetRunOut(now: number): void {
    for (const [handle, known] of this.#endings) if (now >= known.tombstone.until) this.#forgetEnding(handle, known);
    for (const [key, known] of this.#cutoffs) if (now >= known.until) this.#forgetCutoff(key);
  }

  /** Everything that still stands, by user. */
  byUser(now: number): KnownOfUser[] {
    const users = new Map<string, KnownOfUser>();
    const of = (user: SessionUser): KnownOfUser => {
      let known = users.get(user.key);
      if (known === undefined) users.set(user.key, (known = { user, tombstones: [], cutoff: null }));
      return known;
    };
    for (const { user, tombstone } of this.#endings.values()) {
      if (now < tombstone.until) of(user).tombstones.push(tombstone);
    }
    for (const { user, cutoff, until } of this.#cutoffs.values()) if (now < until) of(user).cutoff = cutoff;
    return [...users.values()];
  }

  /** Above the limit, those that expire last are kept. A tenth is dropped at once, so that this happens rarely. */
  #bound(now: number): void {
    if (this.size <= this.#limits.count && this.#bytes <= this.#limits.bytes) return;
    this.forgetRunOut(now);
    if (this.size <= this.#limits.count && this.#bytes <= this.#limits.bytes) return;
    const soonest = [
      ...[...this.#endings].map(([key, known]) => ({
        until: known.tombstone.until,
        drop: () => {
          this.#forgetEnding(key, known);
        },
      })),
      ...[...this.#cutoffs].map(([key, known]) => ({
        until: known.until,
        drop: () => {
          this.#forgetCutoff(key);
        },
      })),
    ].sort((a, b) => a.until - b.until);
    let dropped = 0;
    for (const { drop } of soonest) {
      if (this.size <= this.#limits.count * 0.9 && this.#bytes <= this.#limits.bytes * 0.9) break;
      drop();
      dropped += 1;
    }
    this.#onDropped(dropped);
  }

  #forgetEnding(handle: string, known: KnownEnding): void {
    this.#endings.delete(handle);
    this.#unwritten.delete(handle);
    this.#bytes -= sizeOf(known);
  }

  #forgetCutoff(key: string): void {
    this.#cutoffs.delete(key);
    this.#bytes -= CUTOFF_BYTES;
  }
}

function merged(standing: KnownEnding | undefined, news: KnownEnding): KnownEnding {
  if (standing === undefined) return news;
  const isRead = standing.isInferred && !news.isInferred;
  const until = Math.max(standing.tombstone.until, news.tombstone.until);
  if (!isRead && until === standing.tombstone.until) return standing;
  const { tombstone, isInferred } = isRead ? news : standing;
  return { user: standing.user, tombstone: { ...tombstone, until }, isInferred };
}

const CUTOFF_BYTES = 600;

/** An estimate of the heap that an ending takes, objects and map slot included. */
function sizeOf({ user, tombstone }: KnownEnding): number {
  const characters =
    user.issuer.length + user.subject.length + tombstone.ending.reason.length + (tombstone.ending.by?.length ?? 0);
  return 400 + 2 * characters;
}
