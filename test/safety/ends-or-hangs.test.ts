/** Heading 2: what ends the process, or hangs. A row is a hook that fails, or a mistake in the set-up, and the answer. */

import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import supertest from 'supertest';
import { managedSessions, type Handler, type ManagedSessions } from '../../lib/index.js';
import { describeEachFramework } from '../support/frameworks.js';
import { FAILURES, HOOKS, ISSUER, LET_IN, newToken, PROMISES, SECRET, type Hook } from './hooks.js';

// Jest fails the test during which a promise is rejected and nobody handles it.

beforeAll(() => {
  jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
});

afterAll(() => {
  jest.restoreAllMocks();
});

const UNCALLED = [
  ['required', 'app.use(sessions.required())'],
  ['optional', 'app.use(sessions.optional())'],
  ['router', "app.use('/account/sessions', sessions.router())"],
  ['logout', "app.post('/logout', sessions.logout())"],
  ['handoff', 'app.use(sessions.handoff(...))'],
  ['introspection', "app.use('/introspect', sessions.introspection(...))"],
  ['setCookie', 'await sessions.setCookie(req, res, token)'],
  ['verify', 'await sessions.verify(token), or app.use(sessions.required())'],
  ['authenticate', 'await sessions.authenticate(req), or app.use(sessions.required())'],
  ['list', 'await sessions.list(user)'],
  ['get', 'await sessions.get(user, handle)'],
  ['label', 'await sessions.label(user, handle, text)'],
  ['revoke', 'await sessions.revoke(user, handle)'],
  ['revokeAll', 'await sessions.revokeAll(user)'],
  ['endEverywhere', 'await sessions.endEverywhere()'],
  ['health', 'res.json(sessions.health())'],
  ['close', 'await sessions.close()'],
] as const;

const DEEP = [
  ['2,900 nested lists in aud', `"aud":${'['.repeat(2900)}${']'.repeat(2900)}`],
  ['nested objects', `"act":${'{"a":'.repeat(900)}1${'}'.repeat(900)}`],
] as const;

