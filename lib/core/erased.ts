/** How an ending is kept after its reason and author were erased. */

import type { Ending } from './session.js';

/** The reason of what `erase` ended, and of earlier endings whose reason was erased. */
export const ERASED = 'erased';

/** An ending, or a declaration that tokens are stale. */
interface Said extends Pick<Ending, 'at' | 'reason' | 'by'> {
  readonly cause?: Ending['cause'];
}

/** The same without what people said: nobody is named, and the reason is {@link ERASED}, unless the session ran out by itself. */
export function withoutWords<One extends Said>(said: One): One {
  const { cause = 'revoked', reason } = said;
  return { ...said, reason: cause === 'revoked' ? ERASED : reason, by: null };
}

/** As it is kept of a user of whom everything up to `erasedAt` was erased. */
export function asErased<One extends Said>(said: One, erasedAt: number): One {
  return said.at <= erasedAt ? withoutWords(said) : said;
}
