/** Lifetimes and idle timeouts: tokens that cannot have one, two processes that disagree for a moment, and an outage. */

import express from 'express';
import request from 'supertest';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';
import { comeBack, keptOf, startLastingRedis } from './kept.js';
import { ask, DAY, HOUR, MINUTE, Processes, tokenOf, type Options } from './logins.js';

const TIMES: Options = { storeTimeout: '2s', revocationBound: '3s' };

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

function start(options: Options, on = redis): Processes {
  at = new Processes(on.url, { ...TIMES, ...options });
  return at;
}

const answers = (token: string): Promise<string[]> => Promise.all(at.each.map((sessions) => ask(sessions, token)));

/** A token that is good for a day, of whatever lifetime. */
const lasting = (claims: Record<string, unknown> = {}): string =>
  tokenOf(at.clock, { exp: (at.clock.now() + DAY) / 1000, ...claims });

describe('a token', () => {
  it.each<[string, Options['lifetime'], (now: number) => Record<string, unknown>, string]>([
    ['neither iat nor exp', '1h', () => ({ iat: null, exp: null }), 'claim_invalid'],
    ['no iat from which a lifetime counts', '1h', () => ({ iat: null }), 'claim_invalid'],
    ['no exp, and no lifetime', undefined, () => ({ exp: null }), 'claim_invalid'],
    ['no exp, and no lifetime for its claims', () => null, () => ({ exp: null }), 'claim_invalid'],
    ['no exp, and undefined for its claims', () => undefined, () => ({ exp: null }), 'claim_invalid'],
    ['an exp that is over before its lifetime is', '1y', (now) => ({ exp: now - 1 }), 'token_expired'],
    ['an iat a lifetime ago', '1h', (now) => ({ iat: now - 3600, exp: null }), 'session_expired'],
    ['an iat before 1970', '1h', () => ({ iat: -1, exp: null }), 'session_expired'],
    ['an iat to come', '1h', (now) => ({ iat: now + 60, exp: null }), 'token_not_yet_valid'],
    ['an iat beyond every date', '1h', () => ({ iat: 1e300, exp: null }), 'claim_invalid'],
    ['an exp beyond every date', '1h', () => ({ exp: 1e300 }), 'claim_invalid'],
  ])('with %s is refused in every process, and nothing is on record', async (_name, lifetime, claims, code) => {
    const { clock } = start(lifetime === undefined ? {} : { lifetime });
    const token = tokenOf(clock, claims(clock.now() / 1000));
    expect(await answers(token)).toEqual([code, code]);
    expect(await redis.cli('dbsize')).toBe(0);
  });

  it.each<[string, NonNullable<Options['lifetime']>]>([
    ['throws', () => JSON.parse('no plan') as '1h'],
    ['returns NaN', () => NaN],
    ['returns a promise', () => Promise.resolve('1h') as unknown as '1h'],
    ['returns a string of another kind', () => 'forever' as '1h'],
  ])('whose lifetime function %s goes to the error handler of the application', async (_name, lifetime) => {
    const { here } = start({ lifetime });
    const app = express().use(here.required());
    app.use((error: Error, _req: express.Request, res: express.Response, _next: express.NextFunction) => {
      res.status(500).send(error.name);
    });
    const answer = await request(app).get('/').set('Authorization', `Bearer ${lasting()}`);
    expect(answer.status).toBe(500);
    expect(answer.text).toMatch(/^(?:TypeError|SyntaxError)$/);
    expect(await redis.cli('dbsize')).toBe(0);
  });
});

