/** Calls of a function that finds issuers: one for all requests that wait for an issuer, for a limited time. */

import { rejected, tooSlow, type IssuerFailure } from './issuer-failure.js';

export interface IssuerCallsOptions {
  readonly find: (iss: string) => unknown;
  /** How long requests wait, in milliseconds of real time. */
  readonly timeout: number;
  /** Milliseconds on a clock that never jumps. */
  readonly monotonic: () => number;
  /** Once for each call that gives a result, however late. Must not throw. */
  readonly onResult: (iss: string, result: unknown, timing: Timing) => void;
  /** For a call that requests wait for. Must not throw. */
  readonly onFailure: (iss: string, failure: IssuerFailure) => void;
}

export interface Timing {
  /** Whether no request waits for this call any more. Requests may wait for a later one. */
  readonly isLate: boolean;
  /** Since the call began, in milliseconds. */
  readonly took: number;
}

interface Call<Found> {
  readonly promise: Promise<Found>;
  readonly timer: NodeJS.Timeout;
  resolve(found: Found): void;
  reject(error: Error): void;
}

export class IssuerCalls<Found> {
  readonly #options: IssuerCallsOptions;
  /** The calls that requests wait for, by `iss`. */
  readonly #waiting = new Map<string, Call<Found>>();

  constructor(options: IssuerCallsOptions) {
    this.#options = options;
  }

  isAwaited(iss: string): boolean {
    return this.#waiting.has(iss);
  }

  /** Joins the call that is under way, or begins one. */
  ask(iss: string): Promise<Found> {
    return (this.#waiting.get(iss) ?? this.#begin(iss)).promise;
  }

  /** For the requests that wait for this issuer, whichever call found it. Undefined if there are none. */
  resolve(iss: string, found: Found): Promise<Found> | undefined {
    const call = this.#end(iss);
    call?.resolve(found);
    return call?.promise;
  }

  reject(iss: string, error: Error): void {
    this.#end(iss)?.reject(error);
  }

  rejectAll(error: Error): void {
    for (const iss of [...this.#waiting.keys()]) this.reject(iss, error);
  }

  #begin(iss: string): Call<Found> {
    const { find, timeout, monotonic, onResult, onFailure } = this.#options;
    const startedAt = monotonic();
    const fail = (failure: IssuerFailure): void => {
      if (this.#waiting.get(iss) === call) onFailure(iss, failure);
    };
    const call: Call<Found> = newCall(setTimeout(() => fail(tooSlow(timeout)), timeout).unref());
    // Before the function runs, which may itself verify a token of this issuer.
    this.#waiting.set(iss, call);
    // A promise's executor also takes what is thrown at once, and what the `then` of any object does.
    new Promise<unknown>((resolve) => resolve(find(iss))).then(
      (result) => onResult(iss, result, { isLate: this.#waiting.get(iss) !== call, took: monotonic() - startedAt }),
      (reason: unknown) => fail(rejected(reason)),
    );
    return call;
  }

  #end(iss: string): Call<Found> | undefined {
    const call = this.#waiting.get(iss);
    if (call === undefined) return undefined;
    clearTimeout(call.timer);
    this.#waiting.delete(iss);
    return call;
  }
}

function newCall<Found>(timer: NodeJS.Timeout): Call<Found> {
  let settle: Pick<Call<Found>, 'resolve' | 'reject'> | undefined;
  const promise = new Promise<Found>((resolve, reject) => {
    settle = { resolve, reject };
  });
  return { promise, timer, resolve: (found) => settle?.resolve(found), reject: (error) => settle?.reject(error) };
}
