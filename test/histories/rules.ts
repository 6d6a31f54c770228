/**
 * What every history must satisfy. Pure: from a history to its violations.
 *
 * H1 bound        An acknowledged ending is in force in every process after `revocationBound` + `storeTimeout`, unless
 *                 `whenStoreDown` lets it go on. If the store lost the ending, whoever knew it still refuses, and the others
 *                 do once it was written back; if nobody who knew it lived on, it may be gone.
 * H2 no return    A process that has refused a session as ended never admits it again. Without a loss, no other does either.
 * H3 three answers  Good, bad or cannot tell, in time. No process ends by itself.
 * H4 no false sign-out  A session that nobody ended is not refused as ended.
 * H5 events once  A process tells an ending once, and exactly one process tells it as its own.
 * H6 lists        Once all is healed, lists have the live sessions and no others, with their last use, the latest first; and
 *                 without a loss not more than the cap allows.
 * H7 idle         A session that nobody used for longer than `idleTimeout` is not admitted.
 *
 * A moment at which a session was admitted is judged by when the request was sent: the process cannot have decided before. So
 * these limits hold on a busy machine too. Limits on what processes do in the background are extended by the times in which
 * they, or the proxies, did nothing.
 */

import { ENDED_CODES, Facts, grouped, isEndedRefusal, isUse } from './facts.js';
import type { EndingCalled, History, RequestMade, SessionInfo } from './history.js';

export interface Violation {
  readonly rule: 'H1' | 'H2' | 'H3' | 'H4' | 'H5' | 'H6' | 'H7';
  readonly what: string;
  readonly session: number | null;
  readonly at: number;
}

export interface Judgement {
  readonly violations: readonly Violation[];
  /** Acknowledged endings of sessions that were lost together with every process that knew of them. */
  readonly lostWithAll: number;
  /** The latest admission after an acknowledgement, of endings that were never lost, in milliseconds. */
  readonly latestAdmission: number;
}

/** What a machine needs to pass something on, in milliseconds. */
const SLACK = 250;

export function judgeHistory(history: History): Judgement {
  const facts = new Facts(history);
  const bound = checkBound(facts);
  const violations = [
    ...bound.violations,
    ...checkNoReturn(facts),
    ...checkAnswers(facts),
    ...checkNoFalseSignOut(facts),
    ...checkEvents(facts),
    ...checkLists(facts),
    ...checkIdle(facts),
  ];
  return { ...bound, violations: violations.toSorted((a, b) => a.at - b.at) };
}

/** Whether a call ends a session, whatever token of it is presented: the session was on record, or it was named. */
function targets(facts: Facts, ending: EndingCalled, info: SessionInfo): boolean {
  const { as, user, session, except, sentAt, life } = ending;
  if (session !== null) return session === info.session;
  if (user !== null && (user !== info.user || except === info.session)) return false;
  const wasAdmitted = facts
    .requestsOf(info.session)
    .some(({ outcome, answeredAt }) => outcome.kind === 'admitted' && answeredAt < sentAt);
  if (!wasAdmitted) return false;
  // If the store had lost the record, or never sees it, only the start of the session tells.
  const isKnownByStart =
    as === 'endEverywhere' || facts.hasLoss({ from: info.from, to: ending.acknowledgedAt ?? sentAt });
  if (!isKnownByStart) return true;
  const { behind } = facts.clocksAhead(life, { from: sentAt, to: ending.acknowledgedAt ?? sentAt });
  return info.iat < facts.secondAt(sentAt - behind);
}

/** The same for a token that was presented: if the record was lost, a refreshed one looks like that of a new session. */
function appliesTo(facts: Facts, ending: EndingCalled, info: SessionInfo, { iat, sentAt }: RequestMade): boolean {
  if (ending.session !== null || iat === info.iat) return true;
  return !facts.hasLoss({ from: info.from, to: sentAt });
}

// H1

