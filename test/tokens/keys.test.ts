import { createSecretKey, generateKeyPairSync } from 'node:crypto';
import { LoginError } from '../../lib/core/errors.js';
import type { KeyEvent, KeySource } from '../../lib/tokens/key-source.js';
import { jwksKeys, type JwksOptions } from '../../lib/tokens/keys.js';
import { staticKeys, type StaticKeyOptions } from '../../lib/tokens/static-keys.js';
import type { VerificationKey } from '../../lib/tokens/verification-key.js';
import { createEndpoint, halfAnswer, json, jwkOf, keySet, KEYS, ManualClock, noAnswer } from '../support/issuer.js';
import type { Answer, Endpoint } from '../support/issuer.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const { rsa, otherRsa, smallRsa, p256, p384, p521, secp256k1, ed25519, x25519 } = KEYS;

/** What `candidates` comes to: the keys, or the code of the error. */
async function outcome(
  keys: KeySource,
  kid: string | undefined,
  alg = 'RS256',
): Promise<readonly VerificationKey[] | string> {
  try {
    return await keys.candidates({ kid, alg });
  } catch (error) {
    return codeOf(error);
  }
}

function codeOf(error: unknown): string {
  if (error instanceof LoginError) return error.code;
  throw error;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(setImmediate);
}

