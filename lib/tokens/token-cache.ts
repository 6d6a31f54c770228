/** Tokens that passed, so that they need not be verified again. */

import { LRUCache } from 'lru-cache';
import { ownCopy } from '../core/own-copy.js';
import type { KeySource } from './key-source.js';
import type { VerificationKey } from './verification-key.js';

export interface CacheBounds {
  /** Default 10,000. */
  readonly maxEntries?: number;
  /** Estimated memory. Default 32 MiB. */
  readonly maxBytes?: number;
  /** The longest time without verifying a token again, in milliseconds. Default one minute. */
  readonly maxAge?: number;
}

export interface CachedToken<Verified> {
  readonly text: string;
  readonly verified: Verified;
  /** The key that verified it, and the source in which that key must still be in use. */
  readonly key: VerificationKey;
  readonly keys: KeySource;
  readonly verifiedAt: number;
  /** From this time on, the token is refused, or verified again. */
  readonly until: number;
}

/**
 * Tokens that passed. They are looked up by the end of their signature, which is faster than by the whole token, and then
 * compared in full. Without a signing key, no sender can choose the cache key of an entry. Refusals are not cached.
 */
export class TokenCache<Verified> {
  readonly #entries: LRUCache<string, CachedToken<Verified>>;
  readonly #maxAge: number;

  constructor({ maxEntries = 10_000, maxBytes = 32 * 1024 * 1024, maxAge = 60_000 }: CacheBounds) {
    this.#entries = new LRUCache({
      max: maxEntries,
      maxSize: maxBytes,
      sizeCalculation: (entry) => estimatedBytes(entry.text),
    });
    this.#maxAge = maxAge;
  }

  /** The token while it is valid. The clock may have been set back. */
  find(text: string, now: number): CachedToken<Verified> | undefined {
    const key = cacheKey(text);
    const entry = this.#entries.get(key);
    if (entry?.text !== text) return undefined;
    if (entry.verifiedAt <= now && now < entry.until && entry.keys.holds(entry.key, now)) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  add(token: CachedToken<Verified>): void {
    // A token that was cut out of a header of many cookies would keep all of it in memory.
    const text = ownCopy(token.text);
    const until = Math.min(token.until, token.verifiedAt + this.#maxAge);
    this.#entries.set(cacheKey(text), { ...token, text, until });
  }
}

/** 12 characters of a signature are about 70 random bits: two tokens with the same key are rare, and then only slow. */
export function cacheKey(text: string): string {
  return text.slice(-12);
}

/** Measured, within a tenth: the string, the payload's objects and what is built around them. */
function estimatedBytes(text: string): number {
  return 1024 + 2 * text.length;
}
