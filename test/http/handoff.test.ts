import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import cookieParser from 'cookie-parser';
import express from 'express';
import supertest from 'supertest';
import {
  managedSessions,
  memoryStore,
  type HandoffOptions,
  type LoginErrorCode,
  type ManagedSessions,
  type ManagedSessionsOptions,
} from '../../lib/index.js';
import { describeEachFramework } from '../support/frameworks.js';
import { ISSUER, SECRET, showLogin, START, tokenOf } from './site.js';

const HOUR = 3_600_000;

let clock: { time: number; now(): number };
let refused: LoginErrorCode[];
let sessions: ManagedSessions;

function newSessions(options: Partial<ManagedSessionsOptions> = {}): ManagedSessions {
  clock = {
    time: START,
    now() {
      return this.time;
    },
  };
  refused = [];
  sessions = managedSessions({
    issuer: { issuer: ISSUER, audience: 'shop', secret: SECRET, clockTolerance: 0 },
    store: memoryStore(),
    clock,
    ...options,
  });
  sessions.on('tokenRefused', ({ code }) => refused.push(code));
  return sessions;
}

afterEach(() => sessions.close());

const cookiesOf = (answer: { headers: Record<string, unknown> }): unknown => answer.headers['set-cookie'];

/** Sends a request target that no client would write. */
async function rawAnswer(listener: RequestListener, target: string): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.end(Buffer.from(`GET ${target} HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n`, 'latin1'));
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  server.close();
  return answer;
}

const locationIn = (answer: string): string | undefined => /^location: (.*)\r$/im.exec(answer)?.[1];

