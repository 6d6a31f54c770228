/**
 * Random schedules. One call after the other, the memory store and the Redis store answer as the model does. Several calls
 * at once over two store objects: no order of them makes live what has ended, changes who ended it, or passes the cap.
 */

import { isDeepStrictEqual } from 'node:util';

import fc from 'fast-check';

import type { GlobalCutoff } from '../../lib/core/cutoff.js';
import { ERASED } from '../../lib/core/erased.js';
import { tokenEndsAt, type SessionPolicy } from '../../lib/core/policy.js';
import { ALWAYS, type KnownUse } from '../../lib/core/record.js';
import { sessionUser, type Ending, type SessionUser, type TokenTimes } from '../../lib/core/session.js';
import { memoryStore } from '../../lib/stores/memory.js';
import { INDEX_FROM } from '../../lib/stores/redis/session-prelude.js';
import { redisStore } from '../../lib/stores/redis/store.js';
import type { Notice, SessionStore, SightAnswer } from '../../lib/stores/store.js';
import { describeSessionStore } from '../contract.js';
import { startRedis, type TestRedis } from '../support/redis.js';
import { modelStore } from './model-store.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const SETTINGS = { storeTimeout: 10_000, revocationBound: 60_000 };
const ELSEWHERE = 'elsewhere-Aa0_';

describeSessionStore('the model', () => Promise.resolve({ store: modelStore() }));

type Operation =
  | {
      readonly kind: 'sight';
      readonly of: number;
      readonly token: TokenTimes;
      readonly userAgent: string | null;
      readonly byProgram: boolean;
      readonly app: string | null;
      readonly actor: string | null;
      readonly track: boolean;
      /** How many minutes ago the session was last used, as far as the caller knows; null if the sighting is a use. */
      readonly usedAgo: number | null;
      readonly clientKey: string | null;
      readonly knownUse: 'nothing' | 'in use' | 'refused for an hour';
    }
  | { readonly kind: 'revoke'; readonly of: number; readonly token: TokenTimes | null; readonly evenUnseen: boolean }
  | { readonly kind: 'end up to'; readonly upTo: number }
  | { readonly kind: 'revokeAll'; readonly except: number | null }
  | { readonly kind: 'erase' }
  | { readonly kind: 'endEverywhere' }
  | { readonly kind: 'expireTokens'; readonly upTo: number }
  | { readonly kind: 'restore stale'; readonly at: number; readonly until: number }
  | { readonly kind: 'label'; readonly of: number; readonly label: string | null }
  | { readonly kind: 'get'; readonly of: number }
  | { readonly kind: 'list'; readonly limit: number }
  | { readonly kind: 'restore'; readonly of: readonly number[]; readonly until: number }
  | { readonly kind: 'restore cutoff'; readonly at: number; readonly except: number | null };

interface Step {
  readonly operation: Operation;
  /** How far the caller's clock has gone on, in minutes. */
  readonly minutes: number;
}

const handle = (number: number): string => String(number).padStart(22, 'h');
const session = fc.integer({ min: 0, max: 5 });

/** When a cutoff was set that is written back: before all others, or after any that is set in the test. */
const restoredAt = (now: number): number[] => [now - 100 * HOUR, now + 100 * HOUR, now + 300 * HOUR];

/** Whole seconds, in which sessions begin. Before any cutoff that is set in the test. */
const messageTimes = (now: number): number[] =>
  [-100, -62, -61].map((hours) => Math.floor((now + hours * HOUR) / 1000) * 1000);

/**
 * A token began hours before or after any cutoff that is set now, so that it does not matter that each store has another
 * clock; or around the cutoffs that are written back.
 */
const token = (now: number): fc.Arbitrary<TokenTimes> =>
  fc
    .record({
      beganAt: fc.constantFrom(
        null,
        ...[-63, -62, -61, 50, 200, 400].map((hours) => now + hours * HOUR),
        ...messageTimes(now),
        ...restoredAt(now).map((at) => Math.floor(at / 1000) * 1000),
      ),
      expiresIn: fc.constantFrom(-59 * HOUR, -55 * HOUR, 3 * HOUR, 30 * HOUR),
      lifetime: fc.constantFrom(null, null, 6 * HOUR, 48 * HOUR),
      endsIn: fc.constantFrom(null, null, null, -56 * HOUR, 20 * HOUR),
      issuedAt: fc.constantFrom(undefined, null, ...[-63, -59, -40, 50].map((hours) => now + hours * HOUR)),
    })
    .map(({ beganAt, expiresIn, lifetime, endsIn, issuedAt }) => ({
      beganAt,
      expiresAt: now + expiresIn,
      lifetime,
      sessionEndsAt: endsIn === null ? null : now + endsIn,
      ...(issuedAt !== undefined && { issuedAt }),
    }));

