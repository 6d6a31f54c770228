/** What a person sees: colour only where it is wanted, nothing that a terminal obeys, and no token that is typed by hand. */

import { PassThrough } from 'node:stream';

import { columns, createTerminal, visible, visibleJson } from '../../lib/cli/terminal.js';
import { commandHere } from '../support/command.js';

const RED = '\u001b[31mno\u001b[0m';

test.each([
  ['a terminal', { TERM: 'xterm' }, true, RED],
  ['NO_COLOR', { TERM: 'xterm', NO_COLOR: '1' }, true, 'no'],
  ['an empty NO_COLOR', { TERM: 'xterm', NO_COLOR: '' }, true, RED],
  ['a terminal without colours', { TERM: 'dumb' }, true, 'no'],
  ['a pipe', { TERM: 'xterm' }, false, 'no'],
])('colour: %s', (_, env, isTTY, expected) => {
  const stream = (): PassThrough & { isTTY: boolean } => Object.assign(new PassThrough(), { isTTY });
  const terminal = createTerminal({ stdin: stream(), stdout: stream(), stderr: stream(), env });
  expect(terminal.paint('no', 'red')).toBe(expected);
});

test.each(['\u001b[2J', '\u009b31m', '\u202eabc', '\r\n', '\u2028', '\u0000', '\ud800', '\u{e0041}', '\u{1bca0}'])(
  'what a terminal obeys is replaced: %j',
  (text) => {
    expect(visible(text)).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
    const json = visibleJson({ [text]: text });
    expect(json.replaceAll('\n', '')).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
    expect(JSON.parse(json)).toEqual({ [text]: text });
  },
);

test('columns are aligned by characters, not by their units', () => {
  expect(
    columns([
      ['a', 'b'],
      ['😀😀', 'c'],
      ['', 'd'],
    ]),
  ).toEqual(['a   b', '😀😀  c', '    d']);
});

test('doctor does not read a token from a terminal, where it would be seen', async () => {
  const env = { S: 'a secret that is long enough, really' };
  const { code, stdout } = await commandHere(['doctor', '--issuer', 'a', '--secret-env', 'S'], { env, answers: [] });
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: expect.stringMatching(/No token was checked\.\n +-> Pass one on stdin/) as string,
  });
});
