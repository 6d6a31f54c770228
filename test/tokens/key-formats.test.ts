/** The forms in which keys are given: members of a JWK that say nothing, key sets, bare base64, URLs. */

import { LoginError } from '../../lib/core/errors.js';
import { managedSessions, memoryStore } from '../../lib/index.js';
import type { KeyEvent, KeySource } from '../../lib/tokens/key-source.js';
import { jwksKeys } from '../../lib/tokens/keys.js';
import { staticKeys, type StaticKeyOptions } from '../../lib/tokens/static-keys.js';
import { createVerifier } from '../../lib/tokens/verify.js';
import { createEndpoint, jwkOf, keySet, KEYS, ManualClock } from '../support/issuer.js';
import { forge } from './forge.js';

const { rsa, otherRsa, p256, ed25519, secp256k1, smallRsa } = KEYS;
const ISSUER = 'https://id.example.com/';
const endings: (() => unknown)[] = [];

afterEach(async () => {
  await Promise.all(endings.splice(0).map((end) => end()));
});

async function outcome(keys: KeySource, kid: string | undefined, alg = 'RS256'): Promise<unknown> {
  try {
    return (await keys.candidates({ kid, alg })).map((key) => key.kid ?? null);
  } catch (error) {
    if (error instanceof LoginError) return error.code;
    throw error;
  }
}

/** A source that fetches these keys, and what it reported. */
async function served(...keys: unknown[]): Promise<{ keys: KeySource; events: readonly KeyEvent[] }> {
  const endpoint = await createEndpoint(keySet(...keys));
  endings.push(() => endpoint.close());
  const events: KeyEvent[] = [];
  const source = jwksKeys({
    uri: new URL(endpoint.url),
    keysMaxAge: 600_000,
    keysMaxStale: 86_400_000,
    clock: new ManualClock(),
    onEvent: (event) => events.push(event),
  });
  endings.push(() => source.close());
  return { keys: source, events };
}

describe('a member of a JWK that is null, an empty list or an empty string', () => {
  const MEMBERS = ['use', 'key_ops', 'alg', 'd', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'x5c', 'x5t', 'x5u'];
  const rows = MEMBERS.flatMap((name) => [null, [], ''].map((empty) => ({ name, empty })));

  test.each(rows)('is absent: $name $empty', async ({ name, empty }) => {
    const jwk = jwkOf(rsa.publicKey, { kid: 'a', [name]: empty });
    const { keys, events } = await served(jwk);
    expect(await outcome(keys, 'a')).toEqual(['a']);
    expect(events).toEqual([]);
    expect(await outcome(staticKeys({ publicKey: jwk }, 'issuer'), 'a')).toEqual(['a']);
  });

  test.each([[null], [[]], ['']])('is absent as kid: %j', async (kid) => {
    const { keys } = await served(jwkOf(rsa.publicKey, { kid }), jwkOf(otherRsa.publicKey, { kid: 'b' }));
    expect(await outcome(keys, undefined)).toEqual([null, 'b']);
    expect(await outcome(keys, 'a')).toBe('key_unknown');
  });

  test('is absent where it is needed', async () => {
    const { events, keys } = await served(jwkOf(rsa.publicKey, { n: '' }), jwkOf(rsa.publicKey, { kid: 'a' }));
    expect(await outcome(keys, 'a')).toEqual(['a']);
    expect(events).toEqual([{ kind: 'skipped', index: 0, kid: undefined, why: 'has no n' }]);
  });

  test.each([
    ['use', [null]],
    ['use', false],
    ['use', 0],
    ['use', {}],
    ['key_ops', ['']],
    ['key_ops', {}],
    ['d', 0],
    ['d', [[]]],
    ['oth', [{}]],
  ])('is not absent if it is something else: %s %j', async (name, value) => {
    const { keys } = await served(jwkOf(rsa.publicKey, { kid: 'bad', [name]: value }), jwkOf(otherRsa.publicKey));
    expect(await outcome(keys, undefined)).toEqual([null]);
  });
});

describe('a key without kid', () => {
  test('serves every token if it is the only key of its set', async () => {
    const { keys } = await served(jwkOf(rsa.publicKey));
    for (const kid of ['a', '', '__proto__', 'k'.repeat(8000), undefined]) {
      expect(await outcome(keys, kid)).toEqual([null]);
    }
    expect(await outcome(keys, 'a', 'HS256')).toBe('algorithm_refused');
  });

  test('serves them over HTTP, and no token of another key', async () => {
    const { keys } = await served(jwkOf(rsa.publicKey));
    const clock = new ManualClock();
    const { verify } = createVerifier({
      issuers: [{ issuer: ISSUER, clockTolerance: 0, keys }],
      clock,
      lifetime: () => null,
    });
    const payload = { iss: ISSUER, sub: 'ann', iat: clock.at / 1000 - 60, exp: clock.at / 1000 + 60 };
    const by = (key: 'rsa' | 'otherRsa') =>
      forge({ alg: 'RS256', key: KEYS[key].privateKey, header: { kid: 'a' }, payload });
    await expect(verify(by('rsa'))).resolves.toMatchObject({ user: { subject: 'ann' } });
    expect(() => verify(by('otherRsa'))).toThrow(expect.objectContaining({ code: 'signature_invalid' }));
  });

  test('does not serve a token with a kid if there are two', async () => {
    const { keys } = await served(jwkOf(rsa.publicKey), jwkOf(otherRsa.publicKey));
    expect(await outcome(keys, 'a')).toBe('key_unknown');
  });

  test('is not the only key of a set that has one with a kid', async () => {
    const { keys } = await served(jwkOf(rsa.publicKey, { kid: 'a' }));
    expect(await outcome(keys, 'b')).toBe('key_unknown');
  });
});

