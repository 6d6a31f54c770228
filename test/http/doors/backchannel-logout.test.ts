/** The door for logout tokens: OpenID Connect Back-Channel Logout 1.0. */

import { request as httpRequest } from 'node:http';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { LoginError, managedSessions, memoryStore, type StoreCall } from '../../../lib/index.js';
import { createSecretKey } from 'node:crypto';
import { createEndpoint, KEYS, keySet, jwkOf } from '../../support/issuer.js';
import { encode, forge } from '../../tokens/forge.js';
import {
  CLIENT_ID,
  DoorsSite,
  EVENT_TYPE,
  eventToken,
  FORM,
  ISSUER,
  LOGOUT_EVENT,
  loginToken,
  logoutToken,
  message,
  NOW,
  SECOND,
  SECRET_ISSUER,
} from './doors-site.js';

let site: DoorsSite;

beforeAll(async () => {
  site = await DoorsSite.start();
});
afterAll(() => site.close());
beforeEach(() => site.reset());

const EVENTS = { [LOGOUT_EVENT]: {} };
/** Signed by the issuer, as something else than a logout token. */
const typed = (type: string | undefined): string =>
  message({ aud: CLIENT_ID, sub: 'ann', sid: 's1', events: EVENTS }, type);
const PUBLIC_PEM = createSecretKey(Buffer.from(KEYS.rsa.publicKey.export({ type: 'spki', format: 'pem' })));
const unsigned = (header: object): string =>
  `${encode(header)}.${encode({ iss: ISSUER, aud: CLIENT_ID, sub: 'ann', sid: 's1', iat: SECOND, jti: 'j', events: EVENTS })}`;

