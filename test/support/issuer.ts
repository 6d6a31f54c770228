/** A JWKS endpoint that misbehaves, and keys and tokens for tests of key sources. */

import { generateKeyPairSync, type KeyObject, type KeyPairKeyObjectResult } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export interface Endpoint {
  readonly url: string;
  /** How often it was asked; `HEAD` does not count, by which a test sees that what came before has arrived. */
  readonly requests: number;
  /** What it answers with from now on. */
  answer: Answer;
  close(): Promise<void>;
}

/** Listens on a free port of loopback. */
export async function createEndpoint(answer: Answer): Promise<Endpoint> {
  const server = createServer((request, response) => {
    if (request.method !== 'HEAD') requests += 1;
    endpoint.answer(response, request);
  });
  let requests = 0;
  // A busy machine lets a connection be idle for seconds, and the client would use it just as it is closed.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get requests() {
      return requests;
    },
    answer,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return endpoint;
}

/** Answers with a JSON body, status 200. */
export function json(body: unknown): Answer {
  return (response) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** Answers with a key set. */
export function keySet(...keys: unknown[]): Answer {
  return json({ keys });
}

/** Begins to answer, and never ends. */
export const halfAnswer: Answer = (response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.write('{"keys":[');
};

export const noAnswer: Answer = () => {};

/** The public half as a JWK, with more members. */
export function jwkOf(key: KeyObject, members: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { ...key.export({ format: 'jwk' }), ...members };
}

const made = new Map<string, KeyPairKeyObjectResult>();

function once(name: string, make: () => KeyPairKeyObjectResult): KeyPairKeyObjectResult {
  const pair = made.get(name) ?? make();
  made.set(name, pair);
  return pair;
}

const rsaKey = (name: string, modulusLength: number): KeyPairKeyObjectResult =>
  once(name, () => generateKeyPairSync('rsa', { modulusLength }));
const ecKey = (namedCurve: string): KeyPairKeyObjectResult =>
  once(namedCurve, () => generateKeyPairSync('ec', { namedCurve }));

/** Keys of each kind, made once per test file, where it uses them: an RSA key takes a tenth of a second and more. */
export const KEYS = {
  get rsa() {
    return rsaKey('rsa', 2048);
  },
  get otherRsa() {
    return rsaKey('otherRsa', 2048);
  },
  get smallRsa() {
    return rsaKey('smallRsa', 1024);
  },
  get p256() {
    return ecKey('P-256');
  },
  get p384() {
    return ecKey('P-384');
  },
  get p521() {
    return ecKey('P-521');
  },
  get secp256k1() {
    return ecKey('secp256k1');
  },
  get ed25519() {
    return once('ed25519', () => generateKeyPairSync('ed25519'));
  },
  get x25519() {
    return once('x25519', () => generateKeyPairSync('x25519'));
  },
};

/** A clock that stands still until it is moved. */
export class ManualClock {
  at: number;

  constructor(at = Date.UTC(2026, 0, 1)) {
    this.at = at;
  }

  now(): number {
    return this.at;
  }

  advance(milliseconds: number): void {
    this.at += milliseconds;
  }
}
