/** The programs of docs/frameworks.md, as they stand there: all in one process, on one real Redis. */

import { io, type Socket } from 'socket.io-client';
import { headingsNotRun, runGuide, tokenFor, type GuideBlock, type RunningGuide } from '../support/guide.js';
import { eventually, startRedis, type TestRedis } from '../support/redis.js';

const DOC = 'docs/frameworks.md';

interface Framework extends GuideBlock {
  /** Where the page of sessions is; null: the program has none. */
  readonly page?: null;
  /** Where the answer with the user's id is. Default `/me`. */
  readonly path?: string;
  /** Whether a refusal is the application's own page, without the headers of the error. */
  readonly isPage?: true;
  /** Whether the body alone says that there is no login. */
  readonly isInBody?: true;
}

const FRAMEWORKS = {
  'Express 5': { heading: 'Express 4 and 5' },
  'Express 4': { heading: 'Express 4 and 5', replace: ["'express'", "'express4'"] },
  Connect: { heading: 'Connect' },
  NestJS: { heading: 'NestJS' },
  Fastify: { heading: 'Fastify' },
  Koa: { heading: 'Koa' },
  Hono: { heading: 'Hono' },
  'Next.js': { heading: 'Next.js with a custom server', isPage: true },
  tRPC: { heading: 'tRPC', path: '/trpc/me', page: null },
  GraphQL: { heading: 'GraphQL', path: '/graphql?query={me{id}}', page: null, isInBody: true },
  'socket.io': { heading: 'socket.io', page: null },
} as const satisfies Record<string, Framework>;
type Name = keyof typeof FRAMEWORKS;

const overHttp = (Object.keys(FRAMEWORKS) as Name[]).filter((name) => name !== 'socket.io');
const withPage = overHttp.filter((name) => !('page' in FRAMEWORKS[name]));

/** Next itself runs in `npm run test:consumers`. Here a page that trusts the header stands in its place. */
const NEXT = `
export default () => ({
  prepare: async () => undefined,
  getRequestHandler: () => async (req, res) => {
    const id = req.headers['x-user-id'];
    res.statusCode = id === undefined ? 401 : 200;
    res.setHeader('Content-Type', 'application/json');
    res.end(JSON.stringify({ id }));
  },
});`;

let redis: TestRedis;
let guide: RunningGuide;
let sids = 0;

beforeAll(async () => {
  redis = await startRedis();
  guide = await runGuide(DOC, FRAMEWORKS, { REDIS_URL: redis.url }, { next: NEXT });
});

afterAll(async () => {
  await guide.stop();
  await redis.stop();
});

it('has no program that is not run', () => {
  expect(headingsNotRun(DOC, Object.values(FRAMEWORKS))).toEqual([]);
});

const newToken = (): string => tokenFor({ sid: `s${++sids}` });

interface Request extends Omit<RequestInit, 'headers'> {
  readonly headers?: Readonly<Record<string, string>>;
}

async function ask(name: Name, token?: string, path?: string, init: Request = {}): Promise<Response> {
  const framework: Framework = FRAMEWORKS[name];
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const url = `${guide.urls[name]}${path ?? framework.path ?? '/me'}`;
  return fetch(url, { ...init, headers: { ...authorization, ...init.headers } });
}

async function expectRefused(response: Response, status: number, name: Name): Promise<void> {
  const body = await response.text();
  if ('isInBody' in FRAMEWORKS[name] && status === 401) {
    const error = expect.objectContaining({ extensions: { code: 'UNAUTHENTICATED', reason: expect.any(String) } });
    expect(JSON.parse(body)).toEqual({ data: { me: null }, errors: [error] });
    return;
  }
  expect([response.status, body]).toEqual([status, expect.not.stringMatching(/\n\s+at |node_modules|file:/)]);
  if ('isPage' in FRAMEWORKS[name] && status === 401) return;
  const header = status === 503 ? 'retry-after' : 'www-authenticate';
  expect(response.headers.get(header)).toMatch(status === 503 ? /^\d+$/ : /^Bearer /);
}

/** The page of any of the programs ends a session for all of them: they share the store. */
async function end(token: string, name: Name = 'Express 5'): Promise<void> {
  const ended = await ask(name, token, '/account/sessions/current', { method: 'DELETE' });
  expect(ended.status).toBe(204);
}

describe.each(overHttp)('%s', (name) => {
  it('lets in who is signed in', async () => {
    const response = await ask(name, newToken());

    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('"id":"ada"')]);
  });

  it('refuses a request without a token', async () => expectRefused(await ask(name), 401, name));

  it('refuses a session that has ended', async () => {
    const token = newToken();
    expect((await ask(name, token)).status).toBe(200);
    await end(token);

    await expectRefused(await ask(name, token), 401, name);
  });

  it('believes nobody who says who they are', async () => {
    const response = await ask(name, undefined, undefined, { headers: { 'x-user-id': 'admin' } });

    await expectRefused(response, 401, name);
  });
});

