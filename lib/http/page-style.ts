/** How the page looks: one stylesheet, kept within `.managed-sessions`. */

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
.managed-sessions :is(h1, h2, h3, h4, p, ul, dl, dd) {
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
.managed-sessions .ms-group {
  display: flex;
  flex-wrap: wrap;
  align-items: flex-start;
  justify-content: space-between;
  gap: 0.5rem 1rem;
  margin-top: 2rem;
}
.managed-sessions .ms-group :is(h2, h3) {
  padding-block: 0.5rem;
  font-size: 1rem;
  line-height: 1.5;
  font-weight: 600;
}
.managed-sessions .ms-empty {
  margin-top: 0.75rem;
  color: var(--muted);
}
.managed-sessions .ms-list {
  list-style: none;
  margin-top: 0.75rem;
  border: 1px solid var(--border);
  border-radius: var(--radius);
  background: var(--surface);
}
.managed-sessions .ms-session {
  display: grid;
  grid-template-columns: 2.75rem minmax(0, 1fr) auto;
  gap: 0.75rem 1rem;
  padding: 1.125rem 1rem;
  align-items: start;
}
.managed-sessions .ms-session + .ms-session {
  border-top: 1px solid var(--border);
}
.managed-sessions .ms-icon {
  width: 2.75rem;
  height: 2.75rem;
  padding: 0.625rem;
  border-radius: 0.75rem;
  background: var(--tint);
  color: var(--accent);
}
.managed-sessions .ms-name {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 0.125rem 0.5rem;
  font-size: 1.0625rem;
  line-height: 1.35;
  font-weight: 600;
}
.managed-sessions .ms-badge {
  padding: 0.0625rem 0.5rem;
  border-radius: 1rem;
  background: var(--good);
  color: var(--on-good);
  font-size: 0.8125rem;
  line-height: 1.4;
  font-weight: 600;
}
.managed-sessions .ms-detail {
  color: var(--muted);
  font-size: 0.9375rem;
}
.managed-sessions .ms-times {
  display: flex;
  flex-wrap: wrap;
  gap: 0.375rem 0.875rem;
  margin-top: 0.5rem;
  font-size: 0.875rem;
  line-height: 1.4;
}
.managed-sessions .ms-times div {
  min-width: 6.5rem;
}
.managed-sessions .ms-times dt {
  color: var(--muted);
}
.managed-sessions .ms-actions {
  display: flex;
  flex-wrap: wrap;
  justify-content: flex-end;
  gap: 0.5rem;
}
.managed-sessions .ms-actions:has(details[open]) > details:not([open]) {
  display: none;
}
.managed-sessions details[open] {
  flex: 1 0 100%;
  order: -1;
  width: 18rem;
  max-width: 100%;
}
.managed-sessions .ms-group details[open] {
  flex: 0 1 22rem;
  order: 0;
}
.managed-sessions details[open] > summary {
  display: flex;
  width: fit-content;
  margin-inline-start: auto;
}
.managed-sessions summary,
.managed-sessions button {
  display: inline-flex;
  align-items: center;
  justify-content: center;
  min-height: 2.5rem;
  padding: 0.375rem 0.875rem;
  border: 1px solid var(--control);
  border-radius: 0.5rem;
  background: transparent;
  color: inherit;
  font: inherit;
  font-size: 0.9375rem;
  font-weight: 500;
  text-align: center;
  cursor: pointer;
  list-style: none;
  transition: background-color 0.15s;
}
.managed-sessions summary::-webkit-details-marker {
  display: none;
}
.managed-sessions summary:hover {
  background: var(--tint);
}
.managed-sessions .ms-danger > summary {
  color: var(--danger);
}
.managed-sessions details[open] > summary {
  background: var(--tint);
  color: inherit;
}
.managed-sessions details:not([open]) > summary > .ms-open,
.managed-sessions details[open] > summary > .ms-shut {
  display: none;
}
.managed-sessions button {
  border-color: transparent;
  background: var(--accent);
  color: var(--on-accent);
  font-weight: 600;
}
.managed-sessions .ms-danger button {
  background: var(--danger);
  color: var(--on-danger);
}
.managed-sessions button:hover {
  filter: brightness(0.93);
}
.managed-sessions .ms-group .ms-panel {
  background: var(--surface);
}
.managed-sessions .ms-panel {
  margin-top: 0.5rem;
  padding: 1rem;
  border-radius: 0.5rem;
  background: var(--background);
  text-align: start;
}
.managed-sessions .ms-panel :is(form, label) {
  display: block;
}
.managed-sessions .ms-panel button {
  margin-top: 0.75rem;
}
.managed-sessions .ms-panel label {
  font-weight: 500;
}
.managed-sessions input {
  display: block;
  width: 100%;
  min-height: 2.5rem;
  margin-top: 0.375rem;
  padding: 0.375rem 0.625rem;
  border: 1px solid var(--control);
  border-radius: 0.5rem;
  background: var(--surface);
  color: inherit;
  font: inherit;
}
.managed-sessions .ms-hint {
  margin-top: 0.375rem;
  color: var(--muted);
  font-size: 0.875rem;
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
.managed-sessions :is(summary, button, input, a):focus-visible {
  outline: 3px solid var(--accent);
  outline-offset: 2px;
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
@media (max-width: 40rem) {
  .managed-sessions .ms-session {
    grid-template-columns: 2.75rem minmax(0, 1fr);
  }
  .managed-sessions .ms-actions {
    grid-column: 1/-1;
  }
  .managed-sessions .ms-actions details {
    flex: 1;
  }
  .managed-sessions :is(summary, details[open] > summary, button) {
    width: 100%;
    min-height: 2.75rem;
  }
  .managed-sessions .ms-group :is(details, details[open]) {
    flex: 1 1 100%;
  }
  .managed-sessions .ms-times {
    display: grid;
    gap: 0.125rem;
  }
  .managed-sessions .ms-times div {
    display: flex;
    flex-wrap: wrap;
    gap: 0 0.375rem;
  }
}
@media (prefers-reduced-motion: reduce) {
  .managed-sessions * {
    transition: none;
  }
}
@media (forced-colors: active) {
  .managed-sessions :is(button, .ms-badge, .ms-notice) {
    border: 1px solid;
  }
}
@media print {
  .managed-sessions :is(details, .ms-more) {
    display: none;
  }
}
`);

function oneLine(css: string): string {
  return css.trim().replace(/\s+/g, ' ');
}
