/**
 * What an installation brings along: this package against the packages that are put together for the same purpose today. Counts
 * packages and bytes on disk, and measures the CPU time of `require` in
 * fresh processes, alternating, in one run.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROUNDS = Number(process.argv[2] ?? 15);
const root = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'managed-sessions-install-'));

const npm = (cwd, ...args) => execFileSync('npm', [...args, '--no-audit', '--no-fund'], { cwd, encoding: 'utf8' });

function pack() {
  const [{ filename }] = JSON.parse(npm(root, 'pack', '--json', '--ignore-scripts', '--pack-destination', folder));
  return join(folder, filename);
}

const SETS = {
  'managed-sessions': { packages: [pack()], loads: ['managed-sessions'] },
  'express-jwt + jwks-rsa + express-session + connect-redis + redis + ua-parser-js': {
    packages: ['express-jwt', 'jwks-rsa', 'express-session', 'connect-redis', 'redis', 'ua-parser-js'],
    loads: ['express-jwt', 'jwks-rsa', 'express-session', 'connect-redis', 'redis', 'ua-parser-js'],
  },
  nothing: { packages: [], loads: [] },
};

function bytesIn(path) {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

/** Installs a set into a project of its own. */
function install({ packages }, index) {
  const project = join(folder, String(index));
  execFileSync('mkdir', ['-p', project]);
  writeFileSync(join(project, 'package.json'), '{ "private": true }');
  if (packages.length === 0) return { project, count: 0, megabytes: 0, scripts: [] };
  npm(project, 'install', '--ignore-scripts', ...packages);
  const { packages: locked } = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8'));
  const installed = Object.entries(locked).filter(([path]) => path !== '');
  const scripts = installed.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path);
  return { project, count: installed.length, megabytes: bytesIn(join(project, 'node_modules')) / 1e6, scripts };
}

/** Milliseconds of CPU time that a fresh process needs: unlike time, it is the same on a busy machine. */
function load({ project, loads }) {
  const program = `${loads.map((name) => `require('${name}');`).join('')}
    const { user, system } = process.cpuUsage();
    process.stdout.write(String((user + system) / 1000));`;
  return Number(execFileSync(process.execPath, ['-e', program], { cwd: project, encoding: 'utf8' }));
}

try {
  const sets = Object.entries(SETS).map(([name, set], index) => ({ name, ...set, ...install(set, index), times: [] }));
  for (let round = 0; round < ROUNDS; round += 1) for (const set of sets) set.times.push(load(set));
  const nothing = Math.min(...sets.at(-1).times);
  for (const { name, count, megabytes, scripts, times } of sets.slice(0, -1)) {
    const milliseconds = Math.min(...times) - nothing;
    console.log(
      `${name}: ${count} packages, ${megabytes.toFixed(1)} MB, ${milliseconds.toFixed(0)} ms of CPU time to load`,
    );
    console.log(`  install scripts: ${scripts.length === 0 ? 'none' : scripts.join(', ')}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
