/** The options of one issuer, checked, and the rules and keys that follow from them. */

import { ISSUER_ADVICE } from '../core/advice.js';
import {
  aBoolean,
  aFilledString,
  aFunction,
  anything,
  checkKind,
  checkOptions,
  filledStrings,
  isObject,
  kindOf,
  isPlain,
  neverUndefined,
  oneOf,
  refuseUnset,
  required,
  type Kind,
  type OptionKinds,
} from '../core/check.js';
import { profileOf, textOf, type Claims, type Profile } from '../core/claims.js';
import type { RequiredClaim, Scalar, SenderConstrained } from '../core/claim-checks.js';
import type { Began } from '../core/claim-times.js';
import { durationMs, type Duration } from '../core/duration.js';
import { refusePromise } from '../core/hooks.js';
import type { KeyEvent, KeySource } from './key-source.js';
import { warnKeysDown } from './keys-down-warning.js';
import { isUrl, jwksKeys } from './keys.js';
import { LARGEST_TOLERANCE } from './precheck.js';
import { sessionIdBy, type SessionNaming } from './session-id.js';
import { checkAlgorithms, staticKeys, type PublicKey, type Secret } from './static-keys.js';
import type { Algorithm } from './verification-key.js';
import type { IssuerRules } from './verify.js';

/** An issuer of login tokens. Exactly one of `jwksUri`, `secret`, `publicKey` and `discover` says how they are signed. */
export interface IssuerOptions {
  /** The exact `iss` of its tokens. */
  readonly issuer: string;
  /** One of these must be in `aud`. Default: `aud` is not checked, so a token for another application is accepted. */
  readonly audience?: string | readonly string[];
  /** The URL of its JSON Web Key Set: https, or http if the network is trusted. */
  readonly jwksUri?: string | URL;
  /** A string (its UTF-8 bytes), a Buffer or a secret `KeyObject`, at least as long as the hash; or a list of up to eight. */
  readonly secret?: Secret | readonly Secret[];
  /** PEM, the bare base64 of an SPKI, JWK, JWK set or a public `KeyObject`; or a list of them, with up to eight keys. */
  readonly publicKey?: PublicKey | readonly PublicKey[];
  /** True: `jwksUri` is read from `/.well-known/openid-configuration` of the issuer, a URL without query and fragment. */
  readonly discover?: boolean;
  /** Default: HS256 for a secret; for a public key its own `alg`, or else RS256 for RSA, the curve's own for EC, EdDSA for Ed25519. */
  readonly algorithms?: readonly Algorithm[];
  /** How far its clock may differ from ours, up to `'1h'`. Default `'5s'`. */
  readonly clockTolerance?: Duration;
  /** The accepted values of `typ`; null stands for a header without it. Default `['JWT', 'at+jwt', null]`. */
  readonly types?: readonly (string | null)[];
  /** What other claims must be: a value, one of several, or whatever a predicate accepts. */
  readonly claims?: Readonly<Record<string, RequiredClaim>>;
  /**
   * The age up to which a key set is used without a question, `'1s'` to `'1y'`. From three quarters of it on, the set is
   * fetched again in the background; after it, requests wait for the fetch, at most 5 s. Default `'10m'`.
   */
  readonly keysMaxAge?: Duration;
  /** How long the last good key set is used if none can be fetched, `keysMaxAge` or more. Default `'24h'`. */
  readonly keysMaxStale?: Duration;
  /**
   * Which sign-in a token belongs to: the claim that stays the same while its tokens are refreshed, claims of which the
   * first one present counts, or a function of the claims. A non-empty string or a safe integer counts; anything else is
   * skipped. Without any, each token is a session of its own, by `jti` or its digest; this is reported by
   * `sessionUnnamed`, unless `session` is `'jti'`. What the function throws goes to `next`, and a `TypeError` if it returns
   * a promise. Default `['sid', 'tk', 'origin_jti', 'session_id', 'session_state']`.
   */
  readonly session?: SessionNaming;
  /**
   * What says when a session began, for cutoffs (`revokeAll()`, `endEverywhere()`) and for `lifetime`:
   *
   * - `'iat'`: the earliest `iat` of the tokens that were seen. A token without `iat` is refused with `claim_invalid`.
   * - `'auth_time'`: when the person signed in: the earlier of `auth_time` and `iat`, or the one that the token has. A cutoff
   *   then also ends sessions that were never seen here and are refreshed afterwards, and the lifetime counts from the
   *   sign-in. With single sign-on, a person who comes back without a prompt keeps the old `auth_time`, and is refused
   *   until the provider prompts again. A token without both claims, or with an `auth_time` in the future, is refused with
   *   `claim_invalid`.
   * - `'first-seen'`: when it was first seen here. A cutoff does not end a session that is first seen after it.
   *
   * Default `'iat'`.
   */
  readonly began?: Began;
  /**
   * What identifies the user: the name of a claim, or a function of the claims. A token whose subject is not a non-empty
   * string is refused with `claim_invalid`; what the function throws goes to `next`. Default `'sub'`.
   */
  readonly subject?: string | ((claims: Claims) => string);
  /** The names and organizations of `req.user`. Default: the claims `name`, `preferred_username` and `email`. */
  readonly profile?: (claims: Claims) => Profile;
  /**
   * The scopes that a token grants, for `required({ scope })`. Only non-empty strings of the list count; for a promise, or
   * anything else that is not a list, `next` gets a `TypeError`. Default: the claim `scope`, words in a string or a list, or `scp` if there is no
   * `scope` at all.
   */
  readonly scopes?: (claims: Claims) => readonly string[];
  /**
   * What to do with a token that is bound to a key (`cnf`), by DPoP (RFC 9449) or by mutual TLS (RFC 8705). A bearer request
   * does not prove possession of that key: with `'refuse'`, it is refused with `proof_required`. With `'ignore'`, whoever
   * steals the token can use it: only if something in front of the application checks the proof. Default `'refuse'`.
   */
  readonly senderConstrained?: SenderConstrained;
  /** True if its tokens have no `iss`; `issuer` is then only its name here, and a token with `iss` is refused. Default false. */
  readonly withoutIssuer?: boolean;
}