describe('staticKeys', () => {
  const pem = rsa.publicKey.export({ format: 'pem', type: 'spki' }).toString();
  const privatePem = rsa.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const secret = 's3cret-'.repeat(5);

  it.each<[string, StaticKeyOptions, readonly string[]]>([
    ['a text', { secret }, ['HS256']],
    ['a Buffer', { secret: Buffer.alloc(32, 1) }, ['HS256']],
    ['a secret KeyObject', { secret: createSecretKey(Buffer.alloc(48, 1)), algorithms: ['HS384'] }, ['HS384']],
    ['a long secret for all', { secret: 'x'.repeat(64), algorithms: ['HS256', 'HS512'] }, ['HS256', 'HS512']],
    ['32 bytes in fewer characters', { secret: 'é'.repeat(16) }, ['HS256']],
    ['an RSA PEM', { publicKey: pem }, ['RS256']],
    ['a PEM file, as it is read', { publicKey: Buffer.from(pem) }, ['RS256']],
    [
      'an RSA PEM of the older form',
      { publicKey: rsa.publicKey.export({ format: 'pem', type: 'pkcs1' }).toString() },
      ['RS256'],
    ],
    ['an RSA KeyObject for PS', { publicKey: rsa.publicKey, algorithms: ['PS256', 'RS512'] }, ['RS512', 'PS256']],
    ['an RSA JWK', { publicKey: jwkOf(rsa.publicKey) }, ['RS256']],
    ['a JWK whose alg binds', { publicKey: jwkOf(rsa.publicKey, { alg: 'PS384' }) }, ['PS384']],
    [
      'a JWK whose alg is one of those allowed',
      { publicKey: jwkOf(rsa.publicKey, { alg: 'PS384' }), algorithms: ['PS384'] },
      ['PS384'],
    ],
    ['P-256', { publicKey: p256.publicKey }, ['ES256']],
    ['P-384', { publicKey: p384.publicKey }, ['ES384']],
    ['P-521, as a JWK', { publicKey: jwkOf(p521.publicKey) }, ['ES512']],
  ])('takes %s', (_name, options, algorithms) => {
    const keys = staticKeys(options, 'issuer');
    const [key, ...others] = keys.candidates({ kid: undefined, alg: algorithms[0]! }) as readonly VerificationKey[];
    expect(others).toEqual([]);
    expect(key!.algorithms).toEqual(algorithms);
    expect(keys.holds(key!)).toBe(true);
    expect(keys.holds({ ...key! })).toBe(false);
  });

  it.each<[string, unknown, string]>([
    ['nothing', {}, 'issuer must have one of secret and publicKey, not neither'],
    ['both', { secret, publicKey: pem }, 'issuer must have one of secret and publicKey, not both'],
    ['an empty list', { secret: [] }, 'issuer.secret must have at least one key, got an empty list'],
    ['a number', { secret: 42 }, 'issuer.secret must be a string, a Buffer or a secret KeyObject, got a number'],
    ['null', { secret: null }, 'issuer.secret must be a string, a Buffer or a secret KeyObject, got null'],
    [
      'a public KeyObject as secret',
      { secret: rsa.publicKey },
      'issuer.secret is a public key or a certificate, with which anybody could sign tokens: give it as issuer.publicKey',
    ],
    ['an empty secret', { secret: '' }, 'issuer.secret has 0 bytes, HS256 needs at least 32 (RFC 7518, section 3.2)'],
    [
      'a short secret',
      { secret: 's'.repeat(31) },
      'issuer.secret has 31 bytes, HS256 needs at least 32 (RFC 7518, section 3.2)',
    ],
    [
      'a short one in a list',
      { secret: [secret, 'short'] },
      'issuer.secret[1] has 5 bytes, HS256 needs at least 32 (RFC 7518, section 3.2)',
    ],
    [
      'one too short for the second',
      { secret, algorithms: ['HS256', 'HS512'] },
      'issuer.secret has 35 bytes, HS512 needs at least 64 (RFC 7518, section 3.2)',
    ],
    [
      'an RS secret',
      { secret, algorithms: ['RS256'] },
      'issuer.secret cannot be used with any of the configured algorithms',
    ],
    [
      'an RS algorithm beside',
      { secret, algorithms: ['HS256', 'RS256'] },
      "issuer.algorithms has 'RS256', which none of the keys can be used with",
    ],
    [
      'HS with a public key',
      { publicKey: pem, algorithms: ['RS256', 'HS256'] },
      "issuer.algorithms has 'HS256', which none of the keys can be used with",
    ],
    [
      'an unknown algorithm',
      { secret, algorithms: ['none'] },
      'issuer.algorithms must be a list of one or more of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519, got a list',
    ],
    [
      'no algorithm',
      { secret, algorithms: [] },
      'issuer.algorithms must be a list of one or more of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519, got an empty list',
    ],
    ['a private PEM', { publicKey: privatePem }, 'issuer.publicKey is a private key; use the public key'],
    [
      'an encrypted private PEM',
      {
        publicKey: rsa.privateKey
          .export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' })
          .toString(),
      },
      'issuer.publicKey is a private key; use the public key',
    ],
    ['a private KeyObject', { publicKey: p256.privateKey }, 'issuer.publicKey is a private key; use the public key'],
    ['a private JWK', { publicKey: jwkOf(p256.privateKey) }, 'issuer.publicKey is a private key; use the public key'],
    [
      'a secret KeyObject',
      { publicKey: createSecretKey(Buffer.alloc(32)) },
      'issuer.publicKey is a secret KeyObject; use a public one',
    ],
    [
      'a symmetric JWK',
      { publicKey: { kty: 'oct', k: 'AAAA' } },
      'issuer.publicKey is a symmetric key, which must not be public',
    ],
    [
      'a JWK to encrypt',
      { publicKey: jwkOf(rsa.publicKey, { use: 'enc' }) },
      'issuer.publicKey is not for signatures (use)',
    ],
    [
      'a JWK to sign',
      { publicKey: jwkOf(rsa.publicKey, { key_ops: ['sign'] }) },
      'issuer.publicKey is not for verifying (key_ops)',
    ],
    [
      'a JWK of another algorithm',
      { publicKey: jwkOf(rsa.publicKey, { alg: 'RS256' }), algorithms: ['PS256'] },
      'issuer.publicKey cannot be used with any of the configured algorithms',
    ],
    [
      'a JWK whose alg does not fit',
      { publicKey: jwkOf(rsa.publicKey, { alg: 'HS256' }) },
      'issuer.publicKey declares an algorithm (alg) that its type cannot be used with',
    ],
    [
      'a JWK whose kid is a number',
      { publicKey: jwkOf(rsa.publicKey, { kid: 1 }) },
      'issuer.publicKey has a kid that is not a string',
    ],
    ['a JWK without key', { publicKey: { kty: 'RSA' } }, 'issuer.publicKey has no n'],
    [
      'a point that is not on the curve',
      { publicKey: { ...jwkOf(p256.publicKey), x: 'AAAA' } },
      'issuer.publicKey cannot be read as a public key',
    ],
    [
      'a text',
      { publicKey: 'hunter2' },
      'issuer.publicKey is a string that is neither a PEM nor base64 of a public key (SPKI)',
    ],
    ['a PEM cut short', { publicKey: pem.slice(0, 80) }, 'issuer.publicKey cannot be read as a public key'],
    [
      'a number',
      { publicKey: [pem, 7] },
      'issuer.publicKey[1] must be a PEM, base64 of an SPKI, a JWK, a JWK set or a public KeyObject, got a number',
    ],
    [
      'RSA of 1024 bits',
      { publicKey: smallRsa.publicKey },
      'issuer.publicKey is an RSA key of 1024 bits; at least 2048 are needed',
    ],
    [
      'RSA with the exponent 1',
      { publicKey: { ...jwkOf(rsa.publicKey), e: 'AQ' } },
      'issuer.publicKey is an RSA key whose exponent is too small',
    ],
    [
      'RSA-PSS',
      { publicKey: generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey },
      'issuer.publicKey is neither an RSA, nor an EC, nor an Ed25519 key',
    ],
    ['X25519', { publicKey: x25519.publicKey }, 'issuer.publicKey is neither an RSA, nor an EC, nor an Ed25519 key'],
    [
      'X25519, as a JWK',
      { publicKey: jwkOf(x25519.publicKey) },
      'issuer.publicKey is on a curve (crv) other than Ed25519',
    ],
    ['secp256k1', { publicKey: secp256k1.publicKey }, 'issuer.publicKey is on a curve other than P-256, P-384, P-521'],
  ])('refuses %s', (_name, options, message) => {
    expect(() => staticKeys(options as StaticKeyOptions, 'issuer')).toThrow(new TypeError(message));
  });

  it('finds keys by kid, and lets those without serve any', async () => {
    const keys = staticKeys(
      {
        publicKey: [jwkOf(rsa.publicKey, { kid: 'a' }), jwkOf(otherRsa.publicKey, { kid: 'b' }), p256.publicKey],
        algorithms: ['RS256', 'ES256'],
      },
      'issuer',
    );
    expect(await outcome(keys, 'a')).toMatchObject([{ kid: 'a' }]);
    expect(await outcome(keys, undefined)).toMatchObject([{ kid: 'a' }, { kid: 'b' }]);
    expect(await outcome(keys, 'c', 'ES256')).toMatchObject([{ kid: undefined }]);
    expect(await outcome(keys, 'a', 'ES256')).toBe('algorithm_refused');
    expect(await outcome(keys, '__proto__', 'PS256')).toBe('algorithm_refused');
    expect(keys.health()).toEqual({ ok: true, age: 0, lastError: null });
  });

  it('knows no other kid where each key has one', async () => {
    const keys = staticKeys({ publicKey: jwkOf(rsa.publicKey, { kid: 'a' }) }, 'issuer');
    expect(await outcome(keys, 'b')).toBe('key_unknown');
    expect(await outcome(keys, '')).toBe('key_unknown');
    expect(await outcome(keys, 'constructor')).toBe('key_unknown');
  });

  it('takes the new secret and the old, for a rotation', async () => {
    const keys = staticKeys({ secret: [secret, `${secret}-new`] }, 'issuer');
    expect(await outcome(keys, 'any', 'HS256')).toHaveLength(2);
    expect(await outcome(keys, undefined, 'RS256')).toBe('algorithm_refused');
  });
});

