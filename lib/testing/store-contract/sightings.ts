import assert from 'node:assert/strict';

import { sessionUser } from '../../core/session.js';
import type { DeclareTest } from './fixture.js';
import { handle, HOUR, MINUTE, POLICY } from './values.js';

export function sightings(test: DeclareTest): void {
  test('puts a session on record', async ({ now, sight, get }) => {
    assert.deepEqual(await sight(handle(1), { token: { beganAt: now - MINUTE } }), {
      state: 'live',
      startedAt: now - MINUTE,
      expiresAt: now + HOUR,
      lastSeenAt: now,
      created: true,
      knownClient: false,
      moved: null,
      endsAt: null,
      survivedCutoffAt: 0,
      staleTokens: null,
    });
    assert.deepEqual(await get(handle(1)), {
      handle: handle(1),
      startedAt: now - MINUTE,
      lastSeenAt: now,
      expiresAt: now + HOUR,
      ip: '203.0.113.7',
      userAgent: 'Mozilla/5.0',
      app: null,
      actor: null,
      hasNewClient: false,
      label: null,
    });
  });

  test('begins the session with its first sighting if the token does not say when it began', async ({ now, live }) => {
    const token = { beganAt: null };
    assert.equal((await live(handle(1), { token })).startedAt, now);
    assert.equal((await live(handle(1), { at: now + MINUTE, token })).startedAt, now);
    assert.equal((await live(handle(1), { token: { beganAt: now - MINUTE } })).startedAt, now - MINUTE);
    assert.equal((await live(handle(1), { token })).startedAt, now - MINUTE);
  });

  test('keeps the earliest moment at which a token says that the session ends', async ({ now, live, get }) => {
    const endsAt = async (sessionEndsAt: number | null) => (await live(handle(1), { token: { sessionEndsAt } })).endsAt;
    assert.equal(await endsAt(null), null);
    assert.equal(await endsAt(now + 2 * MINUTE), now + 2 * MINUTE);
    assert.equal(await endsAt(now + 3 * MINUTE), now + 2 * MINUTE);
    assert.equal(await endsAt(null), now + 2 * MINUTE);
    assert.equal(await endsAt(now + MINUTE), now + MINUTE);
    assert.equal((await get(handle(1)))?.expiresAt, now + MINUTE);
  });

  test('updates a live session, and says what the record said before if it moved', async ({
    now,
    sight,
    live,
    get,
  }) => {
    await sight(handle(1));
    const same = await live(handle(1), { at: now + MINUTE });
    assert.deepEqual([same.created, same.moved], [false, null]);
    const moved = await live(handle(1), { at: now + 2 * MINUTE, ip: '203.0.113.8', userAgent: 'curl/8' });
    assert.deepEqual([moved.created, moved.moved], [false, { ip: '203.0.113.7', userAgent: 'Mozilla/5.0' }]);
    const record = await get(handle(1));
    assert.deepEqual([record?.ip, record?.userAgent, record?.lastSeenAt], ['203.0.113.8', 'curl/8', now + 2 * MINUTE]);
  });

  test('has moved if only the address or only the user agent changed', async ({ sight, live }) => {
    await sight(handle(1));
    const before = { ip: '203.0.113.7', userAgent: 'Mozilla/5.0' };
    assert.deepEqual((await live(handle(1), { ip: '203.0.113.8' })).moved, before);
    const between = { ip: '203.0.113.8', userAgent: 'Mozilla/5.0' };
    assert.deepEqual((await live(handle(1), { ip: '203.0.113.8', userAgent: 'curl/8' })).moved, between);
  });

  test('without an address and a user agent keeps those on record', async ({ now, sight, live, get }) => {
    await sight(handle(1));
    const untold = await live(handle(1), { at: now + MINUTE, ip: null, userAgent: null });
    assert.deepEqual([untold.created, untold.moved], [false, null]);
    const record = await get(handle(1));
    assert.deepEqual([record?.ip, record?.userAgent, record?.lastSeenAt], ['203.0.113.7', 'Mozilla/5.0', now + MINUTE]);
  });

  test('does not move the last-seen time back', async ({ now, sight, get }) => {
    await sight(handle(1), { at: now + MINUTE });
    await sight(handle(1), { at: now });
    assert.equal((await get(handle(1)))?.lastSeenAt, now + MINUTE);
  });

  test('belongs to one user', async ({ store, user, now, sight, live, revokeAll }) => {
    const other = sessionUser('https://id.example.com/', `other than ${user.subject}`);
    await sight(handle(1));
    assert.equal(await store.get(other, handle(1), now, POLICY), null);
    assert.equal((await live(handle(1), { user: other })).created, true);
    await revokeAll();
    assert.notEqual(await store.get(other, handle(1), now, POLICY), null);
  });
}
