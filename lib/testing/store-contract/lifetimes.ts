import assert from 'node:assert/strict';

import { sessionUser } from '../../core/session.js';
import type { DeclareTest } from './fixture.js';
import { DAY, handle, HOUR, MINUTE, POLICY, SECOND } from './values.js';

export function lifetimes(test: DeclareTest): void {
  test('begins with the earliest start that a token shows, else with the first sighting', async ({
    now,
    sight,
    live,
  }) => {
    await sight(handle(1), { token: { beganAt: now - MINUTE } });
    assert.equal((await live(handle(1), { token: { beganAt: now - HOUR } })).startedAt, now - HOUR);
    assert.equal((await live(handle(1), { token: { beganAt: now } })).startedAt, now - HOUR);
    assert.equal((await live(handle(1), { token: { beganAt: null } })).startedAt, now - HOUR);

    assert.equal((await live(handle(2), { token: { beganAt: null } })).startedAt, now);
    const later = { at: now + MINUTE, token: { beganAt: null } };
    assert.equal((await live(handle(2), later)).startedAt, now);
    assert.equal((await live(handle(2), { token: { beganAt: now + SECOND } })).startedAt, now);
  });

  test('ends with the latest exp, or with the lifetime', async ({ now, live }) => {
    assert.equal((await live(handle(1))).expiresAt, now + HOUR);
    assert.equal((await live(handle(1), { token: { expiresAt: now + 3 * HOUR } })).expiresAt, now + 3 * HOUR);
    assert.equal((await live(handle(1), { token: { expiresAt: now + 2 * HOUR } })).expiresAt, now + 3 * HOUR);
    assert.equal((await live(handle(1), { token: { lifetime: DAY } })).expiresAt, now + DAY);
    assert.equal((await live(handle(2), { token: { expiresAt: null, lifetime: DAY } })).expiresAt, now + DAY);
  });

  test('is over for good after the idle timeout', async ({ now, sight, live, get, ended }) => {
    const policy = { idleTimeout: 30 * MINUTE };
    await sight(handle(1), { policy });
    assert.equal((await live(handle(1), { policy, at: now + 29 * MINUTE })).state, 'live');
    const due = now + 59 * MINUTE;
    assert.equal(await get(handle(1), { at: due, policy }), null);
    const late = due + MINUTE;
    const { ending } = await ended(handle(1), { policy, at: late, token: { expiresAt: now + DAY } });
    assert.deepEqual([ending.cause, ending.reason, ending.at], ['idle', 'idle', due]);
    assert.equal((await ended(handle(1), { at: late + SECOND })).ending.cause, 'idle');
  });

  test('is not idle if the caller knows that it was used without a pause', async (fixture) => {
    const { now, sight, live, ended } = fixture;
    const policy = { idleTimeout: 30 * MINUTE };
    const later = { policy, at: now + 50 * MINUTE };
    for (const number of [1, 2, 3, 4]) await sight(handle(number), { policy });
    const known = { startedAt: now, tokensEndAt: now + HOUR, endsAt: null, survivedCutoffAt: 0 };
    const use = (inUseSince: number, isKnown = true) => ({
      ...later,
      knownUse: { inUseSince, known: isKnown ? known : null },
    });
    assert.equal((await live(handle(1), use(0))).created, false);
    assert.equal((await live(handle(2), use(now + 29 * MINUTE, false))).created, false);
    assert.equal((await ended(handle(3), use(now + 30 * MINUTE, false))).ending.cause, 'idle');
    assert.equal((await ended(handle(4), use(now + 30 * MINUTE))).ending.cause, 'idle');
    assert.equal((await live(handle(1), { policy, at: now + HOUR })).created, false);
  });

  test('that was lost keeps its times and its place, if the caller knows it', async (fixture) => {
    const { now, sight, live, ended, listed } = fixture;
    const known = { startedAt: now - HOUR, tokensEndAt: now + DAY, endsAt: now + HOUR, survivedCutoffAt: 0 };
    const lost = { knownUse: { inUseSince: 0, known }, token: { expiresAt: now + MINUTE } };
    for (const [number, atSessionLimit] of [
      [1, 'end-oldest'],
      [2, 'refuse'],
    ] as const) {
      const policy = { maxSessions: 1, atSessionLimit };
      const user = sessionUser('https://id.example.com/', `${String(now)}-${atSessionLimit}`);
      await sight(handle(3), { user, policy });
      const answer = await live(handle(number), { user, policy, ...lost });
      assert.deepEqual(
        [answer.created, answer.startedAt, answer.endsAt, answer.expiresAt],
        [true, now - HOUR, now + HOUR, now + HOUR],
      );
      assert.equal((await live(handle(3), { user, policy })).created, false);
    }
    const lifetime = { lifetime: HOUR - 10 * SECOND, expiresAt: now + DAY };
    assert.equal((await ended(handle(4), { ...lost, token: lifetime })).ending.cause, 'expired');
    assert.deepEqual(await listed(), []);
  });

  test('is over after the lifetime and the clock tolerance, on record or not', async ({ now, sight, live, ended }) => {
    const times = { lifetime: HOUR, expiresAt: now + DAY };
    await sight(handle(1), { token: times });
    const end = now + HOUR + POLICY.clockTolerance;
    assert.equal((await live(handle(1), { token: times, at: end - 1 })).expiresAt, now + HOUR);
    assert.equal((await ended(handle(1), { token: times, at: end })).ending.cause, 'expired');
    assert.equal((await ended(handle(1), { token: { expiresAt: now + DAY }, at: end })).ending.reason, 'expired');

    assert.equal((await ended(handle(2), { token: times, at: end })).ending.cause, 'expired');
    assert.equal((await live(handle(2), { token: { beganAt: now + MINUTE, ...times }, at: end })).created, true);
  });

  test('is over for good if an older token shows that its lifetime is over', async ({ now, sight, ended }) => {
    const times = { lifetime: HOUR, expiresAt: now + DAY };
    await sight(handle(1), { token: times });
    const { ending } = await ended(handle(1), { token: { ...times, beganAt: now - 2 * HOUR } });
    assert.equal(ending.cause, 'expired');
    assert.equal((await ended(handle(1), { token: times })).ending.cause, 'expired');
  });

  test('goes on with a good token if only its earlier tokens ran out', async ({ now, sight, get, listed, live }) => {
    const policy = { idleTimeout: DAY };
    await sight(handle(1), { policy });
    const later = now + 2 * HOUR;
    assert.equal(await get(handle(1), { at: later, policy }), null);
    assert.deepEqual(await listed({ at: later, policy }), []);
    const answer = await live(handle(1), { policy, at: later, token: { expiresAt: now + 3 * HOUR } });
    assert.deepEqual([answer.created, answer.startedAt], [false, now]);
    assert.deepEqual(await listed({ at: later, policy }), [handle(1)]);
  });

  test('goes on with its label if a short token ran out long ago', async ({ now, sight, label, listed, get, live }) => {
    const before = now - 3 * HOUR;
    await sight(handle(1), { at: before, token: { beganAt: before, expiresAt: now - 2 * HOUR } });
    await label(handle(1), 'tablet', { at: before });
    assert.deepEqual(await listed(), []);
    assert.equal(await get(handle(1)), null);
    const answer = await live(handle(1));
    assert.deepEqual([answer.created, answer.startedAt], [false, before]);
    assert.equal((await get(handle(1)))?.label, 'tablet');
  });

  test('is not remembered as over if only the token ran out', async ({ now, sight, ended, live }) => {
    const spent = { token: { beganAt: now - 2 * HOUR, expiresAt: now - HOUR } };
    assert.equal((await ended(handle(1), spent)).ending.cause, 'expired');
    assert.equal((await live(handle(1))).created, true);
    await sight(handle(2), { at: now - HOUR - 1, ...spent });
    assert.equal((await ended(handle(2), spent)).ending.cause, 'expired');
    assert.equal((await live(handle(2))).created, false);
  });
}
