/** Who issues tokens: what an application says of an issuer, and what it need not say of those that are known. */

import { claimOf, isClaims, standardProfile, textOf } from '../core/claims.js';
import type { Claims, Organization, Profile, RequiredClaim } from '../core/claims.js';
import { durationMs, type Duration } from '../core/duration.js';
import { httpUrl } from './discovery.js';
import { jwksKeys, staticKeys, type KeyEvent, type KeySource, type PublicKey, type Secret } from './keys.js';
import { checkAlgorithms } from './static-keys.js';
import type { Algorithm } from './verification-key.js';
import type { IssuerRules } from './verify.js';

/** An issuer of login tokens. Exactly one of `jwksUri`, `secret`, `publicKey` and `discover` says what they are signed with. */
export interface IssuerOptions {
  /** The exact `iss` of its tokens. */
  readonly issuer: string;
  /** One of these must be in `aud`. Default: `aud` is not looked at, and a token for another application passes. */
  readonly audience?: string | readonly string[];
  /** Where its JSON Web Key Set is: https, or http where the network is trusted. */
  readonly jwksUri?: string;
  /** A text (its UTF-8 bytes), a Buffer or a secret `KeyObject`, at least as long as the hash; or a list, new and old. */
  readonly secret?: Secret | readonly Secret[];
  /** PEM, JWK or a public `KeyObject`; or a list, new and old. */
  readonly publicKey?: PublicKey | readonly PublicKey[];
  /** True finds `jwksUri` in the issuer's `/.well-known/openid-configuration`. */
  readonly discover?: boolean;
  /** Default: HS256 for a secret; for a public key its own `alg`, else RS256 for RSA, and the curve's own for EC. */
  readonly algorithms?: readonly Algorithm[];
  /** How far its clock may be from ours, up to `'1h'`. Default `'5s'`. */
  readonly clockTolerance?: Duration;
  /** What `typ` may be; null stands for a header without it. Default `['JWT', 'at+jwt', null]`. */
  readonly types?: readonly (string | null)[];
  /** What further claims must be: a value, one of several, or what a predicate accepts. */
  readonly claims?: Readonly<Record<string, RequiredClaim>>;
  /** How old a key set may get before it is fetched anew, in the background, `'1s'` to `'1y'`. Default `'10m'`. */
  readonly keysMaxAge?: Duration;
  /** How long the last good key set serves while none can be fetched, `keysMaxAge` or more. Default `'24h'`. */
  readonly keysMaxStale?: Duration;
  /** Where its tokens name things otherwise than OpenID Connect does. */
  readonly naming?: TokenNaming;
}

/** How tokens name things. Presets fill it in. */
export interface TokenNaming {
  /** True where tokens carry no `iss`: `issuer` is then only what the issuer is called here. Default false. */
  readonly withoutIssuer?: boolean;
  /** The claim that names the user. Default `sub`. */
  readonly subjectClaim?: string;
  /** What the person is called. Default: `name`, `preferred_username`, `email`. */
  readonly profile?: (claims: Claims) => Profile;
}

/** The names of {@link IssuerOptions}, to tell a misspelling. */
export const ISSUER_OPTION_NAMES = [
  'issuer',
  'audience',
  'jwksUri',
  'secret',
  'publicKey',
  'discover',
  'algorithms',
  'clockTolerance',
  'types',
  'claims',
  'keysMaxAge',
  'keysMaxStale',
  'naming',
] as const satisfies readonly (keyof IssuerOptions)[];

export interface IssuerSurroundings {
  /** In milliseconds since 1970. */
  readonly clock: { now(): number };
  /** Must not throw. */
  readonly onKeyEvent: (event: KeyEvent) => void;
}

/**
 * The rules that an issuer's options make, its keys among them. Throws a `TypeError` that names the option, under
 * `optionName`, for what is wrong; never shows a key.
 */
