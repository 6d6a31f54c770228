/** The OpenAPI description of the router, made from its own tables: routes, error codes, kinds of clients. */

import { LABEL_FORM, object, problemWith, ref, schemas, SELECTION } from './schemas.mjs';

const PROTECTED = {
  'Cache-Control': { schema: { type: 'string', pattern: '^no-store' }, required: true },
  'X-Content-Type-Options': { schema: { const: 'nosniff' }, required: true },
};
const challenge = {
  'WWW-Authenticate': { schema: { type: 'string' }, required: true, description: 'RFC 6750, section 3.' },
};
const retryAfter = {
  'Retry-After': { schema: { type: 'integer', minimum: 1 }, required: true, description: 'In seconds.' },
};
/** Only what the page is sent with. */
const PAGE = Object.fromEntries(
  ['Content-Security-Policy', 'Referrer-Policy', 'Vary', 'X-Frame-Options'].map((name) => [
    name,
    { schema: { type: 'string' }, required: false, description: 'Of the page.' },
  ]),
);
const clearedCookie = {
  'Set-Cookie': {
    schema: { type: 'string' },
    required: false,
    description: 'Clears the cookie of the caller, who is signed out.',
  },
};
const location = { Location: { schema: { type: 'string' }, required: true } };

const json = (schema) => ({ 'application/json': { schema } });
const html = { 'text/html': { schema: { type: 'string' } } };
const form = (schema) => ({ 'application/x-www-form-urlencoded': { schema } });

function response(description, content, headers = {}) {
  const all = { ...PROTECTED, ...headers, ...(content !== undefined && 'text/html' in content && PAGE) };
  return { description, headers: all, ...(content !== undefined && { content }) };
}

/** A refusal, which the page shows to a client that prefers HTML. */
const refusal = (description, codes, headers) =>
  response(description, { 'application/problem+json': { schema: problemWith(codes) }, ...html }, headers);

/** The responses that several operations have. `statusOf` gives the status of a code. */
function sharedResponses(codes, statusOf) {
  const of = (status) => codes.filter((code) => statusOf(code) === status);
  const STEP_UP = 'insufficient_user_authentication';
  const notSignedIn = of(401).filter((code) => code !== STEP_UP);
  return {
    NotSignedIn: refusal('No token was sent, it is invalid, or its session has ended.', notSignedIn, challenge),
    NotSignedInLately: refusal(
      'As for reading. With `router({ maxAge })` also: the sign-in was too long ago.',
      [...notSignedIn, STEP_UP],
      challenge,
    ),
    NoMoreSessions: refusal('The user has as many sessions as are allowed, and this is one more.', ['session_limit']),
    Forbidden: refusal('Another site may have made the request, or the user has as many sessions as are allowed.', [
      'cross_site',
      'session_limit',
    ]),
    NotFound: refusal('The session is unknown, has ended, or is that of somebody else.', of(404)),
    Invalid: refusal('The body, the label or the cursor is invalid.', of(400)),
    Unavailable: refusal('The login cannot be checked at the moment.', of(503), retryAfter),
    SignIn: response(
      'A client that prefers HTML is not signed in: it is sent to `loginUrl`, if the application has set that.',
      undefined,
      location,
    ),
    Done: response(
      'Done: back to the page, or to the sign-in if the own session was ended. Also: not signed in, see `loginUrl`.',
      undefined,
      { ...location, ...clearedCookie },
    ),
  };
}

const shared = (name) => ({ $ref: `#/components/responses/${name}` });

const RESPONSES = {
  reading: { 303: 'SignIn', 401: 'NotSignedIn', 403: 'NoMoreSessions', 503: 'Unavailable' },
  changing: { 303: 'SignIn', 401: 'NotSignedInLately', 403: 'Forbidden', 503: 'Unavailable' },
  submitting: { 303: 'Done', 400: 'Invalid', 401: 'NotSignedInLately', 403: 'Forbidden', 503: 'Unavailable' },
};
const NOT_FOUND = { 404: 'NotFound' };
const INVALID = { 400: 'Invalid' };

function operation(kind, operationId, summary, { ok = {}, refused = {}, ...rest } = {}) {
  const refusals = Object.entries({ ...RESPONSES[kind], ...refused }).map(([status, name]) => [status, shared(name)]);
  return { operationId, summary, ...rest, responses: { ...ok, ...Object.fromEntries(refusals) } };
}

const noFields = { requestBody: { required: false, content: form(object({})) } };

