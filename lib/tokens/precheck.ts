/** What is checked of a token before its issuer is looked up: everything that no option of an issuer can change. */

import { claimOf, type Claims } from '../core/claims.js';
import { checkFixed } from '../core/claim-checks.js';
import { missing, momentOf } from '../core/claim-times.js';
import { diagnosed, shown } from '../core/diagnosis.js';
import { LoginError } from '../core/errors.js';

/** The largest `clockTolerance` that an issuer can have, in milliseconds. */
export const LARGEST_TOLERANCE = 3_600_000;

/** The longest `iss` that is looked up, in characters: names that anybody made up are kept for a while. */
const ISSUER_NAME_LIMIT = 512;

/** Never a login token, whatever the option `types` says (RFC 8725, section 3.11; RFC 8417, section 2.3). */
export const OTHER_TYPES: readonly string[] = ['logout+jwt', 'secevent+jwt'];

/** A token in the right format that nobody may have signed. */
export interface UncheckedToken {
  /** Normalized; null if the header has none. */
  readonly type: string | null;
  readonly payload: Claims;
}

/**
 * The `iss` of a token that may be valid, as far as can be told without its issuer. `now` is in milliseconds since 1970.
 * `isExpRequired` says that no lifetime is set. Throws `LoginError`: `type_refused`, `issuer_refused`, `claim_invalid`,
 * `token_expired` or `token_not_yet_valid`.
 */
export function issuerNameOf({ type, payload }: UncheckedToken, now: number, isExpRequired: boolean): string {
  if (type !== null && OTHER_TYPES.includes(type)) {
    throw new LoginError('type_refused', 'Tokens of this type are not accepted as login tokens');
  }
  checkFixed(payload);
  const name = nameToLookUp(claimOf(payload, 'iss'));
  refuseLongPast(payload, now, isExpRequired);
  return name;
}

/** An `iss` that a function may be asked for. Throws `LoginError` `issuer_refused`. */
export function nameToLookUp(name: unknown): string {
  if (typeof name !== 'string' || name === '' || name.length > ISSUER_NAME_LIMIT || !name.isWellFormed()) {
    throw diagnosed(new LoginError('issuer_refused', 'The issuer is not configured'), {
      claim: 'iss',
      got: shown(name),
      expected: `a well-formed string of 1 to ${ISSUER_NAME_LIMIT} characters`,
    });
  }
  return name;
}

/** Each comparison asks whether the token may be valid, so that it is refused if the clock returns `NaN`. */
function refuseLongPast(payload: Claims, now: number, isExpRequired: boolean): void {
  const expiresAt = momentOf(payload, 'exp');
  if (expiresAt === null && isExpRequired) throw missing('exp', 'The claim exp is missing, and no lifetime is set');
  if (expiresAt !== null && !(now < expiresAt + LARGEST_TOLERANCE)) {
    throw new LoginError('token_expired', 'The token expired more than an hour ago');
  }
  for (const from of [momentOf(payload, 'nbf'), momentOf(payload, 'iat')]) {
    if (from !== null && !(from <= now + LARGEST_TOLERANCE)) {
      throw new LoginError('token_not_yet_valid', 'The token becomes valid in more than an hour');
    }
  }
}
