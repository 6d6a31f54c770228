/** Announcements that were acknowledged and then lost, with a real Redis: whoever wrote them announces them again. */

import { Redis } from 'ioredis';
import jwt from 'jsonwebtoken';

import { sessionHandle, sessionUser } from '../../../lib/core/session.js';
import { managedSessions, redisStore } from '../../../lib/index.js';
import { Announcer } from '../../../lib/stores/redis/announcer.js';
import type { RunScript } from '../../../lib/stores/redis/script-runner.js';
import { elapsed, FEED_CONNECTION, redisFeed } from '../../../lib/stores/redis/feed.js';
import type { FeedKeys } from '../../../lib/stores/redis/feed-scripts.js';
import { encodeNotice } from '../../../lib/stores/redis/notices.js';
import type { Notice, RevocationFeed, SessionStore } from '../../../lib/stores/store.js';
import { eventually, startRedis, type TestRedis } from '../../support/redis.js';
import { startProxy, type TcpProxy } from '../../support/tcp-proxy.js';

const KEYS: FeedKeys = {
  stream: 'ms:{feed}:stream',
  epoch: 'ms:{feed}:epoch',
  counter: 'ms:{feed}:count',
  globalCutoff: 'ms:{feed}:global-cutoff',
};

const BOUND = 400;
const LOST = 'an entry that this process wrote is not in the stream';
const AT_ITS_PLACE = expect.stringMatching(/is gone, or is another one/) as string;

const user = sessionUser('https://id.example.com/', 'ada');

function numbered(n: number): Notice {
  const ending = {
    cause: 'revoked',
    reason: `no ${n}`,
    by: null,
    at: n,
    expiresAt: null,
    origin: 'abcdefghijkl',
  } as const;
  return { kind: 'ended', user, tombstone: { handle: sessionHandle(user, String(n)), ending, until: n + 1 } };
}

const numberOf = (notice: Notice): number => (notice.kind === 'ended' ? notice.tombstone.ending.at : NaN);

const until = (what: string, holds: () => boolean | Promise<boolean>): Promise<boolean> =>
  eventually(what, async () => holds());

let redis: TestRedis;
let writer: Redis;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  redis = await startRedis();
  writer = new Redis(redis.port);
});

beforeEach(() => writer.flushall());

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

afterAll(async () => {
  writer.disconnect();
  await redis.stop();
});

const runOn =
  (client: Redis): RunScript =>
  async (script, keys, input) =>
    script.decode(await client.eval(script.lua, keys.length, ...keys, ...script.args(input)));

interface PeerOptions {
  /** Where its commands go; by default, to the server of the feed. */
  readonly run?: RunScript;
  /** What it announces before its feed begins. */
  readonly first?: readonly number[];
}

/** What announces and reads in one process, each by a way of its own. */
interface Peer {
  readonly proxy: TcpProxy;
  readonly feed: RevocationFeed;
  readonly numbers: number[];
  readonly gaps: string[];
  announce(...numbers: number[]): Promise<void>;
  /** The feed's connection is lost, and no other can be opened until `proxy.heal()`. */
  cut(): Promise<void>;
  untilFresh(): Promise<void>;
}

async function startPeer({ run = runOn(writer), first = [] }: PeerOptions = {}): Promise<Peer> {
  const proxy = await startProxy({ port: redis.port });
  const announcer = new Announcer({ keys: KEYS, revocationBound: BOUND, run, elapsed });
  await announcer.announce(first.map(numbered), run);
  const numbers: number[] = [];
  const gaps: string[] = [];
  const feed = redisFeed(
    {
      open: () => new Redis(proxy.port, { ...FEED_CONNECTION }),
      keys: KEYS,
      globalCutoff: { text: '', learn: () => undefined, askElsewhere: () => Promise.resolve() },
      announced: announcer,
      revocationBound: BOUND,
      storeTimeout: 2000,
    },
    { notice: (notice) => numbers.push(numberOf(notice)), gap: (cause) => gaps.push(cause) },
  );
  closing.push(
    () => proxy.close(),
    () => feed.close(),
  );
  const peer: Peer = {
    proxy,
    feed,
    numbers,
    gaps,
    announce: (...all) => announcer.announce(all.map(numbered), run),
    async cut() {
      proxy.refuse();
      proxy.cut();
      await until('the failure shows', () => feed.lastError() !== null);
    },
    async untilFresh() {
      const now = performance.now();
      await until('a new round counts', () => feed.age() < performance.now() - now);
    },
  };
  await peer.untilFresh();
  return peer;
}

