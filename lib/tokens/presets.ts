/** Issuers that are known: what an application need not say of them. */

import { ISSUER_ADVICE } from '../core/advice.js';
import { aFilledString, anything, checkOptions, isPlain, neverUndefined, type OptionKinds } from '../core/check.js';
import { claimOf, isClaims, standardProfile, textOf } from '../core/claims.js';
import type { Claims, Organization, Profile } from '../core/claims.js';
import { baseUrl } from './discovery.js';
import { gotOf, UNSET, type IssuerOptions } from './issuer.js';
import type { PublicKey, Secret } from './static-keys.js';

/** What presets leave to the application. */
type Adjustable =
  | 'clockTolerance'
  | 'claims'
  | 'algorithms'
  | 'keysMaxAge'
  | 'keysMaxStale'
  | 'session'
  | 'began'
  | 'scopes'
  | 'senderConstrained';

/** The issuer that a preset returns is checked once more, in full, by `managedSessions()`. */
const ADJUSTABLE: OptionKinds<Pick<IssuerOptions, Adjustable>> = {
  clockTolerance: anything,
  claims: neverUndefined({ words: 'an object with what each claim must be', accepts: isPlain }, UNSET),
  algorithms: anything,
  keysMaxAge: anything,
  keysMaxStale: anything,
  session: anything,
  began: anything,
  scopes: anything,
  senderConstrained: anything,
};

export interface OidcOptions extends Pick<IssuerOptions, Adjustable | 'types'> {
  /** The issuer's URL, spelled exactly as in its tokens and its discovery document. */
  readonly issuer: string;
  /** One of these must be in `aud`. `false`: tokens that the provider issued for any other application are accepted too. */
  readonly audience: string | readonly string[] | false;
}

const OIDC_OPTIONS: OptionKinds<OidcOptions> = {
  ...ADJUSTABLE,
  issuer: anything,
  audience: anything,
  types: anything,
};

/**
 * An OpenID Connect provider: its keys are found by discovery (OpenID Connect Discovery 1.0, section 4) when they are
 * first needed. Throws a `TypeError` without `audience`: one provider serves many applications.
 */
export function oidc(options: OidcOptions): IssuerOptions {
  checkOptions(options, 'oidc()', OIDC_OPTIONS, { advice: ISSUER_ADVICE });
  if (baseUrl(options.issuer) === undefined) {
    throw new TypeError('oidc(): issuer must be an absolute http(s) URL without query and fragment');
  }
  const { audience, ...rest } = options;
  if ((audience as unknown) === undefined) throw new TypeError(AUDIENCE_MISSING);
  return { ...rest, ...(audience !== false && { audience }), discover: true };
}

const AUDIENCE_MISSING =
  "oidc() needs the option audience, the name of your application or API in the tokens' aud. Otherwise tokens that were " +
  'issued for other applications are accepted. If you accept those, write audience: false';

export interface AuthRocketOptions extends Pick<IssuerOptions, Adjustable | 'audience'> {
  /** The URL of LoginRocket, from which the keys are fetched: for RS256, AuthRocket's default. */
  readonly loginRocketUrl?: string;
  /** The whole login token secret (`jsk_...`), for HS256. */
  readonly secret?: Secret | readonly Secret[];
  /** The realm's public key, for RS256, if the keys are not to be fetched. */
  readonly publicKey?: PublicKey | readonly PublicKey[];
  /** The realm's id (`rl_...`): the tokens' `rid` must equal it. Default: any realm that these keys sign for. */
  readonly realm?: string;
}

const AUTH_ROCKET_OPTIONS: OptionKinds<AuthRocketOptions> = {
  ...ADJUSTABLE,
  audience: neverUndefined(anything, UNSET),
  loginRocketUrl: neverUndefined(anything, UNSET),
  secret: neverUndefined(anything, UNSET),
  publicKey: neverUndefined(anything, UNSET),
  realm: neverUndefined(aFilledString, UNSET),
};

/**
 * AuthRocket, version 2 of its tokens. `req.user.orgs` has the organizations. Throws a `TypeError` unless exactly one of
 * `loginRocketUrl`, `secret` and `publicKey` is set.
 */
export function authRocket(options: AuthRocketOptions): IssuerOptions {
  checkOptions(options, 'authRocket()', AUTH_ROCKET_OPTIONS, { advice: ISSUER_ADVICE });
  const { loginRocketUrl, secret, publicKey, realm, claims, ...rest } = options;
  requireOne('authRocket()', options, ['loginRocketUrl', 'secret', 'publicKey']);
  return {
    ...rest,
    issuer: 'https://authrocket.com',
    ...(loginRocketUrl !== undefined && { jwksUri: keySetOf(loginRocketUrl) }),
    ...(secret !== undefined && { secret }),
    ...(publicKey !== undefined && { publicKey }),
    claims: { ...claims, ...(realm !== undefined && { rid: realm }) },
    profile: authRocketProfile,
  };
}

