/** Issuers by function behind the whole middleware: over HTTP, with key sets, and what an operator hears. */

import { createSecretKey } from 'node:crypto';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import {
  authRocket,
  LoginError,
  managedSessions,
  memoryStore,
  oidc,
  type IssuerFunction,
  type ManagedSessions,
  type ManagedSessionsOptions,
  type UserReference,
} from '../../lib/index.js';
import { createTestIssuer } from '../../lib/testing/index.js';
import { createEndpoint, jwkOf, keySet, KEYS, ManualClock, noAnswer } from '../support/issuer.js';
import { forge } from './forge.js';

const MINUTE = 60_000;
const { p256, otherRsa } = KEYS;
const NAMES = ['keysDown', 'keysUp', 'keySkipped', 'sessionUnnamed', 'tokenRefused'] as const;

/** All but `setTimeout`. */
const NOT_FAKED = [
  'Date',
  'performance',
  'hrtime',
  'nextTick',
  'queueMicrotask',
  'setImmediate',
  'setInterval',
] as const;

const endings: (() => unknown)[] = [];
let warnings: jest.SpyInstance;

beforeEach(() => {
  warnings = jest.spyOn(process, 'emitWarning').mockReturnValue(undefined);
});
afterEach(async () => {
  jest.restoreAllMocks();
  for (const end of endings.splice(0).reverse()) await end();
});

const settled = () => new Promise(setImmediate);
const tenant = (index: number) => `https://${index}.id.example.com/`;
const SECRET = 'a secret of at least 32 bytes in length';
const byKeySet = (iss: string, jwksUri: string) => ({ issuer: iss, jwksUri, session: 'sid' });

function start(issuer: IssuerFunction, options: Omit<Partial<ManagedSessionsOptions>, 'issuer' | 'user'> = {}) {
  const clock = new ManualClock(Math.floor(Date.now() / 1000) * 1000);
  const sessions = managedSessions({ issuer, store: memoryStore(), clock, ...options });
  endings.push(() => sessions.close());
  const told: (readonly [string, Readonly<Record<string, unknown>>])[] = [];
  for (const name of NAMES) sessions.on(name, (event) => told.push([name, { ...event }]));

  /** Signed with the key of the tenants' key sets. */
  function token(iss: string, claims: object = {}): string {
    const now = clock.now() / 1000;
    const payload = { iss, sub: 'ann', sid: 's', iat: now, exp: now + 3600, ...claims };
    return forge({ alg: 'ES256', key: p256.privateKey, payload });
  }
  return { sessions, clock, told, token };
}

async function serve(answer: Parameters<typeof createEndpoint>[0]) {
  const endpoint = await createEndpoint(answer);
  endings.push(() => endpoint.close());
  return endpoint;
}

/** `in` or the code of the refusal. */
async function outcome(sessions: ManagedSessions, token: string): Promise<string> {
  return sessions.verify(token).then(
    () => 'in',
    (error: unknown) => (error instanceof LoginError ? error.code : String(error)),
  );
}

/** So that nothing ends because its time is up, however busy the machine is. */
function stopTimeouts(): void {
  jest.useFakeTimers({ doNotFake: [...NOT_FAKED] });
  endings.push(() => jest.useRealTimers());
}

describe('eviction', () => {
  beforeEach(stopTimeouts);

  /** The tenant 0 has a key set, and all others a public key. */
  function startMany(jwksUri: string) {
    return start((iss) =>
      iss === tenant(0)
        ? { ...byKeySet(iss, jwksUri), keysMaxAge: '1s' }
        : { issuer: iss, publicKey: p256.publicKey, session: 'sid' },
    );
  }
  function evict(sessions: ManagedSessions, token: (iss: string) => string): Promise<string>[] {
    return Array.from({ length: 1_000 }, (_, index) => outcome(sessions, token(tenant(index + 1))));
  }

  test('lets those in who wait for the keys', async () => {
    const asked: ServerResponse[] = [];
    const endpoint = await serve((response) => asked.push(response));
    const { sessions, token } = startMany(endpoint.url);
    const waiting = outcome(sessions, token(tenant(0)));
    while (asked.length === 0) await settled();
    expect(new Set(await Promise.all(evict(sessions, token)))).toEqual(new Set(['in']));
    keySet(jwkOf(p256.publicKey))(asked[0]!, asked[0]!.req);
    expect(await waiting).toBe('in');
  });

  test('lets those in who have not even asked for the keys yet', async () => {
    const endpoint = await serve(keySet(jwkOf(p256.publicKey)));
    const { sessions, token } = startMany(endpoint.url);
    const first = outcome(sessions, token(tenant(0)));
    expect(new Set(await Promise.all([first, ...evict(sessions, token)]))).toEqual(new Set(['in']));
  });

  test('ends a fetch for which nobody waits', async () => {
    const endpoint = await serve(keySet(jwkOf(p256.publicKey)));
    const { sessions, clock, token, told } = startMany(endpoint.url);
    expect(await outcome(sessions, token(tenant(0)))).toBe('in');
    const closed = new Promise((resolve) => {
      endpoint.answer = (response) => response.on('close', resolve);
    });
    clock.advance(800);
    expect(await outcome(sessions, token(tenant(0), { sub: 'bob' }))).toBe('in');
    while (endpoint.requests < 2) await settled();
    await Promise.all(evict(sessions, token));
    await closed;
    expect(told).toEqual([]);
  });
});

