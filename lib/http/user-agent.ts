/** From the user agent to the name that people know: "Firefox on Windows", "MyApp 1.2 on iPhone". */

import { LRUCache } from 'lru-cache';
import uaParser from 'ua-parser-js';
import { sha256 } from '../core/digest.js';
import { USER_AGENT_LIMIT } from '../core/session.js';
import { rawUserAgent, REDUCED_MODEL, unpackHints, type ClientHints } from './client-hints.js';
import {
  APPLE_DEVICES,
  APPLE_MODEL,
  APPS,
  APPS_WITH_BROWSER,
  BROWSER_NAMES,
  CAR,
  E_READER,
  E_READERS,
  ENGINES,
  HANDHELD_SYSTEMS,
  HEADSET,
  IPAD_APP,
  IPAD_AS_MAC,
  LIBRARIES,
  MODEL_NUMBER,
  NATIVE_APP,
  NATIVE_SYSTEMS,
  OS_NAMES,
  OWN_SYSTEMS,
  PROGRAMS,
  ROBOT,
  TELEVISION,
  TELEVISION_MAKERS,
  WATCH,
  WEB_VIEWS,
} from './known-clients.js';

export const CLIENT_KINDS = [
  'phone',
  'tablet',
  'desktop',
  'television',
  'watch',
  'headset',
  'car',
  'app',
  'robot',
  'unknown',
] as const;
/**
 * `app`: a native app, its web view or a command-line tool, on any device. `television`: also a game console. `tablet`: also
 * an e-reader. `headset`: for virtual reality. `robot`: a program without a person.
 */
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

/**
 * Whether a program sent this without a person. Without a user agent too: every browser and app library sends one.
 *
 * "Program" is the word for such a client everywhere, in records (`byProgram`) and on the page. Only the public
 * {@link ClientKind} calls it `robot`, and a client without a user agent `unknown`.
 */
export function isProgram(kept: string | null): boolean {
  return kept === null || describeClient(kept).kind === 'robot';
}

/** 48 bits: enough to tell the twenty clients of one user apart. */
const CLIENT_KEY_LENGTH = 8;

/** The same for clients of the same kind, name and system, whatever their version; null if name and system are unknown. */
export function clientKeyOf(kept: string | null): string | null {
  const { kind, name, os } = describeClient(kept);
  if (name === null && os === null) return null;
  return sha256(JSON.stringify([kind, name, os])).slice(0, CLIENT_KEY_LENGTH);
}

/** "Firefox on Windows", "MyApp 1.2 on iPhone", "curl", "LG TV", "Unknown device". */
export function clientInWords(client: ClientDescription, words: ClientWords): string {
  const where = client.device !== null && !MODEL_NUMBER.test(client.device) ? client.device : client.os;
  const what = client.name === null ? null : nameInWords(client, client.name, words);
  if (client.kind === 'television') return where === client.device && where !== null ? where : words.kinds.television;
  if (client.kind === 'robot') return what ?? words.kinds.robot;
  if (where === null) return what ?? words.kinds[client.kind];
  if (what === where) return where;
  if (what !== null) return words.clientOn(what, where);
  return client.kind === 'app' ? words.clientOn(words.kinds.app, where) : where;
}

/** The device without its model number: "Samsung" of "Samsung SM-S911B". Null if nothing is left that people know. */
export function deviceInWords({ device }: ClientDescription): string | null {
  return device?.replace(MODEL_NUMBER, ' ').trim() || null;
}

/** Whether the client itself says what it is called. Programs say what they are made with. */
export function namesItself({ kind, name }: ClientDescription): boolean {
  return kind !== 'robot' && name !== null && !LIBRARIES.has(name);
}

/** People do not know build numbers or a browser's major version: only the `1.2` of a longer version is shown. */
function nameInWords(client: ClientDescription, name: string, words: ClientWords): string {
  if (LIBRARIES.has(name)) return words.appUsing(name);
  const version = client.kind === 'app' ? /^\d+\.\d+/.exec(client.version ?? '') : null;
  return version === null ? name : `${name} ${version[0]}`;
}

type UserAgent = ReturnType<typeof uaParser>;
type Parts = Omit<ClientDescription, 'userAgent'>;

const NOBODY: ClientDescription = {
  kind: 'unknown',
  name: null,
  version: null,
  os: null,
  device: null,
  userAgent: null,
};

// ---- reading ----

function describe(userAgent: string, hints: ClientHints): Parts {
  const robot = NATIVE_APP.test(userAgent) ? null : (named(PROGRAMS, userAgent) ?? ROBOT.exec(userAgent)?.[0] ?? null);
  if (robot !== null) return { kind: 'robot', name: robot, version: null, os: null, device: null };

  const model = hints.model;
  const text = model === null ? userAgent : userAgent.replace(REDUCED_MODEL, () => `; ${model})`);
  const parsed = uaParser(text);
  const hardware = hardwareOf(text, parsed, hints);
  return /^(?:Mozilla|Opera)\//.test(text) ? browser(text, parsed, hardware, hints) : native(text, hardware);
}

