/** The loop that reads the revocation stream. feed-reader.ts says which rounds count. */

import { elapsedClock } from '../../core/elapsed.js';
import type { RevocationFeed } from '../store.js';
import type { ConnectionOptions } from './client.js';
import { PAGE, Reader, type FeedTeller, type ReaderOptions } from './feed-reader.js';
import { keyList, READ, type FeedKeys } from './feed-scripts.js';
import type { KnownGlobalCutoff } from './global-cutoff.js';
import { evaluate } from './script-runner.js';

/** The members of a connection that the feed uses. ioredis's `Redis` and `Cluster` have them. */
export interface FeedConnection {
  call(command: string, ...args: (string | Buffer)[]): Promise<unknown>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  /** `-node`: a `Cluster` lost its connection to a node. */
  on(event: 'connect' | '-node', listener: () => void): unknown;
  disconnect(): void;
  readonly status?: string;
  /** The socket, once there is one. Absent in a `Cluster`. */
  readonly stream?: { unref(): unknown; destroy(): unknown };
}

export interface RedisFeedOptions extends ReaderOptions {
  /**
   * Opens a connection for the feed alone, which the feed closes. It must queue commands until it is connected, and must
   * have no timeouts of its own: see {@link FEED_CONNECTION}. A `Cluster` must not send reads to replicas.
   */
  open(): FeedConnection;
  readonly keys: FeedKeys;
  /** Learns what a round has read, before the round counts. */
  readonly globalCutoff: Pick<KnownGlobalCutoff, 'text' | 'learn' | 'askElsewhere'>;
  /** In milliseconds. While nothing is announced, the feed is up to two fifths of this old. */
  readonly revocationBound: number;
  /** The longest wait for a reply, in milliseconds. The connection is then replaced. */
  readonly storeTimeout: number;
}

/**
 * ioredis's options for a connection of the feed. They override those of the user's client: the feed reconnects by itself,
 * has its own timeouts, and must see the error `LOADING`.
 */
export const FEED_CONNECTION = {
  lazyConnect: false,
  enableOfflineQueue: true,
  enableReadyCheck: false,
  enableAutoPipelining: false,
  autoResendUnfulfilledCommands: false,
  retryStrategy: () => null,
  reconnectOnError: null,
  commandTimeout: undefined,
  socketTimeout: undefined,
  blockingTimeout: undefined,
} as const satisfies ConnectionOptions;

/** The first pause before a new connection, in milliseconds. */
const SHORTEST_PAUSE = 50;

/** The clock of every feed, in milliseconds. */
export const elapsed = elapsedClock(Date, performance);

/**
 * Starts to read the stream, and continues until `close()`, whatever happens to the connection.
 *
 * The listener is told of every entry in order. If one was missed or cannot be read, it is told of a gap. If it throws on a
 * notice, it is told of a gap. If it throws on a gap, it is told again, and the feed is not fresh until it has accepted it.
 *
 * The feed does not keep a process alive: its timers and its socket are `unref`ed, except the sockets of a `Cluster`.
 */
export function redisFeed(options: RedisFeedOptions, listener: FeedTeller): RevocationFeed {
  return new RedisFeed(options, listener);
}

class RedisFeed implements RevocationFeed {
  readonly #options: RedisFeedOptions;
  readonly #listener: FeedTeller;
  readonly #reader: Reader;
  readonly #waits = new Waits();
  /** How long a round waits for an entry. */
  readonly #block: number;
  /** The server that is read may have lost the global cutoff without a trace, so the other copies must be asked. */
  #mayLackCutoff = true;
  #countedAt = -Infinity;
  #lastError: Error | null = null;
  #failures = 0;
  readonly #isDone: Promise<void>;

  constructor(options: RedisFeedOptions, listener: FeedTeller) {
    this.#options = options;
    this.#listener = listener;
    this.#reader = new Reader(listener, options);
    this.#block = Math.floor(options.revocationBound * 0.4);
    this.#isDone = this.#keepReading();
  }

  age(): number {
    return elapsed() - this.#countedAt;
  }

  lastError(): Error | null {
    return this.#lastError;
  }

  async close(): Promise<void> {
    this.#waits.end();
    await this.#isDone;
  }

