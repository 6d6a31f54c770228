/** What must be recorded as it is: addresses, clients, moves; and nothing more than that. */

import { execFile } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import express5 from 'express';
import express4 from 'express4';
import fc from 'fast-check';
import supertest from 'supertest';
import {
  managedSessions,
  memoryStore,
  type ManagedSessions,
  type ManagedSessionsOptions,
  type SessionView,
  type StoreCall,
} from '../../lib/index.js';
import { createClientAddress, compileTrust, recordedAddress, type TrustProxy } from '../../lib/http/client-address.js';
import { createTestClock, createTestIssuer, type TestIssuer } from '../../lib/testing/index.js';
import { request as requestOf, type Sent } from '../http/sent.js';
import { describeEachFramework } from '../support/frameworks.js';
import { THROWS } from './hooks.js';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0';
const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36';

let issuer: TestIssuer;
const open: ManagedSessions[] = [];

beforeAll(async () => {
  issuer = await createTestIssuer();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((sessions) => sessions.close()));
});
afterAll(() => issuer.close());

function newSessions(options: Partial<ManagedSessionsOptions> = {}): ManagedSessions {
  const { issuer: name, jwksUri } = issuer;
  const sessions = managedSessions({ issuer: { issuer: name, jwksUri }, store: memoryStore(), ...options });
  open.push(sessions);
  return sessions;
}

async function onlySession(sessions: ManagedSessions): Promise<SessionView> {
  const list = await sessions.list('user-1');
  expect(list.sessions).toHaveLength(1);
  return list.sessions[0]!;
}

