/** Issuers and their keys behind the whole middleware, over HTTP: what a sender can make a site do, and what an operator hears. */

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express from 'express';
import {
  authRocket,
  managedSessions,
  memoryStore,
  oidc,
  type IssuerOptions,
  type ManagedSessions,
  type SessionEvents,
} from '../../lib/index.js';
import { createTestIssuer, type TestIssuer } from '../../lib/testing/issuer.js';
import { createEndpoint, jwkOf, keySet, KEYS } from '../support/issuer.js';
import { startOidcProvider, type OidcProvider } from '../support/provider.js';
import { forge } from './forge.js';

const MINUTE = 60_000;
const HEARD = ['keysDown', 'keysUp', 'keySkipped', 'tokenRefused'] as const;

/** The clock of the test issuers stands still: how long the machine takes decides nothing. */
const START = Math.floor(Date.now() / 1000) * 1000;
const still = { now: (): number => START };

/** In step with the clock of the issuers until it is moved. */
class MovableClock {
  readonly #issuers: { now(): number };
  ahead = 0;

  constructor(issuers: { now(): number }) {
    this.#issuers = issuers;
  }

  readonly now = (): number => this.#issuers.now() + this.ahead;
}

interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: { readonly code?: string; readonly user?: { readonly id: string }; readonly scope?: string };
}

interface Site {
  readonly sessions: ManagedSessions;
  readonly clock: MovableClock;
  /** What was told, in its order; refusals by their code. */
  readonly events: readonly (readonly [string, unknown])[];
  get(token: string, path?: string): Promise<Answer>;
}

const endings: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

/** An Express app that requires a login on `/`, or for each of several issuers on a path of its own. */
async function startSite(
  issuer: IssuerOptions | Readonly<Record<string, IssuerOptions>>,
  issuers: { now(): number } = still,
): Promise<Site> {
  const clock = new MovableClock(issuers);
  const app = express();
  const events: (readonly [string, unknown])[] = [];
  const byPath = isOne(issuer) ? { '/': issuer } : issuer;
  const all = Object.entries(byPath).map(([path, each]) => {
    const sessions = managedSessions({ issuer: each, store: memoryStore(), clock });
    for (const name of HEARD) sessions.on(name, (event: SessionEvents[typeof name]) => events.push(told(name, event)));
    endings.push(() => sessions.close());
    app.get(path, sessions, (req, res) => res.json({ user: req.user, scope: req.user?.claims['scope'] }));
    return sessions;
  });
  const server = app.listen(0, '127.0.0.1');
  // A busy machine lets a connection be idle for seconds, and the client would use it just as it is closed.
  server.keepAliveTimeout = 0;
  await once(server, 'listening');
  endings.push(async () => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    sessions: all[0]!,
    clock,
    events,
    async get(token, path = '/') {
      const response = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } });
      return {
        status: response.status,
        retryAfter: response.headers.get('retry-after'),
        body: (await response.json()) as Answer['body'],
      };
    },
  };
}

function isOne(issuer: IssuerOptions | Readonly<Record<string, IssuerOptions>>): issuer is IssuerOptions {
  return typeof issuer.issuer === 'string';
}

function told(name: string, event: object): readonly [string, unknown] {
  return 'code' in event ? [name, event.code] : [name, event];
}

async function newIssuer(): Promise<TestIssuer> {
  const issuer = await createTestIssuer({ clock: still });
  endings.push(() => issuer.close());
  return issuer;
}

function byKeySet({ issuer, jwksUri }: TestIssuer): IssuerOptions {
  return { issuer, jwksUri };
}

/** A key set is fetched in the background: asks until that has come to an end. */
async function refreshed({ sessions }: Site, isDone: () => boolean): Promise<void> {
  while (!isDone()) {
    sessions.health();
    await new Promise(setImmediate);
  }
}

describe('a flood of unknown key ids', () => {
  test('costs one fetch, and those whose key is known do not notice', async () => {
    const issuer = await newIssuer();
    const site = await startSite(byKeySet(issuer));
    const known = issuer.issue();
    expect(await site.get(known)).toMatchObject({ status: 200 });
    const fetches = issuer.requests;

    const flood = Array.from({ length: 200 }, (_, index) => site.get(issuer.issue({}, { kid: `unknown-${index}` })));
    const others = Array.from({ length: 20 }, (_, index) => [
      site.get(known),
      site.get(issuer.issue({ sub: `user-${index}` })),
    ]);
    for (const answer of await Promise.all(flood)) {
      expect(answer).toMatchObject({ status: 401, body: { code: 'key_unknown' } });
    }
    for (const answer of await Promise.all(others.flat())) expect(answer.status).toBe(200);
    expect(issuer.requests - fetches).toBe(1);

    site.clock.ahead = 31_000;
    await site.get(issuer.issue({}, { kid: 'one more' }));
    expect(issuer.requests - fetches).toBe(2);
  });

  test('does not keep a new key from being found, half a minute later at the latest', async () => {
    const issuer = await newIssuer();
    const site = await startSite(byKeySet(issuer));
    await site.get(issuer.issue());
    await site.get(issuer.issue({}, { kid: 'unknown' }));
    await issuer.rotateKeys({ keepOld: true });
    const rotated = issuer.issue();
    expect(await site.get(rotated)).toMatchObject({ status: 401, body: { code: 'key_unknown' } });
    site.clock.ahead = 30_000;
    expect(await site.get(rotated)).toMatchObject({ status: 200 });
  });
});

