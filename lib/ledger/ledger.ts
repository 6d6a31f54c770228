/** Between the middleware and the store: what this process knows of its sessions, and how fresh that is. */

import type { PartHealth } from '../core/health.js';
import type { SessionPolicy } from '../core/policy.js';
import { sessionHandle, sessionIndexId, sessionUser, type SessionRecord, type SessionUser } from '../core/session.js';
import { isStale } from '../core/stale.js';
import type { ListCursor, RevokeAllRequest, RevokeOutcome, RevokeRequest, SessionPage } from '../stores/store.js';
import type { VerifiedToken } from '../tokens/verify.js';
import { callAsync } from './availability.js';
import { withoutVouch } from './knowledge.js';
import { connect, type LedgerOptions, type Parts } from './parts.js';
import type { LiveSession, Seen } from './entry.js';
import type { Lease } from './lease.js';

export type { WhenStoreDown } from './judge.js';
export type { LedgerOptions } from './parts.js';
export type { LiveSession, Seen } from './entry.js';
export type { Lease } from './lease.js';

/**
 * Times of sessions are read from the option `clock`. Freshness and timeouts are measured on a monotonic clock.
 */
export class Ledger {
  readonly #options: LedgerOptions;
  readonly #parts: Parts;
  readonly #judge: Parts['judge'];
  readonly #timer: NodeJS.Timeout;
  #closing: Promise<void> | null = null;
  #isAskingAgain = false;
  #isReviewing = false;
  #wasDown = false;

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.#parts = connect(options);
    this.#judge = this.#parts.judge;
    this.#timer = setInterval(() => this.#tick(), Math.min(1000, options.activityInterval));
    this.#timer.unref();
  }

  /**
   * The live session. Throws, or rejects with, `LoginError` `token_stale`, `session_revoked`, `session_expired`, `session_idle`,
   * `session_limit` or `store_unavailable`. Synchronous if the ledger knows the answer. `fresh` asks the store whatever the
   * ledger knows, and rejects with `store_unavailable` if it cannot be asked, whatever `whenStoreDown` says.
   */
  judge(token: VerifiedToken, sighting: Seen, fresh: boolean): LiveSession | Promise<LiveSession> {
    return this.#judge.judge(token, sighting, fresh);
  }

  /** See {@link Judge.lease}. */
  lease(token: VerifiedToken, from: number, until: number): Lease | null {
    return this.#judge.lease(token, from, until);
  }

  /**
   * The same judgement without a sighting: nothing is recorded, extended or counted. Rejects as {@link judge} does, and
   * with `store_unavailable` if the ledger does not know and cannot ask, whatever `whenStoreDown` says.
   */
  async peek(token: VerifiedToken, at: number): Promise<Omit<LiveSession, 'signal'>> {
    const { startedAt, expiresAt } = await this.#judge.peek(token, at);
    return { handle: token.handle, startedAt, expiresAt };
  }

  /** Live sessions, most recently seen first, without those that this process knows to be ended. */
  async list(
    user: SessionUser,
    request: { readonly limit: number; readonly cursor: ListCursor | null },
  ): Promise<SessionPage> {
    const at = this.#options.clock.now();
    const { store } = this.#options;
    const page = await this.#read(
      user,
      (policy) => store.list(user, { ...request, at, policy }),
      ({ sessions }) => sessions,
    );
    const sessions = page.sessions.filter((session) => this.#isShown(user, session));
    return { ...page, sessions, total: page.total - (page.sessions.length - sessions.length) };
  }

  async get(user: SessionUser, handle: string): Promise<SessionRecord | null> {
    const at = this.#options.clock.now();
    return this.#readOne(user, (policy) => this.#options.store.get(user, handle, at, policy));
  }

  async label(user: SessionUser, handle: string, label: string | null): Promise<SessionRecord | null> {
    const at = this.#options.clock.now();
    return this.#readOne(user, (policy) => this.#options.store.label(user, handle, label, at, policy));
  }

  /** Before a request that ends a session costs anything: throws `LoginError` `store_unavailable` if too many are asked for. */
  refuseRevocationIfFull(): void {
    this.#parts.revocations.refuseIfFull();
  }

  /**
   * Resolves once the revocation is acknowledged. It is in force in this process by then. Rejects with `store_unavailable`
   * if too many are asked for at the same time: nothing was done then.
   */
  async revoke(user: SessionUser, request: Omit<RevokeRequest, 'at' | 'policy'>): Promise<RevokeOutcome> {
    return this.#parts.revocations.run(() => this.#revoke(user, request));
  }

  /** Ends all sessions of an issuer that have this id, of any user. Resolves and rejects as {@link revoke} does. */
  async revokeIndexed(
    { issuer, sessionId }: { readonly issuer: string; readonly sessionId: string },
    words: { readonly reason: string; readonly by: string | null },
  ): Promise<void> {
    const { store, clock, policyOf } = this.#options;
    const { revocations, availability } = this.#parts;
    const id = sessionIndexId(issuer, sessionId);
    await revocations.run(async () => {
      const request = { ...words, at: clock.now(), policy: policyOf(issuer) };
      const subjects = await availability.observed(callAsync(() => store.endIndexed(id, request)));
      const users = subjects.map((subject) => sessionUser(issuer, subject));
      await Promise.all(
        users.map((user) => this.#revoke(user, { handle: sessionHandle(user, sessionId), ...words, evenUnseen: true })),
      );
    });
  }

  #revoke(user: SessionUser, request: Omit<RevokeRequest, 'at' | 'policy'>): Promise<RevokeOutcome> {
    const { store, clock } = this.#options;
    // A session that this process knows to be live is ended even if the store lost its record.
    const token = request.token ?? this.#parts.endings.inUse(user, request.handle)?.activity.token;
    const full = { ...request, at: clock.now(), ...(token === undefined ? {} : { token }) };
    return this.#end(user, (policy) => store.revoke(user, { ...full, policy }));
  }

  async revokeAll(
    user: SessionUser,
    request: Pick<RevokeAllRequest, 'except' | 'reason' | 'by' | 'upTo'>,
  ): Promise<{ readonly ended: number }> {
    const { store, clock } = this.#options;
    const at = clock.now();
    return this.#end(user, (policy) => store.revokeAll(user, { ...request, at, policy }));
  }

  /** Ends every session of the user and deletes what is stored of the person. Resolves and rejects as {@link revokeAll} does. */
  async erase(user: SessionUser): Promise<{ readonly ended: number }> {
    const { store, clock } = this.#options;
    const at = clock.now();
    return this.#end(user, (policy) => store.erase(user, { at, policy }));
  }

  /**
   * Makes the user's tokens stale that were issued up to `upTo` (milliseconds since 1970, never later than now; left out: up to
   * now). No session ends. Resolves and rejects as {@link revoke} does, but is never refused because too many are asked for.
   */
  async expireTokens(
    user: SessionUser,
    request: { readonly upTo?: number | null; readonly reason: string; readonly by: string | null },
  ): Promise<void> {
    const { store, clock } = this.#options;
    const at = clock.now();
    await this.#end(user, (policy) => store.expireTokens(user, { ...request, at, policy }));
  }

  /** Whether this process knows that the token is stale. Asks nobody. */
  isKnownStale({ user, times }: VerifiedToken): boolean {
    return isStale(this.#parts.endings.staleTokensOf(user.key, this.#options.clock.now()), times);
  }

  /** Resolves once it is acknowledged. It is in force in this process by then. */
  async endEverywhere(request: { readonly reason: string; readonly by: string | null }): Promise<void> {
    const { store, clock } = this.#options;
    const at = clock.now();
    await this.#parts.availability.observed(callAsync(() => store.endEverywhere({ ...request, at })));
  }

  /** Whether a message of a provider was acknowledged before, by any process. Rejects with `store_unavailable`. */
  async isMessageUsed(id: string): Promise<boolean> {
    const { store, clock } = this.#options;
    return this.#parts.availability.withTimeout(callAsync(() => store.isMessageUsed(id, clock.now())));
  }

  /** Notes that it was acknowledged, until then. Rejects with `store_unavailable`. */
  async useMessage(id: string, until: number): Promise<void> {
    const { store, clock } = this.#options;
    await this.#parts.availability.observed(callAsync(() => store.useMessage(id, until, clock.now())));
  }

  health(): { readonly store: PartHealth; readonly feed: PartHealth; readonly sessions: number } {
    const { feed, freshness, table } = this.#parts;
    return {
      sessions: table.size,
      store: this.#options.store.health(),
      feed: { ok: freshness.isFeedFresh, age: feed.age(), lastError: feed.lastError() },
    };
  }

  /** Writes the last-seen times that are not written yet, then closes the feed and the store's own connections. */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    const { recovery, unwritten, feed, backlog } = this.#parts;
    clearInterval(this.#timer);
    recovery.stop();
    await backlog.done();
    await unwritten.close();
    await feed.close();
    await this.#options.store.close();
  }

  async #read<Answer>(
    user: SessionUser,
    ask: (policy: SessionPolicy) => Promise<Answer>,
    shown: (answer: Answer) => readonly SessionRecord[],
  ): Promise<Answer> {
    const { questions, endings, recovery, table } = this.#parts;
    const { answer, question } = await questions.ask(user, () => ask(table.policyOf(user)));
    // R7.
    if (!question.isOvertaken && shown(answer).some(({ handle }) => endings.isEnded(handle))) recovery.start();
    return answer;
  }

  /** The store is asked whatever is known here: the time to answer must not tell that a handle is another user's. */
  async #readOne(
    user: SessionUser,
    ask: (policy: SessionPolicy) => Promise<SessionRecord | null>,
  ): Promise<SessionRecord | null> {
    const record = await this.#read(user, ask, (found) => (found === null ? [] : [found]));
    return record !== null && this.#isShown(user, record) ? record : null;
  }

  #isShown(user: SessionUser, { handle, startedAt }: SessionRecord): boolean {
    const { endings, globalCutoff, table } = this.#parts;
    return !endings.isEnded(handle) && !globalCutoff.ends(startedAt, table.policyOf(user));
  }

  async #end<Outcome>(user: SessionUser, ask: (policy: SessionPolicy) => Promise<Outcome>): Promise<Outcome> {
    const { availability, table } = this.#parts;
    try {
      return await availability.observed(callAsync(() => ask(table.policyOf(user))));
    } catch (error) {
      this.#invalidateUser(user);
      throw error;
    }
  }

  /** A revocation that failed may be in force in part: what is known of the user is asked for again. */
  #invalidateUser(user: SessionUser): void {
    const { questions, table } = this.#parts;
    questions.overtake(user.key);
    for (const entry of table.ofUser(user.key)) entry.knowledge = withoutVouch(entry.knowledge);
  }

  #tick(): void {
    const { unwritten, ended, endings, freshness, feed, availability } = this.#parts;
    const now = this.#options.clock.now();
    const isDown = availability.isDown('commands');
    if (this.#wasDown && !isDown) unwritten.flushAll();
    else unwritten.flush(now);
    this.#wasDown = isDown;
    void this.#reviewWatched(now);
    endings.retryAttribution();
    ended.forgetRunOut(now);
    const error = feed.lastError();
    if (freshness.isFeedFresh) availability.noteUp('feed');
    else if (error !== null) availability.noteDown('feed', error);
    if (availability.isLeftAlone) void this.#askAgain();
  }

  async #reviewWatched(now: number): Promise<void> {
    if (this.#isReviewing) return;
    this.#isReviewing = true;
    const { watched, runOut, backlog } = this.#parts;
    await backlog.work(watched.held(), (entry) => {
      watched.review(entry);
      runOut.check(entry, now);
    });
    this.#isReviewing = false;
  }

  /** Whatever comes of it is noted. */
  async #askAgain(): Promise<void> {
    if (this.#isAskingAgain) return;
    this.#isAskingAgain = true;
    const { unwritten, judge, availability } = this.#parts;
    // A store that is out of memory still answers what only reads.
    const entry = unwritten.first();
    const asked =
      entry === undefined
        ? availability.withTimeout(callAsync(() => this.#options.store.catchUp()))
        : judge.confirm(entry);
    await asked.catch(() => undefined);
    this.#isAskingAgain = false;
  }
}
