import { Redis } from 'ioredis';
import type { TcpProxy } from './tcp-proxy.js';

/** A client whose duplicate for the feed goes another way than that for commands. */
export function splitClient(commands: TcpProxy, feed: TcpProxy): Redis {
  const client = new Redis(commands.port, '127.0.0.1', { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  client.on('error', () => undefined);
  const duplicate = client.duplicate.bind(client);
  client.duplicate = (overrides) => {
    const isFeed = overrides?.enableReadyCheck === false;
    return duplicate({ ...overrides, port: isFeed ? feed.port : commands.port });
  };
  return client;
}
