/** EdDSA on Ed25519, under both of its names: RFC 8037, RFC 8032 and RFC 9864. */

import { createPrivateKey, createPublicKey, createSecretKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { isSignedBy } from '../../lib/tokens/signature.js';
import { issuerRules, type IssuerOptions } from '../../lib/tokens/issuer.js';
import type { KeyEvent } from '../../lib/tokens/key-source.js';
import type { PublicKey } from '../../lib/tokens/static-keys.js';
import { createVerifier, type Verifier } from '../../lib/tokens/verify.js';
import { createTestIssuer } from '../../lib/testing/issuer.js';
import { createEndpoint, jwkOf, keySet, KEYS, ManualClock } from '../support/issuer.js';
import { encode, forge, resigned } from './forge.js';

const { ed25519, rsa, p256, x25519 } = KEYS;
const other = generateKeyPairSync('ed25519');
const ed448 = generateKeyPairSync('ed448');
const clock = new ManualClock();
const ISSUER = 'https://id.example.com/';
const payload = {
  iss: ISSUER,
  sub: 'ann',
  sid: 's',
  aud: 'shop',
  iat: clock.now() / 1000 - 60,
  exp: clock.now() / 1000 + 60,
};
const names = ['EdDSA', 'Ed25519'] as const;

function verifierBy(options: Omit<IssuerOptions, 'issuer'>, events: KeyEvent[] = []): Verifier {
  const surroundings = { clock, onKeyEvent: (event: KeyEvent): void => void events.push(event) };
  const issuers = [issuerRules({ issuer: ISSUER, ...options }, 'issuer', surroundings)];
  return createVerifier({ issuers, clock, lifetime: () => null });
}

/** The subject, or the code of the refusal. */
async function outcome(verifier: Verifier, token: string): Promise<string> {
  try {
    const { user } = await verifier.verify(token);
    return user.subject;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

const ed = (changes: Partial<Parameters<typeof forge>[0]> = {}): string =>
  forge({ alg: 'EdDSA', key: ed25519.privateKey, payload, ...changes });

describe('RFC 8037, appendix A', () => {
  const d = 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A';
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' };
  const signingInput = 'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc';
  const signature = 'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg';
  const key = createPublicKey({ key: jwk, format: 'jwk' });

  test('A.4 and A.5: its signature is right, under both names', () => {
    for (const alg of names) {
      expect(isSignedBy({ text: `${signingInput}.${signature}`, signingInput, alg }, key)).toBe(true);
    }
  });

  test('its signature over another message is wrong', () => {
    const changed = `${signingInput.slice(0, -1)}w`;
    expect(isSignedBy({ text: `${changed}.${signature}`, signingInput: changed, alg: 'EdDSA' }, key)).toBe(false);
  });

  test('A.1 and A.2: claims that are signed with its key pass', async () => {
    const token = ed({ key: createPrivateKey({ key: { ...jwk, d }, format: 'jwk' }) });
    expect(await outcome(verifierBy({ publicKey: jwk }), token)).toBe('ann');
  });
});

describe('as a public key', () => {
  const pem = String(ed25519.publicKey.export({ type: 'spki', format: 'pem' }));
  const jwk = jwkOf(ed25519.publicKey);
  test.each<[string, PublicKey | readonly PublicKey[]]>([
    ['a PEM', pem],
    ['the bytes of a PEM', Buffer.from(pem)],
    ['a JWK', jwk],
    ['a JWK for signatures', { ...jwk, use: 'sig', key_ops: ['verify'] }],
    ['a KeyObject', ed25519.publicKey],
    ['one of a list, beside RSA and EC', [rsa.publicKey, p256.publicKey, other.publicKey, ed25519.publicKey]],
  ])('%s verifies, under both names', async (_, publicKey) => {
    const verifier = verifierBy({ publicKey });
    for (const alg of names) expect(await outcome(verifier, ed({ alg }))).toBe('ann');
  });

  test.each<[string, Omit<IssuerOptions, 'issuer'>, (typeof names)[number], string]>([
    ['the JWK’s own alg', { publicKey: { ...jwk, alg: 'EdDSA' } }, 'EdDSA', 'ann'],
    ['the JWK’s own alg, not its other name', { publicKey: { ...jwk, alg: 'EdDSA' } }, 'Ed25519', 'algorithm_refused'],
    ['the JWK’s own alg, by its new name', { publicKey: { ...jwk, alg: 'Ed25519' } }, 'Ed25519', 'ann'],
    ['the option algorithms', { publicKey: jwk, algorithms: ['Ed25519'] }, 'Ed25519', 'ann'],
    [
      'the option algorithms, not its other name',
      { publicKey: jwk, algorithms: ['Ed25519'] },
      'EdDSA',
      'algorithm_refused',
    ],
  ])('%s is binding', async (_, options, alg, result) => {
    expect(await outcome(verifierBy(options), ed({ alg }))).toBe(result);
  });

  const raw = (hex: string): Record<string, unknown> => ({ ...jwk, x: Buffer.from(hex, 'hex').toString('base64url') });
  const zeros = '00'.repeat(30);
  const smallOrder = 'issuer.publicKey is an Ed25519 key of small order';
  test.each<[string, unknown, string]>([
    ['X25519', x25519.publicKey, 'issuer.publicKey is neither an RSA, nor an EC, nor an Ed25519 key'],
    ['Ed448', ed448.publicKey, 'issuer.publicKey is neither an RSA, nor an EC, nor an Ed25519 key'],
    ['X25519 as a JWK', jwkOf(x25519.publicKey), 'issuer.publicKey is on a curve (crv) other than Ed25519'],
    ['Ed448 as a JWK', jwkOf(ed448.publicKey), 'issuer.publicKey is on a curve (crv) other than Ed25519'],
    ['a curve __proto__', { ...jwk, crv: '__proto__' }, 'issuer.publicKey is on a curve (crv) other than Ed25519'],
    ['no curve', { ...jwk, crv: undefined }, 'issuer.publicKey has no crv'],
    ['no x', { ...jwk, x: undefined }, 'issuer.publicKey has no x'],
    ['an x that is a number', { ...jwk, x: 7 }, 'issuer.publicKey has a x that is not a string'],
    ['an empty x', { ...jwk, x: '' }, 'issuer.publicKey has no x'],
    ['an x that is too short', raw('aa'.repeat(31)), 'issuer.publicKey cannot be read as a public key'],
    ['an x that is too long', raw('aa'.repeat(33)), 'issuer.publicKey cannot be read as a public key'],
    ['use: enc', { ...jwk, use: 'enc' }, 'issuer.publicKey is not for signatures (use)'],
    ['key_ops without verify', { ...jwk, key_ops: ['sign'] }, 'issuer.publicKey is not for verifying (key_ops)'],
    ['a private JWK', jwkOf(ed25519.privateKey), 'issuer.publicKey is a private key; use the public key'],
    ['a private KeyObject', ed25519.privateKey, 'issuer.publicKey is a private key; use the public key'],
    [
      'alg: RS256',
      { ...jwk, alg: 'RS256' },
      'issuer.publicKey declares an algorithm (alg) that its type cannot be used with',
    ],
    [
      'alg: HS256',
      { ...jwk, alg: 'HS256' },
      'issuer.publicKey declares an algorithm (alg) that its type cannot be used with',
    ],
    ['the point of order 1', raw(`0100${zeros}`), smallOrder],
    ['the point of order 1, with the other sign', raw(`01${'00'.repeat(30)}80`), smallOrder],
    ['the point of order 2', raw(`ec${'ff'.repeat(30)}7f`), smallOrder],
    ['a point of order 4', raw(`0000${zeros}`), smallOrder],
    ['a point of order 8', raw('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'), smallOrder],
    ['another point of order 8', raw('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa'), smallOrder],
  ])('%s is a mistake at construction', (_, publicKey, message) => {
    expect(() => verifierBy({ publicKey: publicKey as PublicKey })).toThrow(new TypeError(message));
  });
});

describe('refused', () => {
  const verifier = verifierBy({ publicKey: jwkOf(ed25519.publicKey) });
  /** The order of the group: S and S + L would be two spellings of one signature. */
  const L = 2n ** 252n + 27742317777372353535851937790883648493n;
  const unreduced = (signature: Buffer): Buffer => {
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + L;
    return Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()]);
  };
  const flipped = (signature: Buffer, at: number): Buffer => {
    const changed = Buffer.from(signature);
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
    return changed;
  };

  test.each<[string, string, string]>([
    ['another key', ed({ key: other.privateKey }), 'signature_invalid'],
    ['a signature cut by one byte', resigned(ed(), (bytes) => bytes.subarray(0, 63)), 'signature_invalid'],
    ['half a signature', resigned(ed(), (bytes) => bytes.subarray(0, 32)), 'signature_invalid'],
    ['one byte', resigned(ed(), (bytes) => bytes.subarray(0, 1)), 'signature_invalid'],
    ['one byte more', resigned(ed(), (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])), 'signature_invalid'],
    ['the signature twice', resigned(ed(), (bytes) => Buffer.concat([bytes, bytes])), 'signature_invalid'],
    ['no signature', resigned(ed(), () => Buffer.alloc(0)), 'token_malformed'],
    ['zeros', resigned(ed(), () => Buffer.alloc(64)), 'signature_invalid'],
    ['a changed bit of R', resigned(ed(), (bytes) => flipped(bytes, 0)), 'signature_invalid'],
    ['a changed bit of S', resigned(ed(), (bytes) => flipped(bytes, 32)), 'signature_invalid'],
    ['an S that is not reduced', resigned(ed(), unreduced), 'signature_invalid'],
    [
      'the identity as R, and 0 as S',
      resigned(ed(), () => Buffer.concat([Buffer.from([1]), Buffer.alloc(63)])),
      'signature_invalid',
    ],
    [
      'a signature over another name of the algorithm',
      ed({ alg: 'Ed25519' }).replace(/^[^.]+/, encode({ alg: 'EdDSA' })),
      'signature_invalid',
    ],
    ['the name in lower case', ed({ header: { alg: 'eddsa' } }), 'algorithm_refused'],
    ['Ed448', ed({ header: { alg: 'Ed448' } }), 'algorithm_refused'],
    ['RS256 in the header', ed({ header: { alg: 'RS256' } }), 'algorithm_refused'],
    ['ES256 in the header', ed({ header: { alg: 'ES256' } }), 'algorithm_refused'],
    ['none in the header', ed({ header: { alg: 'none' } }), 'algorithm_refused'],
    ['RS256 with an RSA key of its own', ed({ alg: 'RS256', key: rsa.privateKey }), 'algorithm_refused'],
    [
      'a key that it brings',
      ed({ key: other.privateKey, header: { jwk: jwkOf(other.publicKey) } }),
      'signature_invalid',
    ],
    ['crit', ed({ header: { crit: ['exp'] } }), 'token_malformed'],
    ['a logout token', ed({ header: { typ: 'logout+jwt' } }), 'type_refused'],
    ['no subject', ed({ payload: { ...payload, sub: '' } }), 'claim_invalid'],
    ['an expired token', ed({ payload: { ...payload, exp: 1 } }), 'token_expired'],
    ['a bound token', ed({ payload: { ...payload, cnf: {} } }), 'proof_required'],
    ['another issuer', ed({ payload: { ...payload, iss: 'https://evil.example.com/' } }), 'issuer_refused'],
  ])('%s', async (_, token, code) => {
    expect(await outcome(verifier, token)).toBe(code);
  });

  test('the token of a good signature passes, and an audience is checked', async () => {
    expect(await outcome(verifier, ed())).toBe('ann');
    const strict = verifierBy({ publicKey: jwkOf(ed25519.publicKey), audience: 'other' });
    expect(await outcome(strict, ed())).toBe('audience_refused');
  });

  const bytes: Readonly<Record<string, string | Buffer>> = {
    'the bytes of x': Buffer.from(String(jwkOf(ed25519.publicKey)['x']), 'base64url'),
    'the text of x': String(jwkOf(ed25519.publicKey)['x']),
    PEM: ed25519.publicKey.export({ type: 'spki', format: 'pem' }),
    DER: ed25519.publicKey.export({ type: 'spki', format: 'der' }),
    'the JWK': JSON.stringify(jwkOf(ed25519.publicKey)),
  };
  test.each(Object.entries(bytes))('HS256 with the public key as the secret: %s', async (_, secret) => {
    const token = ed({ alg: 'HS256', key: createSecretKey(Buffer.from(secret)) });
    expect(await outcome(verifier, token)).toBe('algorithm_refused');
  });

  test.each<[string, KeyObject]>([
    ['RSA', rsa.publicKey],
    ['EC', p256.publicKey],
  ])('EdDSA where the issuer has an %s key', async (_, publicKey) => {
    for (const alg of names) {
      expect(await outcome(verifierBy({ publicKey }), ed({ alg }))).toBe('algorithm_refused');
    }
  });

  test('a signature of RSA or ECDSA under the name EdDSA, also if a key source says that the key may be used so', () => {
    for (const { privateKey, publicKey } of [rsa, p256]) {
      const token = forge({
        alg: privateKey === rsa.privateKey ? 'RS256' : 'ES256',
        key: privateKey,
        header: { alg: 'EdDSA' },
        payload,
      });
      const signingInput = token.slice(0, token.lastIndexOf('.'));
      for (const alg of names) expect(isSignedBy({ text: token, signingInput, alg }, publicKey)).toBe(false);
    }
    const token = ed({ header: { alg: 'RS256' } });
    const signingInput = token.slice(0, token.lastIndexOf('.'));
    expect(isSignedBy({ text: token, signingInput, alg: 'RS256' }, ed25519.publicKey)).toBe(false);
  });
});

