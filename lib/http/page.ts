/** The page on which people see where they are signed in. Server-rendered, without JavaScript; pure: no I/O, no clock. */

import { createHash } from 'node:crypto';
import type { LoginErrorCode } from '../core/errors.js';
import { LABEL_LIMIT } from '../core/session.js';
import type { SessionView } from './account.js';
import { localeWithin, problemOf, type Done, type Messages } from './messages.js';
import { KIND_ICONS, PAGE_STYLE } from './page-style.js';
import { clientInWords, type ClientKind } from './user-agent.js';

/** All that the page shows. Every text in it is taken for hostile. */
export interface PageView {
  readonly messages: Messages;
  /** BCP 47. Followed where it is of the messages' language, else theirs is. */
  readonly locale: string;
  /** IANA name; default UTC. */
  readonly timeZone?: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Path at which the router is mounted: `/account/sessions`, or empty at the root. */
  readonly base: string;
  /** Most recently seen first; null where they cannot be shown, and `problem` says why. */
  readonly sessions: readonly SessionView[] | null;
  /** Cursor of the page after this one, null on the last. */
  readonly next: string | null;
  /** Page length where the reader asked for one; kept in the link to the next page. */
  readonly limit?: number | null;
  /** False where a cursor was asked for. */
  readonly firstPage: boolean;
  readonly done: Done | null;
  readonly problem: LoginErrorCode | null;
  /** Goes with every form in the hidden field {@link FORM_TOKEN_FIELD}; null leaves the field out. */
  readonly formToken: string | null;
  /** URL or path of the site's own stylesheet; comes after ours. */
  readonly stylesheet?: string | null;
}

export interface PageHeaderOptions {
  /** URL or path of the site's own stylesheet. Fonts and images from its origin are allowed too. */
  readonly stylesheet?: string | null;
  /**
   * URLs to which a form's answer may redirect, at any number of hops, such as `loginUrl` and the identity provider behind
   * it: Chromium applies `form-action` to redirects as well.
   */
  readonly formTargets?: readonly string[];
}

/** Name of the hidden field that carries {@link PageView.formToken}. */
export const FORM_TOKEN_FIELD = 'form_token';

/** CSP source for the stylesheet inside `renderFragment()`, for a site's own policy: `style-src 'sha256-...'`. */
export const PAGE_STYLE_SOURCE = `'sha256-${createHash('sha256').update(PAGE_STYLE).digest('base64')}'`;

/**
 * The headers of an answer with {@link renderPage}; the same for every request, so to be made once.
 * Throws a `TypeError` for a URL that is neither a path nor http(s).
 */
export function pageHeaders(options: PageHeaderOptions = {}): Readonly<Record<string, string>> {
  const site = options.stylesheet == null ? [] : [cspSource('stylesheet', options.stylesheet)];
  const targets = (options.formTargets ?? []).map((target) => cspSource('formTargets', target));
  const policy = [
    "default-src 'none'",
    ['style-src', PAGE_STYLE_SOURCE, ...site].join(' '),
    ...site.flatMap((source) => [`font-src ${source}`, `img-src ${source} data:`]),
    ['form-action', ...new Set(["'self'", ...targets])].join(' '),
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ];
  return {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': policy.join('; '),
    'Cache-Control': 'no-store',
    // Not 'no-referrer': under it browsers send "Origin: null" with the page's own forms.
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    Vary: 'Accept, Accept-Language',
  };
}

/** The whole document. */
export function renderPage(view: PageView): string {
  const { messages } = view;
  const notice = noticeOf(view);
  return markup`<!doctype html>
    <html lang="${localeWithin(messages, view.locale)}" dir="${messages.direction}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${notice === null ? messages.title : `${notice.text} – ${messages.title}`}</title>
        ${style}${view.stylesheet == null ? null : markup`<link rel="stylesheet" href="${view.stylesheet}" />`}
      </head>
      <body class="managed-sessions-page">
        <main class="managed-sessions">${content(view, HEADINGS_OF_PAGE)}</main>
      </body>
    </html> `.text;
}

