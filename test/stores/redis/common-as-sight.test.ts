/** Random states of a user: what the short script decides, it decides as the full one does, and leaves the same behind. */

import fc from 'fast-check';
import { Redis } from 'ioredis';

import type { SessionPolicy } from '../../../lib/core/policy.js';
import { sessionUser, type SessionUser, type TokenParties, type TokenTimes } from '../../../lib/core/session.js';
import { COMMON_SIGHTING, mayBeCommon } from '../../../lib/stores/redis/common-sighting.js';
import { GLOBAL_CUTOFF } from '../../../lib/stores/redis/records.js';
import type { Script } from '../../../lib/stores/redis/script.js';
import { userKeys } from '../../../lib/stores/redis/session-prelude.js';
import { SIGHT } from '../../../lib/stores/redis/sight-script.js';
import { redisStore } from '../../../lib/stores/redis/store.js';
import type { SessionStore, SightRequest } from '../../../lib/stores/store.js';
import { startRedis, type TestRedis } from '../../support/redis.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const RUNS = 40;

let redis: TestRedis;
let client: Redis;
let store: SessionStore;
let users = 0;

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
  store = redisStore(redis.url);
  store.configure({ storeTimeout: 30_000, revocationBound: 60_000 });
});
afterAll(async () => {
  await store.close();
  client.disconnect();
  await redis.stop();
});

const handle = (number: number): string => `h${String(number).padStart(21, '0')}`;
const session = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 24 }));

/** The first in four of five cases: of what is rare in every part, little is common as a whole. */
const mostly = <T>(first: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(first) }, { weight: 1, arbitrary: fc.constantFrom(...others) });

const token = (now: number): fc.Arbitrary<TokenTimes> =>
  fc.record({
    beganAt: mostly<number | null>(now - HOUR, null, ...[-2 * HOUR, 0, 2 * SECOND, 10 * MINUTE].map((ms) => now + ms)),
    expiresAt: mostly<number | null>(now + HOUR, null, now + 30 * SECOND, now + 2 * HOUR),
    lifetime: mostly<number | null>(null, 2 * HOUR + MINUTE, 48 * HOUR),
    sessionEndsAt: mostly<number | null>(null, now + 2 * MINUTE, now + 3 * HOUR),
    issuedAt: mostly<number | null>(now, null, now - 2 * HOUR),
  });

interface Seen {
  readonly of: number;
  readonly token: TokenTimes;
  readonly minutes: number;
  readonly ip: string | null;
  readonly userAgent: string | null;
  readonly byProgram: boolean;
  readonly parties: TokenParties;
  readonly track: boolean;
  readonly isUse: boolean;
  readonly clientKey: string | null;
  readonly known: { startedAt: number; tokensEndAt: number; endsAt: number | null; survivedCutoffAt: number } | null;
}

const seen = (now: number): fc.Arbitrary<Seen> =>
  fc.record({
    of: session,
    token: token(now),
    minutes: mostly(0, 1, 3, 59, 61, 100),
    ip: mostly<string | null>('203.0.113.7', '203.0.113.8', null),
    userAgent: mostly<string | null>('one', 'two', null),
    byProgram: mostly(false, true),
    parties: mostly<TokenParties>(
      { app: null, actor: null },
      { app: 'web', actor: null },
      { app: null, actor: 'aide' },
    ),
    track: fc.constantFrom(true, true, true, false),
    clientKey: fc.constantFrom(null, 'a', 'b'),
    known: fc.option(
      fc.record({
        startedAt: fc.constantFrom(now - 2 * HOUR, now - HOUR, now),
        tokensEndAt: fc.constantFrom(now + HOUR, now + 2 * HOUR),
        endsAt: fc.constantFrom(null, null, now + 3 * HOUR),
        survivedCutoffAt: fc.constantFrom(0, 0, now),
      }),
      { nil: null, freq: 4 },
    ),
    isUse: mostly(true, false),
  });

