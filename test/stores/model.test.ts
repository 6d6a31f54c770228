/**
 * Random operations: one after the other, Redis answers as the memory store does; several at once over two clients, no
 * order makes live what has ended, and the cap holds.
 */

import fc from 'fast-check';

import type { SessionPolicy } from '../../lib/core/policy.js';
import type { Cutoff } from '../../lib/core/record.js';
import { sessionUser, type SessionUser, type TokenTimes } from '../../lib/core/session.js';
import { memoryStore } from '../../lib/stores/memory.js';
import { INDEX_FROM } from '../../lib/stores/redis/session-prelude.js';
import { redisStore } from '../../lib/stores/redis/store.js';
import type { SessionStore } from '../../lib/stores/store.js';
import { startRedis, type TestRedis } from '../support/redis.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const SETTINGS = { storeTimeout: 10_000, revocationBound: 60_000 };

type Operation =
  | { readonly kind: 'sight'; readonly of: number; readonly token: TokenTimes; readonly userAgent: string | null }
  | { readonly kind: 'revoke'; readonly of: number; readonly token: TokenTimes | null }
  | { readonly kind: 'revokeAll'; readonly except: number | null }
  | { readonly kind: 'label'; readonly of: number; readonly label: string | null }
  | { readonly kind: 'get'; readonly of: number }
  | { readonly kind: 'list'; readonly limit: number }
  | { readonly kind: 'restore'; readonly of: number; readonly forHours: number; readonly cutoff: boolean };

interface Step {
  readonly operation: Operation;
  /** How far the caller's clock has gone on, in minutes. */
  readonly minutes: number;
}

const handle = (number: number): string => String(number).padStart(22, 'h');
const session = fc.integer({ min: 0, max: 5 });

/** Moments lie hours from the cutoffs, which are of now: two stores never disagree by a millisecond. */
const token = (now: number): fc.Arbitrary<TokenTimes> =>
  fc
    .record({
      issuedAt: fc.constantFrom(null, now - 9 * HOUR, now - 8 * HOUR, now - 7 * HOUR, now + 400 * HOUR),
      expiresIn: fc.constantFrom(-5 * HOUR, -HOUR, 3 * HOUR, 30 * HOUR),
      lifetime: fc.constantFrom(null, null, 6 * HOUR, 48 * HOUR),
    })
    .map(({ issuedAt, expiresIn, lifetime }) => ({
      issuedAt,
      expiresAt: now + expiresIn,
      lifetime: issuedAt === null ? null : lifetime,
    }));

const operation = (now: number): fc.Arbitrary<Operation> =>
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant('sight' as const),
        of: session,
        token: token(now),
        userAgent: fc.constantFrom(null, 'one', 'two'),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('revoke' as const),
        of: session,
        token: fc.option(token(now)),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('revokeAll' as const), except: fc.option(session) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('label' as const),
        of: session,
        label: fc.constantFrom(null, 'a', 'b'),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('get' as const), of: session }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('list' as const), limit: fc.integer({ min: 1, max: 4 }) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('restore' as const),
        of: session,
        forHours: fc.integer({ min: 1, max: 200 }),
        cutoff: fc.boolean(),
      }),
    },
  );

const policy: fc.Arbitrary<SessionPolicy> = fc.record({
  idleTimeout: fc.constantFrom(null, 90 * MINUTE),
  clockTolerance: fc.constant(5000),
  tombstoneFor: fc.constantFrom(HOUR, 24 * HOUR),
  maxSessions: fc.constantFrom(1, 2, 3, Infinity),
  atSessionLimit: fc.constantFrom('end-oldest' as const, 'refuse' as const),
});

/** A store, its user, and the cutoffs it set: what is of its own clock is named by their number. */
interface Actor {
  readonly store: SessionStore;
  readonly user: SessionUser;
  readonly cutoffs: Cutoff[];
}

function actor(store: SessionStore, user: SessionUser): Actor {
  return { store, user, cutoffs: [] };
}

