/**
 * One table of verdicts for every judge of a session: the pure functions of the core, the stores, and the ledger. Each row
 * is what is known of a session, the token of a request, and the verdict. The rows are named by what they show.
 */

import type { GlobalCutoff, StandingCutoff } from '../../lib/core/cutoff.js';
import { LAST_MOMENT, type SessionPolicy } from '../../lib/core/policy.js';
import { ALWAYS, type KeptRecord, type KnownUse } from '../../lib/core/record.js';
import type { TokenTimes } from '../../lib/core/session.js';
import type { StaleTokens } from '../../lib/core/stale.js';
import type { Tombstone } from '../../lib/stores/store.js';

export type Verdict =
  | {
      readonly state: 'live';
      /**
       * What it was before this token by the store alone: never seen, live, idle, or on record with tokens that had run
       * out, with its row or without.
       */
      readonly before: 'new' | 'live' | 'idle' | 'lapsed' | 'stub';
      readonly startedAt: number;
      readonly endsAt: number | null;
      readonly expiresAt: number;
      readonly survivedCutoffAt: number;
    }
  | {
      readonly state: 'ended';
      readonly by: 'tombstone' | 'cutoff' | 'global cutoff' | 'expired' | 'idle';
      /** The record alone was live: this token ends the session. */
      readonly wasLive: boolean;
      /** Nothing brings the session back. False: a good token is accepted. */
      readonly isKept: boolean;
      /** Until when the tombstone stands; null if the row does not ask. */
      readonly until: number | null;
    }
  /** The token alone is refused. Nothing has changed. */
  | { readonly state: 'stale' };

export interface VerdictRow {
  readonly name: string;
  /** Now. */
  readonly at: number;
  readonly policy: SessionPolicy;
  readonly token: TokenTimes;
  /** What the store keeps of the session: at most one of the two. */
  readonly record: KeptRecord | null;
  readonly tombstone: Omit<Tombstone, 'handle'> | null;
  /** What the process knows of it that sights it. */
  readonly knownUse: KnownUse | null;
  readonly cutoff: StandingCutoff | null;
  readonly globalCutoff: GlobalCutoff | null;
  readonly staleTokens: StaleTokens | null;
  readonly verdict: Verdict;
}

/** The handle of the session. */
export const HANDLE = 'the-session-of-the-row';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A whole second, long enough ago that no machine's clock is earlier. */
const BEGAN = 1_700_000_000_000;
const TOLERANCE = 5 * SECOND;
/** When the usual token has run out. */
const ENDS = BEGAN + HOUR;

const POLICY: SessionPolicy = {
  idleTimeout: null,
  clockTolerance: TOLERANCE,
  tombstoneFor: DAY,
  maxSessions: Infinity,
  atSessionLimit: 'end-oldest',
};
const TOKEN: TokenTimes = { beganAt: BEGAN, expiresAt: ENDS, lifetime: null, sessionEndsAt: null };
const RECORD: KeptRecord = {
  startedAt: BEGAN,
  lastSeenAt: BEGAN,
  lifetime: null,
  tokensEndAt: ENDS,
  endsAt: null,
  survivedCutoffAt: 0,
  ip: null,
  userAgent: null,
  byProgram: false,
  app: null,
  actor: null,
  hasNewClient: false,
  label: null,
};
const TOMBSTONE: Omit<Tombstone, 'handle'> = {
  ending: {
    cause: 'revoked',
    reason: 'signed_out',
    by: 'ann',
    at: BEGAN + SECOND,
    expiresAt: ENDS,
    origin: 'tombstones-writer',
  },
  until: ENDS + DAY,
};
/** In the middle of the second that begins at CUTOFF_SECOND. */
const CUTOFF: StandingCutoff = {
  at: BEGAN + 10_500,
  except: null,
  reason: 'everywhere',
  by: 'owner',
  origin: 'cutoffs-writer',
  priorCutoffAt: 0,
  isPriorRestored: false,
  isPriorBackdated: false,
  isRestored: false,
  isBackdated: false,
  erasedAt: 0,
};
const CUTOFF_SECOND = BEGAN + 10_000;
const PRIOR_AT = BEGAN + 4500;
const PRIOR_SECOND = BEGAN + 4000;
/** In the middle of the second that begins at STALE_SECOND. */
const STALE: StaleTokens = { at: BEGAN + 30_500, until: BEGAN + DAY, reason: 'role_removed', by: 'admin' };
const STALE_SECOND = BEGAN + 30_000;
const GLOBAL: GlobalCutoff = { at: BEGAN + 20_500, reason: 'incident', by: 'operator', origin: 'globals-writer' };

interface Given {
  readonly at?: number;
  readonly policy?: Partial<SessionPolicy>;
  readonly token?: Partial<TokenTimes>;
  readonly record?: Partial<KeptRecord>;
  readonly tombstone?: Partial<Omit<Tombstone, 'handle'>>;
  readonly knownUse?: KnownUse;
  readonly cutoff?: Partial<StandingCutoff>;
  readonly globalCutoff?: Partial<GlobalCutoff>;
  readonly staleTokens?: Partial<StaleTokens>;
}

/** What is not given is as usual: a minute after the session began. */
function row(name: string, given: Given, verdict: Verdict): VerdictRow {
  const { at = BEGAN + MINUTE, policy, token, record, tombstone, knownUse, cutoff, globalCutoff, staleTokens } = given;
  return {
    name,
    at,
    policy: { ...POLICY, ...policy },
    token: { ...TOKEN, ...token },
    record: record === undefined ? null : { ...RECORD, ...record },
    tombstone: tombstone === undefined ? null : { ...TOMBSTONE, ...tombstone },
    knownUse: knownUse ?? null,
    cutoff: cutoff === undefined ? null : { ...CUTOFF, ...cutoff },
    globalCutoff: globalCutoff === undefined ? null : { ...GLOBAL, ...globalCutoff },
    staleTokens: staleTokens === undefined ? null : { ...STALE, ...staleTokens },
    verdict,
  };
}

type Live = Extract<Verdict, { state: 'live' }>;
type Ended = Extract<Verdict, { state: 'ended' }>;

