/** What an operator does at night, on a real Redis, while processes of the site are running. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { redisStore } from '../../lib/index.js';
import { command, commandHere, type Outcome } from '../support/command.js';
import { eventually, freePort, startRedis, type TestRedis } from '../support/redis.js';
import { ISSUER, startSite, tokenOf, untilAnswers, untilFresh, type Site } from '../support/site.js';
import { startProxy } from '../support/tcp-proxy.js';

/** What a terminal obeys, apart from a line break. */
const OBEYED = /[^\P{C}\n]/u;
const HANDLE_SECRET = 'a secret for handles, of 16 bytes';

let redis: TestRedis;
let site: Site;
let folder: string;

beforeAll(async () => {
  redis = await startRedis();
  site = await startSite({ store: redisStore(redis.url), handleSecret: HANDLE_SECRET });
  folder = await mkdtemp(join(tmpdir(), 'managed-sessions-operator-'));
});

afterAll(async () => {
  await site.stop();
  await Promise.all([redis.stop(), rm(folder, { recursive: true, force: true })]);
});

/** Times that no busy machine exceeds. */
const PATIENT = ['--store-timeout', '20s', '--revocation-bound', '30s'];
const HERE = (): string[] => ['--redis', redis.url, '--issuer', ISSUER, '--handle-secret-env', 'HANDLES', ...PATIENT];
const ENDING = (): string[] => ['--redis', redis.url, '--issuer', ISSUER, '--yes', ...PATIENT];
const env = { HANDLES: HANDLE_SECRET };

/** Signed in, and known to the site. */
async function signedIn(user: string, claims: object = {}, userAgent = 'Firefox/131.0'): Promise<string> {
  const token = tokenOf(user, claims);
  await untilAnswers(site, token, 200);
  await site.sessions.verify(token, { ip: '203.0.113.7', userAgent });
  await untilFresh(site);
  return token;
}

async function handleOf(user: string): Promise<string> {
  return String((await site.sessions.list(user)).sessions[0]?.handle);
}

const answered = ({ code, stdout }: Outcome): object => ({ exit: code, ...JSON.parse(stdout) });

test('list shows the live sessions, as the site does, and revoke ends one of them', async () => {
  const [phone, laptop] = [await signedIn('ann', { sid: 'phone' }), await signedIn('ann', { sid: 'laptop' })];
  const { sessions } = await site.sessions.list('ann');
  const listed = await command(['list', 'ann', ...HERE(), '--json'], { env });
  expect(answered(listed)).toEqual({ exit: 0, user: { issuer: ISSUER, subject: 'ann' }, sessions });

  const shown = await commandHere(['list', 'ann', ...HERE()], { env });
  const [head = '', ...rows] = shown.stdout.trimEnd().split('\n');
  expect(head).toMatch(/^HANDLE {18}LAST SEEN/);
  expect(rows.map((row) => row.slice(0, 22))).toEqual(sessions.map(({ handle }) => handle));
  expect(rows[0]?.indexOf('203.0.113.7')).toBe(head.indexOf('ADDRESS'));

  const ended = sessions[0]?.handle ?? '';
  const revoked = await command(['revoke', 'ann', ended, ...HERE(), '--yes', '--reason', 'stolen', '--by', 'op7'], {
    env,
  });
  expect(revoked).toMatchObject({ code: 0, stderr: '' });
  expect(revoked.stdout).toBe(
    `The session ${ended} of ann of ${ISSUER} is ended. This is in force in every process within 30 s.\n`,
  );
  await untilAnswers(site, laptop, 401);
  expect((await site.ask(phone)).status).toBe(200);
  expect(redis.url).not.toContain('@');
});

test('revoke says if there is no such session', async () => {
  await signedIn('bea');
  const outcome = await commandHere(['revoke', 'bea', 'x'.repeat(22), ...HERE(), '--yes', '--json'], { env });
  expect(answered(outcome)).toMatchObject({ exit: 1, done: false, code: 'session_not_found' });
  expect(outcome.stderr).toMatch(/There is no such session/);
});

test('a handle that begins with a hyphen is not taken for a flag', async () => {
  const outcome = await commandHere(['revoke', 'bea', `-${'x'.repeat(21)}`, ...HERE(), '--yes'], { env });
  expect(outcome).toMatchObject({ code: 1, stderr: expect.stringMatching(/There is no such session/) as string });
});

