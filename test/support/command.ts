/** The command as it is installed: a process of its own, from the build. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { join } from 'node:path';

import { main } from '../../lib/cli/main.js';
import { createTerminal } from '../../lib/cli/terminal.js';

const BIN = join(__dirname, '../../dist/esm/cli/bin.js');

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Run {
  /** What comes in on stdin, which then ends. Default: nothing. */
  readonly input?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Gets the process once it runs. */
  readonly during?: (child: ChildProcess) => unknown;
}

export async function command(
  args: readonly string[],
  { input = '', env = {}, cwd, during }: Run = {},
): Promise<Outcome> {
  const child = spawn(process.execPath, [BIN, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], ...env },
    ...(cwd !== undefined && { cwd }),
  });
  // It may end before it has read everything.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const closed = once(child, 'close') as Promise<[number | null]>;
  const [[code], stdout, stderr] = await Promise.all([closed, text(child.stdout), text(child.stderr), during?.(child)]);
  return { code, stdout, stderr };
}

/** In this process, which is quicker, and in which a person can be played: `answers` are typed when they are asked for. */
export async function commandHere(
  args: readonly string[],
  { input = '', env = {}, answers }: Pick<Run, 'input' | 'env'> & { readonly answers?: readonly string[] } = {},
): Promise<Outcome> {
  const isTTY = answers !== undefined;
  const waiting = [...(answers ?? [])];
  const stream = (): PassThrough & { isTTY: boolean } => Object.assign(new PassThrough(), { isTTY });
  const [stdin, stdout, stderr] = [stream(), stream(), stream()];
  const said = { stdout: '', stderr: '' };
  stdout.on('data', (chunk: Buffer) => (said.stdout += chunk.toString()));
  stderr.on('data', (chunk: Buffer) => {
    said.stderr += chunk.toString();
    if (chunk.toString().includes('[y/N]')) stdin.write(`${String(waiting.shift())}\n`);
  });
  if (!isTTY) stdin.end(input);
  const streams = { stdin, stdout, stderr, env: { TERM: 'dumb', ...env } };
  const interrupts = { signal: new AbortController().signal, say: () => undefined };
  const code = await main(args, { streams, terminal: createTerminal(streams), interrupts, version: '1.2.3' });
  return { code, ...said };
}
