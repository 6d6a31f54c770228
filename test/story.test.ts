/** The main job by HTTP, end to end: sign in on two devices, see them, end one, and it stays ended. */

import request from 'supertest';
import { managedSessions, memoryStore, redisStore, type ManagedSessions, type SessionStore } from '../lib/index.js';
import { createTestIssuer, type TestIssuer } from '../lib/testing/issuer.js';
import { describeEachFramework } from './support/frameworks.js';
import { startRedis, type TestRedis } from './support/redis.js';

let issuer: TestIssuer;
let redis: TestRedis;

beforeAll(async () => {
  [issuer, redis] = await Promise.all([createTestIssuer(), startRedis()]);
});
afterAll(async () => {
  await Promise.all([issuer.close(), redis.stop()]);
});

const STORES: readonly (readonly [string, () => SessionStore])[] = [
  ['memoryStore()', () => memoryStore()],
  ['redisStore()', () => redisStore(redis.url)],
];

/** So that a machine that is busy is not taken for a Redis that is away. */
const PATIENT = { storeTimeout: '5s', revocationBound: '20s' } as const;

interface Seen {
  readonly handle: string;
  readonly current: boolean;
  readonly client: { readonly name: string };
}

describeEachFramework((_name, makeApp) => {
  describe.each(STORES)('%s', (_store, makeStore) => {
    let sessions: ManagedSessions;
    let app: ReturnType<typeof makeApp>;
    let person: string;
    let people = 0;

    beforeEach(() => {
      people += 1;
      person = `user-${String(people)}-${Math.random().toString(36).slice(2)}`;
      sessions = managedSessions({
        issuer: { issuer: issuer.issuer, jwksUri: issuer.jwksUri },
        store: makeStore(),
        ...PATIENT,
      });
      app = makeApp();
      app.mount('/account/sessions', sessions.router());
      app.on('POST', '/logout', sessions.logout());
      app.mount('/me', sessions, (req, res) => {
        const { user, loginSession } = req as unknown as { user: { id: string }; loginSession: { handle: string } };
        res.end(JSON.stringify({ id: user.id, handle: loginSession.handle }));
      });
    });
    afterEach(() => sessions.close());

    const signIn = (): string => issuer.issue({ sub: person, name: 'Somebody' });
    const get = (token: string, path = '/me') =>
      request(app.listener).get(path).set('Authorization', `Bearer ${token}`);
    const end = (token: string, which: string) =>
      request(app.listener).delete(`/account/sessions/${which}`).set('Authorization', `Bearer ${token}`);
    const seenBy = async (token: string): Promise<Seen[]> => {
      const answer = await get(token, '/account/sessions').set('User-Agent', 'curl/8.0').expect(200);
      return (answer.body as { sessions: Seen[] }).sessions;
    };
    const expectEnded = async (token: string): Promise<void> => {
      const answer = await get(token).expect(401);
      expect(answer.body).toMatchObject({ code: 'session_revoked', status: 401 });
      expect(answer.headers['www-authenticate']).toContain('error="invalid_token"');
      expect(answer.headers['cache-control']).toBe('no-store');
    };

    test('two devices sign in, each sees both, one ends the other, and a fresh login works', async () => {
      const [phone, laptop] = [signIn(), signIn()];
      await get(phone).set('User-Agent', 'MyApp for iOS/v1.0.0').expect(200);
      await get(laptop).expect(200);

      for (const token of [phone, laptop]) {
        const seen = await seenBy(token);
        expect(seen).toHaveLength(2);
        expect(seen[0]?.current).toBe(true);
        expect(seen[1]?.current).toBe(false);
      }

      const other = (await seenBy(laptop)).find(({ current }) => !current);
      await end(laptop, other?.handle ?? '').expect(204);
      await expectEnded(phone);
      await get(phone, '/account/sessions').expect(401);
      await get(laptop).expect(200);
      expect(await seenBy(laptop)).toHaveLength(1);

      await end(laptop, other?.handle ?? '').expect(204);
      await get(laptop, `/account/sessions/${other?.handle ?? ''}`).expect(404);

      const again = signIn();
      await get(again).expect(200);
      await expectEnded(phone);
    });

    test('all others', async () => {
      const [here, first, second] = [signIn(), signIn(), signIn()];
      for (const token of [here, first, second]) await get(token).expect(200);
      const answer = await end(here, 'others').expect(200);
      expect(answer.body).toEqual({ ended: 2 });
      await expectEnded(first);
      await expectEnded(second);
      await get(here).expect(200);
    });

    test('everywhere, followed by a login in the same second', async () => {
      const [here, there, neverSeen] = [
        signIn(),
        signIn(),
        issuer.issue({ sub: person, iat: Math.floor(Date.now() / 1000) - 60 }),
      ];
      for (const token of [here, there]) await get(token).expect(200);
      const answer = await end(here, '').expect(200);
      expect(answer.body).toEqual({ ended: 2 });
      const anew = signIn();
      await get(anew).expect(200);
      await expectEnded(here);
      await expectEnded(there);
      await expectEnded(neverSeen);
      expect(await seenBy(anew)).toHaveLength(1);
    });

    test('sign out: the token is refused, and signing out again is no error', async () => {
      const here = signIn();
      await get(here).expect(200);
      const signOut = () => request(app.listener).post('/logout').set('Authorization', `Bearer ${here}`);
      await signOut().expect(204);
      await expectEnded(here);
      await signOut().expect(204);
    });

    test('a refreshed token is the same session, and dies with it', async () => {
      const [first, refreshed] = [
        issuer.issue({ sub: person, sid: 's1' }),
        issuer.issue({ sub: person, sid: 's1', jti: 'other' }),
      ];
      const one = await get(first).expect(200);
      const two = await get(refreshed).expect(200);
      expect(JSON.parse(two.text)).toEqual(JSON.parse(one.text));
      await end(first, 'current').expect(204);
      await expectEnded(refreshed);
    });

    test("one user reaches nothing of another's: the same 404 as for what does not exist", async () => {
      const [mine, theirs] = [signIn(), issuer.issue({ sub: `${person}-other` })];
      await get(mine).expect(200);
      const { handle } = JSON.parse((await get(theirs).expect(200)).text) as { handle: string };
      const [foreign, unknown] = [await end(mine, handle).expect(404), await end(mine, 'A'.repeat(22)).expect(404)];
      expect(foreign.body).toEqual(unknown.body);
      await get(theirs).expect(200);
    });
  });
});

describe('two processes on one Redis', () => {
  test('a session ended in one is refused in the other as soon as the feed tells', async () => {
    const options = () => ({
      issuer: { issuer: issuer.issuer, jwksUri: issuer.jwksUri },
      store: redisStore(redis.url),
      ...PATIENT,
    });
    const [here, there] = [managedSessions(options()), managedSessions(options())];
    const token = issuer.issue({ sub: 'two-processes' });
    await here.verify(token);
    const { session } = await there.verify(token);
    const ended = new Promise((resolve) => {
      session.signal.addEventListener('abort', resolve);
    });
    await here.revoke('two-processes', session.handle, { reason: 'administrator', by: 'support' });
    await ended;
    await expect(there.verify(token)).rejects.toMatchObject({ code: 'session_revoked', reason: 'administrator' });
    await expect(here.verify(token)).rejects.toMatchObject({ code: 'session_revoked' });
    await Promise.all([here.close(), there.close()]);
  });
});
