/** Whether another site may have made the browser send a request: the rule of Go's `http.CrossOriginProtection`. */

import type { IncomingHttpHeaders } from 'node:http';
import { kindOf } from '../core/check.js';
import { diagnosed, shown, type Diagnosis } from '../core/diagnosis.js';
import { LoginError } from '../core/errors.js';
import type { AppRequest } from './app-request.js';
import type { SentToken } from './token-source.js';

/** Origins such as `https://www.example.com` whose pages may send requests with the cookie; `'any'` switches the rule off. */
export type Origins = readonly string[] | 'any';

/** What the rule looks at. */
export interface RequestFacts {
  readonly method: string | undefined;
  /** A WebSocket, for example: the rule then applies whatever the method is. */
  readonly isUpgrade: boolean;
  /** `cookie` also if there is no token. */
  readonly tokenFrom: SentToken['from'];
  /** See {@link SentToken}. */
  readonly isHeaderSent: boolean;
  /** `Sec-Fetch-Site`. */
  readonly fetchSite: string | undefined;
  /** `Sec-Fetch-Mode`. */
  readonly fetchMode: string | undefined;
  readonly origin: string | undefined;
  /** The host and port to which the request was sent. */
  readonly host: string;
  readonly origins: Origins;
}

/**
 * Whether to refuse the request. Only requests that can change something are refused: an unsafe method or an upgrade.
 * `Sec-Fetch-Site` decides, or else `Origin`. A request with neither header does not come from a current browser.
 */
export function mayBeForged(facts: RequestFacts): boolean {
  const { fetchSite, origin, origins } = facts;
  if (origins === 'any' || !isChange(facts.method, facts.isUpgrade) || isSentByScript(facts)) return false;
  if (fetchSite === 'same-origin' || fetchSite === 'none') return false;
  if (origin === undefined) return fetchSite !== undefined;
  if (origins.includes(origin)) return false;
  return fetchSite !== undefined || !hasHost(origin, facts.host);
}

function isChange(method: string | undefined, isUpgrade: boolean): boolean {
  return isUpgrade || (method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS');
}

/** In these modes no script can set a header: something between the browser and us added it. */
const MODES_WITHOUT_HEADERS: ReadonlySet<string | undefined> = new Set(['navigate', 'no-cors', 'websocket']);

/**
 * Another site cannot make a browser send the header, unless we allow it by CORS. No script can set a header of a WebSocket,
 * for which browsers send an `Origin`, and Chromium no `Sec-Fetch-Mode`.
 */
function isSentByScript({ tokenFrom, isHeaderSent, fetchMode, isUpgrade, origin }: RequestFacts): boolean {
  if (tokenFrom !== 'header' || !isHeaderSent) return false;
  return !MODES_WITHOUT_HEADERS.has(fetchMode) && !(isUpgrade && origin !== undefined);
}

/** The scheme is not compared: TLS may end at a proxy. `null`, an empty origin and anything that is not a URL have no host. */
function hasHost(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false;
  const from = new URL(origin);
  // With the origin's scheme, so that a default port may be written out or not.
  const here = `${from.protocol}//${host}`;
  return /^https?:$/.test(from.protocol) && URL.canParse(here) && new URL(here).host === from.host;
}

/**
 * Throws `LoginError` `cross_site` for a request that may be forged. `sent` is the token that is used, if there is one. `origins`
 * replaces the default.
 */
export type ForgeryCheck = (
  req: AppRequest,
  sent: Pick<SentToken, 'from' | 'isHeaderSent'> | undefined,
  origins?: Origins,
) => void;

/** A request without a token is judged like one with a cookie: a browser may have kept the cookie back. */
const NO_TOKEN = { from: 'cookie', isHeaderSent: false } as const;

export function createForgeryCheck(hostOf: (req: AppRequest) => string, defaultOrigins: Origins): ForgeryCheck {
  return function refuseForgery(req, sent = NO_TOKEN, origins = defaultOrigins) {
    const { headers } = req;
    const method = req.method ?? textOf(headers[':method']);
    const isUpgrade = isUpgradeRequest(method, headers);
    // Most requests are reads, and need no object.
    if (!isChange(method, isUpgrade)) return;
    const facts: RequestFacts = {
      method,
      isUpgrade,
      tokenFrom: sent.from,
      isHeaderSent: sent.isHeaderSent,
      fetchSite: textOf(headers['sec-fetch-site']),
      fetchMode: textOf(headers['sec-fetch-mode']),
      origin: textOf(headers.origin),
      get host() {
        return hostOf(req);
      },
      origins,
    };
    if (mayBeForged(facts)) {
      const error = new LoginError('cross_site', 'This request was not sent by a page of this site');
      throw diagnosed(error, diagnosisOf(facts));
    }
  };
}

function diagnosisOf({ origin, host, fetchSite }: RequestFacts): Diagnosis {
  return {
    claim: 'Origin',
    got: fetchSite === undefined ? shown(origin) : `${shown(origin)}, with Sec-Fetch-Site ${shown(fetchSite)}`,
    expected: `a page of ${shown(host)}, or of one of the option origins`,
    hint: 'if that page is yours, add its origin to origins; if a proxy changes Host, trust it',
  };
}

/** By HTTP/1.1 (RFC 9110, section 7.8), or by extended CONNECT in HTTP/2 (RFC 8441) and HTTP/3. */
function isUpgradeRequest(method: string | undefined, headers: IncomingHttpHeaders): boolean {
  return (
    headers.upgrade !== undefined ||
    headers[':protocol'] !== undefined ||
    headers[':method'] === 'CONNECT' ||
    method === 'CONNECT'
  );
}

function textOf(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === 'object' ? header.join(', ') : header;
}

/** Throws a `TypeError` for anything but `'any'` and a list of origins as browsers write them. */
export function checkOrigins(value: unknown, path = 'origins'): Origins {
  if (value === undefined) return [];
  if (value === 'any') return value;
  if (!Array.isArray(value)) throw new TypeError(`${path} must be 'any' or a list of origins, got ${kindOf(value)}`);
  return value.map((origin: unknown, index) => {
    if (typeof origin === 'string' && isOrigin(origin)) return origin;
    throw new TypeError(
      `${path}[${index}] must be an origin such as 'https://www.example.com', without a path, got ${kindOf(origin)}${meant(origin)}`,
    );
  });
}

/**
 * As browsers write it: lower case, without a default port. Apps have schemes of their own, such as `capacitor://localhost`. A
 * WebSocket has the origin of its page. There are no wildcards.
 */
function isOrigin(value: string): boolean {
  if (value.includes('*')) return false;
  if (/^https?:/.test(value)) return URL.canParse(value) && new URL(value).origin === value;
  return /^(?!wss?:)[a-z][a-z\d+.-]*:\/\/[^/?#\s\\A-Z]+$/.test(value);
}

function meant(value: unknown): string {
  if (typeof value !== 'string') return '';
  if (value.includes('*')) return ': wildcards are not supported, so name each origin';
  const url = value.trim().replace(/^ws(?=s?:)/i, 'http');
  if (!/^https?:/i.test(url) || !URL.canParse(url)) return '';
  const { origin } = new URL(url);
  return isOrigin(origin) ? `: did you mean '${origin}'?` : '';
}
