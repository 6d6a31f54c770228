/** The values that the contract's tests share. */

import type { SessionPolicy } from '../../core/policy.js';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** The policy of every call that does not name another. */
export const POLICY: SessionPolicy = {
  idleTimeout: null,
  clockTolerance: 5 * SECOND,
  tombstoneFor: DAY,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
};

/** Strings that clients may send. */
export const HOSTILE_STRINGS: readonly (readonly [name: string, value: string])[] = [
  ['line feeds', 'a\nb\r\nc'],
  ['NUL', 'a\u0000b'],
  ['other control characters', '\u001b[31m\u0085\u2028'],
  ['a lone surrogate', 'a\ud800b'],
  ['half a surrogate pair at the limit', `${'x'.repeat(511)}😀`],
  ['a megabyte', 'é'.repeat(1 << 20)],
  ['quotes and markup', `"'\\<script>&\${x}%s{ms}`],
  ['right-to-left and combining characters', '\u202eabc\u0301'],
  ['what looks like an encoded record', 'l1\n2\n3'],
];

/** A handle of 22 characters that sorts by its number. */
export const handle = (number: number): string => String(number).padStart(22, 'h');

/** The origin of another process's store object. */
export const ELSEWHERE = 'elsewhere-Aa0_';
