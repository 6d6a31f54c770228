/** What the test run does before its first test. */

import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SET_UP = `
require(${JSON.stringify(join(__dirname, '../support/global-setup.cjs'))})();
console.log(process.env.REDIS_SERVER, process.env.CHROMIUM);
`;

let bin: string;

beforeEach(() => {
  bin = mkdtempSync(join(tmpdir(), 'managed-sessions-set-up-'));
});
afterEach(() => {
  rmSync(bin, { recursive: true, force: true });
});

/** With these programs on PATH, and nothing else. */
function setUp(programs: readonly string[], env: NodeJS.ProcessEnv = {}) {
  for (const name of programs) {
    writeFileSync(join(bin, name), '#!/bin/sh\nexit 0\n');
    chmodSync(join(bin, name), 0o755);
  }
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', SET_UP], {
    env: { PATH: bin, ...env },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test.each([
  [['redis-server', 'chromium'], 'redis-server chromium'],
  [['valkey-server', 'google-chrome'], 'valkey-server google-chrome'],
])('finds %j', (programs, names) => {
  expect(setUp(programs)).toEqual({ status: 0, stdout: `${names}\n`, stderr: '' });
});

test('takes what the variables name', () => {
  const own = join(bin, 'own-redis');
  expect(setUp(['own-redis', 'chromium'], { REDIS_SERVER: own })).toMatchObject({ stdout: `${own} chromium\n` });
});

test('without apt, stops with one sentence that says what is missing', () => {
  expect(setUp(['chromium'])).toEqual({
    status: 1,
    stdout: '',
    stderr:
      'The tests need redis-server or valkey-server (or set REDIS_SERVER to its path) on PATH: please install what is missing.\n',
  });
  rmSync(join(bin, 'chromium'));
  expect(setUp([]).stderr).toMatch(/^The tests need redis-server .*, and chromium .* on PATH: .*\n$/);
});
