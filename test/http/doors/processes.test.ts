/** Messages of a real oidc-provider, and of an issuer that the test plays, to three processes on one real Redis. */

import jwt from 'jsonwebtoken';
import { comeBack, startLastingRedis } from '../../policy/kept.js';
import { startApp, type AppProcess } from '../../support/app-processes.js';
import { startOidcProvider, type OidcProvider } from '../../support/provider.js';
import { eventually, type TestRedis } from '../../support/redis.js';

const API = 'https://api.example.com';
const ISSUER = 'https://id.example.com/';
const SECRET = 'a secret for tests, 32 bytes long';
const DOORS = { clientId: ['web', 'web-by-subject'], audience: 'https://shop.example.com/events' };
const LOGOUT = 'http://schemas.openid.net/event/backchannel-logout';
const REVOKED = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked';

let redis: TestRedis;
let provider: OidcProvider;
let apps: AppProcess[];
/** Each test has one of its own. */
let user: string;
let users = 0;
let messages = 0;

const options = () => ({
  issuer: [
    { issuer: provider.issuer, discover: true, audience: API },
    { issuer: ISSUER, secret: SECRET, audience: API },
  ],
  sessionIndex: true,
  // A busy machine is not taken for a Redis that is away.
  storeTimeout: 5000,
  revocationBound: 20_000,
});

beforeAll(async () => {
  [redis, provider] = await Promise.all([startLastingRedis(), startOidcProvider()]);
  apps = await Promise.all([1, 2, 3].map(() => startApp(redis.url, options(), { doors: DOORS })));
  await provider.sendLogoutsTo(await urlOf(apps[0]!));
});
afterAll(async () => {
  await Promise.all(apps.map((app) => app.stop()));
  await Promise.all([redis.stop(), provider.close()]);
});
beforeEach(() => {
  users += 1;
  user = `user-${String(users)}`;
});

async function urlOf(app: AppProcess): Promise<string> {
  const { port } = await app.heard(({ event }) => event === 'ready');
  return `http://127.0.0.1:${String(port)}`;
}

const inSeconds = (): number => Math.floor(Date.now() / 1000);

/** Of the issuer that the test plays. */
function login(sid: string, ageInSeconds = 10): string {
  const iat = inSeconds() - ageInSeconds;
  return jwt.sign({ sub: user, sid: `${user} ${sid}`, iat }, SECRET, {
    issuer: ISSUER,
    audience: API,
    expiresIn: '1h',
  });
}

function signed(claims: object, typ: string): string {
  messages += 1;
  const payload = { iss: ISSUER, iat: inSeconds(), jti: `message-${String(messages)}`, ...claims };
  return jwt.sign(payload, SECRET, { header: { alg: 'HS256', typ } });
}

function logoutToken(claims: object = { sid: `${user} s1` }): string {
  return signed({ aud: 'web', sub: user, events: { [LOGOUT]: {} }, ...claims }, 'logout+jwt');
}

async function post(app: AppProcess, path: string, init: RequestInit): Promise<Response> {
  const response = await fetch((await urlOf(app)) + path, { method: 'POST', ...init });
  await response.text();
  return response;
}

function logout(app: AppProcess, token: string): Promise<Response> {
  return post(app, '/backchannel-logout', { body: new URLSearchParams({ logout_token: token }) });
}

function eventToken(sub_id: object, event: object = {}): string {
  return signed({ aud: DOORS.audience, sub_id, events: { [REVOKED]: event } }, 'secevent+jwt');
}

/** About one session. */
function sessionEvent(sid: string): string {
  const session = { format: 'opaque', id: `${user} ${sid}` };
  return eventToken({ format: 'complex', user: { format: 'iss_sub', iss: ISSUER, sub: user }, session });
}

function pushEvent(app: AppProcess, token: string): Promise<Response> {
  return post(app, '/security-events', { body: token, headers: { 'content-type': 'application/secevent+jwt' } });
}

function toEach(token: string): Promise<unknown[]> {
  return Promise.all(apps.map((app) => app.call('ask', token)));
}

async function expectLive(...tokens: readonly string[]): Promise<void> {
  for (const token of tokens) expect(await toEach(token)).toEqual([200, 200, 200]);
}

/** Every process comes to refuse them, as ended. */
async function expectEnded(...tokens: readonly string[]): Promise<void> {
  for (const token of tokens) {
    await eventually('each process refuses it', async () => {
      const statuses = await toEach(token);
      for (const status of statuses) expect([200, 401]).toContain(status);
      return statuses.every((status) => status === 401);
    });
  }
}

/** Each process was told of this ending once, `first` as the one that acted. */
async function expectTold(handle: unknown, reason: string, first = apps[0]): Promise<void> {
  for (const app of apps) {
    await app.heard((told) => told.event === 'sessionEnded' && told.handle === handle);
    const told = app.events.filter((each) => each.event === 'sessionEnded' && each.handle === handle);
    expect(told.map(({ here, reason: why }) => [here, why])).toEqual([[app === first, reason]]);
  }
}

