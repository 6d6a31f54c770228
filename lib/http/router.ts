/** The routes on which people see where they are signed in, and end sessions. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { types } from 'node:util';
import Router from 'router';
import { aFunction, anything, aString, checkOptions, type OptionKinds } from '../core/check.js';
import { LoginError } from '../core/errors.js';
import type { Handles } from '../core/handles.js';
import { passOn } from '../core/hooks.js';
import type { VerifiedToken, Verifier } from '../tokens/verify.js';
import { isNavigation, prefersHtml } from './accept.js';
import { createLocations, type Account, type Locate, type LocateAll, type Viewer } from './account.js';
import { FRESH, USUAL, type Authenticator, type Judging } from './authenticate.js';
import { CurrentSession } from './current-session.js';
import { formOf, jsonOf } from './body.js';
import type { LoginCookie } from './cookie.js';
import type { EventStreams } from './event-stream.js';
import type { Duration } from '../core/duration.js';
import { MAX_AGE, stepUpOf } from '../core/step-up.js';
import { ownProperty, type AppRequest, type LoginSession } from './app-request.js';
import { signInCheck, type Fail, type SignInParts, type TokenCheck } from './gates.js';
import { isLoginUrl, type LoginUrlFor } from './login-url.js';
import type { Done } from './messages.js';
import type { ForEachRoute, Method } from './routes.js';
import { createCookieLogins } from './sign-in.js';
import {
  redirect,
  sendJson,
  sendNotAllowed,
  sendNothing,
  sendProblem,
  type Handler,
  type Next,
  type Present,
} from './respond.js';
import { endSelected, SELECTED_BODY_LIMIT, selectedIn } from './selected.js';
import { createPage, mountOf, queryOf, type Page, type PageOptions } from './serve-page.js';
import { A_TIME_ZONE } from './time-zone.js';

export interface RouterOptions extends PageOptions {
  /**
   * How long ago the user may have signed in, by the token's `auth_time`, before another session is ended or any is renamed,
   * at least a second: `'10m'`. Otherwise 401 `insufficient_user_authentication` (RFC 9470); the page says so, and leads to
   * `loginUrl`. Reading needs no recent sign-in, and neither does ending one's own session. Default: the sign-in may be of any age.
   */
  readonly maxAge?: Duration;
  /** The location of an address in words. If it throws, or takes longer than a second, the location is null. */
  readonly locate?: Locate;
}

export interface RouterParts extends SignInParts {
  readonly handles: Handles;
  readonly authenticator: Pick<Authenticator<unknown>, 'identify' | 'admit'>;
  readonly account: Account;
  /** Null if the application's own function reads the token: then the cookie is the application's to clear. */
  readonly cookie: Pick<LoginCookie, 'sent' | 'clear'> | null;
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly streams: Pick<EventStreams, 'open' | 'sayEnded'>;
  readonly fail: Fail;
  readonly loginUrlFor?: LoginUrlFor | undefined;
}

const ROUTER_OPTIONS: OptionKinds<RouterOptions> = {
  maxAge: MAX_AGE,
  locate: aFunction('that takes an address and returns its location'),
  messages: anything,
  stylesheet: aString,
  layout: aFunction('that takes the HTML and returns the whole page'),
  formTargets: {
    accepts: (value) => Array.isArray(value) && value.every(isLoginUrl),
    words: 'a list of paths or absolute http(s) URLs',
  },
  timeZone: A_TIME_ZONE,
};

/** The router requires a login by itself. Throws a `TypeError` if an option is invalid. */
export function createRouter(parts: RouterParts, options: RouterOptions = {}): Handler {
  checkOptions<RouterOptions>(options, 'router()', ROUTER_OPTIONS);
  const requireSignIn = signInCheck(stepUpOf({ maxAge: options.maxAge }, 'router()'), parts) ?? (() => undefined);
  const page = createPage(parts, options);
  const locate = options.locate === undefined ? undefined : createLocations(options.locate);
  const endpoint = createEndpoint(parts, page);

  const routes = Router();
  const context = { ...parts, requireSignIn, page, locate, bodyOf: createBodyOf(parts) };
  for (const [path, methods] of Object.entries<Methods>(routesOf(context))) {
    const route = routes.route(path);
    if (methods.get !== undefined) route.get(endpoint(methods.get));
    if (methods.post !== undefined) route.post(endpoint(methods.post));
    if (methods.patch !== undefined) route.patch(endpoint(methods.patch));
    if (methods.delete !== undefined) route.delete(endpoint(methods.delete));
    route.all(notAllowed(methods));
  }

  const unknownSession = endpoint(async () => {
    throw new LoginError('session_not_found', 'There is no such session');
  });
  // A path that cannot be decoded does not name a session either.
  routes.use(function undecodablePath(error: unknown, req: IncomingMessage, res: ServerResponse, next: Next) {
    if (types.isNativeError(error) && error.name === 'URIError') unknownSession(req, res, next);
    else passOn(next, error);
  });

  return function sessionsRouter(req, res, next) {
    routes(req, res, next);
  };
}

