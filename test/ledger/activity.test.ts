/** What a request moves on, and when the store is told. */

import { sessionHandle, sessionUser, type TokenParties, type TokenTimes } from '../../lib/core/session.js';
import { Activity } from '../../lib/ledger/activity.js';
import { Backlog } from '../../lib/ledger/backlog.js';
import { Entry } from '../../lib/ledger/entry.js';
import { UnwrittenActivity } from '../../lib/ledger/unwritten.js';
import { POLICY } from './simulation.js';

const NOW = Date.UTC(2026, 0, 1);
const INTERVAL = 60_000;
const TOKEN: TokenTimes = { beganAt: NOW, expiresAt: NOW + 2 * INTERVAL, lifetime: null, sessionEndsAt: null };
const LONGER: TokenTimes = { beganAt: NOW, expiresAt: NOW + 9 * INTERVAL, lifetime: null, sessionEndsAt: null };
const HOME = { ip: '192.0.2.1', userAgent: 'Home' };
const AWAY = { ip: '192.0.2.2', userAgent: 'Away' };

const NOBODY: TokenParties = { app: null, actor: null };

/** The token of a request. */
const used = (times: TokenTimes, parties = NOBODY) => ({ times, ...parties });

/** Written just now, and due in an interval. */
function written(token = TOKEN): Activity {
  const activity = new Activity(token, null);
  activity.isTracked = true;
  activity.locate(NOBODY, { at: 0, ...HOME });
  activity.written(NOW, token);
  activity.dueAt = NOW + INTERVAL;
  return activity;
}

describe('a program', () => {
  const person = { ...HOME, byProgram: false };
  const program = { ip: '198.51.100.9', userAgent: 'node', byProgram: true };

  test('does not take the place of a person of whom the store does not know yet', () => {
    const activity = written();
    activity.note(used(TOKEN), { at: NOW + INTERVAL, ...person }, INTERVAL);
    activity.note(used(TOKEN), { at: NOW + INTERVAL + 1, ...program }, INTERVAL);
    expect(activity).toMatchObject({ lastSeenAt: NOW + INTERVAL + 1, client: person });
  });

  test('is told to the store otherwise: what this process knew of the person may be out of date', () => {
    const activity = written();
    activity.note(used(TOKEN), { at: NOW + INTERVAL, ...program }, INTERVAL);
    expect(activity).toMatchObject({ client: program });
    activity.note(used(TOKEN), { at: NOW + INTERVAL + 1, ...person }, INTERVAL);
    expect(activity).toMatchObject({ client: person });
  });
});

test('the app and the actor that are told to the store are those of the token that was used', () => {
  const activity = written();
  const [web, aide] = [
    { app: 'web', actor: null },
    { app: 'web', actor: 'aide' },
  ];
  activity.note(used(TOKEN, web), { at: NOW + INTERVAL, ...HOME }, INTERVAL);
  expect(activity.client).toEqual({ ...HOME, byProgram: false, ...web });
  activity.dueAt = NOW + 2 * INTERVAL;
  activity.note(used(LONGER, aide), { at: NOW + 2 * INTERVAL, ...HOME }, INTERVAL);
  expect(activity.client).toEqual({ ...HOME, byProgram: false, ...aide });
});

