/** Two processes that serve the configurations of docs/providers.md, and people who sign in to them. */

import { createSecretKey, type KeyObject } from 'node:crypto';
import { startProcess, type AppProcess } from '../support/app-processes.js';
import { createEndpoint, jwkOf, keySet, KEYS, type Endpoint } from '../support/issuer.js';
import type { OidcProvider } from '../support/provider.js';
import { startRedis, type TestRedis } from '../support/redis.js';
import { forge } from '../tokens/forge.js';
import { writePage, type PageFolder } from './page.js';
import { firstClaims, refreshedClaims, type Claims } from '../../lib/testing/token-shape.js';
import type { Shape } from './shapes.js';

const SECRETS: Readonly<Record<string, string>> = {
  AUTHROCKET_SECRET: 'jsk_v1-0123456789abcdefghijklmnopqrstuvwxyz',
  SUPABASE_JWT_SECRET: 'the secret of a project, 32 bytes and more',
  LOGIN_SECRET: 'a secret for tests, 32 bytes long',
};

const SIGNING_KEYS = { RS256: KEYS.rsa, ES256: KEYS.p256, EdDSA: KEYS.ed25519 } as const;
const DATABASES = 2000;

/** A sign-in, and the tokens that it gets one after the other. */
export interface Login {
  /** The first token, or a refreshed one. */
  token(): Promise<string>;
}

export interface Outcome {
  readonly outcome: string;
  readonly handle?: string;
  readonly user?: string;
  readonly issuer?: string;
}

/** Who issues the tokens of a shape, by the clock of a site. */
export interface Issuer {
  readonly shape: string;
  /** How long its tokens last, in seconds. */
  readonly lifetime: number;
  /** The name of a real issuer, instead of the page's. */
  readonly issuerName?: string;
  signIn(user: string, clock: { now(): number }): Promise<Login>;
}

/** Issues tokens as a shape describes them. */
export function issuerOf(shape: Shape): Issuer {
  return {
    shape: shape.name,
    lifetime: shape.lifetime,
    async signIn(user, clock) {
      let claims: Claims = firstClaims(shape, { user, issuer: shape.issuer, at: clock.now() / 1000 });
      let isFirst = true;
      return {
        async token() {
          const at = clock.now() / 1000;
          // The first token may be asked for later than the person signed in.
          if (isFirst) claims = { ...claims, iat: at, exp: at + shape.lifetime };
          else claims = refreshedClaims(shape, claims, at);
          isFirst = false;
          return signed(shape, claims);
        },
      };
    },
  };
}

function signed(shape: Shape, payload: object): string {
  const { alg, ...header } = shape.header;
  if (alg === 'HS256') return forge({ alg, key: secretOf(shape), header, payload });
  return forge({ alg, key: SIGNING_KEYS[alg].privateKey, header: { ...header, kid: alg }, payload });
}

function secretOf({ keys }: Shape): KeyObject {
  return createSecretKey(Buffer.from('secret' in keys ? (SECRETS[keys.secret] ?? '') : ''));
}

/** The real oidc-provider, over HTTP. Its clock is that of the site. */
export function realIssuer(provider: OidcProvider, shape: string): Issuer {
  return {
    shape,
    lifetime: 600,
    issuerName: provider.issuer,
    async signIn(user, clock) {
      await provider.setTime(clock.now());
      const login = await provider.signIn(user, 'https://api.example.com');
      let isFirst = true;
      return {
        async token() {
          if (!isFirst) {
            await provider.setTime(clock.now());
            await login.refresh();
          }
          isFirst = false;
          return login.accessToken;
        },
      };
    },
  };
}

export class Sites {
  readonly #redis: TestRedis;
  readonly #keys: Endpoint;
  readonly #page: PageFolder;
  readonly processes: readonly [AppProcess, AppProcess];
  readonly #open = new Set<Site>();
  #opened = 0;

  static async start(): Promise<Sites> {
    const redis = await startRedis({ args: ['--databases', String(DATABASES)] });
    const jwks = Object.entries(SIGNING_KEYS).map(([kid, { publicKey }]) => jwkOf(publicKey, { kid, use: 'sig' }));
    const keys = await createEndpoint(keySet(...jwks));
    const page = await writePage();
    const start = (): Promise<AppProcess> =>
      startProcess('provider-process.mjs', { redis: redis.url, keys: keys.url, app: page.path });
    return new Sites(redis, keys, page, await Promise.all([start(), start()]));
  }

