/** The keys of an issuer, fetched from its JWKS endpoint. The only user of jwks-rsa. */

import { createPublicKey } from 'node:crypto';
import { JwksClient } from 'jwks-rsa';
import { baseUrl, discoverJwksUri, fetchJson, httpUrl } from './discovery.js';
import { kidOf, type KeySource, type SkippedKey } from './key-source.js';
import { RemoteKeys, type KeySet, type RemoteKeysOptions } from './remote-keys.js';
import { algorithmsOf, checkJwk, UnusableKey } from './verification-key.js';
import type { Algorithm, JwkMaterial, VerificationKey } from './verification-key.js';

export interface JwksOptions extends RemoteKeysOptions {
  /** The endpoint, or the issuer whose discovery document names it (asked before each fetch). */
  readonly uri: string | URL | { readonly discover: string };
  /** Default: what each key declares, or else RS256 for RSA and the curve's own for EC. */
  readonly algorithms?: readonly Algorithm[] | undefined;
}

/**
 * The key set of an issuer, fetched when it is first needed.
 *
 * From three quarters of `keysMaxAge` on, the set is fetched again in the background. After `keysMaxAge`, requests wait for
 * that fetch, and the old set is used only if it fails, up to `keysMaxStale`. A known `kid` is not delayed otherwise. An
 * unknown `kid` waits for at most one fetch per 30 s, shared by all requests; the result is `key_unknown` if the fetched set
 * lacks it, and `keys_unavailable` if the fetch failed. After a failed fetch, the next is tried after 1 s, then 2 s, 4 s, ...
 * up to 30 s (5 s if there is no set).
 *
 * A key without `kid` is used for tokens without one, and for all tokens if it is the only key of the set. Throws a
 * `TypeError` for a `uri` that is not an http(s) URL, or has a user or password, for an issuer to discover whose URL has a
 * query or fragment, and for an algorithm that cannot be used with a public key.
 */
export function jwksKeys(options: JwksOptions, optionName = 'issuer'): KeySource {
  const { algorithms } = options;
  const location = checkedLocation(options.uri, optionName);
  const symmetric = algorithms?.find((algorithm) => algorithm.startsWith('HS'));
  if (symmetric !== undefined) {
    throw new TypeError(`${optionName}.algorithms has '${symmetric}', which cannot be used with a public key`);
  }
  return new RemoteKeys(options, (signal) => fetchKeySet(location, { algorithms, signal }));
}

/** Where a key set is: at this URL, or where the discovery document of this issuer says. */
export type KeyLocation = URL | { readonly discover: string };

export interface KeySetRequest {
  /** Default: see {@link JwksOptions}. */
  readonly algorithms?: readonly Algorithm[] | undefined;
  /** Ends the whole fetch, discovery and body included. */
  readonly signal: AbortSignal;
  /** Gets the response of the key set, before its body is read. Must not throw. */
  readonly onResponse?: (response: Response) => void;
}

/** Fetches a key set once. Rejects, with a message in plain words, if it cannot be fetched or is not a key set. */
export async function fetchKeySet(location: KeyLocation, request: KeySetRequest): Promise<KeySet> {
  const url = location instanceof URL ? location : await discoverJwksUri(location.discover, request.signal);
  return importKeys(await fetchSet(url, request), request.algorithms);
}

/** A copy of a `URL`, which the application could change. */
function checkedLocation(uri: JwksOptions['uri'], optionName: string): KeyLocation {
  if (typeof uri === 'object' && 'discover' in uri) {
    if (baseUrl(uri.discover) !== undefined) return uri;
    throw new TypeError(
      `${optionName}.issuer must be an absolute http(s) URL without user, password, query and fragment, because discover is true`,
    );
  }
  const url = httpUrl(isUrl(uri) ? uri.href : uri);
  if (url !== undefined) return url;
  throw new TypeError(`${optionName}.jwksUri must be an absolute http(s) URL without user and password`);
}

/** Also for a `URL` of another realm, such as a test runner's. */
export function isUrl(value: unknown): value is URL {
  return Object.prototype.toString.call(value) === '[object URL]';
}

async function importKeys(set: readonly unknown[], algorithms: readonly Algorithm[] | undefined): Promise<KeySet> {
  const keys: VerificationKey[] = [];
  const skipped: SkippedKey[] = [];
  for (const [index, jwk] of set.entries()) {
    try {
      keys.push(await importKey(jwk, algorithms));
    } catch (error) {
      if (!(error instanceof UnusableKey)) throw error;
      skipped.push({ index, kid: kidOf(jwk), why: error.message });
    }
  }
  return { keys, skipped };
}

/** Its cache and its rate limit are off: with the rate limit, one sender of unknown kids could lock everybody out. */
const NO_CACHE = { cache: false, rateLimit: false } as const;

async function fetchSet(url: URL, { signal, onResponse }: KeySetRequest): Promise<readonly unknown[]> {
  const client = new JwksClient({
    ...NO_CACHE,
    jwksUri: url.href,
    fetcher: async () => {
      const { keys } = await fetchJson(url, 'The JWKS endpoint', signal, onResponse);
      return { keys };
    },
  });
  const keys = await client.getKeys();
  if (!isList(keys)) throw new Error('The JWKS endpoint did not return a list of keys');
  return keys;
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

async function importKey(jwk: unknown, algorithms: readonly Algorithm[] | undefined): Promise<VerificationKey> {
  const { material, kid, alg } = checkJwk(jwk);
  const key = createPublicKey(await parseKey(material));
  return Object.freeze({ key, kid, algorithms: algorithmsOf(key, alg, algorithms) });
}

/** One key at a time: for a set, jwks-rsa does not say which keys it leaves out, nor why. */
async function parseKey(material: JwkMaterial): Promise<string> {
  const client = new JwksClient({ ...NO_CACHE, fetcher: async () => ({ keys: [material] }) });
  const [parsed] = await client.getSigningKeys().catch(() => []);
  if (parsed === undefined) throw new UnusableKey('cannot be read as a public key');
  return parsed.getPublicKey();
}
