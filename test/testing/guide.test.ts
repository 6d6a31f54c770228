/** The blocks of docs/testing.md that need a test runner, each run by it on the built package. test/readme.test.ts runs the others. */

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';
import { codeBlocks } from '../support/readme.js';

const root = join(__dirname, '../..');
const GUIDE = readFileSync(join(root, 'docs/testing.md'), 'utf8');
const NOTE = /<!-- runner: (?<runner>\w+) -->\s*$/;

type Runner = 'jest' | 'vitest';

/** The blocks behind a note that names this runner. */
function blocksFor(runner: Runner): string[] {
  return codeBlocks('docs/testing.md', GUIDE)
    .filter(({ line }) => {
      const before = GUIDE.split('\n').slice(0, line - 2);
      return NOTE.exec(before.join('\n'))?.groups?.['runner'] === runner;
    })
    .map(({ code }) => code);
}

let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'managed-sessions-guide-'));
  await symlink(join(root, 'node_modules'), join(home, 'node_modules'));
});
afterAll(() => rm(home, { recursive: true, force: true }));

/** A project of its own, in which the package is installed. */
async function project(runner: Runner, type: 'commonjs' | 'module'): Promise<{ folder: string; count: number }> {
  const folder = join(home, runner);
  await mkdir(join(folder, 'node_modules'), { recursive: true });
  await symlink(root, join(folder, 'node_modules/managed-sessions'));
  // What follows is JavaScript already.
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type, jest: { transform: {} } }));
  const blocks = blocksFor(runner);
  const module = type === 'commonjs' ? ModuleKind.CommonJS : ModuleKind.ESNext;
  for (const [place, code] of blocks.entries()) {
    const compilerOptions = { module, target: ScriptTarget.ES2022, esModuleInterop: true };
    const { outputText } = transpileModule(code, { compilerOptions });
    await writeFile(join(folder, `block-${String(place)}.test.js`), outputText);
  }
  return { folder, count: blocks.length };
}

/** What it printed. Rejects, with that, if a test failed. */
async function run(folder: string, ...args: string[]): Promise<string> {
  const { NODE_OPTIONS: _, JEST_WORKER_ID: __, VITEST: ___, ...env } = process.env;
  const options = { cwd: folder, env: { ...env, NO_COLOR: '1', CI: 'true' }, timeout: 240_000, maxBuffer: 1 << 24 };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, options);
  return stdout + stderr;
}

test('the blocks for Jest pass, in CommonJS', async () => {
  const { folder, count } = await project('jest', 'commonjs');
  const printed = await run(folder, join(root, 'node_modules/jest/bin/jest.js'), '--runInBand');
  expect(count).toBe(2);
  expect(printed).toContain(`Test Suites: ${String(count)} passed, ${String(count)} total`);
});

test('the block for Vitest passes', async () => {
  const { folder, count } = await project('vitest', 'module');
  const printed = await run(folder, join(root, 'node_modules/vitest/vitest.mjs'), 'run');
  expect(count).toBe(1);
  expect(printed).toMatch(/Test Files {2}1 passed \(1\)/);
});
