/**
 * What the tokens of each provider look like, as docs/providers.md says where it was read: which claims stay the same while
 * the tokens of one sign-in are refreshed, and which change.
 */

import { createHash } from 'node:crypto';

export type Claims = Readonly<Record<string, unknown>>;

export interface SignIn {
  readonly user: string;
  /** No two sign-ins of a shape have the same one. */
  readonly number: number;
  /** In seconds since 1970. */
  readonly at: number;
}

/** One token of a sign-in: the first, or a refreshed one. */
export interface Issue {
  /** 0 for the first token. */
  readonly refresh: number;
  /** In seconds since 1970. */
  readonly at: number;
  /** When it expires. */
  readonly until: number;
}

export interface Shape {
  /** As the page names it in front of the configuration for it: `<!-- shapes: clerk -->`. */
  readonly name: string;
  readonly header: { readonly alg: 'RS256' | 'ES256' | 'EdDSA' | 'HS256'; readonly typ?: string };
  /** Where the provider publishes its keys; or the variable in which the page's configuration looks for the secret. */
  readonly keys: { readonly at: string } | { readonly secret: string };
  /** How long a token lasts, in seconds. */
  readonly lifetime: number;
  claims(signIn: SignIn, issue: Issue): Claims;
}

/** A value that is new in each token, or in each sign-in if the issue is left out. */
function unique(what: string, { user, number }: SignIn, issue?: Issue): string {
  return createHash('sha256')
    .update(JSON.stringify([what, user, number, issue?.refresh]))
    .digest('hex');
}

function uuid(what: string, signIn: SignIn, issue?: Issue): string {
  return unique(what, signIn, issue).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
}

const discovery = (issuer: string): { at: string } => ({
  at: `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`,
});

const MINUTE = 60;
const HOUR = 60 * MINUTE;

const JWT = { alg: 'RS256', typ: 'JWT' } as const;

const REALM = 'rl_0vdaUwYHA7L3Fn0JsONgeY';
const COGNITO = 'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab12Cd34E';
const KEYCLOAK = 'https://id.example.com/realms/shop';
const ENTRA = 'https://login.microsoftonline.com';
const OKTA = 'https://my-org.okta.com/oauth2/default';
const SUPABASE = 'https://abcdefghijklmnopqrst.supabase.co/auth/v1';
const CLERK = 'https://clerk.example.com';
const WORKOS_CLIENT = 'client_01HBEQ8GRDCQVJ4VZHQ8MGVQ4T';
const HYDRA = 'https://id.example.com/';
const API = 'https://api.example.com';
const ZITADEL = 'https://my-instance.zitadel.cloud';
const BETTER_AUTH = 'https://www.example.com';

function cognito(signIn: SignIn, issue: Issue): Claims {
  return {
    sub: signIn.user,
    'cognito:groups': ['customers'],
    iss: COGNITO,
    origin_jti: uuid('origin_jti', signIn),
    event_id: uuid('event', signIn),
    auth_time: signIn.at,
    iat: issue.at,
    exp: issue.until,
    jti: uuid('jti', signIn, issue),
  };
}

function keycloak(signIn: SignIn, issue: Issue): Claims {
  return {
    exp: issue.until,
    iat: issue.at,
    auth_time: signIn.at,
    jti: uuid('jti', signIn, issue),
    iss: KEYCLOAK,
    aud: ['shop-api', 'account'],
    sub: signIn.user,
    typ: 'Bearer',
    azp: 'shop',
    acr: '1',
    realm_access: { roles: ['offline_access', 'customer'] },
    scope: 'openid email profile',
    preferred_username: signIn.user,
    email: `${signIn.user}@example.com`,
  };
}

function entra(tenant: string, signIn: SignIn, issue: Issue): Claims {
  return {
    aud: '66666666-7777-8888-9999-000000000000',
    iss: `${ENTRA}/${tenant}/v2.0`,
    iat: issue.at,
    nbf: issue.at,
    exp: issue.until,
    aio: unique('aio', signIn, issue),
    azp: '77777777-8888-9999-0000-111111111111',
    azpacr: '1',
    name: signIn.user,
    oid: uuid('oid', { ...signIn, number: 0 }),
    preferred_username: `${signIn.user}@example.com`,
    rh: unique('rh', signIn, issue),
    scp: 'orders.read',
    sid: uuid('sid', signIn),
    sub: signIn.user,
    tid: tenant,
    uti: unique('uti', signIn, issue).slice(0, 22),
    ver: '2.0',
  };
}

