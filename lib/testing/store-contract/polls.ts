import assert from 'node:assert/strict';

import type { DeclareTest } from './fixture.js';
import { handle, HOUR, MINUTE } from './values.js';

export function polls(test: DeclareTest): void {
  const elsewhere = { ip: '198.51.100.1', userAgent: 'Poller/1', clientKey: 'poller' };

  test('leaves the record as it was, and says when the session was used', async ({ now, sight, get, live }) => {
    await sight(handle(1));
    const before = await get(handle(1));
    const answer = await live(handle(1), { at: now + MINUTE, usedAt: 0, ...elsewhere });
    assert.deepEqual([answer.lastSeenAt, answer.created, answer.moved, answer.knownClient], [now, false, null, false]);
    assert.deepEqual(await get(handle(1)), before);
    // Nor was its client noted.
    assert.equal((await live(handle(2), elsewhere)).knownClient, false);
  });

  test('does not put off the idle timeout', async ({ now, sight, live, ended }) => {
    const policy = { idleTimeout: 10 * MINUTE };
    await sight(handle(1), { policy });
    for (const minutes of [5, 9]) await live(handle(1), { at: now + minutes * MINUTE, usedAt: 0, policy });
    const answer = await ended(handle(1), { at: now + 10 * MINUTE, usedAt: 0, policy });
    assert.deepEqual([answer.ending.cause, answer.ending.at], ['idle', now + 10 * MINUTE]);
    assert.equal((await ended(handle(1), { at: now + 10 * MINUTE, policy })).ending.cause, 'idle');
  });

  test('tells of a later use, never of an earlier one', async ({ now, sight, live, get, listed }) => {
    await sight(handle(1));
    await sight(handle(2), { at: now + MINUTE });
    assert.equal(
      (await live(handle(1), { at: now + 3 * MINUTE, usedAt: now + 2 * MINUTE })).lastSeenAt,
      now + 2 * MINUTE,
    );
    assert.equal((await live(handle(1), { at: now + 3 * MINUTE, usedAt: now - HOUR })).lastSeenAt, now + 2 * MINUTE);
    assert.equal((await get(handle(1)))?.lastSeenAt, now + 2 * MINUTE);
    assert.deepEqual(await listed(), [handle(1), handle(2)]);
  });

  test('is judged by a use that only the caller knows', async ({ now, sight, live }) => {
    const policy = { idleTimeout: 10 * MINUTE };
    await sight(handle(1), { policy });
    const knownUse = { inUseSince: 0, known: null };
    const at = now + 15 * MINUTE;
    assert.equal(
      (await live(handle(1), { at, usedAt: now + 9 * MINUTE, knownUse, policy })).lastSeenAt,
      now + 9 * MINUTE,
    );
  });

  test('brings a token that expires later', async ({ now, sight, live, get }) => {
    await sight(handle(1));
    const token = { expiresAt: now + 2 * HOUR };
    assert.equal((await live(handle(1), { at: now + MINUTE, usedAt: 0, token })).expiresAt, now + 2 * HOUR);
    const record = await get(handle(1), { at: now + HOUR + MINUTE });
    assert.deepEqual([record?.lastSeenAt, record?.expiresAt, record?.userAgent], [now, now + 2 * HOUR, 'Mozilla/5.0']);
  });

  test('takes a session on whose tokens had expired', async ({ now, sight, live, get }) => {
    await sight(handle(1));
    const at = now + 2 * HOUR;
    const answer = await live(handle(1), { at, usedAt: 0, token: { expiresAt: now + 3 * HOUR }, ...elsewhere });
    assert.deepEqual([answer.created, answer.moved, answer.lastSeenAt], [false, null, now]);
    assert.equal((await get(handle(1), { at }))?.userAgent, 'Mozilla/5.0');
  });

  test('begins a session that is not on record', async ({ now, live, get }) => {
    const answer = await live(handle(1), { at: now + MINUTE, usedAt: 0, ...elsewhere });
    assert.deepEqual([answer.created, answer.lastSeenAt], [true, now + MINUTE]);
    const { lastSeenAt, ip, userAgent } = (await get(handle(1), { at: now + MINUTE })) ?? {};
    assert.deepEqual([lastSeenAt, ip, userAgent], [now + MINUTE, elsewhere.ip, elsewhere.userAgent]);
    assert.equal((await live(handle(2), elsewhere)).knownClient, true);
  });

  test('takes a place under the cap only for a new session', async ({ now, sight, live, listed }) => {
    const policy = { maxSessions: 2 };
    await sight(handle(1), { policy });
    await sight(handle(2), { at: now + MINUTE, policy });
    await live(handle(1), { at: now + 2 * MINUTE, usedAt: 0, policy });
    assert.deepEqual(await listed({ at: now + 2 * MINUTE }), [handle(2), handle(1)]);
    await live(handle(3), { at: now + 2 * MINUTE, usedAt: 0, policy });
    assert.deepEqual(await listed({ at: now + 2 * MINUTE }), [handle(3), handle(2)]);
  });

  test('never brings back what ended', async ({ now, sight, ended, revoke, revokeAll }) => {
    await sight(handle(1));
    await revoke(handle(1));
    assert.equal((await ended(handle(1), { usedAt: 0 })).ending.reason, 'signed_out');
    await revokeAll();
    assert.equal((await ended(handle(2), { usedAt: 0, token: { beganAt: now - MINUTE } })).ending.by, 'owner');
  });
}
