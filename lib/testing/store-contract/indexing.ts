import assert from 'node:assert/strict';

import { sessionUser, type SessionUser } from '../../core/session.js';
import type { DeclareTest } from './fixture.js';
import { DAY, handle, HOUR, MINUTE } from './values.js';

/** Another user, whom no other test has: named after the test's own. */
function other({ issuer, subject }: SessionUser, name: string): SessionUser {
  return sessionUser(issuer, `${subject} ${name}`);
}

export function indexing(test: DeclareTest): void {
  test('finds the users of an id, each once', async ({ user, now, live, indexId, endIndexed }) => {
    const [id, another] = [indexId(), indexId()];
    const users = [user, other(user, '"quoted\n\ud800'), other(user, 'ended')];
    for (const one of [...users, user]) {
      await live(handle(1), { user: one, index: { id, until: now + DAY } });
    }
    await live(handle(2), { index: { id: another, until: now + DAY } });
    const found = await endIndexed(id);
    assert.deepEqual([...found].sort(), users.map(({ subject }) => subject).sort());
    assert.deepEqual(await endIndexed(another), [user.subject]);
    assert.deepEqual(await endIndexed(indexId()), []);
  });

  test('ends what is sighted after its id was ended, and announces it', async (fixture) => {
    const { store, user, now, ended, live, listed, indexId, endIndexed, notices } = fixture;
    const id = indexId();
    await endIndexed(id);
    const index = { id, until: now + DAY };
    const at = now + MINUTE;
    const { ending, until } = await ended(handle(1), { at, index });
    assert.deepEqual(ending, {
      cause: 'revoked',
      reason: 'told',
      by: 'issuer',
      at: now,
      expiresAt: null,
      origin: store.origin,
    });
    assert.ok(until >= now + HOUR + DAY);
    const [told, ...others] = notices;
    assert.ok(told?.kind === 'ended' && others.length === 0);
    assert.deepEqual([told.tombstone.handle, told.tombstone.ending], [handle(1), ending]);
    assert.deepEqual(await listed(), []);
    // The tombstone alone ends it from now on, and the id ends it for another user too.
    assert.deepEqual((await ended(handle(1))).ending, ending);
    assert.deepEqual((await ended(handle(2), { user: other(user, 'other'), index })).ending, ending);
    await live(handle(3), { index: { ...index, id: indexId() } });
    assert.deepEqual(await endIndexed(id), []);
  });

  test('ends what was on record before, if its user was not entered', async (fixture) => {
    const { now, live, ended, listed, indexId, endIndexed } = fixture;
    const id = indexId();
    await live(handle(1), { token: { expiresAt: now + 5 * HOUR } });
    await endIndexed(id);
    assert.deepEqual(await listed(), [handle(1)]);
    const { until } = await ended(handle(1), { index: { id, until: now + DAY } });
    assert.ok(until >= now + 5 * HOUR + DAY);
    assert.deepEqual(await listed(), []);
  });

  test('ends what is not tracked, or only looked at', async ({ now, live, ended, indexId, endIndexed }) => {
    const id = indexId();
    await live(handle(1), { track: false, index: { id, until: now + DAY } });
    await live(handle(2), { track: false, index: { id, until: null } });
    assert.equal((await endIndexed(id)).length, 1);
    await ended(handle(3), { track: false, index: { id, until: null } });
    await ended(handle(4), { track: false, index: { id, until: now + DAY } });
  });

  test('enters nobody whose sighting only looks', async ({ live, indexId, endIndexed }) => {
    const id = indexId();
    await live(handle(1), { index: { id, until: null } });
    assert.deepEqual(await endIndexed(id), []);
  });

  test('keeps the words of the first ending, and what a tombstone says', async (fixture) => {
    const { now, live, revoke, ended, indexId, endIndexed } = fixture;
    const id = indexId();
    const index = { id, until: now + DAY };
    await live(handle(1));
    await revoke(handle(1), { reason: 'before' });
    await endIndexed(id, { reason: 'first', by: null });
    await endIndexed(id, { reason: 'second' });
    const { ending } = await ended(handle(2), { index });
    assert.deepEqual([ending.reason, ending.by], ['first', null]);
    assert.equal((await ended(handle(1), { index })).ending.reason, 'before');
  });

  test('either finds the user, or the user finds the ending', async ({ user, now, sight, indexId, endIndexed }) => {
    const ids = Array.from({ length: 20 }, indexId);
    await Promise.all(
      ids.map(async (id, number) => {
        const index = { id, until: now + DAY };
        const [answer, found] = await Promise.all([sight(handle(number), { index }), endIndexed(id)]);
        assert.ok(answer.state === 'ended' || found.includes(user.subject));
      }),
    );
  });

  test('forgets a user when the time is over', async ({ now, live, listed, indexId, endIndexed }) => {
    for (let tries = 0; ; tries += 1) {
      const id = indexId();
      await live(handle(1), { index: { id, until: now - MINUTE } });
      // Its key lives for a millisecond.
      for (let count = 0; count < 10; count += 1) await listed();
      if ((await endIndexed(id)).length === 0) return;
      assert.ok(tries < 200, 'the user is forgotten');
    }
  });

  test('has at most a hundred users of an id', async ({ user, now, sight, indexId, endIndexed }) => {
    const id = indexId();
    const index = { id, until: now + DAY };
    const users = Array.from({ length: 103 }, (_, number) => other(user, String(number)));
    await Promise.all(users.map((one) => sight(handle(1), { user: one, track: false, index })));
    assert.equal((await endIndexed(id)).length, 100);
  });
}