describe('a list of keys in the configuration', () => {
  const secrets = Array.from({ length: 9 }, (_, index) => `${index}`.repeat(32));
  const jwks = secrets.map((_, index) => jwkOf(rsa.publicKey, { kid: `k${index}` }));

  test('has at most eight, all of which are tried', async () => {
    expect(await outcome(staticKeys({ secret: secrets.slice(1) }, 'issuer'), 'any', 'HS256')).toHaveLength(8);
    expect(await outcome(staticKeys({ publicKey: { keys: jwks.slice(1) } }, 'issuer'), undefined)).toHaveLength(8);
  });

  test.each<[string, StaticKeyOptions, string]>([
    ['secrets', { secret: secrets }, 'issuer.secret must have at most 8 keys, got 9'],
    ['public keys', { publicKey: jwks }, 'issuer.publicKey must have at most 8 keys, got 9'],
    ['keys of a set', { publicKey: { keys: jwks } }, 'issuer.publicKey must have at most 8 keys, got 9'],
    [
      'keys of two sets',
      { publicKey: [{ keys: jwks.slice(0, 5) }, { keys: jwks.slice(5) }] },
      'issuer.publicKey must have at most 8 keys, got 9',
    ],
  ])('is refused with nine %s', (_name, options, message) => {
    expect(() => staticKeys(options, 'issuer')).toThrow(
      new TypeError(`${message}: a token may be tried with each of them`),
    );
  });
});

describe('a JWK set as publicKey', () => {
  const bad = [
    null,
    'a',
    {},
    jwkOf(secp256k1.publicKey),
    jwkOf(smallRsa.publicKey),
    jwkOf(otherRsa.publicKey, { use: 'enc' }),
    jwkOf(otherRsa.privateKey),
    { kty: 'oct', k: 'c2VjcmV0' },
  ];

  test('skips what a jwksUri would skip, and says so', async () => {
    const set = [...bad, jwkOf(rsa.publicKey, { kid: 'a' }), jwkOf(p256.publicKey, { kid: 'ec' })];
    const { keys: fetched, events } = await served(...set);
    const skipped: object[] = [];
    const keys = staticKeys({ publicKey: { keys: set } }, 'issuer', (key) => skipped.push(key));
    for (const [kid, alg] of [
      ['a', 'RS256'],
      ['ec', 'ES256'],
      ['b', 'RS256'],
      [undefined, 'ES256'],
    ] as const) {
      expect(await outcome(keys, kid, alg)).toEqual(await outcome(fetched, kid, alg));
    }
    expect(skipped).toHaveLength(bad.length);
    expect(events).toEqual(skipped.map((key) => ({ kind: 'skipped', ...key })));
  });

  test('stands in a list beside other keys', async () => {
    const publicKey = [{ keys: [jwkOf(rsa.publicKey, { kid: 'a' })] }, jwkOf(otherRsa.publicKey, { kid: 'b' })];
    const keys = staticKeys({ publicKey }, 'issuer');
    expect(await outcome(keys, 'a')).toEqual(['a']);
    expect(await outcome(keys, undefined)).toEqual(['a', 'b']);
  });

  test.each<[string, unknown, string]>([
    ['that is empty', { keys: [] }, 'issuer.publicKey is a key set without a usable key: it is empty'],
    [
      'of bad keys alone',
      { keys: bad },
      'issuer.publicKey is a key set without a usable key: keys[0] is not a JWK object',
    ],
    ['whose keys are no list', { keys: {} }, 'issuer.publicKey.keys must be a list of JWKs, got an object'],
    ['whose keys are null', { keys: null }, 'issuer.publicKey.keys must be a list of JWKs, got null'],
    [
      'in a list',
      [jwkOf(rsa.publicKey), { keys: [1] }],
      'issuer.publicKey[1] is a key set without a usable key: keys[0] is not a JWK object',
    ],
  ])('is refused if it is one %s', (_name, publicKey, message) => {
    expect(() => staticKeys({ publicKey } as StaticKeyOptions, 'issuer')).toThrow(new TypeError(message));
  });
});