describe('by a key set', () => {
  test('finds the key, and skips those that cannot be used', async () => {
    const skipped = [
      jwkOf(x25519.publicKey, { kid: 'x25519' }),
      jwkOf(ed448.publicKey, { kid: 'ed448' }),
      jwkOf(other.publicKey, { kid: 'enc', use: 'enc' }),
      jwkOf(ed25519.publicKey, { kid: 'short', x: 'AAAA' }),
      jwkOf(ed25519.publicKey, { kid: 'weak', x: 'A'.repeat(43) }),
    ];
    const endpoint = await createEndpoint(
      keySet(...skipped, jwkOf(ed25519.publicKey, { kid: 'good', alg: 'EdDSA', use: 'sig' })),
    );
    const events: KeyEvent[] = [];
    const verifier = verifierBy({ jwksUri: endpoint.url }, events);
    expect(await outcome(verifier, ed({ header: { kid: 'good' } }))).toBe('ann');
    expect(await outcome(verifier, ed({ header: { kid: 'enc' }, key: other.privateKey }))).toBe('key_unknown');
    expect(await outcome(verifier, ed({ header: { kid: 'good' }, key: other.privateKey }))).toBe('signature_invalid');
    expect(events).toEqual(
      [
        ['x25519', 'is on a curve (crv) other than Ed25519'],
        ['ed448', 'is on a curve (crv) other than Ed25519'],
        ['enc', 'is not for signatures (use)'],
        ['short', 'cannot be read as a public key'],
        ['weak', 'is an Ed25519 key of small order'],
      ].map(([kid, why], index) => ({ kind: 'skipped', index, kid, why })),
    );
    await endpoint.close();
  });

  test('the test issuer issues such tokens, beside others', async () => {
    const issuer = await createTestIssuer({ clock, issuer: ISSUER, algorithms: ['EdDSA', 'Ed25519', 'ES256'] });
    const verifier = verifierBy({ jwksUri: issuer.jwksUri });
    expect(issuer.issue().split('.')[0]).toBe(issuer.issue({}, { alg: 'EdDSA' }).split('.')[0]);
    for (const alg of ['EdDSA', 'Ed25519', 'ES256'] as const) {
      expect(await outcome(verifier, issuer.issue({}, { alg }))).toBe('user-1');
    }
    expect(
      await outcome(
        verifier,
        resigned(issuer.issue(), (bytes) => bytes.reverse()),
      ),
    ).toBe('signature_invalid');
    await issuer.close();
  });
});
