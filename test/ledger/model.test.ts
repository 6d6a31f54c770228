/**
 * The promises of the ledger, judged in random simulations. Each run of this file plays the same schedules; a million others
 * are played by `npm run model -- --runs 1000000 --seed 1`.
 */

import { play } from './play.js';
import { JUDGED } from './rules.js';
import { FAULTS, scheduleOf, shrink, type Faults } from './schedule.js';
import { ACTIVITY_INTERVAL, BOUND, Process, Server, token } from './simulation.js';
import { useRealTimers, useVirtualTimers, VirtualTime } from './virtual-time.js';

afterEach(useRealTimers);

describe('ledger, feed and store over a network that does what it likes', () => {
  test.each<[string, readonly (keyof Faults)[], number]>([
    ['without other faults', ['everywhere'], 1_000],
    ['with all faults', FAULTS, 2_000],
  ])('%s', async (_, faults, runs) => {
    let accepted = 0;
    let refused = 0;
    for (let seed = 0; seed < runs; seed += 1) {
      const outcome = await play(scheduleOf(seed, faults), JUDGED);
      if (outcome.violations.length > 0) throw new Error(await reportOf(seed, faults));
      accepted += outcome.accepted;
      refused += outcome.refused;
    }
    // The schedules do reach both answers.
    expect(accepted).toBeGreaterThan(5 * runs);
    expect(refused).toBeGreaterThan(2 * runs);
  });
});

test.each([0, 1])('a revocation is written back to a store that lost it: %s', async (all) => {
  useVirtualTimers();
  const server = new Server();
  const time = new VirtualTime();
  const [knows, late] = [new Process(0, server, time), new Process(1, server, time)];
  const ann = token('ann', 'a1');
  await knows.round();
  const request = knows.request(ann, time.clock.now());
  await knows.settle();
  expect(await request).toBe('live');
  const words = { reason: 'signed_out', by: null };
  const revoked =
    all === 1
      ? knows.ledger.revokeAll(ann.user, { except: null, ...words })
      : knows.ledger.revoke(ann.user, { handle: ann.handle, ...words, token: ann.times });
  await knows.settle();
  await revoked;
  server.flush();
  await time.advance(1_000);
  await knows.round();
  await time.advance(BOUND + ACTIVITY_INTERVAL);
  await knows.settle();
  // This process never heard of it: only the store can tell.
  const asked = late.request(ann, time.clock.now());
  await late.settle();
  expect(await asked).toMatchObject({ code: 'session_revoked' });
});

/** The smallest schedule that breaks a rule. */
async function reportOf(seed: number, faults: readonly (keyof Faults)[]): Promise<string> {
  const failure = async (schedule = scheduleOf(seed, faults)) => (await play(schedule, JUDGED)).violations[0];
  const broken = (await failure())?.rule;
  const { setting, steps } = await shrink(scheduleOf(seed, faults), async (schedule) => {
    return (await failure(schedule))?.rule === broken;
  });
  const lines = [setting, ...steps].map((line) => JSON.stringify(line));
  return [`seed ${seed}: ${JSON.stringify(await failure({ setting, steps }))}`, ...lines].join('\n  ');
}
