// @ts-check
/**
 * A sample `locate`: from an address to a place in words. These ranges are reserved for documentation (RFC 5737, RFC 3849), so
 * nobody has such an address but the demo's own devices. A real site asks a database.
 */

import { BlockList, isIP } from 'node:net';

/** @type {readonly (readonly [network: string, prefix: number, place: string])[]} */
const NETWORKS = [
  ['192.0.2.0', 24, 'Oslo, Norway'],
  ['198.51.100.0', 24, 'Osaka, Japan'],
  ['203.0.113.0', 24, 'Lisbon, Portugal'],
  ['2001:db8::', 32, 'Nairobi, Kenya'],
];

const PLACES = NETWORKS.map(([network, prefix, place]) => {
  const addresses = new BlockList();
  addresses.addSubnet(network, prefix, familyOf(network));
  return { addresses, place };
});

/** @param {string} ip @returns {string | null} null if the place is not known */
export function locate(ip) {
  return PLACES.find(({ addresses }) => addresses.check(ip, familyOf(ip)))?.place ?? null;
}

/** @param {string} address */
function familyOf(address) {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}
