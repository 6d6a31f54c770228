/** The value of `req.user`: what the option `user` returns, or the default made from the claims of the token. */

import { types } from 'node:util';
import { LoginError } from '../core/errors.js';
import type { VerifiedToken } from '../tokens/verify.js';
import type { LoginUser } from './register.js';

/** What the option `user` may return. Null, undefined and false: there is no such user. */
export type UserResult<User> = User | null | undefined | false | PromiseLike<User | null | undefined | false>;

/**
 * The user. Throws `LoginError` `user_refused` for everything that stands for nobody: to a handler, a falsy `req.user` is
 * nobody, and a query for one account may return an empty list. An error that is returned is thrown.
 */
export function existing<User>(user: UserResult<User>): User {
  if (types.isNativeError(user)) throw user;
  if (Boolean(user) && !(Array.isArray(user) && user.length === 0)) return user as User;
  throw new LoginError('user_refused', 'There is no user for this token');
}

/**
 * The default of `req.user`. A new object for each request, because applications write to it. Without a spread, because that
 * would be a third of what a warm request costs.
 */
export function loginUser({ user, profile, claims }: VerifiedToken): LoginUser {
  const { name, username, email, orgs } = profile;
  const login: { -readonly [Name in keyof LoginUser]: LoginUser[Name] } = {
    id: user.subject,
    issuer: user.issuer,
    claims,
  };
  if (name !== undefined) login.name = name;
  if (username !== undefined) login.username = username;
  if (email !== undefined) login.email = email;
  if (orgs !== undefined) login.orgs = orgs;
  return login;
}
