/** A site with both doors, over real HTTP, and messages as an issuer, or an attacker, makes them. */

import { createSecretKey, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express, { type RequestHandler } from 'express';
import {
  managedSessions,
  type ManagedSessions,
  type ManagedSessionsOptions,
  type SecurityEvent,
} from '../../../lib/index.js';
import type { Algorithm } from '../../../lib/tokens/verification-key.js';
import { KEYS, jwkOf, ManualClock } from '../../support/issuer.js';
import { forge } from '../../tokens/forge.js';

export const ISSUER = 'https://id.example.com/';
/** Signs with a secret. */
export const SECRET_ISSUER = 'https://other.example.com/';
export const TRANSMITTER = 'https://events.example.com/';
export const CLIENT_ID = 'shop-web';
export const AUDIENCE = 'https://shop.example.com/events';
const SECRET = createSecretKey(Buffer.from('a secret for tests, 32 bytes long'));

export const NOW = Date.UTC(2026, 2, 1, 9);
export const SECOND = NOW / 1000;

export const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const SCHEMAS = 'https://schemas.openid.net/secevent';
export const REVOKED = `${SCHEMAS}/caep/event-type/session-revoked`;
export const CREDENTIAL = `${SCHEMAS}/caep/event-type/credential-change`;
export const CLAIMS_CHANGE = `${SCHEMAS}/caep/event-type/token-claims-change`;
export const DISABLED = `${SCHEMAS}/risc/event-type/account-disabled`;
export const VERIFICATION = `${SCHEMAS}/ssf/event-type/verification`;

export const FORM = 'application/x-www-form-urlencoded';
export const EVENT_TYPE = 'application/secevent+jwt';

/** Of the issuers of a site: one with public keys, one with a secret. */
export const ISSUERS = [
  { issuer: ISSUER, publicKey: { keys: [jwkOf(KEYS.rsa.publicKey, { kid: 'rsa', alg: 'RS256' })] } },
  { issuer: SECRET_ISSUER, secret: SECRET },
];

let messages = 0;

interface Signing {
  readonly alg?: Algorithm;
  readonly key?: KeyObject;
  readonly header?: object;
}

type Claims = Readonly<Record<string, unknown>>;

/** With a `jti` of its own. A claim that is undefined is left out. */
export function message(
  claims: Claims,
  type: string | undefined,
  { alg = 'RS256', key, header }: Signing = {},
): string {
  messages += 1;
  const signer = key ?? (alg.startsWith('HS') ? SECRET : KEYS.rsa.privateKey);
  const typ = type === undefined ? {} : { typ: type };
  const kid = alg.startsWith('HS') ? {} : { kid: 'rsa' };
  return forge({
    alg,
    key: signer,
    header: { ...typ, ...kid, ...header },
    payload: { iss: ISSUER, iat: SECOND, jti: `message ${String(messages)}`, ...claims },
  });
}

export function logoutToken(claims: Claims = {}, signing?: Signing): string {
  const given = { aud: CLIENT_ID, sub: 'ann', sid: 's1', events: { [LOGOUT_EVENT]: {} }, ...claims };
  return message(given, 'logout+jwt', signing);
}

export const ANN = { format: 'iss_sub', iss: ISSUER, sub: 'ann' };

export function eventToken(claims: Claims = {}, signing?: Signing): string {
  const given = { aud: AUDIENCE, sub_id: ANN, events: { [REVOKED]: { event_timestamp: SECOND } }, ...claims };
  return message(given, EVENT_TYPE, signing);
}

export function loginToken(claims: Claims = {}): string {
  return message({ sub: 'ann', sid: 's1', exp: SECOND + 3600, iat: SECOND - 60, ...claims }, 'JWT');
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
}

export class DoorsSite {
  readonly clock = new ManualClock(NOW);
  readonly events: SecurityEvent[] = [];
  /** Whatever the application hears of refusals, as text. */
  readonly heard: string[] = [];
  /** What reached the error handler. */
  readonly errors: unknown[] = [];
  readonly #close: () => Promise<void>;

  private constructor(
    readonly sessions: ManagedSessions,
    readonly url: string,
    clock: ManualClock,
    close: () => Promise<void>,
  ) {
    this.clock = clock;
    this.#close = close;
    sessions.on('securityEvent', (event) => this.events.push(event));
    sessions.on('tokenRefused', (event) =>
      this.heard.push(`${event.code} ${JSON.stringify(event)} ${event.error.stack ?? ''}`),
    );
  }

  static async start(options: Partial<ManagedSessionsOptions> = {}): Promise<DoorsSite> {
    const clock = new ManualClock(NOW);
    const sessions = managedSessions({ issuer: ISSUERS, clock, ...options });
    const app = express();
    const logout = sessions.backchannelLogout({ clientId: ['another', CLIENT_ID] });
    const events = sessions.securityEvents({ audience: AUDIENCE });
    app.use('/logout', logout);
    app.use('/events', events);
    app.use(
      '/transmitter',
      sessions.securityEvents({ audience: AUDIENCE, issuer: { issuer: TRANSMITTER, publicKey: KEYS.p256.publicKey } }),
    );
    const parsers: RequestHandler[] = [express.json(), express.urlencoded(), express.text({ type: EVENT_TYPE })];
    app.use('/parsed/logout', ...parsers, logout);
    app.use('/parsed/events', ...parsers, events);
    app.use('/raw/events', express.raw({ type: EVENT_TYPE }), events);
    app.get('/', sessions, (req, res) => res.json({ handle: req.loginSession?.handle }));
    const server = app.listen(0, '127.0.0.1');
    server.keepAliveTimeout = 0;
    await once(server, 'listening');
    const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    const site = new DoorsSite(sessions, url, clock, async () => {
      server.closeAllConnections();
      server.close();
      await sessions.close();
    });
    app.use(((error, _req, res, _next) => {
      site.errors.push(error);
      res.status(500).end();
    }) as express.ErrorRequestHandler);
    return site;
  }

  /** Before each test: the clock shows {@link NOW}, and nothing has been heard. */
  reset(): void {
    this.clock.at = NOW;
    this.heard.length = 0;
    this.events.length = 0;
  }

  close(): Promise<void> {
    return this.#close();
  }

  async request(path: string, init: RequestInit = {}): Promise<Answer> {
    const response = await fetch(this.url + path, { method: 'POST', ...init });
    const text = await response.text();
    const isJson = text.startsWith('{');
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson ? (JSON.parse(text) as Answer['json']) : {},
    };
  }

  logout(token: string, path = '/logout'): Promise<Answer> {
    return this.request(path, { body: new URLSearchParams({ logout_token: token }) });
  }

  push(token: string, path = '/events'): Promise<Answer> {
    return this.request(path, { body: token, headers: { 'content-type': EVENT_TYPE } });
  }

  /** The status of a request with this login token. */
  async visit(token: string): Promise<number> {
    return (await this.request('/', { method: 'GET', headers: { authorization: `Bearer ${token}` } })).status;
  }
}