test('close() ends the fetches of tenants, and of those that were evicted', async () => {
  stopTimeouts();
  const closed: Promise<unknown>[] = [];
  const endpoint = await serve((response) => closed.push(once(response, 'close')));
  const { sessions, token } = start((iss) =>
    iss.includes('slow') ? byKeySet(iss, endpoint.url) : { issuer: iss, publicKey: p256.publicKey, session: 'sid' },
  );
  const evicted = outcome(sessions, token('https://slow.example.com/1'));
  while (closed.length < 1) await settled();
  await Promise.all(Array.from({ length: 1_000 }, (_, index) => outcome(sessions, token(tenant(index)))));
  const held = outcome(sessions, token('https://slow.example.com/2'));
  while (closed.length < 2) await settled();
  await sessions.close();
  expect(await Promise.all([evicted, held])).toEqual(['keys_unavailable', 'keys_unavailable']);
  await Promise.all(closed);
});

describe('what is told', () => {
  test('names the tenant, and one broken key set does not make the keys not ok', async () => {
    const [good, bad] = [await serve(keySet(jwkOf(p256.publicKey), { kty: 'oct', kid: 'x' })), await serve(noAnswer)];
    bad.answer = (response) => response.writeHead(500).end();
    const [fine, broken] = [tenant(1), tenant(2)];
    const { sessions, clock, token, told } = start((iss) => ({
      issuer: iss,
      jwksUri: iss === fine ? good.url : bad.url,
    }));
    expect(sessions.health().keys).toEqual({ ok: true, age: null, lastError: null });
    expect(await outcome(sessions, token(fine, { sid: undefined, jti: 'j' }))).toBe('in');
    expect(await outcome(sessions, token(broken))).toBe('keys_unavailable');
    expect(sessions.health().keys).toMatchObject({ ok: true, lastError: null });
    bad.answer = keySet(jwkOf(p256.publicKey));
    clock.advance(10_000);
    expect(await outcome(sessions, token(broken))).toBe('in');
    expect(told).toEqual([
      ['keySkipped', { issuer: fine, index: 1, kid: 'x', why: expect.any(String) }],
      ['sessionUnnamed', { issuer: fine, claims: expect.arrayContaining(['jti']) }],
      ['keysDown', { issuer: broken, error: expect.objectContaining({ message: expect.stringMatching(/500/) }) }],
      ['keysUp', { issuer: broken }],
    ]);
    expect(warnings.mock.calls.map(([, { code }]: [string, { code: string }]) => code)).toEqual([
      'MANAGED_SESSIONS_SESSION_UNNAMED',
      'MANAGED_SESSIONS_KEYS_DOWN',
    ]);
    expect(JSON.stringify(warnings.mock.calls)).toContain(broken.slice(0, -1));
  });

  test('of a key set in the options: the keys that are skipped', async () => {
    const keys = [jwkOf(p256.publicKey), { kty: 'oct', kid: 'x' }];
    const { sessions, token, told } = start((iss) => ({ issuer: iss, publicKey: { keys } }));
    expect(await outcome(sessions, token(tenant(1)))).toBe('in');
    expect(told).toEqual([['keySkipped', { issuer: tenant(1), index: 1, kid: 'x', why: expect.any(String) }]]);
  });

  test('of a function that fails: which issuer, and why', async () => {
    let works = false;
    const { sessions, token, told } = start((iss) => {
      if (!works) throw new Error('no database at postgres://me:hunter2@db/tenants');
      return { issuer: iss, publicKey: p256.publicKey };
    });
    expect(await outcome(sessions, token(tenant(1)))).toBe('keys_unavailable');
    expect(sessions.health().keys).toMatchObject({ ok: false, lastError: expect.stringMatching(/no database/) });
    expect(JSON.stringify(warnings.mock.calls)).toMatch(/no database at postgres:\/\/db\/tenants/);
    works = true;
    expect(await outcome(sessions, token(tenant(2)))).toBe('in');
    expect(sessions.health().keys).toMatchObject({ ok: true, lastError: null });
    expect(told).toEqual([
      [
        'keysDown',
        { issuer: tenant(1), error: expect.objectContaining({ message: expect.stringMatching(/^The issuer fun/) }) },
      ],
    ]);
  });
});

