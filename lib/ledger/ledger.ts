/** What this process knows of its sessions, and how fresh that is: between the middleware and the store. */

import { LRUCache } from 'lru-cache';
import { LoginError } from '../core/errors.js';
import type { Emit } from '../core/events.js';
import type { Health } from '../core/health.js';
import {
  CUTOFF_FOR,
  decide,
  endedByCutoff,
  endedByGlobalCutoff,
  endingByCutoff,
  tokenEndsAt,
  tombstoneUntil,
  type Cutoff,
  type GlobalCutoff,
  type SessionPolicy,
  type Standing,
  type SessionTimes,
} from '../core/policy.js';
import type { Ending, SessionRecord, SessionUser, Sighting, TokenTimes } from '../core/session.js';
import type {
  FeedListener,
  ListCursor,
  Notice,
  RevocationFeed,
  SessionPage,
  SessionStore,
  SightAnswer,
  Tombstone,
} from '../stores/store.js';
import type { VerifiedToken } from '../tokens/verify.js';
import { Announcements } from './announcements.js';
import { attempt, Availability } from './availability.js';
import { ENDED_LIMITS, EndedSessions, type EndedLimits, type KnownEnding, type KnownOfUser } from './ended.js';
import { Entry, Questions, WatchedEntries, type Call, type Owner, type Question } from './entry.js';
import { inBatches, Recovery } from './recovery.js';

/** A session that this request may use. */
export interface LiveSession {
  readonly handle: string;
  readonly startedAt: number;
  readonly expiresAt: number;
  /** Fires when the session ends. */
  readonly signal: AbortSignal;
}

/** What to do with a session that this process cannot ask about: refuse, go on for a while with what it knew to be live, or let every good token pass. */
export type WhenStoreDown = 'refuse' | 'allow' | { readonly allowFor: number };

export interface LedgerOptions {
  readonly store: SessionStore;
  readonly clock: { now(): number };
  /** By the issuer's name. */
  readonly policyOf: (issuer: string) => SessionPolicy;
  /** Milliseconds, all of them. */
  readonly revocationBound: number;
  readonly activityInterval: number;
  readonly storeTimeout: number;
  readonly whenStoreDown: WhenStoreDown;
  readonly emit: Emit;
  /** Whether a token's session is kept on record; default: every one is. */
  readonly track?: (token: VerifiedToken) => boolean;
  /** What a client is, as a short digest; null where nothing can be told. Default: of none. Asked at first sights only. */
  readonly clientKeyOf?: (userAgent: string | null) => string | null;
  /** Sessions held; default 100,000. */
  readonly entryLimit?: number;
  readonly endedLimits?: EndedLimits;
  /** Milliseconds on a clock that never jumps; default `performance.now`. */
  readonly monotonic?: () => number;
  /** From 0 to 1, for the jitter; default `Math.random`. */
  readonly random?: () => number;
}

const ENTRY_LIMIT = 100_000;
/** How often what ran out is forgotten: to look through 100,000 endings takes tens of milliseconds. */
const SWEEP_INTERVAL = 60_000;

/**
 * Answers the hot path from memory while the feed is fresh, else asks the store.
 *
 * Moments of sessions are by the option `clock`, what is promised in durations (freshness, timeouts) by a monotonic one.
 */
