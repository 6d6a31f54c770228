/** Ending in bulk: words of all kinds, two processes at it at once, and an outage before, during and between. */

import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { comeBack, keptOf, startLastingRedis, told } from './kept.js';
import { ask, Processes, tokenOf } from './logins.js';

let redis: TestRedis;
let at: Processes;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.cli('flushall');
});
afterEach(async () => {
  await at.close();
});

function start(on = redis): Processes {
  at = new Processes(on.url, { storeTimeout: '2s', revocationBound: '3s' });
  return at;
}

const answers = (token: string): Promise<string[]> => Promise.all(at.each.map((sessions) => ask(sessions, token)));

/** A token of before, and of a session of its own. */
const earlier = (sid: string): string => tokenOf(at.clock, { sid, iat: at.clock.now() / 1000 - 60 });

const sids = (count: number): string[] => Array.from({ length: count }, (_, index) => `s${String(index)}`);

async function bothTold(count: number): Promise<void> {
  const { endedHere, endedThere } = at;
  await eventually(`both were told of ${String(count)}`, () =>
    Promise.resolve(endedHere.length >= count && endedThere.length >= count),
  );
  for (const ended of [endedHere, endedThere]) {
    expect(ended).toHaveLength(count);
    expect(new Set(ended.map(({ handle }) => handle)).size).toBe(count);
  }
}

describe('free text', () => {
  it.each<[string, string, string]>([
    ['line feeds, by which what is kept is divided', 'a\nb\r\nt1\n2', 'a b  t1 2'],
    ['NUL and escapes', '\u0000\u001b[31mred', '  [31mred'],
    ['a lone surrogate', 'a\ud800b', 'a\ufffdb'],
    ['a megabyte', 'é'.repeat(1 << 20), 'é'.repeat(200)],
    ['the name of a member', '__proto__', '__proto__'],
    ['what JSON and Lua would take for theirs', `"}]]--%s`, `"}]]--%s`],
    ['right-to-left', '\u202eabc', '\u202eabc'],
  ])('of %s is told alike in every process, and is never told to the client', async (_name, given, kept) => {
    const { here, there, endedHere, endedThere } = start();
    expect(await answers(earlier('s1'))).toEqual(['live', 'live']);
    expect(await here.revokeAll('ann', { reason: given, by: given })).toEqual({ ended: 1 });
    await bothTold(1);
    expect([endedHere[0], endedThere[0]].map((event) => [event?.reason, event?.by])).toEqual(
      Array(2).fill([kept, kept]),
    );
    expect(Object.values((await keptOf(redis)).tombstones)).toEqual([kept]);
    await expect(there.verify(earlier('s1'))).rejects.toMatchObject({ code: 'session_revoked', status: 401 });
  });
});

describe('two processes', () => {
  it('that each end all but one at the same moment count each session once, and agree', async () => {
    const { here, there } = start();
    const tokens = sids(20).map(earlier);
    for (const token of tokens) expect(await answers(token)).toEqual(['live', 'live']);
    const [mine, yours] = await Promise.all(tokens.map(async (token) => (await here.verify(token)).session.handle));

    const counts = await Promise.all([
      here.revokeAll('ann', { except: mine! }),
      there.revokeAll('ann', { except: yours! }),
    ]);
    // The first spares its own, which the second then ends; the second's own was ended by the first.
    expect(counts[0].ended + counts[1].ended).toBe(20);
    await bothTold(20);
    for (const token of tokens) expect(await answers(token)).toEqual(['session_revoked', 'session_revoked']);
    expect((await keptOf(redis)).records).toEqual([]);
  });

  it('of which one ends while the other sees sessions for the first time: none gets past', async () => {
    const { here, there } = start();
    await there.list('ann');
    const tokens = sids(100).map(earlier);
    const first = tokens.slice(0, 50).map((token) => ask(there, token));
    const ending = here.revokeAll('ann', { reason: 'account_disabled' });
    const second = tokens.slice(50).map((token) => ask(there, token));
    const outcomes = await Promise.all([...first, ...second]);
    await ending;
    for (const outcome of outcomes) expect(['live', 'session_revoked']).toContain(outcome);

    for (const sessions of at.each) {
      await eventually('all are refused', async () => {
        const answered = await Promise.all(tokens.map((token) => ask(sessions, token)));
        return answered.every((answer) => answer === 'session_revoked');
      });
    }
    expect((await keptOf(redis)).records).toEqual([]);
    expect((await here.list('ann')).sessions).toEqual([]);
  });
});

