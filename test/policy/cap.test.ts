/** The session cap: options that cannot be right, sign-ins in two processes at the same moment, and an outage. */

import { managedSessions, redisStore, type ManagedSessions } from '../../lib/index.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { comeBack, keptOf, startLastingRedis, told } from './kept.js';
import { ask, HOUR, ISSUER, MINUTE, Processes, SECRET, tokenOf, type Options } from './logins.js';

const TIMES: Options = { storeTimeout: '2s', revocationBound: '3s' };

describe('an option', () => {
  test.each<[string, unknown, RegExp]>([
    ['maxSessionsPerUser', NaN, /got NaN$/],
    ['maxSessionsPerUser', -Infinity, /^maxSessionsPerUser must be an integer of at least 1, or Infinity/],
    ['maxSessionsPerUser', -1, /got a number$/],
    ['maxSessionsPerUser', null, /got null$/],
    ['maxSessionsPerUser', true, /got a boolean$/],
    ['maxSessionsPerUser', [10], /got a list$/],
    ['maxSessionsPerUser', { valueOf: () => 10 }, /got an object$/],
    ['maxSessionsPerUser', 10n, /got a bigint$/],
    ['maxSessionsPerUser', () => 10, /got a function$/],
    ['atSessionLimit', '', /^atSessionLimit must be one of 'end-oldest', 'refuse', got an empty string$/],
    ['atSessionLimit', 'REFUSE', /got a string$/],
    ['atSessionLimit', '__proto__', /got a string$/],
    ['atSessionLimit', null, /got null$/],
    ['atSessionLimit', ['refuse'], /got a list$/],
  ])('%s: %p is refused at construction', (name, value, message) => {
    const options = { issuer: { issuer: ISSUER, secret: SECRET }, [name]: value };
    expect(() => managedSessions(options)).toThrow(TypeError);
    expect(() => managedSessions(options)).toThrow(message);
  });
});