describe.each(withPage)('the page under %s', (name) => {
  it('is shown, and ends sessions', async () => {
    const token = newToken();
    const page = await ask(name, token, '/account/sessions', { headers: { accept: 'text/html' } });
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('<html')]);

    await end(token, name);
    await expectRefused(await ask(name, token), 401, name);
  });

  it('reads the bodies of its forms', async () => {
    const [token, other] = [newToken(), newToken()];
    expect((await ask(name, other)).status).toBe(200);
    const current = async (): Promise<{ handle: string; label: string | null }> =>
      (await ask(name, other, '/account/sessions/current')).json() as Promise<{ handle: string; label: string | null }>;
    const { handle } = await current();
    const body = new URLSearchParams({ label: 'Kitchen' });
    const path = `/account/sessions/${handle}/label`;
    const renamed = await ask(name, token, path, { method: 'POST', body, redirect: 'manual' });

    expect(renamed.status).toBe(303);
    expect((await current()).label).toBe('Kitchen');
  });

  it('signs out', async () => {
    const token = newToken();
    expect((await ask(name, token, '/logout', { method: 'POST' })).status).toBe(204);

    await expectRefused(await ask(name, token), 401, name);
  });
});

describe('what other sites send', () => {
  const CROSS_SITE = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' };

  it.each(['Koa', 'Hono'] as const)('is refused under %s', async (name) => {
    const headers = { ...CROSS_SITE, cookie: `login_token=${newToken()}` };

    expect((await ask(name, undefined, undefined, { method: 'POST', headers })).status).toBe(403);
  });

  it('has no user at a Server Action of Next.js', async () => {
    const cookie = `login_token=${newToken()}`;
    const act = async (headers: Record<string, string>): Promise<number> =>
      (await ask('Next.js', undefined, undefined, { method: 'POST', headers: { cookie, ...headers } })).status;

    expect([await act(CROSS_SITE), await act({ 'sec-fetch-site': 'same-origin' })]).toEqual([401, 200]);
  });
});

describe('GraphQL', () => {
  interface Answer {
    readonly data: unknown;
    readonly errors?: readonly { readonly extensions: unknown }[];
  }

  async function post(headers: Record<string, string>, query: string): Promise<Answer> {
    const body = JSON.stringify({ query });
    const init = { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } };
    return (await ask('GraphQL', undefined, '/graphql', init)).json() as Promise<Answer>;
  }

  it('answers fields that need no login', async () => {
    expect(await post({}, '{ greeting }')).toEqual({ data: { greeting: 'Hello' } });
  });

  it('knows nobody in what another site sent', async () => {
    const cookie = `login_token=${newToken()}`;
    const own = await post({ cookie, 'sec-fetch-site': 'same-origin' }, '{ me { id } }');
    const other = await post({ cookie, 'sec-fetch-site': 'cross-site' }, '{ me { id } }');

    expect(own).toEqual({ data: { me: { id: 'ada' } } });
    expect(other.errors?.[0]?.extensions).toEqual({ code: 'FORBIDDEN', reason: 'cross_site' });
  });
});

describe('socket.io', () => {
  const sockets: Socket[] = [];

  function connect(token?: string, transport: 'polling' | 'websocket' = 'websocket', more = {}): Socket {
    const extraHeaders = { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...more };
    const options = { transports: [transport], extraHeaders, forceNew: true, reconnection: false };
    const socket = io(guide.urls['socket.io'] ?? '', options);
    sockets.push(socket);
    return socket;
  }

  async function refusalOf(socket: Socket): Promise<unknown> {
    const error = await new Promise<Error & { data?: { code: string } }>((resolve, reject) => {
      socket.on('connect_error', resolve);
      socket.on('connect', () => reject(new Error('It was let in')));
    });
    return error.data?.code;
  }

  const heard = (socket: Socket, event: string): Promise<unknown> =>
    new Promise((resolve) => void socket.once(event, resolve));

  afterAll(() => sockets.forEach((socket) => socket.disconnect()));

  it.each(['polling', 'websocket'] as const)('ends a connection by %s with its session', async (transport) => {
    const token = newToken();
    const socket = connect(token, transport);
    expect(await heard(socket, 'hello')).toBe('ada');
    const gone = heard(socket, 'disconnect');
    await end(token);

    expect(await gone).toBe('io server disconnect');
    expect(await refusalOf(connect(token, transport))).toBe('session_revoked');
  });

  it('refuses who is not signed in', async () => expect(await refusalOf(connect())).toBe('no_token'));

  it('refuses a page of another site that has the cookie', async () => {
    const headers = { cookie: `login_token=${newToken()}`, origin: 'https://evil.example' };
    expect(await refusalOf(connect(undefined, 'websocket', headers))).toBe('cross_site');
  });
});

describe('while Redis is away', () => {
  beforeAll(() => redis.kill());

  it.each(overHttp)('%s says so', async (name) => {
    const token = newToken();
    const response = await eventually('the loss is noticed', async () => {
      const answer = await ask(name, token);
      return answer.status !== 200 && answer;
    });

    await expectRefused(response, 503, name);
  });

  it('socket.io says so', async () => {
    const socket = io(guide.urls['socket.io'] ?? '', {
      transports: ['websocket'],
      extraHeaders: { authorization: `Bearer ${newToken()}` },
      reconnection: false,
    });
    const error = await new Promise<Error & { data?: { code: string } }>((resolve) =>
      socket.on('connect_error', resolve),
    );
    expect(error.data?.code).toBe('store_unavailable');
    socket.disconnect();
  });
});