function checkBound(facts: Facts): Judgement {
  const violations: Violation[] = [];
  let lostWithAll = 0;
  let latestAdmission = 0;
  for (const ending of facts.endings) {
    if (ending.acknowledgedAt === null) continue;
    for (const info of facts.sessions) {
      if (info.from > ending.sentAt || !targets(facts, ending, info)) continue;
      const standing = standingOf(facts, ending, ending.acknowledgedAt, info);
      if (standing.isLostWithAll) lostWithAll += 1;
      for (const request of facts.requestsOf(info.session)) {
        if (request.outcome.kind !== 'admitted' || request.sentAt < ending.acknowledgedAt) continue;
        if (!appliesTo(facts, ending, info, request)) continue;
        const limit = standing.limitOf(request);
        if (limit.isKept) latestAdmission = Math.max(latestAdmission, request.sentAt - ending.acknowledgedAt);
        if (request.sentAt <= limit.at || isAllowed(facts, request)) continue;
        const late = Math.round(request.sentAt - ending.acknowledgedAt);
        violations.push({
          rule: 'H1',
          what: `session ${info.session} was admitted by life ${request.life} ${late} ms after ${ending.reason} was acknowledged: ${limit.why}`,
          session: info.session,
          at: request.sentAt,
        });
      }
    }
  }
  return { violations, lostWithAll, latestAdmission };
}

/** Whether `whenStoreDown` lets any session go on that the process does not know to be ended. */
function isAllowed(facts: Facts, { life, sentAt, answeredAt }: RequestMade): boolean {
  const { whenStoreDown, revocationBound, storeTimeout } = facts.settings;
  if (whenStoreDown !== 'allow') return false;
  const span = { from: sentAt - revocationBound - facts.heals, to: answeredAt };
  const isBusy = facts.paused(life, span) + facts.paused(null, span) > storeTimeout / 2;
  return isBusy || facts.isTroubled(life, span);
}

interface Limit {
  readonly at: number;
  readonly why: string;
  /** The store did not lose it. */
  readonly isKept: boolean;
}

/** Until when an ending may be unknown to a process, after what the store lost. */
function standingOf(facts: Facts, ending: EndingCalled, acknowledgedAt: number, info: SessionInfo) {
  const { revocationBound, storeTimeout, activityInterval, whenStoreDown } = facts.settings;
  const goesOn = typeof whenStoreDown === 'object' ? whenStoreDown.allowFor : 0;
  const inForce = revocationBound + storeTimeout + goesOn + SLACK;
  const knowers = facts.lives.map((life) => ({ life, since: facts.knowsSince(life.life, info.session) }));
  /** When the ending is in the store again, by what one of those that knew it before the loss wrote back. */
  function writtenBackAt(loss: { from: number; to: number }, before: number): number {
    const moments = knowers
      .filter(({ since, life }) => since < loss.from && life.to > loss.to)
      .map(({ life }) => {
        const connectedAt = Math.max(loss.to + facts.heals, facts.troubledUntil(life.life, before));
        const span = { from: loss.to, to: before };
        const busy = facts.paused(life.life, span) + facts.paused(null, span);
        const at = connectedAt + revocationBound + 1.125 * activityInterval + 2 * storeTimeout + busy;
        return life.to < at ? Infinity : at;
      });
    return Math.min(Infinity, ...moments);
  }

  /** The last loss before a moment that may have taken the ending along. */
  function lastLoss(before: number): { from: number; to: number } | null {
    let last: { from: number; to: number } | null = null;
    let writtenAt = acknowledgedAt;
    for (const { from, to, keptUntil } of facts.losses) {
      if (to < ending.sentAt || from > before || (keptUntil ?? Infinity) >= writtenAt) continue;
      last = { from, to };
      writtenAt = writtenBackAt(last, before);
    }
    return last;
  }

  function limitOf(request: RequestMade): Limit {
    const { life, sentAt } = request;
    const since = knowers.find((knower) => knower.life.life === life)?.since ?? Infinity;
    if (since < sentAt) return { at: since, why: 'it knew of the ending', isKept: false };
    const loss = lastLoss(sentAt);
    if (loss === null && request.as === 'fresh') {
      return { at: acknowledgedAt + SLACK, why: 'it was to ask the store', isKept: true };
    }
    if (loss === null) return { at: acknowledgedAt + inForce, why: 'later than the bound', isKept: true };
    const writtenAt = writtenBackAt(loss, sentAt);
    const shownAt = Math.max(shownInStore(loss, sentAt), announcedAt(loss, sentAt));
    const busy = facts.paused(life, { from: loss.to, to: sentAt }) + facts.paused(null, { from: loss.to, to: sentAt });
    const why = `the store lost it ${Math.round(sentAt - loss.to)} ms before`;
    if (shownAt + revocationBound + storeTimeout + SLACK + busy < sentAt) {
      return { at: shownAt, why: `${why}, and has had it again for ${Math.round(sentAt - shownAt)} ms`, isKept: false };
    }
    return { at: writtenAt + inForce + busy, why, isKept: false };
  }

  /** When a process that did not know it refused the session for this ending: it is in the store again by then. */
  function shownInStore(loss: { to: number }, before: number): number {
    if (ending.as !== 'revoke') return Infinity;
    const shown = facts.requestsOf(info.session).filter((request) => {
      const { outcome, life, sentAt, answeredAt } = request;
      const since = knowers.find((knower) => knower.life.life === life)?.since ?? Infinity;
      const isOfThis = outcome.kind === 'refused' && outcome.reason === ending.reason;
      return isOfThis && since > loss.to && sentAt > loss.to && answeredAt < before;
    });
    return Math.min(Infinity, ...shown.map(({ answeredAt }) => answeredAt));
  }

  /** Whoever writes it back may fail to announce it, and tries again once the trouble is over; never, if it ends before. */
  function announcedAt(loss: { from: number; to: number }, before: number): number {
    const moments = knowers
      .filter(({ since, life }) => since < loss.from && life.to > loss.to)
      .map(({ life }) => (life.to < before ? Infinity : facts.troubledUntil(life.life, before)));
    return Math.max(-Infinity, ...moments);
  }

  const loss = lastLoss(Infinity);
  const isLostWithAll = loss !== null && writtenBackAt(loss, Infinity) === Infinity;
  return { limitOf, isLostWithAll };
}