type Hardware = Pick<ClientDescription, 'kind' | 'os' | 'device'>;

function hardwareOf(text: string, parsed: UserAgent, hints: ClientHints): Hardware {
  const { vendor, type } = parsed.device;
  const model = parsed.device.model === 'K' ? undefined : parsed.device.model;
  const os = systemOf(text, parsed, hints);
  const special = appleHardware(text, os) ?? specialHardware(text, parsed, os);
  if (special !== null) return special;
  const tablet = type === 'tablet';
  if (vendor === 'Amazon' && tablet) return { kind: 'tablet', os, device: 'Fire tablet' };
  if (model === 'Macintosh') return { kind: 'desktop', os, device: 'Mac' };
  const isPhone = type === 'mobile' || hints.mobile || HANDHELD_SYSTEMS.test(os ?? '');
  const kind = tablet ? 'tablet' : isPhone ? 'phone' : os === null ? 'unknown' : 'desktop';
  // Programs on Windows name the maker of the computer, of which the parser makes a phone.
  const device = /^Windows(?! Phone)/.test(os ?? '') ? null : deviceName(vendor, model);
  return { kind, os: os === 'iOS' && model === 'iPad' ? 'iPadOS' : os, device };
}

const APPLE_KINDS: Readonly<Record<string, ClientKind>> = {
  iPhone: 'phone',
  'iPod touch': 'phone',
  iPad: 'tablet',
  'Apple Watch': 'watch',
  'Apple TV': 'television',
  'Apple Vision Pro': 'headset',
  Mac: 'desktop',
};

/** By a model identifier, or by what gives an iPad away that says it is a Mac. */
function appleHardware(text: string, os: string | null): Hardware | null {
  if (IPAD_AS_MAC.test(text) || IPAD_APP.test(text)) return { kind: 'tablet', os: 'iPadOS', device: 'iPad' };
  const family = APPLE_MODEL.exec(text)?.[1]?.toLowerCase();
  if (family === undefined) return null;
  const known = APPLE_DEVICES[family] ?? { device: 'Mac', os: 'macOS' };
  return { kind: APPLE_KINDS[known.device] ?? 'unknown', os: known.os ?? os, device: known.device };
}

/** Anything but phones, tablets and computers, many of which say that they are one. */
function specialHardware(
  text: string,
  { device: { vendor, model, type } }: UserAgent,
  os: string | null,
): Hardware | null {
  const name = deviceName(vendor, model);
  if (type === 'console')
    return {
      kind: 'television',
      os,
      device: vendor === 'Nintendo' ? `Nintendo ${model ?? ''}`.trim() : (model ?? vendor ?? null),
    };
  if (CAR.test(text)) return { kind: 'car', os, device: /\bTesla\b|QtCarBrowser/.test(text) ? 'Tesla' : name };
  if (HEADSET.test(text))
    return { kind: 'headset', os, device: /\bvisionOS\b|Vision Pro/i.test(text) ? 'Apple Vision Pro' : name };
  if (type === 'wearable' || WATCH.test(text)) return { kind: 'watch', os, device: watchName(text, name) };
  if (type === 'smarttv' || TELEVISION.test(text))
    return { kind: 'television', os, device: television(text, os, vendor, model) };
  const reader = E_READER.exec(text)?.[1]?.toLowerCase();
  return reader === undefined ? null : { kind: 'tablet', os, device: E_READERS[reader] ?? null };
}

