/** openapi.json: valid, complete, true of the real answers, and good enough for a generated client. */

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import Ajv2020, { type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import express from 'express';
import fc from 'fast-check';
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';
import { managedSessions, type ManagedSessions, type ManagedSessionsOptions } from '../../lib/index.js';
import { createTestIssuer, createTestStore, type TestIssuer, type TestStore } from '../../lib/testing/index.js';
import { codeBlocks } from '../support/readme.js';

const root = join(__dirname, '../..');
const FILE = join(root, 'openapi.json');
const META_SCHEMA = 'node_modules/@seriousme/openapi-schema-validator/schemas/v3.1/schema.json';

/** Of any shape, as what JSON.parse() returns. */
type Json = Readonly<Record<string, ReturnType<typeof JSON.parse>>>;
const read = (file: string): Json => JSON.parse(readFileSync(file, 'utf8'));
const API = read(FILE);

const node = (cwd: string, ...args: string[]): Promise<{ stdout: string }> => {
  const { NODE_OPTIONS: _, ...env } = process.env;
  return promisify(execFile)(process.execPath, args, { cwd, env, timeout: 240_000 });
};

/** Every object of a schema may have only what is described: what is sent and not described is found. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const inside = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closed(value)]));
  return 'required' in schema && 'properties' in schema ? { ...inside, additionalProperties: false } : inside;
}

const ajv = addFormats(new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true, allErrors: true }));
ajv.addKeyword('components');
ajv.addSchema({ $id: 'api', components: { schemas: closed(API['components'].schemas) } });

const validators = new Map<string, ValidateFunction>();
function validatorOf(schema: Json): ValidateFunction {
  const key = JSON.stringify(schema).replaceAll('"#/components', '"api#/components');
  let validate = validators.get(key);
  if (validate === undefined) validators.set(key, (validate = ajv.compile(closed(JSON.parse(key)) as Json)));
  return validate;
}

function resolved(value: Json): Json {
  const reference: string | undefined = value['$ref'];
  if (reference === undefined) return value;
  return reference
    .slice(2)
    .split('/')
    .reduce((at, name) => at[name], API);
}

const METHODS = ['get', 'post', 'patch', 'delete'] as const;
interface Operation {
  readonly path: string;
  readonly method: (typeof METHODS)[number];
  readonly responses: Json;
}
const OPERATIONS: readonly Operation[] = Object.entries<Json>(API['paths']).flatMap(([path, item]) =>
  METHODS.filter((method) => method in item).map((method) => ({ path, method, responses: item[method].responses })),
);

let provider: TestIssuer;
let store: TestStore;
let server: Server;
let origin: string;
const sites: ManagedSessions[] = [];

beforeAll(async () => {
  provider = await createTestIssuer({ algorithms: ['HS256'], issuer: 'my-app' });
  store = createTestStore();
  const app = express();
  const mount = (name: string, options: Partial<ManagedSessionsOptions> = {}, maxAge?: '10m'): void => {
    const issuer = { issuer: 'my-app', secret: provider.secret ?? '' };
    const sessions = managedSessions({ issuer, store: store.connect(), ...options });
    sites.push(sessions);
    app.use(`/${name}`, sessions.router(maxAge === undefined ? {} : { maxAge }));
  };
  mount('plain');
  mount('login', { loginUrl: '/sign-in' });
  mount('step-up', {}, '10m');
  mount('limited', { store: createTestStore(), maxSessionsPerUser: 1, atSessionLimit: 'refuse' });
  server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
});
afterAll(async () => {
  server.closeAllConnections();
  await Promise.all([...sites.map((sessions) => sessions.close()), provider.close(), once(server.close(), 'close')]);
});
beforeEach(() => store.up());

interface Ask {
  readonly site?: 'plain' | 'login' | 'step-up' | 'limited';
  readonly token?: string | null;
  readonly handle?: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const FORM = 'application/x-www-form-urlencoded';
const HTML = { accept: 'text/html' };

let people = 0;
/** A new person, who has signed in as often as that. */
function newPerson(signIns = 1): string[] {
  people += 1;
  return Array.from({ length: signIns }, () => provider.issue({ sub: `person-${String(people)}` }));
}

function bodyFor({ path, method }: Operation): Pick<Ask, 'body' | 'headers'> {
  if (method === 'patch') return { body: '{"label":"Work"}', headers: { 'content-type': 'application/json' } };
  if (method !== 'post') return {};
  const fields = path.endsWith('/label') ? 'label=Work' : path === '/selected/end' ? `handle=${'a'.repeat(22)}` : '';
  return { body: fields, headers: { 'content-type': FORM } };
}

async function ask({ path, method }: Operation, more: Ask = {}): Promise<Response> {
  const { site = 'plain', token = newPerson()[0], handle = 'current', query = '', headers = {}, body } = more;
  const authorization = token == null ? {} : { authorization: `Bearer ${token}` };
  return fetch(`${origin}/${site}${path.replace('{handle}', handle)}${query}`, {
    method: method.toUpperCase(),
    headers: { accept: 'application/json', ...authorization, ...headers },
    redirect: 'manual',
    ...(body !== undefined && { body }),
  });
}

/** What Node and Express send with any response. */
const OF_ANY_SERVER = [
  'connection',
  'content-length',
  'content-type',
  'date',
  'keep-alive',
  'transfer-encoding',
  'x-powered-by',
];

/** An answer as its operation describes it. Returns the status. */
async function described(operation: Operation, response: Response): Promise<number> {
  const { status, headers } = response;
  const name = `${operation.method} ${operation.path} ${String(status)}`;
  expect([name, String(status) in operation.responses]).toEqual([name, true]);
  const { headers: expected = {}, content = {} } = resolved(operation.responses[String(status)]);
  for (const [header, { schema, required }] of Object.entries<Json>(expected)) {
    const value = headers.get(header);
    if (value === null) expect([name, header, required]).toEqual([name, header, false]);
    if (value === null) continue;
    const typed = schema.type === 'integer' ? Number(value) : value;
    expect([name, header, value, validatorOf(schema)(typed)]).toEqual([name, header, value, true]);
  }
  const names = Object.keys(expected).map((header) => header.toLowerCase());
  expect([
    name,
    [...headers.keys()].filter((header) => !OF_ANY_SERVER.includes(header) && !names.includes(header)),
  ]).toEqual([name, []]);
  const type = headers.get('content-type')?.split(';')[0] ?? null;
  if (type === 'text/event-stream') {
    await response.body?.cancel();
    return status;
  }
  const text = await response.text();
  if (type === null) expect([name, text, content]).toEqual([name, '', {}]);
  if (type === null) return status;
  expect([name, Object.keys(content)]).toEqual([name, expect.arrayContaining([type])]);
  const validate = validatorOf(content[type].schema);
  validate(type.endsWith('json') ? JSON.parse(text) : text);
  expect([name, text, validate.errors]).toEqual([name, text, null]);
  return status;
}

describe('the document', () => {
  test('is what the script writes from the tables of the router', async () => {
    await expect(node(root, 'scripts/openapi.mjs', '--check')).resolves.toBeDefined();
  });

  test('is valid OpenAPI 3.1, by the official schema', () => {
    const official = addFormats(new Ajv2020({ strict: false, formats: { 'media-range': /^.+\/.+$/ } }));
    const validate = official.compile(read(join(root, META_SCHEMA)));
    validate(API);
    expect(validate.errors).toBeNull();
    expect(validate({ ...API, paths: { x: 7 } })).toBe(false);
  });

  test('has only schemas that are valid, and a name of its own for each operation', () => {
    for (const name of Object.keys(API['components'].schemas)) {
      expect(() => validatorOf({ $ref: `#/components/schemas/${name}` })).not.toThrow();
    }
    const names = OPERATIONS.map(({ path, method }) => API['paths'][path][method].operationId);
    expect(new Set(names).size).toBe(OPERATIONS.length);
  });
});

describe('the router has these routes, and no others', () => {
  const named = (path: string, method: string): boolean => method.toLowerCase() in API['paths'][path];

  test.each(Object.keys(API['paths']))('%s', async (path) => {
    const url = `${origin}/plain${path.replace('{handle}', 'current')}`;
    const headers = { authorization: `Bearer ${String(newPerson()[0])}` };
    const options = await fetch(url, { method: 'OPTIONS', headers });
    expect(options.status).toBe(204);
    const expected = METHODS.filter((method) => named(path, method)).map((method) => method.toUpperCase());
    if (expected.includes('GET')) expected.push('HEAD');
    expect(options.headers.get('allow')?.split(', ').sort()).toEqual(expected.sort());
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']) {
      if (expected.includes(method)) continue;
      expect([path, method, (await fetch(url, { method, headers })).status]).toEqual([path, method, 405]);
    }
  });

  test('and so has the table of docs/reference.md', () => {
    const reference = readFileSync(join(root, 'docs/reference.md'), 'utf8');
    const [, section = ''] = /^## Routes\n(.*?)^```/ms.exec(reference) ?? [];
    const cells = [...section.matchAll(/^\| <a .*?\|/gm)].map(([cell]) => cell);
    const inTable = cells.flatMap((cell) =>
      [...cell.matchAll(/`([A-Z]+) (.*?)`/g)].map(([, method, path]) => `${method} ${path}`),
    );
    const routes = OPERATIONS.map(
      ({ path, method }) => `${method.toUpperCase()} ${path.replace('{handle}', ':handle')}`,
    );
    // The own session is named as well, so that it is found.
    const named = inTable.filter((route) => !route.includes('/current'));
    expect(named.sort()).toEqual(routes.sort());
    for (const route of inTable) expect(routes).toContain(route.replace('/current', '/:handle'));
  });

  test('a HEAD is answered as its GET, without a body', async () => {
    const [token = ''] = newPerson();
    for (const operation of OPERATIONS.filter(({ method }) => method === 'get')) {
      const get = await ask(operation, { token });
      const url = get.url;
      await get.body?.cancel();
      const head = await fetch(url, { method: 'HEAD', headers: { authorization: `Bearer ${token}` } });
      expect([url, head.status, head.headers.get('content-type')]).toEqual([url, 200, get.headers.get('content-type')]);
    }
  });
});

