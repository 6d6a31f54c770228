/** After a start from a snapshot, Redis may not know of the latest use of a session: nothing is ended as idle for that. */

import type { SessionPolicy } from '../../../lib/core/policy.js';
import { ALWAYS, type KnownUse } from '../../../lib/core/record.js';
import { sessionUser } from '../../../lib/core/session.js';
import { redisStore } from '../../../lib/stores/redis/store.js';
import type { SessionStore, SightAnswer } from '../../../lib/stores/store.js';
import { eventually, startRedis, type TestRedis } from '../../support/redis.js';

const MINUTE = 60_000;
const POLICY: SessionPolicy = {
  idleTimeout: 30 * MINUTE,
  clockTolerance: 5000,
  tombstoneFor: 24 * 60 * MINUTE,
  maxSessions: 100,
  atSessionLimit: 'end-oldest',
};
const USER = sessionUser('https://id.example.com/', 'ann');
const seenAt = Date.now();
const later = seenAt + 40 * MINUTE;

let redis: TestRedis;
let store: SessionStore;

afterEach(async () => {
  await store.close();
  await redis.stop();
});

async function start(args: readonly string[] = []): Promise<void> {
  redis = await startRedis({ args });
  store = redisStore(redis.url);
  store.configure({ storeTimeout: 5000, revocationBound: 10_000 });
  for (const session of ['one', 'another']) await sight(session, seenAt);
}

function sight(
  session: string,
  at: number,
  knownUse: KnownUse = { inUseSince: at, known: null },
): Promise<SightAnswer> {
  const token = { beganAt: seenAt, expiresAt: seenAt + 60 * MINUTE, lifetime: null, sessionEndsAt: null };
  const sighting = { at, ip: null, userAgent: null };
  return store.sight(USER, { handle: session.padStart(22, '-'), sighting, token, policy: POLICY, knownUse });
}

async function restart(): Promise<void> {
  await redis.restart({ keepData: true });
  await eventually('it is reached', () =>
    store.catchUp().then(
      () => true,
      () => false,
    ),
  );
}

const unknown = { code: 'store_unavailable' };

test('a process that knows nothing cannot tell, and one that knows of a use has the time to tell it', async () => {
  await start();
  await restart();
  await expect(sight('one', later)).rejects.toMatchObject(unknown);
  const known = { startedAt: seenAt, tokensEndAt: seenAt + 60 * MINUTE, endsAt: null, survivedCutoffAt: 0 };
  expect(await sight('one', later, { inUseSince: ALWAYS, known })).toMatchObject({ state: 'live', created: false });
  expect(await sight('one', later + MINUTE)).toMatchObject({ state: 'live' });
  await expect(sight('another', later)).rejects.toMatchObject(unknown);
});

test('what nobody has told by then is idle', async () => {
  await start();
  await restart();
  await expect(sight('one', later)).rejects.toMatchObject(unknown);
  const ended = await eventually('it is certain', () => sight('one', later).catch(() => undefined));
  expect(ended).toMatchObject({ state: 'ended', ending: { cause: 'idle', at: seenAt + 30 * MINUTE } });
});

test.each([
  ['that was seen since the start', [], true],
  ['of a Redis that keeps a log', ['--appendonly', 'yes'], false],
])('an idle session %s is ended at once', async (_, args, isSeen) => {
  await start(args);
  await restart();
  const from = isSeen ? Date.now() + 3000 : seenAt;
  if (isSeen) await sight('one', from);
  expect(await sight('one', from + 40 * MINUTE)).toMatchObject({ state: 'ended', ending: { cause: 'idle' } });
});

test('an idle session of a Redis that was started empty is ended at once', async () => {
  await start();
  const longAgo = seenAt - 60 * MINUTE;
  await sight('one', longAgo);
  expect(await sight('one', longAgo + 40 * MINUTE)).toMatchObject({ state: 'live' });
  await sight('third', longAgo);
  expect(await sight('third', longAgo + 40 * MINUTE)).toMatchObject({ state: 'ended', ending: { cause: 'idle' } });
});
