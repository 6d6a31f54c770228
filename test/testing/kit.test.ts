/** The kit as a user's own supertest suite uses it. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import express from 'express';
import request from 'supertest';
import { describeClient } from '../../lib/http/user-agent.js';
import { managedSessions } from '../../lib/index.js';
import { DEVICES } from '../../lib/testing/devices.js';
import { createTestClock, createTestIssuer, describeSessionStore, signIn } from '../../lib/testing/index.js';

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
  // By default, the issuer that was created last, and of those only one that is open.
  signIn(agent, { sub: 'ada' });
  await agent.get('/').expect(401);
  await other.close();
  signIn(agent, { sub: 'ada' });
  await agent.get('/').expect(200);
  await Promise.all([sessions.close(), issuer.close()]);
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
  [{ ip: 'localhost' }, "ip must be an IP address such as '203.0.113.7', got a string"],
  [{ ip: '203.0.113.7\r\nX-Admin: 1' }, "ip must be an IP address such as '203.0.113.7', got a string"],
])('signIn() says what is wrong with %j', async (options, message) => {
  const issuer = await createTestIssuer({ algorithms: ['HS256'] });
  const agent = { set: () => undefined };
  expect(() => Reflect.apply(signIn, null, [agent, {}, options])).toThrow(message);
  await issuer.close();
});

test.each([null, undefined, 'agent', {}, { set: true }])('signIn() says what an agent is: %j is none', (agent) => {
  expect(() => Reflect.apply(signIn, null, [agent])).toThrow(
    new RegExp(`^signIn\\(\\): agent must be an agent such as request.agent\\(app\\) of supertest, got `),
  );
});

test.each([null, 'ada', 7, ['ada'], new Map([['sub', 'ada']])])(
  'claims are an object, which %p is not',
  async (claims) => {
    const issuer = await createTestIssuer({ algorithms: ['HS256'] });
    const message = /claims must be an object such as { sub: 'ada' }, got /;
    expect(() => Reflect.apply(issuer.issue, null, [claims])).toThrow(message);
    expect(() => Reflect.apply(issuer.refresh, null, [issuer.issue(), claims])).toThrow(message);
    expect(() => Reflect.apply(signIn, null, [{ set: () => undefined }, claims])).toThrow(message);
    await issuer.close();
  },
);

test('signIn() says what is missing where no issuer is open', async () => {
  const agent = { set: () => undefined };
  const message = 'No issuer is open: await createTestIssuer() first';
  expect(() => signIn(agent)).toThrow(message);
  const issuer = await createTestIssuer({ algorithms: ['HS256'] });
  expect(signIn(agent)).toContain('.');
  await issuer.close();
  expect(() => signIn(agent)).toThrow(message);
});

test('an issuer may be closed twice', async () => {
  const issuer = await createTestIssuer({ algorithms: ['HS256'] });
  await Promise.all([issuer.close(), issuer.close()]);
  await issuer.close();
});

test.each([
  [['my store', undefined], 'describeSessionStore(): make must be a function that promises { store }, got undefined'],
  [[() => undefined], 'describeSessionStore(): name must be a string, got a function'],
])('describeSessionStore() says what is wrong with its arguments', (args, message) => {
  expect(() => Reflect.apply(describeSessionStore, null, args)).toThrow(new TypeError(message));
});

describe('on the built package, in a process of its own', () => {
  const KIT = join(__dirname, '../../dist/esm/testing/index.js');
  const PACKAGE = join(__dirname, '../../dist/esm/index.js');

  async function run(program: string, env: NodeJS.ProcessEnv = {}): Promise<{ stdout: string; stderr: string }> {
    const { NODE_OPTIONS: _, ...rest } = process.env;
    const args = ['--input-type=module', '-e', program];
    return promisify(execFile)(process.execPath, args, { env: { ...rest, ...env } });
  }

  test('what was not closed does not keep the process alive, nor does a connection to the key set', async () => {
    const { stdout } = await run(`
      import { createTestIssuer, createTestStore } from ${JSON.stringify(KIT)};
      import { managedSessions } from ${JSON.stringify(PACKAGE)};
      const { issuer, jwksUri, issue } = await createTestIssuer();
      const sessions = managedSessions({ issuer: { issuer, jwksUri }, store: createTestStore() });
      await sessions.verify(issue());
      const held = () => process.getActiveResourcesInfo().filter((name) => /^TCP|Timeout/.test(name));
      // fetch() lets go of its side of the connection a few turns after the answer.
      for (let turn = 0; turn < 1000 && held().length > 0; turn += 1) await new Promise(setImmediate);
      console.log(JSON.stringify(held()));
    `);
    expect(JSON.parse(stdout)).toEqual([]);
  });

  test.each(['createTestIssuer', 'createTestStore', 'createTestClock'])('%s() warns in production', async (name) => {
    const program = `
      import * as kit from ${JSON.stringify(KIT)};
      const made = await kit.${name}();
      await kit.${name}().close?.();
      await made.close?.();
    `;
    const { stderr } = await run(program, { NODE_ENV: 'production' });
    expect(stderr.match(/MANAGED_SESSIONS_TEST_KIT\].*/g)).toEqual([
      `MANAGED_SESSIONS_TEST_KIT] ManagedSessionsWarning: ${name}() was called with NODE_ENV=production: managed-sessions/testing is for tests only.`,
    ]);
    expect((await run(program, { NODE_ENV: 'test' })).stderr).toBe('');
  });

  test('describeSessionStore() says which runners it is for', async () => {
    const program = `
      import { describeSessionStore } from ${JSON.stringify(KIT)};
      describeSessionStore('my store', async () => ({}));
    `;
    await expect(run(program)).rejects.toThrow(
      'describeSessionStore() needs a test runner in which describe, it, beforeEach',
    );
  });
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
  expect(() => clock.advance('soon' as never)).toThrow(/^advance\(\): duration must be/);
});