function watchName(text: string, name: string | null): string | null {
  if (/\bApple ?Watch\b|\bwatchOS\b|\bWatch OS\b|\(Watch;/i.test(text)) return 'Apple Watch';
  return name !== null && /watch/i.test(name) ? name : null;
}

function deviceName(vendor: string | undefined, model: string | undefined): string | null {
  // The parser takes a web view's mark for a model.
  if (model === undefined || model === 'wv') return null;
  return vendor !== undefined && MODEL_NUMBER.test(model) ? `${vendor} ${model}` : model;
}

function television(
  text: string,
  os: string | null,
  vendor: string | undefined,
  model: string | undefined,
): string | null {
  if (os === 'Tizen') return 'Samsung TV';
  if (vendor === 'Amazon') return 'Fire TV';
  if (vendor === 'Roku') return 'Roku';
  if (model === 'Apple TV' || model?.startsWith('Chromecast') === true) return model;
  const maker = vendor ?? TELEVISION_MAKERS.exec(text)?.[1] ?? (/\bVIDAA\b/.test(text) ? 'Hisense' : undefined);
  return maker === undefined ? null : `${maker} TV`;
}

function systemOf(text: string, parsed: UserAgent, hints: ClientHints): string | null {
  const { name, version } = parsed.os;
  if (hints.platform === 'Windows' || name === 'Windows') {
    // Windows 10 and 11 both send "NT 10.0". In the hint, 13 and above is Windows 11.
    const hinted = Number.parseInt(hints.platformVersion ?? '', 10);
    if (hinted > 0) return hinted >= 13 ? 'Windows 11' : 'Windows 10';
    return version !== undefined && /^(?:XP|Vista|[78](?:\.1)?)$/.test(version) ? `Windows ${version}` : 'Windows';
  }
  const own = named(OWN_SYSTEMS, text);
  if (own !== null) return own;
  const isApple = /\bCFNetwork\//.test(text);
  const platform = hints.platform === null || hints.platform === 'Unknown' ? undefined : hints.platform;
  const known = isApple && !/iPhone|iPad|iOS/.test(text) ? undefined : (name ?? platform);
  // Command-line tools write it in lower case.
  if (known !== undefined)
    return OS_NAMES[known] ?? (/^[a-z]+$/.test(known) ? named(NATIVE_SYSTEMS, known) : null) ?? known;
  // What runs on Darwin without Apple's network library is a tool on a Mac.
  return named(NATIVE_SYSTEMS, text) ?? (!isApple && /\bdarwin\b/i.test(text) ? 'macOS' : null);
}

function named(table: readonly (readonly [RegExp, string])[], text: string): string | null {
  return table.find(([pattern]) => pattern.test(text))?.[1] ?? null;
}

function browser(text: string, parsed: UserAgent, hardware: Hardware, hints: ClientHints): Parts {
  const { name, version } = parsed.browser;
  const appName = named(APPS, text);
  const isInApp = appName !== null || name === undefined || WEB_VIEWS.has(name);
  if (isInApp) {
    const app = appName === null ? ownToken(text) : { name: appName, version: null };
    const isKnown = app !== undefined || (name !== undefined && name !== 'Mozilla');
    if (!isKnown) return { ...hardware, name: null, version: null };
    const kind = hardware.kind === 'television' || isBareEngine(hardware, app) ? hardware.kind : 'app';
    return { ...hardware, kind, name: app?.name ?? null, version: app?.version ?? null };
  }
  const [brand, brandVersion] = hints.brand?.split('/') ?? [];
  return {
    ...hardware,
    kind: APPS_WITH_BROWSER.test(name) && hardware.kind !== 'television' ? 'app' : hardware.kind,
    name: brand ?? BROWSER_NAMES[name] ?? name,
    version: (brand === undefined ? version?.split('.')[0] : brandVersion) ?? null,
  };
}

/** These devices have no apps with web views: a client that names no browser is the device's own browser. */
function isBareEngine({ kind }: Hardware, app: unknown): boolean {
  return app === undefined && (kind === 'watch' || kind === 'car' || kind === 'headset');
}

/** The first product that does not belong to a browser's engine. */
function ownToken(text: string): { name: string; version: string } | undefined {
  for (const [, name = '', version = ''] of text
    .replace(/\([^()]*\)/g, ' ')
    .matchAll(/(?:^|\s)([A-Za-z][\w.-]{0,39})\/v?(\d[\w.]{0,19})/g)) {
    if (!ENGINES.test(name)) return { name: name.replace(/[-_](?:iOS|Android)$/i, ''), version };
  }
  return undefined;
}

function native(text: string, hardware: Hardware): Parts {
  if (/^(?:Roku|AppleTV)/.test(text)) return { ...hardware, kind: 'television', name: null, version: null };
  const app = { kind: 'app', os: hardware.os, device: hardware.device } as const;
  if (text.startsWith('Dalvik/')) return { ...app, name: null, version: null };

  const forSystem =
    /^([^/();]{1,64}?)(?: for [\w ]{2,16}|[-_](?:iOS|iPadOS|Android|macOS|tvOS|watchOS))\/v?(\d[\w.]{0,19})/i.exec(
      text,
    );
  const product =
    forSystem ??
    /^([^/();]{1,64})\/(?:v?(\d[\w.]{0,19}))?/.exec(text) ??
    /^([A-Za-z][\w.-]{1,39}(?: [A-Za-z][\w.-]{0,39}){0,3})(?: v?(\d[\w.]{0,19}))?(?: Android)?(?: \(|$)/.exec(text);
  const name =
    named(APPS, text) ?? decoded(product?.[1]?.replace(/ for (?:iOS|iPad|iPhone|Android)$/, '').trim() ?? '');
  // Services of the system, such as the calendar, name nothing else.
  if (name === hardware.os) return { ...app, name: null, version: null };
  // Some devices send only their model, and name no app.
  if (!/\p{L}/u.test(name) || (APPLE_MODEL.test(text.slice(0, 24)) && APPLE_MODEL.exec(text)?.index === 0)) {
    return { ...hardware, name: null, version: null };
  }
  const version = LIBRARIES.has(name) || APPS.some(([, known]) => known === name) ? null : (product?.[2] ?? null);
  return { ...app, name, version };
}

/** Apple's network library writes the name of an app as in a URL. */
function decoded(name: string): string {
  if (!/%[\da-f]{2}/i.test(name)) return name;
  try {
    const text = decodeURIComponent(name);
    return /\p{C}/u.test(text) ? name : text.trim();
  } catch {
    return name;
  }
}
