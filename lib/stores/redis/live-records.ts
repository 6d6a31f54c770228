/** Judges what scripts have read, by the rules of core/: the sessions that are live. */

import { endingCutoff } from '../../core/cutoff.js';
import { decide } from '../../core/policy.js';
import { NO_ROW, type KeptRecord } from '../../core/record.js';
import { CUTOFF, GLOBAL_CUTOFF, ROW, TIMES } from './records.js';
import { formatted } from './script.js';
import type { Call } from './session-prelude.js';

export interface Found {
  /** Each with its fields as Redis returned them. Null: it has none. */
  readonly entries: readonly { readonly handle: string; readonly times: unknown; readonly row: unknown }[];
  /** The text of the user's cutoff. Empty: none. */
  readonly cutoff: string;
}

/** In the order in which they were found. */
export function liveRecords(
  found: Found,
  { at, policy, globalCutoff }: Call,
): (KeptRecord & { readonly handle: string })[] {
  const cutoffs = {
    cutoff: CUTOFF.read(found.cutoff) ?? null,
    globalCutoff: GLOBAL_CUTOFF.read(globalCutoff) ?? null,
  };
  return found.entries.flatMap(({ handle, times: kept, row }) => {
    const times = TIMES.read(kept);
    // A tombstone, or nothing.
    if (times === undefined || decide(times, policy, at).state !== 'live') return [];
    if (endingCutoff(cutoffs, { handle, ...times }, policy) !== null) return [];
    return [{ handle, ...times, ...(row === null ? NO_ROW : formatted(ROW, row)) }];
  });
}
