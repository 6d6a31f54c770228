import assert from 'node:assert/strict';

import type { DeclareTest } from './fixture.js';
import { DAY, handle, HOSTILE_STRINGS, HOUR, POLICY, SECOND } from './values.js';

/** One line, well-formed and short. */
function assertKept(kept: string, limit: number): void {
  assert.ok(kept.isWellFormed());
  assert.match(kept, /^[^\p{Cc}]+$/u);
  assert.ok(kept.length <= limit);
}

export function input(test: DeclareTest): void {
  for (const [what, value] of HOSTILE_STRINGS) {
    test(`is kept as one line, well-formed and short: ${what}`, async ({ sight, live, label, get, revoke, ended }) => {
      await sight(handle(1), { userAgent: value, ip: value });
      const record = await label(handle(1), value);
      const { userAgent, ip, label: name } = record ?? {};
      assertKept(userAgent ?? '', 512);
      assertKept(ip ?? '', 64);
      assertKept(name ?? '', 128);
      assert.ok([...(name ?? '')].length <= 64);
      assert.deepEqual(await get(handle(1)), record);

      // The same address and user agent are not a move.
      assert.equal((await live(handle(1), { userAgent: value, ip: value })).moved, null);
      await revoke(handle(1), { reason: value, by: value });
      const { ending } = await ended(handle(1));
      assertKept(ending.reason, 200);
      assertKept(ending.by ?? '', 200);
    });

    test(`is kept the same in a cutoff: ${what}`, async ({ sight, revokeAll, ended, lastCutoff }) => {
      await sight(handle(1));
      await revokeAll({ reason: value, by: value });
      const { ending } = await ended(handle(1));
      assertKept(ending.reason, 200);
      assertKept(ending.by ?? '', 200);
      const { reason, by } = lastCutoff();
      assert.deepEqual([reason, by], [ending.reason, ending.by]);
    });
  }

  test('is kept as null if it is an empty string', async ({ sight, label, revoke, ended }) => {
    await sight(handle(1), { ip: '', userAgent: '' });
    const record = await label(handle(1), '');
    assert.deepEqual([record?.ip, record?.userAgent, record?.label], [null, null, null]);
    await revoke(handle(1), { by: '' });
    assert.equal((await ended(handle(1))).ending.by, null);
  });

  for (const [what, times] of [
    ['without exp and lifetime', { expiresAt: null }],
    ['with the last exp there is', { expiresAt: 8.64e15 }],
    ['with an iat before 1970', { beganAt: -5 * SECOND }],
    ['with an iat of zero', { beganAt: 0 }],
    ['with an iat in the far future', { beganAt: 8.64e15 }],
    ['with a year of lifetime', { lifetime: 365 * DAY, expiresAt: null }],
  ] as const) {
    test(`may be a token ${what}`, async ({ live, page, revoke, ended }) => {
      const answer = await live(handle(1), { token: times });
      assert.ok(!Number.isNaN(new Date(answer.expiresAt).getTime()));
      const [session] = (await page({ limit: 1 })).sessions;
      assert.deepEqual([session?.startedAt, session?.expiresAt], [answer.startedAt, answer.expiresAt]);
      await revoke(handle(1));
      assert.ok(!Number.isNaN(new Date((await ended(handle(1), { token: times })).until).getTime()));
    });
  }

  test('may be a token that ended in 1970', async ({ now, ended, live }) => {
    const { ending, until } = await ended(handle(1), { token: { beganAt: 0, expiresAt: 0 } });
    assert.deepEqual([ending.cause, ending.at, ending.expiresAt, until], ['expired', POLICY.clockTolerance, 0, DAY]);
    assert.equal((await live(handle(1), { token: { expiresAt: now + HOUR } })).created, true);
  });
}
