/** Connections to Redis on which every command settles in time, whatever ioredis does, and running scripts on them. */

import { LoginError } from '../../core/errors.js';
import type { PartHealth } from '../../core/health.js';
import type { Script } from './script.js';
import { disconnectNode, masterOf, type SlotMap } from './slots.js';

/** The members of an ioredis client that are used. `Redis` and `Cluster` of versions 5 and 6 have them. */
export interface RedisClient extends SlotMap {
  readonly status: string;
  readonly isCluster: boolean;
  readonly options: object;
  connect(): Promise<unknown>;
  disconnect(): void;
  call(command: string, ...args: string[]): Promise<unknown>;
  pipeline(commands: unknown[][]): { exec(): Promise<[Error | null, unknown][] | null> };
  duplicate(overrides?: object, clusterOverrides?: object): RedisClient;
  on(event: string, listener: (error: Error) => void): unknown;
  off(event: string, listener: (error: Error) => void): unknown;
}

export interface RedisConnectionOptions {
  /** Opens a client that is ours to replace and close. */
  readonly open: () => RedisClient;
  /** In milliseconds. */
  readonly timeout: number;
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

/** After this many timeouts in a row, or `timeout`s without being ready, a client is replaced. */
const PATIENCE = 3;
/** The most commands that may be unanswered after their timeout. A server that is silent gets no more than these. */
const OVERDUE_LIMIT = 256;
const DURABLE_ATTEMPTS = 3;

/** A client in use, and how the servers behave to which it is connected. */
interface Held {
  readonly client: RedisClient;
  readonly openedAt: number;
  /** By their names in {@link masterOf}: a node that is silent must not be held against the others. */
  readonly servers: Map<string, Behaviour>;
}

interface Behaviour {
  timeoutsInARow: number;
  overdue: number;
}

/** One client at a time. Each command settles within `timeout`. A client whose server stays silent is replaced. */
export class RedisConnection {
  readonly #options: RedisConnectionOptions;
  #held: Held | null = null;
  #isClosed = false;
  #unreadySince: number | null = null;
  readonly #waiting = new Set<() => void>();
  #answeredAt = -Infinity;
  #lastError: Error | null = null;
  #connectionError: Error | undefined;

  constructor(options: RedisConnectionOptions) {
    this.#options = options;
  }

  /**
   * Sends once the client is ready, and settles within `timeout`. Rejects with `LoginError` `store_unavailable` if there is
   * no valid answer by then. A command that was not sent by then is not sent later. If it was sent, `onLate` gets an answer
   * that comes later. `key`: one that the command is about.
   */
  run<T>(send: (client: RedisClient) => Promise<T>, onLate?: (answer: T) => void, key = ''): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#isClosed) {
        reject(this.#unavailable('The store is closed', undefined));
        return;
      }
      const { timeout } = this.#options;
      const held = this.#current();
      const server = behaviourOf(held, masterOf(held.client, key));
      const isReady = held.client.status === 'ready';
      if (server.overdue >= OVERDUE_LIMIT || (!isReady && !this.#mayWait(held.client))) {
        reject(this.#unavailable('Redis is out of reach', this.#connectionError));
        return;
      }

      let state: 'waiting' | 'sent' | 'over' = 'waiting';
      const go = (): void => {
        this.#waiting.delete(go);
        state = 'sent';
        send(held.client).then(onAnswer, onFailure);
      };
      const isLate = (): boolean => {
        clearTimeout(timer);
        const wasOver = state === 'over';
        server.timeoutsInARow = 0;
        if (wasOver) server.overdue -= 1;
        state = 'over';
        return wasOver;
      };
      const onAnswer = (answer: T): void => {
        this.#answeredAt = performance.now();
        this.#lastError = null;
        if (isLate()) onLate?.(answer);
        else resolve(answer);
      };
      const onFailure = (error: unknown): void => {
        const refusal = this.#unavailable('Redis did not carry out a command', plainError(error));
        if (!isLate()) reject(refusal);
      };
      const giveUp = (): void => {
        if (state === 'over') return;
        if (state === 'sent') {
          server.overdue += 1;
          server.timeoutsInARow += 1;
        } else {
          // Not by the clock: a timer may fire a little before its time.
          this.#unreadySince = -Infinity;
        }
        this.#waiting.delete(go);
        state = 'over';
        reject(this.#unavailable(`Redis did not answer within ${String(timeout)} ms`, this.#connectionError));
      };
      // A process that was itself busy for longer than the timeout first reads what has arrived.
      const timer = setTimeout(() => setImmediate(giveUp), timeout);
      if (isReady) go();
      else this.#waiting.add(go);
    });
  }