/** What goes inside a site's own page: a section under that page's `h1`, with our stylesheet before it. */
export function renderFragment(view: PageView): string {
  const { messages } = view;
  return markup`${style}
    <section
      class="managed-sessions"
      lang="${localeWithin(messages, view.locale)}"
      dir="${messages.direction}"
      aria-labelledby="ms-title"
    >
      ${content(view, HEADINGS_OF_FRAGMENT)}
    </section> `.text;
}

// ---- content ----

interface Headings {
  readonly title: Html;
  readonly group: Html;
  readonly session: Html;
}

function content(view: PageView, headings: Headings): Html {
  const { messages } = view;
  const notice = noticeOf(view);
  return markup`<${headings.title} class="ms-title" id="ms-title">${messages.title}</${headings.title}>
    ${view.sessions === null ? null : markup`<p class="ms-intro">${messages.intro}</p>`}
    ${notice === null ? null : markup`<p class="${notice.classes}" role="${notice.role}">${notice.text}</p>`}
    ${view.sessions === null ? wayOut(view) : lists(view, view.sessions, headings)}`;
}

interface Notice {
  readonly text: string;
  readonly role: 'alert' | 'status';
  readonly classes: string;
}

function noticeOf({ messages, problem, done }: PageView): Notice | null {
  if (problem !== null) {
    return { text: messages.problems[problemOf(problem)], role: 'alert', classes: 'ms-notice ms-problem' };
  }
  return done === null ? null : { text: messages.done[done], role: 'status', classes: 'ms-notice' };
}

function wayOut(view: PageView): Html {
  const unavailable = view.problem !== null && problemOf(view.problem) === 'unavailable';
  return markup`<p class="ms-more">
    <a href="${pageUrl(view)}">${unavailable ? view.messages.tryAgain : view.messages.back}</a>
  </p>`;
}

function lists(view: PageView, sessions: readonly SessionView[], headings: Headings): Html {
  const { messages } = view;
  const here = sessions.filter((session) => session.current);
  const others = sessions.filter((session) => !session.current);
  const somewhereElse = others.length > 0 || view.next !== null || !view.firstPage;
  const words = new MomentsInWords(view);
  const nobody = view.firstPage ? messages.noOthers : messages.nothingHere;
  return markup`
    ${here.length === 0 ? null : group(headings, messages.thisDevice, null)} ${list(view, here, headings, words)}
    ${group(headings, messages.otherDevices, somewhereElse ? signOutOthers(view) : null)}
    ${others.length > 0 ? list(view, others, headings, words) : markup`<p class="ms-empty">${nobody}</p>`} ${paging(view)}
  `;
}

function group(headings: Headings, title: string, action: Html | null): Html {
  return markup`<div class="ms-group"><${headings.group}>${title}</${headings.group}>${action}</div>`;
}

function list(
  view: PageView,
  sessions: readonly SessionView[],
  headings: Headings,
  words: MomentsInWords,
): Html | null {
  if (sessions.length === 0) return null;
  return markup`<ul class="ms-list" role="list">
    ${sessions.map((session) => item(view, session, headings, words))}
  </ul>`;
}

function item(view: PageView, session: SessionView, headings: Headings, words: MomentsInWords): Html {
  const { messages } = view;
  const client = clientInWords(session.client, messages);
  const name = session.label ?? client;
  const device = session.client.device;
  const details = [
    session.label === null ? null : client,
    device === null || client.includes(device) ? null : device,
    session.location,
    session.ip,
  ].filter((detail) => detail !== null && detail !== '');
  const times = `ms-times-${session.handle}`;
  return markup`<li class="ms-session">
    ${icon(session.client.kind)}
    <div>
      <${headings.session} class="ms-name"><bdi>${name}</bdi>${session.current ? markup` <span class="ms-badge">${words.at(session.lastSeenAt, messages.activeNow)}</span>` : null}</${headings.session}>
      ${details.length === 0 ? null : markup`<p class="ms-detail">${details.map((detail, index) => markup`${index === 0 ? null : ' · '}<bdi>${detail}</bdi>`)}</p>`}
      <dl class="ms-times" id="${times}">
        ${session.current ? null : markup`<div><dt>${messages.lastSeen}</dt><dd>${words.ago(session.lastSeenAt)}</dd></div>`}
        <div><dt>${messages.signedIn}</dt><dd>${words.near(session.startedAt)}</dd></div>
        <div><dt>${messages.ends}</dt><dd>${words.near(session.expiresAt)}</dd></div>
      </dl>
    </div>
    <div class="ms-actions">${rename(view, session, name, times)}${signOut(view, session, name, times)}</div>
  </li>`;
}