const live = (before: Live['before'], more: Partial<Live> = {}): Live => ({
  state: 'live',
  before,
  startedAt: BEGAN,
  endsAt: null,
  expiresAt: ENDS,
  survivedCutoffAt: 0,
  ...more,
});
const ended = (by: Ended['by'], more: Partial<Ended> = {}): Ended => ({
  state: 'ended',
  by,
  wasLive: false,
  isKept: true,
  until: null,
  ...more,
});
const NOT_KEPT = { isKept: false } as const;
const WAS_LIVE = { wasLive: true } as const;

/** By `began: 'first-seen'`. */
const FIRST_SEEN = { beganAt: null } as const;

/** With an absolute lifetime, which the clock tolerance extends. */
const LIFETIME = { lifetime: HOUR, expiresAt: BEGAN + DAY } as const;
const OF_LIFETIME = { lifetime: HOUR, tokensEndAt: ENDS } as const;
const LIFETIME_ENDS = BEGAN + HOUR + TOLERANCE;

const LIFETIMES: readonly VerdictRow[] = [
  row('a session that was never seen, with a good token', {}, live('new')),
  row('never seen, in the last moment of its lifetime', { at: LIFETIME_ENDS - 1, token: LIFETIME }, live('new')),
  row('never seen, its lifetime over', { at: LIFETIME_ENDS, token: LIFETIME }, ended('expired', NOT_KEPT)),
  row(
    'on record, in the last moment of its lifetime',
    { at: LIFETIME_ENDS - 1, token: LIFETIME, record: OF_LIFETIME },
    live('live'),
  ),
  row(
    'on record, its lifetime over',
    { at: LIFETIME_ENDS, token: LIFETIME, record: OF_LIFETIME },
    ended('expired', { until: ENDS + DAY }),
  ),
  row(
    'the lifetime over at once without clock tolerance',
    { at: ENDS, policy: { clockTolerance: 0 }, token: LIFETIME, record: OF_LIFETIME },
    ended('expired'),
  ),
  row(
    'the lifetime of the record over, with a token that has none',
    { at: LIFETIME_ENDS, token: { expiresAt: BEGAN + DAY }, record: OF_LIFETIME },
    ended('expired'),
  ),
  row(
    'a record without a lifetime, with a token whose lifetime is over',
    { at: LIFETIME_ENDS, token: LIFETIME, record: { tokensEndAt: BEGAN + DAY } },
    ended('expired', WAS_LIVE),
  ),
  row(
    'the lifetime was shortened: a tombstone stands for as long as an earlier token may be good',
    {
      at: BEGAN + 2 * HOUR,
      token: { lifetime: HOUR, expiresAt: BEGAN + DAY },
      record: { lifetime: 60 * DAY, tokensEndAt: ENDS },
    },
    ended('expired', { wasLive: true, until: BEGAN + 60 * DAY + TOLERANCE }),
  ),
  row(
    'an older token shows that the lifetime is over',
    { token: { ...LIFETIME, beganAt: BEGAN - HOUR }, record: OF_LIFETIME },
    ended('expired', WAS_LIVE),
  ),
  row(
    'a refreshed token does not begin the lifetime anew',
    { at: LIFETIME_ENDS, token: { ...LIFETIME, beganAt: ENDS }, record: OF_LIFETIME },
    ended('expired'),
  ),
  row(
    'a lifetime outlives the tokens that were seen',
    {
      at: BEGAN + HOUR,
      token: { lifetime: DAY, expiresAt: BEGAN + 2 * HOUR },
      record: { lifetime: DAY, tokensEndAt: BEGAN + MINUTE },
    },
    live('live', { expiresAt: BEGAN + DAY }),
  ),
];

const IDLE = { idleTimeout: 30 * MINUTE } as const;
const IDLE_AT = BEGAN + 30 * MINUTE;

const IDLENESS: readonly VerdictRow[] = [
  row('in the last moment before it is idle', { at: IDLE_AT - 1, policy: IDLE, record: {} }, live('live')),
  row(
    'idle for as long as the timeout, which the clock tolerance does not extend',
    { at: IDLE_AT, policy: IDLE, record: {} },
    ended('idle'),
  ),
  row(
    'a good token does not bring back what is idle',
    { at: IDLE_AT, policy: IDLE, token: { beganAt: IDLE_AT, expiresAt: IDLE_AT + DAY }, record: {} },
    ended('idle', { until: IDLE_AT + 3 * DAY }),
  ),
  row(
    'idle and past its lifetime: expired',
    { at: LIFETIME_ENDS, policy: IDLE, token: LIFETIME, record: OF_LIFETIME },
    ended('expired'),
  ),
  row(
    'idle and lapsed: idle',
    { at: ENDS + TOLERANCE, policy: IDLE, token: { expiresAt: BEGAN + DAY }, record: {} },
    ended('idle'),
  ),
  row(
    'a clock that went back does not make it idle',
    { at: BEGAN - HOUR, policy: IDLE, record: { lastSeenAt: BEGAN + HOUR / 2 } },
    live('live'),
  ),
  row('never seen, so not idle', { at: IDLE_AT, policy: IDLE }, live('new')),
];

