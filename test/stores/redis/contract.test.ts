import { Redis as Redis6 } from 'ioredis';
import { Redis as Redis5 } from 'ioredis5';

import { redisStore, type RedisClient } from '../../../lib/stores/redis/store.js';
import { describeSessionStore } from '../../contract.js';
import { startRedis, type TestRedis } from '../../support/redis.js';

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis.stop());

/** Each store has keys of its own: one that set a global cutoff leaves that behind. */
let stores = 0;
const ownKeys = (): { prefix: string } => ({ prefix: `ms${String((stores += 1))}` });

describeSessionStore('redisStore with a URL', () => Promise.resolve({ store: redisStore(redis.url, ownKeys()) }));

const CLIENTS: [name: string, open: (url: string) => RedisClient & { disconnect(): void }][] = [
  ['ioredis 5', (url) => new Redis5(url)],
  ['ioredis 6', (url) => new Redis6(url)],
  ['ioredis 6 with options of all kinds', openPeculiar],
];

function openPeculiar(url: string): Redis6 {
  return new Redis6(url, {
    lazyConnect: true,
    keyPrefix: 'app:',
    enableAutoPipelining: true,
    stringNumbers: true,
    db: 3,
    commandTimeout: 4000,
  });
}

for (const [name, open] of CLIENTS) {
  describeSessionStore(`redisStore with a client of ${name}`, () => {
    const client = open(redis.url);
    return Promise.resolve({
      store: redisStore(client, ownKeys()),
      close() {
        // Still the user's, and still at work.
        expect(['ready', 'wait', 'connect', 'connecting']).toContain(client.status);
        client.disconnect();
        return Promise.resolve();
      },
    });
  });
}
