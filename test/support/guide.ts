/** The blocks of a guide, as they stand there, run as servers against a real Redis. */

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import jwt from 'jsonwebtoken';
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';
import { codeBlocks, type CodeBlock } from './readme.js';

const root = join(__dirname, '../..');

/** What the guides read from the environment. */
export const ISSUER = 'my-app';
export const SECRET = 'the secret of the guides, of more than 32 bytes';

/** A login token. Negative `expiresIn`: it expired so many seconds ago. */
export function tokenFor(claims: Readonly<Record<string, unknown>>, expiresIn = 3600): string {
  return jwt.sign({ sub: 'ada', ...claims }, SECRET, { issuer: ISSUER, expiresIn });
}

export interface GuideBlock {
  /** The heading above the block, without `#`. */
  readonly heading: string;
  /** Which of the blocks under that heading that are code. Default: the first. */
  readonly index?: number;
  /** What is written differently in this run. */
  readonly replace?: readonly [text: string, by: string];
}

export interface RunningGuide {
  /** By the names that were given. */
  readonly urls: Readonly<Record<string, string>>;
  /** What the process wrote on its standard output and error. */
  output(): string;
  stop(): Promise<void>;
}

const CODE: ReadonlySet<string> = new Set(['ts', 'js']);

/** The blocks of code under each heading, up to the next heading of any level. */
function blocksByHeading(doc: string): ReadonlyMap<string, readonly CodeBlock[]> {
  const sections = readFileSync(join(root, doc), 'utf8').split(/^#{1,4} (?=\S)/m);
  return new Map(
    sections.map((text) => [
      text.split('\n', 1)[0] ?? '',
      codeBlocks(doc, text).filter(({ language }) => CODE.has(language)),
    ]),
  );
}

/** The headings of a guide with a program that is not among `blocks`. Files that programs import count as theirs. */
export function headingsNotRun(doc: string, blocks: readonly GuideBlock[]): string[] {
  const isRun = (heading: string, index: number): boolean =>
    blocks.some((block) => block.heading === heading && (block.index ?? 0) === index);
  return [...blocksByHeading(doc)]
    .filter(([heading, code]) => code.some(({ name }, index) => name === null && !isRun(heading, index)))
    .map(([heading]) => heading);
}

/** The code under a heading. */
export function blockOf(doc: string, { heading, index = 0, replace }: GuideBlock): CodeBlock {
  const block = blocksByHeading(doc).get(heading)?.[index];
  if (block === undefined) throw new Error(`${doc}: no block ${index} under ${heading}`);
  if (replace === undefined) return block;
  if (!block.code.includes(replace[0])) throw new Error(`${doc}: ${heading} does not say ${replace[0]}`);
  return { ...block, code: block.code.replaceAll(...replace) };
}

export function javaScriptOf({ code, prelude }: CodeBlock, module: ModuleKind = ModuleKind.ESNext): string {
  return transpileModule(`${prelude}\n${code}`, {
    compilerOptions: {
      module,
      target: ScriptTarget.ES2022,
      esModuleInterop: true,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
    },
  }).outputText;
}

/** An app that installed this package and everything else that the repository has. `packages`: sources of further ones. */
export async function makeGuideApp(packages: Readonly<Record<string, string>> = {}): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'managed-sessions-guide-'));
  await symlink(join(root, 'node_modules'), join(home, 'node_modules'));
  const modules = join(home, 'app/node_modules');
  await mkdir(modules, { recursive: true });
  await symlink(root, join(modules, 'managed-sessions'));
  for (const [name, source] of Object.entries(packages)) {
    await mkdir(join(modules, name));
    await writeFile(
      join(modules, name, 'package.json'),
      JSON.stringify({ name, type: 'module', exports: './index.js' }),
    );
    await writeFile(join(modules, name, 'index.js'), source);
  }
  return home;
}

/** All blocks run in one process. Each listens on `PORT`, which is any free one. */
export async function runGuide(
  doc: string,
  blocks: Readonly<Record<string, GuideBlock>>,
  env: Readonly<Record<string, string>>,
  packages: Readonly<Record<string, string>> = {},
): Promise<RunningGuide> {
  const home = await makeGuideApp(packages);
  const app = join(home, 'app');
  for (const block of codeBlocks(doc, readFileSync(join(root, doc), 'utf8'))) {
    if (block.name !== null) await writeFile(join(app, block.name.replace(/\.mts$/, '.mjs')), javaScriptOf(block));
  }
  const files = await Promise.all(
    Object.values(blocks).map(async (wanted, index) => {
      const file = join(app, `${index}.mjs`);
      await writeFile(file, javaScriptOf(blockOf(doc, wanted)));
      return file;
    }),
  );
  const child = fork(join(__dirname, 'guide-process.mjs'), files, {
    // As in production: whatever a framework would tell a developer only is not told.
    env: { ...process.env, NODE_ENV: 'production', LOGIN_SECRET: SECRET, ...env },
    execArgv: [],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const written = collected(child);
  const ports = await portsOf(child, written);
  const urls = Object.fromEntries(Object.keys(blocks).map((name, index) => [name, `http://127.0.0.1:${ports[index]}`]));
  return {
    urls,
    output: () => written.join(''),
    async stop() {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
      await rm(home, { recursive: true, force: true });
    },
  };
}

function collected({ stdout, stderr }: ChildProcess): readonly string[] {
  const written: string[] = [];
  for (const stream of [stdout, stderr]) stream?.on('data', (chunk) => written.push(String(chunk)));
  return written;
}

async function portsOf(child: ChildProcess, written: readonly string[]): Promise<readonly number[]> {
  const ended = once(child, 'exit').then(() => {
    throw new Error(`The guide ended: ${written.join('')}`);
  });
  ended.catch(() => undefined);
  const [ports] = await Promise.race([once(child, 'message'), ended]);
  return ports;
}
