/** What two processes do at the same moment: untracked tokens, events, live connections and introspection. */

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import express from 'express';
import request from 'supertest';
import type { LoginError, ManagedSessions, SessionMoved, SessionStarted } from '../../lib/index.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { keptOf } from './kept.js';
import { alone, ask, MINUTE, Processes, textOf, tokenOf, type Options } from './logins.js';
import { ManualClock } from '../support/issuer.js';

let redis: TestRedis;
let at: Processes;
let servers: Server[];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.cli('flushall');
  servers = [];
});
afterEach(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  await at.close();
});

function start(options: Options = {}): Processes {
  at = new Processes(redis.url, { storeTimeout: '2s', revocationBound: '3s', ...options });
  return at;
}

async function listening(server: Server): Promise<number> {
  // A busy machine lets a connection be idle for seconds, and the client would use it just as it is closed.
  server.keepAliveTimeout = 0;
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const sids = (count: number): string[] => Array.from({ length: count }, (_, index) => `s${String(index)}`);
const earlier = (claims: Record<string, unknown>): string =>
  tokenOf(at.clock, { iat: at.clock.now() / 1000 - 60, ...claims });

describe('untracked tokens', () => {
  const track: Options['track'] = (claims) => textOf(claims, 'gty') !== 'client-credentials';

  it('that are seen first in one process while the other ends them are refused, and leave no trace', async () => {
    const { here, there } = start({ track });
    await there.list('ann');
    const tokens = sids(50).map((sid) => earlier({ sid, gty: 'client-credentials' }));
    const first = tokens.slice(0, 25).map((token) => ask(there, token));
    const ending = here.revokeAll('ann');
    const second = tokens.slice(25).map((token) => ask(there, token));
    for (const outcome of await Promise.all([...first, ...second]))
      expect(['live', 'session_revoked']).toContain(outcome);
    expect(await ending).toEqual({ ended: 0 });

    for (const sessions of at.each) {
      await eventually('all are refused', async () => {
        const answered = await Promise.all(tokens.map((token) => ask(sessions, token)));
        return answered.every((answer) => answer === 'session_revoked');
      });
    }
    expect((await keptOf(redis)).records).toEqual([]);
  });

  it('that another process still tracks are on record from there, and end in both', async () => {
    let isTracked = false;
    const { clock, here, there } = start({ track: () => isTracked });
    const token = tokenOf(clock);
    expect(await ask(here, token)).toBe('live');
    expect((await keptOf(redis)).records).toEqual([]);
    isTracked = true;
    const { session } = await there.verify(token);
    isTracked = false;
    expect((await keptOf(redis)).records).toEqual([session.handle]);
    await here.revoke('ann', session.handle);
    expect(await ask(here, token)).toBe('session_revoked');
    await eventually('the other knows', async () => (await ask(there, token)) === 'session_revoked');
  });
});

describe('events', () => {
  it.each<[string, unknown, unknown]>([
    ['a member of every object', '__proto__', () => undefined],
    ['another', 'constructor', () => undefined],
    ['no name', '', () => undefined],
    ['a symbol', Symbol('sessionEnded'), () => undefined],
    ['null', null, () => undefined],
    ['a channel', 'managed-sessions:session-ended', () => undefined],
    ['no listener', 'sessionEnded', undefined],
    ['null as a listener', 'sessionEnded', null],
    ['an object that handles events', 'sessionEnded', { handleEvent: () => undefined }],
  ])('on() with %s is a TypeError', async (_name, event, listener) => {
    start();
    const sessions = alone(new ManualClock());
    expect(() => Reflect.apply(sessions.on, sessions, [event, listener])).toThrow(TypeError);
    await sessions.close();
  });

  it('of a session that both see first are told in one', async () => {
    const { clock, here, there } = start();
    const started: SessionStarted[] = [];
    for (const sessions of at.each) sessions.on('sessionStarted', (event) => started.push(event));
    await Promise.all(at.each.map((sessions) => sessions.list('ann')));
    const tokens = sids(50).map((sid) => tokenOf(clock, { sid }));
    await Promise.all(tokens.flatMap((token) => [ask(here, token), ask(there, token)]));
    expect(started).toHaveLength(50);
    expect(new Set(started.map(({ handle }) => handle)).size).toBe(50);
  });

  it('of a session that both see move are told in one', async () => {
    const { clock, here, there } = start();
    const moved: SessionMoved[] = [];
    for (const sessions of at.each) sessions.on('sessionMoved', (event) => moved.push(event));
    const tokens = sids(20).map((sid) => tokenOf(clock, { sid }));
    const from = (ip: string): Promise<unknown> =>
      Promise.all(tokens.flatMap((token) => [here.verify(token, { ip }), there.verify(token, { ip })]));
    await from('203.0.113.1');
    clock.advance(2 * MINUTE);
    await from('203.0.113.2');
    await eventually('each is told', () => Promise.resolve(moved.length >= 20));
    // Behind what is written in the background.
    await Promise.all(at.each.map((sessions) => sessions.list('ann')));
    expect(moved).toHaveLength(20);
    expect(new Set(moved.map(({ handle, to }) => `${handle} ${String(to.ip)}`)).size).toBe(20);
  });
});

describe('connections', () => {
  /** Without any package for WebSockets: the bare `upgrade` event. */
  async function upgrades(sessions: ManagedSessions): Promise<number> {
    const server = createServer().on('upgrade', (req, socket) => {
      socket.on('error', () => socket.destroy());
      sessions.authenticate(req).then(
        ({ session: { signal } }) => {
          socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nin ');
          const end = (): unknown => socket.end('out');
          if (signal.aborted) end();
          else signal.addEventListener('abort', end);
        },
        (error: unknown) => {
          const { status, code } = error as LoginError;
          socket.end(`HTTP/1.1 ${String(status)} ${code}\r\n\r\n`);
        },
      );
    });
    return listening(server);
  }

  function opened(port: number, token: string): Socket {
    const socket = connect(port, '127.0.0.1');
    const lines = ['GET / HTTP/1.1', 'Host: localhost', 'Connection: Upgrade', 'Upgrade: chat'];
    socket.write([...lines, `Authorization: Bearer ${token}`, '', ''].join('\r\n'));
    return socket;
  }

  it('that are being opened while their session is ended elsewhere are refused or closed: none stays', async () => {
    const { here, there } = start();
    const port = await upgrades(there);
    const outcomes = new Set<string>();
    for (const sid of sids(20)) {
      const token = earlier({ sid });
      const { session } = await here.verify(token);
      const clients = Array.from({ length: 3 }, () => opened(port, token));
      // Resolves once the other side has closed it.
      const said = Promise.all(clients.map((client) => text(client)));
      await here.revoke('ann', session.handle);
      for (const each of await said) outcomes.add(each.startsWith('HTTP/1.1 101') ? each.slice(-6) : each.slice(9, 28));
    }
    for (const outcome of outcomes) expect(['in out', '401 session_revoked']).toContain(outcome);
  });

  it('of a long poll are answered at once when the session ends elsewhere, and the next is refused', async () => {
    const { here, there } = start();
    const app = express().get('/', there.required(), (req, res) => {
      waiting();
      req.loginSession?.signal.addEventListener('abort', () => res.sendStatus(204));
    });
    let waiting: () => void = () => undefined;
    const arrived = new Promise<void>((resolve) => (waiting = resolve));
    const url = `http://127.0.0.1:${String(await listening(createServer(app)))}`;
    const token = earlier({});
    const poll = (): Promise<Response> => fetch(url, { headers: { Authorization: `Bearer ${token}` } });

    const first = poll();
    await arrived;
    await here.revokeAll('ann');
    expect((await first).status).toBe(204);
    expect((await poll()).status).toBe(401);
  });
});

describe('introspection', () => {
  it('while another process ends the session: once it is not active it is never active again', async () => {
    const { here, there } = start();
    const handler = there.introspection({ authorize: () => true });
    const port = await listening(createServer((req, res) => handler(req, res, () => res.writeHead(500).end())));
    for (const sid of sids(5)) {
      const token = earlier({ sid });
      const { session } = await here.verify(token);
      // One process knows the session, the other is only asked about it.
      if (sid === 's0') await there.verify(token);
      const seen: boolean[] = [];
      let acknowledgedAt = Infinity;
      const asking = (async () => {
        while (seen.filter((active) => !active).length < 20) {
          const answer = await request(`http://127.0.0.1:${String(port)}`)
            .post('/')
            .type('form')
            .send({ token });
          expect(answer.status).toBe(200);
          seen.push(answer.body.active);
          if (answer.body.active) expect(performance.now() - acknowledgedAt).toBeLessThan(5000);
        }
      })();
      await eventually('it is active', () => Promise.resolve(seen.includes(true)));
      await here.revoke('ann', session.handle);
      acknowledgedAt = performance.now();
      await asking;
      expect(seen.slice(seen.indexOf(false))).not.toContain(true);
    }
    expect((await keptOf(redis)).records).toEqual([]);
  });
});