function operation(now: number): fc.Arbitrary<Operation> {
  const kinds: readonly (readonly [weight: number, arbitrary: fc.Arbitrary<Operation>])[] = [
    [
      32,
      fc.record({
        kind: fc.constant('sight' as const),
        of: session,
        token: token(now),
        userAgent: fc.constantFrom(null, 'one', 'two'),
        byProgram: fc.boolean(),
        app: fc.constantFrom(null, 'web', 'cli'),
        actor: fc.constantFrom(null, null, 'assistant'),
        track: fc.constantFrom(true, true, true, false),
        usedAgo: fc.constantFrom(null, null, null, 0, 30, 100, Infinity),
        clientKey: fc.constantFrom(null, 'a', 'b', 'c'),
        knownUse: fc.constantFrom(
          'nothing' as const,
          'nothing' as const,
          'in use' as const,
          'refused for an hour' as const,
        ),
      }),
    ],
    [
      8,
      fc.record({
        kind: fc.constant('revoke' as const),
        of: session,
        token: fc.option(token(now), { nil: null }),
        evenUnseen: fc.constantFrom(false, false, true),
      }),
    ],
    [4, fc.record({ kind: fc.constant('end up to' as const), upTo: fc.constantFrom(...messageTimes(now)) })],
    [4, fc.record({ kind: fc.constant('revokeAll' as const), except: fc.option(session, { nil: null }) })],
    [2, fc.record({ kind: fc.constant('erase' as const) })],
    [1, fc.record({ kind: fc.constant('endEverywhere' as const) })],
    [
      2,
      fc.record({
        kind: fc.constant('expireTokens' as const),
        upTo: fc.constantFrom(...[-58, -30, -1].map((hours) => now + hours * HOUR)),
      }),
    ],
    [
      1,
      fc.record({
        kind: fc.constant('restore stale' as const),
        at: fc.constantFrom(-100, -58, 100).map((hours) => now + hours * HOUR),
        until: fc.constantFrom(-20, 10, 200).map((hours) => now + hours * HOUR),
      }),
    ],
    [4, fc.record({ kind: fc.constant('label' as const), of: session, label: fc.constantFrom(null, 'a', 'b') })],
    [4, fc.record({ kind: fc.constant('get' as const), of: session })],
    [12, fc.record({ kind: fc.constant('list' as const), limit: fc.integer({ min: 1, max: 4 }) })],
    [
      4,
      fc.record({
        kind: fc.constant('restore' as const),
        of: fc.uniqueArray(session, { minLength: 1, maxLength: 3 }),
        until: fc.constantFrom(-20, 1, 10, 50, 200).map((hours) => now + hours * HOUR),
      }),
    ],
    [
      2,
      fc.record({
        kind: fc.constant('restore cutoff' as const),
        at: fc.constantFrom(...restoredAt(now)),
        except: fc.option(session, { nil: null }),
      }),
    ],
  ];
  return fc.oneof(...kinds.map(([weight, arbitrary]) => ({ weight, arbitrary })));
}

const policy: fc.Arbitrary<SessionPolicy> = fc.record({
  idleTimeout: fc.constantFrom(null, 90 * MINUTE),
  clockTolerance: fc.constant(5000),
  tombstoneFor: fc.constantFrom(HOUR, 24 * HOUR, 40 * HOUR),
  maxSessions: fc.constantFrom(1, 2, 3, Infinity),
  atSessionLimit: fc.constantFrom('end-oldest' as const, 'refuse' as const),
});

const steps = (now: number, maxLength: number): fc.Arbitrary<Step[]> =>
  fc.array(fc.record({ operation: operation(now), minutes: fc.constantFrom(0, 0, 1, 20, 50, 25 * 60) }), { maxLength });

/** What a process knows of the session, by this token; or only that its requests were refused for an hour. */
function knownUseOf(of: TokenTimes, at: number, isInUse: boolean): KnownUse {
  if (!isInUse) return { inUseSince: at - HOUR, known: null };
  const { beganAt, sessionEndsAt } = of;
  const known = { startedAt: beganAt ?? at, tokensEndAt: tokenEndsAt(of), endsAt: sessionEndsAt, survivedCutoffAt: 0 };
  return { inUseSince: ALWAYS, known };
}

