/** The routes on which people see where they are signed in, and end it. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import Router from 'router';
import { LoginError } from '../core/errors.js';
import type { VerifiedToken } from '../tokens/verify.js';
import { createPlaces, type Account, type Locate, type SessionList, type Viewer } from './account.js';
import { fieldOf, formOf, jsonOf } from './body.js';
import { doneFrom, languageFor, messagesOffered, type Done, type MessagesOverride } from './messages.js';
import type { LoginMiddleware } from './middleware.js';
import { FORM_TOKEN_FIELD, pageHeaders, renderFragment, renderPage, type PageView } from './page.js';
import { pathOf, prefersHtml, type AppRequest, type TokenSource } from './request.js';
import {
  createCookieClearer,
  redirect,
  sendHtml,
  sendJson,
  sendNotAllowed,
  sendNothing,
  type CookieAttributes,
  type Handler,
  type Next,
  type Present,
} from './respond.js';

/** Puts the page's HTML inside the site's own; a method, so that it may ask for its framework's own request type. */
export type Layout = { wrap(html: string, req: IncomingMessage): string | Promise<string> }['wrap'];

export interface RouterOptions {
  /** A place in words for an address. What throws, or takes longer than a second, leaves null. */
  readonly locate?: Locate;
  /** The page's words, in one language or several. Default English. */
  readonly messages?: MessagesOverride | readonly MessagesOverride[];
  /** URL or path of the site's own stylesheet. */
  readonly stylesheet?: string;
  /** Then the answer has no Content-Security-Policy of ours: the page is the site's. */
  readonly layout?: Layout;
  /**
   * Where `loginUrl` itself redirects to, as paths or absolute http(s) URLs: the identity provider's login page, say. The
   * page's own policy names them, because Chromium applies `form-action` to every redirect behind a form. Default none.
   */
  readonly formTargets?: readonly string[];
  /** How the token's cookie was set, so that it can be cleared. */
  readonly cookie?: CookieAttributes;
}

export interface RouterParts {
  readonly login: Pick<LoginMiddleware<unknown>, 'caller' | 'fail' | 'formToken' | 'refuseForgery'>;
  readonly account: Account;
  readonly source: Pick<TokenSource, 'cookie'>;
  readonly clock: { now(): number };
  readonly loginUrl?: string | undefined;
}

/** Answers one route for one caller. */
type Answer = (req: AppRequest, res: ServerResponse, caller: VerifiedToken) => Promise<void>;

const OPTION_NAMES: readonly string[] = ['locate', 'messages', 'stylesheet', 'layout', 'formTargets', 'cookie'];

