/** `doctor`: checks the settings, the keys, a token and Redis, and prints what it finds. */

import { checkedSettings, type Settings } from '../settings.js';
import { DEFAULT_TOLERANCE, issuerRules } from '../tokens/issuer.js';
import type { IssuerOptions } from '../tokens/issuer.js';
import type { IssuerRules, VerifiedToken } from '../tokens/verify.js';
import { checkKeys } from './check-keys.js';
import { checkServers, checkStore } from './check-store.js';
import { checkToken } from './check-token.js';
import { readConfiguration, storeOf, type Configuration } from './configuration.js';
import { UsageError, type ExitCode } from './exit.js';
import { exitCodeOf, SUBJECTS, type Finding, type Level, type Report } from './findings.js';
import type { CommandLine } from './flags.js';
import { tokenFrom } from './stdin.js';
import { columns, visible, visibleJson, type Colour, type Streams, type Terminal } from './terminal.js';

interface Issuer {
  readonly options: IssuerOptions;
  readonly rules: IssuerRules;
}

export async function doctor(
  { given, operands }: CommandLine,
  streams: Streams,
  terminal: Terminal,
): Promise<ExitCode> {
  if (operands.length > 0) {
    throw new UsageError('doctor takes flags only, and the token on stdin: managed-sessions doctor … < token.txt');
  }
  const configuration = readConfiguration(given, streams);
  const options = configuration.issuers();
  if (options.length === 0 && configuration.redis === null) {
    throw new UsageError(
      'There is nothing to check: give --issuer, --redis or --config. managed-sessions help doctor lists the flags',
    );
  }
  const settings = checkedSettings({
    ...configuration.options,
    issuer: options.length === 0 ? () => null : [...options],
  });
  const issuers = options.map((each, index) => ({
    options: each,
    rules: rulesOf(each, index, options.length, settings),
  }));
  const token = given['no-token'] === true ? null : await tokenFrom(streams.stdin, terminal);

  const findings: Finding[] = [];
  const report: Report = (finding) => findings.push(finding);
  try {
    await check({ configuration, settings, issuers, token }, report, terminal);
  } finally {
    for (const { rules } of issuers) rules.keys.close();
    terminal.progress('');
  }
  if (given.json === true) terminal.print(visibleJson({ result: RESULTS[exitCodeOf(findings)], findings }));
  else print(findings, terminal);
  return exitCodeOf(findings);
}

const RESULTS = { 0: 'ok', 1: 'problems', 3: 'unreachable' } as const;

function rulesOf(options: IssuerOptions, index: number, count: number, { clock }: Settings): IssuerRules {
  const path = count === 1 ? 'issuer' : `issuer[${String(index)}]`;
  return issuerRules(options, path, { clock, onKeyEvent: () => undefined });
}

interface Subjects {
  readonly configuration: Configuration;
  readonly settings: Settings;
  readonly issuers: readonly Issuer[];
  readonly token: string | null;
}

async function check(subjects: Subjects, report: Report, terminal: Terminal): Promise<void> {
  const { configuration, settings, issuers, token } = subjects;
  const { lifetime, maxTokenLength, clock, storeTimeout } = settings;
  const clockTolerance = Math.min(DEFAULT_TOLERANCE, ...issuers.map(({ rules }) => rules.clockTolerance));
  for (const { options, rules } of issuers) {
    terminal.progress(`Fetching the keys of ${visible(options.issuer)} ...`);
    await checkKeys({ options, keys: rules.keys, clockTolerance: rules.clockTolerance }, report);
  }
  let verified: VerifiedToken | null = null;
  if (token === null) reportNoToken(issuers, report);
  else if (issuers.length === 0) throw new UsageError('To check a token, give --issuer, or --config with an issuer');
  else {
    const checked = { issuers, lifetime: lifetime, maxTokenLength, clock };
    verified = await checkToken(token, checked, report);
  }
  const { redis, store } = configuration;
  if (redis === null) {
    const says = 'Redis was not checked, because nothing says where it is.';
    report({
      about: 'redis',
      level: 'note',
      code: 'redis_not_given',
      says,
      advice: 'Give --redis URL, or set REDIS_URL.',
    });
    return;
  }
  terminal.progress(`Asking ${redis.name} ...`);
  const isReached = await checkServers(redis, { ...store, clockTolerance }, Math.max(storeTimeout, 1000), report);
  if (isReached) await checkStore({ store: storeOf(configuration), settings, clockTolerance, token: verified }, report);
}

function reportNoToken(issuers: readonly Issuer[], report: Report): void {
  if (issuers.length === 0) return;
  const says = 'No token was checked.';
  const advice = 'Pass one on stdin: managed-sessions doctor … < token.txt';
  report({ about: 'token', level: 'note', code: 'no_token', says, advice });
}

const COLOURS: Readonly<Record<Level, Colour>> = { ok: 'green', note: 'dim', problem: 'red', unreachable: 'yellow' };
/** The length of the longest level, and the space around it. */
const INDENT = ' '.repeat(15);

function print(findings: readonly Finding[], terminal: Terminal): void {
  for (const subject of SUBJECTS) {
    const found = findings.filter(({ about }) => about === subject);
    if (found.length === 0) continue;
    terminal.print(terminal.paint(subject, 'bold'));
    const names = columns(found.map(({ name = '' }) => [visible(name).slice(0, 40), '|'])).map((row) =>
      row.slice(0, -1),
    );
    const isNamed = found.some(({ name }) => name !== undefined);
    found.forEach(({ level, says, advice }, index) => {
      const label = terminal.paint(level.padEnd(11), COLOURS[level]);
      terminal.print(`  ${label}  ${isNamed ? String(names[index]) : ''}${visible(says)}`);
      if (advice !== undefined) terminal.print(`${INDENT}${terminal.paint('->', 'bold')} ${visible(advice)}`);
    });
    terminal.print('');
  }
  terminal.print(summaryOf(findings));
}

function summaryOf(findings: readonly Finding[]): string {
  const count = (level: Level): number => findings.filter((finding) => finding.level === level).length;
  const [problems, unreachable] = [count('problem'), count('unreachable')];
  const words = [
    problems === 0 ? 'No problem was found' : 'Problems were found',
    ...(unreachable === 0 ? [] : [`${String(unreachable)} could not be checked`]),
  ];
  return `${words.join('; ')}.`;
}
