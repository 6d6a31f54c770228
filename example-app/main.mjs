// @ts-check
/** Starts the identity provider and the site. `PORT` is the site's port. With `REDIS_URL`, sessions are kept in Redis. */

import { Redis } from 'ioredis';
import { redisStore } from 'managed-sessions';
import { createSigningKey, DEMO_USERS, startIssuer } from './issuer.mjs';
import { createSite } from './site.mjs';

const ISSUER = 'https://id.tidemark.example/';
const AUDIENCE = 'tidemark';
const redisUrl = process.env['REDIS_URL'] || undefined;
const port = portOf(process.env['PORT'] || '3000');

const identity = await startIssuer({ issuer: ISSUER, audience: AUDIENCE, signingKey: await signingKey(redisUrl) });
const { app, sessions } = createSite({
  issuer: { issuer: ISSUER, jwksUri: identity.jwksUri, audience: AUDIENCE },
  tokenUrl: identity.tokenUrl,
  ...(redisUrl === undefined ? {} : { store: redisStore(redisUrl) }),
});

const server = app.listen(port, (error) => {
  if (error !== undefined) {
    const why = 'code' in error && error.code === 'EADDRINUSE' ? 'is in use' : `cannot be used (${error.message})`;
    fail(`Port ${String(port)} ${why}. Try another one: PORT=${String(port + 1)} npm start`);
  }
  const address = server.address();
  const chosen = typeof address === 'object' && address !== null ? address.port : port;
  const where = redisUrl === undefined ? 'in memory' : 'in Redis';
  console.log(`Tidemark runs at http://localhost:${String(chosen)}/. Its sessions are kept ${where}.`);
  for (const { username, password } of DEMO_USERS) console.log(`  sign in as ${username} / ${password}`);
});

process.once('SIGINT', stop);
process.once('SIGTERM', stop);

/** Closes open streams too: they would keep the server running for as long as their tabs are open. Tabs reconnect. */
async function stop() {
  server.close();
  server.closeAllConnections();
  await Promise.all([sessions.close(), identity.close()]);
}

/** @param {string} text */
function portOf(text) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0 || number > 65_535) fail('PORT must be a number from 0 to 65535.');
  return number;
}

/**
 * Two copies of the site on one Redis accept each other's tokens, because their demo providers share a key there. A real
 * provider does not share its key.
 * @param {string | undefined} url
 */
async function signingKey(url) {
  const fresh = createSigningKey();
  if (url === undefined) return fresh;
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
    return fail(`Redis cannot be reached: ${why || (error instanceof Error ? error.message : String(error))}`);
  } finally {
    redis.disconnect();
  }
}

/** @param {string} sentence @returns {never} */
function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
