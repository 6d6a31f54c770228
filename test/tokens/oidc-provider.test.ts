/** A real issuer: its discovery, its key set, its tokens, its rotation. */

import { LoginError } from '../../lib/core/errors.js';
import { issuerRules, type IssuerOptions } from '../../lib/tokens/issuer.js';
import type { KeyEvent } from '../../lib/tokens/key-source.js';
import { oidc } from '../../lib/tokens/presets.js';
import { createVerifier, type Verifier } from '../../lib/tokens/verify.js';
import { startOidcProvider, type OidcProvider } from '../support/provider.js';

const API = 'https://api.example.com/orders';
const MINUTE = 60_000;

/** In step with the provider's, until it is moved. */
class MovableClock {
  ahead = 0;
  readonly now = (): number => Date.now() + this.ahead;
}

let provider: OidcProvider;
let issuer: string;
let clock: MovableClock;
let events: KeyEvent[];
const endings: (() => void)[] = [];

beforeAll(async () => {
  provider = await startOidcProvider();
  ({ issuer } = provider);
});

afterAll(() => provider.close());

beforeEach(() => {
  clock = new MovableClock();
  events = [];
});

afterEach(() => endings.splice(0).forEach((end) => end()));

function verifierOf(options: IssuerOptions): Verifier {
  const rules = issuerRules(options, 'issuer', { clock, onKeyEvent: (event) => events.push(event) });
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

it.each([
  ['RS256', API],
  ['ES256', `${API}/ec`],
])('verifies an access token signed with %s, by discovery', async (_alg, audience) => {
  const verifier = verifierOf(oidc({ issuer, audience }));
  const verified = await verifier.verify(await provider.accessToken(audience));
  expect(verified.user).toMatchObject({ issuer, subject: 'orders-job' });
  expect(verified.scopes).toEqual(['orders:read']);
  expect(verified.claims).toMatchObject({ aud: audience, client_id: 'orders-job' });
  expect(events).toEqual([]);
});

it('verifies one by its JWKS endpoint, with the discovery left out', async () => {
  const verifier = verifierOf({ issuer, audience: API, jwksUri: `${issuer}/jwks` });
  const token = await provider.accessToken(API);
  const verified = await verifier.verify(token);
  expect(verifier.verify(token)).toBe(verified);
});

it('refuses one that is meant for another audience', async () => {
  const verifier = verifierOf(oidc({ issuer, audience: 'https://api.example.com/other' }));
  expect(await codeOf(verifier, await provider.accessToken(API))).toBe('audience_refused');
});

it('refuses one whose signature was changed', async () => {
  const verifier = verifierOf(oidc({ issuer, audience: API }));
  const token = await provider.accessToken(API);
  const at = token.length - 20;
  const changed = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
  expect(await codeOf(verifier, changed)).toBe('signature_invalid');
});

it('takes the new keys after a rotation, and refuses the old ones from then on', async () => {
  const verifier = verifierOf(oidc({ issuer, audience: API }));
  const before = await provider.accessToken(API);
  expect(await codeOf(verifier, before)).toBe('good');

  await provider.rotateKeys();
  const after = await provider.accessToken(API);
  expect(await codeOf(verifier, before)).toBe('good');
  expect(await codeOf(verifier, after)).toBe('good');
  expect(await codeOf(verifier, before)).toBe('key_unknown');
});

it('refuses the old key after a rotation that nothing but time tells of', async () => {
  const rules = issuerRules(oidc({ issuer, audience: API }), 'issuer', {
    clock,
    onKeyEvent: (event) => events.push(event),
  });
  endings.push(() => rules.keys.close());
  const verifier = createVerifier({ issuers: [rules], clock, lifetime: () => null });
  const token = await provider.accessToken(API);
  expect(await codeOf(verifier, token)).toBe('good');

  await provider.rotateKeys();
  clock.ahead = 8 * MINUTE;
  expect(await codeOf(verifier, token)).toBe('good');
  while (rules.keys.health().age > MINUTE) await new Promise(setImmediate);
  expect(await codeOf(verifier, token)).toBe('key_unknown');
});
