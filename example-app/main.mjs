// @ts-check
/** Runs the identity provider and the site on a server. `OUTAGE_SECONDS`: how long the store stays away, if it is taken away. */

import { Redis } from 'ioredis';
import { memoryStore, redisStore } from 'managed-sessions';
import { prepareDevices } from './devices.mjs';
import { createSigningKey, DEMO_USERS, startIssuer } from './issuer.mjs';
import { createMails } from './mails.mjs';
import { withOutage } from './outage.mjs';
import { createSite } from './site.mjs';

const ISSUER = 'https://id.tidemark.example/';
const AUDIENCE = 'tidemark';

/**
 * @param {object} parts
 * @param {import('node:http').Server} parts.server listens already
 * @param {string | undefined} parts.redisUrl
 * @returns {Promise<import('express').Express>} what answers the server's requests
 */
export async function run({ server, redisUrl }) {
  const signingKey = redisUrl === undefined ? await createSigningKey() : await sharedSigningKey(redisUrl);
  const identity = await startIssuer({ issuer: ISSUER, audience: AUDIENCE, signingKey });
  const issuer = { issuer: ISSUER, jwksUri: identity.jwksUri, audience: AUDIENCE };
  const mails = createMails();

  // In Redis, each `managedSessions()` has a store of its own.
  const memory = memoryStore();
  const newStore = () => (redisUrl === undefined ? memory : redisStore(redisUrl));
  await prepareDevices({ issuer, store: newStore(), tokenFrom: identity.tokenFrom, onStarted: mails.onStarted });

  const outage = withOutage(newStore(), Number(process.env['OUTAGE_SECONDS'] || 30));
  const { app, sessions } = createSite({ issuer, tokenUrl: identity.tokenUrl, store: outage.store, outage, mails });

  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const where = redisUrl === undefined ? 'in memory' : 'in Redis';
  console.log(`Tidemark runs at http://localhost:${String(port)}/. Its sessions are kept ${where}.`);
  for (const { username, password } of DEMO_USERS) console.log(`  sign in as ${username} / ${password}`);

  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  return app;

  /** Closes open streams too: they would keep the server running for as long as their tabs are open. Tabs reconnect. */
  async function stop() {
    server.close();
    server.closeAllConnections();
    await Promise.all([sessions.close(), identity.close()]);
  }
}

/**
 * Two copies of the site on one Redis accept each other's tokens, because their demo providers share a key there. A real
 * provider does not share its key.
 * @param {string} url
 */
async function sharedSigningKey(url) {
  const fresh = await createSigningKey();
  const redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 1, retryStrategy: () => null });
  let why = '';
  redis.on('error', (/** @type {Error} */ error) => {
    why = error.message;
  });
  try {
    await redis.connect();
    await redis.set('tidemark:demo-signing-key', fresh, 'EX', 7 * 24 * 3600, 'NX');
    return (await redis.get('tidemark:demo-signing-key')) ?? fresh;
  } catch (error) {
    console.error(`Redis cannot be reached: ${why || (error instanceof Error ? error.message : String(error))}`);
    process.exit(1);
  } finally {
    redis.disconnect();
  }
}
