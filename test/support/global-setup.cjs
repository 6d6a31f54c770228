/** Finds, or as root on a Debian system installs, what the suite needs besides npm packages: a Redis and a Chromium. */

const { spawnSync } = require('node:child_process');
const { chmodSync, existsSync, rmSync, writeFileSync } = require('node:fs');

const NEEDED = [
  {
    variable: 'REDIS_SERVER',
    names: ['redis-server', 'valkey-server'],
    packages: ['redis-server', 'redis-sentinel'],
  },
  {
    variable: 'CHROMIUM',
    names: ['chromium', 'chromium-browser', 'google-chrome'],
    packages: ['chromium'],
  },
];

/** apt asks this before it starts a service; 101 forbids it. */
const SERVICE_POLICY = '/usr/sbin/policy-rc.d';

function succeeds(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

function found({ variable, names }) {
  return [process.env[variable], ...names].find((name) => name && succeeds(name, ['--version']));
}

function install(packages) {
  const isOurs = !existsSync(SERVICE_POLICY);
  if (isOurs) {
    writeFileSync(SERVICE_POLICY, '#!/bin/sh\nexit 101\n');
    chmodSync(SERVICE_POLICY, 0o755);
  }
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    spawnSync('apt-get', ['update'], { stdio: 'ignore', env });
    spawnSync('apt-get', ['install', '-y', '--no-install-recommends', ...packages], { stdio: 'ignore', env });
  } finally {
    if (isOurs) rmSync(SERVICE_POLICY, { force: true });
  }
}

module.exports = function globalSetup() {
  let missing = NEEDED.filter((need) => !found(need));
  if (missing.length > 0 && process.getuid?.() === 0 && succeeds('apt-get', ['--version'])) {
    install(missing.flatMap(({ packages }) => packages));
    missing = missing.filter((need) => !found(need));
  }
  if (missing.length > 0) {
    const wanted = missing.map(({ variable, names }) => `${names.join(' or ')} (or set ${variable} to its path)`);
    throw new Error(`The tests need ${wanted.join(', and ')} on PATH: please install what is missing.`);
  }
  for (const need of NEEDED) process.env[need.variable] = found(need);
};