describe('on Redis', () => {
  let redis: TestRedis;
  let at: Processes;
  let others: ManagedSessions[];

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(async () => {
    await redis.stop();
  });
  beforeEach(async () => {
    await redis.cli('flushall');
    others = [];
  });
  afterEach(async () => {
    await Promise.all(others.map((sessions) => sessions.close()));
    await at.close();
  });

  function start(options: Options, on = redis): Processes {
    at = new Processes(on.url, { ...TIMES, ...options });
    return at;
  }

  /** A further process of the same site, that was given other options. */
  function another(options: Options): ManagedSessions {
    const issuer = { issuer: ISSUER, secret: SECRET, clockTolerance: 0 };
    const sessions = managedSessions({ issuer, store: redisStore(redis.url), clock: at.clock, ...TIMES, ...options });
    others.push(sessions);
    return sessions;
  }

  const answers = (token: string): Promise<string[]> => Promise.all(at.each.map((sessions) => ask(sessions, token)));

  /** A token that is good for four hours. */
  const lasting = (sid: string): string => tokenOf(at.clock, { sid, exp: at.clock.now() / 1000 + 4 * 3600 });

  describe('two processes', () => {
    it('in which two sign in at the same moment, where there is room for one: one stays, and both agree which', async () => {
      const { here, there } = start({ maxSessionsPerUser: 1 });
      for (let round = 0; round < 20; round += 1) {
        const tokens = ['a', 'b'].map((letter) => lasting(`${letter}${String(round)}`));
        await Promise.all([ask(here, tokens[0]!), ask(there, tokens[1]!)]);
        const { records } = await keptOf(redis);
        expect(records).toHaveLength(1);
        await eventually('both agree', async () => {
          const [a, b] = await Promise.all(tokens.map(answers));
          return (
            [a, b].filter((each) => String(each) === 'live,live').length === 1 && a?.[0] === a?.[1] && b?.[0] === b?.[1]
          );
        });
        expect((await keptOf(redis)).records).toEqual(records);
      }
    });

    it('that bring a session back between two tokens do not end that one for room', async () => {
      const { clock, endedHere } = start({ maxSessionsPerUser: 2 });
      expect(await answers(tokenOf(clock, { sid: 'current' }))).toEqual(['live', 'live']);
      clock.advance(HOUR + MINUTE);
      for (const sid of ['oldest', 'newest']) {
        clock.advance(MINUTE);
        expect(await answers(lasting(sid))).toEqual(['live', 'live']);
      }
      // Refreshed, it is a third: the one seen longest ago makes room, in whichever process it comes first.
      expect(await answers(lasting('current'))).toEqual(['live', 'live']);
      await eventually(
        'the oldest is refused',
        async () => String(await answers(lasting('oldest'))) === 'session_revoked,session_revoked',
      );
      expect(await answers(lasting('current'))).toEqual(['live', 'live']);
      expect(await answers(lasting('newest'))).toEqual(['live', 'live']);
      expect(endedHere).toHaveLength(1);
    });

    it('of which one remembers a session that has lapsed: it finds no place when it comes back, in neither', async () => {
      const { clock, here } = start({ maxSessionsPerUser: 1, atSessionLimit: 'refuse' });
      await here.verify(tokenOf(clock, { sid: 'current' }));
      clock.advance(HOUR + MINUTE);
      await here.verify(tokenOf(clock, { sid: 'other' }));
      const refreshed = tokenOf(clock, { sid: 'current' });
      for (let time = 0; time < 2; time += 1)
        expect(await answers(refreshed)).toEqual(['session_limit', 'session_limit']);
      expect((await here.list('ann')).sessions).toHaveLength(1);
    });

    it('that refuse more let a session back in once there is room, and lose nothing of it meanwhile', async () => {
      const { clock, here, there } = start({ maxSessionsPerUser: 1, atSessionLimit: 'refuse' });
      const { session } = await here.verify(tokenOf(clock, { sid: 'current' }));
      clock.advance(HOUR + MINUTE);
      expect(await answers(lasting('other'))).toEqual(['live', 'live']);
      expect(await ask(there, lasting('current'))).toBe('session_limit');

      const [other] = (await here.list('ann')).sessions;
      await here.revoke('ann', other!.handle);
      const { session: again } = await there.verify(lasting('current'));
      expect(again.startedAt).toEqual(session.startedAt);
      expect(await answers(lasting('current'))).toEqual(['live', 'live']);
    });

    it.each(['refuse', 'end-oldest'] as const)('of which one was given a lower cap: %s', async (atSessionLimit) => {
      const { clock } = start({ maxSessionsPerUser: 5 });
      const tokens: string[] = [];
      for (const sid of ['1', '2', '3', '4', '5']) {
        clock.advance(MINUTE);
        tokens.push(lasting(sid));
        expect(await answers(tokens.at(-1)!)).toEqual(['live', 'live']);
      }
      const lower = another({ maxSessionsPerUser: 2, atSessionLimit });
      // Who is in stays in.
      for (const token of tokens) {
        clock.advance(MINUTE);
        expect(await ask(lower, token)).toBe('live');
      }

      clock.advance(MINUTE);
      expect(await ask(lower, lasting('6'))).toBe(atSessionLimit === 'refuse' ? 'session_limit' : 'live');
      const left = atSessionLimit === 'refuse' ? tokens : [tokens[4]!, lasting('6')];
      expect((await keptOf(redis)).records).toHaveLength(left.length);
      for (const token of left)
        expect([await ask(lower, token), ...(await answers(token))]).toEqual(Array(3).fill('live'));
    });
  });

  describe('while Redis is away', () => {
    let lasts: TestRedis;

    beforeEach(async () => {
      lasts = await startLastingRedis();
    });
    afterEach(async () => {
      await lasts.stop();
    });

    const signsIn = (sessions: ManagedSessions, token: string): Promise<boolean> =>
      eventually('Redis is back', async () => (await ask(sessions, token)) !== 'store_unavailable');

    it.each(['end-oldest', 'refuse'] as const)(
      'killed: a login beyond the cap is 503, and ends nobody: %s',
      async (atSessionLimit) => {
        const { here, endedHere, endedThere } = start({ maxSessionsPerUser: 1, atSessionLimit }, lasts);
        expect(await answers(lasting('first'))).toEqual(['live', 'live']);
        const before = await keptOf(lasts);
        await lasts.kill();
        expect(await answers(lasting('second'))).toEqual(['store_unavailable', 'store_unavailable']);
        await comeBack(lasts, at.each);
        expect(await keptOf(lasts)).toEqual(before);
        expect([endedHere, endedThere, await told(lasts)]).toEqual([[], [], 0]);

        await signsIn(here, lasting('second'));
        expect(await ask(here, lasting('second'))).toBe(atSessionLimit === 'refuse' ? 'session_limit' : 'live');
        expect((await keptOf(lasts)).records).toHaveLength(1);
      },
    );

    it('standing still: a login that was refused and is done late is done whole, and everybody is told', async () => {
      const { here, there, endedHere, endedThere } = start({ maxSessionsPerUser: 1 }, lasts);
      expect(await answers(lasting('first'))).toEqual(['live', 'live']);
      const [first] = (await keptOf(lasts)).records;
      lasts.pause();
      try {
        expect(await ask(there, lasting('second'))).toBe('store_unavailable');
      } finally {
        lasts.resume();
      }
      await signsIn(there, lasting('second'));
      expect(await ask(there, lasting('second'))).toBe('live');
      const { records, tombstones } = await keptOf(lasts);
      expect(records).toHaveLength(1);
      expect(tombstones).toEqual({ [first!]: 'session_limit' });
      await eventually(
        'the other process refuses it',
        async () => (await ask(here, lasting('first'))) === 'session_revoked',
      );
      await eventually('both were told', () => Promise.resolve(endedHere.length === 1 && endedThere.length === 1));
      expect([endedHere[0]?.here, endedThere[0]?.here]).toEqual([false, true]);
    });
  });
});
