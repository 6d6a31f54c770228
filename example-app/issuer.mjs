// @ts-check
/**
 * A small identity provider. The site uses it over HTTP, as it would use a real one. It knows three users, issues RS256 login
 * tokens for their passwords, and publishes its public key at `/jwks.json`.
 */

import { createServer } from 'node:http';
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  randomUUID,
  scrypt,
  timingSafeEqual,
} from 'node:crypto';
import { promisify } from 'node:util';
import jwt from 'jsonwebtoken';

/** @typedef {{ id: string, username: string, password: string, name: string, email: string, scope: string }} DemoUser */

/** @type {readonly DemoUser[]} */
export const DEMO_USERS = [
  {
    id: 'usr_1',
    username: 'ada',
    password: 'lovelace',
    name: 'Ada Lovelace',
    email: 'ada@example.com',
    scope: 'orders:read',
  },
  {
    id: 'usr_2',
    username: 'alan',
    password: 'turing',
    name: 'Alan Turing',
    email: 'alan@example.com',
    scope: 'orders:read',
  },
  {
    id: 'usr_3',
    username: 'grace',
    password: 'hopper',
    name: 'Grace Hopper',
    email: 'grace@example.com',
    scope: 'orders:read sessions:admin',
  },
];

const SIGN_IN_LASTS = 12 * 60 * 60;
const API_TOKEN_LASTS = 60 * 60;
const REMEMBERED_FOR = 30 * 24 * 60 * 60;
const BODY_LIMIT = 16 * 1024;
/** Of passwords that are checked. With more, all threads are busy, and every page of the site waits for its files. */
const MOST_AT_ONCE = 8;

const slowHash = /** @type {(password: string, salt: string, length: number) => Promise<Buffer>} */ (promisify(scrypt));

/** A new signing key, as a PEM string. */
export async function createSigningKey() {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  return String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

/**
 * @param {{ issuer: string, audience: string, signingKey: string }} options
 * @returns {Promise<{
 *   jwksUri: string,
 *   tokenUrl: string,
 *   tokenFrom(userId: string, sid: string, at: number): string,
 *   close(): Promise<void>,
 * }>} `tokenFrom` is the token of a sign-in at an earlier time, in milliseconds, that is remembered for a month.
 */
export async function startIssuer({ issuer, audience, signingKey }) {
  const privateKey = createPrivateKey(signingKey);
  const publicKey = createPublicKey(privateKey);
  const jwk = publicKey.export({ format: 'jwk' });
  const kid = createHash('sha256').update(String(jwk.n)).digest('base64url');
  const jwks = JSON.stringify({ keys: [{ ...jwk, kid, use: 'sig', alg: 'RS256' }] });
  const salt = randomUUID();
  let checking = 0;
  const hashes = new Map(
    await Promise.all(
      DEMO_USERS.map(async ({ username, password }) => {
        return /** @type {const} */ ([username, await slowHash(password, salt, 32)]);
      }),
    ),
  );

  /** @param {DemoUser} user @param {{ sid: string, iat?: number, client_id?: string, scope?: string }} claims @param {number} expiresIn */
  function sign({ id, username, name, email, scope }, claims, expiresIn) {
    const payload = { name, preferred_username: username, email, scope, ...claims };
    const header = /** @type {const} */ ({ algorithm: 'RS256', keyid: kid });
    return jwt.sign(payload, privateKey, { ...header, issuer, audience, subject: id, expiresIn });
  }

  /**
   * Takes just as long if there is no such user.
   * @param {string} username @param {string} password
   */
  async function signIn(username, password) {
    const user = DEMO_USERS.find((known) => known.username === username);
    checking += 1;
    const given = await slowHash(password, salt, 32).finally(() => (checking -= 1));
    const expected = hashes.get(username) ?? Buffer.alloc(32);
    if (!timingSafeEqual(given, expected) || user === undefined) return undefined;
    return sign(user, { sid: randomUUID() }, SIGN_IN_LASTS);
  }

  /**
   * A login token gets its user another one: a new token of the same sign-in or, with `client_id`, a sign-in of an app. The token
   * of an app gets none: it would have more rights.
   * @param {string} loginToken @param {string | null} client_id
   */
  function exchange(loginToken, client_id) {
    const claims = claimsOf(loginToken);
    const user = DEMO_USERS.find(({ id }) => id === claims?.sub);
    if (user === undefined || claims?.['client_id'] !== undefined) return undefined;
    if (client_id === null) return sign(user, { sid: String(claims?.['sid']) }, SIGN_IN_LASTS);
    return sign(user, { sid: randomUUID(), client_id, scope: 'orders:read' }, API_TOKEN_LASTS);
  }

  /** @param {string} token @returns {import('jsonwebtoken').JwtPayload | undefined} */
  function claimsOf(token) {
    try {
      const claims = jwt.verify(token, publicKey, { algorithms: ['RS256'], issuer, audience });
      return typeof claims === 'object' ? claims : undefined;
    } catch {
      return undefined;
    }
  }

  /** @param {import('node:http').IncomingMessage} req @param {import('node:http').ServerResponse} res */
  async function answer(req, res) {
    if (req.method === 'GET' && req.url === '/jwks.json') return send(res, 200, jwks);
    if (req.method !== 'POST' || req.url !== '/token') return send(res, 404, '{"error":"not_found"}');
    let body = '';
    for await (const chunk of req.setEncoding('utf8')) {
      body += chunk;
      if (body.length > BODY_LIMIT) return send(res, 413, '{"error":"invalid_request"}');
    }
    const form = new URLSearchParams(body);
    const loginToken = form.get('login_token');
    if (loginToken === null && checking >= MOST_AT_ONCE) return send(res, 503, '{"error":"temporarily_unavailable"}');
    const token =
      loginToken === null
        ? await signIn(form.get('username') ?? '', form.get('password') ?? '')
        : exchange(loginToken, form.get('client_id'));
    if (token === undefined) return send(res, 401, '{"error":"invalid_grant"}');
    return send(res, 200, JSON.stringify({ login_token: token }));
  }

  const server = createServer((req, res) => {
    answer(req, res).catch(() => res.destroy());
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(undefined));
  });
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    jwksUri: `http://127.0.0.1:${String(port)}/jwks.json`,
    tokenUrl: `http://127.0.0.1:${String(port)}/token`,
    tokenFrom(userId, sid, at) {
      const user = DEMO_USERS.find(({ id }) => id === userId);
      if (user === undefined) throw new TypeError(`There is no user ${userId}`);
      return sign(user, { sid, iat: Math.floor(at / 1000) }, REMEMBERED_FOR);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** @param {import('node:http').ServerResponse} res @param {number} status @param {string} json */
function send(res, status, json) {
  res.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  res.end(json);
}
