/** The recipes of docs/ending-sessions.md, as they stand there, in a site of two processes on one real Redis. */

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import jwt from 'jsonwebtoken';
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';
import { codeBlocks } from '../support/readme.js';
import { eventually, type TestRedis } from '../support/redis.js';
import { comeBack, startLastingRedis } from './kept.js';
import { ISSUER, SECRET } from './logins.js';

const root = join(__dirname, '../..');
const DOCS = 'docs/ending-sessions.md';
const BOUND = 3000;
const STORE_TIMEOUT = 2000;

/** The code under a heading. */
function recipe(heading: string): string {
  const sections = readFileSync(join(root, DOCS), 'utf8').split(/^## /m);
  const section = sections.find((text) => text.startsWith(`${heading}\n`)) ?? '';
  const [block, ...others] = codeBlocks(DOCS, section);
  if (block === undefined || others.length > 0) throw new Error(`${DOCS}: one block under ${heading}, please`);
  return block.code;
}

/** What the recipes take for granted; `db` waits for the test before it answers where it was told to. */
const SITE = `
import { once } from 'node:events';
import express from 'express';
import { managedSessions, redisStore } from 'managed-sessions';

const { issuer, redis, revocationBound, storeTimeout } = JSON.parse(process.argv[2]);
const sessions = managedSessions({ issuer, store: redisStore(redis), revocationBound, storeTimeout });
const tell = (message) => process.send(message);
sessions.on('sessionEnded', ({ user, reason, by, here }) => tell({ user: user.id, ended: [reason, by, here] }));

const addresses = new Map();
let isSlow = false;
process.on('message', (message) => { if (message === 'slow') isSlow = true; });
process.on('disconnect', () => process.exit());
async function wrote(user, ...change) {
  tell({ user, wrote: change });
  if (isSlow) await once(process, 'message');
  isSlow = false;
}
const db = {
  setPassword: (id, password) => wrote(id, 'password', password),
  disable: (id) => wrote(id, 'disabled'),
  removeRole: (id, role) => wrote(id, 'removed', role),
  async setEmail(id, email) {
    await wrote(id, 'email', email);
    const old = addresses.get(id) ?? id + '@old.example';
    addresses.set(id, email);
    return { old };
  },
};
const mail = async (to) => tell({ user: to.split('@')[0], mailed: to });
const app = express().use(express.json());

${recipe('A password or a factor was changed')}
${recipe('An account is disabled')}
${recipe('A role is taken away')}
${recipe('An e-mail address is changed')}

app.post('/account/email', sessions.required({ fresh: true }), async (req, res) => {
  await changeEmail(req.user.id, req.body.email, req.loginSession.handle);
  res.sendStatus(204);
});
app.post('/accounts/:id/disable', async (req, res) => {
  await disableAccount(req.params.id, 'op7');
  res.sendStatus(204);
});
app.post('/accounts/:id/demote', async (req, res) => {
  await demote(req.params.id, 'op7');
  res.sendStatus(204);
});
app.get('/', sessions.required(), (_req, res) => res.send('in'));
app.use((error, _req, res, _next) => res.status(error.status).send(error.code));
const server = app.listen(0, '127.0.0.1', () => tell({ port: server.address().port }));
// A busy machine lets a connection be idle for seconds, and the client would use it just as it is closed.
server.keepAliveTimeout = 0;
`;

interface Told {
  readonly port?: number;
  /** Whom the rest is about. */
  readonly user?: string;
  readonly wrote?: readonly string[];
  readonly mailed?: string;
  readonly ended?: readonly [reason: string, by: string | null, here: boolean];
}

/** One process of the site. */
class App {
  readonly #child: ChildProcess;
  readonly #told: Told[] = [];
  #url = '';
  #acceptedAt = -Infinity;

  constructor(file: string, redis: string) {
    const issuer = { issuer: ISSUER, secret: SECRET };
    const options = JSON.stringify({ issuer, redis, revocationBound: BOUND, storeTimeout: STORE_TIMEOUT });
    this.#child = fork(file, [options], { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#child.on('message', (message: Told) => this.#told.push(message));
  }

  async ready(): Promise<this> {
    const { port } = await eventually('it listens', () => Promise.resolve(this.#told.find((each) => 'port' in each)));
    this.#url = `http://127.0.0.1:${String(port)}`;
    return this;
  }

  /** When the latest request that was let in was sent, by `performance.now()`. */
  get acceptedAt(): number {
    return this.#acceptedAt;
  }

  /** What was told of this test's user, so far. */
  all<Name extends keyof Told>(name: Name): Told[Name][] {
    return this.#told.filter((each) => each.user === user && name in each).map((each) => each[name]);
  }

  say(word: 'slow' | 'go on'): void {
    this.#child.send(word);
  }

  async status(token: string): Promise<number> {
    const askedAt = performance.now();
    const answer = await fetch(this.#url, { headers: { authorization: `Bearer ${token}` } });
    await answer.text();
    if (answer.status === 200) this.#acceptedAt = Math.max(this.#acceptedAt, askedAt);
    return answer.status;
  }

  async post(path: string, token?: string, body: object = {}): Promise<[status: number, code: string]> {
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const headers = { 'content-type': 'application/json', ...authorization };
    const answer = await fetch(this.#url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    const text = await answer.text();
    return [answer.status, text.startsWith('{') ? (JSON.parse(text) as { code: string }).code : text];
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.disconnect();
    await exited;
  }
}

let home: string;
let redis: TestRedis;
let here: App;
let there: App;
/** Each test has one of its own. */
let user: string;
let users = 0;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'managed-sessions-recipes-'));
  await symlink(join(root, 'node_modules'), join(home, 'node_modules'));
  await mkdir(join(home, 'app/node_modules'), { recursive: true });
  await symlink(root, join(home, 'app/node_modules/managed-sessions'));
  const file = join(home, 'app/site.mjs');
  const compilerOptions = { module: ModuleKind.ESNext, target: ScriptTarget.ES2022 };
  await writeFile(file, transpileModule(SITE, { compilerOptions }).outputText);
  redis = await startLastingRedis();
  [here, there] = await Promise.all([new App(file, redis.url).ready(), new App(file, redis.url).ready()]);
});
afterAll(async () => {
  await Promise.all([here.stop(), there.stop()]);
  await redis.stop();
  await rm(home, { recursive: true, force: true });
});
beforeEach(() => {
  users += 1;
  user = `u${String(users)}`;
});

const tokenOf = (sid: string, ageInSeconds = 0): string =>
  jwt.sign({ sub: user, sid, iat: Math.floor(Date.now() / 1000) - ageInSeconds }, SECRET, {
    issuer: ISSUER,
    expiresIn: '1h',
  });

interface Tokens {
  readonly laptop: string;
  /** Seen in one process each, and in both. */
  readonly others: readonly string[];
  /** Never used so far. */
  readonly stolen: string;
}

async function signedIn(): Promise<Tokens> {
  const [laptop, phone, tablet, tv] = ['laptop', 'phone', 'tablet', 'tv'].map((sid) => tokenOf(sid)) as [
    string,
    string,
    string,
    string,
  ];
  await Promise.all([expectLive([laptop, phone, tv], [here]), expectLive([laptop, tablet, tv], [there])]);
  return { laptop, others: [phone, tablet, tv], stolen: tokenOf('stolen', 60) };
}

/** As soon as Redis is reached again; nothing is refused as ended meanwhile. */
function expectLive(tokens: readonly string[], apps = [here, there]): Promise<boolean> {
  return eventually('they are let in', async () => {
    const statuses = await Promise.all(apps.flatMap((app) => tokens.map((token) => app.status(token))));
    expect(statuses).not.toContain(401);
    return statuses.every((status) => status === 200);
  });
}

/** At once where it was done, and in the other process within the bound. */
async function expectEnded(tokens: readonly string[], acknowledgedAt: number): Promise<void> {
  expect(await Promise.all(tokens.map((token) => here.status(token)))).toEqual(tokens.map(() => 401));
  await eventually('the other process refuses them', async () => {
    const statuses = await Promise.all(tokens.map((token) => there.status(token)));
    return statuses.every((status) => status === 401);
  });
  expect(there.acceptedAt - acknowledgedAt).toBeLessThan(BOUND + STORE_TIMEOUT);
}

/** Each process is told of so many endings once, the first as the one that acted. */
async function expectTold(count: number, reason: string, by: string): Promise<void> {
  await eventually('both were told', () =>
    Promise.resolve([here, there].every((app) => app.all('ended').length >= count)),
  );
  expect(here.all('ended')).toEqual(Array(count).fill([reason, by, true]));
  expect(there.all('ended')).toEqual(Array(count).fill([reason, by, false]));
}

/** What a person sets off: how it is asked for, and what it does besides. */
const RECIPES = [
  {
    name: 'a password change',
    path: '/account/password',
    bodyOf: () => ({ password: 'new' }),
    reason: 'password_changed',
    wrote: () => ['password', 'new'],
    mailed: () => [],
  },
  {
    name: 'an e-mail change',
    path: '/account/email',
    bodyOf: () => ({ email: `${user}@new.example` }),
    reason: 'email_changed',
    wrote: () => ['email', `${user}@new.example`],
    mailed: () => [`${user}@old.example`],
  },
];

describe.each(RECIPES)('$name', ({ path, bodyOf, reason, wrote, mailed }) => {
  it('ends every other session in every process, and the session that did it lives', async () => {
    const { laptop, others, stolen } = await signedIn();
    expect(await here.post(path, laptop, bodyOf())).toEqual([204, '']);
    await expectEnded([...others, stolen], performance.now());
    await expectLive([laptop, tokenOf('next')]);
    expect([here.all('wrote'), here.all('mailed')]).toEqual([[wrote()], mailed()]);
    await expectTold(3, reason, user);
  });

  it('needs a login', async () => {
    expect((await here.post(path, undefined, bodyOf()))[0]).toBe(401);
    expect((await here.post(path, 'rubbish', bodyOf()))[0]).toBe(401);
    expect(here.all('wrote')).toEqual([]);
  });

  it('is refused while Redis is away, and nothing is changed', async () => {
    const { laptop, others } = await signedIn();
    await redis.kill();
    expect(await here.post(path, laptop, bodyOf())).toEqual([503, 'store_unavailable']);
    await comeBack(redis);
    await expectLive([laptop, ...others]);
    expect([here.all('wrote'), here.all('mailed'), here.all('ended')]).toEqual([[], [], []]);
  });

  it('says so where Redis is lost in the middle, and is repeated', async () => {
    const { laptop, others, stolen } = await signedIn();
    here.say('slow');
    const answer = here.post(path, laptop, bodyOf());
    await eventually('it is written', () => Promise.resolve(here.all('wrote').length === 1));
    await redis.kill();
    here.say('go on');
    expect(await answer).toEqual([503, 'store_unavailable']);
    // Whoever loses the address is told, whatever becomes of the rest.
    expect(here.all('mailed')).toEqual(mailed());
    expect(here.all('ended')).toEqual([]);

    await comeBack(redis);
    await eventually('it is repeated', async () => (await here.post(path, laptop, bodyOf()))[0] === 204);
    await expectEnded([...others, stolen], performance.now());
    await expectLive([laptop]);
    await expectTold(3, reason, user);
    expect(here.all('mailed')).toEqual(mailed());
  });
});

describe('an account that is disabled', () => {
  const disable = (): Promise<[number, string]> => here.post(`/accounts/${user}/disable`);

  it('has no session left in any process', async () => {
    const { laptop, others, stolen } = await signedIn();
    expect(await disable()).toEqual([204, '']);
    await expectEnded([laptop, ...others, stolen], performance.now());
    await expectTold(4, 'account_disabled', 'op7');
    expect(here.all('wrote')).toEqual([['disabled']]);
    // To stop this is the provider's part: a login after the cutoff is a new session.
    await expectLive([tokenOf('next')]);
  });

  it('is not ended in part while Redis is away, and is ended when that is repeated', async () => {
    const { laptop, others } = await signedIn();
    await redis.kill();
    expect(await disable()).toEqual([503, 'store_unavailable']);
    await comeBack(redis);
    await expectLive([laptop, ...others]);
    expect(here.all('ended')).toEqual([]);

    expect(await disable()).toEqual([204, '']);
    await expectEnded([laptop, ...others], performance.now());
    await expectTold(4, 'account_disabled', 'op7');
  });
});

describe('a role that is taken away', () => {
  const demote = (): Promise<[number, string]> => here.post(`/accounts/${user}/demote`);

  it('refuses every token of before in every process, and the next one of each session passes', async () => {
    const { laptop, others, stolen } = await signedIn();
    expect(await demote()).toEqual([204, '']);
    const acknowledgedAt = performance.now();
    expect(here.all('wrote')).toEqual([['removed', 'admin']]);
    await expectEnded([laptop, ...others, stolen], acknowledgedAt);
    const next = ['laptop', 'phone', 'tablet', 'tv'].map((sid) => tokenOf(sid, -2));
    await expectLive(next);
    expect([here.all('ended'), there.all('ended')]).toEqual([[], []]);
  });

  it('is refused while Redis is away, and is in force when that is repeated', async () => {
    const { laptop, others } = await signedIn();
    await redis.kill();
    expect(await demote()).toEqual([503, 'store_unavailable']);
    await comeBack(redis);
    await eventually('it is repeated', async () => (await demote())[0] === 204);
    await expectEnded([laptop, ...others], performance.now());
    await expectLive([tokenOf('laptop', -2)]);
  });
});
