/** Heading 1: what lets somebody in. A row is a mistake or an attack, and the answer. */

import { createPublicKey, createSecretKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { runInNewContext } from 'node:vm';
import supertest from 'supertest';
import {
  authRocket,
  authRocketV1,
  managedSessions,
  oidc,
  type ManagedSessions,
  type ManagedSessionsOptions,
} from '../../lib/index.js';
import { describeEachFramework } from '../support/frameworks.js';
import { SELF_SIGNED } from '../support/self-signed.js';
import { ISSUER, LET_IN, newToken, SECRET } from './hooks.js';

const sites: ManagedSessions<unknown>[] = [];

function site(options: Partial<ManagedSessionsOptions<unknown>>): ManagedSessions<unknown> {
  const made = managedSessions<unknown>({ issuer: { issuer: ISSUER, secret: SECRET }, ...options });
  sites.push(made);
  return made;
}

afterEach(async () => {
  for (const made of sites.splice(0)) await made.close();
});

function letIn(_req: IncomingMessage, res: ServerResponse): void {
  res.end(LET_IN);
}

/** What a predicate of `claims` returns, and the answer: only `true` accepts. What throws or rejects is in `ends-or-hangs`. */
const ACCEPTED: readonly (readonly [name: string, answer: unknown, status: number])[] = [
  ['true', true, 200],
  ['false', false, 401],
  ["'no'", 'no', 401],
  ["'true'", 'true', 401],
  ['1', 1, 401],
  ['an object', {}, 401],
  ['a Boolean', Object(true), 401],
  ['nothing', undefined, 401],
  ['null', null, 401],
  ['a promise of false', Promise.resolve(false), 500],
  ['a promise of true', Promise.resolve(true), 500],
  ['a promise of another realm', runInNewContext('Promise.resolve(true)'), 500],
];

/** What the option `user` returns if there is no such account. */
const NOBODY: readonly (readonly [name: string, user: () => unknown])[] = [
  ['null', () => null],
  ['undefined', () => undefined],
  ['false', () => false],
  ['an empty string', () => ''],
  ['0', () => 0],
  ['NaN', () => Number('user-1')],
  ['an empty list, as of a query without result', () => []],
  ['a promise of an empty list', async () => []],
  ['a promise of null', async () => null],
  ['a promise of undefined', async () => undefined],
  ['a promise of false', async () => false],
  ['a promise of another realm', () => runInNewContext('Promise.resolve(null)')],
];

describeEachFramework((_name, makeApp) => {
  test.each([undefined, {}, { parameter: 'jwt' }, { state: undefined }])('handoff(%j) does not start', (options) => {
    const { handoff } = site({});
    const make = (): unknown => Reflect.apply(handoff, undefined, [options]);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(/needs the option state: .* write state: false/);
  });

  test('a hand-off that did not begin in this browser signs nobody in', async () => {
    const { handoff } = site({});
    const app = makeApp();
    app.mount('/', handoff({ state: { cookie: 'login_state' } }), letIn);
    for (const [query, sent] of [
      ['', {}],
      ['&state=theirs', {}],
      ['&state=theirs', { Cookie: 'login_state=mine' }],
    ] as const) {
      const { headers, status } = await supertest(app.listener).get(`/?token=${newToken()}${query}`).set(sent);
      expect([status, headers['set-cookie']]).toEqual([303, undefined]);
    }
  });

  test.each(ACCEPTED)('a predicate that returns %s', async (_answer, answer, status) => {
    const { required } = site({ issuer: { issuer: ISSUER, secret: SECRET, claims: { org: () => answer as boolean } } });
    const app = makeApp();
    app.mount('/', required(), letIn);
    const response = await supertest(app.listener).get('/').set('Authorization', `Bearer ${newToken()}`);
    expect(response.status).toBe(status);
    if (status !== 200) expect(response.text).not.toContain(LET_IN);
    if (status === 500) expect(response.text).toContain('must return true or false, not a promise');
  });

  test.each(NOBODY)('required() refuses if the user is %s', async (_answer, user) => {
    const sessions = site({ user });
    const refused: string[] = [];
    sessions.on('tokenRefused', ({ code }) => refused.push(code));
    const app = makeApp();
    app.mount('/', sessions.required(), letIn);
    const { status, body, headers } = await supertest(app.listener)
      .get('/')
      .set('Authorization', `Bearer ${newToken()}`);
    expect({ status, code: body.code }).toEqual({ status: 401, code: 'user_refused' });
    expect(headers['www-authenticate']).toContain('error="invalid_token"');
    expect(refused).toEqual(['user_refused']);
  });

  test.each(NOBODY)(
    'optional() sets no user if it is %s, and a gate behind it does not ask again',
    async (_answer, user) => {
      let asked = 0;
      const sessions = site({
        user: () => {
          asked += 1;
          return user();
        },
      });
      const app = makeApp();
      app.mount(
        '/open',
        sessions.optional(),
        (req: IncomingMessage & { user?: unknown; loginError?: unknown }, res) => {
          res.end(JSON.stringify([req.user, (req.loginError as { code?: unknown }).code]));
        },
      );
      app.mount('/closed', sessions.optional(), sessions.required(), letIn);
      app.mount('/routes', sessions.router());
      const agent = supertest(app.listener);
      const open = await agent.get('/open').set('Authorization', `Bearer ${newToken()}`);
      expect(open.text).toBe('[null,"user_refused"]');
      asked = 0;
      const closed = await agent.get('/closed').set('Authorization', `Bearer ${newToken()}`);
      expect(closed.body.code).toBe('user_refused');
      expect(asked).toBe(1);
      const routes = await agent.get('/routes').set('Authorization', `Bearer ${newToken()}`);
      expect(routes.body.code).toBe('user_refused');
    },
  );

  test('a user that is an error is not let in', async () => {
    const sessions = site({ user: () => new Error('no such account') });
    const app = makeApp();
    app.mount('/', sessions.required(), letIn);
    const { status, text } = await supertest(app.listener).get('/').set('Authorization', `Bearer ${newToken()}`);
    expect([status, text]).toEqual([500, 'application error: no such account']);
  });

  test.each(NOBODY)('introspection says inactive if the user is %s', async (_answer, user) => {
    const sessions = site({ user });
    const app = makeApp();
    app.mount('/', sessions.introspection({ authorize: () => true }));
    const { body } = await supertest(app.listener).post('/').type('form').send({ token: newToken() }).expect(200);
    expect(body).toEqual({ active: false });
  });

  test('a hand-off for nobody sets no cookie', async () => {
    const sessions = site({ user: async () => null });
    const app = makeApp();
    app.mount('/', sessions.handoff({ state: false }), letIn);
    const response = await supertest(app.listener).get(`/?token=${newToken()}`);
    expect(response.status).toBe(303);
    expect(response.headers['set-cookie']).toBeUndefined();
  });

  test('an asynchronous user is awaited once, by however many gates', async () => {
    let asked = 0;
    const sessions = site({
      user: async ({ sub }) => {
        asked += 1;
        await new Promise((resolve) => setImmediate(resolve));
        return { account: sub };
      },
    });
    const app = makeApp();
    app.mount(
      '/',
      sessions.optional(),
      sessions.required(),
      sessions.required({ fresh: true }),
      (req: IncomingMessage & { user?: unknown }, res) => {
        res.end(JSON.stringify(req.user));
      },
    );
    const agent = supertest(app.listener);
    const token = newToken({ sub: 'ann' });
    // The first time the store is asked, and the second time it is not.
    for (const time of [1, 2]) {
      const { text } = await agent.get('/').set('Authorization', `Bearer ${token}`).expect(200);
      expect([text, asked]).toEqual(['{"account":"ann"}', time]);
    }
    await expect(sessions.verify(token)).resolves.toMatchObject({ user: { account: 'ann' } });
  });
});

test.each(NOBODY)('verify() and authenticate() reject if the user is %s', async (_answer, user) => {
  const sessions = site({ user });
  const token = newToken();
  await expect(sessions.verify(token)).rejects.toMatchObject({ code: 'user_refused' });
  const req: unknown = { method: 'GET', headers: { authorization: `Bearer ${token}` } };
  await expect(sessions.authenticate(req as IncomingMessage)).rejects.toMatchObject({ code: 'user_refused' });
});

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
const ed = generateKeyPairSync('ed25519').publicKey;

function pem(key: KeyObject, type: 'spki' | 'pkcs1' = 'spki'): string {
  return String(key.export({ format: 'pem', type }));
}
function der(key: KeyObject, type: 'spki' | 'pkcs1' = 'spki'): Buffer {
  return key.export({ format: 'der', type });
}

/** RFC 4253, section 6.6. */
function openSsh(key: KeyObject): string {
  const { e = '', n = '' } = key.export({ format: 'jwk' });
  const parts = [Buffer.from('ssh-rsa'), Buffer.from(e, 'base64url'), Buffer.from(`AA${n}`, 'base64url')];
  const blob = Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.length);
      return [length, part];
    }),
  );
  return blob.toString('base64');
}

