/** The type of `req.user`: as it is by default, and as an application declares it. */

import type { Organization } from '../core/claims.js';

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
