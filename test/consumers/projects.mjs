/**
 * The projects that `npm run test:consumers` makes: what each installs beside the packed package, its files, and what it
 * runs. A step is a command with its arguments; the commands of what is installed are on its PATH. It must end with status 0,
 * or with `status`, and say `says`.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { NEXT_SITE } from './next/project.mjs';

/**
 * @typedef {{ run: string[], says?: RegExp, status?: number }} Step
 * @typedef {{ name: string, needs: Record<string, string>, files: Record<string, string>, steps: Step[], redis?: boolean }} Project
 */

export function source(name) {
  return readFileSync(join(import.meta.dirname, name), 'utf8');
}

/** The imports of an ES module as calls of `require`. They are of two forms only. */
export function toCommonJs(text) {
  return text.replace(/^import (\w+|\{[^}]*\}) from ('[^']+');$/gm, 'const $1 = require($2);');
}

/** One program out of parts: JavaScript, and strict TypeScript too if its framework's part is. */
export function program({ app = 'program/express.js', store = 'memory-store', end = 'plain-end' } = {}) {
  const parts = ['program/sessions.js', `program/${store}.js`, app, 'program/story.js', `program/${end}.js`];
  return parts.map(source).join('\n');
}

export const AS_EXPECTED = /^All answers are as expected\.$/m;
/** The version is that of Node's types too: the oldest that is supported. */
const NODE_TYPES = { '@types/node': '20' };
const EXPRESS_TYPES = { express: '5', '@types/express': '5', ...NODE_TYPES };
export const COMPILER_OPTIONS = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  module: 'node16',
  target: 'es2022',
  types: ['node'],
};

function json(value) {
  return JSON.stringify(value, null, 2);
}

/** The program in both module systems. */
function inNode(parts, node = 'node') {
  const text = program(parts);
  return {
    files: { 'program.mjs': text, 'program.cjs': toCommonJs(text) },
    steps: [
      { run: [node, 'program.mjs'], says: AS_EXPECTED },
      { run: [node, 'program.cjs'], says: AS_EXPECTED },
    ],
  };
}

/** A configuration for these files: strict, and the declarations of packages are checked too. */
function tsconfig(files, options = {}) {
  return json({ compilerOptions: { ...COMPILER_OPTIONS, ...options }, files });
}

/** What `declare module` says is told to one kind of modules, so each kind is compiled by itself. */
function typesOf(file) {
  const text = source(`types/${file}.mts`);
  const options = { noEmit: true };
  return {
    files: {
      [`${file}.mts`]: text,
      [`${file}.cts`]: text,
      [`${file}-esm.json`]: tsconfig([`${file}.mts`], options),
      [`${file}-cjs.json`]: tsconfig([`${file}.cts`], options),
      [`${file}-bundler.json`]: tsconfig([`${file}.mts`], {
        ...options,
        module: 'preserve',
        moduleResolution: 'bundler',
      }),
    },
    steps: ['esm', 'cjs', 'bundler'].map((kind) => ({ run: ['tsc', '-p', `${file}-${kind}.json`] })),
  };
}

/** The program in strict TypeScript, compiled as both kinds of modules and then run. */
function inTypeScript(version) {
  const text = program();
  const [codes, register] = [typesOf('codes'), typesOf('register')];
  return {
    name: `typescript-${version}`,
    needs: { ...EXPRESS_TYPES, typescript: version },
    files: {
      'program.mts': text,
      'program.cts': text,
      'tsconfig.json': tsconfig(['program.mts', 'program.cts'], { outDir: 'out' }),
      ...codes.files,
      ...register.files,
    },
    steps: [
      { run: ['tsc', '--version'], says: new RegExp(`^Version ${version.replace('.', '\\.')}\\.`) },
      { run: ['tsc', '-p', '.'] },
      { run: ['node', 'out/program.mjs'], says: AS_EXPECTED },
      { run: ['node', 'out/program.cjs'], says: AS_EXPECTED },
      ...codes.steps,
      ...register.steps,
    ],
  };
}

function typesOnly(name, file, needs) {
  return { name: `types-${name}`, needs: { typescript: '6.0', ...NODE_TYPES, ...needs }, ...typesOf(file) };
}

/** Jest as `npm install jest` gives it: CommonJS, and no configuration. */
function underJest(major) {
  return {
    name: `jest-${major}`,
    needs: { express: '5', jest: major },
    files: { 'sessions.test.js': toCommonJs(program({ end: 'test-end' })) },
    steps: [{ run: ['jest'], says: /^Tests: +1 passed, 1 total$/m }],
  };
}

/** Vitest 5 needs a newer Node than the oldest that the package supports. */
function underVitest(major, node) {
  return {
    name: `vitest-${major}`,
    needs: { express: '5', vitest: major, ...(node === OTHER_NODE && nodePackage('24')) },
    files: { 'sessions.test.mjs': `import { test } from 'vitest';\n${program({ end: 'test-end' })}` },
    steps: [{ run: [node, 'node_modules/vitest/vitest.mjs', 'run'], says: /Tests +1 passed \(1\)/ }],
  };
}

