/** What an operator does with sessions: `list`, `revoke`, `revoke-all`, `expire-tokens`, `end-everywhere`. */

import { userInfo } from 'node:os';
import { isLoginError, type LoginError } from '../core/errors.js';
import type { SessionView } from '../http/account.js';
import { managedSessions, type ManagedSessions } from '../managed-sessions.js';
import { checkedSettings } from '../settings.js';
import { shownDuration } from './clock.js';
import { readConfiguration, storeOf } from './configuration.js';
import { UsageError, type ExitCode } from './exit.js';
import type { CommandLine, Given } from './flags.js';
import { hasKeys } from './redis-place.js';
import { textOfFile } from './secrets.js';
import { columns, visible, visibleJson, type Streams, type Terminal } from './terminal.js';

interface User {
  readonly issuer: string;
  readonly subject: string;
}

/** What an operation works with. */
interface Desk {
  readonly sessions: ManagedSessions;
  readonly given: Given;
  readonly terminal: Terminal;
  /** Where the sessions are, in words. */
  readonly place: string;
  /** Whether anything is kept there. Null if that is not known. */
  readonly isInUse: () => Promise<boolean | null>;
  readonly words: { readonly reason?: string; readonly by: string };
  /** Within which time an acknowledged ending is in force everywhere, in words. */
  readonly bound: string;
  readonly interrupts: Interrupts;
}

/** Says, if the command is interrupted, what was done and what was not. */
export interface Interrupts {
  readonly signal: AbortSignal;
  /** What is said from now on. */
  say(text: string): void;
}

type Operation<Args extends readonly unknown[]> = (desk: Desk, ...args: Args) => Promise<ExitCode>;

/** An operation, and what it needs. */
interface Order<Args extends readonly unknown[]> {
  readonly operation: Operation<Args>;
  /** What it is about, by the operands, and by the names of the configured issuers. */
  readonly argsOf: (operands: readonly string[], names: readonly string[], given: Given) => Args;
  /** Whether it cannot be undone. */
  readonly isFinal: boolean;
}

export interface Surroundings {
  readonly streams: Streams;
  readonly terminal: Terminal;
  readonly interrupts: Interrupts;
  /** Of the package. */
  readonly version: string;
}

/** Opens what the operation needs, and closes it whatever happens. No key and no token is needed. */
export async function atDesk<Args extends readonly unknown[]>(
  { given, operands }: CommandLine,
  { streams, terminal, interrupts }: Surroundings,
  { operation, argsOf, isFinal }: Order<Args>,
): Promise<ExitCode> {
  const configuration = readConfiguration(given, streams);
  const args = argsOf(operands, configuration.issuerNames, given);
  const options = { ...configuration.options, issuer: () => null };
  const { revocationBound, storeTimeout } = checkedSettings(options);
  if (isFinal && given.yes !== true && !terminal.isInteractive) {
    throw new UsageError('This cannot be undone, and there is no terminal to ask you on. In a script, say --yes');
  }
  const sessions = managedSessions({ ...options, store: storeOf(configuration) });
  const words = { by: given.by ?? `cli:${accountName()}`, ...(given.reason !== undefined && { reason: given.reason }) };
  const { redis, store } = configuration;
  const place = `${redis?.name ?? ''}, prefix ${visible(store.prefix)}`;
  const isInUse = async (): Promise<boolean | null> =>
    redis === null ? null : hasKeys(redis, store.prefix, storeTimeout);
  const bound = shownDuration(revocationBound);
  try {
    return await operation({ sessions, given, terminal, place, isInUse, words, bound, interrupts }, ...args);
  } catch (error) {
    if (!isLoginError(error)) throw error;
    return notDone(error, { given, terminal, isFinal });
  } finally {
    terminal.progress('');
    await sessions.close();
  }
}

/** The name of the account on this machine; there may be none in a container. */
function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}

export function oneUser(operands: readonly string[], names: readonly string[]): [User] {
  const [subject, ...others] = operands;
  if (subject === undefined || others.length > 0) throw new UsageError('This command takes one user');
  return [userOf(subject, names)];
}

export function userAndHandle(operands: readonly string[], names: readonly string[]): [User, string] {
  const [subject, handle, ...others] = operands;
  if (subject === undefined || handle === undefined || others.length > 0) {
    throw new UsageError(
      'This command takes a user and the handle of a session: managed-sessions list <user> shows the handles',
    );
  }
  return [userOf(subject, names), handle];
}

