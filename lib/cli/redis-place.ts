/** Where Redis is, by flags or the JSON file, and connections to it. */

import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { isObject, kindOf, refuseUnset } from '../core/check.js';
import type { RedisClient } from '../stores/redis/store.js';
import { UsageError } from './exit.js';
import { visible } from './terminal.js';

/** Of the JSON file; ioredis reads what it knows. */
type PlainOptions = Omit<RedisOptions, 'replyMapping'>;

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface RedisPlace {
  /** In words, without password and query. */
  readonly name: string;
  readonly isCluster: boolean;
  /** Where a Cluster is first asked for its nodes. Empty if it is not one. */
  readonly nodes: readonly Address[];
  /** For `redisStore()`. It is not connected. */
  template(): RedisClient;
  /** A client of one server, which connects once and gives up after `timeout` milliseconds. Without an address: the only server. */
  open(address: Address | undefined, timeout: number): Redis;
}

/**
 * `value` is a `redis://` or `rediss://` URL, or an object of ioredis's options, with two more: `url`, and `cluster`, which is true
 * or a list of `{ host, port }`. Throws {@link UsageError}, with nothing of the value in the message.
 */
export function redisPlace(value: unknown): RedisPlace {
  const { url, cluster, ...options } = typeof value === 'string' ? { url: value } : objectOf(value);
  if (url !== undefined) checkUrl(url);
  else checkSaysWhere(options, cluster);
  const given = { ...(options as PlainOptions), lazyConnect: true };
  const base = url === undefined ? new Redis(given) : new Redis(url, given);
  const nodes = nodesOf(cluster, base.options);
  return {
    name: nameOf(base.options, nodes),
    isCluster: nodes.length > 0,
    nodes,
    template() {
      if (nodes.length === 0) return base;
      const { username, password, tls } = base.options;
      const redisOptions = { ...(options as PlainOptions), ...defined({ username, password, tls }) };
      return new Cluster([...nodes], { lazyConnect: true, redisOptions });
    },
    open: (address, timeout) =>
      base.duplicate({
        ...address,
        connectTimeout: timeout,
        commandTimeout: timeout,
        enableReadyCheck: false,
        enableOfflineQueue: false,
        autoResendUnfulfilledCommands: false,
        maxRetriesPerRequest: 0,
        retryStrategy: () => null,
        sentinelRetryStrategy: () => null,
        sentinelReconnectStrategy: () => null,
        reconnectOnError: () => false,
      }),
  };
}

/**
 * Whether a key begins with the prefix. Null if that is not known: in a Cluster, if the user may not call SCAN, and if it takes
 * longer than `timeout` milliseconds.
 */
export async function hasKeys(place: RedisPlace, prefix: string, timeout: number): Promise<boolean | null> {
  if (place.isCluster) return null;
  const client = place.open(undefined, timeout);
  client.on('error', () => undefined);
  const until = performance.now() + timeout;
  const pattern = `${prefix.replace(/[*?[\]\\]/g, '\\$&')}:{*`;
  try {
    await client.connect();
    let cursor = '0';
    do {
      const [next, keys] = await client.scan(cursor, 'MATCH', pattern, 'COUNT', 1000);
      if (keys.length > 0) return true;
      cursor = next;
    } while (cursor !== '0' && performance.now() < until);
    return cursor === '0' ? false : null;
  } catch {
    return null;
  } finally {
    if (client.status !== 'end') client.disconnect();
  }
}

function objectOf(value: unknown): Record<string, unknown> {
  if (isObject(value)) return value;
  throw new UsageError(
    `redis must be a redis:// or rediss:// URL, or an object of ioredis's options, got ${kindOf(value)}`,
  );
}

function checkUrl(url: unknown): asserts url is string {
  if (typeof url !== 'string' || !/^rediss?:\/\//.test(url) || !URL.canParse(url)) {
    throw new UsageError('The URL of Redis must be a redis:// or rediss:// URL; this is neither');
  }
  refuseUnset(url, 'The URL of Redis');
}

/** Without this, a misspelled `host` would mean the Redis of this machine. */
function checkSaysWhere({ host, port, path, sentinels }: Record<string, unknown>, cluster: unknown): void {
  const isList = Array.isArray(sentinels) && sentinels.length > 0 && sentinels.every(isObject);
  if (sentinels !== undefined && !isList) {
    throw new UsageError('redis.sentinels must be a list of one or more { "host": "…", "port": 26379 }');
  }
  if (port !== undefined && !(Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536)) {
    throw new UsageError('redis.port must be an integer between 1 and 65535');
  }
  if (isList || Array.isArray(cluster) || [host, path].some((name) => typeof name === 'string' && name !== '')) return;
  throw new UsageError('redis does not say where Redis is: give url, host, path, sentinels or a list as cluster');
}

function nodesOf(cluster: unknown, { host = 'localhost', port = 6379 }: RedisOptions): readonly Address[] {
  if (cluster === undefined || cluster === false) return [];
  if (cluster === true) return [{ host, port }];
  const list: readonly unknown[] = Array.isArray(cluster) ? cluster : [];
  if (list.length === 0 || !list.every(isAddress)) {
    throw new UsageError('redis.cluster must be true, or a list of one or more { "host": "…", "port": 6379 }');
  }
  return list;
}

function isAddress(value: unknown): value is Address {
  return isObject(value) && typeof value['host'] === 'string' && Number.isInteger(value['port']);
}

function nameOf(options: RedisOptions, nodes: readonly Address[]): string {
  const { host = 'localhost', port = 6379, db = 0, username, path, sentinels, name = '', tls } = options;
  const scheme = tls === undefined ? 'redis' : 'rediss';
  const user = username == null || username === '' ? '' : `${username}@`;
  const at = ({ host, port }: { host?: string; port?: number }): string => `${String(host)}:${String(port)}`;
  if (nodes.length > 0) return visible(`the Cluster at ${scheme}://${user}${nodes.map(at).join(', ')}`);
  if (sentinels != null) return visible(`the master "${name}" of the Sentinels at ${sentinels.map(at).join(', ')}`);
  if (path != null && path !== '') return visible(path);
  return visible(`${scheme}://${user}${host}:${String(port)}${db === 0 ? '' : `/${String(db)}`}`);
}

/** The members that are defined. */
function defined<Members extends object>(members: Members): Partial<Members> {
  return Object.fromEntries(Object.entries(members).filter((member) => member[1] !== undefined)) as Partial<Members>;
}
