/** From what a client says of itself to the words people use for it: "Firefox on Windows", "MyApp 1.2 on iPhone". */

import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { LRUCache } from 'lru-cache';
import uaParser from 'ua-parser-js';
import { USER_AGENT_LIMIT } from '../core/session.js';

export const CLIENT_KINDS = ['phone', 'tablet', 'desktop', 'television', 'app', 'robot', 'unknown'] as const;
/** `app`: a native app or a web view in one, on whatever device; `television`: game consoles too; `robot`: a program without a person. */
export type ClientKind = (typeof CLIENT_KINDS)[number];

/** What a session runs on, as far as its client says. All of it is the client's own claim. */
export interface ClientDescription {
  readonly kind: ClientKind;
  /** Of the browser, app or program. */
  readonly name: string | null;
  /** The major version of a browser, the full version of an app. */
  readonly version: string | null;
  readonly os: string | null;
  /** A name (`iPhone`, `Pixel 8`), or the maker and model number (`Samsung SM-S911B`). */
  readonly device: string | null;
  /** The raw header, cut at 512 characters. */
  readonly userAgent: string | null;
}

/** What a browser says in `Sec-CH-UA*` headers (User-Agent Client Hints). */
export interface ClientHints {
  /** The first brand that is neither made up (GREASE) nor Chromium, with its major version: `Brave/129`. */
  readonly brand: string | null;
  readonly platform: string | null;
  readonly platformVersion: string | null;
  readonly model: string | null;
  readonly mobile: boolean;
}

/** The words {@link clientInWords} takes. */
export interface ClientWords {
  /** "Firefox on Windows" */
  clientOn(client: string, device: string): string;
  /** What an app is called that names only the HTTP library it was built with. */
  appUsing(library: string): string;
  /** For a client of which nothing but its kind is known. */
  readonly kinds: Readonly<Record<ClientKind, string>>;
}

/** Value of an `Accept-CH` header that asks a browser for the hints which it does not send unasked. */
export const ACCEPT_CH = 'Sec-CH-UA-Platform-Version, Sec-CH-UA-Model';

// No header value contains this character (they are Latin-1): whatever follows it was written here, not by a client.
const NOTE = '\u2016';

const noted = new LRUCache<string, string>({ max: 500 });
const described = new LRUCache<string, ClientDescription>({ max: 1000 });

/** The client hints of a request, each null where the browser sends none. */
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
 * What a session's record keeps as its user agent: the header, cut at 512 characters, and, behind a mark that no header
 * can contain, a note of what the client hints add to it. {@link describeClient} reads it, {@link rawUserAgent} strips it.
 */
export function sightedUserAgent(headers: IncomingHttpHeaders): string | null {
  const raw = headers['user-agent'];
  if (raw === undefined || raw === '') return null;
  const brands = header(headers, 'sec-ch-ua');
  if (brands === '') return raw.slice(0, USER_AGENT_LIMIT);

  // Browsers with hints send them with every request: working out the note once per combination is enough.
  const key = [
    raw.slice(0, USER_AGENT_LIMIT),
    brands,
    header(headers, 'sec-ch-ua-platform'),
    header(headers, 'sec-ch-ua-platform-version'),
    header(headers, 'sec-ch-ua-model'),
    header(headers, 'sec-ch-ua-mobile'),
  ].join('\n');
  const known = noted.get(key);
  if (known !== undefined) return known;

  const note = packHints(raw, clientHints(headers));
  const kept =
    note === '' ? raw.slice(0, USER_AGENT_LIMIT) : raw.slice(0, USER_AGENT_LIMIT - 1 - note.length) + NOTE + note;
  if (key.length <= 4 * USER_AGENT_LIMIT) noted.set(key, kept);
  return kept;
}

/** The note of what hints say and the user agent does not, at most 140 characters; empty where they add nothing. */
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

/** The header as the client sent it, of what {@link sightedUserAgent} gave. */
export function rawUserAgent(kept: string | null): string | null {
  if (kept === null) return null;
  const mark = kept.indexOf(NOTE);
  return mark === -1 ? kept : kept.slice(0, mark);
}

