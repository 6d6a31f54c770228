/** Lifetimes, idle sessions, the cap and endings in bulk, in two processes on one real Redis. */

import { startRedis, eventually, type TestRedis } from '../support/redis.js';
import { ask, DAY, HASTY, HOUR, MINUTE, Processes, textOf, tokenOf, untilLive, type Options } from './logins.js';

let redis: TestRedis;
let at: Processes;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
});
beforeEach(async () => {
  await redis.cli('flushall');
});
afterEach(async () => {
  await at.close();
});

function start(options?: Options): Processes {
  at = new Processes(redis.url, options);
  return at;
}

const answers = (token: string): Promise<string[]> => Promise.all(at.each.map((sessions) => ask(sessions, token)));

describe('an absolute lifetime', () => {
  it.each<[string, NonNullable<Options['lifetime']>, Record<string, unknown>, number]>([
    ['24h', '24h', {}, DAY],
    ['1y', '1y', {}, 365.25 * DAY],
    ['by a plan', (claims) => (textOf(claims, 'plan') === 'free' ? '1h' : '30d'), { plan: 'free' }, HOUR],
    ['by another plan', (claims) => (textOf(claims, 'plan') === 'free' ? '1h' : '30d'), { plan: 'paid' }, 30 * DAY],
    ['by "remember me"', (claims) => (claims['remember'] === true ? '90d' : '12h'), { remember: true }, 90 * DAY],
  ])('%s is shown, and kept in every process', async (_name, lifetime, claims, expected) => {
    const { clock, here, there } = start({ lifetime });
    const token = tokenOf(clock, { ...claims, exp: null });
    const startedAt = clock.now();
    const shown = await Promise.all([here, there].map((sessions) => sessions.verify(token)));
    expect(shown.map(({ session }) => session.expiresAt.getTime())).toEqual([
      startedAt + expected,
      startedAt + expected,
    ]);

    clock.at = startedAt + expected - 1;
    expect(await answers(token)).toEqual(['live', 'live']);
    clock.at = startedAt + expected;
    expect(await answers(token)).toEqual(['session_expired', 'session_expired']);
  });

  it('is not extended by refreshed tokens, which extend the session up to it', async () => {
    const { clock, here } = start({ lifetime: '3h' });
    const startedAt = clock.now();
    await here.verify(tokenOf(clock));
    for (let hour = 1; hour < 6; hour += 1) {
      clock.at = startedAt + hour * 0.5 * HOUR;
      const { session } = await here.verify(tokenOf(clock));
      expect(session.startedAt.getTime()).toBe(startedAt);
      expect(session.expiresAt.getTime()).toBe(startedAt + 3 * HOUR);
    }
    // Behind the last use, which is written in the background.
    await here.list('ann');
    clock.at = startedAt + 3 * HOUR;
    expect(await answers(tokenOf(clock))).toEqual(['session_expired', 'session_expired']);
  });

  it('is left out: a refreshed token with a later exp extends the session', async () => {
    const { clock, here, there } = start();
    const startedAt = clock.now();
    await here.verify(tokenOf(clock));
    clock.advance(30 * MINUTE);
    const { session } = await there.verify(tokenOf(clock));
    expect(session.startedAt.getTime()).toBe(startedAt);
    expect(session.expiresAt.getTime()).toBe(startedAt + 90 * MINUTE);
  });

  it.each<[string, unknown]>([
    ['NaN', NaN],
    ['a negative duration', '-1h'],
    ['more than a year', '2y'],
    ['an object', {}],
    ['a text that is none', '__proto__'],
    ['Infinity', Infinity],
  ])('%s, from its function, is an error of the application', async (_name, value) => {
    const { clock, here } = start({ lifetime: () => value as '1h' });
    await expect(here.verify(tokenOf(clock))).rejects.toThrow(TypeError);
  });
});

describe('an idle timeout', () => {
  it('ends a session for good, in every process', async () => {
    const { clock } = start({ idleTimeout: '30m' });
    const token = tokenOf(clock, { exp: Math.floor((clock.now() + DAY) / 1000) });
    expect(await answers(token)).toEqual(['live', 'live']);
    clock.advance(30 * MINUTE);
    expect(await answers(token)).toEqual(['session_idle', 'session_idle']);
    // Neither the next request nor a refreshed token brings it back.
    expect(await answers(token)).toEqual(['session_idle', 'session_idle']);
    expect(await answers(tokenOf(clock))).toEqual(['session_idle', 'session_idle']);
  });

  it('knows of use in another process', async () => {
    const { clock, here, there } = start({ idleTimeout: '30m' });
    const token = tokenOf(clock, { exp: Math.floor((clock.now() + DAY) / 1000) });
    await ask(here, token);
    for (let step = 0; step < 4; step += 1) {
      clock.advance(20 * MINUTE);
      expect(await ask(there, token)).toBe('live');
      await eventually('the use was written', async () => {
        const { session } = await there.verify(token);
        const { lastSeenAt } = await here.get('ann', session.handle);
        return lastSeenAt === new Date(clock.now()).toISOString();
      });
    }
    expect(await ask(here, token)).toBe('live');
  });
});

