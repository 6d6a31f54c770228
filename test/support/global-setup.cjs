/** Finds what the suite needs besides npm packages, a Redis and a Chromium, or installs it as root on a Debian system. */

const { spawnSync } = require('node:child_process');
const { existsSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

const NEEDED = [
  {
    variable: 'REDIS_SERVER',
    names: ['redis-server', 'valkey-server'],
    package: 'redis-server',
  },
  {
    variable: 'CHROMIUM',
    names: ['chromium', 'chromium-browser', 'google-chrome'],
    package: 'chromium',
  },
];

/** Without it, histories leave the clock of Redis alone. */
const WANTED = {
  file: 'faketime/libfaketime.so.1',
  package: 'libfaketime',
  /** Where it cannot be installed, only the first run tries. */
  tried: '/tmp/managed-sessions-libfaketime',
};
const LIBRARIES = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib'];

/** The second of two runs that start at the same time waits here, and then finds everything installed. */
const LOCK = '/tmp/managed-sessions-install.lock';

/** apt asks policy-rc.d before it starts a service, and 101 forbids it. */
const INSTALL = `
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\\nexit 101\\n' >"$policy"
  chmod 755 "$policy"
fi
apt-get update
apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
`;

function succeeds(command, args, env = process.env) {
  return spawnSync(command, args, { stdio: 'ignore', env }).status === 0;
}

function found({ variable, names }) {
  return [process.env[variable], ...names].find((name) => name && succeeds(name, ['--version']));
}

function install(packages) {
  process.stderr.write(`Installing ${packages.join(' and ')} with apt-get: the tests need what is missing here...\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  succeeds('flock', [LOCK, 'sh', '-c', INSTALL, 'sh', ...packages], env);
}

module.exports = function globalSetup() {
  let missing = NEEDED.filter((need) => !found(need));
  const mayInstall = process.getuid?.() === 0 && succeeds('apt-get', ['--version']);
  if (missing.length > 0 && mayInstall) {
    install(missing.map((need) => need.package));
    missing = missing.filter((need) => !found(need));
  }
  const isThere = LIBRARIES.some((folder) => existsSync(join(folder, WANTED.file)));
  if (!isThere && mayInstall && !existsSync(WANTED.tried)) {
    writeFileSync(WANTED.tried, '');
    install([WANTED.package]);
  }
  if (missing.length > 0) {
    const wanted = missing.map(({ variable, names }) => `${names.join(' or ')} (or set ${variable} to its path)`);
    process.stderr.write(`The tests need ${wanted.join(', and ')} on PATH: please install what is missing.\n`);
    process.exit(1);
  }
  for (const need of NEEDED) process.env[need.variable] = found(need);
};
