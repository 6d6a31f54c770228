/** Tokens of machines: verified and ended as any other, and never on record. */

import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { ManualClock } from '../support/issuer.js';
import { alone, ask, HASTY, Processes, textOf, tokenOf, untilLive, type Options } from './logins.js';

const track: Options['track'] = (claims) => textOf(claims, 'gty') !== 'client-credentials';
const MACHINE = { sub: 'ann', gty: 'client-credentials' };

let redis: TestRedis;
let at: Processes;
const OPTIONS: Options = { track, maxSessionsPerUser: 2, atSessionLimit: 'refuse', idleTimeout: '30m' };

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.cli('flushall');
  at = new Processes(redis.url, OPTIONS);
});
afterEach(async () => {
  await at.close();
});

test('many are live, beside the people that the cap lets in, and none is on record', async () => {
  const { clock, here, there } = at;
  const told: unknown[] = [];
  for (const sessions of at.each) sessions.on('sessionStarted', (event) => told.push(event));
  for (let index = 0; index < 20; index += 1) {
    const token = tokenOf(clock, { ...MACHINE, sid: `m${String(index)}` });
    expect([await ask(here, token), await ask(there, token)]).toEqual(['live', 'live']);
  }
  expect((await here.list('ann')).sessions).toEqual([]);
  expect(told).toEqual([]);
  expect(await redis.cli('dbsize')).toBe(0);

  expect(await ask(here, tokenOf(clock, { sid: 'p1' }))).toBe('live');
  expect(await ask(here, tokenOf(clock, { sid: 'p2' }))).toBe('live');
  expect(await ask(here, tokenOf(clock, { sid: 'p3' }))).toBe('session_limit');
  expect(told).toHaveLength(2);
});

test('a known one is answered from memory, and close() leaves nothing behind', async () => {
  const { clock, here } = at;
  const token = tokenOf(clock, MACHINE);
  expect(await ask(here, token)).toBe('live');
  clock.advance(1000);
  redis.pause();
  expect(await ask(here, token)).toBe('live');
  redis.resume();
  await here.close();
  expect(await redis.cli('dbsize')).toBe(0);
});

test('is not ended for being idle', async () => {
  const { clock, here } = at;
  const token = tokenOf(clock, { ...MACHINE, exp: clock.now() / 1000 + 86_400 });
  const { session } = await here.verify(token);
  clock.advance(12 * 3_600_000);
  expect(await ask(here, token)).toBe('live');
  expect(session.signal.aborted).toBe(false);
});

test('revokeAll ends it everywhere, also where it was never seen', async () => {
  const { clock, here, there } = at;
  const seen = tokenOf(clock, { ...MACHINE, iat: clock.now() / 1000 - 60 });
  const unseen = tokenOf(clock, { ...MACHINE, sid: 'unseen', iat: clock.now() / 1000 - 60 });
  const { session } = await there.verify(seen);
  await here.revokeAll('ann', { reason: 'administrator' });
  await eventually('the signal fires there', () => Promise.resolve(session.signal.aborted));
  expect([await ask(here, seen), await ask(there, seen)]).toEqual(['session_revoked', 'session_revoked']);
  expect(await ask(there, unseen)).toBe('session_revoked');
});

test('revoke ends it by its handle where it is in use', async () => {
  const { clock, here, there } = at;
  const token = tokenOf(clock, MACHINE);
  const { session } = await here.verify(token);
  await there.verify(token);
  await here.revoke('ann', session.handle);
  expect(await ask(here, token)).toBe('session_revoked');
  await eventually('the other knows', async () => (await ask(there, token)) === 'session_revoked');
});

test('where the store cannot be asked it is 503, as for everybody', async () => {
  await at.close();
  at = new Processes(redis.url, { ...OPTIONS, ...HASTY });
  const { clock, here } = at;
  await untilLive(here, tokenOf(clock));
  redis.pause();
  expect(await ask(here, tokenOf(clock, { ...MACHINE, sid: 'new' }))).toBe('store_unavailable');
  redis.resume();
});

test.each<[string, unknown]>([
  ['undefined', undefined],
  ['null', null],
  ['a text', 'false'],
  ['a number', 0],
  ['a promise', Promise.resolve(true)],
])('a track that returns %s is an error of the application', async (_name, value) => {
  const clock = new ManualClock();
  const sessions = alone(clock, { track: () => value as boolean });
  await expect(sessions.verify(tokenOf(clock))).rejects.toThrow(/^track must return true or false/);
  expect(sessions.health().sessions).toBe(0);
  await sessions.close();
});

test.each<[string, unknown]>([
  ['true', true],
  ['null', null],
  ['a list', []],
])('a track that is %s is refused at construction', (_name, value) => {
  expect(() => alone(new ManualClock(), { track: value as () => boolean })).toThrow(/^track must be a function/);
});
