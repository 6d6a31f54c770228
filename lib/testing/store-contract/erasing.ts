import assert from 'node:assert/strict';

import type { DeclareTest, Fixture } from './fixture.js';
import { handle, MINUTE, SECOND } from './values.js';

const ASSISTANT = { app: 'Acme CLI', actor: 'assistant' } as const;

/** Reason and `by` of an ending, as the store keeps it. */
async function wordsOf({ ended }: Fixture, number: number): Promise<(string | null)[]> {
  const { ending } = await ended(handle(number));
  return [ending.reason, ending.by];
}

export function erasing(test: DeclareTest): void {
  test('ends every session, on record or not, and counts those that were live', async (fixture) => {
    const { now, sight, ended, erase, listed, get } = fixture;
    await sight(handle(1), ASSISTANT);
    await sight(handle(2));
    assert.deepEqual(await erase(), { ended: 2 });
    assert.deepEqual(await listed(), []);
    assert.equal(await get(handle(1)), null);
    const { ending } = await ended(handle(1));
    assert.deepEqual([ending.cause, ending.reason, ending.by], ['revoked', 'erased', null]);
    assert.equal((await ended(handle(3), { token: { beganAt: now - MINUTE } })).ending.reason, 'erased');
  });

  test('leaves earlier endings without their words', async (fixture) => {
    const { now, sight, revoke, revokeAll, restore, ended, tombstone, erase } = fixture;
    for (const number of [1, 2, 5]) await sight(handle(number));
    await revoke(handle(1), { reason: 'She asked for it', by: 'ann' });
    await revokeAll({ except: handle(5), reason: 'everywhere', by: 'owner' });
    await restore({ tombstones: [tombstone(3)] });
    const policy = { idleTimeout: MINUTE };
    await sight(handle(4), { at: now - 2 * MINUTE, policy });
    await ended(handle(4), { policy });
    const before = await ended(handle(1));
    await erase();
    for (const number of [1, 2, 3, 5]) assert.deepEqual(await wordsOf(fixture, number), ['erased', null]);
    assert.deepEqual(await wordsOf(fixture, 4), ['idle', null]);
    const { ending, until } = await ended(handle(1));
    const { cause, at, expiresAt, origin } = before.ending;
    assert.deepEqual([ending, until], [{ cause, reason: 'erased', by: null, at, expiresAt, origin }, before.until]);
  });

  test('is announced as a cutoff that tells when it was', async (fixture) => {
    const { now, sight, erase, cutoffNotices, lastCutoff } = fixture;
    await sight(handle(1));
    await erase();
    const { at, erasedAt, except, reason, by } = lastCutoff();
    assert.deepEqual([except, reason, by], [null, 'erased', null]);
    assert.ok(erasedAt >= now && erasedAt >= at);
    assert.deepEqual(
      cutoffNotices().flatMap(({ ended }) => ended.map((each) => each.handle)),
      [handle(1)],
    );
  });

  test('a sign-in after it starts from nothing', async (fixture) => {
    const { now, live, label, erase, get } = fixture;
    await live(handle(1), { ...ASSISTANT, clientKey: 'a' });
    await label(handle(1), 'laptop');
    await erase();
    const later = { at: now + 2 * SECOND, token: { beganAt: now + 2 * SECOND } };
    const answer = await live(handle(2), { ...later, clientKey: 'a' });
    assert.deepEqual([answer.created, answer.knownClient, answer.moved], [true, false, null]);
    const record = await get(handle(2), { at: now + 2 * SECOND });
    assert.deepEqual([record?.label, record?.app, record?.actor], [null, null, null]);
    assert.equal((await live(handle(3), { ...later, clientKey: 'a' })).knownClient, true);
  });

  test('nothing of a session is recorded by a sighting that comes late', async (fixture) => {
    const { now, sight, ended, erase, label, listed } = fixture;
    await sight(handle(1));
    await erase();
    const known = { startedAt: now, tokensEndAt: now + MINUTE, endsAt: null, survivedCutoffAt: 0 };
    await ended(handle(1), { at: now - SECOND, ...ASSISTANT, clientKey: 'a', knownUse: { inUseSince: 0, known } });
    assert.equal(await label(handle(1), 'laptop'), null);
    assert.deepEqual(await listed(), []);
  });

  test('what a process writes back afterwards has no words either', async (fixture) => {
    const { sight, revoke, revokeAll, restore, tombstone, erase, notices, lastCutoff } = fixture;
    await sight(handle(1));
    await revoke(handle(1), { by: 'ann' });
    await erase();
    const { erasedAt } = lastCutoff();
    assert.deepEqual(await restore({ tombstones: [tombstone(1), tombstone(3)] }), { missing: 1 });
    assert.deepEqual(await wordsOf(fixture, 3), ['erased', null]);
    const told = notices.flatMap((notice) => (notice.kind === 'ended' ? [notice.tombstone] : []));
    assert.deepEqual([told.at(-1)?.handle, told.at(-1)?.ending.by], [handle(3), null]);
    // Also after a later cutoff.
    await revokeAll();
    assert.equal(lastCutoff().erasedAt, erasedAt);
    await restore({ tombstones: [tombstone(4)] });
    assert.deepEqual(await wordsOf(fixture, 4), ['erased', null]);
  });

  test('that is written back erases again what the store had lost', async (fixture) => {
    const { now, live, restore, tombstone, listed } = fixture;
    await live(handle(1), { token: { beganAt: now - 2 * MINUTE }, clientKey: 'a' });
    await restore({ tombstones: [tombstone(3)] });
    assert.deepEqual(await wordsOf(fixture, 3), ['stolen', 'admin']);
    const words = { except: null, reason: 'erased', by: null, origin: 'elsewhere-Aa0_' };
    await restore({ cutoff: { ...words, at: now - SECOND, erasedAt: now - SECOND } });
    assert.deepEqual(await wordsOf(fixture, 3), ['erased', null]);
    assert.deepEqual(await listed(), []);
    const later = { at: now + SECOND, token: { beganAt: now + SECOND } };
    assert.equal((await live(handle(5), { ...later, clientKey: 'a' })).knownClient, false);
  });

  test('tokens that were stale stay so, without its words', async (fixture) => {
    const { now, live, expireTokens, erase, restore } = fixture;
    const later = { at: now + 2 * SECOND, token: { beganAt: now + 2 * SECOND } };
    await expireTokens();
    const { staleTokens } = await live(handle(1));
    await erase();
    for (let time = 0; time < 2; time += 1) {
      const erased = (await live(handle(2), later)).staleTokens;
      assert.deepEqual(erased, { ...staleTokens, reason: 'erased', by: null });
      await restore({ staleTokens });
    }
  });

  test('leaves the words of what is ended later', async (fixture) => {
    const { now, live, revoke, erase, ended } = fixture;
    await erase();
    const later = { at: now + 2 * SECOND, token: { beganAt: now + 2 * SECOND } };
    await live(handle(2), later);
    await revoke(handle(2), { at: now + 3 * SECOND, reason: 'signed_out', by: 'ann' });
    const { ending } = await ended(handle(2), later);
    assert.deepEqual([ending.reason, ending.by], ['signed_out', 'ann']);
  });

  test('can be repeated, and for a user of whom nothing is known', async ({ erase, listed }) => {
    assert.deepEqual(await erase(), { ended: 0 });
    assert.deepEqual(await erase(), { ended: 0 });
    assert.deepEqual(await listed(), []);
  });

  test('takes many sessions and endings in batches', async (fixture) => {
    const { now, sight, restore, tombstone, ended, erase, cutoffNotices } = fixture;
    const policy = { maxSessions: Infinity };
    const [live, over] = [600, 600].map((count, at) => Array.from({ length: count }, (_, i) => at * 1000 + i));
    await Promise.all(
      (live ?? []).map((number) => sight(handle(number), { policy, token: { beganAt: now - SECOND } })),
    );
    await restore({ tombstones: (over ?? []).map((number) => tombstone(number)) });
    assert.deepEqual(await erase(), { ended: 600 });
    const told = cutoffNotices().flatMap((notice) => notice.ended.map((each) => each.handle));
    assert.equal(new Set(told).size, 600);
    const answers = await Promise.all([...(live ?? []), ...(over ?? [])].map((number) => ended(handle(number))));
    assert.deepEqual(
      new Set(answers.map(({ ending }) => `${ending.reason} ${String(ending.by)}`)),
      new Set(['erased null']),
    );
  });
}
