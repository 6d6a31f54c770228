/** The tarball is the product: it is packed, inspected, installed into projects of every kind, and run there. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(__dirname, '../..');
const modules = join(root, 'node_modules');
const script = (path: string): string => join(modules, path);

const TYPESCRIPT = script('typescript/bin/tsc');
/** What an app has beside the package; linked, because these are not what is tested. */
const LINKED = ['express', '@types/express', '@types/node', 'passport', '@types/passport'];

const IMPORT = `
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import express from 'express';
import { managedSessions, memoryStore } from 'managed-sessions';
import { isExpired, parseLoginToken } from 'managed-sessions/client';
import { createTestClock } from 'managed-sessions/testing';
`;

const REQUIRE = `
const { createHmac } = require('node:crypto');
const { once } = require('node:events');
const express = require('express');
const { managedSessions, memoryStore } = require('managed-sessions');
const { isExpired, parseLoginToken } = require('managed-sessions/client');
const { createTestClock } = require('managed-sessions/testing');
`;

/** JavaScript and strict TypeScript at once. It must come to its end by itself: a closed package keeps no process alive. */
const PROGRAM = `
const issuer = 'https://id.example.com/';
const secret = 'a shared secret of more than 32 bytes';

function encode(value = {}) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function issue(subject = '') {
  const now = Math.floor(Date.now() / 1000);
  const input = encode({ alg: 'HS256' }) + '.' + encode({ iss: issuer, sub: subject, sid: 's1', iat: now, exp: now + 60 });
  return input + '.' + createHmac('sha256', secret).update(input).digest('base64url');
}

async function main() {
  const sessions = managedSessions({ issuer: { issuer, secret }, store: memoryStore() });
  const app = express();
  app.use(sessions);
  app.use('/account/sessions', sessions.router());
  app.get('/', (req, res) => void res.json({ id: req.user?.id }));

  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = 'http://127.0.0.1:' + Object(server.address()).port;
  const token = issue('ada');
  const headers = { authorization: 'Bearer ' + token, accept: 'application/json' };
  const claims = parseLoginToken(token);

  console.log(
    JSON.stringify({
      anonymous: (await fetch(url)).status,
      user: await (await fetch(url, { headers })).json(),
      sessions: (await fetch(url + '/account/sessions', { headers })).status,
      expired: claims && isExpired(claims),
      clock: typeof createTestClock,
    }),
  );
  server.close();
  await sessions.close();
}

void main();
`;

const ANSWERS = { anonymous: 401, user: { id: 'ada' }, sessions: 200, expired: false, clock: 'function' };

/** What only types say; never called. */
const TYPED = `
import { LoginError, type LoginErrorCode } from 'managed-sessions';

export async function typed() {
  const code: LoginErrorCode = new LoginError('no_token', '').code;
  // @ts-expect-error a misspelled code
  const misspelled: LoginErrorCode = 'no_tokens';
  // @ts-expect-error a misspelled option
  managedSessions({ issuer: { issuer, secret }, stor: memoryStore() });
  const sessions = managedSessions({ issuer: { issuer, secret }, user: (claims) => ({ id: claims['sub'], admin: true }) });
  const { user } = await sessions.verify(issue('ada'));
  const admin: boolean = user.admin;
  return [code, misspelled, admin];
}
`;