/** What an operation answers, with the moments of this store's cutoffs by their number. */
async function answerOf(
  { store, user, cutoffs }: Actor,
  { operation }: Step,
  at: number,
  now: number,
  rules: SessionPolicy,
): Promise<unknown> {
  const byNumber = (key: string, value: unknown): unknown => {
    if (key === 'origin') return value === store.origin ? 'own' : value;
    if (key !== 'at' && key !== 'survivedCutoffAt') return value;
    const index = cutoffs.findIndex((cutoff) => cutoff.at === value);
    return index < 0 ? value : `cutoff ${String(index)}`;
  };
  const answer = await act();
  return JSON.parse(JSON.stringify({ answer }, byNumber));

  async function act(): Promise<unknown> {
    switch (operation.kind) {
      case 'sight': {
        const sighting = { at, ip: '203.0.113.7', userAgent: operation.userAgent };
        return store.sight(user, { handle: handle(operation.of), sighting, token: operation.token, policy: rules });
      }
      case 'revoke': {
        const request = { handle: handle(operation.of), reason: 'ended', by: 'somebody', at, policy: rules };
        return store.revoke(user, operation.token === null ? request : { ...request, token: operation.token });
      }
      case 'revokeAll': {
        const except = operation.except === null ? null : handle(operation.except);
        // A millisecond of its own: a cutoff's moment is like no other.
        return store.revokeAll(user, { except, reason: 'all', by: null, at: at + 1, policy: rules });
      }
      case 'label':
        return store.label(user, handle(operation.of), operation.label, at, rules);
      case 'get':
        return store.get(user, handle(operation.of), at, rules);
      case 'list': {
        const first = await store.list(user, { limit: operation.limit, cursor: null, at, policy: rules });
        if (first.next === null) return [first];
        return [first, await store.list(user, { limit: operation.limit, cursor: first.next, at, policy: rules })];
      }
      case 'restore': {
        const ending = {
          cause: 'revoked',
          reason: 'known',
          by: null,
          at,
          expiresAt: null,
          origin: 'restored',
        } as const;
        const tombstone = { handle: handle(operation.of), ending, until: now + operation.forHours * HOUR };
        const last = cutoffs.at(-1);
        const cutoff = {
          at: (last?.at ?? now) + 12 * HOUR,
          except: null,
          reason: 'known',
          by: null,
          origin: 'restored',
        };
        if (operation.cutoff) cutoffs.push(cutoff);
        const known = operation.cutoff ? { tombstones: [], cutoff } : { tombstones: [tombstone], cutoff: null };
        return store.restore(user, { ...known, at, policy: rules });
      }
    }
  }
}

let redis: TestRedis;
let stores: SessionStore[];
let actors: Map<string, Actor>;
let memory: SessionStore;
let users = 0;

beforeAll(async () => {
  redis = await startRedis();
  memory = memoryStore();
  stores = [redisStore(redis.url), redisStore(redis.url)];
  actors = new Map();
  for (const [index, store] of [memory, ...stores].entries()) {
    store.configure(SETTINGS);
    store.feed({
      notice(notice) {
        if (notice.kind !== 'cutoff' || notice.cutoff.origin !== store.origin) return;
        const cutoffs = actors.get(`${String(index)} ${notice.user.key}`)?.cutoffs ?? [];
        // It comes once for each batch of what it ended.
        if (cutoffs.at(-1)?.at !== notice.cutoff.at) cutoffs.push(notice.cutoff);
      },
      globalCutoff: () => undefined,
      gap: () => undefined,
    });
  }
});

afterAll(async () => {
  await Promise.all([memory, ...stores].map((store) => store.close()));
  await redis.stop();
});

/** The memory store and the first of Redis, as one new user. */
function newActors(): [Actor, Actor] {
  users += 1;
  const user = sessionUser('https://id.example.com/', String(users));
  const [first = memory] = stores;
  const made: [Actor, Actor] = [actor(memory, user), actor(first, user)];
  for (const [index, one] of made.entries()) actors.set(`${String(index)} ${user.key}`, one);
  return made;
}

const steps = (now: number, maxLength: number): fc.Arbitrary<Step[]> =>
  fc.array(fc.record({ operation: operation(now), minutes: fc.constantFrom(0, 0, 1, 20, 50) }), { maxLength });

