/** Whether another site may have made the browser send a request: the rule of Go's `http.CrossOriginProtection`. */

import { kindOf } from '../core/check.js';
import { LoginError } from '../core/errors.js';
import type { AppRequest } from './request.js';
import type { TokenSource, TokenOrigin } from './token-source.js';

/** Origins such as `https://www.example.com` whose pages may send requests with the cookie; `'any'` switches the rule off. */
export type Origins = readonly string[] | 'any';

/** What the rule looks at. */
export interface RequestFacts {
  readonly method: string | undefined;
  /** A WebSocket, for example: the rule then applies whatever the method is. */
  readonly isUpgrade: boolean;
  readonly tokenFrom: TokenOrigin;
  /** Whether the client sent the header with the token itself. If not, an application may have copied the cookie into it. */
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

/** Another site cannot make a browser send the header, unless we allow it by CORS. */
function isSentByScript({ tokenFrom, isHeaderSent, fetchMode }: RequestFacts): boolean {
  return tokenFrom === 'header' && isHeaderSent && !MODES_WITHOUT_HEADERS.has(fetchMode);
}

/** The scheme is not compared: TLS may end at a proxy. `null`, an empty origin and anything that is not a URL have no host. */
function hasHost(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false;
  const from = new URL(origin);
  // With the origin's scheme, so that a default port may be written out or not.
  const here = `${from.protocol}//${host}`;
  return /^https?:$/.test(from.protocol) && URL.canParse(here) && new URL(here).host === from.host;
}

/** Throws `LoginError` `cross_site` for a request that may be forged. */
export type ForgeryCheck = (req: AppRequest, origins?: Origins) => void;

/** `origins` is the default for requests that have none of their own. */
export function createForgeryCheck(
  source: Pick<TokenSource, 'originOf' | 'isHeaderSent'>,
  hostOf: (req: AppRequest) => string,
  defaultOrigins: Origins,
): ForgeryCheck {
  return function refuseForgery(req, origins = defaultOrigins) {
    const { method, headers } = req;
    const isUpgrade = headers.upgrade !== undefined;
    // Most requests are reads, and need no object.
    if (!isChange(method, isUpgrade)) return;
    const facts: RequestFacts = {
      method,
      isUpgrade,
      tokenFrom: source.originOf(req),
      isHeaderSent: source.isHeaderSent(req),
      fetchSite: textOf(headers['sec-fetch-site']),
      fetchMode: textOf(headers['sec-fetch-mode']),
      origin: headers.origin,
      get host() {
        return hostOf(req);
      },
      origins,
    };
    if (mayBeForged(facts)) throw new LoginError('cross_site', 'This request was not sent by a page of this site');
  };
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
      `${path}[${index}] must be an origin such as 'https://www.example.com', without a path, got ${kindOf(origin)}`,
    );
  });
}

/** As browsers write it: lower case, without a default port. Apps have schemes of their own, such as `capacitor://localhost`. */
function isOrigin(value: string): boolean {
  if (/^https?:/.test(value)) return URL.canParse(value) && new URL(value).origin === value;
  return /^[a-z][a-z\d+.-]*:\/\/[^/?#\s\\A-Z]+$/.test(value);
}
