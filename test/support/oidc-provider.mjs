/**
 * The real `oidc-provider`, in a process of its own: it is ESM only, which Jest's CommonJS does not load.
 * Tells its parent `{ issuer }` when it listens, and `{ rotated: true }` after each `'rotate'`.
 */

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

let handle = (_request, response) => response.writeHead(503).end();

const server = createServer((request, response) => handle(request, response));
// A busy machine lets a connection be idle for seconds, and the client would use it just as it is closed.
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', function announce() {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  handle = provider(issuer);
  process.on('message', function rotate() {
    handle = provider(issuer);
    process.send({ rotated: true });
  });
  process.send({ issuer });
});
process.on('disconnect', () => process.exit());

/** With keys of its own: a new one is a rotation. */
function provider(issuer) {
  return new Provider(issuer, {
    jwks: {
      keys: [signingKey('RS256', 'rsa', { modulusLength: 2048 }), signingKey('ES256', 'ec', { namedCurve: 'P-256' })],
    },
    clients: [
      {
        client_id: 'orders-job',
        client_secret: 'orders-job-secret',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    scopes: ['orders:read'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          scope: 'orders:read',
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: resource.endsWith('/ec') ? 'ES256' : 'RS256' } },
        }),
      },
    },
  }).callback();
}

function signingKey(alg, type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg, use: 'sig' };
}
