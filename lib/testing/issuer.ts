/** An issuer for tests: signs any claims, and publishes its keys over real HTTP, on loopback. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  aBoolean,
  aClock,
  aString,
  checkKind,
  checkOptions,
  hint,
  isObject,
  isPlain,
  kindOf,
  oneOf,
  type Kind,
  type OptionKinds,
} from '../core/check.js';
import { ALGORITHMS, makeKey, signature, type SigningKey, type TestAlgorithm } from './signing-keys.js';
import { TEST_PROVIDERS, TOKEN_SHAPES, type TestProvider } from './provider-tokens.js';
import { warnInProduction } from './production.js';
import { firstClaims, PLAIN_SHAPE, refreshedClaims, type Claims, type TokenShape } from './token-shape.js';

export type { TestAlgorithm } from './signing-keys.js';
export type { TestProvider } from './provider-tokens.js';

export interface TestIssuerOptions {
  /**
   * Its tokens look like those of this provider, and are refreshed as its are. A suffix names another form of them:
   * docs/providers.md says where each was read. Default: see {@link TestIssuer.issue}.
   */
  readonly like?: TestProvider;
  /** The `iss` of its tokens. Default: the URL it listens on, so that discovery works; like AuthRocket, that of AuthRocket. */
  readonly issuer?: string;
  /**
   * One key is made for each. `issue` uses the first one by default. Default `['RS256']`, or what the provider uses. `'HS256'`
   * signs with {@link TestIssuer.secret}.
   */
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
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  readonly jwksUri: string;
  /** With the algorithm `'HS256'`: for the option `secret` of an issuer. Otherwise null. */
  readonly secret: string | null;
  /** How often the key set was requested, whether it was answered or not. */
  readonly requests: number;
  /**
   * A signed token of a new sign-in. Its claims are `iss`, `sub` (`user-1`), `sid` (new each time, so that each token is a
   * session), `iat` and `exp` (an hour later); with `like`, those of the provider's tokens. Your claims override them;
   * `undefined` removes one. Throws if there is no key of this algorithm, and a `TypeError` if the claims are not an object.
   */
  issue(claims?: Readonly<Record<string, unknown>>, options?: IssueOptions): string;
  /**
   * The token that the client gets for a refresh token of the same sign-in. It has the claims of the previous one, except
   * those that the provider changes: `iat` and `exp`, and often `jti`. Your claims override them, for example when a role was
   * taken away. Throws a `TypeError` if it is not a token, or if the claims are not an object.
   */
  refresh(token: string, claims?: Readonly<Record<string, unknown>>, options?: IssueOptions): string;
  /** New keys sign from now on. The old keys are removed from the set, unless `keepOld` is true. */
  rotateKeys(options?: { readonly keepOld?: boolean }): Promise<void>;
  /** Answers 503 until {@link TestIssuer.keysUp}. */
  keysDown(): void;
  keysUp(): void;
  /** May be called again. */
  close(): Promise<void>;
}

/** Reads `Date` at each call: fake timers may replace it later. */
const MACHINE_CLOCK = { now: () => Date.now() };

/** Where providers publish their keys, under the name of the issuer. */
const KEY_SETS: ReadonlySet<string | undefined> = new Set([
  '/jwks.json',
  '/.well-known/jwks.json',
  '/connect/jwks',
  '/api/auth/jwks',
]);

/** In the order in which they were created. */
const openIssuers = new Set<TestIssuer>();

/** The newest issuer that is still open. Throws if there is none. */
export function latestTestIssuer(): TestIssuer {
  const latest = [...openIssuers].at(-1);
  if (latest === undefined) throw new Error('No issuer is open: await createTestIssuer() first');
  return latest;
}

const ISSUER_OPTIONS: OptionKinds<TestIssuerOptions> = {
  like: { accepts: () => true, words: 'the name of a provider' },
  issuer: aString,
  algorithms: {
    accepts: (value) => Array.isArray(value) && value.length > 0 && value.every(oneOf(...ALGORITHMS).accepts),
    words: `a list of one or more of ${ALGORITHMS.join(', ')}`,
  },
  clock: aClock,
};
const anObject: Kind = { accepts: isPlain, words: 'an object' };
const CLAIMS: Kind = { accepts: isPlain, words: "an object such as { sub: 'ada' }" };
const ISSUE_OPTIONS: OptionKinds<IssueOptions> = { alg: oneOf(...ALGORITHMS), kid: aString, header: anObject };

