/** The kit as a user's own supertest suite uses it. */

import express from 'express';
import request from 'supertest';
import { describeClient } from '../../lib/http/user-agent.js';
import { managedSessions } from '../../lib/index.js';
import { DEVICES } from '../../lib/testing/devices.js';
import { createTestClock, createTestIssuer, signIn } from '../../lib/testing/index.js';

test('an app under test: sign in, move the clock, turn the keys', async () => {
  const clock = createTestClock();
  const issuer = await createTestIssuer({ clock });
  const sessions = managedSessions({ issuer: { issuer: issuer.issuer, jwksUri: issuer.jwksUri }, clock });
  const app = express();
  app.get('/', sessions, (req, res) => void res.json({ id: req.user?.id, name: req.user?.name }));

  const agent = request.agent(app);
  await agent.get('/').expect(401);
  signIn(agent, { sub: 'ada', name: 'Ada' });
  await agent.get('/').expect(200, { id: 'ada', name: 'Ada' });

  clock.advance('59m');
  await agent.get('/').expect(200);
  clock.advance('2m');
  const expired = await agent.get('/').expect(401);
  expect(expired.body).toMatchObject({ code: 'token_expired' });

  signIn(agent, { sub: 'ada' });
  await agent.get('/').expect(200);
  await issuer.rotateKeys();
  clock.advance('11m');
  // The set is refreshed in the background by the first use; what the old key signed is refused from then on.
  await agent.get('/');
  await new Promise((resolve) => setImmediate(resolve));
  signIn(agent, { sub: 'ada' });
  await agent.get('/').expect(200);
  await Promise.all([sessions.close(), issuer.close()]);
});

test('an agent signs in on a device, at an address', async () => {
  const issuer = await createTestIssuer({ algorithms: ['HS256'], issuer: 'my-app' });
  const other = await createTestIssuer({ algorithms: ['HS256'], issuer: 'other' });
  const sessions = managedSessions({ issuer: { issuer: 'my-app', secret: issuer.secret ?? '' } });
  const app = express()
    .set('trust proxy', 'loopback')
    .get('/', sessions, (_req, res) => void res.sendStatus(200));
  const agent = request.agent(app);
  const listed = async (): Promise<unknown[]> => {
    await agent.get('/').expect(200);
    const { sessions: list } = await sessions.list('ada');
    return list.map(({ client, ip }) => [client.name, client.os, client.device, ip]);
  };

  signIn(agent, { sub: 'ada' }, { device: 'iPhone', ip: '203.0.113.7', issuer });
  expect(await listed()).toEqual([['Safari', 'iOS', 'iPhone', '203.0.113.7']]);
  signIn(agent, { sub: 'ada' }, { device: 'Firefox on Windows', ip: '198.51.100.4', issuer });
  expect(await listed()).toContainEqual(['Firefox', 'Windows', null, '198.51.100.4']);
  signIn(agent, { sub: 'ada' }, { device: 'Acme/3.1 (iPad; iPadOS 18.1)', issuer });
  expect(await listed()).toHaveLength(3);
  // By default, the issuer that was created last.
  signIn(agent, { sub: 'ada' });
  await agent.get('/').expect(401);
  await Promise.all([sessions.close(), issuer.close(), other.close()]);
});

test.each(Object.entries(DEVICES))('%s is shown as that', (device, userAgent) => {
  const { name, os, device: model } = describeClient(userAgent);
  const [browser, system] = device.split(' on ');
  const isNamed = [name, os, model].join(' ').includes(system ?? device.replace(/ .*/, ''));
  expect([device, isNamed]).toEqual([device, true]);
  if (system !== undefined) expect(name).toBe(browser);
});

test.each([
  [
    { device: 'Chrome on Window' },
    'device must be a user agent, or the name of a device: did you mean Chrome on Windows?',
  ],
  [{ device: 7 }, 'device must be a string, got a number'],
  [{ issuer: 'my-app' }, 'issuer must be an issuer of createTestIssuer(), got a string'],
  [{ devise: 'iPhone' }, 'signIn() has no option "devise": did you mean device?'],
])('signIn() says what is wrong with %j', async (options, message) => {
  const issuer = await createTestIssuer({ algorithms: ['HS256'] });
  const agent = { set: () => undefined };
  expect(() => Reflect.apply(signIn, null, [agent, {}, options])).toThrow(message);
  await issuer.close();
});

test('signIn() says what is missing where no issuer was created', async () => {
  jest.resetModules();
  const kit = await import('../../lib/testing/index.js');
  expect(() => kit.signIn({ set: () => undefined })).toThrow('createTestIssuer');
});

test('a clock stands still until it is moved', () => {
  const clock = createTestClock(new Date('2026-03-01T09:00:00Z'));
  expect(new Date(clock.now()).toISOString()).toBe('2026-03-01T09:00:00.000Z');
  clock.advance('15m');
  clock.advance(1);
  expect(new Date(clock.now()).toISOString()).toBe('2026-03-01T09:15:00.001Z');
  clock.set(0);
  expect(clock.now()).toBe(0);
  // What has elapsed never goes back.
  const before = clock.elapsed();
  clock.advance('1h');
  clock.set(0);
  expect(clock.elapsed()).toBeGreaterThanOrEqual(before + 3_600_000);
  expect(() => clock.advance('soon' as never)).toThrow(/^duration must be/);
});
