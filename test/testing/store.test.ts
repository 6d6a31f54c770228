/** The store for tests: it keeps the contract, its outages are seen as those of Redis are, and so is a loss of its data. */

import express from 'express';
import supertest from 'supertest';
import {
  managedSessions,
  type ManagedSessions,
  type ManagedSessionsOptions,
  type SessionStore,
} from '../../lib/index.js';
import {
  createTestClock,
  createTestIssuer,
  createTestStore,
  type TestClock,
  type TestIssuer,
  type TestStore,
} from '../../lib/testing/index.js';
import { describeSessionStore } from '../contract.js';
import { eventually } from '../support/redis.js';

describeSessionStore('createTestStore()', async () => ({ store: createTestStore() }));

let issuer: TestIssuer;
let clock: TestClock;
let store: TestStore;
const opened: ManagedSessions[] = [];

beforeAll(async () => {
  issuer = await createTestIssuer({ algorithms: ['HS256'], issuer: 'my-app' });
});
beforeEach(() => {
  clock = createTestClock();
  store = createTestStore({ clock });
});
afterEach(() => Promise.all(opened.splice(0).map((sessions) => sessions.close())));
afterAll(() => issuer.close());

interface Process {
  readonly sessions: ManagedSessions;
  readonly events: string[];
  status(token: string, path?: string): Promise<number>;
}

/** One process of a site. */
function start(on: SessionStore = store, more: Partial<ManagedSessionsOptions> = {}): Process {
  const options = { issuer: { issuer: 'my-app', secret: issuer.secret ?? '' }, store: on, clock };
  const sessions = managedSessions({ ...options, activityInterval: '1h', ...more });
  opened.push(sessions);
  const events: string[] = [];
  for (const event of ['storeDown', 'storeUp'] as const) sessions.on(event, () => void events.push(event));
  sessions.on('sessionEnded', ({ here, reason }) => void events.push(`${reason}${here ? ' here' : ''}`));
  const app = express().get('/', sessions, (_req, res) => void res.sendStatus(200));
  app.get('/fresh', sessions.required({ fresh: true }), (_req, res) => void res.sendStatus(200));
  return {
    sessions,
    events,
    status: async (token, path = '/') =>
      (await supertest(app).get(path).set('Authorization', `Bearer ${token}`)).status,
  };
}

/** A token that is good for all of a test. */
const tokenOf = (sid: string): string => issuer.issue({ sub: 'ada', sid, exp: clock.now() / 1000 + 86_400 });

describe('an outage', () => {
  test('memory answers within the bound; then the response is 503, until the store is back', async () => {
    const { status, events, sessions } = start();
    const token = tokenOf('s1');
    expect(await status(token)).toBe(200);
    store.down();
    expect(await status(token)).toBe(200);
    clock.advance('4s');
    expect(await status(token)).toBe(200);
    expect(events).toEqual([]);
    clock.advance('2s');
    expect(await status(token)).toBe(503);
    expect(events).toEqual(['storeDown']);
    expect(sessions.health()).toMatchObject({ store: { ok: false }, feed: { ok: false } });
    store.up();
    expect(await status(token)).toBe(200);
    await eventually('the feed is seen to be back', async () => (events.includes('storeUp') ? true : undefined));
    expect(events).toEqual(['storeDown', 'storeUp']);
    expect(sessions.health()).toMatchObject({ store: { ok: true }, feed: { ok: true, lastError: null } });
  });

  test('what must ask the store gets 503 at once', async () => {
    const { status, sessions } = start();
    const [known, token] = [tokenOf('s1'), tokenOf('s2')];
    expect(await status(known)).toBe(200);
    store.down();
    expect(await status(token)).toBe(503);
    expect(await status(known, '/fresh')).toBe(503);
    await expect(sessions.revokeAll('ada')).rejects.toMatchObject({ code: 'store_unavailable' });
    store.up();
    expect(await status(token)).toBe(200);
  });

  test('whenStoreDown decides as it does with Redis', async () => {
    const { status } = start(store, { whenStoreDown: { allowFor: '30s' } });
    const token = tokenOf('s1');
    expect(await status(token)).toBe(200);
    store.down();
    clock.advance('30s');
    expect(await status(token)).toBe(200);
    expect(await status(tokenOf('s2'))).toBe(503);
    clock.advance('10s');
    expect(await status(token)).toBe(503);
  });

  test('lasts as long as it really lasts if no clock is given', () => {
    const real = createTestStore();
    real.down();
    expect(real.health()).toMatchObject({ ok: false, lastError: { code: 'store_unavailable' } });
    expect(real.health().age).toBeGreaterThanOrEqual(0);
    real.up();
    expect(real.health()).toEqual({ ok: true, age: 0, lastError: null });
  });
});

