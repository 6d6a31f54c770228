/** The parent's side of app-process.mjs and provider-process.mjs. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface AppEvent {
  readonly event: 'ready' | 'refused' | 'aborted' | 'sessionEnded' | 'sessionUnnamed' | 'storeDown' | 'storeUp';
  /** Milliseconds of the machine's monotonic clock, in an app process. */
  readonly at: number;
  /** On which the process listens. */
  readonly port?: number;
  /** The site that a provider process tells of. */
  readonly site?: string;
  readonly handle?: string;
  readonly here?: boolean;
  readonly reason?: string;
  readonly token?: string;
  readonly acceptedAt?: number | null;
  /** A request was let in after one was refused. */
  readonly again?: boolean;
  readonly statuses?: readonly number[];
}

export interface AppProcess {
  readonly events: readonly AppEvent[];
  /** One of the calls that app-process.mjs lists; rejects with what it rejected with. */
  call(name: string, ...args: unknown[]): Promise<unknown>;
  /** The first event, past or to come, of which `is` holds. */
  heard(is: (event: AppEvent) => boolean): Promise<AppEvent>;
  stop(): Promise<void>;
}

type Message = AppEvent | { readonly id: number; readonly value?: unknown; readonly error?: string };

/**
 * Starts one, and resolves once it serves. `options` are those of `managedSessions()` that JSON can carry; `more` is what else
 * app-process.mjs takes.
 */
export function startApp(redis: string, options: object, more: object = {}): Promise<AppProcess> {
  return startProcess('app-process.mjs', { redis, options, ...more });
}

/** Starts one of the scripts of this folder with its argument, and resolves once it is ready. */
export async function startProcess(script: string, argument: object): Promise<AppProcess> {
  const child = fork(join(__dirname, script), [JSON.stringify(argument)], { execArgv: [] });
  const exited = once(child, 'exit');
  const events: AppEvent[] = [];
  const listeners = new Set<(event: AppEvent) => void>();
  const pending = new Map<number, (message: { value?: unknown; error?: string }) => void>();
  let calls = 0;

  child.on('message', (message: Message) => {
    if ('id' in message) {
      pending.get(message.id)?.(message);
      pending.delete(message.id);
      return;
    }
    events.push(message);
    for (const listener of listeners) listener(message);
  });

  function heard(is: (event: AppEvent) => boolean): Promise<AppEvent> {
    const past = events.find(is);
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve) => {
      listeners.add(function listen(event) {
        if (!is(event)) return;
        listeners.delete(listen);
        resolve(event);
      });
    });
  }

  const ended = exited.then(([code]) => {
    throw new Error(`The app process ended with ${String(code)}`);
  });
  ended.catch(() => undefined);
  await Promise.race([heard(({ event }) => event === 'ready'), ended]);

  return {
    events,
    heard,
    call(name, ...args) {
      const id = (calls += 1);
      const answer = new Promise((resolve, reject) => {
        pending.set(id, ({ value, error }) => {
          if (error === undefined) resolve(value);
          else reject(new Error(error));
        });
      });
      child.send({ id, name, args });
      return Promise.race([answer, ended]);
    },
    async stop() {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
