// How long other processes still accept an ended session: several app processes on one Redis, measured from the
// acknowledgement in one to the last accepted request in each, idle and under load. The same for stale tokens (`expireTokens`),
// and for messages of a provider, from their receipt. Also the store commands per request. Run it by `npm run
// bench:revocation`, or with `-- --doors` for the messages only.

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
const doors = { clientId: 'shop-web', audience: 'https://shop.example.com/events' };

const tokenOf = (subject) => jwt.sign({ sub: subject, sid: 's' }, secret, { issuer, expiresIn: '1h' });

function startApp(url) {
  const child = fork(new URL('../test/support/app-process.mjs', import.meta.url), [
    JSON.stringify({ redis: url, options, doors }),
  ]);
  const waiting = new Map();
  const refused = new Map();
  let calls = 0;
  let origin;
  const ready = new Promise((resolve) => {
    child.on('message', ({ id, value, error, event, token, acceptedAt, port }) => {
      if (event === 'ready') {
        origin = `http://127.0.0.1:${port}`;
        resolve();
      }
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
    /** When the request was received. */
    async post(path, init) {
      const answer = await fetch(origin + path, { method: 'POST', ...init });
      if (!answer.ok) throw new Error(`${path} was answered ${answer.status} ${await answer.text()}`);
      return Number(answer.headers.get('x-received-at'));
    },
    async stop() {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

let messages = 0;
function signed(claims, typ) {
  messages += 1;
  return jwt.sign({ jti: `m${messages}`, ...claims }, secret, { issuer, header: { alg: 'HS256', typ } });
}

function logout(app, claims) {
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
  const token = signed({ aud: doors.clientId, events, ...claims }, 'logout+jwt');
  return app.post('/backchannel-logout', { body: new URLSearchParams({ logout_token: token }) });
}

const issSub = (sub) => ({ format: 'iss_sub', iss: issuer, sub });

const sessionOf = (sub) => ({ format: 'complex', user: issSub(sub), session: { format: 'opaque', id: 's' } });

function securityEvent(app, type, sub_id) {
  const events = { [`https://schemas.openid.net/secevent/caep/event-type/${type}`]: {} };
  const body = signed({ aud: doors.audience, sub_id, events }, 'secevent+jwt');
  return app.post('/security-events', { body, headers: { 'content-type': 'application/secevent+jwt' } });
}

/** How a session is ended, or its token made stale: each resolves with the moment from which the delay is counted. */
const fromAcknowledgement = [
  ['`revoke`', (app, person, handle) => app.call('revoke', person, handle)],
  ['`expireTokens`', (app, person) => app.call('expireTokens', person)],
];
const fromReceipt = [
  ['`revoke`', (app, person, handle) => app.call('revokeAsked', person, handle)],
  ['back-channel logout of a session', (app, person) => logout(app, { sub: person, sid: 's' })],
  ['back-channel logout of a user', (app, person) => logout(app, { sub: person })],
  ['security event about a session', (app, person) => securityEvent(app, 'session-revoked', sessionOf(person))],
  ['security event about a user', (app, person) => securityEvent(app, 'session-revoked', issSub(person))],
  ['security event about claims', (app, person) => securityEvent(app, 'token-claims-change', issSub(person))],
  ['`revokeSession`, as a webhook calls it', (app, person) => app.call('revokeSessionAsked', person, 's')],
];

/** For each ending and each process: milliseconds to the last accepted request. */
async function measure(apps, label, end) {
  const delays = [];
  for (let done = 0; done < REVOCATIONS; done += AT_ONCE) {
    const people = Array.from({ length: AT_ONCE }, (_, index) => `${label}-${done + index}`);
    const tokens = people.map(tokenOf);
    const handles = await Promise.all(tokens.map((token) => apps[0].call('watch', token)));
    await Promise.all(apps.map((app) => Promise.all(tokens.map((token) => app.call('ask', token)))));
    const pressed = apps.map((app) => app.call('press', tokens));
    const from = await Promise.all(
      handles.map((handle, index) => end(apps[index % apps.length], people[index], handle)),
    );
    await Promise.all(pressed);
    for (const [index, token] of tokens.entries()) {
      for (const app of apps) delays.push(Math.max(0, (app.refused.get(token) ?? 0) - from[index]));
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
console.log('Receipt to last accepted request, in milliseconds:\n');
console.log('| otherwise idle | observations | p50 | p99 | max |\n| --- | --- | --- | --- | --- |');
for (const [label, end] of fromReceipt) console.log(row(label, await measure(apps, `${label}-receipt`, end)));
if (!process.argv.includes('--doors')) await measureAcknowledged();

await Promise.all(apps.map((app) => app.stop()));
redis.disconnect();
await server.stop();

async function measureAcknowledged() {
  console.log('\nAcknowledgement to last accepted request, in milliseconds:\n');
  console.log('| processes | observations | p50 | p99 | max |\n| --- | --- | --- | --- | --- |');
  for (const [way, end] of fromAcknowledgement) {
    console.log(row(`${way}, otherwise idle`, await measure(apps, `${way}-idle`, end)));
  }

  const warm = Array.from({ length: WARM }, (_, index) => tokenOf(`warm-${index}`));
  await Promise.all(apps.map((app) => app.call('load', warm, IN_FLIGHT)));
  for (const [way, end] of fromAcknowledgement) {
    const label = `${way}, with ${IN_FLIGHT} further requests at all times in each`;
    console.log(row(label, await measure(apps, `${way}-loaded`, end)));
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
}

async function served() {
  const counts = await Promise.all(apps.map((app) => app.call('served')));
  return counts.reduce((sum, count) => sum + count, 0);
}