describe('jwksKeys', () => {
  const a = jwkOf(rsa.publicKey, { kid: 'a', use: 'sig', alg: 'RS256' });
  const b = jwkOf(otherRsa.publicKey, { kid: 'b', use: 'sig', alg: 'RS256' });
  const down: Answer = (response) => response.writeHead(503).end('down for maintenance');
  const endings: (() => unknown)[] = [];

  let clock: ManualClock;
  let events: KeyEvent[];
  let endpoint: Endpoint;

  beforeEach(async () => {
    clock = new ManualClock();
    events = [];
    endpoint = await createEndpoint(keySet(a));
    endings.push(() => endpoint.close());
  });

  afterEach(async () => {
    await Promise.all(endings.splice(0).map((end) => end()));
  });

  function remoteKeys(options: Partial<JwksOptions> = {}): KeySource {
    const keys = jwksKeys({
      uri: `${endpoint.url}/jwks.json`,
      keysMaxAge: 10 * MINUTE,
      keysMaxStale: 24 * HOUR,
      clock,
      onEvent: (event) => events.push(event),
      ...options,
    });
    endings.push(() => keys.close());
    return keys;
  }

  /** Keys of which `a` has been fetched. */
  async function warmKeys(options: Partial<JwksOptions> = {}): Promise<{ keys: KeySource; known: VerificationKey }> {
    const keys = remoteKeys(options);
    const [known] = await keys.candidates({ kid: 'a', alg: 'RS256' });
    return { keys, known: known! };
  }

  describe('at construction', () => {
    it.each([['jwks.json'], [''], ['file:///etc/keys'], ['https://me:secret@id.example.com/jwks']])(
      'refuses the URL %p',
      (uri) => {
        expect(() => remoteKeys({ uri })).toThrow(
          new TypeError('issuer.jwksUri must be an absolute http(s) URL without user and password'),
        );
        expect(() => remoteKeys({ uri: { discover: uri } })).toThrow('issuer.issuer must be an absolute http(s) URL');
      },
    );

    it('refuses an algorithm of secrets', () => {
      expect(() => remoteKeys({ algorithms: ['RS256', 'HS256'] })).toThrow(
        new TypeError("issuer.algorithms has 'HS256', which cannot be used with a public key"),
      );
    });

    it('fetches nothing before it is asked', async () => {
      const keys = remoteKeys();
      await new Promise(setImmediate);
      expect(endpoint.requests).toBe(0);
      expect(keys.holds({ key: rsa.publicKey, kid: 'a', algorithms: ['RS256'] })).toBe(false);
    });
  });

  describe('with a set at hand', () => {
    it('answers without a promise, and without a fetch', async () => {
      const { keys, known } = await warmKeys();
      const candidates = keys.candidates({ kid: 'a', alg: 'RS256' });
      expect(candidates).toEqual([known]);
      expect(keys.holds(known)).toBe(true);
      expect(endpoint.requests).toBe(1);
      expect(keys.health()).toEqual({ ok: true, age: 0, lastError: null });
    });

    it('refuses an algorithm that the key does not serve, without a fetch', async () => {
      const { keys } = await warmKeys();
      for (const alg of ['HS256', 'PS256', 'ES256', 'none', '__proto__'])
        expect(await outcome(keys, 'a', alg)).toBe('algorithm_refused');
      expect(endpoint.requests).toBe(1);
    });

    it('takes keys by kid, several of one kid, and all for a token without', async () => {
      endpoint.answer = keySet(a, { ...b, kid: 'a' }, jwkOf(p256.publicKey, { kid: 'a' }), jwkOf(p521.publicKey));
      const { keys } = await warmKeys();
      expect(await outcome(keys, 'a')).toHaveLength(2);
      expect(await outcome(keys, 'a', 'ES256')).toHaveLength(1);
      expect(await outcome(keys, undefined, 'RS256')).toHaveLength(2);
      expect(await outcome(keys, undefined, 'ES512')).toMatchObject([{ kid: undefined }]);
      expect(await outcome(keys, undefined, 'ES384')).toBe('algorithm_refused');
    });

    it('bounds the keys that one token is tried with', async () => {
      endpoint.answer = keySet(...Array.from({ length: 40 }, (_, index) => ({ ...a, kid: `k${index}` })));
      const keys = remoteKeys();
      expect(await outcome(keys, undefined)).toHaveLength(4);
      expect(await outcome(keys, 'k39')).toHaveLength(1);
    });

    it('lets algorithms say what an RSA key without alg serves', async () => {
      endpoint.answer = keySet(jwkOf(rsa.publicKey, { kid: 'a' }));
      const keys = remoteKeys({ algorithms: ['PS256', 'RS512'] });
      expect(await outcome(keys, 'a', 'PS256')).toHaveLength(1);
      expect(await outcome(keys, 'a', 'RS512')).toHaveLength(1);
      expect(await outcome(keys, 'a', 'RS256')).toBe('algorithm_refused');
    });

    it("reads AuthRocket's bare public key in x5c", async () => {
      const x5c = [rsa.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')];
      endpoint.answer = keySet({ kid: 'jwk_0vYTYXT66Z4', use: 'sig', alg: 'RS256', ...jwkOf(rsa.publicKey), x5c });
      const [key] = await remoteKeys().candidates({ kid: 'jwk_0vYTYXT66Z4', alg: 'RS256' });
      expect(key!.key.equals(rsa.publicKey)).toBe(true);
    });
  });

  describe('refreshing', () => {
    it('fetches in the background from three quarters of keysMaxAge on, once', async () => {
      const { keys } = await warmKeys();
      clock.advance(7.5 * MINUTE - 1);
      expect(await outcome(keys, 'a')).toHaveLength(1);
      expect(endpoint.requests).toBe(1);

      clock.advance(1);
      for (let count = 0; count < 50; count += 1) expect(keys.candidates({ kid: 'a', alg: 'RS256' })).toHaveLength(1);
      await until(() => keys.health().age === 0);
      expect(endpoint.requests).toBe(2);
    });

    it('keeps the object of a key that stays, drops one that left, takes one that came', async () => {
      endpoint.answer = keySet(a, b);
      const { keys, known } = await warmKeys();
      const [leaving] = await keys.candidates({ kid: 'b', alg: 'RS256' });

      endpoint.answer = keySet(jwkOf(p256.publicKey, { kid: 'c' }), Object.fromEntries(Object.entries(a).reverse()));
      clock.advance(8 * MINUTE);
      void keys.candidates({ kid: 'a', alg: 'RS256' });
      await until(() => keys.health().age === 0);

      expect(keys.holds(known)).toBe(true);
      expect(keys.candidates({ kid: 'a', alg: 'RS256' })).toEqual([known]);
      expect((keys.candidates({ kid: 'a', alg: 'RS256' }) as readonly VerificationKey[])[0]).toBe(known);
      expect(keys.holds(leaving!)).toBe(false);
      expect(await outcome(keys, 'b')).toBe('key_unknown');
      expect(await outcome(keys, 'c', 'ES256')).toHaveLength(1);
    });

    it('does not take another key for the same because it has the same kid', async () => {
      const { keys, known } = await warmKeys();
      endpoint.answer = keySet({ ...b, kid: 'a' });
      clock.advance(8 * MINUTE);
      void keys.candidates({ kid: 'a', alg: 'RS256' });
      await until(() => !keys.holds(known));
      const [key] = await keys.candidates({ kid: 'a', alg: 'RS256' });
      expect(key!.key.equals(otherRsa.publicKey)).toBe(true);
    });

    it('counts a fetch in the future, after the clock was set back, as one of now', async () => {
      const { keys } = await warmKeys();
      clock.advance(-365 * 24 * HOUR);
      expect(keys.health().age).toBe(0);
      clock.advance(8 * MINUTE);
      expect(keys.candidates({ kid: 'a', alg: 'RS256' })).toHaveLength(1);
      await until(() => keys.health().age === 0);
      expect(endpoint.requests).toBe(2);
    });
  });

  describe('an unknown kid', () => {
    it('causes one fetch in 30 s for two hundred of them, and delays no known one', async () => {
      const { keys } = await warmKeys();
      const unknown = Array.from({ length: 200 }, (_, index) => outcome(keys, `unknown-${index}`));
      expect(keys.candidates({ kid: 'a', alg: 'RS256' })).toHaveLength(1);
      expect(new Set(await Promise.all(unknown))).toEqual(new Set(['key_unknown']));
      expect(endpoint.requests).toBe(2);

      clock.advance(29_999);
      expect(() => keys.candidates({ kid: 'unknown', alg: 'RS256' })).toThrow(LoginError);
      expect(endpoint.requests).toBe(2);

      clock.advance(1);
      expect(await outcome(keys, 'unknown')).toBe('key_unknown');
      expect(endpoint.requests).toBe(3);
    });

    it('is known when the set that is fetched for it has it', async () => {
      const { keys } = await warmKeys();
      endpoint.answer = keySet(a, b);
      expect(await outcome(keys, 'b')).toMatchObject([{ kid: 'b' }]);
      expect(endpoint.requests).toBe(2);
    });

    it('that waited for the first fetch causes no second one', async () => {
      expect(await outcome(remoteKeys(), 'unknown')).toBe('key_unknown');
      expect(endpoint.requests).toBe(1);
    });

    it.each(['__proto__', 'constructor', 'toString', '', '\ud800', 'k'.repeat(8000)])(
      'is harmless as %p',
      async (kid) => {
        const { keys } = await warmKeys();
        expect(await outcome(keys, kid)).toBe('key_unknown');
      },
    );

    it('cannot be judged while the endpoint is down; known ones can', async () => {
      const { keys } = await warmKeys();
      endpoint.answer = down;
      expect(await outcome(keys, 'unknown')).toBe('keys_unavailable');
      expect(await outcome(keys, 'another')).toBe('keys_unavailable');
      expect(endpoint.requests).toBe(2);
      expect(await outcome(keys, 'a')).toHaveLength(1);

      endpoint.answer = keySet(a);
      clock.advance(30_000);
      expect(await outcome(keys, 'unknown')).toBe('key_unknown');
      expect(events.map((event) => event.kind)).toEqual(['down', 'up']);
    });

    it('hears when to try again', async () => {
      const { keys } = await warmKeys();
      endpoint.answer = down;
      await outcome(keys, 'unknown');
      clock.advance(10_000);
      const refusal = await Promise.resolve()
        .then(() => keys.candidates({ kid: 'unknown', alg: 'RS256' }))
        .catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'keys_unavailable', status: 503, headers: { 'Retry-After': '20' } });
    });
  });

  describe('an endpoint that fails', () => {
    const huge = `{"keys":[${JSON.stringify(a)}],"padding":"${'x'.repeat(10 * 1024 * 1024)}"}`;

    it.each<[string, Answer, RegExp]>([
      ['answers 500', (response) => response.writeHead(500).end('{}'), /status 500/],
      ['answers 404', (response) => response.writeHead(404).end(), /status 404/],
      [
        'answers 200 with HTML',
        (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
        /did not respond with JSON/,
      ],
      ['answers with nothing', (response) => response.writeHead(204).end(), /did not respond with JSON/],
      ['answers with JSON null', json(null), /not an object/],
      ['answers with a list', json([a]), /not an object/],
      ['answers without keys', json({}), /not return a list of keys/],
      ['answers with keys that are no list', json({ keys: { 0: a, length: 1 } }), /not return a list of keys/],
      ['answers with an empty set', keySet(), /no usable key/],
      ['answers with rubbish alone', keySet(null, 1, 'a', []), /no usable key/],
      ['answers with 10 MB', (response) => response.writeHead(200).end(huge), /more than 1048576 bytes/],
      ['never answers', noAnswer, /took too long/],
      ['answers half', halfAnswer, /took too long/],
      ['hangs up', (response) => void response.destroy(), /cannot be reached/],
      [
        'hangs up half-way',
        (response) => {
          response.writeHead(200);
          response.write('{"keys":', () => response.destroy());
        },
        /cannot be reached/,
      ],
    ])('is keys_unavailable at first where it %s', async (_name, answer, message) => {
      endpoint.answer = answer;
      const keys = remoteKeys({ fetchTimeout: message.source.includes('too long') ? 200 : 5000 });
      expect(await outcome(keys, 'a')).toBe('keys_unavailable');
      expect(keys.health()).toMatchObject({
        ok: false,
        age: Infinity,
        lastError: { message: expect.stringMatching(message) },
      });
      expect(events.filter((event) => event.kind === 'down')).toHaveLength(1);
    });

    it('is out of reach where nobody listens', async () => {
      await endpoint.close();
      const keys = remoteKeys();
      expect(await outcome(keys, 'a')).toBe('keys_unavailable');
      expect(keys.health().lastError!.message).toMatch(/^The JWKS endpoint cannot be reached: .*ECONNREFUSED/);
    });

    it('is not followed elsewhere', async () => {
      const elsewhere = await createEndpoint(keySet(a));
      endings.push(() => elsewhere.close());
      for (const status of [301, 302, 303, 307, 308]) {
        endpoint.answer = (response) => response.writeHead(status, { location: elsewhere.url }).end();
        expect(await outcome(remoteKeys(), 'a')).toBe('keys_unavailable');
      }
      expect(elsewhere.requests).toBe(0);
    });

    it('is asked once for all who wait for the first set', async () => {
      const keys = remoteKeys();
      const waiting = Array.from({ length: 100 }, (_, index) => outcome(keys, index % 2 === 0 ? 'a' : 'x'));
      const found = await Promise.all(waiting);
      expect(found.filter((keysFound) => Array.isArray(keysFound))).toHaveLength(50);
      expect(found.filter((code) => code === 'key_unknown')).toHaveLength(50);
      expect(endpoint.requests).toBe(1);
    });

    it('is not asked by each request of a cold start, and lets in again within 5 s of being back', async () => {
      endpoint.answer = down;
      const keys = remoteKeys();
      const asked: number[] = [];
      for (let second = 0; second < 60; second += 1) {
        const before = endpoint.requests;
        expect(await outcome(keys, 'a')).toBe('keys_unavailable');
        expect(await outcome(keys, 'a')).toBe('keys_unavailable');
        if (endpoint.requests > before) asked.push(second);
        clock.advance(1_000);
      }
      expect(asked.slice(0, 6)).toEqual([0, 1, 3, 7, 12, 17]);
      expect(endpoint.requests).toBe(asked.length);

      endpoint.answer = keySet(a);
      clock.advance(5_000);
      expect(await outcome(keys, 'a')).toHaveLength(1);
      expect(events.map((event) => event.kind)).toEqual(['down', 'up']);
    });

    it('leaves the last good set in use for keysMaxStale, tried again ever more rarely', async () => {
      const { keys, known } = await warmKeys();
      endpoint.answer = down;
      clock.advance(10 * MINUTE);
      let elapsed = 10 * MINUTE;
      for (const [tries, wait] of [0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].entries()) {
        if (wait > 0) {
          clock.advance(wait - 1);
          expect(keys.candidates({ kid: 'a', alg: 'RS256' })).toEqual([known]);
          // An answer to a later request: a fetch that had begun would have been seen.
          await fetch(endpoint.url, { method: 'HEAD' });
          expect(endpoint.requests).toBe(1 + tries);
          clock.advance(1);
        }
        elapsed += wait;
        const waiting = keys.candidates({ kid: 'a', alg: 'RS256' });
        expect(waiting).toBeInstanceOf(Promise);
        expect(await waiting).toEqual([known]);
        expect(endpoint.requests).toBe(2 + tries);
      }
      expect(keys.health()).toMatchObject({
        ok: true,
        lastError: { message: 'The JWKS endpoint responded with status 503' },
      });

      clock.advance(24 * HOUR - elapsed - 1);
      expect(await outcome(keys, 'a')).toEqual([known]);
      clock.advance(1);
      expect(await outcome(keys, 'a')).toBe('keys_unavailable');
      expect(keys.health().ok).toBe(false);
      expect(events.map((event) => event.kind)).toEqual(['down']);

      endpoint.answer = keySet(a);
      clock.advance(30_000);
      expect(await outcome(keys, 'a')).toEqual([known]);
      expect(events.map((event) => event.kind)).toEqual(['down', 'up']);
    });

    it('is tried anew by a readiness probe alone', async () => {
      endpoint.answer = down;
      const keys = remoteKeys();
      expect(keys.health()).toEqual({ ok: true, age: Infinity, lastError: null });
      await until(() => !keys.health().ok);
      endpoint.answer = keySet(a);
      clock.advance(1_000);
      await until(() => keys.health().ok);
      expect(endpoint.requests).toBe(2);
    });

    it('says in no error what it answered', async () => {
      endpoint.answer = (response) => response.writeHead(200).end('{"keys": top-secret}');
      const keys = remoteKeys();
      const refusal = await Promise.resolve(keys.candidates({ kid: 'a', alg: 'RS256' })).catch(
        (error: unknown) => error,
      );
      expect(refusal).toMatchObject({ code: 'keys_unavailable', message: 'The keys of the issuer cannot be fetched' });
      expect(JSON.stringify([keys.health().lastError!.message, keys.health().lastError!.stack])).not.toContain(
        'top-secret',
      );
    });
  });

  describe('a bad key among good ones', () => {
    it.each<[string, unknown, string]>([
      [
        'on an unknown curve',
        jwkOf(secp256k1.publicKey, { kid: 'bad' }),
        'is on a curve other than P-256, P-384, P-521',
      ],
      [
        'on a curve that does not exist',
        { kty: 'EC', crv: '__proto__', x: 'AA', y: 'AA', kid: 'bad' },
        'is on a curve other than P-256, P-384, P-521',
      ],
      ['for key agreement', jwkOf(x25519.publicKey, { kid: 'bad' }), 'is on a curve (crv) other than Ed25519'],
      ['Ed25519 to encrypt', jwkOf(ed25519.publicKey, { kid: 'bad', use: 'enc' }), 'is not for signatures (use)'],
      ['to encrypt', jwkOf(otherRsa.publicKey, { kid: 'bad', use: 'enc' }), 'is not for signatures (use)'],
      [
        'to encrypt, by its alg',
        jwkOf(otherRsa.publicKey, { kid: 'bad', alg: 'RSA-OAEP-256' }),
        'declares an algorithm (alg) that its type cannot be used with',
      ],
      [
        'with other key_ops',
        jwkOf(otherRsa.publicKey, { kid: 'bad', key_ops: ['encrypt'] }),
        'is not for verifying (key_ops)',
      ],
      [
        'with key_ops that are a text',
        jwkOf(otherRsa.publicKey, { kid: 'bad', key_ops: 'verify' }),
        'is not for verifying (key_ops)',
      ],
      [
        'of 1024 bits',
        jwkOf(smallRsa.publicKey, { kid: 'bad' }),
        'is an RSA key of 1024 bits; at least 2048 are needed',
      ],
      ['that is private', jwkOf(otherRsa.privateKey, { kid: 'bad' }), 'is a private key; use the public key'],
      [
        'that is symmetric',
        { kty: 'oct', k: 'c2VjcmV0', kid: 'bad', alg: 'HS256' },
        'is a symmetric key, which must not be public',
      ],
      ['without material', { kty: 'RSA', kid: 'bad' }, 'has no n'],
      ['whose modulus is a number', { ...b, kid: 'bad', n: 7 }, 'has a n that is not a string'],
      ['beside the curve', { ...jwkOf(p256.publicKey, { kid: 'bad' }), y: 'AAAA' }, 'cannot be read as a public key'],
      ['of no kind', { kid: 'bad' }, 'is of a type (kty) other than RSA, EC and OKP'],
      [
        'of an algorithm that is not configured',
        { ...b, kid: 'bad', alg: 'PS256' },
        'cannot be used with any of the configured algorithms',
      ],
    ])('is skipped when it is one %s', async (_name, bad, why) => {
      endpoint.answer = keySet(bad, a);
      const keys = remoteKeys({ algorithms: ['RS256'] });
      expect(await outcome(keys, 'a')).toHaveLength(1);
      expect(events).toEqual([{ kind: 'skipped', index: 0, kid: 'bad', why }]);
      expect(await outcome(keys, 'bad')).toBe('key_unknown');
    });

    it.each([[null], ['a'], [[]], [{ ...b, kid: 7 }], [{ ...b, kid: { toString: 'x' } }]])(
      'is skipped when it is %p',
      async (bad) => {
        endpoint.answer = keySet(a, bad);
        expect(await outcome(remoteKeys(), 'a')).toHaveLength(1);
        expect(events).toMatchObject([{ kind: 'skipped', index: 1, kid: undefined }]);
      },
    );

    it('is told once, not with each fetch', async () => {
      endpoint.answer = keySet({ ...b, use: 'enc' }, a);
      const { keys } = await warmKeys();
      clock.advance(8 * MINUTE);
      void keys.candidates({ kid: 'a', alg: 'RS256' });
      await until(() => keys.health().age === 0);
      expect(events).toHaveLength(1);
    });
  });

  describe('by discovery', () => {
    const PATH = '/.well-known/openid-configuration';

    function serve(metadata: () => unknown, keys: Answer = keySet(a)): void {
      endpoint.answer = (response, request) =>
        (request.url?.endsWith(PATH) === true ? json(metadata()) : keys)(response, request);
    }

    it.each([[''], ['/'], ['/realms/shop'], ['/realms/shop/']])('finds the keys of an issuer at %p', async (path) => {
      const issuer = `${endpoint.url}${path}`;
      const asked: unknown[] = [];
      serve(() => ({ issuer, jwks_uri: `${endpoint.url}/keys` }));
      const { answer } = endpoint;
      endpoint.answer = (response, request) => {
        asked.push(request.url);
        answer(response, request);
      };
      expect(await outcome(remoteKeys({ uri: { discover: issuer } }), 'a')).toHaveLength(1);
      expect(asked).toEqual([`${path.replace(/\/$/, '')}${PATH}`, '/keys']);
    });

    it.each<[string, (url: string) => unknown]>([
      ['another issuer', (url) => ({ issuer: `${url}/`, jwks_uri: `${url}/keys` })],
      ['no issuer', (url) => ({ jwks_uri: `${url}/keys` })],
      ['no jwks_uri', (url) => ({ issuer: url })],
      ['a jwks_uri that is a list', (url) => ({ issuer: url, jwks_uri: [`${url}/keys`] })],
      ['a relative jwks_uri', (url) => ({ issuer: url, jwks_uri: '/keys' })],
      ['a jwks_uri of a file', (url) => ({ issuer: url, jwks_uri: 'file:///keys' })],
      ['a jwks_uri with a password', (url) => ({ issuer: url, jwks_uri: url.replace('//', '//me:pw@') })],
      ['no object', () => []],
    ])('is unavailable where the document has %s', async (_name, metadata) => {
      serve(() => metadata(endpoint.url));
      expect(await outcome(remoteKeys({ uri: { discover: endpoint.url } }), 'a')).toBe('keys_unavailable');
      expect(endpoint.requests).toBe(1);
    });

    it('notices that the keys have moved', async () => {
      let path = '/old';
      serve(
        () => ({ issuer: endpoint.url, jwks_uri: `${endpoint.url}${path}` }),
        (response, request) => (request.url === path ? keySet(path === '/old' ? a : b) : down)(response, request),
      );
      const { keys } = await warmKeys({ uri: { discover: endpoint.url } });
      path = '/new';
      expect(await outcome(keys, 'b')).toHaveLength(1);
    });

    it('shares the time limit with the fetch of the keys', async () => {
      serve(() => ({ issuer: endpoint.url, jwks_uri: `${endpoint.url}/keys` }), noAnswer);
      const keys = remoteKeys({ uri: { discover: endpoint.url }, fetchTimeout: 2000 });
      expect(await outcome(keys, 'a')).toBe('keys_unavailable');
      expect(keys.health().lastError!.message).toBe('The JWKS endpoint took too long to respond');
    });

    it('keeps the last good set while the document is out of reach', async () => {
      serve(() => ({ issuer: endpoint.url, jwks_uri: `${endpoint.url}/keys` }));
      const { keys, known } = await warmKeys({ uri: { discover: endpoint.url } });
      endpoint.answer = down;
      clock.advance(HOUR);
      expect(await outcome(keys, 'a')).toEqual([known]);
      expect(keys.candidates({ kid: 'a', alg: 'RS256' })).toEqual([known]);
      expect(events).toMatchObject([
        { kind: 'down', error: { message: 'The discovery document responded with status 503' } },
      ]);
    });
  });

  describe('close', () => {
    it('ends a fetch under way, says nothing of it, and starts none after', async () => {
      let isHungUp = false;
      endpoint.answer = (_response, request) => request.socket.once('close', () => (isHungUp = true));
      const keys = remoteKeys();
      const waiting = outcome(keys, 'a');
      await until(() => endpoint.requests === 1);
      keys.close();
      expect(await waiting).toBe('keys_unavailable');
      await until(() => isHungUp);
      clock.advance(MINUTE);
      expect(await outcome(keys, 'a')).toBe('keys_unavailable');
      expect(endpoint.requests).toBe(1);
      expect(events).toEqual([]);
    });
  });
});
