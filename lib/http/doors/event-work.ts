/** From what a security event asks for to what is done, for users of the configured issuers only. */

import { isLoginError } from '../../core/errors.js';
import type { IssuerRules } from '../../tokens/verify.js';
import { refuseWithoutIndex, type DoorParts } from './door.js';
import type { Wanted } from './security-event.js';
import { subjectBy, type MeantUser } from './user.js';

export interface EventSource {
  /** Whether a separate transmitter sends the events, and not the issuer of the users. */
  readonly isSeparate: boolean;
  /** The name of the configured issuer, if there is only one. */
  readonly onlyIssuer: string | null;
}

/** Resolves once it is acknowledged. Safe to repeat. */
type Work = () => Promise<void>;

/** Null if there is nothing that can be done. Rejects with `LoginError` `claim_invalid` or `keys_unavailable`. */
export type WorkOf = (wanted: Wanted | null, signer: IssuerRules) => Promise<Work | null>;

export function createWorkOf(parts: DoorParts, { isSeparate, onlyIssuer }: EventSource): WorkOf {
  const { endings, findIssuer } = parts;

  /** An issuer speaks for its own users, a separate transmitter for those of every configured issuer. */
  async function rulesOf(name: string, signer: IssuerRules): Promise<IssuerRules | null> {
    if (!isSeparate) return name === signer.issuer ? signer : null;
    try {
      return await findIssuer(name);
    } catch (error) {
      if (isLoginError(error) && error.code === 'issuer_refused') return null;
      throw error;
    }
  }

  async function userOf(named: MeantUser, signer: IssuerRules): Promise<MeantUser | null> {
    const rules = await rulesOf(named.issuer, signer);
    if (rules === null) return null;
    const subject = subjectBy(rules, { iss: named.issuer, sub: named.subject });
    return subject === null ? null : { issuer: rules.issuer, subject };
  }

  return async function workOf(wanted, signer) {
    if (wanted === null) return null;
    if (wanted.kind === 'nothing') return () => Promise.resolve();
    const words = { reason: 'security_event', by: signer.issuer };
    const named = wanted.kind === 'end' ? wanted.subject.user : wanted.user;
    const user = named === null ? null : await userOf(named, signer);
    if (named !== null && user === null) return null;
    const sessionId = wanted.kind === 'end' ? wanted.subject.sessionId : null;
    if (sessionId !== null) {
      const issuer = user?.issuer ?? (isSeparate ? onlyIssuer : signer.issuer);
      if (issuer === null) return null;
      const subject = user?.subject ?? null;
      refuseWithoutIndex(parts, subject);
      return () => endings.endSession({ issuer, subject, sessionId }, words);
    }
    if (user === null) return null;
    return wanted.kind === 'expireTokens'
      ? () => endings.expireTokens(user, wanted.upTo, words)
      : () => endings.endUser(user, wanted.upTo, words);
  };
}