/**
 * Starts an issuer on a free port of 127.0.0.1. It does not keep the process alive, but should be closed. Rejects with a
 * `TypeError` if an option is invalid.
 */
export async function createTestIssuer(options: TestIssuerOptions = {}): Promise<TestIssuer> {
  checkOptions(options, 'createTestIssuer()', ISSUER_OPTIONS);
  warnInProduction('createTestIssuer()');
  const shape = shapeOf(options.like);
  const { algorithms = [shape.header.alg], clock = MACHINE_CLOCK } = options;
  const server = createServer(answer);
  // Otherwise a connection that is kept alive would keep the process alive.
  server.on('connection', (socket) => socket.unref());
  const url = await listen();
  const issuer = options.issuer ?? shape.issuer ?? url;
  const jwksUri = `${url}/jwks.json`;
  let current = await makeKeys();
  let published = current;
  let isDown = false;
  let requests = 0;
  let closing: Promise<void> | undefined;

  const created: TestIssuer = {
    issuer,
    url,
    jwksUri,
    get secret() {
      return current.find((key) => key.alg === 'HS256')?.secret ?? null;
    },
    get requests() {
      return requests;
    },
    issue(claims = {}, issueOptions = {}) {
      checkKind(claims, 'issue(): claims', CLAIMS);
      const named = claims['sub'] ?? claims['uid'];
      const user = typeof named === 'string' ? named : 'user-1';
      return signed(firstClaims(shape, { user, issuer, at: now() }, claims), issueOptions, 'issue()');
    },
    refresh(token, claims = {}, issueOptions = {}) {
      checkKind(claims, 'refresh(): claims', CLAIMS);
      return signed(refreshedClaims(shape, claimsIn(token), now(), claims), issueOptions, 'refresh()');
    },
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
      openIssuers.delete(created);
      closing ??= new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      return closing;
    },
  };
  openIssuers.add(created);
  return created;

  function now(): number {
    return Math.floor(clock.now() / 1000);
  }

  function signed(claims: Claims, issueOptions: IssueOptions, owner: string): string {
    checkOptions(issueOptions, owner, ISSUE_OPTIONS);
    const { alg, kid, header } = issueOptions;
    const key = alg === undefined ? current[0] : current.find((candidate) => candidate.alg === alg);
    if (key === undefined) {
      throw new Error(`This issuer has no key for ${alg ?? 'tokens'}: name it in createTestIssuer({ algorithms })`);
    }
    const parts = [{ ...shape.header, alg: key.alg, kid: kid ?? key.kid, ...header }, claims];
    const signingInput = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${signingInput}.${signature(signingInput, key)}`;
  }

  async function makeKeys(): Promise<readonly SigningKey[]> {
    return Promise.all(algorithms.map(makeKey));
  }

  function answer(request: IncomingMessage, response: ServerResponse): void {
    if (request.url === '/.well-known/openid-configuration') {
      answerJson(response, { issuer, jwks_uri: jwksUri });
    } else if (KEY_SETS.has(request.url)) {
      requests += 1;
      if (isDown) response.writeHead(503).end();
      else answerJson(response, { keys: published.flatMap((key) => (key.alg === 'HS256' ? [] : [key.jwk])) });
    } else {
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

/** Throws a `TypeError` that says what was probably meant. */
function shapeOf(like: unknown): TokenShape {
  if (like === undefined) return PLAIN_SHAPE;
  const name = TEST_PROVIDERS.find((provider) => provider === like);
  if (name !== undefined) return TOKEN_SHAPES[name];
  if (typeof like === 'string') {
    throw new TypeError(`createTestIssuer(): like must be the name of a provider: ${hint(like, TEST_PROVIDERS)}`);
  }
  throw new TypeError(`createTestIssuer(): like must be the name of a provider, got ${kindOf(like)}`);
}

/** What a token says; nobody has verified it. */
function claimsIn(token: unknown): Claims {
  try {
    const claims: unknown = JSON.parse(Buffer.from(String(token).split('.')[1] ?? '', 'base64url').toString());
    if (isObject(claims)) return claims;
  } catch {
    // As any other that is none.
  }
  throw new TypeError(`refresh() takes a token that this issuer has issued, got ${kindOf(token)}`);
}

function answerJson(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
