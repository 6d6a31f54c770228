import assert from 'node:assert/strict';

import type { DeclareTest } from './fixture.js';
import { DAY, handle, HOUR, MINUTE, SECOND } from './values.js';

const policy = { maxSessions: 3 };
const refusing = { ...policy, atSessionLimit: 'refuse' } as const;

export function cap(test: DeclareTest): void {
  test('ends the session seen longest ago, and says so before it answers', async (fixture) => {
    const { store, now, sight, live, ended, listed, notices } = fixture;
    for (const number of [1, 2, 3]) await sight(handle(number), { policy, at: now + number });
    await sight(handle(1), { policy, at: now + 10 });
    assert.equal(notices.length, 0);
    assert.equal((await live(handle(4), { policy, at: now + 11 })).created, true);
    const [notice, ...others] = notices;
    assert.deepEqual(others, []);
    assert.ok(notice?.kind === 'ended');
    assert.deepEqual(notice.tombstone, {
      handle: handle(2),
      ending: {
        cause: 'revoked',
        reason: 'session_limit',
        by: null,
        at: now + 11,
        expiresAt: now + HOUR,
        origin: store.origin,
      },
      until: now + HOUR + DAY,
    });
    assert.deepEqual(await listed(), [handle(4), handle(1), handle(3)]);
    assert.equal((await ended(handle(2), { policy, at: now + 12 })).ending.reason, 'session_limit');
  });

  test('refuses if the policy says so, and records nothing', async ({ now, sight, live, get, revoke }) => {
    for (const number of [1, 2, 3]) await sight(handle(number), { policy: refusing });
    assert.deepEqual(await sight(handle(4), { policy: refusing }), { state: 'refused' });
    assert.equal((await live(handle(1), { policy: refusing, at: now + 1 })).created, false);
    assert.equal(await get(handle(4)), null);
    await revoke(handle(1));
    assert.equal((await live(handle(4), { policy: refusing })).created, true);
  });

  test('never ends the current session, even if all others were seen later', async ({ now, sight, live, listed }) => {
    for (const number of [1, 2, 3]) await sight(handle(number), { policy, at: now + HOUR / 2 + number });
    assert.equal((await live(handle(4), { policy })).created, true);
    assert.deepEqual(await listed(), [handle(3), handle(2), handle(4)]);
  });

  test('ends several sessions if it was lowered', async ({ now, sight, live, listed, notices }) => {
    for (const number of [1, 2, 3, 4, 5, 6]) await sight(handle(number), { at: now + number });
    await live(handle(7), { policy, at: now + 7 });
    assert.deepEqual(await listed(), [handle(7), handle(6), handle(5)]);
    assert.equal(notices.length, 4);
  });

  test('counts a session that goes on with a new token as a new one', async ({ now, sight, live, listed, notices }) => {
    const idle = { ...policy, idleTimeout: DAY };
    await sight(handle(1), { policy: idle });
    const later = now + 2 * HOUR;
    const fresh = { policy: idle, at: later, token: { expiresAt: later + HOUR } };
    for (const number of [2, 3, 4]) await sight(handle(number), fresh);
    assert.equal(notices.length, 0);
    await live(handle(1), { ...fresh, at: later + 1 });
    assert.equal(notices.length, 1);
    assert.equal((await listed({ at: later + 1, policy: idle })).length, 3);
  });

  test('does not count what has ended', async ({ now, sight, live, notices }) => {
    const idle = { ...policy, idleTimeout: MINUTE };
    for (const number of [1, 2, 3]) await sight(handle(number), { policy: idle });
    await live(handle(4), { policy: idle, at: now + 2 * MINUTE });
    assert.deepEqual(notices, []);
  });

  test('does not count what has lapsed, however many are live', async ({ now, live, listed, notices }) => {
    const many = { maxSessions: 231 };
    const long = { policy: many, token: { expiresAt: now + DAY } };
    for (let number = 0; number < 230; number += 1) await live(handle(number), { ...long, at: now + number });
    for (let number = 300; number < 340; number += 1) {
      const at = now + number * MINUTE;
      await live(handle(number), { policy: many, at, token: { expiresAt: at + 30 * SECOND } });
    }
    assert.deepEqual(notices, []);
    assert.equal((await listed({ policy: many, at: now + 339 * MINUTE })).length, 231);
  });

  test('does not count tombstones', async ({ sight, live, revoke, listed }) => {
    for (const number of [1, 2, 3, 4]) {
      await live(handle(number), { policy: refusing });
      await revoke(handle(number));
    }
    for (const number of [5, 6, 7]) await live(handle(number), { policy: refusing });
    assert.equal((await sight(handle(8), { policy: refusing })).state, 'refused');
    assert.deepEqual(await listed(), [handle(5), handle(6), handle(7)]);
  });

  test('of one ends the session before', async ({ now, live, listed }) => {
    for (const number of [1, 2, 3]) await live(handle(number), { policy: { maxSessions: 1 }, at: now + number });
    assert.deepEqual(await listed(), [handle(3)]);
  });

  test('does not hold if it is Infinity', async ({ live, listed, notices }) => {
    for (let number = 0; number < 101; number += 1) await live(handle(number), { policy: { maxSessions: Infinity } });
    assert.equal((await listed()).length, 101);
    assert.deepEqual(notices, []);
  });

  test('holds for a hundred first sightings at once', async ({ sight, listed, notices }) => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, number) => sight(handle(number), { policy: { maxSessions: 10 } })),
    );
    assert.ok(answers.every(({ state }) => state === 'live'));
    assert.equal((await listed()).length, 10);
    assert.equal(notices.length, 90);
  });

  test('refuses all but ten of a hundred first sightings at once', async ({ sight }) => {
    const ten = { maxSessions: 10, atSessionLimit: 'refuse' } as const;
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, number) => sight(handle(number), { policy: ten })),
    );
    assert.equal(answers.filter(({ state }) => state === 'live').length, 10);
    assert.equal(answers.filter(({ state }) => state === 'refused').length, 90);
  });
}
