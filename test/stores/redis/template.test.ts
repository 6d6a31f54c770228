/** A client that is passed in is a template: its options are used, and nothing is ever sent on it. */

import { EventEmitter } from 'node:events';
import { Cluster, Redis } from 'ioredis';
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis5';
import { sessionUser } from '../../../lib/core/session.js';
import { redisStore, type RedisClient } from '../../../lib/stores/redis/store.js';
import type { SessionStore } from '../../../lib/stores/store.js';
import {
  eventually,
  startCluster,
  startRedis,
  startSentinel,
  type RedisCluster,
  type TestRedis,
} from '../../support/redis.js';
import { PATIENT, tokenOf, untilAnswers, untilFresh } from '../../support/site.js';
import { used as usedThings } from '../../support/started.js';

const PASSWORD = 'correct';
const USER = sessionUser('https://id.example.com/', 'ann');

let redis: TestRedis;
let observer: Redis;

beforeAll(async () => {
  redis = await startRedis({ password: PASSWORD });
  observer = new Redis(redis.port, '127.0.0.1', { password: PASSWORD });
});

afterAll(async () => {
  observer.disconnect();
  await redis.stop();
});

/** Everything that a store does: commands, a durable write and the feed. */
async function used(store: SessionStore): Promise<void> {
  const at = Date.now();
  const handle = 'h'.repeat(22);
  const policy = {
    idleTimeout: null,
    clockTolerance: 5000,
    tombstoneFor: 60_000,
    maxSessions: 100,
    atSessionLimit: 'end-oldest',
  } as const;
  store.configure({ storeTimeout: 5000, revocationBound: 20_000 });
  const feed = store.feed({ notice: () => undefined, globalCutoff: () => undefined, gap: () => undefined });
  await store.sight(USER, {
    handle,
    sighting: { at, ip: null, userAgent: null },
    token: { beganAt: at, expiresAt: at + 60_000, lifetime: null, sessionEndsAt: null },
    policy,
  });
  // There is no replica: this shows only that the connection for durable writes is opened.
  await store.revoke(USER, { handle, reason: 'signed_out', by: null, at, policy }).catch(() => undefined);
  await eventually('the feed is read', () => Promise.resolve(feed.age() < Infinity));
}

async function connected(name: string): Promise<string[]> {
  const clients = String(await observer.client('LIST')).split('\n');
  return clients.filter((line) => line.includes(` name=${name} `));
}

interface Given {
  readonly port: number;
  readonly password: string;
  readonly connectionName?: string;
  readonly lazyConnect?: boolean;
}

const VERSIONS: readonly (readonly [name: string, make: (options: Given) => Redis])[] = [
  ['ioredis 6', (options) => new Redis(options)],
  ['ioredis 5', (options) => new Redis5(options) as unknown as Redis],
];

describe.each(VERSIONS)('%s', (version, newClient) => {
  const connectionName = version.replace(' ', '-');

  test('nothing is sent on a client that is connected', async () => {
    const client = newClient({ port: redis.port, password: PASSWORD, connectionName });
    await client.ping();
    const [before = ''] = await connected(connectionName);
    const id = / id=(\d+) /.exec(` ${before}`)?.[1];
    const commandsOf = async (): Promise<string | undefined> =>
      (await connected(connectionName))
        .find((line) => line.includes(`id=${String(id)} `))
        ?.replace(/.* cmd=(\S+).*/, '$1');
    expect(await commandsOf()).toBe('ping');

    const store = redisStore(client, { minReplicas: 1 });
    await used(store);
    expect((await connected(connectionName)).length).toBeGreaterThan(1);
    expect(await commandsOf()).toBe('ping');
    await store.close();

    // Only the client itself is left.
    await eventually('the own connections are closed', async () => (await connected(connectionName)).length === 1);
    expect(client.status).toBe('ready');
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });

  test('a client that was never connected stays so', async () => {
    const client = newClient({ port: redis.port, password: PASSWORD, connectionName, lazyConnect: true });
    const store = redisStore(client);
    await used(store);
    await store.close();
    expect(client.status).toBe('wait');
    client.disconnect();
  });

  test('a client that was closed is a template as well', async () => {
    const client = newClient({ port: redis.port, password: PASSWORD, lazyConnect: true });
    client.disconnect();
    const store = redisStore(client);
    await used(store);
    await store.close();
  });

  test('it has no more listeners afterwards', async () => {
    const client = newClient({ port: redis.port, password: PASSWORD, lazyConnect: true });
    const before = client.eventNames();
    const store = redisStore(client);
    await used(store);
    expect(client.eventNames()).toEqual(before);
    await store.close();
  });
});