const TOKENS: readonly VerdictRow[] = [
  row('never seen, the last moment of the token', { at: ENDS + TOLERANCE - 1 }, live('new')),
  row('never seen, the token over', { at: ENDS + TOLERANCE }, ended('expired', NOT_KEPT)),
  row('the last moment of the tokens that were seen', { at: ENDS + TOLERANCE - 1, record: {} }, live('live')),
  row(
    'lapsed, and taken on by a token that ends later',
    { at: ENDS + TOLERANCE, token: { expiresAt: BEGAN + DAY }, record: {} },
    live('lapsed', { expiresAt: BEGAN + DAY }),
  ),
  row(
    'lapsed, and not taken on by a token that is over too',
    { at: ENDS + TOLERANCE, record: {} },
    ended('expired', NOT_KEPT),
  ),
  row(
    'lapsed, and taken on by a token with a lifetime',
    { at: ENDS + TOLERANCE, token: { lifetime: DAY, expiresAt: BEGAN + DAY }, record: {} },
    live('lapsed', { expiresAt: BEGAN + DAY }),
  ),
  row(
    'a later exp extends the session',
    { token: { expiresAt: ENDS + HOUR }, record: {} },
    live('live', { expiresAt: ENDS + HOUR }),
  ),
  row(
    'an earlier exp does not shorten the session',
    { token: { expiresAt: ENDS - HOUR / 2 }, record: {} },
    live('live'),
  ),
  row(
    'a token older than the record moves the start back',
    { token: { beganAt: BEGAN - MINUTE }, record: {} },
    live('live', { startedAt: BEGAN - MINUTE }),
  ),
  row('a refreshed token does not move the start', { token: { beganAt: BEGAN + SECOND }, record: {} }, live('live')),
  row('by its first sighting: a later one does not move the start', { token: FIRST_SEEN, record: {} }, live('live')),
  row(
    'by its first sighting: an earlier one neither',
    { at: BEGAN - MINUTE, token: FIRST_SEEN, record: {} },
    live('live'),
  ),
  row('by its first sighting: begins now', { token: FIRST_SEEN }, live('new', { startedAt: BEGAN + MINUTE })),
  row(
    'by its first sighting: the lifetime counts from it',
    { at: ENDS, token: { ...FIRST_SEEN, lifetime: HOUR, expiresAt: null } },
    live('new', { startedAt: ENDS, expiresAt: ENDS + HOUR }),
  ),
  row(
    'by its first sighting: the lifetime is over',
    { at: LIFETIME_ENDS, token: { ...FIRST_SEEN, lifetime: HOUR, expiresAt: null }, record: OF_LIFETIME },
    ended('expired'),
  ),
  row(
    'without exp the session ends at the last moment',
    { token: { expiresAt: null } },
    live('new', { expiresAt: LAST_MOMENT }),
  ),
  row(
    'an exp after the last moment is the last moment',
    { token: { expiresAt: 2 * LAST_MOMENT } },
    live('new', { expiresAt: LAST_MOMENT }),
  ),
  row('without exp the token ends with the lifetime', { token: { expiresAt: null, lifetime: HOUR } }, live('new')),
  row(
    'everything at zero',
    { at: 0, token: { beganAt: 0, expiresAt: 0 } },
    live('new', { startedAt: 0, expiresAt: 0 }),
  ),
  row(
    'a session from before 1970',
    { at: -MINUTE, token: { beganAt: -HOUR, expiresAt: 0 } },
    live('new', { startedAt: -HOUR, expiresAt: 0 }),
  ),
  row(
    'an iat at the last moment',
    { token: { beganAt: LAST_MOMENT, expiresAt: LAST_MOMENT } },
    live('new', { startedAt: LAST_MOMENT, expiresAt: LAST_MOMENT }),
  ),
];

/** The provider ends the session at this time at the latest: `session_expiry`. */
const SESSION_ENDS = BEGAN + 30 * MINUTE;
const EXPIRY = { sessionEndsAt: SESSION_ENDS } as const;
const OF_EXPIRY = { endsAt: SESSION_ENDS } as const;
const EXPIRED_AT = SESSION_ENDS + TOLERANCE;

const SESSION_EXPIRY: readonly VerdictRow[] = [
  row('session_expiry: never seen', { token: EXPIRY }, live('new', { ...OF_EXPIRY, expiresAt: SESSION_ENDS })),
  row(
    'session_expiry: in its last moment',
    { at: EXPIRED_AT - 1, token: EXPIRY, record: OF_EXPIRY },
    live('live', { ...OF_EXPIRY, expiresAt: SESSION_ENDS }),
  ),
  row('session_expiry: never seen, and over', { at: EXPIRED_AT, token: EXPIRY }, ended('expired', NOT_KEPT)),
  row('session_expiry: over', { at: EXPIRED_AT, token: EXPIRY, record: OF_EXPIRY }, ended('expired')),
  row('session_expiry: over, with a token that has none', { at: EXPIRED_AT, record: OF_EXPIRY }, ended('expired')),
  row(
    'session_expiry: a refreshed token with a later one does not help',
    { at: EXPIRED_AT, token: { sessionEndsAt: ENDS }, record: OF_EXPIRY },
    ended('expired'),
  ),
  row(
    'session_expiry: a later one does not move it',
    { token: { sessionEndsAt: ENDS }, record: OF_EXPIRY },
    live('live', { ...OF_EXPIRY, expiresAt: SESSION_ENDS }),
  ),
  row(
    'session_expiry: an earlier one moves it',
    { token: { sessionEndsAt: SESSION_ENDS - SECOND }, record: OF_EXPIRY },
    live('live', { endsAt: SESSION_ENDS - SECOND, expiresAt: SESSION_ENDS - SECOND }),
  ),
  row(
    'session_expiry: a token shows that it is over',
    { token: { sessionEndsAt: BEGAN }, record: {} },
    ended('expired', WAS_LIVE),
  ),
  row(
    'session_expiry: before the end of the lifetime',
    { token: { ...LIFETIME, ...EXPIRY }, record: OF_LIFETIME },
    live('live', { ...OF_EXPIRY, expiresAt: SESSION_ENDS }),
  ),
  row(
    'session_expiry: after the end of the lifetime',
    { token: { ...LIFETIME, sessionEndsAt: BEGAN + DAY }, record: OF_LIFETIME },
    live('live', { endsAt: BEGAN + DAY }),
  ),
  row('session_expiry: idle before', { at: IDLE_AT, policy: IDLE, token: EXPIRY, record: OF_EXPIRY }, ended('idle')),
];

/** Asleep for longer than a row is kept, and then a refreshed token. */
const AWAKE = ENDS + 3 * DAY;
const REFRESHED = { beganAt: AWAKE, expiresAt: AWAKE + HOUR } as const;
const LONG = { tombstoneFor: 30 * DAY } as const;