function underNodeTest() {
  const text = `import { test } from 'node:test';\n${program({ end: 'node-test-end' })}`;
  return {
    name: 'node-test',
    needs: { express: '5' },
    files: { 'sessions.test.mjs': text, 'sessions.test.cjs': toCommonJs(text) },
    steps: [{ run: ['node', '--test', '--test-reporter=tap'], says: /^# pass 2$[^]*^# fail 0$/m }],
  };
}

/** What docs/operation.md says that a bundle of ES modules needs. */
export function bannerOfDocs() {
  const [, banner] = /--banner:js="([^"]+)"/.exec(source('../../docs/operation.md'));
  return `--banner:js=${banner}`;
}

/** The bundle is run where nothing is installed. */
function bundled(format, ...options) {
  const file = format === 'esm' ? 'bundle.mjs' : 'bundle.cjs';
  const args = ['--bundle', '--platform=node', `--format=${format}`, `--outfile=alone/${file}`, ...options];
  const uninstall = `fs.rmSync('node_modules', { recursive: true })`;
  return {
    name: `esbuild-${format}`,
    needs: { express: '5', esbuild: '0.28' },
    files: { 'program.mjs': program() },
    steps: [
      { run: ['esbuild', 'program.mjs', ...args] },
      { run: ['node', '-e', uninstall] },
      { run: ['node', `alone/${file}`], says: AS_EXPECTED },
    ],
  };
}

/** A Node of another version, from the package that holds its program for this platform. */
function nodePackage(version) {
  return { [`node-${process.platform}-${process.arch}`]: version };
}
const OTHER_NODE = process.platform === 'win32' ? 'other-node.exe' : 'other-node';

function underNode(version) {
  return {
    name: `node-${version}`,
    needs: { express: '5', ...nodePackage(version) },
    ...inNode({}, OTHER_NODE),
  };
}

/** Both entries for servers, in both module systems, in a Node that is too old: one sentence each. */
function underOldNode(version) {
  const says = new RegExp(
    `^Error: managed-sessions needs Node 20\\.19 or later, .* this is Node ${version}.*\\.$`,
    'm',
  );
  const entries = ['managed-sessions', 'managed-sessions/testing'];
  return {
    name: `node-${version}`,
    needs: nodePackage(version),
    files: {},
    steps: [
      ...entries.flatMap((entry) => [
        { run: [OTHER_NODE, '-e', `require('${entry}')`], status: 1, says },
        { run: [OTHER_NODE, '--input-type=module', '-e', `import '${entry}'`], status: 1, says },
      ]),
      { run: [OTHER_NODE, 'node_modules/.bin/managed-sessions', 'help'], status: 1, says },
    ],
  };
}

/** @type {Project[]} */
export const PROJECTS = [
  { name: 'express-5', needs: { express: '5' }, ...inNode() },
  {
    name: 'command',
    needs: {},
    files: {},
    steps: [
      { run: ['managed-sessions', 'help'], says: /^managed-sessions <command>/ },
      { run: ['managed-sessions', 'list'], status: 2 },
    ],
  },
  { name: 'express-4', needs: { express: '4' }, ...inNode() },
  { name: 'connect', needs: { connect: '3' }, ...inNode({ app: 'program/connect.js' }) },
  {
    name: 'nestjs',
    needs: {
      '@nestjs/common': '*',
      '@nestjs/core': '*',
      '@nestjs/platform-express': '*',
      'reflect-metadata': '*',
      rxjs: '*',
      '@types/express': '5',
      typescript: '6.0',
      ...NODE_TYPES,
    },
    files: {
      'program.mts': program({ app: 'nestjs/app.ts' }),
      'program.cts': program({ app: 'nestjs/app.ts' }),
      'tsconfig.json': json({
        compilerOptions: {
          ...COMPILER_OPTIONS,
          module: 'nodenext',
          experimentalDecorators: true,
          emitDecoratorMetadata: true,
          skipLibCheck: true,
          outDir: 'out',
        },
      }),
    },
    steps: [
      { run: ['tsc', '-p', '.'] },
      { run: ['node', 'out/program.mjs'], says: AS_EXPECTED },
      { run: ['node', 'out/program.cjs'], says: AS_EXPECTED },
    ],
  },
  NEXT_SITE,
  { name: 'ioredis-6', redis: true, needs: { express: '5', ioredis: '6' }, ...inNode({ store: 'ioredis-store' }) },
  { name: 'ioredis-5', redis: true, needs: { express: '5', ioredis: '5' }, ...inNode({ store: 'ioredis-store' }) },

  inTypeScript('5.9'),
  inTypeScript('6.0'),
  inTypeScript('7.0'),
  typesOnly('express-5', 'register', EXPRESS_TYPES),
  typesOnly('express-4', 'register', { express: '4', '@types/express': '4' }),
  typesOnly('passport', 'passport', { ...EXPRESS_TYPES, passport: '0.7', '@types/passport': '1' }),
  typesOnly('connect', 'connect', { connect: '3', '@types/connect': '3' }),
  typesOnly('ioredis-6', 'ioredis', { ioredis: '6' }),
  typesOnly('ioredis-5', 'ioredis', { ioredis: '5' }),

  underJest('27'),
  underJest('29'),
  underJest('30'),
  underVitest('4', 'node'),
  underVitest('5', OTHER_NODE),
  underNodeTest(),
  bundled('cjs'),
  bundled('esm', bannerOfDocs()),

  underNode('20.19'),
  underNode('22'),
  underNode('24'),
  underOldNode('18'),
  underOldNode('20.18'),
  underOldNode('21'),
];
