/** Connections to Redis on which every command settles in time, whatever ioredis does, and running scripts on them. */

import { LoginError } from '../../core/errors.js';
import type { PartHealth } from '../../core/health.js';
import { CommandQueue } from './command-queue.js';
import type { Script } from './script.js';
import { disconnectNode, masterOf, type SlotMap } from './slots.js';

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
/** The limits of how many commands are in progress at the same time: more while Redis keeps up, fewer while it does not. */
const FEWEST = 8;
const MOST = 128;
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
  /**
   * How many commands may be in progress. One more after each answer that came within a quarter of the timeout, and one less
   * otherwise: so Redis can answer all of them within the timeout.
   */
  slots: number;
  inProgress: number;
  answeredAt: number;
}

export interface CommandOptions<T> {
  /** Gets an answer that comes after the command was rejected. */
  readonly onLate?: ((answer: T) => void) | undefined;
  /** One that the command is about. */
  readonly key?: string | undefined;
  /** It goes before all others. */
  readonly isEnding?: boolean;
}

/**
 * One client at a time. Each of its servers gets a limited number of commands at one time, and the others wait for their
 * turn, for up to ten times `timeout`, as long as the server answers. A client whose server stays silent is replaced.
 */
export class RedisConnection {
  readonly #options: RedisConnectionOptions;
  /** What waits, by the names of the servers. */
  readonly #queues = new Map<string, CommandQueue>();
  #held: Held | null = null;
  #isClosed = false;
  #unreadySince: number | null = null;
  #unreadyTimer: NodeJS.Timeout | undefined;
  #answeredAt = -Infinity;
  #lastError: Error | null = null;
  #connectionError: Error | undefined;

  constructor(options: RedisConnectionOptions) {
    this.#options = options;
  }