// H2

/** A session that began so close to a cutoff that clocks do not tell on which side: a refusal for it leaves no tombstone. */
function isNearCutoff(facts: Facts, info: SessionInfo): boolean {
  const tolerance = facts.settings.clockTolerance;
  return facts.endings.some(({ session, user, life, sentAt, second }) => {
    if (session !== null || (user !== null && user !== info.user)) return false;
    const { redis, app, behind } = facts.clocksAhead(life, { from: sentAt, to: sentAt });
    const from = facts.secondAt(sentAt - behind - tolerance) - 1;
    const to = second + (Math.max(redis, app) + tolerance) / 1000 + 1;
    return info.iat >= from && info.iat <= to;
  });
}

function checkNoReturn(facts: Facts): Violation[] {
  const { revocationBound, storeTimeout, activityInterval } = facts.settings;
  const violations: Violation[] = [];
  for (const info of facts.sessions) {
    if (isNearCutoff(facts, info)) continue;
    const requests = facts.requestsOf(info.session);
    const refused = requests.filter(isEndedRefusal);
    const first = Math.min(Infinity, ...refused.map(({ answeredAt }) => answeredAt));
    const isIdle = refused.some(({ outcome }) => outcome.kind === 'refused' && outcome.code === 'session_idle');
    for (const request of requests) {
      const { outcome, life, sentAt } = request;
      if (outcome.kind !== 'admitted') continue;
      const before = refused.find((refusal) => refusal.life === life && refusal.at < sentAt);
      if (before !== undefined) {
        const what = `life ${life} admitted session ${info.session}, which it had refused ${Math.round(sentAt - before.at)} ms before`;
        violations.push({ rule: 'H2', what, session: info.session, at: sentAt });
        continue;
      }
      if (facts.hasLoss({ from: info.from, to: sentAt }) || isAllowed(facts, request)) continue;
      // An ending that was not acknowledged is learned by asking, which each process does once per interval.
      const since = Math.max(first, facts.troubledUntil(life, sentAt));
      const wasAnnounced = !isIdle && isQuiet(facts, { from: first - 2 * facts.heals, to: sentAt });
      const asked =
        (wasAnnounced ? revocationBound : Math.max(revocationBound, 1.125 * activityInterval + 1000)) +
        2 * storeTimeout +
        goesOnFor(facts);
      const span = { from: since, to: sentAt };
      if (sentAt > since + asked + SLACK + facts.paused(life, span) + facts.paused(null, span)) {
        const what = `life ${life} admitted session ${info.session} ${Math.round(sentAt - first)} ms after somebody refused it as ended`;
        violations.push({ rule: 'H2', what, session: info.session, at: sentAt });
      }
    }
  }
  return violations;
}

