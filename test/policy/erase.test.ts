/** `erase()`: what is left of a person in Redis, byte by byte, in two processes, and after what may go wrong. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { userKeys } from '../../lib/stores/redis/session-prelude.js';
import { PUBLISH } from '../../lib/stores/redis/feed-scripts.js';
import { sessionUser } from '../../lib/core/session.js';
import { redisStore, type SessionStarted } from '../../lib/index.js';
import type { Notice } from '../../lib/stores/store.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { ask, DAY, HASTY, ISSUER, MINUTE, Processes, tokenOf } from './logins.js';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0';
const SUBJECT = 'subject-of-ann';
/** Everything that people, clients and tokens say in this file. None of it may be left. */
const SAID = [
  '203.0.113.77',
  'Firefox',
  'kitchen tablet',
  'Acme CLI',
  'aide-of-ann',
  'She lost it',
  'helpdesk-7',
  'node',
];

/** Hundreds of commands at once take seconds on a busy machine. */
const CROWDED = { maxSessionsPerUser: Infinity, storeTimeout: '30s', revocationBound: '1m' } as const;

let redis: TestRedis;
let client: Redis;
let at: Processes;
let started: SessionStarted[];

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
});
afterAll(async () => {
  client.disconnect();
  await redis.stop();
});
beforeEach(async () => {
  await redis.cli('flushall');
  start();
});
afterEach(() => at.close());

function start(options: object = {}): void {
  at = new Processes(redis.url, { activityInterval: '60s', ...options });
  started = [];
  for (const sessions of at.each) sessions.on('sessionStarted', (event) => started.push(event));
}

function token(sid: string, claims: object = {}): string {
  const exp = Math.floor((at.clock.now() + DAY) / 1000);
  return tokenOf(at.clock, { sub: SUBJECT, sid, exp, client_id: 'Acme CLI', act: { sub: 'aide-of-ann' }, ...claims });
}

/** What Redis holds under a key, as one string. What it compresses in a dump can be read here. */
async function valueOf(key: string): Promise<string> {
  switch (await client.type(key)) {
    case 'hash':
      return JSON.stringify(await client.hgetall(key));
    case 'stream':
      return JSON.stringify(await client.xrange(key, '-', '+'));
    case 'zset':
      return JSON.stringify(await client.zrange(key, '0', '-1'));
    default:
      return (await client.get(key)) ?? '';
  }
}

/** Which of these are in the name, the value or the bytes of which keys. */
async function keysWith(said: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const key of await client.keys('*')) {
    const held = [key, await valueOf(key), (await client.dumpBuffer(key)).toString('latin1')];
    for (const text of said) if (held.some((part) => part.includes(text))) found.push(`${key}: ${text}`);
  }
  return found.sort();
}

const ofFeed = (found: readonly string[]): string[] => found.filter((key) => key.startsWith('ms:{feed}'));
const ofUsers = (found: readonly string[]): string[] => found.filter((key) => !key.startsWith('ms:{feed}'));

/** A person with live sessions, a named one, one of a program, and endings of every kind. Returns the live tokens. */
async function settle(): Promise<string[]> {
  const person = { ip: '203.0.113.77', userAgent: FIREFOX };
  const tokens = ['live', 'named', 'other'].map((sid) => token(sid));
  for (const each of tokens) await at.here.verify(each, person);
  const ended = await at.here.verify(token('ended'), person);
  const named = await at.here.verify(tokens[1] ?? '', person);
  await at.here.label(SUBJECT, named.session.handle, 'kitchen tablet');
  await at.here.revoke(SUBJECT, ended.session.handle, { reason: 'She lost it', by: 'helpdesk-7' });
  await at.there.revokeAll(SUBJECT, { except: named.session.handle, reason: 'She lost it', by: 'helpdesk-7' });
  at.clock.advance(2000);
  const after = ['after', 'seen there', 'program'].map((sid) => token(sid));
  await at.here.verify(after[0] ?? '', person);
  await at.there.verify(after[1] ?? '', person);
  await at.here.verify(after[2] ?? '', { ip: '203.0.113.77', userAgent: 'node' });
  return [tokens[1] ?? '', ...after];
}

