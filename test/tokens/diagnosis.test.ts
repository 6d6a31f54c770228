/** What an operator is told: of a token that was refused, and of keys that cannot be fetched. */

import { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import { Socket, type AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import express from 'express';
import request from 'supertest';
import { tokenRefused } from '../../lib/core/events.js';
import type { LoginError } from '../../lib/core/errors.js';
import { createForgeryCheck } from '../../lib/http/forgery.js';
import { managedSessions, memoryStore, oidc, type IssuerOptions, type SessionEvents } from '../../lib/index.js';
import { createEndpoint, json, KEYS, ManualClock, type Answer } from '../support/issuer.js';
import { SELF_SIGNED } from '../support/self-signed.js';
import { forge } from './forge.js';
import { createSecretKey } from 'node:crypto';

const ISSUER = 'https://id.example.com/';
const SECRET = 's3cret-'.repeat(5);
const key = createSecretKey(Buffer.from(SECRET));
const clock = new ManualClock();
const seconds = clock.at / 1000;
const endings: (() => unknown)[] = [];

afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(endings.splice(0).map((end) => end()));
});

function siteOf(issuer: IssuerOptions | readonly IssuerOptions[]) {
  const sessions = managedSessions({ issuer, store: memoryStore(), clock });
  endings.push(() => sessions.close());
  return sessions;
}

function tokenOf(claims: object): string {
  return forge({
    alg: 'HS256',
    key,
    payload: { iss: ISSUER, sub: 'ann', aud: 'shop', iat: seconds - 60, exp: seconds + 60, ...claims },
  });
}

/** What `tokenRefused` told of this token; undefined if it was good. */
async function refusal(claims: object, options: Partial<IssuerOptions> = {}) {
  const sessions = siteOf({ issuer: ISSUER, secret: SECRET, audience: 'shop', ...options });
  const told: SessionEvents['tokenRefused'][] = [];
  sessions.on('tokenRefused', (event) => told.push(event));
  const token = tokenOf(claims);
  await sessions.verify(token).catch(() => undefined);
  expect(told.length).toBeLessThan(2);
  expect(inspect(told, { depth: 9 })).not.toContain(token.slice(-20));
  return told[0];
}

test('a request of another site: its origin and the host are told, and what to do', () => {
  const refuse = createForgeryCheck(() => 'localhost:3000', []);
  const headers = { origin: 'http://localhost:5173\n', 'sec-fetch-site': 'same-site', host: 'localhost:3000' };
  const request = Object.assign(new IncomingMessage(new Socket()), { method: 'POST', headers });
  let error: unknown;
  try {
    refuse(request, { from: 'cookie', isHeaderSent: false });
  } catch (thrown) {
    error = thrown;
  }
  expect(tokenRefused(error as LoginError)).toMatchObject({
    code: 'cross_site',
    diagnosis: {
      claim: 'Origin',
      got: '"http://localhost:5173\u{FFFD}", with Sec-Fetch-Site "same-site"',
      expected: 'a page of "localhost:3000", or of one of the option origins',
      hint: expect.stringContaining('add its origin to origins'),
    },
  });
});

