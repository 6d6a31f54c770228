/** What a verifier asks for keys, and a set of keys at hand, wherever it came from. */

import { LoginError } from '../core/errors.js';
import type { VerificationKey } from './verification-key.js';

/** What the key is wanted for: the header of a token of which nothing is believed yet. */
export interface KeyRequest {
  readonly kid: string | undefined;
  readonly alg: string;
}

/** Where the keys of one issuer come from. */
export interface KeySource {
  /**
   * The keys that may verify a token with this header, never empty. Synchronous where the keys are at hand, so that
   * the hot path makes no promise. Throws, or rejects with, `LoginError`: `key_unknown`, `algorithm_refused`, `keys_unavailable`.
   */
  candidates(header: KeyRequest): readonly VerificationKey[] | Promise<readonly VerificationKey[]>;
  /** Whether this key is still in use: what it verified must be verified anew otherwise. Cheap: asked once per cached token and request. */
  holds(key: VerificationKey): boolean;
  /**
   * `ok`: tokens can be judged, as far as is known. `age` of the keys in milliseconds, `Infinity` before the first
   * came. `lastError` of the last fetch, null where that went well. Asking counts as a use: a fetch that is due begins.
   */
  health(): KeyHealth;
  /** Ends fetches. */
  close(): void;
}

export interface KeyHealth {
  readonly ok: boolean;
  readonly age: number;
  readonly lastError: Error | null;
}

/** A set of keys, in the order of their source. */
export class KeyRing {
  readonly all: readonly VerificationKey[];
  /** Those without a `kid`. */
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

  /** The key of this ring that is the same as `key` in all that counts, if there is one. */
  same(key: VerificationKey): VerificationKey | undefined {
    const namesakes = key.kid === undefined ? this.unnamed : this.named(key.kid);
    return namesakes?.find((known) => known.key.equals(key.key) && known.algorithms.join() === key.algorithms.join());
  }
}

/** Those of `keys` that serve `alg`, never none: throws `algorithm_refused` then. */
export function serving(keys: readonly VerificationKey[], alg: string): readonly VerificationKey[] {
  const fitting = keys.filter(({ algorithms }) => algorithms.some((algorithm) => algorithm === alg));
  if (fitting.length === 0) throw new LoginError('algorithm_refused', 'No key of the issuer serves this algorithm');
  return fitting;
}

export function keyUnknown(): LoginError {
  return new LoginError('key_unknown', 'The issuer has no such key');
}