describe('two processes', () => {
  it('that see an older and a refreshed token at the same moment end up with one end', async () => {
    const { clock, here, there } = start({ lifetime: '3h' });
    const startedAt = clock.now();
    const sids = Array.from({ length: 20 }, (_, index) => `s${String(index)}`);
    const older = sids.map((sid) => lasting({ sid }));
    clock.advance(10 * MINUTE);
    const refreshed = sids.map((sid) => lasting({ sid }));
    await Promise.all(sids.flatMap((_, index) => [here.verify(older[index]!), there.verify(refreshed[index]!)]));

    // What the other has seen is learnt with the next last-seen time that is written.
    clock.advance(2 * MINUTE);
    for (const sessions of at.each) {
      await eventually('both show the same end', async () => {
        const shown = await Promise.all(refreshed.map((token) => sessions.verify(token)));
        return shown.every(({ session }) => session.expiresAt.getTime() === startedAt + 3 * HOUR);
      });
    }
    clock.at = startedAt + 3 * HOUR - 1;
    for (const token of refreshed) expect(await answers(token)).toEqual(['live', 'live']);
    clock.at = startedAt + 3 * HOUR;
    for (const token of refreshed) expect(await answers(token)).toEqual(['session_expired', 'session_expired']);
  });

  it('one of which had session_expiry from an earlier token: both say that it ends then, and end it', async () => {
    const { clock, here, there, endedHere } = start({});
    const end = clock.now() + 30 * MINUTE;
    await here.verify(tokenOf(clock, { session_expiry: end / 1000 }));
    // Without the claim, and with one that is later.
    for (const claims of [{}, { session_expiry: (end + HOUR) / 1000 }]) {
      for (const sessions of [here, there]) {
        const { session } = await sessions.verify(lasting(claims));
        expect(session.expiresAt.getTime()).toBe(end);
      }
    }
    clock.at = end - 1;
    expect(await answers(lasting())).toEqual(['live', 'live']);
    // Behind the use, which is written in the background: a request would share its answer.
    for (const sessions of at.each) await sessions.list('ann');
    clock.at = end;
    expect(await answers(lasting())).toEqual(['session_expired', 'session_expired']);
    expect(endedHere).toMatchObject([{ cause: 'expired', expiresAt: new Date(end) }]);
  });

  it('that ask at the moment an idle session ends get one answer, and each tells it once', async () => {
    const { clock, endedHere, endedThere } = start({ idleTimeout: '30m' });
    const tokens = Array.from({ length: 20 }, (_, index) => lasting({ sid: `s${String(index)}` }));
    for (const token of tokens) expect(await answers(token)).toEqual(['live', 'live']);

    clock.advance(30 * MINUTE);
    const outcomes = await Promise.all(tokens.map((token) => answers(token)));
    expect(new Set(outcomes.flat())).toEqual(new Set(['session_idle']));
    for (const ended of [endedHere, endedThere]) {
      // Of many at once, a few are told in each turn of the event loop.
      await eventually('all are told', () => Promise.resolve(ended.length >= 20));
      expect(ended.map(({ cause, by }) => [cause, by])).toEqual(Array(20).fill(['idle', null]));
      expect(new Set(ended.map(({ handle }) => handle)).size).toBe(20);
    }
    const { records, tombstones } = await keptOf(redis);
    expect(records).toEqual([]);
    expect(Object.values(tombstones)).toEqual(Array(20).fill('idle'));
  });

  it('where one uses what the other takes for idle: the use decides, also when it came last', async () => {
    const { clock, here, there } = start({ idleTimeout: '30m' });
    const token = lasting();
    expect(await answers(token)).toEqual(['live', 'live']);
    for (let round = 0; round < 5; round += 1) {
      clock.advance(30 * MINUTE - 1);
      expect(await ask(there, token)).toBe('live');
      // Behind the use, which is written in the background.
      await there.list('ann');
      clock.advance(1);
      expect(await ask(here, token)).toBe('live');
    }
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

  it.each<[string, Options, string, string]>([
    ['whose lifetime ends', { lifetime: '3h' }, 'session_expired', 'expired'],
    ['that becomes idle', { idleTimeout: '3h' }, 'session_idle', 'idle'],
  ])('a session %s is not let in, and has ended for good afterwards', async (_name, options, code, reason) => {
    const { clock, here } = start(options, lasts);
    const token = lasting();
    expect(await answers(token)).toEqual(['live', 'live']);
    const before = await keptOf(lasts);
    await lasts.kill();
    clock.advance(3 * HOUR);
    for (const answer of await answers(token)) expect([code, 'store_unavailable']).toContain(answer);

    await comeBack(lasts, at.each);
    expect(await keptOf(lasts)).toEqual(before);
    expect(await answers(token)).toEqual([code, code]);
    expect(await answers(lasting())).toEqual([code, code]);
    expect((await here.list('ann')).sessions).toEqual([]);
    const kept = await keptOf(lasts);
    expect([kept.records, Object.values(kept.tombstones)]).toEqual([[], [reason]]);
  });

  it('use is not lost: it counts once it can be written', async () => {
    const { clock, here, there } = start({ idleTimeout: '30m', whenStoreDown: { allowFor: '1m' } }, lasts);
    const token = lasting();
    expect(await answers(token)).toEqual(['live', 'live']);
    const { session } = await here.verify(token);
    await lasts.kill();
    clock.advance(20 * MINUTE);
    expect(await ask(here, token)).toBe('live');
    const usedAt = new Date(clock.now()).toISOString();

    await comeBack(lasts, at.each);
    clock.advance(2 * MINUTE);
    await eventually('the use is on record', async () => {
      const record = await here.get('ann', session.handle).catch(() => undefined);
      return record?.lastSeenAt === usedAt;
    });
    clock.advance(20 * MINUTE);
    expect(await ask(there, token)).toBe('live');
  });

  it.each(['allow', { allowFor: '2m' }] as const)(
    'whenStoreDown %j lets nothing in past its lifetime, which no store need tell',
    async (whenStoreDown) => {
      const { clock, here } = start({ lifetime: '3h', whenStoreDown }, lasts);
      const startedAt = clock.now();
      await here.verify(tokenOf(clock));
      clock.at = startedAt + 2.5 * HOUR;
      const refreshed = tokenOf(clock);
      await here.verify(refreshed);
      await lasts.kill();
      clock.at = startedAt + 3 * HOUR - MINUTE;
      expect(await ask(here, refreshed)).toBe('live');
      clock.at = startedAt + 3 * HOUR + MINUTE;
      // Asked while that must be found out, and again when it is known.
      for (let time = 0; time < 2; time += 1) expect(await ask(here, refreshed)).toBe('session_expired');
    },
  );
});
