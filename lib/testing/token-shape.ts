/** What the tokens of an issuer for tests look like, and what a refresh changes. */

import { randomUUID } from 'node:crypto';
import type { TestAlgorithm } from './signing-keys.js';

export type Claims = Readonly<Record<string, unknown>>;

/** A sign-in, as its first token is issued. */
export interface SignIn {
  readonly user: string;
  /** The name of the issuer. */
  readonly issuer: string;
  /** In seconds since 1970. */
  readonly at: number;
}

export interface TokenShape {
  /** Of every token, if it is not each customer's own. */
  readonly issuer?: string;
  readonly header: { readonly alg: TestAlgorithm; readonly typ?: string };
  /** How long a token lasts, in seconds. */
  readonly lifetime: number;
  /** The claims of the first token, without `iat` and `exp`. */
  claims(signIn: SignIn): Claims;
  /**
   * Those that are different in a refreshed token, or only there, besides `iat` and `exp`. `at`: in seconds since 1970. Left
   * out: there are none.
   */
  changes?(previous: Claims, at: number): Claims;
}

/** The claims of the first token of a sign-in. What is in `given` is taken instead; `undefined` removes a claim. */
export function firstClaims(shape: TokenShape, signIn: SignIn, given: Claims = {}): Claims {
  const { at } = signIn;
  return { ...shape.claims(signIn), iat: at, exp: at + shape.lifetime, ...given };
}

/** The claims of the token that is issued for the previous one. A claim that was removed from that stays away. */
export function refreshedClaims(shape: TokenShape, previous: Claims, at: number, given: Claims = {}): Claims {
  const first = firstClaims(shape, { user: '', issuer: '', at });
  const isThere = (name: string): boolean => Object.hasOwn(previous, name) || !Object.hasOwn(first, name);
  const changes = { iat: at, exp: at + shape.lifetime, ...shape.changes?.(previous, at) };
  const made = Object.entries(changes).filter(([name]) => isThere(name));
  return { ...previous, ...Object.fromEntries(made), ...given };
}

/** Without `like`. */
export const PLAIN_SHAPE: TokenShape = {
  header: { alg: 'RS256', typ: 'JWT' },
  lifetime: 3600,
  claims: ({ user, issuer }) => ({ iss: issuer, sub: user, sid: randomUUID() }),
};
