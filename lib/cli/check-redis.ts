/** Whether Redis is as the store needs it: each server, its user, its memory, its copies. */

import { randomBytes } from 'node:crypto';
import { evictingPolicy, evictionProblem, tooOldProblem } from '../stores/redis/server-check.js';
import { shownDuration } from './clock.js';
import type { Level, RedisCode, Report } from './findings.js';
import { TRIALS, type Trial } from './redis-commands.js';

/** The members of an ioredis client that are used. */
export interface Server {
  call(command: string, ...args: string[]): Promise<unknown>;
}

export interface ServerCheck {
  /** How the server is called in findings, if there are several. */
  readonly name?: string;
  readonly isCluster: boolean;
  readonly prefix: string;
  readonly minReplicas: number;
  /** The smallest difference of clocks that is reported, in milliseconds. */
  readonly clockTolerance: number;
}

/** Reports what it finds. Rejects if the connection is lost. */
export async function checkServer(server: Server, check: ServerCheck, report: Report): Promise<void> {
  const { name } = check;
  function say(level: Level, code: RedisCode, says: string, advice?: string): void {
    report({
      about: 'redis',
      level,
      code,
      says,
      ...(name !== undefined && { name }),
      ...(advice !== undefined && { advice }),
    });
  }

  await checkUser(server, check, say);
  const info = await infoOf(server);
  if (info !== null) {
    checkVersion(info, say);
    checkMemory(info, say);
    checkPersistence(info, say);
    checkCopies(info, check, say);
    if (info.includes('cluster_enabled:1') && !check.isCluster) {
      say(
        'problem',
        'redis_is_cluster',
        'This server is a node of a Cluster, and the settings are those of a single server.',
        'Give redisStore() a Cluster of ioredis (docs/redis.md#cluster), and this command --cluster.',
      );
    }
  }
  await checkTime(server, check, say);
}

type Say = (level: Level, code: RedisCode, says: string, advice?: string) => void;

/** Null if the user may not ask. The ACL finding says so. */
async function infoOf(server: Server): Promise<string | null> {
  return server.call('info').then(String, (error: unknown) => {
    if (isDenied(error)) return null;
    throw error;
  });
}

function field(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
}

const numberIn = (info: string, name: string): number => Number(field(info, name) ?? 0);

function checkVersion(info: string, say: Say): void {
  const tooOld = tooOldProblem(info);
  if (tooOld !== null) {
    say('problem', 'redis_too_old', `${tooOld.message}.`, 'Update Redis. Until then every request gets 503.');
    return;
  }
  const valkey = field(info, 'valkey_version');
  const name =
    valkey === undefined ? `Redis ${field(info, 'redis_version') ?? 'of an unknown version'}` : `Valkey ${valkey}`;
  say('ok', 'redis_version', `${name} is recent enough.`);
}

