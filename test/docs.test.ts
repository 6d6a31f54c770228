/** The documentation as a whole: its links lead somewhere, the reference has what the code has, the README stays short. */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';
import { managedSessions } from '../lib/index.js';
import { LOGIN_ERROR_CODES } from '../lib/core/errors.js';

const root = join(__dirname, '..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const pages = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
const files = [
  ...readdirSync(root).filter((name) => name.endsWith('.md') || name === 'llms.txt'),
  ...pages.map((name) => join('docs', name)),
];

const withoutCode = (markdown: string): string => markdown.replace(/^( *)(`{3,})[^]*?^\1\2 *$/gm, '');

/** The links of a file, as they are written: without those to other sites. */
function linksIn(file: string): string[] {
  const text = withoutCode(read(file));
  const written = [...text.matchAll(/\]\(([^()\s]+)\)|(?:src|href)="([^"]+)"/g)].map(
    (match) => match[1] ?? match[2] ?? '',
  );
  return written.filter((link) => !/^[a-z]+:/.test(link));
}

/** What `#...` may name: the headings, as GitHub makes ids of them, and ids that stand in the text. */
function anchorsOf(file: string): ReadonlySet<string> {
  const text = withoutCode(read(file));
  const headings = [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, title = '']) =>
    title
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  );
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id)]);
}

function isDead(file: string, link: string): boolean {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? file : relative(root, join(root, dirname(file), path));
  if (!existsSync(join(root, target))) return true;
  return anchor !== undefined && !anchorsOf(target).has(anchor);
}

test.each(files)('every link of %s leads somewhere', (file) => {
  expect(linksIn(file).filter((link) => isDead(file, link))).toEqual([]);
});

test('a link to a heading that does not exist is dead', () => {
  expect(isDead('README.md', 'docs/reference.md#no-such-heading')).toBe(true);
  expect(isDead('README.md', 'docs/no-such-page.md')).toBe(true);
});

test('the README is at most 10 kB', () => {
  expect(statSync(join(root, 'README.md')).size).toBeLessThanOrEqual(10_000);
});

test('the README begins with a program of at most eight lines, and then one with a provider and Redis', () => {
  const blocks = [...read('README.md').matchAll(/^```(?:js|ts)\n([^]*?)^```$/gm)].map(([, code = '']) =>
    code.trimEnd().split('\n'),
  );
  expect(blocks[0]?.length).toBeLessThanOrEqual(8);
  const beginning = blocks[1]?.slice(0, 15).join('\n');
  expect(beginning).toMatch(/oidc\(\{[^]*redisStore\(/);
});

describe('every page of docs/', () => {
  const linked = (from: string): string[] => linksIn(from).map((link) => link.split('#')[0] ?? '');

  test.each(['README.md', 'llms.txt'])('is named in %s', (file) => {
    const named = linked(file);
    expect(pages.filter((page) => !named.includes(`docs/${page}`))).toEqual([]);
  });

  test.each(pages)('%s begins with a sentence that says what it is for', (page) => {
    const [title = '', , first = ''] = read(join('docs', page)).split('\n');
    expect([title, first]).toEqual([
      expect.stringMatching(/^# /),
      expect.stringMatching(/^[A-Z`[*].*[\p{L}\p{N}.,:`)*]$/u),
    ]);
  });
});

describe('docs/reference.md', () => {
  const reference = read('docs/reference.md');

  /** The names in the first cells of the rows whose anchors begin so. */
  const rows = (prefix: string): string[] =>
    [...reference.matchAll(/^\| <a id="([^"]+)"><\/a>`([A-Za-z_]+)/gm)]
      .filter(([, id = '', name = '']) => id === prefix + name.toLowerCase().replaceAll('_', '-'))
      .map(([, , name = '']) => name);

  /** The properties of an interface of lib/, and of those that it extends. */
  function propertiesOf(file: string, name: string): string[] {
    const source = ts.createSourceFile(file, read(join('lib', file)), ts.ScriptTarget.Latest);
    const found = source.statements.filter(ts.isInterfaceDeclaration).find((each) => each.name.text === name);
    return (found?.members ?? []).map((member) => (member.name as ts.Identifier).text);
  }

  const sessions = managedSessions({ issuer: { issuer: 'a', secret: 'a secret of more than 32 bytes, for HS256' } });
  afterAll(() => sessions.close());

  test.each([
    ['option', '', propertiesOf('options.ts', 'ManagedSessionsOptions')],
    ['option of an issuer', 'issuer-', propertiesOf('tokens/issuer.ts', 'IssuerOptions')],
    ['option of redisStore()', 'redis-', propertiesOf('stores/redis/store.ts', 'RedisStoreOptions')],
    [
      'option of router()',
      'router-',
      [...propertiesOf('http/router.ts', 'RouterOptions'), ...propertiesOf('http/serve-page.ts', 'PageOptions')],
    ],
    ['event', 'event-', propertiesOf('core/events.ts', 'SessionEvents')],
    ['error code', 'error-', [...LOGIN_ERROR_CODES]],
    ['member', 'member-', Object.keys(sessions)],
  ])('has a row for every %s, and no other', (_what, prefix, names) => {
    expect(names).not.toEqual([]);
    expect(rows(prefix).sort()).toEqual([...names].sort());
  });
});

describe('docs/operation.md', () => {
  test('the probes of Kubernetes ask routes of the program', () => {
    const page = read('docs/operation.md');
    const routes = new Set([...page.matchAll(/^app\.get\('([^']+)'/gm)].map(([, path]) => path));
    const probes = [...page.matchAll(/httpGet: \{ path: (\S+), /g)].map(([, path]) => path);
    expect(probes).toEqual(['/alive', '/ready']);
    expect(probes.filter((path) => !routes.has(path))).toEqual([]);
  });
});

describe('docs/dependencies.md', () => {
  const page = read('docs/dependencies.md');
  const lock: { packages: Record<string, { dev?: true; devOptional?: true; hasInstallScript?: true }> } = JSON.parse(
    read('package-lock.json'),
  );
  const installed = Object.entries(lock.packages).filter(
    ([path, { dev, devOptional }]) => path !== '' && !dev && !devOptional,
  );

  test('has a row for every dependency, and counts what is installed', () => {
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
    const named = [...page.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name);
    expect(named.sort()).toEqual(Object.keys(dependencies).sort());
    expect(page).toContain(`installs ${String(installed.length + 1)} packages`);
  });

  test('nothing that is installed has an install script', () => {
    expect(installed.filter(([, { hasInstallScript }]) => hasInstallScript)).toEqual([]);
  });
});
