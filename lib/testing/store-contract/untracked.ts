import assert from 'node:assert/strict';

import type { DeclareTest } from './fixture.js';
import { handle, HOUR, MINUTE } from './values.js';

export function untracked(test: DeclareTest): void {
  test('is answered, and puts nothing on record', async ({ now, sight, get, live }) => {
    assert.deepEqual(await sight(handle(1), { track: false, token: { beganAt: now - MINUTE } }), {
      state: 'live',
      startedAt: now - MINUTE,
      endsAt: null,
      expiresAt: now + HOUR,
      lastSeenAt: now,
      created: false,
      knownClient: false,
      moved: null,
      survivedCutoffAt: 0,
      staleTokens: null,
    });
    assert.equal(await get(handle(1)), null);
    assert.equal((await live(handle(1))).created, true);
  });

  test('does not change the record', async ({ now, sight, get, live }) => {
    await sight(handle(1));
    const before = await get(handle(1));
    const elsewhere = { at: now + MINUTE, ip: '198.51.100.1', userAgent: 'curl/8', track: false };
    assert.equal((await live(handle(1), elsewhere)).moved, null);
    assert.deepEqual(await get(handle(1)), before);
  });

  test('takes no place under the cap, and ends no session for one', async ({ sight, live, listed, notices }) => {
    const policy = { maxSessions: 1 };
    await sight(handle(1), { policy });
    await live(handle(2), { policy, track: false });
    await live(handle(3), { policy: { ...policy, atSessionLimit: 'refuse' }, track: false });
    assert.deepEqual(await listed(), [handle(1)]);
    assert.deepEqual(notices, []);
  });

  test('is ended by a tombstone, by a cutoff and by the idle timeout', async (fixture) => {
    const { now, sight, ended, revoke, revokeAll } = fixture;
    await sight(handle(1));
    await revoke(handle(1));
    assert.equal((await ended(handle(1), { track: false })).ending.reason, 'signed_out');
    await sight(handle(2), { policy: { idleTimeout: MINUTE } });
    const idle = await ended(handle(2), { at: now + MINUTE, policy: { idleTimeout: MINUTE }, track: false });
    assert.equal(idle.ending.cause, 'idle');
    await revokeAll();
    assert.equal((await ended(handle(3), { track: false, token: { beganAt: now - MINUTE } })).ending.by, 'owner');
  });

  test('keeps what ended as ended', async ({ now, sight, live, ended, revokeAll }) => {
    const policy = { idleTimeout: MINUTE };
    await sight(handle(1), { policy });
    await ended(handle(1), { at: now + MINUTE, policy, track: false });
    assert.equal((await ended(handle(1), { at: now + MINUTE })).ending.cause, 'idle');
    await revokeAll();
    await ended(handle(2), { track: false, token: { beganAt: now - MINUTE } });
    assert.equal((await ended(handle(2), { token: { beganAt: now + HOUR } })).ending.reason, 'everywhere');
    assert.equal((await live(handle(3), { token: { beganAt: now + HOUR } })).created, true);
  });
}