describe('presets', () => {
  test('oidc() and discover: true', async () => {
    const issuer = await createTestIssuer();
    endings.push(() => issuer.close());
    for (const options of [
      (iss: string) => oidc({ issuer: iss, audience: 'shop' }),
      (iss: string) => ({ issuer: iss, discover: true, audience: 'shop' }),
    ]) {
      const { sessions, clock } = start(async (iss) => options(iss));
      const iat = clock.now() / 1000;
      expect(await outcome(sessions, issuer.issue({ aud: 'shop', iat }))).toBe('in');
      expect(await outcome(sessions, issuer.issue({ aud: 'blog', iat }))).toBe('audience_refused');
    }
  });

  test('authRocket()', async () => {
    const { sessions, clock } = start((iss) =>
      iss === 'https://authrocket.com' ? authRocket({ secret: SECRET, realm: 'rl_1' }) : null,
    );
    const exp = clock.now() / 1000 + 60;
    const payload = { iss: 'https://authrocket.com', sub: 'usr_1', rid: 'rl_1', sid: 's', iat: exp - 60, exp };
    const token = forge({ alg: 'HS256', key: createSecretKey(Buffer.from(SECRET)), payload });
    expect(await sessions.verify(token)).toMatchObject({ user: { id: 'usr_1', issuer: 'https://authrocket.com' } });
  });

  test('a jwksUri that is a URL, and is changed afterwards', async () => {
    const endpoint = await serve(keySet(jwkOf(p256.publicKey)));
    const uri = new URL(`${endpoint.url}/keys`);
    const { sessions, clock, token } = start((iss) => ({ issuer: iss, jwksUri: uri, session: 'sid' }));
    expect(await outcome(sessions, token(tenant(1)))).toBe('in');
    uri.port = '9';
    clock.advance(11 * MINUTE);
    expect(await outcome(sessions, token(tenant(1)))).toBe('in');
    expect(endpoint.requests).toBe(2);
  });
});

