/** Connections end with their session, in every process, and outlive the token they were opened with. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import express from 'express';
import { WebSocket, WebSocketServer } from 'ws';
import type { LoginError, ManagedSessions } from '../../lib/index.js';
import { startRedis, type TestRedis } from '../support/redis.js';
import { ask, HASTY, HOUR, Processes, tokenOf, untilLive } from './logins.js';

const BOUND = 10_000;

let redis: TestRedis;
let at: Processes;
let closing: (() => Promise<void>)[];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.cli('flushall');
  at = new Processes(redis.url, { revocationBound: BOUND });
  closing = [];
});
afterEach(async () => {
  for (const close of closing) await close();
  await at.close();
});

async function listening(server: Server): Promise<string> {
  // A busy machine lets a connection be idle for seconds, and the client would use it just as it is closed.
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return `127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

function refuse(socket: Duplex, { status }: LoginError): void {
  socket.end(`HTTP/1.1 ${String(status)} Refused\r\nConnection: close\r\n\r\n`);
}

async function webSockets(sessions: ManagedSessions): Promise<string> {
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer();
  server.on('upgrade', (req: IncomingMessage, socket: Socket, head: Buffer) => {
    sessions.authenticate(req).then(
      ({ session }) => {
        sockets.handleUpgrade(req, socket, head, (client) => {
          session.signal.addEventListener('abort', () => client.close(4401, 'session ended'));
          client.send('in');
        });
      },
      (error: unknown) => refuse(socket, error as LoginError),
    );
  });
  closing.push(async () => {
    for (const client of sockets.clients) client.terminate();
    await Promise.resolve();
  });
  return `ws://${await listening(server)}`;
}

/** Resolves once the server lets it in; rejects with the status otherwise. */
async function connected(url: string, headers: Record<string, string>): Promise<WebSocket> {
  const client = new WebSocket(url, { headers });
  const [message] = await Promise.race([
    once(client, 'message'),
    once(client, 'unexpected-response').then(([, res]: unknown[]) => {
      client.terminate();
      throw new Error(String((res as IncomingMessage).statusCode));
    }),
  ]);
  expect(String(message)).toBe('in');
  return client;
}

const bearer = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` });

test('the end of the session closes its sockets in every process, and no others', async () => {
  const { clock, here, there } = at;
  const [urlHere, urlThere] = [await webSockets(here), await webSockets(there)];
  const token = tokenOf(clock);
  const clients = await Promise.all([connected(urlHere, bearer(token)), connected(urlThere, bearer(token))]);
  const other = await connected(urlThere, bearer(tokenOf(clock, { sid: 'other' })));
  const closed = Promise.all(clients.map((client) => once(client, 'close')));

  const { session } = await here.verify(token);
  await here.revoke('ann', session.handle);
  const acknowledgedAt = performance.now();
  expect((await closed).map(([code]: unknown[]) => code)).toEqual([4401, 4401]);
  expect(performance.now() - acknowledgedAt).toBeLessThan(BOUND);
  expect(other.readyState).toBe(WebSocket.OPEN);
});

test('a refresh of the token does not close them, the end of the session afterwards does', async () => {
  const { clock, here, there } = at;
  const first = tokenOf(clock);
  const client = await connected(await webSockets(there), bearer(first));
  const closed = once(client, 'close');
  clock.advance(HOUR / 2);
  expect(await ask(here, tokenOf(clock))).toBe('live');
  clock.advance(HOUR / 2 + 1000);
  // The token that it was opened with has run out; the session has not.
  expect(await ask(there, first)).toBe('token_expired');
  expect(await ask(there, tokenOf(clock))).toBe('live');
  expect(client.readyState).toBe(WebSocket.OPEN);

  await here.revokeAll('ann');
  expect((await closed)[0]).toBe(4401);
});

test('a session that runs out closes them without another request', async () => {
  const { clock, there } = at;
  const client = await connected(await webSockets(there), bearer(tokenOf(clock)));
  const closed = once(client, 'close');
  clock.advance(HOUR + 1);
  expect((await closed)[0]).toBe(4401);
});

test.each<[string, (token: string) => Record<string, string>, string]>([
  ['no token', () => ({}), '401'],
  ['rubbish', () => bearer('rubbish'), '401'],
  ['an empty bearer', () => ({ Authorization: 'Bearer' }), '401'],
  ['a cookie, from a page without an origin', (token) => ({ Cookie: `login_token=${token}`, Origin: 'null' }), '403'],
  [
    'a cookie, from another site',
    (token) => ({ Cookie: `login_token=${token}`, Origin: 'https://evil.example.com' }),
    '403',
  ],
  ['a bad bearer token beside a good cookie', (token) => ({ ...bearer('x'), Cookie: `login_token=${token}` }), '401'],
])('an upgrade with %s is refused', async (_name, headers, status) => {
  const url = await webSockets(at.here);
  await expect(connected(url, headers(tokenOf(at.clock)))).rejects.toThrow(status);
});

test('while Redis is away an upgrade is 503, and what is open stays open', async () => {
  await at.close();
  at = new Processes(redis.url, HASTY);
  const { clock, here } = at;
  await untilLive(here, tokenOf(clock));
  const url = await webSockets(here);
  const client = await connected(url, bearer(tokenOf(clock)));
  redis.pause();
  try {
    await expect(connected(url, bearer(tokenOf(clock, { sid: 'new' })))).rejects.toThrow('503');
    expect(client.readyState).toBe(WebSocket.OPEN);
  } finally {
    redis.resume();
  }
});

test('an event stream ends with its session', async () => {
  const { clock, here, there } = at;
  const app = express();
  app.get('/events', there.required(), (req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write(': in\n\n');
    req.loginSession?.signal.addEventListener('abort', () => res.end('event: ended\ndata:\n\n'));
  });
  const url = `http://${await listening(createServer(app))}/events`;
  const token = tokenOf(clock);
  const stream = await fetch(url, { headers: bearer(token) });
  const { session } = await here.verify(token);
  await here.revoke('ann', session.handle);
  expect(await stream.text()).toBe(': in\n\nevent: ended\ndata:\n\n');
});
