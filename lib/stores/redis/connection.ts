/** Connections to Redis on which every command settles in time, whatever ioredis does. */

import { LoginError } from '../../core/errors.js';
import type { PartHealth } from '../../core/health.js';
import type { RedisClient } from './client.js';
import { CommandQueue } from './command-queue.js';
import { disconnectNode, masterOf } from './slots.js';
import { afterReading, FEWEST, Turn, type Behaviour } from './turn.js';

export interface RedisConnectionOptions {
  /** Opens a client that is ours to replace and close. */
  readonly open: () => RedisClient;
  /** In milliseconds. */
  readonly timeout: number;
}

/** After this many timeouts in a row, or `timeout`s without being ready, a client is replaced. */
const PATIENCE = 3;

/** A client in use, and how the servers behave to which it is connected. */
interface Held {
  readonly client: RedisClient;
  readonly openedAt: number;
  /** By their names in {@link masterOf}: a node that is silent must not be held against the others. */
  readonly servers: Map<string, Behaviour>;
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

/** ioredis attaches the command to its errors, and an AUTH command contains the password. */
function plainError(error: unknown): Error {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const plain = new Error(message);
  plain.name = name;
  return plain;
}
