/** Turns an unknown payload into checked claims: a table of checks, each with its error code (RFC 7519, section 4.1). */

import { kindOf } from './check.js';
import { A_DATE, IN_TIME, tokenTimes, type TimeRules } from './claim-times.js';
import { claimOf, isClaims, standardProfile, type Claims, type Profile } from './claims.js';
import { diagnosed, namesDiffer, shown, shownChoice, type Diagnosis } from './diagnosis.js';
import { tokenRefused } from './events.js';
import { isLoginError, LoginError, type LoginErrorCode } from './errors.js';
import { refusePromise } from './hooks.js';
import type { TokenTimes } from './session.js';

/** What a claim can be compared to. */
export type Scalar = string | number | boolean | null;

/**
 * What a claim must be: this value, one of these values, or what the predicate accepts by returning `true`. The predicate
 * gets `undefined` for an absent claim. If it returns anything else, or throws, the token is refused; if it returns a promise,
 * `next` gets a `TypeError`. A claim that is a list equals no value: use a predicate for it.
 */
export type RequiredClaim = Scalar | readonly Scalar[] | ((value: unknown) => boolean);

/** Whether a token that is bound to a key is refused, or taken as if it were not bound. */
export type SenderConstrained = 'refuse' | 'ignore';

/** What the tokens of one issuer must claim. Durations in milliseconds. */
export interface ClaimRules extends TimeRules {
  /** The exact `iss`. */
  readonly issuer: string;
  /** Whether its tokens have no `iss`; one that has is then refused, and `issuer` is only a name. Default false. */
  readonly withoutIssuer?: boolean;
  /** One of these must be in `aud`. Default: `aud` is not checked. */
  readonly audience?: string | readonly string[];
  readonly claims?: Readonly<Record<string, RequiredClaim>>;
  /** The claim that identifies the user, or a function that returns the subject. Default `sub`. */
  readonly subject?: string | ((claims: Claims) => string);
  /** What to do with a token that is bound to a key (`cnf`). Default `refuse`. */
  readonly senderConstrained?: SenderConstrained;
  /** Default {@link standardProfile}. */
  readonly profile?: (claims: Claims) => Profile;
  /** Default: the words of `scope`, or of `scp` if there is no `scope`. */
  readonly scopes?: (claims: Claims) => readonly string[];
}

/** What passed every check. */
export interface CheckedClaims {
  readonly issuer: string;
  readonly subject: string;
  readonly profile: Profile;
  /** What {@link ClaimRules.scopes} returns. By default, the words of `scope`, or those of `scp` if there is no `scope`. */
  readonly scopes: readonly string[];
  readonly times: TokenTimes;
}

interface Check<Given extends readonly unknown[] = [ClaimRules]> {
  readonly code: LoginErrorCode;
  readonly says: string;
  readonly holds: (claims: Claims, ...given: Given) => boolean;
  /** For a check that failed. */
  readonly diagnose: (claims: Claims, ...given: Given) => Diagnosis;
}

/** The last moment that a `Date` can hold, in seconds either side of 1970. */
const LAST_DATE = 8.64e12;

const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';

const NO_LOGOUT_TOKEN: Check<[]> = {
  code: 'type_refused',
  says: 'A logout token is not a login token',
  holds: (claims) => !isLogoutToken(claims),
  diagnose: (claims) => ({ claim: 'events', got: shown(claimOf(claims, 'events')), expected: 'no logout event' }),
};

function validDate(name: string): Check<[]> {
  return {
    code: 'claim_invalid',
    says: `The claim ${name} is not a valid date`,
    holds: (claims) => isDateOrAbsent(claimOf(claims, name)),
    diagnose: (claims) => ({ claim: name, got: shown(claimOf(claims, name)), expected: A_DATE }),
  };
}

const VALID_DATES = ['exp', 'nbf', 'iat', 'session_expiry'].map(validDate);

const AUDIENCE: Check<[Pick<ClaimRules, 'audience'>]> = {
  code: 'audience_refused',
  says: 'The token is for another audience',
  holds: hasAudience,
  diagnose: (claims, { audience = [] }) =>
    namesDiffer('aud', claimOf(claims, 'aud'), typeof audience === 'string' ? [audience] : audience),
};