  private constructor(redis: TestRedis, keys: Endpoint, page: PageFolder, processes: [AppProcess, AppProcess]) {
    this.#redis = redis;
    this.#keys = keys;
    this.#page = page;
    this.processes = processes;
  }

  /** In both processes, on data of its own. `more`: further options of `managedSessions()`. */
  async open(issuer: Issuer, more: object = {}): Promise<Site> {
    this.#opened += 1;
    const site = new Site(`site-${String(this.#opened)}`, issuer, this.processes);
    const now = site.now();
    const opening = {
      shape: issuer.shape,
      database: this.#opened,
      env: SECRETS,
      now,
      issuerName: issuer.issuerName,
      more,
    };
    await Promise.all(this.processes.map((process) => process.call('open', site.name, opening)));
    this.#open.add(site);
    return site;
  }

  /** Closes every site that is open. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#open, (site) => site.close()));
    this.#open.clear();
  }

  async stop(): Promise<void> {
    await Promise.all(this.processes.map((process) => process.stop()));
    await Promise.all([this.#redis.stop(), this.#keys.close(), this.#page.remove()]);
  }
}

/** The time between two tokens of a client that refreshes them shortly before they expire, in milliseconds. */
export function stepOf({ lifetime }: Issuer): number {
  return (lifetime - 10) * 1000;
}

/** What happens before something is ended, in steps. It ends at the time that it really is, as Redis knows it. */
const STEPS_BEFORE = 5;

export class Site {
  /** See {@link stepOf}. */
  readonly step: number;
  #now: number;

  constructor(
    readonly name: string,
    readonly issuer: Issuer,
    readonly processes: readonly [AppProcess, AppProcess],
  ) {
    this.step = stepOf(issuer);
    this.#now = Math.floor(Date.now() / 1000) * 1000 - STEPS_BEFORE * this.step;
  }

  now(): number {
    return this.#now;
  }

  advance(milliseconds: number): void {
    this.#now += milliseconds;
  }

  signIn(user: string): Promise<Login> {
    return this.issuer.signIn(user, this);
  }

  /**
   * The next token of each sign-in, and a request with it in both processes; a step later the next ones, so many times.
   * What came of the requests, by sign-in.
   */
  async visits(logins: readonly Login[], times: number): Promise<Map<Login, Outcome[]>> {
    const visits: [number, string][] = [];
    for (let time = 0; time < times; time += 1) {
      for (const login of logins) visits.push([this.now(), await login.token()]);
      this.advance(this.step);
    }
    const answers = await Promise.all(this.processes.map((process) => process.call('visit', this.name, visits)));
    const outcomes = answers.flat() as Outcome[];
    return new Map(
      logins.map((login, place) => [login, outcomes.filter((_, index) => index % logins.length === place)]),
    );
  }

  /** A request of the token's bearer: its status and its JSON. */
  async request(process: 0 | 1, method: string, path: string, token: string, body?: object) {
    await this.processes[process].call('setClock', this.name, this.now());
    const { port } = await this.processes[process].heard(({ event }) => event === 'ready');
    const response = await fetch(`http://127.0.0.1:${String(port)}/${this.name}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? null : JSON.parse(text) };
  }

  /** `revoke`, `revokeAll` or `endEverywhere`, called by an administrator in the first process. */
  async administer(member: string, ...args: unknown[]): Promise<void> {
    await this.processes[0].call('setClock', this.name, this.now());
    await this.processes[0].call('administer', this.name, member, ...args);
  }

  /** Resolves once every process has heard that the session ended. */
  async heardEnded(handle: string): Promise<void> {
    for (const process of this.processes) {
      await process.heard(
        ({ event, site, handle: of }) => event === 'sessionEnded' && site === this.name && of === handle,
      );
    }
  }

  /** What either process told of this site. */
  told(event: string): number {
    return this.processes.flatMap(({ events }) => events.filter((e) => e.event === event && e.site === this.name))
      .length;
  }

  /** Where the page's configuration has looked for keys. */
  async keysAt(): Promise<string[]> {
    return (await this.processes[0].call('keysAt', this.name)) as string[];
  }

  async close(): Promise<void> {
    await Promise.all(this.processes.map((process) => process.call('close', this.name)));
  }
}
