/** `GET /events` of the router, by raw HTTP: what a client can do to it, and what it costs. */

import { getEventListeners, once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { connect, type AddressInfo, type Socket } from 'node:net';
import express from 'express';
import supertest from 'supertest';
import { sessionUser } from '../../lib/core/session.js';
import { EventStreams } from '../../lib/http/event-stream.js';
import type { LoginSession } from '../../lib/index.js';
import { describeEachFramework } from '../support/frameworks.js';
import { eventually } from '../support/redis.js';
import { bearer, cookie, ISSUER, makeSite, sameOrigin, START, tokenOf, type Site, type SiteOptions } from './site.js';

/** Milliseconds. A heartbeat comes every 16 of them. */
const FAST = 2;
const MINUTE = 60_000;
const ANN = sessionUser(ISSUER, 'ann');

let site: Site;
const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  await site.close();
});

async function listening(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** What has arrived of a stream, and whether it has ended. */
interface Heard {
  readonly answer: IncomingMessage;
  text: string;
  hasEnded: boolean;
}

async function stream(port: number, headers: object = bearer(tokenOf('s1')), query = ''): Promise<Heard> {
  const [answer] = (await once(
    get({ port, host: '127.0.0.1', path: `/sessions/events${query}`, headers: { ...headers }, agent: false }),
    'response',
  )) as [IncomingMessage];
  const heard: Heard = { answer, text: '', hasEnded: false };
  answer.setEncoding('utf8').on('data', (text: string) => (heard.text += text));
  answer.on('error', () => undefined);
  answer.on('close', () => (heard.hasEnded = true));
  return heard;
}

const until = (what: string, is: () => boolean): Promise<unknown> => eventually(what, () => Promise.resolve(is()));
const hasBegun = (heard: Heard): Promise<unknown> => until('it has begun', () => heard.text.includes('\n\n'));
const hasEnded = (heard: Heard): Promise<unknown> => until('it has ended', () => heard.hasEnded);
const withoutBeats = ({ text }: Heard): string => text.replaceAll(':\n\n', '');
const SIGNED_OUT = 'event: signed-out\ndata: {}\n\n';

/** The site on Express, and what its streams listen to. */
async function startSite(options: SiteOptions = {}): Promise<{ port: number; server: Server }> {
  site = makeSite(options);
  const app = express();
  app.use('/sessions', site.router());
  const server = createServer(app);
  return { port: await listening(server), server };
}

const connectionsOf = (server: Server): number => Number(Reflect.get(server, '_connections'));
const signalOf = async (token = tokenOf('s1')): Promise<AbortSignal> => (await site.login.verify(token)).session.signal;
const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

describeEachFramework((_name, makeApp) => {
  async function start(options: SiteOptions = {}): Promise<number> {
    site = makeSite(options);
    const app = makeApp();
    app.mount('/sessions', site.router());
    return listening(createServer(app.listener));
  }

  test('begins with the handle, and ends with the session', async () => {
    const port = await start();
    const heard = await stream(port, cookie(tokenOf('s1')));
    await hasBegun(heard);
    const { handle } = (await site.login.verify(tokenOf('s1'))).session;
    expect(withoutBeats(heard)).toBe(`event: signed-in\ndata: {"handle":"${handle}"}\n\n`);
    expect(heard.answer.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
    });
    const agent = supertest(`http://127.0.0.1:${String(port)}`);
    await agent
      .delete('/sessions/current')
      .set(cookie(tokenOf('s1')))
      .set(sameOrigin)
      .expect(204);
    await hasEnded(heard);
    expect(withoutBeats(heard).endsWith(`"}\n\n${SIGNED_OUT}`)).toBe(true);
    await agent
      .get('/sessions/events')
      .set(cookie(tokenOf('s1')))
      .expect(401);
  });

  test.each([
    ['no token', 'get', {}, 401, 'no_token'],
    ['a bad token', 'get', bearer('x'), 401, 'token_malformed'],
    ['no token, in a browser', 'get', { Accept: 'text/event-stream', 'Sec-Fetch-Mode': 'cors' }, 401, 'no_token'],
    ['POST', 'post', bearer(tokenOf('s1')), 405, undefined],
    ['DELETE', 'delete', bearer(tokenOf('s1')), 405, undefined],
  ] as const)('refuses %s', async (_what, method, headers, status, code) => {
    const port = await start({ loginUrl: '/login' });
    const agent = supertest(`http://127.0.0.1:${String(port)}`);
    const answer = await agent[method]('/sessions/events').set(headers);
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect((answer.body as { code?: string }).code).toBe(code);
  });

  test('HEAD gets the headers alone', async () => {
    const port = await start();
    const agent = supertest(`http://127.0.0.1:${String(port)}`);
    const { headers } = await agent
      .head('/sessions/events')
      .set(bearer(tokenOf('s1')))
      .expect(200);
    expect(headers['content-type']).toBe('text/event-stream');
    expect(listenersOf(await signalOf())).toBe(0);
  });
});

