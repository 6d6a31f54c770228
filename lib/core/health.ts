/** How one part does: the store, the feed of revocations, the keys of an issuer. */
export interface Health {
  readonly ok: boolean;
  /** In milliseconds; `Infinity` as long as there was no success. */
  readonly age: number;
  /** The last failure; null once it succeeded again. */
  readonly lastError: Error | null;
}
