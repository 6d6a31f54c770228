/** docs/command.md has every command, flag and code that there is, and no other. */

import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { COMMANDS } from '../../lib/cli/commands.js';
import { CODES } from '../../lib/cli/findings.js';
import { FLAGS } from '../../lib/cli/flags.js';
import { commandHere } from '../support/command.js';
import { startRedis } from '../support/redis.js';
import { codeBlocks } from '../support/readme.js';

const page = readFileSync(join(__dirname, '../../docs/command.md'), 'utf8');

test('every command is in the docs, and in the help', async () => {
  const { code, stdout } = await commandHere([]);
  expect(code).toBe(0);
  for (const name of Object.keys(COMMANDS)) {
    expect(page).toContain(`| \`${name}`);
    expect(stdout).toContain(`  ${name} `);
    const { flags } = COMMANDS[name]!;
    const help = await commandHere(['help', name]);
    for (const flag of flags) expect(help.stdout).toContain(`  --${flag}`);
  }
});

test('the docs name only flags that there are', () => {
  const named = Array.from(page.matchAll(/(?<=[\s`])--([a-z][a-z-]*)/g), ([, name]) => name);
  expect(named.filter((name) => !Object.hasOwn(FLAGS, String(name)))).toEqual([]);
});

test('every code of a finding is in the docs, is found somewhere, and there is no other', () => {
  const folder = join(__dirname, '../../lib/cli');
  const sources = readdirSync(folder).filter((name) => name !== 'findings.ts');
  const source = sources.map((name) => readFileSync(join(folder, name), 'utf8')).join('');
  const codes = Object.values(CODES).flat();
  expect(codes.filter((code) => !source.includes(`'${code}'`))).toEqual([]);
  const rows = page.split('\n').filter((line) => /^\| (`(keys|clock|token|session|redis)` +| +)\| `/.test(line));
  const documented = rows.flatMap((row) =>
    Array.from(String(row.split('|')[2]).matchAll(/`(\w+)`/g), ([, code]) => code),
  );
  expect(documented).toEqual(codes);
});

test('the file of the docs is accepted', async () => {
  const [block] = codeBlocks('docs/command.md', page).filter(({ language }) => language === 'json');
  const folder = await mkdtemp(join(tmpdir(), 'managed-sessions-command-'));
  const redis = await startRedis();
  try {
    const file = join(folder, 'sessions.json');
    await writeFile(file, String(block?.code));
    const env = { REDIS_URL: redis.url, HANDLE_SECRET: 'a secret of at least 16 bytes' };
    const args = ['list', 'ada', '--config', file, '--store-timeout', '20s', '--revocation-bound', '30s'];
    const { code, stderr } = await commandHere(args, { env });
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringMatching(/^ada of https:\/\/id\.example\.com\/ has no live session at redis:/) as string,
    });
  } finally {
    await Promise.all([redis.stop(), rm(folder, { recursive: true, force: true })]);
  }
});
