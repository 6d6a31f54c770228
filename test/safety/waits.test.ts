/** A function of the application whose promise never settles does not hold a request for ever. */

import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import jwt from 'jsonwebtoken';
import { resultInTime } from '../../lib/http/in-time.js';
import { managedSessions, type Handler, type ManagedSessions } from '../../lib/index.js';

const ISSUER = { issuer: 'https://id.example.com/', secret: 'a secret of at least 32 bytes in length' };
const tokenOf = (): string =>
  jwt.sign({ sub: 'u', sid: 's' }, ISSUER.secret, { issuer: ISSUER.issuer, expiresIn: '1h' });

const never = (): Promise<never> => new Promise(() => undefined);

const own: ManagedSessions<unknown>[] = [];

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
});
afterEach(async () => {
  jest.useRealTimers();
  await Promise.all(own.splice(0).map((each) => each.close()));
});

function siteWith(options: { readonly user?: () => unknown }): ManagedSessions<unknown> {
  const each = managedSessions<unknown>({ issuer: ISSUER, ...options });
  own.push(each);
  return each;
}

/** What is passed to `next`; undefined until then. */
function passedBy(handler: Handler, method: string, headers: Readonly<Record<string, string>> = {}) {
  const req = Object.assign(new IncomingMessage(new Socket()), { method, url: '/', headers, rawHeaders: [] });
  const passed: unknown[] = [];
  handler(req, new ServerResponse(req), (error) => passed.push(error));
  return passed;
}

/** Ten seconds, in steps in which whatever is not a timer can go on. */
async function tenSeconds(): Promise<void> {
  for (let second = 0; second < 10; second += 1) {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    await jest.advanceTimersByTimeAsync(1_000);
  }
}

const bearer = (): Record<string, string> => ({ authorization: `Bearer ${tokenOf()}` });

test.each<[string, string, () => unknown[]]>([
  ['user, at required()', 'user', () => passedBy(siteWith({ user: never }).required(), 'GET', bearer())],
  ['user, at optional()', 'user', () => passedBy(siteWith({ user: never }).optional(), 'GET', bearer())],
  ['user, at the routes', 'user', () => passedBy(siteWith({ user: never }).router(), 'GET', bearer())],
  [
    'authorize',
    'authorize',
    () => passedBy(siteWith({}).introspection({ authorize: never }), 'POST', { 'content-type': 'text/plain' }),
  ],
  [
    'layout',
    'layout',
    () => passedBy(siteWith({}).router({ layout: never }), 'GET', { ...bearer(), accept: 'text/html' }),
  ],
])('%s', async (_what, name, begin) => {
  const passed = begin();
  await tenSeconds();
  expect(passed).toEqual([new Error(`${name} gave no result within 10 s`)]);
});

test('user, at verify()', async () => {
  const verified = siteWith({ user: never })
    .verify(tokenOf())
    .catch((error: unknown) => error);
  await tenSeconds();
  expect(await verified).toEqual(new Error('user gave no result within 10 s'));
});

test('a result in time leaves no timer behind', async () => {
  const sessions = siteWith({ user: async () => ({ plan: 'free' }) });
  await sessions.verify(tokenOf());
  const before = jest.getTimerCount();
  await sessions.verify(tokenOf());
  expect(jest.getTimerCount()).toBe(before);
});

test('the wait alone keeps no process alive', () => {
  const timers = jest.spyOn(globalThis, 'setTimeout');
  void resultInTime(never(), 'user');
  expect(timers.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef())).toEqual([false]);
  timers.mockRestore();
});
