/** Known and unknown clients, and sessions that move, in two processes on one real Redis. */

import type { SessionMoved, SessionStarted } from '../../lib/index.js';
import { ManualClock } from '../support/issuer.js';
import { startRedis, type TestRedis } from '../support/redis.js';
import { alone, ask, DAY, HASTY, MINUTE, Processes, tokenOf, untilLive, type Options } from './logins.js';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0';
const LATER_FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
const FIREFOX_ON_WINDOWS = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0';
const SAFARI =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1';

let redis: TestRedis;
let at: Processes;
let started: SessionStarted[];
let moved: SessionMoved[];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.cli('flushall');
  start();
});
afterEach(async () => {
  await at.close();
});

function start(options: Options = {}): void {
  at = new Processes(redis.url, { activityInterval: '60s', ...options });
  [started, moved] = [[], []];
  for (const sessions of at.each) {
    sessions.on('sessionStarted', (event) => started.push(event));
    sessions.on('sessionMoved', (event) => moved.push(event));
  }
}

interface Device {
  readonly userAgent: string | null;
  readonly ip?: string | null;
}

let sid = 0;

/** Whether a new session of this user on this device is one of a known client. */
async function signIn(device: Device, sub = 'ann', process = at.here): Promise<boolean | undefined> {
  sid += 1;
  await process.verify(tokenOf(at.clock, { sub, sid: `s${String(sid)}` }), { ip: '203.0.113.7', ...device });
  return started.at(-1)?.knownClient;
}

describe('knownClient', () => {
  it('is what the user was seen with before, in whatever process', async () => {
    expect(await signIn({ userAgent: FIREFOX })).toBe(false);
    expect(await signIn({ userAgent: FIREFOX }, 'ann', at.there)).toBe(true);
    expect(await signIn({ userAgent: SAFARI }, 'ann', at.there)).toBe(false);
    expect(await signIn({ userAgent: SAFARI })).toBe(true);
  });

  it.each<[string, Device, boolean]>([
    ['another version', { userAgent: LATER_FIREFOX }, true],
    ['another address', { userAgent: FIREFOX, ip: '198.51.100.9' }, true],
    ['another system at the same address', { userAgent: FIREFOX_ON_WINDOWS }, false],
    ['no user agent at the same address', { userAgent: null }, false],
    ['an empty user agent', { userAgent: '' }, false],
    ['rubbish', { userAgent: '__proto__\u0000\ud800' }, false],
  ])('after Firefox on Linux, %s', async (_name, device, expected) => {
    await signIn({ userAgent: FIREFOX });
    expect(await signIn(device)).toBe(expected);
  });

  it('is never said where a client tells nothing of itself', async () => {
    expect([await signIn({ userAgent: null }), await signIn({ userAgent: null })]).toEqual([false, false]);
  });

  it.each<[string, string | null]>([
    ['a program', 'node'],
    ['another browser', SAFARI],
    ['something without a name', null],
  ])('is also what took the place of %s within a session', async (_name, first) => {
    const token = tokenOf(at.clock, { exp: at.clock.now() / 1000 + 86_400 });
    for (const userAgent of [first, FIREFOX, 'curl/8.9.1', FIREFOX]) {
      await at.here.verify(token, { ip: '203.0.113.7', userAgent });
      await at.here.list('ann');
      at.clock.advance(120_000);
    }
    expect(await signIn({ userAgent: LATER_FIREFOX })).toBe(true);
    // A program that came later is not noted.
    expect(await signIn({ userAgent: 'curl/8.9.1' })).toBe(false);
  });

  it('is also a program that began a session', async () => {
    expect(await signIn({ userAgent: 'curl/8.9.1' })).toBe(false);
    expect(await signIn({ userAgent: 'curl/8.9.1' })).toBe(true);
  });

  it('is per user', async () => {
    await signIn({ userAgent: FIREFOX });
    expect(await signIn({ userAgent: FIREFOX }, 'ben')).toBe(false);
  });

  it('is forgotten a year after the last use', async () => {
    await signIn({ userAgent: FIREFOX });
    at.clock.advance(364 * DAY);
    expect(await signIn({ userAgent: FIREFOX })).toBe(true);
    at.clock.advance(367 * DAY);
    expect(await signIn({ userAgent: FIREFOX })).toBe(false);
  });

  it('is said of one of two first sights at the same time', async () => {
    await Promise.all([
      at.here.verify(tokenOf(at.clock, { sid: 'x' }), { userAgent: FIREFOX }),
      at.there.verify(tokenOf(at.clock, { sid: 'y' }), { userAgent: FIREFOX }),
    ]);
    expect(started.map(({ knownClient }) => knownClient).sort()).toEqual([false, true]);
  });

  it('is as it was after an outage: what was not recorded is not noted', async () => {
    await at.close();
    start(HASTY);
    const token = tokenOf(at.clock, { sid: 'new' });
    await untilLive(at.here, tokenOf(at.clock, { sid: 'other' }));
    redis.pause();
    const refused = await ask(at.here, token);
    redis.resume();
    expect(refused).toBe('store_unavailable');
    await untilLive(at.here, token);
    expect(started.filter(({ knownClient }) => knownClient)).toEqual([]);
  });
});

