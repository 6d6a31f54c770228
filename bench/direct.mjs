/** What the middleware itself costs per warm request, without HTTP. It varies least of all figures. `node bench/direct.mjs` */

import process from 'node:process';
import { contestants } from './contestants.mjs';
import { createBench } from './setup.mjs';
import { machine, markdownTable, median, QUICK, show } from './support.mjs';

const ROUNDS = QUICK ? 7 : 15;
const WARM_UP = 3;
/** Slices of 256 requests per round, chosen so that each contestant takes about as long. */
const NAMES = {
  empty: 64,
  floor: 64,
  'floor-cookie': 64,
  'ours-memory': 64,
  'ours-redis': 64,
  'ours-idle': 64,
  'ours-cookie': 64,
  'fast-jwt': 64,
  'express-jwt': 4,
  'oauth2-jwt-bearer': 4,
};

/**
 * Microseconds by contestant, minus the cost of the benchmark itself (the empty middleware). Each round measures all
 * contestants. `plain`: the request is a plain object. `express`: it is Express's own, to which a middleware takes about a
 * microsecond to add a property.
 */
export async function measureDirect(bench) {
  const running = [];
  for (const [name, slices] of Object.entries(NAMES)) {
    running.push({ name, slices, child: await bench.start(name, { nodeArgs: ['--expose-gc'] }) });
  }
  const plain = await measureRounds(running, true);
  const express = await measureRounds(running, false);
  await Promise.all(running.map(({ child }) => child.stop()));
  return running.map(({ name }) => ({
    name,
    plain: plain[name] - plain.empty,
    express: express[name] - express.empty,
  }));
}

async function measureRounds(running, plain) {
  const rounds = Object.fromEntries(running.map(({ name }) => [name, []]));
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (const { name, child, slices } of running) {
      const { perRequest } = await child.ask({ do: 'direct', slices, plain });
      if (round >= 0) rounds[name].push(perRequest);
    }
  }
  return Object.fromEntries(Object.entries(rounds).map(([name, measured]) => [name, median(measured)]));
}

export function directTable(results) {
  const ours = results.find(({ name }) => name === 'ours-redis');
  return markdownTable(
    ['own CPU per warm request, direct call', 'µs', 'ours is', "µs with Express's request", 'ours is'],
    results
      .filter(({ name }) => name !== 'empty' && !name.startsWith('floor'))
      .map(({ name, plain, express }) => [
        contestants[name].title,
        show(plain),
        name.startsWith('ours') ? '' : `1/${show(plain / ours.plain)}`,
        show(express),
        name.startsWith('ours') ? '' : `1/${show(express / ours.express)}`,
      ]),
  );
}

/** Against the least that any such middleware must do, with the same header. */
export function floorTable(results) {
  const of = (wanted) => results.find(({ name }) => name === wanted);
  return markdownTable(
    ['times the floor (goal: 1.8)', 'plain request', "Express's request"],
    ['ours-memory', 'ours-redis', 'ours-idle', 'ours-cookie'].map((name) => {
      const [ours, floor] = [of(name), of(name === 'ours-cookie' ? 'floor-cookie' : 'floor')];
      return [contestants[name].title, show(ours.plain / floor.plain), show(ours.express / floor.express)];
    }),
  );
}

if (process.argv[1] === import.meta.filename) {
  const bench = await createBench();
  console.log(`${machine()}\n`);
  try {
    const results = await measureDirect(bench);
    console.log(`${directTable(results)}\n\n${floorTable(results)}`);
  } finally {
    await bench.close();
  }
}
