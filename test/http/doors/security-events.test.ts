/** The door for security event tokens: RFC 8417, pushed by RFC 8935, with the events of CAEP 1.0 and RISC 1.0. */

import { createSecretKey } from 'node:crypto';
import { LoginError, managedSessions, memoryStore } from '../../../lib/index.js';
import { KEYS } from '../../support/issuer.js';
import { encode } from '../../tokens/forge.js';
import {
  ANN,
  AUDIENCE,
  CREDENTIAL,
  CLAIMS_CHANGE,
  DISABLED,
  DoorsSite,
  EVENT_TYPE,
  eventToken,
  ISSUER,
  ISSUERS,
  loginToken,
  LOGOUT_EVENT,
  logoutToken,
  message,
  NOW,
  REVOKED,
  SECOND,
  SECRET_ISSUER,
  TRANSMITTER,
  VERIFICATION,
} from './doors-site.js';

let site: DoorsSite;

beforeAll(async () => {
  site = await DoorsSite.start();
});
afterAll(() => site.close());
beforeEach(() => site.reset());

const PUBLIC_PEM = createSecretKey(Buffer.from(KEYS.rsa.publicKey.export({ type: 'spki', format: 'pem' })));
const typed = (type: string | undefined): string =>
  message({ aud: AUDIENCE, sub_id: ANN, events: { [REVOKED]: {} } }, type);

const HOSTILE: readonly (readonly [name: string, token: string, err: string])[] = [
  ['nothing', '', 'invalid_request'],
  ['not a token', 'rubbish', 'invalid_request'],
  ['a JSON object', '{"iss":"x"}', 'invalid_request'],
  [
    'alg none',
    `${encode({ alg: 'none', typ: EVENT_TYPE })}.${encode({ iss: ISSUER, aud: AUDIENCE, iat: SECOND, jti: 'j', sub_id: ANN, events: { [REVOKED]: {} } })}.`,
    'invalid_key',
  ],
  ['the public key as a secret', eventToken({}, { alg: 'HS256', key: PUBLIC_PEM }), 'invalid_key'],
  ['a key that is not in the set', eventToken({}, { key: KEYS.otherRsa.privateKey }), 'authentication_failed'],
  ['an unknown key id', eventToken({}, { header: { kid: 'unknown' } }), 'invalid_key'],
  ['crit', eventToken({}, { header: { crit: ['exp'] } }), 'invalid_request'],
  ['no typ', typed(undefined), 'invalid_request'],
  ['typ JWT', typed('JWT'), 'invalid_request'],
  ['typ logout+jwt', typed('logout+jwt'), 'invalid_request'],
  ['a logout token', logoutToken({ aud: AUDIENCE }), 'invalid_request'],
  ['a login token', loginToken({ aud: AUDIENCE }), 'invalid_request'],
  ['no iss', eventToken({ iss: undefined }), 'invalid_issuer'],
  ['an unknown iss', eventToken({ iss: 'https://evil.example.com/' }), 'invalid_issuer'],
  ['iss of a transmitter that is not configured here', eventToken({ iss: TRANSMITTER }), 'invalid_issuer'],
  ["another issuer's key", eventToken({ iss: SECRET_ISSUER }), 'invalid_key'],
  ['no aud', eventToken({ aud: undefined }), 'invalid_audience'],
  ['another aud', eventToken({ aud: ['https://x.example.com'] }), 'invalid_audience'],
  ['no iat', eventToken({ iat: undefined }), 'invalid_request'],
  ['iat in the future', eventToken({ iat: SECOND + 6 }), 'invalid_request'],
  ['iat of more than a day ago', eventToken({ iat: SECOND - 86_401 }), 'invalid_request'],
  ['exp in the past', eventToken({ exp: SECOND - 6 }), 'invalid_request'],
  ['nbf in the future', eventToken({ nbf: SECOND + 6 }), 'invalid_request'],
  ['no jti', eventToken({ jti: undefined }), 'invalid_request'],
  ['jti that is a number', eventToken({ jti: 1 }), 'invalid_request'],
  ['no events', eventToken({ events: undefined }), 'invalid_request'],
  ['empty events', eventToken({ events: {} }), 'invalid_request'],
  ['events that is a list', eventToken({ events: [REVOKED] }), 'invalid_request'],
  ['an event that is text', eventToken({ events: { [REVOKED]: 'yes' } }), 'invalid_request'],
  ['an unknown event that is null', eventToken({ events: { [REVOKED]: {}, x: null } }), 'invalid_request'],
  ['no subject', eventToken({ sub_id: undefined }), 'invalid_request'],
  ['a subject that is text', eventToken({ sub_id: 'ann' }), 'invalid_request'],
  ['a subject that is a list', eventToken({ sub_id: [ANN] }), 'invalid_request'],
  ['iss_sub without sub', eventToken({ sub_id: { format: 'iss_sub', iss: ISSUER } }), 'invalid_request'],
  ['iss_sub with an empty sub', eventToken({ sub_id: { ...ANN, sub: '' } }), 'invalid_request'],
  ['iss_sub with a lone surrogate', eventToken({ sub_id: { ...ANN, sub: '\udfff' } }), 'invalid_request'],
  ['opaque without id', eventToken({ sub_id: { format: 'opaque', id: 7 } }), 'invalid_request'],
  ['a user that is text', eventToken({ sub_id: { format: 'complex', user: 'ann' } }), 'invalid_request'],
  ['a time in text', eventToken({ events: { [REVOKED]: { event_timestamp: '2026-03-01' } } }), 'invalid_request'],
  ['a time that no date has', eventToken({ events: { [REVOKED]: { event_timestamp: 1e13 } } }), 'invalid_request'],
  [
    'a session id alone, without sessionIndex',
    eventToken({ sub_id: { format: 'opaque', id: 's1' } }),
    'invalid_request',
  ],
  [
    'one event that is as it must be, and one that is not',
    eventToken({ events: { [REVOKED]: {}, [DISABLED]: { event_timestamp: null } } }),
    'invalid_request',
  ],
  ['more characters than are allowed', eventToken({ padding: 'x'.repeat(8192) }), 'invalid_request'],
];