describe('a refused token', () => {
  test.each<[string, object, Partial<IssuerOptions>, string, object]>([
    [
      'of another issuer',
      { iss: 'https://other.example.com/' },
      {},
      'issuer_refused',
      { claim: 'iss', got: '"https://other.example.com/"', expected: '"https://id.example.com/"' },
    ],
    [
      'whose issuer lacks the slash',
      { iss: 'https://id.example.com' },
      {},
      'issuer_refused',
      {
        claim: 'iss',
        got: '"https://id.example.com"',
        expected: '"https://id.example.com/"',
        hint: 'differs from "https://id.example.com/" only by a trailing slash',
      },
    ],
    ['without issuer', { iss: undefined }, {}, 'issuer_refused', { got: 'nothing' }],
    ['whose issuer is a list', { iss: [ISSUER, 7] }, {}, 'issuer_refused', { got: `["${ISSUER}", 7]` }],
    [
      'with iss, where tokens have none',
      {},
      { withoutIssuer: true },
      'issuer_refused',
      { claim: 'iss', got: `"${ISSUER}"`, expected: 'nothing' },
    ],
    [
      'for another audience',
      { aud: ['a', 'b'] },
      { audience: ['shop', 'desk'] },
      'audience_refused',
      { claim: 'aud', got: '["a", "b"]', expected: 'one of "shop", "desk"' },
    ],
    [
      'whose audience has a slash more',
      { aud: 'https://api.example.com/' },
      { audience: 'https://api.example.com' },
      'audience_refused',
      { hint: 'differs from "https://api.example.com" only by a trailing slash' },
    ],
    [
      'without audience',
      { aud: undefined },
      {},
      'audience_refused',
      { claim: 'aud', got: 'nothing', expected: '"shop"' },
    ],
    [
      'of another realm',
      { rid: 'rl_2' },
      { claims: { email_verified: (value) => value === undefined, rid: 'rl_1' } },
      'claim_invalid',
      { claim: 'rid', got: '"rl_2"', expected: '"rl_1"' },
    ],
    [
      'that a predicate refuses',
      { plan: null },
      { claims: { plan: (value) => value === 'pro' } },
      'claim_invalid',
      { claim: 'plan', got: 'null', expected: 'what the predicate of claims accepts' },
    ],
    ['that never expires', { exp: undefined }, {}, 'claim_invalid', { claim: 'exp', got: 'nothing' }],
    ['whose exp is a string', { exp: '1' }, {}, 'claim_invalid', { claim: 'exp', got: '"1"' }],
    ['without subject', { sub: '' }, {}, 'claim_invalid', { claim: 'sub', got: '""', expected: 'a non-empty string' }],
    [
      'without the claim that is the subject',
      {},
      { subject: 'uid' },
      'claim_invalid',
      { claim: 'uid', got: 'nothing' },
    ],
  ])('%s: the event says what it had and what was expected', async (_name, claims, options, code, diagnosis) => {
    expect(await refusal(claims, options)).toMatchObject({ code, diagnosis });
  });

  test('that expired has no diagnosis: the code and the message say it', async () => {
    const event = await refusal({ exp: seconds - 60 });
    expect(event).toEqual({ code: 'token_expired', error: expect.any(Error) });
  });

  test('is compared with a few of many issuers', async () => {
    const many = Array.from({ length: 200 }, (_, index) => ({
      issuer: `https://t${index}.example.com`,
      secret: SECRET,
    }));
    const sessions = siteOf(many);
    const told: SessionEvents['tokenRefused'][] = [];
    sessions.on('tokenRefused', (event) => told.push(event));
    await sessions.verify(tokenOf({ iss: 'https://t150.example.com/' })).catch(() => undefined);
    expect(told[0]!.diagnosis!.expected).toMatch(/^one of "https:\/\/t0\.example\.com", .*, or 195 more$/);
    expect(told[0]!.diagnosis!.hint).toContain('https://t150.example.com');
  });

  test.each<[string, unknown]>([
    ['lines', 'a\nINFO admin logged in\r\n\u2028\u2029\u0085\u001b[31m'],
    ['the other way round', 'a\u202egpj.exe\u200b'],
    ['long', 'x'.repeat(5000)],
    ['astral', '😀'.repeat(1400)],
    ['half a character', 'a\ud800'],
    ['a long list', Array.from({ length: 950 }, () => 'y'.repeat(3))],
    ['deep', JSON.parse(`${'['.repeat(63)}${']'.repeat(63)}`)],
    ['an object', { toString: 'x', __proto__: null }],
    ['a huge number', 1e308],
    ['a token', forge({ alg: 'HS256', key, payload: { sub: 'somebody' } })],
    ['a token in words', `Bearer ${forge({ alg: 'HS256', key, payload: { sub: 'somebody' } })}`],
  ])('puts into the event one short line without a token, if it has %s', async (_name, value) => {
    for (const claim of ['iss', 'aud', 'rid']) {
      const event = await refusal({ [claim]: value }, { claims: { rid: 'rl_1' } });
      expect(event!.diagnosis!.claim).toBe(claim);
      for (const text of Object.values<string>({ ...event!.diagnosis })) {
        expect(text).toMatch(/^[^\p{C}\p{Zl}\p{Zp}]{1,300}$/u);
        expect(text).not.toMatch(/eyJ/);
      }
    }
  });

  test('tells the client nothing of it', async () => {
    const app = express();
    const sessions = siteOf({ issuer: ISSUER, secret: SECRET, audience: 'the-inner-audience' });
    app.get('/', sessions);
    app.get('/optional', sessions.optional(), (req, res) => res.json(req.loginError));
    for (const path of ['/', '/optional']) {
      const { text, headers } = await request(app)
        .get(path)
        .set('Authorization', `Bearer ${tokenOf({ aud: 'the-outer-audience' })}`);
      expect(text + JSON.stringify(headers)).not.toMatch(/inner-audience|outer-audience/);
    }
  });
});

