/** Hooks for `register()` of node:module, with which Node runs the TypeScript of this repository: transpiled only. */

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, inlineSourceMap: true };

/** An import of `./x.js` from TypeScript means `./x.ts`. */
export async function resolve(specifier, context, next) {
  const isFromSource = context.parentURL?.endsWith('.ts') === true && specifier.startsWith('.');
  return next(isFromSource ? specifier.replace(/\.js$/, '.ts') : specifier, context);
}

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context);
  const fileName = fileURLToPath(url);
  const source = await readFile(fileName, 'utf8');
  return {
    format: 'module',
    shortCircuit: true,
    source: ts.transpileModule(source, { fileName, compilerOptions }).outputText,
  };
}
