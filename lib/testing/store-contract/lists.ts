import assert from 'node:assert/strict';

import type { DeclareTest } from './fixture.js';
import { handle, HOUR, MINUTE } from './values.js';

export function lists(test: DeclareTest): void {
  test('gives the live sessions, most recently seen first, equal moments by handle', async (fixture) => {
    const { now, sight, revoke, listed } = fixture;
    const seenAt = [3, 1, 3, 2, 9, 3];
    for (const [number, at] of seenAt.entries()) await sight(handle(number), { at: now + at });
    await revoke(handle(4));
    const expected = [handle(0), handle(2), handle(5), handle(3), handle(1)];
    for (const limit of [1, 2, 3, 4, 5, 200]) assert.deepEqual(await listed({ limit }), expected);
  });

  test('gives the same records as get', async ({ now, sight, label, get, page }) => {
    for (const number of [1, 2]) await sight(handle(number), { at: now - number });
    await label(handle(2), 'tablet');
    assert.deepEqual((await page()).sessions, [await get(handle(1)), await get(handle(2))]);
  });

  test('has no next page at the end', async ({ sight, page }) => {
    for (const number of [1, 2]) await sight(handle(number));
    assert.equal((await page({ limit: 2 })).next, null);
    assert.deepEqual(await page({ limit: 1, cursor: { lastSeenAt: 0, handle: '' } }), {
      sessions: [],
      next: null,
      total: 2,
    });
  });

  test('goes on behind the cursor, even if the session there is gone', async ({ now, sight, page, revoke }) => {
    for (const number of [1, 2, 3, 4]) await sight(handle(number), { at: now - number });
    const { next } = await page({ limit: 2 });
    assert.deepEqual(next, { lastSeenAt: now - 2, handle: handle(2) });
    await revoke(handle(2));
    const { sessions } = await page({ limit: 2, cursor: next });
    assert.deepEqual(
      sessions.map((session) => session.handle),
      [handle(3), handle(4)],
    );
  });

  test('counts the live sessions, on each page and behind the last one', async (fixture) => {
    const { now, sight, revoke, page } = fixture;
    const policy = { idleTimeout: 30 * MINUTE };
    for (let number = 0; number < 4; number += 1) await sight(handle(number), { at: now + number });
    await sight(handle(4), { token: { expiresAt: now + MINUTE } });
    await sight(handle(5), { at: now - 20 * MINUTE });
    await sight(handle(6), { track: false });
    await revoke(handle(3));
    const counts = async (at: number): Promise<number[]> => {
      const first = await page({ limit: 2, at, policy });
      const behind = await page({ limit: 2, at, policy, cursor: { lastSeenAt: 0, handle: '' } });
      return [first.total, (await page({ limit: 2, at, policy, cursor: first.next })).total, behind.total];
    };
    assert.deepEqual(await counts(now), [5, 5, 5]);
    // One has lapsed by then, and one is idle.
    assert.deepEqual(await counts(now + 15 * MINUTE), [3, 3, 3]);
    assert.deepEqual(await counts(now + HOUR), [0, 0, 0]);
  });

  test('counts as many if there are too many to read them all', async (fixture) => {
    const { now, sight, revoke, revokeAll, page } = fixture;
    const policy = { idleTimeout: 30 * MINUTE };
    for (let number = 0; number < 40; number += 1) await sight(handle(number), { at: now - number * MINUTE });
    for (const number of [0, 1, 2]) await revoke(handle(number));
    for (const number of [50, 51]) await sight(handle(number), { token: { expiresAt: now + MINUTE } });
    const count = async (at = now): Promise<number> => (await page({ limit: 3, at, policy })).total;
    assert.equal(await count(), 29);
    assert.equal(await count(now + 10 * MINUTE), 17);
    await revokeAll({ except: handle(5), at: now });
    assert.equal(await count(), 1);
  });

  test('is empty for a user who was never seen', async ({ listed, page }) => {
    assert.deepEqual(await listed(), []);
    assert.equal((await page()).total, 0);
  });
}
