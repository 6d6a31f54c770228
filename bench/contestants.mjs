/**
 * The packages that people would install, each set up as its documentation shows. `guard(setup)` resolves to the middleware
 * and to the headers that each signed-in user sends. Default: the user's token.
 */

import { createPublicKey } from 'node:crypto';
import { AUDIENCE } from './support.mjs';

/** @typedef {{ issuer: string, jwksUri: string, redisUrl: string, users: { token: string, index: number }[] }} Setup */

export const contestants = {
  bare: { title: 'bare Express 5', guard: () => ({ handlers: [] }) },

  empty: {
    title: 'empty middleware that reads the header',
    guard: () => ({
      handlers: [(req, _res, next) => (req.headers.authorization === undefined ? next('none') : next())],
    }),
  },

  'ours-memory': { title: 'managed-sessions, memory', guard: (setup) => ours(setup, {}) },
  'ours-redis': { title: 'managed-sessions, Redis', guard: (setup) => ours(setup, { redis: true }) },
  'ours-idle': {
    title: 'managed-sessions, Redis, `idleTimeout`',
    directOnly: true,
    guard: (setup) => ours(setup, { redis: true, options: { idleTimeout: '30m' } }),
  },
  'ours-cookie': {
    title: 'managed-sessions, Redis, cookie',
    directOnly: true,
    guard: (setup) =>
      ours(setup, { redis: true, options: { from: { cookie: 'login_token' } }, headersOf: cookieHeader }),
  },
  'ours-fresh': {
    title: 'managed-sessions, Redis, `fresh: true`',
    guard: (setup) => ours(setup, { redis: true, fresh: true }),
  },

  floor: {
    title: 'the floor, written by hand',
    directOnly: true,
    guard: (setup) => floor(setup, 'authorization', bearerHeader),
  },
  'floor-cookie': {
    title: 'the floor, with a cookie',
    directOnly: true,
    guard: (setup) => floor(setup, 'cookie', cookieHeader),
  },

  'fast-jwt': {
    title: 'fast-jwt with cache',
    async guard({ issuer, jwksUri }) {
      const { createVerifier } = await import('fast-jwt');
      const verify = createVerifier({
        key: await publicPem(jwksUri),
        cache: 1000,
        allowedIss: issuer,
        allowedAud: AUDIENCE,
      });
      return {
        handlers: [
          function fastJwt(req, res, next) {
            try {
              req.user = verify(req.headers.authorization.slice('Bearer '.length));
            } catch {
              res.sendStatus(401);
              return;
            }
            next();
          },
        ],
      };
    },
  },

  'express-jwt': {
    title: 'express-jwt + jwks-rsa',
    guard: async (setup) => ({ handlers: [await expressJwt(setup)] }),
  },

  'oauth2-jwt-bearer': {
    title: 'express-oauth2-jwt-bearer',
    async guard({ issuer, jwksUri }) {
      const { auth } = await import('express-oauth2-jwt-bearer');
      return { handlers: [auth({ issuer, jwksUri, audience: AUDIENCE, tokenSigningAlg: 'RS256' })] };
    },
  },

  'passport-jwt': {
    title: 'passport-jwt + jwks-rsa',
    async guard({ issuer, jwksUri }) {
      const { default: passport } = await import('passport');
      const { Strategy, ExtractJwt } = (await import('passport-jwt')).default;
      const { default: jwksRsa } = await import('jwks-rsa');
      const options = {
        secretOrKeyProvider: jwksRsa.passportJwtSecret({ jwksUri, cache: true, rateLimit: true }),
        jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
        algorithms: ['RS256'],
        audience: AUDIENCE,
        issuer,
      };
      passport.use(new Strategy(options, (claims, done) => done(null, claims)));
      return { handlers: [passport.authenticate('jwt', { session: false })] };
    },
  },

  denylist: {
    title: 'express-jwt + Redis denylist and last-seen',
    async guard(setup) {
      const { createClient } = await import('redis');
      const redis = await createClient({ url: setup.redisUrl }).connect();
      const verify = await expressJwt(
        setup,
        async (_req, token) => (await redis.exists(`denied:${token.payload.sid}`)) === 1,
      );
      async function lastSeen(req, _res, next) {
        const seen = { at: Date.now(), ip: req.ip, userAgent: req.headers['user-agent'] };
        await redis.hSet(`session:${req.auth.sid}`, seen);
        next();
      }
      return { handlers: [verify, lastSeen] };
    },
  },

  'express-session': {
    title: 'express-session + connect-redis',
    async guard({ redisUrl, users }) {
      const { default: session } = await import('express-session');
      const { RedisStore } = await import('connect-redis');
      const { createClient } = await import('redis');
      const { default: express } = await import('express');
      const client = await createClient({ url: redisUrl }).connect();
      const handler = session({
        store: new RedisStore({ client }),
        secret: 'of the benchmark',
        resave: false,
        saveUninitialized: false,
      });
      const login = express().use(handler, (req, res) => {
        req.session.user = JSON.parse(req.headers.user);
        res.end();
      });
      const cookies = await signIn(login, users, ({ token }) => ({ user: payloadText(token) }));
      const guard = (req, res, next) => (req.session.user === undefined ? res.sendStatus(401) : next());
      return { handlers: [handler, guard], headers: cookies.map((cookie) => ({ cookie })) };
    },
  },

  'better-auth': {
    title: 'better-auth, Redis as secondary storage',
    async guard({ redisUrl, users }) {
      const { betterAuth } = await import('better-auth');
      const { memoryAdapter } = await import('better-auth/adapters/memory');
      const { fromNodeHeaders } = await import('better-auth/node');
      const { createClient } = await import('redis');
      const redis = await createClient({ url: redisUrl }).connect();
      const auth = betterAuth({
        baseURL: 'http://127.0.0.1',
        secret: 'a secret of the benchmark, of some length',
        database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
        secondaryStorage: {
          get: (key) => redis.get(key),
          set: (key, value, ttl) =>
            redis.set(key, value, ttl === undefined ? undefined : { expiration: { type: 'EX', value: ttl } }),
          delete: (key) => redis.del(key),
        },
        // Signing in is not measured.
        emailAndPassword: { enabled: true, password: { hash: async (text) => text, verify: async () => true } },
        rateLimit: { enabled: false },
        telemetry: { enabled: false },
      });
      const headers = [];
      for (const { index } of users) {
        const body = { name: 'A person', email: `person-${String(index)}@example.com`, password: 'not measured' };
        const response = await auth.api.signUpEmail({ body, asResponse: true });
        headers.push({ cookie: cookieOf(response) });
      }
      async function betterAuthGuard(req, res, next) {
        const found = await auth.api.getSession({ headers: fromNodeHeaders(req.headers) });
        if (found === null) return res.sendStatus(401);
        req.user = found.user;
        next();
      }
      return { handlers: [betterAuthGuard], headers };
    },
  },
};

