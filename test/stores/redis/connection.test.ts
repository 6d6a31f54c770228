/** What a connection does while Redis is slow or silent. The network is a fake, and time passes when a test says so. */

import type { RedisClient } from '../../../lib/stores/redis/client.js';
import { RedisConnection } from '../../../lib/stores/redis/connection.js';
import { slotOf } from '../../../lib/stores/redis/slots.js';
import { StoreBusy } from '../../../lib/stores/store.js';

const TIMEOUT = 1000;
const UNAVAILABLE = { code: 'store_unavailable', status: 503 };

/** A server that answers one command after the other, as long as it is not away. */
class SlowServer {
  /** Milliseconds for each. */
  took = 1;
  isAway = false;
  sent = 0;
  /** Which masters serve the slots. Undefined: it is not a Cluster. */
  slots: string[][] | undefined;
  readonly #asked: (() => void)[] = [];
  #isBusy = false;

  readonly open = (): RedisClient => {
    return {
      status: 'ready',
      isCluster: this.slots !== undefined,
      ...(this.slots !== undefined && { slots: this.slots }),
      options: {},
      connect: async () => undefined,
      disconnect: () => undefined,
      call: () => this.#ask(),
      callBuffer: () => this.#ask(),
      pipeline: () => ({ exec: async () => null }),
      duplicate: () => this.open(),
      on: () => undefined,
      off: () => undefined,
    };
  };

  comeBack(): void {
    this.isAway = false;
    this.#next();
  }

  #ask(): Promise<void> {
    this.sent += 1;
    return new Promise((resolve) => {
      this.#asked.push(resolve);
      if (!this.#isBusy) this.#next();
    });
  }

  #next(): void {
    this.#isBusy = this.#asked.length > 0 && !this.isAway;
    if (!this.#isBusy) return;
    setTimeout(() => {
      this.#asked.shift()?.();
      this.#next();
    }, this.took);
  }
}

let server: SlowServer;
let connection: RedisConnection;

beforeEach(() => {
  jest.useFakeTimers();
  server = new SlowServer();
  connection = new RedisConnection({ open: server.open, timeout: TIMEOUT });
});
afterEach(() => {
  connection.close();
  jest.useRealTimers();
});

interface Asked {
  answered: number;
  readonly refused: { readonly error: unknown; readonly after: number }[];
}

function ask(count: number, key = '', send = (client: RedisClient): Promise<unknown> => client.call('ping')): Asked {
  const asked: Asked = { answered: 0, refused: [] };
  const since = performance.now();
  for (let index = 0; index < count; index += 1) {
    connection.run(send, { key }).then(
      () => (asked.answered += 1),
      (error: unknown) => void asked.refused.push({ error, after: performance.now() - since }),
    );
  }
  return asked;
}

function keyIn(isMeant: (slot: number) => boolean): string {
  for (let index = 0; ; index += 1) if (isMeant(slotOf(String(index)))) return String(index);
}

test.each([
  [9000, 1],
  [900, 10],
  [90, 100],
])('%d commands at once are all answered, though each takes %d ms', async (count, took) => {
  server.took = took;
  const asked = ask(count);
  await jest.advanceTimersByTimeAsync(count * took + 1);
  expect(asked).toEqual({ answered: count, refused: [] });
  expect(connection.health()).toMatchObject({ ok: true, lastError: null });
});

test('what cannot be answered in time is refused long before the rest is answered', async () => {
  server.took = 10;
  const asked = ask(3000);
  await jest.advanceTimersByTimeAsync(2 * TIMEOUT);
  const { length } = asked.refused;
  expect(length).toBeGreaterThan(1900);
  for (const { error } of asked.refused) expect(error).toBeInstanceOf(StoreBusy);
  await jest.advanceTimersByTimeAsync(10 * TIMEOUT);
  expect(asked.refused).toHaveLength(length);
  expect(asked.answered).toBe(3000 - length);
  expect(connection.health()).toMatchObject({ ok: true });
});

test('while Redis is silent, all that waits is refused after one timeout, and was never sent', async () => {
  server.isAway = true;
  const asked = ask(5000);
  await jest.advanceTimersByTimeAsync(TIMEOUT + 10);
  expect(asked.answered).toBe(0);
  expect(asked.refused).toHaveLength(5000);
  for (const { error, after } of asked.refused) {
    expect(error).toMatchObject(UNAVAILABLE);
    expect(after).toBeLessThanOrEqual(TIMEOUT + 10);
  }
  expect(server.sent).toBeLessThan(200);
  expect(connection.health().ok).toBe(false);
  server.comeBack();
  const { sent } = server;
  const later = ask(10);
  await jest.advanceTimersByTimeAsync(TIMEOUT);
  expect(later).toEqual({ answered: 10, refused: [] });
  expect(server.sent).toBe(sent + 10);
});

test('commands for a master of a Cluster that is away do not stop those for another one', async () => {
  server.slots = [...Array<string[]>(8192).fill(['here:1']), ...Array<string[]>(8192).fill(['away:1'])];
  const [here, away] = [keyIn((slot) => slot < 8192), keyIn((slot) => slot >= 8192)];
  const stuck = ask(1000, away, () => new Promise(() => undefined));
  const asked = ask(2000, here);
  await jest.advanceTimersByTimeAsync(TIMEOUT + 10);
  expect(stuck.refused).toHaveLength(1000);
  await jest.advanceTimersByTimeAsync(2 * TIMEOUT);
  expect(asked).toEqual({ answered: 2000, refused: [] });
});

test('an ending is sent before all that waits', async () => {
  const asked = ask(5000);
  let before = Infinity;
  void connection.run((client) => client.call('ping'), { isEnding: true }).then(() => (before = asked.answered));
  await jest.advanceTimersByTimeAsync(200);
  expect(before).toBeLessThan(20);
});

test('close() refuses what waits', async () => {
  server.isAway = true;
  const asked = ask(500);
  connection.close();
  await jest.advanceTimersByTimeAsync(0);
  expect(asked.refused).toHaveLength(500 - server.sent);
});
