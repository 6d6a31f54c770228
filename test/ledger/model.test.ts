/** The promise of the ledger, checked after each step of random schedules. */

import fc from 'fast-check';
import { ACTIVITY_INTERVAL, BOUND, Process, Server, token } from './simulation.js';
import { microtasks, useRealTimers, useVirtualTimers, VirtualTime } from './virtual-time.js';

beforeEach(useVirtualTimers);
afterEach(() => {
  useRealTimers();
});

const TOKENS = [token('ann', 'a1'), token('ann', 'a2')];

type Step =
  | { readonly do: 'request'; readonly process: number; readonly session: number; readonly fresh: boolean }
  | { readonly do: 'revoke'; readonly process: number; readonly session: number }
  | { readonly do: 'revokeAll'; readonly process: number; readonly session: number; readonly except: boolean }
  | { readonly do: 'endEverywhere'; readonly process: number }
  | { readonly do: 'commands' | 'feed'; readonly process: number; readonly choice: number }
  | { readonly do: 'round' | 'cut' | 'cutFeed' | 'settle' | 'hear'; readonly process: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'trim' | 'flush' };

const session = fc.nat({ max: TOKENS.length - 1 });
const usual = (process = fc.nat({ max: 1 })): fc.WeightedArbitrary<Step>[] => [
  { weight: 8, arbitrary: fc.record({ do: fc.constant('request' as const), process, session, fresh: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('revoke' as const), process, session }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('revokeAll' as const), process, session, except: fc.boolean() }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('commands' as const), process, choice: fc.nat({ max: 5 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('feed' as const), process, choice: fc.constant(0) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('round' as const), process }) },
  // Whole exchanges, so that few steps lead to where single messages matter.
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('settle' as const, 'hear' as const), process }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'cutFeed' as const), process }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.constantFrom(1, 200, 900, 1_100, 2_500, 5_001, 61_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('trim' as const) }) },
];
const withGlobalCutoff: fc.WeightedArbitrary<Step>[] = [
  ...usual(),
  { weight: 1, arbitrary: fc.record({ do: fc.constant('endEverywhere' as const), process: fc.nat({ max: 1 }) }) },
];
const withLoss: fc.WeightedArbitrary<Step>[] = [
  ...withGlobalCutoff,
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
];

const schedule = (steps: fc.WeightedArbitrary<Step>[]): fc.Arbitrary<Step[]> =>
  fc.array(fc.oneof(...steps), { minLength: 5, maxLength: 60, size: 'max' });

interface Promises {
  /** Whether a revocation that was acknowledged holds in every process within the bound: not while the store lost it. */
  readonly everywhere: boolean;
  /** Whether each ending is announced exactly once in a fleet as `here: true`. */
  readonly announced?: boolean;
}

/** R9: each process announces an ending at most once, and exactly one says that it was the one that ended it. */
async function announcements(
  time: VirtualTime,
  processes: readonly Process[],
  wereLive: ReadonlySet<string>,
): Promise<string[]> {
  const violations: string[] = [];
  const outcomes = new Map<string, unknown>();
  for (let turn = 0; turn < 3; turn += 1) {
    for (const each of processes) {
      await each.round();
      for (const one of TOKENS) {
        const answer = each.request(one, time.clock.now(), true);
        await each.settle();
        outcomes.set(one.handle, await answer);
      }
      await time.advance(1_100);
      await each.settle();
    }
  }
  for (const { handle } of TOKENS) {
    const told = processes.map(({ events }) =>
      events.filter(({ name, event }) => name === 'sessionEnded' && isAbout(event, handle)).map(({ event }) => event),
    );
    const here = told.flat().filter((event) => isHere(event)).length;
    if (told.some(({ length }) => length > 1)) violations.push(`a process announced the end of ${handle} twice`);
    const isLive = outcomes.get(handle) === 'live';
    if (here > (isLive ? 0 : 1) || (here === 0 && !isLive && wereLive.has(handle))) {
      violations.push(`${here} processes say that they ended ${handle}, which is ${isLive ? 'live' : 'ended'}`);
    }
  }
  return violations;
}