/** Answers one route for one caller. */
interface Answer {
  (req: AppRequest, res: ServerResponse, caller: VerifiedToken, session: LoginSession): Promise<void>;
  /** How the caller's session is judged. Default {@link FRESH}. */
  readonly how?: Judging;
  /** If too many sessions are being ended, the request is refused before the store is asked for the caller. */
  readonly endsOne?: true;
}

type Methods = Readonly<Partial<Record<Method, Answer>>>;

interface Context extends Pick<RouterParts, 'handles' | 'account' | 'cookie' | 'verifier' | 'streams' | 'loginUrlFor'> {
  readonly page: Page;
  readonly locate: LocateAll | undefined;
  /** Called before another session is ended, or any is renamed. */
  readonly requireSignIn: TokenCheck;
  readonly bodyOf: BodyOf;
}

/** Reads a body. Rejects with `LoginError` if the caller's session has ended meanwhile: a body can take minutes to arrive. */
type BodyOf = (req: AppRequest, read: (req: AppRequest) => Promise<unknown>) => Promise<unknown>;

function createBodyOf({ authenticator }: Pick<RouterParts, 'authenticator'>): BodyOf {
  return async function bodyOf(req, read) {
    const body = await read(req);
    await authenticator.identify(req, USUAL);
    return body;
  };
}

function routesOf(context: Context): ForEachRoute<Answer> {
  const { account, handles, requireSignIn } = context;
  const clearCookie = createClearing(context);
  const form = createForm(context);
  const sessionIn = sessionNaming(handles);

  const isOwn = (named: string, { handle }: VerifiedToken): boolean => handles.meant(named).includes(handle);

  async function endOther(caller: VerifiedToken, named: string): Promise<void> {
    await account.revoke(caller.user, named, { reason: 'signed_out', by: caller.user.subject });
  }

  async function endOwn(req: AppRequest, res: ServerResponse, caller: VerifiedToken): Promise<void> {
    const { user, handle, times } = caller;
    await account.revoke(user, handles.shown(handle), { reason: 'signed_out', by: user.subject, token: times });
    await clearCookie(req, res, (login) => login.handle === handle);
  }

  async function endOne(req: AppRequest, res: ServerResponse, caller: VerifiedToken): Promise<'ended' | null> {
    const named = handleIn(req);
    if (named === CURRENT || isOwn(named, caller)) {
      // People can always sign out.
      await endOwn(req, res, caller);
      return null;
    }
    requireSignIn(caller);
    await endOther(caller, named);
    return 'ended';
  }

  /** The caller's own session comes last: if another cannot be ended, the caller can try again. */
  const endThese: Act = async (req, res, caller, fields) => {
    const named = selectedIn(ownProperty(fields, 'handle'), handles);
    const others = named.filter((handle) => !isOwn(handle, caller));
    if (others.length > 0) requireSignIn(caller);
    await endSelected(others, (handle) => endOther(caller, handle));
    if (others.length === named.length) return 'selected';
    await endOwn(req, res, caller);
    return null;
  };

  async function endOthers(caller: VerifiedToken): Promise<{ readonly ended: number }> {
    const { user, handle } = caller;
    requireSignIn(caller);
    return account.revokeAll(user, { except: handles.shown(handle), reason: 'signed_out_others', by: user.subject });
  }

  async function endAll(
    req: AppRequest,
    res: ServerResponse,
    caller: VerifiedToken,
  ): Promise<{ readonly ended: number }> {
    const { user } = caller;
    requireSignIn(caller);
    const outcome = await account.revokeAll(user, { reason: 'signed_out_everywhere', by: user.subject });
    await clearCookie(req, res, (login) => login.user.key === user.key);
    return outcome;
  }

  async function deleteOne(req: AppRequest, res: ServerResponse, caller: VerifiedToken): Promise<void> {
    await endOne(req, res, caller);
    sendNothing(res);
  }

  const endingOne = (answer: Answer): Answer => Object.assign(answer, { endsOne: true } as const);

  return {
    '/': {
      get: createList(context),
      delete: async (req, res, caller) => sendJson(res, await endAll(req, res, caller)),
    },
    '/events': { get: createWatch(context) },
    '/end': { post: form((req, res, caller) => endAll(req, res, caller).then(() => null)) },
    '/others': { delete: async (_req, res, caller) => sendJson(res, await endOthers(caller)) },
    '/others/end': { post: form((_req, _res, caller) => endOthers(caller).then(() => 'others')) },
    '/selected/end': { post: endingOne(form(endThese, SELECTED_BODY_LIMIT)) },
    '/:handle': { ...createOne(context), delete: endingOne(deleteOne) },
    '/:handle/end': { post: endingOne(form(endOne)) },
    '/:handle/label': {
      post: form(async (req, _res, caller, fields) => {
        requireSignIn(caller);
        await account.label(caller.user, sessionIn(req, caller), ownProperty(fields, 'label'));
        return 'renamed';
      }),
    },
  };
}

type Clear = (req: AppRequest, res: ServerResponse, isEnded: (login: VerifiedToken) => boolean) => Promise<void>;

