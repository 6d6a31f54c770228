/** An issuer for tests: signs any claims, and publishes its keys over real HTTP, on loopback. */

import { generateKeyPair, randomUUID, sign, type KeyObject } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import {
  aBoolean,
  aClock,
  aString,
  checkOptions,
  isObject,
  oneOf,
  type Kind,
  type OptionKinds,
} from '../core/check.js';

const ALGORITHMS = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const),
] as const;
export type TestAlgorithm = (typeof ALGORITHMS)[number];

export interface TestIssuerOptions {
  /** The `iss` of its tokens. Default: the URL it listens on, so that discovery works. */
  readonly issuer?: string;
  /** One key is made for each. `issue` uses the first one by default. Default `['RS256']`. */
  readonly algorithms?: readonly [TestAlgorithm, ...TestAlgorithm[]];
  /** For `iat` and `exp`, in milliseconds since 1970. Default `Date.now()`. */
  readonly clock?: { now(): number };
}

export interface IssueOptions {
  readonly alg?: TestAlgorithm;
  /** Instead of the key's own. */
  readonly kid?: string;
  /** Further header parameters; `undefined` removes one. */
  readonly header?: Readonly<Record<string, unknown>>;
}

export interface TestIssuer {
  readonly issuer: string;
  readonly jwksUri: string;
  /** How often the key set was requested, whether it was answered or not. */
  readonly requests: number;
  /**
   * A signed token. Its claims are `iss`, `sub` (`user-1`), `sid` (new each time, so that each token is a session), `iat` and
   * `exp` (an hour later). Your claims override them; `undefined` removes one.
   */
  issue(claims?: Readonly<Record<string, unknown>>, options?: IssueOptions): string;
  /** New keys sign from now on. The old keys are removed from the set, unless `keepOld` is true. */
  rotateKeys(options?: { readonly keepOld?: boolean }): Promise<void>;
  /** Answers 503 until {@link TestIssuer.keysUp}. */
  keysDown(): void;
  keysUp(): void;
  close(): Promise<void>;
}

interface SigningKey {
  readonly kid: string;
  readonly alg: TestAlgorithm;
  readonly privateKey: KeyObject;
  readonly jwk: Readonly<Record<string, unknown>>;
}

/** Reads `Date` at each call: fake timers may replace it later. */
const MACHINE_CLOCK = { now: () => Date.now() };

const HOUR = 3600;
const CURVES = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' } as const;
const RSA_PKCS1_PSS_PADDING = 6;

let latest: TestIssuer | undefined;

/** The issuer that was created last. Throws if there is none. */
export function latestTestIssuer(): TestIssuer {
  if (latest === undefined) throw new Error('There is no issuer yet: await createTestIssuer() first');
  return latest;
}

const ISSUER_OPTIONS: OptionKinds<TestIssuerOptions> = {
  issuer: aString,
  algorithms: {
    accepts: (value) => Array.isArray(value) && value.length > 0 && value.every(oneOf(...ALGORITHMS).accepts),
    words: `a list of one or more of ${ALGORITHMS.join(', ')}`,
  },
  clock: aClock,
};
const anObject: Kind = { accepts: isObject, words: 'an object' };
const ISSUE_OPTIONS: OptionKinds<IssueOptions> = { alg: oneOf(...ALGORITHMS), kid: aString, header: anObject };

/**
 * Starts an issuer on a free port of 127.0.0.1. It does not keep the process alive, but should be closed. Rejects with a
 * `TypeError` if an option is invalid.
 */
export async function createTestIssuer(options: TestIssuerOptions = {}): Promise<TestIssuer> {
  checkOptions(options, 'createTestIssuer()', ISSUER_OPTIONS);
  const { algorithms = ['RS256'], clock = MACHINE_CLOCK } = options;
  const server = createServer(answer);
  const url = await listen();
  const issuer = options.issuer ?? url;
  const jwksUri = `${url}/jwks.json`;
  let current = await makeKeys();
  let published = current;
  let isDown = false;
  let requests = 0;

  const created: TestIssuer = {
    issuer,
    jwksUri,
    get requests() {
      return requests;
    },
    issue,
    async rotateKeys(rotation = {}) {
      checkOptions<{ keepOld?: boolean }>(rotation, 'rotateKeys()', { keepOld: aBoolean });
      const { keepOld = false } = rotation;
      current = await makeKeys();
      published = keepOld ? [...current, ...published] : current;
    },
    keysDown() {
      isDown = true;
    },
    keysUp() {
      isDown = false;
    },
    close() {
      return new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      });
    },
  };
  latest = created;
  return created;

  function issue(claims: Readonly<Record<string, unknown>> = {}, issueOptions: IssueOptions = {}): string {
    checkOptions(issueOptions, 'issue()', ISSUE_OPTIONS);
    const { alg, kid, header } = issueOptions;
    const key = alg === undefined ? current[0] : current.find((candidate) => candidate.alg === alg);
    if (key === undefined) {
      throw new Error(`This issuer has no key for ${alg ?? 'tokens'}: name it in createTestIssuer({ algorithms })`);
    }
    const now = Math.floor(clock.now() / 1000);
    const payload = { iss: issuer, sub: 'user-1', sid: randomUUID(), iat: now, exp: now + HOUR, ...claims };
    const parts = [{ alg: key.alg, typ: 'JWT', kid: kid ?? key.kid, ...header }, payload];
    const signingInput = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${signingInput}.${signature(signingInput, key)}`;
  }

  async function makeKeys(): Promise<readonly SigningKey[]> {
    return Promise.all(algorithms.map(makeKey));
  }

  function answer(request: IncomingMessage, response: ServerResponse): void {
    switch (request.url) {
      case '/.well-known/openid-configuration':
        answerJson(response, { issuer, jwks_uri: jwksUri });
        break;
      case '/jwks.json':
        requests += 1;
        if (isDown) response.writeHead(503).end();
        else answerJson(response, { keys: published.map((key) => key.jwk) });
        break;
      default:
        response.writeHead(404).end();
    }
  }

  function listen(): Promise<string> {
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => {
        server.unref();
        const address = server.address();
        resolve(`http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : ''}`);
      });
    });
  }
}

function answerJson(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function makeKey(alg: TestAlgorithm): Promise<SigningKey> {
  const pair = await makePair(alg);
  const kid = randomUUID();
  return {
    kid,
    alg,
    privateKey: pair.privateKey,
    jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' },
  };
}

async function makePair(alg: TestAlgorithm) {
  const generate = promisify(generateKeyPair);
  if (alg === 'EdDSA' || alg === 'Ed25519') return generate('ed25519');
  if (alg === 'ES256' || alg === 'ES384' || alg === 'ES512') return generate('ec', { namedCurve: CURVES[alg] });
  return generate('rsa', { modulusLength: 2048 });
}

function signature(signingInput: string, { alg, privateKey }: SigningKey): string {
  if (alg.startsWith('Ed')) return sign(null, Buffer.from(signingInput), privateKey).toString('base64url');
  const bits = Number(alg.slice(2));
  const isPss = alg.startsWith('PS');
  return sign(`sha${bits}`, Buffer.from(signingInput), {
    key: privateKey,
    dsaEncoding: 'ieee-p1363',
    ...(isPss && { padding: RSA_PKCS1_PSS_PADDING, saltLength: bits / 8 }),
  }).toString('base64url');
}
