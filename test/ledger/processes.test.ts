/** Several app processes on one Redis: an ending in one is in force in all, and each is told once. */

import jwt from 'jsonwebtoken';
import { startApp, type AppEvent, type AppProcess } from '../support/app-processes.js';
import { startRedis, type TestRedis } from '../support/redis.js';

const SECRET = 'a secret for tests, 32 bytes long';
const ISSUER = 'https://id.example.com/';
const BOUND = 5000;
const STORE_TIMEOUT = 3000;
const OPTIONS = {
  issuer: { issuer: ISSUER, secret: SECRET },
  revocationBound: BOUND,
  storeTimeout: STORE_TIMEOUT,
  activityInterval: 500,
  maxSessionsPerUser: 3,
  sessionIndex: true,
};

let redis: TestRedis;
let apps: AppProcess[];

beforeAll(async () => {
  redis = await startRedis();
  apps = await Promise.all([1, 2, 3].map(() => startApp(redis.url, OPTIONS)));
});
afterAll(async () => {
  await Promise.all(apps.map((app) => app.stop()));
  await redis.stop();
});

function tokenOf(subject: string, session: string): string {
  return jwt.sign({ sub: subject, sid: session }, SECRET, { issuer: ISSUER, expiresIn: '1h' });
}

function toEach<T>(ask: (app: AppProcess) => Promise<T>): Promise<T[]> {
  return Promise.all(apps.map(ask));
}

/** The session's handle; every process holds its signal from now on. */
async function watchedByEach(token: string): Promise<string> {
  const [handle] = await toEach((app) => app.call('watch', token));
  return String(handle);
}

function endingsOf(app: AppProcess, handle: string): AppEvent[] {
  return app.events.filter((event) => event.event === 'sessionEnded' && event.handle === handle);
}

/** Every process is told once, the first as the one that acted, and aborts the signal. */
async function expectEndedByFirst(handle: string, reason: string): Promise<void> {
  await toEach(async (app) => {
    await app.heard(({ event, handle: of }) => event === 'sessionEnded' && of === handle);
    await app.heard(({ event, handle: of }) => event === 'aborted' && of === handle);
  });
  expect(apps.map((app) => endingsOf(app, handle).map(({ here, reason: told }) => ({ here, told })))).toEqual([
    [{ here: true, told: reason }],
    [{ here: false, told: reason }],
    [{ here: false, told: reason }],
  ]);
}

test('300 revocations under traffic are in force in every process within the bound', async () => {
  const delays: number[] = [];
  for (let batch = 0; batch < 30; batch += 1) {
    const tokens = Array.from({ length: 10 }, (_, index) => tokenOf(`user-${String(batch)}-${String(index)}`, 's'));
    const handles = await Promise.all(tokens.map((token) => watchedByEach(token)));
    const pressed = toEach((app) => app.call('press', tokens));
    const acknowledged = await Promise.all(
      handles.map((handle, index) =>
        apps[(batch + index) % apps.length]!.call('revoke', `user-${String(batch)}-${String(index)}`, handle),
      ),
    );
    await pressed;
    for (const [index, token] of tokens.entries()) {
      for (const app of apps) {
        const refused = await app.heard((event) => event.event === 'refused' && event.token === token);
        expect(refused.again).toBe(false);
        expect(refused.statuses?.filter((status) => status !== 200)).toEqual([401]);
        delays.push(Math.max(0, (refused.acceptedAt ?? 0) - Number(acknowledged[index])));
      }
    }
  }
  delays.sort((a, b) => a - b);
  const at = (share: number): string => `${delays[Math.ceil(delays.length * share) - 1]!.toFixed(1)} ms`;
  process.stdout.write(`acknowledgement to last accepted request: p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)}\n`);
  expect(delays).toHaveLength(900);
  expect(delays.at(-1)).toBeLessThanOrEqual(BOUND + STORE_TIMEOUT);
});

test('revoke', async () => {
  const handle = await watchedByEach(tokenOf('one', 's'));
  await apps[0]!.call('revoke', 'one', handle);
  await expectEndedByFirst(handle, 'revoked');
});

test.each([
  ['with its subject', { subject: 'named', sessionId: 'with' }, 'with'],
  ['by its id alone', { sessionId: 'without' }, 'without'],
])('revokeSession %s, of a session that every process knows', async (_how, named, session) => {
  const handle = await watchedByEach(tokenOf('named', session));
  await apps[0]!.call('revokeSession', named, { reason: 'told', by: 'issuer' });
  await expectEndedByFirst(handle, 'told');
});

test.each([
  ['with its subject', { subject: 'unseen', sessionId: 'with' }, 'with'],
  ['by its id alone', { sessionId: 'without-it' }, 'without-it'],
])('revokeSession %s, of a session that was never seen', async (_how, named, session) => {
  await apps[0]!.call('revokeSession', named, {});
  // With a subject, the other processes hear of it by the feed.
  await toEach((app) => app.call('press', [tokenOf('unseen', session)]));
  expect(await toEach((app) => app.call('ask', tokenOf('unseen', session)))).toEqual([401, 401, 401]);
  expect(await toEach((app) => app.call('ask', tokenOf('unseen', 'another')))).toEqual([200, 200, 200]);
});

test('revokeAll, and the excepted session stays', async () => {
  const handles = await Promise.all(['a', 'b', 'c'].map((session) => watchedByEach(tokenOf('all', session))));
  const [kept = '', ...others] = handles;
  await apps[0]!.call('revokeAll', 'all', kept);
  for (const handle of others) await expectEndedByFirst(handle, 'revoked');
  expect(await toEach((app) => app.call('ask', tokenOf('all', 'a')))).toEqual([200, 200, 200]);
  expect(apps.map((app) => endingsOf(app, kept))).toEqual([[], [], []]);
});

test('the session cap', async () => {
  const handles: string[] = [];
  for (const session of ['a', 'b', 'c']) handles.push(await watchedByEach(tokenOf('capped', session)));
  await apps[0]!.call('watch', tokenOf('capped', 'd'));
  await expectEndedByFirst(handles[0]!, 'session_limit');
  expect(await toEach((app) => app.call('ask', tokenOf('capped', 'a')))).toEqual([401, 401, 401]);
});