type Kept = readonly (readonly [id: string, text: string])[];

/** What a replica has now. */
async function replicated(): Promise<Kept> {
  const entries = await writer.xrange(KEYS.stream, '-', '+');
  return entries.map(([id, [, text]]) => [id, text!]);
}

/** The replica becomes the master: the keys of the feed are as it had them. The epoch stays. */
async function failOverTo(kept: Kept): Promise<void> {
  const rewriting = writer.multi().del(KEYS.stream).set(KEYS.counter, kept.length);
  for (const [id, text] of kept) rewriting.xadd(KEYS.stream, id, 'n', text);
  await rewriting.exec();
}

/** The numbers in the stream. */
async function written(): Promise<number[]> {
  const texts = (await replicated()).map(([, text]) => text);
  return texts.map((text) => [0, 1, 2, 3, 4].find((n) => encodeNotice(numbered(n)) === text) ?? NaN);
}

describe('an entry that was lost after its acknowledgement', () => {
  it('is announced again if its own process had read it, and others, whose places are before it, are told', async () => {
    const [here, there] = [await startPeer(), await startPeer()];
    await here.announce(0);
    await until('both are told', () => here.numbers.length === 1 && there.numbers.length === 1);
    const kept = await replicated();
    await there.cut();
    await here.announce(1);
    await until('it is told here', () => here.numbers.length === 2);
    await here.cut();
    await failOverTo(kept);
    await here.proxy.heal();
    await until('both entries are announced again', async () => (await written()).length === 3);
    await there.proxy.heal();
    await until('it is told there', () => there.numbers.includes(1));
    for (const peer of [here, there]) await peer.untilFresh();
    expect(await written()).toEqual([0, 0, 1]);
    expect(here).toMatchObject({ numbers: [0, 1, 0, 1], gaps: [AT_ITS_PLACE] });
    expect(there).toMatchObject({ numbers: [0, 0, 1], gaps: [] });
  });

  it('is announced again if its own process had not read it, and nobody sees a gap in the stream', async () => {
    const [here, there] = [await startPeer(), await startPeer()];
    await here.announce(0);
    await until('both are told', () => here.numbers.length === 1 && there.numbers.length === 1);
    const kept = await replicated();
    for (const peer of [here, there]) await peer.cut();
    await here.announce(1, 2);
    await failOverTo(kept);
    for (const peer of [here, there]) await peer.proxy.heal();
    await until('both are told', () => [here, there].every(({ numbers }) => numbers.length === 3));
    for (const peer of [here, there]) await peer.untilFresh();
    expect(await written()).toEqual([0, 1, 2]);
    expect(here).toMatchObject({ numbers: [0, 1, 2], gaps: [LOST] });
    expect(there).toMatchObject({ numbers: [0, 1, 2], gaps: [] });
  });

  it('is announced again although the first try fails', async () => {
    let tries = 0;
    const run = runOn(writer);
    const here = await startPeer({
      run: (...args) => ((tries += 1) === 3 ? Promise.reject(new Error('not now')) : run(...args)),
    });
    await here.announce(0);
    await until('it is told', () => here.numbers.length === 1);
    const kept = await replicated();
    await here.cut();
    await here.announce(1);
    await failOverTo(kept);
    await here.proxy.heal();
    await until('it is told', () => here.numbers.length === 2);
    await here.untilFresh();
    expect(tries).toBe(4);
    expect(await written()).toEqual([0, 1]);
  });

  it('is announced again a few times only if the feed reads from another server than the one that is written to', async () => {
    const other = await startRedis();
    const client = new Redis(other.port);
    closing.push(
      () => other.stop(),
      async () => client.disconnect(),
    );
    const here = await startPeer({ run: runOn(client) });
    const accepted = here.proxy.accepted();
    await here.announce(1);
    await until(
      'each time is over',
      async () => (await client.xlen(KEYS.stream)) === 4 && here.feed.lastError() === null,
    );
    for (let i = 0; i < 3; i++) await here.untilFresh();
    expect(await client.xlen(KEYS.stream)).toBe(4);
    expect(here.gaps).toEqual([LOST, LOST, LOST]);
    // Another connection may lead to the right server.
    expect(here.proxy.accepted() - accepted).toBe(3);
  });
});