export class Ledger {
  readonly #options: LedgerOptions;
  readonly #store: SessionStore;
  readonly #monotonic: () => number;
  readonly #random: () => number;
  readonly #feed: RevocationFeed;
  readonly #entries: LRUCache<string, Entry>;
  readonly #owners = new Map<string, Owner>();
  readonly #questions = new Questions();
  readonly #ended: EndedSessions;
  readonly #availability: Availability;
  readonly #announcements: Announcements;
  readonly #recovery: Recovery;
  readonly #dirty = new Set<Entry>();
  readonly #watched = new WatchedEntries();
  readonly #onWatched = (entry: Entry): void => {
    this.#watched.add(entry);
  };
  #globalCutoff: GlobalCutoff | null = null;
  /** The last question after the global cutoff, where the feed did not tell it soon enough. */
  #catchUp: { readonly asOf: number; readonly caughtUp: Promise<void> } | null = null;
  /** Endings of sessions in use that a reply told of; whether they are ours is known when the notice comes. */
  readonly #untold = new Map<KnownEnding, number>();
  readonly #timer: NodeJS.Timeout;
  /** Counts the gaps of the feed: what was learnt in an earlier generation vouches for nothing. */
  #generation = 0;
  #probing = false;
  #sweptAt = 0;
  #isFlushing = false;
  #closing: Promise<void> | null = null;

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#monotonic = options.monotonic ?? (() => performance.now());
    this.#random = options.random ?? Math.random;
    this.#ended = new EndedSessions(options.endedLimits ?? ENDED_LIMITS, (count) => {
      options.emit('tombstonesDropped', { count });
    });
    this.#availability = new Availability({ ...options, monotonic: this.#monotonic });
    this.#announcements = new Announcements(options.emit);
    this.#recovery = new Recovery({
      ended: () => this.#ended.byUser(options.clock.now()),
      writeBack: (known) => this.#writeBack(known),
      unseen: () => this.#unseen(),
      confirm: (entry) => this.#confirm(entry),
      pause: options.storeTimeout,
    });
    this.#entries = new LRUCache({
      max: options.entryLimit ?? ENTRY_LIMIT,
      dispose: (entry, _handle, why) => {
        if (why === 'evict') this.#evict(entry);
      },
    });
    const listener: FeedListener = {
      notice: (notice, own) => {
        this.#hear(notice, own);
      },
      globalCutoff: (cutoff, own) => {
        this.#learnGlobalCutoff(cutoff, own);
      },
      gap: () => {
        this.#drop();
      },
    };
    this.#feed = options.store.feed(listener);
    this.#timer = setInterval(
      () => {
        this.#tick();
      },
      Math.min(1000, options.activityInterval),
    );
    this.#timer.unref();
  }

  /**
   * The live session; throws, or rejects with, `LoginError` `session_revoked`, `session_expired`, `session_idle`,
   * `session_limit` or `store_unavailable`. Synchronous where the ledger knows. `fresh` asks the store whatever the ledger
   * knows, and answers `store_unavailable` where it cannot, whatever `whenStoreDown` says.
   */
  judge(token: VerifiedToken, sighting: Sighting, fresh: boolean): LiveSession | Promise<LiveSession> {
    const entry = this.#entries.get(token.handle);
    if (entry !== undefined && !fresh && this.#vouches(entry, token, sighting.at)) {
      this.#use(entry, token.times, sighting);
      return entry;
    }
    return this.#ask(entry, token, sighting, fresh);
  }

  /**
   * The same judgement without a sighting: nothing is put on record, prolonged or counted. Rejects as {@link judge} does,
   * and with `store_unavailable` wherever it can neither know nor ask, whatever `whenStoreDown` says.
   */
  async peek(token: VerifiedToken, at: number): Promise<Omit<LiveSession, 'signal'>> {
    const { user, handle, times } = token;
    const entry = this.#entries.peek(handle);
    if (entry !== undefined && this.#vouches(entry, token, at)) return entry;
    this.#refuseKnownEnded(token, at);
    const policy = this.#options.policyOf(user.issuer);
    const request = { handle, sighting: { at, ip: null, userAgent: null }, token: times, policy, track: false };
    const question: Question = { stale: false };
    this.#questions.add(user.key, question);
    const { caughtUp } = this.#caughtUpAsOf();
    const sighted = attempt(() => this.#store.sight(user, request));
    const reply = this.#availability.asked(Promise.all([sighted, caughtUp]));
    const [answer] = await reply.finally(() => {
      this.#questions.remove(user.key, question);
    });
    if (answer.state === 'ended') this.#learnEnded(user, { handle, ending: answer.ending, until: answer.until }, null);
    const { startedAt, expiresAt } = this.#requireLive(token, at, answer, question);
    return { handle, startedAt, expiresAt };
  }

  /** Live sessions, most recently seen first. What this process knows to be ended is not among them. */
  async list(
    user: SessionUser,
    request: { readonly limit: number; readonly cursor: ListCursor | null },
  ): Promise<SessionPage> {
    const at = this.#options.clock.now();
    const page = await this.#read(
      user,
      (policy) => this.#store.list(user, { ...request, at, policy }),
      ({ sessions }) => sessions,
    );
    return { sessions: page.sessions.filter((session) => this.#isShown(user, session)), next: page.next };
  }

  async get(user: SessionUser, handle: string): Promise<SessionRecord | null> {
    const at = this.#options.clock.now();
    if (this.#isEnded(handle)) return null;
    const record = await this.#read(user, (policy) => this.#store.get(user, handle, at, policy), asList);
    return record !== null && this.#isShown(user, record) ? record : null;
  }

  async label(user: SessionUser, handle: string, label: string | null): Promise<SessionRecord | null> {
    const at = this.#options.clock.now();
    if (this.#isEnded(handle)) return null;
    const record = await this.#read(user, (policy) => this.#store.label(user, handle, label, at, policy), asList);
    return record !== null && this.#isShown(user, record) ? record : null;
  }

  /** Resolves once the revocation is acknowledged; it is in force in this process by then. */
  async revoke(
    user: SessionUser,
    request: {
      readonly handle: string;
      readonly reason: string;
      readonly by: string | null;
      readonly token?: TokenTimes;
    },
  ): Promise<'ended' | 'already' | 'unknown'> {
    // A session that this process knows to be live is ended also where the store lost its record.
    const token = request.token ?? this.#knownLive(user, request.handle)?.token;
    const full = { ...request, at: this.#options.clock.now(), ...(token === undefined ? {} : { token }) };
    return this.#end(user, (policy) => this.#store.revoke(user, { ...full, policy }));
  }

  async revokeAll(
    user: SessionUser,
    request: { readonly except: string | null; readonly reason: string; readonly by: string | null },
  ): Promise<{ readonly ended: number }> {
    const at = this.#options.clock.now();
    return this.#end(user, (policy) => this.#store.revokeAll(user, { ...request, at, policy }));
  }

  /** Resolves once it is acknowledged; it is in force in this process by then. */
  async endEverywhere(request: { readonly reason: string; readonly by: string | null }): Promise<void> {
    const at = this.#options.clock.now();
    await this.#availability.noted(attempt(() => this.#store.endEverywhere({ ...request, at })));
  }

  health(): { readonly store: Health; readonly feed: Health; readonly sessions: number } {
    const age = this.#feed.age();
    return {
      sessions: this.#entries.size,
      store: this.#store.health(),
      feed: { ok: age <= this.#options.revocationBound, age, lastError: this.#feed.lastError() },
    };
  }

  /** Writes the last-seen times that are not yet written, then closes the feed and the store's own connections. */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    clearInterval(this.#timer);
    this.#recovery.stop();
    await inBatches([...this.#dirty], (entry) => this.#confirm(entry));
    await this.#feed.close();
    await this.#store.close();
  }

  // The hot path

  #vouches(entry: Entry, token: VerifiedToken, at: number): boolean {
    if (entry.generation !== this.#generation) return false;
    if (this.#knownAge(entry) > this.#options.revocationBound) return false;
    const { issuedAt, lifetime } = token.times;
    // An older token than any seen here may show that the session began before a cutoff.
    if (issuedAt !== null && (issuedAt < entry.startedAt || !entry.hasIssuedAt)) return false;
    const { policy } = entry.owner;
    if (hasOutlived(entry, lifetime, at)) return false;
    // Once it has lapsed, a refreshed token must find a place under the cap again.
    if (lifetime === null && at >= entry.tokensEndAt + policy.clockTolerance) return false;
    return policy.idleTimeout === null || at < entry.lastSeenAt + policy.idleTimeout;
  }

  /** How long ago, in milliseconds, the session is known to have been live. */
  #knownAge(entry: Entry): number {
    const confirmed = this.#monotonic() - entry.confirmedAt;
    return entry.covered ? Math.min(confirmed, this.#feed.age()) : confirmed;
  }

  #use(entry: Entry, token: TokenTimes, sighting: Sighting): void {
    const { at } = sighting;
    if (at > entry.lastSeenAt) {
      if (entry.tracked && !entry.isDirty) this.#dirty.add(entry);
      entry.lastSeenAt = at;
    }
    const endsAt = tokenEndsAt(token);
    const extended = endsAt > entry.tokensEndAt;
    if (extended) this.#extend(entry, token, endsAt);
    const isOverdue = at >= entry.dueAt || (extended && entry.writtenEndsAt <= entry.dueAt);
    // A clock that went back must not silence the background sights.
    if (isOverdue || at < entry.writtenAt - this.#options.activityInterval) {
      entry.ip = sighting.ip;
      entry.userAgent = sighting.userAgent;
      entry.lastSeenAt = at;
      this.#confirmInBackground(entry);
    }
  }

  #extend(entry: Entry, token: TokenTimes, endsAt: number): void {
    entry.token = token;
    entry.tokensEndAt = endsAt;
    if (token.lifetime === null) entry.expiresAt = Math.max(entry.expiresAt, endsAt);
  }

  // Asking the store

  #ask(
    entry: Entry | undefined,
    token: VerifiedToken,
    sighting: Sighting,
    fresh: boolean,
  ): LiveSession | Promise<LiveSession> {
    this.#refuseKnownEnded(token, sighting.at);
    if (entry !== undefined && !fresh) {
      if (this.#availability.isDown('commands') && this.#mayGoOn(entry)) {
        refuseOutlived(entry, token, sighting.at);
        // Known to be down: no request waits for another timeout, one at a time finds out whether it is back.
        if (!this.#probing) this.#probe(entry);
        this.#use(entry, token.times, sighting);
        return entry;
      }
      const { call } = entry;
      if (call !== null && this.#mayShare(call, token.times.issuedAt))
        return this.#await(entry, call, token, sighting, fresh);
    }
    const tracked = this.#options.track?.(token) ?? true;
    const asked = entry ?? this.#enter(token, sighting.at);
    asked.tracked ||= tracked;
    asked.ip = sighting.ip;
    asked.userAgent = sighting.userAgent;
    const call = this.#send(asked, { at: sighting.at, ip: asked.ip, userAgent: asked.userAgent }, token.times);
    return this.#await(asked, call, token, sighting, fresh);
  }

  #refuseKnownEnded(token: VerifiedToken, now: number): void {
    const tombstone = this.#ended.find(token.handle, now);
    if (tombstone !== undefined) {
      this.#prolong(tombstone, token, now);
      throw endedError(tombstone.ending);
    }
    const { issuedAt } = token.times;
    if (issuedAt !== null) this.#refuseByGlobalCutoff(token, now, issuedAt, null);
    const cutoff = this.#ended.cutoffOf(token.user.key);
    // Only what is sure without the record: a session without `iat`, or of the cutoff's own second, is the store's to judge.
    if (cutoff !== undefined && issuedAt !== null && endedByCutoff(cutoff, token.handle, issuedAt, cutoff.at)) {
      throw this.#endByCutoff(token, now, endingByCutoff(cutoff, null));
    }
  }

  #refuseByGlobalCutoff(token: VerifiedToken, now: number, startedAt: number | null, expiresAt: number | null): void {
    if (this.#globalCutoff === null || !this.#isEndedByGlobalCutoff(token.user, startedAt)) return;
    throw this.#endByCutoff(token, now, endingByCutoff(this.#globalCutoff, expiresAt));
  }

  #isEndedByGlobalCutoff(user: SessionUser, startedAt: number | null): boolean {
    return endedByGlobalCutoff(this.#globalCutoff, startedAt, this.#options.policyOf(user.issuer));
  }

  /** Remembers what is refused for a cutoff's sake: a store that lost data would call it live. */
  #endByCutoff({ user, handle, times }: VerifiedToken, now: number, ending: Ending): LoginError {
    const { issuedAt, lifetime } = times;
    const session = { startedAt: issuedAt ?? now, lifetime, tokensEndAt: tokenEndsAt(times) };
    const until = tombstoneUntil(session, this.#options.policyOf(user.issuer));
    this.#learnEnded(user, { handle, ending, until }, null);
    return endedError(ending);
  }

  /** A token that is good for longer than the tombstone stands makes it stand longer, here and in the store. */
  #prolong(tombstone: Tombstone, token: VerifiedToken, now: number): void {
    const policy = this.#options.policyOf(token.user.issuer);
    const until = tokenEndsAt(token.times) + policy.tombstoneFor;
    if (until <= tombstone.until) return;
    this.#ended.add(token.user, { ...tombstone, until }, now);
    const sighting = { at: now, ip: null, userAgent: null };
    this.#availability
      .asked(
        attempt(() => this.#store.sight(token.user, { handle: token.handle, sighting, token: token.times, policy })),
      )
      .then(
        (answer) => {
          if (answer.state === 'live') this.#recovery.start();
        },
        () => {
          /* shown as storeDown; the tombstone stands here */
        },
      );
  }

  /** Within the bound any answer will do; one that something was announced after will not. */
  #mayShare(call: Call, issuedAt: number | null): boolean {
    const isOlder = issuedAt === null || call.issuedAt === null ? issuedAt !== call.issuedAt : issuedAt < call.issuedAt;
    return (
      !isOlder &&
      !call.stale &&
      call.generation === this.#generation &&
      this.#monotonic() - call.asOf <= this.#options.revocationBound
    );
  }

  #ownerOf(user: SessionUser): Owner {
    let owner = this.#owners.get(user.key);
    if (owner === undefined) {
      owner = { user, policy: this.#options.policyOf(user.issuer), entries: new Set() };
      this.#owners.set(user.key, owner);
    }
    return owner;
  }

  #enter(token: VerifiedToken, now: number): Entry {
    const owner = this.#ownerOf(token.user);
    const entry = this.#watched.find(token.handle) ?? new Entry(token.handle, owner, token.times, now, this.#onWatched);
    entry.owner = owner;
    owner.entries.add(entry);
    this.#entries.set(token.handle, entry);
    return entry;
  }

  #send(entry: Entry, sighting: Sighting, token: TokenTimes): Call {
    const { handle, owner } = entry;
    const { asOf, caughtUp } = this.#caughtUpAsOf();
    const call: Call = {
      asOf,
      generation: this.#generation,
      covered: this.#feed.age() < Infinity,
      tracked: entry.tracked,
      issuedAt: token.issuedAt,
      stale: false,
      outcome: NEVER,
    };
    entry.dueAt = sighting.at + this.#options.activityInterval * (1 + this.#random() / 8);
    const { tracked: track } = call;
    const isFirst = track && entry.generation === -1;
    const clientKey = isFirst ? (this.#options.clientKeyOf?.(sighting.userAgent) ?? null) : null;
    const request = { handle, sighting, token, policy: owner.policy, track, clientKey };
    const reply = attempt(() =>
      this.#store.sight(owner.user, request, (answer) => {
        this.#takeLate(entry, sighting, answer);
      }),
    )
      .then(async (answer) => {
        await caughtUp?.catch((error: unknown) => {
          this.#takeLate(entry, sighting, answer);
          throw error;
        });
        this.#take(entry, call, sighting, token, answer);
        return answer;
      })
      .finally(() => {
        this.#questions.remove(owner.user.key, call);
        if (entry.call === call) entry.call = null;
        this.#tidy(entry);
      });
    call.outcome = this.#availability.asked(reply);
    call.outcome.catch(() => {
      /* whoever waits hears of it */
    });
    this.#questions.add(owner.user.key, call);
    entry.call = call;
    return call;
  }

  /**
   * As of when what is known of the global cutoff holds, and what to wait for until it does: nothing while the feed
   * tells of it. What is asked of the store about one session says nothing of it: in a Cluster it lies elsewhere.
   */
  #caughtUpAsOf(): { readonly asOf: number; readonly caughtUp?: Promise<void> } {
    const now = this.#monotonic();
    const recent = this.#options.revocationBound / 2;
    const age = this.#feed.age();
    if (age <= recent) return { asOf: now - age };
    if (this.#catchUp === null || now - this.#catchUp.asOf > recent) {
      const caughtUp = this.#availability.asked(attempt(() => this.#store.catchUp()));
      const asked = { asOf: now, caughtUp };
      this.#catchUp = asked;
      caughtUp.catch(() => {
        if (this.#catchUp === asked) this.#catchUp = null;
      });
    }
    return this.#catchUp;
  }

  async #await(
    entry: Entry,
    call: Call,
    token: VerifiedToken,
    sighting: Sighting,
    fresh: boolean,
  ): Promise<LiveSession> {
    let answer;
    try {
      answer = await call.outcome;
    } catch (error) {
      // While the question was out a notice may have come.
      this.#refuseKnownEnded(token, sighting.at);
      refuseOutlived(entry, token, sighting.at);
      if (fresh || !this.#mayGoOn(entry)) throw error;
      if (entry.generation === this.#generation) this.#use(entry, token.times, sighting);
      return entry;
    }
    this.#requireLive(token, sighting.at, answer, call);
    if (entry.generation === this.#generation) this.#use(entry, token.times, sighting);
    return entry;
  }

  /** What the answer says, and what was announced while it was on its way. */
  #requireLive(
    token: VerifiedToken,
    now: number,
    answer: SightAnswer,
    question: Question,
  ): Extract<SightAnswer, { state: 'live' }> {
    if (answer.state === 'refused') throw new LoginError('session_limit', 'Too many sessions are live for this user');
    if (answer.state === 'ended') throw endedError(answer.ending);
    this.#refuseKnownEnded(token, now);
    this.#refuseByGlobalCutoff(token, now, startOf(answer), answer.expiresAt);
    const cutoff = this.#ended.cutoffOf(token.user.key);
    if (cutoff !== undefined && isEndedBy(cutoff, token, answer, question)) {
      throw this.#endByCutoff(token, now, endingByCutoff(cutoff, answer.expiresAt));
    }
    // A shared answer was judged when its question was sent; this request may have come at the lifetime's very end.
    const { lifetime } = token.times;
    const { clockTolerance } = this.#options.policyOf(token.user.issuer);
    if (lifetime !== null && now >= answer.startedAt + lifetime + clockTolerance) throw outlivedError();
    return answer;
  }

  /** Enters a reply, however late it is. */
  #take(entry: Entry, call: Call, sighting: Sighting, token: TokenTimes, answer: SightAnswer): void {
    const { user } = entry.owner;
    if (answer.state === 'ended') {
      this.#learnEnded(user, { handle: entry.handle, ending: answer.ending, until: answer.until }, null);
      return;
    }
    if (answer.state === 'refused') {
      entry.generation = -1;
      return;
    }
    if (this.#isEnded(entry.handle)) {
      if (!call.stale) this.#recovery.start();
      return;
    }
    if (this.#isEndedByGlobalCutoff(user, startOf(answer))) return;
    const cutoff = this.#ended.cutoffOf(user.key);
    if (cutoff !== undefined && isEndedBy(cutoff, { handle: entry.handle, times: token }, answer, call)) {
      if (!call.stale) this.#recovery.start();
      return;
    }
    const held = this.#entries.peek(entry.handle) === entry;
    if (answer.created) this.#noteCreated(entry, sighting, answer.knownClient);
    if (answer.moved !== null) this.#announcements.moved(entry.subject, answer.moved, sighting);
    entry.startedAt = answer.startedAt;
    entry.hasIssuedAt ||= answer.hasIssuedAt;
    entry.survivedCutoffAt = answer.survivedCutoffAt;
    entry.expiresAt = token.lifetime === null ? Math.max(answer.expiresAt, entry.expiresAt) : answer.expiresAt;
    entry.lastSeenAt = Math.max(entry.lastSeenAt, sighting.at);
    entry.writtenAt = Math.max(entry.writtenAt, sighting.at);
    entry.recorded ||= call.tracked;
    entry.writtenEndsAt = Math.max(entry.writtenEndsAt, tokenEndsAt(token));
    if (!entry.isDirty) this.#dirty.delete(entry);
    const endsAt = tokenEndsAt(token);
    if (endsAt > entry.tokensEndAt) this.#extend(entry, token, endsAt);
    // The reply may have left the store before what was announced since: it answers its own request, and is not entered.
    if (!held || call.stale || call.generation !== this.#generation) return;
    entry.generation = call.generation;
    entry.covered = call.covered;
    entry.confirmedAt = Math.max(entry.confirmedAt, call.asOf);
  }

  /** An answer that nobody waited for any more is no knowledge, but what it tells of was done. */
  #takeLate(entry: Entry, sighting: Sighting, answer: SightAnswer): void {
    if (answer.state === 'live' && answer.created) this.#noteCreated(entry, sighting, answer.knownClient);
    if (answer.state !== 'ended') return;
    this.#learnEnded(entry.owner.user, { handle: entry.handle, ending: answer.ending, until: answer.until }, null);
  }

  /** A session that is in use here and was on record, created anew, shows that the store lost data. */
  #noteCreated(entry: Entry, sighting: Sighting, knownClient: boolean): void {
    const isInUse = this.#entries.peek(entry.handle) === entry && entry.generation !== -1;
    if (isInUse && entry.recorded && decide(timesOf(entry), entry.owner.policy, sighting.at).state === 'live')
      this.#recovery.start();
    else this.#announcements.started(entry.subject, sighting, knownClient);
  }

  /** An entry that no reply put in is no knowledge; it only holds its question. */
  #tidy(entry: Entry): void {
    const held = this.#entries.peek(entry.handle) === entry;
    if (entry.call !== null || (held && entry.generation !== -1)) return;
    if (held) this.#entries.delete(entry.handle);
    this.#leave(entry);
  }

  #leave(entry: Entry): void {
    this.#dirty.delete(entry);
    entry.owner.entries.delete(entry);
    this.#tidyOwner(entry.owner);
  }

  #tidyOwner(owner: Owner): void {
    const isIdle = owner.entries.size === 0;
    if (isIdle && this.#owners.get(owner.user.key) === owner) this.#owners.delete(owner.user.key);
  }

  #evict(entry: Entry): void {
    entry.generation = -1;
    if (entry.isDirty) this.#confirmInBackground(entry);
    else if (entry.call === null) this.#leave(entry);
  }

  #confirmInBackground(entry: Entry): void {
    if (entry.call !== null && !entry.call.stale) return;
    this.#confirm(entry).catch(() => {
      /* shown as storeDown; asked again when due */
    });
  }

  async #confirm(entry: Entry): Promise<void> {
    const sighting = { at: entry.lastSeenAt, ip: entry.ip, userAgent: entry.userAgent };
    await this.#send(entry, sighting, entry.token).outcome;
  }

  // When the store cannot be asked

  /** Whether this request may go on with what was known, by `whenStoreDown`. */
  #mayGoOn(entry: Entry): boolean {
    const { whenStoreDown, revocationBound } = this.#options;
    if (whenStoreDown === 'refuse') return false;
    if (whenStoreDown === 'allow') return true;
    return entry.generation === this.#generation && this.#knownAge(entry) <= revocationBound + whenStoreDown.allowFor;
  }

  #probe(entry: Entry): void {
    this.#probing = true;
    this.#confirm(entry)
      .catch(() => {
        /* still down */
      })
      .finally(() => {
        this.#probing = false;
      });
  }

  async #read<Answer>(
    user: SessionUser,
    ask: (policy: SessionPolicy) => Promise<Answer>,
    shown: (answer: Answer) => readonly SessionRecord[],
  ): Promise<Answer> {
    const question: Question = { stale: false };
    this.#questions.add(user.key, question);
    try {
      const policy = this.#options.policyOf(user.issuer);
      const answer = await this.#availability.asked(attempt(() => ask(policy)));
      // Shown as live though it is known here to be ended, and nothing was announced meanwhile: the store lost data.
      if (!question.stale && shown(answer).some(({ handle }) => this.#isEnded(handle))) this.#recovery.start();
      return answer;
    } finally {
      this.#questions.remove(user.key, question);
    }
  }

  async #end<Outcome>(user: SessionUser, ask: (policy: SessionPolicy) => Promise<Outcome>): Promise<Outcome> {
    try {
      return await this.#availability.noted(attempt(() => ask(this.#options.policyOf(user.issuer))));
    } catch (error) {
      this.#doubt(user);
      throw error;
    }
  }

  // What the feed tells

  #hear(notice: Notice, own: boolean): void {
    const { user } = notice;
    this.#questions.outdate(user.key);
    if (notice.kind === 'ended') this.#learnEnded(user, notice.tombstone, own);
    else this.#learnCutoff(notice, own);
  }

  /** `own`: this process ended it; null: nobody announced it, a reply said so. */
  #learnEnded(user: SessionUser, tombstone: Tombstone, own: boolean | null): void {
    const { handle, ending } = tombstone;
    const known = this.#ended.add(user, tombstone, this.#options.clock.now());
    const entry = this.#knownLive(user, handle);
    if (entry !== undefined) this.#close(entry);
    if (known.isTold) return;
    // Of several who were at it the one that announces it with the session is the one that ended it.
    if (own !== null) this.#ended.correct(known, ending);
    if (own !== null || (entry !== undefined && ending.cause !== 'revoked')) this.#tellEnded(known, own ?? false);
    else if (entry !== undefined) this.#untold.set(known, this.#monotonic());
  }

  #tellEnded(known: KnownEnding, here: boolean): void {
    const { user, tombstone } = known;
    known.isTold = true;
    this.#untold.delete(known);
    this.#announcements.ended({ user, handle: tombstone.handle }, tombstone.ending, here);
  }

  #learnCutoff({ user, cutoff, ended }: Extract<Notice, { kind: 'cutoff' }>, own: boolean): void {
    const now = this.#options.clock.now();
    for (const { handle, expiresAt, until } of ended) {
      this.#learnEnded(user, { handle, ending: endingByCutoff(cutoff, expiresAt), until }, own);
    }
    if (!this.#ended.addCutoff(user, cutoff, now + CUTOFF_FOR, now)) return;
    const entries = new Set([...(this.#owners.get(user.key)?.entries ?? []), ...this.#watched.ofUser(user.key)]);
    for (const entry of entries) {
      if (!endedByCutoff(cutoff, entry.handle, startOf(entry), entry.survivedCutoffAt)) continue;
      // What was live in the store is in a notice of this cutoff, or of an earlier one that is not ours.
      const isToBeTold = entry.recorded && decide(timesOf(entry), entry.owner.policy, now).state === 'live';
      this.#endEntry(entry, cutoff, own && isToBeTold ? null : own);
    }
  }

  #learnGlobalCutoff(cutoff: GlobalCutoff, own: boolean): void {
    this.#globalCutoff = cutoff;
    this.#questions.outdateAll();
    // What an answer told of before: only now it is known who acted.
    for (const known of this.#untold.keys()) {
      if (known.tombstone.ending.at === cutoff.at) this.#tellEnded(known, own);
    }
    for (const entry of new Set([...this.#entries.values(), ...this.#watched.held()])) {
      if (endedByGlobalCutoff(cutoff, startOf(entry), entry.owner.policy)) this.#endEntry(entry, cutoff, own);
    }
  }

  #endEntry(entry: Entry, cutoff: GlobalCutoff, own: boolean | null): void {
    const { handle, generation, isWatched, owner } = entry;
    if (generation === -1 && !isWatched) return;
    const until = tombstoneUntil(timesOf(entry), owner.policy);
    this.#learnEnded(owner.user, { handle, ending: endingByCutoff(cutoff, entry.expiresAt), until }, own);
  }

  /** The session where this process knows it to be live or somebody listens to its end. */
  #knownLive(user: SessionUser, handle: string): Entry | undefined {
    const entry = this.#entries.peek(handle) ?? this.#watched.find(handle);
    if (entry?.owner.user.key !== user.key) return undefined;
    return entry.generation !== -1 || entry.isWatched ? entry : undefined;
  }

  #close(entry: Entry): void {
    if (this.#entries.peek(entry.handle) === entry) this.#entries.delete(entry.handle);
    this.#watched.remove(entry);
    this.#leave(entry);
    entry.end();
  }

  /** A revocation that failed may be in force in part: what is known of the user is asked for again. */
  #doubt(user: SessionUser): void {
    this.#questions.outdate(user.key);
    for (const entry of this.#owners.get(user.key)?.entries ?? []) {
      entry.confirmedAt = -Infinity;
      entry.covered = false;
    }
  }

  // When the store lost data

  /** The feed missed entries, or may have: everything is asked for again, and what is known to be ended is written back. */
  #drop(): void {
    this.#generation += 1;
    this.#recovery.start();
  }

  #isEnded(handle: string): boolean {
    return this.#ended.find(handle, this.#options.clock.now()) !== undefined;
  }

  #isShown(user: SessionUser, { handle, startedAt }: SessionRecord): boolean {
    return !this.#isEnded(handle) && !this.#isEndedByGlobalCutoff(user, startedAt);
  }

  async #writeBack({ user, tombstones, cutoff }: KnownOfUser): Promise<void> {
    const at = this.#options.clock.now();
    const policy = this.#options.policyOf(user.issuer);
    await this.#availability.asked(this.#store.restore(user, { tombstones, cutoff, at, policy }));
  }

  /** Sessions in use are asked for without waiting for their next request: somebody may hold a connection open. */
  #unseen(): Entry[] {
    const recently = this.#options.clock.now() - 2 * this.#options.activityInterval;
    const inUse = [...this.#owners.values()].flatMap(({ entries }) =>
      [...entries].filter((entry) => entry.lastSeenAt >= recently),
    );
    return [...new Set([...inUse, ...this.#watched.held()])].filter((entry) => entry.generation !== this.#generation);
  }

  // What time brings

  #tick(): void {
    const now = this.#options.clock.now();
    this.#flush(now);
    for (const entry of this.#watched.held()) this.#closeWhatRanOut(entry, now);
    if (this.#monotonic() - this.#sweptAt > SWEEP_INTERVAL) {
      this.#sweptAt = this.#monotonic();
      this.#ended.forgetRunOut(now);
    }
    for (const [known, since] of this.#untold) {
      if (this.#monotonic() - since > this.#options.revocationBound) this.#tellEnded(known, false);
    }
    const feed = this.#feed.lastError();
    if (this.#feed.age() <= this.#options.revocationBound) this.#availability.noteUp('feed');
    else if (feed !== null) this.#availability.noteDown('feed', feed);
  }

  /** In batches, one after the other: an outage leaves many to be written, and must not end in a burst. */
  #flush(now: number): void {
    if (this.#isFlushing) return;
    const due = [...this.#dirty].filter(
      (entry) => entry.call === null && (now >= entry.dueAt || now < entry.writtenAt),
    );
    if (due.length === 0) return;
    this.#isFlushing = true;
    void inBatches(due, (entry) => this.#confirm(entry)).finally(() => {
      this.#isFlushing = false;
    });
  }

  /** A connection may outlast its session without another request: the record says whether it was used elsewhere. */
  #closeWhatRanOut(entry: Entry, now: number): void {
    const { user, policy } = entry.owner;
    // What is not on record is never idle: nobody would know of its use elsewhere.
    const applied = entry.tracked ? policy : { ...policy, idleTimeout: null };
    const standing = decide(timesOf(entry), applied, now);
    if (standing.state === 'live' || entry.isChecked || entry.call !== null) return;
    entry.isChecked = true;
    const reply = attempt(() => this.#store.get(user, entry.handle, now, policy));
    this.#availability
      .asked(reply)
      .then((record) => {
        if (record !== null) this.#noteUsedElsewhere(entry, record);
        // A request that came meanwhile may have taken the session on.
        else if (this.#watched.find(entry.handle) === entry && entry.call === null)
          this.#closeRunOut(entry, decide(timesOf(entry), applied, now), now);
      })
      .catch(() => {
        /* asked again at the next tick */
      })
      .finally(() => {
        entry.isChecked = false;
      });
  }

  #noteUsedElsewhere(entry: Entry, record: SessionRecord): void {
    entry.lastSeenAt = Math.max(entry.lastSeenAt, record.lastSeenAt);
    entry.writtenAt = Math.max(entry.writtenAt, record.lastSeenAt);
    entry.expiresAt = Math.max(entry.expiresAt, record.expiresAt);
    if (entry.token.lifetime === null) entry.tokensEndAt = Math.max(entry.tokensEndAt, record.expiresAt);
  }

  #closeRunOut(entry: Entry, standing: Standing, now: number): void {
    const { user, policy } = entry.owner;
    switch (standing.state) {
      case 'live':
        return;
      case 'lapsed':
        // Not ended for good: a refreshed token takes the session on.
        this.#close(entry);
        return;
      case 'ended': {
        const { cause } = standing;
        const ending = { cause, reason: cause, by: null, at: now, expiresAt: entry.expiresAt };
        this.#learnEnded(user, { handle: entry.handle, ending, until: tombstoneUntil(timesOf(entry), policy) }, null);
      }
    }
  }
}

const NEVER = new Promise<never>(() => {
  /* replaced before anybody waits */
});

/** Whether the cutoff known here ends a session that the store, as far as it knew, called live. */
function isEndedBy(
  cutoff: Cutoff,
  { handle, times }: Pick<VerifiedToken, 'handle' | 'times'>,
  { startedAt, survivedCutoffAt }: Extract<SightAnswer, { state: 'live' }>,
  question: Question,
): boolean {
  if (!endedByCutoff(cutoff, handle, times.issuedAt, survivedCutoffAt)) return false;
  if (question.stale || times.issuedAt === null) return true;
  // Asked after the cutoff, a store that did not know it had lost it, and with it what the session is known under.
  return Math.floor(startedAt / 1000) <= Math.floor(cutoff.at / 1000);
}

function asList(record: SessionRecord | null): SessionRecord[] {
  return record === null ? [] : [record];
}

/** Null where nobody knows. */
function startOf({ hasIssuedAt, startedAt }: Pick<Entry, 'hasIssuedAt' | 'startedAt'>): number | null {
  return hasIssuedAt ? startedAt : null;
}

/** Whether the session, as it is known here, is past its lifetime, by this token's or by an earlier one's. */
function hasOutlived(entry: Entry, lifetime: number | null, at: number): boolean {
  const { startedAt, token, owner } = entry;
  const shortest = Math.min(lifetime ?? Infinity, token.lifetime ?? Infinity);
  return at >= startedAt + shortest + owner.policy.clockTolerance;
}

/** That needs no store. */
function refuseOutlived(entry: Entry, { times }: VerifiedToken, at: number): void {
  if (hasOutlived(entry, times.lifetime, at)) throw outlivedError();
}

function outlivedError(): LoginError {
  return new LoginError('session_expired', 'The session reached the end of its lifetime');
}

function timesOf(entry: Entry): SessionTimes {
  return {
    startedAt: entry.startedAt,
    lastSeenAt: entry.lastSeenAt,
    lifetime: entry.token.lifetime,
    tokensEndAt: entry.tokensEndAt,
  };
}

/** The refusal that an ending means. */
function endedError({ cause, reason }: Ending): LoginError {
  if (cause === 'expired') return outlivedError();
  if (cause === 'idle') return new LoginError('session_idle', 'The session was not used for too long');
  return new LoginError('session_revoked', 'The session was ended', { reason });
}