test('nothing that anybody said is left in any key of the user, and only what the docs list', async () => {
  const live = await settle();
  expect(new Set(ofUsers(await keysWith(SAID)).map((found) => found.split(': ')[1]))).toEqual(new Set(SAID));

  expect(await at.here.erase(SUBJECT)).toEqual({ ended: 4 });
  expect(ofUsers(await keysWith([...SAID, SUBJECT]))).toEqual([]);
  const { key } = sessionUser(ISSUER, SUBJECT);
  const keys = (await client.keys(`ms:{${key}}:*`)).map((name) => name.slice(-1)).sort();
  expect(keys).toEqual(['c', 's']);
  for (const each of live) expect(await ask(at.here, each)).toBe('session_revoked');
  for (const each of live)
    await eventually('it ends there', async () => (await ask(at.there, each)) === 'session_revoked');
  expect(ofUsers(await keysWith([...SAID, SUBJECT]))).toEqual([]);
  const endings = at.endedThere.filter(({ reason }) => reason === 'erased').map(({ by, here }) => [by, here]);
  expect(endings).toEqual(live.map(() => [null, false]));
});

test('a user of many sessions, with an index, is erased in batches', async () => {
  await at.close();
  start(CROWDED);
  const sids = Array.from({ length: 700 }, (_, index) => `s${String(index)}`);
  const client = { ip: '203.0.113.77', userAgent: FIREFOX };
  const signedIn = await Promise.all(sids.map((sid) => at.here.verify(token(sid), client)));
  const handles = signedIn.slice(0, 300).map(({ session }) => session.handle);
  await Promise.all(
    handles.map((handle) => at.here.revoke(SUBJECT, handle, { reason: 'She lost it', by: 'helpdesk-7' })),
  );
  await at.here.erase(SUBJECT);
  expect((await at.there.list(SUBJECT)).sessions).toEqual([]);
  expect(ofUsers(await keysWith([...SAID, SUBJECT]))).toEqual([]);
});

test('a sign-in afterwards starts from nothing', async () => {
  await settle();
  await at.here.erase(SUBJECT);
  at.clock.advance(2000);
  const { session } = await at.there.verify(token('new'), { ip: '198.51.100.1', userAgent: FIREFOX });
  expect(started.at(-1)).toMatchObject({ handle: session.handle, knownClient: false });
  expect((await at.here.list(SUBJECT)).sessions).toMatchObject([{ handle: session.handle, label: null }]);
});

test('sightings that race with it, or come in the background later, leave no row', async () => {
  const live = await settle();
  const person = { ip: '203.0.113.77', userAgent: FIREFOX };
  at.clock.advance(2 * MINUTE);
  // Due, so each sends a background sighting.
  const verified = [at.here, at.there].flatMap((sessions) => live.map((each) => sessions.verify(each, person)));
  const erased = at.here.erase(SUBJECT);
  const late = [at.here, at.there].flatMap((sessions) => live.map((each) => sessions.verify(each, person)));
  await Promise.allSettled([...verified, ...late, erased]);
  expect(await erased).toMatchObject({});
  // Behind everything that was sent in the background.
  for (const sessions of at.each) expect((await sessions.list(SUBJECT)).sessions).toEqual([]);
  await at.close();
  expect(ofUsers(await keysWith([...SAID, SUBJECT]))).toEqual([]);
  start();
});

test('what other processes remember has no words either: a Redis that lost everything does not get them back', async () => {
  await settle();
  // The other process remembers these endings with their words.
  await eventually('it is told', () => Promise.resolve(at.endedThere.some(({ by }) => by === 'helpdesk-7')));
  await at.here.erase(SUBJECT);
  await eventually('it is told', () => Promise.resolve(at.endedThere.some(({ reason }) => reason === 'erased')));
  await redis.cli('flushall');
  const { key } = sessionUser(ISSUER, SUBJECT);
  await eventually('what was lost is written back', async () => (await client.exists(`ms:{${key}}:c`)) === 1);
  await eventually('all of it', async () => (await client.hlen(`ms:{${key}}:s`)) >= 5);
  expect(ofUsers(await keysWith([...SAID, SUBJECT]))).toEqual([]);
});

test('that was not acknowledged is in force in part, and complete once it is repeated', async () => {
  await settle();
  await at.close();
  start(HASTY);
  redis.pause();
  await expect(at.here.erase(SUBJECT)).rejects.toMatchObject({ code: 'store_unavailable' });
  redis.resume();
  await eventually('it is repeated', () => at.here.erase(SUBJECT).then(Boolean, () => false));
  expect(ofUsers(await keysWith([...SAID, SUBJECT]))).toEqual([]);
  const { sessions } = await eventually('it is listed', () => at.there.list(SUBJECT).catch(() => undefined));
  expect(sessions).toEqual([]);
});

