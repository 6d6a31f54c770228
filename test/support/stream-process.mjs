// An app with open streams in a process of its own, on the built package: node stream-process.mjs '{ "redis": url, "options": {...} }'
// On SIGTERM it shuts down as docs/operation.md says. It tells its port as { event: 'ready', port }.

import { once } from 'node:events';
import process from 'node:process';
import express from 'express';
import { managedSessions, redisStore } from '../../dist/esm/index.js';

const { redis, options } = JSON.parse(process.argv[2]);
const sessions = managedSessions({ ...options, store: redisStore(redis) });
const app = express();
const streams = new Set();

app.get('/', sessions.required(), (req, res) => void res.json({ handle: req.loginSession.handle }));
app.get('/events', sessions.required(), (req, res) => {
  res.writeHead(200, { 'Content-Type': 'text/event-stream' });
  streams.add(res);
  res.on('close', () => streams.delete(res));
  req.loginSession.signal.addEventListener('abort', () => res.end('event: signed-out\ndata:\n\n'));
  res.write('data: hello\n\n');
});

const server = app.listen(0, '127.0.0.1');
process.once('SIGTERM', async () => {
  const closed = once(server, 'close');
  server.close();
  for (const stream of streams) stream.end('event: restarting\ndata:\n\n');
  await closed;
  await sessions.close();
  process.disconnect();
});
await once(server, 'listening');
process.send({ event: 'ready', port: server.address().port });