describe('a hostile logout token', () => {
  const good = logoutToken({ jti: 'good' });
  const [header = '', payload = '', signature = ''] = good.split('.');
  const HOSTILE: readonly (readonly [name: string, token: string])[] = [
    ['nothing', ''],
    ['not a token', 'rubbish'],
    ['two parts', `${header}.${payload}`],
    ['four parts', `${good}.x`],
    ['alg none without a signature', `${unsigned({ alg: 'none', typ: 'logout+jwt' })}.`],
    ['alg none with the signature of another', `${unsigned({ alg: 'none', typ: 'logout+jwt' })}.${signature}`],
    ['alg NONE', `${unsigned({ alg: 'NONE' })}.${signature}`],
    ['the public key as a secret', logoutToken({}, { alg: 'HS256', key: PUBLIC_PEM, header: { kid: 'rsa' } })],
    ["another issuer's secret", logoutToken({}, { alg: 'HS256' })],
    ["another issuer's key", logoutToken({ iss: SECRET_ISSUER })],
    ['a key that is not in the set', logoutToken({}, { key: KEYS.otherRsa.privateKey })],
    ['an unknown key id', logoutToken({}, { key: KEYS.otherRsa.privateKey, header: { kid: 'unknown' } })],
    [
      'an embedded key',
      logoutToken({}, { key: KEYS.otherRsa.privateKey, header: { jwk: jwkOf(KEYS.otherRsa.publicKey) } }),
    ],
    ['an algorithm that the key does not allow', logoutToken({}, { alg: 'RS512' })],
    ['crit', logoutToken({}, { header: { crit: ['exp'] } })],
    ['b64', logoutToken({}, { header: { b64: false } })],
    ['zip', logoutToken({}, { header: { zip: 'DEF' } })],
    ['the payload of another', `${header}.${logoutToken({ sub: 'bob' }).split('.')[1] ?? ''}.${signature}`],
    ['typ of a security event token', typed('secevent+jwt')],
    ['typ of an access token', typed('at+jwt')],
    [
      'typ that is a number',
      message({ aud: CLIENT_ID, sub: 'ann', events: EVENTS }, undefined, { header: { typ: 1 } }),
    ],
    ['a login token', loginToken()],
    ['no iss', logoutToken({ iss: undefined })],
    ['an unknown iss', logoutToken({ iss: 'https://evil.example.com/' })],
    ['iss with another slash', logoutToken({ iss: ISSUER.slice(0, -1) })],
    ['iss that is a list', logoutToken({ iss: [ISSUER] })],
    ['iss __proto__', logoutToken({ iss: '__proto__' })],
    ['no aud', logoutToken({ aud: undefined })],
    ["the API's audience", logoutToken({ aud: 'https://api.example.com' })],
    ['aud with a number', logoutToken({ aud: [CLIENT_ID, 1] })],
    ['an empty aud', logoutToken({ aud: [] })],
    ['no iat', logoutToken({ iat: undefined })],
    ['iat of more than two minutes ago', logoutToken({ iat: SECOND - 120.5 })],
    ['iat in six seconds', logoutToken({ iat: SECOND + 6 })],
    ['iat in text', logoutToken({ iat: String(SECOND) })],
    [
      'iat 1e400',
      forge({
        alg: 'RS256',
        key: KEYS.rsa.privateKey,
        header: { kid: 'rsa' },
        payload: `{"iss":"${ISSUER}","aud":"${CLIENT_ID}","sub":"ann","jti":"x","iat":1e400,"events":{"${LOGOUT_EVENT}":{}}}`,
      }),
    ],
    ['exp in the past', logoutToken({ exp: SECOND - 6 })],
    ['exp in text', logoutToken({ exp: 'tomorrow' })],
    ['nbf in the future', logoutToken({ nbf: SECOND + 6 })],
    ['no jti', logoutToken({ jti: undefined })],
    ['an empty jti', logoutToken({ jti: '' })],
    ['jti that is a number', logoutToken({ jti: 7 })],
    ['jti with a lone surrogate', logoutToken({ jti: '\ud800' })],
    ['no events', logoutToken({ events: undefined })],
    ['events without the logout event', logoutToken({ events: { 'https://example.com/event': {} } })],
    ['events that is a list', logoutToken({ events: [LOGOUT_EVENT] })],
    ['events that is text', logoutToken({ events: LOGOUT_EVENT })],
    ['an event that is true', logoutToken({ events: { [LOGOUT_EVENT]: true } })],
    ['an event that is null', logoutToken({ events: { [LOGOUT_EVENT]: null } })],
    ['a nonce', logoutToken({ nonce: 'n' })],
    ['a nonce that is null', logoutToken({ nonce: null })],
    ['neither sub nor sid', logoutToken({ sub: undefined, sid: undefined })],
    ['an empty sub', logoutToken({ sub: '' })],
    ['sub that is an object', logoutToken({ sub: {} })],
    ['sub that is null', logoutToken({ sub: null })],
    ['an empty sid', logoutToken({ sid: '' })],
    ['sid that is a list', logoutToken({ sid: ['s1'] })],
    ['sid that is no safe integer', logoutToken({ sid: 2 ** 53 })],
    ['sid alone, without sessionIndex', logoutToken({ sub: undefined })],
    ['more characters than are allowed', logoutToken({ padding: 'x'.repeat(8192) })],
    [
      'a payload that nests 1,000 levels',
      forge({
        alg: 'RS256',
        key: KEYS.rsa.privateKey,
        header: { kid: 'rsa' },
        payload: `${'{"a":'.repeat(1000)}1${'}'.repeat(1000)}`,
      }),
    ],
    [
      'a payload that is not an object',
      forge({ alg: 'RS256', key: KEYS.rsa.privateKey, header: { kid: 'rsa' }, payload: '[]' }),
    ],
  ];

  it.each(HOSTILE)('%s is refused, and ends nothing', async (_name, token) => {
    const login = loginToken();
    expect(await site.visit(login)).toBe(200);
    const { status, json, text, headers } = await site.logout(token);
    expect(status).toBe(400);
    expect(json).toEqual({ error: 'invalid_request', error_description: expect.any(String) });
    expect(json['error_description']).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(await site.visit(login)).toBe(200);
    expect(site.errors).toEqual([]);
    const [, secret = 'no third part'] = token.split('.');
    if (token.length > 20) for (const said of [text, ...site.heard]) expect(said).not.toContain(secret.slice(0, 40));
  });
});