describeEachFramework((name, makeApp) => {
  function makeSite(options?: Partial<HandoffOptions>, sessionsOptions?: Partial<ManagedSessionsOptions>) {
    newSessions(sessionsOptions);
    const app = makeApp();
    app.mount('/', sessions.handoff({ state: false, ...options }));
    app.mount('/', sessions.optional(), showLogin);
    return app;
  }

  const siteOf = (...options: Parameters<typeof makeSite>) => supertest(makeSite(...options).listener);

  test('the token becomes a cookie, leaves the address, and the browser is signed in', async () => {
    const app = makeSite();
    const browser = supertest.agent(app.listener);
    const token = tokenOf('s1', { exp: Math.floor(Date.now() / 1000) + 3600 });
    const answer = await browser.get(`/orders?page=2&token=${token}&q=a%20b+c`).expect(303);
    expect(answer.headers).toMatchObject({
      location: '/orders?page=2&q=a%20b+c',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    });
    expect(answer.text).toBe('');
    const { body } = await browser.get('/orders?page=2&q=a%20b+c').expect(200);
    expect(body.user).toMatchObject({ id: 'ann' });
    expect(refused).toEqual([]);
  });

  test('the cookie is the whole of it: HttpOnly, SameSite=Lax, for every path, until the token ends', async () => {
    const token = tokenOf('s1');
    const answer = await siteOf().get(`/?token=${token}`).expect(303);
    expect(cookiesOf(answer)).toEqual([
      `login_token=${token}; Max-Age=3600; Path=/; Expires=${new Date(START + HOUR).toUTCString()}; HttpOnly; SameSite=Lax`,
    ]);
    expect(answer.headers['location']).toBe('/');
  });

  test('where the lifetime ends before the token, the cookie ends with it', async () => {
    const answer = await siteOf({}, { lifetime: '10m' })
      .get(`/?token=${tokenOf('s1')}`)
      .expect(303);
    expect(cookiesOf(answer)).toEqual([expect.stringContaining('; Max-Age=600; ')]);
  });

  test('a token that hardly ever ends makes a cookie all the same', async () => {
    const answer = await siteOf()
      .get(`/?token=${tokenOf('s1', { exp: 8.64e12 })}`)
      .expect(303);
    expect(cookiesOf(answer)).toEqual([expect.stringMatching(/; Max-Age=\d{13}; /)]);
  });

  test('is Secure where a trusted proxy speaks https, and not where anybody says so', async () => {
    const forwarded = { 'X-Forwarded-Proto': 'https, http' };
    const untrusted = await siteOf()
      .get(`/?token=${tokenOf('s1')}`)
      .set(forwarded)
      .expect(303);
    expect(cookiesOf(untrusted)).toEqual([expect.not.stringContaining('Secure')]);
    await sessions.close();

    const app = makeSite({}, { trustProxy: 'loopback' });
    app.trustProxy('loopback');
    const trusted = await supertest(app.listener)
      .get(`/?token=${tokenOf('s1')}`)
      .set(forwarded)
      .expect(303);
    expect(cookiesOf(trusted)).toEqual([expect.stringContaining('; Secure; ')]);
    const plain = await supertest(app.listener)
      .get(`/?token=${tokenOf('s2')}`)
      .set('X-Forwarded-Proto', 'http');
    expect(cookiesOf(plain)).toEqual([expect.not.stringContaining('Secure')]);
  });

  test('is Secure where its name demands it', async () => {
    const answer = await siteOf({}, { cookie: { name: '__Host-login' } })
      .get(`/?token=${tokenOf('s1')}`)
      .expect(303);
    expect(cookiesOf(answer)).toEqual([expect.stringMatching(/^__Host-login=.*; Secure; /)]);
  });

  describe('a bad token: no cookie, the same redirect, an event', () => {
    const expired = { iat: START / 1000 - 7200, exp: START / 1000 - 1 };
    const rows: readonly (readonly [string, () => string, LoginErrorCode])[] = [
      ['rubbish', () => 'rubbish', 'token_malformed'],
      ['another signature', () => `${tokenOf('s1').slice(0, -4)}AAAA`, 'signature_invalid'],
      ['an expired one', () => tokenOf('s1', expired), 'token_expired'],
      ['one for somebody else', () => tokenOf('s1', { aud: 'bank' }), 'audience_refused'],
      ['two of them', () => `${tokenOf('s1')}&token=${tokenOf('s2')}`, 'token_malformed'],
      ['one too long for a cookie', () => tokenOf('s1', { big: 'x'.repeat(3000) }), 'token_too_large'],
      ['line breaks', () => `${tokenOf('s1')}%0D%0ASet-Cookie:%20a=b`, 'token_malformed'],
    ];
    test.each(rows)('%s', async (_what, makeToken, code) => {
      const answer = await siteOf().get(`/in?token=${makeToken()}&a=1`).expect(303);
      expect(cookiesOf(answer)).toBeUndefined();
      expect(answer.headers).toMatchObject({ location: '/in?a=1', 'referrer-policy': 'no-referrer' });
      expect(refused).toEqual([code]);
    });

    test('a good one whose session was ended', async () => {
      const site = siteOf();
      const token = tokenOf('s1');
      const { session } = await sessions.verify(token);
      await sessions.revoke('ann', session.handle);
      const answer = await site.get(`/?token=${token}`).expect(303);
      expect(cookiesOf(answer)).toBeUndefined();
      expect(refused).toEqual(['session_revoked']);
    });
  });

  test('what cannot be told is 503, and the address is left for a reload', async () => {
    const issuer = { issuer: ISSUER, jwksUri: 'http://127.0.0.1:1/jwks.json', algorithms: ['RS256' as const] };
    const header = Buffer.from('{"alg":"RS256","kid":"k"}').toString('base64url');
    const token = `${header}.${tokenOf('s1').split('.')[1]}.AAAA`;
    const answer = await siteOf({}, { issuer }).get(`/?token=${token}`).expect(503);
    expect(answer.body).toMatchObject({ code: 'keys_unavailable' });
    expect(answer.headers).toMatchObject({ 'retry-after': expect.any(String), 'referrer-policy': 'no-referrer' });
    expect(answer.headers['location']).toBeUndefined();
    expect(cookiesOf(answer)).toBeUndefined();
  });

  test('a full house is 403: a new login would end there too', async () => {
    const site = siteOf({}, { maxSessionsPerUser: 1, atSessionLimit: 'refuse' });
    await site.get(`/?token=${tokenOf('s1')}`).expect(303);
    const answer = await site.get(`/?token=${tokenOf('s2')}`).expect(403);
    expect(answer.body).toMatchObject({ code: 'session_limit' });
    expect(cookiesOf(answer)).toBeUndefined();
  });

  test.each([
    ['no query', 'get', '/'],
    ['another query', 'get', '/?tokens=a.b.c&page=2'],
    ['an empty token', 'get', '/?token='],
    ['a parameter that only ends like it', 'get', '/??token=a.b.c'],
  ] as const)('%s: the next handler answers', async (_what, method, path) => {
    const answer = await siteOf()[method](path).expect(200);
    expect(answer.headers).not.toHaveProperty('referrer-policy');
    expect(refused).toEqual([]);
  });

  test.each(['head', 'post', 'put', 'options'] as const)('%s never takes a token', async (method) => {
    const answer = await siteOf()[method](`/?token=${tokenOf('s1')}`);
    expect(answer.status).toBe(200);
    expect(cookiesOf(answer)).toBeUndefined();
  });

  test('the token has another name, also as a browser may spell it', async () => {
    const site = siteOf({ parameter: 'login token' });
    const answer = await site.get(`/?l%6Fgin+token=${tokenOf('s1')}&token=theirs`).expect(303);
    expect(answer.headers['location']).toBe('/?token=theirs');
    expect(cookiesOf(answer)).toEqual([expect.stringContaining('login_token=ey')]);
  });

  test('below a mount it comes back to the whole address, and other logs do not see the token', async () => {
    newSessions();
    const app = makeApp();
    let url: unknown;
    app.mount('/', (req: IncomingMessage & { originalUrl?: string }, res, next) => {
      res.on('finish', () => (url = [req.url, req.originalUrl]));
      next();
    });
    app.mount('/back', sessions.handoff({ state: false }));
    const answer = await supertest(app.listener)
      .get(`/back/to?token=${tokenOf('s1')}&a=1`)
      .expect(303);
    expect(answer.headers['location']).toBe('/back/to?a=1');
    expect(JSON.stringify(url)).toContain('/back/to?a=1');
    expect(JSON.stringify(url)).not.toContain('token');
  });

  describe('is never a way to another host', () => {
    test.each([
      ['//evil.example/x?token=T', '/evil.example/x'],
      ['///evil.example?token=T&a=//b', '/evil.example?a=//b'],
      ['/\\evil.example?token=T', '/evil.example'],
      ['/\\/\\evil.example?token=T', '/evil.example'],
      ['http://evil.example/x?token=T', '/x'],
      ['http://evil.example?token=T', '/'],
      ['/x?next=https://evil.example&token=T', '/x?next=https://evil.example'],
      ['/x?token=T?//evil.example', '/x'],
    ])('%s', async (target, location) => {
      const answer = await rawAnswer(makeSite().listener, target.replace('=T', `=${tokenOf('s1')}`));
      expect(locationIn(answer)).toBe(location);
    });
  });

  describe('state', () => {
    const state = { cookie: 'login_state' };
    const begun = { Cookie: 'a=b; login_state=4f9c2a71' };

    test('the one that this browser was given: signed in, and it is used up', async () => {
      const answer = await siteOf({ state })
        .get(`/?token=${tokenOf('s1')}&state=4f9c2a71&a=1`)
        .set(begun)
        .expect(303);
      expect(answer.headers['location']).toBe('/?a=1');
      expect(cookiesOf(answer)).toEqual([
        expect.stringContaining('login_token=ey'),
        expect.stringMatching(/^login_state=; Max-Age=0; /),
      ]);
      expect(refused).toEqual([]);
    });

    test.each([
      ['none sent', '', begun],
      ['an empty one', '&state=', begun],
      ['another', '&state=4f9c2a72', begun],
      ['the beginning of it', '&state=4f9c', begun],
      ['two', '&state=4f9c2a71&state=4f9c2a71', begun],
      ['none begun', '&state=4f9c2a71', {}],
      ['none begun, none sent', '', {}],
      ['empty ones', '&state=', { Cookie: 'login_state=' }],
    ])('%s: no cookie', async (_what, query, headers) => {
      const answer = await siteOf({ state })
        .get(`/in?token=${tokenOf('s1')}${query}`)
        .set(headers)
        .expect(303);
      expect(cookiesOf(answer)).toBeUndefined();
      expect(answer.headers['location']).toBe('/in');
      expect(refused).toEqual(['cross_site']);
      expect((await sessions.list('ann')).sessions).toEqual([]);
    });

    test('a function, of the application, that knows what was begun', async () => {
      const site = siteOf({ state: (req) => (req.headers.host === undefined ? undefined : 'known') });
      const good = await site.get(`/?token=${tokenOf('s1')}&state=known`).expect(303);
      expect(cookiesOf(good)).toEqual([expect.stringContaining('login_token=ey')]);
      const bad = await site.get(`/?token=${tokenOf('s2')}&state=unknown`).expect(303);
      expect(cookiesOf(bad)).toBeUndefined();
    });

    test('a function that throws is the application\u2019s fault', async () => {
      const site = siteOf({
        state: () => {
          throw new Error('no session');
        },
      });
      const answer = await site.get(`/?token=${tokenOf('s1')}&state=known`).expect(500);
      expect(answer.text).toBe('application error: no session');
      expect(cookiesOf(answer)).toBeUndefined();
    });
  });

  if (name !== 'Connect') {
    test('reads the state by cookie-parser, signed cookies too', async () => {
      newSessions();
      const app = makeApp();
      app.mount('/begin', cookieParser('key') as never, (_req, res) => {
        Reflect.apply(Reflect.get(res, 'cookie'), res, ['login_state', 'abc', { signed: true }]);
        res.end();
      });
      app.mount('/', cookieParser('key') as never, sessions.handoff({ state: { cookie: 'login_state' } }));
      const browser = supertest.agent(app.listener);
      await browser.get('/begin').expect(200);
      const answer = await browser.get(`/?token=${tokenOf('s1')}&state=abc`).expect(303);
      expect(cookiesOf(answer)).toHaveLength(2);
    });
  }
});