const OPERATION = (name: string): Operation => OPERATIONS.find(({ path, method }) => name === `${method} ${path}`)!;
const LIST = OPERATION('get /');
const GET_SESSION = OPERATION('get /{handle}');

const needsRecentSignIn = ({ responses }: Operation): boolean => responses['401'].$ref.endsWith('Lately');

/** What is asked for is done. */
async function succeeds(operation: Operation): Promise<Response[]> {
  const answer = await ask(operation, bodyFor(operation));
  if (operation !== LIST) return [answer];
  return [answer, await ask(LIST, { headers: HTML }), await ask(LIST, { query: '?limit=1' })];
}

/** How each status comes about, whatever the operation is. */
const ANSWERS: Readonly<Record<string, (operation: Operation) => Promise<Response[]>>> = {
  200: succeeds,
  204: succeeds,
  303: async (operation) => [
    await ask(operation, { site: 'login', token: null, headers: HTML }),
    ...(operation.method === 'post' ? await succeeds(operation) : []),
  ],
  400: async (operation) => {
    if (operation === LIST) return [await ask(LIST, { query: '?cursor=x' })];
    const headers = { 'content-type': 'text/plain' };
    return [
      await ask(operation, { headers, body: '[' }),
      await ask(operation, { headers: { ...HTML, ...headers }, body: '[' }),
    ];
  },
  401: async (operation) => {
    const [token = '', other = ''] = newPerson(2);
    const session = (await (await ask(GET_SESSION, { token: other })).json()) as Json;
    const byOld = { site: 'step-up', token, handle: session['handle'], ...bodyFor(operation) } as const;
    return [
      await ask(operation, { token: null }),
      await ask(operation, { token: 'a.b.c' }),
      await ask(operation, { token: null, headers: HTML }),
      ...(needsRecentSignIn(operation) ? [await ask(operation, byOld)] : []),
    ];
  },
  403: async (operation) => {
    const [first = '', second = ''] = newPerson(2);
    expect((await ask(GET_SESSION, { site: 'limited', token: first })).status).toBe(200);
    const limited = await ask(operation, { site: 'limited', token: second });
    const headers = { cookie: `login_token=${first}`, 'sec-fetch-site': 'cross-site' };
    return operation.method === 'get' ? [limited] : [limited, await ask(operation, { token: null, headers })];
  },
  404: async (operation) => {
    const unknown = { handle: 'A'.repeat(22), ...bodyFor(operation) };
    const html = await ask(operation, { ...unknown, headers: { ...unknown.headers, ...HTML } });
    return [await ask(operation, unknown), html];
  },
  503: async (operation) => {
    const [token = ''] = newPerson();
    store.down();
    return [await ask(operation, { token }), await ask(operation, { token, headers: HTML })];
  },
};

