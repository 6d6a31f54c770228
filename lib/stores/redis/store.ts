/** The session store in Redis: its options, its connections, and the parts that its methods use. */

import { randomBytes } from 'node:crypto';

import { REDIS_ADVICE } from '../../core/advice.js';
import { checkOptions, type OptionKinds } from '../../core/check.js';
import type { RevocationFeed, SessionStore, StoreSettings } from '../store.js';
import { Announcer } from './announcer.js';
import {
  COMMAND_CONNECTION,
  durableRunner,
  RedisConnection,
  scriptRunner,
  type RedisClient,
  type RunScript,
} from './connection.js';
import { elapsed, FEED_CONNECTION, redisFeed } from './feed.js';
import type { FeedKeys } from './feed-scripts.js';
import { KnownGlobalCutoff } from './global-cutoff.js';
import { RedisSessions } from './sessions.js';
import { connector, type OpenConnection } from './target.js';

export type { RedisClient } from './connection.js';

export interface RedisStoreOptions {
  /** The prefix of every key. Without braces, because they have a meaning in a Cluster. Default `'ms'`. */
  readonly prefix?: string;
  /**
   * The number of replicas that must have a revocation before it is acknowledged (Redis's `WAIT`). If there are fewer, it
   * rejects with `store_unavailable`. Default 0: the master's acknowledgement is enough.
   */
  readonly minReplicas?: number;
}

/**
 * Sessions in Redis 6.2 or later, or Valkey.
 *
 * `target`: a `redis://` or `rediss://` URL, or a `Redis` or `Cluster` of ioredis 5 or 6 (for Sentinel, by its options).
 * A client is a template: its options say where to connect and how to authenticate. Every connection is opened and closed
 * here, for commands, for the feed, and with `minReplicas` for waiting; nothing is ever sent on your client, and it need not
 * be connected. Connects when it is first used.
 *
 * @throws TypeError if the target or an option is invalid.
 */
export function redisStore(target: string | RedisClient, options: RedisStoreOptions = {}): SessionStore {
  return new RedisStore(connector(target), checkedOptions(options));
}

/** The parts of a store, once it is configured. */
interface Parts {
  readonly settings: StoreSettings;
  readonly commands: RedisConnection;
  /** The connection that waits for replicas. Null if there are none to wait for. */
  readonly durable: RedisConnection | null;
  readonly run: RunScript;
  /** For what ends sessions and tells of it: it does not wait behind sightings. */
  readonly runFirst: RunScript;
  readonly runDurably: RunScript;
  readonly announcer: Announcer;
  readonly globalCutoff: KnownGlobalCutoff;
  readonly sessions: RedisSessions;
}

/** Its methods are properties, so that `{ ...store, revoke }` is a store. */
class RedisStore implements SessionStore {
  readonly origin = randomBytes(9).toString('base64url');
  readonly settlesInTime = true;
  readonly #open: OpenConnection;
  readonly #options: Required<RedisStoreOptions>;
  #configured: Parts | null = null;
  #feed: RevocationFeed | null = null;

  constructor(open: OpenConnection, options: Required<RedisStoreOptions>) {
    this.#open = open;
    this.#options = options;
  }

  readonly configure: SessionStore['configure'] = (settings) => {
    if (this.#configured !== null) {
      throw new TypeError('This redisStore is already in use: give each managedSessions a redisStore of its own');
    }
    const { prefix, minReplicas } = this.#options;
    const { storeTimeout: timeout, revocationBound } = settings;
    const connection = { open: () => this.#open(COMMAND_CONNECTION), timeout };
    const commands = new RedisConnection(connection);
    const durable = minReplicas > 0 ? new RedisConnection(connection) : null;
    const run = scriptRunner(commands, false);
    const runFirst = scriptRunner(commands, true);
    // The last quarter of the time is for the reply to arrive.
    const runDurably = durable === null ? runFirst : durableRunner(durable, minReplicas, Math.ceil(timeout * 0.75));
    const announcer = new Announcer({ keys: this.#feedKeys(), revocationBound, run: runFirst, elapsed });
    const globalCutoff = new KnownGlobalCutoff(this.#feedKeys(), announcer);
    const sessions = new RedisSessions({
      prefix,
      origin: this.origin,
      run,
      runFirst,
      runDurably,
      announcer,
      globalCutoff,
    });
    this.#configured = { settings, commands, durable, run, runFirst, runDurably, announcer, globalCutoff, sessions };
  };

  readonly sight: SessionStore['sight'] = async (...args) => this.#parts().sessions.sight(...args);
  readonly list: SessionStore['list'] = async (...args) => this.#parts().sessions.list(...args);
  readonly get: SessionStore['get'] = async (...args) => this.#parts().sessions.get(...args);
  readonly label: SessionStore['label'] = async (...args) => this.#parts().sessions.label(...args);
  readonly revoke: SessionStore['revoke'] = async (...args) => this.#parts().sessions.revoke(...args);
  readonly revokeAll: SessionStore['revokeAll'] = async (...args) => this.#parts().sessions.revokeAll(...args);
  readonly restore: SessionStore['restore'] = async (...args) => this.#parts().sessions.restore(...args);

  readonly endEverywhere: SessionStore['endEverywhere'] = async (request) => {
    const { globalCutoff, runDurably } = this.#parts();
    await globalCutoff.set(request, this.origin, runDurably);
  };

  readonly catchUp: SessionStore['catchUp'] = async () => {
    const { globalCutoff, runFirst } = this.#parts();
    await globalCutoff.ask(runFirst);
  };

  readonly feed: SessionStore['feed'] = (listener) => {
    const { announcer, globalCutoff, settings } = this.#parts();
    announcer.listen(listener);
    const open = (): RedisClient => this.#open(FEED_CONNECTION);
    const options = { ...settings, open, keys: this.#feedKeys(), globalCutoff, announced: announcer };
    this.#feed = redisFeed(options, listener);
    return this.#feed;
  };

  readonly health: SessionStore['health'] = () => this.#parts().commands.health();

  readonly close: SessionStore['close'] = async () => {
    this.#configured?.commands.close();
    this.#configured?.durable?.close();
    await this.#feed?.close();
  };

  #parts(): Parts {
    if (this.#configured === null) throw new TypeError('configure() comes before any other call of a store');
    return this.#configured;
  }

  #feedKeys(): FeedKeys {
    const key = (part: string): string => `${this.#options.prefix}:{feed}:${part}`;
    return { stream: key('stream'), epoch: key('epoch'), counter: key('count'), globalCutoff: key('global-cutoff') };
  }
}

const OPTIONS: OptionKinds<RedisStoreOptions> = {
  prefix: {
    accepts: (value) => typeof value === 'string' && value !== '' && !/[{}\s]/.test(value),
    words: 'a non-empty string without braces and white space',
  },
  minReplicas: {
    accepts: (value) => Number.isInteger(value) && Number(value) >= 0,
    words: 'an integer of at least 0',
  },
};

function checkedOptions(options: RedisStoreOptions): Required<RedisStoreOptions> {
  checkOptions(options, 'redisStore()', OPTIONS, { advice: REDIS_ADVICE });
  const { prefix = 'ms', minReplicas = 0 } = options;
  return { prefix, minReplicas };
}
