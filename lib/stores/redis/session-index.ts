/**
 * The index by session id: whose sessions have an id that an issuer gave them. For endings that name no user.
 *
 * Each id has one key, in a slot of its own: a hash, with a field for each user, named by the subject as JSON, and the field
 * `ended` once the id was ended. A user is entered before the session is sighted. So whatever ends the id finds the user, or
 * is found by the sighting.
 */

import { unseenUntil } from '../../core/policy.js';
import { keptWords, type Ending, type SessionUser } from '../../core/session.js';
import { INDEXED_SUBJECTS, type IndexEntry, type SessionStore } from '../store.js';
import type { RunScript } from './script-runner.js';
import { TOMBSTONE } from './records.js';
import { formatted, listOf, number, numberOrNull, script, string, stringOf } from './script.js';
import { KEEPING } from './session-prelude.js';

interface Entering {
  readonly subject: string;
  readonly at: number;
  readonly until: number | null;
}

/** Enters a user, unless `until` is null. Returns how the id was ended, if it was: then nobody is entered. */
const ENTER = script<Entering, Ending | null>({
  parameters: {
    at: number(({ at }) => at),
    entryUntil: numberOrNull(({ until }) => until),
    subject: string(({ subject }) => JSON.stringify(subject)),
  },
  lua: `
local ended = redis.call('HGET', KEYS[1], 'ended')
if ended or not entryUntil then return ended end
${KEEPING}
local isNew = redis.call('HSET', KEYS[1], subject, '') == 1
if isNew and redis.call('HLEN', KEYS[1]) > ${INDEXED_SUBJECTS} then redis.call('HDEL', KEYS[1], subject) end
keepUntil(entryUntil, KEYS[1])
return false
`,
  decode: (reply) => (reply === null ? null : formatted(TOMBSTONE, reply).ending),
});

interface EndingById {
  readonly ending: Ending;
  readonly at: number;
  readonly until: number;
}

/** Ends an id. If it was ended before, it keeps that ending. Returns the subjects. */
const END = script<EndingById, readonly string[]>({
  parameters: {
    at: number(({ at }) => at),
    endedUntil: number(({ until }) => until),
    ending: string(({ ending, until }) => TOMBSTONE.write({ ending, until })),
  },
  lua: `${KEEPING}
if not redis.call('HGET', KEYS[1], 'ended') then redis.call('HSET', KEYS[1], 'ended', ending) end
keepUntil(endedUntil, KEYS[1])
local subjects, flat = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  if flat[i] ~= 'ended' then subjects[#subjects + 1] = flat[i] end
end
return subjects
`,
  decode: (reply) => listOf(reply).map((subject) => stringOf(JSON.parse(stringOf(subject)))),
});

export interface SessionIndexOptions {
  readonly prefix: string;
  readonly origin: string;
  readonly run: RunScript;
  /** For what ends sessions: also acknowledged by the configured number of replicas. */
  readonly runDurably: RunScript;
}

export class SessionIndex {
  readonly #options: SessionIndexOptions;

  constructor(options: SessionIndexOptions) {
    this.#options = options;
  }

  /** Resolves to how the id was ended. Null: it was not. */
  enter({ subject }: SessionUser, { id, until }: IndexEntry, at: number): Promise<Ending | null> {
    return this.#options.run(ENTER, this.#keysOf(id), { subject, at, until });
  }

  readonly end: SessionStore['endIndexed'] = (id, { at, policy, ...words }) => {
    const { origin, runDurably } = this.#options;
    const ending: Ending = { cause: 'revoked', ...keptWords(words), at, expiresAt: null, origin };
    return runDurably(END, this.#keysOf(id), { ending, at, until: unseenUntil(at, policy) });
  };

  #keysOf(id: string): string[] {
    return [`${this.#options.prefix}:{${id}}:u`];
  }
}
