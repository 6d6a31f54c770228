/** `doctor` on set-ups that are broken in one way each: the sentence, and the exit code. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';

import { redisStore } from '../../lib/index.js';
import type { Finding } from '../../lib/cli/findings.js';
import { providerOf } from '../../lib/cli/providers.js';
import { TRIALS } from '../../lib/cli/redis-commands.js';
import { createTestIssuer, type TestIssuer } from '../../lib/testing/index.js';
import { firstClaims } from '../../lib/testing/token-shape.js';
import { SHAPES } from '../providers/shapes.js';
import { command, commandHere, type Outcome, type Run } from '../support/command.js';
import { createEndpoint, json, type Answer } from '../support/issuer.js';
import { freePort, startCluster, startRedis, type RedisCluster, type TestRedis } from '../support/redis.js';
import { SELF_SIGNED } from '../support/self-signed.js';
import { ISSUER, SITE_ISSUER, startSite, tokenOf } from '../support/site.js';
import { testTogether, type Started } from '../support/started.js';
import { startProxy } from '../support/tcp-proxy.js';

let issuer: TestIssuer;
let redis: TestRedis;
let cluster: RedisCluster;
let folder: string;

beforeAll(async () => {
  [issuer, redis, cluster, folder] = await Promise.all([
    createTestIssuer({ algorithms: ['RS256', 'ES256'] }),
    startRedis({ args: ['--appendonly', 'yes'] }),
    startCluster(),
    mkdtemp(join(tmpdir(), 'managed-sessions-doctor-')),
  ]);
}, 300_000);

afterAll(() =>
  Promise.all([issuer.close(), redis.stop(), cluster.stop(), rm(folder, { recursive: true, force: true })]),
);

/** What a terminal obeys, apart from a line break. */
const OBEYED = /[^\P{C}\n]/u;
/** Times that no busy machine exceeds. */
const PATIENT = ['--store-timeout', '20s', '--revocation-bound', '30s'];
const AUDIENCE = ['--audience', 'shop'];
const good = (claims: object = {}): string => issuer.issue({ aud: 'shop', ...claims });

interface Examined extends Outcome {
  readonly findings: readonly Finding[];
}

/** Nothing that was given in secret may be in what it says. */
async function examine(args: readonly string[], run: Run = {}): Promise<Examined> {
  const times = args.includes('--store-timeout') ? [] : PATIENT;
  const outcome = await command(['doctor', '--json', ...times, ...args], run);
  for (const secret of [String(run.input ?? '').split('.')[2], ...Object.values(run.env ?? {})]) {
    if (secret !== undefined && secret.length > 8) expect(outcome.stdout + outcome.stderr).not.toContain(secret);
  }
  const { findings } = JSON.parse(outcome.stdout === '' ? '{"findings":[]}' : outcome.stdout);
  return { ...outcome, findings };
}

const byUrl = (): string[] => ['--issuer', issuer.issuer, '--jwks-uri', issuer.jwksUri];

/** The key set of the issuer, changed on the way. */
async function between(started: Started, change: (answer: Answer) => Answer): Promise<string[]> {
  const keySet = json(await (await fetch(issuer.jwksUri)).json());
  const endpoint = started.add(await createEndpoint(change(keySet)), (one) => one.close());
  return ['--issuer', issuer.issuer, '--jwks-uri', endpoint.url];
}

/** A user with the rules of the docs, changed. */
async function userOf(name: string, change: (rules: string) => string): Promise<string> {
  const [, rules = ''] =
    /ACL SETUSER \S+ (.*?)\n```/s.exec(readFileSync(join(__dirname, '../../docs/redis.md'), 'utf8')) ?? [];
  await redis.cli('acl', 'setuser', name, ...change(rules).split(/\s+/));
  return `redis://${name}:a-long-password@127.0.0.1:${String(redis.port)}`;
}

interface Expected {
  readonly args: readonly string[];
  readonly run?: Run;
  readonly exit: number;
  readonly code: string;
  readonly says: RegExp;
}

type Row = readonly [name: string, setUp: (started: Started) => Promise<Expected> | Expected];

