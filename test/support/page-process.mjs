// A site with the page of router() in a process of its own, on the built package: node page-process.mjs '{ "redis": url, "options": {...} }'
// It answers calls over IPC, and tells its port as { event: 'ready', port }.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import express from 'express';
import { managedSessions, redisStore } from '../../dist/esm/index.js';
import { answerCalls } from './answer-calls.mjs';

const CLIENT = readFileSync(new URL('../../dist/esm/client/index.js', import.meta.url), 'utf8');
const { redis, options } = JSON.parse(process.argv[2]);
const sessions = managedSessions({ ...options, store: redisStore(redis) });
const streams = new Set();
/**
 * What `/events` does before the router: 'pass', 'refuse' with 503, or 'hold' until it passes again. 'stall': it passes, and nothing
 * after the first event arrives.
 */
let mode = 'pass';
let released = null;
let asked = 0;

const app = express();
app.use(async (req, res, next) => {
  if (!req.path.endsWith('/events')) return next();
  asked += 1;
  if (mode === 'refuse') return res.set('Retry-After', '1').sendStatus(503);
  if (mode === 'hold') await new Promise((resolve) => (released = resolve));
  if (mode === 'stall') stallAfterFirst(res);
  streams.add(res);
  res.on('close', () => streams.delete(res));
  next();
});
app.use('/account/sessions', sessions.router());
// A site that lets browsers keep its pages, as the back-forward cache wants it here.
app.use('/kept', (req, res, next) => {
  if (req.path !== '/') return next();
  const setHeader = res.setHeader.bind(res);
  res.setHeader = (name, value) => setHeader(name, /^cache-control$/i.test(name) ? 'private' : value);
  next();
});
app.use('/kept', sessions.router());
app.get('/other', (_req, res) => res.send('<!doctype html><title>Another page</title><p>Another page</p>'));
app.get('/client.js', (_req, res) => res.type('js').send(CLIENT));
app.get('/app', (_req, res) => {
  res.send(`<!doctype html><title>An app</title><p></p><script type="module">
    import { watchSession } from '/client.js';
    window.ended = [];
    window.stop = watchSession('/account/sessions/events', {
      onEnded({ code }) {
        window.ended.push(code);
        throw new Error('the listener failed');
      },
      onLive: () => (document.title = 'live'),
    });
  </script>`);
});

function stallAfterFirst(res) {
  const write = res.write.bind(res);
  res.write = (...parts) => {
    res.write = res.end = () => res;
    return write(...parts);
  };
}

const server = app.listen(0);
await once(server, 'listening');

answerCalls({
  streams: () => streams.size,
  asked: () => asked,
  mode(next) {
    mode = next;
    released?.();
  },
});
process.send({ event: 'ready', port: server.address().port });