describe('a session that is only watched', () => {
  test('becomes idle, and the stream ends', async () => {
    const { port } = await startSite({ policy: { idleTimeout: 30 * MINUTE } });
    await site.login.verify(tokenOf('s1'));
    site.clock.time = START + 20 * MINUTE;
    const heard = await stream(port);
    await hasBegun(heard);
    const [session] = (await site.account.list(ANN, {})).sessions;
    expect(session?.lastSeenAt).toBe(new Date(START).toISOString());
    site.clock.time = START + 31 * MINUTE;
    await hasEnded(heard);
    expect(withoutBeats(heard).endsWith(SIGNED_OUT)).toBe(true);
    expect((await stream(port)).answer.statusCode).toBe(401);
  });

  test('and that is used elsewhere goes on', async () => {
    const { port } = await startSite({ policy: { idleTimeout: 30 * MINUTE } });
    const heard = await stream(port);
    site.clock.time = START + 20 * MINUTE;
    await site.login.verify(tokenOf('s1'));
    site.clock.time = START + 40 * MINUTE;
    await site.login.verify(tokenOf('s1'));
    expect(heard.hasEnded).toBe(false);
  });
});

describe('a client that has watched a session, and names it when it connects again', () => {
  const handleOf = async (token: string): Promise<string> => (await site.login.verify(token)).session.handle;

  test('is told that it has ended if the request is now of another one', async () => {
    const { port } = await startSite();
    const own = await handleOf(tokenOf('s1'));
    const others = [await handleOf(tokenOf('s2')), await handleOf(tokenOf('s1', { sub: 'bob' }))];
    for (const named of [...others, '', 'current', '__proto__', `${own}x`, `&handle=${own}`]) {
      const heard = await stream(port, cookie(tokenOf('s1')), `?handle=${named}`);
      await hasEnded(heard);
      expect([heard.answer.statusCode, heard.text]).toEqual([200, SIGNED_OUT]);
    }
    // The session of the request itself goes on.
    const heard = await stream(port, cookie(tokenOf('s1')), `?handle=${own}&x=1`);
    await hasBegun(heard);
    expect(withoutBeats(heard)).toContain('event: signed-in');
    expect(heard.hasEnded).toBe(false);
  });
});

describe('clients that break off', () => {
  const asking = (version: string): string =>
    `GET /sessions/events HTTP/${version}\r\nHost: x\r\nAuthorization: Bearer ${tokenOf('s1')}\r\n\r\n`;

  test('HTTP/1.0: the stream is not chunked, and its end is that of the connection', async () => {
    const { port } = await startSite();
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8').on('data', (more: string) => (text += more));
    socket.write(asking('1.0'));
    await until('it has begun', () => text.includes('}\n\n'));
    await site.account.revokeAll(ANN);
    await once(socket, 'close');
    expect(text).not.toMatch(/^Transfer-Encoding/im);
    expect(text.split('\r\n\r\n')[1]).toMatch(
      /^event: signed-in\ndata: \{"handle":"[\w-]{22}"\}\n\nevent: signed-out\ndata: \{\}\n\n$/,
    );
  });

  test('at whatever moment they do, nothing listens for them any more', async () => {
    const { port, server } = await startSite();
    const signal = await signalOf();
    const request = asking('1.1');
    const moments: readonly ((socket: Socket) => void)[] = [
      (socket) => socket.write(request.slice(0, -2), () => socket.destroy()),
      (socket) => socket.write(request, () => socket.destroy()),
      (socket) => socket.write(request, () => setImmediate(() => socket.resetAndDestroy())),
      (socket) => socket.end(request),
      (socket) => socket.write(request) && socket.once('data', () => socket.resetAndDestroy()),
      // Two at once: the second waits for the end of the first.
      (socket) => socket.write(request + request) && socket.once('data', () => socket.destroy()),
    ];
    let closed = 0;
    for (let round = 0; round < 40; round += 1) {
      for (const breakOff of moments) {
        const socket = connect(port, '127.0.0.1', () => breakOff(socket));
        // `end()` alone leaves the stream open.
        socket.on('error', () => undefined).on('data', () => socket.destroy());
        socket.on('close', () => (closed += 1));
      }
      await until('they are gone', () => closed === (round + 1) * moments.length);
    }
    await until('nobody listens', () => listenersOf(signal) === 0);
    await until('no connection is left', () => connectionsOf(server) === 0);
    await hasBegun(await stream(port));
  });

  test('a session that ends between the check and the stream', async () => {
    const { port } = await startSite({
      parts: ({ ledger }) => ({
        ledger: {
          async judge(...args: Parameters<typeof ledger.judge>) {
            const judged = await ledger.judge(...args);
            await site.account.revokeAll(ANN);
            return judged;
          },
          revoke: ledger.revoke.bind(ledger),
        },
      }),
    });
    const heard = await stream(port);
    await hasEnded(heard);
    expect(heard.answer.statusCode === 401 || heard.text.endsWith(SIGNED_OUT)).toBe(true);
  });
});

