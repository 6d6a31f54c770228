/** What the doors do: end what a message of a provider names, and accept each message once. */

import { sessionHandle, sessionUser } from '../../core/session.js';
import type { Ledger } from '../../ledger/ledger.js';

/** A session that its provider names. If `subject` is null, all sessions with this id are meant, of any user. */
export interface NamedSession {
  readonly issuer: string;
  readonly subject: string | null;
  readonly sessionId: string;
}

/** Why something ends, and who ended it. */
export interface EndingWords {
  readonly reason: string;
  readonly by: string | null;
}

/** Each method rejects with `LoginError` `store_unavailable` if it is not acknowledged. All are safe to repeat. */
export interface DoorEndings {
  /**
   * Ends a session, also one that was never seen here. Rejects with a `TypeError` that names the option `sessionIndex` if
   * there is no subject, and that option is not set.
   */
  endSession(named: NamedSession, words: EndingWords): Promise<void>;
  /** Ends the user's sessions that began up to `upTo`, in milliseconds since 1970. If that is later than now: up to now. */
  endUser(user: { readonly issuer: string; readonly subject: string }, upTo: number, words: EndingWords): Promise<void>;
  /** Makes the user's tokens stale that were issued up to `upTo`, as {@link endUser} takes it. No session ends. */
  expireTokens(
    user: { readonly issuer: string; readonly subject: string },
    upTo: number,
    words: EndingWords,
  ): Promise<void>;
  /** Whether the message was noted by {@link use}, in any process. `id`: a digest, 43 base64url characters. */
  isUsed(id: string): Promise<boolean>;
  /** Notes that the message was acknowledged. It stays noted until `until`, in milliseconds since 1970. */
  use(id: string, until: number): Promise<void>;
}

const WITHOUT_INDEX =
  'A session without a subject can be ended only with the option sessionIndex: true, in every process that uses the store';

/** `sessionIndex`: the option. */
export function createDoorEndings(
  ledger: Pick<Ledger, 'revoke' | 'revokeIndexed' | 'revokeAll' | 'expireTokens' | 'isMessageUsed' | 'useMessage'>,
  sessionIndex: boolean,
): DoorEndings {
  return {
    async endSession({ issuer, subject, sessionId }, words) {
      if (subject === null) {
        if (!sessionIndex) throw new TypeError(WITHOUT_INDEX);
        await ledger.revokeIndexed({ issuer, sessionId }, words);
        return;
      }
      const user = sessionUser(issuer, subject);
      await ledger.revoke(user, { handle: sessionHandle(user, sessionId), ...words, evenUnseen: true });
    },
    async endUser({ issuer, subject }, upTo, words) {
      await ledger.revokeAll(sessionUser(issuer, subject), { except: null, upTo, ...words });
    },
    expireTokens: ({ issuer, subject }, upTo, words) =>
      ledger.expireTokens(sessionUser(issuer, subject), { upTo, ...words }),
    isUsed: (id) => ledger.isMessageUsed(id),
    use: (id, until) => ledger.useMessage(id, until),
  };
}
