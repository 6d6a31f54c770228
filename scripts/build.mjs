/**
 * Builds `lib/` into `dist/esm` and `dist/cjs`, unless `dist/` already holds that build.
 *
 * `dist/.stamp` holds two digests: one of everything the build reads, one of everything it writes. It is written last, so a
 * failed or interrupted build does not count as done. Nothing is written until the types are checked, and each file is
 * replaced atomically: two builds at the same time write the same files, and no process reads half a file.
 *
 * With `--javascript`, it writes the JavaScript of `dist/esm` alone, and checks no types: enough to start the example site. That has
 * a stamp of its own, so it never counts as the whole build.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import process from 'node:process';

const root = join(import.meta.dirname, '..');
const require = createRequire(import.meta.url);

const WHOLE = { stamp: 'dist/.stamp', writes: () => true, compile: compileWhole, isSilent: false };
const JAVASCRIPT = {
  stamp: 'dist/.stamp-javascript',
  writes: (name) => dirname(name).startsWith(join('dist', 'esm')) && !name.endsWith('.d.ts'),
  compile: compileJavaScript,
  isSilent: true,
};

process.chdir(root);

/** All files in a folder, except dotfiles: those in `dist/` belong to this script and are not packed. */
async function filesIn(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

/** The content of each file by its name; null if it does not exist. */
async function read(names) {
  const texts = names.map((name) => readFile(name, 'utf8').catch(() => null));
  return new Map((await Promise.all(texts)).map((text, index) => [names[index], text]));
}

function digest(files) {
  const sorted = [...files].sort(([one], [other]) => (one < other ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex');
}

async function inputs() {
  const configs = (await readdir('.')).filter((name) => /^tsconfig.*\.json$/.test(name));
  // npm lists the installed packages, which bring types, in node_modules/.package-lock.json.
  const installed = ['node_modules/typescript/package.json', 'node_modules/.package-lock.json'];
  return read([...(await filesIn('lib')), ...configs, 'package.json', 'scripts/build.mjs', ...installed]);
}

/** Prints errors, and counts them. */
function createReport(ts) {
  const errors = { count: 0 };
  function report(diagnostic) {
    errors.count += 1;
    const format = process.stderr.isTTY ? ts.formatDiagnosticsWithColorAndContext : ts.formatDiagnostics;
    const names = { getCurrentDirectory: () => root, getCanonicalFileName: (name) => name, getNewLine: () => '\n' };
    process.stderr.write(format([diagnostic], names));
  }
  return { report, errors };
}

function configOf(ts, format, report) {
  const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: report };
  const config = ts.getParsedCommandLineOfConfigFile(`tsconfig.${format}.json`, {}, host);
  config?.errors.forEach(report);
  return config;
}

/** The content of each output by its name. Prints the errors and returns null if there are any. */
function compileWhole() {
  const ts = require('typescript');
  const { report, errors } = createReport(ts);
  const files = new Map();
  const esm = configOf(ts, 'esm', report);
  const cjs = configOf(ts, 'cjs', report);
  if (errors.count > 0) return null;

  const program = ts.createProgram(esm.fileNames, esm.options);
  ts.getPreEmitDiagnostics(program).forEach(report);
  const emitted = program.emit(undefined, (path, text) => {
    const name = relative(root, path);
    // The command is run, and never imported.
    if (name.startsWith('dist/esm/cli/') && name.endsWith('.d.ts')) return;
    files.set(name, shipped(name, text));
    if (name.endsWith('.d.ts')) files.set(join('dist', 'cjs', relative('dist/esm', name)), text);
  });
  emitted.diagnostics.forEach(report);
  if (errors.count > 0) return null;

  // Not checked again: the CommonJS build has the same sources and the same types.
  for (const path of cjs.fileNames.filter((name) => !name.endsWith('.d.ts'))) {
    const source = program.getSourceFile(path).text;
    const { outputText } = ts.transpileModule(source, { fileName: path, compilerOptions: cjs.options });
    const name = join('dist', 'cjs', relative('lib', path).replace(/\.ts$/, '.js'));
    files.set(name, shipped(name, outputText));
  }
  for (const [format, type] of Object.entries({ esm: 'module', cjs: 'commonjs' })) {
    files.set(join('dist', format, 'package.json'), packageOf(type));
  }
  return files;
}

/** What browsers load may come without a bundler, so it is minified here. */
function shipped(name, text) {
  if (!/^dist\/(?:esm|cjs)\/client\/[^/]+\.js$/.test(name)) return text;
  // Only a default export needs the second, and nothing here depends on the first.
  const plain = text
    .replace('"use strict";\n', '')
    .replace('Object.defineProperty(exports, "__esModule", { value: true });\n', '');
  return require('terser').minify_sync(plain, { module: name.startsWith('dist/esm/'), toplevel: true }).code;
}

function packageOf(type) {
  return `${JSON.stringify({ type, sideEffects: ['./node-version.js'] })}\n`;
}

/** The same JavaScript as that of the whole build. Prints the errors and returns null if there are any. */
function compileJavaScript() {
  const ts = require('typescript');
  const { report, errors } = createReport(ts);
  const config = configOf(ts, 'esm', report);
  if (errors.count > 0) return null;
  const files = new Map([[join('dist', 'esm', 'package.json'), packageOf('module')]]);
  const program = ts.createProgram(config.fileNames, { ...config.options, ...NOTHING_CHECKED });
  program.getSyntacticDiagnostics().forEach(report);
  program.emit(undefined, (path, text) => {
    const name = relative(root, path);
    files.set(name, shipped(name, text));
  });
  return errors.count > 0 ? null : files;
}

const NOTHING_CHECKED = { noCheck: true, noLib: true, noResolve: true, types: [], declaration: false };

/** Atomic: a reader sees either the old content or the new. */
async function replace(name, text) {
  await mkdir(dirname(name), { recursive: true });
  const unfinished = join(dirname(name), `.${basename(name)}.${process.pid}`);
  await writeFile(unfinished, text);
  await rename(unfinished, name);
}

async function install(files, { stamp, writes }, digests) {
  const present = await read((await filesIn('dist')).filter(writes));
  for (const name of present.keys()) if (!files.has(name)) await rm(name, { force: true });
  for (const [name, text] of files) if (present.get(name) !== text) await replace(name, text);
  await replace(stamp, digests);
}

async function isDone({ stamp, writes }, sources) {
  const digests = await readFile(stamp, 'utf8').catch(() => null);
  if (digests === null) return false;
  return digests === `${sources} ${digest(await read((await filesIn('dist')).filter(writes)))}`;
}

async function build(kind) {
  const say = (text) => void (kind.isSilent || console.error(text));
  for (;;) {
    const sources = digest(await inputs());
    if ((await isDone(WHOLE, sources)) || (await isDone(kind, sources))) return;

    const began = performance.now();
    say('Building managed-sessions, which takes about 5 seconds...');
    const files = kind.compile();
    // A source that changed during the build may or may not be in it.
    if (digest(await inputs()) !== sources) continue;
    if (files === null) {
      console.error('The build failed: dist/ was not changed.');
      process.exitCode = 1;
      return;
    }
    await install(files, kind, `${sources} ${digest(files)}`);
    say(`Built in ${((performance.now() - began) / 1000).toFixed(1)} seconds.`);
  }
}

await build(process.argv[2] === '--javascript' ? JAVASCRIPT : WHOLE);
