/** Runs scripts on a connection. */

import type { RedisClient } from './client.js';
import type { RedisConnection } from './connection.js';
import type { Script } from './script.js';

const DURABLE_ATTEMPTS = 3;

/** Runs a script: atomic, one round trip. `onLate` gets an answer that comes after the call has rejected. */
export type RunScript = <In, Out>(
  script: Script<In, Out>,
  keys: readonly string[],
  input: In,
  onLate?: (answer: Out) => void,
) => Promise<Out>;

/** Rejects if the server must not be sent anything. */
export interface Admission {
  pass(client: RedisClient): Promise<void>;
}

/** Acknowledged by the master alone. `isEnding`: goes before all that waits. */
export function scriptRunner(connection: RedisConnection, admission: Admission, isEnding: boolean): RunScript {
  return (script, keys, input, onLate) => {
    const operands = [String(keys.length), ...keys, ...script.args(input)];
    const send = async (client: RedisClient) => {
      await admission.pass(client);
      const send: Send = (...command) =>
        script.repliesInBytes ? client.callBuffer(...command) : client.call(...command);
      return script.decode(await evaluate(send, script, operands));
    };
    return connection.run(send, { onLate, key: keys[0], isEnding });
  };
}

/** Also acknowledged by `minReplicas` replicas. `wait`: how long Redis waits for them, in milliseconds. */
export function durableRunner(
  connection: RedisConnection,
  admission: Admission,
  minReplicas: number,
  wait: number,
): RunScript {
  const waiting = ['wait', String(minReplicas), String(wait)];
  return (script, keys, input, onLate) => {
    const evaluation = ['eval', script.lua, String(keys.length), ...keys, ...script.args(input)];
    const send = async (client: RedisClient) => {
      await admission.pass(client);
      return script.decode(await evaluateDurably(client, evaluation, waiting, minReplicas));
    };
    return connection.run(send, { onLate, key: keys[0] });
  };
}

/** Sends a command. */
type Send = (command: string, ...args: (string | Buffer)[]) => Promise<unknown>;

/** By the script's digest, or by its source if the server does not have it, because it was restarted or is another node. */
export async function evaluate(
  send: Send,
  { sha, lua }: Pick<Script<never, unknown>, 'sha' | 'lua'>,
  operands: readonly (string | Buffer)[],
): Promise<unknown> {
  try {
    return await send('evalsha', sha, ...operands);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return send('eval', lua, ...operands);
  }
}

/**
 * Sends the script and `WAIT` together, on one connection to one node, so that nothing comes between them. By the script's
 * source, because a pipeline cannot be resumed in the middle.
 */
async function evaluateDurably(
  client: RedisClient,
  evaluation: readonly (string | Buffer)[],
  waiting: readonly string[],
  minReplicas: number,
): Promise<unknown> {
  let refusal: Error | null = null;
  for (let attempt = 0; attempt < DURABLE_ATTEMPTS; attempt += 1) {
    const replies = await client.pipeline([[...evaluation], [...waiting]]).exec();
    const [evaluated, waited] = replies ?? [];
    if (evaluated === undefined || waited === undefined) break;
    [refusal] = evaluated;
    if (refusal === null) {
      if (waited[0] !== null) throw waited[0];
      if (Number(waited[1]) >= minReplicas) return evaluated[1];
      throw new Error(`${String(waited[1])} of ${String(minReplicas)} replicas have it`);
    }
    if (!/^(MOVED|ASK|TRYAGAIN) /.test(refusal.message)) break;
    // The slot has moved, and nothing was done. From a single command, the Cluster client learns where it is now.
    await client.call('exists', ...evaluation.slice(3, 4));
  }
  throw refusal ?? new Error('The connection was lost');
}
