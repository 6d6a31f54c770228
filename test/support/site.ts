/** A small site in this process, for tests that disturb what lies between it and its Redis. */

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express from 'express';
import jwt from 'jsonwebtoken';
import { managedSessions, type ManagedSessions, type ManagedSessionsOptions } from '../../lib/index.js';

export const ISSUER = 'https://id.example.com/';
const SECRET = 'a secret for tests, 32 bytes long';

export const BOUND = 1000;
export const STORE_TIMEOUT = 200;
export const ACTIVITY_INTERVAL = 500;

export interface Answer {
  readonly status: number;
  /** Of a refusal. */
  readonly code: string | undefined;
  /** When the request was let in, by `performance.now()`. */
  readonly acceptedAt: number;
  /** In milliseconds. */
  readonly took: number;
}

export interface Site {
  readonly sessions: ManagedSessions;
  /** The names of `storeDown`, `storeUp` and `sessionEnded` events, in order. */
  readonly events: string[];
  /** Every status that was ever answered. */
  readonly statuses: Set<number>;
  /** A request with this token, or with none; `fresh` asks the store on this request. */
  ask(token: string | undefined, path?: '/' | '/fresh'): Promise<Answer>;
  /** Ends another's session as an administrator would. */
  revoke(token: string): Promise<void>;
  stop(): Promise<void>;
}

interface Body {
  readonly acceptedAt?: number;
  readonly code?: string;
}

/** A token for session `s` of this subject, good for an hour. */
export function tokenOf(subject: string, claims: object = {}, expiresIn: '1h' | '4h' = '1h'): string {
  return jwt.sign({ sub: subject, sid: 's', iss: ISSUER, ...claims }, SECRET, { expiresIn });
}

/** With short times: {@link BOUND}, {@link STORE_TIMEOUT}, {@link ACTIVITY_INTERVAL}. */
export async function startSite(options: Partial<ManagedSessionsOptions>): Promise<Site> {
  const sessions = managedSessions({
    issuer: { issuer: ISSUER, secret: SECRET },
    revocationBound: BOUND,
    storeTimeout: STORE_TIMEOUT,
    activityInterval: ACTIVITY_INTERVAL,
    ...options,
  });
  const events: string[] = [];
  for (const name of ['storeDown', 'storeUp', 'sessionEnded'] as const) sessions.on(name, () => events.push(name));

  const app = express();
  app.use('/account/sessions', sessions.router());
  app.get('/fresh', sessions.required({ fresh: true }), answerAccepted);
  app.get('/', sessions, answerAccepted);
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const statuses = new Set<number>();

  return {
    sessions,
    events,
    statuses,
    async ask(token, path = '/') {
      const sentAt = performance.now();
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const answer = await fetch(url + path, { headers });
      const { acceptedAt = NaN, code } = (await answer.json()) as Body;
      statuses.add(answer.status);
      return { status: answer.status, code, acceptedAt, took: performance.now() - sentAt };
    },
    async revoke(token) {
      const { session } = await sessions.verify(token);
      const { sub = '' } = jwt.decode(token, { json: true }) ?? {};
      await sessions.revoke(sub, session.handle);
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await sessions.close();
    },
  };
}

function answerAccepted(_req: express.Request, res: express.Response): void {
  res.json({ acceptedAt: performance.now() });
}
