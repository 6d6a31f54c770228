/**
 * What the middleware costs in an application, compared with what people would install instead. After `npm run build`:
 *
 *     npm run bench              every contestant, about a quarter of an hour
 *     npm run bench -- --quick   the same, shorter and noisier
 *     npm run bench -- --only express-session,better-auth
 *
 * Each contestant is a process of its own, with a core of its own if `taskset` is installed. It serves two ports: one with
 * the middleware, one without it (the bare route). A round loads both ports of each contestant in turn. The results are
 * medians over the rounds, relative to the neighbouring bare windows.
 */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { contestants } from './contestants.mjs';
import { directTable, floorTable, measureDirect } from './direct.mjs';
import { createBench, USERS } from './setup.mjs';
import {
  commandsSent,
  commandStats,
  machine,
  markdownTable,
  median,
  percentile,
  QUICK,
  show,
  startProcess,
} from './support.mjs';

// Many short windows, so that the median ignores those in which the machine was busy with something else.
const ROUNDS = QUICK ? 3 : 9;
const SECONDS = 0.5;
/** `--only express-session,denylist`: these, and the ones with which they are compared. */
const only = process.argv[process.argv.indexOf('--only') + 1]?.split(',');
const NAMES = Object.keys(contestants).filter(
  (name) =>
    contestants[name].directOnly !== true &&
    (!process.argv.includes('--only') || ['bare', 'empty', 'ours-redis', ...only].includes(name)),
);
const FIRST_REQUESTS = QUICK ? 300 : 1000;
const BURST = 10_000;
const RESULTS = join(import.meta.dirname, 'results');

const bench = await createBench();
const load = await startProcess('load.mjs', { core: 0 });
const before = machine();
try {
  const direct = await measureDirect(bench);
  const served = await measureServed();
  const first = await measureFirst();
  const burst = await measureBurst();
  await report({ machine: before, afterwards: machine(), users: USERS, rounds: ROUNDS, direct, served, first, burst });
} finally {
  await load.stop();
  await bench.close();
}

/**
 * In each round, a contestant's bare and guarded windows alternate. The kind that begins alternates between rounds, so
 * that drift affects both alike. The first window is not counted: after the turns of the others, the caches are cold, and
 * last-seen times are due to be written.
 */
async function measureServed() {
  const running = [];
  for (const name of NAMES) running.push({ name, child: await bench.start(name), rounds: [] });
  for (let round = -1; round < ROUNDS; round++) {
    for (const { child, rounds } of running) {
      const windows = { bare: [], guarded: [] };
      const [one, other] = round % 2 === 0 ? ['bare', 'guarded'] : ['guarded', 'bare'];
      await measureWindow(child, child.prepared[`${other}Url`]);
      for (const kind of [one, other, one, other]) {
        windows[kind].push(await measureWindow(child, child.prepared[`${kind}Url`]));
      }
      if (round >= 0) rounds.push({ bare: together(windows.bare), guarded: together(windows.guarded) });
    }
    process.stderr.write(`round ${String(round + 1)} of ${String(ROUNDS)}\n`);
  }
  await Promise.all(running.map(({ child }) => child.stop()));
  return running.map(({ name, rounds }) => ({ name, ...summary(rounds) }));
}

async function measureWindow(child, url) {
  const earlier = await child.ask({ do: 'usage' });
  const commandsEarlier = await commandStats(child.redis);
  const fired = await load.ask({ do: 'fire', url, headers: child.prepared.headers, seconds: SECONDS });
  const later = await child.ask({ do: 'usage' });
  const commands = commandsSent(commandsEarlier, await commandStats(child.redis));
  return { ...fired, cpu: later.cpu - earlier.cpu, commands, rss: later.rss };
}

function together(windows) {
  const sum = (name) => windows.reduce((total, each) => total + each[name], 0);
  const requests = sum('requests');
  return {
    cpu: sum('cpu') / requests,
    perSecond: requests / sum('duration'),
    commands: sum('commands') / requests,
    errors: sum('errors'),
    p50: sum('p50') / windows.length,
    p99: Math.max(...windows.map(({ p99 }) => p99)),
    rss: windows[0].rss,
  };
}

function summary(rounds) {
  const over = (pick) => median(rounds.map(pick));
  return {
    cpuRatio: over(({ bare, guarded }) => guarded.cpu / bare.cpu),
    cpu: over(({ guarded }) => guarded.cpu),
    perSecondRatio: over(({ bare, guarded }) => guarded.perSecond / bare.perSecond),
    perSecond: over(({ guarded }) => guarded.perSecond),
    p50: over(({ guarded }) => guarded.p50),
    p99: over(({ guarded }) => guarded.p99),
    commands: over(({ guarded }) => guarded.commands),
    rss: over(({ guarded }) => guarded.rss),
    errors: rounds.reduce((sum, { guarded, bare }) => sum + guarded.errors + bare.errors, 0),
  };
}