const isAbout = (event: unknown, handle: string): boolean =>
  Object.entries(event as object).some(([name, value]) => name === 'handle' && value === handle);
const isHere = (event: unknown): boolean => (event as { here: boolean }).here;

async function play(
  steps: readonly Step[],
  promises: Promises,
  count = 2,
): Promise<{ accepted: number; refused: number }> {
  const server = new Server();
  const time = new VirtualTime();
  const processes = Array.from({ length: count }, (_, index) => new Process(index, server, time));
  const endedAt = new Map<string, number>();
  let globalCutoffAt = Infinity;
  const refusedBy = processes.map(() => new Set<string>());
  const violations: string[] = [];
  const wereLive = new Set<string>();
  let accepted = 0;
  let refused = 0;

  const request = async (index: number, which: number, fresh: boolean): Promise<void> => {
    const arrivedAt = time.elapsed;
    const { handle } = TOKENS[which]!;
    const known = refusedBy[index]!;
    const wasRefused = known.has(handle);
    const answer = await processes[index]!.request(TOKENS[which]!, time.clock.now(), fresh);
    if (answer === 'live') {
      accepted += 1;
      wereLive.add(handle);
      const ended = endedAt.get(handle);
      if (promises.everywhere && arrivedAt > globalCutoffAt + BOUND) {
        violations.push(
          `process ${index} let session ${which} pass ${arrivedAt - globalCutoffAt} ms after all were ended`,
        );
      }
      if (wasRefused) violations.push(`process ${index} let session ${which} pass again after it had refused it`);
      if (promises.everywhere && ended !== undefined && arrivedAt > ended + BOUND) {
        violations.push(
          `process ${index} let session ${which} pass ${arrivedAt - ended} ms after its end was acknowledged`,
        );
      }
      if (fresh && ended !== undefined && arrivedAt > ended && promises.everywhere) {
        violations.push(`process ${index} let session ${which} pass a fresh check after its end was acknowledged`);
      }
    } else if (answer.code === 'session_revoked') {
      refused += 1;
      known.add(handle);
    } else if (answer.code !== 'store_unavailable') {
      violations.push(`unexpected ${answer.code}`);
    }
  };
  const acknowledge = (which: number): void => {
    const { handle } = TOKENS[which]!;
    endedAt.set(handle, Math.min(endedAt.get(handle) ?? Infinity, time.elapsed));
  };
  const revoke = async (index: number, which: number): Promise<void> => {
    const { user, handle, times } = TOKENS[which]!;
    await processes[index]!.ledger.revoke(user, { handle, reason: 'signed_out', by: null, token: times });
    acknowledge(which);
  };
  const revokeAll = async (index: number, which: number, except: boolean): Promise<void> => {
    const { user, handle } = TOKENS[which]!;
    await processes[index]!.ledger.revokeAll(user, { except: except ? handle : null, reason: 'signed_out', by: null });
    TOKENS.forEach((each, at) => {
      if (each.user.key === user.key && !(except && each.handle === handle)) acknowledge(at);
    });
  };
  const endEverywhere = async (index: number): Promise<void> => {
    await processes[index]!.ledger.endEverywhere({ reason: 'incident', by: null });
    globalCutoffAt = Math.min(globalCutoffAt, time.elapsed);
  };

  for (const step of steps) {
    switch (step.do) {
      case 'request':
        void request(step.process, step.session, step.fresh);
        break;
      case 'revoke':
        revoke(step.process, step.session).catch(() => undefined);
        break;
      case 'revokeAll':
        revokeAll(step.process, step.session, step.except).catch(() => undefined);
        break;
      case 'endEverywhere':
        endEverywhere(step.process).catch(() => undefined);
        break;
      case 'commands':
        processes[step.process]!.wire.step(step.choice);
        break;
      case 'feed':
        processes[step.process]!.feedWire.step(step.choice);
        break;
      case 'round':
        processes[step.process]!.feed.round();
        break;
      case 'settle':
        await processes[step.process]!.drain('wire');
        break;
      case 'hear':
        processes[step.process]!.feed.round();
        await processes[step.process]!.drain('feedWire');
        break;
      case 'cut':
        processes[step.process]!.wire.cut();
        break;
      case 'cutFeed':
        processes[step.process]!.feedWire.cut();
        break;
      case 'advance':
        await time.advance(step.ms);
        break;
      case 'trim':
        server.trim();
        break;
      case 'flush':
        server.flush();
        break;
    }
    await microtasks();
    if (violations.length > 0) break;
  }
  if (promises.announced === true && violations.length === 0) {
    violations.push(...(await announcements(time, processes, wereLive)));
  }
  for (const each of processes) each.wire.cut();
  for (const each of processes) each.feedWire.cut();
  await microtasks();
  if (violations.length > 0) throw new Error(violations.join('\n'));
  return { accepted, refused };
}

