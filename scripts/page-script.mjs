/**
 * Writes lib/http/page-script.ts: the script of the page, made from lib/client/. With `--check`, it writes nothing, and fails if
 * that file is out of date.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import prettier from 'prettier';
import { minify } from 'terser';
import ts from 'typescript';

const root = join(import.meta.dirname, '..');
const SOURCES = ['lib/client/index.ts', 'lib/client/sessions-page.ts'];
const START =
  "for (const page of document.querySelectorAll('.managed-sessions[data-events]')) watchSessionsPage(page);";
const OUTPUT = join(root, 'lib/http/page-script.ts');

/** A source without its types, and as a part of one script without imports and exports. */
async function plainScript(name) {
  const source = await readFile(join(root, name), 'utf8');
  const { outputText } = ts.transpileModule(source, { compilerOptions: { module: 'esnext', target: 'es2022' } });
  return outputText.replace(/^import .*\n/gm, '').replace(/^export /gm, '');
}

async function pageScript() {
  const parts = [...(await Promise.all(SOURCES.map(plainScript))), START];
  const { code } = await minify(parts.join('\n'), { module: true, ecma: 2020, format: { ascii_only: true } });
  if (/<\/script|<!--/i.test(code)) throw new Error('HTML would take a part of the script for something else');
  return code;
}

/** In lines of one statement or so, because a difference in one long line tells nobody anything. */
async function fileText() {
  const lines = (await pageScript()).split(/(?<=[;{}])(?=[a-z])/).map((line) => JSON.stringify(line));
  const text = `/** Made by scripts/page-script.mjs: do not edit. */

export const PAGE_SCRIPT = [${lines.join(',')}].join('');`;
  return prettier.format(text, { ...(await prettier.resolveConfig(OUTPUT)), filepath: OUTPUT });
}

const text = await fileText();
if (!process.argv.includes('--check')) await writeFile(OUTPUT, text);
else if ((await readFile(OUTPUT, 'utf8')) !== text) {
  console.error('lib/http/page-script.ts is out of date: run npm run page-script');
  process.exitCode = 1;
}
