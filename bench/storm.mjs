/**
 * A storm of revocations: one process is offered more than it can do, while others send ordinary requests. By HTTP routes,
 * and by calls of `revoke`. After `npm run build`: `npm run bench:storm` (`-- --against path/to/another/dist` alternates).
 */

import { join, resolve } from 'node:path';
import process from 'node:process';
import { machine, markdownTable, QUICK, root, show, startProcess, startRedis } from './support.mjs';

const RATE = 2000;
const SECONDS = QUICK ? 3 : 6;
const ROUNDS = QUICK ? 1 : 3;
const ORDINARY = 100;
const WARM = 64;
const MODES = ['signOut', 'revoke'];
const issuer = { issuer: 'https://id.example.com/', secret: 'a secret for a benchmark, 32 bytes' };

const against = process.argv.indexOf('--against');
const builds = { now: join(root, 'dist'), ...(against > 0 && { before: resolve(process.argv[against + 1]) }) };

console.log(`${machine()}; ${RATE} revocations/s for ${SECONDS} s, ${ORDINARY} ordinary requests/s of each kind\n`);
const rows = [];
for (let round = 0; round < ROUNDS; round += 1) {
  for (const mode of MODES)
    for (const [name, dist] of Object.entries(builds)) rows.push(await measure(name, dist, mode));
}
console.log(
  markdownTable(
    [
      'build',
      'revocations',
      'offered',
      'done/s',
      'p50',
      'p99',
      'refused',
      'p99',
      'warm requests p99',
      'against no storm',
      'fresh requests p99',
      'against no storm',
      'of these refused',
      'longest pause',
      'without a storm',
      'the same in CPU ms',
      'without a storm',
      'storeDown',
    ],
    rows,
  ),
);

async function measure(name, dist, mode) {
  const redis = await startRedis();
  const app = await startProcess('storm-app.mjs', {
    core: 1,
    args: [dist],
    nodeArgs: process.env.APP_ARGS?.split(' '),
  });
  const [storm, warm, fresh] = await Promise.all(
    Array.from({ length: 3 }, () => startProcess('storm-load.mjs', { core: 0 })),
  );
  try {
    const { port } = await app.ask({ do: 'start', issuer, redis: redis.url });
    const url = `http://127.0.0.1:${String(port)}`;
    await warm.ask({ do: 'prepare', url, issuer, prefix: 'warm', count: WARM });
    await fresh.ask({ do: 'prepare', url, issuer, prefix: 'fresh', count: WARM });
    await storm.ask({ do: 'prepare', url, issuer, prefix: 'storm', count: RATE * SECONDS });
    const calm = await during(() => undefined);
    const stormy = await during(() => storm.ask({ do: mode, url, rate: RATE }));
    const { done, refused, failed, offered } = stormy.result;
    if (failed > 0) throw new Error(`${String(failed)} revocations failed otherwise than with 503`);
    const events = await (await fetch(`${url}/events`)).json();
    return [
      name,
      mode,
      String(offered),
      show(done.count / stormy.seconds),
      ...[done.p50, done.p99].map(milliseconds),
      String(refused.count),
      milliseconds(refused.p99),
      ...[stormy.warm.done.p99, stormy.warm.done.p99 / calm.warm.done.p99].map(milliseconds),
      ...[stormy.fresh.done.p99, stormy.fresh.done.p99 / calm.fresh.done.p99].map(milliseconds),
      String(stormy.warm.refused.count + stormy.fresh.refused.count),
      ...[stormy.longest, calm.longest, stormy.longestWork, calm.longestWork].map(milliseconds),
      String(events.storeDown),
    ];

    async function during(what) {
      await app.ask({ do: 'watch' });
      const start = performance.now();
      const asking = { do: 'ask', rate: ORDINARY, seconds: SECONDS };
      const [result, ofWarm, ofFresh] = await Promise.all([
        Promise.resolve(what()).then((value) => ({ value, seconds: (performance.now() - start) / 1000 })),
        warm.ask({ ...asking, url }),
        fresh.ask({ ...asking, url: `${url}/fresh` }),
      ]);
      const pauses = await app.ask({ do: 'longestPause' });
      return { result: result.value, seconds: result.seconds, warm: ofWarm, fresh: ofFresh, ...pauses };
    }
  } finally {
    await Promise.all([app, storm, warm, fresh].map((child) => child.stop()));
    await redis.stop();
  }
}

function milliseconds(value) {
  return value === null ? '' : show(value);
}
