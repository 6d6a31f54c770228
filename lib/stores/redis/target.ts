/** What `redisStore()` connects to: a URL, or a client of ioredis as a template. Nothing is ever sent on that client. */

import { Redis } from 'ioredis';

import { isObject, kindOf, refuseUnset } from '../../core/check.js';
import type { ConnectionOptions, RedisClient } from './client.js';

/** Opens a connection of our own to the same Redis. These options override those of the target. */
export type OpenConnection = (overrides: ConnectionOptions) => RedisClient;

/** Throws a `TypeError` for anything but a URL of Redis and a client of ioredis. The message does not contain the URL. */
export function connector(target: string | RedisClient): OpenConnection {
  if (typeof target === 'string') {
    refuseUnset(target, 'The URL of redisStore');
    if (!/^rediss?:\/\//.test(target) || !URL.canParse(target)) {
      throw new TypeError('redisStore takes a redis:// or rediss:// URL, or an ioredis client; this string is neither');
    }
    return (overrides) => new Redis(target, overrides);
  }
  requireClient(target);
  if (target.isCluster) return clusterDuplicator(target);
  // A client for reading may lead to replicas, by Sentinel.
  return (overrides) => target.duplicate({ ...overrides, role: 'master' });
}

/** The `duplicate()` of ioredis 5 forgets the cluster's `redisOptions`, such as its password, if it is given any. */
function clusterDuplicator(cluster: RedisClient): OpenConnection {
  return function duplicateCluster(overrides) {
    const { lazyConnect, enableOfflineQueue, enableAutoPipelining, retryStrategy, ...ofNodes } = overrides;
    const ofCluster = { lazyConnect, enableOfflineQueue, enableAutoPipelining, clusterRetryStrategy: retryStrategy };
    const given = 'redisOptions' in cluster.options && isObject(cluster.options.redisOptions);
    const redisOptions = { ...(given ? (cluster.options.redisOptions as object) : {}), ...ofNodes };
    return cluster.duplicate([], { ...ofCluster, scaleReads: 'master', redisOptions });
  };
}

/** The methods that a client must have; `sendCommand` tells ioredis from most mocks of it. */
const METHODS = ['connect', 'disconnect', 'call', 'pipeline', 'duplicate', 'on', 'off', 'sendCommand'];

function requireClient(target: unknown): void {
  if (!isObject(target)) {
    throw new TypeError(`redisStore takes a redis:// or rediss:// URL, or an ioredis client, got ${kindOf(target)}`);
  }
  const isClient =
    METHODS.every((method) => typeof target[method] === 'function') &&
    typeof target['status'] === 'string' &&
    typeof target['isCluster'] === 'boolean' &&
    isObject(target['options']);
  if (isClient) return;
  throw new TypeError(
    'redisStore takes a redis:// or rediss:// URL, or a Redis or Cluster of the package ioredis (5 or 6); this is a client ' +
      'of another package (such as redis, that is node-redis), a mock, or no client at all',
  );
}
