/** The members of an ioredis client that are used, and the options of one that is ours. */

import type { SlotMap } from './slots.js';

/** The members of an ioredis client that are used. `Redis` and `Cluster` of versions 5 and 6 have them. */
export interface RedisClient extends SlotMap {
  readonly status: string;
  readonly isCluster: boolean;
  readonly options: object;
  connect(): Promise<unknown>;
  disconnect(): void;
  call(command: string, ...args: (string | Buffer)[]): Promise<unknown>;
  callBuffer(command: string, ...args: (string | Buffer)[]): Promise<unknown>;
  pipeline(commands: unknown[][]): { exec(): Promise<[Error | null, unknown][] | null> };
  duplicate(overrides?: object, clusterOverrides?: object): RedisClient;
  on(event: string, listener: (error: Error) => void): unknown;
  off(event: string, listener: (error: Error) => void): unknown;
}

/** ioredis's options for a connection of our own. */
export interface ConnectionOptions {
  readonly lazyConnect: boolean;
  readonly enableOfflineQueue: boolean;
  readonly enableAutoPipelining: boolean;
  readonly retryStrategy: (attempt: number) => number | null;
  readonly [option: string]: unknown;
}

/** The shortest time between two connections that are given up because they lead to a replica, in milliseconds. */
const REPLICA_PAUSE = 1000;

/**
 * ioredis must not queue, resend or time out anything: a lost command fails at once, and we measure the time ourselves. `now`
 * is in milliseconds.
 */
export function commandConnection(now: () => number = () => performance.now()): ConnectionOptions {
  let gaveUpAt = -Infinity;
  return {
    lazyConnect: true,
    enableOfflineQueue: false,
    enableAutoPipelining: false,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (attempt) => Math.min(50 * attempt, 1000),
    // If the host is a name, the next connection may reach the new master.
    reconnectOnError(error: Error): boolean {
      if (!isOfReplica(error) || now() - gaveUpAt < REPLICA_PAUSE) return false;
      gaveUpAt = now();
      return true;
    },
    commandTimeout: undefined,
    socketTimeout: undefined,
    blockingTimeout: undefined,
  };
}

/** From inside a script, Redis 6.2 words it `ERR Error running script (call to f_...): @user_script:1: -READONLY You ...`. */
function isOfReplica({ message }: Error): boolean {
  return /^(?:ERR Error running script .*: -)?(?:READONLY|MASTERDOWN) /s.test(message);
}
