import assert from 'node:assert/strict';

import type { DeclareTest } from './fixture.js';
import { DAY, handle, HOUR, MINUTE } from './values.js';

export function feed(test: DeclareTest): void {
  test('tells the own listener before the call resolves, in the order of the calls', async (fixture) => {
    const { sight, revoke, revokeAll, notices } = fixture;
    for (const number of [1, 2, 3]) await sight(handle(number));
    const kinds = (): string[] => notices.map((notice) => notice.kind);
    await revoke(handle(2));
    assert.deepEqual(kinds(), ['ended']);
    await revokeAll();
    assert.deepEqual(kinds(), ['ended', 'cutoff']);
    await revokeAll();
    assert.deepEqual(kinds(), ['ended', 'cutoff', 'cutoff']);
  });

  test('tells of a cutoff that ended no session', async ({ user, revokeAll, notices, lastCutoff }) => {
    assert.deepEqual(await revokeAll({ except: handle(1), by: null }), { ended: 0 });
    assert.deepEqual(notices, [{ kind: 'cutoff', user, cutoff: lastCutoff(), ended: [] }]);
  });

  test('tells the later end of a tombstone that a repeated revoke extends', async (fixture) => {
    const { user, now, token, sight, revoke, notices } = fixture;
    await sight(handle(1));
    await revoke(handle(1));
    await revoke(handle(1), { token: token({ expiresAt: now + DAY }) });
    const [first, second, ...others] = notices;
    assert.deepEqual(others, []);
    assert.ok(first?.kind === 'ended');
    assert.deepEqual(second, { kind: 'ended', user, tombstone: { ...first.tombstone, until: now + 2 * DAY } });
  });

  test('does not tell what ends by itself, and what is seen to be ended', async (fixture) => {
    const { now, sight, ended, revoke, notices } = fixture;
    const policy = { idleTimeout: MINUTE };
    await sight(handle(1), { policy });
    await ended(handle(1), { policy, at: now + MINUTE });
    await ended(handle(2), { at: now + HOUR, token: { lifetime: MINUTE } });
    assert.deepEqual(notices, []);
    await sight(handle(3));
    await revoke(handle(3));
    await ended(handle(3), { token: { expiresAt: now + DAY } });
    assert.equal(notices.length, 1);
  });

  test('says how old it is, and has not failed', async ({ feed: reading }) => {
    assert.ok(reading.age() >= 0);
    assert.equal(reading.lastError(), null);
  });

  test('does not matter to the health, which is good after an answer', async ({ store, sight }) => {
    await sight(handle(1));
    const health = store.health();
    assert.deepEqual([health.ok, health.lastError], [true, null]);
    assert.ok(health.age >= 0 && health.age < MINUTE);
  });
}
