/** The gates in front of an application's handlers: `required()` refuses, `optional()` never does. */

import type { ServerResponse } from 'node:http';
import { REQUIRED_ADVICE } from '../core/advice.js';
import { aBoolean, checkOptions, neverUndefined, type OptionKinds } from '../core/check.js';
import { isLoginError, LoginError } from '../core/errors.js';
import { passOn } from '../core/hooks.js';
import type { VerifiedToken } from '../tokens/verify.js';
import type { Authenticator } from './authenticate.js';
import type { AppRequest } from './request.js';
import type { Handler, Next, Present, Refuse } from './respond.js';

export interface RequiredOptions {
  /** Scopes that the token must all have: a list, or words in a string. Default: none. */
  readonly scope?: string | readonly string[];
  /** Asks the store on this request, whatever this process knows. Default false. */
  readonly fresh?: boolean;
}

/** What a gate uses of the authenticator. */
type Gatekeeper = Pick<Authenticator<unknown>, 'enter' | 'dismiss' | 'excuse'>;

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
export function createRequired(authenticator: Gatekeeper, fail: Fail, options: RequiredOptions = {}): Handler {
  const { scope, fresh } = checkRequired(options);
  const check = scope.length === 0 ? undefined : (token: VerifiedToken) => requireScope(token, scope);

  return function requiredMiddleware(req, res, next) {
    try {
      const entered = authenticator.enter(req, fresh, check);
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
      const entered = authenticator.enter(req, false);
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
};

function checkRequired(value: unknown): { readonly scope: readonly string[]; readonly fresh: boolean } {
  const { scope, fresh } = checkOptions<RequiredOptions>(value, 'required()', REQUIRED_OPTIONS, {
    advice: REQUIRED_ADVICE,
  });
  return { scope: scope === undefined ? [] : wordsOf(scope).map(String), fresh: fresh === true };
}

function wordsOf(scope: unknown): readonly unknown[] {
  if (typeof scope === 'string') return scope.split(' ').filter((word) => word !== '');
  return Array.isArray(scope) ? scope : [];
}

function requireScope({ scopes }: VerifiedToken, scope: readonly string[]): void {
  const missing = scope.filter((word) => !scopes.includes(word));
  if (missing.length === 0) return;
  throw new LoginError('scope_missing', `The token lacks the scope ${missing.join(' ')}`, { scope });
}