type Step =
  | ({ readonly kind: 'sight' } & Seen)
  | { readonly kind: 'revoke' | 'label'; readonly of: number }
  | { readonly kind: 'revokeAll'; readonly except: number | null }
  | { readonly kind: 'expireTokens'; readonly upTo: number }
  | { readonly kind: 'restore cutoff'; readonly at: number; readonly except: number | null };

const step = (now: number): fc.Arbitrary<Step> =>
  fc.oneof(
    { weight: 10, arbitrary: seen(now).map((one) => ({ kind: 'sight' as const, ...one })) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('revoke' as const, 'label' as const), of: session }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('revokeAll' as const), except: fc.option(session) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('expireTokens' as const),
        upTo: fc.constantFrom(now - 3 * HOUR, now - 90 * MINUTE),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('restore cutoff' as const),
        at: fc.constantFrom(now - 90 * MINUTE, now - MINUTE, now + 5 * MINUTE),
        except: fc.option(session),
      }),
    },
  );

const policies: fc.Arbitrary<SessionPolicy> = fc.record({
  idleTimeout: fc.constantFrom(null, HOUR),
  clockTolerance: fc.constant(5 * SECOND),
  tombstoneFor: fc.constantFrom(0, HOUR, 30 * 24 * HOUR),
  maxSessions: mostly(Infinity, 1, 2, 15, 16, 17, 20),
  atSessionLimit: fc.constantFrom('end-oldest' as const, 'refuse' as const),
});

function requestOf(one: Seen, now: number, policy: SessionPolicy): SightRequest {
  const { of, minutes, ip, userAgent, byProgram, parties, known, isUse, ...others } = one;
  const sighting = { at: now + minutes * MINUTE, ip, userAgent, byProgram, ...parties };
  const request = { ...others, handle: handle(of), sighting, policy, ...(!isUse && { usedAt: 0 }) };
  return known === null ? request : { ...request, knownUse: { inUseSince: 0, known } };
}

async function take(user: SessionUser, taken: Step, now: number, policy: SessionPolicy): Promise<void> {
  const by = { reason: 'ended', by: null, at: now, policy };
  const except = (number: number | null): string | null => (number === null ? null : handle(number));
  switch (taken.kind) {
    case 'sight':
      await store.sight(user, requestOf(taken, now, policy));
      return;
    case 'label':
      await store.label(user, handle(taken.of), 'phone', now, policy);
      return;
    case 'revoke':
      await store.revoke(user, { ...by, handle: handle(taken.of) });
      return;
    case 'revokeAll':
      await store.revokeAll(user, { ...by, except: except(taken.except) });
      return;
    case 'expireTokens':
      await store.expireTokens(user, { ...by, upTo: taken.upTo });
      return;
    case 'restore cutoff': {
      const words = { reason: 'all', by: null, origin: 'elsewhere-Aa0_' };
      const cutoff = { at: taken.at, except: except(taken.except), ...words, erasedAt: 0 };
      await store.restore(user, { tombstones: [], cutoff, at: now, policy });
    }
  }
}

async function run<In, Out>(script: Script<In, Out>, keys: readonly string[], input: In): Promise<Out> {
  return script.decode(
    await client.callBuffer('eval', script.lua, String(keys.length), ...keys, ...script.args(input)),
  );
}

type Fields = Record<string, string>;

const hex = (kept: Record<string, Buffer>): Fields =>
  Object.fromEntries(Object.entries(kept).map(([field, value]) => [field, value.toString('hex')]));

async function scores(key: string): Promise<Fields> {
  const members = await client.zrange(key, '0', '-1');
  const found = await Promise.all(members.map((member) => client.zscore(key, member)));
  return Object.fromEntries(members.map((member, at) => [member, String(found[at])]));
}

