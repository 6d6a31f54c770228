/**
 * Writes openapi.json from the router's own tables, on the built package. With `--check`, it writes nothing, and fails if the
 * file is not up to date.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import prettier from 'prettier';
import { LOGIN_ERROR_CODES, LoginError } from '../dist/esm/core/errors.js';
import { ROUTES } from '../dist/esm/http/routes.js';
import { CLIENT_KINDS } from '../dist/esm/http/user-agent.js';
import { documentOf } from './openapi/document.mjs';

const root = join(import.meta.dirname, '..');
const file = join(root, 'openapi.json');

const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
const document = documentOf({
  routes: ROUTES,
  codes: LOGIN_ERROR_CODES,
  statusOf: (code) => new LoginError(code, '').status,
  kinds: CLIENT_KINDS,
  version,
});
const options = await prettier.resolveConfig(file);
const text = await prettier.format(JSON.stringify(document), { ...options, filepath: file });

if (!process.argv.includes('--check')) {
  await writeFile(file, text);
} else if ((await readFile(file, 'utf8')) !== text) {
  console.error('openapi.json is not up to date: run npm run openapi');
  process.exitCode = 1;
}
