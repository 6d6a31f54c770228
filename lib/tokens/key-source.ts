/** Where a verifier gets its keys, and a set of keys in memory. */

import { LoginError } from '../core/errors.js';
import type { PartHealth } from '../core/health.js';
import type { VerificationKey } from './verification-key.js';

/** What the key is needed for: the header of a token that is not verified yet. */
export interface KeyRequest {
  readonly kid: string | undefined;
  readonly alg: string;
}

/** Where the keys of one issuer come from. */
export interface KeySource {
  /**
   * The keys that may verify a token with this header, never empty. Synchronous if the keys are in memory, so that the
   * hot path creates no promise. Throws, or rejects with, `LoginError`: `key_unknown`, `algorithm_refused`, `keys_unavailable`.
   */
  candidates(header: KeyRequest): readonly VerificationKey[] | Promise<readonly VerificationKey[]>;
  /**
   * Whether this key is known to be in use; if not, what it verified must be verified again. Cheap: called for every
   * request. Calling this counts as a use: a fetch that is due begins. `now`: by the clock, if it was just read.
   */
  holds(key: VerificationKey, now?: number): boolean;
  /**
   * `ok`: tokens can be verified, as far as is known. `age` of the keys in milliseconds, `Infinity` before the first
   * fetch. `lastError` of the last fetch, null if it succeeded. Calling this counts as a use: a fetch that is due begins.
   */
  health(): PartHealth;
  /** Aborts fetches. */
  close(): void;
}

/** A key of a set that cannot be used; the others are used. */
export interface SkippedKey {
  /** Its position in the set, from 0, because not every key has a `kid`. */
  readonly index: number;
  readonly kid: string | undefined;
  /** Continues a sentence that begins with the key's name. */
  readonly why: string;
}

/** What happened to the keys of one issuer. */
export type KeyEvent =
  /** A fetch failed after one that succeeded. */
  | { readonly kind: 'down'; readonly error: Error }
  /** A fetch succeeded after one that failed. */
  | { readonly kind: 'up' }
  /** Reported once, not at every fetch. */
  | ({ readonly kind: 'skipped' } & SkippedKey);

/** A set of keys, in the order of their source. */
export class KeyRing {
  readonly all: readonly VerificationKey[];
  /** The keys without a `kid`. */
  readonly unnamed: readonly VerificationKey[];
  readonly #named = new Map<string, VerificationKey[]>();
  readonly #held: ReadonlySet<VerificationKey>;

  constructor(keys: readonly VerificationKey[]) {
    this.all = keys;
    this.unnamed = keys.filter((key) => key.kid === undefined);
    this.#held = new Set(keys);
    for (const key of keys) {
      if (key.kid !== undefined) this.#named.set(key.kid, [...(this.#named.get(key.kid) ?? []), key]);
    }
  }

  holds(key: VerificationKey): boolean {
    return this.#held.has(key);
  }

  named(kid: string): readonly VerificationKey[] | undefined {
    return this.#named.get(kid);
  }

  /** A ring of these keys. A key that stays is the same object, so that what it verified need not be verified again. */
  renewed(keys: readonly VerificationKey[]): KeyRing {
    return new KeyRing(keys.map((key) => this.same(key) ?? key));
  }

  /** The key of this ring with the same `kid`, material and algorithms, if there is one. */
  same(key: VerificationKey): VerificationKey | undefined {
    const namesakes = key.kid === undefined ? this.unnamed : this.named(key.kid);
    return namesakes?.find((known) => known.key.equals(key.key) && known.algorithms.join() === key.algorithms.join());
  }
}

/** The keys that can be used with `alg`. Throws `algorithm_refused` if there are none. */
export function serving(keys: readonly VerificationKey[], alg: string): readonly VerificationKey[] {
  const fitting = keys.filter(({ algorithms }) => algorithms.some((algorithm) => algorithm === alg));
  if (fitting.length === 0)
    throw new LoginError('algorithm_refused', 'No key of the issuer can be used with this algorithm');
  return fitting;
}

export function keyUnknown(): LoginError {
  return new LoginError('key_unknown', 'The issuer has no such key');
}

/** The `kid` of a key that may not be one. Empty counts as absent. */
export function kidOf(jwk: unknown): string | undefined {
  if (typeof jwk !== 'object' || jwk === null || !('kid' in jwk)) return undefined;
  return typeof jwk.kid === 'string' && jwk.kid !== '' ? jwk.kid : undefined;
}
