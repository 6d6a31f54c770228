/** The channel `managed-sessions:request` of `node:diagnostics_channel`. */

import { channel } from 'node:diagnostics_channel';
import { isLoginError, type LoginErrorCode } from '../core/errors.js';
import { isPending, type Pending } from './pending.js';

/** Message of the channel `managed-sessions:request`: the result for one request. */
export interface RequestJudged {
  readonly outcome: 'live' | LoginErrorCode;
  /** What knew the session: this process or the store; `none` if neither had to be asked. */
  readonly source: 'ledger' | 'store' | 'none';
}

export const requestsJudged = channel('managed-sessions:request');

/** Publishes the result of `work`, and whether the judge that it calls had to ask the store. */
export function published<Args extends unknown[], Session extends object>(
  judge: (...args: Args) => Pending<Session>,
  work: (judge: (...args: Args) => Pending<Session>) => Pending<Session>,
): Pending<Session> {
  let source: RequestJudged['source'] = 'none';
  function observedJudge(...args: Args): Pending<Session> {
    source = 'ledger';
    const session = judge(...args);
    if (isPending(session)) source = 'store';
    return session;
  }
  function publish(outcome: RequestJudged['outcome']): void {
    const message: RequestJudged = { outcome, source };
    requestsJudged.publish(message);
  }
  function publishRefused(error: unknown): void {
    if (isLoginError(error)) publish(error.code);
  }
  try {
    const session = work(observedJudge);
    if (isPending(session)) session.then(() => publish('live'), publishRefused);
    else publish('live');
    return session;
  } catch (error) {
    publishRefused(error);
    throw error;
  }
}