/** Throws a `TypeError` where an option is wrong. */
export function createRouter(parts: RouterParts, options: RouterOptions = {}): Handler {
  const { login, account } = parts;
  checkOptions(options);
  const clearCookie = createCookieClearer(parts.source.cookie, options.cookie);
  const page = createPage(parts, options);
  const placesOf = options.locate === undefined ? undefined : createPlaces(options.locate);

  function viewerOf({ handle }: VerifiedToken): Viewer {
    return { current: handle, ...(placesOf === undefined ? {} : { placesOf }) };
  }

  // What each route does

  async function list(req: AppRequest, res: ServerResponse, caller: VerifiedToken): Promise<void> {
    const query = queryOf(req);
    const limit = query.get('limit')?.trim() || undefined;
    const asked = { limit: limit === undefined ? undefined : Number(limit), cursor: query.get('cursor') };
    const sessions = await account.list(caller.user, asked, viewerOf(caller));
    if (prefersHtml(req.headers.accept)) await page.show(req, res, sessions);
    else sendJson(res, sessions);
  }

  async function get(req: AppRequest, res: ServerResponse, caller: VerifiedToken): Promise<void> {
    sendJson(res, await account.get(caller.user, handleIn(req, caller), viewerOf(caller)));
  }

  async function patch(req: AppRequest, res: ServerResponse, caller: VerifiedToken): Promise<void> {
    const label = fieldOf(await jsonOf(req), 'label');
    sendJson(res, await account.label(caller.user, handleIn(req, caller), label, viewerOf(caller)));
  }

  async function end(req: AppRequest, res: ServerResponse, caller: VerifiedToken): Promise<boolean> {
    const handle = handleIn(req, caller);
    const isOwn = handle === caller.handle;
    const signedOut = { reason: 'signed_out', by: caller.user.subject };
    await account.revoke(caller.user, handle, isOwn ? { ...signedOut, token: caller.times } : signedOut);
    if (isOwn) clearCookie(res);
    return isOwn;
  }

  async function endOthers(caller: VerifiedToken): Promise<{ readonly ended: number }> {
    const { user, handle } = caller;
    return account.revokeAll(user, { except: handle, reason: 'signed_out_others', by: user.subject });
  }

  async function endAll(res: ServerResponse, { user }: VerifiedToken): Promise<{ readonly ended: number }> {
    const outcome = await account.revokeAll(user, { reason: 'signed_out_everywhere', by: user.subject });
    clearCookie(res);
    return outcome;
  }

  // How a route is asked

  /** A promise for each request, whose rejection is answered: neither Express 4 nor Connect would wait for it. */
  function endpoint(answer: Answer): Handler {
    return function sessionsEndpoint(req: AppRequest, res, next) {
      login
        .caller(req)
        .then((caller) => answer(req, res, caller))
        .catch((error: unknown) => fail(error, req, res, next));
    };
  }

  function changing(answer: Answer): Handler {
    return endpoint((req, res, caller) => {
      login.refuseForgery(req);
      return answer(req, res, caller);
    });
  }

  /** A form answers with the page that it was on, or, where the caller is signed out by it, with the way back in. */
  function form(
    act: (req: AppRequest, res: ServerResponse, caller: VerifiedToken, fields: unknown) => Promise<Done | null>,
  ): Handler {
    return endpoint(async (req, res, caller) => {
      const fields = await formOf(req);
      login.refuseForgery(req, fieldOf(fields, FORM_TOKEN_FIELD));
      const done = await act(req, res, caller, fields);
      redirect(res, done === null ? (parts.loginUrl ?? '/') : `${mountOf(req) || '/'}?done=${done}`);
    });
  }

  function fail(error: unknown, req: AppRequest, res: ServerResponse, next: Next): void {
    login.fail(error, req, res, next, prefersHtml(req.headers.accept) ? page.showProblem : undefined);
  }

  const endForm = form(async (req, res, caller) => ((await end(req, res, caller)) ? null : 'ended'));
  const endJson = changing(async (req, res, caller) => {
    await end(req, res, caller);
    sendNothing(res);
  });
  const unknownSession = endpoint(async () => {
    throw new LoginError('session_not_found', 'There is no such session');
  });

  const routes = Router();
  routes
    .route('/')
    .get(endpoint(list))
    .delete(changing(async (_req, res, caller) => sendJson(res, await endAll(res, caller))))
    .all(only('GET, HEAD, DELETE'));
  routes
    .route('/end')
    .post(
      form(async (_req, res, caller) => {
        await endAll(res, caller);
        return null;
      }),
    )
    .all(only('POST'));
  routes
    .route('/others')
    .delete(changing(async (_req, res, caller) => sendJson(res, await endOthers(caller))))
    .all(only('DELETE'));
  routes
    .route('/others/end')
    .post(
      form(async (_req, _res, caller) => {
        await endOthers(caller);
        return 'others';
      }),
    )
    .all(only('POST'));
  routes
    .route('/:handle')
    .get(endpoint(get))
    .patch(changing(patch))
    .delete(endJson)
    .all(only('GET, HEAD, PATCH, DELETE'));
  routes.route('/:handle/end').post(endForm).all(only('POST'));
  routes
    .route('/:handle/label')
    .post(
      form(async (req, _res, caller, fields) => {
        await account.label(caller.user, handleIn(req, caller), fieldOf(fields, 'label'));
        return 'renamed';
      }),
    )
    .all(only('POST'));

  // A path that cannot be decoded names no session either.
  routes.use(function undecodable(error: unknown, req: IncomingMessage, res: ServerResponse, next: Next) {
    if (error instanceof URIError) unknownSession(req, res, next);
    else next(error);
  });

  return function sessionsRouter(req, res, next) {
    routes(req, res, next);
  };
}

function only(allow: string): Handler {
  return function methodNotAllowed(req, res) {
    sendNotAllowed(req, res, allow);
  };
}

