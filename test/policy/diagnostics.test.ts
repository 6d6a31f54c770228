/** What monitoring reads on node:diagnostics_channel. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { managedSessions, memoryStore, type ManagedSessions } from '../../lib/index.js';
import type { SessionStore } from '../../lib/stores/store.js';
import request from 'supertest';
import { ManualClock } from '../support/issuer.js';
import { alone, ISSUER, SECRET, tokenOf } from './logins.js';

const CHANNELS = [
  'session-started',
  'session-ended',
  'session-moved',
  'token-refused',
  'store-down',
  'store-up',
  'store-unsafe',
  'keys-down',
  'keys-up',
  'key-skipped',
  'session-unnamed',
  'tombstones-dropped',
  'request',
  'store',
].map((name) => `managed-sessions:${name}`);

let clock: ManualClock;
let heard: [channel: string, message: unknown][];

function hear(message: unknown, name: string | symbol): void {
  heard.push([String(name), message]);
}
const messagesOf = (name: string): unknown[] =>
  heard.filter(([channel]) => channel === `managed-sessions:${name}`).map(([, message]) => message);

beforeEach(() => {
  clock = new ManualClock();
  heard = [];
  for (const name of CHANNELS) subscribe(name, hear);
});
afterEach(() => {
  for (const name of CHANNELS) unsubscribe(name, hear);
});

function app(sessions: ManagedSessions, gate = sessions.required()) {
  return (req: Parameters<typeof gate>[0], res: Parameters<typeof gate>[1]): void => {
    gate(req, res, () => res.end('in'));
  };
}

const get = (of: ReturnType<typeof app>, token?: string) =>
  token === undefined ? request(of).get('/') : request(of).get('/').set('Authorization', `Bearer ${token}`);

test('each event is published as the listeners hear it', async () => {
  const sessions = alone(clock);
  const told: unknown[] = [];
  sessions.on('sessionStarted', (event) => told.push(event));
  sessions.on('sessionEnded', (event) => told.push(event));
  sessions.on('tokenRefused', (event) => told.push(event));
  const token = tokenOf(clock);
  const { session } = await sessions.verify(token);
  await sessions.revoke('ann', session.handle, { reason: 'administrator', by: 'operator' });
  await expect(sessions.verify('rubbish')).rejects.toThrow();
  await sessions.close();

  const published = ['session-started', 'session-ended', 'token-refused'].flatMap(messagesOf);
  expect(published).toEqual(told);
  expect(published).toMatchObject([
    { handle: session.handle },
    { handle: session.handle, reason: 'administrator', by: 'operator', here: true },
    { code: 'token_malformed' },
  ]);
  expect(JSON.stringify(heard)).not.toContain(token.slice(-20));
});

test('requests, by outcome and by who knew', async () => {
  const store = memoryStore();
  /** Tells nothing of ben. */
  const discreet: SessionStore = {
    ...store,
    feed: (listener) =>
      store.feed({
        ...listener,
        notice: (notice) => {
          if (notice.user.subject !== 'ben') listener.notice(notice);
        },
      }),
  };
  const [sessions, other] = [alone(clock, { store: discreet }), alone(clock, { store })];
  const of = app(sessions);
  const token = tokenOf(clock);
  await get(of, token);
  await get(of, token);
  await get(of);
  await get(of, 'rubbish');
  const { session } = await sessions.verify(token);
  await sessions.revoke('ann', session.handle);
  await get(of, token);
  await other.verify(tokenOf(clock, { sub: 'ben' }));
  await other.revokeAll('ben');
  await get(of, tokenOf(clock, { sub: 'ben' }));
  await sessions.close();
  expect(messagesOf('request')).toEqual([
    { outcome: 'live', source: 'store' },
    { outcome: 'live', source: 'ledger' },
    { outcome: 'no_token', source: 'none' },
    { outcome: 'token_malformed', source: 'none' },
    { outcome: 'session_revoked', source: 'ledger' },
    { outcome: 'session_revoked', source: 'store' },
  ]);
});

test('a request that passes two gates is told once', async () => {
  const sessions = alone(clock);
  const [first, second] = [sessions.optional(), sessions.required()];
  const of = app(sessions, (req, res, next) => first(req, res, () => second(req, res, next)));
  expect((await get(of, tokenOf(clock))).status).toBe(200);
  expect((await get(of, 'rubbish')).status).toBe(401);
  await sessions.close();
  expect(messagesOf('request')).toEqual([
    { outcome: 'live', source: 'store' },
    { outcome: 'token_malformed', source: 'none' },
  ]);
});

test('calls of the store, with how long they took and how they ended', async () => {
  const kept = memoryStore();
  const failing: SessionStore = { ...kept, revoke: () => Promise.reject(new Error('away')) };
  const sessions = alone(clock, { store: failing });
  const { session } = await sessions.verify(tokenOf(clock));
  await sessions.list('ann');
  await expect(sessions.revoke('ann', session.handle)).rejects.toMatchObject({ code: 'store_unavailable' });
  await sessions.close();
  expect(messagesOf('store')).toEqual([
    { operation: 'sight', duration: expect.any(Number), ok: true },
    { operation: 'list', duration: expect.any(Number), ok: true },
    { operation: 'revoke', duration: expect.any(Number), ok: false },
  ]);
  expect(messagesOf('store-down')).toHaveLength(1);
});

test('nothing is published where nobody subscribes, and everything works', async () => {
  for (const name of CHANNELS) unsubscribe(name, hear);
  const sessions = alone(clock);
  expect((await get(app(sessions), tokenOf(clock))).status).toBe(200);
  expect((await get(app(sessions), 'rubbish')).status).toBe(401);
  await sessions.close();
  expect(heard).toEqual([]);
});

test('health() counts the sessions that this process knows', async () => {
  const sessions = managedSessions({ issuer: { issuer: ISSUER, secret: SECRET }, clock });
  expect(sessions.health().sessions).toBe(0);
  for (const sid of ['a', 'b', 'b']) await sessions.verify(tokenOf(clock, { sid }));
  expect(sessions.health().sessions).toBe(2);
  await sessions.revokeAll('ann');
  expect(sessions.health().sessions).toBe(0);
  await sessions.close();
});
