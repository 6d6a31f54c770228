/**
 * The promises of the ledger, judged in random simulations. Each run of this file plays the same schedules; a million others
 * are played by `npm run model -- --runs 1000000 --seed 1`.
 */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { BOUND, ACTIVITY_INTERVAL, Process, Server, token } from './simulation.js';
import { useRealTimers, useVirtualTimers, VirtualTime } from './virtual-time.js';

afterEach(useRealTimers);

describe('ledger, feed and store over a network that does what it likes', () => {
  test.each([
    ['without other faults', 'everywhere', 1_000],
    ['with all faults', 'all', 2_000],
  ])('%s', async (_, faults, runs) => {
    const printed = await playAll('--seed', '0', '--runs', String(runs), '--faults', faults, '--workers', '1');
    expect(printed).toContain(' 0 kinds of violations');
    const [, accepted, refused] = /: (\d+) requests let pass, (\d+) refused as ended/.exec(printed) ?? [];
    // The schedules do reach both answers.
    expect(Number(accepted)).toBeGreaterThan(5 * runs);
    expect(Number(refused)).toBeGreaterThan(2 * runs);
  });
});

/** In a process of its own: Jest's would take several times as long. Rejects with the smallest schedule that breaks a rule. */
function playAll(...options: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [join(__dirname, 'model.mjs'), ...options], (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(stdout + stderr, { cause: error }));
    });
  });
}

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
