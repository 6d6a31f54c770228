/** Sessions in the memory of one process: the store's contract at its plainest. Each method is atomic: it never waits. */

import { randomBytes } from 'node:crypto';

import {
  CUTOFF_FOR,
  decide,
  endedByCutoff,
  endedByGlobalCutoff,
  endingByCutoff,
  expiresAt,
  tokenEndsAt,
  tombstoneUntil,
  type Cutoff,
  type GlobalCutoff,
  type SessionPolicy,
  type SessionTimes,
} from '../core/policy.js';
import {
  IP_LIMIT,
  keptLabel,
  keptOrNull,
  keptText,
  REASON_LIMIT,
  USER_AGENT_LIMIT,
  type Ending,
  type SessionRecord,
  type SessionUser,
  type TokenTimes,
} from '../core/session.js';
import { CLIENT_NOTED_FOR, CLIENTS_NOTED } from './store.js';
import type {
  EndEverywhereRequest,
  FeedListener,
  ListCursor,
  ListRequest,
  Notice,
  RevokeAllRequest,
  RevokeRequest,
  SessionPage,
  SessionStore,
  SightAnswer,
  SightRequest,
  Tombstone,
} from './store.js';

interface KeptSession extends SessionTimes {
  readonly handle: string;
  /** The session has a token with `iat`; `startedAt` is then the earliest. */
  readonly hasIssuedAt: boolean;
  /** The latest cutoff that it is known to have survived; 0: none. */
  readonly survivedCutoffAt: number;
  readonly ip: string | null;
  readonly userAgent: string | null;
  readonly label: string | null;
}

interface KeptCutoff extends Cutoff {
  /** The earlier cutoff to which the excepted session is still subject; 0: none. */
  readonly priorCutoffAt: number;
  /** Put back after a loss of data: whether a session on record is older, its `iat` says. */
  readonly restored: boolean;
  readonly until: number;
}

type EndedByCutoff = Extract<Notice, { kind: 'cutoff' }>['ended'];

interface Sessions {
  readonly byHandle: Map<string, KeptSession | Tombstone>;
  cutoff: KeptCutoff | null;
  /** When each client was last noted, the longest ago first. */
  readonly clients: Map<string, number>;
  /** How many sessions there may be before those that ran out are looked for again. */
  pruneAt: number;
}

const PRUNE_AT_LEAST = 32;
/** Users looked at in passing whenever one is added, so that nobody stays for ever. */
const PASSED_BY = 2;

let warned = false;

/**
 * Sessions in this process alone: the default, for development and for apps of one process. They are gone when it ends,
 * and no other process sees them. With `NODE_ENV=production` it says so once, on stderr.
 */