describe('a request that is not one of the specification', () => {
  const token = logoutToken({ jti: 'of hostile requests', sub: 'carl' });
  const form = `logout_token=${token}`;
  const REQUESTS: readonly (readonly [name: string, init: RequestInit])[] = [
    ['no body', {}],
    ['a form without the field', { body: 'token=x', headers: { 'content-type': FORM } }],
    ['the field twice', { body: `${form}&${form}`, headers: { 'content-type': FORM } }],
    ['an empty field', { body: 'logout_token=', headers: { 'content-type': FORM } }],
    ['JSON', { body: JSON.stringify({ logout_token: token }), headers: { 'content-type': 'application/json' } }],
    ['the bare token', { body: token, headers: { 'content-type': EVENT_TYPE } }],
    ['no content type', { body: new Blob([form]) }],
    ['a multipart form', { body: Object.assign(new FormData(), {}) }],
    ['a compressed body', { body: form, headers: { 'content-type': FORM, 'content-encoding': 'gzip' } }],
    ['invalid UTF-8', { body: new Uint8Array([0x6c, 0x3d, 0xff, 0xfe]), headers: { 'content-type': FORM } }],
    ['more than the limit', { body: `logout_token=${'x'.repeat(30_000)}`, headers: { 'content-type': FORM } }],
  ];

  it.each(REQUESTS)('%s is refused', async (_name, init) => {
    const { status, json, headers } = await site.request('/logout', init);
    expect([status, json['error']]).toEqual([400, 'invalid_request']);
    expect(headers.get('cache-control')).toBe('no-store');
  });

  it('another body parser changes nothing', async () => {
    expect(
      (await site.request('/parsed/logout', { body: `${form}&${form}`, headers: { 'content-type': FORM } })).status,
    ).toBe(400);
    expect(
      (await site.request('/parsed/logout', { body: '{}', headers: { 'content-type': 'application/json' } })).status,
    ).toBe(400);
    expect((await site.logout(logoutToken({ sub: 'dora' }), '/parsed/logout')).status).toBe(200);
  });

  it.each(['GET', 'HEAD', 'PUT', 'DELETE'])('%s is not allowed', async (method) => {
    const { status, headers } = await site.request('/logout', { method });
    expect([status, headers.get('allow'), headers.get('cache-control')]).toEqual([405, 'POST', 'no-store']);
  });

  it('a body that breaks off hangs nothing', async () => {
    const request = httpRequest(`${site.url}/logout`, {
      method: 'POST',
      headers: { 'content-type': FORM, 'content-length': '100' },
    });
    request.on('error', () => undefined).write('logout_token=');
    await once(request, 'socket');
    request.destroy();
    expect((await site.logout(logoutToken({ sub: 'eve' }))).status).toBe(200);
    expect(site.errors).toEqual([]);
  });
});