export function issuerRules(options: IssuerOptions, optionName: string, surroundings: IssuerSurroundings): IssuerRules {
  requireText(options.issuer, `${optionName}.issuer`);
  const { audience, types, claims, naming = {}, clockTolerance = '5s' } = options;
  const algorithms = checkAlgorithms(options.algorithms, optionName);
  if (audience !== undefined) requireTexts(audience, `${optionName}.audience`);
  if (types !== undefined) requireTypes(types, `${optionName}.types`);
  if (claims !== undefined) requireClaims(claims, `${optionName}.claims`);
  return {
    ...(naming.withoutIssuer === true
      ? { issuer: undefined, fixedIssuer: options.issuer }
      : { issuer: options.issuer }),
    ...(audience !== undefined && { audience }),
    ...(algorithms !== undefined && { algorithms }),
    ...(types !== undefined && { types }),
    ...(claims !== undefined && { claims }),
    ...(naming.subjectClaim !== undefined && { subjectClaim: naming.subjectClaim }),
    ...(naming.profile !== undefined && { profile: naming.profile }),
    clockTolerance: durationMs(clockTolerance, `${optionName}.clockTolerance`, { min: 0, max: '1h' }),
    keys: keySource(options, optionName, surroundings),
  };
}

const KEY_OPTIONS = ['jwksUri', 'secret', 'publicKey', 'discover'] as const;

function keySource(options: IssuerOptions, optionName: string, { clock, onKeyEvent }: IssuerSurroundings): KeySource {
  const given = KEY_OPTIONS.filter((name) => options[name] !== undefined && options[name] !== false);
  if (given.length !== 1) {
    const got = given.length === 0 ? 'none of them' : given.join(' and ');
    throw new TypeError(`${optionName} must have exactly one of ${KEY_OPTIONS.join(', ')}, got ${got}`);
  }
  const { jwksUri, discover, algorithms, keysMaxAge: maxAge = '10m' } = options;
  if (jwksUri === undefined && discover !== true) return staticKeys(options, optionName);
  const keysMaxAge = durationMs(maxAge, `${optionName}.keysMaxAge`, { min: '1s', max: '1y' });
  const { keysMaxStale: maxStale = Math.max(DAY, keysMaxAge) } = options;
  const keysMaxStale = durationMs(maxStale, `${optionName}.keysMaxStale`, { min: keysMaxAge, max: '1y' });
  const uri = jwksUri ?? { discover: options.issuer };
  return jwksKeys({ uri, keysMaxAge, keysMaxStale, algorithms, clock, onEvent: onKeyEvent }, optionName);
}

const DAY = 86_400_000;

function requireText(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string' || value === '') throw new TypeError(`${name} must be a non-empty text`);
}

function requireTexts(value: unknown, name: string): void {
  const texts: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (texts.length === 0 || texts.some((text) => typeof text !== 'string' || text === '')) {
    throw new TypeError(`${name} must be a non-empty text, or a list of such`);
  }
}

function requireTypes(value: unknown, name: string): void {
  if (!Array.isArray(value) || value.length === 0 || value.some((type) => type !== null && typeof type !== 'string')) {
    throw new TypeError(`${name} must be a list of texts such as 'at+jwt', and null for tokens without a type`);
  }
}

function requireClaims(value: unknown, name: string): void {
  if (!isClaims(value)) throw new TypeError(`${name} must be an object: what each claim must be, by its name`);
  for (const [claim, required] of Object.entries(value)) {
    if (!isRequirement(required)) {
      throw new TypeError(`${name}.${claim} must be a text, a number, a boolean, null, a list of them or a predicate`);
    }
  }
}

function isRequirement(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0 && value.every(isScalar);
  return typeof value === 'function' || isScalar(value);
}

function isScalar(value: unknown): boolean {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}

/** What presets leave to the application. */
type Adjustable = 'clockTolerance' | 'claims' | 'algorithms' | 'keysMaxAge' | 'keysMaxStale';

export interface OidcOptions extends Pick<IssuerOptions, Adjustable | 'audience' | 'types'> {
  /** The issuer's URL, exactly as its tokens and its discovery document spell it. */
  readonly issuer: string;
}

/**
 * An OpenID Connect provider: its keys are found by discovery (OpenID Connect Discovery 1.0, section 4), when they are
 * first needed. Set `audience`: without it a token that was issued for another application passes.
 */
export function oidc(options: OidcOptions): IssuerOptions {
  requireOptions('oidc', options);
  if (baseUrl(options.issuer) === undefined) {
    throw new TypeError('oidc: issuer must be an absolute http(s) URL without query and fragment');
  }
  return { ...options, discover: true };
}

