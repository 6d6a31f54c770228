/** The example site as `npm start` runs it: a process of its own, on the built package. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';

const ROOT = join(__dirname, '../..');

// Each request has a connection of its own: the site closes one that was idle, and a busy machine would use it just then.
http.globalAgent = new http.Agent({ keepAlive: false });

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export interface Ended {
  readonly code: number | null;
  readonly output: string;
}

export interface ExampleSite {
  /** Without a slash at its end. */
  readonly url: string;
  readonly port: number;
  /** All that it wrote so far, on either stream. */
  output(): string;
  /** Resolves once the process is gone. */
  stop(signal?: NodeJS.Signals): Promise<Ended>;
}

function startProcess(env: NodeJS.ProcessEnv, cwd: string) {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { start: string } };
  const [command, ...args] = scripts.start.split(' ');
  if (command !== 'node') throw new Error('npm start is expected to run node');
  const child = spawn(process.execPath, args, { cwd, env: { ...process.env, REDIS_URL: '', ...env } });
  running.add(child);
  let output = '';
  const note = (text: string): void => {
    output += text;
  };
  child.stdout.setEncoding('utf8').on('data', note);
  child.stderr.setEncoding('utf8').on('data', note);
  // 'close', not 'exit': what was written last has arrived by then.
  const ended = once(child, 'close').then(([code]: unknown[]): Ended => {
    running.delete(child);
    return { code: typeof code === 'number' ? code : null, output };
  });
  return { child, ended, output: () => output };
}

/** Waits for the address that the site tells. Rejects with what it wrote where it ends instead. */
export async function startExample(env: NodeJS.ProcessEnv = {}): Promise<ExampleSite> {
  const { child, ended, output } = startProcess({ PORT: '0', ...env }, ROOT);
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.on('data', () => {
      const found = /http:\/\/localhost:(\d+)\//.exec(output())?.[1];
      if (found !== undefined) resolve(Number(found));
    });
    ended.then(() => reject(new Error(`The site ended: ${output()}`)), reject);
  });
  return {
    url: `http://localhost:${String(port)}`,
    port,
    output,
    stop(signal = 'SIGTERM') {
      child.kill(signal);
      return ended;
    },
  };
}

/** For a start that must fail. `cwd`: another copy of the repository. */
export async function runExample(env: NodeJS.ProcessEnv, cwd = ROOT): Promise<Ended> {
  return startProcess(env, cwd).ended;
}
