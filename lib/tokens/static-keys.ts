/** Keys in the configuration: secrets and public keys, checked once, at construction. */

import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { types } from 'node:util';
import { isObject, kindOf } from '../core/check.js';
import { kidOf, KeyRing, keyUnknown, serving, type KeySource, type SkippedKey } from './key-source.js';
import { isPublicMaterial } from './public-material.js';
import { ALGORITHMS, algorithmsOf, checkJwk, isAlgorithm, UnusableKey } from './verification-key.js';
import type { Algorithm, VerificationKey } from './verification-key.js';

/** A string stands for its UTF-8 bytes. */
export type Secret = string | Uint8Array | KeyObject;
/**
 * PEM or the bare base64 of an SPKI (a string or the bytes of a file), a JWK, a JWK set, or a public `KeyObject`. Keys of a
 * set that cannot be used are skipped, as those of a `jwksUri` are.
 */
export type PublicKey = string | Uint8Array | Readonly<Record<string, unknown>> | KeyObject;

export interface StaticKeyOptions {
  /** One or several (new and old), for HS256 unless `algorithms` says more. */
  readonly secret?: Secret | readonly Secret[] | undefined;
  /** One or several: RSA for RS256, EC for its curve's ES, unless `algorithms` says more; a JWK's own `alg` is binding. */
  readonly publicKey?: PublicKey | readonly PublicKey[] | undefined;
  readonly algorithms?: readonly Algorithm[] | undefined;
}

/** The most keys: a token that names none of them is tried with each. */
const KEY_LIMIT = 8;

/**
 * Keys that do not change, at most eight. A token whose `kid` names none of them may be signed with any that has no `kid`.
 *
 * Throws a `TypeError` that names the option and shows nothing of the key: unless exactly one of `secret` and `publicKey`
 * is set; for more than eight keys, and for a key set without a usable one; for a key that is invalid, too short (RFC 7518, section 3.2), too weak, private, or of use for none of
 * `algorithms`; and for one of `algorithms` that none of the keys can be used with.
 */
export function staticKeys(
  options: StaticKeyOptions,
  optionName: string,
  onSkipped: (skipped: SkippedKey) => void = () => undefined,
): KeySource {
  const { secret, publicKey } = options;
  if ((secret === undefined) === (publicKey === undefined)) {
    throw new TypeError(
      `${optionName} must have one of secret and publicKey, not ${secret === undefined ? 'neither' : 'both'}`,
    );
  }
  const algorithms = checkAlgorithms(options.algorithms, optionName);
  const keys =
    secret === undefined
      ? readKeys(publicKey, `${optionName}.publicKey`, (value, name) =>
          isKeySet(value) ? keysOfSet(value, name, algorithms, onSkipped) : [publicKeyOf(value, name, algorithms)],
        )
      : readKeys(secret, `${optionName}.secret`, (value, name) => [secretKeyOf(value, name, algorithms)]);
  const unused = algorithms?.find((algorithm) => !keys.some((key) => key.algorithms.includes(algorithm)));
  if (unused !== undefined) {
    throw new TypeError(`${optionName}.algorithms has '${unused}', which none of the keys can be used with`);
  }
  const ring = new KeyRing(keys);

  return {
    candidates({ kid, alg }) {
      const found = kid === undefined ? ring.all : (ring.named(kid) ?? ring.unnamed);
      if (found.length === 0) throw keyUnknown();
      return serving(found, alg);
    },
    holds: (key) => ring.holds(key),
    health: () => ({ ok: true, age: 0, lastError: null }),
    close() {
      // There is no fetch to abort.
    },
  };
}

/** Throws a `TypeError` for anything but a list of supported algorithms. */
export function checkAlgorithms(value: unknown, optionName: string): readonly Algorithm[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length === 0 || !value.every(isAlgorithm)) {
    throw new TypeError(
      `${optionName}.algorithms must be a list of one or more of ${ALGORITHMS.join(', ')}, got ${kindOf(value)}`,
    );
  }
  return [...value];
}

function readKeys(
  value: unknown,
  name: string,
  read: (value: unknown, name: string) => readonly VerificationKey[],
): readonly VerificationKey[] {
  if (Array.isArray(value) && value.length === 0) {
    throw new TypeError(`${name} must have at least one key, got an empty list`);
  }
  const keys = Array.isArray(value)
    ? value.flatMap((item: unknown, index) => read(item, `${name}[${index}]`))
    : read(value, name);
  if (keys.length > KEY_LIMIT) {
    throw new TypeError(
      `${name} must have at most ${KEY_LIMIT} keys, got ${keys.length}: a token may be tried with each of them`,
    );
  }
  return keys;
}

function secretKeyOf(value: unknown, name: string, algorithms: readonly Algorithm[] | undefined): VerificationKey {
  const isString = typeof value === 'string';
  if (types.isKeyObject(value) && value.type === 'public') throw publicAsSecret(name);
  if (!isString && !types.isUint8Array(value) && !(types.isKeyObject(value) && value.type === 'secret')) {
    throw new TypeError(`${name} must be a string, a Buffer or a secret KeyObject, got ${kindOf(value)}`);
  }
  const bytes = types.isKeyObject(value) ? value.export() : Buffer.from(value);
  if (isPublicMaterial(bytes)) throw publicAsSecret(name);
  const misplaced = isString ? misplacedSecret(value) : undefined;
  if (misplaced !== undefined) throw new TypeError(`${name} ${misplaced}`);
  const key = types.isKeyObject(value) ? value : createSecretKey(bytes);
  return namingOption(name, () => ({ key, kid: undefined, algorithms: algorithmsOf(key, undefined, algorithms) }));
}

