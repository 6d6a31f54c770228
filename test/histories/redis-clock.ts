/** Sets the clock of a Redis by libfaketime, if that is installed (Debian: libfaketime). */

import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FOLDERS = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib'];

/** libfaketime and the C library: jemalloc, which Redis uses, asks for the time before libfaketime is ready. */
function preloaded(): string | null {
  const folder = FOLDERS.find((each) => existsSync(join(each, 'faketime/libfaketime.so.1')));
  if (folder === undefined) return null;
  const libc = join(folder, 'libc.so.6');
  return [join(folder, 'faketime/libfaketime.so.1'), ...(existsSync(libc) ? [libc] : [])].join(' ');
}

export function canSetRedisClock(): boolean {
  return preloaded() !== null;
}

export interface RedisClock {
  /** For the server's environment. */
  readonly env: NodeJS.ProcessEnv;
  /** In milliseconds after the machine's clock. */
  readonly ahead: number;
  set(ahead: number): void;
  remove(): void;
}

export function redisClock(): RedisClock {
  const libraries = preloaded();
  const folder = mkdtempSync(join(tmpdir(), 'managed-sessions-clock-'));
  const file = join(folder, 'ahead');
  let ahead = 0;
  function set(by: number): void {
    ahead = by;
    // The server may read it at any moment.
    writeFileSync(`${file}.new`, `${by < 0 ? '-' : '+'}${String(Math.abs(by) / 1000)}\n`);
    renameSync(`${file}.new`, file);
  }
  set(0);
  return {
    env:
      libraries === null
        ? {}
        : {
            LD_PRELOAD: libraries,
            FAKETIME_TIMESTAMP_FILE: file,
            FAKETIME_NO_CACHE: '1',
            FAKETIME_DONT_FAKE_MONOTONIC: '1',
            DONT_FAKE_MONOTONIC: '1',
          },
    get ahead() {
      return ahead;
    },
    set,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
