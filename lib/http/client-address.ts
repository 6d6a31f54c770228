/** The client's address: which proxies are trusted to tell it, and how much of it is recorded. */

import { EventEmitter } from 'node:events';
import { isIP } from 'node:net';
import proxyAddr from 'proxy-addr';
import { kindOf } from '../core/check.js';
import { refusePromise } from '../core/hooks.js';
import { ownCopy } from '../core/own-copy.js';
import type { AppRequest } from './app-request.js';

/** Decides whether a proxy is trusted, by its address and by how many hops it is away. Only `true` trusts it. */
export type TrustFunction = (address: string, hop: number) => boolean;

/** As Express's `trust proxy`: all, none, a number of hops, addresses or subnets, or a function. */
export type TrustProxy = boolean | number | string | readonly string[] | TrustFunction;

/** Default: no proxy is trusted. Throws a `TypeError` if the option is invalid. */
export function compileTrust(trust: TrustProxy = false): TrustFunction {
  // proxy-addr would take it for the address 0.0.0.1.
  if (typeof trust === 'string' && /^\s*\d+\s*$/.test(trust)) {
    throw new TypeError('trustProxy must be a number if it is the number of hops, got a string');
  }
  if (typeof trust === 'function') return trustByFunction(trust);
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

function trustByFunction(trust: (address: string, hop: number) => unknown): TrustFunction {
  return function isTrusted(address, hop) {
    const answer = trust(address, hop);
    refusePromise(answer, 'trustProxy must return true or false, not a promise');
    return answer === true;
  };
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
  const trustIn = createTrustIn(trust);
  return function clientAddress(req) {
    rememberApp(req);
    // Express does not know an address with a port, and trusts no proxy that is written so.
    if ('ip' in req && !isWithPort(req.ip)) return recordedAddress(req.ip, record);
    return hasSocket(req) ? recordedAddress(proxyAddr(req, trustIn(req)), record) : null;
  };
}

/** Requests that an adapter or a test makes may have none. */
function hasSocket(req: Partial<AppRequest>): boolean {
  return req.socket !== undefined;
}

/** Which proxies are trusted for a request: by Express's setting if there is one, or else by `trust`. */
export function createTrustIn(trust: TrustFunction): (req: AppRequest) => TrustFunction {
  return function trustIn(req) {
    const isTrusted = expressTrust(req) ?? trust;
    // Node knows no address at a Unix socket, or once the client is gone. proxy-addr passes that on as undefined.
    return function isTrustedIn(address: string | undefined, hop: number) {
      const text = address ?? '';
      return isTrusted(bareAddress(text) ?? text, hop);
    };
  };
}

/** The application that last answered a request of a server: its listener may be wrapped, as socket.io does it. */
const appsSeen = new WeakMap<EventEmitter, ExpressApp>();

function rememberApp(req: AppRequest): void {
  const server = serverOf(req);
  if (server !== undefined && isExpress(req.app)) appsSeen.set(server, req.app);
}

/** An upgrade does not pass through Express: then its application is found by its server. */
function expressTrust(req: AppRequest): TrustFunction | undefined {
  const app = isExpress(req.app) ? req.app : appOf(req);
  const trust: unknown = app?.get('trust proxy fn');
  return typeof trust === 'function' ? (address, hop) => trust.call(app, address, hop) === true : undefined;
}

interface ExpressApp {
  get(setting: string): unknown;
}

function appOf(req: AppRequest): ExpressApp | undefined {
  const server = serverOf(req);
  if (server === undefined) return undefined;
  const listeners: readonly unknown[] = server.listeners('request');
  return listeners.find(isExpress) ?? appsSeen.get(server);
}

function serverOf({ socket }: Partial<AppRequest>): EventEmitter | undefined {
  const server: unknown = socket === undefined ? undefined : Reflect.get(socket, 'server');
  return server instanceof EventEmitter ? server : undefined;
}

function isExpress(app: unknown): app is ExpressApp {
  return typeof app === 'function' && 'get' in app && typeof app.get === 'function' && 'set' in app;
}

/** What is recorded of an address; null for anything but an IP address. */
export function recordedAddress(found: unknown, record: RecordIp): string | null {
  if (record === 'none' || typeof found !== 'string') return null;
  const address = bareAddress(found);
  if (address === null) return null;
  return ownCopy(record === 'full' ? address : truncated(address));
}

/** Some load balancers write the client's port as well, and IPv6 addresses in brackets. */
const BRACKETED = /^\[([^\]]*)\](?::\d{1,5})?$/;
const IPV4_AND_PORT = /^(.*\.\d{1,3}):\d{1,5}$/;
/** Longer than any address with its zone and port. */
const LONGEST = 100;

function isWithPort(text: unknown): boolean {
  return typeof text === 'string' && isIP(text) === 0 && bareAddress(text) !== null;
}

/** The address alone, without port, brackets and zone; null for anything but an IP address. */
function bareAddress(text: string): string | null {
  if (text.length > LONGEST) return null;
  const bare = text.trim();
  const [, within] = BRACKETED.exec(bare) ?? IPV4_AND_PORT.exec(bare) ?? [];
  return normalAddress(within ?? bare);
}

const IPV4_WITHIN = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;

/** Always the same text for one address: proxies write out zeros and use upper case, and a session has not moved by that. */
function normalAddress(text: string): string | null {
  const version = isIP(text);
  if (version === 0) return null;
  if (version === 4) return text;
  const address = new URL(`http://[${text.split('%', 1)[0] ?? text}]`).hostname.slice(1, -1);
  const within = IPV4_WITHIN.exec(address);
  if (within === null) return address;
  return [within[1], within[2]].flatMap((group = '') => bytesOf(parseInt(group, 16))).join('.');
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

function groupsOf(part: string): number[] {
  return part.split(':').flatMap((group) => (group === '' ? [] : [parseInt(group, 16)]));
}
