/** A shop whose visitors have cookies, and what a request of one of them is answered with. */

import type { IncomingMessage } from 'node:http';
import supertest from 'supertest';
import { managedSessions, type ManagedSessions, type ManagedSessionsOptions } from '../../lib/index.js';
import type { Handler } from '../../lib/http/respond.js';
import { ISSUER, SECRET, START, tokenOf } from '../http/site.js';
import type { TestApp } from '../support/frameworks.js';

export const HOST = 'shop.example';
export const OURS = `https://${HOST}`;
export const EVIL = 'https://evil.example';

export const ALICE = tokenOf('alice-1', { sub: 'alice' });
export const MALLORY = tokenOf('mallory-1', { sub: 'mallory' });
export const EXPIRED = tokenOf('alice-0', { sub: 'alice', iat: START / 1000 - 7200, exp: START / 1000 - 3600 });

export type Headers = Readonly<Record<string, string>>;
export type Options = Partial<ManagedSessionsOptions>;

export function shop(options: Options = {}): ManagedSessions {
  return managedSessions({
    issuer: { issuer: ISSUER, audience: 'shop', secret: SECRET, clockTolerance: 0 },
    clock: { now: () => START },
    ...options,
  });
}

/** What an application or a gateway in front of it does to a request before the gate. */
export type Before = (req: IncomingMessage) => void;

/** Who the request was let in as, or the code of the refusal; both gates must say the same. */
export async function outcome(app: TestApp, sessions: ManagedSessions, sent: Headers, how: How = {}): Promise<string> {
  const { method = 'POST', before } = how;
  if (before !== undefined) {
    app.mount('/', (req, _res, next) => {
      before(req);
      next();
    });
  }
  app.mount('/required', sessions.required(), who);
  app.mount('/optional', sessions.optional(), who);
  const agent = supertest(app.listener);
  const send = (path: string): supertest.Test =>
    (method === 'GET' ? agent.get(path) : agent.post(path)).set({ Host: HOST, ...sent });
  const [required, optional] = [await send('/required'), await send('/optional')];
  const refused: unknown = required.status === 200 ? required.text : (required.body as { code?: unknown }).code;
  if (optional.status !== 200 || optional.text !== refused) throw new Error('required() and optional() differ');
  return typeof refused === 'string' ? refused : `status ${String(required.status)}`;
}

export interface How {
  readonly method?: 'GET' | 'POST';
  readonly before?: Before;
}

const who: Handler = (req: IncomingMessage & { user?: { id?: string }; loginError?: { code?: string } }, res) => {
  res.end(req.user?.id ?? req.loginError?.code);
};