/** Does what an operation says. */
async function act(
  store: SessionStore,
  user: SessionUser,
  operation: Operation,
  at: number,
  rules: SessionPolicy,
  cutoffAt = at,
) {
  const exception = (number: number | null): string | null => (number === null ? null : handle(number));
  switch (operation.kind) {
    case 'sight': {
      const { of, userAgent, byProgram, app, actor, knownUse, usedAgo, ...others } = operation;
      const ip = byProgram ? '198.51.100.9' : '203.0.113.7';
      const sighting = { at, ip, userAgent, byProgram, app, actor };
      const used = usedAgo === null ? {} : { usedAt: Math.max(0, at - usedAgo * MINUTE) };
      const use = knownUse === 'nothing' ? {} : { knownUse: knownUseOf(operation.token, at, knownUse === 'in use') };
      return store.sight(user, { handle: handle(of), sighting, policy: rules, ...others, ...use, ...used });
    }
    case 'revoke': {
      const { evenUnseen } = operation;
      const request = { handle: handle(operation.of), reason: 'ended', by: 'somebody', at, policy: rules, evenUnseen };
      return store.revoke(user, operation.token === null ? request : { ...request, token: operation.token });
    }
    case 'revokeAll':
      return store.revokeAll(user, {
        except: exception(operation.except),
        reason: 'all',
        by: null,
        at: cutoffAt,
        policy: rules,
      });
    case 'end up to': {
      const message = { except: null, reason: 'told', by: 'issuer', upTo: operation.upTo };
      return store.revokeAll(user, { ...message, at: cutoffAt, policy: rules });
    }
    case 'erase':
      return store.erase(user, { at: cutoffAt, policy: rules });
    case 'endEverywhere':
      return store.endEverywhere({ reason: 'incident', by: 'operator', at: cutoffAt });
    case 'expireTokens':
      return store.expireTokens(user, { upTo: operation.upTo, reason: 'role', by: 'admin', at, policy: rules });
    case 'restore stale': {
      const staleTokens = { at: operation.at, until: operation.until, reason: 'known', by: null };
      return store.restore(user, { tombstones: [], cutoff: null, staleTokens, at, policy: rules });
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
      const words = { cause: 'revoked', reason: 'known', by: null, origin: ELSEWHERE } as const;
      const ending = { ...words, at: at - MINUTE, expiresAt: null };
      const tombstones = operation.of.map((number) => ({ handle: handle(number), ending, until: operation.until }));
      return store.restore(user, { tombstones, cutoff: null, at, policy: rules });
    }
    case 'restore cutoff': {
      const words = { reason: 'known', by: 'somebody', origin: ELSEWHERE };
      const cutoff = { at: operation.at, except: exception(operation.except), ...words, erasedAt: 0 };
      return store.restore(user, { tombstones: [], cutoff, at, policy: rules });
    }
  }
}

/** A store object with one user, and what its listener was told. */
class Actor {
  readonly store: SessionStore;
  readonly user: SessionUser;
  /** Each notice once: it may be told more than once. */
  readonly notices: Notice[] = [];
  /** When the cutoffs were set: each store has its own clock. */
  readonly #cutoffs: number[] = [];

  constructor(store: SessionStore, user: SessionUser) {
    this.store = store;
    this.user = user;
    store.configure(SETTINGS);
    store.feed({
      notice: (notice) => {
        if (this.notices.some((other) => isDeepStrictEqual(other, notice))) return;
        this.notices.push(notice);
        if (notice.kind === 'cutoff') this.#name(notice.cutoff);
      },
      globalCutoff: (cutoff) => {
        this.#name(cutoff);
      },
      gap: () => undefined,
    });
  }

  /** What an operation answers, comparable with what another store does. */
  async answer({ operation }: Step, at: number, rules: SessionPolicy, cutoffAt: number): Promise<unknown> {
    return this.#comparable(await act(this.store, this.user, operation, at, rules, cutoffAt));
  }

  /**
   * What was told, comparable with what another store tells: the batches of a cutoff as one notice. A cutoff may be told
   * again before a later one, so what it tells again does not count.
   */
  told(): unknown {
    const told: Notice[] = [];
    const counted = new Set<string>();
    for (const notice of this.notices) {
      if (notice.kind === 'stale') {
        told.push(notice);
        continue;
      }
      if (notice.kind === 'ended') {
        const { handle, ending } = notice.tombstone;
        // A message that is repeated is announced again.
        if (ending.reason === 'told' && counted.has(`${ending.at} ${handle}`)) continue;
        counted.add(`${ending.at} ${handle}`);
        told.push(notice);
        continue;
      }
      const news = notice.ended.filter(({ handle }) => {
        const ending = `${notice.cutoff.at} ${handle}`;
        return !counted.has(ending) && counted.add(ending);
      });
      if (news.length === 0) continue;
      const last = told.at(-1);
      const isBatch = last?.kind === 'cutoff' && isDeepStrictEqual(notice.cutoff, last.cutoff);
      const ended = [...(isBatch ? last.ended : []), ...news].sort((a, b) => (a.handle < b.handle ? -1 : 1));
      told.splice(isBatch ? -1 : told.length, 1, { ...notice, ended });
    }
    return this.#comparable(told);
  }

