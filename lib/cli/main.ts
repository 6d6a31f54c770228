/** From a command line to an exit code. */

import { hint, shownName } from '../core/check.js';
import { COMMANDS, type Command } from './commands.js';
import { UsageError, type ExitCode } from './exit.js';
import { FLAGS, readCommandLine, refuseTokens } from './flags.js';
import type { Surroundings } from './operator.js';
import { columns, visible } from './terminal.js';

const HELP: readonly string[] = ['help', '--help', '-h'];
const VERSION: readonly string[] = ['version', '--version', '-v', '-V'];

/** Never rejects. */
export async function main(args: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const { terminal, streams, version } = surroundings;
  try {
    refuseTokens(args);
    const [name = 'help', ...rest] = args;
    if (VERSION.includes(name)) {
      terminal.print(version);
      return 0;
    }
    if (HELP.includes(name)) {
      const [about = 'help'] = rest;
      const isOverview = HELP.includes(about) || VERSION.includes(about);
      for (const line of isOverview ? overview() : helpOn(about)) terminal.print(line);
      return 0;
    }
    const command = commandNamed(name);
    const line = readCommandLine(rest, command.flags);
    if (line.given.version === true) {
      terminal.print(version);
      return 0;
    }
    if (line.given.help === true) {
      for (const text of helpOn(name)) terminal.print(text);
      return 0;
    }
    if (hasPassword(line.given.redis)) {
      terminal.tell('The password in --redis can be read by other users of this machine: put the URL into REDIS_URL.');
    }
    return await command.run(line, surroundings);
  } catch (error) {
    const isKnown = error instanceof UsageError || error instanceof TypeError;
    const { message } = error as Error;
    terminal.tell(visible(`managed-sessions: ${message}${/[.?]$/.test(message) ? '' : '.'}`));
    if (!isKnown && streams.env['DEBUG'] === 'managed-sessions') terminal.tell(visible(String((error as Error).stack)));
    return isKnown ? 2 : 1;
  }
}

function hasPassword(url: string | undefined): boolean {
  return url !== undefined && URL.canParse(url) && new URL(url).password !== '';
}

function commandNamed(name: string): Command {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command !== undefined) return command;
  const names = [...Object.keys(COMMANDS), 'help', 'version'];
  if (name.startsWith('-')) throw new UsageError(`The command comes before its flags: ${hint('', names)}`);
  throw new UsageError(`There is no command ${shownName(name)}: ${hint(name, names)}`);
}

function helpOn(name: string): readonly string[] {
  const command = commandNamed(name);
  const flags = command.flags.map((flag) => {
    const { value, does } = FLAGS[flag];
    return [`  --${flag}${value === null ? '' : ` ${value}`}`, does];
  });
  return [
    `managed-sessions ${name} [flags] ${command.takes}`.trimEnd(),
    '',
    `${name} ${command.does}.`,
    '',
    ...columns(flags),
  ];
}

function overview(): readonly string[] {
  const commands = Object.entries(COMMANDS).map(([name, { takes, does }]) => [`  ${name} ${takes}`.trimEnd(), does]);
  return [
    'managed-sessions <command> [flags]',
    '',
    ...columns([
      ...commands,
      ['  help <command>', 'lists the flags of a command'],
      ['  version', 'prints the version of the package'],
    ]),
    '',
    '--config FILE reads the settings from a JSON file.',
    'A token comes in on stdin only, and secrets by variables and files. Neither is ever printed.',
    '',
    'Exit codes: 0 done, and no problem found; 1 problems found, or not done; 2 wrong usage, nothing done;',
    '3 Redis or the issuer cannot be reached: an ending may be in force in part; 130 interrupted.',
  ];
}
