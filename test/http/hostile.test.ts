import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import cookieParser from 'cookie-parser';
import fc from 'fast-check';
import { describeEachFramework } from '../support/frameworks.js';
import { makeSite, showLogin, tokenOf } from './site.js';

const TOKEN = tokenOf('s1');
const [, , SIGNATURE = ''] = TOKEN.split('.');

const METHODS = ['GET', 'POST', 'PATCH', 'DELETE', 'PUT', 'HEAD', 'OPTIONS', 'PROPFIND'];
const PATHS = [
  '/',
  '/logout',
  '/account',
  '/account/',
  '/account/current',
  '/account/others',
  '/account/end',
  '/account/current/label',
];
const TARGETS = [
  '/%',
  '/account/%',
  '/account//',
  '//',
  '//evil.example/account',
  '/account/?cursor=%ff&limit=%',
  '/account?=&&==',
  '*',
];
const NAMES = [
  'Authorization',
  'Cookie',
  'Origin',
  'Sec-Fetch-Site',
  'Accept',
  'Accept-Language',
  'Content-Type',
  'Content-Encoding',
  'User-Agent',
  'Sec-CH-UA',
  'X-Forwarded-For',
  'X-Forwarded-Host',
];
const VALUES = [
  '',
  ' ',
  'Bearer',
  `Bearer ${TOKEN}`,
  `bearer\t${TOKEN}`,
  `Bearer ${TOKEN},Bearer ${TOKEN}`,
  `Bearer ${TOKEN.slice(0, -1)}`,
  'Bearer .'.padEnd(9000, '.'),
  `login_token=${TOKEN}`,
  `login_token=s:${TOKEN}.x`,
  'login_token=j:{"a":1}',
  'login_token=%E0%A4%A; __proto__=1; =; ;',
  'null',
  'https://[::1',
  'text/html;q=0.1, */*;q=-1;;,,',
  'application/json; charset="',
  'application/x-www-form-urlencoded',
  'x-unknown-language-'.repeat(20),
  '"><script>alert(1)</script>',
  '\u00ff\u00fe\u0080',
  'unknown, ::ffff:1.2.3.4.5, <>',
];
const BODIES = ['', '{', '{"label":"x"}', 'label=%ff', '\u0000', 'x'.repeat(6000)];

const request = fc.record({
  method: fc.constantFrom(...METHODS),
  target: fc.oneof(fc.constantFrom(...PATHS), fc.constantFrom(...TARGETS)),
  headers: fc.array(
    fc.tuple(fc.constantFrom(...NAMES), fc.oneof(fc.constantFrom(...VALUES), fc.string({ unit: latin1() }))),
    { maxLength: 6 },
  ),
  body: fc.constantFrom(...BODIES),
});

/** What a header may carry: everything of Latin-1 but control characters. */
function latin1(): fc.Arbitrary<string> {
  return fc
    .integer({ min: 0x20, max: 0xff })
    .filter((code) => code < 0x7f || code > 0x9f)
    .map((code) => String.fromCharCode(code));
}

describeEachFramework((_name, makeApp) => {
  test('nothing that is sent makes a 5xx, a hang or an unhandled rejection, or brings the token back', async () => {
    const site = makeSite({ trustProxy: true, loginUrl: '/login', router: { locate: () => 'here' } });
    const app = makeApp();
    app.trustProxy(true);
    app.mount('/', cookieParser('cookie-secret') as never, site.login.optional());
    app.mount('/logout', site.login.logout());
    app.mount('/account', site.router());
    app.mount('/', site.login.required(), showLogin);
    const server = createServer(app.listener).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const unhandled: unknown[] = [];
    const note = (error: unknown): number => unhandled.push(error);
    process.on('unhandledRejection', note);

    async function send({
      method,
      target,
      headers,
      body,
    }: typeof request extends fc.Arbitrary<infer Sent> ? Sent : never): Promise<string> {
      const lines = headers.map(([header, value]) => `${header}: ${value}\r\n`).join('');
      const socket = connect(port, '127.0.0.1').setEncoding('latin1');
      socket.write(
        `${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\n${lines}\r\n${body}`,
        'latin1',
      );
      let answer = '';
      for await (const chunk of socket) answer += String(chunk);
      return answer;
    }

    try {
      await fc.assert(
        fc.asyncProperty(request, async (sent) => {
          const answer = await send(sent);
          expect(answer).toMatch(/^HTTP\/1\.1 [234]\d\d /);
          expect(answer).not.toContain(SIGNATURE);
        }),
        { numRuns: 400, seed: 20_260_301 },
      );
      expect(unhandled).toEqual([]);
    } finally {
      process.off('unhandledRejection', note);
      server.close();
      await once(server, 'close');
      await site.close();
    }
  });
});
