/** What every benchmark needs: the other packages, a Redis, users with tokens, processes on their own cores, numbers. */

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

export const QUICK = process.argv.includes('--quick');
// By default, a signal ends the process without its `exit` listeners, which stop the servers.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
process.setMaxListeners(50);

export const root = join(import.meta.dirname, '..');

/** The other packages are not dependencies of this one: the first run installs them here. */
export function installPeers() {
  if (existsSync(join(import.meta.dirname, 'node_modules', 'autocannon'))) return;
  console.log('Installing the packages to compare with...');
  execFileSync('npm', ['ci'], { cwd: import.meta.dirname, stdio: 'inherit', shell: process.platform === 'win32' });
}

export function machine() {
  const load = loadavg().map((value) => value.toFixed(1));
  return `${String(availableParallelism())} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.version}, load ${load.join(' ')}`;
}

// Processes

const canPin = availableParallelism() > 1 && spawnSync('taskset', ['-c', '0', 'true']).status === 0;

/** The system under test has core 1 to itself; load, Redis and the issuer share core 0. */
function pinned(core, command, args) {
  return canPin ? ['taskset', ['-c', String(core), command, ...args]] : [command, args];
}

/** A Node process that answers questions, one after the other: `ask({ do, ... })` resolves to its answer. */
export async function startProcess(file, { core, args = [], nodeArgs = [] }) {
  const script = [...nodeArgs, join(import.meta.dirname, file), ...args];
  const [command, full] = pinned(core, process.execPath, script);
  const child = spawn(command, full, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, NODE_ENV: 'production', NODE_NO_WARNINGS: '1' },
  });
  const exited = once(child, 'exit').then(([code]) => {
    throw new Error(`${file} ${args.join(' ')} ended with ${String(code)}`);
  });
  exited.catch(() => {});

  async function ask(question) {
    const answered = once(child, 'message');
    child.send(question);
    const [answer] = await Promise.race([answered, exited]);
    if (answer.error !== undefined) throw new Error(`${args.join(' ')}: ${answer.error}`);
    return answer;
  }

  async function stop() {
    const over = once(child, 'exit');
    child.kill();
    await over;
  }

  return { ask, stop };
}

/** The other end of {@link startProcess}: what each `do` does. */
export function answerQuestions(answers) {
  process.on('message', async (question) => {
    try {
      process.send({ ...(await answers[question.do](question)) });
    } catch (error) {
      process.send({ error: error.stack ?? String(error) });
    }
  });
  // Servers and connections would outlive the bench that asked for them.
  process.on('disconnect', () => process.exit());
}

// Redis

export async function startRedis() {
  const port = await freePort();
  const dir = await mkdtemp(join(tmpdir(), 'managed-sessions-bench-'));
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', dir];
  const [command, args] = pinned(0, 'redis-server', options);
  const server = spawn(command, args, { stdio: 'ignore' });
  process.once('exit', () => server.kill());
  const failed = once(server, 'error').then(([error]) => {
    throw new Error(`redis-server is needed: ${error.message}`);
  });
  failed.catch(() => {});
  await Promise.race([reachable(port), failed]);
  return {
    url: `redis://127.0.0.1:${String(port)}`,
    async stop() {
      const over = once(server, 'exit');
      server.kill();
      await over;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function reachable(port) {
  for (;;) {
    const socket = createConnection(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    } finally {
      socket.destroy();
    }
  }
}

/** Calls so far, by command, scripts' own calls among them. */
export async function commandStats(client) {
  const stats = {};
  for (const [, name, calls] of (await client.info('commandstats')).matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)) {
    if (!HOUSEKEEPING.has(name)) stats[name] = Number(calls);
  }
  return stats;
}

const HOUSEKEEPING = new Set(['info', 'config|resetstat', 'flushall', 'client|setinfo', 'client|setname', 'hello']);

/** The commands that clients sent between two readings. A script counts as one: the commands that it calls are left out. */
export function commandsSent(before, after) {
  const calls = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)]);
  const scripts = calls.some(([name, count]) => (name === 'evalsha' || name === 'eval') && count > 0);
  return calls.reduce((sum, [name, count]) => (scripts && !SENT_BESIDE_SCRIPTS.has(name) ? sum : sum + count), 0);
}

const SENT_BESIDE_SCRIPTS = new Set(['evalsha', 'eval', 'xread', 'ping', 'script|load']);

// Users

const SYSTEMS = ['Windows NT 10.0; Win64; x64', 'Macintosh; Intel Mac OS X 10_15_7', 'X11; Linux x86_64'];

export function userAgent(index) {
  const version = 100 + (index % 40);
  return `Mozilla/5.0 (${SYSTEMS[index % 3]}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${String(version)}.0.0.0 Safari/537.36`;
}

/** The claims that identity providers usually set. */
export function claimsOf(index) {
  return {
    sub: `usr_${String(index).padStart(24, '0')}`,
    aud: AUDIENCE,
    name: 'A person of ordinary name',
    preferred_username: `person-${String(index)}`,
    email: `person-${String(index)}@example.com`,
    scope: 'openid profile email orders:read',
  };
}

export const AUDIENCE = 'shop';

// Numbers

export function median(values) {
  return percentile(values, 0.5);
}

export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return low + (high - low) * (at - Math.floor(at));
}

/** With only as many digits as are meaningful. */
export function show(value, digits = 3) {
  if (!Number.isFinite(value)) return '-';
  if (Math.abs(value) >= 10 ** digits) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(digits)));
}

/** A Markdown table. All columns but the first are aligned to the right. */
export function markdownTable(head, rows) {
  const widths = head.map((cell, column) =>
    Math.max(...[head, ...rows].map((row) => String(row[column]).length), cell.length),
  );
  const line = (cells) => `| ${cells.map((cell, column) => pad(String(cell), widths[column], column)).join(' | ')} |`;
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

function pad(cell, width, column) {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}
