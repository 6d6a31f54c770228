/** A request as the frameworks hand it over, and what a login adds to it. */

import type { IncomingMessage } from 'node:http';
import type { LoginError } from '../core/errors.js';
import type { RegisteredUser } from './register.js';

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