describe('while Redis fails', () => {
  let lasts: TestRedis;

  beforeEach(async () => {
    lasts = await startLastingRedis();
  });
  afterEach(async () => {
    await lasts.stop();
  });

  it('killed: 503, nothing has ended, nobody is told; repeated, all of it is done once', async () => {
    const { here } = start(lasts);
    const [kept, ...gone] = sids(4).map(earlier) as [string, ...string[]];
    for (const token of [kept, ...gone]) expect(await answers(token)).toEqual(['live', 'live']);
    const { session } = await here.verify(kept);
    const before = await keptOf(lasts);

    await lasts.kill();
    await expect(here.revokeAll('ann', { except: session.handle })).rejects.toMatchObject({
      code: 'store_unavailable',
      status: 503,
      headers: { 'Retry-After': '1' },
    });
    await comeBack(lasts, at.each);
    expect(await keptOf(lasts)).toEqual(before);
    expect(await told(lasts)).toBe(0);
    for (const token of [kept, ...gone]) expect(await answers(token)).toEqual(['live', 'live']);
    expect([at.endedHere, at.endedThere]).toEqual([[], []]);

    expect(await here.revokeAll('ann', { except: session.handle })).toEqual({ ended: 3 });
    await bothTold(3);
    for (const token of gone) expect(await answers(token)).toEqual(['session_revoked', 'session_revoked']);
    expect(await answers(kept)).toEqual(['live', 'live']);
  });

  it('standing still: what is done late is done whole, and in force once it is repeated', async () => {
    const { here, there } = start(lasts);
    const tokens = sids(3).map(earlier);
    for (const token of tokens) expect(await answers(token)).toEqual(['live', 'live']);
    lasts.pause();
    try {
      await expect(here.revokeAll('ann')).rejects.toMatchObject({ code: 'store_unavailable' });
    } finally {
      lasts.resume();
    }
    await eventually('Redis is back', () => there.list('ben').then(Boolean, () => false));
    const { records, tombstones, hasCutoff } = await keptOf(lasts);
    expect([records.length, Object.keys(tombstones).length, hasCutoff]).toEqual(
      hasCutoff ? [0, 3, true] : [3, 0, false],
    );
    // Whoever was told that it failed does not rely on what it knew.
    expect(await ask(here, tokens[0]!)).toBe(hasCutoff ? 'session_revoked' : 'live');

    await eventually('it is repeated', () => here.revokeAll('ann').then(Boolean, () => false));
    await bothTold(3);
    for (const token of tokens) expect(await answers(token)).toEqual(['session_revoked', 'session_revoked']);
  });

  it('between what is kept and what is told: the caller hears of it, and repeating it tells everybody once', async () => {
    const { here, there } = start(lasts);
    const tokens = sids(3).map(earlier);
    for (const token of tokens) expect(await answers(token)).toEqual(['live', 'live']);
    await lasts.cli('acl', 'setuser', 'default', '-xadd');
    await expect(here.revokeAll('ann', { by: 'op7' })).rejects.toMatchObject({ code: 'store_unavailable' });
    // Kept, and so in force for whoever asks; untold, and so not where they are known to be live.
    expect(await told(lasts)).toBe(0);
    expect((await keptOf(lasts)).records).toEqual([]);
    expect(await ask(here, tokens[0]!)).toBe('session_revoked');
    expect((await there.list('ann')).sessions).toEqual([]);

    await lasts.cli('acl', 'setuser', 'default', '+xadd');
    await here.revokeAll('ann', { by: 'op7' });
    await bothTold(3);
    expect(at.endedHere.map(({ by, here: acted }) => [by, acted])).toEqual(Array(3).fill(['op7', true]));
    expect(at.endedThere.map(({ by, here: acted }) => [by, acted])).toEqual(Array(3).fill(['op7', false]));
    for (const token of tokens) expect(await answers(token)).toEqual(['session_revoked', 'session_revoked']);
  });
});
