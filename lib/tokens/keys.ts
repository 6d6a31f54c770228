/** The keys of an issuer, fetched from its JWKS endpoint. The only user of jwks-rsa. */

import { createPublicKey } from 'node:crypto';
import { JwksClient } from 'jwks-rsa';
import { LoginError } from '../core/errors.js';
import type { Health } from '../core/health.js';
import { discoverJwksUri, fetchJson, httpUrl } from './discovery.js';
import { KeyRing, keyUnknown, serving, type KeyRequest, type KeySource } from './key-source.js';
import { algorithmsOf, checkJwk, UnusableKey } from './verification-key.js';
import type { Algorithm, JwkMaterial, VerificationKey } from './verification-key.js';

/** What happened to the keys of one issuer. */
export type KeyEvent =
  /** A fetch failed after one that succeeded. */
  | { readonly kind: 'down'; readonly error: Error }
  /** A fetch succeeded after one that failed. */
  | { readonly kind: 'up' }
  /** A key of the set cannot be used; the others are used. Reported once, not at every fetch. */
  | { readonly kind: 'skipped'; readonly index: number; readonly kid: string | undefined; readonly why: string };

export interface JwksOptions {
  /** The endpoint, or the issuer whose discovery document names it (asked before each fetch). */
  readonly uri: string | { readonly discover: string };
  /** The set is fetched again, in the background, at the first use after three quarters of this. In milliseconds. */
  readonly keysMaxAge: number;
  /** How long the last good set is used while none can be fetched. In milliseconds. */
  readonly keysMaxStale: number;
  /** Default: what each key declares, or else RS256 for RSA and the curve's own for EC. */
  readonly algorithms?: readonly Algorithm[] | undefined;
  /** In milliseconds since 1970. */
  readonly clock: { now(): number };
  /** Must not throw. */
  readonly onEvent: (event: KeyEvent) => void;
  /** Longest fetch, discovery and body included, in milliseconds of real time. Default 5 s. */
  readonly fetchTimeout?: number;
}

/** The most keys that one token is tried with, if neither it nor the set tells them apart. */
const CANDIDATE_LIMIT = 16;

/** An unknown `kid` causes one fetch in this time, for all requests together. In milliseconds. */
const UNKNOWN_KID_COOLDOWN = 30_000;
/** After the first of several failures in a row; each further one doubles it. */
const FIRST_RETRY = 1_000;
const LAST_RETRY = 30_000;
/** Without a set, nobody gets in: the endpoint must be noticed soon after it is back. */
const LAST_RETRY_WITHOUT_KEYS = 5_000;

/**
 * The key set of an issuer, fetched when it is first needed.
 *
 * A known `kid` is never delayed. An unknown `kid` waits for at most one fetch per 30 s, shared by all requests; the
 * result is `key_unknown` if the fetched set lacks it, and `keys_unavailable` if the fetch failed. After a failed fetch,
 * the next is tried after 1 s, then 2 s, 4 s, ... up to 30 s (5 s if there is no set). A key without `kid` is used only for
 * tokens without one. Throws a `TypeError` for a `uri` that is not an http(s) URL, or has a user or password, and for an
 * algorithm that cannot be used with a public key.
 */
export function jwksKeys(options: JwksOptions, optionName = 'issuer'): KeySource {
  const { uri, algorithms } = options;
  const [urlName, url] = typeof uri === 'string' ? ['jwksUri', uri] : ['issuer', uri.discover];
  if (httpUrl(url) === undefined) {
    throw new TypeError(`${optionName}.${urlName} must be an absolute http(s) URL without user and password`);
  }
  const symmetric = algorithms?.find((algorithm) => algorithm.startsWith('HS'));
  if (symmetric !== undefined) {
    throw new TypeError(`${optionName}.algorithms has '${symmetric}', which cannot be used with a public key`);
  }
  return new RemoteKeys(options);
}

