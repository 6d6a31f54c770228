/** What happens to sessions, tokens, keys and the store, for whoever listens. No event carries a token or a key. */

import type { LoginError, LoginErrorCode } from './errors.js';

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
  /**
   * This user was seen with such a client before: the same kind, name and system, within the last year and among the last
   * 20. False for a user's first session, and where the client tells nothing of itself.
   */
  readonly knownClient: boolean;
}

export interface SessionEnded {
  readonly user: EventUser;
  readonly handle: string;
  readonly at: Date;
  readonly cause: 'revoked' | 'expired' | 'idle';
  /** `signed_out`, `session_limit`, ... or what `revoke` was given. */
  readonly reason: string;
  /** Who ended it, as `revoke` was told; null where nobody was named. */
  readonly by: string | null;
  /** When the session would have ended by itself; null where that is not known. */
  readonly expiresAt: Date | null;
  /** True in the process that ended it: send mails from there, and they are sent once. */
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
}

/** A key of a set cannot be used; the others are. */
export interface KeySkipped {
  readonly issuer: string;
  /** Its place in the set, counted from 0: not every key has a `kid`. */
  readonly index: number;
  readonly kid: string | undefined;
  readonly why: string;
}

export interface SessionEvents {
  sessionStarted: SessionStarted;
  /** In every process, once each. */
  sessionEnded: SessionEnded;
  sessionMoved: SessionMoved;
  tokenRefused: TokenRefused;
  storeDown: { readonly error: Error };
  storeUp: { readonly downFor: number };
  keysDown: { readonly issuer: string; readonly error: Error };
  keysUp: { readonly issuer: string };
  keySkipped: KeySkipped;
  /** This process holds more ended sessions than it can remember: those that expire soonest were left to the store alone. */
  tombstonesDropped: { readonly count: number };
}

export type SessionEventName = keyof SessionEvents;
export type SessionEventListener<Name extends SessionEventName> = (event: SessionEvents[Name]) => unknown;
export type Emit = <Name extends SessionEventName>(name: Name, event: SessionEvents[Name]) => void;

/** Calls listeners in the order of their registration; what one throws or rejects with goes to `onListenerError` alone. */
export class EventHub {
  readonly #listeners = new Map<SessionEventName, ((event: never) => unknown)[]>();
  readonly #onListenerError: (name: SessionEventName, error: unknown) => void;

  constructor(onListenerError: (name: SessionEventName, error: unknown) => void) {
    this.#onListenerError = onListenerError;
  }

  /** Returns a function that takes the listener off again. */
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
        if (outcome instanceof Promise)
          outcome.catch((error: unknown) => {
            this.#onListenerError(name, error);
          });
      } catch (error) {
        this.#onListenerError(name, error);
      }
    }
  };

  /** Whether anybody listens: what is costly to tell need not be told otherwise. */
  has(name: SessionEventName): boolean {
    return (this.#listeners.get(name)?.length ?? 0) > 0;
  }
}
