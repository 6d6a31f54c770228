/** Sessions in the memory of one process: the simplest implementation of the contract. Methods are atomic, except cutoffs. */

import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { checkOptions } from '../core/check.js';
import type { Cutoff, GlobalCutoff } from '../core/cutoff.js';
import { asErased, ERASED } from '../core/erased.js';
import { unseenUntil, type SessionPolicy } from '../core/policy.js';
import { sessionRecord } from '../core/record.js';
import { keptWords, type SessionUser } from '../core/session.js';
import { staleUntil } from '../core/stale.js';
import { SessionIndex } from './memory-index.js';
import { UsedMessages } from './memory-messages.js';
import { pastOf, UserSessions, type Call } from './memory-sessions.js';
import {
  backdatedTo,
  compareListed,
  type FeedListener,
  type Notice,
  type SessionStore,
  type IndexEntry,
  type SightRequest,
} from './store.js';

/** How many users are pruned whenever one is added, so that nobody stays for ever. */
const PRUNED_IN_PASSING = 2;

let hasWarned = false;

/**
 * Keeps sessions in this process only. This is the default, for development and for apps with a single process. The
 * sessions are gone when the process ends, and no other process sees them. With `NODE_ENV=production`, the first call
 * emits a process warning about this. Throws a `TypeError` for any option: it has none.
 */
export function memoryStore(options: unknown = {}): SessionStore {
  checkOptions(options, 'memoryStore()', {});
  if (process.env['NODE_ENV'] === 'production' && !hasWarned) {
    hasWarned = true;
    process.emitWarning(
      'memoryStore() keeps sessions in this process only: other processes still accept a session that this one ended. ' +
        'If there is more than one process, give managedSessions a redisStore(...).',
      { code: 'MANAGED_SESSIONS_MEMORY_STORE' },
    );
  }
  return new MemoryStore();
}

/** What the store objects of one process may share: see the store for tests. */
export class MemoryData {
  readonly users = new Map<string, UserSessions>();
  readonly listeners = new Set<FeedListener>();
  index = new SessionIndex();
  messages = new UsedMessages();
  globalCutoff: GlobalCutoff | null = null;
  #passing = this.users.entries();

  announce(notice: Notice): void {
    for (const listener of this.listeners) listener.notice(notice);
  }

  /** A user's sessions. Created if there are none. */
  sessionsOf(user: SessionUser, call: Call): UserSessions {
    let sessions = this.users.get(user.key);
    if (sessions === undefined) {
      for (let count = 0; count < PRUNED_IN_PASSING; count += 1) this.#pruneNext(call);
      this.users.set(user.key, (sessions = new UserSessions()));
    }
    sessions.pruneIfMany(call);
    return sessions;
  }

  #pruneNext(call: Call): void {
    const { value, done } = this.#passing.next();
    if (done === true) {
      this.#passing = this.users.entries();
      return;
    }
    const [key, sessions] = value;
    sessions.prune(call);
    if (sessions.isEmpty()) this.users.delete(key);
  }

  /** Everything is forgotten, and whoever listens is told of a gap. */
  lose(cause: string): void {
    this.users.clear();
    this.index = new SessionIndex();
    this.messages = new UsedMessages();
    // Whoever listens knows it, and writes it back.
    if (this.listeners.size === 0) this.globalCutoff = null;
    for (const listener of this.listeners) listener.gap(cause);
  }
}

/** Its methods are properties, so that `{ ...store, revoke }` is a store. */
export class MemoryStore implements SessionStore {
  readonly origin = randomBytes(9).toString('base64url');
  readonly #data: MemoryData;
  readonly #listeners = new Set<FeedListener>();

  constructor(data = new MemoryData()) {
    this.#data = data;
  }

  readonly configure: SessionStore['configure'] = () => {
    // Nothing here is slow or late.
  };

  readonly sight: SessionStore['sight'] = async (user, request) => {
    const call = this.#call(request.sighting.at, request.policy);
    if (request.index !== undefined) await this.#enter(user, request, request.index);
    const { answer, ended } = this.#data.sessionsOf(user, call).sight(request, call);
    for (const tombstone of ended) this.#data.announce({ kind: 'ended', user, tombstone });
    return answer;
  };