function supabase(signIn: SignIn, issue: Issue): Claims {
  return {
    iss: SUPABASE,
    sub: signIn.user,
    aud: 'authenticated',
    exp: issue.until,
    iat: issue.at,
    email: `${signIn.user}@example.com`,
    phone: '',
    app_metadata: { provider: 'email', providers: ['email'] },
    user_metadata: {},
    role: 'authenticated',
    aal: 'aal1',
    amr: [{ method: 'password', timestamp: signIn.at }],
    session_id: uuid('session', signIn),
    is_anonymous: false,
  };
}

function hydra(signIn: SignIn, issue: Issue): Claims {
  return {
    aud: [API],
    client_id: '2f7c5a4e-1c55-4b0e-9c0f-0d2f6f2d7d11',
    exp: issue.until,
    ext: { sid: uuid('sid', signIn) },
    iat: issue.at,
    iss: HYDRA,
    jti: uuid('jti', signIn, issue),
    nbf: issue.at,
    scp: ['openid', 'offline_access'],
    sub: signIn.user,
  };
}

function own(signIn: SignIn, issue: Issue): Claims {
  return { iss: 'my-app', sub: signIn.user, iat: issue.at, exp: issue.until, jti: uuid('jti', signIn, issue) };
}

export const SHAPES: readonly Shape[] = [
  {
    name: 'authrocket-v2',
    header: JWT,
    keys: { at: 'https://my-app.e2.loginrocket.com/connect/jwks' },
    lifetime: 24 * HOUR,
    claims: (signIn, issue) => ({
      iss: 'https://authrocket.com',
      sub: signIn.user,
      sid: `kss_${unique('sid', signIn).slice(0, 22)}`,
      rid: REALM,
      iat: issue.at,
      exp: issue.until,
      name: signIn.user,
      preferred_username: signIn.user,
      email: `${signIn.user}@example.com`,
      email_verified: true,
      orgs: [{ oid: 'org_0vdd8TVDpMRyrYqmnNCpRO', mid: 'mb_0vdfTk6tRxBV4F0iHBTYbS', perm: [], name: 'Widgets Inc' }],
    }),
  },
  {
    name: 'authrocket-v1',
    header: { alg: 'HS256', typ: 'JWT' },
    keys: { secret: 'AUTHROCKET_SECRET' },
    lifetime: 24 * HOUR,
    claims: (signIn, issue) => ({
      aud: REALM,
      uid: signIn.user,
      tk: `kss_${unique('tk', signIn).slice(0, 22)}`,
      iat: issue.at,
      exp: issue.until,
      un: signIn.user,
      fn: signIn.user,
      m: [{ p: [], oid: 'org_0vdd8TVDpMRyrYqmnNCpRO', o: 'Widgets Inc', cs: {} }],
    }),
  },
  {
    name: 'auth0',
    header: JWT,
    keys: { at: 'https://my-tenant.eu.auth0.com/.well-known/jwks.json' },
    lifetime: 24 * HOUR,
    claims: (signIn, issue) => ({
      iss: 'https://my-tenant.eu.auth0.com/',
      sub: `auth0|${signIn.user}`,
      aud: [API, 'https://my-tenant.eu.auth0.com/userinfo'],
      azp: 'K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja',
      iat: issue.at,
      exp: issue.until,
      scope: 'openid profile offline_access',
      ...(issue.refresh > 0 && { gty: 'refresh_token' }),
      ses_id: uuid('ses_id', signIn),
    }),
  },
  {
    name: 'cognito-access',
    header: { alg: 'RS256' },
    keys: { at: `${COGNITO}/.well-known/jwks.json` },
    lifetime: HOUR,
    claims: (signIn, issue) => ({
      ...cognito(signIn, issue),
      version: 2,
      client_id: '1example23456789',
      token_use: 'access',
      scope: 'openid email',
      username: signIn.user,
    }),
  },
  {
    name: 'cognito-id',
    header: { alg: 'RS256' },
    keys: { at: `${COGNITO}/.well-known/jwks.json` },
    lifetime: HOUR,
    claims: (signIn, issue) => ({
      ...cognito(signIn, issue),
      at_hash: unique('at_hash', signIn, issue).slice(0, 22),
      aud: '1example23456789',
      token_use: 'id',
      'cognito:username': signIn.user,
      email: `${signIn.user}@example.com`,
      email_verified: true,
    }),
  },
  {
    name: 'firebase',
    header: JWT,
    keys: { at: 'https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com' },
    lifetime: HOUR,
    claims: (signIn, issue) => ({
      iss: 'https://securetoken.google.com/my-project',
      aud: 'my-project',
      auth_time: signIn.at,
      user_id: signIn.user,
      sub: signIn.user,
      iat: issue.at,
      exp: issue.until,
      email: `${signIn.user}@example.com`,
      email_verified: true,
      firebase: { identities: { email: [`${signIn.user}@example.com`] }, sign_in_provider: 'password' },
    }),
  },
  {
    name: 'keycloak',
    header: JWT,
    keys: discovery(KEYCLOAK),
    lifetime: 5 * MINUTE,
    claims: (signIn, issue) => ({ ...keycloak(signIn, issue), sid: uuid('sid', signIn) }),
  },
  {
    name: 'keycloak-24',
    header: JWT,
    keys: discovery(KEYCLOAK),
    lifetime: 5 * MINUTE,
    claims: (signIn, issue) => ({
      ...keycloak(signIn, issue),
      session_state: uuid('sid', signIn),
      sid: uuid('sid', signIn),
    }),
  },
  {
    name: 'keycloak-session-state',
    header: JWT,
    keys: discovery(KEYCLOAK),
    lifetime: 5 * MINUTE,
    claims: (signIn, issue) => ({ ...keycloak(signIn, issue), session_state: uuid('sid', signIn) }),
  },
  {
    name: 'entra',
    header: JWT,
    keys: discovery(`${ENTRA}/11111111-2222-3333-4444-555555555555/v2.0`),
    lifetime: 75 * MINUTE,
    claims: (signIn, issue) => entra('11111111-2222-3333-4444-555555555555', signIn, issue),
  },
  {
    name: 'entra-tenants',
    header: JWT,
    keys: discovery(`${ENTRA}/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee/v2.0`),
    lifetime: 75 * MINUTE,
    claims: (signIn, issue) => entra('aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee', signIn, issue),
  },
  {
    name: 'okta',
    header: { alg: 'RS256' },
    keys: discovery(OKTA),
    lifetime: HOUR,
    claims: (signIn, issue) => ({
      ver: 1,
      jti: `AT.${unique('jti', signIn, issue)}`,
      iss: OKTA,
      aud: 'api://default',
      iat: issue.at,
      exp: issue.until,
      cid: '0oa4dr9kzkykPrLhq0g7',
      uid: signIn.user,
      scp: ['openid', 'offline_access'],
      auth_time: signIn.at,
      sub: `${signIn.user}@example.com`,
    }),
  },
  {
    name: 'supabase',
    header: { alg: 'ES256', typ: 'JWT' },
    keys: { at: `${SUPABASE}/.well-known/jwks.json` },
    lifetime: HOUR,
    claims: supabase,
  },
  {
    name: 'supabase-secret',
    header: { alg: 'HS256', typ: 'JWT' },
    keys: { secret: 'SUPABASE_JWT_SECRET' },
    lifetime: HOUR,
    claims: supabase,
  },
  {
    name: 'clerk',
    header: JWT,
    keys: { at: `${CLERK}/.well-known/jwks.json` },
    lifetime: MINUTE,
    claims: (signIn, issue) => ({
      azp: 'https://www.example.com',
      exp: issue.until,
      fva: [Math.floor((issue.at - signIn.at) / MINUTE), -1],
      iat: issue.at,
      iss: CLERK,
      jti: unique('jti', signIn, issue).slice(0, 20),
      nbf: issue.at - 10,
      sid: `sess_${unique('sid', signIn).slice(0, 27)}`,
      sts: 'active',
      sub: signIn.user,
      v: 2,
    }),
  },
  {
    name: 'workos',
    header: { alg: 'RS256' },
    keys: { at: `https://api.workos.com/sso/jwks/${WORKOS_CLIENT}` },
    lifetime: 5 * MINUTE,
    claims: (signIn, issue) => ({
      iss: `https://api.workos.com/user_management/${WORKOS_CLIENT}`,
      sub: signIn.user,
      org_id: 'org_01HRDMC6CM357W30QMHMQ96Q0S',
      role: 'member',
      permissions: ['posts:read'],
      sid: `session_${unique('sid', signIn).slice(0, 26)}`,
      jti: unique('jti', signIn, issue).slice(0, 26),
      exp: issue.until,
      iat: issue.at,
    }),
  },
  {
    name: 'hydra',
    header: JWT,
    keys: discovery(HYDRA),
    lifetime: HOUR,
    claims: (signIn, issue) => ({ ...hydra(signIn, issue), sid: uuid('sid', signIn) }),
  },
  { name: 'hydra-ext', header: JWT, keys: discovery(HYDRA), lifetime: HOUR, claims: hydra },
  {
    name: 'zitadel',
    header: { alg: 'RS256' },
    keys: discovery(ZITADEL),
    lifetime: 12 * HOUR,
    claims: (signIn, issue) => ({
      iss: ZITADEL,
      sub: signIn.user,
      aud: ['69234237810729234', '69234237810729019'],
      exp: issue.until,
      iat: issue.at,
      nbf: issue.at,
      jti: `V2_${unique('session', signIn).slice(0, 18)}-at_${unique('token', signIn, issue).slice(0, 18)}`,
      client_id: '69234237810729234',
    }),
  },
  {
    name: 'better-auth',
    header: { alg: 'EdDSA' },
    keys: { at: `${BETTER_AUTH}/api/auth/jwks` },
    lifetime: 15 * MINUTE,
    claims: (signIn, issue) => ({
      iat: issue.at,
      name: signIn.user,
      email: `${signIn.user}@example.com`,
      sid: unique('sid', signIn).slice(0, 32),
      sub: signIn.user,
      exp: issue.until,
      iss: BETTER_AUTH,
      aud: BETTER_AUTH,
    }),
  },
  {
    name: 'own-number',
    header: { alg: 'HS256', typ: 'JWT' },
    keys: { secret: 'LOGIN_SECRET' },
    lifetime: 15 * MINUTE,
    claims: (signIn, issue) => ({ ...own(signIn, issue), aud: 'shop', login: 70_000 + signIn.number }),
  },
  {
    name: 'own-list',
    header: { alg: 'HS256', typ: 'JWT' },
    keys: { secret: 'LOGIN_SECRET' },
    lifetime: 15 * MINUTE,
    // Of these two, the one that the page names first stays the same.
    claims: (signIn, issue) => ({
      ...own(signIn, issue),
      installation: uuid('installation', signIn),
      sid: uuid('sid', signIn, issue),
    }),
  },
  {
    name: 'own-list-site',
    header: { alg: 'HS256', typ: 'JWT' },
    keys: { secret: 'LOGIN_SECRET' },
    lifetime: 15 * MINUTE,
    claims: (signIn, issue) => ({ ...own(signIn, issue), installation: null, sid: uuid('sid', signIn) }),
  },
];

/** Each of these tokens is a session of its own, which the configuration says is intended. */
export const ONE_TOKEN_SESSIONS: Shape = {
  name: 'own-jti',
  header: { alg: 'HS256', typ: 'JWT' },
  keys: { secret: 'LOGIN_SECRET' },
  lifetime: 15 * MINUTE,
  claims: (signIn, issue) => ({ ...own(signIn, issue), iss: 'my-scripts' }),
};

/** The shape whose tokens come from the real oidc-provider. */
export const REAL_PROVIDER = 'oidc-provider';
