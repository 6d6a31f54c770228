// How long other processes still accept an ended session: several app processes on one Redis, measured from the
// acknowledgement in one to the last accepted request in each, idle and under load. The same for stale tokens (`expireTokens`).
// Also the store commands per request.
// Run it by `npm run bench:revocation`.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import jwt from 'jsonwebtoken';
import { machine, startRedis } from './support.mjs';

const PROCESSES = 3;
const REVOCATIONS = 300;
const AT_ONCE = 10;
const WARM = 256;
const IN_FLIGHT = 8;
// An activity interval and its jitter, so that every session is written once.
const LOAD_SECONDS = 68;
const BOUND = 5000;

const issuer = 'https://id.example.com/';
const secret = 'a secret for a benchmark, 32 bytes';
const options = { issuer: { issuer, secret }, revocationBound: BOUND };

const tokenOf = (subject) => jwt.sign({ sub: subject, sid: 's' }, secret, { issuer, expiresIn: '1h' });

function startApp(url) {
  const child = fork(new URL('../test/support/app-process.mjs', import.meta.url), [
    JSON.stringify({ redis: url, options }),
  ]);
  const waiting = new Map();
  const refused = new Map();
  let calls = 0;
  const ready = new Promise((resolve) => {
    child.on('message', ({ id, value, error, event, token, acceptedAt }) => {
      if (event === 'ready') resolve();
      if (event === 'refused') refused.set(token, acceptedAt);
      if (id === undefined) return;
      if (error === undefined) waiting.get(id).resolve(value);
      else waiting.get(id).reject(new Error(error));
    });
  });
  return {
    ready,
    refused,
    call: (name, ...args) =>
      new Promise((resolve, reject) => {
        waiting.set((calls += 1), { resolve, reject });
        child.send({ id: calls, name, args });
      }),
    async stop() {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

/** How one process ends the session of a person, or makes the token stale; resolves to when that was acknowledged. */
const WAYS = {
  revoke: (app, person, handle) => app.call('revoke', person, handle),
  expireTokens: (app, person) => app.call('expireTokens', person),
};

/** For each ending and each process: milliseconds from the acknowledgement to the last accepted request. */
async function measure(apps, way, label) {
  const delays = [];
  for (let done = 0; done < REVOCATIONS; done += AT_ONCE) {
    const people = Array.from({ length: AT_ONCE }, (_, index) => `${way}-${label}-${done + index}`);
    const tokens = people.map(tokenOf);
    const handles = await Promise.all(tokens.map((token) => apps[0].call('watch', token)));
    await Promise.all(apps.map((app) => Promise.all(tokens.map((token) => app.call('ask', token)))));
    const pressed = apps.map((app) => app.call('press', tokens));
    const acknowledged = await Promise.all(
      handles.map((handle, index) => WAYS[way](apps[index % apps.length], people[index], handle)),
    );
    await Promise.all(pressed);
    for (const [index, token] of tokens.entries()) {
      for (const app of apps) delays.push(Math.max(0, (app.refused.get(token) ?? 0) - acknowledged[index]));
    }
  }
  return delays.sort((a, b) => a - b);
}

function row(label, delays) {
  const at = (share) => delays[Math.ceil(delays.length * share) - 1].toFixed(1);
  return `| ${label} | ${delays.length} | ${at(0.5)} | ${at(0.99)} | ${at(1)} |`;
}

/** Script calls and stream reads as Redis counts them, by command. */
async function commandsOf(redis) {
  const stats = await redis.info('commandstats');
  const lines = [...stats.matchAll(/^cmdstat_(evalsha|eval|xread):calls=(\d+)/gm)];
  return Object.fromEntries(lines.map(([, name, calls]) => [name, Number(calls)]));
}

const server = await startRedis();
const { url } = server;
const redis = new Redis(url);

const apps = Array.from({ length: PROCESSES }, () => startApp(url));
await Promise.all(apps.map(({ ready }) => ready));

console.log(`${machine()}; ${PROCESSES} processes, ${REVOCATIONS} revocations, bound ${BOUND} ms\n`);
console.log('Acknowledgement to last accepted request, in milliseconds:\n');
console.log('| processes | observations | p50 | p99 | max |\n| --- | --- | --- | --- | --- |');
for (const way of Object.keys(WAYS)) {
  console.log(row(`\`${way}\`, otherwise idle`, await measure(apps, way, 'idle')));
}

const warm = Array.from({ length: WARM }, (_, index) => tokenOf(`warm-${index}`));
await Promise.all(apps.map((app) => app.call('load', warm, IN_FLIGHT)));
for (const way of Object.keys(WAYS)) {
  const label = `\`${way}\`, with ${IN_FLIGHT} further requests at all times in each`;
  console.log(row(label, await measure(apps, way, 'loaded')));
}

const [commandsBefore, servedBefore] = [await commandsOf(redis), await served()];
await new Promise((resolve) => setTimeout(resolve, LOAD_SECONDS * 1000));
const [commandsAfter, servedAfter] = [await commandsOf(redis), await served()];
const requests = servedAfter - servedBefore;
const scripts = commandsAfter.evalsha - commandsBefore.evalsha;
const feed = commandsAfter.eval - commandsBefore.eval + commandsAfter.xread - commandsBefore.xread;
console.log(`\nStore commands per request, ${WARM} warm sessions under full load for ${LOAD_SECONDS} s:\n`);
console.log('| requests | for sessions | of the feed | per request |\n| --- | --- | --- | --- |');
console.log(`| ${requests} | ${scripts} | ${feed} | ${((scripts + feed) / requests).toFixed(4)} |`);

await Promise.all(apps.map((app) => app.call('load', [], 0)));
await Promise.all(apps.map((app) => app.stop()));
redis.disconnect();
await server.stop();

async function served() {
  const counts = await Promise.all(apps.map((app) => app.call('served')));
  return counts.reduce((sum, count) => sum + count, 0);
}
