/** The texts of the page: English by default, each can be replaced; and the language for a request. */

import type { Advice } from '../core/advice.js';
import { checkKind, checkNames, isObject, isPlain, kindOf, type Kind } from '../core/check.js';
import type { LoginErrorCode } from '../core/errors.js';
import { refusePromise } from '../core/hooks.js';
import { checkLanguage, closeness, languageAdvice, primary, refuseSameLanguage, SHAPE } from './languages.js';
import { isLoginUrl } from './login-url.js';
import type { ClientWords } from './user-agent.js';

/** What was done before the page is shown, from `?done=`. */
export const DONE = ['ended', 'selected', 'others', 'renamed'] as const;
export type Done = (typeof DONE)[number];

/** What went wrong, as far as the reader can act on it. */
export type Problem = 'not_found' | 'invalid' | 'refused' | 'sign_in_again' | 'unavailable' | 'signed_out';

/** Every text of the page. Plain text, not HTML: it is escaped. `device` is "Firefox on Windows", for example, or a label. */
export interface Messages extends ClientWords {
  /** The name of an app by the id that its tokens have. Empty: it is not shown. By default, ids that people can read. */
  appName(id: string): string;
  /** That somebody else acts for the reader: an assistant, or support. `actor` is the id that the tokens have (`act.sub`). */
  actingForYou(actor: string): string;

  /** BCP 47 tag of the language of these texts. Dates follow the reader's region within that language. */
  readonly language: string;
  readonly direction: 'ltr' | 'rtl';

  readonly title: string;
  readonly intro: string;
  readonly thisDevice: string;
  /** `count`: how many sessions there are besides this one, on all pages of the list. */
  otherDevices(count: number): string;
  readonly noOthers: string;
  readonly nothingHere: string;

  /** `ago`: "3 minutes ago". */
  lastSeen(ago: string): string;
  readonly activeNow: string;
  /** How many sessions of the same client, system and place are in one row. At least 2. */
  sessions(count: number): string;
  /** For a client that was never seen with this user before the session, in the session's first day. */
  readonly newDevice: string;
  readonly notYou: string;
  /**
   * Where `notYou` leads: a path that begins with one slash, or an absolute http(s) URL, such as the page on which people
   * change their password. Null, the default: there is no such link, and signing the session out is the answer.
   */
  readonly notYouUrl: string | null;

  /** For screen readers: opens what else is known of a session. */
  showDetails(device: string): string;
  /** The same for a row of several. */
  showSessions(device: string, count: number): string;
  readonly app: string;
  readonly program: string;
  readonly model: string;
  readonly version: string;
  readonly address: string;
  /** In place of an address that is private, or of the machine itself. */
  readonly thisNetwork: string;
  readonly signedIn: string;
  readonly ends: string;

  readonly rename: string;
  readonly save: string;
  readonly cancel: string;
  readonly removeNameHint: string;
  renameDevice(device: string): string;
  nameFor(device: string): string;

  readonly signOut: string;
  /** Ends all sessions of one row. */
  readonly signOutAll: string;
  readonly signOutEverywhereElse: string;
  signOutDevice(device: string): string;
  signOutSessions(device: string, count: number): string;
  confirmSignOut(device: string): string;
  confirmSignOutSessions(device: string, count: number): string;
  readonly confirmSignOutHere: string;
  readonly confirmSignOutEverywhereElse: string;

  readonly more: string;
  readonly first: string;
  readonly tryAgain: string;
  readonly back: string;
  readonly signInAgain: string;

  readonly done: Readonly<Record<Done, string>>;
  readonly problems: Readonly<Record<Problem, string>>;
}

/** The texts to replace. What is left out stays English. */
export type MessagesOverride = Partial<Omit<Messages, 'kinds' | 'done' | 'problems'>> & {
  readonly kinds?: Partial<Messages['kinds']>;
  readonly done?: Partial<Messages['done']>;
  readonly problems?: Partial<Messages['problems']>;
};

