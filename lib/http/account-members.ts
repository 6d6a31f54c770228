/** What administrators and jobs call: the account, with every argument checked. */

import { aNumber, aString, checkOptions, kindOf, stringOrNull, type OptionKinds } from '../core/check.js';
import {
  endedBy,
  type Account,
  type EndEverywhereOptions,
  type ExpireTokensOptions,
  type ListOptions,
  type RevokeAllOptions,
  type RevokeOptions,
  type SessionList,
  type SessionView,
} from './account.js';
import type { DoorEndings } from './doors/endings.js';
import { sessionReferred, type SessionReference } from './named-session.js';
import { userReferred, type UserReference } from './user-reference.js';

type Ending = Pick<RevokeOptions, 'reason' | 'by'>;

const LIST_OPTIONS: OptionKinds<ListOptions> = { limit: aNumber, cursor: stringOrNull };
const ENDING_OPTIONS: OptionKinds<Ending> = { reason: aString, by: aString };
const REVOKE_ALL_OPTIONS: OptionKinds<RevokeAllOptions> = { ...ENDING_OPTIONS, except: aString };

export interface AccountMembers {
  list(user: UserReference, options?: ListOptions): Promise<SessionList>;
  get(user: UserReference, handle: string): Promise<SessionView>;
  label(user: UserReference, handle: string, text: string | null): Promise<SessionView>;
  revoke(user: UserReference, handle: string, options?: Ending): Promise<void>;
  revokeAll(user: UserReference, options?: RevokeAllOptions): Promise<{ readonly ended: number }>;
  expireTokens(user: UserReference, options?: ExpireTokensOptions): Promise<void>;
  revokeSession(session: SessionReference, options?: Ending): Promise<void>;
  erase(user: UserReference): Promise<{ readonly ended: number }>;
  endEverywhere(options?: EndEverywhereOptions): Promise<void>;
}

/**
 * The account, as administrators call it. Each rejects with a `TypeError` if an argument is invalid. `names` are the
 * configured issuers; null if any may be named.
 */
export function accountMembers(
  account: Account,
  endings: Pick<DoorEndings, 'endSession'>,
  names: readonly string[] | null,
): AccountMembers {
  return {
    list: async (user, options = {}) => {
      checkOptions<ListOptions>(options, 'list()', LIST_OPTIONS);
      return account.list(userReferred(user, names), options);
    },
    get: async (user, handle) => account.get(userReferred(user, names), handleGiven(handle, 'get()')),
    label: async (user, handle, text) => account.label(userReferred(user, names), handleGiven(handle, 'label()'), text),
    revoke: async (user, handle, options = {}) => {
      checkOptions<Ending>(options, 'revoke()', ENDING_OPTIONS);
      return account.revoke(userReferred(user, names), handleGiven(handle, 'revoke()'), options);
    },
    revokeAll: async (user, options = {}) => {
      checkOptions<RevokeAllOptions>(options, 'revokeAll()', REVOKE_ALL_OPTIONS);
      return account.revokeAll(userReferred(user, names), options);
    },
    expireTokens: async (user, options = {}) => {
      checkOptions<ExpireTokensOptions>(options, 'expireTokens()', ENDING_OPTIONS);
      await account.expireTokens(userReferred(user, names), options);
    },
    revokeSession: async (session, options = {}) => {
      checkOptions<Ending>(options, 'revokeSession()', ENDING_OPTIONS);
      await endings.endSession(sessionReferred(session, names), endedBy(options.reason, options.by));
    },
    erase: async (user) => account.erase(userReferred(user, names)),
    endEverywhere: async (options = {}) => {
      checkOptions<EndEverywhereOptions>(options, 'endEverywhere()', ENDING_OPTIONS);
      await account.endEverywhere(options);
    },
  };
}

/** A handle that was left out must not look like one of a session that has already ended. */
function handleGiven(handle: unknown, call: string): string {
  if (typeof handle === 'string' && handle !== '') return handle;
  const hint = call === 'revoke()' ? '; revokeAll() ends every session of a user' : '';
  throw new TypeError(`${call} must have the handle of a session as its second argument, got ${kindOf(handle)}${hint}`);
}
