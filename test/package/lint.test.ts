/** The arrows between the rooms of `lib/` hold because lint says so: here it is made to say so. */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(__dirname, '../..');

interface Row {
  readonly file: string;
  readonly code: string;
  readonly rule: string | null;
}

const ARROW = 'import-x/no-restricted-paths';
const OWNED = 'no-restricted-imports';

const row = (file: string, code: string, rule: string | null): Row => ({ file: `lib/${file}`, code, rule });
const from = (specifier: string): string => `export * from '${specifier}';`;

const ROWS: Row[] = [
  row('core/errors.ts', from('../tokens/verify.js'), ARROW),
  row('core/errors.ts', `export type { SessionStore } from '../stores/store.js';`, ARROW),
  row('core/errors.ts', from('../ledger/ledger.js'), ARROW),
  row('tokens/verify.ts', from('../stores/store.js'), ARROW),
  row('tokens/verify.ts', from('../ledger/ledger.js'), ARROW),
  row('stores/store.ts', from('../tokens/verify.js'), ARROW),
  row('stores/store.ts', from('../http/authenticate.js'), ARROW),
  row('ledger/ledger.ts', from('../http/authenticate.js'), ARROW),
  row('http/authenticate.ts', from('../managed-sessions.js'), ARROW),
  row('http/authenticate.ts', from('../options.js'), ARROW),
  row('http/authenticate.ts', from('../testing/index.js'), ARROW),
  row('options.ts', from('./managed-sessions.js'), ARROW),
  row('managed-sessions.ts', from('./index.js'), ARROW),
  row('index.ts', from('./testing/index.js'), ARROW),
  row('client/index.ts', from('../core/errors.js'), ARROW),
  row('index.ts', from('./cli/main.js'), ARROW),
  row('cli/main.ts', from('../testing/index.js'), ARROW),

  row('tokens/verify.ts', from('../core/errors.js'), null),
  row('stores/store.ts', from('../core/errors.js'), null),
  row('ledger/ledger.ts', from('../stores/store.js'), null),
  row('http/authenticate.ts', from('../ledger/ledger.js'), null),
  row('index.ts', from('./managed-sessions.js'), null),
  row('testing/index.ts', from('../index.js'), null),

  row('tokens/keys.ts', from('jsonwebtoken'), OWNED),
  row('tokens/verify.ts', from('jwks-rsa'), OWNED),
  row('stores/memory.ts', from('ioredis'), OWNED),
  row('stores/redis/connection.ts', from('ioredis'), OWNED),
  row('client/index.ts', from('ms'), OWNED),
  row('core/errors.ts', from('node:fs'), OWNED),
  row('core/errors.ts', from('http'), OWNED),
  row('tokens/verify.ts', `export { hash } from 'node:crypto';`, OWNED),
  row('tokens/signature.ts', from('jsonwebtoken'), null),
  row('tokens/keys.ts', from('jwks-rsa'), null),
  row('stores/redis/target.ts', from('ioredis'), null),
  row('core/errors.ts', `export { createHmac } from 'node:crypto';`, null),
  row('http/authenticate.ts', from('express'), 'import-x/no-extraneous-dependencies'),

  row('core/errors.ts', 'export const now = Date.now();', 'no-restricted-properties'),
  row('core/errors.ts', 'export const now = new Date();', 'no-restricted-syntax'),
  row('core/errors.ts', 'export const now = performance.now();', 'no-restricted-globals'),
  row('core/errors.ts', from('./claim-checks.js'), 'import-x/no-cycle'),

  row('index.ts', 'Promise.resolve(1);', '@typescript-eslint/no-floating-promises'),
  row('index.ts', 'export const given: any = 1;', '@typescript-eslint/no-explicit-any'),
  row('index.ts', '[1].forEach(async () => {});', '@typescript-eslint/no-misused-promises'),
];

// A process of its own: Jest's module loader does not load an ESM configuration.
const LINT = `
import { ESLint } from 'eslint';
const eslint = new ESLint();
const rows = JSON.parse(process.argv[1]);
const rules = [];
for (const { code, file } of rows) {
  const [result] = await eslint.lintText(code, { filePath: file });
  rules.push(result.messages.map((message) => message.ruleId ?? message.message));
}
console.log(JSON.stringify(rules));
`;

let reported: string[][] = [];

beforeAll(() => {
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', LINT, JSON.stringify(ROWS)], {
    cwd: root,
  });
  reported = JSON.parse(output.toString());
});

it.each(ROWS.map((each, index) => ({ ...each, index })))('$file, $code: $rule', ({ rule, index }) => {
  expect(reported[index]).toEqual(rule === null ? [] : expect.arrayContaining([rule]));
});
