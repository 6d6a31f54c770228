/** Real Redis servers for tests: on free ports, ready when they answer, gone with the test process. */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { Redis } from 'ioredis';

export interface RedisOptions {
  /** Further options of the server: `['--maxmemory', '2mb']`. */
  readonly args?: readonly string[];
  readonly port?: number;
  /** What clients must give. */
  readonly password?: string;
  /** Further variables of its environment. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface TestRedis {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Stops the server for good and removes its data. */
  stop(): Promise<void>;
  /** Kills it at once, as a crash would; `restart` brings it back. */
  kill(): Promise<void>;
  /** The process stands still; its connections stay open and silent. */
  pause(): void;
  resume(): void;
  /** Stops and starts again on the same port, empty or with what it held. */
  restart(options: { readonly keepData: boolean }): Promise<void>;
  /** What it holds now, as it saves it. */
  save(): Promise<Buffer>;
  /** Kills it and starts it again on the same port, with what it held when it saved this. */
  restore(saved: Buffer): Promise<void>;
  /** One command, its reply. */
  cli(...command: readonly string[]): Promise<unknown>;
}

export interface RedisCluster {
  readonly masters: readonly TestRedis[];
  readonly nodes: { host: string; port: number }[];
  stop(): Promise<void>;
}

export interface RedisSentinel {
  readonly name: string;
  readonly sentinels: { host: string; port: number }[];
  readonly master: TestRedis;
  readonly replica: TestRedis;
  stop(): Promise<void>;
}

const HOST = '127.0.0.1';
/** For a machine that is busy with something else, and a Sentinel that waits half a minute after it stood still. */
const PATIENCE = 120_000;

/** Resolves with what `ask` gives once it gives something; the pause between is what asking again costs the machine. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined | false>): Promise<T> {
  const end = performance.now() + PATIENCE;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) throw new Error(`Waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A port that nobody listens on, and the one `busOffset` above it, where a Cluster's node has its bus. */
export async function freePort(busOffset = 0): Promise<number> {
  for (;;) {
    const port = await bound(0);
    if (busOffset === 0) return port;
    const bus = port + busOffset;
    if (bus < 65_536 && (await bound(bus).catch(() => 0)) === bus) return port;
  }
}