  health(): PartHealth {
    return { ok: this.#lastError === null, age: performance.now() - this.#answeredAt, lastError: this.#lastError };
  }

  close(): void {
    this.#isClosed = true;
    this.#release();
  }

  /** The client to use now, connected or connecting. */
  #current(): Held {
    const { timeout } = this.#options;
    let held = this.#held ?? this.#open();
    const isStuck = held.client.status !== 'ready' && performance.now() - held.openedAt > PATIENCE * timeout;
    if (isStuck || behaviourOf(held, '').timeoutsInARow >= PATIENCE) {
      this.#release();
      held = this.#open();
    }
    if (held.client.status === 'wait') held.client.connect().catch(this.#onError);
    return held;
  }

  #open(): Held {
    const client = this.#options.open();
    client.on('ready', this.#onReady);
    client.on('error', this.#onError);
    return (this.#held = { client, openedAt: performance.now(), servers: new Map() });
  }

  #release(): void {
    this.#held?.client.off('ready', this.#onReady);
    this.#held?.client.disconnect();
    this.#held = null;
  }

  /** Whether to wait for it: at the start, and for a short time after the connection was lost. */
  #mayWait(client: RedisClient): boolean {
    if (client.status === 'end') return false;
    this.#unreadySince ??= performance.now();
    return performance.now() - this.#unreadySince < this.#options.timeout;
  }

  #unavailable(message: string, cause: Error | undefined): LoginError {
    const error = new LoginError('store_unavailable', message, { cause });
    this.#lastError = cause ?? error;
    return error;
  }

  readonly #onReady = (): void => {
    this.#unreadySince = null;
    this.#connectionError = undefined;
    for (const go of [...this.#waiting]) go();
  };

  readonly #onError = (error: unknown): void => {
    this.#connectionError = plainError(error);
  };
}

/** Of a client's server. The connection to a node of a Cluster that stays silent is replaced alone. */
function behaviourOf({ client, servers }: Held, name: string): Behaviour {
  let behaviour = servers.get(name);
  if (behaviour === undefined) servers.set(name, (behaviour = { timeoutsInARow: 0, overdue: 0 }));
  if (name !== '' && behaviour.timeoutsInARow >= PATIENCE) {
    behaviour.timeoutsInARow = 0;
    disconnectNode(client, name);
  }
  return behaviour;
}

/** ioredis attaches the command to its errors, and an AUTH command contains the password. */
function plainError(error: unknown): Error {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const plain = new Error(message);
  plain.name = name;
  return plain;
}

/** Runs a script: atomic, one round trip. `onLate` gets an answer that comes after the call has rejected. */
export type RunScript = <In, Out>(
  script: Script<In, Out>,
  keys: readonly string[],
  input: In,
  onLate?: (answer: Out) => void,
) => Promise<Out>;

/** Rejects if the server must not be sent anything. */
export interface Admission {
  pass(client: RedisClient): Promise<void>;
}

/** Acknowledged by the master alone. */
export function scriptRunner(connection: RedisConnection, admission: Admission): RunScript {
  return (script, keys, input, onLate) => {
    const operands = [String(keys.length), ...keys, ...script.args(input)];
    const send = async (client: RedisClient) => {
      await admission.pass(client);
      return script.decode(await evaluate(client, script, operands));
    };
    return connection.run(send, onLate, keys[0]);
  };
}

/** Also acknowledged by `minReplicas` replicas. `wait`: how long Redis waits for them, in milliseconds. */
export function durableRunner(
  connection: RedisConnection,
  admission: Admission,
  minReplicas: number,
  wait: number,
): RunScript {
  const waiting = ['wait', String(minReplicas), String(wait)];
  return (script, keys, input, onLate) => {
    const evaluation = ['eval', script.lua, String(keys.length), ...keys, ...script.args(input)];
    const send = async (client: RedisClient) => {
      await admission.pass(client);
      return script.decode(await evaluateDurably(client, evaluation, waiting, minReplicas));
    };
    return connection.run(send, onLate, keys[0]);
  };
}

/** By the script's digest, or by its source if the server does not have it, because it was restarted or is another node. */
export async function evaluate(
  client: Pick<RedisClient, 'call'>,
  { sha, lua }: { readonly sha: string; readonly lua: string },
  operands: readonly string[],
): Promise<unknown> {
  try {
    return await client.call('evalsha', sha, ...operands);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return client.call('eval', lua, ...operands);
  }
}

/**
 * Sends the script and `WAIT` together, on one connection to one node, so that nothing comes between them. By the script's
 * source, because a pipeline cannot be resumed in the middle.
 */
async function evaluateDurably(
  client: RedisClient,
  evaluation: readonly string[],
  waiting: readonly string[],
  minReplicas: number,
): Promise<unknown> {
  let refusal: Error | null = null;
  for (let attempt = 0; attempt < DURABLE_ATTEMPTS; attempt += 1) {
    const replies = await client.pipeline([[...evaluation], [...waiting]]).exec();
    const [evaluated, waited] = replies ?? [];
    if (evaluated === undefined || waited === undefined) break;
    [refusal] = evaluated;
    if (refusal === null) {
      if (waited[0] !== null) throw waited[0];
      if (Number(waited[1]) >= minReplicas) return evaluated[1];
      throw new Error(`${String(waited[1])} of ${String(minReplicas)} replicas have it`);
    }
    if (!/^(MOVED|ASK|TRYAGAIN) /.test(refusal.message)) break;
    // The slot has moved, and nothing was done. From a single command, the Cluster client learns where it is now.
    await client.call('exists', ...evaluation.slice(3, 4));
  }
  throw refusal ?? new Error('The connection was lost');
}
