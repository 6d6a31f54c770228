/**
 * Which tokens are stale: those that were issued before their user's claims were declared out of date. Such a token is
 * refused, but its session stays live. Pure. Every store follows these rules.
 */

import { LAST_MOMENT, type SessionPolicy } from './policy.js';
import type { TokenTimes } from './session.js';

/** Up to when a user's tokens are stale. */
export interface StaleTokens {
  /**
   * In milliseconds since 1970. Tokens that were issued in this second, or before, are stale, because tokens count whole
   * seconds. A later declaration for the same user has a greater one.
   */
  readonly at: number;
  /** Until when this is remembered, in milliseconds since 1970. */
  readonly until: number;
  readonly reason: string;
  readonly by: string | null;
}

/** Until when a declaration of this moment is remembered. */
export function staleUntil(at: number, { tombstoneFor }: Pick<SessionPolicy, 'tombstoneFor'>): number {
  return Math.min(at + tombstoneFor, LAST_MOMENT);
}

/** From this moment on, tokens are issued with the user's present claims. 0: all tokens are good. */
export function goodFrom(stale: StaleTokens | null): number {
  return stale === null ? 0 : (Math.floor(stale.at / 1000) + 1) * 1000;
}

/** Whether a token is stale, if those are good that were issued from this moment on. */
export function isIssuedBefore(moment: number, { issuedAt }: Pick<TokenTimes, 'issuedAt'>): boolean {
  if (moment === 0 || issuedAt === undefined) return false;
  return issuedAt === null || issuedAt < moment;
}

export function isStale(stale: StaleTokens | null, token: Pick<TokenTimes, 'issuedAt'>): boolean {
  return isIssuedBefore(goodFrom(stale), token);
}

/** Two declarations for one user as one. Neither moves the other back, or makes it forgotten earlier. */
export function laterStale(one: StaleTokens | null, other: StaleTokens | null): StaleTokens | null {
  if (one === null || other === null) return one ?? other;
  const later = one.at >= other.at ? one : other;
  const until = Math.max(one.until, other.until);
  return later.until === until ? later : { ...later, until };
}
