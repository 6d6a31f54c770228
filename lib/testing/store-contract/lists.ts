import assert from 'node:assert/strict';

import type { DeclareTest } from './fixture.js';
import { handle } from './values.js';

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
    assert.deepEqual(await page({ limit: 1, cursor: { lastSeenAt: 0, handle: '' } }), { sessions: [], next: null });
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

  test('is empty for a user who was never seen', async ({ listed }) => {
    assert.deepEqual(await listed(), []);
  });
}
