// @ts-check
/** Starts the identity provider and the site. `PORT` moves the site, `REDIS_URL` puts its sessions on Redis. */

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
    const why = 'code' in error && error.code === 'EADDRINUSE' ? 'is in use' : `cannot be had (${error.message})`;
    fail(`Port ${String(port)} ${why}: PORT=${String(port + 1)} npm start takes another.`);
  }
  const address = server.address();
  const chosen = typeof address === 'object' && address !== null ? address.port : port;
  const where = redisUrl === undefined ? 'in memory' : 'in Redis';
  console.log(`Tidemark is at http://localhost:${String(chosen)}/, its sessions are ${where}.`);
  for (const { username, password } of DEMO_USERS) console.log(`  sign in as ${username} / ${password}`);
});

process.once('SIGINT', stop);
process.once('SIGTERM', stop);

/** Open streams would keep the server up for as long as their tabs are open: they are closed, and tabs reconnect. */
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
 * Two copies of the site on one Redis accept each other's tokens: their demo providers share a key there. A real provider
 * keeps its key to itself.
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
