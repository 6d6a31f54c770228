/** The client's address: which proxies are trusted to tell it, and how much of it is recorded. */

import { isIP } from 'node:net';
import proxyAddr from 'proxy-addr';
import { kindOf } from '../core/check.js';
import type { AppRequest } from './request.js';

/** Decides whether a proxy is trusted, by its address and by how many hops it is away. */
export type TrustFunction = (address: string, hop: number) => boolean;

/** As Express's `trust proxy`: all, none, a number of hops, addresses or subnets, or a function. */
export type TrustProxy = boolean | number | string | readonly string[] | TrustFunction;

/** Default: no proxy is trusted. Throws a `TypeError` if the option is invalid. */
export function compileTrust(trust: TrustProxy = false): TrustFunction {
  if (typeof trust === 'function') return trust;
  if (typeof trust === 'boolean') return () => trust;
  if (typeof trust === 'number' && Number.isInteger(trust) && trust >= 0) return (_address, hop) => hop < trust;
  const addresses: unknown = typeof trust === 'string' ? trust.split(',') : trust;
  try {
    if (isStrings(addresses)) return proxyAddr.compile(addresses.map((address) => address.trim()));
  } catch {
    // The error below does not repeat the value, as proxy-addr's own would.
  }
  throw new TypeError(
    `trustProxy must be true, false, a number of hops, a function, or addresses such as 'loopback, 10.0.0.0/8', got ${kindOf(trust)}`,
  );
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((member) => typeof member === 'string');
}

/** How much of an address is recorded: all of it, its /24 or /48, or nothing. */
export type RecordIp = 'full' | 'truncated' | 'none';

/** The address to record for a request; null if there is none. */
export type ClientAddress = (req: AppRequest) => string | null;

/**
 * Express's `req.ip` if there is one (by its own `trust proxy` setting), or else the address by `trust`. Null for anything
 * but an IP address. IPv4 within IPv6 is written as IPv4.
 */
export function createClientAddress(trust: TrustFunction, record: RecordIp): ClientAddress {
  if (record === 'none') return () => null;
  return function clientAddress(req) {
    return recordedAddress('ip' in req ? req.ip : proxyAddr(req, trust), record);
  };
}

/** What is recorded of an address; null for anything but an IP address. */
export function recordedAddress(found: unknown, record: RecordIp): string | null {
  if (record === 'none' || typeof found !== 'string') return null;
  const address = normalAddress(found);
  return address === null || record === 'full' ? address : truncated(address);
}

const IPV4_WITHIN = /^::ffff:(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i;

function normalAddress(text: string): string | null {
  const version = isIP(text);
  if (version === 0) return null;
  if (version === 4) return text;
  const address = text.split('%', 1)[0] ?? text;
  const within = IPV4_WITHIN.exec(address);
  if (within === null) return address;
  if (within[1] !== undefined) return within[1];
  return [within[2], within[3]].flatMap((group = '') => bytesOf(parseInt(group, 16))).join('.');
}

function bytesOf(group: number): [number, number] {
  return [group >> 8, group & 0xff];
}

function truncated(address: string): string {
  if (isIP(address) === 4) return address.replace(/\d+$/, '0');
  const [head = '', tail] = address.split('::');
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - before.length - after.length }, () => 0);
  const network = [...before, ...zeros, ...after].slice(0, 3);
  while (network.at(-1) === 0) network.pop();
  return `${network.map((group) => group.toString(16)).join(':')}::`;
}

/** IPv4 at the end stands for two groups. It is never within the first three. */
function groupsOf(part: string): number[] {
  return part.split(':').flatMap((group) => (group === '' ? [] : group.includes('.') ? [0, 0] : [parseInt(group, 16)]));
}