describe('oidc-provider', () => {
  test('ends the session that is signed out there, in every process, and no other', async () => {
    const [phone, laptop] = [await provider.signIn(user, API, 'web'), await provider.signIn(user, API, 'web')];
    await expectLive(phone.accessToken, laptop.accessToken);
    const [handle] = await Promise.all(apps.map((app) => app.call('watch', phone.accessToken)));
    const before = phone.accessToken;
    await phone.refresh();
    await phone.signOut();
    expect(provider.logouts.at(-1)).toBe('success');
    await expectEnded(before, phone.accessToken);
    await expectTold(handle, 'backchannel_logout');
    await expectLive(laptop.accessToken);
  });

  test('ends a session that was never seen', async () => {
    const { accessToken, signOut } = await provider.signIn(user, API, 'web');
    await signOut();
    expect(provider.logouts.at(-1)).toBe('success');
    await expectEnded(accessToken);
  });

  test('without a session id ends all sessions of the user, and none that begins later', async () => {
    const [phone, laptop] = [
      await provider.signIn(user, API, 'web-by-subject'),
      await provider.signIn(user, API, 'web-by-subject'),
    ];
    await expectLive(phone.accessToken, laptop.accessToken);
    await phone.signOut();
    expect(provider.logouts.at(-1)).toBe('success');
    await expectEnded(phone.accessToken, laptop.accessToken);
    const again = await provider.signIn(user, API, 'web-by-subject');
    await expectLive(again.accessToken);
  });
});

test('a replay is refused in every process', async () => {
  const token = logoutToken();
  expect((await logout(apps[1]!, token)).status).toBe(200);
  for (const app of apps) expect((await logout(app, token)).status).toBe(400);
});

test('the same message to all processes at the same time ends what it names, and nothing else', async () => {
  const [named, other] = [login('s1'), login('s2')];
  await expectLive(named, other);
  const token = logoutToken();
  const answers = await Promise.all([...apps, ...apps].map(async (app) => (await logout(app, token)).status));
  expect(answers).toContain(200);
  for (const status of answers) expect([200, 400]).toContain(status);
  await expectEnded(named);
  await expectLive(other);
});

test('a session id alone is enough, for a session that was seen in one process, and for one never seen', async () => {
  const [seen, unseen, other] = [login('one'), login('two'), login('three')];
  expect(await apps[2]!.call('ask', seen)).toBe(200);
  await expectLive(other);
  for (const sid of ['one', 'two']) {
    // Session ids of other tests are the same.
    const token = logoutToken({ sub: undefined, sid: `${user} ${sid}` });
    expect((await logout(apps[0]!, token)).status).toBe(200);
  }
  await expectEnded(seen, unseen);
  await expectLive(other);
});

test('a message that comes late ends no later sign-in', async () => {
  const [before, after] = [login('before', 100), login('after', 30)];
  await expectLive(before, after);
  expect((await logout(apps[2]!, logoutToken({ sid: undefined, iat: inSeconds() - 60 }))).status).toBe(200);
  await expectEnded(before);
  await expectLive(after);
});

test('a security event is in force in every process', async () => {
  const [before, after] = [login('before', 100), login('after', 30)];
  await expectLive(before, after);
  const token = eventToken({ format: 'iss_sub', iss: ISSUER, sub: user }, { event_timestamp: inSeconds() - 60 });
  for (const app of apps) expect((await pushEvent(app, token)).status).toBe(202);
  await expectEnded(before);
  await expectLive(after);
});

test('while Redis is away they are answered 503, nothing is ended, and repeated afterwards it is', async () => {
  const [named, reported, other] = [login('s1'), login('s2'), login('s3')];
  const all = [named, reported, other];
  await expectLive(...all);
  const [token, event] = [logoutToken(), sessionEvent('s2')];
  await redis.kill();
  for (const { status, headers } of [await logout(apps[0]!, token), await pushEvent(apps[0]!, event)]) {
    expect([status, headers.get('retry-after'), headers.get('cache-control')]).toEqual([503, '1', 'no-store']);
  }
  await comeBack(redis);
  await eventually('the sessions are answered', async () => {
    const statuses = (await Promise.all(all.map(toEach))).flat();
    expect(statuses).not.toContain(401);
    return statuses.every((each) => each === 200);
  });
  await eventually('both are accepted', async () => {
    const repeated = [(await logout(apps[1]!, token)).status, (await pushEvent(apps[1]!, event)).status];
    // The first may have been accepted in an earlier round.
    expect([200, 400, 503]).toContain(repeated[0]);
    expect([202, 503]).toContain(repeated[1]);
    return !repeated.includes(503);
  });
  await expectEnded(named, reported);
  await expectLive(other);
  expect((await logout(apps[0]!, token)).status).toBe(400);
});

const KILLED = [
  ['before anything was ended', 'isMessageUsed'],
  ['after the ending was written', 'revoke'],
] as const;

test.each(KILLED)('a process that is killed %s has used up no logout token', async (_name, dieAfter) => {
  const named = login('s1');
  await expectLive(named);
  const token = logoutToken();
  const mortal = await startApp(redis.url, options(), { doors: DOORS, dieAfter });
  await expect(logout(mortal, token)).rejects.toThrow();
  await mortal.stop();
  expect((await logout(apps[0]!, token)).status).toBe(200);
  await expectEnded(named);
});

test.each(KILLED)(
  'a security event to a process that is killed %s is carried out once it is repeated',
  async (_name, dieAfter) => {
    const reported = login('s1');
    await expectLive(reported);
    const token = sessionEvent('s1');
    const mortal = await startApp(redis.url, options(), { doors: DOORS, dieAfter });
    await expect(pushEvent(mortal, token)).rejects.toThrow();
    await mortal.stop();
    expect((await pushEvent(apps[0]!, token)).status).toBe(202);
    await expectEnded(reported);
  },
);