export interface AuthRocketOptions extends Pick<IssuerOptions, Adjustable | 'audience'> {
  /** LoginRocket's URL, from which the keys are fetched: for RS256, AuthRocket's default. */
  readonly loginRocketUrl?: string;
  /** The whole login token secret (`jsk_...`), for HS256. */
  readonly secret?: Secret | readonly Secret[];
  /** The realm's id (`rl_...`): the tokens' `rid` must be it. Default: any realm that these keys sign for. */
  readonly realm?: string;
}

/**
 * AuthRocket, version 2 of its tokens. `req.user.orgs` holds the organizations. Throws a `TypeError` where not exactly
 * one of `loginRocketUrl` and `secret` is set.
 */
export function authRocket(options: AuthRocketOptions): IssuerOptions {
  requireOptions('authRocket', options);
  const { loginRocketUrl, secret, realm, claims, ...rest } = options;
  requireOne('authRocket', { loginRocketUrl, secret });
  return {
    ...rest,
    issuer: 'https://authrocket.com',
    ...(loginRocketUrl === undefined ? { secret: secret ?? [] } : { jwksUri: keySetOf(loginRocketUrl) }),
    ...requiredClaims('authRocket', 'rid', realm, claims),
    naming: { profile: authRocketProfile },
  };
}

export interface AuthRocketV1Options extends Pick<IssuerOptions, Adjustable> {
  /** The realm's login token secret, for HS256. */
  readonly secret?: Secret | readonly Secret[];
  /** The realm's public key, for RS256. */
  readonly publicKey?: PublicKey | readonly PublicKey[];
  /** The realm's id (`rl_...`): the tokens' `aud` must be it. Default: any realm that these keys sign for. */
  readonly realm?: string;
}

/**
 * AuthRocket, version 1 of its tokens, which name no issuer: `req.user.issuer` is `authrocket:` and the realm, or
 * `authrocket`. Throws a `TypeError` where not exactly one of `secret` and `publicKey` is set.
 */
export function authRocketV1(options: AuthRocketV1Options): IssuerOptions {
  requireOptions('authRocketV1', options);
  const { secret, publicKey, realm, claims, ...rest } = options;
  requireOne('authRocketV1', { secret, publicKey });
  return {
    ...rest,
    issuer: realm === undefined ? 'authrocket' : `authrocket:${realm}`,
    ...(secret === undefined ? { publicKey: publicKey ?? [] } : { secret }),
    ...requiredClaims('authRocketV1', 'aud', realm, claims),
    naming: { withoutIssuer: true, subjectClaim: 'uid', profile: authRocketV1Profile },
  };
}

function requireOptions(preset: string, options: unknown): void {
  if (typeof options !== 'object' || options === null) throw new TypeError(`${preset} takes an object of options`);
}

function requireOne(preset: string, options: Readonly<Record<string, unknown>>): void {
  const given = Object.keys(options).filter((name) => options[name] !== undefined);
  if (given.length === 1) return;
  const got = given.length === 0 ? 'none of them' : given.join(' and ');
  throw new TypeError(`${preset} must have exactly one of ${Object.keys(options).join(', ')}, got ${got}`);
}

function keySetOf(loginRocketUrl: string): string {
  const url = baseUrl(loginRocketUrl);
  if (url === undefined) {
    throw new TypeError(
      'authRocket: loginRocketUrl must be an absolute http(s) URL, such as https://my-app.loginrocket.com',
    );
  }
  return `${url.href.replace(/\/$/, '')}/connect/jwks`;
}

/** A URL that a path can be put behind: without query and fragment. */
function baseUrl(value: unknown): URL | undefined {
  const url = httpUrl(value);
  return url?.search === '' && url.hash === '' ? url : undefined;
}

function requiredClaims(
  preset: string,
  realmClaim: string,
  realm: string | undefined,
  claims: IssuerOptions['claims'],
): Pick<IssuerOptions, 'claims'> {
  if (realm !== undefined) requireText(realm, `${preset}: realm`);
  return { claims: { ...claims, ...(realm !== undefined && { [realmClaim]: realm }) } };
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

/** Undefined where it has no id: nothing could be granted by it. */
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

/** What `read` makes of the objects in a claim; empty where the claim is no list. */
function listOf<Item>(claims: Claims, name: string, read: (item: Claims) => Item | undefined): readonly Item[] {
  const value = claimOf(claims, name);
  const items: readonly unknown[] = Array.isArray(value) ? value : [];
  return items
    .filter(isClaims)
    .map(read)
    .filter((item) => item !== undefined);
}
