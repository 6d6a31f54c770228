/** What `doctor` finds: data, which others print. */

/**
 * - `ok`: as it should be.
 * - `note`: worth knowing; nothing is wrong.
 * - `problem`: has to be changed.
 * - `unreachable`: could not be checked.
 */
export type Level = 'ok' | 'note' | 'problem' | 'unreachable';

/** In the order in which they are printed. */
export const SUBJECTS = ['settings', 'keys', 'clock', 'token', 'session', 'redis'] as const;
export type Subject = (typeof SUBJECTS)[number];

export interface Finding {
  readonly about: Subject;
  readonly level: Level;
  /** Stays the same in every version: `audience_refused`, `redis_evicts`. */
  readonly code: string;
  /** What it is about within the subject, such as the name of a claim. */
  readonly name?: string;
  /** Whole sentences. May contain what others have written: see `visible()`. */
  readonly says: string;
  /** What to do. */
  readonly advice?: string;
}

export type Report = (finding: Finding) => void;

/** 0: no problem. 1: there are problems. 3: no problem is known, but something could not be reached. */
export function exitCodeOf(findings: readonly Finding[]): 0 | 1 | 3 {
  if (findings.some(({ level }) => level === 'problem')) return 1;
  return findings.some(({ level }) => level === 'unreachable') ? 3 : 0;
}
