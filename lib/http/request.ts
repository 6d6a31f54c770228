/** What a request tells: its client, its host, whether it is on https, its path. */

import type { Socket } from 'node:net';
import { isObject, kindOf } from '../core/check.js';
import type { Client, Sighting } from '../core/session.js';
import type { AppRequest } from './app-request.js';
import type { ClientOf } from './client.js';
import { createTrustIn, type TrustFunction } from './client-address.js';

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
