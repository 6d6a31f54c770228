/** `npm run histories`: see HELP. */

import { parseArgs } from 'node:util';

import { run } from './fleet.js';
import { plant, PLANTED, type PlantedFault } from './planted.js';
import { canSetRedisClock } from './redis-clock.js';
import { excerpt, summary } from './report.js';
import { judgeHistory, type Judgement } from './rules.js';
import { scheduleOf, type Schedule } from './schedule.js';
import { isTheme, scheduleByTheme, THEMES, type Theme } from './themes.js';

const HELP = `Runs several processes on one Redis under faults, and judges what they did by the rules of test/histories/rules.ts.

npm run histories -- --minutes 30        for so long, one seed after the other
npm run histories -- --seed 17           one run: what is done and when follows from the seed
npm run histories -- --planted           looks for each fault of test/histories/planted.ts in a copy of the package
npm run histories -- --planted cap       looks for those whose name matches this
  --theme loss                             schedules made for something: ${THEMES.join(', ')}
  --seconds 20                           how long faults are made in each random run
  --processes 3                          how many processes a random run has
  --from 1                               the first seed
  --built dist/esm/index.js              the built package that the processes load
`;

export interface Options {
  readonly seconds: number;
  readonly processes: number;
  /** Null: schedules are random. */
  readonly theme: Theme | null;
}

/** Prints the run. Resolves to its judgement. */
export async function runSeed(seed: number, options: Options, built?: string): Promise<Judgement> {
  const schedule = scheduleBy(seed, options);
  const history = await run(schedule, built === undefined ? {} : { built });
  const judgement = judgeHistory(history);
  process.stdout.write(`${summary(schedule, history, judgement)}\n`);
  const shown = new Set<string>();
  for (const violation of judgement.violations) {
    process.stdout.write(`  VIOLATION ${violation.rule}: ${violation.what}\n`);
    const of = `${violation.rule} ${violation.session}`;
    if (!shown.has(of) && shown.size < 3) process.stdout.write(`${excerpt(history, violation)}\n`);
    shown.add(of);
  }
  if (judgement.violations.length > 0) {
    const { theme, seconds, processes } = options;
    const by = theme === null ? `--seconds ${seconds} --processes ${processes}` : `--theme ${theme}`;
    process.stdout.write(`  Again: npm run histories -- --seed ${seed} ${by}\n`);
  }
  return judgement;
}

/** The rules that the package itself breaks with a seed. A schedule of a theme is used for several planted faults. */
const brokenWithout = new Map<string, Promise<readonly string[]>>();

function brokenBy(schedule: Schedule, theme: Theme | null): Promise<readonly string[]> {
  const name = `${String(theme)} ${schedule.seed}`;
  const known = brokenWithout.get(name);
  if (known !== undefined) return known;
  const broken = run(schedule).then((history) => judgeHistory(history).violations.map(({ rule }) => rule));
  brokenWithout.set(name, broken);
  return broken;
}

/** Runs seeds in which the fault can show, until it is found. Resolves to whether it was. */
async function find(fault: PlantedFault, first: number, limit: number, options: Options): Promise<boolean> {
  const copy = plant(fault);
  const theme = fault.theme ?? null;
  const startedAt = performance.now();
  const seconds = (): string => `${((performance.now() - startedAt) / 1000).toFixed(0)} s`;
  const others = new Set<string>();
  try {
    let tried = 0;
    for (let seed = first; performance.now() - startedAt < limit; seed += 1) {
      const schedule = scheduleBy(seed, { ...options, theme });
      if (fault.shows?.(schedule) === false) continue;
      tried += 1;
      const { violations } = judgeHistory(await run(schedule, copy));
      const violation = violations.find(({ rule }) => fault.breaks.includes(rule));
      for (const { rule } of violations) if (!fault.breaks.includes(rule)) others.add(rule);
      if (violation === undefined) continue;
      const without = await brokenBy(schedule, theme);
      if (without.length > 0) {
        process.stdout.write(`  seed ${seed} breaks ${without.join(', ')} without the planted fault as well\n`);
        continue;
      }
      const where = `${theme ?? 'random'}, seed ${seed}, run ${tried}, ${seconds()}`;
      process.stdout.write(`found      ${fault.name}: ${where}, ${violation.rule}: ${violation.what}\n`);
      return true;
    }
    const broken = others.size === 0 ? '' : `; it breaks ${[...others].join(', ')}`;
    process.stdout.write(`NOT FOUND  ${fault.name}: ${theme ?? 'random'}, ${tried} runs, ${seconds()}${broken}\n`);
    return false;
  } finally {
    copy.remove();
  }
}

function scheduleBy(seed: number, { seconds, processes, theme }: Options): Schedule {
  if (theme !== null) return scheduleByTheme(theme, seed);
  const canSet = canSetRedisClock();
  return scheduleOf(seed, { processes, duration: seconds * 1000, canSetRedisClock: canSet });
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: 'boolean', default: false },
      minutes: { type: 'string' },
      seed: { type: 'string' },
      from: { type: 'string' },
      theme: { type: 'string' },
      seconds: { type: 'string', default: '20' },
      processes: { type: 'string', default: '3' },
      built: { type: 'string' },
      planted: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  if (!canSetRedisClock()) process.stdout.write('libfaketime is not installed: the clock of Redis is left alone\n');
  const theme = values.theme ?? null;
  if (theme !== null && !isTheme(theme)) throw new Error(`There is no theme '${theme}', only ${THEMES.join(', ')}`);
  const options = { seconds: Number(values.seconds), processes: Number(values.processes), theme };
  if (values.planted) {
    const named = PLANTED.filter(({ name }) => positionals.every((part) => new RegExp(part).test(name)));
    const wanted = named.filter((fault) => theme === null || fault.theme === theme);
    // Before the first run: a text that is not found any more is an error.
    for (const fault of wanted) plant(fault).remove();
    const limit = Number(values.minutes ?? '5') * 60_000;
    let found = 0;
    for (const fault of wanted) {
      if (await find(fault, Number(values.from ?? fault.seed ?? '1'), limit, options)) found += 1;
    }
    process.stdout.write(`${found} of ${wanted.length} planted faults were found.\n`);
    process.exitCode = found === wanted.length ? 0 : 1;
    return;
  }
  const seeds = values.seed === undefined ? Infinity : 1;
  const end = performance.now() + Number(values.minutes ?? '10') * 60_000;
  let found = 0;
  for (let count = 0; count < seeds && (seeds === 1 || performance.now() < end); count += 1) {
    const { violations } = await runSeed(Number(values.seed ?? values.from ?? '1') + count, options, values.built);
    found += violations.length;
  }
  process.stdout.write(found === 0 ? 'No violation.\n' : `${found} violations.\n`);
  process.exitCode = found === 0 ? 0 : 1;
}

void main()
  .catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? String(error.stack) : String(error)}\n`);
    process.exitCode = 2;
  })
  // What still waits, for example for a request that was given up, must not keep it running.
  .finally(() => process.exit());
