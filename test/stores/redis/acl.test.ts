/** The ACL of docs/redis.md is enough for all that a store does, and no command in it is there for nothing. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster } from 'ioredis';
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis5';

import { redisStore, type RedisClient } from '../../../lib/stores/redis/store.js';
import { describeSessionStore } from '../../contract.js';
import {
  eventually,
  isFollowing,
  startCluster,
  startRedis,
  type RedisCluster,
  type TestRedis,
} from '../../support/redis.js';
import { PATIENT, revoked, tokenOf, untilAnswers, untilFresh } from '../../support/site.js';
import { used } from '../../support/started.js';

const ROOT = join(__dirname, '../../..');
const SCRIPTS = join(ROOT, 'lib/stores/redis');

/** What follows `ACL SETUSER`, as an operator pastes it. */
function documentedRules(): { username: string; password: string; rules: string[] } {
  const [, command = ''] =
    /^```\w*\nACL SETUSER (.*?)\n```$/ms.exec(readFileSync(join(ROOT, 'docs/redis.md'), 'utf8')) ?? [];
  const [username = '', ...rules] = command.split(/\s+/);
  const password = rules.find((rule) => rule.startsWith('>'))?.slice(1) ?? '';
  return { username, password, rules };
}

const { username, password, rules } = documentedRules();
const allowed = rules.filter((rule) => /^\+(?!@)/.test(rule)).map((rule) => rule.slice(1));
/** What ioredis tells of itself. If it is denied, nothing else happens. */
const OPTIONAL = ['client', 'client|setinfo', 'client|setname'];

/** Commands that a server has refused to the user of the docs. */
async function deniedBy(server: TestRedis): Promise<string[]> {
  const log = (await server.cli('acl', 'log', '128')) as unknown[];
  const entries = log.map((entry) => JSON.stringify(entry)).filter((entry) => entry.includes(`"${username}"`));
  const objects = entries.map((entry) => /"object"[,:]"([^"]*)"/.exec(entry)?.[1] ?? entry);
  return objects.filter((object) => !OPTIONAL.includes(object));
}

async function calledOn(server: TestRedis): Promise<string[]> {
  const stats = String(await server.cli('info', 'commandstats'));
  return Array.from(stats.matchAll(/^cmdstat_([^:]+):calls=/gm), ([, name = '']) => name);
}

const called = new Set<string>();
const denied = new Set<string>();

async function note(servers: readonly TestRedis[]): Promise<void> {
  for (const server of servers) {
    for (const command of await calledOn(server)) called.add(command);
    for (const object of await deniedBy(server)) denied.add(object);
  }
}

let master: TestRedis;
let replica: TestRedis;

beforeAll(async () => {
  master = await startRedis();
  replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] });
  await eventually('the replica follows', () => isFollowing(replica));
  await master.cli('acl', 'setuser', username, ...rules);
});

afterAll(async () => {
  await Promise.all([master.stop(), replica.stop()]);
});

test('the docs have the commands of every script', () => {
  const files = readdirSync(SCRIPTS).map((file) => readFileSync(join(SCRIPTS, file), 'utf8'));
  const named = files.flatMap((text) => Array.from(text.matchAll(/call\('([A-Z]+)'/g), ([, name = '']) => name));
  const missing = [...new Set(named.map((name) => name.toLowerCase()))].filter((name) => !allowed.includes(name));
  expect(missing.map((name) => `docs/redis.md lacks +${name}`)).toEqual([]);
});

test('the docs grant nothing but single commands, and the keys of the prefix', () => {
  expect(rules.filter((rule) => !rule.startsWith('+'))).toEqual([
    'on',
    `>${password}`,
    'resetchannels',
    '~ms:*',
    '-@all',
  ]);
  expect(allowed).toEqual([...new Set(allowed)].sort());
});

let stores = 0;
const ownKeys = (): { prefix: string; minReplicas: number } => ({
  prefix: `ms:${String((stores += 1))}`,
  minReplicas: stores % 2,
});

const CLIENTS: readonly (readonly [name: string, open: () => string | RedisClient])[] = [
  ['a URL', () => `redis://${username}:${password}@127.0.0.1:${String(master.port)}`],
  ['ioredis 5', () => new Redis5({ port: master.port, username, password, lazyConnect: true })],
];

for (const [name, open] of CLIENTS) {
  describeSessionStore(`redisStore with ${name} and the ACL of the docs`, () =>
    Promise.resolve({ store: redisStore(open(), ownKeys()) }),
  );
}

describe('in a Cluster', () => {
  let cluster: RedisCluster;

  beforeAll(async () => {
    cluster = await startCluster();
    for (const node of cluster.masters) await node.cli('acl', 'setuser', username, ...rules);
  });
  afterAll(() => cluster.stop());

  test.each([
    ['ioredis 6', Cluster],
    ['ioredis 5', Cluster5],
  ] as const)('%s: sign in, list, name, end, end all, end everywhere', (version, Client) =>
    used(async (started) => {
      const open = (): RedisClient =>
        new Client(cluster.nodes, { lazyConnect: true, redisOptions: { username, password } });
      const prefix = `ms:${version.replace(' ', '-')}`;
      const [here, there] = [
        await started.site({ store: redisStore(open(), { prefix }), ...PATIENT }),
        await started.site({ store: redisStore(open(), { prefix }), ...PATIENT }),
      ];
      for (const person of ['ann', 'bob', 'cleo', 'dan']) {
        const token = tokenOf(person);
        for (const site of [here, there]) await untilAnswers(site, token, 200);
        for (const site of [here, there]) await untilFresh(site);
        const { sessions } = await here.sessions.list(person);
        const handle = String(sessions[0]?.handle);
        await here.sessions.label(person, handle, 'Mum');
        expect((await there.sessions.list(person)).sessions).toMatchObject([{ handle, label: 'Mum' }]);
        await revoked(here, token);
        await untilAnswers(there, token, 401);
        await here.sessions.revokeAll(person);
      }
      const last = tokenOf('eve');
      for (const site of [here, there]) await untilAnswers(site, last, 200);
      await here.sessions.endEverywhere();
      for (const site of [here, there]) await untilAnswers(site, last, 401);
      await note(cluster.masters);
      expect([...denied].map((object) => `docs/redis.md lacks +${object}`)).toEqual([]);
    }),
  );
});

describe('after all of this', () => {
  beforeAll(() => note([master]));

  test('nothing was denied that the store needs', () => {
    expect([...denied].map((object) => `docs/redis.md lacks +${object}`)).toEqual([]);
  });

  test('every command of the docs was called', () => {
    // Redis 6.2 does not count subcommands, and 7 counts `xinfo` by them.
    const wholeOf = (command: string): string => command.replace(/\|.*/, '');
    const wholes = new Set([...called].map(wholeOf));
    const unused = allowed.filter((command) => !called.has(command) && !wholes.has(wholeOf(command)));
    expect(unused.map((command) => `docs/redis.md has +${command}, which nothing calls`)).toEqual([]);
  });
});
