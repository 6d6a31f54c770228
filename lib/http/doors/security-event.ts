/** What a security event token says: RFC 8417, with the events of CAEP 1.0, RISC 1.0 and the Shared Signals Framework. Pure. */

import { momentOf } from '../../core/claim-times.js';
import { claimOf, type Claims } from '../../core/claims.js';
import { LAST_MOMENT } from '../../core/policy.js';
import { eventsOf, invalid } from './message.js';
import { subjectOf, type EventSubject } from './subject.js';
import type { MeantUser } from './user.js';

export const EVENT_TOKEN_TYPES: readonly string[] = ['secevent+jwt'];

/**
 * In milliseconds. A transmitter repeats what could not be delivered, and a token that is old ends no later sign-in. So what
 * happened during an outage of a day is not lost.
 */
export const EVENT_LONGEST_AGE = 86_400_000;

/** What an event asks for. */
export type Wanted =
  | { readonly kind: 'end'; readonly subject: EventSubject; readonly upTo: number }
  | { readonly kind: 'endUser' | 'expireTokens'; readonly user: MeantUser; readonly upTo: number }
  /** Nothing, and that is all there is to do. */
  | { readonly kind: 'nothing' };

export interface ReadEvent {
  readonly type: string;
  /** Null for an event, or a subject, that is not known. */
  readonly wanted: Wanted | null;
}

type Reader = (event: Claims, subject: () => EventSubject | null, upTo: number) => Wanted | null;

const SCHEMAS = 'https://schemas.openid.net/secevent';

const READERS: Readonly<Record<string, Reader>> = {
  [`${SCHEMAS}/caep/event-type/session-revoked`]: (_event, subjectFor, upTo) => {
    const subject = subjectFor();
    return subject === null ? null : { kind: 'end', subject, upTo };
  },
  [`${SCHEMAS}/caep/event-type/credential-change`]: (event, subjectFor, upTo) =>
    claimOf(event, 'change_type') === 'create' ? null : aboutUser('endUser', subjectFor(), upTo),
  [`${SCHEMAS}/caep/event-type/token-claims-change`]: (_event, subjectFor, upTo) =>
    aboutUser('expireTokens', subjectFor(), upTo),
  [`${SCHEMAS}/risc/event-type/account-disabled`]: (_event, subjectFor, upTo) =>
    aboutUser('endUser', subjectFor(), upTo),
  [`${SCHEMAS}/ssf/event-type/verification`]: () => ({ kind: 'nothing' }),
};

function aboutUser(kind: 'endUser' | 'expireTokens', subject: EventSubject | null, upTo: number): Wanted | null {
  return subject?.user == null ? null : { kind, user: subject.user, upTo };
}

/**
 * The events of a token, in their order. `now` is in milliseconds since 1970: no event is later. Throws `LoginError`
 * `claim_invalid` for a known event that is not as it must be.
 */
export function readEvents(claims: Claims, now: number): readonly ReadEvent[] {
  return eventsOf(claims).map(([type, event]) => {
    const read = Object.hasOwn(READERS, type) ? READERS[type] : undefined;
    if (read === undefined) return { type, wanted: null };
    // Drafts put the subject into the event.
    const subject = (): EventSubject | null => subjectOf(claimOf(claims, 'sub_id') ?? claimOf(event, 'subject'));
    return { type, wanted: read(event, subject, Math.min(happenedAt(event, claims), now)) };
  });
}

/** By the event, but not after its token was issued: some transmitters count milliseconds. In milliseconds since 1970. */
function happenedAt(event: Claims, claims: Claims): number {
  const issuedAt = momentOf(claims, 'iat') ?? -Infinity;
  if (!Object.hasOwn(event, 'event_timestamp')) return issuedAt;
  const at = momentOf(event, 'event_timestamp');
  if (at !== null && Math.abs(at) <= LAST_MOMENT) return Math.min(at, issuedAt);
  throw invalid('event_timestamp', claimOf(event, 'event_timestamp'), 'a number of seconds since 1970');
}
