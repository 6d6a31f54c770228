/** How a session is used: what each request changes, and what of it the store does not know yet. */

import { tokenEndsAt } from '../core/policy.js';
import { ALWAYS } from '../core/record.js';
import type { Client, Sighting, TokenParties, TokenTimes } from '../core/session.js';
import type { Lease } from './lease.js';

/** After a program's sighting, this many requests are examined for a person. To examine them all would slow down machines. */
const EXAMINED = 10;

/** Who uses a session: the client of a request, and those whom its token names. */
type SeenClient = Client & TokenParties;

const NOBODY: SeenClient = { ip: null, userAgent: null, byProgram: false, app: null, actor: null };

/** The token of a request. */
interface UsedToken extends TokenParties {
  readonly times: TokenTimes;
}

/** The use of one session. Small and mutable: it changes with every request. */
export class Activity {
  /** Whether the session is kept on record. If not, nothing of it is written to the store. */
  isTracked = false;
  readonly #idleTimeout: number;
  #lastSeenAt = -Infinity;
  /** Notes uses of its own. */
  #lease: Lease | null = null;
  /** See `KnownUse`. */
  #inUseSince = ALWAYS;
  /** The token that expires last. Background sightings present it, also if it is stale by now: they tell of uses before. */
  token: TokenTimes;
  tokensEndAt: number;
  /** What background sightings say of the client. */
  client: SeenClient = NOBODY;
  /** When the client was seen. */
  clientAt = -Infinity;
  /** How many of the next requests are examined for a person. */
  #examinedNext = 0;
  /** The key of the client that the store noted last, see `clientKeyOf`. */
  notedClient: string | null = null;
  /** The last-seen time that the store knows, and the last expiry of the session's tokens that it knows. */
  writtenAt = 0;
  writtenEndsAt = 0;
  /** Until when the index by session id keeps the session, by what this process has written there. In milliseconds since 1970. */
  indexedUntil = 0;
  /** When the next background sighting is due, by the option `clock`. */
  dueAt = 0;

  /** `idleTimeout`: in milliseconds. Null: a pause ends nothing. */
  constructor(token: TokenTimes, idleTimeout: number | null) {
    this.#idleTimeout = idleTimeout ?? Infinity;
    this.token = ofUseBefore(token);
    this.tokensEndAt = tokenEndsAt(token);
  }

  get lastSeenAt(): number {
    return this.#lease === null ? this.#lastSeenAt : Math.max(this.#lastSeenAt, this.#lease.lastUsedAt);
  }

  /** There is one at a time: of two tokens, each takes it from the other. */
  grant(lease: Lease): void {
    this.endLease();
    this.#lease = lease;
  }

  /** Something has changed by which the session is judged. */
  endLease(): void {
    if (this.#lease === null) return;
    this.#lastSeenAt = this.lastSeenAt;
    this.#lease.end();
    this.#lease = null;
  }

  get isUnwritten(): boolean {
    return this.isTracked && this.lastSeenAt > this.writtenAt;
  }

  /** Notes a use. Returns whether a background sighting is due. */
  note(token: UsedToken, sighting: Sighting, interval: number): boolean {
    const { at } = sighting;
    this.usedAt(at);
    const isExtended = this.extend(token.times);
    const isFirst = this.clientAt === -Infinity;
    const isDue =
      at >= this.dueAt ||
      isFirst ||
      (isExtended && this.writtenEndsAt <= this.dueAt) ||
      this.#isPersonAfterProgram(sighting);
    // If the clock went back, background sightings must not stop.
    if (!isDue && at >= this.writtenAt - interval) return false;
    this.endLease();
    this.#lastSeenAt = at;
    this.locate(token, sighting);
    return true;
  }

  /** Until when a use changes nothing but the last-seen time, because the store will be told of it anyway. */
  get onlySeenUntil(): number {
    const isExamined = this.isTracked && this.#examinedNext > 0;
    return isExamined || (this.isTracked && !this.isUnwritten) ? -Infinity : this.dueAt;
  }

  /** Where a server's program always comes first, the browser after it would otherwise never be recorded. */
  #isPersonAfterProgram(sighting: Sighting): boolean {
    if (!this.isTracked || this.#examinedNext === 0) return false;
    this.#examinedNext -= 1;
    return sighting.userAgent !== null && sighting.byProgram !== true;
  }

  get hasPaused(): boolean {
    return this.#inUseSince !== ALWAYS;
  }

  /** Since when the session has been in use, if it is used at this moment. See `KnownUse`. */
  inUseSince(at: number): number {
    // The clock may have been set back since.
    return at >= this.lastSeenAt + this.#idleTimeout ? at : Math.min(at, this.#inUseSince);
  }

  /** A request with a good token, whether it could be answered or not. */
  usedAt(at: number): void {
    if (at <= this.lastSeenAt) return;
    const inUseSince = this.inUseSince(at);
    // A pause: the store has to be asked.
    if (inUseSince !== this.#inUseSince) this.endLease();
    this.#inUseSince = inUseSince;
    this.#lastSeenAt = at;
  }

  /** The store knows of this use, and has called the session live then, or at a later request. */
  #wasLiveAt(usedAt: number, at = usedAt): void {
    this.usedAt(usedAt);
    if (Math.max(usedAt, at) >= this.#inUseSince) this.#inUseSince = ALWAYS;
    this.endLease();
    this.writtenAt = Math.max(this.writtenAt, usedAt);
  }

  /** Keeps the token that expires last. Returns whether it is this one. */
  extend(token: TokenTimes): boolean {
    const endsAt = tokenEndsAt(token);
    if (endsAt <= this.tokensEndAt) return false;
    this.token = ofUseBefore(token);
    this.tokensEndAt = endsAt;
    this.endLease();
    return true;
  }

  /** A program does not take the place of a person of whom the store does not know yet. */
  locate({ app, actor }: TokenParties, { at, ip, userAgent, byProgram = false }: Sighting): void {
    const { client } = this;
    const isPerson = client.userAgent !== null && !client.byProgram;
    if (byProgram && isPerson && this.clientAt > this.writtenAt) return;
    this.client = { ip, userAgent, byProgram, app, actor };
    this.clientAt = at;
    this.#examinedNext = byProgram ? EXAMINED : 0;
  }

  /**
   * A request that does not count as use, but whose token may expire later. Returns whether the store has to be told of the token: the
   * session would be taken for lapsed there.
   */
  noteToken(token: TokenTimes, at: number): boolean {
    const isExtended = this.extend(token);
    if (!this.isTracked || this.writtenEndsAt >= tokenEndsAt(this.token)) return false;
    return at >= this.dueAt || (isExtended && this.writtenEndsAt <= this.dueAt);
  }

  /** The store has recorded this sighting. `usedAt`: when the session was last used, if the request itself does not count as use. */
  written(at: number, token: TokenTimes, usedAt = at): void {
    this.#wasLiveAt(usedAt, at);
    this.writtenEndsAt = Math.max(this.writtenEndsAt, tokenEndsAt(token));
    this.extend(token);
  }

  /** The record says that the session was used elsewhere. */
  usedElsewhere(lastSeenAt: number, expiresAt: number): void {
    this.#wasLiveAt(lastSeenAt);
    if (this.token.lifetime === null) this.tokensEndAt = Math.max(this.tokensEndAt, expiresAt);
  }
}

/** Nobody asks whether it is stale. */
function ofUseBefore({ beganAt, expiresAt, lifetime, sessionEndsAt }: TokenTimes): TokenTimes {
  return { beganAt, expiresAt, lifetime, sessionEndsAt };
}
