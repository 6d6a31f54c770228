/**
 * Many simulations of the ledger: `npm run model -- --runs 1000000 [--seed 1] [--workers 2] [--rules judged|all|bound,return,...]
 * [--faults all|none|loss,clocks,...] [--stop 5]`. Prints each kind of violation with its seed and the smallest schedule that has it.
 */

import { register } from 'node:module';
import { availableParallelism } from 'node:os';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/** Seeds that a worker takes at once. */
const PORTION = 500;

if (isMainThread) await main();
else await work();

async function main() {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '100000' },
      seed: { type: 'string', default: '1' },
      workers: { type: 'string', default: String(availableParallelism()) },
      rules: { type: 'string', default: 'judged' },
      faults: { type: 'string', default: 'all' },
      stop: { type: 'string', default: '1' },
    },
  });
  const first = Number(values.seed);
  const end = first + Number(values.runs);
  const began = performance.now();
  const totals = { runs: 0, accepted: 0, refused: 0 };
  const found = new Map();
  let next = first;
  let printedAt = began;

  const portion = () => {
    const seeds = { from: next, to: Math.min(next + PORTION, end) };
    next = seeds.to;
    return seeds.from < seeds.to && found.size < Number(values.stop) ? seeds : null;
  };
  const seconds = () => ((performance.now() - began) / 1000).toFixed(0);
  const take = ({ runs, accepted, refused, violations }) => {
    totals.runs += runs;
    totals.accepted += accepted;
    totals.refused += refused;
    for (const one of violations) {
      const kind = one.violations
        .map(
          ({ rule, text }) =>
            `${rule}: ${text
              .replace(/\b(ann|bob)-\d/g, 'X')
              .replace(/\d+/g, 'N')
              .replace(/gets .*/, '')}`,
        )
        .join('; ');
      if (found.has(kind)) continue;
      found.set(kind, one);
      console.log(`\nSeed ${one.seed} (${JSON.stringify(one.violations)}):\n${shown(one.schedule)}`);
    }
    if (performance.now() - printedAt < 10_000) return;
    printedAt = performance.now();
    console.log(`${totals.runs} runs in ${seconds()} s, ${found.size} kinds of violations`);
  };
  const workers = Array.from({ length: Number(values.workers) }, () => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: values,
      // A run leaves nothing behind: most of it need not be copied to be cleared.
      resourceLimits: { maxYoungGenerationSizeMb: 192 },
    });
    return new Promise((resolve, reject) => {
      worker.on('message', (message) => {
        if (message !== 'ready') take(message);
        worker.postMessage(portion());
      });
      worker.on('error', reject);
      worker.on('exit', resolve);
    });
  });
  await Promise.all(workers);
  console.log(
    `${totals.runs} schedules from seed ${first} in ${seconds()} s on ${values.workers} workers: ` +
      `${totals.accepted} requests let pass, ${totals.refused} refused as ended, ${found.size} kinds of violations`,
  );
  process.exitCode = found.size > 0 ? 1 : 0;
}

function shown({ setting, steps }) {
  return [JSON.stringify(setting), ...steps.map((step) => `  ${JSON.stringify(step)}`)].join('\n');
}

async function work() {
  register('../support/typescript.mjs', import.meta.url);
  const { play } = await import('./play.ts');
  const { JUDGED, RULES } = await import('./rules.ts');
  const { scheduleOf, shrink, FAULTS } = await import('./schedule.ts');
  const rules = { all: Object.keys(RULES), judged: JUDGED }[workerData.rules] ?? workerData.rules.split(',');
  const faults = { all: FAULTS, none: [] }[workerData.faults] ?? workerData.faults.split(',');
  const turn = setImmediate;
  // Nobody reads the stacks of refusals.
  Error.stackTraceLimit = 0;

  parentPort.on('message', async (seeds) => {
    if (seeds === null) {
      parentPort.close();
      return;
    }
    const result = { runs: seeds.to - seeds.from, accepted: 0, refused: 0, violations: [] };
    for (let seed = seeds.from; seed < seeds.to; seed += 1) {
      const { violations, accepted, refused } = await play(scheduleOf(seed, faults), rules);
      result.accepted += accepted;
      result.refused += refused;
      if (violations.length > 0 && result.violations.length < 3)
        result.violations.push(await smallest(seed, violations));
      // Node cleans up between turns.
      if (seed % 50 === 0) await new Promise((resolve) => turn(resolve));
    }
    parentPort.postMessage(result);
  });
  parentPort.postMessage('ready');

  async function smallest(seed, violations) {
    const broken = violations[0].rule;
    const schedule = await shrink(scheduleOf(seed, faults), async (shorter) => {
      const outcome = await play(shorter, rules);
      return outcome.violations[0]?.rule === broken;
    });
    return { seed, schedule, violations: (await play(schedule, rules)).violations };
  }
}
