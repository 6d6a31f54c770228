/** Of an ended session one process says `here: true`, whoever else was at it: mails are sent once. */

import { redisStore, type ManagedSessions, type SessionEnded } from '../../lib/index.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { splitClient } from '../support/split-client.js';
import { startProxy } from '../support/tcp-proxy.js';
import { alone, ask, Processes, tokenOf } from './logins.js';

const ROUNDS = 20;

let redis: TestRedis;
let at: Processes;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.cli('flushall');
  at = new Processes(redis.url, { storeTimeout: '2s', revocationBound: '3s' });
});
afterEach(() => at.close());

const untilTold = (count: number): Promise<boolean> =>
  eventually('all are told', () => Promise.resolve(at.endedHere.length >= count && at.endedThere.length >= count));

/** Who said that it ended the session, as both processes told it. */
function toldBy(subject: string): { here: boolean | undefined; there: boolean | undefined; by: unknown[] } {
  const of = (events: readonly SessionEnded[]): SessionEnded[] => events.filter(({ user }) => user.id === subject);
  const [here, there] = [of(at.endedHere), of(at.endedThere)];
  expect([here.length, there.length]).toEqual([1, 1]);
  return { here: here[0]?.here, there: there[0]?.here, by: [here[0]?.by, there[0]?.by] };
}

const ENDINGS: readonly [
  string,
  (sessions: ManagedSessions, subject: string, handle: string, by: string) => unknown,
][] = [
  ['revoke', (sessions, subject, handle, by) => sessions.revoke(subject, handle, { by })],
  ['revokeAll', (sessions, subject, _handle, by) => sessions.revokeAll(subject, { by })],
  ['endEverywhere', (sessions, _subject, _handle, by) => sessions.endEverywhere({ by })],
];

test.each(ENDINGS)('%s in two processes at the same moment', async (name, end) => {
  const rounds = name === 'endEverywhere' ? 1 : ROUNDS;
  for (let round = 0; round < rounds; round += 1) {
    const subject = `u${String(round)}`;
    const token = tokenOf(at.clock, { sub: subject, iat: at.clock.now() / 1000 - 60 });
    const { session } = await at.here.verify(token);
    await at.there.verify(token);
    await Promise.all([end(at.here, subject, session.handle, 'a'), end(at.there, subject, session.handle, 'b')]);
    await untilTold(round + 1);
    const { here, there, by } = toldBy(subject);
    expect(here).toBe(!there);
    expect(by).toEqual(here ? ['a', 'a'] : ['b', 'b']);
  }
});

test.each(ENDINGS)('%s that was done late, then a request, then its repetition', async (_name, end) => {
  const token = tokenOf(at.clock, { iat: at.clock.now() / 1000 - 60 });
  const { session } = await at.here.verify(token);
  await at.there.verify(token);
  redis.pause();
  try {
    await expect(end(at.here, 'ann', session.handle, 'a')).rejects.toMatchObject({ code: 'store_unavailable' });
  } finally {
    redis.resume();
  }
  await eventually('it is refused', async () => (await ask(at.here, token)) === 'session_revoked');
  await end(at.here, 'ann', session.handle, 'a');
  await untilTold(1);
  expect(toldBy('ann')).toEqual({ here: true, there: false, by: ['a', 'a'] });
});

test('endEverywhere whose reply is held back until another process has done the same', async () => {
  const [commands, feed] = [await startProxy(redis), await startProxy(redis)];
  const client = splitClient(commands, feed);
  const slow = alone(at.clock, { storeTimeout: '20s', revocationBound: '60s', store: redisStore(client) });
  const told: SessionEnded[] = [];
  slow.on('sessionEnded', (event) => told.push(event));
  try {
    const token = tokenOf(at.clock, { iat: at.clock.now() / 1000 - 60 });
    await at.here.verify(token);
    await slow.verify(token);
    await eventually('its feed is read', () => Promise.resolve(slow.health().feed.ok));
    commands.blackhole('down');
    const held = slow.endEverywhere({ by: 'slow' });
    await eventually('it is done', async () => (await redis.cli('exists', 'ms:{feed}:global-cutoff')) === 1);
    await at.here.endEverywhere({ by: 'a' });
    await eventually('the feed tells it', () => Promise.resolve(told.length === 1));
    await commands.heal();
    await held;
    await eventually('the other is told', () => Promise.resolve(at.endedHere.length === 1));
    expect([...told, ...at.endedHere].map(({ by, here }) => [by, here])).toEqual([
      ['slow', true],
      ['slow', false],
    ]);
  } finally {
    await slow.close();
    client.disconnect();
    await Promise.all([commands.close(), feed.close()]);
  }
});

test('a token that is not on record is told of where it was ended', async () => {
  await at.close();
  at = new Processes(redis.url, { storeTimeout: '2s', revocationBound: '3s', track: () => false });
  const token = tokenOf(at.clock, { iat: at.clock.now() / 1000 - 60 });
  for (const sessions of at.each) await sessions.verify(token);
  await at.there.revokeAll('ann', { by: 'b' });
  await untilTold(1);
  expect(toldBy('ann')).toEqual({ here: false, there: true, by: ['b', 'b'] });
});
