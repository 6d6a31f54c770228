/** Devices that sleep between two tokens: whatever ended their sessions meanwhile is found when they wake up. */

import { managedSessions, memoryStore, type ManagedSessions } from '../../lib/index.js';
import { ManualClock } from '../support/issuer.js';
import { ask, DAY, HOUR, ISSUER, MINUTE, SECRET, tokenOf, type Options } from './logins.js';

/** Long ago: what is forgotten by this clock is forgotten by the machine's too. */
const START = Math.floor(Date.now() / 1000) * 1000 - 100 * DAY;

let clock: ManualClock;
let here: ManagedSessions;
let there: ManagedSessions;

beforeEach(() => {
  clock = new ManualClock(START);
});
afterEach(() => Promise.all([here, there].map((sessions) => sessions.close())));

/** Two processes on one store. */
function start(options: Options = {}): void {
  const store = memoryStore();
  const make = (): ManagedSessions =>
    managedSessions({ issuer: { issuer: ISSUER, secret: SECRET, clockTolerance: 0 }, store, clock, ...options });
  [here, there] = [make(), make()];
}

const both = (token: string): Promise<string[]> => Promise.all([here, there].map((sessions) => ask(sessions, token)));

async function signIn(claims: Record<string, unknown> = {}): Promise<string> {
  const { session } = await here.verify(tokenOf(clock, claims), { ip: '203.0.113.7', userAgent: 'Mozilla/5.0' });
  return session.handle;
}

test.each([25, 26, 24 * 29])('ended, asleep for %i hours and refreshed: still ended', async (hours) => {
  start();
  await here.revoke('ann', await signIn());
  clock.at += hours * HOUR;
  expect(await both(tokenOf(clock))).toEqual(['session_revoked', 'session_revoked']);
  clock.at += 25 * DAY;
  // A refused token is a sign that the client goes on refreshing.
  expect(await both(tokenOf(clock))).toEqual(['session_revoked', 'session_revoked']);
});

test.each([26, 24 * 29])('seen, asleep for %i hours, ended by a cutoff and refreshed: ended', async (hours) => {
  start();
  await signIn();
  clock.at += hours * HOUR;
  await there.revokeAll('ann');
  clock.at += MINUTE;
  expect(await both(tokenOf(clock))).toEqual(['session_revoked', 'session_revoked']);
  // One that was never seen looks new.
  expect(await both(tokenOf(clock, { sid: 'never seen' }))).toEqual(['live', 'live']);
});

test('the same after endEverywhere', async () => {
  start();
  await signIn();
  clock.at += 26 * HOUR;
  await there.endEverywhere();
  clock.at += MINUTE;
  expect(await both(tokenOf(clock))).toEqual(['session_revoked', 'session_revoked']);
  expect(await both(tokenOf(clock, { sub: 'bob' }))).toEqual(['live', 'live']);
});

test.each<[string, Options, Record<string, unknown>, string]>([
  ['the idle timeout', { idleTimeout: '2h' }, {}, 'session_idle'],
  ['a long idle timeout', { idleTimeout: '25h' }, {}, 'session_idle'],
  ['the lifetime', { lifetime: '25h' }, {}, 'session_expired'],
  ['session_expiry', {}, { session_expiry: START / 1000 + 25 * 3600 }, 'session_expired'],
])('seen, asleep for 26 hours and refreshed: %s holds', async (_, options, claims, code) => {
  start(options);
  await signIn(claims);
  clock.at += 26 * HOUR;
  for (let time = 0; time < 3; time += 1) {
    expect(await both(tokenOf(clock))).toEqual([code, code]);
    clock.at += DAY;
  }
});

test('nothing ended it: it is the same session, in a new row', async () => {
  start();
  const started: string[] = [];
  here.on('sessionStarted', ({ handle }) => started.push(handle));
  const handle = await signIn();
  await here.label('ann', handle, 'phone');
  clock.at += 26 * HOUR;
  expect((await here.list('ann')).sessions).toEqual([]);
  const woken = await here.verify(tokenOf(clock), { ip: '203.0.113.8', userAgent: 'Mozilla/5.0' });
  expect(woken.session).toMatchObject({ handle, startedAt: new Date(START) });
  expect((await here.list('ann')).sessions).toMatchObject([{ handle, label: null, ip: '203.0.113.8' }]);
  expect(started).toEqual([handle, handle]);
});

test('asleep for less than a day, it keeps its label, and has not begun again', async () => {
  start();
  const started: string[] = [];
  here.on('sessionStarted', ({ handle }) => started.push(handle));
  const handle = await signIn();
  await here.label('ann', handle, 'phone');
  clock.at += 23 * HOUR;
  await here.verify(tokenOf(clock));
  expect((await here.list('ann')).sessions).toMatchObject([{ handle, label: 'phone', ip: '203.0.113.7' }]);
  expect(started).toEqual([handle]);
});

test('asleep for longer than tombstoneFor, it is another session, and an ended one is forgotten', async () => {
  start({ tombstoneFor: '2d' });
  await here.revoke('ann', await signIn());
  await signIn({ sub: 'bob' });
  clock.at += 3 * DAY + 2 * HOUR;
  expect(await both(tokenOf(clock))).toEqual(['live', 'live']);
  expect((await here.verify(tokenOf(clock, { sub: 'bob' }))).session.startedAt).toEqual(new Date(clock.at));
});
