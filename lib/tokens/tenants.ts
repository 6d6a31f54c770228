/** Issuers that are not known at startup: a function finds each, such as one for each tenant. */

import { LRUCache } from 'lru-cache';
import { diagnosed, shown } from '../core/diagnosis.js';
import { LoginError } from '../core/errors.js';
import type { PartHealth } from '../core/health.js';
import { issuerRules, type IssuerOptions, type IssuerSurroundings } from './issuer.js';
import { IssuerCalls, type Timing } from './issuer-calls.js';
import { checkResult, invalidOptions, type IssuerFailure } from './issuer-failure.js';
import { IssuerOutages } from './issuer-outages.js';
import type { KeyEvent } from './key-source.js';
import { warnIssuerNotFound } from './keys-down-warning.js';
import { TenantKeys } from './tenant-keys.js';
import type { IssuerRules, TenantSource } from './verify.js';

/**
 * Returns the options of the issuer with this `iss`, or null if there is none. Anybody can trigger a call, with an `iss` that
 * they made up: decide by the name first, and look up only what can be yours.
 */
export type IssuerFunction = (iss: string) => IssuerOptions | null | PromiseLike<IssuerOptions | null>;

export interface TenantsOptions extends Pick<IssuerSurroundings, 'clock'> {
  readonly find: IssuerFunction;
  /** Must not throw. */
  readonly onKeyEvent: (issuer: string, event: KeyEvent) => void;
  /** Told of each issuer that was found, also if it was evicted before. Must not throw. */
  readonly onFound?: (rules: IssuerRules) => void;
  /** Milliseconds on a clock that never jumps. Default `performance.now`. */
  readonly monotonic?: () => number;
  /** The longest wait for the function, in milliseconds of real time. Default 5 s. */
  readonly timeout?: number;
}

/** The most issuers that are held. The least recently used are evicted. */
const KNOWN_LIMIT = 1_000;
/** The most names that are known to be nobody's, and for how long each is, in milliseconds. */
const REFUSED_LIMIT = 10_000;
const REFUSED_FOR = 60_000;
/**
 * How long after a call began its result is still used, in milliseconds. What a later call refused is then still remembered,
 * so an older result does not undo it.
 */
const LATEST = REFUSED_FOR;

interface Tenant {
  readonly rules: IssuerRules;
  readonly keys: TenantKeys;
}

export class Tenants implements TenantSource {
  readonly #options: TenantsOptions;
  readonly #monotonic: () => number;
  readonly #calls: IssuerCalls<IssuerRules>;
  readonly #outages: IssuerOutages;
  readonly #known: LRUCache<string, Tenant>;
  /** When each was refused. */
  readonly #refused = new LRUCache<string, number>({ max: REFUSED_LIMIT });
  /** Evicted, and requests still wait for their keys. */
  readonly #retired = new Set<TenantKeys>();
  #isClosed = false;

  constructor(options: TenantsOptions) {
    const { find, monotonic = () => performance.now(), timeout = 5_000 } = options;
    this.#options = options;
    this.#monotonic = monotonic;
    this.#outages = new IssuerOutages(monotonic);
    this.#calls = new IssuerCalls({
      find,
      timeout,
      monotonic,
      onResult: (iss, result, timing) => this.#take(iss, result, timing),
      onFailure: (iss, failure) => this.#fail(iss, failure),
    });
    this.#known = new LRUCache({
      max: KNOWN_LIMIT,
      dispose: ({ keys }) => {
        this.#retired.add(keys);
        keys.retire();
      },
    });
  }

  /**
   * Synchronous if the issuer is known. The function is called once for all requests that wait. Throws, or rejects with,
   * `LoginError`: `issuer_refused` if there is no such issuer, `keys_unavailable` if the function fails, is too slow, or
   * returns something that is not the valid options of this issuer.
   */
  find(iss: string): IssuerRules | Promise<IssuerRules> {
    const tenant = this.#known.get(iss);
    if (tenant !== undefined) return tenant.rules;
    if (this.#isRefused(iss)) throw refused(iss);
    if (this.#isClosed) throw closed();
    const failure = this.#outages.recent(iss);
    if (failure !== undefined) throw unavailable(failure);
    return this.#calls.ask(iss);
  }

  /**
   * Not `ok` for 30 s after the function failed, unless it has answered since or issuers are known. So neither names that
   * somebody made up nor the keys of one tenant make it not ok. `age` is the time since the function last answered.
   */
  health(): PartHealth {
    const health = this.#outages.health(this.#known.size > 0);
    return this.#isClosed ? { ...health, ok: false } : health;
  }

  /** Finds nobody new from now on. Issuers whose keys are in memory are still known. */
  close(): void {
    this.#isClosed = true;
    this.#calls.rejectAll(closed());
    for (const { keys } of this.#known.values()) keys.close();
    for (const keys of this.#retired) keys.close();
  }

  #take(iss: string, result: unknown, { isLate, took }: Timing): void {
    if (this.#isClosed) return;
    if (isLate && (took >= LATEST || this.#known.has(iss) || this.#isRefused(iss))) return;
    // A later call, which requests wait for, has the last word.
    const hasLastWord = !isLate || !this.#calls.isAwaited(iss);
    if (result === null) {
      if (hasLastWord) this.#refuse(iss);
      return;
    }
    let tenant: Tenant;
    try {
      tenant = this.#tenantOf(iss, result);
    } catch (error) {
      if (!isLate) this.#fail(iss, invalidOptions(error));
      return;
    }
    this.#admit(iss, tenant);
  }

  #tenantOf(iss: string, result: unknown): Tenant {
    checkResult(result, iss);
    const { clock, onKeyEvent } = this.#options;
    const rules = issuerRules(result, 'issuer', { clock, onKeyEvent: (event) => onKeyEvent(iss, event) });
    const keys = new TenantKeys(rules.keys, (gone) => this.#retired.delete(gone));
    return { rules: { ...rules, keys }, keys };
  }

  #admit(iss: string, tenant: Tenant): void {
    this.#known.set(iss, tenant);
    this.#options.onFound?.(tenant.rules);
    this.#noteFound(iss);
    const told = this.#calls.resolve(iss, tenant.rules);
    // After the requests that waited have asked for keys: until then, it may be evicted already.
    void Promise.resolve(told).then(() => tenant.keys.release());
  }

  #refuse(iss: string): void {
    this.#refused.set(iss, this.#monotonic());
    this.#noteFound(iss);
    this.#calls.reject(iss, refused(iss));
  }

  #noteFound(iss: string): void {
    if (this.#outages.noteFound(iss)) this.#options.onKeyEvent(iss, { kind: 'up' });
  }

  #fail(iss: string, failure: IssuerFailure): void {
    const isNew = this.#outages.noteFailure(iss, failure);
    this.#calls.reject(iss, unavailable(failure));
    if (!isNew) return;
    warnIssuerNotFound(iss, failure);
    this.#options.onKeyEvent(iss, { kind: 'down', error: failure });
  }

  #isRefused(iss: string): boolean {
    const refusedAt = this.#refused.get(iss);
    return refusedAt !== undefined && this.#monotonic() - refusedAt < REFUSED_FOR;
  }
}

function refused(iss: string): LoginError {
  const error = new LoginError('issuer_refused', 'The issuer is not configured');
  return diagnosed(error, { claim: 'iss', got: shown(iss), expected: 'an issuer that the issuer function knows' });
}

function unavailable(cause: Error): LoginError {
  return new LoginError('keys_unavailable', 'The issuer cannot be looked up', { cause });
}

function closed(): LoginError {
  return unavailable(new Error('This managedSessions() is closed'));
}
