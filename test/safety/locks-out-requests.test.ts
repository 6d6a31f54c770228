/** Heading 3, requests: what must not lock the right people out. A row is what a client sends, and the answer. */

import supertest from 'supertest';
import type { ManagedSessions } from '../../lib/index.js';
import { ISSUER, sameOrigin, SECRET, START, tokenOf } from '../http/site.js';
import { describeEachFramework } from '../support/frameworks.js';
import { ALICE, EVIL, EXPIRED, MALLORY, outcome, shop, type Headers, type Options } from './cookies.js';

let sessions: ManagedSessions;
afterEach(() => sessions.close());

const REFRESHED = tokenOf('alice-1', { sub: 'alice', exp: START / 1000 + 7200 });
const ENDED = tokenOf('alice-2', { sub: 'alice' });
const FORGED = `${ALICE.slice(0, -4)}AAAA`;
/** Of an issuer that cannot be asked about now. */
const UNTOLD = tokenOf('x', { iss: 'https://away.example/' });
const LONG = tokenOf('alice-1', { sub: 'alice', groups: Array.from({ length: 600 }, (_, index) => `group-${index}`) });

const cookies = (...values: readonly string[]): Headers => ({
  ...sameOrigin,
  Cookie: values.map((value) => `login_token=${value}`).join('; '),
});
const tenants: Options = {
  issuer: (iss) =>
    iss === ISSUER
      ? { issuer: ISSUER, audience: 'shop', secret: SECRET, clockTolerance: 0 }
      : Promise.reject(new Error('the table of tenants is away')),
};

describeEachFramework((_framework, makeApp) => {
  test.each<[string, Headers, string, Options?]>([
    ['an expired cookie, then the good one', cookies(EXPIRED, ALICE), 'alice'],
    ['the good one, then an expired one', cookies(ALICE, EXPIRED), 'alice'],
    ['an empty one, then the good one', cookies('', ALICE), 'alice'],
    ['rubbish, then the good one', cookies('rubbish', ALICE), 'alice'],
    ['a forged one, then the good one', cookies(FORGED, ALICE), 'alice'],
    ['one of a session that has ended, then the good one', cookies(ENDED, ALICE), 'alice'],
    ['two of the same session', cookies(ALICE, REFRESHED), 'alice'],
    ['three planted ones that are not good', cookies('a', FORGED, EXPIRED, ALICE), 'alice'],
    ['a quoted cookie', cookies(`"${ALICE}"`), 'alice'],
    ['only a session that has ended', cookies('rubbish', ENDED), 'session_revoked'],
    ['nothing that is good: the best reason', cookies('rubbish', EXPIRED), 'token_expired'],
    ['two empty ones', cookies('', '""'), 'no_token'],
    // Whoever cannot tell says so, and nobody is signed out.
    ['one that cannot be checked now', cookies(UNTOLD, ALICE), 'keys_unavailable', tenants],
    ['two sessions, whatever cannot be checked', cookies(ALICE, MALLORY, UNTOLD), 'token_malformed', tenants],
    [
      'a header of another name',
      { 'X-Auth-Token': ALICE, Origin: EVIL },
      'alice',
      { from: { header: 'X-Auth-Token' } },
    ],
    [
      'a scheme of another name',
      { Authorization: `JWT ${ALICE}`, Origin: EVIL },
      'alice',
      { from: { header: 'authorization', scheme: 'JWT' } },
    ],
    ['a long token', { Authorization: `Bearer ${LONG}` }, 'token_too_large'],
    ['a long token, by the option', { Authorization: `Bearer ${LONG}` }, 'alice', { maxTokenLength: 16_384 }],
  ])('%s', async (_what, sent, answer, options = {}) => {
    sessions = shop(options);
    const { session } = await sessions.verify(ENDED);
    await sessions.revoke({ issuer: ISSUER, subject: 'alice' }, session.handle);
    expect(await outcome(makeApp(), sessions, sent)).toBe(answer);
  });

  const cookie = { Cookie: `login_token=${ALICE}` };
  const api = { Host: 'api.example.com', Origin: 'https://app.example.com', 'Sec-Fetch-Site': 'same-site' };
  const dev = { Host: 'localhost:3000', Origin: 'http://localhost:5173', 'Sec-Fetch-Site': 'same-site' };
  const app = { Host: 'api.example.com', Origin: 'capacitor://localhost' };
  const token = { 'X-Auth-Token': ALICE, Host: 'api.example.com', Origin: EVIL, 'Sec-Fetch-Site': 'cross-site' };
  const older = { Host: 'api.example.com', Origin: 'https://app.example.com' };

  test.each<[string, Headers, number, Options?]>([
    ['a page of another subdomain', { ...cookie, ...api }, 204, { origins: [api.Origin] }],
    ['such a page in a browser that tells only Origin', { ...cookie, ...older }, 204, { origins: [older.Origin] }],
    ['such a page that is not named', { ...cookie, ...api }, 403],
    ['a page of the development server', { ...cookie, ...dev }, 204, { origins: [dev.Origin] }],
    ['a native app with its own cookie jar', cookie, 204],
    ['a native app that tells its own origin', { ...cookie, ...app }, 204, { origins: [app.Origin] }],
    ['a script with a header of another name', token, 204, { from: { header: 'x-auth-token' } }],
    [
      'a script with a scheme of another name',
      { ...api, Authorization: `JWT ${ALICE}` },
      204,
      { from: { header: 'authorization', scheme: 'JWT' } },
    ],
  ])('ends its own session and logs out: %s', async (_what, sent, status, options = {}) => {
    sessions = shop(options);
    const site = makeApp();
    site.mount('/account/sessions', sessions.router());
    site.mount('/logout', sessions.logout());
    const agent = supertest(site.listener);
    const { handle } = (await sessions.verify(ALICE)).session;
    const named = await agent.patch(`/account/sessions/${handle}`).set(sent).send({ label: 'Mine' });
    expect(named.status).toBe(status === 204 ? 200 : status);
    await agent.delete('/account/sessions/current').set(sent).expect(status);
    await agent.post('/logout').set(sent).expect(status);
  });
});