const STUBS: readonly VerdictRow[] = [
  row(
    'asleep for a day, to the moment',
    { at: ENDS + DAY, policy: LONG, token: REFRESHED, record: {} },
    live('lapsed', { expiresAt: AWAKE + HOUR }),
  ),
  row(
    'asleep for more than a day: a new row of the same session',
    { at: ENDS + DAY + 1, policy: LONG, token: REFRESHED, record: {} },
    live('stub', { expiresAt: AWAKE + HOUR }),
  ),
  row(
    'asleep, and tombstoneFor is shorter than a day: a new session',
    { at: ENDS + HOUR + 1, policy: { tombstoneFor: HOUR }, token: REFRESHED, record: {} },
    live('new', { startedAt: AWAKE, expiresAt: AWAKE + HOUR }),
  ),
  row(
    'asleep until the last moment of tombstoneFor',
    { at: ENDS + 30 * DAY, policy: LONG, token: { beganAt: AWAKE, expiresAt: ENDS + 31 * DAY }, record: {} },
    live('stub', { expiresAt: ENDS + 31 * DAY }),
  ),
  row(
    'asleep for longer than tombstoneFor: a new session',
    { at: ENDS + 30 * DAY + 1, policy: LONG, token: { beganAt: AWAKE, expiresAt: ENDS + 31 * DAY }, record: {} },
    live('new', { startedAt: AWAKE, expiresAt: ENDS + 31 * DAY }),
  ),
  row(
    'asleep, and meanwhile a cutoff',
    { at: AWAKE, policy: LONG, token: REFRESHED, record: {}, cutoff: { at: ENDS + 2 * DAY } },
    ended('cutoff'),
  ),
  row(
    'asleep, and meanwhile a cutoff of all users',
    { at: AWAKE, policy: LONG, token: REFRESHED, record: {}, globalCutoff: { at: ENDS + 2 * DAY } },
    ended('global cutoff'),
  ),
  row(
    'asleep for longer than the idle timeout',
    { at: AWAKE, policy: { ...LONG, idleTimeout: 2 * DAY }, token: REFRESHED, record: {} },
    ended('idle'),
  ),
  row(
    'asleep for less than the idle timeout',
    { at: AWAKE, policy: { ...LONG, idleTimeout: 30 * DAY }, token: REFRESHED, record: {} },
    live('stub', { expiresAt: AWAKE + HOUR }),
  ),
  row(
    'asleep beyond its lifetime',
    { at: AWAKE, policy: LONG, token: { ...REFRESHED, lifetime: 2 * DAY }, record: {} },
    ended('expired'),
  ),
  row(
    'asleep beyond session_expiry',
    { at: AWAKE, policy: LONG, token: REFRESHED, record: OF_EXPIRY },
    ended('expired'),
  ),
];

const TOMBSTONES: readonly VerdictRow[] = [
  row('a tombstone ends a session with a good token', { tombstone: {} }, ended('tombstone', { until: ENDS + DAY })),
  row(
    'a later exp extends the tombstone, by tombstoneFor more than it needs',
    { token: { expiresAt: ENDS + 1 }, tombstone: {} },
    ended('tombstone', { until: ENDS + 1 + 2 * DAY }),
  ),
  row(
    'an earlier exp does not shorten the tombstone',
    { token: { expiresAt: ENDS - 1 }, tombstone: {} },
    ended('tombstone', { until: ENDS + DAY }),
  ),
  row(
    'a tolerance longer than tombstoneFor extends the tombstone',
    { policy: { clockTolerance: 2 * DAY }, tombstone: {} },
    ended('tombstone', { until: ENDS + 3 * DAY }),
  ),
  row(
    'without exp the tombstone stands until the last moment',
    { token: { expiresAt: null }, tombstone: {} },
    ended('tombstone', { until: LAST_MOMENT }),
  ),
  row(
    'an iat after the ending does not matter',
    { token: { beganAt: BEGAN + HOUR / 2 }, tombstone: {} },
    ended('tombstone'),
  ),
  row(
    'a tombstone in its last moment',
    { at: BEGAN + DAY, token: { expiresAt: BEGAN }, tombstone: { until: BEGAN + DAY } },
    ended('tombstone', { until: BEGAN + DAY }),
  ),
  row(
    'a tombstone that is over is forgotten',
    {
      at: BEGAN + DAY,
      token: { beganAt: BEGAN + DAY, expiresAt: BEGAN + 2 * DAY },
      tombstone: { until: BEGAN + DAY - 1 },
    },
    live('new', { startedAt: BEGAN + DAY, expiresAt: BEGAN + 2 * DAY }),
  ),
  row(
    'a tombstone keeps its words when a cutoff ends the session too',
    { tombstone: {}, cutoff: {}, globalCutoff: {} },
    ended('tombstone'),
  ),
  row(
    'a cutoff that excepts the session does not lift the tombstone',
    { tombstone: {}, cutoff: { except: HANDLE } },
    ended('tombstone'),
  ),
];

const SURVIVED = { survivedCutoffAt: CUTOFF.at } as const;

