/**
 * What the tokens of each provider look like, as docs/providers.md says where it was read: their claims, and which of these
 * change when a token is refreshed.
 */

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { Claims, SignIn, TokenShape } from './token-shape.js';

const MINUTE = 60;
const HOUR = 60 * MINUTE;

const RS256 = { alg: 'RS256' } as const;
const RS256_JWT = { alg: 'RS256', typ: 'JWT' } as const;
const HS256_JWT = { alg: 'HS256', typ: 'JWT' } as const;

const API = 'https://api.example.com';
const REALM = 'rl_0vdaUwYHA7L3Fn0JsONgeY';
const TENANT = '11111111-2222-3333-4444-555555555555';

/** As long as a provider's own ids. */
function id(length: number): string {
  return randomBytes(length).toString('hex').slice(0, length);
}

/** The same for each token of a user. */
function uuidOf(user: string): string {
  const digest = createHash('sha256').update(user).digest('hex');
  return digest.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
}

const email = (user: string): string => (user.includes('@') ? user : `${user}@example.com`);
const newJti = (): Claims => ({ jti: randomUUID() });

function cognito({ user, issuer, at }: SignIn): Claims {
  return {
    sub: user,
    'cognito:groups': ['customers'],
    iss: issuer,
    origin_jti: randomUUID(),
    event_id: randomUUID(),
    auth_time: at,
    jti: randomUUID(),
  };
}

function keycloak({ user, issuer, at }: SignIn): Claims {
  return {
    auth_time: at,
    jti: randomUUID(),
    iss: issuer,
    aud: ['shop-api', 'account'],
    sub: user,
    typ: 'Bearer',
    azp: 'shop',
    acr: '1',
    realm_access: { roles: ['offline_access', 'customer'] },
    scope: 'openid email profile',
    preferred_username: user,
    email: email(user),
  };
}

function supabase({ user, issuer, at }: SignIn): Claims {
  return {
    iss: issuer,
    sub: user,
    aud: 'authenticated',
    email: email(user),
    phone: '',
    app_metadata: { provider: 'email', providers: ['email'] },
    user_metadata: {},
    role: 'authenticated',
    aal: 'aal1',
    amr: [{ method: 'password', timestamp: at }],
    session_id: randomUUID(),
    is_anonymous: false,
  };
}

function hydra({ user, issuer, at }: SignIn, sid: string): Claims {
  return {
    aud: [API],
    client_id: '2f7c5a4e-1c55-4b0e-9c0f-0d2f6f2d7d11',
    ext: { sid },
    iss: issuer,
    jti: randomUUID(),
    nbf: at,
    scp: ['openid', 'offline_access'],
    sub: user,
  };
}

const newJtiFrom = (_: Claims, at: number): Claims => ({ ...newJti(), nbf: at });

const entraToken = (): Claims => ({ aio: id(64), rh: id(64), uti: id(22) });

/** Whatever else `fva` says, its first number is how many minutes ago the first factor was verified. */
function minutesSinceSignIn({ fva, iat }: Claims, at: number): number {
  const minutes: unknown = Array.isArray(fva) ? fva[0] : 0;
  return Math.round(Number(minutes) + (at - Number(iat)) / MINUTE);
}

