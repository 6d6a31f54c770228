// A small app in a process of its own, on the built package: node app-process.mjs '{ "redis": url, "options": {...} }'
// With "doors", { clientId, audience }, it has both doors. With "dieAfter", the name of a store's method, the process is killed
// as soon as the store has acknowledged such a call.
// Over IPC it answers calls, { id, name, args } with { id, value } or { id, error }, and tells events, { event, at, ... }.
// Moments are milliseconds of the machine's monotonic clock, which all processes share.

import { once } from 'node:events';
import { Agent, get } from 'node:http';
import process from 'node:process';
import express from 'express';
import { managedSessions, redisStore } from '../../dist/esm/index.js';
import { answerCalls } from './answer-calls.mjs';

const { redis, options, doors, dieAfter } = JSON.parse(process.argv[2]);
const sessions = managedSessions({ ...options, store: mortal(redisStore(redis)) });
const now = () => Number(process.hrtime.bigint()) / 1e6;
const tell = (event, details) => process.connected && process.send({ event, at: now(), ...details });

for (const event of ['sessionEnded', 'storeDown', 'storeUp']) {
  sessions.on(event, ({ handle, here, reason }) => tell(event, { handle, here, reason }));
}

/** By token, of those under traffic: when a request was last let in, and whether one was after the first refusal. */
const traffic = new Map();
let isLoaded = false;
let served = 0;

function mortal(store) {
  if (dieAfter === undefined) return store;
  const act = store[dieAfter].bind(store);
  return Object.assign(store, {
    async [dieAfter](...given) {
      await act(...given);
      process.kill(process.pid, 'SIGKILL');
      // Until that has come.
      await new Promise(() => {});
    },
  });
}

const app = express();
if (doors !== undefined) {
  app.use((_req, res, next) => {
    res.set('x-received-at', String(now()));
    next();
  });
  app.post('/backchannel-logout', sessions.backchannelLogout({ clientId: doors.clientId }));
  app.post('/security-events', sessions.securityEvents({ audience: doors.audience }));
}
app.use(sessions);
app.get('/', (req, res) => {
  served += 1;
  const seen = traffic.get(req.get('authorization'));
  if (seen !== undefined) {
    seen.acceptedAt = now();
    seen.again ||= seen.isRefused;
  }
  res.json({ handle: req.loginSession.handle });
});
const server = app.listen(0, '127.0.0.1');
// A busy machine lets a connection be idle for seconds, and the client would use it just as it is closed.
server.keepAliveTimeout = 0;
await once(server, 'listening');
const agent = new Agent({ keepAlive: true });

function ask(authorization) {
  return new Promise((resolve, reject) => {
    const { port } = server.address();
    get({ port, host: '127.0.0.1', agent, headers: { authorization } }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode));
    }).on('error', reject);
  });
}

/** Request upon request, until well after the first refusal. */
async function press(authorization, seen) {
  for (let refusals = 0; refusals < 10;) {
    const status = await ask(authorization);
    seen.statuses.add(status);
    if (status === 200) continue;
    refusals += 1;
    seen.isRefused = true;
  }
}

const calls = {
  ask: (token) => ask(`Bearer ${token}`),
  async press(tokens) {
    await Promise.all(
      tokens.map(async (token) => {
        const authorization = `Bearer ${token}`;
        const seen = { acceptedAt: null, isRefused: false, again: false, statuses: new Set() };
        traffic.set(authorization, seen);
        await press(authorization, seen);
        traffic.delete(authorization);
        tell('refused', { token, acceptedAt: seen.acceptedAt, again: seen.again, statuses: [...seen.statuses] });
      }),
    );
  },
  /** Requests in these sessions without end, so many at a time. */
  load(tokens, atOnce) {
    isLoaded = tokens.length > 0;
    for (let worker = 0; worker < atOnce; worker += 1) {
      void (async () => {
        for (let next = worker; isLoaded; next += atOnce) await ask(`Bearer ${tokens[next % tokens.length]}`);
      })();
    }
  },
  async watch(token) {
    const { session } = await sessions.verify(token);
    session.signal.addEventListener('abort', () => tell('aborted', { handle: session.handle }));
    return session.handle;
  },
  async revoke(subject, handle) {
    await sessions.revoke(subject, handle);
    return now();
  },
  async revokeSession(named, words) {
    await sessions.revokeSession(named, words);
    return now();
  },
  /** The same, and when it was asked for. */
  async revokeAsked(subject, handle) {
    const askedAt = now();
    await sessions.revoke(subject, handle);
    return askedAt;
  },
  /** By the provider's id, as a webhook does it. */
  async revokeSessionAsked(subject, sessionId) {
    const askedAt = now();
    await sessions.revokeSession({ subject, sessionId });
    return askedAt;
  },
  async expireTokens(subject) {
    await sessions.expireTokens(subject);
    return now();
  },
  revokeAll: (subject, except) => sessions.revokeAll(subject, { except }),
  served: () => served,
};

answerCalls(calls);
tell('ready', { port: server.address().port });
