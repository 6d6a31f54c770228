/**
 * The tokens with which each configuration of docs/providers.md is tested: those that the test kit imitates, and those of an
 * application's own code.
 */

import { randomUUID } from 'node:crypto';
import { TOKEN_SHAPES, type TestProvider } from '../../lib/testing/provider-tokens.js';
import type { Claims, SignIn, TokenShape } from '../../lib/testing/token-shape.js';

export interface Shape extends TokenShape {
  /** As the page names it in front of the configuration for it: `<!-- shapes: clerk -->`. */
  readonly name: string;
  /** As the page has it; `''` if its tokens have none. */
  readonly issuer: string;
  readonly header: { readonly alg: 'RS256' | 'ES256' | 'EdDSA' | 'HS256'; readonly typ?: string };
  /** Where the provider publishes its keys; or the variable in which the page's configuration looks for the secret. */
  readonly keys: { readonly at: string } | { readonly secret: string };
}

type Place = Pick<Shape, 'issuer' | 'keys'>;

/** Keys in the key set that is at this path, or else found by discovery. */
function published(issuer: string, path = '/.well-known/openid-configuration'): Place {
  return { issuer, keys: { at: `${issuer.replace(/\/$/, '')}${path}` } };
}

const COGNITO = 'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab12Cd34E';
const KEYCLOAK = 'https://id.example.com/realms/shop';
const SUPABASE = 'https://abcdefghijklmnopqrst.supabase.co/auth/v1';
const WORKOS_CLIENT = 'client_01HBEQ8GRDCQVJ4VZHQ8MGVQ4T';
const HYDRA = 'https://id.example.com/';
const WELL_KNOWN = '/.well-known/jwks.json';
const entraTenant = (id: string): string => `https://login.microsoftonline.com/${id}/v2.0`;

const PLACES: Readonly<Record<TestProvider, Place>> = {
  authrocket: {
    issuer: 'https://authrocket.com',
    keys: { at: 'https://my-app.e2.loginrocket.com/connect/jwks' },
  },
  'authrocket-v1': { issuer: '', keys: { secret: 'AUTHROCKET_SECRET' } },
  auth0: published('https://my-tenant.eu.auth0.com/', WELL_KNOWN),
  cognito: published(COGNITO, WELL_KNOWN),
  'cognito-id': published(COGNITO, WELL_KNOWN),
  firebase: {
    issuer: 'https://securetoken.google.com/my-project',
    keys: { at: 'https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com' },
  },
  keycloak: published(KEYCLOAK),
  'keycloak-24': published(KEYCLOAK),
  'keycloak-session-state': published(KEYCLOAK),
  entra: published(entraTenant('11111111-2222-3333-4444-555555555555')),
  okta: published('https://my-org.okta.com/oauth2/default'),
  supabase: published(SUPABASE, WELL_KNOWN),
  'supabase-secret': { issuer: SUPABASE, keys: { secret: 'SUPABASE_JWT_SECRET' } },
  clerk: published('https://clerk.example.com', WELL_KNOWN),
  workos: {
    issuer: `https://api.workos.com/user_management/${WORKOS_CLIENT}`,
    keys: { at: `https://api.workos.com/sso/jwks/${WORKOS_CLIENT}` },
  },
  hydra: published(HYDRA),
  'hydra-ext': published(HYDRA),
  zitadel: published('https://my-instance.zitadel.cloud'),
  'better-auth': published('https://www.example.com', '/api/auth/jwks'),
};

const names = Object.keys(PLACES) as readonly TestProvider[];
const OF_PROVIDERS = names.map((name): Shape => ({ ...TOKEN_SHAPES[name], ...PLACES[name], name }));

/** Each tenant has an issuer of its own. */
const ENTRA_TENANTS: Shape = {
  ...TOKEN_SHAPES.entra,
  ...published(entraTenant('aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee')),
  name: 'entra-tenants',
};

let logins = 70_000;

/** Tokens of an application's own code. `more`: claims besides the usual ones. */
function own(name: string, more: () => Claims, changes: () => Claims = () => ({})): Shape {
  const claims = ({ user, issuer }: SignIn): Claims => ({ iss: issuer, sub: user, jti: randomUUID(), ...more() });
  return {
    name,
    issuer: 'my-app',
    header: { alg: 'HS256', typ: 'JWT' },
    keys: { secret: 'LOGIN_SECRET' },
    lifetime: 15 * 60,
    claims,
    changes: () => ({ jti: randomUUID(), ...changes() }),
  };
}

export const SHAPES: readonly Shape[] = [
  ...OF_PROVIDERS,
  ENTRA_TENANTS,
  own('own-number', () => ({ aud: 'shop', login: (logins += 1) })),
  // Of these two, the one that the page names first stays the same.
  own(
    'own-list',
    () => ({ installation: randomUUID(), sid: randomUUID() }),
    () => ({ sid: randomUUID() }),
  ),
  own('own-list-site', () => ({ installation: null, sid: randomUUID() })),
];

/** Each of these tokens is a session of its own, which the configuration says is intended. */
export const ONE_TOKEN_SESSIONS: Shape = { ...own('own-jti', () => ({})), issuer: 'my-scripts' };

/** The shape whose tokens come from the real oidc-provider. */
export const REAL_PROVIDER = 'oidc-provider';
