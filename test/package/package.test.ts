/** The tarball is the product: it is packed, inspected, installed into projects of every kind, and run there. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { unsupportedNode } from '../../lib/node-version.js';

const root = join(__dirname, '../..');
const modules = join(root, 'node_modules');
const script = (path: string): string => join(modules, path);

const TYPESCRIPT = script('typescript/bin/tsc');
/** What an app has beside the package; linked, because these are not what is tested. */
const LINKED = ['express', '@types/express', '@types/node', 'passport', '@types/passport'];

/** From test/consumers, which has more projects: each installs all of what it uses, and none is linked. */
interface Sources {
  readonly esm: string;
  readonly commonJs: string;
  readonly types: Readonly<Record<'codes' | 'register' | 'passport', string>>;
}

const READ_SOURCES = `
import { program, source, toCommonJs } from './test/consumers/projects.mjs';
const types = ['codes', 'register', 'passport'].map((name) => [name, source('types/' + name + '.mts')]);
console.log(JSON.stringify({ esm: program(), commonJs: toCommonJs(program()), types: Object.fromEntries(types) }));
`;

const AS_EXPECTED = 'All answers are as expected.\n';

/** Jest resolves and loads modules in its own way, and the suites of those who use the package run there. */
const SUITE = `
test.each(['managed-sessions', 'managed-sessions/client', 'managed-sessions/testing'])('%s loads', (entry) => {
  expect(Object.keys(require(entry))).not.toEqual([]);
});
`;

const EXPORTS = {
  'managed-sessions': [
    'LoginError',
    'PAGE_SCRIPT_SOURCE',
    'PAGE_STYLE_SOURCE',
    'authRocket',
    'authRocketV1',
    'managedSessions',
    'memoryStore',
    'oidc',
    'redisStore',
  ],
  'managed-sessions/client': ['isExpired', 'parseLoginToken', 'watchSession'],
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
let sources: Sources;

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
  sources = JSON.parse(await node(root, '--input-type=module', '-e', READ_SOURCES)) as Sources;
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
      'CONTRIBUTING.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'llms.txt',
      'openapi.json',
      'package.json',
    ];
    const forOldResolvers = ['client/package.json', 'testing/package.json'];
    const docs = pages.map((name) => `docs/${name}`);
    expect(packed).toEqual([...built, ...command, ...beside, ...forOldResolvers, ...docs].sort());
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

it.each(['client', 'testing'])('%s is found without `exports`, as by Jest 27', async (name) => {
  const names = `JSON.stringify(Object.keys(require('./node_modules/managed-sessions/${name}')).sort())`;

  expect(JSON.parse(await node(folder, '-p', names))).toEqual(
    EXPORTS[`managed-sessions/${name}` as keyof typeof EXPORTS],
  );
});

describe('an old Node', () => {
  /** What the check reads. That an old Node can load the check itself, `npm run test:consumers` shows with real ones. */
  const PRETEND = `Object.defineProperty(process.versions, 'node', { value: '18.20.8' });`;
  const SENTENCE =
    /^Error: managed-sessions needs Node 20\.19 or later, and not Node 21, but this is Node 18\.20\.8\.$/m;

  it.each(['managed-sessions', 'managed-sessions/testing'])('is refused by %s in one sentence', async (entry) => {
    await writeFile(join(folder, 'pretend.cjs'), PRETEND);
    for (const args of [
      ['-e', `require('${entry}')`],
      ['--input-type=module', '-e', `import '${entry}'`],
    ]) {
      await expect(node(folder, '--require', './pretend.cjs', ...args)).rejects.toThrow(SENTENCE);
    }
  });

  it.each([
    ['20.18.3', false],
    ['20.19.0', true],
    ['21.7.3', false],
    ['22.0.0', true],
    ['100.0.0-nightly', true],
    ['9.11.2', false],
    ['unknown', false],
  ])('%s: %s', (version, isSupported) => {
    expect(unsupportedNode(version) === null).toBe(isSupported);
  });
});

describe('a project that installed it', () => {
  it.each([
    ['CommonJS', 'program.cjs', 'commonJs'],
    ['ESM', 'program.mjs', 'esm'],
  ] as const)('runs as %s', async (_kind, file, format) => {
    await writeFile(join(folder, file), sources[format]);

    await expect(node(folder, file)).resolves.toBe(AS_EXPECTED);
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
      for (const kind of ['cts', 'mts']) {
        await writeFile(join(project(), `program.${kind}`), sources.esm);
        await writeFile(join(project(), `codes.${kind}`), sources.types.codes);
      }
      // The declarations are checked too: `skipLibCheck` is off.
      const compilerOptions = { strict: true, module: 'node16', target: 'es2022', types: ['node'], outDir: 'out' };
      await writeFile(join(project(), 'tsconfig.json'), JSON.stringify({ compilerOptions }));
      await node(project(), TYPESCRIPT, '-p', '.');
    });

    it.each([
      ['CommonJS', 'program.cjs'],
      ['ESM', 'program.mjs'],
    ])('compiles to %s, and runs', async (_kind, file) => {
      await expect(node(project(), join('out', file))).resolves.toBe(AS_EXPECTED);
    });

    // One of each kind: a compiler takes seconds.
    it.each([
      ['an account that is loaded', 'register', 'mts'],
      ['an Express.User of the application', 'passport', 'cts'],
    ] as const)('has the right type of req.user: %s, %s.%s', async (_what, name, extension) => {
      const place = join(folder, `${name}-${extension}`);
      await mkdir(place);
      await writeFile(join(place, `program.${extension}`), sources.types[name]);
      const compilerOptions = { strict: true, module: 'node16', target: 'es2022', types: ['node'], noEmit: true };
      const options = { ...compilerOptions, esModuleInterop: true, skipLibCheck: false };
      await writeFile(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions: options }));
      await expect(node(place, TYPESCRIPT, '-p', '.')).resolves.toBe('');
    });
  });
});