test.each([
  ['ioredis 6', Cluster],
  ['ioredis 5', Cluster5],
] as const)('the connections of a Cluster of %s have the options of its nodes', (_version, Client) => {
  const cluster = new Client([{ port: 1 }], {
    lazyConnect: true,
    redisOptions: { password: PASSWORD, connectionName: 'named', commandTimeout: 7 },
  });
  const made: unknown[] = [];
  const duplicate = cluster.duplicate.bind(cluster) as (...given: unknown[]) => unknown;
  (cluster as unknown as { duplicate: (...given: unknown[]) => unknown }).duplicate = (...given) => {
    const own = duplicate(...given);
    made.push(own);
    return own;
  };
  const store = redisStore(cluster);
  store.configure({ storeTimeout: 100, revocationBound: 1000 });
  void store.catchUp().catch(() => undefined);
  expect(made).toEqual([expect.objectContaining({ options: expect.any(Object) })]);
  const [own] = made as [{ options: { redisOptions: Record<string, unknown>; scaleReads: string } }];
  expect(own).not.toBe(cluster);
  expect(own.options.redisOptions).toMatchObject({ password: PASSWORD, connectionName: 'named' });
  // What must not be taken over: the times are ours.
  expect(own.options.redisOptions['commandTimeout']).toBeUndefined();
  expect(typeof own.options.redisOptions['reconnectOnError']).toBe('function');
  expect(own.options.scaleReads).toBe('master');
  return store.close();
});

describe('a Cluster whose nodes require a login', () => {
  let nodes: RedisCluster;

  beforeAll(async () => {
    nodes = await startCluster({ password: PASSWORD });
    const rules = ['on', '>of-the-app', '~*', '&*', '+@all'];
    for (const master of nodes.masters) await master.cli('acl', 'setuser', 'app', ...rules);
  });
  afterAll(() => nodes.stop());

  const logins = [
    ['a password', { password: PASSWORD }],
    ['an ACL user', { username: 'app', password: 'of-the-app' }],
  ] as const;
  const clients = [
    ['ioredis 6', Cluster],
    ['ioredis 5', Cluster5],
  ] as const;

  test.each(
    clients.flatMap(([version, Client]) => logins.map(([name, login]) => [version, name, Client, login] as const)),
  )('%s with %s: an ending reaches a stream in another process', (version, name, Client, login) =>
    usedThings(async (started) => {
      const open = (): RedisClient =>
        new Client(nodes.nodes, { lazyConnect: true, redisOptions: { ...login, maxRetriesPerRequest: 1 } });
      const [here, there] = [
        await started.site({ store: redisStore(open()), ...PATIENT }),
        await started.site({ store: redisStore(open()), ...PATIENT }),
      ];
      for (const site of [here, there]) await untilFresh(site);
      for (const first of ['ann', 'bob', 'cleo', 'dan']) {
        const person = `${first} of ${version} with ${name}`;
        const token = tokenOf(person);
        const { session } = await there.sessions.verify(token);
        expect((await here.ask(token)).status).toBe(200);
        await here.sessions.revokeAll(person);
        await eventually('the stream ends', () => Promise.resolve(session.signal.aborted));
        expect((await there.ask(token)).status).toBe(401);
      }
    }),
  );
});

test('a client that leads to a replica is a template for the way to the master', () =>
  usedThings(async (started) => {
    const sentinel = started.add(await startSentinel(), (one) => one.stop());
    const client = new Redis({ sentinels: sentinel.sentinels, name: sentinel.name, role: 'slave', lazyConnect: true });
    const site = await started.site({ store: redisStore(client), ...PATIENT });
    await untilAnswers(site, tokenOf('ann'), 200);
    await untilFresh(site);
  }));

/** As node-redis 4 and 5 make it. */
class NodeRedisClient extends EventEmitter {
  isOpen = false;
  isReady = false;
  options = {};
  connect = async (): Promise<this> => this;
  disconnect = async (): Promise<void> => undefined;
  duplicate = (): NodeRedisClient => new NodeRedisClient();
  sendCommand = async (): Promise<void> => undefined;
  eval = async (): Promise<void> => undefined;
}

const automock = Object.fromEntries(
  ['connect', 'disconnect', 'call', 'pipeline', 'duplicate', 'on', 'off', 'sendCommand'].map((name) => [
    name,
    jest.fn(),
  ]),
);

test.each([
  ['a client of node-redis', new NodeRedisClient()],
  ['an empty object', {}],
  ['an automatic mock', automock],
  ['a mock of two methods', { get: jest.fn(), set: jest.fn(), duplicate: jest.fn() }],
  ['a class', Redis],
  ['an emitter', new EventEmitter()],
  ['a promise of a client', Promise.resolve()],
  ['nothing', undefined],
  ['null', null],
  ['a number', 6379],
  ['options of ioredis', { host: 'localhost', port: 6379 }],
])('%s is refused at construction', (_name, target) => {
  const attempt = (): unknown => redisStore(target as unknown as RedisClient);
  expect(attempt).toThrow(TypeError);
  expect(attempt).toThrow(/ioredis/);
});
