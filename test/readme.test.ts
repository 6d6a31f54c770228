/** Every code block of the documentation is run, type-checked or looked up: what is pasted works. */

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { codeBlocks, commandProblem, moduleOf, type CodeBlock, type Run } from './support/readme.js';

const root = join(__dirname, '..');
const modules = join(root, 'node_modules');

/** File name endings: every block of code is an ES module. */
const ENDINGS: Readonly<Record<string, string>> = {
  ts: 'mts',
  typescript: 'mts',
  js: 'mjs',
  javascript: 'mjs',
  mjs: 'mjs',
};
const SHELLS: ReadonlySet<string> = new Set(['sh', 'bash']);
/** What a reader reads only. */
const PROSE: ReadonlySet<string> = new Set(['text', 'http', 'mermaid', 'nginx']);

const docs = existsSync(join(root, 'docs')) ? readdirSync(join(root, 'docs')).map((name) => join('docs', name)) : [];
const files = ['README.md', 'ARCHITECTURE.md', ...docs].filter(
  (file) => file.endsWith('.md') && existsSync(join(root, file)),
);
const blocks = files.flatMap((file) => codeBlocks(file, readFileSync(join(root, file), 'utf8')));
const manifest: { scripts: Record<string, string> } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const scripts: ReadonlySet<string> = new Set(Object.keys(manifest.scripts));

const fileAndLine = ({ file, line }: CodeBlock): string => `${file}:${line}`;
const isCode = ({ language }: CodeBlock): boolean => Object.hasOwn(ENDINGS, language);
/** JavaScript has no types to check: it must be run. */
const isTyped = (block: CodeBlock): boolean => isCode(block) && ENDINGS[block.language] === 'mts';
const fileOf = ({ file, line, language, name }: CodeBlock): string =>
  name ?? `${file.replaceAll('/', '-')}-${line}.${ENDINGS[language]}`;
/** Whether the test that is to run a block reads its page. */
const isRunElsewhere = ({ file, test }: CodeBlock): boolean =>
  test !== null && existsSync(join(root, test)) && readFileSync(join(root, test), 'utf8').includes(`'${file}'`);

let folder = '';
let problems: string[] = [];

/** What a block says to the compiler about a module holds for every file beside it. */
const isAlone = ({ code }: CodeBlock): boolean => code.includes('declare module');

/** Apps that installed the package and everything that the examples use. */
async function makeApps(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'managed-sessions-readme-'));
  await symlink(modules, join(home, 'node_modules'));
  const code = blocks.filter(isCode);
  await makeApp(
    join(home, 'app'),
    code.filter((block) => !isAlone(block)),
  );
  await makeApp(
    join(home, 'alone'),
    code.filter((block) => isAlone(block) || block.name !== null),
  );
  return home;
}

