import { LoginError } from '../../lib/core/errors.js';
import { createTestIssuer, type TestIssuer, type TestIssuerOptions } from '../../lib/testing/issuer.js';
import { issuerRules } from '../../lib/tokens/issuer.js';
import { oidc } from '../../lib/tokens/presets.js';
import { createVerifier, type Verifier } from '../../lib/tokens/verify.js';
import { ManualClock } from '../support/issuer.js';

const clock = new ManualClock();
const endings: (() => unknown)[] = [];

afterEach(async () => {
  await Promise.all(endings.splice(0).map((end) => end()));
});

async function start(options: TestIssuerOptions = {}): Promise<TestIssuer> {
  const issuer = await createTestIssuer({ clock, ...options });
  endings.push(() => issuer.close());
  return issuer;
}

function verifierOf({ issuer, jwksUri }: TestIssuer): Verifier {
  const rules = issuerRules({ issuer, jwksUri }, 'issuer', { clock, onKeyEvent: () => {} });
  endings.push(() => rules.keys.close());
  return createVerifier({ issuers: [rules], clock, lifetime: () => null });
}

async function codeOf(verifier: Verifier, token: string): Promise<string> {
  try {
    await verifier.verify(token);
    return 'good';
  } catch (error) {
    if (error instanceof LoginError) return error.code;
    throw error;
  }
}

it('issues tokens that are good, each a session of its own', async () => {
  const issuer = await start();
  const verifier = verifierOf(issuer);
  const first = await verifier.verify(issuer.issue());
  const second = await verifier.verify(issuer.issue({ sub: 'user-2', name: 'Jane', scope: 'orders:read' }));
  expect(first.user).toMatchObject({ issuer: issuer.issuer, subject: 'user-1' });
  expect(first.times).toEqual({
    beganAt: clock.at,
    expiresAt: clock.at + 3_600_000,
    issuedAt: clock.at,
    lifetime: null,
    sessionEndsAt: null,
  });
  expect(second).toMatchObject({ user: { subject: 'user-2' }, profile: { name: 'Jane' }, scopes: ['orders:read'] });
  expect(second.handle).not.toBe(first.handle);
  expect(issuer.requests).toBe(1);
});

it('takes claims and header parameters away', async () => {
  const issuer = await start();
  const verifier = verifierOf(issuer);
  expect(await codeOf(verifier, issuer.issue({ exp: undefined }))).toBe('claim_invalid');
  expect(await codeOf(verifier, issuer.issue({}, { header: { typ: 'dpop+jwt' } }))).toBe('type_refused');
  expect(await codeOf(verifier, issuer.issue({}, { header: { kid: undefined } }))).toBe('good');
  expect(await codeOf(verifier, issuer.issue({}, { kid: 'unknown' }))).toBe('key_unknown');
});

it.each(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'] as const)(
  'signs with %s',
  async (alg) => {
    const issuer = await start({ algorithms: [alg] });
    expect(await codeOf(verifierOf(issuer), issuer.issue({}, { alg }))).toBe('good');
  },
);

it('says which algorithm it has no key for', async () => {
  const issuer = await start({ algorithms: ['ES256'] });
  expect(() => issuer.issue({}, { alg: 'RS256' })).toThrow(
    'This issuer has no key for RS256: name it in createTestIssuer({ algorithms })',
  );
});

it('rotates its keys, with the old ones kept or not', async () => {
  const issuer = await start({ algorithms: ['ES256'] });
  const before = issuer.issue();
  await issuer.rotateKeys({ keepOld: true });
  const between = issuer.issue();
  expect(await codeOf(verifierOf(issuer), before)).toBe('good');
  expect(await codeOf(verifierOf(issuer), between)).toBe('good');
  await issuer.rotateKeys();
  const verifier = verifierOf(issuer);
  expect(await codeOf(verifier, before)).toBe('key_unknown');
  expect(await codeOf(verifier, between)).toBe('key_unknown');
  expect(await codeOf(verifier, issuer.issue())).toBe('good');
});

it('goes down and up, and counts what it was asked', async () => {
  const issuer = await start({ algorithms: ['ES256'] });
  const verifier = verifierOf(issuer);
  issuer.keysDown();
  expect(await codeOf(verifier, issuer.issue())).toBe('keys_unavailable');
  issuer.keysUp();
  clock.advance(1_000);
  expect(await codeOf(verifier, issuer.issue())).toBe('good');
  expect(issuer.requests).toBe(2);
});

it('is found by discovery, and answers nothing else', async () => {
  const issuer = await start({ algorithms: ['ES256'] });
  const rules = issuerRules(oidc({ issuer: issuer.issuer, audience: false }), 'issuer', {
    clock,
    onKeyEvent: () => {},
  });
  endings.push(() => rules.keys.close());
  const verifier = createVerifier({ issuers: [rules], clock, lifetime: () => null });
  expect(await codeOf(verifier, issuer.issue())).toBe('good');
  expect((await fetch(`${issuer.issuer}/elsewhere`)).status).toBe(404);
});

it('goes by any name, and by the real clock where none is given', async () => {
  const issuer = await createTestIssuer({ issuer: 'https://id.example.com/', algorithms: ['ES256'] });
  endings.push(() => issuer.close());
  const rules = issuerRules({ issuer: 'https://id.example.com/', jwksUri: issuer.jwksUri }, 'issuer', {
    clock: Date,
    onKeyEvent: () => {},
  });
  endings.push(() => rules.keys.close());
  const verifier = createVerifier({ issuers: [rules], clock: Date, lifetime: () => null });
  expect(await codeOf(verifier, issuer.issue())).toBe('good');
});
