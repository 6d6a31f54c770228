import type { SessionUser, TokenTimes } from '../core/session.js';

/** A token that passed every check. Frozen: it is shared by all requests that present it. */
export interface VerifiedToken {
  readonly user: SessionUser;
  /** Of the session that the token belongs to. */
  readonly handle: string;
  /** The whole payload, deeply frozen. */
  readonly claims: Readonly<Record<string, unknown>>;
  readonly profile: { readonly name?: string; readonly username?: string; readonly email?: string };
  readonly scopes: readonly string[];
  readonly times: TokenTimes;
  /** Index into the configured issuers. */
  readonly issuerIndex: number;
}

export interface Verifier {
  /**
   * The checked token. Synchronous where it is cached or the keys are at hand. Throws, or rejects with, `LoginError`.
   */
  verify(token: string): VerifiedToken | Promise<VerifiedToken>;
}