describe('two processes', () => {
  test('what one ends, the other refuses at once, and only the first says that it ended it here', async () => {
    const [one, other] = [start(), start(store.connect())];
    const token = tokenOf('s1');
    expect([await one.status(token), await other.status(token)]).toEqual([200, 200]);
    const { session } = await one.sessions.verify(token);
    await one.sessions.revoke('ada', session.handle, { reason: 'lost' });
    expect([await one.status(token), await other.status(token)]).toEqual([401, 401]);
    expect([one.events, other.events]).toEqual([['lost here'], ['lost']]);
  });

  test('closing one leaves the other as it is', async () => {
    const [one, other] = [start(), start(store.connect())];
    const token = tokenOf('s1');
    expect([await one.status(token), await other.status(token)]).toEqual([200, 200]);
    await one.sessions.close();
    await other.sessions.revokeAll('ada', { reason: 'lost' });
    expect(await other.status(token)).toBe(401);
    expect(other.events).toEqual(['lost here']);
  });

  test.each(['while it is up', 'while it is down'])(
    'data lost %s: what one knew to be ended is ended again for all',
    async (when) => {
      const knows = start();
      const [ended, live] = [tokenOf('s1'), tokenOf('s2')];
      for (const token of [ended, live]) expect(await knows.status(token)).toBe(200);
      const { session } = await knows.sessions.verify(ended);
      await knows.sessions.revoke('ada', session.handle, { reason: 'lost' });

      if (when === 'while it is down') store.down();
      store.loseEverything();
      store.up();
      const late = start(store.connect());
      await eventually('the ending is written back', async () =>
        (await late.status(ended)) === 401 ? true : undefined,
      );
      expect(await knows.status(ended)).toBe(401);
      expect([await late.status(live), await knows.status(live)]).toEqual([200, 200]);
      const { sessions } = await knows.sessions.list('ada');
      expect(sessions).toHaveLength(1);
    },
  );

  test('data is lost and nobody knew: the session is live again', async () => {
    const { sessions, status } = start();
    const token = tokenOf('s1');
    expect(await status(token)).toBe(200);
    await sessions.revokeAll('ada');
    await sessions.close();
    store.loseEverything();
    expect(await start(store.connect()).status(token)).toBe(200);
  });

  test('endEverywhere() holds after a loss, as long as a process knows it', async () => {
    const knows = start();
    const token = tokenOf('s1');
    expect(await knows.status(token)).toBe(200);
    await knows.sessions.endEverywhere();
    store.loseEverything();
    expect(await start(store.connect()).status(token)).toBe(401);
  });
});

test.each([
  [{ clok: Date }, 'createTestStore() has no option "clok": did you mean clock?'],
  [{ clock: { now: () => 0 } }, 'createTestStore(): clock must be a clock of createTestClock(), got an object'],
  [7, 'createTestStore() takes an object of options, got a number'],
])('options that are none: %j', (options, message) => {
  expect(() => Reflect.apply(createTestStore, null, [options])).toThrow(new TypeError(message));
});
