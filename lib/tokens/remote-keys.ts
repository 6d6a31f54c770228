/** When a key set is fetched, who waits for it, and how long an old one is used. */

import { LoginError } from '../core/errors.js';
import type { PartHealth } from '../core/health.js';
import { KeyRing, keyUnknown, serving } from './key-source.js';
import type { KeyEvent, KeyRequest, KeySource, SkippedKey } from './key-source.js';
import { Refresh, Stopwatch } from './refresh.js';
import type { VerificationKey } from './verification-key.js';

export interface KeySet {
  readonly keys: readonly VerificationKey[];
  readonly skipped: readonly SkippedKey[];
}

export interface RemoteKeysOptions {
  /** From three quarters of this on, the set is fetched again in the background; after it, requests wait. In milliseconds. */
  readonly keysMaxAge: number;
  /** How long the last good set is used while none can be fetched. In milliseconds. */
  readonly keysMaxStale: number;
  /** In milliseconds since 1970. */
  readonly clock: { now(): number };
  /** Must not throw. */
  readonly onEvent: (event: KeyEvent) => void;
  /** Longest fetch, discovery and body included, in milliseconds of real time. Default 5 s. */
  readonly fetchTimeout?: number;
}

/** The most keys that one token is tried with, if neither it nor the set tells them apart. */
const CANDIDATE_LIMIT = 4;

/** An unknown `kid` causes one fetch in this time, for all requests together. In milliseconds. */
const UNKNOWN_KID_COOLDOWN = 30_000;
const LAST_RETRY = 30_000;
/** Without a set, nobody gets in: the endpoint must be noticed soon after it is back. */
const LAST_RETRY_WITHOUT_KEYS = 5_000;

/**
 * - `usable`: the set is younger than `keysMaxAge`, or the fetch that was due has just failed.
 * - `overdue`: the set counts again only if the fetch that is under way fails.
 * - `none`: there is no set, or it is older than `keysMaxStale`.
 */
type State = 'usable' | 'overdue' | 'none';

export class RemoteKeys implements KeySource {
  readonly #options: RemoteKeysOptions;
  readonly #closing = new AbortController();
  readonly #refresh: Refresh;
  readonly #sinceUnknown: Stopwatch;
  #ring = new KeyRing([]);

