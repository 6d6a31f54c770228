/** The session store in Redis: its options, its connections, and the parts that its methods use. */

import { randomBytes } from 'node:crypto';

import { REDIS_ADVICE } from '../../core/advice.js';
import { checkOptions, type OptionKinds } from '../../core/check.js';
import type { FeedListener, RevocationFeed, SessionStore, StoreSettings } from '../store.js';
import { Announcer } from './announcer.js';
import { commandConnection, type ConnectionOptions, type RedisClient } from './client.js';
import { RedisConnection } from './connection.js';
import { elapsed, FEED_CONNECTION, redisFeed } from './feed.js';
import type { FeedKeys } from './feed-scripts.js';
import { KnownGlobalCutoff } from './global-cutoff.js';
import { durableRunner, scriptRunner } from './script-runner.js';
import { ServerCheck } from './server-check.js';
import { SessionIndex } from './session-index.js';
import { RedisSessions } from './sessions.js';
import { connector, type OpenConnection } from './target.js';
import { UsedMessages } from './used-messages.js';

export type { RedisClient } from './client.js';

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
  const open = connector(target);
  const isCluster = typeof target !== 'string' && target.isCluster;
  return new RedisStore({ open, isCluster }, checkedOptions(options));
}

/** What the store connects to. */
interface Target {
  readonly open: OpenConnection;
  readonly isCluster: boolean;
}

/** The hash tags of further copies of the global cutoff in a Cluster. With `{feed}`, they lie all over the slots. */
const COPY_TAGS = ['feed-0', 'feed-1', 'feed-2', 'feed-3'];

/** The parts of a store, once it is configured. */
interface Parts {
  readonly settings: StoreSettings;
  readonly commands: RedisConnection;
  /** The connection that waits for replicas. Null if there are none to wait for. */
  readonly durable: RedisConnection | null;
  readonly announcer: Announcer;
  readonly globalCutoff: KnownGlobalCutoff;
  readonly sessions: RedisSessions;
  readonly messages: UsedMessages;
  readonly index: SessionIndex;
  readonly servers: ServerCheck;
}

/** Its methods are properties, so that `{ ...store, revoke }` is a store. */
class RedisStore implements SessionStore {
  readonly origin = randomBytes(9).toString('base64url');
  readonly settlesInTime = true;
  readonly #target: Target;
  readonly #options: Required<RedisStoreOptions>;
  #configured: Parts | null = null;
  #feed: RevocationFeed | null = null;
  #listener: FeedListener | null = null;

  constructor(target: Target, options: Required<RedisStoreOptions>) {
    this.#target = target;
    this.#options = options;
  }