/** What is stored of a user. `endsAt`: when its keys go. */
async function stateOf(keys: readonly string[]) {
  const [sessions = '', rows = '', index = '', due = '', , clients = ''] = keys;
  const { due: dueText = '', ...kept } = hex(await client.hgetallBuffer(sessions));
  const endsAt = await Promise.all([sessions, rows, index, due].map((key) => client.pexpiretime(key)));
  return {
    dueAt: Buffer.from(dueText, 'hex').toString(),
    hashes: [kept, hex(await client.hgetallBuffer(rows)), await scores(index), await scores(due)] as const,
    clients: await client.get(clients),
    endsAt,
  };
}

async function copied(from: readonly string[], name: string): Promise<string[]> {
  const copies = from.map((key) => `${name}:${key}`);
  await Promise.all(copies.map((copy) => client.del(copy)));
  await Promise.all(from.map((key, at) => client.copy(key, copies[at] ?? '')));
  return copies;
}

test('what the short script decides, it decides as the full one does', async () => {
  let decided = 0;
  // Ahead of the machine's clock, so that keys live until the same moment whenever a script runs.
  const now = Date.now() + HOUR;
  await fc.assert(
    fc.asyncProperty(
      policies,
      fc.constantFrom(0, 0, 1, 13, 14, 15, 16, 17, 19),
      fc.array(step(now), { maxLength: 10 }),
      fc.array(fc.tuple(seen(now), fc.constantFrom(null, null, null, -90 * MINUTE, -MINUTE)), {
        minLength: 20,
        maxLength: 20,
      }),
      async (policy, fillers, steps, sightings) => {
        users += 1;
        const user = sessionUser('https://id.example.com/', String(users));
        const keys = userKeys('ms', user);
        for (let number = 0; number < fillers; number += 1) {
          const token = { beganAt: now - HOUR, expiresAt: now + HOUR, lifetime: null, sessionEndsAt: null };
          const sighting = { at: now, ip: '203.0.113.7', userAgent: 'one' };
          await store.sight(user, {
            handle: handle(number),
            sighting,
            token,
            policy: { ...policy, maxSessions: Infinity },
          });
        }
        for (const one of steps) await take(user, one, now, policy);
        for (const [one, endedAll] of sightings) {
          const globalCutoff =
            endedAll === null
              ? ''
              : GLOBAL_CUTOFF.write({ at: now + endedAll, origin: 'elsewhere-Aa0_', by: null, reason: 'all' });
          const request = requestOf(one, now, policy);
          const input = { ...request, at: request.sighting.at, globalCutoff, origin: 'elsewhere-Aa0_' };
          if (!mayBeCommon(input)) continue;
          const [short, full] = [await copied(keys, 'short'), await copied(keys, 'full')];
          const before = await stateOf(short);
          const answer = await run(COMMON_SIGHTING, short.slice(0, input.clientKey === null ? -1 : undefined), input);
          const after = await stateOf(short);
          if (answer === null) {
            expect(after).toEqual(before);
            continue;
          }
          decided += 1;
          expect({ answer, ended: [] }).toEqual(await run(SIGHT, full, input));
          const expected = await stateOf(full);
          expect(after.clients).toEqual(expected.clients);
          expect(after.endsAt).toEqual(expected.endsAt);
          if (after.dueAt.startsWith('i')) expect(after.dueAt).toBe(expected.dueAt);
          // An earlier call may have had a clock that is ahead.
          else expect(Number(after.dueAt)).toBeLessThanOrEqual(Number(expected.dueAt) + 2 * HOUR);
          // The full one also looks at what is due, and forgets some of it.
          const wasDue = Object.entries(before.hashes[3]).flatMap(([of, at]) => (Number(at) <= input.at ? [of] : []));
          for (const of of wasDue) if (of !== request.handle) Reflect.deleteProperty(expected.hashes[3], of);
          for (const [at, fields] of after.hashes.entries()) {
            const others = expected.hashes[at] ?? {};
            expect(fields).toMatchObject(others);
            expect([at, fields[request.handle]]).toEqual([at, others[request.handle]]);
          }
        }
      },
    ),
    { numRuns: RUNS },
  );
  // Otherwise little was compared.
  expect(decided).toBeGreaterThan(RUNS / 2);
});
