/** How callers name a user. */

import { aFilledString, checkKind, kindOf } from '../core/check.js';
import { sessionUser, type SessionUser } from '../core/session.js';

/**
 * Whose sessions: the subject, or issuer and subject if there are several issuers or a function that finds them. By default,
 * `req.user` is such a reference: its `id` is the subject.
 */
export type UserReference =
  string | { readonly issuer: string; readonly subject: string } | { readonly issuer: string; readonly id: string };

/**
 * The user that is meant. `issuers` are the configured ones; null if any may be named, because a function finds them. Throws a
 * `TypeError` for anything else.
 */
export function userReferred(user: UserReference, issuers: readonly string[] | null): SessionUser {
  const isReference = typeof user === 'string' || (typeof user === 'object' && (user as unknown) !== null);
  if (!isReference) throw new TypeError(`user must be a subject or { issuer, subject }, got ${kindOf(user)}`);
  const only = onlyOne(issuers);
  const { issuer, subject } = typeof user === 'string' ? { issuer: only, subject: user } : issuerAndSubject(user);
  if (issuer === undefined) {
    throw new TypeError(
      `user must be { issuer, subject }: ${only === undefined ? whySeveral(issuers) : 'or the subject alone'}`,
    );
  }
  checkIssuer(issuer, issuers, 'user.issuer');
  if (typeof subject !== 'string' || subject === '') throw new TypeError('user must be a subject: a non-empty string');
  return sessionUser(issuer, subject);
}

/** The issuer that is meant: the only one if it is left out. `path` names it in messages. */
export function issuerReferred(issuer: string | undefined, issuers: readonly string[] | null, path: string): string {
  const meant = issuer ?? onlyOne(issuers);
  if (meant === undefined) throw new TypeError(`${path} must be given: ${whySeveral(issuers)}`);
  checkIssuer(meant, issuers, path);
  return meant;
}

function onlyOne(issuers: readonly string[] | null): string | undefined {
  return issuers?.length === 1 ? issuers[0] : undefined;
}

function whySeveral(issuers: readonly string[] | null): string {
  return issuers === null ? 'a function finds the issuers' : 'several issuers are configured';
}

function checkIssuer(issuer: string, issuers: readonly string[] | null, path: string): void {
  if (issuers === null) checkKind(issuer, path, aFilledString);
  else if (!issuers.includes(issuer)) throw new TypeError(`${path} is not one of the configured issuers`);
}

function issuerAndSubject(user: Exclude<UserReference, string>): { readonly issuer: string; readonly subject: string } {
  if (!('id' in user)) return user;
  if ('subject' in user && user.subject !== user.id) {
    throw new TypeError('user has an id and a subject, and they are not the same: give one of them');
  }
  return { issuer: user.issuer, subject: user.id };
}