describe('a good logout token', () => {
  it.each([
    ['typ logout+jwt', 'logout+jwt'],
    ['typ JWT', 'JWT'],
    ['typ application/logout+jwt in capitals', 'APPLICATION/LOGOUT+JWT'],
    ['no typ', undefined],
  ])('with %s ends the session, and no other', async (_name, type) => {
    const [one, other] = [loginToken({ sid: `one ${String(type)}` }), loginToken({ sid: 'other' })];
    expect([await site.visit(one), await site.visit(other)]).toEqual([200, 200]);
    const token = message({ aud: CLIENT_ID, sub: 'ann', sid: `one ${String(type)}`, events: EVENTS }, type);
    const { status, text, headers } = await site.logout(token);
    expect([status, text, headers.get('cache-control')]).toEqual([200, '', 'no-store']);
    expect([await site.visit(one), await site.visit(other)]).toEqual([401, 200]);
  });

  it.each([
    ['aud that is a list', { aud: ['x', CLIENT_ID] }],
    ['the other client id', { aud: 'another' }],
    ['iat of two minutes ago', { iat: SECOND - 120 }],
    ['iat within the tolerance', { iat: SECOND + 5 }],
    ['exp within the tolerance', { exp: SECOND - 4 }],
    ['nbf within the tolerance', { nbf: SECOND + 5 }],
    ['another event beside it', { events: { ...EVENTS, 'https://example.com/event': { any: 'thing' } } }],
    ['sid that is an integer', { sid: 12 }],
  ])('may have %s', async (_name, claims) => {
    expect((await site.logout(logoutToken({ sub: 'finn', ...claims }))).status).toBe(200);
  });

  it('of the issuer with a secret is accepted', async () => {
    expect((await site.logout(logoutToken({ iss: SECRET_ISSUER }, { alg: 'HS256' }))).status).toBe(200);
  });

  it('ends a session that was never seen', async () => {
    expect((await site.logout(logoutToken({ sub: 'gwen', sid: 'unseen' }))).status).toBe(200);
    expect(await site.visit(loginToken({ sub: 'gwen', sid: 'unseen', iat: SECOND + 3 }))).toBe(401);
    expect(await site.visit(loginToken({ sub: 'gwen', sid: 'another' }))).toBe(200);
  });

  it('by sub alone ends every session that began up to it, and no later one', async () => {
    const before = loginToken({ sub: 'hugo', sid: 'before' });
    const unseen = loginToken({ sub: 'hugo', sid: 'unseen' });
    const later = loginToken({ sub: 'hugo', sid: 'later', iat: SECOND + 1 });
    expect([await site.visit(before), await site.visit(later)]).toEqual([200, 200]);
    site.clock.at = NOW + 60_000;
    const told: unknown[] = [];
    const stop = site.sessions.on('sessionEnded', ({ reason, by, here }) => told.push({ reason, by, here }));
    expect((await site.logout(logoutToken({ sub: 'hugo', sid: undefined }))).status).toBe(200);
    stop();
    expect([await site.visit(before), await site.visit(unseen), await site.visit(later)]).toEqual([401, 401, 200]);
    expect(told).toEqual([{ reason: 'backchannel_logout', by: ISSUER, here: true }]);
  });

  it('is accepted once', async () => {
    const token = logoutToken({ sub: 'iris' });
    expect((await site.logout(token)).status).toBe(200);
    const { status, json } = await site.logout(token);
    expect([status, json]).toEqual([
      400,
      { error: 'invalid_request', error_description: 'The logout token was used before' },
    ]);
    // The id counts, whatever else the token says.
    expect((await site.logout(logoutToken({ sub: 'iris', jti: 'twice', sid: 'a' }))).status).toBe(200);
    expect((await site.logout(logoutToken({ sub: 'iris', jti: 'twice', sid: 'b' }))).status).toBe(400);
    // Another issuer may use the same id.
    const signed = { alg: 'HS256' } as const;
    expect((await site.logout(logoutToken({ iss: SECRET_ISSUER, jti: 'twice' }, signed))).status).toBe(200);
  });

  it('is remembered for longer than it is valid, in processes whose clocks differ too', async () => {
    const until: number[] = [];
    const store = memoryStore();
    const use = store.useMessage.bind(store);
    store.useMessage = (id, end, at) => {
      until.push(end);
      return use(id, end, at);
    };
    const watched = await DoorsSite.start({ store });
    const token = logoutToken({ iat: SECOND });
    expect((await watched.logout(token)).status).toBe(200);
    expect((await watched.push(eventToken({ iat: SECOND }))).status).toBe(202);
    // Its longest age, the issuer's tolerance, and a minute for clocks that differ.
    expect(until).toEqual([120_000, 86_400_000].map((age) => NOW + age + 5000 + 60_000));
    watched.clock.at = NOW + 120_000;
    expect(await watched.logout(token)).toMatchObject({
      status: 400,
      json: { error_description: 'The logout token was used before' },
    });
    await watched.close();
  });

  it('is accepted once for as long as it is good, also if the clock of its issuer is ahead', async () => {
    const issuer = { issuer: ISSUER, publicKey: KEYS.rsa.publicKey, clockTolerance: '1h' } as const;
    const tolerant = await DoorsSite.start({ issuer });
    const token = logoutToken({ sid: undefined, iat: SECOND + 3600 });
    expect((await tolerant.logout(token)).status).toBe(200);
    tolerant.clock.at = NOW + 3_720_000;
    const later = loginToken({ iat: SECOND + 3660, exp: SECOND + 9000, sid: 'later' });
    expect(await tolerant.visit(later)).toBe(200);
    expect((await tolerant.logout(token)).status).toBe(400);
    expect(await tolerant.visit(later)).toBe(200);
    await tolerant.close();
  });

  it('that arrives twice at the same time is harmless', async () => {
    const token = logoutToken({ sub: 'jack' });
    const statuses = await Promise.all(Array.from({ length: 8 }, async () => (await site.logout(token)).status));
    expect(statuses).toContain(200);
    for (const status of statuses) expect([200, 400]).toContain(status);
    expect(await site.visit(loginToken({ sub: 'jack' }))).toBe(401);
    expect(await site.visit(loginToken({ sub: 'jack', sid: 's2' }))).toBe(200);
  });

  it('needs no login, cookie or origin', async () => {
    const { status } = await site.request('/logout', {
      body: new URLSearchParams({ logout_token: logoutToken({ sub: 'kim' }) }),
      headers: { origin: 'https://evil.example.com', 'sec-fetch-site': 'cross-site', authorization: 'Bearer rubbish' },
    });
    expect(status).toBe(200);
  });
});