const TOKENS: readonly Row[] = [
  [
    'a token for another audience',
    () => ({
      args: [...byUrl(), ...AUDIENCE],
      run: { input: good({ aud: 'forum' }) },
      exit: 1,
      code: 'audience_refused',
      says: /"forum", and must be "shop"/,
    }),
  ],
  [
    'an issuer with a slash too many',
    () => ({
      args: ['--issuer', `${issuer.issuer}/`, '--jwks-uri', issuer.jwksUri, ...AUDIENCE],
      run: { input: good() },
      exit: 1,
      code: 'issuer_refused',
      says: /only by a trailing slash/,
    }),
  ],
  [
    'a token that has expired',
    () => ({
      args: [...byUrl(), ...AUDIENCE],
      run: { input: good({ iat: Date.now() / 1000 - 7200, exp: Date.now() / 1000 - 3600 }) },
      exit: 1,
      code: 'token_expired',
      says: /The token expired 36\d\d s ago \(exp is .*1 h( \d+ s)? ago\)/,
    }),
  ],
  [
    'a clock that is two minutes behind',
    async (started) => ({
      args: [
        ...(await between(started, (answer) => (response, request) => {
          response.setHeader('Date', new Date(Date.now() + 120_000).toUTCString());
          answer(response, request);
        })),
        ...AUDIENCE,
      ],
      run: { input: good({ iat: Math.floor(Date.now() / 1000) + 120 }) },
      exit: 1,
      code: 'clock_differs',
      says: /clock is (1 min \d+ s|2 min) behind .* token_not_yet_valid/,
    }),
  ],
  [
    'a key set that is not there',
    async (started) => ({
      args: await between(started, () => (response) => response.writeHead(404).end()),
      run: { input: good() },
      exit: 1,
      code: 'keys_unavailable',
      says: /responded with status 404/,
    }),
  ],
  [
    'a page in place of a key set',
    async (started) => ({
      args: await between(started, () => (response) => response.end('<!doctype html><title>Welcome</title>')),
      exit: 1,
      code: 'keys_unavailable',
      says: /but with HTML or XML/,
    }),
  ],
  [
    'an issuer that is out of reach',
    async () => ({
      args: ['--issuer', `http://127.0.0.1:${String(await freePort())}`, ...AUDIENCE],
      exit: 3,
      code: 'keys_unavailable',
      says: /discovery document cannot be reached: .*ECONNREFUSED/,
    }),
  ],
  [
    'an issuer that calls itself otherwise',
    () => ({
      args: ['--issuer', issuer.issuer.replace('127.0.0.1', 'localhost'), ...AUDIENCE],
      exit: 1,
      code: 'keys_unavailable',
      says: /names another issuer/,
    }),
  ],
  [
    'a kid that the key set does not have',
    () => ({
      args: [...byUrl(), ...AUDIENCE],
      run: { input: issuer.issue({ aud: 'shop' }, { kid: 'yesterday' }) },
      exit: 1,
      code: 'key_unknown',
      says: /no such key/,
    }),
  ],
  [
    'an algorithm that is not accepted',
    () => ({
      args: [...byUrl(), ...AUDIENCE, '--algorithm', 'ES256'],
      run: { input: good() },
      exit: 1,
      code: 'algorithm_refused',
      says: /not configured for this algorithm/,
    }),
  ],
  [
    'a token that names no session',
    () => ({
      args: [...byUrl(), ...AUDIENCE],
      run: { input: good({ sid: undefined, jti: 'one of many' }) },
      exit: 1,
      code: 'session_unnamed',
      says: /by its jti.*Each refresh is a new session.*brings an ended session back/,
    }),
  ],
  [
    'two things at once',
    () => ({
      args: [...byUrl(), ...AUDIENCE],
      run: { input: good({ aud: 'forum', cnf: { jkt: 'x' } }) },
      exit: 1,
      code: 'proof_required',
      says: /bound to a key/,
    }),
  ],
];

