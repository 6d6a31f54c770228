import { gzipSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { minify } from 'terser';
import ts from 'typescript';
import { isExpired, parseLoginToken, type watchSession } from '../../lib/client/index.js';

const SOURCE = join(__dirname, '../../lib/client/index.ts');

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const tokenOf = (claims: unknown): string => `${encoded({ alg: 'RS256' })}.${encoded(claims)}.c2lnbmF0dXJl`;
const tokenOfText = (payload: string | Buffer): string => `e30.${Buffer.from(payload).toString('base64url')}.c2ln`;

describe('parseLoginToken', () => {
  it.each([
    ['plain claims', { sub: 'u1', name: 'Ann', exp: 1_800_000_000 }],
    ['two, three and four bytes in UTF-8', { name: 'Zoë 李小龍 👩‍💻' }],
    ['characters that need - and _ in base64url', { name: '???>>>~~~ÿÿ' }],
    ['nested claims', { realm_access: { roles: ['a', 'b'] } }],
    ['no claims', {}],
  ])('reads %s', (_what, claims) => {
    expect(parseLoginToken(tokenOf(claims))).toEqual(claims);
  });

  it.each([0, 1, 2, 3])('needs no padding (%i characters more)', (more) => {
    const claims = { sub: 'x'.repeat(more) };
    expect(parseLoginToken(tokenOf(claims))).toEqual(claims);
  });

  it('takes __proto__ for a claim like any other', () => {
    const claims = parseLoginToken(tokenOfText('{"__proto__":{"admin":true}}'));
    expect(Object.keys(claims ?? {})).toEqual(['__proto__']);
    expect(claims).not.toHaveProperty('admin');
  });

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a number', 1],
    ['an object that reads like a token', { toString: () => tokenOf({ sub: 'u1' }) }],
    ['an empty text', ''],
    ['words', 'not a token'],
    ['one part', encoded({})],
    ['two parts', `${encoded({})}.${encoded({})}`],
    ['four parts', `${tokenOf({})}.x`],
    ['five parts (JWE)', 'a.b.c.d.e'],
    ['an empty payload', 'e30..c2ln'],
    ['an empty signature', 'e30.e30.'],
    ['a line break behind', `${tokenOf({})}\n`],
    ['plain base64', 'e30.eyJhIjoi/+8ifQ==.c2ln'],
    ['base64 of an impossible length', 'e30.abcde.c2ln'],
    ['no JSON', tokenOfText('{"sub":')],
    ['a JSON list', tokenOf(['sub'])],
    ['a JSON text', tokenOf('sub')],
    ['JSON null', tokenOf(null)],
    ['a JSON number', tokenOf(1)],
    ['bytes that are no UTF-8', tokenOfText(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))],
  ])('gives null for %s', (_what, token) => {
    expect(parseLoginToken(token)).toBeNull();
  });
});

describe('isExpired', () => {
  const now = 1_800_000_000_000;
  it.each<[string, Record<string, unknown> | null, number, boolean]>([
    ['a second to go', { exp: 1_800_000_001 }, 0, false],
    ['this very moment', { exp: 1_800_000_000 }, 0, true],
    ['a second ago, none tolerated', { exp: 1_799_999_999 }, 0, true],
    ['a second ago, two tolerated', { exp: 1_799_999_999 }, 2000, false],
    ['no exp', { sub: 'u1' }, 0, false],
    ['an exp that is a text', { exp: '1900000000' }, 0, true],
    ['an exp that is null', { exp: null }, 0, true],
    ['no claims', null, 0, true],
  ])('%s', (_what, claims, clockTolerance, expired) => {
    expect(isExpired(claims, { now, clockTolerance })).toBe(expired);
  });

  it('goes by the clock of this device where none is given', () => {
    const seconds = Math.floor(Date.now() / 1000);
    expect(isExpired({ exp: seconds - 60 })).toBe(true);
    expect(isExpired({ exp: seconds + 3600 })).toBe(false);
  });
});