describe('bare base64 as publicKey', () => {
  const base64 = rsa.publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
  const lines = (base64.match(/.{1,64}/g) ?? []).join('\r\n');

  test.each<[string, string | Buffer]>([
    ['on one line', base64],
    ['on several', `${lines}\n`],
    ['as a file is read', Buffer.from(lines)],
    ['of an EC key', p256.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')],
  ])('is accepted %s', (_name, publicKey) => {
    const alg = publicKey === base64 || publicKey.length > 200 ? 'RS256' : 'ES256';
    expect(staticKeys({ publicKey }, 'issuer').candidates({ kid: 'any', alg })).toHaveLength(1);
  });

  const der = { format: 'der' } as const;
  test.each<[string, string, string]>([
    ['an empty string', '', 'is a string that is neither a PEM nor base64 of a public key (SPKI)'],
    ['a secret', 'jsk_0123456789_0123456789_0123456789_0123456789', 'is a string that is neither a PEM nor'],
    ['a token', 'eyJh.eyJh.c2ln', 'is a string that is neither a PEM nor'],
    ['zeros', 'A'.repeat(300), 'cannot be read as a public key'],
    ['half a key', base64.slice(0, 200), 'cannot be read as a public key'],
    [
      'a private key',
      rsa.privateKey.export({ ...der, type: 'pkcs8' }).toString('base64'),
      'is a private key; use the public key',
    ],
    [
      'an older private key',
      p256.privateKey.export({ ...der, type: 'sec1' }).toString('base64'),
      'is a private key; use the public key',
    ],
    [
      'a small key',
      smallRsa.publicKey.export({ ...der, type: 'spki' }).toString('base64'),
      'is an RSA key of 1024 bits; at least 2048 are needed',
    ],
  ])('is refused if it is %s', (_name, publicKey, message) => {
    expect(() => staticKeys({ publicKey }, 'issuer')).toThrow(`issuer.publicKey ${message}`);
    if (publicKey.length < 100) return;
    expect(() => staticKeys({ publicKey }, 'issuer')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining(publicKey.slice(0, 20)) }),
    );
  });
});

describe('an issuer option', () => {
  const construct = (options: object) => () => {
    const sessions = managedSessions({ issuer: { issuer: ISSUER, ...options }, store: memoryStore() });
    endings.push(() => sessions.close());
  };
  const url = 'https://id.example.com/jwks';
  const words = 'issuer.jwksUri must be an absolute http(s) URL, as a string or a URL, got';

  test('jwksUri may be a URL, which is copied', async () => {
    const endpoint = await createEndpoint(keySet(jwkOf(rsa.publicKey)));
    endings.push(() => endpoint.close());
    const uri = new URL(endpoint.url);
    const keys = jwksKeys({
      uri,
      keysMaxAge: 1000,
      keysMaxStale: 1000,
      clock: new ManualClock(),
      onEvent: () => undefined,
    });
    uri.href = 'http://127.0.0.1:1/';
    expect(await outcome(keys, 'a')).toEqual([null]);
    expect(construct({ jwksUri: new URL(url) })).not.toThrow();
  });

  test.each<[object, string]>([
    [{ jwksUri: null }, `${words} null`],
    [{ jwksUri: '' }, `${words} an empty string`],
    [{ jwksUri: 42 }, `${words} a number`],
    [{ jwksUri: NaN }, `${words} NaN`],
    [{ jwksUri: [url] }, `${words} a list`],
    [{ jwksUri: { href: url } }, `${words} an object`],
    [{ jwksUri: () => url }, `${words} a function`],
    [{ jwksUri: false }, `${words} a boolean`],
    [
      { jwksUri: new URL('https://me:secret@id.example.com/') },
      'issuer.jwksUri must be an absolute http(s) URL without user and password',
    ],
    [
      { jwksUri: new URL('file:///etc/keys') },
      'issuer.jwksUri must be an absolute http(s) URL without user and password',
    ],
    [{ jwksUri: url, discover: null }, 'issuer.discover must be true or false, got null'],
    [
      { jwksUri: url, secret: null },
      'issuer.secret must be a string, a Buffer, a secret KeyObject or a list of them, got null',
    ],
    [
      { jwksUri: url, publicKey: null },
      'issuer.publicKey must be a PEM, base64 of an SPKI, a JWK, a JWK set, a public KeyObject or a list of them, got null',
    ],
  ])('%j is refused by its name', (options, message) => {
    expect(construct(options)).toThrow(new TypeError(message));
  });

  test.each(['https://id.example.com/?tenant=a', 'https://id.example.com/?', 'https://id.example.com/#', 'id', ''])(
    'discover is refused where the issuer is %p',
    (issuer) => {
      expect(construct({ issuer, discover: true })).toThrow(/^issuer\.issuer must be /);
    },
  );

  test('issuer may have a query where nothing is discovered', () => {
    expect(construct({ issuer: 'https://id.example.com/?tenant=a', jwksUri: url })).not.toThrow();
  });

  test('publicKey may be a set in which a key is skipped', () => {
    const publicKey = { keys: [jwkOf(ed25519.publicKey, { use: 'enc' }), jwkOf(rsa.publicKey)] };
    expect(construct({ publicKey })).not.toThrow();
  });
});
