import { compileTrust, createClientAddress, type RecordIp, type TrustProxy } from '../../lib/http/client-address.js';
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

  test('is read once, and kept for when the socket is gone', () => {
    let reads = 0;
    const sighting = new RequestSighting(request({}), 7, () => {
      reads += 1;
      return { ip: null, userAgent: 'Test/1.0', byProgram: false };
    });
    expect(reads).toBe(0);
    sighting.settle();
    expect([sighting.at, sighting.ip, sighting.ip, sighting.userAgent, reads]).toEqual([7, null, null, 'Test/1.0', 1]);
  });
});
