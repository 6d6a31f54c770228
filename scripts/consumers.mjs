/**
 * Packs the package and tries it in the projects of test/consumers/projects.mjs, each in a temporary folder of its own.
 *
 *   npm run test:consumers [-- --only NAME,NAME] [--tarball FILE] [--parallel N] [--keep] [--list]
 *
 * Prints one line for each project, and at a failure all that the failed command said. Ends with status 1 if one failed, and
 * with 2 on wrong usage. Packages come from the registry that npm is configured for. No install script is run.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { PROJECTS } from '../test/consumers/projects.mjs';

const root = join(import.meta.dirname, '..');
/** For one command, in milliseconds: for one that hangs, and not for a busy machine. */
const TIME_LIMIT = 600_000;

/** What a command said, and its status: null if it had to be ended. */
async function run([command, ...args], cwd, env = process.env) {
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: TIME_LIMIT });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part) => (said += part));
  const status = await new Promise((done) => {
    child.once('error', (error) => {
      said += error.message;
      done(null);
    });
    child.once('close', done);
  });
  return { status, said };
}

async function mustRun(command, cwd, { status = 0, says, env } = {}) {
  const outcome = await run(command, cwd, env);
  const isExpected = outcome.status === status && (says === undefined || says.test(outcome.said));
  if (isExpected) return outcome.said;
  const wanted = says === undefined ? `status ${status}` : `status ${status} and ${says}`;
  throw new Error(`$ ${command.join(' ')}\n${outcome.said}\nended with status ${outcome.status}; expected: ${wanted}`);
}

async function pack(folder) {
  const said = await mustRun(['npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', folder], root);
  return join(folder, JSON.parse(said.slice(said.indexOf('[')))[0].filename);
}

/** Of this process, without its `NODE_OPTIONS`: the commands of the project come first on its PATH. */
function environment(folder, redisUrl) {
  const env = { ...process.env };
  delete env.NODE_OPTIONS;
  const path = [join(folder, 'node_modules/.bin'), dirname(process.execPath), process.env.PATH].join(delimiter);
  return { ...env, PATH: path, NO_COLOR: '1', CI: 'true', ...(redisUrl && { REDIS_URL: redisUrl }) };
}

async function tryOut(project, folder, tarball, redisUrl) {
  await mkdir(folder);
  const dependencies = { 'managed-sessions': `file:${tarball}`, ...project.needs };
  const files = { 'package.json': JSON.stringify({ private: true, dependencies }), ...project.files };
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  const env = environment(folder, project.redis ? redisUrl : undefined);
  const install = ['npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'];
  await mustRun(install, folder, { env });
  const otherNode = Object.keys(project.needs).find((name) => name.startsWith(`node-${process.platform}`));
  if (otherNode !== undefined) {
    const program = process.platform === 'win32' ? 'node.exe' : 'node';
    const link = join(folder, 'node_modules/.bin', program.replace('node', 'other-node'));
    await symlink(join(folder, 'node_modules', otherNode, 'bin', program), link);
  }
  for (const { run: command, ...expected } of project.steps) await mustRun(command, folder, { ...expected, env });
}

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** A server of its own, or the one that REDIS_URL names. */
async function startRedis(folder) {
  if (process.env.REDIS_URL) return { url: process.env.REDIS_URL, stop() {} };
  const names = [process.env.REDIS_SERVER, 'redis-server', 'valkey-server'].filter(Boolean);
  const program = names.find((name) => spawnSync(name, ['--version']).status === 0);
  if (program === undefined) throw new Error('redis-server or valkey-server is needed: set REDIS_SERVER or REDIS_URL.');
  const port = await freePort();
  const child = spawn(program, ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder]);
  await new Promise((done, failed) => {
    child.once('error', failed);
    child.once('exit', (status) => failed(new Error(`${program} ended with status ${status}`)));
    child.stdout.on('data', (part) => /ready to accept connections/i.test(part) && done());
  });
  return { url: `redis://127.0.0.1:${port}`, stop: () => child.kill() };
}

function usage(message) {
  console.error(message);
  process.exit(2);
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true },
        tarball: { type: 'string' },
        parallel: { type: 'string', default: '2' },
        keep: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    return usage(error.message);
  }
}

function chosen(only) {
  if (only === undefined) return PROJECTS;
  const names = only.flatMap((part) => part.split(',')).filter(Boolean);
  const unknown = names.filter((name) => !PROJECTS.some((project) => project.name === name));
  if (unknown.length > 0)
    usage(`There is no project ${unknown.join(', ')}. There are: ${PROJECTS.map(({ name }) => name).join(', ')}.`);
  return PROJECTS.filter(({ name }) => names.includes(name));
}

/** Whether it went well. */
async function report(project, folder, tarball, redisUrl) {
  const began = performance.now();
  const seconds = () => `${((performance.now() - began) / 1000).toFixed(1)} s`;
  try {
    await tryOut(project, folder, tarball, redisUrl);
    console.log(`ok      ${project.name} (${seconds()})`);
    return true;
  } catch (error) {
    console.log(`FAILED  ${project.name} (${seconds()})\n${error.message.replace(/^/gm, '        ')}`);
    return false;
  }
}

async function main() {
  const { only, tarball: given, parallel, keep, list } = options();
  const projects = chosen(only);
  if (list) return console.log(projects.map(({ name }) => name).join('\n'));

  const folder = await mkdtemp(join(tmpdir(), 'managed-sessions-consumers-'));
  const redis = projects.some((project) => project.redis) ? await startRedis(folder) : undefined;
  try {
    const tarball = given === undefined ? await pack(folder) : resolve(given);
    const waiting = [...projects];
    const outcomes = [];
    async function work() {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        outcomes.push(await report(next, join(folder, next.name), tarball, redis?.url));
        if (!keep) await rm(join(folder, next.name), { recursive: true, force: true });
      }
    }
    await Promise.all(Array.from({ length: Math.max(1, Number(parallel)) }, work));
    const failed = outcomes.filter((isGood) => !isGood).length;
    console.log(`${outcomes.length - failed} passed, ${failed} failed${keep ? `, in ${folder}` : ''}`);
    process.exitCode = failed > 0 ? 1 : 0;
  } finally {
    redis?.stop();
    if (!keep) await rm(folder, { recursive: true, force: true });
  }
}

await main();
