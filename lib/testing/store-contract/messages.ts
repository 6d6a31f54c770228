import assert from 'node:assert/strict';

import type { DeclareTest } from './fixture.js';
import { HOUR, MINUTE } from './values.js';

export function messages(test: DeclareTest): void {
  test('is used once it is noted, until its time is over', async ({ store, now, messageId }) => {
    const [id, other] = [messageId(), messageId()];
    assert.equal(await store.isMessageUsed(id, now), false);
    await store.useMessage(id, now + HOUR, now);
    assert.equal(await store.isMessageUsed(id, now), true);
    assert.equal(await store.isMessageUsed(other, now), false);
    // A clock that jumped ahead forgets nothing.
    assert.equal(await store.isMessageUsed(id, now + 2 * HOUR), true);
  });

  test('may be noted again, and the later time counts', async ({ store, now, messageId }) => {
    const id = messageId();
    await store.useMessage(id, now + HOUR, now);
    await store.useMessage(id, now + MINUTE, now);
    assert.equal(await store.isMessageUsed(id, now + 2 * MINUTE), true);
  });

  test('is noted once by many at the same time', async ({ store, now, messageId }) => {
    const id = messageId();
    await Promise.all(Array.from({ length: 5 }, () => store.useMessage(id, now + HOUR, now)));
    assert.equal(await store.isMessageUsed(id, now), true);
  });

  test('is not used any more when its time is over', async ({ store, now, messageId }) => {
    const id = messageId();
    await store.useMessage(id, now - HOUR, now);
    for (let tries = 0; await store.isMessageUsed(id, now); tries += 1) assert.ok(tries < 1000, 'it is forgotten');
  });
}