describeEachFramework((_name, makeApp) => {
  let server: Server;
  let url: string;
  const sites: ManagedSessions<unknown>[] = [];
  /** What each hook does at the moment. */
  let run: () => unknown = () => undefined;

  beforeAll(async () => {
    const app = makeApp();
    HOOKS.forEach(({ mount }, index) => sites.push(mount(app, `/${String(index)}`, () => run())));
    server = createServer(app.listener).listen(0, '127.0.0.1');
    // A busy machine lets a connection be idle for seconds, and the client would use it just as it is closed.
    server.keepAliveTimeout = 0;
    await once(server, 'listening');
    url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  });

  afterAll(async () => {
    server.close();
    server.closeAllConnections();
    for (const site of sites) await site.close();
  });

  async function ask({ request, isAnonymous }: Hook, index: number): Promise<{ status: number; text: string }> {
    const { method = 'GET', path = '/', headers = {} } = request ?? {};
    const authorization = isAnonymous ? {} : { authorization: `Bearer ${newToken()}` };
    const response = await fetch(`${url}/${String(index)}${path}`, {
      method,
      headers: { ...headers, ...authorization },
    });
    return { status: response.status, text: await response.text() };
  }

  describe.each(HOOKS.map((hook, index) => [hook.name, hook, index] as const))('%s', (_hookName, hook, index) => {
    const outcomes = [...FAILURES, ...(hook.isAsync ? [] : PROMISES)];
    test.each(outcomes)('%s', async (_outcome, outcome) => {
      run = outcome;
      const { status, text } = await ask(hook, index);
      expect(hook.answers).toContain(status);
      if (status !== 200) expect(text).not.toContain(LET_IN);
    });
  });

  test.each(UNCALLED)('sessions.%s, not called, answers and lets nobody in', async (name, usage) => {
    const sessions = site();
    const member: unknown = sessions[name];
    const other = makeApp();
    other.mount('/', member as Handler, (_req, res) => void res.end(LET_IN));
    const { status, text } = await supertest(other.listener).get('/').set('Authorization', `Bearer ${newToken()}`);
    expect(status).toBe(500);
    expect(text).toBe(`application error: sessions.${name} is not a request handler; call it: ${usage}`);
    await sessions.close();
  });

  const BEGUN: readonly (readonly [name: string, make: (sessions: ManagedSessions<unknown>) => Handler])[] = [
    ['required()', (sessions) => sessions.required()],
    ['required({ fresh: true })', (sessions) => sessions.required({ fresh: true })],
    ['router()', (sessions) => sessions.router()],
    ['logout()', (sessions) => sessions.logout()],
    ['handoff()', (sessions) => sessions.handoff({ state: false })],
    ['introspection()', (sessions) => sessions.introspection({ authorize: () => true })],
  ];

  test.each(BEGUN)('after a response that has begun, %s passes an error on', async (what, make) => {
    const sessions = site();
    const other = makeApp();
    const isPost = what === 'logout()';
    other.mount(
      '/',
      (_req, res, next) => {
        res.flushHeaders();
        next();
      },
      make(sessions),
      (_req, res) => void res.end(LET_IN),
    );
    const agent = supertest(other.listener);
    const { text } = await (isPost ? agent.post('/') : agent.get('/?token=a.b.c'));
    expect(text).toMatch(/^application error: /);
    await sessions.close();
  });

  test('the managedSessions function itself, not called, answers and lets nobody in', async () => {
    const other = makeApp();
    const uncalled: unknown = managedSessions;
    other.mount('/', uncalled as Handler, (_req, res) => void res.end(LET_IN));
    const { status, text } = await supertest(other.listener).get('/');
    expect(status).toBe(500);
    expect(text).toBe(
      'application error: managedSessions is not a request handler; call it once: app.use(managedSessions({ issuer }))',
    );
  });

  test.each(DEEP)('a payload with %s is malformed, for every route', async (_what, claims) => {
    const sessions = site();
    const other = makeApp();
    other.mount('/introspect', sessions.introspection({ authorize: () => true }));
    other.mount('/', sessions.required(), (req: IncomingMessage & { user?: unknown }, res) => {
      res.end(JSON.stringify(req.user));
    });
    const token = tokenWith(claims);
    const { body } = await supertest(other.listener).get('/').set('Authorization', `Bearer ${token}`).expect(401);
    expect(body.code).toBe('token_malformed');
    const introspected = await supertest(other.listener).post('/introspect').type('form').send({ token }).expect(200);
    expect(introspected.body).toEqual({ active: false });
    await sessions.close();
  });
});

function site(options: object = {}): ManagedSessions<unknown> {
  return managedSessions<unknown>({ issuer: { issuer: ISSUER, secret: SECRET }, ...options });
}

/** Without `jsonwebtoken`, which would have to serialize the payload. */
function tokenWith(members: string): string {
  const encode = (text: string): string => Buffer.from(text).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const input = `${encode('{"alg":"HS256"}')}.${encode(
    `{"iss":"${ISSUER}","sub":"a","sid":"s","iat":${String(now)},"exp":${String(now + 60)},${members}}`,
  )}`;
  return `${input}.${createHmac('sha256', SECRET).update(input).digest('base64url')}`;
}

describe('without next', () => {
  // `setCookie(req, res)` is a call without a token.
  test.each(UNCALLED.filter(([name]) => name !== 'setCookie'))(
    'sessions.%s as the listener of a server answers 500',
    async (name) => {
      const sessions = site();
      const member: unknown = sessions[name];
      await supertest(member as (req: IncomingMessage, res: ServerResponse) => void)
        .get('/')
        .expect(500);
      await sessions.close();
    },
  );

  test.each(UNCALLED)('sessions.%s as a middleware of Koa throws, and does not go on', async (name) => {
    const sessions = site();
    const next = jest.fn();
    const member = sessions[name] as (...given: unknown[]) => unknown;
    expect(() => member({ req: {}, res: {} }, next)).toThrow(/is not a request handler; call it/);
    expect(next).not.toHaveBeenCalled();
    await sessions.close();
  });
});

/** A response of a test kit, which has only what the documentation of Express has always had. */
function plainResponse() {
  const headers: Record<string, unknown> = {};
  return {
    headers,
    headersSent: false,
    statusCode: 200,
    ended: false,
    setHeader(name: string, value: unknown) {
      headers[name.toLowerCase()] = value;
    },
    getHeader: (name: string) => headers[name.toLowerCase()],
    end() {
      this.ended = true;
    },
  };
}