/** The session that the path names; what cannot be a handle is looked for like any other, and not found. */
function handleIn(req: AppRequest, caller: VerifiedToken): string {
  const name = fieldOf(req.params, 'handle');
  return name === 'current' ? caller.handle : String(name);
}

function queryOf(req: IncomingMessage): URLSearchParams {
  const url = req.url ?? '';
  const start = url.indexOf('?');
  return new URLSearchParams(start === -1 ? '' : url.slice(start + 1));
}

/**
 * The path at which the router is mounted, without a slash at its end: what the original URL has before the router's own
 * part, under Express as under Connect. Never another host's: `//host` and `/\host` would be.
 */
function mountOf(req: AppRequest): string {
  const whole = pathOf(typeof req.originalUrl === 'string' ? req.originalUrl : (req.url ?? ''));
  const inner = pathOf(req.url ?? '');
  const mount = whole.endsWith(inner) ? whole.slice(0, whole.length - inner.length) : whole;
  const path = mount.replace(/^[/\\]+|\/+$/g, '');
  return path === '' ? '' : `/${path}`;
}

interface Page {
  readonly show: (req: AppRequest, res: ServerResponse, list: SessionList) => Promise<void>;
  readonly showProblem: Present;
}

function createPage({ login, clock, loginUrl }: RouterParts, options: RouterOptions): Page {
  const { messages, stylesheet, layout, formTargets = [] } = options;
  const offered = messagesOffered(messages);
  // The form that signs the reader out is answered with a redirect to the login page.
  const targets = loginUrl === undefined ? formTargets : [loginUrl, ...formTargets];
  const headers = Object.entries(pageHeaders({ stylesheet: stylesheet ?? null, formTargets: targets }));

  function viewOf(req: AppRequest): Omit<PageView, 'sessions' | 'problem' | 'formToken'> {
    const query = queryOf(req);
    return {
      ...languageFor(offered, req.headers['accept-language']),
      now: clock.now(),
      base: mountOf(req),
      next: null,
      limit: null,
      firstPage: !query.has('cursor'),
      done: doneFrom(query.get('done')),
      stylesheet: stylesheet ?? null,
    };
  }

  function prepare(res: ServerResponse): void {
    if (res.headersSent) return;
    for (const [name, value] of headers) {
      // Inside its own layout the site's own policy rules.
      if (layout === undefined || name !== 'Content-Security-Policy') res.setHeader(name, value);
    }
  }

  async function send(req: AppRequest, res: ServerResponse, status: number, view: PageView): Promise<void> {
    const html: unknown = layout === undefined ? renderPage(view) : await layout(renderFragment(view), req);
    if (typeof html !== 'string') throw new TypeError('layout must return a text');
    prepare(res);
    sendHtml(res, status, html);
  }

  return {
    async show(req, res, { sessions, next }) {
      const limit = Number(queryOf(req).get('limit'));
      await send(req, res, 200, {
        ...viewOf(req),
        sessions,
        next,
        limit: limit >= 1 ? limit : null,
        problem: null,
        formToken: login.formToken(req),
      });
    },

    async showProblem(error, req, res) {
      if (error.status === 401 && loginUrl !== undefined) {
        redirect(res, loginUrl);
        return;
      }
      for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value);
      await send(req, res, error.status, { ...viewOf(req), sessions: null, problem: error.code, formToken: null });
    },
  };
}

function checkOptions(options: RouterOptions): void {
  if (typeof options !== 'object' || (options as unknown) === null) {
    throw new TypeError('router() takes an object of options');
  }
  const { locate, layout, formTargets, ...others } = options;
  const unknown = Object.keys(others).find((name) => !OPTION_NAMES.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(`router() has no option ${JSON.stringify(unknown)}: it takes ${OPTION_NAMES.join(', ')}`);
  }
  for (const [name, hook] of Object.entries({ locate, layout })) {
    if (hook !== undefined && typeof hook !== 'function') throw new TypeError(`${name} must be a function`);
  }
  const { stylesheet } = others;
  if (stylesheet !== undefined && typeof stylesheet !== 'string')
    throw new TypeError('stylesheet must be a URL or path');
  if (formTargets !== undefined && !Array.isArray(formTargets)) {
    throw new TypeError('formTargets must be a list of paths or absolute http(s) URLs');
  }
}
