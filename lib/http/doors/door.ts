/** What both doors do with a request: read the message, verify it, carry it out, note that it was used up, answer. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { diagnosed } from '../../core/diagnosis.js';
import { isLoginError, LoginError } from '../../core/errors.js';
import { tokenRefused, type Emit } from '../../core/events.js';
import { passOn } from '../../core/hooks.js';
import type { FindIssuer, MessageForm, MessageVerifier, SignedMessage } from '../../tokens/message.js';
import { LARGEST_TOLERANCE } from '../../tokens/precheck.js';
import { sendNotAllowed, sendNothing, type Handler } from '../respond.js';
import type { DoorEndings } from './endings.js';
import { messageId, refuseOutOfTime } from './message.js';

export interface DoorParts {
  readonly findIssuer: FindIssuer;
  readonly verifyMessage: MessageVerifier;
  readonly endings: DoorEndings;
  /** Whether a session can be ended by its id alone. */
  readonly sessionIndex: boolean;
  readonly clock: { now(): number };
  readonly emit: Emit;
  /** In characters. */
  readonly maxTokenLength: number;
}

/** Called once the message is used up. Must not throw. */
export type Report = () => void;

export interface Door extends MessageForm {
  /** How long ago a message may have been issued, in milliseconds. */
  readonly longestAge: number;
  readonly verify: MessageVerifier;
  /** Rejects with `LoginError` `request_invalid`. */
  readonly tokenOf: (req: IncomingMessage) => Promise<unknown>;
  /**
   * Resolves once what the message asks for is acknowledged, with what tells the application of it, if anything does. Safe to
   * repeat. Rejects with `LoginError`.
   */
  readonly obey: (message: SignedMessage, now: number) => Promise<Report | null>;
  /** Answers a message that was used up before. */
  readonly onRepeated: (res: ServerResponse) => void;
  readonly answer: (res: ServerResponse) => void;
  /** Answers with 400. */
  readonly refuse: (res: ServerResponse, error: LoginError) => void;
}

/** For how much longer than a message is valid its use is remembered, in milliseconds: clocks of processes may differ. */
const MARGIN = 60_000;

/**
 * A message is used up only after its ending was acknowledged, so that its sender may repeat one that was answered with 503.
 * Two that arrive at the same time are both obeyed, which ends nothing more.
 */
export function createDoor({ endings, clock, emit }: DoorParts, door: Door): Handler {
  const { longestAge } = door;
  const form: MessageForm = {
    types: door.types,
    check(claims) {
      door.check(claims);
      refuseOutOfTime(claims, { longestAge, tolerance: LARGEST_TOLERANCE, now: clock.now() });
    },
  };

  async function receive(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const message = await door.verify(await door.tokenOf(req), form);
    const now = clock.now();
    const { clockTolerance } = message.issuer;
    refuseOutOfTime(message.claims, { longestAge, tolerance: clockTolerance, now });
    const id = messageId(message.claims);
    if (await endings.isUsed(id)) {
      door.onRepeated(res);
      return;
    }
    const report = await door.obey(message, now);
    // Its `iat` may be ahead by the tolerance, and its age counts from there.
    await endings.use(id, now + clockTolerance + longestAge + MARGIN);
    report?.();
    door.answer(res);
  }

  return function doorMiddleware(req, res, next) {
    if (req.method !== 'POST') {
      sendNotAllowed(req, res, 'POST');
      return;
    }
    receive(req, res).catch((error: unknown) => {
      try {
        if (!isLoginError(error)) passOn(next, error);
        else if (error.status === 503) sendUnavailable(res, error);
        else {
          if (error.status === 401) emit('tokenRefused', tokenRefused(error));
          door.refuse(res, error);
        }
      } catch (failure) {
        passOn(next, failure);
      }
    });
  };
}

/** Throws `LoginError` `claim_invalid` if a session cannot be ended by its id alone, and there is no subject. */
export function refuseWithoutIndex({ sessionIndex }: Pick<DoorParts, 'sessionIndex'>, subject: string | null): void {
  if (subject !== null || sessionIndex) return;
  const error = new LoginError('claim_invalid', 'A session id alone is enough only with the option sessionIndex: true');
  throw diagnosed(error, {
    claim: 'the subject',
    got: 'nothing',
    expected: 'a user, or the option sessionIndex: true',
  });
}

function sendUnavailable(res: ServerResponse, error: LoginError): void {
  for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value);
  sendNothing(res, 503);
}