/** Nothing stood between any process and the store, all of them reached it, and none ended or stood still for long. */
function isQuiet(facts: Facts, span: { from: number; to: number }): boolean {
  const isFaulty = facts.faults.some(({ from, to }) => from < span.to && to + facts.heals > span.from);
  const longest = Math.max(...[null, ...facts.lives.map(({ life }) => life)].map((life) => facts.paused(life, span)));
  return !isFaulty && !facts.wasStoreDown(span) && longest < facts.settings.storeTimeout / 2;
}

function goesOnFor({ settings: { whenStoreDown } }: Facts): number {
  return typeof whenStoreDown === 'object' ? whenStoreDown.allowFor : 0;
}

// H3

function checkAnswers(facts: Facts): Violation[] {
  const { storeTimeout } = facts.settings;
  const violations: Violation[] = [];
  for (const life of facts.lives) {
    if (life.crash === null) continue;
    violations.push({
      rule: 'H3',
      what: `life ${life.life} ended by itself: ${life.crash}`,
      session: null,
      at: life.to,
    });
  }
  for (const request of facts.requests) {
    const { session, life, sentAt, answeredAt, outcome } = request;
    if (outcome.kind === 'failed') {
      if ((facts.life(life).killedAt ?? Infinity) > answeredAt) {
        violations.push({ rule: 'H3', what: `life ${life} answered with ${outcome.what}`, session, at: answeredAt });
      }
      continue;
    }
    if (outcome.kind === 'refused' && !isKnownAnswer(facts, request, outcome)) {
      const what = `life ${life} answered with ${outcome.status} ${outcome.code}`;
      violations.push({ rule: 'H3', what, session, at: answeredAt });
    }
    const span = { from: sentAt, to: answeredAt };
    const limit = 6 * storeTimeout + 2000 + facts.paused(life, span) + facts.paused(null, span);
    if (answeredAt - sentAt > limit) {
      const what = `life ${life} answered after ${Math.round(answeredAt - sentAt)} ms`;
      violations.push({ rule: 'H3', what, session, at: answeredAt });
    }
  }
  for (const { error, life, acknowledgedAt, sentAt, reason, session } of facts.endings) {
    if (error === null || /^(store_unavailable|session_not_found)/.test(error)) continue;
    if (facts.life(life).killedAt !== null || ENDED_CODES.has(error)) continue;
    violations.push({ rule: 'H3', what: `${reason} failed: ${error}`, session, at: acknowledgedAt ?? sentAt });
  }
  return violations;
}

function isKnownAnswer(
  facts: Facts,
  { life, sentAt, answeredAt }: RequestMade,
  { status, code }: Extract<RequestMade['outcome'], { kind: 'refused' }>,
): boolean {
  switch (code) {
    case 'session_revoked':
    case 'session_expired':
    case 'session_idle':
      return status === 401;
    case 'session_limit':
      return status === 403;
    case 'store_unavailable':
      return status === 503;
    case 'token_not_yet_valid': {
      const { behind } = facts.clocksAhead(life, { from: sentAt, to: answeredAt });
      return status === 401 && behind > 0;
    }
    default:
      return false;
  }
}

// H4

function checkNoFalseSignOut(facts: Facts): Violation[] {
  const violations: Violation[] = [];
  for (const info of facts.sessions) {
    const seen = new Set<string>();
    for (const request of facts.requestsOf(info.session)) {
      const { outcome, life, answeredAt } = request;
      if (outcome.kind !== 'refused') continue;
      const name = `${life} ${outcome.code} ${String(outcome.reason)}`;
      if (seen.has(name)) continue;
      seen.add(name);
      const why = whyFalse(facts, info, request, outcome);
      if (why === null) continue;
      const what = `life ${life} refused session ${info.session} (${outcome.code}, ${String(outcome.reason)}): ${why}`;
      violations.push({ rule: 'H4', what, session: info.session, at: answeredAt });
    }
  }
  return violations;
}