  /** What is written back has the same moment in every store. */
  #name({ at, origin }: GlobalCutoff): void {
    if (origin === this.store.origin && !this.#cutoffs.includes(at)) this.#cutoffs.push(at);
  }

  /** The moments of this store's cutoffs by their number, and its own origin by a name. */
  #comparable(value: unknown): unknown {
    const named = (key: string, part: unknown): unknown => {
      if (key === 'erasedAt') return part === 0 ? 'never' : 'once';
      if (key === 'origin') return part === this.store.origin ? 'its own' : part;
      if (key !== 'at' && key !== 'survivedCutoffAt') return part;
      const index = this.#cutoffs.findIndex((at) => at === part);
      return index < 0 ? part : `cutoff ${index}`;
    };
    return JSON.parse(JSON.stringify({ value }, named));
  }
}

let redis: TestRedis;
let runs = 0;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

/** Each run has keys of its own: a global cutoff stays. */
function newPrefix(): string {
  runs += 1;
  return `run${runs}`;
}

const newUser = (): SessionUser => sessionUser('https://id.example.com/', String(runs));

/** The model, the memory store and the Redis store, as one new user. */
async function withActors(body: (actors: readonly [Actor, Actor, Actor], prefix: string) => Promise<void>) {
  const prefix = newPrefix();
  const user = newUser();
  const actors = [
    new Actor(modelStore(), user),
    new Actor(memoryStore(), user),
    new Actor(redisStore(redis.url, { prefix }), user),
  ] as const;
  try {
    await body(actors, prefix);
  } finally {
    await Promise.all(actors.map(({ store }) => store.close()));
  }
}

/**
 * A store forgets a cutoff when a later one replaces it, and so a later one that is written back hides it from what a caller
 * knows. The model does not.
 */
function withoutHiddenCutoffs(taken: readonly Step[]): readonly Step[] {
  const isRestored = taken.some(({ operation: { kind } }) => kind === 'restore cutoff');
  return taken.filter(({ operation }) => !(isRestored && 'knownUse' in operation && operation.knownUse === 'in use'));
}

/** A session that begins with its first sighting begins after the cutoffs by then, and each store dates them by its own clock. */
function withKnownStarts(taken: readonly Step[]): readonly Step[] {
  const hasCutoff = taken.some(({ operation: { kind } }) => ['revokeAll', 'endEverywhere', 'end up to'].includes(kind));
  if (!hasCutoff) return taken;
  return taken.filter(({ operation }) => !('token' in operation) || operation.token?.beganAt !== null);
}

async function expectAgreement(
  [model, ...stores]: readonly [Actor, Actor, Actor],
  now: number,
  rules: SessionPolicy,
  taken: readonly Step[],
): Promise<void> {
  // From before the clock of the machine on, so that the stores also forget.
  let at = now - 60 * HOUR;
  for (const [index, step] of withoutHiddenCutoffs(withKnownStarts(taken)).entries()) {
    at += step.minutes * MINUTE;
    // The moment of a cutoff is like no other.
    const cutoffAt = at + 1 + index;
    const expected = await model.answer(step, at, rules, cutoffAt);
    for (const store of stores) expect(await store.answer(step, at, rules, cutoffAt)).toEqual(expected);
  }
  for (const store of stores) expect(store.told()).toEqual(model.told());
}

test('the stores answer, and tell, what the model does', async () => {
  const now = Date.now();
  await fc.assert(
    fc.asyncProperty(policy, steps(now, 40), (rules, taken) =>
      withActors((actors) => expectAgreement(actors, now, rules, taken)),
    ),
    { numRuns: 200 },
  );
});

