/** Headers of earlier requests, so that a request with the same header needs one look-up. */

import type { AppRequest } from './app-request.js';

/** A header that may decide which token a request carries. */
export interface DecidingHeader {
  /** The header as the client sent it; undefined if it is absent, null if it does not decide alone. */
  of(req: AppRequest): string | undefined | null;
  /** The end of the token in this header: no sender can choose it without a signing key. */
  keyOf(header: string): string;
}

/** How much is held before the older half of it is dropped: headers, and characters of all of them. */
const HALF = 5000;
const HALF_LENGTH = 8 * 1024 * 1024;

/** Finding counts for nothing, because it must be fast: what is known of a header that is in use is learned again each minute. */
export class HeaderMemory<Known extends { readonly header: string }> {
  readonly #deciding: readonly DecidingHeader[];
  #newer = new Map<string, Known>();
  #older = new Map<string, Known>();
  #newerLength = 0;

  constructor(deciding: readonly DecidingHeader[]) {
    this.#deciding = deciding;
  }

  find(req: AppRequest): Known | undefined {
    for (const deciding of this.#deciding) {
      const header = deciding.of(req);
      if (header === undefined) continue;
      if (header === null) return undefined;
      const key = deciding.keyOf(header);
      const known = this.#newer.get(key) ?? this.#older.get(key);
      return known?.header === header ? known : undefined;
    }
    return undefined;
  }

  /** If the header of the request decides alone. */
  add(req: AppRequest, known: Known): void {
    for (const deciding of this.#deciding) {
      const header = deciding.of(req);
      if (header === undefined) continue;
      if (header === known.header) this.#set(deciding.keyOf(header), known);
      return;
    }
  }

  #set(key: string, known: Known): void {
    if (this.#newer.size >= HALF || this.#newerLength >= HALF_LENGTH) {
      this.#older = this.#newer;
      this.#newer = new Map();
      this.#newerLength = 0;
    }
    this.#newer.set(key, known);
    this.#newerLength += known.header.length;
  }
}