/** Describes a client by what a record keeps of it. Takes any text: what it cannot read is `unknown`. Memoised. */
export function describeClient(kept: string | null): ClientDescription {
  if (kept === null) return NOBODY;
  const text = kept.slice(0, USER_AGENT_LIMIT);
  const known = described.get(text);
  if (known !== undefined) return known;
  const userAgent = rawUserAgent(text) ?? '';
  const description: ClientDescription = { ...describe(userAgent, unpackHints(text)), userAgent };
  described.set(text, description);
  return description;
}

/** Of the twenty clients of a user hardly two have the same 48 bits, and they are kept for each user. */
const CLIENT_KEY_LENGTH = 8;

/** Tells clients of another kind, name or system apart; null where nothing of these is told. Versions do not matter. */
export function clientKeyOf(kept: string | null): string | null {
  const { kind, name, os } = describeClient(kept);
  if (name === null && os === null) return null;
  return hash('sha256', JSON.stringify([kind, name, os]), 'base64url').slice(0, CLIENT_KEY_LENGTH);
}

/** "Firefox on Windows", "MyApp 1.2 on iPhone", "curl", "LG TV", "Unknown device". */
export function clientInWords(client: ClientDescription, words: ClientWords): string {
  const where = client.device !== null && !MODEL_NUMBER.test(client.device) ? client.device : client.os;
  const what = client.name === null ? null : nameInWords(client, client.name, words);
  if (client.kind === 'television') return where ?? words.kinds.television;
  if (client.kind === 'robot') return what ?? words.kinds.robot;
  if (where === null) return what ?? words.kinds[client.kind];
  if (what !== null) return words.clientOn(what, where);
  return client.kind === 'app' ? words.clientOn(words.kinds.app, where) : where;
}

/** A build number or a browser's major version says nothing to people: only `1.2` and longer is shown, and that much of it. */
function nameInWords(client: ClientDescription, name: string, words: ClientWords): string {
  if (LIBRARIES.has(name)) return words.appUsing(name);
  const version = client.kind === 'app' ? /^\d+\.\d+/.exec(client.version ?? '') : null;
  return version === null ? name : `${name} ${version[0]}`;
}

// ---- what is known of clients ----

type Parts = Omit<ClientDescription, 'userAgent'>;

const NOBODY: ClientDescription = {
  kind: 'unknown',
  name: null,
  version: null,
  os: null,
  device: null,
  userAgent: null,
};

/** Chrome says `K` for every model (User-Agent reduction). */
const REDUCED_MODEL = '; K)';
const PLATFORM = /Windows|Macintosh|iPhone|iPad|Android|CrOS|Linux/;
/** Brands that the user agent names as well. */
const COMMON_BRAND = /^(?:Google Chrome|Microsoft Edge|Opera|Android WebView|HeadlessChrome|YaBrowser|Yandex)\b/;
const GREASE = /not.{0,3}a.{0,3}brand/i;
/** A part such as `SM-S911B`, which people do not call their device by. */
const MODEL_NUMBER = /(?:^|\s)(?=\S*\d)(?=\S*[A-Z])[A-Z\d_-]{4,}(?:\s|$)/;

