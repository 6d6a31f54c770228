import assert from 'node:assert/strict';

import { sessionUser } from '../../core/session.js';
import type { DeclareTest, Fixture, SightOptions } from './fixture.js';
import { DAY, handle, HOUR } from './values.js';

const YEAR = 365 * DAY;

async function isKnown(
  { now, live }: Fixture,
  of: number,
  clientKey: string | null,
  options: SightOptions = {},
): Promise<boolean> {
  const answer = await live(handle(of), { token: { expiresAt: now + 3 * YEAR }, ...options, clientKey });
  return answer.knownClient;
}

export function clients(test: DeclareTest): void {
  test('is known from the second time on, in any session of the user', async (fixture) => {
    assert.equal(await isKnown(fixture, 1, 'a'), false);
    assert.equal(await isKnown(fixture, 2, 'a'), true);
    assert.equal(await isKnown(fixture, 3, 'b'), false);
    assert.equal(await isKnown(fixture, 4, 'a'), true);
  });

  test('is not known for another user', async (fixture) => {
    await isKnown(fixture, 1, 'a');
    const other = sessionUser('https://id.example.com/', `${fixture.user.subject} too`);
    assert.equal(await isKnown(fixture, 1, 'a', { user: other }), false);
  });

  test('is not noted without a key, by an untracked sighting or if the session has ended', async (fixture) => {
    const { revoke, ended } = fixture;
    assert.equal(await isKnown(fixture, 1, null), false);
    assert.equal(await isKnown(fixture, 2, null), false);
    assert.equal(await isKnown(fixture, 3, 'a', { track: false }), false);
    await revoke(handle(1));
    await ended(handle(1), { clientKey: 'a' });
    assert.equal(await isKnown(fixture, 4, 'a'), false);
  });

  test('is not noted by a sighting that the cap refuses', async (fixture) => {
    const policy = { maxSessions: 1, atSessionLimit: 'refuse' } as const;
    await isKnown(fixture, 1, null, { policy });
    assert.equal((await fixture.sight(handle(2), { policy, clientKey: 'a' })).state, 'refused');
    assert.equal(await isKnown(fixture, 1, 'a', { policy }), false);
  });

  test('stays known after all sessions of the user ended', async (fixture) => {
    await isKnown(fixture, 1, 'a');
    await fixture.revokeAll();
    assert.equal(await isKnown(fixture, 2, 'a', { token: { beganAt: fixture.now + DAY } }), true);
  });

  test('is one of the 20 that were noted last, for a year', async (fixture) => {
    const { now } = fixture;
    for (let index = 0; index < 20; index += 1) await isKnown(fixture, index, String(index), { at: now + index });
    assert.equal(await isKnown(fixture, 30, '0', { at: now + 20 }), true);
    assert.equal(await isKnown(fixture, 31, 'new', { at: now + 21 }), false);
    assert.equal(await isKnown(fixture, 32, '0', { at: now + 22 }), true);
    assert.equal(await isKnown(fixture, 33, '1', { at: now + 23 }), false);
    assert.equal(await isKnown(fixture, 34, '0', { at: now + YEAR - DAY }), true);
    assert.equal(await isKnown(fixture, 35, '19', { at: now + YEAR + 2 * DAY }), false);
  });

  test('is noted anew each time it is seen', async (fixture) => {
    const { now } = fixture;
    await isKnown(fixture, 1, 'a');
    assert.equal(await isKnown(fixture, 1, 'a', { at: now + YEAR - 2 * DAY }), true);
    assert.equal(await isKnown(fixture, 1, 'a', { at: now + YEAR + DAY + HOUR }), true);
  });
}