test('revoke-all ends the sessions of several users, of a file too, also one never seen here', async () => {
  const tokens = [await signedIn('cleo'), await signedIn('dan', { sid: 's1' }), await signedIn('dan', { sid: 's2' })];
  const unseen = tokenOf('eve', { iat: Math.floor(Date.now() / 1000) - 60 });
  await writeFile(join(folder, 'users'), 'dan\r\n\n eve \n');
  const outcome = await commandHere([
    'revoke-all',
    'cleo',
    '--users-file',
    join(folder, 'users'),
    ...ENDING(),
    '--json',
  ]);
  expect(answered(outcome)).toEqual({
    exit: 0,
    done: true,
    inForceWithin: '30 s',
    users: [
      { issuer: ISSUER, subject: 'cleo', ended: 1 },
      { issuer: ISSUER, subject: 'dan', ended: 2 },
      { issuer: ISSUER, subject: 'eve', ended: 0 },
    ],
  });
  for (const token of [...tokens, unseen]) await untilAnswers(site, token, 401);
});

test('expire-tokens refuses the token, and the session stays', async () => {
  const token = await signedIn('fay');
  const before = await handleOf('fay');
  expect(await commandHere(['expire-tokens', 'fay', ...ENDING()])).toMatchObject({ code: 0 });
  await eventually('the token is stale', async () => (await site.ask(token)).code === 'token_stale');
  expect(await handleOf('fay')).toBe(before);
});

test('who did it is kept with the ending', async () => {
  const told: unknown[] = [];
  const off = site.sessions.on('sessionEnded', ({ reason, by }) => told.push([reason, by]));
  const token = await signedIn('gus');
  await commandHere(['revoke-all', 'gus', ...ENDING(), '--reason', 'stolen']);
  await untilAnswers(site, token, 401);
  await eventually('the site was told', async () => told.length > 0);
  off();
  expect(told).toEqual([['stolen', expect.stringMatching(/^cli:./)]]);
});

describe('before something that cannot be undone', () => {
  test.each([
    ['revoke', () => ['revoke', 'hal', 'x'.repeat(22)]],
    ['revoke-all', () => ['revoke-all', 'hal']],
    ['expire-tokens', () => ['expire-tokens', 'hal']],
    ['end-everywhere', () => ['end-everywhere']],
  ])('%s does nothing in a script without --yes', async (name, args) => {
    const token = await signedIn('hal');
    const place = name === 'end-everywhere' ? ['--redis', redis.url] : ['--redis', redis.url, '--issuer', ISSUER];
    expect(await commandHere([...args(), ...place])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/no terminal to ask you on.*say --yes/) as string,
    });
    expect((await site.ask(token)).status).toBe(200);
  });

  test('a person is shown what it is, and asked', async () => {
    const token = await signedIn('ida', {}, 'evil\u001b[2J\u202e/1');
    const handle = await handleOf('ida');
    const args = ['revoke', 'ida', handle, ...HERE()];
    const no = await commandHere(args, { env, answers: [''] });
    expect(no).toMatchObject({ code: 1, stdout: '' });
    expect(no.stderr).toMatch(/203\.0\.113\.7 {2}evil/);
    expect(no.stderr).toMatch(/End this session of ida of .*\? \[y\/N\]/);
    expect(no.stderr).toMatch(/Nothing was done\./);
    for (const obeyed of ['\u001b[2J', '\u202e']) expect(no.stderr).not.toContain(obeyed);
    expect((await site.ask(token)).status).toBe(200);

    const all = await commandHere(['revoke-all', 'ida', ...HERE().slice(0, 4), ...PATIENT], { answers: ['y'] });
    expect(all).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/never seen here\? 1 is on record\. \[y\/N\]/) as string,
    });
    await untilAnswers(site, token, 401);
  });
});

test('a list is safe in a terminal, as a table and as JSON', async () => {
  await signedIn('jon', {}, 'evil\u001b[31m\u009b2J\u202e/1');
  await site.sessions.label('jon', await handleOf('jon'), '\u202emum');
  for (const more of [[], ['--json']]) {
    const { stdout } = await commandHere(['list', 'jon', ...HERE(), ...more], { env });
    expect(stdout).not.toMatch(OBEYED);
    if (more.length > 0) expect(JSON.parse(stdout).sessions[0].label).toBe('\u202emum');
  }
});