describe('an endpoint that is down', () => {
  test('from the beginning: 503 and not 401, until it is up', async () => {
    const issuer = await newIssuer();
    issuer.keysDown();
    const site = await startSite(byKeySet(issuer));
    const token = issuer.issue();
    const answers = await Promise.all(Array.from({ length: 50 }, () => site.get(token)));
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 503, retryAfter: '1', body: { code: 'keys_unavailable' } });
    }
    expect(site.events).toEqual([['keysDown', { issuer: issuer.issuer, error: expect.any(Error) }]]);
    expect(site.sessions.health().keys).toMatchObject({ ok: false, age: null, lastError: expect.any(String) });
    expect(issuer.requests).toBeLessThan(5);

    issuer.keysUp();
    site.clock.ahead = 5_000;
    expect(await site.get(token)).toMatchObject({ status: 200 });
    expect(site.events.slice(1)).toEqual([['keysUp', { issuer: issuer.issuer }]]);
    expect(site.sessions.health().keys).toMatchObject({ ok: true, lastError: null });
  });

  test('later: the keys at hand go on, for a day; only what they cannot judge is 503', async () => {
    const issuer = await newIssuer();
    const site = await startSite(byKeySet(issuer));
    const tokens = [0, 1].map(() => issuer.issue({ exp: START / 1000 + 3 * 86_400 }));
    expect(await site.get(tokens[0]!)).toMatchObject({ status: 200 });

    issuer.keysDown();
    site.clock.ahead = 60 * MINUTE;
    expect(await site.get(tokens[0]!)).toMatchObject({ status: 200 });
    await refreshed(site, () => site.events.length > 0);
    expect(site.events).toEqual([['keysDown', { issuer: issuer.issuer, error: expect.any(Error) }]]);
    expect(await site.get(tokens[1]!)).toMatchObject({ status: 200 });
    expect(await site.get(issuer.issue({}, { kid: 'unknown' }))).toMatchObject({
      status: 503,
      retryAfter: expect.stringMatching(/^\d+$/),
      body: { code: 'keys_unavailable' },
    });
    expect(await site.get('rubbish')).toMatchObject({ status: 401, body: { code: 'token_malformed' } });

    site.clock.ahead = 24 * 60 * MINUTE + 1_000;
    expect(await site.get(tokens[1]!)).toMatchObject({ status: 503 });
  });
});

test('an operator hears which key of a set cannot be used, with its place in the set', async () => {
  const endpoint = await createEndpoint(
    keySet(jwkOf(KEYS.x25519.publicKey), jwkOf(KEYS.rsa.publicKey, { kid: 'a' }), jwkOf(KEYS.smallRsa.publicKey)),
  );
  endings.push(() => endpoint.close());
  const issuer = 'https://id.example.com/';
  const site = await startSite({ issuer, jwksUri: endpoint.url });
  const payload = { iss: issuer, sub: 'ann', iat: START / 1000, exp: START / 1000 + 60 };
  const token = forge({ alg: 'RS256', key: KEYS.rsa.privateKey, header: { kid: 'a' }, payload });
  expect(await site.get(token)).toMatchObject({ status: 200, body: { user: { id: 'ann' } } });
  expect(site.events).toEqual([
    ['keySkipped', { issuer, index: 0, kid: undefined, why: expect.stringContaining('Ed25519') }],
    ['keySkipped', { issuer, index: 2, kid: undefined, why: expect.stringContaining('1024 bits') }],
  ]);
});

