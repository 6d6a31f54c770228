/** docs/proxies.md: its programs, as they stand there, behind a proxy that sends what the proxies named there send. */

import { once } from 'node:events';
import { createServer, request, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { headingsNotRun, runGuide, tokenFor, type RunningGuide } from '../support/guide.js';

const DOC = 'docs/proxies.md';
const SITE = 'shop.example.com';

const PROGRAMS = {
  trusting: { heading: 'Which proxies to trust' },
  // The second block under NGINX has one option more.
  naming: { heading: 'Which proxies to trust', replace: ['issuer: {', `origins: ['https://${SITE}'], issuer: {`] },
  Cloudflare: { heading: 'Cloudflare' },
  cors: { heading: 'A preflight comes without a login' },
} as const;

let guide: RunningGuide;
let sids = 0;
const proxies: Server[] = [];

beforeAll(async () => {
  guide = await runGuide(DOC, PROGRAMS, {});
});

afterAll(async () => {
  for (const proxy of proxies) proxy.close();
  await guide.stop();
});

// That is one option, which is run as `naming`.
it('has no program that is not run', () => {
  expect(headingsNotRun(DOC, Object.values(PROGRAMS))).toEqual(['NGINX']);
});

type Headers = Readonly<Record<string, string>>;
interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Unlike `fetch`, it sends any `Host`. */
async function send(url: string, headers: Headers, method = 'GET'): Promise<Answer> {
  const sent = request(url, { method, headers, agent: false }).end();
  const [response] = await once(sent, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() };
}

/** `set` says what it changes. Like NGINX, it has a name for the application: `app:3000`. */
async function startProxy(app: keyof typeof PROGRAMS, set: (sent: IncomingHttpHeaders) => Headers): Promise<string> {
  const proxy = createServer((req, res) => {
    const client = '203.0.113.7';
    const added = { 'x-forwarded-for': client, 'x-forwarded-proto': 'https', ...set(req.headers) };
    const { method, url } = req;
    const onward = request(`${guide.urls[app]}${url}`, { method, headers: { ...req.headers, ...added } });
    onward.on('response', (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(res);
    });
    req.pipe(onward);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  proxies.push(proxy);
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

const newCookie = (): string => `login_token=${tokenFor({ sid: `s${++sids}` })}`;
const nameOnly = (host = ''): string => host.replace(/:\d+$/, '');

describe('a form of the site itself, from a browser that sends Origin only', () => {
  it.each([
    ['NGINX, by default', 'trusting', SITE, () => ({ host: 'app:3000' }), 403],
    ['NGINX, with $http_host', 'trusting', SITE, () => ({}), 200],
    ['NGINX, with $http_host, on a port', 'trusting', `${SITE}:8443`, () => ({}), 200],
    ['NGINX, with $host, on a port', 'trusting', `${SITE}:8443`, ({ host }) => ({ host: nameOnly(host) }), 403],
    ['NGINX, by default, to an application that names its origin', 'naming', SITE, () => ({ host: 'app:3000' }), 200],
    [
      'Apache, or Azure Front Door',
      'trusting',
      SITE,
      ({ host = '' }) => ({ host: 'app:3000', 'x-forwarded-host': host }),
      200,
    ],
  ] as const satisfies [string, keyof typeof PROGRAMS, string, Parameters<typeof startProxy>[1], number][])(
    '%s',
    async (_name, app, host, set, status) => {
      const url = await startProxy(app, set);

      const headers = { host, origin: `https://${host}`, cookie: newCookie() };

      expect((await send(`${url}/orders`, headers, 'POST')).status).toBe(status);
    },
  );

  it('passes whatever Host is, if the browser says that it comes from the same origin', async () => {
    const url = await startProxy('trusting', () => ({ host: 'app:3000' }));
    const headers = { host: SITE, origin: `https://${SITE}`, cookie: newCookie(), 'sec-fetch-site': 'same-origin' };

    expect((await send(`${url}/orders`, headers, 'POST')).status).toBe(200);
  });

  it('is refused from another site, whatever the proxy does', async () => {
    for (const set of [() => ({}), () => ({ host: 'app:3000', 'x-forwarded-host': SITE })]) {
      const url = await startProxy('naming', set);
      const headers = { host: SITE, origin: 'https://evil.example', cookie: newCookie() };

      expect((await send(`${url}/orders`, headers, 'POST')).status).toBe(403);
    }
  });
});

describe('the address that is recorded', () => {
  async function recorded(app: 'trusting' | 'Cloudflare', forwarded: string): Promise<string> {
    const url = await startProxy(app, () => ({ 'x-forwarded-for': forwarded }));
    const { body } = await send(`${url}/account/sessions/current`, { host: SITE, cookie: newCookie() });
    return JSON.parse(body).ip;
  }

  it.each([
    ['NGINX', 'trusting', '6.6.6.6, 203.0.113.7', '203.0.113.7'],
    ['Azure App Service', 'trusting', '203.0.113.7:51234', '203.0.113.7'],
    ['Azure App Service, by IPv6', 'trusting', '[2001:db8::7]:51234', '2001:db8::7'],
    ['Azure Application Gateway in the same network', 'trusting', '203.0.113.7:51234, 10.0.0.4:8080', '203.0.113.7'],
    ['Cloudflare, and NGINX', 'Cloudflare', '6.6.6.6, 203.0.113.7, 173.245.48.5', '203.0.113.7'],
    ['cloudflared', 'Cloudflare', '6.6.6.6, 203.0.113.7', '203.0.113.7'],
    ['NGINX, reached without Cloudflare', 'Cloudflare', '203.0.113.7, 198.51.100.9', '198.51.100.9'],
  ] as const)('%s', async (_name, app, forwarded, address) => {
    expect(await recorded(app, forwarded)).toBe(address);
  });
});

describe('a page of another origin', () => {
  const PAGE = 'https://app.example.com';
  const ask = (headers: Headers, method = 'POST'): Promise<Answer> =>
    send(`${guide.urls['cors']}/api/orders`, { 'sec-fetch-site': 'same-site', ...headers }, method);
  const preflight = (origin: string): Promise<Answer> =>
    ask(
      { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
      'OPTIONS',
    );

  it('gets an answer to its preflight without a login', async () => {
    const { status, headers } = await preflight(PAGE);

    expect([status, headers['access-control-allow-origin'], headers['access-control-allow-credentials']]).toEqual([
      204,
      PAGE,
      'true',
    ]);
    expect(headers['access-control-allow-headers']).toBe('authorization');
  });

  it('sends changing requests with the cookie, and reads refusals', async () => {
    const done = await ask({ origin: PAGE, cookie: newCookie() });
    expect([done.status, done.headers['access-control-allow-origin']]).toEqual([200, PAGE]);

    const refused = await ask({ origin: PAGE });
    expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([401, PAGE]);
    expect(refused.headers['access-control-expose-headers']).toBe('WWW-Authenticate,Retry-After');
  });

  it('may do nothing if it is not in the list', async () => {
    expect((await preflight('https://evil.example')).headers['access-control-allow-origin']).toBeUndefined();
    const forged = await ask({ origin: 'https://blog.example.com', cookie: newCookie() });

    expect([forged.status, forged.headers['access-control-allow-origin']]).toEqual([403, undefined]);
  });
});
