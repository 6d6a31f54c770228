/**
 * A model of a session store: what a store has to answer, with nothing compressed. A session is the list of its sightings,
 * and no cutoff replaces an earlier one. It is slow, and it forgets cutoffs and clients only with the process.
 */

import { randomBytes } from 'node:crypto';

import type { Cutoff, GlobalCutoff } from '../../lib/core/cutoff.js';
import { decide, expiresAt, tokenEndsAt, tombstoneUntil, extendedUntil, rowUntil } from '../../lib/core/policy.js';
import type { SessionPolicy, SessionTimes } from '../../lib/core/policy.js';
import type { KnownUse } from '../../lib/core/record.js';
import {
  IP_LIMIT,
  keptLabel,
  keptOrNull,
  PARTY_LIMIT,
  keptText,
  REASON_LIMIT,
  USER_AGENT_LIMIT,
  type Ending,
  type SessionRecord,
  type SessionUser,
  type Sighting,
  type TokenTimes,
} from '../../lib/core/session.js';
import type { StaleTokens } from '../../lib/core/stale.js';
import { CLIENT_NOTED_FOR, CLIENTS_NOTED, INDEXED_SUBJECTS } from '../../lib/stores/store.js';
import type {
  EndedByCutoff,
  FeedListener,
  IndexEntry,
  Notice,
  RevokeOutcome,
  RevokeRequest,
  SessionStore,
  SightAnswer,
  SightRequest,
  Tombstone,
} from '../../lib/stores/store.js';

interface Seen {
  readonly sighting: Sighting;
  readonly token: TokenTimes;
}

/** A sighting that the row shows. */
interface Shown extends Sighting {
  /** It noted a client that the user was not known to have, of a session of which nothing was lost. */
  readonly isFirstNoted: boolean;
}

/** What callers knew of a session when they sighted it. */
type Told = NonNullable<KnownUse['known']>;

interface Session {
  readonly handle: string;
  /** By its first token, or if that does not say it, its first sighting: after any cutoff that was set by then. */
  readonly firstStart: number;
  readonly sightings: readonly Seen[];
  readonly told: readonly Told[];
  /** Those since its row was made. They outlive `sightings` if a caller knows an earlier start, by which the times are forgotten. */
  readonly ofRow: readonly Shown[];
  readonly label: string | null;
  /** How many of the user's cutoffs there were at the last sighting. */
  readonly survived: number;
}

/** Before any sighting is on record, a caller may know of the session. */
const UNSEEN: Omit<Session, 'handle' | 'firstStart'> = {
  sightings: [],
  told: [],
  ofRow: [],
  label: null,
  survived: 0,
};

interface User {
  readonly sessions: Map<string, Session>;
  readonly tombstones: Map<string, Tombstone>;
  readonly cutoffs: Cutoff[];
  readonly clients: Map<string, number>;
  erasedAt: number;
  /** Every declaration that tokens are stale. */
  readonly stale: StaleTokens[];
}

interface Indexed {
  readonly subjects: ReadonlySet<string>;
  readonly ending: Ending | null;
  readonly until: number;
}

const NOT_INDEXED: Indexed = { subjects: new Set(), ending: null, until: -Infinity };

interface Now {
  readonly at: number;
  readonly policy: SessionPolicy;
}

const secondOf = (moment: number): number => Math.floor(moment / 1000);
const newest = <T>(values: readonly (T | null)[]): T | null => values.findLast((value) => value !== null) ?? null;

const lowest = (moments: readonly number[]): number | null => (moments.length === 0 ? null : Math.min(...moments));

