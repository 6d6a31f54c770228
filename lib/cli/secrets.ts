/** What must not be in argv: read from the environment and from files. */

import { isUtf8 } from 'node:buffer';
import { closeSync, openSync, readSync } from 'node:fs';
import { resolve } from 'node:path';
import { isObject } from '../core/check.js';
import { UsageError } from './exit.js';

/** No key, secret or file of settings is larger, in bytes. */
const FILE_LIMIT = 1024 * 1024;

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder from which the names of files are resolved. */
  readonly folder: string;
}

/**
 * The text of a file, without a byte order mark and without one line break at its end. Throws {@link UsageError} if it cannot be
 * read, is too large, or is not text in UTF-8; `what` names the file in it.
 */
export function textOfFile(name: string, what: string, { folder }: Pick<Surroundings, 'folder'>): string {
  const bytes = startOf(resolve(folder, name), what);
  if (bytes.length > FILE_LIMIT) throw new UsageError(`${what} is larger than ${FILE_LIMIT} bytes`);
  // Windows writes UTF-16 where it is not told otherwise. Its letters would be read as other names.
  if (!isUtf8(bytes) || bytes.includes(0)) throw new UsageError(`${what} is not text in UTF-8`);
  return bytes
    .toString()
    .replace(/^\uFEFF/, '')
    .replace(/\r?\n$/, '');
}

/** One byte more than is allowed, at most: a device or a pipe does not say how much it holds. */
function startOf(path: string, what: string): Buffer {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    const bytes = Buffer.alloc(FILE_LIMIT + 1);
    let length = 0;
    for (;;) {
      const count = readSync(file, bytes, length, bytes.length - length, null);
      length += count;
      if (count === 0 || length === bytes.length) return bytes.subarray(0, length);
    }
  } catch (error) {
    const { code = 'an error' } = error as NodeJS.ErrnoException;
    throw new UsageError(`${what} cannot be read: ${code}`);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** The value of a variable. Throws {@link UsageError} if it is not set or empty. */
export function textOfVariable(name: string, what: string, { env }: Pick<Surroundings, 'env'>): string {
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  if (value !== undefined && value !== '') return value;
  throw new UsageError(`${what}: the environment variable that it names is not set, or is empty`);
}

/**
 * What a value of the JSON file stands for: `{ "env": "NAME" }` and `{ "file": "path" }`, also within a list, are replaced by
 * the text of the variable or the file. Anything else is itself.
 */
export function resolved(value: unknown, what: string, surroundings: Surroundings): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => resolved(item, what, surroundings));
  if (!isObject(value) || Object.keys(value).length !== 1) return value;
  const { env, file } = value;
  if (typeof env === 'string') return textOfVariable(env, what, surroundings);
  if (typeof file === 'string') return textOfFile(file, what, surroundings);
  return value;
}