const CHECKS: readonly Check[] = [
  NO_LOGOUT_TOKEN,
  {
    code: 'issuer_refused',
    says: 'The issuer is not configured',
    holds: hasIssuer,
    diagnose: (claims, { issuer, withoutIssuer }) =>
      namesDiffer('iss', claimOf(claims, 'iss'), withoutIssuer === true ? [] : [issuer]),
  },
  AUDIENCE,
  ...VALID_DATES,
  {
    ...validDate('auth_time'),
    holds: (claims, { began }) => began !== 'auth_time' || isDateOrAbsent(claimOf(claims, 'auth_time')),
  },
  {
    code: 'claim_invalid',
    says: 'A claim does not have the required value',
    holds: (claims, rules) => differingClaim(claims, rules) === undefined,
    diagnose: (claims, rules) => claimDiffers(claims, differingClaim(claims, rules)),
  },
  {
    code: 'proof_required',
    says: 'The token is bound to a key (cnf), and the request does not prove that its sender has that key',
    holds: isBearer,
    diagnose: () => ({ claim: 'cnf', got: 'a binding to a key', expected: 'none, or senderConstrained: ignore' }),
  },
];

/**
 * Checks the claims of a token whose signature is valid. `now` is in milliseconds since 1970.
 *
 * A token is valid while `now < exp + clockTolerance`, and from `nbf - clockTolerance` and `iat - clockTolerance` on. Its
 * session ends at `session_expiry` (IPSIE) at the latest. Fractions of seconds count.
 *
 * Throws `LoginError`: `token_malformed`, `type_refused`, `issuer_refused`, `audience_refused`, `claim_invalid`,
 * `proof_required`, `token_expired`, `token_not_yet_valid`, or `session_expired` if the session is past its lifetime or
 * `session_expiry`. Throws `TypeError` if `lifetime` returns anything but null or a positive, finite number, if a function of
 * the rules returns a promise, or if `scopes` does not return a list. It passes on whatever else a function of the rules
 * throws.
 */
export function checkClaims(payload: unknown, rules: ClaimRules, now: number): CheckedClaims {
  if (!isClaims(payload)) throw new LoginError('token_malformed', 'The payload is not a JSON object');
  refuseFailed(payload, CHECKS, rules);
  const subject = subjectOf(payload, rules);
  const times = tokenTimes(payload, rules, now);
  for (const { refuse } of IN_TIME) refuse(payload, times, rules.clockTolerance, now);
  return {
    issuer: rules.issuer,
    subject,
    profile: (rules.profile ?? standardProfile)(payload),
    scopes: scopesOf(payload, rules),
    times,
  };
}

/** A claim for which a token is refused, and what the error says. */
export interface Refusal {
  readonly claim: string;
  readonly error: LoginError;
}

/**
 * Every reason for which {@link checkClaims} would refuse these claims, in the order of its checks. Empty: it accepts them.
 * Throws what it throws, apart from `LoginError`.
 */
export function refusalsOf(claims: Claims, rules: ClaimRules, now: number): readonly Refusal[] {
  const refusals: Refusal[] = [];
  for (const check of CHECKS) attempt('', () => refuseFailed(claims, [check], rules));
  attempt('', () => subjectOf(claims, rules));
  const times = attempt('', () => tokenTimes(claims, rules, now));
  if (times === undefined) return refusals;
  for (const { claim, refuse } of IN_TIME) attempt(claim, () => refuse(claims, times, rules.clockTolerance, now));
  return refusals;

  /** An error without a diagnosis is about `claim`. */
  function attempt<Result>(claim: string, check: () => Result): Result | undefined {
    try {
      return check();
    } catch (error) {
      if (!isLoginError(error)) throw error;
      refusals.push({ claim: tokenRefused(error).diagnosis?.claim ?? claim, error });
      return undefined;
    }
  }
}

/** The checks that no option can change, for claims that nobody may have signed. Throws `LoginError`. */
export function checkFixed(claims: Claims): void {
  refuseFailed(claims, [NO_LOGOUT_TOKEN, ...VALID_DATES]);
}

/** Whether `exp`, `nbf` and `iat` are valid dates, if they are there. Throws `LoginError` `claim_invalid`. */
export function checkDates(claims: Claims): void {
  refuseFailed(claims, VALID_DATES);
}

/** Whether one of these names is in `aud`. Throws `LoginError` `audience_refused`. */
export function checkAudience(claims: Claims, audience: readonly string[]): void {
  refuseFailed(claims, [AUDIENCE], { audience });
}

function refuseFailed<Given extends readonly unknown[]>(
  claims: Claims,
  checks: readonly Check<Given>[],
  ...given: Given
): void {
  for (const { code, says, holds, diagnose } of checks) {
    if (!holds(claims, ...given)) throw diagnosed(new LoginError(code, says), diagnose(claims, ...given));
  }
}

