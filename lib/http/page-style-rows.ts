/** How the rows of the page look, closed and opened. */

/** The summary lies under the whole row, so that people can open it anywhere; text and buttons lie above it. */
export const ROWS_STYLE = `
.managed-sessions .ms-group {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  justify-content: space-between;
  gap: 0.5rem 1rem;
  min-height: 2.75rem;
  margin-top: 1.75rem;
}
.managed-sessions .ms-group :is(h2, h3) {
  font-size: 1rem;
  line-height: 1.5;
  font-weight: 600;
}
.managed-sessions .ms-list {
  list-style: none;
  margin-top: 0.5rem;
  overflow: clip;
  border: 1px solid var(--border);
  border-radius: var(--radius);
  background: var(--surface);
}
.managed-sessions .ms-session {
  --pad: 0.875rem;
  --head: 2.75rem;
  position: relative;
  display: flex;
  flex-wrap: wrap;
  align-items: flex-start;
  column-gap: 1rem;
  padding-block: var(--pad);
  padding-inline: 1rem 3rem;
}
.managed-sessions .ms-session + .ms-session {
  border-top: 1px solid var(--border);
}
.managed-sessions .ms-icon {
  flex: none;
  width: 2.75rem;
  height: 2.75rem;
  padding: 0.625rem;
  border-radius: 0.75rem;
  background: var(--tint);
  color: var(--accent);
}
.managed-sessions :is(.ms-icon, .ms-head, .ms-act, .ms-behind, .ms-inner) {
  position: relative;
  z-index: 1;
}
.managed-sessions :is(.ms-icon, .ms-head) {
  pointer-events: none;
}
.managed-sessions .ms-session > :is(.ms-head, .ms-act) {
  display: flex;
  flex-direction: column;
  justify-content: center;
  min-height: var(--head);
}
.managed-sessions .ms-session > .ms-head {
  flex: 1 1 7rem;
  min-width: 0;
}
.managed-sessions .ms-session > .ms-act {
  height: var(--head);
  margin-inline-start: auto;
}
.managed-sessions .ms-head a {
  pointer-events: auto;
}
.managed-sessions .ms-name {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 0.125rem 0.5rem;
  font-size: 1rem;
  line-height: 1.375;
  font-weight: 600;
}
.managed-sessions bdi {
  text-align: -webkit-match-parent;
  text-align: match-parent;
}
.managed-sessions :is(.ms-badge, .ms-new) {
  padding: 0.0625rem 0.5rem;
  border-radius: 1rem;
  background: var(--good);
  color: var(--on-good);
  font-size: 0.8125rem;
  line-height: 1.4;
  font-weight: 600;
}
.managed-sessions .ms-new {
  background: var(--tint);
  color: var(--accent);
}
.managed-sessions .ms-detail {
  color: var(--muted);
  font-size: 0.9375rem;
  line-height: 1.4;
}
.managed-sessions .ms-mark {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 0 0.625rem;
  margin-top: 0.375rem;
  font-size: 0.9375rem;
}
.managed-sessions .ms-mark a {
  margin-block: -0.375rem;
}
.managed-sessions .ms-rest {
  flex: 0 0 100%;
}
.managed-sessions summary {
  position: absolute;
  inset: 0;
  list-style: none;
  cursor: pointer;
}
.managed-sessions summary::-webkit-details-marker {
  display: none;
}
@media (hover: hover) {
  .managed-sessions .ms-rest:not([open]) > summary:hover {
    background: var(--hover);
  }
}
.managed-sessions summary::after {
  content: '';
  position: absolute;
  inset-block-start: calc(var(--pad) + var(--head) / 2 - 0.375rem);
  inset-inline-end: 1.375rem;
  width: 0.5rem;
  height: 0.5rem;
  border: solid var(--muted);
  border-width: 0 2px 2px 0;
  transform: rotate(45deg);
}
.managed-sessions .ms-rest[open] > summary::after {
  margin-block-start: 0.25rem;
  transform: rotate(-135deg);
}
.managed-sessions .ms-behind {
  display: flex;
  flex-wrap: wrap;
  align-items: end;
  justify-content: space-between;
  gap: 0.75rem 1rem;
  margin-block-start: 0.75rem;
  margin-inline: 3.75rem -2rem;
  padding-block-start: 0.75rem;
  border-top: 1px solid var(--border);
}
.managed-sessions .ms-facts {
  flex: 1;
  display: grid;
  grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr));
  gap: 0.625rem 1rem;
  font-size: 0.875rem;
  line-height: 1.4;
}
.managed-sessions .ms-facts dt {
  color: var(--muted);
}
.managed-sessions .ms-inner {
  list-style: none;
  margin-block-start: 0.75rem;
  margin-inline: 3.75rem -3rem;
  border-top: 1px solid var(--border);
}
.managed-sessions .ms-inner .ms-session {
  --pad: 0.5rem;
  --head: 2.25rem;
  padding-inline-start: 0;
}
.managed-sessions .ms-several:has(> .ms-rest[open]) {
  padding-block-end: 0;
}
.managed-sessions .ms-inner .ms-name {
  font-size: 0.9375rem;
  font-weight: 500;
}
.managed-sessions .ms-inner .ms-behind {
  margin-inline-start: 0;
}
@media (max-width: 40rem) {
  .managed-sessions .ms-session {
    column-gap: 0.75rem;
    padding-inline: 0.75rem 2.25rem;
  }
  .managed-sessions .ms-icon {
    width: 2.25rem;
    height: 2.25rem;
    margin-block-start: 0.25rem;
    padding: 0.4375rem;
  }
  .managed-sessions .ms-session > .ms-act > .ms-opener {
    padding-inline: 0.5rem;
    border-color: transparent;
    background: none;
    color: var(--accent);
  }
  .managed-sessions summary::after {
    inset-inline-end: 0.875rem;
  }
  .managed-sessions .ms-detail {
    font-size: 0.875rem;
  }
  .managed-sessions .ms-detail bdi {
    display: block;
  }
  .managed-sessions .ms-mark a {
    margin-block: -0.6875rem;
  }
  .managed-sessions .ms-dot {
    display: none;
  }
  .managed-sessions .ms-behind {
    margin-inline: 3rem -1.5rem;
  }
  .managed-sessions .ms-facts {
    flex-basis: 100%;
    grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr));
  }
  .managed-sessions .ms-behind .ms-opener {
    margin-inline-start: -0.5rem;
  }
  .managed-sessions .ms-inner {
    margin-inline: 3rem -2.25rem;
  }
  .managed-sessions .ms-inner .ms-session {
    --pad: 0.25rem;
    --head: 2.75rem;
  }
}
`;
