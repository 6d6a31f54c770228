/** Addresses that say nothing to people: those of the machine itself, and of a network of one's own. */

import { BlockList, isIP } from 'node:net';

const OWN = new BlockList();
for (const [network, prefix] of [
  ['127.0.0.0', 8],
  // RFC 1918
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  // RFC 3927 and RFC 6598: link-local, and behind the address translation of a provider
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
] as const) {
  OWN.addSubnet(network, prefix, 'ipv4');
}
OWN.addAddress('::1', 'ipv6');
// What `recordIp: 'truncated'` leaves of it.
OWN.addAddress('::', 'ipv6');
// RFC 4291 and RFC 4193: link-local and unique-local
OWN.addSubnet('fe80::', 10, 'ipv6');
OWN.addSubnet('fc00::', 7, 'ipv6');

/** Whether an address is loopback, private, link-local, unique-local or shared (RFC 6598); also as IPv4 within IPv6. */
export function isThisNetwork(ip: string): boolean {
  const [address = ''] = ip.split('%');
  const family = isIP(address);
  return family !== 0 && OWN.check(address, family === 4 ? 'ipv4' : 'ipv6');
}
