/** No token is written to Redis, nor to a response, an event, an error, a warning or the output: everything that is done to a session. */

import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { inspect } from 'node:util';
import express from 'express';
import jwt from 'jsonwebtoken';
import request from 'supertest';
import { managedSessions, redisStore, type ManagedSessions } from '../../lib/index.js';
import type { SessionEventName } from '../../lib/core/events.js';
import { startRedis, type TestRedis } from '../support/redis.js';

const ISSUER = 'https://id.example.com/';
const SECRET = 'a secret for tests, 32 bytes long';
const EVENTS = [
  'sessionStarted',
  'sessionEnded',
  'sessionMoved',
  'tokenRefused',
  'storeDown',
  'storeUp',
  'storeUnsafe',
  'keysDown',
  'keysUp',
  'keySkipped',
  'sessionUnnamed',
  'securityEvent',
  'tombstonesDropped',
] as const satisfies readonly SessionEventName[];

/** What went to Redis. */
const sent: string[] = [];
/** What a client or an operator sees. */
const told: string[] = [];
const tokens: string[] = [];
let redis: TestRedis;
let recorder: Server;
let sessions: ManagedSessions;

const tell = (thing: unknown): void => void told.push(inspect(thing, { depth: 9, showHidden: true }));

function tokenOf(sid: string | undefined, claims: object = {}, secret = SECRET): string {
  const token = jwt.sign({ iss: ISSUER, sub: 'ada', ...(sid !== undefined && { sid }), ...claims }, secret, {
    expiresIn: '1h',
  });
  tokens.push(token);
  return token;
}

beforeAll(async () => {
  process.on('warning', tell);
  redis = await startRedis();
  recorder = createServer((client) => {
    const upstream = connect(redis.port, '127.0.0.1');
    client.on('data', (chunk) => sent.push(chunk.toString('latin1')));
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(recorder, 'listening');
  sessions = managedSessions({
    issuer: { issuer: ISSUER, secret: SECRET },
    store: redisStore(`redis://127.0.0.1:${String((recorder.address() as AddressInfo).port)}`),
    sessionIndex: true,
    storeTimeout: '5s',
    revocationBound: '20s',
  });
  for (const name of EVENTS) sessions.on(name, (event) => tell([name, event]));
}, 120_000);

afterAll(async () => {
  await sessions.close();
  recorder.close();
  await redis.stop();
  process.off('warning', tell);
});

function makeApp(): express.Express {
  const app = express();
  app.get('/', sessions.handoff({ state: false }));
  app.post('/sign-in', async (req, res) => {
    await sessions.setCookie(req, res, String(req.get('x-token')));
    res.sendStatus(204);
  });
  app.use('/introspect', sessions.introspection({ authorize: () => true }));
  app.use('/doors/logout', sessions.backchannelLogout({ clientId: 'shop' }));
  app.use('/account/sessions', sessions.router());
  app.post('/logout', sessions.logout());
  app.get('/me', sessions, ({ user, loginSession }, res) => {
    const { claims, ...rest } = user ?? { claims: {} };
    res.json([rest, Object.keys(claims), loginSession?.handle]);
  });
  app.get('/admin', sessions.required({ scope: 'admin', maxAge: '1m', acr: 'mfa' }), (_req, res) =>
    res.sendStatus(204),
  );
  app.use(((error, _req, res, _next) => {
    tell(error);
    res.status(error.status ?? 500).send(error.message);
  }) as express.ErrorRequestHandler);
  return app;
}

test('everything that is done to sessions', async () => {
  const app = makeApp();
  const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
  async function ask(
    path: string,
    headers: Record<string, string>,
    method: 'get' | 'post' | 'delete' = 'get',
    body = '',
  ) {
    const asked = request(app)[method](path).set(headers).redirects(0);
    const response = await (body === '' ? asked : asked.type('form').send(body)).ok(() => true);
    // A sign-in gives the browser its cookie. Nothing else has the token.
    const { 'set-cookie': cookies, ...others } = response.headers as Record<string, string>;
    tell([response.status, others, response.text]);
    return { status: response.status, cookies: String(cookies) };
  }

  const [laptop, phone, refreshed] = [tokenOf('s1'), tokenOf('s2'), tokenOf('s1', { n: 2 })];
  expect((await ask('/me', bearer(laptop))).status).toBe(200);
  expect((await ask('/me', bearer(refreshed))).status).toBe(200);
  expect((await ask('/sign-in', { 'x-token': phone }, 'post')).cookies).toContain(phone);
  const cookie = { cookie: `login_token=${phone}` };
  for (const accept of ['text/html', 'application/json']) await ask('/account/sessions', { ...cookie, accept });
  expect((await ask('/?token=' + tokenOf('s3'), { accept: 'text/html' })).status).toBe(303);
  await ask('/introspect', {}, 'post', `token=${laptop}`);
  await ask('/admin', bearer(laptop));
  await ask('/me', bearer(tokenOf('s4').slice(0, -4) + 'AAAA'));
  for (const bad of [
    tokenOf('s5', {}, 'another secret of 32 bytes or more'),
    tokenOf('s6', { iss: 'https://evil.example/' }),
    tokenOf(undefined, { jti: 'j1' }),
    `${tokenOf('s7')}.more`,
  ]) {
    await ask('/me', bearer(bad));
    await ask('/logout', bearer(bad), 'post');
    await sessions.verify(bad).catch(tell);
  }
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
  await ask('/doors/logout', {}, 'post', `logout_token=${tokenOf('s8', { aud: 'shop', jti: 'l1', events })}`);

  const { sessions: listed } = await sessions.list('ada');
  tell(listed);
  const handle = listed[0]?.handle ?? '';
  await sessions.label('ada', handle, 'Kitchen');
  await sessions.expireTokens('ada', { reason: 'role', by: 'op' });
  await ask('/me', bearer(laptop));
  await sessions.revoke('ada', handle);
  expect((await ask('/logout', cookie, 'post')).status).toBe(204);
  await sessions.revokeSession({ subject: 'ada', sessionId: 's9' });
  await sessions.revokeAll('ada');
  await sessions.endEverywhere();
  expect((await ask('/me', bearer(laptop))).status).toBe(401);
  await sessions.erase('ada');
  tell(sessions.health());

  // The recording has what it should have.
  expect(sent.join('')).toContain(handle);
  expect(told.join('\n')).toContain('session_revoked');
  for (const token of tokens) {
    const [, payload = '', signature = ''] = token.split('.');
    for (const secret of [payload, signature.slice(0, 20)]) {
      expect(sent.filter((text) => text.includes(secret))).toEqual([]);
      expect(told.filter((text) => text.includes(secret))).toEqual([]);
    }
  }
}, 120_000);
