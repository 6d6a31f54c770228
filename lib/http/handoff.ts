/** The login hand-off: a provider redirects back with `?token=`, which becomes a cookie and is removed from the URL. */

import { timingSafeEqual } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { anything, checkOptions, type OptionKinds } from '../core/check.js';
import { tokenRefused } from '../core/diagnosis.js';
import { isLoginError, LoginError } from '../core/errors.js';
import type { Emit } from '../core/events.js';
import { passOn } from '../core/hooks.js';
import { tokenEndsAt } from '../core/policy.js';
import type { Ledger } from '../ledger/ledger.js';
import type { VerifiedToken, Verifier } from '../tokens/verify.js';
import type { Authenticator } from './authenticate.js';
import type { ClientAddress } from './client-address.js';
import { COOKIE_LIMIT, createCookieClearer, type LoginCookie } from './cookie.js';
import type { Fail } from './gates.js';
import { pathOf, RequestSighting, wholeUrl, type AppRequest } from './request.js';
import { redirect, type Handler } from './respond.js';
import { createValueSource, type TokenSourceOption } from './token-source.js';

export interface HandoffOptions {
  /** The query parameter with the token. Default `'token'`. */
  readonly parameter?: string;
  /**
   * What `?state=` must be: the value of a cookie that your sign-in route set, which is then cleared, or a function that
   * returns the value (from a server-side session, for example). Without it, another site can sign its visitors in to your
   * site as a user of its choice (login CSRF, RFC 6749, section 10.12). Default: not checked.
   */
  readonly state?: TokenSourceOption;
}

/** Each part is prepared once. */
export interface HandoffParts {
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly ledger: Pick<Ledger, 'judge'>;
  readonly authenticator: Pick<Authenticator<unknown>, 'userOf'>;
  readonly clock: { now(): number };
  readonly clientAddress: ClientAddress;
  /** Null if a function reads the token and the option `cookie` has no name. */
  readonly cookie: LoginCookie | null;
  readonly fail: Fail;
  readonly emit: Emit;
}

const HANDOFF_OPTIONS: OptionKinds<HandoffOptions> = {
  parameter: {
    accepts: (value) => typeof value === 'string' && value !== '' && value !== 'state',
    words: "the name of a query parameter other than 'state'",
  },
  state: anything,
};

/**
 * On a GET with the token in the query: sets the cookie if token and session are valid, and redirects (303) to the same
 * URL without the token. Everything else goes to `next`. Throws a `TypeError` if an option is invalid.
 */
export function createHandoff(parts: HandoffParts, options: HandoffOptions = {}): Handler {
  const { fail, emit } = parts;
  checkOptions<HandoffOptions>(options, 'handoff()', HANDOFF_OPTIONS);
  const { parameter = 'token', state } = options;
  const check = createHandoffCheck(parts, options);
  const cookie = requireCookie(parts.cookie);
  const clearState = typeof state === 'object' ? createCookieClearer(state.cookie) : null;
  const taken = state === undefined ? [parameter] : [parameter, 'state'];

  function accept(req: AppRequest, res: ServerResponse, { times }: VerifiedToken, text: string): void {
    cookie.write(req, res, text, tokenEndsAt(times));
    clearState?.(res);
  }

  return function handoffMiddleware(req: AppRequest, res, next) {
    const url = wholeUrl(req);
    const parameters = req.method === 'GET' ? parametersOf(url) : [];
    const [text] = valuesOf(parameters, parameter);
    if (text === undefined) {
      next();
      return;
    }
    const rest = parameters.filter(({ name }) => !taken.includes(name)).map(({ written }) => written);
    const query = rest.length === 0 ? '' : `?${rest.join('&')}`;
    const target = addressOf(url, query);
    replaceQuery(req, query);
    if (!res.headersSent) res.setHeader('Referrer-Policy', 'no-referrer');

    check(req, parameters, text)
      .then(
        (token) => {
          if (res.headersSent) return;
          accept(req, res, token, text);
          redirect(res, target);
        },
        (error: unknown) => {
          if (isBadHandoff(error)) {
            emit('tokenRefused', tokenRefused(error));
            redirect(res, target);
          } else {
            fail(error, req, res, next);
          }
        },
      )
      .catch((failure: unknown) => passOn(next, failure));
  };
}

