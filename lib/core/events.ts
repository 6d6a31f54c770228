/** Events about sessions, tokens, keys and the store. No event contains a token or a key. */

import { hint, kindOf, shownName } from './check.js';
import { diagnosisOf, type Diagnosis } from './diagnosis.js';
import type { LoginError, LoginErrorCode } from './errors.js';
import { pendingResult } from './hooks.js';

/** Whose session an event is about. */
export interface EventUser {
  /** The subject. */
  readonly id: string;
  readonly issuer: string;
}

export interface SessionStarted {
  readonly user: EventUser;
  readonly handle: string;
  readonly at: Date;
  readonly ip: string | null;
  readonly userAgent: string | null;
  /** The app of the token: `client_id`, or else `azp`. Null: none is named. */
  readonly app: string | null;
  /** Who acts for the user: `act.sub` (RFC 8693). Null: nobody else. */
  readonly actor: string | null;
  /**
   * Whether this user was seen with such a client before: the same kind, name and system, within the last year and among the
   * last 20. False for a user's first session, and if the client says nothing about itself.
   */
  readonly knownClient: boolean;
}

export interface SessionEnded {
  readonly user: EventUser;
  readonly handle: string;
  readonly at: Date;
  readonly cause: 'revoked' | 'expired' | 'idle';
  /** `signed_out`, `session_limit`, ... or the `reason` of `revoke`. */
  readonly reason: string;
  /** Who ended it: the `by` of `revoke`; null if nobody was named. */
  readonly by: string | null;
  /** When the session would have ended by itself; null if that is not known. */
  readonly expiresAt: Date | null;
  /** True only in the process whose store object wrote the ending: a mail that is sent from there is sent once. */
  readonly here: boolean;
}

export interface SessionMoved {
  readonly user: EventUser;
  readonly handle: string;
  readonly at: Date;
  readonly from: { readonly ip: string | null; readonly userAgent: string | null };
  readonly to: { readonly ip: string | null; readonly userAgent: string | null };
}

export interface TokenRefused {
  readonly code: LoginErrorCode;
  readonly error: LoginError;
  /** Which claim the token had and what was expected, if that is why it was refused. Never sent to the client. */
  readonly diagnosis?: Diagnosis;
}

/** The event for a refusal. */
export function tokenRefused(error: LoginError): TokenRefused {
  const diagnosis = diagnosisOf(error);
  return { code: error.code, error, ...(diagnosis !== undefined && { diagnosis }) };
}

/** A key of a set cannot be used; the others are used. */
export interface KeySkipped {
  readonly issuer: string;
  /** Its position in the set, from 0, because not every key has a `kid`. */
  readonly index: number;
  readonly kid: string | undefined;
  readonly why: string;
}

/**
 * A token names no session: none of the claims of the issuer's option `session` is in it. Each such token is a session of
 * its own, and a refreshed token brings an ended session back.
 */
export interface SessionUnnamed {
  readonly issuer: string;
  /** The names of the token's claims, without their values: the first 50, each cut after 64 characters. */
  readonly claims: readonly string[];
}

/** An event of a security event token that was accepted: see `securityEvents()`. */
export interface SecurityEvent {
  /** Who sent it: the `iss` of the token. */
  readonly issuer: string;
  /** A URI, cut after 300 characters. */
  readonly type: string;
  /** False if the event, or its subject, is not known: then nothing was ended. */
  readonly handled: boolean;
}

/** Something about the store makes revocations less safe than promised. Nothing is refused because of it. */
export type StoreUnsafe =
  | {
      /**
       * The clocks of the store and of this process (the option `clock`) differ by more than the smallest `clockTolerance` of
       * the issuers, or by more than a second if that is longer. If `issuer` is a function, the default of 5 seconds counts.
       */
      readonly problem: 'clock';
      /** In milliseconds. The clocks differ by at least this much. Positive: the store's clock is ahead. */
      readonly difference: number;
    }
  | {
      /** When its memory is full, Redis evicts what says that a session was ended, and the session comes back. */
      readonly problem: 'eviction';
      /** Its `maxmemory-policy`, which is not `noeviction`. In a Cluster, that of one of the masters. */
      readonly policy: string;
    };

export interface SessionEvents {
  sessionStarted: SessionStarted;
  /** Once in every process that knew the session. */
  sessionEnded: SessionEnded;
  sessionMoved: SessionMoved;
  tokenRefused: TokenRefused;
  storeDown: { readonly error: Error };
  storeUp: { readonly downFor: number };
  /**
   * Once for each change: again only after the clocks have certainly agreed, or the policy is another one. Never with
   * `memoryStore()`.
   */
  storeUnsafe: StoreUnsafe;
  keysDown: { readonly issuer: string; readonly error: Error };
  keysUp: { readonly issuer: string };
  keySkipped: KeySkipped;
  /** Once for each issuer. Not if its option `session` is `'jti'`. */
  sessionUnnamed: SessionUnnamed;
  /** Once for each event of a token, in the process that received it. */
  securityEvent: SecurityEvent;
  /** This process knows more ended sessions than it can remember: the store alone remembers those that expire soonest. */
  tombstonesDropped: { readonly count: number };
}

export type SessionEventName = keyof SessionEvents;
export type SessionEventListener<Name extends SessionEventName> = (event: SessionEvents[Name]) => unknown;
export type Emit = <Name extends SessionEventName>(name: Name, event: SessionEvents[Name]) => void;

/**
 * Calls listeners in the order of registration. What one throws or rejects with goes to `onListenerError`, nowhere else.
 * `onListenerError` must not throw.
 */
export class EventHub {
  readonly #listeners = new Map<SessionEventName, ((event: never) => unknown)[]>();
  readonly #onListenerError: (name: SessionEventName, error: unknown) => void;

  constructor(onListenerError: (name: SessionEventName, error: unknown) => void) {
    this.#onListenerError = onListenerError;
  }

  /** Returns a function that removes the listener. */
  on<Name extends SessionEventName>(name: Name, listener: SessionEventListener<Name>): () => void {
    const before = this.#listeners.get(name) ?? [];
    this.#listeners.set(name, [...before, listener]);
    return () => {
      const now = this.#listeners.get(name) ?? [];
      this.#listeners.set(
        name,
        now.filter((known) => known !== listener),
      );
    };
  }

  readonly emit: Emit = (name, event) => {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        const outcome = (listener as (event: unknown) => unknown)(event);
        pendingResult(outcome)?.catch((error: unknown) => this.#onListenerError(name, error));
      } catch (error) {
        this.#onListenerError(name, error);
      }
    }
  };
}

const EVENT_NAMES: Readonly<Record<SessionEventName, true>> = {
  sessionStarted: true,
  sessionEnded: true,
  sessionMoved: true,
  tokenRefused: true,
  storeDown: true,
  storeUp: true,
  storeUnsafe: true,
  keysDown: true,
  keysUp: true,
  keySkipped: true,
  sessionUnnamed: true,
  securityEvent: true,
  tombstonesDropped: true,
};

/** Throws a `TypeError` for an unknown event, and for a listener that is not a function. */
export function checkListener(event: unknown, listener: unknown): void {
  const names = Object.keys(EVENT_NAMES);
  if (typeof event !== 'string' || !names.includes(event)) {
    const [shown, typed] = typeof event === 'string' ? [shownName(event), event] : [`that is ${kindOf(event)}`, ''];
    throw new TypeError(`There is no event ${shown}: ${hint(typed, names)}`);
  }
  if (typeof listener !== 'function') {
    throw new TypeError(`The listener of ${event} must be a function, got ${kindOf(listener)}`);
  }
}