export function memoryStore(): SessionStore {
  if (process.env['NODE_ENV'] === 'production' && !warned) {
    warned = true;
    process.emitWarning(
      'memoryStore() keeps sessions in this process alone: what one process ends, another still accepts. ' +
        'Give managedSessions a redisStore(...) where there is more than one.',
      { code: 'MANAGED_SESSIONS_MEMORY_STORE' },
    );
  }

  const users = new Map<string, Sessions>();
  const listeners = new Set<FeedListener>();
  let globalCutoff: GlobalCutoff | null = null;
  let passing = users.entries();

  /** A user's sessions, to be added to. */
  function sessionsOf(user: SessionUser, at: number, policy: SessionPolicy): Sessions {
    let sessions = users.get(user.key);
    if (sessions === undefined) {
      pruneInPassing(at, policy);
      users.set(
        user.key,
        (sessions = { byHandle: new Map(), cutoff: null, clients: new Map(), pruneAt: PRUNE_AT_LEAST }),
      );
    } else if (sessions.byHandle.size >= sessions.pruneAt) prune(sessions, at, policy);
    return sessions;
  }

  function announce(notice: Notice): void {
    for (const listener of listeners) listener.notice(notice);
  }

  function pruneInPassing(at: number, policy: SessionPolicy): void {
    for (let count = 0; count < PASSED_BY; count += 1) {
      const { value, done } = passing.next();
      if (done === true) {
        passing = users.entries();
        return;
      }
      const [key, sessions] = value;
      prune(sessions, at, policy);
      forgetClients(sessions.clients, at);
      if (sessions.byHandle.size === 0 && sessions.cutoff === null && sessions.clients.size === 0) users.delete(key);
    }
  }

  function sight(user: SessionUser, request: SightRequest): SightAnswer {
    const { handle, sighting, token, policy, track = true, clientKey = null } = request;
    const { at } = sighting;
    const sessions = sessionsOf(user, at, policy);
    const known = find(sessions, handle, at, policy);
    if (isTombstone(known)) {
      const byToken = { startedAt: 0, lifetime: null, tokensEndAt: tokenEndsAt(token) };
      const { ending, until } = extendTombstone(sessions, known, tombstoneUntil(byToken, policy));
      return { state: 'ended', ending, until };
    }

    const merged = merge(known, sessions.cutoff, { handle, sighting, token, policy });
    const until = Math.max(tombstoneUntil(merged, policy), known === undefined ? 0 : tombstoneUntil(known, policy));
    const end = (ending: Ending, isKept: boolean): SightAnswer => {
      if (isKept) writeTombstone(sessions, { handle, ending, until });
      return { state: 'ended', ending, until };
    };

    // As it stood, and by what this token shows of when it began.
    const cut =
      (known === undefined ? null : recordCutBy(sessions, known, policy)) ??
      cutBy(sessions, merged, known?.survivedCutoffAt, policy);
    // Kept also where it was not on record: a token refreshed since would not show that it began before.
    if (cut !== null) return end(endingByCutoff(cut, expiresAt(merged)), true);

    const before = known === undefined ? undefined : decide(known, policy, at);
    const standing = before?.state === 'ended' ? before : decide(merged, policy, at);
    if (standing.state !== 'live') {
      const cause = standing.state === 'ended' ? standing.cause : 'expired';
      const isKept = known !== undefined && standing.state === 'ended';
      const ending = {
        cause,
        reason: cause,
        by: null,
        at,
        expiresAt: expiresAt(merged),
        origin: isKept ? store.origin : null,
      };
      return end(ending, isKept);
    }

    const { startedAt, hasIssuedAt, survivedCutoffAt } = merged;
    const live = { state: 'live', startedAt, hasIssuedAt, expiresAt: expiresAt(merged), survivedCutoffAt } as const;
    if (!track) return { ...live, created: false, knownClient: false, moved: null };

    if (before?.state !== 'live') {
      if (!makeRoom(user, sessions, at, policy)) return { state: 'refused' };
    }
    sessions.byHandle.set(handle, merged);
    const hasMoved = known !== undefined && (known.ip !== merged.ip || known.userAgent !== merged.userAgent);
    return {
      ...live,
      created: known === undefined,
      knownClient: clientKey !== null && noteClient(sessions, clientKey, at),
      moved: hasMoved ? { ip: known.ip, userAgent: known.userAgent } : null,
    };
  }

  function makeRoom(user: SessionUser, sessions: Sessions, at: number, policy: SessionPolicy): boolean {
    if (sessions.byHandle.size < policy.maxSessions) return true;
    const live = liveSessions(sessions, at, policy);
    if (live.length < policy.maxSessions) return true;
    if (policy.atSessionLimit === 'refuse') return false;
    for (const oldest of live.slice(policy.maxSessions - 1).reverse()) {
      const ending = {
        cause: 'revoked',
        reason: 'session_limit',
        by: null,
        at,
        expiresAt: expiresAt(oldest),
        origin: store.origin,
      } as const;
      const tombstone = { handle: oldest.handle, ending, until: tombstoneUntil(oldest, policy) };
      writeTombstone(sessions, tombstone);
      announce({ kind: 'ended', user, tombstone });
    }
    return true;
  }

  function list(user: SessionUser, { limit, cursor, at, policy }: ListRequest): SessionPage {
    const sessions = users.get(user.key);
    const all = sessions === undefined ? [] : liveSessions(sessions, at, policy);
    const rest = cursor === null ? all : all.filter((session) => compareListed(cursor, session) < 0);
    const page = rest.slice(0, limit).map(asRecord);
    const last = page.at(-1);
    const next =
      rest.length > limit && last !== undefined ? { lastSeenAt: last.lastSeenAt, handle: last.handle } : null;
    return { sessions: page, next };
  }

  /** The cutoff that ends a session; `survivedCutoffAt` is undefined for one that is not on record. */
  function cutBy(
    { cutoff }: Sessions,
    session: KeptSession,
    survivedCutoffAt: number | undefined,
    policy: SessionPolicy,
  ): GlobalCutoff | null {
    if (endedByGlobalCutoff(globalCutoff, session.hasIssuedAt ? session.startedAt : null, policy)) return globalCutoff;
    return isCutOff(cutoff, session, survivedCutoffAt) ? cutoff : null;
  }

  function recordCutBy(sessions: Sessions, session: KeptSession, policy: SessionPolicy): GlobalCutoff | null {
    return cutBy(sessions, session, session.survivedCutoffAt, policy);
  }

  function isLive(sessions: Sessions, session: KeptSession, at: number, policy: SessionPolicy): boolean {
    return recordCutBy(sessions, session, policy) === null && decide(session, policy, at).state === 'live';
  }

  function liveSessions(sessions: Sessions, at: number, policy: SessionPolicy): KeptSession[] {
    const live: KeptSession[] = [];
    for (const session of sessions.byHandle.values()) {
      if (!isTombstone(session) && isLive(sessions, session, at, policy)) live.push(session);
    }
    return live.sort(compareListed);
  }

  /** Turns what a cutoff ended into tombstones, and tells what of it was live until the user's own. */
  function sweep(sessions: Sessions, at: number, policy: SessionPolicy): EndedByCutoff {
    prune(sessions, at, policy);
    const ended: EndedByCutoff[number][] = [];
    for (const session of sessions.byHandle.values()) {
      if (isTombstone(session)) continue;
      const cut = recordCutBy(sessions, session, policy);
      if (cut === null) continue;
      const until = tombstoneUntil(session, policy);
      const { handle } = session;
      const wasLive = cut === sessions.cutoff && decide(session, policy, at).state === 'live';
      if (wasLive) ended.push({ handle, expiresAt: expiresAt(session), until });
      writeTombstone(sessions, { handle, ending: endingByCutoff(cut, expiresAt(session)), until });
    }
    return ended;
  }

  function findLive(user: SessionUser, handle: string, at: number, policy: SessionPolicy): KeptSession | undefined {
    const sessions = users.get(user.key);
    const known = sessions?.byHandle.get(handle);
    if (sessions === undefined || known === undefined || isTombstone(known)) return undefined;
    return isLive(sessions, known, at, policy) ? known : undefined;
  }

  function revoke(user: SessionUser, request: RevokeRequest): 'ended' | 'already' | 'unknown' {
    const { handle, at, policy, token } = request;
    const sessions = sessionsOf(user, at, policy);
    const known = find(sessions, handle, at, policy);
    const fromToken = token === undefined ? undefined : timesOf(token, at);
    const untilByToken = fromToken === undefined ? 0 : tombstoneUntil(fromToken, policy);
    if (isTombstone(known)) {
      announce({ kind: 'ended', user, tombstone: extendTombstone(sessions, known, untilByToken) });
      return 'already';
    }
    const times = known ?? fromToken;
    if (times === undefined) return 'unknown';

    const cut = known === undefined ? null : recordCutBy(sessions, known, policy);
    const ending: Ending =
      cut === null
        ? {
            cause: 'revoked',
            reason: keptText(request.reason, REASON_LIMIT),
            by: keptOrNull(request.by, REASON_LIMIT),
            at,
            expiresAt: expiresAt(times),
            origin: store.origin,
          }
        : endingByCutoff(cut, expiresAt(times));
    const tombstone = { handle, ending, until: Math.max(untilByToken, tombstoneUntil(times, policy)) };
    writeTombstone(sessions, tombstone);
    announce({ kind: 'ended', user, tombstone });
    return cut === null ? 'ended' : 'already';
  }

  function revokeAll(user: SessionUser, request: RevokeAllRequest): { ended: number } {
    const { at, policy, except } = request;
    const sessions = sessionsOf(user, at, policy);
    const cutoff: Cutoff = {
      // The one process that there is asks its own clock.
      at: Math.max(at, sessions.cutoff === null ? 0 : sessions.cutoff.at + 1),
      except,
      reason: keptText(request.reason, REASON_LIMIT),
      by: keptOrNull(request.by, REASON_LIMIT),
      origin: store.origin,
    };
    setCutoff(sessions, cutoff, false, at);
    const ended = sweep(sessions, at, policy);
    announce({ kind: 'cutoff', user, cutoff, ended });
    return { ended: ended.length };
  }

  function endEverywhere({ reason, by, at }: EndEverywhereRequest): void {
    globalCutoff = {
      at: Math.max(at, globalCutoff === null ? 0 : globalCutoff.at + 1),
      reason: keptText(reason, REASON_LIMIT),
      by: keptOrNull(by, REASON_LIMIT),
      origin: store.origin,
    };
    for (const listener of listeners) listener.globalCutoff(globalCutoff);
  }

  const store: SessionStore = {
    origin: randomBytes(9).toString('base64url'),
    configure() {
      // In memory nothing is slow and nothing is behind.
    },
    sight: (user, request) => settled(() => sight(user, request)),
    list: (user, request) => settled(() => list(user, request)),
    get: (user, handle, at, policy) =>
      settled(() => {
        const session = findLive(user, handle, at, policy);
        return session === undefined ? null : asRecord(session);
      }),
    label: (user, handle, label, at, policy) =>
      settled(() => {
        const session = findLive(user, handle, at, policy);
        if (session === undefined) return null;
        const named = { ...session, label: keptLabel(label) };
        users.get(user.key)?.byHandle.set(handle, named);
        return asRecord(named);
      }),
    revoke: (user, request) => settled(() => revoke(user, request)),
    revokeAll: (user, request) => settled(() => revokeAll(user, request)),
    restore: (user, { tombstones, cutoff, at, policy }) =>
      settled(() => {
        const sessions = sessionsOf(user, at, policy);
        if (cutoff !== null && cutoff.at > (sessions.cutoff?.at ?? 0)) {
          setCutoff(sessions, cutoff, true, at);
          sweep(sessions, at, policy);
        }
        let missing = 0;
        for (const lost of tombstones) {
          const known = find(sessions, lost.handle, at, policy);
          if (isTombstone(known)) extendTombstone(sessions, known, lost.until);
          else if (lost.until >= pastOf(at)) {
            const until = known === undefined ? lost.until : Math.max(lost.until, tombstoneUntil(known, policy));
            writeTombstone(sessions, { ...lost, until });
            missing += 1;
          }
        }
        return { missing };
      }),
    endEverywhere: (request) =>
      settled(() => {
        endEverywhere(request);
      }),
    catchUp: () => Promise.resolve(),
    feed(listener) {
      listeners.add(listener);
      return {
        age: () => 0,
        lastError: () => null,
        close() {
          listeners.delete(listener);
          return Promise.resolve();
        },
      };
    },
    health: () => ({ ok: true, age: 0, lastError: null }),
    close() {
      listeners.clear();
      return Promise.resolve();
    },
  };
  return store;
}