const RUNS = Number(globalThis.process.env['MODEL_RUNS'] ?? 250);

describe('ledger, feed and store over a network that does what it likes', () => {
  test.each([
    ['an acknowledged revocation', usual()],
    ['an acknowledged global cutoff', withGlobalCutoff],
  ])(
    '%s is in force in every process within the bound',
    async (_, possible) => {
      let accepted = 0;
      let refused = 0;
      await fc.assert(
        fc.asyncProperty(schedule(possible), async (steps) => {
          const outcome = await play(steps, { everywhere: true });
          accepted += outcome.accepted;
          refused += outcome.refused;
        }),
        { numRuns: RUNS },
      );
      // The schedules do reach both answers.
      expect(accepted).toBeGreaterThan(RUNS / 10);
      expect(refused).toBeGreaterThan(RUNS / 50);
    },
    300_000,
  );

  test('R9: of three processes each announces an ending once, and exactly one as `here: true`', async () => {
    await fc.assert(
      fc.asyncProperty(schedule(usual(fc.nat({ max: 2 }))), async (steps) => {
        await play(steps, { everywhere: true, announced: true }, 3);
      }),
      { numRuns: Math.ceil(RUNS / 3) },
    );
  }, 300_000);

  test('R3: what a process has refused as ended it never lets pass again, even when the store loses everything', async () => {
    await fc.assert(
      fc.asyncProperty(schedule(withLoss), async (steps) => {
        await play(steps, { everywhere: false });
      }),
      { numRuns: RUNS },
    );
  }, 300_000);

  test('a revocation is written back to a store that lost it, and is in force everywhere again', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 1 }), fc.boolean(), async (which, all) => {
        const server = new Server();
        const time = new VirtualTime();
        const [knows, late] = [new Process(0, server, time), new Process(1, server, time)];
        await knows.round();
        const one = TOKENS[which]!;
        const request = knows.request(one, time.clock.now());
        await knows.settle();
        expect(await request).toBe('live');
        const revoked = all
          ? knows.ledger.revokeAll(one.user, { except: null, reason: 'signed_out', by: null })
          : knows.ledger.revoke(one.user, { handle: one.handle, reason: 'signed_out', by: null, token: one.times });
        await knows.settle();
        await revoked;
        server.flush();
        await time.advance(1_000);
        await knows.round();
        await time.advance(BOUND + ACTIVITY_INTERVAL);
        await knows.settle();
        // This process never heard of it: only the store can tell.
        const asked = late.request(one, time.clock.now());
        await late.settle();
        expect(await asked).toMatchObject({ code: 'session_revoked' });
      }),
      { numRuns: 20 },
    );
  });
});