it.each(HOSTILE)('%s is refused, and ends nothing', async (_name, token, err) => {
  const login = loginToken();
  expect(await site.visit(login)).toBe(200);
  const { status, json, text, headers } = await site.push(token);
  expect([status, json]).toEqual([400, { err, description: expect.any(String) }]);
  expect([headers.get('cache-control'), headers.get('content-language')]).toEqual(['no-store', 'en']);
  expect(headers.get('content-type')).toMatch(/^application\/json/);
  expect(await site.visit(login)).toBe(200);
  expect([site.errors, site.events]).toEqual([[], []]);
  const [, secret = 'no third part'] = token.split('.');
  if (token.length > 20) for (const said of [text, ...site.heard]) expect(said).not.toContain(secret.slice(0, 40));
});

it.each([
  [
    'another content type',
    { body: eventToken({ sub_id: { ...ANN, sub: 'r' } }), headers: { 'content-type': 'application/jwt' } },
  ],
  ['a form', { body: new URLSearchParams({ token: eventToken() }) }],
  ['no body', {}],
  ['a compressed body', { body: eventToken(), headers: { 'content-type': EVENT_TYPE, 'content-encoding': 'gzip' } }],
  ['more than the limit', { body: 'x'.repeat(10_000), headers: { 'content-type': EVENT_TYPE } }],
])('%s is refused', async (_name, init) => {
  const { status, json } = await site.request('/events', init);
  expect([status, json['err']]).toEqual([400, 'invalid_request']);
});

it('another method is not allowed', async () => {
  const { status, headers } = await site.request('/events', { method: 'GET' });
  expect([status, headers.get('allow')]).toEqual([405, 'POST']);
});

/** Sessions of a user of this test: two that began before the event, and one after it. */
async function signedIn(user: string): Promise<{ phone: string; laptop: string; later: string }> {
  const phone = loginToken({ sub: user, sid: 'phone' });
  const laptop = loginToken({ sub: user, sid: 'laptop' });
  const later = loginToken({ sub: user, sid: 'later', iat: SECOND + 30 });
  site.clock.at = NOW + 60_000;
  for (const token of [phone, laptop, later]) expect(await site.visit(token)).toBe(200);
  return { phone, laptop, later };
}