/** As a load balancer writes it, and the address. */
const ADDRESSES: readonly (readonly [string, string | null])[] = [
  ['203.0.113.7', '203.0.113.7'],
  ['203.0.113.7:51234', '203.0.113.7'],
  ['[203.0.113.7]:51234', '203.0.113.7'],
  ['2001:db8::7', '2001:db8::7'],
  ['[2001:db8::7]', '2001:db8::7'],
  ['[2001:db8::7]:51234', '2001:db8::7'],
  ['[::1]', '::1'],
  ['[::1]:80', '::1'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7:51234', '203.0.113.7'],
  ['[::ffff:203.0.113.7]:51234', '203.0.113.7'],
  ['[::FFFF:cb00:7107]:51234', '203.0.113.7'],
  ['fe80::1%eth0', 'fe80::1'],
  ['[fe80::1%eth0]:51234', 'fe80::1'],
  ['203.0.113.7:', null],
  ['203.0.113.7:port', null],
  ['203.0.113.7:1234567', null],
  ['203.0.113.700:80', null],
  ['[203.0.113.7', null],
  ['[]:80', null],
  ['[2001:db8::7]x', null],
  ['unknown', null],
  ['_hidden', null],
  ['localhost:80', null],
  [`${'['.repeat(120)}:1`, null],
];

describeEachFramework((_name, makeApp) => {
  test.each(ADDRESSES)('X-Forwarded-For: %s', async (sent, expected) => {
    const app = makeApp();
    app.trustProxy(true);
    const sessions = newSessions({ trustProxy: true });
    app.mount('/', sessions, (_req: unknown, res: ServerResponse) => void res.end());
    const agent = supertest(app.listener);
    await agent.get('/').set('Authorization', `Bearer ${issuer.issue()}`).set('X-Forwarded-For', sent).expect(200);
    expect((await onlySession(sessions)).ip).toBe(expected);
  });

  test.each<[string, TrustProxy, string, string]>([
    ['by subnet', 'loopback, 10.0.0.0/8', '203.0.113.7:51234, 10.0.0.9:443', '203.0.113.7'],
    ['by subnet, with brackets', 'loopback, fd00::/8', '[2001:db8::7]:51234, [fd00::9]:443', '2001:db8::7'],
    ['by hops', 2, '203.0.113.7:51234, 10.0.0.9:443', '203.0.113.7'],
    ['not that far', 'loopback', '203.0.113.7:51234, 10.0.0.9:443', '10.0.0.9'],
    [
      'not the client that it makes up',
      'loopback, 10.0.0.0/8',
      '198.51.100.1, 203.0.113.7:51234, 10.0.0.9:443',
      '203.0.113.7',
    ],
  ])('proxies that write their port are trusted %s', async (_how, trustProxy, sent, expected) => {
    const app = makeApp();
    app.trustProxy(trustProxy);
    const sessions = newSessions({ trustProxy });
    app.mount('/', sessions, (_req: unknown, res: ServerResponse) => void res.end());
    const agent = supertest(app.listener);
    await agent.get('/').set('Authorization', `Bearer ${issuer.issue()}`).set('X-Forwarded-For', sent).expect(200);
    expect((await onlySession(sessions)).ip).toBe(expected);
  });

  test('a program does not take the place of the browser, and is no move', async () => {
    const app = makeApp();
    app.trustProxy(true);
    const clock = createTestClock();
    const sessions = newSessions({ trustProxy: true, clock });
    const moves: string[] = [];
    sessions.on('sessionMoved', ({ from, to }) => moves.push(`${String(from.userAgent)} > ${String(to.userAgent)}`));
    app.mount('/', sessions, (_req: unknown, res: ServerResponse) => void res.end());
    const agent = supertest.agent(app.listener);
    const token = issuer.issue({ exp: Math.floor(clock.now() / 1000) + 86_400 });
    const visit = async (ip: string, userAgent: string): Promise<SessionView> => {
      clock.advance('10m');
      const sent = agent.get('/').set('Authorization', `Bearer ${token}`).set('X-Forwarded-For', ip);
      await sent.set('User-Agent', userAgent).expect(200);
      // The sighting is sent in the background, and the store answers it before it answers the list.
      return onlySession(sessions);
    };
    await visit('203.0.113.7', FIREFOX);
    for (const program of ['node', 'undici', 'curl/8.9.1', 'axios/1.7.7', 'Googlebot/2.1', '']) {
      const { ip, client, lastSeenAt } = await visit('127.0.0.9', program);
      expect([ip, client.name]).toEqual(['203.0.113.7', 'Firefox']);
      expect(lastSeenAt).toBe(new Date(clock.now()).toISOString());
    }
    expect(moves).toEqual([]);
    const { ip, client } = await visit('203.0.113.8', CHROME);
    expect([ip, client.name]).toEqual(['203.0.113.8', 'Chrome']);
    expect(moves).toEqual([`${FIREFOX} > ${CHROME}`]);
  });

  test('a browser takes the place of the program that began the session', async () => {
    const app = makeApp();
    const clock = createTestClock();
    const sessions = newSessions({ clock });
    app.mount('/', sessions, (_req: unknown, res: ServerResponse) => void res.end());
    const agent = supertest.agent(app.listener).set('Authorization', `Bearer ${issuer.issue()}`);
    await agent.get('/').set('User-Agent', 'node').expect(200);
    expect((await onlySession(sessions)).client.kind).toBe('robot');
    clock.advance('10m');
    await agent.get('/').set('User-Agent', FIREFOX).expect(200);
    expect((await onlySession(sessions)).client.name).toBe('Firefox');
  });

  test('a browser that always comes right after the server that renders its page is recorded', async () => {
    const app = makeApp();
    app.trustProxy(true);
    const clock = createTestClock();
    const sessions = newSessions({ trustProxy: true, clock });
    app.mount('/', sessions, (_req: unknown, res: ServerResponse) => void res.end());
    const agent = supertest.agent(app.listener).set('Authorization', `Bearer ${issuer.issue()}`);
    for (const ip of ['203.0.113.7', '203.0.113.8']) {
      clock.advance('2m');
      await agent.get('/').set('X-Forwarded-For', '127.0.0.9').set('User-Agent', 'node').expect(200);
      await onlySession(sessions);
      await agent.get('/').set('X-Forwarded-For', ip).set('User-Agent', FIREFOX).expect(200);
      const session = await onlySession(sessions);
      expect([session.ip, session.client.name]).toEqual([ip, 'Firefox']);
    }
  });

  describe('the option client', () => {
    type Hint = ReturnType<NonNullable<ManagedSessionsOptions['client']>>;
    const found = { ip: '203.0.113.7', userAgent: FIREFOX };
    async function answerTo(client: unknown): Promise<{ status: number; sessions: ManagedSessions; text: string }> {
      const app = makeApp();
      app.trustProxy(true);
      const sessions = newSessions({ trustProxy: true, client: client as () => Hint });
      app.mount('/', sessions, (_req: unknown, res: ServerResponse) => void res.end('in'));
      const sent = supertest(app.listener).get('/').set('Authorization', `Bearer ${issuer.issue()}`);
      const { status, text } = await sent.set('X-Forwarded-For', found.ip).set('User-Agent', found.userAgent);
      return { status, sessions, text };
    }

    test.each<[unknown, { ip: string | null; userAgent: string | null }]>([
      [undefined, found],
      [{}, found],
      [{ ip: undefined, userAgent: undefined }, found],
      [
        { ip: '198.51.100.1', userAgent: CHROME },
        { ip: '198.51.100.1', userAgent: CHROME },
      ],
      [{ ip: '[2001:db8::7]:80' }, { ...found, ip: '2001:db8::7' }],
      [{ ip: null }, { ...found, ip: null }],
      [{ userAgent: null }, { ...found, userAgent: null }],
      [
        { ip: null, userAgent: null },
        { ip: null, userAgent: null },
      ],
      [
        { ip: 'of no address', userAgent: '' },
        { ip: null, userAgent: null },
      ],
      [{ userAgent: `${FIREFOX}\u2016Brave/1` }, { ...found, userAgent: `${FIREFOX} Brave/1` }],
    ])('%j', async (told, expected) => {
      const { status, sessions } = await answerTo(() => told);
      expect(status).toBe(200);
      const { ip, client } = await onlySession(sessions);
      expect({ ip, userAgent: client.userAgent }).toEqual(expected);
    });

    test.each<[string, () => unknown]>([
      ['a promise', async () => found],
      ['a promise that rejects', () => Promise.reject(new Error('no'))],
      ['null', () => null],
      ['a string', () => '203.0.113.7'],
      ['an address that is a number', () => ({ ip: 7 })],
      ['an unknown name', () => ({ useragent: FIREFOX })],
      ...THROWS,
    ])('%s lets nobody in, and nothing is recorded', async (_what, client) => {
      const { status, sessions, text } = await answerTo(client);
      expect([status, text]).toEqual([500, expect.stringMatching(/^application error/)]);
      expect((await sessions.list('user-1')).sessions).toEqual([]);
    });
  });
});

test('recordIp applies to what client tells', async () => {
  const sessions = newSessions({ recordIp: 'truncated', client: () => ({ ip: '203.0.113.77:80' }) });
  await sessions.authenticate(requestOf({ headers: { authorization: `Bearer ${issuer.issue()}` } }));
  expect((await onlySession(sessions)).ip).toBe('203.0.113.0');
});

test.each(ADDRESSES)('verify(token, { ip: %j })', async (ip, expected) => {
  const sessions = newSessions();
  await sessions.verify(issuer.issue(), { ip });
  expect((await onlySession(sessions)).ip).toBe(expected);
});

test('any address is read with a port and brackets as without them', () => {
  const port = fc.integer({ min: 0, max: 65_535 });
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), port, (address, at) => {
      const bare = recordedAddress(address, 'full');
      expect(bare).not.toBeNull();
      const forms = [
        `[${address}]`,
        `[${address}]:${String(at)}`,
        ...(address.includes(':') ? [] : [`${address}:${String(at)}`]),
      ];
      for (const form of forms) expect(recordedAddress(form, 'full')).toBe(bare);
      expect(recordedAddress(bare, 'full')).toBe(bare);
    }),
  );
});