const SERVERS: readonly Row[] = [
  [
    'a policy that evicts',
    async (started) => ({
      args: ['--redis', (await started.redis(['--maxmemory-policy', 'volatile-lru'])).url],
      exit: 1,
      code: 'redis_evicts',
      says: /volatile-lru.*set noeviction/,
    }),
  ],
  [
    'a user that may not call two commands',
    async () => ({
      args: [],
      run: {
        env: { REDIS_URL: await userOf('few', (rules) => rules.replace('+zrank ', '').replace('+evalsha ', '')) },
      },
      exit: 1,
      code: 'redis_acl',
      says: /may not call evalsha, zrank\./,
    }),
  ],
  [
    'a user for other keys',
    async () => ({
      args: ['--prefix', 'shop'],
      run: { env: { REDIS_URL: await userOf('other', (rules) => rules) } },
      exit: 1,
      code: 'redis_acl_keys',
      says: /keys that begin with shop:/,
    }),
  ],
  [
    'a wrong password',
    async () => {
      const url = await userOf('locked', (rules) => rules);
      return {
        args: [],
        run: { env: { REDIS_URL: url.replace('a-long-password', 'another-password') } },
        exit: 1,
        code: 'redis_login',
        says: /locked@127.*refuses the login: WRONGPASS/,
      };
    },
  ],
  [
    'no Redis',
    async () => ({
      args: ['--redis', `redis://127.0.0.1:${String(await freePort())}`],
      exit: 3,
      code: 'redis_unreachable',
      says: /cannot be reached: .*ECONNREFUSED/,
    }),
  ],
  [
    'a Redis with a certificate of a CA that is not known',
    async (started) => {
      const server = started.add(createServer(SELF_SIGNED).listen(0), async (one) => void one.close());
      await once(server, 'listening');
      return {
        args: ['--redis', `rediss://localhost:${String((server.address() as AddressInfo).port)}`],
        exit: 3,
        code: 'redis_unreachable',
        says: /cannot be reached: self-signed certificate\. .*NODE_EXTRA_CA_CERTS/,
      };
    },
  ],
  [
    'a Redis that is silent',
    async (started) => {
      const server = await started.redis();
      server.pause();
      return {
        args: ['--redis', server.url, '--store-timeout', '1s'],
        exit: 3,
        code: 'redis_unreachable',
        says: /cannot be reached: .*(timed out|ETIMEDOUT)/,
      };
    },
  ],
  [
    'a Redis that is too old',
    async (started) => {
      const proxy = started.add(
        await startProxy({ port: redis.port, rewrite: (text) => text.replace(/(?<=redis_version:)\d\.\d/, '6.0') }),
        (one) => one.close(),
      );
      const url = `redis://127.0.0.1:${String(proxy.port)}`;
      return { args: ['--redis', url], exit: 1, code: 'redis_too_old', says: /Redis 6\.0.* is too old/ };
    },
  ],
  [
    'too few replicas',
    async (started) => ({
      args: ['--redis', (await started.redis()).url, '--min-replicas', '1'],
      exit: 1,
      code: 'redis_replicas',
      says: /0 replicas are connected, and minReplicas is 1: no ending is acknowledged/,
    }),
  ],
  [
    'a replica in place of the master',
    async (started) => ({
      args: ['--redis', (await started.redis(['--replicaof', '127.0.0.1', String(redis.port)])).url],
      exit: 1,
      code: 'redis_replica',
      says: /is a replica, which refuses writes/,
    }),
  ],
  [
    'a node of a Cluster in place of a server',
    () => ({
      args: ['--redis', String(cluster.masters[1]?.url)],
      exit: 1,
      code: 'redis_is_cluster',
      says: /node of a Cluster/,
    }),
  ],
  [
    'a server in place of a Cluster',
    () => ({
      args: ['--redis', redis.url, '--cluster'],
      exit: 1,
      code: 'redis_no_cluster',
      says: /not a node of a Cluster/,
    }),
  ],
  [
    'a session that was ended',
    async () => {
      const site = await startSite({ store: redisStore(redis.url) });
      const token = tokenOf('ended');
      await site.sessions.verify(token);
      await site.sessions.revokeAll('ended', { reason: 'stolen' });
      await site.stop();
      return {
        args: ['--issuer', ISSUER, '--secret-env', 'LOGIN_SECRET', '--redis', redis.url],
        run: { input: token, env: { LOGIN_SECRET: SITE_ISSUER.secret } },
        exit: 1,
        code: 'session_revoked',
        says: /get 401 session_revoked.*The reason is stolen/,
      };
    },
  ],
];