describe('requests and responses of test kits and adapters', () => {
  const REQUESTS: readonly (readonly [name: string, rest: object])[] = [
    ['without rawHeaders and socket', {}],
    ['with empty rawHeaders', { rawHeaders: [] }],
    ['with a socket that knows nothing', { socket: {} }],
    ['with a method that changes something', { method: 'POST' }],
    ['with forwarded headers', { headers: { 'x-forwarded-for': '203.0.113.7', 'x-forwarded-host': 'a.example' } }],
    ['on an upgrade', { headers: { upgrade: 'websocket', origin: 'https://a.example', host: 'a.example' } }],
  ];

  test.each(REQUESTS)('a request %s', async (_name, rest: { headers?: object }) => {
    const sessions = site({ clientHints: true, trustProxy: true });
    const token = newToken();
    const request = (): IncomingMessage => {
      const headers = { ...rest.headers, authorization: `Bearer ${token}` };
      const made: unknown = { method: 'GET', url: '/', ...rest, headers };
      return made as IncomingMessage;
    };
    for (const handler of [sessions, sessions.required(), sessions.optional()]) {
      const res = plainResponse();
      const passed = await new Promise((resolve) => {
        handler(request(), res as unknown as ServerResponse, (error) => resolve(error ?? 'passed'));
      });
      expect(passed).toBe('passed');
      expect(res.headers['accept-ch']).toBeDefined();
    }
    await expect(sessions.authenticate(request())).resolves.toMatchObject({ user: { issuer: ISSUER } });
    await sessions.close();
  });

  const HEADERS: readonly (readonly [name: string, headers: unknown, message: string])[] = [
    ['no headers', undefined, "must have headers as Node's own has, got undefined"],
    ['null as headers', null, "must have headers as Node's own has, got null"],
    ['the Headers of the Fetch API', new Headers({ authorization: 'Bearer a.b.c' }), "must be Node's own"],
    ['a Map of headers', new Map([['authorization', 'Bearer a.b.c']]), "must be Node's own"],
  ];

  test.each(HEADERS)('a request with %s is an error that says so', async (_name, headers, message) => {
    const sessions = site();
    const request = (method: string): IncomingMessage => {
      const made: unknown = { method, url: '/', headers };
      return made as IncomingMessage;
    };
    const res = plainResponse() as unknown as ServerResponse;
    const handlers = [
      [sessions, 'GET'],
      [sessions.optional(), 'GET'],
      [sessions.router(), 'GET'],
      [sessions.logout(), 'POST'],
    ] as const;
    for (const [handler, method] of handlers) {
      const passed = await new Promise((resolve) => handler(request(method), res, resolve));
      expect(passed).toMatchObject({ name: 'TypeError', message: expect.stringContaining(message) });
    }
    await expect(sessions.authenticate(request('GET'))).rejects.toThrow(message);
    await expect(sessions.setCookie(request('GET'), res, newToken())).rejects.toThrow(message);
    await sessions.close();
  });

  test('authenticate() does not take a request for one without an Origin because it cannot read it', async () => {
    const sessions = site({ from: (req: object) => (req instanceof Request ? newToken() : undefined) });
    const request: unknown = new Request('http://a.example/', {
      method: 'POST',
      headers: { origin: 'https://b.example' },
    });
    await expect(sessions.authenticate(request as IncomingMessage)).rejects.toThrow("must be Node's own");
    await sessions.close();
  });

  test('cookies are added to a response without appendHeader', async () => {
    const sessions = site();
    const res = plainResponse();
    res.setHeader('Set-Cookie', 'a=b');
    const request: unknown = { method: 'POST', url: '/', headers: {} };
    await sessions.setCookie(request as IncomingMessage, res as unknown as ServerResponse, newToken());
    expect(res.headers['set-cookie']).toEqual(['a=b', expect.stringMatching(/^login_token=/)]);
    await sessions.close();
  });

  test('a response without hasHeader is refused with a body', async () => {
    const sessions = site({ clientHints: true });
    const res = plainResponse();
    const request: unknown = { method: 'GET', url: '/', headers: {} };
    sessions(request as IncomingMessage, res as unknown as ServerResponse, () => undefined);
    expect([res.statusCode, res.ended]).toEqual([401, true]);
    await sessions.close();
  });
});