test('heartbeats come, and a client that is gone leaves nothing behind', async () => {
  const { port } = await startSite({ streamTick: FAST });
  const signal = await signalOf();
  const heard = await Promise.all([stream(port), stream(port), stream(port)]);
  await until('two heartbeats', () => heard.every(({ text }) => text.split(':\n\n').length > 2));
  expect(listenersOf(signal)).toBe(1);
  for (const { answer } of heard) answer.destroy();
  await until('nobody listens', () => listenersOf(signal) === 0);
});

test('a client that opens without end has 32 streams, the latest', async () => {
  const { port } = await startSite();
  const warned = jest.spyOn(process, 'emitWarning');
  const other = await stream(port, bearer(tokenOf('s2')));
  const heard: Heard[] = [];
  for (let count = 0; count < 100; count += 1) heard.push(await stream(port));
  await until('all but 32 have ended', () => heard.filter(({ hasEnded: is }) => is).length === 68);
  expect(heard.slice(68).some(({ hasEnded: is }) => is)).toBe(false);
  expect(heard.every(({ text }) => !text.includes('signed-out'))).toBe(true);
  expect(warned).not.toHaveBeenCalled();
  expect(other.hasEnded).toBe(false);
});

test('a client that does not read is cut off when a heartbeat waits for it', async () => {
  const streams = new EventStreams({ tick: FAST });
  const ending = new AbortController();
  const session = sessionWith(ending.signal);
  let answer: ServerResponse | undefined;
  const server = createHttp2Server((req, res) => {
    answer = res as unknown as ServerResponse;
    streams.open(req as unknown as IncomingMessage, answer, session);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // The window is full with the first event.
  const client = connectHttp2(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}`, {
    settings: { initialWindowSize: 16 },
  });
  const asked = client.request({ ':path': '/' }).on('error', () => undefined);
  await once(asked, 'response');
  await until('it is cut off', () => listenersOf(ending.signal) === 0);
  expect(answer?.writableEnded).toBe(false);
  await until('the client is told', () => asked.destroyed || asked.closed);
  client.destroy();
  server.close();
  streams.close();
});

test('by HTTP/2, a stream gets heartbeats and ends with its session', async () => {
  const server = createHttp2Server((req, res) => {
    streams.open(req as unknown as IncomingMessage, res as unknown as ServerResponse, session);
  });
  const streams = new EventStreams({ tick: FAST });
  const ending = new AbortController();
  const session = sessionWith(ending.signal);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connectHttp2(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}`);
  const ask = (): { text: string; hasEnded: boolean } => {
    const heard = { text: '', hasEnded: false };
    const asked = client.request({ ':path': '/' });
    asked.setEncoding('utf8').on('data', (text: string) => (heard.text += text));
    asked.on('end', () => (heard.hasEnded = true));
    return heard;
  };
  const heard = ask();
  await until('a heartbeat', () => heard.text.includes('}\n\n:\n\n'));
  ending.abort();
  await until('it has ended', () => heard.hasEnded);
  expect(heard.text.endsWith(SIGNED_OUT)).toBe(true);
  client.close();
  server.close();
  streams.close();
});

test('a session that has ended by then: the stream says so, and is over', async () => {
  const streams = new EventStreams();
  const port = await listening(
    createServer((req, res) => streams.open(req, res, sessionWith(AbortSignal.abort('over')))),
  );
  expect(await (await fetch(`http://127.0.0.1:${String(port)}/`)).text()).toBe(SIGNED_OUT);
});

describe('shutdown', () => {
  test('close() ends the streams without the event, and a later request gets 503', async () => {
    const { port } = await startSite();
    const heard = await stream(port);
    await hasBegun(heard);
    await site.close();
    await hasEnded(heard);
    expect(heard.text).not.toContain('signed-out');
    const answer = await supertest(`http://127.0.0.1:${String(port)}`)
      .get('/sessions/events')
      .set(bearer(tokenOf('s1')));
    expect(answer.status).toBe(503);
    expect(answer.headers['retry-after']).toBe('1');
  });

  test('server.close() is not held up, though close() comes after it', async () => {
    const { port, server } = await startSite({ streamTick: FAST });
    const heard = await Promise.all([stream(port), stream(port)]);
    await once(server.close(), 'close');
    await Promise.all(heard.map(hasEnded));
    expect(heard.every(({ text }) => !text.includes('signed-out'))).toBe(true);
  });

  test('a server that was handed its connections goes on', async () => {
    site = makeSite({ streamTick: FAST });
    const app = express();
    app.use('/sessions', site.router());
    const inner = createServer(app);
    const outer = createServer();
    outer.removeAllListeners('connection').on('connection', (socket) => inner.emit('connection', socket));
    const heard = await stream(await listening(outer));
    await until('two heartbeats', () => heard.text.split(':\n\n').length > 2);
    expect(heard.hasEnded).toBe(false);
    inner.closeAllConnections();
  });
});

function sessionWith(signal: AbortSignal): LoginSession {
  return { handle: 'a-handle', startedAt: new Date(START), expiresAt: new Date(START + MINUTE), signal };
}