class RemoteKeys implements KeySource {
  readonly #options: JwksOptions;
  readonly #closing = new AbortController();
  readonly #sinceFetched: Stopwatch;
  readonly #sinceFailed: Stopwatch;
  readonly #sinceUnknown: Stopwatch;
  #ring = new KeyRing([]);
  #fetching: Promise<void> | undefined;
  #failures = 0;
  #lastError: Error | null = null;
  #skipped: ReadonlySet<string> = new Set();

  constructor(options: JwksOptions) {
    this.#options = options;
    this.#sinceFetched = new Stopwatch(options.clock);
    this.#sinceFailed = new Stopwatch(options.clock);
    this.#sinceUnknown = new Stopwatch(options.clock);
  }

  candidates(header: KeyRequest): readonly VerificationKey[] | Promise<readonly VerificationKey[]> {
    const age = this.#sinceFetched.elapsed();
    if (age >= this.#options.keysMaxStale) return this.#firstCandidates(header);
    this.#refreshIfDue(age);
    return this.#find(header) ?? this.#unknownCandidates(header);
  }

  holds(key: VerificationKey): boolean {
    return this.#ring.holds(key);
  }

  health(): Health {
    const age = this.#sinceFetched.elapsed();
    this.#refreshIfDue(age);
    return { ok: age < this.#options.keysMaxStale || this.#failures === 0, age, lastError: this.#lastError };
  }

  close(): void {
    this.#closing.abort();
  }

  /** Undefined if the set has no such key. */
  #find({ kid, alg }: KeyRequest): readonly VerificationKey[] | undefined {
    const found = kid === undefined ? this.#ring.all : this.#ring.named(kid);
    return found === undefined ? undefined : serving(found, alg).slice(0, CANDIDATE_LIMIT);
  }

  /** There is no set, or it is too old. */
  #firstCandidates(header: KeyRequest): Promise<readonly VerificationKey[]> {
    const wait = this.#retryIn();
    if (wait > 0) throw this.#unavailable(wait);
    return this.#candidatesAfterFetch(header);
  }