describe('over HTTP', () => {
  async function site(issuer: IssuerFunction) {
    const { sessions, token } = start(issuer);
    const app = express();
    let handled = 0;
    app.get('/optional', sessions.optional(), (req, res) => res.json({ code: req.loginError?.code }));
    app.get('/', sessions, (req, res) => {
      handled += 1;
      res.json({ user: req.user });
    });
    const server = app.listen(0, '127.0.0.1');
    server.keepAliveTimeout = 0;
    await once(server, 'listening');
    endings.push(() => {
      server.close();
      server.closeAllConnections();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    async function get(text: string, path = '/') {
      const response = await fetch(url + path, { headers: { authorization: `Bearer ${text}` } });
      const { headers, status } = response;
      return { status, retryAfter: headers.get('retry-after'), body: await response.json() };
    }
    return { get, token, handled: () => handled };
  }

  test('a tenant is let in, and somebody else is not', async () => {
    const { get, token } = await site((iss) =>
      iss === tenant(1) ? { issuer: iss, publicKey: p256.publicKey, session: 'sid' } : null,
    );
    expect(await get(token(tenant(1)))).toMatchObject({
      status: 200,
      body: { user: { id: 'ann', issuer: tenant(1) } },
    });
    expect(await get(token(tenant(2)))).toMatchObject({ status: 401, body: { code: 'issuer_refused' } });
    expect(await get(token(tenant(2)), '/optional')).toMatchObject({ status: 200, body: { code: 'issuer_refused' } });
  });

  test.each([
    ['undefined', undefined],
    ["'route'", 'route'],
    ["'router'", 'router'],
    ['an object without prototype', Object.create(null)],
  ])('whoever is asked throws %s: 503, and no handler runs', async (_, reason) => {
    for (const issuer of [
      () => {
        throw reason;
      },
      () => Promise.reject(reason as Error),
    ]) {
      const { get, token, handled } = await site(issuer);
      expect(await get(token(tenant(1)))).toMatchObject({
        status: 503,
        retryAfter: '1',
        body: { code: 'keys_unavailable', detail: expect.stringMatching(/cannot be checked at the moment/) },
      });
      expect(await get(token(tenant(1)), '/optional')).toMatchObject({ body: { code: 'keys_unavailable' } });
      expect(handled()).toBe(0);
    }
  });
});

describe('calls that take a user', () => {
  const calls: readonly (readonly [string, (sessions: ManagedSessions, user: UserReference) => Promise<unknown>])[] = [
    ['list', (sessions, user) => sessions.list(user)],
    ['get', (sessions, user) => sessions.get(user, 'x'.repeat(22))],
    ['label', (sessions, user) => sessions.label(user, 'x'.repeat(22), 'phone')],
    ['revoke', (sessions, user) => sessions.revoke(user, 'x'.repeat(22))],
    ['revokeAll', (sessions, user) => sessions.revokeAll(user)],
  ];

  test.each(calls)('%s: takes issuer and subject, of whomever', async (_, call) => {
    const issuer = jest.fn(() => null);
    const { sessions } = start(issuer);
    const rejected = (user: unknown) => call(sessions, user as UserReference).catch((error: unknown) => error);
    await expect(rejected('ann')).resolves.toEqual(
      new TypeError('user must be { issuer, subject }: a function finds the issuers'),
    );
    expect(String(await rejected({ subject: 'ann' }))).toMatch(/^TypeError: user must be \{ issuer, subject \}/);
    for (const wrong of [5, '', null]) {
      expect(String(await rejected({ issuer: wrong, subject: 'ann' }))).toMatch(
        /^TypeError: user\.issuer must be a non-empty string/,
      );
    }
    expect(await rejected({ issuer: tenant(1), subject: 'ann' })).not.toBeInstanceOf(TypeError);
    expect(issuer).not.toHaveBeenCalled();
  });

  test('revokeAll() ends the sessions of a tenant that this process has never seen', async () => {
    const store = memoryStore();
    const issuer: IssuerFunction = (iss) => ({ issuer: iss, publicKey: p256.publicKey, session: 'sid' });
    const [here, there] = [start(issuer, { store }), start(issuer, { store })];
    const token = here.token(tenant(1), { iat: here.clock.now() / 1000 - 60 });
    expect(await outcome(here.sessions, token)).toBe('in');
    await there.sessions.revokeAll({ issuer: tenant(1), subject: 'ann' });
    expect(await outcome(here.sessions, token)).toBe('session_revoked');
    expect(await outcome(there.sessions, token)).toBe('session_revoked');
  });
});

test('the clock tolerance of a tenant outlives its eviction, and is the default where none is known', async () => {
  const store = memoryStore();
  let tolerance = '2m';
  const { sessions, token } = start(
    (iss) => ({
      issuer: iss,
      publicKey: p256.publicKey,
      session: 'sid',
      ...(iss === tenant(0) && { clockTolerance: tolerance as '2m' }),
    }),
    { store },
  );
  const revokeAll = jest.spyOn(store, 'revokeAll');
  async function used(iss: string): Promise<number | undefined> {
    await sessions.revokeAll({ issuer: iss, subject: 'ann' });
    return revokeAll.mock.lastCall?.[1].policy.clockTolerance;
  }
  async function evictFirst(): Promise<void> {
    for (let index = 1; index <= 1_000; index += 1) await outcome(sessions, token(tenant(index), { sub: 'bob' }));
  }
  expect(await used(tenant(0))).toBe(5_000);
  expect(await outcome(sessions, token(tenant(0), { sub: 'bob' }))).toBe('in');
  expect(await used(tenant(0))).toBe(2 * MINUTE);
  await evictFirst();
  expect(await used(tenant(0))).toBe(2 * MINUTE);
  expect(await used(tenant(1))).toBe(5_000);
  tolerance = '5s';
  expect(await outcome(sessions, token(tenant(0), { sub: 'eve' }))).toBe('in');
  expect(await used(tenant(0))).toBe(5_000);
});

test('a key of one tenant opens nothing of another', async () => {
  const { sessions, token } = start((iss) => ({
    issuer: iss,
    publicKey: iss === tenant(1) ? p256.publicKey : otherRsa.publicKey,
  }));
  expect(await outcome(sessions, token(tenant(1)))).toBe('in');
  expect(await outcome(sessions, token(tenant(2)))).toBe('algorithm_refused');
});
