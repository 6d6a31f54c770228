/** What is remembered of endings, for how long, and how much of it. */

import { sessionUser, type Ending } from '../../lib/core/session.js';
import { Backlog } from '../../lib/ledger/backlog.js';
import { EndedSessions, type EndedLimits } from '../../lib/ledger/ended.js';
import type { Tombstone } from '../../lib/stores/store.js';

const NOW = Date.UTC(2026, 0, 1);
const LATER = NOW + 1000;
const ANN = sessionUser('https://id.example.com/', 'ann');
const BOB = sessionUser('https://id.example.com/', 'bob');
const ENDING: Ending = {
  cause: 'revoked',
  reason: 'signed_out',
  by: null,
  at: NOW,
  expiresAt: null,
  origin: 'a-store',
};
const CUTOFF = {
  at: NOW,
  except: null,
  reason: 'password_changed',
  by: null,
  origin: 'a-store',
  isRestored: false,
  isBackdated: false,
  erasedAt: 0,
};

const tombstone = (handle: string, until = LATER, reason = 'signed_out'): Tombstone => ({
  handle,
  ending: { ...ENDING, reason },
  until,
});

let dropped: number[];
let backlog: Backlog;
beforeEach(() => {
  dropped = [];
  // Its clock shows that 2,000 items take a slice.
  let now = 0;
  backlog = new Backlog(() => (now += 0.002));
});

function remembering(limits: Partial<EndedLimits> = {}): EndedSessions {
  return new EndedSessions({ count: 1000, bytes: 1e9, ...limits }, (count) => dropped.push(count));
}

describe('for how long', () => {
  test('R3: a tombstone stands up to its end, and no longer', () => {
    const ended = remembering();
    ended.add(ANN, tombstone('a1'), false, NOW);
    expect(ended.find('a1', LATER - 1)).toEqual(tombstone('a1'));
    expect(ended.find('a1', LATER)).toBeUndefined();
  });

  test('R3: one that ends sooner takes nothing from it', () => {
    const ended = remembering();
    ended.add(ANN, tombstone('a1', LATER + 1), true, NOW);
    ended.add(ANN, tombstone('a1', LATER), false, NOW);
    expect(ended.find('a1', LATER)?.until).toBe(LATER + 1);
  });

  test('what ran out is forgotten at its end, what stands is not', () => {
    const ended = remembering();
    ended.add(ANN, tombstone('a1'), false, NOW);
    ended.addCutoff(ANN, CUTOFF, LATER, NOW);
    ended.forgetRunOut(LATER - 1);
    expect(ended.size).toBe(2);
    ended.forgetRunOut(LATER);
    expect(ended.size).toBe(0);
  });

  test('what ran out is not written back', async () => {
    const ended = remembering();
    ended.add(ANN, tombstone('a1'), false, NOW);
    ended.addCutoff(ANN, CUTOFF, LATER, NOW);
    ended.addCutoff(BOB, CUTOFF, LATER + 1, NOW);
    expect(await ended.byUser(LATER, backlog)).toEqual([
      { user: BOB, tombstones: [], cutoff: CUTOFF, staleTokens: null },
    ]);
    expect(await ended.byUser(LATER - 1, backlog)).toEqual([
      { user: ANN, tombstones: [tombstone('a1')], cutoff: CUTOFF, staleTokens: null },
      { user: BOB, tombstones: [], cutoff: CUTOFF, staleTokens: null },
    ]);
  });
});

describe('whose words', () => {
  test('a tombstone that was read replaces what was inferred, and nothing replaces it', () => {
    const ended = remembering();
    ended.add(ANN, tombstone('a1', LATER, 'inferred'), true, NOW);
    expect(ended.add(ANN, tombstone('a1', LATER, 'read'), false, NOW)).toMatchObject({ isInferred: false });
    ended.add(ANN, tombstone('a1', LATER + 1, 'read again'), false, NOW);
    ended.add(ANN, tombstone('a1', LATER + 2, 'inferred'), true, NOW);
    expect(ended.find('a1', NOW)).toEqual(tombstone('a1', LATER + 2, 'read'));
  });

  test('of the cutoffs of a user the latest counts, and each is news once', () => {
    const ended = remembering();
    expect(ended.addCutoff(ANN, CUTOFF, LATER, NOW)).toBe(true);
    expect(ended.addCutoff(ANN, { ...CUTOFF }, LATER, NOW)).toBe(false);
    expect(ended.addCutoff(ANN, { ...CUTOFF, at: NOW - 1 }, LATER, NOW)).toBe(false);
    expect(ended.addCutoff(ANN, { ...CUTOFF, at: NOW + 1 }, LATER, NOW)).toBe(true);
    expect(ended.cutoffOf(ANN.key)?.at).toBe(NOW + 1);
  });
});

describe('R9: what was announced', () => {
  test('is announced again only if the session lived again', () => {
    const ended = remembering();
    expect([ended.announce('a1'), ended.announce('a1')]).toEqual([true, false]);
    ended.revived('a1');
    expect(ended.announce('a1')).toBe(true);
  });

  test('is remembered as often as endings are, the latest of it', () => {
    const ended = remembering({ count: 2 });
    for (const handle of ['a1', 'a2', 'a3']) ended.announce(handle);
    expect(['a1', 'a2', 'a3'].map((handle) => ended.isAnnounced(handle))).toEqual([false, true, true]);
  });
});