async function bound(wanted: number): Promise<number> {
  const server = createServer().listen(wanted, HOST);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** What the suite's setup found; elsewhere it is looked for once. */
function binary(): string {
  const candidates = ['redis-server', 'valkey-server'];
  const found = process.env['REDIS_SERVER'] ?? candidates.find((name) => spawnSync(name, ['--version']).status === 0);
  if (found === undefined) throw new Error('The tests need redis-server or valkey-server on PATH, or in REDIS_SERVER');
  process.env['REDIS_SERVER'] = found;
  return found;
}

let root: string | undefined;

/** One for each server, in one for all of this process. */
function temporaryDirectory(): string {
  root ??= guarded(mkdtempSync(join(tmpdir(), 'managed-sessions-redis-')));
  return mkdtempSync(join(root, 'server-'));
}

/** However this process ends, its end of the pipe is closed by it, and the guard does what no handler here could. */
function guarded(folder: string): string {
  const clearUp = 'cat; for file in "$0"/*/pid; do read -r pid <"$file" && kill -9 "$pid"; done; rm -rf "$0"';
  const guard = spawn('sh', ['-c', clearUp, folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  guard.unref();
  if (guard.stdin instanceof Socket) guard.stdin.unref();
  return folder;
}

/** One command on a connection of its own. */
async function ask(port: number, command: readonly string[], password?: string): Promise<unknown> {
  const client = new Redis({
    host: HOST,
    port,
    ...(password === undefined ? {} : { password }),
    lazyConnect: true,
    retryStrategy: () => null,
    enableReadyCheck: false,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const [name = '', ...args] = command;
    return await client.call(name, ...args);
  } finally {
    // A connection that failed has ended by itself; disconnected again, it holds up the process for two seconds.
    if (client.status !== 'end') client.disconnect();
  }
}

function launch(directory: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(binary(), args, { stdio: 'ignore', cwd: directory, env: { ...process.env, ...env } });
  const file = join(directory, 'pid');
  writeFileSync(file, `${String(child.pid)}\n`);
  child.once('exit', () => rmSync(file, { force: true }));
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** Until it answers PING; one that does not is ended. */
async function answering(port: number, child: ChildProcess, password?: string): Promise<void> {
  const server = `the server on port ${String(port)}`;
  try {
    await eventually(`${server} answers`, async () => {
      if (child.exitCode !== null) throw new Error(`${server} ended with ${String(child.exitCode)}`);
      return (await ask(port, ['ping'], password).catch(() => undefined)) === 'PONG';
    });
  } catch (error) {
    await end(child);
    throw error;
  }
}

/** A command that a client sent to a server. */
export interface MonitoredCommand {
  /** In lower case. */
  readonly name: string;
  /** When the server had it, in milliseconds of its own clock. */
  readonly at: number;
}

/**
 * Every command that clients send to the server from now on, by MONITOR; what a script calls is not one of them.
 * On a socket of its own: ioredis takes a command that arrives together with the answer to MONITOR for a reply.
 */
export async function monitorOf(port: number): Promise<{ readonly seen: readonly MonitoredCommand[]; stop(): void }> {
  const seen: MonitoredCommand[] = [];
  const socket = connect(port, HOST).on('error', () => undefined);
  const lines = createInterface({ input: socket });
  lines.on('line', (line) => {
    const command = /^\+(\d+\.\d+) \[\d+ (?!lua\])[^\]]+\] "([^"]*)"/.exec(line);
    if (command !== null) seen.push({ name: command[2]!.toLowerCase(), at: Number(command[1]) * 1000 });
  });
  socket.write('MONITOR\r\n');
  await once(lines, 'line');
  return { seen, stop: () => socket.destroy() };
}

/** A server of its own, empty, that keeps nothing on disk. */
export async function startRedis(options: RedisOptions = {}): Promise<TestRedis> {
  const port = options.port ?? (await freePort());
  const directory = temporaryDirectory();
  const { password } = options;
  const args = ['--port', String(port), '--bind', HOST, '--dir', directory, '--save', '', '--appendonly', 'no'];
  // A replica is served at once, not together with those that may ask within five seconds.
  args.push('--repl-diskless-sync-delay', '0');
  if (password !== undefined) args.push('--requirepass', password);
  args.push(...(options.args ?? []));
  const file = join(directory, 'dump.rdb');
  let child = launch(directory, args, options.env);
  await answering(port, child, password);
  const startAgain = async (): Promise<void> => {
    child = launch(directory, args, options.env);
    await answering(port, child, password);
  };

  return {
    url: `redis://${HOST}:${String(port)}`,
    port,
    get pid() {
      return child.pid ?? 0;
    },
    async stop() {
      await end(child);
      rmSync(directory, { recursive: true, force: true });
    },
    kill: () => end(child),
    pause() {
      child.kill('SIGSTOP');
    },
    resume() {
      child.kill('SIGCONT');
    },
    async restart({ keepData }) {
      if (keepData) await ask(port, ['save'], password);
      await end(child);
      if (!keepData) rmSync(file, { force: true });
      await startAgain();
    },
    async save() {
      await ask(port, ['save'], password);
      return readFileSync(file);
    },
    async restore(saved) {
      await end(child);
      writeFileSync(file, saved);
      await startAgain();
    },
    cli: (...command) => ask(port, command, password),
  };
}

/** Whether a replica has caught up with its master and hears from it. */
export async function isFollowing(replica: TestRedis): Promise<boolean> {
  return String(await replica.cli('info', 'replication')).includes('master_link_status:up');
}

/** A Cluster of three masters that share the slots, each with a replica where one is wanted. */
export async function startCluster({
  withReplicas = false,
  password,
}: { readonly withReplicas?: boolean; readonly password?: string } = {}): Promise<RedisCluster> {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '4000'];
  const secured = password === undefined ? {} : { password };
  if (password !== undefined) args.push('--masterauth', password);
  const startNode = async (): Promise<TestRedis> => startRedis({ args, port: await freePort(10_000), ...secured });
  const masters = await Promise.all([1, 2, 3].map(startNode));
  const replicas = withReplicas ? await Promise.all(masters.map(startNode)) : [];
  const nodes = [...masters, ...replicas];
  const share = Math.ceil(16_384 / masters.length);
  await Promise.all(
    masters.map(async (master, index) => {
      const last = Math.min(16_383, (index + 1) * share - 1);
      const slots = Array.from({ length: last - index * share + 1 }, (_, slot) => String(index * share + slot));
      await master.cli('cluster', 'addslots', ...slots);
      await master.cli('cluster', 'set-config-epoch', String(index + 1));
    }),
  );
  const [first, ...others] = nodes;
  for (const other of others) await first?.cli('cluster', 'meet', HOST, String(other.port));
  const known = `cluster_known_nodes:${String(nodes.length)}`;
  await eventually('the cluster is whole', async () => {
    const infos = await Promise.all(nodes.map(async (node) => String(await node.cli('cluster', 'info'))));
    return infos.every((info) => info.includes('cluster_state:ok') && info.includes(known));
  });
  for (const [index, replica] of replicas.entries()) {
    await replica.cli('cluster', 'replicate', String(await masters[index]?.cli('cluster', 'myid')));
    await eventually('the replica follows', () => isFollowing(replica));
  }
  return {
    masters,
    nodes: masters.map(({ port }) => ({ host: HOST, port })),
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

/** One master, one replica, and three sentinels that watch them. */
export async function startSentinel(): Promise<RedisSentinel> {
  const name = 'watched';
  const master = await startRedis();
  const replica = await startRedis({ args: ['--replicaof', HOST, String(master.port)] });
  await eventually('the replica follows', () => isFollowing(replica));
  const sentinels = await Promise.all([1, 2, 3].map(() => startOneSentinel(name, master.port)));
  await eventually('the sentinels know each other and the replica', async () => {
    const views = await Promise.all(sentinels.map(({ port }) => ask(port, ['sentinel', 'master', name])));
    return views.every((view) => {
      const fields: unknown[] = Array.isArray(view) ? view : [];
      const value = (field: string): unknown => fields[fields.indexOf(field) + 1];
      return value('num-slaves') === '1' && value('num-other-sentinels') === '2';
    });
  });
  return {
    name,
    sentinels: sentinels.map(({ port }) => ({ host: HOST, port })),
    master,
    replica,
    async stop() {
      await Promise.all(sentinels.map((sentinel) => sentinel.stop()));
      await Promise.all([master.stop(), replica.stop()]);
    },
  };
}

async function startOneSentinel(name: string, masterPort: number): Promise<{ port: number; stop(): Promise<void> }> {
  const port = await freePort();
  const directory = temporaryDirectory();
  const file = join(directory, 'sentinel.conf');
  const lines = [
    `port ${String(port)}`,
    `bind ${HOST}`,
    `dir ${directory}`,
    `sentinel monitor ${name} ${HOST} ${String(masterPort)} 2`,
    `sentinel down-after-milliseconds ${name} 1500`,
    `sentinel failover-timeout ${name} 2000`,
  ];
  writeFileSync(file, lines.join('\n'));
  const child = launch(directory, [file, '--sentinel']);
  await answering(port, child);
  return {
    port,
    async stop() {
      await end(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