function icon(kind: ClientKind): Html {
  return markup`<svg class="ms-icon" ${DRAWN}>${new Html(KIND_ICONS[kind])}</svg>`;
}

// ---- actions: each opens a panel, which is the confirmation; one is open at a time ----

function rename(view: PageView, session: SessionView, name: string, times: string): Html {
  const { messages } = view;
  const hint = session.label === null ? null : markup`<p class="ms-hint">${messages.removeNameHint}</p>`;
  const fields = markup`<label>${messages.nameFor(clientInWords(session.client, messages))}
    <input name="label" value="${session.label ?? ''}" maxlength="${LABEL_LIMIT}" autocomplete="off" spellcheck="false" /></label>${hint}`;
  const form = post(view, `/${encodeURIComponent(session.handle)}/label`, messages.save, fields);
  return disclosure(messages, '', { text: messages.rename, spoken: messages.renameDevice(name), times }, form);
}

function signOut(view: PageView, session: SessionView, name: string, times: string): Html {
  const { messages } = view;
  const question = session.current ? messages.confirmSignOutHere : messages.confirmSignOut(name);
  const path = session.current ? '/current/end' : `/${encodeURIComponent(session.handle)}/end`;
  const panel = markup`<p>${question}</p>
    ${post(view, path, messages.signOut, null)}`;
  return disclosure(
    messages,
    'ms-danger',
    { text: messages.signOut, spoken: messages.signOutDevice(name), times },
    panel,
  );
}

function signOutOthers(view: PageView): Html {
  const { messages } = view;
  const panel = markup`<p>${messages.confirmSignOutEverywhereElse}</p>
    ${post(view, '/others/end', messages.signOutEverywhereElse, null)}`;
  return disclosure(messages, 'ms-danger', { text: messages.signOutEverywhereElse, spoken: null, times: null }, panel);
}

interface Opener {
  readonly text: string;
  /** The same with the device in it, for those who hear the button without seeing what it stands beside. */
  readonly spoken: string | null;
  readonly times: string | null;
}

function disclosure(messages: Messages, classes: string, { text, spoken, times }: Opener, panel: Html): Html {
  const shut =
    spoken === null ? text : markup`<span aria-hidden="true">${text}</span><span class="ms-spoken">${spoken}</span>`;
  return markup`<details name="ms-panel" class="${classes}">
    <summary${times === null ? null : markup` aria-describedby="${times}"`}><span class="ms-shut">${shut}</span><span class="ms-open">${messages.cancel}</span></summary>
    <div class="ms-panel">${panel}</div>
  </details>`;
}

function post(view: PageView, path: string, submit: string, fields: Html | null): Html {
  const token =
    view.formToken === null
      ? null
      : markup`<input type="hidden" name="${FORM_TOKEN_FIELD}" value="${view.formToken}" />`;
  return markup`<form method="post" action="${mount(view)}${path}">
    ${token}${fields}<button type="submit">${submit}</button>
  </form>`;
}

function paging(view: PageView): Html | null {
  if (view.next === null && view.firstPage) return null;
  const query = new URLSearchParams(view.next === null ? {} : { cursor: view.next });
  if (view.limit != null) query.set('limit', String(view.limit));
  return markup`<nav class="ms-more" aria-label="${view.messages.otherDevices}">
    ${view.next === null ? null : markup`<a href="${pageUrl(view)}?${query.toString()}">${view.messages.more}</a>`}
    ${view.firstPage ? null : markup`<a href="${pageUrl(view)}">${view.messages.first}</a>`}
  </nav>`;
}

/** A path of this site whatever the base is: `//host` would be another's. */
function mount(view: PageView): string {
  const path = view.base.replace(/^[\\/]+|(?<![\\/])[\\/]+$/g, '');
  return path === '' ? '' : `/${path}`;
}