describe('a set-up that is broken', () => {
  testTogether<Row>([...TOKENS, ...SERVERS], async (started, [, setUp]) => {
    const { args, run, exit, code, says } = await setUp(started);
    const { findings, code: exited } = await examine(args, run);
    const found = findings.filter((finding) => finding.code === code);
    const texts = found.map((finding) => `${finding.says} ${finding.advice ?? ''}`);
    expect({ findings: texts.join(' '), exited }).toEqual({
      findings: expect.stringMatching(says) as string,
      exited: exit,
    });
    expect(found.some(({ level }) => level === (exit === 3 ? 'unreachable' : 'problem'))).toBe(true);
  });
});

test('an audience that is not checked is noted', async () => {
  const { findings } = await examine(byUrl(), { input: good({ aud: undefined }) });
  const note = findings.find(({ code }) => code === 'audience_unchecked');
  expect([note?.level, note?.says]).toEqual(['note', expect.stringMatching(/^It is absent\. The audience is not/)]);
});

describe('a set-up that is as it should be', () => {
  test('has no problem, and is told so', async () => {
    const env = { REDIS_URL: await userOf('exact', (rules) => rules) };
    const args = [...byUrl(), ...AUDIENCE];
    const before = await redis.cli('dbsize');
    const { findings, code } = await examine(args, { input: `Bearer ${good()}\n`, env });
    expect(findings.filter(({ level }) => level !== 'ok').map(({ says }) => says)).toEqual([]);
    expect(code).toBe(0);
    const codes = findings.map((finding) => finding.code);
    for (const expected of [
      'key_used',
      'clock_agrees',
      'token_accepted',
      'session_named',
      'session_live',
      'redis_acl',
      'redis_feed',
    ]) {
      expect(codes).toContain(expected);
    }
    // Nothing is recorded, and no key is left.
    expect(await redis.cli('dbsize')).toBe(before);

    const { stdout } = await command(['doctor', ...PATIENT, ...args], { input: good(), env });
    expect(stdout).toMatch(/^keys\n {2}ok +\S+ +RSA, 2048 bits: used, for RS256\.$/m);
    expect(stdout).toMatch(/^ {2}ok +aud +"shop" is accepted\.$/m);
    expect(stdout).toMatch(/\nNo problem was found\.\n$/);
  });

  test('by a JSON file, with a preset and references to secrets', async () => {
    const file = join(folder, 'shop.json');
    await writeFile(join(folder, 'secret'), `${SITE_ISSUER.secret}\n`);
    const settings = {
      issuer: { issuer: ISSUER, secret: { file: 'secret' }, session: 'sid', audience: 'shop' },
      redis: { env: 'SHOP_REDIS' },
      storeTimeout: '20s',
      revocationBound: '30s',
    };
    await writeFile(file, JSON.stringify(settings));
    const run = { input: tokenOf('ann', { aud: ['shop'] }), env: { SHOP_REDIS: redis.url } };
    const { findings, code } = await examine(['--config', file, '--store-timeout', '20s'], run);
    expect(findings.filter(({ level }) => level === 'problem').map(({ says }) => says)).toEqual([]);
    expect(code).toBe(0);
  });

  test('in a Cluster, until a slot has no master', async () => {
    const args = ['--redis', String(cluster.masters[0]?.url), '--cluster'];
    const whole = await examine(args);
    expect(whole.findings.filter(({ level }) => level === 'problem').map(({ says }) => says)).toEqual([]);
    expect(
      whole.findings
        .filter((finding) => finding.code === 'redis_policy')
        .map(({ name }) => name)
        .sort(),
    ).toEqual(cluster.masters.map(({ port }) => `127.0.0.1:${String(port)}`).sort());
    expect(whole.code).toBe(0);
    await cluster.masters[0]?.cli('cluster', 'delslots', '0');
    const { findings, code } = await examine([...args, '--store-timeout', '1s', '--revocation-bound', '5s']);
    const missing = findings.find((finding) => finding.code === 'redis_slots_missing');
    expect(missing?.says).toMatch(/^1 of the 16384 slots have no master/);
    expect(code).toBe(1);
  });
});

