/** How a refusal is answered: problem+json by RFC 9457, the challenge by RFC 6750, or a way to the login page. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { stringifySetCookie } from 'cookie';
import type { LoginError } from '../core/errors.js';
import { prefersHtml } from './request.js';

export type Next = (error?: unknown) => void;

/** A request handler of Express 4, Express 5 and Connect. */
export type Handler = (req: IncomingMessage, res: ServerResponse, next: Next) => void;

/** Answers a refused request in place of the middleware; what it throws or rejects with goes to `next`. */
export type OnRefused = {
  answer(error: LoginError, req: IncomingMessage, res: ServerResponse, next: Next): unknown;
}['answer'];

/** Shows a refusal in some other form than problem+json. */
export type Present = (error: LoginError, req: IncomingMessage, res: ServerResponse) => void | Promise<void>;

/** Answers a request that is refused, exactly once, or hands it to `next`. */
export type Refuse = (
  error: LoginError,
  req: IncomingMessage,
  res: ServerResponse,
  next: Next,
  present?: Present,
) => void;

export interface RefusalOptions {
  /** Where a browser on its way to a page is sent (303) instead of a 401. */
  readonly loginUrl?: string | undefined;
  readonly onRefused?: OnRefused | undefined;
}

/** Why a session ended, as far as its client may know: the words are ours, while an administrator's text may be private. */
const PUBLIC_REASONS: ReadonlySet<string> = new Set([
  'signed_out',
  'signed_out_others',
  'signed_out_everywhere',
  'session_limit',
  'provider_logout',
]);

export function createRefuse({ loginUrl, onRefused }: RefusalOptions): Refuse {
  const presentProblem: Present = (error, _req, res) => sendProblem(res, error);

  return function refuse(error, req, res, next, present = presentProblem) {
    // Somebody else answered meanwhile: a time limit, or the client went away.
    if (res.headersSent || res.writableEnded || res.destroyed) return;
    try {
      if (onRefused !== undefined) {
        res.setHeader('Cache-Control', 'no-store');
        catchLater(onRefused(error, req, res, next), next);
      } else if (loginUrl !== undefined && error.status === 401 && isNavigation(req)) {
        redirect(res, loginUrl);
      } else {
        catchLater(present(error, req, res), next);
      }
    } catch (failure) {
      next(failure);
    }
  };
}

function catchLater(outcome: unknown, next: Next): void {
  if (outcome instanceof Promise) outcome.catch(next);
}

/** A browser on its way to a page, which can show a login form. */
function isNavigation(req: IncomingMessage): boolean {
  return (req.method === 'GET' || req.method === 'HEAD') && prefersHtml(req.headers.accept);
}

/** The refusal as `application/problem+json`. What went wrong on the server's side is told in general words only. */
export function sendProblem(res: ServerResponse, error: LoginError): void {
  for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value);
  const { reason } = error;
  send(res, error.status, 'application/problem+json; charset=utf-8', {
    type: `urn:managed-sessions:problem:${error.code}`,
    title: error.title,
    status: error.status,
    detail: error.expose ? error.message : 'This cannot be decided at the moment. Try again shortly.',
    code: error.code,
    ...(reason !== undefined && PUBLIC_REASONS.has(reason) ? { reason } : {}),
  });
}

/** 405 for a path that is known, by RFC 9110, section 15.5.6. `OPTIONS` learns what is allowed. */
export function sendNotAllowed(req: IncomingMessage, res: ServerResponse, allow: string): void {
  res.setHeader('Allow', allow);
  if (req.method === 'OPTIONS') {
    sendNothing(res);
    return;
  }
  send(res, 405, 'application/problem+json; charset=utf-8', {
    type: 'about:blank',
    title: 'Method Not Allowed',
    status: 405,
    detail: `This takes ${allow}`,
  });
}

export function sendJson(res: ServerResponse, body: unknown, status = 200): void {
  send(res, status, 'application/json; charset=utf-8', body);
}

export function sendHtml(res: ServerResponse, status: number, page: string): void {
  send(res, status, 'text/html; charset=utf-8', page);
}

export function sendNothing(res: ServerResponse): void {
  send(res, 204);
}

/** 303: whatever the method was, what follows is a GET. */
export function redirect(res: ServerResponse, location: string): void {
  if (!res.headersSent) res.setHeader('Location', location);
  send(res, 303);
}

/** Node leaves the body out for HEAD. */
function send(res: ServerResponse, status: number, type?: string, body?: unknown): void {
  if (res.headersSent) return;
  res.statusCode = status;
  res.setHeader('Cache-Control', 'no-store');
  if (type === undefined) {
    if (status !== 204) res.setHeader('Content-Length', 0);
    res.end();
    return;
  }
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  res.setHeader('Content-Type', type);
  res.setHeader('Content-Length', Buffer.byteLength(text));
  res.end(text);
}

/** Attributes the token's cookie was set with: a browser deletes only what has the same path and domain. */
export interface CookieAttributes {
  /** Default `/`. */
  readonly path?: string;
  /** Then the cookie of the domain is cleared as well as that of the host alone. */
  readonly domain?: string;
  /** Default `'lax'`. `'none'` makes it `Secure`, as browsers ask. */
  readonly sameSite?: 'strict' | 'lax' | 'none';
  /** Default: as the cookie's name demands (`__Host-`, `__Secure-`). From a secure page either kind is cleared. */
  readonly secure?: boolean;
}

const COOKIE_ATTRIBUTES: Readonly<Record<string, string>> = {
  path: 'string',
  domain: 'string',
  sameSite: 'string',
  secure: 'boolean',
};

function checkAttributes(attributes: unknown): void {
  if (typeof attributes !== 'object' || attributes === null) {
    throw new TypeError('The attributes of a cookie must be an object such as { path, domain }');
  }
  for (const [name, value] of Object.entries(attributes) as [string, unknown][]) {
    const kind = Object.hasOwn(COOKIE_ATTRIBUTES, name) ? COOKIE_ATTRIBUTES[name] : undefined;
    if (kind === undefined) {
      const names = Object.keys(COOKIE_ATTRIBUTES).join(', ');
      throw new TypeError(`A cookie has no attribute ${JSON.stringify(name)}: it takes ${names}`);
    }
    if (value === undefined || typeof value === kind) continue;
    throw new TypeError(`The cookie's ${name} must be a ${kind === 'string' ? 'text' : 'boolean'}`);
  }
}

/** Clears the cookie on an answer; without a name it does nothing. Throws a `TypeError` for attributes that are wrong. */
export function createCookieClearer(
  name: string | null,
  attributes: CookieAttributes = {},
): (res: ServerResponse) => void {
  checkAttributes(attributes);
  if (name === null) {
    return function keepCookies() {
      // A function finds the token: whatever it reads is the application's to clear.
    };
  }
  const { path = '/', domain, sameSite = 'lax' } = attributes;
  const secure = attributes.secure ?? (sameSite === 'none' || /^__(?:Host|Secure)-/i.test(name));
  const cleared = { name, value: '', path, sameSite, secure, httpOnly: true, maxAge: 0, expires: new Date(0) };
  const headers = [stringifySetCookie(cleared)];
  if (domain !== undefined) headers.push(stringifySetCookie({ ...cleared, domain }));
  return function clearCookie(res) {
    if (!res.headersSent) res.appendHeader('Set-Cookie', headers);
  };
}
