/** What this process knows of its sessions, and how fresh that is: between the middleware and the store. */

import type { SessionRecord, SessionUser, Sighting, TokenTimes } from '../core/session.js';
import type { ListCursor, SessionPage } from '../stores/store.js';
import type { VerifiedToken } from '../tokens/verify.js';

/** A session that this request may use. */
export interface LiveSession {
  readonly handle: string;
  readonly startedAt: number;
  readonly expiresAt: number;
  /** Fires when the session ends. */
  readonly signal: AbortSignal;
}

export interface Ledger {
  /**
   * The live session; throws, or rejects with, `LoginError` `session_revoked`, `session_expired`, `session_idle`,
   * `session_limit` or `store_unavailable`. Synchronous where the ledger knows. `fresh` asks the store whatever it knows.
   */
  judge(token: VerifiedToken, sighting: Sighting, fresh: boolean): LiveSession | Promise<LiveSession>;
  list(user: SessionUser, request: { readonly limit: number; readonly cursor: ListCursor | null }): Promise<SessionPage>;
  get(user: SessionUser, handle: string): Promise<SessionRecord | null>;
  label(user: SessionUser, handle: string, label: string | null): Promise<SessionRecord | null>;
  /** Resolves once the revocation is acknowledged; in force in this process from then at the latest. */
  revoke(
    user: SessionUser,
    request: { readonly handle: string; readonly reason: string; readonly by: string | null; readonly token?: TokenTimes },
  ): Promise<'ended' | 'already' | 'unknown'>;
  revokeAll(
    user: SessionUser,
    request: { readonly except: string | null; readonly reason: string; readonly by: string | null },
  ): Promise<{ readonly ended: number }>;
}