function timesOf({ sightings, told, firstStart }: Session, lifetime: number | null = null): SessionTimes {
  const starts = [...sightings.flatMap(({ token }) => token.beganAt ?? []), ...told.map(({ startedAt }) => startedAt)];
  const ends = [...sightings.map(({ token }) => tokenEndsAt(token)), ...told.map(({ tokensEndAt }) => tokensEndAt)];
  return {
    startedAt: Math.min(firstStart, ...starts),
    lastSeenAt: Math.max(0, ...sightings.map(({ sighting }) => sighting.at)),
    lifetime: sightings.length === 0 ? lifetime : sightings.at(-1)!.token.lifetime,
    tokensEndAt: Math.max(...ends),
    endsAt: lowest([
      ...sightings.flatMap(({ token }) => token.sessionEndsAt ?? []),
      ...told.flatMap(({ endsAt }) => endsAt ?? []),
    ]),
  };
}

function recordOf(session: Session): SessionRecord {
  const { handle, ofRow, label } = session;
  const { startedAt, lastSeenAt } = timesOf(session);
  // Nothing that programs send counts any more once a person was seen.
  const isPerson = ({ byProgram = false, userAgent }: Sighting): boolean => !byProgram && (userAgent ?? '') !== '';
  const person = ofRow.findIndex(isPerson);
  const counted = ofRow.filter(({ byProgram }, index) => person < 0 || index < person || !byProgram);
  const ip = newest(counted.map((seen) => keptOrNull(seen.ip, IP_LIMIT)));
  const userAgent = newest(counted.map((seen) => keptOrNull(seen.userAgent, USER_AGENT_LIMIT)));
  const { app: sentApp = null, actor: sentActor = null } = counted.at(-1) ?? {};
  const [app, actor] = [keptOrNull(sentApp, PARTY_LIMIT), keptOrNull(sentActor, PARTY_LIMIT)];
  const row = { ip, userAgent, app, actor, hasNewClient: isAnyNew(counted), label };
  return { handle, startedAt, lastSeenAt, expiresAt: expiresAt(timesOf(session)), ...row };
}

/** Whether one of the clients that a row has had was new. If a program's place was taken, only those since then count. */
function isAnyNew(counted: readonly Shown[]): boolean {
  const changes: { userAgent: string | null; isFirstNoted: boolean; byProgram: boolean }[] = [];
  for (const { userAgent, isFirstNoted, byProgram = false } of counted) {
    const kept = keptOrNull(userAgent, USER_AGENT_LIMIT);
    const last = changes.at(-1);
    const isOther = last === undefined || (kept !== null && kept !== last.userAgent);
    if (isOther) changes.push({ userAgent: kept, isFirstNoted, byProgram });
    // The same words of another kind of sender.
    else if (kept !== null || byProgram) last.byProgram = byProgram;
  }
  const since = changes.findLastIndex(({ byProgram }, index) => !byProgram && changes[index - 1]?.byProgram === true);
  return changes.slice(Math.max(since, 0)).some(({ isFirstNoted }) => isFirstNoted);
}

function endsAll(cutoff: GlobalCutoff | null, startedAt: number, { clockTolerance }: SessionPolicy): boolean {
  return cutoff !== null && startedAt <= cutoff.at + clockTolerance;
}

function withoutWords(tombstone: Tombstone): Tombstone {
  const { ending } = tombstone;
  const reason = ending.cause === 'revoked' ? 'erased' : ending.reason;
  return { ...tombstone, ending: { ...ending, reason, by: null } };
}

function asKept({ erasedAt }: User, tombstone: Tombstone): Tombstone {
  return tombstone.ending.at <= erasedAt ? withoutWords(tombstone) : tombstone;
}

function eraseStale({ stale, erasedAt }: User): void {
  for (const [index, each] of stale.entries()) {
    if (each.at <= erasedAt) stale[index] = { ...each, reason: 'erased', by: null };
  }
}

