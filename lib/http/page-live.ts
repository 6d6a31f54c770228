/** What the page does after it was shown: its script tells it when the session ends. Without the script, the page works as well. */

import { createHash } from 'node:crypto';
import { Html, markup } from './markup.js';
import type { Messages } from './messages.js';
import { PAGE_SCRIPT } from './page-script.js';

/**
 * The CSP source of the script inside a `layout`, for a site's own policy: `script-src 'sha256-...'`. The script also needs
 * `connect-src 'self'`. A policy that does not allow it leaves a page that works, but does not notice the end of its session.
 */
export const PAGE_SCRIPT_SOURCE = `'sha256-${createHash('sha256').update(PAGE_SCRIPT).digest('base64')}'`;

export const pageScript = markup`<script type="module">${new Html(PAGE_SCRIPT)}</script>`;

/** Shown by the script when the session has ended. What goes with a live session is marked with `data-live`. */
export function endedNotice({ problems, signInAgain }: Messages, loginUrl: string | null): Html {
  const link = loginUrl === null ? null : markup` <a href="${loginUrl}">${signInAgain}</a>`;
  return markup`<p class="ms-notice ms-problem ms-ended" role="alert" hidden>${problems.signed_out}${link}</p>`;
}
