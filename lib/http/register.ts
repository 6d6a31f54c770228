/** The type of `req.user`, as an application declares it. */

import type { LoginUser } from './request.js';

/**
 * Gives `req.user` the type of what the option `user` returns, in every handler:
 *
 * ```ts
 * declare module 'managed-sessions' {
 *   interface Register {
 *     user: Account;
 *   }
 * }
 * ```
 *
 * It becomes the base of `Express.User`, so it must be an object type. An application that declares members of `Express.User`
 * itself, as with passport, declares `interface Register { user: object }`. Without a declaration, `req.user` is a
 * {@link LoginUser}.
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- an application adds `user` to it, by declaration merging
export interface Register {}

/** What `Express.User` inherits from. */
export type RegisteredUser = Register extends { readonly user: infer User } ? User : LoginUser;
