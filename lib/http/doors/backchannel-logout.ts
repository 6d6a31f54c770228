/** OpenID Connect Back-Channel Logout 1.0: the identity provider ends sessions. */

import type { ServerResponse } from 'node:http';
import { checkOptions, filledStrings, neverUndefined, refuseUnset, required } from '../../core/check.js';
import { momentOf } from '../../core/claim-times.js';
import { LoginError } from '../../core/errors.js';
import type { SignedMessage } from '../../tokens/message.js';
import { ownProperty } from '../app-request.js';
import { formOf } from '../body.js';
import { sendJson, sendNothing, type Handler } from '../respond.js';
import { createDoor, refuseWithoutIndex, type DoorParts } from './door.js';
import { checkLogoutToken, LOGOUT_LONGEST_AGE, LOGOUT_TYPES, sessionIdOf } from './logout-token.js';
import { subjectBy } from './user.js';

export interface BackchannelLogoutOptions {
  /** The application's client id at the provider, or several: one of them must be in the `aud` of a logout token. */
  readonly clientId: string | readonly string[];
}

/**
 * Takes logout tokens from every configured issuer: a POST form with `logout_token`. It needs no login, because the token is
 * signed by the issuer. Throws a `TypeError` if an option is invalid.
 */
export function createBackchannelLogout(parts: DoorParts, options: BackchannelLogoutOptions): Handler {
  checkOptions<BackchannelLogoutOptions>(options, 'backchannelLogout()', {
    clientId: required(neverUndefined(filledStrings, 'set the variable that it comes from')),
  });
  const clientIds = [options.clientId].flat();
  for (const clientId of clientIds) refuseUnset(clientId, 'backchannelLogout(): clientId');
  // Room for the longest token if a client percent-encodes all of it.
  const formLimit = 3 * parts.maxTokenLength + 1024;

  async function obey({ issuer, claims }: SignedMessage, now: number): Promise<null> {
    const words = { reason: 'backchannel_logout', by: issuer.issuer };
    const subject = subjectBy(issuer, claims);
    const sessionId = sessionIdOf(claims);
    if (sessionId !== null) {
      refuseWithoutIndex(parts, subject);
      await parts.endings.endSession({ issuer: issuer.issuer, subject, sessionId }, words);
      return null;
    }
    if (subject === null) throw new LoginError('claim_invalid', 'The subject is not in the logout token');
    const issuedAt = momentOf(claims, 'iat') ?? -Infinity;
    await parts.endings.endUser({ issuer: issuer.issuer, subject }, Math.min(issuedAt, now), words);
    return null;
  }

  return createDoor(parts, {
    types: LOGOUT_TYPES,
    longestAge: LOGOUT_LONGEST_AGE,
    check: (claims) => checkLogoutToken(claims, clientIds),
    verify: parts.verifyMessage,
    async tokenOf(req) {
      const token = ownProperty(await formOf(req, formLimit), 'logout_token');
      if (typeof token === 'string' && token !== '') return token;
      throw new LoginError('request_invalid', 'The form must have one field named logout_token');
    },
    obey,
    onRepeated: (res) => sendError(res, 'The logout token was used before'),
    answer: (res) => sendNothing(res, 200),
    refuse: (res, { message }) => sendError(res, message),
  });
}

/** RFC 6749, section 5.2, as Back-Channel Logout 1.0, section 2.8, asks for. */
function sendError(res: ServerResponse, description: string): void {
  sendJson(res, { error: 'invalid_request', error_description: description }, 400);
}