/** What `req.user` is by `Register`, and beside an application's own `Express.User`. Only types; never run. */
const REQUEST_USERS = {
  'an account that is loaded': `
import express from 'express';
import { managedSessions } from 'managed-sessions';
interface Account { readonly plan: 'free' | 'paid'; readonly seats: number }
declare const accounts: { get(id: unknown): Promise<Account | null> };
declare module 'managed-sessions' { interface Register { user: Account } }
const sessions = managedSessions({ issuer: { issuer: 'a', secret: 's' }, user: async ({ sub }) => accounts.get(sub) });
express().use(sessions).get('/', (req, res) => {
  const plan: 'free' | 'paid' | undefined = req.user?.plan;
  // @ts-expect-error an Account has no claims
  res.json([plan, req.user?.claims]);
});
export async function seats(token: string): Promise<number> {
  return (await sessions.verify(token)).user.seats;
}
`,
  'an Express.User of the application': `
import express from 'express';
import passport from 'passport';
import { managedSessions } from 'managed-sessions';
declare global { namespace Express { interface User { id: number; isAdmin: boolean } } }
declare module 'managed-sessions' { interface Register { user: object } }
const sessions = managedSessions({ issuer: { issuer: 'a', secret: 's' }, user: () => ({ id: 7, isAdmin: true }) });
express().use(passport.initialize()).use(sessions).get('/', (req, res) => {
  const id: number | undefined = req.user?.id;
  // @ts-expect-error it is a number
  const name: string | undefined = req.user?.id;
  res.json([id, name]);
});
`,
} as const;

/** Jest resolves and loads modules in its own way, and the suites of those who use the package run there. */
const SUITE = `
test.each(['managed-sessions', 'managed-sessions/client', 'managed-sessions/testing'])('%s loads', (entry) => {
  expect(Object.keys(require(entry))).not.toEqual([]);
});
`;

const EXPORTS = {
  'managed-sessions': [
    'LoginError',
    'PAGE_STYLE_SOURCE',
    'authRocket',
    'authRocketV1',
    'managedSessions',
    'memoryStore',
    'oidc',
    'redisStore',
  ],
  'managed-sessions/client': ['isExpired', 'parseLoginToken'],
  'managed-sessions/testing': [
    'createTestClock',
    'createTestIssuer',
    'createTestStore',
    'describeSessionStore',
    'signIn',
  ],
};