export const englishMessages: Messages = {
  language: 'en',
  direction: 'ltr',

  title: 'Where you’re signed in',
  intro: 'Every device and app that is signed in to your account. Sign out any that you don’t recognize.',
  thisDevice: 'This device',
  otherDevices: (count) => (count === 0 ? 'Other devices' : `Other devices (${String(count)})`),
  noOthers: 'You’re not signed in anywhere else.',
  nothingHere: 'There is nothing more to show here.',

  lastSeen: (ago) => `Last seen ${ago}`,
  activeNow: 'Active now',
  sessions: (count) => `${String(count)} sessions`,
  newDevice: 'New',
  notYou: 'Not you?',
  notYouUrl: null,

  showDetails: (device) => `Details of ${device}`,
  showSessions: (device, count) => `Show the ${String(count)} sessions of ${device}`,
  app: 'App',
  program: 'Program',
  model: 'Device',
  version: 'Version',
  address: 'Address',
  thisNetwork: 'This network',
  signedIn: 'Signed in',
  ends: 'Ends',

  rename: 'Rename',
  save: 'Save name',
  cancel: 'Cancel',
  removeNameHint: 'Leave it empty to remove the name.',
  renameDevice: (device) => `Rename ${device}`,
  nameFor: (device) => `Name for ${device}`,

  signOut: 'Sign out',
  signOutAll: 'Sign out all',
  signOutEverywhereElse: 'Sign out everywhere else',
  signOutDevice: (device) => `Sign out ${device}`,
  signOutSessions: (device, count) => `Sign out all ${String(count)} sessions of ${device}`,
  confirmSignOut: (device) => `Sign out ${device}? It will need to sign in again.`,
  confirmSignOutSessions: (device, count) =>
    `Sign out all ${String(count)} sessions of ${device}? They will need to sign in again.`,
  confirmSignOutHere: 'Sign out here? You will need to sign in again on this device.',
  confirmSignOutEverywhereElse: 'Sign out every device but this one? They will all need to sign in again.',

  more: 'Show more devices',
  first: 'Back to the most recent',
  tryAgain: 'Try again',
  back: 'Back to your devices',
  signInAgain: 'Sign in again',

  clientOn: (client, device) => `${client} on ${device}`,
  appUsing: (library) => `App using ${library}`,
  appName: readableApp,
  actingForYou: () => 'An assistant, acting for you',
  kinds: {
    phone: 'Phone',
    tablet: 'Tablet',
    desktop: 'Computer',
    television: 'TV',
    watch: 'Watch',
    headset: 'VR headset',
    car: 'Car',
    app: 'App',
    robot: 'Program',
    unknown: 'Unknown device',
  },
  done: {
    ended: 'The device has been signed out.',
    selected: 'These sessions have been signed out.',
    others: 'Every other device has been signed out.',
    renamed: 'The name has been saved.',
  },
  problems: {
    not_found: 'That device is already signed out.',
    invalid: 'That didn’t work: a name can have up to 64 characters.',
    refused: 'That request did not come from this page, so nothing was changed.',
    sign_in_again: 'Nothing was changed yet: to do this, please sign in again first.',
    unavailable: 'Your devices can’t be shown right now. Nothing was lost: please try again in a moment.',
    signed_out: 'You’re signed out. Sign in again to see your devices.',
  },
};

/** Numbers, and words that no person has chosen. */
const UNREADABLE = /^\d+$|(?=[\w-]*\d)[\w-]{16,}/;

/** The id itself, if people can read it; of a URL the host; otherwise empty. */
function readableApp(id: string): string {
  if (/^https?:/i.test(id) && URL.canParse(id)) return new URL(id).host;
  return UNREADABLE.test(id) ? '' : id;
}

/**
 * The languages of the option `messages`: one override or a list. The first is the default.
 * Throws a `TypeError` that names the text if one is unknown or of the wrong kind.
 */
export function messagesOffered(
  option: MessagesOverride | readonly MessagesOverride[] = englishMessages,
): readonly Messages[] {
  const overrides = isList(option) ? option : [option];
  if (overrides.length === 0) throw new TypeError('messages must offer at least one language, got an empty list');
  const offered = overrides.map((override, index) => {
    const path = isList(option) ? `messages[${index}]` : 'messages';
    if (!isPlain(override))
      throw new TypeError(`${path} must be an object of texts, got ${kindOf(override)}: ${SHAPE}`);
    checkTexts(path, override, englishMessages, languageAdvice(override, Object.keys(englishMessages)));
    if (override.language !== undefined) checkLanguage(`${path}.language`, override.language);
    return {
      ...englishMessages,
      ...(override === englishMessages ? {} : withCheckedTexts(override)),
      kinds: { ...englishMessages.kinds, ...override.kinds },
      done: { ...englishMessages.done, ...override.done },
      problems: { ...englishMessages.problems, ...override.problems },
    };
  });
  refuseSameLanguage(offered);
  return offered;
}