/** A promise of what is done at once, so that a throw is a rejection. */
function settled<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(work());
  });
}

function timesOf(token: TokenTimes, at: number): SessionTimes {
  return {
    startedAt: token.issuedAt ?? at,
    lastSeenAt: at,
    lifetime: token.lifetime,
    tokensEndAt: tokenEndsAt(token),
  };
}

/** Whether the client was noted before. */
function noteClient({ clients }: Sessions, key: string, at: number): boolean {
  forgetClients(clients, at);
  const isFamiliar = clients.delete(key);
  clients.set(key, at);
  const [oldest] = clients.keys();
  if (clients.size > CLIENTS_NOTED && oldest !== undefined) clients.delete(oldest);
  return isFamiliar;
}

function forgetClients(clients: Map<string, number>, at: number): void {
  for (const [key, notedAt] of clients) if (at >= notedAt + CLIENT_NOTED_FOR) clients.delete(key);
}

/** The record as it would stand with this sighting, which leaves the cutoff behind if it is live. */
function merge(
  known: KeptSession | undefined,
  cutoff: KeptCutoff | null,
  { handle, sighting, token }: SightRequest,
): KeptSession {
  const seen = timesOf(token, sighting.at);
  return {
    ...seen,
    handle,
    startedAt: known === undefined ? seen.startedAt : startOf(known, token.issuedAt),
    lastSeenAt: Math.max(known?.lastSeenAt ?? seen.lastSeenAt, seen.lastSeenAt),
    tokensEndAt: Math.max(known?.tokensEndAt ?? seen.tokensEndAt, seen.tokensEndAt),
    hasIssuedAt: token.issuedAt !== null || known?.hasIssuedAt === true,
    survivedCutoffAt: Math.max(cutoff?.at ?? 0, known?.survivedCutoffAt ?? 0),
    ip: keptOrNull(sighting.ip, IP_LIMIT) ?? known?.ip ?? null,
    userAgent: keptOrNull(sighting.userAgent, USER_AGENT_LIMIT) ?? known?.userAgent ?? null,
    label: known?.label ?? null,
  };
}

