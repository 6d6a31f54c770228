/** Judges what scripts have read, by the rules of core/: the sessions that are live. */

import { decide } from '../../core/policy.js';
import { endingCutoff, NO_ROW, type KeptRecord } from '../../core/record.js';
import { CUTOFF, GLOBAL_CUTOFF, ROW, TIMES } from './records.js';
import { formatted } from './script.js';
import type { Call } from './session-prelude.js';

export interface Found {
  /** Each with the texts of its fields. Undefined: Redis has none. */
  readonly entries: readonly {
    readonly handle: string;
    readonly times: string | undefined;
    readonly row: string | undefined;
  }[];
  /** The text of the user's cutoff. Empty: none. */
  readonly cutoff: string;
}

/** In the order in which they were found. */
export function liveRecords(
  found: Found,
  { at, policy, globalCutoff }: Call,
): (KeptRecord & { readonly handle: string })[] {
  const cutoff = CUTOFF.read(found.cutoff) ?? null;
  const ofAll = GLOBAL_CUTOFF.read(globalCutoff) ?? null;
  return found.entries.flatMap(({ handle, times: text, row }) => {
    // Not a tombstone.
    const times = text === undefined ? undefined : TIMES.read(text);
    if (times === undefined || decide(times, policy, at).state !== 'live') return [];
    const { startedAt, survivedCutoffAt } = times;
    if (endingCutoff(cutoff, ofAll, handle, startedAt, survivedCutoffAt, policy) !== null) return [];
    return [{ handle, ...times, ...(row === undefined ? NO_ROW : formatted(ROW, row)) }];
  });
}
