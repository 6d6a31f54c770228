/** The application whose pauses are measured, in a process of its own: `node pauses-app.mjs dist redis-url`. */

import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Redis } from 'ioredis';
import { answerQuestions } from './support.mjs';

const [, , dist, redisUrl] = process.argv;
const { managedSessions, memoryStore, redisStore } = await import(pathToFileURL(join(dist, 'esm', 'index.js')));

const ISSUER = 'https://id.example.com/';
const SECRET = 'a secret for a benchmark, 32 bytes';
const AT_ONCE = 200;
const LIVES = 36_000_000;
const RESOLUTION = 1;

const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
let longestGc = 0;
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) longestGc = Math.max(longestGc, duration);
}).observe({ entryTypes: ['gc'] });

/** The clock of the sessions: endings run out when it is set ahead. */
let ahead = 0;
const clock = { now: () => Date.now() + ahead };
let app;
let told = 0;

answerQuestions({
  /** Signs everybody in, and the one whose requests are measured. */
  async prepare({ scene, users, perUser, streams }) {
    app = instance();
    app.on('sessionEnded', () => (told += 1));
    const all = Array.from({ length: users * perUser }, (_, index) => index);
    const signedIn = [];
    for (let from = 0; from < all.length; from += AT_ONCE) {
      const some = all.slice(from, from + AT_ONCE);
      signedIn.push(...(await Promise.all(some.map((index) => signIn(index, perUser)))));
    }
    for (const { session } of signedIn.slice(0, streams)) session.signal.addEventListener('abort', () => undefined);
    const server = createServer((req, res) => {
      app.optional()(req, res, () => res.end(req.user?.id ?? ''));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    if (scene === 'runOut' || scene === 'loss') await endAll();
    if (scene === 'loss') await Promise.all(all.slice(0, AT_ONCE).map((index) => signIn(index, perUser, 'again')));
    prepared = { signedIn, perUser };
    told = 0;
    await pause(500);
    return { port: server.address().port, token: tokenOf('somebody-else', 'their-session', 60) };
  },
  async run({ scene }) {
    watch();
    const startedAt = performance.now();
    await SCENES[scene]();
    const took = performance.now() - startedAt;
    await pause(500);
    return { ...watched(), took };
  },
  watch,
  watched,
});

let prepared;

const SCENES = {
  async endEverywhere() {
    await app.endEverywhere();
    await allTold();
  },
  async revokeAll() {
    await app.revokeAll('user-0');
    await allTold();
  },
  async oneByOne() {
    for (let from = 0; from < prepared.signedIn.length; from += AT_ONCE) {
      const some = prepared.signedIn.slice(from, from + AT_ONCE);
      await Promise.all(some.map(({ session }) => app.revoke('user-0', session.handle)));
    }
    await allTold();
  },
  async elsewhere() {
    const other = instance();
    await other.revokeAll('user-0');
    await allTold();
    await other.close();
  },
  async gap() {
    await redis((client) => client.del('ms:{feed}:epoch'));
    await pause(15_000);
  },
  async runOut() {
    ahead = 40 * 24 * 3600 * 1000;
    await pause(15_000);
    ahead = 0;
  },
  async loss() {
    await redis((client) => client.flushall());
    await pause(20_000);
  },
};

function instance() {
  return managedSessions({
    issuer: { issuer: ISSUER, secret: SECRET, audience: 'shop' },
    store: redisUrl === '' ? memoryStore() : redisStore(redisUrl),
    maxSessionsPerUser: Infinity,
    clock,
  });
}

function signIn(index, perUser, again = '') {
  return app.verify(tokenOf(`user-${String(Math.floor(index / perUser))}`, `${again}${String(index)}`, 60));
}

async function endAll() {
  const before = told;
  for (const index of new Set(prepared?.signedIn ?? [])) void index;
  await app.endEverywhere();
  while (told === before) await pause(10);
  await pause(5000);
  // Sessions that begin after the cutoff and its tolerance.
  ahead += 10_000;
}

async function allTold() {
  while (told < prepared.signedIn.length) await pause(5);
}

async function redis(act) {
  const client = new Redis(redisUrl);
  await act(client);
  await client.quit();
}

function watch() {
  delay.enable();
  delay.reset();
  longestGc = 0;
}

/** The longest pauses since `watch`, in milliseconds. */
function watched() {
  delay.disable();
  return { pause: delay.max / 1e6 - RESOLUTION, gc: longestGc };
}

function tokenOf(sub, sid, age) {
  const iat = Math.floor((clock.now() - age) / 1000);
  const claims = { iss: ISSUER, aud: 'shop', sub, sid, iat, exp: iat + LIVES / 1000 };
  const input = [{ alg: 'HS256', typ: 'JWT' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${input}.${createHmac('sha256', SECRET).update(input).digest('base64url')}`;
}
