/** One contestant in a process of its own: `node contestant.mjs <name>`. bench/support.mjs starts it and sends it questions. */

import { IncomingMessage, ServerResponse } from 'node:http';
import process from 'node:process';
import express from 'express';
import { contestants } from './contestants.mjs';
import { answerQuestions, userAgent } from './support.mjs';

const SLICE = 256;

let guarded;
let handlers;
let headers;
let sessions;

answerQuestions({ prepare, usage, direct, burst });

/** Two servers in one process: one with the guard, one without. */
async function prepare({ setup }) {
  const built = await contestants[process.argv[2]].guard(setup);
  ({ handlers, sessions } = built);
  headers = setup.users.map(({ token, index }, position) => ({
    'user-agent': userAgent(index),
    accept: 'application/json',
    'accept-language': 'en-GB,en;q=0.8',
    'accept-encoding': 'gzip, deflate',
    ...(built.headers?.[position] ?? { authorization: `Bearer ${token}` }),
  }));
  guarded = application(handlers);
  return { guardedUrl: await listen(guarded), bareUrl: await listen(application([])), headers };
}

function application(guards) {
  const app = express();
  for (const guard of guards) app.use(guard);
  app.get('/', (_req, res) => {
    res.json({ hello: 'world' });
  });
  return app;
}

async function listen(app) {
  const server = app.listen(0, '127.0.0.1');
  server.keepAliveTimeout = 60_000;
  await new Promise((resolve) => server.once('listening', resolve));
  return `http://127.0.0.1:${String(server.address().port)}/`;
}

function usage() {
  const { user, system } = process.cpuUsage();
  return { cpu: user + system, rss: process.memoryUsage.rss() };
}

/** Microseconds of CPU time per request that the middleware itself takes, without HTTP, over `slices` times 256 requests. */
async function direct({ slices, plain }) {
  const make = plain ? plainRequest : expressRequest;
  let spent = 0;
  for (let slice = 0; slice < slices; slice++) {
    const requests = Array.from({ length: SLICE }, (_, index) => make(headers[index % headers.length]));
    // So that the garbage of the benchmark does not count as time of the middleware.
    globalThis.gc({ type: 'minor' });
    const { user, system } = process.cpuUsage();
    await passAll(requests);
    const used = process.cpuUsage({ user, system });
    spent += used.user + used.system;
  }
  return { perRequest: spent / (slices * SLICE) };
}

function passAll(requests) {
  return new Promise((resolve, reject) => {
    let left = requests.length;
    function passed(error) {
      if (error !== undefined) reject(error);
      else if (--left === 0) resolve();
    }
    for (const { req, res } of requests) pass(req, res, 0, passed);
  });
}

function pass(req, res, index, done) {
  if (index === handlers.length) done();
  else handlers[index](req, res, (error) => (error === undefined ? pass(req, res, index + 1, done) : done(error)));
}

/** What a middleware reads of a request, and nothing else. Each string is a separate one, as in Node. */
class PlainRequest {
  method = 'GET';
  url = '/';
  originalUrl = '/';
  query = {};
  protocol = 'http';
  host = 'shop.example.com';
  hostname = 'shop.example.com';
  socket = { remoteAddress: '127.0.0.1' };

  constructor(raw) {
    this.rawHeaders = raw;
    this.headers = {};
    for (let index = 0; index < raw.length; index += 2) this.headers[raw[index]] = raw[index + 1];
  }

  get(name) {
    return this.headers[name.toLowerCase()];
  }

  is() {
    return false;
  }
}

function rawHeaders(sent) {
  return Object.entries({ host: 'shop.example.com', connection: 'keep-alive', ...sent })
    .flat()
    .map(ownText);
}

function plainRequest(sent) {
  return { req: new PlainRequest(rawHeaders(sent)), res: {} };
}

/** A request as Node and Express pass it on, with its headers parsed. */
function expressRequest(sent) {
  const req = new IncomingMessage({ remoteAddress: '127.0.0.1', encrypted: false });
  const raw = rawHeaders(sent);
  req.method = 'GET';
  req.url = req.originalUrl = '/';
  req._addHeaderLines(raw, raw.length);
  const res = new ServerResponse(req);
  Object.setPrototypeOf(req, guarded.request);
  Object.setPrototypeOf(res, guarded.response);
  req.res = res;
  res.req = req;
  void req.headers;
  return { req, res };
}

function ownText(text) {
  return Buffer.from(text, 'latin1').toString('latin1');
}

/** The first request of each token's session, all at once. `elapsed`: milliseconds until the last one has its result. */
async function burst({ tokens }) {
  const start = performance.now();
  const outcomes = await Promise.allSettled(
    tokens.map((token, index) => sessions.verify(token, { ip: '203.0.113.7', userAgent: userAgent(index) })),
  );
  return {
    elapsed: performance.now() - start,
    failed: outcomes.filter(({ status }) => status === 'rejected').length,
  };
}
