import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { managedSessions } from '../../lib/index.js';
import { createTestIssuer } from '../../lib/testing/index.js';
import { describeEachFramework } from '../support/frameworks.js';
import {
  compileTrust,
  createClientAddress,
  createTrustIn,
  type RecordIp,
  type TrustProxy,
} from '../../lib/http/client-address.js';
import { RequestSighting } from '../../lib/http/request.js';
import { request, type Sent } from './sent.js';

describe('client address', () => {
  function addressOf(sent: Sent, trust?: TrustProxy, record: RecordIp = 'full'): string | null {
    return createClientAddress(compileTrust(trust), record)(request(sent));
  }
  const behind = (forwarded: string, address = '127.0.0.1'): Sent => ({
    address,
    headers: { 'x-forwarded-for': forwarded },
  });

  test.each<[string, Sent, TrustProxy | undefined, string | null]>([
    ['the socket', { address: '192.0.2.1' }, undefined, '192.0.2.1'],
    ['no proxy is trusted by default', behind('192.0.2.1'), undefined, '127.0.0.1'],
    ['a trusted proxy', behind('192.0.2.1'), 'loopback', '192.0.2.1'],
    ['all are trusted', behind('192.0.2.1, 192.0.2.2'), true, '192.0.2.1'],
    ['one hop', behind('192.0.2.1, 192.0.2.2'), 1, '192.0.2.2'],
    ['a list', behind('192.0.2.1, 10.0.0.9'), ['loopback', '10.0.0.0/8'], '192.0.2.1'],
    ['a function', behind('192.0.2.1, 10.0.0.9'), (_address, hop) => hop === 0, '10.0.0.9'],
    ['IPv4 within IPv6', { address: '::ffff:192.0.2.1' }, undefined, '192.0.2.1'],
    ['IPv4 within IPv6, in hexadecimal', behind('::FFFF:c000:0201'), true, '192.0.2.1'],
    ['IPv6', { address: '2001:db8::1' }, undefined, '2001:db8::1'],
    ['IPv6 with a zone', { address: 'fe80::1%eth0' }, undefined, 'fe80::1'],
    ['rubbish', behind('<script>'), true, null],
    ['an address with a port', behind('192.0.2.1:80'), true, '192.0.2.1'],
    ['an empty header', behind(''), true, '127.0.0.1'],
    ['a socket that is gone', {}, 'loopback', null],
    ["Express's own", { address: '127.0.0.1', members: { ip: '192.0.2.7' } }, undefined, '192.0.2.7'],
    ['a Unix socket, behind a proxy', { headers: { 'x-forwarded-for': '192.0.2.1' } }, 1, '192.0.2.1'],
    ['a Unix socket, all are trusted', { headers: { 'x-forwarded-for': '192.0.2.1, 192.0.2.2' } }, true, '192.0.2.1'],
    ['a Unix socket, none is trusted', { headers: { 'x-forwarded-for': '192.0.2.1' } }, undefined, null],
    ['a Unix socket, addresses', { headers: { 'x-forwarded-for': '192.0.2.1' } }, 'loopback', null],
    [
      'a Unix socket, a function',
      { headers: { 'x-forwarded-for': '192.0.2.1' } },
      (address) => address.length === 0,
      '192.0.2.1',
    ],
    ['a tab before the comma', behind('192.0.2.1\t, 127.0.0.1'), 'loopback', '192.0.2.1'],
    ['IPv6 with zeros, in upper case', behind('2001:0DB8:0:0:0:0:0:7'), true, '2001:db8::7'],
    ['IPv4 within IPv6, with zeros', behind('0:0:0:0:0:ffff:192.0.2.1'), true, '192.0.2.1'],
    ["Express's own, of a socket that is gone", { members: { ip: undefined } }, undefined, null],
  ])('%s', (_name, sent, trust, expected) => {
    expect(addressOf(sent, trust)).toBe(expected);
  });

  test.each([
    ['192.0.2.129', '192.0.2.0'],
    ['::ffff:192.0.2.129', '192.0.2.0'],
    ['2001:db8:abcd:1234::1', '2001:db8:abcd::'],
    ['2001:db8::1', '2001:db8::'],
    ['2001:0db8:0000:1234:5678:9abc:def0:1234', '2001:db8::'],
    ['2001:0:1::', '2001:0:1::'],
    ['::1', '::'],
    ['1::2:3:4:5:6:7', '1:0:2::'],
    ['64:ff9b::192.0.2.1', '64:ff9b::'],
    ['0:0:0:0:0:FFFF:c000:0281', '192.0.2.0'],
    ['fe80::1%eth0', 'fe80::'],
  ])('%s truncated is %s', (address, expected) => {
    expect(addressOf({ address }, undefined, 'truncated')).toBe(expected);
    expect(addressOf({ address }, undefined, 'none')).toBeNull();
  });

  test.each([['nonsense'], ['300.1.1.1'], [-1], [1.5], [NaN], [null], [{}], [[7]]])(
    'trustProxy: %j is refused',
    (trust) => {
      expect(() => compileTrust(trust as TrustProxy)).toThrow(/^trustProxy must be/);
    },
  );

  test.each<[string, unknown, boolean]>([
    ['true', true, true],
    ['1', 1, false],
    ['a promise', Promise.resolve(true), false],
  ])("a trust function of Express's own that returns %s", (_what, answer, expected) => {
    const app = Object.assign(() => undefined, { get: () => () => answer, set: () => undefined });
    expect(createTrustIn(() => true)(request({ members: { app } }))('192.0.2.1', 0)).toBe(expected);
  });

  test.each<[unknown, boolean]>([
    [true, true],
    [1, false],
    ['yes', false],
  ])('a function as trustProxy that returns %j', (answer, expected) => {
    expect(compileTrust(() => answer as boolean)('192.0.2.1', 0)).toBe(expected);
  });

  test('is read once, and kept for when the socket is gone', () => {
    let reads = 0;
    const sighting = new RequestSighting(
      request({}),
      7,
      () => {
        reads += 1;
        return { ip: null, userAgent: 'Test/1.0', byProgram: false };
      },
      true,
    );
    expect(reads).toBe(0);
    sighting.settle();
    expect([sighting.at, sighting.ip, sighting.ip, sighting.userAgent, reads]).toEqual([7, null, null, 'Test/1.0', 1]);
  });
});

describeEachFramework((name, makeApp) => {
  test.each<[string, string | null]>([
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:51234', '192.0.2.1'],
    ['', null],
  ])('a proxy on a Unix socket says %j', async (forwarded, expected) => {
    const issuer = await createTestIssuer();
    const sessions = managedSessions({ issuer: { issuer: issuer.issuer, jwksUri: issuer.jwksUri }, trustProxy: 1 });
    const app = makeApp();
    app.trustProxy(1);
    app.mount('/', sessions, (_req: unknown, res: ServerResponse) => void res.end());
    const socketPath = path.join(tmpdir(), `client-address-${name.replace(' ', '')}-${process.pid}.sock`);
    const server = createServer(app.listener).listen(socketPath);
    await once(server, 'listening');
    try {
      const headers = { authorization: `Bearer ${issuer.issue()}`, 'x-forwarded-for': forwarded };
      const [res] = (await once(httpRequest({ socketPath, headers, agent: false }).end(), 'response')) as [
        IncomingMessage,
      ];
      res.resume();
      await once(res, 'end');
      expect(res.statusCode).toBe(200);
      expect((await sessions.list('user-1')).sessions).toMatchObject([{ ip: expected }]);
    } finally {
      server.close();
      await sessions.close();
      await issuer.close();
    }
  });
});
