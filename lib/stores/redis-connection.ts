/** A connection that answers within a time of ours, whatever ioredis is doing. */

import { LoginError } from '../core/errors.js';
import type { Health } from '../core/health.js';

/** What is used of an ioredis client: `Redis` and `Cluster`, of versions 5 and 6. */
export interface RedisClient {
  readonly status: string;
  readonly isCluster: boolean;
  connect(): Promise<unknown>;
  disconnect(): void;
  call(command: string, ...args: string[]): Promise<unknown>;
  pipeline(commands: unknown[][]): { exec(): Promise<[Error | null, unknown][] | null> };
  duplicate(overrides?: object, clusterOverrides?: object): RedisClient;
  on(event: string, listener: (error: Error) => void): unknown;
  off(event: string, listener: (error: Error) => void): unknown;
}

export interface RedisConnection {
  /**
   * Sends once the client is ready, and settles within `timeout`: rejects with `LoginError` `store_unavailable` where
   * there is no answer by then, or a bad one. What was not sent by then is not sent later; `onLate` is told what comes
   * after that to what was.
   */
  run<T>(send: (client: RedisClient) => Promise<T>, onLate?: (answer: T) => void): Promise<T>;
  health(): Health;
  close(): void;
}

export interface RedisConnectionOptions {
  readonly open: () => RedisClient;
  /** Whether what `open` gives is ours to replace and to close; else it is used as it is. */
  readonly isOwn: boolean;
  /** In milliseconds. */
  readonly timeout: number;
}

/** Timeouts in a row, or times of `timeout` without readiness, after which a connection of our own is replaced. */
const PATIENCE = 3;
/** Commands that may be without an answer past their time: a client that fell silent is not filled with more. */
const OVERDUE_LIMIT = 256;

export function redisConnection({ open, isOwn, timeout }: RedisConnectionOptions): RedisConnection {
  let client: RedisClient | null = null;
  let isClosed = false;
  let openedAt = 0;
  let unreadySince: number | null = null;
  const waiting = new Set<() => void>();

  let timeoutsInARow = 0;
  let overdue = 0;
  let answeredAt = -Infinity;
  let lastError: Error | null = null;
  let connectionError: Error | undefined;

  function onReady(): void {
    unreadySince = null;
    connectionError = undefined;
    for (const go of [...waiting]) go();
  }

  function onError(error: unknown): void {
    connectionError = plainError(error);
  }

  function adopt(): RedisClient {
    const adopted = open();
    adopted.on('ready', onReady);
    // On the user's own client a listener would hide its errors from the user.
    if (isOwn) adopted.on('error', onError);
    openedAt = performance.now();
    timeoutsInARow = 0;
    overdue = 0;
    client = adopted;
    return adopted;
  }

  function release(): void {
    client?.off('ready', onReady);
    if (isOwn) client?.disconnect();
    client = null;
  }

  /** The client that is to be used now, connected or on its way. */
  function current(): RedisClient {
    let used = client ?? adopt();
    const isStuck = used.status !== 'ready' && performance.now() - openedAt > PATIENCE * timeout;
    if (isOwn && (isStuck || timeoutsInARow >= PATIENCE)) {
      release();
      used = adopt();
    }
    if (used.status === 'wait') used.connect().catch(onError);
    return used;
  }

  /** Whether it is worth waiting for: at the start, and for a moment after the connection was lost. */
  function mayWait(used: RedisClient): boolean {
    if (used.status === 'end') return false;
    unreadySince ??= performance.now();
    return performance.now() - unreadySince < timeout;
  }

  function unavailable(message: string, cause: Error | undefined): LoginError {
    const error = new LoginError('store_unavailable', message, { cause });
    lastError = cause ?? error;
    return error;
  }

  function run<T>(send: (client: RedisClient) => Promise<T>, onLate?: (answer: T) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (isClosed) {
        reject(unavailable('The store is closed', undefined));
        return;
      }
      const used = current();
      const isReady = used.status === 'ready';
      if (overdue >= OVERDUE_LIMIT || (!isReady && !mayWait(used))) {
        reject(unavailable('Redis is out of reach', connectionError));
        return;
      }

      let state: 'waiting' | 'sent' | 'over' = 'waiting';
      // A process that was busy for longer than the timeout reads first what has arrived meanwhile.
      const timer = setTimeout(() => setImmediate(giveUp), timeout);
      if (isReady) go();
      else waiting.add(go);

      function go(): void {
        waiting.delete(go);
        state = 'sent';
        send(used).then(onAnswer, onFailure);
      }

      function isLate(): boolean {
        clearTimeout(timer);
        const wasOver = state === 'over';
        if (used === client) {
          timeoutsInARow = 0;
          if (wasOver) overdue -= 1;
        }
        state = 'over';
        return wasOver;
      }

      function onAnswer(answer: T): void {
        answeredAt = performance.now();
        lastError = null;
        if (isLate()) onLate?.(answer);
        else resolve(answer);
      }

      function onFailure(error: unknown): void {
        const refusal = unavailable('Redis did not carry out a command', plainError(error));
        if (!isLate()) reject(refusal);
      }

      function giveUp(): void {
        if (state === 'over') return;
        if (state === 'sent' && used === client) {
          overdue += 1;
          timeoutsInARow += 1;
        }
        waiting.delete(go);
        state = 'over';
        reject(unavailable(`Redis did not answer within ${String(timeout)} ms`, connectionError));
      }
    });
  }

  return {
    run,
    health: () => ({ ok: lastError === null, age: performance.now() - answeredAt, lastError }),
    close() {
      isClosed = true;
      release();
    },
  };
}

/** ioredis hangs the command on its errors, and on an AUTH command hangs the password. */
function plainError(error: unknown): Error {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const plain = new Error(message);
  plain.name = name;
  return plain;
}