  async #keepReading(): Promise<void> {
    const longestPause = Math.min(1000, this.#options.revocationBound / 4);
    while (!this.#waits.isEnded()) {
      try {
        await this.#readOneConnection();
      } catch (error) {
        if (this.#waits.isEnded()) return;
        this.#lastError = failure(error);
        await this.#waits.pause(Math.min(longestPause, SHORTEST_PAUSE * 2 ** this.#failures++));
      }
    }
  }

  async #readOneConnection(): Promise<void> {
    const connection = this.#options.open();
    let broken: unknown;
    connection.on('error', (error) => (broken = error));
    connection.on('connect', () => connection.stream?.unref());
    // A replica may take over, and the Cluster's client then sends the same command to it.
    connection.on('-node', () => (this.#mayLackCutoff = true));
    this.#mayLackCutoff = true;
    try {
      // The first round on a connection does not block, so that it shows at once what was missed.
      for (let wait = false; !this.#waits.isEnded();) wait = await this.#round(connection, wait);
    } catch (error) {
      throw broken ?? error;
    } finally {
      // To disconnect a connection that has already ended would delay the end of the process by two seconds.
      if (connection.status !== 'end') connection.disconnect();
      // A half-open connection would wait for the other side to close it.
      connection.stream?.destroy();
    }
  }

  /**
   * Resolves to whether the end of the stream was reached, so that the next round may wait.
   *
   * XREAD is used only to wait, and only the script's reply counts. So it does no harm if XREAD returns too early, too late,
   * or from another node. The script is sent after it, so that a round is not as old as its wait when it counts.
   */
  async #round(connection: FeedConnection, wait: boolean): Promise<boolean> {
    const { keys, globalCutoff, storeTimeout } = this.#options;
    const { lastId } = this.#reader;
    if (wait) {
      const waiting = ['COUNT', '1', 'BLOCK', String(this.#block), 'STREAMS', keys.stream, lastId];
      await this.#inTime(connection.call('xread', ...waiting), this.#block + storeTimeout);
      if (this.#waits.isEnded()) return false;
    }
    const sentAt = elapsed();
    const names = keyList(keys);
    const args = READ.args({ lastId, page: PAGE, known: globalCutoff.text });
    const reply = evaluate((...command) => connection.call(...command), READ, [
      String(names.length),
      ...names,
      ...args,
    ]);
    const reading = READ.decode(await this.#inTime(reply, storeTimeout));
    if (this.#waits.isEnded()) return false;
    this.#listener.clock?.(reading.now, elapsed() - sentAt);
    const step = await this.#reader.take(reading, sentAt);
    if (step === 'more') return false;
    if (step === 'gap' || this.#mayLackCutoff) {
      this.#mayLackCutoff = false;
      await globalCutoff.askElsewhere();
    }
    this.#countedAt = sentAt;
    this.#lastError = null;
    if (wait) this.#failures = 0;
    return true;
  }

  #inTime<T>(reply: Promise<T>, duration: number): Promise<T> {
    return this.#waits.inTime(reply, duration, `Redis did not answer within ${this.#options.storeTimeout} ms`);
  }
}

/** What the loop waits for: one thing at a time, until it is ended. */
class Waits {
  #isEnded = false;
  #interrupt = (): void => undefined;

  isEnded(): boolean {
    return this.#isEnded;
  }

  /** Ends the current wait. */
  end(): void {
    this.#isEnded = true;
    this.#interrupt();
  }

  inTime<T>(reply: Promise<T>, duration: number, lateMessage: string): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#interrupt = () => reject(new Error('The feed was closed'));
      // A process that was itself busy first reads what has arrived.
      const timer = setTimeout(() => setImmediate(late), duration).unref();
      const late = (): void => reject(new Error(lateMessage));
      void reply.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  /** Somewhat shorter than asked for, at random, so that many processes do not reconnect at the same moment. */
  pause(duration: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, duration * (0.5 + Math.random() / 2)).unref();
      this.#interrupt = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Keeps only the message: ioredis's errors also contain the command's arguments, which may be a password. */
function failure(error: unknown): Error {
  return new Error(error instanceof Error ? error.message || error.name : String(error));
}
