/** From the user agent to the name that people know: "Firefox on Windows", "MyApp 1.2 on iPhone". */

import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import uaParser from 'ua-parser-js';
import { USER_AGENT_LIMIT } from '../core/session.js';
import { rawUserAgent, REDUCED_MODEL, unpackHints, type ClientHints } from './client-hints.js';

export const CLIENT_KINDS = ['phone', 'tablet', 'desktop', 'television', 'app', 'robot', 'unknown'] as const;
/** `app`: a native app or its web view, on any device; `television`: also a game console; `robot`: a program without a person. */
export type ClientKind = (typeof CLIENT_KINDS)[number];

/** What a session runs on. The client itself says so, and it is not verified. */
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

/** The texts for {@link clientInWords}. */
export interface ClientWords {
  /** "Firefox on Windows" */
  clientOn(client: string, device: string): string;
  /** The name of an app that sends only the name of its HTTP library. */
  appUsing(library: string): string;
  /** For a client of which only the kind is known. */
  readonly kinds: Readonly<Record<ClientKind, string>>;
}

const described = new LRUCache<string, ClientDescription>({ max: 1000 });

/** Describes the client of a record. Accepts any string: a client that cannot be recognized is `unknown`. Memoized. */
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

/** Whether a program sent this without a person. Without a user agent too: every browser and app library sends one. */
export function isProgram(kept: string | null): boolean {
  return kept === null || describeClient(kept).kind === 'robot';
}

/** 48 bits: enough to tell the twenty clients of one user apart. */
const CLIENT_KEY_LENGTH = 8;

/** The same for clients of the same kind, name and system, whatever their version; null if name and system are unknown. */
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

/** People do not know build numbers or a browser's major version: only the `1.2` of a longer version is shown. */
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

/** A part such as `SM-S911B`, which is not a name that people use. */
const MODEL_NUMBER = /(?:^|\s)(?=\S*\d)(?=\S*[A-Z])[A-Z\d_-]{4,}(?:\s|$)/;

/** Programs without a person, by the beginning of their user agent. */
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

/** HTTP libraries of native apps. Some apps name nothing else. */
const LIBRARIES: ReadonlySet<string> = new Set(['okhttp', 'Dart', 'CFNetwork', 'Alamofire', 'Ktor', 'ktor-client']);

/** Products in the user agent of a web view that are not the app's own name. */
const ENGINES =
  /^(?:Mozilla|AppleWebKit|Chrome|Chromium|CrMo|Safari|Mobile|Version|Gecko|Electron|KHTML|Trident|Presto|Build|CFNetwork|Darwin)$/;
const WEB_VIEWS: ReadonlySet<string> = new Set(['WebKit', 'Chrome WebView', 'Electron']);
/** Apps with a browser of their own. */
const APPS_WITH_BROWSER =
  /^(?:Facebook|Instagram|TikTok|WeChat|Line|Snapchat|LinkedIn|GSA|Twitter|Pinterest|KAKAOTALK|Kakao.*|NAVER|Alipay|Klarna|Teams)$/i;

/** The parser's names, and the names that people use. */
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
/** Systems, as native apps write them. */
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
    // Windows 10 and 11 both send "NT 10.0". In the hint, 13 and above is Windows 11.
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

/** The first product that does not belong to a browser's engine. */
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