/** Whether it has the event of a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.4). Its `typ` does not matter. */
export function isLogoutToken(claims: Claims): boolean {
  const events = claimOf(claims, 'events');
  return isClaims(events) && Object.hasOwn(events, LOGOUT_EVENT);
}

function hasIssuer(claims: Claims, rules: ClaimRules): boolean {
  return rules.withoutIssuer === true ? !Object.hasOwn(claims, 'iss') : claimOf(claims, 'iss') === rules.issuer;
}

function hasAudience(claims: Claims, rules: Pick<ClaimRules, 'audience'>): boolean {
  if (rules.audience === undefined) return true;
  const audience = claimOf(claims, 'aud');
  const meant: readonly unknown[] = Array.isArray(audience) ? audience : [audience];
  const wanted: readonly unknown[] = typeof rules.audience === 'string' ? [rules.audience] : rules.audience;
  return meant.every((name) => typeof name === 'string') && meant.some((name) => wanted.includes(name));
}

/** RFC 7800: `cnf` binds a token to a key, by DPoP (RFC 9449) or by mutual TLS (RFC 8705). Its value does not matter. */
function isBearer(claims: Claims, { senderConstrained }: ClaimRules): boolean {
  return senderConstrained === 'ignore' || !Object.hasOwn(claims, 'cnf');
}

function subjectOf(claims: Claims, { subject: by = 'sub' }: ClaimRules): string {
  const subject: unknown = typeof by === 'function' ? by(claims) : claimOf(claims, by);
  refusePromise(subject, 'subject must return the subject itself, not a promise of it');
  // Databases store UTF-8, which turns every lone surrogate into the same character: two such subjects would be one user.
  if (typeof subject === 'string' && subject !== '' && subject.isWellFormed()) return subject;
  throw diagnosed(new LoginError('claim_invalid', 'The subject is not a non-empty string'), {
    claim: typeof by === 'function' ? 'the subject' : by,
    got: shown(subject),
    expected: 'a non-empty string',
  });
}

function isDateOrAbsent(value: unknown): boolean {
  return value === undefined || (typeof value === 'number' && Math.abs(value) <= LAST_DATE);
}

type RequiredEntry = readonly [name: string, required: RequiredClaim];

/** The first claim that is not as required. */
function differingClaim(claims: Claims, rules: ClaimRules): RequiredEntry | undefined {
  return Object.entries(rules.claims ?? {}).find(([name, required]) => !isAsRequired(claimOf(claims, name), required));
}

function claimDiffers(claims: Claims, [claim, required]: RequiredEntry = ['', null]): Diagnosis {
  const values: readonly unknown[] = Array.isArray(required) ? required : [required];
  const expected = typeof required === 'function' ? 'what the predicate of claims accepts' : shownChoice(values);
  return { claim, got: shown(claimOf(claims, claim)), expected };
}

function isAsRequired(value: unknown, required: RequiredClaim): boolean {
  if (typeof required === 'function') return accepts(required, value);
  const allowed: readonly unknown[] = Array.isArray(required) ? required : [required];
  return allowed.includes(value);
}

/** The sender chooses the value: one that the predicate does not expect must not cause a 500. */
function accepts(predicate: (value: unknown) => unknown, value: unknown): boolean {
  let answer: unknown;
  try {
    answer = predicate(value);
  } catch {
    return false;
  }
  refusePromise(answer, 'A predicate of claims must return true or false, not a promise');
  return answer === true;
}

/** By `scope` (RFC 9068, section 2.2.3), or by `scp` only if there is no `scope`: an empty `scope` grants nothing. */
function standardScopes(claims: Claims): readonly string[] {
  const value = claimOf(claims, Object.hasOwn(claims, 'scope') ? 'scope' : 'scp');
  return typeof value === 'string' ? words(value.split(' ')) : words(Array.isArray(value) ? value : []);
}

function scopesOf(claims: Claims, { scopes }: ClaimRules): readonly string[] {
  if (scopes === undefined) return standardScopes(claims);
  const found: unknown = scopes(claims);
  refusePromise(found, 'scopes must return a list of strings, not a promise of it');
  if (!Array.isArray(found)) throw new TypeError(`scopes must return a list of strings, got ${kindOf(found)}`);
  return words(found);
}

/** A new list, because an application's own must not be frozen. */
function words(list: readonly unknown[]): readonly string[] {
  return list.filter((word) => typeof word === 'string').filter((word) => word !== '');
}