  #unknownCandidates(header: KeyRequest): Promise<readonly VerificationKey[]> {
    if (this.#fetching === undefined) {
      const wait = UNKNOWN_KID_COOLDOWN - this.#sinceUnknown.elapsed();
      if (wait > 0) throw this.#lastError === null ? keyUnknown() : this.#unavailable(wait);
      this.#sinceUnknown.restart();
    }
    return this.#candidatesAfterFetch(header);
  }

  async #candidatesAfterFetch(header: KeyRequest): Promise<readonly VerificationKey[]> {
    await this.#refresh();
    const isUsable = this.#sinceFetched.elapsed() < this.#options.keysMaxStale;
    const found = isUsable ? this.#find(header) : undefined;
    if (found !== undefined) return found;
    if (this.#lastError === null) throw keyUnknown();
    throw this.#unavailable(isUsable ? UNKNOWN_KID_COOLDOWN - this.#sinceUnknown.elapsed() : this.#retryIn());
  }

  #unavailable(wait: number): LoginError {
    return new LoginError('keys_unavailable', 'The keys of the issuer cannot be fetched', {
      retryAfter: wait / 1000,
      cause: this.#lastError,
    });
  }

  #refreshIfDue(age: number): void {
    if (age >= this.#options.keysMaxAge * 0.75 && this.#retryIn() <= 0) void this.#refresh();
  }

  /** In milliseconds; 0 or less means now. A fetch that is under way can be joined. */
  #retryIn(): number {
    if (this.#failures === 0 || this.#fetching !== undefined) return 0;
    const hasKeys = this.#sinceFetched.elapsed() < this.#options.keysMaxStale;
    const last = hasKeys ? LAST_RETRY : LAST_RETRY_WITHOUT_KEYS;
    return Math.min(FIRST_RETRY * 2 ** (this.#failures - 1), last) - this.#sinceFailed.elapsed();
  }

  /** One at a time. Never rejects: the result is in the fields. */
  #refresh(): Promise<void> {
    this.#fetching ??= this.#fetchAndReport().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #fetchAndReport(): Promise<void> {
    const { onEvent } = this.#options;
    try {
      this.#ring = await this.#fetchRing();
    } catch (error) {
      this.#lastError = error instanceof Error ? error : new Error('The keys cannot be fetched', { cause: error });
      this.#failures += 1;
      this.#sinceFailed.restart();
      if (this.#failures === 1 && !this.#closing.signal.aborted) onEvent({ kind: 'down', error: this.#lastError });
      return;
    }
    const wasDown = this.#failures > 0;
    this.#lastError = null;
    this.#failures = 0;
    this.#sinceFetched.restart();
    if (wasDown) onEvent({ kind: 'up' });
  }

  async #fetchRing(): Promise<KeyRing> {
    const { uri, algorithms, fetchTimeout = 5_000 } = this.#options;
    const signal = AbortSignal.any([AbortSignal.timeout(fetchTimeout), this.#closing.signal]);
    const url = typeof uri === 'string' ? new URL(uri) : await discoverJwksUri(uri.discover, signal);
    const set = await fetchSet(url, signal);
    const keys: VerificationKey[] = [];
    const skipped = new Set<string>();
    for (const [index, jwk] of set.entries()) {
      try {
        const key = await importKey(jwk, algorithms);
        // The same object as before, so that what it verified need not be verified again.
        keys.push(this.#ring.same(key) ?? key);
      } catch (error) {
        if (!(error instanceof UnusableKey)) throw error;
        skipped.add(this.#reportSkipped(index, kidOf(jwk), error.message));
      }
    }
    this.#skipped = skipped;
    if (keys.length === 0) throw new Error('The JWKS endpoint returned no usable key');
    return new KeyRing(keys);
  }

  #reportSkipped(index: number, kid: string | undefined, why: string): string {
    const id = JSON.stringify([kid ?? index, why]);
    if (!this.#skipped.has(id)) this.#options.onEvent({ kind: 'skipped', index, kid, why });
    return id;
  }
}

/** For a clock that may be set back: a start in the future counts as now. */
class Stopwatch {
  readonly #clock: { now(): number };
  #startedAt = -Infinity;

  constructor(clock: { now(): number }) {
    this.#clock = clock;
  }

  restart(): void {
    this.#startedAt = this.#clock.now();
  }

  /** Milliseconds since the last restart; `Infinity` before the first. */
  elapsed(): number {
    const now = this.#clock.now();
    this.#startedAt = Math.min(this.#startedAt, now);
    return now - this.#startedAt;
  }
}

/** Its cache and its rate limit are off: with the rate limit, one sender of unknown kids could lock everybody out. */
const NO_CACHE = { cache: false, rateLimit: false } as const;

async function fetchSet(url: URL, signal: AbortSignal): Promise<readonly unknown[]> {
  const client = new JwksClient({
    ...NO_CACHE,
    jwksUri: url.href,
    fetcher: async () => {
      const { keys } = await fetchJson(url, 'The JWKS endpoint', signal);
      return { keys };
    },
  });
  const keys = await client.getKeys();
  if (!isList(keys)) throw new Error('The JWKS endpoint did not return a list of keys');
  return keys;
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

async function importKey(jwk: unknown, algorithms: readonly Algorithm[] | undefined): Promise<VerificationKey> {
  const { material, kid, alg } = checkJwk(jwk);
  const key = createPublicKey(await parseKey(material));
  return Object.freeze({ key, kid, algorithms: algorithmsOf(key, alg, algorithms) });
}

/** One key at a time: for a set, jwks-rsa does not say which keys it leaves out, nor why. */
async function parseKey(material: JwkMaterial): Promise<string> {
  const client = new JwksClient({ ...NO_CACHE, fetcher: async () => ({ keys: [material] }) });
  const [parsed] = await client.getSigningKeys().catch(() => []);
  if (parsed === undefined) throw new UnusableKey('cannot be read as a public key');
  return parsed.getPublicKey();
}

function kidOf(jwk: unknown): string | undefined {
  if (typeof jwk !== 'object' || jwk === null || !('kid' in jwk)) return undefined;
  return typeof jwk.kid === 'string' ? jwk.kid : undefined;
}
