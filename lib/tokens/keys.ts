import type { KeyObject } from 'node:crypto';

/** The JWS algorithms that are supported (RFC 7518, section 3.1). */
export type Algorithm =
  | 'HS256' | 'HS384' | 'HS512'
  | 'RS256' | 'RS384' | 'RS512'
  | 'PS256' | 'PS384' | 'PS512'
  | 'ES256' | 'ES384' | 'ES512';

/** A key that may verify tokens of one issuer. */
export interface VerificationKey {
  readonly key: KeyObject;
  readonly kid: string | undefined;
  /** Never empty; only algorithms that fit the key's type, its curve and its `alg`. */
  readonly algorithms: readonly Algorithm[];
}

/** Where the keys of one issuer come from. */
export interface KeySource {
  /**
   * The keys that may verify a token with this header, never empty. Synchronous where the keys are at hand, so that
   * the hot path makes no promise. Throws, or rejects with, `LoginError`: `key_unknown`, `algorithm_refused`, `keys_unavailable`.
   */
  candidates(header: { readonly kid: string | undefined; readonly alg: string }): readonly VerificationKey[] | Promise<readonly VerificationKey[]>;
  /** Whether this key is still in use: what it verified must be verified anew otherwise. Cheap: asked once per cached token and request. */
  holds(key: VerificationKey): boolean;
  health(): { readonly ok: boolean; readonly age: number; readonly lastError: Error | null };
  /** Ends timers and fetches. */
  close(): void;
}