/** Why this string cannot be a secret: it is a private key or a URL. Undefined if it can be one. */
function misplacedSecret(text: string): string | undefined {
  if (/BEGIN[\w ]{0,20} PRIVATE KEY/.test(text))
    return 'is a private key: give the public key that belongs to it as publicKey';
  if (/^\s*https?:\/\//i.test(text)) return 'is a URL, which anybody may know: a key set is given as jwksUri';
  return undefined;
}

function publicAsSecret(name: string): TypeError {
  const instead = name.replace(/secret(?=(?:\[\d+\])?$)/, 'publicKey');
  return new TypeError(
    `${name} is a public key or a certificate, with which anybody could sign tokens: give it as ${instead}`,
  );
}

function publicKeyOf(value: unknown, name: string, algorithms: readonly Algorithm[] | undefined): VerificationKey {
  return namingOption(name, () => readPublicKey(publicMaterial(value), algorithms));
}

interface JwkSet {
  readonly keys: unknown;
}

/** A JWK has no member `keys` (RFC 7517, section 4). */
function isKeySet(value: unknown): value is JwkSet {
  return isObject(value) && !types.isKeyObject(value) && !types.isUint8Array(value) && Object.hasOwn(value, 'keys');
}

function keysOfSet(
  { keys }: JwkSet,
  name: string,
  algorithms: readonly Algorithm[] | undefined,
  onSkipped: (skipped: SkippedKey) => void,
): readonly VerificationKey[] {
  if (!Array.isArray(keys)) throw new TypeError(`${name}.keys must be a list of JWKs, got ${kindOf(keys)}`);
  const usable: VerificationKey[] = [];
  const skipped: SkippedKey[] = [];
  for (const [index, jwk] of keys.entries()) {
    try {
      usable.push(Object.freeze(readPublicKey(jwkMaterial(jwk), algorithms)));
    } catch (error) {
      if (!(error instanceof UnusableKey)) throw error;
      skipped.push({ index, kid: kidOf(jwk), why: error.message });
    }
  }
  if (usable.length === 0) {
    const [first] = skipped;
    const why = first === undefined ? 'it is empty' : `keys[${first.index}] ${first.why}`;
    throw new TypeError(`${name} is a key set without a usable key: ${why}`);
  }
  skipped.forEach(onSkipped);
  return usable;
}

function readPublicKey(
  { key, kid, alg }: PublicMaterial,
  algorithms: readonly Algorithm[] | undefined,
): VerificationKey {
  return { key, kid, algorithms: algorithmsOf(key, alg, algorithms) };
}

interface PublicMaterial {
  readonly key: KeyObject;
  readonly kid: string | undefined;
  readonly alg: string | undefined;
}

function publicMaterial(value: unknown): PublicMaterial {
  const bare = { kid: undefined, alg: undefined };
  if (types.isKeyObject(value)) {
    if (value.type === 'secret') throw new UnusableKey('is a secret KeyObject; use a public one');
    return { key: value, ...bare };
  }
  if (typeof value === 'string') return { key: fromText(value), ...bare };
  if (types.isUint8Array(value)) return { key: fromText(Buffer.from(value).toString('latin1')), ...bare };
  if (!isObject(value)) {
    throw new UnusableKey(
      `must be a PEM, base64 of an SPKI, a JWK, a JWK set or a public KeyObject, got ${kindOf(value)}`,
    );
  }
  return jwkMaterial(value);
}

function jwkMaterial(jwk: unknown): PublicMaterial {
  const { material, kid, alg } = checkJwk(jwk);
  return { key: readable(() => createPublicKey({ key: { ...material }, format: 'jwk' })), kid, alg };
}

function fromText(text: string): KeyObject {
  if (!text.includes('-----BEGIN ')) return fromBase64(text.replace(/\s/g, ''));
  // Node would take the public half of a private key, and the private key would stay in a place where it should not be.
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) throw new UnusableKey(IS_PRIVATE);
  // A variable of an environment file often has them so.
  if (text.includes('\\n'))
    throw new UnusableKey("has a backslash and an n in place of each line break; use .replaceAll('\\\\n', '\\n')");
  return readable(() => createPublicKey(text));
}

const IS_PRIVATE = 'is a private key; use the public key';

/** The text between the lines of a PEM `PUBLIC KEY`. */
function fromBase64(text: string): KeyObject {
  if (!/^[A-Za-z0-9+/]{40,}={0,2}$/.test(text)) {
    if (/^https?:/i.test(text)) throw new UnusableKey('is a URL; the URL of a key set is given as jwksUri');
    if (text.startsWith('{')) throw new UnusableKey('is the text of a JWK; give the object, by JSON.parse');
    throw new UnusableKey('is a string that is neither a PEM nor base64 of a public key (SPKI)');
  }
  const der = Buffer.from(text, 'base64');
  if (isPrivate(der)) throw new UnusableKey(IS_PRIVATE);
  return readable(() => createPublicKey({ key: der, format: 'der', type: 'spki' }));
}

function isPrivate(der: Buffer): boolean {
  return (['pkcs8', 'pkcs1', 'sec1'] as const).some(function isPrivateIn(type) {
    try {
      createPrivateKey({ key: der, format: 'der', type });
      return true;
    } catch {
      return false;
    }
  });
}

/** OpenSSL's own message would show what it read. */
function readable(read: () => KeyObject): KeyObject {
  try {
    return read();
  } catch {
    throw new UnusableKey('cannot be read as a public key');
  }
}

function namingOption(name: string, read: () => VerificationKey): VerificationKey {
  try {
    return Object.freeze(read());
  } catch (error) {
    throw error instanceof UnusableKey ? new TypeError(`${name} ${error.message}`) : error;
  }
}
