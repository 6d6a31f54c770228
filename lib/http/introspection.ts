/** Token introspection by RFC 7662, for services that cannot verify a login token themselves. */

import type { IncomingMessage } from 'node:http';
import { aFunction, checkOptions, required } from '../core/check.js';
import { claimOf } from '../core/claims.js';
import { isLoginError, LoginError } from '../core/errors.js';
import type { Handles } from '../core/handles.js';
import { passOn } from '../core/hooks.js';
import type { Ledger } from '../ledger/ledger.js';
import type { VerifiedToken, Verifier } from '../tokens/verify.js';
import { ownProperty } from './app-request.js';
import type { Authenticator } from './authenticate.js';
import { formOf } from './body.js';
import { resultInTime } from './in-time.js';
import { hasHeader, sendJson, sendNotAllowed, sendProblem, type Handler } from './respond.js';

export interface IntrospectionOptions {
  /**
   * Whether the caller is one of your services. Anything but `true` is 401. What it throws or rejects with goes to `next`.
   */
  readonly authorize: (req: IncomingMessage) => boolean | Promise<boolean>;
}

/** The response for a live session (RFC 7662, section 2.2). Times of the token are in seconds, those of the session ISO 8601. */
export interface ActiveToken {
  readonly active: true;
  readonly token_type: 'Bearer';
  readonly iss: string;
  readonly sub: string;
  readonly username?: string;
  readonly aud?: unknown;
  /** The claim, or else `azp`. */
  readonly client_id?: unknown;
  /** Who acts for the person (RFC 8693, section 4.1). */
  readonly act?: unknown;
  readonly jti?: unknown;
  readonly scope?: string;
  readonly iat?: number;
  readonly exp?: number;
  readonly session: { readonly handle: string; readonly startedAt: Date; readonly expiresAt: Date };
}

export interface IntrospectionParts {
  readonly handles: Pick<Handles, 'shown'>;
  readonly verifier: Pick<Verifier, 'verify'>;
  readonly ledger: Pick<Ledger, 'peek'>;
  readonly authenticator: Pick<Authenticator<unknown>, 'userOf'>;
  readonly clock: { now(): number };
  /** In characters. */
  readonly maxTokenLength: number;
}

/**
 * Answers a POST form with a `token`: the claims and the session if both are valid, `{ "active": false }` for any other
 * token, 503 if that cannot be known. Throws a `TypeError` if an option is invalid.
 */
export function createIntrospection(parts: IntrospectionParts, options: IntrospectionOptions): Handler {
  const { handles, verifier, ledger, authenticator, clock } = parts;
  checkOptions<IntrospectionOptions>(options, 'introspection()', {
    authorize: required(aFunction('that returns whether the caller may ask')),
  });
  const { authorize } = options;
  // Room for the longest token if a client percent-encodes all of it, and a hint.
  const formLimit = 3 * parts.maxTokenLength + 1024;

  async function introspect(token: string): Promise<ActiveToken | { readonly active: false }> {
    try {
      const verified = await verifier.verify(token);
      // A token that every gate refuses, because its user is gone, is not active either.
      await authenticator.userOf(verified);
      // Last, because the session may end while the application looks for the user.
      const { handle, startedAt, expiresAt } = await ledger.peek(verified, clock.now());
      return {
        ...described(verified),
        session: { handle: handles.shown(handle), startedAt: new Date(startedAt), expiresAt: new Date(expiresAt) },
      };
    } catch (error) {
      if (isLoginError(error) && error.status === 401) return { active: false };
      throw error;
    }
  }

  return function introspectionMiddleware(req, res, next) {
    if (req.method !== 'POST') {
      sendNotAllowed(req, res, 'POST');
      return;
    }

    async function answer(): Promise<void> {
      const answered: unknown = authorize(req);
      const isAuthorized = await (resultInTime(answered, 'authorize') ?? answered);
      if (isAuthorized !== true) {
        if (!res.headersSent && !hasHeader(res, 'WWW-Authenticate')) {
          res.setHeader('WWW-Authenticate', 'Bearer realm="introspection"');
        }
        // RFC 6749, section 5.2.
        sendJson(res, { error: 'invalid_client' }, 401);
        return;
      }
      const token = ownProperty(await formOf(req, formLimit), 'token');
      if (typeof token !== 'string' || token === '') {
        throw new LoginError('request_invalid', 'The form must have a field named token');
      }
      sendJson(res, await introspect(token));
    }

    answer().catch((error: unknown) => {
      try {
        if (isLoginError(error)) sendProblem(res, error);
        else passOn(next, error);
      } catch (failure) {
        passOn(next, failure);
      }
    });
  };
}

function described({ user, claims, profile, scopes, times }: VerifiedToken): Omit<ActiveToken, 'session'> {
  const { username } = profile;
  const { expiresAt } = times;
  const issuedAt = claimOf(claims, 'iat');
  return {
    active: true,
    token_type: 'Bearer',
    iss: user.issuer,
    sub: user.subject,
    ...(username === undefined ? {} : { username }),
    ...(Object.hasOwn(claims, 'azp') ? { client_id: claims['azp'] } : {}),
    ...membersOf(claims, ['aud', 'client_id', 'act', 'jti']),
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    ...(typeof issuedAt === 'number' ? { iat: Math.floor(issuedAt) } : {}),
    ...(expiresAt === null ? {} : { exp: Math.floor(expiresAt / 1000) }),
  };
}

function membersOf(claims: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.filter((name) => Object.hasOwn(claims, name)).map((name) => [name, claims[name]]));
}
