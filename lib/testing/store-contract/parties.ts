import assert from 'node:assert/strict';

import type { DeclareTest, Fixture } from './fixture.js';
import { handle, MINUTE } from './values.js';

const ASSISTANT = { app: 'Acme CLI', actor: 'assistant' } as const;

async function recorded({ get, page }: Fixture): Promise<(string | null | undefined)[]> {
  const record = await get(handle(1));
  const [listed] = (await page()).sessions;
  assert.deepEqual([listed?.app, listed?.actor], [record?.app, record?.actor]);
  return [record?.app, record?.actor];
}

export function parties(test: DeclareTest): void {
  test('are on record, and are null if the token names none', async (fixture) => {
    await fixture.sight(handle(1), ASSISTANT);
    assert.deepEqual(await recorded(fixture), ['Acme CLI', 'assistant']);
    const other = await fixture.live(handle(2));
    assert.equal(other.created, true);
    const { app, actor } = (await fixture.get(handle(2))) ?? {};
    assert.deepEqual([app, actor], [null, null]);
  });

  test('are those of the token that was seen last, and their change is not a move', async (fixture) => {
    const { now, live } = fixture;
    await live(handle(1));
    for (const [app, actor] of [
      ['web', null],
      ['web', 'assistant'],
      ['cli', 'assistant'],
      [null, null],
    ] as const) {
      const answer = await live(handle(1), { app, actor, at: now + MINUTE });
      assert.deepEqual([answer.created, answer.moved], [false, null]);
      assert.deepEqual(await recorded(fixture), [app, actor]);
    }
  });

  test('leave the name of the session', async (fixture) => {
    await fixture.live(handle(1));
    await fixture.label(handle(1), 'laptop');
    await fixture.live(handle(1), ASSISTANT);
    assert.equal((await fixture.get(handle(1)))?.label, 'laptop');
    const renamed = await fixture.label(handle(1), 'desk');
    assert.deepEqual([renamed?.app, renamed?.actor], ['Acme CLI', 'assistant']);
  });

  test('of a program take no place of those of a person, and of another program they do', async (fixture) => {
    const program = { ...ASSISTANT, userAgent: 'node', byProgram: true } as const;
    await fixture.live(handle(1), { app: 'web' });
    await fixture.live(handle(1), program);
    assert.deepEqual(await recorded(fixture), ['web', null]);
    await fixture.live(handle(2), { ...program, actor: 'another' });
    await fixture.live(handle(2), program);
    assert.equal((await fixture.get(handle(2)))?.actor, 'assistant');
  });

  test('are one line, well-formed, and at most 255 characters', async (fixture) => {
    await fixture.live(handle(1), { app: 'a\nb\u0000\ud800', actor: 'x'.repeat(300) });
    assert.deepEqual(await recorded(fixture), ['a b \ufffd', 'x'.repeat(255)]);
    await fixture.live(handle(1), { app: '', actor: '' });
    assert.deepEqual(await recorded(fixture), [null, null]);
  });

  test('of an untracked sighting are not recorded', async (fixture) => {
    await fixture.live(handle(1));
    await fixture.live(handle(1), { ...ASSISTANT, track: false });
    assert.deepEqual(await recorded(fixture), [null, null]);
  });
}
