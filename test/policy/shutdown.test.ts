/** Real processes that are told to stop, and one that stands still and goes on. */

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import jwt from 'jsonwebtoken';
import { managedSessions, redisStore, type ManagedSessions } from '../../lib/index.js';
import { startRedis, type TestRedis } from '../support/redis.js';

const SECRET = 'a secret for tests, 32 bytes long';
const ISSUER = 'https://id.example.com/';
const BOUND = 2000;
const OPTIONS = { issuer: { issuer: ISSUER, secret: SECRET }, revocationBound: BOUND };
const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0';

let redis: TestRedis;
let here: ManagedSessions;
let child: ChildProcess;
let site: string;

beforeEach(async () => {
  redis = await startRedis();
  here = managedSessions({ ...OPTIONS, store: redisStore(redis.url) });
  const script = join(__dirname, '../support/stream-process.mjs');
  child = fork(script, [JSON.stringify({ redis: redis.url, options: OPTIONS })], { execArgv: [] });
  const [{ port }] = (await once(child, 'message')) as [{ readonly port: number }];
  site = `http://127.0.0.1:${String(port)}`;
});

afterEach(async () => {
  child.kill('SIGKILL');
  await here.close();
  await redis.stop();
});

function headersOf(sid: string): Record<string, string> {
  const token = jwt.sign({ sub: 'ann', sid }, SECRET, { issuer: ISSUER, expiresIn: '1h' });
  return { authorization: `Bearer ${token}`, 'user-agent': BROWSER, connection: 'close' };
}

async function lastSeenOf(handle: string): Promise<number> {
  return Date.parse((await here.get('ann', handle)).lastSeenAt);
}

test('a process that is told to stop ends its streams, writes the last uses, and exits', async () => {
  const headers = headersOf('a1');
  const streams = await Promise.all(['a1', 'a2'].map((sid) => fetch(`${site}/events`, { headers: headersOf(sid) })));
  const { handle } = (await (await fetch(site, { headers })).json()) as { readonly handle: string };
  const before = await lastSeenOf(handle);
  const asked = Date.now();
  for (let count = 0; count < 3; count += 1) expect((await fetch(site, { headers })).status).toBe(200);

  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await Promise.all(streams.map((stream) => stream.text()))).toEqual([
    'data: hello\n\nevent: restarting\ndata:\n\n',
    'data: hello\n\nevent: restarting\ndata:\n\n',
  ]);
  expect(await exited).toEqual([0, null]);
  expect(before).toBeLessThanOrEqual(asked);
  expect(await lastSeenOf(handle)).toBeGreaterThanOrEqual(asked);
});

test('a process that stood still refuses what was ended meanwhile, with its first request', async () => {
  const headers = headersOf('a1');
  for (let count = 0; count < 5; count += 1) expect((await fetch(site, { headers })).status).toBe(200);

  child.kill('SIGSTOP');
  await here.revokeAll('ann');
  // Until the memory of the process is older than it may be. The connection is accepted by the system meanwhile.
  const asked = fetch(site, { headers });
  await wait(BOUND + 1);
  child.kill('SIGCONT');
  expect((await asked).status).toBe(401);
});
