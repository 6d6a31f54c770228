/** Runs a TypeScript file of the tests with node alone: node run.cjs <file> [arguments]. */

const { readFileSync, existsSync } = require('node:fs');
const Module = require('node:module');
const { dirname, resolve } = require('node:path');
const ts = require('typescript');

const options = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2023, esModuleInterop: true };

Module._extensions['.ts'] = function compile(module, file) {
  module._compile(
    ts.transpileModule(readFileSync(file, 'utf8'), { compilerOptions: options, fileName: file }).outputText,
    file,
  );
};

// Imports name the files as they are once they are compiled.
const findFile = Module._resolveFilename;
Module._resolveFilename = function find(request, parent, ...rest) {
  if (/^\.{1,2}\/.*\.js$/.test(request) && parent?.filename?.endsWith('.ts')) {
    const file = resolve(dirname(parent.filename), request.replace(/\.js$/, '.ts'));
    if (existsSync(file)) return file;
  }
  return findFile.call(this, request, parent, ...rest);
};

// The arguments are the file's own.
process.argv.splice(1, 1);
require(resolve(process.argv[1]));