test('a user needs an issuer, from a flag or the file, whose secrets are not read', async () => {
  expect(await commandHere(['list', 'ann', '--redis', redis.url])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/give --issuer/) as string,
  });
  const file = join(folder, 'shop.json');
  const settings = {
    issuer: { issuer: ISSUER, secret: { env: 'NOT_SET_HERE' } },
    redis: redis.url,
    storeTimeout: '20s',
    revocationBound: '30s',
  };
  await writeFile(file, JSON.stringify(settings));
  const outcome = await commandHere(['list', 'nobody', '--config', file, '--json']);
  expect(answered(outcome)).toEqual({ exit: 0, user: { issuer: ISSUER, subject: 'nobody' }, sessions: [] });
});

describe('where nothing was found', () => {
  test.each(['revoke-all', 'expire-tokens'])('%s says so', async (name) => {
    await signedIn(name);
    const wrong = await commandHere([name, name, '--redis', redis.url, '--issuer', `${ISSUER}x`, '--yes', ...PATIENT]);
    expect(wrong).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^No live session of \S+ of \S+x was on record at .* compare .*--issuer/) as string,
    });
    expect(await commandHere([name, name, ...ENDING()])).toMatchObject({ code: 0, stderr: '' });
  });

  test('end-everywhere says so, before it asks', async () => {
    const args = ['end-everywhere', '--redis', redis.url, ...PATIENT];
    const wrong = await commandHere([...args, '--prefix', 'm*'], { answers: ['n'] });
    expect(wrong.stderr).toMatch(/^Nothing is kept at .* prefix m\*: compare the prefix[\s\S]*End every session/);
    expect((await commandHere(args, { answers: ['n'] })).stderr).not.toMatch(/Nothing is kept/);
  });
});

test('a file of users in UTF-16 ends nothing: its letters are not those names', async () => {
  const file = join(folder, 'utf-16');
  for (const bytes of [Buffer.from('\ufeffann\n', 'utf16le'), Buffer.from('ann\n', 'utf16le')]) {
    await writeFile(file, bytes);
    expect(await commandHere(['revoke-all', '--users-file', file, ...ENDING()])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/--users-file is not text in UTF-8/) as string,
    });
  }
});

test('without Redis, a list says nothing of endings', async () => {
  const url = `redis://127.0.0.1:${String(await freePort())}`;
  const { code, stderr } = await commandHere(['list', 'ann', '--redis', url, '--issuer', ISSUER]);
  expect(code).toBe(3);
  expect(stderr).toMatch(/ECONNREFUSED/);
  expect(stderr).not.toMatch(/in force/);
});

test('without Redis, nothing is claimed, and the password is not shown', async () => {
  const url = `redis://op:hunter2@127.0.0.1:${String(await freePort())}`;
  const outcome = await command(['revoke-all', 'ann', '--issuer', ISSUER, '--yes'], { env: { REDIS_URL: url } });
  expect(outcome).toMatchObject({ code: 3, stdout: '' });
  expect(outcome.stderr).toMatch(/ECONNREFUSED.*may be in force in part\. Repeat the command/);
  expect(outcome.stderr).not.toContain('hunter2');
});

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s: it says what was done and what was not', async (signal) => {
  const proxy = await startProxy(redis);
  proxy.blackhole();
  try {
    const args = [
      'revoke-all',
      'ann',
      'bea',
      '--redis',
      `redis://127.0.0.1:${String(proxy.port)}`,
      '--issuer',
      ISSUER,
      '--yes',
    ];
    const outcome = await command([...args, ...PATIENT], {
      during: async (child) => {
        await eventually('it has connected', async () => proxy.accepted() > 0);
        child.kill(signal);
      },
    });
    expect(outcome).toMatchObject({ code: 130, stdout: '' });
    expect(outcome.stderr).toMatch(/Interrupted\. 0 of 2 users are done\. For ann of .* not acknowledged.* Repeat/);
  } finally {
    await proxy.close();
  }
});

test('end-everywhere ends the sessions of all users', async () => {
  const tokens = [await signedIn('kim'), await signedIn('lea')];
  const { code, stdout } = await commandHere(['end-everywhere', '--redis', redis.url, '--yes', ...PATIENT]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/Every session of every user at redis:\/\/127.* prefix ms is ended\. .* within 30 s/);
  for (const token of tokens) await untilAnswers(site, token, 401);
});