  readonly configure: SessionStore['configure'] = (settings) => {
    if (this.#configured !== null) {
      throw new TypeError('This redisStore is already in use: give each managedSessions a redisStore of its own');
    }
    const { prefix, minReplicas } = this.#options;
    const { storeTimeout: timeout, revocationBound } = settings;
    const servers = new ServerCheck({ elapsed, onEviction: (policy) => this.#listener?.eviction?.(policy) });
    const connection = { open: () => this.#openChecked(commandConnection(), servers), timeout };
    const commands = new RedisConnection(connection);
    const durable = minReplicas > 0 ? new RedisConnection(connection) : null;
    const run = scriptRunner(commands, servers, false);
    // What ends sessions, and tells of it, does not wait behind sightings.
    const runFirst = scriptRunner(commands, servers, true);
    // The last quarter of the time is for the reply to arrive.
    const waitFor = Math.ceil(timeout * 0.75);
    const runDurably = durable === null ? runFirst : durableRunner(durable, servers, minReplicas, waitFor);
    const { origin } = this;
    const [keys, copies, patience] = [this.#feedKeys(), this.#copies(), timeout / 4];
    const announcer = new Announcer({ keys, revocationBound, run: runFirst, elapsed });
    const globalCutoff = new KnownGlobalCutoff({
      keys,
      copies,
      announcer,
      origin,
      run: runFirst,
      runDurably,
      patience,
    });
    const index = new SessionIndex({ prefix, origin, run, runDurably });
    const sessions = new RedisSessions({ prefix, origin, run, runFirst, runDurably, announcer, globalCutoff, index });
    const messages = new UsedMessages({ prefix, run: runFirst, runDurably });
    this.#configured = { settings, commands, durable, announcer, globalCutoff, sessions, messages, index, servers };
  };

  readonly sight: SessionStore['sight'] = async (...args) => this.#parts().sessions.sight(...args);
  readonly list: SessionStore['list'] = async (...args) => this.#parts().sessions.list(...args);
  readonly get: SessionStore['get'] = async (...args) => this.#parts().sessions.get(...args);
  readonly label: SessionStore['label'] = async (...args) => this.#parts().sessions.label(...args);
  readonly revoke: SessionStore['revoke'] = async (...args) => this.#parts().sessions.revoke(...args);
  readonly endIndexed: SessionStore['endIndexed'] = async (...args) => this.#parts().index.end(...args);
  readonly revokeAll: SessionStore['revokeAll'] = async (...args) => this.#parts().sessions.revokeAll(...args);
  readonly erase: SessionStore['erase'] = async (...args) => this.#parts().sessions.erase(...args);
  readonly expireTokens: SessionStore['expireTokens'] = async (...args) => this.#parts().sessions.expireTokens(...args);
  readonly restore: SessionStore['restore'] = async (...args) => this.#parts().sessions.restore(...args);

  readonly endEverywhere: SessionStore['endEverywhere'] = async (request) => {
    await this.#parts().globalCutoff.set(request);
  };

  readonly catchUp: SessionStore['catchUp'] = async () => {
    await this.#parts().globalCutoff.ask();
  };

  readonly isMessageUsed: SessionStore['isMessageUsed'] = async (...args) => this.#parts().messages.isUsed(...args);
  readonly useMessage: SessionStore['useMessage'] = async (...args) => this.#parts().messages.use(...args);

  readonly feed: SessionStore['feed'] = (listener) => {
    const { announcer, globalCutoff, settings, servers } = this.#parts();
    announcer.listen(listener);
    this.#listener = listener;
    let client: RedisClient;
    const open = (): RedisClient => (client = this.#openChecked(FEED_CONNECTION, servers));
    const options = { ...settings, open, keys: this.#feedKeys(), globalCutoff, announced: announcer };
    this.#feed = redisFeed(options, {
      notice: (notice) => {
        listener.notice(notice);
      },
      gap: (cause) => {
        listener.gap(cause);
      },
      clock: (now, took) => {
        servers.inspectIfDue(client);
        listener.clock?.(now, took);
      },
    });
    return this.#feed;
  };

  readonly health: SessionStore['health'] = () => {
    const { commands, servers } = this.#parts();
    const { ok, age, lastError } = commands.health();
    const { tooOld, eviction } = servers;
    return { ok: ok && tooOld === null, age, lastError: tooOld ?? lastError ?? eviction };
  };

  readonly close: SessionStore['close'] = async () => {
    this.#configured?.commands.close();
    this.#configured?.durable?.close();
    await this.#feed?.close();
  };

  #openChecked(options: ConnectionOptions, servers: ServerCheck): RedisClient {
    const client = this.#target.open(options);
    client.on('ready', () => void servers.inspect(client));
    return client;
  }

  #parts(): Parts {
    if (this.#configured === null) throw new TypeError('configure() comes before any other call of a store');
    return this.#configured;
  }

  #feedKeys(): FeedKeys {
    const key = (part: string): string => `${this.#options.prefix}:{feed}:${part}`;
    return { stream: key('stream'), epoch: key('epoch'), counter: key('count'), globalCutoff: key('global-cutoff') };
  }

  /** The keys of the further copies of the global cutoff. */
  #copies(): string[] {
    return this.#target.isCluster ? COPY_TAGS.map((tag) => `${this.#options.prefix}:{${tag}}:global-cutoff`) : [];
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
