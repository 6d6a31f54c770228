/** The real build script, in a small copy of the package. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(__dirname, '../..');

const OUTPUTS = ['esm', 'cjs']
  .flatMap((format) =>
    ['index.d.ts', 'index.js', 'package.json', 'part/a.d.ts', 'part/a.js'].map((name) => [format, name]),
  )
  .map((path) => path.join('/'))
  .sort();

/** A copy that was built once. Each test gets its own copy of it. */
let built = '';
let folder = '';
let first: unknown;

beforeAll(async () => {
  folder = built = await mkdtemp(join(tmpdir(), 'managed-sessions-build-'));
  for (const name of ['package.json', 'tsconfig.json', 'tsconfig.esm.json', 'tsconfig.cjs.json', 'scripts/build.mjs']) {
    await cp(join(root, name), join(folder, name));
  }
  await cp(join(root, 'node_modules/typescript/package.json'), join(folder, 'node_modules/typescript/package.json'));
  await symlink(join(root, 'node_modules/typescript/lib'), join(folder, 'node_modules/typescript/lib'));
  // The sources below do not use Node's types, or much of the language: to read these takes longer than the build.
  await write('node_modules/@types/node/index.d.ts', '');
  await edit('tsconfig.json', '"lib": ["es2023", "es2024.string"]', '"lib": ["es5"]');
  await write('lib/index.ts', `export { a } from './part/a.js';\n`);
  await write('lib/part/a.ts', `export const a: number = 1;\n`);
  first = await build();
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'managed-sessions-build-'));
  await cp(built, folder, { recursive: true });
});

afterEach(() => rm(folder, { recursive: true, force: true }));
afterAll(() => rm(built, { recursive: true, force: true }));

async function write(name: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, name)), { recursive: true });
  await writeFile(join(folder, name), text);
}

const text = (name: string): Promise<string> => readFile(join(folder, name), 'utf8');

async function edit(name: string, from: string, to: string): Promise<void> {
  const before = await text(name);
  expect(before).toContain(from);
  await write(name, before.replace(from, to));
}

