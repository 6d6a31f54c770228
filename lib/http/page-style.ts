/** How the page looks: one stylesheet, kept within `.managed-sessions`. */

import { ACTIONS_STYLE } from './page-style-actions.js';
import { ROWS_STYLE } from './page-style-rows.js';

/**
 * A site sets `--ms-accent`, `--ms-font` and the others on any element around the page; each has a default for light and dark.
 * Colours meet WCAG 2.2 AA: 4.5:1 for text, 3:1 for borders of controls and for focus.
 */
export const PAGE_STYLE = oneLine(`
.managed-sessions {
  --accent: var(--ms-accent, #1f5fd6);
  --on-accent: var(--ms-on-accent, #fff);
  --danger: var(--ms-danger, #b3261e);
  --on-danger: var(--ms-on-danger, #fff);
  --text: var(--ms-text, #1b1f27);
  --muted: var(--ms-muted, #5a6372);
  --background: var(--ms-background, #f5f6f8);
  --surface: var(--ms-surface, #fff);
  --border: var(--ms-border, #dfe3e9);
  --control: var(--ms-control, #7b8494);
  --tint: var(--ms-tint, #e8effc);
  --hover: var(--ms-hover, #f7f9fc);
  --good: var(--ms-good, #e3f4e8);
  --on-good: var(--ms-on-good, #14532d);
  --bad: var(--ms-bad, #fdeceb);
  --on-bad: var(--ms-on-bad, #8c1d18);
  --radius: var(--ms-radius, 0.75rem);
  box-sizing: border-box;
  max-width: 46rem;
  margin-inline: auto;
  padding: clamp(1rem, 4vw, 2.5rem) clamp(0.75rem, 4vw, 1.5rem) 4rem;
  color: var(--text);
  font: 1rem/1.5 var(--ms-font, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif);
  overflow-wrap: anywhere;
}
@media (prefers-color-scheme: dark) {
  .managed-sessions {
    --accent: var(--ms-accent, #8ab4ff);
    --on-accent: var(--ms-on-accent, #0b1b3a);
    --danger: var(--ms-danger, #ffb4ab);
    --on-danger: var(--ms-on-danger, #4a0a06);
    --text: var(--ms-text, #e8eaf0);
    --muted: var(--ms-muted, #a5adbb);
    --background: var(--ms-background, #111318);
    --surface: var(--ms-surface, #1b1e25);
    --border: var(--ms-border, #30353f);
    --control: var(--ms-control, #7d8696);
    --tint: var(--ms-tint, #22304d);
    --hover: var(--ms-hover, #20242d);
    --good: var(--ms-good, #17301f);
    --on-good: var(--ms-on-good, #b7e4c7);
    --bad: var(--ms-bad, #3b1a18);
    --on-bad: var(--ms-on-bad, #ffcdc7);
  }
}
.managed-sessions-page {
  margin: 0;
  color-scheme: light dark;
  background: var(--ms-background, #f5f6f8);
}
@media (prefers-color-scheme: dark) {
  .managed-sessions-page {
    background: var(--ms-background, #111318);
  }
}
.managed-sessions * {
  box-sizing: border-box;
}
.managed-sessions :is(h1, h2, h3, h4, h5, p, ul, dl, dd) {
  margin: 0;
  padding: 0;
}
.managed-sessions .ms-title {
  font-size: clamp(1.5rem, 1.2rem + 1.6vw, 2rem);
  line-height: 1.2;
  font-weight: 700;
  letter-spacing: -0.015em;
}
.managed-sessions .ms-intro {
  margin-top: 0.5rem;
  color: var(--muted);
  text-wrap: pretty;
}
.managed-sessions .ms-notice {
  margin-top: 1.25rem;
  padding: 0.75rem 1rem;
  border-radius: var(--radius);
  background: var(--good);
  color: var(--on-good);
  font-weight: 500;
}
.managed-sessions .ms-problem {
  background: var(--bad);
  color: var(--on-bad);
}
.managed-sessions .ms-empty {
  margin-top: 0.75rem;
  color: var(--muted);
}
.managed-sessions .ms-more {
  margin-top: 1.25rem;
  display: flex;
  flex-wrap: wrap;
  gap: 0.5rem 1.5rem;
}
.managed-sessions a {
  display: inline-block;
  padding: 0.375rem 0;
  color: var(--accent);
  font-weight: 500;
  text-underline-offset: 0.2em;
}
.managed-sessions .ms-notice a {
  display: inline;
  color: inherit;
}
@media (max-width: 40rem) {
  .managed-sessions a {
    padding-block: 0.6875rem;
  }
}
.managed-sessions .ms-spoken {
  position: absolute;
  width: 1px;
  height: 1px;
  margin: -1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
.managed-sessions [hidden] {
  display: none;
}
.managed-sessions[data-unsure] [data-live] {
  visibility: hidden;
}
${ROWS_STYLE}
${ACTIONS_STYLE}
.managed-sessions :is(summary, button, input, a):focus-visible {
  outline: 3px solid var(--accent);
  outline-offset: 2px;
}
.managed-sessions summary:focus-visible {
  outline-offset: -3px;
}
@media (prefers-reduced-motion: no-preference) {
  .managed-sessions :is(button, summary) {
    transition: background-color 0.15s;
  }
}
@media (forced-colors: active) {
  .managed-sessions :is(button, .ms-badge, .ms-new, .ms-notice, .ms-panel) {
    border: 1px solid;
  }
  .managed-sessions :is(.ms-go, .ms-go:hover) {
    background: ButtonFace;
    color: ButtonText;
    filter: none;
  }
  .managed-sessions .ms-icon {
    background: Canvas;
    color: CanvasText;
  }
}
@media print {
  .managed-sessions :is(.ms-act, summary, .ms-more) {
    display: none !important;
  }
}
`);

function oneLine(css: string): string {
  return css.trim().replace(/\s+/g, ' ');
}