test('the stores answer as the model does if a user has so many sessions that they are indexed', async () => {
  const now = Date.now();
  await fc.assert(
    fc.asyncProperty(policy, steps(now, 40), (rules, taken) =>
      withActors(async (actors, prefix) => {
        const unbounded = { ...rules, maxSessions: Infinity };
        for (const { store, user } of actors) {
          await Promise.all(
            Array.from({ length: INDEX_FROM + 1 }, (_, index) =>
              store.sight(user, {
                handle: handle(1000 + index),
                // Seen in groups of the same moment.
                sighting: { at: now - (index % 7), ip: null, userAgent: null },
                token: {
                  beganAt: now - 63 * HOUR,
                  expiresAt: now + (index % 3) * HOUR + MINUTE,
                  lifetime: null,
                  sessionEndsAt: null,
                },
                policy: unbounded,
              }),
            ),
          );
        }
        const [{ user }] = actors;
        expect(await redis.cli('exists', `${prefix}:{${user.key}}:i`)).toBe(1);
        await expectAgreement(actors, now, unbounded, taken);
      }),
    ),
    { numRuns: 15 },
  );
});

test('no order of calls to two store objects makes live what has ended, changes who ended it, or passes the cap', async () => {
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
        const prefix = newPrefix();
        const user = newUser();
        const stores = [redisStore(redis.url, { prefix }), redisStore(redis.url, { prefix })] as const;
        const listener = { notice: () => undefined, globalCutoff: () => undefined, gap: () => undefined };
        for (const store of stores) {
          store.configure(SETTINGS);
          store.feed(listener);
        }
        try {
          const ofUser: SessionPolicy = {
            idleTimeout: null,
            clockTolerance: 5000,
            // Longer than any token of the test is over.
            tombstoneFor: 30 * 24 * HOUR,
            maxSessions: cap,
            atSessionLimit,
          };
          await expectNoneBack(stores, user, rounds, now, ofUser);
        } finally {
          await Promise.all(stores.map((store) => store.close()));
        }
      },
    ),
    { numRuns: 150 },
  );
});

/** The operations of a round run at once, by turns on the one and the other store object. */
async function expectNoneBack(
  stores: readonly [SessionStore, SessionStore],
  user: SessionUser,
  rounds: readonly (readonly Operation[])[],
  now: number,
  rules: SessionPolicy,
): Promise<void> {
  const [one, other] = stores;
  const origins = [one.origin, other.origin, ELSEWHERE];
  const ended = new Set<string>();
  const endings = new Map<string, Ending>();
  const isLost = rounds.flat().some((one) => one.kind === 'sight' && one.knownUse === 'in use');

  function learn(of: string, answer: SightAnswer, wasEnded: boolean): void {
    if (wasEnded) expect([of, answer.state]).toEqual([of, 'ended']);
    if (answer.state !== 'ended') return;
    const { ending } = answer;
    const { reason, by } = ending;
    // Without an origin it is not remembered: its token is refused for what it is.
    if (ending.origin === null) return;
    ended.add(of);
    expect(origins).toContain(ending.origin);
    const known = endings.get(of) ?? ending;
    // What is erased says as before when it was ended, and by which store object. Of one round, either may be learned first.
    const isErased = reason === ERASED || known.reason === ERASED;
    expect(isErased ? { ...known, reason, by } : known).toEqual(ending);
    endings.set(of, ending);
  }

  for (const round of rounds) {
    const before = new Set(ended);
    const answers = await Promise.all(
      round.map(async (operation, index) => ({
        operation,
        answer: await act(index % 2 === 0 ? one : other, user, operation, now, rules),
      })),
    );
    for (const { operation, answer } of answers) {
      if (operation.kind === 'sight') {
        const of = handle(operation.of);
        learn(of, answer as SightAnswer, before.has(of));
      }
      if (operation.kind === 'revoke' && answer !== 'unknown') ended.add(handle(operation.of));
      if (operation.kind === 'restore' && operation.until > now) for (const of of operation.of) ended.add(handle(of));
    }
    const page = await one.list(user, { limit: 200, cursor: null, at: now, policy: rules });
    expect(page.sessions.filter((session) => ended.has(session.handle))).toEqual([]);
    // A session that its caller knows to be live has its place, although the store has lost it.
    if (!isLost) expect(page.sessions.length).toBeLessThanOrEqual(rules.maxSessions);
  }

  const isOver = rounds.flat().some(({ kind }) => kind === 'endEverywhere');
  for (const store of stores) {
    await store.catchUp();
    for (let number = 0; number <= 5; number += 1) {
      const of = handle(number);
      const sighting = { at: now, ip: null, userAgent: null };
      const old = { beganAt: now - 63 * HOUR, expiresAt: now + HOUR, lifetime: null, sessionEndsAt: null };
      const answer = await store.sight(user, { handle: of, sighting, token: old, policy: rules, track: false });
      learn(of, answer, isOver || ended.has(of));
    }
  }
}
