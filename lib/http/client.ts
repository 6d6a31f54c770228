/** What is recorded of the client of a request: its address and its user agent. */

import type { IncomingMessage } from 'node:http';
import { checkOptions, stringOrNull, type OptionKinds } from '../core/check.js';
import { refusePromise } from '../core/hooks.js';
import type { Client } from '../core/session.js';
import type { AppRequest } from './app-request.js';
import { createClientAddress, recordedAddress, type RecordIp, type TrustFunction } from './client-address.js';
import { givenUserAgent, sightedUserAgent } from './client-hints.js';
import { isProgram } from './user-agent.js';

/** The client, as the application knows it. Null: unknown. */
export interface SightingHint {
  readonly ip?: string | null | undefined;
  readonly userAgent?: string | null | undefined;
}

/** Taken from a method, so that it may require its framework's own request type. */
export type ClientOption = { of(req: IncomingMessage): SightingHint | undefined }['of'];

/** Throws what the option `client` throws, and a `TypeError` if that returns a promise or anything else that is invalid. */
export type ClientOf = (req: AppRequest) => Client;

export function createClientOf(trust: TrustFunction, recordIp: RecordIp, option?: ClientOption): ClientOf {
  const addressOf = createClientAddress(trust, recordIp);
  const found: ClientOf = (req) => {
    const userAgent = sightedUserAgent(req.headers);
    return { ip: addressOf(req), userAgent, byProgram: isProgram(userAgent) };
  };
  if (option === undefined) return found;
  return function clientByOption(req) {
    const told: unknown = option(req);
    if (told === undefined) return found(req);
    refusePromise(told, 'client must return { ip, userAgent } itself, not a promise of it');
    const { ip, userAgent } = checkHint(told, 'client (as its function returned it)');
    const client = userAgent === undefined ? found(req) : named(userAgent);
    return ip === undefined ? { ...client, ip: addressOf(req) } : { ...client, ip: recordedAddress(ip, recordIp) };
  };
}

/** The client that is passed to `verify()`; what is left out is null. Throws a `TypeError` if it is invalid. */
export function clientGiven(value: unknown, recordIp: RecordIp): Client {
  const { ip, userAgent } = value === undefined ? {} : checkHint(value, 'verify()');
  return { ...named(userAgent), ip: recordedAddress(ip, recordIp) };
}

/** The client that an application names counts as a person, unless the user agent is that of a program. */
function named(userAgent: string | null | undefined): Omit<Client, 'ip'> {
  const given = givenUserAgent(userAgent);
  return { userAgent: given, byProgram: given !== null && isProgram(given) };
}

const SIGHTING_HINT: OptionKinds<SightingHint> = { ip: stringOrNull, userAgent: stringOrNull };

function checkHint(value: unknown, owner: string): SightingHint {
  checkOptions<SightingHint>(value, owner, SIGHTING_HINT);
  return value as SightingHint;
}