async function statuses(tokens: { phone: string; laptop: string; later: string }): Promise<number[]> {
  return [await site.visit(tokens.phone), await site.visit(tokens.laptop), await site.visit(tokens.later)];
}

const ALL = [401, 401, 200];
const PHONE = [401, 200, 200];
const NONE = [200, 200, 200];
const at = { event_timestamp: SECOND };
type Subject = (user: string) => object;
const issSub: Subject = (sub) => ({ format: 'iss_sub', iss: ISSUER, sub });
const opaque = { format: 'opaque', id: 'phone' };

const EVENTS: readonly (readonly [
  name: string,
  type: string,
  event: object,
  subject: Subject,
  left: number[],
  handled: boolean,
])[] = [
  ['session-revoked of a user', REVOKED, at, issSub, ALL, true],
  ['session-revoked without a time', REVOKED, {}, issSub, ALL, true],
  [
    'session-revoked of a session',
    REVOKED,
    at,
    (user) => ({ format: 'complex', user: issSub(user), session: opaque }),
    PHONE,
    true,
  ],
  ['session-revoked of a complex user', REVOKED, at, (user) => ({ format: 'complex', user: issSub(user) }), ALL, true],
  ['session-revoked as in drafts', REVOKED, at, (user) => ({ user: issSub(user), session: opaque }), PHONE, true],
  [
    'session-revoked as Google writes it',
    REVOKED,
    at,
    (sub) => ({ subject_type: 'iss-sub', iss: ISSUER, sub }),
    ALL,
    true,
  ],
  [
    'session-revoked of a device',
    REVOKED,
    at,
    (user) => ({ format: 'complex', user: issSub(user), device: opaque }),
    NONE,
    false,
  ],
  [
    'session-revoked in a tenant',
    REVOKED,
    at,
    (user) => ({ format: 'complex', user: issSub(user), tenant: opaque }),
    NONE,
    false,
  ],
  [
    'session-revoked of an e-mail address',
    REVOKED,
    at,
    (user) => ({ format: 'email', email: `${user}@example.com` }),
    NONE,
    false,
  ],
  [
    'session-revoked of a session of an e-mail address',
    REVOKED,
    at,
    () => ({ format: 'complex', user: { format: 'email' }, session: opaque }),
    NONE,
    false,
  ],
  [
    'session-revoked of a session in another format',
    REVOKED,
    at,
    (user) => ({ format: 'complex', user: issSub(user), session: { format: 'jwt_id' } }),
    NONE,
    false,
  ],
  [
    'session-revoked of a nested subject',
    REVOKED,
    at,
    (user) => ({ format: 'complex', user: { format: 'complex', user: issSub(user) } }),
    NONE,
    false,
  ],
  ['session-revoked of nobody', REVOKED, at, () => ({ format: 'complex' }), NONE, false],
  [
    "session-revoked of another issuer's user",
    REVOKED,
    at,
    (sub) => ({ format: 'iss_sub', iss: SECRET_ISSUER, sub }),
    NONE,
    false,
  ],
  [
    "session-revoked of an unknown issuer's user",
    REVOKED,
    at,
    (sub) => ({ format: 'iss_sub', iss: 'https://x.example.com/', sub }),
    NONE,
    false,
  ],
  ['a changed password', CREDENTIAL, { ...at, credential_type: 'password', change_type: 'update' }, issSub, ALL, true],
  ['a revoked key', CREDENTIAL, { ...at, credential_type: 'fido2-roaming', change_type: 'revoke' }, issSub, ALL, true],
  ['a deleted factor', CREDENTIAL, { ...at, credential_type: 'app', change_type: 'delete' }, issSub, ALL, true],
  ['a new factor', CREDENTIAL, { ...at, credential_type: 'app', change_type: 'create' }, issSub, NONE, false],
  ['a changed password of a session id', CREDENTIAL, { ...at, change_type: 'update' }, () => opaque, NONE, false],
  ['a disabled account', DISABLED, { ...at, reason: 'hijacking' }, issSub, ALL, true],
  [
    'an unknown event',
    'https://schemas.openid.net/secevent/caep/event-type/device-compliance-change',
    at,
    issSub,
    NONE,
    false,
  ],
  ['an event named __proto__', '__proto__', at, issSub, NONE, false],
  ['an event named constructor', 'constructor', at, issSub, NONE, false],
  ['a logout event', LOGOUT_EVENT, at, issSub, NONE, false],
];

