/** Three processes behind proxies that hold replies back: exactly one says `here: true`, the one whose store wrote it. */

import jwt from 'jsonwebtoken';
import { sessionUser } from '../../lib/core/session.js';
import { startApp, type AppProcess } from '../support/app-processes.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';

const SECRET = 'a secret for tests, 32 bytes long';
const ISSUER = 'https://id.example.com/';
const OPTIONS = {
  issuer: { issuer: ISSUER, secret: SECRET },
  revocationBound: 4000,
  storeTimeout: 1500,
  activityInterval: 500,
};

let redis: TestRedis;
let proxies: TcpProxy[];
let apps: AppProcess[];

beforeAll(async () => {
  redis = await startRedis();
  proxies = await Promise.all([1, 2, 3].map(() => startProxy(redis)));
  apps = await Promise.all(proxies.map(({ port }) => startApp(`redis://127.0.0.1:${String(port)}`, OPTIONS)));
});
afterEach(async () => {
  await Promise.all(proxies.map((proxy) => proxy.heal()));
});
afterAll(async () => {
  await Promise.all(apps.map((app) => app.stop()));
  await Promise.all(proxies.map((proxy) => proxy.close()));
  await redis.stop();
});

type Act = (app: AppProcess, subject: string, handle: string) => Promise<unknown>;
const ENDINGS: readonly [string, Act][] = [
  ['revoke', (app, subject, handle) => app.call('revoke', subject, handle)],
  ['revokeAll', (app, subject) => app.call('revokeAll', subject)],
];

const tokenOf = (subject: string): string =>
  jwt.sign({ sub: subject, sid: 's' }, SECRET, { issuer: ISSUER, expiresIn: '1h' });

/** Repeats a call that a busy machine may have kept from its answer. */
async function untilDone<T>(call: () => Promise<T>): Promise<T> {
  let done: { readonly value: T } | undefined;
  await eventually('it is done', async () => {
    done = await call().then(
      (value) => ({ value }),
      () => undefined,
    );
    return done !== undefined;
  });
  return done!.value;
}

/** Every process has the session in use. */
async function inUse(subject: string): Promise<string> {
  const [handle] = await Promise.all(apps.map((app) => untilDone(() => app.call('watch', tokenOf(subject)))));
  return String(handle);
}

/** The session has a tombstone. Nobody needs to have been told of it. */
async function untilBuried(subject: string, handle: string): Promise<void> {
  const { key } = sessionUser(ISSUER, subject);
  await eventually('the tombstone is written', async () => {
    return String(await redis.cli('hget', `ms:{${key}}:s`, handle)).startsWith('t');
  });
}

async function untilRefused(app: AppProcess, subject: string): Promise<void> {
  await eventually('it is refused', async () => (await app.call('ask', tokenOf(subject))) === 401);
}

async function expectEndedBy(index: number, subject: string, handle: string): Promise<void> {
  for (const app of apps) {
    await untilRefused(app, subject);
    await app.heard((event) => event.event === 'sessionEnded' && event.handle === handle);
  }
  // Whoever would say it twice says it now.
  for (const app of apps) await untilDone(() => app.call('revoke', subject, handle));
  const told = apps.map(({ events }) =>
    events.filter(({ event, handle: of }) => event === 'sessionEnded' && of === handle).map(({ here }) => here),
  );
  expect(told).toEqual(apps.map((_, at) => [at === index]));
}

describe.each(ENDINGS)('%s', (name, end) => {
  test('in all three at once', async () => {
    const subject = `${name}-at-once`;
    const handle = await inUse(subject);
    await Promise.all(apps.map((app) => untilDone(() => end(app, subject, handle))));
    for (const app of apps) await untilRefused(app, subject);
    const acted = apps.map(({ events }) =>
      events.some(({ event, handle: of, here }) => event === 'sessionEnded' && of === handle && here === true),
    );
    await expectEndedBy(acted.indexOf(true), subject, handle);
  });

  test('whose reply is held back until the others have ended it too', async () => {
    const subject = `${name}-held-back`;
    const handle = await inUse(subject);
    proxies[0]!.blackhole('down');
    const first = end(apps[0]!, subject, handle).catch((error: unknown) => error);
    await untilBuried(subject, handle);
    await Promise.all([apps[1]!, apps[2]!].map((app) => untilDone(() => end(app, subject, handle))));
    await proxies[0]!.heal();
    await first;
    await expectEndedBy(0, subject, handle);
  });

  test('whose reply comes after it was given up', async () => {
    const subject = `${name}-late`;
    const handle = await inUse(subject);
    proxies[0]!.blackhole('down');
    await expect(end(apps[0]!, subject, handle)).rejects.toThrow('store_unavailable');
    await proxies[0]!.heal();
    await expectEndedBy(0, subject, handle);
  });

  test('whose acknowledgement is lost and that is repeated, of a session in use elsewhere only', async () => {
    const subject = `${name}-elsewhere`;
    const handle = String(await untilDone(() => apps[1]!.call('watch', tokenOf(subject))));
    proxies[0]!.blackhole('down');
    const first = end(apps[0]!, subject, handle).catch((error: unknown) => error);
    await untilBuried(subject, handle);
    proxies[0]!.cut();
    expect(await first).toBeInstanceOf(Error);
    await proxies[0]!.heal();
    await untilDone(() => end(apps[0]!, subject, handle));
    for (const app of [apps[0]!, apps[1]!]) {
      await app.heard((event) => event.event === 'sessionEnded' && event.handle === handle);
    }
    await expectEndedBy(0, subject, handle);
  });

  test.each(['and is repeated', 'and is not repeated'])('whose acknowledgement is lost %s', async (repetition) => {
    const subject = `${name}-lost-${repetition}`;
    const handle = await inUse(subject);
    proxies[0]!.blackhole('down');
    const first = end(apps[0]!, subject, handle).catch((error: unknown) => error);
    await untilBuried(subject, handle);
    proxies[0]!.cut();
    expect(await first).toBeInstanceOf(Error);
    await proxies[0]!.heal();
    if (repetition === 'and is repeated') {
      await untilDone(() => end(apps[0]!, subject, handle));
    }
    await expectEndedBy(0, subject, handle);
  });
});
