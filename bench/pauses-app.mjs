/** The application whose pauses are measured, in a process of its own: `node pauses-app.mjs dist redis-url`. */

import { createHmac } from 'node:crypto';
import { subscribe } from 'node:diagnostics_channel';
import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import process from 'node:process';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Redis } from 'ioredis';
import { startMeter, stopMeter } from './pause-meter.mjs';
import { answerQuestions } from './support.mjs';

const [, , dist, redisUrl] = process.argv;
const { managedSessions, memoryStore, redisStore } = await import(pathToFileURL(join(dist, 'esm', 'index.js')));

const ISSUER = 'https://id.example.com/';
const SECRET = 'a secret for a benchmark, 32 bytes';
const AT_ONCE = 200;
const SECOND = 1000;
const DAY = 24 * 3600 * SECOND;
/** Of the last event, of the feed that reads it, and of the garbage that is left. */
const AFTERMATH = 2 * SECOND;

/** The clock of the sessions: endings run out when it is set ahead. */
let ahead = 0;
const clock = { now: () => Date.now() + ahead };
let app;
let signedIn;
/** Emits the names of events, and of store calls that succeeded. */
const happened = new EventEmitter();
subscribe('managed-sessions:store', ({ operation, ok }) => {
  if (ok) happened.emit(operation);
});

answerQuestions({
  /** Signs everybody in. The last one is the one whose requests are measured. */
  async prepare({ users, perUser, streams, areEnded }) {
    app = instance();
    app.on('sessionEnded', () => happened.emit('told'));
    const server = createServer((req, res) => {
      app.optional()(req, res, () => res.end(req.user?.id ?? ''));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    // Without an entry, the feed has nothing to lose.
    await app.revokeAll('nobody');
    await signIn(users, perUser);
    for (const { session } of signedIn.slice(0, streams)) session.signal.addEventListener('abort', () => undefined);
    if (areEnded) {
      await allTold(() => app.endEverywhere());
      // Those who sign in now begin after the cutoff, whatever the tolerance.
      ahead += 2 * 60 * SECOND;
      const { length } = signedIn;
      await signIn(AT_ONCE, 1, 'again');
      signedIn.length = length;
    }
    await pause(AFTERMATH);
    return { port: server.address().port, token: tokenOf('somebody-else', 'their-session') };
  },
  /** Resolves when everything that the scene causes is done. */
  async run({ scene }) {
    startMeter();
    const startedAt = performance.now();
    await SCENES[scene]();
    const took = performance.now() - startedAt;
    await pause(AFTERMATH);
    return { ...stopMeter(), took };
  },
  async endElsewhere() {
    await instance().revokeAll('user-0');
  },
  startMeter,
  stopMeter,
});

const SCENES = {
  endEverywhere: () => allTold(() => app.endEverywhere()),
  revokeAll: () => allTold(() => app.revokeAll('user-0')),
  oneByOne: () =>
    allTold(() =>
      atOnce(signedIn, AT_ONCE / 20, async ({ session }) => {
        await app.revoke('user-0', session.handle);
        await nextTurn();
      }),
    ),
  // Ended by `endElsewhere` of another process.
  elsewhere: () => allTold(() => undefined),
  // The sessions in use are sighted again.
  gap: () => times('sight', signedIn.length, () => redis((client) => client.del('ms:{feed}:epoch'))),
  async watching() {
    await pause(10 * SECOND);
  },
  // Nothing tells of what is forgotten. It happens once a second, which is waited for ten times.
  async runOut() {
    ahead += 40 * DAY;
    await pause(10 * SECOND);
  },
  loss: () => writtenBack(signedIn.length),
  lossOfOne: () => writtenBack(1),
};

/** The known endings, by user. */
function writtenBack(users) {
  return times('restore', users, () => redis((client) => client.flushall()));
}

function instance() {
  return managedSessions({
    issuer: { issuer: ISSUER, secret: SECRET, audience: 'shop' },
    store: redisUrl === '' ? memoryStore() : redisStore(redisUrl),
    maxSessionsPerUser: Infinity,
    // All sessions are in use, however long it takes to sign in.
    activityInterval: '1h',
    // While everybody signs in, a busy machine may let Redis wait.
    storeTimeout: '5s',
    revocationBound: '10s',
    clock,
  });
}

async function signIn(users, perUser, prefix = '') {
  signedIn ??= [];
  const all = Array.from({ length: users * perUser }, (_, index) => index);
  await atOnce(all, AT_ONCE, async (index) => {
    const user = `user-${String(Math.floor(index / perUser))}`;
    signedIn.push(await app.verify(tokenOf(user, `${prefix}${String(index)}`)));
  });
}

async function atOnce(items, count, act) {
  for (let from = 0; from < items.length; from += count) await Promise.all(items.slice(from, from + count).map(act));
}

function allTold(act) {
  return times('told', signedIn.length, act);
}

/** Resolves when `act` is done and the event has happened that often. */
async function times(name, count, act) {
  const reached = new Promise((resolve) => {
    let seen = 0;
    happened.on(name, function note() {
      seen += 1;
      if (seen < count) return;
      happened.off(name, note);
      resolve();
    });
  });
  await Promise.all([act(), reached]);
}

async function redis(act) {
  const client = new Redis(redisUrl);
  await act(client);
  await client.quit();
}

function tokenOf(sub, sid) {
  const iat = Math.floor((clock.now() - 60 * SECOND) / SECOND);
  const claims = { iss: ISSUER, aud: 'shop', sub, sid, iat, exp: iat + DAY / SECOND };
  const input = [{ alg: 'HS256', typ: 'JWT' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${input}.${createHmac('sha256', SECRET).update(input).digest('base64url')}`;
}