type HandoffCheck = (req: AppRequest, parameters: readonly Parameter[], text: string) => Promise<VerifiedToken>;

/** Checks state, token, session and user. */
function createHandoffCheck(parts: HandoffParts, { parameter = 'token', state }: HandoffOptions): HandoffCheck {
  const { verifier, ledger, authenticator, clock, clientAddress } = parts;
  const cookie = requireCookie(parts.cookie);
  const expectedState = state === undefined ? undefined : createValueSource(state, 'handoff(): state');
  return async function checkHandoff(req, parameters, text) {
    if (expectedState !== undefined) requireState(valuesOf(parameters, 'state'), expectedState(req));
    if (valuesOf(parameters, parameter).length > 1) {
      throw new LoginError('token_malformed', 'There is more than one token in the query');
    }
    if (cookie.name.length + text.length > COOKIE_LIMIT) {
      throw new LoginError('token_too_large', 'The token is too long for a cookie');
    }
    // Now, because once the client is gone, its socket no longer knows the address.
    const sighting = new RequestSighting(req, clock.now(), clientAddress).settle();
    const token = await verifier.verify(text);
    await ledger.judge(token, sighting, false);
    // Without a user, each request with this cookie would be refused, and lead back to the provider.
    await authenticator.userOf(token);
    return token;
  };
}

function requireCookie(cookie: LoginCookie | null): LoginCookie {
  if (cookie !== null) return cookie;
  throw new TypeError('handoff() needs the option cookie.name, because a function as from does not tell the name');
}

/** Not a 503, which a reload may solve, and not the session limit, which a new login would meet again. */
function isBadHandoff(error: unknown): error is LoginError {
  return isLoginError(error) && (error.status === 401 || error.code === 'cross_site');
}

/** One parameter of a query: its decoded name and value, and how it is written. */
interface Parameter {
  readonly name: string;
  readonly value: string;
  readonly written: string;
}

function parametersOf(url: string): readonly Parameter[] {
  const [, query = ''] = /^[^?#]*\?([^#]*)/.exec(url) ?? [];
  return query.split('&').map((written) => {
    // URLSearchParams would drop a leading question mark.
    const [[name, value] = ['', '']] = new URLSearchParams(written.replace(/^\?/, '%3F'));
    return { name, value, written };
  });
}

/** Empty values count as absent. */
function valuesOf(parameters: readonly Parameter[], name: string): readonly string[] {
  return parameters.filter((each) => each.name === name && each.value !== '').map(({ value }) => value);
}

/** Access logs are written after the response, and must not contain the token. */
function replaceQuery(req: AppRequest, query: string): void {
  req.url = (req.url ?? '').replace(/[?#].*$/s, '') + query;
  if (typeof req.originalUrl === 'string') req.originalUrl = req.originalUrl.replace(/[?#].*$/s, '') + query;
}

/** The same path with another query. Never another host: `//host` and `/\host` would be one, and browsers ignore tabs. */
function addressOf(url: string, query: string): string {
  const path = printable(pathOf(url)).replace(/^[/\\]+/, '');
  return `/${path}${printable(query)}`;
}

/** Node reads a URL as single bytes. */
function printable(text: string): string {
  return text.replace(/[^\x21-\x7e]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Compared in constant time, because it is a secret of this browser. */
function requireState(given: readonly string[], expected: string | undefined): void {
  const [state = ''] = given;
  if (expected === undefined || given.length !== 1 || !isSame(state, expected)) {
    throw new LoginError('cross_site', 'This login did not begin in this browser');
  }
}

/** In constant time, except for the length. */
function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