/** One request at a time. Each of ours is the first of a session; those of express-session are in sessions that exist. */
async function measureFirst() {
  const ours = await bench.start('ours-redis');
  const theirs = await bench.start('express-session');
  const template = ours.prepared.headers[0];
  const fresh = Array.from({ length: FIRST_REQUESTS }, (_, index) => ({
    ...template,
    authorization: `Bearer ${bench.issue(1000 + index)}`,
  }));
  const took = { ours: [], theirs: [] };
  await load.ask({ do: 'inTurn', url: ours.prepared.guardedUrl, headers: ours.prepared.headers });
  await load.ask({ do: 'inTurn', url: theirs.prepared.guardedUrl, headers: theirs.prepared.headers });
  let sent = 0;
  for (let start = 0; start < fresh.length; start += 50) {
    const batch = fresh.slice(start, start + 50);
    const earlier = await commandStats(ours.redis);
    took.ours.push(...(await load.ask({ do: 'inTurn', url: ours.prepared.guardedUrl, headers: batch })).took);
    sent += commandsSent(earlier, await commandStats(ours.redis));
    const known = theirs.prepared.headers.slice(0, 50);
    took.theirs.push(...(await load.ask({ do: 'inTurn', url: theirs.prepared.guardedUrl, headers: known })).took);
  }
  await ours.stop();
  await theirs.stop();
  const [p50, session] = [median(took.ours), median(took.theirs)];
  return {
    p50,
    p99: percentile(took.ours, 0.99),
    expressSession: session,
    ratio: p50 / session,
    commands: sent / fresh.length,
  };
}

async function measureBurst() {
  const ours = await bench.start('ours-redis');
  const tokens = Array.from({ length: BURST }, (_, index) => bench.issue(100_000 + index));
  await ours.ask({ do: 'burst', tokens: tokens.slice(0, 100) });
  const earlier = await commandStats(ours.redis);
  const { elapsed, failed } = await ours.ask({ do: 'burst', tokens: tokens.slice(100) });
  const commands = commandsSent(earlier, await commandStats(ours.redis)) / (BURST - 100);
  await ours.stop();
  return { sessions: BURST - 100, elapsed, failed, commands };
}

async function report(result) {
  const text = markdown(result);
  console.log(`\n${text}`);
  await mkdir(RESULTS, { recursive: true });
  await writeFile(join(RESULTS, 'bench.json'), `${JSON.stringify(result, null, 2)}\n`);
  await writeFile(join(RESULTS, 'bench.md'), `${text}\n`);
}

function markdown({ served, first, burst, direct, ...about }) {
  const of = (name) => served.find((each) => each.name === name);
  const empty = of('empty');
  const table = markdownTable(
    [
      '',
      'CPU per request, bare = 1',
      'requests/s, bare = 1',
      'requests/s',
      'p50 ms',
      'p99 ms',
      'Redis commands',
      'RSS MiB',
      'errors',
    ],
    served.map(({ name, ...each }) => [
      contestants[name].title,
      each.cpuRatio.toFixed(2),
      each.perSecondRatio.toFixed(2),
      show(each.perSecond),
      show(each.p50),
      show(each.p99),
      each.commands < 0.0001 ? '0' : show(each.commands, 2),
      show(each.rss / 2 ** 20),
      each.errors,
    ]),
  );
  const itself = of('bare').cpuRatio;
  const ours = of('ours-redis');
  return [
    `${about.machine}; afterwards ${about.afterwards.replace(/.*load/, 'load')}. ${String(USERS)} users, 64 connections, medians of ${String(ROUNDS)} rounds.`,
    `The bare route against itself: ${itself.toFixed(3)} (${itself >= 0.97 && itself <= 1.03 ? 'the run counts' : 'the machine was too busy: the run does not count'}).`,
    '',
    directTable(direct),
    floorTable(direct),
    '',
    table,
    '',
    markdownTable(
      ['managed-sessions with Redis', 'measured', 'goal'],
      [
        ['CPU per HTTP request, bare route = 1', ours.cpuRatio.toFixed(2), 'at most 1.20'],
        [
          'requests/s against the empty middleware',
          (ours.perSecondRatio / empty.perSecondRatio).toFixed(2),
          'at least 0.95',
        ],
        ...['express-session', 'denylist', 'better-auth']
          .filter((name) => NAMES.includes(name))
          .map((name) => [
            `requests/s against ${contestants[name].title}`,
            (ours.perSecondRatio / of(name).perSecondRatio).toFixed(2),
            name === 'express-session' ? 'at least 1.7' : 'at least 2.9',
          ]),
        ['Redis commands per request', show(ours.commands, 2), 'under 0.01'],
        ...freshRows(of),
        ["first request: p50 against express-session's", first.ratio.toFixed(2), 'at most 1.5'],
        ['first request: commands', show(first.commands), '1'],
        [`${String(burst.sessions)} first requests at once: commands each`, show(burst.commands), 'at most 1.2'],
        [`${String(burst.sessions)} first requests at once: refused`, burst.failed, '0'],
        [`${String(burst.sessions)} first requests at once: ms in total`, show(burst.elapsed), ''],
      ],
    ),
  ].join('\n');
}

function freshRows(of) {
  const [fresh, session] = [of('ours-fresh'), of('express-session')];
  if (fresh === undefined || session === undefined) return [];
  return [
    ["`fresh: true`: CPU against express-session's", (fresh.cpuRatio / session.cpuRatio).toFixed(2), 'at most 1'],
    ['`fresh: true`: commands per request', show(fresh.commands), '1'],
  ];
}
