import { Redis } from 'ioredis';
import type { TcpProxy } from './tcp-proxy.js';

/** A client whose duplicates, of which one reads the feed, go another way. */
export function splitClient(commands: TcpProxy, feed: TcpProxy): Redis {
  const client = new Redis(commands.port, '127.0.0.1', { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  client.on('error', () => undefined);
  const duplicate = client.duplicate.bind(client);
  client.duplicate = (overrides) => duplicate({ ...overrides, port: feed.port });
  return client;
}