describe('the cap', () => {
  const sids = Array.from({ length: 100 }, (_, index) => `s${String(index)}`);

  it('ends the oldest of a hundred concurrent first sights in two processes, never one that asks', async () => {
    const { clock, here, there, endedHere, endedThere } = start({ maxSessionsPerUser: 10 });
    const outcomes = await Promise.all(
      sids.map((sid, index) => ask(index % 2 === 0 ? here : there, tokenOf(clock, { sid }))),
    );
    expect(outcomes.filter((outcome) => outcome !== 'live' && outcome !== 'session_revoked')).toEqual([]);
    expect((await here.list('ann', { limit: 200 })).sessions).toHaveLength(10);

    clock.advance(1000);
    // Whoever signs in now is let in, whatever ends for it.
    expect(await ask(here, tokenOf(clock, { sid: 'newest' }))).toBe('live');
    const { sessions } = await there.list('ann', { limit: 200 });
    expect(sessions).toHaveLength(10);
    expect(sessions[0]?.lastSeenAt).toBe(new Date(clock.now()).toISOString());

    await eventually('both were told of 91 endings', () =>
      Promise.resolve(endedHere.length === 91 && endedThere.length === 91),
    );
    expect(new Set(endedHere.map(({ reason }) => reason))).toEqual(new Set(['session_limit']));
    const actors = endedHere.map(({ handle, here: acted }) => {
      const other = endedThere.find((event) => event.handle === handle);
      return [acted, other?.here].filter(Boolean).length;
    });
    expect(new Set(actors)).toEqual(new Set([1]));
  });

  it('refuses all but so many of a hundred, and lets in once there is room', async () => {
    const { clock, here, there } = start({ maxSessionsPerUser: 10, atSessionLimit: 'refuse' });
    const outcomes = await Promise.all(
      sids.map((sid, index) => ask(index % 2 === 0 ? here : there, tokenOf(clock, { sid }))),
    );
    expect(outcomes.filter((outcome) => outcome === 'live')).toHaveLength(10);
    expect(outcomes.filter((outcome) => outcome === 'session_limit')).toHaveLength(90);

    const [first] = (await here.list('ann')).sessions;
    await here.revoke('ann', first?.handle ?? '');
    expect(await ask(there, tokenOf(clock, { sid: 'next' }))).toBe('live');
    expect(await ask(there, tokenOf(clock, { sid: 'after' }))).toBe('session_limit');
  });

  it('is per user', async () => {
    const { clock, here } = start({ maxSessionsPerUser: 1, atSessionLimit: 'refuse' });
    for (const sub of ['ann', 'ben', 'cleo']) expect(await ask(here, tokenOf(clock, { sub }))).toBe('live');
  });
});

describe('ending in bulk', () => {
  it.each(['password_changed', 'factor_changed', 'account_disabled', 'administrator', 'as the board asked, §4'])(
    'with the reason %s, by somebody',
    async (reason) => {
      const { clock, here, there, endedHere, endedThere } = start();
      const expiresAt = new Date(clock.now() + HOUR);
      const [kept, gone] = [tokenOf(clock, { sid: 'kept' }), tokenOf(clock, { sid: 'gone' })];
      expect(await answers(gone)).toEqual(['live', 'live']);
      const { session } = await here.verify(kept);
      expect(await here.revokeAll('ann', { except: session.handle, reason, by: 'operator 7' })).toEqual({ ended: 1 });

      await eventually('both were told', () => Promise.resolve(endedHere.length === 1 && endedThere.length === 1));
      expect(endedHere).toEqual([expect.objectContaining({ reason, by: 'operator 7', here: true, expiresAt })]);
      expect(endedThere).toEqual([expect.objectContaining({ reason, by: 'operator 7', here: false, expiresAt })]);
      expect(await answers(gone)).toEqual(['session_revoked', 'session_revoked']);
      expect(await ask(there, kept)).toBe('live');
    },
  );

  it('reaches what was never seen here, and no login after it', async () => {
    const { clock, here, there } = start();
    const unseen = tokenOf(clock, { sid: 'unseen', iat: Math.floor(clock.now() / 1000) - 60 });
    await here.revokeAll('ann');
    expect(await ask(there, unseen)).toBe('session_revoked');
    clock.advance(2000);
    expect(await ask(there, tokenOf(clock, { sid: 'next', iat: Math.floor(clock.now() / 1000) }))).toBe('live');
  });

  it.each<[string, unknown, object]>([
    ['an empty subject', '', {}],
    ['no subject', undefined, {}],
    ['another issuer', { issuer: 'https://other.example.com/', subject: 'ann' }, {}],
    ['a handle that is none', 'ann', { except: '__proto__' }],
    ['a reason that is no text', 'ann', { reason: 7 }],
    ['an actor that is no text', 'ann', { by: {} }],
  ])('%s is refused, and nothing ends', async (_name, user, options) => {
    const { clock, here } = start();
    const token = tokenOf(clock);
    await here.verify(token);
    await expect(here.revokeAll(user as string, options)).rejects.toThrow();
    expect(await answers(token)).toEqual(['live', 'live']);
  });
});

describe('while Redis is away', () => {
  it('nothing ends, starts or counts, and everything goes on after', async () => {
    const { clock, here, there } = start({ ...HASTY, maxSessionsPerUser: 1 });
    const token = tokenOf(clock);
    for (const sessions of [here, there]) await untilLive(sessions, token);
    redis.pause();
    try {
      await expect(here.revokeAll('ann', { reason: 'password_changed' })).rejects.toMatchObject({
        code: 'store_unavailable',
        status: 503,
      });
      expect(await ask(there, tokenOf(clock, { sid: 's2' }))).toBe('store_unavailable');
    } finally {
      redis.resume();
    }
    await eventually('revokeAll is repeated', () => here.revokeAll('ann').then(Boolean, () => false));
    expect(await ask(here, token)).toBe('session_revoked');
    await eventually('the other knows', async () => (await ask(there, token)) === 'session_revoked');
  });
});
