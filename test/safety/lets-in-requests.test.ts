/** Heading 1, requests: what must not let somebody in. A row is a mistake or an attack, and the answer. */

import { createHmac } from 'node:crypto';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import * as http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import cookieParser from 'cookie-parser';
import { isLoginError } from '../../lib/core/errors.js';
import type { ManagedSessions } from '../../lib/index.js';
import { tokenOf } from '../http/site.js';
import { describeEachFramework } from '../support/frameworks.js';
import {
  ALICE,
  EVIL,
  EXPIRED,
  HOST,
  MALLORY,
  OURS,
  outcome,
  shop,
  type Headers,
  type How,
  type Options,
} from './cookies.js';

let sessions: ManagedSessions;
afterEach(() => sessions.close());

const alice = { Cookie: `login_token=${ALICE}` };
const bearer = { Authorization: `Bearer ${ALICE}` };
/** Tokens of one session. */
const MALLORYS = [1, 2, 3, 4].map((n) => tokenOf('mallory-1', { sub: 'mallory', n }));
const crossSite = { Origin: EVIL, 'Sec-Fetch-Site': 'cross-site' };
const sameSite = { Origin: 'https://blog.shop.example', 'Sec-Fetch-Site': 'same-site' };
/** A form, an image and a WebSocket of another page. */
const form = { ...crossSite, 'Sec-Fetch-Mode': 'navigate' };
const beacon = { ...crossSite, 'Sec-Fetch-Mode': 'no-cors' };
const script = { ...crossSite, 'Sec-Fetch-Mode': 'cors' };

const cookieOf = (req: IncomingMessage): string => /login_token=([^;]*)/.exec(req.headers.cookie ?? '')?.[1] ?? '';
/** An application that has its cookie read by a middleware which knows only headers. */
const copyCookie: How = { before: (req) => void (req.headers.authorization = `Bearer ${cookieOf(req)}`) };
const copyIntoHeader: How = { before: (req) => void (req.headers['x-auth-token'] = cookieOf(req)) };
/** An application that signs its cookies, as cookie-parser does it. */
const COOKIE_SECRET = 'signs cookies';
const parseSigned: How = {
  before: (req) => void Reflect.apply(cookieParser(COOKIE_SECRET), undefined, [req, {}, () => undefined]),
};
function signed(token: string): string {
  const signature = createHmac('sha256', COOKIE_SECRET).update(token).digest('base64').replace(/=+$/, '');
  return `login_token=${encodeURIComponent(`s:${token}.${signature}`)}`;
}
const GET: How = { method: 'GET' };