const CUTOFFS: readonly VerdictRow[] = [
  row(
    'never seen, from long before the cutoff',
    { token: { beganAt: CUTOFF.at - TOLERANCE - 1 }, cutoff: {} },
    ended('cutoff'),
  ),
  row(
    'never seen, from before the cutoff, but clocks may disagree by as much',
    { token: { beganAt: CUTOFF.at - TOLERANCE }, cutoff: {} },
    ended('cutoff', NOT_KEPT),
  ),
  row(
    'never seen, from the second before the cutoff',
    { token: { beganAt: CUTOFF_SECOND - 1 }, cutoff: {} },
    ended('cutoff', NOT_KEPT),
  ),
  row(
    "never seen, from the start of the cutoff's own second",
    { token: { beganAt: CUTOFF_SECOND }, cutoff: {} },
    live('new', { startedAt: CUTOFF_SECOND, ...SURVIVED }),
  ),
  row(
    'never seen, from the moment of the cutoff',
    { token: { beganAt: CUTOFF.at }, cutoff: {} },
    live('new', { startedAt: CUTOFF.at, ...SURVIVED }),
  ),
  row(
    'never seen, from the second after the cutoff',
    { token: { beganAt: CUTOFF_SECOND + SECOND }, cutoff: {} },
    live('new', { startedAt: CUTOFF_SECOND + SECOND, ...SURVIVED }),
  ),
  row(
    'never seen, from the moment before a cutoff at a whole second',
    { token: { beganAt: CUTOFF_SECOND - 1 }, cutoff: { at: CUTOFF_SECOND } },
    ended('cutoff', NOT_KEPT),
  ),
  row(
    'never seen, from the moment of a cutoff at a whole second',
    { token: { beganAt: CUTOFF_SECOND }, cutoff: { at: CUTOFF_SECOND } },
    live('new', { startedAt: CUTOFF_SECOND, survivedCutoffAt: CUTOFF_SECOND }),
  ),
  row(
    'by its first sighting: never seen',
    { token: FIRST_SEEN, cutoff: {} },
    live('new', { startedAt: BEGAN + MINUTE, ...SURVIVED }),
  ),
  row(
    "by its first sighting: never seen, and the store's clock is ahead",
    { at: CUTOFF.at - MINUTE, token: FIRST_SEEN, cutoff: {} },
    live('new', { startedAt: CUTOFF.at, ...SURVIVED }),
  ),
  row('never seen and from before 1970', { token: { beganAt: -1 }, cutoff: {} }, ended('cutoff')),
  row('on record before the cutoff', { record: {}, cutoff: {} }, ended('cutoff')),
  row(
    'on record before the cutoff, with a later iat',
    { token: { beganAt: BEGAN + HOUR }, record: { startedAt: BEGAN + HOUR }, cutoff: {} },
    ended('cutoff'),
  ),
  row(
    'by its first sighting: on record before the cutoff',
    { token: FIRST_SEEN, record: {}, cutoff: {} },
    ended('cutoff'),
  ),
  row(
    'on record before the cutoff, lapsed, and then a refreshed token',
    {
      at: BEGAN + 2 * HOUR,
      token: { beganAt: BEGAN + 2 * HOUR, expiresAt: BEGAN + DAY },
      record: {},
      cutoff: { at: BEGAN + HOUR + MINUTE },
    },
    ended('cutoff'),
  ),
  row(
    'on record since the cutoff, from its own second',
    {
      token: { beganAt: CUTOFF_SECOND },
      record: { startedAt: CUTOFF_SECOND, lastSeenAt: CUTOFF.at, ...SURVIVED },
      cutoff: {},
    },
    live('live', { startedAt: CUTOFF_SECOND, ...SURVIVED }),
  ),
  row(
    'on record since the cutoff, and an older token shows that it began before',
    {
      token: { beganAt: CUTOFF_SECOND - 1 },
      record: { startedAt: CUTOFF_SECOND, lastSeenAt: CUTOFF.at, ...SURVIVED },
      cutoff: {},
    },
    ended('cutoff', WAS_LIVE),
  ),
  row(
    'on record since the cutoff, and a token without iat',
    { token: { beganAt: null }, record: { startedAt: CUTOFF_SECOND, lastSeenAt: CUTOFF.at, ...SURVIVED }, cutoff: {} },
    live('live', { startedAt: CUTOFF_SECOND, ...SURVIVED }),
  ),
  row(
    'on record under an earlier cutoff alone',
    {
      token: { beganAt: CUTOFF_SECOND },
      record: { startedAt: CUTOFF_SECOND, lastSeenAt: CUTOFF_SECOND, survivedCutoffAt: CUTOFF.at - 1 },
      cutoff: {},
    },
    ended('cutoff'),
  ),
  row(
    'the cutoff and the lifetime both ended it: the cutoff is named',
    { at: LIFETIME_ENDS, token: LIFETIME, record: OF_LIFETIME, cutoff: {} },
    ended('cutoff'),
  ),
];

const KNOWN = { startedAt: BEGAN, tokensEndAt: ENDS, endsAt: null, survivedCutoffAt: 0 };
/** An answer called it live, and it has been in use since. */
const IN_USE: KnownUse = { inUseSince: ALWAYS, known: KNOWN };
const REFUSED_SINCE = (inUseSince: number): KnownUse => ({ inUseSince, known: null });

const KNOWN_USES: readonly VerdictRow[] = [
  row(
    'in use: an old record does not make it idle',
    { at: IDLE_AT, policy: IDLE, record: {}, knownUse: IN_USE },
    live('idle'),
  ),
  row(
    'in use, and requests could not be answered since before it was idle',
    { at: IDLE_AT + HOUR / 4, policy: IDLE, record: {}, knownUse: REFUSED_SINCE(IDLE_AT - 1) },
    live('idle'),
  ),
  row(
    'in use, but requests could not be answered only since it was idle',
    { at: IDLE_AT + HOUR / 4, policy: IDLE, record: {}, knownUse: REFUSED_SINCE(IDLE_AT) },
    ended('idle'),
  ),
  row(
    'in use, but after a pause of the idle timeout',
    { at: IDLE_AT, policy: IDLE, record: {}, knownUse: { ...IN_USE, inUseSince: IDLE_AT } },
    ended('idle'),
  ),
  row('in use: a tombstone ends it all the same', { tombstone: {}, knownUse: IN_USE }, ended('tombstone')),
  row(
    'in use: its lifetime is over all the same',
    { at: LIFETIME_ENDS, token: LIFETIME, record: OF_LIFETIME, knownUse: IN_USE },
    ended('expired'),
  ),
  row(
    'in use: an earlier start than the record has',
    { token: { beganAt: BEGAN + MINUTE }, record: { startedAt: BEGAN + SECOND }, knownUse: IN_USE },
    live('live'),
  ),
  row(
    'in use: the lifetime counts from an earlier start than the record has',
    {
      at: LIFETIME_ENDS,
      token: { ...LIFETIME, beganAt: ENDS },
      record: { ...OF_LIFETIME, startedAt: ENDS, lastSeenAt: ENDS },
      knownUse: IN_USE,
    },
    ended('expired', WAS_LIVE),
  ),
  row(
    'in use, and the record is lost: it keeps its start',
    { token: { beganAt: BEGAN + SECOND }, knownUse: IN_USE },
    live('new'),
  ),
  row(
    'in use, and the record is lost: its lifetime is over',
    { at: LIFETIME_ENDS, token: { ...LIFETIME, beganAt: ENDS }, knownUse: IN_USE },
    ended('expired'),
  ),
  row(
    'in use, and the record is lost: it keeps session_expiry',
    { knownUse: { ...IN_USE, known: { ...KNOWN, endsAt: SESSION_ENDS } } },
    live('new', { endsAt: SESSION_ENDS, expiresAt: SESSION_ENDS }),
  ),
  row(
    'in use, and session_expiry is over',
    { at: EXPIRED_AT, record: {}, knownUse: { ...IN_USE, known: { ...KNOWN, endsAt: SESSION_ENDS } } },
    ended('expired', WAS_LIVE),
  ),
  row(
    'in use: tokens that end later than those of the record',
    {
      at: ENDS + TOLERANCE,
      record: {},
      token: { expiresAt: ENDS + HOUR },
      knownUse: { ...IN_USE, known: { ...KNOWN, tokensEndAt: ENDS + HOUR } },
    },
    live('lapsed', { expiresAt: ENDS + HOUR }),
  ),
  row(
    'in use, the record is lost, and it survived the cutoff in its own second',
    {
      token: { beganAt: CUTOFF_SECOND },
      cutoff: {},
      knownUse: { ...IN_USE, known: { ...KNOWN, startedAt: CUTOFF_SECOND, survivedCutoffAt: CUTOFF.at } },
    },
    live('new', { startedAt: CUTOFF_SECOND, survivedCutoffAt: CUTOFF.at }),
  ),
  row(
    'in use, the record is lost, and it was live before the cutoff in its own second',
    {
      token: { beganAt: CUTOFF_SECOND },
      cutoff: {},
      knownUse: { ...IN_USE, known: { ...KNOWN, startedAt: CUTOFF_SECOND } },
    },
    ended('cutoff'),
  ),
];