/** For an option that has a check of its own; null is not an option that was left out. */
function unlessNull(words: string): Kind {
  return { words, accepts: (value) => value !== null };
}

/** What to do about an option that is given as undefined. */
export const UNSET = 'leave it out, or set the variable that it comes from';

const ISSUER_OPTIONS: OptionKinds<IssuerOptions> = {
  issuer: required(aFilledString),
  audience: neverUndefined(filledStrings, 'leave it out if audience is not to be checked'),
  jwksUri: neverUndefined(
    {
      words: 'an absolute http(s) URL, as a string or a URL',
      accepts: (value) => aFilledString.accepts(value) || isUrl(value),
    },
    UNSET,
  ),
  secret: neverUndefined(unlessNull('a string, a Buffer, a secret KeyObject or a list of them'), UNSET),
  publicKey: neverUndefined(
    unlessNull('a PEM, base64 of an SPKI, a JWK, a JWK set, a public KeyObject or a list of them'),
    UNSET,
  ),
  discover: aBoolean,
  algorithms: anything,
  clockTolerance: anything,
  types: {
    words: "a list of strings such as 'at+jwt', and null for tokens without a type",
    accepts: (value) => Array.isArray(value) && value.length > 0 && value.every(isType),
  },
  claims: neverUndefined({ words: 'an object with what each claim must be', accepts: isPlain }, UNSET),
  keysMaxAge: anything,
  keysMaxStale: anything,
  session: {
    words: 'the name of a claim, a list of names, or a function that returns the session id',
    accepts: (value) => typeof value === 'function' || filledStrings.accepts(value),
  },
  began: oneOf('iat', 'auth_time', 'first-seen'),
  subject: {
    words: 'the name of a claim, or a function that returns the subject',
    accepts: (value) => typeof value === 'function' || aFilledString.accepts(value),
  },
  profile: aFunction('that returns an object such as { name, email }'),
  scopes: aFunction('that returns a list of strings'),
  senderConstrained: oneOf('refuse', 'ignore'),
  withoutIssuer: aBoolean,
};

const requiredClaim: Kind = {
  words: 'a string, a number, a boolean, null, a list of them or a predicate',
  accepts: (value) => typeof value === 'function' || (listOf(value).length > 0 && listOf(value).every(isScalar)),
};

/** How far an issuer's clock may differ from ours, in milliseconds. */
export const DEFAULT_TOLERANCE = 5_000;

export interface IssuerSurroundings {
  /** In milliseconds since 1970. */
  readonly clock: { now(): number };
  /** Must not throw. */
  readonly onKeyEvent: (event: KeyEvent) => void;
}

/**
 * The rules that an issuer's options make, including its keys. Throws a `TypeError` that names the option, under
 * `optionName`, if one is invalid. The message never contains a key.
 */
