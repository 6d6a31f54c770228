/** docs/page.md says what the code does: its tables, and the example that reads a database of places, as it stands there. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import jwt from 'jsonwebtoken';
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';
import { englishMessages } from '../../lib/http/messages.js';
import { PAGE_STYLE } from '../../lib/http/page-style.js';
import type { RouterOptions } from '../../lib/http/router.js';
import { codeBlocks } from '../support/readme.js';
import { eventually } from '../support/redis.js';
import { germanTexts } from './german-messages.js';
import { makeSite } from './site.js';

const root = join(__dirname, '../..');
const DOCS = 'docs/page.md';
const markdown = readFileSync(join(root, DOCS), 'utf8');

function section(heading: string): string {
  const sections = markdown.split(/^## /m);
  return sections.find((text) => text.startsWith(`${heading}\n`)) ?? '';
}

/** The cells of the first table of a section, without its head. */
function tableOf(heading: string): string[][] {
  const lines = section(heading).split('\n');
  const rows = lines.filter((line) => line.startsWith('|')).slice(2);
  return rows.map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );
}

test('each option of router() has its row', async () => {
  const site = makeSite();
  const refused = (): unknown => site.router({ unknownOption: 1 } as RouterOptions);
  expect(refused).toThrow('use one of');
  const names = /use one of (.*)/.exec(String(errorOf(refused)))?.[1]?.split(', ') ?? [];
  const [, table = ''] = /\n(\| option[^]*?)\n\n/.exec(markdown) ?? [];
  const documented = Array.from(table.matchAll(/^\| `(\w+)`/gm), ([, name = '']) => name);
  expect(documented.sort()).toEqual(names.sort());
  await site.close();
});

function errorOf(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}

/** The custom properties, with their defaults. */
function properties(css: string): Map<string, string> {
  const found = css.matchAll(/var\((--ms-[\w-]+), ((?:[^()]|\([^()]*\))*)\)/g);
  return new Map(Array.from(found, ([, name = '', value = '']) => [name, value.trim()]));
}

test('the custom properties are those of the stylesheet, with its defaults in light and dark', () => {
  const parts = PAGE_STYLE.split('@media (prefers-color-scheme: dark)');
  // What follows is for the whole page, and sets no others.
  const [light = '', dark = ''] = parts.map((part) => part.split('.managed-sessions-page')[0] ?? '');
  const [inLight, inDark] = [properties(light), properties(dark)];
  const code = (value?: string): string => (value === undefined ? '' : `\`${value}\``);
  const expected = [...inLight].map(([name, value]) => [code(name), code(value), code(inDark.get(name))]);
  expect(expected.length).toBeGreaterThan(15);
  expect(tableOf('Look').map((cells) => cells.slice(0, 3))).toEqual(expected);
  expect(new Set(properties(PAGE_STYLE).keys())).toEqual(new Set(inLight.keys()));
});

const SAMPLES: Readonly<Record<string, string | number>> = {
  count: 5,
  ago: '3 minutes ago',
  client: 'Firefox',
  library: 'okhttp',
  id: 'Acme CLI',
  actor: 'assistant',
};

/** As `name(parameters)`, with its text for the samples. */
function rowsOf(texts: object, prefix = ''): string[][] {
  return Object.entries(texts).flatMap(([name, text]: [string, unknown]) => {
    const path = `${prefix}${name}`;
    if (typeof text === 'object' && text !== null) return rowsOf(text, `${path}.`);
    if (typeof text !== 'function') return [[`\`${path}\``, typeof text === 'string' ? text : '`null`']];
    const [, parameters = ''] = /^\(?([\w, ]*)\)? ?=>|^function \w+\((\w+)\)/.exec(text.toString()) ?? [];
    const names = PARAMETERS[name] ?? parameters.split(', ');
    const samples = names.map((parameter) =>
      parameter === 'device' && name === 'clientOn' ? 'Windows' : (SAMPLES[parameter] ?? 'Firefox on Windows'),
    );
    return [[`\`${path}(${names.join(', ')})\``, String(Reflect.apply(text, texts, samples))]];
  });
}

/** Of functions that do not use what they get. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = { actingForYou: ['actor'], appName: ['id'] };

test('all texts are there, with their English', () => {
  expect(tableOf('All texts')).toEqual(rowsOf(englishMessages));
});

/** By their paths. */
const namesOf = (texts: object): string[] => rowsOf(texts).map(([name = '']) => name.replace(/\(.*/, '`'));

test('the German texts are all there are, apart from what has no words', () => {
  const wordless = ['`direction`', '`notYouUrl`', '`appName`'];
  expect(namesOf(germanTexts)).toEqual(namesOf(englishMessages).filter((name) => !wordless.includes(name)));
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test('the example reads places from a database, and nothing that an address can be breaks it', async () => {
  const [block, ...others] = codeBlocks(DOCS, section('Places'));
  expect(others).toEqual([]);
  const home = await mkdtemp(join(tmpdir(), 'managed-sessions-places-'));
  await mkdir(join(home, 'app/node_modules'), { recursive: true });
  await symlink(join(root, 'node_modules'), join(home, 'node_modules'));
  await symlink(root, join(home, 'app/node_modules/managed-sessions'));
  await copyFile(join(root, 'test/support/places/GeoLite2-City-Test.mmdb'), join(home, 'app/GeoLite2-City.mmdb'));
  const compilerOptions = { module: ModuleKind.ESNext, target: ScriptTarget.ES2022 };
  await writeFile(join(home, 'app/app.mjs'), transpileModule(block?.code ?? '', { compilerOptions }).outputText);
  const port = await freePort();
  const env = { ...process.env, PORT: String(port), LOGIN_SECRET: 'a secret of 32 characters or more' };
  const app = spawn(process.execPath, ['app.mjs'], {
    cwd: join(home, 'app'),
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exited = once(app, 'exit');

  async function locationOf(ip: string): Promise<string | null> {
    const token = jwt.sign({ sub: ip, sid: ip }, env.LOGIN_SECRET, { issuer: 'my-app', expiresIn: '1h' });
    const headers = { authorization: `Bearer ${token}`, 'x-forwarded-for': ip };
    const response = await fetch(`http://127.0.0.1:${String(port)}/account/sessions/current`, { headers });
    return ((await response.json()) as { location: string | null }).location;
  }

  try {
    await eventually('it listens', () =>
      locationOf('192.0.2.1').then(
        () => true,
        () => app.exitCode !== null,
      ),
    );
    expect(await Promise.all(['2.125.160.216', '2001:218::1', '89.160.20.112'].map(locationOf))).toEqual([
      'Boxford, United Kingdom',
      'Japan',
      'Linköping, Sweden',
    ]);
    expect(await Promise.all(['192.0.2.1', '::1', '10.0.0.1', 'nowhere', 'fe80::1%eth0'].map(locationOf))).toEqual([
      null,
      null,
      null,
      null,
      null,
    ]);
  } finally {
    app.kill();
    await exited;
    await rm(home, { recursive: true, force: true });
  }
});
