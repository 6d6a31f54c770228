/** A Redis that is killed and comes back with its data: untracked tokens, events, live connections and introspection. */

import { createServer } from 'node:http';
import request from 'supertest';
import type { ManagedSessions, SessionMoved, SessionStarted } from '../../lib/index.js';
import { eventually, type TestRedis } from '../support/redis.js';
import { comeBack, keptOf, startLastingRedis, told } from './kept.js';
import { ask, MINUTE, Processes, textOf, tokenOf, type Options } from './logins.js';

const UNAVAILABLE = { code: 'store_unavailable', status: 503 };

let redis: TestRedis;
let at: Processes;

beforeEach(async () => {
  redis = await startLastingRedis();
});
afterEach(async () => {
  await at.close();
  await redis.stop();
});

function start(options: Options = {}): Processes {
  at = new Processes(redis.url, { storeTimeout: '2s', revocationBound: '3s', ...options });
  return at;
}

const answers = (token: string): Promise<string[]> => Promise.all(at.each.map((sessions) => ask(sessions, token)));

describe('untracked tokens', () => {
  const MACHINE = { sub: 'job', gty: 'client-credentials' };

  it('that nobody knows are 503 and leave nothing; an ending that failed has ended nothing', async () => {
    const { clock, here } = start({ track: (claims) => textOf(claims, 'gty') !== 'client-credentials' });
    const [known, unknown] = [tokenOf(clock, { ...MACHINE, sid: 'known' }), tokenOf(clock, { ...MACHINE, sid: 'new' })];
    expect(await answers(known)).toEqual(['live', 'live']);
    const { session } = await here.verify(known);
    await redis.kill();
    expect(await answers(unknown)).toEqual(['store_unavailable', 'store_unavailable']);
    await expect(here.revoke('job', session.handle)).rejects.toMatchObject(UNAVAILABLE);
    await expect(here.revokeAll('job')).rejects.toMatchObject(UNAVAILABLE);

    await comeBack(redis, at.each);
    expect(await redis.cli('dbsize')).toBe(0);
    expect(await answers(known)).toEqual(['live', 'live']);
    expect(await answers(unknown)).toEqual(['live', 'live']);
    await here.revoke('job', session.handle);
    expect(await ask(here, known)).toBe('session_revoked');
    expect(await answers(unknown)).toEqual(['live', 'live']);
  });
});

describe('events', () => {
  it('tell nothing of what was not done, and once what is done afterwards', async () => {
    const { clock, here, there, endedHere, endedThere } = start({ revocationBound: '1m' });
    const started: SessionStarted[] = [];
    const moved: SessionMoved[] = [];
    const store: string[] = [];
    for (const sessions of at.each) {
      sessions.on('sessionStarted', (event) => started.push(event));
      sessions.on('sessionMoved', (event) => moved.push(event));
    }
    for (const name of ['storeDown', 'storeUp'] as const) here.on(name, () => store.push(name));
    const [known, unknown] = [tokenOf(clock), tokenOf(clock, { sid: 'new' })];
    const { session } = await here.verify(known, { ip: '203.0.113.1' });
    await there.verify(known);
    expect(started).toHaveLength(1);

    await redis.kill();
    clock.advance(2 * MINUTE);
    // Known here, and so let in: where it comes from now cannot be written.
    await here.verify(known, { ip: '203.0.113.2' });
    expect(await answers(unknown)).toEqual(['store_unavailable', 'store_unavailable']);
    await expect(here.revoke('ann', session.handle)).rejects.toMatchObject(UNAVAILABLE);
    expect([started.length, moved, endedHere, endedThere]).toEqual([1, [], [], []]);

    await comeBack(redis, at.each);
    expect(await told(redis)).toBe(0);
    expect(await answers(unknown)).toEqual(['live', 'live']);
    expect(started).toHaveLength(2);
    await here.verify(known, { ip: '203.0.113.2' });
    await here.list('ann');
    expect(moved.map(({ from, to }) => [from.ip, to.ip])).toEqual([['203.0.113.1', '203.0.113.2']]);

    await here.revoke('ann', session.handle, { reason: 'administrator', by: 'op7' });
    await eventually('both were told', () => Promise.resolve(endedHere.length === 1 && endedThere.length === 1));
    expect([endedHere[0], endedThere[0]]).toMatchObject([
      { reason: 'administrator', by: 'op7', here: true },
      { reason: 'administrator', by: 'op7', here: false },
    ]);
    await eventually('the outage is told as over', () => Promise.resolve(store.length === 2));
    expect(store).toEqual(['storeDown', 'storeUp']);
  });
});

describe('a process that gets no requests', () => {
  it('is healthy again once the store is back', async () => {
    const { clock, here } = start();
    const store: string[] = [];
    for (const name of ['storeDown', 'storeUp'] as const) here.on(name, () => store.push(name));
    await here.verify(tokenOf(clock));
    await redis.kill();
    expect(await ask(here, tokenOf(clock, { sid: 'new' }))).toBe('store_unavailable');
    expect(here.health().store).toMatchObject({ ok: false, lastError: expect.any(String) });

    await redis.restart({ keepData: false });
    await eventually('the store is known to be back', () => Promise.resolve(here.health().store.ok));
    await eventually('and told to be back', () => Promise.resolve(store.at(-1) === 'storeUp'));
    expect(store).toEqual(['storeDown', 'storeUp']);
  });
});

describe('live connections', () => {
  it('stay open where an ending failed, and are closed by the one that is repeated', async () => {
    const { clock, here, there } = start();
    const token = tokenOf(clock);
    const held = await Promise.all(at.each.map((sessions) => sessions.verify(token)));
    const signals = held.map(({ session }) => session.signal);
    const { handle } = held[0]!.session;

    await redis.kill();
    await expect(there.revoke('ann', handle)).rejects.toMatchObject(UNAVAILABLE);
    await comeBack(redis, at.each);
    expect(await answers(token)).toEqual(['live', 'live']);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false]);
    expect(await keptOf(redis)).toEqual({ records: [handle], tombstones: {}, hasCutoff: false });

    await there.revoke('ann', handle);
    expect(signals[1]?.aborted).toBe(true);
    await eventually('the other closes it', () => Promise.resolve(signals[0]?.aborted === true));
    expect(await ask(here, token)).toBe('session_revoked');
  });
});

describe('introspection', () => {
  function introspect(of: ManagedSessions, token: string) {
    const handler = of.introspection({ authorize: () => true });
    return request(createServer((req, res) => handler(req, res, () => res.writeHead(500).end())))
      .post('/')
      .type('form')
      .send({ token });
  }

  it('goes on to say what is known, says 503 of the rest, and nothing is on record for it', async () => {
    const { clock, here } = start({ revocationBound: '1m' });
    const [live, ended, unknown] = ['live', 'ended', 'unknown'].map((sid) => tokenOf(clock, { sid })) as [
      string,
      string,
      string,
    ];
    await here.verify(live);
    const { session } = await here.verify(ended);
    await here.revoke('ann', session.handle);
    const before = await keptOf(redis);

    await redis.kill();
    expect((await introspect(here, live)).body).toMatchObject({ active: true });
    expect((await introspect(here, ended)).body).toEqual({ active: false });
    expect((await introspect(here, 'rubbish')).body).toEqual({ active: false });
    const answer = await introspect(here, unknown);
    expect([answer.status, answer.headers['retry-after'], answer.body.code]).toEqual([503, '1', 'store_unavailable']);

    await comeBack(redis, at.each);
    expect((await introspect(here, unknown)).body).toMatchObject({ active: true });
    expect(await keptOf(redis)).toEqual(before);
  });
});