export function severalUsers(operands: readonly string[], names: readonly string[], given: Given): [User[]] {
  const file = given['users-file'];
  const lines = file === undefined ? [] : textOfFile(file, 'The file of --users-file', { folder: '.' }).split(/\r?\n/);
  const subjects = [...new Set([...operands, ...lines.map((line) => line.trim()).filter((line) => line !== '')])];
  if (subjects.length === 0) throw new UsageError('Whose sessions? Give a user, several users, or --users-file');
  return [subjects.map((subject) => userOf(subject, names))];
}

export function nobody(operands: readonly string[]): [] {
  if (operands.length > 0) throw new UsageError('This command takes no user: it ends the sessions of all users');
  return [];
}

function userOf(subject: string, names: readonly string[]): User {
  if (subject === '') throw new UsageError('The user is an empty string');
  const [issuer, ...others] = names;
  if (issuer === undefined || others.length > 0) {
    const why = issuer === undefined ? 'A user is a subject of an issuer' : 'The file has several issuers';
    throw new UsageError(`${why}: give --issuer, the exact iss of the tokens`);
  }
  return { issuer, subject };
}

export const list: Operation<[User]> = async ({ sessions, given, terminal, place }, user) => {
  const found = await allOf(sessions, user, terminal);
  if (given.json === true) {
    terminal.print(visibleJson({ user, sessions: found }));
    return 0;
  }
  if (found.length === 0) {
    terminal.tell(`${nameOf(user)} has no live session at ${place}.`);
    return 0;
  }
  const head = ['HANDLE', 'LAST SEEN', 'STARTED', 'EXPIRES', 'ADDRESS', 'CLIENT', 'LABEL'];
  for (const line of columns([head, ...found.map(rowOf)])) terminal.print(line);
  return 0;
};

async function allOf(sessions: ManagedSessions, user: User, terminal: Terminal): Promise<readonly SessionView[]> {
  const found: SessionView[] = [];
  let cursor: string | null = null;
  do {
    const page = await sessions.list(user, { limit: 200, cursor });
    found.push(...page.sessions);
    cursor = page.next;
    if (cursor !== null) terminal.progress(`${found.length} sessions so far ...`);
  } while (cursor !== null);
  return found;
}

function rowOf({ handle, lastSeenAt, startedAt, expiresAt, ip, client, app, label }: SessionView): readonly string[] {
  const times = [lastSeenAt, startedAt, expiresAt].map((time) => time.replace(/\.\d+Z$/, 'Z'));
  const what = [client.name ?? app ?? '-', client.os].filter((part) => part !== null).join(' on ');
  return [handle, ...times, ip ?? '-', visible(what), label === null ? '' : visible(label)];
}

export const revoke: Operation<[User, string]> = async (desk, user, handle) => {
  const { sessions, given, words } = desk;
  if (given.yes !== true) {
    const session = await sessions.get(user, handle);
    desk.terminal.tell(rowOf(session).slice(1).join('  ').trimEnd());
    if (!(await isConfirmed(desk, `End this session of ${nameOf(user)}?`))) return unchanged(desk);
  }
  await sent(desk, `The session ${visible(handle)} of ${nameOf(user)}`, () => sessions.revoke(user, handle, words));
  return done(desk, `The session ${visible(handle)} of ${nameOf(user)} is ended.`, { user, handle });
};

export const revokeAll: Operation<[readonly User[]]> = async (desk, users) => {
  const { sessions, given, words, terminal } = desk;
  if (given.yes !== true) {
    const [only, ...others] = users;
    const known = only !== undefined && others.length === 0 ? (await allOf(sessions, only, terminal)).length : null;
    const onRecord = known === null ? '' : ` ${known === 1 ? '1 is' : `${known} are`} on record.`;
    const question = `End every session of ${namesOf(users)}, also those never seen here?${onRecord}`;
    if (!(await isConfirmed(desk, question))) return unchanged(desk);
  }
  const results = await forEach(desk, users, async (user) => (await sessions.revokeAll(user, words)).ended);
  const ended = results.reduce((sum, count) => sum + count, 0);
  const says = `Every session of ${namesOf(users)} that began before now is ended, ${ended} of them on record.`;
  hintIfUnknown(
    desk,
    users.filter((_, index) => results[index] === 0),
  );
  return done(desk, says, { users: users.map((user, index) => ({ ...user, ended: results[index] ?? 0 })) });
};