/** Resolves to what the command printed; the failure's message holds all it said. */
async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const { NODE_OPTIONS: _, ...env } = process.env;
  try {
    return (await promisify(execFile)(command, args, { cwd, env: { ...env, NO_COLOR: '1' }, timeout: 240_000 })).stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}`, { cause: error });
  }
}

const node = (cwd: string, ...args: string[]): Promise<string> => run(process.execPath, args, cwd);

const isOfCommand = (name: string): boolean => name.startsWith('cli/');

let folder = '';
let tarball = '';
let packed: string[] = [];

async function pack(): Promise<void> {
  const output = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root);
  const [report] = JSON.parse(output) as [{ filename: string; files: { path: string }[] }];
  tarball = join(folder, report.filename);
  packed = report.files.map((file) => file.path).sort();
}

async function install(): Promise<void> {
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({ private: true, dependencies: { 'managed-sessions': `file:${tarball}` } }),
  );
  await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'], folder);
  await mkdir(join(folder, 'node_modules/@types'), { recursive: true });
  for (const name of LINKED) {
    const link = join(folder, 'node_modules', name);
    if (!existsSync(link)) await symlink(join(modules, name), link);
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'managed-sessions-packed-'));
  await pack();
  await install();
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('the tarball', () => {
  it('holds the build, its words, and nothing else', async () => {
    const sources = (await readdir(join(root, 'lib'), { recursive: true }))
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
      .map((name) => name.replace(/\.ts$/, ''));
    const built = ['dist/cjs', 'dist/esm'].flatMap((dir) => [
      `${dir}/package.json`,
      ...sources.filter((name) => !isOfCommand(name)).flatMap((name) => [`${dir}/${name}.js`, `${dir}/${name}.d.ts`]),
    ]);
    // It is run, and never imported.
    const command = sources.filter(isOfCommand).map((name) => `dist/esm/${name}.js`);

    const pages = (await readdir(join(root, 'docs'))).filter((name) => /\.(?:md|png|svg|json|yml)$/.test(name));
    const beside = [
      'ARCHITECTURE.md',
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'openapi.json',
      'package.json',
    ];
    expect(packed).toEqual([...built, ...command, ...beside, ...pages.map((name) => `docs/${name}`)].sort());
  });

  it('brings the command', async () => {
    const output = await run(join(folder, 'node_modules/.bin/managed-sessions'), ['help'], folder);
    expect(output).toMatch(/^managed-sessions <command> \[flags\]\n/);
  });

  it('names no path of the machine that built it', async () => {
    const installed = join(folder, 'node_modules/managed-sessions');
    for (const file of packed) expect(await readFile(join(installed, file), 'utf8')).not.toContain(root);
  });

  it('satisfies publint', async () => {
    await expect(node(root, script('publint/src/cli.js'), 'run', tarball, '--strict')).resolves.toContain('All good');
  });

  it('has the right types for every way of resolving them', async () => {
    const output = await node(root, script('@arethetypeswrong/cli/dist/index.js'), tarball, '--no-emoji');

    expect(output).toContain('No problems found');
  });
});

describe.each(Object.entries(EXPORTS))('%s', (entry, names) => {
  it('exports to require() what the README names', async () => {
    const output = await node(folder, '-p', `JSON.stringify(Object.keys(require('${entry}')).sort())`);

    expect(JSON.parse(output)).toEqual(names);
  });

  it('exports to import what the README names', async () => {
    const list = `console.log(JSON.stringify(Object.keys(await import('${entry}')).sort()))`;

    expect(JSON.parse(await node(folder, '--input-type=module', '-e', list))).toEqual(names);
  });
});

describe('a project that installed it', () => {
  it.each([
    ['CommonJS', 'program.cjs', REQUIRE],
    ['ESM', 'program.mjs', IMPORT],
  ])('runs as %s', async (_kind, file, head) => {
    await writeFile(join(folder, file), head + PROGRAM);

    expect(JSON.parse(await node(folder, file))).toEqual(ANSWERS);
  });

  it('loads under Jest', async () => {
    await writeFile(join(folder, 'loads.test.cjs'), SUITE);
    const config = JSON.stringify({ rootDir: folder, testMatch: ['**/loads.test.cjs'] });

    await expect(node(folder, script('jest/bin/jest.js'), '--config', config)).resolves.toBeDefined();
  });

  describe('in TypeScript', () => {
    const project = (): string => join(folder, 'typescript');

    beforeAll(async () => {
      await mkdir(project());
      for (const file of ['program.cts', 'program.mts'])
        await writeFile(join(project(), file), IMPORT + PROGRAM + TYPED);
      // The declarations are checked too: `skipLibCheck` is off.
      const compilerOptions = { strict: true, module: 'node16', target: 'es2022', types: ['node'], outDir: 'out' };
      await writeFile(join(project(), 'tsconfig.json'), JSON.stringify({ compilerOptions }));
      await node(project(), TYPESCRIPT, '-p', '.');
    });

    it.each([
      ['CommonJS', 'program.cjs'],
      ['ESM', 'program.mjs'],
    ])('compiles to %s, and runs', async (_kind, file) => {
      expect(JSON.parse(await node(project(), join('out', file)))).toEqual(ANSWERS);
    });

    // One of each kind: a compiler takes seconds.
    it.each([
      ['an account that is loaded', 'mts'],
      ['an Express.User of the application', 'cts'],
    ] as const)('has the right type of req.user: %s, .%s', async (what, extension) => {
      const place = join(folder, `${what.replaceAll(/\W/g, '-')}-${extension}`);
      await mkdir(place);
      await writeFile(join(place, `program.${extension}`), REQUEST_USERS[what]);
      const compilerOptions = { strict: true, module: 'node16', target: 'es2022', types: ['node'], noEmit: true };
      const options = { ...compilerOptions, esModuleInterop: true, skipLibCheck: false };
      await writeFile(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions: options }));
      await expect(node(place, TYPESCRIPT, '-p', '.')).resolves.toBe('');
    });
  });
});
