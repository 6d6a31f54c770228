/** Responses: a refusal as problem+json (RFC 9457) with its challenge (RFC 6750) or as a redirect, JSON, HTML, nothing. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LoginError } from '../core/errors.js';
import { passOn, pendingResult } from '../core/hooks.js';
import { isNavigation } from './accept.js';
import type { LoginUrlFor } from './login-url.js';
import { pathOf, wholeUrl } from './request.js';

export type Next = (error?: unknown) => void;

/** A request handler of Express 4, Express 5 and Connect. */
export type Handler = (req: IncomingMessage, res: ServerResponse, next: Next) => void;

/** Answers a refused request instead of the middleware. Whatever it throws or rejects with goes to `next`. */
export type OnRefused = {
  answer(error: LoginError, req: IncomingMessage, res: ServerResponse, next: Next): unknown;
}['answer'];

/** Answers a refusal with something other than problem+json. */
export type Present = (error: LoginError, req: IncomingMessage, res: ServerResponse) => void | Promise<void>;

/** Answers a refused request exactly once, or passes it to `next`. */
export type Refuse = (
  error: LoginError,
  req: IncomingMessage,
  res: ServerResponse,
  next: Next,
  present?: Present,
) => void;

export interface RefusalOptions {
  /** Where a browser that navigates is redirected (303) instead of a 401. */
  readonly loginUrlFor?: LoginUrlFor | undefined;
  readonly onRefused?: OnRefused | undefined;
}

/** The reasons that the session's client may see. They are ours; the reason that an administrator gives may be private. */
const PUBLIC_REASONS: ReadonlySet<string> = new Set([
  'signed_out',
  'signed_out_others',
  'signed_out_everywhere',
  'session_limit',
  'replaced',
  'backchannel_logout',
  'security_event',
]);

export function createRefuse({ loginUrlFor, onRefused }: RefusalOptions): Refuse {
  const presentProblem: Present = (error, _req, res) => sendProblem(res, error);

  return function refuse(error, req, res, next, present = presentProblem) {
    // Somebody else has answered meanwhile, for example at a timeout, or the client is gone.
    if (isOver(res)) return;
    if (res.headersSent) {
      // As Express advises: its own error handler closes the connection, so that the client does not wait for more.
      next(error);
      return;
    }
    try {
      if (onRefused !== undefined) {
        protect(res);
        catchLater(onRefused(error, req, res, next), next);
        return;
      }
      const loginUrl = error.status === 401 && isNavigation(req) ? loginUrlFor?.(req, error) : undefined;
      if (loginUrl !== undefined && !leadsTo(loginUrl, req)) redirect(res, loginUrl);
      else catchLater(present(error, req, res), next);
    } catch (failure) {
      passOn(next, failure);
    }
  };
}

/** Whether a path is that of the request: a sign-in page that requires a login would be redirected to itself for ever. */
function leadsTo(path: string, req: IncomingMessage): boolean {
  return path.startsWith('/') && pathOf(path) === pathOf(wholeUrl(req));
}

/** Whether nobody waits for an answer any more. */
export function isOver({ writableEnded, destroyed }: ServerResponse): boolean {
  return writableEnded || destroyed;
}

function catchLater(outcome: unknown, next: Next): void {
  pendingResult(outcome)?.catch((failure: unknown) => passOn(next, failure));
}

/** The refusal as `application/problem+json`. Of a failure on the server, it reveals no details. */
export function sendProblem(res: ServerResponse, error: LoginError): void {
  for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value);
  const { reason } = error;
  send(res, error.status, 'application/problem+json; charset=utf-8', {
    type: `urn:managed-sessions:problem:${error.code}`,
    title: error.title,
    status: error.status,
    detail: error.expose ? error.message : 'The login cannot be checked at the moment. Try again shortly.',
    code: error.code,
    ...(reason !== undefined && PUBLIC_REASONS.has(reason) ? { reason } : {}),
  });
}

/** 405 (RFC 9110, section 15.5.6); for `OPTIONS`, 204 with the allowed methods. */
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
    detail: `Use one of these methods: ${allow}`,
  });
}

/** Response objects of test kits and adapters may lack `hasHeader`. */
export function hasHeader(res: ServerResponse, name: string): boolean {
  return res.getHeader(name) !== undefined;
}

export function sendJson(res: ServerResponse, body: unknown, status = 200): void {
  send(res, status, 'application/json; charset=utf-8', body);
}

export function sendHtml(res: ServerResponse, status: number, page: string): void {
  send(res, status, 'text/html; charset=utf-8', page);
}

/** No body. Default 204. */
export function sendNothing(res: ServerResponse, status = 204): void {
  send(res, status);
}

/** A header that may occur several times. Response objects of test kits and adapters may lack `appendHeader`. */
export function addHeader(res: ServerResponse, name: string, value: string | readonly string[]): void {
  // A copy: Node keeps a list, and appends the next value to it.
  if (hasMethod(res, 'appendHeader')) res.appendHeader(name, typeof value === 'string' ? value : [...value]);
  else res.setHeader(name, [res.getHeader(name) ?? [], value].flat().map(String));
}

function hasMethod(res: Partial<ServerResponse>, name: 'appendHeader'): boolean {
  return typeof res[name] === 'function';
}

/** 303: the browser follows with a GET, whatever the method was. */
export function redirect(res: ServerResponse, location: string): void {
  if (!res.headersSent) res.setHeader('Location', location);
  send(res, 303);
}

/** Nothing of a login is stored by caches, or read as something that it is not. */
function protect(res: ServerResponse): void {
  res.setHeader('Cache-Control', 'no-store');
  res.setHeader('X-Content-Type-Options', 'nosniff');
}

/** Node omits the body for HEAD. Throws a `TypeError` if somebody began another answer and has not ended it. */
function send(res: ServerResponse, status: number, type?: string, body?: unknown): void {
  if (isOver(res)) return;
  if (res.headersSent) throw new TypeError('The response has begun before it could be answered here');
  res.statusCode = status;
  protect(res);
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
