/** How the buttons of the page look, and the panels that they open. */

/** Beside its button if the browser can place it there, or else in the middle; without popovers in the button's place. */
export const ACTIONS_STYLE = `
.managed-sessions button {
  display: inline-flex;
  align-items: center;
  justify-content: center;
  min-height: 2.25rem;
  padding: 0.25rem 0.875rem;
  border: 1px solid var(--control);
  border-radius: 0.5rem;
  background: var(--surface);
  color: inherit;
  font: inherit;
  font-size: 0.9375rem;
  font-weight: 500;
  text-align: center;
  overflow-wrap: break-word;
  cursor: pointer;
}
@media (hover: hover) {
  .managed-sessions button:hover {
    background: var(--tint);
  }
}
.managed-sessions .ms-quiet {
  padding-inline: 0.5rem;
  border-color: transparent;
  background: transparent;
  color: var(--accent);
}
.managed-sessions .ms-go,
.managed-sessions .ms-go:hover {
  border-color: transparent;
  background: var(--accent);
  color: var(--on-accent);
  font-weight: 600;
}
.managed-sessions .ms-danger,
.managed-sessions .ms-danger:hover {
  background: var(--danger);
  color: var(--on-danger);
}
.managed-sessions .ms-go:hover {
  filter: brightness(0.93);
}
.managed-sessions .ms-panel {
  padding: 1rem;
  border: 1px solid var(--border);
  border-radius: var(--radius);
  background: var(--surface);
  color: var(--text);
  font-size: 0.9375rem;
  line-height: 1.45;
  text-align: start;
  text-wrap: pretty;
  box-shadow: 0 0.5rem 2rem rgb(0 0 0 / 0.2);
}
.managed-sessions .ms-panel:focus {
  outline: none;
}
.managed-sessions .ms-panel[popover] {
  width: 24rem;
  max-height: 100%;
  overflow: auto;
}
@media (prefers-color-scheme: dark) {
  .managed-sessions .ms-panel {
    border-color: var(--control);
    box-shadow: 0 0.5rem 2rem rgb(0 0 0 / 0.6);
  }
}
@supports (position-area: block-end) {
  .managed-sessions .ms-panel[popover] {
    inset: auto;
    margin: 0.375rem 0;
    position-area: self-block-end span-self-inline-start;
    position-try-fallbacks: flip-block, flip-inline, flip-block flip-inline;
  }
  @media (max-width: 30rem) {
    .managed-sessions .ms-panel[popover] {
      max-width: calc(100% - 1rem);
      margin-inline: 0.5rem;
      position-area: self-block-end span-all;
      position-try-fallbacks: flip-block;
    }
  }
}
@supports not (position-area: block-end) {
  .managed-sessions .ms-panel[popover] {
    max-width: calc(100% - 1rem);
  }
  .managed-sessions .ms-panel::backdrop {
    background: rgb(0 0 0 / 0.4);
  }
}
@supports not selector(:popover-open) {
  .managed-sessions :is(.ms-opener, .ms-cancel) {
    display: none;
  }
}
.managed-sessions .ms-panel label {
  display: block;
  font-weight: 500;
}
.managed-sessions .ms-buttons {
  display: flex;
  flex-wrap: wrap;
  justify-content: flex-end;
  gap: 0.5rem;
  margin-top: 1rem;
}
.managed-sessions .ms-buttons button {
  flex: 1 1 min-content;
  max-width: max-content;
}
.managed-sessions input:not([type='hidden']) {
  display: block;
  width: 100%;
  min-height: 2.5rem;
  margin-top: 0.5rem;
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
@media (max-width: 40rem) {
  .managed-sessions button {
    min-height: 2.75rem;
  }
  .managed-sessions .ms-buttons button {
    max-width: none;
  }
}
`;
