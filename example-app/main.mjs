// @ts-check
/** Starts the identity provider and the site. `PORT` moves the site, `REDIS_URL` puts its sessions on Redis. */

import { Redis } from 'ioredis';
import { redisStore } from 'managed-sessions';
import { createSigningKey, DEMO_USERS, startIssuer } from './issuer.mjs';
import { createSite } from './site.mjs';

const ISSUER = 'https://id.fieldnotes.example/';
const AUDIENCE = 'fieldnotes';
const redisUrl = process.env['REDIS_URL'];
const port = Number(process.env['PORT'] ?? 3000);

const identity = await startIssuer({ issuer: ISSUER, audience: AUDIENCE, signingKey: await signingKey(redisUrl) });
const { app, sessions } = createSite({
  issuer: { issuer: ISSUER, jwksUri: identity.jwksUri, audience: AUDIENCE },
  tokenUrl: identity.tokenUrl,
  ...(redisUrl === undefined ? {} : { store: redisStore(redisUrl) }),
});
const server = app.listen(port, (error) => {
  if (error !== undefined) {
    console.error(`The site cannot listen on port ${String(port)}: ${error.message}. PORT=3001 npm start moves it.`);
    process.exit(1);
  }
  const { port: chosen } = /** @type {import('node:net').AddressInfo} */ (server.address());
  console.log(
    `Fieldnotes is at http://localhost:${String(chosen)}/, its sessions are ${redisUrl === undefined ? 'in memory' : 'in Redis'}.`,
  );
  for (const { username, password } of DEMO_USERS) console.log(`  sign in as ${username} / ${password}`);
});

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
  process.once(signal, async () => {
    server.close();
    server.closeAllConnections();
    await Promise.all([sessions.close(), identity.close()]);
  });
}

/**
 * Two copies of the site on one Redis accept each other's tokens: their demo providers share a key there. A real provider
 * keeps its key to itself.
 * @param {string | undefined} url
 */
async function signingKey(url) {
  const fresh = createSigningKey();
  if (url === undefined) return fresh;
  const redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 1, retryStrategy: () => null });
  redis.on('error', () => {
    /* the command below says it */
  });
  try {
    await redis.connect();
    await redis.set('fieldnotes:demo-signing-key', fresh, 'EX', 7 * 24 * 3600, 'NX');
    return (await redis.get('fieldnotes:demo-signing-key')) ?? fresh;
  } catch (error) {
    console.error(`Redis cannot be reached: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  } finally {
    redis.disconnect();
  }
}