  readonly list: SessionStore['list'] = async (user, { limit, cursor, at, policy }) => {
    const all = this.#data.users.get(user.key)?.live(this.#call(at, policy)) ?? [];
    const rest = cursor === null ? all : all.filter((session) => compareListed(cursor, session) < 0);
    const page = rest.slice(0, limit);
    const last = page.at(-1);
    const next =
      rest.length > limit && last !== undefined ? { lastSeenAt: last.lastSeenAt, handle: last.handle } : null;
    return { sessions: page.map((session) => sessionRecord(session.handle, session)), next, total: all.length };
  };

  readonly get: SessionStore['get'] = async (user, handle, at, policy) => {
    const session = this.#data.users.get(user.key)?.findLive(handle, this.#call(at, policy));
    return session === undefined ? null : sessionRecord(handle, session);
  };

  readonly label: SessionStore['label'] = async (user, handle, label, at, policy) => {
    const session = this.#data.users.get(user.key)?.label(handle, label, this.#call(at, policy));
    return session === undefined ? null : sessionRecord(handle, session);
  };

  readonly revoke: SessionStore['revoke'] = async (user, request) => {
    const call = this.#call(request.at, request.policy);
    const { outcome, tombstone } = this.#data.sessionsOf(user, call).revoke(request, call);
    if (tombstone !== null) this.#data.announce({ kind: 'ended', user, tombstone });
    return outcome;
  };

  readonly endIndexed: SessionStore['endIndexed'] = async (id, request) =>
    this.#data.index.end(id, request, this.origin);

  readonly revokeAll: SessionStore['revokeAll'] = async (user, request) => {
    const { at, policy, except } = request;
    const call = this.#call(at, policy);
    const sessions = this.#data.sessionsOf(user, call);
    const upTo = backdatedTo(request);
    const words = {
      except,
      ...keptWords(request),
      origin: this.origin,
      isRestored: false,
      isBackdated: upTo !== null,
      erasedAt: sessions.cutoff?.erasedAt ?? 0,
    };
    let exceptedToo = 0;
    const ended = await this.#cutOff(user, sessions, call, () => {
      const standing = sessions.cutoff;
      if (upTo === null) return { ...words, at: laterThan(at, standing, this.#data.globalCutoff) };
      const cutoff = { ...words, at: upTo };
      if (standing === null || standing.at < upTo) return cutoff;
      const excepted = sessions.endExcepted(cutoff, call);
      if (excepted !== null) this.#data.announce({ kind: 'ended', user, tombstone: excepted.tombstone });
      if (standing.except !== null) this.#data.announce({ kind: 'cutoff', user, cutoff, ended: [] });
      exceptedToo = excepted?.wasLive === true ? 1 : 0;
      return null;
    });
    return { ended: ended + exceptedToo };
  };