describe.each(OPERATIONS)('$method $path', (operation) => {
  test.each(Object.keys(operation.responses))('%s', async (status) => {
    for (const answer of await ANSWERS[status]!(operation)) {
      expect(await described(operation, answer)).toBe(Number(status));
    }
  });
});

describe('any request', () => {
  const ACCEPTS = [
    'application/json',
    'text/html',
    '*/*',
    'text/event-stream',
    'text/html;q=0.1, */*;q=0.2',
    ';;,',
    '',
  ];
  const TYPES = ['application/json', FORM, 'text/plain', 'multipart/form-data; boundary=x', 'application/x+json', ';'];
  const BODIES = [
    '',
    '{}',
    '[',
    '{"label":"Work"}',
    '{"label":7}',
    'label=Work',
    'label=%ff&label=2',
    '{"__proto__":1}',
  ];
  const LONG = ['x'.repeat(5000), `label=${'y'.repeat(9000)}`, JSON.stringify({ label: 'z'.repeat(100) })];
  const NAMES = [
    'current',
    'A'.repeat(22),
    'others',
    'selected',
    'events',
    'end',
    '%',
    '%00',
    '..',
    '__proto__',
    '%F0%9F%98%80',
    ';',
    '*',
  ];
  const asked = fc.record({
    site: fc.constantFrom('plain', 'login', 'step-up', 'limited'),
    method: fc.constantFrom('GET', 'HEAD', 'POST', 'PATCH', 'DELETE', 'OPTIONS', 'PUT', 'TRACE', 'PROPFIND', 'SEARCH'),
    path: fc.oneof(
      fc.constantFrom(...Object.keys(API['paths'])),
      fc.array(fc.constantFrom(...NAMES), { maxLength: 3 }).map((parts) => `/${parts.join('/')}`),
    ),
    name: fc.constantFrom(...NAMES, 'own', 'ended', 'of another'),
    query: fc.constantFrom(
      '',
      '?',
      '?limit=2',
      '?limit=x',
      '?limit=-1&limit=2',
      '?cursor=x',
      '?handle=',
      '?handle=%',
      '?%=%',
      '?__proto__=1',
    ),
    who: fc.constantFrom('bearer', 'cookie', 'both', 'nobody', 'malformed', 'other', 'ended', 'two cookies'),
    accept: fc.constantFrom(...ACCEPTS),
    type: fc.option(fc.constantFrom(...TYPES), { nil: undefined }),
    encoding: fc.constantFrom(undefined, undefined, 'gzip', 'identity', ''),
    from: fc.constantFrom(undefined, 'same-origin', 'cross-site', 'none', 'x'),
    origin: fc.constantFrom(undefined, 'null', 'https://evil.example', ''),
    mode: fc.constantFrom(undefined, 'navigate', 'cors'),
    body: fc.oneof(fc.constantFrom(...BODIES, ...LONG), fc.string({ unit: 'binary' })),
    isDown: fc.boolean(),
  });

  async function sendOf(
    request: typeof asked extends fc.Arbitrary<infer Value> ? Value : never,
  ): Promise<IncomingMessage & { text: string }> {
    const [token = '', ended = ''] = newPerson(2);
    const [stranger = ''] = newPerson();
    const handleOf = async (of: string): Promise<string> =>
      ((await (await ask(GET_SESSION, { token: of })).json()) as Json)['handle'];
    const names = { own: await handleOf(token), ended: await handleOf(ended), 'of another': await handleOf(stranger) };
    await (await ask(OPERATION('delete /{handle}'), { token, handle: names.ended })).text();
    const tokens: Readonly<Record<string, object>> = {
      bearer: { authorization: `Bearer ${token}` },
      cookie: { cookie: `login_token=${token}` },
      both: { authorization: `Bearer ${token}`, cookie: `login_token=${stranger}` },
      nobody: {},
      malformed: { authorization: 'Bearer a.b' },
      other: { authorization: 'Basic dTpw' },
      ended: { authorization: `Bearer ${ended}` },
      'two cookies': { cookie: `login_token=${token}; login_token=${stranger}` },
    };
    const { site, method, path, name, query, who, accept, type, encoding, from, origin: page, mode, body } = request;
    const headers = {
      ...tokens[who],
      accept,
      'content-type': type,
      'content-encoding': encoding,
      'sec-fetch-site': from,
      'sec-fetch-mode': mode,
      origin: page,
    };
    const sent = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
    const named = Object.hasOwn(names, name) ? names[name as keyof typeof names] : name;
    if (request.isDown) store.down();
    const asking = httpRequest(origin, {
      method,
      path: `/${site}${path.replace('{handle}', named)}${query}`,
      headers: { ...sent, 'content-length': Buffer.byteLength(body) },
      agent: false,
    });
    asking.end(body);
    const [answer] = (await once(asking, 'response')) as [IncomingMessage];
    store.up();
    const isStream = answer.headers['content-type'] === 'text/event-stream' && method !== 'HEAD';
    if (isStream) answer.destroy();
    return Object.assign(answer, { text: isStream ? '' : await text(answer) });
  }

  function isDecodable(path: string): boolean {
    try {
      decodeURIComponent(path);
      return true;
    } catch {
      return false;
    }
  }

  /** The operation that a path and a method name, and the methods that the path has. */
  function operationOf(
    path: string,
    method: string,
  ): { readonly operation: Operation | undefined; readonly methods: readonly string[] } {
    const plain = path.replace(/(.)\/$/, '$1').toLowerCase();
    const exact = OPERATIONS.filter((one) => one.path === plain);
    const parts = plain.split('/').slice(1);
    const matching =
      exact.length > 0
        ? exact
        : OPERATIONS.filter((one) => {
            const wanted = one.path.split('/').slice(1);
            return (
              wanted.length === parts.length &&
              wanted.every((part, index) => (part === '{handle}' ? parts[index] !== '' : part === parts[index]))
            );
          });
    const wanted = method === 'HEAD' ? 'get' : method.toLowerCase();
    return {
      operation: matching.find((one) => one.method === wanted),
      methods: matching.map((one) => one.method.toUpperCase()),
    };
  }

  test('gets an answer that is described, and never a 5xx but 503', async () => {
    await fc.assert(
      fc.asyncProperty(asked, async (request) => {
        const path = request.path.replace('{handle}', NAMES.includes(request.name) ? request.name : 'A'.repeat(22));
        const answer = await sendOf(request);
        const { statusCode: status = 0, headers, text: body } = answer;
        const { operation, methods } = operationOf(path, request.method);
        const seen = { status, type: headers['content-type'], allow: headers.allow };
        expect([500, 501, 502, 504]).not.toContain(status);
        // No route: it is answered as a session that is not found.
        if (!isDecodable(path)) {
          expect([303, 401, 403, 404, 503]).toContain(status);
          return;
        }
        if (operation !== undefined) {
          const response = new Response([204, 304].includes(status) || body === '' ? null : body, {
            status,
            headers: Object.entries(headers).flatMap(([name, value]) =>
              [value ?? []].flat().map((one): [string, string] => [name, one]),
            ),
          });
          if (request.method !== 'HEAD') await described(operation, response);
          else expect([seen, String(status) in operation.responses]).toEqual([seen, true]);
        } else if (methods.length > 0) {
          // The page of a form leads back to the list.
          const expected = request.method === 'OPTIONS' ? 204 : status === 303 && !methods.includes('GET') ? 303 : 405;
          expect(status).toBe(expected);
          const all = methods.includes('GET') ? [...methods, 'HEAD'] : methods;
          if (status !== 303) expect(headers.allow?.split(', ').sort()).toEqual([...all].sort());
        } else expect([400, 404]).toContain(status);
      }),
      { numRuns: 150 },
    );
  });
});