describe('an entry that is there', () => {
  it('is not announced again if the feed reads it before the reply comes', async () => {
    const run = runOn(writer);
    let reply = (): void => undefined;
    const here = await startPeer({
      async run(...args) {
        const answer = await run(...args);
        await new Promise<void>((resolve) => (reply = resolve));
        return answer;
      },
    });
    const announced = here.announce(1);
    await until('it is told', () => here.numbers.length === 1);
    await here.untilFresh();
    reply();
    await announced;
    for (let i = 0; i < 3; i++) await here.untilFresh();
    expect(await written()).toEqual([1]);
    expect(here.gaps).toEqual([]);
  });

  it('is not announced again if it was written before the first round of the feed', async () => {
    const here = await startPeer({ first: [0, 1] });
    for (let i = 0; i < 3; i++) await here.untilFresh();
    expect(await written()).toEqual([0, 1]);
    expect(here).toMatchObject({ numbers: [], gaps: [] });
  });

  it('is not announced again, by whichever of two processes, while nothing is lost', async () => {
    const [here, there] = [await startPeer(), await startPeer()];
    const announced: Promise<void>[] = [];
    for (let i = 0; i < 200; i++) {
      announced.push((i % 3 === 0 ? here : there).announce(i));
      if (i % 7 === 0) await announced.at(-1);
      if (i === 100) there.proxy.cut();
    }
    await Promise.all(announced);
    await until('all are told', () => [here, there].every(({ numbers }) => numbers.length === 200));
    for (let i = 0; i < 3; i++) for (const peer of [here, there]) await peer.untilFresh();
    expect(await writer.xlen(KEYS.stream)).toBe(200);
    for (const { gaps } of [here, there]) expect(gaps).toEqual([]);
  });
});

describe('a revocation whose entry is lost, while the tombstone is kept in the slot of the user', () => {
  const ISSUER = 'https://id.example.com/';
  const SECRET = 'a secret for tests, 32 bytes long';

  it('is in force in a process that was cut off meanwhile, without a question to the store', async () => {
    const proxy = await startProxy({ port: redis.port });
    closing.push(() => proxy.close());
    let sightings = 0;
    const counting = (store: SessionStore): SessionStore => ({
      ...store,
      sight(...args) {
        sightings += 1;
        return store.sight(...args);
      },
    });
    const start = (port: number) => {
      const sessions = managedSessions({
        issuer: { issuer: ISSUER, secret: SECRET },
        store: counting(redisStore(`redis://127.0.0.1:${String(port)}`)),
        activityInterval: '1h',
      });
      closing.push(() => sessions.close());
      return sessions;
    };
    const [here, there] = [start(redis.port), start(proxy.port)];
    for (const sessions of [here, there]) await until('it is fresh', () => sessions.health().feed.ok);
    const tokenOf = (sid: string) => jwt.sign({ iss: ISSUER, sub: 'ada', sid }, SECRET, { expiresIn: '1h' });
    const [first, second] = [await there.verify(tokenOf('1')), await there.verify(tokenOf('2'))];
    let ended = 0;
    there.on('sessionEnded', () => (ended += 1));
    await here.revoke('ada', first.session.handle);
    await until('its place is behind the first', () => ended === 1);
    const kept = await replicated();

    proxy.refuse();
    proxy.cut();
    await until('it is cut off', () => there.health().feed.lastError !== null);
    await here.revoke('ada', second.session.handle);
    await failOverTo(kept);
    await until('both are announced again, or the second', async () => (await replicated()).length > 1);
    await proxy.heal();
    await until('it is back', () => there.health().feed.lastError === null);
    const before = sightings;
    await expect(there.verify(tokenOf('2'))).rejects.toMatchObject({ code: 'session_revoked' });
    expect(ended).toBe(2);
    expect(sightings).toBe(before);
  });
});
