/** Step-up with a real provider: refused, sent there with `max_age`, signed in again, let in. */

import express from 'express';
import supertest from 'supertest';
import { managedSessions, oidc, type LoginError, type ManagedSessions } from '../../lib/index.js';
import { startOidcProvider, type OidcProvider } from '../support/provider.js';

const API = 'https://api.example.com/orders';
const MINUTE = 60_000;

let provider: OidcProvider;
let sessions: ManagedSessions;

beforeAll(async () => {
  provider = await startOidcProvider();
});

afterAll(async () => {
  await sessions.close();
  await provider.close();
});

test('the provider is asked for what the route asks for, and the loop closes', async () => {
  let now = Date.now();
  sessions = managedSessions({
    issuer: oidc({ issuer: provider.issuer, audience: API }),
    clock: { now: () => now },
    loginUrl: (_req, error?: LoginError) => `/sign-in?max_age=${String(error?.maxAge)}`,
  });
  const app = express();
  app.get('/', sessions, (_req, res) => void res.send('in'));
  app.get('/pay', sessions.required({ maxAge: '10m' }), (_req, res) => void res.send('paid'));
  app.use('/account/sessions', sessions.router({ maxAge: '10m' }));
  const agent = supertest(app);
  const login = await provider.signIn('ann', API);
  const bearer = (): { Authorization: string } => ({ Authorization: `Bearer ${login.accessToken}` });
  await agent.get('/pay').set(bearer()).expect(200, 'paid');

  now += 11 * MINUTE;
  await provider.setTime(now);
  // A token that is new, of a sign-in that is not.
  await login.refresh();
  await agent.get('/').set(bearer()).expect(200, 'in');
  const refused = await agent.get('/pay').set(bearer()).expect(401);
  expect(refused.headers['www-authenticate']).toMatch(/error="insufficient_user_authentication".*, max_age="600"$/);
  await agent.delete('/account/sessions/others').set(bearer()).expect(401);

  // Sent to the provider without a reason, the user comes back as before.
  expect(await login.again({})).toBe(false);
  await agent.get('/pay').set(bearer()).expect(401);

  const sent = await agent.get('/pay').set(bearer()).set('Accept', 'text/html').expect(303);
  const { searchParams } = new URL(sent.headers['location'] ?? '', 'https://shop.example.com');
  expect(await login.again(Object.fromEntries(searchParams))).toBe(true);
  await agent.get('/pay').set(bearer()).expect(200, 'paid');
  await agent.delete('/account/sessions/others').set(bearer()).expect(200);
});