describe('who is meant', () => {
  it.each([
    ['a claim', 'oid'],
    ['a function', (claims: Readonly<Record<string, unknown>>) => `person ${String(claims['oid'])}`],
  ])('is found by the option subject of the issuer: %s', async (_name, subject) => {
    const issuer = { issuer: ISSUER, publicKey: KEYS.rsa.publicKey, subject };
    const custom = await DoorsSite.start({ issuer });
    const login = loginToken({ sub: 'pairwise', oid: 'o1' });
    expect(await custom.visit(login)).toBe(200);
    expect((await custom.logout(logoutToken({ sub: 'other pairwise', oid: 'o1' }))).status).toBe(200);
    expect(await custom.visit(login)).toBe(401);
    await custom.close();
  });

  it('is nobody if the token does not have what the option subject needs', async () => {
    const subject = ({ oid }: Readonly<Record<string, unknown>>): string => (oid as string).trim();
    const custom = await DoorsSite.start({ issuer: { issuer: ISSUER, publicKey: KEYS.rsa.publicKey, subject } });
    const { status, json } = await custom.logout(logoutToken({ sid: undefined }));
    expect([status, json['error']]).toEqual([400, 'invalid_request']);
    expect(custom.errors).toEqual([]);
    await custom.close();
  });
});

it('whether a user or a session exists changes nothing of what is done', async () => {
  const operations: unknown[] = [];
  function note(call: unknown): void {
    operations.push((call as StoreCall).operation);
  }
  expect(await site.visit(loginToken({ sub: 'lea' }))).toBe(200);
  subscribe('managed-sessions:store', note);
  const done: unknown[][] = [];
  for (const claims of [{ sub: 'lea' }, { sub: 'lea' }, { sub: 'nobody' }, { sub: 'lea', sid: 'none' }]) {
    expect((await site.logout(logoutToken(claims))).status).toBe(200);
    done.push(operations.splice(0));
  }
  unsubscribe('managed-sessions:store', note);
  expect(done[0]).toHaveLength(3);
  expect(new Set(done.map(String)).size).toBe(1);
});

it('a refusal is reported with what was expected', async () => {
  await site.logout(logoutToken({ aud: 'https://api.example.com' }));
  expect(site.heard).toEqual([expect.stringMatching(/^audience_refused .*"claim":"aud".*shop-web/)]);
});

describe('by the session id alone', () => {
  it('ends the session, whoever it belongs to, with sessionIndex', async () => {
    const indexed = await DoorsSite.start({ sessionIndex: true });
    const [seen, unseen, other] = [loginToken(), loginToken({ sub: 'bob', sid: 'unseen' }), loginToken({ sid: 's2' })];
    expect([await indexed.visit(seen), await indexed.visit(other)]).toEqual([200, 200]);
    // As Ory Hydra sends them.
    const token = logoutToken({ sub: undefined });
    expect((await indexed.logout(token)).status).toBe(200);
    expect((await indexed.logout(logoutToken({ sub: undefined, sid: 'unseen' }))).status).toBe(200);
    expect([await indexed.visit(seen), await indexed.visit(unseen), await indexed.visit(other)]).toEqual([
      401, 401, 200,
    ]);
    expect((await indexed.logout(token)).status).toBe(400);
    const sub_id = { format: 'opaque', id: 's2' };
    expect((await indexed.push(eventToken({ sub_id }))).status).toBe(202);
    expect(await indexed.visit(other)).toBe(401);
    await indexed.close();
  });

  it('names the option that is missing', async () => {
    const { json } = await site.logout(logoutToken({ sub: undefined }));
    expect(json['error_description']).toMatch(/sessionIndex/);
    expect(site.heard).toEqual([expect.stringMatching(/^claim_invalid .*sessionIndex/)]);
  });
});