const EXCEPTED = { except: HANDLE } as const;
const SPARED = { except: HANDLE, priorCutoffAt: PRIOR_AT } as const;

const EXCEPTIONS: readonly VerdictRow[] = [
  row('excepted and never seen', { cutoff: EXCEPTED }, live('new', SURVIVED)),
  row(
    'by its first sighting: excepted and never seen',
    { token: FIRST_SEEN, cutoff: EXCEPTED },
    live('new', { startedAt: BEGAN + MINUTE, ...SURVIVED }),
  ),
  row('excepted and on record before the cutoff', { record: {}, cutoff: EXCEPTED }, live('live', SURVIVED)),
  row('another session is excepted', { record: {}, cutoff: { except: 'another-session-------' } }, ended('cutoff')),
  row(
    'excepted, and from the second before the prior cutoff',
    { token: { beganAt: PRIOR_SECOND - 1 }, cutoff: SPARED },
    ended('cutoff'),
  ),
  row(
    "excepted, and from the prior cutoff's own second",
    { token: { beganAt: PRIOR_SECOND }, cutoff: SPARED },
    live('new', { startedAt: PRIOR_SECOND, ...SURVIVED }),
  ),
  row(
    'excepted, by its first sighting: never seen',
    { token: FIRST_SEEN, cutoff: SPARED },
    live('new', { startedAt: BEGAN + MINUTE, ...SURVIVED }),
  ),
  row(
    'excepted, and on record before the prior cutoff',
    { token: { beganAt: BEGAN + HOUR }, record: { startedAt: BEGAN + HOUR }, cutoff: SPARED },
    ended('cutoff'),
  ),
  row(
    'excepted, and on record since the prior cutoff',
    {
      token: { beganAt: PRIOR_SECOND },
      record: { startedAt: PRIOR_SECOND, lastSeenAt: PRIOR_AT, survivedCutoffAt: PRIOR_AT },
      cutoff: SPARED,
    },
    live('live', { startedAt: PRIOR_SECOND, ...SURVIVED }),
  ),
  row(
    'excepted, by its first sighting: on record before the prior cutoff',
    { token: FIRST_SEEN, record: {}, cutoff: SPARED },
    ended('cutoff'),
  ),
];

const RESTORED = { isRestored: true } as const;
const SPARED_BY_RESTORED = { ...SPARED, isPriorRestored: true } as const;

const RESTORED_CUTOFFS: readonly VerdictRow[] = [
  row(
    'restored: on record, from the second after',
    {
      token: { beganAt: CUTOFF_SECOND + SECOND },
      record: { startedAt: CUTOFF_SECOND + SECOND, lastSeenAt: CUTOFF_SECOND + SECOND },
      cutoff: RESTORED,
    },
    live('live', { startedAt: CUTOFF_SECOND + SECOND, ...SURVIVED }),
  ),
  row(
    'restored: on record, from its own second',
    {
      token: { beganAt: CUTOFF_SECOND + SECOND - 1 },
      record: { startedAt: CUTOFF_SECOND + SECOND - 1, lastSeenAt: CUTOFF_SECOND + SECOND },
      cutoff: RESTORED,
    },
    live('live', { startedAt: CUTOFF_SECOND + SECOND - 1, ...SURVIVED }),
  ),
  row('restored: on record, from the second before', { record: {}, cutoff: RESTORED }, ended('cutoff')),
  row(
    'restored, by its first sighting: on record from the second before',
    { token: FIRST_SEEN, record: {}, cutoff: RESTORED },
    ended('cutoff'),
  ),
  row(
    'restored, by its first sighting: on record from the second after',
    {
      token: FIRST_SEEN,
      record: { startedAt: CUTOFF_SECOND + SECOND, lastSeenAt: CUTOFF_SECOND + SECOND },
      cutoff: RESTORED,
    },
    live('live', { startedAt: CUTOFF_SECOND + SECOND, ...SURVIVED }),
  ),
  row(
    'restored: on record from before, and the token shows a later start',
    { token: { beganAt: BEGAN + MINUTE }, record: {}, cutoff: RESTORED },
    ended('cutoff'),
  ),
  row(
    'restored: never seen, from its own second',
    { token: { beganAt: CUTOFF_SECOND }, cutoff: RESTORED },
    live('new', { startedAt: CUTOFF_SECOND, ...SURVIVED }),
  ),
  row(
    'restored: never seen, from the second before',
    { token: { beganAt: CUTOFF_SECOND - 1 }, cutoff: RESTORED },
    ended('cutoff', NOT_KEPT),
  ),
  row(
    'restored: on record since then, from its own second',
    {
      token: { beganAt: CUTOFF_SECOND },
      record: { startedAt: CUTOFF_SECOND, lastSeenAt: CUTOFF.at, ...SURVIVED },
      cutoff: RESTORED,
    },
    live('live', { startedAt: CUTOFF_SECOND, ...SURVIVED }),
  ),
  row('restored: excepted and on record', { record: {}, cutoff: { ...RESTORED, ...EXCEPTED } }, live('live', SURVIVED)),
  row(
    'restored, then excepted from the next: on record, from the second after',
    {
      token: { beganAt: PRIOR_SECOND + SECOND },
      record: { startedAt: PRIOR_SECOND + SECOND, lastSeenAt: PRIOR_SECOND + SECOND },
      cutoff: SPARED_BY_RESTORED,
    },
    live('live', { startedAt: PRIOR_SECOND + SECOND, ...SURVIVED }),
  ),
  row(
    'restored, then excepted from the next: on record, from its own second',
    {
      token: { beganAt: PRIOR_SECOND },
      record: { startedAt: PRIOR_SECOND, lastSeenAt: PRIOR_SECOND },
      cutoff: SPARED_BY_RESTORED,
    },
    live('live', { startedAt: PRIOR_SECOND, ...SURVIVED }),
  ),
  row(
    'restored, then excepted from the next, by its first sighting: on record from before',
    { token: FIRST_SEEN, record: {}, cutoff: SPARED_BY_RESTORED },
    ended('cutoff'),
  ),
  row(
    'restored, then excepted from the next: never seen, from its own second',
    { token: { beganAt: PRIOR_SECOND }, cutoff: SPARED_BY_RESTORED },
    live('new', { startedAt: PRIOR_SECOND, ...SURVIVED }),
  ),
];