test('nothing but an address is read as one, and no string is read slowly or throws', () => {
  const piece = fc.constantFrom('[', ']', ':', '.', '%', '1', 'f', '203.0.113.7', '2001:db8::7', 'x', ' ');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const found = recordedAddress(pieces.join(''), 'full');
      if (found !== null) expect(recordedAddress(found, 'full')).toBe(found);
      expect(found ?? '').not.toMatch(/[[\]%]/);
    }),
    { numRuns: 1000 },
  );
});

test.each<[string, Sent]>([['without a socket', { headers: {} }]])('a request %s has no address', (_what, sent) => {
  const req = Object.assign(requestOf(sent), { socket: undefined });
  expect(createClientAddress(compileTrust(true), 'full')(req)).toBeNull();
});

describe('an upgrade', () => {
  /** What `authenticate` records of an upgrade that comes through a proxy. */
  async function recordedOf(server: Server, sessions: ManagedSessions): Promise<string | null> {
    server.on('upgrade', (req: IncomingMessage, socket) => {
      sessions.authenticate(req).then(
        () => socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\nConnection: Upgrade\r\n\r\n'),
        (error: unknown) => socket.end(`HTTP/1.1 500 ${String(error)}\r\n\r\n`),
      );
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const sent = request({
        port: (server.address() as AddressInfo).port,
        host: '127.0.0.1',
        headers: {
          Connection: 'Upgrade',
          Upgrade: 'test',
          Authorization: `Bearer ${issuer.issue()}`,
          'X-Forwarded-For': '203.0.113.7:51234',
        },
      });
      sent.end();
      const [response] = (await once(sent, 'upgrade')) as [IncomingMessage];
      expect(response.statusCode).toBe(101);
      response.socket.destroy();
      return (await onlySession(sessions)).ip;
    } finally {
      server.close();
      server.closeAllConnections();
    }
  }

  describe.each([
    ['Express 4', express4],
    ['Express 5', express5],
  ])('%s', (_name, express) => {
    test.each<[string, unknown, string]>([
      ['loopback', 'loopback', '203.0.113.7'],
      ['one hop', 1, '203.0.113.7'],
      ['nobody', false, '127.0.0.1'],
      ['another subnet', '10.0.0.0/8', '127.0.0.1'],
    ])('follows the trust in %s of the app', async (_what, trust, expected) => {
      const app = express();
      app.set('trust proxy', trust);
      expect(await recordedOf(createServer(app), newSessions())).toBe(expected);
    });

    test('follows the app also behind listeners that wrap it, once a request has passed', async () => {
      const app = express();
      app.set('trust proxy', 'loopback');
      const sessions = newSessions();
      app.use(sessions.optional(), (_req: unknown, res: ServerResponse) => void res.end());
      const server = createServer((req, res) => void app(req, res));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      await supertest(server)
        .get('/')
        .set('Authorization', `Bearer ${issuer.issue({ sub: 'other' })}`)
        .expect(200);
      await new Promise((resolve) => server.close(resolve));
      expect(await recordedOf(server, sessions)).toBe('203.0.113.7');
    });
  });

  test.each<[TrustProxy | undefined, string]>([
    ['loopback', '203.0.113.7'],
    [undefined, '127.0.0.1'],
  ])('without Express follows the option trustProxy: %p', async (trustProxy, expected) => {
    const sessions = newSessions(trustProxy === undefined ? {} : { trustProxy });
    expect(await recordedOf(createServer(), sessions)).toBe(expected);
  });

  test('over HTTP/2 follows the option trustProxy', async () => {
    const sessions = newSessions({ trustProxy: 'loopback' });
    const server = createHttp2Server((req, res) => {
      sessions.authenticate(req as unknown as IncomingMessage).then(
        () => res.end(),
        () => res.writeHead(500).end(),
      );
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connectHttp2(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}`);
    try {
      const stream = client.request({
        authorization: `Bearer ${issuer.issue()}`,
        'x-forwarded-for': '[2001:db8::7]:51234',
      });
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
      expect(headers[':status']).toBe(200);
      stream.resume();
      expect((await onlySession(sessions)).ip).toBe('2001:db8::7');
    } finally {
      client.destroy();
      server.close();
    }
  });
});

describe('a handle that is not the caller’s', () => {
  test('takes the same calls of the store, whoever it belongs to and whether it ended', async () => {
    const sessions = newSessions();
    const other = await sessions.verify(issuer.issue({ sub: 'other' }));
    const ended = await sessions.verify(issuer.issue({ sub: 'other' }));
    await sessions.revoke('other', ended.session.handle);
    const app = express5();
    app.use('/', sessions.router());
    const agent = supertest
      .agent(app)
      .set('Authorization', `Bearer ${issuer.issue()}`)
      .set('Sec-Fetch-Site', 'same-origin');
    await agent.get('/current').expect(200);

    const calls: string[] = [];
    const count = (message: unknown): void => void calls.push((message as StoreCall).operation);
    subscribe('managed-sessions:store', count);
    try {
      const seen: string[][] = [];
      for (const handle of ['x'.repeat(22), other.session.handle, ended.session.handle]) {
        calls.length = 0;
        const answers = [
          await agent.get(`/${handle}`),
          await agent.patch(`/${handle}`).send({ label: 'mine' }),
          await agent.delete(`/${handle}`),
        ];
        seen.push([...answers.map(({ status, text }) => `${String(status)} ${text}`), ...calls]);
      }
      expect(seen[0]!.slice(0, 3)).toEqual(Array(3).fill(expect.stringMatching(/^404 .*session_not_found/)));
      expect(seen[0]!.slice(3)).toEqual(['sight', 'get', 'sight', 'label', 'sight', 'revoke']);
      expect(seen[1]).toEqual(seen[0]);
      expect(seen[2]).toEqual(seen[0]);
    } finally {
      unsubscribe('managed-sessions:store', count);
    }
  });
});

test.each([
  ['as they were sent', []],
  ['as the option client tells them', ['client']],
])('a session does not keep the headers of its first request in memory: %s', async (_how, given) => {
  const script = path.join(__dirname, '..', 'support', 'heap-of-sessions.mjs');
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, ...given]);
  // 4 kB with the token's cache entry. If only one of the three headers were kept, it would be more than 8.
  expect(Number(stdout)).toBeGreaterThan(0);
  expect(Number(stdout)).toBeLessThan(6500);
});