/** Null if the refusal is right. */
function whyFalse(
  facts: Facts,
  info: SessionInfo,
  request: RequestMade,
  { code, reason }: Extract<RequestMade['outcome'], { kind: 'refused' }>,
): string | null {
  if (code === 'session_expired') return 'no session has a lifetime, and no token had expired';
  if (code === 'session_idle') return whyNotIdle(facts, info, request);
  if (code === 'session_limit' || reason === 'session_limit') return whyNotOverCap(facts, info, request);
  if (code !== 'session_revoked') return null;
  const calls = facts.endings.filter((ending) => ending.reason === reason && ending.sentAt < request.answeredAt);
  if (calls.length === 0) return 'nobody called for that';
  return calls.some((ending) => mayEnd(facts, ending, info)) ? null : 'that call was not about this session';
}

/** Whether a call may have ended a session, with all that clocks leave open. */
function mayEnd(facts: Facts, ending: EndingCalled, info: SessionInfo): boolean {
  if (ending.session !== null) return ending.session === info.session;
  if (ending.user !== null && (ending.user !== info.user || ending.except === info.session)) return false;
  // It may be carried out later than it was given up.
  if (ending.acknowledgedAt === null) return true;
  return info.iat <= ending.second + cutoffAhead(facts, ending) / 1000;
}

/** By how much the moment of a cutoff may lie after the call. */
function cutoffAhead(facts: Facts, ending: EndingCalled): number {
  const { clockTolerance } = facts.settings;
  // A later cutoff is never before an earlier one.
  const before = facts.endings.filter(
    ({ session, user, sentAt }) =>
      session === null && (user === null || user === ending.user) && sentAt <= ending.sentAt,
  );
  const aheads = before.map(({ as, life, sentAt, acknowledgedAt, second }) => {
    const { redis, app } = facts.clocksAhead(life, { from: sentAt, to: acknowledgedAt ?? Infinity });
    const ahead = as === 'endEverywhere' ? redis : Math.min(redis, app);
    return second * 1000 + ahead - ending.second * 1000;
  });
  return Math.max(0, ...aheads) + (ending.as === 'endEverywhere' ? clockTolerance : 0);
}

function whyNotOverCap(facts: Facts, info: SessionInfo, { answeredAt }: RequestMade): string | null {
  const { maxSessionsPerUser } = facts.settings;
  const others = facts.sessions.filter(({ user, from }) => user === info.user && from < answeredAt);
  // A store that lost endings counts their sessions until they are written back.
  const isLossy = facts.hasLoss({ from: -Infinity, to: answeredAt });
  const counted = isLossy ? others : others.filter((other) => !wasOver(facts, other, info.from));
  return counted.length > maxSessionsPerUser ? null : `the user had at most ${counted.length} sessions`;
}

/** Whether a session was certainly over before a moment. */
function wasOver(facts: Facts, info: SessionInfo, before: number): boolean {
  return facts.endings.some(
    (ending) =>
      ending.session === info.session && ending.acknowledgedAt !== null && ending.acknowledgedAt < before - 1000,
  );
}

/**
 * Whoever wrote the tombstone tells the ending as its own. It must know the uses that it saw itself, and those of others that
 * had the time to write them to a store that lost nothing since.
 */