/** Clears the cookie, unless its token names a session that was not ended: the caller's own token may be in a header. */
function createClearing({ cookie, verifier }: Context): Clear {
  if (cookie === null) return async () => undefined;
  const loginsIn = createCookieLogins(verifier, cookie);
  return async function clearCookie(req, res, isEnded) {
    const logins = await loginsIn(req);
    if (logins.every(isEnded)) cookie.clear(res);
  };
}

function createList({ account, page, locate }: Context): Answer {
  return async function listSessions(req, res, caller) {
    const query = queryOf(req);
    const limit = query.get('limit')?.trim() || undefined;
    const asked = { limit: limit === undefined ? undefined : Number(limit), cursor: query.get('cursor') };
    const by = viewer(caller, locate);
    if (prefersHtml(req.headers.accept)) await page.show(req, res, await account.listForPage(caller.user, asked, by));
    else sendJson(res, await account.list(caller.user, asked, by));
  };
}

/**
 * A stream that stays open for hours does not count as use of the session, nor does one that connects again. The client then names
 * the session that it has watched: somebody else may have signed in meanwhile, in the same browser.
 */
function createWatch({ streams, handles }: Context): Answer {
  const watch: Answer = async (req, res, { handle }, session) => {
    const watched = queryOf(req).get('handle');
    if (watched === null || handles.meant(watched).includes(handle)) streams.open(req, res, session);
    else streams.sayEnded(req, res);
  };
  return Object.assign(watch, { how: { fresh: true, isUse: false } });
}

function createOne({
  account,
  locate,
  handles,
  requireSignIn,
  bodyOf,
}: Context): Required<Pick<Methods, 'get' | 'patch'>> {
  const sessionIn = sessionNaming(handles);
  return {
    async get(req, res, caller) {
      sendJson(res, await account.get(caller.user, sessionIn(req, caller), viewer(caller, locate)));
    },
    async patch(req, res, caller) {
      requireSignIn(caller);
      const label = ownProperty(await bodyOf(req, jsonOf), 'label');
      sendJson(res, await account.label(caller.user, sessionIn(req, caller), label, viewer(caller, locate)));
    },
  };
}

type Act = (req: AppRequest, res: ServerResponse, caller: VerifiedToken, fields: unknown) => Promise<Done | null>;

/** A form is answered with its page again, or with the login page if it signed the caller out. */
function createForm({ loginUrlFor, bodyOf }: Context): (act: Act, limit?: number) => Answer {
  return (act, limit) =>
    async function submitForm(req, res, caller) {
      const done = await act(req, res, caller, await bodyOf(req, (sent) => formOf(sent, limit)));
      redirect(res, done === null ? (loginUrlFor?.(req) ?? '/') : `${mountOf(req) || '/'}?done=${done}`);
    };
}

/** Handles every rejection, because neither Express 4 nor Connect waits for a promise. The store is asked for the caller. */
function createEndpoint({ authenticator, account, fail }: RouterParts, page: Page): (answer: Answer) => Handler {
  async function sessionOf(req: AppRequest, { endsOne, how = FRESH }: Answer): Promise<CurrentSession> {
    if (endsOne === true) account.refuseRevocationIfFull();
    const session = await authenticator.identify(req, how);
    await authenticator.admit(req, session, how);
    return session;
  }

  const present: Present = (error, req, res) =>
    prefersHtml(req.headers.accept) ? page.showProblem(error, req, res) : sendProblem(res, error);

  return (answer) =>
    function sessionsEndpoint(req: AppRequest, res, next) {
      sessionOf(req, answer)
        .then((session) => answer(req, res, CurrentSession.tokenOf(session), session))
        .catch((error: unknown) => fail(error, req, res, next, present));
    };
}

const METHODS = { get: 'GET, HEAD', post: 'POST', patch: 'PATCH', delete: 'DELETE' } as const;

function notAllowed(methods: Methods): Handler {
  const names = (['get', 'post', 'patch', 'delete'] as const).filter((name) => methods[name] !== undefined);
  const allow = names.map((name) => METHODS[name]).join(', ');
  const isForm = methods.post !== undefined && methods.get === undefined;
  return function methodNotAllowed(req, res) {
    // The person had to sign in before the form could be sent, and `loginUrl` led back to the form's own URL.
    if (isForm && isNavigation(req)) redirect(res, mountOf(req) || '/');
    else sendNotAllowed(req, res, allow);
  };
}

function viewer({ handle }: VerifiedToken, locate: LocateAll | undefined): Viewer {
  return { current: handle, ...(locate === undefined ? {} : { locate }) };
}

/** The path names the caller's own session by this. */
const CURRENT = 'current';

/** What cannot be a handle is looked up like any other, and not found. */
function handleIn(req: AppRequest): string {
  return String(ownProperty(req.params, 'handle'));
}

/** Returns a function that finds the handle of the session that the path names. */
function sessionNaming(handles: Handles): (req: AppRequest, caller: VerifiedToken) => string {
  return function sessionIn(req, caller) {
    const named = handleIn(req);
    return named === CURRENT ? handles.shown(caller.handle) : named;
  };
}
