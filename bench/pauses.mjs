/**
 * The longest pause of the event loop while many sessions end, and what another user's requests wait meanwhile. After
 * `npm run build`: `npm run bench:pauses` (`-- --quick`: a tenth of the sessions; `-- --only=gap`: a part). Through the
 * public API, with the memory store and with Redis. An idle process on the same core shows what the machine adds.
 */

import { join } from 'node:path';
import process from 'node:process';
import { machine, markdownTable, QUICK, root, show, startProcess, startRedis } from './support.mjs';

const COUNT = QUICK ? 10_000 : 100_000;
const OF_ONE_USER = QUICK ? 500 : 5000;
const GOAL = '20';

const EVERYBODY = { users: COUNT, perUser: 1 };
const ONE_USER = { users: 1, perUser: OF_ONE_USER };
const WITH_STREAMS = { ...EVERYBODY, streams: OF_ONE_USER };

/** What is measured, and what has to be there first. */
const SCENES = [
  { name: 'endEverywhere()', scene: 'endEverywhere', ...EVERYBODY },
  { name: `endEverywhere(), ${show(OF_ONE_USER)} open streams`, scene: 'endEverywhere', ...WITH_STREAMS },
  { name: 'nothing ends, as many open streams', scene: 'watching', ...WITH_STREAMS, only: 'memory' },
  { name: `revokeAll() of ${show(OF_ONE_USER)} sessions`, scene: 'revokeAll', ...ONE_USER },
  { name: 'as many, one by one', scene: 'oneByOne', ...ONE_USER },
  { name: 'as many, by another process', scene: 'elsewhere', ...ONE_USER, only: 'redis' },
  { name: 'a gap in the feed', scene: 'gap', ...EVERYBODY, only: 'redis' },
  { name: 'known endings run out', scene: 'runOut', ...EVERYBODY, areEnded: true },
  { name: 'Redis lost its data: endings of many users', scene: 'loss', ...EVERYBODY, areEnded: true, only: 'redis' },
  { name: 'Redis lost its data: endings of one user', scene: 'lossOfOne', ...ONE_USER, areEnded: true, only: 'redis' },
];

const only = process.argv.find((argument) => argument.startsWith('--only='))?.slice('--only='.length) ?? '';
console.log(`${machine()}; ${show(COUNT)} sessions; all times in ms\n`);
const rows = [];
for (const what of SCENES.filter(({ scene, name }) => `${scene} ${name}`.includes(only))) {
  for (const store of ['memory', 'redis'].filter((name) => (what.only ?? name) === name)) {
    const { own, gc, raw, idle, before, during, took } = await measure(what, store);
    console.error(what.name, store, own, gc, raw, took);
    const requests = [before.p99, during.p99, during.longest];
    rows.push([what.name, store, GOAL, ...[own, gc, raw, idle, ...requests, took].map((value) => show(value))]);
  }
}
const pauses = ['own pause', 'longest GC', 'raw pause', 'raw of an idle process'];
const requests = ['p99 before', 'p99 meanwhile', 'longest request'];
console.log(markdownTable(['what', 'store', 'goal', ...pauses, ...requests, 'done after'], rows));

async function measure({ scene, users, perUser, streams = 0, areEnded = false }, store) {
  const redis = store === 'redis' ? await startRedis() : undefined;
  const args = [join(root, 'dist'), redis?.url ?? ''];
  const [app, idle, other, load] = await Promise.all([
    startProcess('pauses-app.mjs', { core: 1, args }),
    startProcess('pauses-app.mjs', { core: 1, args }),
    startProcess('pauses-app.mjs', { core: 0, args }),
    startProcess('pauses-load.mjs', { core: 0 }),
  ]);
  try {
    const { port, token } = await app.ask({ do: 'prepare', users, perUser, streams, areEnded });
    const before = await load.ask({ do: 'ask', port, token, for: 2000 });
    await idle.ask({ do: 'startMeter' });
    await load.ask({ do: 'start', port, token });
    const running = app.ask({ do: 'run', scene });
    if (scene === 'elsewhere') await other.ask({ do: 'endElsewhere' });
    const measured = await running;
    const during = await load.ask({ do: 'stop' });
    const { raw } = await idle.ask({ do: 'stopMeter' });
    return { ...measured, before, during, idle: raw };
  } finally {
    await Promise.all([app, idle, other, load].map((child) => child.stop()));
    await redis?.stop();
  }
}