  /**
   * Sends once the client is ready and it is the command's turn, and settles within `timeout` from then on. Rejects with
   * `LoginError` `store_unavailable` if there is no valid answer by then, and with `StoreBusy` if its turn would come too
   * late. While the server is silent, all that waits for it is rejected after `timeout`. What was rejected before it was
   * sent is not sent later.
   */
  run<T>(send: (client: RedisClient) => Promise<T>, options: CommandOptions<T> = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#isClosed) {
        reject(this.#unavailable('The store is closed', undefined));
        return;
      }
      const { client } = this.#current();
      if (client.status !== 'ready' && !this.#mayWait(client)) {
        reject(this.#unavailable('Redis is out of reach', this.#connectionError));
        return;
      }
      const { onLate, key = '', isEnding = false } = options;
      const server = masterOf(client, key);
      const command = {
        send: () => this.#send(server, send, { resolve, reject, onLate }),
        refuse: reject,
      };
      this.#queueOf(server).add(command, isEnding);
      this.#sendWaiting(server);
    });
  }

  #queueOf(server: string): CommandQueue {
    let queue = this.#queues.get(server);
    if (queue === undefined) {
      queue = new CommandQueue({ timeout: this.#options.timeout, now: () => performance.now() });
      this.#queues.set(server, queue);
    }
    return queue;
  }

  /** As many as may be in progress. */
  #sendWaiting(server: string): void {
    const queue = this.#queueOf(server);
    while (queue.size > 0) {
      const held = this.#current();
      if (held.client.status !== 'ready') {
        this.#awaitReady(held.client);
        return;
      }
      const { inProgress, slots } = behaviourOf(held, server);
      if (inProgress >= slots) return;
      queue.take()?.send();
    }
  }

  #send<T>(server: string, send: (client: RedisClient) => Promise<T>, { resolve, reject, onLate }: Outcome<T>): void {
    const held = this.#current();
    const turn = new Turn(behaviourOf(held, server), this.#options.timeout, (isSilent) => {
      const error = this.#noAnswer();
      reject(error);
      if (isSilent) this.#queueOf(server).refuseAll(error);
      this.#sendWaiting(server);
    });
    /** Returns whether it is too late. */
    const settle = (): boolean => {
      const wasOver = turn.end();
      this.#queueOf(server).noteAnswer();
      this.#sendWaiting(server);
      return wasOver;
    };
    send(held.client).then(
      (answer) => {
        this.#answeredAt = performance.now();
        this.#lastError = null;
        if (settle()) onLate?.(answer);
        else resolve(answer);
      },
      (error: unknown) => {
        const refusal = this.#unavailable('Redis did not carry out a command', plainError(error));
        if (!settle()) reject(refusal);
      },
    );
  }

  health(): PartHealth {
    return { ok: this.#lastError === null, age: performance.now() - this.#answeredAt, lastError: this.#lastError };
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#unreadyTimer);
    this.#release();
    this.#refuseAll(this.#unavailable('The store is closed', undefined));
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

  /** Refuses all that waits if it is not ready in time. */
  #awaitReady(client: RedisClient): void {
    if (!this.#mayWait(client)) {
      this.#refuseAll(this.#noAnswer());
      return;
    }
    if (this.#unreadyTimer !== undefined) return;
    const giveUp = (): void => {
      this.#unreadyTimer = undefined;
      if (this.#held?.client.status === 'ready') return;
      // Not by the clock: a timer may fire a little before its time.
      this.#unreadySince = -Infinity;
      this.#refuseAll(this.#noAnswer());
    };
    const waited = performance.now() - (this.#unreadySince ?? 0);
    this.#unreadyTimer = afterReading(giveUp, this.#options.timeout - waited);
  }

  #refuseAll(error: Error): void {
    for (const queue of this.#queues.values()) queue.refuseAll(error);
  }

  #noAnswer(): LoginError {
    return this.#unavailable(`Redis did not answer within ${String(this.#options.timeout)} ms`, this.#connectionError);
  }

  #unavailable(message: string, cause: Error | undefined): LoginError {
    const error = new LoginError('store_unavailable', message, { cause });
    this.#lastError = cause ?? error;
    return error;
  }

  readonly #onReady = (): void => {
    this.#unreadySince = null;
    this.#connectionError = undefined;
    clearTimeout(this.#unreadyTimer);
    this.#unreadyTimer = undefined;
    for (const server of this.#queues.keys()) this.#sendWaiting(server);
  };

  readonly #onError = (error: unknown): void => {
    this.#connectionError = plainError(error);
  };
}

interface Outcome<T> {
  readonly resolve: (answer: T) => void;
  readonly reject: (error: Error) => void;
  readonly onLate: ((answer: T) => void) | undefined;
}

/** A command that was sent. */
class Turn {
  readonly #server: Behaviour;
  readonly #timeout: number;
  readonly #sentAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #isOver = false;

  /** `onTimeout` is told whether nothing at all was answered since it was sent. */
  constructor(server: Behaviour, timeout: number, onTimeout: (isSilent: boolean) => void) {
    this.#server = server;
    this.#timeout = timeout;
    server.inProgress += 1;
    this.#timer = afterReading(() => {
      if (this.#isOver) return;
      this.#end(false);
      server.timeoutsInARow += 1;
      onTimeout(server.answeredAt <= this.#sentAt);
    }, timeout);
  }

  /** There is an answer. Returns whether it is too late. */
  end(): boolean {
    const now = performance.now();
    const wasOver = this.#isOver;
    clearTimeout(this.#timer);
    if (!wasOver) this.#end(now - this.#sentAt <= this.#timeout / 4);
    this.#server.timeoutsInARow = 0;
    this.#server.answeredAt = now;
    return wasOver;
  }

  #end(isSoon: boolean): void {
    const server = this.#server;
    this.#isOver = true;
    server.inProgress -= 1;
    server.slots = Math.min(MOST, Math.max(FEWEST, server.slots + (isSoon ? 1 : -1)));
  }
}

/** Of a client's server. The connection to a node of a Cluster that stays silent is replaced alone. */
function behaviourOf({ client, servers }: Held, name: string): Behaviour {
  let behaviour = servers.get(name);
  if (behaviour === undefined) {
    behaviour = { timeoutsInARow: 0, slots: FEWEST, inProgress: 0, answeredAt: -Infinity };
    servers.set(name, behaviour);
  }
  if (name !== '' && behaviour.timeoutsInARow >= PATIENCE) {
    behaviour.timeoutsInARow = 0;
    disconnectNode(client, name);
  }
  return behaviour;
}

/** A process that was itself busy for that long first reads what has arrived. */
function afterReading(act: () => void, ms: number): NodeJS.Timeout {
  return setTimeout(() => setImmediate(act), ms);
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

/** Acknowledged by the master alone. `isEnding`: goes before all that waits. */
export function scriptRunner(connection: RedisConnection, admission: Admission, isEnding: boolean): RunScript {
  return (script, keys, input, onLate) => {
    const operands = [String(keys.length), ...keys, ...script.args(input)];
    const send = async (client: RedisClient) => {
      await admission.pass(client);
      const send: Send = (...command) =>
        script.repliesInBytes ? client.callBuffer(...command) : client.call(...command);
      return script.decode(await evaluate(send, script, operands));
    };
    return connection.run(send, { onLate, key: keys[0], isEnding });
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
    return connection.run(send, { onLate, key: keys[0] });
  };
}

/** Sends a command. */
type Send = (command: string, ...args: (string | Buffer)[]) => Promise<unknown>;

/** By the script's digest, or by its source if the server does not have it, because it was restarted or is another node. */
export async function evaluate(
  send: Send,
  { sha, lua }: Pick<Script<never, unknown>, 'sha' | 'lua'>,
  operands: readonly (string | Buffer)[],
): Promise<unknown> {
  try {
    return await send('evalsha', sha, ...operands);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return send('eval', lua, ...operands);
  }
}

/**
 * Sends the script and `WAIT` together, on one connection to one node, so that nothing comes between them. By the script's
 * source, because a pipeline cannot be resumed in the middle.
 */
async function evaluateDurably(
  client: RedisClient,
  evaluation: readonly (string | Buffer)[],
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
