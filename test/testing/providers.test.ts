/** Issuers that imitate a provider: what their tokens have in common with it, and what becomes of them at a refresh. */

import { authRocket, authRocketV1, managedSessions, oidc, type IssuerOptions } from '../../lib/index.js';
import { createTestClock, createTestIssuer, type TestIssuer, type TestProvider } from '../../lib/testing/index.js';
import { TEST_PROVIDERS } from '../../lib/testing/provider-tokens.js';

type Part = Readonly<Record<string, unknown>>;

function parts(token: string): { header: Part; claims: Part } {
  const [header, claims] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString());
  return { header: JSON.parse(header ?? ''), claims: JSON.parse(claims ?? '') };
}

/** What an application says of the provider besides its issuer and keys, as in docs/providers.md. */
const SETTINGS: Partial<Record<TestProvider, Partial<IssuerOptions>>> = {
  auth0: { audience: 'https://api.example.com', session: 'ses_id' },
  cognito: { claims: { client_id: '1example23456789', token_use: 'access' } },
  'cognito-id': { audience: '1example23456789', claims: { token_use: 'id' } },
  firebase: { audience: 'my-project', session: 'auth_time', began: 'auth_time' },
  keycloak: { audience: 'shop-api' },
  entra: { audience: '66666666-7777-8888-9999-000000000000' },
  okta: { audience: 'api://default', session: 'auth_time', subject: 'uid' },
  supabase: { audience: 'authenticated' },
  clerk: { claims: { azp: 'https://www.example.com' } },
  'hydra-ext': { session: ({ ext }) => (ext as { sid: string }).sid },
  zitadel: { session: ({ jti }) => String(jti).split('-at_')[0] },
};

function optionsFor(like: TestProvider, { issuer, url, jwksUri, secret }: TestIssuer): IssuerOptions {
  if (like === 'authrocket') return authRocket({ loginRocketUrl: url, realm: 'rl_0vdaUwYHA7L3Fn0JsONgeY' });
  if (like === 'authrocket-v1') return authRocketV1({ secret: secret ?? '', realm: 'rl_0vdaUwYHA7L3Fn0JsONgeY' });
  return { issuer, ...(secret === null ? { jwksUri } : { secret }), ...SETTINGS[like] };
}

test.each(TEST_PROVIDERS)(
  'like %s: refreshed tokens continue the session, another sign-in is another',
  async (like) => {
    const clock = createTestClock();
    const issuer = await createTestIssuer({ like, clock });
    const sessions = managedSessions({ issuer: optionsFor(like, issuer), clock });
    try {
      const first = issuer.issue({ sub: 'ada', uid: 'ada' });
      const handles = [(await sessions.verify(first)).session.handle];
      clock.advance('50s');
      const second = issuer.refresh(first);
      clock.advance('50s');
      const third = issuer.refresh(second);
      for (const token of [second, third]) handles.push((await sessions.verify(token)).session.handle);
      expect(new Set(handles).size).toBe(1);
      const other = await sessions.verify(issuer.issue({ sub: 'ada', uid: 'ada' }));
      expect(handles).not.toContain(other.session.handle);

      const { iat, exp } = parts(third).claims;
      expect([iat, Number(exp) - Number(iat)]).toEqual([
        Math.floor(clock.now() / 1000),
        Number(parts(first).claims['exp']) - Number(parts(first).claims['iat']),
      ]);
    } finally {
      await Promise.all([sessions.close(), issuer.close()]);
    }
  },
);

test('like Cognito: the header, the claims that stay, the claims that change', async () => {
  const issuer = await createTestIssuer({ like: 'cognito' });
  const first = issuer.issue({ sub: 'ada', 'cognito:groups': ['staff'] });
  const refreshed = issuer.refresh(first);
  expect(parts(first).header).toEqual({ alg: 'RS256', kid: expect.any(String) });
  const { jti, iat, exp, ...stays } = parts(refreshed).claims;
  expect(parts(first).claims).toEqual({
    ...stays,
    jti: expect.any(String),
    iat: expect.any(Number),
    exp: expect.any(Number),
  });
  expect(stays).toMatchObject({ sub: 'ada', username: 'ada', 'cognito:groups': ['staff'], token_use: 'access' });
  expect(jti).not.toBe(parts(first).claims['jti']);
  expect([typeof iat, typeof exp]).toEqual(['number', 'number']);

  // A role is taken away, and a claim that was removed stays away.
  expect(parts(issuer.refresh(first, { 'cognito:groups': [] })).claims['cognito:groups']).toEqual([]);
  const bare = issuer.issue({ jti: undefined, origin_jti: undefined, exp: undefined });
  expect(Object.keys(parts(issuer.refresh(bare)).claims)).toEqual(
    expect.not.arrayContaining(['jti', 'origin_jti', 'exp']),
  );
  await issuer.close();
});

test('like Auth0: a refreshed token says that it is one', async () => {
  const issuer = await createTestIssuer({ like: 'auth0', issuer: 'https://my-tenant.eu.auth0.com/' });
  const first = issuer.issue();
  expect(parts(first).claims).toMatchObject({
    iss: 'https://my-tenant.eu.auth0.com/',
    sub: 'auth0|user-1',
    aud: ['https://api.example.com', 'https://my-tenant.eu.auth0.com/userinfo'],
  });
  expect([parts(first).claims['gty'], parts(issuer.refresh(first)).claims['gty']]).toEqual([
    undefined,
    'refresh_token',
  ]);
  await issuer.close();
});

test('like no provider: sid stays, and a new key signs the refreshed token', async () => {
  const issuer = await createTestIssuer({ algorithms: ['ES256'] });
  const sessions = managedSessions({ issuer: oidc({ issuer: issuer.issuer, audience: false }) });
  const first = issuer.issue({ role: 'admin' });
  await issuer.rotateKeys();
  const refreshed = issuer.refresh(first, { role: undefined });
  const { sid, role } = parts(refreshed).claims;
  expect([sid, role]).toEqual([parts(first).claims['sid'], undefined]);
  await expect(sessions.verify(refreshed)).resolves.toMatchObject({ user: { id: 'user-1' } });
  await expect(sessions.verify(first)).rejects.toMatchObject({ code: 'key_unknown' });
  await Promise.all([sessions.close(), issuer.close()]);
});

test('a secret is made anew with the keys, and is not published', async () => {
  const issuer = await createTestIssuer({ like: 'supabase-secret' });
  const { secret } = issuer;
  expect(secret).toMatch(/^[\w-]{43}$/);
  await issuer.rotateKeys();
  expect(issuer.secret).not.toBe(secret);
  expect(await (await fetch(issuer.jwksUri)).json()).toEqual({ keys: [] });
  await issuer.close();
});

test.each([
  ['auth', 'like must be the name of a provider: did you mean auth0?'],
  ['cognitto', 'like must be the name of a provider: did you mean cognito?'],
  ['__proto__', 'like must be the name of a provider: use one of authrocket, '],
  ['', 'like must be the name of a provider: '],
  [null, 'like must be the name of a provider, got null'],
  [['cognito'], 'like must be the name of a provider, got a list'],
])('like %j is refused', async (like, message) => {
  await expect(createTestIssuer({ like: like as never })).rejects.toThrow(message);
});

test.each([[''], ['a.b.c'], ['x'], [undefined], ['a.bnVsbA.c'], [{}]])(
  'refresh(%j) says what it takes',
  async (token) => {
    const issuer = await createTestIssuer({ algorithms: ['HS256'] });
    expect(() => issuer.refresh(token as string)).toThrow(TypeError);
    await issuer.close();
  },
);
