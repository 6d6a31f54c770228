/** The kit as a user's own supertest suite uses it. */

import express from 'express';
import request from 'supertest';
import { managedSessions } from '../../lib/index.js';
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
  expect(() => clock.advance('soon' as never)).toThrow(/^duration must be/);
});
