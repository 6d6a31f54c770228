/** Which sign-in a token belongs to: the value that stays the same while the tokens of one sign-in are refreshed. */

import { claimOf, type Claims } from '../core/claims.js';
import { sha256 } from '../core/digest.js';
import type { SessionUnnamed } from '../core/events.js';
import { refusePromise } from '../core/hooks.js';
import { keptText } from '../core/session.js';

/** The name of a claim, names of which the first one present counts, or a function of the claims. */
export type SessionNaming = string | readonly string[] | ((claims: Claims) => unknown);

/** OpenID Connect, AuthRocket's version 1, Amazon Cognito, Supabase, and Keycloak before its version 25. */
export const DEFAULT_SESSION: readonly string[] = ['sid', 'tk', 'origin_jti', 'session_id', 'session_state'];

export interface SessionId {
  readonly id: string;
  /** False if the token names no session and this was not declared as intended: a refreshed token is then another session. */
  readonly isNamed: boolean;
}

export type SessionIdOf = (claims: Claims, signingInput: string) => SessionId;

/**
 * Finds session ids by an issuer's option `session`. A non-empty string or a safe integer counts, the number as its
 * decimal digits. Anything else is skipped, larger integers too: JSON has rounded them, so two may have become one.
 *
 * If none is present, the session id is `jti`, or else the SHA-256 of the signing input (`header.payload`): never of the
 * whole token, because a signature has more than one valid encoding. Throws a `TypeError`, which names the option by
 * `path`, if a function returns a promise; whatever else a function throws is passed on.
 */
export function sessionIdBy(session: SessionNaming = DEFAULT_SESSION, path = 'issuer.session'): SessionIdOf {
  const find = typeof session === 'function' ? byFunction(session, path) : byClaims([session].flat());
  const isDeclared = typeof session !== 'function' && [session].flat().includes('jti');
  return function sessionIdOf(claims, signingInput) {
    const named = find(claims);
    if (named !== undefined) return { id: named, isNamed: true };
    const id = countedId(claimOf(claims, 'jti')) ?? sha256(signingInput);
    return { id, isNamed: isDeclared };
  };
}

type Find = (claims: Claims) => string | undefined;

function byClaims(names: readonly string[]): Find {
  return function findByClaims(claims) {
    for (const name of names) {
      const id = countedId(claimOf(claims, name));
      if (id !== undefined) return id;
    }
    return undefined;
  };
}

function byFunction(session: (claims: Claims) => unknown, path: string): Find {
  return function findByFunction(claims) {
    const value = session(claims);
    refusePromise(value, `${path} must return the session id itself, not a promise of it`);
    return countedId(value);
  };
}

/** A non-empty string, or a safe integer as its decimal digits. Undefined for anything else. */
export function countedId(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value;
  return Number.isSafeInteger(value) ? String(value) : undefined;
}

/** The most names of claims that are reported, and the longest, in characters: a token can have thousands. */
const NAMES_LIMIT = 50;
const NAME_LIMIT = 64;
/** The most issuers that are reported. */
const ISSUERS_LIMIT = 10_000;

/** Reports tokens that name no session: once for each issuer, without any value of the token. */
export function reportUnnamedOnce(report: (event: SessionUnnamed) => void): (issuer: string, claims: Claims) => void {
  const reported = new Set<string>();
  return function reportUnnamed(issuer, claims) {
    if (reported.has(issuer) || reported.size >= ISSUERS_LIMIT) return;
    reported.add(issuer);
    report({ issuer, claims: Object.keys(claims).slice(0, NAMES_LIMIT).map(keptName) });
  };
}

function keptName(name: string): string {
  return name.length > NAME_LIMIT ? `${keptText(name, NAME_LIMIT)}…` : keptText(name, NAME_LIMIT);
}

const warned = new Set<string>();

/** Warns once for each issuer and process, whoever reports it. */
export function warnUnnamed({ issuer, claims }: SessionUnnamed): void {
  if (warned.has(issuer) || warned.size >= ISSUERS_LIMIT) return;
  warned.add(issuer);
  process.emitWarning(
    `The tokens of the issuer ${issuer} name no session, so each token is a session of its own, and a refreshed token ` +
      'brings an ended session back. Set the option session of this issuer to the claim that stays the same while ' +
      "a sign-in is refreshed, or to 'jti' if one session per token is intended. " +
      `The token has these claims: ${claims.join(', ')}`,
    { type: 'ManagedSessionsWarning', code: 'MANAGED_SESSIONS_SESSION_UNNAMED' },
  );
}
