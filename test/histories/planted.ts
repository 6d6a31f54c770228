/** Faults that are put into copies of the built package. The checker must find each of them. */

import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Violation } from './rules.js';
import type { Schedule } from './schedule.js';
import type { Theme } from './themes.js';

export interface PlantedFault {
  readonly name: string;
  /** Below `dist/esm`. */
  readonly file: string;
  /** It must be in the file. */
  readonly text: string;
  readonly replacement: string;
  /** The rules that it breaks. */
  readonly breaks: readonly Violation['rule'][];
  /** In the schedules of which theme it shows. Default: in random ones. */
  readonly theme?: Theme;
  /** The first seed to try. Default: 1. */
  readonly seed?: number;
  /** Only runs in which it can show. Default: all. */
  readonly shows?: (schedule: Schedule) => boolean;
}

const ROOT = join(__dirname, '../..');

/** Whoever is not told of an ending asks only after a while. */
const asksRarely = ({ settings }: Schedule): boolean => settings.activityInterval === 5000;

export const PLANTED: readonly PlantedFault[] = [
  // What a process knows
  {
    name: 'forgets what ended',
    file: 'ledger/ended.js',
    text: 'return this.#standing(handle, now)?.tombstone;',
    replacement: 'return undefined;',
    breaks: ['H1', 'H2'],
    theme: 'loss',
    seed: 2,
  },
  {
    name: 'does not ask when memory is old',
    file: 'ledger/knowledge.js',
    text: 'if (freshness.ageOf(vouch) > freshness.bound)',
    replacement: 'if (false)',
    breaks: ['H1'],
    theme: 'missed',
  },
  {
    name: 'a feed is always fresh',
    file: 'stores/redis/feed.js',
    text: 'return elapsed() - this.#countedAt;',
    replacement: 'return this.#countedAt === -Infinity ? Infinity : 0;',
    breaks: ['H1'],
    theme: 'missed',
  },
  {
    name: 'nothing is doubted after a gap',
    file: 'ledger/freshness.js',
    text: 'this.#generation += 1;',
    replacement: '',
    breaks: ['H1'],
    theme: 'missed',
    seed: 2,
  },
  {
    name: 'a fresh request is answered from memory',
    file: 'ledger/judge.js',
    text: 'entry !== undefined && !fresh && assess(',
    replacement: 'entry !== undefined && assess(',
    shows: asksRarely,
    breaks: ['H1'],
  },
  {
    name: 'memory answers for an idle session',
    file: 'ledger/knowledge.js',
    text: "return at < standsUntil(facts, activity, policy, token) ? 'vouched' : 'ask';",
    replacement: "return 'vouched';",
    breaks: ['H7'],
    theme: 'idle',
  },
  {
    name: 'a session that is known to be ended passes in an outage',
    file: 'ledger/ended-refusals.js',
    text: 'if (tombstone !== undefined) {',
    replacement: 'if (tombstone !== undefined && !this.#options.availability.isDown("commands")) {',
    breaks: ['H1', 'H2'],
    theme: 'idle',
    seed: 4,
  },
  {
    name: 'the start of a session does not count before it is asked about',
    file: 'core/cutoff.js',
    text: 'return began < ends;',
    replacement: 'return true;',
    breaks: ['H4'],
    theme: 'endings',
  },
  {
    name: 'a process forgets whom a cutoff excepts',
    file: 'core/cutoff.js',
    text: 'if (handle === cutoff.except)',
    replacement: 'if (false)',
    breaks: ['H4'],
    theme: 'endings',
  },
  // Notices
  {
    name: 'a notice of an ending is not taken in',
    file: 'ledger/endings.js',
    text: "this.learnTombstone(user, notice.tombstone, 'notice');",
    replacement: ';',
    breaks: ['H1'],
    theme: 'endings',
  },
  {
    name: 'a notice of a cutoff is not taken in',
    file: 'ledger/endings.js',
    text: 'this.#learnCutoff(notice);',
    replacement: ';',
    breaks: ['H1'],
    theme: 'endings',
  },
  {
    name: 'the global cutoff ends nothing that is known',
    file: 'ledger/endings.js',
    text: 'globalCutoff.learn(cutoff);',
    replacement: 'globalCutoff.learn(cutoff); return;',
    breaks: ['H1'],
    theme: 'endings',
    seed: 2,
  },
  {
    name: 'the place in the feed is not kept',
    file: 'stores/redis/feed-reader.js',
    text: 'this.#position = step.position;',
    replacement: '',
    breaks: ['H1'],
    theme: 'endings',
  },
  {
    name: 'a gap is not told',
    file: 'stores/redis/feed-reader.js',
    text: 'if (this.#owedGap !== null)',
    replacement: 'if (false)',
    breaks: ['H1'],
    theme: 'missed',
  },
  {
    name: 'an ending is told again by each notice',
    file: 'ledger/ended.js',
    text: 'if (this.#announced.has(handle))',
    replacement: 'if (false)',
    breaks: ['H5'],
    theme: 'endings',
  },
  {
    name: 'nobody says that it ended a session',
    file: 'ledger/endings.js',
    text: 'ending.origin === origin',
    replacement: 'false',
    breaks: ['H5'],
    theme: 'endings',
  },
  {
    name: 'everybody says that it ended a session',
    file: 'ledger/endings.js',
    text: 'ending.origin === origin',
    replacement: 'true',
    breaks: ['H5'],
    theme: 'endings',
  },
  {
    name: 'every sighting is a start',
    file: 'stores/redis/common-sighting.js',
    text: "created: stringOf(state) === 'new',",
    replacement: 'created: true,',
    breaks: ['H5'],
    theme: 'endings',
  },
  // Writing endings
  {
    name: 'a revocation is acknowledged without its notice',
    file: 'stores/redis/sessions.js',
    text: 'await tell(revoked);',
    replacement: ';',
    breaks: ['H1'],
    theme: 'endings',
  },
  {
    name: 'a notice without a tombstone',
    file: 'stores/redis/session-ending.js',
    text: "redis.call('HSET', sessions, unpack(fields))",
    replacement: "redis.call('HDEL', sessions, unpack(handles))",
    breaks: ['H1'],
    theme: 'missed',
  },
  {
    name: 'a sighting brings an ended session back',
    file: 'stores/redis/sight-script.js',
    text: 'local kept = found(handle, keptText)',
    replacement: 'local kept = found(handle, keptText)\nif kept and kept.isTombstone then kept = nil end',
    breaks: ['H1', 'H2'],
    theme: 'missed',
  },
  {
    name: 'logout ends nothing',
    file: 'http/logout.js',
    text: 'await ledger.revoke(',
    replacement: 'void (',
    breaks: ['H1'],
    theme: 'endings',
  },
  {
    name: 'the store forgets whom a cutoff excepts',
    file: 'stores/redis/session-prelude.js',
    text: 'local isExcepted = handle == cutoff.except',
    replacement: 'local isExcepted = false',
    breaks: ['H4'],
    theme: 'endings',
  },
  {
    name: 'a cutoff does not end what is on record',
    file: 'stores/redis/session-prelude.js',
    text: 'if survivedCutoffAt and survivedCutoffAt < cutoffAt and not isRestored then return not isBackdated or began <= ends end',
    replacement: '',
    breaks: ['H1'],
    theme: 'endings',
  },
  {
    name: 'a revocation ends the session of its process alone',
    file: 'stores/redis/announcer.js',
    text: 'if (notices.length > 0)',
    replacement: 'if (false)',
    breaks: ['H1'],
    theme: 'endings',
  },
  // Losses
  {
    name: 'nothing is written back',
    file: 'stores/redis/session-scripts.js',
    text: 'elseif lost.keptUntil >= past then',
    replacement: 'elseif false then',
    breaks: ['H1'],
    theme: 'loss',
    seed: 2,
  },
  {
    name: 'what is written back is not told',
    file: 'stores/redis/sessions.js',
    text: 'announcer.announce(isUnseen ? [] : endingNotices(user, tombstones), runFirst)',
    replacement: 'Promise.resolve()',
    breaks: ['H1'],
    theme: 'loss',
  },
  {
    name: 'a cutoff is dated by the clock of Redis alone',
    file: 'stores/redis/cutoff-scripts.js',
    text: 'math.max(math.min(now, at), earliest)',
    replacement: 'math.max(now, earliest)',
    shows: ({ steps }) => steps.some((step) => step.do === 'redis-clock' && step.ahead > 0),
    breaks: ['H4'],
  },
  {
    name: 'a sighting does not say since when the session is in use',
    file: 'stores/redis/sight-script.js',
    text: 'knownUse?.inUseSince ?? sighting.at',
    replacement: 'sighting.at',
    breaks: ['H4'],
    theme: 'idle',
  },
  // Cap, idle timeout, lists
  {
    name: 'there is no cap',
    file: 'stores/redis/sight-script.js',
    text: "if #all < maxSessions then return 'room' end",
    replacement: "if true then return 'room' end",
    breaks: ['H6'],
    theme: 'cap',
  },
  {
    name: 'a list begins with what was used longest ago',
    file: 'stores/store.js',
    text: 'return b.lastSeenAt - a.lastSeenAt;',
    replacement: 'return a.lastSeenAt - b.lastSeenAt;',
    breaks: ['H6'],
    theme: 'cap',
  },
  {
    name: 'the last use is not written',
    file: 'stores/redis/common-sighting.js',
    text: 'math.max(lastSeenAt, at), math.max(tokensEndAt',
    replacement: 'lastSeenAt, math.max(tokensEndAt',
    breaks: ['H4', 'H6'],
    theme: 'idle',
  },
  {
    name: 'what the cap ended is not told',
    file: 'stores/redis/sessions.js',
    text: 'announceEnded(ended);',
    replacement: ';',
    breaks: ['H2'],
    theme: 'cap',
  },
  {
    name: 'an idle session goes on',
    file: 'stores/redis/session-prelude.js',
    text: "then return 'idle', idleAt end",
    replacement: "then return 'live' end",
    breaks: ['H7'],
    theme: 'idle',
  },
  {
    name: 'a use is not noted',
    file: 'ledger/activity.js',
    text: 'if (at <= this.lastSeenAt)',
    replacement: 'if (true)',
    breaks: ['H4'],
    theme: 'idle',
  },
  // Answers
  {
    name: 'a failure in the background ends the process',
    file: 'ledger/judge.js',
    text: 'this.confirm(entry).catch(() => {',
    replacement: 'this.confirm(entry).finally(() => {',
    breaks: ['H3'],
    theme: 'idle',
  },
  {
    name: 'an outage is an error of the application',
    file: 'core/errors.js',
    text: 'status: 503, title',
    replacement: 'status: 500, title',
    breaks: ['H3'],
    theme: 'missed',
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
