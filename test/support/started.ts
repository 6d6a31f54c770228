/** What a test starts and how it ends, and tables of which several rows are played at once. */

import type { ManagedSessionsOptions } from '../../lib/index.js';
import { startRedis, type RedisOptions, type TestRedis } from './redis.js';
import { startSite, type Site } from './site.js';
import { startProxy, type TcpProxy } from './tcp-proxy.js';

/** What a test started, ended in the opposite order. */
export class Started {
  readonly #ends: (() => Promise<unknown>)[] = [];

  add<T>(thing: T, end: (thing: T) => Promise<unknown>): T {
    this.#ends.unshift(() => end(thing));
    return thing;
  }

  async site(options: Partial<ManagedSessionsOptions>): Promise<Site> {
    return this.add(await startSite(options), (site) => site.stop());
  }

  async redis(args: readonly string[] = [], options: Omit<RedisOptions, 'args'> = {}): Promise<TestRedis> {
    return this.add(await startRedis({ ...options, args }), (redis) => redis.stop());
  }

  async proxy(redis: TestRedis): Promise<TcpProxy> {
    return this.add(await startProxy(redis), (proxy) => proxy.close());
  }

  async end(): Promise<void> {
    for (const end of this.#ends.splice(0)) await end();
  }
}

export async function used<T>(play: (started: Started) => Promise<T>): Promise<T> {
  const started = new Started();
  try {
    return await play(started);
  } finally {
    await started.end();
  }
}

/** How many rows of a table play at once: they wait for times more than for the machine. */
const AT_ONCE = 6;

/** A test for each row, by its name; each plays with what it starts itself. */
export function testTogether<Row extends readonly [string, ...unknown[]]>(
  rows: readonly Row[],
  play: (started: Started, row: Row) => Promise<void>,
): void {
  const failures = new Map<string, unknown>();

  beforeAll(async () => {
    const waiting = [...rows];
    async function playOneByOne(): Promise<void> {
      for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) {
        const [name] = row;
        const played = row;
        await used((started) => play(started, played)).catch((error: unknown) => failures.set(name, error));
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, playOneByOne));
  }, 300_000);

  test.each(rows.map(([name]) => name))('%s', (name) => {
    if (failures.has(name)) throw failures.get(name);
  });
}
