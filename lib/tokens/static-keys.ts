/** Keys in the configuration: secrets and public keys, checked once, at construction. */

import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { types } from 'node:util';
import { kindOf } from '../core/check.js';
import { KeyRing, keyUnknown, serving, type KeySource } from './key-source.js';
import { ALGORITHMS, algorithmsOf, checkJwk, isAlgorithm, UnusableKey } from './verification-key.js';
import type { Algorithm, VerificationKey } from './verification-key.js';

/** A string stands for its UTF-8 bytes. */
export type Secret = string | Uint8Array | KeyObject;
/** PEM (a string or the bytes of a file), a JWK, or a public `KeyObject`. */
export type PublicKey = string | Uint8Array | Readonly<Record<string, unknown>> | KeyObject;

export interface StaticKeyOptions {
  /** One or several (new and old), for HS256 unless `algorithms` says more. */
  readonly secret?: Secret | readonly Secret[] | undefined;
  /** One or several: RSA for RS256, EC for its curve's ES, unless `algorithms` says more; a JWK's own `alg` is binding. */
  readonly publicKey?: PublicKey | readonly PublicKey[] | undefined;
  readonly algorithms?: readonly Algorithm[] | undefined;
}

/**
 * Keys that do not change. A token whose `kid` names none of them may be signed with any that has no `kid`.
 *
 * Throws a `TypeError` that names the option and shows nothing of the key: unless exactly one of `secret` and `publicKey`
 * is set; for a key that is invalid, too short (RFC 7518, section 3.2), too weak, private, or of use for none of
 * `algorithms`; and for one of `algorithms` that none of the keys can be used with.
 */
export function staticKeys(options: StaticKeyOptions, optionName: string): KeySource {
  const { secret, publicKey } = options;
  if ((secret === undefined) === (publicKey === undefined)) {
    throw new TypeError(
      `${optionName} must have one of secret and publicKey, not ${secret === undefined ? 'neither' : 'both'}`,
    );
  }
  const algorithms = checkAlgorithms(options.algorithms, optionName);
  const keys =
    secret === undefined
      ? readKeys(publicKey, `${optionName}.publicKey`, (value, name) => publicKeyOf(value, name, algorithms))
      : readKeys(secret, `${optionName}.secret`, (value, name) => secretKeyOf(value, name, algorithms));
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
  read: (value: unknown, name: string) => VerificationKey,
): readonly VerificationKey[] {
  if (!Array.isArray(value)) return [read(value, name)];
  if (value.length === 0) throw new TypeError(`${name} must have at least one key, got an empty list`);
  return value.map((item: unknown, index) => read(item, `${name}[${index}]`));
}

function secretKeyOf(value: unknown, name: string, algorithms: readonly Algorithm[] | undefined): VerificationKey {
  const isString = typeof value === 'string';
  if (!isString && !types.isUint8Array(value) && !(types.isKeyObject(value) && value.type === 'secret')) {
    throw new TypeError(`${name} must be a string, a Buffer or a secret KeyObject, got ${kindOf(value)}`);
  }
  const key = isString || types.isUint8Array(value) ? createSecretKey(Buffer.from(value)) : value;
  return namingOption(name, () => ({ key, kid: undefined, algorithms: algorithmsOf(key, undefined, algorithms) }));
}

function publicKeyOf(value: unknown, name: string, algorithms: readonly Algorithm[] | undefined): VerificationKey {
  return namingOption(name, function readPublicKey() {
    const { key, kid, alg } = publicMaterial(value);
    return { key, kid, algorithms: algorithmsOf(key, alg, algorithms) };
  });
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
  if (typeof value === 'string') return { key: fromPem(value), ...bare };
  if (types.isUint8Array(value)) return { key: fromPem(Buffer.from(value).toString('latin1')), ...bare };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UnusableKey(`must be a PEM, a JWK or a public KeyObject, got ${kindOf(value)}`);
  }
  const { material, kid, alg } = checkJwk(value);
  return { key: readable(() => createPublicKey({ key: { ...material }, format: 'jwk' })), kid, alg };
}

function fromPem(text: string): KeyObject {
  if (!text.includes('-----BEGIN ')) throw new UnusableKey('is a string that is not a PEM');
  // Node would take the public half of a private key, and the private key would stay in a place where it should not be.
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
    throw new UnusableKey('is a private key; use the public key');
  }
  return readable(() => createPublicKey(text));
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
