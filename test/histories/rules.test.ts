/** The rules, on histories made by hand: each has one that satisfies it and one that does not. */

import type {
  EndingCalled,
  Entry,
  EventHeard,
  Fault,
  History,
  Life,
  ListRead,
  Outcome,
  RequestMade,
} from './history.js';
import { judgeHistory } from './rules.js';

const EPOCH = 1_800_000_000_000;
const HANDLE = 'handle-of-the-session-';
const ADMITTED: Outcome = { kind: 'admitted' };
const REVOKED: Outcome = { kind: 'refused', status: 401, code: 'session_revoked', reason: 'op-1' };
const IDLE: Outcome = { kind: 'refused', status: 401, code: 'session_idle', reason: null };
const UNAVAILABLE: Outcome = { kind: 'refused', status: 503, code: 'store_unavailable', reason: null };

const life = (number: number, details: Partial<Life> = {}): Life => ({
  ...{ kind: 'life', life: number, place: number - 1, from: -60_000, to: Infinity, killedAt: null, crash: null },
  ...details,
});

function request(of: number, sentAt: number, outcome: Outcome, details: Partial<RequestMade> = {}): RequestMade {
  const moments = { sentAt, at: sentAt + 1, answeredAt: sentAt + 2 };
  const made = { kind: 'request', as: 'request', session: 0, user: 0, life: of, iat: EPOCH / 1000 } as const;
  return { ...made, ...moments, outcome, ...details };
}

const revoked = (sentAt: number, details: Partial<EndingCalled> = {}): EndingCalled => ({
  ...{ kind: 'ending', op: 1, as: 'revoke', reason: 'op-1', user: 0, session: 0, except: null, life: 1, sentAt },
  ...{ acknowledgedAt: sentAt + 10, second: Math.floor((EPOCH + sentAt) / 1000), error: null },
  ...details,
});

const ended = (of: number, at: number, details: Partial<EventHeard> = {}): EventHeard => ({
  ...{ kind: 'event', event: 'sessionEnded', life: of, at, handle: HANDLE, here: of === 1, reason: 'op-1' },
  ...details,
});

const fault = (from: number, to: number, details: Partial<Fault> = {}): Fault => ({
  ...{ kind: 'fault', fault: 'flush', from, to, keepsFromStore: null, keptUntil: null, ahead: 0, place: null },
  ...details,
});

const loss = (from: number): Fault => fault(from, from + 10, { keptUntil: -Infinity });

const list = (sentAt: number, lastSeenAt: number | null): ListRead => ({
  ...{ kind: 'list', user: 0, life: 1, sentAt, answeredAt: sentAt + 2, error: null, isFinal: true },
  sessions: lastSeenAt === null ? [] : [{ handle: HANDLE, lastSeenAt }],
});

const healed = (at: number): Entry => ({ kind: 'healed', at });

function violationsOf(entries: readonly Entry[], settings: Partial<History['settings']> = {}): string[] {
  const history: History = {
    settings: {
      ...{ processes: 2, revocationBound: 1000, storeTimeout: 500, activityInterval: 5000, idleTimeout: 8000 },
      ...{ clockTolerance: 1000, maxSessionsPerUser: 4, atSessionLimit: 'end-oldest', whenStoreDown: 'refuse' },
      ...settings,
    },
    sessions: [{ session: 0, user: 0, handle: HANDLE, from: 0, iat: EPOCH / 1000 }],
    entries: [life(1), life(2), ...entries],
    epoch: EPOCH,
  };
  return [...new Set(judgeHistory(history).violations.map(({ rule }) => rule))];
}

const first = request(1, 10, ADMITTED);
const revocation = [revoked(2000), ended(1, 2005)];

