/** What `doctor` finds: data, which others print. */

import type { LoginErrorCode } from '../core/errors.js';

/**
 * - `ok`: as it should be.
 * - `note`: worth knowing; nothing is wrong.
 * - `problem`: has to be changed.
 * - `unreachable`: could not be checked.
 */
export type Level = 'ok' | 'note' | 'problem' | 'unreachable';

/** By what they are about, in the order in which they are printed. A refused token, or claim, has the code of its error. */
export const CODES = {
  keys: [
    ...(['discovery', 'keys_configured', 'keys_over_http', 'key_used', 'key_skipped', 'no_usable_key'] as const),
    ...(['keys_unavailable'] as const),
  ],
  clock: ['clock_agrees', 'clock_differs'],
  token: [
    ...(['token_accepted', 'header', 'claim', 'signature_unverified', 'audience_unchecked', 'provider'] as const),
    ...(['token_encrypted', 'no_token'] as const),
  ],
  session: ['session_named', 'session_per_token', 'session_unnamed', 'session_live'],
  redis: [
    ...(['redis_not_given', 'redis_unreachable', 'redis_login', 'redis_refuses', 'redis_version'] as const),
    ...(['redis_too_old', 'redis_policy', 'redis_evicts', 'redis_memory', 'redis_memory_full'] as const),
    ...(['redis_persistence', 'redis_disk', 'redis_replica', 'redis_replicas', 'redis_clock'] as const),
    ...(['redis_clock_differs', 'redis_acl', 'redis_acl_keys', 'redis_acl_info', 'redis_feed'] as const),
    ...(['redis_is_cluster', 'redis_no_cluster', 'redis_slots', 'redis_slots_missing'] as const),
  ],
} as const;

export type Subject = keyof typeof CODES;
export const SUBJECTS = Object.keys(CODES) as readonly Subject[];
export type RedisCode = (typeof CODES)['redis'][number];
export type Code = (typeof CODES)[Subject][number] | LoginErrorCode;

export interface Finding {
  readonly about: Subject;
  readonly level: Level;
  /** Stays the same in every version: `audience_refused`, `redis_evicts`. */
  readonly code: Code;
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