describe('a person after a program', () => {
  const program = { ip: '198.51.100.9', userAgent: 'node', byProgram: true };

  test('is told to the store at once, and then no more often than before', () => {
    const activity = written();
    expect(activity.note(used(TOKEN), { at: NOW + INTERVAL, ...program }, INTERVAL)).toBe(true);
    activity.dueAt = NOW + 2 * INTERVAL;
    expect(activity.note(used(TOKEN), { at: NOW + INTERVAL + 1, ...program }, INTERVAL)).toBe(false);
    expect(activity.note(used(TOKEN), { at: NOW + INTERVAL + 2, ip: null, userAgent: null }, INTERVAL)).toBe(false);
    expect(activity.note(used(TOKEN), { at: NOW + INTERVAL + 3, ...HOME }, INTERVAL)).toBe(true);
    expect(activity).toMatchObject({ client: HOME });
    expect(activity.note(used(TOKEN), { at: NOW + INTERVAL + 4, ...HOME }, INTERVAL)).toBe(false);
    expect(activity.note(used(TOKEN), { at: NOW + INTERVAL + 5, ...program }, INTERVAL)).toBe(false);
    expect(activity).toMatchObject({ client: HOME });
  });

  test('is looked for in the next ten requests only: the client of a machine is not found out each time', () => {
    const activity = written();
    let found = 0;
    const machine = {
      ...program,
      get userAgent() {
        found += 1;
        return program.userAgent;
      },
    };
    activity.note(used(TOKEN), { at: NOW + INTERVAL, ...program }, INTERVAL);
    activity.dueAt = NOW + 2 * INTERVAL;
    for (let count = 1; count <= 50; count += 1) {
      const sighting = Object.assign(Object.create(machine) as typeof machine, { at: NOW + INTERVAL + count });
      expect(activity.note(used(TOKEN), sighting, INTERVAL)).toBe(false);
    }
    expect(found).toBe(10);
  });

  test('is not told if the session is not on record', () => {
    const activity = written();
    activity.isTracked = false;
    activity.note(used(TOKEN), { at: NOW + INTERVAL, ...program }, INTERVAL);
    activity.dueAt = NOW + 2 * INTERVAL;
    expect(activity.note(used(TOKEN), { at: NOW + INTERVAL + 1, ...HOME }, INTERVAL)).toBe(false);
  });
});

describe('a use', () => {
  test('is written once it is due, from where it then is', () => {
    const activity = written();
    expect(activity.note(used(TOKEN), { at: NOW + INTERVAL - 1, ...AWAY }, INTERVAL)).toBe(false);
    expect(activity).toMatchObject({ lastSeenAt: NOW + INTERVAL - 1, isUnwritten: true, client: HOME });
    expect(activity.note(used(TOKEN), { at: NOW + INTERVAL, ...AWAY }, INTERVAL)).toBe(true);
    expect(activity).toMatchObject({ lastSeenAt: NOW + INTERVAL, client: AWAY });
  });

  test('earlier than the latest does not take that back', () => {
    const activity = written();
    activity.note(used(TOKEN), { at: NOW + 10, ...HOME }, INTERVAL);
    activity.note(used(TOKEN), { at: NOW + 5, ...HOME }, INTERVAL);
    expect(activity.lastSeenAt).toBe(NOW + 10);
  });

  test('is written at once where a longer token comes, and the store would forget the session before it is due', () => {
    const activity = written({ ...TOKEN, expiresAt: NOW + INTERVAL });
    expect(activity.note(used(TOKEN), { at: NOW + 1, ...HOME }, INTERVAL)).toBe(true);
    activity.written(NOW + 1, TOKEN);
    expect(activity.note(used(LONGER), { at: NOW + 2, ...HOME }, INTERVAL)).toBe(false);
    expect(activity.token).toEqual(LONGER);
  });

  test('is written after a clock was set back by more than the interval, and counts from there', () => {
    const activity = written();
    expect(activity.note(used(TOKEN), { at: NOW - INTERVAL, ...HOME }, INTERVAL)).toBe(false);
    expect(activity.note(used(TOKEN), { at: NOW - INTERVAL - 1, ...HOME }, INTERVAL)).toBe(true);
    expect(activity.lastSeenAt).toBe(NOW - INTERVAL - 1);
  });

  test('of a session that is not on record is never unwritten', () => {
    const activity = written();
    activity.isTracked = false;
    activity.note(used(TOKEN), { at: NOW + 1, ...HOME }, INTERVAL);
    expect(activity.isUnwritten).toBe(false);
  });

  test('by a token that ends sooner, or at the same time, keeps the token', () => {
    const activity = written(LONGER);
    expect([activity.extend(TOKEN), activity.extend({ ...LONGER })]).toEqual([false, false]);
    expect(activity).toMatchObject({ tokensEndAt: LONGER.expiresAt });
    expect(activity.token).toEqual(LONGER);
  });
});

