/** Why an issuer function gave no issuer, in words. */

import { isObject, kindOf } from '../core/check.js';
import { oneLine, shown } from '../core/diagnosis.js';
import { readFailure } from '../core/hooks.js';
import type { IssuerOptions } from './issuer.js';

const TEXT_LENGTH = 200;

export class IssuerFailure extends Error {
  /** Whether the function answered, with a result that cannot be used: it is the matter of this one issuer. */
  readonly isAnswer: boolean;

  constructor(message: string, { isAnswer, cause }: { readonly isAnswer: boolean; readonly cause?: unknown }) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'IssuerFailure';
    this.isAnswer = isAnswer;
  }
}

/** The function threw this, or rejected with it. It can be anything. */
export function rejected(reason: unknown): IssuerFailure {
  return failure('The issuer function failed', reason, false);
}

/** The checks of an issuer's options threw this. */
export function invalidOptions(reason: unknown): IssuerFailure {
  return reason instanceof IssuerFailure
    ? reason
    : failure('The issuer function returned invalid options', reason, true);
}

export function tooSlow(timeout: number): IssuerFailure {
  return new IssuerFailure(`The issuer function gave no result within ${timeout / 1000} s`, { isAnswer: false });
}

/** Throws an {@link IssuerFailure} for what cannot be the options of the issuer with this `iss`. */
export function checkResult(result: unknown, iss: string): asserts result is IssuerOptions {
  if (!isObject(result)) {
    const or = result === undefined ? ': return null for an issuer that you do not know' : '';
    throw new IssuerFailure(`The issuer function returned ${kindOf(result)}${or}`, { isAnswer: true });
  }
  const { issuer, withoutIssuer } = result;
  if (withoutIssuer !== undefined && withoutIssuer !== false) {
    throw new IssuerFailure('The issuer function returned an issuer with withoutIssuer, but it is called with an iss', {
      isAnswer: true,
    });
  }
  if (issuer !== iss) {
    throw new IssuerFailure(`The issuer function returned another issuer: ${shown(issuer)}, not ${shown(iss)}`, {
      isAnswer: true,
    });
  }
}

function failure(what: string, reason: unknown, isAnswer: boolean): IssuerFailure {
  const { message, instead } = readFailure(reason);
  return message === undefined
    ? new IssuerFailure(`${what} with ${instead}`, { isAnswer })
    : new IssuerFailure(`${what}: ${oneLine(message.slice(0, TEXT_LENGTH))}`, { isAnswer, cause: reason });
}