/** Programs without a person, by how their user agent begins. */
const PROGRAMS: readonly (readonly [RegExp, string])[] = [
  [/^curl\b/i, 'curl'],
  [/^wget\b/i, 'Wget'],
  [/^HTTPie\b/i, 'HTTPie'],
  [/^PostmanRuntime\b/i, 'Postman'],
  [/^insomnia\b/i, 'Insomnia'],
  [/^(?:python[-/ ]|aiohttp\b)/i, 'Python'],
  [/^Go-http-client\b/i, 'Go'],
  [/^(?:node|undici|axios|got)\b/i, 'Node.js'],
  [/^(?:Java|Apache-HttpClient|Jakarta)\b/i, 'Java'],
  [/^(?:GuzzleHttp|PHP)\b/i, 'PHP'],
  [/^Ruby\b/i, 'Ruby'],
  [/^libwww-perl\b/i, 'Perl'],
  [/\b(?:Windows)?PowerShell\//i, 'PowerShell'],
  [/\bHeadlessChrome\//, 'Headless Chrome'],
];
// Cubot makes phones.
const ROBOT =
  /[\w-]{0,40}(?<!\bcu)bot\b|[\w-]{0,40}(?:crawler|spider)\b|facebookexternalhit|Mediapartners-Google|Google-InspectionTool|Yahoo! Slurp|archive\.org/i;

/** HTTP libraries of native apps: an app that names nothing else is told by them. */
const LIBRARIES: ReadonlySet<string> = new Set(['okhttp', 'Dart', 'CFNetwork', 'Alamofire', 'Ktor', 'ktor-client']);

/** Tokens of a web view that are not the app's own name. */
const ENGINES =
  /^(?:Mozilla|AppleWebKit|Chrome|Chromium|CrMo|Safari|Mobile|Version|Gecko|Electron|KHTML|Trident|Presto|Build|CFNetwork|Darwin)$/;
const WEB_VIEWS: ReadonlySet<string> = new Set(['WebKit', 'Chrome WebView', 'Electron']);
/** Apps known for the browser inside them. */
const APPS_WITH_BROWSER =
  /^(?:Facebook|Instagram|TikTok|WeChat|Line|Snapchat|LinkedIn|GSA|Twitter|Pinterest|KAKAOTALK|Kakao.*|NAVER|Alipay|Klarna|Teams)$/i;

/** How the parser calls them, and how people do. */
const BROWSER_NAMES: Readonly<Record<string, string>> = {
  'Mobile Safari': 'Safari',
  'Mobile Firefox': 'Firefox',
  'Mobile Chrome': 'Chrome',
  'Opera Mobi': 'Opera',
  IE: 'Internet Explorer',
  IEMobile: 'Internet Explorer',
  GSA: 'Google app',
  UCBrowser: 'UC Browser',
  'MIUI Browser': 'Mi Browser',
  Epiphany: 'GNOME Web',
  KAKAOTALK: 'KakaoTalk',
};
const OS_NAMES: Readonly<Record<string, string>> = {
  'Mac OS': 'macOS',
  macOS: 'macOS',
  'Chromium OS': 'ChromeOS',
  'Chrome OS': 'ChromeOS',
  'Firefox OS': 'Firefox OS',
};
/** Systems as native apps write them. */
const NATIVE_SYSTEMS: readonly (readonly [RegExp, string])[] = [
  [/\biPadOS\b/i, 'iPadOS'],
  [/\biOS\b/i, 'iOS'],
  [/\bwatchOS\b/i, 'watchOS'],
  [/\btvOS\b/i, 'tvOS'],
  [/\bAndroid\b/i, 'Android'],
  [/\bmac\s?OS\b/i, 'macOS'],
  [/\bWindows\b/i, 'Windows'],
  [/\bLinux\b/i, 'Linux'],
];

// ---- reading ----

function describe(userAgent: string, hints: ClientHints): Parts {
  const program = PROGRAMS.find(([pattern]) => pattern.test(userAgent));
  if (program !== undefined) return { kind: 'robot', name: program[1], version: null, os: null, device: null };
  const robot = ROBOT.exec(userAgent);
  if (robot !== null) return { kind: 'robot', name: robot[0], version: null, os: null, device: null };

  const model = hints.model;
  const text = model === null ? userAgent : userAgent.replace(REDUCED_MODEL, () => `; ${model})`);
  const parsed = uaParser(text);
  const hardware = hardwareOf(text, parsed, hints);
  return /^(?:Mozilla|Opera)\//.test(text) ? browser(text, parsed, hardware, hints) : native(text, hardware);
}

type Hardware = Pick<ClientDescription, 'kind' | 'os' | 'device'>;

function hardwareOf(text: string, parsed: ReturnType<typeof uaParser>, hints: ClientHints): Hardware {
  const { vendor, type } = parsed.device;
  const model = parsed.device.model === 'K' ? undefined : parsed.device.model;
  const os = systemOf(text, parsed, hints);
  if (type === 'console') return { kind: 'television', os, device: model ?? vendor ?? null };
  if (type === 'smarttv' || /Web0S|Smart-?TV|HbbTV/i.test(text))
    return { kind: 'television', os, device: television(os, vendor, model) };
  const tablet = type === 'tablet';
  if (vendor === 'Amazon' && tablet) return { kind: 'tablet', os, device: 'Fire tablet' };
  if (model === 'Macintosh') return { kind: 'desktop', os, device: 'Mac' };
  const kind = tablet ? 'tablet' : type === 'mobile' || hints.mobile ? 'phone' : os === null ? 'unknown' : 'desktop';
  return { kind, os: os === 'iOS' && model === 'iPad' ? 'iPadOS' : os, device: deviceName(vendor, model) };
}

function deviceName(vendor: string | undefined, model: string | undefined): string | null {
  if (model === undefined) return null;
  return vendor !== undefined && MODEL_NUMBER.test(model) ? `${vendor} ${model}` : model;
}

function television(os: string | null, vendor: string | undefined, model: string | undefined): string | null {
  if (os === 'Tizen') return 'Samsung TV';
  if (vendor === 'Amazon') return 'Fire TV';
  if (vendor === 'Roku') return 'Roku';
  if (model === 'Apple TV' || model?.startsWith('Chromecast') === true) return model;
  return vendor === undefined ? null : `${vendor} TV`;
}

function systemOf(text: string, parsed: ReturnType<typeof uaParser>, hints: ClientHints): string | null {
  const { name, version } = parsed.os;
  if (hints.platform === 'Windows' || name === 'Windows') {
    // Every Windows since 10 calls itself "NT 10.0"; the hint counts on, and 13 is where 11 begins.
    const hinted = Number.parseInt(hints.platformVersion ?? '', 10);
    if (hinted > 0) return hinted >= 13 ? 'Windows 11' : 'Windows 10';
    return version === undefined || version === '10' || version === 'NT' ? 'Windows' : `Windows ${version}`;
  }
  const platform = hints.platform === null || hints.platform === 'Unknown' ? undefined : hints.platform;
  const known = /\bCFNetwork\//.test(text) && !/iPhone|iPad|iOS/.test(text) ? undefined : (name ?? platform);
  if (known !== undefined) return OS_NAMES[known] ?? known;
  return NATIVE_SYSTEMS.find(([pattern]) => pattern.test(text))?.[1] ?? null;
}

function browser(text: string, parsed: ReturnType<typeof uaParser>, hardware: Hardware, hints: ClientHints): Parts {
  const { name, version } = parsed.browser;
  const onTelevision = hardware.kind === 'television';
  if (name === undefined || WEB_VIEWS.has(name)) {
    const app = ownToken(text);
    if (name === undefined && app === undefined) return { ...hardware, name: null, version: null };
    return {
      ...hardware,
      kind: onTelevision ? 'television' : 'app',
      name: app?.name ?? null,
      version: app?.version ?? null,
    };
  }
  const [brand, brandVersion] = hints.brand?.split('/') ?? [];
  return {
    ...hardware,
    kind: APPS_WITH_BROWSER.test(name) && !onTelevision ? 'app' : hardware.kind,
    name: brand ?? BROWSER_NAMES[name] ?? name,
    version: (brand === undefined ? version?.split('.')[0] : brandVersion) ?? null,
  };
}

/** The first product that is not part of a browser's engine. */
function ownToken(text: string): { name: string; version: string } | undefined {
  for (const [, name = '', version = ''] of text
    .replace(/\([^()]*\)/g, ' ')
    .matchAll(/(?:^|\s)([A-Za-z][\w.-]{0,39})\/v?(\d[\w.]{0,19})/g)) {
    if (!ENGINES.test(name)) return { name, version };
  }
  return undefined;
}

function native(text: string, hardware: Hardware): Parts {
  if (/^(?:Roku|AppleTV)/.test(text)) return { ...hardware, kind: 'television', name: null, version: null };
  const app = { kind: 'app', os: hardware.os, device: hardware.device } as const;
  if (text.startsWith('Dalvik/')) return { ...app, name: null, version: null };

  const forSystem = /^([^/();]{1,64}?) for [\w ]{2,16}\/v?(\d[\w.]{0,19})/.exec(text);
  const product =
    forSystem ?? /^([^/();]{1,64})\/(?:v?(\d[\w.]{0,19}))?/.exec(text) ?? /^([A-Za-z][\w.-]{1,39})$/.exec(text);
  const name = product?.[1]?.trim() ?? '';
  if (!/\p{L}/u.test(name)) return { ...hardware, name: null, version: null };
  return { ...app, name, version: LIBRARIES.has(name) ? null : (product?.[2] ?? null) };
}

// ---- hints ----

function unpackHints(kept: string): ClientHints {
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
