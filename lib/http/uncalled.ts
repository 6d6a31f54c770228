/** `app.use(sessions.required)` in place of `app.use(sessions.required())`: nobody is let in, and no request hangs. */

import type { ServerResponse } from 'node:http';
import { isObject } from '../core/check.js';
import type { Next } from './respond.js';

/** How each member is called that a framework may be given in place of what it returns. Not `on`, which throws by itself. */
const USAGES = {
  required: 'app.use(sessions.required())',
  optional: 'app.use(sessions.optional())',
  router: "app.use('/account/sessions', sessions.router())",
  logout: "app.post('/logout', sessions.logout())",
  handoff: 'app.use(sessions.handoff(...))',
  introspection: "app.use('/introspect', sessions.introspection(...))",
  backchannelLogout: "app.post('/backchannel-logout', sessions.backchannelLogout({ clientId }))",
  securityEvents: "app.post('/security-events', sessions.securityEvents({ audience }))",
  setCookie: 'await sessions.setCookie(req, res, token)',
  verify: 'await sessions.verify(token), or app.use(sessions.required())',
  authenticate: 'await sessions.authenticate(req), or app.use(sessions.required())',
  list: 'await sessions.list(user)',
  get: 'await sessions.get(user, handle)',
  label: 'await sessions.label(user, handle, text)',
  revoke: 'await sessions.revoke(user, handle)',
  revokeAll: 'await sessions.revokeAll(user)',
  expireTokens: 'await sessions.expireTokens(user)',
  revokeSession: 'await sessions.revokeSession({ subject, sessionId })',
  erase: 'await sessions.erase(user)',
  endEverywhere: 'await sessions.endEverywhere()',
  health: 'res.json(sessions.health())',
  close: 'await sessions.close()',
} as const;

type Covered = keyof typeof USAGES | 'on';
type Member = (...given: readonly unknown[]) => unknown;

/**
 * The same members. If a framework calls one with a request and a response, as if it were a request handler, `next` gets a
 * `TypeError` that says how to call it. Without `next`, the response is 500 and a process warning says why.
 *
 * Does not compile if a member has no row in {@link USAGES}, or a row has no member.
 */
export function refusingRequests<Members extends Readonly<Record<Covered, unknown>>>(
  members: Members & Readonly<Record<Exclude<keyof Members, Covered>, never>>,
): Members {
  const usages: Readonly<Record<string, string | undefined>> = USAGES;
  const wrapped = Object.entries<unknown>(members).map(([name, member]) => {
    const usage = usages[name];
    return [name, usage === undefined ? member : refusing(name, usage, member as Member)] as const;
  });
  // Each has the type of the member that it calls.
  return Object.fromEntries(wrapped) as Members;
}

function refusing(name: string, usage: string, member: Member): Member {
  // It takes a request and a response by itself.
  const takesResponse = name === 'setCookie';

  return function memberOrRefusal(...given) {
    const [, second, next] = given;
    const isContext = typeof second === 'function';
    if (!isContext && (takesResponse ? !isNext(next) : !isResponse(second))) return member(...given);
    const error = new TypeError(`sessions.${name} is not a request handler; call it: ${usage}`);
    if (isNext(next)) next(error);
    // Koa's `next`, the second argument, takes no error: it would go on to the protected handler.
    else if (isContext) throw error;
    else if (isResponse(second)) answerFailure(second, error);
    return undefined;
  };
}

function isNext(value: unknown): value is Next {
  return typeof value === 'function';
}

type Response = Pick<ServerResponse, 'end'>;

function isResponse(value: unknown): value is Response {
  return isObject(value) && typeof value['setHeader'] === 'function' && typeof value['end'] === 'function';
}

function answerFailure(res: Response & { statusCode?: number }, error: TypeError): void {
  process.emitWarning(error.message, 'ManagedSessionsWarning');
  res.statusCode = 500;
  res.end();
}
