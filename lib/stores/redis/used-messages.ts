/** Messages of providers that were acknowledged: one key each, in a slot of its own. Redis deletes it when its time is over. */

import type { SessionStore } from '../store.js';
import type { RunScript } from './script-runner.js';
import { number, script } from './script.js';
import { KEEPING } from './session-prelude.js';

interface Use {
  readonly at: number;
  readonly until: number;
}

/** What was noted until a later time stays noted until then. */
const USE = script<Use, null>({
  parameters: { at: number(({ at }) => at), noteUntil: number(({ until }) => until) },
  lua: `${KEEPING}
if not redis.call('SET', KEYS[1], '', 'NX', 'PX', math.max(noteUntil - past, 1)) then keepUntil(noteUntil, KEYS[1]) end
`,
  decode: () => null,
});

const IS_USED = script<null, boolean>({
  parameters: {},
  lua: `return redis.call('EXISTS', KEYS[1])`,
  decode: (reply) => Number(reply) === 1,
});

export interface UsedMessagesOptions {
  readonly prefix: string;
  readonly run: RunScript;
  /** The same, also acknowledged by the configured number of replicas. */
  readonly runDurably: RunScript;
}

export class UsedMessages {
  readonly #options: UsedMessagesOptions;

  constructor(options: UsedMessagesOptions) {
    this.#options = options;
  }

  readonly isUsed: SessionStore['isMessageUsed'] = (id) => this.#options.run(IS_USED, this.#keysOf(id), null);

  readonly use: SessionStore['useMessage'] = async (id, until, at) => {
    await this.#options.runDurably(USE, this.#keysOf(id), { at, until });
  };

  #keysOf(id: string): string[] {
    return [`${this.#options.prefix}:{${id}}:m`];
  }
}