export const expireTokens: Operation<[readonly User[]]> = async (desk, users) => {
  const { sessions, given, words } = desk;
  const question = `Refuse every token of ${namesOf(users)} that was issued up to now? The sessions stay.`;
  if (given.yes !== true && !(await isConfirmed(desk, question))) return unchanged(desk);
  const areKnown = await forEach(desk, users, async (user) => {
    const { sessions: found } = await sessions.list(user, { limit: 1 });
    await sessions.expireTokens(user, words);
    return found.length > 0;
  });
  hintIfUnknown(
    desk,
    users.filter((_, index) => areKnown[index] === false),
  );
  const facts = { users: users.map((user, index) => ({ ...user, onRecord: areKnown[index] === true })) };
  return done(desk, `Every token of ${namesOf(users)} that was issued up to now is refused.`, facts);
};

/** The name of an issuer or a prefix that is nearly right ends nothing. */
function hintIfUnknown({ terminal, place }: Desk, users: readonly User[]): void {
  if (users.length === 0) return;
  terminal.tell(
    `No live session of ${namesOf(users)} was on record at ${place}. If there should have been one, compare the user, --issuer and --prefix.`,
  );
}

export const endEverywhere: Operation<[]> = async (desk) => {
  const { sessions, given, words, place, terminal, isInUse } = desk;
  if ((await isInUse()) === false)
    terminal.tell(`Nothing is kept at ${place}: compare the prefix with your application.`);
  const question = `End every session of every user of every issuer at ${place}? Everybody must sign in again, and it cannot be taken back.`;
  if (given.yes !== true && !(await isConfirmed(desk, question))) return unchanged(desk);
  await sent(desk, 'The end of all sessions', () => sessions.endEverywhere(words));
  return done(desk, `Every session of every user at ${place} is ended.`, {});
};

function isConfirmed({ terminal, interrupts }: Desk, question: string): Promise<boolean> {
  return terminal.confirm(question, interrupts.signal);
}

function unchanged({ given, terminal }: Desk): ExitCode {
  terminal.tell('Nothing was done.');
  if (given.json === true) terminal.print(visibleJson({ done: false, code: 'not_confirmed' }));
  return 1;
}

/** After how long a person is told that it is still under way, in milliseconds. */
const SLOW = 1000;

/** Does what cannot be taken back once it was sent. */
async function sent<Result>({ interrupts, terminal }: Desk, what: string, act: () => Promise<Result>): Promise<Result> {
  interrupts.say(`${what} was sent and not acknowledged: it may be in force, also in part. Repeat it: that is safe.`);
  const slow = setTimeout(() => terminal.progress('Waiting for Redis ...'), SLOW);
  try {
    return await act();
  } finally {
    clearTimeout(slow);
  }
}

async function forEach<Result>(
  desk: Desk,
  users: readonly User[],
  act: (user: User) => Promise<Result>,
): Promise<Result[]> {
  const { interrupts, terminal } = desk;
  const results: Result[] = [];
  for (const user of users) {
    const before = `${results.length} of ${users.length} users are done. `;
    if (users.length > 1) terminal.progress(`${before}Now ${nameOf(user)} ...`);
    interrupts.say(
      `${before}For ${nameOf(user)} it was sent and not acknowledged: it may be in force, also in part. Repeat the command: that is safe.`,
    );
    try {
      results.push(await act(user));
    } catch (error) {
      if (users.length > 1) terminal.tell(`${before}It stopped at ${nameOf(user)}.`);
      throw error;
    }
  }
  return results;
}

function done({ given, terminal, bound, interrupts }: Desk, says: string, facts: object): ExitCode {
  const all = `${says} This is in force in every process within ${bound}.`;
  interrupts.say(all);
  if (given.json === true) terminal.print(visibleJson({ done: true, inForceWithin: bound, ...facts }));
  else terminal.print(all);
  return 0;
}

function notDone(
  error: LoginError,
  { given, terminal, isFinal }: Pick<Desk, 'given' | 'terminal'> & { readonly isFinal: boolean },
): ExitCode {
  const { code, message, cause } = error;
  const isUnavailable = error.status === 503;
  const why = cause instanceof Error && cause.message !== message ? `: ${cause.message.replace(/\.$/, '')}` : '';
  const repeat =
    isUnavailable && isFinal ? ' What was asked for may be in force in part. Repeat the command: that is safe.' : '';
  if (given.json === true) terminal.print(visibleJson({ done: false, code, message: `${message}${why}` }));
  terminal.tell(visible(`${message}${why}.${repeat}`));
  return isUnavailable ? 3 : 1;
}

/** The most users that are named. */
const NAMED = 3;

function namesOf(users: readonly User[]): string {
  const more = users.length > NAMED ? ` and ${users.length - NAMED} more users` : '';
  return users.slice(0, NAMED).map(nameOf).join(', ') + more;
}

function nameOf({ issuer, subject }: User): string {
  return visible(`${subject} of ${issuer}`);
}
