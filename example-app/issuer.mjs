// @ts-check
/**
 * A small identity provider. The site uses it over HTTP, as it would use a real one. It knows two users, issues RS256 login
 * tokens for their passwords, and publishes its public key at `/jwks.json`.
 */

import { createServer } from 'node:http';
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomUUID,
  scrypt,
  scryptSync,
  timingSafeEqual,
} from 'node:crypto';
import { promisify } from 'node:util';
import jwt from 'jsonwebtoken';

export const DEMO_USERS = [
  { id: 'usr_1', username: 'ada', password: 'lovelace', name: 'Ada Lovelace', email: 'ada@example.com' },
  { id: 'usr_2', username: 'alan', password: 'turing', name: 'Alan Turing', email: 'alan@example.com' },
];

const TOKEN_LIFETIME = 12 * 60 * 60;
const BODY_LIMIT = 8 * 1024;

const slowHash = /** @type {(password: string, salt: string, length: number) => Promise<Buffer>} */ (promisify(scrypt));

/** A new signing key, as a PEM string. */
export function createSigningKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

/**
 * @param {{ issuer: string, audience: string, signingKey: string }} options
 * @returns {Promise<{ jwksUri: string, tokenUrl: string, close(): Promise<void> }>}
 */
export async function startIssuer({ issuer, audience, signingKey }) {
  const privateKey = createPrivateKey(signingKey);
  const jwk = createPublicKey(signingKey).export({ format: 'jwk' });
  const kid = createHash('sha256').update(String(jwk.n)).digest('base64url');
  const jwks = JSON.stringify({ keys: [{ ...jwk, kid, use: 'sig', alg: 'RS256' }] });
  const salt = randomUUID();
  const hashes = new Map(DEMO_USERS.map((user) => [user.username, scryptSync(user.password, salt, 32)]));

  /** Takes just as long if there is no such user. @param {string} username @param {string} password */
  async function tokenFor(username, password) {
    const user = DEMO_USERS.find((known) => known.username === username);
    const given = await slowHash(password, salt, 32);
    const expected = hashes.get(username) ?? Buffer.alloc(32);
    if (!timingSafeEqual(given, expected) || user === undefined) return undefined;
    const { id, name, email } = user;
    const claims = { sid: randomUUID(), name, preferred_username: username, email, scope: 'orders:read' };
    return jwt.sign(claims, privateKey, {
      algorithm: 'RS256',
      keyid: kid,
      issuer,
      audience,
      subject: id,
      expiresIn: TOKEN_LIFETIME,
    });
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
    const token = await tokenFor(form.get('username') ?? '', form.get('password') ?? '');
    if (token === undefined) return send(res, 401, '{"error":"invalid_grant"}');
    return send(res, 200, JSON.stringify({ login_token: token, expires_in: TOKEN_LIFETIME }));
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
