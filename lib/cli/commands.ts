/** The commands: what each takes, and what it does. */

import { doctor } from './doctor.js';
import type { ExitCode } from './exit.js';
import type { CommandLine, FlagName } from './flags.js';
import {
  atDesk,
  endEverywhere,
  expireTokens,
  list,
  nobody,
  oneUser,
  revoke,
  revokeAll,
  severalUsers,
  userAndHandle,
  type Surroundings,
} from './operator.js';

export interface Command {
  /** What follows its name. */
  readonly takes: string;
  readonly does: string;
  readonly flags: readonly FlagName[];
  run(line: CommandLine, surroundings: Surroundings): Promise<ExitCode>;
}

const PLACE: readonly FlagName[] = [
  'config',
  'redis',
  'cluster',
  'prefix',
  'min-replicas',
  'store-timeout',
  'revocation-bound',
];
const USERS: readonly FlagName[] = [...PLACE, 'issuer'];
const HANDLES: readonly FlagName[] = ['handle-secret-env', 'handle-secret-file'];
const ENDING: readonly FlagName[] = ['reason', 'by', 'yes', 'tombstone-for'];
const ALWAYS: readonly FlagName[] = ['json', 'help', 'version'];

const ISSUER: readonly FlagName[] = [
  ...(['issuer', 'audience', 'jwks-uri', 'secret-env', 'secret-file', 'public-key-file', 'algorithm'] as const),
  ...(['clock-tolerance', 'session', 'began', 'subject'] as const),
];

export const COMMANDS: Readonly<Record<string, Command>> = {
  doctor: {
    takes: '< token.txt',
    does: 'says why a token is accepted or refused, and what is wrong with the keys, the clocks and Redis',
    flags: [...ISSUER, ...PLACE, ...HANDLES, 'no-token', ...ALWAYS],
    run: (line, { streams, terminal }) => doctor(line, streams, terminal),
  },
  list: {
    takes: '<user>',
    does: 'shows the live sessions of a user',
    flags: [...USERS, ...HANDLES, ...ALWAYS],
    run: (line, surroundings) => atDesk(line, surroundings, { operation: list, argsOf: oneUser, isFinal: false }),
  },
  revoke: {
    takes: '<user> <handle>',
    does: 'ends one session',
    flags: [...USERS, ...HANDLES, ...ENDING, ...ALWAYS],
    run: (line, surroundings) =>
      atDesk(line, surroundings, { operation: revoke, argsOf: userAndHandle, isFinal: true }),
  },
  'revoke-all': {
    takes: '<user>...',
    does: 'ends every session of a user, also those never seen here',
    flags: [...USERS, 'users-file', ...ENDING, ...ALWAYS],
    run: (line, surroundings) =>
      atDesk(line, surroundings, { operation: revokeAll, argsOf: severalUsers, isFinal: true }),
  },
  'expire-tokens': {
    takes: '<user>...',
    does: 'refuses every token of a user that was issued up to now; the sessions stay',
    flags: [...USERS, 'users-file', ...ENDING, ...ALWAYS],
    run: (line, surroundings) =>
      atDesk(line, surroundings, { operation: expireTokens, argsOf: severalUsers, isFinal: true }),
  },
  'end-everywhere': {
    takes: '',
    does: 'ends every session of every user, for an incident',
    flags: [...PLACE, ...ENDING, ...ALWAYS],
    run: (line, surroundings) =>
      atDesk(line, surroundings, { operation: endEverywhere, argsOf: nobody, isFinal: true }),
  },
};
