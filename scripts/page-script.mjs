/**
 * Writes lib/http/page-script.ts: the script of the page, made from lib/client/. With `--check`, it writes nothing, and fails if
 * that file is out of date.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import prettier from 'prettier';
import ts from 'typescript';

const root = join(import.meta.dirname, '..');
const SOURCES = ['lib/client/watch-session.ts', 'lib/client/sessions-page.ts'];
const START =
  "for (const page of document.querySelectorAll('.managed-sessions[data-events]')) watchSessionsPage(page);";
const OUTPUT = join(root, 'lib/http/page-script.ts');

/** Without types, comments, indentation, imports and exports. No string of these files has a line break. */
async function plainScript(name) {
  const source = await readFile(join(root, name), 'utf8');
  const compilerOptions = { module: 'esnext', target: 'es2022', removeComments: true };
  const { outputText } = ts.transpileModule(source, { compilerOptions });
  return outputText
    .replace(/^import .*\n/gm, '')
    .replace(/^export /gm, '')
    .replace(/^ +/gm, '')
    .trim();
}

async function fileText() {
  const script = [...(await Promise.all(SOURCES.map(plainScript))), START].join('\n');
  if (/<\/script|<!--/i.test(script)) throw new Error('HTML would take a part of the script for something else');
  const text = `/** Made by scripts/page-script.mjs: do not edit. */

export const PAGE_SCRIPT = [${script.split('\n').map((line) => JSON.stringify(line))}].join('\\n');`;
  return prettier.format(text, { ...(await prettier.resolveConfig(OUTPUT)), filepath: OUTPUT });
}

const text = await fileText();
if (!process.argv.includes('--check')) await writeFile(OUTPUT, text);
else if ((await readFile(OUTPUT, 'utf8')) !== text) {
  console.error('lib/http/page-script.ts is out of date: run npm run page-script');
  process.exitCode = 1;
}
