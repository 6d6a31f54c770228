/** A small site in this process, for tests that disturb what lies between it and its Redis. */

import { createSecretKey } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express from 'express';
import jwt from 'jsonwebtoken';
import { sessionHandle, sessionUser } from '../../lib/core/session.js';
import { LoginError, managedSessions, type ManagedSessions, type ManagedSessionsOptions } from '../../lib/index.js';
import { machineNow } from './machine.js';
import { eventually } from './redis.js';

export const ISSUER = 'https://id.example.com/';
const SECRET = 'a secret for tests, 32 bytes long';
/** jsonwebtoken would first try to read a string as a private key, at each call. */
const KEY = createSecretKey(SECRET, 'utf8');
/** What a site accepts, unless its options say otherwise. */
export const SITE_ISSUER = { issuer: ISSUER, secret: SECRET };

export const BOUND = 2000;
export const STORE_TIMEOUT = 500;
export const ACTIVITY_INTERVAL = 500;
/** For a site that nothing is to disturb: a machine that is busy is not taken for a store that is away. */
export const PATIENT = { storeTimeout: '20s', revocationBound: '1m' } as const;

export interface Answer {
  readonly status: number;
  /** Of a refusal. */
  readonly code: string | undefined;
  /** When the request was let in, by `performance.now()`. */
  readonly acceptedAt: number;
  /** In milliseconds by `machineNow()`. */
  readonly took: number;
  /** In the same turn of the event loop in which the request came: nobody was waited for. */
  readonly atOnce: boolean;
}

export interface Site {
  readonly sessions: ManagedSessions;
  /** The names of `storeDown`, `storeUp` and `sessionEnded` events, in order. */
  readonly events: string[];
  /** Every status that was ever answered. */
  readonly statuses: Set<number>;
  /** A request with this token, or with none; `fresh` asks the store on this request. */
  ask(token: string | undefined, path?: '/' | '/fresh'): Promise<Answer>;
  /** Ends another's session as an administrator would, who may repeat it. */
  revoke(token: string): Promise<void>;
  stop(): Promise<void>;
}

interface Body {
  readonly acceptedAt?: number;
  readonly code?: string;
}

/** A token for session `s` of this subject, good for an hour. */
export function tokenOf(subject: string, claims: object = {}, expiresIn: '1h' | '4h' = '1h'): string {
  return jwt.sign({ sub: subject, sid: 's', iss: ISSUER, ...claims }, KEY, { expiresIn });
}

/** With short times: {@link BOUND}, {@link STORE_TIMEOUT}, {@link ACTIVITY_INTERVAL}. */
export async function startSite(options: Partial<ManagedSessionsOptions>): Promise<Site> {
  const sessions = managedSessions({
    issuer: SITE_ISSUER,
    revocationBound: BOUND,
    storeTimeout: STORE_TIMEOUT,
    activityInterval: ACTIVITY_INTERVAL,
    ...options,
  });
  const events: string[] = [];
  for (const name of ['storeDown', 'storeUp', 'sessionEnded'] as const) sessions.on(name, () => events.push(name));

  const answeredAtOnce: boolean[] = [];
  let asked = 0;
  const app = express();
  app.use((req, res, next) => {
    next();
    answeredAtOnce[Number(req.get('x-number'))] = res.writableEnded;
  });
  app.use('/account/sessions', sessions.router());
  app.get('/fresh', sessions.required({ fresh: true }), answerAccepted);
  app.get('/', sessions, answerAccepted);
  const server = app.listen(0, '127.0.0.1');
  // A busy machine lets a connection be idle for seconds, and the client would use it just as it is closed.
  server.keepAliveTimeout = 0;
  await once(server, 'listening');
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const statuses = new Set<number>();

  return {
    sessions,
    events,
    statuses,
    async ask(token, path = '/') {
      const sentAt = machineNow();
      const number = (asked += 1);
      const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const headers = { 'x-number': String(number), ...authorization };
      const answer = await fetch(url + path, { headers });
      const { acceptedAt = NaN, code } = (await answer.json()) as Body;
      statuses.add(answer.status);
      const atOnce = answeredAtOnce[number] === true;
      return { status: answer.status, code, acceptedAt, took: machineNow() - sentAt, atOnce };
    },
    async revoke(token) {
      const { sub = '', sid } = jwt.decode(token, { json: true }) ?? {};
      await sessions.verify(token).catch((error: unknown) => {
        if (!isLoginError(error, 'session_revoked')) throw error;
      });
      await sessions.revoke(sub, sessionHandle(sessionUser(ISSUER, sub), String(sid)));
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await sessions.close();
    },
  };
}

export async function untilAnswers(site: Site, token: string, status: number): Promise<Answer> {
  return eventually(`the answer is ${String(status)}`, async () => {
    const answer = await site.ask(token);
    return answer.status === status && answer;
  });
}

export function untilFresh(site: Site): Promise<boolean> {
  return eventually('the feed is fresh', () => Promise.resolve(site.sessions.health().feed.ok));
}

/** Resolves once it is acknowledged, however often it takes; to when that was. */
export function revoked(site: Site, token: string): Promise<number> {
  return eventually('the revocation is acknowledged', () =>
    site.revoke(token).then(
      () => performance.now(),
      (error: unknown) => {
        if (!isLoginError(error, 'store_unavailable')) throw error;
        return undefined;
      },
    ),
  );
}

function isLoginError(error: unknown, code: LoginError['code']): boolean {
  return error instanceof LoginError && error.code === code;
}

function answerAccepted(_req: express.Request, res: express.Response): void {
  res.json({ acceptedAt: performance.now() });
}
