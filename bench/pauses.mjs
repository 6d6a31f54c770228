/**
 * The longest pause of the event loop while many sessions end, and what another user's requests wait meanwhile. After
 * `npm run build`: `npm run bench:pauses` (`-- --quick`: a tenth of the sessions). Through the public API, with the memory
 * store and with Redis. An idle process on the same core shows what the machine adds.
 */

import { join } from 'node:path';
import process from 'node:process';
import { machine, markdownTable, QUICK, root, show, startProcess, startRedis } from './support.mjs';

const COUNT = QUICK ? 10_000 : 100_000;
const OF_ONE_USER = QUICK ? 1000 : 5000;
const GOAL = '20';
const ROUNDS = QUICK ? 1 : 2;

/** What is measured, and what has to be there first. */
const SCENES = [
  { name: 'endEverywhere()', scene: 'endEverywhere', users: COUNT, perUser: 1 },
  { name: 'endEverywhere(), 5,000 streams open', scene: 'endEverywhere', users: COUNT, perUser: 1, streams: 5000 },
  { name: 'revokeAll() of one user', scene: 'revokeAll', users: 1, perUser: OF_ONE_USER },
  { name: 'one user, one by one', scene: 'oneByOne', users: 1, perUser: OF_ONE_USER },
  { name: 'another process ends one user', scene: 'elsewhere', users: 1, perUser: OF_ONE_USER, only: 'redis' },
  { name: 'a gap in the feed', scene: 'gap', users: COUNT, perUser: 1, only: 'redis' },
  { name: 'known endings run out', scene: 'runOut', users: COUNT, perUser: 1 },
  { name: 'the store lost its data', scene: 'loss', users: COUNT, perUser: 1, only: 'redis' },
];

console.log(`${machine()}; ${show(COUNT)} sessions; all times in ms, the worst of ${show(ROUNDS)}\n`);
const only = process.argv.find((argument) => argument.startsWith('--only='))?.slice('--only='.length);
const rows = [];
for (const what of SCENES.filter(({ scene }) => only === undefined || scene === only)) {
  for (const store of ['memory', 'redis'].filter((name) => (what.only ?? name) === name)) {
    const results = [];
    for (let round = 0; round < ROUNDS; round += 1) results.push(await measure(what, store));
    const worst = (of) => Math.max(...results.map(of));
    rows.push([
      what.name,
      store,
      show(worst(({ pause }) => pause)),
      show(worst(({ gc }) => gc)),
      show(worst(({ machinePause }) => machinePause)),
      show(worst(({ before }) => before.p99)),
      show(worst(({ during }) => during.p99)),
      GOAL,
      show(worst(({ took }) => took)),
    ]);
  }
}
console.log(
  markdownTable(
    [
      'what',
      'store',
      'longest pause',
      'of it GC',
      'an idle process',
      'request p99 before',
      'request p99 during',
      'goal',
      'all told after',
    ],
    rows,
  ),
);

async function measure({ scene, users, perUser, streams = 0 }, store) {
  const redis = store === 'redis' ? await startRedis() : undefined;
  const args = [join(root, 'dist'), redis?.url ?? ''];
  const [app, idle, load] = await Promise.all([
    startProcess('pauses-app.mjs', { core: 1, args }),
    startProcess('pauses-app.mjs', { core: 1, args: [join(root, 'dist'), ''] }),
    startProcess('pauses-load.mjs', { core: 0 }),
  ]);
  try {
    const { port, token } = await app.ask({ do: 'prepare', scene, users, perUser, streams });
    const before = await load.ask({ do: 'ask', port, token, for: 2000 });
    await idle.ask({ do: 'watch' });
    await load.ask({ do: 'start', port, token });
    const measured = await app.ask({ do: 'run', scene });
    const during = await load.ask({ do: 'stop' });
    const { pause: machinePause } = await idle.ask({ do: 'watched' });
    return { ...measured, before, during, machinePause };
  } finally {
    await Promise.all([app.stop(), idle.stop(), load.stop()]);
    await redis?.stop();
  }
}
