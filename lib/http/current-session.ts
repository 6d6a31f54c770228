/** The session that a request belongs to, as `req.loginSession`. */

import type { Handles } from '../core/handles.js';
import type { LiveSession } from '../ledger/ledger.js';
import type { VerifiedToken } from '../tokens/verify.js';
import type { LoginSession } from './app-request.js';

/** What puts sessions on requests. */
export interface Issuing {
  readonly handles: Pick<Handles, 'shown'>;
}

/** `req.loginSession`. Whatever only this package may know is private, so that no log shows it. */
export class CurrentSession implements LoginSession {
  readonly #live: LiveSession;
  readonly #token: VerifiedToken;
  readonly #issuedBy: Issuing;
  readonly #fresh: boolean;
  readonly #method: string | undefined;

  /** `method` of the request that was checked for forgery, if there is one. */
  constructor(live: LiveSession, token: VerifiedToken, issuedBy: Issuing, fresh: boolean, method?: string) {
    this.#live = live;
    this.#token = token;
    this.#issuedBy = issuedBy;
    this.#fresh = fresh;
    this.#method = method;
  }

  get handle(): string {
    return this.#issuedBy.handles.shown(this.#live.handle);
  }

  get startedAt(): Date {
    return new Date(this.#live.startedAt);
  }

  get expiresAt(): Date {
    return new Date(this.#live.expiresAt);
  }

  get signal(): AbortSignal {
    return this.#live.signal;
  }

  toJSON(): Pick<LoginSession, 'handle' | 'startedAt' | 'expiresAt'> {
    return { handle: this.handle, startedAt: this.startedAt, expiresAt: this.expiresAt };
  }

  /** Undefined for a session that another authenticator put on the request. */
  static of(value: unknown, issuedBy: object): CurrentSession | undefined {
    return value instanceof CurrentSession && value.#issuedBy === issuedBy ? value : undefined;
  }

  /** Whether the request has had another method since: a GET may have become a DELETE, which another site may have sent. */
  static isForOther(session: CurrentSession, method: string | undefined): boolean {
    return session.#method !== undefined && session.#method !== method;
  }

  static tokenOf(session: CurrentSession): VerifiedToken {
    return session.#token;
  }

  static isFresh(session: CurrentSession): boolean {
    return session.#fresh;
  }
}
