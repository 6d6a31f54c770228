/**
 * The real `oidc-provider`, in a process of its own: it is ESM only, which Jest's CommonJS does not load.
 * Tells its parent `{ issuer }` when it listens, `{ rotated: true }` after each `'rotate'`, and `{ time }` after each
 * `{ time }`, from which its clock then goes on.
 *
 * A person signs in at `/interaction/…` with a form that names them: `login=ann`. The client `shop` gets JWT access tokens for
 * a person, which carry the provider's session as `sid`, and refresh tokens that are good once. So do `web` and `web-by-subject`,
 * where `sid` is what logout tokens call the session. These have a back-channel logout URI at `https://shop.example.com`, which
 * is the site that `{ logoutAt }` names. Each logout token is told of: `{ logout: 'success' }`, or the error's message.
 */

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

let handle = (_request, response) => response.writeHead(503).end();

/** It has no option for a clock. */
const realNow = Date.now;
let ahead = 0;
Date.now = () => realNow() + ahead;

let logoutAt = '';
const SHOP = 'https://shop.example.com';

const server = createServer((request, response) => handle(request, response));
// A busy machine lets a connection be idle for seconds, and the client would use it just as it is closed.
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', function announce() {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  handle = provider(issuer);
  process.on('message', function onMessage(message) {
    if (message === 'rotate') {
      handle = provider(issuer);
      process.send({ rotated: true });
    } else if (message.logoutAt !== undefined) {
      ({ logoutAt } = message);
      process.send(message);
    } else {
      ahead = message.time - realNow();
      process.send(message);
    }
  });
  process.send({ issuer });
});
process.on('disconnect', () => process.exit());

/** With keys of its own: a new one is a rotation. */
function provider(issuer) {
  const made = new Provider(issuer, {
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
      {
        client_id: 'shop',
        client_secret: 'shop-secret',
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [`${SHOP}/back`],
        response_types: ['code'],
      },
      ...['web', 'web-by-subject'].map((client_id) => ({
        client_id,
        client_secret: `${client_id}-secret`,
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [`${SHOP}/back`],
        response_types: ['code'],
        backchannel_logout_uri: `${SHOP}/backchannel-logout`,
        backchannel_logout_session_required: client_id === 'web',
      })),
    ],
    scopes: ['openid', 'orders:read'],
    findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
    issueRefreshToken: (_context, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    async extraTokenClaims(_context, { sessionUid, clientId }) {
      if (sessionUid === undefined) return undefined;
      const session = await made.Session.findByUid(sessionUid);
      const auth_time = session?.authTime();
      if (clientId === 'shop') return { sid: sessionUid, auth_time };
      return { sid: session?.sidFor(clientId), auth_time };
    },
    // Without its dispatcher, which refuses a loopback address.
    fetch: (url, { dispatcher: _, ...options }) => fetch(String(url).replace(SHOP, logoutAt), options),
    cookies: { keys: [randomUUID()] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      backchannelLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          scope: 'orders:read',
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: resource.endsWith('/ec') ? 'ES256' : 'RS256' } },
        }),
        useGrantedResource: () => true,
      },
    },
  });
  made.on('backchannel.success', () => process.send({ logout: 'success' }));
  made.on('backchannel.error', (_context, error) => process.send({ logout: error.message }));
  const callback = made.callback();
  return function answer(request, response) {
    if (!request.url.startsWith('/interaction/')) return callback(request, response);
    return signIn(made, request, response);
  };
}

/** Whoever the form names is signed in, and has agreed to everything that the client asks for. */
async function signIn(provider, request, response) {
  const body = [];
  for await (const chunk of request) body.push(chunk);
  const accountId = new URLSearchParams(Buffer.concat(body).toString()).get('login');
  const { params } = await provider.interactionDetails(request, response);
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  grant.addResourceScope(params.resource, params.scope);
  const result = { login: { accountId }, consent: { grantId: await grant.save() } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

function signingKey(alg, type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg, use: 'sig' };
}
