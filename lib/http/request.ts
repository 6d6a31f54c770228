/** A request as the frameworks hand it over, and what a login adds to it. */

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { isObject, kindOf } from '../core/check.js';
import type { Organization } from '../core/claims.js';
import type { LoginError } from '../core/errors.js';
import type { Client, Sighting } from '../core/session.js';
import type { RegisteredUser } from './register.js';
import type { ClientOf } from './client.js';
import { createTrustIn, type TrustFunction } from './client-address.js';

/** The type of `req.user`, unless the option `user` makes something else of the claims: see `Register`. */
export interface LoginUser {
  /** The subject. */
  readonly id: string;
  readonly issuer: string;
  readonly name?: string;
  readonly username?: string;
  readonly email?: string;
  /** Set if the issuer tells of organizations: see `authRocket()`. Empty if the person is not in any. */
  readonly orgs?: readonly Organization[];
  /** The token's whole payload, deeply frozen. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** The type of `req.loginSession`: the session that this request belongs to. */
export interface LoginSession {
  /** Its public id; not a credential. */
  readonly handle: string;
  readonly startedAt: Date;
  readonly expiresAt: Date;
  /** Fires when the session ends, so that streams, sockets and long polls can end with it. */
  readonly signal: AbortSignal;
}

declare global {
  // eslint-disable-next-line @typescript-eslint/no-namespace -- the one place where Express, and passport, let types be merged
  namespace Express {
    // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- members come by inheritance
    interface User extends RegisteredUser {}
    interface Request {
      // As passport declares it: merged declarations must be identical.
      user?: User | undefined;
      loginSession?: LoginSession;
      /** Why nobody is logged in, after `optional()`. */
      loginError?: LoginError;
    }
  }
}

/** A request, with what the framework and earlier middleware may have put on it. */
export interface AppRequest extends IncomingMessage {
  user?: unknown;
  loginSession?: unknown;
  loginError?: unknown;
  readonly ip?: unknown;
  readonly app?: unknown;
  readonly cookies?: unknown;
  readonly signedCookies?: unknown;
  readonly body?: unknown;
  readonly params?: unknown;
  readonly secure?: unknown;
  originalUrl?: unknown;
}

// Express gives each request a hidden class of its own, because it sets the prototype. `req.name` therefore misses the inline
// cache every time, and a missing name is looked up in eight prototypes: five times the cost of these functions.

/** The value of an own property. */
export function ownProperty(holder: unknown, name: string): unknown {
  if (typeof holder !== 'object' || holder === null || !Object.hasOwn(holder, name)) return undefined;
  const value: unknown = Reflect.get(holder, name);
  return value;
}

export function memberOf<Holder, Name extends keyof Holder>(holder: Holder, name: Name): Holder[Name] {
  return holder[name];
}

export function put<Name extends 'user' | 'loginSession'>(req: AppRequest, name: Name, value: AppRequest[Name]): void {
  req[name] = value;
}

/**
 * Throws a `TypeError` if the headers of a request are not as Node has them. They would look as if nothing was sent: no token,
 * and no `Origin`.
 */
export function requireHeaders(request: unknown): void {
  const headers = isObject(request) ? request['headers'] : undefined;
  if (!isObject(headers))
    throw new TypeError(`The request must have headers as Node's own has, got ${kindOf(headers)}`);
  // A header of this name would be a string.
  if (typeof headers['get'] !== 'function') return;
  throw new TypeError("The request must be Node's own (an IncomingMessage), got one of the Fetch API, or one like it");
}

/** One request as the ledger sees it. Its client is found on demand: most requests do not need it. */
export class RequestSighting implements Sighting {
  readonly at: number;
  /** Whether it counts as use of the session. */
  readonly isUse: boolean;
  readonly #req: AppRequest;
  readonly #clientOf: ClientOf;
  #client: Client | undefined;

  constructor(req: AppRequest, at: number, clientOf: ClientOf, isUse: boolean) {
    this.at = at;
    this.isUse = isUse;
    this.#req = req;
    this.#clientOf = clientOf;
  }

  get method(): string | undefined {
    return this.#req.method;
  }

  get ip(): string | null {
    return this.#found().ip;
  }

  get userAgent(): string | null {
    return this.#found().userAgent;
  }

  get byProgram(): boolean {
    return this.#found().byProgram;
  }

  /** Finds the client now: once it is gone, its socket no longer knows the address. Never throws; the getters may. */
  settle(): this {
    try {
      this.#found();
    } catch {
      // The getters look for it again, and throw.
    }
    return this;
  }

  #found(): Client {
    this.#client ??= this.#clientOf(this.#req);
    return this.#client;
  }
}

/**
 * The host and port to which the client sent a request: `X-Forwarded-Host` if the proxy is trusted (by Express's own setting
 * if there is one), or else `Host`. Empty if there is none.
 */
export function createHostOf(trust: TrustFunction): (req: AppRequest) => string {
  const trustIn = createTrustIn(trust);
  return function hostOf(req) {
    const forwarded = req.headers['x-forwarded-host'];
    if (typeof forwarded === 'string' && trustIn(req)(socketOf(req)?.remoteAddress ?? '', 0)) {
      return (forwarded.split(',', 1)[0] ?? '').trim();
    }
    const authority = req.headers.host ?? req.headers[':authority'];
    return typeof authority === 'string' ? authority : '';
  };
}

/** Requests of test kits and adapters may have none. */
function socketOf({ socket }: { readonly socket?: Socket }): Socket | undefined {
  return socket;
}

/** Whether the client uses https: by Express (its `trust proxy` setting), or else by TLS here, or by a trusted proxy. */
export function createSecureCheck(trust: TrustFunction): (req: AppRequest) => boolean {
  const trustIn = createTrustIn(trust);
  return function isSecure(req) {
    if (typeof req.secure === 'boolean') return req.secure;
    const socket = socketOf(req);
    if (socket !== undefined && 'encrypted' in socket && socket.encrypted === true) return true;
    const forwarded = req.headers['x-forwarded-proto'];
    if (typeof forwarded !== 'string' || !trustIn(req)(socketOf(req)?.remoteAddress ?? '', 0)) return false;
    return forwarded.split(',', 1)[0]?.trim().toLowerCase() === 'https';
  };
}

/** The path of a URL, as it is written. It may begin like the name of another host (`//host`). */
export function pathOf(url: string): string {
  return url.replace(/^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '');
}

/** The whole URL of a request, also below a mount. */
export function wholeUrl(req: AppRequest): string {
  return typeof req.originalUrl === 'string' ? req.originalUrl : (req.url ?? '');
}