describe('what may come in', () => {
  const token = tokenOf('eve');
  const SETTINGS: readonly (readonly [string, unknown, RegExp])[] = [
    ['a misspelled name', { isuer: {} }, /no option "isuer": did you mean issuer\?/],
    [
      'a misspelled name in the issuer',
      { issuer: { issuer: 'a', secrt: 'x' } },
      /issuer has no option "secrt": did you mean secret\?/,
    ],
    ['the name of another package', { store: {} }, /no option "store": here it is called redis/],
    ['an option that the command does not use', { cookie: {} }, /no option "cookie": leave it out/],
    ['a public key as the secret', { issuer: { issuer: 'a', secret: '-----BEGIN PUBLIC KEY-----' } }, /publicKey/],
    ['a list', [], /must be a JSON object, got an empty list/],
    [
      'a variable that is not set',
      { issuer: { issuer: 'a', secret: { env: 'NOT_SET' } } },
      /issuer\.secret: .* not set/,
    ],
    ['a Redis without a place', { redis: { hots: 'redis.example.com' } }, /does not say where Redis is/],
    ['a reference beside something', { redis: { env: 'S', cluster: true } }, /does not say where Redis is: give url/],
    ['a Sentinel as a string', { redis: { sentinels: 'a:26379', name: 'm' } }, /redis\.sentinels must be a list/],
    ['a port that is none', { redis: { host: 'a', port: 99_999_999 } }, /redis\.port must be an integer/],
    ['a URL of something else', { redis: 'https://example.com' }, /must be a redis:\/\/ or rediss:\/\/ URL/],
  ];
  const LINES: readonly (readonly [string, readonly string[], Run, RegExp])[] = [
    ['nothing to check', [], {}, /nothing to check/],
    ['a token in argv', [...'--issuer a --secret-env S'.split(' '), token], {}, /looks like a token/],
    ['a token as a value', ['--issuer', token], {}, /looks like a token/],
    ['a secret in argv', ['--secret=hunter2hunter2'], {}, /There is no --secret: name the variable or the file/],
    ['a misspelled flag', ['--isuer', 'a'], {}, /no flag "isuer": did you mean issuer\?/],
    ['a flag without its value', ['--issuer', '--json'], {}, /--issuer needs a value/],
    ['huge input', ['--issuer', 'a', '--secret-env', 'S'], { input: 'a'.repeat(5_000_000) }, /More than 66000 bytes/],
    ['binary input', ['--issuer', 'a', '--secret-env', 'S'], { input: Buffer.from([0, 255, 254, 1, 128]) }, /not text/],
    ['two tokens', ['--issuer', 'a', '--secret-env', 'S'], { input: `${token}\n${token}` }, /one token is expected/],
    [
      'a token in UTF-16',
      ['--issuer', 'a', '--secret-env', 'S'],
      { input: Buffer.from(token, 'utf16le') },
      /not text in UTF-8/,
    ],
    ['the name of a file without <', ['token.txt', '--issuer', 'a', '--secret-env', 'S'], {}, /the token on stdin/],
    ['a file without end', ['--config', '/dev/zero'], {}, /larger than 1048576 bytes/],
    ['a file that is not there', ['--config', 'missing.json'], {}, /cannot be read: ENOENT/],
  ];

  async function isRefused(args: readonly string[], run: Run, says: RegExp): Promise<void> {
    const env = { S: 'a secret that is long enough, really' };
    const { code, stdout, stderr } = await commandHere(['doctor', ...args], { env, ...run });
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expect.stringMatching(says) as string });
    for (const secret of [token, 'hunter2', env.S]) expect(stderr).not.toContain(secret);
  }

  test('a byte order mark in a file is left out', async () => {
    const file = join(folder, 'with-mark.json');
    await writeFile(file, '\ufeff{"issuer":{"issuer":"a","secret":{"env":"S"}}}');
    const env = { S: 'a secret that is long enough, really' };
    expect(await commandHere(['doctor', '--config', file, '--no-token'], { env })).toMatchObject({
      code: 0,
      stderr: '',
    });
  });

  test.each([
    ['quotes around the header', (text: string) => `"Authorization: Bearer ${text}"\r\n`],
    ['quotes within it', (text: string) => `Bearer "${text}"`],
    ['a byte order mark', (text: string) => `\ufeff${text}\r\n`],
  ])('%s: the token is found', async (_, around) => {
    const { findings } = await examine(byUrl(), { input: around(good()) });
    expect(findings.map(({ code }) => code)).toContain('token_accepted');
  });

  test.each([
    ['five parts', 'eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d', true],
    ['no encrypted key', 'eyJhbGciOiJkaXIifQ..b.c.d', true],
    ['a token that was cut off', `${token.slice(0, 60)}...`, false],
    ['sentences', 'a.b.c.d.', false],
  ])('%s: encrypted or not', async (_, input, isEncrypted) => {
    const { findings } = await examine(byUrl(), { input });
    expect(findings.some(({ code }) => code === 'token_encrypted')).toBe(isEncrypted);
  });

  test('keys over http are noted, unless they come from this machine', async () => {
    const noted = async (url: string): Promise<boolean> => {
      const { findings } = await examine(['--issuer', 'a', '--jwks-uri', url, '--no-token']);
      return findings.some(({ code }) => code === 'keys_over_http');
    };
    const port = await freePort();
    // 127.0.0.1 in another form, which is not spelled as such.
    expect(await noted(`http://[::ffff:127.0.0.1]:${String(port)}/keys`)).toBe(true);
    for (const host of ['127.0.0.1', 'localhost', '[::1]'])
      expect([host, await noted(`http://${host}:${String(port)}/keys`)]).toEqual([host, false]);
    expect(await noted(`https://127.0.0.1:${String(port)}/keys`)).toBe(false);
  });

  test.each(LINES)('%s is refused', (_, args, run, says) => isRefused(args, run, says));

  test.each(SETTINGS)('in a file, %s is refused', async (_, settings, says) => {
    const file = join(folder, 'settings.json');
    await writeFile(file, JSON.stringify(settings));
    await isRefused(['--config', file], {}, says);
  });

  test('a token that is none, and claims that a terminal would obey, are shown harmlessly', async () => {
    const env = { S: SITE_ISSUER.secret };
    const args = ['doctor', '--issuer', ISSUER, '--secret-env', 'S', '--audience', 'shop'];
    const [none, evil] = await Promise.all([
      command(args, { input: '\u001b]0;owned\u0007.\u202e.x', env }),
      command(args, {
        input: tokenOf('\u001b[2J\u202eeve', { aud: '\u009b31m', 'na\u001b[me': 1, sid: undefined }),
        env,
      }),
    ]);
    expect(none.stdout).toMatch(/401 token_malformed/);
    expect(evil.stdout).toMatch(/401 audience_refused/);
    for (const { stdout, stderr } of [none, evil]) expect(stdout + stderr).not.toMatch(OBEYED);
  });
});

