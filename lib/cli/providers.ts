/** Which provider a token looks like, by the shapes of docs/providers.md, and what names the session there. */

import { claimOf, type Claims } from '../core/claims.js';

export interface Provider {
  readonly name: string;
  /** Of docs/providers.md. */
  readonly anchor: string;
  /** What stays the same while the tokens of one sign-in are refreshed. */
  readonly session: string;
}

interface Shape extends Provider {
  readonly isOf: (claims: Claims) => boolean;
}

const issuer = (pattern: RegExp) => (claims: Claims) => pattern.test(String(claimOf(claims, 'iss')));

function has(...names: readonly string[]): (claims: Claims) => boolean {
  return (claims) => names.every((name) => Object.hasOwn(claims, name));
}

/** The first that fits counts. By the issuer's name if the provider chooses it, or else by claims that no other has. */
const SHAPES: readonly Shape[] = [
  {
    name: 'AuthRocket, version 2',
    anchor: 'authrocket',
    session: 'sid',
    isOf: (claims) => claimOf(claims, 'iss') === 'https://authrocket.com',
  },
  {
    name: 'AuthRocket, version 1',
    anchor: 'authrocket',
    session: 'tk',
    isOf: (claims) => has('tk', 'uid')(claims) && !Object.hasOwn(claims, 'iss'),
  },
  {
    name: 'Auth0',
    anchor: 'auth0',
    session: 'a claim that an Action adds, such as ses_id',
    isOf: (claims) => issuer(/^https:\/\/[\w.-]+\.auth0\.com\/$/)(claims) || has('gty', 'azp')(claims),
  },
  {
    name: 'Amazon Cognito',
    anchor: 'amazon-cognito',
    session: 'origin_jti',
    isOf: issuer(/^https:\/\/cognito-idp\.[\w-]+\.amazonaws\.com(\.cn)?\//),
  },
  {
    name: 'Firebase',
    anchor: 'firebase',
    session: 'auth_time',
    isOf: issuer(/^https:\/\/securetoken\.google\.com\//),
  },
  {
    name: 'Microsoft Entra ID',
    anchor: 'microsoft-entra-id',
    session: 'sid, an optional claim of the app registration',
    isOf: issuer(
      /^https:\/\/(login\.microsoftonline\.(com|us)|login\.partner\.microsoftonline\.cn|sts\.windows\.net)\//,
    ),
  },
  {
    name: 'Okta',
    anchor: 'okta',
    session: 'auth_time, or a claim that you add',
    isOf: (claims) =>
      issuer(/^https:\/\/[\w.-]+\.(okta|oktapreview|okta-emea)\.com(\/|$)/)(claims) || has('cid', 'uid', 'ver')(claims),
  },
  {
    name: 'WorkOS',
    anchor: 'workos',
    session: 'sid',
    isOf: issuer(/^https:\/\/api\.workos\.com(\/|$)/),
  },
  {
    name: 'Clerk',
    anchor: 'clerk',
    session: 'sid',
    isOf: (claims) => issuer(/\.clerk\.accounts\.dev$/)(claims) || String(claimOf(claims, 'sid')).startsWith('sess_'),
  },
  {
    name: 'Supabase',
    anchor: 'supabase',
    session: 'session_id',
    isOf: (claims) => issuer(/\/auth\/v1$/)(claims) && has('session_id', 'aal')(claims),
  },
  {
    name: 'Keycloak',
    anchor: 'keycloak',
    session: 'sid, before version 25 also session_state',
    isOf: (claims) => issuer(/\/realms\/[^/]+$/)(claims) && has('typ', 'azp')(claims),
  },
  {
    name: 'ZITADEL',
    anchor: 'zitadel',
    session: 'the first half of jti, which a function of the option session takes out',
    isOf: (claims) => issuer(/\.zitadel\.cloud$/)(claims) || /^V2_\d*\w*-at_/.test(String(claimOf(claims, 'jti'))),
  },
  {
    name: 'Ory Hydra',
    anchor: 'ory-hydra',
    session: 'sid, which you add to access tokens at consent',
    isOf: (claims) => has('ext', 'client_id', 'scp')(claims) && Array.isArray(claimOf(claims, 'scp')),
  },
];

/** Undefined if it looks like none of them: many providers can be reached under any name, and have only the usual claims. */
export function providerOf(claims: Claims): Provider | undefined {
  return SHAPES.find(({ isOf }) => isOf(claims));
}
