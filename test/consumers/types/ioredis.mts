import { Cluster, Redis } from 'ioredis';
import { redisStore, type SessionStore } from 'managed-sessions';

export const stores: SessionStore[] = [
  redisStore(new Redis('redis://127.0.0.1:6379'), { prefix: 'app', minReplicas: 1 }),
  redisStore(new Redis({ name: 'primary', sentinels: [{ host: '127.0.0.1', port: 26379 }] })),
  redisStore(new Cluster([{ host: '127.0.0.1', port: 7000 }])),
  // @ts-expect-error a misspelled option
  redisStore(new Redis(), { prefx: 'app' }),
];
