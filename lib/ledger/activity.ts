/** What each request moves on, and what of it the store does not know yet. */

import { tokenEndsAt } from '../core/policy.js';
import type { Sighting, TokenTimes } from '../core/session.js';
import { inBatches } from './recovery.js';
import type { Entry } from './table.js';

/** The use of one session. Small and mutable: it changes with every request. */
export class Activity {
  /** The session is kept on record. One that is not leaves nothing in the store. */
  isTracked = false;
  lastSeenAt = 0;
  /** The token that ends last: what a background sight presents. */
  token: TokenTimes;
  tokensEndAt: number;
  ip: string | null = null;
  userAgent: string | null = null;
  /** The last-seen time and the end of the tokens that the store knows. */
  writtenAt = 0;
  writtenEndsAt = 0;
  /** When the next background sight is due, by the option `clock`. */
  dueAt = 0;

  constructor(token: TokenTimes) {
    this.token = token;
    this.tokensEndAt = tokenEndsAt(token);
  }

  get isUnwritten(): boolean {
    return this.isTracked && this.lastSeenAt > this.writtenAt;
  }

  /** Notes a use. Returns whether a background sight is due. */
  note(token: TokenTimes, sighting: Sighting, interval: number): boolean {
    const { at } = sighting;
    this.usedAt(at);
    const isExtended = this.extend(token);
    const isDue = at >= this.dueAt || (isExtended && this.writtenEndsAt <= this.dueAt);
    // A clock that went back must not silence the background sights.
    if (!isDue && at >= this.writtenAt - interval) return false;
    this.lastSeenAt = at;
    this.locate(sighting);
    return true;
  }

  usedAt(at: number): void {
    if (at > this.lastSeenAt) this.lastSeenAt = at;
  }

  /** Keeps the token that ends last. Returns whether this one does. */
  extend(token: TokenTimes): boolean {
    const endsAt = tokenEndsAt(token);
    if (endsAt <= this.tokensEndAt) return false;
    this.token = token;
    this.tokensEndAt = endsAt;
    return true;
  }

  locate({ ip, userAgent }: Pick<Sighting, 'ip' | 'userAgent'>): void {
    this.ip = ip;
    this.userAgent = userAgent;
  }

  /** The store has taken this sighting. */
  written(at: number, token: TokenTimes): void {
    this.usedAt(at);
    this.writtenAt = Math.max(this.writtenAt, at);
    this.writtenEndsAt = Math.max(this.writtenEndsAt, tokenEndsAt(token));
    this.extend(token);
  }

  /** The record says that the session was used elsewhere. */
  usedElsewhere(lastSeenAt: number, expiresAt: number): void {
    this.usedAt(lastSeenAt);
    this.writtenAt = Math.max(this.writtenAt, lastSeenAt);
    if (this.token.lifetime === null) this.tokensEndAt = Math.max(this.tokensEndAt, expiresAt);
  }
}

/** Sessions whose last-seen time the store does not know yet. */
export class UnwrittenActivity {
  readonly #entries = new Set<Entry>();
  readonly #write: (entry: Entry) => Promise<void>;
  #isFlushing = false;

  constructor(write: (entry: Entry) => Promise<void>) {
    this.#write = write;
  }

  add(entry: Entry): void {
    this.#entries.add(entry);
  }

  delete(entry: Entry): void {
    this.#entries.delete(entry);
  }

  /** Writes what is due in batches, one after the other: after an outage there may be many. */
  flush(now: number): void {
    if (this.#isFlushing) return;
    const due = [...this.#entries].filter(
      ({ call, activity }) => call === null && (now >= activity.dueAt || now < activity.writtenAt),
    );
    if (due.length === 0) return;
    this.#isFlushing = true;
    void inBatches(due, this.#write).finally(() => {
      this.#isFlushing = false;
    });
  }

  async flushAll(): Promise<void> {
    await inBatches([...this.#entries], this.#write);
  }
}