export interface AuthRocketV1Options extends Pick<IssuerOptions, Adjustable> {
  /** The realm's login token secret, for HS256. */
  readonly secret?: Secret | readonly Secret[];
  /** The realm's public key, for RS256. */
  readonly publicKey?: PublicKey | readonly PublicKey[];
  /** The realm's id (`rl_...`): the tokens' `aud` must equal it. Default: any realm that these keys sign for. */
  readonly realm?: string;
}

const AUTH_ROCKET_V1_OPTIONS: OptionKinds<AuthRocketV1Options> = {
  ...ADJUSTABLE,
  secret: neverUndefined(anything, UNSET),
  publicKey: neverUndefined(anything, UNSET),
  realm: neverUndefined(aFilledString, UNSET),
};

/**
 * AuthRocket, version 1 of its tokens, which have no `iss`: `req.user.issuer` is `authrocket:` and the realm, or
 * `authrocket`. Throws a `TypeError` unless exactly one of `secret` and `publicKey` is set.
 */
export function authRocketV1(options: AuthRocketV1Options): IssuerOptions {
  checkOptions(options, 'authRocketV1()', AUTH_ROCKET_V1_OPTIONS, { advice: ISSUER_ADVICE });
  const { secret, publicKey, realm, claims, ...rest } = options;
  requireOne('authRocketV1()', options, ['secret', 'publicKey']);
  return {
    ...rest,
    issuer: realm === undefined ? 'authrocket' : `authrocket:${realm}`,
    ...(secret !== undefined && { secret }),
    ...(publicKey !== undefined && { publicKey }),
    claims: { ...claims, ...(realm !== undefined && { aud: realm }) },
    withoutIssuer: true,
    subject: 'uid',
    profile: authRocketV1Profile,
  };
}

function requireOne(preset: string, options: object, names: readonly string[]): void {
  const given = names.filter((name) => Reflect.get(options, name) !== undefined);
  if (given.length === 1) return;
  throw new TypeError(`${preset} must have exactly one of ${names.join(', ')}, got ${gotOf(options, given, names)}`);
}

function keySetOf(loginRocketUrl: string): string {
  const url = baseUrl(loginRocketUrl);
  if (url === undefined) {
    throw new TypeError(
      'authRocket(): loginRocketUrl must be an absolute http(s) URL, such as https://my-app.loginrocket.com',
    );
  }
  return `${url.href.replace(/\/$/, '')}/connect/jwks`;
}

function authRocketProfile(claims: Claims): Profile {
  const orgs = listOf(claims, 'orgs', function organization(org) {
    return organizationOf({
      id: textOf(org, 'oid'),
      membershipId: textOf(org, 'mid'),
      name: textOf(org, 'name'),
      reference: textOf(org, 'ref'),
      permissions: claimOf(org, 'perm'),
      selected: claimOf(org, 'selected') === true,
    });
  });
  return { ...standardProfile(claims), orgs };
}

function authRocketV1Profile(claims: Claims): Profile {
  const orgs = listOf(claims, 'm', function organization(membership) {
    return organizationOf({
      id: textOf(membership, 'oid'),
      membershipId: undefined,
      name: textOf(membership, 'o'),
      reference: undefined,
      permissions: claimOf(membership, 'p'),
      selected: false,
    });
  });
  const parts = [textOf(claims, 'fn'), textOf(claims, 'ln')].filter((part) => part !== undefined);
  const name = textOf(claims, 'n') ?? parts.join(' ');
  const username = textOf(claims, 'un');
  const email = textOf(claims, 'email');
  return {
    ...(name !== '' && { name }),
    ...(username !== undefined && { username }),
    ...(email !== undefined && { email }),
    orgs,
  };
}

interface FoundOrganization {
  readonly id: string | undefined;
  readonly membershipId: string | undefined;
  readonly name: string | undefined;
  readonly reference: string | undefined;
  readonly permissions: unknown;
  readonly selected: boolean;
}

/** Undefined if it has no id: it could not grant anything. */
function organizationOf(found: FoundOrganization): Organization | undefined {
  if (found.id === undefined) return undefined;
  const granted: readonly unknown[] = Array.isArray(found.permissions) ? found.permissions : [];
  return {
    id: found.id,
    membershipId: found.membershipId ?? null,
    name: found.name ?? null,
    reference: found.reference ?? null,
    permissions: granted.filter((permission) => typeof permission === 'string'),
    selected: found.selected,
  };
}

/** The objects in a claim, each read by `read`; empty if the claim is not a list. */
function listOf<Item>(claims: Claims, name: string, read: (item: Claims) => Item | undefined): readonly Item[] {
  const value = claimOf(claims, name);
  const items: readonly unknown[] = Array.isArray(value) ? value : [];
  return items
    .filter(isClaims)
    .map(read)
    .filter((item) => item !== undefined);
}
