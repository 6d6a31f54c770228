/** The real release check, in a repository of its own with a small package. */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(__dirname, '../..');

const MANIFEST = {
  name: 'managed-sessions',
  version: '1.2.3',
  main: './dist/index.js',
  files: ['dist'],
  homepage: 'https://git.acme.dev/acme/managed-sessions',
  bugs: { url: 'https://git.acme.dev/acme/managed-sessions/issues' },
  repository: { type: 'git', url: 'git+https://git.acme.dev/acme/managed-sessions.git' },
};

/** Nothing is downloaded: what it installs is the tarball. */
const PROJECTS = `
export const PROJECTS = [
  { name: 'small', needs: {}, files: {}, steps: [{ run: ['node', '-p', "require('managed-sessions').answer"], says: /^42$/m }] },
];
`;

let folder = '';

function write(name: string, content: unknown): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content, null, 2));
}

const edit = (changes: object): void => write('package.json', { ...MANIFEST, ...changes });

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { NODE_OPTIONS: _, GITHUB_REF: _ref, GITHUB_REPOSITORY: _repository, ...own } = process.env;
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: folder,
    env: { ...own, ...env },
    encoding: 'utf8',
  });
  return { status, said: stdout + stderr };
}

function commit(): void {
  for (const args of [
    ['add', '--all'],
    ['-c', 'user.name=t', '-c', 'user.email=t@example.com', 'commit', '--quiet', '--message', 'A state'],
  ]) {
    expect(run('git', args)).toEqual({ status: 0, said: '' });
  }
}

const check = (env: NodeJS.ProcessEnv = {}, ...args: string[]) =>
  run(process.execPath, ['scripts/release-check.mjs', ...args], env);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'managed-sessions-release-'));
  for (const name of ['release-check.mjs', 'consumers.mjs']) {
    cpSync(join(root, 'scripts', name), join(folder, 'scripts', name));
  }
  edit({});
  write('package-lock.json', { name: MANIFEST.name, version: MANIFEST.version, lockfileVersion: 3 });
  write('CHANGELOG.md', '# Changelog\n\n## Unreleased\n\n## 1.2.3\n\n- Something new.\n\n## 1.2.2\n\n- Older.\n');
  write('test/consumers/projects.mjs', PROJECTS);
  write('dist/index.js', 'exports.answer = 42;\n');
  expect(run('git', ['init', '--quiet', '--initial-branch=main'])).toEqual({ status: 0, said: '' });
  commit();
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('tries the tarball and leaves it for publishing', () => {
  const outside = mkdtempSync(join(tmpdir(), 'managed-sessions-packed-'));
  const env = { GITHUB_REF: 'refs/tags/v1.2.3', GITHUB_REPOSITORY: 'acme/managed-sessions' };

  const { status, said } = check(env, '--tarball-to', outside);

  expect(said).toMatch(/ok {6}small .*\n1 passed, 0 failed\n[^]*managed-sessions-1\.2\.3\.tgz may be published\./);
  expect(status).toBe(0);
  expect(readdirSync(outside)).toEqual(['managed-sessions-1.2.3.tgz']);
  rmSync(outside, { recursive: true });
});

interface Refusal {
  readonly what: string;
  readonly change?: () => void;
  readonly env?: NodeJS.ProcessEnv;
  readonly says: string;
}

const REFUSALS: Refusal[] = [
  {
    what: 'a placeholder as homepage',
    change: () => edit({ homepage: 'https://example.com/managed-sessions' }),
    says: 'homepage in package.json is a placeholder: https://example.com/managed-sessions',
  },
  {
    what: 'a placeholder for faults',
    change: () => edit({ bugs: { url: 'https://git.example.org/issues' } }),
    says: 'bugs.url in package.json is a placeholder: https://git.example.org/issues',
  },
  {
    what: 'a placeholder as repository',
    change: () => edit({ repository: { type: 'git', url: 'git+https://example.com/managed-sessions.git' } }),
    says: 'repository.url in package.json is a placeholder: git+https://example.com/managed-sessions.git',
  },
  {
    what: 'no repository',
    change: () => edit({ repository: undefined }),
    says: 'repository.url in package.json is not a URL.',
  },
  {
    what: 'a version that the changelog does not have',
    change: () => {
      edit({ version: '1.2.4' });
      write('package-lock.json', { version: '1.2.4' });
    },
    says: 'CHANGELOG.md has no section "## 1.2.4".',
  },
  {
    what: 'a version of which the changelog says nothing',
    change: () => write('CHANGELOG.md', '# Changelog\n\n## [1.2.3] - 2026-01-01\n\n## 1.2.2\n\n- Older.\n'),
    says: 'The section of 1.2.3 in CHANGELOG.md is empty.',
  },
  {
    what: 'another version in the lock file',
    change: () => write('package-lock.json', { version: '1.2.2' }),
    says: 'package-lock.json has version 1.2.2, and package.json 1.2.3.',
  },
  {
    what: 'another tag',
    env: { GITHUB_REF: 'refs/tags/v1.2.4' },
    says: 'The tag is v1.2.4, but the version in package.json is 1.2.3.',
  },
  {
    what: 'another repository',
    env: { GITHUB_REPOSITORY: 'eve/managed-sessions' },
    says: 'repository.url in package.json is not that of eve/managed-sessions.',
  },
];

it.each(REFUSALS)('refuses $what', ({ change, env, says }) => {
  change?.();
  if (change !== undefined) commit();

  expect(check(env)).toEqual({ status: 1, said: `- ${says}\nNot to be published.\n` });
});

it('refuses changes that are not committed, and says all that is wrong at once', () => {
  edit({ homepage: 'https://example.com/' });
  write('new.txt', '');

  const { status, said } = check();

  expect(status).toBe(1);
  expect(said).toMatch(
    /^- homepage .* a placeholder: .*\n- The work tree has changes .*:\n M package.json\n\?\? new.txt\nNot /,
  );
});

it('refuses a package that fails once it is installed', () => {
  write('dist/index.js', `exports.answer = require('./left-out.js');\n`);
  commit();

  const { status, said } = check();

  expect(said).toMatch(/^FAILED {2}small [^]*Cannot find module '\.\/left-out\.js'[^]*^0 passed, 1 failed$/m);
  expect(said).toMatch(/- The packed package failed in a project\.\nNot to be published\.\n$/);
  expect(status).toBe(1);
});

it('is what `npm publish` runs first', () => {
  const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  const { prepublishOnly } = own.scripts;
  edit({ homepage: 'https://example.com/', scripts: { prepublishOnly } });
  commit();

  const { status, said } = run('npm', ['publish', '--dry-run']);

  expect(said).toContain('- homepage in package.json is a placeholder: https://example.com/\nNot to be published.\n');
  expect(status).not.toBe(0);
});