export const TOKEN_SHAPES = {
  authrocket: {
    issuer: 'https://authrocket.com',
    header: RS256_JWT,
    lifetime: 24 * HOUR,
    claims: ({ user, issuer }) => ({
      iss: issuer,
      sub: user,
      sid: `kss_${id(22)}`,
      rid: REALM,
      name: user,
      preferred_username: user,
      email: email(user),
      email_verified: true,
      orgs: [{ oid: 'org_0vdd8TVDpMRyrYqmnNCpRO', mid: 'mb_0vdfTk6tRxBV4F0iHBTYbS', perm: [], name: 'Widgets Inc' }],
    }),
  },
  'authrocket-v1': {
    header: HS256_JWT,
    lifetime: 24 * HOUR,
    claims: ({ user }) => ({
      aud: REALM,
      uid: user,
      tk: `kss_${id(22)}`,
      un: user,
      fn: user,
      m: [{ p: [], oid: 'org_0vdd8TVDpMRyrYqmnNCpRO', o: 'Widgets Inc', cs: {} }],
    }),
  },
  auth0: {
    header: RS256_JWT,
    lifetime: 24 * HOUR,
    claims: ({ user, issuer }) => ({
      iss: issuer,
      sub: `auth0|${user}`,
      aud: [API, `${issuer.replace(/\/$/, '')}/userinfo`],
      azp: 'K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja',
      scope: 'openid profile offline_access',
      ses_id: randomUUID(),
    }),
    changes: () => ({ gty: 'refresh_token' }),
  },
  cognito: {
    header: RS256,
    lifetime: HOUR,
    claims: (signIn) => ({
      ...cognito(signIn),
      version: 2,
      client_id: '1example23456789',
      token_use: 'access',
      scope: 'openid email',
      username: signIn.user,
    }),
    changes: newJti,
  },
  'cognito-id': {
    header: RS256,
    lifetime: HOUR,
    claims: (signIn) => ({
      ...cognito(signIn),
      at_hash: id(22),
      aud: '1example23456789',
      token_use: 'id',
      'cognito:username': signIn.user,
      email: email(signIn.user),
      email_verified: true,
    }),
    changes: () => ({ ...newJti(), at_hash: id(22) }),
  },
  firebase: {
    header: RS256_JWT,
    lifetime: HOUR,
    claims: ({ user, issuer, at }) => ({
      iss: issuer,
      aud: 'my-project',
      auth_time: at,
      user_id: user,
      sub: user,
      email: email(user),
      email_verified: true,
      firebase: { identities: { email: [email(user)] }, sign_in_provider: 'password' },
    }),
  },
  keycloak: {
    header: RS256_JWT,
    lifetime: 5 * MINUTE,
    claims: (signIn) => ({ ...keycloak(signIn), sid: randomUUID() }),
    changes: newJti,
  },
  'keycloak-24': {
    header: RS256_JWT,
    lifetime: 5 * MINUTE,
    claims: (signIn) => {
      const sid = randomUUID();
      return { ...keycloak(signIn), session_state: sid, sid };
    },
    changes: newJti,
  },
  'keycloak-session-state': {
    header: RS256_JWT,
    lifetime: 5 * MINUTE,
    claims: (signIn) => ({ ...keycloak(signIn), session_state: randomUUID() }),
    changes: newJti,
  },
  entra: {
    header: RS256_JWT,
    lifetime: 75 * MINUTE,
    claims: ({ user, issuer, at }) => ({
      aud: '66666666-7777-8888-9999-000000000000',
      iss: issuer,
      nbf: at,
      azp: '77777777-8888-9999-0000-111111111111',
      azpacr: '1',
      name: user,
      oid: uuidOf(user),
      preferred_username: email(user),
      scp: 'orders.read',
      sid: randomUUID(),
      sub: user,
      // In real life, the issuer has the tenant in its name.
      tid: /[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/.exec(issuer)?.[0] ?? TENANT,
      ver: '2.0',
      ...entraToken(),
    }),
    changes: (_, at) => ({ ...entraToken(), nbf: at }),
  },
  okta: {
    header: RS256,
    lifetime: HOUR,
    claims: ({ user, issuer, at }) => ({
      ver: 1,
      jti: `AT.${id(64)}`,
      iss: issuer,
      aud: 'api://default',
      cid: '0oa4dr9kzkykPrLhq0g7',
      uid: user,
      scp: ['openid', 'offline_access'],
      auth_time: at,
      sub: email(user),
    }),
    changes: () => ({ jti: `AT.${id(64)}` }),
  },
  supabase: { header: { alg: 'ES256', typ: 'JWT' }, lifetime: HOUR, claims: supabase },
  'supabase-secret': { header: HS256_JWT, lifetime: HOUR, claims: supabase },
  clerk: {
    header: RS256_JWT,
    lifetime: MINUTE,
    claims: ({ user, issuer, at }) => ({
      azp: 'https://www.example.com',
      fva: [0, -1],
      iss: issuer,
      jti: id(20),
      nbf: at - 10,
      sid: `sess_${id(27)}`,
      sts: 'active',
      sub: user,
      v: 2,
    }),
    changes: (previous, at) => ({ fva: [minutesSinceSignIn(previous, at), -1], jti: id(20), nbf: at - 10 }),
  },
  workos: {
    header: RS256,
    lifetime: 5 * MINUTE,
    claims: ({ user, issuer }) => ({
      iss: issuer,
      sub: user,
      org_id: 'org_01HRDMC6CM357W30QMHMQ96Q0S',
      role: 'member',
      permissions: ['posts:read'],
      sid: `session_${id(26)}`,
      jti: id(26),
    }),
    changes: () => ({ jti: id(26) }),
  },
  hydra: {
    header: RS256_JWT,
    lifetime: HOUR,
    claims: (signIn) => {
      const sid = randomUUID();
      return { ...hydra(signIn, sid), sid };
    },
    changes: newJtiFrom,
  },
  'hydra-ext': {
    header: RS256_JWT,
    lifetime: HOUR,
    claims: (signIn) => hydra(signIn, randomUUID()),
    changes: newJtiFrom,
  },
  zitadel: {
    header: RS256,
    lifetime: 12 * HOUR,
    claims: ({ user, issuer, at }) => ({
      iss: issuer,
      sub: user,
      aud: ['69234237810729234', '69234237810729019'],
      nbf: at,
      jti: `V2_${id(18)}-at_${id(18)}`,
      client_id: '69234237810729234',
    }),
    changes: ({ jti }, at) => ({ jti: `${String(jti).split('-at_')[0]}-at_${id(18)}`, nbf: at }),
  },
  'better-auth': {
    header: { alg: 'EdDSA' },
    lifetime: 15 * MINUTE,
    claims: ({ user, issuer }) => ({
      name: user,
      email: email(user),
      sid: id(32),
      sub: user,
      iss: issuer,
      aud: issuer,
    }),
  },
} as const satisfies Readonly<Record<string, TokenShape>>;

/** A provider whose tokens the test issuer can imitate. A suffix names another form of its tokens: see docs/providers.md. */
export type TestProvider = keyof typeof TOKEN_SHAPES;

export const TEST_PROVIDERS = Object.keys(TOKEN_SHAPES) as readonly TestProvider[];
