/** Faults that are put into copies of the built package. The checker must find each of them. */

import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Schedule } from './schedule.js';

export interface PlantedFault {
  readonly name: string;
  /** Below `dist/esm`. */
  readonly file: string;
  /** It must be in the file. */
  readonly text: string;
  readonly replacement: string;
  /** Only runs in which it can show. Default: all. */
  readonly shows?: (schedule: Schedule) => boolean;
}

const ROOT = join(__dirname, '../..');

/** Whoever is not told of an ending asks only after a while. */
const asksRarely = ({ settings }: Schedule): boolean => settings.activityInterval === 5000;
const losesData = ({ steps }: Schedule): boolean =>
  steps.some((step) => step.do === 'redis-restart' || step.do === 'flush');
const killsProcesses = ({ steps }: Schedule): boolean => steps.some((step) => step.do === 'start');
const cutsOff = ({ steps }: Schedule): boolean => steps.some((step) => step.do === 'link' || step.do === 'redis-stop');
const hasIdleTimeout = ({ settings }: Schedule): boolean => settings.idleTimeout !== null;
const trims = ({ steps }: Schedule): boolean => steps.some((step) => step.do === 'trim');
const keepsData = (schedule: Schedule): boolean => !losesData(schedule) && !schedule.withReplica;
const both =
  (...conditions: readonly ((schedule: Schedule) => boolean)[]) =>
  (schedule: Schedule): boolean =>
    conditions.every((condition) => condition(schedule));

