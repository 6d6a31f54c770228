/** User-Agent Client Hints: what browsers no longer say in the user agent, noted after it in the session's record. */

import type { IncomingHttpHeaders } from 'node:http';
import { LRUCache } from 'lru-cache';
import type { Emit, SessionEventName, SessionEvents } from '../core/events.js';
import { ownCopy } from '../core/own-copy.js';
import { USER_AGENT_LIMIT } from '../core/session.js';
import { hasHeader, type Handler } from './respond.js';

/** The `Sec-CH-UA*` headers of a browser. */
export interface ClientHints {
  /** The first brand that is neither invented (GREASE) nor Chromium, with its major version: `Brave/129`. */
  readonly brand: string | null;
  readonly platform: string | null;
  readonly platformVersion: string | null;
  readonly model: string | null;
  readonly mobile: boolean;
}

/** The `Accept-CH` header for the hints that browsers do not send by default. */
export const ACCEPT_CH = 'Sec-CH-UA-Platform-Version, Sec-CH-UA-Model';

// Header values are Latin-1 and cannot contain this character: a client cannot forge what follows it.
const NOTE = '\u2016';

const notes = new LRUCache<string, string>({ max: 500 });

/** Chrome says `K` for every model (User-Agent reduction). */
export const REDUCED_MODEL = '; K)';
const PLATFORM = /Windows|Macintosh|iPhone|iPad|Android|CrOS|Linux/;
/** Brands that the user agent also names. */
const COMMON_BRAND = /^(?:Google Chrome|Microsoft Edge|Opera|Android WebView|HeadlessChrome|YaBrowser|Yandex)\b/;
const GREASE = /not.{0,3}a.{0,3}brand/i;

/** Sends `Accept-CH`, unless the response has one already. */
export function askForHints(handler: Handler): Handler {
  return function clientHintsMiddleware(req, res, next) {
    if (!res.headersSent && !hasHeader(res, 'Accept-CH')) res.setHeader('Accept-CH', ACCEPT_CH);
    handler(req, res, next);
  };
}

/** The client hints of a request, each null if the browser does not send it. */
export function clientHints(headers: IncomingHttpHeaders): ClientHints {
  return {
    brand: brandOf(header(headers, 'sec-ch-ua')),
    platform: unquoted(header(headers, 'sec-ch-ua-platform')),
    platformVersion: unquoted(header(headers, 'sec-ch-ua-platform-version')),
    model: unquoted(header(headers, 'sec-ch-ua-model')),
    mobile: header(headers, 'sec-ch-ua-mobile') === '?1',
  };
}

/**
 * What a record keeps as the user agent: the header, cut at 512 characters, and after a mark that no header can contain, a
 * note of what the client hints add to it. {@link unpackHints} reads the note, {@link rawUserAgent} removes it.
 */
export function sightedUserAgent(headers: IncomingHttpHeaders): string | null {
  const raw = headers['user-agent'];
  if (raw === undefined || raw === '') return null;
  const brands = header(headers, 'sec-ch-ua');
  if (brands === '') return ownCopy(raw.slice(0, USER_AGENT_LIMIT));

  // Browsers send the same hints with every request: the note is made once per combination.
  const key = [
    raw.slice(0, USER_AGENT_LIMIT),
    brands,
    header(headers, 'sec-ch-ua-platform'),
    header(headers, 'sec-ch-ua-platform-version'),
    header(headers, 'sec-ch-ua-model'),
    header(headers, 'sec-ch-ua-mobile'),
  ].join('\n');
  const known = notes.get(key);
  if (known !== undefined) return known;

  const note = packHints(raw, clientHints(headers));
  const kept = ownCopy(
    note === '' ? raw.slice(0, USER_AGENT_LIMIT) : raw.slice(0, USER_AGENT_LIMIT - 1 - note.length) + NOTE + note,
  );
  if (key.length <= 4 * USER_AGENT_LIMIT) notes.set(ownCopy(key), kept);
  return kept;
}

/** What a record keeps as a user agent that the application tells, not the browser. */
export function givenUserAgent(text: string | null = null): string | null {
  return text === null || text === '' ? null : ownCopy(text.slice(0, USER_AGENT_LIMIT).replaceAll(NOTE, ' '));
}

/** The note of what the hints add to the user agent, at most 140 characters; empty if they add nothing. */
export function packHints(userAgent: string, hints: ClientHints): string {
  const hidden = hints.platform !== null && !PLATFORM.test(userAgent);
  const fields = [
    hints.brand !== null && !COMMON_BRAND.test(hints.brand) ? hints.brand : '',
    hidden || (hints.platform === 'Windows' && hints.platformVersion !== null) ? hints.platform : '',
    hints.platform === 'Windows' ? hints.platformVersion : '',
    userAgent.includes(REDUCED_MODEL) ? hints.model : '',
    hidden && hints.mobile ? 'mobile' : '',
  ];
  return fields
    .map((field) => (field ?? '').replace(/[^\w ./()+-]/g, '').slice(0, 32))
    .join(';')
    .replace(/;+$/, '');
}

/** The header as the client sent it, from what {@link sightedUserAgent} returned. */
export function rawUserAgent(kept: string | null): string | null {
  if (kept === null) return null;
  const mark = kept.indexOf(NOTE);
  return mark === -1 ? kept : kept.slice(0, mark);
}

export function unpackHints(kept: string): ClientHints {
  const mark = kept.indexOf(NOTE);
  const [brand, platform, platformVersion, model, mobile] = mark === -1 ? [] : kept.slice(mark + 1).split(';');
  return {
    brand: brand || null,
    platform: platform || null,
    platformVersion: platformVersion || null,
    model: model || null,
    mobile: mobile === 'mobile',
  };
}

function brandOf(brands: string): string | null {
  for (const [, brand = '', version = ''] of brands
    .slice(0, USER_AGENT_LIMIT)
    .matchAll(/"([^"]{1,40})"\s{0,4};\s{0,4}v="(\d{0,6})/g)) {
    if (!GREASE.test(brand) && brand !== 'Chromium') return version === '' ? brand : `${brand}/${version}`;
  }
  return null;
}

function header(headers: IncomingHttpHeaders, name: string): string {
  const value = headers[name];
  return typeof value === 'string' ? value : '';
}

function unquoted(value: string): string | null {
  return value.slice(0, 80).replace(/^"|"$/g, '').trim() || null;
}

/** What listeners are told of an event; null if they are not told of it. */
type Telling = { readonly [Name in SessionEventName]?: (event: SessionEvents[Name]) => SessionEvents[Name] | null };

const TELLING: Telling = {
  sessionStarted: (event) => ({ ...event, userAgent: rawUserAgent(event.userAgent) }),
  sessionMoved: (event) => {
    const from = { ...event.from, userAgent: rawUserAgent(event.from.userAgent) };
    const to = { ...event.to, userAgent: rawUserAgent(event.to.userAgent) };
    return from.ip === to.ip && from.userAgent === to.userAgent ? null : { ...event, from, to };
  },
};

/** Listeners get the user agent without the note, and no event if only the note has changed. */
export function withRawUserAgents(emit: Emit): Emit {
  return function emitWithRawUserAgents(name, event) {
    const tell = TELLING[name];
    const told = tell === undefined ? event : tell(event);
    if (told !== null) emit(name, told);
  };
}
