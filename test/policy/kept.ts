/** What Redis holds of a user, read past the store. */

import { TOMBSTONE } from '../../lib/stores/redis/records.js';
import { HANDLE_PATTERN, sessionUser } from '../../lib/core/session.js';
import type { ManagedSessions } from '../../lib/index.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { ISSUER } from './logins.js';

export interface Kept {
  /** Handles of what is on record, in order. */
  readonly records: readonly string[];
  /** Reasons by handle. */
  readonly tombstones: Readonly<Record<string, string>>;
  readonly hasCutoff: boolean;
}

export async function keptOf(redis: TestRedis, subject = 'ann'): Promise<Kept> {
  const { key } = sessionUser(ISSUER, subject);
  const kept = (await redis.cli('hgetall', `ms:{${key}}:s`)) as Readonly<Record<string, string>>;
  const fields = Object.entries(kept).filter(([field]) => HANDLE_PATTERN.test(field));
  const isTombstone = (text: string): boolean => text.startsWith('t');
  return {
    records: fields.flatMap(([handle, text]) => (isTombstone(text) ? [] : [handle])).sort(),
    tombstones: Object.fromEntries(
      fields
        .filter(([, text]) => isTombstone(text))
        .map(([handle, text]) => [handle, TOMBSTONE.read(text)?.ending.reason ?? '']),
    ),
    hasCutoff: (await redis.cli('exists', `ms:{${key}}:c`)) === 1,
  };
}

/** How many endings every process was told of. */
export async function told(redis: TestRedis): Promise<number> {
  return Number(await redis.cli('xlen', 'ms:{feed}:stream'));
}

/** One that loses nothing that it acknowledged: `kill()` it, and `comeBack()`. */
export function startLastingRedis(): Promise<TestRedis> {
  return startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
}

/** After `kill()`: with what it wrote to its log. Resolves once these processes have reached it again. */
export async function comeBack(redis: TestRedis, processes: readonly ManagedSessions[] = []): Promise<void> {
  await redis.restart({ keepData: false });
  for (const sessions of processes) {
    await eventually('it is asked', () => sessions.list('nobody').then(Boolean, () => false));
    await eventually('its feed is fresh', () => Promise.resolve(sessions.health().feed.ok));
  }
}