describe('keys that cannot be fetched', () => {
  const html: Answer = (response) => response.writeHead(200).end('<!doctype html><p>top-secret');

  /** What is told after a request. */
  async function down(issuer: IssuerOptions, times = 1) {
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const told: Error[] = [];
    for (let time = 0; time < times; time += 1) {
      const sessions = siteOf(issuer);
      sessions.on('keysDown', ({ error }) => told.push(error));
      const token = forge({
        alg: 'RS256',
        key: KEYS.rsa.privateKey,
        header: { kid: 'a' },
        payload: { iss: issuer.issuer, sub: 'ann' },
      });
      await expect(sessions.verify(token)).rejects.toMatchObject({ code: 'keys_unavailable' });
    }
    return { told: told.map(({ message }) => message), warnings: warn.mock.calls };
  }

  async function serving(answer: Answer): Promise<string> {
    const endpoint = await createEndpoint(answer);
    endings.push(() => endpoint.close());
    return endpoint.url;
  }

  async function closedPort(): Promise<string> {
    const endpoint = await createEndpoint(html);
    await endpoint.close();
    return endpoint.url;
  }

  async function selfSigned(): Promise<string> {
    const server = createServer(SELF_SIGNED, (_request, response) => response.end('{}'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    endings.push(() => server.close());
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  test.each<[string, () => Promise<string>, RegExp]>([
    ['nobody listens', closedPort, /^The JWKS endpoint cannot be reached: .*ECONNREFUSED/],
    ['the certificate is self-signed', selfSigned, /cannot be reached: self-signed certificate/],
    ['the path is wrong', () => serving((response) => response.writeHead(404).end()), /status 404$/],
    ['there is a page', () => serving(html), /did not respond with JSON, but with HTML/],
    ['a login is asked for', () => serving((r) => r.writeHead(302, { location: '/' }).end()), /302, a redirect/],
    [
      'it is plain HTTP',
      async () => (await serving(html)).replace('http:', 'https:'),
      /cannot be reached: (ERR_SSL_|EPROTO|.*SSL)/,
    ],
    ['the name does not exist', async () => 'http://nobody.invalid', /cannot be reached: .*(ENOTFOUND|EAI_AGAIN)/],
  ])('the event and one warning say why, if %s', async (name, start, why) => {
    const url = await start();
    const issuer = { issuer: `https://id.example.com/${name}`, jwksUri: `${url}/jwks?key=hunter2#part` };
    const { told, warnings } = await down(issuer, 3);
    expect(told).toEqual([0, 1, 2].map(() => expect.stringMatching(why)));
    expect(warnings).toEqual([
      [expect.any(String), { type: 'ManagedSessionsWarning', code: 'MANAGED_SESSIONS_KEYS_DOWN' }],
    ]);
    const [[line]] = warnings as unknown as [[string]];
    expect(line).toContain(`${url}/jwks,`);
    expect(line).toContain(told[0]);
    expect(line).toMatch(/^[^\p{C}\p{Zl}\p{Zp}]{1,900}$/u);
    expect(inspect([line, told])).not.toMatch(/hunter2|top-secret|eyJ/);
  });

  test('has nothing of a password or query that an issuer is named by', async () => {
    const url = await closedPort();
    for (const issuer of ['https://me:hunter2@id.example.com/a?key=hunter2', 'name?hunter2', 'urn:x?hunter2\nINFO']) {
      const { warnings } = await down({ issuer, jwksUri: url });
      expect(warnings).toHaveLength(1);
      expect(inspect(warnings)).not.toMatch(/hunter2|INFO/);
      jest.restoreAllMocks();
    }
  });

  test('by discovery: says which issuer the document names', async () => {
    const url = await serving(json({ issuer: 'https://me:hunter2@id.example.com/?key=hunter2' }));
    const { told, warnings } = await down(oidc({ issuer: url, audience: 'shop' }));
    expect(told).toEqual([expect.stringContaining(`names another issuer: "https://`)]);
    expect(inspect(warnings)).toContain(`, not \\"${url}\\"`.replaceAll('\\', ''));
    expect(inspect(warnings)).not.toContain('hunter2');
  });
});