function pageUrl(view: PageView): string {
  return mount(view) || '/';
}

// ---- moments ----

const UNITS = [
  ['year', 365 * 86_400_000],
  ['month', 30 * 86_400_000],
  ['week', 7 * 86_400_000],
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
] as const;
const NEAR = 7 * 86_400_000;

/** Moments as people read them, each a `<time>` with the exact one, and its time zone, in its title. */
class MomentsInWords {
  readonly #now: number;
  // "yesterday" would be wrong for 47 hours: counts are spelled out, and only "now" is a word.
  readonly #counted: Intl.RelativeTimeFormat;
  readonly #present: string;
  readonly #day: Intl.DateTimeFormat;
  readonly #exact: Intl.DateTimeFormat;

  constructor(view: PageView) {
    const locale = localeWithin(view.messages, view.locale);
    const timeZone = knownTimeZone(view.timeZone);
    this.#now = view.now;
    this.#counted = new Intl.RelativeTimeFormat(locale);
    this.#present = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(0, 'second');
    this.#day = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeZone });
    this.#exact = new Intl.DateTimeFormat(locale, {
      year: 'numeric',
      month: 'long',
      day: 'numeric',
      hour: '2-digit',
      minute: '2-digit',
      timeZoneName: 'short',
      timeZone,
    });
  }

  /** "3 minutes ago"; what is ahead, by a clock that differs, is "now". */
  ago(moment: string): Html {
    return this.at(moment, this.#distance(Math.min(0, Date.parse(moment) - this.#now)));
  }

  /** "in 23 hours", "2 days ago"; the date where it is a week or more away. */
  near(moment: string): Html {
    const away = Date.parse(moment) - this.#now;
    return this.at(moment, Math.abs(away) < NEAR ? this.#distance(away) : this.#day.format(Date.parse(moment)));
  }

  at(moment: string, text: string): Html {
    return markup`<time datetime="${moment}" title="${this.#exact.format(Date.parse(moment))}">${text}</time>`;
  }

  #distance(away: number): string {
    for (const [unit, length] of UNITS) {
      const count = Math.trunc(away / length);
      if (count !== 0) return this.#counted.format(count, unit);
    }
    return this.#present;
  }
}

function knownTimeZone(timeZone: string | undefined): string {
  if (timeZone === undefined) return 'UTC';
  try {
    return new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone;
  } catch {
    return 'UTC';
  }
}

// ---- markup ----

/** Text that is markup already. Everything else that {@link markup} is given gets escaped. */
class Html {
  constructor(readonly text: string) {}
}

type Fragment = Html | string | number | null | readonly Html[];

function markup(parts: TemplateStringsArray, ...values: readonly Fragment[]): Html {
  let text = parts[0] ?? '';
  values.forEach((value, index) => {
    text += markupOf(value) + (parts[index + 1] ?? '');
  });
  return new Html(text);
}

function markupOf(value: Fragment): string {
  if (value === null) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'object') return value.map((part) => part.text).join('');
  return escaped(String(value));
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return (
    text
      .toWellFormed()
      .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
      // eslint-disable-next-line no-control-regex -- control characters are not allowed in HTML
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, '\ufffd')
  );
}

const style = markup`<style>${new Html(PAGE_STYLE)}</style>`;
const DRAWN = new Html(
  'viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false"',
);
const HEADINGS_OF_PAGE: Headings = { title: new Html('h1'), group: new Html('h2'), session: new Html('h3') };
const HEADINGS_OF_FRAGMENT: Headings = { title: new Html('h2'), group: new Html('h3'), session: new Html('h4') };

/** The origin that a policy must allow for this URL. */
function cspSource(option: string, url: string): string {
  const here = 'https://here.invalid';
  const target = URL.canParse(url, here) ? new URL(url, here) : null;
  if (target === null || !/^https?:$/.test(target.protocol))
    throw new TypeError(`${option} must be a path or an http(s) URL`);
  if (target.origin === here) return "'self'";
  return /^https?:/i.test(url) ? target.origin : target.host;
}