test.each<[string, string[], readonly Entry[], Partial<History['settings']>?]>([
  // H1
  ['an ending in force within the bound', [], [first, ...revocation, request(2, 3400, ADMITTED)]],
  ['one that is not', ['H1'], [first, ...revocation, request(2, 4000, ADMITTED)]],
  [
    'one that was not acknowledged',
    [],
    [first, { ...revoked(2000), acknowledgedAt: null }, request(2, 4000, ADMITTED)],
  ],
  ['the process that acted admits the session', ['H1'], [first, ...revocation, request(1, 2100, ADMITTED)]],
  ['a fresh request does not ask', ['H1'], [first, ...revocation, request(2, 2500, ADMITTED, { as: 'fresh' })]],
  ['allowFor', [], [first, ...revocation, request(2, 4000, ADMITTED)], { whenStoreDown: { allowFor: 2000 } }],
  [
    'allow, in an outage',
    [],
    [first, ...revocation, fault(1000, 9000), request(2, 8000, ADMITTED)],
    { whenStoreDown: 'allow' },
  ],
  ['allow, without one', ['H1'], [first, ...revocation, request(2, 8000, ADMITTED)], { whenStoreDown: 'allow' }],
  ['lost, and not written back yet', [], [first, ...revocation, loss(3000), request(2, 9000, ADMITTED)]],
  ['lost, and never written back', ['H1'], [first, ...revocation, loss(3000), request(2, 30_000, ADMITTED)]],
  [
    'lost, and everybody who knew was killed',
    [],
    [
      life(3, { to: 3500, killedAt: 3400 }),
      first,
      revoked(2000, { life: 3 }),
      loss(3000),
      request(2, 30_000, ADMITTED),
    ],
  ],
  [
    'lost and written back, but not told',
    ['H1'],
    [first, ...revocation, loss(3000), life(3, { from: 3600 }), request(3, 7000, REVOKED), request(2, 9500, ADMITTED)],
  ],
  // H2
  [
    'a refused session is admitted again',
    ['H1', 'H2'],
    [first, ...revocation, request(2, 3000, REVOKED), request(2, 3200, ADMITTED)],
  ],
  [
    'by another process, later',
    ['H2'],
    [first, { ...revoked(2000), acknowledgedAt: null }, request(1, 2100, REVOKED), request(2, 5000, ADMITTED)],
  ],
  // H3
  ['an error', ['H3'], [request(1, 10, { kind: 'failed', what: 'status 500' })]],
  ['an unknown code', ['H3'], [request(1, 10, { kind: 'refused', status: 401, code: 'claim_invalid', reason: null })]],
  ['a hang', ['H3'], [request(1, 10, UNAVAILABLE, { answeredAt: 9000 })]],
  [
    'a process that was busy meanwhile',
    [],
    [request(1, 10, UNAVAILABLE, { answeredAt: 9000 }), { kind: 'pause', life: 1, from: 10, to: 8000 }],
  ],
  // H4
  ["refused by nobody's call", ['H4'], [first, request(2, 3000, REVOKED)]],
  [
    'refused by a call about another session',
    ['H4'],
    [first, revoked(2000, { session: 7 }), request(2, 3000, REVOKED)],
  ],
  [
    'the excepted session is refused',
    ['H4'],
    [first, revoked(2000, { as: 'revokeAll', session: null, except: 0 }), request(2, 3000, REVOKED)],
  ],
  [
    'a session that began after the cutoff is refused',
    ['H4'],
    [revoked(-3000, { as: 'revokeAll', session: null }), request(2, 3000, REVOKED)],
  ],
  ['idle, and not used', [], [first, request(1, 9000, IDLE)]],
  ['idle, although in use', ['H4'], [first, request(1, 6000, ADMITTED), request(1, 9000, IDLE)]],
  [
    'idle, after a pause that was not noticed in an outage',
    [],
    [first, request(1, 9000, UNAVAILABLE), request(1, 9100, IDLE)],
  ],
  ['idle, although in use through 503s', ['H4'], [first, request(1, 6000, UNAVAILABLE), request(1, 9000, IDLE)]],
  [
    'over a cap that is not reached',
    ['H4'],
    [first, request(1, 900, { kind: 'refused', status: 403, code: 'session_limit', reason: null })],
  ],
  // H5
  ['told twice', ['H5'], [first, ...revocation, ended(1, 2500)]],
  ['told as their own by two', ['H5'], [first, ...revocation, ended(2, 2500, { here: true })]],
  ['told by nobody as their own', ['H5'], [first, revoked(2000), ended(1, 2010, { here: false })]],
  [
    'started twice',
    ['H5'],
    [first, ended(1, 11, { event: 'sessionStarted' }), ended(2, 12, { event: 'sessionStarted' })],
  ],
  // H6
  [
    'a live session is listed',
    [],
    [
      healed(100),
      request(1, 6000, ADMITTED),
      list(20_000, EPOCH + 6000),
      request(1, 20_100, ADMITTED, { as: 'probe' }),
    ],
    { idleTimeout: null },
  ],
  [
    'a live session is not listed',
    ['H6'],
    [healed(100), request(1, 6000, ADMITTED), list(20_000, null), request(1, 20_100, ADMITTED, { as: 'probe' })],
    { idleTimeout: null },
  ],
  [
    'its last use is not listed',
    ['H6'],
    [
      healed(100),
      request(1, 6000, ADMITTED),
      list(20_000, EPOCH + 1000),
      request(1, 20_100, ADMITTED, { as: 'probe' }),
    ],
    { idleTimeout: null },
  ],
  [
    'an ended session is listed',
    ['H6'],
    [
      first,
      ...revocation,
      request(1, 3000, REVOKED),
      healed(4000),
      list(20_000, EPOCH + 10),
      request(1, 20_100, REVOKED, { as: 'probe' }),
    ],
  ],
  // H7
  ['an idle session is admitted', ['H7'], [first, request(1, 12_000, ADMITTED)]],
])('%s', (_name, expected, entries, settings = {}) => {
  expect(violationsOf(entries, settings)).toEqual(expected);
});
