/** How claims are read, and what of them is shown to the application. */

import { keptOrNull, PARTY_LIMIT, type TokenParties } from './session.js';

/** A token's payload. Read it with `claimOf`: names come from outside, such as `__proto__` and `constructor`. */
export type Claims = Readonly<Record<string, unknown>>;

/** A person's names and organizations, for `req.user`. */
export interface Profile {
  readonly name?: string;
  readonly username?: string;
  readonly email?: string;
  /** Set if the issuer tells of organizations: see `authRocket()`. Empty if the person is not in any. */
  readonly orgs?: readonly Organization[];
}

/** A person's membership in an organization. */
export interface Organization {
  readonly id: string;
  readonly membershipId: string | null;
  readonly name: string | null;
  /** The application's own id of the organization. */
  readonly reference: string | null;
  readonly permissions: readonly string[];
  /** Whether the person chose this organization at login. */
  readonly selected: boolean;
}

/** A JSON object, as `JSON.parse` returns it: not an array, not null. */
export function isClaims(value: unknown): value is Claims {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An own property; never an inherited one. */
export function claimOf(claims: Claims, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}

/** The claim, if it is a non-empty string. */
export function textOf(claims: Claims, name: string): string | undefined {
  const value = claimOf(claims, name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** `client_id`, or else `azp`; and `act.sub`, which is the current actor even if others are nested in it. As they are kept. */
export function partiesOf(claims: Claims): TokenParties {
  const app = textOf(claims, 'client_id') ?? textOf(claims, 'azp') ?? null;
  const act = claimOf(claims, 'act');
  const actor = isClaims(act) ? (textOf(act, 'sub') ?? null) : null;
  return { app: keptOrNull(app, PARTY_LIMIT), actor: keptOrNull(actor, PARTY_LIMIT) };
}

/** The profile from OpenID Connect Core, section 5.1: `name`, `preferred_username`, `email`. */
export function standardProfile(claims: Claims): Profile {
  return profileOf({
    name: textOf(claims, 'name'),
    username: textOf(claims, 'preferred_username'),
    email: textOf(claims, 'email'),
  });
}

type Name = 'name' | 'username' | 'email';

/** Leaves out what is unknown. Without spreads, because they are slow and this runs for every new token. */
export function profileOf(found: Readonly<Record<Name, string | undefined>>): Profile {
  const profile: Partial<Record<Name, string>> = {};
  if (found.name !== undefined) profile.name = found.name;
  if (found.username !== undefined) profile.username = found.username;
  if (found.email !== undefined) profile.email = found.email;
  return profile;
}
