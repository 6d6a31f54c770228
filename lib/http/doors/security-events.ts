/** Security events that an issuer or a separate transmitter pushes: RFC 8935, with CAEP 1.0 and RISC 1.0. */

import type { ServerResponse } from 'node:http';
import { checkOptions, filledStrings, isPlain, neverUndefined, refuseUnset, required } from '../../core/check.js';
import type { LoginError, LoginErrorCode } from '../../core/errors.js';
import { keptText } from '../../core/session.js';
import type { IssuerOptions } from '../../tokens/issuer.js';
import { createMessageVerifier, findIssuerAmong, type SignedMessage } from '../../tokens/message.js';
import type { IssuerRules } from '../../tokens/verify.js';
import { stringOf } from '../body.js';
import { sendJson, sendNothing, type Handler } from '../respond.js';
import { createDoor, type DoorParts, type Report } from './door.js';
import { createWorkOf } from './event-work.js';
import { checkMessage } from './message.js';
import { EVENT_LONGEST_AGE, EVENT_TOKEN_TYPES, readEvents } from './security-event.js';

export interface SecurityEventsOptions {
  /** What the transmitter calls this application: one of these must be in the `aud` of a security event token. */
  readonly audience: string | readonly string[];
  /**
   * A separate transmitter: the options of an issuer, of which its name, its keys, `algorithms` and `clockTolerance` count. Then
   * only its tokens are accepted here. It may end the sessions of every configured issuer's users; a session id without a user
   * is one of the configured issuer, if there is only one. Default: the configured issuers, each for its own users.
   */
  readonly issuer?: IssuerOptions;
}

export interface SecurityEventsParts extends DoorParts {
  /** The name of the configured issuer, if there is only one. */
  readonly onlyIssuer: string | null;
  /** The rules of a separate transmitter, whose keys are closed with the rest. Throws a `TypeError`. */
  readonly transmitter: (options: IssuerOptions, path: string) => IssuerRules;
}

const MEDIA_TYPE = 'application/secevent+jwt';

/** The longest type that is reported, in characters. */
const TYPE_LIMIT = 300;

/** RFC 8935, section 2.4. Any other code is `invalid_request`. */
const ERROR_CODES: Readonly<Partial<Record<LoginErrorCode, string>>> = {
  issuer_refused: 'invalid_issuer',
  audience_refused: 'invalid_audience',
  key_unknown: 'invalid_key',
  algorithm_refused: 'invalid_key',
  signature_invalid: 'authentication_failed',
};

/**
 * Takes security event tokens: a POST whose body is the token. It needs no login, because the token is signed. Throws a
 * `TypeError` if an option is invalid.
 */
export function createSecurityEvents(parts: SecurityEventsParts, options: SecurityEventsOptions): Handler {
  const { audience, transmitter } = checkedOptions(parts, options);
  const verify =
    transmitter === null
      ? parts.verifyMessage
      : createMessageVerifier(findIssuerAmong([transmitter]), parts.maxTokenLength);
  const workOf = createWorkOf(parts, { isSeparate: transmitter !== null, onlyIssuer: parts.onlyIssuer });

  async function obey({ issuer, claims }: SignedMessage, now: number): Promise<Report> {
    // All of them before the first is carried out: a token that is refused does nothing.
    const events = await Promise.all(
      readEvents(claims, now).map(async ({ type, wanted }) => ({ type, work: await workOf(wanted, issuer) })),
    );
    for (const { work } of events) await work?.();
    return function report() {
      for (const { type, work } of events) {
        parts.emit('securityEvent', {
          issuer: issuer.issuer,
          type: keptText(type, TYPE_LIMIT),
          handled: work !== null,
        });
      }
    };
  }

  return createDoor(parts, {
    types: EVENT_TOKEN_TYPES,
    longestAge: EVENT_LONGEST_AGE,
    check: (claims) => checkMessage(claims, audience),
    verify,
    tokenOf: (req) => stringOf(req, MEDIA_TYPE, parts.maxTokenLength + 1024),
    obey,
    // RFC 8935, section 2: a repeated token is answered as the first one was.
    onRepeated: (res) => sendNothing(res, 202),
    answer: (res) => sendNothing(res, 202),
    refuse: sendError,
  });
}

function checkedOptions(parts: SecurityEventsParts, options: SecurityEventsOptions) {
  checkOptions<SecurityEventsOptions>(options, 'securityEvents()', {
    audience: required(neverUndefined(filledStrings, 'set the variable that it comes from')),
    issuer: neverUndefined(
      { accepts: isPlain, words: 'an object such as { issuer, jwksUri }' },
      'leave it out for the configured issuers',
    ),
  });
  const audience = [options.audience].flat();
  for (const name of audience) refuseUnset(name, 'securityEvents(): audience');
  const { issuer } = options;
  return { audience, transmitter: issuer === undefined ? null : parts.transmitter(issuer, 'securityEvents(): issuer') };
}

/** RFC 8935, section 2.3. */
function sendError(res: ServerResponse, { code, message }: LoginError): void {
  res.setHeader('Content-Language', 'en');
  sendJson(res, { err: ERROR_CODES[code] ?? 'invalid_request', description: message }, 400);
}
