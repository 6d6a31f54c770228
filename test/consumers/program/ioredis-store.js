import { Redis } from 'ioredis';

const client = new Redis(String(process.env.REDIS_URL));
const store = redisStore(client, { prefix: 'consumer-' + process.pid });

function disconnect() {
  client.disconnect();
}