describe('the options', () => {
  const sessions = managedSessions({ issuer: { issuer: ISSUER, secret: 'a secret for tests, 32 bytes long' } });
  afterAll(() => sessions.close());
  const SAYS = /^backchannelLogout\(\)(: clientId| has no option| takes an object)/;

  it.each([
    ['none', undefined],
    ['no client id', {}],
    ['undefined', { clientId: undefined }],
    ['null', { clientId: null }],
    ['an empty string', { clientId: '' }],
    ['an empty list', { clientId: [] }],
    ['a list with an empty string', { clientId: ['shop', ''] }],
    ['a number', { clientId: 7 }],
    ['a variable that is not set', { clientId: `${String(undefined)}-web` }],
    ['an unknown name', { clientId: 'shop', audience: 'shop' }],
  ])('%s is a TypeError', (_name, options) => {
    expect(() => sessions.backchannelLogout(options as never)).toThrow(TypeError);
    expect(() => sessions.backchannelLogout(options as never)).toThrow(SAYS);
  });

  it('it must be called', () => {
    const next = jest.fn();
    (sessions.backchannelLogout as unknown as (...given: unknown[]) => void)({}, { setHeader() {}, end() {} }, next);
    expect(next).toHaveBeenCalledWith(
      expect.objectContaining({ message: expect.stringContaining('call it: app.post(') }),
    );
  });
});

describe('503', () => {
  it('while the keys cannot be fetched, and 200 when it is repeated', async () => {
    const endpoint = await createEndpoint((response) => response.writeHead(500).end());
    const down = await DoorsSite.start({ issuer: { issuer: ISSUER, jwksUri: endpoint.url } });
    const token = logoutToken();
    const { status, headers, text } = await down.logout(token);
    expect([status, headers.get('retry-after'), headers.get('cache-control'), text]).toEqual([
      503,
      '1',
      'no-store',
      '',
    ]);
    expect((await down.push(eventToken())).status).toBe(503);
    endpoint.answer = keySet(jwkOf(KEYS.rsa.publicKey, { kid: 'rsa', use: 'sig' }));
    down.clock.advance(60_000);
    expect((await down.logout(token)).status).toBe(200);
    expect(await down.visit(loginToken())).toBe(401);
    await down.close();
    await endpoint.close();
  });

  it.each(['isMessageUsed', 'revoke', 'useMessage'] as const)(
    'while the store fails in %s, and 200 when it is repeated',
    async (name) => {
      const store = memoryStore();
      let isDown = true;
      const shaky = await DoorsSite.start({
        store: new Proxy(store, {
          get(target, member) {
            if (member === name && isDown)
              return () => Promise.reject(new LoginError('store_unavailable', 'It is away'));
            const value: unknown = Reflect.get(target, member, target);
            return typeof value === 'function' ? (value.bind(target) as unknown) : value;
          },
        }),
      });
      const token = logoutToken();
      const { status, headers, text } = await shaky.logout(token);
      expect([status, headers.get('retry-after'), text]).toEqual([503, '1', '']);
      isDown = false;
      expect((await shaky.logout(token)).status).toBe(200);
      expect(await shaky.visit(loginToken())).toBe(401);
      expect((await shaky.logout(token)).status).toBe(400);
      await shaky.close();
    },
  );

  it('while the issuer cannot be looked up', async () => {
    const down = await DoorsSite.start({ issuer: () => Promise.reject(new Error('no database')) });
    const { status, headers } = await down.logout(logoutToken());
    expect([status, headers.get('retry-after'), headers.get('cache-control')]).toEqual([503, '1', 'no-store']);
    expect(down.errors).toEqual([]);
    await down.close();
  });

  it('not for an issuer that the function does not know, nor for a token that it is not asked about', async () => {
    const asked: string[] = [];
    const tenants = await DoorsSite.start({
      issuer: (iss) => {
        asked.push(iss);
        return null;
      },
    });
    expect((await tenants.logout(logoutToken())).status).toBe(400);
    expect((await tenants.logout(logoutToken({ iss: 'https://x.example.com/', iat: SECOND - 200 }))).status).toBe(400);
    expect((await tenants.logout(logoutToken({ iss: 'https://y.example.com/', aud: 'z' }))).status).toBe(400);
    expect(asked).toEqual([ISSUER]);
    await tenants.close();
  });

  it('a tenant that was never seen can end a session', async () => {
    const options = { issuer: ISSUER, publicKey: KEYS.rsa.publicKey };
    const tenants = await DoorsSite.start({ issuer: async () => options });
    expect((await tenants.logout(logoutToken())).status).toBe(200);
    expect(await tenants.visit(loginToken())).toBe(401);
    await tenants.close();
  });
});