  readonly erase: SessionStore['erase'] = async (user, { at, policy }) => {
    const call = this.#call(at, policy);
    const sessions = this.#data.sessionsOf(user, call);
    const words = {
      except: null,
      reason: ERASED,
      by: null,
      origin: this.origin,
      isRestored: false,
      isBackdated: false,
    };
    const ended = await this.#cutOff(user, sessions, call, () => {
      const cutoffAt = laterThan(at, sessions.cutoff, this.#data.globalCutoff);
      return { ...words, at: cutoffAt, erasedAt: cutoffAt };
    });
    return { ended };
  };

  readonly expireTokens: SessionStore['expireTokens'] = async (user, request) => {
    const { at, policy, upTo } = request;
    const call = this.#call(at, policy);
    const sessions = this.#data.sessionsOf(user, call);
    const declared = { at: Math.min(at, upTo ?? at), until: staleUntil(at, policy), ...keptWords(request) };
    const { standing } = sessions.expireTokens(declared, call);
    this.#data.announce({ kind: 'stale', user, staleTokens: standing });
  };

  readonly restore: SessionStore['restore'] = async (user, request) => {
    const { tombstones, cutoff, staleTokens = null, at, policy, isUnseen = false } = request;
    const call = this.#call(at, policy);
    const sessions = this.#data.sessionsOf(user, call);
    const missing = tombstones.map((known) => sessions.restore(known, call)).filter((written) => written !== null);
    if (!isUnseen) for (const tombstone of missing) this.#data.announce({ kind: 'ended', user, tombstone });
    if (staleTokens !== null && staleTokens.until >= pastOf(call)) {
      const lost = asErased({ ...staleTokens, ...keptWords(staleTokens) }, sessions.cutoff?.erasedAt ?? 0);
      const { standing, isNews } = sessions.expireTokens(lost, call);
      if (isNews) this.#data.announce({ kind: 'stale', user, staleTokens: standing });
    }
    if (cutoff !== null) {
      await this.#cutOff(user, sessions, call, () =>
        cutoff.at > (sessions.cutoff?.at ?? 0) ? { ...cutoff, isRestored: true, isBackdated: false } : null,
      );
    }
    return { missing: missing.length };
  };

  readonly endEverywhere: SessionStore['endEverywhere'] = async (request) => {
    const cutoff = { at: laterThan(request.at, this.#data.globalCutoff), ...keptWords(request), origin: this.origin };
    this.#data.globalCutoff = cutoff;
    for (const listener of this.#data.listeners) listener.globalCutoff(cutoff);
  };

  readonly catchUp: SessionStore['catchUp'] = async () => {
    // Every listener is told at once.
  };

  readonly isMessageUsed: SessionStore['isMessageUsed'] = async (id, at) => this.#data.messages.isUsed(id, at);

  readonly useMessage: SessionStore['useMessage'] = async (id, until) => {
    this.#data.messages.use(id, until);
  };

  readonly feed: SessionStore['feed'] = (listener) => {
    this.#listeners.add(listener);
    this.#data.listeners.add(listener);
    return {
      age: () => 0,
      lastError: () => null,
      close: async () => this.#silence(listener),
    };
  };

  readonly health: SessionStore['health'] = () => ({ ok: true, age: 0, lastError: null });

  readonly close: SessionStore['close'] = async () => {
    for (const listener of this.#listeners) this.#silence(listener);
  };

  #silence(listener: FeedListener): void {
    this.#listeners.delete(listener);
    this.#data.listeners.delete(listener);
  }

  /** If the id was ended, the session gets the tombstone that it would have got then. */
  async #enter(
    user: SessionUser,
    { handle, sighting: { at }, policy }: SightRequest,
    index: IndexEntry,
  ): Promise<void> {
    const ending = this.#data.index.enter(user.subject, index, at);
    if (ending === null) return;
    const tombstone = { handle, ending, until: unseenUntil(at, policy) };
    await this.restore(user, { tombstones: [tombstone], cutoff: null, at, policy });
  }

  #call(at: number, policy: SessionPolicy): Call {
    return { at, policy, globalCutoff: this.#data.globalCutoff, origin: this.origin };
  }

  /** Not atomic if there are many sessions. The cutoff is in force at once. Resolves to how many live sessions it ended. */
  async #cutOff(
    user: SessionUser,
    sessions: UserSessions,
    call: Call,
    cutoffNow: () => Cutoff | null,
  ): Promise<number> {
    while (sessions.cuttingOff !== null) await sessions.cuttingOff;
    const cutoff = cutoffNow();
    if (cutoff === null) return 0;
    let isDone = (): void => undefined;
    sessions.cuttingOff = new Promise<void>((resolve) => (isDone = resolve));
    let count = 0;
    let isFirst = true;
    try {
      for (const ended of sessions.setCutoff(cutoff, call)) {
        if (!isFirst) await nextTurn();
        isFirst = false;
        this.#data.announce({ kind: 'cutoff', user, cutoff, ended });
        count += ended.length;
      }
    } finally {
      sessions.cuttingOff = null;
      isDone();
    }
    return count;
  }
}

/** This process is the only one, so a cutoff is dated by its clock. */
function laterThan(at: number, ...earlier: readonly (GlobalCutoff | null)[]): number {
  return Math.max(at, ...earlier.map((cutoff) => (cutoff === null ? 0 : cutoff.at + 1)));
}
