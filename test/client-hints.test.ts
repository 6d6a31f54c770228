/** Client hints: asked for where the option says so, kept with the session, and never told of as a user agent. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import request from 'supertest';
import { managedSessions, type ManagedSessions, type SessionEvents } from '../lib/index.js';
import { createTestClock } from '../lib/testing/clock.js';
import { createTestIssuer, type TestIssuer } from '../lib/testing/issuer.js';
import { describeEachFramework } from './support/frameworks.js';

const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36';
const UNASKED = {
  'User-Agent': CHROME,
  'Sec-CH-UA': '"Google Chrome";v="129", "Not=A?Brand";v="8", "Chromium";v="129"',
  'Sec-CH-UA-Mobile': '?0',
  'Sec-CH-UA-Platform': '"Windows"',
};
const ASKED = { ...UNASKED, 'Sec-CH-UA-Platform-Version': '"15.0.0"' };

/** Of the issuer and of the sessions: a clock that stands still and one that goes on would soon disagree. */
const clock = createTestClock();
let issuer: TestIssuer;
beforeAll(async () => {
  issuer = await createTestIssuer({ clock });
});
afterAll(() => issuer.close());

describeEachFramework((_name, makeApp) => {
  let sessions: ManagedSessions;
  afterEach(() => sessions.close());

  function appWith(clientHints?: boolean) {
    sessions = managedSessions({
      issuer: { issuer: issuer.issuer, jwksUri: issuer.jwksUri },
      ...(clientHints === undefined ? {} : { clientHints }),
    });
    const app = makeApp();
    app.on('GET', '/public', sessions.optional(), (_req, res) => res.end());
    app.on('GET', '/private', sessions, (_req, res) => res.end());
    app.on('GET', '/scoped', sessions.required({ scope: 'all' }), (_req, res) => res.end());
    app.mount('/sessions', sessions.router());
    app.on(
      'GET',
      '/own',
      (_req, res, next) => {
        res.setHeader('Accept-CH', 'Width');
        next();
      },
      sessions.optional(),
      (_req, res) => res.end(),
    );
    return app.listener;
  }

  test.each(['/public', '/private', '/scoped', '/sessions'])('%s asks for them', async (path) => {
    const { headers } = await request(appWith(true)).get(path);
    expect(headers['accept-ch']).toBe('Sec-CH-UA-Platform-Version, Sec-CH-UA-Model');
  });

  test('what the application asks for stays', async () => {
    const { headers } = await request(appWith(true)).get('/own').expect(200);
    expect(headers['accept-ch']).toBe('Width');
  });

  test.each([undefined, false])('%s: nothing is asked for', async (clientHints) => {
    const listener = appWith(clientHints);
    for (const path of ['/public', '/private', '/sessions']) {
      expect((await request(listener).get(path)).headers).not.toHaveProperty('accept-ch');
    }
  });
});

test.each(['yes', 1, null])('clientHints: %j throws a TypeError that names it', (clientHints) => {
  expect(() =>
    Reflect.apply(managedSessions, undefined, [{ issuer: { issuer: 'x', secret: 'x' }, clientHints }]),
  ).toThrow(/^clientHints must be true or false/);
});

describe('events', () => {
  let sessions: ManagedSessions;
  let started: SessionEvents['sessionStarted'][];
  let moved: SessionEvents['sessionMoved'][];
  beforeEach(() => {
    sessions = managedSessions({ issuer: { issuer: issuer.issuer, jwksUri: issuer.jwksUri }, clock });
    [started, moved] = [[], []];
    sessions.on('sessionStarted', (event) => started.push(event));
    sessions.on('sessionMoved', (event) => moved.push(event));
  });
  afterEach(() => sessions.close());

  test('a browser that comes to send more hints has not moved; a user agent is told as it was sent', async () => {
    const token = issuer.issue({ sub: 'ann' });
    const headers = { authorization: `Bearer ${token}` };
    const seen = async (sent: Record<string, string>) => {
      const lower = Object.fromEntries(Object.entries(sent).map(([name, value]) => [name.toLowerCase(), value]));
      await request((req: IncomingMessage, res: ServerResponse) => {
        sessions.required({ fresh: true })(req, res, () => res.end());
      })
        .get('/')
        .set({ ...headers, ...lower })
        .expect(200);
      const [session] = (await sessions.list('ann')).sessions;
      return session?.client;
    };
    expect(await seen(UNASKED)).toMatchObject({ os: 'Windows', userAgent: CHROME });
    expect(started).toMatchObject([{ userAgent: CHROME }]);

    // The store compares what it keeps, hints and all: without them this would be a move.
    expect(await seen(ASKED)).toMatchObject({ os: 'Windows 11', userAgent: CHROME });
    expect(moved).toEqual([]);

    await seen({ ...ASKED, 'User-Agent': 'Notes/2.0' });
    expect(moved).toMatchObject([{ from: { userAgent: CHROME }, to: { userAgent: 'Notes/2.0' } }]);
    expect(JSON.stringify([started, moved])).not.toContain('\u2016');
  });
});