/** The earliest `iat` seen, else the first sighting. */
function startOf(known: KeptSession, issuedAt: number | null): number {
  if (issuedAt === null) return known.startedAt;
  return known.hasIssuedAt ? Math.min(known.startedAt, issuedAt) : issuedAt;
}

function asRecord(session: KeptSession): SessionRecord {
  const { handle, startedAt, lastSeenAt, ip, userAgent, label } = session;
  return { handle, startedAt, lastSeenAt, expiresAt: expiresAt(session), ip, userAgent, label };
}

/** Most recently seen first, equal moments by handle. */
function compareListed(a: ListCursor, b: ListCursor): number {
  if (a.lastSeenAt !== b.lastSeenAt) return b.lastSeenAt - a.lastSeenAt;
  if (a.handle === b.handle) return 0;
  return a.handle < b.handle ? -1 : 1;
}

/** `survivedCutoffAt` is undefined for a session that is not on record. */
function isCutOff(cutoff: KeptCutoff | null, session: KeptSession, survivedCutoffAt: number | undefined): boolean {
  if (cutoff === null) return false;
  const { handle } = session;
  const issuedAt = session.hasIssuedAt ? session.startedAt : null;
  if (handle === cutoff.except) {
    const earlier = { ...cutoff, at: cutoff.priorCutoffAt, except: null };
    return cutoff.priorCutoffAt > 0 && endedByCutoff(earlier, handle, issuedAt, survivedCutoffAt);
  }
  if (cutoff.restored && survivedCutoffAt !== undefined && survivedCutoffAt < cutoff.at) {
    return issuedAt === null || Math.floor(issuedAt / 1000) <= Math.floor(cutoff.at / 1000);
  }
  return endedByCutoff(cutoff, handle, issuedAt, survivedCutoffAt);
}

