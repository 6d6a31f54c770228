import assert from 'node:assert/strict';

import type { DeclareTest } from './fixture.js';
import { DAY, ELSEWHERE, handle, HOUR, MINUTE, SECOND } from './values.js';

export function origins(test: DeclareTest): void {
  test('is the name of the store object, which no other has', async ({ store, earlierOrigins }) => {
    assert.match(store.origin, /^[A-Za-z0-9_-]{12,22}$/);
    assert.ok(!earlierOrigins.includes(store.origin));
  });

  test('is the store object that revoked the session', async ({ store, sight, token, revoke, ended }) => {
    await sight(handle(1));
    await revoke(handle(1));
    await revoke(handle(2), { token: token() });
    for (const number of [1, 2]) assert.equal((await ended(handle(number))).ending.origin, store.origin);
  });

  test('is the store object whose sighting ended another session for the cap', async ({ store, now, sight, ended }) => {
    const policy = { maxSessions: 1 };
    for (const number of [1, 2]) await sight(handle(number), { policy, at: now + number });
    assert.equal((await ended(handle(1), { policy })).ending.origin, store.origin);
  });

  for (const track of [true, false]) {
    test(`is the store object whose ${track ? 'tracked' : 'untracked'} sighting found the session over`, async (fixture) => {
      const { store, now, sight, ended } = fixture;
      const policy = { idleTimeout: HOUR };
      const times = { lifetime: MINUTE, expiresAt: now + DAY };
      await sight(handle(1), { policy });
      await sight(handle(2), { token: times });
      const idle = await ended(handle(1), { policy, at: now + HOUR, token: { expiresAt: now + DAY }, track });
      assert.deepEqual([idle.ending.cause, idle.ending.origin], ['idle', store.origin]);
      const expired = await ended(handle(2), { token: times, at: now + HOUR, track });
      assert.deepEqual([expired.ending.cause, expired.ending.origin], ['expired', store.origin]);
      // It is on the tombstone too.
      assert.deepEqual((await ended(handle(1), { at: now + HOUR + 1 })).ending, idle.ending);
      assert.deepEqual((await ended(handle(2), { at: now + HOUR + 1 })).ending, expired.ending);
    });
  }

  test('is null if no store wrote the ending down', async ({ now, sight, ended }) => {
    const spent = { lifetime: MINUTE, beganAt: now - HOUR, expiresAt: now + DAY };
    const neverSeen = await ended(handle(1), { token: spent });
    assert.deepEqual([neverSeen.ending.cause, neverSeen.ending.origin], ['expired', null]);
    await sight(handle(2));
    const lapsed = await ended(handle(2), { at: now + 2 * HOUR });
    assert.deepEqual([lapsed.ending.cause, lapsed.ending.origin], ['expired', null]);
  });

  test('stays through a repeated revoke, a restore, a cutoff and an extension', async (fixture) => {
    const { now, token, revoke, revokeAll, restore, tombstone, ended, notices } = fixture;
    await restore({ tombstones: [tombstone(1)] });
    assert.equal(await revoke(handle(1), { token: token({ expiresAt: now + 9 * DAY }) }), 'already');
    const extended = { ...tombstone(1), until: now + 10 * DAY };
    const notice = notices.at(-1);
    assert.ok(notice?.kind === 'ended');
    assert.deepEqual(notice.tombstone, extended);

    const own = { ...extended.ending, reason: 'other', origin: 'another-Aa0_x' };
    await restore({ tombstones: [{ ...extended, ending: own, until: now + 11 * DAY }] });
    await revokeAll();
    const { ending, until } = await ended(handle(1), { token: { expiresAt: now + 12 * DAY } });
    assert.deepEqual([ending, until], [extended.ending, now + 14 * DAY]);
  });

  test('is the store object that set the cutoff', async ({ store, now, sight, revokeAll, ended, lastCutoff }) => {
    await sight(handle(1));
    await revokeAll();
    assert.equal(lastCutoff().origin, store.origin);
    assert.equal((await ended(handle(1))).ending.origin, store.origin);
    assert.equal((await ended(handle(2), { token: { beganAt: now - HOUR } })).ending.origin, store.origin);
    assert.equal((await ended(handle(2), { token: { beganAt: now + HOUR } })).ending.origin, store.origin);
  });

  test('is that of a restored cutoff, for what it ended', async (fixture) => {
    const { store, now, sight, live, revoke, revokeAll, restore, ended } = fixture;
    const old = { token: { beganAt: now - HOUR } };
    await sight(handle(1), old);
    await sight(handle(2), { token: { beganAt: now - SECOND } });
    await restore({
      cutoff: { at: now - MINUTE, except: null, reason: 'lost', by: null, origin: ELSEWHERE, erasedAt: 0 },
    });
    assert.equal(await revoke(handle(1)), 'already');
    for (const number of [1, 3]) assert.equal((await ended(handle(number), old)).ending.origin, ELSEWHERE);
    await live(handle(2), { token: { beganAt: now - SECOND } });
    // Of two cutoffs the earlier ended the one, and the later the other.
    await revokeAll();
    assert.equal((await ended(handle(1), old)).ending.origin, ELSEWHERE);
    assert.equal((await ended(handle(2))).ending.origin, store.origin);
  });
}