const BACKDATED = { isBackdated: true } as const;
const SPARED_BY_BACKDATED = { ...SPARED, isPriorBackdated: true } as const;

const BACKDATED_CUTOFFS: readonly VerdictRow[] = [
  row(
    'backdated: on record, from the second after',
    {
      token: { beganAt: CUTOFF_SECOND + SECOND },
      record: { startedAt: CUTOFF_SECOND + SECOND, lastSeenAt: CUTOFF_SECOND + SECOND },
      cutoff: BACKDATED,
    },
    live('live', { startedAt: CUTOFF_SECOND + SECOND, ...SURVIVED }),
  ),
  row(
    'backdated: on record, from its own second',
    {
      token: { beganAt: CUTOFF_SECOND + SECOND - 1 },
      record: { startedAt: CUTOFF_SECOND + SECOND - 1, lastSeenAt: CUTOFF_SECOND + SECOND },
      cutoff: BACKDATED,
    },
    ended('cutoff'),
  ),
  row('backdated: on record, from the second before', { record: {}, cutoff: BACKDATED }, ended('cutoff')),
  row(
    'backdated, by its first sighting: on record from the second before',
    { token: FIRST_SEEN, record: {}, cutoff: BACKDATED },
    ended('cutoff'),
  ),
  row(
    'backdated, by its first sighting: on record from the second after',
    {
      token: FIRST_SEEN,
      record: { startedAt: CUTOFF_SECOND + SECOND, lastSeenAt: CUTOFF_SECOND + SECOND },
      cutoff: BACKDATED,
    },
    live('live', { startedAt: CUTOFF_SECOND + SECOND, ...SURVIVED }),
  ),
  row(
    'backdated: an older token shows that it began before',
    {
      record: { startedAt: CUTOFF_SECOND + SECOND, lastSeenAt: CUTOFF_SECOND + SECOND },
      cutoff: BACKDATED,
    },
    ended('cutoff', WAS_LIVE),
  ),
  row(
    'backdated: on record from before, and the token shows a later start',
    { token: { beganAt: BEGAN + MINUTE }, record: {}, cutoff: BACKDATED },
    ended('cutoff'),
  ),
  row(
    'backdated: never seen, from its own second',
    { token: { beganAt: CUTOFF_SECOND }, cutoff: BACKDATED },
    live('new', { startedAt: CUTOFF_SECOND, ...SURVIVED }),
  ),
  row(
    'backdated: never seen, from the second before',
    { token: { beganAt: CUTOFF_SECOND - 1 }, cutoff: BACKDATED },
    ended('cutoff', NOT_KEPT),
  ),
  row(
    'backdated: on record since then, from its own second',
    {
      token: { beganAt: CUTOFF_SECOND },
      record: { startedAt: CUTOFF_SECOND, lastSeenAt: CUTOFF.at, ...SURVIVED },
      cutoff: BACKDATED,
    },
    live('live', { startedAt: CUTOFF_SECOND, ...SURVIVED }),
  ),
  row(
    'backdated, then excepted from the next: on record, from the second after',
    {
      token: { beganAt: PRIOR_SECOND + SECOND },
      record: { startedAt: PRIOR_SECOND + SECOND, lastSeenAt: PRIOR_SECOND + SECOND },
      cutoff: SPARED_BY_BACKDATED,
    },
    live('live', { startedAt: PRIOR_SECOND + SECOND, ...SURVIVED }),
  ),
  row(
    'backdated, then excepted from the next: on record, from its own second',
    {
      token: { beganAt: PRIOR_SECOND },
      record: { startedAt: PRIOR_SECOND, lastSeenAt: PRIOR_SECOND },
      cutoff: SPARED_BY_BACKDATED,
    },
    ended('cutoff'),
  ),
  row(
    'backdated, then excepted from the next: never seen, from its own second',
    { token: { beganAt: PRIOR_SECOND }, cutoff: SPARED_BY_BACKDATED },
    live('new', { startedAt: PRIOR_SECOND, ...SURVIVED }),
  ),
];

const GLOBAL_EDGE = GLOBAL.at + TOLERANCE;

