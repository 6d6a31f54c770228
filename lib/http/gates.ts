/** The gates in front of an application's handlers: `required()` refuses, `optional()` never does. */

import type { ServerResponse } from 'node:http';
import { REQUIRED_ADVICE } from '../core/advice.js';
import { aBoolean, checkOptions, neverUndefined, type OptionKinds } from '../core/check.js';
import type { Duration } from '../core/duration.js';
import { isLoginError, LoginError } from '../core/errors.js';
import { passOn } from '../core/hooks.js';
import { ACR, MAX_AGE, requireSignIn, stepUpOf, type StepUp } from '../core/step-up.js';
import type { VerifiedToken } from '../tokens/verify.js';
import type { AppRequest } from './app-request.js';
import { USUAL, type Authenticator, type Judging } from './authenticate.js';
import type { Handler, Next, Present, Refuse } from './respond.js';

export interface RequiredOptions {
  /** Scopes that the token must all have: a list, or words in a string. Default: none. */
  readonly scope?: string | readonly string[];
  /** Asks the store on this request, whatever this process knows. Default false. */
  readonly fresh?: boolean;
  /**
   * How long ago the user may have signed in, by the token's `auth_time`, at least a second: `'10m'`. A token without a valid
   * `auth_time` never passes. Otherwise 401 `insufficient_user_authentication`, with `max_age` in the challenge (RFC 9470).
   * The issuer's `clockTolerance` applies. Default: the sign-in may be of any age.
   */
  readonly maxAge?: Duration;
  /**
   * How the user must have signed in: the token's `acr` must equal this value, or one of a list. Otherwise 401
   * `insufficient_user_authentication`, with `acr_values` in the challenge (RFC 9470). Default: in any way.
   */
  readonly acr?: string | readonly string[];
  /**
   * False: the request, such as a poll, is judged like any other, but does not count as use of the session. It does not change
   * the last-seen time, address or user agent, and does not put off the idle timeout. A session that is not on record yet
   * begins with it all the same. Put this gate first: a gate without this option before it counts the request as use.
   * Default true.
   */
  readonly activity?: boolean;
}

/** What a gate uses of the authenticator. */
type Gatekeeper = Pick<Authenticator<unknown>, 'enter' | 'dismiss' | 'excuse'>;

/** What says whether a sign-in is recent. */
export interface SignInParts {
  readonly clock: { now(): number };
  readonly policyOf: (issuer: string) => { readonly clockTolerance: number };
}

export interface RequiredParts extends SignInParts {
  readonly authenticator: Gatekeeper;
  readonly fail: Fail;
}

/** Throws `LoginError`, or passes. */
export type TokenCheck = (token: VerifiedToken) => void;

/** Answers a `LoginError`; anything else goes to `next`. */
export type Fail = (error: unknown, req: AppRequest, res: ServerResponse, next: Next, present?: Present) => void;

export function createFail(authenticator: Pick<Gatekeeper, 'dismiss'>, refuse: Refuse): Fail {
  return function fail(error, req, res, next, present) {
    if (!isLoginError(error)) {
      passOn(next, error);
      return;
    }
    try {
      authenticator.dismiss(req, error);
    } catch (failure) {
      // A request that cannot be written to.
      passOn(next, failure);
      return;
    }
    refuse(error, req, res, next, present);
  };
}

/** Refuses a request without a live session. Throws a `TypeError` if an option is invalid. */
export function createRequired(parts: RequiredParts, options: RequiredOptions = {}): Handler {
  const { authenticator, fail } = parts;
  const { scope, how, stepUp } = checkRequired(options);
  const check = both(scopeCheck(scope), signInCheck(stepUp, parts));

  return function requiredMiddleware(req, res, next) {
    try {
      const entered = authenticator.enter(req, how, check);
      if (entered !== undefined) {
        entered.then(
          () => next(),
          (error: unknown) => fail(error, req, res, next),
        );
        return;
      }
    } catch (error) {
      fail(error, req, res, next);
      return;
    }
    next();
  };
}

/**
 * Never refuses: `req.user` is set, or `req.loginError` says why not. If nobody is logged in, a `req.user` of another
 * middleware is kept.
 */
export function createOptional(authenticator: Gatekeeper, options: unknown = {}): Handler {
  checkOptions(options, 'optional()', {});
  function excuse(error: unknown, req: AppRequest, next: Next): void {
    if (!isLoginError(error)) {
      passOn(next, error);
      return;
    }
    try {
      authenticator.excuse(req, error);
    } catch (failure) {
      // A request that cannot be written to.
      passOn(next, failure);
      return;
    }
    next();
  }

  return function optionalMiddleware(req, _res, next) {
    try {
      const entered = authenticator.enter(req, USUAL);
      if (entered !== undefined) {
        entered.then(
          () => next(),
          (error: unknown) => excuse(error, req, next),
        );
        return;
      }
    } catch (error) {
      excuse(error, req, next);
      return;
    }
    next();
  };
}

/** RFC 6749, section 3.3. */
const SCOPE_WORD = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

const REQUIRED_OPTIONS: OptionKinds<RequiredOptions> = {
  scope: neverUndefined(
    {
      accepts: (value) => {
        const words = wordsOf(value);
        return words.length > 0 && words.every((word) => typeof word === 'string' && SCOPE_WORD.test(word));
      },
      words: "a string of words such as 'orders:read', or a list of them, with at least one",
    },
    'leave it out if no scope is needed',
  ),
  fresh: aBoolean,
  maxAge: MAX_AGE,
  acr: ACR,
  activity: aBoolean,
};

interface CheckedRequired {
  readonly scope: readonly string[];
  readonly how: Judging;
  readonly stepUp: StepUp | undefined;
}

function checkRequired(value: unknown): CheckedRequired {
  const { scope, fresh, activity, ...asked } = checkOptions<RequiredOptions>(value, 'required()', REQUIRED_OPTIONS, {
    advice: REQUIRED_ADVICE,
  });
  return {
    scope: scope === undefined ? [] : wordsOf(scope).map(String),
    how: { fresh: fresh === true, isUse: activity !== false },
    stepUp: stepUpOf(asked, 'required()'),
  };
}

function wordsOf(scope: unknown): readonly unknown[] {
  if (typeof scope === 'string') return scope.split(' ').filter((word) => word !== '');
  return Array.isArray(scope) ? scope : [];
}

/** Scope before sign-in: signing in again does not help if the token lacks a scope. */
function both(first: TokenCheck | undefined, second: TokenCheck | undefined): TokenCheck | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return (token) => {
    first(token);
    second(token);
  };
}

/** Undefined if nothing is asked. */
export function signInCheck(stepUp: StepUp | undefined, { clock, policyOf }: SignInParts): TokenCheck | undefined {
  if (stepUp === undefined) return undefined;
  return ({ claims, user }) => requireSignIn(claims, stepUp, clock.now(), policyOf(user.issuer).clockTolerance);
}

function scopeCheck(scope: readonly string[]): TokenCheck | undefined {
  return scope.length === 0 ? undefined : (token) => requireScope(token, scope);
}

function requireScope({ scopes }: VerifiedToken, scope: readonly string[]): void {
  const missing = scope.filter((word) => !scopes.includes(word));
  if (missing.length === 0) return;
  throw new LoginError('scope_missing', `The token lacks the scope ${missing.join(' ')}`, { scope });
}