test('at https the cookie is Secure', async () => {
  newSessions({ trustProxy: true });
  const handler = sessions.handoff({ state: false });
  const server = createServer((req, res) => {
    Object.defineProperty(req.socket, 'encrypted', { value: true });
    handler(req, res, () => res.end());
  });
  const answer = await supertest(server)
    .get(`/?token=${tokenOf('s1')}`)
    .expect(303);
  expect(cookiesOf(answer)).toEqual([expect.stringContaining('; Secure; ')]);
});

test.each([
  ['/\t/evil.example', '/%09/evil.example'],
  ['/\r\nSet-Cookie: a=b', '/%0d%0aSet-Cookie:%20a=b'],
  ['/caf\xc3\xa9?n=\xc3\xa9', '/caf%c3%a9?n=%c3%a9'],
])('what no HTTP/1.1 request can be, another server may hand in: %j', async (url, location) => {
  newSessions();
  const handler = sessions.handoff({ state: false });
  const server = createServer((req, res) => {
    req.url = `${url}${url.includes('?') ? '&' : '?'}token=${tokenOf('s1')}`;
    handler(req, res, () => res.end());
  });
  const answer = await supertest(server).get('/').expect(303);
  expect(answer.headers['location']).toBe(location);
  expect(cookiesOf(answer)).toHaveLength(1);
});