describeEachFramework((_framework, makeApp) => {
  test.each<[string, Headers, string, How?, Options?]>([
    // A cookie is sent by the browser, whoever made it send the request.
    ['a POST of our page', { ...alice, Origin: OURS, 'Sec-Fetch-Site': 'same-origin' }, 'alice'],
    ['a POST of a program', alice, 'alice'],
    ['a POST of a same-site page', { ...alice, ...sameSite }, 'cross_site'],
    ['a POST of any site, with SameSite=None', { ...alice, ...crossSite }, 'cross_site'],
    ['a form of any site', { ...alice, ...form }, 'cross_site'],
    ['a POST of any site, from a browser that tells only Origin', { ...alice, Origin: EVIL }, 'cross_site'],
    ['a POST of a sandboxed frame', { ...alice, Origin: 'null' }, 'cross_site'],
    ['a POST with an empty Origin', { ...alice, Origin: '' }, 'cross_site'],
    ['a POST of another port', { ...alice, Origin: `${OURS}:8443` }, 'cross_site'],
    ['a link on any site', { ...alice, ...form }, 'alice', GET],
    ['origins: a POST of a page that is named', { ...alice, ...sameSite }, 'alice', {}, { origins: [sameSite.Origin] }],
    ['origins: any', { ...alice, ...form }, 'alice', {}, { origins: 'any' }],
    ['a function that reads the cookie', { ...alice, ...crossSite }, 'cross_site', {}, { from: cookieOf }],

    // A header proves that a script of ours sent it, but only if the browser sent the header.
    ['a header that a script set', { ...bearer, ...script }, 'alice'],
    ['a cookie that was copied into the header', { ...alice, ...script }, 'cross_site', copyCookie],
    ['the same, of our page', { ...alice, 'Sec-Fetch-Site': 'same-origin' }, 'alice', copyCookie],
    [
      'the same, over a password that the browser sends by itself',
      { ...alice, ...script, Authorization: 'Basic YTpi' },
      'cross_site',
      copyCookie,
    ],
    [
      'a cookie that was copied into another header',
      { ...alice, ...script },
      'cross_site',
      copyIntoHeader,
      { from: { header: 'X-Auth-Token' } },
    ],
    ['a header that a gateway made of its cookie: a form', { ...bearer, ...form }, 'cross_site'],
    ['a header that a gateway made of its cookie: a beacon', { ...bearer, ...beacon }, 'cross_site'],
    [
      'another header that a gateway made of its cookie',
      { 'X-Auth-Token': ALICE, ...form },
      'cross_site',
      {},
      { from: { header: 'x-auth-token' } },
    ],
    ['the source that is used decides', { ...bearer, ...alice, ...script }, 'alice'],
    [
      'the source that is used decides, in its order',
      { ...bearer, ...alice, ...script },
      'cross_site',
      {},
      { from: [{ cookie: 'login_token' }, 'bearer'] },
    ],

    // A subdomain can set cookies for us.
    ['a planted cookie beside ours', { Cookie: `login_token=${MALLORY}; login_token=${ALICE}` }, 'token_malformed'],
    ['the same behind ours', { Cookie: `login_token=${ALICE}; login_token=${MALLORY}` }, 'token_malformed'],
    ['the same, quoted', { Cookie: `login_token="${MALLORY}"; login_token=${ALICE}` }, 'token_malformed'],
    [
      'a planted cookie beside ours, both signed',
      { Cookie: `${signed(MALLORY)}; ${signed(ALICE)}` },
      'token_malformed',
      parseSigned,
    ],
    [
      'a signed cookie beside a planted one that is not',
      { Cookie: `${signed(ALICE)}; login_token=${MALLORY}` },
      'alice',
      parseSigned,
    ],
    [
      'a planted cookie beside a __Host- cookie',
      { Cookie: `login_token=${MALLORY}; __Host-login_token=${ALICE}` },
      'alice',
    ],
    [
      'four planted cookies of one session before ours',
      { Cookie: [...MALLORYS, ALICE].map((token) => `login_token=${token}`).join('; ') },
      'token_malformed',
    ],
    [
      'a planted cookie alone, where only the __Host- name is read',
      { Cookie: `login_token=${MALLORY}` },
      'no_token',
      {},
      { cookie: { name: '__Host-login_token' } },
    ],
    [
      'the same, signed, before unsigned ones',
      {
        Cookie: [`s:${MALLORY}.x`, 1, 2, 3, 4, `s:${ALICE}.x`].map((each) => `login_token=${String(each)}`).join('; '),
      },
      'token_malformed',
      { before: (req) => void Object.assign(req, { cookies: {}, signedCookies: { login_token: MALLORY } }) },
    ],
    ['an empty plain name beside it', { Cookie: `login_token=; __Host-login_token=${ALICE}` }, 'alice'],
    [
      'a planted cookie beside a __Host- cookie that has expired',
      { Cookie: `login_token=${MALLORY}; __Host-login_token=${EXPIRED}` },
      'token_expired',
    ],

    // One source never stands in for another.
    ['a bad bearer token and a good cookie', { ...alice, Authorization: 'Bearer x' }, 'token_malformed'],
    ['Bearer alone and a good cookie', { ...alice, Authorization: 'Bearer' }, 'token_malformed'],
    ['a bare token and a good cookie', { ...alice, Authorization: MALLORY }, 'token_malformed'],
    [
      'a token in the query',
      {},
      'no_token',
      { before: (req) => void (req.url = `${req.url ?? ''}?login_token=${ALICE}`) },
    ],
  ])('%s', async (_attack, sent, answer, how = {}, options = {}) => {
    sessions = shop(options);
    expect(await outcome(makeApp(), sessions, sent, how)).toBe(answer);
  });
});

describeEachFramework((_framework, makeApp) => {
  test('a token without a scheme is reported, without the token', async () => {
    sessions = shop();
    const reported: unknown[] = [];
    sessions.on('tokenRefused', ({ code, error }) => reported.push([code, error.message.includes(ALICE)]));
    await outcome(makeApp(), sessions, { ...alice, Authorization: ALICE });
    expect(reported).toEqual(Array.from({ length: 2 }, () => ['token_malformed', false]));
  });
});