function whyNotIdle(facts: Facts, info: SessionInfo, request: RequestMade): string | null {
  const { idleTimeout, activityInterval, storeTimeout } = facts.settings;
  if (idleTimeout === null) return 'there is no idle timeout';
  const own = facts.eventsOf(info.handle).find(({ event, here, reason }) => {
    return event === 'sessionEnded' && here === true && reason === 'idle';
  });
  const isWriterGone = own === undefined && facts.lives.some(({ to }) => to < Infinity);
  if (isWriterGone) return null;
  const { life, at } = own ?? request;
  const span = { from: at - 2 * idleTimeout, to: at };
  if (facts.isAppClockWrong(span)) return null;
  // The request that found it idle is judged a moment before the ending is told.
  const found = facts
    .requestsOf(info.session)
    .findLast((each) => each.life === life && each.sentAt <= at && isEndedRefusal(each));
  const foundAt = found?.sentAt ?? at - storeTimeout;
  const uses = facts.requestsOf(info.session).filter((each) => isUse(each) && each.answeredAt < foundAt);
  const written = 1.125 * activityInterval + 1000 + 2 * storeTimeout;
  const known = uses.filter((use) => {
    if (use.life === life) return true;
    const isWritten = use.answeredAt + written < foundAt;
    const since = { from: use.sentAt - written, to: at };
    const busy = facts.paused(use.life, since) + facts.paused(null, since);
    return (
      isWritten &&
      busy < storeTimeout / 2 &&
      !facts.isTroubled(use.life, since) &&
      !facts.hasLoss(since) &&
      use.outcome.kind === 'admitted'
    );
  });
  // Without a pause since it was last known to be live. The process read its clock after the request was sent.
  let next = at;
  for (const use of known.toReversed()) {
    if (next - use.sentAt > idleTimeout - SLACK) return null;
    next = use.at;
    if (use.outcome.kind !== 'admitted' || isAllowed(facts, use)) continue;
    const last = known.at(-1) ?? use;
    return `life ${life} found it idle although it was in use ${Math.round(at - last.at)} ms before, at life ${last.life}`;
  }
  return null;
}

// H5

function checkEvents(facts: Facts): Violation[] {
  const violations: Violation[] = [];
  for (const info of facts.sessions) {
    const { session, handle } = info;
    const told = facts.eventsOf(handle);
    const ended = told.filter(({ event }) => event === 'sessionEnded');
    for (const [life, events] of grouped(ended, (event) => event.life)) {
      if (events.length === 1) continue;
      const what = `life ${life} told ${events.length} times that session ${session} ended`;
      violations.push({ rule: 'H5', what, session, at: events[1]!.at });
    }
    if (facts.hasLoss({ from: info.from, to: Infinity })) continue;
    const started = told.filter(({ event }) => event === 'sessionStarted');
    if (started.length > 1) {
      const what = `session ${session} was told to have started ${started.length} times`;
      violations.push({ rule: 'H5', what, session, at: started[1]!.at });
    }
    const own = ended.filter(({ here }) => here === true);
    // A user's slot does not know the global cutoff: a call that is carried out after it may end the session there as well.
    const isByGlobalCutoff = own.some(({ reason }) =>
      facts.endings.some((ending) => ending.as === 'endEverywhere' && ending.reason === reason),
    );
    if (own.length > 1 && !isByGlobalCutoff) {
      const what = `${own.length} processes told the end of session ${session} as their own`;
      violations.push({ rule: 'H5', what, session, at: own[1]!.at });
    }
    const calls = facts.endings.filter((ending) => ending.sentAt > info.from && targets(facts, ending, info));
    const acknowledged = calls.find(({ acknowledgedAt }) => acknowledgedAt !== null);
    const everybodyLived = facts.lives.every(({ to }) => to === Infinity);
    if (own.length === 0 && acknowledged !== undefined && everybodyLived && acknowledged.as !== 'endEverywhere') {
      const what = `nobody told the end of session ${session} as their own, after ${acknowledged.reason}`;
      violations.push({ rule: 'H5', what, session, at: acknowledged.acknowledgedAt ?? 0 });
    }
  }
  return violations;
}

// H6