describe('an event', () => {
  it.each(EVENTS)('%s', async (name, type, event, subjectFor, left, handled) => {
    const user = `user of ${name}`;
    const tokens = await signedIn(user);
    // Computed, so that `__proto__` is a member.
    const { status, text, headers } = await site.push(
      eventToken({ sub_id: subjectFor(user), events: { [type]: event } }),
    );
    expect([status, text, headers.get('cache-control')]).toEqual([202, '', 'no-store']);
    expect(await statuses(tokens)).toEqual(left);
    expect(site.events).toEqual([{ issuer: ISSUER, type, handled }]);
    expect(site.errors).toEqual([]);
  });

  it('has its subject in the event, in drafts', async () => {
    const tokens = await signedIn('in the event');
    const events = { [REVOKED]: { ...at, subject: issSub('in the event') } };
    expect((await site.push(eventToken({ sub_id: undefined, events }))).status).toBe(202);
    expect(await statuses(tokens)).toEqual(ALL);
  });

  it('may be one of several', async () => {
    const tokens = await signedIn('several');
    const events = { 'https://example.com/unknown': {}, [DISABLED]: at, [CREDENTIAL]: { change_type: 'create' } };
    expect((await site.push(eventToken({ sub_id: issSub('several'), events }))).status).toBe(202);
    expect(await statuses(tokens)).toEqual(ALL);
    expect(site.events.map(({ handled }) => handled)).toEqual([false, true, false]);
  });

  it('says why, and who', async () => {
    await signedIn('told');
    const told: unknown[] = [];
    const stop = site.sessions.on('sessionEnded', ({ reason, by, here }) => told.push([reason, by, here]));
    await site.push(eventToken({ sub_id: issSub('told') }));
    stop();
    expect(told).toEqual(Array(2).fill(['security_event', ISSUER, true]));
  });

  it('that is dated in the future ends nothing that begins after now', async () => {
    site.clock.at = NOW;
    const before = loginToken({ sub: 'future', sid: 'before' });
    expect(await site.visit(before)).toBe(200);
    const events = { [REVOKED]: { event_timestamp: SECOND + 3600 } };
    expect((await site.push(eventToken({ sub_id: issSub('future'), events }))).status).toBe(202);
    expect(await site.visit(before)).toBe(401);
    site.clock.advance(60_000);
    expect(await site.visit(loginToken({ sub: 'future', sid: 'after', iat: SECOND + 2 }))).toBe(200);
  });

  it('that is delivered hours late ends no later sign-in', async () => {
    const token = eventToken({ sub_id: issSub('late'), events: { [REVOKED]: {} } });
    site.clock.at = NOW + 5 * 3_600_000;
    const before = loginToken({ sub: 'late', sid: 'before', exp: SECOND + 86_400 });
    const after = loginToken({ sub: 'late', sid: 'after', iat: SECOND + 60, exp: SECOND + 86_400 });
    expect([await site.visit(before), await site.visit(after)]).toEqual([200, 200]);
    expect((await site.push(token)).status).toBe(202);
    expect([await site.visit(before), await site.visit(after)]).toEqual([401, 200]);
  });

  it('that is delivered late ends no later sign-in either if it counts milliseconds', async () => {
    const events = { [REVOKED]: { event_timestamp: NOW }, [CLAIMS_CHANGE]: { event_timestamp: NOW } };
    const token = eventToken({ sub_id: issSub('late too'), events });
    site.clock.at = NOW + 3_600_000;
    const before = loginToken({ sub: 'late too', sid: 'before', exp: SECOND + 86_400 });
    const after = loginToken({ sub: 'late too', sid: 'after', iat: SECOND + 60, exp: SECOND + 86_400 });
    expect([await site.visit(before), await site.visit(after)]).toEqual([200, 200]);
    expect((await site.push(token)).status).toBe(202);
    expect([await site.visit(before), await site.visit(after)]).toEqual([401, 200]);
  });

  it('that is repeated is accepted again, and ends nothing more', async () => {
    const token = eventToken({ sub_id: issSub('repeated') });
    expect((await site.push(token)).status).toBe(202);
    const login = loginToken({ sub: 'repeated', sid: 'new', iat: SECOND + 2 });
    expect(await site.visit(login)).toBe(200);
    const { status, text } = await site.push(token);
    expect([status, text]).toEqual([202, '']);
    expect(await site.visit(login)).toBe(200);
    expect(site.events).toHaveLength(1);
  });

  it('is told of once, also if its token had to be repeated', async () => {
    const store = memoryStore();
    const use = store.useMessage.bind(store);
    let isDown = true;
    store.useMessage = (...given) =>
      isDown ? Promise.reject(new LoginError('store_unavailable', 'It is away')) : use(...given);
    const shaky = await DoorsSite.start({ store });
    const token = eventToken();
    expect((await shaky.push(token)).status).toBe(503);
    expect(shaky.events).toEqual([]);
    isDown = false;
    expect((await shaky.push(token)).status).toBe(202);
    expect(shaky.events).toHaveLength(1);
    await shaky.close();
  });

  it('for verification is answered, and reported', async () => {
    const sub_id = { format: 'opaque', id: 'stream' };
    expect((await site.push(eventToken({ sub_id, events: { [VERIFICATION]: { state: 'x' } } }))).status).toBe(202);
    expect((await site.push(eventToken({ sub_id: undefined, events: { [VERIFICATION]: {} } }))).status).toBe(202);
    expect(site.events).toEqual(Array(2).fill({ issuer: ISSUER, type: VERIFICATION, handled: true }));
  });

  it('with a long type is reported with a short one', async () => {
    const type = `https://example.com/${'x'.repeat(1000)}`;
    await site.push(eventToken({ events: { [type]: {} } }));
    expect(site.events).toEqual([{ issuer: ISSUER, type: type.slice(0, 300), handled: false }]);
  });

  it('after another body parser', async () => {
    expect((await site.push(eventToken(), '/parsed/events')).status).toBe(202);
    expect((await site.push(eventToken(), '/raw/events')).status).toBe(202);
    const json = { body: '{}', headers: { 'content-type': 'application/json' } };
    expect((await site.request('/parsed/events', json)).status).toBe(400);
  });

  it('of claims makes the tokens stale that were issued up to then, and ends nothing', async () => {
    const user = 'demoted';
    const tokens = await signedIn(user);
    const token = eventToken({
      sub_id: issSub(user),
      events: { [CLAIMS_CHANGE]: { ...at, claims: { role: 'none' } } },
    });
    expect((await site.push(token)).status).toBe(202);
    expect(await statuses(tokens)).toEqual(ALL);
    const refreshed = loginToken({ sub: user, sid: 'phone', iat: SECOND + 1 });
    expect(await site.visit(refreshed)).toBe(200);
    expect(site.events).toEqual([{ issuer: ISSUER, type: CLAIMS_CHANGE, handled: true }]);
  });
});