test('every command of the ACL in the docs is tried, and no other', async () => {
  const page = readFileSync(join(__dirname, '../../docs/redis.md'), 'utf8');
  const [, rules = ''] = /ACL SETUSER \S+ (.*?)\n```/s.exec(page) ?? [];
  const documented = Array.from(rules.matchAll(/\+([a-z|]+)/g), ([, name]) => name);
  expect(TRIALS.map(({ command: name }) => name).sort()).toEqual(documented.sort());
});

test('no trial changes anything', async () => {
  const server = await startRedis();
  try {
    for (const { command: name, call } of TRIALS)
      await server.cli(...name.split('|'), ...call('probe')).catch(() => undefined);
    // `del` comes after `incr`, which makes the key.
    expect(await server.cli('dbsize')).toBe(0);
  } finally {
    await server.stop();
  }
});

test.each(SHAPES.map((shape) => [shape.name, shape] as const))('a token of %s is recognised', (name, shape) => {
  const found = providerOf(firstClaims(shape, { user: 'ann', issuer: shape.issuer, at: 1_767_225_600 }));
  const expected = {
    authrocket: 'AuthRocket, version 2',
    'authrocket-v1': 'AuthRocket, version 1',
    auth0: 'Auth0',
    cognito: 'Amazon Cognito',
    'cognito-id': 'Amazon Cognito',
    firebase: 'Firebase',
    keycloak: 'Keycloak',
    'keycloak-24': 'Keycloak',
    'keycloak-session-state': 'Keycloak',
    entra: 'Microsoft Entra ID',
    'entra-tenants': 'Microsoft Entra ID',
    okta: 'Okta',
    supabase: 'Supabase',
    'supabase-secret': 'Supabase',
    clerk: 'Clerk',
    workos: 'WorkOS',
    hydra: 'Ory Hydra',
    'hydra-ext': 'Ory Hydra',
    zitadel: 'ZITADEL',
  }[name];
  // The others have nothing but the usual claims.
  expect(found?.name).toBe(expected);
});
