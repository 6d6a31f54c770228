/** The application in a storm of revocations, in a process of its own: `node storm-app.mjs dist`. */

import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import express from 'express';
import { answerQuestions } from './support.mjs';

const { managedSessions, redisStore } = await import(pathToFileURL(join(process.argv[2], 'esm', 'index.js')));
const delay = monitorEventLoopDelay({ resolution: 1 });
/** The same in CPU time, which other programs on the machine do not lengthen. */
let [longestWork, lastUsed] = [0, process.cpuUsage()];
setInterval(() => {
  const { user, system } = process.cpuUsage(lastUsed);
  lastUsed = process.cpuUsage();
  longestWork = Math.max(longestWork, (user + system) / 1000);
}, 2);

answerQuestions({
  async start({ issuer, redis }) {
    const sessions = managedSessions({ issuer, store: redisStore(redis), maxSessionsPerUser: Infinity });
    const events = { storeDown: 0, storeUp: 0 };
    for (const name of Object.keys(events)) sessions.on(name, () => (events[name] += 1));
    const app = express();
    app.use('/sessions', sessions.router());
    app.post('/revoke', express.json(), async (req, res) => {
      res.json(await Promise.all(req.body.map(({ subject, handle }) => outcomeOf(sessions.revoke(subject, handle)))));
    });
    app.get('/fresh', sessions.required({ fresh: true }), answer);
    app.get('/events', (_req, res) => void res.json(events));
    app.get('/', sessions, answer);
    const server = app.listen({ port: 0, host: '127.0.0.1', backlog: 2048 });
    server.keepAliveTimeout = 0;
    await once(server, 'listening');
    return { port: server.address().port };
  },
  watch() {
    delay.enable();
    delay.reset();
    longestWork = 0;
  },
  /** The longest pause of the event loop since `watch`, in milliseconds. */
  longestPause() {
    delay.disable();
    return { longest: delay.max / 1e6, longestWork };
  },
});

function answer(req, res) {
  res.json({ handle: req.loginSession.handle });
}

/** `at`: when it was settled. */
async function outcomeOf(revoked) {
  const status = await revoked.then(
    () => 204,
    (error) => error.status ?? 500,
  );
  return { status, at: performance.timeOrigin + performance.now() };
}