describe('what the store knows', () => {
  test('an answer that comes late takes nothing back, and a longer token of it is kept', () => {
    const activity = written();
    activity.written(NOW + 10, LONGER);
    activity.written(NOW + 5, TOKEN);
    expect(activity).toMatchObject({ lastSeenAt: NOW + 10, writtenAt: NOW + 10, writtenEndsAt: LONGER.expiresAt });
    expect(activity.token).toEqual(LONGER);
  });

  test('a use elsewhere counts, unless this process saw a later one', () => {
    const activity = written();
    activity.note(used(TOKEN), { at: NOW + 10, ...HOME }, INTERVAL);
    activity.usedElsewhere(NOW + 5, LONGER.expiresAt ?? 0);
    expect(activity).toMatchObject({ lastSeenAt: NOW + 10, writtenAt: NOW + 5, tokensEndAt: LONGER.expiresAt });
    activity.usedElsewhere(NOW + 20, NOW);
    expect(activity).toMatchObject({ lastSeenAt: NOW + 20, writtenAt: NOW + 20, tokensEndAt: LONGER.expiresAt });
  });

  test('with a lifetime the end on record is that of the session, not of its tokens', () => {
    const activity = written({ ...TOKEN, lifetime: 10 * INTERVAL });
    activity.usedElsewhere(NOW, NOW + 10 * INTERVAL);
    expect(activity.tokensEndAt).toBe(TOKEN.expiresAt);
  });
});

describe('the timer', () => {
  const AT_ONCE = new Backlog(() => 0);
  const USER = sessionUser('https://id.example.com/', 'ann');

  function entryDueAt(dueAt: number): Entry {
    const token = { user: USER, handle: sessionHandle(USER, String(dueAt)), times: TOKEN };
    const entry = new Entry(token, { user: USER, policy: POLICY, entries: new Set() }, NOW, (watched) => watched);
    entry.activity.isTracked = true;
    entry.activity.written(NOW, TOKEN);
    entry.activity.dueAt = dueAt;
    return entry;
  }

  test('writes what is due, or was written later than now by a clock that was set back', async () => {
    const wrote: Entry[] = [];
    const unwritten = new UnwrittenActivity(async (entry) => {
      await Promise.resolve();
      wrote.push(entry);
    }, AT_ONCE);
    const [sooner, later] = [entryDueAt(NOW + 1), entryDueAt(NOW + 2)] as const;
    unwritten.add(later);
    unwritten.add(sooner);
    unwritten.flush(NOW);
    await Promise.resolve();
    expect(wrote).toEqual([]);
    unwritten.flush(NOW + 1);
    await new Promise(setImmediate);
    expect(wrote).toEqual([sooner]);
    unwritten.flush(NOW - 1);
    await new Promise(setImmediate);
    expect(wrote).toEqual([sooner, later, sooner]);
  });

  test('looks for what is due among many in slices', async () => {
    const [wrote, all] = [new Set<Entry>(), Array.from({ length: 500 }, (_, index) => entryDueAt(NOW + index))];
    let elapsed = 0;
    const confirm = async (entry: Entry): Promise<void> => void wrote.add(entry);
    const unwritten = new UnwrittenActivity(confirm, new Backlog(() => (elapsed += 1)));
    for (const entry of all) unwritten.add(entry);
    unwritten.flush(NOW + all.length);
    expect(elapsed).toBeLessThan(10);
    for (let turns = 0; wrote.size < all.length; turns += 1) {
      expect(turns).toBeLessThan(all.length);
      await new Promise(setImmediate);
    }
    expect([...wrote]).toEqual(all);
  });

  test('writes nothing about which the store is being asked, nor twice at one time', async () => {
    const wrote: Entry[] = [];
    let finish = (): void => undefined;
    const unwritten = new UnwrittenActivity((entry) => {
      wrote.push(entry);
      return new Promise((resolve) => {
        finish = resolve;
      });
    }, AT_ONCE);
    const [due, asked] = [entryDueAt(NOW + 1), entryDueAt(NOW + 2)] as const;
    const question = {
      generation: 0,
      asOf: 0,
      isCovered: true,
      token: TOKEN,
      isTracked: true,
      isOvertaken: false,
      cutoffAt: 0,
      staleAt: 0,
    };
    asked.call = { question, outcome: new Promise(() => undefined) };
    unwritten.add(due);
    unwritten.add(asked);
    unwritten.flush(NOW + 2);
    unwritten.flush(NOW + 2);
    expect(wrote).toEqual([due]);
    finish();
    await new Promise(setImmediate);
    unwritten.flush(NOW + 2);
    expect(wrote).toEqual([due, due]);
  });
});
