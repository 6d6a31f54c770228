import assert from 'node:assert/strict';

import type { DeclareTest } from './fixture.js';
import { DAY, handle, HOUR, MINUTE, SECOND } from './values.js';

export function cutoffs(test: DeclareTest): void {
  test('ends every session but the excepted one, and counts the live ones', async (fixture) => {
    const { store, now, sight, revoke, revokeAll, listed, ended, cutoffNotices } = fixture;
    for (const number of [1, 2, 3, 4]) await sight(handle(number));
    await revoke(handle(4));
    assert.deepEqual(await revokeAll({ except: handle(2) }), { ended: 2 });
    assert.deepEqual(await listed(), [handle(2)]);
    const [notice] = cutoffNotices();
    assert.ok(notice !== undefined);
    const { cutoff } = notice;
    assert.deepEqual(
      [cutoff.except, cutoff.reason, cutoff.by, cutoff.origin],
      [handle(2), 'everywhere', 'owner', store.origin],
    );
    assert.deepEqual(
      [...notice.ended].sort((a, b) => (a.handle < b.handle ? -1 : 1)),
      [1, 3].map((number) => ({ handle: handle(number), expiresAt: now + HOUR, until: now + HOUR + DAY })),
    );
    const { ending } = await ended(handle(1));
    assert.deepEqual(ending, {
      cause: 'revoked',
      reason: 'everywhere',
      by: 'owner',
      at: cutoff.at,
      expiresAt: now + HOUR,
      origin: store.origin,
    });
    assert.equal(await revoke(handle(1)), 'already');
    assert.equal((await ended(handle(4))).ending.reason, 'signed_out');
  });

  test('ends what was never seen here and began before, by whole seconds', async (fixture) => {
    const { revokeAll, lastCutoff, live, ended, listed } = fixture;
    await revokeAll();
    const { at } = lastCutoff();
    const second = Math.floor(at / SECOND) * SECOND;
    const began = (beganAt: number | null) => ({ at: at + 1, token: { beganAt } });
    assert.equal((await ended(handle(1), began(second - MINUTE))).ending.reason, 'everywhere');
    assert.equal((await live(handle(2), began(null))).startedAt, at + 1);
    assert.equal((await live(handle(3), began(second))).survivedCutoffAt, at);
    assert.equal((await live(handle(4), began(second + SECOND))).survivedCutoffAt, at);
    assert.deepEqual(await listed({ at: at + 1 }), [handle(2), handle(3), handle(4)]);
    // A refreshed token does not change that.
    assert.equal((await ended(handle(1), began(second + HOUR))).ending.reason, 'everywhere');
    // An older token of the same session shows that it began before.
    assert.equal((await ended(handle(3), began(second - MINUTE))).ending.reason, 'everywhere');
    assert.equal((await ended(handle(3), began(second))).ending.reason, 'everywhere');
  });

  test('refuses without a tombstone what may have begun after it, because clocks differ', async (fixture) => {
    const { sight, live, ended, revokeAll, lastCutoff } = fixture;
    await revokeAll();
    const { at } = lastCutoff();
    const { ending } = await ended(handle(1), { token: { beganAt: at - 2 * SECOND } });
    assert.deepEqual([ending.cause, ending.reason, ending.origin], ['revoked', 'everywhere', null]);
    assert.equal((await live(handle(1), { token: { beganAt: at + SECOND } })).created, true);
    // What was live before it is ended for good.
    await sight(handle(2), { token: { beganAt: at + SECOND } });
    await revokeAll();
    await ended(handle(2), { token: { beganAt: lastCutoff().at + SECOND } });
  });

  test('is dated by the clock of the caller, if that is behind, but always after the cutoff before it', async (fixture) => {
    const { now, live, revokeAll, lastCutoff } = fixture;
    await revokeAll({ at: now - HOUR });
    assert.equal(lastCutoff().at, now - HOUR);
    await live(handle(1), { token: { beganAt: now - 30 * MINUTE } });
    await revokeAll({ at: now - 2 * HOUR });
    assert.equal(lastCutoff().at, now - HOUR + 1);
  });

  test('in its own second ends a known session, and not a new sign-in', async (fixture) => {
    const { now, sight, live, ended, revokeAll, lastCutoff } = fixture;
    await sight(handle(1), { token: { beganAt: now + HOUR } });
    assert.deepEqual(await revokeAll(), { ended: 1 });
    assert.equal((await ended(handle(1), { token: { beganAt: now + HOUR } })).ending.reason, 'everywhere');
    assert.equal((await live(handle(2), { token: { beganAt: lastCutoff().at } })).created, true);
  });

  test('can be repeated, and a later cutoff is greater', async ({ sight, live, ended, revokeAll, lastCutoff }) => {
    for (const number of [1, 2]) await sight(handle(number));
    assert.deepEqual(await revokeAll({ except: handle(1) }), { ended: 1 });
    const first = lastCutoff();
    assert.deepEqual(await revokeAll({ except: handle(1) }), { ended: 0 });
    assert.ok(lastCutoff().at > first.at);
    assert.equal((await live(handle(1))).state, 'live');
    assert.deepEqual(await revokeAll(), { ended: 1 });
    assert.equal((await ended(handle(1))).state, 'ended');
  });

  test('does not bring back by an exception what an earlier one ended', async ({ now, sight, ended, revokeAll }) => {
    await sight(handle(1));
    await revokeAll();
    await revokeAll({ except: handle(1) });
    assert.equal((await ended(handle(1))).state, 'ended');
    const old = { token: { beganAt: now - HOUR } };
    await revokeAll({ except: handle(2) });
    assert.equal((await ended(handle(2), old)).state, 'ended');
    await revokeAll({ except: handle(2) });
    assert.equal((await ended(handle(2), old)).state, 'ended');
  });

  test('does not end an excepted session that is first seen afterwards', async ({ now, live, ended, revokeAll }) => {
    await revokeAll({ except: handle(1) });
    const old = { token: { beganAt: now - HOUR } };
    assert.equal((await live(handle(1), old)).created, true);
    await revokeAll({ except: handle(1) });
    assert.equal((await live(handle(1), old)).created, false);
    assert.equal((await ended(handle(2), old)).state, 'ended');
  });

  test('does not count what has run out', async ({ now, sight, revokeAll }) => {
    const policy = { idleTimeout: MINUTE };
    await sight(handle(1), { policy });
    assert.deepEqual(await revokeAll({ at: now + 2 * MINUTE, policy }), { ended: 0 });
  });

  test('ends what has only run out, so that a refreshed token does not go on with it', async (fixture) => {
    const { store, now, sight, live, ended, revokeAll, lastCutoff, cutoffNotices } = fixture;
    const before = now - 3 * HOUR;
    await sight(handle(1), { at: before, token: { beganAt: before, expiresAt: now - 2 * HOUR } });
    await sight(handle(2));
    assert.deepEqual(await revokeAll(), { ended: 1 });
    assert.deepEqual(
      cutoffNotices().flatMap((notice) => notice.ended.map((one) => one.handle)),
      [handle(2)],
    );
    const { at } = lastCutoff();
    const refreshed = { at: at + 2 * SECOND, token: { beganAt: at + 2 * SECOND, expiresAt: at + HOUR } };
    assert.deepEqual((await ended(handle(1), refreshed)).ending, {
      cause: 'revoked',
      reason: 'everywhere',
      by: 'owner',
      at,
      expiresAt: now - 2 * HOUR,
      origin: store.origin,
    });
    assert.equal((await live(handle(3), refreshed)).created, true);
  });

  const messageAt = (now: number): number => Math.floor(now / SECOND) * SECOND - MINUTE;

  test('by a message that came late ends what began by then, and nothing later', async (fixture) => {
    const { store, now, sight, live, ended, listed, revokeAll, cutoffNotices } = fixture;
    const upTo = messageAt(now);
    const began = (after: number, at = now) => ({ at, token: { beganAt: upTo + after } });
    await sight(handle(1), began(-HOUR));
    await sight(handle(2), began(0));
    await sight(handle(3), began(SECOND));
    await sight(handle(4), { at: upTo - 1, token: { beganAt: null } });
    assert.deepEqual(await revokeAll({ upTo, reason: 'told', by: 'issuer' }), { ended: 3 });
    assert.deepEqual(await listed(), [handle(3)]);
    const [notice] = cutoffNotices();
    assert.ok(notice !== undefined);
    const words = { reason: 'told', by: 'issuer', origin: store.origin };
    assert.deepEqual(notice.cutoff, {
      at: upTo,
      except: null,
      ...words,
      isRestored: false,
      isBackdated: true,
      erasedAt: 0,
    });
    assert.deepEqual(notice.ended.map((one) => one.handle).sort(), [1, 2, 4].map(handle));
    for (const number of [1, 2, 4]) {
      const { ending } = await ended(handle(number), began(HOUR));
      assert.deepEqual([ending.at, ending.reason, ending.origin], [upTo, 'told', store.origin]);
    }
    // Never seen before it.
    await ended(handle(5), began(-HOUR));
    await live(handle(6), began(0));
    await live(handle(7), began(SECOND));
  });

  test('by a message ends nothing more if it comes again', async (fixture) => {
    const { now, sight, live, listed, revokeAll, cutoffNotices } = fixture;
    const upTo = messageAt(now);
    await revokeAll({ upTo });
    const began = { token: { beganAt: upTo } };
    await sight(handle(1), began);
    for (const again of [upTo, upTo - MINUTE]) assert.deepEqual(await revokeAll({ upTo: again }), { ended: 0 });
    assert.deepEqual(await listed(), [handle(1)]);
    assert.equal((await live(handle(1), began)).survivedCutoffAt, upTo);
    assert.equal(cutoffNotices().at(-1)?.cutoff.at, upTo);
  });

  test('by a message of later than now is set now', async ({ now, sight, ended, live, revokeAll, lastCutoff }) => {
    await sight(handle(1), { token: { beganAt: now + 2 * SECOND } });
    assert.deepEqual(await revokeAll({ upTo: now + HOUR }), { ended: 1 });
    const { at, isBackdated } = lastCutoff();
    assert.ok(at <= Date.now() && !isBackdated);
    await ended(handle(1));
    await live(handle(2), { token: { beganAt: at + SECOND } });
  });

  test('by a message does not move a later one back, and takes its exception away', async (fixture) => {
    const { store, now, sight, live, ended, listed, revokeAll, notices, cutoffNotices } = fixture;
    const upTo = messageAt(now);
    const old = { token: { beganAt: upTo } };
    await sight(handle(1), old);
    await sight(handle(2), old);
    await revokeAll({ except: handle(1) });
    await live(handle(1), old);
    const [standing] = cutoffNotices();
    // It began after this one.
    assert.deepEqual(await revokeAll({ upTo: upTo - SECOND }), { ended: 0 });
    assert.deepEqual(await listed(), [handle(1)]);

    assert.deepEqual(await revokeAll({ upTo, reason: 'told' }), { ended: 1 });
    assert.deepEqual(await listed(), []);
    const { ending } = await ended(handle(1), { token: { beganAt: now } });
    assert.deepEqual([ending.at, ending.reason, ending.origin], [upTo, 'told', store.origin]);
    assert.ok(notices.some((one) => one.kind === 'ended' && one.tombstone.handle === handle(1)));
    assert.equal((await ended(handle(3), { token: { beganAt: now - HOUR } })).ending.at, standing?.cutoff.at);
    assert.deepEqual(await revokeAll({ upTo }), { ended: 0 });
  });

  test('by a message takes the exception from what was never seen', async ({ now, live, ended, revokeAll }) => {
    const upTo = messageAt(now);
    await revokeAll({ except: handle(1) });
    await revokeAll({ upTo });
    await ended(handle(1), { token: { beganAt: upTo - SECOND } });
    await revokeAll({ except: handle(2) });
    await revokeAll({ upTo });
    await live(handle(2), { token: { beganAt: now } });
  });

  test('by a message ends hundreds, and none of hundreds that began later', async (fixture) => {
    const { now, sight, ended, live, listed, revokeAll, cutoffNotices } = fixture;
    const upTo = messageAt(now);
    const policy = { maxSessions: Infinity };
    const began = (number: number) => ({ policy, token: { beganAt: number % 2 === 0 ? upTo : upTo + SECOND } });
    const many = Array.from({ length: 600 }, (_, number) => number);
    await Promise.all(many.map((number) => sight(handle(number), began(number))));
    assert.deepEqual(await revokeAll({ upTo, policy }), { ended: 300 });
    assert.equal(cutoffNotices().flatMap((notice) => notice.ended).length, 300);
    assert.equal((await listed({ policy })).length, 300);
    for (const number of [0, 298, 598]) await ended(handle(number), began(1));
    for (const number of [1, 299, 599]) await live(handle(number), began(number));
  });

  test('counts each session once if several run at once', async ({ sight, revokeAll, listed }) => {
    await Promise.all(Array.from({ length: 40 }, (_, number) => sight(handle(number))));
    const answers = await Promise.all([revokeAll(), revokeAll(), revokeAll()]);
    assert.equal(
      answers.reduce((sum, answer) => sum + answer.ended, 0),
      40,
    );
    assert.deepEqual(await listed(), []);
  });

  test('is what the tombstones name, of several the earliest that ended the session', async (fixture) => {
    const { sight, revokeAll, ended, cutoffNotices } = fixture;
    const many = Array.from({ length: 600 }, (_, number) => handle(number));
    const unlimited = { policy: { maxSessions: Infinity } };
    await Promise.all(many.map((of) => sight(of, unlimited)));
    const answers = await Promise.all([revokeAll({ reason: 'first' }), revokeAll({ reason: 'second', by: null })]);
    assert.equal(
      answers.reduce((sum, answer) => sum + answer.ended, 0),
      many.length,
    );
    const told = new Map<string, string>();
    for (const notice of cutoffNotices()) {
      for (const one of notice.ended) {
        assert.ok(!told.has(one.handle));
        told.set(one.handle, notice.cutoff.reason);
      }
    }
    const [first] = cutoffNotices();
    for (const of of many) {
      const { ending } = await ended(of);
      assert.deepEqual([ending.reason, told.get(of)], [first?.cutoff.reason, first?.cutoff.reason]);
    }
  });
}
