/** The login hand-off: a provider sends the browser back with `?token=`, which becomes a cookie and leaves the address. */

import type { ServerResponse } from 'node:http';
import { stringifySetCookie } from 'cookie';
import { LoginError } from '../core/errors.js';
import type { Emit } from '../core/events.js';
import { tokenEndsAt } from '../core/policy.js';
import type { Ledger } from '../ledger/ledger.js';
import type { VerifiedToken, Verifier } from '../tokens/verify.js';
import { isSame, type LoginMiddleware } from './middleware.js';
import {
  createTextSource,
  isCookieName,
  pathOf,
  RequestSighting,
  type AppRequest,
  type ClientAddress,
  type TokenSourceOption,
} from './request.js';
import { createCookieClearer, redirect, type Handler } from './respond.js';

export interface HandoffOptions {
  /** The cookie that takes the token. Default: the one that the option `from` reads; needed where `from` is a function. */
  readonly cookie?: string;
  /** The query parameter that brings the token. Default `'token'`. */
  readonly parameter?: string;
  /**
   * What `?state=` must be: the value of a cookie that your sign-in route set, which is then used up, or a function that
   * returns it (from a server-side session, say). Without this, another site can sign its visitors in to yours as somebody
   * of its choice (login CSRF, RFC 6749, section 10.12). Default: not looked at.
   */
  readonly state?: TokenSourceOption;
}

/** What the hand-off is put together from; each part is prepared once. */
export interface HandoffParts {
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly ledger: Pick<Ledger, 'judge'>;
  readonly login: Pick<LoginMiddleware<unknown>, 'fail'>;
  readonly clock: { now(): number };
  readonly clientAddress: ClientAddress;
  readonly isSecure: (req: AppRequest) => boolean;
  /** The cookie that is read, null where a function reads. */
  readonly cookie: string | null;
  readonly emit: Emit;
}

/** Longest name and value together that browsers keep (RFC 6265bis, section 5.6). */
const COOKIE_LIMIT = 4096;

/**
 * On a GET with the token in its query: sets the cookie if token and session are good, and redirects (303) to the same
 * address without it. Everything else goes to `next`. Throws a `TypeError` where an option is wrong.
 */
export function createHandoff(parts: HandoffParts, options: HandoffOptions = {}): Handler {
  const { verifier, ledger, login, clock, clientAddress, isSecure, emit } = parts;
  const { cookie, parameter } = checkOptions(options, parts.cookie);
  const { state } = options;
  const expectedState = state === undefined ? undefined : createTextSource(state, 'handoff(): state');
  const clearState = createCookieClearer(typeof state === 'object' ? state.cookie : null);
  const taken = state === undefined ? [parameter] : [parameter, 'state'];

  async function check(req: AppRequest, parameters: readonly Parameter[], text: string): Promise<VerifiedToken> {
    if (expectedState !== undefined) requireState(valuesOf(parameters, 'state'), expectedState(req));
    if (valuesOf(parameters, parameter).length > 1) {
      throw new LoginError('token_malformed', 'There is more than one token in the query');
    }
    if (cookie.length + text.length > COOKIE_LIMIT) {
      throw new LoginError('token_too_large', 'The token is longer than a cookie can be');
    }
    // Now: once the client is gone its socket no longer knows the address.
    const sighting = new RequestSighting(req, clock.now(), clientAddress).settle();
    const token = await verifier.verify(text);
    await ledger.judge(token, sighting, false);
    return token;
  }

  function keep(req: AppRequest, res: ServerResponse, { times }: VerifiedToken, text: string): void {
    const endsAt = tokenEndsAt(times);
    const set = stringifySetCookie({
      name: cookie,
      value: text,
      path: '/',
      httpOnly: true,
      secure: isSecure(req) || /^__(?:Host|Secure)-/i.test(cookie),
      sameSite: 'lax',
      maxAge: Math.max(0, Math.floor((endsAt - clock.now()) / 1000)),
      expires: new Date(endsAt),
    });
    res.appendHeader('Set-Cookie', set);
    clearState(res);
  }

  return function handoffMiddleware(req: AppRequest, res, next) {
    const url = typeof req.originalUrl === 'string' ? req.originalUrl : (req.url ?? '');
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
          keep(req, res, token, text);
          redirect(res, target);
        },
        (error: unknown) => {
          if (isBadHandoff(error)) {
            emit('tokenRefused', { code: error.code, error });
            redirect(res, target);
          } else {
            login.fail(error, req, res, next);
          }
        },
      )
      .catch(next);
  };
}

/** Not what cannot be told, which a reload may settle, and not a full house, which a new login would not. */
function isBadHandoff(error: unknown): error is LoginError {
  return error instanceof LoginError && (error.status === 401 || error.code === 'cross_site');
}

/** One parameter of a query: what it says, and how that is written there. */
interface Parameter {
  readonly name: string;
  readonly value: string;
  readonly written: string;
}

function parametersOf(url: string): readonly Parameter[] {
  const [, query = ''] = /^[^?#]*\?([^#]*)/.exec(url) ?? [];
  return query.split('&').map((written) => {
    // Its leading question mark would be taken for the beginning of a query.
    const [[name, value] = ['', '']] = new URLSearchParams(written.replace(/^\?/, '%3F'));
    return { name, value, written };
  });
}

/** An empty one says nothing. */
function valuesOf(parameters: readonly Parameter[], name: string): readonly string[] {
  return parameters.filter((each) => each.name === name && each.value !== '').map(({ value }) => value);
}

/** Access logs are written when the answer is out: they are not to have the token. */
function replaceQuery(req: AppRequest, query: string): void {
  req.url = (req.url ?? '').replace(/[?#].*$/s, '') + query;
  if (typeof req.originalUrl === 'string') req.originalUrl = req.originalUrl.replace(/[?#].*$/s, '') + query;
}

/** The same path with another query; never another host's: `//host` and `/\host` would be, and a browser skips over tabs. */
function addressOf(url: string, query: string): string {
  const path = printable(pathOf(url)).replace(/^[/\\]+/, '');
  return `/${path}${printable(query)}`;
}

/** Node reads an address byte by byte. */
function printable(text: string): string {
  return text.replace(/[^\x21-\x7e]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Compared in constant time: it is a secret of this browser's. */
function requireState(given: readonly string[], expected: string | undefined): void {
  const [state = ''] = given;
  if (expected === undefined || given.length !== 1 || !isSame(state, expected)) {
    throw new LoginError('cross_site', 'This login was not begun in this browser');
  }
}

const NAMES = ['cookie', 'parameter', 'state'];

function checkOptions(options: unknown, usual: string | null): Required<Pick<HandoffOptions, 'cookie' | 'parameter'>> {
  if (typeof options !== 'object' || options === null) throw new TypeError(`handoff() takes { ${NAMES.join(', ')} }`);
  const unknown = Object.keys(options).find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(`handoff() has no option ${JSON.stringify(unknown)}: it takes { ${NAMES.join(', ')} }`);
  }
  const { cookie = usual, parameter = 'token' }: { cookie?: unknown; parameter?: unknown } = options;
  if (cookie === null)
    throw new TypeError('handoff() needs { cookie }: with a function as from it cannot know the name');
  if (!isCookieName(cookie)) throw new TypeError("handoff(): cookie must be a valid cookie name such as 'login_token'");
  if (typeof parameter !== 'string' || parameter === '' || parameter === 'state') {
    throw new TypeError("handoff(): parameter must be the name of a query parameter other than 'state'");
  }
  return { cookie, parameter };
}
