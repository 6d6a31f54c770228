/** Keys that the configuration holds: secrets and public keys, checked once, at construction. */

import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { types } from 'node:util';
import { KeyRing, keyUnknown, serving, type KeySource } from './key-source.js';
import { ALGORITHMS, algorithmsOf, checkJwk, isAlgorithm, UnusableKey } from './verification-key.js';
import type { Algorithm, VerificationKey } from './verification-key.js';

/** A text is its UTF-8 bytes. */
export type Secret = string | Uint8Array | KeyObject;
/** PEM (a text or a file's bytes), a JWK, or a public `KeyObject`. */
export type PublicKey = string | Uint8Array | Readonly<Record<string, unknown>> | KeyObject;

export interface StaticKeyOptions {
  /** One or several, the new and the old, for HS256 unless `algorithms` says more. */
  readonly secret?: Secret | readonly Secret[] | undefined;
  /** One or several: RSA for RS256, EC for its curve's ES, unless `algorithms` says more; a JWK's own `alg` binds. */
  readonly publicKey?: PublicKey | readonly PublicKey[] | undefined;
  readonly algorithms?: readonly Algorithm[] | undefined;
}

/**
 * Keys that do not change. A token whose `kid` names none of them may be signed with any that has no `kid`.
 *
 * Throws a `TypeError` that names the option and the kind of what it is, and shows nothing of the key: where not
 * exactly one of `secret` and `publicKey` is set, for what is no key, is too short (RFC 7518, section 3.2), too weak,
 * private, or serves none of `algorithms`, and where one of `algorithms` has no key.
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
  const idle = algorithms?.find((algorithm) => !keys.some((key) => key.algorithms.includes(algorithm)));
  if (idle !== undefined) throw new TypeError(`${optionName}.algorithms has '${idle}', which none of the keys serves`);
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
      // There is nothing to end.
    },
  };
}

/** Throws a `TypeError` for what is no list of supported algorithms. */
export function checkAlgorithms(value: unknown, optionName: string): readonly Algorithm[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length === 0 || !value.every(isAlgorithm)) {
    throw new TypeError(`${optionName}.algorithms must be a list of one or more of ${ALGORITHMS.join(', ')}`);
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
  const isText = typeof value === 'string';
  if (!isText && !types.isUint8Array(value) && !(types.isKeyObject(value) && value.type === 'secret')) {
    throw new TypeError(`${name} must be a text, a Buffer or a secret KeyObject, got ${kindOf(value)}`);
  }
  const key = isText || types.isUint8Array(value) ? createSecretKey(Buffer.from(value)) : value;
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
    if (value.type === 'secret') throw new UnusableKey('is a secret KeyObject; it takes a public one');
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
  if (!text.includes('-----BEGIN ')) throw new UnusableKey('is a text that is no PEM');
  // Of a private key Node would take the public half: the private one would stay where it should not be.
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
    throw new UnusableKey('is a private key; what verifies is the public one');
  }
  return readable(() => createPublicKey(text));
}

/** OpenSSL's own words would name what it read. */
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

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (types.isKeyObject(value)) return `a ${value.type} KeyObject`;
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'undefined' ? 'undefined' : `a value of type ${typeof value}`;
}
