/** The login hand-off: a provider redirects back with `?token=`, which becomes a cookie and is removed from the URL. */

import { timingSafeEqual } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { checkOptions, isObject, type OptionKinds } from '../core/check.js';
import { isLoginError, LoginError } from '../core/errors.js';
import { tokenRefused, type Emit } from '../core/events.js';
import { passOn } from '../core/hooks.js';
import type { AppRequest } from './app-request.js';
import { createCookieClearer } from './cookie.js';
import type { Fail } from './gates.js';
import { pathOf, wholeUrl } from './request.js';
import { isOver, redirect, type Handler } from './respond.js';
import { createSignIn, type SignInParts } from './sign-in.js';
import { createValueSource } from './token-source.js';
import type { CookieSource, TokenFunction } from './token-source-option.js';

export interface HandoffOptions {
  /** The query parameter with the token. Default `'token'`. */
  readonly parameter?: string;
  /**
   * What `?state=` must be: the value of a cookie that your sign-in route set, which is then cleared, or a function that
   * returns the value (from a server-side session, for example). It shows that the login began in this browser. Without it,
   * another site can sign its visitors in to your site as a user of its choice (login CSRF, RFC 6749, section 10.12).
   * `false` accepts that, for a provider that cannot return a state.
   */
  readonly state: HandoffState;
}

export type HandoffState = CookieSource | TokenFunction | false;

export interface HandoffParts extends SignInParts {
  readonly fail: Fail;
  readonly emit: Emit;
}

const HANDOFF_OPTIONS: OptionKinds<HandoffOptions> = {
  parameter: {
    accepts: (value) => typeof value === 'string' && value !== '' && value !== 'state',
    words: "the name of a query parameter other than 'state'",
  },
  state: {
    accepts: (value) => value === false || typeof value === 'function' || isObject(value),
    words: "{ cookie: 'name' }, a function or false",
  },
};

/**
 * On a GET with the token in the query: sets the cookie if token and session are valid, and redirects (303) to the same
 * URL without the token. Everything else goes to `next`. Throws a `TypeError` if an option is invalid.
 */
export function createHandoff(parts: HandoffParts, options: HandoffOptions): Handler {
  const { fail, emit } = parts;
  const { parameter, state } = checkHandoff(options);
  const expectedState = state === false ? null : createValueSource(state, 'handoff(): state');
  const signIn = createSignIn(parts, 'handoff()');
  const clearState = typeof state === 'object' ? createCookieClearer(state.cookie) : null;
  const taken = state === false ? [parameter] : [parameter, 'state'];

  async function accept(req: AppRequest, res: ServerResponse, parameters: readonly Parameter[]): Promise<void> {
    if (expectedState !== null) requireState(valuesOf(parameters, 'state'), expectedState(req));
    const [text = '', ...others] = valuesOf(parameters, parameter);
    if (others.length > 0) throw new LoginError('token_malformed', 'There is more than one token in the query');
    await signIn(req, res, text);
    clearState?.(res);
  }

  return function handoffMiddleware(req: AppRequest, res, next) {
    const url = wholeUrl(req);
    const parameters = req.method === 'GET' ? parametersOf(url) : [];
    if (valuesOf(parameters, parameter).length === 0) {
      next();
      return;
    }
    const rest = parameters.filter(({ name }) => !taken.includes(name)).map(({ written }) => written);
    const query = rest.length === 0 ? '' : `?${rest.join('&')}`;
    const target = addressOf(url, query);
    replaceQuery(req, query);
    if (!res.headersSent) res.setHeader('Referrer-Policy', 'no-referrer');

    accept(req, res, parameters)
      .then(
        () => redirect(res, target),
        (error: unknown) => {
          // Somebody else has answered meanwhile, for example at a timeout.
          if (isOver(res)) return;
          if (isBadHandoff(error) && !res.headersSent) {
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

function checkHandoff(value: unknown = {}): Required<HandoffOptions> {
  // Each value was checked for the type that the interface says.
  const options = checkOptions<HandoffOptions>(value, 'handoff()', HANDOFF_OPTIONS) as Partial<HandoffOptions>;
  const { parameter = 'token', state } = options;
  if (state === undefined) throw new TypeError(STATE_MISSING);
  return { parameter, state };
}

const STATE_MISSING =
  "handoff() needs the option state: { cookie: 'login_state' }, the cookie in which your sign-in route keeps the state that it " +
  'sends to the provider, or a function that returns this state. Otherwise another site could sign its visitors in to ' +
  'yours as a user of its choice. If your provider cannot return a state, write state: false';

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
