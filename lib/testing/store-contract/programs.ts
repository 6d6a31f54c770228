import assert from 'node:assert/strict';

import type { DeclareTest, Fixture } from './fixture.js';
import { DAY, handle, HOUR, MINUTE } from './values.js';

const PROGRAM = { ip: '198.51.100.9', userAgent: 'node', byProgram: true } as const;
const OTHER_PROGRAM = { ip: '198.51.100.10', userAgent: 'curl/8', byProgram: true } as const;

async function recorded({ get }: Fixture, at?: number): Promise<(string | null | undefined)[]> {
  const record = await get(handle(1), at === undefined ? {} : { at });
  return [record?.ip, record?.userAgent];
}

const PERSON = ['203.0.113.7', 'Mozilla/5.0'];

export function programs(test: DeclareTest): void {
  test('changes nothing but the time if a person is on record, and does not count as a move', async (fixture) => {
    const { now, sight, live, get } = fixture;
    await sight(handle(1));
    for (const seen of [PROGRAM, OTHER_PROGRAM, { ...PROGRAM, userAgent: null }, { ...PROGRAM, ip: null }]) {
      const answer = await live(handle(1), { ...seen, at: now + MINUTE });
      assert.deepEqual([answer.created, answer.moved], [false, null]);
    }
    assert.deepEqual(await recorded(fixture), PERSON);
    assert.equal((await get(handle(1)))?.lastSeenAt, now + MINUTE);
  });

  test('with a token that ends later changes nothing but the times', async (fixture) => {
    const { now, sight, live, get } = fixture;
    await sight(handle(1));
    const answer = await live(handle(1), { ...PROGRAM, token: { expiresAt: now + 2 * HOUR } });
    assert.equal(answer.moved, null);
    assert.deepEqual(await recorded(fixture), PERSON);
    assert.equal((await get(handle(1)))?.expiresAt, now + 2 * HOUR);
  });

  test('leaves the name of the session', async (fixture) => {
    const { sight, label, get } = fixture;
    await sight(handle(1));
    await label(handle(1), 'laptop');
    await sight(handle(1), PROGRAM);
    assert.equal((await get(handle(1)))?.label, 'laptop');
    assert.deepEqual(await recorded(fixture), PERSON);
  });

  test('is on record until a person is seen, then the person is', async (fixture) => {
    const { live } = fixture;
    assert.equal((await live(handle(1), PROGRAM)).created, true);
    assert.deepEqual(await recorded(fixture), [PROGRAM.ip, PROGRAM.userAgent]);
    assert.equal((await live(handle(1), PROGRAM)).moved, null);
    const { ip, userAgent } = PROGRAM;
    assert.deepEqual((await live(handle(1), OTHER_PROGRAM)).moved, { ip, userAgent });
    const before = { ip: OTHER_PROGRAM.ip, userAgent: OTHER_PROGRAM.userAgent };
    assert.deepEqual((await live(handle(1))).moved, before);
    assert.deepEqual(await recorded(fixture), PERSON);
    assert.equal((await live(handle(1), PROGRAM)).moved, null);
    assert.deepEqual(await recorded(fixture), PERSON);
  });

  test('stays a program if a later sighting names no user agent', async (fixture) => {
    const { sight } = fixture;
    await sight(handle(1), PROGRAM);
    await sight(handle(1), { userAgent: null });
    await sight(handle(1), OTHER_PROGRAM);
    assert.deepEqual(await recorded(fixture), [OTHER_PROGRAM.ip, OTHER_PROGRAM.userAgent]);
  });

  test('takes the place of an address without a user agent', async (fixture) => {
    const { sight } = fixture;
    await sight(handle(1), { userAgent: null });
    await sight(handle(1), PROGRAM);
    assert.deepEqual(await recorded(fixture), [PROGRAM.ip, PROGRAM.userAgent]);
  });

  test('takes the place of a person whose row is over', async (fixture) => {
    const { now, sight, live } = fixture;
    const long = now - 3 * DAY;
    await sight(handle(1), { at: long, token: { beganAt: long, expiresAt: long + HOUR } });
    const answer = await live(handle(1), PROGRAM);
    assert.deepEqual([answer.created, answer.moved], [true, null]);
    assert.deepEqual(await recorded(fixture), [PROGRAM.ip, PROGRAM.userAgent]);
  });
}
