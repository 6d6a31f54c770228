// One process of the fleet: node app.mjs '{ "dist": URL, "redis": URL, "options": {...} }'. It serves on a port of its own
// and answers calls over IPC, as answer-calls.mjs says. It tells { event, at, ... } and { pause: { from, to } }.
// Moments are milliseconds of the machine's monotonic clock, which all processes share.

import { once } from 'node:events';
import { createServer } from 'node:http';
import process from 'node:process';
import { answerCalls } from '../support/answer-calls.mjs';

const { dist, redis, options } = JSON.parse(process.argv[2]);
const { managedSessions, redisStore } = await import(dist);

const now = () => Number(process.hrtime.bigint()) / 1e6;
const tell = (message) => process.connected && process.send(message);

let ahead = 0;
const clock = { now: () => Date.now() + ahead };

/** Refused requests are answered with the whole reason, which clients are not shown otherwise. */
function onRefused({ status, code, reason }, _req, res) {
  answer(res, status, { code, reason: reason ?? null });
}

function answer(res, status, body) {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ at: now(), ...body }));
}

const sessions = managedSessions({ ...options, clock, onRefused, store: redisStore(redis) });
for (const event of ['sessionStarted', 'sessionEnded', 'storeDown', 'storeUp']) {
  sessions.on(event, ({ handle = null, here = null, reason = null }) =>
    tell({ event, at: now(), handle, here, reason }),
  );
}

const gates = {
  '/': sessions.required(),
  '/fresh': sessions.required({ fresh: true }),
  '/logout': sessions.logout(),
};

const server = createServer((req, res) => {
  gates[req.url](req, res, (error) => {
    if (error === undefined) answer(res, 200, {});
    else answer(res, 500, { code: `${error.code ?? error.name}: ${error.message}` });
  });
});
server.listen(0, '127.0.0.1');
// A busy machine lets a connection be idle for seconds, and the client would use it just as it is closed.
server.keepAliveTimeout = 0;
await once(server, 'listening');

/** Times in which this process did nothing: the machine was busy, it was stopped, or its event loop was blocked. */
const TICK = 10;
let tickedAt = now();
setInterval(() => {
  const from = tickedAt + TICK;
  tickedAt = now();
  if (tickedAt - from > TICK) tell({ pause: { from, to: tickedAt } });
}, TICK);

answerCalls({
  revoke: async (user, handle, reason) => sessions.revoke(user, handle, { reason }),
  revokeAll: async (user, except, reason) => sessions.revokeAll(user, { reason, ...(except !== null && { except }) }),
  endEverywhere: async (reason) => sessions.endEverywhere({ reason }),
  label: async (user, handle, text) => sessions.label(user, handle, text),
  async list(user) {
    const found = [];
    for (let cursor; ;) {
      const page = await sessions.list(user, { limit: 100, ...(cursor !== undefined && { cursor }) });
      for (const { handle, lastSeenAt } of page.sessions) found.push({ handle, lastSeenAt: Date.parse(lastSeenAt) });
      if (page.next === null) return found;
      cursor = page.next;
    }
  },
  setClock(by) {
    ahead = by;
  },
  block(duration) {
    for (const end = now() + duration; now() < end;);
  },
  health: () => sessions.health(),
});
// The server and its connections would keep it running.
process.on('SIGTERM', () => void sessions.close().finally(() => process.exit(0)));
tell({ event: 'ready', at: now(), port: server.address().port });
