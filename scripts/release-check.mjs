/**
 * Whether this checkout may be published: says each reason why not, in a sentence, and ends with status 1. If there is none,
 * it packs the package and tries that tarball in the projects of test/consumers.
 *
 *   npm run release:check [-- --tarball-to FOLDER]
 *
 * With `--tarball-to`, the tarball that was tried is left in that folder. In CI, `GITHUB_REF` and `GITHUB_REPOSITORY` are
 * compared with the version and the repository too. `npm publish` in the checkout runs this first (`prepublishOnly`).
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';

const root = join(import.meta.dirname, '..');
/** Names that RFC 2606 keeps for examples. */
const PLACEHOLDER = /(?:^|\.)(?:example(?:\.com|\.net|\.org)?|invalid|test|localhost)$/;

function read(name) {
  return readFileSync(join(root, name), 'utf8');
}

function hostOf(url) {
  try {
    return new URL(url).hostname;
  } catch {
    return null;
  }
}

function* placeholders({ homepage, bugs, repository }) {
  for (const [name, url] of Object.entries({ homepage, 'bugs.url': bugs?.url, 'repository.url': repository?.url })) {
    const host = hostOf(url);
    if (host === null) yield `${name} in package.json is not a URL.`;
    else if (PLACEHOLDER.test(host)) yield `${name} in package.json is a placeholder: ${url}`;
  }
}

function* unlikeTheTag({ version, repository }) {
  const { GITHUB_REF: ref, GITHUB_REPOSITORY: name } = process.env;
  if (ref?.startsWith('refs/tags/') && ref !== `refs/tags/v${version}`) {
    yield `The tag is ${ref.slice('refs/tags/'.length)}, but the version in package.json is ${version}.`;
  }
  // The registry refuses a provenance statement that names another repository.
  if (
    name !== undefined &&
    !String(repository?.url)
      .replace(/\.git$/, '')
      .endsWith(`/${name}`)
  ) {
    yield `repository.url in package.json is not that of ${name}.`;
  }
}

function* unwritten({ version }) {
  const lock = JSON.parse(read('package-lock.json'));
  if (lock.version !== version) yield `package-lock.json has version ${lock.version}, and package.json ${version}.`;
  const sections = read('CHANGELOG.md').split(/^## /m).slice(1);
  const own = sections.find((section) => /^\[?([^\]\s]+)/.exec(section)?.[1] === version);
  if (own === undefined) yield `CHANGELOG.md has no section "## ${version}".`;
  else if (!/^- /m.test(own)) yield `The section of ${version} in CHANGELOG.md is empty.`;
}

function* uncommitted() {
  const { status, stdout, stderr } = spawnSync('git', ['status', '--porcelain'], { cwd: root, encoding: 'utf8' });
  if (status !== 0) yield `git status failed: ${stderr}`;
  else if (stdout !== '') yield `The work tree has changes that are not committed:\n${stdout.trimEnd()}`;
}

function refuse(problems) {
  console.error(problems.map((problem) => `- ${problem}`).join('\n'));
  console.error('Not to be published.');
  process.exitCode = 1;
}

/** What it printed; null if it failed, and then its messages were shown. */
function ran(command, args) {
  const { status, stdout } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return status === 0 ? stdout : null;
}

function tryTarball(folder, destination) {
  const said = ran('npm', ['pack', '--json', '--pack-destination', folder]);
  if (said === null) return refuse(['npm pack failed.']);
  const tarball = join(folder, JSON.parse(said.slice(said.indexOf('[\n')))[0].filename);
  const tried = spawnSync(process.execPath, ['scripts/consumers.mjs', '--tarball', tarball], {
    cwd: root,
    stdio: 'inherit',
  });
  if (tried.status !== 0) return refuse(['The packed package failed in a project.']);
  if (destination !== undefined) {
    mkdirSync(destination, { recursive: true });
    copyFileSync(tarball, join(destination, basename(tarball)));
  }
  console.log(`${basename(tarball)} may be published.`);
}

function main() {
  const { values } = parseArgs({ options: { 'tarball-to': { type: 'string' } } });
  const manifest = JSON.parse(read('package.json'));
  const checks = [placeholders(manifest), unlikeTheTag(manifest), unwritten(manifest), uncommitted()];
  const problems = checks.flatMap((check) => [...check]);
  if (problems.length > 0) return refuse(problems);
  const folder = mkdtempSync(join(tmpdir(), 'managed-sessions-release-'));
  try {
    const destination = values['tarball-to'];
    tryTarball(folder, destination && resolve(destination));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main();