export const PLANTED: readonly PlantedFault[] = [
  // What a process knows
  {
    name: 'forgets what ended',
    file: 'ledger/ended.js',
    text: 'return this.#standing(handle, now)?.tombstone;',
    replacement: 'return undefined;',
    shows: losesData,
  },
  {
    name: 'does not ask when memory is old',
    file: 'ledger/knowledge.js',
    text: 'if (freshness.ageOf(vouch) > freshness.bound)',
    replacement: 'if (false)',
    shows: both(cutsOff, ({ settings }) => settings.whenStoreDown === 'refuse'),
  },
  {
    name: 'a feed is always fresh',
    file: 'stores/redis/feed.js',
    text: 'return elapsed() - this.#countedAt;',
    replacement: 'return this.#countedAt === -Infinity ? Infinity : 0;',
    shows: both(cutsOff, ({ settings }) => settings.whenStoreDown === 'refuse'),
  },
  {
    name: 'nothing is doubted after a gap',
    file: 'ledger/freshness.js',
    text: 'this.#generation += 1;',
    replacement: '',
    shows: both(trims, asksRarely),
  },
  {
    name: 'a fresh request is answered from memory',
    file: 'ledger/judge.js',
    text: 'entry !== undefined && !fresh && assess(',
    replacement: 'entry !== undefined && assess(',
    shows: asksRarely,
  },
  {
    name: 'memory answers for an idle session',
    file: 'ledger/knowledge.js',
    text: "return !activity.hasPaused && at < activity.lastSeenAt + policy.idleTimeout ? 'vouched' : 'ask';",
    replacement: "return 'vouched';",
    shows: both(hasIdleTimeout, keepsData),
  },
  {
    name: 'a session that is known to be ended passes in an outage',
    file: 'ledger/judge.js',
    text: 'if (tombstone !== undefined) {',
    replacement: 'if (tombstone !== undefined && !this.#options.availability.isDown("commands")) {',
    shows: both(cutsOff, ({ settings }) => settings.whenStoreDown === 'allow'),
  },
  {
    name: 'the start of a session does not count before it is asked about',
    file: 'core/record.js',
    text: 'return secondOf(startedAt) < secondOf(cutoff.at);',
    replacement: 'return true;',
  },
  {
    name: 'a process forgets whom a cutoff excepts',
    file: 'core/record.js',
    text: 'if (handle === cutoff.except)',
    replacement: 'if (false)',
  },
  // Notices
  {
    name: 'a notice of an ending is not taken in',
    file: 'ledger/endings.js',
    text: "this.learnTombstone(user, notice.tombstone, 'notice');",
    replacement: ';',
    shows: asksRarely,
  },
  {
    name: 'a notice of a cutoff is not taken in',
    file: 'ledger/endings.js',
    text: 'this.#learnCutoff(notice);',
    replacement: ';',
    shows: asksRarely,
  },
  {
    name: 'the global cutoff ends nothing that is known',
    file: 'ledger/endings.js',
    text: 'globalCutoff.learn(cutoff);',
    replacement: 'globalCutoff.learn(cutoff); return;',
    shows: both(asksRarely, ({ steps }) => steps.some((step) => step.do === 'end-everywhere')),
  },
  {
    name: 'the place in the feed is not kept',
    file: 'stores/redis/feed.js',
    text: 'this.#position = step.position;',
    replacement: '',
    shows: asksRarely,
  },
  {
    name: 'a gap is not told',
    file: 'stores/redis/feed.js',
    text: 'if (this.#owedGap !== null)',
    replacement: 'if (false)',
    shows: both(trims, asksRarely),
  },
  {
    name: 'an ending is told again by each notice',
    file: 'ledger/ended.js',
    text: 'if (this.#announced.has(handle))',
    replacement: 'if (false)',
  },
  {
    name: 'nobody says that it ended a session',
    file: 'ledger/endings.js',
    text: 'ending.origin === origin',
    replacement: 'false',
    shows: both(keepsData, (schedule) => !killsProcesses(schedule)),
  },
  {
    name: 'everybody says that it ended a session',
    file: 'ledger/endings.js',
    text: 'ending.origin === origin',
    replacement: 'true',
    shows: keepsData,
  },
  {
    name: 'every sighting is a start',
    file: 'stores/redis/sight-script.js',
    text: "created: before === '' && row !== '',",
    replacement: 'created: true,',
    shows: keepsData,
  },
  // Writing endings
  {
    name: 'a revocation is acknowledged without its notice',
    file: 'stores/redis/sessions.js',
    text: 'await tell(revoked);',
    replacement: ';',
    shows: asksRarely,
  },
  {
    name: 'a notice without a tombstone',
    file: 'stores/redis/session-prelude.js',
    text: "redis.call('HSET', sessions, handle, text)\n  redis.call('HDEL', rows, handle)",
    replacement: "redis.call('HDEL', sessions, handle)\n  redis.call('HDEL', rows, handle)",
    shows: killsProcesses,
  },
  {
    name: 'a sighting brings an ended session back',
    file: 'stores/redis/sight-script.js',
    text: 'local kept = find(handle)',
    replacement: 'local kept = find(handle)\nif kept and kept.isTombstone then kept = nil end',
    shows: killsProcesses,
  },
  {
    name: 'logout ends nothing',
    file: 'http/logout.js',
    text: 'await ledger.revoke(',
    replacement: 'void (',
  },
  {
    name: 'the store forgets whom a cutoff excepts',
    file: 'stores/redis/session-prelude.js',
    text: 'local isExcepted = handle == cutoff.except',
    replacement: 'local isExcepted = false',
  },
  {
    name: 'a cutoff does not end what is on record',
    file: 'stores/redis/session-prelude.js',
    text: 'if survivedCutoffAt and survivedCutoffAt < cutoffAt and not isRestored then return true end',
    replacement: '',
  },
  {
    name: 'a revocation ends the session of its process alone',
    file: 'stores/redis/announcer.js',
    text: 'if (notices.length > 0)',
    replacement: 'if (false)',
    shows: asksRarely,
  },
  // Losses
  {
    name: 'nothing is written back',
    file: 'stores/redis/session-scripts.js',
    text: 'elseif lost.keptUntil >= past then',
    replacement: 'elseif false then',
    shows: both(losesData, killsProcesses, ({ settings }) => settings.activityInterval === 300),
  },
  {
    name: 'what is written back is not told',
    file: 'stores/redis/sessions.js',
    text: 'announcer.announce(endingNotices(user, tombstones), run)',
    replacement: 'Promise.resolve()',
    shows: both(losesData, killsProcesses, asksRarely),
  },
  {
    name: 'a cutoff is dated by the clock of Redis alone',
    file: 'stores/redis/cutoff-scripts.js',
    text: 'math.max(math.min(now, at), earliest)',
    replacement: 'math.max(now, earliest)',
    shows: ({ steps }) => steps.some((step) => step.do === 'redis-clock' && step.ahead > 0),
  },
  {
    name: 'a sighting does not say since when the session is in use',
    file: 'stores/redis/sight-script.js',
    text: 'knownUse?.inUseSince ?? sighting.at',
    replacement: 'sighting.at',
    shows: both(hasIdleTimeout, losesData),
  },
  // Cap, idle timeout, lists
  {
    name: 'there is no cap',
    file: 'stores/redis/sight-script.js',
    text: "if #all < maxSessions then return 'room' end",
    replacement: "if true then return 'room' end",
    shows: keepsData,
  },
  {
    name: 'a list begins with what was used longest ago',
    file: 'stores/redis/session-prelude.js',
    text: 'return a.lastSeenAt > b.lastSeenAt end',
    replacement: 'return a.lastSeenAt < b.lastSeenAt end',
  },
  {
    name: 'the last use is not written',
    file: 'stores/redis/sight-script.js',
    text: 'record.lastSeenAt = math.max(known.lastSeenAt, at)',
    replacement: 'record.lastSeenAt = known.lastSeenAt',
  },
  {
    name: 'what the cap ended is not told',
    file: 'stores/redis/sessions.js',
    text: 'announceEnded(ended);',
    replacement: ';',
    shows: asksRarely,
  },
  {
    name: 'an idle session goes on',
    file: 'stores/redis/session-prelude.js',
    text: "then return 'idle', idleAt end",
    replacement: "then return 'live' end",
    shows: both(hasIdleTimeout, keepsData),
  },
  {
    name: 'a use is not noted',
    file: 'ledger/activity.js',
    text: 'if (at <= this.lastSeenAt)',
    replacement: 'if (true)',
    shows: hasIdleTimeout,
  },
  // Answers
  {
    name: 'a failure in the background ends the process',
    file: 'ledger/judge.js',
    text: 'this.confirm(entry).catch(() => {',
    replacement: 'this.confirm(entry).finally(() => {',
    shows: cutsOff,
  },
  {
    name: 'an outage is an error of the application',
    file: 'core/errors.js',
    text: 'status: 503, title',
    replacement: 'status: 500, title',
    shows: cutsOff,
  },
];

export interface Copy {
  /** For the processes to load. */
  readonly built: string;
  remove(): void;
}

/** Throws if the text of the fault is not in the file. */
export function plant({ name, file, text, replacement }: PlantedFault): Copy {
  const folder = mkdtempSync(join(tmpdir(), 'managed-sessions-planted-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  cpSync(join(ROOT, 'dist/esm'), join(folder, 'esm'), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const path = join(folder, 'esm', file);
  const source = readFileSync(path, 'utf8');
  if (!source.includes(text)) {
    remove();
    throw new Error(`The planted fault '${name}' looks in ${file} for a text that is not there: ${text}`);
  }
  writeFileSync(path, source.replaceAll(text, replacement));
  return { built: join(folder, 'esm/index.js'), remove };
}