/** The texts of an application's functions are checked when they are used: these must answer at once. */
function withCheckedTexts(override: MessagesOverride): MessagesOverride {
  const texts = Object.entries(override).map(([name, text]: [string, unknown]) => [
    name,
    typeof text === 'function' ? checkedText(`messages.${name}`, text as (...parts: unknown[]) => unknown) : text,
  ]);
  return Object.fromEntries(texts) as MessagesOverride;
}

function checkedText(path: string, make: (...parts: unknown[]) => unknown): (...parts: unknown[]) => string {
  return function textOfApplication(...parts) {
    const text = make(...parts);
    refusePromise(text, `${path} must return the text itself, not a promise of it`);
    if (typeof text !== 'string') throw new TypeError(`${path} must return a string, got ${kindOf(text)}`);
    return text;
  };
}

/** The language for a reader by `Accept-Language` (RFC 9110, section 12.5.4), and the locale for its dates. */
export function languageFor(
  offered: readonly Messages[],
  acceptLanguage: string | undefined,
): { readonly messages: Messages; readonly locale: string } {
  const wanted = languagesWanted(acceptLanguage ?? '');
  for (const tag of wanted) {
    const scores = offered.map(({ language }) => closeness(language, tag));
    const best = Math.max(...scores);
    const messages = offered[scores.indexOf(best)];
    if (best > 0 && messages !== undefined) return { messages, locale: localeWithin(messages, tag) };
  }
  const [messages = englishMessages] = offered;
  return { messages, locale: messages.language };
}

/** The reader's locale if it belongs to the language of the texts, or else that language: a page has one language. */
export function localeWithin(messages: Messages, locale: string): string {
  for (const tag of [locale, messages.language]) {
    try {
      if (primary(tag) === primary(messages.language)) return new Intl.Locale(tag).toString();
    } catch {
      // Not a language tag: try the next one.
    }
  }
  return englishMessages.language;
}

/** Only the known values of {@link Done}: other text from the query never reaches the page. */
export function doneFrom(value: unknown): Done | null {
  return DONE.find((done) => done === value) ?? null;
}

export function problemOf(code: LoginErrorCode): Problem {
  switch (code) {
    case 'session_not_found':
      return 'not_found';
    case 'request_invalid':
      return 'invalid';
    case 'cross_site':
    case 'scope_missing':
      return 'refused';
    case 'insufficient_user_authentication':
      return 'sign_in_again';
    case 'store_unavailable':
    case 'keys_unavailable':
      return 'unavailable';
    default:
      return 'signed_out';
  }
}

function languagesWanted(header: string): string[] {
  const wanted = header
    .slice(0, 200)
    .split(',')
    .map((part) => {
      const [tag = '', ...parameters] = part.split(';').map((text) => text.trim());
      const quality = parameters.find((parameter) => parameter.startsWith('q='));
      return { tag, quality: quality === undefined ? 1 : Number(quality.slice(2)) };
    });
  return wanted
    .filter(({ tag, quality }) => /^[A-Za-z]{2,8}(?:-[A-Za-z\d]{1,8})*$/.test(tag) && quality > 0)
    .sort((a, b) => b.quality - a.quality)
    .map(({ tag }) => tag);
}

function isList(option: MessagesOverride | readonly MessagesOverride[]): option is readonly MessagesOverride[] {
  return Array.isArray(option);
}

/** Of `notYouUrl`, the only text that may be null. */
const A_LINK: Kind = {
  accepts: (value) => value === null || isLoginUrl(value),
  words: 'null, or a path that begins with one slash, or an absolute http(s) URL, in printable ASCII',
  isRequired: true,
};

/** Compares the override with the English texts: the same names, each of the same kind. */
function checkTexts(path: string, given: unknown, english: object, advice: Advice = {}): void {
  if (!isPlain(given)) throw new TypeError(`${path} must be an object of texts, got ${kindOf(given)}`);
  const models: ReadonlyMap<string, unknown> = new Map(Object.entries(english));
  checkNames(given, path, [...models.keys()], { what: 'text', advice });
  for (const [name, value] of Object.entries(given)) {
    const model = models.get(name);
    if (model === null) checkKind(value, `${path}.${name}`, A_LINK);
    else if (isObject(model)) checkTexts(`${path}.${name}`, value, model);
    else if (typeof value !== typeof model) {
      throw new TypeError(`${path}.${name} must be ${kindOf(model)}, got ${kindOf(value)}`);
    }
  }
}
