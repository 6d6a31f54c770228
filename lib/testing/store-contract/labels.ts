import assert from 'node:assert/strict';

import type { DeclareTest } from './fixture.js';
import { handle } from './values.js';

export function labels(test: DeclareTest): void {
  test('names a live session, and takes the name away', async ({ now, sight, label, get }) => {
    await sight(handle(1));
    assert.equal((await label(handle(1), "Mum's iPad"))?.label, "Mum's iPad");
    await sight(handle(1), { at: now + 1 });
    const record = await get(handle(1));
    assert.deepEqual([record?.label, record?.lastSeenAt], ["Mum's iPad", now + 1]);
    assert.equal((await label(handle(1), null))?.label, null);
    assert.equal((await get(handle(1)))?.label, null);
  });

  test('changes nothing but the label', async ({ sight, label, get }) => {
    await sight(handle(1));
    const before = await get(handle(1));
    assert.deepEqual(await label(handle(1), 'x'), { ...before, label: 'x' });
    assert.deepEqual(await get(handle(1)), { ...before, label: 'x' });
  });

  test('is cut between code points', async ({ sight, label }) => {
    await sight(handle(1));
    assert.equal((await label(handle(1), '😀'.repeat(70)))?.label, '😀'.repeat(64));
  });

  test('does not change a session that is not live', async ({ sight, revoke, label, ended, live }) => {
    await sight(handle(1));
    await revoke(handle(1));
    assert.equal(await label(handle(1), 'x'), null);
    assert.equal(await label(handle(2), 'x'), null);
    assert.equal((await ended(handle(1))).state, 'ended');
    assert.equal((await live(handle(2))).created, true);
  });
}
