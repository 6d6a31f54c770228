/** What is recorded of a run. All moments are milliseconds of the machine's monotonic clock, which its processes share. */

/** One process from its start to its end: a process that is started again is another life. */
export interface Life {
  readonly kind: 'life';
  readonly life: number;
  /** Which of the fleet's places it has. */
  readonly place: number;
  readonly from: number;
  /** Infinity: it lived to the end of the run. */
  to: number;
  /** When the schedule killed it; null: it did not. It may take a while to be gone. */
  killedAt: number | null;
  /** How it ended by itself. */
  crash: string | null;
}

export interface SessionInfo {
  readonly session: number;
  readonly user: number;
  readonly handle: string;
  /** When its first token was issued, and the second that the token tells: of the real clock. */
  readonly from: number;
  readonly iat: number;
}

export type Outcome =
  | { readonly kind: 'admitted' }
  /** The process judged it and refused. */
  | { readonly kind: 'refused'; readonly status: number; readonly code: string; readonly reason: string | null }
  /** Nothing that the package answers with, or no answer. */
  | { readonly kind: 'failed'; readonly what: string };

export interface RequestMade {
  readonly kind: 'request';
  readonly as: 'request' | 'fresh' | 'logout' | 'probe';
  readonly session: number;
  readonly user: number;
  readonly life: number;
  /** The second in which the token was issued. */
  readonly iat: number;
  readonly sentAt: number;
  readonly answeredAt: number;
  /** When the process judged it; the moment of the answer, if it told none. */
  readonly at: number;
  readonly outcome: Outcome;
}

export interface EndingCalled {
  readonly kind: 'ending';
  /** Its number is in its reason, so every refusal tells which call it comes from. */
  readonly op: number;
  readonly as: 'revoke' | 'revokeAll' | 'endEverywhere' | 'logout';
  readonly reason: string;
  /** Null for `endEverywhere`. */
  readonly user: number | null;
  /** The session to end, for `revoke` and `logout`. */
  readonly session: number | null;
  /** The session that stays, for `revokeAll`. */
  readonly except: number | null;
  readonly life: number;
  readonly sentAt: number;
  /** Null: it was not acknowledged. */
  readonly acknowledgedAt: number | null;
  /** The real clock's second at the acknowledgement, or when it failed. */
  readonly second: number;
  readonly error: string | null;
}

export interface EventHeard {
  readonly kind: 'event';
  readonly event: 'sessionStarted' | 'sessionEnded' | 'storeDown' | 'storeUp';
  readonly life: number;
  readonly at: number;
  readonly handle: string | null;
  readonly here: boolean | null;
  readonly reason: string | null;
}

/** What a list or a label told. */
export interface ListRead {
  readonly kind: 'list';
  readonly user: number;
  readonly life: number;
  readonly sentAt: number;
  readonly answeredAt: number;
  /** Null: it failed with `error`. `lastSeenAt` is by the real clock, in milliseconds since 1970. */
  readonly sessions: readonly { readonly handle: string; readonly lastSeenAt: number }[] | null;
  readonly error: string | null;
  /** After the fleet was quiet and healed. */
  readonly isFinal: boolean;
}

export type FaultKind =
  | 'cut'
  | 'refuse'
  | 'blackhole'
  | 'delay'
  | 'stop'
  | 'block'
  | 'kill'
  | 'redis-stop'
  | 'redis-restart'
  | 'flush'
  | 'trim'
  | 'memory-full'
  | 'failover'
  | 'redis-clock'
  | 'app-clock';

export interface Fault {
  readonly kind: 'fault';
  readonly fault: FaultKind;
  readonly from: number;
  to: number;
  /** The places between which and the store it stands; null: all. Empty: it does not. */
  readonly keepsFromStore: readonly number[] | null;
  /** Written after this moment, it may be lost: null if nothing is. */
  readonly keptUntil: number | null;
  /** How far a clock is ahead from now on, in milliseconds. */
  readonly ahead: number;
  readonly place: number | null;
}

/** A process, or the one that drives them (null), got no time on the machine, or its event loop was blocked. */
export interface Pause {
  readonly kind: 'pause';
  readonly life: number | null;
  readonly from: number;
  readonly to: number;
}

/** Every fault is healed by now; what follows are the last questions. */
export interface Healed {
  readonly kind: 'healed';
  readonly at: number;
}

export type Entry = Life | RequestMade | EndingCalled | EventHeard | ListRead | Fault | Pause | Healed;

/** The options of the run that matter to the rules, in milliseconds. */
export interface Settings {
  readonly processes: number;
  readonly revocationBound: number;
  readonly storeTimeout: number;
  readonly activityInterval: number;
  readonly idleTimeout: number | null;
  readonly clockTolerance: number;
  readonly maxSessionsPerUser: number;
  readonly atSessionLimit: 'end-oldest' | 'refuse';
  readonly whenStoreDown: 'refuse' | 'allow' | { readonly allowFor: number };
}

export interface History {
  readonly settings: Settings;
  readonly sessions: readonly SessionInfo[];
  readonly entries: readonly Entry[];
  /** The real clock's milliseconds since 1970 at the monotonic moment 0. */
  readonly epoch: number;
}