const GLOBAL_CUTOFFS: readonly VerdictRow[] = [
  row('all users: never seen and begun before', { globalCutoff: {} }, ended('global cutoff')),
  row('all users: on record and begun before', { record: {}, globalCutoff: {} }, ended('global cutoff')),
  row(
    'all users: begun as long after as clocks may disagree',
    { token: { beganAt: GLOBAL_EDGE }, globalCutoff: {} },
    ended('global cutoff'),
  ),
  row(
    'all users: begun a moment later than that',
    { token: { beganAt: GLOBAL_EDGE + 1 }, globalCutoff: {} },
    live('new', { startedAt: GLOBAL_EDGE + 1 }),
  ),
  row(
    'all users: on record and begun a moment later than that',
    { token: { beganAt: GLOBAL_EDGE + 1 }, record: { startedAt: GLOBAL_EDGE + 1 }, globalCutoff: {} },
    live('live', { startedAt: GLOBAL_EDGE + 1 }),
  ),
  row(
    'all users: begun at that moment, without clock tolerance',
    { policy: { clockTolerance: 0 }, token: { beganAt: GLOBAL.at }, globalCutoff: {} },
    ended('global cutoff'),
  ),
  row(
    'all users: begun a moment after, without clock tolerance',
    { policy: { clockTolerance: 0 }, token: { beganAt: GLOBAL.at + 1 }, globalCutoff: {} },
    live('new', { startedAt: GLOBAL.at + 1 }),
  ),
  row(
    'all users, by its first sighting: never seen, as long after as clocks may disagree',
    { at: GLOBAL_EDGE, token: FIRST_SEEN, globalCutoff: {} },
    ended('global cutoff'),
  ),
  row(
    'all users, by its first sighting: never seen, a moment later than that',
    { at: GLOBAL_EDGE + 1, token: FIRST_SEEN, globalCutoff: {} },
    live('new', { startedAt: GLOBAL_EDGE + 1 }),
  ),
  row(
    'all users, by its first sighting: on record',
    { token: FIRST_SEEN, record: {}, globalCutoff: {} },
    ended('global cutoff'),
  ),
  row(
    'all users: on record from before, and the token shows a later start',
    { token: { beganAt: BEGAN + MINUTE }, record: {}, globalCutoff: {} },
    ended('global cutoff'),
  ),
  row(
    'all users: an older token shows that it began before',
    { token: { beganAt: GLOBAL_EDGE }, record: { startedAt: GLOBAL_EDGE + 1 }, globalCutoff: {} },
    ended('global cutoff', WAS_LIVE),
  ),
  row(
    "all users: an exception from the user's cutoff does not help",
    { record: {}, cutoff: EXCEPTED, globalCutoff: {} },
    ended('global cutoff'),
  ),
  row(
    'all users: lapsed, and then a refreshed token',
    {
      at: BEGAN + 2 * HOUR,
      token: { beganAt: BEGAN + 2 * HOUR, expiresAt: BEGAN + DAY },
      record: {},
      globalCutoff: {},
    },
    ended('global cutoff'),
  ),
  row(
    "all users: the user's cutoff ended it before, which is named",
    { record: {}, cutoff: {}, globalCutoff: {} },
    ended('cutoff'),
  ),
  row(
    "all users: the user's cutoff came later",
    { record: {}, cutoff: {}, globalCutoff: { at: CUTOFF.at - 1 } },
    ended('global cutoff'),
  ),
  row(
    "all users: never seen, and the user's cutoff ended it before, which is named",
    { cutoff: {}, globalCutoff: {} },
    ended('cutoff'),
  ),
  row(
    "all users: never seen, and the user's cutoff came later",
    { cutoff: {}, globalCutoff: { at: CUTOFF.at - 1 } },
    ended('global cutoff'),
  ),
];

const IS_STALE = { state: 'stale' } as const;
const OLD = { issuedAt: STALE_SECOND + 999 } as const;
const NEW = { issuedAt: STALE_SECOND + 1000 } as const;
const EVER_GOOD = { expiresAt: BEGAN + 60 * DAY } as const;

const STALE_TOKENS: readonly VerdictRow[] = [
  row('stale: issued in the last moment of the second', { token: OLD, record: {}, staleTokens: {} }, IS_STALE),
  row('stale: issued in the next second: good', { token: NEW, record: {}, staleTokens: {} }, live('live')),
  row('stale: issued long before', { token: { issuedAt: BEGAN }, record: {}, staleTokens: {} }, IS_STALE),
  row(
    'stale: without the time at which it was issued',
    { token: { issuedAt: null }, record: {}, staleTokens: {} },
    IS_STALE,
  ),
  row('stale: issued before 1970', { token: { issuedAt: -1500 }, record: {}, staleTokens: {} }, IS_STALE),
  row('stale: nobody asks, because the use was before', { record: {}, staleTokens: {} }, live('live')),
  row('stale: without clock tolerance', { token: { issuedAt: STALE_SECOND + 1000 }, staleTokens: {} }, live('new')),
  row('stale: of a session that was never seen', { token: OLD, staleTokens: {} }, IS_STALE),
  row('stale: never seen, and without the time', { token: { issuedAt: null }, staleTokens: {} }, IS_STALE),
  row(
    'stale: it takes no lapsed session on',
    { at: BEGAN + 2 * HOUR, token: { ...OLD, ...EVER_GOOD }, record: {}, staleTokens: {} },
    IS_STALE,
  ),
  row(
    'stale: a good token takes a lapsed session on',
    { at: BEGAN + 2 * HOUR, token: { ...NEW, ...EVER_GOOD }, record: {}, staleTokens: {} },
    live('lapsed', { expiresAt: BEGAN + 60 * DAY }),
  ),
  row(
    'stale: it ends no idle session',
    { at: IDLE_AT, policy: IDLE, token: OLD, record: {}, staleTokens: {} },
    IS_STALE,
  ),
  row(
    'stale: a good token ends an idle session as ever',
    { at: IDLE_AT, policy: IDLE, token: NEW, record: {}, staleTokens: {} },
    ended('idle'),
  ),
  row(
    'stale: it shows nothing of a lifetime',
    { token: { ...LIFETIME, ...OLD, beganAt: BEGAN - HOUR }, record: OF_LIFETIME, staleTokens: {} },
    IS_STALE,
  ),
  row('stale: a tombstone says more', { token: OLD, tombstone: {}, staleTokens: {} }, ended('tombstone')),
  row(
    'stale: a tombstone that has run out does not',
    { at: ENDS + DAY + 1, token: { ...OLD, ...EVER_GOOD }, tombstone: {}, staleTokens: { until: BEGAN + 60 * DAY } },
    IS_STALE,
  ),
  row(
    'stale: a cutoff ends what was never seen, and writes nothing',
    { token: OLD, cutoff: {}, staleTokens: {} },
    IS_STALE,
  ),
  row('stale: a cutoff and a good token', { token: NEW, cutoff: {}, staleTokens: {} }, ended('cutoff')),
  row('stale: a global cutoff', { token: OLD, globalCutoff: {}, staleTokens: {} }, IS_STALE),
  row('stale: kept in its last moment', { token: OLD, record: {}, staleTokens: { until: BEGAN + MINUTE } }, IS_STALE),
  row(
    'stale: forgotten a moment later',
    { token: OLD, record: {}, staleTokens: { until: BEGAN + MINUTE - 1 } },
    live('live'),
  ),
];

export const VERDICTS: readonly VerdictRow[] = [
  ...LIFETIMES,
  ...IDLENESS,
  ...KNOWN_USES,
  ...TOKENS,
  ...SESSION_EXPIRY,
  ...STUBS,
  ...TOMBSTONES,
  ...CUTOFFS,
  ...EXCEPTIONS,
  ...RESTORED_CUTOFFS,
  ...BACKDATED_CUTOFFS,
  ...GLOBAL_CUTOFFS,
  ...STALE_TOKENS,
];
