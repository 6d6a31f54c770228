/** Heading 1, between two gates: what happens to a session, or to the request, while the request is on its way. */

import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import supertest from 'supertest';
import type { ManagedSessions } from '../../lib/index.js';
import { ISSUER, START, tokenOf } from '../http/site.js';
import { describeEachFramework, type TestApp } from '../support/frameworks.js';
import { ALICE, EVIL, HOST, shop } from './cookies.js';

let sessions: ManagedSessions;
beforeEach(() => {
  sessions = shop();
});
afterEach(() => sessions.close());

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded', Authorization: `Bearer ${ALICE}` };

function letIn(_req: IncomingMessage, res: ServerResponse): void {
  res.end('in');
}

/** Sends the first byte of a body, does something once `begun` has resolved, and sends the rest. Returns the status. */
async function slowly(
  app: TestApp,
  sent: Sent,
  begun: Promise<unknown>,
  meanwhile: () => Promise<unknown>,
): Promise<number | undefined> {
  const server = createServer(app.listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    const headers = { ...FORM, ...sent.headers, 'Content-Length': sent.body.length };
    const req = httpRequest({ ...sent, port, host: '127.0.0.1', headers });
    req.write(sent.body.slice(0, 1));
    await begun;
    await meanwhile();
    req.end(sent.body.slice(1));
    const [response] = (await once(req, 'response')) as [IncomingMessage];
    response.resume();
    return response.statusCode;
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string | number>>;
}

/** A promise, and middleware that resolves it once the request has been let in. */
function signal(): {
  readonly begun: Promise<void>;
  readonly mark: (req: unknown, res: unknown, next: () => void) => void;
} {
  let resolve = (): void => undefined;
  const begun = new Promise<void>((done) => {
    resolve = done;
  });
  return {
    begun,
    mark: (_req, _res, next) => {
      resolve();
      next();
    },
  };
}

function readBody(req: IncomingMessage, _res: unknown, next: () => void): void {
  req.on('end', next).resume();
}

describeEachFramework((_framework, makeApp) => {
  test.each([{}, { fresh: true }])(
    'a session that ends while the body arrives passes no further gate: required(%j)',
    async (options) => {
      const { begun, mark } = signal();
      const app = makeApp();
      app.mount('/', sessions.required(options), mark, readBody, sessions.required(), letIn);
      const status = await slowly(app, { method: 'POST', path: '/', body: 'a=b' }, begun, () =>
        sessions.revokeAll('alice'),
      );
      expect(status).toBe(401);
    },
  );

  test('the same behind optional(): the user is taken back', async () => {
    const { begun, mark } = signal();
    const seen: unknown[] = [];
    const app = makeApp();
    app.mount('/', sessions.optional(), mark, readBody, sessions.optional(), (req: IncomingMessage, res) => {
      seen.push(Reflect.get(req, 'user'), Reflect.get(req, 'loginSession'), Reflect.get(req, 'loginError'));
      res.end();
    });
    await slowly(app, { method: 'POST', path: '/', body: 'a=b' }, begun, () => sessions.revokeAll('alice'));
    expect(seen).toEqual([undefined, undefined, expect.objectContaining({ code: 'session_revoked' })]);
  });

  test.each<[string, Sent]>([
    ['ends no other one', { method: 'POST', path: '/others/end', body: 'a=b' }],
    ['renames none', { method: 'POST', path: '/current/label', body: 'label=x' }],
    [
      'renames none by JSON',
      {
        method: 'PATCH',
        path: '/current',
        body: '{"label":"x"}',
        headers: { 'Content-Type': 'application/json' },
      },
    ],
  ])('a session that ends while the body of a route arrives %s', async (_name, sent) => {
    const other = tokenOf('alice-2', { sub: 'alice' });
    await sessions.verify(other);
    const { handle } = (await sessions.verify(ALICE)).session;
    const { begun, mark } = signal();
    const app = makeApp();
    // The route asks the store once more.
    app.mount('/', sessions.required({ fresh: true }), mark, sessions.router());
    expect(await slowly(app, sent, begun.then(settled), () => sessions.revoke('alice', handle))).toBe(401);
    await expect(sessions.verify(other)).resolves.toBeDefined();
  });

  describe('a session that ends while the application looks for its user', () => {
    /** The option `user` resolves once the sessions of its user have ended. */
    function slowShop(): ManagedSessions {
      const slow: ManagedSessions = shop({
        user: async (claims) => {
          await slow.revokeAll('alice');
          return { id: 'alice', issuer: ISSUER, claims };
        },
      });
      return slow;
    }
    let slow: ManagedSessions;
    beforeEach(() => {
      slow = slowShop();
    });
    afterEach(() => slow.close());

    test.each([{}, { fresh: true }])('does not pass required(%j)', async (options) => {
      const app = makeApp();
      app.mount('/', slow.required(options), letIn);
      const { body, status } = await supertest(app.listener).get('/').set(FORM);
      expect([status, body.code]).toEqual([401, 'session_revoked']);
    });

    test('has no user behind optional()', async () => {
      const seen: unknown[] = [];
      const app = makeApp();
      app.mount('/', slow.optional(), (req: IncomingMessage, res) => {
        seen.push(Reflect.get(req, 'user'), Reflect.get(req, 'loginSession'), Reflect.get(req, 'loginError'));
        res.end();
      });
      await supertest(app.listener).get('/').set(FORM);
      expect(seen).toEqual([undefined, undefined, expect.objectContaining({ code: 'session_revoked' })]);
    });

    test('uses no route', async () => {
      const app = makeApp();
      app.mount('/', slow.router());
      await supertest(app.listener).delete('/others').set(FORM).expect(401);
    });

    test('opens no connection, and is not active', async () => {
      const app = makeApp();
      app.mount('/authenticate', (req: IncomingMessage, res) => {
        slow.authenticate(req).then(
          () => res.end('in'),
          (error: unknown) => res.end(Reflect.get(Object(error), 'code')),
        );
      });
      app.mount('/introspect', slow.introspection({ authorize: () => true }));
      const { text } = await supertest(app.listener).get('/authenticate').set(FORM);
      expect(text).toBe('session_revoked');
      await expect(slow.verify(tokenOf('alice-2', { sub: 'alice' }))).rejects.toMatchObject({
        code: 'session_revoked',
      });
      const token = tokenOf('alice-3', { sub: 'alice', iat: START / 1000 - 60 });
      const { body } = await supertest(app.listener).post('/introspect').type('form').send({ token });
      expect(body).toEqual({ active: false });
    });
  });

  test('a second token, of somebody else, comes with a user of its own', async () => {
    const bob = tokenOf('bob-1', { sub: 'bob' });
    const app = makeApp();
    const override = (req: IncomingMessage, _res: unknown, next: () => void): void => {
      req.method = 'POST';
      req.headers.authorization = `Bearer ${bob}`;
      next();
    };
    app.mount('/', sessions.optional(), override, sessions.required(), (req: IncomingMessage, res) => {
      res.end(JSON.stringify([Reflect.get(req, 'user').id, Reflect.get(req, 'loginSession').handle]));
    });
    const { text } = await supertest(app.listener).get('/').set(FORM);
    expect(JSON.parse(text)).toEqual(['bob', (await sessions.verify(bob)).session.handle]);
  });

  test('a GET of another site that becomes a POST between two gates', async () => {
    const app = makeApp();
    const override = (req: IncomingMessage, _res: unknown, next: () => void): void => {
      req.method = 'POST';
      next();
    };
    app.mount('/', sessions.optional(), override, sessions.required(), letIn);
    const { body, status } = await supertest(app.listener)
      .get('/')
      .set({ Host: HOST, Cookie: `login_token=${ALICE}`, Origin: EVIL, 'Sec-Fetch-Site': 'cross-site' });
    expect([status, body.code]).toEqual([403, 'cross_site']);
  });
});

/** Until the route has begun to read the body. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