async function makeApp(app: string, modulesOfIt: readonly CodeBlock[]): Promise<void> {
  await mkdir(join(app, 'node_modules'), { recursive: true });
  await symlink(root, join(app, 'node_modules/managed-sessions'));
  for (const block of modulesOfIt) await writeFile(join(app, fileOf(block)), moduleOf(block));
  const compilerOptions = {
    strict: true,
    allowJs: true,
    outDir: 'out',
    module: 'nodenext',
    target: 'es2022',
    moduleDetection: 'force',
    types: ['node', 'jest'],
    typeRoots: [join(modules, '@types')],
    skipLibCheck: true,
    // NestJS.
    experimentalDecorators: true,
  };
  await writeFile(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*'] }));
}

async function typeCheck(app: string): Promise<string[]> {
  const tsc = [join(modules, 'typescript/bin/tsc'), '--pretty', 'false', '-p', '.'];
  try {
    await promisify(execFile)(process.execPath, tsc, { cwd: app });
    return [];
  } catch (error) {
    return (error as { stdout: string }).stdout.split('\n').filter((line) => line !== '');
  }
}

beforeAll(async () => {
  folder = await makeApps();
  problems = [...(await typeCheck(join(folder, 'app'))), ...(await typeCheck(join(folder, 'alone')))];
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Asks until somebody listens, unless the process that should has ended. */
async function statusOf(url: string, server: ChildProcess): Promise<number> {
  const deadline = AbortSignal.timeout(240_000);
  for (;;) {
    try {
      return (await fetch(url, { redirect: 'manual', signal: deadline })).status;
    } catch (error) {
      if (server.exitCode !== null || deadline.aborted) throw error;
      await pause(20);
    }
  }
}

describe('the reading of blocks', () => {
  const markdown = [
    '# Title',
    '',
    '<!-- prelude: declare const a: number;',
    'declare const b: number; -->',
    '<!-- run: GET /x 401 -->',
    '```ts',
    'a + b;',
    '```',
    '',
    '- item',
    '',
    '  ```json',
    '  {}',
    '  ```',
  ].join('\n');

  it('takes code, notes and place from Markdown', () => {
    expect(codeBlocks('A.md', markdown)).toEqual([
      {
        file: 'A.md',
        line: 7,
        language: 'ts',
        code: 'a + b;\n',
        prelude: 'declare const a: number;\ndeclare const b: number;',
        run: { kind: 'answers', path: '/x', status: 401 },
        test: null,
        name: null,
      },
      { file: 'A.md', line: 13, language: 'json', code: '{}\n', prelude: '', run: null, test: null, name: null },
    ]);
  });

  it('leaves each line of code where it stands', () => {
    const lines = codeBlocks('A.md', markdown).map((block) => moduleOf(block).split('\n')[block.line - 1]);

    expect(lines).toEqual(['a + b;', '{}']);
  });

  it.each([
    ['npm install', null],
    ['npm install managed-sessions ioredis', null],
    ['REDIS_URL=redis://localhost PORT=4000 npm start  # on Redis', null],
    ['# a comment', null],
    ['npm run known', null],
    ['npm run unknown', expect.stringContaining('unknown')],
    ['curl http://localhost', expect.stringContaining('curl')],
  ])('%s: %s', (command, problem) => {
    expect(commandProblem(command, new Set(['start', 'known']))).toEqual(problem);
  });
});

it('has a README', () => {
  expect(files).toContain('README.md');
});

it('has no block that nobody checks', () => {
  const known = (block: CodeBlock): boolean =>
    isTyped(block) ||
    block.run !== null ||
    isRunElsewhere(block) ||
    SHELLS.has(block.language) ||
    PROSE.has(block.language) ||
    block.language === 'json' ||
    block.language === 'yaml';

  expect(blocks.filter((block) => !known(block)).map(fileAndLine)).toEqual([]);
});

it('compiles the blocks and nothing but the blocks', () => {
  const names = blocks.filter(isCode).map((block) => `${fileOf(block)}(`);

  expect(problems.filter((line) => !line.startsWith(' ') && !names.some((name) => line.startsWith(name)))).toEqual([]);
});

describe.each(files)('%s', (file) => {
  for (const block of blocks.filter((each) => each.file === file)) {
    if (isCode(block)) it(`line ${block.line} compiles`, () => expect(typeErrors(block)).toEqual([]));
    if (block.run !== null) it(`line ${block.line} runs`, () => runs(block, block.run));
    if (SHELLS.has(block.language))
      it(`line ${block.line} has commands that exist`, () => expect(wrongCommands(block)).toEqual([]));
    if (block.language === 'json')
      it(`line ${block.line} is JSON`, () => expect(() => JSON.parse(block.code)).not.toThrow());
    if (block.language === 'yaml')
      it(`line ${block.line} is YAML`, () => expect(() => parse(block.code) as unknown).not.toThrow());
  }
});

function typeErrors(block: CodeBlock): string[] {
  return problems.filter((line) => line.startsWith(`${fileOf(block)}(`));
}

function wrongCommands(block: CodeBlock): (string | null)[] {
  const lines = block.code.replaceAll('\\\n', ' ').split(/\n|&&/);
  return lines.map((line) => commandProblem(line, scripts)).filter((problem) => problem !== null);
}

async function runs(block: CodeBlock, run: Run | null): Promise<void> {
  const port = await freePort();
  const program = spawn(process.execPath, [join('out', fileOf(block).replace(/mts$/, 'mjs'))], {
    cwd: join(folder, 'app'),
    env: { ...process.env, PORT: String(port), LOGIN_SECRET: 'a secret for tests, of more than 32 bytes' },
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: 240_000,
  });
  const ended = once(program, 'exit');
  try {
    if (run?.kind === 'answers')
      expect(await statusOf(`http://127.0.0.1:${port}${run.path}`, program)).toBe(run.status);
    else expect(await ended).toEqual([0, null]);
  } finally {
    program.kill();
    await ended;
  }
}
