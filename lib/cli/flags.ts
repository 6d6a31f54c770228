/** The flags of all commands, and how a command line is read. */

import { parseArgs } from 'node:util';
import { hint, shownName } from '../core/check.js';
import { UsageError } from './exit.js';

interface Flag {
  /** What stands for the value in the help. Null: the flag takes none. */
  readonly value: string | null;
  /** Whether it can be given several times. Default false. */
  readonly isList?: boolean;
  readonly does: string;
}

export const FLAGS = {
  config: { value: 'FILE', does: 'a JSON file with the settings, by the names of the options' },
  issuer: {
    value: 'ISSUER',
    does: 'the exact iss of the tokens; its keys are found by discovery, unless a flag below says more',
  },
  audience: { value: 'NAME', isList: true, does: 'what must be in aud; can be repeated' },
  'jwks-uri': { value: 'URL', does: 'the URL of the key set' },
  'secret-env': { value: 'VARIABLE', does: 'the environment variable that holds the secret' },
  'secret-file': { value: 'FILE', does: 'the file that holds the secret' },
  'public-key-file': { value: 'FILE', does: 'a file with the public key: PEM, a JWK or a key set' },
  algorithm: { value: 'ALG', isList: true, does: 'an algorithm that is accepted; can be repeated' },
  'clock-tolerance': { value: 'DURATION', does: "how far the issuer's clock may differ (5s)" },
  session: { value: 'CLAIM', isList: true, does: 'the claim that names the session; can be repeated' },
  began: { value: 'WHAT', does: 'iat, auth_time or first-seen' },
  subject: { value: 'CLAIM', does: 'the claim that identifies the user (sub)' },
  redis: { value: 'URL', does: 'where the sessions are; default: the variable REDIS_URL' },
  cluster: { value: null, does: 'the URL is that of a node of a Cluster' },
  prefix: { value: 'PREFIX', does: 'the prefix of the keys (ms)' },
  'min-replicas': { value: 'NUMBER', does: 'the replicas that must have an ending before it is acknowledged (0)' },
  'store-timeout': { value: 'DURATION', does: 'the longest wait for Redis (1s)' },
  'revocation-bound': {
    value: 'DURATION',
    does: 'how soon an ending is in force everywhere (5s), as in your application',
  },
  'tombstone-for': { value: 'DURATION', does: 'how long an ended session stays ended (30d), as in your application' },
  'handle-secret-env': { value: 'VARIABLE', does: 'the environment variable that holds handleSecret' },
  'handle-secret-file': { value: 'FILE', does: 'the file that holds handleSecret' },
  'users-file': { value: 'FILE', does: 'a file with one user in each line' },
  reason: { value: 'TEXT', does: 'why, at most 200 characters' },
  by: { value: 'TEXT', does: 'who does it; default: cli: and the name of the account of this machine' },
  yes: { value: null, does: 'do not ask before something that cannot be undone' },
  'no-token': { value: null, does: 'do not read a token from stdin' },
  json: { value: null, does: 'print the result as JSON' },
  help: { value: null, does: 'print this' },
  version: { value: null, does: 'print the version of the package' },
} as const satisfies Readonly<Record<string, Flag>>;

export type FlagName = keyof typeof FLAGS;

/** What was given. A flag that is missing was not given. */
export type Given = Readonly<{
  [Name in FlagName]?: (typeof FLAGS)[Name] extends { readonly value: null }
    ? true
    : (typeof FLAGS)[Name] extends { readonly isList: true }
      ? readonly string[]
      : string;
}>;

export interface CommandLine {
  readonly given: Given;
  readonly operands: readonly string[];
}

/**
 * A part of a token, or something that looks like one. Whatever is in argv can be read by every user of the machine, and stays
 * in the history of the shell.
 */
const LIKE_A_TOKEN = /eyJ[\w-]{5,}|[\w-]{16,}\.[\w-]{16,}\.[\w-]{16,}/;

/** Names under which people give what must not be in argv. */
const SECRETS: Readonly<Record<string, string>> = {
  token: 'a token comes in on stdin: managed-sessions doctor … < token.txt',
  secret: 'name the variable or the file that holds it: --secret-env NAME, --secret-file FILE',
  'handle-secret': 'name the variable or the file that holds it: --handle-secret-env NAME, --handle-secret-file FILE',
  password: 'put the URL with the password into the variable REDIS_URL',
};

/** Throws {@link UsageError}. No message contains what was given, apart from the names of flags. */
export function readCommandLine(args: readonly string[], allowed: readonly FlagName[]): CommandLine {
  const names = Object.entries<Flag>(FLAGS).map(([name, { value, isList = false }]) => [
    name,
    { type: value === null ? 'boolean' : 'string', multiple: isList } as const,
  ]);
  const { tokens } = parseArgs({
    args: withHandleLast(args),
    options: Object.fromEntries(names) as Record<string, { type: 'boolean' | 'string'; multiple: boolean }>,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const given: Partial<Record<FlagName, true | string | string[]>> = {};
  const operands: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    const name = known(token.name, token.rawName, allowed);
    const { value, isList = false }: Flag = FLAGS[name];
    if (value === null) {
      if (token.value !== undefined) throw new UsageError(`--${name} takes no value`);
      given[name] = true;
      continue;
    }
    const text = token.value;
    if (text === undefined || text === '' || (text.startsWith('--') && !token.inlineValue)) {
      throw new UsageError(`--${name} needs a value: --${name} ${value}`);
    }
    const before = given[name];
    if (isList) given[name] = [...(Array.isArray(before) ? before : []), text];
    else if (before === undefined) given[name] = text;
    else throw new UsageError(`--${name} is given twice`);
  }
  return { given: given as Given, operands };
}

export function refuseTokens(args: readonly string[]): void {
  if (!args.some((arg) => LIKE_A_TOKEN.test(arg))) return;
  throw new UsageError(
    'An argument looks like a token. Other users of this machine can read the arguments of a command, and the shell keeps them. ' +
      'Pass the token on stdin: managed-sessions doctor … < token.txt. If it is a real token, end its session',
  );
}

function known(name: string, raw: string, allowed: readonly FlagName[]): FlagName {
  const found = allowed.find((flag) => flag === name);
  if (found !== undefined && raw.startsWith('--')) return found;
  if (name === 'h') return 'help';
  if (name === 'v' || name === 'V') return 'version';
  if (Object.hasOwn(SECRETS, name)) throw new UsageError(`There is no --${name}: ${String(SECRETS[name])}`);
  if (Object.hasOwn(FLAGS, name)) throw new UsageError(`This command has no --${name}`);
  throw new UsageError(`There is no flag ${shownName(name)}: ${hint(name, allowed)}`);
}

/** A handle may begin with a hyphen. It is the last operand wherever one is taken. */
function withHandleLast(args: readonly string[]): string[] {
  const handles = args.filter((arg) => /^-[\w-]{21}$/.test(arg) && !Object.hasOwn(FLAGS, arg.slice(2)));
  if (handles.length !== 1 || args.includes('--')) return [...args];
  return [...args.filter((arg) => arg !== handles[0]), '--', ...handles];
}