describe('a separate transmitter', () => {
  const signing = { alg: 'ES256', key: KEYS.p256.privateKey, header: { kid: undefined } } as const;
  const pushed = (claims: Readonly<Record<string, unknown>>, iss = TRANSMITTER) =>
    site.push(eventToken({ iss, ...claims }, signing), '/transmitter');

  it("ends sessions of every configured issuer's users, and of nobody else", async () => {
    const mine = await signedIn('mine');
    const theirs = loginToken({ sub: 'mine' });
    expect((await pushed({ sub_id: { format: 'iss_sub', iss: SECRET_ISSUER, sub: 'mine' } })).status).toBe(202);
    expect(await statuses(mine)).toEqual(NONE);
    expect((await pushed({ sub_id: issSub('mine') })).status).toBe(202);
    expect(await statuses(mine)).toEqual(ALL);
    expect(await site.visit(theirs)).toBe(401);
    expect((await pushed({ sub_id: { format: 'iss_sub', iss: TRANSMITTER, sub: 'mine' } })).status).toBe(202);
    expect(site.events.map((event) => [event.issuer, event.handled])).toEqual([
      [TRANSMITTER, true],
      [TRANSMITTER, true],
      [TRANSMITTER, false],
    ]);
  });

  it('is the only one that is accepted there', async () => {
    const { status, json } = await site.push(eventToken(), '/transmitter');
    expect([status, json['err']]).toEqual([400, 'invalid_issuer']);
    expect((await pushed({ sub_id: ANN }, ISSUER)).json['err']).toBe('invalid_issuer');
  });

  it('cannot say whose session an id is, if there are several issuers', async () => {
    expect((await pushed({ sub_id: opaque })).status).toBe(202);
    expect(site.events).toEqual([{ issuer: TRANSMITTER, type: REVOKED, handled: false }]);
  });
});

