import assert from 'node:assert/strict';

import { sessionUser } from '../../core/session.js';
import type { DeclareTest, SightOptions } from './fixture.js';
import { DAY, handle, HOSTILE_STRINGS, HOUR, MINUTE, POLICY } from './values.js';

/** A sighting just after the session began; `beganAt` null: it begins with this sighting. */
function began(now: number, beganAt: number | null, more: SightOptions = {}): SightOptions {
  return { at: (beganAt ?? now) + 1, token: { beganAt, expiresAt: now + DAY }, ...more };
}

export function globalCutoff(test: DeclareTest): void {
  test('ends the sessions of all users, whatever is asked about them', async (fixture) => {
    const { store, user, now, sight, ended, page, get, label, revoke, endEverywhere } = fixture;
    const other = sessionUser('https://other.example.com/', user.subject);
    const old = began(now, now - HOUR);
    for (const number of [1, 2]) await sight(handle(number), old);
    await sight(handle(3), { ...old, user: other });
    const { at, reason, by, origin } = await endEverywhere();
    assert.deepEqual([reason, by, origin], ['incident', 'operator', store.origin]);
    assert.deepEqual(await page({ at }), { sessions: [], next: null, total: 0 });
    assert.equal(await get(handle(1), { at }), null);
    assert.equal(await label(handle(1), 'mine', { at }), null);
    assert.equal(await revoke(handle(1), { at }), 'already');
    const { ending, until } = await ended(handle(2), old);
    assert.deepEqual(ending, { cause: 'revoked', reason, by, at, expiresAt: now + DAY, origin });
    assert.equal(until, now + 2 * DAY);
    assert.deepEqual((await ended(handle(1), old)).ending, ending);
    assert.equal((await ended(handle(3), { ...old, user: other })).ending.reason, 'incident');
  });

  test('ends what was never seen and began before, or later by no more than the clock tolerance', async (fixture) => {
    const { now, live, ended, listed, endEverywhere } = fixture;
    const { at } = await endEverywhere();
    const edge = at + POLICY.clockTolerance;
    for (const beganAt of [now - HOUR, at, edge]) {
      const of = handle(100 + (edge - beganAt));
      assert.equal((await ended(of, began(now, beganAt))).ending.reason, 'incident');
      // A refreshed token does not change that.
      assert.equal((await ended(of, began(now, edge + HOUR))).ending.reason, 'incident');
    }
    assert.equal((await ended(handle(1), began(now, at, { track: false }))).ending.reason, 'incident');
    assert.equal((await live(handle(2), began(now, edge + 1))).created, true);
    assert.equal((await live(handle(3), began(now, edge + 1, { track: false }))).created, false);
    assert.deepEqual(await listed({ at: edge + 2 }), [handle(2)]);
    // An older token of the same session shows that it began before.
    assert.equal((await ended(handle(2), began(now, edge))).ending.reason, 'incident');
  });

  test('frees the places of what it ended under the cap, and no others', async (fixture) => {
    const { now, sight, live, endEverywhere } = fixture;
    const policy = { maxSessions: 2, atSessionLimit: 'refuse' } as const;
    for (const number of [1, 2]) await live(handle(number), began(now, now - HOUR, { policy }));
    assert.equal((await sight(handle(3), began(now, now - HOUR, { policy }))).state, 'refused');
    const { at } = await endEverywhere();
    const later = began(now, at + MINUTE, { policy });
    for (const number of [3, 4]) assert.equal((await live(handle(number), later)).created, true);
    assert.equal((await sight(handle(5), later)).state, 'refused');
  });

  test('leaves nothing for revokeAll to count, which ends what began since', async (fixture) => {
    const { now, sight, live, ended, revokeAll, endEverywhere } = fixture;
    for (const number of [1, 2]) await sight(handle(number), began(now, now - HOUR));
    const { at } = await endEverywhere();
    assert.deepEqual(await revokeAll({ at }), { ended: 0 });
    await live(handle(3), began(now, at + MINUTE));
    assert.deepEqual(await revokeAll({ at: at + MINUTE }), { ended: 1 });
    assert.equal((await ended(handle(3), began(now, at + MINUTE))).ending.reason, 'everywhere');
    assert.equal((await ended(handle(1), began(now, now - HOUR))).ending.reason, 'incident');
  });

  test('leaves nothing to list or count of a user with many sessions', async (fixture) => {
    const { now, sight, page, endEverywhere } = fixture;
    for (let number = 0; number < 30; number += 1) await sight(handle(number), began(now, now - HOUR));
    const at = (await endEverywhere()).at + MINUTE;
    await sight(handle(100), began(now, at));
    const { sessions, total } = await page({ limit: 5, at });
    assert.deepEqual([sessions.map((session) => session.handle), total], [[handle(100)], 1]);
  });

  test('does not change what an earlier cutoff and a tombstone say', async (fixture) => {
    const { now, sight, revoke, revokeAll, ended, lastCutoff, endEverywhere } = fixture;
    for (const number of [1, 2]) await sight(handle(number), began(now, now - HOUR));
    await revoke(handle(1));
    await revokeAll();
    assert.ok((await endEverywhere({ at: lastCutoff().at + 1 })).at >= lastCutoff().at);
    assert.equal((await ended(handle(1), began(now, now - HOUR))).ending.reason, 'signed_out');
    assert.equal((await ended(handle(2), began(now, now - HOUR))).ending.reason, 'everywhere');
  });

  test('can be repeated, and a later one is greater', async (fixture) => {
    const { store, now, live, globalCutoffs, endEverywhere } = fixture;
    const first = await endEverywhere();
    await live(handle(1), began(now, first.at + POLICY.clockTolerance + 1));
    const moments = [first.at];
    for (let time = 0; time < 3; time += 1) moments.push((await endEverywhere()).at);
    assert.deepEqual(
      moments,
      [...new Set(moments)].sort((a, b) => a - b),
    );
    await store.catchUp();
    assert.equal(globalCutoffs.length, 4);
  });

  for (const [what, value] of HOSTILE_STRINGS) {
    test(`keeps its words on one line, well-formed and short: ${what}`, async (fixture) => {
      const { now, sight, ended, endEverywhere } = fixture;
      await sight(handle(1), began(now, now - HOUR));
      const told = await endEverywhere({ reason: value, by: value });
      const { ending } = await ended(handle(1), began(now, now - HOUR));
      for (const kept of [ending.reason, ending.by ?? '']) {
        assert.ok(kept.isWellFormed() && kept.length <= 200);
        assert.doesNotMatch(kept, /\p{Cc}/u);
      }
      assert.deepEqual([ending.reason, ending.by], [told.reason, told.by]);
    });
  }
}
