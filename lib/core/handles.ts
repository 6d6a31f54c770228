/**
 * Handles as people see them. With the option `handleSecret`, a handle is encrypted before it leaves the package, so that
 * nobody can compute it from a session id. Inside, and in the store, a session has the same handle whatever the secret is:
 * to set or change the secret neither revives an ended session nor lists one twice.
 */

import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, KeyObject } from 'node:crypto';
import { kindOf } from './check.js';
import { ownCopy } from './own-copy.js';
import { HANDLE_PATTERN } from './session.js';

/** A string stands for its UTF-8 bytes. */
export type HandleSecret = string | Buffer | KeyObject;

export interface Handles {
  /** How a handle is shown. */
  readonly shown: (handle: string) => string;
  /**
   * The handles that this may show: one for each secret, in their order, because only a lookup can tell which one it is.
   * None, if it cannot be a handle.
   */
  readonly meant: (shown: unknown) => readonly string[];
}

interface Permutation {
  readonly encrypt: (handle: string) => string;
  readonly decrypt: (handle: string) => string;
}

const UNCHANGED: Permutation = { encrypt: (handle) => handle, decrypt: (handle) => handle };

/** Handles are shown by the first secret, and understood by each of them. Null stands for no secret. */
export function handlesBy(first: KeyObject | null, ...others: readonly (KeyObject | null)[]): Handles {
  const permutations = [first, ...others].map((secret) => (secret === null ? UNCHANGED : permutationBy(secret)));
  return {
    shown: permutations[0]?.encrypt ?? UNCHANGED.encrypt,
    meant(shown) {
      if (typeof shown !== 'string' || !HANDLE_PATTERN.test(shown)) return [];
      // It was cut out of a URL.
      const handle = ownCopy(shown);
      return permutations.map(({ decrypt }) => decrypt(handle));
    },
  };
}

/** Of the 132 bits of a handle, AES-256 encrypts 128 as one block. The other four are masked by what that block becomes. */
function permutationBy(secret: KeyObject): Permutation {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'managed-sessions handle', 32));
  const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false);
  const decipher = createDecipheriv('aes-256-ecb', key, null).setAutoPadding(false);
  const maskBy = (encrypted: Buffer): number => (cipher.update(encrypted)[0] ?? 0) & 15;
  return {
    encrypt(handle) {
      const encrypted = cipher.update(blockOf(handle));
      return joined(encrypted, restOf(handle) ^ maskBy(encrypted));
    },
    decrypt(shown) {
      const encrypted = blockOf(shown);
      return joined(decipher.update(encrypted), restOf(shown) ^ maskBy(encrypted));
    },
  };
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** The first 128 bits. */
function blockOf(handle: string): Buffer {
  return Buffer.from(handle, 'base64url');
}

/** The last four bits. */
function restOf(handle: string): number {
  return BASE64URL.indexOf(handle.charAt(21)) & 15;
}

function joined(block: Buffer, rest: number): string {
  const text = block.toString('base64url');
  return text.slice(0, 21) + BASE64URL.charAt(BASE64URL.indexOf(text.charAt(21)) | rest);
}

const SECRETS_LIMIT = 8;

/** Handles by the option `handleSecret`. Throws a `TypeError` if it is invalid. */
export function handlesFrom(option: unknown): Handles {
  return handlesBy(...secretsOf(option));
}

function secretsOf(value: unknown): readonly [KeyObject | null, ...(KeyObject | null)[]] {
  if (value === undefined) return [null];
  if (!Array.isArray(value)) return [secretOf(value, 'handleSecret')];
  const list: readonly unknown[] = value;
  const [first, ...others] = list.map((item, index) =>
    item === null ? null : secretOf(item, `handleSecret[${String(index)}]`),
  );
  if (first === undefined || list.length > SECRETS_LIMIT) {
    throw new TypeError(
      `handleSecret must be a secret or a list of 1 to 8 secrets, got a list of ${String(list.length)}`,
    );
  }
  return [first, ...others];
}

function secretOf(value: unknown, name: string): KeyObject {
  const secret = secretKeyOf(value);
  if (secret === undefined) {
    throw new TypeError(`${name} must be a string, a Buffer or a secret KeyObject, got ${kindOf(value)}`);
  }
  if ((secret.symmetricKeySize ?? 0) < 16) throw new TypeError(`${name} must have at least 16 bytes`);
  return secret;
}

function secretKeyOf(value: unknown): KeyObject | undefined {
  if (value instanceof KeyObject) return value.type === 'secret' ? value : undefined;
  if (typeof value === 'string') return createSecretKey(Buffer.from(value, 'utf8'));
  return Buffer.isBuffer(value) ? createSecretKey(value) : undefined;
}
