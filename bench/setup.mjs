/** The setting of a benchmark: an issuer with its JWKS endpoint, signed-in users, a Redis, and the processes. */

import { createTestIssuer } from '../dist/esm/testing/index.js';
import { claimsOf, installPeers, startProcess, startRedis } from './support.mjs';

export const USERS = 256;

export async function createBench({ users = USERS } = {}) {
  installPeers();
  const { createClient } = await import('redis');
  const issuer = await createTestIssuer();
  const signedIn = Array.from({ length: users }, (_, index) => ({ index, token: issuer.issue(claimsOf(index)) }));

  return {
    issue: (index) => issuer.issue(claimsOf(index)),
    /** A contestant with a Redis of its own, ready for questions. `prepared` is what its `prepare` returned. */
    async start(name, { nodeArgs = [] } = {}) {
      const server = await startRedis();
      const redis = await createClient({ url: server.url }).connect();
      const child = await startProcess('contestant.mjs', { core: 1, args: [name], nodeArgs });
      const { issuer: iss, jwksUri } = issuer;
      const setup = { issuer: iss, jwksUri, redisUrl: server.url, users: signedIn };
      const prepared = await child.ask({ do: 'prepare', setup });
      async function stop() {
        await child.stop();
        await redis.close();
        await server.stop();
      }
      return { ask: child.ask, stop, redis, prepared };
    },
    close: () => issuer.close(),
  };
}
