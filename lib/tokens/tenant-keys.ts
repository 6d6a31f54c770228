/** The keys of an issuer that may be evicted while requests wait for them. */

import type { PartHealth } from '../core/health.js';
import type { KeyRequest, KeySource } from './key-source.js';
import type { VerificationKey } from './verification-key.js';

/**
 * After {@link TenantKeys.retire}, they vouch for no token that was verified before, and are closed as soon as no request
 * waits for them. The first use is that of the requests for which the issuer was looked up: it ends with `release()`.
 */
export class TenantKeys implements KeySource {
  readonly #keys: KeySource;
  readonly #onClosed: () => void;
  #uses = 1;
  #isRetired = false;

  /** `onClosed` is called when they are closed after they were retired. */
  constructor(keys: KeySource, onClosed: (keys: TenantKeys) => void) {
    this.#keys = keys;
    this.#onClosed = () => onClosed(this);
  }

  candidates(header: KeyRequest): readonly VerificationKey[] | Promise<readonly VerificationKey[]> {
    const found = this.#keys.candidates(header);
    if (!(found instanceof Promise)) return found;
    this.#uses += 1;
    return found.finally(() => this.release());
  }

  holds(key: VerificationKey, now?: number): boolean {
    return !this.#isRetired && this.#keys.holds(key, now);
  }

  health(): PartHealth {
    return this.#keys.health();
  }

  release(): void {
    this.#uses -= 1;
    this.#closeIfUnused();
  }

  retire(): void {
    this.#isRetired = true;
    this.#closeIfUnused();
  }

  close(): void {
    this.#keys.close();
  }

  #closeIfUnused(): void {
    if (!this.#isRetired || this.#uses > 0) return;
    this.close();
    this.#onClosed();
  }
}
