/** The same test against Express 4, Express 5 and Connect. */

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import connect from 'connect';
import express5 from 'express';
import express4 from 'express4';

type Next = (error?: unknown) => void;
type Handler = (req: IncomingMessage, res: ServerResponse, next: Next) => void;

/** What the three have in common. */
export interface TestApp {
  /** For a server, or for supertest. */
  readonly listener: RequestListener;
  /** Everything below a path; the handler sees the rest of it. */
  mount(path: string, ...handlers: Handler[]): void;
  /** One method on one path. */
  on(method: string, path: string, ...handlers: Handler[]): void;
  /** Express's setting; under Connect the middleware's own option does that. */
  trustProxy(value: unknown): void;
}

export type FrameworkName = 'Express 4' | 'Express 5' | 'Connect';

/** What arrives at the application's own error handler is answered with 500 and its message, so that a test can tell it. */
function answerError(error: unknown, _req: IncomingMessage, res: ServerResponse, _next: Next): void {
  res.statusCode = 500;
  res.end(`application error: ${error instanceof Error ? error.message : String(error)}`);
}

function expressApp(express: typeof express5): TestApp {
  const app = express();
  // Error handlers count from where they stand: this one goes behind whatever the test adds.
  const listener: RequestListener = (req, res) => {
    Reflect.apply(app, undefined, [req, res, (error?: unknown) => finish(error, req, res)]);
  };
  return {
    listener,
    mount: (path, ...handlers) => void app.use(path, ...handlers),
    on: (method, path, ...handlers) => void app.all(path, ...handlers.map((handler) => onlyFor(method, handler))),
    trustProxy: (value) => void app.set('trust proxy', value),
  };
}

function connectApp(): TestApp {
  const app = connect();
  const listener: RequestListener = (req, res) => app(req, res, (error?: unknown) => finish(error, req, res));
  return {
    listener,
    mount: (path, ...handlers) => {
      for (const handler of handlers) app.use(path, handler);
    },
    on: (method, path, ...handlers) => {
      for (const handler of handlers) {
        app.use(path, (req: IncomingMessage, res: ServerResponse, next: Next) => {
          // Connect mounts on prefixes: what is left of the path says whether it was the whole.
          if (/^\/?(?:\?|$)/.test(req.url ?? '')) onlyFor(method, handler)(req, res, next);
          else next();
        });
      }
    },
    trustProxy: () => undefined,
  };
}

function onlyFor(method: string, handler: Handler): Handler {
  return function onlyForMethod(req, res, next) {
    const isMeant = req.method === method || (method === 'GET' && req.method === 'HEAD');
    if (isMeant) handler(req, res, next);
    else next();
  };
}

/** What no handler answered. */
function finish(error: unknown, req: IncomingMessage, res: ServerResponse): void {
  if (error !== undefined && error !== null) {
    answerError(error, req, res, () => undefined);
    return;
  }
  res.statusCode = 404;
  res.end('application: nothing here');
}

const FRAMEWORKS: readonly (readonly [FrameworkName, () => TestApp])[] = [
  ['Express 4', () => expressApp(express4)],
  ['Express 5', () => expressApp(express5)],
  ['Connect', connectApp],
];

/** Runs a suite once per framework; `makeApp` gives a new, empty app. */
export function describeEachFramework(suite: (name: FrameworkName, makeApp: () => TestApp) => void): void {
  describe.each(FRAMEWORKS)('%s', (name, makeApp) => suite(name, makeApp));
}
