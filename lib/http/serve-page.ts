/** Answers a request with the page: the reader's language, the page's headers, the site's layout. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { kindOf } from '../core/check.js';
import type { PageList } from './account.js';
import type { AppRequest } from './app-request.js';
import type { LoginUrlFor } from './login-url.js';
import { resultInTime } from './in-time.js';
import { setPagePolicy } from './framing.js';
import { doneFrom, languageFor, messagesOffered, problemOf, type MessagesOverride } from './messages.js';
import { PAGE_HEADERS, pagePolicy, renderFragment, renderPage, type PageView } from './page.js';
import { pathOf, wholeUrl } from './request.js';
import { redirect, sendHtml, type Present } from './respond.js';
import { createTimeZone, type TimeZone } from './time-zone.js';

/** Puts the page's HTML inside the site's own. A method, so that it may require its framework's own request type. */
export type Layout = { wrap(html: string, req: IncomingMessage): string | Promise<string> }['wrap'];

export interface PageOptions {
  /** The page's texts, in one language or several. Default English. */
  readonly messages?: MessagesOverride | readonly MessagesOverride[];
  /** URL or path of the site's own stylesheet. */
  readonly stylesheet?: string;
  /**
   * With a layout, the page's Content-Security-Policy is the site's. If the response says nothing about framing, it is
   * forbidden all the same: `frame-ancestors 'none'` and `X-Frame-Options: DENY` are added.
   */
  readonly layout?: Layout;
  /**
   * Where `loginUrl` itself redirects to, as paths or absolute http(s) URLs: for example, the identity provider's login
   * page. The page's policy allows them, because Chromium applies `form-action` to every redirect after a form. Default none.
   */
  readonly formTargets?: readonly string[];
  /**
   * The time zone of the times on the page: an IANA name such as `'Europe/Berlin'`, or a function of the request that returns
   * the reader's own. If it is not known, which is the default, all times are relative, and the exact ones in the titles are
   * in UTC, and say so.
   */
  readonly timeZone?: TimeZone;
}

export interface PageParts {
  readonly clock: { now(): number };
  readonly loginUrlFor?: LoginUrlFor | undefined;
}

export interface Page {
  readonly show: (req: AppRequest, res: ServerResponse, list: PageList) => Promise<void>;
  readonly showProblem: Present;
}

const NOTHING = { current: null, sessions: null, next: null, total: 0 } as const;

/** Throws a `TypeError` if an option is invalid. */
export function createPage({ clock, loginUrlFor }: PageParts, options: PageOptions): Page {
  const { messages, stylesheet = null, layout, formTargets = [] } = options;
  const offered = messagesOffered(messages);
  const timeZoneFor = createTimeZone(options.timeZone);
  const headers = Object.entries(PAGE_HEADERS);
  const fixedPolicy = pagePolicy({ stylesheet, formTargets });

  /** The form that signs the reader out is answered with a redirect to the login page. */
  function policyFor(req: AppRequest): string {
    if (loginUrlFor === undefined) return fixedPolicy;
    return pagePolicy({ stylesheet, formTargets: [loginUrlFor(req), ...formTargets] });
  }

  function viewOf(req: AppRequest): Omit<PageView, keyof PageList | 'problem'> {
    const query = queryOf(req);
    return {
      ...languageFor(offered, req.headers['accept-language']),
      timeZone: timeZoneFor(req),
      now: clock.now(),
      base: mountOf(req),
      limit: null,
      firstPage: !query.has('cursor'),
      done: doneFrom(query.get('done')),
      stylesheet,
    };
  }

  async function send(req: AppRequest, res: ServerResponse, status: number, view: PageView): Promise<void> {
    const html = layout === undefined ? renderPage(view) : await inLayout(layout, renderFragment(view), req);
    if (typeof html !== 'string') throw new TypeError(`layout must return a string, got ${kindOf(html)}`);
    if (res.headersSent) return;
    for (const [name, value] of headers) res.setHeader(name, value);
    // Inside a layout, the site's own policy applies.
    setPagePolicy(res, layout === undefined ? policyFor(req) : null);
    sendHtml(res, status, html);
  }

  return {
    async show(req, res, list) {
      const limit = Number(queryOf(req).get('limit'));
      const loginUrl = loginUrlFor?.(req) ?? null;
      const view = { ...viewOf(req), ...list, limit: limit >= 1 ? limit : null, problem: null, loginUrl };
      await send(req, res, 200, view);
    },

    async showProblem(error, req, res) {
      const loginUrl = error.status === 401 ? loginUrlFor?.(req, error) : undefined;
      // Somebody who is signed in would not know why to sign in again: the page says so first.
      const isSignedIn = problemOf(error.code) === 'sign_in_again';
      if (loginUrl !== undefined && !isSignedIn) {
        redirect(res, loginUrl);
        return;
      }
      for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value);
      const view = { ...viewOf(req), ...NOTHING, problem: error.code };
      await send(req, res, error.status, { ...view, loginUrl: loginUrl ?? null });
    },
  };
}

async function inLayout(layout: Layout, fragment: string, req: AppRequest): Promise<unknown> {
  const result: unknown = layout(fragment, req);
  return resultInTime(result, 'layout') ?? result;
}

export function queryOf(req: IncomingMessage): URLSearchParams {
  const url = req.url ?? '';
  const start = url.indexOf('?');
  return new URLSearchParams(start === -1 ? '' : url.slice(start + 1));
}

/**
 * The path at which the router is mounted, without a trailing slash: the original URL without the router's own part, in
 * Express and in Connect. Never another host, as `//host` and `/\host` would be.
 */
export function mountOf(req: AppRequest): string {
  const whole = pathOf(wholeUrl(req));
  const inner = pathOf(req.url ?? '');
  const mount = whole.endsWith(inner) ? whole.slice(0, whole.length - inner.length) : whole;
  const path = mount.replace(/^[/\\]+|\/+$/g, '');
  return path === '' ? '' : `/${path}`;
}