/** What a server without a framework answers: 101 or 200 with the user, or the status of the refusal. */
async function authenticated(req: IncomingMessage): Promise<{ status: number; user: string }> {
  try {
    return { status: 101, user: (await sessions.authenticate(req)).user.id };
  } catch (error) {
    if (isLoginError(error)) return { status: error.status, user: '' };
    throw error;
  }
}

const listen = (server: { listen(port: number, host: string, done: () => void): unknown }): Promise<void> =>
  new Promise((resolve) => void server.listen(0, '127.0.0.1', resolve));
const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;

/** The status of an upgrade by HTTP/1.1. */
async function upgrade(headers: Headers): Promise<number> {
  const server = createServer();
  server.on('upgrade', (req, socket) => {
    void authenticated(req).then(({ status }) => {
      const connection = status === 101 ? 'Connection: Upgrade\r\nUpgrade: websocket' : 'Connection: close';
      socket.end(`HTTP/1.1 ${String(status)} x\r\n${connection}\r\n\r\n`);
    });
  });
  await listen(server);
  try {
    return await new Promise<number>((resolve, reject) => {
      const sent = { Host: HOST, Connection: 'Upgrade', Upgrade: 'websocket', ...headers };
      const req = httpRequest({ port: portOf(server), host: '127.0.0.1', headers: sent });
      req.on('upgrade', (res, socket) => {
        socket.destroy();
        resolve(res.statusCode ?? 0);
      });
      req.on('response', (res) => {
        res.resume();
        resolve(res.statusCode ?? 0);
      });
      req.on('error', reject).end();
    });
  } finally {
    server.close();
  }
}

/** The status of an extended CONNECT by HTTP/2 (RFC 8441), 200 for 101. */
async function extendedConnect(headers: Headers): Promise<number> {
  // Only with a handler of requests is there the event for CONNECT.
  const server = http2.createServer({ settings: { enableConnectProtocol: true } }, (_req, res) => void res.end());
  server.on('connect', (req: http2.Http2ServerRequest, res: http2.Http2ServerResponse) => {
    // A request of node:http2 has everything that is read of an IncomingMessage.
    void authenticated(req as unknown as IncomingMessage).then(({ status }) => {
      res.writeHead(status === 101 ? 200 : status).end();
    });
  });
  await listen(server);
  const client = http2.connect(`http://127.0.0.1:${String(portOf(server))}`);
  try {
    await new Promise((resolve) => client.once('remoteSettings', resolve));
    const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    const extended = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https', ':path': '/' };
    const stream = client.request({ ...extended, ':authority': HOST, ...lower }, { endStream: false });
    return await new Promise<number>((resolve, reject) => {
      stream.on('response', (answer) => resolve(Number(answer[':status'])));
      stream.on('error', reject);
    });
  } finally {
    client.destroy();
    server.close();
  }
}

describe.each([
  ['an upgrade', upgrade, 101],
  ['an extended CONNECT', extendedConnect, 200],
])('%s', (_what, connect, accepted) => {
  test.each<[string, Headers, number | 'accepted']>([
    ['with a cookie, of our page', { ...alice, Origin: OURS }, 'accepted'],
    ['with a cookie, of a program', alice, 'accepted'],
    ['with a cookie, of a foreign page', { ...alice, Origin: EVIL }, 403],
    ['with a cookie, of a same-site page', { ...alice, ...sameSite, 'Sec-Fetch-Mode': 'websocket' }, 403],
    ['with a cookie, of a page without an origin', { ...alice, Origin: 'null' }, 403],
    ['with a header of a program', bearer, 'accepted'],
    ['with a header that a gateway made of its cookie, of our page', { ...bearer, Origin: OURS }, 'accepted'],
    ['with a header that a gateway made of its cookie, of a foreign page', { ...bearer, Origin: EVIL }, 403],
    ['the same, where the browser tells the mode', { ...bearer, ...crossSite, 'Sec-Fetch-Mode': 'websocket' }, 403],
    ['with nothing', {}, 401],
    ['with two cookies of two people', { Cookie: `login_token=${ALICE}; login_token=${MALLORY}` }, 401],
  ])('%s', async (_attack, headers, status) => {
    sessions = shop();
    expect(await connect(headers)).toBe(status === 'accepted' ? accepted : status);
  });
});
