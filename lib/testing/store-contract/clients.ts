import assert from 'node:assert/strict';

import { sessionUser } from '../../core/session.js';
import type { DeclareTest, Fixture, SightOptions } from './fixture.js';
import { DAY, handle, HOUR, MINUTE } from './values.js';

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

async function isNewIn({ get }: Fixture, of: number): Promise<boolean | undefined> {
  return (await get(handle(of)))?.hasNewClient;
}

const PHONE = { userAgent: 'phone', clientKey: 'phone' } as const;
const LAPTOP = { userAgent: 'laptop', clientKey: 'laptop' } as const;
const PROGRAM = { userAgent: 'node', byProgram: true, clientKey: 'node' } as const;

/** Whether the client on record is new to the user. */
export function newClients(test: DeclareTest): void {
  test('is one that no session of the user had before', async (fixture) => {
    const { sight, page, label } = fixture;
    await sight(handle(1), PHONE);
    await sight(handle(2), PHONE);
    await sight(handle(3), LAPTOP);
    assert.deepEqual(
      [await isNewIn(fixture, 1), await isNewIn(fixture, 2), await isNewIn(fixture, 3)],
      [true, false, true],
    );
    assert.equal((await label(handle(1), 'mine'))?.hasNewClient, true);
    assert.deepEqual(
      (await page()).sessions.map(({ hasNewClient }) => hasNewClient),
      [true, false, true],
    );
  });

  test('stays new in later sightings, also of other processes, and with another version', async (fixture) => {
    const { now, sight } = fixture;
    await sight(handle(1), PHONE);
    await sight(handle(1), { ...PHONE, clientKey: null, at: now + MINUTE });
    await sight(handle(1), { ...PHONE, at: now + 2 * MINUTE });
    await sight(handle(1), { ...PHONE, ip: '203.0.113.8', app: 'web', token: { expiresAt: now + 2 * HOUR } });
    await sight(handle(1), { ...PHONE, userAgent: 'phone 2' });
    assert.equal(await isNewIn(fixture, 1), true);
  });

  test('is noticed in a session that moves to one, and stays if it moves back', async (fixture) => {
    const { sight } = fixture;
    await sight(handle(1), PHONE);
    await sight(handle(2), PHONE);
    await sight(handle(2), LAPTOP);
    assert.equal(await isNewIn(fixture, 2), true);
    await sight(handle(2), PHONE);
    assert.equal(await isNewIn(fixture, 2), true);
  });

  test('is not known without a key, and untracked sightings and polls say nothing of it', async (fixture) => {
    const { now, sight } = fixture;
    await sight(handle(1), { ...PHONE, clientKey: null });
    assert.equal(await isNewIn(fixture, 1), false);
    await sight(handle(1), { ...LAPTOP, usedAt: now });
    await sight(handle(1), { ...LAPTOP, track: false });
    assert.equal(await isNewIn(fixture, 1), false);
  });

  test('is the browser, if a program began the session', async (fixture) => {
    const { sight } = fixture;
    await sight(handle(1), PHONE);
    await sight(handle(2), PROGRAM);
    assert.equal(await isNewIn(fixture, 2), true);
    await sight(handle(2), PHONE);
    assert.equal(await isNewIn(fixture, 2), false);
    await sight(handle(3), PROGRAM);
    assert.equal(await isNewIn(fixture, 3), false);
    await sight(handle(3), LAPTOP);
    assert.equal(await isNewIn(fixture, 3), true);
    await sight(handle(3), { ...PROGRAM, clientKey: 'other program' });
    assert.equal(await isNewIn(fixture, 3), true);
  });

  test('is nobody whom the caller knows to be signed in, although the store has lost it', async (fixture) => {
    const { now, sight } = fixture;
    const known = { startedAt: now - HOUR, tokensEndAt: now + HOUR, endsAt: null, survivedCutoffAt: 0 };
    await sight(handle(1), { ...PHONE, knownUse: { inUseSince: 0, known } });
    assert.equal(await isNewIn(fixture, 1), false);
  });

  test('is not what comes back after its row was forgotten', async (fixture) => {
    const { now, sight } = fixture;
    const long = now - 3 * DAY;
    const policy = { tombstoneFor: 30 * DAY };
    await sight(handle(1), { ...PHONE, policy, at: long, token: { beganAt: long, expiresAt: long + HOUR } });
    await sight(handle(1), { ...LAPTOP, policy });
    assert.equal(await isNewIn(fixture, 1), false);
  });

  test('is one again after all was erased', async (fixture) => {
    const { now, sight, erase } = fixture;
    await sight(handle(1), PHONE);
    await erase();
    const at = now + DAY;
    await sight(handle(2), { ...PHONE, at, token: { beganAt: at, expiresAt: at + HOUR } });
    assert.equal((await fixture.get(handle(2), { at }))?.hasNewClient, true);
  });
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
