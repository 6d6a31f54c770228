/** Every hook of the package on a path of its own, and everything that a hook can do wrong. */

import { createSecretKey } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { runInNewContext } from 'node:vm';
import jwt from 'jsonwebtoken';
import {
  managedSessions,
  type ManagedSessions,
  type ManagedSessionsOptions,
  type IssuerOptions,
} from '../../lib/index.js';
import type { TestApp } from '../support/frameworks.js';

export const ISSUER = 'https://id.example.com/';
export const SECRET = 'a secret for tests, 32 bytes long';
/** jsonwebtoken would first try to read a string as a private key, at each call. */
const KEY = createSecretKey(SECRET, 'utf8');

/** What only the protected handler answers. */
export const LET_IN = 'let in';

function fail(): never {
  throw new Error('a trap of a proxy');
}

const TRAPS: ProxyHandler<object> = { get: fail, has: fail, getPrototypeOf: fail, ownKeys: fail };

/** Reasons that are easy to take for something else, or that nobody can look at. */
const REASONS: readonly (readonly [name: string, reason: unknown])[] = [
  ['undefined', undefined],
  ['null', null],
  ['false', false],
  ['0', 0],
  ["''", ''],
  ["'route'", 'route'],
  ["'router'", 'router'],
  ['a symbol', Symbol('reason')],
  ['an object without a prototype', Object.create(null)],
  ['a proxy with traps', new Proxy({}, TRAPS)],
  ['an error whose stack throws', Object.defineProperty(new Error('x'), 'stack', { get: fail })],
  ['an error of another realm', runInNewContext('new TypeError("elsewhere")')],
];

type Outcome = readonly [name: string, run: () => unknown];

function thrown([name, reason]: (typeof REASONS)[number]): Outcome {
  return [
    `throws ${name}`,
    () => {
      throw reason;
    },
  ];
}

function rejected([name, reason]: (typeof REASONS)[number]): Outcome {
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- that is the test
  return [`rejects with ${name}`, () => Promise.reject(reason)];
}

/** Thenables of which none resolves. */
const THENABLES: readonly Outcome[] = [
  ['returns a rejected promise of another realm', () => runInNewContext('Promise.reject(new Error("elsewhere"))')],
  ['returns a thenable that throws', () => ({ then: fail })],
  ['returns a thenable that rejects', () => ({ then: (_: unknown, reject: (reason: unknown) => void) => reject('') })],
  ['returns an object that cannot be asked for then', () => Object.defineProperty({}, 'then', { get: fail })],
  ['returns a function with then', () => Object.assign(() => true, { then: fail })],
  ['returns a proxy with traps', () => new Proxy({}, TRAPS)],
];

/** For a hook of which two failures are enough. */
export const THROWS: readonly [name: string, run: () => unknown][] = [
  [
    'an error',
    () => {
      throw new Error('no');
    },
  ],
  [
    'undefined, thrown',
    () => {
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- what is tested
      throw undefined;
    },
  ],
];

export const FAILURES: readonly Outcome[] = [...REASONS.map(thrown), ...REASONS.map(rejected), ...THENABLES];

/** Settles in a way that a hook that must answer at once may be taken to accept. */
export const PROMISES: readonly Outcome[] = [
  ['resolves to true', async () => true],
  ['resolves to a string', async () => 'read'],
  ['resolves to nothing', async () => undefined],
  ['resolves in another realm', () => runInNewContext('Promise.resolve(true)')],
];

/** A hook under test. Its site is made once; what the hook does is read at each call. */
export interface Hook {
  readonly name: string;
  /** Statuses with which a request may be answered if the hook fails. 200 only if the hook decides about nobody. */
  readonly answers: readonly number[];
  /** May resolve. */
  readonly isAsync?: true;
  readonly mount: (app: TestApp, path: string, run: () => unknown) => ManagedSessions<unknown>;
  readonly request?: { readonly method?: string; readonly path?: string; readonly headers?: Record<string, string> };
  /** Sent without a token. */
  readonly isAnonymous?: true;
}

const LOOK_LIKE_PAGE = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-site': 'same-origin' };

function letIn(_req: IncomingMessage, res: ServerResponse): void {
  res.end(LET_IN);
}

function siteWith(options: Partial<ManagedSessionsOptions<unknown>>, issuer: Partial<IssuerOptions> = {}) {
  return managedSessions<unknown>({ issuer: { issuer: ISSUER, secret: SECRET, ...issuer }, ...options });
}

function guardedBy(make: (run: () => unknown) => ManagedSessions<unknown>): Hook['mount'] {
  return function mountGuarded(app, path, run) {
    const sessions = make(run);
    app.mount(path, sessions.required(), letIn);
    return sessions;
  };
}