describe('how much', () => {
  test('what had run out anyway is not told of as dropped', () => {
    const ended = remembering({ count: 3000 });
    for (let count = 0; count < 3000; count += 1) ended.add(ANN, tombstone(`a${String(count)}`), false, NOW);
    // Of those that ran out, one call forgets only some.
    for (let count = 0; count < 3000; count += 1)
      ended.add(ANN, tombstone(`b${String(count)}`, LATER + 2), false, LATER + 1);
    expect(dropped).toEqual([]);
    ended.add(ANN, tombstone('b3000', LATER + 2), false, LATER + 1);
    expect(dropped).toHaveLength(1);
  });

  test('the longest-lived are kept, whenever they came', () => {
    const ended = remembering({ count: 10 });
    for (let count = 0; count < 5; count += 1)
      ended.addCutoff({ ...ANN, key: `u${String(count)}` }, CUTOFF, LATER + 100 - count, NOW);
    for (let count = 5; count < 11; count += 1)
      ended.add(ANN, tombstone(`a${String(count)}`, LATER + 100 - count), false, NOW);
    expect(dropped).toEqual([2]);
    expect(ended.cutoffOf('u0')).toBeDefined();
    expect(ended.find('a8', NOW)).toBeDefined();
    expect([ended.find('a9', NOW), ended.find('a10', NOW)]).toEqual([undefined, undefined]);
  });

  test('what ran out makes room before anything is dropped', () => {
    const ended = remembering({ count: 2 });
    ended.add(ANN, tombstone('a1'), false, NOW);
    ended.addCutoff(ANN, CUTOFF, LATER, NOW);
    ended.add(ANN, tombstone('a2', LATER + 1), false, LATER);
    expect(dropped).toEqual([]);
    expect(ended.size).toBe(1);
  });

  test('an ending that is extended, or came back after its end, counts once', () => {
    const ended = remembering({ bytes: 1000 });
    for (let count = 0; count < 10; count += 1) ended.add(ANN, tombstone('a1', LATER + count), false, NOW);
    for (let count = 0; count < 10; count += 1) {
      ended.add(ANN, tombstone('a1', LATER + 100 * (count + 1)), false, LATER + 100 * count);
    }
    expect(dropped).toEqual([]);
  });

  test('what was forgotten takes no room', () => {
    const ended = remembering({ bytes: 2000 });
    for (let count = 0; count < 10; count += 1) {
      ended.addCutoff(ANN, CUTOFF, LATER, NOW);
      ended.add(ANN, tombstone('a1'), false, NOW);
      ended.forgetRunOut(LATER);
    }
    ended.addCutoff(ANN, CUTOFF, LATER, NOW);
    for (let at = 1; at < 10; at += 1) ended.addCutoff(ANN, { ...CUTOFF, at: NOW + at }, LATER, NOW);
    expect(dropped).toEqual([]);
  });

  test('the room of cutoffs is bounded too, and that of long words', () => {
    const ended = remembering({ bytes: 2000 });
    for (let count = 0; count < 4; count += 1)
      ended.addCutoff({ ...ANN, key: `u${String(count)}` }, CUTOFF, LATER + count, NOW);
    expect(dropped).toEqual([1]);
    ended.add(ANN, tombstone('a1', LATER + 100, 'x'.repeat(200)), false, NOW);
    expect(dropped).toHaveLength(2);
    expect(ended.find('a1', NOW)).toBeDefined();
  });
});

describe('how much at once', () => {
  const fill = (ended: EndedSessions, count: number, until: (index: number) => number): void => {
    for (let index = 0; index < count; index += 1) ended.add(ANN, tombstone(String(index), until(index)), false, NOW);
  };

  test('one call forgets a part of what ran out, and the next ones the rest', () => {
    const ended = remembering({ count: 10_000 });
    fill(ended, 2500, () => LATER);
    const sizes = Array.from({ length: 3 }, () => {
      ended.forgetRunOut(LATER);
      return ended.size;
    });
    expect(sizes).toEqual([1500, 500, 0]);
  });

  test('above the limit a hundredth is dropped, those that expire soonest, also if they were extended', () => {
    const ended = remembering({ count: 1000 });
    const mixed = (index: number): number => LATER + ((index * 7919) % 1000);
    fill(ended, 1000, mixed);
    const soonest = Array.from({ length: 1000 }, (_, index) => index).sort((a, b) => mixed(a) - mixed(b));
    const [extended = 0, ...next] = soonest;
    ended.add(ANN, tombstone(String(extended), LATER + 5000), false, NOW);
    ended.add(ANN, tombstone('new', LATER + 5000), false, NOW);
    expect(dropped).toEqual([11]);
    const gone = soonest.filter((index) => ended.find(String(index), NOW) === undefined);
    expect(gone).toEqual(next.slice(0, 11));
  });

  test('what is written back is collected while other work goes on', async () => {
    const ended = remembering({ count: 10_000 });
    fill(ended, 9000, () => LATER);
    const seen = { turns: 0, isCollected: false };
    const collected = ended.byUser(NOW, backlog).then((known) => {
      seen.isCollected = true;
      return known;
    });
    while (!seen.isCollected) {
      seen.turns += 1;
      await new Promise((resolve) => void setImmediate(resolve));
    }
    expect((await collected)[0]?.tombstones).toHaveLength(9000);
    expect(seen.turns).toBeGreaterThanOrEqual(4);
  });
});