test('sessionStarted names the app and the actor, and a later token of the session changes what is on record', async () => {
  const claims = { exp: at.clock.now() / 1000 + 86_400 };
  const client = { ip: '203.0.113.7', userAgent: FIREFOX };
  const first = tokenOf(at.clock, { ...claims, client_id: 'Acme CLI' });
  const { session } = await at.here.verify(first, client);
  expect(started).toMatchObject([{ app: 'Acme CLI', actor: null }]);

  const second = tokenOf(at.clock, { ...claims, client_id: 'Acme CLI', act: { sub: 'assistant' } });
  at.clock.advance(2 * MINUTE);
  await at.here.verify(second, client);
  await at.here.list('ann');
  const shown = { app: 'Acme CLI', actor: 'assistant' };
  expect(await at.there.get('ann', session.handle)).toMatchObject(shown);
  expect((await at.there.list('ann')).sessions).toMatchObject([shown]);
  expect(started).toHaveLength(1);
  expect(moved).toEqual([]);
});

describe('sessionMoved', () => {
  it('is told at most once per activity interval, however often the address changes', async () => {
    const token = tokenOf(at.clock, { exp: at.clock.now() / 1000 + 86_400 });
    const { session } = await at.here.verify(token, { ip: '203.0.113.1', userAgent: FIREFOX });
    for (let change = 2; change < 50; change += 1) {
      await at.here.verify(token, { ip: `203.0.113.${String(change)}`, userAgent: FIREFOX });
    }
    await at.here.list('ann');
    expect(moved).toEqual([]);

    for (let interval = 1; interval <= 3; interval += 1) {
      at.clock.advance(2 * MINUTE);
      for (let change = 1; change < 50; change += 1) {
        await at.here.verify(token, { ip: `198.51.${String(interval)}.${String(change)}`, userAgent: FIREFOX });
      }
      await at.here.list('ann');
      expect(moved).toHaveLength(interval);
    }
    expect(moved[0]).toMatchObject({
      handle: session.handle,
      from: { ip: '203.0.113.1', userAgent: FIREFOX },
      to: { ip: '198.51.1.1', userAgent: FIREFOX },
    });
  });
});

test('listeners that throw, reject or hang harm no request', async () => {
  const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const clock = new ManualClock();
  const sessions = alone(clock);
  sessions.on('sessionStarted', () => {
    throw new Error('listener');
  });
  sessions.on('sessionStarted', () => Promise.reject(new Error('listener')));
  sessions.on('sessionStarted', () => new Promise(() => undefined));
  const heard: SessionStarted[] = [];
  sessions.on('sessionStarted', (event) => heard.push(event));
  expect(await ask(sessions, tokenOf(clock))).toBe('live');
  expect(heard).toHaveLength(1);
  await sessions.close();
  expect(warned).toHaveBeenCalledTimes(2);
  warned.mockRestore();
});