function ofOptions(name: keyof ManagedSessionsOptions): Hook['mount'] {
  return guardedBy((run) => siteWith({ [name]: () => run() }));
}

function ofIssuer(name: keyof IssuerOptions): Hook['mount'] {
  return guardedBy((run) => siteWith({}, { [name]: () => run() }));
}

export const HOOKS: readonly Hook[] = [
  { name: 'user', answers: [500], isAsync: true, mount: ofOptions('user') },
  { name: 'from', answers: [500], mount: ofOptions('from') },
  { name: 'lifetime', answers: [500], mount: ofOptions('lifetime') },
  { name: 'track', answers: [500], mount: ofOptions('track') },
  { name: 'client', answers: [500], mount: ofOptions('client') },
  {
    name: 'claims',
    // A predicate that throws does not accept.
    answers: [401, 500],
    mount: guardedBy((run) => siteWith({}, { claims: { org: () => run() as boolean } })),
  },
  { name: 'session', answers: [500], mount: ofIssuer('session') },
  { name: 'subject', answers: [401, 500], mount: ofIssuer('subject') },
  { name: 'profile', answers: [500], mount: ofIssuer('profile') },
  { name: 'scopes', answers: [500], mount: ofIssuer('scopes') },
  {
    name: 'issuer',
    answers: [503],
    isAsync: true,
    mount: guardedBy((run) => managedSessions({ issuer: () => run() as null })),
  },
  {
    name: 'onRefused',
    answers: [500],
    isAsync: true,
    isAnonymous: true,
    mount: ofOptions('onRefused'),
  },
  {
    name: 'loginUrl',
    answers: [500],
    isAnonymous: true,
    request: { headers: LOOK_LIKE_PAGE },
    mount: ofOptions('loginUrl'),
  },
  {
    name: 'user behind optional()',
    answers: [500],
    isAsync: true,
    mount: (app, path, run) => {
      const sessions = siteWith({ user: run });
      app.mount(path, sessions.optional(), letIn);
      return sessions;
    },
  },
  {
    name: 'a listener',
    answers: [200],
    isAsync: true,
    mount: guardedBy((run) => {
      const sessions = siteWith({});
      sessions.on('sessionStarted', run);
      return sessions;
    }),
  },
  {
    name: 'authorize',
    answers: [401, 500],
    isAsync: true,
    request: { method: 'POST' },
    mount: (app, path, run) => {
      const sessions = siteWith({});
      app.mount(path, sessions.introspection({ authorize: () => run() as boolean }));
      return sessions;
    },
  },
  {
    name: 'layout',
    answers: [500],
    isAsync: true,
    request: { headers: LOOK_LIKE_PAGE },
    mount: (app, path, run) => {
      const sessions = siteWith({});
      app.mount(path, sessions.router({ layout: () => run() as string }));
      return sessions;
    },
  },
  {
    name: 'locate',
    answers: [200],
    isAsync: true,
    mount: (app, path, run) => {
      const sessions = siteWith({});
      app.mount(path, sessions.router({ locate: () => run() as string }));
      return sessions;
    },
  },
  {
    name: 'a text of messages',
    answers: [500],
    request: { headers: LOOK_LIKE_PAGE },
    mount: (app, path, run) => {
      const sessions = siteWith({});
      const text = (): string => run() as string;
      app.mount(
        path,
        sessions.router({ messages: { clientOn: text, appUsing: text, nameFor: text, signOutDevice: text } }),
      );
      return sessions;
    },
  },
  {
    name: 'state',
    answers: [500],
    isAnonymous: true,
    request: { path: '/?token=a.b.c&state=s' },
    mount: (app, path, run) => {
      const sessions = siteWith({});
      app.mount(path, sessions.handoff({ state: () => run() as string }));
      return sessions;
    },
  },
  {
    name: 'trustProxy',
    // Express has a setting of its own, which trusts nobody here.
    answers: [403, 500],
    request: {
      headers: { 'x-forwarded-for': '203.0.113.7', 'x-forwarded-host': 'a.example', origin: 'https://b.example' },
      method: 'POST',
    },
    mount: (app, path, run) => {
      const sessions = siteWith({
        trustProxy: () => run() as boolean,
        from: (req) => req.headers.authorization?.slice(7),
      });
      app.mount(path, sessions.required(), letIn);
      return sessions;
    },
  },
];

let issued = 0;

/** A token that no site has seen. */
export function newToken(claims: object = {}): string {
  issued += 1;
  return jwt.sign({ iss: ISSUER, sub: `user-${String(issued)}`, sid: 's', scope: 'a', ...claims }, KEY, {
    expiresIn: '1h',
  });
}
