import assert from 'node:assert/strict';

import type { DeclareTest } from './fixture.js';
import { DAY, handle, HOUR, MINUTE, POLICY } from './values.js';

export function revocation(test: DeclareTest): void {
  test('ends a session once, and announces it', async ({ store, user, now, sight, revoke, notices }) => {
    await sight(handle(1));
    assert.equal(await revoke(handle(1), { reason: 'stolen', by: 'admin' }), 'ended');
    assert.equal(await revoke(handle(1), { at: now + MINUTE }), 'already');
    const ending = {
      cause: 'revoked',
      reason: 'stolen',
      by: 'admin',
      at: now,
      expiresAt: now + HOUR,
      origin: store.origin,
    } as const;
    const tombstone = { handle: handle(1), ending, until: now + HOUR + DAY };
    assert.deepEqual(notices, [{ kind: 'ended', user, tombstone }]);
  });

  test('does not know a session that was never seen', async ({ revoke, live, notices }) => {
    assert.equal(await revoke(handle(1)), 'unknown');
    assert.deepEqual(notices, []);
    assert.equal((await live(handle(1))).created, true);
  });

  test('ends a session that was never seen if the caller has its token', async ({ now, token, revoke, ended }) => {
    assert.equal(await revoke(handle(1), { token: token() }), 'ended');
    const { ending, until } = await ended(handle(1));
    assert.deepEqual([ending.reason, ending.expiresAt, until], ['signed_out', now + HOUR, now + HOUR + DAY]);
    assert.equal(await revoke(handle(1)), 'already');
  });

  test('ends a session that was never seen if it is to be ended even so', async (fixture) => {
    const { store, now, token, live, revoke, ended, notices } = fixture;
    const even = { evenUnseen: true };
    assert.equal(await revoke(handle(1), { ...even, reason: 'left', by: 'issuer' }), 'ended');
    const ending = {
      cause: 'revoked',
      reason: 'left',
      by: 'issuer',
      at: now,
      expiresAt: null,
      origin: store.origin,
    } as const;
    const [told, ...others] = notices;
    assert.ok(told?.kind === 'ended' && others.length === 0);
    assert.deepEqual(told.tombstone, { handle: handle(1), ending, until: now + DAY });
    // A token that is good for longer extends it.
    assert.deepEqual(await ended(handle(1)), { state: 'ended', ending, until: now + HOUR + 2 * DAY });
    assert.equal(await revoke(handle(1), even), 'already');

    await live(handle(2), { token: { expiresAt: now + 9 * HOUR } });
    assert.equal(await revoke(handle(2), even), 'ended');
    const { ending: ofSeen, until } = await ended(handle(2));
    assert.deepEqual([ofSeen.expiresAt, until], [now + 9 * HOUR, now + 9 * HOUR + DAY]);

    await revoke(handle(3), { ...even, token: token({ expiresAt: now - HOUR }) });
    assert.equal((await ended(handle(3), { token: { expiresAt: now - HOUR } })).until, now + DAY);
    // Told again later, it is kept for longer.
    await revoke(handle(3), { ...even, at: now + HOUR });
    assert.equal((await ended(handle(3), { token: { expiresAt: now - HOUR } })).until, now + HOUR + DAY);
  });

  test('ends a session for as long as any token met there is good', async ({
    store,
    now,
    sight,
    revoke,
    ended,
    get,
  }) => {
    await sight(handle(1));
    await revoke(handle(1));
    const first = await ended(handle(1));
    assert.deepEqual(first.ending, {
      cause: 'revoked',
      reason: 'signed_out',
      by: null,
      at: now,
      expiresAt: now + HOUR,
      origin: store.origin,
    });
    assert.equal(first.until, now + HOUR + DAY);
    // Extended by tombstoneFor more than is needed: so the next refreshed tokens change nothing.
    const until = now + 5 * HOUR + 2 * DAY;
    for (const hours of [5, 1, 29]) {
      const later = { at: now + MINUTE, token: { expiresAt: now + hours * HOUR } };
      assert.equal((await ended(handle(1), later)).until, until);
    }
    assert.equal((await ended(handle(1), { token: { expiresAt: until - DAY + 1 } })).until, until + DAY + 1);
    assert.equal(await get(handle(1)), null);
  });

  test('is remembered until the lifetime is over, or tombstoneFor after the latest exp', async (fixture) => {
    const { now, token, sight, revoke, ended } = fixture;
    await sight(handle(1), { token: { lifetime: 30 * DAY } });
    await revoke(handle(1));
    assert.equal((await ended(handle(1))).until, now + 30 * DAY + POLICY.clockTolerance);
    await sight(handle(2));
    await revoke(handle(2), { token: token({ expiresAt: now + 9 * HOUR }) });
    assert.equal((await ended(handle(2))).until, now + 9 * HOUR + DAY);
  });

  test('is remembered no shorter if the token of the caller is an older one', async (fixture) => {
    const { now, token, sight, revoke, ended } = fixture;
    await sight(handle(1), { token: { expiresAt: now + 9 * HOUR } });
    await revoke(handle(1), { token: token() });
    assert.equal((await ended(handle(1))).until, now + 9 * HOUR + DAY);
    await revoke(handle(1), { token: token() });
    assert.equal((await ended(handle(1))).until, now + 9 * HOUR + DAY);
    await revoke(handle(1), { token: token({ expiresAt: now + 10 * HOUR }) });
    assert.equal((await ended(handle(1))).until, now + 10 * HOUR + DAY);
  });

  test('is remembered for as long as the clock tolerance lets a token pass', async ({ now, sight, revoke, ended }) => {
    const policy = { tombstoneFor: MINUTE, clockTolerance: 5 * MINUTE };
    await sight(handle(1), { policy });
    await revoke(handle(1), { policy });
    assert.equal((await ended(handle(1), { policy })).until, now + HOUR + 5 * MINUTE);
  });

  test('ends for good what had only run out', async ({ now, sight, revoke, ended }) => {
    const policy = { idleTimeout: DAY };
    await sight(handle(1), { policy });
    const at = now + 2 * HOUR;
    assert.equal(await revoke(handle(1), { reason: 'gone', at, policy }), 'ended');
    const { ending } = await ended(handle(1), { policy, at, token: { expiresAt: now + DAY } });
    assert.equal(ending.reason, 'gone');
  });

  test('ends no other session of the user', async ({ sight, revoke, listed }) => {
    for (const number of [1, 2, 3]) await sight(handle(number));
    await revoke(handle(2));
    assert.deepEqual(await listed(), [handle(1), handle(3)]);
  });
}
