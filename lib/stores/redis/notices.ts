/** Notices as they are written in the stream: a JSON list of their parts. What is read is checked. */

import { LAST_MOMENT } from '../../core/policy.js';
import { HANDLE_PATTERN, keptWords, sessionUser } from '../../core/session.js';
import type { StaleTokens } from '../../core/stale.js';
import type { EndedByCutoff, Notice } from '../store.js';
import { isCause, ORIGIN_LIMIT } from './records.js';
import { listOf, stringOf } from './script.js';

const ORIGIN_PATTERN = new RegExp(`^[A-Za-z0-9_-]{1,${ORIGIN_LIMIT}}$`);

/** `reason` and `by` are written as they are kept. */
export function encodeNotice(notice: Notice): string {
  const { issuer, subject } = notice.user;
  if (notice.kind === 'ended') {
    const { handle, ending, until } = notice.tombstone;
    const { cause, at, expiresAt, origin } = ending;
    const { reason, by } = keptWords(ending);
    return JSON.stringify(['e', issuer, subject, handle, cause, reason, by, at, expiresAt, until, origin]);
  }
  if (notice.kind === 'stale') {
    const { at, until } = notice.staleTokens;
    const { reason, by } = keptWords(notice.staleTokens);
    return JSON.stringify(['s', issuer, subject, at, until, reason, by]);
  }
  const { at, except, origin, isRestored, isBackdated, erasedAt } = notice.cutoff;
  const { reason, by } = keptWords(notice.cutoff);
  const ended = notice.ended.flatMap(({ handle, expiresAt, until }) => [handle, expiresAt, until]);
  const flags = [isRestored, isBackdated];
  return JSON.stringify(['c', issuer, subject, at, except, reason, by, ended, origin, ...flags, erasedAt]);
}

/** Undefined if {@link encodeNotice} does not write such a string. */
export function decodeNotice(text: string): Notice | undefined {
  try {
    const [kind, issuer, subject, ...rest] = listOf(JSON.parse(text));
    const user = sessionUser(stringOf(issuer), stringOf(subject));
    if (kind === 'e') return { kind: 'ended', user, tombstone: tombstoneOf(rest) };
    if (kind === 'c') return { kind: 'cutoff', user, ...cutoffOf(rest) };
    if (kind === 's') return { kind: 'stale', user, staleTokens: staleTokensOf(rest) };
    return undefined;
  } catch {
    return undefined;
  }
}

function tombstoneOf(parts: readonly unknown[]): Extract<Notice, { kind: 'ended' }>['tombstone'] {
  const [handle, cause, reason, by, at, expiresAt, until, origin] = exactly(8, parts);
  if (!isCause(cause)) throw new TypeError('Not a cause');
  const ending = {
    cause,
    ...wordsOf(reason, by),
    at: momentOf(at),
    expiresAt: orNull(momentOf, expiresAt),
    origin: orNull(originOf, origin),
  };
  return { handle: handleOf(handle), ending, until: momentOf(until) };
}

function cutoffOf(parts: readonly unknown[]): Pick<Extract<Notice, { kind: 'cutoff' }>, 'cutoff' | 'ended'> {
  const [at, except, reason, by, ended, origin, isRestored, isBackdated, erasedAt] = exactly(9, parts);
  const cutoff = {
    at: momentOf(at),
    except: orNull(handleOf, except),
    ...wordsOf(reason, by),
    origin: originOf(origin),
    isRestored: isRestored === true,
    isBackdated: isBackdated === true,
    erasedAt: momentOf(erasedAt),
  };
  return { cutoff, ended: endedOf(listOf(ended)) };
}

function staleTokensOf(parts: readonly unknown[]): StaleTokens {
  const [at, until, reason, by] = exactly(4, parts);
  return { at: momentOf(at), until: momentOf(until), ...wordsOf(reason, by) };
}

function endedOf(flat: readonly unknown[]): EndedByCutoff[] {
  const ended: EndedByCutoff[] = [];
  for (let i = 0; i < flat.length; i += 3) {
    ended.push({ handle: handleOf(flat[i]), expiresAt: momentOf(flat[i + 1]), until: momentOf(flat[i + 2]) });
  }
  return ended;
}

const wordsOf = (reason: unknown, by: unknown): { reason: string; by: string | null } =>
  keptWords({ reason: stringOf(reason), by: orNull(stringOf, by) });

function exactly(length: number, list: readonly unknown[]): readonly unknown[] {
  if (list.length !== length) throw new TypeError('A list of another length');
  return list;
}

function handleOf(value: unknown): string {
  const handle = stringOf(value);
  if (!HANDLE_PATTERN.test(handle)) throw new TypeError('Not a handle');
  return handle;
}

function originOf(value: unknown): string {
  const origin = stringOf(value);
  if (!ORIGIN_PATTERN.test(origin)) throw new TypeError('Not an origin');
  return origin;
}

function momentOf(value: unknown): number {
  if (typeof value !== 'number' || !(Math.abs(value) <= LAST_MOMENT)) throw new TypeError('Not a moment');
  return value;
}

function orNull<T>(valueOf: (value: unknown) => T, value: unknown): T | null {
  return value === null ? null : valueOf(value);
}
