import assert from 'node:assert/strict';

import type { StaleTokens } from '../../core/stale.js';
import type { DeclareTest, Fixture } from './fixture.js';
import { DAY, handle, HOUR, MINUTE, SECOND } from './values.js';

/** What the feed told, in order. */
function told({ notices }: Pick<Fixture, 'notices'>): StaleTokens[] {
  return notices.flatMap((notice) => (notice.kind === 'stale' ? [notice.staleTokens] : []));
}

export function stale(test: DeclareTest): void {
  test('refuses what was issued up to now, and tells of it', async (fixture) => {
    const { now, user, sight, live, get, expireTokens, notices } = fixture;
    await sight(handle(1));
    const before = await get(handle(1));
    await expireTokens({ at: now + SECOND, reason: 'role_removed', by: 'admin' });
    const [staleTokens, ...others] = told(fixture);
    assert.ok(staleTokens !== undefined && others.length === 0);
    assert.deepEqual(notices, [{ kind: 'stale', user, staleTokens }]);
    const { at, until, ...words } = staleTokens;
    assert.deepEqual(words, { reason: 'role_removed', by: 'admin' });
    assert.ok(at >= now && at <= now + SECOND, 'dated by the earlier of both clocks');
    assert.equal(until, now + SECOND + DAY);

    const refused = { state: 'stale', staleTokens };
    const second = Math.floor(at / SECOND) * SECOND;
    for (const issuedAt of [null, 0, now - HOUR, second, second + 999]) {
      assert.deepEqual(await sight(handle(1), { token: { issuedAt } }), refused);
    }
    assert.deepEqual(await get(handle(1)), before);
    assert.deepEqual((await live(handle(1), { token: { issuedAt: second + SECOND } })).staleTokens, staleTokens);
    // A use of before is not judged by it.
    assert.deepEqual((await live(handle(1))).staleTokens, staleTokens);
  });

  test('ends no session, and keeps its label', async ({ now, sight, label, get, listed, expireTokens }) => {
    await sight(handle(1));
    const labelled = await label(handle(1), 'Mum');
    await expireTokens();
    assert.deepEqual([await get(handle(1)), await listed()], [labelled, [handle(1)]]);
    await sight(handle(1), { token: { issuedAt: now - MINUTE } });
    assert.deepEqual([await get(handle(1)), await listed()], [labelled, [handle(1)]]);
  });

  test('a stale token puts nothing on record, extends nothing and ends nothing', async (fixture) => {
    const { now, sight, ended, get, listed, expireTokens, notices } = fixture;
    const policy = { maxSessions: 1, idleTimeout: HOUR };
    const token = { issuedAt: now - MINUTE, expiresAt: now + 9 * DAY };
    await sight(handle(1), { policy });
    const before = await get(handle(1));
    await expireTokens();
    const count = notices.length;
    for (const track of [true, false]) await sight(handle(2), { policy, track, token, clientKey: 'a-key' });
    await sight(handle(1), { policy, token, at: now + MINUTE, ip: '198.51.100.1' });
    await sight(handle(1), { policy, token, at: now + 2 * HOUR });
    assert.deepEqual([await get(handle(1)), await listed(), notices.length], [before, [handle(1)], count]);
    const { ending, until } = await ended(handle(1), { policy, at: now + 2 * HOUR });
    assert.deepEqual([ending.cause, until], ['idle', now + HOUR + DAY]);
  });

  test('holds for sessions and users of which nothing is on record', async (fixture) => {
    const { now, sight, live, listed, expireTokens } = fixture;
    await expireTokens();
    assert.equal((await sight(handle(1), { token: { issuedAt: now - MINUTE } })).state, 'stale');
    const policy = { maxSessions: 2 };
    const good = { policy, token: { issuedAt: now + HOUR } };
    for (const number of [1, 2]) assert.equal((await live(handle(number), good)).created, true);
    assert.deepEqual(await listed(), [handle(1), handle(2)]);
    await live(handle(3), { ...good, at: now + 1 });
    assert.equal((await listed()).length, 2, 'what is stale takes no place');
    assert.equal((await sight(handle(3), { token: { issuedAt: null } })).state, 'stale');
  });

  test('an ended session is ended, whatever its token', async ({ now, sight, revoke, ended, expireTokens }) => {
    await sight(handle(1));
    await revoke(handle(1));
    await expireTokens();
    assert.equal((await ended(handle(1), { token: { issuedAt: now - MINUTE } })).ending.reason, 'signed_out');
  });

  test('up to an earlier time, but never later than now, and never back', async (fixture) => {
    const { now, sight, live, expireTokens } = fixture;
    const state = async (issuedAt: number): Promise<string> => (await sight(handle(1), { token: { issuedAt } })).state;
    await expireTokens({ upTo: now - HOUR });
    assert.deepEqual([await state(now - HOUR), await state(now - HOUR + SECOND)], ['stale', 'live']);
    await expireTokens({ upTo: now + HOUR });
    const { staleTokens } = await live(handle(1), { token: { issuedAt: now + HOUR } });
    assert.ok(staleTokens !== null && staleTokens.at <= now);
    await expireTokens({ upTo: now - 2 * HOUR, reason: 'again', at: now + MINUTE });
    const [last] = told(fixture).slice(-1);
    assert.deepEqual(last, { ...staleTokens, until: now + MINUTE + DAY }, 'what stands is told again, and kept longer');
    assert.equal(await state(now - HOUR), 'stale');
  });

  test('is forgotten after `tombstoneFor`', async ({ now, sight, expireTokens }) => {
    // Both clocks must say so.
    const policy = { tombstoneFor: HOUR };
    await expireTokens({ at: now - 2 * HOUR, policy });
    const seen = async (at: number): Promise<string> =>
      (await sight(handle(1), { at, policy, token: { issuedAt: null, expiresAt: now + DAY } })).state;
    assert.deepEqual([await seen(now - HOUR), await seen(now - HOUR + 1)], ['stale', 'live']);
  });

  test('is written back, with its own times, and announced if it was missing', async (fixture) => {
    const { now, user, sight, live, restore, notices } = fixture;
    await sight(handle(1));
    const lost = { at: now - MINUTE, until: now + HOUR, reason: 'known', by: 'admin' };
    for (let time = 0; time < 2; time += 1) assert.deepEqual(await restore({ staleTokens: lost }), { missing: 0 });
    assert.deepEqual(notices, [{ kind: 'stale', user, staleTokens: lost }]);
    assert.deepEqual((await live(handle(1))).staleTokens, lost);
    await restore({ staleTokens: { ...lost, at: now - HOUR, until: now + 2 * HOUR, reason: 'older' } });
    assert.deepEqual((await live(handle(1))).staleTokens, { ...lost, until: now + 2 * HOUR });
    assert.equal(notices.length, 1);
    const later = { ...lost, at: now - SECOND, reason: 'later' };
    await restore({ staleTokens: later });
    assert.deepEqual((await live(handle(1))).staleTokens, { ...later, until: now + 2 * HOUR });
    assert.equal(notices.length, 2);
    assert.equal((await sight(handle(1), { token: { issuedAt: now - 30 * SECOND } })).state, 'stale');
  });

  test('is not written back once it is to be forgotten', async ({ now, live, restore, notices }) => {
    await restore({ staleTokens: { at: now - DAY, until: now - HOUR, reason: 'known', by: null } });
    assert.equal((await live(handle(1), { token: { issuedAt: null } })).staleTokens, null);
    assert.deepEqual(notices, []);
  });

  test('keeps its words as one line of limited length', async (fixture) => {
    const { expireTokens, restore, now } = fixture;
    await expireTokens({ reason: 'a\nb', by: '' });
    await restore({ staleTokens: { at: now + HOUR, until: now + DAY, reason: 'r'.repeat(300), by: '\u0000x' } });
    const words = told(fixture).map(({ reason, by }) => [reason, by]);
    assert.deepEqual(words, [
      ['a b', null],
      ['r'.repeat(200), ' x'],
    ]);
  });
}