const base64 = (bytes: Buffer | string): string => Buffer.from(bytes).toString('base64');
const jwk = JSON.stringify(rsa.export({ format: 'jwk' }));
const certificateDer = Buffer.from(SELF_SIGNED.cert.replace(/-----.*-----|\s/g, ''), 'base64');

const PUBLIC: readonly (readonly [name: string, secret: string | Buffer | KeyObject])[] = [
  ['PEM (RSA)', pem(rsa)],
  ['PEM (EC)', pem(ec)],
  ['PEM (Ed25519)', pem(ed)],
  ['PEM (PKCS#1)', pem(rsa, 'pkcs1')],
  ['a certificate', SELF_SIGNED.cert],
  ['PEM with spaces around it', `\n  ${pem(rsa)}  \n`],
  ['PEM after a comment', `# key of the realm\n${pem(rsa)}`],
  ['PEM in lower case', pem(rsa).toLowerCase()],
  ['PEM with CRLF', pem(rsa).replaceAll('\n', '\r\n')],
  ['PEM with escaped line breaks', pem(rsa).replaceAll('\n', '\\n')],
  ['PEM on one line', pem(rsa).replaceAll('\n', '')],
  ['PEM in quotes', `"${pem(rsa)}"`],
  ['PEM, percent-encoded', encodeURIComponent(pem(rsa))],
  ['PEM in base64', base64(pem(rsa))],
  ['PEM in base64url', Buffer.from(pem(rsa)).toString('base64url')],
  ['PEM as a Buffer', Buffer.from(pem(rsa))],
  ['PEM in UTF-16', Buffer.from(pem(rsa), 'utf16le')],
  ['PEM with a byte order mark', `\ufeff${pem(rsa)}`],
  ['PEM in a secret KeyObject', createSecretKey(Buffer.from(pem(rsa)))],
  ['bare base64 of SPKI', base64(der(rsa))],
  ['bare base64 of SPKI (EC)', base64(der(ec))],
  ['bare base64 of SPKI (Ed25519)', base64(der(ed))],
  ['bare base64 of SPKI on several lines', base64(der(rsa)).replace(/.{64}/g, '$&\n')],
  ['bare base64 of SPKI without padding', base64(der(ec)).replace(/=+$/, '')],
  ['bare base64url of SPKI', der(rsa).toString('base64url')],
  ['bare base64 of PKCS#1', base64(der(rsa, 'pkcs1'))],
  ['bare base64 of a certificate (x5c)', base64(certificateDer)],
  ['bare base64 of SPKI, percent-encoded', encodeURIComponent(base64(der(rsa)))],
  ['bare base64 of SPKI behind a name', `base64:${base64(der(ec))}`],
  ['bare base64 of SPKI, one of a list', `${base64(der(ed))},${base64(der(ec))}`],
  ['bare base64 of SPKI, in base64 once more', base64(base64(der(ec)))],
  ['a data URL of SPKI', `data:application/octet-stream;base64,${base64(der(rsa))}`],
  ['hex of SPKI', der(rsa).toString('hex')],
  ['hex of SPKI with colons', (der(rsa).toString('hex').match(/../g) ?? []).join(':')],
  ['hex of SPKI after 0x', `0x${der(ec).toString('hex')}`],
  ['XML', `<RSAKeyValue><Modulus>${base64(randomBytes(256))}</Modulus><Exponent>AQAB</Exponent></RSAKeyValue>`],
  ['DER', der(rsa)],
  ['DER (PKCS#1)', der(rsa, 'pkcs1')],
  ['DER of a certificate', certificateDer],
  ['JWK', jwk],
  ['JWK (EC)', JSON.stringify(ec.export({ format: 'jwk' }))],
  ['JWK (Ed25519)', JSON.stringify(ed.export({ format: 'jwk' }))],
  ['JWK with spaces', `  ${JSON.stringify(JSON.parse(jwk), null, 2)}\n`],
  ['JWK as YAML', jwk.replace(/[{}"]/g, '').replaceAll(',', '\n')],
  ['JWK as JavaScript', jwk.replaceAll('"', "'")],
  ['JWK behind a name', `LOGIN_JWK=${jwk}`],
  ['JWK with a byte order mark', `\ufeff${jwk}`],
  ['JWK as a query', new URLSearchParams(JSON.parse(jwk) as Record<string, string>).toString()],
  ['JWK in base64', base64(jwk)],
  ['JWK in a JSON string', JSON.stringify(jwk)],
  ['JWK set', `{"keys":[${jwk}]}`],
  ['list of JWKs', `[${jwk}]`],
  ['certificates by key id', JSON.stringify({ a1: SELF_SIGNED.cert })],
  ['OpenSSH', `ssh-rsa ${openSsh(rsa)} ann@example.com`],
  ['OpenSSH, its base64 alone', openSsh(rsa)],
  ['OpenSSH (Ed25519)', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl'],
  [
    'OpenSSH (EC)',
    'ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9',
  ],
  ['SSH2 (RFC 4716)', `---- BEGIN SSH2 PUBLIC KEY ----\n${openSsh(rsa)}\n---- END SSH2 PUBLIC KEY ----`],
  ['a public KeyObject', rsa],
  ['a public KeyObject (EC)', createPublicKey(pem(ec))],
];

const SECRETS: readonly (readonly [name: string, secret: string | Buffer | KeyObject])[] = [
  ['a passphrase', 'a certificate and a public key open this door'],
  ["AuthRocket's", `jsk_${randomBytes(32).toString('base64url')}`],
  ['random base64', randomBytes(64).toString('base64')],
  ['random hex', randomBytes(64).toString('hex')],
  ['random bytes', randomBytes(32)],
  ['random bytes that begin as DER does', Buffer.concat([Buffer.from([0x30, 0x82]), randomBytes(62)])],
  ['a KeyObject', createSecretKey(randomBytes(32))],
  ['a private JWK', JSON.stringify(generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }))],
  ['a private key in XML', `<RSAKeyValue><Modulus>AQAB</Modulus><D>${base64(randomBytes(256))}</D></RSAKeyValue>`],
  ['JSON', JSON.stringify({ k: randomBytes(32).toString('base64url'), kty: 'oct' })],
];

type Made = readonly [name: string, make: (secret: string | Buffer | KeyObject) => ManagedSessionsOptions['issuer']];

const WITH_SECRET: readonly Made[] = [
  ['secret', (secret) => ({ issuer: ISSUER, secret })],
  ['a list of secrets', (secret) => ({ issuer: ISSUER, secret: [SECRET, secret] })],
  ['authRocket()', (secret) => authRocket({ secret })],
  ['authRocketV1()', (secret) => authRocketV1({ secret })],
];

describe.each(WITH_SECRET)('%s', (_name, make) => {
  test.each(PUBLIC)('refuses a public key: %s', (_notation, secret) => {
    const attempt = (): unknown => site({ issuer: make(secret) });
    expect(attempt).toThrow(TypeError);
    expect(attempt).toThrow(/secret(\[1\])? is a public key .* give it as issuer\.publicKey/);
  });

  test.each(SECRETS)('accepts a secret: %s', (_notation, secret) => {
    expect(() => site({ issuer: make(secret) })).not.toThrow();
  });
});

test.each(['https://id.example.com/.well-known/jwks.json', ' HTTPS://id.example.com/realms/shop/certs'])(
  'a secret that is the URL of a key set does not start: %s',
  (secret) => {
    const attempt = (): unknown => site({ issuer: { issuer: ISSUER, secret } });
    expect(attempt).toThrow(TypeError);
    expect(attempt).toThrow(/issuer\.secret is a URL.*jwksUri/);
  },
);

test('the options of a gate in a Map do not leave it open', () => {
  const options: unknown = new Map([['scope', 'admin']]);
  expect(() => site({}).required(options as object)).toThrow(/takes an object of options, got a Map/);
});

test.each([
  ['authRocket()', authRocket({ publicKey: pem(rsa) })],
  ['authRocketV1()', authRocketV1({ publicKey: pem(rsa) })],
])('%s takes the public key as publicKey', (_name, issuer) => {
  expect(() => site({ issuer })).not.toThrow();
});

test('authRocket() takes exactly one of its keys', () => {
  expect(() => authRocket({ publicKey: pem(rsa), secret: SECRET })).toThrow(
    /exactly one of loginRocketUrl, secret, publicKey/,
  );
  expect(() => authRocket({})).toThrow(/exactly one of loginRocketUrl, secret, publicKey/);
});

test.each([
  ['no audience', {}],
  ['an audience that is undefined', { audience: undefined }],
])('oidc() refuses %s', (_name, rest) => {
  const attempt = (): unknown => oidc({ issuer: ISSUER, ...rest } as never);
  expect(attempt).toThrow(TypeError);
  expect(attempt).toThrow(/needs the option audience.*audience: false/);
});

test.each(['', [], null, true])('an issuer of oidc() with the audience %j is refused', (audience) => {
  expect(() => site({ issuer: oidc({ issuer: ISSUER, audience } as never) })).toThrow(/issuer.audience must be/);
});

test('audience: false must be asked for by name', () => {
  expect(oidc({ issuer: ISSUER, audience: false })).toEqual({ issuer: ISSUER, discover: true });
});