describe('two realms of AuthRocket, which name the same issuer and may name their keys alike', () => {
  const payload = (realm: string): object => ({
    iss: 'https://authrocket.com',
    sub: 'usr_1',
    rid: realm,
    iat: START / 1000,
    exp: START / 1000 + 60,
    orgs: [{ oid: 'org_1', mid: 'mb_1', perm: ['ar:owner'], selected: true, name: 'Widgets Inc' }],
  });

  test('each lets in its own, and a flood at one asks nothing of the other', async () => {
    const [staffKeys, shopKeys] = await Promise.all([
      createEndpoint(keySet(jwkOf(KEYS.rsa.publicKey, { kid: 'k' }))),
      createEndpoint(keySet(jwkOf(KEYS.otherRsa.publicKey, { kid: 'k' }))),
    ]);
    endings.push(
      () => staffKeys.close(),
      () => shopKeys.close(),
    );
    const site = await startSite({
      '/staff': authRocket({ loginRocketUrl: staffKeys.url, realm: 'rl_staff' }),
      '/shop': authRocket({ loginRocketUrl: shopKeys.url, realm: 'rl_shop' }),
    });
    const sign = (key: keyof typeof KEYS, realm: string, kid = 'k') =>
      forge({ alg: 'RS256', key: KEYS[key].privateKey, header: { kid }, payload: payload(realm) });
    const organizations = [
      {
        id: 'org_1',
        membershipId: 'mb_1',
        name: 'Widgets Inc',
        reference: null,
        permissions: ['ar:owner'],
        selected: true,
      },
    ];
    const [staff, shop] = [sign('rsa', 'rl_staff'), sign('otherRsa', 'rl_shop')];
    expect(await site.get(staff, '/staff')).toMatchObject({ status: 200, body: { user: { orgs: organizations } } });
    expect(await site.get(shop, '/shop')).toMatchObject({ status: 200, body: { user: { orgs: organizations } } });
    for (const [token, path, code] of [
      [staff, '/shop', 'signature_invalid'],
      [shop, '/staff', 'signature_invalid'],
      [sign('rsa', 'rl_shop'), '/shop', 'signature_invalid'],
      [sign('rsa', 'rl_shop'), '/staff', 'claim_invalid'],
    ] as const) {
      expect(await site.get(token, path)).toMatchObject({ status: 401, body: { code } });
    }

    const asked = shopKeys.requests;
    await Promise.all(
      Array.from({ length: 50 }, (_, index) => site.get(sign('rsa', 'rl_staff', `k${index}`), '/staff')),
    );
    expect(staffKeys.requests).toBe(2);
    expect(shopKeys.requests).toBe(asked);
  });

  test('in one object they cannot be told apart, and that is said at construction', () => {
    const realm = (name: string): IssuerOptions => authRocket({ secret: `jsk_${name.repeat(40)}`, realm: name });
    expect(() => managedSessions({ issuer: [realm('a'), realm('b')] })).toThrow(
      new TypeError("issuer: 'https://authrocket.com' is given twice"),
    );
  });
});

describe('a real OpenID provider', () => {
  const API = 'https://api.example.com/orders';
  let provider: OidcProvider;

  beforeAll(async () => {
    provider = await startOidcProvider();
  });
  afterAll(() => provider.close());

  test.each([
    ['RS256', API],
    ['ES256', `${API}/ec`],
  ])('its access token, %s, is a login; another audience’s is none', async (_alg, audience) => {
    const site = await startSite(oidc({ issuer: provider.issuer, audience }), Date);
    expect(await site.get(await provider.accessToken(audience))).toMatchObject({
      status: 200,
      body: { user: { id: 'orders-job', issuer: provider.issuer }, scope: 'orders:read' },
    });
    expect(await site.get(await provider.accessToken(`${API}/others`))).toMatchObject({
      status: 401,
      body: { code: 'audience_refused' },
    });
    expect(site.events).toEqual([['tokenRefused', 'audience_refused']]);
  });

  test('rotates its keys: the new ones are let in at once, the old ones refused from then on', async () => {
    const site = await startSite(oidc({ issuer: provider.issuer, audience: API }), Date);
    const before = await provider.accessToken(API);
    expect(await site.get(before)).toMatchObject({ status: 200 });
    await provider.rotateKeys();
    const after = await provider.accessToken(API);
    expect(await site.get(before)).toMatchObject({ status: 200 });
    expect(await site.get(after)).toMatchObject({ status: 200 });
    expect(await site.get(before)).toMatchObject({ status: 401, body: { code: 'key_unknown' } });
    expect(site.events).toEqual([['tokenRefused', 'key_unknown']]);
  });

  test('rotates its keys, and nobody brings a new one: the old ones are refused with the next refresh', async () => {
    const site = await startSite(oidc({ issuer: provider.issuer, audience: API }), Date);
    const token = await provider.accessToken(API);
    expect(await site.get(token)).toMatchObject({ status: 200 });
    await provider.rotateKeys();
    site.clock.ahead = 8 * MINUTE;
    expect(await site.get(token)).toMatchObject({ status: 200 });
    await refreshed(site, () => (site.sessions.health().keys.age ?? Infinity) < MINUTE);
    expect(await site.get(token)).toMatchObject({ status: 401, body: { code: 'key_unknown' } });
  });
});