function setCutoff(sessions: Sessions, cutoff: Cutoff, restored: boolean, at: number): void {
  const earlier = sessions.cutoff;
  const priorCutoffAt =
    earlier === null || cutoff.except === null ? 0 : earlier.except === cutoff.except ? earlier.priorCutoffAt : earlier.at;
  sessions.cutoff = { ...cutoff, priorCutoffAt, restored, until: at + CUTOFF_FOR };
}

function isTombstone(known: KeptSession | Tombstone | undefined): known is Tombstone {
  return known !== undefined && 'ending' in known;
}

function writeTombstone(sessions: Sessions, tombstone: Tombstone): Tombstone {
  sessions.byHandle.set(tombstone.handle, tombstone);
  return tombstone;
}

function extendTombstone(sessions: Sessions, tombstone: Tombstone, until: number): Tombstone {
  return until > tombstone.until ? writeTombstone(sessions, { ...tombstone, until }) : tombstone;
}

/** Nothing is forgotten before both the caller's clock and the machine's say so: one of them may have jumped. */
function pastOf(at: number): number {
  return Math.min(at, Date.now());
}

function isForgotten(session: KeptSession | Tombstone, past: number, policy: SessionPolicy): boolean {
  return (isTombstone(session) ? session.until : tombstoneUntil(session, policy)) < past;
}

function find(
  sessions: Sessions,
  handle: string,
  at: number,
  policy: SessionPolicy,
): KeptSession | Tombstone | undefined {
  const known = sessions.byHandle.get(handle);
  if (known === undefined || !isForgotten(known, pastOf(at), policy)) return known;
  sessions.byHandle.delete(handle);
  return undefined;
}

function prune(sessions: Sessions, at: number, policy: SessionPolicy): void {
  const past = pastOf(at);
  for (const [handle, session] of sessions.byHandle) {
    if (isForgotten(session, past, policy)) sessions.byHandle.delete(handle);
  }
  if (sessions.cutoff !== null && sessions.cutoff.until < past) sessions.cutoff = null;
  sessions.pruneAt = Math.max(PRUNE_AT_LEAST, 2 * sessions.byHandle.size);
}
