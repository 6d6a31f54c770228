/** The page on which people see where they are signed in. Server-rendered. Pure: no I/O, no clock. */

import { createHash } from 'node:crypto';
import type { LoginErrorCode } from '../core/errors.js';
import type { PageSession } from './account.js';
import { Html, markup } from './markup.js';
import { localeWithin, problemOf, type Done, type Messages } from './messages.js';
import { mount, pageUrl, signOutOthers } from './page-actions.js';
import { endedNotice, PAGE_SCRIPT_SOURCE, pageScript } from './page-live.js';
import { Rows, type Headings } from './page-rows.js';
import { PAGE_STYLE } from './page-style.js';

/** Everything that the page shows. Every string in it is treated as hostile. */
export interface PageView {
  readonly messages: Messages;
  /** BCP 47. Used if it is of the messages' language; otherwise that language is used. */
  readonly locale: string;
  /** IANA name; null if the reader's is not known. */
  readonly timeZone: string | null;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Path at which the router is mounted: `/account/sessions`, or empty at the root. */
  readonly base: string;
  /** The reader's own session, on every page of the list. Null if it is not on record, or if no sessions are shown. */
  readonly current: PageSession | null;
  /**
   * This page of the list, most recently seen first; it may include the reader's own. Null if sessions cannot be shown, and
   * `problem` says why.
   */
  readonly sessions: readonly PageSession[] | null;
  /** How many live sessions the user has, on all pages. */
  readonly total: number;
  /** Cursor of the page after this one, null on the last. */
  readonly next: string | null;
  /** The page length that the reader asked for, kept in the link to the next page. */
  readonly limit?: number | null;
  /** False if a cursor was given. */
  readonly firstPage: boolean;
  readonly done: Done | null;
  readonly problem: LoginErrorCode | null;
  /** The URL of the sign-in page, if signing in again solves the problem, or for when the session ends. */
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
    `script-src ${PAGE_SCRIPT_SOURCE}`,
    "connect-src 'self'",
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
        <main class="managed-sessions"${events(view)}>${content(view, HEADINGS_OF_PAGE)}</main>
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
      aria-labelledby="ms-title"${events(view)}
    >
      ${content(view, HEADINGS_OF_FRAGMENT)}
    </section> `.text;
}

// ---- content ----

function content(view: PageView, headings: Headings): Html {
  const { messages } = view;
  const notice = noticeOf(view);
  return markup`<${headings.title} class="ms-title" id="ms-title">${messages.title}</${headings.title}>
    ${view.sessions === null ? null : markup`<p class="ms-intro">${messages.intro}</p>`}
    ${notice === null ? null : markup`<p class="${notice.classes}" role="${notice.role}">${notice.text}</p>`}
    ${view.sessions === null ? null : endedNotice(messages, view.loginUrl ?? null)}
    ${view.sessions === null ? wayOut(view) : lists(view, view.sessions, headings)}
    ${view.sessions === null ? null : pageScript}`;
}

/** The script reads there whether the session goes on. By the time it asks, somebody else may have signed in. */
function events(view: PageView): Html | null {
  if (view.sessions === null) return null;
  const watched = view.current === null ? '' : `?handle=${encodeURIComponent(view.current.handle)}`;
  return markup` data-events="${mount(view)}/events${watched}"`;
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

function lists(view: PageView, sessions: readonly PageSession[], headings: Headings): Html {
  const { messages, current } = view;
  const others = sessions.filter((session) => !session.current);
  // Sessions begin and end between two readings: never fewer than are shown.
  const count = Math.max(others.length, view.total - (current === null ? 0 : 1));
  const nobody = view.firstPage ? messages.noOthers : messages.nothingHere;
  const rows = new Rows(view, headings);
  return markup`
    ${current === null ? null : markup`${group(headings, messages.thisDevice, null)} ${rows.list([current])}`}
    ${group(headings, messages.otherDevices(count), count === 0 ? null : signOutOthers(view))}
    ${others.length > 0 ? rows.list(others) : markup`<p class="ms-empty">${nobody}</p>`} ${paging(view)}
  `;
}

function group(headings: Headings, title: string, action: Html | null): Html {
  return markup`<div class="ms-group"><${headings.group}>${title}</${headings.group}>${action}</div>`;
}

function paging(view: PageView): Html | null {
  if (view.next === null && view.firstPage) return null;
  const query = new URLSearchParams(view.next === null ? {} : { cursor: view.next });
  if (view.limit != null) query.set('limit', String(view.limit));
  return markup`<nav class="ms-more" aria-label="${view.messages.more}">
    ${view.next === null ? null : markup`<a href="${pageUrl(view)}?${query.toString()}">${view.messages.more}</a>`}
    ${view.firstPage ? null : markup`<a href="${pageUrl(view)}">${view.messages.first}</a>`}
  </nav>`;
}

const style = markup`<style>${new Html(PAGE_STYLE)}</style>`;
const HEADINGS_OF_PAGE = headingsFrom(1);
const HEADINGS_OF_FRAGMENT = headingsFrom(2);

function headingsFrom(level: number): Headings {
  const [title, group, session, folded] = [0, 1, 2, 3].map((deeper) => new Html(`h${String(level + deeper)}`));
  return { title, group, session, folded } as Headings;
}

/** The origin that the policy must allow for this URL. */
function cspSource(option: string, url: string): string {
  const here = 'https://here.invalid';
  const target = URL.canParse(url, here) ? new URL(url, here) : null;
  if (target === null || !/^https?:$/.test(target.protocol))
    throw new TypeError(`${option} must be a path or an http(s) URL`);
  if (target.origin === here) return "'self'";
  return /^https?:/i.test(url) ? target.origin : target.host;
}