function checkLists(facts: Facts): Violation[] {
  const { activityInterval, storeTimeout } = facts.settings;
  const violations: Violation[] = [];
  const settled = 1.125 * activityInterval + 1000 + 2 * storeTimeout + SLACK;
  for (const list of facts.lists) {
    if (list.sessions === null) {
      if (list.isFinal && !String(list.error).startsWith('store_unavailable')) {
        violations.push({
          rule: 'H6',
          what: `a list failed: ${String(list.error)}`,
          session: null,
          at: list.answeredAt,
        });
      }
      continue;
    }
    if (!list.isFinal) continue;
    const { life, sentAt } = list;
    const { maxSessionsPerUser } = facts.settings;
    if (list.sessions.length > maxSessionsPerUser && facts.losses.length === 0) {
      const what = `life ${life} lists ${list.sessions.length} sessions of user ${list.user}`;
      violations.push({ rule: 'H6', what, session: null, at: sentAt });
    }
    if (
      list.sessions.some(({ lastSeenAt }, index) => lastSeenAt > (list.sessions?.[index - 1]?.lastSeenAt ?? Infinity))
    ) {
      const what = `life ${life} does not list the sessions of user ${list.user} by their last use`;
      violations.push({ rule: 'H6', what, session: null, at: sentAt });
    }
    const listed = new Map(list.sessions.map(({ handle, lastSeenAt }) => [handle, lastSeenAt]));
    for (const info of facts.sessions) {
      if (info.user !== list.user) continue;
      const requests = facts.requestsOf(info.session);
      const probes = requests.filter(({ as }) => as === 'probe');
      const lastSeenAt = listed.get(info.handle);
      listed.delete(info.handle);
      const { session } = info;
      const admitted = requests
        .filter(
          ({ outcome, at, answeredAt }) =>
            outcome.kind === 'admitted' && at > facts.healedAt + facts.heals && answeredAt < sentAt,
        )
        .filter((request) => !isAllowed(facts, request));
      const isLive = probes.length > 0 && probes.every(({ outcome }) => outcome.kind === 'admitted');
      const isEnded = probes.length > 0 && probes.every(isEndedRefusal);
      if (lastSeenAt === undefined) {
        if (isLive && admitted.some(({ answeredAt }) => answeredAt < sentAt - SLACK)) {
          violations.push({ rule: 'H6', what: `life ${life} does not list session ${session}`, session, at: sentAt });
        }
        continue;
      }
      const wasEndedBefore = requests.some((each) => isEndedRefusal(each) && each.answeredAt < sentAt - settled);
      if (isEnded && wasEndedBefore) {
        violations.push({
          rule: 'H6',
          what: `life ${life} lists session ${session}, which ended`,
          session,
          at: sentAt,
        });
      }
      const busy = facts.lives.reduce(
        (sum, each) => sum + facts.paused(each.life, { from: facts.healedAt, to: sentAt }),
        0,
      );
      const before = sentAt - settled - busy;
      const lastUse = Math.max(-Infinity, ...admitted.filter(({ at }) => at < before).map(({ at }) => at));
      const behind = facts.epoch + lastUse - lastSeenAt;
      if (isLive && behind > SLACK + busy) {
        const what = `session ${session} is listed as last seen ${Math.round(behind)} ms before its use`;
        violations.push({ rule: 'H6', what, session, at: sentAt });
      }
    }
    for (const handle of listed.keys()) {
      violations.push({
        rule: 'H6',
        what: `life ${life} lists ${handle}, which is nobody's`,
        session: null,
        at: sentAt,
      });
    }
  }
  return violations;
}

// H7

function checkIdle(facts: Facts): Violation[] {
  const { idleTimeout, whenStoreDown, storeTimeout } = facts.settings;
  if (idleTimeout === null || whenStoreDown !== 'refuse') return [];
  const violations: Violation[] = [];
  for (const info of facts.sessions) {
    const requests = facts.requestsOf(info.session);
    for (const { outcome, life, sentAt } of requests) {
      if (outcome.kind !== 'admitted') continue;
      const earlier = requests.filter((each) => each.sentAt < sentAt);
      if (earlier.length === 0) continue;
      const usedAt = Math.max(...earlier.map(({ answeredAt }) => answeredAt));
      const span = { from: info.from, to: sentAt };
      if (facts.hasLoss(span) || facts.isAppClockWrong(span)) continue;
      if (sentAt - usedAt <= idleTimeout + storeTimeout + SLACK + facts.paused(life, { from: usedAt, to: sentAt }))
        continue;
      const what = `life ${life} admitted session ${info.session}, which nobody had used for ${Math.round(sentAt - usedAt)} ms`;
      violations.push({ rule: 'H7', what, session: info.session, at: sentAt });
    }
  }
  return violations;
}