/** The least that knows whom it has verified: one look-up, the whole header compared, one look at the clock. */
function floor({ users }, name, headersOf) {
  const until = Date.now() + 24 * 3_600_000;
  const headers = users.map(headersOf);
  const byTail = new Map(
    headers.map(({ [name]: header }, index) => [
      header.slice(-12),
      { header, until, user: { id: String(index) }, session: { until } },
    ]),
  );
  function floorMiddleware(req, res, next) {
    const header = req.headers[name];
    const entry = byTail.get(header.slice(-12));
    if (entry === undefined || entry.header !== header || Date.now() >= entry.until) {
      res.sendStatus(401);
      return;
    }
    req.user = entry.user;
    req.loginSession = entry.session;
    next();
  }
  return { handlers: [floorMiddleware], headers };
}

function bearerHeader({ token }) {
  return { authorization: `Bearer ${token}` };
}

function cookieHeader({ token, index }) {
  return { cookie: `theme=dark; consent=${String(index)}; login_token=${token}` };
}

async function ours(
  { issuer, jwksUri, redisUrl, users },
  { redis = false, fresh = false, options = {}, headersOf = bearerHeader },
) {
  const { managedSessions, memoryStore, redisStore } = await import('../dist/esm/index.js');
  const sessions = managedSessions({
    issuer: { issuer, jwksUri, audience: AUDIENCE },
    store: redis ? redisStore(redisUrl) : memoryStore(),
    ...options,
  });
  return { handlers: [fresh ? sessions.required({ fresh }) : sessions], headers: users.map(headersOf), sessions };
}

async function expressJwt({ issuer, jwksUri }, isRevoked) {
  const { expressjwt } = await import('express-jwt');
  const { default: jwksRsa } = await import('jwks-rsa');
  const secret = jwksRsa.expressJwtSecret({ jwksUri, cache: true, rateLimit: true });
  return expressjwt({ secret, algorithms: ['RS256'], audience: AUDIENCE, issuer, isRevoked });
}

async function publicPem(jwksUri) {
  const { keys } = await (await fetch(jwksUri)).json();
  return createPublicKey({ key: keys[0], format: 'jwk' }).export({ type: 'spki', format: 'pem' });
}

function payloadText(token) {
  return Buffer.from(token.split('.')[1], 'base64url').toString();
}

async function signIn(app, users, headersOf) {
  const server = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const url = `http://127.0.0.1:${String(server.address().port)}/`;
  const cookies = [];
  for (const user of users) cookies.push(cookieOf(await fetch(url, { headers: headersOf(user) })));
  await new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return cookies;
}

function cookieOf(response) {
  if (!response.ok) throw new Error(`Signing in failed: ${String(response.status)}`);
  return response.headers
    .getSetCookie()
    .map((cookie) => cookie.split(';', 1)[0])
    .join('; ');
}
