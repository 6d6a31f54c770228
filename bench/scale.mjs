/**
 * What grows with the number of sessions, and what does not: memory here and in Redis, CPU time per request, time to list.
 * After `npm run build`: `npm run bench:scale` (`-- --quick`: to 100,000 sessions). Writes docs/scale.md and docs/scale.svg.
 */

import { createHmac, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { Redis } from 'ioredis';
import { managedSessions, redisStore } from '../dist/esm/index.js';
import { plotScale } from './plot.mjs';
import {
  AUDIENCE,
  claimsOf,
  machine,
  markdownTable,
  median,
  QUICK,
  root,
  show,
  startRedis,
  userAgent,
} from './support.mjs';

if (globalThis.gc === undefined) throw new Error('Run it with node --expose-gc');

const STEPS = [100, 1000, 10_000, 50_000, 100_000, ...(QUICK ? [] : [250_000, 500_000, 1_000_000])];
const LISTED = [10, 50, 100, 1000, ...(QUICK ? [] : [10_000])];
const PER_USER = 3;
const AT_ONCE = 500;
/** Sessions whose requests are measured. Their tokens stay in the cache of verified tokens. */
const IN_USE = 100;
/** How many sessions the ledger holds. */
const HELD = 100_000;
const ISSUER = 'https://id.example.com/';
const secret = randomBytes(32);

const server = await startRedis();
const redis = new Redis(server.url);
const sessions = managedSessions({
  issuer: { issuer: ISSUER, audience: AUDIENCE, secret },
  store: redisStore(server.url),
  maxSessionsPerUser: Infinity,
});
try {
  const grown = await measureGrowth();
  const listed = await measureListing();
  const text = [
    `${machine()}. ${String(PER_USER)} sessions a user, user agents of about 120 characters.`,
    '',
    grownTable(grown),
    '',
    listedTable(listed),
  ].join('\n');
  console.log(text);
  await writeFile(
    join(root, 'docs', 'scale.md'),
    `# Cost against the number of sessions\n\nHow memory, CPU time and listing grow with the number of sessions. \`npm run bench:scale\` wrote this page. [performance.md](performance.md#against-the-number-of-sessions)\nsays what follows from it, and [redis.md](redis.md#sizing) how large a Redis has to be.\n\n${text}\n\n![The same as a plot](scale.svg)\n`,
  );
  await writeFile(join(root, 'docs', 'scale.svg'), plotScale(grown, listed));
} finally {
  await sessions.close();
  await redis.quit();
  await server.stop();
}

async function measureGrowth() {
  const rows = [];
  const redisEmpty = await redisBytes();
  await see(0, 1);
  const heapEmpty = heapBytes();
  let seen = 1;
  let [lastStep, lastHeap] = [0, 0];
  for (const step of STEPS) {
    for (; seen < step; seen += AT_ONCE) await see(seen, Math.min(seen + AT_ONCE, step));
    seen = step;
    const heap = heapBytes() - heapEmpty;
    rows.push({
      sessions: step,
      heap,
      perSession: heap / Math.min(step, HELD),
      added: (heap - lastHeap) / (step - lastStep),
      redisPerSession: ((await redisBytes()) - redisEmpty) / step,
      cpu: warmCost(step),
    });
    [lastStep, lastHeap] = [step, heap];
  }
  return rows;
}

async function see(from, to) {
  const first = Array.from({ length: to - from }, (_, offset) => from + offset);
  await Promise.all(
    first.map((index) => sessions.verify(tokenOf(index), { ip: '203.0.113.7', userAgent: longAgent(index) })),
  );
}

/** Microseconds of CPU time per warm request, in the sessions seen last. */
function warmCost(count) {
  const last = Array.from({ length: Math.min(IN_USE, count) }, (_, offset) => plainRequest(count - 1 - offset));
  let passed = 0;
  const pass = () => passed++;
  const rounds = Array.from({ length: 60 }, () => {
    const { user, system } = process.cpuUsage();
    for (let repeat = 0; repeat < 50; repeat++) for (const req of last) sessions(bare(req), {}, pass);
    const used = process.cpuUsage({ user, system });
    return (used.user + used.system) / (50 * last.length);
  });
  if (passed !== 60 * 50 * last.length) throw new Error('A request did not pass at once');
  return median(rounds.slice(10));
}

function plainRequest(index) {
  return { authorization: `Bearer ${tokenOf(index)}`, 'user-agent': longAgent(index) };
}

function bare(headers) {
  return {
    method: 'GET',
    headers,
    rawHeaders: ['authorization', headers.authorization],
    socket: { remoteAddress: '203.0.113.7' },
  };
}

/** Median milliseconds to list a user's latest 50 sessions, and those of a bare pipeline that reads as many records. */
async function measureListing() {
  const keys = Array.from({ length: 50 }, (_, index) => `bare:${String(index)}`);
  await Promise.all(
    keys.map((key, index) =>
      redis.hset(key, { ip: '203.0.113.7', userAgent: longAgent(index), startedAt: 1, lastSeenAt: 2 }),
    ),
  );
  await redis.zadd('bare', ...keys.flatMap((key, index) => [index, key]));
  const rows = [];
  for (const [position, count] of LISTED.entries()) {
    const subject = `listed-${String(position)}`;
    for (let from = 0; from < count; from += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, offset) => from + offset);
      await Promise.all(some.map((index) => sessions.verify(tokenOf(index, subject), { userAgent: longAgent(index) })));
    }
    const [took, pipeline] = [[], []];
    for (let round = 0; round < 200; round++) {
      took.push(await timed(() => sessions.list(subject, { limit: 50 })));
      pipeline.push(await timed(() => barePipeline(keys)));
    }
    rows.push({ sessions: count, took: median(took.slice(50)), pipeline: median(pipeline.slice(50)) });
  }
  return rows;
}

function barePipeline(keys) {
  const pipeline = redis.pipeline().zrange('bare', 0, 49);
  for (const key of keys) pipeline.hgetall(key);
  return pipeline.exec();
}

async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function tokenOf(index, subject) {
  const iat = Math.floor(Date.now() / 1000) - 60;
  const whose = { ...claimsOf(Math.floor(index / PER_USER)), ...(subject === undefined ? {} : { sub: subject }) };
  const claims = { iss: ISSUER, ...whose, sid: `session-${String(index)}`, iat, exp: iat + 36_000 };
  const input = [{ alg: 'HS256', typ: 'JWT' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

function longAgent(index) {
  return userAgent(index).padEnd(120, ' x');
}

function heapBytes() {
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

async function redisBytes() {
  return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))[1]);
}

function grownTable(rows) {
  return markdownTable(
    [
      'sessions seen',
      'heap MiB',
      'heap bytes per session held',
      'per session added',
      'Redis bytes per session',
      'CPU µs per warm request',
    ],
    rows.map(({ sessions: count, heap, perSession, added, redisPerSession, cpu }) => [
      count.toLocaleString('en'),
      show(heap / 2 ** 20),
      show(perSession, 4),
      show(added, 4),
      show(redisPerSession, 4),
      show(cpu),
    ]),
  );
}

function listedTable(rows) {
  return markdownTable(
    ["a user's sessions", 'ms to list the latest 50', 'ms of a bare ZRANGE + HGETALL pipeline of 50', 'ratio'],
    rows.map(({ sessions: count, took, pipeline }) => [
      count.toLocaleString('en'),
      show(took),
      show(pipeline),
      show(took / pipeline),
    ]),
  );
}
