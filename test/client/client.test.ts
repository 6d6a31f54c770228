import { gzipSync } from 'node:zlib';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import ts from 'typescript';
import { isExpired, parseLoginToken, watchSession } from '../../lib/client/index.js';
import { eventually } from '../support/redis.js';

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

/**
 * `watchSession()` with timers of its own: it says for how many milliseconds it would wait before it connects again, and gets
 * the function that connects.
 */
function watchSessionWith(
  ask: (...args: Parameters<typeof fetch>) => Promise<Response | undefined>,
  wait: (ms: number, connect: () => void) => void,
  expectNews: (ms: number) => void = () => undefined,
  around: object = {},
): typeof watchSession {
  const SILENCE = 45_000;
  const exports: { watchSession?: typeof watchSession } = {};
  runInNewContext(build(ts.ModuleKind.CommonJS), {
    exports,
    AbortController,
    TextDecoder,
    queueMicrotask,
    fetch: ask,
    clearTimeout: () => undefined,
    setTimeout(connect: () => void, ms: number) {
      if (ms === SILENCE) expectNews(ms);
      else wait(ms, connect);
    },
    ...around,
  });
  return exports.watchSession!;
}

describe('watchSession, and what may answer in the place of the server', () => {
  const SIGNED_IN = 'event: signed-in\ndata: {"handle":"AAAAAAAAAAAAAAAAAAAAAA"}\n\n';
  const STREAM = { 'Content-Type': 'text/event-stream' };
  let server: Server;
  let stop: () => void;
  afterEach(() => {
    stop();
    server.closeAllConnections();
    server.close();
  });

  interface Seen {
    readonly ended: string[];
    readonly asked: string[];
    live: number;
  }

  async function watching(path: string, answer: RequestListener, watch = watchSession): Promise<Seen> {
    const seen: Seen = { ended: [], asked: [], live: 0 };
    server = createServer((req, res) => {
      seen.asked.push(req.url ?? '');
      answer(req, res);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}${path}`;
    stop = watch(url, { onEnded: ({ code }) => seen.ended.push(code), onLive: () => (seen.live += 1) });
    return seen;
  }
  const until = (what: string, is: () => boolean): Promise<unknown> => eventually(what, () => Promise.resolve(is()));

  it.each<[string, string]>([
    ['', '?handle=AAAAAAAAAAAAAAAAAAAAAA&'],
    ['?tenant=3', '?handle=AAAAAAAAAAAAAAAAAAAAAA&tenant=3'],
  ])('it names the session that it watched when it connects again to "/events%s"', async (query, then) => {
    let count = 0;
    const seen = await watching(`/events${query}`, (_req, res) => {
      res.writeHead(200, STREAM).end((count += 1) === 1 ? SIGNED_IN : 'event: signed-out\ndata: {}\n\n');
    });
    await until('it has ended', () => seen.ended.length > 0);
    expect(seen).toEqual({ ended: ['signed_out'], asked: [`/events${query}`, `/events${then}`], live: 1 });
  });

  it('a login page says nothing, whatever is in it, and is asked for ever more rarely', async () => {
    const page = '<p>Sign in</p>\n\nevent: signed-out\ndata: {}\n\nevent: signed-in\ndata: {}\n\n';
    let count = 0;
    const pauses: number[] = [];
    const atOnce = watchSessionWith(fetch, (ms, connect) => {
      pauses.push(ms);
      setImmediate(connect);
    });
    const login: RequestListener = (req, res) => {
      if (req.url === '/login') res.writeHead(200, { 'Content-Type': 'text/html' }).end(page);
      else if ((count += 1) < 4) res.writeHead(302, { Location: '/login' }).end();
      else res.writeHead(200, STREAM).write(SIGNED_IN);
    };
    const seen = await watching('/events', login, atOnce);
    await until('the server has confirmed it', () => seen.live > 0);
    expect(seen.ended).toEqual([]);
    expect(pauses.map((ms, index) => ms >= 500 * 2 ** index && ms <= 1500 * 2 ** index)).toEqual([true, true, true]);
  });

  it('only an event of that name ends it, in whatever pieces it comes', async () => {
    const pieces = [
      SIGNED_IN,
      ': event: signed-out\n\n',
      'data: event: signed-out\n\n',
      'event: signed-out-soon\ndata: {}\n\n',
      'event: note\ndata: Zo\u00eb\nevent: signed-out\n\n',
      'event: signed-out\ndata: {}\n\n',
    ];
    const bytes = Buffer.from(pieces.join(''));
    const last = bytes.lastIndexOf('event: signed-out');
    let rest: () => void = () => undefined;
    const seen = await watching('/events', (_req, res) => {
      res.writeHead(200, STREAM);
      let sent = 0;
      // Byte by byte, also within a character.
      const send = (to: number): void => {
        if (sent < to) res.write(bytes.subarray(sent, (sent += 1)), () => send(to));
      };
      send(last);
      rest = () => send(bytes.length);
    });
    await until('it is live', () => seen.live > 0);
    expect(seen.ended).toEqual([]);
    rest();
    await until('it has ended', () => seen.ended.length > 0);
    expect(seen).toEqual({ ended: ['signed_out'], asked: ['/events'], live: 1 });
  });

  it('an event without an end is not kept', async () => {
    let sent = 0;
    let isGone = false;
    const seen = await watching('/events', (_req, res) => {
      res.writeHead(200, STREAM).write(SIGNED_IN);
      const send = (): void => {
        sent += 4096;
        if (!isGone && sent < 16_000_000) res.write('x'.repeat(4096), () => setImmediate(send));
      };
      res.on('close', () => (isGone = true));
      send();
    });
    await until('it has hung up', () => isGone);
    expect(sent).toBeLessThan(16_000_000);
    expect(seen.ended).toEqual([]);
  });

  it('stopped by its own listener, it does nothing more with what came at the same time', async () => {
    const timers: number[] = [];
    const chunks = [SIGNED_IN, ':\n\n', 'event: signed-out\ndata: {}\n\n'].map((text) => Buffer.from(text));
    const body = new ReadableStream<Uint8Array>({
      start(stream) {
        for (const chunk of chunks) stream.enqueue(chunk);
        stream.close();
      },
    });
    const watch = watchSessionWith(
      () => Promise.resolve(new Response(body, { headers: STREAM })),
      (ms) => timers.push(ms),
      (ms) => timers.push(ms),
    );
    const said: string[] = [];
    const before = new Promise<void>((resolve) => {
      stop = watch('/events', {
        onLive() {
          stop();
          timers.length = 0;
          resolve();
        },
        onEnded: ({ code }) => said.push(code),
      });
    });
    await before;
    await new Promise(setImmediate);
    expect([said, timers]).toEqual([[], []]);
  });

  it.each([
    ['a page', '<p>Sign in</p>', 'signed_out'],
    ['nothing', '', 'signed_out'],
    ['a problem', '{"code":"session_idle"}', 'session_idle'],
    ['a problem of another kind', '{"error":"login_required"}', 'signed_out'],
    ['no object', 'null', 'signed_out'],
  ])('401 with %s ends it', async (_what, body, code) => {
    const seen = await watching('/events', (_req, res) => res.writeHead(401).end(body));
    await until('it has ended', () => seen.ended.length > 0);
    expect(seen).toEqual({ ended: [code], asked: ['/events'], live: 0 });
  });
});

/** For how many milliseconds `watchSession()` waits after each of these answers, by a clock that is always there already. */
function pausesAfter(answers: readonly (() => Response)[]): Promise<number[]> {
  const pauses: number[] = [];
  let asked = 0;
  return new Promise((resolve) => {
    const watch = watchSessionWith(
      async () => answers[asked++]?.(),
      (ms, connect) => {
        pauses.push(ms);
        if (pauses.length < answers.length) queueMicrotask(connect);
        else resolve(pauses);
      },
    );
    watch('/events', { onEnded: () => undefined });
  });
}

describe('where a browser has locks, and refuses them', () => {
  it('two tabs have a connection each, and both hear of the end', async () => {
    const channels = new Set<{ onmessage?: (message: object) => void }>();
    class Channel {
      onmessage?: (message: object) => void;
      constructor() {
        channels.add(this);
      }
      postMessage(data?: string): void {
        for (const other of channels) {
          if (other !== this) queueMicrotask(() => channels.has(other) && other.onmessage?.({ data }));
        }
      }
      close(): void {
        channels.delete(this);
      }
    }
    const refused = (): Promise<never> => Promise.reject(new Error('SecurityError'));
    const streams: ReadableStreamDefaultController<Uint8Array>[] = [];
    const send = (text: string): void => {
      for (const stream of streams) stream.enqueue(Buffer.from(text));
    };
    const aborted: unknown[] = [];
    const ended: string[] = [];
    const stops = [1, 2].map(() => {
      const watch = watchSessionWith(
        (_url, options) => {
          options?.signal?.addEventListener('abort', () => aborted.push(options));
          const body = new ReadableStream<Uint8Array>({ start: (stream) => void streams.push(stream) });
          return Promise.resolve(new Response(body, { headers: { 'Content-Type': 'text/event-stream' } }));
        },
        () => undefined,
        () => undefined,
        { BroadcastChannel: Channel, navigator: { locks: { request: refused } } },
      );
      return watch('/events', { onEnded: ({ code }) => ended.push(code) });
    });
    const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
    send('event: signed-in\ndata: {"handle":"AAAAAAAAAAAAAAAAAAAAAA"}\n\n');
    await settled();
    send(':\n\n');
    await settled();
    expect([streams.length, aborted]).toEqual([2, []]);
    send('event: signed-out\ndata: {}\n\n');
    await settled();
    expect(ended).toEqual(['signed_out', 'signed_out']);
    for (const stop of stops) stop();
  });
});

describe('a connection that fails', () => {
  const unreachable = (): Response => {
    throw new TypeError('Failed to fetch');
  };
  const busy = (seconds: string) => () => new Response(null, { status: 503, headers: { 'Retry-After': seconds } });
  const heartbeat = (): Response => new Response(':\n\n', { headers: { 'Content-Type': 'text/event-stream' } });

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
  it.each(['esm', 'cjs'])('is under 1.5 kB as browsers load it, gzipped: %s', (format) => {
    const code = readFileSync(join(__dirname, `../../dist/${format}/client/index.js`));
    expect(String(code)).toContain('watchSession');
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