async function expectAgreement(
  [plain, real]: [Actor, Actor],
  now: number,
  rules: SessionPolicy,
  taken: readonly Step[],
): Promise<void> {
  // From before Redis's clock on, so that both also forget.
  let at = now - 6 * HOUR;
  for (const step of taken) {
    at += step.minutes * MINUTE;
    const expected = await answerOf(plain, step, at, now, rules);
    expect(await answerOf(real, step, at, now, rules)).toEqual(expected);
  }
}

test('Redis answers as the memory store does', async () => {
  const now = Date.now();
  await fc.assert(
    fc.asyncProperty(policy, steps(now, 40), (rules, taken) => expectAgreement(newActors(), now, rules, taken)),
    { numRuns: 200 },
  );
});

test('Redis answers as the memory store does where a user has so many sessions that they are indexed', async () => {
  const now = Date.now();
  await fc.assert(
    fc.asyncProperty(policy, steps(now, 40), async (rules, taken) => {
      const both = newActors();
      const unbounded = { ...rules, maxSessions: Infinity };
      for (const { store, user } of both) {
        await Promise.all(
          Array.from({ length: INDEX_FROM + 1 }, (_, index) =>
            store.sight(user, {
              handle: handle(1000 + index),
              // Seen in groups of the same moment.
              sighting: { at: now - (index % 7), ip: null, userAgent: null },
              token: { issuedAt: now - HOUR, expiresAt: now + (index % 3) * HOUR + MINUTE, lifetime: null },
              policy: unbounded,
            }),
          ),
        );
      }
      const [, { user }] = both;
      expect(await redis.cli('exists', `ms:{${user.key}}:i`)).toBe(1);
      await expectAgreement(both, now, unbounded, taken);
    }),
    { numRuns: 15 },
  );
});

test('no order of operations over two clients makes live what has ended, or passes the cap', async () => {
  const now = Date.now();
  const rules = fc.record({
    cap: fc.constantFrom(1, 3, Infinity),
    atSessionLimit: fc.constantFrom('end-oldest' as const, 'refuse' as const),
  });
  await fc.assert(
    fc.asyncProperty(
      rules,
      fc.array(fc.array(operation(now), { minLength: 1, maxLength: 8 }), { maxLength: 12 }),
      async ({ cap, atSessionLimit }, rounds) => {
        users += 1;
        const user = sessionUser('https://id.example.com/', String(users));
        const both = stores.map((store) => actor(store, user));
        const ofUser: SessionPolicy = {
          idleTimeout: null,
          clockTolerance: 5000,
          tombstoneFor: 24 * HOUR,
          maxSessions: cap,
          atSessionLimit,
        };
        const ended = new Set<string>();

        for (const round of rounds) {
          const before = new Set(ended);
          const answers = await Promise.all(
            round.map(async (operation, index) => {
              const [one, other] = both;
              const asked = index % 2 === 0 ? one : other;
              if (asked === undefined) throw new Error('There are two');
              const answer = await answerOf(asked, { operation, minutes: 0 }, now, now, ofUser);
              return { operation, answer: (answer as { answer: unknown }).answer };
            }),
          );
          for (const { operation, answer } of answers) {
            if (operation.kind === 'sight') {
              const { state } = answer as { state: string };
              const of = handle(operation.of);
              if (before.has(of)) expect([operation, state]).toEqual([operation, expect.stringMatching(/ended/)]);
              // What ended by itself and was not on record is not remembered: its token is refused for what it is.
              const ending = state === 'ended' ? (answer as { ending: { cause: string } }).ending : null;
              if (ending?.cause === 'revoked') ended.add(of);
            }
            if (operation.kind === 'revoke' && answer !== 'unknown') ended.add(handle(operation.of));
            if (operation.kind === 'restore' && !operation.cutoff) ended.add(handle(operation.of));
          }
          const [{ store } = { store: memory }] = both;
          const page = await store.list(user, { limit: 200, cursor: null, at: now, policy: ofUser });
          expect(page.sessions.filter((session) => ended.has(session.handle))).toEqual([]);
          expect(page.sessions.length).toBeLessThanOrEqual(cap);
        }
      },
    ),
    { numRuns: 150 },
  );
});