describe('a session id without a user, from a separate transmitter', () => {
  it('is one of the configured issuer, if there is only one', async () => {
    const [issuer] = ISSUERS;
    const indexed = await DoorsSite.start({ issuer: issuer!, sessionIndex: true });
    const [phone, laptop] = [loginToken({ sid: 'phone' }), loginToken({ sid: 'laptop' })];
    expect([await indexed.visit(phone), await indexed.visit(laptop)]).toEqual([200, 200]);
    const signing = { alg: 'ES256', key: KEYS.p256.privateKey, header: { kid: undefined } } as const;
    const token = eventToken({ iss: TRANSMITTER, sub_id: opaque }, signing);
    expect((await indexed.push(token, '/transmitter')).status).toBe(202);
    expect([await indexed.visit(phone), await indexed.visit(laptop)]).toEqual([401, 200]);
    expect(indexed.events).toEqual([{ issuer: TRANSMITTER, type: REVOKED, handled: true }]);
    await indexed.close();
  });
});

describe('the options', () => {
  const sessions = managedSessions({ issuer: { issuer: ISSUER, secret: 'a secret for tests, 32 bytes long' } });
  afterAll(() => sessions.close());

  it.each([
    ['none', undefined, /^securityEvents\(\) takes an object/],
    ['no audience', {}, /^securityEvents\(\): audience must be/],
    ['an undefined audience', { audience: undefined }, /^securityEvents\(\): audience is given as undefined/],
    ['an empty audience', { audience: [] }, /^securityEvents\(\): audience must be/],
    ['a variable that is not set', { audience: `${String(undefined)}/x` }, /^securityEvents\(\): audience contains/],
    ['an unknown name', { audience: 'a', clientId: 'b' }, /^securityEvents\(\) has no option/],
    ['an undefined issuer', { audience: 'a', issuer: undefined }, /^securityEvents\(\): issuer is given as undefined/],
    ['a list of issuers', { audience: 'a', issuer: [] }, /^securityEvents\(\): issuer must be/],
    [
      'an issuer without keys',
      { audience: 'a', issuer: { issuer: 'x' } },
      /^securityEvents\(\): issuer must have exactly/,
    ],
    [
      'an issuer with a public key as a secret',
      { audience: 'a', issuer: { issuer: 'x', secret: KEYS.rsa.publicKey.export({ type: 'spki', format: 'pem' }) } },
      /^securityEvents\(\): issuer\.secret/,
    ],
  ])('%s is a TypeError', (_name, options, says) => {
    expect(() => sessions.securityEvents(options as never)).toThrow(TypeError);
    expect(() => sessions.securityEvents(options as never)).toThrow(says);
  });

  it('it must be called', () => {
    const next = jest.fn();
    (sessions.securityEvents as unknown as (...given: unknown[]) => void)({}, { setHeader() {}, end() {} }, next);
    expect(next).toHaveBeenCalledWith(
      expect.objectContaining({ message: expect.stringContaining('call it: app.post(') }),
    );
  });
});
