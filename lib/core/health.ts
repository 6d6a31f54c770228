/** Whether a part of the package works: the store, the feed, an issuer's keys. */
export interface Health {
  readonly ok: boolean;
  /** Milliseconds since it last succeeded; `Infinity` before the first time. */
  readonly age: number;
  /** Why it last failed; null once it has succeeded again. */
  readonly lastError: Error | null;
}
