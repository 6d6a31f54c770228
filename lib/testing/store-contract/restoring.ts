import assert from 'node:assert/strict';

import type { DeclareTest } from './fixture.js';
import { DAY, ELSEWHERE, handle, HOUR, MINUTE, SECOND } from './values.js';

const one = { maxSessions: 1 };

export function restoring(test: DeclareTest): void {
  test('writes back missing tombstones, also over live sessions, and announces them', async (fixture) => {
    const { now, user, sight, listed, restore, tombstone, notices } = fixture;
    await sight(handle(1));
    const known = [tombstone(1, now + 3 * DAY), tombstone(2, now + 3 * DAY)];
    await restore({ tombstones: known });
    assert.deepEqual(await listed(), []);
    for (const { handle: of, ending, until } of known) {
      assert.deepEqual(await sight(of), { state: 'ended', ending, until });
    }
    const told = known.map((each) => ({ kind: 'ended', user, tombstone: each }));
    assert.deepEqual(notices, told);
    await restore({ tombstones: [tombstone(1, now + 4 * DAY)] });
    await restore({ tombstones: [tombstone(3)], isUnseen: true });
    assert.deepEqual(notices, told);
  });

  test('extends a tombstone and never shortens one', async ({ now, ended, restore, tombstone }) => {
    await restore({ tombstones: [tombstone(1, now + 3 * DAY)] });
    await restore({ tombstones: [tombstone(1, now + 2 * DAY)] });
    assert.equal((await ended(handle(1))).until, now + 3 * DAY);
    await restore({ tombstones: [tombstone(1, now + 4 * DAY)] });
    assert.equal((await ended(handle(1))).until, now + 4 * DAY);
  });

  test('over a live session never shortens what its record asks for', async (fixture) => {
    const { now, sight, ended, restore, tombstone } = fixture;
    await sight(handle(1), { token: { expiresAt: now + 9 * DAY } });
    await restore({ tombstones: [tombstone(1, now + 3 * DAY)] });
    assert.equal((await ended(handle(1))).until, now + 10 * DAY);
  });

  test('does not change what a tombstone says', async ({ sight, revoke, ended, restore, tombstone }) => {
    await sight(handle(1));
    await revoke(handle(1));
    const before = await ended(handle(1));
    await restore({ tombstones: [tombstone(1)] });
    assert.deepEqual((await ended(handle(1))).ending, before.ending);
  });

  test('resolves to how many tombstones were missing', async ({ now, sight, restore, tombstone }) => {
    assert.deepEqual(await restore({}), { missing: 0 });
    assert.deepEqual(await restore({ tombstones: [tombstone(1)] }), { missing: 1 });
    assert.deepEqual(await restore({ tombstones: [tombstone(1)] }), { missing: 0 });
    await sight(handle(2));
    const known = [1, 2, 3].map((number) => tombstone(number, now + 4 * DAY));
    assert.deepEqual(await restore({ tombstones: known }), { missing: 2 });
  });

  test('does not write what need not be remembered any longer', async ({ now, live, restore, tombstone }) => {
    assert.deepEqual(await restore({ tombstones: [tombstone(1, now - HOUR)] }), { missing: 0 });
    assert.equal((await live(handle(1))).created, true);
  });

  test('takes hundreds of tombstones', async ({ ended, live, restore, tombstone }) => {
    const tombstones = Array.from({ length: 450 }, (_, number) => tombstone(number));
    assert.deepEqual(await restore({ tombstones }), { missing: 450 });
    for (const number of [0, 99, 100, 199, 449]) await ended(handle(number));
    assert.equal((await live(handle(450))).created, true);
  });

  for (const [what, atSessionLimit] of [
    ['ends the oldest', 'end-oldest'],
    ['refuses', 'refuse'],
  ] as const) {
    const policy = { ...one, atSessionLimit };

    test(`only extends a tombstone if the cap ${what}`, async (fixture) => {
      const { now, sight, live, ended, get, listed, revoke, restore, tombstone, notices } = fixture;
      await sight(handle(1), { policy });
      await revoke(handle(1), { policy });
      await sight(handle(2), { policy });
      const before = [...notices];
      assert.deepEqual(await restore({ policy, tombstones: [tombstone(1, now + 5 * DAY)] }), { missing: 0 });
      assert.deepEqual([await get(handle(1)), await listed(), notices], [null, [handle(2)], before]);
      assert.equal((await ended(handle(1), { policy })).until, now + 5 * DAY);
      assert.equal((await live(handle(2), { policy })).created, false);
    });

    test(`only writes the tombstone if the store lost its data and the cap ${what}`, async (fixture) => {
      const { now, live, ended, get, listed, restore, tombstone, notices } = fixture;
      await live(handle(2), { policy });
      const lost = [1, 3].map((number) => tombstone(number, now + 5 * DAY));
      assert.deepEqual(await restore({ policy, tombstones: lost }), { missing: 2 });
      assert.deepEqual([await get(handle(1)), await listed()], [null, [handle(2)]]);
      assert.deepEqual(
        notices.map((notice) => notice.kind === 'ended' && notice.tombstone),
        lost,
      );
      assert.equal((await ended(handle(1), { policy })).until, now + 5 * DAY);
      assert.equal((await live(handle(2), { policy })).created, false);
    });
  }

  test('puts a cutoff back, which ends only what began before it, and announces it', async (fixture) => {
    const { now, user, sight, live, ended, listed, restore, revokeAll, notices } = fixture;
    const cutoff = {
      at: now - MINUTE,
      except: handle(4),
      reason: 'everywhere',
      by: null,
      origin: ELSEWHERE,
      erasedAt: 0,
    };
    const began = (beganAt: number | null) => ({ token: { beganAt } });
    await sight(handle(1), began(cutoff.at + 2 * SECOND));
    await sight(handle(2), began(cutoff.at - 2 * SECOND));
    await sight(handle(3), { at: cutoff.at - 2 * SECOND, ...began(null) });
    await sight(handle(6), began(null));
    await sight(handle(4), began(cutoff.at - HOUR));
    await sight(handle(5), began(cutoff.at - SECOND));
    // In the cutoff's own second a tombstone would tell, and is written back first.
    await sight(handle(7), { at: now - 1, ...began(cutoff.at) });
    assert.deepEqual(await restore({ cutoff }), { missing: 0 });
    assert.deepEqual(await listed(), [handle(1), handle(4), handle(6), handle(7)]);
    assert.equal((await live(handle(1), began(cutoff.at + 2 * SECOND))).survivedCutoffAt, cutoff.at);
    for (const number of [2, 3, 5]) assert.equal((await ended(handle(number), began(now))).ending.reason, 'everywhere');
    const [told, ...others] = notices;
    assert.ok(told?.kind === 'cutoff');
    assert.deepEqual(
      { ...told, ended: told.ended.map((each) => each.handle).sort() },
      {
        kind: 'cutoff',
        user,
        cutoff: { ...cutoff, isRestored: true, isBackdated: false },
        ended: [2, 3, 5].map(handle),
      },
    );
    assert.deepEqual(others, []);
    assert.deepEqual(await revokeAll(), { ended: 4 });
  });

  test('leaves a session that began after a cutoff to the exceptions of later ones', async (fixture) => {
    const { now, sight, live, listed, restore, revokeAll } = fixture;
    await sight(handle(1), { token: { beganAt: now - SECOND } });
    await restore({
      cutoff: { at: now - MINUTE, except: null, reason: 'lost', by: null, origin: ELSEWHERE, erasedAt: 0 },
    });
    for (let time = 0; time < 2; time += 1) {
      assert.deepEqual(await revokeAll({ except: handle(1) }), { ended: 0 });
      assert.deepEqual(await listed(), [handle(1)]);
    }
    assert.equal((await live(handle(1))).created, false);
  });

  test('puts a cutoff back over an earlier one', async ({ now, live, ended, restore }) => {
    const cutoff = { at: now - HOUR, except: null, reason: 'first', by: null, origin: ELSEWHERE, erasedAt: 0 };
    await restore({ cutoff });
    await live(handle(1), { token: { beganAt: now - MINUTE } });
    await restore({ cutoff: { ...cutoff, at: now - SECOND, reason: 'second' } });
    assert.equal((await ended(handle(1), { token: { beganAt: now } })).ending.reason, 'second');
  });

  test('never moves a cutoff back', async ({ ended, revokeAll, restore, lastCutoff }) => {
    await revokeAll();
    const { at } = lastCutoff();
    const older = { at: at - HOUR, except: handle(1), reason: 'older', by: null, origin: ELSEWHERE, erasedAt: 0 };
    await restore({ cutoff: older });
    const { ending } = await ended(handle(1), { token: { beganAt: at - MINUTE } });
    assert.deepEqual([ending.at, ending.reason], [at, 'everywhere']);
  });

  test('of the standing cutoff changes nothing', async (fixture) => {
    const { sight, live, ended, listed, revokeAll, restore, lastCutoff } = fixture;
    await revokeAll();
    const standing = lastCutoff();
    // In the cutoff's own second, first seen after it.
    const began = { at: standing.at, token: { beganAt: standing.at } };
    await sight(handle(1), began);
    await restore({ cutoff: { ...standing, except: handle(2), reason: 'other' } });
    assert.deepEqual(await listed(), [handle(1)]);
    assert.equal((await live(handle(1), began)).survivedCutoffAt, standing.at);
    const old = { token: { beganAt: standing.at - MINUTE } };
    assert.equal((await ended(handle(2), old)).ending.reason, 'everywhere');
  });
}