  constructor(options: RemoteKeysOptions, fetchSet: (signal: AbortSignal) => Promise<KeySet>) {
    const { clock, onEvent, fetchTimeout = 5_000 } = options;
    const closing = this.#closing.signal;
    const reportSkipped = reportingOnce(onEvent);
    this.#options = options;
    this.#sinceUnknown = new Stopwatch(clock);
    this.#refresh = new Refresh({
      clock,
      work: async () => {
        const { keys, skipped } = await withinTime(fetchTimeout, closing, fetchSet);
        reportSkipped(skipped);
        if (keys.length === 0) throw new Error('The JWKS endpoint returned no usable key');
        this.#ring = this.#ring.renewed(keys);
      },
      onDown: (error) => {
        if (!closing.aborted) onEvent({ kind: 'down', error });
      },
      onUp: () => onEvent({ kind: 'up' }),
    });
  }

  candidates(header: KeyRequest): readonly VerificationKey[] | Promise<readonly VerificationKey[]> {
    switch (this.#state()) {
      case 'usable':
        return findIn(this.#ring, header) ?? this.#unknownCandidates(header);
      case 'overdue':
        return this.#candidatesAfterFetch(header);
      case 'none': {
        const wait = this.#refresh.retryIn(LAST_RETRY_WITHOUT_KEYS);
        if (wait > 0 && !this.#refresh.isRunning) throw this.#unavailable(wait);
        return this.#candidatesAfterFetch(header);
      }
    }
  }

  holds(key: VerificationKey, now?: number): boolean {
    return this.#ring.holds(key) && this.#state(now) === 'usable';
  }

  health(): PartHealth {
    const age = this.#refresh.age();
    const { lastError } = this.#refresh;
    this.#state();
    return { ok: age < this.#options.keysMaxStale || lastError === null, age, lastError };
  }

  close(): void {
    this.#closing.abort();
  }

  /** Begins a fetch if one is due. */
  #state(now?: number): State {
    const { keysMaxAge, keysMaxStale } = this.#options;
    const age = this.#refresh.age(now);
    const hasKeys = age < keysMaxStale;
    const isDue =
      age >= keysMaxAge * 0.75 && this.#refresh.retryIn(hasKeys ? LAST_RETRY : LAST_RETRY_WITHOUT_KEYS) <= 0;
    if (isDue) void this.#refresh.run();
    if (!hasKeys) return 'none';
    return isDue && age >= keysMaxAge ? 'overdue' : 'usable';
  }

  #unknownCandidates(header: KeyRequest): Promise<readonly VerificationKey[]> {
    if (!this.#refresh.isRunning) {
      const wait = UNKNOWN_KID_COOLDOWN - this.#sinceUnknown.elapsed();
      if (wait > 0) throw this.#refresh.lastError === null ? keyUnknown() : this.#unavailable(wait);
      this.#sinceUnknown.restart();
    }
    return this.#candidatesAfterFetch(header);
  }

  async #candidatesAfterFetch(header: KeyRequest): Promise<readonly VerificationKey[]> {
    await this.#refresh.run();
    const isUsable = this.#refresh.age() < this.#options.keysMaxStale;
    const found = isUsable ? findIn(this.#ring, header) : undefined;
    if (found !== undefined) return found;
    if (this.#refresh.lastError === null) throw keyUnknown();
    throw this.#unavailable(
      isUsable ? UNKNOWN_KID_COOLDOWN - this.#sinceUnknown.elapsed() : this.#refresh.retryIn(LAST_RETRY_WITHOUT_KEYS),
    );
  }

  #unavailable(wait: number): LoginError {
    return new LoginError('keys_unavailable', 'The keys of the issuer cannot be fetched', {
      retryAfter: wait / 1000,
      cause: this.#refresh.lastError,
    });
  }
}

/** Undefined if the set has no such key. A set of one key without `kid` needs none to tell its keys apart. */
function findIn(ring: KeyRing, { kid, alg }: KeyRequest): readonly VerificationKey[] | undefined {
  const found = kid === undefined ? ring.all : (ring.named(kid) ?? onlyUnnamed(ring));
  return found === undefined ? undefined : serving(found, alg).slice(0, CANDIDATE_LIMIT);
}

function onlyUnnamed({ all, unnamed }: KeyRing): readonly VerificationKey[] | undefined {
  return all.length === 1 && unnamed.length === 1 ? unnamed : undefined;
}

/** Reports a key that is skipped once, not with each fetch. */
function reportingOnce(onEvent: (event: KeyEvent) => void): (skipped: readonly SkippedKey[]) => void {
  let reported: ReadonlySet<string> = new Set();
  return function reportSkipped(skipped) {
    const now = new Map(skipped.map((key) => [JSON.stringify([key.kid ?? key.index, key.why]), key]));
    for (const [id, key] of now) {
      if (!reported.has(id)) onEvent({ kind: 'skipped', ...key });
    }
    reported = new Set(now.keys());
  };
}

/**
 * Aborts the signal of `work` after `limit` milliseconds, and when `closing` is aborted. With a timer of its own: Node 20
 * loses the timeout of `AbortSignal.any([AbortSignal.timeout()])` with the next garbage collection.
 */
async function withinTime<Result>(
  limit: number,
  closing: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  function abort(): void {
    controller.abort();
  }
  const timer = setTimeout(abort, limit).unref();
  closing.addEventListener('abort', abort, { once: true });
  if (closing.aborted) abort();
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    closing.removeEventListener('abort', abort);
  }
}