const OPERATIONS = {
  '/': {
    get: operation('reading', 'listSessions', 'The live sessions of the caller', {
      description: 'As JSON, or as the page if `Accept` prefers HTML.',
      parameters: [
        {
          name: 'limit',
          in: 'query',
          description: 'How many at most. What is outside of the range is taken for its nearest end.',
          schema: { type: 'integer', minimum: 1, maximum: 200, default: 50 },
        },
        { name: 'cursor', in: 'query', description: '`next` of the page before.', schema: { type: 'string' } },
      ],
      ok: { 200: response('One page of them.', { ...json(ref('SessionList')), ...html }) },
      refused: INVALID,
    }),
    delete: operation('changing', 'endAllSessions', 'Ends every session of the caller, this one too', {
      ok: { 200: response('They have ended.', json(ref('Ended')), clearedCookie) },
    }),
  },
  '/events': {
    get: operation('reading', 'watchSession', 'Tells when the own session ends', {
      description:
        'Server-sent events: `signed-in` with `{ "handle": ... }` at the start, and `signed-out` when the session ends. ' +
        'Comments keep the connection open. Not a use of the session. `watchSession()` of managed-sessions/client reads it.',
      parameters: [
        {
          name: 'handle',
          in: 'query',
          description:
            'The session that the client has watched until now. If the caller has another one, `signed-out` comes at once.',
          schema: ref('Handle'),
        },
      ],
      ok: {
        200: response(
          'A stream that ends with the session.',
          { 'text/event-stream': { schema: { type: 'string' } } },
          { 'X-Accel-Buffering': { schema: { const: 'no' }, required: true } },
        ),
      },
    }),
  },
  '/end': {
    post: operation('submitting', 'submitEndAllSessions', 'The same as endAllSessions, for a form', noFields),
  },
  '/others': {
    delete: operation('changing', 'endOtherSessions', 'Ends every session of the caller but this one', {
      ok: { 200: response('They have ended.', json(ref('Ended'))) },
    }),
  },
  '/others/end': {
    post: operation('submitting', 'submitEndOtherSessions', 'The same as endOtherSessions, for a form', noFields),
  },
  '/selected/end': {
    post: operation('submitting', 'submitEndSelectedSessions', 'Ends the sessions that a form names', {
      description: 'Those that are unknown or have ended count as done. Not atomic: safe to repeat.',
      requestBody: { required: true, content: form(SELECTION) },
    }),
  },
  '/:handle': {
    get: operation('reading', 'getSession', 'One session', {
      ok: { 200: response('The session.', json(ref('Session'))) },
      refused: NOT_FOUND,
    }),
    patch: operation('changing', 'labelSession', 'Gives a session a label, or takes it away', {
      requestBody: { required: true, content: json(ref('Label')) },
      ok: { 200: response('The session, with its label.', json(ref('Session'))) },
      refused: { ...INVALID, ...NOT_FOUND },
    }),
    delete: operation('changing', 'endSession', 'Ends a session', {
      description: 'Its device is signed out. May be repeated for as long as the ended session is remembered.',
      ok: { 204: response('It has ended.', undefined, clearedCookie) },
      refused: NOT_FOUND,
    }),
  },
  '/:handle/end': {
    post: operation('submitting', 'submitEndSession', 'The same as endSession, for a form', {
      ...noFields,
      refused: NOT_FOUND,
    }),
  },
  '/:handle/label': {
    post: operation('submitting', 'submitLabelSession', 'The same as labelSession, for a form', {
      requestBody: { required: true, content: form(LABEL_FORM) },
      refused: NOT_FOUND,
    }),
  },
};

const HANDLE_PARAMETER = {
  name: 'handle',
  in: 'path',
  required: true,
  description: 'The `handle` of a session, or `current` for the own one.',
  schema: { type: 'string', examples: ['current', '8mB2uUq0cQm1l5cW7rXk3g'] },
};

/** Express's `/:handle` is `/{handle}` here. */
function pathItem(path, operations) {
  const hasHandle = path.includes(':handle');
  return [path.replace(':handle', '{handle}'), { ...(hasHandle && { parameters: [HANDLE_PARAMETER] }), ...operations }];
}

/** Throws if a route is not described, or something is that is no route. */
function pathsOf(routes) {
  const described = Object.entries(OPERATIONS).map(([path, operations]) => [path, Object.keys(operations)]);
  const named = (entries) => entries.flatMap(([path, methods]) => methods.map((method) => `${method} ${path}`)).sort();
  const [here, there] = [named(described), named(Object.entries(routes))];
  const different = [...here.filter((name) => !there.includes(name)), ...there.filter((name) => !here.includes(name))];
  if (different.length > 0) throw new Error(`Described or routed, but not both: ${different.join(', ')}`);
  return Object.fromEntries(Object.keys(routes).map((path) => pathItem(path, OPERATIONS[path])));
}

/**
 * `routes`: the methods of each route of the router. `codes`: all codes of errors, and `statusOf` the status of each. `kinds`:
 * of clients. `version`: of the package.
 */
export function documentOf({ routes, codes, statusOf, kinds, version }) {
  return {
    openapi: '3.1.1',
    info: {
      title: 'managed-sessions',
      version,
      summary: 'Where somebody is signed in, and how to end sessions',
      description:
        'The routes of `sessions.router()`. Each gives access to the sessions of the caller only. `HEAD` is answered as `GET` ' +
        'without its body, `OPTIONS` with the allowed methods, and other methods with 405.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/account/sessions', description: 'Where the application has mounted the router' }],
    security: [{ bearer: [] }, { cookie: [] }],
    paths: pathsOf(routes),
    components: {
      schemas: schemas({ kinds }),
      responses: sharedResponses(codes, statusOf),
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'The login token.' },
        cookie: {
          type: 'apiKey',
          in: 'cookie',
          name: '__Host-login_token',
          description: 'The login token in the cookie, as the option `cookie` names it; over http, `login_token`.',
        },
      },
    },
  };
}
