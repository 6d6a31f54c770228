/** The script in the page of `router()`. It is part of the page itself: scripts/page-script.mjs writes it to lib/http/page-script.ts. */

import { watchSession } from './index.js';

interface Part {
  hidden: boolean;
  readonly dataset: Record<string, string | undefined>;
  querySelector(selector: string): Part | null;
  querySelectorAll(selector: string): Iterable<Part>;
  toggleAttribute(name: string, force: boolean): void;
  remove(): void;
}
declare function addEventListener(type: 'pagehide', listener: () => void): void;

/**
 * What only a live session has is marked with `data-live`. It is removed when the session ends. It is hidden, by the style
 * for `data-unsure`, from when the page is left until the server has confirmed the session: a page may come back as it was.
 */
export function watchSessionsPage(page: Part): void {
  addEventListener('pagehide', () => page.toggleAttribute('data-unsure', true));
  watchSession(page.dataset['events'] ?? '', {
    onLive: () => page.toggleAttribute('data-unsure', false),
    onEnded() {
      for (const part of page.querySelectorAll('[data-live]')) part.remove();
      const notice = page.querySelector('.ms-ended');
      if (notice !== null) notice.hidden = false;
    },
  });
}
