/** Step-up (RFC 9470): `required({ maxAge, acr })` and `router({ maxAge })`. */

import supertest from 'supertest';
import type { LoginError } from '../../lib/core/errors.js';
import { sessionUser } from '../../lib/core/session.js';
import type { RequiredOptions } from '../../lib/http/gates.js';
import { describeEachFramework } from '../support/frameworks.js';
import {
  bearer,
  cookie,
  ISSUER,
  makeSite,
  sameOrigin,
  showLogin,
  START,
  tokenOf,
  type Site,
  type SiteOptions,
} from './site.js';

const BASE = '/account/sessions';
const HTML = { Accept: 'text/html,*/*;q=0.8' };
const S = START / 1000;
const ANN = sessionUser(ISSUER, 'ann');
const CODE = 'insufficient_user_authentication';
const AGO = (seconds: number) => ({ auth_time: S - seconds });

let site: Site;

afterEach(() => site.close());

describeEachFramework((_name, makeApp) => {
  type Agent = ReturnType<typeof supertest>;

  /** The gate on `/pay`, behind one on every path. */
  function guarded(asked: RequiredOptions, options: SiteOptions = {}): Agent {
    site = makeSite(options);
    const app = makeApp();
    app.mount('/pay', site.login.required(asked), showLogin);
    app.mount('/behind', site.login.required(), site.login.required(asked), showLogin);
    return supertest(app.listener);
  }

  describe('required()', () => {
    test.each(['/pay', '/behind'])('%s: the challenge says what is asked for', async (path) => {
      const agent = guarded({ maxAge: '10m', acr: ['mfa', 'phr'] });
      const { status, headers, body } = await agent.get(path).set(bearer(tokenOf('s1', AGO(601))));
      expect([status, body.code]).toEqual([401, CODE]);
      expect(headers['www-authenticate']).toBe(
        `Bearer realm="login", error="${CODE}", error_description="A more recent sign-in is required: at most 600 s ago", max_age="600", acr_values="mfa phr"`,
      );
      await agent
        .get(path)
        .set(bearer(tokenOf('s1', { ...AGO(600), acr: 'pwd' })))
        .expect(401);
      const passed = await agent
        .get(path)
        .set(bearer(tokenOf('s1', { ...AGO(600), acr: 'phr' })))
        .expect(200);
      expect(passed.body.user.id).toBe('ann');
      await agent
        .get(path)
        .set(cookie(tokenOf('s1', { ...AGO(600), acr: 'phr' })))
        .expect(200);
    });

    test('a sign-in grows too old while its token is warm', async () => {
      const agent = guarded({ maxAge: 600_000 });
      const token = tokenOf('s1', AGO(0));
      for (let request = 0; request < 3; request += 1) await agent.get('/pay').set(bearer(token)).expect(200);
      site.clock.time += 600_001;
      await agent.get('/pay').set(bearer(token)).expect(401);
      expect(site.refused).toEqual([CODE]);
    });

    test("the issuer's tolerance applies", async () => {
      const agent = guarded({ maxAge: '10m' }, { policy: { clockTolerance: 5000 } });
      await agent
        .get('/pay')
        .set(bearer(tokenOf('s1', AGO(605))))
        .expect(200);
      await agent
        .get('/pay')
        .set(bearer(tokenOf('s1', AGO(606))))
        .expect(401);
    });

    test('other reasons come first: no token, an ended session, a missing scope', async () => {
      const agent = guarded({ maxAge: '10m', scope: 'pay' });
      const old = tokenOf('s1', AGO(700));
      expect((await agent.get('/pay')).body.code).toBe('no_token');
      expect((await agent.get('/pay').set(bearer(old))).body.code).toBe('scope_missing');
      const scoped = tokenOf('s1', { ...AGO(700), scope: 'pay' });
      expect((await agent.get('/pay').set(bearer(scoped))).body.code).toBe(CODE);
      const [session] = (await site.account.list(ANN)).sessions;
      await site.account.revoke(ANN, session?.handle ?? '', { reason: 'test' });
      expect((await agent.get('/pay').set(bearer(scoped))).body.code).toBe('session_revoked');
    });

    test('a browser is sent to loginUrl, which is told why and who', async () => {
      const agent = guarded({ maxAge: '10m', acr: 'mfa' }, {
        loginUrl: (req: { user?: { id: string } }, error?: LoginError) =>
          `/sign-in?code=${String(error?.code)}&max_age=${String(error?.maxAge)}&acr_values=${String(error?.acr)}&for=${String(req.user?.id)}`,
      } as SiteOptions);
      const { status, headers } = await agent
        .get('/behind')
        .set(HTML)
        .set(cookie(tokenOf('s1', AGO(700))));
      expect([status, headers['location']]).toEqual([303, `/sign-in?code=${CODE}&max_age=600&acr_values=mfa&for=ann`]);
      const anonymous = await agent.get('/behind').set(HTML);
      expect(anonymous.headers['location']).toContain('code=no_token');
    });

    test('onRefused gets the error, and what an earlier gate found stays', async () => {
      const agent = guarded({ maxAge: '10m' }, {
        onRefused: (error, req: { user?: { id: string } }, res) =>
          res.end(JSON.stringify([error.code, error.maxAge, req.user?.id])),
      } as SiteOptions);
      const { text } = await agent.get('/behind').set(bearer(tokenOf('s1', AGO(700))));
      expect(text).toBe(JSON.stringify([CODE, 600, 'ann']));
    });
  });

  describe('router()', () => {
    const recent = tokenOf('here', AGO(60));
    const old = tokenOf('here', AGO(700));
    const other = tokenOf('other', AGO(700));

    async function mounted(options: SiteOptions = {}): Promise<{ agent: Agent; here: string; there: string }> {
      site = makeSite(options);
      const app = makeApp();
      app.mount(BASE, site.router({ maxAge: '10m' }));
      const agent = supertest(app.listener);
      const handleOf = async (token: string): Promise<string> =>
        (await agent.get(`${BASE}/current`).set(bearer(token)).expect(200)).body.handle;
      return { agent, here: await handleOf(old), there: await handleOf(other) };
    }

    async function count(agent: Agent): Promise<number> {
      return (await agent.get(BASE).set(bearer(old)).expect(200)).body.sessions.length;
    }

    test('reading needs no recent sign-in; ending another session, or renaming any, does', async () => {
      const { agent, here, there } = await mounted();
      const asks = [
        () => agent.delete(`${BASE}/${there}`),
        () => agent.delete(`${BASE}/others`),
        () => agent.delete(BASE),
        () => agent.post(`${BASE}/${there}/end`),
        () => agent.post(`${BASE}/others/end`),
        () => agent.post(`${BASE}/selected/end`).send(`handle=${there}&handle=${here}`),
        () => agent.post(`${BASE}/end`),
        () => agent.delete(`${BASE}/${'x'.repeat(22)}`),
        () => agent.patch(`${BASE}/${there}`).send({ label: 'x' }),
        () => agent.patch(`${BASE}/current`).send({ label: 'x' }),
        () => agent.post(`${BASE}/${here}/label`).type('form').send({ label: 'x' }),
      ];
      for (const ask of asks) {
        const { status, body, headers } = await ask().set(bearer(old));
        expect([status, body.code]).toEqual([401, CODE]);
        expect(headers['www-authenticate']).toContain('max_age="600"');
      }
      const { body } = await agent.get(BASE).set(bearer(old)).expect(200);
      expect(body.sessions.map(({ label }: { label: unknown }) => label)).toEqual([null, null]);
      await agent.get(`${BASE}/${there}`).set(bearer(old)).expect(200);
      await agent.patch(`${BASE}/${there}`).set(bearer(recent)).send({ label: 'x' }).expect(200);
      await agent.delete(`${BASE}/${there}`).set(bearer(recent)).expect(204);
      expect(await count(agent)).toBe(1);
    });

    test.each([
      ['DELETE /current', (agent: Agent) => agent.delete(`${BASE}/current`), 204],
      ['DELETE its handle', (agent: Agent, here: string) => agent.delete(`${BASE}/${here}`), 204],
      ['the form', (agent: Agent) => agent.post(`${BASE}/current/end`), 303],
      ['the form by its handle', (agent: Agent, here: string) => agent.post(`${BASE}/${here}/end`), 303],
      [
        'the form of several',
        (agent: Agent, here: string) => agent.post(`${BASE}/selected/end`).send(`handle=${here}`),
        303,
      ],
    ] as const)('people can always sign out: %s', async (_way, ask, status) => {
      const { agent, here } = await mounted();
      await ask(agent, here).set(bearer(old)).expect(status);
      expect((await agent.get(BASE).set(bearer(old))).body.code).toBe('session_revoked');
      await agent.get(BASE).set(bearer(other)).expect(200);
    });

    test('the page says so, and leads to loginUrl', async () => {
      const { agent, there } = await mounted({
        loginUrl: (_req, error) => `/sign-in?max_age=${String(error?.maxAge)}&back=<>`.replace('<>', '%3C'),
      });
      const { status, text, headers } = await agent
        .post(`${BASE}/${there}/end`)
        .set({ ...HTML, ...sameOrigin, ...cookie(old) });
      expect(status).toBe(401);
      expect(headers['www-authenticate']).toContain(CODE);
      expect(headers['cache-control']).toBe('no-store');
      expect(text).toContain('please sign in again first');
      expect(text).toContain('<a href="/sign-in?max_age=600&amp;back=%3C">Sign in again</a>');
      expect(text).toContain(`<a href="${BASE}">Back to your devices</a>`);
      expect(text).not.toContain('<script');
      expect(await count(agent)).toBe(2);
    });

    test('without loginUrl, the page says so and leads back', async () => {
      const { agent } = await mounted();
      const { status, text } = await agent.post(`${BASE}/others/end`).set({ ...HTML, ...sameOrigin, ...cookie(old) });
      expect(status).toBe(401);
      expect(text).toContain('please sign in again first');
      expect(text).not.toContain('Sign in again</a>');
    });

    test('who is signed out is still redirected', async () => {
      const { agent } = await mounted({ loginUrl: '/sign-in' });
      const { status, headers } = await agent.post(`${BASE}/others/end`).set({ ...HTML, ...sameOrigin });
      expect([status, headers['location']]).toEqual([303, '/sign-in']);
    });
  });
});