export function modelStore(): SessionStore {
  const origin = randomBytes(9).toString('base64url');
  const users = new Map<string, User>();
  const listeners = new Set<FeedListener>();
  const messages = new Map<string, number>();
  const index = new Map<string, Indexed>();
  let globalCutoff: GlobalCutoff | null = null;

  /** The user, without what may be forgotten by now. */
  function userOf({ key }: SessionUser, { at, policy }: Now): User {
    const user: User = users.get(key) ?? {
      sessions: new Map(),
      tombstones: new Map(),
      cutoffs: [],
      clients: new Map(),
      erasedAt: 0,
      stale: [],
    };
    users.set(key, user);
    const past = Math.min(at, Date.now());
    for (const [handle, { until }] of user.tombstones) if (until < past) user.tombstones.delete(handle);
    for (const [handle, session] of user.sessions) {
      if (tombstoneUntil(timesOf(session), policy) < past) user.sessions.delete(handle);
    }
    if (user.stale.every(({ until }) => until < past)) user.stale.length = 0;
    for (const [client, notedAt] of user.clients) if (at >= notedAt + CLIENT_NOTED_FOR) user.clients.delete(client);
    return user;
  }

  function tell(notice: Notice): void {
    for (const listener of listeners) listener.notice(notice);
  }

  function isEndedBy(cutoff: Cutoff, handle: string, startedAt: number, isOlder: boolean): boolean {
    if (handle === cutoff.except) return false;
    if (isOlder && cutoff.isBackdated) return secondOf(startedAt) <= secondOf(cutoff.at);
    if (isOlder && !cutoff.isRestored) return true;
    return secondOf(startedAt) < secondOf(cutoff.at);
  }

  /** The cutoff that names the ending: the earlier of the global one and the last of the user. */
  function cutoffOf(
    user: User,
    known: Session | undefined,
    session: Session,
    policy: SessionPolicy,
  ): GlobalCutoff | null {
    const { startedAt } = timesOf(session);
    const ofAll = endsAll(globalCutoff, startedAt, policy) ? globalCutoff : null;
    const isOlder = (cutoff: Cutoff, index: number): boolean =>
      known !== undefined &&
      known.survived <= index &&
      known.told.every(({ survivedCutoffAt }) => survivedCutoffAt < cutoff.at);
    const isCutOff = user.cutoffs.some((cutoff, index) =>
      isEndedBy(cutoff, session.handle, startedAt, isOlder(cutoff, index)),
    );
    const last = isCutOff ? (user.cutoffs.at(-1) ?? null) : null;
    return ofAll === null || last === null ? (ofAll ?? last) : ofAll.at < last.at ? ofAll : last;
  }

  function isLive(user: User, session: Session, { at, policy }: Now): boolean {
    return cutoffOf(user, session, session, policy) === null && decide(timesOf(session), policy, at).state === 'live';
  }

  function liveOf(user: User, now: Now): SessionRecord[] {
    const live = [...user.sessions.values()].filter((session) => isLive(user, session, now)).map(recordOf);
    return live.sort((a, b) => b.lastSeenAt - a.lastSeenAt || (a.handle < b.handle ? -1 : 1));
  }

  /** The latest declaration; of several at the same time, the first. It is kept as long as any of them would be. */
  function staleOf({ stale }: User): StaleTokens | null {
    const [latest] = [...stale].sort((a, b) => b.at - a.at);
    return latest === undefined ? null : { ...latest, until: Math.max(...stale.map(({ until }) => until)) };
  }

  function bury(user: User, tombstone: Tombstone): Tombstone {
    user.sessions.delete(tombstone.handle);
    user.tombstones.set(tombstone.handle, tombstone);
    return tombstone;
  }

  function extend(user: User, tombstone: Tombstone, until: number): Tombstone {
    return bury(user, { ...tombstone, until: Math.max(until, tombstone.until) });
  }

  function endingBy({ reason, by, at, origin: from }: GlobalCutoff, expires: number | null): Ending {
    return { cause: 'revoked', reason, by, at, expiresAt: expires, origin: from };
  }

  function sight(of: SessionUser, request: SightRequest): SightAnswer {
    const { handle, token, policy, track, usedAt, clientKey } = request;
    const { at } = request.sighting;
    const { inUseSince, known: told } = request.knownUse ?? { inUseSince: at, known: null };
    const now = { at, policy };
    const user = userOf(of, now);
    const kept = user.sessions.get(handle);
    const staleTokens = staleOf(user);
    const { issuedAt } = token;
    const isStale =
      issuedAt !== undefined && user.stale.some((each) => secondOf(issuedAt ?? -Infinity) <= secondOf(each.at));
    if (staleTokens !== null && isStale && !user.tombstones.has(handle)) return { state: 'stale', staleTokens };
    const withTold =
      told === null
        ? kept
        : { ...UNSEEN, handle, firstStart: told.startedAt, ...kept, told: [...(kept?.told ?? []), told] };
    const isKnownHereAlone = kept === undefined && !user.tombstones.has(handle);
    const isForgotten =
      withTold !== undefined && tombstoneUntil(timesOf(withTold, token.lifetime), policy) < Math.min(at, Date.now());
    const known = isForgotten ? undefined : withTold;
    const before = known === undefined ? null : timesOf(known, token.lifetime);

    if (known !== undefined && before !== null && !user.tombstones.has(handle)) {
      const cutoff = cutoffOf(user, known, known, policy);
      const standing = decide(
        kept === undefined ? { ...before, lastSeenAt: inUseSince } : before,
        policy,
        at,
        inUseSince,
      );
      const until = tombstoneUntil(before, policy);
      if (cutoff !== null) bury(user, { handle, ending: endingBy(cutoff, expiresAt(before)), until });
      else if (standing.state === 'ended') {
        const { cause, since } = standing;
        const ending = { cause, reason: cause, by: null, at: since, expiresAt: expiresAt(before), origin };
        bury(user, { handle, ending, until });
      }
    }
    const tombstone = user.tombstones.get(handle);
    if (tombstone !== undefined) {
      const extended = extend(user, tombstone, extendedUntil(tombstone.until, token, policy));
      if (isKnownHereAlone) tell({ kind: 'ended', user: of, tombstone: extended });
      const { ending, until } = extended;
      return { state: 'ended', ending, until };
    }

    const hasRow = kept !== undefined && rowUntil(timesOf(kept), policy) >= Math.min(at, Date.now());
    const hasPlace =
      before !== null &&
      decide(kept === undefined ? { ...before, lastSeenAt: inUseSince } : before, policy, at, inUseSince).state ===
        'live';
    // A request that does not count as use only brings its token, unless it is the first.
    const isPoll = usedAt !== undefined && known !== undefined;
    const keepsRow = usedAt !== undefined && (hasRow || (kept !== undefined && hasPlace));
    const sighting = {
      ...request.sighting,
      ...(isPoll && { at: kept === undefined ? Math.max(usedAt, inUseSince) : usedAt }),
    };
    const knownClient = user.clients.has(clientKey ?? '');
    const isFirstNoted = clientKey != null && !knownClient && (hasRow || known === undefined);
    const session: Session = {
      ...UNSEEN,
      handle,
      firstStart: token.beganAt ?? Math.max(at, user.cutoffs.at(-1)?.at ?? at),
      ...known,
      sightings: [...(known?.sightings ?? []), { sighting, token }],
      ofRow: [...(hasRow ? kept.ofRow : []), ...(keepsRow ? [] : [{ ...sighting, isFirstNoted }])],
      label: hasRow ? kept.label : null,
      survived: user.cutoffs.length,
    };
    const times = timesOf(session);
    const until = Math.max(tombstoneUntil(times, policy), before === null ? 0 : tombstoneUntil(before, policy));
    const cutoff = cutoffOf(user, known, session, policy);
    if (cutoff !== null) {
      const ending = endingBy(cutoff, expiresAt(times));
      const mayBeNew =
        known === undefined && cutoff !== globalCutoff && times.startedAt >= cutoff.at - policy.clockTolerance;
      if (mayBeNew) return { state: 'ended', ending: { ...ending, origin: null }, until };
      bury(user, { handle, ending, until });
      return { state: 'ended', ending, until };
    }
    const standing = decide(times, policy, at, inUseSince);
    if (standing.state !== 'live') {
      const cause = standing.state === 'ended' ? standing.cause : 'expired';
      const isKept = known !== undefined && standing.state === 'ended';
      const words = { cause, reason: cause, by: null, origin: isKept ? origin : null };
      const ending = { ...words, at: standing.since, expiresAt: expiresAt(times) };
      if (isKept) bury(user, { handle, ending, until });
      return { state: 'ended', ending, until };
    }

    const facts = {
      state: 'live',
      startedAt: times.startedAt,
      endsAt: times.endsAt,
      expiresAt: expiresAt(times),
      lastSeenAt: times.lastSeenAt,
      survivedCutoffAt: Math.max(
        user.cutoffs.at(-1)?.at ?? 0,
        ...session.told.map(({ survivedCutoffAt }) => survivedCutoffAt),
      ),
      staleTokens,
    } as const;
    if (track === false) {
      const lastSeenAt = before === null ? at : kept === undefined ? inUseSince : before.lastSeenAt;
      return { ...facts, lastSeenAt, created: false, knownClient: false, moved: null };
    }
    if (!hasPlace && !hasRoom(of, user, now)) return { state: 'refused' };

    user.sessions.set(handle, session);
    if (keepsRow) return { ...facts, created: false, knownClient: false, moved: null };
    if (clientKey != null) {
      user.clients.delete(clientKey);
      user.clients.set(clientKey, at);
      for (const client of [...user.clients.keys()].slice(0, -CLIENTS_NOTED)) user.clients.delete(client);
    }
    const [was, is] = [recordOf(hasRow ? kept : session), recordOf(session)];
    const moved = was.ip === is.ip && was.userAgent === is.userAgent ? null : { ip: was.ip, userAgent: was.userAgent };
    return { ...facts, created: !hasRow, knownClient, moved };
  }

  /** Ends what has to go under the cap. */
  function hasRoom(of: SessionUser, user: User, now: Now): boolean {
    const { at, policy } = now;
    if (policy.maxSessions === Infinity) return true;
    const tooMany = liveOf(user, now).slice(policy.maxSessions - 1);
    if (tooMany.length > 0 && policy.atSessionLimit === 'refuse') return false;
    for (const { handle, expiresAt: expires } of tooMany.reverse()) {
      const until = tombstoneUntil(timesOf(user.sessions.get(handle)!), policy);
      const ending = { cause: 'revoked', reason: 'session_limit', by: null, at, expiresAt: expires, origin } as const;
      tell({ kind: 'ended', user: of, tombstone: bury(user, { handle, ending, until }) });
    }
    return true;
  }

  function revoke(of: SessionUser, request: RevokeRequest): RevokeOutcome {
    const { handle, reason, by, at, policy, token, evenUnseen = false } = request;
    const user = userOf(of, { at, policy });
    const known = user.sessions.get(handle);
    const byToken =
      token === undefined
        ? null
        : timesOf({
            ...UNSEEN,
            handle,
            firstStart: token.beganAt ?? at,
            sightings: [{ sighting: { at, ip: null, userAgent: null }, token }],
          });
    const untilUnseen = evenUnseen ? at + Math.max(policy.tombstoneFor, policy.clockTolerance) : 0;
    const needed = Math.max(untilUnseen, byToken === null ? 0 : tombstoneUntil(byToken, policy));
    const standing = user.tombstones.get(handle);
    if (standing !== undefined) {
      tell({ kind: 'ended', user: of, tombstone: extend(user, standing, needed) });
      return 'already';
    }
    const times = known === undefined ? byToken : timesOf(known);
    if (times === null && !evenUnseen) return 'unknown';
    const expires = times === null ? null : expiresAt(times);
    const cutoff = known === undefined ? null : cutoffOf(user, known, known, policy);
    const words = {
      cause: 'revoked',
      reason: keptText(reason, REASON_LIMIT),
      by: keptOrNull(by, REASON_LIMIT),
    } as const;
    const ending = cutoff === null ? { ...words, at, expiresAt: expires, origin } : endingBy(cutoff, expires);
    const until = Math.max(needed, times === null ? 0 : tombstoneUntil(times, policy));
    tell({ kind: 'ended', user: of, tombstone: bury(user, { handle, ending, until }) });
    return cutoff === null ? 'ended' : 'already';
  }

  /** Buries what the cutoffs end, and returns what of it was live until this one. */
  function setCutoff(user: User, cutoff: Cutoff, now: Now): EndedByCutoff[] {
    const live = liveOf(user, now);
    user.cutoffs.push(cutoff);
    for (const session of [...user.sessions.values()]) {
      const by = cutoffOf(user, session, session, now.policy);
      const times = timesOf(session);
      if (by === null) continue;
      const until = tombstoneUntil(times, now.policy);
      bury(user, { handle: session.handle, ending: endingBy(by, expiresAt(times)), until });
    }
    return live.flatMap(({ handle, expiresAt: expires }) => {
      const tombstone = user.tombstones.get(handle);
      return tombstone === undefined ? [] : [{ handle, expiresAt: expires, until: tombstone.until }];
    });
  }

  function indexed(id: string, at: number): Indexed {
    const known = index.get(id);
    return known !== undefined && known.until >= Math.min(at, Date.now()) ? known : NOT_INDEXED;
  }

  function enter(of: SessionUser, { handle, sighting: { at }, policy }: SightRequest, { id, until }: IndexEntry): void {
    const known = indexed(id, at);
    if (known.ending === null) {
      const isRoom = known.subjects.size < INDEXED_SUBJECTS;
      const subjects = isRoom ? new Set([...known.subjects, of.subject]) : known.subjects;
      if (until !== null) index.set(id, { ...known, subjects, until: Math.max(known.until, until) });
      return;
    }
    const user = userOf(of, { at, policy });
    const needed = at + Math.max(policy.tombstoneFor, policy.clockTolerance);
    const standing = user.tombstones.get(handle);
    if (standing !== undefined) extend(user, standing, needed);
    else {
      const session = user.sessions.get(handle);
      const longest = Math.max(needed, session === undefined ? 0 : tombstoneUntil(timesOf(session), policy));
      const tombstone = bury(user, { handle, ending: known.ending, until: longest });
      tell({ kind: 'ended', user: of, tombstone });
    }
  }

  /** A message came late. No later cutoff hides it, but it gets its place before the last one. */
  function endUpTo(of: SessionUser, user: User, upTo: number, words: Pick<Ending, 'reason' | 'by'>, now: Now) {
    const { reason, by } = words;
    const cutoff: Cutoff = {
      at: upTo,
      except: null,
      reason: keptText(reason, REASON_LIMIT),
      by: keptOrNull(by, REASON_LIMIT),
      origin,
      isRestored: false,
      isBackdated: true,
      erasedAt: user.erasedAt,
    };
    const last = user.cutoffs.at(-1);
    if (last === undefined || last.at < upTo) {
      const ended = setCutoff(user, cutoff, now);
      tell({ kind: 'cutoff', user: of, cutoff, ended });
      return { ended: ended.length };
    }
    const { except } = last;
    if (except === null) return { ended: 0 };
    const ended = endExcepted(of, user, cutoff, except, now);
    tell({ kind: 'cutoff', user: of, cutoff, ended: [] });
    return { ended };
  }

  /** Returns how many live sessions it ended. */
  function endExcepted(of: SessionUser, user: User, cutoff: Cutoff, except: string, now: Now): number {
    if (user.cutoffs.some((earlier) => earlier.except !== except && earlier.at >= cutoff.at)) return 0;
    const index = user.cutoffs.length - 1;
    for (const [handle, session] of user.sessions) {
      if (session.survived > index) user.sessions.set(handle, { ...session, survived: session.survived + 1 });
    }
    user.cutoffs.splice(index, 0, cutoff);
    const session = user.sessions.get(except);
    if (session === undefined || secondOf(timesOf(session).startedAt) > secondOf(cutoff.at)) return 0;
    const times = timesOf(session);
    const wasLive = decide(times, now.policy, now.at).state === 'live';
    const ending = endingBy(cutoff, expiresAt(times));
    const tombstone = bury(user, { handle: except, ending, until: tombstoneUntil(times, now.policy) });
    tell({ kind: 'ended', user: of, tombstone });
    return wasLive ? 1 : 0;
  }

  return {
    origin,
    configure: () => undefined,
    async sight(of, request) {
      if (request.index !== undefined) enter(of, request, request.index);
      return sight(of, request);
    },
    async list(of, { limit, cursor, at, policy }) {
      const all = liveOf(userOf(of, { at, policy }), { at, policy });
      const isBehind = (one: SessionRecord): boolean =>
        cursor === null ||
        one.lastSeenAt < cursor.lastSeenAt ||
        (one.lastSeenAt === cursor.lastSeenAt && one.handle > cursor.handle);
      const rest = all.filter(isBehind);
      const sessions = rest.slice(0, limit);
      const { lastSeenAt = 0, handle = '' } = sessions.at(-1) ?? {};
      return { sessions, next: rest.length > limit ? { lastSeenAt, handle } : null, total: all.length };
    },
    async get(of, handle, at, policy) {
      return liveOf(userOf(of, { at, policy }), { at, policy }).find((one) => one.handle === handle) ?? null;
    },
    async label(of, handle, label, at, policy) {
      const user = userOf(of, { at, policy });
      const session = user.sessions.get(handle);
      if (session === undefined || !isLive(user, session, { at, policy })) return null;
      const named = { ...session, label: keptLabel(label) };
      user.sessions.set(handle, named);
      return recordOf(named);
    },
    revoke: async (of, request) => revoke(of, request),
    async endIndexed(id, { at, policy, reason, by }) {
      const words = { reason: keptText(reason, REASON_LIMIT), by: keptOrNull(by, REASON_LIMIT) };
      const ending: Ending = { cause: 'revoked', ...words, at, expiresAt: null, origin };
      const until = at + Math.max(policy.tombstoneFor, policy.clockTolerance);
      const known = indexed(id, at);
      index.set(id, { ...known, ending: known.ending ?? ending, until: Math.max(known.until, until) });
      return [...known.subjects];
    },
    async revokeAll(of, { except, reason, by, at, policy, upTo }) {
      const user = userOf(of, { at, policy });
      if (upTo !== undefined && upTo < at) return endUpTo(of, user, upTo, { reason, by }, { at, policy });
      const last = Math.max(user.cutoffs.at(-1)?.at ?? -Infinity, globalCutoff?.at ?? -Infinity);
      const words = { reason: keptText(reason, REASON_LIMIT), by: keptOrNull(by, REASON_LIMIT) };
      const flags = { isRestored: false, isBackdated: false, erasedAt: user.erasedAt };
      const cutoff = { at: Math.max(at, last + 1), except, ...words, origin, ...flags };
      const ended = setCutoff(user, cutoff, { at, policy });
      tell({ kind: 'cutoff', user: of, cutoff, ended });
      return { ended: ended.length };
    },
    async erase(of, { at, policy }) {
      const user = userOf(of, { at, policy });
      const last = Math.max(user.cutoffs.at(-1)?.at ?? -Infinity, globalCutoff?.at ?? -Infinity);
      const erasedAt = Math.max(at, last + 1);
      const flags = { isRestored: false, isBackdated: false, erasedAt };
      const cutoff = { at: erasedAt, except: null, reason: 'erased', by: null, origin, ...flags };
      user.erasedAt = erasedAt;
      user.clients.clear();
      const ended = setCutoff(user, cutoff, { at, policy });
      for (const tombstone of user.tombstones.values()) bury(user, withoutWords(tombstone));
      eraseStale(user);
      tell({ kind: 'cutoff', user: of, cutoff, ended });
      return { ended: ended.length };
    },
    async expireTokens(of, { upTo, reason, by, at, policy }) {
      const user = userOf(of, { at, policy });
      const words = { reason: keptText(reason, REASON_LIMIT), by: keptOrNull(by, REASON_LIMIT) };
      user.stale.push({ at: Math.min(at, upTo ?? at), until: at + policy.tombstoneFor, ...words });
      tell({ kind: 'stale', user: of, staleTokens: staleOf(user)! });
    },
    async restore(of, { tombstones, cutoff, staleTokens = null, at, policy, isUnseen }) {
      const user = userOf(of, { at, policy });
      if (staleTokens !== null && staleTokens.until >= Math.min(at, Date.now())) {
        const before = staleOf(user);
        const { reason, by } = staleTokens;
        const words = { reason: keptText(reason, REASON_LIMIT), by: keptOrNull(by, REASON_LIMIT) };
        user.stale.push({ ...staleTokens, ...words });
        eraseStale(user);
        const standing = staleOf(user)!;
        if (before === null || before.at < standing.at) tell({ kind: 'stale', user: of, staleTokens: standing });
      }
      let missing = 0;
      for (const known of tombstones) {
        const standing = user.tombstones.get(known.handle);
        const session = user.sessions.get(known.handle);
        if (standing !== undefined) extend(user, standing, known.until);
        else if (known.until >= Math.min(at, Date.now())) {
          missing += 1;
          const until = session === undefined ? 0 : tombstoneUntil(timesOf(session), policy);
          const tombstone = extend(user, asKept(user, known), until);
          if (isUnseen !== true) tell({ kind: 'ended', user: of, tombstone });
        }
      }
      const last = user.cutoffs.at(-1)?.at ?? 0;
      if (cutoff !== null && cutoff.at > last) {
        if (cutoff.erasedAt > user.erasedAt) user.clients.clear();
        user.erasedAt = Math.max(user.erasedAt, cutoff.erasedAt);
        const restored = { ...cutoff, isRestored: true, isBackdated: false, erasedAt: user.erasedAt };
        tell({ kind: 'cutoff', user: of, cutoff: restored, ended: setCutoff(user, restored, { at, policy }) });
      }
      for (const tombstone of [...user.tombstones.values()]) bury(user, asKept(user, tombstone));
      eraseStale(user);
      return { missing };
    },
    async endEverywhere({ reason, by, at }) {
      const words = { reason: keptText(reason, REASON_LIMIT), by: keptOrNull(by, REASON_LIMIT), origin };
      const cutoff = { at: Math.max(at, (globalCutoff?.at ?? -Infinity) + 1), ...words };
      globalCutoff = cutoff;
      for (const listener of listeners) listener.globalCutoff(cutoff);
    },
    catchUp: () => Promise.resolve(),
    isMessageUsed: async (id, at) => Math.min(at, Date.now()) < (messages.get(id) ?? 0),
    async useMessage(id, until) {
      messages.set(id, Math.max(until, messages.get(id) ?? 0));
    },
    feed(listener) {
      listeners.add(listener);
      return {
        age: () => 0,
        lastError: () => null,
        async close() {
          listeners.delete(listener);
        },
      };
    },
    health: () => ({ ok: true, age: 0, lastError: null }),
    async close() {
      listeners.clear();
    },
  };
}