test('a process that dies in the middle leaves what a repetition completes', async () => {
  await at.close();
  start(CROWDED);
  const sids = Array.from({ length: 600 }, (_, index) => `s${String(index)}`);
  const signedIn = await Promise.all(sids.map((sid) => at.here.verify(token(sid), { userAgent: FIREFOX })));
  const handles = signedIn.map(({ session }) => session.handle);
  await Promise.all(
    handles.map((handle) => at.here.revoke(SUBJECT, handle, { reason: 'She lost it', by: 'helpdesk-7' })),
  );

  const store = redisStore(redis.url);
  store.configure({ storeTimeout: 30_000, revocationBound: 60_000 });
  let scripts = 0;
  const feed = store.feed({
    notice: ({ kind }: Notice) => {
      // Its first notice comes after the first batch.
      if (kind === 'cutoff' && scripts === 0) void store.close();
      scripts += 1;
    },
    globalCutoff: () => undefined,
    gap: () => undefined,
  });
  const policy = {
    idleTimeout: null,
    clockTolerance: 0,
    tombstoneFor: DAY,
    maxSessions: 1000,
    atSessionLimit: 'refuse',
  } as const;
  const user = sessionUser(ISSUER, SUBJECT);
  await expect(store.erase(user, { at: at.clock.now(), policy })).rejects.toMatchObject({ code: 'store_unavailable' });
  await feed.close();
  expect(ofUsers(await keysWith(SAID))).not.toEqual([]);
  await at.there.erase(SUBJECT);
  expect(ofUsers(await keysWith([...SAID, SUBJECT]))).toEqual([]);
});

test('the feed keeps what was said until it is trimmed', async () => {
  await settle();
  await at.here.erase(SUBJECT);
  expect(ofFeed(await keysWith(['She lost it', 'helpdesk-7', SUBJECT]))).not.toEqual([]);
  await at.close();
  // Redis trims whole blocks of about a hundred entries.
  const keys = ['stream', 'epoch', 'count', 'global-cutoff'].map((part) => `ms:{feed}:${part}`);
  const publish = (entries: readonly string[]): Promise<unknown> => {
    const args = PUBLISH.args({ newEpoch: 'epoch-of-the-test', liveFor: DAY, trimmedFrom: 10 * MINUTE, entries });
    return client.eval(PUBLISH.lua, keys.length, ...keys, ...args);
  };
  await publish(Array.from({ length: 250 }, (_, index) => `of others ${String(index)}`));
  // The same stream, eleven minutes older.
  const entries = await client.xrange('ms:{feed}:stream', '-', '+');
  await client.del('ms:{feed}:stream');
  const ago = String(Date.now() - 11 * MINUTE);
  for (const [index, [, fields]] of entries.entries()) {
    await client.xadd('ms:{feed}:stream', `${ago}-${String(index + 1)}`, ...fields);
  }
  await publish(['of others, now']);
  expect(ofFeed(await keysWith([...SAID, SUBJECT]))).toEqual([]);
  start();
});

test('docs/privacy.md lists every key of a user, and every requirement in docs/security.md is named once', () => {
  const doc = (name: string): string => readFileSync(join(__dirname, '../../docs', name), 'utf8');
  const listed = new Set(Array.from(doc('privacy.md').matchAll(/`ms:\{user\}:(\w)`/g), ([, part]) => part));
  const user = sessionUser(ISSUER, SUBJECT);
  expect([...listed].sort()).toEqual(
    userKeys('ms', user)
      .map((key) => key.slice(-1))
      .sort(),
  );
  const requirements = Array.from(
    doc('security.md').matchAll(/^\| (\d+\.\d+\.\d+) \((\d)\)/gm),
    ([, number = '']) => number,
  );
  expect(new Set(requirements).size).toBe(requirements.length);
  // All of V7 and V9, and of V10 those for clients and resource servers.
  const chapters = ['7.1.3', '7.2.4', '7.3.2', '7.4.5', '7.5.3', '7.6.2', '9.1.3', '9.2.4'];
  const all = chapters.flatMap((last) => {
    const [section, count] = [last.slice(0, 3), Number(last.slice(4))];
    return Array.from({ length: count }, (_, index) => `${section}.${String(index + 1)}`);
  });
  expect(requirements.filter((number) => !number.startsWith('10.'))).toEqual(all);
});