/** The files that npm would pack. */
async function outputs(): Promise<string[]> {
  const entries = await readdir(join(folder, 'dist'), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map((entry) => join(entry.parentPath, entry.name).slice(join(folder, 'dist/').length))
    .sort();
}

function start(...args: readonly string[]) {
  const child = spawn(process.execPath, ['scripts/build.mjs', ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => (said += part));
  const ended = once(child, 'close').then(([status]) => ({ status: status as number | null, said }));
  return { child, ended };
}

const build = () => start().ended;
const buildJavaScript = () => start('--javascript').ended;

const BUILT = { status: 0, said: expect.stringMatching(/^Building managed-sessions.*\nBuilt in .*\n$/) };
const NOTHING_TO_DO = { status: 0, said: '' };

it('builds both formats once: a newer modification time is not a change', async () => {
  expect(first).toEqual(BUILT);
  expect(await outputs()).toEqual(OUTPUTS);
  await utimes(join(folder, 'lib/index.ts'), new Date(), new Date());
  await edit('package.json', 'MIT', 'MIT');

  expect(await build()).toEqual(NOTHING_TO_DO);
  expect(await text('dist/cjs/part/a.js')).toContain('exports.a = 1');
  expect(await text('dist/esm/index.js')).toBe(`export { a } from './part/a.js';\n`);
});

it.each<[string, () => Promise<void>]>([
  ['a source was changed', () => edit('lib/part/a.ts', '1', '2')],
  ['a source was added', () => write('lib/part/b.ts', 'export const b = 1;\n')],
  ['a source was deleted', () => rm(join(folder, 'lib/index.ts'))],
  ['a compiler option was changed', () => edit('tsconfig.json', 'es2023', 'es2022')],
  ['the version of the package was changed', () => edit('package.json', '"version": "', '"version": "1')],
  [
    'another TypeScript was installed',
    () => edit('node_modules/typescript/package.json', '"version": "', '"version": "1'),
  ],
  ['another package was installed', () => write('node_modules/.package-lock.json', '{}')],
  ['the script was changed', () => edit('scripts/build.mjs', "['./node-version.js']", 'true')],
  ['all outputs were deleted', () => rm(join(folder, 'dist'), { recursive: true })],
  ['an output was deleted', () => rm(join(folder, 'dist/cjs/part/a.js'))],
  ['an output was edited', () => edit('dist/esm/part/a.js', '1', '3')],
  ['an output was cut short', () => write('dist/esm/part/a.d.ts', 'export')],
  ['a file was added to the outputs', () => write('dist/esm/part/z.js', '')],
  ['the last build did not finish', () => rm(join(folder, 'dist/.stamp'))],
  ['the stamp was cut short', () => write('dist/.stamp', 'a')],
])('builds if %s', async (_change, make) => {
  await make();

  const { child, ended } = start();
  await Promise.race([once(child.stderr, 'data'), ended]);
  // The other tests check what it then does.
  child.kill('SIGKILL');
  expect((await ended).said).toMatch(/^Building managed-sessions/);
});

it('repairs the outputs', async () => {
  await edit('dist/esm/part/a.js', '1', '3');
  await rm(join(folder, 'dist/cjs/index.js'));
  await write('dist/cjs/part/z.js', '');

  expect(await build()).toEqual(BUILT);
  expect(await outputs()).toEqual(OUTPUTS);
  expect(await text('dist/esm/part/a.js')).toContain('a = 1');
  expect(await build()).toEqual(NOTHING_TO_DO);
});

it('removes the outputs of a deleted source', async () => {
  await rm(join(folder, 'lib/part/a.ts'));
  await write('lib/index.ts', 'export const b = 1;\n');

  expect(await build()).toEqual(BUILT);
  expect(await outputs()).toEqual(OUTPUTS.filter((name) => !name.includes('part/')));
});

it('fails each time if a source has an error, and keeps the last build', async () => {
  await edit('lib/part/a.ts', '1', `'one'`);

  for (let attempt = 0; attempt < 2; attempt += 1) {
    const { status, said } = await build();
    expect(status).toBe(1);
    expect(said).toMatch(/^Building .*\nlib\/part\/a\.ts\(1,14\): error TS2322: .*\nThe build failed: .*\n$/);
  }
  expect(await outputs()).toEqual(OUTPUTS);
  expect(await text('dist/esm/part/a.js')).toContain('a = 1');

  await edit('lib/part/a.ts', `'one'`, '1');
  expect(await build()).toEqual(NOTHING_TO_DO);
});

it('fails on a configuration that cannot be read', async () => {
  await write('tsconfig.cjs.json', '{ "extends": "./none.json" }');

  const { status, said } = await build();
  expect(status).toBe(1);
  expect(said).toContain('none.json');
});

it('builds again after a build was killed', async () => {
  await rm(join(folder, 'dist'), { recursive: true });
  const { child, ended } = start();
  await Promise.race([once(child.stderr, 'data'), ended]);
  child.kill('SIGKILL');
  await ended;

  // On a busy machine it may come to its end before it is killed.
  const isDone = existsSync(join(folder, 'dist/.stamp'));
  expect(await build()).toEqual(isDone ? NOTHING_TO_DO : BUILT);
  expect(await outputs()).toEqual(OUTPUTS);
});

it('can run several times at once while sources change', async () => {
  await edit('lib/part/a.ts', '1', '2');
  const early = start();
  await Promise.race([once(early.child.stderr, 'data'), early.ended]);
  await edit('lib/part/a.ts', '2', '3');
  const late = build();

  for (const { status } of await Promise.all([early.ended, late])) expect(status).toBe(0);
  await build();
  expect(await build()).toEqual(NOTHING_TO_DO);
  expect(await outputs()).toEqual(OUTPUTS);
  expect(await text('dist/cjs/part/a.js')).toContain('exports.a = 3');
  expect(await text('dist/esm/part/a.js')).toContain('a = 3');
});

describe('the JavaScript alone, to start the example site', () => {
  const JAVASCRIPT = ['esm/index.js', 'esm/package.json', 'esm/part/a.js'];

  it('is that of the whole build, for which it is never mistaken', async () => {
    const javaScript = () => Promise.all(JAVASCRIPT.map((name) => text(`dist/${name}`)));
    const whole = await javaScript();
    await rm(join(folder, 'dist'), { recursive: true });

    for (let time = 0; time < 2; time += 1) expect(await buildJavaScript()).toEqual(NOTHING_TO_DO);
    expect(await outputs()).toEqual(JAVASCRIPT);
    expect(await javaScript()).toEqual(whole);
    expect(await build()).toEqual(BUILT);
    expect(await outputs()).toEqual(OUTPUTS);
    expect(await buildJavaScript()).toEqual(NOTHING_TO_DO);
    expect(await build()).toEqual(NOTHING_TO_DO);
  });

  it('is built anew if a source or an output was changed, and checks no types', async () => {
    await edit('lib/part/a.ts', '1', `'one'`);
    expect(await buildJavaScript()).toEqual(NOTHING_TO_DO);
    expect(await text('dist/esm/part/a.js')).toContain(`a = 'one'`);
    await edit('dist/esm/part/a.js', 'one', 'two');
    await write('dist/esm/part/z.js', '');
    await buildJavaScript();
    expect(await text('dist/esm/part/a.js')).toContain(`a = 'one'`);
    expect(await outputs()).toEqual(OUTPUTS);
    expect((await build()).status).toBe(1);
  });

  it('fails if a source cannot be read as TypeScript, and keeps the last build', async () => {
    await edit('lib/part/a.ts', '= 1', '= = 1');
    const { status, said } = await buildJavaScript();
    expect(status).toBe(1);
    expect(said).toMatch(/^lib\/part\/a\.ts\(1,26\): error TS1109: .*\nThe build failed: .*\n$/);
    expect(await text('dist/esm/part/a.js')).toContain('a = 1');
  });
});
