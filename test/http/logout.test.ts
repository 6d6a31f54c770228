import { once } from 'node:events';
import { createServer } from 'node:http';
import supertest from 'supertest';
import { LoginError } from '../../lib/core/errors.js';
import { managedSessions, memoryStore } from '../../lib/index.js';
import { describeEachFramework } from '../support/frameworks.js';
import {
  bearer,
  cookie,
  ISSUER,
  makeSite,
  sameOrigin,
  SECRET,
  showLogin,
  START,
  tokenOf,
  type Site,
  type SiteOptions,
} from './site.js';

const HTML = 'text/html,application/xhtml+xml,*/*;q=0.8';
const storeDown = new LoginError('store_unavailable', 'redis://user:password@host is away', { retryAfter: 1 });

let site: Site | undefined;

function newSite(options?: SiteOptions): Site {
  const made = makeSite(options);
  site = made;
  return made;
}

afterEach(() => site?.close());

describeEachFramework((_name, makeApp) => {
  describe('logout()', () => {
    const GONE = 'Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly';
    const CLEARED = [`login_token=; ${GONE}; SameSite=Lax`, `__Host-login_token=; ${GONE}; Secure; SameSite=Lax`];

    function leaving(options?: SiteOptions): ReturnType<typeof supertest> {
      const { login } = newSite(options);
      const app = makeApp();
      app.mount('/logout', login.logout());
      app.mount('/', login.required(), showLogin);
      return supertest(app.listener);
    }

    test('ends the session and clears the cookie', async () => {
      const agent = leaving();
      const token = tokenOf('s1');
      await agent.get('/').set(cookie(token)).expect(200);
      const { headers } = await agent
        .post('/logout')
        .set({ ...cookie(token), ...sameOrigin })
        .expect(204);
      expect(headers['set-cookie']).toEqual(CLEARED);
      expect(headers['cache-control']).toBe('no-store');
      // RFC 9110, section 8.6: a 204 has none.
      expect(headers).not.toHaveProperty('content-length');
      const { body } = await agent.get('/').set(cookie(token)).expect(401);
      expect(body).toMatchObject({ code: 'session_revoked', reason: 'signed_out' });
    });

    test('ends a session that was never seen here', async () => {
      const agent = leaving();
      await agent
        .post('/logout')
        .set(bearer(tokenOf('s1')))
        .expect(204);
      await agent
        .get('/')
        .set(bearer(tokenOf('s1')))
        .expect(401);
    });

    test.each<[string, Record<string, string>]>([
      ['without a token', {}],
      ['with rubbish', cookie('rubbish')],
      ['with an expired token', { ...cookie(tokenOf('s1', { exp: START / 1000 - 1 })) }],
    ])('clears the cookie %s', async (_name, headers) => {
      const response = await leaving().post('/logout').set(headers).expect(204);
      expect(response.headers['set-cookie']).toEqual(CLEARED);
    });

    test('ends a session while another token waits for its keys', async () => {
      let found: (issuer: null) => void = () => undefined;
      const sessions = managedSessions({
        issuer: (iss) =>
          iss === ISSUER ? { issuer: ISSUER, secret: SECRET } : new Promise((resolve) => (found = resolve)),
        store: memoryStore(),
        clock: { now: () => START },
      });
      const token = tokenOf('s1', { aud: undefined });
      const { session } = await sessions.verify(token);
      const ended = once(session.signal, 'abort');
      const app = makeApp();
      app.mount('/logout', sessions.logout());
      const answer = supertest(app.listener)
        .post('/logout')
        .set({ ...bearer(token), ...cookie(tokenOf('s2', { iss: 'https://slow.example/' })) })
        .expect(204)
        .then();
      await ended;
      found(null);
      await answer;
      await sessions.close();
    });

    test('clears the cookie of a session that has already ended', async () => {
      const agent = leaving();
      const sent = { ...cookie(tokenOf('s1')), ...sameOrigin };
      for (const _again of [1, 2]) {
        const { headers } = await agent.post('/logout').set(sent).expect(204);
        expect(headers['set-cookie']).toEqual(CLEARED);
      }
    });

    test('sends a form on', async () => {
      const toLogin = await leaving({ loginUrl: '/login' })
        .post('/logout')
        .type('form')
        .set({ ...cookie(tokenOf('s1')), ...sameOrigin })
        .expect(303);
      expect(toLogin.headers['location']).toBe('/login');
      const toRoot = await leaving().post('/logout').set('Accept', HTML).expect(303);
      expect(toRoot.headers['location']).toBe('/');
    });

    test.each<[string, Record<string, string>]>([
      ['another site', { ...cookie(tokenOf('s1')), 'Sec-Fetch-Site': 'cross-site' }],
      ['another origin', { ...cookie(tokenOf('s1')), Origin: 'https://evil.example' }],
      ['another site, without the cookie that SameSite kept back', { 'Sec-Fetch-Site': 'cross-site' }],
    ])('refuses %s', async (_name, headers) => {
      const agent = leaving();
      const { body, headers: answered } = await agent.post('/logout').set(headers).expect(403);
      expect(body.code).toBe('cross_site');
      expect(answered['set-cookie']).toBeUndefined();
      await agent
        .get('/')
        .set(bearer(tokenOf('s1')))
        .expect(200);
    });

    test('lets a client pass that is not a browser, and sends neither header', async () => {
      await leaving()
        .post('/logout')
        .set(cookie(tokenOf('s1')))
        .expect(204);
    });

    test('takes no GET, which any picture could send', async () => {
      const agent = leaving();
      const { headers } = await agent
        .get('/logout')
        .set({ ...cookie(tokenOf('s1')), ...sameOrigin })
        .expect(405);
      expect(headers['allow']).toBe('POST');
      await agent
        .get('/')
        .set(cookie(tokenOf('s1')))
        .expect(200);
    });

    test('keeps the cookie where the session could not be ended', async () => {
      const { body, headers } = await leaving({ parts: { ledger: failing(storeDown) } })
        .post('/logout')
        .set(bearer(tokenOf('s1')))
        .expect(503);
      expect(body.code).toBe('store_unavailable');
      expect(headers['set-cookie']).toBeUndefined();
    });

    test('clears a cookie as it was set', async () => {
      const { login } = newSite({
        from: { cookie: '__Secure-login' },
        cookie: { domain: 'example.com', path: '/shop', sameSite: 'strict' },
      });
      const app = makeApp();
      app.mount('/logout', login.logout());
      const { headers } = await supertest(app.listener).post('/logout').expect(204);
      expect(headers['set-cookie']).toHaveLength(2);
      expect(headers['set-cookie']?.[0]).toMatch(/Path=\/shop.*Secure; SameSite=Strict/);
      expect(headers['set-cookie']?.[1]).toContain('Domain=example.com');
    });
  });
});

test('an answer that somebody else has given meanwhile is left as it is', async () => {
  let answer: (() => void) | undefined;
  const store = memoryStore();
  const revoke = store.revoke.bind(store);
  const sessions = managedSessions({
    issuer: { issuer: ISSUER, audience: 'shop', secret: SECRET },
    clock: { now: () => START },
    trustProxy: 'loopback',
    store: Object.assign(store, {
      revoke: async (...given: Parameters<typeof revoke>) => {
        answer?.();
        return revoke(...given);
      },
    }),
  });
  const logout = sessions.logout({ clearSiteData: ['cache'] });
  const passed: unknown[] = [];
  const server = createServer((req, res) => {
    answer = () => res.writeHead(504).end('too late');
    logout(req, res, (error) => passed.push(error));
  });
  const sent = { ...bearer(tokenOf('s1')), 'X-Forwarded-Proto': 'https' };
  const { text } = await supertest(server).post('/').set(sent).expect(504);
  await sessions.close();
  expect([text, passed]).toEqual(['too late', []]);
});

function failing(error: Error): { judge: () => Promise<never>; revoke: () => Promise<never> } {
  return { judge: () => Promise.reject(error), revoke: () => Promise.reject(error) };
}
