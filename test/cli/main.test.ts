/** What people type who do not know the command yet. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { command, commandHere } from '../support/command.js';

test.each(['--version', '-v', '-V', 'version', 'doctor --version', 'list -v'])(
  '%s prints the version',
  async (line) => {
    expect(await commandHere(line.split(' '))).toEqual({ code: 0, stdout: '1.2.3\n', stderr: '' });
  },
);

test('which is that of the package', async () => {
  const { version } = JSON.parse(readFileSync(join(__dirname, '../../package.json'), 'utf8')) as { version: string };
  expect(await command(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
});

test.each(['', 'help', '--help', '-h', 'help help', 'help version'])('%j prints all commands', async (line) => {
  const { code, stdout, stderr } = await commandHere(line === '' ? [] : line.split(' '));
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(
    /^managed-sessions <command> \[flags\]\n\n {2}doctor < token\.txt .*\n {2}help <command> .*\n {2}version /s,
  );
});

test.each(['help revoke', 'revoke --help', 'revoke ada -h'])('%s prints the flags of one', async (line) => {
  const { code, stdout } = await commandHere(line.split(' '));
  expect(code).toBe(0);
  expect(stdout).toMatch(/^managed-sessions revoke \[flags\] <user> <handle>\n.*--reason TEXT/s);
});

test.each([
  ['doctro', 'There is no command "doctro": did you mean doctor?'],
  ['help doctro', 'There is no command "doctro": did you mean doctor?'],
  ['revoke_all ada', 'There is no command "revoke_all": did you mean revoke-all?'],
  ['--versoin', 'The command comes before its flags: use one of doctor, list,'],
  ['--json list ada', 'The command comes before its flags: use one of doctor, list,'],
  ['__proto__', 'There is no command "__proto__": use one of doctor, list,'],
  ['doctor --versoin', 'There is no flag "versoin": did you mean version?'],
])('%s: says what to type', async (line, says) => {
  const { code, stdout, stderr } = await commandHere(line.split(' '));
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toContain(`managed-sessions: ${says}`);
});