test('an answer that somebody else has given meanwhile is left as it is', async () => {
  let answer: (() => void) | undefined;
  newSessions({
    user: async () => {
      answer?.();
      return { id: 'ann', issuer: ISSUER, claims: {} };
    },
  });
  const handler = sessions.handoff({ state: false });
  const passed: unknown[] = [];
  const server = createServer((req, res) => {
    answer = () => res.writeHead(504).end('too late');
    handler(req, res, (error) => passed.push(error));
  });
  const { text } = await supertest(server)
    .get(`/?token=${tokenOf('s1')}`)
    .expect(504);
  await new Promise((resolve) => setImmediate(resolve));
  expect([text, passed]).toEqual(['too late', []]);
});

test('other cookies of the answer stay', async () => {
  newSessions();
  const app = express();
  app.use(
    (_req, res, next) => {
      res.cookie('theme', 'dark');
      next();
    },
    sessions.handoff({ state: false }),
  );
  const answer = await supertest(app)
    .get(`/?token=${tokenOf('s1')}`)
    .expect(303);
  expect(cookiesOf(answer)).toEqual(['theme=dark; Path=/', expect.stringContaining('login_token=ey')]);
});

test('where a function finds the token, the cookie must be named', async () => {
  newSessions({ from: () => undefined });
  expect(() => sessions.handoff({ state: false })).toThrow(
    /^handoff\(\) needs a cookie, and the option from names none: .* cookie\.name$/,
  );
  await sessions.close();
  newSessions({ from: () => undefined, cookie: { name: 'mine' } });
  expect(sessions.handoff({ state: false })).toBeInstanceOf(Function);
});

test.each([
  [null, 'handoff() takes an object of options, got null'],
  [undefined, expect.stringContaining('handoff() needs the option state: ')],
  [{}, expect.stringContaining('If your provider cannot return a state, write state: false')],
  [{ state: undefined }, expect.stringContaining('handoff() needs the option state: ')],
  [{ parameter: 'jwt' }, expect.stringContaining('handoff() needs the option state: ')],
  [{ cookie: 'a' }, 'handoff() has no option "cookie": use one of parameter, state'],
  [{ stat: 'a' }, 'handoff() has no option "stat": did you mean state?'],
  [
    { parameter: '' },
    "handoff(): parameter must be the name of a query parameter other than 'state', got an empty string",
  ],
  [
    { parameter: 'state' },
    "handoff(): parameter must be the name of a query parameter other than 'state', got a string",
  ],
  [{ state: null }, "handoff(): state must be { cookie: 'name' }, a function or false, got null"],
  [{ state: true }, "handoff(): state must be { cookie: 'name' }, a function or false, got a boolean"],
  [{ state: 'login_state' }, "handoff(): state must be { cookie: 'name' }, a function or false, got a string"],
  [{ state: {} }, "handoff(): state.cookie must be a valid cookie name such as 'login_token', got undefined"],
  [
    { state: { cookie: '' } },
    "handoff(): state.cookie must be a valid cookie name such as 'login_token', got an empty string",
  ],
])('%j throws', (options, message) => {
  newSessions();
  let thrown: unknown;
  try {
    Reflect.apply(sessions.handoff, sessions, [options]);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(TypeError);
  expect(thrown).toHaveProperty('message', message);
});