function checkMemory(info: string, say: Say): void {
  const policy = evictingPolicy(info);
  if (policy === null) say('ok', 'redis_policy', 'The maxmemory-policy is noeviction.');
  else {
    const advice =
      'CONFIG SET maxmemory-policy noeviction, and the same in redis.conf. Do not share this Redis with a cache.';
    say('problem', 'redis_evicts', `${evictionProblem(policy)}.`, advice);
  }
  const [used, limit] = [numberIn(info, 'used_memory'), numberIn(info, 'maxmemory')];
  const shownUsed = `${megabytes(used)} of memory are used`;
  if (limit === 0) say('ok', 'redis_memory', `${shownUsed}; there is no limit.`);
  else if (used < limit * 0.9) say('ok', 'redis_memory', `${shownUsed} of ${megabytes(limit)}.`);
  else {
    const says = `${shownUsed} of ${megabytes(limit)}: a full Redis refuses writes, and nobody can be signed in or out.`;
    say('problem', 'redis_memory_full', says, 'Raise maxmemory: docs/redis.md#sizing.');
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function checkPersistence(info: string, say: Say): void {
  for (const name of ['rdb_last_bgsave_status', 'aof_last_write_status', 'aof_last_bgrewrite_status']) {
    const status = field(info, name);
    if (status === undefined || status === 'ok') continue;
    const says = `Redis could not write to its disk: ${name} is ${status}.`;
    say('problem', 'redis_disk', says, "See Redis's log. It may refuse writes until it can save again.");
  }
  if (field(info, 'aof_enabled') === '1') {
    say('ok', 'redis_persistence', 'There is an append-only file.');
    return;
  }
  const says = 'There is no append-only file: if Redis and every process restart, ended sessions can be live again.';
  say('note', 'redis_persistence', says, 'Set appendonly yes: docs/redis.md#persistence.');
}

function checkCopies(info: string, { minReplicas }: ServerCheck, say: Say): void {
  if (field(info, 'role') !== 'master') {
    const advice = 'Connect to the master, by Sentinel or by a name that leads to it.';
    say('problem', 'redis_replica', 'This server is a replica, which refuses writes.', advice);
    return;
  }
  const replicas = numberIn(info, 'connected_slaves');
  const has = replicas === 1 ? '1 replica is' : `${replicas} replicas are`;
  if (replicas < minReplicas) {
    const says = `${has} connected, and minReplicas is ${minReplicas}: no ending is acknowledged.`;
    say('problem', 'redis_replicas', says, 'Start the replicas, or lower minReplicas.');
  } else if (replicas > 0 && minReplicas === 0) {
    const says = `${has} connected, and minReplicas is 0: a failover can lose an ending that was acknowledged.`;
    say('note', 'redis_replicas', says, 'Set minReplicas to 1 in redisStore(): docs/redis.md#replicas.');
  } else say('ok', 'redis_replicas', `${has} connected; minReplicas is ${minReplicas}.`);
}

/** Redis's clock, of which only what is certain counts. */
async function checkTime(server: Server, { clockTolerance }: ServerCheck, say: Say): Promise<void> {
  const limit = Math.max(1000, clockTolerance);
  const sentAt = Date.now();
  const reply = await server.call('time').catch((error: unknown) => {
    if (isDenied(error)) return null;
    throw error;
  });
  if (!Array.isArray(reply)) return;
  const theirs = Number(reply[0]) * 1000 + Number(reply[1]) / 1000;
  const [least, most] = [theirs - Date.now(), theirs - sentAt];
  const difference = least > limit ? least : most < -limit ? most : 0;
  if (difference === 0) {
    say('ok', 'redis_clock', `Its clock agrees with that of this machine, within ${shownDuration(limit)}.`);
    return;
  }
  const how = difference > 0 ? 'ahead of' : 'behind';
  const says = `Its clock is ${shownDuration(difference)} ${how} that of this machine: endings are dated by the wrong time.`;
  say('problem', 'redis_clock_differs', says, 'Let every machine take its time from NTP.');
}

async function checkUser(server: Server, { prefix, isCluster, minReplicas }: ServerCheck, say: Say): Promise<void> {
  const needed = TRIALS.filter(({ need }) => {
    if (need === 'cluster') return isCluster;
    return need === 'replicas' ? minReplicas > 0 : true;
  });
  const key = `${prefix}:{doctor-${randomBytes(8).toString('hex')}}:probe`;
  const answers = await Promise.all(needed.map((trial) => answerTo(server, trial, key)));
  const denied = needed.filter((_, index) => answers[index] === 'command');
  const [required, recommended] = [
    denied.filter(({ need }) => need !== 'recommended'),
    denied.filter(({ need }) => need === 'recommended'),
  ];
  if (required.length > 0) {
    const says = `The user of Redis may not call ${listOf(required)}.`;
    say('problem', 'redis_acl', says, `ACL SETUSER … ${required.map(({ command }) => `+${command}`).join(' ')}`);
  }
  if (answers.includes('key')) {
    const says = `The user of Redis may not use keys that begin with ${prefix}:.`;
    say('problem', 'redis_acl_keys', says, `ACL SETUSER … ~${prefix}:*`);
  }
  const refusal = answers.find((answer) => typeof answer === 'object' && answer !== null);
  if (refusal !== undefined) {
    say('problem', 'redis_refuses', `Redis refuses commands: ${refusal.refuses}.`, 'See docs/outages.md.');
  }
  if (recommended.length > 0) {
    const says = `The user of Redis may not call ${listOf(recommended)}, so version, policy, memory and replicas are not checked.`;
    say('note', 'redis_acl_info', says, 'ACL SETUSER … +info');
  }
  if (answers.every((answer) => answer === null)) {
    say('ok', 'redis_acl', `The user of Redis may call all ${needed.length} commands that are needed.`);
  }
}

function listOf(trials: readonly Trial[]): string {
  return trials.map(({ command }) => command).join(', ');
}

/** What a trial shows: null, if the command may be called. */
type Answer = 'command' | 'key' | null | { readonly refuses: string };

async function answerTo(server: Server, { command, call }: Trial, key: string): Promise<Answer> {
  const [name = '', ...subcommand] = command.split('|');
  try {
    await server.call(name, ...subcommand, ...call(key));
    return null;
  } catch (error) {
    // Anything else is of the connection.
    if (!(error instanceof Error) || error.name !== 'ReplyError') throw error;
    if (isDenied(error)) return /access (a|one of the) key/.test(error.message) ? 'key' : 'command';
    return REFUSES.test(error.message) ? { refuses: error.message } : null;
  }
}

/** Errors of a server that answers, and does nothing now. */
const REFUSES = /^(MISCONF|OOM|NOREPLICAS|READONLY|MASTERDOWN|CLUSTERDOWN|LOADING|NOAUTH) /;

function isDenied(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOPERM');
}