export function issuerRules(options: IssuerOptions, optionName: string, surroundings: IssuerSurroundings): IssuerRules {
  checkOptions<IssuerOptions>(options, optionName, ISSUER_OPTIONS, { advice: ISSUER_ADVICE });
  const {
    issuer,
    audience,
    types,
    claims,
    session,
    began,
    subject,
    profile,
    scopes,
    senderConstrained,
    withoutIssuer,
    clockTolerance = DEFAULT_TOLERANCE,
  } = options;
  refuseUnset(issuer, `${optionName}.issuer`);
  refuseUnset(options.jwksUri?.toString(), `${optionName}.jwksUri`);
  for (const name of listOf(audience)) refuseUnset(name, `${optionName}.audience`);
  const algorithms = checkAlgorithms(options.algorithms, optionName);
  for (const [claim, value] of Object.entries(claims ?? {})) {
    checkKind(value, `${optionName}.claims.${claim}`, required(requiredClaim));
  }
  return {
    issuer,
    ...(withoutIssuer === true && { withoutIssuer }),
    ...(audience !== undefined && { audience: typeof audience === 'string' ? audience : [...audience] }),
    ...(algorithms !== undefined && { algorithms }),
    ...(types !== undefined && { types: [...types] }),
    ...(claims !== undefined && { claims: copiedClaims(claims) }),
    ...(session !== undefined && { sessionIdOf: sessionIdBy(session, `${optionName}.session`) }),
    ...(began !== undefined && { began }),
    ...(subject !== undefined && { subject }),
    ...(profile !== undefined && { profile: checkedProfile(profile, `${optionName}.profile`) }),
    ...(scopes !== undefined && { scopes }),
    ...(senderConstrained !== undefined && { senderConstrained }),
    clockTolerance: toleranceOf(clockTolerance, `${optionName}.clockTolerance`),
    keys: keySource(options, optionName, surroundings),
  };
}

/** Other packages take seconds here. */
function toleranceOf(value: unknown, path: string): number {
  if (typeof value === 'number' && value > 0 && value < 100) {
    const text = String(value);
    throw new TypeError(`${path} is in milliseconds if it is a number: write '${text}s' or '${text}ms', got ${text}`);
  }
  return durationMs(value, path, { min: 0, max: LARGEST_TOLERANCE });
}

/** A copy: the application may change its object later, or use it for the next issuer. */
function copiedClaims(claims: Readonly<Record<string, RequiredClaim>>): Readonly<Record<string, RequiredClaim>> {
  return Object.fromEntries(
    Object.entries(claims).map(([name, value]) => [name, isList(value) ? [...value] : value] as const),
  );
}

/** `Array.isArray` does not tell a list that is read-only. */
function isList(value: RequiredClaim): value is readonly Scalar[] {
  return Array.isArray(value);
}

const KEY_OPTIONS = ['jwksUri', 'secret', 'publicKey', 'discover'] as const;

function keySource(options: IssuerOptions, optionName: string, { clock, onKeyEvent }: IssuerSurroundings): KeySource {
  const given = KEY_OPTIONS.filter((name) => options[name] !== undefined && options[name] !== false);
  if (given.length !== 1) {
    throw new TypeError(
      `${optionName} must have exactly one of ${KEY_OPTIONS.join(', ')}, got ${gotOf(options, given, KEY_OPTIONS)}`,
    );
  }
  const { issuer, jwksUri, discover, keysMaxAge: maxAge = '10m' } = options;
  const keysMaxAge = durationMs(maxAge, `${optionName}.keysMaxAge`, { min: '1s', max: '1y' });
  const { keysMaxStale: maxStale = Math.max(DAY, keysMaxAge) } = options;
  const keysMaxStale = durationMs(maxStale, `${optionName}.keysMaxStale`, { min: keysMaxAge, max: '1y' });
  if (jwksUri === undefined && discover !== true) {
    return staticKeys(options, optionName, (skipped) => onKeyEvent({ kind: 'skipped', ...skipped }));
  }
  const uri = jwksUri ?? { discover: issuer };
  const algorithms = checkAlgorithms(options.algorithms, optionName);
  const shownUri = jwksUri?.toString();
  function onEvent(event: KeyEvent): void {
    if (event.kind === 'down') warnKeysDown(issuer, shownUri, event.error);
    onKeyEvent(event);
  }
  return jwksKeys({ uri, keysMaxAge, keysMaxStale, algorithms, clock, onEvent }, optionName);
}

/** Which of several options were given, for a message; and which were given as undefined, if that is all. */
export function gotOf(options: object, given: readonly string[], names: readonly string[]): string {
  if (given.length > 0) return given.join(' and ');
  const unset = names.find((name) => Object.hasOwn(options, name) && Reflect.get(options, name) === undefined);
  return unset === undefined ? 'none of them' : `none of them: ${unset} is undefined`;
}

const DAY = 86_400_000;

/** Takes over only what a profile has, and never freezes an object of the application. */
function checkedProfile(profile: (claims: Claims) => unknown, path: string): (claims: Claims) => Profile {
  return function checkedProfileOf(claims) {
    const found = profile(claims);
    refusePromise(found, `${path} must return an object such as { name, email }, not a promise of it`);
    if (!isObject(found)) {
      throw new TypeError(`${path} must return an object such as { name, email }, got ${kindOf(found)}`);
    }
    const [name, username, email] = ['name', 'username', 'email'].map((member) => textOf(found, member));
    const { orgs }: Pick<Profile, 'orgs'> = found;
    return { ...profileOf({ name, username, email }), ...(Array.isArray(orgs) && { orgs: structuredClone(orgs) }) };
  };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

function isType(value: unknown): boolean {
  return value === null || typeof value === 'string';
}

function isScalar(value: unknown): boolean {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}