const build = (module: ts.ModuleKind): string =>
  ts.transpileModule(readFileSync(SOURCE, 'utf8'), { compilerOptions: { module, target: ts.ScriptTarget.ES2023 } })
    .outputText;

/** For how many milliseconds `watchSession()` waits after each of these answers, by a clock that is always there already. */
function pausesAfter(answers: readonly (() => Response)[]): Promise<number[]> {
  const SILENCE = 45_000;
  const pauses: number[] = [];
  let asked = 0;
  return new Promise((resolve) => {
    const exports: { watchSession?: typeof watchSession } = {};
    runInNewContext(build(ts.ModuleKind.CommonJS), {
      exports,
      AbortController,
      TextDecoder,
      queueMicrotask,
      fetch: async () => answers[asked++]?.(),
      clearTimeout: () => undefined,
      setTimeout(connect: () => void, ms: number) {
        if (ms === SILENCE) return;
        pauses.push(ms);
        if (pauses.length < answers.length) queueMicrotask(connect);
        else resolve(pauses);
      },
    });
    exports.watchSession?.('/events', { onEnded: () => undefined });
  });
}

describe('a connection that fails', () => {
  const unreachable = (): Response => {
    throw new TypeError('Failed to fetch');
  };
  const busy = (seconds: string) => () => new Response(null, { status: 503, headers: { 'Retry-After': seconds } });
  const heartbeat = (): Response => new Response(':\n\n');

  it('is tried again after about 1, 2, 4 seconds and so on, up to about 40, and after a heartbeat from the start', async () => {
    const pauses = await pausesAfter([...Array.from({ length: 8 }, () => unreachable), heartbeat, unreachable]);
    for (const [index, seconds] of [1, 2, 4, 8, 16, 32, 40, 40, 1, 2].entries()) {
      expect(pauses[index]).toBeGreaterThanOrEqual(500 * seconds);
      expect(pauses[index]).toBeLessThanOrEqual(1500 * seconds);
    }
    // Not all clients at the same moment.
    expect(new Set(pauses).size).toBe(pauses.length);
  });

  it('is not tried again before the server wants it, within an hour', async () => {
    expect(await pausesAfter([busy('7'), busy('9999999')])).toEqual([7000, 3_600_000]);
    const [pause] = await pausesAfter([busy('Wed, 21 Oct 2026 07:28:00 GMT')]);
    expect(pause).toBeLessThanOrEqual(1500);
  });
});

describe('the module', () => {
  it('is under 1.5 kB as bundlers ship it: without comments, with short names, gzipped', async () => {
    const { code = '' } = await minify(build(ts.ModuleKind.ESNext), { module: true });
    expect(code).toContain('watchSession');
    expect(gzipSync(code).length).toBeLessThan(1500);
  });

  it('is what the script of the page is made from', async () => {
    await promisify(execFile)(process.execPath, [join(__dirname, '../../scripts/page-script.mjs'), '--check']);
  });

  it('is an ES module that imports nothing', () => {
    const text = build(ts.ModuleKind.ESNext);
    expect(text).toContain('export function parseLoginToken');
    expect(text).not.toMatch(/^import\b|require\(/m);
  });

  it('runs as CommonJS with nothing of Node around it', () => {
    const exports: { parseLoginToken?: typeof parseLoginToken } = {};
    runInNewContext(build(ts.ModuleKind.CommonJS), { exports, atob, TextDecoder });
    expect(exports.parseLoginToken?.(tokenOf({ name: 'Zoë' }))?.['name']).toBe('Zoë');
  });

  it('needs no types of the DOM or of Node', () => {
    const program = ts.createProgram([SOURCE], {
      strict: true,
      noEmit: true,
      target: ts.ScriptTarget.ES2023,
      lib: ['lib.es2023.d.ts'],
      types: [],
    });
    const messages = ts.getPreEmitDiagnostics(program).map(({ messageText }) => messageText);
    expect(messages).toEqual([]);
  });
});
