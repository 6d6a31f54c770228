/** The page on which people see where they are signed in. Server-rendered, without JavaScript. Pure: no I/O, no clock. */

import { createHash } from 'node:crypto';
import type { LoginErrorCode } from '../core/errors.js';
import { LABEL_LIMIT } from '../core/session.js';
import type { PageSession, SessionView } from './account.js';
import { Html, markup } from './markup.js';
import { localeWithin, problemOf, type Done, type Messages } from './messages.js';
import { MomentsInWords } from './moments.js';
import { KIND_ICONS } from './kind-icons.js';
import { PAGE_STYLE } from './page-style.js';
import { clientInWords, namesItself, type ClientKind } from './user-agent.js';

/** Everything that the page shows. Every string in it is treated as hostile. */
export interface PageView {
  readonly messages: Messages;
  /** BCP 47. Used if it is of the messages' language; otherwise that language is used. */
  readonly locale: string;
  /** IANA name. */
  readonly timeZone: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Path at which the router is mounted: `/account/sessions`, or empty at the root. */
  readonly base: string;
  /** The reader's session, on every page of the list. */
  readonly current: PageSession | null;
  /** Most recently seen first, and may include the reader's; null if they cannot be shown, and `problem` says why. */
  readonly sessions: readonly PageSession[] | null;
  /** How many live sessions the reader has, on all pages together. */
  readonly total: number;
  /** Cursor of the page after this one, null on the last. */
  readonly next: string | null;
  /** The page length that the reader asked for, kept in the link to the next page. */
  readonly limit?: number | null;
  /** False if a cursor was given. */
  readonly firstPage: boolean;
  readonly done: Done | null;
  readonly problem: LoginErrorCode | null;
  /** The URL of the sign-in page, if signing in again solves the problem. */
  readonly loginUrl?: string | null;
  /** URL or path of the site's own stylesheet, linked after ours. */
  readonly stylesheet?: string | null;
}

export interface PagePolicyOptions {
  /** URL or path of the site's own stylesheet. Fonts and images from its origin are also allowed. */
  readonly stylesheet?: string | null;
  /**
   * URLs to which a form's answer may redirect, at any number of hops, such as `loginUrl` and the identity provider behind
   * it: Chromium applies `form-action` to redirects as well.
   */
  readonly formTargets?: readonly string[];
}

/** The CSP source of the stylesheet inside a `layout`, for a site's own policy: `style-src 'sha256-...'`. */
export const PAGE_STYLE_SOURCE = `'sha256-${createHash('sha256').update(PAGE_STYLE).digest('base64')}'`;

/** The headers of a response with the page, apart from its policy. */
export const PAGE_HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Cache-Control': 'no-store',
  // Not 'no-referrer', because browsers would then send "Origin: null" with the page's own forms.
  'Referrer-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
  Vary: 'Accept, Accept-Language',
} as const;

/**
 * The policy of a response with {@link renderPage}. `setPagePolicy` adds who may frame the page.
 * Throws a `TypeError` for a URL that is neither a path nor http(s).
 */
export function pagePolicy(options: PagePolicyOptions = {}): string {
  const site = options.stylesheet == null ? [] : [cspSource('stylesheet', options.stylesheet)];
  const targets = (options.formTargets ?? []).map((target) => cspSource('formTargets', target));
  const policy = [
    "default-src 'none'",
    ['style-src', PAGE_STYLE_SOURCE, ...site].join(' '),
    ...site.flatMap((source) => [`font-src ${source}`, `img-src ${source} data:`]),
    ['form-action', ...new Set(["'self'", ...targets])].join(' '),
    "base-uri 'none'",
  ];
  return policy.join('; ');
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

/** A section for a site's own page, below the `h1` of that page, with our stylesheet before it. */
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
  const { messages, loginUrl = null } = view;
  const unavailable = view.problem !== null && problemOf(view.problem) === 'unavailable';
  return markup`<p class="ms-more">
    ${loginUrl === null ? null : markup`<a href="${loginUrl}">${messages.signInAgain}</a>`}
    <a href="${pageUrl(view)}">${unavailable ? messages.tryAgain : messages.back}</a>
  </p>`;
}

function lists(view: PageView, sessions: readonly SessionView[], headings: Headings): Html {
  const { messages } = view;
  const here = sessions.filter((session) => session.current);
  const others = sessions.filter((session) => !session.current);
  const somewhereElse = others.length > 0 || view.next !== null || !view.firstPage;
  const words = new MomentsInWords(localeWithin(messages, view.locale), view.timeZone, view.now);
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
  const app = session.app === null ? '' : messages.appName(session.app);
  const client = clientOf(session, messages);
  const name = session.label ?? client;
  const device = session.client.device;
  const details = [
    session.label === null ? null : client,
    session.actor === null ? null : messages.actingForYou(session.actor),
    namesItself(session.client) ? app : programOf(session, messages),
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

/** What the session runs on. An app stands for a client that does not say what it is called. */
function clientOf({ client, app }: SessionView, messages: Messages): string {
  const name = app === null || namesItself(client) ? '' : messages.appName(app);
  return clientInWords(name === '' ? client : { ...client, name, version: null }, messages);
}

/** What an app is made with, if its name stands in place of that. */
function programOf(session: SessionView, messages: Messages): string | null {
  const program = session.client.name === null ? null : clientInWords(session.client, messages);
  return program === clientOf(session, messages) ? null : program;
}

function icon(kind: ClientKind): Html {
  return markup`<svg class="ms-icon" ${DRAWN}>${new Html(KIND_ICONS[kind])}</svg>`;
}

// ---- actions: each opens a panel with the confirmation; one panel is open at a time ----

function rename(view: PageView, session: SessionView, name: string, times: string): Html {
  const { messages } = view;
  const hint = session.label === null ? null : markup`<p class="ms-hint">${messages.removeNameHint}</p>`;
  const fields = markup`<label>${messages.nameFor(clientOf(session, messages))}
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
  /** The same with the name of the device, for screen readers. */
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
  return markup`<form method="post" action="${mount(view)}${path}">
    ${fields}<button type="submit">${submit}</button>
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

/** Always a path of this site: `//host` would be another host. */
function mount(view: PageView): string {
  const path = view.base.replace(/^[\\/]+|(?<![\\/])[\\/]+$/g, '');
  return path === '' ? '' : `/${path}`;
}

function pageUrl(view: PageView): string {
  return mount(view) || '/';
}

const style = markup`<style>${new Html(PAGE_STYLE)}</style>`;
const DRAWN = new Html(
  'viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false"',
);
const HEADINGS_OF_PAGE: Headings = { title: new Html('h1'), group: new Html('h2'), session: new Html('h3') };
const HEADINGS_OF_FRAGMENT: Headings = { title: new Html('h2'), group: new Html('h3'), session: new Html('h4') };

/** The origin that the policy must allow for this URL. */
function cspSource(option: string, url: string): string {
  const here = 'https://here.invalid';
  const target = URL.canParse(url, here) ? new URL(url, here) : null;
  if (target === null || !/^https?:$/.test(target.protocol))
    throw new TypeError(`${option} must be a path or an http(s) URL`);
  if (target.origin === here) return "'self'";
  return /^https?:/i.test(url) ? target.origin : target.host;
}
