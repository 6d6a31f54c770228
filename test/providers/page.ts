/** The configurations of docs/providers.md, and for which shapes of tokens each of them is. */

import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';
import { codeBlocks } from '../support/readme.js';

const root = join(__dirname, '../..');
export const PAGE = readFileSync(join(root, 'docs/providers.md'), 'utf8');

/** The note in front of a block: `<!-- shapes: keycloak, keycloak-24 -->`. */
const SHAPES_NOTE = /<!-- shapes: (?<names>[^>]*) -->\s*(?:<!-- prelude:(?:(?!-->).)*-->\s*)?$/s;

interface Configuration {
  readonly line: number;
  readonly code: string;
  readonly shapes: readonly string[];
}

/** Every block of code of the page. `shapes` is empty if no note is in front of it. */
export const CONFIGURATIONS: readonly Configuration[] = codeBlocks('docs/providers.md', PAGE).map(({ line, code }) => {
  const before = PAGE.split('\n').slice(0, line - 2);
  const names = SHAPES_NOTE.exec(before.join('\n').trimEnd())?.groups?.['names'];
  return { line, code, shapes: names?.split(', ') ?? [] };
});

/** What the page imports as `managed-sessions`: the built package, with options that a process changes to local ones. */
const LOCAL_PACKAGE = (built: string): string => `
  import { managedSessions as built } from ${JSON.stringify(built)};
  export * from ${JSON.stringify(built)};
  export const managedSessions = (options) => built(globalThis.localOptions(options));
`;

export interface PageFolder {
  /** Has a module for each shape, with the configuration for it as the page has it. */
  readonly path: string;
  remove(): Promise<void>;
}

export async function writePage(): Promise<PageFolder> {
  const home = await mkdtemp(join(tmpdir(), 'managed-sessions-providers-'));
  const path = join(home, 'app');
  await symlink(join(root, 'node_modules'), join(home, 'node_modules'));
  const local = join(path, 'node_modules/managed-sessions');
  await mkdir(local, { recursive: true });
  await writeFile(join(local, 'package.json'), JSON.stringify({ type: 'module', exports: './index.js' }));
  const built = pathToFileURL(join(root, 'dist/esm/index.js')).href;
  await writeFile(join(local, 'index.js'), LOCAL_PACKAGE(built));
  for (const { code, shapes } of CONFIGURATIONS) {
    const compilerOptions = { module: ModuleKind.ESNext, target: ScriptTarget.ES2022 };
    const { outputText } = transpileModule(code, { compilerOptions });
    for (const shape of shapes) await writeFile(join(path, `${shape}.mjs`), outputText);
  }
  return { path, remove: () => rm(home, { recursive: true, force: true }) };
}
