/** What the option `user` returns for the claims of a token: an account, or nobody. */

import { types } from 'node:util';
import { LoginError } from '../core/errors.js';

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