test('one page of a list leads to the next, with the parameters that are described', async () => {
  const tokens = newPerson(3);
  for (const token of tokens) await (await ask(GET_SESSION, { token })).text();
  const [token = ''] = tokens;
  const first = (await (await ask(LIST, { token, query: '?limit=2' })).json()) as Json;
  const second = await ask(LIST, { token, query: `?limit=2&cursor=${String(first['next'])}` });
  expect([first['sessions'].length, ((await second.json()) as Json)['sessions'].length]).toEqual([2, 1]);
});

describe('a generated client', () => {
  const DOCS = 'docs/http-api.md';
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'managed-sessions-openapi-'));
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
    const generator = join(root, 'node_modules/openapi-typescript/bin/cli.js');
    await node(folder, generator, FILE, '-o', 'sessions-api.d.ts');
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('compiles, and signs out a device', async () => {
    const blocks = codeBlocks(DOCS, readFileSync(join(root, DOCS), 'utf8'));
    const block = blocks.find(({ language, code }) => language === 'ts' && code.includes('openapi-fetch'));
    const [phone = '', laptop = ''] = newPerson(2);
    for (const token of [phone, laptop]) await (await ask(GET_SESSION, { token })).text();
    const program = `
      import type { paths } from './sessions-api.js';
      ${block?.code ?? ''}
      const [origin = '', token = ''] = process.argv.slice(2);
      await signOutOthers(origin, token);
    `;
    const wrong = `
      import createClient from 'openapi-fetch';
      import type { paths } from './sessions-api.js';
      const client = createClient<paths, 'application/json' | 'application/problem+json'>();
      // @ts-expect-error there is no such route
      await client.GET('/other');
      // @ts-expect-error the label is a string or null
      await client.PATCH('/{handle}', { params: { path: { handle: 'current' } }, body: { label: 7 } });
      const { data, error } = await client.GET('/{handle}', { params: { path: { handle: 'current' } } });
      // @ts-expect-error a session has no such member
      data?.unheardOf;
      const code: 'session_revoked' | undefined = error?.code === 'session_revoked' ? error.code : undefined;
      // @ts-expect-error no such code
      const isMisspelled = error?.code === 'session_revokd';
      export { code, isMisspelled };
    `;
    await writeFile(join(folder, 'program.mts'), program);
    await writeFile(join(folder, 'wrong.mts'), wrong);
    const compilerOptions = { strict: true, module: 'nodenext', target: 'es2022', types: ['node'], noEmit: true };
    await writeFile(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: { ...compilerOptions, skipLibCheck: true } }),
    );
    await expect(node(folder, join(root, 'node_modules/typescript/bin/tsc'), '-p', '.')).resolves.toMatchObject({
      stdout: '',
    });

    const options = { module: ModuleKind.ESNext, target: ScriptTarget.ES2022 };
    await writeFile(join(folder, 'program.mjs'), transpileModule(program, { compilerOptions: options }).outputText);
    await node(folder, 'program.mjs', `${origin}/plain`, laptop);
    const ended = await ask(GET_SESSION, { token: phone });
    expect([ended.status, await ended.json()]).toEqual([401, expect.objectContaining({ code: 'session_revoked' })]);
    expect((await ask(GET_SESSION, { token: laptop })).status).toBe(200);
  });
});
